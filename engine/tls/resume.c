/*
 * tls/resume.c - sessions that a client may resume, by host and port (RFC 8446 section 2.2, RFC 5077): few, the oldest gives way.
 */
#include <stdlib.h>
#include <string.h>

#include "tls/context.h"

static void empty(struct wsr_tls_remembered *place)
{
    SSL_SESSION_free(place->session);
    free(place->peer);
    *place = (struct wsr_tls_remembered){0};
}

void wsr_tls_forget(struct wsr_tls *tls)
{
    for (unsigned i = 0; i < WSR_TLS_REMEMBERED_MAX; i++)
        empty(&tls->remembered[i]);
}

/* A free place, else the oldest. */
static struct wsr_tls_remembered *place_for_one(struct wsr_tls *tls)
{
    struct wsr_tls_remembered *oldest = &tls->remembered[0];
    for (unsigned i = 0; i < WSR_TLS_REMEMBERED_MAX; i++) {
        if (tls->remembered[i].peer == NULL)
            return &tls->remembered[i];
        if (tls->remembered[i].number < oldest->number)
            oldest = &tls->remembered[i];
    }
    return oldest;
}

void wsr_tls_remember(struct wsr_tls *tls, const char *peer, SSL_SESSION *session)
{
    char *copy = SSL_SESSION_is_resumable(session) ? strdup(peer) : NULL;
    if (copy == NULL) {
        SSL_SESSION_free(session);
        return;
    }
    pthread_mutex_lock(&tls->lock);
    struct wsr_tls_remembered *place = place_for_one(tls);
    empty(place);
    *place = (struct wsr_tls_remembered){copy, session, ++tls->remembered_ever};
    pthread_mutex_unlock(&tls->lock);
}

/* The newest for peer: it lives longest. */
static struct wsr_tls_remembered *newest_for(struct wsr_tls *tls, const char *peer)
{
    struct wsr_tls_remembered *found = NULL;
    for (unsigned i = 0; i < WSR_TLS_REMEMBERED_MAX; i++) {
        struct wsr_tls_remembered *place = &tls->remembered[i];
        if (place->peer != NULL && strcmp(place->peer, peer) == 0 && (found == NULL || place->number > found->number))
            found = place;
    }
    return found;
}

SSL_SESSION *wsr_tls_recall(struct wsr_tls *tls, const char *peer)
{
    SSL_SESSION *session = NULL;
    pthread_mutex_lock(&tls->lock);
    struct wsr_tls_remembered *place = newest_for(tls, peer);
    if (place != NULL) {
        session = place->session;
        SSL_SESSION_up_ref(session);
        if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION)
            empty(place);
    }
    pthread_mutex_unlock(&tls->lock);
    return session;
}
