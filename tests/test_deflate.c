/*
 * tests/test_deflate.c - the room deflate: what each compressor writes, zlib's inflate reads, however it is cut, within the
 * window that was promised; what is corrupt is called so; memory is counted, and may fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "deflate/deflate.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static const struct wsr_inflate_ops *const inflate = &wsr_inflate_zlib;

/* ---- messages ---- */

static uint64_t random_state = 1;

static uint32_t next_random(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(random_state >> 33);
}

enum content { NOISE, ZEROS, WORDS, FAR, CONTENTS };

/* FAR: half a KiB of noise over and over, so that a match lies just within one window and just out of another. */
static void fill(uint8_t *p, size_t len, enum content content, size_t period)
{
    static const char *const words[] = {"bid", "ask", "trade", "{\"price\":", "\"size\":", "BTCUSDT", "0.00100000", ",", "}", "\xC3\xA4"};
    size_t at = 0;
    while (at < len) {
        if (content == NOISE) {
            p[at++] = (uint8_t)next_random();
        } else if (content == ZEROS) {
            p[at++] = 0;
        } else if (content == FAR) {
            p[at] = at < period ? (uint8_t)next_random() : p[at - period];
            at++;
        } else {
            const char *word = words[next_random() % (sizeof words / sizeof words[0])];
            for (; *word != '\0' && at < len; word++)
                p[at++] = (uint8_t)*word;
        }
    }
}

/* ---- a stream of messages there and back ---- */

struct stream {
    struct wsr_pool pool;
    const struct wsr_deflate_ops *deflate;
    struct wsr_codec *deflater, *inflater;
    bool takeover;
};

static void open_stream(struct stream *s, const struct wsr_deflate_ops *deflate, unsigned level, unsigned bits, bool takeover)
{
    wsr_pool_init(&s->pool, NULL, 0, 0);
    s->deflate = deflate;
    s->takeover = takeover;
    s->deflater = deflate->open(&s->pool, level, bits, takeover);
    s->inflater = inflate->open(&s->pool, bits);
    assert_non_null(s->deflater);
    assert_non_null(s->inflater);
}

static void close_stream(struct stream *s)
{
    assert_int_equal(s->pool.out_bytes, s->deflater->bytes + s->inflater->bytes);
    s->deflate->close(s->deflater);
    inflate->close(s->inflater);
    assert_int_equal(s->pool.out_bytes, 0);
    wsr_pool_free(&s->pool);
}

/* Inflates in, `in_step` bytes at a time, into `out_step` bytes at a time: a distance beyond the window has nothing to refer to. */
static int inflate_steps(struct wsr_codec *inflater, wsr_slice in, uint8_t *out, size_t cap, size_t in_step, size_t out_step, size_t *n)
{
    *n = 0;
    while (in.len > 0) {
        wsr_slice piece = {in.ptr, in.len < in_step ? in.len : in_step};
        in.ptr += piece.len;
        in.len -= piece.len;
        bool more = true;
        while (more) {
            wsr_span room = {out + *n, cap - *n < out_step ? cap - *n : out_step};
            size_t had = room.len;
            if (had == 0)
                return WSR_EMESSAGE_SIZE;
            int error = inflate->run(inflater, &piece, &room);
            *n += had - room.len;
            assert_ptr_equal(room.ptr, out + *n);
            if (error < 0)
                return error;
            assert_true(piece.len == 0 || room.len == 0);
            more = room.len == 0;
        }
    }
    return WSR_OK;
}

static int inflate_tail(struct wsr_codec *inflater, uint8_t *out, size_t cap, size_t *n)
{
    static const uint8_t tail[4] = {0, 0, 0xFF, 0xFF};
    return inflate_steps(inflater, (wsr_slice){tail, 4}, out, cap, 4, SIZE_MAX, n);
}

/* Returns the compressed size. */
static size_t there_and_back(struct stream *s, const uint8_t *p, size_t len, size_t in_step, size_t out_step)
{
    size_t cap = s->deflate->bound(s->deflater, len), n, more;
    uint8_t *wire = malloc(cap), *back = malloc(len + 1);
    assert_non_null(wire);
    assert_non_null(back);
    size_t wire_len = s->deflate->message(s->deflater, (wsr_slice){p, len}, wire, cap);
    assert_true(wire_len > 0);
    if (!s->takeover)
        inflate->reset(s->inflater);
    assert_int_equal(inflate_steps(s->inflater, (wsr_slice){wire, wire_len}, back, len + 1, in_step, out_step, &n), WSR_OK);
    assert_int_equal(n, len);
    assert_int_equal(inflate_tail(s->inflater, back + n, 1, &more), WSR_OK);
    assert_int_equal(more, 0);
    assert_true(inflate->is_between(s->inflater));
    assert_memory_equal(back, p, len);
    free(wire);
    free(back);
    return wire_len;
}

