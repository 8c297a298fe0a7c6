/*
 * proto/message.h - the payload of data frames, become messages: passed on where it lies, assembled of pieces and fragments, inflated,
 * or streamed in chunks; text checked on the way (RFC 6455 sections 5.4, 5.6 and 8.1).
 *
 * What it is not: the judge of headers and lengths, which is receive.c; nor the hot path, which is consume.inc. A transport that puts
 * received bytes where they shall be (wsr_endpoint_room, wsr_endpoint_filled) comes here directly.
 */
#ifndef WSR_PROTO_MESSAGE_H
#define WSR_PROTO_MESSAGE_H

#include "proto/endpoint.h"

/* Payload bytes of the open message that came before the current frame's rest; never over limits.message_bytes_max. */
static inline uint64_t wsr_message_present(const struct wsr_endpoint *ep)
{
    return ep->in->streamed + (ep->in->message != NULL ? ep->in->message->len : 0);
}

/* A data frame's header was taken; its payload, which may be empty, follows. May use up the last place in the batch. */
void wsr_message_frame(struct wsr_endpoint *ep, struct wsr_batch *batch);

/*
 * Takes a run of the current data frame's payload: len is at most ep->in->left, and 0 only if that is. The batch must have room for one
 * event. Returns the bytes taken; *error: 0, or the wsr_error for which the connection fails.
 */
size_t wsr_message_take(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len, int *error);

#endif
