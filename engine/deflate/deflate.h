/*
 * deflate/deflate.h - the compressors and decompressors there are, for proto/deflate.h.
 *
 * Which is used where, and why (`make bench-deflate` measures it on this machine):
 *     in     zlib: on messages below 1 KiB, which most are, up to twice as fast as ISA-L, with half the memory, and of the two
 *            the one that the world's hostile bytes have tested
 *     out    ISA-L: with fixed codes it compresses a message of 200 bytes in 0.3 us, where zlib takes 5; with context
 *            takeover to the size of zlib's level 1, without it to one 6 to 24 % larger
 *     out, asked for by level   zlib: 6 to 50 times slower, and at level 6 with context takeover a tenth to a quarter smaller
 */
#ifndef WSR_DEFLATE_DEFLATE_H
#define WSR_DEFLATE_DEFLATE_H

#include "proto/deflate.h"

extern const struct wsr_inflate_ops wsr_inflate_zlib;
extern const struct wsr_deflate_ops wsr_deflate_zlib;
/* Has one level only, 0. */
extern const struct wsr_deflate_ops wsr_deflate_isal;

#endif
