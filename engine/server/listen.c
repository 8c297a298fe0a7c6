/*
 * server/listen.c - listening sockets: accepted descriptors become connections; when there is no room for one it is shed,
 * not spun upon (RFC 6455 section 4.2).
 */
#include <errno.h>
#include <string.h>

#include "base/config.h"
#include "base/clock.h"
#include "conn/front.h"
#include "conn/preface.h"
#include "conn/stamp.h"
#include "proto/handshake.h"
#include "ring/sys.h"
#include "server/server.h"

#define BACKLOG_DEFAULT 1024
#define SHED_AT_ONCE 16             /* connections closed for want of descriptors, before accepting pauses ... */
#define RETRY_NS UINT64_C(50000000) /* ... for this long */

/* The listener's number is its place in the tag where a connection has its slot. */
static void arm(wsr_engine *engine, unsigned i)
{
    struct wsr_listening *listening = &engine->listening[i];
    if (listening->armed || listening->fd < 0 || listening->leaving)
        return;
    if (wsr_ring_accept(engine->ring, listening->fd, WSR_TAG(WSR_OP_ACCEPT, i)) == 0)
        listening->armed = true;
    else
        wsr_wheel_set(&engine->wheel, &listening->retry, wsr_ns_add(engine->now_ns, RETRY_NS));
}

static void close_socket(struct wsr_listening *listening)
{
    if (listening->fd >= 0)
        wsr_sys_close(listening->fd);
    listening->fd = -1;
    listening->adopts = listening->leaving = false;
}

/* A connection over fd, which is its own from here on; not started yet. NULL, and *error: fd stays who it was. */
static struct wsr_connection *make(wsr_engine *engine, const struct wsr_listening *listening, int fd, int *error)
{
    wsr_endpoint_config config = {
        .size = sizeof config,
        .role = WSR_SERVER,
        .subprotocols = listening->subprotocols,
        .origins = listening->origins,
        .paths = listening->paths,
        .deflate = listening->deflate,
        .manual = listening->manual,
        .user = listening->user,
    };
    struct wsr_connection *c = wsr_conn_open(engine, fd, &config, error);
    if (c == NULL)
        return NULL;
    c->stamps = listening->socket.receive_stamps;
    *error = listening->prefaced ? wsr_preface_expect(engine, c) : WSR_OK;
    if (*error == WSR_OK && listening->tls != NULL)
        *error = wsr_conn_front_tls(engine, c, listening->tls, NULL, 0);
    if (*error < 0)
        wsr_endpoint_broken(&c->ep, engine->now_ns, *error);
    engine->stats.accepted++;
    return c;
}

static void welcome(wsr_engine *engine, const struct wsr_listening *listening, int fd)
{
    int error;
    struct wsr_connection *c = make(engine, listening, fd, &error);
    if (c == NULL) {
        engine->stats.accepts_shed++;
        wsr_sys_close(fd);
        return;
    }
    wsr_conn_start(engine, c, !listening->defers); /* otherwise a request seldom lies there yet */
}

/* It was let in when the listener had left already: it is served like those before it, and told like them where all are sent away. */
static void welcome_late(wsr_engine *engine, const struct wsr_listening *listening, int fd)
{
    welcome(engine, listening, fd);
    if (engine->draining.on && !wsr_timer_is_set(&engine->draining.timer))
        wsr_wheel_set(&engine->wheel, &engine->draining.timer, engine->now_ns);
}

/* No descriptor is left: some that wait are closed with the help of the reserve, and the rest wait for a while. */
static void shed(wsr_engine *engine, struct wsr_listening *listening)
{
    for (int i = 0; i < SHED_AT_ONCE && wsr_sys_shed(listening->fd, &engine->reserve_fd) == 0; i++)
        engine->stats.accepts_shed++;
    wsr_wheel_set(&engine->wheel, &listening->retry, wsr_ns_add(engine->now_ns, RETRY_NS));
}

