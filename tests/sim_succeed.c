/*
 * tests/sim_succeed.c - make before break, in virtual time: a successor is there before the connection it succeeds is closed, no
 * message is lost or doubled over it, and it is the successor that comes back. And a crowd of clients shares its host's bucket.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conn/engine.h"
#include "lib/back.h"
#include "sim/sim.h"

static struct back b;

/* The server answers no pings and says nothing for days: none are sent, and nobody minds. */
static void begin_with(uint32_t connections_max)
{
    const wsr_config config = {.size = sizeof config, .connections_max = connections_max, .limits = {.ping_interval_ns = UINT64_MAX, .idle_timeout_ns = UINT64_MAX}};
    sim_reset(1);
    back_open(&b, &config);
    b.random = BACK_HIGHEST;
}

static void begin(void)
{
    begin_with(0);
}

static void expect_figures(uint64_t open, uint64_t closed)
{
    wsr_engine_statistics stats;
    wsr_engine_stats(b.engine, &stats, sizeof stats);
    assert_int_equal(stats.open, open);
    assert_int_equal(stats.closed, closed);
}

/* Feeds of both connections run side by side until the application has handed over; then the engine closes the old one. */
static void nothing_is_lost_between_the_two(void **unused)
{
    (void)unused;
    static int mark;
    wsr_conn successor, again;
    begin();
    b.config.headers = "X-A: b\r\n";
    back_connect_open(&b);
    assert_int_equal(wsr_set_user(b.engine, b.conn, &mark), WSR_OK);
    struct back_peer *old_peer = b.peer;
    assert_int_equal(wsr_succeed(b.engine, b.conn, &successor), WSR_OK);
    assert_true(successor != b.conn);
    assert_int_equal(wsr_succeed(b.engine, b.conn, &again), WSR_ESTATE);
    assert_int_equal(wsr_succeed(b.engine, successor, &again), WSR_ESTATE);
    back_frame(&b, 0x81, "while it is made", 16);
    assert_int_equal(wsr_send(b.engine, b.conn, WSR_TEXT, SLICE("old one goes on")), WSR_OK);
    assert_string_equal(back_next(&b, WSR_EVENT_MESSAGE, SECOND)->data, "while it is made");
    const struct back_event *event = back_next(&b, WSR_EVENT_OPEN, SECOND);
    assert_true(event->conn == successor && event->token == b.conn && event->flags == WSR_EVENT_SUCCESSOR && event->user == &mark);
    assert_non_null(strstr(b.peer->request, "X-A: b\r\n"));
    const uint64_t open_ns = event->time_ns;
    struct back_peer *new_peer = b.peer;
    expect_figures(2, 0);
    assert_int_equal(wsr_succeed(b.engine, successor, &again), WSR_ESTATE); /* while the handover lasts */

    for (unsigned i = 0; i < 4; i++) { /* both speak, both are heard */
        b.peer = old_peer;
        back_frame(&b, 0x81, "old", 3);
        b.peer = new_peer;
        back_frame(&b, 0x81, "new", 3);
        assert_int_equal(wsr_send(b.engine, b.conn, WSR_TEXT, SLICE("o")), WSR_OK);
        assert_int_equal(wsr_send(b.engine, successor, WSR_TEXT, SLICE("n")), WSR_OK);
        back_pass(&b, SECOND);
        assert_true(back_next(&b, WSR_EVENT_MESSAGE, 0)->conn == b.conn);
        assert_true(back_next(&b, WSR_EVENT_MESSAGE, 0)->conn == successor);
    }
    back_pass(&b, SECOND + LATE);
    assert_string_equal(old_peer->got, "old one goes on|o|o|o|o|close 1000|");
    assert_string_equal(new_peer->got, "n|n|n|n|");
    assert_in_range(sim_now_ns() - open_ns, 5 * SECOND, 5 * SECOND + 4 * MS);
    b.peer = old_peer; /* which says goodbye, too */
    const uint8_t code[2] = {0x03, 0xE8};
    back_frame(&b, 0x88, code, 2);
    back_peer_gone(old_peer, false);
    event = back_next(&b, WSR_EVENT_CLOSED, SECOND);
    assert_true(event->conn == b.conn && event->record.by == WSR_BY_LOCAL && event->record.clean && event->close_code == 1000);
    expect_figures(1, 1);

    b.peer = new_peer; /* it is the successor that comes back */
    back_close_frame(&b, 1001);
    assert_true(back_next(&b, WSR_EVENT_RECONNECTING, SECOND)->conn == successor);
    event = back_next(&b, WSR_EVENT_OPEN, 6 * SECOND);
    assert_true(event->conn == successor && event->token == 0 && event->flags == 0);
    back_close(&b);
}

