/*
 * proto/consume_scalar.c - the consume loop in plain C.
 */
#include "simd/scalar.h"

#include "proto/consume.inc"
#include "simd/tables.h"

extern const struct wsr_consume wsr_consume_scalar;
const struct wsr_consume wsr_consume_scalar = {&wsr_kernels_scalar, consume_run};
