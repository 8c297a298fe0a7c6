/*
 * loop/poll.c - one poll: send what is due, wait once, turn completions into a batch of events, let time pass.
 *
 * The order is the point. Input that had arrived is parsed before any deadline is judged, so a slow application does not
 * make its peers look dead; what found no room last time comes before what is new.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "conn/flight.h"
#include "conn/shed.h"
#include "loop/wait.h"
#include "ring/sys.h"

/* The events of the last poll are over: what they pointed to goes back. */
static void release_batch(wsr_engine *engine)
{
    for (uint32_t i = 0; i < engine->buffers_n; i++) {
        for (; engine->held[i] > 0; engine->held[i]--)
            wsr_ring_release(engine->ring, i);
    }
    wsr_env_release(&engine->env);
}

static bool is_full(const wsr_engine *engine, const struct wsr_batch *batch)
{
    return batch->n == batch->cap || engine->env.retired_bytes >= engine->config.batch_bytes_max;
}

static void arm_wake(wsr_engine *engine)
{
    if (!engine->wake_armed && wsr_ring_poll(engine->ring, engine->wake_fd, WSR_TAG(WSR_OP_WAKE, 0)) == 0)
        engine->wake_armed = true;
}

static void arm_resolver(wsr_engine *engine)
{
    if (engine->resolver_fd >= 0 && !engine->resolver_armed &&
        wsr_ring_poll(engine->ring, engine->resolver_fd, WSR_TAG(WSR_OP_RESOLVED, 0)) == 0)
        engine->resolver_armed = true;
}

static void resolved(wsr_engine *engine, struct wsr_batch *batch, const struct wsr_completion *completion)
{
    if ((completion->flags & WSR_COMPLETION_MORE) == 0)
        engine->resolver_armed = false;
    engine->clients->resolved(engine, batch);
}

static void emit_wake(wsr_engine *engine, struct wsr_batch *batch)
{
    if (!engine->wake_owed || batch->n == batch->cap)
        return;
    engine->wake_owed = false;
    batch->ev[batch->n++] = (wsr_event){.type = WSR_EVENT_WAKE, .time_ns = batch->now_ns};
}

static void woken(wsr_engine *engine, struct wsr_batch *batch, const struct wsr_completion *completion)
{
    if ((completion->flags & WSR_COMPLETION_MORE) == 0)
        engine->wake_armed = false;
    wsr_sys_eventfd_clear(engine->wake_fd);
    engine->wake_owed = true;
    emit_wake(engine, batch);
}

static void stale(wsr_engine *engine, const struct wsr_completion *completion)
{
    engine->stats.stale_completions++;
    if ((completion->flags & WSR_COMPLETION_BYTES) != 0)
        wsr_ring_release(engine->ring, completion->buffer);
}

static void dispatch(wsr_engine *engine, struct wsr_batch *batch, const struct wsr_completion *completion)
{
    unsigned op = WSR_TAG_OP(completion->tag);
    if (op == WSR_OP_WAKE) {
        woken(engine, batch, completion);
        return;
    }
    if (op == WSR_OP_RESOLVED) {
        resolved(engine, batch, completion);
        return;
    }
    if (op == WSR_OP_TIMER) {
        if (WSR_TAG_ID(completion->tag) == engine->timer_number)
            engine->timer_at_ns = UINT64_MAX;
        return;
    }
    if (op == WSR_OP_SEND_ZERO_COPY) {
        wsr_flight_completion(engine, batch, completion);
        return;
    }
    if (op == WSR_OP_ACCEPT) {
        engine->accepted(engine, batch, completion);
        return;
    }
    if (completion->tag == WSR_TAG(WSR_OP_CANCEL, 0))
        return; /* of a listener, or of the timer */
    struct wsr_connection *c = wsr_table_find(engine, WSR_TAG_ID(completion->tag));
    if (c == NULL) {
        stale(engine, completion);
        return;
    }
    switch (op) {
    case WSR_OP_RECEIVE:
        wsr_input_completion(engine, batch, c, completion);
        break;
    case WSR_OP_SEND:
        wsr_output_completion(engine, batch, c, completion);
        break;
    case WSR_OP_CANCEL:
        c->cancels--;
        if (completion->res < 0 && completion->res != -ENOENT && c->armed != 0) { /* not now: asked again */
            c->cancelled = 0;
            wsr_conn_pending(engine, c);
        }
        wsr_conn_retire(engine, c);
        break;
    default: /* WSR_OP_DIAL and following */
        engine->clients->dialled(engine, batch, c, op - WSR_OP_DIAL, completion);
        break;
    }
}

/* One round over those that found no room before; each has its share. Where that is as much as the cache holds the others keep their place. */
static void serve_pending(wsr_engine *engine, struct wsr_batch *batch)
{
    for (uint32_t n = engine->pending.n; n > 0 && !is_full(engine, batch) && !wsr_direct_is_enough(engine, batch); n--) {
        struct wsr_connection *c = wsr_conn_list_take(engine, &engine->pending, WSR_LINK(pending_next));
        c->state &= (uint16_t)~(unsigned)WSR_CONN_PENDING;
        bool done = wsr_input_pending(engine, batch, c);
        wsr_conn_after(engine, c);
        if (!c->live)
            continue; /* nothing was armed any more: its end was also its slot's */
        if (!done)
            wsr_conn_pending(engine, c);
        else
            wsr_conn_retire(engine, c);
    }
}

