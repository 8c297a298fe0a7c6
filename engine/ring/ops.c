/*
 * ring/ops.c - queueing operations: ring.h's verbs to SQ entries. Nothing here enters the kernel, unless the queue is full.
 */
#include "ring/uring.h"

#include <assert.h>
#include <poll.h>

#define SEND_BYTES_MAX ((size_t)1 << 30)

static union wsr_ring_scratch *scratch_of(struct wsr_ring *ring, const struct io_uring_sqe *sqe)
{
    return &ring->scratch[sqe - ring->io.sq.sqes];
}

static void prepare_accept(struct wsr_ring *ring, struct io_uring_sqe *sqe, int fd)
{
    if (ring->multishot)
        io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
    else
        io_uring_prep_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
}

static void prepare_receive(struct wsr_ring *ring, struct io_uring_sqe *sqe, int fd, bool wait_first)
{
    if (ring->multishot)
        io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    else
        io_uring_prep_recv(sqe, fd, NULL, ring->arena.buffer_bytes, 0);
    if (wait_first)
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = WSR_GROUP_RECEIVE;
}

static void prepare_poll(struct wsr_ring *ring, struct io_uring_sqe *sqe, int fd)
{
    if (ring->multishot)
        io_uring_prep_poll_multishot(sqe, fd, POLLIN | POLLRDHUP);
    else
        io_uring_prep_poll_add(sqe, fd, POLLIN | POLLRDHUP);
}

int wsr_ring_rearm(struct wsr_ring *ring)
{
    while (ring->oneshot.rearm_first != WSR_ONESHOT_NONE) {
        struct io_uring_sqe *sqe = wsr_ring_free_entry(ring);
        if (sqe == NULL)
            return WSR_ESYS;
        uint32_t index = wsr_oneshot_next(&ring->oneshot);
        const struct wsr_oneshot_op *op = &ring->oneshot.ops[index];
        switch ((enum wsr_oneshot_kind)op->kind) {
        case WSR_ONESHOT_ACCEPT:
            prepare_accept(ring, sqe, op->fd);
            break;
        case WSR_ONESHOT_RECEIVE:
            prepare_receive(ring, sqe, op->fd, op->wait_first);
            break;
        default:
            prepare_poll(ring, sqe, op->fd);
            break;
        }
        sqe->user_data = index;
    }
    return 0;
}

/* Begins an operation: an entry with its user_data set, to be prepared by the caller. */
static int begin(struct wsr_ring *ring, enum wsr_oneshot_kind kind, int fd, uint64_t tag, struct io_uring_sqe **out)
{
    struct io_uring_sqe *sqe = wsr_ring_free_entry(ring);
    if (sqe == NULL)
        return WSR_ESYS;
    uint64_t user_data = tag;
    if (!ring->multishot) {
        uint32_t index = wsr_oneshot_add(&ring->oneshot, kind, fd, tag);
        if (index == WSR_ONESHOT_NONE) {
            ring->io.sq.sqe_tail--; /* the entry taken last goes back unused */
            return WSR_ENOMEM;
        }
        user_data = index;
    }
    sqe->user_data = user_data;
    ring->in_flight++;
    *out = sqe;
    return 0;
}

static void remember_accept(struct wsr_ring *ring, uint64_t tag)
{
    for (unsigned i = 0; i < WSR_RING_ACCEPTS_KEPT && i < ring->accepts; i++)
        if (ring->accept_tags[i] == tag)
            return;
    ring->accept_tags[ring->accepts++ % WSR_RING_ACCEPTS_KEPT] = tag;
}

int wsr_ring_accept(struct wsr_ring *ring, int fd, uint64_t tag)
{
    struct io_uring_sqe *sqe;
    int error = begin(ring, WSR_ONESHOT_ACCEPT, fd, tag, &sqe);
    if (error != 0)
        return error;
    prepare_accept(ring, sqe, fd);
    remember_accept(ring, tag);
    return 0;
}

int wsr_ring_receive(struct wsr_ring *ring, int fd, uint64_t tag, bool wait_first)
{
    struct io_uring_sqe *sqe;
    int error = begin(ring, WSR_ONESHOT_RECEIVE, fd, tag, &sqe);
    if (error == 0)
        prepare_receive(ring, sqe, fd, wait_first);
    return error;
}

int wsr_ring_receive_stamped(struct wsr_ring *ring, int fd, uint64_t tag, bool wait_first)
{
    assert(ring->stamped.n > 0);
    struct io_uring_sqe *sqe;
    int error = begin(ring, WSR_ONESHOT_ONCE, fd, tag, &sqe);
    if (error != 0)
        return error;
    wsr_stamped_prepare(sqe, fd, &scratch_of(ring, sqe)->message.header);
    if (wait_first)
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    return 0;
}

