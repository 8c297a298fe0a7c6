/*
 * proto/handshake.h - the opening handshake of an endpoint, both roles (RFC 6455 section 4).
 *
 * It collects the head of the peer's request or answer (bounded, linear, at any split), judges it (proto/upgrade.h), puts
 * the answer into the outbox and hands the endpoint over to frames. It lives in one allocation that ends with it.
 */
#ifndef WSR_PROTO_HANDSHAKE_H
#define WSR_PROTO_HANDSHAKE_H

#include "proto/endpoint.h"

/*
 * Puts it beside the endpoint (aside.h) and sets ep->feed. A client's request is put into the outbox. What config says is copied.
 * Returns 0, WSR_ECONFIG (see wsr_handshake_check), WSR_ENOMEM, WSR_ERANDOM.
 */
WSR_MUST_USE int wsr_handshake_start(struct wsr_endpoint *ep, const wsr_endpoint_config *config);

/*
 * Would it start? Returns 0, or WSR_ECONFIG: a client's host is missing, a string is not what it should be or breaks out of its
 * line, or a field of deflate is out of range.
 */
WSR_MUST_USE int wsr_handshake_check(const wsr_endpoint_config *config);

/* Frees it; NULL is fine. */
void wsr_handshake_free(struct wsr_endpoint *ep);

/* Answers a REQUEST: see wsr_endpoint_accept and wsr_endpoint_refuse. WSR_ESTATE if none is awaited. */
WSR_MUST_USE int wsr_handshake_accept(struct wsr_endpoint *ep, uint64_t now_ns, const char *subprotocol, const char *headers);
WSR_MUST_USE int wsr_handshake_refuse(struct wsr_endpoint *ep, uint64_t now_ns, unsigned status, const char *headers, wsr_slice body);

/* The total deadline has passed: a server answers 408. */
void wsr_handshake_timeout(struct wsr_endpoint *ep, uint64_t now_ns);

/* Does it await the application's answer? Then input is not consumed. */
bool wsr_handshake_waits(const struct wsr_endpoint *ep);

#endif
