/*
 * tests/lib/rawtls.h - the other end of a TLS connection as OpenSSL has it, over memory: whoever uses it moves the bytes. It does
 * what the library never would: says nothing at its end, renegotiates, sends what is no TLS.
 */
#ifndef TESTS_LIB_RAWTLS_H
#define TESTS_LIB_RAWTLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rawtls {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out; /* ciphertext for it; ciphertext of it */
    uint8_t alert; /* that it received; 0: none */
};

/* A client that believes anything, or a server with this PEM file. max_version 0: any. Aborts if it cannot. */
void rawtls_client(struct rawtls *raw, int max_version);
void rawtls_server(struct rawtls *raw, const char *certificate);
void rawtls_free(struct rawtls *raw);

/* Gives it ciphertext. */
void rawtls_feed(struct rawtls *raw, const void *bytes, size_t len);
/* Takes up to cap bytes of its ciphertext; 0: there is none. */
size_t rawtls_take(struct rawtls *raw, void *bytes, size_t cap);
/* Goes on with its handshake; true once that is done. */
bool rawtls_shake(struct rawtls *raw);
/* Plaintext it has received: how many bytes, 0 none. */
size_t rawtls_read(struct rawtls *raw, void *bytes, size_t cap);
/* Aborts if it cannot. */
void rawtls_write(struct rawtls *raw, const void *bytes, size_t len);

#endif
