/*
 * proto/keepalive.h - pings of the endpoint's own: when silence asks for one, what its answer tells, when a peer is dead
 * (RFC 6455 sections 5.5.2 and 5.5.3). The application's own pings pass by here untouched.
 *
 * A ping's payload is the engine's random tag and a number, so a pong is known to be an answer, and to which ping.
 */
#ifndef WSR_PROTO_KEEPALIVE_H
#define WSR_PROTO_KEEPALIVE_H

#include "proto/endpoint.h"

/* Queues a ping now. Returns 0, WSR_ENOMEM, WSR_ERANDOM; on an error nothing was queued. */
WSR_MUST_USE int wsr_keepalive_ping(struct wsr_endpoint *ep, uint64_t now_ns);

/*
 * While WSR_EP_PING_WAITS. The ping may be in what is given to the transport now: then its round trip begins, whenever it was
 * queued. And it may be in what the transport has taken by now: if that was long after, the time to answer begins only now.
 */
void wsr_keepalive_flies(struct wsr_endpoint *ep, uint64_t now_ns);
void wsr_keepalive_left(struct wsr_endpoint *ep, uint64_t now_ns);

/* A pong came. True if it answers a ping from here: then it is no news for the application. */
bool wsr_keepalive_pong(struct wsr_endpoint *ep, uint64_t now_ns, wsr_slice payload);

/* While the endpoint is open: when to call wsr_keepalive_time, which must not be earlier, and what it does then. */
uint64_t wsr_keepalive_deadline(const struct wsr_endpoint *ep);
void wsr_keepalive_time(struct wsr_endpoint *ep, uint64_t now_ns);

/* Would wsr_keepalive_time give the peer up? For a caller who may know that it lives (wsr_keepalive_excuse). */
bool wsr_keepalive_gives_up(const struct wsr_endpoint *ep, uint64_t now_ns);

/* The silence until now says nothing: its reasons are our own, or the peer was seen to live. What was asked is not judged. */
void wsr_keepalive_excuse(struct wsr_endpoint *ep, uint64_t now_ns);

#endif
