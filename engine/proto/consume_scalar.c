/*
 * proto/consume_scalar.c - the consume loop in plain C.
 */
#include "simd/scalar.h"

#include "proto/consume.inc"

extern const struct wsr_consume wsr_consume_scalar;
const struct wsr_consume wsr_consume_scalar = {WSR_ISA_NAME, consume_run};
