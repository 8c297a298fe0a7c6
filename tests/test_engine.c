/*
 * tests/test_engine.c - the engine on the real kernel: a server and clients of its own on loopback, raw sockets that
 * misbehave, and the promises of wsring/engine.h. Nothing here sleeps: every wait is a poll that ends with what it awaits.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <wsring/wsring.h>

#define SECOND INT64_C(1000000000)
#define SLICE(text) ((wsr_slice){(const uint8_t *)(text), strlen(text)})

/* One engine that is server and client at once, and what its polls have shown. */
struct world {
    wsr_engine *engine;
    wsr_listener listener;
    uint16_t port;
    unsigned opened_server, opened_client, closed, messages, wakes, pongs, pings, writables, requests, chunks, streams;
    bool echo;
    wsr_conn server, client; /* the last opened of each role */
    wsr_close_record record[8];
    wsr_conn closed_conn[8];
    size_t last_len;
    uint64_t chunk_bytes, chunk_sum;
    uint8_t last[256];
    unsigned cap;
};

static void see(struct world *w, const wsr_event *ev)
{
    switch ((wsr_event_type)ev->type) {
    case WSR_EVENT_OPEN:
        if (wsr_event_request(ev) != NULL) {
            w->opened_server++;
            w->server = ev->conn;
        } else {
            assert_non_null(wsr_event_response(ev));
            w->opened_client++;
            w->client = ev->conn;
        }
        break;
    case WSR_EVENT_REQUEST:
        w->requests++;
        w->server = ev->conn;
        break;
    case WSR_EVENT_MESSAGE:
        w->messages++;
        w->last_len = ev->data.len;
        memcpy(w->last, ev->data.ptr, ev->data.len < sizeof w->last ? ev->data.len : sizeof w->last);
        if (w->echo && ev->conn == w->server)
            assert_int_equal(wsr_send(w->engine, ev->conn, (wsr_opcode)ev->opcode, (wsr_slice){ev->data.ptr, ev->data.len}), WSR_OK);
        break;
    case WSR_EVENT_PING:
        w->pings++;
        break;
    case WSR_EVENT_PONG:
        w->pongs++;
        break;
    case WSR_EVENT_WRITABLE:
        w->writables++;
        break;
    case WSR_EVENT_WAKE:
        w->wakes++;
        break;
    case WSR_EVENT_RECONNECTING:
    case WSR_EVENT_UNDELIVERED:
        fail_msg("nothing here comes back");
        break;
    case WSR_EVENT_CHUNK:
        w->chunks++;
        w->chunk_bytes += ev->data.len;
        w->streams += (ev->flags & WSR_EVENT_LAST) != 0;
        for (size_t i = 0; i < ev->data.len; i++)
            w->chunk_sum = w->chunk_sum * 31 + ev->data.ptr[i];
        break;
    case WSR_EVENT_CLOSED:
        assert_true(w->closed < 8);
        w->record[w->closed] = *wsr_event_close_record(ev);
        w->closed_conn[w->closed++] = ev->conn;
        break;
    case WSR_EVENT_NONE:
        fail();
    }
}

/* Polls until *counter has reached n; five seconds without that are a failure. */
static void until(struct world *w, const unsigned *counter, unsigned n)
{
    wsr_event ev[64];
    while (*counter < n) {
        int got = wsr_poll(w->engine, ev, w->cap != 0 ? w->cap : 64, 5 * SECOND);
        assert_true(got > 0);
        for (int i = 0; i < got; i++)
            see(w, &ev[i]);
    }
}

static void listen_on(struct world *w, bool manual)
{
    wsr_listen_config config = WSR_LISTEN_CONFIG_INIT;
    config.manual = manual;
    assert_int_equal(wsr_listen(w->engine, &config, &w->listener), WSR_OK);
    w->port = wsr_listen_port(w->engine, w->listener);
    assert_true(w->port != 0);
}

static void world_open(struct world *w, const wsr_config *config)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(wsr_engine_open(&w->engine, config), WSR_OK);
}

static wsr_conn dial(struct world *w)
{
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    char url[32];
    snprintf(url, sizeof url, "ws://127.0.0.1:%u", (unsigned)w->port);
    config.url = url;
    wsr_conn conn = 0;
    assert_int_equal(wsr_connect(w->engine, &config, &conn), WSR_OK);
    assert_true(conn != 0);
    return conn;
}

static void pair(struct world *w)
{
    unsigned server = w->opened_server + 1, client = w->opened_client + 1;
    (void)dial(w);
    until(w, &w->opened_client, client);
    until(w, &w->opened_server, server);
}

