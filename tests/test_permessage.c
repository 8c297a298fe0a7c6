/*
 * tests/test_permessage.c - permessage-deflate through an endpoint, both roles (RFC 7692 section 7.2): what goes in comes out, whatever
 * was agreed on; what is wrong with it is named; memory follows what comes out, up to the limit, and may fail. The codecs
 * alone are test_deflate.c's, the offers test_deflate_offer.c's; single frames, good and bad, are tests/vectors/frames.
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

#include "lib/deflated.h"
#include "conn/engine.h"
#include "lib/talk.h"
#include "proto/permessage.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define RSV1_TEXT 0xC1
#define RSV1_BINARY 0xC2

static wsr_role other(wsr_role role)
{
    return role == WSR_SERVER ? WSR_CLIENT : WSR_SERVER;
}

/* ---- one end, and bytes for it ---- */

/* What the peer says in its handshake so that both directions have context takeover, or neither has. */
static const char *said(bool takeover)
{
    return takeover ? "permessage-deflate" : "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
}

static wsr_endpoint_config config_of(bool takeover)
{
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.deflate = (wsr_deflate){.on = true, .send_takeover = takeover, .receive_takeover = takeover};
    return config;
}

static void open_with(struct talk *talk, wsr_role role, const wsr_endpoint_config *config)
{
    *talk = (struct talk){.role = role, .now_ns = 1, .extensions = said(config->deflate.receive_takeover)};
    assert_int_equal(talk_open(talk, config), WSR_OK);
    assert_true(talk->is_open);
    talk_tick(talk); /* what the handshake's events pointed to goes back */
    talk->seen.len = 0;
}

static void open_ok(struct talk *talk, wsr_role role, bool takeover)
{
    wsr_endpoint_config config = config_of(takeover);
    open_with(talk, role, &config);
}

static void free_ok(struct talk *talk)
{
    assert_true(talk_free(talk));
}

static void feed_frame(struct talk *talk, uint8_t first, const void *payload, size_t len)
{
    struct vectors_bytes frame = {NULL, 0, 0};
    talk_frame(&frame, other(talk->role), first, payload, len);
    talk_feed(talk, frame.ptr, frame.len);
    vectors_bytes_free(&frame);
}

static void expect_seen(struct talk *talk, const char *lines)
{
    assert_string_equal(talk->seen.len > 0 ? vectors_string(&talk->seen) : "", lines);
    talk->seen.len = 0;
}

static void expect_failed(struct talk *talk, int cause, uint16_t code)
{
    talk_eof(talk, 0);
    assert_true(talk->is_closed);
    assert_int_equal(talk->record.cause, cause);
    assert_int_equal(talk->record.code_sent, code);
}

static uint64_t random_state = 1;

static uint32_t next_random(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(random_state >> 33);
}

static void fill_words(uint8_t *p, size_t len)
{
    static const char *const words[] = {"bid", "ask", "trade", "{\"price\":", "\"size\":", "BTCUSDT", "0.00100000", ",", "}", "last "};
    for (size_t at = 0; at < len;) {
        for (const char *word = words[next_random() % 10]; *word != '\0' && at < len; word++)
            p[at++] = (uint8_t)*word;
    }
}

static void fill_noise(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)next_random();
}

/* A message from a peer of this role, in fragments of at most that many bytes before they are compressed. */
static void put_message(struct vectors_bytes *out, struct deflated *deflated, wsr_role from, uint8_t opcode, const uint8_t *p, size_t len,
                        size_t fragment_max)
{
    struct vectors_bytes payload = {NULL, 0, 0};
    uint8_t first = (uint8_t)(WSR_RSV1 | opcode);
    size_t at = 0, take;
    do {
        take = fragment_max < len - at ? 1 + next_random() % fragment_max : len - at;
        bool last = at + take == len;
        payload.len = 0;
        deflated_put(deflated, &payload, p + at, take, last);
        talk_frame(out, from, (uint8_t)(first | (last ? WSR_FIN : 0)), payload.ptr, payload.len);
        first = WSR_CONTINUATION;
        at += take;
    } while (at < len);
    vectors_bytes_free(&payload);
}

