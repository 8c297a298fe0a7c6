/*
 * tests/sim/chaos.h - worlds for the simulated host: a server, its clients and some strangers, made from a seed, with every
 * misfortune the host knows, and a ledger that everything is entered in. sim_engine.c runs some, the command `sim` millions.
 *
 *   chaos.c        a world from its beginning to its end        chaos_life.c     connections: made, played, ended
 *   chaos_app.c    what applications do and see                 chaos_ledger.c   what must be true of it
 *   chaos_wire.c   what passes on the wire                      chaos_fault.c    what goes wrong: calls and memory
 *
 * What is broken is told by sim_violation. Rules that hold for every world, after every step or at an end:
 *   - messages come whole, as they were sent, in order, once; what was accepted and did not come is in the close record
 *   - what is on the wire is whole frames, masked by clients alone, and nothing behind a Close
 *   - OPEN before anything else, CLOSED once and last; an id is stale from then on, whoever has its slot
 *   - event data does not change before the next poll
 *   - a time stamp was asked for, is not from later than now, and none goes back
 *   - memory stays under its limit; buffers, chunks, slots, descriptors and allocations are all back at the end
 *   - a peer that lives is not given up for its silence, also when the application was away for ten idle limits
 *   - where nothing was done to a connection, it ends clean at both ends, with nothing lost
 *   - the world ends
 */
#ifndef TESTS_SIM_CHAOS_H
#define TESTS_SIM_CHAOS_H

#include <wsring/wsring.h>

#include "sim/sim.h"

struct chaos_config {
    uint64_t seed;
    unsigned steps; /* at least so many turns of both engines; 0: 500 */
    bool perfect;   /* a host without misfortune, and nobody misbehaves */
    wsr_tls *server_tls, *client_tls; /* NULL: plain. With them a seed does not replay exactly: how long signatures are is chance. */
};

#define CHAOS_ERRORS 128u /* wsr_error, negated, is below */

/* Counted since the program began. All are uint64_t. */
struct chaos_stats {
    uint64_t worlds, hostile_worlds, guest_worlds, sleeper_worlds, deflate_worlds, steps, steps_shortest;
    uint64_t connections, opened, clean, strangers, refusers, connections_fewest;
    uint64_t messages_sent, messages_got, message_bytes, chunks, undelivered, unconfirmed;
    uint64_t pings, pauses, closes, aborts, stale_ids, flushes, writables, sleeps, jumps, half_closes, peer_resets, crowded;
    uint64_t allocations, allocations_failed, slots_reused;
    uint64_t stamped, stamps_shared; /* events */
    uint64_t causes[CHAOS_ERRORS]; /* of CLOSED */
};
extern struct chaos_stats chaos_stats;

/* Plays one world. Comes back only if no rule was broken. Leaves sim_stats and sim_digest as they are at its end. */
void chaos_world(const struct chaos_config *config);

/* What became of each connection of the world that is being played, for a person. */
void chaos_tell(FILE *to);

/* ---- for the files named above ---- */

#define CHAOS_MS UINT64_C(1000000)
#define CHAOS_SECOND (1000 * CHAOS_MS)
#define CHAOS_IDLE_NS (60 * CHAOS_SECOND) /* the idle limit of those who have one */

enum { CHAOS_LIVES_MAX = 120, CHAOS_AT_ONCE_MAX = 8, CHAOS_SLOTS_MAX = 16, CHAOS_BATCH_MAX = 64, CHAOS_STALE = 4, CHAOS_PORT_FIRST = 40000, CHAOS_LARGE = 65536 };

/* What one end of a connection has put on the wire so far. */
struct chaos_wire {
    bool http_done;
    bool refused;         /* an answer other than 101: a body may follow */
    uint8_t newlines;     /* of CR LF CR LF: bytes seen */
    uint8_t head[14], head_len;
    uint64_t left;        /* of the payload */
    bool closed;          /* a Close is out */
    uint64_t frames, messages;
};

struct chaos_life;

/* One end of a connection, as its application sees it. */
struct chaos_end {
    struct chaos_life *life;
    wsr_conn conn;         /* 0: none yet */
    bool open, closed;     /* OPEN, CLOSED came */
    bool closing;          /* its application closed it, or saw it refuse a message for being closed */
    bool full;             /* a message was refused with WSR_EFULL; WRITABLE is owed */
    bool paused;
    unsigned to_send, sent, got;
    uint64_t sent_bytes, got_bytes;
    size_t chunk_at;       /* bytes of a streamed message that came */
    bool chunk_open;
    bool stamps;           /* its receives are to bring time stamps */
    uint64_t stamp_ns;     /* the last one */
    wsr_close_record record;
};

