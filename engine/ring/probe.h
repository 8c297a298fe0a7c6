/*
 * ring/probe.h - opening an io_uring with what this kernel and host allow, found out by trying, and saying why not.
 */
#ifndef WSR_RING_PROBE_H
#define WSR_RING_PROBE_H

#include "ring/ring.h"

struct io_uring;

/*
 * Opens io, disabled (its owner enables it), with the best set of flags that is accepted. without: WSR_RING_WITHOUT_*.
 * *defer: whether DEFER_TASKRUN is among them. 0, or -errno for wsr_probe_refusal.
 */
int wsr_probe_open(struct io_uring *io, unsigned sq_entries, unsigned cq_entries, unsigned without, bool *defer);

/*
 * Opens io, disabled, with a kernel thread that submits (SQPOLL), which sleeps after idle_ms (0: a second) without work and
 * runs on core cpu - 1 (0: any). 0, or -errno likewise.
 */
int wsr_probe_open_polled(struct io_uring *io, unsigned sq_entries, unsigned cq_entries, unsigned idle_ms, unsigned cpu);

/* Which WSR_E* it was that a -errno of set-up or registration means on this host. */
int wsr_probe_refusal(int error);

#endif
