/*
 * conn/life.c - a connection from its descriptor to its end: opened, timed, let go, its slot given back.
 */
#include <string.h>

#include "base/clock.h"
#include "conn/flight.h"
#include "conn/front.h"
#include "conn/preface.h"
#include "proto/keepalive.h"
#include "ring/sys.h"

/* How long somebody is let off: more than a kernel takes to complete what has come, little beside the limit itself. */
#define DOUBT_PART 128u
#define DOUBT_NS_MAX UINT64_C(100000000)

void wsr_conn_pending(wsr_engine *engine, struct wsr_connection *c)
{
    if ((c->state & WSR_CONN_PENDING) != 0)
        return;
    c->state |= WSR_CONN_PENDING;
    wsr_conn_list_append(engine, &engine->pending, c, WSR_LINK(pending_next));
}

void wsr_conn_shaking(wsr_engine *engine, struct wsr_connection *c)
{
    if ((c->state & WSR_CONN_SHAKING) != 0)
        return;
    c->state |= WSR_CONN_SHAKING;
    wsr_conn_list_append(engine, &engine->shaking, c, WSR_LINK(shaking_next));
}

struct wsr_connection *wsr_conn_open(wsr_engine *engine, int fd, const wsr_endpoint_config *config, int *error)
{
    struct wsr_connection *c = wsr_table_take(engine);
    if (c == NULL) {
        *error = engine->table.live_n == engine->table.slots_max ? WSR_ELIMIT : WSR_ENOMEM;
        return NULL;
    }
    *error = wsr_endpoint_init(&c->ep, &engine->env, config, engine->now_ns);
    if (*error < 0) {
        wsr_table_give(engine, c);
        return NULL;
    }
    c->fd = fd;
    engine->stats.open++;
    wsr_wheel_set(&engine->wheel, &c->timer, wsr_endpoint_deadline(&c->ep));
    return c;
}

void wsr_conn_start(wsr_engine *engine, struct wsr_connection *c, bool wait_first)
{
    c->state |= WSR_CONN_CONNECTED;
    if (wsr_conn_front(c) != NULL)
        wsr_front_start(engine, c);
    wsr_input_arm(engine, c, wait_first);
    wsr_conn_after(engine, c);
}

bool wsr_conn_cancel(wsr_engine *engine, struct wsr_connection *c, unsigned which)
{
    static const uint8_t ops[][2] = {{WSR_ARMED_RECEIVE, WSR_OP_RECEIVE}, {WSR_ARMED_SEND, WSR_OP_SEND}};
    const wsr_conn id = wsr_conn_id(c);
    for (unsigned i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if ((which & c->armed & (unsigned)~c->cancelled & ops[i][0]) == 0)
            continue;
        const uint64_t tag = ops[i][0] == WSR_ARMED_SEND ? wsr_flight_tag(engine, c) : WSR_TAG(ops[i][1], id);
        if (wsr_ring_cancel(engine->ring, tag, WSR_TAG(WSR_OP_CANCEL, id)) < 0) {
            wsr_conn_pending(engine, c);
            return false;
        }
        c->cancelled |= ops[i][0];
        c->cancels++;
    }
    if ((which & c->armed & WSR_ARMED_DIAL) != 0 && !engine->clients->cancel(engine, c)) {
        wsr_conn_pending(engine, c);
        return false;
    }
    return true;
}

/* The endpoint is done with its transport: what is armed is called back, and the descriptor goes with the last of it. */
static void let_go(wsr_engine *engine, struct wsr_connection *c)
{
    c->state |= WSR_CONN_LET_GO;
    engine->shedding.some_may_go |= (c->state & WSR_CONN_STARVED) != 0;
    if (wsr_conn_client(c) != NULL)
        engine->clients->let_go(engine, c);
    (void)wsr_conn_cancel(engine, c, c->armed);
    wsr_wheel_unset(&engine->wheel, &c->timer);
    while (c->backlog != NULL) {
        struct wsr_chunk *chunk = c->backlog;
        c->backlog = chunk->next;
        wsr_env_retire(&engine->env, chunk); /* events of this batch may point into it, and it is the application that aborts */
    }
    wsr_conn_retire(engine, c);
}

/* A timer that is too early finds out when it fires; only one that is too late has to be moved. */
static void set_timer(wsr_engine *engine, struct wsr_connection *c)
{
    const uint64_t stage = wsr_front_deadline(c);
    const uint64_t deadline = stage != UINT64_MAX ? stage : wsr_endpoint_deadline(&c->ep);
    const bool doubted = (c->state & WSR_CONN_DOUBTED) != 0; /* its deadline has passed, and the timer says until when it is let off */
    if (deadline != UINT64_MAX && (!wsr_timer_is_set(&c->timer) || (wsr_tick_of(deadline) < wsr_timer_tick(&c->timer) && !doubted)))
        wsr_wheel_set(&engine->wheel, &c->timer, deadline);
}

static bool has_to_send(const struct wsr_connection *c)
{
    return wsr_conn_front(c) == NULL ? wsr_outbox_pending(&c->ep.out) : wsr_front_pending(c);
}

static bool wants_shutdown(struct wsr_connection *c)
{
    return wsr_conn_front(c) == NULL ? wsr_endpoint_wants_shutdown(&c->ep) : wsr_front_wants_shutdown(c);
}

