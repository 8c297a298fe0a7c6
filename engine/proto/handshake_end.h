/*
 * proto/handshake_end.h - between handshake.c and its two ends, handshake_server.c and handshake_client.c. For nobody else.
 */
#ifndef WSR_PROTO_HANDSHAKE_END_H
#define WSR_PROTO_HANDSHAKE_END_H

#include "proto/deflate_offer.h"
#include "proto/handshake.h"
#include "proto/upgrade.h"

#define WSR_HANDSHAKE_HEADERS 128u /* the most that wsr_limits.headers_max may say */
#define WSR_HANDSHAKE_FIXED_BYTES 512u /* the fixed part of any head written here, and a refusal as a whole */

/* The texts it points to stand behind it. */
struct wsr_handshake {
    struct wsr_http_scan scan;
    struct wsr_chunk *head;   /* what has come of the peer's head; NULL: nothing yet */
    struct wsr_chunk *shown;  /* the wsr_request that a REQUEST event points to */
    wsr_slice subprotocols;   /* a server's spoken, a client's offered */
    wsr_slice origins, paths; /* a server's, for those it lets in; empty: anybody */
    wsr_deflate deflate;      /* as configured */
    struct wsr_deflate_agreed agreed;
    uint8_t accept[WSR_ACCEPT_LEN]; /* to be sent by a server, expected by a client */
    bool waits;               /* for the application's answer */
};

/* ---- handshake.c ---- */

struct wsr_handshake *wsr_handshake_of(const struct wsr_endpoint *ep);
/* The state, beside the endpoint, with room for `extra` bytes behind it; NULL for no memory. */
struct wsr_handshake *wsr_handshake_make(struct wsr_endpoint *ep, enum wsr_http_kind kind, size_t extra);
/* A configured string as a slice; NULL is an empty one. False if it holds DEL, which has no place in any of them. */
bool wsr_handshake_text(const char *text, wsr_slice *out);
/* Copies text to *at, which moves on. An empty one is a slice of nothing: list->ptr NULL ends it. */
wsr_slice wsr_handshake_keep_text(uint8_t **at, wsr_slice text);
/* It is over: frames follow. The event is out: `shown` and the head live as long as its batch. */
void wsr_handshake_open(struct wsr_endpoint *ep, uint64_t now_ns, struct wsr_chunk *shown);
/* It is over, without an answer or behind one. */
void wsr_handshake_fail(struct wsr_endpoint *ep, uint64_t now_ns, int error, unsigned status);

/* ---- handshake_server.c ---- */

WSR_MUST_USE int wsr_handshake_check_server(const wsr_endpoint_config *config);
WSR_MUST_USE int wsr_handshake_start_server(struct wsr_endpoint *ep, const wsr_endpoint_config *config);
/* Answers a whole request. */
void wsr_handshake_answer(struct wsr_endpoint *ep, struct wsr_batch *batch);
/* Answers what is no good one. */
void wsr_handshake_deny(struct wsr_endpoint *ep, uint64_t now_ns, int error, wsr_refusal refusal, bool is_head);

/* ---- handshake_client.c ---- */

WSR_MUST_USE int wsr_handshake_check_client(const wsr_endpoint_config *config);
WSR_MUST_USE int wsr_handshake_start_client(struct wsr_endpoint *ep, const wsr_endpoint_config *config);
/* Judges a whole answer. */
void wsr_handshake_judge(struct wsr_endpoint *ep, struct wsr_batch *batch);

#endif