static const size_t lengths[] = {1,    2,    3,    4,    7,    8,    31,   32,    33,    63,    64,    100,   255,   256,    257,    258,
                                 259,  260,  511,  512,  513,  1000, 2047, 2048,  2049,  4095,  4096,  5000,  16383, 16384,  16385,  20000,
                                 32767, 32768, 32769, 50000, 65535, 65536, 65537, 70000, 131072, 200000};
#define LENGTHS (sizeof lengths / sizeof lengths[0])

/* Every message of a stream, each content, every window: what comes back is what was sent, and no distance leaves the window. */
static void round_trips(const struct wsr_deflate_ops *deflate, unsigned level)
{
    static uint8_t p[200000];
    for (unsigned bits = WSR_WINDOW_BITS_MIN; bits <= WSR_WINDOW_BITS_MAX; bits++) {
        for (int takeover = 0; takeover < 2; takeover++) {
            struct stream s;
            open_stream(&s, deflate, level, bits, takeover != 0);
            for (unsigned i = 0; i < LENGTHS; i++) {
                enum content content = (enum content)(next_random() % CONTENTS);
                fill(p, lengths[i], content, ((size_t)1 << bits) - 10 + next_random() % 20);
                size_t step = lengths[i] < 3000 && next_random() % 2 == 0 ? 1 : 1 + next_random() % 5000;
                (void)there_and_back(&s, p, lengths[i], step, 1 + next_random() % 300);
            }
            close_stream(&s);
        }
    }
}

static void zlib_round_trips(void **unused)
{
    (void)unused;
    for (unsigned level = 1; level <= 9; level++)
        round_trips(&wsr_deflate_zlib, level);
}

static void isal_round_trips(void **unused)
{
    (void)unused;
    for (unsigned times = 0; times < 9; times++)
        round_trips(&wsr_deflate_isal, 0);
}

/*
 * Two equal messages of noise with others between them: while the window reaches back to the first the second is a reference to it,
 * and when it does not, it cannot be; inflating with that window, byte by byte, would notice.
 */
static void windows_are_as_large_as_promised(void **unused)
{
    (void)unused;
    static uint8_t p[100000];
    static const struct wsr_deflate_ops *const ops[] = {&wsr_deflate_zlib, &wsr_deflate_isal};
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned bits = WSR_WINDOW_BITS_MIN; bits <= WSR_WINDOW_BITS_MAX; bits++) {
            const size_t window = (size_t)1 << bits, len = 64;
            /* zlib looks back 262 bytes less than its window, and at 8 bits as at 9: zlib_deflate.c */
            const size_t reach = ops[i] != &wsr_deflate_zlib ? window : bits == 8 ? 250 : window - 262;
            for (int within = 0; within < 2; within++) {
                struct stream s;
                open_stream(&s, ops[i], 1, bits, true);
                fill(p, len, NOISE, 0);
                memset(p + len, 'x', window);
                (void)there_and_back(&s, p, len, len, 1);
                (void)there_and_back(&s, p + len, within != 0 ? reach - 2 * len : window + 1 - len, window, 1);
                size_t again = there_and_back(&s, p, len, len, 1);
                close_stream(&s);
                if (within != 0 ? again > len / 2 : again < len)
                    fail_msg("%s, %u bits, %s: %zu bytes for %zu", ops[i]->name, bits, within != 0 ? "within" : "beyond", again, len);
            }
        }
    }
}

