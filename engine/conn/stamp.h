/*
 * conn/stamp.h - the kernel's time stamp of a receive (ring.h), handed to the events that end in it. What those may say of it is
 * WSR_EVENT_STAMPED's and WSR_EVENT_STAMP_SHARED's comment in wsring/event.h.
 */
#ifndef WSR_CONN_STAMP_H
#define WSR_CONN_STAMP_H

#include "conn/engine.h"

/* Readies the engine for connections with stamps; for whatever may make one. Returns 0, or as wsr_ring_open_stamped. */
WSR_MUST_USE int wsr_stamps_open(wsr_engine *engine);

/* How far a batch and a connection's frames are, before bytes are given to it. */
struct wsr_stamp_mark {
    unsigned events;
    uint64_t frames; /* ended */
};

static inline struct wsr_stamp_mark wsr_stamp_mark(const struct wsr_batch *batch, const struct wsr_connection *c)
{
    return (struct wsr_stamp_mark){batch->n, c->ep.frames_in - wsr_endpoint_in_payload(&c->ep)};
}

/*
 * Stamps what the bytes given to c since the mark, all of one receive, have made. data_last: nothing but these lay at its end, and
 * nothing more behind it. stamp lives as long as the batch.
 */
void wsr_stamp_events(const struct wsr_batch *batch, const struct wsr_connection *c, struct wsr_stamp_mark mark,
                      const wsr_receive_stamp *stamp, bool data_last);

/* Bytes that have to wait: their stamp, NULL if they have none, is laid into their empty chunk, before them. */
void wsr_stamp_keep(struct wsr_chunk *chunk, const wsr_receive_stamp *stamp);
/* wsr_stamp_events for bytes of such a chunk: shared, for the rest of their receive was delivered before them or will be behind. */
void wsr_stamp_late(const struct wsr_batch *batch, const struct wsr_connection *c, struct wsr_stamp_mark mark, const struct wsr_chunk *chunk);

#endif
