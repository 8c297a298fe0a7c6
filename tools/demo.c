/*
 * tools/demo.c - `wsring demo`: a server and a load on it, ended in the two ways a connection should end, with every message
 * accounted for.
 *
 * The server is a process of its own (echo.h) on a free loopback port; the load is traffic.h. Half of the connections close
 * with 1000, their purpose fulfilled; the others see 1001 from a server that goes away while their messages are in flight.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/prctl.h>
#include <sys/wait.h>

#include "tools/cmd.h"
#include "tools/echo.h"
#include "tools/load_report.h"
#include "tools/parse.h"
#include "tools/signals.h"
#include "tools/traffic.h"

#define SECOND_NS 1000000000ull
#define SIZES "0-1MiB"

struct arguments {
    uint32_t connections;
    uint64_t duration_ns, seed;
};

/* What the server tells the demo through a pipe: once when it listens, once at its end. */
struct server_note {
    int error, error_errno; /* 0: it listens */
    bool engine;            /* which failed: the engine, or listening */
    uint16_t port;
};

struct demo {
    const struct arguments *arguments;
    pid_t server;
    int pipe;
    struct server_note note;
    struct size_mix sizes;
    struct corpus corpus;
    struct traffic traffic;
    uint64_t begin_ns, told_ns;
    uint64_t in_flight; /* when the server was told to go */
    struct echo_totals echo;
    int server_exit;
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
    "Exit codes: 0 every message is accounted for and right, and both 1000 and 1001 were seen; 1 not so; 2 usage; 78 io_uring is refused.",
    NULL, NULL, NULL};

/* --- The server, in the child ------------------------------------------------------------------------------------------- */

static bool write_all(int fd, const void *from, size_t len)
{
    return write(fd, from, len) == (ssize_t)len;
}

/* Never returns. What it writes is smaller than a pipe takes in one piece. */
static void run_server(int fd)
{
    struct echo_config config = {.engine = WSR_CONFIG_INIT, .listen = WSR_LISTEN_CONFIG_INIT, .drain = WSR_DRAIN_CONFIG_INIT};
    struct echo echo;
    struct server_note note = {0};
    const char *stage = "";
    config.drain.reason = "the demo is over";
    note.error = echo_open(&echo, &config, &stage);
    note.error_errno = errno;
    note.engine = strcmp(stage, "engine") == 0;
    if (note.error == WSR_OK)
        note.port = wsr_listen_port(echo.engine, echo.listener);
    bool told = write_all(fd, &note, sizeof note);
    if (note.error != WSR_OK || !told)
        _exit(WSR_EXIT_FAILED);
    int result = echo_run(&echo);
    echo_close(&echo);
    told = write_all(fd, &echo.totals, sizeof echo.totals);
    _exit(result == WSR_OK && told && echo.totals.cut == 0 ? WSR_EXIT_OK : WSR_EXIT_FAILED);
}

/* --- The demo, in the parent --------------------------------------------------------------------------------------------- */

