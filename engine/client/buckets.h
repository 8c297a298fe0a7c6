/*
 * client/buckets.h - a token bucket for each host and port that an engine's clients come back to, so that however many there are
 * of them, that host sees so many attempts a second and no more.
 */
#ifndef WSR_CLIENT_BUCKETS_H
#define WSR_CLIENT_BUCKETS_H

#include "client/url.h"
#include "conn/engine.h"

#define WSR_BUCKETS_MAX 256u     /* hosts at a time; those beyond share one more */
#define WSR_BUCKET_ATTEMPTS 64u  /* a second, and at once */

/*
 * Takes a token for an attempt at url's host: how many nanoseconds it has to wait for it. now_ns does not go back. A host whose
 * bucket is full again may be forgotten: a new one is full, too. Without memory for any bucket there is no wait.
 */
uint64_t wsr_buckets_take(wsr_engine *engine, const struct wsr_url *url, uint64_t now_ns);

void wsr_buckets_free(wsr_engine *engine);

#endif
