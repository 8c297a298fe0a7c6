/*
 * proto/permessage.h - permessage-deflate in an endpoint (RFC 7692 section 7.2): messages deflated on their way out, and
 * inflated on their way in, no further than the limit.
 *
 *     in : payload (unmasked) -> inflate -> UTF-8 -> ep->in->message
 *     out: message -> deflate -> frame with RSV1 -> outbox
 *
 * A message is deflated when it is sent, not when it leaves: what refers back to earlier messages can be neither reordered nor
 * dropped, and of an outbox only the end is ever dropped, with nothing but a Close behind it. Who shares what: a direction with
 * context takeover has a codec of its own; all others of an engine (struct wsr_env) share compressors, and lend each other
 * decompressors, a message at a time. What the ends agree on is deflate_offer.h's; compressing itself is the room deflate's.
 */
#ifndef WSR_PROTO_PERMESSAGE_H
#define WSR_PROTO_PERMESSAGE_H

#include <wsring/frame.h>

#include "proto/aside.h"
#include "proto/deflate.h"
#include "proto/deflate_offer.h"
#include "proto/endpoint.h"

/* Per connection, only where it was agreed on. */
struct wsr_permessage {
    struct wsr_codec *deflater;  /* with takeover, from the first message on; NULL: none */
    struct wsr_codec *inflater;  /* likewise; without takeover while a message is coming in */
    uint64_t wire_bytes;         /* of the message that is coming in, announced by the headers of its frames so far */
    uint32_t threshold_bytes;
    uint8_t level;
    bool inflating;              /* the message that is open came with RSV1 */
    struct wsr_deflate_way send, receive;
};

/* NULL: it was not agreed on. */
static inline struct wsr_permessage *wsr_permessage_of(const struct wsr_endpoint *ep)
{
    return (struct wsr_permessage *)wsr_aside(ep, WSR_ASIDE_DEFLATE);
}

/* From now on, as agreed. Returns 0, WSR_ENOMEM. */
WSR_MUST_USE int wsr_permessage_open(struct wsr_endpoint *ep, const wsr_deflate *config, const struct wsr_deflate_agreed *agreed);
void wsr_permessage_close(struct wsr_endpoint *ep);

/* Gives back what the endpoints of an engine share. */
void wsr_permessage_release(struct wsr_env *env);

/* Bytes of its codecs, which this connection holds for it alone. */
size_t wsr_permessage_bytes(const struct wsr_endpoint *ep);

/* Is a data frame with this first byte part of a compressed message? Its class is good. */
static inline bool wsr_permessage_is_deflated(const struct wsr_endpoint *ep, uint8_t first)
{
    const struct wsr_permessage *deflate = wsr_permessage_of(ep);
    return deflate != NULL && ((first & WSR_RSV1) != 0 || deflate->inflating);
}

/*
 * Where messages may be delivered in chunks, no more input than this is inflated at once, so that a chunk stays near a MiB:
 * a byte makes 1032 at most (258 by one bit for the length and one for the distance).
 */
#define WSR_DEFLATED_STEP_BYTES 1024u

/* A frame of a compressed message announces its payload. Returns 0, WSR_EMESSAGE_SIZE: nobody needs that many. */
WSR_MUST_USE int wsr_permessage_announce(struct wsr_endpoint *ep, uint64_t payload_len);

/*
 * Inflates payload bytes of a compressed message, unmasked, behind ep->in->message; last: with them it ends. Text is checked,
 * byte by byte as it comes out. Returns 0, WSR_EDEFLATE, WSR_EUTF8, WSR_EMESSAGE_SIZE, WSR_ENOMEM.
 */
WSR_MUST_USE int wsr_permessage_take(struct wsr_endpoint *ep, const uint8_t *p, size_t len, bool last);

/* The message that was open, compressed or not, was delivered. */
void wsr_permessage_over(struct wsr_endpoint *ep);

/*
 * Deflates a message that is to be sent. *deflated: its payload, to be sent with RSV1, and given back with
 * wsr_permessage_sent; NULL: send it as it is (too small, not worth it, or no memory to do it with).
 */
void wsr_permessage_deflate(struct wsr_endpoint *ep, wsr_slice message, struct wsr_chunk **deflated);
/* It was queued, or could not be: then nothing may refer back to it. */
void wsr_permessage_sent(struct wsr_endpoint *ep, struct wsr_chunk *deflated, bool queued);

#endif
