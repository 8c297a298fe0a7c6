/*
 * ring/sys.h - the synchronous system calls of the engine: sockets, an eventfd, the clock.
 *
 * Everything the library asks of the operating system goes through here or through ring.h, so that the simulator can
 * stand in for all of it (it links its own sys.c). Functions return 0 or a descriptor, or -errno.
 */
#ifndef WSR_RING_SYS_H
#define WSR_RING_SYS_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <wsring/socket.h>
#include <wsring/types.h>

union wsr_address {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
    struct sockaddr_storage room;
};

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t wsr_sys_now_ns(void);

/* An instant, as a loop that looks at memory should let pass between two looks. */
void wsr_sys_relax(void);

/* Cores of this machine that are on. */
unsigned wsr_sys_cores(void);

/* The wall clock: seconds since 1970 in UTC. For dates that servers name, and nothing else. */
int64_t wsr_sys_unix_s(void);

/* Numeric IPv4 or IPv6 host ("127.0.0.1", "::1", "[::1]") and port to an address. -EINVAL if host is not numeric. */
int wsr_sys_address(const char *host, uint16_t port, union wsr_address *out, socklen_t *len);

/* "127.0.0.1:80" or "[::1]:80" into text (at least 64 bytes), always NUL-terminated. */
void wsr_sys_address_text(const union wsr_address *address, char *text, size_t cap);

/* A listening TCP socket, with SO_REUSEADDR and TCP_NODELAY, SO_REUSEPORT if asked, and options: accepted sockets inherit them. */
int wsr_sys_listen_with(const union wsr_address *address, socklen_t len, int backlog, bool reuse_port, const wsr_socket_options *options);

/* The same without options. */
static inline int wsr_sys_listen(const union wsr_address *address, socklen_t len, int backlog, bool reuse_port)
{
    static const wsr_socket_options none;
    return wsr_sys_listen_with(address, len, backlog, reuse_port, &none);
}

/* Has a listening socket hold back who has sent nothing, for about so long. Of no effect where there is no such thing. */
int wsr_sys_defer_accept(int fd, uint64_t ns);

/*
 * Makes a socket of somebody else's one of ours: close-on-exec, blocking, TCP_NODELAY, options. -ENOTSOCK, -EINVAL (not a stream
 * socket, or not listening), -ENOTCONN (listening is false and it is not connected), or what an option was refused with.
 */
int wsr_sys_adopt(int fd, bool listening, const wsr_socket_options *options);

/* Do they make sense? */
static inline bool wsr_sys_options_ok(const wsr_socket_options *options)
{
    return options->dscp < 64;
}

/* Sets the options that are asked for. 0, or -errno of the first that is refused. */
int wsr_sys_set_options(int fd, const wsr_socket_options *options);

/* Binds a socket to connect from an address, any port of its own. -EAFNOSUPPORT if it is of another family. */
int wsr_sys_bind(int fd, const union wsr_address *address, socklen_t len);

/* A TCP socket to connect with: TCP_NODELAY set. */
int wsr_sys_socket(int family);

int wsr_sys_local_address(int fd, union wsr_address *out);
int wsr_sys_peer_address(int fd, union wsr_address *out);
int wsr_sys_shutdown_write(int fd);

/*
 * How many bytes the peer's TCP has acknowledged since the connection began, 0 where that is not to be known. True if the
 * kernel holds others that the peer, or the line, is not ready for yet.
 */
bool wsr_sys_sending(int fd, uint64_t *acked_bytes);

/* Is there anything to be received: bytes, the end of the stream, an error? */
bool wsr_sys_readable(int fd);

/* From now on wsr_sys_receive knows what is left even if it was given all it had room for (TCP; others refuse, which does no harm). */
void wsr_sys_tell_rest(int fd);

/*
 * Received bytes to head and then to body, without waiting: how many (0: the end of the stream), or -errno (-EAGAIN: none is there).
 * *empty: behind them there are no more for now (the end may be there).
 */
long wsr_sys_receive(int fd, wsr_span head, wsr_span body, bool *empty);

/* Sends what the kernel takes of the slices (at most 16) now, without waiting: how many bytes, or -errno (-EAGAIN: none). */
long wsr_sys_send(int fd, const wsr_slice *slices, unsigned n);

/* Ends a connection at once, whoever still holds its socket: what was not sent or read is dropped, and the peer sees a reset. */
void wsr_sys_disconnect(int fd);

void wsr_sys_close(int fd);

/* Closes so that the peer sees a reset, dropping what is unsent (SO_LINGER 0). */
void wsr_sys_reset(int fd);

/* A descriptor to wake a loop with; signal is async-signal-safe and callable from any thread; clear takes the signals away. */
int wsr_sys_eventfd(void);
void wsr_sys_eventfd_signal(int fd);
void wsr_sys_eventfd_clear(int fd);

/* A descriptor kept in reserve, so that one accept can still succeed (and be closed) when the process has no more. */
int wsr_sys_reserve(void);

/* Accepts one connection with the reserve's place, closes it at once (the peer sees the end), for EMFILE. 0 or -errno. */
int wsr_sys_shed(int listen_fd, int *reserve);

enum { /* how memory is mapped */
    WSR_MAP_PREFAULT = 1, /* all pages now */
    WSR_MAP_LOCK = 2,     /* and for good (mlock) */
    WSR_MAP_HUGE = 4      /* in pages of 2 MiB set aside by the system */
};

/*
 * Memory of our own, page-aligned, its content unspecified. how: WSR_MAP_*, the same for both. Returns 0, WSR_ENOMEM,
 * WSR_EMEMLOCK, WSR_EHUGEPAGES.
 */
WSR_MUST_USE int wsr_sys_map(size_t bytes, unsigned how, void **out);
void wsr_sys_unmap(void *ptr, size_t bytes, unsigned how);

/* Why io_uring may be refused here: the sysctl kernel.io_uring_disabled (0 if the kernel has none), and whether a seccomp filter is on. */
int wsr_sys_uring_disabled(void);
bool wsr_sys_seccomp_filtered(void);

#endif
