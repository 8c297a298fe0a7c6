/*
 * conn/input.c - received bytes to the endpoint, in their order, and no faster than the batch, the application and a fair
 * share allow. What cannot be parsed now is copied into the connection's backlog, so that no receive buffer waits for it.
 */
#include <errno.h>
#include <string.h>

#include "conn/front.h"
#include "conn/preface.h"
#include "conn/shed.h"
#include "conn/stamp.h"
#include "proto/handshake.h"
#include "proto/keepalive.h"
#include "ring/sys.h"

/* A connection may take this part of a batch before others have had their turn. */
#define QUOTA_PART 4u

/* Memory beyond which the peer is stopped by TCP: what was under way already still comes in. */
#define BACKLOG_BYTES_MAX ((size_t)256 << 10)

static int receive(wsr_engine *engine, const struct wsr_connection *c, uint64_t tag, bool wait_first)
{
    if ((c->state & WSR_CONN_DIRECT) != 0)
        return wsr_ring_poll(engine->ring, c->fd, tag);
    return c->stamps ? wsr_ring_receive_stamped(engine->ring, c->fd, tag, wait_first) : wsr_ring_receive(engine->ring, c->fd, tag, wait_first);
}

void wsr_input_arm(wsr_engine *engine, struct wsr_connection *c, bool wait_first)
{
    const uint16_t no = WSR_CONN_PAUSED | WSR_CONN_FULL | WSR_CONN_ENDED | WSR_CONN_LET_GO | WSR_CONN_STARVED;
    if ((c->armed & WSR_ARMED_RECEIVE) != 0 || (c->state & no) != 0 || (c->state & WSR_CONN_CONNECTED) == 0)
        return;
    const uint64_t tag = WSR_TAG(WSR_OP_RECEIVE, wsr_conn_id(c));
    if (receive(engine, c, tag, wait_first) == 0)
        c->armed |= WSR_ARMED_RECEIVE;
    else
        c->state |= WSR_CONN_FULL, wsr_conn_pending(engine, c); /* the ring refuses for now: tried again with the backlog */
}

int wsr_input_keep(wsr_engine *engine, struct wsr_connection *c, const uint8_t *p, size_t len, const wsr_receive_stamp *stamp)
{
    struct wsr_chunk **last = &c->backlog;
    size_t total = len;
    while (*last != NULL) {
        total += (size_t)((*last)->end - (*last)->bytes);
        if ((*last)->next == NULL && wsr_chunk_room(*last) >= len && !c->stamps)
            break;
        last = &(*last)->next;
    }
    if (*last == NULL) {
        *last = wsr_pool_get(&engine->env.pool, len + (c->stamps ? sizeof *stamp : 0));
        if (*last == NULL)
            return WSR_ENOMEM;
        if (c->stamps) /* then each chunk is of one receive */
            wsr_stamp_keep(*last, stamp);
    }
    memcpy((*last)->data + (*last)->len, p, len);
    (*last)->len += len;
    if (total > BACKLOG_BYTES_MAX) {
        c->state |= WSR_CONN_FULL;
        (void)wsr_conn_cancel(engine, c, WSR_ARMED_RECEIVE);
    }
    return WSR_OK;
}

/* The batch as one connection may see it. */
static struct wsr_batch share_of(const struct wsr_batch *batch)
{
    unsigned quota = batch->cap / QUOTA_PART > 0 ? batch->cap / QUOTA_PART : 1;
    struct wsr_batch share = *batch;
    if (share.cap - share.n > quota)
        share.cap = share.n + quota;
    return share;
}

static bool batch_is_full(const wsr_engine *engine, const struct wsr_batch *batch)
{
    return batch->n == batch->cap || engine->env.retired_bytes >= engine->config.batch_bytes_max;
}

/* May the endpoint be fed now? If not, something else will bring the backlog back: a resume, or an accept. */
static bool may_feed(const struct wsr_connection *c)
{
    return (c->state & (WSR_CONN_PAUSED | WSR_CONN_PREFACED)) == 0 && !wsr_handshake_waits(&c->ep);
}

