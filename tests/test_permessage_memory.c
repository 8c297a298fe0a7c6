/*
 * tests/test_permessage_memory.c - what compressed messages may cost an endpoint: bombs and other floods are cut at the limit, what is
 * streamed is never whole, connections share what they can, the steady state allocates nothing, and any allocation may fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/resource.h>

#include <wsring/frame.h>

#include "conn/engine.h"
#include "lib/pm.h"
#include "proto/permessage.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define RSV1_TEXT 0xC1
#define RSV1_BINARY 0xC2

/* ---- a bomb: first of all, for it looks at the most memory that this process ever had ---- */

/* Does the memory that the process uses say what was asked for? Not with a sanitizer's quarantine and red zones. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RESIDENT_MEANS_SOMETHING 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RESIDENT_MEANS_SOMETHING 0
#endif
#endif
#ifndef RESIDENT_MEANS_SOMETHING
#define RESIDENT_MEANS_SOMETHING 1
#endif

static size_t resident_peak(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (size_t)usage.ru_maxrss * KIB;
}

/* 1 GiB of zeros in 1 MiB: the message is cut at the limit, and no more than the limit was ever there. */
static void a_bomb_is_cut_at_the_limit(void **unused)
{
    (void)unused;
    struct vectors_bytes bomb = {NULL, 0, 0}, frame = {NULL, 0, 0};
    deflated_bomb(&bomb, 1024);
    assert_in_range(bomb.len, MIB, 2 * MIB);
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        for (size_t piece = 0; piece < 4; piece++) {
            static const size_t pieces[] = {SIZE_MAX, 64 * KIB, 1000, 1};
            struct talk talk;
            frame.len = 0;
            talk_frame(&frame, pm_other((wsr_role)role), piece % 2 == 0 ? RSV1_TEXT : RSV1_BINARY, bomb.ptr, bomb.len);
            pm_open_ok(&talk, (wsr_role)role, piece % 2 == 0);
            uint8_t *copy = malloc(frame.len); /* as talk_feed does, so that its copy is not counted */
            assert_non_null(copy);
            memcpy(copy, frame.ptr, frame.len);
            size_t heap_before = talk.heap.bytes, resident_before = resident_peak();
            talk.heap.peak_bytes = talk.heap.bytes;
            free(copy);
            for (size_t at = 0; at < frame.len && wsr_endpoint_deadline(talk.ep) > 10 * TALK_SECOND_NS; at += pieces[piece])
                talk_feed(&talk, frame.ptr + at, frame.len - at < pieces[piece] ? frame.len - at : pieces[piece]);
            /* The chunk that holds the 16 MiB is the pool's next power of two, of which the rest is never touched. */
            assert_in_range(talk.heap.peak_bytes - heap_before, 16 * MIB, 32 * MIB + 512 * KIB);
            if (RESIDENT_MEANS_SOMETHING)
                assert_true(resident_peak() - resident_before < 17 * MIB);
            assert_string_equal(talk.seen.len > 0 ? vectors_string(&talk.seen) : "", "");
            pm_expect_failed(&talk, WSR_EMESSAGE_SIZE, 1009);
            pm_free_ok(&talk);
        }
    }
    vectors_bytes_free(&bomb);
    vectors_bytes_free(&frame);
}

/* ---- limits ---- */

