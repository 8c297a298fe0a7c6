/*
 * tests/sim_direct.c - large messages received straight into their own memory (conn/direct.c), on a host that cuts, delays and
 * reorders as it likes: sizes that go back and forth between its way and the ring's, pings and Closes between, pauses, batches
 * of one event, ends at any byte. What comes back is what was sent, in order, and nothing is left over.
 *
 *   sim_direct [SEED]    one world alone (SIM_TRACE=1: traced)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <errno.h>

#include "lib/one.h"
#include "sim/sim.h"

enum { CLIENTS = 2, MESSAGES = 40, SEEDS = 150, SIZE_MAX_ = 200000 };

static uint8_t bytes[SIZE_MAX_ + 256]; /* message i of a client is those from i on */

struct client {
    wsr_conn conn;
    size_t sizes[MESSAGES];
    unsigned sent, echoed, closed;
    bool open;
    wsr_close_record record;
};

struct world {
    wsr_engine *server, *client;
    struct client clients[CLIENTS];
    wsr_conn paused;
    unsigned server_closed, cap;
    bool cuts;
};

/* Large ones and small ones come in runs, so that a connection goes to and fro between the two ways. */
static void choose_sizes(struct client *c)
{
    bool large = true;
    for (unsigned k = 0; k < MESSAGES; k++) {
        if (sim_chance(15))
            large = !large;
        if (large)
            c->sizes[k] = sim_chance(20) ? 65536 : 65536 + (size_t)sim_below(SIZE_MAX_ - 65536);
        else
            c->sizes[k] = (size_t)sim_below(sim_chance(50) ? 126 : 65536);
    }
}

static void client_goes_on(struct world *w, struct client *c)
{
    while (c->open && c->sent < MESSAGES && c->sent - c->echoed < 3) {
        const wsr_slice message = {bytes + c->sent, c->sizes[c->sent]};
        const bool fragments = sim_chance(10) && message.len > 0;
        const int error = fragments ? wsr_send_fragmented(w->client, c->conn, WSR_BINARY, message, 1 + (size_t)sim_below(100000))
                                    : wsr_send(w->client, c->conn, sim_chance(50) ? WSR_TEXT : WSR_BINARY, message);
        assert_int_equal(error, WSR_OK);
        c->sent++;
        if (sim_chance(20))
            assert_int_equal(wsr_send(w->client, c->conn, WSR_PING, SLICE("between")), WSR_OK);
    }
    if (c->open && c->echoed == MESSAGES) {
        c->open = false;
        assert_int_equal(wsr_close(w->client, c->conn, 1000, SLICE("done")), WSR_OK);
    }
    if (c->open && w->cuts && sim_chance(3)) {
        c->open = false;
        assert_int_equal(wsr_abort(w->client, c->conn), WSR_OK);
    }
}

static void see_client(struct world *w, const wsr_event *ev)
{
    struct client *c = ev->user;
    c->open |= ev->type == WSR_EVENT_OPEN;
    if (ev->type == WSR_EVENT_CLOSED) {
        c->open = false;
        c->closed++;
        c->record = *wsr_event_close_record(ev);
        return;
    }
    if (ev->type == WSR_EVENT_MESSAGE) {
        assert_true(c->echoed < c->sent);
        assert_int_equal(ev->data.len, c->sizes[c->echoed]);
        assert_memory_equal(ev->data.ptr, bytes + c->echoed, ev->data.len);
        c->echoed++;
    }
    client_goes_on(w, c);
}

static void see_server(struct world *w, const wsr_event *ev)
{
    w->server_closed += ev->type == WSR_EVENT_CLOSED;
    if (ev->type != WSR_EVENT_MESSAGE)
        return;
    int error = wsr_forward(w->server, ev->conn, ev);
    assert_true(error == WSR_OK || error == WSR_ESTATE || error == WSR_ESTALE);
    if (sim_chance(10) && w->paused == 0 && wsr_pause_read(w->server, ev->conn) == WSR_OK)
        w->paused = ev->conn;
}

static bool turn(struct world *w, wsr_engine *engine, void (*see)(struct world *, const wsr_event *))
{
    wsr_event ev[16];
    int n = wsr_poll(engine, ev, w->cap, 0);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++)
        see(w, &ev[i]);
    return n > 0;
}

