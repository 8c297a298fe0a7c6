/*
 * tests/test_endpoint_memory.c - what an endpoint holds, counted by the allocator: it follows the bytes that came and not those
 * that were announced; floods cost nothing; the steady state allocates nothing; and any allocation may fail at any point.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wsring/frame.h>

#include "lib/talk.h"
#include "proto/endpoint.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static const wsr_endpoint_config plain = WSR_ENDPOINT_CONFIG_INIT;

static wsr_role other(wsr_role role)
{
    return role == WSR_SERVER ? WSR_CLIENT : WSR_SERVER;
}

/* Open, and its peak forgotten: what grows from here on is what the test is about. */
static size_t open_ok(struct talk *talk, wsr_role role, const wsr_endpoint_config *config)
{
    *talk = (struct talk){.role = role, .now_ns = 1};
    assert_int_equal(talk_open(talk, config), WSR_OK);
    assert_true(talk->is_open);
    talk_tick(talk); /* what the handshake's events pointed to goes back */
    talk->seen.len = 0;
    talk->heap.peak_bytes = talk->heap.bytes;
    return talk->heap.bytes;
}

static void free_ok(struct talk *talk)
{
    assert_true(talk_free(talk));
}

static struct vectors_bytes frame_of(wsr_role to, uint8_t first, const void *payload, size_t len)
{
    struct vectors_bytes frame = {NULL, 0, 0};
    talk_frame(&frame, other(to), first, payload, len);
    return frame;
}

/* The header of a frame that announces len bytes. */
static size_t header_of(uint8_t *out, wsr_role to, uint8_t first, uint64_t len)
{
    static const uint8_t key[4] = {1, 2, 3, 4};
    return wsr_frame_header_encode(out, first, len, to == WSR_SERVER ? key : NULL);
}

/* Fails if more than this has been held since `before`; says what it was. */
static void expect_peak(const struct talk *talk, size_t before, size_t bytes_max, const char *what)
{
    size_t peak = talk->heap.peak_bytes - before;
    print_message("%s: %zu bytes at most\n", what, peak);
    assert_true(peak <= bytes_max);
}

/* ---- growth ---- */

static void an_announced_length_costs_nothing(void **unused)
{
    (void)unused;
    static const uint64_t lengths[] = {16 * MIB, UINT64_C(1) << 40, (UINT64_C(1) << 63) - 1};
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        for (unsigned i = 0; i < 3; i++) {
            for (uint8_t opcode = 1; opcode <= 2; opcode++) {
                for (int fin = 0; fin < 2; fin++) {
                    struct talk talk;
                    uint8_t head[WSR_FRAME_HEADER_MAX];
                    size_t before = open_ok(&talk, (wsr_role)role, &plain);
                    size_t n = header_of(head, talk.role, (uint8_t)(opcode | fin << 7), lengths[i]);
                    talk_feed(&talk, head, n);
                    talk_feed(&talk, (const uint8_t *)"0123456789", 10);
                    assert_true(talk.heap.peak_bytes - before <= 8 * KIB);
                    talk_eof(&talk, 0);
                    assert_int_equal(talk.record.code_sent, i == 0 ? 0 : 1009);
                    free_ok(&talk);
                }
            }
        }
    }
}

