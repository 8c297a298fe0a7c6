/*
 * tests/test_socket.c - sockets as operators need them: options that reach every connection, connections and listeners taken over
 * from somebody else, a client's own address, and PROXY protocol headers in front of everything, in every split.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <wsring/wsring.h>

#include "conn/engine.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * (int64_t)MS)
#define SLICE(text) ((wsr_slice){(const uint8_t *)(text), strlen(text)})

static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

struct world {
    wsr_engine *engine;
    wsr_listener listener;
    uint16_t port;
    wsr_conn server, client;
    unsigned opened, closed, messages;
    int error; /* of the last CLOSED */
    char text[64];
};

static void turn(struct world *w)
{
    wsr_event ev[16];
    const int n = wsr_poll(w->engine, ev, 16, 5 * SECOND);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        switch (ev[i].type) {
        case WSR_EVENT_OPEN:
            *(wsr_event_request(&ev[i]) != NULL ? &w->server : &w->client) = ev[i].conn;
            w->opened++;
            break;
        case WSR_EVENT_MESSAGE:
            w->messages++;
            snprintf(w->text, sizeof w->text, "%.*s", (int)ev[i].data.len, (const char *)ev[i].data.ptr);
            break;
        case WSR_EVENT_CLOSED:
            w->closed++;
            w->error = ev[i].error;
            break;
        default:
            break;
        }
    }
}

static void until(struct world *w, const unsigned *counter, unsigned n)
{
    while (*counter < n)
        turn(w);
}

static void open_world(struct world *w, const wsr_listen_config *listen)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(wsr_engine_open(&w->engine, NULL), WSR_OK);
    assert_int_equal(wsr_listen(w->engine, listen, &w->listener), WSR_OK);
    w->port = wsr_listen_port(w->engine, w->listener);
}

static wsr_conn connect_with(struct world *w, wsr_connect_config *config)
{
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)w->port);
    config->url = url;
    wsr_conn conn;
    assert_int_equal(wsr_connect(w->engine, config, &conn), WSR_OK);
    return conn;
}

/* A connected socket that no engine knows of. */
static int plain_socket(uint16_t port)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void put(int fd, const void *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
}

/* ---- options ---- */

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static void expect_options(const struct world *w, wsr_conn conn)
{
    const int fd = wsr_table_known(w->engine, conn)->fd;
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 2501); /* rounded up */
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 30);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 7);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
    assert_int_equal(option(fd, IPPROTO_IP, IP_TOS) & 0xfc, 46 << 2);
    assert_int_equal(option(fd, SOL_SOCKET, SO_BUSY_POLL), geteuid() == 0 ? 25 : 0);
}

static const wsr_socket_options many = {.user_timeout_ns = 2500 * MS + 1, .keepalive_idle_ns = 30000 * MS, .keepalive_interval_ns = 6500 * MS,
                                        .keepalive_probes = 4, .dscp = 46};

static void options_reach_both_ends(void **state)
{
    (void)state;
    wsr_socket_options options = many;
    options.busy_poll_us = geteuid() == 0 ? 25 : 0; /* needs a privilege */
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    listen.socket = options;
    struct world w;
    open_world(&w, &listen);
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    connect.socket = options;
    (void)connect_with(&w, &connect);
    until(&w, &w.opened, 2);
    expect_options(&w, w.server);
    expect_options(&w, w.client);
    wsr_engine_close(w.engine);

    listen.address = "::1";
    open_world(&w, &listen);
    char url[64];
    snprintf(url, sizeof url, "ws://[::1]:%u/", (unsigned)w.port);
    connect.url = url;
    wsr_conn conn;
    assert_int_equal(wsr_connect(w.engine, &connect, &conn), WSR_OK);
    until(&w, &w.opened, 2);
    assert_int_equal(option(wsr_table_known(w.engine, w.server)->fd, IPPROTO_IPV6, IPV6_TCLASS) & 0xfc, 46 << 2);
    assert_int_equal(option(wsr_table_known(w.engine, w.client)->fd, IPPROTO_IPV6, IPV6_TCLASS) & 0xfc, 46 << 2);
    wsr_engine_close(w.engine);
}

