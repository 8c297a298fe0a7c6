/*
 * tests/sim_life.c - the life of single connections in an engine, on the simulated host: what a pause, a backlog, an end and
 * a full batch do to each other. Each slot is given back once, each connection's CLOSED comes once, and no poll spins.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "lib/one.h"
#include "sim/sim.h"

static uint8_t zeros[70000];

/* Connections to o->port are REQUESTs from now on. */
static void listen_manually(struct one *o)
{
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    listen.manual = true;
    assert_int_equal(wsr_listen(o->engine, &listen, &listener), WSR_OK);
    o->port = wsr_listen_port(o->engine, listener);
}

/* The stream ended while nobody read: its messages come with the resume, then CLOSED, and the slot is free for the next one. */
static void a_stream_that_ended_while_paused_is_told_whole(void **unused)
{
    (void)unused;
    struct one o;
    sim_reset(1);
    one_open(&o, NULL);
    for (unsigned round = 0; round < 3; round++) {
        int peer = one_peer(&o);
        one_peer_frame(peer, 0x82, zeros, 10); /* received already, or on its way, when the pause begins */
        sim_advance();
        assert_int_equal(wsr_pause_read(o.engine, o.conn), WSR_OK);
        one_poll(&o, MS);
        sim_peer_close(peer);
        one_poll(&o, MS);
        assert_int_equal(wsr_resume_read(o.engine, o.conn), WSR_OK);
        one_poll(&o, MS);
        assert_int_equal(o.messages, round + 1);
        assert_int_equal(o.closed, round + 1);
        assert_int_equal(o.record.cause, WSR_ETRUNCATED);
        assert_int_equal(o.record.messages_in, 1);
    }
    one_close(&o);
}

/* Nothing was refused, and yet it is told when the outbox has emptied so far: once, at once if it has, and not sooner than asked. */
static void room_is_told_of_who_wants_it(void **unused)
{
    (void)unused;
    static uint8_t bytes[40000];
    struct one o;
    sim_reset(7);
    sim_knobs.socket_bytes = 4096;
    one_open_limits(&o, &(wsr_limits){.outbox_bytes_max = 100000});
    const int peer = one_peer(&o);
    assert_int_equal(wsr_want_writable(o.engine, o.conn, 0), WSR_OK);
    one_poll(&o, MS);
    assert_int_equal(o.writables, 1);
    assert_int_equal(wsr_send(o.engine, o.conn, WSR_BINARY, (wsr_slice){zeros, sizeof bytes}), WSR_OK);
    one_poll(&o, MS);
    assert_int_equal(wsr_want_writable(o.engine, o.conn, SIZE_MAX), WSR_OK); /* it is half empty */
    one_poll(&o, MS);
    assert_int_equal(o.writables, 2);
    assert_int_equal(wsr_want_writable(o.engine, o.conn, 20000), WSR_OK);
    assert_int_equal(wsr_want_writable(o.engine, o.conn, 40000), WSR_OK); /* one answer for both */
    while (wsr_outbox_bytes(o.engine, o.conn) > 20000) {
        one_poll(&o, MS);
        assert_int_equal(o.writables, wsr_outbox_bytes(o.engine, o.conn) > 20000 ? 2 : 3);
        (void)sim_peer_read(peer, bytes, 1000);
    }
    while (sim_peer_read(peer, bytes, sizeof bytes) > 0)
        one_poll(&o, MS);
    assert_int_equal(o.writables, 3);
    sim_peer_close(peer);
    one_close(&o);
}

