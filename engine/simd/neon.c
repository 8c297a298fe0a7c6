/*
 * simd/neon.c - the kernels of simd/neon.h as a table of functions. Empty on other CPUs.
 */
#if defined(__aarch64__)
#include "simd/neon.h"

#include "simd/cpu.h"
#include "simd/tables.h"

#include "simd/table.inc"

const struct wsr_kernels wsr_kernels_neon = WSR_KERNELS(wsr_cpu_any);
#else
typedef int wsr_no_neon; /* a translation unit must not be empty */
#endif
