/*
 * proto/consume_avx512.c - the consume loop with the AVX-512 kernels inlined.
 */
#include "simd/avx512.h"

#ifdef WSR_ISA_NAME

#include "proto/consume.inc"
#include "simd/tables.h"

extern const struct wsr_consume wsr_consume_avx512;
const struct wsr_consume wsr_consume_avx512 = {&wsr_kernels_avx512, consume_run};

#else
typedef int wsr_no_consume_avx512; /* a translation unit must not be empty */
#endif
