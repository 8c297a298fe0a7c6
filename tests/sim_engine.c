/*
 * tests/sim_engine.c - whole engines on the simulated host: a server and its clients in one process, in virtual time, with
 * every misfortune the simulator knows. Nothing sleeps; a failing seed replays exactly:
 *
 *   sim_engine [SEED [COUNT]]    only the worlds, COUNT seeds from SEED (SIM_TRACE=1: traced)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <wsring/wsring.h>

#include "lib/one.h"
#include "sim/sim.h"

/* ---- worlds: everything is echoed, in order, once; every connection ends and says why ---- */

enum { CLIENTS_MAX = 6, MESSAGES_MAX = 16, SIZE_MAX_ = 6000 };

struct client {
    wsr_conn conn;
    unsigned to_send, sent, echoed;
    uint32_t seed;
    bool open, opened, closed, leaves; /* leaves: closes with 1000 when it has all its echoes; otherwise it waits for the drain */
    wsr_close_record record;
};

struct world {
    wsr_engine *server, *client;
    struct client clients[CLIENTS_MAX];
    unsigned n, cap;
    unsigned server_closed, client_closed;
    uint64_t messages_echoed;
    bool drained;
};

/* The i-th message of a client, made again when its echo comes. */
static size_t message_of(const struct client *c, unsigned i, uint8_t *bytes, wsr_opcode *opcode)
{
    uint32_t x = c->seed * 2654435761u + i * 40503u + 1;
    x ^= x >> 13;
    size_t len = (x & 3) != 0 ? x % 200 : x % SIZE_MAX_;
    *opcode = (x & 4) != 0 ? WSR_TEXT : WSR_BINARY;
    for (size_t k = 0; k < len; k++) {
        x = x * 1664525u + 1013904223u;
        bytes[k] = *opcode == WSR_TEXT ? (uint8_t)(32 + (x >> 24) % 95) : (uint8_t)(x >> 24);
    }
    return len;
}

static void client_sends(struct world *w, struct client *c)
{
    static uint8_t bytes[SIZE_MAX_];
    while (c->open && c->sent < c->to_send) {
        wsr_opcode opcode;
        size_t len = message_of(c, c->sent, bytes, &opcode);
        wsr_slice payload = {bytes, len};
        int error = sim_chance(30) ? wsr_send_fragmented(w->client, c->conn, opcode, payload, 1 + sim_below(len + 1))
                                   : wsr_send(w->client, c->conn, opcode, payload);
        if (error == WSR_EFULL || error == WSR_ESTATE || error == WSR_ESTALE)
            return; /* WRITABLE comes; or it is closing, and what was not accepted is not owed */
        assert_int_equal(error, WSR_OK);
        c->sent++;
        if (sim_chance(20))
            (void)!wsr_send(w->client, c->conn, WSR_PING, SLICE("ping"));
        if (sim_chance(50))
            return;
    }
    if (c->open && c->leaves && c->echoed == c->to_send) {
        c->open = false;
        assert_int_equal(wsr_close(w->client, c->conn, 1000, SLICE("done")), WSR_OK);
    }
}

static void client_event(struct world *w, const wsr_event *ev)
{
    static uint8_t bytes[SIZE_MAX_];
    struct client *c = ev->user;
    switch (ev->type) {
    case WSR_EVENT_OPEN:
        assert_false(c->opened);
        c->open = c->opened = true;
        break;
    case WSR_EVENT_MESSAGE: {
        wsr_opcode opcode;
        assert_true(c->echoed < c->sent);
        size_t len = message_of(c, c->echoed++, bytes, &opcode);
        assert_int_equal(ev->opcode, opcode);
        assert_int_equal(ev->data.len, len);
        assert_true(len == 0 || memcmp(ev->data.ptr, bytes, len) == 0);
        w->messages_echoed++;
        break;
    }
    case WSR_EVENT_CLOSED:
        assert_false(c->closed);
        c->open = false;
        c->closed = true;
        c->record = *wsr_event_close_record(ev);
        w->client_closed++;
        return;
    default:
        break;
    }
    assert_false(c->closed);
    client_sends(w, c);
}

static void server_event(struct world *w, const wsr_event *ev)
{
    if (ev->type == WSR_EVENT_CLOSED)
        w->server_closed++;
    if (ev->type != WSR_EVENT_MESSAGE)
        return;
    int error = wsr_send(w->server, ev->conn, (wsr_opcode)ev->opcode, (wsr_slice){ev->data.ptr, ev->data.len});
    /* a message that comes behind the drain's Close, or behind the peer's, cannot be answered */
    assert_true(error == WSR_OK || error == WSR_ESTATE || error == WSR_ESTALE);
}

