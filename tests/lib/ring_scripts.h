/*
 * tests/lib/ring_scripts.h - what a ring must do, as scripts that run the same on the real kernel and on the fake one.
 *
 * A script uses ring.h and sys.h alone, checks with cmocka, and takes its choices from `seed`. It must tolerate all that
 * a kernel may do: short pieces, an armed receive that ends early, ENOBUFS, any order between sockets.
 */
#ifndef TESTS_LIB_RING_SCRIPTS_H
#define TESTS_LIB_RING_SCRIPTS_H

#include "ring/ring.h"

typedef void ring_script(const struct wsr_ring_config *config, uint64_t seed);

/* ring_streams.c */
ring_script ring_script_one_stream;
ring_script ring_script_many_slices;
ring_script ring_script_short_cq;
ring_script ring_script_starved;
ring_script ring_script_holds;
ring_script ring_script_zero_copy;

struct ring_script_row {
    const char *name;
    ring_script *run;
};

extern const struct ring_script_row ring_scripts[];
extern const unsigned ring_scripts_n;

/* More than a connection's buffers take: what a send needs to be stuck. 24 MiB unless set otherwise. */
extern size_t ring_scripts_flood_bytes;

/* By how much streams are shortened; 1 unless set otherwise. */
extern unsigned ring_scripts_shrink;

#endif
