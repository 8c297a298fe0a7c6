/*
 * tests/fuzz/fuzz_deflate_in.c - hostile compressed messages, against a reference that is zlib used in another way: a message as one
 * piece into one buffer, and behind a final block a new stream with its history set by hand. Whatever an endpoint delivers, or
 * fails for, must be what the reference says, however the bytes are cut.
 *
 * Input: a byte of options, one of how to cut, then messages: a byte of length and kind, and as many bytes of payload.
 */
#include <zlib.h>

#include "fuzz/check.h"
#include "fuzz/drive.h"
#include "simd/simd.h"

enum { LIMIT = 5000, WINDOW = 32768 };

struct reference {
    bool takeover;
    uint8_t history[WINDOW + 2 * LIMIT]; /* what the next block may refer back to */
    size_t history_len;
    uint8_t out[LIMIT + 1];
    size_t out_len;
    bool between; /* blocks, behind what was inflated last */
};

static void remember(struct reference *r, const uint8_t *p, size_t len)
{
    memcpy(r->history + r->history_len, p, len);
    r->history_len += len;
    if (r->history_len > WINDOW) {
        memmove(r->history, r->history + r->history_len - WINDOW, WINDOW);
        r->history_len = WINDOW;
    }
}

/* Inflates p behind r->out. Each stream ends with a final block, or with p. Returns 0, WSR_EDEFLATE, WSR_EMESSAGE_SIZE. */
static int inflate_all(struct reference *r, const uint8_t *p, size_t len)
{
    int result = Z_OK;
    r->between = true;
    while (len > 0) {
        z_stream stream = {0};
        size_t from = r->out_len;
        CHECK(inflateInit2(&stream, -15) == Z_OK);
        if (r->history_len > 0)
            CHECK(inflateSetDictionary(&stream, r->history, (uInt)r->history_len) == Z_OK);
        stream.next_in = (Bytef *)(uintptr_t)p;
        stream.avail_in = (uInt)len;
        stream.next_out = r->out + r->out_len;
        stream.avail_out = (uInt)(sizeof r->out - r->out_len);
        result = inflate(&stream, Z_SYNC_FLUSH);
        r->between = result == Z_STREAM_END || (stream.data_type & (128 | 31)) == 128;
        r->out_len = sizeof r->out - stream.avail_out;
        p += len - stream.avail_in;
        len = stream.avail_in;
        remember(r, r->out + from, r->out_len - from);
        CHECK(inflateEnd(&stream) == Z_OK);
        if (r->out_len > LIMIT)
            return WSR_EMESSAGE_SIZE;
        if (result != Z_STREAM_END)
            break;
    }
    return result == Z_DATA_ERROR ? WSR_EDEFLATE : WSR_OK;
}

/* Text: of what came out, also before an error, the first that is wrong is what counts. */
static int inflate_message(struct reference *r, bool text, const uint8_t *p, size_t len)
{
    uint8_t *whole = malloc(len + 4);
    CHECK(whole != NULL);
    memcpy(whole, p, len);
    memcpy(whole + len, "\0\0\xff\xff", 4);
    if (!r->takeover)
        r->history_len = 0;
    r->out_len = 0;
    struct reference *with_tail = malloc(sizeof *with_tail);
    CHECK(with_tail != NULL);
    *with_tail = *r;
    int error = inflate_all(r, whole, len);
    if (error == WSR_OK && !r->between) { /* the tail is wanted: once more from the beginning, with it */
        *r = *with_tail;
        error = inflate_all(r, whole, len + 4);
        if (error == WSR_OK && !r->between)
            error = WSR_EDEFLATE;
    }
    free(with_tail);
    free(whole);
    if (text) {
        wsr_text_state state = {0};
        if (!wsr_kernels_named("scalar")->utf8(&state, r->out, r->out_len))
            return WSR_EUTF8;
        if (error == WSR_OK && state.pending != 0)
            return WSR_EUTF8;
    }
    return error;
}

static void feed(struct talk *talk, const struct vectors_bytes *frame, uint8_t cut)
{
    talk_feed_pieces(talk, frame->ptr, frame->len, cut == 0 ? frame->len : cut);
}

/* A message as one frame, or cut into fragments. */
static void put_frames(struct vectors_bytes *out, wsr_role from, uint8_t opcode, const uint8_t *p, size_t len, uint8_t fragment)
{
    uint8_t first = (uint8_t)(0x40 | opcode);
    size_t at = 0;
    do {
        size_t take = fragment != 0 && fragment < len - at ? fragment : len - at;
        bool last = at + take == len;
        talk_frame(out, from, (uint8_t)(first | (last ? 0x80 : 0)), p + at, take);
        first = 0;
        at += take;
    } while (at < len);
}

static void expect(struct talk *talk, size_t *seen, int error, bool text, const struct reference *r)
{
    if (error != WSR_OK) {
        talk_eof(talk, 0);
        CHECK(talk->is_closed);
        CHECK(talk->record.cause == error);
        return;
    }
    struct vectors_bytes line = {NULL, 0, 0};
    vectors_append(&line, text ? "text" : "binary", text ? 4 : 6);
    talk_payload(&line, r->out, r->out_len);
    vectors_append(&line, "\n", 1);
    CHECK(talk->seen.len == *seen + line.len && memcmp(talk->seen.ptr + *seen, line.ptr, line.len) == 0);
    *seen = talk->seen.len;
    vectors_bytes_free(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t options = input_byte(&in), cut = input_byte(&in);
    struct reference *r = calloc(1, sizeof *r);
    struct talk talk = {.role = (options & 1) != 0 ? WSR_CLIENT : WSR_SERVER, .now_ns = 1, .cap = (options & 4) != 0 ? 1 : 0};
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    CHECK(r != NULL);
    r->takeover = (options & 2) != 0;
    config.limits.message_bytes_max = LIMIT;
    config.limits.whole_bytes_max = (options & 8) != 0 ? 1 + (options >> 4) : 0;
    drive_deflate(&talk, &config, r->takeover);
    CHECK(talk_open(&talk, &config) == WSR_OK);
    size_t seen = talk.seen.len;
    while (in.len > 0 && !talk.is_closed) {
        uint8_t kind = input_byte(&in);
        bool text = (kind & 1) != 0;
        size_t len = kind >> 1;
        len = len > 100 ? (len - 100) * 64 : len;
        const uint8_t *p = input_bytes(&in, &len);
        struct vectors_bytes frames = {NULL, 0, 0};
        put_frames(&frames, talk.role == WSR_SERVER ? WSR_CLIENT : WSR_SERVER, text ? 1 : 2, p, len, (options & 16) != 0 ? cut / 2 : 0);
        feed(&talk, &frames, cut);
        expect(&talk, &seen, inflate_message(r, text, p, len), text, r);
        vectors_bytes_free(&frames);
    }
    CHECK(talk_free(&talk));
    free(r);
    return 0;
}
