/*
 * proto/keypool.h - masking keys by the handful: secure random bytes drawn in bulk and handed out four at a time.
 *
 * RFC 6455 section 5.3: the masking key needs to be unpredictable, from a strong source of entropy, fresh for every frame.
 * A system call a key costs 470 ns; a pool filled by a cipher makes it 1 or 2.
 *
 * What it is not: a generator. Refilling is injected, and so is the news that the process forked: proto knows neither
 * OpenSSL nor fork (tls/crypto.h supplies both). One pool an engine, used by its one thread.
 */
#ifndef WSR_PROTO_KEYPOOL_H
#define WSR_PROTO_KEYPOOL_H

#include <wsring/types.h>

/* 1 KiB: the cipher's fixed cost a call is spread over enough keys to vanish, and the pool stays in the first-level cache. */
#define WSR_KEYPOOL_KEYS 256u

struct wsr_keypool {
    uint32_t left;        /* keys[0 .. left-1] are fresh; the rest are zero */
    uint32_t epoch;       /* *fork_epoch when they were drawn */
    const uint32_t *fork_epoch;
    int (*refill)(void *context, uint8_t *out, size_t n);
    void *context;
    uint32_t keys[WSR_KEYPOOL_KEYS];
};

/*
 * Prepares an empty pool; draws nothing yet.
 *
 * refill fills n bytes with secure random and returns 0, or anything else on failure; context is handed to it. fork_epoch
 * points to a number that is another one in every forked child, 0 if that cannot be told (tls/crypto.h): with 0, or
 * NULL, keys are drawn one by one, slowly but without a chance of use by two processes. All three must outlive the pool.
 */
void wsr_keypool_init(struct wsr_keypool *pool, int (*refill)(void *context, uint8_t *out, size_t n), void *context, const uint32_t *fork_epoch);

/* Forgets the keys that were not taken. */
void wsr_keypool_wipe(struct wsr_keypool *pool);

/* wsr_keypool_take for when there is no key at hand: refills, and takes. Returns the same. */
WSR_MUST_USE int wsr_keypool_draw(struct wsr_keypool *pool, uint32_t *key);

/*
 * Takes a key that was never handed out before and wipes it from the pool. *key is written only on success (its form is
 * that of wsr_text_state.key, though of random bytes it does not matter). Returns 0, or WSR_ERANDOM if the refill failed:
 * then the frame must not be sent.
 */
WSR_MUST_USE static inline int wsr_keypool_take(struct wsr_keypool *pool, uint32_t *key)
{
    uint32_t left = pool->left;
    if (left == 0 || pool->epoch != *pool->fork_epoch) {
        return wsr_keypool_draw(pool, key);
    }
    *key = pool->keys[--left];
    pool->keys[left] = 0;
    pool->left = left;
    return WSR_OK;
}

#endif
