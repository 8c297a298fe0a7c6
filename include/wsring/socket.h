/*
 * wsring/socket.h - what the kernel is to do with a connection's socket. Part of wsr_listen_config and wsr_connect_config.
 */
#ifndef WSRING_SOCKET_H
#define WSRING_SOCKET_H

#include <wsring/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Zero leaves the system's default. TCP_NODELAY is always set. What does not fit the kind of socket (a unix one has no TCP) is
 * left out; what the kernel refuses is an error of the call that makes the socket, with its errno.
 */
typedef struct wsr_socket_options {
    uint64_t user_timeout_ns;       /* TCP_USER_TIMEOUT: sent and not acknowledged this long ends the connection (ETIMEDOUT); to the ms */
    uint64_t keepalive_idle_ns;     /* SO_KEEPALIVE: TCP's own probes after so long a silence; to the second. limits.ping_* does more */
    uint64_t keepalive_interval_ns; /* between two probes; to the second */
    uint32_t keepalive_probes;      /* unanswered ones, and it is over [the system's] */
    uint8_t dscp;                   /* RFC 2474: 0 to 63, in every packet (IP_TOS, IPV6_TCLASS), as in 46 for expedited forwarding */
    uint32_t busy_poll_us;          /* SO_BUSY_POLL: how long a receive polls the network card; needs CAP_NET_ADMIN */
} wsr_socket_options;

#ifdef __cplusplus
}
#endif

#endif