static unsigned turn(struct world *w, wsr_engine *engine, void (*see)(struct world *, const wsr_event *))
{
    wsr_event ev[64];
    int n = wsr_poll(engine, ev, w->cap, 0);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++)
        see(w, &ev[i]);
    return (unsigned)n;
}

/* Of worlds over TLS; NULL: of others. What OpenSSL draws is not the seed's: such a world is replayed only as far as its sizes go. */
static wsr_tls *server_tls, *client_tls;

static void begin(struct world *w)
{
    memset(w, 0, sizeof *w);
    wsr_config config = WSR_CONFIG_INIT;
    config.ring_without = (uint32_t)sim_below(8);
    config.buffers = 4;
    config.buffer_bytes = 4096u << sim_below(5);
    config.sq_entries = 8u << sim_below(4);
    config.cq_entries = 16u << sim_below(6);
    config.batch_bytes_max = 1 + sim_below(100000);
    /* a host that moves a byte now and then takes hours of virtual time: deadlines are tested below */
    config.limits.idle_timeout_ns = config.limits.close_timeout_ns = config.limits.handshake_timeout_ns = 1000 * 3600 * SECOND;
    config.limits.outbox_bytes_max = 1u << 20;
    assert_int_equal(wsr_engine_open(&w->server, &config), WSR_OK);
    config.limits.outbox_bytes_max = 8000 + sim_below(20000);
    assert_int_equal(wsr_engine_open(&w->client, &config), WSR_OK);
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    listen.tls = server_tls;
    assert_int_equal(wsr_listen(w->server, &listen, &listener), WSR_OK);
    w->n = 1 + (unsigned)sim_below(CLIENTS_MAX);
    w->cap = sim_chance(30) ? 1 + (unsigned)sim_below(4) : 64;
    for (unsigned i = 0; i < w->n; i++) {
        struct client *c = &w->clients[i];
        c->seed = (uint32_t)sim_random();
        c->to_send = (unsigned)sim_below(MESSAGES_MAX);
        c->leaves = sim_chance(50);
        wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
        char url[32];
        snprintf(url, sizeof url, "%s://127.0.0.1:%u", client_tls != NULL ? "wss" : "ws", (unsigned)wsr_listen_port(w->server, listener));
        connect.url = url;
        connect.tls = client_tls;
        connect.tls_timeout_ns = 1000 * 3600 * SECOND;
        connect.user = c;
        assert_int_equal(wsr_connect(w->client, &connect, &c->conn), WSR_OK);
    }
}

static bool all_said(const struct world *w)
{
    for (unsigned i = 0; i < w->n; i++)
        if (!w->clients[i].closed && (!w->clients[i].opened || w->clients[i].leaves || w->clients[i].echoed < w->clients[i].to_send))
            return false;
    return true;
}

static void check_client(const struct client *c, bool early)
{
    const wsr_close_record *r = &c->record;
    assert_true(c->closed);
    assert_int_equal(r->messages_out, c->sent);
    assert_int_equal(r->messages_in, c->echoed);
    assert_true(c->echoed + r->messages_undelivered <= c->sent);
    if (!c->opened) { /* an early drain leaves nobody there to shake hands with */
        assert_true(early && c->sent == 0);
    } else if (c->echoed == c->to_send) { /* everything came back, so nothing can have been lost on the way */
        assert_int_equal(r->messages_undelivered, 0);
        bool own = c->leaves && r->code == 1000; /* an early drain may come before its own Close */
        if (!own && !(r->code == 1001 && (early || !c->leaves)))
            fail_msg("a client that %s was closed with %u", c->leaves ? "leaves" : "stays", r->code);
        assert_int_equal(r->code_received, r->code);
    }
}

/* With TLS three times as much goes over the line, where each message is small. */
enum { STEPS_MAX = 1000000 };

