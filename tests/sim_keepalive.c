/*
 * tests/sim_keepalive.c - keepalive through whole engines, in virtual time: silence is pinged to the millisecond, round trips
 * are those of the network, a dead peer is let go in time, and neither a slow nor a deaf application makes a live one dead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <wsring/wsring.h>

#include "sim/sim.h"

#define MS UINT64_C(1000000)
#define TICK ((uint64_t)1 << 20) /* of the timer wheel: a timer fires at its time or up to this much later */

static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/* A server with one connection, whose other end the test plays byte by byte. */
struct world {
    wsr_engine *engine;
    wsr_conn conn;
    int peer;
    unsigned open, closed, messages, pongs;
    wsr_close_record record;
};

static void poll_for(struct world *w, int64_t ns)
{
    wsr_event ev[16];
    int n = wsr_poll(w->engine, ev, 16, ns);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        w->open += ev[i].type == WSR_EVENT_OPEN;
        w->messages += ev[i].type == WSR_EVENT_MESSAGE;
        w->pongs += ev[i].type == WSR_EVENT_PONG;
        w->closed += ev[i].type == WSR_EVENT_CLOSED;
        if (ev[i].type == WSR_EVENT_OPEN)
            w->conn = ev[i].conn;
        if (ev[i].type == WSR_EVENT_CLOSED)
            w->record = *wsr_event_close_record(&ev[i]);
    }
}

static void world_open_with(struct world *w, uint64_t interval_ns, uint64_t timeout_ns, uint32_t socket_bytes)
{
    sim_reset(1);
    sim_knobs.socket_bytes = socket_bytes;
    memset(w, 0, sizeof *w);
    wsr_config config = WSR_CONFIG_INIT;
    config.limits.ping_interval_ns = interval_ns;
    config.limits.ping_timeout_ns = timeout_ns;
    assert_int_equal(wsr_engine_open(&w->engine, &config), WSR_OK);
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    assert_int_equal(wsr_listen(w->engine, &listen, &listener), WSR_OK);
    w->peer = sim_peer_connect(wsr_listen_port(w->engine, listener));
    assert_true(w->peer >= 0);
    assert_int_equal(sim_peer_write(w->peer, request, sizeof request - 1), sizeof request - 1);
    while (w->open == 0)
        poll_for(w, 1000000);
    char answer[512];
    poll_for(w, 0);
    ptrdiff_t n = sim_peer_read(w->peer, answer, sizeof answer);
    assert_true(n > 4);
    assert_memory_equal(answer + n - 4, "\r\n\r\n", 4);
}

static void world_open(struct world *w, uint64_t interval_ns, uint64_t timeout_ns)
{
    world_open_with(w, interval_ns, timeout_ns, 0);
}

static void world_close(struct world *w)
{
    char text[160];
    wsr_engine_close(w->engine);
    sim_peer_close(w->peer);
    if (sim_leaks(text, sizeof text) > 0)
        fail_msg("left open: %s", text);
}

/* Polls until there is something for the peer, in at most ns; returns what it read. */
static size_t peer_reads(struct world *w, uint8_t *bytes, size_t cap, uint64_t ns)
{
    const uint64_t end = sim_now_ns() + ns;
    ptrdiff_t n;
    while ((n = sim_peer_read(w->peer, bytes, cap)) < 0 && sim_now_ns() < end)
        poll_for(w, 100000);
    return n > 0 ? (size_t)n : 0;
}

static void expect_ping(struct world *w, uint8_t ping[14], uint64_t ns)
{
    assert_int_equal(peer_reads(w, ping, 14, ns), 14);
    assert_int_equal(ping[0], 0x89);
    assert_int_equal(ping[1], 12);
}

static void answer(struct world *w, const uint8_t ping[14])
{
    uint8_t pong[18] = {0x8A, 0x80 | 12}; /* masked with zeros */
    memcpy(pong + 6, ping + 2, 12);
    assert_int_equal(sim_peer_write(w->peer, pong, sizeof pong), sizeof pong);
}

static void silence_is_pinged_to_the_millisecond(void **unused)
{
    (void)unused;
    struct world w;
    world_open(&w, 5 * MS, 2 * MS);
    uint64_t heard = sim_now_ns();
    for (unsigned i = 0; i < 100; i++) {
        uint8_t ping[14];
        expect_ping(&w, ping, 10 * MS);
        assert_in_range(sim_now_ns() - heard, 5 * MS - MS / 10, 5 * MS + 2 * TICK);
        sim_sleep(MS / 2);
        answer(&w, ping);
        poll_for(&w, 0);
        heard = sim_now_ns();
    }
    assert_int_equal(w.closed, 0);
    assert_int_equal(w.pongs, 0);
    world_close(&w);
}

