/*
 * tests/lib/failing.h - allocators of which one call fails, by its number: for sweeps over all of them. One for engines, which has
 * zlib's memory in it (engine/deflate/memory.h), and one in OpenSSL's place.
 */
#ifndef TESTS_LIB_FAILING_H
#define TESTS_LIB_FAILING_H

#include <stdbool.h>
#include <wsring/types.h>

extern const wsr_allocator failing;
extern uint64_t failing_calls; /* so far; set it to 0 to begin anew */
extern uint64_t failing_at;    /* the one that fails; 0: none */
extern uint64_t failing_bytes; /* given out and not back yet, as the caller has their sizes */

/* Likewise OpenSSL's, from failing_ssl_use on: it takes an allocator once, before all else. False: too late. */
bool failing_ssl_use(void);
extern uint64_t failing_ssl_calls, failing_ssl_at;
extern int64_t failing_ssl_held;

#endif
