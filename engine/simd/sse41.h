/*
 * simd/sse41.h - the kernels for SSE4.1: 16 bytes a step (simd/vector.h).
 *
 * Include one ISA header in a translation unit: each defines the same four wsr_isa_ functions.
 */
#ifndef WSR_SIMD_SSE41_H
#define WSR_SIMD_SSE41_H

#if defined(__x86_64__) && defined(__SSE4_1__)

#include "simd/x86.h"

#define WSR_ISA_NAME "sse41"
#define WSR_V 16u
typedef wsr_v16 wsr_v;

#define wsr_v_load wsr_v16_load
#define wsr_v_store wsr_v16_store
#define wsr_v_key wsr_v16_key
#define wsr_v_xor wsr_v16_xor
#define wsr_v_or wsr_v16_or
#define wsr_v_any_top wsr_v16_any_top

WSR_INLINE wsr_v wsr_v_and(wsr_v a, wsr_v b)
{
    return _mm_and_si128(a, b);
}

WSR_INLINE wsr_v wsr_v_sub(wsr_v a, wsr_v b)
{
    return _mm_sub_epi8(a, b);
}

WSR_INLINE wsr_v wsr_v_subs(wsr_v a, wsr_v b)
{
    return _mm_subs_epu8(a, b);
}

WSR_INLINE wsr_v wsr_v_set1(unsigned byte)
{
    return _mm_set1_epi8((char)byte);
}

WSR_INLINE wsr_v wsr_v_low(wsr_v v)
{
    return _mm_and_si128(v, _mm_set1_epi8(15));
}

WSR_INLINE wsr_v wsr_v_high(wsr_v v)
{
    return _mm_and_si128(_mm_srli_epi16(v, 4), _mm_set1_epi8(15));
}

WSR_INLINE wsr_v wsr_v_table(const uint8_t *sixteen)
{
    return _mm_load_si128((const __m128i *)(const void *)sixteen);
}

WSR_INLINE wsr_v wsr_v_lookup(wsr_v table, wsr_v nibbles)
{
    return _mm_shuffle_epi8(table, nibbles);
}

WSR_INLINE wsr_v wsr_v_back1(wsr_v before, wsr_v now)
{
    return _mm_alignr_epi8(now, before, 15);
}

WSR_INLINE wsr_v wsr_v_back2(wsr_v before, wsr_v now)
{
    return _mm_alignr_epi8(now, before, 14);
}

WSR_INLINE wsr_v wsr_v_last(unsigned byte)
{
    return _mm_slli_si128(_mm_cvtsi32_si128((int)byte), 15);
}

WSR_INLINE bool wsr_v_any(wsr_v v)
{
    return _mm_testz_si128(v, v) == 0;
}

#include "simd/vector.h"

#endif
#endif
