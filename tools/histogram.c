/*
 * tools/histogram.c - see histogram.h.
 */
#include "tools/histogram.h"

#include <math.h>
#include <string.h>

#define VALUE_MAX ((1ull << HISTOGRAM_VALUE_BITS) - 1)

void histogram_init(struct histogram *h)
{
    memset(h, 0, sizeof *h);
    h->min = UINT64_MAX;
}

/* The row is the power of two above the sub-buckets' bits, the column the bits that follow the leading one. */
static unsigned bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_SUBS)
        return (unsigned)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return shift * HISTOGRAM_SUBS + (unsigned)(value >> shift);
}

/* The largest value that falls into bucket i: the inverse of bucket_of. */
static uint64_t bucket_top(unsigned i)
{
    if (i < 2 * HISTOGRAM_SUBS)
        return i;
    unsigned shift = i / HISTOGRAM_SUBS - 1;
    uint64_t column = i % HISTOGRAM_SUBS + HISTOGRAM_SUBS;
    return ((column + 1) << shift) - 1;
}

void histogram_record(struct histogram *h, uint64_t value)
{
    h->count++;
    h->sum += value;
    if (value < h->min)
        h->min = value;
    if (value > h->max)
        h->max = value;
    h->buckets[bucket_of(value < VALUE_MAX ? value : VALUE_MAX)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    into->sum += from->sum;
    if (from->min < into->min)
        into->min = from->min;
    if (from->max > into->max)
        into->max = from->max;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
    if (h->count == 0)
        return 0;
    /* The rank of the value asked for, from 1. Rounding up makes q = 1 the maximum, and 0.5 of two values the first. */
    uint64_t rank = (uint64_t)ceil(q * (double)h->count);
    if (rank < 1)
        rank = 1;
    if (rank >= h->count)
        return h->max;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= rank)
            return bucket_top(i) < h->max ? bucket_top(i) : h->max;
    }
    return h->max;
}

double histogram_mean(const struct histogram *h)
{
    return h->count == 0 ? 0 : (double)h->sum / (double)h->count;
}