static void tell_end(struct wsr_batch *batch, struct wsr_connection *c)
{
    if (wsr_conn_front(c) != NULL && wsr_front_ended(c, batch->now_ns)) {
        (void)wsr_endpoint_settle(&c->ep, batch);
        return;
    }
    int cause = c->end_errno == 0 ? WSR_ETRUNCATED : WSR_ERESET;
    if (wsr_conn_front(c) != NULL)
        cause = wsr_front_end_cause(c, c->end_errno);
    wsr_endpoint_ended(&c->ep, batch, cause, c->end_errno);
}

void wsr_input_ended(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, int sys_errno)
{
    c->state |= WSR_CONN_ENDED;
    c->end_errno = (uint8_t)(sys_errno <= UINT8_MAX ? sys_errno : EIO);
    if (wsr_front_waits(c))
        return; /* its turn tells */
    if ((c->state & WSR_CONN_PREFACED) != 0) { /* what there is of a PROXY header comes to nothing */
        wsr_pool_put_list(&engine->env.pool, c->backlog);
        c->backlog = NULL;
    }
    if (c->backlog == NULL)
        tell_end(batch, c);
    else if (may_feed(c))
        wsr_conn_pending(engine, c);
}

/* Bytes for the endpoint, received with that stamp: what it does not take now is copied. */
static void feed(wsr_engine *engine, struct wsr_batch *share, struct wsr_connection *c, wsr_span in, const wsr_receive_stamp *stamp)
{
    size_t took = 0;
    if (c->backlog == NULL && may_feed(c))
        took = wsr_endpoint_take(&c->ep, share, in.ptr, in.len);
    if (took < in.len && !wsr_endpoint_is_over(&c->ep)) {
        if (wsr_input_keep(engine, c, in.ptr + took, in.len - took, stamp) < 0)
            wsr_endpoint_fail(&c->ep, share->now_ns, WSR_ENOMEM);
        if (may_feed(c))
            wsr_conn_pending(engine, c);
    }
}

/* What the front made of the bytes that came. */
static void feed_decrypted(wsr_engine *engine, struct wsr_batch *share, struct wsr_connection *c, struct wsr_front_input input,
                           const wsr_receive_stamp *stamp)
{
    if (input.carried != NULL) {
        if (!wsr_endpoint_is_over(&c->ep))
            feed(engine, share, c, (wsr_span){input.carried->data, input.carried->len}, stamp);
        wsr_env_retire(&engine->env, input.carried); /* events may point into it */
    }
    if (input.rest.len > 0 && !wsr_endpoint_is_over(&c->ep))
        feed(engine, share, c, input.rest, stamp);
    if (input.ended && (c->state & WSR_CONN_ENDED) == 0)
        wsr_input_ended(engine, share, c, 0);
}

static void received(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, const struct wsr_completion *completion)
{
    wsr_span in = {completion->ptr, (size_t)completion->res};
    const struct wsr_stamp_mark mark = wsr_stamp_mark(batch, c);
    struct wsr_batch share = share_of(batch);
    bool data_last = true;
    if ((c->state & WSR_CONN_PREFACED) != 0) {
        const size_t took = wsr_preface_take(engine, c, in.ptr, in.len);
        in.ptr += took;
        in.len -= took;
    }
    if (in.len == 0)
        ; /* it was the PROXY header's */
    else if (wsr_conn_front(c) == NULL)
        feed(engine, &share, c, in, completion->stamp);
    else if (!wsr_endpoint_is_over(&c->ep)) {
        const struct wsr_front_input input = wsr_front_take(engine, c, in);
        data_last = input.data_last;
        feed_decrypted(engine, &share, c, input, completion->stamp);
    }
    batch->n = share.n;
    if (completion->stamp != NULL)
        wsr_stamp_events(batch, c, mark, completion->stamp, data_last && (completion->flags & WSR_COMPLETION_BEHIND) == 0);
    if (batch->n > mark.events) /* events point into the buffer: it stays until the batch is over */
        engine->held[completion->buffer]++;
    else
        wsr_ring_release(engine->ring, completion->buffer);
}