static bool read_all(int fd, void *to, size_t len)
{
    uint8_t *at = to;
    while (len > 0) {
        ssize_t n = read(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* Returns 0 when the server listens, else an exit code. */
static int start_server(struct demo *d)
{
    int ends[2];
    if (pipe(ends) != 0) {
        cmd_complain("demo", "cannot make a pipe: %s", strerror(errno));
        return WSR_EXIT_FAILED;
    }
    fflush(stdout);
    d->server = fork();
    if (d->server < 0) {
        cmd_complain("demo", "cannot start the server's process: %s", strerror(errno));
        return WSR_EXIT_FAILED;
    }
    if (d->server == 0) {
        /* If the demo dies, its server drains. */
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        close(ends[0]);
        run_server(ends[1]);
    }
    close(ends[1]);
    d->pipe = ends[0];
    if (!read_all(d->pipe, &d->note, sizeof d->note)) {
        cmd_complain("demo", "the server ended before it listened");
        return WSR_EXIT_FAILED;
    }
    errno = d->note.error_errno;
    if (d->note.error != WSR_OK && d->note.engine)
        return cmd_no_engine("demo", d->note.error);
    if (d->note.error != WSR_OK) {
        cmd_complain("demo", "the server cannot listen on 127.0.0.1: %s", strerror(d->note.error_errno));
        return WSR_EXIT_FAILED;
    }
    return WSR_EXIT_OK;
}

/* Returns 0, or an exit code. */
static int start_load(struct demo *d)
{
    (void)!size_mix_parse(SIZES, &d->sizes);
    snprintf(d->url, sizeof d->url, "ws://127.0.0.1:%u", (unsigned)d->note.port);
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
    return d->traffic.live <= d->arguments->connections - d->arguments->connections / 2;
}

static bool is_done(const struct demo *d)
{
    return traffic_done(&d->traffic);
}

static bool run_traffic(struct demo *d)
{
    const struct arguments *a = d->arguments;
    uint64_t patience_ns = 15 * SECOND_NS;
    d->begin_ns = d->told_ns = cmd_now_ns();
    if (!run_until(d, d->begin_ns + patience_ns, is_connected))
        return false;
    printf("2. %" PRIu64 " clients are connected, and send: 0 B to 1 MiB, text and binary, some in fragments, pings in between;\n"
           "   each keeps up to %" PRIu32 " messages in flight, and compares every byte that comes back.\n",
           d->traffic.totals.opened, d->traffic.config.depth);
    fflush(stdout);
    d->begin_ns = d->told_ns = cmd_now_ns();
    traffic_start(&d->traffic);
    if (!run_until(d, d->begin_ns + a->duration_ns * 3 / 5, NULL))
        return false;

    printf("3. Half of the clients have got what they came for: they wait for their last echo and close with 1000 (Normal Closure).\n"
           "   The others go on.\n");
    fflush(stdout);
    traffic_finish(&d->traffic, 0, a->connections / 2);
    if (!run_until(d, cmd_now_ns() + patience_ns, is_first_half_closed) || !run_until(d, d->begin_ns + a->duration_ns, NULL))
        return false;

    d->in_flight = d->traffic.in_flight;
    d->told_ns = UINT64_MAX; /* what follows takes no time worth a line */
    kill(d->server, SIGTERM);
    printf("4. The server is told to go (SIGTERM) with %" PRIu64 " messages in flight: it sends the echoes it still owes, then closes\n"
           "   with 1001 (Going Away), which tells a client to come back later, or elsewhere.\n",
           d->in_flight);
    fflush(stdout);
    return run_until(d, cmd_now_ns() + patience_ns, is_done);
}

static void wait_for_server(struct demo *d)
{
    int status = 0;
    if (d->server <= 0)
        return;
    if (!read_all(d->pipe, &d->echo, sizeof d->echo))
        memset(&d->echo, 0, sizeof d->echo);
    close(d->pipe);
    while (waitpid(d->server, &status, 0) < 0 && errno == EINTR)
        continue;
    d->server_exit = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
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
    printf("5. What both ends counted:\n   %-34s %12s %12s\n", "", "clients", "server");
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
    uint64_t left = t->sent - t->undelivered, half = d->arguments->connections / 2;
    bool good = require(t->unaccounted == 0, "every message is accounted for");
    good &= require(t->wrong == 0 && t->wrong_pongs == 0, "every byte that came back was right");
    good &= require(t->sent == t->echoed + t->undelivered + t->in_doubt, "sent = echoed + undelivered + in doubt");
    good &= require(t->opened == d->arguments->connections && t->failed == 0, "every client got its connection");
    good &= require(closes_of(&t->closes, WSR_CLOSE_NORMAL) == half, "half of the clients closed with 1000");
    good &= require(closes_of(&t->closes, WSR_CLOSE_GOING_AWAY) == t->opened - half, "the others saw 1001");
    good &= require(d->in_flight > 0, "messages were in flight when the server was told to go");
    good &= require(d->server_exit == 0, "the server drained and exited with 0");
    good &= require(e->received <= left, "the server received no more than was sent");
    good &= require(t->echoed <= e->echoed && t->echoed >= e->echoed - e->undelivered - e->unconfirmed,
                    "the clients received the echoes that the server sent");
    if (t->first_wrong[0] != '\0')
        cmd_complain("demo", "first wrong echo: %s", t->first_wrong);
    return good;
}

static int demo(struct demo *d)
{
    printf("1. A server of its own process echoes every message.\n");
    int code = start_server(d);
    if (code != WSR_EXIT_OK)
        return code;
    printf("   It listens on ws://127.0.0.1:%u\n", d->note.port);
    code = start_load(d);
    bool ran = code == WSR_EXIT_OK && run_traffic(d);
    if (d->traffic.engine != NULL)
        signals_unwatch(d->traffic.engine);
    traffic_close(&d->traffic);
    if (!ran)
        kill(d->server, SIGTERM);
    wait_for_server(d);
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
