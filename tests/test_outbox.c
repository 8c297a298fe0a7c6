/*
 * tests/test_outbox.c - the outbox: order, stable slices, control lane, dropping and counting at a frame boundary, failures;
 * and a random run against a model that knows only lists of frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "proto/outbox.h"

/* ---- an outbox with all it needs ---- */

static const uint32_t epoch = 1;

struct rig {
    struct wsr_outbox out;
    struct wsr_pool pool;
    struct wsr_keypool keys;
    struct wsr_framer framer;
    uint32_t next_key;
    bool no_random;
    unsigned long allocations, fail_at;
    wsr_allocator allocator;
    uint8_t *wire; /* all that was sent */
    size_t wire_len, wire_cap;
};

static int refill(void *context, uint8_t *out, size_t n)
{
    struct rig *rig = context;
    if (rig->no_random)
        return -1;
    for (size_t i = 0; i + 4 <= n; i += 4) {
        uint32_t key = ++rig->next_key * UINT32_C(2654435761);
        memcpy(out + i, &key, 4);
    }
    return 0;
}

static void *rig_alloc(void *context, size_t size)
{
    struct rig *rig = context;
    return ++rig->allocations == rig->fail_at ? NULL : malloc(size);
}

static void *rig_resize(void *context, void *ptr, size_t old_size, size_t size)
{
    struct rig *rig = context;
    (void)old_size;
    return ++rig->allocations == rig->fail_at ? NULL : realloc(ptr, size);
}

static void rig_release(void *context, void *ptr, size_t size)
{
    (void)context;
    (void)size;
    free(ptr);
}

static void rig_open(struct rig *rig, bool masks)
{
    memset(rig, 0, sizeof *rig);
    rig->allocator = (wsr_allocator){rig, rig_alloc, rig_resize, rig_release};
    wsr_pool_init(&rig->pool, &rig->allocator, 0, 0);
    wsr_keypool_init(&rig->keys, refill, rig, &epoch);
    rig->framer = (struct wsr_framer){&rig->pool, wsr_kernels_best(), masks ? &rig->keys : NULL};
}

static void rig_close(struct rig *rig)
{
    wsr_outbox_free(&rig->out, &rig->pool);
    assert_false(wsr_outbox_pending(&rig->out));
    assert_int_equal(rig->out.bytes, 0);
    assert_int_equal(rig->pool.out_bytes, 0);
    wsr_pool_free(&rig->pool);
    free(rig->wire);
}

static void rig_sent(struct rig *rig, const wsr_slice *slices, unsigned n, size_t bytes)
{
    size_t left = bytes;
    for (unsigned i = 0; i < n && left > 0; i++) {
        size_t take = slices[i].len < left ? slices[i].len : left;
        if (rig->wire_len + take > rig->wire_cap) {
            rig->wire_cap = 2 * (rig->wire_len + take);
            rig->wire = realloc(rig->wire, rig->wire_cap);
            assert_non_null(rig->wire);
        }
        memcpy(rig->wire + rig->wire_len, slices[i].ptr, take);
        rig->wire_len += take;
        left -= take;
    }
    assert_int_equal(left, 0);
    wsr_outbox_sent(&rig->out, &rig->pool, bytes);
}

/* Everything there is to send is taken. */
static void rig_flush(struct rig *rig)
{
    wsr_slice slices[8];
    unsigned n;
    while ((n = wsr_outbox_drain(&rig->out, &rig->framer, slices, 8)) > 0) {
        size_t bytes = 0;
        for (unsigned i = 0; i < n; i++)
            bytes += slices[i].len;
        assert_true(bytes > 0);
        rig_sent(rig, slices, n, bytes);
    }
    assert_false(wsr_outbox_pending(&rig->out));
}

static wsr_slice slice(const char *text)
{
    return (wsr_slice){(const uint8_t *)text, strlen(text)};
}

static void send_ok(struct rig *rig, wsr_opcode opcode, const char *text)
{
    uint8_t first = (uint8_t)(WSR_FIN | (unsigned)opcode);
    assert_int_equal(wsr_outbox_frame(&rig->out, &rig->framer, first, slice(text)), WSR_OK);
}

static void control_ok(struct rig *rig, wsr_opcode opcode, const char *text)
{
    assert_int_equal(wsr_outbox_control(&rig->out, &rig->framer, opcode, slice(text)), WSR_OK);
}

