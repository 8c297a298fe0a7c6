/*
 * bench/lib/isal_inflate.h - ISA-L as a decompressor behind the same interface as zlib's, to be measured beside it. It does not ship.
 */
#ifndef BENCH_LIB_ISAL_INFLATE_H
#define BENCH_LIB_ISAL_INFLATE_H

#include "proto/deflate.h"

/* As in proto/deflate.h, but that a stream ends with a block that has BFINAL set. */
extern const struct wsr_inflate_ops bench_inflate_isal;

#endif