static void accepted(wsr_engine *engine, struct wsr_batch *batch, const struct wsr_completion *completion)
{
    (void)batch;
    uint64_t i = WSR_TAG_ID(completion->tag);
    struct wsr_listening *listening = &engine->listening[i];
    if ((completion->flags & WSR_COMPLETION_MORE) == 0)
        listening->armed = false;
    int res = completion->res;
    if (listening->leaving) {
        if (res >= 0)
            welcome_late(engine, listening, res);
        if (!listening->armed)
            close_socket(listening);
        return;
    }
    if (res >= 0)
        welcome(engine, listening, res);
    else if (res == -EMFILE || res == -ENFILE || res == -ENOBUFS || res == -ENOMEM)
        shed(engine, listening);
    else if (res != -ECONNABORTED && res != -EINTR) /* whatever it is, it would be so again at once */
        wsr_wheel_set(&engine->wheel, &listening->retry, wsr_ns_add(engine->now_ns, RETRY_NS));
    if (!wsr_timer_is_set(&listening->retry))
        arm(engine, (unsigned)i);
}

static void timed(wsr_engine *engine, struct wsr_batch *batch, struct wsr_timer *timer)
{
    if (timer->kind == WSR_TIMER_DRAIN) {
        wsr_drain_timed(engine, batch);
        return;
    }
    const struct wsr_listening *listening =
        (const struct wsr_listening *)(const void *)((const char *)timer - offsetof(struct wsr_listening, retry));
    arm(engine, (unsigned)(listening - engine->listening));
}

/* Copies the config's texts, for connections of any later time. */
static int copy_texts(struct wsr_pool *pool, struct wsr_listening *listening, const wsr_listen_config *config)
{
    const char *const from[] = {config->subprotocols, config->origins, config->paths};
    const char **const to[] = {&listening->subprotocols, &listening->origins, &listening->paths};
    size_t bytes = 0;
    for (unsigned i = 0; i < 3; i++)
        bytes += from[i] != NULL ? strlen(from[i]) + 1 : 0;
    if (bytes == 0)
        return WSR_OK;
    char *at = wsr_pool_get_exact(pool, bytes);
    if (at == NULL)
        return WSR_ENOMEM;
    listening->texts = at;
    listening->texts_bytes = bytes;
    for (unsigned i = 0; i < 3; i++) {
        *to[i] = from[i] != NULL ? at : NULL;
        if (from[i] != NULL)
            at = stpcpy(at, from[i]) + 1;
    }
    return WSR_OK;
}

static int open_socket(struct wsr_listening *listening, const wsr_listen_config *config)
{
    union wsr_address address;
    socklen_t len;
    if (wsr_sys_address(config->address != NULL ? config->address : "127.0.0.1", config->port, &address, &len) < 0)
        return WSR_EINVAL;
    const int backlog = config->backlog > 0 ? config->backlog : BACKLOG_DEFAULT;
    const int fd = config->fd > 0 ? config->fd : wsr_sys_listen_with(&address, len, backlog, config->reuse_port, &config->socket);
    int error = fd;
    if (config->fd > 0)
        error = wsr_sys_adopt(fd, true, &config->socket);
    if (error >= 0 && config->defer_accept_ns > 0)
        error = wsr_sys_defer_accept(fd, config->defer_accept_ns);
    if (error >= 0)
        error = wsr_sys_local_address(fd, &address);
    if (error < 0) {
        if (fd >= 0 && config->fd == 0)
            wsr_sys_close(fd);
        errno = -error;
        return WSR_ESYS;
    }
    listening->fd = fd;
    if (address.any.sa_family != AF_INET && address.any.sa_family != AF_INET6)
        return WSR_OK; /* a unix socket has no port */
    listening->port = ntohs(address.any.sa_family == AF_INET6 ? address.in6.sin6_port : address.in4.sin_port);
    return WSR_OK;
}

static bool is_used(const struct wsr_listening *listening)
{
    return listening->fd >= 0 || listening->adopts;
}

/* A place that is free, with what it still holds of the listener before given back. */
static struct wsr_listening *take_place(wsr_engine *engine)
{
    unsigned i = 0;
    while (i < WSR_LISTENERS_MAX && is_used(&engine->listening[i]))
        i++;
    if (i == WSR_LISTENERS_MAX)
        return NULL;
    struct wsr_listening *listening = &engine->listening[i];
    if (listening->texts != NULL)
        wsr_pool_put_exact(&engine->env.pool, listening->texts, listening->texts_bytes);
    wsr_tls_release(listening->tls);
    *listening = (struct wsr_listening){.fd = -1, .retry = {.kind = WSR_TIMER_LISTENER}};
    return listening;
}

