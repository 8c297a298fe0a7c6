/*
 * tests/test_stamp.c - the kernel's time stamps of receives, on the real kernel: within the time that the test knows of, never
 * going back, shared where messages share a receive and said so, through TLS as well; and none where there can be none.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <wsring/wsring.h>

#include "conn/engine.h"
#include "lib/certs.h"

#define SECOND INT64_C(1000000000)
#define PATIENCE (120 * SECOND) /* a handshake under valgrind, on a busy machine */
#define SLICE(text) ((wsr_slice){(const uint8_t *)(text), strlen(text)})

enum { SEEN_MAX = 64, TRIES_MAX = 100000 };

/* A message, or a piece of one, as it was delivered. */
struct seen {
    unsigned flags;
    const wsr_receive_stamp *address; /* tells receives apart while their batch lasts */
    wsr_receive_stamp stamp;
    size_t len;
};

/* One engine that is server and client at once: the server asks for stamps. */
struct world {
    wsr_engine *engine;
    wsr_tls *server_tls, *client_tls;
    uint16_t port;
    wsr_conn server, client; /* 0: not open */
    unsigned closed;
    unsigned cap; /* of a poll */
    struct seen seen[SEEN_MAX];
    unsigned n;
};

static uint64_t realtime_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * (uint64_t)SECOND + (uint64_t)now.tv_nsec;
}

static void see(struct world *w, const wsr_event *event)
{
    const wsr_receive_stamp *stamp = wsr_event_stamp(event);
    switch ((wsr_event_type)event->type) {
    case WSR_EVENT_OPEN:
        *(wsr_event_request(event) != NULL ? &w->server : &w->client) = event->conn;
        break;
    case WSR_EVENT_MESSAGE:
    case WSR_EVENT_CHUNK:
    case WSR_EVENT_PING:
        assert_true(w->n < SEEN_MAX);
        w->seen[w->n++] = (struct seen){event->flags & (WSR_EVENT_STAMPED | WSR_EVENT_STAMP_SHARED), stamp,
                                        stamp != NULL ? *stamp : (wsr_receive_stamp){0, 0}, event->data.len};
        break;
    case WSR_EVENT_CLOSED:
        w->closed++;
        break;
    default:
        break;
    }
}

static void turn(struct world *w)
{
    wsr_event ev[SEEN_MAX];
    const int n = wsr_poll(w->engine, ev, w->cap, PATIENCE);
    assert_true(n > 0);
    for (int i = 0; i < n; i++)
        see(w, &ev[i]);
}

static void until(struct world *w, const unsigned *counter, unsigned n)
{
    while (*counter < n)
        turn(w);
}

/* An engine that listens, with stamps or without. Returns what wsr_listen did. */
static int open_engine(struct world *w, const wsr_config *config, bool stamps, bool tls)
{
    memset(w, 0, sizeof *w);
    w->cap = SEEN_MAX;
    wsr_config patient = config != NULL ? *config : (wsr_config)WSR_CONFIG_INIT;
    patient.limits.handshake_timeout_ns = PATIENCE;
    assert_int_equal(wsr_engine_open(&w->engine, &patient), WSR_OK);
    if (tls) {
        const wsr_tls_config server = certs_server(), client = certs_client();
        w->server_tls = certs_open(&server);
        w->client_tls = certs_open(&client);
    }
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    listen.tls = w->server_tls;
    listen.socket.receive_stamps = stamps;
    wsr_listener listener;
    const int error = wsr_listen(w->engine, &listen, &listener);
    if (error == WSR_OK)
        w->port = wsr_listen_port(w->engine, listener);
    return error;
}

static void close_world(struct world *w)
{
    wsr_engine_close(w->engine);
    wsr_tls_release(w->server_tls);
    wsr_tls_release(w->client_tls);
}

