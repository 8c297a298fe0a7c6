/*
 * tests/sim/fake_uring.c - the functions of liburing 2.3 that engine/ring calls, on rings in plain memory.
 *
 * The layout that liburing's inline functions work on (struct io_uring, heads, tails, flags) is the real one; only who
 * stands behind it is not. An enter takes what was submitted, runs the work that waits (shuffled, if the knobs say so),
 * lets overflowed completions in, and, if it is to wait, moves the clock.
 */
#include "sim/kernel.h"

#include <stdlib.h>

#define WORK_ROUNDS 4u

struct sim_ring *sim_ring_of(const struct io_uring *io)
{
    for (struct sim_ring *ring = sim_world.rings; ring != NULL; ring = ring->next)
        if (ring->io == io)
            return ring;
    sim_violation("a ring that is not open");
}

/* ---- completions ---- */

static void record(const struct sim_ring *ring, uint64_t user_data, int32_t res, uint32_t flags)
{
    sim_stats.completions++;
    uint64_t value = user_data ^ ((uint64_t)(uint32_t)res << 32 | flags) * 0x9e3779b97f4a7c15u ^ sim_world.now_ns ^ ring->index;
    sim_world.digest = sim_mix(sim_world.digest + value);
    sim_note("ring %u: completion %llx res %d flags %x", ring->index, (unsigned long long)user_data, res, flags);
}

void sim_event_signal(struct sim_file *event)
{
    event->count++;
    sim_file_wake(event);
}

static void tell_event(struct sim_ring *ring)
{
    if (ring->event != NULL && (*ring->io->cq.kflags & IORING_CQ_EVENTFD_DISABLED) == 0)
        sim_event_signal(ring->event);
}

static bool put_completion(struct sim_ring *ring, uint64_t user_data, int32_t res, uint32_t flags)
{
    struct io_uring_cq *cq = &ring->io->cq;
    unsigned tail = *cq->ktail;
    if (tail - *cq->khead > cq->ring_entries)
        sim_violation("ring %u: its CQ head is beyond its tail", ring->index);
    if (tail - *cq->khead == cq->ring_entries)
        return false;
    struct io_uring_cqe *cqe = &cq->cqes[tail & cq->ring_mask];
    cqe->user_data = user_data;
    cqe->res = res;
    cqe->flags = flags;
    *cq->ktail = tail + 1;
    return true;
}

bool sim_post(struct sim_ring *ring, uint64_t user_data, int32_t res, uint32_t flags)
{
    /* What has overflowed comes first: order is kept. */
    if (ring->overflow_n > 0 || !put_completion(ring, user_data, res, flags))
        return false;
    record(ring, user_data, res, flags);
    tell_event(ring);
    return true;
}

static void set_sq_flag(struct sim_ring *ring, unsigned flag, bool on)
{
    *ring->io->sq.kflags = on ? *ring->io->sq.kflags | flag : *ring->io->sq.kflags & ~flag;
}

void sim_post_last(struct sim_ring *ring, uint64_t user_data, int32_t res, uint32_t flags)
{
    if (sim_post(ring, user_data, res, flags))
        return;
    sim_stats.overflows++;
    record(ring, user_data, res, flags);
    if (ring->overflow_first + ring->overflow_n == ring->overflow_cap) {
        ring->overflow_cap = ring->overflow_cap == 0 ? 64 : ring->overflow_cap * 2;
        ring->overflow = realloc(ring->overflow, ring->overflow_cap * sizeof *ring->overflow);
        if (ring->overflow == NULL)
            abort();
    }
    struct sim_overflow entry = {user_data, res, flags};
    ring->overflow[ring->overflow_first + ring->overflow_n++] = entry;
    set_sq_flag(ring, IORING_SQ_CQ_OVERFLOW, true);
    tell_event(ring);
}

static void let_overflow_in(struct sim_ring *ring)
{
    while (ring->overflow_n > 0) {
        const struct sim_overflow *entry = &ring->overflow[ring->overflow_first];
        if (!put_completion(ring, entry->user_data, entry->res, entry->flags))
            return;
        ring->overflow_first++;
        ring->overflow_n--;
    }
    ring->overflow_first = 0;
    set_sq_flag(ring, IORING_SQ_CQ_OVERFLOW, false);
}

/* ---- work ---- */

void sim_work_add(struct sim_op *op)
{
    struct sim_ring *ring = op->ring;
    if (op->queued)
        return;
    if (ring->work_n == ring->work_cap) {
        ring->work_cap = ring->work_cap == 0 ? 64 : ring->work_cap * 2;
        ring->work = realloc(ring->work, ring->work_cap * sizeof(struct sim_op *));
        if (ring->work == NULL)
            abort();
    }
    op->queued = true;
    ring->work[ring->work_n++] = op;
    if (ring->work_n > 1)
        return;
    sim_world.busy_rings++;
    set_sq_flag(ring, IORING_SQ_TASKRUN, true);
    tell_event(ring);
}

static void run_work(struct sim_ring *ring)
{
    for (unsigned round = 0; ring->work_n > 0 && round < WORK_ROUNDS; round++) {
        if (ring->work_n > 1 && sim_chance(sim_knobs.reorder_percent)) {
            sim_stats.reordered++;
            for (unsigned i = ring->work_n - 1; i > 0; i--) {
                unsigned j = (unsigned)sim_below(i + 1);
                struct sim_op *op = ring->work[i];
                ring->work[i] = ring->work[j];
                ring->work[j] = op;
            }
        }
        unsigned n = ring->work_n; /* what they queue in turn comes behind */
        for (unsigned i = 0; i < n; i++)
            sim_op_run(ring->work[i]);
        memmove(ring->work, ring->work + n, (ring->work_n - n) * sizeof(struct sim_op *));
        ring->work_n -= n;
        if (ring->work_n == 0) {
            sim_world.busy_rings--;
            set_sq_flag(ring, IORING_SQ_TASKRUN, false);
        }
    }
}

