/*
 * tests/sim/fake_setup.c - liburing's functions that open, register and close, on rings in plain memory.
 */
#include "sim/kernel.h"

#define CLAMP_SQ 32768u
#define CLAMP_CQ 65536u

/* What the kernel's side of a ring shares with the application, in one block. */
struct shared {
    unsigned sq_head, sq_tail, sq_mask, sq_entries, sq_flags, sq_dropped;
    unsigned cq_head, cq_tail, cq_mask, cq_entries, cq_flags, cq_overflow;
};

static struct sim_ring *free_rings;
static unsigned ring_index;

static unsigned power_of_two(unsigned n)
{
    unsigned power = 1;
    while (power < n)
        power *= 2;
    return power;
}

static void lay_out(struct sim_ring *ring, unsigned sq_entries, unsigned cq_entries)
{
    struct io_uring *io = ring->io;
    size_t sqes_at = (sizeof(struct shared) + 63u) & ~(size_t)63, cqes_at = sqes_at + sq_entries * sizeof(struct io_uring_sqe);
    size_t bytes = cqes_at + cq_entries * sizeof(struct io_uring_cqe);
    struct shared *shared = ring->memory = malloc(bytes);
    if (shared == NULL)
        abort();
    memset(shared, 0, sqes_at);
    shared->sq_mask = sq_entries - 1;
    shared->sq_entries = sq_entries;
    shared->cq_mask = cq_entries - 1;
    shared->cq_entries = cq_entries;
    /* Counters wrap: begin anywhere. */
    shared->sq_head = shared->sq_tail = (unsigned)sim_random();
    shared->cq_head = shared->cq_tail = sim_chance(50) ? (unsigned)-3 : (unsigned)sim_random();

    memset(io, 0, sizeof *io);
    io->sq.khead = &shared->sq_head;
    io->sq.ktail = &shared->sq_tail;
    io->sq.kring_mask = &shared->sq_mask;
    io->sq.kring_entries = &shared->sq_entries;
    io->sq.kflags = &shared->sq_flags;
    io->sq.kdropped = &shared->sq_dropped;
    io->sq.sqes = (struct io_uring_sqe *)(void *)((uint8_t *)shared + sqes_at);
    io->sq.sqe_head = io->sq.sqe_tail = shared->sq_head;
    io->sq.ring_mask = sq_entries - 1;
    io->sq.ring_entries = sq_entries;
    io->sq.ring_sz = io->cq.ring_sz = bytes;
    io->sq.ring_ptr = io->cq.ring_ptr = shared;
    io->cq.khead = &shared->cq_head;
    io->cq.ktail = &shared->cq_tail;
    io->cq.kring_mask = &shared->cq_mask;
    io->cq.kring_entries = &shared->cq_entries;
    io->cq.kflags = &shared->cq_flags;
    io->cq.koverflow = &shared->cq_overflow;
    io->cq.cqes = (struct io_uring_cqe *)(void *)((uint8_t *)shared + cqes_at);
    io->cq.ring_mask = cq_entries - 1;
    io->cq.ring_entries = cq_entries;
}

int io_uring_queue_init_params(unsigned entries, struct io_uring *io, struct io_uring_params *params)
{
    int error = sim_injected(SIM_SETUP);
    if (error != 0)
        return -error;
    if ((params->flags & IORING_SETUP_SQPOLL) != 0) /* no threads here */
        return -EINVAL;
    bool defer = (params->flags & IORING_SETUP_DEFER_TASKRUN) != 0;
    bool cooperative = (params->flags & IORING_SETUP_COOP_TASKRUN) != 0;
    if ((defer && (sim_knobs.no_defer_taskrun || (params->flags & IORING_SETUP_SINGLE_ISSUER) == 0)) ||
        ((params->flags & IORING_SETUP_TASKRUN_FLAG) != 0 && !defer && !cooperative) || entries == 0)
        return -EINVAL;
    if ((params->flags & IORING_SETUP_R_DISABLED) == 0 || (params->flags & IORING_SETUP_TASKRUN_FLAG) == 0)
        sim_violation("set-up flags %x", params->flags);
    unsigned sq_entries = power_of_two(entries < CLAMP_SQ ? entries : CLAMP_SQ);
    unsigned cq_entries = power_of_two(params->cq_entries < CLAMP_CQ ? params->cq_entries : CLAMP_CQ);
    if (cq_entries < sq_entries)
        return -EINVAL;
    struct sim_file *file = sim_file_new(SIM_FILE_RING);
    if (file == NULL)
        return -EMFILE;

    struct sim_ring *ring = free_rings;
    if (ring != NULL)
        free_rings = ring->next;
    else if ((ring = calloc(1, sizeof *ring)) == NULL)
        abort();
    struct sim_op **work = ring->work; /* kept from the ring before */
    struct sim_overflow *overflow = ring->overflow;
    unsigned work_cap = ring->work_cap, overflow_cap = ring->overflow_cap;
    memset(ring, 0, sizeof *ring);
    ring->work = work;
    ring->work_cap = work_cap;
    ring->overflow = overflow;
    ring->overflow_cap = overflow_cap;
    ring->io = io;
    ring->file = file;
    ring->index = ring_index++;
    file->ring = ring;
    lay_out(ring, sq_entries, cq_entries);
    io->ring_fd = io->enter_ring_fd = file->fd;
    io->flags = params->flags;
    io->features = params->features = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_FAST_POLL |
                                      IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;
    ring->next = sim_world.rings;
    sim_world.rings = ring;
    sim_world.rings_n++;
    return 0;
}