static void options_that_make_no_sense(void **state)
{
    (void)state;
    wsr_engine *engine;
    assert_int_equal(wsr_engine_open(&engine, NULL), WSR_OK);
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    listen.socket.dscp = 64;
    assert_int_equal(wsr_listen(engine, &listen, &listener), WSR_ECONFIG);
    listen.socket.dscp = 0;
    listen.fd = -1;
    assert_int_equal(wsr_listen(engine, &listen, &listener), WSR_ECONFIG);
    listen.fd = 0;
    listen.socket.keepalive_idle_ns = UINT64_MAX; /* the kernel takes nine hours at most */
    errno = 0;
    assert_int_equal(wsr_listen(engine, &listen, &listener), WSR_ESYS);
    assert_int_equal(errno, EINVAL);

    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    wsr_conn conn;
    connect.url = "ws://127.0.0.1:1/";
    connect.socket.dscp = 64;
    assert_int_equal(wsr_connect(engine, &connect, &conn), WSR_ECONFIG);
    connect.socket.dscp = 0;
    connect.source = "somewhere";
    assert_int_equal(wsr_connect(engine, &connect, &conn), WSR_EINVAL);
    wsr_engine_close(engine);
}

static void a_client_comes_from_where_it_says(void **state)
{
    (void)state;
    const wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    struct world w;
    open_world(&w, &listen);
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    connect.source = "127.4.5.6";
    (void)connect_with(&w, &connect);
    until(&w, &w.opened, 2);
    char text[64];
    assert_int_equal(wsr_peer_address(w.engine, w.server, text, sizeof text), WSR_OK);
    assert_int_equal(strncmp(text, "127.4.5.6:", 10), 0);
    connect.source = "::1"; /* of the other family: no address is left to try */
    (void)connect_with(&w, &connect);
    until(&w, &w.closed, 1);
    assert_int_equal(w.error, WSR_ECONNECT);
    wsr_engine_close(w.engine);
}

/* ---- taken over ---- */

static void a_listener_is_inherited(void **state)
{
    (void)state;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0); /* as systemd makes them */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    wsr_listen_config config = WSR_LISTEN_CONFIG_INIT;
    config.fd = fd;
    config.socket = many;
    struct world w = {0};
    assert_int_equal(wsr_engine_open(&w.engine, NULL), WSR_OK);
    errno = 0;
    assert_int_equal(wsr_listen(w.engine, &config, &w.listener), WSR_ESYS); /* does not listen */
    assert_int_equal(errno, EINVAL);
    assert_true(fcntl(fd, F_GETFD) >= 0); /* still the caller's */
    config.adopt_only = true;
    assert_int_equal(wsr_listen(w.engine, &config, &w.listener), WSR_ECONFIG);
    config.adopt_only = false;
    config.fd = 9999;
    assert_int_equal(wsr_listen(w.engine, &config, &w.listener), WSR_ESYS);
    assert_int_equal(errno, EBADF);

    config.fd = fd;
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(wsr_listen(w.engine, &config, &w.listener), WSR_OK);
    socklen_t len = sizeof address;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    w.port = wsr_listen_port(w.engine, w.listener);
    assert_int_equal(w.port, ntohs(address.sin_port));
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    connect.socket = many;
    (void)connect_with(&w, &connect);
    until(&w, &w.opened, 2);
    assert_int_equal(option(wsr_table_known(w.engine, w.server)->fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
    wsr_engine_close(w.engine);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* the engine's, and so closed */
}

static void a_server_adopts(void **state)
{
    (void)state;
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    listen.adopt_only = true;
    listen.paths = "/";
    struct world w;
    open_world(&w, &listen);
    assert_int_equal(w.port, 0);
    /* The request is read by somebody else up to every place; the frame behind it, too. */
    static const uint8_t frame[] = {0x81, 0x82, 0, 0, 0, 0, 'h', 'i'};
    uint8_t stream[sizeof request - 1 + sizeof frame];
    memcpy(stream, request, sizeof request - 1);
    memcpy(stream + sizeof request - 1, frame, sizeof frame);
    for (size_t n = 0; n <= sizeof stream; n += n < sizeof request - 10 ? 7 : 1) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
        wsr_conn conn;
        assert_int_equal(wsr_adopt_fd(w.engine, w.listener, pair[0], (wsr_slice){stream, n}, &conn), WSR_OK);
        put(pair[1], stream + n, sizeof stream - n);
        const unsigned before = w.messages;
        until(&w, &w.messages, before + 1);
        assert_true(w.server == conn);
        assert_string_equal(w.text, "hi");
        char answer[512] = {0};
        assert_int_equal(wsr_flush(w.engine), WSR_OK);
        assert_true(recv(pair[1], answer, sizeof answer - 1, 0) > 0);
        assert_int_equal(strncmp(answer, "HTTP/1.1 101 ", 13), 0);
        close(pair[1]);
        const unsigned closed = w.closed;
        until(&w, &w.closed, closed + 1);
    }
    assert_int_equal(wsr_unlisten(w.engine, w.listener), WSR_OK);
    wsr_conn conn;
    assert_int_equal(wsr_adopt_fd(w.engine, w.listener, 0, (wsr_slice){NULL, 0}, &conn), WSR_ESTALE);
    wsr_engine_close(w.engine);
}

