/*
 * tests/test_forward.c - wsr_forward: a message passed on leaves as it came, whatever its size and wherever its memory is; the
 * memory of a large one is handed over and not copied, and what cannot be sent stays the application's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wsring/client.h>
#include <wsring/server.h>

#define SECOND INT64_C(1000000000)

struct relay {
    wsr_engine *engine;
    wsr_conn server, client;
    uint8_t *sent;
    size_t len;
    unsigned opened, echoed, back, closed;
    bool twice; /* the server sends it once by copy, then passes it on */
    bool gone;  /* the server aborts before it passes it on */
    int result;
    uint64_t undelivered;
};

static void take(struct relay *r, const wsr_event *event)
{
    switch (event->type) {
    case WSR_EVENT_OPEN:
        r->opened++;
        if (wsr_event_request(event) != NULL)
            r->server = event->conn;
        break;
    case WSR_EVENT_MESSAGE:
        assert_int_equal(event->data.len, r->len);
        if (r->len > 0)
            assert_memory_equal(event->data.ptr, r->sent, r->len);
        if (event->conn == r->client) {
            r->back++;
            break;
        }
        if (r->gone)
            assert_int_equal(wsr_abort(r->engine, event->conn), WSR_OK);
        if (r->twice)
            assert_int_equal(wsr_send(r->engine, event->conn, WSR_BINARY, (wsr_slice){event->data.ptr, event->data.len}), WSR_OK);
        r->result = wsr_forward(r->engine, event->conn, event);
        if (r->result != WSR_OK && r->len > 0)
            assert_memory_equal(event->data.ptr, r->sent, r->len);
        r->echoed++;
        break;
    case WSR_EVENT_CLOSED:
        r->closed++;
        if (event->conn == r->server)
            r->undelivered = wsr_event_close_record(event)->messages_undelivered;
        break;
    default:
        break;
    }
}

static void until(struct relay *r, const unsigned *counter, unsigned n)
{
    wsr_event ev[16];
    while (*counter < n) {
        int got = wsr_poll(r->engine, ev, 16, 10 * SECOND);
        assert_true(got > 0);
        for (int i = 0; i < got; i++)
            take(r, &ev[i]);
    }
}

static void relay_open(struct relay *r, size_t len_max)
{
    memset(r, 0, sizeof *r);
    assert_int_equal(wsr_engine_open(&r->engine, NULL), WSR_OK);
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    assert_int_equal(wsr_listen(r->engine, &listen, &listener), WSR_OK);
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    char url[40];
    (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u", wsr_listen_port(r->engine, listener));
    connect.url = url;
    assert_int_equal(wsr_connect(r->engine, &connect, &r->client), WSR_OK);
    until(r, &r->opened, 2);
    r->sent = malloc(len_max + 1);
    assert_non_null(r->sent);
    for (size_t i = 0; i < len_max; i++)
        r->sent[i] = (uint8_t)(i * 2654435761u >> 13);
}

static void relay_close(struct relay *r)
{
    wsr_engine_close(r->engine);
    free(r->sent);
}

static void send_one(struct relay *r, size_t len)
{
    r->len = len;
    assert_int_equal(wsr_send(r->engine, r->client, WSR_BINARY, (wsr_slice){r->sent, len}), WSR_OK);
}

static void every_size_comes_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 125, 126, 4095, 4096, 65535, 65536, 65537, 300000, 1 << 20, 70000, 5, (3 << 20) + 1};
    struct relay r;
    relay_open(&r, (3 << 20) + 1);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        send_one(&r, sizes[i]);
        until(&r, &r.back, i + 1);
        assert_int_equal(r.result, WSR_OK);
    }
    relay_close(&r);
}

static void a_copy_may_go_before(void **state)
{
    (void)state;
    struct relay r;
    relay_open(&r, 200000);
    r.twice = true;
    for (unsigned i = 0; i < 5; i++) {
        send_one(&r, 200000);
        until(&r, &r.back, 2 * (i + 1));
    }
    relay_close(&r);
}

static void steady_state_allocates_nothing(void **state)
{
    (void)state;
    struct relay r;
    relay_open(&r, 1 << 20);
    for (unsigned i = 0; i < 4; i++) {
        send_one(&r, 1 << 20);
        until(&r, &r.back, i + 1);
    }
    wsr_engine_statistics before, after;
    wsr_engine_stats(r.engine, &before, sizeof before);
    for (unsigned i = 4; i < 12; i++) {
        send_one(&r, 1 << 20);
        until(&r, &r.back, i + 1);
    }
    wsr_engine_stats(r.engine, &after, sizeof after);
    assert_int_equal(after.allocations, before.allocations);
    assert_true(after.memory_bytes <= before.memory_bytes);
    relay_close(&r);
}

static void what_is_refused_stays_the_applications(void **state)
{
    (void)state;
    struct relay r;
    relay_open(&r, 100000);
    r.gone = true;
    send_one(&r, 100000);
    until(&r, &r.closed, 2);
    assert_int_equal(r.result, WSR_ESTATE);
    wsr_event other = {.type = WSR_EVENT_PING, .conn = r.client};
    assert_int_equal(wsr_forward(r.engine, r.client, &other), WSR_EINVAL);
    other.type = WSR_EVENT_MESSAGE;
    assert_int_equal(wsr_forward(r.engine, r.client, &other), WSR_ESTALE);
    relay_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_comes_back),
        cmocka_unit_test(a_copy_may_go_before),
        cmocka_unit_test(steady_state_allocates_nothing),
        cmocka_unit_test(what_is_refused_stays_the_applications),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