static void put_line(struct vectors_bytes *out, const char *kind, const uint8_t *p, size_t len)
{
    vectors_append(out, kind, strlen(kind));
    talk_payload(out, p, len);
    vectors_append(out, "\n", 1);
}

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
            talk_frame(&frame, other((wsr_role)role), piece % 2 == 0 ? RSV1_TEXT : RSV1_BINARY, bomb.ptr, bomb.len);
            open_ok(&talk, (wsr_role)role, piece % 2 == 0);
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
            expect_failed(&talk, WSR_EMESSAGE_SIZE, 1009);
            free_ok(&talk);
        }
    }
    vectors_bytes_free(&bomb);
    vectors_bytes_free(&frame);
}

/* ---- two ends ---- */

struct pair {
    struct talk end[2]; /* by role */
    size_t read[2];     /* of each one's sent, what the other was fed */
};

static bool carry(struct pair *pair, wsr_role from, size_t bytes)
{
    struct talk *talk = &pair->end[from];
    (void)talk_flush(talk);
    size_t present = talk->sent.len - pair->read[from];
    size_t take = present < bytes ? present : bytes;
    if (take == 0)
        return false;
    talk_feed(&pair->end[other(from)], talk->sent.ptr + pair->read[from], take);
    pair->read[from] += take;
    return true;
}

static void carry_all(struct pair *pair, size_t piece)
{
    bool moved;
    do {
        moved = carry(pair, WSR_CLIENT, piece);
        moved = carry(pair, WSR_SERVER, piece) || moved;
    } while (moved);
}

static void pair_open(struct pair *pair, const wsr_deflate *server, const wsr_deflate *client)
{
    memset(pair, 0, sizeof *pair);
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
        config.deflate = role == WSR_SERVER ? *server : *client;
        pair->end[role].role = (wsr_role)role;
        assert_int_equal(talk_open_only(&pair->end[role], &config), WSR_OK);
    }
    carry_all(pair, SIZE_MAX);
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        assert_true(pair->end[role].is_open);
        pair->end[role].seen.len = 0;
    }
}

/* Closes them in order: nothing may have gone wrong. */
static void pair_close(struct pair *pair)
{
    assert_int_equal(wsr_endpoint_close(pair->end[WSR_SERVER].ep, 1, 1000, (wsr_slice){NULL, 0}), WSR_OK);
    carry_all(pair, SIZE_MAX);
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        talk_eof(&pair->end[role], 0);
        assert_true(pair->end[role].is_closed);
        assert_int_equal(pair->end[role].record.cause, WSR_OK);
        free_ok(&pair->end[role]);
    }
}

/* Messages of every kind, both ways, whole and in fragments: each arrives as what it was. Returns how many came compressed. */
static unsigned long converse(struct pair *pair, unsigned messages, size_t piece)
{
    static uint8_t p[70000];
    static const size_t sizes[] = {0, 1, 100, 127, 128, 129, 200, 300, 1000, 2047, 2048, 5000, 66000};
    uint64_t bytes[2] = {0, 0};
    for (unsigned i = 0; i < messages; i++) {
        wsr_role from = (wsr_role)(next_random() % 2);
        struct talk *talk = &pair->end[from], *to = &pair->end[other(from)];
        static const wsr_opcode opcodes[] = {WSR_TEXT, WSR_BINARY, WSR_TEXT, WSR_BINARY, WSR_TEXT_PLAIN, WSR_BINARY_PLAIN};
        wsr_opcode opcode = opcodes[next_random() % 6];
        size_t len = sizes[next_random() % 13];
        if (((unsigned)opcode & 3) == WSR_BINARY && next_random() % 2 == 0)
            fill_noise(p, len);
        else
            fill_words(p, len);
        struct vectors_bytes line = {NULL, 0, 0};
        put_line(&line, ((unsigned)opcode & 3) == WSR_TEXT ? "text" : "binary", p, len);
        wsr_slice payload = {p, len};
        int error = next_random() % 3 == 0 ? wsr_endpoint_send_fragmented(talk->ep, opcode, payload, 1 + next_random() % 900)
                                           : wsr_endpoint_send(talk->ep, opcode, payload);
        assert_int_equal(error, WSR_OK);
        bytes[from] += len;
        carry_all(pair, piece);
        expect_seen(to, vectors_string(&line));
        assert_int_equal(talk->seen.len, 0);
        vectors_bytes_free(&line);
    }
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        assert_int_equal(pair->end[role].ep->out.payload_bytes, bytes[role]);
        assert_int_equal(pair->end[role].ep->bytes_in, bytes[1 - role]);
    }
    return pair->end[WSR_SERVER].deflated_n + pair->end[WSR_CLIENT].deflated_n;
}