/* With takeover the second of two equal messages is little more than a reference to the first; reset forgets. Without, each stands alone. */
static void history(void **unused)
{
    (void)unused;
    static const struct wsr_deflate_ops *const ops[] = {&wsr_deflate_zlib, &wsr_deflate_isal};
    uint8_t p[400];
    fill(p, sizeof p, NOISE, 0);
    for (unsigned i = 0; i < 2; i++) {
        struct stream s;
        open_stream(&s, ops[i], 6, 15, true);
        assert_true(there_and_back(&s, p, sizeof p, 400, 400) >= 400);
        assert_true(there_and_back(&s, p, sizeof p, 400, 400) < 30);
        ops[i]->reset(s.deflater);
        assert_true(there_and_back(&s, p, sizeof p, 400, 400) >= 400); /* the inflater was not told, and need not be */
        assert_true(there_and_back(&s, p, sizeof p, 400, 400) < 30);
        close_stream(&s);
        open_stream(&s, ops[i], 6, 15, false);
        for (unsigned again = 0; again < 3; again++)
            assert_true(there_and_back(&s, p, sizeof p, 400, 400) >= 400);
        close_stream(&s);
    }
}

/* Letters at random, some more often: nothing to refer back to, so codes of its own are what a message gains by, if it is long. */
static void long_messages_have_their_own_codes(void **unused)
{
    (void)unused;
    static uint8_t p[10000];
    for (size_t i = 0; i < sizeof p; i++)
        p[i] = (uint8_t)('a' + (next_random() % 16 & next_random() % 16));
    struct stream s;
    open_stream(&s, &wsr_deflate_isal, 0, 15, false);
    assert_true(there_and_back(&s, p, sizeof p, sizeof p, sizeof p) < sizeof p * 5 / 10);
    assert_true(there_and_back(&s, p, 1000, 1000, 1000) > 700); /* fixed ones */
    assert_true(there_and_back(&s, p, sizeof p, sizeof p, sizeof p) < sizeof p * 5 / 10);
    close_stream(&s);
}

/* A stream that goes on for long: ISA-L counts its input in 32 bits, and gives its history up in time. */
static void a_stream_of_gigabytes(void **unused)
{
    (void)unused;
    static uint8_t p[MIB], wire[2 * MIB], back[MIB + 1]; /* in a full buffer there might be more to come */
    struct stream s;
    open_stream(&s, &wsr_deflate_isal, 0, 15, true);
    fill(p, sizeof p, WORDS, 0);
    for (unsigned i = 0; i < 1100; i++) {
        size_t len = i % 100 == 0 ? 1000 + i : sizeof p - i, n, more;
        size_t wire_len = wsr_deflate_isal.message(s.deflater, (wsr_slice){p, len}, wire, sizeof wire);
        assert_true(wire_len > 0);
        assert_int_equal(inflate_steps(s.inflater, (wsr_slice){wire, wire_len}, back, sizeof back, SIZE_MAX, SIZE_MAX, &n), WSR_OK);
        assert_int_equal(n, len);
        assert_memory_equal(back, p, len);
        assert_int_equal(inflate_tail(s.inflater, back, 1, &more), WSR_OK);
    }
    close_stream(&s);
}

/* Too little room, or a message too long to be counted: nothing, and then the next message as if there had been none. */
static void a_message_that_cannot_be_done(void **unused)
{
    (void)unused;
    static const struct wsr_deflate_ops *const ops[] = {&wsr_deflate_zlib, &wsr_deflate_isal};
    uint8_t p[1000], wire[2000];
    fill(p, sizeof p, NOISE, 0);
    for (unsigned i = 0; i < 2; i++) {
        for (int takeover = 0; takeover < 2; takeover++) {
            struct stream s;
            open_stream(&s, ops[i], 6, 15, takeover != 0);
            assert_true(there_and_back(&s, p, 500, 500, 500) > 0);
            for (size_t cap = 1; cap < 1000; cap += 37)
                assert_int_equal(ops[i]->message(s.deflater, (wsr_slice){p, sizeof p}, wire, cap), 0);
            assert_true(there_and_back(&s, p, 500, 500, 500) >= 500);
            if (ops[i] == &wsr_deflate_isal) { /* not looked at, so it need not be there */
                assert_int_equal(ops[i]->message(s.deflater, (wsr_slice){p, ((size_t)1 << 30) + 1}, wire, sizeof wire), 0);
                assert_int_equal(ops[i]->message(s.deflater, (wsr_slice){p, 500}, wire, (size_t)UINT32_MAX + 1), 0);
            }
            close_stream(&s);
        }
    }
}

/* ---- hand-made streams ---- */

struct made {
    const char *what;
    const char *wire;
    size_t wire_len;
    int error;
    const char *text; /* what comes out, before an error too */
    bool between; /* blocks, at the end */
};
#define BYTES(s) s, sizeof(s) - 1

