/*
 * simd/avx2.h - the kernels for AVX2: 32 bytes a step (simd/vector.h).
 *
 * Include one ISA header in a translation unit: each defines the same four wsr_isa_ functions.
 */
#ifndef WSR_SIMD_AVX2_H
#define WSR_SIMD_AVX2_H

#if defined(__x86_64__) && defined(__AVX2__)

#include "simd/x86.h"

#define WSR_ISA_NAME "avx2"
#define WSR_V 32u
typedef wsr_v32 wsr_v;

#define wsr_v_load wsr_v32_load
#define wsr_v_store wsr_v32_store
#define wsr_v_key wsr_v32_key
#define wsr_v_xor wsr_v32_xor
#define wsr_v_or wsr_v32_or
#define wsr_v_any_top wsr_v32_any_top

WSR_INLINE wsr_v wsr_v_and(wsr_v a, wsr_v b)
{
    return _mm256_and_si256(a, b);
}

WSR_INLINE wsr_v wsr_v_sub(wsr_v a, wsr_v b)
{
    return _mm256_sub_epi8(a, b);
}

WSR_INLINE wsr_v wsr_v_subs(wsr_v a, wsr_v b)
{
    return _mm256_subs_epu8(a, b);
}

WSR_INLINE wsr_v wsr_v_set1(unsigned byte)
{
    return _mm256_set1_epi8((char)byte);
}

WSR_INLINE wsr_v wsr_v_low(wsr_v v)
{
    return _mm256_and_si256(v, _mm256_set1_epi8(15));
}

WSR_INLINE wsr_v wsr_v_high(wsr_v v)
{
    return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
}

WSR_INLINE wsr_v wsr_v_table(const uint8_t *sixteen)
{
    return _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)(const void *)sixteen));
}

WSR_INLINE wsr_v wsr_v_lookup(wsr_v table, wsr_v nibbles)
{
    return _mm256_shuffle_epi8(table, nibbles);
}

/* The 32 bytes that end 16 before the end of now: alignr works within halves. */
WSR_INLINE wsr_v wsr_v_back16(wsr_v before, wsr_v now)
{
    return _mm256_permute2x128_si256(before, now, 0x21);
}

WSR_INLINE wsr_v wsr_v_back1(wsr_v before, wsr_v now)
{
    return _mm256_alignr_epi8(now, wsr_v_back16(before, now), 15);
}

WSR_INLINE wsr_v wsr_v_back2(wsr_v before, wsr_v now)
{
    return _mm256_alignr_epi8(now, wsr_v_back16(before, now), 14);
}

WSR_INLINE wsr_v wsr_v_last(unsigned byte)
{
    return _mm256_inserti128_si256(_mm256_setzero_si256(), _mm_slli_si128(_mm_cvtsi32_si128((int)byte), 15), 1);
}

WSR_INLINE bool wsr_v_any(wsr_v v)
{
    return _mm256_testz_si256(v, v) == 0;
}

#include "simd/vector.h"

#endif
#endif
