/*
 * tls/context.c - a wsr_tls: made of its configuration, counted, read again (wsring/tls.h).
 *
 * What is fixed here for every connection: TLS 1.2 or later; forward secrecy and AEAD; no renegotiation, no compression, no early
 * data; tickets instead of a server's memory; a client verifies, and looks at names in subjectAltName only (RFC 9525 section 6).
 */
#include "tls/context.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "tls/session.h"

/* RFC 9325 section 4.2: of TLS 1.2, the suites with ephemeral keys and authenticated encryption. */
#define CIPHERS_DEFAULT "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"
#define ALPN_DEFAULT "http/1.1"

int wsr_tls_complain(char *why, size_t cap, const char *format, ...)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    if (why == NULL || cap == 0)
        return WSR_ETLS;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(why, cap, format, arguments);
    va_end(arguments);
    if (reason != NULL && n >= 0 && (size_t)n < cap)
        snprintf(why + n, cap - (size_t)n, ": %s", reason);
    return WSR_ETLS;
}

/* ---- the configuration ---- */

static int copy_texts(struct wsr_tls *tls)
{
    wsr_tls_config *config = &tls->config;
    const char **const texts[] = {&config->certificate, &config->key, &config->self_signed, &config->trust,
                                  &config->ciphers, &config->ciphersuites, &config->keylog, &config->alpn};
    size_t bytes = 1;
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++)
        bytes += *texts[i] != NULL ? strlen(*texts[i]) + 1 : 0;
    char *at = tls->texts = malloc(bytes);
    if (at == NULL)
        return WSR_ENOMEM;
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *from = *texts[i];
        *texts[i] = from != NULL ? at : NULL;
        if (from != NULL)
            at = stpcpy(at, from) + 1;
    }
    return WSR_OK;
}

/* Takes the list, which is ours, apart: into strings, and into the form on the wire. */
static int take_alpn(struct wsr_tls *tls)
{
    char *at = (char *)(uintptr_t)tls->config.alpn;
    while (at != NULL) {
        char *end = strchr(at, ','), *next = end != NULL ? end + 1 : NULL;
        if (end == NULL)
            end = at + strlen(at);
        while (*at == ' ')
            at++;
        while (end > at && end[-1] == ' ')
            end--;
        const size_t len = (size_t)(end - at);
        if (len == 0 || len > 255 || tls->alpn_n == WSR_TLS_ALPN_MAX || tls->alpn_wire_len + 1 + len > sizeof tls->alpn_wire)
            return WSR_ECONFIG;
        *end = '\0';
        tls->alpn[tls->alpn_n++] = at;
        tls->alpn_wire[tls->alpn_wire_len] = (uint8_t)len;
        memcpy(tls->alpn_wire + tls->alpn_wire_len + 1, at, len);
        tls->alpn_wire_len += 1 + (unsigned)len;
        at = next;
    }
    return WSR_OK;
}

static int take_config(struct wsr_tls *tls, const wsr_tls_config *from)
{
    int error = wsr_config_take(&tls->config, sizeof tls->config, from, offsetof(wsr_tls_config, certificate));
    if (error < 0)
        return error;
    wsr_tls_config *config = &tls->config;
    const bool server = config->role == WSR_SERVER;
    if (!server && config->role != WSR_CLIENT)
        return WSR_ECONFIG;
    if (server ? (config->certificate == NULL) == (config->self_signed == NULL) || config->verify_none : config->self_signed != NULL)
        return WSR_ECONFIG;
    if (config->key != NULL && config->certificate == NULL)
        return WSR_ECONFIG;
    if (config->tls13_only && config->ciphersuites != NULL && config->ciphersuites[0] == '\0')
        return WSR_ECONFIG;
    if (config->alpn == NULL)
        config->alpn = ALPN_DEFAULT;
    error = copy_texts(tls);
    return error == WSR_OK ? take_alpn(tls) : error;
}

/* ---- what OpenSSL calls ---- */

