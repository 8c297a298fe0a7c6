/*
 * proto/key.h - Sec-WebSocket-Key and Sec-WebSocket-Accept: base64 of 16 random bytes, and the answer that proves that the
 * server has read it (RFC 6455 sections 4.1 and 4.2.2). Not masking keys: those are proto/keypool.h. Pure.
 */
#ifndef WSR_PROTO_KEY_H
#define WSR_PROTO_KEY_H

#include <wsring/types.h>

#define WSR_KEY_LEN 24u    /* 16 bytes in base64 */
#define WSR_ACCEPT_LEN 28u /* 20 bytes in base64 */

/* Base64 (RFC 4648 section 4) of n bytes: 4 * ceil(n / 3) bytes of out, which is all that is written. */
#define WSR_BASE64_LEN(n) (((n) + 2) / 3 * 4)
void wsr_base64(const uint8_t *in, size_t n, uint8_t *out);

/* SHA-1 of len bytes; 0 on success. */
typedef int wsr_sha1_fn(const uint8_t *in, size_t len, uint8_t out[20]);

/* The key for a client's nonce. */
void wsr_key_of(const uint8_t nonce[16], uint8_t key[WSR_KEY_LEN]);

/* Exactly 24 characters that are the base64 of 16 bytes? */
bool wsr_key_valid(wsr_slice key);

/* Sec-WebSocket-Accept for a key: base64(SHA-1(key + GUID)). Returns what sha1 does, 0 for success. */
WSR_MUST_USE int wsr_key_accept(wsr_sha1_fn *sha1, const uint8_t key[WSR_KEY_LEN], uint8_t accept[WSR_ACCEPT_LEN]);

#endif