/* ---- entering ---- */

static int submit(struct sim_ring *ring)
{
    struct io_uring_sq *sq = &ring->io->sq;
    *sq->ktail = sq->sqe_head = sq->sqe_tail;
    unsigned queued = *sq->ktail - *sq->khead, taken = queued;
    if (queued > sq->ring_entries)
        sim_violation("ring %u: its SQ tail is beyond its head", ring->index);
    if (queued > 0 && sim_chance(sim_knobs.partial_submit_percent)) {
        sim_stats.partial_submits++;
        taken = (unsigned)sim_below(queued); /* none is what the kernel calls EAGAIN */
        if (taken == 0 && queued < sq->ring_entries)
            return -EAGAIN;
        if (taken == 0) /* a full queue would leave the application no way on */
            taken = 1;
    }
    sim_note("ring %u: enter, %u of %u queued are taken", ring->index, taken, queued);
    for (unsigned i = 0; i < taken; i++) {
        struct io_uring_sqe sqe = sq->sqes[*sq->khead & sq->ring_mask];
        ++*sq->khead;
        memset(&sq->sqes[(*sq->khead - 1) & sq->ring_mask], 0xdb, sizeof sqe); /* ours no more */
        sim_op_submit(ring, &sqe);
    }
    return (int)taken;
}

static bool has_completion(const struct sim_ring *ring)
{
    return *ring->io->cq.ktail != *ring->io->cq.khead;
}

/* Runs what can run now: events that are due and the work they made. */
static void settle(struct sim_ring *ring)
{
    sim_run_due();
    run_work(ring);
    let_overflow_in(ring);
}

/* Lets time pass until this ring has a completion, another one has got work, or the deadline. */
static int wait_for_one(struct sim_ring *ring, uint64_t deadline_ns)
{
    unsigned others = sim_world.busy_rings - (ring->work_n > 0);
    while (!has_completion(ring)) {
        if (ring->work_n > 0) {
            settle(ring);
            continue;
        }
        if (sim_chance(sim_knobs.interrupt_percent)) {
            sim_stats.interrupts++;
            return -EINTR;
        }
        if (sim_world.busy_rings > others) /* as if a signal had come: its owner is to have its turn */
            return -EINTR;
        uint64_t next_ns;
        bool any = sim_event_next(&next_ns);
        if (!any && deadline_ns == UINT64_MAX)
            sim_violation("ring %u waits for ever, and nothing is to come", ring->index);
        if (!any || next_ns > deadline_ns) {
            sim_run_until(deadline_ns);
            return -ETIME;
        }
        sim_run_until(next_ns);
        settle(ring);
    }
    return 0;
}

static int enter(struct sim_ring *ring, bool wait, uint64_t deadline_ns)
{
    sim_stats.enters++;
    if (!ring->enabled)
        return -EBADFD;
    int error = sim_injected(SIM_ENTER);
    if (error != 0)
        return -error;
    sim_buffers_look(ring);
    sim_run_due();
    int taken = submit(ring);
    settle(ring);
    /* With entries left over it does not wait. */
    if (!wait || has_completion(ring) || *ring->io->sq.ktail != *ring->io->sq.khead)
        return taken;
    error = wait_for_one(ring, deadline_ns);
    return taken > 0 || error == 0 ? taken : error;
}

int io_uring_submit_and_get_events(struct io_uring *io)
{
    return enter(sim_ring_of(io), false, 0);
}

/* Only for rings that a kernel thread polls, which there are none of here. */
int io_uring_submit(struct io_uring *io)
{
    return enter(sim_ring_of(io), false, 0);
}

int __io_uring_sqring_wait(struct io_uring *io)
{
    (void)sim_ring_of(io);
    return 0;
}

int io_uring_submit_and_wait_timeout(struct io_uring *io, struct io_uring_cqe **cqe, unsigned wait_nr, struct __kernel_timespec *ts,
                                     sigset_t *mask)
{
    struct sim_ring *ring = sim_ring_of(io);
    (void)mask;
    uint64_t deadline_ns = UINT64_MAX;
    if (ts != NULL)
        deadline_ns = sim_world.now_ns + (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec;
    if (deadline_ns < sim_world.now_ns)
        deadline_ns = UINT64_MAX - 1;
    int result = enter(ring, wait_nr > 0, deadline_ns);
    *cqe = has_completion(ring) ? &io->cq.cqes[*io->cq.khead & io->cq.ring_mask] : NULL;
    return result;
}

int io_uring_enter(unsigned fd, unsigned to_submit, unsigned min_complete, unsigned flags, sigset_t *mask)
{
    const struct sim_file *file = sim_file_of((int)fd);
    (void)flags, (void)mask;
    if (file == NULL || file->kind != SIM_FILE_RING)
        return -EBADF;
    if (to_submit != 0 || min_complete != 0)
        sim_violation("io_uring_enter is for probing only");
    int error = sim_injected(SIM_ENTER);
    return error != 0 ? -error : file->ring->enabled ? 0 : -EBADFD;
}
