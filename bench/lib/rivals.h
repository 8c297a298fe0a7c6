/*
 * bench/lib/rivals.h - what the kernels are measured against, where Debian packages nothing as good: our own plain writing
 * of the published methods, at the widest vectors this CPU has.
 */
#ifndef BENCH_RIVALS_H
#define BENCH_RIVALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* p[i] ^= key[i & 3], as it is usually written. */
void rival_mask_bytes(uint8_t *p, size_t len, uint32_t key);

/* The roofline: load, XOR, store, four vectors a turn, and a byte loop for what is left; no care for alignment. */
void rival_mask_wide(uint8_t *p, size_t len, uint32_t key);

/*
 * Keiser and Lemire's lookup as published ("Validating UTF-8 in less than one instruction per byte", 2020), with a skip of
 * 256 or 64 bytes of ASCII; what simdutf and others do. AVX-512 BW or AVX2; false always if the CPU has neither.
 */
bool rival_utf8_lookup(const uint8_t *p, size_t len);

/* From now on AVX2 at most, to match kernels that were told the same. */
void rival_forbid_avx512(void);

/* "avx512", "avx2" or "none": which of them. */
const char *rival_isa(void);

#endif
