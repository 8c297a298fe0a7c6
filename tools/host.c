/*
 * tools/host.c - see host.h. What the options mean is said in wsring/engine.h, server.h and socket.h.
 */
#include "tools/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/parse.h"

#define FIRST_INHERITED 3 /* SD_LISTEN_FDS_START of sd_listen_fds(3) */

enum { KEY_PROXY = 1, KEY_INHERIT, KEY_USER_TIMEOUT, KEY_KEEPALIVE, KEY_DSCP, KEY_MEMORY_MAX, KEY_RESERVE, KEY_PREFAULT, KEY_LOCK, KEY_HUGE,
       KEY_WAIT, KEY_SPIN, KEY_SQPOLL, KEY_STAMPS, KEY_ZERO_COPY, KEY_DEFER_ACCEPT };

static const struct argp_option options[] = {
    {"proxy-protocol", KEY_PROXY, NULL, 0, "each connection begins with a PROXY protocol header, version 1 or 2, of a load balancer's", 0},
    {"inherit", KEY_INHERIT, NULL, 0, "listen on the socket that the service manager has passed (LISTEN_FDS), in place of --host and --port", 0},
    {"defer-accept", KEY_DEFER_ACCEPT, "TIME", 0, "leave who connects and sends nothing to the kernel, for so long, in whole seconds (0)", 0},
    {"user-timeout", KEY_USER_TIMEOUT, "TIME", 0, "end a connection whose TCP was not acknowledged for so long (the system's)", 0},
    {"keepalive", KEY_KEEPALIVE, "TIME", 0, "TCP's own probes after so long a silence (none)", 0},
    {"dscp", KEY_DSCP, "N", 0, "mark all packets, 0 to 63, as in 46 for expedited forwarding (0)", 0},
    {"receive-stamps", KEY_STAMPS, NULL, 0, "have the kernel say when it had each message, and tell at the end how long they took from there", 0},
    {"memory-max", KEY_MEMORY_MAX, "SIZE", 0, "memory for messages and outboxes, each thread; short of it the largest connections give way (1GiB)", 0},
    {"reserve", KEY_RESERVE, "SIZE", 0, "map so much of it at the start, each thread (0)", 0},
    {"prefault", KEY_PREFAULT, NULL, 0, "have all pages of it and of the receive buffers at once", 0},
    {"lock-memory", KEY_LOCK, NULL, 0, "and never swapped; refused beyond ulimit -l", 0},
    {"huge-pages", KEY_HUGE, NULL, 0, "in pages of 2 MiB, which vm.nr_hugepages sets aside", 0},
    {"wait", KEY_WAIT, "HOW", 0, "latency: look for a while before sleeping, which takes a core; throughput: sleep at once; auto: as events come (auto)", 0},
    {"spin", KEY_SPIN, "TIME", 0, "how long to look before sleeping (50us)", 0},
    {"sqpoll", KEY_SQPOLL, NULL, 0, "let a thread of the kernel's submit, which wants a core of its own", 0},
    {"zero-copy", KEY_ZERO_COPY, "SIZE", 0, "send what is in pieces of so many bytes and more without copying it; try 4KiB, and not over loopback (never)", 0},
    {0},
};

static bool parse_wait(const char *text, wsr_wait_mode *out)
{
    static const char *const names[] = {"auto", "latency", "throughput"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        *out = (wsr_wait_mode)i;
        if (strcmp(names[i], text) == 0)
            return true;
    }
    return false;
}

/* sd_listen_fds(3): the first descriptor is 3, if LISTEN_PID is us. */
static void inherit(struct host_options *o, struct argp_state *state)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
        struct sockaddr_storage room;
    } address = {0};
    socklen_t len = sizeof address;
    if (pid == NULL || fds == NULL || strtol(pid, NULL, 10) != (long)getpid() || strtol(fds, NULL, 10) < 1)
        argp_error(state, "--inherit: no socket was passed to this process (LISTEN_PID, LISTEN_FDS)");
    else if (getsockname(FIRST_INHERITED, &address.any, &len) != 0)
        argp_error(state, "--inherit: descriptor 3: %s", strerror(errno));
    else if (inet_ntop(address.any.sa_family, address.any.sa_family == AF_INET6 ? (const void *)&address.in6.sin6_addr : &address.in4.sin_addr,
                       o->address, sizeof o->address) == NULL)
        argp_error(state, "--inherit: descriptor 3 is no TCP socket");
    o->listen->fd = FIRST_INHERITED;
    o->listen->address = o->address;
}

static uint64_t duration(const char *name, const char *value, uint64_t most_ns, struct argp_state *state)
{
    uint64_t ns = 0;
    if (!parse_duration(value, &ns) || ns == 0 || ns > most_ns)
        argp_error(state, "--%s %s: not a time such as 50us, 30s, or too long", name, value);
    return ns;
}

static uint64_t size(const char *name, const char *value, struct argp_state *state)
{
    uint64_t bytes = 0;
    if (!parse_size(value, &bytes) || bytes == 0)
        argp_error(state, "--%s %s: not a size such as 64MiB, 1GiB", name, value);
    return bytes;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    const uint64_t second_ns = UINT64_C(1000000000);
    struct host_options *o = state->input;
    wsr_config *engine = o->engine;
    wsr_socket_options *socket = &o->listen->socket;
    uint64_t n = 0;
    switch (key) {
    case KEY_PROXY: o->listen->proxy_protocol = true; break;
    case KEY_INHERIT: inherit(o, state); break;
    case KEY_DEFER_ACCEPT: o->listen->defer_accept_ns = duration("defer-accept", value, 3600 * second_ns, state); break;
    case KEY_USER_TIMEOUT: socket->user_timeout_ns = duration("user-timeout", value, 86400 * second_ns, state); break;
    case KEY_KEEPALIVE: socket->keepalive_idle_ns = duration("keepalive", value, 32767 * second_ns, state); break;
    case KEY_DSCP:
        if (!parse_number(value, 0, 63, &n))
            argp_error(state, "--dscp %s: not a number from 0 to 63", value);
        socket->dscp = (uint8_t)n;
        break;
    case KEY_STAMPS: socket->receive_stamps = true; break;
    case KEY_MEMORY_MAX: engine->memory_bytes_max = size("memory-max", value, state); break;
    case KEY_RESERVE: engine->reserve_bytes = size("reserve", value, state); break;
    case KEY_PREFAULT: engine->prefault = true; break;
    case KEY_LOCK: engine->lock_memory = true; break;
    case KEY_HUGE: engine->huge_pages = true; break;
    case KEY_WAIT:
        if (!parse_wait(value, &engine->wait))
            argp_error(state, "--wait %s: not auto, latency or throughput", value);
        break;
    case KEY_SPIN: engine->spin_ns = duration("spin", value, 10 * second_ns, state); break;
    case KEY_SQPOLL: engine->sqpoll = true; break;
    case KEY_ZERO_COPY:
        n = size("zero-copy", value, state);
        engine->zero_copy_bytes = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

const struct argp host_argp = {options, parse_option, NULL, NULL, NULL, NULL, NULL};
