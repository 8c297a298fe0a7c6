/*
 * tests/sim_comeback_calls.c - what an application and a server can do with a client that comes back, in virtual time: leave it in
 * any of its states, hurry it, answer it or not; ask it to wait, send it elsewhere, and open to it without meaning it.
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

static void begin(enum back_random random)
{
    sim_reset(1);
    back_open(&b, NULL);
    b.random = random;
}

static const struct back_event *lose_by(uint16_t code)
{
    back_close_frame(&b, code);
    return back_next(&b, WSR_EVENT_RECONNECTING, SECOND);
}

/* The connection is lost while a send is under way, whose completion takes some time. */
static void lose_while_sending(void)
{
    static uint8_t zeros[100000];
    back_connect_open(&b);
    b.peer->unread = true;
    assert_int_equal(wsr_send(b.engine, b.conn, WSR_BINARY, (wsr_slice){zeros, sizeof zeros}), WSR_OK);
    back_pass(&b, MS);
    sim_knobs.delay_ns_max = 10 * MS;
    sim_knobs.delay_percent = 100;
    sim_peer_shutdown(b.peer->handle); /* the end of the server's stream; it takes no more either */
    const struct back_event *event = back_next(&b, WSR_EVENT_RECONNECTING, SECOND);
    assert_int_equal(event->record.messages_unconfirmed, 1);
    assert_true((wsr_table_find(b.engine, b.conn)->state & WSR_CONN_LET_GO) != 0);
    sim_knobs.delay_percent = 0;
}

/* ---- leaving ---- */

enum { LEAVE_DOWN, LEAVE_AT_ONCE, LEAVE_BEFORE_IT_IS_TOLD, LEAVE_IN_THE_ATTEMPT, LEAVES };

/* Whenever an application leaves, CLOSED is next and last, says who it was, and nobody connects again. */
static void leaving_is_the_last_word(void **unused)
{
    (void)unused;
    for (unsigned when = 0; when < LEAVES; when++) {
        for (unsigned abort = 0; abort < 2; abort++) {
            begin(BACK_HIGHEST);
            back_connect_open(&b);
            back_peer_gone(b.peer, true);
            wsr_event ev[4];
            int n = 0;
            if (when == LEAVE_BEFORE_IT_IS_TOLD) { /* lost, but there was no room to tell it */
                struct wsr_connection *c = wsr_table_find(b.engine, b.conn);
                wsr_endpoint_ended(&c->ep, &(struct wsr_batch){ev, 0, 0, sim_now_ns()}, WSR_ERESET, 104);
                wsr_conn_after(b.engine, c);
            } else {
                n = wsr_poll(b.engine, ev, 4, (int64_t)SECOND);
                assert_int_equal(n, 1);
                assert_int_equal(ev[0].type, WSR_EVENT_RECONNECTING);
            }
            if (when == LEAVE_DOWN)
                back_pass(&b, SECOND);
            if (when == LEAVE_IN_THE_ATTEMPT) {
                b.answer = "";
                back_pass(&b, 6 * SECOND);
                assert_int_equal(b.accepted, 2);
            }
            const int line = __LINE__ + 1;
            assert_int_equal(abort ? wsr_abort(b.engine, b.conn) : wsr_close(b.engine, b.conn, 1000, SLICE("bye")), WSR_OK);
            const struct back_event *event = back_next(&b, WSR_EVENT_CLOSED, MS);
            assert_int_equal(event->record.by, WSR_BY_LOCAL);
            assert_int_equal(event->error, WSR_EABORTED);
            assert_int_equal(event->record.local_line, line);
            assert_true(strstr(event->record.local_file, "sim_comeback_calls") != NULL);
            assert_int_equal(wsr_abort(b.engine, b.conn), WSR_ESTALE);
            wsr_engine_statistics stats;
            wsr_engine_stats(b.engine, &stats, sizeof stats);
            assert_int_equal(stats.handshakes_failed, when == LEAVE_IN_THE_ATTEMPT);
            const unsigned accepted = b.accepted;
            back_nothing(&b, 3600 * SECOND);
            assert_int_equal(b.accepted, accepted);
            back_close(&b);
        }
    }
}

