/*
 * proto/endpoint.h - the insides of a sans-I/O endpoint: what the frame path, the handshake and the closing share.
 *
 * One direction in:  feed pointer (handshake -> parse -> parse_closing -> discard) -> events in a batch.
 * One direction out: outbox -> drain. Nothing on the way in calls the application; nothing on the way out calls the parser.
 * Not here: sockets, clocks, malloc, randomness; all of these are in wsr_env or arguments (style.md 7).
 */
#ifndef WSR_PROTO_ENDPOINT_H
#define WSR_PROTO_ENDPOINT_H

#include <wsring/endpoint.h>

#include "base/pool.h"
#include "proto/close.h"
#include "proto/keypool.h"
#include "proto/outbox.h"
#include "simd/simd.h"

struct wsr_consume;
struct wsr_deflate_ops;
struct wsr_inflate_ops;
struct wsr_permessage;
struct wsr_shared_deflater;

/* What permessage-deflate (proto/permessage.h) works with, and what endpoints share of it. */
struct wsr_deflate_env {
    const struct wsr_inflate_ops *inflate;     /* supplied by whoever opens; NULL: permessage-deflate cannot be on */
    const struct wsr_deflate_ops *fast, *small; /* level 0; levels 1 to 9 */
    struct wsr_shared_deflater *shared;
    struct wsr_codec *spares[4];               /* decompressors that nobody uses now */
    unsigned spares_n;
};

struct wsr_batch;
struct wsr_endpoint;

/* A frame or a message that has begun and not ended, for as long as it is so. */
struct wsr_incoming {
    struct wsr_chunk *memory;     /* holds this struct; NULL: it is env->incoming, and lasts for a call */
    wsr_text_state text;          /* masking key of the frame, UTF-8 state of the message */
    uint64_t left;                /* payload bytes of the current frame still to come */
    struct wsr_chunk *message;    /* payload of the unfinished message, grown as bytes come; NULL if it is streamed */
    uint64_t streamed;            /* bytes of the unfinished message that CHUNK events have delivered */
    struct wsr_chunk *control;    /* payload of an unfinished control frame */
    uint32_t empty_fragments;     /* in this message */
    uint8_t head[14];             /* a frame header of which a part has come */
    uint8_t head_len;             /* bytes of it present; 0: at a frame boundary or inside a payload */
    uint8_t first;                /* first byte of the current frame */
    uint8_t message_opcode;       /* of the fragmented message that is open: WSR_TEXT, WSR_BINARY; 0: none */
    bool in_payload;
};

/* Is the end of a connection its end? */
enum wsr_lost {
    WSR_LOST_FOR_GOOD, /* CLOSED, with the record as it now is */
    WSR_LOST_FOR_NOW,  /* RECONNECTING, with what was written to *shown */
    WSR_LOST_LATER     /* neither yet: the batch has no room for what comes before it */
};

#define WSR_PING_TAG_LEN 8u

/* What all endpoints of one engine (one thread) share. A lone endpoint has one of its own. */
struct wsr_env {
    struct wsr_pool pool;
    struct wsr_keypool keys;         /* masking keys, for clients */
    struct wsr_framer framers[2];    /* with the two above: for servers, for clients */
    wsr_limits limits;               /* every field set */
    const struct wsr_kernels *kernels;
    const struct wsr_consume *consume;
    struct wsr_incoming incoming;    /* of the endpoint that is fed now: most that begins ends in the same call */
    struct wsr_chunk *retired;       /* memory that events of the current batch point to */
    uint32_t batch_serial;           /* counts batches; endpoints note in which they emitted */
    size_t retired_bytes;            /* their size: what the batch holds beyond the transport's own buffers */
    wsr_close_record spare_record;   /* for a CLOSED that finds no memory, one a batch: with the end of a connection memory comes back */
    uint32_t spare_serial;           /* the batch it was used in last; 0: none */
    size_t batch_bytes_max;          /* of that, after which input has to wait for the next batch; SIZE_MAX: whoever feeds sees to it */
    uint32_t pings;                  /* keepalive pings queued; a number of one is in its payload */
    uint8_t ping_tag[WSR_PING_TAG_LEN]; /* and so is this; random, once pings is not 0 */
    struct wsr_deflate_env deflate;
    int (*random)(void *context, uint8_t *out, size_t n);
    void *random_context;
    int (*sha1)(const uint8_t *in, size_t len, uint8_t out[20]); /* 0 on success */
    /* What a client that comes back (client/comeback.c) has to say to an end, and to an OPEN event that was just written; NULL: nothing. */
    enum wsr_lost (*lost)(struct wsr_endpoint *ep, struct wsr_batch *batch, wsr_close_record *record, wsr_span *shown);
    void (*opened)(struct wsr_endpoint *ep, wsr_event *open);
    bool refuses_upgrades;           /* for want of memory */
    uint64_t upgrades_refused;
    /* of connections whose CLOSED was reported */
    uint64_t messages_undelivered, messages_unconfirmed, handshakes_failed;
};

