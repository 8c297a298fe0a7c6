/*
 * simd/small.h - up to 64 bytes: two overlapped pieces, both loaded raw before either is stored.
 *
 * Overlapped plain pieces and not masked stores, because small frames lie packed: a load that follows a masked store to the
 * same line waits twice as long as one that follows a plain store (22 cycles against 10).
 *
 * Not an ISA header: one includes this after it has defined wsr_v16, sixteen bytes, with wsr_v16_load, _store, _key (the key
 * four times), _xor, _or and _any_top (is a top bit set?); and perhaps WSR_V32 and the same for wsr_v32.
 */
#ifndef WSR_SIMD_SMALL_H
#define WSR_SIMD_SMALL_H

#include "simd/state.h"

#if defined(WSR_V16)

/* 33 to 64 bytes. Parameters and result as wsr_small_mask. */
WSR_INLINE bool wsr_small_mask_33(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key, uint32_t turned, bool ascii_only)
{
#if defined(WSR_V32)
    wsr_v32 a = wsr_v32_xor(wsr_v32_load(src), wsr_v32_key(key));
    wsr_v32 b = wsr_v32_xor(wsr_v32_load(src + len - 32), wsr_v32_key(turned));
    if (ascii_only && wsr_v32_any_top(wsr_v32_or(a, b))) {
        return false;
    }
    wsr_v32_store(dst, a);
    wsr_v32_store(dst + len - 32, b);
#else
    wsr_v16 mask = wsr_v16_key(key), mask_end = wsr_v16_key(turned);
    wsr_v16 a = wsr_v16_xor(wsr_v16_load(src), mask), b = wsr_v16_xor(wsr_v16_load(src + 16), mask);
    wsr_v16 c = wsr_v16_xor(wsr_v16_load(src + len - 32), mask_end), d = wsr_v16_xor(wsr_v16_load(src + len - 16), mask_end);
    if (ascii_only && wsr_v16_any_top(wsr_v16_or(wsr_v16_or(a, b), wsr_v16_or(c, d)))) {
        return false;
    }
    wsr_v16_store(dst, a);
    wsr_v16_store(dst + 16, b);
    wsr_v16_store(dst + len - 32, c);
    wsr_v16_store(dst + len - 16, d);
#endif
    return true;
}

/* 1 to 7 bytes. */
WSR_INLINE bool wsr_small_mask_1(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key, uint32_t turned, bool ascii_only)
{
    if (len >= 4) {
        uint32_t a = wsr_load32(src) ^ key, b = wsr_load32(src + len - 4) ^ turned;
        if (ascii_only && ((a | b) & (uint32_t)WSR_TOP_BITS) != 0) {
            return false;
        }
        wsr_store32(dst, a);
        wsr_store32(dst + len - 4, b);
        return true;
    }
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
    return true;
}

/*
 * dst[i] = src[i] ^ key for len <= 64; dst is src or apart from it. turned is the key rotated by len: the piece that ends
 * at len begins a multiple of four bytes before it, so it starts with the key byte of len.
 *
 * With ascii_only, all or nothing: returns false, having stored nothing, if a masked byte has its top bit set.
 */
WSR_INLINE bool wsr_small_mask(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key, uint32_t turned, bool ascii_only)
{
    if (len > 32) {
        return wsr_small_mask_33(dst, src, len, key, turned, ascii_only);
    }
    if (len >= 16) {
        wsr_v16 a = wsr_v16_xor(wsr_v16_load(src), wsr_v16_key(key));
        wsr_v16 b = wsr_v16_xor(wsr_v16_load(src + len - 16), wsr_v16_key(turned));
        if (ascii_only && wsr_v16_any_top(wsr_v16_or(a, b))) {
            return false;
        }
        wsr_v16_store(dst, a);
        wsr_v16_store(dst + len - 16, b);
        return true;
    }
    if (len >= 8) {
        uint64_t a = wsr_load64(src) ^ wsr_key_twice(key), b = wsr_load64(src + len - 8) ^ wsr_key_twice(turned);
        if (ascii_only && ((a | b) & WSR_TOP_BITS) != 0) {
            return false;
        }
        wsr_store64(dst, a);
        wsr_store64(dst + len - 8, b);
        return true;
    }
    return len == 0 || wsr_small_mask_1(dst, src, len, key, turned, ascii_only);
}

/* Are these up to 64 bytes ASCII? */
WSR_INLINE bool wsr_small_ascii(const uint8_t *p, size_t len)
{
    if (len >= 16) {
        wsr_v16 any = wsr_v16_or(wsr_v16_load(p), wsr_v16_load(p + len - 16));
        if (len > 32) {
            any = wsr_v16_or(any, wsr_v16_or(wsr_v16_load(p + 16), wsr_v16_load(p + len - 32)));
        }
        return !wsr_v16_any_top(any);
    }
    if (len >= 8) {
        return ((wsr_load64(p) | wsr_load64(p + len - 8)) & WSR_TOP_BITS) == 0;
    }
    if (len >= 4) {
        return ((wsr_load32(p) | wsr_load32(p + len - 4)) & (uint32_t)WSR_TOP_BITS) == 0;
    }
    return len == 0 || ((p[0] | p[len >> 1] | p[len - 1]) & 0x80) == 0;
}

#endif
#endif
