/*
 * tests/test_dial.c - wsr_connect on the real kernel: names through threads (getaddrinfo is this file's own, so that it can hang,
 * fail and lie), addresses that are dead or hang, unix sockets, and what goes to the server in a request.
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
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <wsring/wsring.h>

#include "proto/key.h"
#include "ring/resolve.h"
#include "tls/crypto.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define SLICE(text) ((wsr_slice){(const uint8_t *)(text), strlen(text)})

/* ---- getaddrinfo, as this test has it ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned calls, inside, inside_most;
    bool shut;          /* "gate.test" waits until it is open */
    sigset_t blocked;   /* of the thread that asked last */
    const char *list;   /* what "list.test" resolves to */
} names = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct addrinfo *make_info(const char *address)
{
    struct addrinfo *info = calloc(1, sizeof *info + sizeof(struct sockaddr_in6));
    struct sockaddr_in *in4 = (struct sockaddr_in *)(void *)(info + 1);
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)(info + 1);
    info->ai_addr = (struct sockaddr *)(void *)(info + 1);
    if (inet_pton(AF_INET, address, &in4->sin_addr) == 1) {
        info->ai_family = in4->sin_family = AF_INET;
        info->ai_addrlen = sizeof *in4;
    } else {
        (void)inet_pton(AF_INET6, address, &in6->sin6_addr);
        info->ai_family = in6->sin6_family = AF_INET6;
        info->ai_addrlen = sizeof *in6;
    }
    return info;
}

static int make_list(const char *list, struct addrinfo **out)
{
    char text[64];
    for (int used = 0; sscanf(list, " %63s%n", text, &used) == 1; list += used) {
        *out = make_info(text);
        out = &(*out)->ai_next;
    }
    *out = NULL;
    return 0;
}

/* The C library's, its list copied into ours. */
static int look_up(const char *host, const struct addrinfo *hints, struct addrinfo **out)
{
    int (*theirs)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    void (*drop)(struct addrinfo *);
    *(void **)(void *)&theirs = dlsym(RTLD_NEXT, "getaddrinfo");
    *(void **)(void *)&drop = dlsym(RTLD_NEXT, "freeaddrinfo");
    struct addrinfo *list = NULL;
    int error = theirs(host, NULL, hints, &list);
    for (const struct addrinfo *info = list; info != NULL; info = info->ai_next) {
        char text[INET6_ADDRSTRLEN];
        (void)getnameinfo(info->ai_addr, info->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
        *out = make_info(text);
        out = &(*out)->ai_next;
    }
    *out = NULL;
    if (list != NULL)
        drop(list);
    return error;
}

int getaddrinfo(const char *restrict host, const char *restrict service, const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
    (void)service;
    pthread_mutex_lock(&names.lock);
    names.calls++;
    if (++names.inside > names.inside_most)
        names.inside_most = names.inside;
    pthread_sigmask(SIG_BLOCK, NULL, &names.blocked);
    pthread_cond_broadcast(&names.changed);
    while (names.shut && strcmp(host, "gate.test") == 0)
        pthread_cond_wait(&names.changed, &names.lock);
    const char *list = names.list;
    names.inside--;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.lock);
    if (strcmp(host, "list.test") == 0)
        return make_list(list, out);
    if (strcmp(host, "gate.test") == 0)
        return make_list("127.0.0.1", out);
    if (strcmp(host, "none.test") == 0)
        return EAI_NONAME;
    if (strcmp(host, "empty.test") == 0)
        return make_list("", out);
    return look_up(host, hints, out);
}

void freeaddrinfo(struct addrinfo *list)
{
    for (struct addrinfo *next; list != NULL; list = next) {
        next = list->ai_next;
        free(list);
    }
}

/* What "list.test" resolves to from now on. */
static void list_is(const char *list)
{
    pthread_mutex_lock(&names.lock);
    names.list = list;
    pthread_mutex_unlock(&names.lock);
}