/* A message of exactly the limit is delivered, one byte more is not: of each kind of content, whole, in fragments, at any split. */
static void the_limit_is_of_what_comes_out(void **unused)
{
    (void)unused;
    enum { LIMIT = 5000 };
    static const size_t pieces[] = {SIZE_MAX, 1, 7, 100};
    uint8_t p[LIMIT + 1];
    for (unsigned i = 0; i < 4 * 3 * 2 * 2 * 2; i++) {
        wsr_role role = (wsr_role)(i & 1);
        size_t len = (i & 2) != 0 ? LIMIT + 1 : LIMIT, piece = pieces[i / 8 % 4];
        bool fragments = (i & 4) != 0;
        struct vectors_bytes input = {NULL, 0, 0}, line = {NULL, 0, 0};
        wsr_endpoint_config config = pm_config_of(true);
        struct deflated *deflated = deflated_open((int)(pm_next_random() % 10), 15);
        struct talk talk;
        if (i / 32 == 0)
            memset(p, 'x', sizeof p);
        else if (i / 32 == 1)
            pm_fill_words(p, sizeof p);
        else
            pm_fill_noise(p, sizeof p);
        pm_put_message(&input, deflated, pm_other(role), WSR_BINARY, p, len, fragments ? 1000 : len);
        pm_put_line(&line, "binary", p, len);
        config.limits.message_bytes_max = LIMIT;
        pm_open_with(&talk, role, &config);
        talk_feed_pieces(&talk, input.ptr, input.len, piece < input.len ? piece : input.len);
        pm_expect_seen(&talk, len == LIMIT ? vectors_string(&line) : "");
        if (len > LIMIT)
            pm_expect_failed(&talk, WSR_EMESSAGE_SIZE, 1009);
        pm_free_ok(&talk);
        deflated_close(deflated);
        vectors_bytes_free(&input);
        vectors_bytes_free(&line);
    }
}

/* Blocks that hold nothing cannot go on for ever: twice the limit and 1 KiB is as much as any message may take on the wire. */
static void a_message_of_nothing_has_an_end(void **unused)
{
    (void)unused;
    static const uint8_t nothing[5] = {0, 0, 0, 0xFF, 0xFF};
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        wsr_endpoint_config config = pm_config_of(true);
        config.limits.message_bytes_max = 10003;
        const size_t most = 2 * 10003 + 1024;
        for (size_t over = 0; over < 2; over++) {
            struct vectors_bytes payload = {NULL, 0, 0};
            struct talk talk;
            while (payload.len < most)
                vectors_append(&payload, nothing, 5);
            assert_int_equal(payload.len, most);
            pm_open_with(&talk, (wsr_role)role, &config);
            pm_feed_frame(&talk, 0x42, payload.ptr, 100);
            for (size_t at = 100; at < most; at += 997)
                pm_feed_frame(&talk, 0x00, payload.ptr + at, most - at < 997 ? most - at : 997);
            pm_expect_seen(&talk, "");
            uint8_t head[WSR_FRAME_HEADER_MAX];
            static const uint8_t key[4] = {0, 0, 0, 0};
            unsigned n = wsr_frame_header_encode(head, 0x80, over, role == WSR_SERVER ? key : NULL);
            talk_feed(&talk, head, n);
            pm_expect_seen(&talk, over != 0 ? "" : "binary\n");
            if (over != 0)
                pm_expect_failed(&talk, WSR_EMESSAGE_SIZE, 1009);
            pm_free_ok(&talk);
            vectors_bytes_free(&payload);
        }
        /* and a frame is not waited for that announces more */
        static const uint64_t lengths[] = {2 * 10003 + 1025, UINT64_C(1) << 40, (UINT64_C(1) << 63) - 1};
        for (unsigned i = 0; i < 3; i++) {
            struct talk talk;
            uint8_t head[WSR_FRAME_HEADER_MAX];
            static const uint8_t key[4] = {1, 2, 3, 4};
            pm_open_with(&talk, (wsr_role)role, &config);
            size_t before = talk.heap.calls;
            talk_feed(&talk, head, wsr_frame_header_encode(head, RSV1_BINARY, lengths[i], role == WSR_SERVER ? key : NULL));
            assert_true(talk.heap.calls <= before + 2);
            pm_expect_failed(&talk, WSR_EMESSAGE_SIZE, 1009);
            pm_free_ok(&talk);
        }
    }
}

