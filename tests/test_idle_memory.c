/*
 * tests/test_idle_memory.c - what a connection costs that has spoken and is silent now: by a counting allocator, and as the engine
 * itself says it. OpenSSL's memory is not in it: it comes from an allocator of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wsring/wsring.h>

#include "conn/engine.h"

enum { AT_ONCE = 32, FIRST = 64, LAST = 256, ECHOES = 4, PAYLOAD = 3000 };

struct world {
    wsr_engine *server, *client;
    size_t given; /* by the server's allocator */
    wsr_allocator allocator;
    unsigned open, echoes, pings;
    wsr_conn served[LAST];
    unsigned served_n;
};

static void *counted_alloc(void *context, size_t size)
{
    ((struct world *)context)->given += size;
    return malloc(size);
}

static void *counted_resize(void *context, void *ptr, size_t old_size, size_t size)
{
    ((struct world *)context)->given += size - old_size;
    return realloc(ptr, size);
}

static void counted_release(void *context, void *ptr, size_t size)
{
    ((struct world *)context)->given -= size;
    free(ptr);
}

static const uint8_t payload[PAYLOAD] = "said, and said again";

static void send_all_kinds(wsr_engine *engine, wsr_conn conn)
{
    const wsr_slice little = {payload, 20}, much = {payload, PAYLOAD};
    assert_int_equal(wsr_send(engine, conn, WSR_TEXT, little), WSR_OK);
    assert_int_equal(wsr_send(engine, conn, WSR_BINARY, much), WSR_OK);
    assert_int_equal(wsr_send_fragmented(engine, conn, WSR_BINARY, much, 100), WSR_OK);
    assert_int_equal(wsr_send(engine, conn, WSR_BINARY, much), WSR_OK);
    assert_int_equal(wsr_send(engine, conn, WSR_PING, little), WSR_OK);
}

static void turn(struct world *w)
{
    wsr_event ev[64];
    int n = wsr_poll(w->server, ev, 64, 1000000);
    for (int i = 0; i < n; i++) {
        assert_int_not_equal(ev[i].type, WSR_EVENT_CLOSED);
        if (ev[i].type == WSR_EVENT_OPEN)
            w->served[w->served_n++] = ev[i].conn;
        if (ev[i].type == WSR_EVENT_MESSAGE)
            assert_int_equal(wsr_send(w->server, ev[i].conn, (wsr_opcode)ev[i].opcode, (wsr_slice){ev[i].data.ptr, ev[i].data.len}), WSR_OK);
    }
    n = wsr_poll(w->client, ev, 64, 1000000);
    for (int i = 0; i < n; i++) {
        assert_int_not_equal(ev[i].type, WSR_EVENT_CLOSED);
        w->echoes += ev[i].type == WSR_EVENT_MESSAGE;
        w->pings += ev[i].type == WSR_EVENT_PONG;
        if (ev[i].type == WSR_EVENT_OPEN) {
            w->open++;
            send_all_kinds(w->client, ev[i].conn);
        }
    }
}

/* Connections until there are n, a few at a time, and everything that they say is answered. */
static void connect_until(struct world *w, const wsr_connect_config *config, unsigned n)
{
    while (w->open < n) {
        for (unsigned i = 0; i < AT_ONCE; i++) {
            wsr_conn conn;
            assert_int_equal(wsr_connect(w->client, config, &conn), WSR_OK);
        }
        const unsigned wanted = w->open + AT_ONCE;
        while (w->open < wanted || w->echoes < ECHOES * wanted || w->pings < wanted)
            turn(w);
    }
    turn(w); /* the server's last sends have been confirmed */
    turn(w);
}

/* What the pool keeps for the next messages is not for connections, and has a limit of its own. */
static size_t in_use(const struct world *w)
{
    return w->given - w->server->env.pool.kept_bytes;
}

/* Returns the bytes of one more idle connection. */
static double idle_bytes(const char *name, bool tls, const wsr_deflate *deflate)
{
    static struct world w;
    memset(&w, 0, sizeof w);
    w.allocator = (wsr_allocator){&w, counted_alloc, counted_resize, counted_release};
    wsr_config config = WSR_CONFIG_INIT;
    config.allocator = &w.allocator;
    assert_int_equal(wsr_engine_open(&w.server, &config), WSR_OK);
    assert_int_equal(wsr_engine_open(&w.client, NULL), WSR_OK);
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    if (tls) {
        wsr_tls_config ours = WSR_TLS_CONFIG_INIT, theirs = WSR_TLS_CONFIG_INIT;
        ours.role = WSR_SERVER;
        ours.self_signed = "127.0.0.1";
        theirs.role = WSR_CLIENT;
        theirs.verify_none = true;
        assert_int_equal(wsr_tls_open(&listen.tls, &ours, NULL, 0), WSR_OK);
        assert_int_equal(wsr_tls_open(&connect.tls, &theirs, NULL, 0), WSR_OK);
    }
    if (deflate != NULL)
        listen.deflate = connect.deflate = *deflate;
    wsr_listener listener;
    assert_int_equal(wsr_listen(w.server, &listen, &listener), WSR_OK);
    char url[64];
    (void)snprintf(url, sizeof url, "%s://127.0.0.1:%u/", tls ? "wss" : "ws", wsr_listen_port(w.server, listener));
    connect.url = url;

    connect_until(&w, &connect, FIRST);
    const size_t first = in_use(&w);
    connect_until(&w, &connect, LAST);
    const double bytes = (double)(in_use(&w) - first) / (LAST - FIRST);
    size_t said = 0;
    for (unsigned i = 0; i < LAST; i++)
        said += wsr_connection_memory_bytes(w.server, w.served[i]);
    print_message("%s: %.0f bytes a connection, of which its slot %zu; the engine says %zu\n", name, bytes, sizeof(struct wsr_connection), said / LAST);
    assert_true(said / LAST <= (size_t)bytes + 1 && (size_t)bytes <= said / LAST + 1);
    wsr_engine_close(w.client);
    wsr_engine_close(w.server);
    assert_int_equal(w.given, 0);
    wsr_tls_release(listen.tls);
    wsr_tls_release(connect.tls);
    return bytes;
}

static void a_plain_one_is_its_slot(void **unused)
{
    (void)unused;
    assert_true(idle_bytes("ws", false, NULL) <= 256);
}

/* Compressors without history are shared. */
static void a_compressed_one_is_little_more(void **unused)
{
    (void)unused;
    const wsr_deflate deflate = {.on = true};
    assert_true(idle_bytes("ws, compressed without history", false, &deflate) <= 256 + 128);
}

/* And with one they cost what wsr_deflate says. */
static void history_has_its_price(void **unused)
{
    (void)unused;
    const wsr_deflate deflate = {.on = true, .send_takeover = true, .receive_takeover = true};
    const double bytes = idle_bytes("ws, compressed with history both ways", false, &deflate);
    assert_true(bytes > 64 << 10 && bytes < 160 << 10);
}

static void one_over_tls_has_no_buffers_of_ours(void **unused)
{
    (void)unused;
    assert_true(idle_bytes("wss, without OpenSSL's", true, NULL) <= 256 + 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_one_is_its_slot),
        cmocka_unit_test(a_compressed_one_is_little_more),
        cmocka_unit_test(history_has_its_price),
        cmocka_unit_test(one_over_tls_has_no_buffers_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
