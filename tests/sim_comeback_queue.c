/*
 * tests/sim_comeback_queue.c - messages sent while a client is down, in virtual time: sent in order if it is back in time, given
 * back if not, never sent late, never lost in silence, whatever the room in a batch.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/back.h"
#include "sim/sim.h"

static struct back b;

/* A client that was open and has lost its connection; it comes back after 5 s if nobody says otherwise. */
static void go_down(size_t queue_bytes_max, uint64_t ttl_ns)
{
    sim_reset(1);
    back_open(&b, NULL);
    b.random = BACK_HIGHEST;
    b.config.reconnect.queue_bytes_max = queue_bytes_max;
    b.config.reconnect.queue_ttl_ns = ttl_ns;
    back_connect_open(&b);
    back_peer_gone(b.peer, false);
    (void)back_next(&b, WSR_EVENT_RECONNECTING, SECOND);
}

static int say(const char *text)
{
    return wsr_send(b.engine, b.conn, WSR_TEXT, SLICE(text));
}

static void given_back(const char *text, uint64_t at_ns)
{
    const struct back_event *event = back_next(&b, WSR_EVENT_UNDELIVERED, 60 * SECOND);
    assert_string_equal(event->data, text);
    assert_int_equal(event->len, strlen(text));
    assert_int_equal(event->opcode, WSR_TEXT);
    assert_true(event->conn == b.conn);
    if (event->time_ns < at_ns || event->time_ns > at_ns + LATE)
        fail_msg("%s came back %lld ns late", text, (long long)(event->time_ns - at_ns));
}

static void without_a_queue_nothing_is_accepted(void **unused)
{
    (void)unused;
    go_down(0, 0);
    assert_int_equal(say("x"), WSR_ESTATE);
    assert_int_equal(wsr_send(b.engine, b.conn, WSR_PING, SLICE("x")), WSR_ESTATE);
    back_pass(&b, 6 * SECOND);
    (void)back_next(&b, WSR_EVENT_OPEN, SECOND);
    assert_int_equal(say("y"), WSR_OK);
    back_pass(&b, MS);
    assert_string_equal(b.peer->got, "y|");
    back_close(&b);
}

static void what_waits_goes_first_and_in_order(void **unused)
{
    (void)unused;
    go_down(1000, 10 * SECOND);
    assert_int_equal(say("one"), WSR_OK);
    assert_int_equal(wsr_send_fragmented(b.engine, b.conn, WSR_TEXT, SLICE("two"), 2), WSR_OK);
    assert_int_equal(wsr_send(b.engine, b.conn, WSR_BINARY_PLAIN, SLICE("three")), WSR_OK);
    assert_int_equal(say(""), WSR_OK);
    assert_int_equal(wsr_outbox_bytes(b.engine, b.conn), 3 + 3 + 5);
    assert_int_equal(wsr_send(b.engine, b.conn, WSR_PING, SLICE("x")), WSR_ESTATE);
    assert_int_equal(wsr_send(b.engine, b.conn, WSR_CLOSE, SLICE("x")), WSR_EINVAL);
    assert_int_equal(wsr_send_fragmented(b.engine, b.conn, WSR_TEXT, SLICE("x"), 0), WSR_EINVAL);
    back_nothing(&b, 4 * SECOND);
    assert_int_equal(say("four"), WSR_OK);
    (void)back_next(&b, WSR_EVENT_OPEN, 2 * SECOND);
    assert_int_equal(say("five"), WSR_OK);
    back_nothing(&b, 20 * SECOND);
    assert_string_equal(b.peer->got, "one|tw|o|three||four|five|");
    back_close(&b);
}

/* Also while the very first attempt is under way. */
static void the_first_attempt_is_waited_for_too(void **unused)
{
    (void)unused;
    sim_reset(1);
    back_open(&b, NULL);
    b.config.reconnect.queue_bytes_max = 100;
    back_connect(&b);
    assert_int_equal(say("early"), WSR_OK);
    (void)back_next(&b, WSR_EVENT_OPEN, SECOND);
    back_nothing(&b, 5 * SECOND);
    assert_string_equal(b.peer->got, "early|");
    back_close(&b);
}