static void gate(bool shut)
{
    pthread_mutex_lock(&names.lock);
    names.shut = shut;
    names.inside_most = names.inside;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.lock);
}

/* Waits until so many threads are inside. */
static void inside(unsigned n)
{
    pthread_mutex_lock(&names.lock);
    while (names.inside != n)
        pthread_cond_wait(&names.changed, &names.lock);
    pthread_mutex_unlock(&names.lock);
}

/* ---- an engine that is both ends ---- */

struct world {
    wsr_engine *engine;
    uint16_t port;
    unsigned served, opened, closed; /* OPENs of the server's and of the client's connections; CLOSED of the latter */
    wsr_close_record record;         /* of the last CLOSED, and what it said */
    char detail[160];
    wsr_conn conn;
};

static int open_descriptors(void)
{
    int n = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder) != NULL)
        n++;
    closedir(folder);
    return n;
}

static void world_open(struct world *w, const char *host)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(wsr_engine_open(&w->engine, NULL), WSR_OK);
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    listen.address = host;
    assert_int_equal(wsr_listen(w->engine, &listen, &listener), WSR_OK);
    w->port = wsr_listen_port(w->engine, listener);
}

static wsr_conn begin(struct world *w, wsr_connect_config *config, const char *host)
{
    char url[128];
    if (host != NULL) {
        snprintf(url, sizeof url, "ws://%s:%u/", host, (unsigned)w->port);
        config->url = url;
    }
    config->user = w;
    assert_int_equal(wsr_connect(w->engine, config, &w->conn), WSR_OK);
    return w->conn;
}

static wsr_conn connect_to(struct world *w, const char *host)
{
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    return begin(w, &config, host);
}

static void see(struct world *w, const wsr_event *ev)
{
    const wsr_close_record *record = wsr_event_close_record(ev);
    w->opened += wsr_event_response(ev) != NULL;
    w->served += ev->type == WSR_EVENT_OPEN && wsr_event_request(ev) != NULL;
    if (record != NULL && ev->user == w) {
        w->closed++;
        w->record = *record;
        snprintf(w->detail, sizeof w->detail, "%s", record->detail != NULL ? record->detail : "");
    }
}

/* Polls once, for at most ns; false if nothing came. */
static bool step(struct world *w, int64_t ns)
{
    wsr_event ev[32];
    int n = wsr_poll(w->engine, ev, 32, ns);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++)
        see(w, &ev[i]);
    return n > 0;
}

static void until(struct world *w, const unsigned *counter, unsigned n)
{
    while (*counter < n)
        assert_true(step(w, 20 * SECOND));
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

/* ---- names ---- */

static void test_localhost(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, "127.0.0.1"); /* where localhost is ::1 first, that is refused */
    connect_to(&w, "localhost");
    until(&w, &w.opened, 1);
    assert_int_equal(w.closed, 0);
    wsr_engine_close(w.engine);
}

static void test_ipv6(void **state)
{
    (void)state;
    struct world w;
    memset(&w, 0, sizeof w);
    assert_int_equal(wsr_engine_open(&w.engine, NULL), WSR_OK);
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    listen.address = "::1";
    if (wsr_listen(w.engine, &listen, &listener) != WSR_OK) {
        wsr_engine_close(w.engine);
        print_message("no IPv6 on this host\n");
        skip();
    }
    w.port = wsr_listen_port(w.engine, listener);
    connect_to(&w, "[::1]");
    until(&w, &w.opened, 1);
    list_is("127.0.0.1 ::1"); /* only the second one listens */
    connect_to(&w, "list.test");
    until(&w, &w.opened, 2);
    char text[64];
    assert_int_equal(wsr_peer_address(w.engine, w.conn, text, sizeof text), WSR_OK);
    assert_memory_equal(text, "[::1]:", 6);
    assert_int_equal(w.closed, 0);
    wsr_engine_close(w.engine);
}