/* Sends from the client, in one operation, as many messages of len bytes, and waits until all are there. */
static void pass(struct world *w, wsr_opcode opcode, size_t len, unsigned n)
{
    static const uint8_t payload[256 << 10];
    assert_true(len <= sizeof payload);
    w->n = 0;
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(wsr_send(w->engine, w->client, opcode, (wsr_slice){payload, len}), WSR_OK);
    until(w, &w->n, n);
}

/* The kernel begins to stamp a little after the first socket of the machine has asked for it (net_enable_timestamp). */
static void warm_up(struct world *w)
{
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        pass(w, WSR_BINARY, 1, 1);
        if ((w->seen[0].flags & WSR_EVENT_STAMPED) != 0)
            return;
    }
    fail_msg("%u messages, and no stamp", TRIES_MAX);
}

static void open_world(struct world *w, const wsr_config *config, bool tls)
{
    assert_int_equal(open_engine(w, config, true, tls), WSR_OK);
    char url[64];
    snprintf(url, sizeof url, "%s://127.0.0.1:%u/", tls ? "wss" : "ws", (unsigned)w->port);
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    connect.url = url;
    connect.tls = w->client_tls;
    connect.tls_timeout_ns = PATIENCE;
    wsr_conn client;
    assert_int_equal(wsr_connect(w->engine, &connect, &client), WSR_OK);
    while (w->server == 0 || w->client == 0)
        turn(w);
    warm_up(w);
}

/* ---- what a stamp says ---- */

static void each_in_its_time(bool tls)
{
    struct world w;
    open_world(&w, NULL, tls);
    uint64_t last_ns = 0;
    for (unsigned i = 0; i < 200; i++) {
        const uint64_t before_ns = realtime_ns();
        pass(&w, i % 3 == 0 ? WSR_PING : WSR_BINARY, i % 126, 1);
        const uint64_t after_ns = realtime_ns(), stamp_ns = w.seen[0].stamp.realtime_ns;
        assert_int_equal(w.seen[0].flags, WSR_EVENT_STAMPED); /* and not shared */
        assert_in_range(stamp_ns, before_ns, after_ns);
        assert_true(stamp_ns >= last_ns);
        assert_int_equal(w.seen[0].stamp.hardware_ns, 0); /* loopback has none */
        last_ns = stamp_ns;
    }
    close_world(&w);
}

static void test_each_message_in_its_time(void **state)
{
    (void)state;
    each_in_its_time(false);
}

static void test_each_message_in_its_time_through_tls(void **state)
{
    (void)state;
    each_in_its_time(true);
}

static void several_share(bool tls)
{
    struct world w;
    open_world(&w, NULL, tls);
    const uint64_t before_ns = realtime_ns();
    pass(&w, WSR_BINARY, 20, 5);
    const uint64_t after_ns = realtime_ns();
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(w.seen[i].flags, WSR_EVENT_STAMPED | WSR_EVENT_STAMP_SHARED);
        assert_ptr_equal(w.seen[i].address, w.seen[0].address);
        assert_in_range(w.seen[i].stamp.realtime_ns, before_ns, after_ns);
    }
    close_world(&w);
}

static void test_several_messages_share_a_receive(void **state)
{
    (void)state;
    several_share(false);
}

static void test_several_messages_share_a_receive_through_tls(void **state)
{
    (void)state;
    several_share(true);
}

/* A message of many receives, as large as those that are otherwise received directly, has the stamp of the last; so has each chunk its own. */
static void large_ones(bool tls, size_t whole_bytes_max)
{
    struct world w;
    wsr_config config = WSR_CONFIG_INIT;
    config.limits.whole_bytes_max = whole_bytes_max;
    open_world(&w, &config, tls);
    for (unsigned i = 0; i < 10; i++) {
        const uint64_t before_ns = realtime_ns();
        size_t bytes = 0;
        pass(&w, WSR_BINARY, 200000, 1);
        for (unsigned k = 0; (bytes += w.seen[k].len) < 200000; k++)
            until(&w, &w.n, k + 2);
        const uint64_t after_ns = realtime_ns();
        uint64_t last_ns = before_ns;
        for (unsigned k = 0; k < w.n; k++) {
            assert_true((w.seen[k].flags & WSR_EVENT_STAMPED) != 0);
            assert_in_range(w.seen[k].stamp.realtime_ns, last_ns, after_ns);
            last_ns = w.seen[k].stamp.realtime_ns;
        }
    }
    close_world(&w);
}

