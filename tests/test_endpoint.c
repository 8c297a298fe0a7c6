/*
 * tests/test_endpoint.c - the sans-I/O endpoint through its public interface: two of them talking, configuration, sending and
 * its limits, deadlines in virtual time, and what the close record says, to the byte. What frames get is in
 * test_frames_vectors.c, handshakes are in test_handshake.c, memory in test_endpoint_memory.c.
 */
#define _GNU_SOURCE /* memmem */
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

#define SECOND TALK_SECOND_NS

static const wsr_endpoint_config plain = WSR_ENDPOINT_CONFIG_INIT;

static wsr_role other(wsr_role role)
{
    return role == WSR_SERVER ? WSR_CLIENT : WSR_SERVER;
}

static void open_ok(struct talk *talk, wsr_role role, const wsr_endpoint_config *config)
{
    *talk = (struct talk){.role = role, .now_ns = SECOND};
    assert_int_equal(talk_open(talk, config), WSR_OK);
    assert_true(talk->is_open);
    talk->seen.len = 0;
}

static void free_ok(struct talk *talk)
{
    assert_true(talk_free(talk));
}

static wsr_slice slice(const char *text)
{
    return (wsr_slice){(const uint8_t *)text, strlen(text)};
}

static void feed_frame(struct talk *talk, uint8_t first, const char *payload)
{
    struct vectors_bytes frame = {NULL, 0, 0};
    talk_frame(&frame, other(talk->role), first, payload, strlen(payload));
    talk_feed(talk, frame.ptr, frame.len);
    vectors_bytes_free(&frame);
}

static void expect_seen(struct talk *talk, const char *lines)
{
    talk->seen.len > 0 ? assert_string_equal(vectors_string(&talk->seen), lines) : assert_string_equal("", lines);
    talk->seen.len = 0;
}

static void expect_sent(struct talk *talk, const char *lines)
{
    struct vectors_bytes text = {NULL, 0, 0};
    assert_true(talk_describe(&text, talk->sent.ptr, talk->sent.len));
    assert_string_equal(vectors_string(&text), lines);
    vectors_bytes_free(&text);
    talk->sent.len = 0;
}

static bool begins(const struct vectors_bytes *text, const char *with)
{
    return strncmp(vectors_string(text), with, strlen(with)) == 0;
}

/* ---- two ends ---- */

struct pair {
    struct talk end[2]; /* by role */
    size_t read[2];     /* of each one's sent, what the other was fed */
};

/* Carries up to `bytes` of what this end sent to the other. */
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

static void pair_open(struct pair *pair, size_t piece)
{
    memset(pair, 0, sizeof *pair);
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        pair->end[role].role = (wsr_role)role;
        assert_int_equal(talk_open_only(&pair->end[role], &plain), WSR_OK);
    }
    carry_all(pair, piece);
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        assert_true(pair->end[role].is_open);
        pair->end[role].seen.len = 0;
    }
}

static void pair_free(struct pair *pair)
{
    free_ok(&pair->end[0]);
    free_ok(&pair->end[1]);
}

static void two_ends_talk_in_pieces_of_any_size(void **unused)
{
    (void)unused;
    static const size_t pieces[] = {1, 2, 3, 7, 64, 1000, SIZE_MAX};
    for (unsigned i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct pair pair;
        pair_open(&pair, pieces[i]);
        struct vectors_bytes expected = {NULL, 0, 0};
        uint8_t data[70000];
        for (size_t len = 0; len < sizeof data; len = 3 * len + 1) {
            memset(data, (int)('a' + len % 26), len);
            for (int role = WSR_SERVER; role <= WSR_CLIENT; role++)
                assert_int_equal(wsr_endpoint_send(pair.end[role].ep, WSR_TEXT, (wsr_slice){data, len}), WSR_OK);
            vectors_append(&expected, "text", 4);
            talk_payload(&expected, data, len);
            vectors_append(&expected, "\n", 1);
            if (len % 2 == 0)
                carry_all(&pair, pieces[i]);
        }
        carry_all(&pair, pieces[i]);
        expect_seen(&pair.end[WSR_SERVER], vectors_string(&expected));
        expect_seen(&pair.end[WSR_CLIENT], vectors_string(&expected));
        vectors_bytes_free(&expected);
        assert_int_equal(wsr_endpoint_send_fragmented(pair.end[WSR_SERVER].ep, WSR_BINARY, (wsr_slice){data, 100}, 9), WSR_OK);
        carry_all(&pair, pieces[i]);
        talk_eof(&pair.end[0], 0);
        talk_eof(&pair.end[1], 0);
        for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
            const wsr_close_record *mine = &pair.end[role].record, *theirs = &pair.end[1 - role].record;
            assert_true(mine->messages_out > 10 && mine->bytes_out > 40000);
            assert_int_equal(mine->messages_in, theirs->messages_out);
            assert_int_equal(mine->bytes_in, theirs->bytes_out);
            assert_int_equal(mine->frames_in, theirs->frames_out);
        }
        pair_free(&pair);
    }
}

/* Either end closes, or both at once; what one record says of sending the other says of receiving. */
static void two_ends_agree_how_they_closed(void **unused)
{
    (void)unused;
    for (unsigned who = 1; who <= 3; who++) { /* bit 0: the server closes; bit 1: the client */
        struct pair pair;
        pair_open(&pair, SIZE_MAX);
        for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
            pair.end[role].blocked = true;
            if ((who >> role & 1) != 0)
                assert_int_equal(wsr_endpoint_close(pair.end[role].ep, 0, (uint16_t)(4000 + role), slice(role == 0 ? "s" : "c")), WSR_OK);
        }
        if (who == 3) { /* each is fed the other's before its own has left: they cross */
            struct vectors_bytes frame[2] = {{NULL, 0, 0}, {NULL, 0, 0}};
            talk_frame(&frame[0], WSR_SERVER, 0x88, "\x0f\xa0s", 3);
            talk_frame(&frame[1], WSR_CLIENT, 0x88, "\x0f\xa1" "c", 3);
            for (int role = WSR_SERVER; role <= WSR_CLIENT; role++)
                talk_feed(&pair.end[role], frame[1 - role].ptr, frame[1 - role].len);
            vectors_bytes_free(&frame[0]);
            vectors_bytes_free(&frame[1]);
            (void)talk_flush(&pair.end[0]);
            (void)talk_flush(&pair.end[1]);
        } else {
            carry_all(&pair, SIZE_MAX);
        }
        /* RFC 6455 section 7.1.1: the server ends TCP first */
        assert_true(wsr_endpoint_wants_shutdown(pair.end[WSR_SERVER].ep));
        assert_false(wsr_endpoint_wants_shutdown(pair.end[WSR_CLIENT].ep));
        talk_eof(&pair.end[WSR_CLIENT], 0);
        talk_eof(&pair.end[WSR_SERVER], 0);
        for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
            const wsr_close_record *mine = &pair.end[role].record, *theirs = &pair.end[1 - role].record;
            assert_true(pair.end[role].is_closed);
            assert_true(mine->clean);
            assert_int_equal(mine->code_sent, theirs->code_received);
            assert_int_equal(mine->by, who == 3 ? WSR_BY_BOTH : (who >> role & 1) != 0 ? WSR_BY_LOCAL : WSR_BY_PEER);
            assert_int_equal(mine->code, who == 3 ? 4001 - role : who == 1 ? 4000 : 4001);
            assert_int_equal(mine->cause, WSR_OK);
            assert_null(mine->local_file);
        }
        pair_free(&pair);
    }
}

/* ---- configuration ---- */

static void expect_refused(const wsr_endpoint_config *config, int error)
{
    wsr_endpoint *ep = (wsr_endpoint *)0x1;
    assert_int_equal(wsr_endpoint_open(&ep, config, 0), error);
    assert_ptr_equal(ep, (wsr_endpoint *)0x1); /* "written only on success" */
}