/* Events being written; one poll or feed. */
struct wsr_batch {
    wsr_event *ev;
    unsigned cap;
    unsigned n;
    uint64_t now_ns;
};

/* Takes bytes in, returns how many it consumed: less than len only for want of room in the batch, or after a change of ep->feed. */
typedef size_t wsr_feed_fn(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len);

enum { /* wsr_endpoint.flags */
    WSR_EP_OPEN = 1 << 0,            /* the handshake is done */
    WSR_EP_MANUAL = 1 << 1,          /* report REQUEST and wait */
    WSR_EP_OWES_WRITABLE = 1 << 2,   /* a send was refused with WSR_EFULL, or it is wanted */
    WSR_EP_OWES_CLOSED = 1 << 3,     /* the transport is done, CLOSED waits for room in a batch */
    WSR_EP_CLOSED = 1 << 4,          /* CLOSED was delivered: nothing more will be */
    WSR_EP_SHUTDOWN = 1 << 5,        /* the close module wants the sending side shut down once the outbox is empty */
    WSR_EP_MASKS = 1 << 6,           /* role is client */
    WSR_EP_AFTER_CLOSE = 1 << 7,     /* our Close is out: messages are flagged, pings not answered */
    WSR_EP_FAILED_HANDSHAKE = 1 << 8,
    WSR_EP_PINGED = 1 << 9,          /* a keepalive ping is out and nothing has come since */
    WSR_EP_STREAMS = 1 << 10,        /* the open message is larger than whole_bytes_max: it is delivered in chunks */
    WSR_EP_PING_WAITS = 1 << 11,     /* a keepalive ping was queued, and the transport may not have taken it yet */
    WSR_EP_LOST = 1 << 12,           /* RECONNECTING was delivered in place of CLOSED */
    WSR_EP_BLANK = 1 << 13,          /* a client's between two attempts: there is no transport, and none is being made */
    WSR_EP_ENDS = 1 << 14,           /* close_deadline_ns, and not received_ns */
    WSR_EP_DROPPED = 1 << 15         /* what was queued was dropped: wsr_endpoint.dropped, and not .waits */
};

/*
 * An idle connection pays for all of this, so what it does without is kept elsewhere: `in` while a frame or a message is open, `aside` for
 * handshakes, compression, TLS and ends. What a message touches stands together, and first.
 */
struct wsr_endpoint {
    wsr_feed_fn *feed;
    struct wsr_env *env;
    wsr_conn conn;
    void *user;

    struct wsr_incoming *in;      /* NULL: all that has come was whole */
    struct wsr_chunk *aside;      /* what there mostly is not (proto/aside.h); NULL: nothing of it */
    struct wsr_close close;
    uint16_t flags;
    int16_t cause;                /* of the close record, as are sys_errno, http_status and the alert: here, for they must not need memory */
    uint32_t control_run;         /* control frames since the last data frame */
    struct wsr_outbox out;
    uint64_t messages_in, bytes_in, frames_in;
    union {
        uint64_t received_ns;       /* last input */
        uint64_t close_deadline_ns; /* WSR_EP_ENDS: of what the close module waits for, or a failed handshake */
    };
    uint32_t emitted_in;          /* env->batch_serial at the last event; 0: none yet */

    uint32_t assembled_bytes;     /* of the last message that was assembled: what the next one may have at once */
    uint64_t opened_ns;           /* the transport's opening; UINT64_MAX: it is not there yet */
    uint64_t round_trip_ns;       /* of the last keepalive ping that was answered; 0: none */
    union {
        struct {
            uint64_t pinged_ns;     /* when the last keepalive ping left, or was queued */
            uint32_t ping;          /* its number, while it is not answered; 0: none */
            uint32_t refused_bytes; /* the largest payload that WSR_EFULL was said to; WRITABLE means that it fits. UINT32_MAX: that or more */
        } waits;
        struct {
            uint64_t messages, bytes; /* undelivered: nothing is sent any more, and nobody waits for its answer */
        } dropped; /* WSR_EP_DROPPED */
    };
    int16_t sys_errno;
    uint16_t http_status;
    uint8_t tls_alert;
    bool tls_alert_received;
};

/*
 * Initialises an endpoint in place (an engine's slot): what its conn and aside are stays. config->limits, allocator, random and
 * kernels are not read: env has them. Returns as wsr_endpoint_open.
 */
