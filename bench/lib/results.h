/*
 * bench/lib/results.h - what a bench measured, kept by group, length and name; tables of it, ratios, JSON, goals.
 */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

#include <stddef.h>

struct result {
    const char *group;
    size_t len;      /* bytes of a message */
    char name[40];
    double *ns;      /* a message, by round */
    unsigned n;      /* rounds */
    double median;   /* of ns */
};

/* Keeps ns, n of them, which must stay. group too. Exits if there are too many. */
void result_add(const char *group, size_t len, const char *name, double *ns, unsigned n);

/* NULL if there is none. */
struct result *result_find(const char *group, size_t len, const char *name);

/*
 * A row a case, a column a length: GB/s and cycles a message. The cases are those of the first length; the one called
 * "clock", a cycle a piece, gives the clock rate and no row.
 */
void results_print(const char *group, const size_t *lens, unsigned lens_n);

/* A row: how many times as fast as `slow` is `fast`, at each length, with the 95 % interval. Nothing without `slow`. */
void results_print_ratios(const char *group, const size_t *lens, unsigned lens_n, const char *fast, const char *slow);

/* Everything, to a file. Returns 0, or -1 with errno. */
int results_json(const char *path);

/* The goal line: how many times as fast as slow is fast, `wanted` at least. Nothing if either is NULL. */
void result_goal(const char *name, struct result *slow, struct result *fast, double wanted);

#endif
