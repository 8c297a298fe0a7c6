/*
 * conn/engine.h - the insides of an engine: the connection table and what happens to a connection between the ring and
 * its endpoint. The only room that joins ring, tls and proto.
 *
 *     completion -> input.c -> endpoint -> events          application -> endpoint's outbox -> dirty list -> output.c -> ring
 *
 * Life of a slot: free -> (connecting ->) live -> over (the endpoint is done; what is armed is cancelled) -> closed (no
 * operation of it is left, its descriptor is closed) -> free. CLOSED is delivered somewhere behind "over"; the slot is
 * free when both that and "closed" are true.
 */
#ifndef WSR_CONN_ENGINE_H
#define WSR_CONN_ENGINE_H

#include <wsring/server.h>

#include "base/region.h"
#include "base/wheel.h"
#include "proto/aside.h"
#include "ring/ring.h"

struct wsr_client;
struct wsr_flight;
struct wsr_front;
struct wsr_tls;
struct wsr_crypto_stream;
struct wsr_resolver;

/* A ring tag is op:8 | slot:24 | generation:32; a wsr_conn is the same without the op, so a late completion is recognised. */
enum wsr_op {
    WSR_OP_RECEIVE = 1, WSR_OP_SEND, WSR_OP_CANCEL, WSR_OP_ACCEPT, WSR_OP_WAKE, WSR_OP_TIMER, WSR_OP_RESOLVED,
    WSR_OP_SEND_ZERO_COPY, /* its id is a flight's number (flight.h) */
    WSR_OP_DIAL = 64 /* and the next WSR_DIALS_MAX - 1: a connect to each of a host's addresses */
};
#define WSR_DIALS_MAX 16u

#define WSR_TAG(op, id) ((uint64_t)(op) << 56 | (id))
#define WSR_TAG_OP(tag) ((unsigned)((tag) >> 56))
#define WSR_TAG_ID(tag) ((tag) & ((UINT64_C(1) << 56) - 1))
#define WSR_SLOT_MAX ((UINT32_C(1) << 24) - 2)

enum { /* wsr_connection.armed: operations the ring holds for it */
    WSR_ARMED_RECEIVE = 1,
    WSR_ARMED_SEND = 2,
    WSR_ARMED_DIAL = 4 /* connects, as many as the client's dial knows */
};

enum { /* wsr_connection.state */
    WSR_CONN_DIRTY = 1,       /* on the dirty list: has something to send */
    WSR_CONN_PENDING = 2,     /* on the pending list: input or events that found no room in a batch */
    WSR_CONN_STARVED = 4,     /* on the starved list: no receive buffer was free; or shedding.held: no memory was */
    WSR_CONN_PAUSED = 8,      /* by the application */
    WSR_CONN_FULL = 16,       /* backlog over its bound: receiving stops until it is worked off */
    WSR_CONN_ENDED = 32,      /* the peer's stream is over (end_errno); to be told once the backlog is worked off */
    WSR_CONN_SHUT = 64,       /* shutdown(SHUT_WR) was done */
    WSR_CONN_LET_GO = 128,    /* over: cancels are queued, the descriptor goes with the last completion */
    WSR_CONN_CUT = 256,       /* to be closed with a reset */
    WSR_CONN_CONNECTED = 512, /* its transport is there */
    WSR_CONN_SHAKING = 1024,  /* on the shaking list: bytes of a TLS handshake wait for their turn */
    WSR_CONN_DOUBTED = 2048,  /* silent for too long; judged at its timer's next turn */
    WSR_CONN_DIRECT = 4096,   /* large messages come: a poll stands in for its receive, and direct.c reads */
    WSR_CONN_READABLE = 8192, /* then: something is there to be read */
    WSR_CONN_HANGS_UP = 16384, /* then: and the end of the stream behind it */
    WSR_CONN_PREFACED = 32768 /* a PROXY header is to come before everything else */
};

