/*
 * tools/traffic.h - a load on an echo server from one engine: connections that send, verify every echoed byte, and account
 * for every message. `wsring load` runs one a thread, `wsring demo` one in steps.
 *
 * The accounting: each message that wsr_send accepted is afterwards exactly one of
 *     echoed        its echo came, in its turn (and was right, or is counted wrong too)
 *     undelivered   the close record says that no byte of it left this end
 *     in doubt      handed to the transport, and the connection ended before an echo: the peer may have seen it or not
 * The first is counted here, the other two are what the engine's close record says of itself; where these do not add up to
 * what was sent, the difference is `unaccounted`, and somebody has lost or invented messages.
 */
#ifndef TOOLS_TRAFFIC_H
#define TOOLS_TRAFFIC_H

#include <stdbool.h>
#include <wsring/client.h>

#include "tools/closes.h"
#include "tools/corpus.h"
#include "tools/histogram.h"
#include "tools/size_mix.h"

struct traffic_config {
    const char *url;                 /* as in wsr_connect_config */
    uint32_t connections;
    uint32_t depth;                  /* messages in flight on a connection, at most */
    double rate;                     /* messages a second by the clock, all connections together, echoed or not; 0: as echoes come */
    double text, fragmented, pinged; /* fractions of the messages: text, sent in fragments, with a ping before */
    wsr_deflate deflate;             /* to offer */
    wsr_tls *tls;                    /* for wss; not owned; NULL: one of the engine's own */
    wsr_reconnect reconnect;         /* whether connections come back, not with a rate; without a queue: each message is a connection's own */
    uint64_t ping_interval_ns;       /* of silence before a ping, and after it before the connection is lost; 0: the engine's default */
    uint64_t messages_max;           /* to send, all connections together; 0: no end */
    uint64_t seed;
    const struct size_mix *sizes;
    const struct corpus *corpus; /* shared by all threads, read only */
};

enum { TRAFFIC_ERRORS_MAX = 128 };

struct traffic_totals {
    uint64_t opened, failed;  /* connections: handshake done; or not to be had */
    uint64_t ended_early;     /* of the opened, those that ended before they were asked to, for good */
    uint64_t lost, attempts, reopened; /* lost, to come back; attempts to; those that opened again, which are also counted as opened */
    uint64_t sent, sent_bytes; /* messages, and the bytes of their payloads */
    uint64_t echoed, echoed_bytes;
    uint64_t wrong;           /* of the echoed: not the bytes, length, type or turn that was sent */
    uint64_t deflated;        /* of the echoed: came compressed */
    uint64_t undelivered, in_doubt, unaccounted;
    uint64_t surplus;         /* messages received that nothing was sent for; part of unaccounted */
    uint64_t fragmented, texts; /* of the sent */
    uint64_t pings, pongs;    /* an end may answer only the latest of several pings */
    uint64_t wrong_pongs;
    uint64_t first_send_ns, last_echo_ns; /* 0: none */
    struct closes closes;
    uint64_t errors[TRAFFIC_ERRORS_MAX]; /* causes in close records, by -wsr_error */
    int first_errno;          /* of the first connection that failed with one */
    unsigned first_status;    /* HTTP status of the first that was refused */
    char first_wrong[160];    /* what was wrong with the first wrong echo, or "" */
    struct histogram latency; /* from wsr_send, or from when it was due, to the arrival of the whole echo, ns */
    struct histogram late;    /* with a rate: from when a message was due to wsr_send, ns */
};

enum traffic_state {
    TRAFFIC_IDLE,
    TRAFFIC_CONNECTING,
    TRAFFIC_OPEN,
    TRAFFIC_FINISHING, /* waits for its last echoes, then closes with 1000 */
    TRAFFIC_CLOSING,   /* a Close went out or came in */
    TRAFFIC_CLOSED
};

struct traffic_conn;

struct traffic {
    wsr_engine *engine;
    struct traffic_config config;
    struct traffic_conn *conns;
    struct traffic_message *messages; /* rings of what is in flight, one after another */
    uint32_t ring;                    /* entries of each: a power of two, at least depth */
    uint32_t begun, connecting;       /* connections begun ever; not open yet */
    uint32_t live;                    /* begun and not CLOSED */
    bool sending;                     /* traffic_start was called */
    bool watch_outbox;                /* messages are large enough to fill memory */
    uint64_t budget;                  /* messages still to send */
    uint64_t started_ns, scheduled;   /* with a rate: when the clock began; messages whose time has come since */
    uint64_t in_flight, in_flight_bytes;
    uint32_t text_below, fragment_below, ping_below; /* fractions of 2^24 */
    uint64_t now_ns;                  /* when the present batch was taken */
    struct traffic_totals totals;
};

/* Opens an engine on this thread. Returns 0; what wsr_engine_open returned; WSR_ENOMEM. Config is copied, not what it points to. */
int traffic_open(struct traffic *t, const struct traffic_config *config);

/* Cuts what is left and frees; the totals stay. Call it even if traffic_open failed. */
void traffic_close(struct traffic *t);

/*
 * Polls once and handles the batch; connects further connections, some at a time. Returns the number of events, or what
 * wsr_poll returned.
 */
int traffic_step(struct traffic *t, int64_t timeout_ns);

/* Every connection has opened or failed. */
bool traffic_connected(const struct traffic *t);

/* From now on connections send. */
void traffic_start(struct traffic *t);

/* Connections first to first + n - 1 send no more, wait for their echoes, and close with 1000. */
void traffic_finish(struct traffic *t, uint32_t first, uint32_t n);

/* Ends all connections without a Close. */
void traffic_cut(struct traffic *t);

/* Every message is sent, and has its echo. */
bool traffic_sent_all(const struct traffic *t);

/* No connection is left, and none is to come. */
bool traffic_done(const struct traffic *t);

/* Adds what one thread has counted to the sum. */
void traffic_totals_init(struct traffic_totals *totals);
void traffic_totals_add(struct traffic_totals *into, const struct traffic_totals *from);

/* Nothing is unaccounted, and nothing was wrong. */
bool traffic_is_sound(const struct traffic_totals *totals);

#endif
