/*
 * tools/serve.c - `wsring serve`: an echo server, one engine a thread, drained with 1001 when it is asked to end.
 *
 * The echoing itself is echo.c's; this is the command line, the threads, and what is printed.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/socket.h>

#include "tools/cmd.h"
#include "tools/echo.h"
#include "tools/host.h"
#include "tools/parse.h"
#include "tools/signals.h"
#include "tools/tls.h"

enum { THREADS_MAX = SIGNALS_ENGINES_MAX, LIST_BYTES = 4096 };

struct arguments {
    struct echo_config echo;
    wsr_tls_config tls;
    struct host_options host;
    unsigned threads;
    bool quiet, stats, connections_asked;
    char subprotocols[LIST_BYTES], origins[LIST_BYTES], paths[LIST_BYTES];
};

struct server {
    struct echo echo;
    const struct arguments *arguments;
    wsr_engine_statistics statistics;
    pthread_t thread;
    pthread_barrier_t *ready;
    const char *stage;
    int error, error_errno; /* why it did not open, or ended early */
};

enum {
    KEY_THREADS = 1, KEY_MESSAGE_MAX, KEY_CONNECTIONS, KEY_IDLE, KEY_PING_INTERVAL, KEY_PING_TIMEOUT, KEY_DRAIN_TIMEOUT, KEY_DRAIN_SPREAD,
    KEY_SUBPROTOCOL, KEY_ORIGIN, KEY_PATH, KEY_NO_DEFLATE, KEY_DEFLATE_LEVEL, KEY_DEFLATE_TAKEOVER, KEY_STATS
};

static const struct argp_option options[] = {
    {"host", 'H', "ADDRESS", 0, "numeric IPv4 or IPv6 address to listen on (127.0.0.1)", 1},
    {"port", 'p', "PORT", 0, "port to listen on; 0 takes any free one (8080)", 1},
    {"threads", KEY_THREADS, "N", 0, "engines, each on a thread of its own with a listener on the same port (1)", 1},
    {"subprotocol", KEY_SUBPROTOCOL, "NAME", 0, "a subprotocol to accept; repeat it, best first", 2},
    {"origin", KEY_ORIGIN, "ORIGIN", 0, "an Origin to let in, as in https://example.com; repeat it; all others get 403 (any)", 2},
    {"path", KEY_PATH, "PATH", 0, "a path to serve, as in /chat; repeat it; all others get 404 (any)", 2},
    {"message-max", KEY_MESSAGE_MAX, "SIZE", 0, "largest message to accept, as in 64KiB; larger ones close with 1009 (16MiB)", 2},
    {"no-deflate", KEY_NO_DEFLATE, NULL, 0, "do not compress, even for clients that offer it (permessage-deflate)", 2},
    {"deflate-level", KEY_DEFLATE_LEVEL, "N", 0, "0: fast; 1 to 9: zlib's levels, smaller and much slower (0)", 2},
    {"deflate-takeover", KEY_DEFLATE_TAKEOVER, NULL, 0, "let messages refer back to earlier ones: smaller, for some 120 KiB a connection", 2},
    {"connections", KEY_CONNECTIONS, "N", 0, "most connections at once, each thread (16384)", 2},
    {"idle-timeout", KEY_IDLE, "TIME", 0, "close a connection that was silent this long, in spite of pings (120s)", 2},
    {"ping-interval", KEY_PING_INTERVAL, "TIME", 0, "ping a connection that was silent this long (a third of the idle time)", 2},
    {"ping-timeout", KEY_PING_TIMEOUT, "TIME", 0, "close a connection that is silent for this long after a ping (the idle time)", 2},
    {"drain-timeout", KEY_DRAIN_TIMEOUT, "TIME", 0, "how long connections may take to close after the first signal (10s)", 3},
    {"drain-spread", KEY_DRAIN_SPREAD, "TIME", 0, "spread the 1001 closes over this long, against a herd (0)", 3},
    {"stats", KEY_STATS, NULL, 0, "print the engine's counters at the end", 4},
    {"quiet", 'q', NULL, 0, "no summary at the end", 4},
    {"verbose", 'v', NULL, 0, "a line for each connection that opens or ends, on standard error", 4},
    {0},
};

