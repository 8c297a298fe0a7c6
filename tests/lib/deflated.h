/*
 * tests/lib/deflated.h - a peer's compressor for tests: zlib as it comes, nothing of ours. No cmocka here.
 */
#ifndef TESTS_LIB_DEFLATED_H
#define TESTS_LIB_DEFLATED_H

#include <wsring/types.h>

#include "lib/vectors.h"

struct deflated;

/* level 0 to 9, window_bits 9 to 15. */
struct deflated *deflated_open(int level, int window_bits);
void deflated_close(struct deflated *deflated);
/* Forgets all so far. */
void deflated_reset(struct deflated *deflated);

/* Appends the payload of a message, or of a fragment; of the last fragment (and a message has only one) without the four bytes. */
void deflated_put(struct deflated *deflated, struct vectors_bytes *out, const void *p, size_t len, bool last);

/* One message that stands alone, level 6. */
void deflated_message(struct vectors_bytes *out, const void *p, size_t len);

/* Appends what inflates to `mib` MiB of zeros, and is about a thousandth of that; of the end see deflated_put. */
void deflated_bomb(struct vectors_bytes *out, unsigned mib);

#endif
