/*
 * tls/session.c - see session.h. OpenSSL reads from the caller's slice and writes into chunks, through a BIO of our own (bio.h).
 *
 * Plaintext goes where its ciphertext lay: OpenSSL copies a record out of there before it decrypts it, and a plaintext is shorter
 * than its record. So what is read never catches up with what is still to be read, but for a record whose beginning was read by an
 * earlier call: its plaintext goes into a chunk of its own.
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
#include "tls/bio.h"
#include "tls/context.h"

/* A record is so much longer than its plaintext: header 5, type 1 and tag 8 with AES-CCM-8 in TLS 1.3 (RFC 8446), others more. */
#define RECORD_GAIN_MIN 14u
/* With AES-GCM in TLS 1.2 (RFC 5288), 8 bytes of nonce too; TLS 1.3 has 22. */
#define RECORD_GAIN_MAX 29u
#define RECORD_PLAIN_MAX 16384u

/* ---- what goes wrong ---- */

/* SSL_get_error looks at what is in the thread's queue, whoever put it there. Mostly there is nothing; clearing takes 16 times as long. */
static void begin_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

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

static int start_client(struct wsr_tls_session *session, const struct wsr_tls_peer *peer)
{
    SSL_set_connect_state(session->ssl);
    if (!set_host(session, peer->host))
        return WSR_ETLS;
    if (peer->stranger)
        SSL_certs_clear(session->ssl); /* its own copies of the certificate and key */
    else if (!session->tls->config.no_resumption && !set_resumption(session, peer->host, peer->port))
        return WSR_ENOMEM;
    shake(session);
    return session->state != WSR_TLS_FAILED ? WSR_OK : session->error;
}

int wsr_tls_start(struct wsr_tls_session *session, struct wsr_tls *tls, struct wsr_pool *pool, const struct wsr_tls_peer *peer)
{
    ERR_clear_error();
    *session = (struct wsr_tls_session){.tls = wsr_tls_hold(tls), .pool = pool, .ssl = wsr_tls_new_ssl(tls)};
    int error = session->ssl != NULL ? wsr_tls_attach(session) : WSR_ENOMEM;
    if (error == WSR_OK) {
        SSL_set_app_data(session->ssl, session);
        SSL_set_info_callback(session->ssl, note_alert);
        if (tls->config.role == WSR_CLIENT)
            error = start_client(session, peer);
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
    wsr_pool_put_list(session->pool, session->out);
    free(session->peer);
    wsr_tls_release(session->tls);
    session->ssl = NULL;
    session->out = session->out_tail = NULL;
    session->peer = NULL;
    session->tls = NULL;
}

/* ---- in ---- */

/* So much of the record under way came before that its plaintext may not fit into the rest's place. */
static bool is_carried(const struct wsr_tls_record *record)
{
    return record->head_len == WSR_TLS_RECORD_HEAD && WSR_TLS_RECORD_HEAD + wsr_tls_record_body(record) - record->left > RECORD_GAIN_MIN;
}

static size_t read_plain(struct wsr_tls_session *session, uint8_t *to, size_t cap)
{
    size_t n = 0;
    const int result = SSL_read_ex(session->ssl, to, cap, &n);
    if (result != 1)
        judge(session, result);
    return result == 1 ? n : 0;
}

/* The record whose beginning came before ends here: its plaintext in a chunk. NULL: there was none in it, or it failed. */
static struct wsr_chunk *read_carried(struct wsr_tls_session *session)
{
    struct wsr_chunk *chunk = wsr_pool_get(session->pool, wsr_tls_record_body(&session->record));
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

/* Decrypts what is left of the input into the place of in. *last: of what was read last, before or here; 0: it was no data. */
static size_t read_in_place(struct wsr_tls_session *session, wsr_span in, size_t *last)
{
    size_t done = 0;
    for (size_t n = 1; session->state == WSR_TLS_OPEN && n > 0 && (session->in_len > 0 || SSL_pending(session->ssl) > 0); *last = n) {
        n = read_plain(session, in.ptr + done, in.len - done);
        done += n;
        assert(in.ptr + done <= session->in);
    }
    return done;
}

struct wsr_tls_plain wsr_tls_take(struct wsr_tls_session *session, wsr_span in)
{
    struct wsr_tls_plain plain = {NULL, {in.ptr, 0}, false};
    begin_errors();
    session->in = in.ptr;
    session->in_len = in.len;
    if (session->state == WSR_TLS_SHAKING)
        shake(session);
    if (session->state == WSR_TLS_OPEN && is_carried(&session->record) && session->in_len >= session->record.left)
        plain.carried = read_carried(session);
    size_t last = plain.carried != NULL ? plain.carried->len : 0;
    plain.rest.len = read_in_place(session, in, &last);
    plain.data_last = last > 0 && session->in_len == 0;
    session->in = NULL;
    session->in_len = 0;
    return plain;
}

/* ---- out ---- */

bool wsr_tls_reserve(struct wsr_tls_session *session, size_t plain_bytes, unsigned writes)
{
    const size_t bytes = plain_bytes + (plain_bytes / RECORD_PLAIN_MAX + writes) * RECORD_GAIN_MAX;
    if (session->out != NULL && wsr_chunk_room(session->out_tail) >= bytes)
        return true;
    return wsr_tls_append(session, bytes) != NULL;
}

bool wsr_tls_write(struct wsr_tls_session *session, wsr_slice plain)
{
    assert(plain.len > 0 && !session->notified && (session->state == WSR_TLS_OPEN || session->state == WSR_TLS_ENDED));
    size_t n;
    begin_errors();
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

/* Who the peer's certificate says it is. */
static void describe_peer(SSL *ssl, wsr_tls_info *info)
{
    const X509 *certificate = SSL_get0_peer_certificate(ssl);
    BIO *text = certificate != NULL ? BIO_new(BIO_s_mem()) : NULL;
    if (text == NULL)
        return;
    X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    const int n = BIO_read(text, info->peer_subject, sizeof info->peer_subject - 1);
    info->peer_subject[n > 0 ? n : 0] = '\0';
    BIO_free(text);
    (void)!X509_digest(certificate, EVP_sha256(), info->peer_sha256, NULL);
    ERR_clear_error();
}

void wsr_tls_describe(const struct wsr_tls_session *session, wsr_tls_info *info)
{
    const SSL *ssl = session->ssl;
    const struct wsr_tls *tls = session->tls;
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
    describe_peer(session->ssl, info);
}
