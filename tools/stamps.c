/*
 * tools/stamps.c - see stamps.h.
 */
#include "tools/stamps.h"

#include <inttypes.h>
#include <time.h>

#include "tools/parse.h"

void stamps_init(struct stamps *stamps)
{
    histogram_init(&stamps->waited);
    stamps->shared = stamps->none = 0;
}

uint64_t stamps_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t stamps_waited_ns(const wsr_receive_stamp *stamp, uint64_t now_ns)
{
    return now_ns > stamp->realtime_ns ? now_ns - stamp->realtime_ns : 0;
}

void stamps_add(struct stamps *stamps, const wsr_event *event, uint64_t now_ns)
{
    const wsr_receive_stamp *stamp = wsr_event_stamp(event);
    if (stamp == NULL || stamp->realtime_ns == 0) {
        stamps->none++;
        return;
    }
    stamps->shared += (event->flags & WSR_EVENT_STAMP_SHARED) != 0;
    histogram_record(&stamps->waited, stamps_waited_ns(stamp, now_ns));
}

void stamps_merge(struct stamps *into, const struct stamps *from)
{
    histogram_merge(&into->waited, &from->waited);
    into->shared += from->shared;
    into->none += from->none;
}

void stamps_print(FILE *out, const struct stamps *stamps)
{
    static const struct {
        const char *name;
        double q;
    } quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};
    char text[24];
    fputs("from the kernel to here:", out);
    for (unsigned i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++)
        fprintf(out, " %s %s,", quantiles[i].name, format_duration(text, sizeof text, histogram_quantile(&stamps->waited, quantiles[i].q)));
    fprintf(out, " of %" PRIu64 " messages; %" PRIu64 " of them shared a receive with others, and may have been there earlier; %" PRIu64 " more had no stamp\n",
            stamps->waited.count, stamps->shared, stamps->none);
}
