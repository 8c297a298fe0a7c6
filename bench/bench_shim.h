/*
 * bench/bench_shim.h - Google Benchmark and Boost.Beast for programs in C. bench_shim.cc is the only C++ file of the tree.
 */
#ifndef BENCH_SHIM_H
#define BENCH_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench_case {
    const char *name;
    void (*pass)(void *arg); /* what is timed; it must leave everything as it found it */
    void *arg;
    double *ns;              /* out: nanoseconds of CPU time a pass, one for each round */
    unsigned rounds;         /* out: how many */
};

/* Once, before all else; takes Google Benchmark's own options out of argv. */
void bench_init(int *argc, char **argv);

/*
 * Measures n cases against one another: `rounds` rounds of at least seconds_min each, in an order shuffled over all cases
 * and rounds, so that a machine that changes its speed changes it for all. Warms up and finds the number of passes first.
 * Returns 0, or -1 if a case was not measured.
 */
int bench_run(struct bench_case *cases, unsigned n, unsigned rounds, double seconds_min);

/* Boost.Beast's, if it was there when this was compiled; else they do nothing and bench_beast is false. */
extern const bool bench_beast;
void bench_beast_mask(uint8_t *p, size_t len, uint32_t key);
bool bench_beast_utf8(const uint8_t *p, size_t len);

#ifdef __cplusplus
}
#endif

#endif