/* A close that could not be sent is no close. */
static void what_no_close_may_say_is_refused_while_down(void **unused)
{
    (void)unused;
    begin(BACK_HIGHEST);
    back_connect_open(&b);
    (void)lose_by(1001);
    back_pass(&b, SECOND);
    assert_int_equal(wsr_close(b.engine, b.conn, 1006, SLICE("")), WSR_EBADCODE);
    assert_int_equal(wsr_close(b.engine, b.conn, 1000, SLICE("\xff")), WSR_EBADUTF8);
    (void)back_next(&b, WSR_EVENT_OPEN, 6 * SECOND);
    back_close(&b);
}

/* The calls about one connection, while there is none: none of them harms. */
static void other_calls_do_nothing_while_down(void **unused)
{
    (void)unused;
    char text[64];
    static int mark;
    begin(BACK_HIGHEST);
    back_connect_open(&b);
    (void)lose_by(1001);
    back_pass(&b, SECOND);
    assert_int_equal(wsr_ping(b.engine, b.conn), WSR_ESTATE);
    assert_int_equal(wsr_resume_read(b.engine, b.conn), WSR_OK);
    assert_int_equal(wsr_pause_read(b.engine, b.conn), WSR_OK); /* what comes next is another connection */
    assert_int_equal(wsr_peer_address(b.engine, b.conn, text, sizeof text), WSR_ESTATE);
    assert_int_equal(wsr_round_trip_ns(b.engine, b.conn), 0);
    assert_int_equal(wsr_outbox_bytes(b.engine, b.conn), 0);
    assert_int_equal(wsr_set_user(b.engine, b.conn, &mark), WSR_OK);
    assert_int_equal(wsr_succeed(b.engine, b.conn, &(wsr_conn){0}), WSR_ESTATE);
    const struct back_event *event = back_next(&b, WSR_EVENT_OPEN, 6 * SECOND);
    assert_ptr_equal(event->user, &mark);
    back_close(&b);
}

/* ---- hurrying and answering ---- */

static void now_means_now(void **unused)
{
    (void)unused;
    begin(BACK_HIGHEST);
    back_connect_open(&b);
    assert_int_equal(back_now(&b, NULL), WSR_ESTATE);
    assert_int_equal(wsr_reconnect_now(b.engine, b.conn + 1, NULL), WSR_ESTALE);
    (void)lose_by(1012); /* 30 s */
    back_pass(&b, SECOND);
    const uint64_t now_ns = sim_now_ns();
    assert_int_equal(back_now(&b, "X: no line"), WSR_ECONFIG);
    assert_int_equal(back_now(&b, "X-Token: fresh\r\n"), WSR_OK);
    assert_int_equal(back_now(&b, "X-Token: fresher\r\n"), WSR_OK);
    (void)back_next(&b, WSR_EVENT_OPEN, SECOND);
    assert_in_range(b.peer->accepted_ns - now_ns, 0, LATE);
    assert_non_null(strstr(b.peer->request, "X-Token: fresher\r\n"));
    (void)lose_by(1001); /* they stay */
    (void)back_next(&b, WSR_EVENT_OPEN, 60 * SECOND);
    assert_non_null(strstr(b.peer->request, "X-Token: fresher\r\n"));
    back_close(&b);
}

/* Said when the loss was told, but a send of the old connection is still under way: the slot waits for that first. */
static void now_in_the_same_breath(void **unused)
{
    (void)unused;
    for (unsigned what = 0; what < 3; what++) {
        begin(BACK_HIGHEST);
        b.config.reconnect.queue_bytes_max = 100;
        lose_while_sending();
        const uint64_t now_ns = sim_now_ns();
        if (what == 0) {
            assert_int_equal(back_now(&b, NULL), WSR_OK);
            (void)back_next(&b, WSR_EVENT_OPEN, SECOND);
            assert_in_range(b.peer->accepted_ns - now_ns, 1, 20 * MS);
        } else {
            assert_int_equal(what == 1 ? wsr_close(b.engine, b.conn, 1000, SLICE("")) : wsr_abort(b.engine, b.conn), WSR_OK);
            assert_int_equal(wsr_close(b.engine, b.conn, 1000, SLICE("")), WSR_ESTATE);
            assert_int_equal(wsr_abort(b.engine, b.conn), WSR_OK);
            assert_int_equal(back_now(&b, NULL), WSR_ESTATE);
            assert_int_equal(wsr_send(b.engine, b.conn, WSR_TEXT, SLICE("x")), WSR_ESTATE);
            const struct back_event *event = back_next(&b, WSR_EVENT_CLOSED, SECOND);
            wsr_engine_statistics stats;
            wsr_engine_stats(b.engine, &stats, sizeof stats);
            assert_int_equal(stats.messages_unconfirmed, 1);
            assert_int_equal(event->error, WSR_EABORTED);
            assert_int_equal(event->record.by, WSR_BY_LOCAL);
            assert_non_null(event->record.local_file);
            back_nothing(&b, 100 * SECOND);
        }
        back_close(&b);
    }
}

