/*
 * proto/outbox.h - what an endpoint has to send: whole frames in wire form, in order, with a control lane beside them.
 *
 *     append -> queue -> (drain) -> flying -> (sent) -> gone
 *
 * All of it is one list, in the order in which it leaves: what flies, a handshake, the lane, the queue. Flying chunks have been shown to
 * the transport: they neither move nor change until it took them. The queue begins and ends at a frame boundary, so it can
 * be dropped there. The control lane (pongs and pings) goes before the queue at the next frame boundary, and is exempt from
 * limits; a Close is not in it, since it must not overtake data. While nothing flies, every pong and ping has its place in
 * the lane, in order, up to a few KiB; while the transport is busy, one of each waits, the newest (RFC 6455 section 5.5.3).
 */
#ifndef WSR_PROTO_OUTBOX_H
#define WSR_PROTO_OUTBOX_H

#include "base/pool.h"
#include "proto/keypool.h"
#include "simd/simd.h"

struct wsr_outbox {
    struct wsr_chunk *last;  /* its next is the first; NULL: there is nothing to send */
    size_t bytes;            /* of all but the lane */
    uint64_t frames;         /* ever appended */
    uint64_t messages;       /* data messages ever appended, and the bytes of their payloads */
    uint64_t payload_bytes;
};

/* What it takes to make frames: the sender's side of wsr_env. */
struct wsr_framer {
    struct wsr_pool *pool;
    const struct wsr_kernels *kernels;
    struct wsr_keypool *keys; /* NULL: frames are not masked (a server's) */
};

/* In order; NULL: no more. */
static inline struct wsr_chunk *wsr_outbox_first(const struct wsr_outbox *out)
{
    return out->last != NULL ? out->last->next : NULL;
}

static inline struct wsr_chunk *wsr_outbox_after(const struct wsr_outbox *out, const struct wsr_chunk *chunk)
{
    return chunk != out->last ? chunk->next : NULL;
}

/* Frees everything. */
void wsr_outbox_free(struct wsr_outbox *out, struct wsr_pool *pool);

/*
 * Appends one frame: first as on the wire (FIN, RSV, opcode), payload copied and, for a client, masked in the same pass.
 * Returns 0, WSR_ENOMEM, WSR_ERANDOM; on an error nothing was appended.
 */
WSR_MUST_USE int wsr_outbox_frame(struct wsr_outbox *out, const struct wsr_framer *framer, uint8_t first, wsr_slice payload);

/*
 * Appends one frame, not masked, whose payload is all that chunk holds: the header goes before it and the chunk into the
 * queue, which owns it from now on. Nothing is copied, and it cannot fail.
 */
void wsr_outbox_adopt(struct wsr_outbox *out, struct wsr_chunk *chunk, uint8_t first);

/* From this many bytes on a frame made beforehand is referred to; a smaller one is copied, which costs less (bench/README.md). */
#define WSR_REFERENCE_BYTES_MIN 1024u

/*
 * Appends a data frame made beforehand, as it is on the wire, of a message of payload_bytes: a copy of it, or, from
 * WSR_REFERENCE_BYTES_MIN on, a reference to chunk, in which it lies and whose bytes nobody changes any more. Returns 0, WSR_ENOMEM.
 */
WSR_MUST_USE int wsr_outbox_made(struct wsr_outbox *out, struct wsr_pool *pool, struct wsr_chunk *chunk, wsr_slice frame, size_t payload_bytes);

/*
 * Appends a whole data message as fragments of at most fragment_bytes (not 0) of payload. first: of its first frame, opcode and
 * RSV bits; FIN is set where it belongs. All of it or nothing. Returns likewise.
 */
WSR_MUST_USE int wsr_outbox_fragments(struct wsr_outbox *out, const struct wsr_framer *framer, uint8_t first, wsr_slice payload,
                                      size_t fragment_bytes);

/* Appends bytes that are not a frame (the handshake). */
WSR_MUST_USE int wsr_outbox_raw(struct wsr_outbox *out, struct wsr_pool *pool, wsr_slice bytes);

/*
 * Puts a pong or ping (payload at most 125 bytes) into the lane: behind those that are there, or, if something is flying or
 * the lane is full, in the place of one of its kind that came since. Returns likewise.
 */
WSR_MUST_USE int wsr_outbox_control(struct wsr_outbox *out, const struct wsr_framer *framer, wsr_opcode opcode, wsr_slice payload);

/*
 * Shows what is to be sent, up to cap slices. While something is flying it shows only that: one send is under way at a
 * time. Otherwise the lane and then as much of the queue as fits in cap take off (a handshake's bytes before either).
 * Returns how many slices.
 */
unsigned wsr_outbox_drain(struct wsr_outbox *out, const struct wsr_framer *framer, wsr_slice *slices, unsigned cap);

/* The transport took `bytes` of what flies. */
void wsr_outbox_sent(struct wsr_outbox *out, struct wsr_pool *pool, size_t bytes);

/* Anything flying, queued or in the lane? */
static inline bool wsr_outbox_pending(const struct wsr_outbox *out)
{
    return out->last != NULL;
}

/* Anything flying? */
bool wsr_outbox_flies(const struct wsr_outbox *out);
/* Does a pong or a ping wait in the lane? */
bool wsr_outbox_lane_waits(const struct wsr_outbox *out);

/* Messages and their payload bytes in a list of chunks. */
struct wsr_outbox_count {
    uint64_t messages;
    uint64_t bytes;
};

/*
 * Drops the queue, and counts what the transport never saw of it. What flies stays, and a handshake, the lane (so that it
 * does not depend on how input was cut which pings were answered) and a Close that is queued.
 */
struct wsr_outbox_count wsr_outbox_drop(struct wsr_outbox *out, struct wsr_pool *pool);

/* Messages in what flies of which the transport has not taken the last byte. */
struct wsr_outbox_count wsr_outbox_unconfirmed(const struct wsr_outbox *out);

#endif