struct wsr_connection {
    struct wsr_endpoint ep;
    uint16_t state;
    uint8_t armed;
    uint8_t cancelled; /* those of them that a cancel was queued for */
    bool live : 1;   /* not free */
    bool fed : 1;    /* something was received since it was last on the starved list, or ever */
    bool hungry : 1; /* is there, and has got nothing since it was there before: it goes first */
    bool stamps : 1; /* its receives bring the kernel's time stamps (stamp.h) */
    bool copies : 1; /* sending without copying was refused it once (flight.h) */
    bool queues : 1; /* messages are given to engine->comebacks: there is no open connection now, or some wait before them */
    uint8_t cancels;   /* cancel operations under way: at most one for each bit, and one each for those they came too late for */
    uint8_t small_reads; /* direct.c: in a row */
    uint8_t end_errno;   /* Linux has none beyond 133 */
    int fd;              /* -1: none */
    uint32_t dirty_next, pending_next, starved_next, shaking_next; /* slots; a free one is linked through dirty_next */
    uint32_t acked_bytes; /* the low half of what the peer's TCP had acknowledged when that was last of interest (life.c) */
    struct wsr_timer timer;
    struct wsr_chunk *backlog; /* received, not yet parsed: paused, awaiting an answer, or no room in the batch */
};

/* What an idle connection over plain TCP holds, but for the table's pointer to 64 of them. */
_Static_assert(sizeof(struct wsr_connection) <= 256, "tests/test_engine_memory.c, bench/README.md");

/* What a connection may have beside its endpoint (proto/aside.h). */
enum {
    WSR_ASIDE_FRONT = WSR_ASIDE_CARRIER, /* a proxy and TLS, conn/front.h; none with plain ws */
    WSR_ASIDE_PREFACE,                   /* whose connection a balancer passed on, conn/preface.h */
    WSR_ASIDE_CLIENT                     /* what it connects with, and comes back by; none: a server's, or adopted */
};

/* First in, first out, of slots, linked through one member of the connection: `link` is its offset. */
struct wsr_conn_list {
    uint32_t head, tail; /* if n > 0 */
    uint32_t n;
};

/* Those who found no receive buffer free, and wait for one. */
struct wsr_starving {
    struct wsr_conn_list list; /* linked through starved_next */
    uint32_t hungry_n;         /* of them */
};

#define WSR_LINK(member) offsetof(struct wsr_connection, member)

/* wsr_timer.kind; those from WSR_TIMER_COMEBACK on are client/comeback.c's */
enum { WSR_TIMER_CONNECTION = 0, WSR_TIMER_LISTENER, WSR_TIMER_DRAIN, WSR_TIMER_CLIENT, WSR_TIMER_SHED, WSR_TIMER_COMEBACK };

#define WSR_TABLE_BLOCK 64u /* slots allocated at a time */

struct wsr_table {
    struct wsr_connection **blocks;
    uint32_t blocks_n, blocks_max;
    uint32_t slots_max, live_n;
    struct wsr_conn_list free; /* oldest first, so that a generation lasts */
};

#define WSR_LISTENERS_MAX 64u

struct wsr_listening {
    int fd; /* -1: free */
    uint16_t port;
    bool armed, manual;
    bool adopts;  /* has no socket of its own: wsr_adopt_fd alone gives it connections */
    bool defers;  /* what it accepts has bytes to be read */
    bool prefaced; /* its connections begin with a PROXY header */
    bool leaving; /* unlistened: the descriptor goes with the accept's last completion */
    struct wsr_timer retry; /* after EMFILE */
    struct wsr_tls *tls; /* held; NULL: ws */
    const char *subprotocols, *origins, *paths; /* NULL, or in texts */
    char *texts;
    size_t texts_bytes;
    wsr_deflate deflate;
    wsr_socket_options socket;
    void *user;
};

struct wsr_draining {
    bool on;
    uint16_t code;
    uint8_t reason_len;
    char reason[WSR_CLOSE_REASON_MAX];
    uint64_t interval_ns;   /* between two Closes */
    uint64_t next_close_ns, deadline_ns;
    uint32_t cursor;        /* slots below were told */
    struct wsr_timer timer;
};

/* What room client does about connections of its own; set by the first wsr_connect, so that nothing here calls up. */
struct wsr_client_hooks {
    /* The resolver has answers. */
    void (*resolved)(wsr_engine *engine, struct wsr_batch *batch);
    /* A connect ended: to address `which` of c's dial. */
    void (*dialled)(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, unsigned which, const struct wsr_completion *completion);
    /* A timer of the kind WSR_TIMER_CLIENT fired. */
    void (*timed)(wsr_engine *engine, struct wsr_batch *batch, struct wsr_timer *timer);
    /* c's endpoint is over: nothing is begun any more, and what no operation holds goes at once. Not before c is let go. */
    void (*let_go)(wsr_engine *engine, struct wsr_connection *c);
    /* Queues cancels for the connects under way; false: the ring refused one for now. */
    bool (*cancel)(wsr_engine *engine, struct wsr_connection *c);
    /* c's slot is given back (or the engine closes): frees its client. */
    void (*freed)(wsr_engine *engine, struct wsr_connection *c);
    /* What its client is and holds. */
    size_t (*memory_bytes)(const struct wsr_connection *c);
    /* The engine closes; no connection is left, and no ring. */
    void (*closed)(wsr_engine *engine);
};

