/*
 * tests/sim/ops.c - the life of io_uring's operations: tried when submitted, armed if they cannot be done, tried again when
 * their file changes, and completed. What each of them tries is in tries.c.
 *
 * As in the kernel an operation that is woken does not run at once: it is put on its ring's work list and runs when the
 * ring is entered.
 */
#include "sim/kernel.h"

#include <stdlib.h>

static struct sim_op *free_ops, **every_op;
static size_t ops_n, ops_cap;

static const struct {
    uint8_t opcode;
    enum sim_call call;
    const char *name;
} kinds[] = {
    {IORING_OP_RECV, SIM_RECEIVE, "receive"}, {IORING_OP_RECVMSG, SIM_RECEIVE, "recvmsg"},
    {IORING_OP_SEND, SIM_SEND, "send"},       {IORING_OP_SENDMSG, SIM_SEND, "sendmsg"},
    {IORING_OP_SEND_ZC, SIM_SEND, "send_zc"}, {IORING_OP_SENDMSG_ZC, SIM_SEND, "sendmsg_zc"},
    {IORING_OP_ACCEPT, SIM_ACCEPT, "accept"}, {IORING_OP_CONNECT, SIM_CONNECT, "connect"},
    {IORING_OP_POLL_ADD, SIM_POLL, "poll"},   {IORING_OP_TIMEOUT, SIM_TIMER, "timer"}, {IORING_OP_ASYNC_CANCEL, SIM_CANCEL, "cancel"},
};

static unsigned kind_of(uint8_t opcode)
{
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].opcode == opcode)
            return i;
    sim_violation("opcode %u is none the simulator knows", opcode);
}

/* ---- life ---- */

static struct sim_op *op_new(struct sim_ring *ring, const struct io_uring_sqe *sqe)
{
    struct sim_op *op = free_ops;
    if (op != NULL) {
        free_ops = op->file_next;
    } else {
        op = calloc(1, sizeof *op);
        if (ops_n == ops_cap) {
            ops_cap = ops_cap == 0 ? 256 : ops_cap * 2;
            every_op = realloc(every_op, ops_cap * sizeof(struct sim_op *));
        }
        if (op == NULL || every_op == NULL)
            abort();
        every_op[ops_n++] = op;
    }
    uint32_t generation = op->generation;
    memset(op, 0, sizeof *op);
    op->generation = generation + 1;
    op->ring = ring;
    op->opcode = sqe->opcode;
    op->user_data = sqe->user_data;
    op->ring_next = ring->ops;
    if (op->ring_next != NULL)
        op->ring_next->ring_prev = op;
    ring->ops = op;
    ring->ops_n++;
    sim_stats.operations++;
    return op;
}

static void hold_file(struct sim_op *op, struct sim_file *file)
{
    op->file = file;
    file->armed++;
    op->file_next = file->ops;
    if (op->file_next != NULL)
        op->file_next->file_prev = op;
    file->ops = op;
}

static void let_go_of_file(struct sim_op *op)
{
    if (op->file == NULL)
        return;
    if (op->file_prev != NULL)
        op->file_prev->file_next = op->file_next;
    else
        op->file->ops = op->file_next;
    if (op->file_next != NULL)
        op->file_next->file_prev = op->file_prev;
    if (sim_is_send(op))
        op->file->sends--;
    sim_file_unarm(op->file);
    op->file = NULL;
}

static void op_free(struct sim_op *op)
{
    struct sim_ring *ring = op->ring;
    op->generation++;
    if (op->ring_prev != NULL)
        op->ring_prev->ring_next = op->ring_next;
    else
        ring->ops = op->ring_next;
    if (op->ring_next != NULL)
        op->ring_next->ring_prev = op->ring_prev;
    ring->ops_n--;
    let_go_of_file(op);
    op->file_next = free_ops;
    free_ops = op;
}