/* A plain socket connected to the world's listener. */
static int raw(const struct world *w)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(w->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static const char upgrade[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

static int raw_open(struct world *w)
{
    int fd = raw(w);
    assert_int_equal(write(fd, upgrade, sizeof upgrade - 1), (ssize_t)sizeof upgrade - 1);
    until(w, &w->opened_server, w->opened_server + 1);
    return fd;
}

static void echoes_and_closes_with_1000(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, NULL);
    w.echo = true;
    listen_on(&w, false);
    pair(&w);
    assert_int_equal(wsr_send(w.engine, w.client, WSR_TEXT, SLICE("h\xC3\xA9llo")), WSR_OK);
    until(&w, &w.messages, 2);
    assert_int_equal(w.last_len, 6);
    assert_memory_equal(w.last, "h\xC3\xA9llo", 6);

    wsr_conn client = w.client, server = w.server;
    assert_int_equal(wsr_close(w.engine, w.client, WSR_CLOSE_NORMAL, SLICE("done")), WSR_OK);
    int line = __LINE__ - 1;
    assert_int_equal(wsr_send(w.engine, w.client, WSR_TEXT, SLICE("late")), WSR_ESTATE);
    until(&w, &w.closed, 2);
    for (unsigned i = 0; i < 2; i++) {
        const wsr_close_record *r = &w.record[i];
        bool ours = w.closed_conn[i] == client;
        assert_true(ours || w.closed_conn[i] == server);
        assert_int_equal(r->by, ours ? WSR_BY_LOCAL : WSR_BY_PEER);
        assert_true(r->clean);
        assert_int_equal(r->code, 1000);
        assert_int_equal(r->code_sent, 1000);
        assert_int_equal(r->code_received, 1000);
        assert_int_equal(r->cause, WSR_OK);
        assert_int_equal(r->messages_in, 1);
        assert_int_equal(r->messages_out, 1);
        assert_int_equal(r->bytes_in, 6);
        assert_int_equal(r->messages_undelivered + r->messages_unconfirmed, 0);
        if (ours) {
            assert_string_equal(r->local_file, __FILE__);
            assert_int_equal(r->local_line, line);
        } else {
            assert_string_equal(r->reason, "done");
        }
    }
    assert_int_equal(wsr_send(w.engine, client, WSR_TEXT, SLICE("x")), WSR_ESTALE);
    assert_int_equal(wsr_close(w.engine, server, 1000, SLICE("")), WSR_ESTALE);
    wsr_engine_statistics stats;
    wsr_engine_stats(w.engine, &stats, sizeof stats);
    assert_int_equal(stats.open, 0);
    assert_int_equal(stats.closed, 2);
    assert_int_equal(stats.messages_in, 2);
    wsr_engine_close(w.engine);
}

/* Sizes around every length form and buffer boundary, with every array size and kernel fallback. */
static void echoes_every_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 125, 126, 127, 4095, 4096, 65535, 65536, 65537, 200000, 1 << 20, 5000000};
    static const unsigned caps[] = {1, 2, 64};
    static const unsigned without[] = {0, WSR_WITHOUT_INCREMENTAL, WSR_WITHOUT_MULTISHOT, WSR_WITHOUT_DEFER_TASKRUN,
                                       WSR_WITHOUT_INCREMENTAL | WSR_WITHOUT_MULTISHOT | WSR_WITHOUT_DEFER_TASKRUN};
    uint8_t *bytes = malloc(5000000);
    for (size_t i = 0; i < 5000000; i++)
        bytes[i] = (uint8_t)(i * 31 >> 3);
    for (unsigned k = 0; k < sizeof without / sizeof without[0]; k++) {
        for (unsigned j = 0; j < sizeof caps / sizeof caps[0]; j++) {
            struct world w;
            wsr_config config = WSR_CONFIG_INIT;
            config.ring_without = without[k];
            world_open(&w, &config);
            w.echo = true;
            w.cap = caps[j];
            listen_on(&w, false);
            pair(&w);
            for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                unsigned want = w.messages + 2;
                wsr_slice payload = {bytes, sizes[i]};
                assert_int_equal(i % 2 == 0 ? wsr_send(w.engine, w.client, WSR_BINARY, payload)
                                            : wsr_send_fragmented(w.engine, w.client, WSR_BINARY, payload, 1 + sizes[i] / 3),
                                 WSR_OK);
                until(&w, &w.messages, want);
                assert_int_equal(w.last_len, sizes[i]);
                assert_memory_equal(w.last, bytes, sizes[i] < sizeof w.last ? sizes[i] : sizeof w.last);
            }
            wsr_engine_close(w.engine);
        }
    }
    free(bytes);
}

