/*
 * tests/test_listen.c - listeners on the real kernel: several in one engine, each with its own origins, paths, subprotocols
 * and user; what their configs may say; and that their texts last as long as somebody needs them.
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
#include <time.h>
#include <unistd.h>
#include <wsring/wsring.h>

#define SECOND INT64_C(1000000000)

struct world {
    wsr_engine *engine;
    unsigned opened, closed, requests;
    wsr_conn conn;
    void *user;           /* of the last OPEN */
    uint16_t http_status; /* of the last CLOSED */
    char path[32], subprotocol[32];
};

static void keep(char text[32], wsr_slice slice)
{
    (void)snprintf(text, 32, "%.*s", (int)slice.len, (const char *)slice.ptr);
}

static void see(struct world *w, const wsr_event *ev)
{
    const wsr_request *request = wsr_event_request(ev);
    w->opened += ev->type == WSR_EVENT_OPEN;
    w->closed += ev->type == WSR_EVENT_CLOSED;
    w->requests += ev->type == WSR_EVENT_REQUEST;
    w->conn = ev->conn;
    if (request != NULL) {
        w->user = ev->user;
        keep(w->path, request->path);
        keep(w->subprotocol, request->subprotocol);
    }
    if (ev->type == WSR_EVENT_CLOSED)
        w->http_status = wsr_event_close_record(ev)->http_status;
}

/* Polls until *counter is n; five seconds without an event are a failure. */
static void until(struct world *w, const unsigned *counter, unsigned n)
{
    while (*counter < n) {
        wsr_event ev[8];
        int got = wsr_poll(w->engine, ev, 8, 5 * SECOND);
        assert_true(got > 0);
        for (int i = 0; i < got; i++)
            see(w, &ev[i]);
    }
}

static uint16_t listen_on(struct world *w, const wsr_listen_config *config, wsr_listener *listener)
{
    assert_int_equal(wsr_listen(w->engine, config, listener), WSR_OK);
    return wsr_listen_port(w->engine, *listener);
}

static int dial(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void ask(int fd, const char *path, const char *origin)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a, b\r\n%s%s%s\r\n",
                     path, origin != NULL ? "Origin: " : "", origin != NULL ? origin : "", origin != NULL ? "\r\n" : "");
    assert_int_equal(write(fd, text, (size_t)n), n);
}

/* Connects, asks, and returns the status of the answer; the record of a refusal has the same. */
static unsigned status_of(struct world *w, uint16_t port, const char *path, const char *origin)
{
    char text[16] = "";
    int fd = dial(port);
    ask(fd, path, origin);
    w->closed = 0;
    while (recv(fd, text, sizeof text - 1, MSG_DONTWAIT | MSG_PEEK) < 13) {
        wsr_event ev;
        int got = wsr_poll(w->engine, &ev, 1, 1000000);
        assert_true(got >= 0);
        if (got == 1)
            see(w, &ev);
    }
    close(fd);
    until(w, &w->closed, 1);
    unsigned status = (unsigned)strtoul(text + 9, NULL, 10);
    assert_int_equal(w->http_status, status == 101 ? 0 : status);
    w->closed = 0;
    return status;
}

static void several_listeners_have_each_their_own(void **unused)
{
    (void)unused;
    struct world w = {0};
    int users[3];
    wsr_listener listeners[3];
    assert_int_equal(wsr_engine_open(&w.engine, NULL), WSR_OK);
    wsr_listen_config config = WSR_LISTEN_CONFIG_INIT;
    config.user = &users[0];
    uint16_t any = listen_on(&w, &config, &listeners[0]);
    config.origins = "https://example.com";
    config.subprotocols = "b";
    config.user = &users[1];
    uint16_t pages = listen_on(&w, &config, &listeners[1]);
    config = (wsr_listen_config)WSR_LISTEN_CONFIG_INIT;
    config.paths = "/chat, /ticks";
    config.user = &users[2];
    uint16_t paths = listen_on(&w, &config, &listeners[2]);

    assert_int_equal(status_of(&w, any, "/anything", "https://evil.example"), 101);
    assert_ptr_equal(w.user, &users[0]);
    assert_string_equal(w.path, "/anything");
    assert_string_equal(w.subprotocol, "");

    assert_int_equal(status_of(&w, pages, "/anything", "https://evil.example"), 403);
    assert_int_equal(status_of(&w, pages, "/anything", NULL), 403);
    assert_int_equal(status_of(&w, pages, "/anything", "https://example.com"), 101);
    assert_ptr_equal(w.user, &users[1]);
    assert_string_equal(w.subprotocol, "b");

    assert_int_equal(status_of(&w, paths, "/", "https://evil.example"), 404);
    assert_int_equal(status_of(&w, paths, "/ticks?from=1", "https://evil.example"), 101);
    assert_ptr_equal(w.user, &users[2]);
    assert_string_equal(w.path, "/ticks");

    assert_int_equal(wsr_unlisten(w.engine, listeners[1]), WSR_OK); /* the others go on */
    assert_int_equal(status_of(&w, any, "/", NULL), 101);
    assert_int_equal(status_of(&w, paths, "/chat", NULL), 101);
    wsr_engine_close(w.engine);
}