/* The same with a batch of one event, so that messages, WRITABLE and CLOSED each need a poll of their own. */
static void an_end_behind_a_backlog_waits_its_turn(void **unused)
{
    (void)unused;
    for (unsigned quiet = 0; quiet < 2; quiet++) {
        struct one o;
        sim_reset(2 + quiet);
        one_open(&o, NULL);
        int peer = one_peer(&o);
        for (unsigned i = 0; i < 20; i++)
            one_peer_frame(peer, 0x82, zeros, i);
        sim_peer_close(peer);
        if (quiet == 0) { /* the stream's end is known before its bytes are worked off */
            wsr_event ev;
            for (unsigned i = 0; i < 21; i++) {
                assert_int_equal(wsr_poll(o.engine, &ev, 1, 0), 1);
                assert_int_equal(ev.type, i < 20 ? WSR_EVENT_MESSAGE : WSR_EVENT_CLOSED);
            }
            assert_int_equal(wsr_poll(o.engine, &ev, 1, 0), 0);
        } else {
            one_poll(&o, MS);
            assert_int_equal(o.messages, 20);
            assert_int_equal(o.closed, 1);
        }
        wsr_engine_statistics stats;
        wsr_engine_stats(o.engine, &stats, sizeof stats);
        assert_int_equal(stats.open, 0);
        assert_int_equal(stats.closed, 1);
        one_close(&o);
    }
}

/* A backlog that makes no event still takes of the batch's bytes: the poll must go on all the same, and not for ever. */
static void a_backlog_without_events_does_not_spin(void **unused)
{
    (void)unused;
    struct one o;
    wsr_config config = WSR_CONFIG_INIT;
    config.batch_bytes_max = 1;
    sim_reset(4);
    one_open(&o, &config);
    listen_manually(&o);
    int peer = sim_peer_connect(o.port);
    assert_int_equal(sim_peer_write(peer, one_request, strlen(one_request)), (ptrdiff_t)strlen(one_request));
    sim_knobs.read_bytes_max = 1000; /* many pieces, in many chunks */
    one_peer_frame(peer, 0x02, zeros, 30000); /* a first fragment, held behind the request */
    one_poll(&o, MS);
    assert_int_equal(o.requests, 1);
    assert_int_equal(wsr_accept(o.engine, o.conn, NULL, NULL), WSR_OK);
    (void)alarm(20);
    one_poll(&o, MS);
    assert_int_equal(o.messages, 0);
    one_peer_frame(peer, 0x80, zeros, 1);
    one_poll(&o, MS);
    (void)alarm(0);
    assert_int_equal(o.messages, 1);
    assert_int_equal(o.message_bytes, 30001);
    sim_peer_close(peer);
    one_close(&o);
}

/* Pausing and resuming costs one cancel, however often it is done between two polls, and none is left over at the end. */
static void a_pause_that_flickers_leaves_nothing_behind(void **unused)
{
    (void)unused;
    struct one o;
    sim_reset(5);
    one_open(&o, NULL);
    int peer = one_peer(&o);
    uint64_t cancels = sim_calls(SIM_CANCEL);
    for (unsigned i = 0; i < 255; i++) {
        assert_int_equal(wsr_pause_read(o.engine, o.conn), WSR_OK);
        assert_int_equal(wsr_resume_read(o.engine, o.conn), WSR_OK);
    }
    assert_int_equal(wsr_abort(o.engine, o.conn), WSR_OK);
    one_poll(&o, MS);
    wsr_engine_statistics stats;
    wsr_engine_stats(o.engine, &stats, sizeof stats);
    assert_int_equal(o.closed, 1);
    assert_int_equal(stats.open, 0);
    assert_int_equal(stats.stale_completions, 0);
    assert_in_range(sim_calls(SIM_CANCEL) - cancels, 1, 2);
    sim_peer_close(peer);
    one_close(&o);
}

/* As another loop would do it: poll until there is nothing, then sleep on the descriptor. */
static void poll_as_guest(struct one *o)
{
    wsr_event ev[8];
    int n;
    while ((n = wsr_poll(o->engine, ev, 8, 0)) > 0)
        for (int i = 0; i < n; i++)
            o->closed += ev[i].type == WSR_EVENT_CLOSED;
    assert_int_equal(n, 0);
}