/* The wire as words: "text:hello pong:x close:", unmasked; a masked frame must be one of a client. */
static void expect_wire_from(struct rig *rig, size_t from, const char *expected)
{
    char text[4096] = "";
    size_t end = 0;
    for (size_t at = from; at < rig->wire_len;) {
        wsr_frame_header header;
        int n = wsr_frame_header_decode((wsr_slice){rig->wire + at, rig->wire_len - at}, &header);
        assert_true(n > 0);
        at += (size_t)n;
        assert_int_equal(header.masked, rig->framer.keys != NULL);
        assert_true(header.payload_len <= rig->wire_len - at && header.payload_len < 1000 && end < 3000);
        size_t len = (size_t)header.payload_len;
        end += (size_t)sprintf(text + end, "%s%s:", end == 0 ? "" : " ", wsr_opcode_name(header.first & 15));
        memcpy(text + end, rig->wire + at, len);
        uint32_t key;
        memcpy(&key, header.masking_key, 4);
        (void)wsr_kernels_named("scalar")->unmask((uint8_t *)text + end, len, key);
        end += len;
        text[end] = '\0';
        at += len;
    }
    assert_string_equal(text, expected);
}

static void expect_wire(struct rig *rig, const char *expected)
{
    expect_wire_from(rig, 0, expected);
}

/* ---- order ---- */

static void frames_leave_in_order(void **unused)
{
    (void)unused;
    for (int masks = 0; masks < 2; masks++) {
        struct rig rig;
        rig_open(&rig, masks != 0);
        send_ok(&rig, WSR_TEXT, "one");
        send_ok(&rig, WSR_BINARY, "");
        send_ok(&rig, WSR_TEXT, "three");
        assert_int_equal(rig.out.bytes, 3 * (masks != 0 ? 6 : 2) + 8);
        assert_int_equal(rig.out.messages, 3);
        assert_int_equal(rig.out.payload_bytes, 8);
        assert_int_equal(rig.out.frames, 3);
        rig_flush(&rig);
        expect_wire(&rig, "text:one binary: text:three");
        rig_close(&rig);
    }
}

static void every_frame_of_a_client_has_a_key_of_its_own(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, true);
    for (unsigned i = 0; i < 600; i++) /* more than a pool of keys */
        send_ok(&rig, WSR_TEXT, "x");
    assert_int_equal(wsr_outbox_fragments(&rig.out, &rig.framer, WSR_TEXT, slice("fragmented"), 1), WSR_OK);
    control_ok(&rig, WSR_PING, "");
    rig_flush(&rig);
    uint32_t *keys = calloc(1000, sizeof *keys);
    assert_non_null(keys);
    unsigned n = 0;
    for (size_t at = 0; at < rig.wire_len; n++) {
        wsr_frame_header header;
        assert_true(wsr_frame_header_decode((wsr_slice){rig.wire + at, rig.wire_len - at}, &header) > 0);
        memcpy(&keys[n], header.masking_key, 4);
        at += header.header_len + (size_t)header.payload_len;
        for (unsigned i = 0; i < n; i++)
            assert_int_not_equal(keys[i], keys[n]);
    }
    assert_int_equal(n, 611);
    free(keys);
    rig_close(&rig);
}

static void fragments_are_one_message(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        size_t fragment_bytes;
        const char *wire;
        unsigned frames;
    } cases[] = {
        {"abcdef", 2, "text:ab continuation:cd continuation:ef", 3},
        {"abcde", 2, "text:ab continuation:cd continuation:e", 3},
        {"ab", 2, "text:ab", 1},
        {"ab", 100, "text:ab", 1},
        {"", 1, "text:", 1},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig rig;
        rig_open(&rig, i % 2 != 0);
        assert_int_equal(wsr_outbox_fragments(&rig.out, &rig.framer, WSR_TEXT, slice(cases[i].text), cases[i].fragment_bytes), WSR_OK);
        assert_int_equal(rig.out.messages, 1);
        assert_int_equal(rig.out.payload_bytes, strlen(cases[i].text));
        assert_int_equal(rig.out.frames, cases[i].frames);
        rig_flush(&rig);
        expect_wire(&rig, cases[i].wire);
        /* FIN on the last only */
        for (size_t at = 0; at < rig.wire_len;) {
            wsr_frame_header header;
            assert_true(wsr_frame_header_decode((wsr_slice){rig.wire + at, rig.wire_len - at}, &header) > 0);
            at += header.header_len + (size_t)header.payload_len;
            assert_int_equal((header.first & WSR_FIN) != 0, at == rig.wire_len);
        }
        rig_close(&rig);
    }
}

/* ---- draining ---- */