/* zero_copy: as the operations of the same shape that do not copy, which differ from the others by nothing else. */
static int send_slices(struct wsr_ring *ring, int fd, uint64_t tag, const wsr_slice *slices, unsigned n, int flags, bool zero_copy)
{
    assert(n >= 1 && n <= WSR_RING_SLICES_MAX);
    struct io_uring_sqe *sqe;
    int error = begin(ring, WSR_ONESHOT_ONCE, fd, tag, &sqe);
    if (error != 0)
        return error;
    if (n == 1) { /* an entry's length has 32 bits, and a result 31: the rest goes with the next one */
        const size_t len = slices[0].len < SEND_BYTES_MAX ? slices[0].len : SEND_BYTES_MAX;
        io_uring_prep_send(sqe, fd, slices[0].ptr, len, flags);
        sqe->opcode = zero_copy ? IORING_OP_SEND_ZC : IORING_OP_SEND;
        return 0;
    }
    union wsr_ring_scratch *scratch = scratch_of(ring, sqe);
    memset(&scratch->message.header, 0, sizeof scratch->message.header);
    for (unsigned i = 0; i < n; i++) {
        scratch->message.slices[i].iov_base = (void *)(uintptr_t)slices[i].ptr; /* the kernel only reads it */
        scratch->message.slices[i].iov_len = slices[i].len;
    }
    scratch->message.header.msg_iov = scratch->message.slices;
    scratch->message.header.msg_iovlen = n;
    io_uring_prep_sendmsg(sqe, fd, &scratch->message.header, (unsigned)flags);
    sqe->opcode = zero_copy ? IORING_OP_SENDMSG_ZC : IORING_OP_SENDMSG;
    return 0;
}

int wsr_ring_send(struct wsr_ring *ring, int fd, uint64_t tag, const wsr_slice *slices, unsigned n)
{
    return send_slices(ring, fd, tag, slices, n, MSG_NOSIGNAL | MSG_WAITALL, false);
}

int wsr_ring_send_last(struct wsr_ring *ring, int fd, uint64_t tag, const wsr_slice *slices, unsigned n)
{
    return send_slices(ring, fd, tag, slices, n, MSG_NOSIGNAL | MSG_WAITALL | MSG_MORE, false);
}

int wsr_ring_send_zero_copy(struct wsr_ring *ring, int fd, uint64_t tag, const wsr_slice *slices, unsigned n)
{
    assert(ring->zero_copy);
    return send_slices(ring, fd, tag, slices, n, MSG_NOSIGNAL | MSG_WAITALL, true);
}

int wsr_ring_connect(struct wsr_ring *ring, int fd, uint64_t tag, const struct sockaddr *address, socklen_t len)
{
    assert(len <= sizeof(struct sockaddr_storage));
    struct io_uring_sqe *sqe;
    int error = begin(ring, WSR_ONESHOT_ONCE, fd, tag, &sqe);
    if (error != 0)
        return error;
    union wsr_ring_scratch *scratch = scratch_of(ring, sqe);
    memcpy(&scratch->address, address, len);
    io_uring_prep_connect(sqe, fd, (const struct sockaddr *)&scratch->address, len);
    return 0;
}

int wsr_ring_poll(struct wsr_ring *ring, int fd, uint64_t tag)
{
    struct io_uring_sqe *sqe;
    int error = begin(ring, WSR_ONESHOT_POLL, fd, tag, &sqe);
    if (error == 0)
        prepare_poll(ring, sqe, fd);
    return error;
}

int wsr_ring_timer(struct wsr_ring *ring, uint64_t deadline_ns, uint64_t tag)
{
    struct io_uring_sqe *sqe;
    int error = begin(ring, WSR_ONESHOT_ONCE, -1, tag, &sqe);
    if (error != 0)
        return error;
    union wsr_ring_scratch *scratch = scratch_of(ring, sqe);
    scratch->deadline.tv_sec = (int64_t)(deadline_ns / 1000000000u);
    scratch->deadline.tv_nsec = (long long)(deadline_ns % 1000000000u);
    io_uring_prep_timeout(sqe, &scratch->deadline, 0, IORING_TIMEOUT_ABS);
    return 0;
}

static int cancel_one(struct wsr_ring *ring, enum wsr_oneshot_kind kind, uint64_t user_data, uint64_t tag)
{
    struct io_uring_sqe *sqe;
    int error = begin(ring, kind, -1, tag, &sqe);
    if (error == 0)
        io_uring_prep_cancel64(sqe, user_data, IORING_ASYNC_CANCEL_ALL);
    return error;
}

int wsr_ring_cancel(struct wsr_ring *ring, uint64_t target, uint64_t tag)
{
    if (ring->multishot)
        return cancel_one(ring, WSR_ONESHOT_ONCE, target, tag);

    /* A shot waiting to be armed again would slip past the cancel. */
    int error = wsr_ring_settle(ring);
    uint32_t index = error == 0 ? wsr_oneshot_find(&ring->oneshot, target, 0) : WSR_ONESHOT_NONE;
    enum wsr_oneshot_kind kind = WSR_ONESHOT_ONCE;
    if (error == 0 && index == WSR_ONESHOT_NONE)
        return cancel_one(ring, kind, UINT64_MAX, tag); /* finds nothing, and says so */
    while (error == 0 && index != WSR_ONESHOT_NONE) {
        ring->oneshot.ops[index].cancelled = true;
        error = cancel_one(ring, kind, index, tag);
        kind = WSR_ONESHOT_SILENT;
        index = wsr_oneshot_find(&ring->oneshot, target, index + 1);
    }
    return error;
}

int wsr_ring_cancel_all(struct wsr_ring *ring)
{
    struct io_uring_sqe *sqe;
    int error = begin(ring, WSR_ONESHOT_ONCE, -1, UINT64_MAX, &sqe);
    if (error == 0)
        io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY);
    return error;
}