void sim_ops_reset_all(void)
{
    free_ops = NULL;
    for (size_t i = 0; i < ops_n; i++) {
        every_op[i]->generation++;
        every_op[i]->file_next = free_ops;
        free_ops = every_op[i];
    }
}

/* ---- payload that flies must not change ---- */

static uint64_t mix_in(uint64_t sum, const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
    return sum ^ sum >> 29;
}

/* Four sums side by side: each step of one waits for its multiplication. */
static uint64_t checksum(const struct sim_op *op)
{
    uint64_t sums[4] = {op->total, 1, 2, 3};
    for (unsigned i = 0; i < op->slices_n; i++) {
        const uint8_t *at = op->slices[i].iov_base;
        size_t left = op->slices[i].iov_len;
        for (; left >= 32; at += 32, left -= 32)
            for (unsigned k = 0; k < 4; k++)
                sums[k] = mix_in(sums[k], at + 8 * k);
        for (; left >= 8; at += 8, left -= 8)
            sums[0] = mix_in(sums[0], at);
        for (; left > 0; at++, left--)
            sums[0] = (sums[0] ^ *at) * 0x100000001b3u;
    }
    return sums[0] ^ sim_mix(sums[1] ^ sim_mix(sums[2] ^ sim_mix(sums[3])));
}

/* ---- completing ---- */

/*
 * What is sent without copying is read until its last byte is acknowledged, or the socket is gone: the bytes stay until a second
 * completion says so, at any time later, when the descriptor may be closed. One that failed has it too, or has not.
 */
static bool notifies_later(struct sim_op *op, int32_t res, uint32_t cflags)
{
    if (!sim_is_zero_copy(op) || (cflags & IORING_CQE_F_NOTIF) != 0 || (res < 0 && sim_chance(50)))
        return false;
    uint64_t delay_ns = sim_up_to(sim_knobs.delay_ns_max) + sim_up_to(sim_knobs.latency_ns_max);
    if (sim_chance(sim_knobs.late_notification_percent)) {
        sim_stats.late_notifications++;
        delay_ns += sim_up_to(SIM_NOTIFICATION_NS_MAX);
    }
    sim_stats.zero_copies++;
    let_go_of_file(op);
    sim_post_last(op->ring, op->user_data, res, IORING_CQE_F_MORE);
    sim_op_end_later(op, 0, IORING_CQE_F_NOTIF, delay_ns);
    return true;
}

void sim_op_end(struct sim_op *op, int32_t res, uint32_t cflags)
{
    if (notifies_later(op, res, cflags))
        return;
    if (op->slices_n > 0 && checksum(op) != op->checksum)
        sim_violation("payload of send %llx changed while it was under way", (unsigned long long)op->user_data);
    struct sim_ring *ring = op->ring;
    uint64_t user_data = op->user_data;
    op_free(op); /* first: what the application sees completed holds nothing any more */
    sim_post_last(ring, user_data, res, cflags);
}

/* Decided, but told later: by an event, or when the ring is entered next. */
void sim_op_end_later(struct sim_op *op, int32_t res, uint32_t cflags, uint64_t delay_ns)
{
    op->state = SIM_ENDING;
    op->res = res;
    op->cflags = cflags;
    op->generation++;
    if (delay_ns > 0)
        sim_event(SIM_EVENT_OP, sim_world.now_ns + delay_ns, op, op->generation);
    else
        sim_work_add(op);
}

/* ---- armed ---- */

bool sim_op_ready(const struct sim_op *op)
{
    const struct sim_file *file = op->file;
    if (file == NULL)
        return true;
    switch (file->kind) {
    case SIM_FILE_LISTENER:
        return file->backlog_n > 0;
    case SIM_FILE_EVENT:
        return file->count > 0;
    case SIM_FILE_SOCKET:
        if (file->side == NULL)
            return op->opcode != IORING_OP_POLL_ADD;
        return sim_is_send(op) ? sim_writable(file->side) : sim_readable(file->side);
    default:
        return false;
    }
}

