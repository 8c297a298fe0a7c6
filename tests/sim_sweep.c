/*
 * tests/sim_sweep.c - every allocation, completion and call fails in its turn (lib/sweep.h), in stories of servers and clients
 * without TLS: what they send and how, who ends it and how, and all that an engine does beside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "lib/one.h"
#include "lib/pair.h"
#include "ring/sys.h"
#include "sim/sim.h"

/* ---- how bytes come and go ---- */

static void without_multishot(struct pair_setup *s)
{
    s->server.ring_without = s->client.ring_without = WSR_WITHOUT_MULTISHOT;
}

static void without_incremental(struct pair_setup *s)
{
    s->server.ring_without = s->client.ring_without = WSR_WITHOUT_INCREMENTAL;
}

static void large_buffers(struct pair_setup *s)
{
    s->server.buffer_bytes = s->client.buffer_bytes = 16384;
    s->server.sq_entries = s->client.sq_entries = 64;
}

static void without_copying(struct pair_setup *s)
{
    s->server.zero_copy_bytes = s->client.zero_copy_bytes = 1000;
}

static void expect_no_copies(const struct pair *p)
{
    wsr_engine_statistics stats;
    wsr_engine_stats(p->server, &stats, sizeof stats);
    assert_true(stats.zero_copy_sends > 0 && stats.zero_copy_refused == 0);
}

static void with_stamps(struct pair_setup *s)
{
    s->listen.socket.receive_stamps = s->connect.socket.receive_stamps = true;
}

static void in_chunks(struct pair_setup *s)
{
    s->server.limits.whole_bytes_max = 1000;
}

static void small_outbox(struct pair_setup *s)
{
    s->client.limits.outbox_bytes_max = 10000;
}

static void notes_writable(struct pair *p, wsr_engine *engine, const wsr_event *ev)
{
    p->marks[0] += engine == p->client && ev->type == WSR_EVENT_WRITABLE;
}

static void expect_writable(const struct pair *p)
{
    assert_int_equal(p->marks[0], p->clients_n);
}

/* Engines that are guests of another loop are polled when that is woken; here they are at each turn. */
static void as_guests(struct pair *p)
{
    (void)!wsr_engine_fd(p->server);
    (void)!wsr_engine_fd(p->client);
}

static void reads_later(struct pair *p, wsr_engine *engine, const wsr_event *ev)
{
    if (engine == p->server && ev->type == WSR_EVENT_OPEN && p->marks[0] == 0)
        p->marks[0] = wsr_pause_read(engine, ev->conn) == WSR_OK ? (unsigned)(ev->conn >> 32) + 1 : 0, p->marks[1] = (unsigned)ev->conn;
}

static void resumes(struct pair *p)
{
    if (p->marks[0] != 0 && sim_now_ns() > p->begun_ns + 50 * MS) {
        (void)!wsr_resume_read(p->server, (wsr_conn)(p->marks[0] - 1) << 32 | p->marks[1]);
        p->marks[0] = 0;
    }
}

/* ---- compression ---- */

static void compressed(struct pair_setup *s)
{
    s->listen.deflate.on = s->connect.deflate.on = true;
    s->listen.deflate.threshold_bytes = s->connect.deflate.threshold_bytes = 1;
}

static void with_takeover(struct pair_setup *s)
{
    compressed(s);
    s->listen.deflate.send_takeover = s->listen.deflate.receive_takeover = true;
    s->connect.deflate.send_takeover = s->connect.deflate.receive_takeover = true;
}

static void by_level(struct pair_setup *s)
{
    with_takeover(s);
    s->listen.deflate.level = s->connect.deflate.level = 6;
}

static void compressed_in_chunks(struct pair_setup *s)
{
    compressed(s);
    in_chunks(s);
}

/* ---- who is let in ---- */

static void by_hand(struct pair_setup *s)
{
    s->listen.manual = true;
    s->connect.redirects_max = 2;
}

static void lets_every_other_in(struct pair *p, wsr_engine *engine, const wsr_event *ev)
{
    if (ev->type != WSR_EVENT_REQUEST)
        return;
    const int error = p->marks[0]++ % 2 == 0 ? wsr_accept(engine, ev->conn, NULL, "X-Served-By: hand\r\n")
                                             : wsr_refuse(engine, ev->conn, 503, "Retry-After: 1\r\n", SLICE("one moment"));
    if (error != WSR_OK)
        (void)!wsr_abort(engine, ev->conn);
}

