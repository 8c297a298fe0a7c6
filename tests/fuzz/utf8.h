/*
 * tests/fuzz/utf8.h - RFC 3629 once more, by decoding: what the kernels are compared with.
 */
#ifndef TESTS_FUZZ_UTF8_H
#define TESTS_FUZZ_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the longest beginning that is whole characters; *cut: the rest could still become one. */
static inline size_t utf8_valid_len(const uint8_t *p, size_t len, bool *cut)
{
    size_t i = 0;
    *cut = false;
    while (i < len) {
        uint32_t c = p[i];
        unsigned more = c < 0x80 ? 0 : c >= 0xC2 && c < 0xE0 ? 1 : c >= 0xE0 && c < 0xF0 ? 2 : c >= 0xF0 && c < 0xF5 ? 3 : 9;
        if (more == 9)
            return i;
        uint32_t value = more == 0 ? c : c & (0x3Fu >> more);
        for (unsigned k = 1; k <= more; k++) {
            if (i + k == len) {
                *cut = true;
                return i;
            }
            if ((p[i + k] & 0xC0) != 0x80)
                return i;
            value = value << 6 | (p[i + k] & 0x3F);
            /* the second byte decides whether any character can come of it: least and greatest that can follow */
            uint32_t least = value << (6 * (more - k)), most = least | ((1u << (6 * (more - k))) - 1);
            if ((more == 2 && (most < 0x800 || (least >= 0xD800 && most <= 0xDFFF))) || (more == 3 && (most < 0x10000 || least > 0x10FFFF)))
                return i;
        }
        i += more + 1;
    }
    return i;
}

static inline bool utf8_is_valid(const uint8_t *p, size_t len)
{
    bool cut;
    return utf8_valid_len(p, len, &cut) == len;
}

#endif