static void nobody_answers(void **unused)
{
    (void)unused;
    static const uint16_t codes[] = {4000, 3000};
    for (unsigned i = 0; i < 2; i++) {
        begin(BACK_HIGHEST);
        b.config.reconnect.answer_timeout_ns = 3 * SECOND;
        b.config.reconnect.queue_bytes_max = 100;
        b.config.reconnect.queue_ttl_ns = 100 * SECOND;
        back_connect_open(&b);
        const uint64_t told_ns = lose_by(codes[i])->time_ns;
        assert_int_equal(wsr_send(b.engine, b.conn, WSR_TEXT, SLICE("x")), WSR_OK);
        const struct back_event *event = back_next(&b, WSR_EVENT_UNDELIVERED, 4 * SECOND);
        event = back_next(&b, WSR_EVENT_CLOSED, MS);
        assert_in_range(event->time_ns - told_ns, 3 * SECOND, 3 * SECOND + LATE);
        assert_int_equal(event->close_code, codes[i]); /* of what was lost: that is why it is over */
        assert_int_equal(event->record.by, WSR_BY_PEER);
        assert_int_equal(b.accepted, 1);
        back_close(&b);
    }
}

/* ---- what a server asks for ---- */

static void waited(const char *retry_after, uint64_t low, uint64_t high)
{
    char answer[200];
    for (unsigned highest = 0; highest < 2; highest++) {
        begin(highest ? BACK_HIGHEST : BACK_LOWEST);
        snprintf(answer, sizeof answer, "HTTP/1.1 503 Busy\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", retry_after);
        b.answer = answer;
        back_connect(&b);
        const struct back_event *event = back_next(&b, WSR_EVENT_RECONNECTING, SECOND);
        assert_int_equal(event->reconnecting.delay_ns, highest ? high : low);
        const uint64_t due_ns = event->time_ns + event->reconnecting.delay_ns;
        b.answer = NULL;
        (void)back_next(&b, WSR_EVENT_OPEN, 2 * 3600 * SECOND);
        assert_in_range(b.peer->accepted_ns - due_ns, 0, LATE);
        back_close(&b);
    }
}

static void retry_after_is_obeyed(void **unused)
{
    (void)unused;
    waited("120", 120 * SECOND, 144 * SECOND);
    waited("0", 0, 300 * MS);
    waited("1000000", 3600 * SECOND, 4320 * SECOND); /* no more than an hour, and a fifth on top */
    waited("soon", 0, 300 * MS);
    /* as a date: the simulated host's wall clock shows its monotonic time, as seconds since 1970 */
    sim_reset(1);
    const uint64_t then = sim_now_ns() / SECOND + 90; /* the same in each run of this seed */
    static const char *const days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    assert_true(then < 31 * 86400);
    char date[64];
    snprintf(date, sizeof date, "%s, %02u Jan 1970 %02u:%02u:%02u GMT", days[then / 86400 % 7], (unsigned)(then / 86400 + 1),
             (unsigned)(then / 3600 % 24), (unsigned)(then / 60 % 60), (unsigned)(then % 60));
    waited(date, 90 * SECOND, 108 * SECOND);
}

