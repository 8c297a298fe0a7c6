/*
 * bench/lib/message_corpus.h - messages as WebSocket carries them, made up and always the same: for measuring compression.
 *
 *     ticks   market data as JSON: tickers, trades, order-book changes of some thirty instruments (80 B to 2 KiB, mean 300 B)
 *     chat    what people type, in JSON with its sender and time (100 B to 700 B, mean 220 B)
 *     binary  order-book changes in fixed little-endian records of 32 B (64 B to 1.4 KiB, mean 550 B)
 *
 * Made from a seed alone, so that figures of two machines are of the same bytes. What it is not: real traffic; prices walk
 * and words come by their frequency, but real data has habits that nobody thought of here.
 */
#ifndef BENCH_LIB_MESSAGE_CORPUS_H
#define BENCH_LIB_MESSAGE_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum message_kind { MESSAGE_TICKS, MESSAGE_CHAT, MESSAGE_BINARY, MESSAGE_KINDS };

struct message_corpus {
    uint8_t *bytes;
    size_t *ends; /* message i is bytes[ends[i - 1]..ends[i]], ends[-1] being 0 */
    unsigned n;
};

const char *message_kind_name(enum message_kind kind);

/* Makes messages until they are `bytes` together. False: no memory. Free with message_corpus_free. */
bool message_corpus_make(struct message_corpus *corpus, enum message_kind kind, size_t bytes, uint64_t seed);
void message_corpus_free(struct message_corpus *corpus);

static inline const uint8_t *message_at(const struct message_corpus *corpus, unsigned i, size_t *len)
{
    size_t start = i > 0 ? corpus->ends[i - 1] : 0;
    *len = corpus->ends[i] - start;
    return corpus->bytes + start;
}

#endif
