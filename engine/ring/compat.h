/*
 * ring/compat.h - io_uring's names that are newer than liburing 2.3 (Debian 12's), under names of our own.
 *
 * The kernel's interface never changes meaning, so a constant is all that is needed; whether this kernel knows it is
 * found out by trying (probe.c). It is not a version check and must not become one.
 *
 * IORING_SETUP_NO_SQARRAY is missing on purpose: liburing 2.3 always writes the SQ index array, and corrupts memory
 * where the kernel has left it out.
 */
#ifndef WSR_RING_COMPAT_H
#define WSR_RING_COMPAT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <liburing.h>

/* struct io_uring_buf_reg flags: a receive takes what it needs of a buffer, the next one goes on behind it (6.12). */
#define WSR_PBUF_RING_INC 2u

/* cqe flags: the kernel will put more into this buffer; it is not the application's yet (6.12). */
#define WSR_CQE_F_BUF_MORE (1u << 4)

_Static_assert(sizeof(struct io_uring_buf_reg) == 40 && offsetof(struct io_uring_buf_reg, bgid) == 12,
               "the kernel's layout: flags are the two bytes behind bgid");

/* The field is called pad in 2.3 and flags later. */
static inline void wsr_buf_reg_set_flags(struct io_uring_buf_reg *reg, uint16_t flags)
{
    memcpy((uint8_t *)reg + 14, &flags, sizeof flags);
}

/* io_uring_enable_rings, which the shared library of 2.3 declares and does not export. */
static inline int wsr_uring_enable(struct io_uring *io)
{
    return io_uring_register((unsigned)io->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

#endif
