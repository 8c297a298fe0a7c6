/*
 * tests/sim_calls.c - every public call about a connection, in every state that one can be in, and every second call behind it: what
 * is returned is what the headers say, CLOSED comes once and last, and nothing is left open. On the simulated host, whose own rules
 * (sim_violation) are watched all the while.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "lib/one.h"
#include "sim/sim.h"

/* ---- states ---- */

enum { /* what a connection is, as far as calls ask for it */
    GONE = 1,       /* its id is stale, or never was one */
    OPEN = 2,       /* messages may be sent */
    FULL = 4,       /* but its outbox is at its limit */
    ASKS = 8,       /* a REQUEST to answer */
    CLIENT = 16,    /* begun by wsr_connect */
    MAY_LEAVE = 32, /* not open, and yet there is something to close: a client's attempt, or its wait */
    WAITS = 64,     /* for its next attempt, or for wsr_reconnect_now */
    QUEUES = 128,   /* messages wait for the next OPEN */
    SUCCEEDED = 256, /* or takes over just now: no successor may be made */
    NO_WAY = 512,   /* there is no transport */
    FADES = 1024    /* over: the transport may be there still or not */
};

struct stage {
    struct one o;
    wsr_conn conn;
    int peer, listener; /* -1: none */
};

#define OUTBOX 100000u

static void begin(struct stage *s, uint32_t connections_max)
{
    wsr_config config = WSR_CONFIG_INIT;
    config.limits.outbox_bytes_max = OUTBOX;
    config.connections_max = connections_max;
    memset(s, 0, sizeof *s);
    s->peer = s->listener = -1;
    sim_reset(1);
    one_open(&s->o, &config);
}

static void never_was(struct stage *s)
{
    begin(s, 0);
    s->conn = 0;
}

static void nonsense(struct stage *s)
{
    begin(s, 0);
    s->conn = UINT64_C(0xfedcba9876543210);
}

static void accepted(struct stage *s)
{
    begin(s, 0);
    s->peer = sim_peer_connect(s->o.port);
    one_poll(&s->o, MS);
    s->conn = 1; /* slot 0, first generation */
}

static void half_a_request(struct stage *s)
{
    accepted(s);
    assert_int_equal(sim_peer_write(s->peer, one_request, 40), 40);
    one_poll(&s->o, MS);
}

static void asking(struct stage *s)
{
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    begin(s, 0);
    listen.manual = true;
    assert_int_equal(wsr_listen(s->o.engine, &listen, &listener), WSR_OK);
    s->peer = sim_peer_connect(wsr_listen_port(s->o.engine, listener));
    assert_int_equal(sim_peer_write(s->peer, one_request, strlen(one_request)), strlen(one_request));
    one_poll(&s->o, MS);
    assert_int_equal(s->o.requests, 1);
    s->conn = s->o.conn;
}

static void let_in(struct stage *s)
{
    asking(s);
    assert_int_equal(wsr_accept(s->o.engine, s->conn, NULL, NULL), WSR_OK);
}

static void sent_away(struct stage *s)
{
    asking(s);
    assert_int_equal(wsr_refuse(s->o.engine, s->conn, 403, NULL, SLICE("no")), WSR_OK);
}

static void is_open(struct stage *s)
{
    begin(s, 0);
    s->peer = one_peer(&s->o);
    s->conn = s->o.conn;
}

/* To the last byte, so that not even nothing finds room. */
static void full(struct stage *s)
{
    static const uint8_t bytes[10000];
    static const size_t sizes[] = {sizeof bytes, 100, 1, 0};
    is_open(s);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        while (wsr_send(s->o.engine, s->conn, WSR_BINARY, (wsr_slice){bytes, sizes[i]}) == WSR_OK)
            continue;
    }
}

static void paused_with_a_backlog(struct stage *s)
{
    is_open(s);
    one_peer_frame(s->peer, 0x81, "held back", 9);
    sim_advance();
    assert_int_equal(wsr_pause_read(s->o.engine, s->conn), WSR_OK);
    one_poll(&s->o, MS);
}

static void within_a_message(struct stage *s)
{
    is_open(s);
    one_peer_frame(s->peer, 0x01, "half", 4);
    one_poll(&s->o, MS);
}

static void closing(struct stage *s)
{
    is_open(s);
    assert_int_equal(wsr_close(s->o.engine, s->conn, 1000, SLICE("")), WSR_OK);
}

