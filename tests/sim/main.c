/*
 * tests/sim/main.c - the command `sim`: worlds on the simulated host (chaos.h), as many as one likes.
 *
 *   sim [--seed N] [--count K] [--steps S] [--jobs J] [--tls] [--trace] [--quiet]
 *
 * Plays K worlds (1) from seed N (1), each of at least S turns (500), in J processes (1), and says at the end what happened in
 * them: every kind of fault, counted. At the first world that breaks a rule, aborts, or hangs for a minute it says so, how to
 * play it again, and ends with exit code 1; 2: wrong arguments. An interrupt or SIGTERM has it stop early and tell. --trace writes all that happens in them to the standard error. --tls plays them
 * over TLS, which takes longer, cannot be read along on the wire, and replays only nearly: how long a signature is, is chance.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim/chaos.h"

enum { JOBS_MAX = 64, HANG_SECONDS = 60, BROKEN = 3 };

/* What a process has done so far, in memory that its parent sees too. */
struct job {
    atomic_ullong seed; /* being played; 0: all done */
    atomic_ullong done;
    pid_t pid;
    struct chaos_stats chaos;
    struct sim_stats sim;
    uint64_t struck[SIM_CALLS][SIM_ERRNOS];
};

static struct {
    uint64_t seed, count;
    unsigned steps, jobs;
    bool trace, quiet, tls;
} options = {.seed = 1, .count = 1, .jobs = 1};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Structures of nothing but counters are added as arrays. */
static void add(void *to, const void *from, size_t bytes)
{
    uint64_t *sum = to;
    const uint64_t *more = from;
    for (size_t i = 0; i < bytes / sizeof *sum; i++)
        sum[i] += more[i];
}

/* ---- playing ---- */

static struct job *own;
static volatile sig_atomic_t stopping;

static void stop(int number)
{
    (void)number;
    stopping = 1;
}

static void broken(const char *text)
{
    fprintf(stderr, "seed %llu: %s\n", (unsigned long long)atomic_load(&own->seed), text);
    if (!options.quiet)
        chaos_tell(stderr);
    _exit(BROKEN);
}

static void play(struct job *job, unsigned number)
{
    own = job;
    sim_on_violation = broken;
    sim_trace = options.trace ? stderr : NULL;
    struct chaos_config config = {.steps = options.steps};
    const wsr_tls_config server = {.size = sizeof server, .role = WSR_SERVER, .self_signed = "127.0.0.1"};
    const wsr_tls_config client = {.size = sizeof client, .role = WSR_CLIENT, .verify_none = true};
    if (options.tls && (wsr_tls_open(&config.server_tls, &server, NULL, 0) < 0 || wsr_tls_open(&config.client_tls, &client, NULL, 0) < 0))
        broken("no TLS");
    for (uint64_t i = number; i < options.count && !stopping; i += options.jobs) {
        atomic_store(&job->seed, options.seed + i);
        config.seed = options.seed + i;
        chaos_world(&config);
        add(&job->sim, &sim_stats, sizeof sim_stats);
        atomic_fetch_add(&job->done, 1);
    }
    job->chaos = chaos_stats;
    memcpy(job->struck, sim_struck, sizeof sim_struck);
    atomic_store(&job->seed, 0);
}

/* ---- watching ---- */

static void tell_end(const struct job *job, const char *how, int number)
{
    const unsigned long long seed = atomic_load(&job->seed);
    fprintf(stderr, "seed %llu: %s %d after %llu worlds of its process; again with: sim --seed %llu --steps %u --trace\n", seed, how, number,
            (unsigned long long)atomic_load(&job->done), seed, options.steps);
}

