/*
 * ring/restrict.h - takes from a ring, before it is enabled, all that this library never asks of it.
 */
#ifndef WSR_RING_RESTRICT_H
#define WSR_RING_RESTRICT_H

#include "ring/compat.h"

/*
 * Of a ring that is still disabled (IORING_SETUP_R_DISABLED): from its enabling on the kernel refuses every operation, flag and
 * registration but those that ops.c and uring.c use (zero_copy: wsr_ring_send_zero_copy's too), for as long as it lives. What code that broke in could do with the ring
 * is then what we do with it. Returns 0, or -errno: then the ring is as it was, and works.
 */
int wsr_restrict(struct io_uring *io, bool zero_copy);

#endif
