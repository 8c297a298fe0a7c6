/*
 * bench/lib/goals.h - from samples to ratios, and the line that says whether a goal was met.
 */
#ifndef BENCH_GOALS_H
#define BENCH_GOALS_H

#include <stdbool.h>

/* A figure and its 95 % interval. */
struct goal_figure {
    double value, low, high;
};

/* v is sorted. */
double goal_median(double *v, unsigned n);

/*
 * median(a) / median(b) of two sets of rounds taken in the same run, with a bootstrap interval (2,000 resamplings, the same
 * random numbers each time): the rounds of the two lie shuffled among each other, so there are no pairs.
 */
struct goal_figure goal_ratio(double *a, unsigned a_n, double *b, unsigned b_n);

/* The median of v times scale, likewise. */
struct goal_figure goal_value(double *v, unsigned n, double scale);

/*
 * "goal NAME MEASURED WANTED ok": ok or short only if the whole interval is on that side of what is wanted, else unclear.
 * at_least: more is better; else less is.
 */
void goal_print(const char *name, struct goal_figure measured, double wanted, bool at_least);

#endif