/* Who is not let in is refused before the application is asked. */
static void the_application_is_asked_about_the_rest(void **unused)
{
    (void)unused;
    struct world w = {0};
    wsr_listener listener;
    assert_int_equal(wsr_engine_open(&w.engine, NULL), WSR_OK);
    wsr_listen_config config = WSR_LISTEN_CONFIG_INIT;
    config.manual = true;
    config.origins = "https://example.com";
    uint16_t port = listen_on(&w, &config, &listener);
    assert_int_equal(status_of(&w, port, "/", "https://evil.example"), 403);
    int fd = dial(port);
    ask(fd, "/", "https://example.com");
    until(&w, &w.requests, 1);
    assert_int_equal(wsr_accept(w.engine, w.conn, "c", NULL), WSR_EINVAL);
    assert_int_equal(wsr_accept(w.engine, w.conn, "a\r\nX: y", NULL), WSR_EINVAL);
    assert_int_equal(wsr_accept(w.engine, w.conn, "a", "X: y\r\n\r\nHTTP/1.1 200 OK\r\n"), WSR_EINVAL);
    assert_int_equal(wsr_accept(w.engine, w.conn, "a", "X: y\n"), WSR_EINVAL);
    assert_int_equal(wsr_refuse(w.engine, w.conn, 403, "X: y\rZ: z\r\n", (wsr_slice){NULL, 0}), WSR_EINVAL);
    assert_int_equal(wsr_refuse(w.engine, w.conn, 200, NULL, (wsr_slice){NULL, 0}), WSR_EINVAL);
    assert_int_equal(wsr_accept(w.engine, w.conn, "a", "X: y\r\n"), WSR_OK);
    close(fd);
    until(&w, &w.closed, 1);
    wsr_engine_close(w.engine);
}

/*
 * A connection in its handshake, its listener gone and another in its place: it is still judged by the texts of the one that
 * accepted it. They had been freed.
 */
static void texts_outlive_their_listener(void **unused)
{
    (void)unused;
    struct world w = {0};
    wsr_listener first, second;
    char *paths = strdup("/chat");
    assert_non_null(paths);
    assert_int_equal(wsr_engine_open(&w.engine, NULL), WSR_OK);
    wsr_listen_config config = WSR_LISTEN_CONFIG_INIT;
    config.subprotocols = "somewhat-longer-so-that-it-has-a-place-of-its-own, b";
    config.paths = paths;
    uint16_t port = listen_on(&w, &config, &first);
    memset(paths, 'x', strlen(paths)); /* strings are copied */
    free(paths);
    int fd = dial(port);
    wsr_engine_statistics stats = {0};
    while (stats.accepted == 0) {
        wsr_event ev;
        assert_int_equal(wsr_poll(w.engine, &ev, 1, 10000000), 0);
        wsr_engine_stats(w.engine, &stats, sizeof stats);
    }
    assert_int_equal(wsr_unlisten(w.engine, first), WSR_OK);
    config.subprotocols = config.paths = NULL;
    do { /* until it has the place of the first */
        wsr_event ev;
        assert_int_equal(wsr_poll(w.engine, &ev, 1, 0), 0);
        (void)listen_on(&w, &config, &second);
    } while (second != first);
    ask(fd, "/chat", NULL);
    until(&w, &w.opened, 1);
    assert_string_equal(w.subprotocol, "b");
    close(fd);
    until(&w, &w.closed, 1);
    wsr_engine_close(w.engine);
}

static bool memory_is_out;

static void *failing_alloc(void *context, size_t size)
{
    (void)context;
    return memory_is_out ? NULL : malloc(size);
}

static void *failing_resize(void *context, void *ptr, size_t old_size, size_t size)
{
    (void)context;
    (void)old_size;
    return memory_is_out ? NULL : realloc(ptr, size);
}

static void failing_release(void *context, void *ptr, size_t size)
{
    (void)context;
    (void)size;
    free(ptr);
}

