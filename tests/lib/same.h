/*
 * tests/lib/same.h - scripts of whole connections that run the same on the real kernel and on the simulated one: who sends what,
 * who ends it, and how. Each gives a transcript, a line for each event of each end, and both kernels have to give the same one:
 * tests/test_same.c tells the real one's, tests/sim_same.c the other's, and tests/test_same.sh compares them.
 *
 *   PROGRAM            plays every script, and sees that each comes to its end
 *   PROGRAM ROUNDS     prints the transcripts of so many rounds of all scripts, each with other sizes and features
 */
#ifndef TESTS_LIB_SAME_H
#define TESTS_LIB_SAME_H

#include <stddef.h>
#include <stdint.h>

/* What a script needs of a host beside an engine: the other end of a connection, byte by byte. Handles are 0 or more. */
struct same_host {
    void (*begin)(uint64_t seed);
    int (*connect)(uint16_t port);
    long (*write)(int peer, const void *bytes, size_t len); /* how many it took; negative: none */
    long (*read)(int peer, void *bytes, size_t cap);        /* 0: the end; -EAGAIN: nothing yet; negative: broken off */
    void (*shut)(int peer);
    void (*reset)(int peer);
    void (*close)(int peer);
    uint64_t (*now_ns)(void);
};

int same_main(int argc, char **argv, const struct same_host *host);

#endif
