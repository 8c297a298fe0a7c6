/*
 * simd/avx512_utf8.h - the UTF-8 block step for AVX-512 VBMI and GFNI: 64 bytes in twelve operations (RFC 3629).
 *
 * The two-table lookup of Keiser and Lemire ("Validating UTF-8 in less than one instruction per byte"), recast so that
 * each byte is classified once, where it stands, and the class shifted by one place to meet the byte after it:
 *
 *   class of a byte                         meets a byte with           error if
 *   SHORT  a lead (C0..FF)                  SHORT no continuation       both bits are set
 *   AT_8, AT_9, AT_AB  a lead that must     AT_8  80..8F
 *          not be followed by that          AT_9  90..9F
 *          (E0, ED, F0, F4; C0, C1, F5..FF  AT_AB A0..BF
 *          by none of them)
 *   REST   not a lead                       REST  a continuation        both are set, unless a lead of three or four
 *                                                                       stands two, or of four stands three, places back
 *
 * That ASCII and continuations are one class is what the exception allows: after either, a continuation is an error
 * unless a longer lead further back asks for it, and an error if one does and there is none.
 * SHORT to AT_AB of a lead are one 64-entry permutation of its low six bits; NOT4 is no error bit, but lets "lead of four"
 * be had from the class by a subtraction, so that one shift by two places serves both leads.
 */
#ifndef WSR_SIMD_AVX512_UTF8_H
#define WSR_SIMD_AVX512_UTF8_H

#if defined(__x86_64__) && defined(__AVX512VBMI__) && defined(__AVX512BW__) && defined(__GFNI__)

#include "simd/state.h"

#include <immintrin.h>

enum {
    WSR_Z_SHORT = 0x01,
    WSR_Z_AT_8 = 0x02,
    WSR_Z_AT_9 = 0x04,
    WSR_Z_AT_AB = 0x08,
    WSR_Z_NOT4 = 0x40,
    WSR_Z_REST = 0x80,
    WSR_Z_ANY = WSR_Z_AT_8 | WSR_Z_AT_9 | WSR_Z_AT_AB
};

/*
 * The constants, in registers: the compiler is kept from knowing their values, or it makes them anew at every use, which
 * costs a third of the block step.
 */
struct wsr_z_tables {
    __m512i lead_classes; /* leads C0..FF by their low six bits */
    __m512i met;          /* what a byte is to the class before it, by its high four bits */
    __m512i nibbles;      /* the bit matrix of d >> 4 */
    __m512i back1, back2; /* permutations: the 64 bytes that end one or two places before the end */
    __m512i rest;         /* WSR_Z_REST throughout, which is also the top bit */
    __m512i lead3;        /* what to take off, saturating, so that E0 and more keep the top bit */
    __m512i not4;         /* WSR_Z_NOT4 */
};

/* What one block leaves to the next, and the errors so far. */
struct wsr_z_stream {
    __m512i classes; /* of the block before; only its last byte matters */
    __m512i due;     /* top bit: a continuation is due two places on; only its last two bytes matter */
    __m512i wrong;   /* not zero: an error */
};

/* Leads C0..FF by their low six bits. Rows of eight. */
WSR_INLINE __m512i wsr_z_lead_classes(void)
{
#define LEAD2 (WSR_Z_SHORT | WSR_Z_NOT4)
#define LEAD4 WSR_Z_SHORT
#define ROW(x) x, x, x, x, x, x, x, x
    static const uint8_t table[64] __attribute__((aligned(64))) = {
        LEAD2 | WSR_Z_ANY, LEAD2 | WSR_Z_ANY, LEAD2, LEAD2, LEAD2, LEAD2, LEAD2, LEAD2, ROW(LEAD2), ROW(LEAD2), ROW(LEAD2),
        /* E0 */ LEAD2 | WSR_Z_AT_8 | WSR_Z_AT_9, LEAD2, LEAD2, LEAD2, LEAD2, LEAD2, LEAD2, LEAD2,
        /* E8 */ LEAD2, LEAD2, LEAD2, LEAD2, LEAD2, LEAD2 | WSR_Z_AT_AB, LEAD2, LEAD2,
        /* F0 */ LEAD4 | WSR_Z_AT_8, LEAD4, LEAD4, LEAD4,
        /* F4 */ LEAD4 | WSR_Z_AT_9 | WSR_Z_AT_AB, LEAD4 | WSR_Z_ANY, LEAD4 | WSR_Z_ANY, LEAD4 | WSR_Z_ANY,
        /* F8 */ ROW(LEAD4 | WSR_Z_ANY),
    };
#undef ROW
#undef LEAD2
#undef LEAD4
    return _mm512_load_si512((const void *)table);
}