/* "In the event that the server supports no protocols that the client advertises, [it] SHALL respond with a fatal" alert (RFC 7301 3.2). */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len, void *context)
{
    (void)ssl;
    const struct wsr_tls *tls = context;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, tls->alpn_wire, tls->alpn_wire_len, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* One write a line: a file opened with O_APPEND takes lines of several threads whole. */
static void log_key(const SSL *ssl, const char *line)
{
    const struct wsr_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    char text[512];
    int n = snprintf(text, sizeof text, "%s\n", line);
    ssize_t written = n > 0 && (size_t)n < sizeof text ? write(tls->keylog_fd, text, (size_t)n) : 0;
    (void)written; /* a debugging aid that is full or gone does not end a connection */
}

/* An encrypted key must not make a library ask on the terminal. */
static int no_password(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return 0;
}

/* ---- the SSL_CTX ---- */

static int set_ciphers(SSL_CTX *ctx, const wsr_tls_config *config, char *why, size_t cap)
{
    const char *ciphers = config->ciphers != NULL ? config->ciphers : CIPHERS_DEFAULT;
    if (SSL_CTX_set_cipher_list(ctx, ciphers) != 1)
        return wsr_tls_complain(why, cap, "no cipher of TLS 1.2 in \"%s\"", ciphers);
    if (config->ciphersuites != NULL && config->ciphersuites[0] == '\0')
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    else if (config->ciphersuites != NULL && SSL_CTX_set_ciphersuites(ctx, config->ciphersuites) != 1)
        return wsr_tls_complain(why, cap, "no cipher suite of TLS 1.3 in \"%s\"", config->ciphersuites);
    return WSR_OK;
}

static void set_server(SSL_CTX *ctx, struct wsr_tls *tls)
{
    static const unsigned char context[] = "wsring";
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets: the client keeps what it wants to resume */
    SSL_CTX_set_session_id_context(ctx, context, sizeof context - 1); /* without one a verified client cannot resume */
    SSL_CTX_set_num_tickets(ctx, tls->config.no_resumption ? 0 : 1); /* each costs a record; a connection comes back once */
    if (tls->config.no_resumption)
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    if (tls->config.trust != NULL)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, tls);
}

static int set_client(SSL_CTX *ctx, const struct wsr_tls *tls)
{
    SSL_CTX_set_verify(ctx, tls->config.verify_none ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if (tls->config.no_resumption)
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    else
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, wsr_tls_new_session);
    /* this one, alone of its kind, returns 0 for success */
    return SSL_CTX_set_alpn_protos(ctx, tls->alpn_wire, tls->alpn_wire_len) == 0 ? WSR_OK : WSR_ENOMEM;
}

/* Keys of tickets outlive a reload, but not where who may come in has changed with it. */
static void keep_ticket_keys(SSL_CTX *ctx, struct wsr_tls *tls)
{
    unsigned char keys[256];
    const long n = SSL_CTX_get_tlsext_ticket_keys(ctx, NULL, 0);
    if (tls->config.trust != NULL || n <= 0 || (size_t)n > sizeof keys)
        return;
    pthread_mutex_lock(&tls->lock);
    bool kept = tls->ctx != NULL && SSL_CTX_get_tlsext_ticket_keys(tls->ctx, keys, n) == 1;
    pthread_mutex_unlock(&tls->lock);
    if (kept)
        SSL_CTX_set_tlsext_ticket_keys(ctx, keys, n);
    OPENSSL_cleanse(keys, sizeof keys);
}