/* How waits went of late (loop/wait.c). */
struct wsr_waiting {
    wsr_wait_mode mode;
    unsigned cores;
    int64_t gap_ns;  /* a wait's length, on average */
    int32_t taken16; /* and its completions, in sixteenths */
};

/* What room client does about connections that come back; set by the first of them (with env.lost and env.opened). */
struct wsr_comeback_hooks {
    /* c's last operation has ended, and it was told as lost (WSR_EP_LOST): it lives on, without a transport, until its next attempt. */
    void (*down)(wsr_engine *engine, struct wsr_connection *c);
    /* A timer of the kinds from WSR_TIMER_COMEBACK on fired. */
    void (*timed)(wsr_engine *engine, struct wsr_batch *batch, struct wsr_timer *timer);
    /* A data message where c->queues. fragment_bytes 0: as one frame. Returns as wsr_send. */
    int (*send)(wsr_engine *engine, struct wsr_connection *c, wsr_opcode opcode, wsr_slice payload, size_t fragment_bytes);
    /* Of the payloads of those that wait. */
    size_t (*queued_bytes)(const struct wsr_connection *c);
    /* The application closes or aborts c. Returns 0 or an error; 1: nothing was done, for that c's endpoint will do. */
    int (*leave)(wsr_engine *engine, struct wsr_connection *c, bool abort, uint16_t code, wsr_slice reason, const char *file, int line);
    /* The engine closes; no connection is left. */
    void (*closed)(wsr_engine *engine);
};

struct wsr_buckets;

/* While memory is short (conn/shed.c). */
struct wsr_shedding {
    bool on;
    bool some_may_go;         /* of those held some were let go, or have got rid of something: perhaps they wait there for nothing */
    struct wsr_conn_list held; /* not read from meanwhile: WSR_CONN_STARVED, linked through starved_next */
    uint64_t refused;         /* pool.refused as it was last seen */
    size_t least_bytes;       /* held since the timer was set */
    struct wsr_timer stalled; /* fires if that goes down no further */
};

/* Sends that the kernel does not copy, under way or not let go of yet (flight.h). */
struct wsr_flights {
    struct wsr_flight *all;   /* [n] */
    uint32_t n, in_use;
    uint32_t free;            /* the first free one's number, if any is */
};

struct wsr_engine {
    struct wsr_env env; /* first: endpoints point to it */
    struct wsr_ring *ring;
    wsr_config config;  /* with defaults filled in */
    const wsr_allocator *allocator; /* region's, where there is one; the engine itself is of region.parent */
    struct wsr_region region; /* config.reserve_bytes */
    struct wsr_crypto_stream *crypto;
    struct wsr_table table;
    struct wsr_wheel wheel;
    struct wsr_conn_list dirty, pending, shaking;
    struct wsr_starving starving[2]; /* [c->stamps]: each kind of buffer has its own */
    uint32_t *held; /* [buffers_n]: holds on each receive buffer by the events of the current batch */
    uint32_t buffers_n;
    uint64_t now_ns;
    struct wsr_waiting waiting;
    struct wsr_shedding shedding;
    struct wsr_flights flights;

    struct wsr_listening listening[WSR_LISTENERS_MAX];
    int reserve_fd;
    struct wsr_draining draining;
    int wake_fd;
    bool wake_armed, wake_owed;
    bool fd_mode;       /* wsr_engine_fd was called */
    uint64_t timer_at_ns; /* of the TIMER operation that is armed for fd_mode; UINT64_MAX: none */
    uint32_t timer_number; /* of the last TIMER operation, in its tag: earlier ones were cancelled */

