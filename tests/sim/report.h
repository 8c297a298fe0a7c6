/*
 * tests/sim/report.h - what a campaign of worlds met, in tables: every kind of fault with its count, and what came of it. A kind
 * that never happened is a hole in the campaign.
 */
#ifndef TESTS_SIM_REPORT_H
#define TESTS_SIM_REPORT_H

#include "sim/chaos.h"

/* All that is counted over worlds. Nothing but uint64_t. */
struct sim_tally {
    struct chaos_stats chaos;
    struct sim_stats sim;
    uint64_t struck[SIM_CALLS][SIM_ERRNOS];
};

/* Adds one to the other; the shortest and the fewest stay what they are. */
void sim_tally_add(struct sim_tally *sum, const struct sim_tally *more);

/* The tables, on the standard output. */
void sim_report(const struct sim_tally *tally);

/* Says on the standard error which kinds of faults never happened; returns how many. Fewer than some thousand worlds miss some. */
unsigned sim_report_missing(const struct sim_tally *tally);

#endif
