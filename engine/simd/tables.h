/*
 * simd/tables.h - the kernel tables that this build may hold, one exported by each simd/ISA.c.
 */
#ifndef WSR_SIMD_TABLES_H
#define WSR_SIMD_TABLES_H

#include "simd/simd.h"

extern const struct wsr_kernels wsr_kernels_scalar;
#if defined(__x86_64__)
extern const struct wsr_kernels wsr_kernels_sse41;
extern const struct wsr_kernels wsr_kernels_avx2;
extern const struct wsr_kernels wsr_kernels_avx512;
#elif defined(__aarch64__)
extern const struct wsr_kernels wsr_kernels_neon;
#endif

#endif