/* Who has been reset while nobody reads from it is sent to once, not at every poll until the deadline. */
static void a_broken_sender_is_not_spun_upon(void **unused)
{
    (void)unused;
    struct one o;
    sim_reset(13);
    one_open_limits(&o, &(wsr_limits){.close_timeout_ns = 5 * SECOND});
    int peer = one_peer(&o);
    assert_int_equal(wsr_pause_read(o.engine, o.conn), WSR_OK);
    one_poll(&o, MS);
    sim_peer_reset(peer);
    assert_int_equal(wsr_send(o.engine, o.conn, WSR_TEXT, SLICE("too late")), WSR_OK);
    const uint64_t before = sim_stats.operations;
    (void)alarm(20);
    for (unsigned i = 0; i < 100; i++)
        one_poll(&o, MS);
    (void)alarm(0);
    assert_in_range(sim_stats.operations - before, 1, 4);
    assert_int_equal(wsr_resume_read(o.engine, o.conn), WSR_OK);
    one_poll(&o, MS);
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.messages_unconfirmed, 1);
    one_close(&o);
}

/* What a guest begins between two polls has its deadlines too: with wsr_flush they are the descriptor's. */
static void a_guest_s_deadline_begins_with_its_flush(void **unused)
{
    (void)unused;
    struct one o;
    sim_reset(15);
    one_open_limits(&o, &(wsr_limits){.idle_timeout_ns = 9000 * SECOND, .close_timeout_ns = 3 * SECOND});
    int peer = one_peer(&o);
    int fd = wsr_engine_fd(o.engine);
    while (sim_fd_readable(fd))
        poll_as_guest(&o);
    assert_int_equal(wsr_close(o.engine, o.conn, 1000, SLICE("")), WSR_OK);
    assert_int_equal(wsr_flush(o.engine), WSR_OK);
    const uint64_t begun = sim_now_ns();
    do {
        if (sim_fd_readable(fd))
            poll_as_guest(&o);
    } while (o.closed == 0 && sim_advance());
    assert_int_equal(o.closed, 1);
    assert_in_range(sim_now_ns() - begun, 3 * SECOND, 4 * SECOND);
    sim_peer_close(peer);
    one_close(&o);
}

/* Event data stays until the next poll, also that of a connection which the application aborts meanwhile. */
static void an_abort_leaves_its_batch_alone(void **unused)
{
    (void)unused;
    struct one o;
    sim_reset(16);
    one_open(&o, NULL);
    int peer = one_peer(&o);
    const wsr_conn conn = o.conn;
    int other = one_peer(&o);
    uint8_t text[100], filler[300] = {0};
    memset(text, 'x', sizeof text);
    for (unsigned i = 0; i < 3; i++)
        one_peer_frame(peer, 0x82, text, sizeof text);
    wsr_event ev;
    while (wsr_poll(o.engine, &ev, 1, (int64_t)MS) == 1 && ev.data.len == sizeof text && ev.user != &o)
        if (wsr_set_user(o.engine, conn, &o) != WSR_OK) /* the second one comes out of the backlog, which holds a third */
            fail();
    assert_int_equal(ev.type, WSR_EVENT_MESSAGE);
    assert_int_equal(wsr_abort(o.engine, conn), WSR_OK);
    assert_int_equal(wsr_send_fragmented(o.engine, o.conn, WSR_BINARY, (wsr_slice){filler, sizeof filler}, 100), WSR_OK);
    assert_memory_equal(ev.data.ptr, text, sizeof text);
    one_poll(&o, MS);
    sim_peer_close(peer);
    sim_peer_close(other);
    one_poll(&o, MS);
    one_close(&o);
}

/* A cancel that the kernel refuses is asked for again: without it nothing would ever end the receive of a silent peer. */
static void a_refused_cancel_is_asked_for_again(void **unused)
{
    (void)unused;
    struct one o;
    sim_reset(14);
    one_open(&o, NULL);
    int peer = one_peer(&o);
    sim_fail(SIM_CANCEL, 1, EALREADY);
    sim_fail(SIM_CANCEL, 2, ENOMEM);
    assert_int_equal(wsr_abort(o.engine, o.conn), WSR_OK);
    one_poll(&o, SECOND);
    wsr_engine_statistics stats;
    wsr_engine_stats(o.engine, &stats, sizeof stats);
    assert_int_equal(o.closed, 1);
    assert_int_equal(stats.open, 0);
    sim_peer_close(peer);
    one_close(&o);
}

