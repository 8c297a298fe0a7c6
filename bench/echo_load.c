/*
 * bench/echo_load.c - a closed loop on echo servers: a window of messages on many connections, and what the server paid for it.
 *
 * One thread, epoll, one recv and one send a connection and wake-up; frames are built, masked, beforehand, so that it does as
 * little as a client can. It checks the length of every reply and its first bytes, not the rest (`wsring load` checks every
 * byte). The same program and the same bytes drive a WebSocket server (--target ws:...: handshake first, replies are plain
 * frames) and a raw echo (--target raw:...: no handshake, replies are the tail of each frame; see lib/raw.h). With --deflate
 * replies may be of any length and in several frames: then it counts messages, and that they are compressed. With --tls all is
 * sealed, and one record in 16 of the replies is opened and checked (lib/sealed.h).
 *
 * Two things see to it that it is the server that is waited for and not the load (README.md says why): --spin, which does not
 * sleep, and --brake, which takes a part of the servers' core away. Options, order and costs are lib/load.h's.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/client.h"
#include "lib/load.h"
#include "lib/sealed.h"

enum { EVENTS = 512, CHECKED_BYTES = 32 };

/* Replies are read through one buffer; 256 KiB stays in a second-level cache. */
#define READ_BYTES ((size_t)256 << 10)
/* So many bytes of ready-made frames: a window of small messages leaves in one send. */
#define FRAMES_BYTES ((size_t)1 << 20)

struct connection {
    int fd;
    int wants_out;    /* EPOLLOUT is on */
    unsigned waiting; /* messages sent, or to be sent, and not yet answered */
    size_t unsent;    /* bytes still to send */
    size_t send_at;   /* where in the frames the next of them is */
    size_t reply_at;  /* bytes of the current reply received; --deflate: of its header */
    /* --deflate: the frame that comes in */
    uint8_t header[CLIENT_HEADER_MAX];
    uint64_t payload_left;
    /* --tls */
    struct sealed *sealed;
    uint8_t *records; /* sealed, and not yet sent: records_len bytes from records_at */
    size_t records_at, records_len;
};

/* A target's context. */
struct server {
    int epoll;
    struct connection *connections;
    uint8_t reply_head[CHECKED_BYTES];
};

static double payload_bytes = 20, depth = 1, text, deflate, tls;

static const struct load_number numbers[] = {
    {"payload", "bytes of a message", &payload_bytes, 0, 1 << 28, 0},
    {"depth", "messages in flight on a connection", &depth, 1, 100000, 0},
    {"text", "text, not binary", &text, 0, 1, 1},
    {"deflate", "agree on permessage-deflate, without history, and send compressed", &deflate, 0, 1, 1},
    {"tls", "over TLS 1.3 with TLS_AES_128_GCM_SHA256", &tls, 0, 1, 1},
    {NULL, NULL, NULL, 0, 0, 0},
};

static uint8_t *payload;        /* of one message, compressed if so asked */
static size_t payload_len;
static uint8_t byte0;           /* of its frame */
static uint8_t *frames;         /* copies of one masked frame */
static size_t frames_bytes;     /* all of them */
static size_t in_bytes;         /* of one frame to the server */
static size_t out_bytes;        /* of one reply; --deflate: unknown */
static size_t reply_head_bytes; /* how much of it is checked */
static uint8_t *read_buffer;

/* Of the slice that runs. */
static const struct server *current;
static int64_t replies, outstanding;
static int stopping;

/* --- What is sent, and what must come back ------------------------------------------------------------------------------ */

static void reply_head_build(const struct load_target *target, struct server *server)
{
    uint8_t header[CLIENT_HEADER_MAX];
    size_t header_bytes = client_header_build(header, byte0, 0, payload_len);

    reply_head_bytes = out_bytes < CHECKED_BYTES ? out_bytes : CHECKED_BYTES;
    if (target->raw) {
        memcpy(server->reply_head, frames + in_bytes - out_bytes, reply_head_bytes);
    } else {
        memcpy(server->reply_head, header, header_bytes);
        memcpy(server->reply_head + header_bytes, payload, reply_head_bytes - header_bytes);
    }
}

static void payload_build(void)
{
    enum { DEFLATE_ROOM = 64 };
    size_t plain_bytes = (size_t)payload_bytes, cap = plain_bytes + DEFLATE_ROOM;
    uint8_t *plain = malloc(cap);

    payload = malloc(cap);
    if (payload == NULL || plain == NULL)
        load_die("out of memory");
    client_payload_build(plain, plain_bytes);
    byte0 = text != 0 ? CLIENT_BYTE0_TEXT : CLIENT_BYTE0_BINARY;
    if (deflate != 0) {
        byte0 |= CLIENT_RSV1;
        payload_len = client_deflate(payload, cap, plain, plain_bytes);
        if (payload_len == 0)
            load_die("--deflate: a payload that gets no smaller");
    } else {
        payload_len = plain_bytes;
        memcpy(payload, plain, plain_bytes);
    }
    free(plain);
}