static void an_adopted_chunk_is_sent_from_where_it_is(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, false);
    send_ok(&rig, WSR_TEXT, "a");
    struct wsr_chunk *chunk = wsr_pool_get(&rig.pool, 100);
    assert_non_null(chunk);
    memcpy(chunk->data, "handed over", 11);
    chunk->len = 11;
    const uint8_t *payload = chunk->data;
    wsr_outbox_adopt(&rig.out, chunk, WSR_FIN | WSR_BINARY);
    send_ok(&rig, WSR_TEXT, "b"); /* into what room it has left */
    wsr_slice slices[4];
    assert_int_equal(wsr_outbox_drain(&rig.out, &rig.framer, slices, 4), 2);
    assert_ptr_equal(slices[1].ptr + 2, payload);
    assert_int_equal(slices[1].len, 2 + 11 + 2 + 1);
    assert_int_equal(rig.out.messages, 3);
    assert_int_equal(rig.out.payload_bytes, 13);
    assert_int_equal(wsr_outbox_unconfirmed(&rig.out).messages, 3);
    rig_sent(&rig, slices, 2, 3 + 2 + 10); /* all but a byte of it */
    assert_int_equal(wsr_outbox_unconfirmed(&rig.out).messages, 2);
    assert_int_equal(wsr_outbox_unconfirmed(&rig.out).bytes, 12);
    rig_flush(&rig);
    expect_wire(&rig, "text:a binary:handed over text:b");
    rig_close(&rig);
}

/* A frame in a chunk of its own, as proto/prepared.c makes it. */
static struct wsr_chunk *made(struct rig *rig, size_t payload_bytes)
{
    struct wsr_chunk *chunk = wsr_pool_get(&rig->pool, payload_bytes + WSR_FRAME_HEADER_MAX);
    assert_non_null(chunk);
    chunk->len = wsr_frame_header_encode(chunk->data, WSR_FIN | WSR_BINARY, payload_bytes, NULL);
    memset(chunk->data + chunk->len, 'm', payload_bytes);
    chunk->len += payload_bytes;
    return chunk;
}

static int queue_made(struct rig *rig, struct wsr_chunk *chunk, size_t payload_bytes)
{
    return wsr_outbox_made(&rig->out, &rig->pool, chunk, (wsr_slice){chunk->data, chunk->len}, payload_bytes);
}

static void a_small_frame_made_beforehand_is_copied(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, false);
    struct wsr_chunk *chunk = made(&rig, 5);
    send_ok(&rig, WSR_TEXT, "a");
    assert_int_equal(queue_made(&rig, chunk, 5), WSR_OK);
    assert_int_equal(chunk->holders, 1);
    wsr_pool_put(&rig.pool, chunk);
    send_ok(&rig, WSR_TEXT, "b");
    wsr_slice slices[4];
    assert_int_equal(wsr_outbox_drain(&rig.out, &rig.framer, slices, 4), 1); /* with those around it */
    assert_int_equal(rig.out.messages, 3);
    assert_int_equal(rig.out.payload_bytes, 7);
    rig_flush(&rig);
    expect_wire(&rig, "text:a binary:mmmmm text:b");
    rig_close(&rig);
}

/* One frame in two outboxes: taken from each by itself, counted for each in full, gone with the last of them. */
static void a_large_frame_made_beforehand_stands_in_many_outboxes(void **unused)
{
    (void)unused;
    const size_t len = WSR_REFERENCE_BYTES_MIN;
    struct rig rig;
    rig_open(&rig, false);
    struct wsr_outbox other = {.bytes = 0};
    struct wsr_chunk *chunk = made(&rig, len);
    const size_t frame_bytes = chunk->len;
    const uint8_t *frame = chunk->data;
    send_ok(&rig, WSR_TEXT, "a");
    assert_int_equal(queue_made(&rig, chunk, len), WSR_OK);
    send_ok(&rig, WSR_TEXT, "b"); /* behind it, not into it */
    assert_int_equal(wsr_outbox_made(&other, &rig.pool, chunk, (wsr_slice){chunk->data, chunk->len}, len), WSR_OK);
    assert_int_equal(chunk->holders, 3);
    wsr_pool_put(&rig.pool, chunk);
    assert_int_equal(rig.out.bytes, 3 + frame_bytes + 3);
    assert_int_equal(other.bytes, frame_bytes);
    wsr_slice slices[4];
    assert_int_equal(wsr_outbox_drain(&rig.out, &rig.framer, slices, 4), 3); /* a vectored send */
    assert_ptr_equal(slices[1].ptr, frame);
    assert_int_equal(slices[1].len, frame_bytes);
    rig_sent(&rig, slices, 3, 3 + 100);
    struct wsr_outbox_count count = wsr_outbox_unconfirmed(&rig.out);
    assert_int_equal(count.messages, 2);
    assert_int_equal(count.bytes, len + 1);
    wsr_slice others[2];
    assert_int_equal(wsr_outbox_drain(&other, &rig.framer, others, 2), 1); /* all of it, still */
    assert_ptr_equal(others[0].ptr, frame);
    assert_int_equal(others[0].len, frame_bytes);
    rig_flush(&rig);
    assert_int_equal(rig.wire_len, 3 + frame_bytes + 3);
    assert_memory_equal(rig.wire + 3, frame, frame_bytes);
    wsr_outbox_free(&other, &rig.pool);
    rig_close(&rig);
}

