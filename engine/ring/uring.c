/*
 * ring/uring.c - ring.h over io_uring: opening, entering the kernel, completions, closing.
 *
 * Not here: the operations (ops.c), set-up and its refusals (probe.c), buffers (arena.c), the table for rings without
 * multishot (oneshot.c). One thread owns a ring from its first submit or wait on: SINGLE_ISSUER is claimed then, not at
 * open.
 */
#include "ring/uring.h"

#include <errno.h>
#include <unistd.h>

#include "base/pool.h"
#include "ring/probe.h"
#include "ring/restrict.h"
#include "ring/sys.h"

#define CLOSE_WAIT_NS 100000000 /* one round of waiting for cancelled operations, ... */
#define CLOSE_ROUNDS 50u        /* ... and how many before the memory is given up for lost rather than unmapped */

static int failed(int error)
{
    errno = -error;
    return WSR_ESYS;
}

/* ---- opening ---- */

static bool config_ok(const struct wsr_ring_config *config)
{
    bool n_ok = (config->buffers & (config->buffers - 1)) == 0 && config->buffers <= WSR_ARENA_BUFFERS_MAX;
    bool bytes_ok = (config->buffer_bytes & (config->buffer_bytes - 1)) == 0 && config->buffer_bytes <= 1u << 30;
    return n_ok && bytes_ok;
}

/* Plain buffers are used up by one receive each, however short: more and smaller ones then. */
static void complete_buffers(const struct wsr_ring_config *config, bool incremental, unsigned *n, unsigned *buffer_bytes)
{
    *n = config->buffers != 0 ? config->buffers : incremental ? 16 : 256;
    *buffer_bytes = config->buffer_bytes != 0 ? config->buffer_bytes : incremental ? 65536 : 16384;
}

static int open_arena(struct wsr_ring *ring, const struct wsr_ring_config *config, bool incremental, int *sys_error)
{
    unsigned n, buffer_bytes;
    complete_buffers(config, incremental, &n, &buffer_bytes);
    const int error = wsr_arena_map(&ring->arena, ring->allocator, n, buffer_bytes, config->map);
    if (error < 0)
        return error;
    *sys_error = wsr_arena_register(&ring->arena, &ring->io, WSR_GROUP_RECEIVE, 0, incremental);
    if (*sys_error == 0)
        return 0;
    wsr_arena_close(&ring->arena, true);
    if (*sys_error == -EINVAL && incremental) /* before 6.12 */
        return open_arena(ring, config, false, sys_error);
    return wsr_probe_refusal(*sys_error);
}

static void complete_queues(const struct wsr_ring_config *config, unsigned *sq_entries, unsigned *cq_entries)
{
    *sq_entries = config->sq_entries != 0 ? config->sq_entries : 256;
    *cq_entries = config->cq_entries != 0 ? config->cq_entries : 4096;
    if (*cq_entries < *sq_entries) /* the kernel's rule */
        *cq_entries = *sq_entries;
}

static int open_parts(struct wsr_ring *ring, const struct wsr_ring_config *config, struct wsr_ring_report *report, int *sys_error)
{
    unsigned sq_entries, cq_entries;
    complete_queues(config, &sq_entries, &cq_entries);
    *sys_error = config->sqpoll ? wsr_probe_open_polled(&ring->io, sq_entries, cq_entries, config->sqpoll_idle_ms, config->sqpoll_cpu)
                                : wsr_probe_open(&ring->io, sq_entries, cq_entries, config->without, &report->defer_taskrun);
    if (*sys_error != 0)
        return wsr_probe_refusal(*sys_error);

    int error = open_arena(ring, config, (config->without & WSR_RING_WITHOUT_INCREMENTAL) == 0, sys_error);
    if (error == 0) {
        ring->scratch = ring->allocator->alloc(ring->allocator->context, ring->io.sq.ring_entries * sizeof *ring->scratch);
        error = ring->scratch == NULL ? WSR_ENOMEM : 0;
    }
    if (error != 0) {
        io_uring_queue_exit(&ring->io);
        wsr_arena_close(&ring->arena, true);
        return error;
    }
    complete_buffers(config, false, &ring->stamped_n, &ring->stamped_bytes);
    ring->multishot = (config->without & WSR_RING_WITHOUT_MULTISHOT) == 0;
    ring->zero_copy = config->zero_copy;
    ring->cq_head = *ring->io.cq.khead;
    report->incremental = ring->arena.incremental;
    report->multishot = ring->multishot;
    return 0;
}

