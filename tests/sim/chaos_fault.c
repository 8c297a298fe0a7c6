/*
 * tests/sim/chaos_fault.c - what goes wrong in a hostile world: any call and any operation fails with any errno it may have,
 * memory runs out now and then, descriptors do, and all of it ends when the world winds down.
 */
#include "sim/chaos.h"

#include <errno.h>
#include <stdlib.h>

#include "sim/kernel.h"

static struct {
    uint64_t held_n, held_bytes;
    unsigned per_mille; /* allocations that fail */
} memory;

const struct chaos_fault chaos_faults[] = {
    {SIM_RECEIVE, "receive", {ECONNRESET, ENOBUFS, EINTR, EAGAIN, ENOMEM, ETIMEDOUT, EPIPE}},
    {SIM_SEND, "send", {EPIPE, ECONNRESET, EINTR, EAGAIN, ENOMEM, ETIMEDOUT, ENOBUFS}},
    {SIM_ACCEPT, "accept", {EMFILE, ENFILE, ECONNABORTED, EPERM, ENOMEM, EINTR, ENOBUFS}},
    {SIM_CONNECT, "connect", {ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ENOMEM}},
    {SIM_POLL, "poll", {ENOMEM, EINVAL}},
    {SIM_CANCEL, "cancel", {EALREADY, EINVAL, ENOMEM}},
    {SIM_TIMER, "timer", {ENOMEM}},
    {SIM_ENTER, "enter", {EINTR, EAGAIN, EBUSY, ENOMEM}},
    {SIM_SOCKET, "socket", {EMFILE, ENFILE, ENOMEM}},
    {SIM_SHUTDOWN, "shutdown", {ENOTCONN}},
    {SIM_RESERVE, "reserve", {EMFILE}},
};
const unsigned chaos_faults_n = sizeof chaos_faults / sizeof chaos_faults[0];

/* ---- memory ---- */

static bool strikes(void)
{
    chaos_stats.allocations++;
    if (memory.per_mille == 0 || sim_below(1000) >= memory.per_mille)
        return false;
    chaos_stats.allocations_failed++;
    return true;
}

static void *chaos_alloc(void *context, size_t size)
{
    (void)context;
    if (strikes())
        return NULL;
    memory.held_n++;
    memory.held_bytes += size;
    return malloc(size);
}

static void *chaos_resize(void *context, void *ptr, size_t old_size, size_t size)
{
    (void)context;
    if (strikes())
        return NULL;
    memory.held_bytes += size - old_size;
    return realloc(ptr, size);
}

static void chaos_release(void *context, void *ptr, size_t size)
{
    (void)context;
    if (memory.held_n == 0 || memory.held_bytes < size)
        sim_violation("more memory is given back than was taken");
    memory.held_n--;
    memory.held_bytes -= size;
    free(ptr);
}

const wsr_allocator chaos_allocator = {NULL, chaos_alloc, chaos_resize, chaos_release};

void chaos_fault_check(void)
{
    if (memory.held_n > 0 || memory.held_bytes > 0)
        sim_violation("%llu pieces of memory, %llu bytes, were not given back", (unsigned long long)memory.held_n,
                      (unsigned long long)memory.held_bytes);
}

/* ---- calls and descriptors ---- */

static uint64_t descriptors_back_at_ns;

void chaos_fault_begin(void)
{
    memory.held_n = memory.held_bytes = 0;
    memory.per_mille = 0;
    descriptors_back_at_ns = 0;
}

void chaos_fault_start(void)
{
    if (chaos.hostile && sim_chance(30))
        memory.per_mille = 1 + (unsigned)sim_below(40);
}

static void injure(void)
{
    const struct chaos_fault *fault = &chaos_faults[sim_below(chaos_faults_n)];
    unsigned n = 0;
    while (fault->errors[n] != 0)
        n++;
    sim_fail(fault->call, 1 + sim_below(6), fault->errors[sim_below(n)]);
}

/* For a while there are hardly more descriptors than are open now. Accepting suffers, nothing else may. */
static void crowd(void)
{
    if (sim_knobs.fds_max == 0 && sim_chance(1)) {
        sim_knobs.fds_max = (uint32_t)sim_world.fds_n + (uint32_t)sim_below(3);
        descriptors_back_at_ns = sim_now_ns() + sim_below(CHAOS_SECOND);
        chaos_stats.crowded++;
    } else if (sim_knobs.fds_max != 0 && sim_now_ns() >= descriptors_back_at_ns) {
        sim_knobs.fds_max = 0;
    }
}

void chaos_fault_step(void)
{
    if (!chaos.hostile)
        return;
    crowd();
    if (sim_chance(4) && sim_failures() < 8)
        injure();
}

void chaos_fault_stop(void)
{
    sim_knobs.fds_max = 0;
    memory.per_mille = 0;
    sim_fail_none();
}
