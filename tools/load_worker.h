/*
 * tools/load_worker.h - one thread of a load: connect, send, wait for the last echoes, close with 1000, or cut.
 */
#ifndef TOOLS_LOAD_WORKER_H
#define TOOLS_LOAD_WORKER_H

#include <pthread.h>

#include "tools/traffic.h"

struct load_phases {
    uint64_t duration_ns; /* 0: until the messages are sent */
    uint64_t patience_ns; /* without anything coming */
};

struct load_worker {
    const struct load_phases *phases;
    struct traffic_config config; /* this thread's share */
    struct traffic traffic;
    pthread_t thread;
    pthread_barrier_t *connected; /* so that all begin to send together */
    int error, error_errno;       /* why the engine did not open, or ended early */
    double cpu_seconds;           /* process-wide, over this worker's sending */
    uint64_t moved_ns;            /* when something last came: a connection opened or ended, an echo arrived */
    bool progress;                /* prints the progress line on standard error */
};

/* Opens an engine on this thread, goes through the phases, closes it; context: the load_worker. Returns NULL. */
void *load_worker_run(void *context);

#endif