/* A frame of 16 MiB, of which ever more comes: never more than a few times that is held, and at the end not much over it. */
static void memory_follows_the_bytes_that_came(void **unused)
{
    (void)unused;
    static const size_t pieces[] = {1000, 16 * KIB, 64 * KIB, MIB};
    const size_t len = 16 * MIB;
    uint8_t *data = calloc(1, len);
    assert_non_null(data);
    for (unsigned i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct talk talk;
        uint8_t head[WSR_FRAME_HEADER_MAX];
        size_t before = open_ok(&talk, WSR_CLIENT, &plain);
        talk_feed(&talk, head, header_of(head, WSR_CLIENT, 0x82, len));
        for (size_t at = 0; at < len; at += pieces[i]) {
            size_t take = len - at < pieces[i] ? len - at : pieces[i];
            talk_feed(&talk, data + at, take);
            /* four times as much as came, and a power of two over that */
            assert_true(talk.heap.bytes - before <= 8 * (at + take) + 4 * KIB);
        }
        assert_true(strncmp(vectors_string(&talk.seen), "binary (16777216 bytes", 22) == 0);
        expect_peak(&talk, before, 2 * len + MIB, "a message of 16 MiB");
        talk_tick(&talk);
        assert_true(talk.heap.bytes - before <= 128 * KIB); /* and it does not stay */
        free_ok(&talk);
    }
    free(data);
}

/* The work is in proportion too: beyond the pool's largest class every fragment was a copy of all that stood before it. */
static void many_fragments_of_a_large_message_are_copied_few_times(void **unused)
{
    (void)unused;
    wsr_endpoint_config config = plain;
    config.limits.message_bytes_max = 128 * MIB;
    struct talk talk;
    open_ok(&talk, WSR_CLIENT, &config);
    static uint8_t data[32 * KIB];
    struct vectors_bytes frame = frame_of(WSR_CLIENT, 0x02, data, sizeof data);
    for (unsigned i = 0; i < 128 * MIB / sizeof data; i++) {
        frame.ptr[0] = (uint8_t)((i == 0 ? 2 : 0) | (i == 128 * MIB / sizeof data - 1 ? 0x80 : 0));
        talk_feed(&talk, frame.ptr, frame.len);
    }
    assert_true(strncmp(vectors_string(&talk.seen), "binary (134217728 bytes", 23) == 0);
    assert_true(talk.heap.calls < 60);
    vectors_bytes_free(&frame);
    free_ok(&talk);
}

/* ---- floods ---- */

/* Feeds the same frames `times` times, and looks at nothing but how many events there were. */
static unsigned long flood(struct talk *talk, const struct vectors_bytes *frames, unsigned times)
{
    static wsr_event ev[256];
    static uint8_t copy[MIB];
    unsigned long events = 0;
    assert_true(frames->len <= sizeof copy);
    for (unsigned i = 0; i < times; i++) {
        memcpy(copy, frames->ptr, frames->len);
        for (size_t done = 0, consumed; done < frames->len; done += consumed) {
            unsigned n;
            assert_int_equal(wsr_endpoint_feed(talk->ep, 1, (wsr_span){copy + done, frames->len - done}, ev, 256, &n, &consumed), WSR_OK);
            assert_true(consumed > 0);
            events += n;
            if (!talk->blocked)
                (void)talk_flush(talk);
            talk->sent.len = 0;
        }
    }
    return events;
}

static void a_million_pings_cost_nothing(void **unused)
{
    (void)unused;
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        for (int blocked = 0; blocked < 2; blocked++) {
            wsr_endpoint_config config = plain;
            config.limits.control_frames_max = 2000000;
            struct talk talk;
            size_t before = open_ok(&talk, (wsr_role)role, &config);
            uint8_t payload[125] = {'p'};
            struct vectors_bytes many = {NULL, 0, 0};
            for (unsigned i = 0; i < 1000; i++)
                talk_frame(&many, other(talk.role), 0x89, payload, i % 126);
            talk.blocked = blocked != 0;
            assert_int_equal(flood(&talk, &many, 1000), 1000000);
            expect_peak(&talk, before, 128 * KIB, blocked != 0 ? "a million pings, output blocked" : "a million pings");
            vectors_bytes_free(&many);
            free_ok(&talk);
        }
    }
}