/* Bombs just below the limit, many to a buffer: a batch ends before they fill memory. */
static void many_bombs_in_a_buffer_are_delivered_one_by_one(void **unused)
{
    (void)unused;
    struct vectors_bytes bomb = {NULL, 0, 0}, many = {NULL, 0, 0};
    struct talk talk;
    deflated_bomb(&bomb, 16);
    for (unsigned i = 0; i < 10; i++)
        talk_frame(&many, WSR_CLIENT, RSV1_BINARY, bomb.ptr, bomb.len);
    pm_open_ok(&talk, WSR_SERVER, false);
    size_t before = talk.heap.bytes;
    talk.heap.peak_bytes = before;
    wsr_event ev[64];
    unsigned total = 0;
    for (size_t done = 0, consumed; done < many.len; done += consumed) {
        unsigned n;
        assert_int_equal(wsr_endpoint_feed(talk.ep, 1, (wsr_span){many.ptr + done, many.len - done}, ev, 64, &n, &consumed), WSR_OK);
        assert_int_equal(n, 1);
        assert_int_equal(ev[0].data.len, 16 * MIB);
        assert_int_equal(ev[0].flags, WSR_EVENT_DEFLATED);
        total += n;
    }
    assert_int_equal(total, 10);
    assert_true(talk.heap.peak_bytes - before < 33 * MIB);
    vectors_bytes_free(&bomb);
    vectors_bytes_free(&many);
    pm_free_ok(&talk);
}

/* ---- chunks ---- */

/* A GiB in chunks: no more than about a MiB of it is there at a time. */
static void a_streamed_message_needs_no_memory(void **unused)
{
    (void)unused;
    struct vectors_bytes bomb = {NULL, 0, 0}, frame = {NULL, 0, 0};
    wsr_endpoint_config config = pm_config_of(false);
    struct talk talk;
    config.limits.message_bytes_max = UINT64_C(1) << 30;
    config.limits.whole_bytes_max = 100 * KIB;
    deflated_bomb(&bomb, 1024);
    talk_frame(&frame, WSR_CLIENT, RSV1_BINARY, bomb.ptr, bomb.len);
    pm_open_with(&talk, WSR_SERVER, &config);
    size_t before = talk.heap.bytes, bytes = 0;
    talk.heap.peak_bytes = before;
    unsigned firsts = 0, lasts = 0;
    for (size_t done = 0, consumed; done < frame.len; done += consumed) {
        wsr_event ev[4];
        unsigned n;
        assert_int_equal(wsr_endpoint_feed(talk.ep, 1, (wsr_span){frame.ptr + done, frame.len - done}, ev, 4, &n, &consumed), WSR_OK);
        assert_true(consumed > 0);
        for (unsigned i = 0; i < n; i++) {
            assert_int_equal(ev[i].type, WSR_EVENT_CHUNK);
            assert_true((ev[i].flags & WSR_EVENT_DEFLATED) != 0);
            firsts += (ev[i].flags & WSR_EVENT_FIRST) != 0;
            lasts += (ev[i].flags & WSR_EVENT_LAST) != 0;
            bytes += ev[i].data.len;
        }
    }
    assert_int_equal(bytes, (size_t)1 << 30);
    assert_int_equal(firsts, 1);
    assert_int_equal(lasts, 1);
    assert_int_equal(talk.ep->bytes_in, (uint64_t)1 << 30);
    assert_true(talk.heap.peak_bytes - before < 5 * MIB); /* a batch of 1 MiB and one chunk more, in powers of two */
    pm_free_ok(&talk);
    vectors_bytes_free(&bomb);
    vectors_bytes_free(&frame);
}

