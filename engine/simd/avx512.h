/*
 * simd/avx512.h - the kernels for AVX-512 with VBMI and GFNI (Ice Lake, Zen 4 and later): 64 bytes a step.
 *
 * Include one ISA header in a translation unit: each defines the same four wsr_isa_ functions (RFC 6455 section 5.3,
 * RFC 3629). What is short is inlined, what is long is called. Compile with what simd/cpu.h asks of the CPU.
 *
 * How a long payload is taken: it seldom starts on a cache line, and a 64-byte access that straddles two costs twice. So
 * one unaligned step at the head, aligned steps, one unaligned step at the end that overlaps the one before it. XOR is not
 * idempotent: whatever two steps share is loaded raw before the first of them is stored.
 */
#ifndef WSR_SIMD_AVX512_H
#define WSR_SIMD_AVX512_H

#if defined(__x86_64__) && defined(__AVX512VBMI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__GFNI__) && \
    defined(__BMI2__)

#include "simd/avx512_utf8.h"
#include "simd/x86.h"

#include "simd/small.h"

#define WSR_ISA_NAME "avx512"

/* From here on a payload is aligned first; below, the extra step costs more than the straddling. */
#define WSR_Z_ALIGN_MIN 512u

WSR_INLINE __m512i wsr_z_load(const uint8_t *p)
{
    return _mm512_loadu_si512((const void *)p);
}

WSR_INLINE void wsr_z_store(uint8_t *p, __m512i v)
{
    _mm512_storeu_si512((void *)p, v);
}

WSR_INLINE __m512i wsr_z_mask(uint32_t key)
{
    return _mm512_set1_epi32((int)key);
}

WSR_INLINE __m512i wsr_z_xor(__m512i a, __m512i b)
{
    return _mm512_xor_si512(a, b);
}

/* Bytes from p to the next 64-byte boundary. */
WSR_INLINE size_t wsr_z_head(const uint8_t *p)
{
    return (size_t)(-(uintptr_t)p & 63);
}

/* --- Unmasking in place ------------------------------------------------------------------------------------------------ */

/* 65 to 256 bytes: two or four steps, all overlapped, and all loaded before the first is stored: dst may be src. */
WSR_INLINE void wsr_z_mask_medium(uint8_t *dst, const uint8_t *src, size_t len, __m512i mask, __m512i mask_end)
{
    __m512i first = wsr_z_xor(wsr_z_load(src), mask), last = wsr_z_xor(wsr_z_load(src + len - 64), mask_end);
    if (len > 128) {
        __m512i second = wsr_z_xor(wsr_z_load(src + 64), mask), third = wsr_z_xor(wsr_z_load(src + len - 128), mask_end);
        wsr_z_store(dst + 64, second);
        wsr_z_store(dst + len - 128, third);
    }
    wsr_z_store(dst, first);
    wsr_z_store(dst + len - 64, last);
}

/* Four steps at once, and then one at a time, while they fit. Returns where it stopped. */
WSR_INLINE size_t wsr_z_mask_steps(uint8_t *dst, const uint8_t *src, size_t i, size_t len, __m512i mask)
{
    for (; i + 256 <= len; i += 256) {
        __m512i a = wsr_z_xor(wsr_z_load(src + i), mask), b = wsr_z_xor(wsr_z_load(src + i + 64), mask);
        __m512i c = wsr_z_xor(wsr_z_load(src + i + 128), mask), d = wsr_z_xor(wsr_z_load(src + i + 192), mask);
        wsr_z_store(dst + i, a);
        wsr_z_store(dst + i + 64, b);
        wsr_z_store(dst + i + 128, c);
        wsr_z_store(dst + i + 192, d);
    }
    for (; i + 64 <= len; i += 64) {
        wsr_z_store(dst + i, wsr_z_xor(wsr_z_load(src + i), mask));
    }
    return i;
}

