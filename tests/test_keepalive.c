/*
 * tests/test_keepalive.c - an endpoint's own pings: when they go out, what their answers measure, which pongs the application
 * sees, and when a peer is taken for dead. Time is a number here; the engine's share is sim_keepalive.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wsring/frame.h>

#include "lib/talk.h"

#define MS UINT64_C(1000000)

enum { PAYLOAD_LEN = 12 };

static wsr_role peer_of(wsr_role role)
{
    return role == WSR_SERVER ? WSR_CLIENT : WSR_SERVER;
}

static void open_ok(struct talk *talk, wsr_role role, const wsr_limits *limits)
{
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.limits = *limits;
    *talk = (struct talk){.role = role, .now_ns = 1000 * MS};
    assert_int_equal(talk_open(talk, &config), WSR_OK);
    assert_true(talk->is_open);
    talk->seen.len = 0;
}

static void free_ok(struct talk *talk)
{
    assert_true(talk_free(talk));
}

/* The payload of the ping that was sent, the only thing sent since the last look. */
static void sent_ping(struct talk *talk, uint8_t payload[PAYLOAD_LEN])
{
    wsr_frame_header header;
    int n = wsr_frame_header_decode((wsr_slice){talk->sent.ptr, talk->sent.len}, &header);
    assert_true(n > 0);
    assert_int_equal(header.first, WSR_FIN | WSR_PING);
    assert_int_equal(header.payload_len, PAYLOAD_LEN);
    assert_int_equal(talk->sent.len, (size_t)n + PAYLOAD_LEN);
    for (size_t i = 0; i < PAYLOAD_LEN; i++)
        payload[i] = talk->sent.ptr[(size_t)n + i] ^ header.masking_key[i % 4];
    talk->sent.len = 0;
}

static void receive(struct talk *talk, uint8_t first, const void *payload, size_t len)
{
    struct vectors_bytes in = {NULL, 0, 0};
    talk_frame(&in, peer_of(talk->role), first, payload, len);
    talk_feed(talk, in.ptr, in.len);
    vectors_bytes_free(&in);
}

static void pong(struct talk *talk, const uint8_t payload[PAYLOAD_LEN])
{
    receive(talk, 0x8A, payload, PAYLOAD_LEN);
}

static void expect_seen(struct talk *talk, const char *text)
{
    if (text[0] == '\0')
        assert_int_equal(talk->seen.len, 0);
    else
        assert_string_equal(vectors_string(&talk->seen), text);
    vectors_bytes_free(&talk->seen);
    talk->seen = (struct vectors_bytes){NULL, 0, 0};
}

/* In milliseconds, both: that is what it must be able to. */
static const wsr_limits quick = {.ping_interval_ns = 5 * MS, .ping_timeout_ns = 2 * MS};

static void an_answer_measures_the_round_trip(void **unused)
{
    (void)unused;
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        struct talk talk;
        uint8_t payload[PAYLOAD_LEN], second[PAYLOAD_LEN];
        open_ok(&talk, (wsr_role)role, &quick);
        assert_int_equal(wsr_endpoint_round_trip_ns(talk.ep), 0);
        assert_int_equal(wsr_endpoint_deadline(talk.ep), 1005 * MS);
        talk.now_ns = 1005 * MS - 1;
        talk_tick(&talk);
        assert_int_equal(talk.sent.len, 0);
        talk.now_ns = 1005 * MS;
        talk_tick(&talk);
        sent_ping(&talk, payload);
        assert_int_equal(wsr_endpoint_deadline(talk.ep), 1007 * MS);
        assert_int_equal(wsr_endpoint_round_trip_ns(talk.ep), 0);
        talk.now_ns += 1234567;
        pong(&talk, payload);
        expect_seen(&talk, ""); /* no news for the application */
        assert_int_equal(wsr_endpoint_round_trip_ns(talk.ep), 1234567);
        assert_int_equal(wsr_endpoint_deadline(talk.ep), talk.now_ns + 5 * MS);

        talk.now_ns += 5 * MS;
        talk_tick(&talk);
        sent_ping(&talk, second);
        assert_memory_not_equal(payload, second, PAYLOAD_LEN);
        assert_int_equal(wsr_endpoint_round_trip_ns(talk.ep), 1234567); /* until there is a newer one */
        talk.now_ns += 1;
        pong(&talk, second);
        assert_int_equal(wsr_endpoint_round_trip_ns(talk.ep), 1);
        talk_eof(&talk, 0);
        assert_int_equal(talk.record.round_trip_ns, 1);
        free_ok(&talk);
    }
}

static void a_round_trip_of_no_time_is_one(void **unused)
{
    (void)unused;
    struct talk talk;
    uint8_t payload[PAYLOAD_LEN];
    open_ok(&talk, WSR_SERVER, &quick);
    talk.now_ns += 5 * MS;
    talk_tick(&talk);
    sent_ping(&talk, payload);
    pong(&talk, payload);
    assert_int_equal(wsr_endpoint_round_trip_ns(talk.ep), 1); /* 0 is "none yet" */
    free_ok(&talk);
}

