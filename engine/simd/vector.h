/*
 * simd/vector.h - the kernels on vectors of 16 or 32 bytes: SSE4.1, AVX2 and NEON differ in their vocabulary alone.
 *
 * Not an ISA header: one includes this after it has defined wsr_v, WSR_V bytes, and on it wsr_v_load, _store, _key, _xor,
 * _or, _and, _sub, _subs (saturating), _set1, _low and _high (each byte's nibble), _table (sixteen bytes, to _lookup in by
 * nibble), _back1 and _back2 (before, now: the WSR_V bytes that end one or two places before the end of now), _last (its
 * argument in the last byte, else zero), _any_top (is a top bit set?) and _any (is a bit set?).
 *
 * How a long payload is taken, and why twice overlapped, is told in simd/avx512.h. UTF-8 is validated as in
 * simd/avx512_utf8.h, by classes that meet the next byte; but a class is had from two lookups by nibble, which leaves
 * the bits of C0 and C1, of E0 and ED, of F0 and of F4 apart.
 */
#ifndef WSR_SIMD_VECTOR_H
#define WSR_SIMD_VECTOR_H

#include "simd/dfa.h"
#include "simd/small.h"

#if defined(WSR_V)

#define WSR_V_ALIGN_MIN 512u

/* Bytes from p to the next boundary of a vector. */
WSR_INLINE size_t wsr_v_head(const uint8_t *p)
{
    return (size_t)(-(uintptr_t)p & (WSR_V - 1));
}

WSR_INLINE wsr_v wsr_v_decode(const uint8_t *p, wsr_v mask)
{
    return wsr_v_xor(wsr_v_load(p), mask);
}

/* --- Unmasking, in place or from src to dst ---------------------------------------------------------------------------- */

/* More than 64 bytes, dst == src or apart. */
WSR_NOINLINE uint32_t wsr_v_mask_long(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    uint32_t turned = wsr_key_rotate(key, len);
    wsr_v mask = wsr_v_key(key), first = wsr_v_decode(src, mask), last = wsr_v_decode(src + len - WSR_V, wsr_v_key(turned));
    size_t i = len >= WSR_V_ALIGN_MIN ? wsr_v_head(dst) : 0;
    mask = wsr_v_key(wsr_key_rotate(key, i));
    wsr_v second = wsr_v_decode(src + i, mask); /* raw, before the head is stored over it */
    wsr_v_store(dst, first);
    wsr_v_store(dst + i, second);
    i += WSR_V;
    for (; i + 4 * WSR_V <= len; i += 4 * WSR_V) {
        wsr_v a = wsr_v_decode(src + i, mask), b = wsr_v_decode(src + i + WSR_V, mask);
        wsr_v c = wsr_v_decode(src + i + 2 * WSR_V, mask), d = wsr_v_decode(src + i + 3 * WSR_V, mask);
        wsr_v_store(dst + i, a);
        wsr_v_store(dst + i + WSR_V, b);
        wsr_v_store(dst + i + 2 * WSR_V, c);
        wsr_v_store(dst + i + 3 * WSR_V, d);
    }
    for (; i + WSR_V <= len; i += WSR_V) {
        wsr_v_store(dst + i, wsr_v_decode(src + i, mask));
    }
    wsr_v_store(dst + len - WSR_V, last);
    return turned;
}

WSR_INLINE uint32_t wsr_isa_copy_mask(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    if (len > 64) {
        return wsr_v_mask_long(dst, src, len, key);
    }
    uint32_t turned = wsr_key_rotate(key, len);
    (void)wsr_small_mask(dst, src, len, key, turned, false);
    return turned;
}

WSR_INLINE uint32_t wsr_isa_unmask(uint8_t *p, size_t len, uint32_t key)
{
    return wsr_isa_copy_mask(p, p, len, key);
}

/* --- UTF-8: the block step ------------------------------------------------------------------------------------------------ */

