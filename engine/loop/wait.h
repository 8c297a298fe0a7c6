/*
 * loop/wait.h - how a poll waits: blocked in the kernel, or looking for a while first (wsr_config.wait).
 */
#ifndef WSR_LOOP_WAIT_H
#define WSR_LOOP_WAIT_H

#include "conn/engine.h"

/* Submits, and waits for something to take, at most until deadline_ns (UINT64_MAX: for ever). 0, or WSR_ESYS. */
WSR_MUST_USE int wsr_wait(wsr_engine *engine, uint64_t deadline_ns);

/* Does the next wait look before it blocks? */
bool wsr_wait_spins(const struct wsr_waiting *waiting, uint64_t spin_ns);

/* A wait of ns brought n completions. */
void wsr_wait_note(struct wsr_waiting *waiting, uint64_t spin_ns, uint64_t ns, unsigned n);

#endif
