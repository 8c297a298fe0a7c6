/*
 * tests/lib/pair.c - see pair.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "conn/engine.h"
#include "lib/failing.h"
#include "lib/one.h"
#include "lib/pair.h"
#include "sim/sim.h"

enum { END_SECONDS = 120 };

static uint8_t bytes[PAIR_BYTES_MAX + 256];

wsr_slice pair_message(const struct pair_story *story, unsigned i)
{
    if (bytes[0] == 0)
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (uint8_t)('a' + (k * 7 + k / 251) % 26);
    assert_true((i + 1) * story->bytes <= PAIR_BYTES_MAX);
    return (wsr_slice){bytes + i, (i + 1) * story->bytes};
}

/* ---- ends ---- */

static void close_or_abort(wsr_engine *engine, wsr_conn conn, bool aborts)
{
    if (aborts || wsr_close(engine, conn, 1000, SLICE("done")) == WSR_ENOMEM)
        (void)!wsr_abort(engine, conn); /* what an application may do then */
}

static bool client_ends(enum pair_end end)
{
    return end == PAIR_CLIENT_CLOSES || end == PAIR_BOTH_CLOSE || end == PAIR_CLIENT_ABORTS;
}

static bool server_ends(enum pair_end end)
{
    return end == PAIR_SERVER_CLOSES || end == PAIR_BOTH_CLOSE || end == PAIR_SERVER_ABORTS;
}

/* ---- the client ---- */

static void client_goes_on(struct pair *p, struct pair_client *c)
{
    const struct pair_story *story = p->story;
    while (c->open && c->sent < story->messages) {
        const wsr_slice message = pair_message(story, c->sent);
        const int error = story->fragment_bytes > 0 ? wsr_send_fragmented(p->client, c->conn, WSR_TEXT, message, story->fragment_bytes)
                                                    : wsr_send(p->client, c->conn, WSR_TEXT, message);
        if (error == WSR_EFULL)
            return; /* WRITABLE comes */
        if (error != WSR_OK) {
            assert_true(error == WSR_ENOMEM || error == WSR_ESTATE);
            c->open = false;
            close_or_abort(p->client, c->conn, false);
            return;
        }
        c->sent++;
    }
    if (c->open && c->echoed == story->messages && client_ends(story->end)) {
        c->open = false;
        close_or_abort(p->client, c->conn, story->end == PAIR_CLIENT_ABORTS);
    }
}

static struct pair_client *client_of(struct pair *p, wsr_conn conn)
{
    for (unsigned i = 0; i < p->clients_n; i++)
        if (p->clients[i].conn == conn)
            return &p->clients[i];
    fail_msg("an event of nobody's connection");
    return NULL;
}

static void see_client(struct pair *p, const wsr_event *ev)
{
    struct pair_client *c = client_of(p, ev->conn);
    assert_int_equal(c->closed, 0);
    if (ev->type == WSR_EVENT_OPEN) {
        c->opened++;
        c->open = true;
    }
    if (ev->type == WSR_EVENT_RECONNECTING)
        c->open = false;
    if (ev->type == WSR_EVENT_MESSAGE) {
        const wsr_slice wanted = p->story->replies ? SLICE("ok") : pair_message(p->story, c->echoed);
        if (p->story->messages > 0) { /* else it is of the server's own accord */
            assert_int_equal(ev->data.len, wanted.len);
            assert_memory_equal(ev->data.ptr, wanted.ptr, wanted.len);
        }
        c->echoed++;
    }
    if (ev->type == WSR_EVENT_CLOSED) {
        c->open = false;
        c->closed++;
        c->record = *wsr_event_close_record(ev);
    }
    client_goes_on(p, c);
}

/* ---- the server ---- */

static int echo(const struct pair *p, wsr_engine *engine, const wsr_event *ev)
{
    const wsr_slice payload = wsr_event_payload(ev);
    if (p->story->replies)
        return wsr_send(engine, ev->conn, WSR_TEXT, SLICE("ok"));
    if (p->story->forwards)
        return wsr_forward(engine, ev->conn, ev);
    if (!p->story->prepares)
        return wsr_send(engine, ev->conn, (wsr_opcode)ev->opcode, payload);
    wsr_prepared *message;
    int error = wsr_prepare(engine, (wsr_opcode)ev->opcode, payload, &message);
    if (error != WSR_OK)
        return error;
    error = wsr_send_prepared(engine, ev->conn, message);
    wsr_prepared_free(message);
    return error;
}