/* An order is good for so long: in time it is sent, at its very end it is not. */
static void a_stale_message_is_never_sent(void **unused)
{
    (void)unused;
    go_down(1000, 2200 * MS);
    const uint64_t lost_ns = sim_now_ns();
    for (unsigned i = 0; i < 10; i++) {
        char text[8];
        snprintf(text, sizeof text, "%u", i);
        assert_int_equal(say(text), WSR_OK);
        back_pass(&b, SECOND / 2);
    }
    for (unsigned i = 0; i <= 5; i++) {
        char text[8];
        snprintf(text, sizeof text, "%u", i);
        given_back(text, lost_ns + i * (SECOND / 2) + 2200 * MS);
    }
    (void)back_next(&b, WSR_EVENT_OPEN, SECOND); /* after 5 s */
    back_nothing(&b, 10 * SECOND);
    assert_string_equal(b.peer->got, "6|7|8|9|");
    back_close(&b);
}

/* To the nanosecond: what falls due in the instant of the OPEN is too late, a nanosecond later it is not. */
static void at_the_very_instant(void **unused)
{
    (void)unused;
    uint64_t open_after_ns = 0;
    for (unsigned run = 0; run < 3; run++) { /* runs of a seed are equal: the first shows when the OPEN comes */
        go_down(1000, run == 0 ? 60 * SECOND : open_after_ns + run - 1);
        const uint64_t sent_ns = sim_now_ns();
        assert_int_equal(say("order"), WSR_OK);
        back_pass(&b, 6 * SECOND);
        bool returned = false;
        for (; b.seen_n < b.events_n; b.seen_n++) {
            returned |= b.events[b.seen_n].type == WSR_EVENT_UNDELIVERED;
            if (b.events[b.seen_n].type == WSR_EVENT_OPEN)
                open_after_ns = b.events[b.seen_n].time_ns - sent_ns;
        }
        assert_true(returned == (run == 1));
        assert_string_equal(b.peer->got, run == 1 ? "" : "order|");
        back_close(&b);
    }
}

/* The connection is there in the same instant in which the message's time is up: judged by the nanosecond, whoever is looked at first. */
static void the_last_nanosecond_counts(void **unused)
{
    (void)unused;
    unsigned sent = 0, back = 0;
    for (uint64_t shift = 0; shift < 40; shift++) {
        go_down(1000, 4 * SECOND + 990 * MS + shift * MS / 2);
        const uint64_t sent_ns = sim_now_ns();
        assert_int_equal(say("order"), WSR_OK);
        back_pass(&b, 10 * SECOND);
        const bool delivered = strstr(b.peer->got, "order") != NULL;
        bool returned = false;
        uint64_t open_ns = 0;
        for (; b.seen_n < b.events_n; b.seen_n++) {
            returned |= b.events[b.seen_n].type == WSR_EVENT_UNDELIVERED;
            open_ns = b.events[b.seen_n].type == WSR_EVENT_OPEN ? b.events[b.seen_n].time_ns : open_ns;
        }
        assert_true(delivered != returned); /* one or the other, never both, never neither */
        assert_true(delivered == (open_ns < sent_ns + b.config.reconnect.queue_ttl_ns));
        sent += delivered;
        back += returned;
        back_close(&b);
    }
    assert_true(sent > 5 && back > 5);
}

static void a_full_queue_says_so_and_when_it_is_not(void **unused)
{
    (void)unused;
    go_down(10, 3 * SECOND);
    const uint64_t sent_ns = sim_now_ns();
    assert_int_equal(say("12345678901"), WSR_ETOOBIG);
    assert_int_equal(say("12345"), WSR_OK);
    assert_int_equal(say("1234"), WSR_OK);
    assert_int_equal(say("12"), WSR_EFULL);
    assert_int_equal(say("1"), WSR_OK);
    assert_int_equal(say("1"), WSR_EFULL);
    assert_int_equal(say(""), WSR_OK);
    given_back("12345", sent_ns + 3 * SECOND);
    given_back("1234", sent_ns + 3 * SECOND);
    given_back("1", sent_ns + 3 * SECOND);
    given_back("", sent_ns + 3 * SECOND);
    (void)back_next(&b, WSR_EVENT_WRITABLE, MS); /* once */
    assert_int_equal(say("1234567890"), WSR_OK);
    assert_int_equal(say("x"), WSR_EFULL);
    (void)back_next(&b, WSR_EVENT_OPEN, 3 * SECOND);
    (void)back_next(&b, WSR_EVENT_WRITABLE, 2 * MS);
    back_nothing(&b, 5 * SECOND);
    assert_string_equal(b.peer->got, "1234567890|");
    back_close(&b);
}

