/*
 * tests/sim_shed.c - short of memory, in virtual time: who is not read from, who is refused, who is closed, in that order; and that
 * everything goes on when memory comes back (conn/shed.c).
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

#include "lib/one.h"
#include "sim/sim.h"

#define LIMIT 1000000u /* wsr_config.memory_bytes_max */

static const uint8_t zeros[65536];

static wsr_engine_statistics stats_of(const struct one *o)
{
    wsr_engine_statistics stats;
    wsr_engine_stats(o->engine, &stats, sizeof stats);
    return stats;
}

static void open_short(struct one *o, uint64_t seed)
{
    wsr_config config = WSR_CONFIG_INIT;
    config.memory_bytes_max = LIMIT;
    config.limits.ping_interval_ns = UINT64_MAX;
    config.limits.idle_timeout_ns = 1000 * SECOND;
    config.limits.close_timeout_ns = SECOND;
    sim_reset(seed);
    sim_knobs.socket_bytes = 16384;
    one_open(o, &config);
}

/* A masked frame of any length as a 64-bit header, its payload to follow. */
static void begin_message(int peer, uint64_t len)
{
    uint8_t head[14] = {0x82, 0xff};
    for (unsigned i = 0; i < 8; i++)
        head[2 + i] = (uint8_t)(len >> (56 - 8 * i));
    assert_int_equal(sim_peer_write(peer, head, sizeof head), sizeof head);
}

/* As much as goes in; returns how much that was. */
static size_t push(struct one *o, int peer, size_t most)
{
    size_t total = 0;
    for (unsigned idle = 0; total < most && idle < 3;) {
        const ptrdiff_t n = sim_peer_write(peer, zeros, most - total < sizeof zeros ? most - total : sizeof zeros);
        total += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle + 1;
        one_poll(o, MS);
    }
    return total;
}

/* Sends until the connection holds so many bytes. */
static void fill_outbox(struct one *o, wsr_conn conn, size_t bytes)
{
    while (wsr_connection_memory_bytes(o->engine, conn) < bytes)
        assert_int_equal(wsr_send(o->engine, conn, WSR_BINARY, (wsr_slice){zeros, 4000}), WSR_OK);
}

static void drain_peer(struct one *o, int peer)
{
    static uint8_t bytes[65536];
    for (unsigned idle = 0; idle < 3; one_poll(o, MS))
        idle = sim_peer_read(peer, bytes, sizeof bytes) > 0 ? 0 : idle + 1;
}

static void who_holds_memory_is_not_read_from(void **state)
{
    (void)state;
    struct one o;
    open_short(&o, 1);
    const int slow = one_peer(&o);
    const wsr_conn slow_conn = o.conn;
    const int sender = one_peer(&o), small = one_peer(&o);
    fill_outbox(&o, slow_conn, 760000); /* beyond three quarters */
    one_poll(&o, MS);
    begin_message(sender, 200000);
    const size_t taken = push(&o, sender, 200000);
    assert_true(taken < 100000); /* TCP has stopped it */
    assert_true(stats_of(&o).reads_held > 0);
    one_peer_frame(small, 0x82, zeros, 100); /* holds nothing: goes on */
    one_poll(&o, MS);
    assert_int_equal(o.messages, 1);
    assert_int_equal(o.closed, 0);

    drain_peer(&o, slow); /* memory comes back ... */
    assert_int_equal(taken + push(&o, sender, 200000 - taken), 200000); /* ... and so does the sender */
    one_poll(&o, 10 * MS);
    assert_int_equal(o.messages, 2);
    assert_int_equal(o.closed, 0);
    assert_int_equal(stats_of(&o).connections_shed, 0);
    sim_peer_close(slow), sim_peer_close(sender), sim_peer_close(small);
    one_poll(&o, SECOND);
    one_close(&o);
}

/* An echo held a little for a moment, and was not read from for as long as another held much. */
static void who_has_got_rid_of_it_is_read_from_again(void **state)
{
    (void)state;
    struct one o;
    open_short(&o, 8);
    const int slow = one_peer(&o);
    fill_outbox(&o, o.conn, 760000);
    const int echo = one_peer(&o);
    for (unsigned i = 0; i < 20; i++) {
        for (unsigned k = 0; k < 6; k++) /* more than goes into its socket */
            assert_int_equal(wsr_send(o.engine, o.conn, WSR_BINARY, (wsr_slice){zeros, 4000}), WSR_OK);
        one_poll(&o, MS);
        one_peer_frame(echo, 0x82, zeros, 100);
        one_poll(&o, MS);
        drain_peer(&o, echo);
        assert_int_equal(o.messages, i + 1);
    }
    assert_true(stats_of(&o).reads_held > 0);
    sim_peer_close(slow), sim_peer_close(echo);
    one_poll(&o, SECOND);
    assert_int_equal(o.closed, 2);
    one_close(&o);
}