static int fill(SSL_CTX *ctx, struct wsr_tls *tls, char *why, size_t cap)
{
    const wsr_tls_config *config = &tls->config;
    SSL_CTX_set_app_data(ctx, tls);
    SSL_CTX_set_default_passwd_cb(ctx, no_password);
    SSL_CTX_set_min_proto_version(ctx, config->tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS); /* an idle connection keeps no 2 x 16 KiB */
    if (tls->keylog_fd >= 0)
        SSL_CTX_set_keylog_callback(ctx, log_key);
    int error = set_ciphers(ctx, config, why, cap);
    if (error == WSR_OK)
        error = wsr_tls_load_own(ctx, tls, why, cap);
    if (error == WSR_OK)
        error = wsr_tls_load_trust(ctx, tls, why, cap);
    if (error < 0)
        return error;
    if (config->role == WSR_CLIENT)
        return set_client(ctx, tls);
    set_server(ctx, tls);
    keep_ticket_keys(ctx, tls);
    return WSR_OK;
}

static int make_ctx(SSL_CTX **out, struct wsr_tls *tls, char *why, size_t cap)
{
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(tls->config.role == WSR_SERVER ? TLS_server_method() : TLS_client_method());
    if (ctx == NULL)
        return WSR_ENOMEM;
    int error = fill(ctx, tls, why, cap);
    ERR_clear_error();
    if (error < 0)
        SSL_CTX_free(ctx);
    else
        *out = ctx;
    return error;
}

/* ---- life ---- */

static void destroy(struct wsr_tls *tls)
{
    wsr_tls_forget(tls);
    SSL_CTX_free(tls->ctx);
    X509_free(tls->self_certificate);
    EVP_PKEY_free(tls->self_key);
    if (tls->keylog_fd >= 0)
        close(tls->keylog_fd);
    pthread_mutex_destroy(&tls->lock);
    free(tls->texts);
    free(tls);
}

static int open_keylog(struct wsr_tls *tls, char *why, size_t cap)
{
    if (tls->config.keylog == NULL)
        return WSR_OK;
    tls->keylog_fd = open(tls->config.keylog, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    return tls->keylog_fd >= 0 ? WSR_OK : wsr_tls_complain(why, cap, "key log %s: %s", tls->config.keylog, strerror(errno));
}

int wsr_tls_open(wsr_tls **out, const wsr_tls_config *config, char *why, size_t cap)
{
    if (why != NULL && cap > 0)
        why[0] = '\0';
    struct wsr_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL)
        return WSR_ENOMEM;
    tls->keylog_fd = -1;
    atomic_init(&tls->holds, 1);
    pthread_mutex_init(&tls->lock, NULL);
    int error = take_config(tls, config);
    if (error == WSR_OK)
        error = open_keylog(tls, why, cap);
    if (error == WSR_OK && tls->config.self_signed != NULL)
        error = wsr_tls_make_own(tls, why, cap);
    if (error == WSR_OK)
        error = make_ctx(&tls->ctx, tls, why, cap);
    if (error < 0)
        destroy(tls);
    else
        *out = tls;
    return error;
}

wsr_tls *wsr_tls_hold(wsr_tls *tls)
{
    if (tls != NULL)
        atomic_fetch_add_explicit(&tls->holds, 1, memory_order_relaxed);
    return tls;
}

void wsr_tls_release(wsr_tls *tls)
{
    if (tls != NULL && atomic_fetch_sub_explicit(&tls->holds, 1, memory_order_acq_rel) == 1)
        destroy(tls);
}

int wsr_tls_reload(wsr_tls *tls, char *why, size_t cap)
{
    SSL_CTX *ctx = NULL;
    if (why != NULL && cap > 0)
        why[0] = '\0';
    int error = make_ctx(&ctx, tls, why, cap);
    if (error < 0)
        return error;
    pthread_mutex_lock(&tls->lock);
    SSL_CTX *old = tls->ctx;
    tls->ctx = ctx;
    wsr_tls_forget(tls); /* a client's trust may be another now */
    pthread_mutex_unlock(&tls->lock);
    SSL_CTX_free(old); /* connections made by it have their own hold on it */
    return WSR_OK;
}

wsr_role wsr_tls_role(const struct wsr_tls *tls)
{
    return tls->config.role;
}

SSL *wsr_tls_new_ssl(struct wsr_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    SSL *ssl = SSL_new(tls->ctx);
    pthread_mutex_unlock(&tls->lock);
    return ssl;
}
