/*
 * tests/preload/turns.c - put before a program by LD_PRELOAD under valgrind: waits for io_uring in short turns.
 *
 * valgrind runs one thread at a time, and 3.19 does not know that io_uring_enter may block: while a ring waits, no other thread runs,
 * so a resolver's answer never comes. Between two turns the others do.
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <sched.h>

enum { TURN_NS = 1000000, SECOND_NS = 1000000000 };

typedef int wait_function(struct io_uring *, struct io_uring_cqe **, unsigned, struct __kernel_timespec *, sigset_t *);

__attribute__((visibility("default"))) int io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned least, struct __kernel_timespec *limit, sigset_t *mask)
{
    static wait_function *wait_once;
    if (wait_once == NULL)
        *(void **)&wait_once = dlsym(RTLD_NEXT, "io_uring_submit_and_wait_timeout");
    long long left_ns = limit != NULL ? (long long)limit->tv_sec * SECOND_NS + limit->tv_nsec : 0;
    int submitted = 0;
    for (;;) {
        struct __kernel_timespec turn = {.tv_nsec = limit != NULL && left_ns < TURN_NS ? left_ns : TURN_NS};
        const int n = wait_once(ring, cqe, least, &turn, mask);
        left_ns -= TURN_NS;
        submitted += n > 0 ? n : 0;
        if ((n < 0 && n != -ETIME) || io_uring_cq_ready(ring) >= least || (limit != NULL && left_ns <= 0))
            return submitted > 0 ? submitted : n;
        sched_yield();
    }
}