static void two_ends_understand_each_other(void **unused)
{
    (void)unused;
    static const uint8_t bits[] = {8, 9, 12, 15};
    unsigned long deflated = 0;
    for (unsigned i = 0; i < 160; i++) {
        wsr_deflate server = {.on = true, .threshold_bytes = 1 + next_random() % 200}, client = server;
        server.send_takeover = client.receive_takeover = (i & 1) != 0;
        server.receive_takeover = client.send_takeover = (i & 2) != 0;
        server.send_window_bits = bits[next_random() % 4];
        server.receive_window_bits = bits[next_random() % 4];
        client.send_window_bits = bits[next_random() % 4];
        client.receive_window_bits = bits[next_random() % 4];
        server.level = (uint8_t)(next_random() % 10);
        client.level = (uint8_t)(next_random() % 3);
        struct pair pair;
        pair_open(&pair, &server, &client);
        deflated += converse(&pair, 40, i % 4 == 3 ? 1 + next_random() % 40 : 1 + next_random() % 100000);
        pair_close(&pair);
    }
    assert_in_range(deflated, 1500, 6400);
    print_message("%lu messages came compressed\n", deflated);
}

/* Off on either side: nothing is compressed, and RSV1 is as wrong as ever. */
static void off_on_either_side_is_off(void **unused)
{
    (void)unused;
    static const wsr_deflate off = {.level = 6}, on = {.on = true, .threshold_bytes = 1};
    for (unsigned i = 0; i < 3; i++) {
        struct pair pair;
        pair_open(&pair, i == 1 ? &on : &off, i == 2 ? &on : &off);
        assert_int_equal(converse(&pair, 50, SIZE_MAX), 0);
        assert_null(pair.end[WSR_SERVER].ep->deflate);
        assert_null(pair.end[WSR_CLIENT].ep->deflate);
        for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
            feed_frame(&pair.end[role], RSV1_TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
            expect_failed(&pair.end[role], WSR_ERSV, 1002);
            free_ok(&pair.end[role]);
        }
    }
}

/* ---- what is wrong ---- */

