/*
 * client/slices.h - pieces of text, for url.c and url_write.c. No copy, no allocation.
 */
#ifndef WSR_CLIENT_SLICES_H
#define WSR_CLIENT_SLICES_H

#include <string.h>
#include <wsring/types.h>

/* Its first n bytes; what is behind them. n is at most text.len. */
static inline wsr_slice wsr_slice_first(wsr_slice text, size_t n)
{
    return (wsr_slice){text.ptr, n};
}

static inline wsr_slice wsr_slice_without(wsr_slice text, size_t n)
{
    return (wsr_slice){text.ptr + n, text.len - n};
}

/* A NUL is none of them. */
static inline bool wsr_is_one_of(uint8_t c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* How far it is to the first of these characters, or to the end. */
static inline size_t wsr_slice_span(wsr_slice text, const char *set)
{
    size_t n = 0;
    while (n < text.len && !wsr_is_one_of(text.ptr[n], set))
        n++;
    return n;
}

#endif
