/*
 * simd/scalar.h - the kernels in plain C, for any CPU: eight bytes a step, and the automaton of simd/dfa.h.
 *
 * Include one ISA header in a translation unit: each defines the same four wsr_isa_ functions (RFC 6455 section 5.3,
 * RFC 3629).
 */
#ifndef WSR_SIMD_SCALAR_H
#define WSR_SIMD_SCALAR_H

#include "simd/dfa.h"

#define WSR_ISA_NAME "scalar"

WSR_INLINE void wsr_scalar_unmask_bytes(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    for (size_t i = 0; i < len; i++) {
        dst[i] = (uint8_t)(src[i] ^ key >> (i & 3) * 8);
    }
}

/*
 * dst is src or does not overlap it. XOR is not idempotent, so the last word, which overlaps the one before it, is
 * loaded raw before anything is stored.
 */
WSR_INLINE uint32_t wsr_scalar_mask(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    if (len >= 8) {
        uint64_t mask = wsr_key_twice(key), tail = wsr_load64(src + len - 8);
        for (size_t i = 0; i + 8 < len; i += 8) {
            wsr_store64(dst + i, wsr_load64(src + i) ^ mask);
        }
        wsr_store64(dst + len - 8, tail ^ wsr_key_twice(wsr_key_rotate(key, len)));
    } else if (len >= 4) {
        uint32_t head = wsr_load32(src), tail = wsr_load32(src + len - 4);
        wsr_store32(dst, head ^ key);
        wsr_store32(dst + len - 4, tail ^ wsr_key_rotate(key, len));
    } else {
        wsr_scalar_unmask_bytes(dst, src, len, key);
    }
    return wsr_key_rotate(key, len);
}

WSR_INLINE uint32_t wsr_isa_unmask(uint8_t *p, size_t len, uint32_t key)
{
    return wsr_scalar_mask(p, p, len, key);
}

WSR_INLINE uint32_t wsr_isa_copy_mask(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    return wsr_scalar_mask(dst, src, len, key);
}

WSR_NOINLINE bool wsr_scalar_utf8(wsr_text_state *state, const uint8_t *p, size_t len)
{
    return wsr_dfa_text(state, (uint8_t *)(uintptr_t)p, len, false); /* not written */
}

WSR_NOINLINE bool wsr_scalar_unmask_utf8(wsr_text_state *state, uint8_t *p, size_t len)
{
    return wsr_dfa_text(state, p, len, true);
}

WSR_INLINE bool wsr_isa_utf8(wsr_text_state *state, const uint8_t *p, size_t len)
{
    return wsr_scalar_utf8(state, p, len);
}

WSR_INLINE bool wsr_isa_unmask_utf8(wsr_text_state *state, uint8_t *p, size_t len)
{
    /* 8 to 16 bytes of ASCII from a fresh state: two overlapped words and one test. */
    if (len - 8 <= 8 && wsr_state_clear(state)) {
        uint32_t turned = wsr_key_rotate(state->key, len);
        uint64_t head = wsr_load64(p) ^ wsr_key_twice(state->key);
        uint64_t tail = wsr_load64(p + len - 8) ^ wsr_key_twice(turned);
        if (((head | tail) & WSR_TOP_BITS) == 0) {
            wsr_store64(p, head);
            wsr_store64(p + len - 8, tail);
            state->key = turned;
            return true;
        }
    }
    return wsr_scalar_unmask_utf8(state, p, len);
}

#endif