/* What is said is the same, streamed or whole, however cut; and which messages are streamed depends on what comes out of them. */
static void streamed_or_whole_a_message_is_the_same(void **unused)
{
    (void)unused;
    uint8_t p[3000];
    unsigned long streamed = 0;
    pm_fill_words(p, sizeof p);
    for (unsigned i = 0; i < 400; i++) {
        wsr_role role = (wsr_role)(i & 1);
        struct vectors_bytes input = {NULL, 0, 0}, lines = {NULL, 0, 0};
        wsr_endpoint_config config = pm_config_of(true);
        struct deflated *deflated = deflated_open((int)(pm_next_random() % 10), 15);
        struct talk talk;
        config.limits.whole_bytes_max = 1 + pm_next_random() % 2999;
        unsigned larger = 0;
        for (unsigned m = 0; m < 5; m++) {
            size_t len = pm_next_random() % 3 == 0 ? config.limits.whole_bytes_max + pm_next_random() % 2 : pm_next_random() % 3001;
            larger += len > config.limits.whole_bytes_max;
            pm_put_message(&input, deflated, pm_other(role), WSR_TEXT, p, len, 1 + pm_next_random() % 3000);
            pm_put_line(&lines, "text", p, len);
        }
        pm_open_with(&talk, role, &config);
        talk.cap = 1 + pm_next_random() % 3;
        talk_feed_pieces(&talk, input.ptr, input.len, 1 + pm_next_random() % 500);
        pm_expect_seen(&talk, vectors_string(&lines));
        assert_true(talk.chunks_n >= larger);
        assert_true((talk.chunks_n > 0) == (larger > 0));
        assert_int_equal(talk.deflated_n, 5);
        streamed += larger;
        pm_free_ok(&talk);
        deflated_close(deflated);
        vectors_bytes_free(&input);
        vectors_bytes_free(&lines);
    }
    assert_in_range(streamed, 500, 1500);
}

/* Past the limit, or with a bad byte, a message that is being streamed ends in CLOSED. */
static void a_streamed_message_has_its_limits_too(void **unused)
{
    (void)unused;
    uint8_t p[3000];
    pm_fill_words(p, sizeof p);
    for (unsigned bad = 0; bad < 2; bad++) {
        for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
            struct vectors_bytes input = {NULL, 0, 0};
            wsr_endpoint_config config = pm_config_of(false);
            struct deflated *deflated = deflated_open(6, 15);
            struct talk talk;
            config.limits.message_bytes_max = bad != 0 ? 3000 : 2999;
            config.limits.whole_bytes_max = 100;
            p[2999] = bad != 0 ? 0xFF : 'x';
            pm_put_message(&input, deflated, pm_other((wsr_role)role), WSR_TEXT, p, sizeof p, 500);
            pm_open_with(&talk, (wsr_role)role, &config);
            talk_feed_pieces(&talk, input.ptr, input.len, 100);
            assert_true(talk.chunks_n > 0);
            assert_int_equal(talk.chunk_opcode, WSR_TEXT); /* the last did not come */
            pm_expect_failed(&talk, bad != 0 ? WSR_EUTF8 : WSR_EMESSAGE_SIZE, bad != 0 ? 1007 : 1009);
            pm_free_ok(&talk);
            deflated_close(deflated);
            vectors_bytes_free(&input);
        }
    }
}

/* ---- memory ---- */

/* Without takeover a message costs no allocation in the steady state, and a quiet connection holds no codec. */
static void the_steady_state_allocates_nothing(void **unused)
{
    (void)unused;
    uint8_t p[1000];
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        for (int takeover = 0; takeover < 2; takeover++) {
            struct vectors_bytes input = {NULL, 0, 0};
            struct deflated *deflated = deflated_open(6, 15);
            struct talk talk;
            unsigned long calls = 0;
            pm_open_ok(&talk, (wsr_role)role, takeover != 0);
            pm_fill_words(p, sizeof p);
            for (unsigned i = 0; i < 300; i++) {
                if (i == 100)
                    calls = talk.heap.calls;
                input.len = 0;
                pm_put_message(&input, deflated, pm_other((wsr_role)role), WSR_TEXT, p, sizeof p, 400);
                talk_feed_pieces(&talk, input.ptr, input.len, 100);
                assert_int_equal(pm_send_bytes(&talk, WSR_TEXT, p, sizeof p), WSR_OK);
                (void)talk_flush(&talk);
                talk.sent.len = talk.seen.len = 0;
                if (takeover == 0)
                    deflated_reset(deflated);
                if (takeover == 0)
                    assert_int_equal(wsr_permessage_bytes(talk.ep), 0);
                else /* as wsr_deflate is documented */
                    assert_in_range(wsr_permessage_bytes(talk.ep), (80 + 32 + 6) * KIB, (81 + 32 + 8) * KIB);
            }
            assert_int_equal(talk.heap.calls, calls);
            assert_int_equal(talk.deflated_n, 300);
            pm_free_ok(&talk);
            deflated_close(deflated);
            vectors_bytes_free(&input);
        }
    }
}