/* A bad byte ends it with the byte of input that it comes out of, long before the frame's end. */
static void a_bad_byte_fails_at_once(void **unused)
{
    (void)unused;
    uint8_t text[10000];
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        struct vectors_bytes payload = {NULL, 0, 0}, frame = {NULL, 0, 0};
        struct deflated *deflated = deflated_open(6, 15);
        struct talk talk;
        fill_words(text, sizeof text);
        text[5000] = 0xFF;
        deflated_put(deflated, &payload, text, 5001, false);
        const size_t bad_at = payload.len;
        deflated_put(deflated, &payload, text + 5001, sizeof text - 5001, true);
        talk_frame(&frame, other((wsr_role)role), RSV1_TEXT, payload.ptr, payload.len);
        open_ok(&talk, (wsr_role)role, true);
        talk_feed_pieces(&talk, frame.ptr, frame.len - payload.len + bad_at, 1);
        expect_failed(&talk, WSR_EUTF8, 1007);
        free_ok(&talk);
        deflated_close(deflated);
        vectors_bytes_free(&payload);
        vectors_bytes_free(&frame);
    }
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
        wsr_endpoint_config config = config_of(true);
        struct deflated *deflated = deflated_open((int)(next_random() % 10), 15);
        struct talk talk;
        if (i / 32 == 0)
            memset(p, 'x', sizeof p);
        else if (i / 32 == 1)
            fill_words(p, sizeof p);
        else
            fill_noise(p, sizeof p);
        put_message(&input, deflated, other(role), WSR_BINARY, p, len, fragments ? 1000 : len);
        put_line(&line, "binary", p, len);
        config.limits.message_bytes_max = LIMIT;
        open_with(&talk, role, &config);
        talk_feed_pieces(&talk, input.ptr, input.len, piece < input.len ? piece : input.len);
        expect_seen(&talk, len == LIMIT ? vectors_string(&line) : "");
        if (len > LIMIT)
            expect_failed(&talk, WSR_EMESSAGE_SIZE, 1009);
        free_ok(&talk);
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
        wsr_endpoint_config config = config_of(true);
        config.limits.message_bytes_max = 10003;
        const size_t most = 2 * 10003 + 1024;
        for (size_t over = 0; over < 2; over++) {
            struct vectors_bytes payload = {NULL, 0, 0};
            struct talk talk;
            while (payload.len < most)
                vectors_append(&payload, nothing, 5);
            assert_int_equal(payload.len, most);
            open_with(&talk, (wsr_role)role, &config);
            feed_frame(&talk, 0x42, payload.ptr, 100);
            for (size_t at = 100; at < most; at += 997)
                feed_frame(&talk, 0x00, payload.ptr + at, most - at < 997 ? most - at : 997);
            expect_seen(&talk, "");
            uint8_t head[WSR_FRAME_HEADER_MAX];
            static const uint8_t key[4] = {0, 0, 0, 0};
            unsigned n = wsr_frame_header_encode(head, 0x80, over, role == WSR_SERVER ? key : NULL);
            talk_feed(&talk, head, n);
            expect_seen(&talk, over != 0 ? "" : "binary\n");
            if (over != 0)
                expect_failed(&talk, WSR_EMESSAGE_SIZE, 1009);
            free_ok(&talk);
            vectors_bytes_free(&payload);
        }
        /* and a frame is not waited for that announces more */
        static const uint64_t lengths[] = {2 * 10003 + 1025, UINT64_C(1) << 40, (UINT64_C(1) << 63) - 1};
        for (unsigned i = 0; i < 3; i++) {
            struct talk talk;
            uint8_t head[WSR_FRAME_HEADER_MAX];
            static const uint8_t key[4] = {1, 2, 3, 4};
            open_with(&talk, (wsr_role)role, &config);
            size_t before = talk.heap.calls;
            talk_feed(&talk, head, wsr_frame_header_encode(head, RSV1_BINARY, lengths[i], role == WSR_SERVER ? key : NULL));
            assert_true(talk.heap.calls <= before + 2);
            expect_failed(&talk, WSR_EMESSAGE_SIZE, 1009);
            free_ok(&talk);
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
    open_ok(&talk, WSR_SERVER, false);
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
    free_ok(&talk);
}

/* ---- chunks ---- */

/* A GiB in chunks: no more than about a MiB of it is there at a time. */
static void a_streamed_message_needs_no_memory(void **unused)
{
    (void)unused;
    struct vectors_bytes bomb = {NULL, 0, 0}, frame = {NULL, 0, 0};
    wsr_endpoint_config config = config_of(false);
    struct talk talk;
    config.limits.message_bytes_max = UINT64_C(1) << 30;
    config.limits.whole_bytes_max = 100 * KIB;
    deflated_bomb(&bomb, 1024);
    talk_frame(&frame, WSR_CLIENT, RSV1_BINARY, bomb.ptr, bomb.len);
    open_with(&talk, WSR_SERVER, &config);
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
    free_ok(&talk);
    vectors_bytes_free(&bomb);
    vectors_bytes_free(&frame);
}

