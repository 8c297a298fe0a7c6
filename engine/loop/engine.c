/*
 * loop/engine.c - an engine opened, counted and closed.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/pool.h"
#include "conn/flight.h"
#include "conn/front.h"
#include "conn/preface.h"
#include "loop/config.h"
#include "ring/sys.h"

#define SMALL_PART 16u

static unsigned map_how(const wsr_config *config)
{
    return (config->prefault ? WSR_MAP_PREFAULT : 0u) | (config->lock_memory ? WSR_MAP_LOCK : 0u) | (config->huge_pages ? WSR_MAP_HUGE : 0u);
}

static struct wsr_ring_config ring_config(const wsr_config *config)
{
    return (struct wsr_ring_config){
        .sq_entries = config->sq_entries,
        .cq_entries = config->cq_entries,
        .buffers = config->buffers,
        .buffer_bytes = config->buffer_bytes,
        .without = config->ring_without,
        .map = map_how(config),
        .sqpoll = config->sqpoll,
        .sqpoll_idle_ms = config->sqpoll_idle_ms,
        .sqpoll_cpu = config->sqpoll_cpu,
        .zero_copy = config->zero_copy_bytes > 0,
    };
}

static int open_ring(wsr_engine *engine)
{
    struct wsr_ring_config config = ring_config(&engine->config);
    config.allocator = engine->allocator;
    struct wsr_ring_report report;
    int error = wsr_ring_open(&engine->ring, &config, &report);
    if (error == WSR_ESYS)
        errno = report.sys_errno;
    return error;
}

static int open_reserve(wsr_engine *engine)
{
    const size_t bytes = (size_t)engine->config.reserve_bytes;
    void *memory = NULL;
    const int error = bytes > 0 ? wsr_sys_map(bytes, map_how(&engine->config), &memory) : WSR_OK;
    if (error < 0)
        return error;
    wsr_region_init(&engine->region, memory, bytes, engine->allocator);
    if (bytes > 0)
        engine->allocator = &engine->region.face;
    return WSR_OK;
}

static int open_parts(wsr_engine *engine)
{
    int error = open_reserve(engine);
    if (error < 0)
        return error;
    error = wsr_env_init(&engine->env, &engine->config.limits, engine->allocator, engine->config.kernels,
                         (size_t)engine->config.memory_bytes_max);
    engine->env.batch_bytes_max = (size_t)engine->config.batch_bytes_max;
    engine->env.pool.for_small_bytes = (size_t)engine->config.memory_bytes_max / SMALL_PART;
    wsr_env_codecs(&engine->env);
    if (error == WSR_OK)
        error = wsr_env_crypto(&engine->env, &engine->crypto);
    if (error == WSR_OK)
        error = wsr_table_init(engine);
    if (error == WSR_OK)
        error = open_ring(engine);
    if (error < 0)
        return error;
    engine->buffers_n = wsr_ring_buffers(engine->ring);
    engine->held = engine->allocator->alloc(engine->allocator->context, engine->buffers_n * sizeof engine->held[0]);
    if (engine->held == NULL)
        return WSR_ENOMEM;
    memset(engine->held, 0, engine->buffers_n * sizeof engine->held[0]);
    engine->wake_fd = wsr_sys_eventfd();
    if (engine->wake_fd < 0) {
        errno = -engine->wake_fd;
        return WSR_ESYS;
    }
    return WSR_OK;
}

int wsr_engine_open(wsr_engine **out, const wsr_config *config)
{
    wsr_config complete;
    if (wsr_engine_config(&complete, config) != NULL)
        return WSR_ECONFIG;
    const wsr_allocator *allocator = complete.allocator != NULL ? complete.allocator : &wsr_allocator_default;
    wsr_engine *engine = allocator->alloc(allocator->context, sizeof *engine);
    if (engine == NULL)
        return WSR_ENOMEM;
    memset(engine, 0, sizeof *engine);
    engine->allocator = allocator;
    engine->config = complete;
    engine->wake_fd = engine->reserve_fd = engine->resolver_fd = -1;
    engine->timer_at_ns = UINT64_MAX;
    engine->shedding.stalled.kind = WSR_TIMER_SHED;
    engine->waiting = (struct wsr_waiting){.mode = complete.wait, .cores = wsr_sys_cores(), .gap_ns = 4 * (int64_t)complete.spin_ns};
    for (unsigned i = 0; i < WSR_LISTENERS_MAX; i++)
        engine->listening[i].fd = -1;
    engine->now_ns = wsr_sys_now_ns();
    wsr_wheel_init(&engine->wheel, engine->now_ns);
    const int error = open_parts(engine);
    if (error < 0) {
        int kept = errno;
        wsr_engine_close(engine);
        errno = kept;
        return error;
    }
    *out = engine;
    return WSR_OK;
}

static void close_connections(wsr_engine *engine)
{
    struct wsr_connection *c;
    for (uint32_t slot = 0; (c = wsr_table_at(engine, slot)) != NULL; slot++) {
        if (!c->live)
            continue;
        if (c->fd >= 0)
            wsr_sys_close(c->fd);
        wsr_pool_put_list(&engine->env.pool, c->backlog);
        wsr_endpoint_fini(&c->ep);
        wsr_front_free(engine, c);
        wsr_preface_free(engine, c);
        if (wsr_conn_client(c) != NULL)
            engine->clients->freed(engine, c);
    }
}

void wsr_engine_close(wsr_engine *engine)
{
    if (engine == NULL)
        return;
    const wsr_allocator *allocator = engine->allocator;
    wsr_flights_cut(engine);
    const bool kernel_is_done = wsr_ring_close(engine->ring); /* it touches nothing of ours from here on, but perhaps what flies */
    wsr_flights_fini(engine, kernel_is_done);
    close_connections(engine);
    if (engine->comebacks != NULL)
        engine->comebacks->closed(engine);
    if (engine->clients != NULL)
        engine->clients->closed(engine);
    for (unsigned i = 0; i < WSR_LISTENERS_MAX; i++) {
        struct wsr_listening *listening = &engine->listening[i];
        if (listening->fd >= 0)
            wsr_sys_close(listening->fd);
        if (listening->texts != NULL)
            wsr_pool_put_exact(&engine->env.pool, listening->texts, listening->texts_bytes);
        wsr_tls_release(listening->tls);
    }
    wsr_tls_release(engine->tls);
    if (engine->reserve_fd >= 0)
        wsr_sys_close(engine->reserve_fd);
    if (engine->wake_fd >= 0)
        wsr_sys_close(engine->wake_fd);
    wsr_table_fini(engine);
    wsr_env_fini(&engine->env);
    wsr_env_crypto_end(&engine->env, engine->crypto);
    if (engine->held != NULL)
        allocator->release(allocator->context, engine->held, engine->buffers_n * sizeof engine->held[0]);
    if (engine->region.memory != NULL)
        wsr_sys_unmap(engine->region.memory, engine->region.bytes, map_how(&engine->config));
    allocator = engine->region.parent != NULL ? engine->region.parent : allocator;
    allocator->release(allocator->context, engine, sizeof *engine);
}

