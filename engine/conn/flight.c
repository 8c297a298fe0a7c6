/*
 * conn/flight.c - see flight.h.
 */
#include "conn/flight.h"

#include <assert.h>
#include <errno.h>

#include "conn/front.h"
#include "ring/sys.h"

#define FLIGHTS_FIRST 16u

struct wsr_flight {
    wsr_conn conn;          /* whose send it is until that completes; 0: it has, or the flight is free */
    struct wsr_chunk *held; /* references to what was shown */
    uint32_t next_free;
};

static struct wsr_flight *flight_at(const wsr_engine *engine, uint32_t index)
{
    assert(index < engine->flights.n);
    return &engine->flights.all[index];
}

/* Twice as many. Their numbers stay, and those are all that the kernel knows of them. */
static bool more_flights(wsr_engine *engine)
{
    struct wsr_flights *flights = &engine->flights;
    const uint32_t n = flights->n > 0 ? 2 * flights->n : FLIGHTS_FIRST;
    const wsr_allocator *allocator = engine->allocator;
    struct wsr_flight *all = flights->n == 0 ? allocator->alloc(allocator->context, n * sizeof *all)
                                             : allocator->resize(allocator->context, flights->all, flights->n * sizeof *all, n * sizeof *all);
    if (all == NULL)
        return false;
    for (uint32_t i = flights->n; i < n; i++)
        all[i] = (struct wsr_flight){.next_free = i + 1}; /* the last one's is never looked at: more are made before */
    *flights = (struct wsr_flights){all, n, flights->in_use, flights->n};
    return true;
}

static void land(wsr_engine *engine, uint32_t index)
{
    struct wsr_flight *flight = flight_at(engine, index);
    wsr_pool_put_list(&engine->env.pool, flight->held);
    *flight = (struct wsr_flight){.next_free = engine->flights.free};
    engine->flights.free = index;
    engine->flights.in_use--;
}

bool wsr_flight_suits(const wsr_engine *engine, const struct wsr_connection *c, const wsr_slice *slices, unsigned n)
{
    const uint32_t least = engine->config.zero_copy_bytes;
    if (least == 0 || c->copies || engine->shedding.on)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (slices[i].len < least)
            return false;
    return wsr_front_flying(c) != NULL; /* what a proxy is told lies in no chunk */
}

/* A reference to each chunk that a slice lies in. */
static bool hold_all(struct wsr_pool *pool, struct wsr_chunk *shown, const wsr_slice *slices, unsigned n, struct wsr_chunk **held)
{
    *held = NULL;
    for (unsigned i = 0; i < n; i++, shown = shown->next) {
        struct wsr_chunk *reference = wsr_pool_refer(pool, shown->of != NULL ? shown->of : shown, slices[i]);
        if (reference == NULL) {
            wsr_pool_put_list(pool, *held);
            return false;
        }
        reference->next = *held;
        *held = reference;
    }
    return true;
}

int wsr_flight_send(wsr_engine *engine, struct wsr_connection *c, const wsr_slice *slices, unsigned n)
{
    struct wsr_flights *flights = &engine->flights;
    struct wsr_chunk *held;
    if ((flights->in_use == flights->n && !more_flights(engine)) || !hold_all(&engine->env.pool, wsr_front_flying(c), slices, n, &held))
        return WSR_ENOMEM;
    const uint32_t index = flights->free;
    struct wsr_flight *flight = flight_at(engine, index);
    flights->free = flight->next_free;
    flights->in_use++;
    *flight = (struct wsr_flight){.conn = wsr_conn_id(c), .held = held};
    const int error = wsr_ring_send_zero_copy(engine->ring, c->fd, WSR_TAG(WSR_OP_SEND_ZERO_COPY, index), slices, n);
    if (error < 0)
        land(engine, index);
    else
        engine->stats.zero_copy_sends++;
    return error;
}

/* Such sockets (not TCP) and such hosts (a kernel without, or no more memory that may be locked) there are. */
static bool is_refusal(int32_t res)
{
    return res == -EOPNOTSUPP || res == -EINVAL || res == -ENOMEM || res == -ENOBUFS;
}

void wsr_flight_completion(wsr_engine *engine, struct wsr_batch *batch, const struct wsr_completion *completion)
{
    const uint32_t index = (uint32_t)WSR_TAG_ID(completion->tag);
    struct wsr_flight *flight = flight_at(engine, index);
    const wsr_conn conn = flight->conn;
    flight->conn = 0;
    if ((completion->flags & WSR_COMPLETION_MORE) == 0)
        land(engine, index);
    struct wsr_connection *c = conn != 0 ? wsr_table_find(engine, conn) : NULL; /* it is there: its send is armed */
    if (c == NULL)
        return;
    struct wsr_completion sent = *completion;
    if (is_refusal(completion->res)) { /* it is sent again, the other way, and what follows is too */
        c->copies = true;
        engine->stats.zero_copy_refused++;
        sent.res = -EAGAIN;
    }
    wsr_output_completion(engine, batch, c, &sent);
}

/* Looked for one by one, but only to cancel a send, and only where there are some of this kind. */
uint64_t wsr_flight_tag(const wsr_engine *engine, const struct wsr_connection *c)
{
    const wsr_conn conn = wsr_conn_id(c);
    for (uint32_t i = 0, seen = 0; seen < engine->flights.in_use; i++) {
        const struct wsr_flight *flight = flight_at(engine, i);
        seen += flight->held != NULL;
        if (flight->conn == conn)
            return WSR_TAG(WSR_OP_SEND_ZERO_COPY, i);
    }
    return WSR_TAG(WSR_OP_SEND, conn);
}

size_t wsr_flights_bytes(const wsr_engine *engine)
{
    return engine->flights.n * sizeof(struct wsr_flight);
}

void wsr_flights_cut(wsr_engine *engine)
{
    struct wsr_connection *c;
    for (uint32_t slot = 0; engine->flights.in_use > 0 && (c = wsr_table_at(engine, slot)) != NULL; slot++)
        if (c->live && c->fd >= 0)
            wsr_sys_disconnect(c->fd);
}

void wsr_flights_fini(wsr_engine *engine, bool kernel_is_done)
{
    struct wsr_flights *flights = &engine->flights;
    for (uint32_t i = 0; kernel_is_done && i < flights->n; i++)
        wsr_pool_put_list(&engine->env.pool, flight_at(engine, i)->held);
    if (flights->n > 0)
        engine->allocator->release(engine->allocator->context, flights->all, flights->n * sizeof *flights->all);
    *flights = (struct wsr_flights){.all = NULL};
}