/* An early drain goes over messages in flight; a late one finds all of them answered. */
static void play(struct world *w, bool early)
{
    unsigned steps = 0;
    const unsigned drain_at = early ? (unsigned)sim_below(200) : UINT32_MAX;
    while (w->client_closed < w->n || wsr_drain_left(w->server) > 0) {
        bool worked = turn(w, w->server, server_event) + turn(w, w->client, client_event) > 0;
        for (unsigned i = 0; i < w->n; i++)
            client_sends(w, &w->clients[i]);
        if (!w->drained && (steps >= drain_at || all_said(w))) {
            wsr_drain_config drain = WSR_DRAIN_CONFIG_INIT;
            drain.spread_ns = sim_below(50 * MS);
            drain.deadline_ns = 1000 * 3600 * SECOND;
            if (all_said(w) || early) {
                assert_int_equal(wsr_drain(w->server, &drain), WSR_OK);
                w->drained = true;
            }
        }
        if (!sim_advance() && !worked)
            sim_sleep(MS); /* only the engines' own timers can make something happen */
        if (++steps > STEPS_MAX)
            fail_msg("no end: %u of %u clients are closed", w->client_closed, w->n);
    }
    /* what the server still says of connections whose clients are gone */
    while (sim_advance() && steps++ < 200000)
        (void)turn(w, w->server, server_event);
}

static void world_once(uint64_t seed, bool chaos)
{
    struct world w;
    sim_reset(seed);
    if (chaos)
        sim_chaos();
    begin(&w);
    bool early = sim_chance(40);
    play(&w, early);
    uint64_t echoed = 0;
    for (unsigned i = 0; i < w.n; i++) {
        if (!early)
            if (w.clients[i].echoed != w.clients[i].to_send)
                fail_msg("seed %llu: client %u sent %u of %u, got %u back; closed by %d: %u, cause %s", (unsigned long long)seed, i,
                         w.clients[i].sent, w.clients[i].to_send, w.clients[i].echoed, (int)w.clients[i].record.by,
                         w.clients[i].record.code, wsr_error_name(w.clients[i].record.cause));
        check_client(&w.clients[i], early);
        echoed += w.clients[i].echoed;
    }
    assert_int_equal(echoed, w.messages_echoed);
    wsr_engine_close(w.client);
    wsr_engine_close(w.server);
    one_no_leaks();
}

static void worlds_on_a_perfect_host(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++)
        world_once(seed, false);
}

static void worlds_under_every_misfortune(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++)
        world_once(seed, true);
}

/* The same behind TLS: not a byte is lost, doubled or told too early, whatever the host does with the ciphertext. */
static void worlds_over_tls(void **state)
{
    (void)state;
    const wsr_tls_config server = {.size = sizeof server, .role = WSR_SERVER, .self_signed = "127.0.0.1"};
    const wsr_tls_config client = {.size = sizeof client, .role = WSR_CLIENT, .verify_none = true};
    assert_int_equal(wsr_tls_open(&server_tls, &server, NULL, 0), WSR_OK);
    assert_int_equal(wsr_tls_open(&client_tls, &client, NULL, 0), WSR_OK);
    for (uint64_t seed = 1; seed <= 200; seed++)
        world_once(seed, seed > 30);
    wsr_tls_release(server_tls);
    wsr_tls_release(client_tls);
    server_tls = client_tls = NULL;
}

/* ---- time ---- */

static void about(uint64_t measured_ns, uint64_t wanted_ns)
{
    /* a timer's tick is about a millisecond, and it never fires early */
    if (measured_ns < wanted_ns || measured_ns > wanted_ns + 3 * MS)
        fail_msg("%llu ns, wanted %llu", (unsigned long long)measured_ns, (unsigned long long)wanted_ns);
}

static void a_trickled_handshake_ends_at_its_deadline(void **state)
{
    (void)state;
    struct one o;
    sim_reset(1);
    one_open_limits(&o, &(wsr_limits){.handshake_timeout_ns = 10 * SECOND});
    int peer = sim_peer_connect(o.port);
    one_poll(&o, MS);
    uint64_t begun = sim_now_ns();
    char answer[512];
    ptrdiff_t n = -EAGAIN;
    for (size_t i = 0; n == -EAGAIN && i < strlen(one_request); i++) { /* one byte a second */
        (void)sim_peer_write(peer, one_request + i, 1);
        one_poll(&o, SECOND);
        n = sim_peer_read(peer, answer, sizeof answer);
    }
    assert_true(n > 12 && memcmp(answer, "HTTP/1.1 408", 12) == 0);
    assert_true(sim_now_ns() - begun <= 11 * SECOND);
    sim_peer_close(peer);
    one_poll(&o, SECOND);
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.cause, WSR_ETIMEOUT_HANDSHAKE);
    assert_int_equal(o.record.http_status, 408);
    one_close(&o);
}

