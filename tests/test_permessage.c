/*
 * tests/test_permessage.c - permessage-deflate through an endpoint, both roles (RFC 7692 section 7.2): what goes in comes out,
 * whatever was agreed on, and what is sent is compressed where it pays. Limits and memory are test_permessage_memory.c's, the
 * codecs alone test_deflate.c's, the offers test_deflate_offer.c's; single frames, good and bad, are tests/vectors/frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/pm.h"
#include "proto/permessage.h"

#define RSV1_TEXT 0xC1

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
    talk_feed(&pair->end[pm_other(from)], talk->sent.ptr + pair->read[from], take);
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
        pm_free_ok(&pair->end[role]);
    }
}

/* Messages of every kind, both ways, whole and in fragments: each arrives as what it was. Returns how many came compressed. */
static unsigned long converse(struct pair *pair, unsigned messages, size_t piece)
{
    static uint8_t p[70000];
    static const size_t sizes[] = {0, 1, 100, 127, 128, 129, 200, 300, 1000, 2047, 2048, 5000, 66000};
    uint64_t bytes[2] = {0, 0};
    for (unsigned i = 0; i < messages; i++) {
        wsr_role from = (wsr_role)(pm_next_random() % 2);
        struct talk *talk = &pair->end[from], *to = &pair->end[pm_other(from)];
        static const wsr_opcode opcodes[] = {WSR_TEXT, WSR_BINARY, WSR_TEXT, WSR_BINARY, WSR_TEXT_PLAIN, WSR_BINARY_PLAIN};
        wsr_opcode opcode = opcodes[pm_next_random() % 6];
        size_t len = sizes[pm_next_random() % 13];
        if (((unsigned)opcode & 3) == WSR_BINARY && pm_next_random() % 2 == 0)
            pm_fill_noise(p, len);
        else
            pm_fill_words(p, len);
        struct vectors_bytes line = {NULL, 0, 0};
        pm_put_line(&line, ((unsigned)opcode & 3) == WSR_TEXT ? "text" : "binary", p, len);
        wsr_slice payload = {p, len};
        int error = pm_next_random() % 3 == 0 ? wsr_endpoint_send_fragmented(talk->ep, opcode, payload, 1 + pm_next_random() % 900)
                                           : wsr_endpoint_send(talk->ep, opcode, payload);
        assert_int_equal(error, WSR_OK);
        bytes[from] += len;
        carry_all(pair, piece);
        pm_expect_seen(to, vectors_string(&line));
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
        wsr_deflate server = {.on = true, .threshold_bytes = 1 + pm_next_random() % 200}, client = server;
        server.send_takeover = client.receive_takeover = (i & 1) != 0;
        server.receive_takeover = client.send_takeover = (i & 2) != 0;
        server.send_window_bits = bits[pm_next_random() % 4];
        server.receive_window_bits = bits[pm_next_random() % 4];
        client.send_window_bits = bits[pm_next_random() % 4];
        client.receive_window_bits = bits[pm_next_random() % 4];
        server.level = (uint8_t)(pm_next_random() % 10);
        client.level = (uint8_t)(pm_next_random() % 3);
        struct pair pair;
        pair_open(&pair, &server, &client);
        deflated += converse(&pair, 40, i % 4 == 3 ? 1 + pm_next_random() % 40 : 1 + pm_next_random() % 100000);
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
        assert_null(wsr_permessage_of(pair.end[WSR_SERVER].ep));
        assert_null(wsr_permessage_of(pair.end[WSR_CLIENT].ep));
        for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
            pm_feed_frame(&pair.end[role], RSV1_TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
            pm_expect_failed(&pair.end[role], WSR_ERSV, 1002);
            pm_free_ok(&pair.end[role]);
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
        pm_fill_words(text, sizeof text);
        text[5000] = 0xFF;
        deflated_put(deflated, &payload, text, 5001, false);
        const size_t bad_at = payload.len;
        deflated_put(deflated, &payload, text + 5001, sizeof text - 5001, true);
        talk_frame(&frame, pm_other((wsr_role)role), RSV1_TEXT, payload.ptr, payload.len);
        pm_open_ok(&talk, (wsr_role)role, true);
        talk_feed_pieces(&talk, frame.ptr, frame.len - payload.len + bad_at, 1);
        pm_expect_failed(&talk, WSR_EUTF8, 1007);
        pm_free_ok(&talk);
        deflated_close(deflated);
        vectors_bytes_free(&payload);
        vectors_bytes_free(&frame);
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

/* Below the threshold, if asked to, and where it would not be smaller: as it is. With takeover history must stay true: compressed. */
static void which_messages_are_compressed(void **unused)
{
    (void)unused;
    uint8_t words[300], noise[300];
    pm_fill_words(words, sizeof words);
    pm_fill_noise(noise, sizeof noise);
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        for (int takeover = 0; takeover < 2; takeover++) {
            for (uint8_t level = 0; level < 3; level++) {
                wsr_endpoint_config config = pm_config_of(takeover != 0);
                struct talk talk;
                config.deflate.level = level;
                pm_open_with(&talk, (wsr_role)role, &config);
                assert_int_equal(pm_send_bytes(&talk, WSR_TEXT, words, 127), WSR_OK);
                assert_int_equal(pm_send_bytes(&talk, WSR_TEXT, words, 128), WSR_OK);
                assert_int_equal(pm_send_bytes(&talk, WSR_BINARY, words, 300), WSR_OK);
                assert_int_equal(pm_send_bytes(&talk, WSR_TEXT_PLAIN, words, 300), WSR_OK);
                assert_int_equal(pm_send_bytes(&talk, WSR_BINARY_PLAIN, words, 300), WSR_OK);
                expect_kinds(&talk, "text,deflated text,deflated binary,text,binary,");
                assert_int_equal(pm_send_bytes(&talk, WSR_BINARY, noise, 300), WSR_OK);
                expect_kinds(&talk, takeover != 0 ? "deflated binary," : "binary,");
                wsr_slice slice = {words, 300};
                assert_int_equal(wsr_endpoint_send_fragmented(talk.ep, WSR_TEXT, slice, 2), WSR_OK);
                (void)talk_flush(&talk);
                struct vectors_bytes text = {NULL, 0, 0};
                assert_true(talk_describe(&text, talk.sent.ptr, talk.sent.len));
                assert_int_equal(strncmp(vectors_string(&text), "deflated text... ", 17), 0);
                assert_null(strstr(vectors_string(&text) + 1, "deflated"));
                vectors_bytes_free(&text);
                pm_free_ok(&talk);
            }
        }
    }
    struct talk talk;
    wsr_endpoint_config config = pm_config_of(false);
    config.deflate.threshold_bytes = 1;
    pm_open_with(&talk, WSR_SERVER, &config);
    memset(words, 'x', sizeof words);
    assert_int_equal(pm_send_bytes(&talk, WSR_TEXT, words, 20), WSR_OK);
    assert_int_equal(pm_send_bytes(&talk, WSR_TEXT, words, 1), WSR_OK);
    assert_int_equal(pm_send_bytes(&talk, WSR_TEXT, words, 0), WSR_OK);
    expect_kinds(&talk, "deflated text,text,text,");
    pm_free_ok(&talk);
}

/* With takeover, messages that resemble each other get much smaller. */
static void takeover_pays(void **unused)
{
    (void)unused;
    size_t bytes[2] = {0, 0};
    for (int takeover = 0; takeover < 2; takeover++) {
        struct talk talk;
        uint8_t p[300];
        pm_open_ok(&talk, WSR_SERVER, takeover != 0);
        for (unsigned i = 0; i < 100; i++) {
            pm_fill_words(p, sizeof p);
            assert_int_equal(pm_send_bytes(&talk, WSR_TEXT, p, sizeof p), WSR_OK);
        }
        (void)talk_flush(&talk);
        bytes[takeover] = talk.sent.len;
        pm_free_ok(&talk);
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
        pm_fill_noise(p[i], sizeof p[i]);
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
            int error = pm_send_bytes(talk, WSR_BINARY, message, sizeof p[0]);
            talk->no_random = false;
            talk->heap.fail_from = 0;
            if (error == WSR_OK)
                pm_put_line(&lines, "binary", message, sizeof p[0]);
            else
                failed++;
            if (i % 4 == 0)
                carry_all(&pair, SIZE_MAX);
        }
        carry_all(&pair, SIZE_MAX);
        pm_expect_seen(to, vectors_string(&lines));
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
    pm_fill_words(p, sizeof p);
    pm_open_ok(&talk, WSR_SERVER, true);
    assert_int_equal(pm_send_bytes(&talk, WSR_TEXT, p, sizeof p), WSR_OK);
    assert_int_equal(wsr_endpoint_close(talk.ep, 1, 1000, (wsr_slice){NULL, 0}), WSR_OK);
    assert_int_equal(pm_send_bytes(&talk, WSR_TEXT, p, sizeof p), WSR_ESTATE);
    expect_kinds(&talk, "deflated text,close,");
    pm_feed_frame(&talk, RSV1_TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    pm_feed_frame(&talk, RSV1_TEXT, "\xf2\x00\x11\x00\x00", 5);
    pm_expect_seen(&talk, "late text Hello\nlate text Hello\n");
    pm_feed_frame(&talk, 0x88, "\x03\xe8", 2);
    talk_eof(&talk, 0);
    assert_true(talk.record.clean);
    assert_int_equal(talk.record.bytes_in, 10);
    assert_int_equal(talk.record.bytes_out, 300);
    pm_free_ok(&talk);
}

/* A peer that does not read: compressed messages in the outbox are dropped with the rest, and counted. */
static void what_is_dropped_is_counted(void **unused)
{
    (void)unused;
    uint8_t p[300];
    struct talk talk;
    pm_fill_words(p, sizeof p);
    pm_open_ok(&talk, WSR_SERVER, true);
    talk.blocked = true;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pm_send_bytes(&talk, WSR_TEXT, p, sizeof p), WSR_OK);
    pm_feed_frame(&talk, RSV1_TEXT, "\x06", 1);
    talk.blocked = false;
    expect_kinds(&talk, "close,");
    talk_eof(&talk, 0);
    assert_int_equal(talk.record.messages_out, 3);
    assert_int_equal(talk.record.bytes_out, 900);
    assert_int_equal(talk.record.messages_undelivered, 3);
    assert_in_range(talk.record.bytes_undelivered, 50, 400);
    pm_free_ok(&talk);
}

/* An application that answers by itself: what was agreed on is said in its answer, be it later; and goes with a refusal. */
static void a_request_that_waits_is_agreed_on_too(void **unused)
{
    (void)unused;
    for (int accepts = 0; accepts < 2; accepts++) {
        static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
        wsr_endpoint_config config = pm_config_of(true);
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
            pm_feed_frame(&talk, RSV1_TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
            pm_expect_seen(&talk, "text Hello\n");
        }
        pm_free_ok(&talk);
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
            pm_free_ok(&talk);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_ends_understand_each_other),
        cmocka_unit_test(off_on_either_side_is_off),
        cmocka_unit_test(a_bad_byte_fails_at_once),
        cmocka_unit_test(which_messages_are_compressed),
        cmocka_unit_test(takeover_pays),
        cmocka_unit_test(what_could_not_be_queued_is_forgotten),
        cmocka_unit_test(messages_around_a_close),
        cmocka_unit_test(what_is_dropped_is_counted),
        cmocka_unit_test(a_request_that_waits_is_agreed_on_too),
        cmocka_unit_test(a_bad_config_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