/* Dropped like any message; and a Close behind it stays. */
static void a_drop_takes_references(void **unused)
{
    (void)unused;
    const size_t len = WSR_REFERENCE_BYTES_MIN;
    struct rig rig;
    rig_open(&rig, false);
    struct wsr_chunk *chunk = made(&rig, len);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(queue_made(&rig, chunk, len), WSR_OK);
    send_ok(&rig, WSR_CLOSE, "");
    struct wsr_outbox_count count = wsr_outbox_drop(&rig.out, &rig.pool);
    assert_int_equal(count.messages, 3);
    assert_int_equal(count.bytes, 3 * len);
    assert_int_equal(chunk->holders, 1);
    rig_flush(&rig);
    expect_wire(&rig, "close:");
    rig.fail_at = rig.allocations + 1;
    wsr_pool_free(&rig.pool); /* nothing kept: it has to ask */
    assert_int_equal(queue_made(&rig, chunk, len), WSR_ENOMEM);
    assert_int_equal(rig.out.messages, 3);
    wsr_pool_put(&rig.pool, chunk);
    rig_close(&rig);
}

static void slices_stay_the_same_until_they_are_sent(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, false);
    for (unsigned i = 0; i < 5000; i++)
        send_ok(&rig, WSR_BINARY, "0123456789abcdef");
    wsr_slice first[4], again[4];
    unsigned n = wsr_outbox_drain(&rig.out, &rig.framer, first, 3);
    assert_int_equal(n, 3);
    send_ok(&rig, WSR_TEXT, "later");
    control_ok(&rig, WSR_PONG, "later too");
    assert_int_equal(wsr_outbox_drain(&rig.out, &rig.framer, again, 4), 3); /* what flies, no more */
    assert_memory_equal(first, again, 3 * sizeof first[0]);
    assert_int_equal(wsr_outbox_drain(&rig.out, &rig.framer, again, 1), 1);
    assert_memory_equal(first, again, sizeof first[0]);
    /* a part of the first is taken, then the first and a part of the second: what is left is where it was */
    rig_sent(&rig, first, 3, 100);
    assert_int_equal(wsr_outbox_drain(&rig.out, &rig.framer, again, 4), 3);
    assert_ptr_equal(again[0].ptr, first[0].ptr + 100);
    assert_int_equal(again[0].len, first[0].len - 100);
    assert_memory_equal(&first[1], &again[1], 2 * sizeof first[0]);
    rig_sent(&rig, again, 3, again[0].len + 7);
    wsr_slice last[4];
    assert_int_equal(wsr_outbox_drain(&rig.out, &rig.framer, last, 4), 2);
    assert_ptr_equal(last[0].ptr, first[1].ptr + 7);
    assert_memory_equal(&last[1], &first[2], sizeof first[2]);
    assert_int_equal(wsr_outbox_drain(&rig.out, &rig.framer, last, 0), 0);
    rig_flush(&rig);
    assert_int_equal(rig.wire_len, 5000 * 18 + 7 + 11);
    rig_close(&rig);
}

static void nothing_to_send_is_no_slice(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, false);
    wsr_slice slices[2];
    assert_int_equal(wsr_outbox_drain(&rig.out, &rig.framer, slices, 2), 0);
    assert_int_equal(wsr_outbox_raw(&rig.out, &rig.pool, (wsr_slice){NULL, 0}), WSR_OK);
    assert_false(wsr_outbox_pending(&rig.out));
    send_ok(&rig, WSR_TEXT, "x");
    assert_int_equal(wsr_outbox_drain(&rig.out, &rig.framer, slices, 0), 0); /* nothing takes off for nobody */
    assert_false(wsr_outbox_flies(&rig.out));
    wsr_outbox_sent(&rig.out, &rig.pool, 0);
    rig_flush(&rig);
    expect_wire(&rig, "text:x");
    rig_close(&rig);
}

/* ---- the control lane ---- */

static void control_frames_go_before_data(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, true);
    send_ok(&rig, WSR_TEXT, "data");
    control_ok(&rig, WSR_PONG, "a");
    rig_flush(&rig);
    expect_wire(&rig, "pong:a text:data");
    rig_close(&rig);
}

