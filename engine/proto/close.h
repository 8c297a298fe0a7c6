/*
 * proto/close.h - how a connection ends: one table, state x input gives {next state, who began, actions}
 * (RFC 6455 sections 5.5.1, 7.1 and 7.2), and the payload of a Close frame in and out.
 *
 * Pure: no clock, no queue, no socket, no memory. The endpoint tells it what happened, one input at a time, and carries
 * out the action bits that come back. It is not here to decide what is a protocol failure, how long a deadline is, or
 * when bytes move.
 *
 * States. Two questions make them: where is our Close, and where is the peer's?
 *
 *                      peer's: not yet     received      nothing is read any more   the stream has ended
 *   ours: none         OPEN                                                        (DONE)
 *         queued       SENT                RECEIVED      FAILED                     LAST
 *         flushed      AWAITING            LINGER        LINGER                    (DONE)
 *         impossible   BROKEN                                                      (DONE)
 *
 * The table. A cell is the next state; "." is: nothing happens. Every way into DONE reports, and nothing else does.
 *
 *                OPEN       SENT       AWAITING  RECEIVED  FAILED   LAST    BROKEN   LINGER   DONE
 *   LOCAL_CLOSE  SENT       .          .         .         .        .       .        .        .
 *   LOCAL_ABORT  DONE       DONE       DONE      DONE      DONE     DONE    DONE     DONE     .
 *   PEER_CLOSE   RECEIVED   RECEIVED   LINGER    .         .        .       DONE     .        .
 *   FAILURE      FAILED     FAILED     LINGER    FAILED    .        LAST    DONE     .        .
 *   EOF          DONE       LAST       DONE      LAST      LAST     .       DONE     DONE     .
 *   RESET        DONE       DONE       DONE      DONE      DONE     DONE    DONE     DONE     .
 *   SEND_ERROR   BROKEN     BROKEN     .         DONE      DONE     DONE    .        .        .
 *   TIMEOUT      .          FAILED     DONE      FAILED    DONE     DONE    DONE     DONE     .
 *   FLUSHED      .          AWAITING   .         LINGER    LINGER   DONE    .        .        .
 *
 * Why so:
 * - One Close only, ever: OPEN is the only state that sends one, and nothing leads back to it. SENT x PEER_CLOSE is the
 *   simultaneous close: ours is on its way already. It is recorded as WSR_BY_BOTH because ours had not left this end, so
 *   the peer's cannot be its answer. A Close that comes when ours has left is taken for the answer.
 * - A Close stands behind all data accepted before it; only FAILURE and a deadline (TIMEOUT with ours still queued) drop
 *   that data, and then Close goes next, with the code it already had if it was queued.
 * - AWAITING and BROKEN read on: a peer's messages that were on their way are delivered, and after a send error the
 *   peer's Close, which says why it hung up, is very often still in the receive buffer.
 * - An end of stream is not the end while our Close is still queued (LAST): peers half-close, or send Close and FIN in one
 *   packet, and still want the answer, or the 1002 that tells them what they did wrong.
 * - LINGER: closing a socket with unread input sends RST, which may destroy our Close at the peer. So the write side is
 *   shut down and input discarded until the peer's end of stream. RFC 6455 section 7.1.1: the server ends TCP first, so a
 *   client does not shut down; it waits for the server's end of stream, or for the deadline.
 * - Each of SENT, AWAITING, RECEIVED, FAILED, LAST, BROKEN and LINGER has a deadline running: no peer keeps one for ever.
 *
 * Exhaustively modelled against itself over a lossy transport: tests/model_close.c, which reads this very table.
 */
#ifndef WSR_PROTO_CLOSE_H
#define WSR_PROTO_CLOSE_H

#include <wsring/close.h>

