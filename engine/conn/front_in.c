/*
 * conn/front_in.c - see front.h: received bytes through the proxy's answer and TLS, or kept until the connection's turn.
 */
#include "conn/front_stage.h"

#include <string.h>

/* What comes for a handshake while it waits for its turn: more than this is no handshake, and TCP stops the peer. */
#define WAITING_BYTES_MAX ((size_t)64 << 10)

/* What TLS says of itself while the peer takes nothing of it: answers to key updates, which are asked for as fast as bytes come. */
#define ANSWERS_BYTES_MAX ((size_t)64 << 10)

/* The proxy's part of what came is taken; returns the rest, which is the next stage's. */
static wsr_span take_proxy(wsr_engine *engine, struct wsr_connection *c, wsr_span in)
{
    struct wsr_front *front = wsr_conn_front(c);
    const size_t took = wsr_proxy_take(front->proxy, in.ptr, in.len);
    const wsr_span rest = {in.ptr + took, in.len - took};
    switch (wsr_proxy_state(front->proxy)) {
    case WSR_PROXY_DONE:
        if (!front->proxy_flies)
            wsr_front_free_proxy(engine, front);
        wsr_front_next(engine, c);
        return rest;
    case WSR_PROXY_FAILED:
        c->ep.http_status = front->proxy->http_status;
        wsr_front_fail(c, engine->now_ns, front->proxy->error, front->proxy->detail);
        break;
    case WSR_PROXY_GOING:
        break;
    }
    return (wsr_span){in.ptr, 0};
}

/* Keeps bytes of a handshake for the connection's turn. */
static void wait_for_turn(wsr_engine *engine, struct wsr_connection *c, wsr_span in)
{
    struct wsr_front *front = wsr_conn_front(c);
    struct wsr_pool *pool = &engine->env.pool;
    struct wsr_chunk *chunk = front->waiting;
    if (chunk == NULL)
        chunk = wsr_pool_get(pool, in.len);
    else if (wsr_chunk_room(chunk) < in.len)
        chunk = wsr_pool_grow(pool, chunk, in.len);
    if (chunk == NULL) {
        wsr_front_fail(c, engine->now_ns, WSR_ENOMEM, "no memory for TLS");
        return;
    }
    front->waiting = chunk;
    memcpy(chunk->data + chunk->len, in.ptr, in.len);
    chunk->len += in.len;
    if (chunk->len > WAITING_BYTES_MAX) {
        c->state |= WSR_CONN_FULL;
        (void)wsr_conn_cancel(engine, c, WSR_ARMED_RECEIVE);
    }
    wsr_conn_shaking(engine, c);
}

bool wsr_front_waits(const struct wsr_connection *c)
{
    return wsr_conn_front(c) != NULL && wsr_conn_front(c)->waiting != NULL;
}

struct wsr_chunk *wsr_front_turn(struct wsr_connection *c)
{
    struct wsr_chunk *waiting = wsr_front_waits(c) ? wsr_conn_front(c)->waiting : NULL; /* a front can be gone: another attempt was begun */
    if (waiting != NULL)
        wsr_conn_front(c)->waiting = NULL;
    return waiting;
}

struct wsr_front_input wsr_front_take_now(wsr_engine *engine, struct wsr_connection *c, wsr_span in)
{
    struct wsr_front *front = wsr_conn_front(c);
    if (front->stage != WSR_FRONT_SHAKING && front->stage != WSR_FRONT_OPEN)
        return (struct wsr_front_input){NULL, {in.ptr, 0}, false, false};
    const struct wsr_tls_plain plain = wsr_tls_take(&front->session, in);
    const enum wsr_tls_state state = (enum wsr_tls_state)front->session.state;
    if (front->stage == WSR_FRONT_SHAKING && (state == WSR_TLS_OPEN || state == WSR_TLS_ENDED))
        wsr_front_open(c, engine->now_ns);
    if (state == WSR_TLS_FAILED)
        wsr_front_fail_tls(c, engine->now_ns);
    else if (front->stage == WSR_FRONT_OPEN && wsr_front_chunks_bytes(front->session.out) > ANSWERS_BYTES_MAX)
        wsr_front_fail(c, engine->now_ns, WSR_EFLOOD, "more is asked of TLS than is taken of its answers");
    return (struct wsr_front_input){plain.carried, plain.rest, state == WSR_TLS_ENDED, plain.data_last};
}

struct wsr_front_input wsr_front_take(wsr_engine *engine, struct wsr_connection *c, wsr_span in)
{
    const struct wsr_front_input nothing = {NULL, {in.ptr, 0}, false, false};
    struct wsr_front *front = wsr_conn_front(c);
    if (front->stage == WSR_FRONT_PROXY)
        in = take_proxy(engine, c, in);
    if (in.len == 0)
        return nothing;
    if (front->stage == WSR_FRONT_SHAKING) {
        wait_for_turn(engine, c, in);
        return nothing;
    }
    if (front->stage == WSR_FRONT_OPEN && front->tls == NULL)
        return (struct wsr_front_input){NULL, in, false, true};
    return wsr_front_take_now(engine, c, in);
}