/* A server that opens and drops, and one that refuses: the delays grow over both, and only a stable connection forgives. */
static void opening_forgives_nothing(void **unused)
{
    (void)unused;
    begin(BACK_HIGHEST);
    back_connect_open(&b);
    uint64_t delay = lose_by(1001)->reconnecting.delay_ns;
    assert_int_equal(delay, 5 * SECOND);
    for (unsigned i = 2; i < 6; i++) {
        (void)back_next(&b, WSR_EVENT_OPEN, 60 * SECOND);
        back_pass(&b, 59 * SECOND);
        const struct back_event *event = lose_by(1001);
        const uint64_t next = 3 * delay < 30 * SECOND ? 3 * delay : 30 * SECOND;
        assert_int_equal(event->reconnecting.attempt, i);
        assert_int_equal(event->reconnecting.delay_ns, next);
        delay = next;
    }
    (void)back_next(&b, WSR_EVENT_OPEN, 60 * SECOND);
    back_pass(&b, 60 * SECOND);
    const struct back_event *event = lose_by(1001);
    assert_int_equal(event->reconnecting.attempt, 1);
    assert_int_equal(event->reconnecting.delay_ns, 5 * SECOND);
    back_close(&b);
}

static void limits_end_it(void **unused)
{
    (void)unused;
    begin(BACK_LOWEST);
    b.config.reconnect.attempts_max = 3;
    back_unlisten(&b);
    back_connect(&b);
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal(back_next(&b, WSR_EVENT_RECONNECTING, 60 * SECOND)->reconnecting.attempt, i);
    const struct back_event *event = back_next(&b, WSR_EVENT_CLOSED, SECOND);
    assert_int_equal(event->error, WSR_ECONNECT);
    assert_int_equal(event->record.sys_errno, 111);
    back_close(&b);

    begin(BACK_HIGHEST);
    b.config.reconnect.elapsed_max_ns = 8 * SECOND;
    back_unlisten(&b);
    const uint64_t begun_ns = sim_now_ns();
    back_connect(&b);
    for (;;) {
        back_pass(&b, SECOND);
        if (b.events[b.events_n - 1].type == WSR_EVENT_CLOSED)
            break;
        assert_true(sim_now_ns() < begun_ns + 9 * SECOND);
    }
    assert_int_equal(b.events_n, 6); /* after 0.25, 0.75, 1.75, 3.75, 7.75 s; 8 more are too many */
    back_close(&b);
}

/*
 * Attempts that cannot even begin, and a policy without any delay: each is told in a batch of its own, since what an event points
 * to is the connection's, and stays as long as that batch.
 */
static void attempts_that_fail_at_once_come_one_a_batch(void **unused)
{
    (void)unused;
    wsr_event ev[4];
    begin(BACK_HIGHEST);
    const wsr_policy_override row = {WSR_CAUSE_REFUSED, {.retry = WSR_RETRY_BACKOFF, .jitter = WSR_JITTER_NONE}};
    b.config.reconnect.overrides = &row;
    b.config.reconnect.overrides_n = 1;
    back_connect_open(&b);
    uint64_t due_ns = lose_by(1001)->time_ns + 5 * SECOND;
    b.random = BACK_NONE;
    unsigned told = 0;
    for (unsigned polls = 0; told < 20; polls++) {
        int n = wsr_poll(b.engine, ev, 4, (int64_t)(10 * SECOND));
        assert_true(n <= 1 && polls < 100);
        if (n == 0)
            continue;
        const wsr_reconnecting *reconnecting = wsr_event_reconnecting(&ev[0]);
        assert_non_null(reconnecting);
        assert_int_equal(reconnecting->attempt, 2 + told++);
        assert_int_equal(reconnecting->record->cause, WSR_ECONNECT);
        assert_true(ev[0].time_ns >= due_ns);
    }
    b.random = BACK_LOWEST;
    b.hurried_n = b.events_n;
    back_pass(&b, 10 * MS);
    assert_int_equal(b.events[b.events_n - 1].type, WSR_EVENT_OPEN);
    back_close(&b);
}

static void another_endpoint_is_tried(void **unused)
{
    (void)unused;
    begin(BACK_HIGHEST);
    b.config.url = "ws://127.0.0.1:9000/a ws://user:secret@127.0.0.1:9001/b?c";
    back_connect_open(&b);
    const struct back_event *event = lose_by(1012);
    assert_int_equal(event->reconnecting.endpoint, 1);
    assert_int_equal(event->reconnecting.delay_ns, 2 * SECOND);
    assert_string_equal(event->url, "ws://127.0.0.1:9001/b?c"); /* nobody's password */
    event = back_next(&b, WSR_EVENT_RECONNECTING, 3 * SECOND); /* there is nobody */
    assert_int_equal(event->error, WSR_ECONNECT);
    assert_int_equal(event->reconnecting.endpoint, 0);
    assert_string_equal(event->url, "ws://127.0.0.1:9000/a");
    (void)back_next(&b, WSR_EVENT_OPEN, 60 * SECOND);
    back_close(&b);
}

