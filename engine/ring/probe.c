/*
 * ring/probe.c - see probe.h. Never asks for the kernel's version: distributions take features back into old kernels,
 * and sandboxes take them out of new ones.
 */
#include "ring/compat.h"
#include "ring/probe.h"

#include <errno.h>

#include "ring/arena.h"
#include "ring/sys.h"

/* Refused without any of these (6.0 and later have them all; 6.1, the floor, adds DEFER_TASKRUN). */
#define FLAGS_NEEDED (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED)
#define FEATURES_NEEDED (IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG)

static int try_open(struct io_uring *io, unsigned sq_entries, unsigned cq_entries, unsigned flags)
{
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    params.flags = FLAGS_NEEDED | flags;
    params.cq_entries = cq_entries;
    int error = io_uring_queue_init_params(sq_entries, io, &params);
    if (error == 0 && (params.features & FEATURES_NEEDED) != FEATURES_NEEDED) {
        io_uring_queue_exit(io);
        return -EINVAL;
    }
    return error;
}

int wsr_probe_open(struct io_uring *io, unsigned sq_entries, unsigned cq_entries, unsigned without, bool *defer)
{
    /* Best first. COOP_TASKRUN beside DEFER_TASKRUN saves an interrupt where both are taken. */
    static const unsigned choices[] = {
        IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    };
    int error = -EINVAL;
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        *defer = (choices[i] & IORING_SETUP_DEFER_TASKRUN) != 0;
        if (*defer && (without & WSR_RING_WITHOUT_DEFER) != 0)
            continue;
        error = try_open(io, sq_entries, cq_entries, choices[i]);
        if (error != -EINVAL)
            return error;
    }
    return error;
}

/* A kernel that does not know a flag says EINVAL before it looks at the descriptor; one that does finds that -1 is none. */
static void prepare_trials(struct io_uring *io)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(io);
    io_uring_prep_recv_multishot(sqe, -1, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = WSR_ARENA_GROUP;
    sqe->user_data = 0;
    sqe = io_uring_get_sqe(io);
    io_uring_prep_multishot_accept(sqe, -1, NULL, NULL, 0);
    sqe->user_data = 1;
}

int wsr_probe_features(struct wsr_probe *out)
{
    memset(out, 0, sizeof *out);
    struct io_uring io;
    bool defer;
    int error = wsr_probe_open(&io, 4, 8, 0, &defer);
    if (error == 0)
        error = wsr_uring_enable(&io);
    else
        return error;
    if (error == 0) {
        out->ring_fd_registered = io_uring_register_ring_fd(&io) == 1;
        prepare_trials(&io);
        struct io_uring_cqe *cqe = NULL;
        struct __kernel_timespec limit = {.tv_sec = 1, .tv_nsec = 0};
        int n = io_uring_submit_and_wait_timeout(&io, &cqe, 2, &limit, NULL);
        if (n < 0 && n != -EINTR)
            error = n;
        unsigned head, known = 0;
        io_uring_for_each_cqe(&io, head, cqe)
            known += cqe->res == -EBADF;
        out->multishot = known == 2;
    }
    io_uring_queue_exit(&io);
    return error;
}

int wsr_probe_refusal(int error)
{
    switch (error) {
    case -EPERM:
    case -EACCES:
        /* kernel.io_uring_disabled: 1, only for privileged processes and its group; 2, for nobody. */
        return wsr_sys_uring_disabled() > 0 ? WSR_EURING_SYSCTL : WSR_EURING_SECCOMP;
    case -ENOSYS:
        return wsr_sys_seccomp_filtered() ? WSR_EURING_SECCOMP : WSR_EURING_KERNEL;
    case -ENOMEM:
        return WSR_EURING_MEMLOCK;
    case -EINVAL:
    case -EOPNOTSUPP:
        return WSR_EURING_KERNEL;
    default:
        return WSR_ESYS;
    }
}
