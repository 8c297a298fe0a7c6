/*
 * conn/preface.h - a PROXY protocol header before everything else (proto/haproxy.h), where a listener demands one: taken off the
 * stream, and kept as the connection's addresses. A connection without (nothing of WSR_ASIDE_PREFACE) knows nothing of it.
 */
#ifndef WSR_CONN_PREFACE_H
#define WSR_CONN_PREFACE_H

#include "conn/engine.h"
#include "ring/sys.h"

struct wsr_preface;

/* The stream is to begin with one (WSR_CONN_PREFACED, until it has come). Before wsr_conn_start. 0, WSR_ENOMEM. */
WSR_MUST_USE int wsr_preface_expect(wsr_engine *engine, struct wsr_connection *c);
/* Takes what is the header's of received bytes and returns how many that were. If there is none, the endpoint is over. */
size_t wsr_preface_take(wsr_engine *engine, struct wsr_connection *c, const uint8_t *p, size_t len);
/* With the slot. */
void wsr_preface_free(wsr_engine *engine, struct wsr_connection *c);
/* The client's own address, and the one it connected to. False: there was no such header, or it did not say. */
bool wsr_preface_addresses(const struct wsr_connection *c, union wsr_address *source, union wsr_address *destination);

#endif