/* What a class says of its byte; what a byte says of itself to the class before it is made of the same bits. */
enum {
    WSR_V_SHORT = 0x01,   /* a lead: meets a byte that is no continuation */
    WSR_V_OVER2 = 0x02,   /* C0, C1: meets any continuation */
    WSR_V_E_8_9 = 0x04,   /* E0: meets 80..9F */
    WSR_V_E_AB = 0x08,    /* ED: meets A0..BF */
    WSR_V_F_8 = 0x10,     /* F0, F5..FF: meets 80..8F */
    WSR_V_F_9_AB = 0x20,  /* F4, F5..FF: meets 90..BF */
    WSR_V_NOT4 = 0x40,    /* a lead of two or three: no error bit */
    WSR_V_REST = 0x80,    /* not a lead: meets a continuation that nothing further back has asked for */
    WSR_V_EACH = WSR_V_SHORT | WSR_V_NOT4 | WSR_V_REST
};

/* A byte's class is class_high[byte >> 4] & class_low[byte & 15]. */
static const uint8_t wsr_v_class_high[16] __attribute__((aligned(16))) = {
    WSR_V_REST, WSR_V_REST, WSR_V_REST, WSR_V_REST, WSR_V_REST, WSR_V_REST, WSR_V_REST, WSR_V_REST,
    WSR_V_REST, WSR_V_REST, WSR_V_REST, WSR_V_REST,
    /* C */ WSR_V_SHORT | WSR_V_NOT4 | WSR_V_OVER2,
    /* D */ WSR_V_SHORT | WSR_V_NOT4,
    /* E */ WSR_V_SHORT | WSR_V_NOT4 | WSR_V_E_8_9 | WSR_V_E_AB,
    /* F */ WSR_V_SHORT | WSR_V_F_8 | WSR_V_F_9_AB,
};

#define WSR_V_TOO_BIG (WSR_V_EACH | WSR_V_F_8 | WSR_V_F_9_AB) /* F5 and more */
static const uint8_t wsr_v_class_low[16] __attribute__((aligned(16))) = {
    /* 0 */ WSR_V_EACH | WSR_V_OVER2 | WSR_V_E_8_9 | WSR_V_F_8,
    /* 1 */ WSR_V_EACH | WSR_V_OVER2,
    WSR_V_EACH, WSR_V_EACH,
    /* 4 */ WSR_V_EACH | WSR_V_F_9_AB,
    WSR_V_TOO_BIG, WSR_V_TOO_BIG, WSR_V_TOO_BIG, WSR_V_TOO_BIG, WSR_V_TOO_BIG, WSR_V_TOO_BIG, WSR_V_TOO_BIG, WSR_V_TOO_BIG,
    /* D */ WSR_V_TOO_BIG | WSR_V_E_AB,
    WSR_V_TOO_BIG, WSR_V_TOO_BIG,
};
#undef WSR_V_TOO_BIG

static const uint8_t wsr_v_met[16] __attribute__((aligned(16))) = {
    WSR_V_SHORT, WSR_V_SHORT, WSR_V_SHORT, WSR_V_SHORT, WSR_V_SHORT, WSR_V_SHORT, WSR_V_SHORT, WSR_V_SHORT,
    /* 8 */ WSR_V_REST | WSR_V_OVER2 | WSR_V_E_8_9 | WSR_V_F_8,
    /* 9 */ WSR_V_REST | WSR_V_OVER2 | WSR_V_E_8_9 | WSR_V_F_9_AB,
    /* A */ WSR_V_REST | WSR_V_OVER2 | WSR_V_E_AB | WSR_V_F_9_AB,
    /* B */ WSR_V_REST | WSR_V_OVER2 | WSR_V_E_AB | WSR_V_F_9_AB,
    WSR_V_SHORT, WSR_V_SHORT, WSR_V_SHORT, WSR_V_SHORT,
};

/* What one block leaves to the next, and the errors so far. */
struct wsr_v_stream {
    wsr_v classes; /* of the block before; only its last byte matters */
    wsr_v due;     /* top bit: a continuation is due two places on; only its last two bytes matter */
    wsr_v wrong;   /* not zero: an error */
};

