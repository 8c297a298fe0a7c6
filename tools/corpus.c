/*
 * tools/corpus.c - see corpus.h.
 */
#include "tools/corpus.h"

#include <stdlib.h>
#include <string.h>

uint64_t corpus_seed(uint64_t seed, uint64_t index)
{
    uint64_t z = seed + (index + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return z != 0 ? z : 1;
}

/* A character of 1 to 4 bytes (RFC 3629) into out, from random bits. Half of them ASCII, as in most text. */
static unsigned put_character(uint8_t *out, uint64_t r)
{
    uint32_t bits = (uint32_t)(r >> 8);
    unsigned kind = r & 15;
    if (kind < 8) {
        out[0] = (uint8_t)(0x20 + bits % 0x5f);
        return 1;
    }
    if (kind < 11) {
        uint32_t c = 0x80 + bits % (0x800 - 0x80);
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (kind < 14) {
        /* Without the surrogates, U+D800 to U+DFFF. */
        uint32_t c = 0x800 + bits % (0x10000 - 0x800 - 0x800);
        if (c >= 0xd800)
            c += 0x800;
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    uint32_t c = 0x10000 + bits % 0x100000;
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* Does a character begin at p? (RFC 3629: all other bytes of a character are 10xxxxxx.) */
static bool begins(uint8_t byte)
{
    return (byte & 0xc0) != 0x80;
}

/* A run of what stands before `at`, whole characters if it is text. Returns its bytes. */
static uint32_t repeat(uint8_t *bytes, uint32_t at, bool text, uint64_t r)
{
    uint32_t from = at - 32 - (uint32_t)(r >> 8) % 480, len = 8 + (uint32_t)(r >> 32) % 24;
    while (text && !begins(bytes[from]))
        from--;
    while (text && !begins(bytes[from + len]))
        len--;
    memcpy(bytes + at, bytes + from, len);
    return len;
}

static void fill(uint8_t *bytes, uint32_t n, bool text, bool repeats, uint64_t *state)
{
    uint32_t at = 0;
    while (at + 32 <= n) {
        uint64_t r = corpus_random(state);
        if (repeats && at >= 1024 && (r & 3) != 0) {
            at += repeat(bytes, at, text, r);
        } else if (text) {
            at += put_character(bytes + at, r);
        } else {
            memcpy(bytes + at, &r, 8);
            at += 8;
        }
    }
    memset(bytes + at, '.', n - at);
}

bool corpus_make(struct corpus *corpus, uint32_t message_bytes_max, uint64_t seed, bool repeats)
{
    uint32_t bytes = CORPUS_OFFSETS + CORPUS_SLACK + message_bytes_max + 32;
    corpus->bytes = bytes;
    corpus->binary = malloc(bytes);
    corpus->text = malloc(bytes);
    if (corpus->binary == NULL || corpus->text == NULL) {
        corpus_free(corpus);
        return false;
    }
    uint64_t state = corpus_seed(seed, UINT64_MAX - 1);
    fill(corpus->binary, bytes, false, repeats, &state);
    fill(corpus->text, bytes, true, repeats, &state);
    return true;
}

void corpus_free(struct corpus *corpus)
{
    free(corpus->binary);
    free(corpus->text);
    corpus->binary = corpus->text = NULL;
}

struct corpus_slice corpus_next(const struct corpus *corpus, bool text, uint32_t len, uint32_t *cursor)
{
    *cursor = (*cursor + CORPUS_STEP) % CORPUS_OFFSETS;
    struct corpus_slice slice = {*cursor, len};
    if (!text)
        return slice;
    /* More than one place in four fits, so that all of the slack fails to is not to be expected. */
    const uint8_t *p = corpus->text;
    for (uint32_t at = *cursor; at < *cursor + CORPUS_SLACK; at++) {
        if (begins(p[at]) && begins(p[at + len])) {
            slice.offset = at;
            return slice;
        }
    }
    while (!begins(p[slice.offset]))
        slice.offset++;
    while (slice.len > 0 && !begins(p[slice.offset + slice.len]))
        slice.len--;
    return slice;
}
