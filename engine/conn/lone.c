/*
 * conn/lone.c - an endpoint that lives alone (wsring/endpoint.h): it brings its own wsr_env, and the library's crypto
 * where the caller gives none. All the work is proto's.
 */
#include <string.h>

#include "base/config.h"
#include "conn/engine.h"

struct lone {
    struct wsr_endpoint ep; /* first: a wsr_endpoint * of the public interface is this */
    struct wsr_env env;
    struct wsr_crypto_stream *crypto;
};

#define BATCH_BYTES_MAX ((size_t)1 << 20)
#define KEPT_BYTES_MAX ((size_t)64 << 10)

/* More of a connection's memory than its limits add up to is a bug or an attack: message, outbox, a batch; chunks are powers of two. */
static size_t memory_max(const wsr_limits *limits)
{
    uint64_t sum = limits->message_bytes_max + limits->outbox_bytes_max;
    return sum < SIZE_MAX / 8 ? (size_t)(4 * sum) + 4 * BATCH_BYTES_MAX : SIZE_MAX / 2;
}

static int take_config(wsr_endpoint_config *to, const wsr_endpoint_config *from)
{
    int error = wsr_config_take(to, sizeof *to, from, offsetof(wsr_endpoint_config, random));
    if (error < 0)
        return error;
    if (to->role != WSR_SERVER && to->role != WSR_CLIENT)
        return WSR_ECONFIG;
    if (to->allocator == NULL || to->allocator->alloc == NULL)
        to->allocator = &wsr_allocator_default;
    if (to->limits.ping_interval_ns == 0) /* an engine has another default: here nobody may be there to drain */
        to->limits.ping_interval_ns = UINT64_MAX;
    return WSR_OK;
}

int wsr_endpoint_open(wsr_endpoint **out, const wsr_endpoint_config *from, uint64_t now_ns)
{
    wsr_endpoint_config complete;
    const wsr_endpoint_config *config = &complete;
    int error = take_config(&complete, from);
    if (error < 0)
        return error;
    const wsr_allocator *allocator = config->allocator;
    struct lone *lone = allocator->alloc(allocator->context, sizeof *lone);
    if (lone == NULL)
        return WSR_ENOMEM;
    memset(lone, 0, sizeof *lone);
    error = wsr_env_init(&lone->env, &config->limits, allocator, config->kernels, 0);
    if (error == WSR_OK) {
        wsr_env_codecs(&lone->env);
        lone->env.pool.out_bytes_max = memory_max(&lone->env.limits);
        lone->env.pool.kept_bytes_max = KEPT_BYTES_MAX;
        lone->env.batch_bytes_max = BATCH_BYTES_MAX;
        error = wsr_env_crypto(&lone->env, &lone->crypto);
    }
    if (error == WSR_OK && config->random != NULL) {
        lone->env.random = config->random;
        lone->env.random_context = config->random_context;
        wsr_keypool_init(&lone->env.keys, config->random, config->random_context, NULL);
    }
    if (error == WSR_OK)
        error = wsr_endpoint_init(&lone->ep, &lone->env, config, now_ns);
    if (error < 0) {
        wsr_env_fini(&lone->env);
        wsr_env_crypto_end(&lone->env, lone->crypto);
        allocator->release(allocator->context, lone, sizeof *lone);
        return error;
    }
    *out = &lone->ep;
    return WSR_OK;
}

void wsr_endpoint_free(wsr_endpoint *endpoint)
{
    if (endpoint == NULL)
        return;
    struct lone *lone = (struct lone *)(void *)endpoint;
    const wsr_allocator *allocator = lone->env.pool.allocator;
    wsr_endpoint_fini(&lone->ep);
    wsr_env_fini(&lone->env);
    wsr_env_crypto_end(&lone->env, lone->crypto);
    allocator->release(allocator->context, lone, sizeof *lone);
}

/* The events of the call before are over. */
static struct wsr_batch begin(wsr_endpoint *endpoint, uint64_t now_ns, wsr_event *ev, unsigned cap)
{
    wsr_env_release(endpoint->env);
    return (struct wsr_batch){ev, cap, 0, now_ns};
}

int wsr_endpoint_feed(wsr_endpoint *endpoint, uint64_t now_ns, wsr_span in, wsr_event *ev, unsigned cap, unsigned *n, size_t *consumed)
{
    *n = 0;
    *consumed = 0;
    if (cap == 0)
        return WSR_EINVAL;
    struct wsr_batch batch = begin(endpoint, now_ns, ev, cap);
    *consumed = wsr_endpoint_take(endpoint, &batch, in.ptr, in.len);
    *n = batch.n;
    return WSR_OK;
}

int wsr_endpoint_tick(wsr_endpoint *endpoint, uint64_t now_ns, wsr_event *ev, unsigned cap, unsigned *n)
{
    *n = 0;
    if (cap == 0)
        return WSR_EINVAL;
    struct wsr_batch batch = begin(endpoint, now_ns, ev, cap);
    wsr_endpoint_time(endpoint, &batch);
    *n = batch.n;
    return WSR_OK;
}

int wsr_endpoint_eof(wsr_endpoint *endpoint, uint64_t now_ns, int sys_errno, wsr_event *ev, unsigned cap, unsigned *n)
{
    *n = 0;
    if (cap == 0)
        return WSR_EINVAL;
    struct wsr_batch batch = begin(endpoint, now_ns, ev, cap);
    wsr_endpoint_ended(endpoint, &batch, sys_errno == 0 ? WSR_ETRUNCATED : WSR_ERESET, sys_errno);
    *n = batch.n;
    return WSR_OK;
}