static void a_dead_peer_is_pinged_and_then_given_up(void **state)
{
    (void)state;
    struct one o;
    sim_reset(2);
    one_open_limits(&o, &(wsr_limits){.idle_timeout_ns = 30 * SECOND, .ping_interval_ns = 10 * SECOND, .close_timeout_ns = SECOND});
    int peer = one_peer(&o);
    uint64_t begun = sim_now_ns();
    uint8_t frame[64];
    one_poll(&o, 9 * SECOND);
    assert_int_equal(sim_peer_read(peer, frame, sizeof frame), -EAGAIN);
    one_poll(&o, 2 * SECOND);
    assert_true(sim_peer_read(peer, frame, sizeof frame) >= 2);
    assert_int_equal(frame[0], 0x89); /* one ping, and no second one */
    one_poll(&o, 18 * SECOND);
    assert_int_equal(sim_peer_read(peer, frame, sizeof frame), -EAGAIN);
    one_poll(&o, 5 * SECOND);
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.cause, WSR_ETIMEOUT_PING);
    assert_int_equal(o.record.code_sent, 1001);
    assert_true(o.closed_at_ns - begun >= 29 * SECOND && o.closed_at_ns - begun < 33 * SECOND);
    sim_peer_close(peer);
    one_close(&o);
}

static void a_peer_that_answers_pings_lives(void **state)
{
    (void)state;
    struct one o;
    sim_reset(3);
    one_open_limits(&o, &(wsr_limits){.idle_timeout_ns = 30 * SECOND, .ping_interval_ns = 10 * SECOND});
    int peer = one_peer(&o);
    for (unsigned i = 0; i < 20; i++) {
        one_poll(&o, 11 * SECOND);
        uint8_t frame[256], pong[160] = {0x8A, 0x80};
        ptrdiff_t n = sim_peer_read(peer, frame, sizeof frame);
        assert_true(n >= 2 && frame[0] == 0x89 && frame[1] <= 125 && n == 2 + frame[1]);
        pong[1] = (uint8_t)(0x80 | frame[1]);
        memcpy(pong + 6, frame + 2, frame[1]); /* the key is zero */
        assert_int_equal(sim_peer_write(peer, pong, 6u + frame[1]), (ptrdiff_t)(6u + frame[1]));
    }
    one_poll(&o, MS);
    assert_int_equal(o.pongs, 0); /* answers to pings of the engine are no news */
    assert_int_equal(o.closed, 0);
    sim_peer_close(peer);
    one_poll(&o, MS);
    one_close(&o);
}

static void a_close_without_an_answer_ends_at_its_deadline(void **state)
{
    (void)state;
    struct one o;
    sim_reset(4);
    one_open_limits(&o, &(wsr_limits){.close_timeout_ns = 5 * SECOND});
    int peer = one_peer(&o);
    uint64_t begun = sim_now_ns();
    assert_int_equal(wsr_close(o.engine, o.conn, 1000, SLICE("bye")), WSR_OK);
    one_poll(&o, 60 * SECOND);
    assert_int_equal(o.closed, 1);
    about(o.closed_at_ns - begun, 5 * SECOND);
    assert_int_equal(o.record.cause, WSR_ETIMEOUT_CLOSE);
    assert_int_equal(o.record.code_sent, 1000);
    assert_int_equal(o.record.code_received, 0);
    assert_false(o.record.clean);
    sim_peer_close(peer);
    one_close(&o);
}

static void a_peer_that_never_hangs_up_is_hung_up_on(void **state)
{
    (void)state;
    struct one o;
    sim_reset(5);
    one_open_limits(&o, &(wsr_limits){.close_timeout_ns = 5 * SECOND});
    int peer = one_peer(&o);
    static const uint8_t close_frame[] = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8};
    (void)sim_peer_write(peer, close_frame, sizeof close_frame);
    one_poll(&o, SECOND);
    uint8_t answer[16];
    assert_int_equal(sim_peer_read(peer, answer, sizeof answer), 4);
    assert_int_equal(sim_peer_read(peer, answer, sizeof answer), 0); /* the server ends the stream first */
    assert_int_equal(o.closed, 0);
    one_poll(&o, 60 * SECOND);
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.code, 1000);
    sim_peer_close(peer);
    one_close(&o);
}

/* A slow application must not kill its peers: ten idle limits away, and those who spoke meanwhile live. */
static void an_absent_application_drops_no_live_peer(void **state)
{
    (void)state;
    struct one o;
    sim_reset(6);
    one_open_limits(&o, &(wsr_limits){.idle_timeout_ns = 10 * SECOND, .ping_interval_ns = UINT64_MAX});
    int peer = one_peer(&o);
    static const uint8_t hello[] = {0x82, 0x81, 0, 0, 0, 0, 'x'};
    for (unsigned round = 0; round < 5; round++) {
        (void)sim_peer_write(peer, hello, sizeof hello);
        sim_sleep(100 * SECOND);
        one_poll(&o, MS);
        assert_int_equal(o.messages, round + 1);
        assert_int_equal(o.closed, 0);
    }
    one_poll(&o, 30 * SECOND); /* but silence while it listens is silence */
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.cause, WSR_ETIMEOUT_IDLE);
    sim_peer_close(peer);
    one_close(&o);
}