/* A large message in chunks: all of its bytes, in order, and no memory for it. */
static void streams_a_large_message(void **state)
{
    (void)state;
    enum { BYTES = 5000000 };
    uint8_t *bytes = malloc(BYTES);
    uint64_t sum = 0;
    for (size_t i = 0; i < BYTES; i++) {
        bytes[i] = (uint8_t)(i * 31 >> 3);
        sum = sum * 31 + bytes[i];
    }
    static const unsigned caps[] = {1, 64};
    for (unsigned j = 0; j < 2; j++) {
        struct world w;
        wsr_config config = WSR_CONFIG_INIT;
        config.limits.whole_bytes_max = 1000;
        world_open(&w, &config);
        w.cap = caps[j];
        listen_on(&w, false);
        pair(&w);
        assert_int_equal(wsr_send(w.engine, w.client, WSR_BINARY, (wsr_slice){bytes, 1000}), WSR_OK);
        assert_int_equal(wsr_send(w.engine, w.client, WSR_BINARY, (wsr_slice){bytes, BYTES}), WSR_OK);
        until(&w, &w.streams, 1);
        assert_int_equal(w.messages, 1);
        assert_int_equal(w.last_len, 1000);
        assert_int_equal(w.chunk_bytes, BYTES);
        assert_int_equal(w.chunk_sum, sum);
        assert_true(w.chunks > 1);
        w.chunk_sum = 0;
        assert_int_equal(wsr_send_fragmented(w.engine, w.client, WSR_BINARY, (wsr_slice){bytes, BYTES}, 777), WSR_OK);
        until(&w, &w.streams, 2);
        assert_int_equal(w.chunk_bytes, 2 * BYTES);
        assert_int_equal(w.chunk_sum, sum);
        wsr_engine_statistics stats;
        wsr_engine_stats(w.engine, &stats, sizeof stats);
        assert_int_equal(stats.messages_in, 3);
        assert_int_equal(stats.bytes_in, 2 * BYTES + 1000);
        wsr_engine_close(w.engine);
    }
    free(bytes);
}

static void drains_with_1001(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, NULL);
    listen_on(&w, false);
    pair(&w);
    pair(&w);
    assert_int_equal(wsr_drain_left(w.engine), 2);
    wsr_drain_config config = WSR_DRAIN_CONFIG_INIT;
    config.reason = "restart";
    config.spread_ns = 20000000;
    assert_int_equal(wsr_drain(w.engine, &config), WSR_OK);
    assert_int_equal(wsr_drain(w.engine, &config), WSR_ESTATE);
    until(&w, &w.closed, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(w.record[i].code, 1001);
        assert_true(w.record[i].clean);
    }
    assert_int_equal(wsr_drain_left(w.engine), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(w.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
    wsr_engine_close(w.engine);
}

static void a_drain_deadline_cuts_who_does_not_answer(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, NULL);
    listen_on(&w, false);
    int fd = raw_open(&w);
    wsr_drain_config config = WSR_DRAIN_CONFIG_INIT;
    config.timeout_ns = 30000000;
    assert_int_equal(wsr_drain(w.engine, &config), WSR_OK);
    until(&w, &w.closed, 1);
    assert_int_equal(w.record[0].cause, WSR_EABORTED);
    assert_int_equal(w.record[0].code_sent, 1001);
    assert_int_equal(w.record[0].code_received, 0);
    assert_false(w.record[0].clean);
    close(fd);
    wsr_engine_close(w.engine);
}

static void a_vanished_peer_is_1006(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, NULL);
    listen_on(&w, false);
    int fd = raw_open(&w);
    close(fd); /* the answer was not read: this sends RST or FIN, either is an abnormal end */
    until(&w, &w.closed, 1);
    assert_int_equal(w.record[0].code, 1006);
    assert_int_equal(w.record[0].by, WSR_BY_NOBODY);
    assert_true(w.record[0].cause == WSR_ETRUNCATED || (w.record[0].cause == WSR_ERESET && w.record[0].sys_errno == ECONNRESET));
    wsr_engine_close(w.engine);
}

static void refused_connect_is_told(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, NULL);
    listen_on(&w, false);
    assert_int_equal(wsr_unlisten(w.engine, w.listener), WSR_OK);
    assert_int_equal(wsr_unlisten(w.engine, w.listener), WSR_ESTALE);
    wsr_event ev[4];
    assert_int_equal(wsr_poll(w.engine, ev, 4, 0), 0);
    wsr_conn conn = dial(&w);
    until(&w, &w.closed, 1);
    assert_int_equal(w.closed_conn[0], conn);
    assert_int_equal(w.record[0].cause, WSR_ECONNECT);
    assert_int_equal(w.record[0].sys_errno, ECONNREFUSED);
    wsr_engine_close(w.engine);
}

static void requests_are_accepted_or_refused(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, NULL);
    listen_on(&w, true);
    (void)dial(&w);
    until(&w, &w.requests, 1);
    assert_int_equal(wsr_accept(w.engine, w.server, NULL, "X-A: b\r\n"), WSR_OK);
    assert_int_equal(wsr_send(w.engine, w.server, WSR_TEXT, SLICE("at once")), WSR_OK);
    until(&w, &w.messages, 1);
    assert_int_equal(w.opened_client, 1);
    assert_int_equal(w.opened_server, 0);
    wsr_conn refused = dial(&w);
    until(&w, &w.requests, 2);
    assert_int_equal(wsr_refuse(w.engine, w.server, 403, NULL, SLICE("no")), WSR_OK);
    until(&w, &w.closed, 2);
    unsigned i = w.closed_conn[0] == refused ? 0 : 1;
    assert_int_equal(w.record[i].cause, WSR_EREFUSED);
    assert_int_equal(w.record[i].http_status, 403);
    assert_int_equal(w.record[1 - i].http_status, 403);
    wsr_engine_close(w.engine);
}

