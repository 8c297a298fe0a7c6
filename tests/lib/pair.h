/*
 * tests/lib/pair.h - two engines on the simulated host, a server and its clients, as stories for sweeps (sweep.h): clients send
 * messages, which come back, and then somebody ends it. Whatever fails, each connection's CLOSED comes once, what comes is what was
 * sent, in order, and all slots are free in the end. Only for tests/sim_*.c.
 */
#ifndef TESTS_LIB_PAIR_H
#define TESTS_LIB_PAIR_H

#include "lib/sweep.h"

enum { PAIR_CLIENTS_MAX = 6, PAIR_SLOTS_MAX = 64, PAIR_BYTES_MAX = 140000 };

struct pair;

/* What a story may change before all begins. */
struct pair_setup {
    wsr_config server, client;
    wsr_listen_config listen;
    wsr_connect_config connect;
    const char *host; /* in the URL [NULL: 127.0.0.1] */
};

enum pair_end { PAIR_CLIENT_CLOSES, PAIR_SERVER_CLOSES, PAIR_BOTH_CLOSE, PAIR_CLIENT_ABORTS, PAIR_SERVER_ABORTS, PAIR_ELSEWHERE };

/* Message i of a client has (i + 1) * bytes. */
struct pair_story {
    unsigned clients, messages;
    size_t bytes, fragment_bytes; /* 0: not in fragments */
    enum pair_end end;            /* who ends it, when all came back; ELSEWHERE: a hook */
    bool forwards, prepares;      /* the server echoes by reference, or a message that is made ready for many */
    bool replies;                 /* with two bytes instead of an echo */
    bool leaves;                  /* the server drains: it is not there for new connections */
    bool loses;                   /* also where nothing fails not everything comes back, and not every end is clean */
    void (*set_up)(struct pair_setup *setup);
    void (*begun)(struct pair *pair);                            /* engines are open, clients on their way */
    void (*turn)(struct pair *pair);                             /* at each turn */
    void (*see)(struct pair *pair, wsr_engine *engine, const wsr_event *ev); /* each event, before what else it gives rise to */
    bool (*waits)(const struct pair *pair);                      /* true: it is not over yet */
    void (*calm)(const struct pair *pair);                       /* what is true where nothing failed */
};

struct pair_client {
    wsr_conn conn;
    unsigned sent, echoed, opened, closed;
    bool begun, open;
    wsr_close_record record;
};

struct pair {
    const struct pair_story *story;
    wsr_engine *server, *client, *second; /* second: another server, if a story opens one */
    wsr_listener listener;
    uint16_t port;
    struct pair_setup setup;
    struct pair_client clients[PAIR_CLIENTS_MAX];
    unsigned clients_n;
    unsigned served[PAIR_SLOTS_MAX]; /* messages, by slot of the server */
    unsigned server_opened, server_closed;
    uint64_t begun_ns;
    unsigned marks[4]; /* the hooks' own */
    int peer;          /* a scripted one; -1: none */
    size_t peer_at;
};

/* sweep_story.play, its data a pair_story. */
void pair_play(const void *story);

/* Another client. False: it could not be begun. */
bool pair_connect(struct pair *pair);

/* Payload of a client's message i, and anybody's bytes. */
wsr_slice pair_message(const struct pair_story *story, unsigned i);

/* For hooks: lets a scripted peer connect and say this; it reads all, and goes when the stream has ended. */
void pair_peer_says(struct pair *pair, const void *bytes, size_t len);
bool pair_peer_is_there(const struct pair *pair); /* for waits: it is still to come, or has not gone */

/* Hooks for see. Of a listener by hand: who asks for / is sent to /there, and let in there. */
void pair_sends_elsewhere(struct pair *pair, wsr_engine *engine, const wsr_event *ev);
/* The server aborts the first connection; a client that comes back says again what was lost. */
void pair_cuts_the_first(struct pair *pair, wsr_engine *engine, const wsr_event *ev);

#endif