/* What a byte is to the class before it, by its high four bits. */
WSR_INLINE __m512i wsr_z_met(void)
{
    enum { NONE = WSR_Z_SHORT, C8 = WSR_Z_REST | WSR_Z_AT_8, C9 = WSR_Z_REST | WSR_Z_AT_9, CA = WSR_Z_REST | WSR_Z_AT_AB };
    return _mm512_broadcast_i32x4(_mm_setr_epi8(NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, (char)C8, (char)C9, (char)CA, (char)CA,
                                                NONE, NONE, NONE, NONE));
}

/* 0, 1 .. 63: the lane's number. */
WSR_INLINE __m512i wsr_z_lanes(void)
{
    static const uint8_t table[64] __attribute__((aligned(64))) = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
        32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    return _mm512_load_si512((const void *)table);
}

WSR_INLINE __m512i wsr_z_opaque(__m512i v)
{
    __asm__("" : "+v"(v));
    return v;
}

WSR_INLINE __m512i wsr_z_bytes(int byte)
{
    return wsr_z_opaque(_mm512_set1_epi8((char)byte));
}

/* A permutation of before and now: the 64 bytes that end back places (0 to 64) before the end of now. */
WSR_INLINE __m512i wsr_z_back(unsigned back)
{
    return wsr_z_opaque(_mm512_add_epi8(wsr_z_lanes(), _mm512_set1_epi8((char)(64 - back))));
}

WSR_INLINE struct wsr_z_tables wsr_z_tables_get(void)
{
    struct wsr_z_tables t = {
        .lead_classes = wsr_z_opaque(wsr_z_lead_classes()),
        .met = wsr_z_opaque(wsr_z_met()),
        .nibbles = wsr_z_opaque(_mm512_set1_epi64(0x1020408000000000)),
        .back1 = wsr_z_back(1),
        .back2 = wsr_z_back(2),
        .rest = wsr_z_bytes(WSR_Z_REST),
        .lead3 = wsr_z_bytes(0xE0 - 0x80),
        .not4 = wsr_z_bytes(WSR_Z_NOT4),
    };
    return t;
}

/* Returns the block's errors (a lane not zero) and carries its end. */
WSR_INLINE __m512i wsr_z_block(struct wsr_z_stream *stream, const struct wsr_z_tables *t, __m512i d)
{
    /* Seven bits index 64 + 64 classes. 80..BF are REST, and so, raised to 80 beforehand, is ASCII. */
    __m512i classes = _mm512_permutex2var_epi8(t->rest, _mm512_max_epu8(d, t->rest), t->lead_classes);
    __m512i before = _mm512_permutex2var_epi8(stream->classes, t->back1, classes);
    __m512i met = _mm512_shuffle_epi8(t->met, _mm512_gf2p8affine_epi64_epi8(d, t->nibbles, 0));
    /* Top bits: d is E0 or more; the class before lacks NOT4 and REST, so its byte was F0 or more. */
    __m512i lead3 = _mm512_subs_epu8(d, t->lead3);
    __m512i lead4 = _mm512_sub_epi8(before, t->not4);
    __m512i due = _mm512_ternarylogic_epi64(lead3, lead4, t->rest, 0xA8); /* (a | b) & c */
    __m512i due2 = _mm512_permutex2var_epi8(stream->due, t->back2, due);
    stream->classes = classes;
    stream->due = due;
    return _mm512_ternarylogic_epi64(due2, before, met, 0x78); /* a ^ (b & c) */
}

/* Not zero: the last block ended inside a character, with a lead at its end or a continuation still due, and ASCII now is an error. */
WSR_INLINE __m512i wsr_z_open(const struct wsr_z_stream *stream)
{
    const __m512i last = _mm512_maskz_set1_epi8((__mmask64)1 << 63, WSR_Z_SHORT);
    const __m512i last2 = _mm512_maskz_set1_epi8((__mmask64)3 << 62, (char)WSR_Z_REST);
    /* (classes & last) | (due & last2), the second half merged by 0xF8: a | (b & c) */
    return _mm512_ternarylogic_epi64(_mm512_and_si512(stream->classes, last), stream->due, last2, 0xF8);
}

