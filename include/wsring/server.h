/*
 * wsring/server.h - listening, accepting upgrades, draining (RFC 6455 sections 4.2 and 7.1.1). On top of engine.h.
 */
#ifndef WSRING_SERVER_H
#define WSRING_SERVER_H

#include <wsring/engine.h>
#include <wsring/socket.h>
#include <wsring/tls.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zero means the default in brackets. Begin with WSR_LISTEN_CONFIG_INIT. */
typedef struct wsr_listen_config {
    size_t size;              /* sizeof(wsr_listen_config) */
    const char *address;      /* numeric IPv4 or IPv6, as in "0.0.0.0" and "::" for all [NULL: "127.0.0.1"] */
    uint16_t port;            /* 0: any free one, see wsr_listen_port */
    int backlog;              /* [1024] */
    bool reuse_port;          /* SO_REUSEPORT: one listener an engine on the same port, the kernel spreads connections */
    bool manual;              /* report REQUEST events, answered with wsr_accept or wsr_refuse; otherwise all are accepted */
    const char *subprotocols; /* those spoken here, best first, comma-separated [NULL: none] */
    /*
     * The Origins let in, comma-separated: "https://example.com, https://example.com:8443"; all others get 403. Scheme, host and
     * port have to be the same (a port that is the scheme's need not be written). "null" lets in what a browser calls so (files,
     * sandboxed frames), "none" those who send no Origin, which no browser does: programs [NULL: any, and without one]
     */
    const char *origins;
    const char *paths;        /* those served, comma-separated, without query: "/, /chat"; all others get 404 [NULL: any] */
    void *user;               /* the user pointer of its connections */
    wsr_deflate deflate;      /* permessage-deflate for clients that offer it [off] */
    wsr_tls *tls;             /* wss: with this (tls.h), which the listener keeps a hold on [NULL: ws] */
    wsr_socket_options socket; /* of each connection, which inherits them */
    /*
     * A listening stream socket to accept on, in place of address, port, backlog and reuse_port: as inherited through socket activation
     * (SD_LISTEN_FDS_START is 3) or from a predecessor. The engine's from a wsr_listen that returned 0 on [0: none]
     */
    int fd;
    bool adopt_only;          /* does not listen: only wsr_adopt_fd gives it connections */
    /*
     * Each connection must begin with a PROXY protocol header, version 1 or 2 (a load balancer's), before TLS; wsr_peer_address
     * and wsr_local_address say then what it says. Only where nobody but balancers can connect: whoever can, chooses his address.
     * Without one, or past limits.handshake_timeout_ns, the connection ends: WSR_EHAPROXY, WSR_ETIMEOUT_HANDSHAKE.
     */
    bool proxy_protocol;
    /*
     * TCP_DEFER_ACCEPT: who connects stays the kernel's until its first bytes are there, or for about this long, in whole seconds, up.
     * A connection then costs its upgrade some 5 % less, and who says nothing costs no slot; but neither connections_max nor
     * limits.handshake_timeout_ns holds for it before. Of no effect on a unix socket [0: each is taken at once]
     */
    uint64_t defer_accept_ns;
} wsr_listen_config;

#define WSR_LISTEN_CONFIG_INIT WSR_SIZED(wsr_listen_config)

typedef uint32_t wsr_listener; /* 0 is none */

/*
 * Listens. config NULL: all defaults. Strings are copied. Returns 0; WSR_ECONFIG (also for a list that is none); WSR_EINVAL (address is not numeric);
 * WSR_ESYS (errno: EADDRINUSE, EACCES, EPERM for a socket option that needs a privilege ...); WSR_ELIMIT (64 listeners an engine); WSR_ENOMEM;
 * for socket.receive_stamps also WSR_EMEMLOCK, WSR_EHUGEPAGES, as wsr_engine_open.
 */
WSR_API WSR_MUST_USE int wsr_listen(wsr_engine *engine, const wsr_listen_config *config, wsr_listener *out);

/* Why wsr_listen says WSR_ECONFIG to this config, in one line that names the field; NULL: it does not. Static storage; any thread. */
WSR_API const char *wsr_listen_problem(const wsr_listen_config *config);

/*
 * Takes over fd, a connected stream socket, as if the listener had accepted it. prefix: bytes of the stream that somebody else has
 * read already (copied); {NULL, 0} if none, and with TLS none is possible. REQUEST or OPEN follows, as for any. Returns 0 (fd is
 * the engine's from here on); WSR_ESTALE (no such listener); WSR_EINVAL (a prefix with TLS); WSR_ELIMIT; WSR_ESYS (errno: EBADF,
 * ENOTCONN ...); WSR_ENOMEM; WSR_ETLS. *out is written only on success.
 */
WSR_API WSR_MUST_USE int wsr_adopt_fd(wsr_engine *engine, wsr_listener listener, int fd, wsr_slice prefix, wsr_conn *out);

/* The port listened on; 0 for no such listener, or one that has none. */
WSR_API uint16_t wsr_listen_port(const wsr_engine *engine, wsr_listener listener);

/* Stops accepting on one listener; its connections live on. Returns 0, WSR_ESTALE. */
WSR_API WSR_MUST_USE int wsr_unlisten(wsr_engine *engine, wsr_listener listener);

/*
 * Answer a REQUEST, in its batch or later: see wsr_endpoint_accept and wsr_endpoint_refuse. Also WSR_ESTALE. Once wsr_accept
 * has returned 0 the connection is open: send at once, no OPEN event follows. After wsr_refuse, CLOSED follows.
 */
WSR_API WSR_MUST_USE int wsr_accept(wsr_engine *engine, wsr_conn conn, const char *subprotocol, const char *headers);
WSR_API WSR_MUST_USE int wsr_refuse(wsr_engine *engine, wsr_conn conn, unsigned status, const char *headers, wsr_slice body);

/* How to go away. Zero means the default in brackets. Begin with WSR_DRAIN_CONFIG_INIT. */
typedef struct wsr_drain_config {
    size_t size;
    uint16_t code;        /* [1001] */
    const char *reason;   /* UTF-8, at most 123 bytes [NULL: none] */
    uint64_t spread_ns;   /* the Closes are spread over this long, so that clients do not come back as one herd [0] */
    uint64_t timeout_ns;  /* what is left after it is cut [10 s] */
} wsr_drain_config;

#define WSR_DRAIN_CONFIG_INIT WSR_SIZED(wsr_drain_config)

/*
 * config NULL: all defaults. Stops all listeners and closes every connection of the server role behind what was accepted for it. Keep polling:
 * each connection's CLOSED comes as ever. Returns 0, WSR_ECONFIG, WSR_ESTATE (a drain began already), WSR_ESYS (call again).
 */
WSR_API WSR_MUST_USE int wsr_drain(wsr_engine *engine, const wsr_drain_config *config);

/* Connections left to drain: those whose CLOSED has not come yet, so 0 as soon as the last one has. */
WSR_API uint32_t wsr_drain_left(const wsr_engine *engine);

#ifdef __cplusplus
}
#endif

#endif
