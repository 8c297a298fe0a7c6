/*
 * tests/test_zero_copy.c - sends that the kernel does not copy (wsr_config.zero_copy_bytes, conn/flight.c), on the kernel there is: every
 * byte is right, memory is held as long as the kernel needs it and no longer, and who refuses it is sent copies. The same with
 * everything that can happen in between: the worlds of tests/sim.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <wsring/wsring.h>

#include "conn/engine.h"
#include "lib/failing.h"

#define SECOND INT64_C(1000000000)
#define PATIENCE (120 * SECOND) /* a handshake under valgrind, on a busy machine */

enum { LEN_MAX = 400000, LEAST = 1000 };

static uint8_t payload[LEN_MAX];

struct host {
    wsr_engine *engine;
    wsr_listener listener;
    uint16_t port;
    wsr_conn server, client;
    unsigned opened, echoed, back, closed;
    size_t len;
};

static void take(struct host *host, const wsr_event *event)
{
    switch (event->type) {
    case WSR_EVENT_OPEN:
        host->opened++;
        if (wsr_event_request(event) != NULL)
            host->server = event->conn;
        break;
    case WSR_EVENT_MESSAGE:
        assert_int_equal(event->data.len, host->len);
        assert_memory_equal(event->data.ptr, payload, host->len);
        if (event->conn == host->client) {
            host->back++;
        } else {
            host->echoed++;
            assert_int_equal(wsr_forward(host->engine, event->conn, event), WSR_OK);
        }
        break;
    case WSR_EVENT_CLOSED:
        host->closed++;
        break;
    default:
        break;
    }
}

static void turn(struct host *host, int64_t timeout_ns)
{
    wsr_event ev[16];
    const int n = wsr_poll(host->engine, ev, 16, timeout_ns);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++)
        take(host, &ev[i]);
}

static void until(struct host *host, const unsigned *counter, unsigned n)
{
    while (*counter < n)
        turn(host, 10 * SECOND);
}

static void host_open(struct host *host, uint32_t without, wsr_tls *tls)
{
    memset(host, 0, sizeof *host);
    wsr_config config = WSR_CONFIG_INIT;
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    config.zero_copy_bytes = LEAST;
    config.limits.handshake_timeout_ns = PATIENCE;
    config.ring_without = without;
    config.allocator = &failing;
    failing_bytes = 0;
    listen.tls = tls;
    assert_int_equal(wsr_engine_open(&host->engine, &config), WSR_OK);
    assert_int_equal(wsr_listen(host->engine, &listen, &host->listener), WSR_OK);
    host->port = wsr_listen_port(host->engine, host->listener);
}

static void connect_client(struct host *host, wsr_tls *tls)
{
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    char url[60];
    (void)snprintf(url, sizeof url, "%s://127.0.0.1:%u", tls != NULL ? "wss" : "ws", host->port);
    connect.url = url;
    connect.tls = tls;
    connect.tls_timeout_ns = PATIENCE;
    assert_int_equal(wsr_connect(host->engine, &connect, &host->client), WSR_OK);
    until(host, &host->opened, 2);
}

/* What the kernel did not let go of before its ring was closed would be missed here. */
static void host_close(struct host *host)
{
    wsr_engine_close(host->engine);
    assert_int_equal(failing_bytes, 0);
}

static wsr_engine_statistics stats_of(const struct host *host)
{
    wsr_engine_statistics stats;
    wsr_engine_stats(host->engine, &stats, sizeof stats);
    return stats;
}

static void exchange(struct host *host)
{
    static const size_t sizes[] = {1, 500, LEAST, 5000, 65536, 100000, LEN_MAX, 70, LEN_MAX - 1};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        host->len = sizes[i];
        for (unsigned k = 0; k < 5; k++) /* several in a send, which is a vector of them where they are large */
            assert_int_equal(wsr_send(host->engine, host->client, WSR_BINARY, (wsr_slice){payload, host->len}), WSR_OK);
        until(host, &host->back, 5 * (i + 1));
    }
    assert_true(stats_of(host).zero_copy_sends > 0);
    assert_int_equal(wsr_close(host->engine, host->client, 1000, ((wsr_slice){NULL, 0})), WSR_OK);
    until(host, &host->closed, 2);
}

static void every_byte_is_right(void **state)
{
    (void)state;
    for (unsigned without = 0; without <= WSR_WITHOUT_MULTISHOT; without += WSR_WITHOUT_MULTISHOT) {
        struct host host;
        host_open(&host, without, NULL);
        connect_client(&host, NULL);
        exchange(&host);
        assert_int_equal(stats_of(&host).zero_copy_refused, 0);
        host_close(&host);
    }
}

