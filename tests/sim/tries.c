/*
 * tests/sim/tries.c - what each operation does when it has its turn: it ends, or is armed again, or (multishot) both
 * completes and goes on, with the chances that the knobs give. The rules are those of the kernel's io_uring/net.c.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* POLLRDHUP */
#endif
#include "base/mark.h"
#include "sim/kernel.h"

#include <poll.h>

#define RETRIES_MAX 32u /* MULTISHOT_MAX_RETRY: how often an armed receive goes on before others have their turn */

static void end(struct sim_op *op, int32_t res)
{
    sim_op_end(op, res, 0);
}

/* Another completion of an armed operation. False: it has become the last one, and the operation is gone. */
static bool goes_on(struct sim_op *op, int32_t res, uint32_t cflags)
{
    bool last = !op->multishot;
    if (!last && sim_chance(sim_knobs.lost_more_percent)) {
        sim_stats.lost_more++;
        last = true;
    }
    /* A full queue ends it too: the completion overflows, and says that nothing follows. */
    if (!last && sim_post(op->ring, op->user_data, res, cflags | IORING_CQE_F_MORE))
        return true;
    sim_op_end(op, res, cflags);
    return false;
}

/*
 * Receives up to len bytes into a buffer that has room for them and, before them, what a recvmsg says. Returns how many bytes of the
 * buffer that took, 0 where none were received: after the bytes comes the end, for good if it was a FIN, or a reset (*error), told once.
 */
static uint32_t fill(const struct sim_op *op, uint8_t *to, uint32_t len, size_t *received, int *error)
{
    struct sim_side *side = op->file->side;
    const uint32_t head = sim_recvmsg_head(op);
    wsr_mark_open(to, head + len); /* nobody else may write there */
    *received = sim_read(side, to + head, len);
    *error = *received == 0 && !side->fin_arrived ? sim_take_error(side) : 0;
    uint32_t filled = (uint32_t)*received;
    if (head > 0 && *error == 0) { /* it says in a buffer, too, that it is the end */
        sim_recvmsg_write(op, to, filled);
        filled += head;
    }
    wsr_mark_closed(to + filled, head + len - filled);
    return filled;
}

static void try_receive(struct sim_op *op)
{
    struct sim_side *side = op->file->side;
    const uint32_t head = sim_recvmsg_head(op);
    for (unsigned retry = 0;; retry++) {
        if (side == NULL) {
            end(op, -ENOTCONN);
            return;
        }
        uint32_t len = op->len;
        unsigned buffer;
        uint8_t *to = sim_buffers_pick(op->ring, op->group, &len, &buffer); /* before it looks for bytes, so ENOBUFS needs none */
        if (to == NULL || (sim_readable(side) && sim_chance(sim_knobs.enobufs_percent))) {
            sim_stats.enobufs += to == NULL;
            sim_stats.enobufs_false += to != NULL;
            end(op, -ENOBUFS);
            return;
        }
        if (len <= head) { /* io_recvmsg_prep_multishot: and the buffer stays where it is */
            end(op, -EFAULT);
            return;
        }
        len -= head;
        if (!sim_readable(side)) {
            op->state = SIM_WAITING;
            return;
        }
        int error = sim_injected(SIM_RECEIVE);
        if (error != 0) {
            end(op, -error);
            return;
        }
        if (sim_knobs.read_bytes_max > 0) {
            uint32_t most = (uint32_t)(1 + sim_below(sim_knobs.read_bytes_max));
            sim_stats.short_reads += most < len;
            len = most < len ? most : len;
        }
        size_t received;
        const uint32_t filled = fill(op, to, len, &received, &error);
        uint32_t cflags = filled > 0 ? IORING_CQE_F_BUFFER | buffer << IORING_CQE_BUFFER_SHIFT : 0;
        if (filled > 0 && sim_buffers_commit(op->ring, op->group, filled))
            cflags |= WSR_CQE_F_BUF_MORE;
        if (received == 0) {
            sim_op_end(op, error != 0 ? -error : (int32_t)filled, cflags);
            return;
        }
        bool more_there = side->arrived > side->read;
        if (more_there)
            cflags |= IORING_CQE_F_SOCK_NONEMPTY;
        if (!goes_on(op, (int32_t)filled, cflags))
            return;
        if (!more_there || retry >= RETRIES_MAX || sim_chance(sim_knobs.delay_percent)) {
            sim_op_arm(op);
            return;
        }
    }
}

