/*
 * proto/keypool.c - the refill of the masking-key pool (see keypool.h; RFC 6455 section 5.3).
 */
#include "proto/keypool.h"

#include <string.h>

/* What pools without news of forks point to: "cannot be told". */
static const uint32_t unknown_epoch = 0;

void wsr_keypool_init(struct wsr_keypool *pool, int (*refill)(void *context, uint8_t *out, size_t n), void *context, const uint32_t *fork_epoch)
{
    memset(pool, 0, sizeof *pool);
    pool->refill = refill;
    pool->context = context;
    pool->fork_epoch = fork_epoch != NULL ? fork_epoch : &unknown_epoch;
}

void wsr_keypool_wipe(struct wsr_keypool *pool)
{
    pool->left = 0;
    memset(pool->keys, 0, sizeof pool->keys);
    /* The pool may be freed next; the compiler must not take the memset for a dead store. */
    __asm__ volatile("" : : "r"(pool->keys) : "memory");
}

/* Straight to the caller, nothing kept. (With OpenSSL's refill the epoch is known again after the first.) */
static int draw_one(struct wsr_keypool *pool, uint32_t *key)
{
    uint8_t bytes[sizeof *key];
    if (pool->refill(pool->context, bytes, sizeof bytes) != 0) {
        return WSR_ERANDOM;
    }
    memcpy(key, bytes, sizeof bytes);
    return WSR_OK;
}

int wsr_keypool_draw(struct wsr_keypool *pool, uint32_t *key)
{
    /* In a child, what is left here is the parent's. */
    wsr_keypool_wipe(pool);
    if (*pool->fork_epoch == 0) {
        return draw_one(pool, key);
    }
    if (pool->refill(pool->context, (uint8_t *)pool->keys, sizeof pool->keys) != 0) {
        wsr_keypool_wipe(pool);
        return WSR_ERANDOM;
    }
    pool->epoch = *pool->fork_epoch;
    pool->left = WSR_KEYPOOL_KEYS;
    return wsr_keypool_take(pool, key);
}