/* Of several pings the last counts; answers to older ones are known, and say nothing new. */
static void a_late_answer_measures_nothing(void **unused)
{
    (void)unused;
    struct talk talk;
    uint8_t first[PAYLOAD_LEN], second[PAYLOAD_LEN];
    open_ok(&talk, WSR_SERVER, &quick);
    talk.now_ns += 5 * MS;
    talk_tick(&talk);
    sent_ping(&talk, first);
    talk.now_ns += 1 * MS;
    receive(&talk, 0x82, "x", 1); /* it lives; the silence begins anew */
    talk.now_ns += 5 * MS;
    talk_tick(&talk);
    sent_ping(&talk, second);
    vectors_bytes_free(&talk.seen);
    talk.seen = (struct vectors_bytes){NULL, 0, 0};
    talk.now_ns += 1 * MS;
    pong(&talk, first);
    assert_int_equal(wsr_endpoint_round_trip_ns(talk.ep), 0);
    pong(&talk, second);
    assert_int_equal(wsr_endpoint_round_trip_ns(talk.ep), 1 * MS);
    talk.now_ns += 1 * MS;
    pong(&talk, second); /* once more: it was answered */
    assert_int_equal(wsr_endpoint_round_trip_ns(talk.ep), 1 * MS);
    expect_seen(&talk, "");
    free_ok(&talk);
}

static void other_pongs_are_the_application_s(void **unused)
{
    (void)unused;
    struct talk talk;
    uint8_t payload[PAYLOAD_LEN], zeros[PAYLOAD_LEN] = {0};
    open_ok(&talk, WSR_SERVER, &quick);
    pong(&talk, zeros); /* before there was any ping, its tag would be zeros */
    expect_seen(&talk, "pong \\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\n");
    assert_int_equal(wsr_endpoint_send(talk.ep, WSR_PING, (wsr_slice){(const uint8_t *)"mine", 4}), WSR_OK);
    receive(&talk, 0x8A, "mine", 4);
    receive(&talk, 0x8A, "", 0);
    expect_seen(&talk, "pong mine\npong\n");
    talk.sent.len = 0;
    talk.now_ns += 5 * MS;
    talk_tick(&talk);
    sent_ping(&talk, payload);
    receive(&talk, 0x8A, payload, PAYLOAD_LEN - 1);
    assert_true(talk.seen.len > 0);
    talk.seen.len = 0;
    for (size_t i = 0; i < 8; i++) { /* another's tag */
        payload[i] ^= 1;
        pong(&talk, payload);
        assert_true(talk.seen.len > 0);
        talk.seen.len = 0;
        payload[i] ^= 1;
    }
    assert_int_equal(wsr_endpoint_round_trip_ns(talk.ep), 0);
    pong(&talk, payload);
    assert_int_equal(talk.seen.len, 0);
    assert_true(wsr_endpoint_round_trip_ns(talk.ep) != 0);
    free_ok(&talk);
}

static void no_answer_in_time_is_a_dead_peer(void **unused)
{
    (void)unused;
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        struct talk talk;
        uint8_t payload[PAYLOAD_LEN];
        open_ok(&talk, (wsr_role)role, &quick);
        talk.now_ns = 1005 * MS;
        talk_tick(&talk);
        sent_ping(&talk, payload);
        talk.now_ns = 1007 * MS - 1;
        talk_tick(&talk);
        assert_int_equal(talk.sent.len, 0);
        talk.now_ns = 1007 * MS;
        talk_tick(&talk);
        struct vectors_bytes sent = {NULL, 0, 0};
        assert_true(talk_describe(&sent, talk.sent.ptr, talk.sent.len));
        assert_int_equal(strncmp(vectors_string(&sent), "close 1001 ", 11), 0);
        vectors_bytes_free(&sent);
        talk_eof(&talk, 0);
        talk_tick(&talk);
        assert_true(talk.is_closed);
        assert_int_equal(talk.record.cause, WSR_ETIMEOUT_PING);
        assert_int_equal(talk.record.by, WSR_BY_LOCAL);
        free_ok(&talk);
    }
}

/* Anything at all shows that it lives: a peer may be busy sending a large message, and answer behind it. */
static void a_byte_is_enough_to_live(void **unused)
{
    (void)unused;
    struct talk talk;
    uint8_t payload[PAYLOAD_LEN];
    open_ok(&talk, WSR_SERVER, &quick);
    talk.now_ns = 1005 * MS;
    talk_tick(&talk);
    sent_ping(&talk, payload);
    talk.now_ns = 1007 * MS - 1;
    talk_feed(&talk, (const uint8_t *)"\x82", 1);
    assert_int_equal(wsr_endpoint_deadline(talk.ep), talk.now_ns + 5 * MS);
    talk.now_ns = 1007 * MS;
    talk_tick(&talk);
    assert_int_equal(talk.sent.len, 0);
    free_ok(&talk);
}