/* More than 64 bytes. */
WSR_NOINLINE uint32_t wsr_z_unmask_long(uint8_t *p, size_t len, uint32_t key)
{
    uint32_t turned = wsr_key_rotate(key, len);
    __m512i mask = wsr_z_mask(key), mask_end = wsr_z_mask(turned);
    if (len <= 256) {
        wsr_z_mask_medium(p, p, len, mask, mask_end);
        return turned;
    }
    __m512i first = wsr_z_xor(wsr_z_load(p), mask), last = wsr_z_xor(wsr_z_load(p + len - 64), mask_end);
    size_t i = len >= WSR_Z_ALIGN_MIN ? wsr_z_head(p) : 0;
    mask = wsr_z_mask(wsr_key_rotate(key, i));
    __m512i second = wsr_z_xor(wsr_z_load(p + i), mask); /* raw, before the head is stored over it */
    wsr_z_store(p, first);
    wsr_z_store(p + i, second);
    (void)wsr_z_mask_steps(p, p, i + 64, len, mask);
    wsr_z_store(p + len - 64, last);
    return turned;
}

WSR_INLINE uint32_t wsr_isa_unmask(uint8_t *p, size_t len, uint32_t key)
{
    if (len > 64) {
        return wsr_z_unmask_long(p, len, key);
    }
    uint32_t turned = wsr_key_rotate(key, len);
    (void)wsr_small_mask(p, p, len, key, turned, false);
    return turned;
}

/* --- Copying and masking ------------------------------------------------------------------------------------------------ */

/*
 * dst + i is aligned and src + i is off it, by off (1 to 63): each step is cut out of two aligned loads, each of which
 * serves two steps. That halves the time of unaligned ones. The loads stay inside the source. Returns where it stopped.
 */
WSR_INLINE size_t wsr_z_copy_shifted(uint8_t *dst, const uint8_t *src, size_t i, size_t len, unsigned off, __m512i mask)
{
    const __m512i cut = wsr_z_back(64 - off);
    if (i < off) { /* the aligned load would begin before the source */
        wsr_z_store(dst + i, wsr_z_xor(wsr_z_load(src + i), mask));
        i += 64;
    }
    const uint8_t *from = src + i - off;
    __m512i a = wsr_z_load(from);
    for (; i + 256 + 64 - off <= len; i += 256, from += 256) {
        __m512i b = wsr_z_load(from + 64), c = wsr_z_load(from + 128), d = wsr_z_load(from + 192), e = wsr_z_load(from + 256);
        wsr_z_store(dst + i, wsr_z_xor(_mm512_permutex2var_epi8(a, cut, b), mask));
        wsr_z_store(dst + i + 64, wsr_z_xor(_mm512_permutex2var_epi8(b, cut, c), mask));
        wsr_z_store(dst + i + 128, wsr_z_xor(_mm512_permutex2var_epi8(c, cut, d), mask));
        wsr_z_store(dst + i + 192, wsr_z_xor(_mm512_permutex2var_epi8(d, cut, e), mask));
        a = e;
    }
    for (; i + 64 + 64 - off <= len; i += 64, from += 64) {
        __m512i b = wsr_z_load(from + 64);
        wsr_z_store(dst + i, wsr_z_xor(_mm512_permutex2var_epi8(a, cut, b), mask));
        a = b;
    }
    return i;
}

/* More than 64 bytes, apart: nothing stored is loaded again, so the head and the end are done at once. */
WSR_NOINLINE uint32_t wsr_z_copy_long(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    uint32_t turned = wsr_key_rotate(key, len);
    __m512i mask = wsr_z_mask(key), mask_end = wsr_z_mask(turned);
    if (len <= 256) {
        wsr_z_mask_medium(dst, src, len, mask, mask_end);
        return turned;
    }
    wsr_z_store(dst, wsr_z_xor(wsr_z_load(src), mask));
    wsr_z_store(dst + len - 64, wsr_z_xor(wsr_z_load(src + len - 64), mask_end));
    size_t i = wsr_z_head(dst);
    unsigned off = (unsigned)((uintptr_t)(src + i) & 63);
    mask = wsr_z_mask(wsr_key_rotate(key, i));
    if (off != 0 && len >= WSR_Z_ALIGN_MIN) {
        i = wsr_z_copy_shifted(dst, src, i, len, off, mask);
    }
    (void)wsr_z_mask_steps(dst, src, i, len, mask);
    return turned;
}

WSR_INLINE uint32_t wsr_isa_copy_mask(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    if (len > 64) {
        return wsr_z_copy_long(dst, src, len, key);
    }
    uint32_t turned = wsr_key_rotate(key, len);
    (void)wsr_small_mask(dst, src, len, key, turned, false);
    return turned;
}

/* --- UTF-8, with and without unmasking ---------------------------------------------------------------------------------- */

