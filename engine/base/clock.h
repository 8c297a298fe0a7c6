/*
 * base/clock.h - times and durations, in nanoseconds. UINT64_MAX is never.
 */
#ifndef WSR_BASE_CLOCK_H
#define WSR_BASE_CLOCK_H

#include <stdint.h>

/* A time and a duration: never, where the sum is beyond all times. */
static inline uint64_t wsr_ns_add(uint64_t a, uint64_t b)
{
    return b < UINT64_MAX - a ? a + b : UINT64_MAX;
}

#endif
