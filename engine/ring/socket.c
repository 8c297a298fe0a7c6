/*
 * ring/socket.c - sockets made, taken over and set as asked (sys.h). The simulator links its own in this one's place.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "ring/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/net_tstamp.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define MS_NS UINT64_C(1000000)
#define SECOND_NS (1000 * MS_NS)

/* The kernel's stamps, and the card's where it makes some: both are taken, both are told. */
#define RECEIVE_STAMPS (SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE)

/* In whole units, at least one, as an int. */
static int units(uint64_t ns, uint64_t unit_ns)
{
    const uint64_t n = ns / unit_ns + (ns % unit_ns != 0);
    return n < INT_MAX ? (int)n : INT_MAX;
}

/* Is it a socket that has no such thing? */
static bool is_foreign(int error)
{
    return error == EOPNOTSUPP || error == ENOPROTOOPT;
}

static int set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0 || is_foreign(errno) ? 0 : -errno;
}

static int family_of(int fd)
{
    int family = AF_UNSPEC;
    socklen_t len = sizeof family;
    (void)getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
    return family;
}

static int set_dscp(int fd, uint8_t dscp)
{
    const int field = dscp << 2; /* the two bits below are ECN's, which the kernel keeps */
    switch (family_of(fd)) {
    case AF_INET6: {
        const int error = set(fd, IPPROTO_IPV6, IPV6_TCLASS, field);
        (void)set(fd, IPPROTO_IP, IP_TOS, field); /* for IPv4 addresses mapped into it */
        return error;
    }
    case AF_INET:
        return set(fd, IPPROTO_IP, IP_TOS, field);
    default:
        return 0;
    }
}

int wsr_sys_set_options(int fd, const wsr_socket_options *options)
{
    const struct {
        bool asked;
        int level, name, value;
    } rows[] = {
        {options->user_timeout_ns != 0, IPPROTO_TCP, TCP_USER_TIMEOUT, units(options->user_timeout_ns, MS_NS)},
        {options->keepalive_idle_ns != 0 || options->keepalive_interval_ns != 0 || options->keepalive_probes != 0, SOL_SOCKET, SO_KEEPALIVE, 1},
        {options->keepalive_idle_ns != 0, IPPROTO_TCP, TCP_KEEPIDLE, units(options->keepalive_idle_ns, SECOND_NS)},
        {options->keepalive_interval_ns != 0, IPPROTO_TCP, TCP_KEEPINTVL, units(options->keepalive_interval_ns, SECOND_NS)},
        {options->keepalive_probes != 0, IPPROTO_TCP, TCP_KEEPCNT, units(options->keepalive_probes, 1)},
        {options->busy_poll_us != 0, SOL_SOCKET, SO_BUSY_POLL, units(options->busy_poll_us, 1)},
        {options->receive_stamps, SOL_SOCKET, SO_TIMESTAMPING, RECEIVE_STAMPS},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const int error = rows[i].asked ? set(fd, rows[i].level, rows[i].name, rows[i].value) : 0;
        if (error < 0)
            return error;
    }
    return options->dscp != 0 ? set_dscp(fd, options->dscp) : 0;
}

int wsr_sys_listen_with(const union wsr_address *address, socklen_t len, int backlog, bool reuse_port, const wsr_socket_options *options)
{
    int fd = wsr_sys_socket(address->any.sa_family);
    if (fd < 0)
        return fd;
    const int on = 1;
    int error = wsr_sys_set_options(fd, options);
    if (error == 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
                       (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) || bind(fd, &address->any, len) != 0 ||
                       listen(fd, backlog) != 0))
        error = -errno;
    if (error < 0) {
        close(fd);
        return error;
    }
    return fd;
}

int wsr_sys_defer_accept(int fd, uint64_t ns)
{
    return set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, units(ns, SECOND_NS));
}

int wsr_sys_adopt(int fd, bool listening, const wsr_socket_options *options)
{
    int type = 0, is_listening = 0;
    socklen_t len = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0)
        return -errno;
    len = sizeof is_listening;
    if (type != SOCK_STREAM || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) != 0 || (is_listening != 0) != listening)
        return -EINVAL;
    union wsr_address peer;
    int error = listening ? 0 : wsr_sys_peer_address(fd, &peer);
    const int flags = fcntl(fd, F_GETFL);
    if (error == 0 && (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0))
        error = -errno;
    if (error == 0)
        error = set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return error == 0 ? wsr_sys_set_options(fd, options) : error;
}

int wsr_sys_bind(int fd, const union wsr_address *address, socklen_t len)
{
    if (family_of(fd) != address->any.sa_family)
        return -EAFNOSUPPORT;
    (void)set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1); /* the port is chosen when it is known for which connection */
    return bind(fd, &address->any, len) == 0 ? 0 : -errno;
}
