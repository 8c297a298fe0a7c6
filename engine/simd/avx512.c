/*
 * simd/avx512.c - the kernels of simd/avx512.h as a table of functions. Empty on other CPUs.
 */
#if defined(__x86_64__)
#include "simd/avx512.h"

#include "simd/cpu.h"
#include "simd/tables.h"

#ifndef WSR_ISA_NAME
#error "compile with -mavx512f -mavx512vl -mavx512bw -mavx512dq -mavx512vbmi -mgfni -mbmi2"
#endif

#include "simd/table.inc"

const struct wsr_kernels wsr_kernels_avx512 = WSR_KERNELS(wsr_cpu_avx512);
#else
typedef int wsr_no_avx512; /* a translation unit must not be empty */
#endif
