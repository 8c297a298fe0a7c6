/*
 * client/dial.h - from a host to a connected socket: its name resolved, its addresses tried side by side (RFC 8305, happy
 * eyeballs), the first that answers taken. What it is not: a handshake of any kind, or a second try (comeback.h).
 *
 * A dial lives in a client and belongs to its connection's slot: the slot is not given back while a connect is under way.
 */
#ifndef WSR_CLIENT_DIAL_H
#define WSR_CLIENT_DIAL_H

#include "conn/engine.h"
#include "ring/resolve.h"

/* RFC 8305 section 5: "a simple implementation can have a fixed delay [...] RECOMMENDED [...] 250 milliseconds". */
#define WSR_DIAL_DELAY_NS UINT64_C(250000000)

_Static_assert(WSR_DIALS_MAX >= WSR_RESOLVED_MAX, "each address has an operation of its own");

enum wsr_dial_state { WSR_DIAL_IDLE, WSR_DIAL_RESOLVING, WSR_DIAL_CONNECTING };

struct wsr_dial_try {
    int fd;         /* -1: none */
    bool armed;     /* a connect is under way */
    bool cancelled; /* and a cancel of it */
};

/* What only a dial needs, and no connection that stands. */
struct wsr_dial_room {
    socklen_t unix_len;     /* of the address of a unix socket, in place of the addresses; 0: none */
    union {
        union wsr_ip_address ip[WSR_RESOLVED_MAX];
        struct sockaddr_un un;
    } to;
    struct wsr_dial_try tries[WSR_DIALS_MAX];
};

struct wsr_dial {
    uint8_t state;          /* wsr_dial_state */
    struct wsr_timer timer; /* of the kind WSR_TIMER_CLIENT: the next try, or the deadline */
    uint64_t deadline_ns;
    uint64_t next_ns;       /* when the next address is tried beside those under way */
    unsigned addresses_n, tried_n, failed_n;
    struct wsr_dial_room *room; /* until the last connect has ended; NULL: none is under way */
    /* how it ended, if it did without a connection: for the record */
    int error;              /* WSR_ERESOLVE, WSR_ECONNECT, WSR_ETIMEOUT_CONNECT, WSR_ENOMEM ...; 0: not yet */
    int sys_errno;
    const char *detail;     /* static, or NULL */
};

void wsr_dial_init(struct wsr_dial *dial);

/*
 * Begins to connect c: to a name or numeric address (host, NUL-terminated, without brackets) and port, or if path is not NULL to a
 * unix socket (at most WSR_URL_PATH_MAX bytes). Its end is told by wsr_client_connected or wsr_client_failed, never from within.
 */
void wsr_dial_begin(wsr_engine *engine, struct wsr_connection *c, const char *host, uint16_t port, const char *path, uint64_t timeout_ns);

/* Ends it: nothing more is begun or told. Connects under way are c's to cancel (wsr_conn_cancel, WSR_ARMED_DIAL) and to wait for. */
void wsr_dial_stop(wsr_engine *engine, struct wsr_connection *c);

/* The engine's hooks (conn/engine.h), as far as they are the dial's. */
void wsr_dial_resolved(wsr_engine *engine, struct wsr_batch *batch);
void wsr_dial_completed(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, unsigned which,
                        const struct wsr_completion *completion);
void wsr_dial_timed(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c);
bool wsr_dial_cancel(wsr_engine *engine, struct wsr_connection *c);

/* Closes what is still open, without waiting: the ring is gone, or nothing was under way. */
void wsr_dial_fini(wsr_engine *engine, struct wsr_dial *dial);

/*
 * RFC 8305 section 4: puts n addresses in the order they are tried in: families take turns, the first address's begins, and
 * otherwise they stay as they are.
 */
void wsr_dial_order(union wsr_ip_address *addresses, unsigned n);

#endif