static void upgrades_are_refused_before_anybody_is_closed(void **state)
{
    (void)state;
    struct one o;
    open_short(&o, 2);
    const int slow = one_peer(&o);
    fill_outbox(&o, o.conn, 890000);
    one_poll(&o, MS);
    const int late = sim_peer_connect(o.port);
    assert_int_equal(sim_peer_write(late, one_request, strlen(one_request)), strlen(one_request));
    one_poll(&o, 10 * MS);
    char answer[64] = {0};
    assert_true(sim_peer_read(late, answer, sizeof answer - 1) > 0);
    assert_memory_equal(answer, "HTTP/1.1 503 ", 13);
    assert_int_equal(o.opened, 1);
    assert_int_equal(stats_of(&o).upgrades_refused, 1);
    sim_peer_close(late);
    one_poll(&o, 10 * MS);
    assert_int_equal(o.closed, 1);

    drain_peer(&o, slow);
    const int later = one_peer(&o); /* is let in */
    assert_int_equal(o.opened, 2);
    assert_int_equal(stats_of(&o).connections_shed, 0);
    sim_peer_close(slow), sim_peer_close(later);
    one_poll(&o, SECOND);
    one_close(&o);
}

/* Eight that do not read hold nearly all, of different sizes; what is refused then costs the largest. */
static void the_largest_goes_first(void **state)
{
    (void)state;
    struct one o;
    open_short(&o, 3);
    enum { N = 8 };
    int peers[N];
    wsr_conn conns[N];
    for (unsigned i = 0; i < N; i++) {
        peers[i] = one_peer(&o);
        conns[i] = o.conn;
        fill_outbox(&o, conns[i], i == 3 ? 300000 : 60000);
    }
    one_poll(&o, MS);
    int error = WSR_OK;
    while (error == WSR_OK)
        error = wsr_send(o.engine, conns[0], WSR_BINARY, (wsr_slice){zeros, 4000});
    assert_int_equal(error, WSR_ENOMEM);
    one_poll(&o, MS);
    assert_int_equal(stats_of(&o).connections_shed, 1);
    assert_int_equal(wsr_send(o.engine, conns[3], WSR_PING, SLICE("?")), WSR_ESTATE); /* it is closing */
    one_poll(&o, 3 * SECOND); /* what flew of it is its until it is cut */
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(wsr_send(o.engine, conns[i], WSR_PING, SLICE("?")), i != 3 ? WSR_OK : WSR_ESTALE);
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.cause, WSR_ESHED);
    for (unsigned i = 0; i < N; i++)
        sim_peer_close(peers[i]);
    one_poll(&o, SECOND);
    assert_int_equal(o.closed, N);
    one_close(&o);
}

/* Who reads is told why: 1013, behind what flew. */
static void who_is_closed_is_told(void **state)
{
    (void)state;
    struct one o;
    open_short(&o, 7);
    const int peer = one_peer(&o);
    int error = WSR_OK;
    while (error == WSR_OK)
        error = wsr_send(o.engine, o.conn, WSR_BINARY, (wsr_slice){zeros, 4000});
    assert_int_equal(error, WSR_ENOMEM);
    one_poll(&o, MS);
    static uint8_t bytes[LIMIT];
    size_t len = 0;
    for (unsigned idle = 0; idle < 3; one_poll(&o, MS)) {
        const ptrdiff_t n = sim_peer_read(peer, bytes + len, sizeof bytes - len);
        len += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle + 1;
    }
    const char *why = wsr_error_text(WSR_ESHED);
    const size_t close_len = 4 + strlen(why);
    assert_true(len >= close_len); /* nothing had flown, so nothing stands before it */
    const uint8_t *frame = bytes + len - close_len;
    assert_int_equal(frame[0], 0x88);
    assert_int_equal(frame[1], 2 + strlen(why));
    assert_int_equal(frame[2] << 8 | frame[3], 1013);
    assert_memory_equal(frame + 4, why, strlen(why));
    sim_peer_close(peer);
    one_poll(&o, SECOND);
    assert_int_equal(o.record.code_sent, 1013);
    assert_int_equal(o.record.cause, WSR_ESHED);
    assert_true(o.record.messages_undelivered > 0);
    one_close(&o);
}

/* Halves of messages hold all there is, and nobody is read from any more: after a second one has to go, and the rest finish. */
static void halves_of_messages_do_not_stop_for_ever(void **state)
{
    (void)state;
    struct one o;
    open_short(&o, 4);
    enum { N = 12 };
    int peers[N];
    size_t given[N];
    const uint64_t whole = 100000;
    for (unsigned i = 0; i < N; i++) {
        peers[i] = one_peer(&o);
        begin_message(peers[i], whole);
        given[i] = 0;
    }
    for (unsigned round = 0; round < 300 && o.messages + o.closed < N; round++) {
        for (unsigned i = 0; i < N; i++) {
            const ptrdiff_t n = sim_peer_write(peers[i], zeros, whole - given[i] < 8192 ? (size_t)(whole - given[i]) : 8192);
            given[i] += n > 0 ? (size_t)n : 0;
        }
        one_poll(&o, 100 * MS);
    }
    assert_int_equal(o.messages + o.closed, N);
    assert_true(o.messages >= 3); /* for so many there is room at a time, and more */
    assert_in_range(stats_of(&o).connections_shed, 1, o.closed);
    assert_true(o.record.cause == WSR_ESHED || o.record.cause == WSR_ENOMEM); /* the latter: it asked for more than there was at once */
    for (unsigned i = 0; i < N; i++)
        sim_peer_close(peers[i]);
    one_poll(&o, 10 * SECOND);
    assert_int_equal(o.closed, N);
    one_close(&o);
}

