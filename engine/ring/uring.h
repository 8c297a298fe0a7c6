/*
 * ring/uring.h - what the files behind ring.h share: the ring itself and its inner calls. For them alone.
 *
 * uring.c opens, enters the kernel, takes completions and closes; ops.c queues operations; stamped.c: receives with time stamps.
 */
#ifndef WSR_RING_URING_H
#define WSR_RING_URING_H

#include "ring/compat.h"
#include "ring/arena.h"
#include "ring/oneshot.h"
#include "ring/ring.h"

enum { WSR_GROUP_RECEIVE = 0, WSR_GROUP_STAMPED = 1 }; /* buffer group ids: of arena, of stamped */

#define WSR_RING_ACCEPTS_KEPT 64u /* listeners whose untaken connections are closed with the ring: an engine has no more */

/* What an SQ entry points to; the kernel has copied it when the submitting call returns (IORING_FEAT_SUBMIT_STABLE). */
union wsr_ring_scratch {
    struct {
        struct msghdr header;
        struct iovec slices[WSR_RING_SLICES_MAX];
    } message;
    struct sockaddr_storage address;
    struct __kernel_timespec deadline;
};

struct wsr_ring {
    struct io_uring io;
    uint32_t cq_head;   /* how far completions were taken; the kernel is told at the next enter */
    uint32_t in_flight; /* operations queued or armed whose last completion was not taken */
    bool claimed;       /* enabled, by its owner */
    pid_t pid;          /* whose, once claimed: a child that a fork made shares the queues, and must not touch them */
    bool multishot;
    bool zero_copy;
    struct wsr_arena arena;
    struct wsr_arena stamped; /* of receives with time stamps; n 0: there were none yet */
    unsigned stamped_n, stamped_bytes; /* what it will have */
    struct wsr_oneshot oneshot; /* used where !multishot */
    union wsr_ring_scratch *scratch; /* one for each SQ entry */
    uint64_t accept_tags[WSR_RING_ACCEPTS_KEPT];
    unsigned accepts; /* ever remembered; the last WSR_RING_ACCEPTS_KEPT are there */
    int event_fd;     /* for a foreign loop; -1 until asked for */
    uint64_t enters;
    const wsr_allocator *allocator;
};

/* A free SQ entry; a full queue is submitted first. NULL, with errno, if the kernel takes none. */
struct io_uring_sqe *wsr_ring_free_entry(struct wsr_ring *ring);

/* Shows the kernel what was taken and given back, and queues what is to be armed again. */
int wsr_ring_settle(struct wsr_ring *ring);

/* Without multishot: queues the next shot of what wsr_ring_next has passed on as still armed. */
int wsr_ring_rearm(struct wsr_ring *ring);

/* Queues a receive with time stamps into the entry. */
void wsr_stamped_prepare(struct io_uring_sqe *sqe, int fd, struct msghdr *header);

/* What came into a buffer of `stamped`: leaves the received bytes in out, or the end of the stream, and the stamp. */
void wsr_stamped_take(struct wsr_ring *ring, const struct io_uring_cqe *cqe, struct wsr_completion *out);

/* Cancels everything there is, for close. */
int wsr_ring_cancel_all(struct wsr_ring *ring);

#endif
