/*
 * client/buckets.c - see buckets.h.
 */
#include "client/buckets.h"

#include <string.h>

#include <wsring/policy.h>

struct wsr_buckets {
    uint64_t keys[WSR_BUCKETS_MAX]; /* 0: free */
    wsr_bucket of[WSR_BUCKETS_MAX + 1]; /* the last one is everybody else's */
};

/* FNV-1a. Two hosts that come to the same share a bucket, no more. */
static uint64_t add(uint64_t sum, wsr_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        const uint8_t c = bytes.ptr[i];
        sum = (sum ^ (c >= 'A' && c <= 'Z' ? c | 0x20u : c)) * UINT64_C(0x100000001b3);
    }
    return sum;
}

static uint64_t key_of(const struct wsr_url *url)
{
    const uint8_t port[2] = {(uint8_t)(url->port >> 8), (uint8_t)url->port};
    uint64_t key = add(UINT64_C(0xcbf29ce484222325), url->host);
    key = add(key, url->socket);
    key = add(key, (wsr_slice){port, sizeof port});
    return key != 0 ? key : 1;
}

static bool open_buckets(wsr_engine *engine)
{
    if (engine->buckets != NULL)
        return true;
    engine->buckets = wsr_pool_get_exact(&engine->env.pool, sizeof *engine->buckets);
    if (engine->buckets == NULL)
        return false;
    memset(engine->buckets->keys, 0, sizeof engine->buckets->keys);
    for (unsigned i = 0; i <= WSR_BUCKETS_MAX; i++)
        (void)!wsr_bucket_init(&engine->buckets->of[i], WSR_BUCKET_ATTEMPTS, 0, WSR_BUCKET_ATTEMPTS); /* constants that fit */
    return true;
}

/* The one with this key, or else one that nobody misses: free, or full again. */
static wsr_bucket *find(struct wsr_buckets *buckets, uint64_t key, uint64_t now_ns)
{
    unsigned place = WSR_BUCKETS_MAX;
    for (unsigned i = 0; i < WSR_BUCKETS_MAX; i++) {
        if (buckets->keys[i] == key)
            return &buckets->of[i];
        if (place == WSR_BUCKETS_MAX && (buckets->keys[i] == 0 || buckets->of[i].full_ns < now_ns))
            place = i;
    }
    if (place < WSR_BUCKETS_MAX)
        buckets->keys[place] = key;
    return &buckets->of[place];
}

uint64_t wsr_buckets_take(wsr_engine *engine, const struct wsr_url *url, uint64_t now_ns)
{
    return open_buckets(engine) ? wsr_bucket_take(find(engine->buckets, key_of(url), now_ns), now_ns) : 0;
}

void wsr_buckets_free(wsr_engine *engine)
{
    if (engine->buckets != NULL)
        wsr_pool_put_exact(&engine->env.pool, engine->buckets, sizeof *engine->buckets);
    engine->buckets = NULL;
}
