/*
 * tls/context.h - the insides of a wsr_tls: its configuration, the SSL_CTX that handshakes use now, and the client's memory of
 * sessions to resume. wsring/tls.h is the manual.
 *
 * Any thread: the lock covers ctx and remembered; everything else is written once, when it is opened.
 */
#ifndef WSR_TLS_CONTEXT_H
#define WSR_TLS_CONTEXT_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <wsring/tls.h>

#define WSR_TLS_ALPN_MAX 8u        /* protocols */
#define WSR_TLS_REMEMBERED_MAX 64u /* sessions a client keeps, all servers together; some 2 to 8 KiB each */

/* A session that may be resumed, and with whom. */
struct wsr_tls_remembered {
    char *peer;           /* "host:port"; NULL: free */
    SSL_SESSION *session;
    uint64_t number;      /* rises: the oldest gives way */
};

struct wsr_tls {
    atomic_uint holds;
    wsr_tls_config config;      /* its strings lie in texts */
    char *texts;
    const char *alpn[WSR_TLS_ALPN_MAX];
    unsigned alpn_n;
    uint8_t alpn_wire[256];     /* as RFC 7301 section 3.1 has it: each with its length before it */
    unsigned alpn_wire_len;
    int keylog_fd;              /* -1: none */
    EVP_PKEY *self_key;         /* of config.self_signed, once for all reloads */
    X509 *self_certificate;

    pthread_mutex_t lock;
    SSL_CTX *ctx;
    struct wsr_tls_remembered remembered[WSR_TLS_REMEMBERED_MAX]; /* a client's */
    uint64_t remembered_ever;
};

/* A line for a person into why[cap], if there is one: as printf has it, then OpenSSL's first reason if it has one. Returns WSR_ETLS. */
int wsr_tls_complain(char *why, size_t cap, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- certificate.c: what comes from files, or is made instead. 0, or WSR_ETLS and why. ---- */

WSR_MUST_USE int wsr_tls_load_own(SSL_CTX *ctx, const struct wsr_tls *tls, char *why, size_t cap);
WSR_MUST_USE int wsr_tls_load_trust(SSL_CTX *ctx, const struct wsr_tls *tls, char *why, size_t cap);
/* Makes tls->self_key and self_certificate. */
WSR_MUST_USE int wsr_tls_make_own(struct wsr_tls *tls, char *why, size_t cap);

/* ---- context.c ---- */

/* A new connection's half, by the SSL_CTX of now. NULL: no memory. */
SSL *wsr_tls_new_ssl(struct wsr_tls *tls);

/* ---- session.c ---- */

/* OpenSSL has a new session to resume, of a client's: 1 if it is ours from now on. */
int wsr_tls_new_session(SSL *ssl, SSL_SESSION *new_session);

/* ---- resume.c: what a client remembers ---- */

/* Keeps a session with peer; takes the caller's hold on it, also where it is not kept. */
void wsr_tls_remember(struct wsr_tls *tls, const char *peer, SSL_SESSION *session);
/*
 * A session to resume with peer, the caller's to free; NULL: none. One of TLS 1.3 is given out once: "Clients SHOULD NOT reuse a
 * ticket for multiple connections" (RFC 8446 appendix C.4).
 */
SSL_SESSION *wsr_tls_recall(struct wsr_tls *tls, const char *peer);
/* Forgets all. The lock is the caller's to hold, or nobody else knows tls. */
void wsr_tls_forget(struct wsr_tls *tls);

#endif
