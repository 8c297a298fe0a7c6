/*
 * conn/output.c - what endpoints have to send to the ring: one send under way a connection, all it has in one operation.
 */
#include <errno.h>

#include "conn/flight.h"
#include "conn/front.h"
#include "proto/keepalive.h"
#include "ring/sys.h"

/* The way that suits it. Returns as wsr_ring_send. */
static int send_slices(wsr_engine *engine, struct wsr_connection *c, const wsr_slice *slices, unsigned n)
{
    const uint64_t tag = WSR_TAG(WSR_OP_SEND, wsr_conn_id(c));
    if (wsr_endpoint_ends(&c->ep)) /* a Close and the FIN behind it are one packet then: two cost both ends more */
        return wsr_ring_send_last(engine->ring, c->fd, tag, slices, n);
    if (wsr_flight_suits(engine, c, slices, n)) {
        const int error = wsr_flight_send(engine, c, slices, n);
        if (error != WSR_ENOMEM)
            return error;
    }
    return wsr_ring_send(engine->ring, c->fd, tag, slices, n);
}

/* What a send came to: res bytes are the kernel's now, or it failed with -res. What the batch has no room for is owed. */
static void sent(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, int res)
{
    if (res > 0) {
        if (wsr_conn_front(c) == NULL)
            wsr_endpoint_sent(&c->ep, batch->now_ns, (size_t)res);
        else
            wsr_front_sent(engine, c, batch->now_ns, (size_t)res);
        engine->shedding.some_may_go |= (c->state & WSR_CONN_STARVED) != 0;
        if (wsr_endpoint_settle(&c->ep, batch))
            wsr_conn_pending(engine, c);
    } else if (res != -EINTR && res != -EAGAIN) {
        if (wsr_conn_front(c) != NULL)
            wsr_front_send_failed(engine, c, batch->now_ns);
        wsr_endpoint_send_failed(&c->ep, batch, res == 0 ? EPIPE : -res);
        /*
         * Armed anew it looks what is there: a reset that came together with bytes does not wake a receive that has taken those
         * (seen on 6.18), and then only a deadline would end this.
         */
        if (c->ep.close.state == WSR_CS_BROKEN)
            (void)wsr_conn_cancel(engine, c, WSR_ARMED_RECEIVE);
    }
    wsr_conn_after(engine, c);
}

/*
 * Sends without the ring, while the cache holds it: true if that was all. Between two batches only: what was sent is free memory,
 * and events of a batch may point into it.
 */
static bool send_now(wsr_engine *engine, struct wsr_connection *c, const wsr_slice *slices, unsigned n)
{
    const long res = wsr_sys_send(c->fd, slices, n);
    if (res == -EAGAIN)
        return false;
    struct wsr_batch none = {NULL, 0, 0, engine->now_ns};
    sent(engine, &none, c, (int)res);
    return res < 0 || !wsr_outbox_pending(&c->ep.out);
}

static void kick_one(wsr_engine *engine, struct wsr_connection *c, bool between_batches)
{
    if ((c->state & WSR_CONN_LET_GO) != 0) {
        wsr_conn_retire(engine, c);
        return;
    }
    if ((c->armed & WSR_ARMED_SEND) != 0)
        return; /* its completion comes back here */
    if (c->ep.close.state == WSR_CS_BROKEN)
        return; /* what flew when sending failed flies no more: trying again would fail again, poll after poll */
    wsr_slice slices[WSR_RING_SLICES_MAX];
    const bool plain = wsr_conn_front(c) == NULL, takes_off = !wsr_outbox_flies(&c->ep.out);
    unsigned n = plain ? wsr_endpoint_drain(&c->ep, slices, WSR_RING_SLICES_MAX) : wsr_front_drain(engine, c, slices, WSR_RING_SLICES_MAX);
    if (!plain && wsr_endpoint_is_over(&c->ep)) { /* it failed in there */
        wsr_conn_after(engine, c);
        return;
    }
    if (n == 0)
        return;
    if (takes_off && (c->ep.flags & WSR_EP_PING_WAITS) != 0) /* it may have been queued long ago, by the application's clock */
        wsr_keepalive_flies(&c->ep, wsr_sys_now_ns());
    if (between_batches && wsr_direct_suits(engine, c, slices, n)) {
        if (send_now(engine, c, slices, n))
            return;
        n = wsr_endpoint_drain(&c->ep, slices, WSR_RING_SLICES_MAX);
    }
    if (send_slices(engine, c, slices, n) == 0)
        c->armed |= WSR_ARMED_SEND;
    else
        wsr_conn_dirty(engine, c); /* tried again with the next kick */
}

void wsr_output_kick(wsr_engine *engine, bool between_batches)
{
    uint32_t n = engine->dirty.n; /* those that become dirty meanwhile wait for the next kick */
    while (n-- > 0) {
        struct wsr_connection *c = wsr_conn_list_take(engine, &engine->dirty, WSR_LINK(dirty_next));
        c->state &= (uint16_t)~(unsigned)WSR_CONN_DIRTY;
        kick_one(engine, c, between_batches);
    }
}

void wsr_output_completion(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, const struct wsr_completion *completion)
{
    wsr_conn_disarmed(c, WSR_ARMED_SEND);
    if ((c->state & WSR_CONN_LET_GO) != 0) {
        wsr_conn_retire(engine, c);
        return;
    }
    sent(engine, batch, c, completion->res);
}
