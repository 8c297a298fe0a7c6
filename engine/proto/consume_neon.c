/*
 * proto/consume_neon.c - the consume loop with the NEON kernels inlined.
 */
#include "simd/neon.h"

#ifdef WSR_ISA_NAME

#include "proto/consume.inc"
#include "simd/tables.h"

extern const struct wsr_consume wsr_consume_neon;
const struct wsr_consume wsr_consume_neon = {&wsr_kernels_neon, consume_run};

#else
typedef int wsr_no_consume_neon; /* a translation unit must not be empty */
#endif