/* What is said is the same, streamed or whole, however cut; and which messages are streamed depends on what comes out of them. */
static void streamed_or_whole_a_message_is_the_same(void **unused)
{
    (void)unused;
    uint8_t p[3000];
    unsigned long streamed = 0;
    fill_words(p, sizeof p);
    for (unsigned i = 0; i < 400; i++) {
        wsr_role role = (wsr_role)(i & 1);
        struct vectors_bytes input = {NULL, 0, 0}, lines = {NULL, 0, 0};
        wsr_endpoint_config config = config_of(true);
        struct deflated *deflated = deflated_open((int)(next_random() % 10), 15);
        struct talk talk;
        config.limits.whole_bytes_max = 1 + next_random() % 2999;
        unsigned larger = 0;
        for (unsigned m = 0; m < 5; m++) {
            size_t len = next_random() % 3 == 0 ? config.limits.whole_bytes_max + next_random() % 2 : next_random() % 3001;
            larger += len > config.limits.whole_bytes_max;
            put_message(&input, deflated, other(role), WSR_TEXT, p, len, 1 + next_random() % 3000);
            put_line(&lines, "text", p, len);
        }
        open_with(&talk, role, &config);
        talk.cap = 1 + next_random() % 3;
        talk_feed_pieces(&talk, input.ptr, input.len, 1 + next_random() % 500);
        expect_seen(&talk, vectors_string(&lines));
        assert_true(talk.chunks_n >= larger);
        assert_true((talk.chunks_n > 0) == (larger > 0));
        assert_int_equal(talk.deflated_n, 5);
        streamed += larger;
        free_ok(&talk);
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
    fill_words(p, sizeof p);
    for (unsigned bad = 0; bad < 2; bad++) {
        for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
            struct vectors_bytes input = {NULL, 0, 0};
            wsr_endpoint_config config = config_of(false);
            struct deflated *deflated = deflated_open(6, 15);
            struct talk talk;
            config.limits.message_bytes_max = bad != 0 ? 3000 : 2999;
            config.limits.whole_bytes_max = 100;
            p[2999] = bad != 0 ? 0xFF : 'x';
            put_message(&input, deflated, other((wsr_role)role), WSR_TEXT, p, sizeof p, 500);
            open_with(&talk, (wsr_role)role, &config);
            talk_feed_pieces(&talk, input.ptr, input.len, 100);
            assert_true(talk.chunks_n > 0);
            assert_int_equal(talk.chunk_opcode, WSR_TEXT); /* the last did not come */
            expect_failed(&talk, bad != 0 ? WSR_EUTF8 : WSR_EMESSAGE_SIZE, bad != 0 ? 1007 : 1009);
            free_ok(&talk);
            deflated_close(deflated);
            vectors_bytes_free(&input);
        }
    }
}

/* ---- sending ---- */

/* What went out: "deflated text", "text", "binary ...". */
static void expect_kinds(struct talk *talk, const char *kinds)
{
    struct vectors_bytes text = {NULL, 0, 0}, got = {NULL, 0, 0};
    (void)talk_flush(talk);
    assert_true(talk_describe(&text, talk->sent.ptr, talk->sent.len));
    for (const char *line = vectors_string(&text); *line != '\0'; line += strcspn(line, "\n") + 1) {
        bool deflated = strncmp(line, "deflated ", 9) == 0;
        const char *kind = deflated ? line + 9 : line;
        vectors_append(&got, deflated ? "deflated " : "", deflated ? 9 : 0);
        vectors_append(&got, kind, strcspn(kind, " \n"));
        vectors_append(&got, ",", 1);
    }
    assert_string_equal(vectors_string(&got), kinds);
    talk->sent.len = 0;
    vectors_bytes_free(&text);
    vectors_bytes_free(&got);
}

static int send_bytes(struct talk *talk, wsr_opcode opcode, const uint8_t *p, size_t len)
{
    return wsr_endpoint_send(talk->ep, opcode, (wsr_slice){p, len});
}

/* Below the threshold, if asked to, and where it would not be smaller: as it is. With takeover history must stay true: compressed. */
static void which_messages_are_compressed(void **unused)
{
    (void)unused;
    uint8_t words[300], noise[300];
    fill_words(words, sizeof words);
    fill_noise(noise, sizeof noise);
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        for (int takeover = 0; takeover < 2; takeover++) {
            for (uint8_t level = 0; level < 3; level++) {
                wsr_endpoint_config config = config_of(takeover != 0);
                struct talk talk;
                config.deflate.level = level;
                open_with(&talk, (wsr_role)role, &config);
                assert_int_equal(send_bytes(&talk, WSR_TEXT, words, 127), WSR_OK);
                assert_int_equal(send_bytes(&talk, WSR_TEXT, words, 128), WSR_OK);
                assert_int_equal(send_bytes(&talk, WSR_BINARY, words, 300), WSR_OK);
                assert_int_equal(send_bytes(&talk, WSR_TEXT_PLAIN, words, 300), WSR_OK);
                assert_int_equal(send_bytes(&talk, WSR_BINARY_PLAIN, words, 300), WSR_OK);
                expect_kinds(&talk, "text,deflated text,deflated binary,text,binary,");
                assert_int_equal(send_bytes(&talk, WSR_BINARY, noise, 300), WSR_OK);
                expect_kinds(&talk, takeover != 0 ? "deflated binary," : "binary,");
                wsr_slice slice = {words, 300};
                assert_int_equal(wsr_endpoint_send_fragmented(talk.ep, WSR_TEXT, slice, 2), WSR_OK);
                (void)talk_flush(&talk);
                struct vectors_bytes text = {NULL, 0, 0};
                assert_true(talk_describe(&text, talk.sent.ptr, talk.sent.len));
                assert_int_equal(strncmp(vectors_string(&text), "deflated text... ", 17), 0);
                assert_null(strstr(vectors_string(&text) + 1, "deflated"));
                vectors_bytes_free(&text);
                free_ok(&talk);
            }
        }
    }
    struct talk talk;
    wsr_endpoint_config config = config_of(false);
    config.deflate.threshold_bytes = 1;
    open_with(&talk, WSR_SERVER, &config);
    memset(words, 'x', sizeof words);
    assert_int_equal(send_bytes(&talk, WSR_TEXT, words, 20), WSR_OK);
    assert_int_equal(send_bytes(&talk, WSR_TEXT, words, 1), WSR_OK);
    assert_int_equal(send_bytes(&talk, WSR_TEXT, words, 0), WSR_OK);
    expect_kinds(&talk, "deflated text,text,text,");
    free_ok(&talk);
}

