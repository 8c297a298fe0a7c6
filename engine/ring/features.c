/*
 * ring/features.c - see features.h. One ring of the product's own (ring.h), looked at from the inside, and a few that are
 * thrown away at once. Never asks for the kernel's version.
 */
#include "ring/uring.h"

#include <errno.h>
#include <unistd.h>

#include "ring/features.h"
#include "ring/probe.h"
#include "ring/sys.h"

#define PATIENCE_NS 1000000000 /* for a byte over a socket pair */

/* Numbers newer than liburing 2.3's header. */
#define OP_RECV_ZC 58u
#define REGISTER_NAPI 27u
#define REGISTER_NAPI_OFF 28u
#define FEAT_BUNDLE (1u << 14)
#define FEAT_MIN_TIMEOUT (1u << 15)

enum feature {
    RING, SINGLE_ISSUER, DEFER_TASKRUN, TASKRUN_FLAG, RING_FD, BUFFER_RING, INCREMENTAL, MULTISHOT_RECEIVE, STAMPS, MULTISHOT_ACCEPT, EXT_ARG,
    MIN_WAIT, SQPOLL, BUSY_POLL, SEND_ZC, RECEIVE_ZC, BUNDLES, MSG_RING, FEATURES_N
};

/* What an engine does without one, or why it does not use it: `spare` for a feature that is there, `absent` for one that is not. */
static const struct {
    const char *name, *what, *spare, *absent;
    bool needed;
} texts[FEATURES_N] = {
    [RING] = {"io_uring", "moves all bytes, many operations a system call", "", "this kernel has no io_uring", true},
    [SINGLE_ISSUER] = {"IORING_SETUP_SINGLE_ISSUER", "one thread a ring: no locks (6.0)", "", "", true},
    [DEFER_TASKRUN] = {"IORING_SETUP_DEFER_TASKRUN", "work completes when the engine asks, not in between (6.1)",
                       "", "completions interrupt the thread: about an eighth more CPU a message", false},
    [TASKRUN_FLAG] = {"IORING_SETUP_TASKRUN_FLAG", "a poll that finds nothing costs no system call (5.19)", "", "", true},
    [RING_FD] = {"IORING_REGISTER_RING_FDS", "saves looking the ring up at each system call (5.18)", "", "each system call costs a little more", false},
    [BUFFER_RING] = {"IORING_REGISTER_PBUF_RING", "receive buffers that idle connections do not hold (5.19)", "", "", true},
    [INCREMENTAL] = {"IOU_PBUF_RING_INC", "many receives share one large buffer, densely (6.12)", "",
                     "each receive takes a buffer of its own: smaller ones, and more of them, are used", false},
    [MULTISHOT_RECEIVE] = {"multishot receive", "a connection's receive is armed once (6.0)", "", "", true},
    [STAMPS] = {"SO_TIMESTAMPING", "when the kernel, and the card, had what is received; by multishot recvmsg (6.0)",
                "only where wsr_socket_options.receive_stamps asks for it", "receive_stamps is refused", false},
    [MULTISHOT_ACCEPT] = {"multishot accept", "a listener's accept is armed once (5.19)", "", "", true},
    [EXT_ARG] = {"IORING_FEAT_EXT_ARG", "submits, waits and times out in one system call (5.11)", "", "", true},
    [MIN_WAIT] = {"IORING_FEAT_MIN_TIMEOUT", "waits for a fuller batch (6.12)", "wsr_config.wait_min_ns does it by two waits, on any kernel: not used", "",
                  false},
    [SQPOLL] = {"IORING_SETUP_SQPOLL", "a kernel thread submits, on a core of its own",
                "loses without a core to spare: only where wsr_config.sqpoll asks for it", "wsr_config.sqpoll is refused", false},
    [BUSY_POLL] = {"IORING_REGISTER_NAPI", "the wait polls the network card's queue (6.9)", "loopback has no queue to poll: not used", "", false},
    [SEND_ZC] = {"IORING_OP_SEND_ZC", "sends without copying (6.0)", "slower on loopback, and on cards below about 3 KiB a piece: only where wsr_config.zero_copy_bytes asks for it",
                 "wsr_config.zero_copy_bytes changes nothing", false},
    [RECEIVE_ZC] = {"IORING_OP_RECV_ZC", "receives without copying (6.15)", "needs a card that splits headers off: not used", "", false},
    [BUNDLES] = {"IORING_FEAT_RECVSEND_BUNDLE", "one receive fills several buffers (6.10)", "slower than dense buffers, as measured: not used", "", false},
    [MSG_RING] = {"IORING_OP_MSG_RING", "wakes an engine on another thread (5.18)", "not used yet", "", false},
};

