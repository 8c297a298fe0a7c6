/*
 * tests/test_same.c - scripts of lib/same.h on the real kernel, over loopback.
 */
#include "lib/same.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void begin(uint64_t seed)
{
    (void)seed;
}

static int peer_connect(uint16_t port)
{
    const struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) < 0)
        return -1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static long peer_write(int fd, const void *bytes, size_t len)
{
    const ssize_t n = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n >= 0 ? (long)n : -errno;
}

static long peer_read(int fd, void *bytes, size_t cap)
{
    const ssize_t n = recv(fd, bytes, cap, MSG_DONTWAIT);
    return n >= 0 ? (long)n : -errno;
}

static void peer_shut(int fd)
{
    (void)shutdown(fd, SHUT_WR);
}

static void peer_reset(int fd)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    (void)close(fd);
}

static void peer_close(int fd)
{
    (void)close(fd);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv)
{
    static const struct same_host host = {begin, peer_connect, peer_write, peer_read, peer_shut, peer_reset, peer_close, now_ns};
    return same_main(argc, argv, &host);
}