static void begin(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->cap = sim_chance(20) ? 1 : 16;
    w->cuts = sim_chance(30);
    wsr_config config = WSR_CONFIG_INIT;
    config.buffers = 8;
    config.buffer_bytes = 16384;
    config.ring_without = sim_chance(20) ? WSR_WITHOUT_MULTISHOT : 0;
    config.batch_bytes_max = sim_chance(20) ? 4096 : 0;
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    assert_int_equal(wsr_engine_open(&w->server, &config), WSR_OK);
    assert_int_equal(wsr_engine_open(&w->client, &config), WSR_OK);
    assert_int_equal(wsr_listen(w->server, &listen, &listener), WSR_OK);
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *c = &w->clients[i];
        choose_sizes(c);
        wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
        char url[32];
        snprintf(url, sizeof url, "ws://127.0.0.1:%u", (unsigned)wsr_listen_port(w->server, listener));
        connect.url = url;
        connect.user = c;
        assert_int_equal(wsr_connect(w->client, &connect, &c->conn), WSR_OK);
    }
}

static void play(struct world *w)
{
    const uint64_t end_ns = sim_now_ns() + 600 * SECOND;
    while (one_open_slots(w->server) + one_open_slots(w->client) > 0) {
        bool worked = turn(w, w->server, see_server);
        worked |= turn(w, w->client, see_client);
        if (w->paused != 0 && sim_chance(30)) {
            (void)!wsr_resume_read(w->server, w->paused);
            w->paused = 0;
        }
        if (!sim_advance() && !worked)
            sim_sleep(10 * MS);
        if (sim_now_ns() > end_ns)
            fail_msg("no end: slots: server %u, client %u", (unsigned)one_open_slots(w->server), (unsigned)one_open_slots(w->client));
    }
}

static void world_once(uint64_t seed)
{
    struct world w;
    sim_reset(seed);
    sim_chaos();
    sim_knobs.socket_bytes = sim_chance(50) ? 400000 : 0;
    sim_knobs.read_bytes_max *= 1000; /* a few bytes at a time would take these messages days */
    sim_knobs.write_bytes_max *= 1000;
    begin(&w);
    play(&w);
    for (unsigned i = 0; i < CLIENTS; i++) {
        const struct client *c = &w.clients[i];
        assert_int_equal(c->closed, 1);
        if (!w.cuts) {
            assert_int_equal(c->echoed, MESSAGES);
            assert_int_equal(c->record.code, 1000);
            assert_true(c->record.clean);
        }
    }
    wsr_engine_close(w.client);
    wsr_engine_close(w.server);
    one_no_leaks();
}

static uint64_t now_seed;

static void name_it(const char *violation)
{
    fail_msg("%s, with seed %llu", violation, (unsigned long long)now_seed);
}

static void large_messages_come_back_from_any_world(void **unused)
{
    (void)unused;
    sim_on_violation = name_it;
    for (now_seed = 1; now_seed <= SEEDS; now_seed++)
        world_once(now_seed);
}

/* Found by the campaign of worlds: without multishot the poll of a stream that has ended fired at every turn until our Close was out. */
static void an_end_is_read_once(void **unused)
{
    (void)unused;
    static uint8_t large[70000], frame[sizeof large + 14] = {0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0x11, 0x70};
    struct one o;
    wsr_config config = WSR_CONFIG_INIT;
    config.ring_without = WSR_WITHOUT_MULTISHOT;
    config.limits.close_timeout_ns = 5 * SECOND;
    sim_reset(77);
    sim_knobs.socket_bytes = sizeof frame;
    one_open(&o, &config);
    int peer = one_peer(&o);
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(sim_peer_write(peer, frame, sizeof frame), (ptrdiff_t)sizeof frame);
        one_poll(&o, MS);
        assert_int_equal(o.messages, i);
    }
    for (unsigned i = 0; i < 3; i++) /* more than there is room for, so that the Close waits behind it */
        assert_int_equal(wsr_send(o.engine, o.conn, WSR_BINARY, (wsr_slice){large, sizeof large}), WSR_OK);
    assert_int_equal(wsr_close(o.engine, o.conn, 1000, SLICE("")), WSR_OK);
    one_poll(&o, MS);
    sim_peer_shutdown(peer);
    (void)alarm(20);
    const uint64_t before = sim_stats.operations;
    one_poll(&o, SECOND);
    assert_in_range(sim_stats.operations - before, 0, 10);
    one_poll(&o, 20 * SECOND);
    (void)alarm(0);
    assert_int_equal(o.closed, 1);
    sim_peer_close(peer);
    one_close(&o);
}

