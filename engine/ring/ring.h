/*
 * ring/ring.h - moves bytes in batches over io_uring: queue operations, wait once, take completions one by one.
 *
 * It knows nothing of WebSocket, connections or time-outs. One ring belongs to one thread: the one that first submits or
 * waits, up to and including close (opening it on another thread is fine). What is queued goes to the kernel at the next
 * submit or wait; everything passed by pointer (addresses, slices' descriptors) is copied or stable from the kernel's
 * side once submitted, except the payload bytes themselves, which stay the caller's to keep until the completion.
 *
 * Received bytes land in the ring's own arena (a buffer ring, incremental where the kernel can). Each completion that
 * carries bytes gives the caller one hold on the buffer they lie in; a buffer goes back to the kernel when the kernel is
 * done with it and the last hold is released.
 */
#ifndef WSR_RING_RING_H
#define WSR_RING_RING_H

#include <sys/socket.h>
#include <wsring/socket.h>
#include <wsring/types.h>

struct wsr_ring;

struct wsr_ring_config {
    unsigned sq_entries;    /* 0: 256 */
    unsigned cq_entries;    /* 0: 4096 */
    unsigned buffers;       /* arena buffers, a power of two up to 32768; 0: 16, or 256 where they are not incremental */
    unsigned buffer_bytes;  /* size of each, a power of two; 0: 65536, or 16384 where they are not incremental */
    unsigned without;       /* WSR_RING_WITHOUT_*: features not to use although the kernel has them (fallback tests) */
    unsigned map;           /* how the arena is mapped: WSR_MAP_* of sys.h */
    bool sqpoll;            /* a kernel thread submits; without DEFER_TASKRUN then */
    unsigned sqpoll_idle_ms; /* it sleeps after so long without work; 0: a second */
    unsigned sqpoll_cpu;    /* the core it runs on, plus one; 0: any */
    bool zero_copy;         /* wsr_ring_send_zero_copy may be used */
    const wsr_allocator *allocator; /* NULL: malloc; the arena itself is mapped, not allocated */
};

enum {
    WSR_RING_WITHOUT_INCREMENTAL = 1, /* each receive fills a fresh buffer, as before 6.12 */
    WSR_RING_WITHOUT_MULTISHOT = 2,   /* one receive or accept per operation; the ring re-arms by itself, unseen */
    WSR_RING_WITHOUT_DEFER = 4        /* no DEFER_TASKRUN */
};

/* What the set-up found, for a report to a person. */
struct wsr_ring_report {
    int error;           /* the wsr_error returned */
    int sys_errno;
    bool incremental, multishot, defer_taskrun;
};

enum {
    WSR_COMPLETION_MORE = 1,  /* the operation stays armed: further completions with this tag follow */
    WSR_COMPLETION_BYTES = 2, /* ptr and buffer are set: res bytes were received, one hold is the caller's */
    WSR_COMPLETION_BEHIND = 4 /* with a stamp: more was in the socket behind them */
};

struct wsr_completion {
    uint64_t tag;     /* as the operation was queued */
    int32_t res;      /* as io_uring's: bytes, a descriptor, 0 at end of stream, or -errno */
    uint32_t flags;   /* WSR_COMPLETION_* */
    uint8_t *ptr;     /* the received bytes, writable */
    uint32_t buffer;  /* the arena buffer they lie in */
    const wsr_receive_stamp *stamp; /* theirs, in the same buffer; NULL: none was asked for, or the kernel gave none */
};

/*
 * Opens a ring. report may be NULL. Returns 0, or WSR_EURING_SECCOMP, WSR_EURING_SYSCTL, WSR_EURING_MEMLOCK,
 * WSR_EURING_KERNEL, WSR_ENOMEM, WSR_EMEMLOCK, WSR_EHUGEPAGES, WSR_ECONFIG, WSR_ESYS (errno in report). The features it may use are probed by trying.
 */
WSR_MUST_USE int wsr_ring_open(struct wsr_ring **out, const struct wsr_ring_config *config, struct wsr_ring_report *report);

/*
 * Cancels what is still armed, waits until the kernel has let go of all memory, and frees. What was queued and never
 * submitted is dropped; connections accepted and never taken are closed. Payload given to wsr_ring_send must live until
 * this returns. NULL is fine. False: the kernel has not let go of something even so.
 */
bool wsr_ring_close(struct wsr_ring *ring);

/*
 * The operations. Each queues one and returns 0, or WSR_ESYS if the queue is full and could not be submitted (never in a
 * healthy process: a full queue is submitted on the spot), or, only without multishot, WSR_ENOMEM. Descriptors must be
 * blocking ones: io_uring answers EAGAIN on O_NONBLOCK sockets instead of waiting.
 */
WSR_MUST_USE int wsr_ring_accept(struct wsr_ring *ring, int fd, uint64_t tag); /* stays armed; each completion's res is a descriptor */
/* Stays armed, each completion one run of bytes. wait_first: the caller knows nothing is there yet, or was told ENOBUFS. */
WSR_MUST_USE int wsr_ring_receive(struct wsr_ring *ring, int fd, uint64_t tag, bool wait_first);
/*
 * Receives with the kernel's time stamps, from a socket that has them switched on (wsr_socket_options.receive_stamps), into plain
 * buffers of their own, as each begins with what the kernel says of it: as many and as large as config says for buffers that are not
 * incremental. Those are mapped by the first open_stamped, which must have returned 0 before the first receive_stamped; else it returns
 * WSR_ENOMEM, WSR_EMEMLOCK, WSR_EHUGEPAGES, WSR_ECONFIG (buffer_bytes is less than 128), WSR_ESYS (EOPNOTSUPP: not without multishot).
 */