static void a_bad_config_is_refused(void **unused)
{
    (void)unused;
    wsr_endpoint_config config = plain;
    config.role = (wsr_role)2;
    expect_refused(&config, WSR_ECONFIG);
    config = plain;
    config.size = 0;
    expect_refused(&config, WSR_ECONFIG);
    config = plain;
    config.kernels = "abacus";
    expect_refused(&config, WSR_ECONFIG);
    config = plain;
    config.limits.headers_max = 129;
    expect_refused(&config, WSR_ECONFIG);
    config = plain;
    config.limits.header_bytes_max = 63;
    expect_refused(&config, WSR_ECONFIG);
    config = plain;
    config.limits.message_bytes_max = UINT64_MAX;
    expect_refused(&config, WSR_ECONFIG);
    config = plain;
    config.limits.outbox_bytes_max = UINT64_MAX;
    expect_refused(&config, WSR_ECONFIG);
    config = plain;
    config.role = WSR_CLIENT; /* without a host */
    expect_refused(&config, WSR_ECONFIG);
    wsr_endpoint_free(NULL);
}

/* architecture.md: "Larger-than-known with a non-zero tail is an error, so old and new headers mix." Any other size was one. */
static void configs_of_other_headers_are_understood(void **unused)
{
    (void)unused;
    struct {
        wsr_endpoint_config known;
        uint64_t unknown[2];
    } larger = {.known = plain};
    wsr_endpoint *ep;
    larger.known.size = sizeof larger;
    assert_int_equal(wsr_endpoint_open(&ep, &larger.known, 0), WSR_OK);
    wsr_endpoint_free(ep);
    larger.unknown[1] = 1;
    expect_refused(&larger.known, WSR_ECONFIG);
    wsr_endpoint_config smaller = plain;
    smaller.size = offsetof(wsr_endpoint_config, manual);
    smaller.manual = true; /* behind its end: not read */
    assert_int_equal(wsr_endpoint_open(&ep, &smaller, 0), WSR_OK);
    assert_int_equal(ep->flags & WSR_EP_MANUAL, 0);
    wsr_endpoint_free(ep);
}

static void an_allocator_without_functions_is_malloc(void **unused)
{
    (void)unused;
    const wsr_allocator empty = {0};
    wsr_endpoint_config config = plain;
    config.allocator = &empty;
    wsr_endpoint *ep;
    assert_int_equal(wsr_endpoint_open(&ep, &config, 0), WSR_OK);
    wsr_endpoint_free(ep);
}

/* The greatest limits that are taken made the pool's own limit wrap round to almost nothing. */
static void the_greatest_limits_leave_room(void **unused)
{
    (void)unused;
    wsr_endpoint_config config = plain;
    config.limits.message_bytes_max = SIZE_MAX / 8;
    config.limits.outbox_bytes_max = SIZE_MAX / 8;
    struct talk talk;
    open_ok(&talk, WSR_SERVER, &config);
    size_t len = (size_t)6 << 20;
    uint8_t *data = calloc(1, len);
    assert_non_null(data);
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_BINARY, (wsr_slice){data, len}), WSR_OK);
    struct vectors_bytes frame = {NULL, 0, 0};
    talk_frame(&frame, WSR_CLIENT, 0x82, data, len);
    talk_feed_pieces(&talk, frame.ptr, frame.len, 100000);
    assert_true(begins(&talk.seen, "binary (6291456 bytes"));
    vectors_bytes_free(&frame);
    free(data);
    free_ok(&talk);
}

/* Without a source of its own a client has the library's: two of them never ask with the same key. */
static void randomness_is_the_librarys_unless_given(void **unused)
{
    (void)unused;
    wsr_endpoint_config config = plain;
    config.role = WSR_CLIENT;
    config.host = "example.com";
    char keys[2][32] = {"", ""};
    for (unsigned i = 0; i < 2; i++) {
        wsr_endpoint *ep;
        wsr_slice out[2];
        assert_int_equal(wsr_endpoint_open(&ep, &config, 0), WSR_OK);
        assert_int_equal(wsr_endpoint_drain(ep, out, 2), 1);
        const char *line = "\r\nSec-WebSocket-Key: ";
        const uint8_t *at = memmem(out[0].ptr, out[0].len, line, strlen(line));
        assert_non_null(at);
        memcpy(keys[i], at + strlen(line), 24);
        wsr_endpoint_free(ep);
    }
    assert_string_not_equal(keys[0], keys[1]);
}

/* What one endpoint may hold at all follows from its limits. */
static void small_limits_make_a_small_pool(void **unused)
{
    (void)unused;
    wsr_endpoint_config config = plain;
    config.limits.message_bytes_max = config.limits.outbox_bytes_max = 1024;
    struct talk talk;
    open_ok(&talk, WSR_SERVER, &config);
    assert_true(talk.ep->env->pool.out_bytes_max <= (size_t)8 << 20);
    free_ok(&talk);
}

static void every_set_of_kernels_may_be_asked_for(void **unused)
{
    (void)unused;
    for (unsigned i = 0; wsr_kernels_at(i) != NULL; i++) {
        wsr_endpoint_config config = plain;
        config.kernels = wsr_kernels_at(i)->name;
        struct talk talk;
        if (!wsr_kernels_at(i)->supported()) {
            expect_refused(&config, WSR_ECONFIG);
            continue;
        }
        open_ok(&talk, WSR_SERVER, &config);
        assert_ptr_equal(talk.ep->env->kernels, wsr_kernels_at(i));
        feed_frame(&talk, 0x81, "K\xc3\xb6ln");
        expect_seen(&talk, "text K\\xc3\\xb6ln\n");
        free_ok(&talk);
    }
}

static void no_room_for_events_is_the_callers_error(void **unused)
{
    (void)unused;
    struct talk talk;
    open_ok(&talk, WSR_SERVER, &plain);
    wsr_event ev[1];
    unsigned n = 9;
    size_t consumed = 9;
    uint8_t byte = 0;
    assert_int_equal(wsr_endpoint_feed(talk.ep, 0, (wsr_span){&byte, 1}, ev, 0, &n, &consumed), WSR_EINVAL);
    assert_int_equal(n + consumed, 0);
    assert_int_equal(wsr_endpoint_tick(talk.ep, 0, ev, 0, &n), WSR_EINVAL);
    assert_int_equal(wsr_endpoint_eof(talk.ep, 0, 0, ev, 0, &n), WSR_EINVAL);
    assert_int_equal(wsr_endpoint_feed(talk.ep, 0, (wsr_span){NULL, 0}, ev, 1, &n, &consumed), WSR_OK);
    assert_int_equal(n + consumed, 0);
    free_ok(&talk);
}

