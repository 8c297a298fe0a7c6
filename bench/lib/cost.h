/*
 * bench/lib/cost.h - what a process has used so far: CPU time, waiting, sleeps, cycles, system calls.
 *
 * CPU time comes from /proc/PID/task/N/schedstat. The kernel brings it up to date only when a task is switched out, or at a
 * timer tick, so read it while the process sleeps.
 */
#ifndef BENCH_LIB_COST_H
#define BENCH_LIB_COST_H

#include <stdint.h>

/* Signed: a thread that ends takes what it used with it. */
struct cost {
    int64_t run_ns, wait_ns;   /* on a core; ready, but another task had it */
    int64_t sleeps;            /* times that it had nothing to do */
    int64_t cycles, syscalls;  /* 0 if not asked for */
};

/* Descriptors of what cost_read adds to the scheduler's figures; -1: nothing. */
struct cost_counters {
    int pid, cycles_fd;
    int *syscalls_fds; /* one a thread there was at the start; those it starts later count with it */
    int syscalls_n;
};

/*
 * cycles: count those that the first thread, and threads it starts from now on, spend in user space and the kernel; time that a
 * hypervisor takes away is in a CPU time and not in this, but it costs something at every task switch. syscalls_event: number
 * of the tracepoint raw_syscalls:sys_enter, or 0. Returns 0, or -1 with errno and *what failed.
 */
int cost_open(struct cost_counters *counters, int pid, int cycles, unsigned syscalls_event, const char **what);

/* All threads of a process together. Returns 0, or -1 with errno if it is not there. */
int cost_read(const struct cost_counters *counters, struct cost *cost);

/* *cost -= *before. */
void cost_subtract(struct cost *cost, const struct cost *before);

/*
 * Starts n processes that spin on a core, each a little less entitled to it than others, for as long as this process lives: one
 * takes 29 % of it from a busy server, three 55 %, six 71 %, ten 81 %. Returns 0, or -1 with errno.
 */
int cost_brakes_start(int core, int n);

#endif