enum chaos_plan {
    CHAOS_DONE_CLIENT, CHAOS_DONE_SERVER, CHAOS_DONE_BOTH, /* who closes, when all was said */
    CHAOS_EARLY_CLIENT, CHAOS_EARLY_SERVER,                /* any time */
    CHAOS_ABORT_CLIENT, CHAOS_ABORT_SERVER,
    CHAOS_STAY,                                            /* until the world winds down */
    CHAOS_STRANGER,                                        /* from here on one end is no engine: a scripted peer at the server */
    CHAOS_REFUSER,                                         /* a scripted peer that the client connects to */
    CHAOS_PLANS
};

/* A connection from its beginning to the CLOSED of all its ends that are an engine's. */
struct chaos_life {
    uint64_t seed;
    enum chaos_plan plan;
    struct chaos_end client, server;
    struct chaos_wire from_client, from_server;
    uint16_t port;         /* the connecting end's; 0: not known yet */
    int peer;              /* scripted; -1: none */
    unsigned script, at;   /* what it plays, and how far it is */
    bool disturbed;        /* something was done to it: it may end in any way */
    bool over;
};

struct chaos_side { /* an engine and its application */
    wsr_engine *engine;
    int fd;                /* wsr_engine_fd, if it is a guest in another loop; else -1 */
    bool again;
    bool is_client;
    uint64_t asleep_until_ns;
    struct chaos_end *by_slot[CHAOS_SLOTS_MAX]; /* who has the slot, or had it last; NULL: a connection that never opened, or none */
    struct {
        wsr_conn conn;
        uint16_t port;
    } ports[CHAOS_SLOTS_MAX];
    wsr_conn stale[CHAOS_STALE];
    unsigned stale_n;
    uint64_t closed;       /* CLOSED events */
};

struct chaos_world {
    const struct chaos_config *config;
    struct chaos_side server, client;
    uint16_t port, refuser_port;
    int refuser;           /* a scripted listener */
    bool hostile;          /* calls and operations fail */
    bool sleeper;          /* the server's application goes away for long */
    bool deflates;
    bool server_stamps;    /* all of its connections ask for time stamps; of the client's some do */
    bool drained, winding_down, in_batch;
    unsigned naps, at_once, cap, flush_percent, messages_max;
    size_t size_max;
    uint64_t memory_max, pace_ns;
    unsigned paused_n; /* ends that read nothing now */
    struct chaos_life lives[CHAOS_LIVES_MAX];
    unsigned lives_n, over_n;
    unsigned unseen; /* connections of the server that could not be told whose they are */
};
extern struct chaos_world chaos;

/* chaos_app.c */
void chaos_app_prepare(void); /* what messages are made of */
bool chaos_app_turn(struct chaos_side *side); /* polls once and sees what came; true if there was something */
void chaos_app_acts(struct chaos_end *end);

/* chaos_life.c */
bool chaos_can_stamp(const struct chaos_side *side);
bool chaos_life_begin(void);  /* another connection; false: none could be begun */
void chaos_life_play(struct chaos_life *life);
void chaos_life_over(struct chaos_life *life); /* an end of it was told CLOSED, or its scripted peer is gone */
struct chaos_life *chaos_life_of_port(uint16_t port);
void chaos_life_ports(struct chaos_side *side); /* notes whose are the connections that are new: later the descriptor may be gone */
struct chaos_life *chaos_life_of_conn(struct chaos_side *side, wsr_conn conn);

/* chaos_wire.c */
void chaos_wire_watch(void);

/* chaos_ledger.c */
void chaos_ledger_closed(struct chaos_end *end);    /* its record against what its application saw */
void chaos_ledger_stamp(struct chaos_end *end, const wsr_event *event);
void chaos_ledger_life(const struct chaos_life *life); /* both ends are closed */
void chaos_ledger_step(const struct chaos_side *side);
void chaos_ledger_end(const struct chaos_side *side);  /* nothing is connected any more */

/* chaos_fault.c */
struct chaos_fault {
    enum sim_call call;
    const char *name;
    int errors[8]; /* any of them; the last one is 0 */
};
extern const struct chaos_fault chaos_faults[];
extern const unsigned chaos_faults_n;
extern const wsr_allocator chaos_allocator;
void chaos_fault_begin(void);
void chaos_fault_start(void); /* from here on */
void chaos_fault_step(void);
void chaos_fault_stop(void);
void chaos_fault_check(void); /* all memory is back */

#endif