static void the_users_pointer_is_in_every_event(void **unused)
{
    (void)unused;
    int mark;
    wsr_endpoint_config config = plain;
    config.user = &mark;
    config.manual = true;
    struct talk talk = {.role = WSR_SERVER};
    assert_int_equal(talk_open_only(&talk, &config), WSR_OK);
    static const char request[] = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    uint8_t bytes[sizeof request + 20];
    memcpy(bytes, request, sizeof request - 1);
    struct vectors_bytes frames = {NULL, 0, 0};
    talk_frame(&frames, WSR_CLIENT, 0x81, "early", 5);
    memcpy(bytes + sizeof request - 1, frames.ptr, frames.len);
    size_t len = sizeof request - 1 + frames.len, consumed;
    vectors_bytes_free(&frames);
    wsr_event ev[4];
    unsigned n;
    /* what is behind the request waits for the answer; the answer's own OPEN is the REQUEST that was */
    assert_int_equal(wsr_endpoint_feed(talk.ep, 1, (wsr_span){bytes, len}, ev, 4, &n, &consumed), WSR_OK);
    assert_int_equal(n, 1);
    assert_int_equal(ev[0].type, WSR_EVENT_REQUEST);
    assert_ptr_equal(ev[0].user, &mark);
    assert_int_equal(consumed, sizeof request - 1);
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("x")), WSR_ESTATE);
    assert_int_equal(wsr_endpoint_refuse(talk.ep, 2, 200, NULL, slice("")), WSR_EINVAL);
    assert_int_equal(wsr_endpoint_accept(talk.ep, 2, NULL, NULL), WSR_OK);
    assert_int_equal(wsr_endpoint_accept(talk.ep, 2, NULL, NULL), WSR_ESTATE);
    assert_int_equal(wsr_endpoint_refuse(talk.ep, 2, 404, NULL, slice("")), WSR_ESTATE);
    assert_int_equal(wsr_endpoint_feed(talk.ep, 3, (wsr_span){bytes + consumed, len - consumed}, ev, 4, &n, &consumed), WSR_OK);
    assert_int_equal(n, 1);
    assert_int_equal(ev[0].type, WSR_EVENT_MESSAGE);
    assert_ptr_equal(ev[0].user, &mark);
    assert_int_equal(wsr_endpoint_eof(talk.ep, 4, 0, ev, 4, &n), WSR_OK);
    assert_int_equal(n, 1);
    assert_ptr_equal(ev[0].user, &mark);
    free_ok(&talk);
}

/* ---- sending ---- */

static void what_cannot_be_sent_is_refused(void **unused)
{
    (void)unused;
    static uint8_t large[1001];
    wsr_endpoint_config config = plain;
    config.limits.outbox_bytes_max = 1000;
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        struct talk talk = {.role = (wsr_role)role};
        assert_int_equal(talk_open_only(&talk, &config), WSR_OK);
        assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("early")), WSR_ESTATE);
        assert_int_equal(wsr_endpoint_send(talk.ep, WSR_PING, slice("early")), WSR_ESTATE);
        assert_int_equal(wsr_endpoint_send_fragmented(talk.ep, WSR_TEXT, slice("early"), 1), WSR_ESTATE);
        assert_int_equal(wsr_endpoint_close(talk.ep, 0, 1000, slice("")), WSR_ESTATE);
        talk_handshake(&talk);
        static const int wrong[] = {WSR_CONTINUATION, 3, 7, WSR_CLOSE, 11, 15, 16, 255};
        for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
            assert_int_equal(wsr_endpoint_send(talk.ep, (wsr_opcode)wrong[i], slice("x")), WSR_EINVAL);
            assert_int_equal(wsr_endpoint_send_fragmented(talk.ep, (wsr_opcode)wrong[i], slice("x"), 1), WSR_EINVAL);
        }
        assert_int_equal(wsr_endpoint_send_fragmented(talk.ep, WSR_PING, slice("x"), 1), WSR_EINVAL);
        assert_int_equal(wsr_endpoint_send_fragmented(talk.ep, WSR_TEXT, slice("x"), 0), WSR_EINVAL);
        assert_int_equal(wsr_endpoint_send(talk.ep, WSR_BINARY, (wsr_slice){large, 1001}), WSR_ETOOBIG);
        assert_int_equal(wsr_endpoint_send_fragmented(talk.ep, WSR_BINARY, (wsr_slice){large, 1001}, 10), WSR_ETOOBIG);
        assert_int_equal(wsr_endpoint_send(talk.ep, WSR_PING, (wsr_slice){large, 126}), WSR_ETOOBIG);
        assert_int_equal(wsr_endpoint_send(talk.ep, WSR_PONG, (wsr_slice){large, 126}), WSR_ETOOBIG);
        assert_int_equal(wsr_endpoint_outbox_bytes(talk.ep), 0);
        assert_int_equal(wsr_endpoint_send(talk.ep, WSR_BINARY, (wsr_slice){large, 1000}), WSR_OK); /* into an empty outbox, always */
        assert_int_equal(wsr_endpoint_outbox_bytes(talk.ep), 1000 + (role == WSR_SERVER ? 4 : 8));
        assert_int_equal(wsr_endpoint_send(talk.ep, WSR_PING, (wsr_slice){large, 125}), WSR_OK); /* the limit is not for it */
        assert_int_equal(wsr_endpoint_close(talk.ep, 0, 1000, slice("")), WSR_OK);
        assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("late")), WSR_ESTATE);
        assert_int_equal(wsr_endpoint_send(talk.ep, WSR_PONG, slice("late")), WSR_ESTATE);
        assert_int_equal(wsr_endpoint_close(talk.ep, 0, 1000, slice("")), WSR_ESTATE);
        free_ok(&talk);
    }
}

static void what_cannot_be_said_at_a_close_is_refused(void **unused)
{
    (void)unused;
    struct talk talk;
    open_ok(&talk, WSR_SERVER, &plain);
    static const char long_reason[] = "0123456789012345678901234567890123456789012345678901234567890123456789"
                                      "012345678901234567890123456789012345678901234567890123"; /* 124 */
    static const uint16_t wrong[] = {1, 999, 1004, 1006, 1010, 1015, 1016, 2999, 5000, 65535};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(wsr_endpoint_close(talk.ep, 0, wrong[i], slice("")), WSR_EBADCODE);
    assert_int_equal(wsr_endpoint_close(talk.ep, 0, 0, slice("why")), WSR_EBADCODE);
    assert_int_equal(wsr_endpoint_close(talk.ep, 0, 1005, slice("why")), WSR_EBADCODE);
    assert_int_equal(wsr_endpoint_close(talk.ep, 0, 1000, slice("\xff")), WSR_EBADUTF8);
    assert_int_equal(wsr_endpoint_close(talk.ep, 0, 1000, slice("\xe2\x82")), WSR_EBADUTF8);
    assert_int_equal(wsr_endpoint_close(talk.ep, 0, 1000, slice(long_reason)), WSR_ETOOBIG);
    assert_int_equal(wsr_endpoint_outbox_bytes(talk.ep), 0);
    assert_int_equal(wsr_endpoint_close(talk.ep, 0, 1000, slice(long_reason + 1)), WSR_OK);
    (void)talk_flush(&talk);
    assert_int_equal(talk.sent.len, 2 + 125);
    free_ok(&talk);
    /* no code: an empty Close, whether it was called 0 or 1005 */
    for (uint16_t code = 0; code <= 1005; code = (uint16_t)(code + 1005)) {
        open_ok(&talk, WSR_CLIENT, &plain);
        assert_int_equal(wsr_endpoint_close(talk.ep, 0, code, (wsr_slice){NULL, 0}), WSR_OK);
        (void)talk_flush(&talk);
        expect_sent(&talk, "close\n");
        feed_frame(&talk, 0x88, "");
        talk_eof(&talk, 0);
        assert_int_equal(talk.record.code, 1005);
        assert_int_equal(talk.record.code_sent, 1005);
        assert_int_equal(talk.record.code_received, 1005);
        free_ok(&talk);
    }
}

static void fragments_go_out_as_one_message(void **unused)
{
    (void)unused;
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        struct talk talk;
        open_ok(&talk, (wsr_role)role, &plain);
        assert_int_equal(wsr_endpoint_send_fragmented(talk.ep, WSR_TEXT, slice("abcde"), 2), WSR_OK);
        assert_int_equal(wsr_endpoint_send(talk.ep, WSR_PING, slice("p")), WSR_OK);
        (void)talk_flush(&talk);
        expect_sent(&talk, "ping p\ntext... ab\ncontinuation... cd\ncontinuation e\n");
        talk_eof(&talk, 0);
        assert_int_equal(talk.record.messages_out, 1);
        assert_int_equal(talk.record.bytes_out, 5);
        assert_int_equal(talk.record.frames_out, 4);
        free_ok(&talk);
    }
}