static void room_is_told_of_once(void **unused)
{
    (void)unused;
    go_down(10, SECOND);
    const uint64_t sent_ns = sim_now_ns();
    assert_int_equal(say("1234567890"), WSR_OK);
    assert_int_equal(say("x"), WSR_EFULL);
    given_back("1234567890", sent_ns + SECOND);
    (void)back_next(&b, WSR_EVENT_WRITABLE, MS);
    const uint64_t again_ns = sim_now_ns();
    assert_int_equal(say("y"), WSR_OK);
    given_back("y", again_ns + SECOND);
    (void)back_next(&b, WSR_EVENT_OPEN, 5 * SECOND);
    back_nothing(&b, 5 * SECOND);
    back_close(&b);
}

/* What no outbox would take is not queued for one. */
static void a_message_beyond_the_outbox_is_refused_at_once(void **unused)
{
    (void)unused;
    const wsr_config config = {.size = sizeof config, .limits = {.outbox_bytes_max = 10}};
    sim_reset(1);
    back_open(&b, &config);
    b.config.reconnect.queue_bytes_max = 1000;
    back_connect(&b);
    assert_int_equal(say("12345678901"), WSR_ETOOBIG);
    assert_int_equal(say("1234567890"), WSR_OK);
    assert_int_equal(say("1234567890"), WSR_OK); /* both go, although together they are more: they were accepted */
    (void)back_next(&b, WSR_EVENT_OPEN, SECOND);
    back_nothing(&b, 5 * SECOND);
    assert_string_equal(b.peer->got, "1234567890|1234567890|");
    back_close(&b);
}

/* Messages without a byte are bounded, too. */
static void empty_messages_are_counted(void **unused)
{
    (void)unused;
    unsigned n = 0;
    go_down(10, 3 * SECOND);
    while (say("") == WSR_OK)
        n++;
    assert_int_equal(n, 65536);
    assert_int_equal(say(""), WSR_EFULL);
    back_close(&b); /* and all of it goes with the engine */
}

/* Nothing that waits is lost with the connection: each message comes back before CLOSED, one event a batch if need be. */
static void the_end_gives_everything_back(void **unused)
{
    (void)unused;
    for (unsigned cap = 1; cap <= 4; cap++) {
        go_down(1000, 10 * SECOND);
        assert_int_equal(say("a"), WSR_OK);
        assert_int_equal(say("b"), WSR_OK);
        assert_int_equal(say("c"), WSR_OK);
        assert_int_equal(wsr_close(b.engine, b.conn, 1000, SLICE("enough")), WSR_OK);
        assert_int_equal(say("d"), WSR_ESTATE);
        wsr_event ev[4];
        char seen[8] = "";
        unsigned closed = 0;
        for (unsigned polls = 0; closed == 0 && polls < 100; polls++) {
            int n = wsr_poll(b.engine, ev, cap, 0);
            assert_in_range(n, 0, cap);
            for (int i = 0; i < n; i++) {
                closed += ev[i].type == WSR_EVENT_CLOSED;
                if (ev[i].type == WSR_EVENT_UNDELIVERED)
                    strncat(seen, (const char *)ev[i].data.ptr, 1);
            }
        }
        assert_int_equal(closed, 1);
        assert_string_equal(seen, "abc");
        assert_int_equal(say("e"), WSR_ESTALE);
        back_close(&b);
    }
}

/* A message that is passed on waits with the others, and not in front of them. */
static void what_is_forwarded_waits_too(void **unused)
{
    (void)unused;
    uint8_t text[] = "forwarded";
    const wsr_event event = {.type = WSR_EVENT_MESSAGE, .opcode = WSR_TEXT, .data = {text, sizeof text - 1}};
    go_down(1000, 10 * SECOND);
    assert_int_equal(say("one"), WSR_OK);
    assert_int_equal(wsr_forward(b.engine, b.conn, &event), WSR_OK);
    assert_int_equal(say("three"), WSR_OK);
    (void)back_next(&b, WSR_EVENT_OPEN, 6 * SECOND);
    back_pass(&b, MS);
    assert_string_equal(b.peer->got, "one|forwarded|three|");
    back_close(&b);
}