/* Before a block that is not after the one before: carried stands for all the text up to it (simd/state.h). */
WSR_INLINE void wsr_v_restart(struct wsr_v_stream *stream, uint8_t carried)
{
    stream->classes = wsr_v_set1(wsr_v_class_high[carried >> 4] & wsr_v_class_low[carried & 15]);
    stream->due = wsr_v_last(carried >= 0xE0 ? 0x80 : 0);
}

WSR_INLINE void wsr_v_block(struct wsr_v_stream *stream, wsr_v d)
{
    wsr_v high = wsr_v_high(d);
    wsr_v classes = wsr_v_and(wsr_v_lookup(wsr_v_table(wsr_v_class_high), high), wsr_v_lookup(wsr_v_table(wsr_v_class_low), wsr_v_low(d)));
    wsr_v before = wsr_v_back1(stream->classes, classes);
    wsr_v met = wsr_v_lookup(wsr_v_table(wsr_v_met), high);
    /* Top bits: d is E0 or more; the class before lacks NOT4 and REST, so its byte was F0 or more. */
    wsr_v lead3 = wsr_v_subs(d, wsr_v_set1(0xE0 - 0x80));
    wsr_v lead4 = wsr_v_sub(before, wsr_v_set1(WSR_V_NOT4));
    wsr_v due = wsr_v_and(wsr_v_or(lead3, lead4), wsr_v_set1(0x80));
    wsr_v due2 = wsr_v_back2(stream->due, due);
    stream->classes = classes;
    stream->due = due;
    stream->wrong = wsr_v_or(stream->wrong, wsr_v_xor(due2, wsr_v_and(before, met)));
}

/* Whole blocks of ASCII: right unless the text before them ended inside a character. */
WSR_INLINE void wsr_v_ascii_block(struct wsr_v_stream *stream)
{
    wsr_v open = wsr_v_or(wsr_v_and(stream->classes, wsr_v_last(WSR_V_SHORT)), wsr_v_back2(stream->due, wsr_v_set1(0)));
    stream->wrong = wsr_v_or(stream->wrong, open);
    wsr_v_restart(stream, 0);
}

/* --- UTF-8, with and without unmasking: p is written only if unmask, a constant, is true -------------------------------- */

/*
 * Takes ASCII from i on in steps of four vectors and of one, up to the last of up to WSR_V - 1 bytes; stops, with nothing
 * done, before a step that holds anything else. Returns how far it came.
 */
WSR_INLINE size_t wsr_v_ascii_long(uint8_t *p, size_t i, size_t len, wsr_v mask, bool unmask)
{
    for (; i + 4 * WSR_V <= len; i += 4 * WSR_V) {
        wsr_v a = wsr_v_decode(p + i, mask), b = wsr_v_decode(p + i + WSR_V, mask);
        wsr_v c = wsr_v_decode(p + i + 2 * WSR_V, mask), d = wsr_v_decode(p + i + 3 * WSR_V, mask);
        if (wsr_v_any_top(wsr_v_or(wsr_v_or(a, b), wsr_v_or(c, d)))) {
            return i;
        }
        if (unmask) {
            wsr_v_store(p + i, a);
            wsr_v_store(p + i + WSR_V, b);
            wsr_v_store(p + i + 2 * WSR_V, c);
            wsr_v_store(p + i + 3 * WSR_V, d);
        }
    }
    for (; i + WSR_V <= len; i += WSR_V) {
        wsr_v a = wsr_v_decode(p + i, mask);
        if (wsr_v_any_top(a)) {
            return i;
        }
        if (unmask) {
            wsr_v_store(p + i, a);
        }
    }
    return i;
}