/* RFC 6455 section 5.3: a fresh key for every frame, from the source of randomness and nowhere else. */
static void a_client_masks_every_frame_with_a_fresh_key(void **unused)
{
    (void)unused;
    struct talk talk;
    open_ok(&talk, WSR_CLIENT, &plain);
    talk.random_counter = 100;
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("same")), WSR_OK);
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("same")), WSR_OK);
    (void)talk_flush(&talk);
    feed_frame(&talk, 0x89, "p");
    assert_int_equal(wsr_endpoint_send_fragmented(talk.ep, WSR_BINARY, slice("fg"), 1), WSR_OK);
    assert_int_equal(wsr_endpoint_close(talk.ep, 0, 1000, slice("")), WSR_OK);
    (void)talk_flush(&talk);
    uint32_t counter = 100;
    for (size_t at = 0; at < talk.sent.len;) {
        wsr_frame_header header;
        assert_true(wsr_frame_header_decode((wsr_slice){talk.sent.ptr + at, talk.sent.len - at}, &header) > 0);
        uint32_t key = ++counter * UINT32_C(2654435761);
        assert_true(header.masked);
        assert_memory_equal(header.masking_key, &key, 4);
        at += header.header_len + (size_t)header.payload_len;
    }
    assert_int_equal(counter, 106);
    expect_sent(&talk, "text same\ntext same\npong p\nbinary... f\ncontinuation g\nclose 1000\n");
    free_ok(&talk);
}

/* Nothing is half done: what was refused can be tried again. */
static void without_random_bytes_a_client_sends_nothing(void **unused)
{
    (void)unused;
    struct talk talk;
    open_ok(&talk, WSR_CLIENT, &plain);
    talk.no_random = true;
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("x")), WSR_ERANDOM);
    assert_int_equal(wsr_endpoint_send_fragmented(talk.ep, WSR_TEXT, slice("xy"), 1), WSR_ERANDOM);
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_PING, slice("x")), WSR_ERANDOM);
    assert_int_equal(wsr_endpoint_close(talk.ep, 0, 1000, slice("why")), WSR_ERANDOM);
    talk.no_random = false;
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("y")), WSR_OK);
    assert_int_equal(wsr_endpoint_close(talk.ep, 0, 1001, slice("")), WSR_OK);
    (void)talk_flush(&talk);
    expect_sent(&talk, "text y\nclose 1001\n");
    free_ok(&talk);
    /* a ping that cannot be answered ends it, and the record says why */
    open_ok(&talk, WSR_CLIENT, &plain);
    talk.no_random = true;
    feed_frame(&talk, 0x89, "p");
    assert_true(talk.is_closed);
    assert_int_equal(talk.record.cause, WSR_ERANDOM);
    assert_int_equal(talk.record.code, 1006);
    assert_int_equal(talk.record.code_sent, 0);
    assert_int_equal(talk.sent.len, 0);
    free_ok(&talk);
}

/* A server that has no random bytes does not need any. */
static void a_server_needs_no_random_bytes(void **unused)
{
    (void)unused;
    struct talk talk = {.role = WSR_SERVER, .no_random = true};
    assert_int_equal(talk_open(&talk, &plain), WSR_OK);
    assert_true(talk.is_open);
    feed_frame(&talk, 0x89, "p");
    expect_sent(&talk, "pong p\n");
    free_ok(&talk);
}

/* ---- WRITABLE ---- */

static void writable_comes_when_the_refused_message_fits(void **unused)
{
    (void)unused;
    static uint8_t data[1000];
    wsr_endpoint_config config = plain;
    config.limits.outbox_bytes_max = 1000;
    struct talk talk;
    open_ok(&talk, WSR_SERVER, &config);
    talk.blocked = true;
    for (unsigned i = 0; i < 4; i++) /* 204 on the wire each */
        assert_int_equal(wsr_endpoint_send(talk.ep, WSR_BINARY, (wsr_slice){data, 200}), WSR_OK);
    talk_tick(&talk);
    expect_seen(&talk, ""); /* nothing was refused yet */
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_BINARY, (wsr_slice){data, 200}), WSR_EFULL);
    assert_true(wsr_endpoint_deadline(talk.ep) > talk.now_ns);
    talk_tick(&talk);
    expect_seen(&talk, "");
    assert_int_equal(talk_take(&talk, 315), 315); /* 501 left: more than half */
    talk_tick(&talk);
    expect_seen(&talk, "");
    assert_int_equal(talk_take(&talk, 1), 1);
    assert_int_equal(wsr_endpoint_deadline(talk.ep), 0); /* an event waits: nobody needs to guess */
    talk_tick(&talk);
    expect_seen(&talk, "writable\n");
    assert_true(wsr_endpoint_deadline(talk.ep) > talk.now_ns);
    talk_tick(&talk);
    expect_seen(&talk, ""); /* once */
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_BINARY, (wsr_slice){data, 200}), WSR_OK);
    /* a message that needs all of it: half empty is not enough, and a WRITABLE would have been a lie */
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_BINARY, (wsr_slice){data, 1000}), WSR_EFULL);
    (void)talk_take(&talk, 600);
    talk_tick(&talk);
    expect_seen(&talk, "");
    (void)talk_flush(&talk);
    feed_frame(&talk, 0x81, "x"); /* a feed brings it as well as a tick */
    expect_seen(&talk, "text x\nwritable\n");
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_BINARY, (wsr_slice){data, 1000}), WSR_OK);
    /* pings are exempt, so refusing none of them owes nothing */
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_PING, slice("")), WSR_OK);
    (void)talk_flush(&talk);
    talk_tick(&talk);
    expect_seen(&talk, "");
    free_ok(&talk);
}

static void nothing_is_writable_after_a_close(void **unused)
{
    (void)unused;
    static uint8_t data[1000];
    wsr_endpoint_config config = plain;
    config.limits.outbox_bytes_max = 1000;
    struct talk talk;
    open_ok(&talk, WSR_CLIENT, &config);
    talk.blocked = true;
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_BINARY, (wsr_slice){data, 900}), WSR_OK);
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_BINARY, (wsr_slice){data, 900}), WSR_EFULL);
    assert_int_equal(wsr_endpoint_close(talk.ep, talk.now_ns, 1000, slice("")), WSR_OK);
    (void)talk_flush(&talk);
    talk_tick(&talk);
    expect_seen(&talk, "");
    free_ok(&talk);
}

/* ---- deadlines, in virtual time ---- */

static void the_handshake_has_a_total_deadline(void **unused)
{
    (void)unused;
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        struct talk talk = {.role = (wsr_role)role, .now_ns = 5 * SECOND};
        assert_int_equal(talk_open_only(&talk, &plain), WSR_OK);
        assert_true(wsr_endpoint_deadline(talk.ep) == 15 * SECOND);
        (void)talk_flush(&talk);
        talk.sent.len = 0;
        talk.now_ns = 14 * SECOND;
        talk_feed(&talk, (const uint8_t *)(role == WSR_SERVER ? "GET / " : "HTTP/1.1"), 6); /* not moved by a trickle */
        assert_true(wsr_endpoint_deadline(talk.ep) == 15 * SECOND);
        talk.now_ns = 15 * SECOND - 1;
        talk_tick(&talk);
        assert_int_equal(talk.ep->flags & WSR_EP_FAILED_HANDSHAKE, 0);
        talk.now_ns++;
        talk_tick(&talk);
        if (role == WSR_SERVER)
            assert_memory_equal(talk.sent.ptr, "HTTP/1.1 408 ", 13);
        assert_true(wsr_endpoint_wants_shutdown(talk.ep));
        assert_false(talk.is_closed);
        assert_true(wsr_endpoint_deadline(talk.ep) == 20 * SECOND);
        talk.now_ns = 20 * SECOND; /* the peer keeps its end open */
        talk_tick(&talk);
        assert_true(talk.is_closed);
        assert_int_equal(talk.record.cause, WSR_ETIMEOUT_HANDSHAKE);
        assert_int_equal(talk.record.http_status, role == WSR_SERVER ? 408 : 0);
        assert_int_equal(talk.record.code, 1006);
        assert_int_equal(talk.record.by, WSR_BY_NOBODY);
        assert_int_equal(talk.ep->env->handshakes_failed, 1);
        assert_true(talk.record.lifetime_ns == 15 * SECOND);
        assert_true(wsr_endpoint_deadline(talk.ep) == UINT64_MAX);
        free_ok(&talk);
    }
}

