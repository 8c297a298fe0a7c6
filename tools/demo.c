/*
 * tools/demo.c - `wsring demo`: a server and a load on it, ended in the two ways a connection should end, and what follows from
 * each; with every message accounted for.
 *
 * The server is a process of its own (demo_server.h) on a free loopback port; the load is traffic.h. Half of the connections
 * close with 1000, their purpose fulfilled, and stay closed. The others see 1001 from a server that goes away while their
 * messages are in flight: they come back by themselves when it has been started again.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/demo_server.h"
#include "tools/load_report.h"
#include "tools/parse.h"
#include "tools/signals.h"
#include "tools/traffic.h"

#define SECOND_NS 1000000000ull
#define SIZES "0-1MiB"
#define AWAY_NS SECOND_NS           /* how long the server is not there */
#define FIRST_DELAY_NS (2 * SECOND_NS) /* after a 1001, at most: the policy's own is 5 s, and a demonstration shall not take long */
#define PATIENCE_NS (15 * SECOND_NS)

struct arguments {
    uint32_t connections;
    uint64_t duration_ns, seed;
};

struct demo {
    const struct arguments *arguments;
    uint32_t leaving, staying; /* clients: those that close with 1000, those that see 1001 */
    struct demo_server servers[2]; /* before and after it was away */
    wsr_policy_override soon;
    wsr_bucket bucket;
    struct size_mix sizes;
    struct corpus corpus;
    struct traffic traffic;
    uint64_t begin_ns, told_ns;
    uint64_t in_flight; /* when the server was told to go */
    uint64_t gone_ns;   /* when that was */
    uint64_t echoed_before; /* what had come back before clients did */
    struct echo_totals echo; /* of both servers */
    char url[32]; /* of the server */
};