static void a_round_trip_is_the_network_s(void **unused)
{
    (void)unused;
    struct world w;
    world_open(&w, 20 * MS, 0);
    assert_int_equal(wsr_round_trip_ns(w.engine, w.conn), 0);
    static const uint64_t trips[] = {MS / 100, 3 * MS, 700 * MS};
    for (unsigned i = 0; i < 3; i++) {
        uint8_t ping[14];
        expect_ping(&w, ping, 40 * MS);
        uint64_t left = sim_now_ns();
        sim_sleep(trips[i]);
        answer(&w, ping);
        poll_for(&w, 0);
        uint64_t there_and_back = sim_now_ns() - left;
        assert_in_range(wsr_round_trip_ns(w.engine, w.conn), there_and_back, there_and_back + MS / 5); /* peer_reads looks every 0.1 ms */
    }
    assert_int_equal(wsr_round_trip_ns(w.engine, 0), 0);
    world_close(&w);
}

/* Between wsr_ping and the poll that sends it the application does something else: that is not the network's time. */
static void the_application_s_time_before_sending_is_not_in_it(void **unused)
{
    (void)unused;
    struct world w;
    uint8_t ping[14];
    world_open(&w, 0, 0);
    assert_int_equal(wsr_ping(w.engine, 0), WSR_ESTALE);
    assert_int_equal(wsr_ping(w.engine, w.conn), WSR_OK);
    sim_sleep(500 * MS);
    expect_ping(&w, ping, MS);
    answer(&w, ping);
    poll_for(&w, 0);
    assert_in_range(wsr_round_trip_ns(w.engine, w.conn), 1, MS);
    world_close(&w);
}

/* The ping waits behind a message that the peer is slow to read: that is not the network's time either. */
static void the_wait_behind_a_message_is_not_in_it(void **unused)
{
    (void)unused;
    static const uint8_t large[20000];
    struct world w;
    uint8_t bytes[1000], ping[14];
    world_open_with(&w, 0, 0, 1000);
    sim_knobs.short_send_percent = 100; /* the message leaves in many sends, and the ping behind the last of them */
    assert_int_equal(wsr_send(w.engine, w.conn, WSR_BINARY, (wsr_slice){large, sizeof large}), WSR_OK);
    poll_for(&w, 0);
    assert_int_equal(wsr_ping(w.engine, w.conn), WSR_OK);
    for (size_t left = 4 + sizeof large; left > 0;) {
        size_t n = peer_reads(&w, bytes, left < sizeof bytes ? left : sizeof bytes, 1000 * MS);
        assert_true(n > 0);
        left -= n;
        sim_sleep(50 * MS);
    }
    expect_ping(&w, ping, MS);
    answer(&w, ping);
    poll_for(&w, 0);
    assert_in_range(wsr_round_trip_ns(w.engine, w.conn), 1, 60 * MS);
    world_close(&w);
}

static void a_dead_peer_is_let_go_in_time(void **unused)
{
    (void)unused;
    struct world w;
    uint8_t bytes[256];
    world_open(&w, 10 * MS, 30 * MS);
    uint64_t heard = sim_now_ns();
    expect_ping(&w, bytes, 20 * MS);
    size_t n = peer_reads(&w, bytes, sizeof bytes, 40 * MS); /* and does not answer */
    assert_in_range(sim_now_ns() - heard, 40 * MS - MS / 10, 40 * MS + 3 * TICK);
    assert_true(n >= 4);
    assert_int_equal(bytes[0], 0x88);
    assert_int_equal(bytes[2] << 8 | bytes[3], 1001);
    while (w.closed == 0)
        poll_for(&w, 1000000000);
    assert_in_range(sim_now_ns() - heard, 40 * MS, 600 * MS); /* and the application hears of it as soon, not after a Close's five seconds */
    assert_int_equal(w.record.cause, WSR_ETIMEOUT_PING);
    assert_false(w.record.clean);
    world_close(&w);
}

