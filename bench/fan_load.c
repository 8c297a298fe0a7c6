/*
 * bench/fan_load.c - one publisher, many subscribers: what a delivery costs the server.
 *
 * A closed loop: the publisher sends `depth` messages at once to /pub, all subscribers at /sub get all of them, and so on. A unit is
 * a delivery: a message that a subscriber got. Lengths and first bytes are checked. Options, order and costs are lib/load.h's.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/client.h"
#include "lib/load.h"

enum { EVENTS = 512, PAYLOAD_MAX = 1 << 20 };

struct subscriber {
    int fd;
    size_t reply_at;
};

/* A target's context. */
struct server {
    int epoll, publisher;
    struct subscriber *subscribers;
};

static double payload_bytes = 64, depth = 1;

static const struct load_number numbers[] = {
    {"payload", "bytes of a message", &payload_bytes, 1, PAYLOAD_MAX, 0},
    {"depth", "messages published at once", &depth, 1, 64, 0},
    {NULL, NULL, NULL, 0, 0, 0},
};

static uint8_t *frames; /* depth masked ones, as the publisher sends them */
static size_t frames_bytes;
static uint8_t reply[PAYLOAD_MAX + CLIENT_HEADER_MAX]; /* a frame as a subscriber gets it */
static size_t reply_bytes;
static uint8_t read_buffer[64 * 1024];

static void frames_build(void)
{
    static uint8_t payload[PAYLOAD_MAX];
    size_t len = (size_t)payload_bytes, header;

    client_payload_build(payload, len);
    frames = malloc((size_t)depth * (len + CLIENT_HEADER_MAX));
    if (frames == NULL)
        load_die("out of memory");
    for (unsigned i = 0; i < (unsigned)depth; i++)
        frames_bytes += client_frame_build(frames + frames_bytes, CLIENT_BYTE0_BINARY, payload, len);
    header = client_header_build(reply, CLIENT_BYTE0_BINARY, 0, len);
    memcpy(reply + header, payload, len);
    reply_bytes = header + len;
}

static void open_target(struct load_target *target)
{
    struct server *server = calloc(1, sizeof *server);

    if (server == NULL || (server->subscribers = calloc(load_options.connections, sizeof *server->subscribers)) == NULL)
        load_die("out of memory");
    target->context = server;
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < load_options.connections; i++) {
        struct subscriber *subscriber = &server->subscribers[i];
        struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = subscriber}};

        subscriber->fd = client_upgrade(target->port, "/sub", 0);
        if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, subscriber->fd, &event) != 0)
            load_die("epoll_ctl: %s", strerror(errno));
    }
    server->publisher = client_upgrade(target->port, "/pub", 0);
}

static unsigned subscriber_read(struct subscriber *subscriber)
{
    ssize_t n = recv(subscriber->fd, read_buffer, sizeof read_buffer, 0);
    unsigned complete = 0;

    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return 0;
        load_die("recv: %s", n == 0 ? "the server closed" : strerror(errno));
    }
    for (size_t at = 0, len; at < (size_t)n; at += len) {
        len = reply_bytes - subscriber->reply_at < (size_t)n - at ? reply_bytes - subscriber->reply_at : (size_t)n - at;
        if (memcmp(read_buffer + at, reply + subscriber->reply_at, len) != 0)
            load_die("a subscriber got something else");
        subscriber->reply_at += len;
        if (subscriber->reply_at == reply_bytes) {
            subscriber->reply_at = 0;
            complete++;
        }
    }
    return complete;
}

static void send_frames(int fd)
{
    double patience = load_now() + CLIENT_STALL_SECONDS;

    for (size_t at = 0; at < frames_bytes;) {
        ssize_t n = send(fd, frames + at, frames_bytes - at, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            load_die("send: %s", strerror(errno));
        if (load_now() > patience)
            load_die("stalled: the publisher is not read from");
        at += n > 0 ? (size_t)n : 0;
    }
}

/* Publishes once and waits until all have all of it. */
static void publish(const struct server *server)
{
    struct epoll_event events[EVENTS];
    int64_t wanted = (int64_t)load_options.connections * (int64_t)depth;
    double patience = load_now() + CLIENT_STALL_SECONDS;

    send_frames(server->publisher);
    while (wanted > 0) {
        int n = epoll_wait(server->epoll, events, EVENTS, load_options.spin ? 0 : 100);

        if (n < 0 && errno != EINTR)
            load_die("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < n; i++)
            wanted -= subscriber_read(events[i].data.ptr);
        if (wanted < 0 || load_now() > patience)
            load_die(wanted < 0 ? "more deliveries than there should be" : "stalled: deliveries are missing");
    }
}

static void run(struct load_target *target, double seconds, struct load_slice *slice)
{
    double end = load_now() + seconds;

    do {
        publish(target->context);
        slice->units += (int64_t)load_options.connections * (int64_t)depth;
    } while (load_now() < end);
}

int main(int argc, char **argv)
{
    static const struct load_actions actions = {open_target, run, NULL};

    load_parse(argc, argv, numbers);
    frames_build();
    load_run(&actions);
    load_report(&actions, "");
    return 0;
}