    /* what higher rooms do with completions that are not a live connection's; set by them, so that nothing here calls up */
    void (*accepted)(wsr_engine *engine, struct wsr_batch *batch, const struct wsr_completion *completion);
    void (*timed)(wsr_engine *engine, struct wsr_batch *batch, struct wsr_timer *timer);

    const struct wsr_client_hooks *clients; /* NULL: no wsr_connect yet */
    const struct wsr_comeback_hooks *comebacks; /* NULL: no connection came back yet, or could */
    struct wsr_buckets *buckets;   /* client/buckets.c's; NULL: none was needed yet */
    struct wsr_resolver *resolver; /* NULL: no name was resolved yet */
    int resolver_fd;               /* readable when it has answers; -1: none */
    bool resolver_armed;

    struct wsr_tls *tls; /* of clients that bring none; NULL: there was none yet */

    wsr_engine_statistics stats;
};

/* ---- table.c ---- */

WSR_MUST_USE int wsr_table_init(wsr_engine *engine);
void wsr_table_fini(wsr_engine *engine);
/* A free slot, alive from now on, everything but its id zero; NULL: none, or no memory. */
struct wsr_connection *wsr_table_take(wsr_engine *engine);
void wsr_table_give(wsr_engine *engine, struct wsr_connection *c);

/* Slot by number, live or not; NULL past the end. */
static inline struct wsr_connection *wsr_table_at(const wsr_engine *engine, uint32_t slot)
{
    const struct wsr_table *table = &engine->table;
    const uint32_t block = slot / WSR_TABLE_BLOCK;
    return block < table->blocks_n && slot < table->slots_max ? &table->blocks[block][slot % WSR_TABLE_BLOCK] : NULL;
}

/* For completions. NULL: stale, or no id at all. */
static inline struct wsr_connection *wsr_table_find(const wsr_engine *engine, wsr_conn id)
{
    struct wsr_connection *c = id >> 56 == 0 ? wsr_table_at(engine, (uint32_t)(id >> 32)) : NULL;
    return c != NULL && c->live && c->ep.conn == id ? c : NULL;
}

/* For the application: NULL also from CLOSED on, although the ring may still hold operations of it. */
static inline struct wsr_connection *wsr_table_known(const wsr_engine *engine, wsr_conn id)
{
    struct wsr_connection *c = wsr_table_find(engine, id);
    return c != NULL && (c->ep.flags & WSR_EP_CLOSED) == 0 ? c : NULL;
}

/* The last completion of an operation came. */
static inline void wsr_conn_disarmed(struct wsr_connection *c, unsigned which)
{
    c->armed &= (uint8_t)~which;
    c->cancelled &= (uint8_t)~which;
}

/* Slot and generation; of a free slot, its next life's. */
static inline wsr_conn wsr_conn_id(const struct wsr_connection *c)
{
    return c->ep.conn;
}

/* NULL: none. */
static inline struct wsr_front *wsr_conn_front(const struct wsr_connection *c)
{
    return (struct wsr_front *)wsr_aside(&c->ep, WSR_ASIDE_FRONT);
}

static inline struct wsr_client *wsr_conn_client(const struct wsr_connection *c)
{
    return (struct wsr_client *)wsr_aside(&c->ep, WSR_ASIDE_CLIENT);
}

static inline uint32_t wsr_conn_slot(const struct wsr_connection *c)
{
    return (uint32_t)(c->ep.conn >> 32);
}

void wsr_conn_list_append(wsr_engine *engine, struct wsr_conn_list *list, struct wsr_connection *c, size_t link);
struct wsr_connection *wsr_conn_list_take(wsr_engine *engine, struct wsr_conn_list *list, size_t link); /* the first; NULL: none */

/* ---- life.c ---- */

/* A new connection over fd, whose transport is there (server, or adopted) or being made (client). NULL and *error. */
struct wsr_connection *wsr_conn_open(wsr_engine *engine, int fd, const wsr_endpoint_config *config, int *error);
/* The transport is there: receive. */
void wsr_conn_start(wsr_engine *engine, struct wsr_connection *c, bool wait_first);
/* After anything that may have changed the endpoint: sends, shuts down, lets go, and sets the timer as needed. */
void wsr_conn_after(wsr_engine *engine, struct wsr_connection *c);
/*
 * Queues a cancel for each of `which` (WSR_ARMED_*) that is armed and has none yet. False: the ring refused one for now; then
 * the connection is on the pending list, where it is tried again.
 */