/* ---- redirects ---- */

#define LOCATION(to) "HTTP/1.1 307 x\r\nLocation: " to "\r\nContent-Length: 0\r\n\r\n"

static void a_redirect_is_followed_for_one_attempt(void **unused)
{
    (void)unused;
    begin(BACK_LOWEST);
    b.config.url = "ws://user:secret@127.0.0.1:9000/feed";
    b.config.headers = "Cookie: a=b\r\nX-A: b\r\nauthorization: c\r\n";
    b.answer = LOCATION("there/x?y#z");
    back_connect(&b);
    const struct back_event *event = back_next(&b, WSR_EVENT_RECONNECTING, SECOND);
    assert_int_equal(event->reconnecting.verdict, WSR_VERDICT_FOLLOW);
    assert_string_equal(event->url, "ws://127.0.0.1:9000/there/x?y");
    b.answer = LOCATION("ws://127.0.0.1:9001/far");
    event = back_next(&b, WSR_EVENT_RECONNECTING, SECOND);
    assert_string_equal(event->url, "ws://127.0.0.1:9001/far");
    assert_non_null(strstr(b.peer->request, "GET /there/x?y HTTP/1.1\r\n")); /* the same origin: all goes along */
    assert_non_null(strstr(b.peer->request, "Cookie: a=b\r\n"));
    assert_non_null(strstr(b.peer->request, "authorization: c\r\n"));
    b.port = 9001;
    back_unlisten(&b);
    back_listen(&b);
    b.answer = LOCATION("/home");
    event = back_next(&b, WSR_EVENT_RECONNECTING, SECOND);
    assert_string_equal(event->url, "ws://127.0.0.1:9001/home");
    assert_non_null(strstr(b.peer->request, "GET /far HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n"));
    b.answer = NULL;
    (void)back_next(&b, WSR_EVENT_OPEN, SECOND);
    for (unsigned i = 0; i < 2; i++) {
        assert_null(strstr(b.peer->request, "Cookie"));
        assert_null(strstr(b.peer->request, "uthorization"));
        assert_non_null(strstr(b.peer->request, "X-A: b\r\n"));
    }
    b.port = 9000; /* lost: back to where it was told to go */
    back_peer_gone(b.peer, false);
    event = back_next(&b, WSR_EVENT_RECONNECTING, SECOND);
    assert_string_equal(event->url, "ws://127.0.0.1:9000/feed");
    back_unlisten(&b);
    back_listen(&b);
    (void)back_next(&b, WSR_EVENT_OPEN, 60 * SECOND);
    assert_non_null(strstr(b.peer->request, "Cookie: a=b\r\n"));
    back_close(&b);
}

/* Told that it is sent elsewhere, the application leaves: the last operations of what refused it may still be under way. */
static void nobody_follows_who_has_left(void **unused)
{
    (void)unused;
    for (unsigned how = 0; how < 2; how++) {
        begin(BACK_LOWEST);
        b.config.reconnect.on = false;
        b.config.redirects_max = 5;
        b.answer = LOCATION("/there");
        back_connect(&b);
        (void)back_next(&b, WSR_EVENT_RECONNECTING, SECOND);
        assert_int_equal(how == 0 ? wsr_abort(b.engine, b.conn) : wsr_close(b.engine, b.conn, 1000, SLICE("")), WSR_OK);
        const struct back_event *event = back_next(&b, WSR_EVENT_CLOSED, SECOND);
        assert_int_equal(event->record.cause, WSR_EABORTED);
        back_nothing(&b, 10 * SECOND);
        assert_int_equal(b.accepted, 1);
        back_close(&b);
    }
}

static void a_bad_redirect_ends_it(void **unused)
{
    (void)unused;
    static const char *const answers[] = {
        LOCATION("ftp://127.0.0.1/"), LOCATION("ws://"), LOCATION("ws://a b/"), LOCATION("ws+unix:///run/docker.sock:/x"),
        "HTTP/1.1 302 x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 302 x\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
    };
    for (unsigned i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        begin(BACK_LOWEST);
        b.answer = answers[i];
        back_connect(&b);
        const struct back_event *event = back_next(&b, WSR_EVENT_CLOSED, SECOND);
        assert_int_equal(event->record.http_status / 100, 3);
        assert_int_equal(event->answer_status, event->record.http_status);
        back_close(&b);
    }
}

