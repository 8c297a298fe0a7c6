/*
 * tools/corpus.h - the bytes that load messages are made of, such that what an echo must be is known without keeping it.
 *
 * Two texts are made once from a seed: random bytes, and random UTF-8 of one to four bytes a character; both repeat themselves if
 * they are to be compressible. A message is a slice of one of them, so sending needs no copy and verifying is one memcmp.
 * Messages in flight on a connection lie at different offsets (corpus_next), so one that came in another's place is seen by
 * its bytes (except where it is only a few bytes long and two places hold the same).
 */
#ifndef TOOLS_CORPUS_H
#define TOOLS_CORPUS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Offsets run over this many bytes: small enough to stay in a second-level cache, for small messages; a power of two, so
 * that an odd step visits every offset before it comes back to one.
 */
enum { CORPUS_OFFSETS = 1 << 18, CORPUS_STEP = 67, CORPUS_SLACK = 4096 };

struct corpus {
    uint8_t *binary, *text; /* each of `bytes` bytes; owned */
    uint32_t bytes;
};

struct corpus_slice {
    uint32_t offset;
    uint32_t len; /* bytes */
};

/*
 * Makes a corpus for messages of up to message_bytes_max. repeats: three quarters of it are runs of 8 to 31 bytes from at most
 * half a KiB before. False: out of memory.
 */
bool corpus_make(struct corpus *corpus, uint32_t message_bytes_max, uint64_t seed, bool repeats);
void corpus_free(struct corpus *corpus);

/*
 * The next slice of len bytes behind *cursor, which it moves on. Of the text only whole characters: the slice may begin a
 * little further on (or, should no place fit, be up to three bytes shorter).
 */
struct corpus_slice corpus_next(const struct corpus *corpus, bool text, uint32_t len, uint32_t *cursor);

/* xorshift64: good enough to choose with, and a few cycles long. *state must not be 0. */
static inline uint64_t corpus_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

/* A first state for stream `index` of `seed`: splitmix64, never 0. */
uint64_t corpus_seed(uint64_t seed, uint64_t index);

#endif
