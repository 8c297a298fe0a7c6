/*
 * simd/dfa.h - UTF-8 a byte at a time: a table-driven automaton for what is too short for vectors, and for CPUs without.
 *
 * The "shift DFA": a state is a bit offset into a 64-bit word, and a byte's word holds the next state for every state, so
 * that a step is one load, which does not wait for the state, and one shift, which does.
 */
#ifndef WSR_SIMD_DFA_H
#define WSR_SIMD_DFA_H

#include "simd/state.h"

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

extern const uint64_t wsr_dfa_row[256]; /* by byte */

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
    /* By state / 6: pending and last[0], as in state.h. */
    static const uint8_t kept[9][2] = {{0, 0},    {0, 0},    {1, 0xC2}, {2, 0xE1}, {3, 0xF1},
                                       {2, 0xE0}, {2, 0xED}, {3, 0xF0}, {3, 0xF4}};
    if ((dfa &= 63) == WSR_DFA_ERROR) {
        return wsr_state_fail(state);
    }
    wsr_state_set(state, kept[dfa / 6][0], kept[dfa / 6][1], 0);
    return true;
}

/* Any length, any state. unmask is a constant: p is written only if it is true. */
WSR_INLINE bool wsr_dfa_text(wsr_text_state *state, uint8_t *p, size_t len, bool unmask)
{
    uint32_t key = unmask ? state->key : 0;
    uint64_t mask = wsr_key_twice(key), dfa = wsr_dfa_load(state);
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word = wsr_load64(p + i) ^ mask;
        if (unmask) {
            wsr_store64(p + i, word);
        }
        if (dfa != WSR_DFA_START || (word & WSR_TOP_BITS) != 0) {
            dfa = wsr_dfa_word(dfa, word);
        }
    }
    for (; i < len; i++) {
        uint8_t byte = (uint8_t)(p[i] ^ key >> (i & 3) * 8);
        if (unmask) {
            p[i] = byte;
        }
        dfa = wsr_dfa_step(dfa, byte);
    }
    if (unmask) {
        state->key = wsr_key_rotate(key, len);
    }
    return state->error != 0 ? wsr_state_fail(state) : wsr_dfa_save(state, dfa);
}

#endif