static void what_cannot_be_adopted(void **state)
{
    (void)state;
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    listen.adopt_only = true;
    struct world w;
    open_world(&w, &listen);
    wsr_conn conn = 7;
    assert_int_equal(wsr_adopt_fd(w.engine, w.listener, 9999, (wsr_slice){NULL, 0}, &conn), WSR_ESYS);
    assert_int_equal(errno, EBADF);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(wsr_adopt_fd(w.engine, w.listener, ends[0], (wsr_slice){NULL, 0}, &conn), WSR_ESYS);
    assert_int_equal(errno, ENOTSOCK);
    const int datagram = socket(AF_INET, SOCK_DGRAM, 0), loose = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(wsr_adopt_fd(w.engine, w.listener, datagram, (wsr_slice){NULL, 0}, &conn), WSR_ESYS);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(wsr_adopt_fd(w.engine, w.listener, loose, (wsr_slice){NULL, 0}, &conn), WSR_ESYS);
    assert_int_equal(errno, ENOTCONN);
    assert_int_equal(conn, 7);
    wsr_engine_close(w.engine);
    close(ends[0]), close(ends[1]), close(loose), close(datagram);
}

static void a_client_adopts(void **state)
{
    (void)state;
    const wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    struct world w;
    open_world(&w, &listen);
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    connect.url = "ws://nowhere.invalid:1/"; /* the Host header; nobody resolves it */
    connect.fd = plain_socket(w.port);
    wsr_conn conn;
    assert_int_equal(wsr_connect(w.engine, &connect, &conn), WSR_OK);
    until(&w, &w.opened, 2);
    assert_true(w.client == conn);
    assert_int_equal(wsr_send(w.engine, conn, WSR_TEXT, SLICE("over")), WSR_OK);
    until(&w, &w.messages, 1);
    assert_string_equal(w.text, "over");
    connect.fd = 9999;
    assert_int_equal(wsr_connect(w.engine, &connect, &conn), WSR_ESYS);
    assert_int_equal(errno, EBADF);
    wsr_engine_close(w.engine);
}

/* ---- PROXY headers ---- */

static void expect_addresses(const struct world *w, const char *peer, const char *local)
{
    char text[64];
    assert_int_equal(wsr_peer_address(w->engine, w->server, text, sizeof text), WSR_OK);
    assert_string_equal(text, peer);
    assert_int_equal(wsr_local_address(w->engine, w->server, text, sizeof text), WSR_OK);
    assert_string_equal(text, local);
}

static size_t with_request(uint8_t *out, const void *header, size_t len)
{
    memcpy(out, header, len);
    memcpy(out + len, request, sizeof request - 1);
    return len + sizeof request - 1;
}

/* The header and the request in two pieces, cut anywhere in the header and a little behind, in an order that the kernel keeps. */
static void in_every_split(struct world *w, const void *header, size_t len, const char *peer, const char *local)
{
    uint8_t stream[1024];
    const size_t total = with_request(stream, header, len);
    for (size_t cut = 1; cut < len + 4; cut++) {
        const int fd = plain_socket(w->port);
        put(fd, stream, cut);
        wsr_event ev[4];
        while (wsr_poll(w->engine, ev, 4, (int64_t)MS / 4) > 0) /* what has come so far is taken in, or not: either way it holds */
            fail();
        put(fd, stream + cut, total - cut);
        const unsigned opened = w->opened, closed = w->closed;
        until(w, &w->opened, opened + 1);
        expect_addresses(w, peer, local);
        close(fd);
        until(w, &w->closed, closed + 1);
    }
}

