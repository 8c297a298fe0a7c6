/*
 * conn/front.h - what stands between the ring and an endpoint: a proxy's handshake, then TLS. A connection over plain TCP has
 * none (wsr_conn_front is NULL), which is all that its hot path asks.
 *
 *     completion -> [proxy] -> [tls: decrypted in place] -> input.c -> endpoint
 *     endpoint's drain -> [encrypted into a flying chunk] -> output.c -> ring
 *
 * What flies as plaintext in the endpoint's outbox stays there until all of its ciphertext was taken by the kernel, so messages
 * count as unconfirmed as they do over plain TCP.
 *
 * A handshake costs a thousand times what a message does. So what comes for one waits in a list, from which the loop takes one
 * between two looks at the ring: nobody waits for more than one handshake.
 */
#ifndef WSR_CONN_FRONT_H
#define WSR_CONN_FRONT_H

#include "conn/engine.h"
#include "proto/proxy.h"
#include "tls/session.h"

struct wsr_front;

/* ---- for whoever opens a connection, before wsr_conn_start ---- */

/* Is tls one for ends of this role? NULL: there is none, which is fine. */
bool wsr_front_suits(const wsr_tls *tls, wsr_role role);

/*
 * TLS, of tls's role (the front takes a hold on it). A client: to this peer (copied); tls NULL: one of the engine's own, which trusts
 * the system's roots; timeout_ns is the handshake's, from when the transport (and the proxy) is there, 0: 10 s. A server: NULL and 0;
 * the endpoint's handshake deadline covers both. Returns 0, WSR_ECONFIG (tls does not suit), WSR_ENOMEM, WSR_ETLS.
 */
WSR_MUST_USE int wsr_conn_front_tls(wsr_engine *engine, struct wsr_connection *c, wsr_tls *tls, const struct wsr_tls_peer *peer,
                                    uint64_t timeout_ns);

/* A proxy to ask first; timeout_ns 0: 10 s. Returns 0, WSR_ENOMEM, WSR_ECONFIG (as wsr_proxy_start). */
WSR_MUST_USE int wsr_conn_front_proxy(wsr_engine *engine, struct wsr_connection *c, const struct wsr_proxy_ask *ask, uint64_t timeout_ns);

/* ---- for life.c ---- */

/* The transport is there. */
void wsr_front_start(wsr_engine *engine, struct wsr_connection *c);
/* Of the pool's memory, without the struct itself; without OpenSSL's. */
size_t wsr_front_memory_bytes(const struct wsr_connection *c);
/* With the slot. */
void wsr_front_free(wsr_engine *engine, struct wsr_connection *c);
/* When its own stage must be done; UINT64_MAX: it is, and the endpoint's deadline goes. */
uint64_t wsr_front_deadline(const struct wsr_connection *c);
/* The stage took too long. */
void wsr_front_timeout(struct wsr_connection *c, uint64_t now_ns);
/* Is there something to send, the endpoint's included? */
bool wsr_front_pending(const struct wsr_connection *c);
/* May the sending side be shut down now? Says goodbye first, which makes something to send. */
bool wsr_front_wants_shutdown(struct wsr_connection *c);

/* ---- for input.c ---- */

/* What came, for input.c to hand on. */
struct wsr_front_input {
    struct wsr_chunk *carried; /* first, the caller's; NULL: none */
    wsr_span rest;             /* then this, in the place of what came */
    bool ended;                /* the peer's stream is over, in order */
    bool data_last;            /* with the last byte of what came ended something of that */
};

/* Takes received bytes. They may be kept, in a copy, until the connection's turn. */
struct wsr_front_input wsr_front_take(wsr_engine *engine, struct wsr_connection *c, wsr_span in);
/* Do bytes wait for the connection's turn? */
bool wsr_front_waits(const struct wsr_connection *c);
/* Its turn: the bytes, which are the caller's from now on; to be given to wsr_front_take_now. NULL: it has none (any more). */
struct wsr_chunk *wsr_front_turn(struct wsr_connection *c);
struct wsr_front_input wsr_front_take_now(wsr_engine *engine, struct wsr_connection *c, wsr_span in);
/* The end of the stream, where that is the front's business alone: true, and what follows is done. */
bool wsr_front_ended(struct wsr_connection *c, uint64_t now_ns);
/* The wsr_error that the end of the stream is (sys_errno 0: without a word) where it comes now. */
int wsr_front_end_cause(struct wsr_connection *c, int sys_errno);

/* ---- for output.c ---- */

/* As wsr_endpoint_drain. Where it fails, the endpoint is over. */
unsigned wsr_front_drain(wsr_engine *engine, struct wsr_connection *c, wsr_slice *slices, unsigned cap);
/* The chunks that lie under the slices which a drain has just shown, the endpoint's own or TLS's; NULL: they lie in none. */
struct wsr_chunk *wsr_front_flying(const struct wsr_connection *c);

/* The kernel took so many bytes of them. */
void wsr_front_sent(wsr_engine *engine, struct wsr_connection *c, uint64_t now_ns, size_t bytes);

/* Sending has failed: what was shown to the kernel and what would follow it goes nowhere any more. */
void wsr_front_send_failed(wsr_engine *engine, struct wsr_connection *c, uint64_t now_ns);

/* ---- for calls.c ---- */

WSR_MUST_USE int wsr_front_describe(const struct wsr_connection *c, wsr_tls_info *info);

#endif
