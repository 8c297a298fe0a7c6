/*
 * simd/x86_small.h - up to 64 bytes on any x86-64: two overlapped pieces, both loaded raw before either is stored.
 *
 * Overlapped plain pieces and not masked stores, because small frames lie packed: a load that follows a masked store to the
 * same line waits twice as long as one that follows a plain store (22 cycles against 10).
 * Included by the x86 ISA headers; not one of them itself.
 */
#ifndef WSR_SIMD_X86_SMALL_H
#define WSR_SIMD_X86_SMALL_H

#if defined(__x86_64__) && defined(__SSE4_1__)

#include "simd/state.h"

#include <immintrin.h>

#define WSR_TOP_BITS 0x8080808080808080u

WSR_INLINE __m128i wsr_load128(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

WSR_INLINE void wsr_store128(uint8_t *p, __m128i v)
{
    _mm_storeu_si128((__m128i *)(void *)p, v);
}

WSR_INLINE __m128i wsr_mask128(uint32_t key)
{
    return _mm_set1_epi32((int)key);
}

#if defined(__AVX2__)
WSR_INLINE __m256i wsr_load256(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

WSR_INLINE void wsr_store256(uint8_t *p, __m256i v)
{
    _mm256_storeu_si256((__m256i *)(void *)p, v);
}

WSR_INLINE __m256i wsr_mask256(uint32_t key)
{
    return _mm256_set1_epi32((int)key);
}
#endif

/*
 * dst[i] = src[i] ^ key for len <= 64; dst is src or apart from it. turned is the key rotated by len: the piece that ends
 * at len begins len - (a multiple of 4) bytes in, so that it starts with the key byte of len.
 *
 * With ascii_only, all or nothing: returns false, having stored nothing, if a masked byte has its top bit set.
 */
WSR_INLINE bool wsr_small_mask(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key, uint32_t turned, bool ascii_only)
{
    if (len > 32) {
#if defined(__AVX2__)
        __m256i a = _mm256_xor_si256(wsr_load256(src), wsr_mask256(key));
        __m256i b = _mm256_xor_si256(wsr_load256(src + len - 32), wsr_mask256(turned));
        if (ascii_only && _mm256_movemask_epi8(_mm256_or_si256(a, b)) != 0) {
            return false;
        }
        wsr_store256(dst, a);
        wsr_store256(dst + len - 32, b);
#else
        __m128i mask = wsr_mask128(key), end = wsr_mask128(turned);
        __m128i a = _mm_xor_si128(wsr_load128(src), mask), b = _mm_xor_si128(wsr_load128(src + 16), mask);
        __m128i c = _mm_xor_si128(wsr_load128(src + len - 32), end), d = _mm_xor_si128(wsr_load128(src + len - 16), end);
        if (ascii_only && _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d))) != 0) {
            return false;
        }
        wsr_store128(dst, a);
        wsr_store128(dst + 16, b);
        wsr_store128(dst + len - 32, c);
        wsr_store128(dst + len - 16, d);
#endif
    } else if (len >= 16) {
        __m128i a = _mm_xor_si128(wsr_load128(src), wsr_mask128(key));
        __m128i b = _mm_xor_si128(wsr_load128(src + len - 16), wsr_mask128(turned));
        if (ascii_only && _mm_movemask_epi8(_mm_or_si128(a, b)) != 0) {
            return false;
        }
        wsr_store128(dst, a);
        wsr_store128(dst + len - 16, b);
    } else if (len >= 8) {
        uint64_t a = wsr_load64(src) ^ wsr_key_twice(key), b = wsr_load64(src + len - 8) ^ wsr_key_twice(turned);
        if (ascii_only && ((a | b) & WSR_TOP_BITS) != 0) {
            return false;
        }
        wsr_store64(dst, a);
        wsr_store64(dst + len - 8, b);
    } else if (len >= 4) {
        uint32_t a = wsr_load32(src) ^ key, b = wsr_load32(src + len - 4) ^ turned;
        if (ascii_only && ((a | b) & (uint32_t)WSR_TOP_BITS) != 0) {
            return false;
        }
        wsr_store32(dst, a);
        wsr_store32(dst + len - 4, b);
    } else if (len != 0) {
        /* First, middle and last: for 1 to 3 bytes these are all, some of them twice. */
        size_t half = len >> 1;
        uint8_t a = (uint8_t)(src[0] ^ key), b = (uint8_t)(src[half] ^ key >> half * 8);
        uint8_t c = (uint8_t)(src[len - 1] ^ turned >> 24);
        if (ascii_only && ((a | b | c) & 0x80) != 0) {
            return false;
        }
        dst[0] = a;
        dst[half] = b;
        dst[len - 1] = c;
    }
    return true;
}

#endif
#endif