/* The items are joined with ", " as wsr_listen wants them. */
static void add_item(struct argp_state *state, const char *option, char list[LIST_BYTES], const char **config, const char *item)
{
    size_t at = strlen(list);
    int n = snprintf(list + at, LIST_BYTES - at, "%s%s", at > 0 ? ", " : "", item);
    *config = list;
    if (item[0] == '\0' || strchr(item, ',') != NULL || n < 0 || (size_t)n >= LIST_BYTES - at)
        argp_error(state, "%s '%s': empty, or has a comma, or all together are longer than %d bytes", option, item, LIST_BYTES - 1);
}

static bool is_address(const char *text)
{
    unsigned char room[16];
    return inet_pton(AF_INET, text, room) == 1 || inet_pton(AF_INET6, text, room) == 1;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *a = state->input;
    wsr_config *engine = &a->echo.engine;
    uint64_t n = 0;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->tls;
        a->host.engine = engine;
        a->host.listen = &a->echo.listen;
        state->child_inputs[1] = &a->host;
        break;
    case 'H':
        if (!is_address(value))
            argp_error(state, "--host %s: not a numeric IPv4 or IPv6 address (such as 127.0.0.1, 0.0.0.0, ::1)", value);
        a->echo.listen.address = value;
        break;
    case 'p':
        if (!parse_number(value, 0, 65535, &n))
            argp_error(state, "--port %s: not a number from 0 to 65535", value);
        a->echo.listen.port = (uint16_t)n;
        break;
    case KEY_THREADS:
        if (!parse_number(value, 1, THREADS_MAX, &n))
            argp_error(state, "--threads %s: not a number from 1 to %d", value, THREADS_MAX);
        a->threads = (unsigned)n;
        break;
    case KEY_MESSAGE_MAX:
        if (!parse_size(value, &engine->limits.message_bytes_max) || engine->limits.message_bytes_max == 0)
            argp_error(state, "--message-max %s: not a size such as 65536, 64KiB, 16MiB", value);
        break;
    case KEY_NO_DEFLATE:
        a->echo.listen.deflate.on = false;
        break;
    case KEY_DEFLATE_LEVEL:
        if (!parse_number(value, 0, 9, &n))
            argp_error(state, "--deflate-level %s: not a number from 0 to 9", value);
        a->echo.listen.deflate.level = (uint8_t)n;
        break;
    case KEY_DEFLATE_TAKEOVER:
        a->echo.listen.deflate.send_takeover = a->echo.listen.deflate.receive_takeover = true;
        break;
    case KEY_CONNECTIONS:
        if (!parse_number(value, 1, (1u << 24) - 2, &n))
            argp_error(state, "--connections %s: not a number from 1 to %u", value, (1u << 24) - 2);
        engine->connections_max = (uint32_t)n;
        a->connections_asked = true;
        break;
    case KEY_IDLE:
        if (!parse_duration(value, &engine->limits.idle_timeout_ns) || engine->limits.idle_timeout_ns == 0)
            argp_error(state, "--idle-timeout %s: not a time such as 30s, 500ms, 2m", value);
        break;
    case KEY_PING_INTERVAL:
        if (!parse_duration(value, &engine->limits.ping_interval_ns) || engine->limits.ping_interval_ns == 0)
            argp_error(state, "--ping-interval %s: not a time such as 20s, 5ms", value);
        break;
    case KEY_PING_TIMEOUT:
        if (!parse_duration(value, &engine->limits.ping_timeout_ns) || engine->limits.ping_timeout_ns == 0)
            argp_error(state, "--ping-timeout %s: not a time such as 5s, 20ms", value);
        break;
    case KEY_DRAIN_TIMEOUT:
        if (!parse_duration(value, &a->echo.drain.timeout_ns) || a->echo.drain.timeout_ns == 0)
            argp_error(state, "--drain-timeout %s: not a time such as 10s, 500ms, 2m", value);
        break;
    case KEY_DRAIN_SPREAD:
        if (!parse_duration(value, &a->echo.drain.spread_ns))
            argp_error(state, "--drain-spread %s: not a time such as 5s, 500ms", value);
        break;
    case KEY_SUBPROTOCOL:
        add_item(state, "--subprotocol", a->subprotocols, &a->echo.listen.subprotocols, value);
        break;
    case KEY_ORIGIN:
        add_item(state, "--origin", a->origins, &a->echo.listen.origins, value);
        break;
    case KEY_PATH:
        add_item(state, "--path", a->paths, &a->echo.listen.paths, value);
        break;
    case KEY_STATS:
        a->stats = true;
        break;
    case 'q':
        a->quiet = true;
        break;
    case 'v':
        a->echo.verbose = true;
        break;
    case ARGP_KEY_END:
        if (a->echo.listen.fd != 0 && a->threads > 1)
            argp_error(state, "--inherit: one thread only can have the socket");
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s': unexpected; everything is an option here", value);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_child children[] = {{&tls_server_argp, 0, "TLS:", 3}, {&host_argp, 0, "Host:", 3}, {0}};

static const struct argp argp = {
    options, parse_option, "",
    "Echo every WebSocket message back.\v"
    "Prints `listening on ws://ADDRESS:PORT' (or wss://) when ready. SIGINT or SIGTERM drains: no new connections, a Close with 1001 behind the "
    "echoes each connection is still owed; a second signal cuts. Exit codes: 0 drained, 1 failed or cut, 2 usage, 78 io_uring is refused.",
    children, NULL, NULL};

/* A limit follows from the others: a message of the largest size must fit into an outbox, and a batch of small ones too. */
static void set_limits(struct arguments *a)
{
    enum { OUTBOX_MIN = 4 << 20, HEADER_ROOM = 1 << 10 };
    wsr_limits *limits = &a->echo.engine.limits;
    uint64_t largest = limits->message_bytes_max + HEADER_ROOM;
    limits->outbox_bytes_max = largest > OUTBOX_MIN ? largest : OUTBOX_MIN;
    a->echo.listen.reuse_port = a->threads > 1;
}

/* --- Opening ----------------------------------------------------------------------------------------------------------- */

/*
 * With SO_REUSEPORT a second server on the same port would share its connections without a word. So before the threads take
 * the port together, one socket without that option must be able to. Returns 0 or an errno.
 */
static int probe_port(const char *host, uint16_t port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } address;
    socklen_t len;
    memset(&address, 0, sizeof address);
    if (inet_pton(AF_INET, host, &address.in4.sin_addr) == 1) {
        address.in4.sin_family = AF_INET;
        address.in4.sin_port = htons(port);
        len = sizeof address.in4;
    } else {
        inet_pton(AF_INET6, host, &address.in6.sin6_addr);
        address.in6.sin6_family = AF_INET6;
        address.in6.sin6_port = htons(port);
        len = sizeof address.in6;
    }
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, result = 0;
    if (fd < 0)
        return 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 || bind(fd, &address.any, len) != 0)
        result = errno;
    close(fd);
    return result;
}

