/*
 * tests/sim/report.c - see report.h.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strerrorname_np */
#endif
#include "sim/report.h"

#include <string.h>

struct row {
    const char *name;
    size_t at; /* of its count in struct sim_tally */
};

#define HOST(name) offsetof(struct sim_tally, sim.name)
#define WORLD(name) offsetof(struct sim_tally, chaos.name)

static const struct row faults[] = {
    {"short reads", HOST(short_reads)},
    {"short writes", HOST(short_writes)},
    {"sends that end with part of their bytes", HOST(short_sends)},
    {"completions late by some time", HOST(delayed)},
    {"sends completed later than their bytes left", HOST(late_sends)},
    {"notifications of sends without copying, late by a long time", HOST(late_notifications)},
    {"batches of completions in another order", HOST(reordered)},
    {"armed operations ended with bytes (no F_MORE)", HOST(lost_more)},
    {"ENOBUFS, no buffer being free", HOST(enobufs)},
    {"ENOBUFS although buffers came back", HOST(enobufs_false)},
    {"completions that overflowed the queue", HOST(overflows)},
    {"submits of which a part was taken", HOST(partial_submits)},
    {"waits ended by a signal", HOST(interrupts)},
    {"operations cancelled", HOST(cancelled)},
    {"  of them sends half done", HOST(cancelled_partly)},
    {"cancels that came too late", HOST(cancelled_late)},
    {"connects that found the backlog full", HOST(backlogs_full)},
    {"connects refused", HOST(refused)},
    {"accepts without a descriptor (EMFILE)", HOST(emfile)},
    {"times of hardly any descriptors", WORLD(crowded)},
    {"resets", HOST(resets)},
    {"  of them by scripted peers", WORLD(peer_resets)},
    {"half-closes", WORLD(half_closes)},
    {"clocks that jumped by more than a second", WORLD(jumps)},
    {"applications away for up to ten idle limits", WORLD(sleeps)},
    {"allocations refused", WORLD(allocations_failed)},
    {"time stamps left out of a receive, or cut off", HOST(stamps_missing)},
};

static const struct row deeds[] = {
    {"messages sent", WORLD(messages_sent)},
    {"messages that came, each as it was sent", WORLD(messages_got)},
    {"  undelivered, as records say", WORLD(undelivered)},
    {"  unconfirmed, as records say", WORLD(unconfirmed)},
    {"chunks of streamed messages", WORLD(chunks)},
    {"events with a time stamp", WORLD(stamped)},
    {"  that others have too, or may", WORLD(stamps_shared)},
    {"connections opened, both ends counted", WORLD(opened)},
    {"connections that ended clean at both ends", WORLD(clean)},
    {"closes", WORLD(closes)},
    {"aborts", WORLD(aborts)},
    {"pauses and resumes", WORLD(pauses)},
    {"pings", WORLD(pings)},
    {"ids used when stale", WORLD(stale_ids)},
    {"slots reused", WORLD(slots_reused)},
    {"WRITABLE after a refused message", WORLD(writables)},
    {"flushes within a batch", WORLD(flushes)},
    {"strangers at the server", WORLD(strangers)},
    {"refusals of the client", WORLD(refusers)},
    {"receive buffers given back", HOST(buffers_returned)},
    {"sends without the ring", HOST(sends_now)},
    {"completions", HOST(completions)},
    {"allocations", WORLD(allocations)},
    {"worlds in which calls, operations and memory fail", WORLD(hostile_worlds)},
    {"worlds with a server that sleeps", WORLD(sleeper_worlds)},
    {"worlds with compression", WORLD(deflate_worlds)},
    {"engines that are guests of another loop", WORLD(guest_worlds)},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

void sim_tally_add(struct sim_tally *sum, const struct sim_tally *more)
{
    const struct chaos_stats was = sum->chaos;
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)more;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
    sum->chaos.steps_shortest = was.steps_shortest;
    sum->chaos.connections_fewest = was.connections_fewest;
}

static uint64_t count_of(const struct sim_tally *tally, const struct row *row)
{
    uint64_t n;
    memcpy(&n, (const char *)tally + row->at, sizeof n);
    return n;
}

static void show(const char *name, uint64_t n)
{
    printf("  %-50s %14llu\n", name, (unsigned long long)n);
}

static void show_rows(const char *title, const struct sim_tally *tally, const struct row *rows, size_t n)
{
    puts(title);
    for (size_t i = 0; i < n; i++)
        show(rows[i].name, count_of(tally, &rows[i]));
}

void sim_report(const struct sim_tally *tally)
{
    show_rows("Faults:", tally, faults, COUNT(faults));
    puts("Calls and operations made to fail:");
    for (unsigned i = 0; i < chaos_faults_n; i++) {
        const struct chaos_fault *fault = &chaos_faults[i];
        printf("  %-10s", fault->name);
        for (unsigned k = 0; fault->errors[k] != 0; k++)
            printf(" %s %llu", strerrorname_np(fault->errors[k]), (unsigned long long)tally->struck[fault->call][fault->errors[k]]);
        putchar('\n');
    }
    show_rows("What came of it:", tally, deeds, COUNT(deeds));
    puts("Causes of CLOSED:");
    for (unsigned i = 0; i < CHAOS_ERRORS; i++)
        if (tally->chaos.causes[i] > 0)
            show(wsr_error_name(-(int)i), tally->chaos.causes[i]);
}

unsigned sim_report_missing(const struct sim_tally *tally)
{
    unsigned missing = 0;
    for (size_t i = 0; i < COUNT(faults); i++) {
        if (count_of(tally, &faults[i]) > 0)
            continue;
        fprintf(stderr, "sim: a kind of fault never happened: %s\n", faults[i].name);
        missing++;
    }
    for (unsigned i = 0; i < chaos_faults_n; i++) {
        for (const int *error = chaos_faults[i].errors; *error != 0; error++) {
            if (tally->struck[chaos_faults[i].call][*error] > 0)
                continue;
            fprintf(stderr, "sim: a kind of fault never happened: %s, %s\n", chaos_faults[i].name, strerrorname_np(*error));
            missing++;
        }
    }
    return missing;
}