static void serve(struct pair *p, wsr_engine *engine, const wsr_event *ev)
{
    const bool whole = ev->type == WSR_EVENT_MESSAGE || (ev->type == WSR_EVENT_CHUNK && (ev->flags & WSR_EVENT_LAST) != 0);
    unsigned *served = &p->served[(ev->conn >> 32) % PAIR_SLOTS_MAX];
    if (ev->type == WSR_EVENT_OPEN)
        *served = 0;
    p->server_opened += ev->type == WSR_EVENT_OPEN;
    p->server_closed += ev->type == WSR_EVENT_CLOSED;
    if (whole) {
        const int error = echo(p, engine, ev);
        if (error == WSR_ENOMEM || error == WSR_EFULL)
            (void)!wsr_abort(engine, ev->conn);
        ++*served;
    }
    if ((whole || ev->type == WSR_EVENT_OPEN) && *served == p->story->messages && server_ends(p->story->end))
        close_or_abort(engine, ev->conn, p->story->end == PAIR_SERVER_ABORTS);
}

/* ---- turns ---- */

static bool turn(struct pair *p, wsr_engine *engine)
{
    wsr_event ev[16];
    const int n = wsr_poll(engine, ev, 16, 0);
    assert_true(n >= 0 || n == WSR_ESYS);
    for (int i = 0; i < n; i++) {
        if (p->story->see != NULL)
            p->story->see(p, engine, &ev[i]);
        if (ev[i].type == WSR_EVENT_WAKE)
            continue;
        if (engine == p->client)
            see_client(p, &ev[i]);
        else
            serve(p, engine, &ev[i]);
    }
    return n > 0;
}

void pair_peer_says(struct pair *p, const void *said, size_t len)
{
    if (p->peer == -1) {
        p->peer = sim_peer_connect(p->port);
        if (p->peer < 0) /* nobody listens any more */
            p->peer = -2;
    }
    if (p->peer < 0)
        return;
    char room[512];
    if (p->peer_at < len) {
        const ptrdiff_t n = sim_peer_write(p->peer, (const char *)said + p->peer_at, len - p->peer_at);
        p->peer_at += n > 0 ? (size_t)n : 0;
    }
    const ptrdiff_t n = sim_peer_read(p->peer, room, sizeof room);
    if (n == 0 || (n < 0 && n != -EAGAIN)) {
        sim_peer_close(p->peer);
        p->peer = -2;
    }
}

/* ---- hooks that several programs use ---- */

void pair_sends_elsewhere(struct pair *p, wsr_engine *engine, const wsr_event *ev)
{
    (void)p;
    if (ev->type != WSR_EVENT_REQUEST)
        return;
    const int error = wsr_event_request(ev)->target.len == 1 ? wsr_refuse(engine, ev->conn, 307, "Location: /there\r\n", SLICE(""))
                                                             : wsr_accept(engine, ev->conn, NULL, NULL);
    if (error != WSR_OK)
        (void)!wsr_abort(engine, ev->conn);
}

void pair_cuts_the_first(struct pair *p, wsr_engine *engine, const wsr_event *ev)
{
    if (engine == p->server && ev->type == WSR_EVENT_OPEN && p->marks[0]++ == 0)
        (void)!wsr_abort(engine, ev->conn);
    if (engine == p->client && ev->type == WSR_EVENT_RECONNECTING)
        p->clients[0].sent = p->clients[0].echoed; /* what was lost is sent again */
}

bool pair_peer_is_there(const struct pair *p)
{
    return p->peer != -2;
}

/* ---- the story ---- */

static bool is_over(const struct pair *p)
{
    for (unsigned i = 0; i < p->clients_n; i++)
        if (p->clients[i].begun && p->clients[i].closed == 0)
            return false;
    return one_open_slots(p->server) + one_open_slots(p->client) + one_open_slots(p->second) == 0 && p->peer < 0 &&
           (p->story->waits == NULL || !p->story->waits(p));
}

