/*
 * bench/lib/rivals.c - see rivals.h.
 */
#include "lib/rivals.h"

#include <string.h>

void rival_mask_bytes(uint8_t *p, size_t len, uint32_t key)
{
    const uint8_t bytes[4] = {(uint8_t)key, (uint8_t)(key >> 8), (uint8_t)(key >> 16), (uint8_t)(key >> 24)};
    for (size_t i = 0; i < len; i++) {
        p[i] ^= bytes[i & 3];
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,bmi2")))
#define AVX2 __attribute__((target("avx2")))

/* Bits of the lookup: what a pair of bytes may be guilty of. */
enum {
    TOO_SHORT = 1, /* lead, then no continuation */
    TOO_LONG = 2,  /* ASCII, then a continuation */
    OVERLONG_3 = 4,
    TOO_LARGE = 8,
    SURROGATE = 16,
    OVERLONG_2 = 32,
    TOO_LARGE_1000 = 64, /* and OVERLONG_4: the second bytes tell them apart */
    TWO_CONTS = 128,
    CARRY = TOO_SHORT | TOO_LONG | TWO_CONTS
};

static const uint8_t first_high[16] = {
    TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TWO_CONTS, TWO_CONTS, TWO_CONTS, TWO_CONTS,
    TOO_SHORT | OVERLONG_2, TOO_SHORT, TOO_SHORT | OVERLONG_3 | SURROGATE, TOO_SHORT | TOO_LARGE | TOO_LARGE_1000};
static const uint8_t first_low[16] = {
    CARRY | OVERLONG_3 | OVERLONG_2 | TOO_LARGE_1000, CARRY | OVERLONG_2, CARRY, CARRY, CARRY | TOO_LARGE,
    CARRY | TOO_LARGE | TOO_LARGE_1000, CARRY | TOO_LARGE | TOO_LARGE_1000, CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000, CARRY | TOO_LARGE | TOO_LARGE_1000, CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000, CARRY | TOO_LARGE | TOO_LARGE_1000, CARRY | TOO_LARGE | TOO_LARGE_1000 | SURROGATE,
    CARRY | TOO_LARGE | TOO_LARGE_1000, CARRY | TOO_LARGE | TOO_LARGE_1000};
static const uint8_t second_high[16] = {
    TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
    TOO_LONG | OVERLONG_2 | TWO_CONTS | OVERLONG_3 | TOO_LARGE_1000, TOO_LONG | OVERLONG_2 | TWO_CONTS | OVERLONG_3 | TOO_LARGE,
    TOO_LONG | OVERLONG_2 | TWO_CONTS | SURROGATE | TOO_LARGE, TOO_LONG | OVERLONG_2 | TWO_CONTS | SURROGATE | TOO_LARGE,
    TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT};

/* --- AVX-512 ---------------------------------------------------------------------------------------------------------- */

AVX512 static inline __m512i table512(const uint8_t *sixteen)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)sixteen));
}

AVX512 static inline __m512i step512(__m512i d, __m512i before)
{
    const __m512i low4 = _mm512_set1_epi8(15);
    __m512i carried = _mm512_alignr_epi32(d, before, 12);
    __m512i prev1 = _mm512_alignr_epi8(d, carried, 15), prev2 = _mm512_alignr_epi8(d, carried, 14), prev3 = _mm512_alignr_epi8(d, carried, 13);
    __m512i a = _mm512_shuffle_epi8(table512(first_high), _mm512_and_si512(_mm512_srli_epi16(prev1, 4), low4));
    __m512i b = _mm512_shuffle_epi8(table512(first_low), _mm512_and_si512(prev1, low4));
    __m512i c = _mm512_shuffle_epi8(table512(second_high), _mm512_and_si512(_mm512_srli_epi16(d, 4), low4));
    __m512i special = _mm512_ternarylogic_epi64(a, b, c, 0x80);
    __m512i third = _mm512_subs_epu8(prev2, _mm512_set1_epi8(0xE0 - 0x80)), fourth = _mm512_subs_epu8(prev3, _mm512_set1_epi8(0xF0 - 0x80));
    __m512i must = _mm512_ternarylogic_epi64(third, fourth, _mm512_set1_epi8((char)0x80), 0xA8);
    return _mm512_xor_si512(must, special);
}