static void paused_reading_stops_the_peer_and_loses_nothing(void **state)
{
    (void)state;
    struct world w;
    wsr_config config = WSR_CONFIG_INIT;
    config.limits.outbox_bytes_max = 64 << 20;
    world_open(&w, &config);
    listen_on(&w, false);
    pair(&w);
    assert_int_equal(wsr_pause_read(w.engine, w.server), WSR_OK);
    static uint8_t block[100000];
    unsigned sent = 0;
    for (; sent < 300; sent++)
        assert_int_equal(wsr_send(w.engine, w.client, WSR_BINARY, (wsr_slice){block, sizeof block}), WSR_OK);
    wsr_event ev[64];
    /* the transport takes what it takes; the rest stays in the outbox for as long as the server reads nothing */
    for (size_t before = SIZE_MAX, now; (now = wsr_outbox_bytes(w.engine, w.client)) != before; before = now)
        assert_int_equal(wsr_poll(w.engine, ev, 64, 20000000), 0);
    assert_true(wsr_outbox_bytes(w.engine, w.client) > 0);
    assert_int_equal(w.messages, 0);
    assert_int_equal(wsr_resume_read(w.engine, w.server), WSR_OK);
    until(&w, &w.messages, sent);
    assert_int_equal(wsr_outbox_bytes(w.engine, w.client), 0);
    wsr_engine_close(w.engine);
}

static void a_full_outbox_refuses_and_then_asks_for_more(void **state)
{
    (void)state;
    struct world w;
    wsr_config config = WSR_CONFIG_INIT;
    config.limits.outbox_bytes_max = 1 << 20;
    world_open(&w, &config);
    listen_on(&w, false);
    pair(&w);
    assert_int_equal(wsr_pause_read(w.engine, w.server), WSR_OK);
    static uint8_t block[65536];
    unsigned accepted = 0;
    int error;
    while ((error = wsr_send(w.engine, w.client, WSR_BINARY, (wsr_slice){block, sizeof block})) == WSR_OK)
        accepted++;
    assert_int_equal(error, WSR_EFULL);
    assert_int_equal(accepted, 15); /* sixteen with their headers would pass 1 MiB */
    static uint8_t huge[(1 << 20) + 1];
    assert_int_equal(wsr_send(w.engine, w.client, WSR_BINARY, (wsr_slice){huge, sizeof huge}), WSR_ETOOBIG);
    assert_int_equal(wsr_resume_read(w.engine, w.server), WSR_OK);
    until(&w, &w.writables, 1);
    assert_true(wsr_outbox_bytes(w.engine, w.client) <= 1 << 19);
    until(&w, &w.messages, accepted);
    wsr_engine_close(w.engine);
}

/* Many connections pipeline while the array is small: everybody is served, in order, nothing is lost. */
static void small_batches_are_fair(void **state)
{
    (void)state;
    enum { CONNS = 8, EACH = 500 };
    struct world w;
    world_open(&w, NULL);
    listen_on(&w, false);
    wsr_conn client[CONNS];
    for (unsigned i = 0; i < CONNS; i++) {
        pair(&w);
        client[i] = w.client;
        assert_int_equal(wsr_set_user(w.engine, w.server, (void *)(uintptr_t)i), WSR_OK);
    }
    for (unsigned i = 0; i < CONNS; i++) {
        for (uint32_t k = 0; k < EACH; k++)
            assert_int_equal(wsr_send(w.engine, client[i], WSR_BINARY, (wsr_slice){(uint8_t *)&k, sizeof k}), WSR_OK);
    }
    uint32_t next[CONNS] = {0};
    unsigned total = 0;
    wsr_event ev[3];
    while (total < CONNS * EACH) {
        int n = wsr_poll(w.engine, ev, 3, 5 * SECOND);
        assert_true(n > 0);
        for (int i = 0; i < n; i++) {
            assert_int_equal(ev[i].type, WSR_EVENT_MESSAGE);
            uint32_t k;
            memcpy(&k, ev[i].data.ptr, sizeof k);
            unsigned who = (unsigned)(uintptr_t)ev[i].user;
            assert_int_equal(k, next[who]);
            next[who]++;
            total++;
        }
        for (unsigned a = 0; a < CONNS; a++) /* nobody is finished before everybody has begun */
            for (unsigned b = 0; b < CONNS; b++)
                assert_false(next[a] == EACH && next[b] == 0);
    }
    wsr_engine_close(w.engine);
}

static void *wake_from_afar(void *engine)
{
    wsr_wake(engine);
    return NULL;
}