static void silence_ends_a_connection(void **unused)
{
    (void)unused;
    wsr_endpoint_config config = plain;
    config.limits.idle_timeout_ns = 30 * SECOND;
    struct talk talk;
    open_ok(&talk, WSR_SERVER, &config);
    assert_true(wsr_endpoint_deadline(talk.ep) == 31 * SECOND); /* no pings unless asked for */
    talk.now_ns = 20 * SECOND;
    talk_feed(&talk, (const uint8_t *)"\x81", 1); /* a byte is a sign of life */
    assert_true(wsr_endpoint_deadline(talk.ep) == 50 * SECOND);
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("x")), WSR_OK);
    (void)talk_flush(&talk); /* what we send is none of the peer's */
    talk.now_ns = 50 * SECOND - 1;
    talk_tick(&talk);
    expect_sent(&talk, "text x\n");
    talk.now_ns++;
    talk_tick(&talk);
    assert_true(talk.sent.len > 0);
    struct vectors_bytes text = {NULL, 0, 0};
    (void)talk_describe(&text, talk.sent.ptr, talk.sent.len);
    assert_true(begins(&text, "close 1001 nothing was received"));
    vectors_bytes_free(&text);
    assert_true(wsr_endpoint_deadline(talk.ep) == 50 * SECOND + SECOND / 4);
    talk_eof(&talk, 0);
    assert_int_equal(talk.record.cause, WSR_ETIMEOUT_IDLE);
    assert_int_equal(talk.record.by, WSR_BY_LOCAL);
    assert_int_equal(talk.record.code, 1001);
    assert_false(talk.record.clean);
    free_ok(&talk);
}

static void a_silent_peer_is_pinged_and_then_taken_for_dead(void **unused)
{
    (void)unused;
    wsr_endpoint_config config = plain;
    config.limits.idle_timeout_ns = 30 * SECOND;
    config.limits.ping_interval_ns = 10 * SECOND;
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        struct talk talk;
        open_ok(&talk, (wsr_role)role, &config);
        assert_true(wsr_endpoint_deadline(talk.ep) == 11 * SECOND);
        talk.now_ns = 11 * SECOND;
        talk_tick(&talk);
        assert_int_equal(talk.sent.len, role == WSR_SERVER ? 14 : 18); /* its payload: see test_keepalive.c */
        talk.sent.len = 0;
        assert_true(wsr_endpoint_deadline(talk.ep) == 31 * SECOND); /* one ping a silence */
        talk.now_ns = 12 * SECOND;
        feed_frame(&talk, 0x8a, "");
        expect_seen(&talk, "pong\n");
        assert_true(wsr_endpoint_deadline(talk.ep) == 22 * SECOND);
        talk.now_ns = 23 * SECOND; /* the clock may be late */
        talk_tick(&talk);
        assert_int_equal(talk.sent.len, role == WSR_SERVER ? 14 : 18);
        talk.sent.len = 0;
        talk.now_ns = 43 * SECOND; /* and then so is the end: it has its 20 s to answer */
        talk_tick(&talk);
        assert_true(talk.sent.len > 0);
        assert_true(wsr_endpoint_deadline(talk.ep) == 43 * SECOND + SECOND / 4); /* the Close left; a dead peer's answer is not waited for */
        talk.now_ns = 43 * SECOND + SECOND / 4;
        talk_tick(&talk);
        assert_true(talk.is_closed);
        assert_int_equal(talk.record.cause, WSR_ETIMEOUT_PING);
        assert_int_equal(talk.record.code, 1001);
        free_ok(&talk);
    }
}

/* Our Close is queued, and nothing moves: drop what stands before it, then give up; each within the close time. */
static void a_blocked_close_ends_in_two_deadlines(void **unused)
{
    (void)unused;
    struct talk talk;
    open_ok(&talk, WSR_SERVER, &plain);
    talk.blocked = true;
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("flies")), WSR_OK);
    wsr_slice out[4];
    assert_int_equal(wsr_endpoint_drain(talk.ep, out, 4), 1);
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("waits")), WSR_OK);
    assert_int_equal(wsr_endpoint_close(talk.ep, talk.now_ns, 1000, slice("")), WSR_OK);
    assert_true(wsr_endpoint_deadline(talk.ep) == 6 * SECOND);
    talk.now_ns = 6 * SECOND;
    talk_tick(&talk);
    assert_true(wsr_endpoint_deadline(talk.ep) == 11 * SECOND);
    feed_frame(&talk, 0x81, "ignored now");
    talk.now_ns = 11 * SECOND;
    talk_tick(&talk);
    assert_true(talk.is_closed);
    assert_int_equal(talk.record.code, 1006);
    assert_int_equal(talk.record.code_sent, 0); /* it never left */
    assert_int_equal(talk.record.cause, WSR_ETIMEOUT_CLOSE);
    assert_int_equal(talk.record.by, WSR_BY_LOCAL);
    assert_int_equal(talk.record.messages_out, 2);
    assert_int_equal(talk.record.messages_undelivered, 1);
    assert_int_equal(talk.record.bytes_undelivered, 5);
    assert_int_equal(talk.record.messages_unconfirmed, 1);
    assert_int_equal(talk.record.messages_in, 0);
    free_ok(&talk);
}

static void an_unanswered_close_has_a_deadline(void **unused)
{
    (void)unused;
    wsr_endpoint_config config = plain;
    config.limits.close_timeout_ns = 3 * SECOND;
    struct talk talk;
    open_ok(&talk, WSR_CLIENT, &config);
    assert_int_equal(wsr_endpoint_close(talk.ep, talk.now_ns, 1000, slice("")), WSR_OK);
    talk.now_ns = 2 * SECOND;
    (void)talk_flush(&talk);
    assert_true(wsr_endpoint_deadline(talk.ep) == 5 * SECOND); /* afresh, now that it has left */
    talk.now_ns = 5 * SECOND;
    talk_tick(&talk);
    assert_true(talk.is_closed);
    assert_int_equal(talk.record.code, 1000);
    assert_int_equal(talk.record.cause, WSR_ETIMEOUT_CLOSE);
    assert_false(talk.record.clean);
    free_ok(&talk);
}

/* Both Closes passed, but the peer keeps the stream open. */
static void lingering_has_a_deadline(void **unused)
{
    (void)unused;
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        struct talk talk;
        open_ok(&talk, (wsr_role)role, &plain);
        feed_frame(&talk, 0x88, "\x03\xe8");
        expect_sent(&talk, "close 1000\n");
        assert_int_equal(wsr_endpoint_wants_shutdown(talk.ep), role == WSR_SERVER);
        assert_false(talk.is_closed);
        assert_true(wsr_endpoint_deadline(talk.ep) == 6 * SECOND);
        talk.now_ns = 6 * SECOND;
        talk_tick(&talk);
        assert_true(talk.is_closed);
        assert_int_equal(talk.record.code, 1000);
        assert_int_equal(talk.record.by, WSR_BY_PEER);
        assert_int_equal(talk.record.cause, WSR_ETIMEOUT_CLOSE);
        assert_false(talk.record.clean);
        free_ok(&talk);
    }
}