/* 1 to 63 bytes of anything after anything. unmask is a constant: each function here that has it becomes two. */
WSR_INLINE bool wsr_z_text_short(wsr_text_state *state, uint8_t *p, size_t len, bool unmask)
{
    __mmask64 lanes = _bzhi_u64(~(uint64_t)0, (unsigned)len);
    __m512i d = _mm512_maskz_loadu_epi8(lanes, p);
    const struct wsr_z_tables tables = wsr_z_tables_get();
    struct wsr_z_stream stream;
    if (unmask) {
        uint32_t key = state->key;
        state->key = wsr_key_rotate(key, len);
        d = _mm512_maskz_mov_epi8(lanes, wsr_z_xor(d, wsr_z_mask(key)));
        (void)wsr_small_mask(p, p, len, key, state->key, false);
    }
    if (state->error != 0) {
        return wsr_state_fail(state);
    }
    wsr_z_start(&stream, &tables, state->last[0]);
    return wsr_z_finish(state, &stream, &tables, d, (unsigned)len, p + len, len);
}

/* 64 to 256 bytes, if they are ASCII: all or nothing. */
WSR_INLINE bool wsr_z_ascii_medium(uint8_t *p, size_t len, uint32_t key, uint32_t turned, bool unmask)
{
    __m512i mask = wsr_z_mask(key), mask_end = wsr_z_mask(turned);
    __m512i a = wsr_z_xor(wsr_z_load(p), mask), d = wsr_z_xor(wsr_z_load(p + len - 64), mask_end);
    __m512i b = a, c = d;
    if (len > 128) {
        b = wsr_z_xor(wsr_z_load(p + 64), mask);
        c = wsr_z_xor(wsr_z_load(p + len - 128), mask_end);
    }
    if (_mm512_movepi8_mask(_mm512_or_si512(_mm512_ternarylogic_epi64(a, b, c, 0xFE), d)) != 0) {
        return false;
    }
    if (unmask) {
        wsr_z_store(p, a);
        if (len > 128) {
            wsr_z_store(p + 64, b);
            wsr_z_store(p + len - 128, c);
        }
        wsr_z_store(p + len - 64, d);
    }
    return true;
}

/*
 * Takes ASCII from i on in steps of 256 and 64 bytes, up to the last of up to 63; stops, with nothing done, before a step
 * that holds anything else. Returns how far it came.
 */
WSR_INLINE size_t wsr_z_ascii_long(uint8_t *p, size_t i, size_t len, __m512i mask, bool unmask)
{
    for (; i + 256 <= len; i += 256) {
        __m512i a = wsr_z_xor(wsr_z_load(p + i), mask), b = wsr_z_xor(wsr_z_load(p + i + 64), mask);
        __m512i c = wsr_z_xor(wsr_z_load(p + i + 128), mask), d = wsr_z_xor(wsr_z_load(p + i + 192), mask);
        if (_mm512_movepi8_mask(_mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d))) != 0) {
            return i;
        }
        if (unmask) {
            wsr_z_store(p + i, a);
            wsr_z_store(p + i + 64, b);
            wsr_z_store(p + i + 128, c);
            wsr_z_store(p + i + 192, d);
        }
    }
    for (; i + 64 <= len; i += 64) {
        __m512i a = wsr_z_xor(wsr_z_load(p + i), mask);
        if (_mm512_movepi8_mask(a) != 0) {
            return i;
        }
        if (unmask) {
            wsr_z_store(p + i, a);
        }
    }
    return i;
}

/* Whole blocks from i on, of anything. Returns where the rest begins, fewer than 64 bytes. */
WSR_INLINE size_t wsr_z_blocks(struct wsr_z_stream *stream, const struct wsr_z_tables *t, uint8_t *p, size_t i, size_t len, __m512i mask,
                               bool unmask)
{
    for (; i + 256 <= len; i += 256) {
        __m512i a = wsr_z_xor(wsr_z_load(p + i), mask), b = wsr_z_xor(wsr_z_load(p + i + 64), mask);
        __m512i c = wsr_z_xor(wsr_z_load(p + i + 128), mask), d = wsr_z_xor(wsr_z_load(p + i + 192), mask);
        if (unmask) {
            wsr_z_store(p + i, a);
            wsr_z_store(p + i + 64, b);
            wsr_z_store(p + i + 128, c);
            wsr_z_store(p + i + 192, d);
        }
        wsr_z_four(stream, t, a, b, c, d);
    }
    for (; i + 64 <= len; i += 64) {
        __m512i a = wsr_z_xor(wsr_z_load(p + i), mask);
        if (unmask) {
            wsr_z_store(p + i, a);
        }
        wsr_z_one(stream, t, a);
    }
    return i;
}