/* malformed.md: "pings in the middle of a message, answered in order". Every pong but the last was dropped. */
static void pongs_are_kept_in_order_while_the_transport_is_free(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, true);
    control_ok(&rig, WSR_PONG, "1");
    control_ok(&rig, WSR_PING, "");
    control_ok(&rig, WSR_PONG, "2");
    control_ok(&rig, WSR_PONG, "3");
    rig_flush(&rig);
    expect_wire(&rig, "pong:1 ping: pong:2 pong:3");
    assert_int_equal(rig.out.frames, 4);
    assert_int_equal(rig.out.messages, 0);
    assert_int_equal(rig.out.bytes, 0);
    rig_close(&rig);
}

/* "at most one pong pending per connection when output is blocked": the newest (RFC 6455 section 5.5.3) */
static void one_pong_waits_while_the_transport_is_busy(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, false);
    send_ok(&rig, WSR_TEXT, "busy");
    wsr_slice slices[4];
    assert_int_equal(wsr_outbox_drain(&rig.out, &rig.framer, slices, 4), 1);
    control_ok(&rig, WSR_PONG, "1");
    control_ok(&rig, WSR_PONG, "2");
    control_ok(&rig, WSR_PING, "p");
    control_ok(&rig, WSR_PONG, "3");
    send_ok(&rig, WSR_TEXT, "more");
    rig_sent(&rig, slices, 1, slices[0].len);
    control_ok(&rig, WSR_PONG, "4"); /* free again: behind the one that waited */
    rig_flush(&rig);
    expect_wire(&rig, "text:busy pong:3 ping:p pong:4 text:more");
    rig_close(&rig);
}

static void a_million_pongs_take_one_chunk(void **unused)
{
    (void)unused;
    static const char payload[] = "0123456789012345678901234567890123456789012345678901234567890123456789"
                                  "0123456789012345678901234567890123456789012345678901234"; /* 125 */
    for (int masks = 0; masks < 2; masks++) {
        struct rig rig;
        rig_open(&rig, masks != 0);
        for (unsigned i = 0; i < 1000000; i++)
            control_ok(&rig, i % 3 == 0 ? WSR_PING : WSR_PONG, payload);
        assert_int_equal(rig.pool.out_bytes, 4096);
        control_ok(&rig, WSR_PONG, "the last");
        rig_flush(&rig);
        assert_true(rig.wire_len <= 4096);
        size_t last = 2 + (masks != 0 ? 4u : 0u) + 8 + 2 + (masks != 0 ? 4u : 0u) + 125; /* pong, ping */
        if (masks == 0)
            expect_wire_from(&rig, rig.wire_len - last, "pong:the last ping:"
                             "0123456789012345678901234567890123456789012345678901234567890123456789"
                             "0123456789012345678901234567890123456789012345678901234");
        rig_close(&rig);
    }
}

/* A handshake's answer was still queued, and the lane waited for it: with the Close behind both, a ping followed the Close. */
static void the_lane_stays_behind_a_handshake_and_before_a_close(void **unused)
{
    (void)unused;
    for (unsigned cap = 1; cap <= 4; cap++) {
        struct rig rig;
        rig_open(&rig, false);
        assert_int_equal(wsr_outbox_raw(&rig.out, &rig.pool, slice("HTTP")), WSR_OK);
        control_ok(&rig, WSR_PING, "p");
        send_ok(&rig, WSR_TEXT, "t");
        send_ok(&rig, WSR_CLOSE, "");
        wsr_slice slices[4];
        unsigned n;
        while ((n = wsr_outbox_drain(&rig.out, &rig.framer, slices, cap)) > 0)
            rig_sent(&rig, slices, n, slices[0].len);
        assert_memory_equal(rig.wire, "HTTP", 4);
        expect_wire_from(&rig, 4, "ping:p text:t close:");
        rig_close(&rig);
    }
}

/* ---- dropping and counting ---- */

static void a_drop_takes_the_queue_and_leaves_what_flies(void **unused)
{
    (void)unused;
    for (int masks = 0; masks < 2; masks++) {
        struct rig rig;
        rig_open(&rig, masks != 0);
        send_ok(&rig, WSR_TEXT, "flies");
        wsr_slice slices[4];
        assert_int_equal(wsr_outbox_drain(&rig.out, &rig.framer, slices, 4), 1);
        rig_sent(&rig, slices, 1, 3);
        send_ok(&rig, WSR_TEXT, "dropped");
        assert_int_equal(wsr_outbox_fragments(&rig.out, &rig.framer, WSR_BINARY, slice("dropped too"), 2), WSR_OK);
        send_ok(&rig, WSR_BINARY, "");
        control_ok(&rig, WSR_PONG, "x");
        struct wsr_outbox_count count = wsr_outbox_drop(&rig.out, &rig.pool);
        assert_int_equal(count.messages, 3);
        assert_int_equal(count.bytes, 7 + 11);
        count = wsr_outbox_drop(&rig.out, &rig.pool); /* not twice */
        assert_int_equal(count.messages, 0);
        send_ok(&rig, WSR_CLOSE, "\x03\xea");
        rig_flush(&rig);
        expect_wire(&rig, "text:flies pong:x close:\x03\xea");
        rig_close(&rig);
    }
}