static void test_failures(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, "127.0.0.1");
    connect_to(&w, "none.test");
    until(&w, &w.closed, 1);
    assert_int_equal(w.record.cause, WSR_ERESOLVE);
    assert_string_equal(w.detail, gai_strerror(EAI_NONAME));
    connect_to(&w, "empty.test");
    until(&w, &w.closed, 2);
    assert_int_equal(w.record.cause, WSR_ERESOLVE);
    assert_true(strlen(w.detail) > 0);
    w.port = 1;
    connect_to(&w, "127.0.0.1");
    until(&w, &w.closed, 3);
    assert_int_equal(w.record.cause, WSR_ECONNECT);
    assert_int_equal(w.record.sys_errno, ECONNREFUSED);
    assert_int_equal(w.opened, 0);
    wsr_engine_close(w.engine);
}

/* The loop goes on while names are looked up, by four threads at most; and who waits to ask for the same has the same answer. */
static void test_many_names(void **state)
{
    (void)state;
    enum { MANY = 40 };
    struct world w;
    world_open(&w, "127.0.0.1");
    gate(true);
    const unsigned calls = names.calls;
    for (unsigned i = 0; i < MANY; i++)
        connect_to(&w, i == 5 ? "localhost" : "gate.test");
    inside(WSR_RESOLVER_THREADS_MAX);
    connect_to(&w, "127.0.0.1"); /* asks nobody */
    until(&w, &w.opened, 1);
    assert_false(step(&w, 20 * MS));
    gate(false);
    until(&w, &w.opened, MANY + 1);
    assert_int_equal(w.closed, 0);
    assert_int_equal(names.inside_most, WSR_RESOLVER_THREADS_MAX);
    assert_int_equal(names.calls - calls, WSR_RESOLVER_THREADS_MAX + 1);
    wsr_engine_close(w.engine);
}

/* Signals of the application's are for its threads: a handler that runs on one of ours is a surprise. */
static void test_signals(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, "127.0.0.1");
    list_is("127.0.0.1");
    connect_to(&w, "list.test");
    until(&w, &w.opened, 1);
    pthread_mutex_lock(&names.lock);
    static const int signals[] = {SIGINT, SIGTERM, SIGCHLD, SIGALRM, SIGUSR1, SIGHUP, SIGPIPE};
    for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
        assert_int_equal(sigismember(&names.blocked, signals[i]), 1);
    pthread_mutex_unlock(&names.lock);
    sigset_t ours;
    pthread_sigmask(SIG_BLOCK, NULL, &ours);
    assert_int_equal(sigismember(&ours, SIGTERM), 0);
    wsr_engine_close(w.engine);
}

static void test_timeout(void **state)
{
    (void)state;
    struct world w;
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    world_open(&w, "127.0.0.1");
    gate(true);
    config.connect_timeout_ns = 50 * (uint64_t)MS;
    begin(&w, &config, "gate.test");
    until(&w, &w.closed, 1);
    assert_int_equal(w.record.cause, WSR_ETIMEOUT_CONNECT);
    assert_string_equal(w.detail, "the name was not resolved in time");
    gate(false); /* what comes now is nobody's */
    inside(0);
    assert_false(step(&w, 50 * MS));
    wsr_engine_close(w.engine);
}

static void test_closed_while_resolving(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, "127.0.0.1");
    gate(true);
    for (unsigned i = 0; i < 6; i++) { /* the last two only wait */
        wsr_conn conn = connect_to(&w, "gate.test");
        if (i < WSR_RESOLVER_THREADS_MAX)
            inside(i + 1);
        assert_int_equal(i % 2 == 0 ? wsr_close(w.engine, conn, 1000, SLICE("")) : wsr_abort(w.engine, conn), WSR_OK);
        until(&w, &w.closed, i + 1);
        assert_int_equal(w.record.cause, WSR_EABORTED);
    }
    gate(false);
    inside(0);
    assert_false(step(&w, 20 * MS));
    connect_to(&w, "gate.test");
    until(&w, &w.opened, 1);
    wsr_engine_close(w.engine);
}

