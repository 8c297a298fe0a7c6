/*
 * conn/shed.c - what gives way when memory runs short (wsr_config.memory_bytes_max), in this order:
 *
 *   1. from three quarters of it on, who holds memory is not read from: TCP stops its peer (until it holds none, or half of all is
 *      free again);
 *   2. from seven eighths on, upgrades are refused with 503;
 *   3. where something found no room, or 1. has brought no relief for a second, the largest is closed with 1013, and the next
 *      largest, until an eighth is free or on its way back.
 *
 * The last sixteenth is for small chunks alone (base/pool.h): who holds little is served on, whatever the large ones want.
 *
 * What is counted are chunks: messages, outboxes, batches. The table of connections and the ring are fixed, and not here.
 */
#include "conn/shed.h"

#include "conn/front.h"
#include "proto/permessage.h"

#define EIGHTHS(max, n) ((max) / 8 * (n))
#define STOP 6u   /* eighths of the limit, above */
#define REFUSE 7u
#define RELIEF 4u

#define HOLDS_BYTES ((size_t)1024)       /* less is not worth stopping or closing anybody for */
#define STALL_NS UINT64_C(1000000000)    /* without relief, ... */
#define RELIEF_PART 64u                  /* ... which is this part of the limit at least */
#define CLOSED_AT_ONCE 64u

/* Of what several hold each has its share: when all of them are gone, all of it comes back. */
static size_t chunk_bytes(const struct wsr_chunk *chunk)
{
    if (chunk == NULL)
        return 0;
    return wsr_chunk_bytes(chunk) + (chunk->of != NULL ? wsr_chunk_bytes(chunk->of) / chunk->of->holders : 0);
}

static size_t list_bytes(const struct wsr_chunk *list)
{
    size_t bytes = 0;
    for (; list != NULL; list = list->next)
        bytes += chunk_bytes(list);
    return bytes;
}

size_t wsr_conn_chunk_bytes(const struct wsr_connection *c)
{
    const struct wsr_endpoint *ep = &c->ep;
    size_t bytes = list_bytes(c->backlog);
    for (const struct wsr_chunk *chunk = wsr_outbox_first(&ep->out); chunk != NULL; chunk = wsr_outbox_after(&ep->out, chunk))
        bytes += chunk_bytes(chunk);
    if (ep->in != NULL)
        bytes += chunk_bytes(ep->in->memory) + chunk_bytes(ep->in->message) + chunk_bytes(ep->in->control);
    for (const struct wsr_chunk *chunk = ep->aside; chunk != NULL; chunk = chunk->next)
        bytes += chunk->kind < WSR_ASIDE_PREFACE ? chunk_bytes(chunk) : 0; /* what it is, not what it does */
    return bytes + wsr_permessage_bytes(ep) + wsr_front_memory_bytes(c);
}

/* ---- 1. ---- */

bool wsr_shed_holds(const struct wsr_connection *c)
{
    return c->ep.out.bytes + (c->ep.in != NULL && c->ep.in->message != NULL ? c->ep.in->message->len : 0) >= HOLDS_BYTES || c->backlog != NULL;
}

void wsr_shed_received(wsr_engine *engine, struct wsr_connection *c)
{
    const uint16_t stopped = WSR_CONN_STARVED | WSR_CONN_LET_GO | WSR_CONN_ENDED;
    if (!engine->shedding.on || (c->state & stopped) != 0 || !wsr_shed_holds(c))
        return;
    engine->stats.reads_held++;
    c->state |= WSR_CONN_STARVED;
    wsr_conn_list_append(engine, &engine->shedding.held, c, WSR_LINK(starved_next));
    (void)wsr_conn_cancel(engine, c, WSR_ARMED_RECEIVE);
}

/* ---- 3. ---- */

static bool is_leaving(const struct wsr_connection *c)
{
    return (c->ep.flags & WSR_EP_OPEN) == 0 || !wsr_close_is_open(&c->ep.close);
}

/* The one that holds most of those that are open; *leaving: what the others hold, and give back soon. */
static struct wsr_connection *largest(const wsr_engine *engine, size_t *largest_bytes, size_t *leaving)
{
    struct wsr_connection *c, *found = NULL;
    *largest_bytes = *leaving = 0;
    for (uint32_t slot = 0; (c = wsr_table_at(engine, slot)) != NULL; slot++) {
        if (!c->live)
            continue;
        const size_t bytes = wsr_conn_chunk_bytes(c);
        if (is_leaving(c)) {
            *leaving += bytes;
        } else if (bytes > *largest_bytes) {
            *largest_bytes = bytes;
            found = c;
        }
    }
    return found;
}

static void close_one(wsr_engine *engine, struct wsr_connection *c)
{
    engine->stats.connections_shed++;
    wsr_endpoint_fail(&c->ep, engine->now_ns, WSR_ESHED);
    wsr_receive_fini(&c->ep); /* what comes is discarded from now on */
    while (c->backlog != NULL) {
        struct wsr_chunk *chunk = c->backlog;
        c->backlog = chunk->next;
        wsr_env_retire(&engine->env, chunk); /* events of this batch may point into it, where it is a timer that closes */
    }
    wsr_conn_after(engine, c);
}

static void close_largest(wsr_engine *engine)
{
    const struct wsr_pool *pool = &engine->env.pool;
    for (unsigned i = 0; i < CLOSED_AT_ONCE; i++) {
        size_t bytes, leaving;
        struct wsr_connection *c = largest(engine, &bytes, &leaving);
        if (c == NULL || bytes < HOLDS_BYTES || pool->out_bytes < leaving + EIGHTHS(pool->out_bytes_max, REFUSE))
            return;
        close_one(engine, c);
    }
}

/* ---- all ---- */

static void wait_for_relief(wsr_engine *engine, size_t bytes)
{
    struct wsr_shedding *shedding = &engine->shedding;
    shedding->least_bytes = bytes;
    wsr_wheel_set(&engine->wheel, &shedding->stalled, engine->now_ns + STALL_NS);
}

void wsr_shed_turn(wsr_engine *engine)
{
    const struct wsr_pool *pool = &engine->env.pool;
    struct wsr_shedding *shedding = &engine->shedding;
    const size_t bytes = pool->out_bytes, max = pool->out_bytes_max;
    const bool refused = pool->refused != shedding->refused;
    shedding->refused = pool->refused;
    if (!shedding->on && (refused || bytes >= EIGHTHS(max, STOP))) {
        shedding->on = true;
        wait_for_relief(engine, bytes);
    } else if (bytes < EIGHTHS(max, RELIEF) && !refused) {
        shedding->on = false;
        wsr_wheel_unset(&engine->wheel, &shedding->stalled);
    } else if (bytes + max / RELIEF_PART < shedding->least_bytes) {
        wait_for_relief(engine, bytes);
    }
    engine->env.refuses_upgrades = shedding->on && bytes >= EIGHTHS(max, REFUSE);
    if (refused)
        close_largest(engine);
}

void wsr_shed_stalled(wsr_engine *engine)
{
    if (!engine->shedding.on)
        return;
    if (engine->shedding.held.n > 0) { /* nobody is read from who might bring relief, and nothing has moved */
        const struct wsr_pool *pool = &engine->env.pool;
        size_t bytes, leaving;
        struct wsr_connection *c = largest(engine, &bytes, &leaving);
        if (c != NULL && bytes >= HOLDS_BYTES && pool->out_bytes >= leaving + EIGHTHS(pool->out_bytes_max, RELIEF))
            close_one(engine, c);
    }
    wait_for_relief(engine, engine->env.pool.out_bytes);
}