static void a_drop_leaves_a_queued_close(void **unused)
{
    (void)unused;
    static char large[40000];
    memset(large, 'x', sizeof large - 1);
    for (unsigned i = 0; i < 4; i++) { /* the Close in the same chunk as data, or alone in the last */
        struct rig rig;
        rig_open(&rig, i % 2 != 0);
        if (i >= 2)
            assert_int_equal(wsr_outbox_raw(&rig.out, &rig.pool, slice("HTTP")), WSR_OK);
        send_ok(&rig, WSR_TEXT, i >= 2 ? large : "small");
        send_ok(&rig, WSR_TEXT, "small");
        send_ok(&rig, WSR_CLOSE, "\x03\xe8why");
        struct wsr_outbox_count count = wsr_outbox_drop(&rig.out, &rig.pool);
        assert_int_equal(count.messages, 2);
        assert_int_equal(count.bytes, (i >= 2 ? sizeof large - 1 : 5) + 5);
        assert_int_equal(rig.out.bytes, (i % 2 != 0 ? 6 : 2) + 5 + (i >= 2 ? 4 : 0));
        count = wsr_outbox_drop(&rig.out, &rig.pool);
        assert_int_equal(count.messages, 0);
        rig_flush(&rig);
        if (i >= 2)
            assert_memory_equal(rig.wire, "HTTP", 4);
        expect_wire_from(&rig, i >= 2 ? 4 : 0, "close:\x03\xe8why");
        rig_close(&rig);
    }
}

/* A bad frame in the packet of the handshake had the 101 dropped, and the peer got a Close for an answer. */
static void a_drop_leaves_the_handshake(void **unused)
{
    (void)unused;
    for (int closing = 0; closing < 2; closing++) {
        struct rig rig;
        rig_open(&rig, false);
        assert_int_equal(wsr_outbox_raw(&rig.out, &rig.pool, slice("HTTP")), WSR_OK);
        send_ok(&rig, WSR_TEXT, "dropped");
        if (closing != 0)
            send_ok(&rig, WSR_CLOSE, "");
        assert_int_equal(wsr_outbox_drop(&rig.out, &rig.pool).messages, 1);
        assert_int_equal(rig.out.bytes, 4 + 2 * closing);
        if (closing == 0)
            send_ok(&rig, WSR_CLOSE, "");
        rig_flush(&rig);
        assert_memory_equal(rig.wire, "HTTP", 4);
        expect_wire_from(&rig, 4, "close:");
        rig_close(&rig);
    }
}

/* Unconfirmed: of a message any byte of which the transport has not taken. */
static void what_flies_is_counted_to_the_byte(void **unused)
{
    (void)unused;
    for (int masks = 0; masks < 2; masks++) {
        const size_t head = masks != 0 ? 6 : 2;
        struct rig probe;
        rig_open(&probe, masks != 0);
        control_ok(&probe, WSR_PING, "p");
        send_ok(&probe, WSR_TEXT, "abc");
        send_ok(&probe, WSR_BINARY, "");
        assert_int_equal(wsr_outbox_fragments(&probe.out, &probe.framer, WSR_TEXT, slice("12345"), 2), WSR_OK);
        wsr_slice slices[8];
        unsigned n = wsr_outbox_drain(&probe.out, &probe.framer, slices, 8);
        const size_t total = probe.out.bytes;
        assert_int_equal(total, 7 * head - head + 1 + 3 + 5);
        /* where each message ends: behind the ping (head + 1), then the text, the binary, the fragments */
        const size_t text = 2 * head + 4, binary = text + head;
        const size_t fragments[3] = {binary + head + 2, binary + 2 * head + 4, total};
        for (size_t sent = 0; sent <= total; sent++) {
            struct wsr_outbox_count count = wsr_outbox_unconfirmed(&probe.out);
            assert_int_equal(count.messages, (sent < text) + (sent < binary) + (sent < total));
            size_t bytes = sent < text ? 3 : 0;
            bytes += sent < fragments[0] ? 2 : 0;
            bytes += sent < fragments[1] ? 2 : 0;
            bytes += sent < fragments[2] ? 1 : 0;
            assert_int_equal(count.bytes, bytes);
            if (sent < total) {
                n = wsr_outbox_drain(&probe.out, &probe.framer, slices, 8);
                rig_sent(&probe, slices, n, 1);
            }
        }
        expect_wire(&probe, "ping:p text:abc binary: text:12 continuation:34 continuation:5");
        rig_close(&probe);
    }
}