/* The slices' bytes from op->done on, as far as the stream takes them. */
static void push_bytes(struct sim_op *op, struct sim_side *side, uint64_t most)
{
    uint64_t skip = op->done;
    for (unsigned i = 0; i < op->slices_n && most > 0; i++) {
        size_t len = op->slices[i].iov_len;
        if (skip >= len) {
            skip -= len;
            continue;
        }
        size_t want = len - (size_t)skip;
        want = want < most ? want : (size_t)most;
        bool rest = op->done + want == op->total;
        size_t n = sim_write(side, (const uint8_t *)op->slices[i].iov_base + skip, want, op->more && rest);
        op->done += n;
        most -= n;
        skip = 0;
        if (n < want)
            return;
    }
}

static void end_send(struct sim_op *op, int32_t res)
{
    uint64_t delay_ns = 0;
    if (sim_chance(sim_knobs.late_send_percent))
        delay_ns = 1 + sim_up_to(sim_knobs.delay_ns_max);
    if (delay_ns == 0) {
        end(op, res);
        return;
    }
    sim_stats.late_sends++;
    sim_op_end_later(op, res, 0, delay_ns);
}

static void try_send(struct sim_op *op)
{
    struct sim_side *side = op->file->side;
    int error = side == NULL || side->shut ? EPIPE : 0;
    if (error == 0 && side->dead) {
        error = op->done > 0 ? EPIPE : sim_take_error(side); /* the bytes that went out are told first, then the error */
        error = error != 0 ? error : EPIPE;
    }
    if (error == 0)
        error = sim_injected(SIM_SEND);
    if (error == 0 && op->done == 0 && sim_is_zero_copy(op) && sim_chance(sim_knobs.no_zero_copy_percent))
        error = sim_chance(50) ? EOPNOTSUPP : ENOMEM;
    if (error != 0) {
        end(op, op->done > 0 ? (int32_t)op->done : -error);
        return;
    }
    uint64_t left = op->total - op->done, most = left;
    if (sim_knobs.write_bytes_max > 0) {
        most = 1 + sim_below(sim_knobs.write_bytes_max);
        sim_stats.short_writes += most < left;
        most = most < left ? most : left;
    }
    push_bytes(op, side, most);
    if (op->done == op->total) {
        end_send(op, (int32_t)op->done);
        return;
    }
    bool cut = op->done > 0 && sim_chance(sim_knobs.short_send_percent);
    sim_stats.short_sends += cut;
    if (op->done > 0 && (cut || !op->wait_all))
        end_send(op, (int32_t)op->done);
    else
        sim_op_arm(op);
}

static void try_accept(struct sim_op *op)
{
    for (;;) {
        /* The kernel reserves the descriptor before it looks whether anybody waits. */
        int limit = sim_knobs.fds_max != 0 ? (int)sim_knobs.fds_max : SIM_FDS;
        if (sim_world.fds_n >= limit) {
            sim_stats.emfile++;
            end(op, -EMFILE);
            return;
        }
        if (op->file->backlog_n == 0) {
            op->state = SIM_WAITING;
            return;
        }
        int error = sim_injected(SIM_ACCEPT);
        if (error != 0) {
            sim_stats.emfile += error == EMFILE;
            end(op, -error);
            return;
        }
        if (!goes_on(op, sim_accept(op->file)->fd, 0))
            return;
    }
}

