/*
 * conn/input.c - received bytes to the endpoint, in their order, and no faster than the batch, the application and a fair
 * share allow. What cannot be parsed now is copied into the connection's backlog, so that no receive buffer waits for it.
 */
#include <errno.h>
#include <string.h>

#include "conn/engine.h"
#include "proto/handshake.h"
#include "proto/keepalive.h"
#include "ring/sys.h"

/* A connection may take this part of a batch before others have had their turn. */
#define QUOTA_PART 4u

/* Beyond this the peer is stopped by TCP: what was under way already still comes in. */
#define BACKLOG_BYTES_MAX ((size_t)256 << 10)

void wsr_input_arm(wsr_engine *engine, struct wsr_connection *c, bool wait_first)
{
    const uint16_t no = WSR_CONN_PAUSED | WSR_CONN_FULL | WSR_CONN_ENDED | WSR_CONN_LET_GO | WSR_CONN_STARVED;
    if ((c->armed & WSR_ARMED_RECEIVE) != 0 || (c->state & no) != 0 || (c->state & WSR_CONN_CONNECTED) == 0)
        return;
    if (wsr_ring_receive(engine->ring, c->fd, WSR_TAG(WSR_OP_RECEIVE, wsr_conn_id(c)), wait_first) == 0)
        c->armed |= WSR_ARMED_RECEIVE;
    else
        c->state |= WSR_CONN_FULL, wsr_conn_pending(engine, c); /* the ring refuses for now: tried again with the backlog */
}

/* Keeps a copy behind what is kept already. */
static int backlog_append(wsr_engine *engine, struct wsr_connection *c, const uint8_t *p, size_t len)
{
    struct wsr_chunk **last = &c->backlog;
    size_t total = len;
    while (*last != NULL) {
        total += (*last)->len;
        if ((*last)->next == NULL && wsr_chunk_room(*last) >= len)
            break;
        last = &(*last)->next;
    }
    if (*last == NULL) {
        *last = wsr_pool_get(&engine->env.pool, len);
        if (*last == NULL)
            return WSR_ENOMEM;
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
    return (c->state & WSR_CONN_PAUSED) == 0 && !wsr_handshake_waits(&c->ep);
}

static void received(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, const struct wsr_completion *completion)
{
    uint8_t *p = completion->ptr;
    size_t len = (size_t)completion->res;
    size_t took = 0;
    unsigned before = batch->n;
    if (c->backlog == NULL && may_feed(c)) {
        struct wsr_batch share = share_of(batch);
        took = wsr_endpoint_take(&c->ep, &share, p, len);
        batch->n = share.n;
    }
    if (took < len && !wsr_endpoint_is_over(&c->ep)) {
        if (backlog_append(engine, c, p + took, len - took) < 0)
            wsr_endpoint_fail(&c->ep, batch->now_ns, WSR_ENOMEM);
        if (may_feed(c))
            wsr_conn_pending(engine, c);
    }
    if (batch->n > before) /* events point into the buffer: it stays until the batch is over */
        engine->held[completion->buffer]++;
    else
        wsr_ring_release(engine->ring, completion->buffer);
}

static void tell_end(struct wsr_batch *batch, struct wsr_connection *c)
{
    int cause = c->end_errno == 0 ? WSR_ETRUNCATED : WSR_ERESET;
    wsr_endpoint_ended(&c->ep, batch, cause, c->end_errno);
}

static void ended(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, int sys_errno)
{
    c->state |= WSR_CONN_ENDED;
    c->end_errno = sys_errno;
    if (c->backlog == NULL)
        tell_end(batch, c);
    else if (may_feed(c))
        wsr_conn_pending(engine, c);
}

static void starve(wsr_engine *engine, struct wsr_connection *c)
{
    engine->stats.starved++;
    c->state |= WSR_CONN_STARVED;
    wsr_conn_list_append(&engine->starved, c, WSR_LINK(starved_next));
}

void wsr_input_completion(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, const struct wsr_completion *completion)
{
    if ((completion->flags & WSR_COMPLETION_MORE) == 0)
        wsr_conn_disarmed(c, WSR_ARMED_RECEIVE);
    bool gone = (c->state & WSR_CONN_LET_GO) != 0;
    if ((completion->flags & WSR_COMPLETION_BYTES) != 0) {
        if (gone)
            wsr_ring_release(engine->ring, completion->buffer);
        else
            received(engine, batch, c, completion);
    } else if (!gone && completion->res == -ENOBUFS) {
        starve(engine, c);
    } else if (!gone && completion->res != -ECANCELED && completion->res != -EINTR && completion->res != -EAGAIN) {
        ended(engine, batch, c, -completion->res);
    }
    if (gone) {
        wsr_conn_retire(engine, c);
        return;
    }
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
        size_t took = wsr_endpoint_take(&c->ep, &share, chunk->data, chunk->len);
        chunk->data += took;
        chunk->len -= took;
        if (chunk->len > 0 && !wsr_endpoint_is_over(&c->ep))
            break;
        c->backlog = chunk->next;
        wsr_env_retire(&engine->env, chunk); /* events may point into it */
    }
    bool owes = wsr_endpoint_settle(&c->ep, &share);
    batch->n = share.n;
    if (c->backlog == NULL && (c->state & WSR_CONN_ENDED) != 0 && !wsr_endpoint_is_over(&c->ep))
        tell_end(batch, c);
    if (c->backlog == NULL && (c->state & WSR_CONN_FULL) != 0) {
        c->state &= (uint16_t)~(unsigned)WSR_CONN_FULL;
        wsr_input_arm(engine, c, false);
    }
    return !owes && (c->backlog == NULL || !may_feed(c));
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

void wsr_input_feed_starved(wsr_engine *engine)
{
    while (engine->starved.n > 0 && wsr_ring_buffers_free(engine->ring) > 0) {
        struct wsr_connection *c = wsr_conn_list_take(&engine->starved, WSR_LINK(starved_next));
        c->state &= (uint16_t)~(unsigned)WSR_CONN_STARVED;
        if ((c->state & WSR_CONN_LET_GO) != 0)
            wsr_conn_retire(engine, c);
        else
            wsr_input_arm(engine, c, true); /* POLL_FIRST: armed on an empty ring it would fail again at once */
    }
}