/* With takeover, messages that resemble each other get much smaller. */
static void takeover_pays(void **unused)
{
    (void)unused;
    size_t bytes[2] = {0, 0};
    for (int takeover = 0; takeover < 2; takeover++) {
        struct talk talk;
        uint8_t p[300];
        open_ok(&talk, WSR_SERVER, takeover != 0);
        for (unsigned i = 0; i < 100; i++) {
            fill_words(p, sizeof p);
            assert_int_equal(send_bytes(&talk, WSR_TEXT, p, sizeof p), WSR_OK);
        }
        (void)talk_flush(&talk);
        bytes[takeover] = talk.sent.len;
        free_ok(&talk);
    }
    assert_true(bytes[0] < 100 * 300);
    assert_true(bytes[1] * 3 < bytes[0] * 2);
}

/* A message that was compressed and could not be queued is forgotten by the compressor too: the peer will never have seen it. */
static void what_could_not_be_queued_is_forgotten(void **unused)
{
    (void)unused;
    static uint8_t p[3][5000];
    for (unsigned i = 0; i < 3; i++)
        fill_noise(p[i], sizeof p[i]);
    for (uint8_t level = 0; level < 2; level++) {
        wsr_deflate deflate = {.on = true, .send_takeover = true, .receive_takeover = true, .level = level};
        struct pair pair;
        pair_open(&pair, &deflate, &deflate);
        struct talk *talk = &pair.end[WSR_CLIENT], *to = &pair.end[WSR_SERVER];
        struct vectors_bytes lines = {NULL, 0, 0};
        unsigned failed = 0;
        for (unsigned i = 0; i < 300; i++) {
            const uint8_t *message = p[i % 3];
            talk->no_random = i % 7 == 3; /* the pool of keys lasts for a while, so not each of these fails */
            talk->heap.fail_from = i % 11 == 5 ? talk->heap.calls + 1 : 0;
            int error = send_bytes(talk, WSR_BINARY, message, sizeof p[0]);
            talk->no_random = false;
            talk->heap.fail_from = 0;
            if (error == WSR_OK)
                put_line(&lines, "binary", message, sizeof p[0]);
            else
                failed++;
            if (i % 4 == 0)
                carry_all(&pair, SIZE_MAX);
        }
        carry_all(&pair, SIZE_MAX);
        expect_seen(to, vectors_string(&lines));
        assert_true(failed > 0);
        vectors_bytes_free(&lines);
        pair_close(&pair);
    }
}