static void close_sent(struct stage *s)
{
    closing(s);
    one_poll(&s->o, MS);
}

static void peer_said_close(struct stage *s)
{
    is_open(s);
    one_peer_frame(s->peer, 0x88, "\x03\xe8", 2);
    one_poll(&s->o, MS);
}

static void failed(struct stage *s)
{
    is_open(s);
    one_peer_frame(s->peer, 0x83, "", 0);
    one_poll(&s->o, MS);
}

static void aborted(struct stage *s)
{
    is_open(s);
    assert_int_equal(wsr_abort(s->o.engine, s->conn), WSR_OK);
}

/* CLOSED is in the batch that is looked at. */
static void told_closed(struct stage *s)
{
    aborted(s);
    wsr_event ev;
    assert_int_equal(wsr_poll(s->o.engine, &ev, 1, 0), 1);
    assert_int_equal(ev.type, WSR_EVENT_CLOSED);
}

/* Another one has its slot. */
static void reused(struct stage *s)
{
    begin(s, 1);
    sim_peer_close(one_peer(&s->o));
    one_poll(&s->o, MS);
    const wsr_conn old = s->o.conn;
    s->peer = one_peer(&s->o);
    assert_int_equal(s->o.conn >> 32, old >> 32);
    assert_true(s->o.conn != old);
    s->conn = old;
}

static wsr_connect_config client_config(const char *url)
{
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    config.url = url;
    return config;
}

static void connect_with(struct stage *s, const wsr_connect_config *config)
{
    assert_int_equal(wsr_connect(s->o.engine, config, &s->conn), WSR_OK);
}

static void resolving(struct stage *s)
{
    begin(s, 0);
    sim_name("slow.example", UINT64_MAX, NULL, "10.0.0.1");
    const wsr_connect_config config = client_config("ws://slow.example/");
    connect_with(s, &config);
}

static void connecting(struct stage *s)
{
    begin(s, 0);
    sim_place("10.0.0.9", UINT64_MAX, 0);
    const wsr_connect_config config = client_config("ws://10.0.0.9/");
    connect_with(s, &config);
    one_poll(&s->o, MS);
}

/* Connects to the test, which listens. */
static void dial(struct stage *s, const char *answer, wsr_connect_config config)
{
    s->listener = sim_peer_listen(9000);
    assert_true(s->listener >= 0);
    connect_with(s, &config);
    one_poll(&s->o, MS);
    s->peer = sim_peer_accept(s->listener);
    assert_true(s->peer >= 0);
    one_poll(&s->o, MS);
    assert_int_equal(sim_peer_write(s->peer, answer, strlen(answer)), strlen(answer));
    one_poll(&s->o, MS);
}

static const char here[] = "ws://127.0.0.1:9000/";

static void unanswered(struct stage *s)
{
    begin(s, 0);
    dial(s, "", client_config(here));
}

static void half_refused(struct stage *s)
{
    begin(s, 0);
    dial(s, "HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nbecause", client_config(here));
}

/* To the engine's own listener. */
static void client_open_with(struct stage *s, bool comes_back)
{
    static char url[64];
    begin(s, 0);
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", s->o.port);
    wsr_connect_config config = client_config(url);
    config.reconnect.on = comes_back;
    connect_with(s, &config);
    one_poll(&s->o, 10 * MS);
    assert_int_equal(s->o.opened, 2);
}

static void client_open(struct stage *s)
{
    client_open_with(s, false);
}

static void client_open_that_comes_back(struct stage *s)
{
    client_open_with(s, true);
}

static void succeeded(struct stage *s)
{
    wsr_conn successor;
    client_open(s);
    assert_int_equal(wsr_succeed(s->o.engine, s->conn, &successor), WSR_OK);
}

static void successor_on_its_way(struct stage *s)
{
    client_open_that_comes_back(s);
    assert_int_equal(wsr_succeed(s->o.engine, s->conn, &s->conn), WSR_OK);
}

static void successor_open(struct stage *s)
{
    successor_on_its_way(s);
    one_poll(&s->o, 10 * MS);
    assert_int_equal(s->o.opened, 4);
}

static void lose(struct stage *s, size_t queue_bytes_max)
{
    begin(s, 0);
    wsr_connect_config config = client_config("ws://127.0.0.1:1/");
    config.reconnect.on = true;
    config.reconnect.queue_bytes_max = queue_bytes_max;
    connect_with(s, &config);
}

