/*
 * tools/load_worker.c - see load_worker.h.
 */
#include "tools/load_worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>

#include "tools/cmd.h"
#include "tools/parse.h"
#include "tools/signals.h"

#define SECOND_NS 1000000000ull

/* What the progress line shows: all threads together. */
static atomic_uint_fast64_t echoed_ever, bytes_ever;

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void print_progress(const char *phase, uint64_t begin_ns)
{
    static uint64_t last_ns, last_echoed;
    uint64_t now_ns = cmd_now_ns();
    if (now_ns - last_ns < SECOND_NS)
        return;
    uint64_t echoed = atomic_load_explicit(&echoed_ever, memory_order_relaxed);
    char size[24];
    if (last_ns != 0)
        fprintf(stderr, "\r%5.0f s  %s  %" PRIu64 " messages (%.0f/s), %s verified\033[K", (double)(now_ns - begin_ns) / 1e9, phase, echoed,
                (double)(echoed - last_echoed) * 1e9 / (double)(now_ns - last_ns),
                format_size(size, sizeof size, atomic_load_explicit(&bytes_ever, memory_order_relaxed)));
    last_ns = now_ns;
    last_echoed = echoed;
}

static uint64_t sum_of_moves(const struct traffic *t)
{
    return t->totals.echoed + t->totals.opened + t->totals.failed + t->begun - t->live;
}

static bool is_impatient(const struct load_worker *w)
{
    return cmd_now_ns() - w->moved_ns >= w->phases->patience_ns;
}

/* How long to wait: to the deadline, to the end of patience, to the next progress line, whichever is first. */
static int64_t wait_ns(const struct load_worker *w, uint64_t deadline_ns)
{
    uint64_t now_ns = cmd_now_ns(), until_ns = w->moved_ns + w->phases->patience_ns;
    if (deadline_ns < until_ns)
        until_ns = deadline_ns;
    uint64_t wait = until_ns > now_ns ? until_ns - now_ns : 0;
    if (w->progress && wait > SECOND_NS)
        wait = SECOND_NS;
    return wait > INT64_MAX ? INT64_MAX : (int64_t)wait;
}

/* Steps once, until deadline_ns at the latest. False: the engine failed. */
static bool step(struct load_worker *w, uint64_t deadline_ns, const char *phase, uint64_t begin_ns)
{
    struct traffic *t = &w->traffic;
    uint64_t echoed = t->totals.echoed, bytes = t->totals.echoed_bytes, moves = sum_of_moves(t);
    int n = traffic_step(t, wait_ns(w, deadline_ns));
    if (sum_of_moves(t) != moves)
        w->moved_ns = t->now_ns;
    atomic_fetch_add_explicit(&echoed_ever, t->totals.echoed - echoed, memory_order_relaxed);
    atomic_fetch_add_explicit(&bytes_ever, t->totals.echoed_bytes - bytes, memory_order_relaxed);
    if (w->progress)
        print_progress(phase, begin_ns);
    if (n >= 0)
        return true;
    w->error = n;
    w->error_errno = errno;
    return false;
}

/* What has not ended by itself, after all patience, ends now. */
static void cut(struct load_worker *w, uint64_t begin_ns)
{
    struct traffic *t = &w->traffic;
    traffic_cut(t);
    uint64_t end_ns = cmd_now_ns() + SECOND_NS;
    bool going = true;
    w->moved_ns = cmd_now_ns();
    while (going && !traffic_done(t) && cmd_now_ns() < end_ns)
        going = step(w, end_ns, "cutting", begin_ns);
}

/* Connects, sends, waits, closes: each phase ends by a signal, or when nothing moves, too. */
static void run_phases(struct load_worker *w)
{
    struct traffic *t = &w->traffic;
    bool going = true;
    uint64_t begin_ns = w->moved_ns = cmd_now_ns();
    while (going && !traffic_connected(t) && signals_count() == 0 && !is_impatient(w))
        going = step(w, UINT64_MAX, "connecting", begin_ns);
    pthread_barrier_wait(w->connected);

    double cpu = cpu_seconds();
    uint64_t end_ns = w->phases->duration_ns > 0 ? cmd_now_ns() + w->phases->duration_ns : UINT64_MAX;
    w->moved_ns = cmd_now_ns();
    if (signals_count() == 0)
        traffic_start(t);
    while (going && !traffic_done(t) && !traffic_sent_all(t) && signals_count() == 0 && cmd_now_ns() < end_ns && !is_impatient(w))
        going = step(w, end_ns, "sending", begin_ns);

    traffic_finish(t, 0, w->config.connections);
    while (going && !traffic_done(t) && signals_count() < 2 && !is_impatient(w)) {
        if (t->in_flight == 0 && w->cpu_seconds == 0)
            w->cpu_seconds = cpu_seconds() - cpu;
        going = step(w, UINT64_MAX, "finishing", begin_ns);
    }
    if (w->cpu_seconds == 0)
        w->cpu_seconds = cpu_seconds() - cpu;
    if (going && !traffic_done(t))
        cut(w, begin_ns);
}

void *load_worker_run(void *context)
{
    struct load_worker *w = context;
    errno = 0;
    w->error = traffic_open(&w->traffic, &w->config);
    w->error_errno = errno;
    if (w->error == WSR_OK) {
        signals_watch(w->traffic.engine);
        run_phases(w);
        signals_unwatch(w->traffic.engine);
    } else {
        pthread_barrier_wait(w->connected);
    }
    traffic_close(&w->traffic);
    return NULL;
}
