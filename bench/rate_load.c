/*
 * bench/rate_load.c - latency of echo servers: messages by a schedule (an open loop), or one after another on one connection.
 *
 * With --rate, message i is due at begin + i / rate on connection i mod connections, whatever became of those before, and its
 * latency counts from when it was due, not from when it was sent: a server that stands still for 10 ms owes them to all messages
 * of these 10 ms, not to the one that happened to be under way (what is called coordinated omission). `lag` is how late this
 * program itself was in sending: where it is not small, the figures are its own.
 * With --rate 0 each connection has one message in flight, and the next leaves when its echo is there: ping-pong.
 *
 * It never sleeps. Latencies are in log-linear buckets (tools/histogram.h). Options, order and costs are lib/load.h's.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/client.h"
#include "lib/load.h"
#include "tools/histogram.h"

/* What is in flight on one connection, at most: at 500 messages/s each, more than two seconds of silence. */
enum { EVENTS = 512, PAYLOAD_MAX = 4096, FLYING_MAX = 2048 };

struct connection {
    int fd;
    size_t reply_at, frame_at; /* bytes of the current reply received; of the current frame sent */
    unsigned first, end, sent; /* due times first..end are in flight or to be sent; before `sent`, sent */
    int64_t due_ns[FLYING_MAX];
};

/* A target's context. */
struct server {
    int epoll;
    struct connection *connections;
};

struct result {
    struct histogram latency, lag;
};

static double payload_bytes = 20, rate, settle_ms;

static const struct load_number numbers[] = {
    {"payload", "bytes of a message", &payload_bytes, 1, PAYLOAD_MAX, 0},
    {"rate", "messages a second, all connections together; 0: one at a time on each", &rate, 0, 1e7, 0},
    {"settle", "ms at the beginning of a slice that do not count: the server's code was not the last that ran", &settle_ms, 0, 1000, 0},
    {NULL, NULL, NULL, 0, 0, 0},
};

static uint8_t frame[PAYLOAD_MAX + CLIENT_HEADER_MAX], reply[PAYLOAD_MAX + CLIENT_HEADER_MAX];
static size_t frame_bytes, reply_bytes, raw_skip;
static uint8_t read_buffer[64 * 1024];

/* Of the slice that runs. */
static const struct load_target *current;
static struct result *result;
static int64_t outstanding, replies, counted_from_ns;
static int stopping;

static void frames_build(void)
{
    uint8_t payload[PAYLOAD_MAX];
    size_t len = (size_t)payload_bytes, header;

    client_payload_build(payload, len);
    frame_bytes = client_frame_build(frame, CLIENT_BYTE0_BINARY, payload, len);
    header = client_header_build(reply, CLIENT_BYTE0_BINARY, 0, len);
    memcpy(reply + header, payload, len);
    reply_bytes = header + len;
    raw_skip = frame_bytes - reply_bytes;
}

static void open_target(struct load_target *target)
{
    struct server *server = calloc(1, sizeof *server);

    if (server == NULL || (server->connections = calloc(load_options.connections, sizeof *server->connections)) == NULL)
        load_die("out of memory");
    target->context = server;
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < load_options.connections; i++) {
        struct connection *connection = &server->connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = connection}};

        connection->fd = target->raw ? client_connect(target->port) : client_upgrade(target->port, "/", 0);
        if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
            load_die("epoll_ctl: %s", strerror(errno));
    }
}

/* Sends what is due, as far as the kernel takes it. */
static void connection_send(struct connection *connection)
{
    while (connection->sent != connection->end) {
        ssize_t n = send(connection->fd, frame + connection->frame_at, frame_bytes - connection->frame_at, MSG_NOSIGNAL);

        if (n < 0) {
            if (errno == EAGAIN)
                return;
            load_die("send: %s", strerror(errno));
        }
        connection->frame_at += (size_t)n;
        if (connection->frame_at < frame_bytes)
            return;
        connection->frame_at = 0;
        connection->sent++;
    }
}

static void message_start(struct connection *connection, int64_t due_ns, int64_t now_ns)
{
    if (connection->end - connection->first == FLYING_MAX)
        load_die("the server is hopelessly behind: %d messages without a reply on one connection", FLYING_MAX);
    connection->due_ns[connection->end++ % FLYING_MAX] = due_ns;
    if (due_ns >= counted_from_ns)
        histogram_record(&result->lag, (uint64_t)(now_ns > due_ns ? now_ns - due_ns : 0));
    outstanding++;
    connection_send(connection);
}