/* Deadlines come and go, one far away stays: the ring holds one timer for all of them, not one for each that ever was the next. */
static void a_guest_s_timers_do_not_pile_up(void **unused)
{
    (void)unused;
    enum { ROUNDS = 20 };
    struct one o;
    sim_reset(6);
    one_open_limits(&o, &(wsr_limits){.idle_timeout_ns = 9000 * SECOND, .handshake_timeout_ns = SECOND, .close_timeout_ns = SECOND});
    int peer = one_peer(&o);
    assert_true(wsr_engine_fd(o.engine) >= 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        int silent = sim_peer_connect(o.port);
        poll_as_guest(&o);
        sim_sleep(3 * SECOND);
        poll_as_guest(&o);
        sim_peer_close(silent);
        sim_sleep(SECOND);
        poll_as_guest(&o);
        assert_int_equal(o.closed, i + 1);
    }
    uint64_t fired = sim_calls(SIM_TIMER);
    sim_sleep(5000 * SECOND); /* the ping of the one that stays is due */
    poll_as_guest(&o);
    assert_in_range(sim_calls(SIM_TIMER) - fired, 1, 2);
    sim_peer_close(peer);
    one_close(&o);
}

/* A poll that returns 0 with work left says so on the descriptor: nobody else would. */
static void a_guest_is_woken_for_what_is_left(void **unused)
{
    (void)unused;
    struct one o;
    wsr_config config = WSR_CONFIG_INIT;
    config.batch_bytes_max = 1;
    sim_reset(7);
    one_open(&o, &config);
    listen_manually(&o);
    sim_knobs.read_bytes_max = 1000;
    int peer = sim_peer_connect(o.port);
    assert_int_equal(sim_peer_write(peer, one_request, strlen(one_request)), (ptrdiff_t)strlen(one_request));
    one_peer_frame(peer, 0x02, zeros, 30000); /* a backlog in many chunks, each of which fills the batch without an event */
    one_peer_frame(peer, 0x80, zeros, 1);
    one_poll(&o, MS);
    assert_int_equal(o.requests, 1);
    int fd = wsr_engine_fd(o.engine);
    assert_int_equal(wsr_accept(o.engine, o.conn, NULL, NULL), WSR_OK);
    wsr_event ev;
    unsigned messages = 0;
    for (int n; messages == 0; messages += n > 0 && ev.type == WSR_EVENT_MESSAGE) {
        n = wsr_poll(o.engine, &ev, 1, 0);
        assert_true(n > 0 || sim_fd_readable(fd));
    }
    sim_peer_close(peer);
    one_close(&o);
}

/* Many small ones find all memory taken: some are failed for it, the others still end, and nothing spins. */
static void the_memory_limit_holds_up_no_end(void **unused)
{
    (void)unused;
    enum { OTHERS = 300 };
    struct one o;
    wsr_config config = WSR_CONFIG_INIT;
    config.memory_bytes_max = 50000;
    sim_reset(8);
    one_open(&o, &config);
    int others[OTHERS];
    for (unsigned i = 0; i < OTHERS; i++)
        others[i] = one_peer(&o);
    (void)alarm(20);
    for (unsigned i = 0; i < OTHERS; i++) { /* parts of messages, 256 bytes at a time: too little to stop or close anybody for */
        one_peer_frame(others[i], 0x02, zeros, 100);
        one_poll(&o, MS);
    }
    assert_in_range(o.closed, 1, OTHERS - 1);
    assert_int_equal(o.record.cause, WSR_ENOMEM);
    for (unsigned i = 0; i < OTHERS; i++)
        sim_peer_close(others[i]);
    one_poll(&o, 100 * MS);
    (void)alarm(0);
    assert_int_equal(o.closed, OTHERS);
    assert_int_equal(o.record.cause, WSR_ETRUNCATED);
    int again = one_peer(&o);
    one_peer_frame(again, 0x82, zeros, 100);
    one_poll(&o, MS);
    assert_int_equal(o.messages, 1);
    sim_peer_close(again);
    one_poll(&o, MS);
    one_close(&o);
}

