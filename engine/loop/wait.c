/*
 * loop/wait.c - see wait.h. Between a completion and a blocked thread that runs again lie tens of microseconds: a wake-up, often of
 * a sleeping core. A thread that looks at memory instead sees it at once, and is paid for in CPU time.
 *
 * With DEFER_TASKRUN what has arrived shows as a flag in memory that is shared with the kernel (IORING_SQ_TASKRUN); only when
 * it is up, one system call brings the completions in.
 */
#include "loop/wait.h"

#include "base/clock.h"
#include "ring/sys.h"

#define LOOKS 16u    /* between two looks at the clock, which costs about as much as they do */
#define FULLER 64u   /* completions that wait_min_ns waits for */
#define BUSY16 32    /* sixteenths of a completion a wait: with two and more of them blocking takes more at a time, and costs less */
#define GAPS_MAX 4u  /* a long silence counts as this many spins, so that it is forgotten soon ... */
#define TAKEN_MAX 256u /* ... and a great crowd as this many */

bool wsr_wait_spins(const struct wsr_waiting *waiting, uint64_t spin_ns)
{
    switch (waiting->mode) {
    case WSR_WAIT_LATENCY:
        return true;
    case WSR_WAIT_THROUGHPUT:
        return false;
    default: /* where the next one is likely to come before a spin is over, alone, and there is a core for whoever sends it */
        return waiting->cores > 1 && waiting->gap_ns <= (int64_t)spin_ns && waiting->taken16 < BUSY16;
    }
}

void wsr_wait_note(struct wsr_waiting *waiting, uint64_t spin_ns, uint64_t ns, unsigned n)
{
    const int64_t gap_ns = (int64_t)(ns < spin_ns * GAPS_MAX ? ns : spin_ns * GAPS_MAX);
    const int32_t taken16 = 16 * (int32_t)(n < TAKEN_MAX ? n : TAKEN_MAX);
    waiting->gap_ns += (gap_ns - waiting->gap_ns) / 8;
    waiting->taken16 += (taken16 - waiting->taken16) / 8;
}

static int64_t left(uint64_t now_ns, uint64_t until_ns)
{
    if (until_ns == UINT64_MAX)
        return -1;
    const uint64_t ns = until_ns > now_ns ? until_ns - now_ns : 0;
    return ns < INT64_MAX ? (int64_t)ns : INT64_MAX;
}

/* Looks until there is something, or until then. False: nothing came; *now_ns is the time. */
static bool spin(wsr_engine *engine, uint64_t until_ns, uint64_t *now_ns)
{
    do {
        for (unsigned i = 0; i < LOOKS; i++) {
            if (wsr_ring_ready(engine->ring))
                return true;
            wsr_sys_relax();
        }
        *now_ns = wsr_sys_now_ns();
    } while (*now_ns < until_ns);
    return false;
}

static int block(wsr_engine *engine, uint64_t now_ns, uint64_t until_ns)
{
    const int64_t ns = left(now_ns, until_ns);
    const uint64_t min_ns = engine->config.wait_min_ns;
    if (min_ns == 0 || engine->waiting.mode != WSR_WAIT_THROUGHPUT)
        return wsr_ring_wait(engine->ring, ns);
    if (ns >= 0 && (uint64_t)ns <= min_ns)
        return wsr_ring_wait_many(engine->ring, FULLER, ns);
    int error = wsr_ring_wait_many(engine->ring, FULLER, (int64_t)min_ns);
    if (error < 0 || wsr_ring_ready(engine->ring))
        return error;
    return wsr_ring_wait(engine->ring, left(wsr_sys_now_ns(), until_ns));
}

static int spin_then_block(wsr_engine *engine, uint64_t until_ns)
{
    int error = wsr_ring_submit(engine->ring);
    if (error < 0)
        return error;
    uint64_t now_ns = engine->now_ns;
    const uint64_t end_ns = wsr_ns_add(now_ns, engine->config.spin_ns);
    if (spin(engine, until_ns < end_ns ? until_ns : end_ns, &now_ns))
        return wsr_ring_submit(engine->ring); /* lets complete what has arrived */
    return now_ns < until_ns ? block(engine, now_ns, until_ns) : WSR_OK;
}

int wsr_wait(wsr_engine *engine, uint64_t deadline_ns)
{
    if (engine->pending.n > 0 || engine->shaking.n > 0 || engine->wake_owed || wsr_input_owes_turn(engine))
        return wsr_ring_submit(engine->ring);
    const uint64_t next_ns = wsr_wheel_next_ns(&engine->wheel);
    const uint64_t until_ns = next_ns < deadline_ns ? next_ns : deadline_ns;
    if (until_ns <= engine->now_ns)
        return wsr_ring_submit(engine->ring);
    if (wsr_wait_spins(&engine->waiting, engine->config.spin_ns))
        return spin_then_block(engine, until_ns);
    return block(engine, engine->now_ns, until_ns);
}
