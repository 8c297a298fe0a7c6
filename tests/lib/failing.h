/*
 * tests/lib/failing.h - an allocator of which one call fails, by its number: for sweeps over all of them.
 */
#ifndef TESTS_LIB_FAILING_H
#define TESTS_LIB_FAILING_H

#include <wsring/types.h>

extern const wsr_allocator failing;
extern uint64_t failing_calls; /* so far; set it to 0 to begin anew */
extern uint64_t failing_at;    /* the one that fails; 0: none */
extern uint64_t failing_bytes; /* given out and not back yet, as the caller has their sizes */

#endif