/* No deadline is a deadline that is far away, not one that has passed. */
static void a_drain_without_a_deadline_waits(void **unused)
{
    (void)unused;
    struct one o;
    sim_reset(9);
    one_open_limits(&o, &(wsr_limits){.close_timeout_ns = 2000 * SECOND});
    int peer = one_peer(&o);
    wsr_drain_config drain = WSR_DRAIN_CONFIG_INIT;
    drain.timeout_ns = drain.spread_ns = UINT64_MAX;
    assert_int_equal(wsr_drain(o.engine, &drain), WSR_OK);
    one_poll(&o, 1000 * SECOND);
    assert_int_equal(o.closed, 0);
    assert_int_equal(wsr_drain(o.engine, &drain), WSR_ESTATE);
    sim_peer_close(peer);
    one_poll(&o, SECOND);
    assert_int_equal(o.closed, 1);
    assert_int_equal(wsr_drain_left(o.engine), 0);
    one_close(&o);
}

/* A listener whose every accept fails is tried now and then, not at every poll. */
static void a_failing_accept_is_not_spun_upon(void **unused)
{
    (void)unused;
    struct one o;
    sim_reset(10);
    one_open(&o, NULL);
    int peer = sim_peer_connect(o.port);
    for (unsigned i = 1; i <= 16; i++)
        sim_fail(SIM_ACCEPT, i, EPERM);
    const uint64_t before = sim_calls(SIM_ACCEPT);
    one_poll(&o, 500 * MS);
    assert_in_range(sim_calls(SIM_ACCEPT) - before, 2, 11);
    one_poll(&o, 10 * SECOND);
    assert_int_equal(sim_peer_write(peer, one_request, strlen(one_request)), (ptrdiff_t)strlen(one_request));
    one_poll(&o, SECOND);
    assert_int_equal(o.opened, 1);
    sim_peer_close(peer);
    one_poll(&o, SECOND);
    one_close(&o);
}

/* From CLOSED on the id is stale, whatever the kernel still holds of the connection. */
static void an_id_is_stale_from_closed_on(void **unused)
{
    (void)unused;
    struct one o;
    sim_reset(11);
    one_open(&o, NULL);
    int peer = one_peer(&o);
    assert_int_equal(wsr_abort(o.engine, o.conn), WSR_OK);
    wsr_event ev;
    assert_int_equal(wsr_poll(o.engine, &ev, 1, (int64_t)SECOND), 1);
    assert_int_equal(ev.type, WSR_EVENT_CLOSED);
    assert_int_equal(wsr_send(o.engine, o.conn, WSR_TEXT, SLICE("x")), WSR_ESTALE);
    assert_int_equal(wsr_ping(o.engine, o.conn), WSR_ESTALE);
    assert_int_equal(wsr_close(o.engine, o.conn, 1000, SLICE("")), WSR_ESTALE);
    assert_int_equal(wsr_abort(o.engine, o.conn), WSR_ESTALE);
    assert_int_equal(wsr_pause_read(o.engine, o.conn), WSR_ESTALE);
    assert_int_equal(wsr_set_user(o.engine, o.conn, &o), WSR_ESTALE);
    assert_int_equal(wsr_accept(o.engine, o.conn, NULL, NULL), WSR_ESTALE);
    assert_int_equal(wsr_outbox_bytes(o.engine, o.conn), 0);
    sim_peer_close(peer);
    one_close(&o);
}

/* Nobody answers a connect: its own deadline is the end, not the beginning of the handshake's. */
static void a_connect_that_hangs_ends_at_its_deadline(void **unused)
{
    (void)unused;
    struct one o;
    sim_reset(12);
    one_open_limits(&o, &(wsr_limits){.handshake_timeout_ns = 100 * SECOND, .close_timeout_ns = 100 * SECOND});
    sim_knobs.latency_ns_max = 1000000 * SECOND;
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    char url[32];
    snprintf(url, sizeof url, "ws://127.0.0.1:%u", (unsigned)o.port);
    connect.url = url;
    connect.connect_timeout_ns = 3 * SECOND;
    wsr_conn conn;
    assert_int_equal(wsr_connect(o.engine, &connect, &conn), WSR_OK);
    one_poll(&o, 4 * SECOND);
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.cause, WSR_ETIMEOUT_CONNECT);
    sim_knobs.latency_ns_max = 0;
    one_close(&o);
}