static void a_million_empty_fragments_cost_nothing(void **unused)
{
    (void)unused;
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        for (int allowed = 0; allowed < 2; allowed++) {
            wsr_endpoint_config config = plain;
            config.limits.empty_fragments_max = allowed != 0 ? 2000000 : 0;
            struct talk talk;
            size_t before = open_ok(&talk, (wsr_role)role, &config);
            struct vectors_bytes start = frame_of(talk.role, 0x01, "", 0), many = {NULL, 0, 0};
            for (unsigned i = 0; i < 1000; i++)
                talk_frame(&many, other(talk.role), 0x00, "", 0);
            talk_feed(&talk, start.ptr, start.len);
            assert_int_equal(flood(&talk, &many, 1000), 0);
            expect_peak(&talk, before, 64 * KIB, allowed != 0 ? "a million empty fragments" : "1,025 empty fragments, and 1008");
            talk_eof(&talk, 0);
            assert_int_equal(talk.record.cause, allowed != 0 ? WSR_ETRUNCATED : WSR_EFLOOD);
            vectors_bytes_free(&start);
            vectors_bytes_free(&many);
            free_ok(&talk);
        }
    }
}

/* Messages of one byte in fragments, thousands to a buffer: the batch ends before the memory does. It met the pool's limit. */
static void a_buffer_full_of_small_assembled_messages_is_no_flood(void **unused)
{
    (void)unused;
    wsr_endpoint_config config = plain;
    config.limits.message_bytes_max = config.limits.outbox_bytes_max = KIB;
    struct talk talk;
    size_t before = open_ok(&talk, WSR_SERVER, &config);
    struct vectors_bytes many = {NULL, 0, 0};
    const unsigned messages = 40000;
    for (unsigned i = 0; i < messages; i++) {
        talk_frame(&many, WSR_CLIENT, 0x01, "a", 1);
        talk_frame(&many, WSR_CLIENT, 0x80, "b", 1);
    }
    wsr_event *ev = calloc(messages, sizeof *ev);
    assert_non_null(ev);
    unsigned total = 0, calls = 0;
    for (size_t done = 0, consumed; done < many.len; done += consumed, calls++) {
        unsigned n;
        assert_int_equal(wsr_endpoint_feed(talk.ep, 1, (wsr_span){many.ptr + done, many.len - done}, ev, messages, &n, &consumed), WSR_OK);
        assert_true(consumed > 0);
        for (unsigned i = 0; i < n; i++)
            assert_memory_equal(ev[i].data.ptr, "ab", 2);
        total += n;
    }
    assert_int_equal(total, messages);
    assert_true(calls > 1);
    expect_peak(&talk, before, MIB + 64 * KIB, "40,000 messages of two fragments in one buffer");
    free(ev);
    vectors_bytes_free(&many);
    free_ok(&talk);
}

/* The outbox's limit is on what it holds, with a chunk's rounding. */
static void a_full_outbox_is_bounded(void **unused)
{
    (void)unused;
    static uint8_t data[100];
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        wsr_endpoint_config config = plain;
        config.limits.outbox_bytes_max = MIB;
        struct talk talk;
        size_t before = open_ok(&talk, (wsr_role)role, &config);
        unsigned sent = 0;
        while (wsr_endpoint_send(talk.ep, WSR_BINARY, (wsr_slice){data, sizeof data}) == WSR_OK)
            sent++;
        assert_int_equal(sent, MIB / (sizeof data + (role == WSR_SERVER ? 2 : 6)));
        assert_true(talk.heap.peak_bytes - before <= MIB + 64 * KIB);
        for (unsigned i = 0; i < 100000; i++) /* empty ones take headers, and so are bounded as well */
            sent += wsr_endpoint_send(talk.ep, WSR_BINARY, (wsr_slice){NULL, 0}) == WSR_OK;
        assert_true(talk.heap.peak_bytes - before <= MIB + 64 * KIB);
        (void)talk_flush(&talk);
        talk_tick(&talk);
        assert_true(talk.heap.bytes - before <= 64 * KIB);
        free_ok(&talk);
    }
}

/* ---- the steady state ---- */