/* 64 bytes and more. */
WSR_INLINE bool wsr_z_text_long(wsr_text_state *state, uint8_t *p, size_t len, bool unmask)
{
    uint32_t key = unmask ? state->key : 0, turned = wsr_key_rotate(key, len);
    bool ascii = wsr_state_clear(state);
    if (len <= 256 && ascii && wsr_z_ascii_medium(p, len, key, turned, unmask)) {
        state->key = unmask ? turned : state->key;
        return true;
    }
    __m512i mask = wsr_z_mask(key), first = _mm512_setzero_si512(), second = first;
    __m512i last = wsr_z_xor(wsr_z_load(p + len - 64), wsr_z_mask(turned));
    size_t head = len >= WSR_Z_ALIGN_MIN ? wsr_z_head(p) : 0, i = 0;
    if (head != 0) {
        first = wsr_z_xor(wsr_z_load(p), mask);
        mask = wsr_z_mask(wsr_key_rotate(key, head));
        second = wsr_z_xor(wsr_z_load(p + head), mask); /* raw, before the head is stored over it */
        if (unmask) {
            wsr_z_store(p, first);
            wsr_z_store(p + head, second);
        }
        ascii = ascii && _mm512_movepi8_mask(_mm512_or_si512(first, second)) == 0;
        i = head + 64;
    }
    if (unmask) {
        state->key = turned;
    }
    if (ascii && len > 256) {
        i = wsr_z_ascii_long(p, i, len, mask, unmask);
        if (i + 64 > len && _mm512_movepi8_mask(last) == 0) {
            if (unmask) {
                wsr_z_store(p + len - 64, last);
            }
            return true;
        }
    }
    const struct wsr_z_tables tables = wsr_z_tables_get();
    struct wsr_z_stream stream;
    wsr_z_start(&stream, &tables, state->last[0]);
    if (!ascii && head != 0) {
        wsr_z_head_block(&stream, &tables, first, (unsigned)head);
        wsr_z_one(&stream, &tables, second);
    }
    i = wsr_z_blocks(&stream, &tables, p, i, len, mask, unmask);
    __mmask64 lanes = _bzhi_u64(~(uint64_t)0, (unsigned)(len - i));
    __m512i rest = _mm512_maskz_mov_epi8(lanes, wsr_z_xor(_mm512_maskz_loadu_epi8(lanes, p + i), mask));
    if (unmask) {
        wsr_z_store(p + len - 64, last);
    }
    if (state->error != 0) {
        return wsr_state_fail(state);
    }
    return wsr_z_finish(state, &stream, &tables, rest, (unsigned)(len - i), p + len, len);
}

WSR_NOINLINE bool wsr_z_utf8_any(wsr_text_state *state, const uint8_t *p, size_t len)
{
    uint8_t *q = (uint8_t *)(uintptr_t)p; /* not written: unmask is false */
    return len >= 64 ? wsr_z_text_long(state, q, len, false) : wsr_z_text_short(state, q, len, false);
}

WSR_NOINLINE bool wsr_z_unmask_utf8_any(wsr_text_state *state, uint8_t *p, size_t len)
{
    return len >= 64 ? wsr_z_text_long(state, p, len, true) : wsr_z_text_short(state, p, len, true);
}

WSR_INLINE bool wsr_isa_utf8(wsr_text_state *state, const uint8_t *p, size_t len)
{
    if (len <= 64 && wsr_state_clear(state) && wsr_small_ascii(p, len)) {
        return true;
    }
    return len == 0 ? state->error == 0 : wsr_z_utf8_any(state, p, len);
}

WSR_INLINE bool wsr_isa_unmask_utf8(wsr_text_state *state, uint8_t *p, size_t len)
{
    if (len <= 64 && wsr_state_clear(state)) {
        uint32_t turned = wsr_key_rotate(state->key, len);
        if (wsr_small_mask(p, p, len, state->key, turned, true)) {
            state->key = turned;
            return true;
        }
    }
    return len == 0 ? state->error == 0 : wsr_z_unmask_utf8_any(state, p, len);
}

#endif
#endif
