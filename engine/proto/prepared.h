/*
 * proto/prepared.h - a message made ready once, to be sent to many (wsr_prepare in wsring/engine.h): its frames, as they go out.
 *
 * A server's frame is the same for everybody (RFC 6455 section 5.1: only a client masks), and so is a message compressed without
 * context takeover, for all who agreed on the same level and window (RFC 7692 section 7.1.1). What differs for each, a client's mask
 * and what refers back to earlier messages, is made when it is sent, as for any other message.
 *
 * An outbox refers to such a frame, or copies a small one. No receive buffer is ever held for it: who takes long to read keeps
 * nobody else from receiving.
 */
#ifndef WSR_PROTO_PREPARED_H
#define WSR_PROTO_PREPARED_H

#include "proto/endpoint.h"

/* A whole frame, and the chunk it lies in. */
struct wsr_made {
    struct wsr_chunk *chunk;
    wsr_slice frame;
};

#define WSR_PREPARED_DEFLATED_MAX 4u /* levels times windows; there is no need for more */

struct wsr_prepared {
    struct wsr_chunk *memory; /* holds this struct */
    struct wsr_env *env;
    wsr_opcode opcode;
    wsr_slice payload;        /* in plain's frame */
    struct wsr_made plain;
    struct {
        struct wsr_made made; /* chunk NULL: smaller as it is */
        uint8_t level, window_bits;
    } deflated[WSR_PREPARED_DEFLATED_MAX];
    unsigned deflated_n;
};

/*
 * See wsr_prepare. A payload that is all of a message which the present batch holds in memory of its own stays where it is, if nobody
 * else holds it: the header goes before it. Any other is copied.
 */
WSR_MUST_USE int wsr_prepared_make(struct wsr_prepared **out, struct wsr_env *env, wsr_opcode opcode, wsr_slice payload);

/* What is queued of it stays until it was sent. */
void wsr_prepared_release(struct wsr_prepared *prepared);

/* To an endpoint of the same env. Returns as wsr_endpoint_send. */
WSR_MUST_USE int wsr_endpoint_send_prepared(struct wsr_endpoint *ep, struct wsr_prepared *prepared);

#endif