int wsr_input_prefix(wsr_engine *engine, struct wsr_connection *c, wsr_slice prefix)
{
    size_t took = 0;
    if ((c->state & WSR_CONN_PREFACED) != 0)
        took = wsr_preface_take(engine, c, prefix.ptr, prefix.len);
    if (took == prefix.len || wsr_endpoint_is_over(&c->ep))
        return WSR_OK;
    wsr_conn_pending(engine, c);
    return wsr_input_keep(engine, c, prefix.ptr + took, prefix.len - took, NULL);
}

static void starve(wsr_engine *engine, struct wsr_connection *c)
{
    if ((c->state & WSR_CONN_STARVED) != 0) /* for want of memory, too */
        return;
    engine->stats.starved++;
    c->state |= WSR_CONN_STARVED;
    c->hungry = !c->fed;
    struct wsr_starving *starving = &engine->starving[c->stamps];
    starving->hungry_n += c->hungry;
    c->fed = false;
    wsr_conn_list_append(engine, &starving->list, c, WSR_LINK(starved_next));
}

void wsr_input_completion(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, const struct wsr_completion *completion)
{
    if ((completion->flags & WSR_COMPLETION_MORE) == 0)
        wsr_conn_disarmed(c, WSR_ARMED_RECEIVE);
    bool gone = (c->state & WSR_CONN_LET_GO) != 0;
    if ((completion->flags & WSR_COMPLETION_BYTES) != 0) {
        c->fed = true;
        if (gone)
            wsr_ring_release(engine->ring, completion->buffer);
        else
            received(engine, batch, c, completion);
    } else if (!gone && completion->res > 0) {
        wsr_direct_readable(engine, c, completion->res);
    } else if (!gone && completion->res == -ENOBUFS) {
        starve(engine, c);
    } else if (!gone && completion->res != -ECANCELED && completion->res != -EINTR && completion->res != -EAGAIN) {
        if ((c->state & WSR_CONN_ENDED) == 0) /* TLS may have said so before */
            wsr_input_ended(engine, batch, c, -completion->res);
    }
    if (gone) {
        wsr_conn_retire(engine, c);
        return;
    }
    wsr_direct_consider(engine, c);
    wsr_shed_received(engine, c);
    wsr_conn_after(engine, c);
    if (c->live) /* F_MORE = 0 can come with bytes, or with a cancel that a resume has overtaken */
        wsr_input_arm(engine, c, false);
}

bool wsr_input_pending(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c)
{
    if ((c->state & WSR_CONN_LET_GO) != 0) {
        bool owes = wsr_endpoint_settle(&c->ep, batch);
        return wsr_conn_cancel(engine, c, c->armed) && !owes;
    }
    if ((c->state & (WSR_CONN_PAUSED | WSR_CONN_FULL)) != 0) /* a cancel that was refused; mostly there is none */
        (void)wsr_conn_cancel(engine, c, WSR_ARMED_RECEIVE);
    struct wsr_batch share = share_of(batch);
    while (c->backlog != NULL && may_feed(c) && !batch_is_full(engine, &share)) {
        struct wsr_chunk *chunk = c->backlog;
        const struct wsr_stamp_mark mark = wsr_stamp_mark(&share, c);
        size_t took = wsr_endpoint_take(&c->ep, &share, chunk->data, chunk->len);
        if (c->stamps)
            wsr_stamp_late(&share, c, mark, chunk);
        chunk->data += took;
        chunk->len -= took;
        if (chunk->len > 0 && !wsr_endpoint_is_over(&c->ep))
            break;
        c->backlog = chunk->next;
        wsr_env_retire(&engine->env, chunk); /* events may point into it */
    }
    bool more = false;
    if (c->backlog == NULL && (c->state & (WSR_CONN_READABLE | WSR_CONN_STARVED)) == WSR_CONN_READABLE && may_feed(c))
        more = !wsr_direct_read(engine, &share, c);
    bool owes = wsr_endpoint_settle(&c->ep, &share);
    batch->n = share.n;
    wsr_shed_received(engine, c);
    const bool worked_off = c->backlog == NULL && !wsr_front_waits(c);
    if (worked_off && (c->state & WSR_CONN_ENDED) != 0 && !wsr_endpoint_is_over(&c->ep))
        tell_end(batch, c);
    if (worked_off && (c->state & WSR_CONN_FULL) != 0) {
        c->state &= (uint16_t)~(unsigned)WSR_CONN_FULL;
        wsr_input_arm(engine, c, false);
    }
    return !owes && ((c->backlog == NULL && !more) || !may_feed(c));
}