WSR_INLINE void wsr_z_ascii(struct wsr_z_stream *stream, const struct wsr_z_tables *t)
{
    stream->classes = t->rest;
    stream->due = _mm512_setzero_si512();
}

/* Before the first block; carried: wsr_text_state.last[0]. */
WSR_INLINE void wsr_z_start(struct wsr_z_stream *stream, const struct wsr_z_tables *t, uint8_t carried)
{
    stream->wrong = _mm512_setzero_si512();
    wsr_z_ascii(stream, t);
    if (__builtin_expect(carried != 0, 0)) {
        /* As if the block before had been zeros and that one lead: no error in it. */
        (void)wsr_z_block(stream, t, _mm512_maskz_set1_epi8((__mmask64)1 << 63, (char)carried));
    }
}

/*
 * The first 64 bytes of a payload of which only the first h stand before the aligned block to come: carries from there.
 * The errors of all 64 count; those behind h are found again, with the same bytes before them.
 */
WSR_INLINE void wsr_z_head_block(struct wsr_z_stream *stream, const struct wsr_z_tables *t, __m512i d, unsigned h)
{
    __m512i classes = stream->classes, due = stream->due;
    stream->wrong = _mm512_or_si512(stream->wrong, wsr_z_block(stream, t, d));
    __m512i window = wsr_z_back(64 - h);
    stream->classes = _mm512_permutex2var_epi8(classes, window, stream->classes);
    stream->due = _mm512_permutex2var_epi8(due, window, stream->due);
}

WSR_INLINE void wsr_z_one(struct wsr_z_stream *stream, const struct wsr_z_tables *t, __m512i d)
{
    if (_mm512_movepi8_mask(d) == 0) {
        stream->wrong = _mm512_or_si512(stream->wrong, wsr_z_open(stream));
        wsr_z_ascii(stream, t);
    } else {
        stream->wrong = _mm512_or_si512(stream->wrong, wsr_z_block(stream, t, d));
    }
}

WSR_INLINE void wsr_z_four(struct wsr_z_stream *stream, const struct wsr_z_tables *t, __m512i a, __m512i b, __m512i c, __m512i d)
{
    __m512i any = _mm512_or_si512(_mm512_ternarylogic_epi64(a, b, c, 0xFE), d);
    if (_mm512_movepi8_mask(any) == 0) {
        stream->wrong = _mm512_or_si512(stream->wrong, wsr_z_open(stream));
        wsr_z_ascii(stream, t);
    } else {
        __m512i wrong_a = wsr_z_block(stream, t, a), wrong_b = wsr_z_block(stream, t, b);
        __m512i wrong_c = wsr_z_block(stream, t, c), wrong_d = wsr_z_block(stream, t, d);
        stream->wrong = _mm512_ternarylogic_epi64(stream->wrong, wrong_a, wrong_b, 0xFE);
        stream->wrong = _mm512_ternarylogic_epi64(stream->wrong, wrong_c, wrong_d, 0xFE);
    }
}

/*
 * Ends a chunk: the r < 64 bytes that are left after whole blocks, in the low lanes of d, zeros above. The zero after
 * them is a character of its own, so an error in its lane, and none before, says that the last character is unfinished.
 * end: behind the chunk's last byte, decoded; len: the chunk's length. Returns as the kernels do.
 */
WSR_INLINE bool wsr_z_finish(wsr_text_state *state, struct wsr_z_stream *stream, const struct wsr_z_tables *t, __m512i d, unsigned r,
                             const uint8_t *end, size_t len)
{
    /* Whole and right so far, and what is left is ASCII: (d & REST) | open | wrong is zero. */
    __m512i bad = _mm512_or_si512(wsr_z_open(stream), stream->wrong);
    __m512i odd = _mm512_ternarylogic_epi64(bad, d, t->rest, 0xF8); /* a | (b & c) */
    if (_mm512_test_epi8_mask(odd, odd) == 0) {
        wsr_state_set(state, 0, 0, 0);
        return true;
    }
    __m512i wrong = wsr_z_block(stream, t, d);
    uint64_t lanes = _mm512_test_epi8_mask(wrong, wrong);
    if ((_bzhi_u64(lanes, r) | _mm512_test_epi8_mask(stream->wrong, stream->wrong)) != 0) {
        return wsr_state_fail(state);
    }
    if ((lanes >> r & 1) == 0) {
        wsr_state_set(state, 0, 0, 0);
        return true;
    }
    return wsr_state_settle(state, wsr_state_tail(end, len, state->last[0]));
}

#endif
#endif