int wsr_listen(wsr_engine *engine, const wsr_listen_config *from, wsr_listener *out)
{
    wsr_listen_config config;
    if (wsr_listen_problem(from) != NULL)
        return WSR_ECONFIG;
    int error = wsr_config_take(&config, sizeof config, from, sizeof from->size);
    if (error < 0)
        return error;
    struct wsr_listening *listening = take_place(engine);
    if (listening == NULL)
        return WSR_ELIMIT;
    if (engine->reserve_fd < 0)
        engine->reserve_fd = wsr_sys_reserve();

    if (config.socket.receive_stamps)
        error = wsr_stamps_open(engine);
    if (error == WSR_OK)
        error = copy_texts(&engine->env.pool, listening, &config);
    if (error == WSR_OK && !config.adopt_only)
        error = open_socket(listening, &config);
    if (error < 0)
        return error;
    listening->adopts = config.adopt_only;
    listening->prefaced = config.proxy_protocol;
    listening->defers = config.defer_accept_ns > 0;
    listening->socket = config.socket;
    listening->tls = wsr_tls_hold(config.tls);
    listening->manual = config.manual;
    listening->user = config.user;
    listening->deflate = config.deflate;
    engine->accepted = accepted;
    engine->timed = timed;
    unsigned i = (unsigned)(listening - engine->listening);
    arm(engine, i);
    *out = i + 1;
    return WSR_OK;
}

static struct wsr_listening *find(const wsr_engine *engine, wsr_listener listener)
{
    if (listener == 0 || listener > WSR_LISTENERS_MAX || !is_used(&engine->listening[listener - 1]) ||
        engine->listening[listener - 1].leaving)
        return NULL;
    return (struct wsr_listening *)(uintptr_t)&engine->listening[listener - 1];
}

int wsr_adopt_fd(wsr_engine *engine, wsr_listener listener, int fd, wsr_slice prefix, wsr_conn *out)
{
    const struct wsr_listening *listening = find(engine, listener);
    if (listening == NULL)
        return WSR_ESTALE;
    if (prefix.len > 0 && listening->tls != NULL)
        return WSR_EINVAL;
    int error = wsr_sys_adopt(fd, false, &listening->socket);
    if (error < 0) {
        errno = -error;
        return WSR_ESYS;
    }
    engine->now_ns = wsr_sys_now_ns();
    struct wsr_connection *c = make(engine, listening, fd, &error);
    if (c == NULL)
        return error;
    *out = wsr_conn_id(c);
    if (prefix.len > 0 && wsr_input_prefix(engine, c, prefix) < 0)
        wsr_endpoint_broken(&c->ep, engine->now_ns, WSR_ENOMEM);
    wsr_conn_start(engine, c, false);
    return WSR_OK;
}

uint16_t wsr_listen_port(const wsr_engine *engine, wsr_listener listener)
{
    const struct wsr_listening *listening = find(engine, listener);
    return listening != NULL ? listening->port : 0;
}

int wsr_unlisten(wsr_engine *engine, wsr_listener listener)
{
    struct wsr_listening *listening = find(engine, listener);
    if (listening == NULL)
        return WSR_ESTALE;
    wsr_wheel_unset(&engine->wheel, &listening->retry);
    uint64_t tag = WSR_TAG(WSR_OP_ACCEPT, listener - 1);
    if (listening->armed && wsr_ring_cancel(engine->ring, tag, WSR_TAG(WSR_OP_CANCEL, 0)) < 0)
        return WSR_ESYS;
    listening->leaving = true;
    if (!listening->armed)
        close_socket(listening);
    return WSR_OK;
}

int wsr_accept(wsr_engine *engine, wsr_conn conn, const char *subprotocol, const char *headers)
{
    struct wsr_connection *c = wsr_table_known(engine, conn);
    if (c == NULL)
        return WSR_ESTALE;
    int error = wsr_endpoint_accept(&c->ep, wsr_sys_now_ns(), subprotocol, headers);
    if (error == WSR_OK) {
        wsr_conn_pending(engine, c); /* OPEN, and what came behind the request */
        wsr_conn_after(engine, c);
    }
    return error;
}

int wsr_refuse(wsr_engine *engine, wsr_conn conn, unsigned status, const char *headers, wsr_slice body)
{
    struct wsr_connection *c = wsr_table_known(engine, conn);
    if (c == NULL)
        return WSR_ESTALE;
    int error = wsr_endpoint_refuse(&c->ep, wsr_sys_now_ns(), status, headers, body);
    if (error == WSR_OK) {
        wsr_conn_pending(engine, c);
        wsr_conn_after(engine, c);
    }
    return error;
}
