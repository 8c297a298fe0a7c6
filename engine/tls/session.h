/*
 * tls/session.h - one connection's TLS: ciphertext in, plaintext out, and the other way, as slices; no socket, no system call.
 *
 *     start; then, whatever comes: take -> plaintext          write (plaintext) -> output: chunks of ciphertext, to be sent in order
 *
 * Whatever is called may produce output: a handshake's messages, tickets, answers to key updates, alerts. One thread.
 */
#ifndef WSR_TLS_SESSION_H
#define WSR_TLS_SESSION_H

#include <wsring/tls.h>

#include "base/pool.h"

struct ssl_st;

enum wsr_tls_state {
    WSR_TLS_SHAKING, /* the handshake goes on */
    WSR_TLS_OPEN,
    WSR_TLS_ENDED,   /* the peer's close_notify came: nothing more will; this end may still write */
    WSR_TLS_FAILED   /* error and detail say why; what is in output (an alert, perhaps) is the last */
};

/* What has come of the record that is under way (RFC 8446 section 5.1): by it is known where a plaintext will fit. */
struct wsr_tls_record {
    uint8_t head[5]; /* type, version, length */
    uint8_t head_len;
    uint32_t left;   /* bytes of its body still to come */
};

struct wsr_tls_session {
    struct ssl_st *ssl;
    struct wsr_tls *tls;      /* held */
    struct wsr_pool *pool;
    const uint8_t *in;        /* of the call under way */
    size_t in_len;
    struct wsr_tls_record record;
    struct wsr_chunk *out, *out_tail; /* ciphertext made and not yet taken */
    char *peer;               /* client: what its sessions are remembered by; NULL: they are not */
    const char *detail;       /* static: why it failed */
    int error;                /* WSR_ETLS, WSR_ETLS_CERTIFICATE, WSR_ENOMEM; WSR_OK while not failed */
    uint8_t state;            /* wsr_tls_state */
    uint8_t alert;            /* fatal, sent or received; 0: none (close_notify is not fatal) */
    bool alert_received;
    bool notified;            /* our close_notify is in output, or was */
    bool plain_http;          /* failed because the peer speaks HTTP in the clear */
    bool no_memory;           /* output found none */
};

/* Whom a client's end talks to. */
struct wsr_tls_peer {
    const char *host; /* as in its URL: a name, which is sent along and must be the certificate's; or a numeric address, without brackets,
                         likewise but not sent */
    uint16_t port;    /* by which with host sessions are remembered */
    /*
     * Somebody whom this end's certificate is not for: it is not shown, nor is a session resumed that knows it, nor one made that does
     * not. What the server's certificate must be stays the same.
     */
    bool stranger;
};

/* Whose end it is for. */
wsr_role wsr_tls_role(const struct wsr_tls *tls);

/*
 * Begins one end of a connection, of tls's role, in place; pool is where ciphertext goes and must outlive it. peer: a client's, read
 * and not kept; a server: NULL. A client's first message is in output then.
 * Returns 0, WSR_ENOMEM, WSR_ETLS (host can be no server's name).
 */
WSR_MUST_USE int wsr_tls_start(struct wsr_tls_session *session, struct wsr_tls *tls, struct wsr_pool *pool, const struct wsr_tls_peer *peer);
void wsr_tls_end(struct wsr_tls_session *session);

/* What wsr_tls_take made of its bytes. */
struct wsr_tls_plain {
    struct wsr_chunk *carried; /* the caller's: plaintext of a record whose beginning came with earlier bytes; NULL: none */
    wsr_span rest;             /* what follows it, in the place of the ciphertext */
    bool data_last;            /* the last byte taken was the last of a record with plaintext: no part of one came behind it, no ticket */
};

/*
 * Takes all of in (unless it ends or fails before) and decrypts it in place, as far as records are whole. Look at state after it.
 */
struct wsr_tls_plain wsr_tls_take(struct wsr_tls_session *session, wsr_span in);

/*
 * Room in output for the records of so many bytes of plaintext in so many writes, in one chunk. Not needed; without it output
 * consists of smaller chunks. False: no memory for that.
 */
WSR_MUST_USE bool wsr_tls_reserve(struct wsr_tls_session *session, size_t plain_bytes, unsigned writes);

/* Encrypts plain, not empty, into output. OPEN or ENDED only, and not behind wsr_tls_notify. False: it failed. */
WSR_MUST_USE bool wsr_tls_write(struct wsr_tls_session *session, wsr_slice plain);

/* "Each party MUST send a close_notify alert before closing its write side" (RFC 8446 section 6.1). Once; no more writes. */
void wsr_tls_notify(struct wsr_tls_session *session);

/* Puts bytes that are not TLS's into output, for a peer that speaks none. False: no memory. */
WSR_MUST_USE bool wsr_tls_put(struct wsr_tls_session *session, wsr_slice bytes);

/* The ciphertext to be sent, in order; the caller's from now on. NULL: none. */
struct wsr_chunk *wsr_tls_output(struct wsr_tls_session *session);

/* What was agreed on. OPEN or ENDED only. */
void wsr_tls_describe(const struct wsr_tls_session *session, wsr_tls_info *info);

#endif