static void serve_completions(wsr_engine *engine, struct wsr_batch *batch)
{
    struct wsr_completion completion;
    while (!is_full(engine, batch) && wsr_ring_next(engine->ring, &completion))
        dispatch(engine, batch, &completion);
}

/* Only what had time to arrive has been judged by now: the completions were drained. */
static void serve_timers(wsr_engine *engine, struct wsr_batch *batch)
{
    struct wsr_timer *timer;
    while (!is_full(engine, batch) && (timer = wsr_wheel_expire(&engine->wheel, batch->now_ns)) != NULL) {
        if (timer->kind == WSR_TIMER_CONNECTION)
            wsr_conn_timed(engine, batch, (struct wsr_connection *)(void *)((char *)timer - offsetof(struct wsr_connection, timer)));
        else if (timer->kind == WSR_TIMER_CLIENT)
            engine->clients->timed(engine, batch, timer);
        else if (timer->kind == WSR_TIMER_SHED)
            wsr_shed_stalled(engine);
        else if (timer->kind >= WSR_TIMER_COMEBACK)
            engine->comebacks->timed(engine, batch, timer);
        else
            engine->timed(engine, batch, timer);
    }
}

/* Those who wait and those who are new take turns at going first, so that neither fills every batch. */
static void serve(wsr_engine *engine, struct wsr_batch *batch)
{
    emit_wake(engine, batch);
    if (!is_full(engine, batch))
        wsr_input_shake(engine, batch); /* one: those who come must not stop those who are there */
    if ((engine->stats.polls & 1) != 0)
        serve_completions(engine, batch);
    unsigned before;
    do { /* a batch with room left is filled by those who wait, if there are any */
        before = batch->n;
        serve_pending(engine, batch);
        serve_completions(engine, batch);
    } while (engine->pending.n > 0 && !is_full(engine, batch) && batch->n > before);
    if (!is_full(engine, batch))
        serve_timers(engine, batch);
}

/* Nobody calls us back before the next timer unless the ring does: for an engine inside another loop. */
static void arm_timer(wsr_engine *engine)
{
    const uint64_t next = wsr_wheel_next_ns(&engine->wheel);
    if (next >= engine->timer_at_ns)
        return;
    if (engine->timer_at_ns != UINT64_MAX) /* if this is refused there is one too many, which does no harm */
        (void)!wsr_ring_cancel(engine->ring, WSR_TAG(WSR_OP_TIMER, engine->timer_number), WSR_TAG(WSR_OP_CANCEL, 0));
    engine->timer_number++;
    const bool armed = wsr_ring_timer(engine->ring, next, WSR_TAG(WSR_OP_TIMER, engine->timer_number)) == 0;
    engine->timer_at_ns = armed ? next : UINT64_MAX;
}

int wsr_poll(wsr_engine *engine, wsr_event *ev, unsigned cap, int64_t timeout_ns)
{
    if (cap == 0 || cap > INT32_MAX || timeout_ns < -1)
        return WSR_EINVAL;
    engine->stats.polls++;
    engine->now_ns = wsr_sys_now_ns();
    const uint64_t begun_ns = engine->now_ns;
    const uint64_t deadline_ns = timeout_ns < 0 ? UINT64_MAX : wsr_ns_add(begun_ns, (uint64_t)timeout_ns);
    struct wsr_batch batch = {ev, cap, 0, begun_ns};
    for (;;) {
        release_batch(engine); /* each round: input without an event takes of batch_bytes_max too, and a full batch takes nothing in */
        wsr_shed_turn(engine);
        arm_wake(engine);
        arm_resolver(engine);
        wsr_input_feed_starved(engine);
        wsr_output_kick(engine, true);
        const uint64_t from_ns = engine->now_ns;
        int error = wsr_wait(engine, deadline_ns);
        if (error < 0)
            return error;
        engine->now_ns = batch.now_ns = wsr_sys_now_ns();
        wsr_wait_note(&engine->waiting, engine->config.spin_ns, engine->now_ns - from_ns, wsr_ring_untaken(engine->ring));
        serve(engine, &batch);
        if (batch.n > 0)
            return (int)batch.n;
        if (engine->now_ns >= deadline_ns)
            break;
    }
    if (engine->fd_mode) { /* what this poll itself gave rise to must not wait for somebody to look, nor must who found no buffer */
        release_batch(engine); /* it has no event that could point into it */
        wsr_input_feed_starved(engine);
        arm_timer(engine);
        return wsr_flush(engine);
    }
    return 0;
}

int wsr_flush(wsr_engine *engine)
{
    if (engine->fd_mode) /* also for what was begun since the last poll: a connect that fails at once, a Close and its deadline */
        arm_timer(engine);
    wsr_output_kick(engine, false);
    int error = wsr_ring_submit(engine->ring);
    wsr_ring_remind(engine->ring, engine->pending.n > 0 || engine->dirty.n > 0 || engine->shaking.n > 0 || engine->wake_owed ||
                                        wsr_input_owes_turn(engine));
    return error;
}

int wsr_engine_fd(wsr_engine *engine)
{
    int fd = wsr_ring_fd(engine->ring);
    if (fd < 0) {
        errno = -fd;
        return WSR_ESYS;
    }
    engine->fd_mode = true;
    return fd;
}

void wsr_wake(wsr_engine *engine)
{
    wsr_sys_eventfd_signal(engine->wake_fd);
}
