/*
 * simd/scalar.h - the kernels in plain C, for any CPU: eight bytes a step, and a table-driven automaton for UTF-8.
 *
 * Include one ISA header in a translation unit: each defines the same four wsr_isa_ functions (RFC 6455 section 5.3,
 * RFC 3629). The automaton is the "shift DFA": a state is a bit offset into a 64-bit word, and a byte's word holds the
 * next state for every state, so that a step is one load, which does not wait for the state, and one shift, which does.
 */
#ifndef WSR_SIMD_SCALAR_H
#define WSR_SIMD_SCALAR_H

#include "simd/state.h"

#define WSR_ISA_NAME "scalar"

/* States, as offsets of six bits. 0 is the error: what a byte does not list falls to it, and it stays there. */
enum {
    WSR_DFA_ERROR = 0,
    WSR_DFA_START = 6,
    WSR_DFA_C = 12,  /* one of 80..BF is due */
    WSR_DFA_E = 18,  /* two */
    WSR_DFA_F = 24,  /* three */
    WSR_DFA_E0 = 30, /* A0..BF, then one */
    WSR_DFA_ED = 36, /* 80..9F, then one */
    WSR_DFA_F0 = 42, /* 90..BF, then two */
    WSR_DFA_F4 = 48  /* 80..8F, then two */
};

extern const uint64_t wsr_dfa_row[256];      /* by byte */
extern const uint8_t wsr_dfa_last[9];        /* by state / 6: what state.h calls last[0] */
extern const uint8_t wsr_dfa_pending[9];     /* by state / 6 */

#define WSR_TOP_BITS 0x8080808080808080u

WSR_INLINE uint64_t wsr_dfa_step(uint64_t state, uint8_t byte)
{
    return wsr_dfa_row[byte] >> (state & 63);
}

WSR_INLINE uint64_t wsr_dfa_word(uint64_t state, uint64_t bytes)
{
    for (unsigned i = 0; i < 64; i += 8) {
        state = wsr_dfa_step(state, (uint8_t)(bytes >> i));
    }
    return state & 63;
}

/* The carried byte is a lead that means the same, so feeding it to a fresh automaton restores the state. */
WSR_INLINE uint64_t wsr_dfa_load(const wsr_text_state *state)
{
    return wsr_dfa_step(WSR_DFA_START, state->last[0]) & 63;
}

WSR_INLINE bool wsr_dfa_save(wsr_text_state *state, uint64_t dfa)
{
    if ((dfa &= 63) == WSR_DFA_ERROR) {
        return wsr_state_fail(state);
    }
    wsr_state_set(state, wsr_dfa_pending[dfa / 6], wsr_dfa_last[dfa / 6], 0);
    return true;
}

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

WSR_NOINLINE bool wsr_isa_utf8(wsr_text_state *state, const uint8_t *p, size_t len)
{
    if (state->error != 0) {
        return false;
    }
    uint64_t dfa = wsr_dfa_load(state);
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word = wsr_load64(p + i);
        if (dfa != WSR_DFA_START || (word & WSR_TOP_BITS) != 0) {
            dfa = wsr_dfa_word(dfa, word);
        }
    }
    for (; i < len; i++) {
        dfa = wsr_dfa_step(dfa, p[i]);
    }
    return wsr_dfa_save(state, dfa);
}

WSR_NOINLINE bool wsr_scalar_unmask_utf8_any(wsr_text_state *state, uint8_t *p, size_t len)
{
    uint32_t key = state->key;
    uint64_t mask = wsr_key_twice(key), dfa = wsr_dfa_load(state);
    size_t i = 0;
    state->key = wsr_key_rotate(key, len);
    for (; i + 8 <= len; i += 8) {
        uint64_t word = wsr_load64(p + i) ^ mask;
        wsr_store64(p + i, word);
        if (dfa != WSR_DFA_START || (word & WSR_TOP_BITS) != 0) {
            dfa = wsr_dfa_word(dfa, word);
        }
    }
    for (; i < len; i++) {
        p[i] = (uint8_t)(p[i] ^ key >> (i & 3) * 8);
        dfa = wsr_dfa_step(dfa, p[i]);
    }
    return state->error != 0 ? wsr_state_fail(state) : wsr_dfa_save(state, dfa);
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
    return wsr_scalar_unmask_utf8_any(state, p, len);
}

#endif