static int no_sha1(const uint8_t *in, size_t len, uint8_t out[20])
{
    (void)in;
    (void)len;
    memset(out, 0, 20);
    return 0;
}

/* Lets an endpoint of this environment be opened by a request that offers this. */
static void open_in(struct wsr_env *env, struct wsr_endpoint *ep, const wsr_endpoint_config *config, const char *offer)
{
    wsr_event ev[8];
    char text[512];
    struct wsr_batch batch = {ev, 8, 0, 1};
    int len = snprintf(text, sizeof text,
                       "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: %s\r\n\r\n",
                       offer);
    assert_int_equal(wsr_endpoint_init(ep, env, config, 1), WSR_OK);
    assert_int_equal(wsr_endpoint_take(ep, &batch, (uint8_t *)text, (size_t)len), (size_t)len);
    assert_int_equal(batch.n, 1);
    assert_non_null(wsr_permessage_of(ep));
    wsr_env_release(env);
}

static void open_env(struct wsr_env *env)
{
    static const wsr_limits limits = {0};
    assert_int_equal(wsr_env_init(env, &limits, NULL, NULL, 0), WSR_OK);
    wsr_env_codecs(env);
    env->sha1 = no_sha1;
}

/* Windows and levels of any mixture: a compressor for each pair, however many connections, and each gets its own. */
static void each_window_and_level_has_its_compressor(void **unused)
{
    (void)unused;
    enum { N = 200 };
    static struct wsr_endpoint ep[N];
    struct wsr_env env;
    uint8_t p[1800];
    size_t few = 0;
    open_env(&env);
    pm_fill_noise(p, 600);
    memset(p + 600, 'x', 600);
    memcpy(p + 1200, p, 600); /* the same noise once more, 1,200 bytes on: within a window of 2 KiB */
    for (unsigned i = 0; i < N; i++) {
        char offer[80];
        unsigned bits = 8 + i % 8;
        wsr_endpoint_config config = pm_config_of(false);
        config.deflate.level = (uint8_t)(i / 8 % 3 * 4);
        (void)snprintf(offer, sizeof offer, "permessage-deflate; server_max_window_bits=%u", bits);
        open_in(&env, &ep[i], &config, offer);
        wsr_slice slices[4];
        size_t sent = 0;
        for (unsigned n; (n = wsr_endpoint_drain(&ep[i], slices, 4)) > 0;) /* the handshake */
            wsr_endpoint_sent(&ep[i], 1, slices[0].len);
        assert_int_equal(wsr_endpoint_send(&ep[i], WSR_BINARY, (wsr_slice){p, sizeof p}), WSR_OK);
        for (unsigned n; (n = wsr_endpoint_drain(&ep[i], slices, 4)) > 0; sent += slices[0].len)
            wsr_endpoint_sent(&ep[i], 1, slices[0].len);
        if (bits < 11 ? sent < 1200 : sent > 900)
            fail_msg("level %u, window of %u bits: %zu bytes", config.deflate.level, bits, sent);
        if (i == 23)
            few = env.pool.out_bytes;
    }
    assert_true(env.pool.out_bytes - few <= (N - 24) * KIB);
    for (unsigned i = 0; i < N; i++)
        wsr_endpoint_fini(&ep[i]);
    wsr_env_fini(&env);
    assert_int_equal(env.pool.out_bytes, 0);
}