static void test_large_messages(void **state)
{
    (void)state;
    large_ones(false, 0);
    large_ones(true, 0);
}

static void test_chunks(void **state)
{
    (void)state;
    large_ones(false, 4096);
}

/* ---- whose it is, byte by byte ---- */

static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#define MASKED "\x80\0\0\0\0" /* a frame's second byte and key, its length to be added */

static int raw_client(const struct world *w)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(w->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void put(int fd, const void *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
}

/* Polls until the engine has taken in that many bytes that make no event. */
static void taken(struct world *w, int fd, const void *bytes, size_t len)
{
    const struct wsr_connection *c = wsr_table_known(w->engine, w->server);
    const uint64_t frames = c->ep.frames_in;
    const bool in_header = wsr_endpoint_in_header(&c->ep);
    wsr_event ev[1];
    put(fd, bytes, len);
    while (c->ep.frames_in == frames && wsr_endpoint_in_header(&c->ep) == in_header)
        assert_int_equal(wsr_poll(w->engine, ev, 1, SECOND / 1000), 0);
}

static int open_raw(struct world *w)
{
    assert_int_equal(open_engine(w, NULL, true, false), WSR_OK);
    const int fd = raw_client(w);
    put(fd, request, sizeof request - 1);
    while (w->server == 0)
        turn(w);
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        w->n = 0;
        put(fd, "\x82\x81\0\0\0\0x", 7);
        until(w, &w->n, 1);
        if (w->seen[0].flags != 0)
            break;
    }
    w->n = 0;
    return fd;
}

