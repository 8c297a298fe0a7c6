/*
 * conn/stamp.c - see stamp.h.
 */
#include "conn/stamp.h"

#include <string.h>

int wsr_stamps_open(wsr_engine *engine)
{
    const int error = wsr_ring_open_stamped(engine->ring);
    const uint32_t n = wsr_ring_buffers(engine->ring), before = engine->buffers_n;
    if (error < 0 || n == before)
        return error;
    const wsr_allocator *allocator = engine->allocator;
    uint32_t *held = allocator->resize(allocator->context, engine->held, before * sizeof *held, n * sizeof *held);
    if (held == NULL)
        return WSR_ENOMEM;
    memset(held + before, 0, (n - before) * sizeof *held);
    engine->held = held;
    engine->buffers_n = n;
    return WSR_OK;
}

static bool is_received(const wsr_event *event)
{
    return event->type == WSR_EVENT_MESSAGE || event->type == WSR_EVENT_CHUNK || event->type == WSR_EVENT_PING || event->type == WSR_EVENT_PONG;
}

/* Is the end of one frame, or a piece of one, all that came? Frames that make no event (pongs to our pings) count. */
static bool is_alone(const struct wsr_batch *batch, const struct wsr_connection *c, struct wsr_stamp_mark mark)
{
    return batch->n - mark.events == 1 && c->ep.frames_in - mark.frames == 1 && !wsr_endpoint_in_header(&c->ep) && c->backlog == NULL;
}

void wsr_stamp_events(const struct wsr_batch *batch, const struct wsr_connection *c, struct wsr_stamp_mark mark,
                      const wsr_receive_stamp *stamp, bool data_last)
{
    const bool alone = data_last && is_alone(batch, c, mark);
    const unsigned flags = alone ? WSR_EVENT_STAMPED : WSR_EVENT_STAMPED | WSR_EVENT_STAMP_SHARED;
    for (unsigned i = mark.events; i < batch->n; i++) {
        wsr_event *event = &batch->ev[i];
        if (!is_received(event))
            continue;
        event->flags |= (uint16_t)flags;
        event->token = (uintptr_t)stamp;
    }
}

void wsr_stamp_keep(struct wsr_chunk *chunk, const wsr_receive_stamp *stamp)
{
    *(wsr_receive_stamp *)(void *)chunk->bytes = stamp != NULL ? *stamp : (wsr_receive_stamp){0, 0};
    chunk->start = chunk->data = chunk->bytes + sizeof *stamp;
}

void wsr_stamp_late(const struct wsr_batch *batch, const struct wsr_connection *c, struct wsr_stamp_mark mark, const struct wsr_chunk *chunk)
{
    const wsr_receive_stamp *stamp = (const wsr_receive_stamp *)(const void *)chunk->bytes;
    if (stamp->realtime_ns != 0 || stamp->hardware_ns != 0)
        wsr_stamp_events(batch, c, mark, stamp, false);
}