static void frames_build(void)
{
    size_t frame_cap = payload_len + CLIENT_HEADER_MAX, copies;

    frames = malloc(FRAMES_BYTES > frame_cap ? FRAMES_BYTES : frame_cap);
    read_buffer = malloc(READ_BYTES);
    if (frames == NULL || read_buffer == NULL)
        load_die("out of memory");
    in_bytes = client_frame_build(frames, byte0, payload, payload_len);
    out_bytes = in_bytes - 4; /* a server's frames have no masking key */
    copies = FRAMES_BYTES / in_bytes;
    copies = copies < 1 ? 1 : copies > (size_t)depth ? (size_t)depth : copies;
    frames_bytes = copies * in_bytes;
    for (size_t i = 1; i < copies; i++)
        memcpy(frames + i * in_bytes, frames, in_bytes);
}

/* --- Connections -------------------------------------------------------------------------------------------------------- */

static void connection_watch(struct connection *connection, int out)
{
    struct epoll_event event = {.events = out ? EPOLLIN | EPOLLOUT : EPOLLIN, .data = {.ptr = connection}};

    if (connection->wants_out == out)
        return;
    connection->wants_out = out;
    if (epoll_ctl(current->epoll, EPOLL_CTL_MOD, connection->fd, &event) != 0)
        load_die("epoll_ctl: %s", strerror(errno));
}

/* Seals what is to be sent, as far as there is room; a window of small messages goes into one record. */
enum { RECORDS_AT_ONCE = 5 };
static void connection_seal(struct connection *connection)
{
    size_t cap = RECORDS_AT_ONCE * (SEALED_PLAIN_MAX + SEALED_GAIN);

    if (connection->records == NULL && (connection->records = malloc(cap)) == NULL)
        load_die("out of memory");
    connection->records_at = connection->records_len = 0;
    for (int i = 0; i < RECORDS_AT_ONCE && connection->unsent > 0; i++) {
        size_t len = frames_bytes - connection->send_at < connection->unsent ? frames_bytes - connection->send_at : connection->unsent;

        if (len > SEALED_PLAIN_MAX)
            len = SEALED_PLAIN_MAX;
        connection->records_len += sealed_seal(connection->sealed, connection->records + connection->records_len, frames + connection->send_at, len);
        connection->unsent -= len;
        connection->send_at = (connection->send_at + len) % in_bytes;
    }
}

static void connection_send_sealed(struct connection *connection)
{
    while (connection->records_len > 0 || connection->unsent > 0) {
        ssize_t n;

        if (connection->records_len == 0)
            connection_seal(connection);
        n = send(connection->fd, connection->records + connection->records_at, connection->records_len, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN)
                load_die("send: %s", strerror(errno));
            break;
        }
        connection->records_at += (size_t)n;
        connection->records_len -= (size_t)n;
    }
    connection_watch(connection, connection->records_len > 0);
}

static void connection_send(struct connection *connection)
{
    if (connection->sealed != NULL) {
        connection_send_sealed(connection);
        return;
    }
    while (connection->unsent > 0) {
        size_t len = frames_bytes - connection->send_at < connection->unsent ? frames_bytes - connection->send_at : connection->unsent;
        ssize_t n = send(connection->fd, frames + connection->send_at, len, MSG_NOSIGNAL);

        if (n < 0) {
            if (errno != EAGAIN)
                load_die("send: %s", strerror(errno));
            break;
        }
        connection->unsent -= (size_t)n;
        /* All frames are the same, so after a whole one the next may as well be the first. */
        connection->send_at = (connection->send_at + (size_t)n) % in_bytes;
    }
    connection_watch(connection, connection->unsent > 0);
}

static void messages_start(struct connection *connection, unsigned n)
{
    connection->waiting += n;
    outstanding += n;
    connection->unsent += n * in_bytes;
    connection_send(connection);
}

/* Counts the replies that end within len bytes, and checks their heads; data NULL: they were not opened. */
static unsigned replies_check(struct connection *connection, const uint8_t *data, size_t len)
{
    unsigned complete = 0;

    while (len > 0) {
        size_t n = out_bytes - connection->reply_at < len ? out_bytes - connection->reply_at : len;

        if (connection->reply_at < reply_head_bytes) {
            size_t head = reply_head_bytes - connection->reply_at < n ? reply_head_bytes - connection->reply_at : n;

            if (data != NULL && memcmp(data, current->reply_head + connection->reply_at, head) != 0)
                load_die("a wrong reply, at byte %zu or after of %zu", connection->reply_at, out_bytes);
        }
        connection->reply_at += n;
        if (connection->reply_at == out_bytes) {
            connection->reply_at = 0;
            complete++;
        }
        data = data != NULL ? data + n : NULL;
        len -= n;
    }
    return complete;
}