static void expect(const struct world *w, unsigned n, unsigned flags)
{
    assert_int_equal(w->n, n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(w->seen[i].flags, flags);
}

/* What follows a message in the same receive may be what the stamp is of: half a frame, a frame that makes no event. */
static void test_bytes_behind_a_message_share_its_receive(void **state)
{
    (void)state;
    struct world w;
    const int fd = open_raw(&w);
    put(fd, "\x82\x81\0\0\0\0x\x82", 8); /* and the first byte of the next */
    until(&w, &w.n, 1);
    expect(&w, 1, WSR_EVENT_STAMPED | WSR_EVENT_STAMP_SHARED);
    w.n = 0;
    put(fd, "\x81\0\0\0\0x", 6); /* the rest of it: that receive brought nothing else */
    until(&w, &w.n, 1);
    expect(&w, 1, WSR_EVENT_STAMPED);
    w.n = 0;
    put(fd, "\x82\x81\0\0\0\0x\x02\x81\0\0\0\0x", 14); /* and a fragment */
    until(&w, &w.n, 1);
    expect(&w, 1, WSR_EVENT_STAMPED | WSR_EVENT_STAMP_SHARED);
    w.n = 0;
    taken(&w, fd, "\x00\x82\0\0\0\0x", 7); /* half of the next */
    put(fd, "x", 1);
    taken(&w, fd, "\x80\x84\0\0\0\0xx", 8); /* half of the last fragment */
    put(fd, "xx", 2);
    until(&w, &w.n, 1);
    expect(&w, 1, WSR_EVENT_STAMPED);
    assert_int_equal(w.seen[0].len, 7);
    close(fd);
    until(&w, &w.closed, 1);
    assert_int_equal(wsr_ring_buffers_free(w.engine->ring, true), 256);
    close_world(&w);
}

/* Where a batch has no room, or the application has paused, bytes wait, and their stamp with them. */
static void test_what_had_to_wait_keeps_its_stamp(void **state)
{
    (void)state;
    struct world w;
    const int fd = open_raw(&w);
    w.cap = 1;
    put(fd, "\x82\x81\0\0\0\0x\x82\x81\0\0\0\0y", 14);
    until(&w, &w.n, 2);
    expect(&w, 2, WSR_EVENT_STAMPED | WSR_EVENT_STAMP_SHARED);
    assert_int_equal(w.seen[1].stamp.realtime_ns, w.seen[0].stamp.realtime_ns);
    close(fd);
    until(&w, &w.closed, 1);
    close_world(&w);
}

/* ---- none ---- */

static void test_none_unless_asked_for(void **state)
{
    (void)state;
    struct world w;
    assert_int_equal(open_engine(&w, NULL, false, false), WSR_OK);
    const int fd = raw_client(&w);
    put(fd, request, sizeof request - 1);
    put(fd, "\x82\x81\0\0\0\0x", 7);
    until(&w, &w.n, 1);
    assert_int_equal(w.seen[0].flags, 0);
    close(fd);
    close_world(&w);
}

static void test_refused_where_it_cannot_be(void **state)
{
    (void)state;
    struct world w;
    const wsr_config config = {.size = sizeof config, .ring_without = WSR_WITHOUT_MULTISHOT};
    assert_int_equal(open_engine(&w, &config, true, false), WSR_ESYS);
    assert_int_equal(errno, EOPNOTSUPP);
    close_world(&w);
}

/* A client's own connection, and one that was adopted: unix sockets have no stamps, and say so. */
static void test_clients_and_adopted_sockets(void **state)
{
    (void)state;
    struct world w;
    assert_int_equal(open_engine(&w, NULL, false, false), WSR_OK);
    wsr_listen_config adopt = WSR_LISTEN_CONFIG_INIT;
    adopt.adopt_only = true;
    adopt.socket.receive_stamps = true;
    wsr_listener adopter;
    assert_int_equal(wsr_listen(w.engine, &adopt, &adopter), WSR_OK);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    wsr_conn conn;
    assert_int_equal(wsr_adopt_fd(w.engine, adopter, pair[0], SLICE(""), &conn), WSR_OK);
    put(pair[1], request, sizeof request - 1);
    put(pair[1], "\x82\x81\0\0\0\0x", 7);
    until(&w, &w.n, 1);
    assert_int_equal(w.seen[0].flags, 0);
    close(pair[1]);
    until(&w, &w.closed, 1);

    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)w.port);
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    connect.url = url;
    connect.socket.receive_stamps = true;
    w.server = w.client = 0;
    assert_int_equal(wsr_connect(w.engine, &connect, &conn), WSR_OK);
    while (w.server == 0 || w.client == 0)
        turn(&w);
    for (unsigned tries = 0; tries < TRIES_MAX && w.seen[0].flags == 0; tries++) {
        w.n = 0;
        assert_int_equal(wsr_send(w.engine, w.server, WSR_TEXT, SLICE("Hello")), WSR_OK);
        until(&w, &w.n, 1);
    }
    assert_int_equal(w.seen[0].flags, WSR_EVENT_STAMPED);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_message_in_its_time),
        cmocka_unit_test(test_each_message_in_its_time_through_tls),
        cmocka_unit_test(test_several_messages_share_a_receive),
        cmocka_unit_test(test_several_messages_share_a_receive_through_tls),
        cmocka_unit_test(test_large_messages),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_bytes_behind_a_message_share_its_receive),
        cmocka_unit_test(test_what_had_to_wait_keeps_its_stamp),
        cmocka_unit_test(test_none_unless_asked_for),
        cmocka_unit_test(test_refused_where_it_cannot_be),
        cmocka_unit_test(test_clients_and_adopted_sockets),
    };
    return cmocka_run_group_tests(tests, certs_set_up, certs_tear_down);
}