static void there_is_an_end_of_listeners_and_of_memory(void **unused)
{
    (void)unused;
    static const wsr_allocator allocator = {NULL, failing_alloc, failing_resize, failing_release};
    struct world w = {0};
    wsr_listener listeners[65];
    wsr_config engine = WSR_CONFIG_INIT;
    engine.allocator = &allocator;
    assert_int_equal(wsr_engine_open(&w.engine, &engine), WSR_OK);
    wsr_listen_config config = WSR_LISTEN_CONFIG_INIT;
    config.paths = "/";
    memory_is_out = true;
    assert_int_equal(wsr_listen(w.engine, &config, &listeners[0]), WSR_ENOMEM);
    memory_is_out = false;
    for (unsigned i = 0; i < 64; i++)
        assert_true(listen_on(&w, &config, &listeners[i]) != 0);
    assert_int_equal(wsr_listen(w.engine, &config, &listeners[64]), WSR_ELIMIT);
    assert_int_equal(wsr_unlisten(w.engine, listeners[63]), WSR_OK);
    assert_int_equal(wsr_unlisten(w.engine, listeners[63]), WSR_ESTALE);
    assert_int_equal(wsr_listen_port(w.engine, listeners[63]), 0);
    assert_int_equal(wsr_unlisten(w.engine, 0), WSR_ESTALE);
    assert_int_equal(wsr_unlisten(w.engine, 65), WSR_ESTALE);
    assert_int_equal(wsr_accept(w.engine, 1, NULL, NULL), WSR_ESTALE);
    assert_int_equal(wsr_refuse(w.engine, 1, 404, NULL, (wsr_slice){NULL, 0}), WSR_ESTALE);
    assert_int_equal(status_of(&w, wsr_listen_port(w.engine, listeners[0]), "/", NULL), 101);
    wsr_engine_close(w.engine);
}

static void expect_refused(wsr_engine *engine, const wsr_listen_config *config)
{
    wsr_listener listener = 77;
    assert_int_equal(wsr_listen(engine, config, &listener), WSR_ECONFIG);
    assert_int_equal(listener, 77);
}

static void configs_are_checked_at_once(void **unused)
{
    (void)unused;
    static const char *const subprotocols[] = {"a b", "a,,b", "a\r\nX: y", "a\n"};
    static const char *const origins[] = {"example.com", "https://a/", "https://a\r\nX: y", "https://a,"};
    static const char *const paths[] = {"chat", "/a b", "/a\r\nX: y", "/a?b"};
    wsr_engine *engine;
    assert_int_equal(wsr_engine_open(&engine, NULL), WSR_OK);
    for (unsigned i = 0; i < 4; i++) {
        wsr_listen_config config = WSR_LISTEN_CONFIG_INIT;
        config.subprotocols = subprotocols[i];
        expect_refused(engine, &config);
        config.subprotocols = NULL;
        config.origins = origins[i];
        expect_refused(engine, &config);
        config.origins = NULL;
        config.paths = paths[i];
        expect_refused(engine, &config);
    }
    static const char *const headers[] = {"X: y", "X: y\n", "X: y\r\n\r\nGET / HTTP/1.1\r\n", "Sec-WebSocket-Key: x\r\n"};
    for (unsigned i = 0; i < 4; i++) {
        wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
        wsr_conn conn;
        config.url = "ws://127.0.0.1:1";
        config.subprotocols = subprotocols[i];
        assert_int_equal(wsr_connect(engine, &config, &conn), WSR_ECONFIG);
        config.subprotocols = NULL;
        config.headers = headers[i];
        assert_int_equal(wsr_connect(engine, &config, &conn), WSR_ECONFIG);
    }
    wsr_engine_close(engine);
}

/* architecture.md: "Larger-than-known with a non-zero tail is an error, so old and new headers mix." Any other size was one. */
static void configs_of_other_headers_are_understood(void **unused)
{
    (void)unused;
    wsr_engine *engine;
    wsr_listener listener;
    assert_int_equal(wsr_engine_open(&engine, NULL), WSR_OK);
    struct {
        wsr_listen_config known;
        uint64_t unknown;
    } listen = {.known = WSR_LISTEN_CONFIG_INIT};
    listen.known.size = sizeof listen;
    assert_int_equal(wsr_listen(engine, &listen.known, &listener), WSR_OK);
    listen.unknown = 1;
    expect_refused(engine, &listen.known);
    listen.known.size = 0;
    expect_refused(engine, &listen.known);
    listen.known.size = offsetof(wsr_listen_config, subprotocols);
    listen.known.subprotocols = "\n"; /* behind its end: not read */
    assert_int_equal(wsr_listen(engine, &listen.known, &listener), WSR_OK);
    struct {
        wsr_connect_config known;
        uint64_t unknown;
    } to = {.known = WSR_CONNECT_CONFIG_INIT};
    wsr_conn conn;
    to.known.size = sizeof to;
    char url[32];
    snprintf(url, sizeof url, "ws://127.0.0.1:%u", (unsigned)wsr_listen_port(engine, listener));
    to.known.url = url;
    assert_int_equal(wsr_connect(engine, &to.known, &conn), WSR_OK);
    to.unknown = 1;
    assert_int_equal(wsr_connect(engine, &to.known, &conn), WSR_ECONFIG);
    struct {
        wsr_drain_config known;
        uint64_t unknown;
    } drain = {.known = WSR_DRAIN_CONFIG_INIT, .unknown = 1};
    drain.known.size = sizeof drain;
    assert_int_equal(wsr_drain(engine, &drain.known), WSR_ECONFIG);
    drain.unknown = 0;
    assert_int_equal(wsr_drain(engine, &drain.known), WSR_OK);
    wsr_engine_close(engine);
}