void wsr_input_shake(wsr_engine *engine, struct wsr_batch *batch)
{
    struct wsr_connection *c = wsr_conn_list_take(engine, &engine->shaking, WSR_LINK(shaking_next));
    if (c == NULL)
        return;
    c->state &= (uint16_t)~(unsigned)WSR_CONN_SHAKING;
    if ((c->state & WSR_CONN_LET_GO) != 0) {
        wsr_conn_retire(engine, c);
        return;
    }
    struct wsr_chunk *chunk = wsr_front_turn(c);
    if (chunk != NULL) {
        struct wsr_batch share = share_of(batch);
        feed_decrypted(engine, &share, c, wsr_front_take_now(engine, c, (wsr_span){chunk->data, chunk->len}), NULL);
        wsr_env_retire(&engine->env, chunk); /* events may point into it */
        batch->n = share.n;
    }
    if ((c->state & (WSR_CONN_ENDED | WSR_CONN_FULL)) != 0)
        wsr_conn_pending(engine, c); /* goes on there */
    wsr_conn_after(engine, c);
}

void wsr_input_pause(wsr_engine *engine, struct wsr_connection *c)
{
    if ((c->state & WSR_CONN_PAUSED) != 0)
        return;
    c->state |= WSR_CONN_PAUSED;
    (void)wsr_conn_cancel(engine, c, WSR_ARMED_RECEIVE);
}

void wsr_input_resume(wsr_engine *engine, struct wsr_connection *c)
{
    if ((c->state & WSR_CONN_PAUSED) == 0)
        return;
    c->state &= (uint16_t)~(unsigned)WSR_CONN_PAUSED;
    wsr_keepalive_excuse(&c->ep, wsr_sys_now_ns());
    if (c->backlog != NULL || (c->state & WSR_CONN_ENDED) != 0)
        wsr_conn_pending(engine, c);
    wsr_input_arm(engine, c, false);
}

/* Reads on, unless it is over. */
static void revive(wsr_engine *engine, struct wsr_connection *c)
{
    c->state &= (uint16_t)~(unsigned)WSR_CONN_STARVED;
    engine->starving[c->stamps].hungry_n -= c->hungry;
    c->hungry = false;
    if ((c->state & WSR_CONN_LET_GO) != 0) {
        wsr_conn_retire(engine, c);
        return;
    }
    if ((c->state & WSR_CONN_READABLE) != 0)
        wsr_conn_pending(engine, c);
    wsr_input_arm(engine, c, true); /* POLL_FIRST: armed on an empty ring it would fail again at once */
}

static void feed_starved(wsr_engine *engine, bool stamps)
{
    /* A peer that has much to send takes all buffers there are, in one turn: who got nothing the last time has one of its own. */
    struct wsr_starving *starving = &engine->starving[stamps];
    const bool some_hunger = starving->hungry_n > 0;
    for (uint32_t n = starving->list.n; n > 0 && wsr_ring_buffers_free(engine->ring, stamps) > 0; n--) {
        struct wsr_connection *c = wsr_conn_list_take(engine, &starving->list, WSR_LINK(starved_next));
        if (some_hunger && !c->hungry && (c->state & WSR_CONN_LET_GO) == 0)
            wsr_conn_list_append(engine, &starving->list, c, WSR_LINK(starved_next));
        else
            revive(engine, c);
    }
}

void wsr_input_feed_starved(wsr_engine *engine)
{
    feed_starved(engine, false);
    feed_starved(engine, true);

    struct wsr_shedding *shedding = &engine->shedding;
    if (shedding->on && !shedding->some_may_go)
        return;
    for (uint32_t n = shedding->held.n; n > 0; n--) {
        struct wsr_connection *c = wsr_conn_list_take(engine, &shedding->held, WSR_LINK(starved_next));
        if (shedding->on && (c->state & WSR_CONN_LET_GO) == 0 && wsr_shed_holds(c))
            wsr_conn_list_append(engine, &shedding->held, c, WSR_LINK(starved_next));
        else
            revive(engine, c);
    }
    shedding->some_may_go = false;
}