static void deadlines_do_not_wrap_round(void **unused)
{
    (void)unused;
    wsr_endpoint_config config = plain;
    config.limits.handshake_timeout_ns = config.limits.idle_timeout_ns = config.limits.close_timeout_ns = UINT64_MAX;
    config.limits.ping_interval_ns = UINT64_MAX - 1;
    struct talk talk = {.role = WSR_SERVER, .now_ns = SECOND};
    assert_int_equal(talk_open_only(&talk, &config), WSR_OK);
    assert_true(wsr_endpoint_deadline(talk.ep) == UINT64_MAX);
    talk_handshake(&talk);
    assert_true(wsr_endpoint_deadline(talk.ep) == UINT64_MAX);
    assert_int_equal(wsr_endpoint_close(talk.ep, talk.now_ns, 1000, slice("")), WSR_OK);
    assert_true(wsr_endpoint_deadline(talk.ep) == UINT64_MAX);
    talk_tick(&talk);
    assert_false(talk.is_closed);
    free_ok(&talk);
}

/* ---- the record's counts ---- */

/*
 * Five messages (one in fragments, one empty), of which the transport takes the first `taken` bytes; then the end, in one of
 * five ways. Every message is on the wire in whole, or unconfirmed, or undelivered: never two of these, never none.
 */
static void every_message_is_accounted_for(void **unused)
{
    (void)unused;
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        for (unsigned how = 0; how < 5; how++) {
            for (size_t taken = 0;; taken++) {
                struct talk talk;
                open_ok(&talk, (wsr_role)role, &plain);
                talk.blocked = true;
                assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("one")), WSR_OK);
                assert_int_equal(wsr_endpoint_send(talk.ep, WSR_BINARY, slice("")), WSR_OK);
                assert_int_equal(wsr_endpoint_send_fragmented(talk.ep, WSR_TEXT, slice("12345"), 2), WSR_OK);
                wsr_slice out[8];
                unsigned n = wsr_endpoint_drain(talk.ep, out, 8);
                size_t flying = 0;
                for (unsigned i = 0; i < n; i++)
                    flying += out[i].len;
                assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("queued")), WSR_OK);
                assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("queued too")), WSR_OK);
                const size_t total = wsr_endpoint_outbox_bytes(talk.ep);
                assert_int_equal(talk_take(&talk, taken), taken);
                struct wsr_batch none = {NULL, 0, 0, talk.now_ns};
                switch (how) {
                case 0:
                    talk_eof(&talk, 0);
                    break;
                case 1:
                    talk_eof(&talk, ECONNRESET);
                    break;
                case 2:
                    wsr_endpoint_send_failed(talk.ep, &none, EPIPE);
                    talk_eof(&talk, 0);
                    break;
                case 3:
                    wsr_endpoint_abort(talk.ep, talk.now_ns, "here.c", 42);
                    break;
                default: /* a failure: the Close goes behind what flies, but never leaves */
                    feed_frame(&talk, 0x83, "");
                    talk_eof(&talk, ECONNRESET);
                }
                assert_int_equal(wsr_endpoint_drain(talk.ep, out, 8), 0); /* it is over: nothing leaves that was counted */
                talk_tick(&talk);
                assert_true(talk.is_closed);
                /* whole frames on the wire, of which messages */
                struct vectors_bytes text = {NULL, 0, 0};
                size_t whole = 0;
                for (size_t len = taken; len > 0; len--) {
                    text.len = 0;
                    if (!talk_describe(&text, talk.sent.ptr, len))
                        continue;
                    for (const char *p = vectors_string(&text); *p != '\0'; p += strcspn(p, "\n") + 1)
                        whole += strncmp(p, "text...", 7) != 0 && strncmp(p, "continuation...", 15) != 0;
                    break;
                }
                vectors_bytes_free(&text);
                const wsr_close_record *r = &talk.record;
                assert_int_equal(r->messages_out, 5);
                assert_int_equal(r->bytes_out, 3 + 5 + 6 + 10);
                assert_int_equal(whole + r->messages_unconfirmed + r->messages_undelivered, 5);
                assert_int_equal(talk.ep->env->messages_undelivered, r->messages_undelivered);
                assert_int_equal(talk.ep->env->messages_unconfirmed, r->messages_unconfirmed);
                assert_int_equal(talk.ep->env->handshakes_failed, 0);
                if (taken < flying) {
                    assert_int_equal(r->messages_undelivered, 2);
                    assert_int_equal(r->bytes_undelivered, 16);
                }
                static const int causes[5] = {WSR_ETRUNCATED, WSR_ERESET, WSR_ERESET, WSR_EABORTED, WSR_EOPCODE};
                static const int errnos[5] = {0, ECONNRESET, EPIPE, 0, 0};
                assert_int_equal(r->cause, causes[how]);
                assert_int_equal(r->sys_errno, errnos[how]);
                assert_int_equal(r->code, 1006);
                assert_int_equal(r->by, how >= 3 ? WSR_BY_LOCAL : WSR_BY_NOBODY);
                assert_false(r->clean);
                assert_int_equal(r->local_line, how == 3 ? 42 : 0);
                free_ok(&talk);
                if (taken == total)
                    break;
            }
        }
    }
}

static void a_failures_close_drops_the_queue_and_goes_next(void **unused)
{
    (void)unused;
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        struct talk talk;
        open_ok(&talk, (wsr_role)role, &plain);
        talk.blocked = true;
        assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("begun")), WSR_OK);
        assert_int_equal(talk_take(&talk, 3), 3);
        assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("dropped")), WSR_OK);
        feed_frame(&talk, 0xb1, "");
        assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("late")), WSR_ESTATE);
        assert_int_equal(wsr_endpoint_close(talk.ep, 0, 1000, slice("")), WSR_ESTATE);
        (void)talk_flush(&talk);
        expect_sent(&talk, "text begun\nclose 1002 a reserved bit was set and no extension gives it a meaning\n");
        assert_int_equal(wsr_endpoint_wants_shutdown(talk.ep), role == WSR_SERVER);
        feed_frame(&talk, 0x88, "\x03\xea"); /* the peer's answer is not read any more */
        talk_eof(&talk, 0);
        assert_int_equal(talk.record.messages_undelivered, 1);
        assert_int_equal(talk.record.bytes_undelivered, 7);
        assert_int_equal(talk.record.messages_unconfirmed, 0);
        assert_int_equal(talk.record.code_sent, 1002);
        assert_int_equal(talk.record.code_received, 0);
        assert_false(talk.record.clean);
        free_ok(&talk);
    }
}

/* A Close is said to have been sent when the transport has its last byte, and no byte earlier. */
static void a_close_has_left_with_its_last_byte(void **unused)
{
    (void)unused;
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        const size_t total = (role == WSR_SERVER ? 2u : 6u) * 2 + 4 + 2; /* "data", then the Close */
        for (size_t taken = 0; taken <= total; taken++) {
            struct talk talk;
            open_ok(&talk, (wsr_role)role, &plain);
            talk.blocked = true;
            assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("data")), WSR_OK);
            assert_int_equal(wsr_endpoint_close(talk.ep, talk.now_ns, 4001, slice("")), WSR_OK);
            assert_int_equal(wsr_endpoint_outbox_bytes(talk.ep), total);
            for (size_t i = 0; i < taken; i++)
                assert_int_equal(talk_take(&talk, 1), 1);
            talk_eof(&talk, ECONNRESET);
            assert_true(talk.is_closed);
            assert_int_equal(talk.record.code_sent, taken == total ? 4001 : 0);
            assert_int_equal(talk.record.code, taken == total ? 4001 : 1006);
            assert_int_equal(talk.record.messages_unconfirmed + talk.record.messages_undelivered, taken < total - (role == WSR_SERVER ? 4 : 8));
            free_ok(&talk);
        }
    }
}