/* --tls: a piece of the replies; counts into sealed_complete. */
static unsigned sealed_complete;
static void sealed_check(void *context, const uint8_t *data, size_t len)
{
    sealed_complete += replies_check(context, data, len);
}

/* The same where lengths are the server's choice: counts the messages that end, by their headers. */
static unsigned replies_parse(struct connection *connection, const uint8_t *data, size_t len)
{
    unsigned complete = 0;

    while (len > 0) {
        if (connection->payload_left > 0) {
            size_t n = connection->payload_left < len ? (size_t)connection->payload_left : len;

            connection->payload_left -= n;
            data += n;
            len -= n;
        } else {
            uint8_t *header = connection->header;
            size_t wanted;

            header[connection->reply_at++] = *data++;
            len--;
            wanted = connection->reply_at < 2 ? 2 : header[1] < 126 ? 2 : header[1] == 126 ? 4 : 10;
            if (connection->reply_at < wanted)
                continue;
            /* Only the first frame of a message says that it is compressed. */
            if ((header[0] & 0x0f) != 0 && (header[0] & 0x7f) != (CLIENT_RSV1 | (text != 0 ? 1 : 2)))
                load_die("a wrong reply: a frame that begins with %02x", header[0]);
            connection->payload_left = wanted == 2 ? header[1] : 0;
            for (size_t i = 2; i < wanted; i++)
                connection->payload_left = connection->payload_left << 8 | header[i];
            connection->reply_at = 0;
        }
        if (connection->payload_left == 0 && (connection->header[0] & 0x80) != 0)
            complete++;
    }
    return complete;
}

static void connection_read(struct connection *connection)
{
    ssize_t n = recv(connection->fd, read_buffer, READ_BYTES, 0);
    unsigned complete;

    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return;
        load_die("recv: %s", n == 0 ? "the server closed" : strerror(errno));
    }
    sealed_complete = 0;
    if (connection->sealed != NULL)
        sealed_take(connection->sealed, read_buffer, (size_t)n, sealed_check, connection);
    if (connection->sealed != NULL)
        complete = sealed_complete;
    else
        complete = deflate != 0 ? replies_parse(connection, read_buffer, (size_t)n) : replies_check(connection, read_buffer, (size_t)n);
    if (complete == 0)
        return;
    if (complete > connection->waiting)
        load_die("more replies than messages");
    connection->waiting -= complete;
    outstanding -= complete;
    replies += complete;
    if (!stopping)
        messages_start(connection, complete);
}

/* --- A slice ------------------------------------------------------------------------------------------------------------- */

static void open_target(struct load_target *target)
{
    struct server *server = calloc(1, sizeof *server);

    if (server == NULL || (server->connections = calloc(load_options.connections, sizeof *server->connections)) == NULL)
        load_die("out of memory");
    target->context = server;
    reply_head_build(target, server);
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < load_options.connections; i++) {
        struct connection *connection = &server->connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = connection}};

        if (tls != 0)
            connection->fd = client_upgrade_sealed(target->port, "/", &connection->sealed);
        else
            connection->fd = target->raw ? client_connect(target->port) : client_upgrade(target->port, "/", deflate != 0);
        if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
            load_die("epoll_ctl: %s", strerror(errno));
    }
}

/* Keeps every window full for so long, then waits for the last replies. */
static void run(struct load_target *target, double seconds, struct load_slice *slice)
{
    struct epoll_event events[EVENTS];
    double end = load_now() + seconds;

    current = target->context;
    replies = 0;
    stopping = 0;
    for (unsigned i = 0; i < load_options.connections; i++)
        messages_start(&current->connections[i], (unsigned)depth);
    while (outstanding > 0) {
        int n = epoll_wait(current->epoll, events, EVENTS, load_options.spin ? 0 : 100);
        double now = load_now();

        if (n < 0 && errno != EINTR)
            load_die("epoll_wait: %s", strerror(errno));
        if (now >= end)
            stopping = 1;
        if (now >= end + CLIENT_STALL_SECONDS)
            load_die("stalled: %lld messages without a reply", (long long)outstanding);
        for (int i = 0; i < n; i++) {
            struct connection *connection = events[i].data.ptr;

            if (events[i].events & EPOLLOUT)
                connection_send(connection);
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                connection_read(connection);
        }
    }
    slice->units = replies;
}

int main(int argc, char **argv)
{
    static const struct load_actions actions = {open_target, run, NULL};
    char head[96];

    load_parse(argc, argv, numbers);
    if (tls != 0 && deflate != 0)
        load_die("--tls and --deflate: one of them");
    payload_build();
    frames_build();
    load_run(&actions);
    snprintf(head, sizeof head, "\"in_bytes\": %zu, \"out_bytes\": %zu, ", in_bytes, out_bytes);
    load_report(&actions, head);
    return 0;
}
