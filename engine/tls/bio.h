/*
 * tls/bio.h - what OpenSSL reads from and writes to: a session's slices and chunks. Between the files of a session; session.h is the
 * outside.
 */
#ifndef WSR_TLS_BIO_H
#define WSR_TLS_BIO_H

#include "tls/session.h"

#define WSR_TLS_RECORD_HEAD 5u /* bytes: type, version, length */

/* Gives session->ssl a BIO that reads the session's input and writes its output. Returns 0, WSR_ENOMEM. */
WSR_MUST_USE int wsr_tls_attach(struct wsr_tls_session *session);

/* A chunk at output's end, with room for `bytes` at least. NULL: no memory. */
struct wsr_chunk *wsr_tls_append(struct wsr_tls_session *session, size_t bytes);

/* Bytes of the body of the record under way, once its header is there. */
static inline uint32_t wsr_tls_record_body(const struct wsr_tls_record *record)
{
    return (uint32_t)record->head[3] << 8 | record->head[4];
}

#endif