/* Found by make attack: a reset that came with the bytes before it was seen by nobody, and the connection stayed for its deadline. */
static void a_reset_together_with_bytes_is_seen(void **unused)
{
    (void)unused;
    enum { PEERS = 8 };
    struct world w = {0};
    assert_int_equal(wsr_engine_open(&w.engine, NULL), WSR_OK);
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    uint16_t port = listen_on(&w, &listen, &listener);
    for (unsigned i = 0; i < PEERS; i++) { /* before they are accepted */
        const struct linger reset = {.l_onoff = 1, .l_linger = 0};
        const int fd = dial(port);
        ask(fd, "/", NULL);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
        close(fd);
    }
    struct timespec begun, now;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    until(&w, &w.closed, PEERS);
    clock_gettime(CLOCK_MONOTONIC, &now);
    assert_true(now.tv_sec - begun.tv_sec < 4); /* close_timeout_ns is 5 s */
    wsr_engine_close(w.engine);
}

static uint64_t accepted_by(const wsr_engine *engine)
{
    wsr_engine_statistics stats;
    wsr_engine_stats(engine, &stats, sizeof stats);
    return stats.accepted;
}

static void who_says_nothing_stays_the_kernels(void **unused)
{
    (void)unused;
    struct world w = {0};
    wsr_listener listener;
    wsr_listen_config config = WSR_LISTEN_CONFIG_INIT;
    assert_int_equal(wsr_engine_open(&w.engine, NULL), WSR_OK);
    config.defer_accept_ns = 60 * (uint64_t)SECOND;
    uint16_t port = listen_on(&w, &config, &listener);
    int silent = dial(port); /* is first in the queue, and would be taken first */
    assert_int_equal(status_of(&w, port, "/", NULL), 101);
    assert_int_equal(accepted_by(w.engine), 1);
    w.opened = 0;
    ask(silent, "/", NULL);
    until(&w, &w.opened, 1);
    assert_int_equal(accepted_by(w.engine), 2);
    close(silent);
    until(&w, &w.closed, 1);
    wsr_engine_close(w.engine);
}

/* Whose handshake the kernel had done, and whose completion lies there, when the listener is closed. */
static void who_was_let_in_is_served(void **unused)
{
    (void)unused;
    for (unsigned drains = 0; drains < 2; drains++) {
        struct world w = {0};
        wsr_listener listener;
        wsr_event ev;
        assert_int_equal(wsr_engine_open(&w.engine, NULL), WSR_OK);
        uint16_t port = listen_on(&w, NULL, &listener);
        assert_int_equal(wsr_poll(w.engine, &ev, 1, 0), 0); /* now it accepts */
        int fd = dial(port);
        assert_int_equal(wsr_flush(w.engine), WSR_OK);
        assert_int_equal(accepted_by(w.engine), 0); /* not looked at yet */
        assert_int_equal(drains ? wsr_drain(w.engine, NULL) : wsr_unlisten(w.engine, listener), WSR_OK);
        ask(fd, "/", NULL);
        until(&w, &w.opened, 1);
        if (!drains)
            assert_int_equal(wsr_close(w.engine, w.conn, 1000, (wsr_slice){NULL, 0}), WSR_OK);
        shutdown(fd, SHUT_WR);
        until(&w, &w.closed, 1);
        close(fd);
        assert_int_equal(wsr_drain_left(w.engine), 0);
        wsr_engine_close(w.engine);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_listeners_have_each_their_own),
        cmocka_unit_test(the_application_is_asked_about_the_rest),
        cmocka_unit_test(texts_outlive_their_listener),
        cmocka_unit_test(there_is_an_end_of_listeners_and_of_memory),
        cmocka_unit_test(configs_are_checked_at_once),
        cmocka_unit_test(configs_of_other_headers_are_understood),
        cmocka_unit_test(who_says_nothing_stays_the_kernels),
        cmocka_unit_test(who_was_let_in_is_served),
        cmocka_unit_test(a_reset_together_with_bytes_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