static void expect_every_other(const struct pair *p)
{
    unsigned opened = 0, refused = 0;
    for (unsigned i = 0; i < p->clients_n; i++) {
        opened += p->clients[i].opened;
        refused += p->clients[i].record.http_status == 503;
    }
    assert_int_equal(opened, 2);
    assert_int_equal(refused, 2);
}

static void behind_a_balancer(struct pair_setup *s)
{
    s->listen.proxy_protocol = true;
}

static const char preface[] = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
                              "\x81\x82\0\0\0\0hi\x88\x82\0\0\0\0\x03\xe8";

static void a_balancer_speaks(struct pair *p)
{
    pair_peer_says(p, preface, sizeof preface - 1);
}

static void expect_served(const struct pair *p)
{
    assert_int_equal(p->server_opened, 1);
    assert_int_equal(p->served[0], 1);
}

static void garbage_comes(struct pair *p)
{
    static const char garbage[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\x81\x02hi";
    pair_peer_says(p, garbage, sizeof garbage - 1);
}

static void no_http_comes(struct pair *p)
{
    pair_peer_says(p, "SSH-2.0-none\r\n\r\n", 16);
}

/* ---- time ---- */

static void impatient(struct pair_setup *s)
{
    s->server.limits.ping_interval_ns = s->client.limits.ping_interval_ns = SECOND / 2;
    s->server.limits.ping_timeout_ns = SECOND;
}

/* Shakes hands, and then says nothing. */
static void a_dead_peer(struct pair *p)
{
    pair_peer_says(p, preface + 45, sizeof preface - 1 - 45 - 16);
}

static void stays_for_two_seconds(struct pair *p)
{
    for (unsigned i = 0; i < p->clients_n && sim_now_ns() > p->begun_ns + 2 * SECOND; i++)
        if (wsr_close(p->client, p->clients[i].conn, 1000, SLICE("")) == WSR_ENOMEM)
            (void)!wsr_abort(p->client, p->clients[i].conn);
}

static void silence(struct pair *p)
{
    stays_for_two_seconds(p);
    a_dead_peer(p);
}

/* ---- going away ---- */

static bool is_settled(const struct pair *p)
{
    unsigned echoed = 0;
    for (unsigned i = 0; i < p->clients_n; i++)
        echoed += p->clients[i].echoed == p->story->messages || p->clients[i].closed > 0;
    return echoed == p->clients_n;
}

static bool drains(wsr_engine *engine)
{
    wsr_drain_config drain = WSR_DRAIN_CONFIG_INIT;
    drain.spread_ns = 20 * MS;
    drain.timeout_ns = 3 * SECOND;
    return wsr_drain(engine, &drain) != WSR_ESYS; /* then it is called again */
}

static void drains_when_settled(struct pair *p)
{
    if (p->marks[0] == 0 && is_settled(p))
        p->marks[0] = drains(p->server);
}

static bool not_drained(const struct pair *p)
{
    return p->marks[0] == 0;
}

static void shared_port(struct pair_setup *s)
{
    s->listen.reuse_port = true;
}

/* A new server on the same port, then the old one drains, and a client that comes afterwards is the new one's. */
static void hands_over(struct pair *p)
{
    if (p->marks[0] == 0 && is_settled(p)) {
        wsr_listen_config listen = p->setup.listen;
        wsr_listener listener;
        listen.port = p->port;
        const bool there = wsr_engine_open(&p->second, &p->setup.server) == WSR_OK && wsr_listen(p->second, &listen, &listener) == WSR_OK;
        p->marks[0] = there ? 1 : 2; /* without a successor it drains all the same */
    }
    if (p->marks[0] != 0 && p->marks[1] == 0)
        p->marks[1] = drains(p->server);
    if (p->marks[1] != 0 && p->marks[2] == 0) {
        p->marks[2] = 1;
        if (p->marks[0] == 1 && pair_connect(p))
            p->marks[3] = p->clients_n;
    }
    struct pair_client *late = p->marks[3] > 0 ? &p->clients[p->marks[3] - 1] : NULL;
    if (late != NULL && late->echoed == p->story->messages && late->open) {
        late->open = false;
        if (wsr_close(p->client, late->conn, 1000, SLICE("")) != WSR_OK)
            (void)!wsr_abort(p->client, late->conn);
    }
}

static bool not_handed_over(const struct pair *p)
{
    return p->marks[2] == 0;
}

static void adopt_only(struct pair_setup *s)
{
    s->listen.adopt_only = true;
}

/* Both ends take over descriptors; the server with the first bytes of the stream, which somebody has read already. */
static void adopts(struct pair *p)
{
    int fds[2];
    wsr_conn conn;
    if (!sim_pair(fds))
        return;
    p->port = 80; /* in the URL, where nobody looks for it */
    p->setup.connect.fd = fds[0];
    if (!pair_connect(p))
        wsr_sys_close(fds[0]);
    if (wsr_adopt_fd(p->server, p->listener, fds[1], (wsr_slice){NULL, 0}, &conn) != WSR_OK)
        wsr_sys_close(fds[1]);
    if (!sim_pair(fds))
        return;
    if (wsr_adopt_fd(p->server, p->listener, fds[1], (wsr_slice){(const uint8_t *)preface + 45, sizeof preface - 1 - 45}, &conn) != WSR_OK)
        wsr_sys_close(fds[1]);
    wsr_sys_close(fds[0]);
}

/* The second had sent its request before, and went. */
static void expect_both_adopted(const struct pair *p)
{
    assert_int_equal(p->clients_n, 1);
    assert_int_equal(p->server_opened, 2);
}

/* ---- memory ---- */

static void short_of_memory(struct pair_setup *s)
{
    s->server.memory_bytes_max = 400000;
    s->server.limits.idle_timeout_ns = s->client.limits.idle_timeout_ns = 20 * SECOND;
}

/* To whoever comes more is sent than there is memory for all, and they read late: some are let go. */
static void floods(struct pair *p, wsr_engine *engine, const wsr_event *ev)
{
    if (engine == p->client && ev->type == WSR_EVENT_OPEN)
        (void)!wsr_pause_read(engine, ev->conn);
    if (engine != p->server || ev->type != WSR_EVENT_OPEN)
        return;
    static const struct pair_story large = {.bytes = 4000};
    for (unsigned i = 0; i < 50; i++)
        (void)!wsr_send(engine, ev->conn, WSR_BINARY, pair_message(&large, 0));
}

static void ends_the_flood(struct pair *p)
{
    for (unsigned i = 0; i < p->clients_n && sim_now_ns() > p->begun_ns + 3 * SECOND; i++)
        (void)!wsr_abort(p->client, p->clients[i].conn);
}

static void expect_some_let_go(const struct pair *p)
{
    wsr_engine_statistics stats;
    wsr_engine_stats(p->server, &stats, sizeof stats);
    assert_true(stats.connections_shed > 0 && stats.connections_shed < p->clients_n);
}

/* ---- coming back ---- */

static void comes_back(struct pair_setup *s)
{
    s->connect.reconnect = (wsr_reconnect){.on = true, .base_ns = 10 * MS, .cap_ns = 100 * MS, .attempts_max = 4, .elapsed_max_ns = 20 * SECOND, .handover_ns = 50 * MS};
}

static void expect_two_openings(const struct pair *p)
{
    assert_int_equal(p->marks[0], 2);
    assert_int_equal(p->clients[0].echoed, 1);
}

static void is_succeeded(struct pair *p, wsr_engine *engine, const wsr_event *ev)
{
    if (engine != p->client || ev->type != WSR_EVENT_OPEN || ev->conn != p->clients[0].conn || p->clients_n > 1)
        return;
    if (wsr_succeed(engine, ev->conn, &p->clients[1].conn) == WSR_OK) {
        p->clients[1].begun = true;
        p->clients_n = 2;
    }
}

/* ---- all of them ---- */

#define STORY(...) .play = pair_play, .data = &(const struct pair_story){__VA_ARGS__}

static const struct sweep_story stories[] = {
    {"handshake", STORY(.clients = 3)},
    {"echo", STORY(.clients = 3, .messages = 3, .bytes = 2500), .wild = 7},
    {"echo without multishot", STORY(.clients = 3, .messages = 3, .bytes = 2500, .set_up = without_multishot), .wild = 7},
    {"echo in whole buffers", STORY(.clients = 2, .messages = 3, .bytes = 2500, .set_up = without_incremental), .wild = 2},
    {"echo as guests of a loop", STORY(.clients = 2, .messages = 2, .bytes = 2500, .begun = as_guests), .wild = 2},
    {"echo by reference", STORY(.clients = 1, .messages = 2, .bytes = 70000, .forwards = true, .set_up = large_buffers)},
    {"a message prepared for many", STORY(.clients = 3, .messages = 2, .bytes = 2500, .prepares = true), .wild = 2},
    {"a large one, prepared where it lies", STORY(.clients = 1, .messages = 2, .bytes = 70000, .prepares = true, .set_up = large_buffers)},
    {"one compressed for many", STORY(.clients = 2, .messages = 2, .bytes = 2500, .prepares = true, .set_up = compressed), .wild = 1},
    {"sends without copying", STORY(.clients = 2, .messages = 2, .bytes = 2500, .set_up = without_copying, .calm = expect_no_copies), .wild = 2},
    {"receive stamps", STORY(.clients = 2, .messages = 2, .bytes = 2500, .set_up = with_stamps), .wild = 2},
    {"fragments", STORY(.clients = 2, .messages = 3, .bytes = 2500, .fragment_bytes = 1000), .wild = 2},
    {"chunks", STORY(.clients = 2, .messages = 2, .bytes = 9000, .replies = true, .set_up = in_chunks), .wild = 2},
    {"backpressure", STORY(.clients = 2, .messages = 3, .bytes = 3000, .set_up = small_outbox, .see = notes_writable, .calm = expect_writable), .wild = 2},
    {"pause", STORY(.clients = 2, .messages = 3, .bytes = 3000, .see = reads_later, .turn = resumes), .wild = 2},
    {"the server closes", STORY(.clients = 2, .messages = 1, .bytes = 100, .end = PAIR_SERVER_CLOSES), .wild = 2},
    {"both close", STORY(.clients = 2, .messages = 1, .bytes = 100, .end = PAIR_BOTH_CLOSE), .wild = 2},
    {"the client aborts", STORY(.clients = 2, .messages = 1, .bytes = 100, .end = PAIR_CLIENT_ABORTS), .wild = 2},
    {"the server aborts", STORY(.clients = 2, .messages = 1, .bytes = 100, .end = PAIR_SERVER_ABORTS, .loses = true), .wild = 2},
    {"deflate", STORY(.clients = 2, .messages = 3, .bytes = 2500, .set_up = compressed), .wild = 1},
    {"deflate with takeover", STORY(.clients = 2, .messages = 3, .bytes = 2500, .set_up = with_takeover), .wild = 1},
    {"deflate by level", STORY(.clients = 2, .messages = 3, .bytes = 2500, .set_up = by_level), .wild = 1},
    {"deflate in chunks", STORY(.clients = 2, .messages = 2, .bytes = 9000, .replies = true, .set_up = compressed_in_chunks), .wild = 1},
    {"upgrades by hand", STORY(.clients = 4, .messages = 1, .bytes = 100, .loses = true, .set_up = by_hand, .see = lets_every_other_in, .calm = expect_every_other)},
    {"redirect", STORY(.clients = 2, .messages = 1, .bytes = 100, .set_up = by_hand, .see = pair_sends_elsewhere)},
    {"PROXY preface", STORY(.messages = 1, .end = PAIR_ELSEWHERE, .set_up = behind_a_balancer, .turn = a_balancer_speaks, .waits = pair_peer_is_there, .calm = expect_served), .wild = 2},
    {"a peer that breaks the protocol", STORY(.clients = 1, .messages = 1, .bytes = 100, .turn = garbage_comes, .waits = pair_peer_is_there)},
    {"a peer that speaks no HTTP", STORY(.clients = 1, .messages = 1, .bytes = 100, .turn = no_http_comes, .waits = pair_peer_is_there)},
    {"pings, and a dead peer", STORY(.clients = 1, .messages = 1, .bytes = 100, .end = PAIR_ELSEWHERE, .set_up = impatient, .turn = silence, .waits = pair_peer_is_there)},
    {"drain", STORY(.clients = 3, .messages = 2, .bytes = 2500, .end = PAIR_ELSEWHERE, .leaves = true, .turn = drains_when_settled, .waits = not_drained), .wild = 2},
    {"reload", STORY(.clients = 2, .messages = 1, .bytes = 100, .end = PAIR_ELSEWHERE, .leaves = true, .set_up = shared_port, .turn = hands_over, .waits = not_handed_over)},
    {"adopted descriptors", STORY(.messages = 1, .bytes = 100, .set_up = adopt_only, .begun = adopts, .calm = expect_both_adopted), .wild = 2},
    {"shedding", STORY(.clients = 4, .messages = 0, .end = PAIR_ELSEWHERE, .loses = true, .set_up = short_of_memory, .see = floods, .turn = ends_the_flood, .calm = expect_some_let_go)},
    {"coming back", STORY(.clients = 1, .messages = 1, .bytes = 100, .loses = true, .set_up = comes_back, .see = pair_cuts_the_first, .calm = expect_two_openings)},
    {"succession", STORY(.clients = 1, .messages = 1, .bytes = 100, .end = PAIR_ELSEWHERE, .set_up = comes_back, .see = is_succeeded, .turn = stays_for_two_seconds), .wild = 1},
};

int main(int argc, char **argv)
{
    return sweep_main(argc, argv, stories, sizeof stories / sizeof stories[0]);
}