int wsr_ring_open(struct wsr_ring **out, const struct wsr_ring_config *config, struct wsr_ring_report *report)
{
    static const struct wsr_ring_config defaults;
    struct wsr_ring_report unasked;
    if (report == NULL)
        report = &unasked;
    memset(report, 0, sizeof *report);
    if (config == NULL)
        config = &defaults;
    *out = NULL;

    const wsr_allocator *allocator = config->allocator != NULL ? config->allocator : &wsr_allocator_default;
    struct wsr_ring *ring = NULL;
    int sys_error = 0;
    if (!config_ok(config)) {
        report->error = WSR_ECONFIG;
    } else if ((ring = allocator->alloc(allocator->context, sizeof *ring)) == NULL) {
        report->error = WSR_ENOMEM;
    } else {
        memset(ring, 0, sizeof *ring);
        ring->allocator = allocator;
        ring->event_fd = -1;
        wsr_oneshot_init(&ring->oneshot, allocator);
        report->error = open_parts(ring, config, report, &sys_error);
        report->sys_errno = -sys_error;
    }
    if (report->error != 0 && ring != NULL)
        allocator->release(allocator->context, ring, sizeof *ring);
    else
        *out = ring;
    return report->error;
}

/* ---- entering the kernel ---- */

/* SINGLE_ISSUER binds the ring to the thread that enables it; the registered descriptor is also a thread's own. */
static int claim(struct wsr_ring *ring)
{
    (void)wsr_restrict(&ring->io, ring->zero_copy); /* a kernel or sandbox that refuses has a ring that can do more, not one that cannot be used */
    int error = wsr_uring_enable(&ring->io);
    if (error != 0)
        return failed(error);
    (void)io_uring_register_ring_fd(&ring->io); /* saves a look-up per enter; without it all works the same */
    ring->claimed = true;
    ring->pid = getpid();
    return 0;
}

static bool taken_all(const struct wsr_ring *ring)
{
    return ring->cq_head == io_uring_smp_load_acquire(ring->io.cq.ktail);
}

/* Shows the kernel what was taken and given back: completions, then buffers. */
static int publish(struct wsr_ring *ring)
{
    if (!ring->claimed) {
        int error = claim(ring);
        if (error != 0)
            return error;
    }
    io_uring_smp_store_release(ring->io.cq.khead, ring->cq_head);
    wsr_arena_publish(&ring->arena);
    wsr_arena_publish(&ring->stamped);
    return 0;
}

/* Does a thread of the kernel's submit? */
static bool is_polled(const struct wsr_ring *ring)
{
    return (ring->io.flags & IORING_SETUP_SQPOLL) != 0;
}

/* Is there something to submit? What a polling kernel was shown it takes by itself. */
static bool has_queued(const struct wsr_ring *ring)
{
    const struct io_uring_sq *sq = &ring->io.sq;
    return is_polled(ring) ? sq->sqe_tail != sq->sqe_head : io_uring_sq_ready(&ring->io) != 0;
}

