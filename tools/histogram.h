/*
 * tools/histogram.h - how often each value was seen, in buckets that grow with the value: log-linear, as HdrHistogram.
 *
 * Values below 128 have a bucket each; above, every power of two is cut into 128 buckets of equal width, so that a bucket is
 * at most 1/128 of its values wide, and any quantile is at most 0.79 % above the true one, and never below it. Recording is a
 * shift, an add and an increment; nothing allocates. One thread at a time.
 */
#ifndef TOOLS_HISTOGRAM_H
#define TOOLS_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_SUB_BITS = 7,
    HISTOGRAM_SUBS = 1 << HISTOGRAM_SUB_BITS,
    HISTOGRAM_VALUE_BITS = 42, /* in nanoseconds, 73 minutes; what is larger counts as the largest */
    HISTOGRAM_BUCKETS = (HISTOGRAM_VALUE_BITS - HISTOGRAM_SUB_BITS + 1) * HISTOGRAM_SUBS
};

struct histogram {
    uint64_t count; /* values recorded */
    uint64_t sum;   /* of the values */
    uint64_t min;   /* exact; UINT64_MAX while there is none */
    uint64_t max;   /* exact */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Empties it. */
void histogram_init(struct histogram *h);

/* Counts one value. */
void histogram_record(struct histogram *h, uint64_t value);

/* Adds what `from` has counted to `into`. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/*
 * The value that at least the fraction q (0 to 1) of those recorded do not exceed: the largest of its bucket, or the exact
 * maximum if that is less. 0 if there is none.
 */
uint64_t histogram_quantile(const struct histogram *h, double q);

/* The arithmetic mean, exact; 0 if there is none. */
double histogram_mean(const struct histogram *h);

#endif