static const struct argp_option options[] = {
    {"connections", 'c', "N", 0, "connections, half of which close with 1000 and half see 1001 (64)", 0},
    {"duration", 't', "TIME", 0, "how long messages flow (5s)", 0},
    {"seed", 's', "N", 0, "another seed makes other messages (1)", 0},
    {0},
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *a = state->input;
    uint64_t n = 0;
    switch (key) {
    case 'c':
        if (!parse_number(value, 2, 10000, &n))
            argp_error(state, "-c %s: not a number from 2 to 10000", value);
        a->connections = (uint32_t)n;
        break;
    case 't':
        if (!parse_duration(value, &a->duration_ns) || a->duration_ns < SECOND_NS / 10)
            argp_error(state, "-t %s: not a time of at least 100ms, such as 5s", value);
        break;
    case 's':
        if (!parse_number(value, 1, UINT64_MAX / 2, &a->seed))
            argp_error(state, "-s %s: not a number from 1 on", value);
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s': unexpected; everything is an option here", value);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp argp = {
    options, parse_option, "",
    "Serve, load and drain in front of your eyes, and account for every message.\v"
    "Exit codes: 0 every message is accounted for and right, those closed with 1000 stayed closed, and those that saw 1001 came back; 1 not so; "
    "2 usage; 78 io_uring is refused.",
    NULL, NULL, NULL};

/* --- What happens -------------------------------------------------------------------------------------------------------- */

/* Returns 0, or an exit code. */
static int start_load(struct demo *d)
{
    (void)!size_mix_parse(SIZES, &d->sizes);
    d->soon = (wsr_policy_override){WSR_CAUSE_1001, *wsr_policy_default(WSR_PROFILE_DEFAULT, WSR_CAUSE_1001)};
    d->soon.row.first_max_ns = FIRST_DELAY_NS;
    (void)!wsr_bucket_init(&d->bucket, d->arguments->connections, 0, d->arguments->connections); /* enough for any number of them */
    snprintf(d->url, sizeof d->url, "ws://127.0.0.1:%u", (unsigned)d->servers[0].port);
    struct traffic_config config = {
        .url = d->url,
        .connections = d->arguments->connections,
        .depth = 4,
        .text = 0.5,
        .fragmented = 0.25,
        .pinged = 0.1,
        .seed = d->arguments->seed,
        .sizes = &d->sizes,
        .corpus = &d->corpus,
        .reconnect = {.on = true, .overrides = &d->soon, .overrides_n = 1, .bucket = &d->bucket},
    };
    if (!corpus_make(&d->corpus, d->sizes.max, config.seed, false)) {
        cmd_complain("demo", "out of memory");
        return WSR_EXIT_FAILED;
    }
    int error = traffic_open(&d->traffic, &config);
    if (error != WSR_OK)
        return cmd_no_engine("demo", error);
    signals_watch(d->traffic.engine);
    return WSR_EXIT_OK;
}

static void tell_progress(struct demo *d)
{
    char size[24];
    if (d->traffic.now_ns < d->told_ns || d->traffic.now_ns - d->told_ns < SECOND_NS)
        return;
    d->told_ns = d->traffic.now_ns;
    printf("   %2.0f s  %" PRIu64 " messages (%s) came back and were right\n", (double)(d->told_ns - d->begin_ns) / 1e9,
           d->traffic.totals.echoed - d->traffic.totals.wrong, format_size(size, sizeof size, d->traffic.totals.echoed_bytes));
    fflush(stdout);
}

/* Lets the traffic run until end_ns, or until done says so. False: interrupted, or the engine failed. */
static bool run_until(struct demo *d, uint64_t end_ns, bool (*done)(const struct demo *))
{
    for (;;) {
        uint64_t now_ns = cmd_now_ns();
        if (now_ns >= end_ns || (done != NULL && done(d)))
            return true;
        uint64_t wait_ns = end_ns - now_ns < SECOND_NS ? end_ns - now_ns : SECOND_NS;
        int n = traffic_step(&d->traffic, (int64_t)wait_ns);
        if (n < 0) {
            cmd_complain("demo", "the load's engine failed: %s (%s)", wsr_error_text(n), strerror(errno));
            return false;
        }
        if (signals_count() > 0)
            return false;
        tell_progress(d);
    }
}

static bool is_connected(const struct demo *d)
{
    return traffic_connected(&d->traffic);
}

static bool is_first_half_closed(const struct demo *d)
{
    return d->traffic.live <= d->staying;
}

static bool is_lost(const struct demo *d)
{
    return d->traffic.totals.lost == d->staying;
}

static bool is_back(const struct demo *d)
{
    return d->traffic.totals.reopened == d->staying;
}

static bool is_done(const struct demo *d)
{
    return traffic_done(&d->traffic);
}

/* Messages flow; then half of the clients close with 1000. */
static bool run_before(struct demo *d)
{
    const struct arguments *a = d->arguments;
    d->begin_ns = d->told_ns = cmd_now_ns();
    if (!run_until(d, d->begin_ns + PATIENCE_NS, is_connected))
        return false;
    printf("2. %" PRIu64 " clients are connected, and send: 0 B to 1 MiB, text and binary, some in fragments, pings in between;\n"
           "   each keeps up to %" PRIu32 " messages in flight, and compares every byte that comes back.\n",
           d->traffic.totals.opened, d->traffic.config.depth);
    fflush(stdout);
    d->begin_ns = d->told_ns = cmd_now_ns();
    traffic_start(&d->traffic);
    if (!run_until(d, d->begin_ns + a->duration_ns * 3 / 5, NULL))
        return false;

    printf("3. %" PRIu32 " of the clients have got what they came for: they wait for their last echo and close with 1000 (Normal Closure).\n"
           "   The others go on.\n", d->leaving);
    fflush(stdout);
    traffic_finish(&d->traffic, 0, d->leaving);
    return run_until(d, cmd_now_ns() + PATIENCE_NS, is_first_half_closed) && run_until(d, d->begin_ns + a->duration_ns, NULL);
}

/* The server goes with 1001, and is started again; the clients come back by themselves. */
static bool run_restart(struct demo *d)
{
    d->in_flight = d->traffic.in_flight;
    d->told_ns = UINT64_MAX; /* what follows takes no time worth a line */
    d->gone_ns = cmd_now_ns();
    demo_server_drain(&d->servers[0]);
    printf("4. The server is told to go (SIGTERM) with %" PRIu64 " messages in flight: it sends the echoes it still owes, then closes\n"
           "   with 1001 (Going Away), which tells a client to come back later, or elsewhere. These clients do so by themselves: each\n"
           "   waits for a time of its own, here at most %u s, and longer after each attempt that is refused.\n",
           d->in_flight, (unsigned)(FIRST_DELAY_NS / SECOND_NS));
    fflush(stdout);
    if (!run_until(d, d->gone_ns + PATIENCE_NS, is_lost) || !run_until(d, d->gone_ns + AWAY_NS, NULL))
        return false;
    demo_server_wait(&d->servers[0]);
    if (demo_server_start(&d->servers[1], d->servers[0].port) != WSR_EXIT_OK)
        return false;
    d->echoed_before = d->traffic.totals.echoed;
    printf("5. The server is started again, %.1f s later.\n", (double)(cmd_now_ns() - d->gone_ns) / 1e9);
    fflush(stdout);
    if (!run_until(d, cmd_now_ns() + PATIENCE_NS, is_back))
        return false;
    printf("   %" PRIu64 " of the %" PRIu32 " that saw 1001 are back, after %" PRIu64 " attempts, the last one %.1f s after the server had gone. The %" PRIu32
           " that closed\n   with 1000 stay closed: their purpose was fulfilled.\n",
           d->traffic.totals.reopened, d->staying, d->traffic.totals.attempts, (double)(cmd_now_ns() - d->gone_ns) / 1e9, d->leaving);
    fflush(stdout);
    return true;
}

/* Messages flow again, until everybody closes with 1000. */
static bool run_after(struct demo *d)
{
    if (!run_until(d, cmd_now_ns() + d->arguments->duration_ns / 5, NULL))
        return false;
    printf("6. %" PRIu64 " messages more came back and were right. Now these clients are done, too, and close with 1000.\n",
           d->traffic.totals.echoed - d->echoed_before);
    fflush(stdout);
    traffic_finish(&d->traffic, d->leaving, d->staying);
    return run_until(d, cmd_now_ns() + PATIENCE_NS, is_done);
}

static void end_servers(struct demo *d)
{
    for (unsigned i = 0; i < 2; i++) {
        demo_server_drain(&d->servers[i]);
        demo_server_wait(&d->servers[i]);
        echo_totals_add(&d->echo, &d->servers[i].totals);
    }
}

/* --- The verdict --------------------------------------------------------------------------------------------------------- */

static void print_row(const char *what, uint64_t clients, uint64_t server)
{
    printf("   %-34s %12" PRIu64 " %12" PRIu64 "\n", what, clients, server);
}

static void print_table(const struct demo *d)
{
    const struct traffic_totals *t = &d->traffic.totals;
    const struct echo_totals *e = &d->echo;
    char p50[24], p99[24], closes[256];
    printf("7. What both ends counted:\n   %-34s %12s %12s\n", "", "clients", "server");
    print_row("connections", t->opened, e->opened);
    print_row("messages sent / received", t->sent, e->received);
    print_row("echoes received / sent", t->echoed, e->echoed);
    print_row("never left this end", t->undelivered, e->undelivered);
    printf("   %" PRIu64 " texts, %" PRIu64 " sent in fragments; %" PRIu64 " pings, %" PRIu64 " pongs; latency p50 %s, p99 %s\n", t->texts,
           t->fragmented, t->pings, t->pongs, format_duration(p50, sizeof p50, histogram_quantile(&t->latency, 0.5)),
           format_duration(p99, sizeof p99, histogram_quantile(&t->latency, 0.99)));
    printf("   closes, as the server saw them: %s\n", closes_text(&e->closes, closes, sizeof closes));
    printf("   In doubt means: handed to the transport, and the connection ended before an echo came. The server read %" PRIu64
           " of these,\n   behind its Close, where no echo can follow; a client cannot know, so it is told in doubt.\n\n",
           e->received > t->echoed ? e->received - t->echoed : 0);
}

/* Says what is wrong, if it is. */
static bool require(bool holds, const char *what)
{
    if (!holds)
        cmd_complain("demo", "NOT SO: %s", what);
    return holds;
}

static bool judge(const struct demo *d)
{
    const struct traffic_totals *t = &d->traffic.totals;
    const struct echo_totals *e = &d->echo;
    const uint64_t left = t->sent - t->undelivered, all = d->arguments->connections;
    bool good = require(t->unaccounted == 0, "every message is accounted for");
    good &= require(t->wrong == 0 && t->wrong_pongs == 0, "every byte that came back was right");
    good &= require(t->sent == t->echoed + t->undelivered + t->in_doubt, "sent = echoed + undelivered + in doubt");
    good &= require(t->opened == all + d->staying && t->failed == 0, "every client got its connection");
    good &= require(closes_of(&t->closes, WSR_CLOSE_GOING_AWAY) == d->staying && t->lost == d->staying, "half of the clients saw 1001");
    good &= require(t->reopened == d->staying, "they came back");
    good &= require(d->servers[1].totals.opened == d->staying, "those that had closed with 1000 stayed away");
    good &= require(closes_of(&t->closes, WSR_CLOSE_NORMAL) == all, "every client was closed with 1000 in the end");
    good &= require(t->echoed > d->echoed_before, "messages flowed again");
    good &= require(d->in_flight > 0, "messages were in flight when the server was told to go");
    good &= require(d->servers[0].exit_code == 0 && d->servers[1].exit_code == 0, "both servers drained and exited with 0");
    good &= require(e->received <= left, "the server received no more than was sent");
    good &= require(t->echoed <= e->echoed && t->echoed >= e->echoed - e->undelivered - e->unconfirmed,
                    "the clients received the echoes that the server sent");
    if (t->first_wrong[0] != '\0')
        cmd_complain("demo", "first wrong echo: %s", t->first_wrong);
    return good;
}

static int prepare(struct demo *d)
{
    int code = demo_server_prepare(&d->servers[0]);
    if (code == WSR_EXIT_OK)
        code = demo_server_prepare(&d->servers[1]);
    if (code == WSR_EXIT_OK)
        code = demo_server_start(&d->servers[0], 0);
    return code;
}

static int demo(struct demo *d)
{
    d->leaving = d->arguments->connections / 2;
    d->staying = d->arguments->connections - d->leaving;
    printf("1. A server of its own process echoes every message.\n");
    int code = prepare(d);
    if (code == WSR_EXIT_OK) {
        printf("   It listens on ws://127.0.0.1:%u\n", d->servers[0].port);
        code = start_load(d);
    }
    bool ran = code == WSR_EXIT_OK && run_before(d) && run_restart(d) && run_after(d);
    if (d->traffic.engine != NULL)
        signals_unwatch(d->traffic.engine);
    traffic_close(&d->traffic);
    end_servers(d);
    if (code == WSR_EXIT_OK && !ran) {
        cmd_complain("demo", "interrupted");
        code = WSR_EXIT_FAILED;
    }
    if (code != WSR_EXIT_OK)
        return code;
    print_table(d);
    bool good = judge(d);
    report_accounting(stdout, &d->traffic.totals);
    return good ? WSR_EXIT_OK : WSR_EXIT_FAILED;
}

int wsr_cmd_demo(int argc, char **argv)
{
    struct arguments a = {.connections = 64, .duration_ns = 5 * SECOND_NS, .seed = 1};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    if (cmd_raise_descriptors(a.connections) < a.connections) {
        cmd_complain("demo", "-c %" PRIu32 ": more connections than this process may have descriptors (ulimit -Hn)", a.connections);
        return WSR_EXIT_FAILED;
    }
    struct demo *d = calloc(1, sizeof *d);
    if (d == NULL) {
        cmd_complain("demo", "out of memory");
        return WSR_EXIT_FAILED;
    }
    d->arguments = &a;
    signals_catch();
    int code = demo(d);
    corpus_free(&d->corpus);
    free(d);
    return code;
}