void wsr_conn_after(wsr_engine *engine, struct wsr_connection *c)
{
    if ((c->state & WSR_CONN_LET_GO) != 0)
        return;
    if (wsr_endpoint_is_over(&c->ep)) {
        if ((c->ep.flags & WSR_EP_OWES_CLOSED) != 0)
            wsr_conn_pending(engine, c);
        let_go(engine, c);
        return;
    }
    if ((c->state & WSR_CONN_SHUT) == 0 && (c->armed & WSR_ARMED_SEND) == 0 && wants_shutdown(c)) {
        c->state |= WSR_CONN_SHUT;
        (void)wsr_sys_shutdown_write(c->fd); /* fails only where the peer is gone already, which the receive will tell */
    }
    if ((c->state & WSR_CONN_CONNECTED) != 0 && has_to_send(c))
        wsr_conn_dirty(engine, c);
    set_timer(engine, c);
}

void wsr_conn_retire(wsr_engine *engine, struct wsr_connection *c)
{
    if ((c->state & WSR_CONN_LET_GO) == 0 || c->armed != 0 || c->cancels != 0)
        return;
    if (c->fd >= 0) {
        if ((c->state & WSR_CONN_CUT) != 0)
            wsr_sys_reset(c->fd);
        else
            wsr_sys_close(c->fd);
        c->fd = -1;
    }
    /* Its lists let go of it by themselves: they look at the slot once more. */
    if ((c->ep.flags & (WSR_EP_CLOSED | WSR_EP_LOST)) == 0 || (c->state & (WSR_CONN_DIRTY | WSR_CONN_PENDING | WSR_CONN_STARVED | WSR_CONN_SHAKING)) != 0)
        return;
    engine->stats.messages_in += c->ep.messages_in;
    engine->stats.bytes_in += c->ep.bytes_in;
    engine->stats.messages_out += c->ep.out.messages;
    engine->stats.bytes_out += c->ep.out.payload_bytes;
    wsr_endpoint_fini(&c->ep);
    wsr_front_free(engine, c);
    wsr_preface_free(engine, c);
    if ((c->ep.flags & WSR_EP_LOST) != 0) {
        engine->comebacks->down(engine, c);
        return;
    }
    engine->stats.open--;
    engine->stats.closed++;
    if (wsr_conn_client(c) != NULL)
        engine->clients->freed(engine, c);
    wsr_table_give(engine, c);
}

/*
 * What was sent waits for the peer's TCP, here or in the kernel, and that took some of it since the last look: the peer is
 * slow, not dead, and our ping stands behind what it has not taken. Acknowledgements where nothing waits say less: a
 * peer's kernel gives them for a program that hangs too, until its buffer is full. Where nothing waited at the last look,
 * the judgement may come one time late.
 */
static bool takes_bytes(struct wsr_connection *c)
{
    uint64_t acked_bytes = c->acked_bytes;
    const bool waits = wsr_sys_sending(c->fd, &acked_bytes) || wsr_outbox_pending(&c->ep.out);
    const bool some = (uint32_t)acked_bytes != c->acked_bytes; /* it only grows */
    c->acked_bytes = (uint32_t)acked_bytes;
    return waits && some;
}

/*
 * Nobody is given up at first sight: the application may have been away, and what it had sent before, our ping among it or behind
 * it, may leave only now. True: it is looked at again a little later.
 */
static bool doubt(wsr_engine *engine, const struct wsr_batch *batch, struct wsr_connection *c)
{
    bool first = (c->state & WSR_CONN_DOUBTED) == 0 && wsr_keepalive_gives_up(&c->ep, batch->now_ns);
    c->state &= (uint16_t)~(unsigned)WSR_CONN_DOUBTED;
    if (!first)
        return false;
    c->state |= WSR_CONN_DOUBTED;
    const wsr_limits *limits = &engine->env.limits;
    uint64_t ns = (limits->ping_timeout_ns < limits->idle_timeout_ns ? limits->ping_timeout_ns : limits->idle_timeout_ns) / DOUBT_PART;
    wsr_wheel_set(&engine->wheel, &c->timer, wsr_ns_add(batch->now_ns, ns < DOUBT_NS_MAX ? ns : DOUBT_NS_MAX));
    return true;
}

void wsr_conn_timed(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c)
{
    if (wsr_close_is_open(&c->ep.close) && (c->ep.flags & WSR_EP_OPEN) != 0) {
        /* While the application reads nothing, or no buffer was free, silence proves nothing about the peer. */
        bool deaf = (c->state & (WSR_CONN_PAUSED | WSR_CONN_FULL | WSR_CONN_STARVED | WSR_CONN_READABLE)) != 0 || c->backlog != NULL;
        /* Asked at the ping's time too, so that the judgement knows what was taken since; not when the timer is merely early. */
        bool slow = batch->now_ns >= wsr_keepalive_deadline(&c->ep) && takes_bytes(c);
        /* And input may be there of which no completion has told yet, behind a receive that had to be armed again. */
        if (deaf || (wsr_keepalive_gives_up(&c->ep, batch->now_ns) && (slow || wsr_sys_readable(c->fd))))
            wsr_keepalive_excuse(&c->ep, batch->now_ns);
        if (doubt(engine, batch, c))
            return;
    }
    const uint64_t stage = wsr_front_deadline(c);
    if (stage == UINT64_MAX)
        wsr_endpoint_time(&c->ep, batch);
    else if (batch->now_ns >= stage)
        wsr_front_timeout(c, batch->now_ns);
    wsr_conn_after(engine, c);
}