static int complain_open(const struct server *server)
{
    const wsr_listen_config *listen = &server->arguments->echo.listen;
    if (strcmp(server->stage, "engine") == 0) {
        errno = server->error_errno;
        return cmd_no_engine("serve", server->error);
    }
    const char *advice = "";
    if (server->error == WSR_ECONFIG) {
        cmd_complain("serve", "%s", wsr_listen_problem(listen));
        return WSR_EXIT_USAGE;
    }
    if (server->error != WSR_ESYS) {
        cmd_complain("serve", "cannot listen on %s port %u: %s", listen->address, listen->port, wsr_error_text(server->error));
        return WSR_EXIT_FAILED;
    }
    if (server->error_errno == EADDRINUSE)
        advice = "; another program has it: choose another --port, or 0 for any free one";
    else if (server->error_errno == EACCES)
        advice = "; ports below 1024 are root's: choose a higher --port";
    else if (server->error_errno == EADDRNOTAVAIL)
        advice = "; no interface of this machine has that address";
    cmd_complain("serve", "cannot listen on %s port %u: %s%s", listen->address, listen->port, strerror(server->error_errno), advice);
    return WSR_EXIT_FAILED;
}

static bool open_server(struct server *server)
{
    struct echo_config config = server->arguments->echo;
    errno = 0;
    server->error = echo_open(&server->echo, &config, &server->stage);
    server->error_errno = errno;
    return server->error == WSR_OK;
}