/* How long until the peer has read a Close and, right behind it, the end of the stream. */
static uint64_t end_after_ns(struct one *o, int peer)
{
    const uint64_t from_ns = sim_now_ns();
    uint8_t in[256];
    ptrdiff_t n;
    while ((n = sim_peer_read(peer, in, sizeof in)) == -EAGAIN && sim_now_ns() - from_ns < SECOND)
        one_poll(o, MS);
    assert_true(n > 0);
    assert_int_equal(in[0], 0x88);
    assert_int_equal(sim_peer_read(peer, in, sizeof in), 0);
    return sim_now_ns() - from_ns;
}

/* The kernel holds the last Close back until the end of the stream is there to go with it: they arrive together, and at once. */
static void a_close_and_the_end_behind_it_arrive_together(void **unused)
{
    (void)unused;
    static const uint8_t normal[] = {1000 >> 8, 1000 & 0xff}, wrong[] = {0x83, 0};
    for (unsigned fails = 0; fails < 2; fails++) {
        struct one o;
        sim_reset(40 + fails);
        one_open(&o, NULL);
        int peer = one_peer(&o);
        if (fails)
            assert_int_equal(sim_peer_write(peer, wrong, sizeof wrong), sizeof wrong);
        else
            one_peer_frame(peer, 0x88, normal, sizeof normal);
        assert_in_range(end_after_ns(&o, peer), 0, 10 * MS);
        sim_peer_close(peer);
        one_poll(&o, MS);
        assert_int_equal(o.closed, 1);
        one_close(&o);
    }
}

/* What does not end the stream is not held back: a first Close leaves at once. */
static void a_close_that_is_not_the_end_does_not_wait(void **unused)
{
    (void)unused;
    struct one o;
    uint8_t in[64];
    sim_reset(42);
    one_open(&o, NULL);
    int peer = one_peer(&o);
    assert_int_equal(wsr_close(o.engine, o.conn, 1000, SLICE("bye")), WSR_OK);
    one_poll(&o, MS);
    assert_int_equal(sim_peer_read(peer, in, sizeof in), 2 + 2 + 3);
    assert_int_equal(sim_peer_read(peer, in, sizeof in), -EAGAIN);
    sim_peer_close(peer);
    one_poll(&o, MS);
    assert_int_equal(o.closed, 1);
    one_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_that_ended_while_paused_is_told_whole),
        cmocka_unit_test(an_end_behind_a_backlog_waits_its_turn),
        cmocka_unit_test(room_is_told_of_who_wants_it),
        cmocka_unit_test(a_backlog_without_events_does_not_spin),
        cmocka_unit_test(a_pause_that_flickers_leaves_nothing_behind),
        cmocka_unit_test(a_broken_sender_is_not_spun_upon),
        cmocka_unit_test(a_guest_s_deadline_begins_with_its_flush),
        cmocka_unit_test(an_abort_leaves_its_batch_alone),
        cmocka_unit_test(a_refused_cancel_is_asked_for_again),
        cmocka_unit_test(a_guest_s_timers_do_not_pile_up),
        cmocka_unit_test(a_guest_is_woken_for_what_is_left),
        cmocka_unit_test(the_memory_limit_holds_up_no_end),
        cmocka_unit_test(a_drain_without_a_deadline_waits),
        cmocka_unit_test(a_failing_accept_is_not_spun_upon),
        cmocka_unit_test(an_id_is_stale_from_closed_on),
        cmocka_unit_test(a_close_and_the_end_behind_it_arrive_together),
        cmocka_unit_test(a_close_that_is_not_the_end_does_not_wait),
        cmocka_unit_test(a_connect_that_hangs_ends_at_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