/* ---- failures ---- */

/* Without a key nothing is queued, and what comes later is not held up. An empty chunk stayed in the queue and stopped it. */
static void without_random_bytes_nothing_is_queued(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, true);
    rig.no_random = true;
    uint8_t text = WSR_FIN | WSR_TEXT;
    assert_int_equal(wsr_outbox_frame(&rig.out, &rig.framer, text, slice("x")), WSR_ERANDOM);
    assert_int_equal(wsr_outbox_fragments(&rig.out, &rig.framer, WSR_TEXT, slice("xy"), 1), WSR_ERANDOM);
    assert_int_equal(wsr_outbox_control(&rig.out, &rig.framer, WSR_PING, slice("x")), WSR_ERANDOM);
    assert_false(wsr_outbox_pending(&rig.out));
    assert_int_equal(rig.out.frames + rig.out.messages + rig.out.bytes, 0);
    rig.no_random = false;
    assert_int_equal(wsr_outbox_fragments(&rig.out, &rig.framer, WSR_TEXT, slice("ab"), 1), WSR_OK);
    send_ok(&rig, WSR_TEXT, "c");
    rig_flush(&rig);
    expect_wire(&rig, "text:a continuation:b text:c");
    rig_close(&rig);
}

/* A control frame that waits cannot be overtaken by what is in the queue (a Close perhaps): all waits for a key. */
static void a_lane_without_a_key_holds_the_queue(void **unused)
{
    (void)unused;
    for (int both = 0; both < 2; both++) {
        struct rig rig;
        rig_open(&rig, true);
        send_ok(&rig, WSR_TEXT, "1");
        wsr_slice slices[2];
        assert_int_equal(wsr_outbox_drain(&rig.out, &rig.framer, slices, 2), 1);
        control_ok(&rig, both != 0 ? WSR_PONG : WSR_PING, "c");
        send_ok(&rig, WSR_CLOSE, "");
        rig_sent(&rig, slices, 1, slices[0].len);
        rig.no_random = true;
        wsr_keypool_wipe(&rig.keys);
        assert_int_equal(wsr_outbox_drain(&rig.out, &rig.framer, slices, 2), 0);
        assert_int_equal(wsr_outbox_control(&rig.out, &rig.framer, WSR_PONG, slice("d")), WSR_ERANDOM);
        assert_true(wsr_outbox_pending(&rig.out));
        rig.no_random = false;
        rig_flush(&rig);
        expect_wire(&rig, both != 0 ? "text:1 pong:c close:" : "text:1 ping:c close:");
        rig_close(&rig);
    }
}

static void without_memory_nothing_is_queued(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, false);
    static const uint8_t text = WSR_FIN | WSR_TEXT;
    rig.fail_at = 1;
    assert_int_equal(wsr_outbox_frame(&rig.out, &rig.framer, text, slice("x")), WSR_ENOMEM);
    rig.fail_at = 2;
    assert_int_equal(wsr_outbox_fragments(&rig.out, &rig.framer, WSR_TEXT, slice("xy"), 1), WSR_ENOMEM);
    rig.fail_at = 3;
    assert_int_equal(wsr_outbox_raw(&rig.out, &rig.pool, slice("x")), WSR_ENOMEM);
    rig.fail_at = 4;
    assert_int_equal(wsr_outbox_control(&rig.out, &rig.framer, WSR_PING, slice("x")), WSR_ENOMEM);
    assert_false(wsr_outbox_pending(&rig.out));
    assert_int_equal(rig.out.frames + rig.out.messages + rig.out.bytes, 0);
    rig_close(&rig);
}

/* ---- a random run against a model ---- */


static uint64_t random_state;

static unsigned next_random(unsigned below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % below;
}