/* Redirects may be followed by those who do not come back otherwise. */
static void without_coming_back_redirects_are_counted(void **unused)
{
    (void)unused;
    for (unsigned max = 0; max < 4; max++) {
        begin(BACK_LOWEST);
        b.config.reconnect.on = false;
        b.config.redirects_max = max;
        b.answer = LOCATION("/again");
        back_connect(&b);
        for (unsigned i = 0; i < max; i++)
            assert_int_equal(back_next(&b, WSR_EVENT_RECONNECTING, SECOND)->reconnecting.verdict, WSR_VERDICT_FOLLOW);
        (void)back_next(&b, WSR_EVENT_CLOSED, SECOND);
        assert_int_equal(b.requests, max + 1);
        back_close(&b);
    }
    begin(BACK_LOWEST);
    b.config.reconnect.on = false;
    b.config.redirects_max = 1;
    back_connect_open(&b);
    back_close_frame(&b, 1001);
    (void)back_next(&b, WSR_EVENT_CLOSED, SECOND);
    back_close(&b);
}

/* ---- configuration ---- */

static void what_no_policy_can_be_is_refused(void **unused)
{
    (void)unused;
    begin(BACK_LOWEST);
    wsr_conn conn;
    wsr_connect_config config = b.config;
    config.reconnect.profile = (wsr_profile)9;
    assert_int_equal(wsr_connect(b.engine, &config, &conn), WSR_ECONFIG);
    config = b.config;
    config.reconnect.base_ns = 2 * SECOND;
    config.reconnect.cap_ns = SECOND;
    assert_int_equal(wsr_connect(b.engine, &config, &conn), WSR_ECONFIG);
    config = b.config;
    config.reconnect.overrides_n = 1;
    assert_int_equal(wsr_connect(b.engine, &config, &conn), WSR_ECONFIG);
    back_close(&b);
}

/* Profiles and overrides reach the policy; the caller's array may go. */
static void a_row_can_be_overridden(void **unused)
{
    (void)unused;
    begin(BACK_HIGHEST);
    wsr_policy_override *override = malloc(sizeof *override);
    assert_non_null(override);
    *override = (wsr_policy_override){WSR_CAUSE_4XXX, {.retry = WSR_RETRY_BACKOFF, .first_min_ns = SECOND, .first_max_ns = 2 * SECOND}};
    b.config.reconnect.overrides = override;
    b.config.reconnect.overrides_n = 1;
    b.config.reconnect.profile = WSR_PROFILE_PERSISTENT;
    back_connect_open(&b);
    memset(override, 0xFF, sizeof *override);
    free(override);
    assert_int_equal(lose_by(4001)->reconnecting.delay_ns, 2 * SECOND);
    (void)back_next(&b, WSR_EVENT_OPEN, 3 * SECOND);
    back_pass(&b, 60 * SECOND);
    assert_int_equal(lose_by(1000)->reconnecting.delay_ns, 5 * SECOND);
    back_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaving_is_the_last_word),
        cmocka_unit_test(what_no_close_may_say_is_refused_while_down),
        cmocka_unit_test(other_calls_do_nothing_while_down),
        cmocka_unit_test(now_means_now),
        cmocka_unit_test(now_in_the_same_breath),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(retry_after_is_obeyed),
        cmocka_unit_test(opening_forgives_nothing),
        cmocka_unit_test(limits_end_it),
        cmocka_unit_test(attempts_that_fail_at_once_come_one_a_batch),
        cmocka_unit_test(another_endpoint_is_tried),
        cmocka_unit_test(a_redirect_is_followed_for_one_attempt),
        cmocka_unit_test(nobody_follows_who_has_left),
        cmocka_unit_test(a_bad_redirect_ends_it),
        cmocka_unit_test(without_coming_back_redirects_are_counted),
        cmocka_unit_test(what_no_policy_can_be_is_refused),
        cmocka_unit_test(a_row_can_be_overridden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
