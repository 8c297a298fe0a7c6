/*
 * proto/refusal.h - a server's answer other than 101, as a client keeps it for the close record: its head and the beginning of
 * its body (RFC 9112 section 6). It is bounded in bytes by WSR_RESPONSE_BODY_MAX and in time by wsr_limits.close_timeout_ns, and
 * CLOSED waits for no more of it than that.
 *
 * It lives beside the endpoint (aside.h) from the head's last byte to the report, and without memory there is none.
 */
#ifndef WSR_PROTO_REFUSAL_H
#define WSR_PROTO_REFUSAL_H

#include "proto/endpoint.h"
#include "proto/http.h"

/*
 * The handshake has failed with this answer: collects its body from now on, or ends the connection if there is none to come.
 * head: its bytes, given away here; parts: the same split, borrowed.
 */
void wsr_refusal_begin(struct wsr_endpoint *ep, uint64_t now_ns, struct wsr_chunk *head, const struct wsr_http_head *parts);

/* As far as it has come; NULL: there is none. Valid until wsr_refusal_retire, and then as long as the batch. */
const wsr_response *wsr_refusal_show(struct wsr_endpoint *ep);
void wsr_refusal_retire(struct wsr_endpoint *ep);
void wsr_refusal_free(struct wsr_endpoint *ep); /* at once */

#endif
