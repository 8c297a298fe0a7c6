/*
 * ring/stamped.c - receives that bring the kernel's time stamps: a recvmsg that stays armed, and SO_TIMESTAMPING's control data.
 *
 * What such a receive leaves in its buffer (io_uring_prep_recvmsg_multishot(3)):
 *
 *     struct io_uring_recvmsg_out | control data, CONTROL_BYTES of room | the bytes received
 *
 * Not in the incremental buffers of the others: where what is left of one has no room for head and control, the kernel ends the
 * receive with EFAULT and leaves the buffer as it is, for the next one to fail likewise (7.1's min_left would prevent it).
 */
#include "ring/uring.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#include <linux/errqueue.h>

#define CONTROL_BYTES CMSG_SPACE(sizeof(struct scm_timestamping))
#define HEAD_BYTES ((uint32_t)(sizeof(struct io_uring_recvmsg_out) + CONTROL_BYTES))

_Static_assert(sizeof(wsr_receive_stamp) <= HEAD_BYTES, "the stamp takes the place of what it is made of");

int wsr_ring_open_stamped(struct wsr_ring *ring)
{
    if (ring->stamped.n > 0)
        return 0;
    if (ring->stamped_bytes <= HEAD_BYTES)
        return WSR_ECONFIG;
    int error = ring->multishot ? 0 : -EOPNOTSUPP;
    if (error == 0) {
        const int refusal = wsr_arena_map(&ring->stamped, ring->allocator, ring->stamped_n, ring->stamped_bytes, ring->arena.how);
        if (refusal < 0)
            return refusal;
        error = wsr_arena_register(&ring->stamped, &ring->io, WSR_GROUP_STAMPED, ring->arena.n, false);
    }
    if (error == 0)
        return 0;
    wsr_arena_close(&ring->stamped, true);
    errno = -error;
    return WSR_ESYS;
}

void wsr_stamped_prepare(struct io_uring_sqe *sqe, int fd, struct msghdr *header)
{
    memset(header, 0, sizeof *header);
    header->msg_controllen = CONTROL_BYTES;
    io_uring_prep_recvmsg_multishot(sqe, fd, header, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = WSR_GROUP_STAMPED;
}

static uint64_t ns_of(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_nsec;
}

/* The stamps in so many bytes of control data; zeros if there are none, or they were cut off. */
static wsr_receive_stamp find_stamp(uint8_t *control, size_t len)
{
    struct msghdr header = {.msg_control = control, .msg_controllen = len};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c != NULL; c = CMSG_NXTHDR(&header, c)) {
        struct scm_timestamping times; /* software, nothing any more, hardware */
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPING || c->cmsg_len != CMSG_LEN(sizeof times))
            continue;
        memcpy(&times, CMSG_DATA(c), sizeof times);
        return (wsr_receive_stamp){ns_of(&times.ts[0]), ns_of(&times.ts[2])};
    }
    return (wsr_receive_stamp){0, 0};
}

void wsr_stamped_take(struct wsr_ring *ring, const struct io_uring_cqe *cqe, struct wsr_completion *out)
{
    uint8_t *head = out->ptr; /* the beginning of a buffer: aligned for all that is laid there */
    struct io_uring_recvmsg_out said;
    memcpy(&said, head, sizeof said);
    assert((uint32_t)cqe->res >= HEAD_BYTES && said.namelen == 0 && said.controllen <= CONTROL_BYTES);
    out->res = cqe->res - (int32_t)HEAD_BYTES;
    if (out->res == 0) { /* the end of the stream takes a buffer too */
        out->ptr = NULL;
        out->flags &= ~(uint32_t)WSR_COMPLETION_BYTES;
        wsr_arena_release(&ring->stamped, out->buffer);
        return;
    }
    out->ptr = head + HEAD_BYTES;
    out->flags |= (cqe->flags & IORING_CQE_F_SOCK_NONEMPTY) != 0 ? WSR_COMPLETION_BEHIND : 0;
    wsr_receive_stamp *stamp = (wsr_receive_stamp *)(void *)head;
    *stamp = find_stamp(head + sizeof said, said.controllen);
    if (stamp->realtime_ns != 0 || stamp->hardware_ns != 0)
        out->stamp = stamp;
}