static void a_paused_reader_does_not_time_its_peer_out(void **state)
{
    (void)state;
    struct one o;
    sim_reset(7);
    one_open_limits(&o, &(wsr_limits){.idle_timeout_ns = 10 * SECOND, .ping_interval_ns = UINT64_MAX});
    int peer = one_peer(&o);
    assert_int_equal(wsr_pause_read(o.engine, o.conn), WSR_OK);
    static const uint8_t hello[] = {0x82, 0x81, 0, 0, 0, 0, 'x'};
    (void)sim_peer_write(peer, hello, sizeof hello);
    one_poll(&o, 100 * SECOND);
    assert_int_equal(o.closed + o.messages, 0);
    assert_int_equal(wsr_resume_read(o.engine, o.conn), WSR_OK);
    one_poll(&o, SECOND);
    assert_int_equal(o.messages, 1);
    assert_int_equal(o.closed, 0);
    sim_peer_close(peer);
    one_poll(&o, MS);
    one_close(&o);
}

/* Closes are spread evenly, and who is still shaking hands when the drain begins is told later. */
static void a_drain_is_spread_and_ends(void **state)
{
    (void)state;
    enum { PEERS = 10 };
    struct one o;
    sim_reset(8);
    one_open_limits(&o, &(wsr_limits){0});
    int peer[PEERS];
    for (unsigned i = 0; i < PEERS; i++)
        peer[i] = one_peer(&o);
    wsr_drain_config drain = WSR_DRAIN_CONFIG_INIT;
    drain.spread_ns = 10 * SECOND;
    drain.deadline_ns = 20 * SECOND;
    assert_int_equal(wsr_drain(o.engine, &drain), WSR_OK);
    for (unsigned second = 0; second < PEERS; second++) {
        one_poll(&o, SECOND / 2);
        unsigned told = 0;
        for (unsigned i = 0; i < PEERS; i++) {
            uint8_t frame[16];
            if (peer[i] < 0 || sim_peer_read(peer[i], frame, sizeof frame) < 4)
                continue;
            assert_int_equal(frame[0], 0x88);
            assert_int_equal(frame[2] << 8 | frame[3], 1001);
            told++;
            sim_peer_close(peer[i]);
            peer[i] = -1;
        }
        assert_int_equal(told, 1);
        one_poll(&o, SECOND / 2);
    }
    one_poll(&o, SECOND);
    assert_int_equal(o.closed, PEERS);
    assert_int_equal(sim_peer_connect(o.port), -ECONNREFUSED);
    one_close(&o);
}

static uint64_t seed_running;

static void name_the_seed(void)
{
    if (seed_running != 0)
        fprintf(stderr, "\nseed %llu failed\n", (unsigned long long)seed_running);
}

int main(int argc, char **argv)
{
    if (getenv("SIM_TRACE") != NULL)
        sim_trace = stderr;
    if (argc > 1) {
        uint64_t seed = strtoull(argv[1], NULL, 10), count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
        (void)atexit(name_the_seed); /* outside a group cmocka ends the process at the first failure */
        for (seed_running = seed; seed_running < seed + count; seed_running++)
            world_once(seed_running, true);
        seed_running = 0;
        printf("%llu worlds from seed %llu: no violation\n", (unsigned long long)count, (unsigned long long)seed);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worlds_on_a_perfect_host),
        cmocka_unit_test(worlds_under_every_misfortune),
        cmocka_unit_test(worlds_over_tls),
        cmocka_unit_test(a_trickled_handshake_ends_at_its_deadline),
        cmocka_unit_test(a_dead_peer_is_pinged_and_then_given_up),
        cmocka_unit_test(a_peer_that_answers_pings_lives),
        cmocka_unit_test(a_close_without_an_answer_ends_at_its_deadline),
        cmocka_unit_test(a_peer_that_never_hangs_up_is_hung_up_on),
        cmocka_unit_test(an_absent_application_drops_no_live_peer),
        cmocka_unit_test(a_paused_reader_does_not_time_its_peer_out),
        cmocka_unit_test(a_drain_is_spread_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
