/*
 * client/comeback_open.c - what a client comes back by, made of its configuration, and freed.
 */
#include <string.h>

#include "client/comeback.h"
#include "ring/sys.h"

#define ANSWER_TIMEOUT_NS UINT64_C(10000000000)
#define QUEUE_TTL_NS UINT64_C(1000000000)
#define HANDOVER_NS UINT64_C(5000000000)

/* For the policy. Jitter is no secret: without secure bytes the clock has to do. */
static uint64_t draw(void *context)
{
    struct wsr_env *env = context;
    uint64_t value;
    if (env->random(env->random_context, (uint8_t *)&value, sizeof value) == 0)
        return value;
    return wsr_sys_now_ns() * UINT64_C(0x9E3779B97F4A7C15);
}

static void default_ns(uint64_t *field, uint64_t value)
{
    if (*field == 0)
        *field = value;
}

wsr_policy_config wsr_comeback_policy(const wsr_connect_config *connect, unsigned urls_n, uint64_t (*random)(void *context), void *context)
{
    const wsr_reconnect *config = &connect->reconnect;
    return (wsr_policy_config){
        .size = sizeof(wsr_policy_config),
        .random = random,
        .random_context = context,
        .profile = config->profile,
        .endpoints = urls_n,
        .attempts_max = config->attempts_max,
        .elapsed_max_ns = config->elapsed_max_ns,
        .base_ns = config->base_ns,
        .cap_ns = config->cap_ns,
        .stable_ns = config->stable_ns,
        .retry_after_max_ns = config->retry_after_max_ns,
        .overrides = config->overrides,
        .overrides_n = config->overrides_n,
    };
}

static int init_policy(wsr_engine *engine, struct wsr_comeback *comeback)
{
    struct wsr_client *client = comeback->client;
    wsr_reconnect *config = &client->config.reconnect;
    default_ns(&config->answer_timeout_ns, ANSWER_TIMEOUT_NS);
    default_ns(&config->queue_ttl_ns, QUEUE_TTL_NS);
    default_ns(&config->handover_ns, HANDOVER_NS);
    comeback->follow = (wsr_policy_override){WSR_CAUSE_HTTP_3XX, *wsr_policy_default(WSR_PROFILE_DEFAULT, WSR_CAUSE_HTTP_3XX)};
    comeback->follow.row.attempts_max = (uint16_t)(client->config.redirects_max < UINT16_MAX ? client->config.redirects_max : UINT16_MAX);
    if (comeback->follow.row.attempts_max == 0)
        comeback->follow.row.retry = WSR_RETRY_NEVER;
    wsr_policy_config policy = wsr_comeback_policy(&client->config, client->urls_n, draw, &engine->env);
    if (!config->on) {
        policy.overrides = &comeback->follow;
        policy.overrides_n = 1;
    }
    return wsr_policy_init(&comeback->policy, &policy);
}

/* The longest of the URLs as they are shown. */
static size_t shown_bytes(const struct wsr_client *client)
{
    size_t most = 0;
    for (unsigned i = 0; i < client->urls_n; i++) {
        struct wsr_http_out measure = {NULL, 0, 0};
        wsr_url_put_shown(&measure, &client->urls[i]);
        most = measure.len > most ? measure.len : most;
    }
    return most + 1;
}

int wsr_comeback_open(wsr_engine *engine, struct wsr_client *client, bool always)
{
    struct wsr_pool *pool = &engine->env.pool;
    if (!always && !client->config.reconnect.on && client->config.redirects_max == 0)
        return WSR_OK;
    const size_t url_bytes = shown_bytes(client);
    struct wsr_comeback *comeback = wsr_pool_get_exact(pool, sizeof *comeback);
    if (comeback == NULL)
        return WSR_ENOMEM;
    memset(comeback, 0, sizeof *comeback);
    comeback->client = client;
    comeback->on = client->config.reconnect.on;
    comeback->next.kind = WSR_TIMER_NEXT;
    comeback->queued.kind = WSR_TIMER_QUEUE;
    comeback->age.kind = WSR_TIMER_AGE;
    comeback->handover.kind = WSR_TIMER_HANDOVER;
    client->comeback = comeback;
    int error = init_policy(engine, comeback);
    if (error == WSR_OK) {
        comeback->url = wsr_pool_get_exact(pool, url_bytes);
        comeback->url_bytes = url_bytes;
        error = comeback->url != NULL ? WSR_OK : WSR_ENOMEM;
    }
    if (error < 0) {
        wsr_comeback_free(engine, client);
        return error;
    }
    wsr_comeback_hook(engine);
    return WSR_OK;
}

void wsr_comeback_begun(struct wsr_connection *c)
{
    const struct wsr_comeback *comeback = wsr_conn_client(c)->comeback;
    c->queues = comeback != NULL && comeback->on && wsr_comeback_config(comeback)->queue_bytes_max > 0;
}

void wsr_comeback_free(wsr_engine *engine, struct wsr_client *client)
{
    struct wsr_pool *pool = &engine->env.pool;
    struct wsr_comeback *comeback = client->comeback;
    if (comeback == NULL)
        return;
    wsr_wheel_unset(&engine->wheel, &comeback->next);
    wsr_wheel_unset(&engine->wheel, &comeback->queued);
    wsr_wheel_unset(&engine->wheel, &comeback->age);
    wsr_wheel_unset(&engine->wheel, &comeback->handover);
    wsr_redirect_end(engine, client, &comeback->redirect);
    wsr_queue_free(&comeback->queue, pool);
    if (comeback->headers != NULL)
        wsr_pool_put_exact(pool, comeback->headers, comeback->headers_bytes);
    if (comeback->url != NULL)
        wsr_pool_put_exact(pool, comeback->url, comeback->url_bytes);
    wsr_pool_put_exact(pool, comeback, sizeof *comeback);
    client->comeback = NULL;
}

size_t wsr_comeback_memory_bytes(const struct wsr_client *client)
{
    const struct wsr_comeback *comeback = client->comeback;
    if (comeback == NULL)
        return 0;
    return sizeof *comeback + comeback->headers_bytes + comeback->url_bytes + comeback->redirect.bytes + wsr_queue_memory_bytes(&comeback->queue);
}
