/*
 * conn/crypto.c - lends proto what it may not have of its own: secure random bytes, masking keys in bulk, SHA-1.
 */
#include "conn/engine.h"
#include "tls/crypto.h"

int wsr_env_crypto(struct wsr_env *env, struct wsr_crypto_stream **stream)
{
    int error = wsr_crypto_stream_open(stream);
    if (error < 0)
        return error;
    env->sha1 = wsr_crypto_sha1;
    env->random = wsr_crypto_random;
    env->random_context = NULL;
    wsr_keypool_init(&env->keys, wsr_crypto_stream_fill, *stream, wsr_crypto_fork_epoch());
    return WSR_OK;
}

void wsr_env_crypto_end(struct wsr_env *env, struct wsr_crypto_stream *stream)
{
    wsr_keypool_wipe(&env->keys);
    wsr_crypto_stream_close(stream);
}