static void the_caller_of_a_close_is_noted(void **unused)
{
    (void)unused;
    struct talk talk;
    open_ok(&talk, WSR_SERVER, &plain);
    assert_int_equal(wsr_endpoint_close_at(talk.ep, 0, 1000, slice("bye"), "app.c", 7), WSR_OK);
    (void)talk_flush(&talk);
    wsr_endpoint_abort(talk.ep, 0, "other.c", 8); /* the first one stands */
    wsr_endpoint_abort(talk.ep, 0, "other.c", 9);
    talk_tick(&talk);
    assert_true(talk.is_closed);
    assert_string_equal(talk.record.local_file, "app.c");
    assert_int_equal(talk.record.local_line, 7);
    assert_string_equal(talk.record.reason, "bye");
    assert_int_equal(talk.record.cause, WSR_EABORTED);
    free_ok(&talk);
}

/* ---- the end ---- */

static void after_closed_nothing_happens(void **unused)
{
    (void)unused;
    struct talk talk;
    open_ok(&talk, WSR_SERVER, &plain);
    talk.blocked = true;
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("x")), WSR_OK);
    talk_eof(&talk, 0);
    assert_true(talk.is_closed);
    struct wsr_batch none = {NULL, 0, 0, 0};
    /* talk fails the test at any event behind CLOSED */
    feed_frame(&talk, 0x81, "x");
    talk_feed(&talk, (const uint8_t *)"garbage", 7);
    talk_eof(&talk, 0);
    talk_eof(&talk, ECONNRESET);
    wsr_endpoint_send_failed(talk.ep, &none, EPIPE);
    wsr_endpoint_abort(talk.ep, 0, NULL, 0);
    wsr_endpoint_fail(talk.ep, 0, WSR_ENOMEM);
    talk.now_ns = UINT64_MAX;
    talk_tick(&talk);
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("x")), WSR_ESTATE);
    assert_int_equal(wsr_endpoint_close(talk.ep, 0, 1000, slice("")), WSR_ESTATE);
    assert_int_equal(wsr_endpoint_accept(talk.ep, 0, NULL, NULL), WSR_ESTATE);
    assert_int_equal(wsr_endpoint_refuse(talk.ep, 0, 404, NULL, slice("")), WSR_ESTATE);
    wsr_slice out[2];
    assert_int_equal(wsr_endpoint_drain(talk.ep, out, 2), 0);
    assert_true(wsr_endpoint_deadline(talk.ep) == UINT64_MAX);
    assert_false(wsr_endpoint_wants_shutdown(talk.ep));
    free_ok(&talk);
}

/* An event that finds no room is not lost: the deadline says so, and a tick brings it. */
static void an_event_without_room_waits(void **unused)
{
    (void)unused;
    static uint8_t data[1000];
    wsr_endpoint_config config = plain;
    config.limits.outbox_bytes_max = 1000;
    struct talk talk;
    open_ok(&talk, WSR_SERVER, &config);
    struct wsr_batch none = {NULL, 0, 0, talk.now_ns};
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_BINARY, (wsr_slice){data, 900}), WSR_OK);
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_BINARY, (wsr_slice){data, 900}), WSR_EFULL);
    assert_false(wsr_endpoint_settle(talk.ep, &none)); /* not due yet */
    (void)talk_flush(&talk);
    assert_true(wsr_endpoint_settle(talk.ep, &none));
    assert_int_equal(wsr_endpoint_deadline(talk.ep), 0);
    talk_tick(&talk);
    expect_seen(&talk, "writable\n");
    wsr_endpoint_ended(talk.ep, &none, WSR_ETRUNCATED, 0);
    assert_true(wsr_endpoint_is_over(talk.ep));
    assert_int_equal(wsr_endpoint_deadline(talk.ep), 0);
    assert_false(talk.is_closed);
    talk_tick(&talk);
    assert_true(talk.is_closed);
    assert_true(wsr_endpoint_deadline(talk.ep) == UINT64_MAX);
    free_ok(&talk);
}

/* What is sent to the peer as the reason of its failure is the error's text, so that must fit into a Close. */
static void every_failure_says_why(void **unused)
{
    (void)unused;
    for (int error = -1; error > -200; error--) {
        uint16_t code = wsr_error_close_code(error);
        if (code == 0 && error != WSR_EINVAL) /* which stands for those that have none, and so is an internal error */
            continue;
        struct talk talk;
        open_ok(&talk, WSR_CLIENT, &plain);
        wsr_endpoint_fail(talk.ep, talk.now_ns, error);
        (void)talk_flush(&talk);
        char line[256];
        (void)snprintf(line, sizeof line, "close %d %s\n", code != 0 ? code : 1011, wsr_error_text(error));
        expect_sent(&talk, line);
        talk_eof(&talk, 0);
        assert_int_equal(talk.record.cause, error);
        assert_string_equal(talk.record.reason, wsr_error_text(error));
        free_ok(&talk);
    }
}

/* Both ends had agreed to close, so a transport that breaks then has nothing to tell but that it was not clean. */
static void a_send_error_after_the_peers_close_is_no_cause(void **unused)
{
    (void)unused;
    struct talk talk;
    open_ok(&talk, WSR_SERVER, &plain);
    talk.blocked = true;
    feed_frame(&talk, 0x88, "\x03\xe8");
    struct wsr_batch none = {NULL, 0, 0, talk.now_ns};
    wsr_endpoint_send_failed(talk.ep, &none, EPIPE);
    talk_tick(&talk);
    assert_true(talk.is_closed);
    assert_int_equal(talk.record.code, 1000);
    assert_int_equal(talk.record.code_sent, 0);
    assert_int_equal(talk.record.cause, WSR_OK);
    assert_false(talk.record.clean);
    free_ok(&talk);
}

/* Nothing can be sent any more, but the peer's Close says why, and its last messages are worth having. */
static void after_a_send_error_the_peers_last_words_are_read(void **unused)
{
    (void)unused;
    struct talk talk;
    open_ok(&talk, WSR_SERVER, &plain);
    struct wsr_batch none = {NULL, 0, 0, talk.now_ns};
    wsr_endpoint_send_failed(talk.ep, &none, EPIPE);
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_TEXT, slice("x")), WSR_ESTATE);
    feed_frame(&talk, 0x89, "not answered");
    feed_frame(&talk, 0x81, "last");
    feed_frame(&talk, 0x88, "\x03\xf5" "restart");
    assert_true(talk.is_closed);
    assert_int_equal(talk.sent.len, 0);
    assert_true(begins(&talk.seen, "ping not answered\nlate text last\nclosed 1013 WSR_ERESET by peer"));
    assert_int_equal(talk.record.sys_errno, EPIPE);
    assert_string_equal(talk.record.reason, "restart");
    free_ok(&talk);
    /* and without any, the deadline ends it */
    open_ok(&talk, WSR_CLIENT, &plain);
    wsr_endpoint_send_failed(talk.ep, &none, EPIPE);
    assert_true(wsr_endpoint_deadline(talk.ep) == 6 * SECOND);
    talk.now_ns = 6 * SECOND;
    talk_tick(&talk);
    assert_true(talk.is_closed);
    assert_int_equal(talk.record.cause, WSR_ERESET);
    free_ok(&talk);
}

