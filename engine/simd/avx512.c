/*
 * simd/avx512.c - the kernels of simd/avx512.h as a table of functions.
 */
#if defined(__x86_64__)
#include "simd/avx512.h"

#include "simd/cpu.h"
#include "simd/tables.h"

#ifndef WSR_ISA_NAME
#error "compile with -mavx512f -mavx512vl -mavx512bw -mavx512dq -mavx512vbmi -mgfni -mbmi2"
#endif

static uint32_t unmask(uint8_t *p, size_t len, uint32_t key)
{
    return wsr_isa_unmask(p, len, key);
}

static uint32_t copy_mask(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    return wsr_isa_copy_mask(dst, src, len, key);
}

static bool utf8(wsr_text_state *state, const uint8_t *p, size_t len)
{
    return wsr_isa_utf8(state, p, len);
}

static bool unmask_utf8(wsr_text_state *state, uint8_t *p, size_t len)
{
    return wsr_isa_unmask_utf8(state, p, len);
}

const struct wsr_kernels wsr_kernels_avx512 = {WSR_ISA_NAME, wsr_cpu_avx512, unmask, copy_mask, utf8, unmask_utf8};
#else
typedef int wsr_not_x86; /* a translation unit must not be empty */
#endif