/* Whole blocks from i on, of anything; by twos, for four and their constants are more than 16 registers. Returns where the rest begins. */
WSR_INLINE size_t wsr_v_blocks(struct wsr_v_stream *stream, uint8_t *p, size_t i, size_t len, wsr_v mask, bool unmask)
{
    for (; i + 2 * WSR_V <= len; i += 2 * WSR_V) {
        wsr_v a = wsr_v_decode(p + i, mask), b = wsr_v_decode(p + i + WSR_V, mask);
        if (unmask) {
            wsr_v_store(p + i, a);
            wsr_v_store(p + i + WSR_V, b);
        }
        if (wsr_v_any_top(wsr_v_or(a, b))) {
            wsr_v_block(stream, a);
            wsr_v_block(stream, b);
        } else {
            wsr_v_ascii_block(stream);
        }
    }
    if (i + WSR_V <= len) {
        wsr_v a = wsr_v_decode(p + i, mask);
        if (unmask) {
            wsr_v_store(p + i, a);
        }
        wsr_v_block(stream, a);
        i += WSR_V;
    }
    return i;
}

/* WSR_V bytes and more. */
WSR_INLINE bool wsr_v_text_long(wsr_text_state *state, uint8_t *p, size_t len, bool unmask)
{
    uint32_t key = unmask ? state->key : 0, turned = wsr_key_rotate(key, len);
    uint8_t carried = state->last[0];
    bool ascii = wsr_state_clear(state), bad = state->error != 0;
    wsr_v mask = wsr_v_key(key), first = wsr_v_set1(0), second = first;
    wsr_v last = wsr_v_decode(p + len - WSR_V, wsr_v_key(turned));
    size_t head = len >= WSR_V_ALIGN_MIN ? wsr_v_head(p) : 0, i = 0;
    if (unmask) {
        state->key = turned;
    }
    if (head != 0) {
        first = wsr_v_decode(p, mask);
        mask = wsr_v_key(wsr_key_rotate(key, head));
        second = wsr_v_decode(p + head, mask); /* raw, before the head is stored over it */
        if (unmask) {
            wsr_v_store(p, first);
            wsr_v_store(p + head, second);
        }
        ascii = ascii && !wsr_v_any_top(wsr_v_or(first, second));
        i = head + WSR_V;
    }
    if (ascii) {
        i = wsr_v_ascii_long(p, i, len, mask, unmask);
        if (i + WSR_V > len && !wsr_v_any_top(last)) {
            if (unmask) {
                wsr_v_store(p + len - WSR_V, last);
            }
            return true;
        }
    }
    struct wsr_v_stream stream = {.wrong = wsr_v_set1(0)};
    wsr_v_restart(&stream, carried);
    if (!ascii && head != 0) {
        wsr_v_block(&stream, first);
        wsr_v_restart(&stream, wsr_state_carry(p, head, carried, &bad));
        wsr_v_block(&stream, second);
    }
    i = wsr_v_blocks(&stream, p, i, len, mask, unmask);
    if (i < len) {
        /* The last vector again, of which the last len - i bytes are new, with what stands before it. */
        if (unmask) {
            wsr_v_store(p + len - WSR_V, last);
        }
        wsr_v_restart(&stream, wsr_state_carry(p, len - WSR_V, carried, &bad));
        wsr_v_block(&stream, last);
    }
    if (bad || wsr_v_any(stream.wrong)) {
        return wsr_state_fail(state);
    }
    return wsr_state_settle(state, wsr_state_tail(p + len, len, carried));
}

WSR_NOINLINE bool wsr_v_utf8_any(wsr_text_state *state, const uint8_t *p, size_t len)
{
    uint8_t *q = (uint8_t *)(uintptr_t)p; /* not written */
    return len >= WSR_V ? wsr_v_text_long(state, q, len, false) : wsr_dfa_text(state, q, len, false);
}

WSR_NOINLINE bool wsr_v_unmask_utf8_any(wsr_text_state *state, uint8_t *p, size_t len)
{
    return len >= WSR_V ? wsr_v_text_long(state, p, len, true) : wsr_dfa_text(state, p, len, true);
}

WSR_INLINE bool wsr_isa_utf8(wsr_text_state *state, const uint8_t *p, size_t len)
{
    return (len <= 64 && wsr_state_clear(state) && wsr_small_ascii(p, len)) || wsr_v_utf8_any(state, p, len);
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
    return wsr_v_unmask_utf8_any(state, p, len);
}

#endif
#endif
