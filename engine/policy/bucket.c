/*
 * policy/bucket.c - a token bucket that delays and never drops: so many attempts in an interval, with a burst.
 *
 * Instead of counting tokens it keeps the time at which the bucket would be full again (the generic cell rate algorithm, ITU-T
 * I.371): one token more is one share of the interval later. A share is a fraction, interval / attempts, so that time is kept
 * in whole nanoseconds and attempts-ths of one, and nothing is ever rounded but the answer.
 */
#include <wsring/policy.h>

#define TIME_MAX_NS (UINT64_C(10) * 366 * 86400 * 1000000000) /* ten years, leap days and all */

int wsr_bucket_init(wsr_bucket *bucket, uint32_t attempts, uint64_t interval_ns, uint32_t burst)
{
    if (interval_ns == 0)
        interval_ns = UINT64_C(1000000000);
    if (burst == 0)
        burst = 1;
    if (attempts == 0 || interval_ns > TIME_MAX_NS / burst)
        return WSR_ECONFIG;
    *bucket = (wsr_bucket){.interval_ns = interval_ns, .attempts = attempts, .burst = burst};
    return WSR_OK;
}

uint64_t wsr_bucket_take(wsr_bucket *bucket, uint64_t now_ns)
{
    if (bucket->full_ns < now_ns) {
        bucket->full_ns = now_ns;
        bucket->full_fraction = 0;
    }
    /* A token is there if all of the burst's shares but one would be missing at most: wait until full - (burst - 1) shares. */
    const uint64_t room = (bucket->burst - 1) * bucket->interval_ns;
    const uint64_t room_ns = room / bucket->attempts, room_fraction = room % bucket->attempts;
    const uint64_t due_ns = now_ns + room_ns;
    uint64_t wait_ns = 0;
    if (bucket->full_ns >= due_ns)
        wait_ns = bucket->full_ns - due_ns + (bucket->full_fraction > room_fraction); /* rounded up: never too early */

    bucket->full_ns += bucket->interval_ns / bucket->attempts;
    bucket->full_fraction += bucket->interval_ns % bucket->attempts;
    if (bucket->full_fraction >= bucket->attempts) {
        bucket->full_fraction -= bucket->attempts;
        bucket->full_ns++;
    }
    return wait_ns;
}