/* Time passes where there is nothing left to do. */
static void go_on(struct pair *p)
{
    uint64_t idle_ns = MS;
    while (!is_over(p)) {
        const uint64_t before = sim_stats.operations + sim_stats.completions;
        bool worked = turn(p, p->server);
        worked |= p->second != NULL && turn(p, p->second);
        worked |= turn(p, p->client);
        if (p->story->turn != NULL)
            p->story->turn(p);
        worked |= sim_stats.operations + sim_stats.completions != before;
        if (!worked)
            sim_advance_within(idle_ns);
        idle_ns = worked ? MS : idle_ns < 128 * MS ? 2 * idle_ns : idle_ns;
        if (sim_now_ns() > p->begun_ns + END_SECONDS * SECOND)
            fail_msg("no end; slots: server %u, client %u", (unsigned)one_open_slots(p->server), (unsigned)one_open_slots(p->client));
    }
}

/* ---- beginning and end ---- */

bool pair_connect(struct pair *p)
{
    struct pair_client *c = &p->clients[p->clients_n];
    char url[64];
    assert_true(p->clients_n < PAIR_CLIENTS_MAX);
    wsr_connect_config *connect = &p->setup.connect;
    snprintf(url, sizeof url, "%s://%s:%u/", connect->tls != NULL ? "wss" : "ws", p->setup.host != NULL ? p->setup.host : "127.0.0.1",
             (unsigned)p->port);
    connect->url = url;
    c->begun = wsr_connect(p->client, connect, &c->conn) == WSR_OK;
    p->clients_n += c->begun;
    return c->begun;
}

static wsr_config usual_config(void)
{
    wsr_config config = WSR_CONFIG_INIT;
    config.limits.close_timeout_ns = config.limits.handshake_timeout_ns = 2 * SECOND;
    config.limits.idle_timeout_ns = 4 * SECOND;
    config.buffers = 4;
    config.buffer_bytes = 4096;
    config.sq_entries = 4; /* often full */
    config.allocator = &failing;
    return config;
}

static bool begin(struct pair *p)
{
    struct pair_setup *s = &p->setup;
    s->server = s->client = usual_config();
    s->listen = (wsr_listen_config)WSR_LISTEN_CONFIG_INIT;
    s->connect = (wsr_connect_config)WSR_CONNECT_CONFIG_INIT;
    s->connect.connect_timeout_ns = s->connect.tls_timeout_ns = 3 * SECOND;
    if (p->story->set_up != NULL)
        p->story->set_up(s);
    if (wsr_engine_open(&p->server, &s->server) < 0 || wsr_engine_open(&p->client, &s->client) < 0)
        return false;
    p->server->env.pool.kept_bytes_max = p->client->env.pool.kept_bytes_max = 1; /* each chunk is an allocation, which may fail */
    if (wsr_listen(p->server, &s->listen, &p->listener) < 0)
        return false;
    p->port = wsr_listen_port(p->server, p->listener);
    for (unsigned i = 0; i < p->story->clients; i++)
        (void)!pair_connect(p);
    if (p->story->begun != NULL)
        p->story->begun(p);
    return true;
}

static void judge(const struct pair *p)
{
    for (unsigned i = 0; i < p->clients_n; i++)
        assert_int_equal(p->clients[i].closed, p->clients[i].begun);
    if (!sweep_is_calm())
        return;
    assert_true(p->clients_n >= p->story->clients);
    for (unsigned i = 0; i < p->clients_n && !p->story->loses; i++) {
        if (p->clients[i].opened != 1)
            fail_msg("client %u opened %u times: %s", i, p->clients[i].opened, wsr_error_name(p->clients[i].record.cause));
        assert_int_equal(p->clients[i].echoed, p->story->messages);
        assert_true(p->clients[i].record.clean || p->story->end == PAIR_CLIENT_ABORTS || p->story->end == PAIR_SERVER_ABORTS);
    }
    if (p->story->calm != NULL)
        p->story->calm(p);
}

void pair_play(const void *story)
{
    struct pair p = {.story = story, .peer = -1, .begun_ns = sim_now_ns()};
    sim_knobs.read_bytes_max *= 30; /* a few bytes at a time would take these messages thousands of turns */
    sim_knobs.write_bytes_max *= 30;
    sweep_begin();
    if (begin(&p)) {
        go_on(&p);
        judge(&p);
        sweep_serves(p.story->leaves ? p.second : p.server, p.client);
    } else {
        sweep_serves(p.server, p.client);
    }
    wsr_engine_close(p.client);
    wsr_engine_close(p.second);
    wsr_engine_close(p.server);
}
