/*
 * tests/lib/tls_pair.h - both ends of TLS in memory, without any transport: ciphertext is moved from one to the other in pieces of any
 * size, each at the end of memory of its own size, so that a sanitizer sees what is read or written beyond it. Fails the test (cmocka).
 */
#ifndef TESTS_LIB_TLS_PAIR_H
#define TESTS_LIB_TLS_PAIR_H

#include "tls/session.h"

struct tls_bytes {
    uint8_t *p;
    size_t len, cap;
};

struct tls_end {
    struct wsr_tls_session session;
    struct tls_bytes got; /* plaintext */
};

struct tls_pair {
    struct wsr_pool pool;
    struct tls_end client, server;
};

/* To localhost, or to that peer. */
void tls_pair_open(struct tls_pair *pair, struct wsr_tls *server, struct wsr_tls *client);
void tls_pair_open_to(struct tls_pair *pair, struct wsr_tls *server, struct wsr_tls *client, const struct wsr_tls_peer *peer);
/* Nothing of the pool's may be left. */
void tls_pair_close(struct tls_pair *pair);

/* All output of one end so far, taken; free its p. */
struct tls_bytes tls_pair_output(struct tls_pair *pair, struct tls_end *from);
/* Feeds one piece. Returns whether data ended it (wsr_tls_plain.data_last). */
bool tls_pair_feed(struct tls_pair *pair, struct tls_end *to, const uint8_t *p, size_t len);
/* Moves what there is from one to the other, in pieces of this size; returns how much it was. */
size_t tls_pair_move(struct tls_pair *pair, struct tls_end *from, struct tls_end *to, size_t piece);
/* The same both ways, until there is nothing more. */
void tls_pair_shake(struct tls_pair *pair, size_t piece);

/* Writes len bytes of a pattern, in one piece. */
void tls_write_pattern(struct tls_end *from, size_t len);
/* What came is patterns of these lengths, one behind the other; forgotten then. */
void tls_expect_patterns(struct tls_end *to, const size_t *lens, unsigned n);

/* A connection from its beginning to its end: was it resumed? clean: with both goodbyes. */
bool tls_pair_resumes(struct wsr_tls *server, struct wsr_tls *client, bool clean);

/* Versions and ciphers, one after the other. */
#define TLS_KINDS 6u
extern const struct tls_kind {
    const char *name, *ciphers, *ciphersuites;
    bool tls13_only;
    const char *version;
} tls_kinds[TLS_KINDS];

/* With config, and without resumption. */
struct wsr_tls *tls_open_kind(wsr_tls_config config, const struct tls_kind *kind);

#endif