/* getaddrinfo hangs; an engine closes all the same, at once, and what is left is freed when it comes back. */
static void test_engine_closes_while_resolving(void **state)
{
    (void)state;
    const int before = open_descriptors();
    struct world w;
    world_open(&w, "127.0.0.1");
    gate(true);
    for (unsigned i = 0; i < 8; i++)
        connect_to(&w, "gate.test");
    inside(WSR_RESOLVER_THREADS_MAX);
    wsr_engine_close(w.engine);
    assert_int_equal(open_descriptors(), before);
    gate(false);
    inside(0);
}

/* What an answer holds, asked for without an engine. */
static struct wsr_resolved ask(struct wsr_resolver *resolver, const char *list)
{
    struct wsr_resolved resolved;
    list_is(list);
    assert_int_equal(wsr_resolver_ask(resolver, "list.test", 443, 7), WSR_OK);
    struct pollfd ready = {.fd = wsr_resolver_fd(resolver), .events = POLLIN, .revents = 0};
    assert_int_equal(poll(&ready, 1, 20000), 1);
    wsr_sys_eventfd_clear(ready.fd);
    assert_true(wsr_resolver_next(resolver, &resolved));
    assert_false(wsr_resolver_next(resolver, &resolved));
    assert_int_equal(resolved.tag, 7);
    return resolved;
}

static void test_answers(void **state)
{
    (void)state;
    struct wsr_resolver *resolver;
    struct wsr_resolved answer;
    char text[64], many[17 * 16] = "";
    assert_int_equal(wsr_resolver_open(&resolver), WSR_OK);
    answer = ask(resolver, "127.0.0.1 127.0.0.1 ::1 127.0.0.2 ::1"); /* none twice: getaddrinfo says 127.0.0.1 for each line of /etc/hosts */
    assert_int_equal(answer.error, WSR_OK);
    assert_int_equal(answer.n, 3);
    const union wsr_address second = {.in6 = answer.addresses[1].in6};
    wsr_sys_address_text(&second, text, sizeof text);
    assert_string_equal(text, "[::1]:443");
    assert_int_equal(ntohs(answer.addresses[2].in4.sin_port), 443);
    for (unsigned i = 0; i < 17; i++)
        snprintf(many + strlen(many), 16, "10.0.0.%u ", i);
    assert_int_equal(ask(resolver, many).n, WSR_RESOLVED_MAX);
    answer = ask(resolver, "");
    assert_int_equal(answer.error, WSR_ERESOLVE);
    assert_non_null(answer.text);
    char host[256];
    memset(host, 'h', sizeof host);
    host[255] = '\0';
    assert_int_equal(wsr_resolver_ask(resolver, host, 1, 8), WSR_EINVAL);
    /* forgotten in each of its states: it is being asked, it waits, it is answered and not taken */
    gate(true);
    for (uint64_t tag = 0; tag < 6; tag++)
        assert_int_equal(wsr_resolver_ask(resolver, "gate.test", 1, tag), WSR_OK);
    inside(WSR_RESOLVER_THREADS_MAX);
    wsr_resolver_forget(resolver, 2);
    wsr_resolver_forget(resolver, 5);
    wsr_resolver_forget(resolver, 77);
    gate(false);
    uint64_t seen = 0;
    for (unsigned n = 0; n < 3;) {
        struct pollfd ready = {.fd = wsr_resolver_fd(resolver), .events = POLLIN, .revents = 0};
        assert_int_equal(poll(&ready, 1, 20000), 1);
        wsr_sys_eventfd_clear(ready.fd);
        while (n < 3 && wsr_resolver_next(resolver, &answer))
            seen |= UINT64_C(1) << answer.tag, n++;
    }
    for (uint64_t tag = 0; tag < 6; tag++) /* of 0, 1, 3 and 4 one is left */
        wsr_resolver_forget(resolver, tag);
    assert_int_equal(seen & (1 << 2 | 1 << 5), 0);
    assert_false(wsr_resolver_next(resolver, &answer));
    wsr_resolver_close(resolver);
}