static void schedule(struct sim_op *op)
{
    uint64_t delay_ns = sim_up_to(sim_knobs.delay_ns_max);
    op->generation++;
    if (delay_ns == 0) {
        op->state = SIM_QUEUED;
        sim_work_add(op);
        return;
    }
    op->state = SIM_SCHEDULED;
    sim_stats.delayed++;
    sim_event(SIM_EVENT_OP, sim_world.now_ns + delay_ns, op, op->generation);
}

void sim_op_arm(struct sim_op *op)
{
    op->state = SIM_WAITING;
    if (sim_op_ready(op))
        schedule(op);
}

void sim_file_wake(struct sim_file *file)
{
    for (struct sim_op *op = file->ops; op != NULL; op = op->file_next)
        if (op->state == SIM_WAITING && op->opcode != IORING_OP_CONNECT && sim_op_ready(op))
            schedule(op);
}

void sim_op_event(struct sim_op *op, uint64_t generation)
{
    if (op->generation != (uint32_t)generation)
        return;
    if (op->state != SIM_ENDING)
        op->state = SIM_QUEUED;
    sim_work_add(op);
}

/* ---- turns ---- */

void sim_op_run(struct sim_op *op)
{
    op->queued = false;
    if (op->state == SIM_ENDING)
        sim_op_end(op, op->res, op->cflags);
    else
        sim_op_try(op);
}

/* ---- submission ---- */

static void take_slices(struct sim_op *op, const struct io_uring_sqe *sqe)
{
    if (op->opcode == IORING_OP_SEND || op->opcode == IORING_OP_SEND_ZC) {
        op->slices[0].iov_base = (void *)(uintptr_t)sqe->addr;
        op->slices[0].iov_len = sqe->len;
        op->slices_n = 1;
    } else {
        const struct msghdr *header = (const struct msghdr *)(uintptr_t)sqe->addr;
        if (header->msg_iovlen > SIM_SLICES_MAX)
            sim_violation("a send of %zu slices", header->msg_iovlen);
        memcpy(op->slices, header->msg_iov, header->msg_iovlen * sizeof(struct iovec));
        op->slices_n = (unsigned)header->msg_iovlen;
    }
    for (unsigned i = 0; i < op->slices_n; i++)
        op->total += op->slices[i].iov_len;
    op->more = (sqe->msg_flags & MSG_MORE) != 0;
    op->wait_all = (sqe->msg_flags & MSG_WAITALL) != 0;
    op->checksum = checksum(op);
    if ((sqe->msg_flags & MSG_NOSIGNAL) == 0)
        sim_violation("a send without MSG_NOSIGNAL");
    if (++op->file->sends > 1)
        sim_violation("two sends at once on descriptor %d", op->file->fd);
}

/* Of recvmsg only what stays armed and brings control data is of use to a ring. */
static void take_control(struct sim_op *op, const struct io_uring_sqe *sqe)
{
    const struct msghdr *header = (const struct msghdr *)(uintptr_t)sqe->addr;
    op->multishot = true;
    op->group = (uint8_t)sqe->buf_group;
    op->control_bytes = (uint32_t)header->msg_controllen;
    if ((sqe->flags & IOSQE_BUFFER_SELECT) == 0 || sqe->buf_group >= SIM_GROUPS || (sqe->ioprio & IORING_RECV_MULTISHOT) == 0 ||
        header->msg_namelen != 0 || header->msg_iovlen != 0)
        sim_violation("a recvmsg that does not stay armed, without buffers, or of more than control data");
}

static void take_deadline(struct sim_op *op, const struct io_uring_sqe *sqe)
{
    const struct __kernel_timespec *deadline = (const struct __kernel_timespec *)(uintptr_t)sqe->addr;
    if ((sqe->timeout_flags & IORING_TIMEOUT_ABS) == 0)
        sim_violation("a relative timer");
    uint64_t at_ns = (uint64_t)deadline->tv_sec * 1000000000u + (uint64_t)deadline->tv_nsec;
    op->state = SIM_SCHEDULED;
    uint64_t delay_ns = sim_up_to(sim_knobs.delay_ns_max);
    sim_event(SIM_EVENT_OP, at_ns < UINT64_MAX - delay_ns ? at_ns + delay_ns : at_ns, op, op->generation);
}