/* Not zero if d ends inside a character. */
AVX512 static inline __m512i unfinished512(__m512i d)
{
    const __m512i most = _mm512_inserti32x4(_mm512_set1_epi8(-1),
                                            _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, (char)0xEF, (char)0xDF, (char)0xBF), 3);
    return _mm512_subs_epu8(d, most);
}

struct stream512 {
    __m512i wrong, before, open;
};

AVX512 static inline void ascii512(struct stream512 *s, __m512i last)
{
    s->wrong = _mm512_or_si512(s->wrong, s->open);
    s->open = _mm512_setzero_si512();
    s->before = last;
}

AVX512 static inline void any512(struct stream512 *s, __m512i d)
{
    s->wrong = _mm512_or_si512(s->wrong, step512(d, s->before));
    s->before = d;
}

AVX512 static bool lookup512(const uint8_t *p, size_t len)
{
    struct stream512 s = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    size_t i = 0;
    for (; i + 256 <= len; i += 256) {
        __m512i a = _mm512_loadu_si512((const void *)(p + i)), b = _mm512_loadu_si512((const void *)(p + i + 64));
        __m512i c = _mm512_loadu_si512((const void *)(p + i + 128)), d = _mm512_loadu_si512((const void *)(p + i + 192));
        if (_mm512_movepi8_mask(_mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d))) == 0) {
            ascii512(&s, d);
            continue;
        }
        any512(&s, a);
        any512(&s, b);
        any512(&s, c);
        any512(&s, d);
        s.open = unfinished512(d);
    }
    for (; i < len; i += 64) {
        __m512i d = len - i >= 64 ? _mm512_loadu_si512((const void *)(p + i))
                                  : _mm512_maskz_loadu_epi8(_bzhi_u64(~(uint64_t)0, (unsigned)(len - i)), p + i);
        if (_mm512_movepi8_mask(d) == 0) {
            ascii512(&s, d);
        } else {
            any512(&s, d);
            s.open = unfinished512(d);
        }
    }
    __m512i wrong = _mm512_or_si512(s.wrong, s.open);
    return _mm512_test_epi8_mask(wrong, wrong) == 0;
}

AVX512 static void mask512(uint8_t *p, size_t len, uint32_t key)
{
    const __m512i mask = _mm512_set1_epi32((int)key);
    size_t i = 0;
    for (; i + 256 <= len; i += 256) {
        __m512i a = _mm512_xor_si512(_mm512_loadu_si512((void *)(p + i)), mask), b = _mm512_xor_si512(_mm512_loadu_si512((void *)(p + i + 64)), mask);
        __m512i c = _mm512_xor_si512(_mm512_loadu_si512((void *)(p + i + 128)), mask);
        __m512i d = _mm512_xor_si512(_mm512_loadu_si512((void *)(p + i + 192)), mask);
        _mm512_storeu_si512((void *)(p + i), a);
        _mm512_storeu_si512((void *)(p + i + 64), b);
        _mm512_storeu_si512((void *)(p + i + 128), c);
        _mm512_storeu_si512((void *)(p + i + 192), d);
    }
    for (; i + 64 <= len; i += 64) {
        _mm512_storeu_si512((void *)(p + i), _mm512_xor_si512(_mm512_loadu_si512((void *)(p + i)), mask));
    }
    rival_mask_bytes(p + i, len - i, key);
}

/* --- AVX2 ------------------------------------------------------------------------------------------------------------- */

AVX2 static inline __m256i table256(const uint8_t *sixteen)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)sixteen));
}

AVX2 static inline __m256i step256(__m256i d, __m256i before)
{
    const __m256i low4 = _mm256_set1_epi8(15);
    __m256i carried = _mm256_permute2x128_si256(before, d, 0x21);
    __m256i prev1 = _mm256_alignr_epi8(d, carried, 15), prev2 = _mm256_alignr_epi8(d, carried, 14), prev3 = _mm256_alignr_epi8(d, carried, 13);
    __m256i a = _mm256_shuffle_epi8(table256(first_high), _mm256_and_si256(_mm256_srli_epi16(prev1, 4), low4));
    __m256i b = _mm256_shuffle_epi8(table256(first_low), _mm256_and_si256(prev1, low4));
    __m256i c = _mm256_shuffle_epi8(table256(second_high), _mm256_and_si256(_mm256_srli_epi16(d, 4), low4));
    __m256i third = _mm256_subs_epu8(prev2, _mm256_set1_epi8(0xE0 - 0x80)), fourth = _mm256_subs_epu8(prev3, _mm256_set1_epi8(0xF0 - 0x80));
    __m256i must = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)0x80));
    return _mm256_xor_si256(must, _mm256_and_si256(_mm256_and_si256(a, b), c));
}