static void forget(struct sim_ring *ring)
{
    struct sim_ring **link = &sim_world.rings;
    while (*link != ring)
        link = &(*link)->next;
    *link = ring->next;
    sim_world.rings_n--;
    sim_world.busy_rings -= ring->work_n > 0;
    free(ring->memory);
    for (unsigned i = 0; i < SIM_GROUPS; i++)
        free(ring->groups[i].buffers);
    ring->next = free_rings;
    free_rings = ring;
}

void io_uring_queue_exit(struct io_uring *io)
{
    struct sim_ring *ring = sim_ring_of(io);
    if (ring->ops_n > 0)
        sim_violation("ring %u closed with %u operations under way", ring->index, ring->ops_n);
    sim_file_close(ring->file);
    forget(ring);
}

void sim_rings_reset_all(void)
{
    while (sim_world.rings != NULL) {
        sim_op_drop_all(sim_world.rings);
        forget(sim_world.rings);
    }
    sim_world.busy_rings = 0;
    ring_index = 0;
}

/* ---- registration ---- */

/* What may be queued from now on: what a kernel refuses is a violation here. */
static int restrict_ring(struct sim_ring *ring, const struct io_uring_restriction *allowed, unsigned n)
{
    if (ring->enabled)
        return -EBADFD;
    ring->restricted = true;
    for (unsigned i = 0; i < n; i++) {
        if (allowed[i].opcode == IORING_RESTRICTION_SQE_OP)
            ring->operations_allowed |= UINT64_C(1) << allowed[i].sqe_op;
        else if (allowed[i].opcode == IORING_RESTRICTION_SQE_FLAGS_ALLOWED)
            ring->flags_allowed |= allowed[i].sqe_flags;
    }
    return 0;
}

int io_uring_register(unsigned fd, unsigned opcode, const void *argument, unsigned n)
{
    struct sim_file *file = sim_file_of((int)fd);
    int error = sim_injected(SIM_REGISTER);
    if (error != 0)
        return -error;
    if (file == NULL || file->kind != SIM_FILE_RING)
        return -EBADF;
    if (opcode == IORING_REGISTER_RESTRICTIONS)
        return restrict_ring(file->ring, argument, n);
    if (opcode != IORING_REGISTER_ENABLE_RINGS)
        sim_violation("io_uring_register %u is none the simulator knows", opcode);
    if (file->ring->enabled)
        return -EBADFD;
    file->ring->enabled = true;
    return 0;
}

int io_uring_register_ring_fd(struct io_uring *io)
{
    (void)sim_ring_of(io);
    int error = sim_injected(SIM_REGISTER);
    return error != 0 ? -error : 1;
}

int io_uring_register_buf_ring(struct io_uring *io, struct io_uring_buf_reg *reg, unsigned flags)
{
    (void)flags;
    int error = sim_injected(SIM_REGISTER);
    return error != 0 ? -error : sim_buffers_register(sim_ring_of(io), reg);
}

int io_uring_register_eventfd(struct io_uring *io, int fd)
{
    struct sim_file *file = sim_file_of(fd);
    int error = sim_injected(SIM_REGISTER);
    if (error != 0)
        return -error;
    if (file == NULL || file->kind != SIM_FILE_EVENT)
        return -EBADF;
    sim_ring_of(io)->event = file;
    return 0;
}

/* Memory is going: not under a ring that may write there. */
void sim_unmapped(const void *ptr, size_t bytes)
{
    for (const struct sim_ring *ring = sim_world.rings; ring != NULL; ring = ring->next) {
        for (unsigned i = 0; i < SIM_GROUPS; i++) {
            const uint8_t *at = (const uint8_t *)ring->groups[i].shared;
            if (at >= (const uint8_t *)ptr && at < (const uint8_t *)ptr + bytes)
                sim_violation("ring %u: its arena is unmapped while it lives", ring->index);
        }
    }
}