/* Waits for all of them. True if each came to its end. */
static bool watch(struct job *jobs)
{
    unsigned long long last[JOBS_MAX] = {0};
    double since[JOBS_MAX];
    bool well = true;
    for (unsigned i = 0; i < options.jobs; i++)
        since[i] = now();
    for (unsigned running = options.jobs; running > 0;) {
        int status;
        const pid_t pid = waitpid(-1, &status, WNOHANG);
        for (unsigned i = 0; i < options.jobs && stopping == 1; i++)
            if (jobs[i].pid != 0)
                (void)kill(jobs[i].pid, SIGTERM);
        stopping *= 2; /* told once */
        for (unsigned i = 0; i < options.jobs; i++) {
            if (pid > 0 && jobs[i].pid == pid) {
                running--;
                jobs[i].pid = 0;
                if (status == 0)
                    continue;
                tell_end(&jobs[i], WIFSIGNALED(status) ? "killed by signal" : "ended with code", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
                well = false;
            } else if (jobs[i].pid != 0 && atomic_load(&jobs[i].seed) != last[i]) {
                last[i] = atomic_load(&jobs[i].seed);
                since[i] = now();
            } else if (jobs[i].pid != 0 && now() - since[i] > HANG_SECONDS) {
                tell_end(&jobs[i], "hangs, seconds:", HANG_SECONDS);
                (void)kill(jobs[i].pid, SIGKILL);
                since[i] = now();
                well = false;
            }
        }
        for (unsigned i = 0; i < options.jobs && !well; i++)
            if (jobs[i].pid != 0)
                (void)kill(jobs[i].pid, SIGKILL);
        if (pid <= 0)
            (void)usleep(2000);
    }
    return well;
}

/* ---- telling ---- */

static void row(const char *what, uint64_t n)
{
    printf("  %-44s %14llu\n", what, (unsigned long long)n);
}

static void tell_faults(const struct job *sum)
{
    const struct sim_stats *s = &sum->sim;
    puts("What the host did:");
    row("short reads", s->short_reads);
    row("short writes", s->short_writes);
    row("sends that end with part of their bytes", s->short_sends);
    row("completions late by some time", s->delayed);
    row("sends completed later than their bytes left", s->late_sends);
    row("batches of completions in another order", s->reordered);
    row("armed operations ended with bytes (no F_MORE)", s->lost_more);
    row("ENOBUFS, no buffer being free", s->enobufs);
    row("ENOBUFS although buffers came back", s->enobufs_false);
    row("completions that overflowed the queue", s->overflows);
    row("submits of which a part was taken", s->partial_submits);
    row("waits ended by a signal", s->interrupts);
    row("operations cancelled", s->cancelled);
    row("  of them sends half done", s->cancelled_partly);
    row("resets", s->resets);
    row("connects refused", s->refused);
    row("accepts without a descriptor (EMFILE)", s->emfile);
    row("buffers given back", s->buffers_returned);
    row("completions", s->completions);
    row("closed with operations armed", s->closed_armed);
}

static void tell_struck(const struct job *sum)
{
    static const char *const names[SIM_CALLS] = {
        [SIM_RECEIVE] = "receive", [SIM_SEND] = "send", [SIM_ACCEPT] = "accept", [SIM_CONNECT] = "connect", [SIM_POLL] = "poll",
        [SIM_TIMER] = "timer", [SIM_CANCEL] = "cancel", [SIM_ENTER] = "enter", [SIM_SOCKET] = "socket", [SIM_SHUTDOWN] = "shutdown",
        [SIM_RESERVE] = "reserve"};
    puts("Calls and operations made to fail:");
    for (unsigned call = 0; call < SIM_CALLS; call++) {
        bool any = false;
        for (unsigned error = 0; error < SIM_ERRNOS; error++) {
            if (sum->struck[call][error] == 0)
                continue;
            if (!any)
                printf("  %-10s", names[call] != NULL ? names[call] : "other");
            any = true;
            printf(" %s %llu", strerrorname_np((int)error), (unsigned long long)sum->struck[call][error]);
        }
        if (any)
            putchar('\n');
    }
    printf("  %-10s ENOMEM %llu of %llu\n", "memory", (unsigned long long)sum->chaos.allocations_failed, (unsigned long long)sum->chaos.allocations);
}

static void tell_applications(const struct chaos_stats *c)
{
    puts("What applications and peers did:");
    row("messages sent", c->messages_sent);
    row("messages that came, each as it was sent", c->messages_got);
    row("  undelivered, as records say", c->undelivered);
    row("  unconfirmed, as records say", c->unconfirmed);
    row("chunks of streamed messages", c->chunks);
    row("connections that ended clean at both ends", c->clean);
    row("closes", c->closes);
    row("aborts", c->aborts);
    row("pauses and resumes", c->pauses);
    row("pings", c->pings);
    row("ids used when stale", c->stale_ids);
    row("slots reused", c->slots_reused);
    row("WRITABLE after a refused message", c->writables);
    row("flushes within a batch", c->flushes);
    row("applications away for up to ten idle limits", c->sleeps);
    row("half-closes", c->half_closes);
    row("resets by peers", c->peer_resets);
    row("times of hardly any descriptors", c->crowded);
    row("strangers at the server", c->strangers);
    row("refusals of the client", c->refusers);
    puts("Causes of CLOSED:");
    for (unsigned i = 0; i < CHAOS_ERRORS; i++)
        if (c->causes[i] > 0)
            row(wsr_error_name(-(int)i), c->causes[i]);
}

static void tell(struct job *jobs, double seconds)
{
    static struct job sum;
    uint64_t shortest = UINT64_MAX, fewest = UINT64_MAX;
    for (unsigned i = 0; i < options.jobs; i++) {
        if (jobs[i].chaos.worlds == 0)
            continue;
        add(&sum.chaos, &jobs[i].chaos, sizeof sum.chaos);
        add(&sum.sim, &jobs[i].sim, sizeof sum.sim);
        add(sum.struck, jobs[i].struck, sizeof sum.struck);
        shortest = jobs[i].chaos.steps_shortest < shortest ? jobs[i].chaos.steps_shortest : shortest;
        fewest = jobs[i].chaos.connections_fewest < fewest ? jobs[i].chaos.connections_fewest : fewest;
    }
    const struct chaos_stats *c = &sum.chaos;
    if (!options.quiet) {
        tell_faults(&sum);
        tell_struck(&sum);
        tell_applications(c);
        printf("Worlds: %llu hostile, %llu with a sleeping server, %llu compressed, %llu engines as guests of another loop\n",
               (unsigned long long)c->hostile_worlds, (unsigned long long)c->sleeper_worlds, (unsigned long long)c->deflate_worlds,
               (unsigned long long)c->guest_worlds);
    }
    printf("%llu worlds from seed %llu: %llu turns (at least %llu each), %llu connections (at least %llu each), 0 violations; %.1f s, %.0f worlds/s\n",
           (unsigned long long)c->worlds, (unsigned long long)options.seed, (unsigned long long)c->steps, (unsigned long long)shortest,
           (unsigned long long)c->connections, (unsigned long long)fewest, seconds, (double)c->worlds / seconds);
}

/* ---- beginning ---- */

static bool number(const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *text != '-' && *out <= max;
}

static bool take_options(int argc, char **argv)
{
    static const struct option longs[] = {{"seed", 1, NULL, 's'},  {"count", 1, NULL, 'n'}, {"steps", 1, NULL, 'S'}, {"jobs", 1, NULL, 'j'},
                                          {"trace", 0, NULL, 't'}, {"tls", 0, NULL, 'T'}, {"quiet", 0, NULL, 'q'}, {NULL, 0, NULL, 0}};
    uint64_t n = 0;
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        const uint64_t max = c == 'S' ? 1000000 : c == 'j' ? JOBS_MAX : UINT64_MAX / 2;
        if (c == '?' || (c != 't' && c != 'T' && c != 'q' && !number(optarg, max, &n)))
            return false;
        if (c == 's')
            options.seed = n;
        else if (c == 'n')
            options.count = n;
        else if (c == 'S')
            options.steps = (unsigned)n;
        else if (c == 'j')
            options.jobs = (unsigned)n;
        else
            *(c == 't' ? &options.trace : c == 'T' ? &options.tls : &options.quiet) = true;
    }
    return optind == argc && options.jobs > 0 && options.count > 0 && options.seed > 0;
}

int main(int argc, char **argv)
{
    if (!take_options(argc, argv)) {
        fputs("usage: sim [--seed N] [--count K] [--steps S] [--jobs J] [--tls] [--trace] [--quiet]\n", stderr);
        return 2;
    }
    struct job *jobs = mmap(NULL, options.jobs * sizeof *jobs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (jobs == MAP_FAILED) {
        perror("sim");
        return 1;
    }
    const double begun = now();
    (void)signal(SIGINT, stop);
    (void)signal(SIGTERM, stop);
    for (unsigned i = 0; i < options.jobs; i++) {
        const pid_t pid = fork();
        if (pid < 0) {
            perror("sim");
            return 1;
        }
        if (pid == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            play(&jobs[i], i);
            _exit(0);
        }
        jobs[i].pid = pid;
    }
    if (!watch(jobs))
        return 1;
    tell(jobs, now() - begun);
    return 0;
}
