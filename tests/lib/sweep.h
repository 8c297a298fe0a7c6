/*
 * tests/lib/sweep.h - stories on the simulated host, each told again and again, and each time another thing fails, by its number:
 * every allocation of an engine (zlib's among them) and of OpenSSL, every completion, every call of the kernel's. Nothing crashes
 * or hangs, no memory and no descriptor is left over, and the process still serves afterwards. Only for tests/sim_*.c.
 *
 *   PROGRAM                                tells all of them, and ends with a table: what each story has of each, and in how many
 *                                          worlds it was told
 *   PROGRAM STORY                          one story
 *   PROGRAM STORY KIND NTH ERRNO SEED      one world alone (SIM_TRACE=1: traced)
 *   SWEEP_EVERY=1                          where a story is dear, each of its allocations in OpenSSL all the same
 */
#ifndef TESTS_LIB_SWEEP_H
#define TESTS_LIB_SWEEP_H

#include <wsring/wsring.h>

struct sweep_story {
    const char *name;
    /* Opens, plays, sees that it ends as it must, calls sweep_serves, and closes. The host is new; knobs are its own to set. */
    void (*play)(const void *data);
    const void *data;
    /* Beside the perfect host, seed 0, so many wild ones, on which only some of all calls fail: the failure comes on top. */
    unsigned wild;
    unsigned ssl_every; /* fails each so many-th of OpenSSL's allocations; 0: each */
};

/* Within play: what is to fail is counted from here on. */
void sweep_begin(void);

/* Within play: nothing fails in this world, and the host is perfect: what should come out comes out. */
bool sweep_is_calm(void);

/* Within play: from here on nothing fails any more, and the host is a perfect one. */
void sweep_relent(void);

/*
 * Within play, when it is over: relents, and then a new connection from one engine to a new listener of the other, a message there
 * and back, a clean end. The two may be the same; NULL: an engine of its own, as where none could be opened.
 */
void sweep_serves(wsr_engine *server, wsr_engine *client);

/* Tells one story, within a test, in all its worlds, and prints its row of the table. */
void sweep_all(const struct sweep_story *story);
/* That test's tear-down: says in which world it failed, if it did. */
int sweep_tear_down(void **state);

/* The whole program: a test for each story. Returns its exit code. */
int sweep_main(int argc, char **argv, const struct sweep_story *stories, unsigned n);

#endif
