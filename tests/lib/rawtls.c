/*
 * tests/lib/rawtls.c - see rawtls.h.
 */
#include "lib/rawtls.h"

#include <stdio.h>
#include <stdlib.h>

static void need(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "rawtls: %s\n", what);
    abort();
}

static void note_alert(const SSL *ssl, int where, int value)
{
    struct rawtls *raw = SSL_get_app_data(ssl);
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT)
        raw->alert = (uint8_t)value;
}

static void open_ssl(struct rawtls *raw)
{
    raw->ssl = SSL_new(raw->ctx);
    raw->in = BIO_new(BIO_s_mem());
    raw->out = BIO_new(BIO_s_mem());
    need(raw->ssl != NULL && raw->in != NULL && raw->out != NULL, "no memory");
    BIO_set_mem_eof_return(raw->in, -1);
    SSL_set_bio(raw->ssl, raw->in, raw->out);
    SSL_set_app_data(raw->ssl, raw);
    SSL_set_info_callback(raw->ssl, note_alert);
}

void rawtls_client(struct rawtls *raw, int max_version)
{
    *raw = (struct rawtls){.ctx = SSL_CTX_new(TLS_client_method())};
    need(raw->ctx != NULL, "no memory");
    SSL_CTX_set_max_proto_version(raw->ctx, max_version);
    open_ssl(raw);
    SSL_set_connect_state(raw->ssl);
}

void rawtls_server(struct rawtls *raw, const char *certificate)
{
    *raw = (struct rawtls){.ctx = SSL_CTX_new(TLS_server_method())};
    need(raw->ctx != NULL && SSL_CTX_use_certificate_chain_file(raw->ctx, certificate) == 1 &&
             SSL_CTX_use_PrivateKey_file(raw->ctx, certificate, SSL_FILETYPE_PEM) == 1,
         certificate);
    open_ssl(raw);
    SSL_set_accept_state(raw->ssl);
}

void rawtls_free(struct rawtls *raw)
{
    SSL_free(raw->ssl);
    SSL_CTX_free(raw->ctx);
}

void rawtls_feed(struct rawtls *raw, const void *bytes, size_t len)
{
    need(BIO_write(raw->in, bytes, (int)len) == (int)len, "no memory");
}

size_t rawtls_take(struct rawtls *raw, void *bytes, size_t cap)
{
    int n = BIO_read(raw->out, bytes, (int)cap);
    return n > 0 ? (size_t)n : 0;
}

bool rawtls_shake(struct rawtls *raw)
{
    return SSL_do_handshake(raw->ssl) == 1;
}

size_t rawtls_read(struct rawtls *raw, void *bytes, size_t cap)
{
    int n = SSL_read(raw->ssl, bytes, (int)cap);
    return n > 0 ? (size_t)n : 0;
}

void rawtls_write(struct rawtls *raw, const void *bytes, size_t len)
{
    need(SSL_write(raw->ssl, bytes, (int)len) == (int)len, "SSL_write");
}