WSR_MUST_USE int wsr_endpoint_init(struct wsr_endpoint *ep, struct wsr_env *env, const wsr_endpoint_config *config, uint64_t now_ns);
void wsr_endpoint_fini(struct wsr_endpoint *ep);

/*
 * In place of an endpoint that was finished, one without a transport: nothing is due, nothing can be sent, and it can be ended.
 * It keeps env, conn, user and aside.
 */
void wsr_endpoint_blank(struct wsr_endpoint *ep, uint64_t now_ns);

/* wsr_endpoint_feed without the bookkeeping of a lone endpoint: returns the bytes consumed. */
size_t wsr_endpoint_take(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len);

/*
 * For a transport that can put received bytes where they shall be: the room behind what has come of a message that is being
 * assembled, for no more than its frame's rest; len 0: there is none, or no memory. filled: so many of the next bytes
 * received lie there; the batch must have room. offer: an empty chunk to assemble the message in whose first payload bytes
 * are to come, true if it was taken.
 */
wsr_span wsr_endpoint_room(struct wsr_endpoint *ep);
void wsr_endpoint_filled(struct wsr_endpoint *ep, struct wsr_batch *batch, size_t n);
bool wsr_endpoint_offer(struct wsr_endpoint *ep, struct wsr_chunk *chunk);

/* wsr_endpoint_tick, likewise. */
void wsr_endpoint_time(struct wsr_endpoint *ep, struct wsr_batch *batch);

/*
 * The transport's news. ended: the peer's stream is over, orderly if sys_errno is 0. send_failed: nothing more can be
 * sent. cause: what the record shall say if it says nothing yet. CLOSED follows, now or with a later settle.
 */
void wsr_endpoint_ended(struct wsr_endpoint *ep, struct wsr_batch *batch, int cause, int sys_errno);
void wsr_endpoint_send_failed(struct wsr_endpoint *ep, struct wsr_batch *batch, int sys_errno);

/* What carries the endpoint's bytes (a proxy, TLS) has failed, or a deadline of its own has passed: nothing more goes or comes. */
void wsr_endpoint_broken(struct wsr_endpoint *ep, uint64_t now_ns, int cause);

/* Input came, or the silence until now says nothing. */
static inline void wsr_endpoint_heard(struct wsr_endpoint *ep, uint64_t now_ns)
{
    if ((ep->flags & WSR_EP_ENDS) == 0)
        ep->received_ns = now_ns;
    ep->flags &= (uint16_t)~(unsigned)WSR_EP_PINGED;
}

/* A transport that was not there yet (opened_ns) is there now: the deadline of the handshake runs from here. */
static inline void wsr_endpoint_connected(struct wsr_endpoint *ep, uint64_t now_ns)
{
    ep->opened_ns = ep->received_ns = now_ns;
}

/* One line for the record (its detail): what the resolver, the proxy or TLS said. Copied; the first one stands. */
void wsr_endpoint_detail(struct wsr_endpoint *ep, const char *text);

/* Emits what is owed and due (WRITABLE, CLOSED) as far as there is room; true if something of that is left. */
bool wsr_endpoint_settle(struct wsr_endpoint *ep, struct wsr_batch *batch);

/* Is the connection over, so that the transport is to be closed? CLOSED may still be owed. */
static inline bool wsr_endpoint_is_over(const struct wsr_endpoint *ep)
{
    return ep->close.state == WSR_CS_DONE;
}

/*
 * Fails the connection for a wsr_error: the peer is sent the error's close code (RFC 6455 section 7.1.7). Before OPEN there
 * is no Close: it just ends.
 */
void wsr_endpoint_fail(struct wsr_endpoint *ep, uint64_t now_ns, int error);

/* wsr_endpoint_close with the caller's place, for the record; and abort: no Close, no waiting. */
WSR_MUST_USE int wsr_endpoint_close_at(struct wsr_endpoint *ep, uint64_t now_ns, uint16_t code, wsr_slice reason, const char *file, int line);
void wsr_endpoint_abort(struct wsr_endpoint *ep, uint64_t now_ns, const char *file, int line);

/*
 * wsr_endpoint_send of a message that an event of the present batch holds, whose memory the outbox takes over where it can: then the
 * event's data is not to be touched any more. Never fails for want of memory where it can.
 */
WSR_MUST_USE int wsr_endpoint_forward(struct wsr_endpoint *ep, wsr_opcode opcode, wsr_slice payload);

/* See wsr_send_fragmented. */
WSR_MUST_USE int wsr_endpoint_send_fragmented(struct wsr_endpoint *ep, wsr_opcode opcode, wsr_slice payload, size_t fragment_bytes);

