/*
 * tools/signals.c - see signals.h.
 */
#include "tools/signals.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

/* Lock-free atomics are what a handler may share with any thread (C11 7.14.1.1). */
static atomic_int count;
static atomic_int handling; /* handlers that may be looking at `engines` now */
static _Atomic(wsr_engine *) engines[SIGNALS_ENGINES_MAX];

static void on_signal(int number)
{
    (void)number;
    int saved = errno;
    atomic_fetch_add(&handling, 1);
    atomic_fetch_add(&count, 1);
    for (unsigned i = 0; i < SIGNALS_ENGINES_MAX; i++) {
        wsr_engine *engine = atomic_load(&engines[i]);
        if (engine != NULL)
            wsr_wake(engine);
    }
    atomic_fetch_sub(&handling, 1);
    errno = saved;
}

void signals_catch(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

int signals_count(void)
{
    return atomic_load(&count);
}

void signals_watch(wsr_engine *engine)
{
    for (unsigned i = 0; i < SIGNALS_ENGINES_MAX; i++) {
        wsr_engine *none = NULL;
        if (atomic_compare_exchange_strong(&engines[i], &none, engine))
            return;
    }
}

void signals_unwatch(wsr_engine *engine)
{
    for (unsigned i = 0; i < SIGNALS_ENGINES_MAX; i++) {
        wsr_engine *expected = engine;
        atomic_compare_exchange_strong(&engines[i], &expected, NULL);
    }
    /* A handler on another thread may have read the pointer before it went. */
    while (atomic_load(&handling) != 0)
        sched_yield();
}