bool wsr_conn_cancel(wsr_engine *engine, struct wsr_connection *c, unsigned which);
/* An operation of it has ended: frees what can be. */
void wsr_conn_retire(wsr_engine *engine, struct wsr_connection *c);
/* Its timer fired. */
void wsr_conn_timed(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c);
/* Puts it on a list unless it is there. */
static inline void wsr_conn_dirty(wsr_engine *engine, struct wsr_connection *c)
{
    if ((c->state & WSR_CONN_DIRTY) != 0)
        return;
    c->state |= WSR_CONN_DIRTY;
    wsr_conn_list_append(engine, &engine->dirty, c, WSR_LINK(dirty_next));
}
void wsr_conn_pending(wsr_engine *engine, struct wsr_connection *c);
void wsr_conn_shaking(wsr_engine *engine, struct wsr_connection *c);

/* ---- input.c ---- */

void wsr_input_completion(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, const struct wsr_completion *completion);
/* Bytes of the stream that somebody else has read, before any of its own: kept, and worked off with the next batch. 0, WSR_ENOMEM. */
WSR_MUST_USE int wsr_input_prefix(wsr_engine *engine, struct wsr_connection *c, wsr_slice prefix);
/* Works off backlog and owed events; false if there is still some that could go on (a quota or the batch ran out). */
bool wsr_input_pending(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c);
/* One connection's turn of those whose TLS handshake has come further; there need not be one. */
void wsr_input_shake(wsr_engine *engine, struct wsr_batch *batch);
void wsr_input_pause(wsr_engine *engine, struct wsr_connection *c);
void wsr_input_resume(wsr_engine *engine, struct wsr_connection *c);
/* Arms the receives that starved, as far as there are buffers. */
void wsr_input_feed_starved(wsr_engine *engine);

/* Those who starved and are to be armed at the next turn, for others go before them: no wait may come between. */
static inline bool wsr_input_owes_turn(const wsr_engine *engine)
{
    const struct wsr_starving *starving = engine->starving;
    return (starving[0].list.n > 0 && wsr_ring_buffers_free(engine->ring, false) > 0) ||
           (starving[1].list.n > 0 && wsr_ring_buffers_free(engine->ring, true) > 0);
}
/* Arms the receive if it should be and is not. */
void wsr_input_arm(wsr_engine *engine, struct wsr_connection *c, bool wait_first);

/* The peer's stream is over: told at once, or when the backlog is worked off. */
void wsr_input_ended(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, int sys_errno);
/* Keeps a copy behind what is kept already. stamp: of the receive it came with; NULL: it had none. */
WSR_MUST_USE int wsr_input_keep(wsr_engine *engine, struct wsr_connection *c, const uint8_t *p, size_t len, const wsr_receive_stamp *stamp);

/* ---- direct.c ---- */

/* After input: begins to receive directly, if the messages that come are large ones. */
void wsr_direct_consider(wsr_engine *engine, struct wsr_connection *c);
/* The poll's completion: what is there to be read. */
void wsr_direct_readable(wsr_engine *engine, struct wsr_connection *c, int events);
/* Does the batch hold so much that the rest should wait until the application has had it? */
bool wsr_direct_is_enough(const wsr_engine *engine, const struct wsr_batch *batch);
/* Would these better be sent at once, while the cache still holds them? */
bool wsr_direct_suits(const wsr_engine *engine, const struct wsr_connection *c, const wsr_slice *slices, unsigned n);
/* Reads; false if there is more that could go on in another batch. Without a backlog only; it may leave one. */
bool wsr_direct_read(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c);

/* ---- output.c ---- */

/* Queues a send for every dirty connection. between_batches: no event's data is in use, so memory may become free at once. */
void wsr_output_kick(wsr_engine *engine, bool between_batches);
void wsr_output_completion(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, const struct wsr_completion *completion);

/* ---- codec.c ---- */

/* Gives env what permessage-deflate works with. */
void wsr_env_codecs(struct wsr_env *env);

/* ---- crypto.c ---- */

/* Fills env's random, sha1 and key pool from OpenSSL. */
WSR_MUST_USE int wsr_env_crypto(struct wsr_env *env, struct wsr_crypto_stream **stream);
/* Wipes the keys and frees the stream, NULL if there is none. */
void wsr_env_crypto_end(struct wsr_env *env, struct wsr_crypto_stream *stream);

#endif
