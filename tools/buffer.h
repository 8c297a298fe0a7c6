/*
 * tools/buffer.h - bytes in a row that grow at their end and are taken from their front.
 *
 * When memory runs out it says so once, by `failed`, and drops what would have been added from then on: whoever adds looks at
 * that when done, not after every addition.
 */
#ifndef TOOLS_BUFFER_H
#define TOOLS_BUFFER_H

#include <stdarg.h>
#include <wsring/types.h>

/* All zero: empty. */
struct buffer {
    uint8_t *ptr;
    size_t at, end, cap; /* what is in it: ptr[at] to ptr[end - 1] */
    bool failed;         /* out of memory: something that was to be added is not there */
};

static inline size_t buffer_len(const struct buffer *b)
{
    return b->end - b->at;
}

/* Room for n bytes at the end, to be written and then counted by adding to b->end. NULL, and failed: out of memory. */
uint8_t *buffer_reserve(struct buffer *b, size_t n);

void buffer_add(struct buffer *b, const void *bytes, size_t n);
void buffer_add_text(struct buffer *b, const char *text);
__attribute__((format(printf, 2, 3))) void buffer_add_format(struct buffer *b, const char *format, ...);

/* The first n are no longer needed. */
void buffer_take(struct buffer *b, size_t n);

void buffer_free(struct buffer *b);

#endif