static void a_message_costs_no_allocation_in_the_steady_state(void **unused)
{
    (void)unused;
    static uint8_t data[5000];
    memset(data, 'x', sizeof data);
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        struct talk talk;
        open_ok(&talk, (wsr_role)role, &plain);
        struct vectors_bytes in = {NULL, 0, 0};
        talk_frame(&in, other(talk.role), 0x81, data, 300);
        talk_frame(&in, other(talk.role), 0x01, data, 1000);
        talk_frame(&in, other(talk.role), 0x89, data, 100);
        talk_frame(&in, other(talk.role), 0x80, data, 4000);
        unsigned long calls = 0;
        for (unsigned round = 0; round < 200; round++) {
            if (round == 10)
                calls = talk.heap.calls;
            talk_feed_pieces(&talk, in.ptr, in.len, 700);
            assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, (wsr_slice){data, 4500}), WSR_OK);
            assert_int_equal(wsr_endpoint_send_fragmented(talk.ep, WSR_TEXT, (wsr_slice){data, 5000}, 999), WSR_OK);
            (void)talk_flush(&talk);
        }
        assert_int_equal(talk.heap.calls, calls);
        vectors_bytes_free(&in);
        free_ok(&talk);
    }
}

/* ---- any allocation may fail ---- */

static void input(struct talk *talk, uint8_t first, const char *payload, size_t piece)
{
    struct vectors_bytes frame = frame_of(talk->role, first, payload, strlen(payload));
    if (talk->ep != NULL)
        talk_feed_pieces(talk, frame.ptr, frame.len, piece);
    vectors_bytes_free(&frame);
}

static char large[40000];

/* Sends, and says whether it was accepted; there are three errors it may give. */
static unsigned try_send(struct talk *talk, wsr_opcode opcode, size_t len)
{
    int error = wsr_endpoint_send(talk->ep, opcode, (wsr_slice){(const uint8_t *)large, len});
    assert_true(error == WSR_OK || error == WSR_ENOMEM || error == WSR_ESTATE || error == WSR_EFULL);
    return error == WSR_OK && (opcode == WSR_TEXT || opcode == WSR_BINARY);
}

typedef unsigned scenario(struct talk *talk); /* returns how many messages were accepted */

static unsigned scenario_handshake(struct talk *talk)
{
    (void)talk;
    return 0;
}

static unsigned scenario_echo(struct talk *talk)
{
    unsigned sent = 0;
    for (unsigned i = 0; i < 3; i++) {
        input(talk, 0x81, "small", SIZE_MAX);
        sent += try_send(talk, WSR_TEXT, 5);
        input(talk, 0x82, large, SIZE_MAX);
        sent += try_send(talk, WSR_BINARY, sizeof large - 1);
        (void)talk_flush(talk);
    }
    return sent;
}

static unsigned scenario_pieces(struct talk *talk)
{
    input(talk, 0x82, large, 1000);
    input(talk, 0x01, large, 5000);
    input(talk, 0x89, "ping in the middle", 3);
    input(talk, 0x00, large, 7000);
    input(talk, 0x80, large, 900);
    input(talk, 0x8a, "pong", 1);
    return 0;
}

static unsigned scenario_local_close(struct talk *talk)
{
    unsigned sent = try_send(talk, WSR_TEXT, 100);
    sent += try_send(talk, WSR_PING, 100);
    int error = wsr_endpoint_close(talk->ep, talk->now_ns, 1000, (wsr_slice){(const uint8_t *)"bye", 3});
    assert_true(error == WSR_OK || error == WSR_ENOMEM || error == WSR_ESTATE);
    (void)talk_flush(talk);
    input(talk, 0x81, "late", 2);
    input(talk, 0x88, "\x03\xe8" "bye", 2);
    return sent;
}

