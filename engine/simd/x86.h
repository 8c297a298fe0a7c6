/*
 * simd/x86.h - the vectors of simd/small.h and simd/vector.h on x86-64: sixteen bytes with SSE4.1, 32 with AVX2.
 */
#ifndef WSR_SIMD_X86_H
#define WSR_SIMD_X86_H

#if defined(__x86_64__) && defined(__SSE4_1__)

#include "simd/state.h"

#include <immintrin.h>

#define WSR_V16 1
typedef __m128i wsr_v16;

WSR_INLINE wsr_v16 wsr_v16_load(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

WSR_INLINE void wsr_v16_store(uint8_t *p, wsr_v16 v)
{
    _mm_storeu_si128((__m128i *)(void *)p, v);
}

WSR_INLINE wsr_v16 wsr_v16_key(uint32_t key)
{
    return _mm_set1_epi32((int)key);
}

WSR_INLINE wsr_v16 wsr_v16_xor(wsr_v16 a, wsr_v16 b)
{
    return _mm_xor_si128(a, b);
}

WSR_INLINE wsr_v16 wsr_v16_or(wsr_v16 a, wsr_v16 b)
{
    return _mm_or_si128(a, b);
}

WSR_INLINE bool wsr_v16_any_top(wsr_v16 v)
{
    return _mm_movemask_epi8(v) != 0;
}

#if defined(__AVX2__)
#define WSR_V32 1
typedef __m256i wsr_v32;

WSR_INLINE wsr_v32 wsr_v32_load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

WSR_INLINE void wsr_v32_store(uint8_t *p, wsr_v32 v)
{
    _mm256_storeu_si256((__m256i *)(void *)p, v);
}

WSR_INLINE wsr_v32 wsr_v32_key(uint32_t key)
{
    return _mm256_set1_epi32((int)key);
}

WSR_INLINE wsr_v32 wsr_v32_xor(wsr_v32 a, wsr_v32 b)
{
    return _mm256_xor_si256(a, b);
}

WSR_INLINE wsr_v32 wsr_v32_or(wsr_v32 a, wsr_v32 b)
{
    return _mm256_or_si256(a, b);
}

WSR_INLINE bool wsr_v32_any_top(wsr_v32 v)
{
    return _mm256_movemask_epi8(v) != 0;
}
#endif

#endif
#endif