/* The application need not wait for the handover's time, and may want the next successor within it: that one has a time of its own. */
static void each_handover_has_its_own_time(void **unused)
{
    (void)unused;
    wsr_conn first, second;
    begin();
    back_connect_open(&b);
    struct back_peer *old_peer = b.peer;
    assert_int_equal(wsr_succeed(b.engine, b.conn, &first), WSR_OK);
    assert_true(back_next(&b, WSR_EVENT_OPEN, SECOND)->token == b.conn);
    struct back_peer *first_peer = b.peer;
    assert_int_equal(wsr_close(b.engine, b.conn, 1000, SLICE("")), WSR_OK);
    back_pass(&b, MS);
    b.peer = old_peer;
    const uint8_t code[2] = {0x03, 0xE8};
    back_frame(&b, 0x88, code, 2);
    back_peer_gone(old_peer, false);
    assert_true(back_next(&b, WSR_EVENT_CLOSED, SECOND)->conn == b.conn);
    back_pass(&b, 2 * SECOND);
    b.peer = first_peer;
    back_frame(&b, 0x81, "on", 2);
    assert_true(back_next(&b, WSR_EVENT_MESSAGE, SECOND)->conn == first);

    assert_int_equal(wsr_succeed(b.engine, first, &second), WSR_OK);
    const struct back_event *event = back_next(&b, WSR_EVENT_OPEN, SECOND);
    assert_true(event->conn == second && event->token == first && event->flags == WSR_EVENT_SUCCESSOR);
    back_pass(&b, 5 * SECOND - 10 * MS);
    assert_string_equal(first_peer->got, "");
    back_pass(&b, LATE + 10 * MS);
    assert_string_equal(first_peer->got, "close 1000|");
    back_close(&b);
}

/* The old one ends while its successor is on its way, or the application closes it: CLOSED, whatever a policy would say. */
static void the_old_one_s_end_is_its_end(void **unused)
{
    (void)unused;
    for (unsigned local = 0; local < 2; local++) {
        wsr_conn successor;
        begin();
        back_connect_open(&b);
        b.answer = "";
        struct back_peer *old_peer = b.peer;
        assert_int_equal(wsr_succeed(b.engine, b.conn, &successor), WSR_OK);
        back_pass(&b, 10 * MS);
        if (local) {
            assert_int_equal(wsr_abort(b.engine, b.conn), WSR_OK);
        } else {
            back_peer_gone(old_peer, true);
        }
        const struct back_event *event = back_next(&b, WSR_EVENT_CLOSED, SECOND);
        assert_true(event->conn == b.conn);
        back_peer_gone(b.peer, false); /* and the successor's attempt fails: it is tried again */
        event = back_next(&b, WSR_EVENT_RECONNECTING, SECOND);
        assert_true(event->conn == successor && event->reconnecting.cause == WSR_CAUSE_EOF_BEFORE_ANSWER);
        b.answer = NULL;
        event = back_next(&b, WSR_EVENT_OPEN, SECOND);
        assert_true(event->conn == successor && event->token == 0); /* there is none to leave */
        back_close(&b);
    }
}

/* Its messages wait for it, as for any that comes back. */
static void a_successor_queues(void **unused)
{
    (void)unused;
    wsr_conn successor;
    begin();
    b.config.reconnect.queue_bytes_max = 100;
    back_connect_open(&b);
    assert_int_equal(wsr_succeed(b.engine, b.conn, &successor), WSR_OK);
    assert_int_equal(wsr_send(b.engine, successor, WSR_TEXT, SLICE("first")), WSR_OK);
    assert_int_equal(wsr_send(b.engine, b.conn, WSR_TEXT, SLICE("last")), WSR_OK);
    struct back_peer *old_peer = b.peer;
    (void)back_next(&b, WSR_EVENT_OPEN, SECOND);
    back_pass(&b, MS);
    assert_string_equal(b.peer->got, "first|");
    assert_string_equal(old_peer->got, "last|");
    back_close(&b);
}

/* A client that does not come back may be succeeded all the same; its successor does not come back either. */
static void who_does_not_come_back_may_be_succeeded(void **unused)
{
    (void)unused;
    wsr_conn successor;
    begin();
    b.config.reconnect.on = false;
    back_connect_open(&b);
    assert_int_equal(wsr_succeed(b.engine, b.conn, &successor), WSR_OK);
    const struct back_event *event = back_next(&b, WSR_EVENT_OPEN, SECOND);
    assert_true(event->token == b.conn);
    back_close_frame(&b, 1001);
    event = back_next(&b, WSR_EVENT_CLOSED, SECOND);
    assert_true(event->conn == successor);
    back_close(&b);
}

