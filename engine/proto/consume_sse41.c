/*
 * proto/consume_sse41.c - the consume loop with the SSE4.1 kernels inlined.
 */
#include "simd/sse41.h"

#ifdef WSR_ISA_NAME

#include "proto/consume.inc"
#include "simd/tables.h"

extern const struct wsr_consume wsr_consume_sse41;
const struct wsr_consume wsr_consume_sse41 = {&wsr_kernels_sse41, consume_run};

#else
typedef int wsr_no_consume_sse41; /* a translation unit must not be empty */
#endif