/* The stream ends before our answer to a bad frame has left: it still does (close.h, LAST). */
static void a_half_closing_peer_gets_its_answer(void **unused)
{
    (void)unused;
    for (int bad = 0; bad < 2; bad++) {
        struct talk talk;
        open_ok(&talk, WSR_SERVER, &plain);
        talk.blocked = true;
        if (bad != 0)
            feed_frame(&talk, 0x83, "");
        else
            feed_frame(&talk, 0x88, "\x03\xe8");
        talk_eof(&talk, 0);
        assert_false(talk.is_closed);
        (void)talk_flush(&talk);
        talk_tick(&talk);
        assert_true(talk.is_closed);
        assert_int_equal(talk.record.clean, bad == 0);
        assert_int_equal(talk.record.code_sent, bad != 0 ? 1002 : 1000);
        assert_int_equal(talk.record.cause, bad != 0 ? WSR_EOPCODE : WSR_OK);
        free_ok(&talk);
    }
}

/* A failure before OPEN put a Close frame where the peer expects HTTP. */
static void a_failure_before_open_sends_no_frame(void **unused)
{
    (void)unused;
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        struct talk talk = {.role = (wsr_role)role};
        assert_int_equal(talk_open_only(&talk, &plain), WSR_OK);
        (void)talk_flush(&talk);
        talk.sent.len = 0;
        wsr_endpoint_fail(talk.ep, 0, WSR_ENOMEM);
        talk_tick(&talk);
        assert_true(talk.is_closed);
        assert_int_equal(talk.record.cause, WSR_ENOMEM);
        assert_int_equal(talk.record.code, 1006);
        assert_int_equal(talk.sent.len, 0);
        free_ok(&talk);
    }
    /* one that has been answered keeps its answer, and its cause */
    struct talk talk = {.role = WSR_SERVER, .blocked = true};
    assert_int_equal(talk_open_only(&talk, &plain), WSR_OK);
    talk_feed(&talk, (const uint8_t *)"POST / HTTP/1.1\r\nHost: h\r\n\r\n", 29);
    wsr_endpoint_fail(talk.ep, 0, WSR_ENOMEM);
    assert_false(wsr_endpoint_wants_shutdown(talk.ep)); /* not before it has left */
    (void)talk_flush(&talk);
    assert_true(wsr_endpoint_wants_shutdown(talk.ep));
    assert_memory_equal(talk.sent.ptr, "HTTP/1.1 405 ", 13);
    talk_eof(&talk, 0);
    assert_int_equal(talk.record.cause, WSR_EHANDSHAKE);
    assert_int_equal(talk.record.http_status, 405);
    free_ok(&talk);
}

/* A transport that fails while there is no connection yet: the handshake's deadline, or its end, is the end. */
static void a_send_error_in_the_handshake_ends_it_in_time(void **unused)
{
    (void)unused;
    struct talk talk = {.role = WSR_CLIENT};
    assert_int_equal(talk_open_only(&talk, &plain), WSR_OK);
    struct wsr_batch none = {NULL, 0, 0, 0};
    wsr_endpoint_send_failed(talk.ep, &none, ECONNREFUSED);
    while (!talk.is_closed) {
        assert_true(wsr_endpoint_deadline(talk.ep) <= 20 * SECOND && wsr_endpoint_deadline(talk.ep) > talk.now_ns);
        talk.now_ns = wsr_endpoint_deadline(talk.ep);
        talk_tick(&talk);
    }
    assert_int_equal(talk.record.cause, WSR_ERESET);
    assert_int_equal(talk.record.sys_errno, ECONNREFUSED);
    free_ok(&talk);
}

/*
 * The transport may hold back what ends the stream until its end is there, and nothing else: a client's Close that answers, say,
 * has nothing behind it, since the server ends TCP first.
 */
static void only_what_ends_the_stream_is_called_its_end(void **unused)
{
    (void)unused;
    for (unsigned client = 0; client < 2; client++) {
        for (unsigned state = WSR_CS_OPEN; state < WSR_CS_COUNT; state++) {
            struct wsr_endpoint ep = {.flags = client ? WSR_EP_MASKS : 0, .close = {.state = (uint8_t)state}};
            const bool servers = state == WSR_CS_RECEIVED || state == WSR_CS_FAILED;
            assert_int_equal(wsr_endpoint_ends(&ep), state == WSR_CS_LAST || (servers && !client));
            ep.flags |= WSR_EP_SHUTDOWN;
            assert_true(wsr_endpoint_ends(&ep));
        }
    }
}

/* Time is an argument, and somebody's clock may go back, whatever endpoint.h asks for: nothing ends early, or lasts for ever, by it. */
static void a_clock_that_goes_back_harms_nobody(void **unused)
{
    (void)unused;
    struct talk talk = {.role = WSR_SERVER, .now_ns = 100 * SECOND};
    const wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    assert_int_equal(talk_open(&talk, &config), WSR_OK);
    talk.now_ns = 50 * SECOND;
    talk_tick(&talk);
    assert_int_equal(wsr_endpoint_ping(talk.ep, talk.now_ns), WSR_OK);
    (void)talk_flush(&talk);
    talk.now_ns = 1;
    talk_tick(&talk);
    assert_false(talk.is_closed);
    talk_eof(&talk, 0);
    assert_true(talk.is_closed);
    assert_int_equal(talk.record.lifetime_ns, 0);
    free_ok(&talk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_ends_talk_in_pieces_of_any_size),
        cmocka_unit_test(two_ends_agree_how_they_closed),
        cmocka_unit_test(a_bad_config_is_refused),
        cmocka_unit_test(configs_of_other_headers_are_understood),
        cmocka_unit_test(an_allocator_without_functions_is_malloc),
        cmocka_unit_test(the_greatest_limits_leave_room),
        cmocka_unit_test(randomness_is_the_librarys_unless_given),
        cmocka_unit_test(small_limits_make_a_small_pool),
        cmocka_unit_test(every_set_of_kernels_may_be_asked_for),
        cmocka_unit_test(no_room_for_events_is_the_callers_error),
        cmocka_unit_test(the_users_pointer_is_in_every_event),
        cmocka_unit_test(what_cannot_be_sent_is_refused),
        cmocka_unit_test(what_cannot_be_said_at_a_close_is_refused),
        cmocka_unit_test(fragments_go_out_as_one_message),
        cmocka_unit_test(a_client_masks_every_frame_with_a_fresh_key),
        cmocka_unit_test(without_random_bytes_a_client_sends_nothing),
        cmocka_unit_test(a_server_needs_no_random_bytes),
        cmocka_unit_test(writable_comes_when_the_refused_message_fits),
        cmocka_unit_test(nothing_is_writable_after_a_close),
        cmocka_unit_test(the_handshake_has_a_total_deadline),
        cmocka_unit_test(silence_ends_a_connection),
        cmocka_unit_test(a_silent_peer_is_pinged_and_then_taken_for_dead),
        cmocka_unit_test(a_blocked_close_ends_in_two_deadlines),
        cmocka_unit_test(an_unanswered_close_has_a_deadline),
        cmocka_unit_test(lingering_has_a_deadline),
        cmocka_unit_test(deadlines_do_not_wrap_round),
        cmocka_unit_test(every_message_is_accounted_for),
        cmocka_unit_test(a_failures_close_drops_the_queue_and_goes_next),
        cmocka_unit_test(a_close_has_left_with_its_last_byte),
        cmocka_unit_test(the_caller_of_a_close_is_noted),
        cmocka_unit_test(after_closed_nothing_happens),
        cmocka_unit_test(an_event_without_room_waits),
        cmocka_unit_test(every_failure_says_why),
        cmocka_unit_test(a_send_error_after_the_peers_close_is_no_cause),
        cmocka_unit_test(after_a_send_error_the_peers_last_words_are_read),
        cmocka_unit_test(a_half_closing_peer_gets_its_answer),
        cmocka_unit_test(a_failure_before_open_sends_no_frame),
        cmocka_unit_test(a_send_error_in_the_handshake_ends_it_in_time),
        cmocka_unit_test(only_what_ends_the_stream_is_called_its_end),
        cmocka_unit_test(a_clock_that_goes_back_harms_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
