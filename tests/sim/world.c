/*
 * tests/sim/world.c - the seed, the clock, what is to come, failures on order, and the end of a run that broke a rule.
 */
#include "sim/kernel.h"

#include <stdarg.h>
#include <stdlib.h>

#define FAILURES_MAX 16u

struct event {
    uint64_t at_ns, order; /* of two at the same time the earlier made comes first */
    void *who;
    uint64_t argument;
    enum sim_event_type type;
};

struct failure {
    enum sim_call call;
    uint64_t at; /* the count at which it strikes; 0: not set up */
    int error;
};

struct sim_knobs sim_knobs;
struct sim_stats sim_stats;
struct sim_world sim_world;
FILE *sim_trace;
void (*sim_on_violation)(const char *text);
void (*sim_on_bytes)(uint16_t port, bool from_connector, const uint8_t *bytes, size_t len);
uint64_t sim_struck[SIM_CALLS][SIM_ERRNOS];

static struct event *heap; /* a binary heap; its memory outlives the runs */
static size_t heap_n, heap_cap;
static uint64_t heap_order;
static struct failure failures[FAILURES_MAX];
static unsigned failures_n;

/* ---- random numbers ---- */

uint64_t sim_mix(uint64_t value)
{
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u; /* splitmix64 */
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

uint64_t sim_random(void)
{
    return sim_mix(sim_world.random += 0x9e3779b97f4a7c15u);
}

uint64_t sim_below(uint64_t n)
{
    return sim_random() % n;
}

bool sim_chance(unsigned percent)
{
    return percent > 0 && sim_below(100) < percent;
}

uint64_t sim_up_to(uint64_t max_ns)
{
    return max_ns == 0 ? 0 : sim_below(max_ns + 1);
}

/* ---- one run after the other ---- */

void sim_reset(uint64_t seed)
{
    sim_rings_reset_all();
    sim_ops_reset_all();
    sim_peers_reset_all();
    sim_stream_reset_all();
    sim_maps_reset_all();
    sim_names_reset_all();
    memset(&sim_knobs, 0, sizeof sim_knobs);
    memset(&sim_stats, 0, sizeof sim_stats);
    sim_world.seed = seed;
    sim_world.random = sim_mix(seed + 1);
    sim_world.digest = 0;
    sim_world.port_next = 40000;
    memset(sim_world.calls, 0, sizeof sim_world.calls);
    heap_n = 0;
    heap_order = 0;
    sim_fail_none();
    sim_on_bytes = NULL;
    /* Anything from a fresh boot to years of uptime: times are compared, never taken for small. */
    sim_world.now_ns = 1 + (sim_random() >> (4 + sim_below(32)));
}

static uint32_t pick_bytes(void)
{
    static const uint32_t choices[] = {0, 0, 1, 7, 100, 1500, 4096};
    return choices[sim_below(sizeof choices / sizeof choices[0])];
}

static uint64_t pick_ns(void)
{
    static const uint64_t choices[] = {0, 0, 1000, 100000, 5000000, 50000000};
    return choices[sim_below(sizeof choices / sizeof choices[0])];
}

static uint8_t pick_percent(unsigned max)
{
    return sim_chance(50) ? 0 : (uint8_t)sim_below(max + 1);
}

void sim_chaos(void)
{
    static const uint32_t rooms[] = {65536, 65536, 512, 3000, 16384};
    sim_knobs.socket_bytes = rooms[sim_below(sizeof rooms / sizeof rooms[0])];
    sim_knobs.read_bytes_max = pick_bytes();
    sim_knobs.write_bytes_max = pick_bytes();
    sim_knobs.latency_ns_max = pick_ns();
    sim_knobs.delay_ns_max = pick_ns();
    sim_knobs.delay_percent = pick_percent(80);
    sim_knobs.late_send_percent = pick_percent(50);
    sim_knobs.short_send_percent = pick_percent(20);
    sim_knobs.lost_more_percent = pick_percent(30);
    sim_knobs.enobufs_percent = pick_percent(20);
    sim_knobs.reorder_percent = pick_percent(100);
    sim_knobs.interrupt_percent = pick_percent(10);
    sim_knobs.partial_submit_percent = pick_percent(20);
    sim_knobs.late_notification_percent = pick_percent(30);
    sim_knobs.no_zero_copy_percent = pick_percent(5);
    sim_knobs.no_stamp_percent = pick_percent(20);
    sim_knobs.cut_stamp_percent = pick_percent(10);
    sim_knobs.hardware_percent = pick_percent(50);
}

/* ---- what is to come ---- */

static bool earlier(const struct event *a, const struct event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

void sim_event(enum sim_event_type type, uint64_t at_ns, void *who, uint64_t argument)
{
    if (heap_n == heap_cap) {
        heap_cap = heap_cap == 0 ? 256 : heap_cap * 2;
        heap = realloc(heap, heap_cap * sizeof *heap);
        if (heap == NULL)
            abort();
    }
    struct event event = {at_ns, heap_order++, who, argument, type};
    size_t i = heap_n++;
    for (; i > 0 && earlier(&event, &heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = event;
}

static struct event take_first(void)
{
    struct event first = heap[0], last = heap[--heap_n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= heap_n)
            break;
        if (child + 1 < heap_n && earlier(&heap[child + 1], &heap[child]))
            child++;
        if (!earlier(&heap[child], &last))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return first;
}

bool sim_event_next(uint64_t *at_ns)
{
    if (heap_n == 0)
        return false;
    *at_ns = heap[0].at_ns;
    return true;
}

void sim_run_due(void)
{
    while (heap_n > 0 && heap[0].at_ns <= sim_world.now_ns) {
        struct event event = take_first();
        sim_stats.events++;
        if (event.type == SIM_EVENT_OP)
            sim_op_event(event.who, event.argument);
        else if (event.type == SIM_EVENT_NAME)
            sim_name_event(event.who, event.argument);
        else
            sim_side_event(event.type, event.who, event.argument);
    }
}

void sim_run_until(uint64_t at_ns)
{
    uint64_t next;
    while (sim_event_next(&next) && next <= at_ns) {
        if (next > sim_world.now_ns)
            sim_world.now_ns = next;
        sim_run_due();
    }
    if (at_ns > sim_world.now_ns)
        sim_world.now_ns = at_ns;
}

bool sim_advance(void)
{
    uint64_t next;
    if (!sim_event_next(&next))
        return false;
    sim_run_until(next > sim_world.now_ns ? next : sim_world.now_ns);
    return true;
}

void sim_advance_within(uint64_t ns)
{
    uint64_t next;
    if (sim_event_next(&next) && next <= sim_world.now_ns + ns)
        (void)sim_advance();
    else
        sim_sleep(ns);
}

void sim_sleep(uint64_t ns)
{
    sim_run_until(sim_world.now_ns + ns);
}

uint64_t sim_now_ns(void)
{
    return sim_world.now_ns;
}

uint64_t sim_digest(void)
{
    return sim_world.digest;
}

/* ---- failures on order ---- */

void sim_fail(enum sim_call call, uint64_t nth, int error)
{
    for (unsigned i = 0; i < FAILURES_MAX; i++) {
        if (failures[i].at != 0)
            continue;
        struct failure failure = {call, sim_world.calls[call] + nth, error};
        failures[i] = failure;
        failures_n++;
        return;
    }
    fprintf(stderr, "sim_fail: more than %u at once\n", FAILURES_MAX);
    abort();
}

unsigned sim_failures(void)
{
    return failures_n;
}

void sim_fail_none(void)
{
    memset(failures, 0, sizeof failures);
    failures_n = 0;
}

static int strikes(enum sim_call call)
{
    for (unsigned i = 0; i < FAILURES_MAX; i++) {
        if (failures[i].call != call || failures[i].at == 0 || failures[i].at != sim_world.calls[call])
            continue;
        failures[i].at = 0;
        failures_n--;
        sim_stats.injected++;
        sim_struck[call][(unsigned)failures[i].error % SIM_ERRNOS]++;
        sim_note("injected: call %d number %llu fails with %d", (int)call, (unsigned long long)sim_world.calls[call], failures[i].error);
        return failures[i].error;
    }
    return 0;
}

int sim_injected(enum sim_call call)
{
    sim_world.calls[call]++;
    int error = failures_n > 0 ? strikes(call) : 0;
    if (call < SIM_OPERATION) {
        sim_world.calls[SIM_OPERATION]++;
        if (error == 0 && failures_n > 0)
            error = strikes(SIM_OPERATION);
    }
    return error;
}

uint64_t sim_calls(enum sim_call call)
{
    return sim_world.calls[call];
}

/* ---- telling ---- */

void sim_note(const char *format, ...)
{
    if (sim_trace == NULL)
        return;
    va_list arguments;
    va_start(arguments, format);
    fprintf(sim_trace, "%12.6f  ", (double)(sim_world.now_ns % 1000000000000u) / 1e6);
    vfprintf(sim_trace, format, arguments);
    fputc('\n', sim_trace);
    va_end(arguments);
}

void sim_violation(const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (sim_on_violation != NULL)
        sim_on_violation(text);
    fprintf(stderr, "sim: violation (seed %llu, at %llu ns): %s\n", (unsigned long long)sim_world.seed,
            (unsigned long long)sim_world.now_ns, text);
    abort();
}

unsigned sim_leaks(char *text, size_t cap)
{
    unsigned descriptors = 0;
    char first[64] = "";
    for (int i = 0; i < sim_world.fd_highest; i++) {
        if (sim_world.fds[i] == NULL || sim_world.fds[i]->kind == SIM_FILE_RING)
            continue;
        if (descriptors++ == 0)
            snprintf(first, sizeof first, " (the first: %d, kind %d)", i + SIM_FD_BASE, (int)sim_world.fds[i]->kind);
    }
    if (text != NULL)
        snprintf(text, cap, "%u descriptors%s, %u rings, %u mappings", descriptors, first, sim_world.rings_n, sim_world.maps_n);
    return descriptors + sim_world.rings_n + sim_world.maps_n;
}
