/*
 * tls/crypto.h - what the protocol needs of cryptography, for whoever injects it: SHA-1 for the accept key, secure random
 * bytes for masking keys, and the news that the process forked.
 *
 * Nothing here knows a WebSocket. On failure functions return WSR_ERANDOM (random) or WSR_ESYS (digest).
 */
#ifndef WSR_TLS_CRYPTO_H
#define WSR_TLS_CRYPTO_H

#include <wsring/types.h>

/* SHA-1 of len bytes (RFC 6455 section 4.2.2, item 5.4: not for secrecy). Any thread. */
WSR_MUST_USE int wsr_crypto_sha1(const uint8_t *in, size_t len, uint8_t out[20]);

/* n secure random bytes from the kernel, about half a microsecond a call. context is not used. Any thread, and after a fork. */
WSR_MUST_USE int wsr_crypto_random(void *context, uint8_t *out, size_t n);

/*
 * A number that is never 0 in the process that called this and another one in every child forked since: what was drawn
 * in bulk before a fork must not be used on both sides of it. Whoever caches random bytes compares; it costs one load.
 * Points to 0 for ever if the kernel gives no help (before 4.14), and in a child made without fork(3) until it next uses
 * wsr_crypto_stream_fill: "cannot be told", so cache nothing. Static storage; any thread.
 */
const uint32_t *wsr_crypto_fork_epoch(void);

/*
 * Secure random bytes in bulk: AES-256 in counter mode (NIST SP 800-90A's construction without the bookkeeping) under a
 * key from the kernel, which is replaced after every MiB and after a fork. One thread at a time.
 */
struct wsr_crypto_stream;

/* Returns 0, WSR_ENOMEM or WSR_ERANDOM; *out is written only on success. */
WSR_MUST_USE int wsr_crypto_stream_open(struct wsr_crypto_stream **out);

/* n bytes; stream is a struct wsr_crypto_stream *, untyped so that this can be injected. */
WSR_MUST_USE int wsr_crypto_stream_fill(void *stream, uint8_t *out, size_t n);

/* NULL is fine. */
void wsr_crypto_stream_close(struct wsr_crypto_stream *stream);

#endif