/* Room in the queue is nothing to tell any more where the end was told, whatever its last operations still take. */
static void nothing_comes_behind_the_end(void **unused)
{
    (void)unused;
    for (unsigned seed = 1; seed <= 50; seed++) {
        sim_reset(seed);
        back_open(&b, NULL);
        b.config.reconnect.queue_bytes_max = 10;
        b.config.reconnect.queue_ttl_ns = SECOND;
        sim_knobs.latency_ns_max = 1000 * SECOND; /* connecting hangs */
        back_connect(&b);
        assert_int_equal(say("1234567890"), WSR_OK);
        assert_int_equal(say("x"), WSR_EFULL);
        back_pass(&b, MS);
        sim_knobs.delay_percent = 100;
        sim_knobs.delay_ns_max = 3 * SECOND;
        sim_sleep(SECOND - (seed % 10) * MS);
        assert_int_equal(wsr_close(b.engine, b.conn, 1000, SLICE("")), WSR_OK);
        (void)back_next(&b, WSR_EVENT_UNDELIVERED, SECOND);
        (void)back_next(&b, WSR_EVENT_CLOSED, SECOND);
        back_nothing(&b, 30 * SECOND);
        back_close(&b);
    }
}

/* The server stops for good while messages wait, by a refusal that is no reason to come back. */
static void a_refusal_for_good_gives_everything_back(void **unused)
{
    (void)unused;
    go_down(1000, 10 * SECOND);
    assert_int_equal(say("a"), WSR_OK);
    b.answer = "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n";
    const struct back_event *event = back_next(&b, WSR_EVENT_UNDELIVERED, 6 * SECOND);
    assert_string_equal(event->data, "a");
    event = back_next(&b, WSR_EVENT_CLOSED, 0);
    assert_int_equal(event->record.http_status, 403);
    b.answer = NULL;
    back_close(&b);
}

/* Accepted messages and what became of them, as the engine counts: those given back were never out. */
static void the_figures_are_right(void **unused)
{
    (void)unused;
    go_down(1000, SECOND);
    const uint64_t due_ns = sim_now_ns() + SECOND;
    assert_int_equal(say("late"), WSR_OK);
    back_pass(&b, 4 * SECOND + 500 * MS);
    assert_int_equal(say("in time"), WSR_OK);
    given_back("late", due_ns);
    (void)back_next(&b, WSR_EVENT_OPEN, SECOND);
    assert_int_equal(say("open"), WSR_OK);
    back_pass(&b, MS);
    back_close_frame(&b, 1000);
    const struct back_event *event = back_next(&b, WSR_EVENT_CLOSED, SECOND);
    assert_int_equal(event->record.messages_out, 2);
    wsr_engine_statistics stats;
    wsr_engine_stats(b.engine, &stats, sizeof stats);
    assert_int_equal(stats.messages_out, 2);
    assert_int_equal(stats.bytes_out, strlen("in time") + strlen("open"));
    assert_int_equal(stats.connected, 2);
    assert_int_equal(stats.closed, 1);
    assert_int_equal(stats.open, 0);
    assert_int_equal(stats.handshakes_failed, 0);
    assert_int_equal(stats.messages_undelivered, 0);
    back_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_queue_nothing_is_accepted),
        cmocka_unit_test(what_waits_goes_first_and_in_order),
        cmocka_unit_test(the_first_attempt_is_waited_for_too),
        cmocka_unit_test(a_stale_message_is_never_sent),
        cmocka_unit_test(the_last_nanosecond_counts),
        cmocka_unit_test(a_full_queue_says_so_and_when_it_is_not),
        cmocka_unit_test(at_the_very_instant),
        cmocka_unit_test(room_is_told_of_once),
        cmocka_unit_test(a_message_beyond_the_outbox_is_refused_at_once),
        cmocka_unit_test(empty_messages_are_counted),
        cmocka_unit_test(the_end_gives_everything_back),
        cmocka_unit_test(what_is_forwarded_waits_too),
        cmocka_unit_test(nothing_comes_behind_the_end),
        cmocka_unit_test(a_refusal_for_good_gives_everything_back),
        cmocka_unit_test(the_figures_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