/* What the counts must add up to whenever one looks: accepted = on the wire in whole + unconfirmed + queued or dropped. */
static void run_model(uint64_t seed, bool masks)
{
    struct rig rig;
    rig_open(&rig, masks);
    random_state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    uint64_t dropped = 0;
    static uint8_t payload[70000];
    bool closed = false;
    for (unsigned step = 0; step < 400; step++) {
        size_t len = next_random(4) == 0 ? next_random(sizeof payload) : next_random(300);
        memset(payload, (int)('a' + step % 26), len);
        wsr_slice data = {payload, len};
        wsr_slice slices[8];
        int error = WSR_OK;
        if (next_random(20) == 0)
            rig.fail_at = rig.allocations + 1;
        switch (closed ? 5 + next_random(3) : next_random(masks ? 8 : 9)) {
        case 0:
        case 1:
            error = wsr_outbox_frame(&rig.out, &rig.framer, WSR_FIN | WSR_BINARY, data);
            break;
        case 2:
            error = wsr_outbox_fragments(&rig.out, &rig.framer, WSR_BINARY, data, 1 + next_random(2000));
            break;
        case 3:
        case 4:
            data.len = len % 126;
            error = wsr_outbox_control(&rig.out, &rig.framer, next_random(2) == 0 ? WSR_PING : WSR_PONG, data);
            break;
        case 5:
            if (!closed && next_random(40) == 0) {
                data.len = 0;
                error = wsr_outbox_frame(&rig.out, &rig.framer, WSR_FIN | WSR_CLOSE, data);
                closed = error == WSR_OK;
            } else if (next_random(10) == 0) {
                dropped += wsr_outbox_drop(&rig.out, &rig.pool).messages;
            }
            break;
        case 8: {
            rig.fail_at = 0;
            struct wsr_chunk *chunk = made(&rig, len);
            if (next_random(20) == 0)
                rig.fail_at = rig.allocations + 1;
            for (unsigned n = 1 + next_random(3); n > 0 && error == WSR_OK; n--)
                error = queue_made(&rig, chunk, len);
            wsr_pool_put(&rig.pool, chunk);
            break;
        }
        default: {
            unsigned n = wsr_outbox_drain(&rig.out, &rig.framer, slices, 1 + next_random(8));
            size_t shown = 0;
            for (unsigned i = 0; i < n; i++)
                shown += slices[i].len;
            if (n > 0)
                rig_sent(&rig, slices, n, next_random(3) == 0 ? next_random((unsigned)shown + 1) : shown);
        }
        }
        assert_true(error == WSR_OK || error == WSR_ENOMEM);
    }
    rig.fail_at = 0;
    uint64_t unconfirmed = wsr_outbox_unconfirmed(&rig.out).messages;
    dropped += wsr_outbox_drop(&rig.out, &rig.pool).messages;
    uint64_t whole = 0, frames_after_close = 0;
    bool in_message = false, seen_close = false;
    size_t at = 0;
    for (;;) { /* the wire is whole frames, of which the last may be cut */
        wsr_frame_header header;
        int n = wsr_frame_header_decode((wsr_slice){rig.wire + at, rig.wire_len - at}, &header);
        assert_true(n >= 0);
        if (n == 0 || header.payload_len > rig.wire_len - at - (size_t)n)
            break;
        unsigned frame_class = wsr_frame_class[0][in_message][header.first];
        assert_true(frame_class < WSR_CLASS_RSV); /* a sequence that a receiver accepts */
        if (frame_class != WSR_CLASS_CONTROL)
            in_message = (header.first & WSR_FIN) == 0;
        whole += frame_class == WSR_CLASS_WHOLE || frame_class == WSR_CLASS_LAST;
        frames_after_close += seen_close;
        seen_close = seen_close || (header.first & 15) == WSR_CLOSE;
        at += (size_t)n + (size_t)header.payload_len;
    }
    assert_int_equal(frames_after_close, 0);
    assert_int_equal(whole + unconfirmed + dropped, rig.out.messages);
    rig_close(&rig);
}

static void a_random_run_adds_up(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 300; seed++)
        run_model(seed, seed % 2 == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_leave_in_order),
        cmocka_unit_test(every_frame_of_a_client_has_a_key_of_its_own),
        cmocka_unit_test(fragments_are_one_message),
        cmocka_unit_test(an_adopted_chunk_is_sent_from_where_it_is),
        cmocka_unit_test(a_small_frame_made_beforehand_is_copied),
        cmocka_unit_test(a_large_frame_made_beforehand_stands_in_many_outboxes),
        cmocka_unit_test(a_drop_takes_references),
        cmocka_unit_test(slices_stay_the_same_until_they_are_sent),
        cmocka_unit_test(nothing_to_send_is_no_slice),
        cmocka_unit_test(control_frames_go_before_data),
        cmocka_unit_test(pongs_are_kept_in_order_while_the_transport_is_free),
        cmocka_unit_test(one_pong_waits_while_the_transport_is_busy),
        cmocka_unit_test(a_million_pongs_take_one_chunk),
        cmocka_unit_test(the_lane_stays_behind_a_handshake_and_before_a_close),
        cmocka_unit_test(a_drop_takes_the_queue_and_leaves_what_flies),
        cmocka_unit_test(a_drop_leaves_a_queued_close),
        cmocka_unit_test(a_drop_leaves_the_handshake),
        cmocka_unit_test(what_flies_is_counted_to_the_byte),
        cmocka_unit_test(without_random_bytes_nothing_is_queued),
        cmocka_unit_test(a_lane_without_a_key_holds_the_queue),
        cmocka_unit_test(without_memory_nothing_is_queued),
        cmocka_unit_test(a_random_run_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