/* Asked of the peer, a smaller window is less to remember. */
static void a_smaller_window_takes_less_memory(void **unused)
{
    (void)unused;
    wsr_endpoint_config config = pm_config_of(true);
    struct talk talk = {.role = WSR_SERVER, .now_ns = 1, .extensions = "permessage-deflate; client_max_window_bits"};
    config.deflate.receive_window_bits = 9;
    assert_int_equal(talk_open(&talk, &config), WSR_OK);
    talk.seen.len = 0;
    pm_feed_frame(&talk, RSV1_TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    pm_feed_frame(&talk, RSV1_TEXT, "\xf2\x00\x11\x00\x00", 5);
    pm_expect_seen(&talk, "text Hello\ntext Hello\n");
    assert_true(wsr_permessage_bytes(talk.ep) < 8 * KIB);
    pm_free_ok(&talk);
}

/* A hundred connections of an engine share one compressor, and have decompressors only while a message is half here. */
static void connections_share(void **unused)
{
    (void)unused;
    enum { N = 100 };
    static struct wsr_endpoint ep[N];
    struct wsr_env env;
    wsr_endpoint_config config = pm_config_of(false);
    struct vectors_bytes hello = {NULL, 0, 0};
    uint8_t p[500];
    wsr_event ev[8];
    pm_fill_words(p, sizeof p);
    talk_frame(&hello, WSR_CLIENT, RSV1_TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    open_env(&env);
    for (unsigned i = 0; i < N; i++)
        open_in(&env, &ep[i], &config, "permessage-deflate");
    size_t idle = env.pool.out_bytes;
    for (unsigned half = 0; half < 2; half++) { /* the first half of a message to each, and then the second */
        for (unsigned i = 0; i < N; i++) {
            uint8_t frame[64];
            size_t from = half == 0 ? 0 : 8, to = half == 0 ? 8 : hello.len;
            struct wsr_batch batch = {ev, 8, 0, 1};
            memcpy(frame, hello.ptr, hello.len);
            assert_int_equal(wsr_endpoint_take(&ep[i], &batch, frame + from, to - from), to - from);
            assert_int_equal(batch.n, half);
            assert_int_equal(wsr_endpoint_send(&ep[i], WSR_TEXT, (wsr_slice){p, sizeof p}), WSR_OK);
            wsr_slice slices[4];
            for (unsigned n; (n = wsr_endpoint_drain(&ep[i], slices, 4)) > 0;)
                wsr_endpoint_sent(&ep[i], 1, slices[0].len);
            if (half == 0)
                assert_in_range(wsr_permessage_bytes(&ep[i]), 6 * KIB, 40 * KIB);
            else
                assert_int_equal(wsr_permessage_bytes(&ep[i]), 0);
            wsr_env_release(&env);
        }
    }
    /* one compressor of 165 KiB, and the four decompressors that are kept */
    assert_true(env.pool.out_bytes <= idle + (170 + 4 * 40) * KIB);
    assert_int_equal(env.deflate.spares_n, 4);
    for (unsigned i = 0; i < N; i++)
        wsr_endpoint_fini(&ep[i]);
    wsr_env_fini(&env);
    assert_int_equal(env.pool.out_bytes, 0);
    vectors_bytes_free(&hello);
}

/*
 * Any allocation may fail, alone or with all after it: what arrives arrives whole and in order, what is refused is refused,
 * and nothing is left behind. Returns false once no allocation is left to fail.
 */
static bool run_failing(wsr_role role, bool takeover, uint8_t level, unsigned long at, bool all)
{
    static uint8_t p[20000];
    struct vectors_bytes input = {NULL, 0, 0}, lines = {NULL, 0, 0};
    struct deflated *deflated = deflated_open(6, 15);
    wsr_endpoint_config config = pm_config_of(takeover);
    struct talk talk = {.role = role, .now_ns = 1, .extensions = pm_said(takeover)};
    config.deflate.level = level;
    pm_random_state = 7;
    for (unsigned i = 0; i < 4; i++) {
        size_t len = i == 2 ? sizeof p : 300 + i;
        pm_fill_words(p, len);
        if (!takeover)
            deflated_reset(deflated);
        pm_put_message(&input, deflated, pm_other(role), WSR_TEXT, p, len, i == 1 ? 100 : len);
        pm_put_line(&lines, "text", p, len);
    }
    if (all)
        talk.heap.fail_from = at;
    else
        talk.heap.fail_at = at;
    int error = talk_open(&talk, &config);
    bool declined = false;
    if (error == WSR_OK && talk.is_open) {
        declined = wsr_permessage_of(talk.ep) == NULL;
        talk.seen.len = 0;
        for (unsigned i = 0; i < 4; i++) {
            error = pm_send_bytes(&talk, WSR_TEXT, p, 300 + 500 * i);
            assert_true(error == WSR_OK || error == WSR_ENOMEM);
        }
        for (size_t done = 0; done < input.len && !talk.is_closed; done += 1000)
            talk_feed(&talk, input.ptr + done, input.len - done < 1000 ? input.len - done : 1000);
    }
    bool failed = talk.heap.calls >= at;
    talk.heap.fail_from = talk.heap.fail_at = 0;
    if (talk.ep != NULL) {
        talk_eof(&talk, 0);
        talk_tick(&talk);
        assert_true(talk.is_closed);
        const char *seen = vectors_string(&talk.seen), *closed = strstr(seen, "closed ");
        if (talk.is_open) /* what was delivered is the beginning of what was sent */
            assert_int_equal(strncmp(seen, vectors_string(&lines), (size_t)(closed - seen)), 0);
        int32_t cause = talk.record.cause;
        assert_true(cause == WSR_ETRUNCATED || cause == WSR_ENOMEM || cause == WSR_EHANDSHAKE || (cause == WSR_ERSV && declined));
        if (!failed)
            assert_int_equal(talk.record.messages_in, 4);
    }
    pm_free_ok(&talk);
    deflated_close(deflated);
    vectors_bytes_free(&input);
    vectors_bytes_free(&lines);
    return failed;
}

static void every_allocation_may_fail(void **unused)
{
    (void)unused;
    unsigned long points = 0;
    for (unsigned i = 0; i < 16; i++) {
        unsigned long at = 1;
        while (run_failing((wsr_role)(i & 1), (i & 2) != 0, (uint8_t)((i & 4) / 4 * 6), at, (i & 8) != 0))
            at++;
        assert_true(at > 8);
        points += at - 1;
    }
    print_message("%lu points of failure\n", points);
}

/* Without memory for the connection's own part the extension is declined, and the connection opens all the same. */
static void without_memory_the_extension_is_declined(void **unused)
{
    (void)unused;
    unsigned declined = 0;
    for (unsigned long at = 1; at < 20; at++) {
        wsr_endpoint_config config = pm_config_of(true);
        struct talk talk = {.role = WSR_SERVER, .now_ns = 1, .extensions = "permessage-deflate"};
        talk.heap.fail_at = at;
        if (talk_open(&talk, &config) == WSR_OK && talk.is_open && wsr_permessage_of(talk.ep) == NULL) {
            declined++;
            pm_feed_frame(&talk, RSV1_TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
            pm_expect_failed(&talk, WSR_ERSV, 1002);
        }
        pm_free_ok(&talk);
    }
    assert_int_equal(declined, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bomb_is_cut_at_the_limit),
        cmocka_unit_test(the_limit_is_of_what_comes_out),
        cmocka_unit_test(a_message_of_nothing_has_an_end),
        cmocka_unit_test(many_bombs_in_a_buffer_are_delivered_one_by_one),
        cmocka_unit_test(a_streamed_message_needs_no_memory),
        cmocka_unit_test(streamed_or_whole_a_message_is_the_same),
        cmocka_unit_test(a_streamed_message_has_its_limits_too),
        cmocka_unit_test(the_steady_state_allocates_nothing),
        cmocka_unit_test(each_window_and_level_has_its_compressor),
        cmocka_unit_test(a_smaller_window_takes_less_memory),
        cmocka_unit_test(connections_share),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(without_memory_the_extension_is_declined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