static void any_thread_may_wake(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, NULL);
    for (unsigned i = 1; i <= 3; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, wake_from_afar, w.engine), 0);
        until(&w, &w.wakes, i);
        pthread_join(thread, NULL);
    }
    wsr_engine_close(w.engine);
}

static void lives_inside_a_foreign_epoll_loop(void **state)
{
    (void)state;
    struct world w;
    wsr_config config = WSR_CONFIG_INIT;
    config.limits.idle_timeout_ns = 200000000; /* its timer has to come through the descriptor too */
    config.limits.ping_interval_ns = UINT64_MAX;
    world_open(&w, &config);
    w.echo = true;
    listen_on(&w, false);
    int loop = epoll_create1(0), foreign = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec tick = {.it_interval.tv_nsec = 1000000, .it_value.tv_nsec = 1000000};
    assert_int_equal(timerfd_settime(foreign, 0, &tick, NULL), 0);
    struct epoll_event ready = {.events = EPOLLIN, .data.fd = wsr_engine_fd(w.engine)};
    assert_int_equal(epoll_ctl(loop, EPOLL_CTL_ADD, ready.data.fd, &ready), 0);
    ready.data.fd = foreign;
    assert_int_equal(epoll_ctl(loop, EPOLL_CTL_ADD, foreign, &ready), 0);

    (void)dial(&w);
    assert_int_equal(wsr_flush(w.engine), WSR_OK);
    unsigned ticks = 0, engine_turns = 0;
    bool sent = false;
    while (w.closed < 2) { /* both are cut by the idle deadline in the end */
        int n_ready = epoll_wait(loop, &ready, 1, 5000);
        if (n_ready < 0 && errno == EINTR) /* the kernel interrupts the thread once more after a ring of it was closed */
            continue;
        assert_int_equal(n_ready, 1);
        if (ready.data.fd == foreign) {
            uint64_t n;
            assert_int_equal(read(foreign, &n, sizeof n), (ssize_t)sizeof n);
            assert_true(++ticks < 5000);
            continue;
        }
        engine_turns++;
        wsr_event ev[8];
        int n;
        while ((n = wsr_poll(w.engine, ev, 8, 0)) > 0) {
            for (int i = 0; i < n; i++)
                see(&w, &ev[i]);
            if (w.opened_client == 1 && !sent) {
                sent = true;
                assert_int_equal(wsr_send(w.engine, w.client, WSR_BINARY, SLICE("x")), WSR_OK);
            }
        }
        assert_int_equal(n, 0);
    }
    assert_int_equal(w.messages, 2);
    assert_true(engine_turns < ticks + 100); /* it was not spinning */
    bool idle = w.record[0].cause == WSR_ETIMEOUT_IDLE || w.record[1].cause == WSR_ETIMEOUT_IDLE;
    assert_true(idle);
    close(foreign);
    close(loop);
    wsr_engine_close(w.engine);
}

/* A message many times larger than all receive buffers together: most polls end without an event, and must not end with the buffers. */
static void a_foreign_loop_gets_what_fills_every_buffer(void **state)
{
    (void)state;
    enum { BYTES = 8 << 20 };
    struct world w;
    wsr_config config = WSR_CONFIG_INIT;
    config.buffers = 2;
    config.buffer_bytes = 16384;
    world_open(&w, &config);
    w.echo = true;
    listen_on(&w, false);
    pair(&w);
    uint8_t *large = calloc(1, BYTES);
    assert_non_null(large);
    assert_int_equal(wsr_send(w.engine, w.client, WSR_BINARY, (wsr_slice){large, BYTES}), WSR_OK);
    free(large);

    struct pollfd ready = {.fd = wsr_engine_fd(w.engine), .events = POLLIN};
    int n = 0;
    while (w.messages < 2) {
        wsr_event ev[8];
        while ((n = wsr_poll(w.engine, ev, 8, 0)) > 0) {
            for (int i = 0; i < n; i++)
                see(&w, &ev[i]);
        }
        assert_int_equal(n, 0);
        const int n_ready = w.messages < 2 ? poll(&ready, 1, 5000) : 1;
        assert_true(n_ready == 1 || (n_ready < 0 && errno == EINTR));
    }
    assert_int_equal(w.last_len, BYTES);
    wsr_engine_statistics statistics;
    wsr_engine_stats(w.engine, &statistics, sizeof statistics);
    assert_true(statistics.starved > 0); /* or this has shown nothing */
    wsr_engine_close(w.engine);
}

/*
 * Without descriptors left, connections are shed and accepting goes on when there are some again. The kernel notes the
 * limit when an accept is armed, so it is lowered first.
 */