/* ---- addresses ---- */

/* A listener whose queue is full: a connect to it gets no answer at all. */
struct dead {
    int listener, fillers[8];
    unsigned n;
};

static bool fill(struct dead *dead, const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    dead->fillers[dead->n++] = fd;
    (void)!connect(fd, (const struct sockaddr *)(const void *)address, sizeof *address);
    struct pollfd ready = {.fd = fd, .events = POLLOUT, .revents = 0};
    return poll(&ready, 1, 200) == 1;
}

static void dead_open(struct dead *dead, const char *host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, host, &address.sin_addr), 1);
    dead->n = 0;
    dead->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(dead->listener, (const struct sockaddr *)(const void *)&address, sizeof address), 0);
    assert_int_equal(listen(dead->listener, 0), 0);
    while (dead->n < 8 && fill(dead, &address))
        ;
    assert_true(dead->n < 8);
}

static void dead_close(struct dead *dead)
{
    while (dead->n > 0)
        close(dead->fillers[--dead->n]);
    close(dead->listener);
}

static void test_happy_eyeballs(void **state)
{
    (void)state;
    const int before = open_descriptors();
    struct world w;
    struct dead dead;
    world_open(&w, "127.0.0.1");
    dead_open(&dead, "127.0.0.2", w.port);
    list_is("127.0.0.2 127.0.0.1");
    int64_t begun_ns = now_ns();
    connect_to(&w, "list.test");
    until(&w, &w.opened, 1);
    int64_t took_ns = now_ns() - begun_ns;
    assert_true(took_ns >= 250 * MS);
    print_message("behind an address that hangs: open after %d ms\n", (int)(took_ns / MS));

    list_is("127.0.0.3 127.0.0.4 127.0.0.1"); /* nobody listens on the first two: they say so at once */
    begun_ns = now_ns();
    connect_to(&w, "list.test");
    until(&w, &w.opened, 2);
    took_ns = now_ns() - begun_ns; /* that no delay is waited for, tests/sim_dial.c shows: here is only what this host takes */
    print_message("behind two that refuse: open after %d us\n", (int)(took_ns / 1000));
    assert_int_equal(w.closed, 0);
    dead_close(&dead);
    wsr_engine_close(w.engine);
    assert_int_equal(open_descriptors(), before);
}

static void test_hanging_address(void **state)
{
    (void)state;
    const int before = open_descriptors();
    struct world w;
    struct dead dead;
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    world_open(&w, "127.0.0.1");
    dead_open(&dead, "127.0.0.2", w.port);
    config.connect_timeout_ns = 100 * (uint64_t)MS;
    begin(&w, &config, "127.0.0.2");
    until(&w, &w.closed, 1);
    assert_int_equal(w.record.cause, WSR_ETIMEOUT_CONNECT);
    assert_int_equal(w.record.sys_errno, 0);
    config.connect_timeout_ns = 0;
    wsr_conn conn = begin(&w, &config, "127.0.0.2");
    assert_false(step(&w, 20 * MS));
    assert_int_equal(wsr_close(w.engine, conn, 1000, SLICE("")), WSR_OK);
    until(&w, &w.closed, 2);
    assert_int_equal(w.record.cause, WSR_EABORTED);
    wsr_engine_statistics stats;
    do { /* the cancelled connect's completion, if it was not there with CLOSED */
        (void)step(&w, 10 * MS);
        wsr_engine_stats(w.engine, &stats, sizeof stats);
    } while (stats.open > 0);
    begin(&w, &config, "127.0.0.2"); /* and this one is under way when the engine closes */
    assert_false(step(&w, 20 * MS));
    wsr_engine_close(w.engine);
    dead_close(&dead);
    assert_int_equal(open_descriptors(), before);
}

