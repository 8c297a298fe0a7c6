/*
 * tls/session.c - see session.h.
 *
 * As long as OpenSSL reads, plaintext goes where its ciphertext lay: OpenSSL copies a record out of there before it decrypts it, and
 * a plaintext is shorter than its record. So what is read never catches up with what is still to be read, but for a record whose
 * beginning was read by an earlier call: its plaintext goes into a chunk of its own.
 */
#include "tls/session.h"

#include <arpa/inet.h>
#include <assert.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/alert.h"
#include "tls/context.h"
#include "tls/handover.h"

/* A record is so much longer than its plaintext: header 5 and tag 16, and more but for ChaCha20 in TLS 1.2 (RFC 7905). */
#define GAIN_MIN 21u
/* With AES-GCM in TLS 1.2 (RFC 5288), 8 bytes of nonce too. */
#define GAIN_MAX 29u

/* ---- what goes wrong ---- */

static void note_alert(const SSL *ssl, int where, int value)
{
    struct wsr_tls_session *session = SSL_get_app_data(ssl);
    if ((where & SSL_CB_ALERT) == 0 || session == NULL)
        return;
    const bool fatal = value >> 8 == SSL3_AL_FATAL;
    if (!fatal || (value & 0xFF) == SSL3_AD_CLOSE_NOTIFY || session->alert != 0)
        return;
    session->alert = (uint8_t)value;
    session->alert_received = (where & SSL_CB_READ) != 0;
}

static void set_failure(struct wsr_tls_session *session, int error, const char *detail)
{
    session->state = WSR_TLS_FAILED;
    session->error = error;
    session->detail = detail != NULL ? detail : "the TLS session failed";
}

static void fail(struct wsr_tls_session *session)
{
    const unsigned long error = ERR_peek_error();
    const int reason = ERR_GET_LIB(error) == ERR_LIB_SSL || ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE ? ERR_GET_REASON(error) : 0;
    if (session->no_memory || reason == ERR_R_MALLOC_FAILURE) {
        set_failure(session, WSR_ENOMEM, "no memory for TLS");
    } else if (session->alert_received) {
        set_failure(session, WSR_ETLS, wsr_tls_alert_text(session->alert));
    } else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        set_failure(session, WSR_ETLS_CERTIFICATE, wsr_tls_verify_text(SSL_get_verify_result(session->ssl)));
    } else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        set_failure(session, WSR_ETLS_CERTIFICATE, "the peer sent no certificate");
    } else {
        session->plain_http = reason == SSL_R_HTTP_REQUEST;
        const bool no_tls = session->plain_http || reason == SSL_R_HTTPS_PROXY_REQUEST ||
                            (reason == SSL_R_WRONG_VERSION_NUMBER && session->state == WSR_TLS_SHAKING);
        set_failure(session, WSR_ETLS, no_tls ? "the peer does not speak TLS here" : ERR_reason_error_string(error));
    }
    ERR_clear_error();
}

/* A call of OpenSSL's did not succeed: it needs more input, or the peer ended, or all is lost. */
static void judge(struct wsr_tls_session *session, int result)
{
    const int why = SSL_get_error(session->ssl, result);
    if (why == SSL_ERROR_WANT_READ)
        return;
    if (why == SSL_ERROR_ZERO_RETURN && session->state == WSR_TLS_OPEN)
        session->state = WSR_TLS_ENDED;
    else if (why == SSL_ERROR_ZERO_RETURN)
        set_failure(session, WSR_ETLS, "the peer ended the TLS handshake");
    else
        fail(session);
}

/* ---- life ---- */

/* Whom a client wants to talk to: named in its first message, and in the certificate it gets. "Literal IPv4 and IPv6 addresses are
   not permitted" there (RFC 6066 section 3). */
