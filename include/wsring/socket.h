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
    bool receive_stamps;            /* SO_TIMESTAMPING: events have a wsr_receive_stamp. Costs some 3 % of a small echo's CPU, and large messages a copy */
} wsr_socket_options;

/*
 * When the kernel had what was received (SO_TIMESTAMPING, Documentation/networking/timestamping.rst): one stamp a receive, that of its
 * newest segment; what the card or the kernel merged into one segment has the last one's. So it is no message's own: where a receive
 * brings several (WSR_EVENT_STAMP_SHARED), all but the last may have been there earlier, and none later. CLOCK_REALTIME now, less
 * realtime_ns, is what the host itself added: the kernel's TCP, the wait for this thread, the library.
 *
 * A socket of another kind than TCP has no stamps. The first listener or connection that asks for them has the engine map receive
 * buffers for all that do, 4 MiB if wsr_config does not say otherwise. Refused with WSR_ESYS and EOPNOTSUPP: WSR_WITHOUT_MULTISHOT.
 */
typedef struct wsr_receive_stamp {
    uint64_t realtime_ns; /* CLOCK_REALTIME when the driver handed it to the kernel; 0: the kernel did not say */
    uint64_t hardware_ns; /* the card's own clock when it came off the wire, raw, where the card is set up to (hwstamp_ctl, ptp4l); 0: it did not say */
} wsr_receive_stamp;

#ifdef __cplusplus
}
#endif

#endif