static void prepare(struct sim_op *op, const struct io_uring_sqe *sqe)
{
    switch (op->opcode) {
    case IORING_OP_RECV:
        op->multishot = (sqe->ioprio & IORING_RECV_MULTISHOT) != 0;
        op->len = sqe->len;
        if ((sqe->flags & IOSQE_BUFFER_SELECT) == 0 || sqe->buf_group != 0 || (op->multishot && sqe->len != 0))
            sim_violation("a receive without buffers of group 0");
        break;
    case IORING_OP_RECVMSG:
        take_control(op, sqe);
        break;
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
    case IORING_OP_SEND_ZC:
    case IORING_OP_SENDMSG_ZC:
        take_slices(op, sqe);
        break;
    case IORING_OP_ACCEPT:
        op->multishot = (sqe->ioprio & IORING_ACCEPT_MULTISHOT) != 0;
        if (op->file->kind != SIM_FILE_LISTENER)
            sim_violation("accept on descriptor %d, which does not listen", op->file->fd);
        break;
    case IORING_OP_CONNECT:
        memcpy(&op->address, (const void *)(uintptr_t)sqe->addr, (size_t)sqe->off < sizeof op->address ? (size_t)sqe->off : sizeof op->address);
        break;
    case IORING_OP_POLL_ADD:
        op->multishot = (sqe->len & IORING_POLL_ADD_MULTI) != 0;
        break;
    case IORING_OP_ASYNC_CANCEL:
        op->cancel_target = sqe->addr;
        op->cancel_flags = sqe->cancel_flags;
        break;
    default:
        break;
    }
}

void sim_op_submit(struct sim_ring *ring, const struct io_uring_sqe *sqe)
{
    unsigned kind = kind_of(sqe->opcode);
    bool wants_file = sqe->opcode != IORING_OP_TIMEOUT && sqe->opcode != IORING_OP_ASYNC_CANCEL;
    struct sim_file *file = wants_file ? sim_file_of(sqe->fd) : NULL;
    sim_note("ring %u: %s %llx fd %d", ring->index, kinds[kind].name, (unsigned long long)sqe->user_data, sqe->fd);
    if (ring->restricted && ((ring->operations_allowed >> sqe->opcode & 1) == 0 || (sqe->flags & ~ring->flags_allowed) != 0))
        sim_violation("%s, flags %x, on a ring that was restricted to others", kinds[kind].name, sqe->flags);
    if (wants_file && file == NULL) {
        if (sqe->fd != -1) /* -1 is how the ring itself takes back what it had queued */
            sim_violation("%s on descriptor %d, which is not open", kinds[kind].name, sqe->fd);
        sim_post_last(ring, sqe->user_data, -EBADF, 0);
        return;
    }
    struct sim_op *op = op_new(ring, sqe);
    if (file != NULL)
        hold_file(op, file);
    prepare(op, sqe);
    if (op->opcode == IORING_OP_TIMEOUT) {
        take_deadline(op, sqe);
    } else if ((op->opcode == IORING_OP_RECV || op->opcode == IORING_OP_RECVMSG) && (sqe->ioprio & IORING_RECVSEND_POLL_FIRST) != 0) {
        sim_op_arm(op);
    } else if (op->opcode != IORING_OP_ASYNC_CANCEL && op->opcode != IORING_OP_CONNECT && sim_chance(sim_knobs.delay_percent)) {
        schedule(op);
    } else {
        op->state = SIM_QUEUED; /* it has its turn: what it does to its file must not wake it */
        sim_op_try(op);
    }
}

/* The run is over and everything is forgotten. */
void sim_op_drop_all(struct sim_ring *ring)
{
    ring->ops = NULL;
    ring->ops_n = 0;
}