/* The policy goes over as a whole: its overrides, too, when what they were copied to is gone. */
static void the_policy_goes_over(void **unused)
{
    (void)unused;
    wsr_conn successor;
    begin();
    const wsr_policy_override row = {WSR_CAUSE_4XXX, {.retry = WSR_RETRY_BACKOFF, .first_min_ns = SECOND, .first_max_ns = 2 * SECOND}};
    b.config.reconnect.overrides = &row;
    b.config.reconnect.overrides_n = 1;
    back_connect_open(&b);
    struct back_peer *old_peer = b.peer;
    assert_int_equal(wsr_succeed(b.engine, b.conn, &successor), WSR_OK);
    (void)back_next(&b, WSR_EVENT_OPEN, SECOND);
    back_peer_gone(old_peer, false);
    (void)back_next(&b, WSR_EVENT_CLOSED, SECOND);
    back_connect(&b); /* whoever takes the slot and the memory */
    (void)back_next(&b, WSR_EVENT_OPEN, SECOND);
    b.peer = b.peer == &b.peers[1] ? &b.peers[0] : &b.peers[1];
    assert_true(b.peer->open);
    back_close_frame(&b, 4001);
    const struct back_event *event = back_next(&b, WSR_EVENT_RECONNECTING, SECOND);
    assert_int_equal(event->reconnecting.delay_ns, 2 * SECOND);
    back_close(&b);
}

static void where_there_is_no_room_for_two(void **unused)
{
    (void)unused;
    wsr_conn successor = 7;
    begin_with(1);
    b.config.reconnect.age_max_ns = 100 * SECOND;
    back_connect_open(&b);
    assert_int_equal(wsr_succeed(b.engine, b.conn, &successor), WSR_ELIMIT);
    assert_int_equal(successor, 7);
    back_nothing(&b, 200 * SECOND); /* it is tried again and again, and the connection goes on */
    back_close_frame(&b, 1001);
    (void)back_next(&b, WSR_EVENT_RECONNECTING, SECOND);
    (void)back_next(&b, WSR_EVENT_OPEN, 6 * SECOND);
    back_close(&b);
}

/* Exchanges cut at 24 h: shortly before that there is a new one, for days. */
static void age_has_a_limit(void **unused)
{
    (void)unused;
    const uint64_t day_ns = 24 * 3600 * SECOND;
    for (unsigned highest = 0; highest < 2; highest++) {
        begin();
        b.random = highest ? BACK_HIGHEST : BACK_LOWEST;
        b.config.reconnect.age_max_ns = day_ns;
        back_connect_open(&b);
        wsr_conn old = b.conn;
        uint64_t opened_ns = b.events[0].time_ns;
        for (unsigned i = 0; i < 3; i++) {
            struct back_peer *old_peer = b.peer;
            const uint64_t early_ns = opened_ns + day_ns - (highest ? day_ns / 20 : 0) - SECOND;
            wsr_event ev[4]; /* nobody need look every 100 us for a day */
            assert_int_equal(wsr_poll(b.engine, ev, 4, (int64_t)(early_ns - sim_now_ns())), 0);
            const unsigned events = b.events_n;
            for (unsigned k = 0; k < 50000 && b.events_n == events; k++)
                back_pass(&b, highest ? 100 * MS : MS);
            const struct back_event *event = back_next(&b, WSR_EVENT_OPEN, 0);
            assert_true(event->token == old);
            assert_true(event->time_ns - opened_ns <= day_ns + 10 * MS && event->time_ns - opened_ns >= day_ns - day_ns / 20);
            back_pass(&b, 5 * SECOND + LATE);
            assert_string_equal(old_peer->got, "close 1000|");
            back_peer_gone(old_peer, false);
            (void)back_next(&b, WSR_EVENT_CLOSED, SECOND);
            old = event->conn;
            opened_ns = event->time_ns;
        }
        expect_figures(1, 3);
        back_close(&b);
    }
}

/* ---- buckets ---- */

enum { CROWD = 300 };