struct tried {
    struct wsr_ring *ring;
    wsr_probe_feature *rows;
};

static void set(const struct tried *tried, enum feature feature, bool there, bool used)
{
    wsr_probe_feature *row = &tried->rows[feature];
    row->state = !there ? WSR_PROBE_ABSENT : used ? WSR_PROBE_USED : WSR_PROBE_SPARE;
    row->why = !there ? texts[feature].absent : used ? "" : texts[feature].spare;
}

/* May the kernel and whatever filters it do this operation? */
static bool has_op(const struct wsr_ring *ring, unsigned op)
{
    enum { OPS_N = 64 };
    union {
        struct io_uring_probe probe;
        uint8_t room[sizeof(struct io_uring_probe) + OPS_N * sizeof(struct io_uring_probe_op)];
    } u;
    memset(&u, 0, sizeof u);
    if (io_uring_register((unsigned)ring->io.ring_fd, IORING_REGISTER_PROBE, &u.probe, OPS_N) < 0)
        return false;
    return op <= u.probe.last_op && op < OPS_N && (u.probe.ops[op].flags & IO_URING_OP_SUPPORTED) != 0;
}

static bool has_napi(const struct wsr_ring *ring)
{
    uint8_t off[16] = {0}; /* struct io_uring_napi: a time-out of 0 */
    if (io_uring_register((unsigned)ring->io.ring_fd, REGISTER_NAPI, off, 1) < 0)
        return false;
    (void)io_uring_register((unsigned)ring->io.ring_fd, REGISTER_NAPI_OFF, off, 1);
    return true;
}

/* A kernel thread is started and ended for it. EPERM: it may not be. */
static int try_sqpoll(void)
{
    struct io_uring io;
    const int error = wsr_probe_open_polled(&io, 2, 4, 0, 0);
    if (error == 0)
        io_uring_queue_exit(&io);
    return error;
}

/* May a socket be told to have stamps? Whether the card makes any is its own setting (hwstamp_ctl). */
static bool may_stamp(void)
{
    static const wsr_socket_options stamps = {.receive_stamps = true};
    const int fd = wsr_sys_socket(AF_INET);
    const bool may = fd >= 0 && wsr_sys_set_options(fd, &stamps) == 0;
    if (fd >= 0)
        wsr_sys_close(fd);
    return may;
}

/* Waits for that receive's; of those before it only the ends are still to come. */
static bool next_of(struct wsr_ring *ring, uint64_t tag, struct wsr_completion *out)
{
    do {
        if (wsr_ring_wait(ring, PATIENCE_NS) != 0 || !wsr_ring_next(ring, out))
            return false;
    } while (out->tag != tag);
    return true;
}

/* One byte over a socket pair: does its receive stay armed? */
static bool try_receive(struct wsr_ring *ring, bool stamped)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return false;
    bool more = false;
    struct wsr_completion completion;
    const uint64_t tag = stamped ? 2 : 1;
    const int queued = stamped ? wsr_ring_receive_stamped(ring, pair[0], tag, true) : wsr_ring_receive(ring, pair[0], tag, true);
    if (queued == 0 && wsr_ring_submit(ring) == 0 && write(pair[1], "", 1) == 1 && next_of(ring, tag, &completion)) {
        more = completion.res == 1 && (completion.flags & WSR_COMPLETION_MORE) != 0;
        if ((completion.flags & WSR_COMPLETION_BYTES) != 0)
            wsr_ring_release(ring, completion.buffer);
    }
    /* The socket stays with the armed receive until the ring is closed. */
    wsr_sys_close(pair[0]);
    wsr_sys_close(pair[1]);
    return more;
}

