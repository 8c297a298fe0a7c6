/*
 * tests/sim/recvmsg.c - what an armed recvmsg lays in its buffer before the bytes it received: a struct io_uring_recvmsg_out, and
 * control data, as io_recvmsg_multishot and put_cmsg do; of control data only time stamps. A stamp is that of the newest that arrived,
 * whatever of it was read, as TCP's is where it has merged segments.
 */
#include "sim/kernel.h"

#include <time.h>

#include <linux/errqueue.h>

uint32_t sim_recvmsg_head(const struct sim_op *op)
{
    return op->opcode == IORING_OP_RECVMSG ? (uint32_t)sizeof(struct io_uring_recvmsg_out) + op->control_bytes : 0;
}

static struct timespec time_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
}

/* Returns how many bytes of control data there are. */
static uint32_t write_stamp(const struct sim_op *op, uint8_t *control)
{
    const uint64_t arrived_ns = op->file->side->arrived_at_ns;
    struct scm_timestamping times = {{time_of(arrived_ns), {0, 0}, {0, 0}}};
    if (sim_chance(sim_knobs.hardware_percent))
        times.ts[2] = time_of(arrived_ns + SIM_HARDWARE_NS);
    struct cmsghdr header = {.cmsg_len = CMSG_LEN(sizeof times), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_TIMESTAMPING};
    if (header.cmsg_len > op->control_bytes || sim_chance(sim_knobs.cut_stamp_percent))
        header.cmsg_len = CMSG_LEN(sizeof times / 2);
    if (header.cmsg_len > op->control_bytes)
        return 0;
    memcpy(control, &header, sizeof header);
    memcpy(control + CMSG_LEN(0), &times, header.cmsg_len - CMSG_LEN(0));
    return (uint32_t)header.cmsg_len;
}

void sim_recvmsg_write(const struct sim_op *op, uint8_t *head, uint32_t payload_len)
{
    struct io_uring_recvmsg_out out = {.payloadlen = payload_len};
    const bool wanted = payload_len > 0 && op->file->stamps;
    if (wanted && !sim_chance(sim_knobs.no_stamp_percent))
        out.controllen = write_stamp(op, head + sizeof out);
    const bool whole = out.controllen == CMSG_LEN(sizeof(struct scm_timestamping));
    out.flags = out.controllen > 0 && !whole ? MSG_CTRUNC : 0;
    sim_stats.stamps_missing += wanted && !whole;
    memcpy(head, &out, sizeof out);
}
