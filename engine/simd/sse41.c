/*
 * simd/sse41.c - the kernels of simd/sse41.h as a table of functions. Empty on other CPUs.
 */
#if defined(__x86_64__)
#include "simd/sse41.h"

#include "simd/cpu.h"
#include "simd/tables.h"

#ifndef WSR_ISA_NAME
#error "compile with -msse4.1"
#endif

#include "simd/table.inc"

const struct wsr_kernels wsr_kernels_sse41 = WSR_KERNELS(wsr_cpu_sse41);
#else
typedef int wsr_no_sse41; /* a translation unit must not be empty */
#endif
