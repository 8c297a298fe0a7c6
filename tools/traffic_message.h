/*
 * tools/traffic_message.h - the messages of a load: choosing, sending, verifying. Private to traffic*.c.
 */
#ifndef TOOLS_TRAFFIC_MESSAGE_H
#define TOOLS_TRAFFIC_MESSAGE_H

#include "tools/traffic.h"

/*
 * A connection that has something in flight sends no more while its own outbox holds this much, or while all connections
 * together have this much under way: depth is meant to fill a pipe, not the memory of both ends.
 */
#define TRAFFIC_OUTBOX_BYTES (1u << 20)
#define TRAFFIC_IN_FLIGHT_BYTES_MAX (256ull << 20)

/* One in flight: what its echo must be is this slice of the corpus. */
struct traffic_message {
    uint64_t sent_ns; /* when it was sent; with a rate, when that was due */
    uint32_t offset, len; /* bytes */
    uint32_t fragment_bytes; /* 0: sent whole */
    uint8_t opcode;
};

struct traffic_conn {
    wsr_conn id;
    uint8_t state; /* enum traffic_state */
    bool opened;   /* ever */
    bool up;       /* now: opened, and neither lost nor closed since */
    bool drawn;    /* the next message has been chosen, and was refused by the outbox */
    uint32_t cursor; /* in the corpus */
    uint64_t random;
    uint64_t sent, echoed; /* messages; the difference is in flight */
    uint64_t before;       /* of them, those of connections that were lost: they are settled, and counted as echoed here */
    uint64_t pings, ponged; /* number of the last ping sent, and of the last answered */
    struct traffic_message *messages; /* a ring: message i is at i modulo its size */
};

/* Sends what the connection may send now. */
void traffic_fill(struct traffic *t, struct traffic_conn *c);

/*
 * With a rate: message i is due so long after traffic_start, on connection i modulo their number. What is due is sent if it may
 * be, and else as soon as it may, but its latency counts from when it was due: one that waits is as late as the server made it.
 */
void traffic_send_due(struct traffic *t);

/* How long until the next one is due; INT64_MAX without a rate. */
int64_t traffic_due_in_ns(const struct traffic *t);

/* Holds a received message against what was sent. */
void traffic_verify(struct traffic *t, struct traffic_conn *c, const wsr_event *event);
void traffic_verify_pong(struct traffic *t, struct traffic_conn *c, const wsr_event *event);

#endif