static void reply_complete(struct connection *connection, int64_t now_ns)
{
    int64_t due_ns;

    if (connection->first == connection->sent)
        load_die("more replies than messages");
    due_ns = connection->due_ns[connection->first++ % FLYING_MAX];
    if (due_ns >= counted_from_ns)
        histogram_record(&result->latency, (uint64_t)(now_ns - due_ns));
    outstanding--;
    replies++;
    if (rate == 0 && !stopping)
        message_start(connection, now_ns, now_ns);
}

static void connection_read(struct connection *connection)
{
    const uint8_t *wanted = current->raw ? frame + raw_skip : reply;
    ssize_t n = recv(connection->fd, read_buffer, sizeof read_buffer, 0);
    int64_t now_ns = load_now_ns();

    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return;
        load_die("recv: %s", n == 0 ? "the server closed" : strerror(errno));
    }
    for (size_t at = 0, len; at < (size_t)n; at += len) {
        len = reply_bytes - connection->reply_at < (size_t)n - at ? reply_bytes - connection->reply_at : (size_t)n - at;
        if (memcmp(read_buffer + at, wanted + connection->reply_at, len) != 0)
            load_die("a wrong reply");
        connection->reply_at += len;
        if (connection->reply_at == reply_bytes) {
            connection->reply_at = 0;
            reply_complete(connection, now_ns);
        }
    }
}

static void replies_take(const struct server *server)
{
    struct epoll_event events[EVENTS];
    int n;

    /* A single one need not be looked for: its own part of a round trip should be small. */
    if (load_options.connections == 1) {
        connection_read(&server->connections[0]);
        return;
    }
    n = epoll_wait(server->epoll, events, EVENTS, 0);
    if (n < 0 && errno != EINTR)
        load_die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < n; i++)
        connection_read(events[i].data.ptr);
}

/* Starts all that is due by now. Returns how many have been started, ever. */
static int64_t schedule(const struct server *server, int64_t started, int64_t total, int64_t begin_ns)
{
    int64_t now_ns = load_now_ns();

    while (started < total) {
        int64_t due_ns = begin_ns + (int64_t)((double)started * 1e9 / rate);

        if (due_ns > now_ns)
            break;
        message_start(&server->connections[started % load_options.connections], due_ns, now_ns);
        started++;
        /* A burst after a delay must not keep the replies waiting, nor be dated all alike. */
        if (started % 16 == 0)
            break;
    }
    return started;
}

static void run(struct load_target *target, double seconds, struct load_slice *slice)
{
    const struct server *server = target->context;
    int64_t begin_ns = load_now_ns(), end_ns = begin_ns + (int64_t)(seconds * 1e9), started = 0;
    int64_t total = (int64_t)(rate * seconds), patience_ns = end_ns + (int64_t)CLIENT_STALL_SECONDS * 1000000000;

    current = target;
    counted_from_ns = begin_ns + (int64_t)(settle_ms * 1e6);
    stopping = 0;
    replies = 0;
    slice->result = result = malloc(sizeof *result);
    if (result == NULL)
        load_die("out of memory");
    histogram_init(&result->latency);
    histogram_init(&result->lag);
    for (unsigned i = 0; rate == 0 && i < load_options.connections; i++)
        message_start(&server->connections[i], begin_ns, begin_ns);
    while (started < total || outstanding > 0) {
        started = schedule(server, started, total, begin_ns);
        replies_take(server);
        if (load_now_ns() >= end_ns)
            stopping = 1;
        if (load_now_ns() >= patience_ns)
            load_die("stalled: %lld messages without a reply", (long long)outstanding);
    }
    slice->units = replies;
}

static void report(FILE *out, const struct load_slice *slice)
{
    const struct result *r = slice->result;

    fprintf(out, ", \"p50_ns\": %llu, \"p99_ns\": %llu, \"p999_ns\": %llu, \"max_ns\": %llu, \"lag_p99_ns\": %llu",
            (unsigned long long)histogram_quantile(&r->latency, 0.5), (unsigned long long)histogram_quantile(&r->latency, 0.99),
            (unsigned long long)histogram_quantile(&r->latency, 0.999), (unsigned long long)r->latency.max,
            (unsigned long long)histogram_quantile(&r->lag, 0.99));
}

int main(int argc, char **argv)
{
    static const struct load_actions actions = {open_target, run, report};

    load_parse(argc, argv, numbers);
    frames_build();
    load_run(&actions);
    load_report(&actions, "");
    return 0;
}
