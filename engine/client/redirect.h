/*
 * client/redirect.h - where a 3xx answer sends a client (RFC 9110 sections 10.2.2 and 15.4): for one attempt the place that its
 * Location names stands for the configured URL. How often that may be done is the policy's.
 *
 * Never from wss to ws, and never to a unix socket of this host. To another origin no credentials go along: neither the
 * URL's user and password, nor Authorization, Proxy-Authorization and Cookie of the configured header lines, nor the client's
 * certificate. Once away they stay away, though a further redirect lead home.
 */
#ifndef WSR_CLIENT_REDIRECT_H
#define WSR_CLIENT_REDIRECT_H

#include "client/client.h"

struct wsr_redirect {
    char *memory;           /* NULL: the attempt is, or was, to the configured URL */
    size_t bytes;
    const char *shown;      /* the URL without user and password, in memory */
    struct wsr_url instead_of;
    const char *headers;    /* those instead of which client->headers now are */
};

/*
 * Puts the place that an answer names into client->urls[client->endpoint], from which the answer came. Returns 0; WSR_ENOMEM: not
 * now (answer NULL is that, too); WSR_EURL: that is no place to go to, and *why says so in one line, static. On an error nothing
 * has changed.
 */
WSR_MUST_USE int wsr_redirect_follow(wsr_engine *engine, struct wsr_client *client, struct wsr_redirect *redirect, const wsr_response *answer,
                                     const char **why);

/* Back to the configured URL. */
void wsr_redirect_end(wsr_engine *engine, struct wsr_client *client, struct wsr_redirect *redirect);

#endif