static void survives_running_out_of_descriptors(void **state)
{
    (void)state;
#ifdef WSR_VALGRIND
    skip(); /* the kernel is not told of this limit: valgrind holds programs to it by itself, and cannot hold io_uring to it */
#endif
    enum { CLIENTS = 8, MOST = 64 };
    struct rlimit old, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = MOST;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    struct world w;
    world_open(&w, NULL);
    listen_on(&w, false);
    pair(&w);
    int fds[CLIENTS], spare[MOST], spares = 0;
    for (unsigned i = 0; i < CLIENTS; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
    for (int fd; (fd = dup(0)) >= 0; spares++)
        spare[spares] = fd;
    assert_int_equal(errno, EMFILE);

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(w.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(connect(fds[i], (struct sockaddr *)&address, sizeof address), 0);
    wsr_event ev[16];
    wsr_engine_statistics stats;
    for (unsigned i = 0; i == 0 || stats.accepts_shed < CLIENTS; i++) {
        assert_true(i < 100);
        assert_int_equal(wsr_poll(w.engine, ev, 16, 20000000), 0);
        wsr_engine_stats(w.engine, &stats, sizeof stats);
    }
    uint64_t enters = stats.enters;
    assert_int_equal(wsr_poll(w.engine, ev, 16, 200000000), 0); /* it looks again now and then; it does not spin */
    wsr_engine_stats(w.engine, &stats, sizeof stats);
    assert_true(stats.enters - enters < 50);

    while (spares > 0)
        close(spare[--spares]);
    for (unsigned i = 0; i < CLIENTS; i++)
        close(fds[i]);
    pair(&w);
    wsr_engine_close(w.engine);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void limits_and_configs_are_checked(void **state)
{
    (void)state;
    wsr_engine *engine = NULL;
    wsr_config config = WSR_CONFIG_INIT;
    config.buffers = 3;
    assert_int_equal(wsr_engine_open(&engine, &config), WSR_ECONFIG);
    struct {
        wsr_config known;
        uint64_t more;
    } newer = {WSR_CONFIG_INIT, 0};
    newer.known.size = sizeof newer;
    assert_int_equal(wsr_engine_open(&engine, &newer.known), WSR_OK); /* a newer header that asks for nothing new */
    wsr_engine_close(engine);
    newer.more = 1;
    assert_int_equal(wsr_engine_open(&engine, &newer.known), WSR_ECONFIG);

    struct world w;
    config = (wsr_config)WSR_CONFIG_INIT;
    config.connections_max = 2;
    world_open(&w, &config);
    listen_on(&w, false);
    wsr_listen_config again = WSR_LISTEN_CONFIG_INIT;
    wsr_listener other;
    again.port = w.port;
    assert_int_equal(wsr_listen(w.engine, &again, &other), WSR_ESYS);
    assert_int_equal(errno, EADDRINUSE);
    again.address = "localhost";
    assert_int_equal(wsr_listen(w.engine, &again, &other), WSR_EINVAL);
    pair(&w);
    wsr_connect_config third = WSR_CONNECT_CONFIG_INIT;
    third.url = "ws://127.0.0.1:1";
    wsr_conn conn;
    assert_int_equal(wsr_connect(w.engine, &third, &conn), WSR_ELIMIT);
    int fd = raw(&w); /* and a third from outside is shed */
    char byte;
    wsr_event ev[4];
    assert_int_equal(wsr_poll(w.engine, ev, 4, 50000000), 0);
    assert_true(read(fd, &byte, 1) <= 0);
    close(fd);
    char text[64];
    assert_int_equal(wsr_peer_address(w.engine, w.client, text, sizeof text), WSR_OK);
    char want[64];
    snprintf(want, sizeof want, "127.0.0.1:%u", w.port);
    assert_string_equal(text, want);
    assert_int_equal(wsr_poll(w.engine, ev, 0, 0), WSR_EINVAL);
    assert_int_equal(wsr_poll(w.engine, ev, 4, -2), WSR_EINVAL);
    wsr_engine_close(w.engine);
}

/* No config is one of all defaults, wherever one is asked for; what then lacks something required is refused as ever. */
static void no_config_is_all_defaults(void **state)
{
    (void)state;
    wsr_engine *engine;
    wsr_listener listener;
    wsr_conn conn;
    wsr_endpoint *endpoint;
    wsr_tls *tls;
    assert_int_equal(wsr_engine_open(&engine, NULL), WSR_OK);
    assert_int_equal(wsr_listen(engine, NULL, &listener), WSR_OK);
    assert_true(wsr_listen_port(engine, listener) > 0);
    assert_int_equal(wsr_connect(engine, NULL, &conn), WSR_EURL);
    assert_int_equal(wsr_drain(engine, NULL), WSR_OK);
    assert_int_equal(wsr_drain(engine, NULL), WSR_ESTATE);
    wsr_engine_close(engine);
    assert_int_equal(wsr_endpoint_open(&endpoint, NULL, 0), WSR_OK); /* a server's */
    wsr_endpoint_free(endpoint);
    assert_int_equal(wsr_tls_open(&tls, NULL, NULL, 0), WSR_ECONFIG);
}

/* What is refused can say why, naming the field; what it says nothing of is taken. */
static void a_refused_config_says_why(void **state)
{
    (void)state;
    static const wsr_policy_override no_cause = {(wsr_cause)1000, {0}};
    wsr_engine *engine;
    wsr_listener listener;
    wsr_conn conn;
    wsr_tls *tls;
    const wsr_tls_config tls_config = {.size = sizeof tls_config, .role = WSR_SERVER, .self_signed = "localhost"};
    assert_int_equal(wsr_tls_open(&tls, &tls_config, NULL, 0), WSR_OK);
    const wsr_config engines[] = {
        {.size = sizeof engines[0], .buffers = 3},       {.size = sizeof engines[0], .kernels = "mmx"},
        {.size = sizeof engines[0], .spin_ns = UINT64_MAX}, {.size = sizeof engines[0], .limits = {.headers_max = 129}},
        {.size = sizeof engines[0], .wait = (wsr_wait_mode)7}, {.size = 3},
    };
    static const char *const of_engines[] = {"buffers", "kernels", "spin_ns", "limits.headers_max", "wait", "size"};
    for (unsigned i = 0; i < sizeof engines / sizeof engines[0]; i++) {
        const char *problem = wsr_config_problem(&engines[i]);
        assert_true(problem != NULL && strncmp(problem, of_engines[i], strlen(of_engines[i])) == 0);
        assert_int_equal(wsr_engine_open(&engine, &engines[i]), WSR_ECONFIG);
    }
    assert_null(wsr_config_problem(NULL));
    assert_int_equal(wsr_engine_open(&engine, NULL), WSR_OK);
    const wsr_listen_config listens[] = {
        {.size = sizeof listens[0], .origins = "example.com"}, {.size = sizeof listens[0], .paths = "chat"},
        {.size = sizeof listens[0], .subprotocols = "a,a"},    {.size = sizeof listens[0], .deflate = {.on = true, .level = 10}},
        {.size = sizeof listens[0], .socket = {.dscp = 64}},   {.size = sizeof listens[0], .fd = 9, .adopt_only = true},
    };
    static const char *const of_listens[] = {"origins", "paths", "subprotocols", "deflate", "socket.dscp", "fd"};
    for (unsigned i = 0; i < sizeof listens / sizeof listens[0]; i++) {
        const char *problem = wsr_listen_problem(&listens[i]);
        assert_true(problem != NULL && strncmp(problem, of_listens[i], strlen(of_listens[i])) == 0);
        assert_int_equal(wsr_listen(engine, &listens[i], &listener), WSR_ECONFIG);
    }
    assert_null(wsr_listen_problem(NULL));
    const struct {
        wsr_connect_config config;
        const char *field;
        int error;
    } connects[] = {
        {{.size = sizeof(wsr_connect_config)}, "url", WSR_EURL},
        {{.size = sizeof(wsr_connect_config), .url = "http://x/"}, "it must begin", WSR_EURL},
        {{.size = sizeof(wsr_connect_config), .url = "ws://x/", .address = "x"}, "address", WSR_EINVAL},
        {{.size = sizeof(wsr_connect_config), .url = "ws://x/", .source = "x"}, "source", WSR_EINVAL},
        {{.size = sizeof(wsr_connect_config), .url = "ws://x/", .headers = "Host: y\r\n"}, "headers", WSR_ECONFIG},
        {{.size = sizeof(wsr_connect_config), .url = "ws://x/", .origin = "a\nb"}, "origin", WSR_ECONFIG},
        {{.size = sizeof(wsr_connect_config), .url = "ws://x/", .origin = "a", .headers = "Origin: b\r\n"}, "origin", WSR_ECONFIG},
        {{.size = sizeof(wsr_connect_config), .url = "ws://x/", .subprotocols = "a b"}, "subprotocols", WSR_ECONFIG},
        {{.size = sizeof(wsr_connect_config), .url = "ws://x/", .proxy = "x"}, "proxy", WSR_EURL},
        {{.size = sizeof(wsr_connect_config), .url = "ws+unix:///x", .proxy = "http://x"}, "no proxy", WSR_ECONFIG},
        {{.size = sizeof(wsr_connect_config), .url = "ws://x/", .tls = tls}, "tls", WSR_ECONFIG},
        {{.size = sizeof(wsr_connect_config), .url = "ws://x/", .reconnect = {.on = true, .base_ns = 2, .cap_ns = 1}}, "reconnect", WSR_ECONFIG},
        {{.size = sizeof(wsr_connect_config), .url = "ws://x/", .reconnect = {.on = true, .overrides = &no_cause, .overrides_n = 1}}, "reconnect", WSR_ECONFIG},
    };
    for (unsigned i = 0; i < sizeof connects / sizeof connects[0]; i++) {
        const char *problem = wsr_connect_problem(&connects[i].config);
        assert_true(problem != NULL && strncmp(problem, connects[i].field, strlen(connects[i].field)) == 0);
        assert_int_equal(wsr_connect(engine, &connects[i].config, &conn), connects[i].error);
    }
    wsr_engine_close(engine);
    wsr_tls_release(tls);
}

/* A child of a fork closes what it inherited, and the parent's goes on, even where the kernel's own thread looks at the queues they share. */
static void a_child_s_close_is_not_the_parent_s(void **state)
{
    (void)state;
    struct world w;
    wsr_config config = WSR_CONFIG_INIT;
    wsr_event ev[4];
    config.sqpoll = true;
    world_open(&w, &config);
    listen_on(&w, false);
    int fd = raw_open(&w);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        wsr_engine_close(w.engine);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(wsr_poll(w.engine, ev, 4, 50000000), 0); /* nothing of it was cancelled */
    const uint8_t ping[6] = {0x89, 0x80};
    assert_int_equal(write(fd, ping, sizeof ping), sizeof ping);
    assert_int_equal(wsr_poll(w.engine, ev, 4, 5000000000), 1);
    assert_int_equal(ev[0].type, WSR_EVENT_PING);
    close(fd);
    wsr_engine_close(w.engine);
}

static void aborts_with_a_reset(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, NULL);
    listen_on(&w, false);
    pair(&w);
    wsr_conn server = w.server;
    assert_int_equal(wsr_abort(w.engine, w.client), WSR_OK);
    until(&w, &w.closed, 2);
    unsigned i = w.closed_conn[0] == server ? 0 : 1;
    assert_int_equal(w.record[i].cause, WSR_ERESET);
    assert_int_equal(w.record[i].sys_errno, ECONNRESET);
    assert_int_equal(w.record[1 - i].cause, WSR_EABORTED);
    assert_string_equal(w.record[1 - i].local_file, __FILE__);
    wsr_engine_close(w.engine);
}

static void steady_state_allocates_nothing(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, NULL);
    w.echo = true;
    listen_on(&w, false);
    pair(&w);
    uint64_t after_warm_up = 0;
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 16; i++)
            assert_int_equal(wsr_send(w.engine, w.client, WSR_BINARY, SLICE("twenty bytes of data")), WSR_OK);
        until(&w, &w.messages, 32 * (round + 1));
        wsr_engine_statistics stats;
        wsr_engine_stats(w.engine, &stats, sizeof stats);
        if (round == 20)
            after_warm_up = stats.allocations;
        if (round > 20)
            assert_int_equal(stats.allocations, after_warm_up);
    }
    wsr_engine_close(w.engine);
}

