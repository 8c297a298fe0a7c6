/*
 * bench/lib/goals.c - see goals.h.
 */
#include "lib/goals.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define RESAMPLINGS 2000u
#define ROUNDS_MAX 512u

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double goal_median(double *v, unsigned n)
{
    qsort(v, n, sizeof v[0], by_value);
    return n % 2 != 0 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static double resampled_median(const double *v, unsigned n, uint64_t *seed)
{
    double drawn[ROUNDS_MAX];
    n = n < ROUNDS_MAX ? n : ROUNDS_MAX;
    for (unsigned i = 0; i < n; i++) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        drawn[i] = v[(*seed >> 33) % n];
    }
    return goal_median(drawn, n);
}

/* b may be NULL: no ratio then. */
static struct goal_figure bootstrap(double *a, unsigned a_n, double *b, unsigned b_n)
{
    static double found[RESAMPLINGS];
    uint64_t seed = 1;
    struct goal_figure figure = {.value = goal_median(a, a_n) / (b != NULL ? goal_median(b, b_n) : 1)};
    for (unsigned i = 0; i < RESAMPLINGS; i++) {
        found[i] = resampled_median(a, a_n, &seed) / (b != NULL ? resampled_median(b, b_n, &seed) : 1);
    }
    qsort(found, RESAMPLINGS, sizeof found[0], by_value);
    figure.low = found[RESAMPLINGS / 40];
    figure.high = found[RESAMPLINGS - 1 - RESAMPLINGS / 40];
    return figure;
}

struct goal_figure goal_ratio(double *a, unsigned a_n, double *b, unsigned b_n)
{
    return bootstrap(a, a_n, b, b_n);
}

struct goal_figure goal_value(double *v, unsigned n, double scale)
{
    struct goal_figure figure = bootstrap(v, n, NULL, 0);
    figure.value *= scale;
    figure.low *= scale;
    figure.high *= scale;
    return figure;
}

void goal_print(const char *name, struct goal_figure measured, double wanted, bool at_least)
{
    bool all_in = at_least ? measured.low >= wanted : measured.high <= wanted;
    bool all_out = at_least ? measured.high < wanted : measured.low > wanted;
    printf("goal %-34s %6.2f %6.2f %s\n", name, measured.value, wanted, all_in ? "ok" : all_out ? "short" : "unclear");
}
