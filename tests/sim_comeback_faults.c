/*
 * tests/sim_comeback_faults.c - one story of a client that comes back, again and again, and each time another call fails: every
 * operation, descriptor and allocation, by its number; on a perfect host and on wild ones. Nothing crashes or leaks, CLOSED comes
 * once for each connection, and no message is both delivered and given back, or delivered twice.
 * See lib/sweep.h.
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

#include "conn/engine.h"
#include "lib/failing.h"
#include "lib/one.h"
#include "lib/sweep.h"
#include "sim/sim.h"

enum { MESSAGES_MAX = 200, CONNS_MAX = 4 };

/* ---- the world ---- */

struct world {
    wsr_engine *server, *client;
    wsr_listener listener;
    uint16_t port;
    wsr_conn conns[CONNS_MAX]; /* of the client; the last one comes back */
    unsigned conns_n, closed[CONNS_MAX];
    uint8_t state[MESSAGES_MAX]; /* bits: 1 accepted, 2 received, 4 given back */
    unsigned messages_n;
    uint64_t lost; /* by the records: never sent, or perhaps */
    unsigned opened, reconnecting;
    bool open;
};

static void mark(struct world *w, const wsr_event *ev, unsigned bit)
{
    assert_int_equal(ev->data.len, 1);
    uint8_t *state = &w->state[ev->data.ptr[0]];
    if ((*state & 1) == 0 || (*state & (bit | 4 | (bit == 4 ? 2 : 0))) != 0)
        fail_msg("message %u is %s, its state %u", ev->data.ptr[0], bit == 2 ? "received" : "given back", *state);
    *state |= (uint8_t)bit;
}

static void say(struct world *w)
{
    const uint8_t byte = (uint8_t)w->messages_n;
    if (w->messages_n == MESSAGES_MAX || w->conns_n == 0)
        return;
    int error = wsr_send(w->client, w->conns[w->conns_n - 1], WSR_BINARY, (wsr_slice){&byte, 1});
    if (error == WSR_OK)
        w->state[w->messages_n++] = 1;
    else
        assert_true(error == WSR_ENOMEM || error == WSR_ESTATE || error == WSR_EFULL || error == WSR_ESTALE);
}

static void count_lost(struct world *w, const wsr_close_record *record)
{
    w->lost += record->messages_undelivered + record->messages_unconfirmed;
}

static void see_client(struct world *w, const wsr_event *ev)
{
    unsigned i = 0;
    while (i < w->conns_n && w->conns[i] != ev->conn)
        i++;
    assert_true(i < w->conns_n && w->closed[i] == 0);
    switch (ev->type) {
    case WSR_EVENT_OPEN:
        w->opened++;
        w->open = true;
        break;
    case WSR_EVENT_RECONNECTING:
        w->reconnecting++;
        w->open = false;
        count_lost(w, wsr_event_reconnecting(ev)->record);
        break;
    case WSR_EVENT_UNDELIVERED:
        mark(w, ev, 4);
        break;
    case WSR_EVENT_CLOSED:
        w->closed[i]++;
        w->open = w->open && i + 1 < w->conns_n;
        count_lost(w, wsr_event_close_record(ev));
        break;
    default:
        break;
    }
}

static void turn(struct world *w)
{
    wsr_event ev[3];
    if (w->server != NULL) {
        int n = wsr_poll(w->server, ev, 3, 0);
        assert_true(n >= 0 || n == WSR_ESYS);
        for (int i = 0; i < n; i++)
            if (ev[i].type == WSR_EVENT_MESSAGE)
                mark(w, &ev[i], 2);
    }
    int n = wsr_poll(w->client, ev, 3, 0);
    assert_true(n >= 0 || n == WSR_ESYS);
    for (int i = 0; i < n; i++)
        see_client(w, &ev[i]);
    if (!sim_advance() && n <= 0)
        sim_sleep(5 * MS);
}

/* Lets time pass; a message now and then. */
static void pass(struct world *w, uint64_t ns, bool talk)
{
    const uint64_t until_ns = sim_now_ns() + ns;
    uint64_t next_ns = 0;
    while (sim_now_ns() < until_ns) {
        if (talk && sim_now_ns() >= next_ns) {
            say(w);
            next_ns = sim_now_ns() + 150 * MS;
        }
        turn(w);
    }
}

