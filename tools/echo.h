/*
 * tools/echo.h - an echo server on one engine: every message back to its sender, in order, none lost while the sender reads.
 *
 * One echo belongs to one thread. Where a peer sends and does not read, its outbox fills up; what is refused then is kept
 * here, in order, the connection's reading is paused (TCP stops the peer), and both go on when the engine says WRITABLE.
 */
#ifndef TOOLS_ECHO_H
#define TOOLS_ECHO_H

#include <stdbool.h>
#include <wsring/server.h>

#include "tools/closes.h"
#include "tools/stamps.h"

struct echo_config {
    wsr_config engine;
    wsr_listen_config listen;
    wsr_drain_config drain;
    bool verbose; /* a line on standard error for each connection that opens or ends */
};

/* What has happened, all connections together. */
struct echo_totals {
    uint64_t opened;          /* connections whose handshake succeeded */
    uint64_t handshakes_failed;
    uint64_t cut;             /* still there when the server ended without waiting for them */
    uint64_t received, received_bytes; /* messages, and the bytes of their payloads */
    uint64_t echoed;          /* of them, accepted by the outbox */
    uint64_t late;            /* of them, received behind our Close: not echoed, as they cannot be */
    uint64_t dropped;         /* of them, waiting for room in an outbox when their connection ended */
    uint64_t failed;          /* of them, refused by the outbox for good: the connection was closed with 1011 or 1013 */
    uint64_t undelivered;     /* of the echoed: the outbox still had them when the connection ended */
    uint64_t unconfirmed;     /* of the echoed: partly with the transport when it ended */
    uint64_t paused;          /* how often a connection had to be paused */
    struct closes closes;
};

struct echo {
    wsr_engine *engine;
    wsr_listener listener;
    struct echo_config config;
    struct echo_totals totals;
    struct stamps stamps;    /* where config.listen.socket asks for them */
    struct echo_peer *peers; /* open now, and something was kept for them */
    unsigned ended_n;        /* connections that opened in this batch, whose slot had gone by then */
    bool draining;
};

void echo_totals_add(struct echo_totals *into, const struct echo_totals *from);

/*
 * Opens the engine on this thread and listens. *stage says what failed ("engine", "listen"). Returns 0, or the wsr_error of
 * wsr_engine_open or wsr_listen, with errno as they left it; nothing is open then.
 */
int echo_open(struct echo *echo, const struct echo_config *config, const char **stage);

/* Echoes until the first SIGINT or SIGTERM (signals.h); then drains. A second one cuts. Returns 0, or what wsr_poll returned. */
int echo_run(struct echo *echo);

/* Cuts what is left, and frees. */
void echo_close(struct echo *echo);

#endif