/* May a data message of so many bytes be queued now? Returns as wsr_endpoint_send; after WSR_EFULL a WRITABLE is owed. */
WSR_MUST_USE int wsr_endpoint_admit(struct wsr_endpoint *ep, wsr_opcode opcode, size_t len);

/* A message that was accepted before the endpoint was open: as the calls above (fragment_bytes 0: as one frame), without a limit. */
WSR_MUST_USE int wsr_endpoint_send_late(struct wsr_endpoint *ep, wsr_opcode opcode, wsr_slice payload, size_t fragment_bytes);

/* Appends an event with conn, user and time filled in. There must be room. */
wsr_event *wsr_endpoint_emit(struct wsr_endpoint *ep, struct wsr_batch *batch, wsr_event_type type, uint8_t *data, size_t len);

/* Keeps a chunk until the batch is over, since events point into it. */
void wsr_env_retire(struct wsr_env *env, struct wsr_chunk *chunk);
/*
 * One more holder for the chunk that events of the batch point to and that holds just this payload, and nobody else: its headroom is the
 * caller's. NULL: there is none. The event stays as it is.
 */
struct wsr_chunk *wsr_env_share(struct wsr_env *env, wsr_slice payload);
/* The batch is over. */
void wsr_env_release(struct wsr_env *env);

/*
 * Prepares the shared part. Limits: zeros become defaults. kernels: NULL for the best. Returns 0, WSR_ECONFIG.
 * random, sha1 and deflate's functions are supplied by whoever opens: proto itself has none of them.
 */
WSR_MUST_USE int wsr_env_init(struct wsr_env *env, const wsr_limits *limits, const wsr_allocator *allocator, const char *kernels, size_t memory_bytes_max);
void wsr_env_fini(struct wsr_env *env);

/* What is wrong with them, in one line; NULL: nothing. Static. */
const char *wsr_limits_problem(const wsr_limits *limits);

/* Is what is to be sent the last there is? Then the stream's end, or the transport's, follows as soon as it has been sent. */
bool wsr_endpoint_ends(const struct wsr_endpoint *ep);

/* --- between receive.c and ending.c --- */

wsr_feed_fn wsr_receive_frames;  /* while open, and after our Close */
wsr_feed_fn wsr_receive_discard; /* after the peer's Close, or a failure */
/* What was begun is over, kept for the next call, or of no use any more. Without memory to keep it in the connection fails. */
void wsr_receive_settle(struct wsr_endpoint *ep, uint64_t now_ns);
void wsr_receive_fini(struct wsr_endpoint *ep);
/* A valid Close came. */
void wsr_ending_peer_close(struct wsr_endpoint *ep, uint64_t now_ns, uint16_t code, wsr_slice reason);
/* All of our Close may have been sent by now. */
void wsr_ending_flushed(struct wsr_endpoint *ep, uint64_t now_ns);
/* The deadline armed by the close module has passed. */
void wsr_ending_timeout(struct wsr_endpoint *ep, uint64_t now_ns);
/* A client's handshake was refused, and nothing more of the answer is waited for. */
void wsr_ending_answered(struct wsr_endpoint *ep, uint64_t now_ns);
/* Emits CLOSED, or what env->lost says, if there is room and memory for the record; true if done. */
bool wsr_ending_report(struct wsr_endpoint *ep, struct wsr_batch *batch);

/* What this endpoint's outbox frames with. */
static inline const struct wsr_framer *wsr_endpoint_framer(const struct wsr_endpoint *ep)
{
    return &ep->env->framers[(ep->flags & WSR_EP_MASKS) != 0];
}

/* Is the next byte one of a frame's payload, or of a header of which a part has come? */
static inline bool wsr_endpoint_in_payload(const struct wsr_endpoint *ep)
{
    return ep->in != NULL && ep->in->in_payload;
}

static inline bool wsr_endpoint_in_header(const struct wsr_endpoint *ep)
{
    return ep->in != NULL && ep->in->head_len > 0;
}

static inline wsr_role wsr_endpoint_role(const struct wsr_endpoint *ep)
{
    return (ep->flags & WSR_EP_MASKS) != 0 ? WSR_CLIENT : WSR_SERVER;
}

/* --- for the handshake (proto/handshake.c) --- */

/* The handshake succeeded: frames from now on. The OPEN event must have been emitted. */
void wsr_endpoint_opened(struct wsr_endpoint *ep, uint64_t now_ns);
/*
 * The handshake failed for `error` (a wsr_error) with `status` sent or received. What the handshake put into the outbox
 * is still sent, then the sending side is shut down; further input is discarded; CLOSED comes at the transport's end.
 */
void wsr_endpoint_handshake_failed(struct wsr_endpoint *ep, uint64_t now_ns, int error, unsigned status);

#endif
