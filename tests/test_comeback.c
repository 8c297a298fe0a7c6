/*
 * test_comeback.c - a client that comes back, on the real kernel, over TCP and TLS: what virtual time cannot show (sim_comeback*.c
 * shows the rest): real refusals and resets, certificates, an engine inside another loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>

#include <wsring/wsring.h>

#include "tools/cmd.h"

#define MS UINT64_C(1000000)
#define S (1000 * MS)
#define SLICE(text) ((wsr_slice){(const uint8_t *)(text), strlen(text)})

struct event {
    uint8_t type;
    uint16_t flags;
    int error;
    wsr_conn conn;
    uint64_t token, time_ns, delay_ns;
    wsr_verdict verdict;
    wsr_cause cause;
    char url[100], why[100], detail[100], data[32];
    uint16_t status;
};

struct world {
    wsr_engine *server, *client;
    wsr_listener listener;
    wsr_tls *server_tls, *client_tls;
    uint16_t port;
    wsr_conn conn, at_server; /* the client's; the last one that the server accepted */
    unsigned accepted, got;   /* requests let in; messages the server got */
    const char *wants;        /* a header that a request must have, or 401 */
    const char *redirect;     /* to where a request for / is sent */
    unsigned busy;            /* so many requests get 503 */
    bool guest;               /* the client's engine lives in a loop of poll(2) */
    struct event events[64];
    unsigned events_n, seen_n;
    wsr_policy_override soon[3];
    char url[64];
};

/* ---- the server ---- */

static bool has(const wsr_request *request, const char *line)
{
    for (unsigned i = 0; i < request->headers_n; i++) {
        const wsr_header *h = &request->headers[i];
        if (h->name.len + 2 + h->value.len == strlen(line) && memcmp(line, h->name.ptr, h->name.len) == 0 &&
            memcmp(line + h->name.len + 2, h->value.ptr, h->value.len) == 0)
            return true;
    }
    return false;
}

static void answer(struct world *w, const wsr_event *ev)
{
    char location[128];
    const wsr_request *request = wsr_event_request(ev);
    int error;
    if (w->busy > 0) {
        w->busy--;
        error = wsr_refuse(w->server, ev->conn, 503, "Retry-After: 1\r\n", SLICE("one moment"));
    } else if (w->redirect != NULL && request->target.len == 1) {
        snprintf(location, sizeof location, "Location: %s\r\n", w->redirect);
        error = wsr_refuse(w->server, ev->conn, 302, location, SLICE(""));
    } else if (w->wants != NULL && !has(request, w->wants)) {
        error = wsr_refuse(w->server, ev->conn, 401, NULL, SLICE("who are you?"));
    } else {
        w->accepted++;
        w->at_server = ev->conn;
        error = wsr_accept(w->server, ev->conn, NULL, NULL);
    }
    assert_int_equal(error, WSR_OK);
}

static void turn_server(struct world *w)
{
    wsr_event ev[16];
    int n = w->server != NULL ? wsr_poll(w->server, ev, 16, 0) : 0;
    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        if (ev[i].type == WSR_EVENT_REQUEST)
            answer(w, &ev[i]);
        w->got += ev[i].type == WSR_EVENT_MESSAGE;
    }
}

static void open_server(struct world *w)
{
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    listen.manual = true;
    listen.tls = w->server_tls;
    assert_int_equal(wsr_engine_open(&w->server, NULL), WSR_OK);
    int error = WSR_ESYS;
    for (unsigned i = 0; i < 100 && error != WSR_OK; i++) {
        listen.port = w->port != 0 ? w->port : cmd_port_candidate(i);
        error = wsr_listen(w->server, &listen, &w->listener);
    }
    assert_int_equal(error, WSR_OK);
    w->port = listen.port;
}

static void close_server(struct world *w)
{
    wsr_engine_close(w->server);
    w->server = NULL;
}

/* ---- the client ---- */

