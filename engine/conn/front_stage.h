/*
 * conn/front_stage.h - the insides of a front, for the files of it alone: what it holds, and how it comes from one stage to the next.
 *
 *   front.c        made, counted, freed            front_in.c    received bytes, stage by stage
 *   front_stage.c  from stage to stage, and ends   front_out.c   bytes to be sent
 */
#ifndef WSR_CONN_FRONT_STAGE_H
#define WSR_CONN_FRONT_STAGE_H

#include "conn/front.h"
#include "tls/session.h"

enum wsr_front_stage {
    WSR_FRONT_NONE,    /* no transport yet */
    WSR_FRONT_PROXY,
    WSR_FRONT_SHAKING, /* TLS's handshake */
    WSR_FRONT_OPEN,
    WSR_FRONT_FAILED   /* an alert is still to be sent, or was, and the peer's end is awaited */
};

/* Whom a client talks to. */
struct wsr_front_whom {
    struct wsr_tls_peer peer; /* its host is the one below */
    char host[WSR_PROXY_HOST_MAX + 1];
};

struct wsr_front {
    struct wsr_tls *tls;          /* held; NULL: only a proxy */
    struct wsr_tls_session session; /* from WSR_FRONT_SHAKING on */
    struct wsr_chunk *proxy_room; /* NULL: no proxy, or it is done with */
    struct wsr_proxy *proxy;      /* in there */
    struct wsr_chunk *flying;     /* ciphertext that was shown to the ring */
    struct wsr_chunk *waiting;    /* received, for its turn */
    size_t plain_flying;          /* bytes of the endpoint's whose ciphertext flies */
    uint64_t tls_timeout_ns, proxy_timeout_ns, deadline_ns;
    int error;                    /* WSR_FRONT_FAILED: as which it ends */
    uint8_t stage;
    bool proxy_flies;             /* what was shown to the ring last is the proxy's */
    struct wsr_front_whom whom[]; /* a client's; a server has none */
};

static inline bool wsr_front_has_output(const struct wsr_front *front)
{
    return front->flying != NULL || front->session.out != NULL;
}

/* Bytes of memory in a list of chunks. */
static inline size_t wsr_front_chunks_bytes(const struct wsr_chunk *list)
{
    size_t bytes = 0;
    for (; list != NULL; list = list->next)
        bytes += (size_t)(list->end - (const uint8_t *)list);
    return bytes;
}

/* ---- front.c ---- */

void wsr_front_free_proxy(wsr_engine *engine, struct wsr_front *front);

/* ---- front_stage.c ---- */

/* The proxy is done with, or there is none: TLS's handshake, or the endpoint. */
void wsr_front_next(wsr_engine *engine, struct wsr_connection *c);
/* TLS's handshake is done. */
void wsr_front_open(struct wsr_connection *c, uint64_t now_ns);
/* Ends the connection as `error`; an alert that is still to be sent goes before. fail_tls: as the session says. */
void wsr_front_fail(struct wsr_connection *c, uint64_t now_ns, int error, const char *detail);
void wsr_front_fail_tls(struct wsr_connection *c, uint64_t now_ns);
/*
 * Having said why it failed, a server awaits the end of the client's stream, at most close_timeout_ns: closed with bytes of it
 * unread, TCP would take the alert back.
 */
bool wsr_front_lingers(const struct wsr_connection *c);

#endif