/* ---- figures ---- */

static uint64_t table_bytes(const wsr_engine *engine)
{
    return engine->table.blocks_max * sizeof engine->table.blocks[0] +
           (uint64_t)engine->table.blocks_n * WSR_TABLE_BLOCK * sizeof(struct wsr_connection);
}

void wsr_engine_stats(const wsr_engine *engine, wsr_engine_statistics *statistics, size_t size)
{
    wsr_engine_statistics now = engine->stats;
    const struct wsr_connection *c;
    for (uint32_t slot = 0; (c = wsr_table_at(engine, slot)) != NULL; slot++) {
        if (!c->live)
            continue;
        now.messages_in += c->ep.messages_in;
        now.bytes_in += c->ep.bytes_in;
        now.messages_out += c->ep.out.messages;
        now.bytes_out += c->ep.out.payload_bytes;
    }
    now.messages_undelivered = engine->env.messages_undelivered;
    now.messages_unconfirmed = engine->env.messages_unconfirmed;
    now.handshakes_failed = engine->env.handshakes_failed;
    now.upgrades_refused = engine->env.upgrades_refused;
    now.enters = wsr_ring_enters(engine->ring);
    now.allocations = engine->env.pool.allocations;
    now.memory_bytes = sizeof *engine + table_bytes(engine) + wsr_ring_memory_bytes(engine->ring) + wsr_flights_bytes(engine) + engine->env.pool.out_bytes +
                       engine->env.pool.kept_bytes + engine->region.bytes - engine->region.in_use;
    memset(statistics, 0, size);
    memcpy(statistics, &now, size < sizeof now ? size : sizeof now);
}

int wsr_engine_memory_bytes(const wsr_config *config, uint64_t *fixed, uint64_t *max)
{
    wsr_config complete;
    if (wsr_engine_config(&complete, config) != NULL)
        return WSR_ECONFIG;
    const struct wsr_ring_config ring = ring_config(&complete);
    const uint64_t blocks = (complete.connections_max + WSR_TABLE_BLOCK - 1) / WSR_TABLE_BLOCK;
    *fixed = sizeof(wsr_engine) + blocks * sizeof(void *) + wsr_ring_memory_bytes_of(&ring) + complete.reserve_bytes;
    *max = *fixed + blocks * WSR_TABLE_BLOCK * sizeof(struct wsr_connection) + complete.memory_bytes_max;
    return WSR_OK;
}
