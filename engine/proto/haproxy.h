/*
 * proto/haproxy.h - the PROXY protocol, versions 1 and 2, at the receiving end: whose connection a load balancer passes on.
 * Source: HAProxy's proxy-protocol.txt, sections 2.1 and 2.2. Not here: a client's way through a proxy (proto/proxy.h).
 */
#ifndef WSR_PROTO_HAPROXY_H
#define WSR_PROTO_HAPROXY_H

#include <wsring/types.h>

enum wsr_haproxy_family {
    WSR_HAPROXY_NONE = 0, /* LOCAL, UNKNOWN, a unix socket: the connection's own addresses go */
    WSR_HAPROXY_IPV4 = 4,
    WSR_HAPROXY_IPV6 = 6
};

struct wsr_haproxy {
    enum wsr_haproxy_family family;
    uint8_t source[16], destination[16]; /* IPv4: the first four; in network order */
    uint16_t source_port, destination_port;
};

/* Of this many bytes the parser always knows what it needs to, and how long the header is. */
#define WSR_HAPROXY_HEAD_MAX 107u

/* Version 2 may carry this much that is skipped (TLVs); a longer one is refused. */
#define WSR_HAPROXY_BYTES_MAX 4096u

/*
 * Parses the header at the beginning of a stream. Returns its length: more than len where what is left of it is to be skipped
 * unseen; *out is complete then. 0: more bytes are needed, len is less than WSR_HAPROXY_HEAD_MAX. WSR_EHAPROXY: it is none.
 */
WSR_MUST_USE int wsr_haproxy_parse(const uint8_t *p, size_t len, struct wsr_haproxy *out);

#endif
