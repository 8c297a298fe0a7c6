/*
 * tests/sim/main.c - the command `sim`: worlds on the simulated host (chaos.h), as many as one likes.
 *
 *   sim [--seed N] [--count K] [--steps S] [--jobs J] [--tls] [--trace] [--quiet]
 *
 * Plays K worlds (1) from seed N (1), each of at least S turns (500), in J processes (1), and says at the end what happened in
 * them: every kind of fault, counted. At the first world that breaks a rule, aborts, or hangs for a minute it says so, how to
 * play it again, and ends with exit code 1, as it does where some kind of fault never happened in thousands of worlds; 2: wrong
 * arguments. Every minute it says how far it is; an interrupt or SIGTERM has it stop early and tell. --trace writes all that
 * happens in the worlds to the standard error. --tls plays them over TLS, which takes longer, cannot be read along on the wire,
 * and replays only nearly: how long a signature is, is chance.
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

#include "sim/report.h"

enum { JOBS_MAX = 64, HANG_SECONDS = 60, PROGRESS_SECONDS = 60, BROKEN = 3, MANY = 2000 };

/* What a process has done so far, in memory that its parent sees too. */
struct job {
    atomic_ullong seed; /* being played; 0: all done */
    atomic_ullong done;
    pid_t pid;
    struct sim_tally tally;
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
        sim_tally_add(&job->tally, &(struct sim_tally){.sim = sim_stats});
        atomic_fetch_add(&job->done, 1);
    }
    job->tally.chaos = chaos_stats;
    memcpy(job->tally.struck, sim_struck, sizeof sim_struck);
    atomic_store(&job->seed, 0);
}

/* ---- watching ---- */

static void tell_end(const struct job *job, const char *how, int number)
{
    const unsigned long long seed = atomic_load(&job->seed);
    fprintf(stderr, "seed %llu: %s %d after %llu worlds of its process; again with: sim --seed %llu --steps %u --trace\n", seed, how, number,
            (unsigned long long)atomic_load(&job->done), seed, options.steps);
}

static void tell_progress(const struct job *jobs, double seconds)
{
    unsigned long long done = 0;
    for (unsigned i = 0; i < options.jobs; i++)
        done += atomic_load(&jobs[i].done);
    const double rate = (double)done / seconds;
    fprintf(stderr, "sim: %llu of %llu worlds, %.0f a second, %.0f minutes to go\n", done, (unsigned long long)options.count, rate,
            rate > 0 ? (double)(options.count - done) / rate / 60 : 0);
}

/* Waits for all of them. True if each came to its end. */
static bool watch(struct job *jobs, double begun)
{
    unsigned long long last[JOBS_MAX] = {0};
    double since[JOBS_MAX];
    double told = begun;
    bool well = true;
    for (unsigned i = 0; i < options.jobs; i++)
        since[i] = begun;
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
        if (!options.quiet && now() - told > PROGRESS_SECONDS) {
            told = now();
            tell_progress(jobs, told - begun);
        }
        if (pid <= 0)
            (void)usleep(2000);
    }
    return well;
}

/* ---- telling ---- */

/* Returns the exit code: many worlds that never met some kind of fault are no success. */
static int tell(struct job *jobs, double seconds)
{
    static struct sim_tally sum;
    uint64_t shortest = UINT64_MAX, fewest = UINT64_MAX;
    for (unsigned i = 0; i < options.jobs; i++) {
        const struct chaos_stats *c = &jobs[i].tally.chaos;
        if (c->worlds == 0)
            continue;
        sim_tally_add(&sum, &jobs[i].tally);
        shortest = c->steps_shortest < shortest ? c->steps_shortest : shortest;
        fewest = c->connections_fewest < fewest ? c->connections_fewest : fewest;
    }
    const struct chaos_stats *c = &sum.chaos;
    if (!options.quiet)
        sim_report(&sum);
    const unsigned missing = c->worlds >= MANY && options.steps == 0 ? sim_report_missing(&sum) : 0;
    printf("%llu worlds from seed %llu%s: %llu turns (at least %llu each), %llu connections (at least %llu each), 0 violations; %.1f s, %.0f worlds/s\n",
           (unsigned long long)c->worlds, (unsigned long long)options.seed, c->worlds < options.count ? ", stopped early" : "",
           (unsigned long long)c->steps, (unsigned long long)shortest, (unsigned long long)c->connections, (unsigned long long)fewest, seconds,
           (double)c->worlds / seconds);
    return missing > 0;
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
    if (!watch(jobs, begun))
        return 1;
    return tell(jobs, now() - begun);
}
