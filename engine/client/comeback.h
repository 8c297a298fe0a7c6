/*
 * client/comeback.h - a client connection that comes back: what becomes of it between an end and the next attempt. The decision is
 * the policy's (wsring/policy.h), the attempt the dial's (client.h); here they are joined to the slot, the clock and the events.
 *
 *     open --lost--> told (RECONNECTING) --last operation--> down --timer, or wsr_reconnect_now--> attempt --> open
 *                \-> CLOSED: the policy stops, the application left, or nobody answered in time
 *
 * While down the slot holds a blank endpoint (proto/endpoint.h): its wsr_conn stays good, and ending it is ending any connection.
 */
#ifndef WSR_CLIENT_COMEBACK_H
#define WSR_CLIENT_COMEBACK_H

#include "client/client.h"
#include "client/queue.h"
#include "client/redirect.h"

enum { /* wsr_timer.kind */
    WSR_TIMER_NEXT = WSR_TIMER_COMEBACK, /* the next attempt is due, or an answer was not given in time */
    WSR_TIMER_QUEUE,                     /* a queued message falls due, or is to be sent after all */
    WSR_TIMER_AGE,                       /* the connection is to be succeeded */
    WSR_TIMER_HANDOVER                   /* the one it succeeded is to be closed */
};

enum wsr_waits {
    WSR_WAITS_NOT,       /* there is an endpoint, open or on its way */
    WSR_WAITS_TIME,      /* told as lost; until due_ns */
    WSR_WAITS_ANSWER     /* told as lost, ASK or RENEW; until wsr_reconnect_now, at most until due_ns */
};

struct wsr_comeback {
    struct wsr_client *client;
    wsr_policy policy;
    bool on;             /* not on: redirects are followed, and nothing else is come back from */
    wsr_policy_override follow; /* for that, how many */
    uint8_t waits;       /* wsr_waits */
    bool decided;        /* what `decision` says is yet to be told */
    bool ends;           /* CLOSED comes next, with `record` */
    wsr_decision decision;
    const char *why;     /* the decision's, or why it cannot be carried out */
    uint64_t due_ns;
    uint64_t free_ns;    /* of RENEW: not before */
    struct wsr_timer next, queued, age, handover;
    struct wsr_queue queue;
    struct wsr_redirect redirect;
    char *headers;       /* given with wsr_reconnect_now; NULL: none were */
    size_t headers_bytes;
    char *url;           /* room to show the longest of the configured URLs in */
    size_t url_bytes;
    wsr_reconnecting shown; /* what a RECONNECTING event points to, and the batch of it */
    uint32_t shown_serial;
    wsr_close_record record; /* of what was lost last, for a CLOSED without an end of its own; without detail and answer */
    wsr_conn old;        /* the connection that this one succeeded, until it is closed; 0: none */
};

static inline const wsr_reconnect *wsr_comeback_config(const struct wsr_comeback *comeback)
{
    return &comeback->client->config.reconnect;
}

/* ---- comeback_open.c, for connect.c and client.c ---- */

/* Gives client its comeback, if its configuration asks for one (always: even if not). Returns 0, WSR_ECONFIG, WSR_ENOMEM. */
WSR_MUST_USE int wsr_comeback_open(wsr_engine *engine, struct wsr_client *client, bool always);
/* What a client's configuration asks of the policy. */
wsr_policy_config wsr_comeback_policy(const wsr_connect_config *connect, unsigned urls_n, uint64_t (*random)(void *context), void *context);
/* The first attempt of c was begun. */
void wsr_comeback_begun(struct wsr_connection *c);
void wsr_comeback_free(wsr_engine *engine, struct wsr_client *client); /* does nothing if there is none */
/* What it is and holds, with the messages that wait; 0: there is none. */
size_t wsr_comeback_memory_bytes(const struct wsr_client *client);

/* ---- comeback.c ---- */

/* Has the engine ask here from now on. */
void wsr_comeback_hook(wsr_engine *engine);

/* ---- comeback_queue.c: of connections that come back alone ---- */

/* Is there, or will there be, a connection that a message could wait for? */
bool wsr_comeback_accepts(const struct wsr_connection *c);
/* As wsr_send, where there is no open connection. fragment_bytes 0: as one frame. */
WSR_MUST_USE int wsr_comeback_queue(wsr_engine *engine, struct wsr_connection *c, wsr_opcode opcode, wsr_slice payload, size_t fragment_bytes);
size_t wsr_comeback_queued_bytes(const struct wsr_connection *c);
/* c is open: what waited goes now. */
void wsr_comeback_send_queue(wsr_engine *engine, struct wsr_connection *c, uint64_t now_ns);
void wsr_comeback_queue_timed(wsr_engine *engine, struct wsr_batch *batch, struct wsr_comeback *comeback);

/* ---- succeed.c ---- */

/* The successor is open, its event is out: sets the time for the one it succeeds to be closed. And its own time, if it has one. */
void wsr_comeback_opened(wsr_engine *engine, struct wsr_comeback *comeback, wsr_event *open);
void wsr_comeback_aged(wsr_engine *engine, struct wsr_comeback *comeback);
void wsr_comeback_handed_over(wsr_engine *engine, struct wsr_comeback *comeback);

#endif