static unsigned scenario_peer_close(struct talk *talk)
{
    unsigned sent = try_send(talk, WSR_TEXT, 100);
    input(talk, 0x88, "\x03\xe9" "going", 3);
    input(talk, 0x81, "ignored", 3);
    return sent;
}

static unsigned scenario_failure(struct talk *talk)
{
    talk->blocked = true;
    unsigned sent = try_send(talk, WSR_TEXT, 100);
    wsr_slice out[2];
    (void)wsr_endpoint_drain(talk->ep, out, 2);
    for (unsigned i = 0; i < 20; i++)
        sent += try_send(talk, WSR_BINARY, 5000);
    sent += try_send(talk, WSR_PING, 5);
    input(talk, 0x89, "p", SIZE_MAX);
    input(talk, 0x81, "\xff", SIZE_MAX);
    talk->blocked = false;
    (void)talk_flush(talk);
    return sent;
}

static unsigned scenario_idle(struct talk *talk)
{
    unsigned sent = 0;
    for (unsigned i = 0; i < 12 && !talk->is_closed; i++) {
        talk->now_ns += 15 * TALK_SECOND_NS;
        talk_tick(talk);
        sent += try_send(talk, WSR_TEXT, 10);
    }
    return sent;
}

static const struct {
    const char *name;
    scenario *run;
} scenarios[] = {
    {"handshake", scenario_handshake}, {"echo", scenario_echo},       {"pieces", scenario_pieces}, {"local close", scenario_local_close},
    {"peer close", scenario_peer_close}, {"failure", scenario_failure}, {"idle", scenario_idle},
};

/* Runs a scenario, and to its end. False if it never came to fail. */
static bool run_failing(unsigned which, wsr_role role, unsigned long at, bool and_all_after)
{
    wsr_endpoint_config config = plain;
    config.limits.ping_interval_ns = 20 * TALK_SECOND_NS;
    struct talk talk = {.role = role, .now_ns = 1, .cap = 2};
    if (and_all_after)
        talk.heap.fail_from = at;
    else
        talk.heap.fail_at = at;
    int error = talk_open(&talk, &config);
    if (error != WSR_OK) {
        assert_int_equal(error, WSR_ENOMEM);
        free_ok(&talk);
        return true;
    }
    unsigned sent = talk.is_open ? scenarios[which].run(&talk) : 0;
    (void)talk_flush(&talk);
    if (talk.ep != NULL)
        talk_eof(&talk, 0);
    bool failed = talk.heap.calls >= at;
    if (!talk.is_closed) /* its record finds no memory: it is said that an event waits */
        assert_int_equal(wsr_endpoint_deadline(talk.ep), 0);
    talk.heap.fail_from = 0; /* memory is back */
    talk_tick(&talk);
    assert_true(talk.is_closed);
    const wsr_close_record *r = &talk.record;
    assert_int_equal(r->messages_out, sent);
    assert_true(r->messages_undelivered + r->messages_unconfirmed <= sent);
    if (r->code_sent == 1011) /* what was told to the peer is told to the application */
        assert_int_equal(r->cause, WSR_ENOMEM);
    if (!talk.is_open)
        assert_true(r->cause == WSR_ENOMEM || r->cause == WSR_ETRUNCATED || r->cause == WSR_EHANDSHAKE);
    free_ok(&talk);
    return failed;
}

static void every_allocation_may_fail(void **unused)
{
    (void)unused;
    unsigned long points = 0;
    memset(large, 'a', sizeof large - 1);
    for (unsigned which = 0; which < sizeof scenarios / sizeof scenarios[0]; which++) {
        for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
            for (int all = 0; all < 2; all++) {
                unsigned long at = 1;
                while (run_failing(which, (wsr_role)role, at, all != 0))
                    at++;
                assert_true(at > 4);
                points += at - 1;
            }
        }
    }
    print_message("%lu points of failure\n", points);
}