/* A ping was queued, and then the application did not poll for a minute: neither the peer's silence nor its answer, which lies there, is late. */
static void a_slow_application_kills_nobody(void **unused)
{
    (void)unused;
    struct world w;
    uint8_t ping[14];
    world_open(&w, 10 * MS, 30 * MS);
    assert_int_equal(wsr_ping(w.engine, w.conn), WSR_OK);
    sim_sleep(60000 * MS); /* it has not left: nobody was asked */
    expect_ping(&w, ping, MS);
    assert_int_equal(w.closed, 0);
    answer(&w, ping);
    sim_sleep(60000 * MS); /* the answer is there, and not looked at */
    poll_for(&w, 0);
    expect_ping(&w, ping, 20 * MS);
    answer(&w, ping);
    poll_for(&w, 0);
    assert_int_equal(w.closed, 0);
    assert_in_range(wsr_round_trip_ns(w.engine, w.conn), 1, MS);
    sim_sleep(600000 * MS); /* the peer had nothing to say for longer than the idle limit, but nobody asked it */
    expect_ping(&w, ping, 20 * MS);
    answer(&w, ping);
    poll_for(&w, 0);
    assert_int_equal(w.closed, 0);
    world_close(&w);
}

/* Its answer is there, and again and again something comes between it and its completion. */
static void input_that_is_there_is_no_silence(void **unused)
{
    (void)unused;
    struct world w;
    uint8_t ping[14];
    world_open(&w, 10 * MS, 30 * MS);
    expect_ping(&w, ping, 20 * MS);
    answer(&w, ping);
    for (uint64_t nth = 1; nth <= 4; nth++)
        sim_fail(SIM_RECEIVE, nth, EINTR);
    for (unsigned turns = 0; turns < 6; turns++) {
        sim_sleep(60000 * MS);
        poll_for(&w, 0);
        const ptrdiff_t n = sim_peer_read(w.peer, ping, sizeof ping);
        assert_true(n == -EAGAIN || ping[0] == 0x89); /* no Close */
    }
    assert_int_equal(sim_failures(), 0);
    world_close(&w);
}

/* While reading is paused, silence proves nothing: nobody is judged, and an answer that had to wait measures nothing. */
static void a_deaf_application_kills_nobody(void **unused)
{
    (void)unused;
    struct world w;
    uint8_t ping[14];
    world_open(&w, 10 * MS, 30 * MS);
    expect_ping(&w, ping, 20 * MS);
    assert_int_equal(wsr_pause_read(w.engine, w.conn), WSR_OK);
    answer(&w, ping);
    uint64_t until = sim_now_ns() + 5000 * MS;
    while (sim_now_ns() < until)
        poll_for(&w, (int64_t)MS);
    assert_int_equal(sim_peer_read(w.peer, ping, sizeof ping), -EAGAIN); /* no Close; nor a ping, whose answer would wait */
    assert_int_equal(wsr_resume_read(w.engine, w.conn), WSR_OK);
    poll_for(&w, (int64_t)MS);
    assert_int_equal(wsr_round_trip_ns(w.engine, w.conn), 0);
    expect_ping(&w, ping, 20 * MS); /* and now it is heard again */

    /* paused so shortly that no timer saw it: time begins anew all the same */
    assert_int_equal(wsr_pause_read(w.engine, w.conn), WSR_OK);
    sim_sleep(29 * MS);
    assert_int_equal(wsr_resume_read(w.engine, w.conn), WSR_OK);
    expect_ping(&w, ping, 20 * MS);
    assert_int_equal(w.pongs, 0);
    world_close(&w);
}

/* A peer on a thin line: our ping stands behind a message that takes seconds to arrive. It takes bytes, so it lives. */
static void a_peer_that_takes_bytes_slowly_lives(void **unused)
{
    (void)unused;
    static const uint8_t large[20000];
    struct world w;
    uint8_t bytes[100], ping[14];
    world_open_with(&w, 10 * MS, 30 * MS, 1000);
    assert_int_equal(wsr_send(w.engine, w.conn, WSR_BINARY, (wsr_slice){large, sizeof large}), WSR_OK);
    poll_for(&w, 0);
    for (size_t left = 4 + sizeof large; left > 0;) { /* 6 seconds in all */
        size_t n = peer_reads(&w, bytes, left < sizeof bytes ? left : sizeof bytes, MS);
        assert_true(n > 0);
        left -= n;
        for (unsigned i = 0; i < 30 && left > 1000; i++) /* of what its TCP has and it does not read nothing is known here */
            poll_for(&w, (int64_t)MS);
        assert_int_equal(w.closed, 0);
    }
    expect_ping(&w, ping, 40 * MS);
    answer(&w, ping);
    poll_for(&w, 0);
    assert_int_equal(wsr_send(w.engine, w.conn, WSR_TEXT, (wsr_slice){large, 1}), WSR_OK); /* it is not even closing */
    world_close(&w);
}