/* Is there finished work that only an enter brings in? */
static bool work_waits(const struct wsr_ring *ring)
{
    return (IO_URING_READ_ONCE(*ring->io.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

/* Submits and lets finished work complete; waits for `least` completions if wait_ns is not 0 (-1: for ever). */
static int enter(struct wsr_ring *ring, unsigned least, int64_t wait_ns)
{
    bool foreign_loop = ring->event_fd >= 0;
    if (foreign_loop) /* what completes inside this call is no news to the other loop */
        (void)io_uring_cq_eventfd_toggle(&ring->io, false);
    ring->enters++;
    int n;
    if (wait_ns == 0) {
        n = is_polled(ring) && !work_waits(ring) ? io_uring_submit(&ring->io) : io_uring_submit_and_get_events(&ring->io);
    } else {
        struct io_uring_cqe *unused;
        struct __kernel_timespec limit = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
        n = io_uring_submit_and_wait_timeout(&ring->io, &unused, least, wait_ns < 0 ? NULL : &limit, NULL);
    }
    if (foreign_loop) {
        (void)io_uring_cq_eventfd_toggle(&ring->io, true);
        if (work_waits(ring)) /* came while the eventfd was off */
            wsr_sys_eventfd_signal(ring->event_fd);
    }
    /* After a passing failure the entries are still queued and the completions still there: the next enter goes on. */
    if (n >= 0 || n == -ETIME || n == -EINTR || n == -EBUSY || n == -EAGAIN)
        return 0;
    return failed(n);
}

struct io_uring_sqe *wsr_ring_free_entry(struct wsr_ring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->io);
    if (sqe != NULL)
        return sqe;
    if (publish(ring) != 0 || enter(ring, 0, 0) != 0)
        return NULL;
    if (is_polled(ring)) /* the kernel's thread takes them in its own time */
        (void)io_uring_sqring_wait(&ring->io);
    sqe = io_uring_get_sqe(&ring->io);
    if (sqe == NULL)
        errno = EAGAIN;
    return sqe;
}

int wsr_ring_settle(struct wsr_ring *ring)
{
    int error = publish(ring);
    if (error == 0 && !ring->multishot)
        error = wsr_ring_rearm(ring);
    if (ring->event_fd >= 0)
        wsr_sys_eventfd_clear(ring->event_fd);
    return error;
}

int wsr_ring_submit(struct wsr_ring *ring)
{
    int error = wsr_ring_settle(ring);
    if (error != 0 || (!has_queued(ring) && !work_waits(ring)))
        return error;
    return enter(ring, 0, 0);
}

int wsr_ring_wait_many(struct wsr_ring *ring, unsigned n, int64_t timeout_ns)
{
    if (timeout_ns == 0 || !taken_all(ring))
        return wsr_ring_submit(ring);
    int error = wsr_ring_settle(ring);
    return error != 0 ? error : enter(ring, n, timeout_ns);
}

int wsr_ring_wait(struct wsr_ring *ring, int64_t timeout_ns)
{
    return wsr_ring_wait_many(ring, 1, timeout_ns);
}

bool wsr_ring_ready(const struct wsr_ring *ring)
{
    return !taken_all(ring) || work_waits(ring);
}

unsigned wsr_ring_untaken(const struct wsr_ring *ring)
{
    return io_uring_smp_load_acquire(ring->io.cq.ktail) - ring->cq_head;
}

/* ---- completions ---- */

/* Without multishot: gives the completion its tag, arms again what goes on. False: nobody's completion. */
static bool trace_back(struct wsr_ring *ring, const struct io_uring_cqe *cqe, struct wsr_completion *out)
{
    uint32_t index = (uint32_t)cqe->user_data;
    struct wsr_oneshot_op *op = &ring->oneshot.ops[index];
    bool goes_on = op->kind == WSR_ONESHOT_ACCEPT ? cqe->res >= 0 : cqe->res > 0;
    bool silent = op->kind == WSR_ONESHOT_SILENT;
    out->tag = op->tag;
    if (goes_on && !op->cancelled && op->kind != WSR_ONESHOT_ONCE && !silent) {
        out->flags |= WSR_COMPLETION_MORE;
        op->wait_first = (cqe->flags & IORING_CQE_F_SOCK_NONEMPTY) == 0;
        wsr_oneshot_rearm(&ring->oneshot, index);
        ring->in_flight++; /* balances the caller's decrement: it stays armed */
    } else if ((cqe->flags & IORING_CQE_F_MORE) == 0) { /* what was sent without copying has a notification to come */
        wsr_oneshot_remove(&ring->oneshot, index);
    }
    return !silent;
}

static struct wsr_arena *arena_of(struct wsr_ring *ring, uint32_t buffer)
{
    return buffer < ring->arena.n ? &ring->arena : &ring->stamped;
}

bool wsr_ring_next(struct wsr_ring *ring, struct wsr_completion *out)
{
    while (!taken_all(ring)) {
        const struct io_uring_cqe *cqe = &ring->io.cq.cqes[ring->cq_head & ring->io.cq.ring_mask];
        ring->cq_head++;
        out->tag = cqe->user_data;
        out->res = cqe->res;
        out->flags = 0;
        out->ptr = NULL;
        out->buffer = 0;
        out->stamp = NULL;
        if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
            out->buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
            struct wsr_arena *arena = arena_of(ring, out->buffer);
            out->ptr = wsr_arena_take(arena, out->buffer, cqe->res, (cqe->flags & WSR_CQE_F_BUF_MORE) != 0);
            out->flags |= out->ptr != NULL ? WSR_COMPLETION_BYTES : 0;
            if (arena == &ring->stamped && out->ptr != NULL)
                wsr_stamped_take(ring, cqe, out);
        }
        if ((cqe->flags & IORING_CQE_F_MORE) != 0)
            out->flags |= WSR_COMPLETION_MORE;
        else
            ring->in_flight--;
        if (ring->multishot || trace_back(ring, cqe, out))
            return true;
    }
    return false;
}

void wsr_ring_hold(struct wsr_ring *ring, uint32_t buffer)
{
    wsr_arena_hold(arena_of(ring, buffer), buffer);
}

void wsr_ring_release(struct wsr_ring *ring, uint32_t buffer)
{
    wsr_arena_release(arena_of(ring, buffer), buffer);
}

unsigned wsr_ring_buffers_free(const struct wsr_ring *ring, bool stamped)
{
    return stamped ? ring->stamped.free : ring->arena.free;
}

unsigned wsr_ring_buffers(const struct wsr_ring *ring)
{
    return ring->arena.n + ring->stamped.n;
}

/*
 * Not io_uring's own descriptor: an epoll that watches it is not woken by work that waits for DEFER_TASKRUN's enter
 * (seen on 6.18; poll(2) sees it, having looked). A registered eventfd is signalled for that too.
 */
void wsr_ring_remind(struct wsr_ring *ring, bool anyway)
{
    if (ring->event_fd >= 0 && (anyway || !taken_all(ring)))
        wsr_sys_eventfd_signal(ring->event_fd);
}

int wsr_ring_fd(struct wsr_ring *ring)
{
    if (ring->event_fd >= 0)
        return ring->event_fd;
    int fd = wsr_sys_eventfd();
    if (fd < 0)
        return fd;
    int error = io_uring_register_eventfd(&ring->io, fd);
    if (error != 0) {
        wsr_sys_close(fd);
        return error;
    }
    wsr_sys_eventfd_signal(fd); /* what came before cannot have signalled it */
    ring->event_fd = fd;
    return fd;
}

uint64_t wsr_ring_enters(const struct wsr_ring *ring)
{
    return ring->enters;
}

static size_t arena_bytes(const struct wsr_arena *arena)
{
    return arena->mapped_bytes + arena->n * sizeof *arena->buffers;
}

size_t wsr_ring_memory_bytes(const struct wsr_ring *ring)
{
    size_t queues = ring->io.sq.ring_sz + ring->io.sq.ring_entries * sizeof(struct io_uring_sqe);
    if (ring->io.cq.ring_ptr != ring->io.sq.ring_ptr) /* else one mapping holds both */
        queues += ring->io.cq.ring_sz;
    return sizeof *ring + queues + ring->io.sq.ring_entries * sizeof *ring->scratch + arena_bytes(&ring->arena) +
           arena_bytes(&ring->stamped) + ring->oneshot.cap * sizeof *ring->oneshot.ops;
}

static size_t power_of_two_from(size_t n)
{
    size_t p = 1;
    while (p < n)
        p *= 2;
    return p;
}

size_t wsr_ring_memory_bytes_of(const struct wsr_ring_config *config)
{
    unsigned sq_entries, cq_entries, n, buffer_bytes;
    complete_queues(config, &sq_entries, &cq_entries);
    complete_buffers(config, (config->without & WSR_RING_WITHOUT_INCREMENTAL) == 0, &n, &buffer_bytes);
    const size_t sq = power_of_two_from(sq_entries), cq = power_of_two_from(cq_entries); /* the kernel rounds up */
    const size_t queues = sq * (sizeof(struct io_uring_sqe) + sizeof(uint32_t)) + cq * sizeof(struct io_uring_cqe);
    const size_t pages = 4 * 4096; /* heads, tails and what mappings round up */
    return sizeof(struct wsr_ring) + queues + pages + sq * sizeof(union wsr_ring_scratch) +
           n * (sizeof(struct io_uring_buf) + sizeof(struct wsr_arena_buffer) + (size_t)buffer_bytes);
}

/* ---- closing ---- */

/* Takes whatever has completed and lets go of it. */
static void discard(struct wsr_ring *ring)
{
    struct wsr_completion completion;
    while (wsr_ring_next(ring, &completion)) {
        if ((completion.flags & WSR_COMPLETION_BYTES) != 0)
            wsr_ring_release(ring, completion.buffer);
        for (unsigned i = 0; i < WSR_RING_ACCEPTS_KEPT && i < ring->accepts; i++)
            if (completion.res >= 0 && ring->accept_tags[i] == completion.tag)
                wsr_sys_close(completion.res);
    }
    while (!ring->multishot && wsr_oneshot_next(&ring->oneshot) != WSR_ONESHOT_NONE)
        ring->in_flight--; /* will not be armed again */
}

/* What was queued and not submitted is made to fail (EBADF): what it points to may be gone. */
static void drop_queued(struct wsr_ring *ring)
{
    struct io_uring_sq *sq = &ring->io.sq;
    for (unsigned i = is_polled(ring) ? sq->sqe_head : *sq->khead; i != sq->sqe_tail; i++) {
        struct io_uring_sqe *sqe = &sq->sqes[i & sq->ring_mask];
        uint64_t user_data = sqe->user_data;
        io_uring_prep_recv(sqe, -1, NULL, 0, 0);
        sqe->user_data = user_data;
    }
}

/* True once no operation is under way that could still touch memory. */
static bool disarm(struct wsr_ring *ring)
{
    if (!ring->claimed || ring->pid != getpid()) /* nothing was ever submitted, or not by this process: to its copies nothing comes */
        return true;
    drop_queued(ring);
    discard(ring);
    for (unsigned round = 0; round < CLOSE_ROUNDS && ring->in_flight > 0; round++) {
        (void)!wsr_ring_cancel_all(ring); /* a failure may pass: there are further rounds */
        uint32_t before; /* as long as completions come in, the same cancel is at work */
        do {
            before = ring->in_flight;
            (void)!wsr_ring_wait(ring, CLOSE_WAIT_NS);
            discard(ring);
        } while (ring->in_flight > 0 && ring->in_flight < before);
    }
    return ring->in_flight == 0;
}

bool wsr_ring_close(struct wsr_ring *ring)
{
    if (ring == NULL)
        return true;
    bool quiet = disarm(ring);
    union wsr_ring_scratch *scratch = ring->scratch;
    size_t scratch_bytes = ring->io.sq.ring_entries * sizeof *scratch;
    const wsr_allocator *allocator = ring->allocator;
    io_uring_queue_exit(&ring->io);
    if (ring->event_fd >= 0)
        wsr_sys_close(ring->event_fd);
    wsr_arena_close(&ring->arena, quiet);
    wsr_arena_close(&ring->stamped, quiet);
    wsr_oneshot_free(&ring->oneshot);
    allocator->release(allocator->context, scratch, scratch_bytes);
    allocator->release(allocator->context, ring, sizeof *ring);
    return quiet;
}
