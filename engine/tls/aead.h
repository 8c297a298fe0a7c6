/*
 * tls/aead.h - the authenticated encryption of one direction of TLS 1.3 (RFC 8446 section 5.2, RFC 5116), a record a call.
 *
 * By OpenSSL's EVP; and AES-GCM, where the build found libipsec-mb and the CPU has what that is good with, by it: a tenth of the
 * time a small record, a third a large one (OpenSSL 3.0 has no AVX-512 code for it, and its EVP takes a quarter of a microsecond to
 * begin).
 */
#ifndef WSR_TLS_AEAD_H
#define WSR_TLS_AEAD_H

#include <openssl/evp.h>
#include <wsring/types.h>

enum wsr_aead_kind { WSR_AEAD_NONE, WSR_AEAD_AES_128_GCM, WSR_AEAD_AES_256_GCM, WSR_AEAD_CHACHA20_POLY1305 };

#define WSR_AEAD_TAG 16u
#define WSR_AEAD_NONCE 12u
#define WSR_AEAD_HEAD 5u /* additional data: a record's header */
#define WSR_AEAD_KEY_MAX 32u

struct wsr_aead {
    EVP_CIPHER_CTX *evp; /* NULL: libipsec-mb */
    bool long_key;       /* there: AES-256 */
    uint8_t room[1152];  /* there: the expanded key, somewhere in it, aligned */
};

/* Bytes of a key of this kind. */
unsigned wsr_aead_key_bytes(enum wsr_aead_kind kind);

/* In place, which must not move until wsr_aead_fini. seals: for sealing, else for opening. False: no memory. */
WSR_MUST_USE bool wsr_aead_init(struct wsr_aead *aead, enum wsr_aead_kind kind, const uint8_t *key, bool seals);
void wsr_aead_fini(struct wsr_aead *aead); /* cleansed */

/*
 * Seals content and behind it the byte `type` into `to`, which has room for content.len + 1 + WSR_AEAD_TAG bytes. content may be at
 * `to` itself, but not otherwise overlap it. False: it failed, which cannot be helped.
 */
WSR_MUST_USE bool wsr_aead_seal(struct wsr_aead *aead, const uint8_t *nonce, const uint8_t *head, uint8_t *to, wsr_slice content, uint8_t type);

/* Opens body, of which the last WSR_AEAD_TAG bytes are the tag, in place. False: it is not what was sealed. */
WSR_MUST_USE bool wsr_aead_open(struct wsr_aead *aead, const uint8_t *nonce, const uint8_t *head, wsr_span body);

/* For tests: OpenSSL alone from now on, or not. Not while there are keys. */
void wsr_aead_plain(bool on);

#endif