static bool set_host(struct wsr_tls_session *session, const char *host)
{
    SSL *ssl = session->ssl;
    X509_VERIFY_PARAM *verify = SSL_get0_param(ssl);
    uint8_t address[16];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(verify, host) == 1;
    char name[256];
    size_t len = strlen(host);
    if (len > 1 && host[len - 1] == '.') /* of a fully qualified one; not part of the name that certificates have */
        len--;
    if (len == 0 || len >= sizeof name)
        return false;
    memcpy(name, host, len);
    name[len] = '\0';
    X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return X509_VERIFY_PARAM_set1_host(verify, name, len) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

/* A client's session is resumed if one is remembered for this host and port. */
static bool set_resumption(struct wsr_tls_session *session, const char *host, uint16_t port)
{
    const size_t bytes = strlen(host) + sizeof ":65535";
    session->peer = malloc(bytes);
    if (session->peer == NULL)
        return false;
    snprintf(session->peer, bytes, "%s:%u", host, port);
    SSL_SESSION *known = wsr_tls_recall(session->tls, session->peer);
    if (known != NULL)
        (void)!SSL_set_session(session->ssl, known); /* one that does not suit is not resumed */
    SSL_SESSION_free(known);
    return true;
}

int wsr_tls_new_session(SSL *ssl, SSL_SESSION *new_session)
{
    struct wsr_tls_session *session = SSL_get_app_data(ssl);
    if (session == NULL || session->peer == NULL)
        return 0;
    wsr_tls_remember(session->tls, session->peer, new_session);
    wsr_tls_yield(session);
    return 1; /* it is ours now */
}

static void shake(struct wsr_tls_session *session)
{
    const int result = SSL_do_handshake(session->ssl);
    if (result == 1)
        session->state = WSR_TLS_OPEN;
    else
        judge(session, result);
}

static int start_client(struct wsr_tls_session *session, const char *host, uint16_t port)
{
    SSL_set_connect_state(session->ssl);
    if (!set_host(session, host))
        return WSR_ETLS;
    if (!session->tls->config.no_resumption && !set_resumption(session, host, port))
        return WSR_ENOMEM;
    shake(session);
    return session->state != WSR_TLS_FAILED ? WSR_OK : session->error;
}

int wsr_tls_start(struct wsr_tls_session *session, struct wsr_tls *tls, struct wsr_pool *pool, const char *host, uint16_t port)
{
    ERR_clear_error();
    *session = (struct wsr_tls_session){.tls = wsr_tls_hold(tls), .pool = pool, .ssl = wsr_tls_new_ssl(tls)};
    int error = session->ssl != NULL ? wsr_tls_attach(session) : WSR_ENOMEM;
    if (error == WSR_OK) {
        SSL_set_app_data(session->ssl, session);
        SSL_set_info_callback(session->ssl, note_alert);
        wsr_tls_watch(session);
        if (tls->config.role == WSR_CLIENT)
            error = start_client(session, host, port);
        else
            SSL_set_accept_state(session->ssl);
    }
    ERR_clear_error();
    if (error < 0)
        wsr_tls_end(session);
    return error;
}

void wsr_tls_end(struct wsr_tls_session *session)
{
    if (session->ssl != NULL) { /* a session whose connection broke can be resumed all the same, which OpenSSL would forbid */
        SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(session->ssl);
    }
    if (session->records != NULL) {
        wsr_records_fini(session->records);
        wsr_pool_put_exact(session->pool, session->records, sizeof *session->records);
    }
    wsr_pool_put_list(session->pool, session->out);
    free(session->peer);
    free(session->server_name);
    wsr_tls_release(session->tls);
    OPENSSL_cleanse(&session->secrets, sizeof session->secrets);
    session->ssl = NULL;
    session->records = NULL;
    session->out = session->out_tail = NULL;
    session->peer = session->server_name = NULL;
    session->tls = NULL;
}

/* ---- in, by OpenSSL ---- */

static size_t read_plain(struct wsr_tls_session *session, uint8_t *to, size_t cap)
{
    size_t n = 0;
    const int result = SSL_read_ex(session->ssl, to, cap, &n);
    if (result != 1)
        judge(session, result);
    return result == 1 ? n : 0;
}

/* Bytes of the body of the record under way, once its header is there. */
static uint32_t body_bytes(const struct wsr_tls_reading *reading)
{
    return (uint32_t)reading->head[3] << 8 | reading->head[4];
}

/* The record under way ends in the input, and so much of it came before that its plaintext may not fit into the rest's place. */
static bool is_carried(const struct wsr_tls_session *session)
{
    const struct wsr_tls_reading *reading = &session->reading;
    return reading->head_len == WSR_RECORD_HEAD && session->in.len >= reading->left &&
           WSR_RECORD_HEAD + body_bytes(reading) - reading->left > GAIN_MIN;
}

/* Its plaintext in a chunk. NULL: there was none in it, or it failed. */
static struct wsr_chunk *read_carried(struct wsr_tls_session *session)
{
    struct wsr_chunk *chunk = wsr_pool_get(session->pool, body_bytes(&session->reading));
    if (chunk == NULL) {
        set_failure(session, WSR_ENOMEM, "no memory for TLS");
        return NULL;
    }
    chunk->len = read_plain(session, chunk->data, wsr_chunk_room(chunk));
    if (chunk->len > 0)
        return chunk;
    wsr_pool_put(session->pool, chunk);
    return NULL;
}

/* Decrypts what OpenSSL is to read of the input into its own place. */
static wsr_span read_in_place(struct wsr_tls_session *session)
{
    const wsr_span in = session->in;
    size_t done = 0, n = 1;
    while (session->state == WSR_TLS_OPEN && n > 0 && (session->in.len > 0 || SSL_pending(session->ssl) > 0)) {
        n = read_plain(session, in.ptr + done, in.len - done);
        done += n;
        assert(in.ptr + done <= session->in.ptr);
    }
    return (wsr_span){in.ptr, done};
}

static bool next_of_openssl(struct wsr_tls_session *session, struct wsr_tls_plain *plain)
{
    ERR_clear_error();
    plain->carried = is_carried(session) ? read_carried(session) : NULL;
    if (plain->carried != NULL)
        plain->bytes = (wsr_span){plain->carried->data, plain->carried->len};
    else if (session->state == WSR_TLS_OPEN)
        plain->bytes = read_in_place(session);
    return plain->bytes.len > 0;
}

/* ---- in, by records ---- */

/* Says so to the peer, if it can be said. */
static void send_alert(struct wsr_tls_session *session, bool fatal, uint8_t alert)
{
    struct wsr_chunk *tail = session->out != NULL && wsr_chunk_room(session->out_tail) >= WSR_RECORD_ALERT_BYTES
                                 ? session->out_tail
                                 : wsr_tls_append(session, WSR_RECORD_ALERT_BYTES);
    if (tail == NULL || !wsr_records_alert(session->records, tail, fatal, alert))
        session->no_memory = true;
}

static void fail_records(struct wsr_tls_session *session)
{
    const struct wsr_records *records = session->records;
    session->alert = records->alert_received != 0 ? records->alert_received : records->alert;
    session->alert_received = records->alert_received != 0;
    if (session->alert_received)
        set_failure(session, WSR_ETLS, wsr_tls_alert_text(session->alert));
    else if (session->alert == 0)
        set_failure(session, WSR_ENOMEM, "no memory for TLS");
    else
        set_failure(session, WSR_ETLS, wsr_tls_failure_text(session->alert));
    if (session->alert != 0 && !session->alert_received && !session->notified)
        send_alert(session, true, session->alert);
}

static bool next_of_records(struct wsr_tls_session *session, struct wsr_tls_plain *plain)
{
    switch (wsr_records_next(session->records, &session->in, &plain->bytes, &plain->carried)) {
    case WSR_RECORD_CONTENT:
        return true;
    case WSR_RECORD_END:
        session->state = WSR_TLS_ENDED;
        break;
    case WSR_RECORD_WRONG:
        fail_records(session);
        break;
    case WSR_RECORD_NOTHING:
        break;
    }
    return false;
}

/* ---- in ---- */

void wsr_tls_take(struct wsr_tls_session *session, wsr_span in)
{
    session->in = in;
    if (session->state != WSR_TLS_SHAKING)
        return;
    ERR_clear_error();
    shake(session);
}

bool wsr_tls_next(struct wsr_tls_session *session, struct wsr_tls_plain *plain)
{
    *plain = (struct wsr_tls_plain){{session->in.ptr, 0}, NULL};
    if (session->state == WSR_TLS_OPEN && session->records == NULL) {
        wsr_tls_hand_over(session);
        if (session->records == NULL && next_of_openssl(session, plain))
            return true;
        if (session->records == NULL && session->state == WSR_TLS_OPEN) /* it may be done with reading now */
            wsr_tls_hand_over(session);
    }
    if (session->state == WSR_TLS_OPEN && session->records != NULL && next_of_records(session, plain))
        return true;
    session->in = (wsr_span){NULL, 0};
    return false;
}

/* ---- out ---- */

static size_t cipher_bytes(const struct wsr_tls_session *session, size_t plain_bytes, unsigned writes)
{
    if (session->records != NULL)
        return wsr_records_bytes(plain_bytes, writes);
    return plain_bytes + (plain_bytes / WSR_RECORD_PLAIN_MAX + writes) * GAIN_MAX;
}

bool wsr_tls_reserve(struct wsr_tls_session *session, size_t plain_bytes, unsigned writes)
{
    const size_t bytes = cipher_bytes(session, plain_bytes, writes);
    if (session->out != NULL && wsr_chunk_room(session->out_tail) >= bytes)
        return true;
    return wsr_tls_append(session, bytes) != NULL;
}

static bool write_records(struct wsr_tls_session *session, wsr_slice plain)
{
    if (!wsr_tls_reserve(session, plain.len, 1))
        set_failure(session, WSR_ENOMEM, "no memory for TLS");
    else if (!wsr_records_put(session->records, session->out_tail, plain))
        set_failure(session, WSR_ETLS, NULL);
    return session->state != WSR_TLS_FAILED;
}

bool wsr_tls_write(struct wsr_tls_session *session, wsr_slice plain)
{
    assert(plain.len > 0 && !session->notified && (session->state == WSR_TLS_OPEN || session->state == WSR_TLS_ENDED));
    if (session->records != NULL)
        return write_records(session, plain);
    size_t n;
    ERR_clear_error();
    const int result = SSL_write_ex(session->ssl, plain.ptr, plain.len, &n);
    if (result == 1) {
        assert(n == plain.len); /* no partial writes, and a BIO that takes all */
        return true;
    }
    judge(session, result);
    if (session->state != WSR_TLS_FAILED)
        set_failure(session, WSR_ETLS, NULL);
    return false;
}

void wsr_tls_notify(struct wsr_tls_session *session)
{
    if (session->notified || (session->state != WSR_TLS_OPEN && session->state != WSR_TLS_ENDED))
        return;
    session->notified = true;
    if (session->records != NULL) {
        send_alert(session, false, SSL3_AD_CLOSE_NOTIFY);
        return;
    }
    (void)SSL_shutdown(session->ssl);
    ERR_clear_error();
}

bool wsr_tls_put(struct wsr_tls_session *session, wsr_slice bytes)
{
    struct wsr_chunk *chunk = wsr_tls_append(session, bytes.len);
    if (chunk == NULL)
        return false;
    memcpy(chunk->data, bytes.ptr, bytes.len);
    chunk->len = bytes.len;
    return true;
}

struct wsr_chunk *wsr_tls_output(struct wsr_tls_session *session)
{
    struct wsr_chunk *out = session->out;
    session->out = session->out_tail = NULL;
    return out;
}

void wsr_tls_describe(const struct wsr_tls_session *session, wsr_tls_info *info)
{
    const SSL *ssl = session->ssl;
    const struct wsr_tls *tls = session->tls;
    if (ssl == NULL) {
        *info = session->info;
        return;
    }
    const unsigned char *chosen;
    unsigned chosen_len;
    SSL_get0_alpn_selected(ssl, &chosen, &chosen_len);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    *info = (wsr_tls_info){
        .version = SSL_get_version(ssl),
        .cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl)),
        .alpn = "",
        .server_name = name != NULL ? name : "",
        .resumed = SSL_session_reused(ssl) == 1,
    };
    for (unsigned i = 0; i < tls->alpn_n; i++) { /* whatever was chosen is one of ours */
        if (strlen(tls->alpn[i]) == chosen_len && memcmp(tls->alpn[i], chosen, chosen_len) == 0)
            info->alpn = tls->alpn[i];
    }
}
