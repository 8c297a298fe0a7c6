/*
 * loop/config.c - see config.h.
 */
#include "loop/config.h"

#include "base/config.h"
#include "conn/engine.h"

#define CONNECTIONS_DEFAULT 16384u
#define BATCH_PART 16u
#define BATCH_BYTES_DEFAULT ((uint64_t)4 << 20)
#define MEMORY_BYTES_DEFAULT ((uint64_t)1 << 30)
#define SQ_ENTRIES_DEFAULT 256u
#define CQ_ENTRIES_DEFAULT 4096u
#define SPIN_NS_DEFAULT UINT64_C(50000)
#define SPIN_NS_MAX UINT64_C(10000000000)
#define WAIT_MIN_NS_MAX UINT64_C(1000000000)
#define SQPOLL_IDLE_MS_DEFAULT 1000u
#define RESERVE_BYTES_MAX ((uint64_t)64 << 30)

static bool is_power_of_two(uint32_t n)
{
    return (n & (n - 1)) == 0;
}

static void complete(wsr_config *config)
{
    if (config->connections_max == 0)
        config->connections_max = CONNECTIONS_DEFAULT;
    if (config->batch_bytes_max == 0)
        config->batch_bytes_max = BATCH_BYTES_DEFAULT;
    if (config->memory_bytes_max == 0)
        config->memory_bytes_max = MEMORY_BYTES_DEFAULT;
    /* What a batch brings, and the answers to it, must fit into what is left when shed.c stops reading. */
    if (config->batch_bytes_max > config->memory_bytes_max / BATCH_PART)
        config->batch_bytes_max = config->memory_bytes_max / BATCH_PART;
    if (config->sq_entries == 0)
        config->sq_entries = SQ_ENTRIES_DEFAULT;
    if (config->cq_entries == 0)
        config->cq_entries = CQ_ENTRIES_DEFAULT;
    if (config->spin_ns == 0)
        config->spin_ns = SPIN_NS_DEFAULT;
    if (config->sqpoll_idle_ms == 0)
        config->sqpoll_idle_ms = SQPOLL_IDLE_MS_DEFAULT;
}

static const char *judge(const wsr_config *config)
{
    if (config->connections_max > WSR_SLOT_MAX)
        return "connections_max is over 2^24 - 2";
    if (config->sq_entries > 32768 || config->cq_entries > 65536)
        return "sq_entries is over 32768, or cq_entries over 65536";
    if (!is_power_of_two(config->buffers) || config->buffers > 32768)
        return "buffers is no power of two, or over 32768";
    if (!is_power_of_two(config->buffer_bytes) || config->buffer_bytes > 1u << 30)
        return "buffer_bytes is no power of two, or over 1 GiB";
    if (config->memory_bytes_max > SIZE_MAX / 2)
        return "memory_bytes_max is beyond all memory";
    if ((config->ring_without & ~(unsigned)(WSR_WITHOUT_INCREMENTAL | WSR_WITHOUT_MULTISHOT | WSR_WITHOUT_DEFER_TASKRUN)) != 0)
        return "ring_without has bits that are no WSR_WITHOUT_*";
    if ((unsigned)config->wait > WSR_WAIT_THROUGHPUT)
        return "wait is no wsr_wait_mode";
    if (config->spin_ns > SPIN_NS_MAX)
        return "spin_ns is over 10 s";
    if (config->wait_min_ns > WAIT_MIN_NS_MAX)
        return "wait_min_ns is over 1 s";
    if (config->reserve_bytes > RESERVE_BYTES_MAX)
        return "reserve_bytes is over 64 GiB";
    if (config->kernels != NULL && wsr_kernels_named(config->kernels) == NULL)
        return "kernels names none that this CPU and build have";
    return wsr_limits_problem(&config->limits);
}

const char *wsr_engine_config(wsr_config *to, const wsr_config *from)
{
    if (wsr_config_take(to, sizeof *to, from, offsetof(wsr_config, connections_max)) < 0)
        return WSR_CONFIG_SIZE_PROBLEM;
    complete(to);
    return judge(to);
}

const char *wsr_config_problem(const wsr_config *config)
{
    wsr_config completed;
    return wsr_engine_config(&completed, config);
}
