/*
 * proto/consume_avx2.c - the consume loop with the AVX2 kernels inlined.
 */
#include "simd/avx2.h"

#ifdef WSR_ISA_NAME

#include "proto/consume.inc"
#include "simd/tables.h"

extern const struct wsr_consume wsr_consume_avx2;
const struct wsr_consume wsr_consume_avx2 = {&wsr_kernels_avx2, consume_run};

#else
typedef int wsr_no_consume_avx2; /* a translation unit must not be empty */
#endif