static const struct made made[] = {
    /* RFC 7692 section 7.2.3.1: one block with fixed codes */
    {"Hello", BYTES("\xf2\x48\xcd\xc9\xc9\x07\x00"), WSR_OK, "Hello", false},
    /* 7.2.3.3: a stored block */
    {"stored", BYTES("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), WSR_OK, "Hello", false},
    {"stored, without the next header", BYTES("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f"), WSR_OK, "Hello", true},
    /* 7.2.3.4: BFINAL set, and a byte behind it */
    {"final", BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00"), WSR_OK, "Hello", true},
    {"final and the next header", BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), WSR_OK, "Hello", false},
    {"final twice", BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00"), WSR_OK, "HelloHello", true},
    /* a final block, then one of 7.2.3.2 that refers back into it: "f2 00 11 00 00" is a match of 5 bytes, 5 back */
    {"back across a final block", BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00"), WSR_OK, "HelloHello", false},
    /* 7.2.3.5: two blocks in one message */
    {"two blocks", BYTES("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), WSR_OK, "Hello", false},
    {"an empty stored block", BYTES("\x00\x00\x00\xff\xff"), WSR_OK, "", true},
    {"an empty block with fixed codes, and the next header", BYTES("\x02\x00"), WSR_OK, "", false},
    /* four literals of nine bits: the block ends two bits before the byte does, which is no place for a message to end */
    {"an end within a byte", BYTES("\xfa\xff\xff\xff\x7f\x00"), WSR_OK, "\xff\xff\xff\xff", false},
    {"reserved block type", BYTES("\x06"), WSR_EDEFLATE, "", false},
    {"reserved block type, final", BYTES("\x07"), WSR_EDEFLATE, "", false},
    {"stored, lengths that do not agree", BYTES("\x00\x05\x00\xfa\xfe"), WSR_EDEFLATE, "", false},
    {"a distance to just before the beginning", BYTES("\xf2\x48\xcd\xc9\xc9\x07\x92\x00"), WSR_EDEFLATE, "Hello", false},
    {"a distance to the beginning", BYTES("\xf2\x48\xcd\xc9\xc9\x07\x12\x00\x00"), WSR_OK, "HelloHel", false},
    {"distance symbol 30", BYTES("\xf2\x48\xcd\xc9\xc9\x07\x3e\x00"), WSR_EDEFLATE, "Hello", false},
    {"length symbol 286", BYTES("\x1a\x03\x00"), WSR_EDEFLATE, "", false},
    {"length symbol 287", BYTES("\x1a\x07\x00"), WSR_EDEFLATE, "", false},
    {"own codes for 287 symbols", BYTES("\xf4\x00\x00"), WSR_EDEFLATE, "", false},
    {"own codes for 31 distances", BYTES("\x04\x1e\x00"), WSR_EDEFLATE, "", false},
    {"too many codes of one bit", BYTES("\x04\x00\x92\x04"), WSR_EDEFLATE, "", false},
    {"a length to be repeated before there is one", BYTES("\x04\x00\x12\x00"), WSR_EDEFLATE, "", false},
    {"no code for the end of the block", BYTES("\x04\x00\x80\xe4\x7f\x1b"), WSR_EDEFLATE, "", false},
    {"good bytes before bad ones", BYTES("\x00\x02\x00\xfd\xff\x48\x69\x07"), WSR_EDEFLATE, "Hi", false},
};

static void hand_made(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < sizeof made / sizeof made[0]; i++) {
        for (size_t in_step = 1; in_step <= made[i].wire_len; in_step++) {
            for (size_t out_step = 1; out_step < 12; out_step += 5) {
                struct wsr_pool pool;
                uint8_t out[64];
                size_t n;
                wsr_pool_init(&pool, NULL, 0, 0);
                struct wsr_codec *inflater = inflate->open(&pool, 15);
                assert_non_null(inflater);
                wsr_slice wire = {(const uint8_t *)made[i].wire, made[i].wire_len};
                int error = inflate_steps(inflater, wire, out, sizeof out, in_step, out_step, &n);
                if (error != made[i].error || n != strlen(made[i].text) || memcmp(out, made[i].text, n) != 0)
                    fail_msg("%s, by %zu into %zu: %s, \"%.*s\"", made[i].what, in_step, out_step, wsr_error_name(error), (int)n, out);
                if (error == WSR_OK && inflate->is_between(inflater) != made[i].between)
                    fail_msg("%s, by %zu into %zu: between blocks: %d", made[i].what, in_step, out_step, inflate->is_between(inflater));
                inflate->close(inflater);
                assert_int_equal(pool.out_bytes, 0);
                wsr_pool_free(&pool);
            }
        }
    }
}

/* ---- memory ---- */

/* What the documentation of wsr_deflate says. */
static void memory_is_as_documented(void **unused)
{
    (void)unused;
    for (unsigned bits = 9; bits <= 15; bits++) {
        struct stream s;
        uint8_t p[200] = {1}; /* zlib takes its window when there is something to keep */
        open_stream(&s, &wsr_deflate_zlib, 6, bits, true);
        (void)there_and_back(&s, p, sizeof p, 200, 200);
        assert_in_range(s.deflater->bytes, (size_t)1 << (bits + 3), ((size_t)1 << (bits + 3)) + 6 * KIB + 256);
        assert_in_range(s.inflater->bytes, (size_t)1 << bits, ((size_t)1 << bits) + 7 * KIB + 512);
        close_stream(&s);
        open_stream(&s, &wsr_deflate_isal, 0, bits, true);
        assert_in_range(s.deflater->bytes, 80 * KIB, 81 * KIB);
        close_stream(&s);
    }
}

struct failing {
    unsigned long calls, fail_at;
};

static void *failing_alloc(void *context, size_t size)
{
    struct failing *failing = context;
    return ++failing->calls == failing->fail_at ? NULL : malloc(size);
}

static void *failing_resize(void *context, void *ptr, size_t old_size, size_t size)
{
    struct failing *failing = context;
    (void)old_size;
    return ++failing->calls == failing->fail_at ? NULL : realloc(ptr, size);
}

static void failing_release(void *context, void *ptr, size_t size)
{
    (void)context;
    (void)size;
    free(ptr);
}

/* Every allocation fails in its turn: a codec is there or not, and nothing stays behind. */
static void any_allocation_may_fail(void **unused)
{
    (void)unused;
    static const uint8_t hello[] = "\xf2\x48\xcd\xc9\xc9\x07\x00";
    bool failed = true;
    for (unsigned long at = 1; failed; at++) {
        struct failing failing = {0, at};
        wsr_allocator allocator = {&failing, failing_alloc, failing_resize, failing_release};
        struct wsr_pool pool;
        uint8_t out[16];
        wsr_pool_init(&pool, &allocator, 0, 0);
        struct wsr_codec *a = wsr_deflate_zlib.open(&pool, 6, 15, true), *b = wsr_deflate_isal.open(&pool, 0, 15, true);
        struct wsr_codec *c = inflate->open(&pool, 15);
        int error = WSR_ENOMEM;
        if (c != NULL) { /* the window comes with the first bytes */
            wsr_slice in = {hello, 7};
            wsr_span room = {out, sizeof out};
            error = inflate->run(c, &in, &room);
        }
        failed = failing.calls >= at;
        assert_int_equal(a == NULL || b == NULL || c == NULL || error != WSR_OK, failed);
        assert_true(error == WSR_OK || error == WSR_ENOMEM);
        if (a != NULL)
            wsr_deflate_zlib.close(a);
        if (b != NULL)
            wsr_deflate_isal.close(b);
        if (c != NULL)
            inflate->close(c);
        assert_int_equal(pool.out_bytes, 0);
        wsr_pool_free(&pool);
    }
}

/* The pool's limit holds for codecs too. */
static void the_pool_is_bounded(void **unused)
{
    (void)unused;
    struct wsr_pool pool;
    wsr_pool_init(&pool, NULL, 0, 100 * KIB);
    struct wsr_codec *first = wsr_deflate_isal.open(&pool, 0, 15, true);
    assert_non_null(first);
    assert_null(wsr_deflate_isal.open(&pool, 0, 15, true));
    assert_null(wsr_deflate_zlib.open(&pool, 6, 15, true));
    wsr_deflate_isal.close(first);
    assert_int_equal(pool.out_bytes, 0);
    wsr_pool_free(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zlib_round_trips),
        cmocka_unit_test(isal_round_trips),
        cmocka_unit_test(windows_are_as_large_as_promised),
        cmocka_unit_test(history),
        cmocka_unit_test(long_messages_have_their_own_codes),
        cmocka_unit_test(a_stream_of_gigabytes),
        cmocka_unit_test(a_message_that_cannot_be_done),
        cmocka_unit_test(hand_made),
        cmocka_unit_test(memory_is_as_documented),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(the_pool_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