/* A failure for want of memory is said to the peer, and to the application; without memory for the record it was lost. */
static void the_cause_survives_a_lasting_lack_of_memory(void **unused)
{
    (void)unused;
    struct talk talk;
    open_ok(&talk, WSR_SERVER, &plain);
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, (wsr_slice){(const uint8_t *)"queued", 6}), WSR_OK);
    talk.heap.fail_from = talk.heap.calls + 1;
    talk.blocked = true;
    memset(large, 'a', sizeof large - 1);
    struct vectors_bytes frame = frame_of(WSR_SERVER, 0x82, large, sizeof large);
    talk_feed(&talk, frame.ptr, frame.len - 1);
    talk_feed(&talk, frame.ptr + frame.len - 1, 1);
    vectors_bytes_free(&frame);
    talk_eof(&talk, ECONNRESET);
    talk.heap.fail_from = 0;
    talk_tick(&talk);
    assert_true(talk.is_closed);
    assert_int_equal(talk.record.cause, WSR_ENOMEM);
    assert_int_equal(talk.record.messages_out, 1);
    assert_int_equal(talk.record.messages_undelivered, 1);
    assert_int_equal(talk.record.bytes_undelivered, 6);
    free_ok(&talk);
}

/* A close that finds no memory has not happened: it may be called again, and data still flows. */
static void a_close_without_memory_changes_nothing(void **unused)
{
    (void)unused;
    struct talk talk;
    open_ok(&talk, WSR_SERVER, &plain);
    for (unsigned long nth = 1; nth <= 8; nth++) {
        talk.heap.fail_at = talk.heap.calls + nth;
        int error = wsr_endpoint_close(talk.ep, talk.now_ns, 4000, (wsr_slice){(const uint8_t *)"why", 3});
        if (error == WSR_OK)
            break;
        assert_int_equal(error, WSR_ENOMEM);
        assert_int_equal(wsr_endpoint_outbox_bytes(talk.ep), 0);
        struct vectors_bytes frame = frame_of(WSR_SERVER, 0x81, "still open", 10);
        talk.heap.fail_at = 0;
        talk_feed(&talk, frame.ptr, frame.len);
        vectors_bytes_free(&frame);
        assert_string_equal(vectors_string(&talk.seen), "text still open\n");
        talk.seen.len = 0;
        assert_true(nth < 4);
    }
    (void)talk_flush(&talk);
    talk_eof(&talk, 0);
    assert_int_equal(talk.record.code_sent, 4000);
    assert_string_equal(talk.record.reason, "why");
    free_ok(&talk);
}

/* A control frame in pieces takes a chunk, if it can be had; unfinished, it goes back with the endpoint. */
static void a_control_frame_in_pieces_takes_memory_of_its_own(void **unused)
{
    (void)unused;
    for (int fails = 0; fails < 2; fails++) {
        struct talk talk;
        open_ok(&talk, WSR_SERVER, &plain);
        wsr_pool_free(&talk.ep->env->pool); /* none is kept */
        talk.heap.fail_at = fails != 0 ? talk.heap.calls + 1 : 0;
        struct vectors_bytes frame = frame_of(WSR_SERVER, 0x89, "payload", 7);
        talk_feed(&talk, frame.ptr, frame.len - 1);
        vectors_bytes_free(&frame);
        talk_eof(&talk, 0);
        assert_int_equal(talk.record.cause, fails != 0 ? WSR_ENOMEM : WSR_ETRUNCATED);
        assert_int_equal(talk.record.code_sent, fails != 0 ? 1011 : 0);
        free_ok(&talk);
    }
}

