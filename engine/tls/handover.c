/*
 * tls/handover.c - see handover.h.
 */
#include "tls/handover.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

/*
 * A client leaves the first records to OpenSSL, which alone knows what to do with a ticket. Those that come with a handshake come
 * first, as servers have it; a server that has sent so many others sends none.
 */
#define WAITED_FOR_TICKET 4u

void wsr_tls_yield(struct wsr_tls_session *session)
{
    session->yields = session->has_client_secret && session->has_server_secret;
}

/* Of records (their headers) and of handshake messages (whole, behind the headers of their records), as they are read and written. */
static void count(int writes, int version, int type, const void *bytes, size_t len, SSL *ssl, void *context)
{
    (void)version, (void)ssl;
    struct wsr_tls_session *session = context;
    bool *finished = writes ? &session->finished_out : &session->finished_in;
    /* "The record sequence number is [...] set to 0 at the beginning of a connection and whenever the key is changed" (5.3), which
       in both directions is behind Finished (7.1) */
    if (type == SSL3_RT_HEADER && *finished)
        ++*(writes ? &session->secrets.out_number : &session->secrets.in_number);
    else if (type == SSL3_RT_HANDSHAKE && len > 0 && *(const uint8_t *)bytes == SSL3_MT_FINISHED)
        *finished = true;
    if (session->secrets.in_number >= WAITED_FOR_TICKET)
        wsr_tls_yield(session);
}

void wsr_tls_watch(struct wsr_tls_session *session)
{
    SSL_set_msg_callback(session->ssl, count);
    SSL_set_msg_callback_arg(session->ssl, session);
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Hexadecimal to the end of the line: false if it is not, or too long. */
static bool take_hex(uint8_t to[WSR_SECRET_MAX], const char *hex)
{
    size_t n = 0;
    for (; hex[0] != '\0' && hex[1] != '\0' && n < WSR_SECRET_MAX; hex += 2) {
        const int high = hex_value(hex[0]), low = hex_value(hex[1]);
        if (high < 0 || low < 0)
            return false;
        to[n++] = (uint8_t)(high * 16 + low);
    }
    return hex[0] == '\0' && n > 0;
}

void wsr_tls_learn(struct wsr_tls_session *session, const char *line)
{
    static const char client[] = "CLIENT_TRAFFIC_SECRET_0 ", server[] = "SERVER_TRAFFIC_SECRET_0 ";
    const char *hex = strrchr(line, ' ');
    if (hex == NULL)
        return;
    if (strncmp(line, client, sizeof client - 1) == 0)
        session->has_client_secret = take_hex(session->secrets.client, hex + 1);
    else if (strncmp(line, server, sizeof server - 1) == 0)
        session->has_server_secret = take_hex(session->secrets.server, hex + 1);
}

static enum wsr_aead_kind kind_of(const SSL *ssl)
{
    if (SSL_version(ssl) != TLS1_3_VERSION)
        return WSR_AEAD_NONE;
    switch (SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl))) {
    case 0x1301:
        return WSR_AEAD_AES_128_GCM;
    case 0x1302:
        return WSR_AEAD_AES_256_GCM;
    case 0x1303:
        return WSR_AEAD_CHACHA20_POLY1305;
    default:
        return WSR_AEAD_NONE;
    }
}

static void forget_secrets(struct wsr_tls_session *session)
{
    OPENSSL_cleanse(&session->secrets, sizeof session->secrets);
    session->has_client_secret = session->has_server_secret = false;
}

/* What is to be said of the connection when its SSL is gone. False: no memory. */
static bool keep_description(struct wsr_tls_session *session)
{
    wsr_tls_describe(session, &session->info);
    if (session->info.server_name[0] == '\0')
        return true;
    session->server_name = strdup(session->info.server_name);
    session->info.server_name = session->server_name;
    return session->server_name != NULL;
}

void wsr_tls_hand_over(struct wsr_tls_session *session)
{
    if (!session->has_client_secret || !session->has_server_secret) /* TLS 1.2; or it was tried, in vain */
        return;
    const bool client = !SSL_is_server(session->ssl);
    if (!client || session->peer == NULL)
        wsr_tls_yield(session);
    if (!session->yields || session->reading.head_len > 0 || SSL_pending(session->ssl) > 0)
        return;
    const enum wsr_aead_kind kind = kind_of(session->ssl);
    struct wsr_records *records = kind != WSR_AEAD_NONE ? wsr_pool_get_exact(session->pool, sizeof *records) : NULL;
    bool good = records != NULL && wsr_records_init(records, session->pool, kind, client, &session->secrets) && keep_description(session);
    forget_secrets(session);
    if (!good) { /* then OpenSSL goes on: it can do all of this, only not as fast */
        session->yields = false;
        free(session->server_name);
        session->server_name = NULL;
        if (records != NULL) {
            wsr_records_fini(records);
            wsr_pool_put_exact(session->pool, records, sizeof *records);
        }
        return;
    }
    session->records = records;
    SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* else its session could not be resumed any more */
    SSL_free(session->ssl);
    session->ssl = NULL;
}
