/*
 * tests/fuzz/fuzz_deflate_round_trip.c - every compressor against plain zlib as the receiver, with the window that was promised
 * and an output of a few bytes at a time, so that a distance beyond the window has nothing to refer to.
 *
 * Input: options, then messages made by a small language: literal bytes, runs, and copies from up to 64 KiB back, across messages too,
 * so that a few bytes of input make matches at every distance.
 */
#include <zlib.h>

#include "base/pool.h"
#include "deflate/deflate.h"
#include "fuzz/check.h"

enum { MESSAGE_MAX = 100000, PAST_MAX = 400000 };

struct maker {
    uint8_t bytes[PAST_MAX]; /* all messages so far */
    size_t len;
};

/* Makes the next message behind those there are; its length. */
static size_t make_message(struct maker *m, struct input *in)
{
    size_t start = m->len;
    uint8_t steps = input_byte(in);
    for (unsigned i = 0; i <= steps % 32u && m->len + 4096 < PAST_MAX && m->len - start + 4096 < MESSAGE_MAX; i++) {
        uint8_t op = input_byte(in);
        size_t n = op >> 2;
        n = n == 63 ? 4000 : n > 48 ? n * 10 : n;
        uint32_t seed = op * 2654435761u;
        size_t back = (size_t)(input_byte(in) << 8 | input_byte(in)) + 1;
        for (size_t j = 0; j < n; j++) {
            if ((op & 3) == 0) { /* noise */
                seed = seed * 1664525 + 1013904223 + (uint32_t)back;
                m->bytes[m->len] = (uint8_t)(seed >> 24);
            } else if ((op & 3) == 1) { /* a run */
                m->bytes[m->len] = (uint8_t)back;
            } else if ((op & 3) == 2) { /* a copy */
                m->bytes[m->len] = back <= m->len ? m->bytes[m->len - back] : 'x';
            } else { /* few symbols */
                seed = seed * 1664525 + 1013904223 + (uint32_t)back;
                m->bytes[m->len] = (uint8_t)('a' + (seed >> 24) % 6);
            }
            m->len++;
        }
    }
    return m->len - start;
}

/* Inflates one message, checks it, and that the stream stands between two blocks. */
static void check_back(z_stream *stream, const uint8_t *wire, size_t wire_len, const uint8_t *p, size_t len, unsigned step)
{
    uint8_t piece[64];
    size_t done = 0;
    uint8_t *whole = malloc(wire_len + 4);
    CHECK(whole != NULL);
    memcpy(whole, wire, wire_len);
    memcpy(whole + wire_len, "\0\0\xff\xff", 4);
    stream->next_in = whole;
    stream->avail_in = (uInt)wire_len + 4;
    do {
        stream->next_out = piece;
        stream->avail_out = step;
        int result = inflate(stream, Z_SYNC_FLUSH);
        CHECK(result == Z_OK || result == Z_BUF_ERROR);
        size_t n = step - stream->avail_out;
        CHECK(n <= len - done && memcmp(piece, p + done, n) == 0);
        done += n;
    } while (stream->avail_out == 0);
    CHECK(stream->avail_in == 0 && done == len);
    free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t options = input_byte(&in);
    unsigned bits = 8 + (options & 7), level = input_byte(&in) % 10, step = 1 + input_byte(&in) % 64;
    bool takeover = (options & 8) != 0;
    const struct wsr_deflate_ops *ops = level == 0 ? &wsr_deflate_isal : &wsr_deflate_zlib;
    struct wsr_pool pool;
    wsr_pool_init(&pool, NULL, 0, 0);
    struct wsr_codec *codec = ops->open(&pool, level, bits, takeover);
    struct maker *m = malloc(sizeof *m);
    z_stream stream = {0};
    CHECK(codec != NULL && m != NULL && inflateInit2(&stream, -(int)bits) == Z_OK);
    m->len = 0;
    while (in.len > 0) {
        size_t len = make_message(m, &in);
        const uint8_t *p = m->bytes + m->len - len;
        if (len == 0)
            break;
        size_t cap = ops->bound(codec, len);
        uint8_t *message = copy_of(p, len), *wire = malloc(cap);
        CHECK(wire != NULL);
        if ((options & 16) != 0 && input_byte(&in) % 4 == 0) { /* too little room: nothing, and no history of it */
            CHECK(ops->message(codec, (wsr_slice){message, len}, wire, 1 + input_byte(&in) % 4) == 0);
        }
        size_t wire_len = ops->message(codec, (wsr_slice){message, len}, wire, cap);
        CHECK(wire_len > 0 && wire_len <= cap - 4);
        if (!takeover)
            CHECK(inflateReset(&stream) == Z_OK);
        check_back(&stream, wire, wire_len, p, len, step);
        if ((options & 32) != 0)
            ops->reset(codec);
        free(message);
        free(wire);
    }
    CHECK(inflateEnd(&stream) == Z_OK);
    ops->close(codec);
    CHECK(pool.out_bytes == 0);
    wsr_pool_free(&pool);
    free(m);
    return 0;
}
