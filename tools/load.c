/*
 * tools/load.c - `wsring load URL`: connections that send, verify and measure (traffic.h), one engine a thread.
 *
 * This is the command line, the threads, and the sum of what they found. What each thread does is load_worker.c's.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cmd.h"
#include "tools/load_report.h"
#include "tools/load_worker.h"
#include "tools/parse.h"
#include "tools/signals.h"
#include "tools/tls.h"

#define SECOND_NS 1000000000ull

enum { THREADS_MAX = SIGNALS_ENGINES_MAX };

struct arguments {
    const char *sizes_text, *kind;
    struct size_mix sizes;
    struct traffic_config traffic;
    struct load_phases phases;
    wsr_tls_config tls;
    unsigned threads;
    bool json, quiet;
};

enum { KEY_TEXT = 1, KEY_BINARY, KEY_MIX, KEY_FRAGMENT, KEY_PING, KEY_SEED, KEY_JSON, KEY_THREADS, KEY_PATIENCE, KEY_DEFLATE, KEY_RECONNECT, KEY_PING_INTERVAL };

static const struct argp_option options[] = {
    {"connections", 'c', "N", 0, "connections, all open before the first message is sent (10)", 1},
    {"size", 's', "MIX", 0, "message sizes: 20, or 0-1MiB (log-uniform), or 20:70,1KiB:25,64KiB:5 (weighted) (20)", 1},
    {"depth", 'd', "N", 0, "messages in flight on each connection (1; with --rate, what may come together in a second)", 1},
    {"rate", 'r', "N", 0, "send N messages a second by the clock, all connections together, whether the ones before were echoed or not", 1},
    {"duration", 't', "TIME", 0, "send for this long (5s, unless -n is given)", 1},
    {"count", 'n', "N", 0, "send this many messages, all connections together", 1},
    {"binary", KEY_BINARY, NULL, 0, "binary messages (this is the default)", 2},
    {"text", KEY_TEXT, NULL, 0, "text messages: UTF-8 of one to four bytes a character", 2},
    {"mix", KEY_MIX, NULL, 0, "as many text as binary messages", 2},
    {"fragment", KEY_FRAGMENT, "FRACTION", 0, "send this part of the messages in two to eight fragments: 0.25, 25% (0)", 2},
    {"ping", KEY_PING, "FRACTION", 0, "send a ping before this part of the messages (0)", 2},
    {"deflate", KEY_DEFLATE, NULL, 0, "offer permessage-deflate, and make messages that can be compressed", 2},
    {"reconnect", KEY_RECONNECT, "PROFILE", OPTION_ARG_OPTIONAL,
     "come back when a connection is lost, as `wsring explain' says: default; persistent; fast. What was in flight then may be lost, but not "
     "uncounted; not with --rate", 3},
    {"ping-interval", KEY_PING_INTERVAL, "TIME", 0,
     "ping a server that was silent this long, and lose the connection when there is none for as long again (40s, 120s)", 3},
    {"threads", KEY_THREADS, "N", 0, "engines, each on a thread of its own with its share of the connections (1)", 3},
    {"seed", KEY_SEED, "N", 0, "another seed makes other messages in another order (1)", 3},
    {"patience", KEY_PATIENCE, "TIME", 0, "give up when nothing has come for this long (10s)", 3},
    {"json", KEY_JSON, NULL, 0, "print the result as one JSON object", 4},
    {"quiet", 'q', NULL, 0, "no progress line (there is one only on a terminal)", 4},
    {0},
};

static void parse_count(struct argp_state *state, const char *option, const char *value, uint64_t max, uint64_t *out)
{
    if (!parse_number(value, 1, max, out))
        argp_error(state, "%s %s: not a number from 1 to %" PRIu64, option, value, max);
}

static void parse_part(struct argp_state *state, const char *option, const char *value, double *out)
{
    if (!parse_fraction(value, out))
        argp_error(state, "%s %s: not a fraction from 0 to 1, or 0%% to 100%%", option, value);
}

static void parse_time(struct argp_state *state, const char *option, const char *value, uint64_t *out)
{
    if (!parse_duration(value, out) || *out == 0)
        argp_error(state, "%s %s: not a time such as 10s, 500ms, 2m", option, value);
}

static void parse_url(struct argp_state *state, struct arguments *a, const char *value)
{
    if (a->traffic.url != NULL)
        argp_error(state, "'%s': one URL is enough", value);
    a->traffic.url = value;
    const char *fault = wsr_url_problem(value);
    if (fault != NULL)
        argp_error(state, "'%s' is no URL to load: %s", value, fault);
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *a = state->input;
    uint64_t n = 0;
    switch (key) {
    case 'c':
        parse_count(state, "-c", value, 1000000, &n);
        a->traffic.connections = (uint32_t)n;
        break;
    case 's': {
        const char *fault = size_mix_parse(value, &a->sizes);
        if (fault != NULL)
            argp_error(state, "-s %s: %s", value, fault);
        a->sizes_text = value;
        break;
    }
    case 'd':
        parse_count(state, "-d", value, 65536, &n);
        a->traffic.depth = (uint32_t)n;
        break;
    case 'r':
        parse_count(state, "-r", value, 100000000, &n);
        a->traffic.rate = (double)n;
        break;
    case 't':
        parse_time(state, "-t", value, &a->phases.duration_ns);
        break;
    case 'n':
        parse_count(state, "-n", value, UINT64_MAX / 2, &a->traffic.messages_max);
        break;
    case KEY_TEXT:
        a->traffic.text = 1;
        a->kind = "text";
        break;
    case KEY_BINARY:
        a->traffic.text = 0;
        a->kind = "binary";
        break;
    case KEY_MIX:
        a->traffic.text = 0.5;
        a->kind = "mixed text and binary";
        break;
    case KEY_FRAGMENT:
        parse_part(state, "--fragment", value, &a->traffic.fragmented);
        break;
    case KEY_PING:
        parse_part(state, "--ping", value, &a->traffic.pinged);
        break;
    case KEY_DEFLATE:
        a->traffic.deflate = (wsr_deflate){.on = true, .send_takeover = true, .receive_takeover = true};
        break;
    case KEY_THREADS:
        parse_count(state, "--threads", value, THREADS_MAX, &n);
        a->threads = (unsigned)n;
        break;
    case KEY_SEED:
        parse_count(state, "--seed", value, UINT64_MAX / 2, &a->traffic.seed);
        break;
    case KEY_PATIENCE:
        parse_time(state, "--patience", value, &a->phases.patience_ns);
        break;
    case KEY_RECONNECT:
        a->traffic.reconnect.on = true;
        if (!parse_profile(value, &a->traffic.reconnect.profile))
            argp_error(state, "--reconnect=%s: choose default, persistent or fast", value);
        break;
    case KEY_PING_INTERVAL:
        parse_time(state, "--ping-interval", value, &a->traffic.ping_interval_ns);
        break;
    case KEY_JSON:
        a->json = true;
        break;
    case 'q':
        a->quiet = true;
        break;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->tls;
        break;
    case ARGP_KEY_ARG:
        parse_url(state, a, value);
        break;
    case ARGP_KEY_END:
        if (a->traffic.reconnect.on && a->traffic.rate > 0)
            argp_error(state, "--reconnect and --rate: what was due while the connection was down could not be sent by the clock; choose one");
        break;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which server? give a URL such as ws://127.0.0.1:8080/");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_child children[] = {{&tls_client_argp, 0, "TLS:", 5}, {0}};

static const struct argp argp = {
    options, parse_option, "URL",
    "Put load on an echo server, verify every echoed byte, and measure.\v"
    "URL is ws://HOST:PORT/PATH, or wss://. Latency is from the queueing of a message to the arrival of its whole "
    "echo; with --rate, from when the message was due, so that a server that stands still owes it to all that were due meanwhile. SIGINT or SIGTERM stops sending and reports; a second one cuts. Exit codes: 0 every message echoed and right "
    "(with --reconnect: or accounted for, and every connection back), 1 not so (the report says what), 2 usage, 78 io_uring is refused.",
    children, NULL, NULL};

/* --- All of them --------------------------------------------------------------------------------------------------------- */

