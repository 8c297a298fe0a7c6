/*
 * client/client.h - what a connection that was begun by wsr_connect carries with it for as long as its wsr_conn is good: where
 * to, how, by which policy; and the way from an address to its endpoint's first byte, which is gone again at each attempt.
 *
 *     wsr_connect -> struct wsr_client, slot -> wsr_client_attempt -> dial -> wsr_client_connected -> front (proxy, TLS) -> endpoint
 *                                                    ^                     \-> wsr_client_failed -> CLOSED, or comeback.c
 *                                                    \------------------------------------------------/
 */
#ifndef WSR_CLIENT_CLIENT_H
#define WSR_CLIENT_CLIENT_H

#include <wsring/client.h>

#include "client/dial.h"
#include "client/url.h"
#include "conn/engine.h"

struct wsr_comeback;

#define WSR_CLIENT_URLS_MAX 16u

struct wsr_client {
    struct wsr_chunk *room;    /* this lies in it; beside the endpoint of c (proto/aside.h) */
    struct wsr_connection *c;
    wsr_connect_config config; /* complete; its strings are in texts; config.url is not to be used, urls are */
    char *texts;               /* the URLs, and all strings of config, each NUL-terminated */
    size_t texts_bytes;
    const char *headers;       /* further header lines of each attempt: config.headers, or what takes their place */
    struct wsr_url *urls;      /* in texts, and their slices too, or (redirects) in what outlives the attempt */
    unsigned urls_n;
    unsigned endpoint;         /* which of them the attempt under way, or the connection, is to */
    struct wsr_url proxy;      /* if config.proxy is not NULL */
    wsr_tls *tls;              /* config.tls, a hold on it; NULL: the engine's own, if one is needed */
    struct wsr_dial dial;
    struct wsr_comeback *comeback; /* comeback.c's; NULL: it does not come back */
    bool elsewhere;            /* a redirect has led away from the URL's origin: what is for that alone is not shown there (redirect.h) */
    bool succeeded;            /* by another connection, which comes back in place of this one */
};

/*
 * Begins an attempt for c (c has its client) to its URL number `endpoint`: makes the endpoint in the slot anew and dials. The
 * slot must hold no descriptor and no armed operation, and its endpoint must never have been begun or be finished
 * (wsr_endpoint_fini). Called by wsr_connect, and again for each further attempt. c->ep.user stays what it is.
 * The connection's state is as a new one's, but for being on lists and paused. What happens then is told by the endpoint, as
 * always: it is over (wsr_conn_after), or it opens.
 * Returns 0; WSR_ECONFIG, WSR_ENOMEM, WSR_ERANDOM, WSR_ETLS: the endpoint is finished, and nothing was begun.
 */
WSR_MUST_USE int wsr_client_attempt(wsr_engine *engine, struct wsr_connection *c, unsigned endpoint);

/* The dial has ended: connected to fd, which is the connection's from now on; or not, and the dial says why. */
void wsr_client_connected(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, int fd);
void wsr_client_failed(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c);

/* ---- config.c ---- */

/* *to is from complete but for defaults; how many URLs it has. NULL for all defaults. Returns 0, WSR_ECONFIG, WSR_EURL, WSR_EINVAL. */
WSR_MUST_USE int wsr_client_config(wsr_connect_config *to, unsigned *urls_n, const wsr_connect_config *from);
/* Takes a list of URLs apart. Returns NULL, or what is wrong with it. urls NULL: they are only counted. */
WSR_MUST_USE const char *wsr_client_parse_urls(struct wsr_url *urls, unsigned *n, const char *text);
/* Is there such a line among these? */
bool wsr_client_has_header(const char *headers, wsr_slice name);

/* ---- client.c ---- */

/* A client whose texts are copied and whose URLs are parsed, for the first attempt or a successor's; *out only on success. */
WSR_MUST_USE int wsr_client_open(wsr_engine *engine, const wsr_connect_config *config, struct wsr_client **out);
void wsr_client_free(wsr_engine *engine, struct wsr_client *client);

/* Takes a slot for client (which it owns from then on, also on an error) and makes its first attempt. */
WSR_MUST_USE int wsr_client_begin(wsr_engine *engine, struct wsr_client *client, unsigned endpoint, wsr_conn *out);

#endif