AVX2 static inline __m256i unfinished256(__m256i d)
{
    const __m256i most = _mm256_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                          -1, -1, -1, (char)0xEF, (char)0xDF, (char)0xBF);
    return _mm256_subs_epu8(d, most);
}

AVX2 static bool lookup256(const uint8_t *p, size_t len)
{
    __m256i wrong = _mm256_setzero_si256(), before = wrong, open = wrong;
    for (size_t i = 0; i < len; i += 64) {
        uint8_t rest[64] = {0};
        const uint8_t *at = p + i;
        if (len - i < 64) {
            memcpy(rest, at, len - i);
            at = rest;
        }
        __m256i d = _mm256_loadu_si256((const __m256i *)(const void *)at), e = _mm256_loadu_si256((const __m256i *)(const void *)(at + 32));
        if (_mm256_movemask_epi8(_mm256_or_si256(d, e)) == 0) {
            wrong = _mm256_or_si256(wrong, open);
            open = _mm256_setzero_si256();
        } else {
            wrong = _mm256_or_si256(wrong, _mm256_or_si256(step256(d, before), step256(e, d)));
            open = unfinished256(e);
        }
        before = e;
    }
    wrong = _mm256_or_si256(wrong, open);
    return _mm256_testz_si256(wrong, wrong) != 0;
}

AVX2 static void mask256(uint8_t *p, size_t len, uint32_t key)
{
    const __m256i mask = _mm256_set1_epi32((int)key);
    size_t i = 0;
    for (; i + 128 <= len; i += 128) {
        __m256i *q = (__m256i *)(void *)(p + i);
        __m256i a = _mm256_xor_si256(_mm256_loadu_si256(q), mask), b = _mm256_xor_si256(_mm256_loadu_si256(q + 1), mask);
        __m256i c = _mm256_xor_si256(_mm256_loadu_si256(q + 2), mask), d = _mm256_xor_si256(_mm256_loadu_si256(q + 3), mask);
        _mm256_storeu_si256(q, a);
        _mm256_storeu_si256(q + 1, b);
        _mm256_storeu_si256(q + 2, c);
        _mm256_storeu_si256(q + 3, d);
    }
    rival_mask_bytes(p + i, len - i, key);
}

static bool avx512_forbidden;

void rival_forbid_avx512(void)
{
    avx512_forbidden = true;
}

static bool has_avx512(void)
{
    return !avx512_forbidden && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2");
}

const char *rival_isa(void)
{
    return has_avx512() ? "avx512" : __builtin_cpu_supports("avx2") ? "avx2" : "none";
}

/* __builtin_cpu_supports reads a variable: cheap enough to ask each time. */
bool rival_utf8_lookup(const uint8_t *p, size_t len)
{
    return has_avx512() ? lookup512(p, len) : __builtin_cpu_supports("avx2") && lookup256(p, len);
}

void rival_mask_wide(uint8_t *p, size_t len, uint32_t key)
{
    if (has_avx512()) {
        mask512(p, len, key);
    } else if (__builtin_cpu_supports("avx2")) {
        mask256(p, len, key);
    } else {
        rival_mask_bytes(p, len, key);
    }
}

#else

void rival_forbid_avx512(void)
{
}

const char *rival_isa(void)
{
    return "none";
}

bool rival_utf8_lookup(const uint8_t *p, size_t len)
{
    (void)p;
    (void)len;
    return false;
}

/* Left to the compiler: eight bytes a step, which it may turn into vectors. */
void rival_mask_wide(uint8_t *p, size_t len, uint32_t key)
{
    uint64_t mask = (uint64_t)key << 32 | key, word;
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        memcpy(&word, p + i, 8);
        word ^= mask;
        memcpy(p + i, &word, 8);
    }
    rival_mask_bytes(p + i, len - i, key);
}

#endif