static void try_all(const struct tried *tried)
{
    struct wsr_ring *ring = tried->ring;
    const unsigned flags = ring->io.flags, features = ring->io.features;
    set(tried, RING, true, true);
    set(tried, SINGLE_ISSUER, true, true); /* no ring is opened without, nor without the next four */
    set(tried, TASKRUN_FLAG, (flags & IORING_SETUP_TASKRUN_FLAG) != 0, true);
    set(tried, EXT_ARG, (features & IORING_FEAT_EXT_ARG) != 0, true);
    set(tried, BUFFER_RING, true, true);
    set(tried, MULTISHOT_ACCEPT, true, true);
    set(tried, DEFER_TASKRUN, (flags & IORING_SETUP_DEFER_TASKRUN) != 0, true);
    set(tried, INCREMENTAL, ring->arena.incremental, true);
    set(tried, MIN_WAIT, (features & FEAT_MIN_TIMEOUT) != 0, false);
    set(tried, BUNDLES, (features & FEAT_BUNDLE) != 0, false);
    set(tried, BUSY_POLL, has_napi(ring), false);
    set(tried, SEND_ZC, has_op(ring, IORING_OP_SEND_ZC) && has_op(ring, IORING_OP_SENDMSG_ZC), false);
    set(tried, RECEIVE_ZC, has_op(ring, OP_RECV_ZC), false);
    set(tried, MSG_RING, has_op(ring, IORING_OP_MSG_RING), false);
    set(tried, MULTISHOT_RECEIVE, try_receive(ring, false), true);
    set(tried, STAMPS, may_stamp() && wsr_ring_open_stamped(ring) == 0 && try_receive(ring, true), false);
    set(tried, RING_FD, ring->io.enter_ring_fd != ring->io.ring_fd, true); /* registered when the receive was submitted */
    const int sqpoll = try_sqpoll();
    set(tried, SQPOLL, sqpoll == 0, false);
    if (sqpoll == -EPERM || sqpoll == -EACCES) {
        tried->rows[SQPOLL].state = WSR_PROBE_BLOCKED;
        tried->rows[SQPOLL].why = "this process may not have kernel threads";
    }
}

static void nothing(wsr_probe_feature *rows, int error)
{
    for (unsigned i = 0; i < FEATURES_N; i++) {
        rows[i].state = error == WSR_EURING_KERNEL ? WSR_PROBE_ABSENT : WSR_PROBE_BLOCKED;
        rows[i].why = i == RING ? wsr_error_text(error) : "no ring could be opened to try it";
    }
}

int wsr_features_try(wsr_probe_feature *rows, unsigned cap, unsigned *n, int *sys_errno)
{
    wsr_probe_feature all[FEATURES_N];
    for (unsigned i = 0; i < FEATURES_N; i++)
        all[i] = (wsr_probe_feature){.name = texts[i].name, .what = texts[i].what, .why = "", .needed = texts[i].needed};
    const struct wsr_ring_config config = {.sq_entries = 8, .cq_entries = 16, .buffers = 2, .buffer_bytes = 4096};
    struct wsr_ring_report report;
    struct tried tried = {.rows = all};
    const int error = wsr_ring_open(&tried.ring, &config, &report);
    *sys_errno = report.sys_errno;
    if (error == WSR_OK)
        try_all(&tried);
    else
        nothing(all, error);
    wsr_ring_close(tried.ring);
    *n = cap < FEATURES_N ? cap : FEATURES_N;
    memcpy(rows, all, *n * sizeof all[0]);
    return error;
}