static bool open_server(struct world *w)
{
    wsr_config config = WSR_CONFIG_INIT;
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    config.buffers = 4;
    config.buffer_bytes = 4096;
    config.limits.close_timeout_ns = SECOND;
    listen.port = w->port;
    if (wsr_engine_open(&w->server, &config) < 0)
        return false;
    if (wsr_listen(w->server, &listen, &w->listener) < 0)
        return false;
    w->port = wsr_listen_port(w->server, w->listener);
    return true;
}

/* The policy draws from the seed, so that a run can be replayed. */
static int draw(void *context, uint8_t *out, size_t n)
{
    (void)context;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)sim_random();
    return 0;
}

static bool begin(struct world *w)
{
    memset(w, 0, sizeof *w);
    wsr_config config = WSR_CONFIG_INIT;
    config.limits.close_timeout_ns = SECOND;
    config.limits.handshake_timeout_ns = SECOND;
    config.limits.idle_timeout_ns = 3 * SECOND;
    config.buffers = 4;
    config.buffer_bytes = 4096;
    config.sq_entries = 4;
    config.allocator = &failing;
    if (!open_server(w) || wsr_engine_open(&w->client, &config) < 0)
        return false;
    w->client->env.random = draw;
    w->client->env.pool.kept_bytes_max = 1; /* each chunk is an allocation, which may fail */
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", w->port);
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    connect.url = url;
    connect.connect_timeout_ns = SECOND;
    connect.reconnect = (wsr_reconnect){.on = true, .cap_ns = SECOND, .queue_bytes_max = 8, .queue_ttl_ns = 700 * MS, .handover_ns = 300 * MS};
    w->conns_n = wsr_connect(w->client, &connect, &w->conns[0]) == WSR_OK;
    return w->conns_n == 1;
}

/* Open and talk; the server goes away and is back; the connection is succeeded; the application leaves. */
static void play(struct world *w)
{
    pass(w, 500 * MS, true);
    wsr_drain_config drain = WSR_DRAIN_CONFIG_INIT;
    drain.timeout_ns = SECOND / 2;
    (void)!wsr_drain(w->server, &drain);
    pass(w, 600 * MS, true);
    wsr_engine_close(w->server);
    w->server = NULL;
    pass(w, 1500 * MS, true);
    if (!open_server(w))
        return;
    for (unsigned i = 0; i < 100 && !w->open && w->closed[0] == 0; i++)
        pass(w, 100 * MS, true);
    if (w->open && wsr_succeed(w->client, w->conns[0], &w->conns[1]) == WSR_OK) {
        w->conns_n = 2;
        w->open = false;
    }
    pass(w, 1500 * MS, true);
    for (unsigned i = 0; i < 50 && one_open_slots(w->client) > 0; i++) {
        for (unsigned k = 0; k < w->conns_n; k++)
            if (wsr_close(w->client, w->conns[k], 1000, SLICE("done")) == WSR_ENOMEM)
                (void)!wsr_abort(w->client, w->conns[k]);
        pass(w, 200 * MS, false);
    }
    for (unsigned k = 0; k < w->conns_n; k++)
        if (w->closed[k] != 1)
            fail_msg("connection %u was closed %u times", k, w->closed[k]);
    assert_int_equal(one_open_slots(w->client), 0);
    pass(w, SECOND, false); /* the server reads what is there */
}

static void account(const struct world *w)
{
    unsigned nowhere = 0;
    for (unsigned i = 0; i < w->messages_n; i++)
        nowhere += w->state[i] == 1;
    if (nowhere > w->lost)
        fail_msg("%u messages went nowhere, and the records know of %u", nowhere, (unsigned)w->lost);
    assert_true(w->messages_n > 20 && w->opened >= 3 && w->reconnecting >= 1);
}

static void come_back(const void *unused)
{
    (void)unused;
    struct world w;
    sweep_begin();
    if (begin(&w)) {
        play(&w);
        if (sweep_is_calm())
            account(&w);
    }
    sweep_serves(NULL, w.client);
    wsr_engine_close(w.client);
    wsr_engine_close(w.server);
}

static const struct sweep_story stories[] = {{"a server that goes and comes", come_back, .wild = 23}};

int main(int argc, char **argv)
{
    return sweep_main(argc, argv, stories, 1);
}