/* An engine and a peer whose large messages it reads directly. */
static int open_direct(struct one *o, uint32_t socket_bytes)
{
    static uint8_t frame[70000 + 14] = {0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0x11, 0x70};
    sim_reset(78);
    sim_knobs.socket_bytes = socket_bytes;
    one_open(o, NULL);
    const int peer = one_peer(o);
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(sim_peer_write(peer, frame, sizeof frame), (ptrdiff_t)sizeof frame);
        one_poll(o, MS);
        assert_int_equal(o->messages, i);
    }
    return peer;
}

/* All that was sent, len bytes of it, is a frame with these bytes. */
static void peer_gets(struct one *o, int peer, size_t len)
{
    static uint8_t got[SIZE_MAX_ + 10];
    size_t n = 0;
    while (n < len + 10) {
        const ptrdiff_t more = sim_peer_read(peer, got + n, sizeof got - n);
        assert_true(more > 0 || more == -EAGAIN);
        n += more > 0 ? (size_t)more : 0;
        one_poll(o, MS);
    }
    assert_int_equal(n, len + 10);
    assert_memory_equal(got + 10, bytes, len);
}

static void a_large_send_does_without_the_ring(void **unused)
{
    (void)unused;
    struct one o;
    const wsr_slice message = {bytes, 100000};
    const int peer = open_direct(&o, 150000);
    assert_int_equal(wsr_send(o.engine, o.conn, WSR_BINARY, message), WSR_OK);
    const uint64_t before = sim_stats.sends_now;
    one_poll(&o, MS);
    assert_int_equal(sim_stats.sends_now, before + 1);
    peer_gets(&o, peer, message.len);

    /* Within a batch memory must not become free: its events may point there. */
    assert_int_equal(wsr_send(o.engine, o.conn, WSR_BINARY, message), WSR_OK);
    assert_int_equal(wsr_flush(o.engine), WSR_OK);
    assert_int_equal(sim_stats.sends_now, before + 1);
    peer_gets(&o, peer, message.len);
    sim_peer_close(peer);
    one_close(&o);
}

static void what_the_kernel_does_not_take_is_left_to_the_ring(void **unused)
{
    (void)unused;
    struct one o;
    const int peer = open_direct(&o, 80000);
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t before = sim_stats.sends_now;
        if (i == 1) /* the first time a part of it goes, the second time nothing */
            sim_fail(SIM_SEND, 1, EAGAIN);
        assert_int_equal(wsr_send(o.engine, o.conn, WSR_BINARY, (wsr_slice){bytes, SIZE_MAX_}), WSR_OK);
        one_poll(&o, MS);
        assert_int_equal(sim_stats.sends_now, before + (i == 0));
        assert_true(wsr_outbox_bytes(o.engine, o.conn) > 0);
        peer_gets(&o, peer, SIZE_MAX_);
    }
    sim_peer_close(peer);
    one_close(&o);
}

static void it_fails_as_the_rings_do(void **unused)
{
    (void)unused;
    struct one o;
    const int peer = open_direct(&o, 150000);
    sim_fail(SIM_SEND, 1, ECONNRESET);
    assert_int_equal(wsr_send(o.engine, o.conn, WSR_BINARY, (wsr_slice){bytes, 100000}), WSR_OK);
    one_poll(&o, MS);
    assert_int_equal(sim_failures(), 0);
    sim_peer_close(peer);
    one_poll(&o, 20 * SECOND);
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.cause, WSR_ERESET);
    assert_int_equal(o.record.sys_errno, ECONNRESET);
    one_close(&o);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)('a' + (i * 7 + i / 251) % 26);
    if (getenv("SIM_TRACE") != NULL)
        sim_trace = stderr;
    if (argc == 2) {
        now_seed = strtoull(argv[1], NULL, 10);
        world_once(now_seed);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_messages_come_back_from_any_world),
        cmocka_unit_test(an_end_is_read_once),
        cmocka_unit_test(a_large_send_does_without_the_ring),
        cmocka_unit_test(what_the_kernel_does_not_take_is_left_to_the_ring),
        cmocka_unit_test(it_fails_as_the_rings_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