/* Deals out connections and messages, the first workers getting what does not divide. */
static void deal(const struct arguments *a, struct load_worker *workers, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct traffic_config *config = &workers[i].config;
        *config = a->traffic;
        config->connections = a->traffic.connections / n + (i < a->traffic.connections % n);
        config->messages_max = a->traffic.messages_max / n + (i < a->traffic.messages_max % n);
        config->rate = a->traffic.rate * config->connections / a->traffic.connections;
        config->seed = corpus_seed(a->traffic.seed, i);
        workers[i].phases = &a->phases;
    }
}

static void run_workers(struct load_worker *workers, unsigned n)
{
    pthread_barrier_t connected;
    pthread_barrier_init(&connected, NULL, n);
    for (unsigned i = 0; i < n; i++)
        workers[i].connected = &connected;
    for (unsigned i = 1; i < n; i++) {
        int error = pthread_create(&workers[i].thread, NULL, load_worker_run, &workers[i]);
        if (error != 0) {
            /* The barrier counts on all of them. */
            cmd_complain("load", "cannot start thread %u: %s", i, strerror(error));
            exit(WSR_EXIT_FAILED);
        }
    }
    load_worker_run(&workers[0]);
    for (unsigned i = 1; i < n; i++)
        pthread_join(workers[i].thread, NULL);
    pthread_barrier_destroy(&connected);
}

