/*
 * ring/probe.c - see probe.h. Never asks for the kernel's version: distributions take features back into old kernels,
 * and sandboxes take them out of new ones.
 */
#include "ring/compat.h"
#include "ring/probe.h"

#include <errno.h>

#include "ring/sys.h"

/*
 * Refused without any of these. SINGLE_ISSUER came together with multishot receives (6.0), buffer rings and multishot
 * accept before it, so a kernel that takes it has them all; 6.1, the floor, adds DEFER_TASKRUN.
 */
#define FLAGS_NEEDED \
    (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED)
#define FEATURES_NEEDED (IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG)

/* params: what goes beyond FLAGS_NEEDED. */
static int try_open(struct io_uring *io, unsigned sq_entries, unsigned cq_entries, struct io_uring_params params)
{
    params.flags |= FLAGS_NEEDED;
    params.cq_entries = cq_entries;
    int error = io_uring_queue_init_params(sq_entries, io, &params);
    if (error != 0)
        return error;
    if ((params.features & FEATURES_NEEDED) != FEATURES_NEEDED) {
        error = -EINVAL;
    } else {
        /*
         * A filter may let a ring be made and not entered. Entering one that is still disabled is refused by the kernel
         * itself (EBADFD), without a trace. Trying out more would need a second ring to throw away, and closing a ring
         * interrupts the thread's next blocking system call (EINTR), which is no way to treat a host's own loop.
         */
        int entered = io_uring_enter((unsigned)io->ring_fd, 0, 0, 0, NULL);
        error = entered == -EBADFD || entered >= 0 ? 0 : entered;
    }
    if (error != 0)
        io_uring_queue_exit(io);
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
        error = try_open(io, sq_entries, cq_entries, (struct io_uring_params){.flags = choices[i]});
        if (error != -EINVAL)
            return error;
    }
    return error;
}

/* The task-run flags are for work that interrupts the submitting thread, which here is the kernel's own. */
int wsr_probe_open_polled(struct io_uring *io, unsigned sq_entries, unsigned cq_entries, unsigned idle_ms, unsigned cpu)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SQPOLL, .sq_thread_idle = idle_ms != 0 ? idle_ms : 1000};
    if (cpu != 0) {
        params.flags |= IORING_SETUP_SQ_AFF;
        params.sq_thread_cpu = cpu - 1;
    }
    return try_open(io, sq_entries, cq_entries, params);
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
