/*
 * ring/restrict.c - see restrict.h. IORING_REGISTER_RESTRICTIONS, Linux 5.10.
 *
 * Who queues another operation, or registers something after the ring was enabled, adds it here: without that the kernel
 * answers -EACCES, and the simulator ends the run.
 */
#include "ring/restrict.h"

#define REGISTER_NAPI 27u /* features.c asks whether these are there; 6.9 */
#define REGISTER_NAPI_OFF 28u

#define OPERATION(op) {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = (op)}
#define REGISTRATION(op) {.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = (op)}

int wsr_restrict(struct io_uring *io, bool zero_copy)
{
    struct io_uring_restriction allowed[] = {
        OPERATION(IORING_OP_RECV),
        OPERATION(IORING_OP_RECVMSG),
        OPERATION(IORING_OP_SEND),
        OPERATION(IORING_OP_SENDMSG),
        OPERATION(IORING_OP_ACCEPT),
        OPERATION(IORING_OP_CONNECT),
        OPERATION(IORING_OP_POLL_ADD),
        OPERATION(IORING_OP_TIMEOUT),
        OPERATION(IORING_OP_ASYNC_CANCEL),
        {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_BUFFER_SELECT},
        REGISTRATION(IORING_REGISTER_ENABLE_RINGS),
        REGISTRATION(IORING_REGISTER_RING_FDS),   /* with the first entry, by the thread that owns the ring */
        REGISTRATION(IORING_UNREGISTER_RING_FDS), /* when it is closed */
        REGISTRATION(IORING_REGISTER_EVENTFD),    /* wsr_ring_fd */
        REGISTRATION(IORING_REGISTER_PBUF_RING), /* wsr_ring_open_stamped */
        REGISTRATION(IORING_REGISTER_PROBE),
        REGISTRATION(REGISTER_NAPI),
        REGISTRATION(REGISTER_NAPI_OFF),
        OPERATION(IORING_OP_SEND_ZC),
        OPERATION(IORING_OP_SENDMSG_ZC),
    };
    const unsigned n = sizeof allowed / sizeof allowed[0] - (zero_copy ? 0 : 2);
    return io_uring_register((unsigned)io->ring_fd, IORING_REGISTER_RESTRICTIONS, allowed, n);
}
