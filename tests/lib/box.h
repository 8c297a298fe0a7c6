/*
 * tests/lib/box.h - an endpoint in a box, for tests: no transport, no clock, memory that fails on demand. What it reports
 * is written down as text, a line a fact, and what it sends as bytes, so that two runs can be compared.
 *
 * Lines of an event: "open" or "request" and the request's fields ("path /chat"; "header NAME" and "  VALUE"), or for a
 * client "open 101" and the answer's; "text ..." or "binary ..." with bytes beyond ASCII as \xNN; "closed WSR_NAME STATUS",
 * and behind it the answer of a server that refused: "headers N", each, and "body ...".
 */
#ifndef TESTS_LIB_BOX_H
#define TESTS_LIB_BOX_H

#include "lib/vectors.h"
#include "proto/endpoint.h"

/* Zero it, set what is to be other than zero, then open. */
struct box {
    struct wsr_env env;
    struct wsr_endpoint ep;
    struct vectors_bytes seen;     /* events, a line a fact */
    struct vectors_bytes sent;     /* what it put on the wire */
    unsigned batch_cap;            /* events a batch, at most 16; 0: 8 */
    size_t out_bytes_peak;         /* of the pool, at the end of a batch */
    int random_error;              /* not 0: there are no random bytes */
    unsigned long fail_at;         /* the allocation that fails, from 1; 0: none */
    bool fail_for_good;            /* and so do all behind it; the pool keeps nothing that could stand in */
    unsigned long allocations;     /* asked for */
    wsr_allocator allocator;
};

/* Not 0: what SHA-1 fails with. */
extern int box_sha1_error;

/*
 * Opens at time 0; random bytes are "the sample nonce" over and over. Returns as wsr_endpoint_open; after a failure only
 * box_close may follow.
 */
int box_open(struct box *box, const wsr_endpoint_config *config);
/* Frees all, and fails the test if the pool has not got everything back. */
void box_close(struct box *box);

/* What is to be sent is sent, what was retired goes back. Every call below ends so. */
void box_flush(struct box *box, uint64_t now_ns);
/* Feeds len bytes as one arrival, batch after batch. Returns how many were consumed. */
size_t box_feed(struct box *box, uint64_t now_ns, uint8_t *p, size_t len);
/* Likewise a copy of a string; fails the test if it is not consumed as a whole. */
void box_feed_text(struct box *box, uint64_t now_ns, const char *text);
void box_tick(struct box *box, uint64_t now_ns);
void box_eof(struct box *box, uint64_t now_ns);

/* Fails the test if no such line was seen; if what was sent is not this. */
void box_expect_seen(const struct box *box, const char *line);
void box_expect_sent(const struct box *box, const char *bytes);

#endif