static void note(struct world *w, const wsr_event *ev)
{
    struct event *to = &w->events[w->events_n++];
    assert_true(w->events_n <= sizeof w->events / sizeof w->events[0]);
    *to = (struct event){.type = ev->type, .flags = ev->flags, .error = ev->error, .conn = ev->conn, .token = ev->token, .time_ns = ev->time_ns};
    const wsr_close_record *record = wsr_event_close_record(ev);
    const wsr_reconnecting *reconnecting = wsr_event_reconnecting(ev);
    if (reconnecting != NULL) {
        record = reconnecting->record;
        to->delay_ns = reconnecting->delay_ns;
        to->verdict = reconnecting->verdict;
        to->cause = reconnecting->cause;
        snprintf(to->url, sizeof to->url, "%s", reconnecting->url);
        snprintf(to->why, sizeof to->why, "%s", reconnecting->why);
    }
    if (record != NULL) {
        to->status = record->http_status;
        snprintf(to->detail, sizeof to->detail, "%s", record->detail != NULL ? record->detail : "");
        if (record->answer != NULL)
            snprintf(to->data, sizeof to->data, "%.*s", (int)record->answer->body.len, (const char *)record->answer->body.ptr);
    } else if (ev->type == WSR_EVENT_MESSAGE || ev->type == WSR_EVENT_UNDELIVERED) {
        snprintf(to->data, sizeof to->data, "%.*s", (int)ev->data.len, (const char *)ev->data.ptr);
    }
}

/* As another loop would do it: look until there is nothing, then sleep on the descriptor. */
static void turn_guest(struct world *w)
{
    wsr_event ev[16];
    struct pollfd fd = {.fd = wsr_engine_fd(w->client), .events = POLLIN};
    for (int n; (n = wsr_poll(w->client, ev, 16, 0)) > 0;)
        for (int i = 0; i < n; i++)
            note(w, &ev[i]);
    (void)poll(&fd, 1, w->server != NULL ? 1 : 5000); /* nobody else wakes us when there is no server to look after */
}

static void turn(struct world *w)
{
    wsr_event ev[16];
    turn_server(w);
    if (w->guest) {
        turn_guest(w);
        return;
    }
    int n = wsr_poll(w->client, ev, 16, (int64_t)MS);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++)
        note(w, &ev[i]);
}

static const struct event *next(struct world *w, wsr_event_type type)
{
    const uint64_t until_ns = cmd_now_ns() + 30 * S;
    while (w->seen_n == w->events_n && cmd_now_ns() < until_ns)
        turn(w);
    if (w->seen_n == w->events_n)
        fail_msg("no event of type %d", (int)type);
    const struct event *event = &w->events[w->seen_n++];
    if (event->type != type)
        fail_msg("wanted an event of type %d, got %d: %s %s", (int)type, event->type, wsr_error_name(event->error), event->detail);
    return event;
}

static void open_world(struct world *w, bool tls)
{
    memset(w, 0, sizeof *w);
    if (tls) {
        const wsr_tls_config server = {.size = sizeof server, .role = WSR_SERVER, .self_signed = "127.0.0.1"};
        const wsr_tls_config client = {.size = sizeof client, .role = WSR_CLIENT, .verify_none = true};
        assert_int_equal(wsr_tls_open(&w->server_tls, &server, NULL, 0), WSR_OK);
        assert_int_equal(wsr_tls_open(&w->client_tls, &client, NULL, 0), WSR_OK);
    }
    open_server(w);
    assert_int_equal(wsr_engine_open(&w->client, NULL), WSR_OK);
    snprintf(w->url, sizeof w->url, "%s://127.0.0.1:%u/", tls ? "wss" : "ws", w->port);
}

/* A test has no time for the policy's 5 s. */
static wsr_connect_config config_of(struct world *w)
{
    static const wsr_cause causes[] = {WSR_CAUSE_1001, WSR_CAUSE_ABNORMAL, WSR_CAUSE_RESET};
    for (unsigned i = 0; i < 3; i++) {
        w->soon[i] = (wsr_policy_override){causes[i], *wsr_policy_default(WSR_PROFILE_DEFAULT, causes[i])};
        w->soon[i].row.first_max_ns = 50 * MS;
    }
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    config.url = w->url;
    config.tls = w->client_tls;
    config.reconnect = (wsr_reconnect){.on = true, .overrides = w->soon, .overrides_n = 3, .base_ns = 20 * MS, .cap_ns = 200 * MS,
                                       .queue_bytes_max = 100, .queue_ttl_ns = 20 * S, .handover_ns = 100 * MS};
    return config;
}

static void connect_open(struct world *w)
{
    const wsr_connect_config config = config_of(w);
    assert_int_equal(wsr_connect(w->client, &config, &w->conn), WSR_OK);
    (void)next(w, WSR_EVENT_OPEN);
}

static void close_world(struct world *w)
{
    wsr_engine_close(w->client);
    close_server(w);
    wsr_tls_release(w->client_tls);
    wsr_tls_release(w->server_tls);
}

