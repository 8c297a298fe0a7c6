/*
 * simd/state.h - what every instruction set shares: the mask as words, and the eight bytes that a text carries from one
 * chunk to the next (RFC 3629, RFC 6455 section 8.1).
 *
 * The unfinished character at the end of a chunk is kept as ONE byte, last[0]: a lead byte after which exactly the same
 * continuations are due. "F1 80" and "E1" both await two bytes of 80..BF, so both are kept as E1. The next chunk is then
 * validated as if that one byte stood before it, whatever the instruction set and however the text was cut.
 *
 *   last[0]  pending  awaits                  last[0]  pending  awaits
 *   00       0        a new character         ED       2        80..9F, then one more
 *   C2       1        80..BF                  F0       3        90..BF, then two more
 *   E0       2        A0..BF, then one more   F1       3        80..BF, then two more
 *   E1       2        80..BF, then one more   F4       3        80..8F, then two more
 *
 * After an error the state is {key, 0, {0, 0}, 1}, so that all instruction sets agree on every byte of it.
 */
#ifndef WSR_SIMD_STATE_H
#define WSR_SIMD_STATE_H

#include "simd/simd.h"

#include <string.h>

#define WSR_INLINE static inline __attribute__((always_inline, unused))
#define WSR_NOINLINE static __attribute__((noinline, unused))

_Static_assert(sizeof(wsr_text_state) == 8 && offsetof(wsr_text_state, pending) == 4, "eight bytes, the key first");

/* Words are little-endian here as they are on the wire: the first byte is the lowest. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define WSR_LE64(x) __builtin_bswap64(x)
#define WSR_LE32(x) __builtin_bswap32(x)
#else
#define WSR_LE64(x) (x)
#define WSR_LE32(x) (x)
#endif

WSR_INLINE uint64_t wsr_load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return WSR_LE64(v);
}

WSR_INLINE uint32_t wsr_load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return WSR_LE32(v);
}

WSR_INLINE void wsr_store64(uint8_t *p, uint64_t v)
{
    v = WSR_LE64(v);
    memcpy(p, &v, sizeof v);
}

WSR_INLINE void wsr_store32(uint8_t *p, uint32_t v)
{
    v = WSR_LE32(v);
    memcpy(p, &v, sizeof v);
}

/* The top bit of each of eight bytes: zero after "and" with it, they are ASCII. */
#define WSR_TOP_BITS 0x8080808080808080u

WSR_INLINE uint64_t wsr_key_twice(uint32_t key)
{
    return (uint64_t)key << 32 | key;
}

/* Nothing carried in and no error: pending, last and error all zero. */
WSR_INLINE bool wsr_state_clear(const wsr_text_state *state)
{
    uint32_t rest;
    memcpy(&rest, &state->pending, sizeof rest);
    return rest == 0;
}

WSR_INLINE void wsr_state_set(wsr_text_state *state, uint8_t pending, uint8_t last, uint8_t error)
{
    const uint8_t rest[4] = {pending, last, 0, error};
    memcpy(&state->pending, rest, sizeof rest);
}

WSR_INLINE bool wsr_state_fail(wsr_text_state *state)
{
    wsr_state_set(state, 0, 0, 1);
    return false;
}

/*
 * Ends a chunk whose bytes are valid so far, given its last three bytes (tail: the last in bits 23-16, the one before
 * in 15-8, then 7-0; where the chunk is shorter, the carried last[0] and zeros stand before it). Judges a last byte
 * that no character begins with (C0, C1, F5..FF): the lookup kernels would see it only with the next byte, and an error
 * must be reported with the chunk that holds it.
 */
WSR_INLINE bool wsr_state_settle(wsr_text_state *state, uint32_t tail)
{
    uint8_t b1 = (uint8_t)(tail >> 16), b2 = (uint8_t)(tail >> 8), b3 = (uint8_t)tail;
    if (b1 < 0x80) {
        wsr_state_set(state, 0, 0, 0);
    } else if (b1 >= 0xC0) {
        if (b1 < 0xC2 || b1 > 0xF4) {
            return wsr_state_fail(state);
        }
        if (b1 < 0xE0) {
            wsr_state_set(state, 1, 0xC2, 0);
        } else if (b1 < 0xF0) {
            wsr_state_set(state, 2, b1 == 0xE0 || b1 == 0xED ? b1 : 0xE1, 0);
        } else {
            wsr_state_set(state, 3, b1 == 0xF0 || b1 == 0xF4 ? b1 : 0xF1, 0);
        }
    } else if (b2 >= 0xF0) {
        wsr_state_set(state, 2, 0xE1, 0);
    } else if (b2 >= 0xE0 || (b2 < 0xC0 && b3 >= 0xF0)) {
        wsr_state_set(state, 1, 0xC2, 0);
    } else {
        wsr_state_set(state, 0, 0, 0);
    }
    return true;
}

/*
 * The three bytes before end for wsr_state_settle: those of a chunk of len > 0 decoded bytes, with the carried byte in
 * front of a chunk of fewer than three.
 */
WSR_INLINE uint32_t wsr_state_tail(const uint8_t *end, size_t len, uint8_t carried)
{
    uint32_t b1 = end[-1];
    uint32_t b2 = len >= 2 ? end[-2] : carried;
    uint32_t b3 = len >= 3 ? end[-3] : len == 2 ? carried : 0;
    return b1 << 16 | b2 << 8 | b3;
}

/*
 * The carried byte for a place inside a chunk: for the text before p + at, at > 0, decoded, valid so far but perhaps for its
 * last byte; then *bad is set.
 */
WSR_INLINE uint8_t wsr_state_carry(const uint8_t *p, size_t at, uint8_t carried, bool *bad)
{
    wsr_text_state state = {.key = 0};
    *bad = !wsr_state_settle(&state, wsr_state_tail(p + at, at, carried)) || *bad;
    return state.last[0];
}

#endif