/* All of them lose a connection that never was, at once: how many attempts come in each 100 ms? */
static void crowd(wsr_bucket *bucket, unsigned seconds, unsigned counts[100])
{
    static wsr_event ev[CROWD];
    wsr_conn conn;
    begin();
    b.random = BACK_LOWEST; /* no jitter: the bucket alone spreads them */
    b.config.reconnect.bucket = bucket;
    b.config.reconnect.base_ns = 1000 * SECOND; /* and nobody comes a second time */
    b.config.reconnect.cap_ns = 1000 * SECOND;
    wsr_policy_override row = {WSR_CAUSE_REFUSED, {.retry = WSR_RETRY_LIMITED, .attempts_max = 1, .first_max_ns = 1}};
    b.config.reconnect.overrides = &row;
    b.config.reconnect.overrides_n = 1;
    back_unlisten(&b);
    for (unsigned i = 0; i < CROWD; i++)
        assert_int_equal(wsr_connect(b.engine, &b.config, &conn), WSR_OK);
    const uint64_t begun_ns = sim_now_ns();
    unsigned told = 0, ended = 0;
    uint64_t delays = 0;
    while (sim_now_ns() < begun_ns + seconds * SECOND) {
        int n = wsr_poll(b.engine, ev, CROWD, (int64_t)(begun_ns + seconds * SECOND - sim_now_ns()));
        for (int i = 0; i < n; i++) {
            const wsr_reconnecting *reconnecting = wsr_event_reconnecting(&ev[i]);
            told += reconnecting != NULL;
            delays += reconnecting != NULL ? reconnecting->delay_ns : 0;
            if (ev[i].type == WSR_EVENT_CLOSED) { /* it was refused again, in the instant it was tried */
                assert_true((ev[i].time_ns - begun_ns) / (100 * MS) < 100);
                counts[(ev[i].time_ns - begun_ns) / (100 * MS)]++;
                ended++;
            }
        }
    }
    assert_int_equal(told, CROWD);
    assert_int_equal(ended, CROWD); /* an empty bucket delays, it never drops */
    assert_true(delays > 0);
    expect_figures(0, CROWD);
    back_close(&b);
}

static void a_crowd_shares_a_bucket(void **unused)
{
    (void)unused;
    unsigned counts[100] = {0};
    wsr_bucket bucket;
    assert_int_equal(wsr_bucket_init(&bucket, 50, 0, 10), WSR_OK);
    crowd(&bucket, 7, counts);
    assert_in_range(counts[0], 10 + 4, 10 + 6);
    for (unsigned i = 1; i < 57; i++)
        assert_in_range(counts[i], 4, 6); /* 5, but for a timer's tick */
}

static void a_host_has_a_bucket_by_itself(void **unused)
{
    (void)unused;
    unsigned counts[100] = {0};
    crowd(NULL, 5, counts);
    assert_in_range(counts[0], 64 + 5, 64 + 7);
    for (unsigned i = 1; i < 36; i++)
        assert_in_range(counts[i], 5, 8); /* 6.4 */
}

/* A host that keeps its clients waiting keeps nobody else's. */
static void another_host_has_another_bucket(void **unused)
{
    (void)unused;
    static const char *const urls[] = {"ws://127.0.0.1:9000/", "ws://127.0.0.1:9001/", "ws://127.0.0.2:9000/", "ws://127.0.0.1:9000/again"};
    begin();
    b.random = BACK_LOWEST;
    back_unlisten(&b);
    for (unsigned i = 0; i < 100; i++) {
        b.config.url = urls[0];
        back_connect(&b);
        (void)back_next(&b, WSR_EVENT_RECONNECTING, SECOND);
        assert_int_equal(wsr_abort(b.engine, b.conn), WSR_OK);
        (void)back_next(&b, WSR_EVENT_CLOSED, SECOND);
    }
    for (unsigned i = 1; i < 4; i++) {
        b.config.url = urls[i];
        back_connect(&b);
        const struct back_event *event = back_next(&b, WSR_EVENT_RECONNECTING, SECOND);
        assert_true(i == 3 ? event->reconnecting.delay_ns > 10 * MS : event->reconnecting.delay_ns == 0);
    }
    back_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_between_the_two),
        cmocka_unit_test(each_handover_has_its_own_time),
        cmocka_unit_test(the_old_one_s_end_is_its_end),
        cmocka_unit_test(a_successor_queues),
        cmocka_unit_test(who_does_not_come_back_may_be_succeeded),
        cmocka_unit_test(the_policy_goes_over),
        cmocka_unit_test(where_there_is_no_room_for_two),
        cmocka_unit_test(age_has_a_limit),
        cmocka_unit_test(a_crowd_shares_a_bucket),
        cmocka_unit_test(a_host_has_a_bucket_by_itself),
        cmocka_unit_test(another_host_has_another_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
