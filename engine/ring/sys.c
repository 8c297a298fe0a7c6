/*
 * ring/sys.c - sys.h on Linux. The simulator links its own in this one's place.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "ring/sys.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h> /* the C library's tcp_info ends before tcpi_bytes_acked */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

uint64_t wsr_sys_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void wsr_sys_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

unsigned wsr_sys_cores(void)
{
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}

int64_t wsr_sys_unix_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

/* Blocking on purpose: on an O_NONBLOCK socket io_uring answers EAGAIN instead of waiting for it. */
int wsr_sys_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* fails on AF_UNIX, which needs none */
    return fd;
}

int wsr_sys_local_address(int fd, union wsr_address *out)
{
    socklen_t len = sizeof *out;
    memset(out, 0, sizeof *out);
    return getsockname(fd, &out->any, &len) == 0 ? 0 : -errno;
}

int wsr_sys_peer_address(int fd, union wsr_address *out)
{
    socklen_t len = sizeof *out;
    memset(out, 0, sizeof *out);
    return getpeername(fd, &out->any, &len) == 0 ? 0 : -errno;
}

int wsr_sys_shutdown_write(int fd)
{
    return shutdown(fd, SHUT_WR) == 0 ? 0 : -errno;
}

bool wsr_sys_sending(int fd, uint64_t *acked_bytes)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    memset(&info, 0, sizeof info);
    bool known = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0;
    *acked_bytes = known ? info.tcpi_bytes_acked : 0;
    return known && info.tcpi_notsent_bytes > 0;
}

bool wsr_sys_readable(int fd)
{
    struct pollfd looked_at = {.fd = fd, .events = POLLIN, .revents = 0};
    return poll(&looked_at, 1, 0) == 1;
}

void wsr_sys_tell_rest(int fd)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_INQ, &on, sizeof on);
}

/* Is there a note of the kernel's that nothing is left? */
static bool notes_empty(struct msghdr *message)
{
    const struct cmsghdr *note = CMSG_FIRSTHDR(message);
    int left;
    if (note == NULL || note->cmsg_level != IPPROTO_TCP || note->cmsg_type != TCP_CM_INQ)
        return false;
    memcpy(&left, CMSG_DATA(note), sizeof left);
    return left == 0;
}

long wsr_sys_receive(int fd, wsr_span head, wsr_span body, bool *empty)
{
    struct iovec parts[2] = {{head.ptr, head.len}, {body.ptr, body.len}};
    const unsigned skip = head.len == 0;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } note;
    ssize_t n;
    struct msghdr message;
    do {
        message = (struct msghdr){.msg_iov = parts + skip, .msg_iovlen = 2 - skip, .msg_control = note.bytes, .msg_controllen = sizeof note.bytes};
        n = recvmsg(fd, &message, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    *empty = n > 0 && ((size_t)n < head.len + body.len || notes_empty(&message));
    return n >= 0 ? (long)n : -errno;
}

long wsr_sys_send(int fd, const wsr_slice *slices, unsigned n)
{
    struct iovec parts[16];
    assert(n <= sizeof parts / sizeof parts[0]);
    for (unsigned i = 0; i < n; i++)
        parts[i] = (struct iovec){(void *)(uintptr_t)slices[i].ptr, slices[i].len};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = n};
    const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    ssize_t sent;
    do /* of one slice send takes 1 % less time than sendmsg, of 64 KiB */
        sent = n == 1 ? send(fd, parts[0].iov_base, parts[0].iov_len, flags) : sendmsg(fd, &message, flags);
    while (sent < 0 && errno == EINTR);
    return sent >= 0 ? (long)sent : -errno;
}

/* Linux frees the descriptor whatever close says: never again on EINTR, it may be another's by then. */
void wsr_sys_close(int fd)
{
    (void)close(fd);
}

void wsr_sys_reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    (void)close(fd);
}

void wsr_sys_disconnect(int fd)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    (void)connect(fd, &none, sizeof none); /* fails only where there is nothing to be ended */
}

int wsr_sys_eventfd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd >= 0 ? fd : -errno;
}

void wsr_sys_eventfd_signal(int fd)
{
    int saved = errno; /* may run in a signal handler */
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one); /* EAGAIN: the counter is full, so it is readable anyway */
    (void)n;
    errno = saved;
}

void wsr_sys_eventfd_clear(int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n;
}

int wsr_sys_reserve(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

int wsr_sys_shed(int listen_fd, int *reserve)
{
    if (*reserve >= 0)
        close(*reserve);
    *reserve = -1;
    int result;
    struct pollfd waiting = {.fd = listen_fd, .events = POLLIN, .revents = 0};
    int n = poll(&waiting, 1, 0); /* the listener is a blocking one: never accept without knowing that somebody waits */
    int fd = n == 1 ? accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC) : -1;
    if (fd >= 0)
        result = 0;
    else
        result = n == 0 ? -EAGAIN : -errno;
    if (fd >= 0)
        close(fd);
    *reserve = wsr_sys_reserve();
    if (*reserve < 0)
        *reserve = -1;
    return result;
}

/* A mapping of huge pages is a number of them. */
static size_t mapped_bytes(size_t bytes, unsigned how)
{
    const size_t huge = (size_t)2 << 20;
    return (how & WSR_MAP_HUGE) != 0 ? (bytes + huge - 1) & ~(huge - 1) : bytes;
}

int wsr_sys_map(size_t bytes, unsigned how, void **out)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    if ((how & WSR_MAP_HUGE) != 0)
        flags |= MAP_HUGETLB | 21 << MAP_HUGE_SHIFT; /* 2^21 */
    if ((how & WSR_MAP_PREFAULT) != 0)
        flags |= MAP_POPULATE;
    bytes = mapped_bytes(bytes, how);
    void *ptr = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (ptr == MAP_FAILED)
        return (how & WSR_MAP_HUGE) != 0 ? WSR_EHUGEPAGES : WSR_ENOMEM;
    if ((how & WSR_MAP_LOCK) != 0 && mlock(ptr, bytes) != 0) {
        const int error = errno;
        (void)munmap(ptr, bytes);
        return error == ENOMEM || error == EPERM || error == EAGAIN ? WSR_EMEMLOCK : WSR_ENOMEM;
    }
    *out = ptr;
    return WSR_OK;
}

void wsr_sys_unmap(void *ptr, size_t bytes, unsigned how)
{
    (void)munmap(ptr, mapped_bytes(bytes, how));
}

int wsr_sys_uring_disabled(void)
{
    int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0; /* before 6.6 */
    char text[8] = {0};
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 ? atoi(text) : 0;
}

bool wsr_sys_seccomp_filtered(void)
{
    return prctl(PR_GET_SECCOMP) == 2;
}