/* Who was stopped and then leaves, or is closed, gives its slot and its memory back while memory is still short. */
static void who_is_stopped_can_leave(void **state)
{
    (void)state;
    struct one o;
    open_short(&o, 5);
    const int slow = one_peer(&o), sender = one_peer(&o);
    const wsr_conn sender_conn = o.conn;
    const wsr_engine_statistics before = stats_of(&o);
    begin_message(sender, 200000);
    (void)push(&o, sender, 50000);
    fill_outbox(&o, o.conn, 10000);
    one_poll(&o, MS);
    wsr_conn slow_conn = sender_conn - (UINT64_C(1) << 32); /* the slot before */
    fill_outbox(&o, slow_conn, 720000);
    (void)push(&o, sender, 50000);
    assert_true(stats_of(&o).reads_held > before.reads_held);
    assert_int_equal(wsr_abort(o.engine, sender_conn), WSR_OK);
    one_poll(&o, 10 * MS);
    assert_int_equal(o.closed, 1);
    assert_int_equal(stats_of(&o).open, 1); /* its slot, too */
    sim_peer_close(sender), sim_peer_close(slow);
    one_poll(&o, SECOND);
    one_close(&o);
}

static void a_figure_for_each(void **state)
{
    (void)state;
    struct one o;
    open_short(&o, 6);
    const int peer = one_peer(&o);
    const size_t idle = wsr_connection_memory_bytes(o.engine, o.conn);
    assert_in_range(idle, 100, 512); /* its slot, and nothing else */
    fill_outbox(&o, o.conn, 100000);
    assert_in_range(wsr_connection_memory_bytes(o.engine, o.conn), 100000, 120000);
    assert_true(wsr_outbox_bytes(o.engine, o.conn) >= 40000);
    drain_peer(&o, peer);
    assert_int_equal(wsr_connection_memory_bytes(o.engine, o.conn), idle);
    begin_message(peer, 70000);
    (void)push(&o, peer, 20000);
    assert_in_range(wsr_connection_memory_bytes(o.engine, o.conn), idle + 20000, idle + 140000);
    sim_peer_close(peer);
    one_poll(&o, SECOND);
    assert_int_equal(wsr_connection_memory_bytes(o.engine, o.conn), 0);
    one_close(&o);
}

/* Who is closed may have events in this very batch: what these point to stays. */
static void what_was_delivered_stays(void **state)
{
    (void)state;
    struct one o;
    open_short(&o, 7);
    const int other = one_peer(&o);
    const wsr_conn other_conn = o.conn;
    const int slow = one_peer(&o);
    const wsr_conn slow_conn = o.conn;
    uint8_t payload[100];
    memset(payload, 'a', sizeof payload);
    wsr_event ev[8];
    one_peer_frame(slow, 0x82, payload, sizeof payload);
    one_peer_frame(slow, 0x82, payload, sizeof payload);
    one_peer_frame(slow, 0x88, "\x03\xe8", 2); /* waits for the batch behind them: the application may answer */
    assert_int_equal(wsr_poll(o.engine, ev, 1, 10 * MS), 1); /* what follows found no room, and is kept */
    assert_int_equal(wsr_pause_read(o.engine, slow_conn), WSR_OK);
    fill_outbox(&o, slow_conn, 760000);
    one_poll(&o, 100 * MS); /* it holds much, and is not read from */
    assert_int_equal(o.messages, 0);
    sim_sleep(2 * SECOND); /* without relief */
    assert_int_equal(wsr_resume_read(o.engine, slow_conn), WSR_OK);
    assert_int_equal(wsr_poll(o.engine, ev, 8, 0), 1);
    assert_int_equal(ev[0].type, WSR_EVENT_MESSAGE);
    assert_int_equal(stats_of(&o).connections_shed, 1);
    for (unsigned i = 0; i < 300; i++) /* whatever was given back is used again */
        assert_int_equal(wsr_send_fragmented(o.engine, other_conn, WSR_BINARY, (wsr_slice){zeros, 100}, 100), WSR_OK);
    assert_int_equal(ev[0].data.len, sizeof payload);
    assert_memory_equal(ev[0].data.ptr, payload, sizeof payload);
    sim_peer_close(slow), sim_peer_close(other);
    one_poll(&o, 3 * SECOND);
    one_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_holds_memory_is_not_read_from),       cmocka_unit_test(upgrades_are_refused_before_anybody_is_closed),
        cmocka_unit_test(the_largest_goes_first),                  cmocka_unit_test(who_is_closed_is_told),
        cmocka_unit_test(halves_of_messages_do_not_stop_for_ever),   cmocka_unit_test(what_was_delivered_stays),
        cmocka_unit_test(who_is_stopped_can_leave),                cmocka_unit_test(a_figure_for_each),
        cmocka_unit_test(who_has_got_rid_of_it_is_read_from_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