#ifdef __cplusplus
extern "C" {
#endif

enum wsr_close_state {
    WSR_CS_OPEN = 0, /* so a zeroed struct wsr_close is an open connection */
    WSR_CS_SENT,     /* our Close is queued, behind data perhaps; the peer's messages are still read */
    WSR_CS_AWAITING, /* our Close has been given to the transport; the peer's has not come */
    WSR_CS_RECEIVED, /* the peer's Close has come, ours is queued */
    WSR_CS_FAILED,   /* input is given up (a failure or a deadline), our Close is queued and goes next */
    WSR_CS_LAST,     /* the peer's stream has ended, our Close is queued */
    WSR_CS_BROKEN,   /* nothing can be sent any more; input is read for what it still holds */
    WSR_CS_LINGER,   /* our part is done; input is discarded until the peer's stream ends */
    WSR_CS_DONE,     /* reported; every further input is ignored */
    WSR_CS_COUNT
};

enum wsr_close_input {
    WSR_CI_LOCAL_CLOSE, /* the application closes; code = what it wants to send, 1005 for none */
    WSR_CI_LOCAL_ABORT, /* the application cuts */
    WSR_CI_PEER_CLOSE,  /* a valid Close frame was read; code = its code, 1005 if it had none */
    WSR_CI_FAILURE,     /* the peer broke the protocol, or this end cannot go on (no memory, idle or ping deadline);
                           code = the one that says so */
    WSR_CI_EOF,         /* the peer's stream ended, with or without TLS close_notify (the cause is the caller's to record) */
    WSR_CI_RESET,       /* receiving failed: nothing more will come */
    WSR_CI_SEND_ERROR,  /* sending failed: nothing more can go. Receiving may go on. */
    WSR_CI_TIMEOUT,     /* the deadline last armed by WSR_CA_TIMER has passed */
    WSR_CI_FLUSHED,     /* every byte of our Close, and so all before it, was given to the transport */
    WSR_CI_COUNT
};

/* What the endpoint is to do, in this order. */
enum wsr_close_action {
    WSR_CA_DROP = 0x01,      /* drop what is queued, at a frame boundary: a frame begun is finished, a Close that is queued
                                stays; count the messages as undelivered */
    WSR_CA_SEND = 0x02,      /* queue a Close with c->code_sent behind all that is (still) queued; accept no data after */
    WSR_CA_READ_ON = 0x04,   /* feed = parse_closing: deliver the peer's messages, flagged; queue no pong */
    WSR_CA_DISCARD = 0x08,   /* feed = discard: read and throw away */
    WSR_CA_SHUT_DOWN = 0x10, /* half-close: TLS close_notify, shutdown(SHUT_WR); all has been flushed. Servers only. */
    WSR_CA_TIMER = 0x20,     /* start the deadline afresh: the linger time if the state is now LINGER, else the close time */
    WSR_CA_REPORT = 0x40     /* the connection is over: stop the deadline, count what is still queued as lost, close the
                                transport, emit CLOSED. Given exactly once, and alone. */
};

struct wsr_close_cell {
    uint8_t next;    /* a wsr_close_state; 0 (OPEN, to which nothing leads) is: stay, do nothing */
    uint8_t by;      /* a wsr_close_by, taken if nobody has been named yet; BOTH always */
    uint8_t actions; /* wsr_close_action bits */
};

struct wsr_close_table {
    struct wsr_close_cell at[WSR_CS_COUNT][WSR_CI_COUNT];
};

/* The table above. */
extern const struct wsr_close_table wsr_close_table;

/* All that closing costs a connection: eight bytes. Zeroed is open. Read it freely; only wsr_close_step writes it. */
struct wsr_close {
    uint8_t state;          /* a wsr_close_state */
    uint8_t by;             /* a wsr_close_by */
    bool flushed : 1;       /* our Close was given to the transport */
    bool dropped : 1;       /* WSR_CA_DROP was given */
    bool clean : 1;         /* the close record's */
    uint16_t code_sent;     /* of the Close queued or sent; 0: none; 1005: without a code */
    uint16_t code_received; /* 0: none; 1005: without a code */
};

/*
 * Takes one input and returns the actions (0: none).
 *
 * code: as the input says, 0 for the others. It is taken only if the input does something: a second LOCAL_CLOSE changes
 * nothing. The peer's code is the one our answer echoes (RFC 6455 section 5.5.1), whatever a role may send by itself.
 * role: this end's; it decides only who ends TCP first.
 */
WSR_MUST_USE unsigned wsr_close_step(struct wsr_close *c, enum wsr_close_input in, uint16_t code, wsr_role role);

/* wsr_close_step over another table: for the model, which proves that a wrong cell is found out. */
WSR_MUST_USE unsigned wsr_close_step_in(const struct wsr_close_table *table, struct wsr_close *c, enum wsr_close_input in, uint16_t code,
                                        wsr_role role);

/* May data, pings and pongs be queued? */
static inline bool wsr_close_is_open(const struct wsr_close *c)
{
    return c->state == WSR_CS_OPEN;
}

/* Of the close record: code_sent counts only once it has left this end. */
static inline uint16_t wsr_close_code_sent(const struct wsr_close *c)
{
    return c->flushed ? c->code_sent : 0;
}

/* Of the close record, code: the received one, else the sent one, else 1006. */
uint16_t wsr_close_code(const struct wsr_close *c);

/*
 * Reads the payload of a Close frame (RFC 6455 section 5.5.1), unmasked and whole.
 *
 * peer: the role of the end that sent it. On 0, *code is its code, 1005 for an empty payload, and *reason the bytes
 * behind it (borrowed from payload; may be empty). On an error, WSR_ECLOSE_LENGTH, WSR_ECLOSE_CODE, WSR_ECLOSE_REASON or
 * WSR_ECONTROL_LENGTH, both are left alone.
 */
WSR_MUST_USE int wsr_close_payload_parse(wsr_slice payload, wsr_role peer, uint16_t *code, wsr_slice *reason);

/*
 * May an application of this role close with code and reason? 0, or WSR_EBADCODE (also for a reason without a code),
 * WSR_ETOOBIG (a reason of more than WSR_CLOSE_REASON_MAX bytes), WSR_EBADUTF8. 0 and 1005 stand for "no code", which is
 * allowed; wsr_close_step and wsr_close_payload_encode know it as 1005 alone.
 */
WSR_MUST_USE int wsr_close_payload_check(uint16_t code, wsr_slice reason, wsr_role role);

/*
 * Writes the payload of a Close frame: out has room for 125 bytes. code 1005 and no reason: an empty payload. The reason
 * is at most WSR_CLOSE_REASON_MAX bytes (asserted). Returns the bytes written, 0 or 2 to 125.
 */
WSR_MUST_USE unsigned wsr_close_payload_encode(uint8_t *out, uint16_t code, wsr_slice reason);

#ifdef __cplusplus
}
#endif

#endif