static void over_tls_too(void **state)
{
    (void)state;
    wsr_tls_config config = WSR_TLS_CONFIG_INIT;
    wsr_tls *server, *client;
    char why[200];
    config.role = WSR_SERVER;
    config.self_signed = "localhost";
    assert_int_equal(wsr_tls_open(&server, &config, why, sizeof why), WSR_OK);
    config = (wsr_tls_config)WSR_TLS_CONFIG_INIT;
    config.role = WSR_CLIENT;
    config.verify_none = true;
    assert_int_equal(wsr_tls_open(&client, &config, why, sizeof why), WSR_OK);
    struct host host;
    host_open(&host, 0, server);
    connect_client(&host, client);
    exchange(&host);
    host_close(&host);
    wsr_tls_release(server);
    wsr_tls_release(client);
}

static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

static int connect_raw(struct host *host)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(host->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, request, sizeof request - 1, 0), sizeof request - 1);
    until(host, &host->opened, 1);
    return fd;
}

/* More than the kernel takes, when the answer to the handshake, which is small, has gone. */
static void fill(struct host *host, unsigned n)
{
    while (wsr_outbox_bytes(host->engine, host->server) > 0)
        turn(host, 0);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(wsr_send(host->engine, host->server, WSR_BINARY, (wsr_slice){payload, LEN_MAX}), WSR_OK);
    turn(host, 0);
    turn(host, 0);
}

/* An engine with a peer that has not read yet, and more for it than the kernel takes. */
static int open_stalled(struct host *host)
{
    host_open(host, 0, NULL);
    const int fd = connect_raw(host);
    fill(host, 20);
    assert_true(host->engine->flights.in_use > 0);
    return fd;
}

/* What was sent and not acknowledged is still ours to keep; once it was read, nothing is. */
static void memory_is_held_until_the_peer_has_it(void **state)
{
    (void)state;
    struct host host;
    const int fd = open_stalled(&host);
    assert_true(host.engine->env.pool.out_bytes >= (size_t)20 * LEN_MAX); /* some of it was sent, but all is needed */
    static uint8_t bytes[1 << 16];
    size_t got = 0;
    const size_t all = (size_t)20 * (LEN_MAX + 10);
    while (got < all) {
        const ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        got += n > 0 ? (size_t)n : 0;
        turn(&host, n > 0 ? 0 : SECOND / 1000);
    }
    while (host.engine->flights.in_use > 0)
        turn(&host, SECOND / 100);
    assert_int_equal(host.engine->env.pool.out_bytes, 0);
    close(fd);
    until(&host, &host.closed, 1);
    host_close(&host);
}

/* Nobody reads, and the engine is closed: it neither waits for long nor gives memory back that the kernel still reads. */
static void closing_does_not_wait_for_who_does_not_read(void **state)
{
    (void)state;
    struct host host;
    const int fd = open_stalled(&host);
    host_close(&host); /* with all memory back: it was cut off, or that would be missing */
    close(fd);
}

/* Likewise of a connection that is aborted while it flies. */
static void an_abort_lets_go(void **state)
{
    (void)state;
    struct host host;
    const int fd = open_stalled(&host);
    assert_int_equal(wsr_abort(host.engine, host.server), WSR_OK);
    until(&host, &host.closed, 1);
    while (host.engine->flights.in_use > 0)
        turn(&host, SECOND / 100);
    assert_int_equal(host.engine->env.pool.out_bytes, 0);
    assert_int_equal(stats_of(&host).open, 0);
    host_close(&host);
    close(fd);
}

/* A socket that is no TCP refuses: it is sent copies, and everything arrives. */
static void who_refuses_is_sent_copies(void **state)
{
    (void)state;
    struct host host;
    host_open(&host, 0, NULL);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    wsr_conn conn;
    assert_int_equal(wsr_adopt_fd(host.engine, host.listener, pair[0], (wsr_slice){(const uint8_t *)request, sizeof request - 1}, &conn), WSR_OK);
    until(&host, &host.opened, 1);
    fill(&host, 3);
    static uint8_t bytes[1 << 16];
    size_t got = 0;
    const size_t all = (size_t)3 * (LEN_MAX + 10); /* and the answer to the request before */
    while (got <= all) {
        const ssize_t n = recv(pair[1], bytes, sizeof bytes, MSG_DONTWAIT);
        got += n > 0 ? (size_t)n : 0;
        turn(&host, n > 0 ? 0 : SECOND / 1000);
    }
    assert_int_equal(stats_of(&host).zero_copy_refused, 1);
    assert_int_equal(stats_of(&host).zero_copy_sends, 1);
    close(pair[1]);
    until(&host, &host.closed, 1);
    host_close(&host);
}

int main(void)
{
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)((uint32_t)i * 2654435761u >> 13);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_right),
        cmocka_unit_test(over_tls_too),
        cmocka_unit_test(memory_is_held_until_the_peer_has_it),
        cmocka_unit_test(closing_does_not_wait_for_who_does_not_read),
        cmocka_unit_test(an_abort_lets_go),
        cmocka_unit_test(who_refuses_is_sent_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