/* RECONNECTING is in the batch that is looked at. */
static void told_lost(struct stage *s)
{
    lose(s, 0);
    wsr_event ev;
    assert_int_equal(wsr_poll(s->o.engine, &ev, 1, SECOND), 1);
    assert_int_equal(ev.type, WSR_EVENT_RECONNECTING);
}

static void down(struct stage *s)
{
    told_lost(s);
    one_poll(&s->o, MS);
}

static void down_with_a_queue(struct stage *s)
{
    lose(s, OUTBOX);
    one_poll(&s->o, MS);
}

static void connecting_with_a_queue(struct stage *s)
{
    begin(s, 0);
    sim_place("10.0.0.9", UINT64_MAX, 0);
    wsr_connect_config config = client_config("ws://10.0.0.9/");
    config.reconnect.on = true;
    config.reconnect.queue_bytes_max = OUTBOX;
    connect_with(s, &config);
}

static void wants_credentials(struct stage *s)
{
    begin(s, 0);
    wsr_connect_config config = client_config(here);
    config.reconnect.on = true;
    dial(s, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", config);
    one_poll(&s->o, MS);
}

static const struct state {
    const char *name;
    void (*make)(struct stage *s);
    unsigned is;
} states[] = {
    {"an id that never was one", never_was, GONE},
    {"nonsense for an id", nonsense, GONE},
    {"accepted", accepted, 0},
    {"half a request", half_a_request, 0},
    {"a request to answer", asking, ASKS},
    {"let in", let_in, OPEN},
    {"sent away", sent_away, 0},
    {"open", is_open, OPEN},
    {"open, outbox full", full, OPEN | FULL},
    {"paused, with a backlog", paused_with_a_backlog, OPEN},
    {"within a message", within_a_message, OPEN},
    {"closing", closing, 0},
    {"Close sent", close_sent, 0},
    {"Close received", peer_said_close, 0},
    {"failed", failed, 0},
    {"aborted", aborted, FADES},
    {"told as closed", told_closed, GONE},
    {"another has its slot", reused, GONE},
    {"resolving", resolving, CLIENT | MAY_LEAVE | NO_WAY},
    {"connecting", connecting, CLIENT | MAY_LEAVE | NO_WAY},
    {"connecting, with a queue", connecting_with_a_queue, CLIENT | MAY_LEAVE | NO_WAY | QUEUES},
    {"not answered yet", unanswered, CLIENT | MAY_LEAVE},
    {"half refused", half_refused, CLIENT | MAY_LEAVE},
    {"a client, open", client_open, CLIENT | OPEN},
    {"a client, open, that comes back", client_open_that_comes_back, CLIENT | OPEN},
    {"succeeded", succeeded, CLIENT | OPEN | SUCCEEDED},
    {"a successor on its way", successor_on_its_way, CLIENT | MAY_LEAVE | NO_WAY | SUCCEEDED},
    {"a successor, open", successor_open, CLIENT | OPEN | SUCCEEDED},
    {"told as lost", told_lost, CLIENT | MAY_LEAVE | NO_WAY | WAITS},
    {"down", down, CLIENT | MAY_LEAVE | NO_WAY | WAITS},
    {"down, with a queue", down_with_a_queue, CLIENT | MAY_LEAVE | NO_WAY | WAITS | QUEUES},
    {"fresh credentials wanted", wants_credentials, CLIENT | MAY_LEAVE | NO_WAY | WAITS},
};

enum { STATES = sizeof states / sizeof states[0] };

/* ---- calls: what each does, and what it is to return ---- */

static int data_allowed(unsigned is)
{
    return (is & FULL) != 0 ? WSR_EFULL : (is & (OPEN | QUEUES)) != 0 ? WSR_OK : WSR_ESTATE;
}

static int if_open(unsigned is, int then)
{
    return (is & OPEN) != 0 ? then : WSR_ESTATE;
}

static int if_closable(unsigned is, int then)
{
    return (is & (OPEN | MAY_LEAVE)) != 0 ? then : WSR_ESTATE;
}

static int send_text(struct stage *s, unsigned is, int *want)
{
    *want = data_allowed(is);
    return wsr_send(s->o.engine, s->conn, WSR_TEXT, SLICE("hello"));
}

static int send_nothing(struct stage *s, unsigned is, int *want)
{
    *want = data_allowed(is);
    return wsr_send(s->o.engine, s->conn, WSR_BINARY, (wsr_slice){NULL, 0});
}

static int send_ping(struct stage *s, unsigned is, int *want)
{
    *want = if_open(is, WSR_OK);
    return wsr_send(s->o.engine, s->conn, WSR_PING, SLICE("?"));
}

static int send_no_opcode(struct stage *s, unsigned is, int *want)
{
    *want = (is & (OPEN | QUEUES)) != 0 ? WSR_EINVAL : WSR_ESTATE;
    return wsr_send(s->o.engine, s->conn, (wsr_opcode)7, SLICE("hello"));
}

static int send_too_much(struct stage *s, unsigned is, int *want)
{
    static const uint8_t bytes[OUTBOX + 1];
    *want = (is & (OPEN | QUEUES)) != 0 ? WSR_ETOOBIG : WSR_ESTATE;
    return wsr_send(s->o.engine, s->conn, WSR_BINARY, (wsr_slice){bytes, sizeof bytes});
}

static int send_fragments(struct stage *s, unsigned is, int *want)
{
    *want = data_allowed(is);
    return wsr_send_fragmented(s->o.engine, s->conn, WSR_TEXT, SLICE("hello"), 2);
}

static int send_no_fragments(struct stage *s, unsigned is, int *want)
{
    (void)is;
    *want = WSR_EINVAL;
    return wsr_send_fragmented(s->o.engine, s->conn, WSR_TEXT, SLICE("hello"), 0);
}

static int send_burst(struct stage *s, unsigned is, int *want)
{
    const wsr_out out[2] = {{s->conn, WSR_TEXT, SLICE("a")}, {s->conn, WSR_TEXT, SLICE("b")}};
    *want = data_allowed(is) == WSR_OK ? 2 : 0;
    return (int)wsr_send_burst(s->o.engine, out, 2);
}

static int send_prepared(struct stage *s, unsigned is, int *want)
{
    wsr_prepared *prepared;
    *want = data_allowed(is);
    assert_int_equal(wsr_prepare(s->o.engine, WSR_TEXT, SLICE("hello"), &prepared), WSR_OK);
    const int error = wsr_send_prepared(s->o.engine, s->conn, prepared);
    wsr_prepared_free(prepared);
    return error;
}

static int forward(struct stage *s, unsigned is, int *want)
{
    static uint8_t bytes[5];
    const wsr_event event = {.type = WSR_EVENT_MESSAGE, .opcode = WSR_BINARY, .data = {bytes, sizeof bytes}};
    *want = data_allowed(is);
    return wsr_forward(s->o.engine, s->conn, &event);
}

static int forward_no_message(struct stage *s, unsigned is, int *want)
{
    const wsr_event event = {.type = WSR_EVENT_WRITABLE};
    *want = WSR_EINVAL;
    (void)is;
    return wsr_forward(s->o.engine, s->conn, &event);
}

static int close_it(struct stage *s, unsigned is, int *want)
{
    *want = if_closable(is, WSR_OK);
    return wsr_close(s->o.engine, s->conn, 1000, SLICE("bye"));
}

static int close_without_a_code(struct stage *s, unsigned is, int *want)
{
    *want = if_closable(is, WSR_OK);
    return wsr_close(s->o.engine, s->conn, 0, SLICE(""));
}

static int close_with_1006(struct stage *s, unsigned is, int *want)
{
    *want = if_closable(is, WSR_EBADCODE);
    return wsr_close(s->o.engine, s->conn, 1006, SLICE(""));
}

static int close_with_bad_text(struct stage *s, unsigned is, int *want)
{
    *want = if_closable(is, WSR_EBADUTF8);
    return wsr_close(s->o.engine, s->conn, 1000, SLICE("\xff"));
}

static int close_with_many_words(struct stage *s, unsigned is, int *want)
{
    static const uint8_t words[WSR_CLOSE_REASON_MAX + 1] = {'a'};
    *want = if_closable(is, WSR_ETOOBIG);
    return wsr_close(s->o.engine, s->conn, 1000, (wsr_slice){words, sizeof words});
}

static int abort_it(struct stage *s, unsigned is, int *want)
{
    (void)is;
    *want = WSR_OK;
    return wsr_abort(s->o.engine, s->conn);
}

static int pause_it(struct stage *s, unsigned is, int *want)
{
    (void)is;
    *want = WSR_OK;
    return wsr_pause_read(s->o.engine, s->conn);
}

static int resume_it(struct stage *s, unsigned is, int *want)
{
    (void)is;
    *want = WSR_OK;
    return wsr_resume_read(s->o.engine, s->conn);
}

static int want_room(struct stage *s, unsigned is, int *want)
{
    *want = if_open(is, WSR_OK);
    return wsr_want_writable(s->o.engine, s->conn, 1000);
}

static int give_it_a_user(struct stage *s, unsigned is, int *want)
{
    *want = WSR_OK;
    const int error = wsr_set_user(s->o.engine, s->conn, s);
    assert_ptr_equal(wsr_user(s->o.engine, s->conn), (is & GONE) == 0 && error == WSR_OK ? s : NULL);
    return error;
}

static int measure(struct stage *s, unsigned is, int *want)
{
    *want = if_open(is, WSR_OK);
    return wsr_ping(s->o.engine, s->conn);
}

static int look_at_figures(struct stage *s, unsigned is, int *want)
{
    *want = (is & GONE) != 0 ? WSR_ESTALE : WSR_OK;
    assert_int_equal(wsr_round_trip_ns(s->o.engine, s->conn), 0);
    if ((is & FULL) == 0)
        assert_true(wsr_outbox_bytes(s->o.engine, s->conn) < 2000);
    return wsr_connection_memory_bytes(s->o.engine, s->conn) > 0 ? WSR_OK : WSR_ESTALE;
}

static int ask_for_addresses(struct stage *s, unsigned is, int *want)
{
    char text[64];
    const int error = wsr_peer_address(s->o.engine, s->conn, text, sizeof text);
    assert_int_equal(wsr_local_address(s->o.engine, s->conn, text, sizeof text), error);
    *want = (is & FADES) != 0 ? error : (is & NO_WAY) != 0 ? WSR_ESTATE : WSR_OK;
    return error;
}

static int ask_for_tls(struct stage *s, unsigned is, int *want)
{
    (void)is;
    wsr_tls_info info;
    *want = WSR_ESTATE;
    return wsr_connection_tls(s->o.engine, s->conn, &info);
}

static int accept_it(struct stage *s, unsigned is, int *want)
{
    *want = (is & ASKS) != 0 ? WSR_OK : WSR_ESTATE;
    return wsr_accept(s->o.engine, s->conn, NULL, NULL);
}

static int accept_for_what_was_not_offered(struct stage *s, unsigned is, int *want)
{
    *want = (is & ASKS) != 0 ? WSR_EINVAL : WSR_ESTATE;
    return wsr_accept(s->o.engine, s->conn, "chat", NULL);
}

static int refuse_it(struct stage *s, unsigned is, int *want)
{
    *want = (is & ASKS) != 0 ? WSR_OK : WSR_ESTATE;
    return wsr_refuse(s->o.engine, s->conn, 403, NULL, SLICE("no"));
}

static int refuse_with_200(struct stage *s, unsigned is, int *want)
{
    *want = (is & ASKS) != 0 ? WSR_EINVAL : WSR_ESTATE;
    return wsr_refuse(s->o.engine, s->conn, 200, NULL, SLICE(""));
}

static int come_back_now(struct stage *s, unsigned is, int *want)
{
    *want = (is & WAITS) != 0 ? WSR_OK : WSR_ESTATE;
    return wsr_reconnect_now(s->o.engine, s->conn, NULL);
}

static int come_back_with_bad_headers(struct stage *s, unsigned is, int *want)
{
    *want = (is & WAITS) != 0 ? WSR_ECONFIG : WSR_ESTATE;
    return wsr_reconnect_now(s->o.engine, s->conn, "no line");
}

static int succeed_it(struct stage *s, unsigned is, int *want)
{
    wsr_conn successor;
    *want = (is & (CLIENT | OPEN | SUCCEEDED)) == (CLIENT | OPEN) ? WSR_OK : WSR_ESTATE;
    return wsr_succeed(s->o.engine, s->conn, &successor);
}

static int drain_all(struct stage *s, unsigned is, int *want)
{
    (void)is;
    *want = WSR_OK;
    return wsr_drain(s->o.engine, NULL);
}

static const struct call {
    const char *name;
    int (*make)(struct stage *s, unsigned is, int *want);
    bool any; /* it is not about a connection, or looks at its other arguments first: a stale id does not matter */
} calls[] = {
    {"wsr_send", send_text, false},
    {"wsr_send of nothing", send_nothing, false},
    {"wsr_send of a ping", send_ping, false},
    {"wsr_send with no opcode", send_no_opcode, false},
    {"wsr_send of too much", send_too_much, false},
    {"wsr_send_fragmented", send_fragments, false},
    {"wsr_send_fragmented of 0", send_no_fragments, false},
    {"wsr_send_burst", send_burst, true},
    {"wsr_send_prepared", send_prepared, false},
    {"wsr_forward", forward, false},
    {"wsr_forward of no message", forward_no_message, true},
    {"wsr_close", close_it, false},
    {"wsr_close without a code", close_without_a_code, false},
    {"wsr_close with 1006", close_with_1006, false},
    {"wsr_close with bad text", close_with_bad_text, false},
    {"wsr_close with many words", close_with_many_words, false},
    {"wsr_abort", abort_it, false},
    {"wsr_pause_read", pause_it, false},
    {"wsr_resume_read", resume_it, false},
    {"wsr_want_writable", want_room, false},
    {"wsr_set_user", give_it_a_user, false},
    {"wsr_ping", measure, false},
    {"figures", look_at_figures, true},
    {"addresses", ask_for_addresses, false},
    {"wsr_connection_tls", ask_for_tls, false},
    {"wsr_accept", accept_it, false},
    {"wsr_accept for what was not offered", accept_for_what_was_not_offered, false},
    {"wsr_refuse", refuse_it, false},
    {"wsr_refuse with 200", refuse_with_200, false},
    {"wsr_reconnect_now", come_back_now, false},
    {"wsr_reconnect_now with bad headers", come_back_with_bad_headers, false},
    {"wsr_succeed", succeed_it, false},
    {"wsr_drain", drain_all, true},
};

enum { CALLS = sizeof calls / sizeof calls[0] };

/* ---- all of them ---- */

/* Ten seconds of it, cap events at a time: nothing comes about a connection behind its CLOSED. */
static void live_on(struct stage *s, unsigned cap)
{
    enum { KEPT = 8 };
    wsr_conn closed[KEPT];
    unsigned closed_n = 0;
    const uint64_t until = sim_now_ns() + 10 * SECOND;
    while (sim_now_ns() < until) {
        wsr_event ev[8];
        const int n = wsr_poll(s->o.engine, ev, cap, (int64_t)(until - sim_now_ns()));
        assert_true(n >= 0);
        for (int i = 0; i < n; i++) {
            for (unsigned k = 0; k < closed_n; k++)
                assert_true(ev[i].conn != closed[k]);
            if (ev[i].type == WSR_EVENT_CLOSED && closed_n < KEPT)
                closed[closed_n++] = ev[i].conn;
        }
    }
}

static void end(struct stage *s)
{
    if (s->peer >= 0)
        sim_peer_close(s->peer);
    if (s->listener >= 0)
        sim_peer_close(s->listener);
    one_close(&s->o);
}

static void try_call(struct stage *s, const struct state *state, const struct call *call)
{
    int want;
    const int got = call->make(s, state->is, &want);
    if ((state->is & GONE) != 0 && !call->any)
        want = WSR_ESTALE;
    if (got != want)
        fail_msg("%s, %s: %s, not %s", state->name, call->name, wsr_error_name(got), wsr_error_name(want));
}

static void every_call_in_every_state(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < STATES; i++) {
        for (unsigned k = 0; k < 2 * CALLS; k++) {
            struct stage s;
            states[i].make(&s);
            try_call(&s, &states[i], &calls[k / 2]);
            if (k % 2 == 0) /* else the engine is closed just then */
                live_on(&s, k % 4 == 0 ? 1 : 8);
            end(&s);
        }
    }
}

/* What the second returns depends on the first; that it returns something documented, and what follows, is looked at. */
static void every_two_calls_in_every_state(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < STATES; i++) {
        for (unsigned k = 0; k < CALLS * CALLS; k++) {
            struct stage s;
            int want;
            states[i].make(&s);
            try_call(&s, &states[i], &calls[k / CALLS]);
            const int got = calls[k % CALLS].make(&s, states[i].is | FADES, &want);
            assert_in_range(got + 10, 0, 12); /* the caller's errors: WSR_ELIMIT to WSR_OK; or how many of a burst */
            live_on(&s, k % 2 == 0 ? 1 : 8);
            end(&s);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_in_every_state),
        cmocka_unit_test(every_two_calls_in_every_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