WSR_MUST_USE int wsr_ring_open_stamped(struct wsr_ring *ring);
WSR_MUST_USE int wsr_ring_receive_stamped(struct wsr_ring *ring, int fd, uint64_t tag, bool wait_first);
/* Sends all of up to WSR_RING_SLICES_MAX slices in order (MSG_WAITALL, MSG_NOSIGNAL); res may still be short. One at a time per socket. */
#define WSR_RING_SLICES_MAX 16u
WSR_MUST_USE int wsr_ring_send(struct wsr_ring *ring, int fd, uint64_t tag, const wsr_slice *slices, unsigned n);
/*
 * The same, where the stream's end follows (shutdown or close) as soon as it has completed: its last packet waits for that, and
 * then carries it. If it does not follow, the packet leaves by itself after some 200 ms.
 */
WSR_MUST_USE int wsr_ring_send_last(struct wsr_ring *ring, int fd, uint64_t tag, const wsr_slice *slices, unsigned n);
/*
 * As wsr_ring_send, but the kernel reads the bytes where they are for as long as it needs them (IORING_OP_SEND_ZC, 6.0). It completes
 * with MORE when they are sent, and a last time, whose res says nothing, when they are the caller's again; where it failed perhaps only
 * once. The socket or the host may refuse: -EOPNOTSUPP, -EINVAL, -ENOMEM, -ENOBUFS. A cancel reaches it only before the first.
 */
WSR_MUST_USE int wsr_ring_send_zero_copy(struct wsr_ring *ring, int fd, uint64_t tag, const wsr_slice *slices, unsigned n);
WSR_MUST_USE int wsr_ring_connect(struct wsr_ring *ring, int fd, uint64_t tag, const struct sockaddr *address, socklen_t len);
WSR_MUST_USE int wsr_ring_poll(struct wsr_ring *ring, int fd, uint64_t tag);   /* stays armed: readable */
WSR_MUST_USE int wsr_ring_timer(struct wsr_ring *ring, uint64_t deadline_ns, uint64_t tag); /* CLOCK_MONOTONIC; completes with res -ETIME */
/*
 * Cancels every operation queued with tag `target`; itself completes with `tag`, before or after the last completions of
 * those; res is how many it found (0: they had all ended already). Bytes already received still come, with or before the
 * last completion, and stay in the socket otherwise. A send that is cut short says how much went out, if anything did.
 */
WSR_MUST_USE int wsr_ring_cancel(struct wsr_ring *ring, uint64_t target, uint64_t tag);

/* Hands what is queued to the kernel now and lets finished work complete, without waiting. No system call if there is nothing to do. */
WSR_MUST_USE int wsr_ring_submit(struct wsr_ring *ring);

/* The same, then waits until a completion is there, a signal comes or timeout_ns has passed (-1: for ever). 0 also on time-out and signal. */
WSR_MUST_USE int wsr_ring_wait(struct wsr_ring *ring, int64_t timeout_ns);

/* The same, until n (1 or more) are there. */
WSR_MUST_USE int wsr_ring_wait_many(struct wsr_ring *ring, unsigned n, int64_t timeout_ns);

/* Is there a completion to take, or finished work that the next submit brings in? Never a system call: for a loop that spins. */
bool wsr_ring_ready(const struct wsr_ring *ring);

/* Completions that wsr_ring_next would give out now. */
unsigned wsr_ring_untaken(const struct wsr_ring *ring);

/* Takes the next completion, in the kernel's order. False: none is there. Never a system call. */
bool wsr_ring_next(struct wsr_ring *ring, struct wsr_completion *out);

/* One more hold on a buffer the caller holds already; one hold back. The memory of a released buffer must not be touched again. */
void wsr_ring_hold(struct wsr_ring *ring, uint32_t buffer);
void wsr_ring_release(struct wsr_ring *ring, uint32_t buffer);

/*
 * Arena buffers that are with the kernel, or partly filled by it: 0 means that receives end with -ENOBUFS until something is released.
 * stamped: those of receives with time stamps.
 */
unsigned wsr_ring_buffers_free(const struct wsr_ring *ring, bool stamped);

/* How many buffers there are, of both kinds: buffer numbers are below it. More from the first wsr_ring_open_stamped on. */
unsigned wsr_ring_buffers(const struct wsr_ring *ring);

/*
 * The descriptor to poll for readability when the ring lives inside another loop: an eventfd, made at the first call
 * (-errno if it cannot be). It becomes readable when the kernel has something new since the last submit or wait, and
 * those clear it. Completions left untaken do not keep it readable: whoever leaves some calls wsr_ring_remind. From the
 * first call on a submit or wait costs one system call more.
 */
int wsr_ring_fd(struct wsr_ring *ring);

/* Makes the descriptor of wsr_ring_fd, if there is one, readable if completions wait to be taken, or anyway. */
void wsr_ring_remind(struct wsr_ring *ring, bool anyway);

/* Bytes mapped and allocated by the ring. */
size_t wsr_ring_memory_bytes(const struct wsr_ring *ring);

/* About as many as a ring of this (valid) config will have, rather more than less, on a kernel that has what it may use. */
size_t wsr_ring_memory_bytes_of(const struct wsr_ring_config *config);

/* System calls made by wsr_ring_submit and wsr_ring_wait so far. */
uint64_t wsr_ring_enters(const struct wsr_ring *ring);

#endif
