/*
 * bench/lib/load.h - what the loads share: servers that are measured in turn, in many short slices, and what each slice cost.
 *
 * All targets are connected all the time, and each pass goes over them in an order of its own: a machine whose speed drifts,
 * drifts for all of them. A load says what it does in one slice; options, order, costs and the report are here. The report is
 * one line of JSON on stdout. Exit code 1 when anything went wrong, 2 on a bad command line.
 */
#ifndef BENCH_LIB_LOAD_H
#define BENCH_LIB_LOAD_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/cost.h"

enum { LOAD_TARGETS_MAX = 24, LOAD_SLICES_MAX = 1000 };

struct load_slice {
    int64_t units; /* messages, deliveries, upgrades */
    double seconds;
    struct cost server, load;
    void *result; /* of the load's own, for its report */
};

struct load_target {
    int raw; /* no WebSocket: a raw echo */
    unsigned port;
    int pid; /* 0: not known, no cost is read */
    void *context; /* of the load's own */
    struct cost_counters counters;
    struct load_slice *slices;
};

struct load_options {
    const char *program;
    unsigned connections, slices, seed, syscalls_event;
    int spin, cycles, brake_core, brakes;
    double seconds, warm_up_seconds;
    struct load_target targets[LOAD_TARGETS_MAX];
    unsigned target_count;
};

/* Begins with defaults; a load may change them before load_parse. */
extern struct load_options load_options;

/* What a load adds to the options all have. Each takes a number from min to max; at flag, none, and is set to 1. */
struct load_number {
    const char *name, *help;
    double *value, min, max;
    int flag;
};

/* Reads the command line. numbers: ended by a row without a name. Prints what is wrong and exits with 2 on a bad one. */
void load_parse(int argc, char **argv, const struct load_number *numbers);

struct load_actions {
    void (*open)(struct load_target *target);                              /* connects */
    void (*run)(struct load_target *target, double seconds, struct load_slice *slice); /* sets units and, if it likes, result */
    void (*report)(FILE *out, const struct load_slice *slice);             /* NULL, or prints ", \"name\": value" of its own */
};

/* Connects to all, warms up, runs all slices. */
void load_run(const struct load_actions *actions);

/* {HEAD"targets": [...]} and a newline; head: fields of the load's own, each with a comma behind it, or "". */
void load_report(const struct load_actions *actions, const char *head);

/* CLOCK_MONOTONIC. */
int64_t load_now_ns(void);

/* The same, in seconds. */
double load_now(void);

/* Says what is wrong, and at which port, and exits with 1. */
void load_die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