static void without_its_own_deadline_the_idle_one_judges(void **unused)
{
    (void)unused;
    static const wsr_limits limits = {.ping_interval_ns = 5 * MS, .idle_timeout_ns = 50 * MS};
    struct talk talk;
    open_ok(&talk, WSR_SERVER, &limits);
    talk.now_ns = 1005 * MS;
    talk_tick(&talk);
    assert_int_equal(wsr_endpoint_deadline(talk.ep), 1050 * MS);
    talk.now_ns = 1050 * MS;
    talk_tick(&talk);
    talk_eof(&talk, 0);
    assert_int_equal(talk.record.cause, WSR_ETIMEOUT_PING); /* it was asked, too */
    free_ok(&talk);
}

/* Nobody let time pass here: a peer is pinged before it is judged, and has the time that it would have had. */
static void nobody_is_judged_unasked(void **unused)
{
    (void)unused;
    static const wsr_limits limits = {.ping_interval_ns = 5 * MS, .idle_timeout_ns = 50 * MS};
    struct talk talk;
    uint8_t payload[PAYLOAD_LEN];
    open_ok(&talk, WSR_SERVER, &limits);
    talk.now_ns = 9000 * MS;
    talk_tick(&talk);
    sent_ping(&talk, payload);
    assert_int_equal(wsr_endpoint_deadline(talk.ep), 9045 * MS);
    talk.now_ns = 9045 * MS - 1;
    talk_tick(&talk);
    assert_int_equal(talk.sent.len, 0);
    talk.now_ns = 9045 * MS;
    talk_tick(&talk);
    assert_true(talk.sent.len > 0);
    free_ok(&talk);
    /* one that was asked for early does not bring the end nearer */
    open_ok(&talk, WSR_SERVER, &limits);
    assert_int_equal(wsr_endpoint_ping(talk.ep, talk.now_ns), WSR_OK);
    assert_int_equal(wsr_endpoint_deadline(talk.ep), 1050 * MS);
    free_ok(&talk);
}

static void one_can_be_asked_for(void **unused)
{
    (void)unused;
    static const wsr_limits limits = {.ping_timeout_ns = 20 * MS}; /* no interval */
    struct talk talk;
    uint8_t payload[PAYLOAD_LEN];
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.limits = limits;
    talk = (struct talk){.role = WSR_CLIENT, .now_ns = 1000 * MS};
    assert_int_equal(talk_open_only(&talk, &config), WSR_OK);
    assert_int_equal(wsr_endpoint_ping(talk.ep, talk.now_ns), WSR_ESTATE);
    talk_handshake(&talk);
    talk.seen.len = 0;
    assert_int_equal(wsr_endpoint_ping(talk.ep, talk.now_ns), WSR_OK);
    (void)talk_flush(&talk);
    sent_ping(&talk, payload);
    assert_int_equal(wsr_endpoint_deadline(talk.ep), 1020 * MS);
    talk.now_ns += 3 * MS;
    pong(&talk, payload);
    assert_int_equal(wsr_endpoint_round_trip_ns(talk.ep), 3 * MS);
    assert_int_equal(wsr_endpoint_close(talk.ep, talk.now_ns, 1000, (wsr_slice){NULL, 0}), WSR_OK);
    assert_int_equal(wsr_endpoint_ping(talk.ep, talk.now_ns), WSR_ESTATE);
    free_ok(&talk);
}

/* Without random bytes or memory there is no ping; that is no reason to end, and nobody was asked. */
static void without_a_ping_nobody_is_dead(void **unused)
{
    (void)unused;
    static const wsr_limits limits = {.ping_interval_ns = 5 * MS, .ping_timeout_ns = 2 * MS, .idle_timeout_ns = 50 * MS};
    for (int memory = 0; memory < 2; memory++) {
        struct talk talk;
        open_ok(&talk, WSR_SERVER, &limits);
        talk.no_random = memory == 0;
        talk.heap.fail_from = memory == 1 ? talk.heap.calls + 1 : 0;
        talk.now_ns = 1005 * MS;
        talk_tick(&talk);
        assert_int_equal(wsr_endpoint_ping(talk.ep, talk.now_ns), memory == 0 ? WSR_ERANDOM : WSR_ENOMEM);
        assert_int_equal(talk.sent.len, 0);
        assert_int_equal(wsr_endpoint_deadline(talk.ep), 1050 * MS);
        talk.no_random = false;
        talk.heap.fail_from = 0;
        talk.now_ns = 1050 * MS;
        talk_tick(&talk);
        talk_eof(&talk, 0);
        assert_int_equal(talk.record.cause, WSR_ETIMEOUT_IDLE);
        free_ok(&talk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_measures_the_round_trip),
        cmocka_unit_test(a_round_trip_of_no_time_is_one),
        cmocka_unit_test(a_late_answer_measures_nothing),
        cmocka_unit_test(other_pongs_are_the_application_s),
        cmocka_unit_test(no_answer_in_time_is_a_dead_peer),
        cmocka_unit_test(a_byte_is_enough_to_live),
        cmocka_unit_test(without_its_own_deadline_the_idle_one_judges),
        cmocka_unit_test(nobody_is_judged_unasked),
        cmocka_unit_test(one_can_be_asked_for),
        cmocka_unit_test(without_a_ping_nobody_is_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