/* What carries the ping was given to the kernel long ago, and left only now: until now the peer was asked nothing. */
static void a_ping_that_left_late_is_waited_for(void **unused)
{
    (void)unused;
    static const uint8_t large[2000];
    struct world w;
    uint8_t bytes[2004], ping[14];

    /* the kernel had no room, and goes on with the send when the application, which was away, comes back */
    world_open(&w, 10 * MS, 30 * MS);
    assert_int_equal(wsr_ping(w.engine, w.conn), WSR_OK);
    sim_knobs.delay_percent = 100;
    sim_knobs.delay_ns_max = 1;
    poll_for(&w, 0);
    sim_sleep(60000 * MS);
    expect_ping(&w, ping, MS);
    for (unsigned ms = 0; ms < 20; ms++) /* this is how far away it is */
        poll_for(&w, (int64_t)MS);
    answer(&w, ping);
    for (unsigned ms = 0; ms < 5; ms++)
        poll_for(&w, (int64_t)MS);
    assert_int_equal(sim_peer_read(w.peer, ping, sizeof ping), -EAGAIN); /* no Close */
    assert_int_equal(wsr_round_trip_ns(w.engine, w.conn), 0); /* when it left is not known to the millisecond */
    world_close(&w);

    /* the peer reads what is before it at the last moment, and then is as fast as any */
    world_open_with(&w, 100 * MS, 30 * MS, 1000);
    assert_int_equal(wsr_send(w.engine, w.conn, WSR_BINARY, (wsr_slice){large, sizeof large}), WSR_OK);
    assert_int_equal(wsr_ping(w.engine, w.conn), WSR_OK);
    for (unsigned ms = 0; ms < 28; ms++)
        poll_for(&w, (int64_t)MS);
    for (size_t left = 14 + 4 + sizeof large; left > 0;) {
        const size_t n = peer_reads(&w, bytes, left < sizeof bytes ? left : sizeof bytes, MS);
        assert_true(n > 0);
        left -= n;
        if (left + n == 14 + 4 + sizeof large) /* the lane goes first */
            memcpy(ping, bytes, sizeof ping);
    }
    for (unsigned ms = 0; ms < 20; ms++)
        poll_for(&w, (int64_t)MS);
    answer(&w, ping);
    poll_for(&w, 0);
    assert_int_equal(sim_peer_read(w.peer, ping, sizeof ping), -EAGAIN);
    world_close(&w);
}

/* But one that takes nothing is dead, whatever is under way to it, and whatever it took before. */
static void a_peer_that_takes_nothing_dies(void **unused)
{
    (void)unused;
    static const uint8_t large[20000];
    struct world w;
    uint8_t bytes[100];
    world_open_with(&w, 10 * MS, 30 * MS, 1000);
    assert_int_equal(wsr_send(w.engine, w.conn, WSR_BINARY, (wsr_slice){large, sizeof large}), WSR_OK);
    poll_for(&w, 0);
    for (unsigned i = 0; i < 10; i++) {
        assert_true(peer_reads(&w, bytes, sizeof bytes, MS) > 0);
        for (unsigned ms = 0; ms < 20; ms++)
            poll_for(&w, (int64_t)MS);
    }
    assert_int_equal(w.closed, 0);
    uint64_t stopped = sim_now_ns();
    while (w.closed == 0 && sim_now_ns() < stopped + 60000 * MS)
        poll_for(&w, (int64_t)MS);
    assert_int_equal(w.closed, 1);
    assert_int_equal(w.record.cause, WSR_ETIMEOUT_PING);
    /* at the latest two judgements later, and then a dead peer's deadline of the Close, which cannot be sent */
    assert_in_range(sim_now_ns() - stopped, 250 * MS, 250 * MS + 2 * 40 * MS + 10 * TICK);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_is_pinged_to_the_millisecond),
        cmocka_unit_test(a_round_trip_is_the_network_s),
        cmocka_unit_test(the_application_s_time_before_sending_is_not_in_it),
        cmocka_unit_test(the_wait_behind_a_message_is_not_in_it),
        cmocka_unit_test(a_dead_peer_is_let_go_in_time),
        cmocka_unit_test(a_slow_application_kills_nobody),
        cmocka_unit_test(input_that_is_there_is_no_silence),
        cmocka_unit_test(a_deaf_application_kills_nobody),
        cmocka_unit_test(a_peer_that_takes_bytes_slowly_lives),
        cmocka_unit_test(a_ping_that_left_late_is_waited_for),
        cmocka_unit_test(a_peer_that_takes_nothing_dies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