/* The address is connected to; the name is only said. */
static void test_address(void **state)
{
    (void)state;
    struct world w;
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    world_open(&w, "127.0.0.1");
    const unsigned calls = names.calls;
    config.address = "127.0.0.1";
    begin(&w, &config, "none.test");
    until(&w, &w.opened, 1);
    assert_int_equal(names.calls, calls);
    wsr_engine_close(w.engine);
}

/* ---- what the server sees ---- */

/* A unix socket to be connected to. */
static int unix_listen(char path[64])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(path, 64, "/tmp/wsring test %d.sock", (int)getpid()); /* with blanks: percent-encoded in a URL */
    strcpy(address.sun_path, path);
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)(const void *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

/* Reads a request's head whole, while the engine is polled. */
static void read_head(struct world *w, int fd, char head[2048])
{
    size_t len = 0;
    do {
        (void)step(w, 5 * MS);
        ssize_t n = recv(fd, head + len, 2047 - len, MSG_DONTWAIT);
        assert_true(n > 0 || (n < 0 && errno == EAGAIN));
        len += n > 0 ? (size_t)n : 0;
        head[len] = '\0';
    } while (strstr(head, "\r\n\r\n") == NULL);
}

static void answer(int fd, const char *head)
{
    uint8_t accept[WSR_ACCEPT_LEN];
    const char *key = strstr(head, "Sec-WebSocket-Key: ");
    assert_non_null(key);
    assert_int_equal(wsr_key_accept(wsr_crypto_sha1, (const uint8_t *)key + 19, accept), 0);
    char text[256];
    int n = snprintf(text, sizeof text, "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %.28s\r\n\r\n", (const char *)accept);
    assert_int_equal(send(fd, text, (size_t)n, 0), n);
}

static void test_unix_and_request(void **state)
{
    (void)state;
    static const struct {
        const char *target, *origin, *headers;
        const char *has[6], *not_has;
    } rows[] = {
        {":/chat?a=b", NULL, NULL, {"GET /chat?a=b HTTP/1.1\r\n", "\r\nHost: localhost\r\n"}, "Authorization"},
        {"", "https://app.example", "X-Mine: 1\r\nAuthorization: Bearer t\r\n",
         {"GET / HTTP/1.1\r\n", "\r\nOrigin: https://app.example\r\n", "\r\nX-Mine: 1\r\n", "\r\nAuthorization: Bearer t\r\n"}, "Basic"},
    };
    struct world w;
    char path[64], url[256], head[2048];
    int listener = unix_listen(path);
    world_open(&w, "127.0.0.1");
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
        snprintf(url, sizeof url, "ws+unix:///tmp/wsring%%20test%%20%d.sock%s", (int)getpid(), rows[i].target);
        config.url = url;
        config.origin = rows[i].origin;
        config.headers = rows[i].headers;
        begin(&w, &config, NULL);
        int fd = -1;
        while ((fd = accept(listener, NULL, NULL)) < 0)
            (void)step(&w, 5 * MS);
        read_head(&w, fd, head);
        for (unsigned k = 0; k < 6 && rows[i].has[k] != NULL; k++)
            assert_non_null(strstr(head, rows[i].has[k]));
        assert_null(strstr(head, rows[i].not_has));
        answer(fd, head);
        until(&w, &w.opened, i + 1);
        close(fd);
        until(&w, &w.closed, i + 1);
        assert_int_equal(w.record.cause, WSR_ETRUNCATED);
    }
    close(listener);
    unlink(path);
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    config.url = url;
    begin(&w, &config, NULL);
    until(&w, &w.closed, 3);
    assert_int_equal(w.record.cause, WSR_ECONNECT);
    assert_int_equal(w.record.sys_errno, ENOENT);
    wsr_engine_close(w.engine);
}