/* The attempts until there is an OPEN; the last event before it. */
static const struct event *until_open(struct world *w, wsr_cause cause)
{
    const struct event *last = NULL;
    const uint64_t until_ns = cmd_now_ns() + 30 * S;
    while (w->events_n == 0 || w->events[w->events_n - 1].type != WSR_EVENT_OPEN) {
        assert_true(cmd_now_ns() < until_ns);
        turn(w);
    }
    for (; w->events[w->seen_n].type != WSR_EVENT_OPEN; w->seen_n++) {
        last = &w->events[w->seen_n];
        assert_int_equal(last->type, WSR_EVENT_RECONNECTING);
        if (last->cause != cause)
            fail_msg("%s instead of %s", wsr_cause_lookup(last->cause)->name, wsr_cause_lookup(cause)->name);
    }
    w->seen_n++;
    return last;
}

/* ---- tests ---- */

/* 1001, then nobody there, then the server again: the message that was sent meanwhile gets there. */
static void a_restart(bool tls, bool guest)
{
    struct world w;
    open_world(&w, tls);
    w.guest = guest;
    connect_open(&w);
    wsr_drain_config drain = WSR_DRAIN_CONFIG_INIT;
    assert_int_equal(wsr_drain(w.server, &drain), WSR_OK);
    const struct event *event = next(&w, WSR_EVENT_RECONNECTING);
    assert_int_equal(event->cause, WSR_CAUSE_1001);
    assert_string_equal(event->url, w.url);
    assert_true(event->delay_ns <= 50 * MS);
    close_server(&w);
    assert_int_equal(wsr_send(w.client, w.conn, WSR_TEXT, SLICE("meanwhile")), WSR_OK);
    event = next(&w, WSR_EVENT_RECONNECTING);
    assert_int_equal(event->cause, WSR_CAUSE_REFUSED);
    open_server(&w);
    (void)until_open(&w, WSR_CAUSE_REFUSED);
    while (w.got == 0)
        turn(&w);
    assert_int_equal(w.accepted, 2);
    close_world(&w);
}

static void it_comes_back_over_tcp(void **unused)
{
    (void)unused;
    a_restart(false, false);
}

static void it_comes_back_over_tls(void **unused)
{
    (void)unused;
    a_restart(true, false);
}

static void it_comes_back_in_another_loop(void **unused)
{
    (void)unused;
    a_restart(false, true);
    a_restart(true, true);
}

static void a_reset_is_come_back_from(void **unused)
{
    (void)unused;
    for (unsigned tls = 0; tls < 2; tls++) {
        struct world w;
        open_world(&w, tls == 1);
        connect_open(&w);
        assert_int_equal(wsr_abort(w.server, w.at_server), WSR_OK);
        const struct event *event = next(&w, WSR_EVENT_RECONNECTING);
        assert_true(event->cause == WSR_CAUSE_RESET || event->cause == WSR_CAUSE_ABNORMAL);
        (void)next(&w, WSR_EVENT_OPEN);
        assert_int_equal(w.accepted, 2);
        close_world(&w);
    }
}

static void a_1000_is_not(void **unused)
{
    (void)unused;
    struct world w;
    open_world(&w, false);
    connect_open(&w);
    assert_int_equal(wsr_close(w.server, w.at_server, 1000, SLICE("that was all")), WSR_OK);
    (void)next(&w, WSR_EVENT_CLOSED);
    for (const uint64_t until_ns = cmd_now_ns() + 300 * MS; cmd_now_ns() < until_ns;)
        turn(&w);
    assert_int_equal(w.accepted, 1);
    close_world(&w);
}

static void fresh_credentials_are_asked_for(void **unused)
{
    (void)unused;
    struct world w;
    open_world(&w, false);
    w.wants = "Authorization: Bearer fresh";
    wsr_connect_config config = config_of(&w);
    config.headers = "Authorization: Bearer stale\r\n";
    assert_int_equal(wsr_connect(w.client, &config, &w.conn), WSR_OK);
    const struct event *event = next(&w, WSR_EVENT_RECONNECTING);
    assert_int_equal(event->verdict, WSR_VERDICT_RENEW);
    assert_int_equal(event->status, 401);
    assert_string_equal(event->data, "who are you?");
    assert_int_equal(wsr_reconnect_now(w.client, w.conn, "Authorization: Bearer fresh\r\n"), WSR_OK);
    (void)next(&w, WSR_EVENT_OPEN);
    close_world(&w);
}