/* Adds up, prints, and returns the exit code. */
static int report(const struct arguments *a, const struct load_worker *workers, unsigned n, struct traffic_totals *totals)
{
    struct load_result result = {.url = a->traffic.url, .connections = a->traffic.connections, .depth = a->traffic.depth, .threads = n,
                                 .rate = a->traffic.rate};
    bool failed = false;
    traffic_totals_init(totals);
    for (unsigned i = 0; i < n; i++) {
        const struct load_worker *w = &workers[i];
        traffic_totals_add(totals, &w->traffic.totals);
        if (w->cpu_seconds > result.cpu_seconds)
            result.cpu_seconds = w->cpu_seconds;
        if (w->error != WSR_OK) {
            cmd_complain("load", "engine %u ended early: %s (%s)", i, wsr_error_text(w->error), strerror(w->error_errno));
            failed = true;
        }
    }
    result.sizes = a->sizes_text;
    result.kind = a->kind;
    result.seed = a->traffic.seed;
    result.deflate = a->traffic.deflate.on;
    result.interrupted = signals_count() > 0;
    result.totals = totals;
    if (totals->last_echo_ns > totals->first_send_ns)
        result.seconds = (double)(totals->last_echo_ns - totals->first_send_ns) / 1e9;
    bool all_echoed = totals->echoed == totals->sent && totals->undelivered == 0 && totals->in_doubt == 0;
    if (totals->lost > 0) /* asked to come back: that a connection broke is no fault, if it is accounted for */
        all_echoed = true;
    bool all_connected = totals->failed == 0 && totals->ended_early == 0;
    result.complete = !failed && traffic_is_sound(totals) && all_echoed && all_connected;
    if (a->json)
        report_json(stdout, &result);
    else
        report_text(stdout, &result);
    if (!all_connected)
        cmd_complain("load", "%" PRIu64 " connections could not be had and %" PRIu64 " ended before they were asked to%s", totals->failed,
                     totals->ended_early, totals->first_errno == ECONNREFUSED ? "; is the server running, and on that port?" : "");
    return result.complete ? WSR_EXIT_OK : WSR_EXIT_FAILED;
}

static int load(struct arguments *a, struct load_worker *workers, struct traffic_totals *totals)
{
    struct corpus corpus;
    if (!corpus_make(&corpus, a->sizes.max, a->traffic.seed, a->traffic.deflate.on)) {
        cmd_complain("load", "out of memory");
        return WSR_EXIT_FAILED;
    }
    a->traffic.corpus = &corpus;
    deal(a, workers, a->threads);
    workers[0].progress = !a->quiet && isatty(STDERR_FILENO);
    run_workers(workers, a->threads);
    if (workers[0].progress)
        fputs("\r\033[K", stderr);
    int code = 0;
    /* Without even one engine there is nothing to report. */
    if (workers[0].error != WSR_OK && workers[0].traffic.begun == 0) {
        errno = workers[0].error_errno;
        code = cmd_no_engine("load", workers[0].error);
    } else {
        code = report(a, workers, a->threads, totals);
    }
    a->traffic.corpus = NULL;
    corpus_free(&corpus);
    return code;
}

/* By the clock, what one connection gets in a second, so that only a server that is further behind is asked less. */
static uint32_t default_depth(const struct traffic_config *traffic)
{
    enum { DEPTH_MIN = 16, DEPTH_MAX = 65536 };
    if (traffic->rate <= 0)
        return 1;
    double depth = traffic->rate / traffic->connections + DEPTH_MIN;
    return depth < DEPTH_MAX ? (uint32_t)depth : DEPTH_MAX;
}

int wsr_cmd_load(int argc, char **argv)
{
    static struct arguments a = {
        .sizes_text = "20", .kind = "binary", .phases = {.patience_ns = 10 * SECOND_NS}, .tls = WSR_TLS_CONFIG_INIT, .threads = 1};
    static struct traffic_totals totals;
    a.traffic.connections = 10;
    a.traffic.seed = 1;
    a.traffic.sizes = &a.sizes;
    a.tls.role = WSR_CLIENT;
    (void)!size_mix_parse(a.sizes_text, &a.sizes);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    if (a.phases.duration_ns == 0 && a.traffic.messages_max == 0)
        a.phases.duration_ns = 5 * SECOND_NS;
    if (a.traffic.depth == 0)
        a.traffic.depth = default_depth(&a.traffic);
    if (a.threads > a.traffic.connections)
        a.threads = a.traffic.connections;
    if (a.traffic.messages_max > 0 && a.threads > a.traffic.messages_max)
        a.threads = (unsigned)a.traffic.messages_max;
    uint64_t room = cmd_raise_descriptors(a.traffic.connections);
    if (room < a.traffic.connections) {
        cmd_complain("load", "-c %" PRIu32 ": this process may have only %" PRIu64 " connections; raise its limit of descriptors (ulimit -Hn)",
                     a.traffic.connections, room);
        return WSR_EXIT_FAILED;
    }

    if (tls_is_told_how(&a.tls)) {
        a.traffic.tls = tls_open("load", &a.tls);
        if (a.traffic.tls == NULL)
            return WSR_EXIT_FAILED;
    }
    struct load_worker *workers = calloc(a.threads, sizeof *workers);
    if (workers == NULL) {
        cmd_complain("load", "out of memory");
        return WSR_EXIT_FAILED;
    }
    signals_catch();
    int code = load(&a, workers, &totals);
    free(workers);
    wsr_tls_release(a.traffic.tls);
    return code;
}
