/*
 * client/comeback_queue.c - messages of a client that is down: when they are queued, sent after all, or given back (queue.h).
 */
#include "base/clock.h"
#include "client/comeback.h"
#include "proto/frame.h"
#include "ring/sys.h"

#define RETRY_NS UINT64_C(10000000) /* a queue that found no memory to be sent */

static bool is_open(const struct wsr_endpoint *ep)
{
    return (ep->flags & WSR_EP_OPEN) != 0 && wsr_close_is_open(&ep->close);
}

static void set_queue_timer(wsr_engine *engine, struct wsr_comeback *comeback, uint64_t at_ns)
{
    const uint64_t due_ns = wsr_queue_due_ns(&comeback->queue);
    wsr_wheel_set(&engine->wheel, &comeback->queued, due_ns < at_ns ? due_ns : at_ns);
}

/* An open connection: what waited goes now, and then messages need not be queued any more. */
static void send_queue(wsr_engine *engine, struct wsr_connection *c, uint64_t now_ns)
{
    struct wsr_comeback *comeback = wsr_conn_client(c)->comeback;
    const bool sent = wsr_queue_send(&comeback->queue, &c->ep, now_ns);
    c->queues = !sent;
    set_queue_timer(engine, comeback, sent ? UINT64_MAX : wsr_ns_add(now_ns, RETRY_NS));
}

void wsr_comeback_queue_timed(wsr_engine *engine, struct wsr_batch *batch, struct wsr_comeback *comeback)
{
    struct wsr_connection *c = comeback->client->c;
    if (!wsr_queue_give_back(&comeback->queue, &c->ep, batch, batch->now_ns)) {
        set_queue_timer(engine, comeback, batch->now_ns); /* and on with the next batch */
        return;
    }
    if (c->queues && is_open(&c->ep)) {
        send_queue(engine, c, batch->now_ns);
        wsr_conn_after(engine, c);
    }
    set_queue_timer(engine, comeback, c->queues && is_open(&c->ep) ? wsr_ns_add(batch->now_ns, RETRY_NS) : UINT64_MAX);
    if (!wsr_queue_writable(&comeback->queue, wsr_comeback_config(comeback)->queue_bytes_max))
        return;
    if (batch->n == batch->cap) {
        set_queue_timer(engine, comeback, batch->now_ns);
        return;
    }
    comeback->queue.owes_writable = false;
    (void)wsr_endpoint_emit(&c->ep, batch, WSR_EVENT_WRITABLE, NULL, 0);
}

void wsr_comeback_send_queue(wsr_engine *engine, struct wsr_connection *c, uint64_t now_ns)
{
    const struct wsr_comeback *comeback = wsr_conn_client(c)->comeback;
    send_queue(engine, c, now_ns);
    if (wsr_queue_writable(&comeback->queue, wsr_comeback_config(comeback)->queue_bytes_max)) /* the next batch will have room to say so */
        set_queue_timer(engine, wsr_conn_client(c)->comeback, now_ns);
}

bool wsr_comeback_accepts(const struct wsr_connection *c)
{
    if (wsr_conn_client(c)->comeback->ends)
        return false;
    if (wsr_endpoint_is_over(&c->ep))
        return (c->ep.flags & WSR_EP_LOST) != 0;
    return (c->ep.flags & WSR_EP_OPEN) == 0 || wsr_close_is_open(&c->ep.close);
}

int wsr_comeback_queue(wsr_engine *engine, struct wsr_connection *c, wsr_opcode opcode, wsr_slice payload, size_t fragment_bytes)
{
    struct wsr_comeback *comeback = wsr_conn_client(c)->comeback;
    const wsr_reconnect *config = wsr_comeback_config(comeback);
    if (!wsr_comeback_accepts(c))
        return WSR_ESTATE;
    if (opcode == WSR_PING || opcode == WSR_PONG) { /* they wait for nothing */
        int error = wsr_endpoint_send(&c->ep, opcode, payload);
        if (error == WSR_OK)
            wsr_conn_dirty(engine, c);
        return error;
    }
    if (!wsr_opcode_is_data(opcode))
        return WSR_EINVAL;
    if (payload.len > engine->env.limits.outbox_bytes_max)
        return WSR_ETOOBIG;
    const uint64_t due_ns = wsr_ns_add(wsr_sys_now_ns(), config->queue_ttl_ns);
    int error = wsr_queue_put(&comeback->queue, &engine->env.pool, config->queue_bytes_max, due_ns, opcode, payload, fragment_bytes);
    if (error == WSR_OK && !wsr_timer_is_set(&comeback->queued))
        set_queue_timer(engine, comeback, UINT64_MAX);
    return error;
}

size_t wsr_comeback_queued_bytes(const struct wsr_connection *c)
{
    return wsr_conn_client(c)->comeback->queue.bytes;
}
