/*
 * simd/avx2.c - the kernels of simd/avx2.h as a table of functions. Empty on other CPUs.
 */
#if defined(__x86_64__)
#include "simd/avx2.h"

#include "simd/cpu.h"
#include "simd/tables.h"

#ifndef WSR_ISA_NAME
#error "compile with -mavx2 -mbmi -mbmi2"
#endif

#include "simd/table.inc"

const struct wsr_kernels wsr_kernels_avx2 = WSR_KERNELS(wsr_cpu_avx2);
#else
typedef int wsr_no_avx2; /* a translation unit must not be empty */
#endif