/* --- Running ----------------------------------------------------------------------------------------------------------- */

static void run_server(struct server *server)
{
    server->error = echo_run(&server->echo);
    server->error_errno = errno;
    wsr_engine_stats(server->echo.engine, &server->statistics, sizeof server->statistics);
    echo_close(&server->echo);
}

static void *server_thread(void *context)
{
    struct server *server = context;
    bool open = open_server(server);
    pthread_barrier_wait(server->ready);
    if (open)
        run_server(server);
    return NULL;
}

/* Starts all servers but the first, on the port the first one has. Returns how many run. */
static unsigned start_threads(struct server *servers, unsigned n, pthread_barrier_t *ready)
{
    for (unsigned i = 1; i < n; i++) {
        servers[i].ready = ready;
        servers[i].arguments = servers[0].arguments;
        int error = pthread_create(&servers[i].thread, NULL, server_thread, &servers[i]);
        if (error != 0) {
            /* The barrier counts on all of them. */
            cmd_complain("serve", "cannot start thread %u: %s", i, strerror(error));
            exit(WSR_EXIT_FAILED);
        }
    }
    if (n > 1)
        pthread_barrier_wait(ready);
    return n;
}

static void announce(const wsr_listen_config *listen, uint16_t port)
{
    bool brackets = strchr(listen->address, ':') != NULL;
    printf("listening on %s://%s%s%s:%u\n", listen->tls != NULL ? "wss" : "ws", brackets ? "[" : "", listen->address, brackets ? "]" : "", port);
    fflush(stdout);
}

static void print_summary(const struct echo_totals *t)
{
    char closes[512], size[24];
    printf("%s: %" PRIu64 " connections, %" PRIu64 " messages (%s) in, %" PRIu64 " echoed; closes: %s\n", t->cut > 0 ? "cut" : "drained",
           t->opened, t->received, format_size(size, sizeof size, t->received_bytes), t->echoed,
           closes_text(&t->closes, closes, sizeof closes));
    if (t->late + t->dropped + t->failed + t->undelivered + t->unconfirmed > 0)
        printf("not echoed: %" PRIu64 " behind a Close, %" PRIu64 " for want of room; echoes lost with their connection: %" PRIu64
               " not sent, %" PRIu64 " partly sent\n",
               t->late, t->dropped + t->failed, t->undelivered, t->unconfirmed);
    if (t->handshakes_failed > 0)
        printf("handshakes failed: %" PRIu64 "\n", t->handshakes_failed);
    if (t->cut > 0)
        printf("connections cut: %" PRIu64 "\n", t->cut);
}

static void print_statistics(unsigned thread, const struct server *server)
{
    const wsr_engine_statistics *s = &server->statistics;
    printf("engine %u: accepted %" PRIu64 ", closed %" PRIu64 ", shed %" PRIu64 ", messages in %" PRIu64 " out %" PRIu64 ", bytes in %" PRIu64
           " out %" PRIu64 ", polls %" PRIu64 ", enters %" PRIu64 ", starved %" PRIu64 ", stale completions %" PRIu64 ", memory %" PRIu64
           " bytes, allocations %" PRIu64 ", readers waited for %" PRIu64 "\n",
           thread, s->accepted, s->closed, s->accepts_shed, s->messages_in, s->messages_out, s->bytes_in, s->bytes_out, s->polls, s->enters,
           s->starved, s->stale_completions, s->memory_bytes, s->allocations, server->echo.totals.paused);
}