static void try_connect(struct sim_op *op)
{
    struct sim_file *file = op->file;
    if (op->connected) { /* the handshake is over */
        end(op, file->side->dead ? -ECONNREFUSED : 0);
        return;
    }
    int error = file->side != NULL ? EISCONN : sim_injected(SIM_CONNECT);
    const uint64_t delay_ns = error == 0 ? sim_place_of(&op->address, &error) : 0;
    if (delay_ns == UINT64_MAX) {
        op->state = SIM_SCHEDULED; /* for nothing: only a cancel ends it */
        return;
    }
    struct sim_file *listener = error == 0 ? sim_listener_on(ntohs(op->address.in4.sin_port)) : NULL;
    if (listener == NULL) {
        sim_stats.refused += error == 0;
        sim_op_end_later(op, error != 0 ? -error : -ECONNREFUSED, 0, delay_ns + sim_up_to(sim_knobs.latency_ns_max) * 2);
        return;
    }
    uint64_t at_ns;
    file->side = sim_connect(listener, &op->address, &at_ns);
    file->side->file = file;
    op->connected = true;
    op->state = SIM_SCHEDULED;
    sim_event(SIM_EVENT_OP, at_ns + delay_ns, op, op->generation);
}

/* What a poll of a socket says of the end of its stream. */
static int hang_up(const struct sim_side *side)
{
    if (side == NULL || !(side->fin_arrived || side->dead))
        return 0;
    return side->dead ? POLLRDHUP | POLLHUP | POLLERR : POLLRDHUP;
}

static void try_poll(struct sim_op *op)
{
    if (!sim_op_ready(op)) {
        op->state = SIM_WAITING;
        return;
    }
    int error = sim_injected(SIM_POLL);
    if (error != 0)
        end(op, -error);
    else if (goes_on(op, POLLIN | hang_up(op->file->side), 0))
        op->state = SIM_WAITING; /* edge: the next change wakes it, not what was there already */
}

/* ---- cancelling ---- */

static void cancel_one(struct sim_op *op)
{
    sim_stats.cancelled++;
    sim_stats.cancelled_partly += op->done > 0;
    if (op->opcode == IORING_OP_CONNECT && op->file->side != NULL) { /* the socket stays unconnected */
        struct sim_side *side = op->file->side;
        op->file->side = NULL;
        side->file = NULL;
        sim_side_close(side, true);
    }
    int32_t res = op->done > 0 ? (int32_t)op->done : -ECANCELED; /* what went out is told (io_sendrecv_fail) */
    sim_op_end_later(op, res, 0, sim_chance(50) ? sim_up_to(sim_knobs.delay_ns_max) : 0);
}

static void try_cancel(struct sim_op *op)
{
    bool any = (op->cancel_flags & IORING_ASYNC_CANCEL_ANY) != 0, all = (op->cancel_flags & IORING_ASYNC_CANCEL_ALL) != 0;
    int error = sim_injected(SIM_CANCEL);
    int32_t found = 0;
    for (struct sim_op *next, *other = error == 0 ? op->ring->ops : NULL; other != NULL; other = next) {
        next = other->ring_next;
        bool match = other->state != SIM_ENDING && other->opcode != IORING_OP_ASYNC_CANCEL;
        if (!match || (!any && other->user_data != op->cancel_target))
            continue;
        found++;
        cancel_one(other);
        if (!all && !any)
            break;
    }
    sim_stats.cancelled_late += error == 0 && found == 0;
    if (error != 0)
        end(op, -error);
    else if (!all)
        end(op, found > 0 ? 0 : -ENOENT);
    else
        end(op, found);
}

void sim_op_try(struct sim_op *op)
{
    switch (op->opcode) {
    case IORING_OP_RECV:
    case IORING_OP_RECVMSG:
        try_receive(op);
        break;
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
    case IORING_OP_SEND_ZC:
    case IORING_OP_SENDMSG_ZC:
        try_send(op);
        break;
    case IORING_OP_ACCEPT:
        try_accept(op);
        break;
    case IORING_OP_CONNECT:
        try_connect(op);
        break;
    case IORING_OP_POLL_ADD:
        try_poll(op);
        break;
    case IORING_OP_TIMEOUT:
        end(op, sim_injected(SIM_TIMER) != 0 ? -ENOMEM : -ETIME);
        break;
    default: /* IORING_OP_ASYNC_CANCEL */
        try_cancel(op);
        break;
    }
}