/* What is begun is kept while it is, wherever it was cut, and between messages nothing is; without memory to keep it the peer is told. */
static void what_is_begun_takes_memory_while_it_is(void **unused)
{
    (void)unused;
    struct vectors_bytes frame = frame_of(WSR_SERVER, 0x81, "payload", 7);
    for (size_t cut = 1; cut < frame.len; cut++) {
        for (int fails = 0; fails < 2; fails++) {
            struct talk talk;
            open_ok(&talk, WSR_SERVER, &plain);
            struct wsr_pool *pool = &talk.ep->env->pool;
            wsr_pool_free(pool); /* none is kept */
            const size_t before = talk.heap.bytes;
            talk.heap.fail_at = fails != 0 ? talk.heap.calls + 1 : 0;
            talk_feed(&talk, frame.ptr, cut);
            if (fails != 0) {
                talk_eof(&talk, 0);
                assert_int_equal(talk.record.cause, WSR_ENOMEM);
                assert_int_equal(talk.record.code_sent, 1011);
            } else {
                assert_true(talk.heap.bytes > before && talk.heap.bytes <= before + 512 + 256);
                talk_feed(&talk, frame.ptr + cut, frame.len - cut);
                assert_string_equal(vectors_string(&talk.seen), "text payload\n");
                talk_tick(&talk); /* what the event pointed to goes back */
                wsr_pool_free(pool);
                assert_int_equal(talk.heap.bytes, before);
            }
            free_ok(&talk);
        }
    }
    vectors_bytes_free(&frame);
}

/* The peer's Close finds no memory for its answer: it is known all the same, and so is why it was not answered. */
static void a_close_that_cannot_be_answered_says_so(void **unused)
{
    (void)unused;
    struct talk talk;
    open_ok(&talk, WSR_SERVER, &plain);
    wsr_pool_free(&talk.ep->env->pool);
    talk.heap.fail_from = talk.heap.calls + 1;
    struct vectors_bytes frame = frame_of(WSR_SERVER, 0x88, "\x03\xe9", 2);
    talk_feed(&talk, frame.ptr, frame.len);
    vectors_bytes_free(&frame);
    talk.heap.fail_from = 0;
    talk_tick(&talk);
    assert_true(talk.is_closed);
    assert_int_equal(talk.record.cause, WSR_ENOMEM);
    assert_int_equal(talk.record.code, 1001);
    assert_int_equal(talk.record.code_received, 1001);
    assert_int_equal(talk.record.code_sent, 0);
    assert_int_equal(talk.record.by, WSR_BY_PEER);
    assert_false(talk.record.clean);
    free_ok(&talk);
}

/* Who aborted is not known without memory for it, but that somebody did is. */
static void an_abort_without_memory_is_one(void **unused)
{
    (void)unused;
    struct talk talk;
    open_ok(&talk, WSR_SERVER, &plain);
    wsr_pool_free(&talk.ep->env->pool);
    talk.heap.fail_at = talk.heap.calls + 1;
    wsr_endpoint_abort(talk.ep, talk.now_ns, "app.c", 7);
    talk_tick(&talk);
    assert_true(talk.is_closed);
    assert_int_equal(talk.record.cause, WSR_EABORTED);
    assert_null(talk.record.local_file);
    free_ok(&talk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_announced_length_costs_nothing),
        cmocka_unit_test(memory_follows_the_bytes_that_came),
        cmocka_unit_test(many_fragments_of_a_large_message_are_copied_few_times),
        cmocka_unit_test(a_million_pings_cost_nothing),
        cmocka_unit_test(a_million_empty_fragments_cost_nothing),
        cmocka_unit_test(a_buffer_full_of_small_assembled_messages_is_no_flood),
        cmocka_unit_test(a_full_outbox_is_bounded),
        cmocka_unit_test(a_message_costs_no_allocation_in_the_steady_state),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_cause_survives_a_lasting_lack_of_memory),
        cmocka_unit_test(a_close_without_memory_changes_nothing),
        cmocka_unit_test(a_control_frame_in_pieces_takes_memory_of_its_own),
        cmocka_unit_test(what_is_begun_takes_memory_while_it_is),
        cmocka_unit_test(a_close_that_cannot_be_answered_says_so),
        cmocka_unit_test(an_abort_without_memory_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