static int finish(const struct arguments *a, struct server *servers, unsigned n)
{
    struct echo_totals totals = {0};
    int code = WSR_EXIT_OK;
    for (unsigned i = 0; i < n; i++) {
        if (i > 0)
            pthread_join(servers[i].thread, NULL);
        echo_totals_add(&totals, &servers[i].echo.totals);
        if (servers[i].error != WSR_OK) {
            cmd_complain("serve", "engine %u ended early: %s (%s)", i, wsr_error_text(servers[i].error), strerror(servers[i].error_errno));
            code = WSR_EXIT_FAILED;
        }
    }
    if (!a->quiet)
        print_summary(&totals);
    if (!a->quiet && a->echo.listen.socket.receive_stamps) {
        for (unsigned i = 1; i < n; i++)
            stamps_merge(&servers[0].echo.stamps, &servers[i].echo.stamps);
        stamps_print(stdout, &servers[0].echo.stamps);
    }
    if (a->stats) {
        for (unsigned i = 0; i < n; i++)
            print_statistics(i, &servers[i]);
    }
    return totals.cut > 0 ? WSR_EXIT_FAILED : code;
}

static int serve(struct arguments *a, struct server *servers)
{
    pthread_barrier_t ready;
    int taken = a->threads > 1 && a->echo.listen.port != 0 ? probe_port(a->echo.listen.address, a->echo.listen.port) : 0;
    servers[0].arguments = a;
    if (taken != 0) {
        servers[0].stage = "listen";
        servers[0].error = WSR_ESYS;
        servers[0].error_errno = taken;
        return complain_open(&servers[0]);
    }
    if (!open_server(&servers[0]))
        return complain_open(&servers[0]);
    a->echo.listen.port = wsr_listen_port(servers[0].echo.engine, servers[0].echo.listener);

    pthread_barrier_init(&ready, NULL, a->threads);
    start_threads(servers, a->threads, &ready);
    for (unsigned i = 1; i < a->threads; i++) {
        if (servers[i].error != WSR_OK)
            exit(complain_open(&servers[i]));
    }
    announce(&a->echo.listen, a->echo.listen.port);
    run_server(&servers[0]);
    int code = finish(a, servers, a->threads);
    pthread_barrier_destroy(&ready);
    return code;
}

/* A service manager's reload: there is nothing to read again, and that is no reason to end. A terminal's SIGHUP says that it is gone. */
static void ignore_reload(void)
{
    int terminal = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (terminal >= 0)
        close(terminal);
    else
        signal(SIGHUP, SIG_IGN);
}

int wsr_cmd_serve(int argc, char **argv)
{
    struct arguments a = {
        .echo = {.engine = WSR_CONFIG_INIT, .listen = WSR_LISTEN_CONFIG_INIT, .drain = WSR_DRAIN_CONFIG_INIT},
        .tls = WSR_TLS_CONFIG_INIT,
        .threads = 1,
    };
    a.echo.engine.connections_max = 16384;
    a.echo.engine.limits.message_bytes_max = 16 << 20;
    a.echo.listen.deflate.on = true;
    a.echo.listen.address = "127.0.0.1";
    a.echo.listen.port = 8080;
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    set_limits(&a);

    if (tls_is_asked_for(&a.tls)) {
        a.echo.listen.tls = tls_open("serve", &a.tls);
        if (a.echo.listen.tls == NULL)
            return WSR_EXIT_FAILED;
        tls_reload_on_hangup("serve", a.echo.listen.tls);
    } else {
        ignore_reload();
    }
    struct server *servers = calloc(a.threads, sizeof *servers);
    if (servers == NULL) {
        cmd_complain("serve", "out of memory");
        return WSR_EXIT_FAILED;
    }
    uint64_t wanted = (uint64_t)a.threads * a.echo.engine.connections_max, room = cmd_raise_descriptors(wanted);
    if (room < wanted && a.connections_asked)
        cmd_complain("serve", "only %" PRIu64 " of %" PRIu64 " connections will find a descriptor; raise the limit (ulimit -Hn)", room, wanted);
    signals_catch();
    int code = serve(&a, servers);
    free(servers);
    return code;
}