static void retry_after_is_waited_for(void **unused)
{
    (void)unused;
    struct world w;
    open_world(&w, false);
    w.busy = 1;
    const wsr_connect_config config = config_of(&w);
    assert_int_equal(wsr_connect(w.client, &config, &w.conn), WSR_OK);
    const struct event *event = next(&w, WSR_EVENT_RECONNECTING);
    assert_int_equal(event->cause, WSR_CAUSE_HTTP_503);
    assert_string_equal(event->data, "one moment");
    assert_in_range(event->delay_ns, S, S + S / 5);
    const uint64_t told_ns = event->time_ns;
    event = next(&w, WSR_EVENT_OPEN);
    assert_true(event->time_ns >= told_ns + S);
    close_world(&w);
}

static void a_redirect_is_followed(void **unused)
{
    (void)unused;
    for (unsigned tls = 0; tls < 2; tls++) {
        struct world w;
        open_world(&w, tls == 1);
        w.redirect = "/elsewhere";
        const wsr_connect_config config = config_of(&w);
        assert_int_equal(wsr_connect(w.client, &config, &w.conn), WSR_OK);
        const struct event *event = next(&w, WSR_EVENT_RECONNECTING);
        assert_int_equal(event->verdict, WSR_VERDICT_FOLLOW);
        assert_non_null(strstr(event->url, "/elsewhere"));
        (void)next(&w, WSR_EVENT_OPEN);
        close_world(&w);
    }
}

/* Whoever redirects could then read along. */
static void never_from_wss_to_ws(void **unused)
{
    (void)unused;
    static const char *const places[] = {"ws://127.0.0.1/", "http://127.0.0.1/"};
    for (unsigned i = 0; i < 2; i++) {
        struct world w;
        open_world(&w, true);
        w.redirect = places[i];
        const wsr_connect_config config = config_of(&w);
        assert_int_equal(wsr_connect(w.client, &config, &w.conn), WSR_OK);
        const struct event *event = next(&w, WSR_EVENT_CLOSED);
        assert_int_equal(event->status, 302);
        close_world(&w);
    }
}

/* A certificate that nobody vouches for does not get better by trying again. */
static void a_refused_certificate_ends_it(void **unused)
{
    (void)unused;
    struct world w;
    open_world(&w, true);
    wsr_connect_config config = config_of(&w);
    config.tls = NULL; /* the system's roots */
    assert_int_equal(wsr_connect(w.client, &config, &w.conn), WSR_OK);
    const struct event *event = next(&w, WSR_EVENT_CLOSED);
    assert_int_equal(event->error, WSR_ETLS_CERTIFICATE);
    assert_true(event->detail[0] != '\0');
    assert_int_equal(w.accepted, 0);
    close_world(&w);
}

/* Over TLS, too, a successor is there first; what both ends say meanwhile gets there. */
static void a_successor_takes_over(void **unused)
{
    (void)unused;
    for (unsigned tls = 0; tls < 2; tls++) {
        struct world w;
        wsr_conn successor;
        open_world(&w, tls == 1);
        connect_open(&w);
        const wsr_conn old_peer = w.at_server;
        assert_int_equal(wsr_succeed(w.client, w.conn, &successor), WSR_OK);
        const struct event *event = next(&w, WSR_EVENT_OPEN);
        assert_true(event->conn == successor && event->token == w.conn && event->flags == WSR_EVENT_SUCCESSOR);
        assert_int_equal(wsr_send(w.server, old_peer, WSR_TEXT, SLICE("old")), WSR_OK);
        event = next(&w, WSR_EVENT_MESSAGE);
        assert_true(event->conn == w.conn);
        assert_int_equal(wsr_send(w.server, w.at_server, WSR_TEXT, SLICE("new")), WSR_OK);
        event = next(&w, WSR_EVENT_MESSAGE);
        assert_true(event->conn == successor);
        assert_int_equal(wsr_send(w.client, w.conn, WSR_TEXT, SLICE("x")), WSR_OK);
        assert_int_equal(wsr_send(w.client, successor, WSR_TEXT, SLICE("y")), WSR_OK);
        event = next(&w, WSR_EVENT_CLOSED); /* the handover is over */
        assert_true(event->conn == w.conn && event->error == WSR_OK);
        assert_int_equal(w.got, 2);
        close_world(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_over_tcp),
        cmocka_unit_test(it_comes_back_over_tls),
        cmocka_unit_test(it_comes_back_in_another_loop),
        cmocka_unit_test(a_reset_is_come_back_from),
        cmocka_unit_test(a_1000_is_not),
        cmocka_unit_test(fresh_credentials_are_asked_for),
        cmocka_unit_test(retry_after_is_waited_for),
        cmocka_unit_test(a_redirect_is_followed),
        cmocka_unit_test(never_from_wss_to_ws),
        cmocka_unit_test(a_refused_certificate_ends_it),
        cmocka_unit_test(a_successor_takes_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