static int stop_running;
static void stop_on_close(wsr_engine *engine, const wsr_event *event, void *context)
{
    (void)engine;
    (void)event;
    ++*(unsigned *)context;
    stop_running = *(unsigned *)context == 2;
}

static void close_on_open(wsr_engine *engine, const wsr_event *event, void *context)
{
    (void)context;
    if (wsr_event_response(event) != NULL)
        assert_int_equal(wsr_close(engine, event->conn, 4000, SLICE("bye")), WSR_OK);
}

static void callbacks_are_a_layer(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, NULL);
    listen_on(&w, false);
    (void)dial(&w);
    unsigned closed = 0;
    wsr_handlers handlers = {.open = close_on_open, .closed = stop_on_close};
    stop_running = 0;
    assert_int_equal(wsr_run(w.engine, &handlers, &closed, &stop_running), WSR_OK);
    assert_int_equal(closed, 2);
    wsr_engine_close(w.engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echoes_and_closes_with_1000),
        cmocka_unit_test(echoes_every_size),
        cmocka_unit_test(streams_a_large_message),
        cmocka_unit_test(drains_with_1001),
        cmocka_unit_test(a_drain_deadline_cuts_who_does_not_answer),
        cmocka_unit_test(a_vanished_peer_is_1006),
        cmocka_unit_test(refused_connect_is_told),
        cmocka_unit_test(requests_are_accepted_or_refused),
        cmocka_unit_test(paused_reading_stops_the_peer_and_loses_nothing),
        cmocka_unit_test(a_full_outbox_refuses_and_then_asks_for_more),
        cmocka_unit_test(small_batches_are_fair),
        cmocka_unit_test(any_thread_may_wake),
        cmocka_unit_test(lives_inside_a_foreign_epoll_loop),
        cmocka_unit_test(a_foreign_loop_gets_what_fills_every_buffer),
        cmocka_unit_test(survives_running_out_of_descriptors),
        cmocka_unit_test(limits_and_configs_are_checked),
        cmocka_unit_test(no_config_is_all_defaults),
        cmocka_unit_test(a_refused_config_says_why),
        cmocka_unit_test(a_child_s_close_is_not_the_parent_s),
        cmocka_unit_test(aborts_with_a_reset),
        cmocka_unit_test(steady_state_allocates_nothing),
        cmocka_unit_test(callbacks_are_a_layer),
    };
    cmocka_set_test_filter(getenv("ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