/* A closing end sends what it had compressed before, and the peer's later messages are inflated as ever. */
static void messages_around_a_close(void **unused)
{
    (void)unused;
    uint8_t p[300];
    struct talk talk;
    fill_words(p, sizeof p);
    open_ok(&talk, WSR_SERVER, true);
    assert_int_equal(send_bytes(&talk, WSR_TEXT, p, sizeof p), WSR_OK);
    assert_int_equal(wsr_endpoint_close(talk.ep, 1, 1000, (wsr_slice){NULL, 0}), WSR_OK);
    assert_int_equal(send_bytes(&talk, WSR_TEXT, p, sizeof p), WSR_ESTATE);
    expect_kinds(&talk, "deflated text,close,");
    feed_frame(&talk, RSV1_TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    feed_frame(&talk, RSV1_TEXT, "\xf2\x00\x11\x00\x00", 5);
    expect_seen(&talk, "late text Hello\nlate text Hello\n");
    feed_frame(&talk, 0x88, "\x03\xe8", 2);
    talk_eof(&talk, 0);
    assert_true(talk.record.clean);
    assert_int_equal(talk.record.bytes_in, 10);
    assert_int_equal(talk.record.bytes_out, 300);
    free_ok(&talk);
}

/* A peer that does not read: compressed messages in the outbox are dropped with the rest, and counted. */
static void what_is_dropped_is_counted(void **unused)
{
    (void)unused;
    uint8_t p[300];
    struct talk talk;
    fill_words(p, sizeof p);
    open_ok(&talk, WSR_SERVER, true);
    talk.blocked = true;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(send_bytes(&talk, WSR_TEXT, p, sizeof p), WSR_OK);
    feed_frame(&talk, RSV1_TEXT, "\x06", 1);
    talk.blocked = false;
    expect_kinds(&talk, "close,");
    talk_eof(&talk, 0);
    assert_int_equal(talk.record.messages_out, 3);
    assert_int_equal(talk.record.bytes_out, 900);
    assert_int_equal(talk.record.messages_undelivered, 3);
    assert_in_range(talk.record.bytes_undelivered, 50, 400);
    free_ok(&talk);
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
            open_ok(&talk, (wsr_role)role, takeover != 0);
            fill_words(p, sizeof p);
            for (unsigned i = 0; i < 300; i++) {
                if (i == 100)
                    calls = talk.heap.calls;
                input.len = 0;
                put_message(&input, deflated, other((wsr_role)role), WSR_TEXT, p, sizeof p, 400);
                talk_feed_pieces(&talk, input.ptr, input.len, 100);
                assert_int_equal(send_bytes(&talk, WSR_TEXT, p, sizeof p), WSR_OK);
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
            free_ok(&talk);
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
    assert_non_null(ep->deflate);
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
    fill_noise(p, 600);
    memset(p + 600, 'x', 600);
    memcpy(p + 1200, p, 600); /* the same noise once more, 1,200 bytes on: within a window of 2 KiB */
    for (unsigned i = 0; i < N; i++) {
        char offer[80];
        unsigned bits = 8 + i % 8;
        wsr_endpoint_config config = config_of(false);
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
    wsr_endpoint_config config = config_of(true);
    struct talk talk = {.role = WSR_SERVER, .now_ns = 1, .extensions = "permessage-deflate; client_max_window_bits"};
    config.deflate.receive_window_bits = 9;
    assert_int_equal(talk_open(&talk, &config), WSR_OK);
    talk.seen.len = 0;
    feed_frame(&talk, RSV1_TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    feed_frame(&talk, RSV1_TEXT, "\xf2\x00\x11\x00\x00", 5);
    expect_seen(&talk, "text Hello\ntext Hello\n");
    assert_true(wsr_permessage_bytes(talk.ep) < 8 * KIB);
    free_ok(&talk);
}

/* A hundred connections of an engine share one compressor, and have decompressors only while a message is half here. */
static void connections_share(void **unused)
{
    (void)unused;
    enum { N = 100 };
    static struct wsr_endpoint ep[N];
    struct wsr_env env;
    wsr_endpoint_config config = config_of(false);
    struct vectors_bytes hello = {NULL, 0, 0};
    uint8_t p[500];
    wsr_event ev[8];
    fill_words(p, sizeof p);
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
    wsr_endpoint_config config = config_of(takeover);
    struct talk talk = {.role = role, .now_ns = 1, .extensions = said(takeover)};
    config.deflate.level = level;
    random_state = 7;
    for (unsigned i = 0; i < 4; i++) {
        size_t len = i == 2 ? sizeof p : 300 + i;
        fill_words(p, len);
        if (!takeover)
            deflated_reset(deflated);
        put_message(&input, deflated, other(role), WSR_TEXT, p, len, i == 1 ? 100 : len);
        put_line(&lines, "text", p, len);
    }
    if (all)
        talk.heap.fail_from = at;
    else
        talk.heap.fail_at = at;
    int error = talk_open(&talk, &config);
    bool declined = false;
    if (error == WSR_OK && talk.is_open) {
        declined = talk.ep->deflate == NULL;
        talk.seen.len = 0;
        for (unsigned i = 0; i < 4; i++) {
            error = send_bytes(&talk, WSR_TEXT, p, 300 + 500 * i);
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
    free_ok(&talk);
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
        wsr_endpoint_config config = config_of(true);
        struct talk talk = {.role = WSR_SERVER, .now_ns = 1, .extensions = "permessage-deflate"};
        talk.heap.fail_at = at;
        if (talk_open(&talk, &config) == WSR_OK && talk.is_open && talk.ep->deflate == NULL) {
            declined++;
            feed_frame(&talk, RSV1_TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
            expect_failed(&talk, WSR_ERSV, 1002);
        }
        free_ok(&talk);
    }
    assert_int_equal(declined, 1);
}

/* An application that answers by itself: what was agreed on is said in its answer, be it later; and goes with a refusal. */
static void a_request_that_waits_is_agreed_on_too(void **unused)
{
    (void)unused;
    for (int accepts = 0; accepts < 2; accepts++) {
        static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
        wsr_endpoint_config config = config_of(true);
        struct talk talk = {.role = WSR_SERVER, .now_ns = 1};
        config.manual = true;
        assert_int_equal(talk_open_only(&talk, &config), WSR_OK);
        talk_feed(&talk, (const uint8_t *)request, strlen(request));
        if (accepts == 0) {
            assert_int_equal(wsr_endpoint_refuse(talk.ep, 1, 403, NULL, (wsr_slice){NULL, 0}), WSR_OK);
        } else {
            assert_int_equal(wsr_endpoint_accept(talk.ep, 1, NULL, "X-A: b\r\n"), WSR_OK);
            (void)talk_flush(&talk);
            assert_true(vectors_has_line(&talk.sent, "Sec-WebSocket-Extensions: permessage-deflate"));
            assert_true(vectors_has_line(&talk.sent, "X-A: b"));
            talk.seen.len = 0;
            feed_frame(&talk, RSV1_TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
            expect_seen(&talk, "text Hello\n");
        }
        free_ok(&talk);
    }
}

static void a_bad_config_is_refused(void **unused)
{
    (void)unused;
    static const wsr_deflate bad[] = {{.on = true, .level = 10}, {.on = true, .send_window_bits = 7}, {.on = true, .receive_window_bits = 16}};
    for (unsigned i = 0; i < 3; i++) {
        for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
            wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
            struct talk talk = {.role = (wsr_role)role};
            config.deflate = bad[i];
            assert_int_equal(talk_open_only(&talk, &config), WSR_ECONFIG);
            free_ok(&talk);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bomb_is_cut_at_the_limit),
        cmocka_unit_test(two_ends_understand_each_other),
        cmocka_unit_test(off_on_either_side_is_off),
        cmocka_unit_test(a_bad_byte_fails_at_once),
        cmocka_unit_test(the_limit_is_of_what_comes_out),
        cmocka_unit_test(a_message_of_nothing_has_an_end),
        cmocka_unit_test(many_bombs_in_a_buffer_are_delivered_one_by_one),
        cmocka_unit_test(a_streamed_message_needs_no_memory),
        cmocka_unit_test(streamed_or_whole_a_message_is_the_same),
        cmocka_unit_test(a_streamed_message_has_its_limits_too),
        cmocka_unit_test(which_messages_are_compressed),
        cmocka_unit_test(takeover_pays),
        cmocka_unit_test(what_could_not_be_queued_is_forgotten),
        cmocka_unit_test(messages_around_a_close),
        cmocka_unit_test(what_is_dropped_is_counted),
        cmocka_unit_test(the_steady_state_allocates_nothing),
        cmocka_unit_test(connections_share),
        cmocka_unit_test(each_window_and_level_has_its_compressor),
        cmocka_unit_test(a_smaller_window_takes_less_memory),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(without_memory_the_extension_is_declined),
        cmocka_unit_test(a_request_that_waits_is_agreed_on_too),
        cmocka_unit_test(a_bad_config_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