static void a_balancer_says_whose_it_is(void **state)
{
    (void)state;
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    listen.proxy_protocol = true;
    struct world w;
    open_world(&w, &listen);
    const char *v1 = "PROXY TCP4 192.0.2.7 198.51.100.9 4000 443\r\n";
    in_every_split(&w, v1, strlen(v1), "192.0.2.7:4000", "198.51.100.9:443");
    const char *v1six = "PROXY TCP6 2001:db8::7 2001:db8::9 4000 443\r\n";
    in_every_split(&w, v1six, strlen(v1six), "[2001:db8::7]:4000", "[2001:db8::9]:443");
    static const uint8_t v2[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x12\xc0\0\2\7\xc6\x33\x64\x09\x0f\xa0\x01\xbb\x04\0\3abc"; /* with a TLV of six */
    in_every_split(&w, v2, sizeof v2 - 1, "192.0.2.7:4000", "198.51.100.9:443");

    wsr_engine_statistics before, after;
    wsr_engine_stats(w.engine, &before, sizeof before);
    /* A health check of the balancer's own: the connection's addresses go. */
    static const uint8_t local[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    uint8_t stream[1024];
    const int fd = plain_socket(w.port);
    put(fd, stream, with_request(stream, local, sizeof local - 1));
    const unsigned opened = w.opened;
    until(&w, &w.opened, opened + 1);
    char text[64];
    assert_int_equal(wsr_peer_address(w.engine, w.server, text, sizeof text), WSR_OK);
    assert_int_equal(strncmp(text, "127.0.0.1:", 10), 0);
    close(fd);
    const unsigned closed = w.closed;
    until(&w, &w.closed, closed + 1);
    wsr_engine_stats(w.engine, &after, sizeof after);
    assert_true(after.memory_bytes <= before.memory_bytes + 65536);
    wsr_engine_close(w.engine);
}

static void who_says_nothing_is_not_let_in(void **state)
{
    (void)state;
    wsr_config config = WSR_CONFIG_INIT;
    config.limits.handshake_timeout_ns = 30 * MS;
    config.limits.close_timeout_ns = 30 * MS; /* nobody here ends his stream */
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    listen.proxy_protocol = true;
    struct world w = {0};
    assert_int_equal(wsr_engine_open(&w.engine, &config), WSR_OK);
    assert_int_equal(wsr_listen(w.engine, &listen, &w.listener), WSR_OK);
    w.port = wsr_listen_port(w.engine, w.listener);
    static const struct {
        const char *bytes;
        bool ends;
        int error;
    } rows[] = {
        {request, false, WSR_EHAPROXY},
        {"PROXY TCP4 192.0.2.7 198.51.100.9 4000 x\r\n", false, WSR_EHAPROXY},
        {"PROXY TCP4 192.0.2.7", false, WSR_ETIMEOUT_HANDSHAKE},
        {"PROXY TCP4 192.0.2.7", true, WSR_ETRUNCATED},
        {"", true, WSR_ETRUNCATED},
        {"PROXY UNKNOWN\r\n", false, WSR_ETIMEOUT_HANDSHAKE},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const int fd = plain_socket(w.port);
        put(fd, rows[i].bytes, strlen(rows[i].bytes));
        if (rows[i].ends)
            shutdown(fd, SHUT_WR);
        until(&w, &w.closed, i + 1);
        if (w.error != rows[i].error)
            fail_msg("row %u: %s", i, wsr_error_name(w.error));
        char answer[64];
        const ssize_t n = recv(fd, answer, sizeof answer, MSG_DONTWAIT); /* not a byte for a stranger; after a header it is plain HTTP */
        assert_true(n <= 0 || rows[i].error == WSR_ETIMEOUT_HANDSHAKE);
        close(fd);
    }
    assert_int_equal(w.opened, 0);
    wsr_engine_close(w.engine); /* LeakSanitizer: nothing of a half header is left */
}

/* A prefix that somebody has read holds the header, too. */
static void a_prefix_with_a_header(void **state)
{
    (void)state;
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    listen.adopt_only = true;
    listen.proxy_protocol = true;
    struct world w;
    open_world(&w, &listen);
    const char *header = "PROXY TCP4 192.0.2.7 198.51.100.9 4000 443\r\n";
    uint8_t stream[1024];
    const size_t total = with_request(stream, header, strlen(header));
    for (size_t n = 0; n <= total; n += 5) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        wsr_conn conn;
        assert_int_equal(wsr_adopt_fd(w.engine, w.listener, pair[0], (wsr_slice){stream, n}, &conn), WSR_OK);
        put(pair[1], stream + n, total - n);
        const unsigned opened = w.opened, closed = w.closed;
        until(&w, &w.opened, opened + 1);
        expect_addresses(&w, "192.0.2.7:4000", "198.51.100.9:443");
        close(pair[1]);
        until(&w, &w.closed, closed + 1);
    }
    wsr_conn conn;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(wsr_adopt_fd(w.engine, w.listener, pair[0], SLICE("GET / HTTP"), &conn), WSR_OK);
    const unsigned closed = w.closed;
    until(&w, &w.closed, closed + 1);
    assert_int_equal(w.error, WSR_EHAPROXY);
    close(pair[1]);
    wsr_engine_close(w.engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_reach_both_ends), cmocka_unit_test(options_that_make_no_sense), cmocka_unit_test(a_client_comes_from_where_it_says),
        cmocka_unit_test(a_listener_is_inherited), cmocka_unit_test(a_server_adopts),            cmocka_unit_test(what_cannot_be_adopted),
        cmocka_unit_test(a_client_adopts),         cmocka_unit_test(a_balancer_says_whose_it_is), cmocka_unit_test(who_says_nothing_is_not_let_in),
        cmocka_unit_test(a_prefix_with_a_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
