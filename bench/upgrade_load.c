/*
 * bench/upgrade_load.c - connect, upgrade, close, over and over: what a connection costs a server that serves nothing on it.
 *
 * `connections` of them are under way at once. Each connects, sends its request, takes the whole 101, sends a Close with 1000,
 * takes the server's Close and lets go with a reset, so that no TIME_WAIT is left to use up the ports. A unit is one of these.
 * Options, order and costs are lib/load.h's.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/client.h"
#include "lib/load.h"

enum { EVENTS = 256 };

enum step { CONNECTING, UPGRADING, CLOSING };

struct connection {
    int fd;
    enum step step;
    size_t len; /* received in this step */
    char text[CLIENT_ANSWER_MAX];
};

/* A target's context. */
struct server {
    unsigned port;
    int epoll;
    struct connection *connections;
};

static const struct load_number numbers[] = {{NULL, NULL, NULL, 0, 0, 0}};

static char request[CLIENT_ANSWER_MAX];
static size_t request_len;
static uint8_t close_frame[2 + CLIENT_HEADER_MAX];
static size_t close_len;

/* Of the slice that runs. */
static int64_t done, under_way;
static int stopping;

static void open_target(struct load_target *target)
{
    struct server *server = calloc(1, sizeof *server);

    if (server == NULL || (server->connections = calloc(load_options.connections, sizeof *server->connections)) == NULL)
        load_die("out of memory");
    target->context = server;
    server->port = target->port;
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
}

static void watch(const struct server *server, struct connection *connection, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.ptr = connection}};

    if (epoll_ctl(server->epoll, operation, connection->fd, &event) != 0)
        load_die("epoll_ctl: %s", strerror(errno));
}

static void begin(const struct server *server, struct connection *connection)
{
    int error;

    connection->fd = client_socket(server->port, SOCK_NONBLOCK, &error);
    if (error != 0 && error != EINPROGRESS)
        load_die("connect: %s", strerror(error));
    connection->step = CONNECTING;
    connection->len = 0;
    under_way++;
    watch(server, connection, EPOLL_CTL_ADD, EPOLLOUT);
}

static void send_all(const struct connection *connection, const void *data, size_t len)
{
    if (send(connection->fd, data, len, MSG_NOSIGNAL) != (ssize_t)len)
        load_die("send: %s", strerror(errno));
}

static void on_upgraded(struct connection *connection)
{
    const char *wrong = client_answer_check(connection->text, connection->len, 0);

    if (wrong != NULL && *wrong == '\0')
        return;
    if (wrong != NULL)
        load_die("handshake: %s: %.*s", wrong, (int)strcspn(connection->text, "\r"), connection->text);
    send_all(connection, close_frame, close_len);
    connection->step = CLOSING;
    connection->len = 0;
}

static void on_closing(const struct server *server, struct connection *connection)
{
    /* An unmasked Close with 1000 (RFC 6455 section 5.5.1), maybe with a reason; a bare one is lawful too. */
    if (connection->len < 2 || connection->len < 2 + (size_t)connection->text[1])
        return;
    if ((uint8_t)connection->text[0] != CLIENT_BYTE0_CLOSE)
        load_die("no Close came back, but %02x", (uint8_t)connection->text[0]);
    close(connection->fd);
    under_way--;
    done++;
    if (!stopping)
        begin(server, connection);
}

static void advance(const struct server *server, struct connection *connection)
{
    ssize_t n;

    if (connection->step == CONNECTING) {
        send_all(connection, request, request_len);
        connection->step = UPGRADING;
        watch(server, connection, EPOLL_CTL_MOD, EPOLLIN);
        return;
    }
    n = recv(connection->fd, connection->text + connection->len, sizeof connection->text - 1 - connection->len, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        load_die("recv: %s", n == 0 ? "the server closed without a Close" : strerror(errno));
    connection->len += (size_t)n;
    connection->text[connection->len] = '\0';
    if (connection->step == UPGRADING)
        on_upgraded(connection);
    else
        on_closing(server, connection);
}

static void run(struct load_target *target, double seconds, struct load_slice *slice)
{
    const struct server *server = target->context;
    struct epoll_event events[EVENTS];
    double end = load_now() + seconds;

    done = 0;
    stopping = 0;
    for (unsigned i = 0; i < load_options.connections; i++)
        begin(server, &server->connections[i]);
    while (under_way > 0) {
        int n = epoll_wait(server->epoll, events, EVENTS, load_options.spin ? 0 : 100);

        if (n < 0 && errno != EINTR)
            load_die("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < n; i++)
            advance(server, events[i].data.ptr);
        if (load_now() >= end)
            stopping = 1;
        if (load_now() >= end + CLIENT_STALL_SECONDS)
            load_die("stalled: %lld connections under way", (long long)under_way);
    }
    slice->units = done;
}

int main(int argc, char **argv)
{
    static const struct load_actions actions = {open_target, run, NULL};
    static const uint8_t normal[2] = {1000 >> 8, 1000 & 0xff};

    load_parse(argc, argv, numbers);
    request_len = client_request(request, sizeof request, "/", 0);
    close_len = client_frame_build(close_frame, CLIENT_BYTE0_CLOSE, normal, sizeof normal);
    load_run(&actions);
    load_report(&actions, "");
    return 0;
}
