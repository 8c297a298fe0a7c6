/*
 * conn/front.c - see front.h: a front made, counted and freed.
 */
#include "conn/front_stage.h"

#include <string.h>

#define TIMEOUT_DEFAULT_NS UINT64_C(10000000000)

static struct wsr_front *front_of(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_front *front = wsr_conn_front(c);
    if (front != NULL)
        return front;
    const size_t bytes = sizeof *front + (wsr_endpoint_role(&c->ep) == WSR_CLIENT ? sizeof front->whom[0] : 0);
    struct wsr_chunk *room = wsr_pool_get(&engine->env.pool, bytes);
    if (room == NULL)
        return NULL;
    front = memset(room->bytes, 0, bytes); /* WSR_FRONT_NONE */
    wsr_aside_put(&c->ep, WSR_ASIDE_FRONT, room);
    return front;
}

/* The engine's own, for clients that bring none. */
static int default_tls(wsr_engine *engine, wsr_tls **out)
{
    static const wsr_tls_config config = {.size = sizeof config, .role = WSR_CLIENT};
    int error = engine->tls == NULL ? wsr_tls_open(&engine->tls, &config, NULL, 0) : WSR_OK;
    *out = engine->tls;
    return error;
}

bool wsr_front_suits(const wsr_tls *tls, wsr_role role)
{
    return tls == NULL || wsr_tls_role(tls) == role;
}

int wsr_conn_front_tls(wsr_engine *engine, struct wsr_connection *c, wsr_tls *tls, const struct wsr_tls_peer *peer,
                       uint64_t timeout_ns)
{
    int error = tls == NULL ? default_tls(engine, &tls) : WSR_OK;
    if (error == WSR_OK && !wsr_front_suits(tls, wsr_endpoint_role(&c->ep)))
        error = WSR_ECONFIG;
    if (error < 0)
        return error;
    const size_t host_len = peer != NULL ? strlen(peer->host) : 0;
    if (host_len > WSR_PROXY_HOST_MAX)
        return WSR_ETLS;
    struct wsr_front *front = front_of(engine, c);
    if (front == NULL)
        return WSR_ENOMEM;
    front->tls = wsr_tls_hold(tls);
    if (peer != NULL) {
        memcpy(front->whom->host, peer->host, host_len);
        front->whom->peer = (struct wsr_tls_peer){front->whom->host, peer->port, peer->stranger};
    }
    front->tls_timeout_ns = timeout_ns != 0 ? timeout_ns : TIMEOUT_DEFAULT_NS;
    return WSR_OK;
}

int wsr_conn_front_proxy(wsr_engine *engine, struct wsr_connection *c, const struct wsr_proxy_ask *ask, uint64_t timeout_ns)
{
    struct wsr_front *front = front_of(engine, c);
    struct wsr_chunk *room = front != NULL ? wsr_pool_get(&engine->env.pool, sizeof(struct wsr_proxy)) : NULL;
    if (room == NULL)
        return WSR_ENOMEM;
    struct wsr_proxy *proxy = (struct wsr_proxy *)(void *)room->bytes;
    int error = wsr_proxy_start(proxy, ask);
    if (error < 0) {
        wsr_pool_put(&engine->env.pool, room);
        return error;
    }
    front->proxy_room = room;
    front->proxy = proxy;
    front->proxy_timeout_ns = timeout_ns != 0 ? timeout_ns : TIMEOUT_DEFAULT_NS;
    return WSR_OK;
}

void wsr_front_free_proxy(wsr_engine *engine, struct wsr_front *front)
{
    if (front->proxy_room != NULL)
        wsr_pool_put(&engine->env.pool, front->proxy_room);
    front->proxy_room = NULL;
    front->proxy = NULL;
}

size_t wsr_front_memory_bytes(const struct wsr_connection *c)
{
    const struct wsr_front *front = wsr_conn_front(c);
    return front != NULL ? wsr_front_chunks_bytes(front->proxy_room) + wsr_front_chunks_bytes(front->flying) + wsr_front_chunks_bytes(front->waiting) +
                               wsr_front_chunks_bytes(front->session.out) : 0;
}

void wsr_front_free(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_front *front = wsr_conn_front(c);
    if (front == NULL)
        return;
    if (front->session.ssl != NULL)
        wsr_tls_end(&front->session);
    wsr_tls_release(front->tls);
    wsr_front_free_proxy(engine, front);
    wsr_pool_put_list(&engine->env.pool, front->flying);
    wsr_pool_put_list(&engine->env.pool, front->waiting);
    wsr_pool_put(&engine->env.pool, wsr_aside_take(&c->ep, WSR_ASIDE_FRONT));
}

int wsr_front_describe(const struct wsr_connection *c, wsr_tls_info *info)
{
    const struct wsr_front *front = wsr_conn_front(c);
    if (front == NULL || front->tls == NULL || front->session.ssl == NULL || front->session.state == WSR_TLS_SHAKING ||
        front->session.state == WSR_TLS_FAILED)
        return WSR_ESTATE;
    wsr_tls_describe(&front->session, info);
    return WSR_OK;
}