static void test_credentials_and_host(void **state)
{
    (void)state;
    struct world w;
    wsr_event ev[8];
    memset(&w, 0, sizeof w);
    assert_int_equal(wsr_engine_open(&w.engine, NULL), WSR_OK);
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    listen.manual = true;
    assert_int_equal(wsr_listen(w.engine, &listen, &listener), WSR_OK);
    char url[128], host[64], authorization[64] = "";
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    snprintf(url, sizeof url, "ws://Aladdin:open%%20sesame@127.0.0.1:%u", (unsigned)wsr_listen_port(w.engine, listener));
    config.url = url;
    config.subprotocols = "chat, superchat";
    assert_int_equal(wsr_connect(w.engine, &config, &w.conn), WSR_OK);
    assert_int_equal(wsr_poll(w.engine, ev, 1, 20 * SECOND), 1);
    const wsr_request *request = wsr_event_request(&ev[0]);
    assert_non_null(request);
    for (unsigned i = 0; i < request->headers_n; i++)
        if (request->headers[i].name.len == 13 && memcmp(request->headers[i].name.ptr, "Authorization", 13) == 0)
            snprintf(authorization, sizeof authorization, "%.*s", (int)request->headers[i].value.len, (const char *)request->headers[i].value.ptr);
    assert_string_equal(authorization, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    snprintf(host, sizeof host, "127.0.0.1:%u", (unsigned)wsr_listen_port(w.engine, listener));
    assert_int_equal(request->host.len, strlen(host));
    assert_memory_equal(request->host.ptr, host, strlen(host));
    assert_int_equal(request->path.len, 1);
    assert_int_equal(request->subprotocols.len, strlen("chat, superchat"));
    wsr_engine_close(w.engine);
}

/* ---- refused at once ---- */

static void test_config(void **state)
{
    (void)state;
    wsr_engine *engine;
    wsr_conn conn = 77;
    assert_int_equal(wsr_engine_open(&engine, NULL), WSR_OK);
    static const struct {
        const char *url, *address, *origin, *headers, *proxy;
        int error;
    } rows[] = {
        {NULL, NULL, NULL, NULL, NULL, WSR_EURL},
        {"", NULL, NULL, NULL, NULL, WSR_EURL},
        {"http://h", NULL, NULL, NULL, NULL, WSR_EURL},
        {"ws://h ws://[::1", NULL, NULL, NULL, NULL, WSR_EURL},
        {"ws://h", "localhost", NULL, NULL, NULL, WSR_EINVAL},
        {"ws://h", NULL, "x\r\nY: z", NULL, NULL, WSR_ECONFIG},
        {"ws://h", NULL, "https://a", "origin: https://b\r\n", NULL, WSR_ECONFIG},
        {"ws://h", NULL, NULL, "X: y", NULL, WSR_ECONFIG},
        {"ws://h", NULL, NULL, "Host: x\r\n", NULL, WSR_ECONFIG},
        {"ws://h", NULL, NULL, NULL, "ws://p", WSR_EURL},
        {"ws://h", NULL, NULL, NULL, "https://p", WSR_EURL},
        {"ws://h", "127.0.0.1", NULL, NULL, "http://p", WSR_ECONFIG},
        {"ws+unix:///s", NULL, NULL, NULL, "http://p", WSR_ECONFIG},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
        config.url = rows[i].url;
        config.address = rows[i].address;
        config.origin = rows[i].origin;
        config.headers = rows[i].headers;
        config.proxy = rows[i].proxy;
        assert_int_equal(wsr_connect(engine, &config, &conn), rows[i].error);
        assert_int_equal(conn, 77);
    }
    wsr_engine_statistics stats;
    wsr_engine_stats(engine, &stats, sizeof stats);
    assert_int_equal(stats.open, 0);
    wsr_engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_localhost),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_closed_while_resolving),
        cmocka_unit_test(test_engine_closes_while_resolving),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_happy_eyeballs),
        cmocka_unit_test(test_hanging_address),
        cmocka_unit_test(test_address),
        cmocka_unit_test(test_unix_and_request),
        cmocka_unit_test(test_credentials_and_host),
        cmocka_unit_test(test_config),
    };
    return cmocka_run_group_tests_name("dial", tests, NULL, NULL);
}
