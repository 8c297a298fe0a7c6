/*
 * tls/handover.h - from OpenSSL, which shook hands, to records.h: the keys and how many records were made with them. And what
 * OpenSSL reads from and writes to until then (bio.c). Between the files of a session; session.h is the outside.
 */
#ifndef WSR_TLS_HANDOVER_H
#define WSR_TLS_HANDOVER_H

#include <openssl/ssl.h>

#include "tls/session.h"

/* ---- handover.c ---- */

/* For each SSL: counts records. */
void wsr_tls_watch(struct wsr_tls_session *session);
/* A line of the key log (NSS format) about the session's connection. */
void wsr_tls_learn(struct wsr_tls_session *session, const char *line);
/* OpenSSL is to read no further record, if it can be handed over at all. */
void wsr_tls_yield(struct wsr_tls_session *session);
/* Hands over if it is time: the handshake is done, no record is half read, and a client has its ticket. */
void wsr_tls_hand_over(struct wsr_tls_session *session);

/* ---- bio.c ---- */

/* Gives ssl a BIO that reads the session's input and writes its output. Returns 0, WSR_ENOMEM. */
WSR_MUST_USE int wsr_tls_attach(struct wsr_tls_session *session);
/* A chunk at output's end, with room for `bytes` at least. NULL: no memory. */
struct wsr_chunk *wsr_tls_append(struct wsr_tls_session *session, size_t bytes);

#endif
