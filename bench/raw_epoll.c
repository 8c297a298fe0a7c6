/*
 * bench/raw_epoll.c - a TCP echo on edge-triggered epoll: the least that any epoll server can do, and so a limit.
 *
 * Not a WebSocket server and not a library: it knows message lengths from its command line (lib/raw.h). One thread, one hot
 * receive buffer for all connections, and it sends from that same buffer. Only what the kernel does not take at once is copied,
 * and then nothing more is read from that connection until it is gone.
 *
 * With --spin it asks the connection that it heard last again and again before it sleeps: the least latency that TCP can have with
 * one connection.
 */
#define _GNU_SOURCE /* accept4 */
#include "lib/raw.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 512 };

/* At 1 MiB messages 5 % better than 256 KiB, 15 % than 64 KiB, and no worse at the others: it fills only as far as is received. */
#define BUFFER_BYTES_DEFAULT ((size_t)1 << 20)

struct connection {
    int fd;
    size_t position;                 /* see raw_cut */
    uint8_t *unsent;                 /* what the kernel did not take: unsent_at .. unsent_end; NULL when never needed */
    size_t unsent_at, unsent_end;
};

static struct raw_options options;
static uint8_t *buffer;
static struct connection *heard; /* the last that something came from */

static void connection_close(struct connection *connection)
{
    if (heard == connection)
        heard = NULL;
    close(connection->fd);
    free(connection->unsent);
    free(connection);
}

/* Returns false when the connection is broken; otherwise *sent is how much was taken, all of it or what fits. */
static int send_some(int fd, const uint8_t *data, size_t len, size_t *sent)
{
    *sent = 0;
    while (*sent < len) {
        ssize_t n = send(fd, data + *sent, len - *sent, MSG_NOSIGNAL);

        if (n < 0)
            return errno == EAGAIN;
        *sent += (size_t)n;
    }
    return 1;
}

/* Returns false when the connection is to be closed. ending: the peer has said it will send no more. */
static int connection_serve(struct connection *connection, int ending)
{
    size_t sent;

    if (connection->unsent_at < connection->unsent_end) {
        if (!send_some(connection->fd, connection->unsent + connection->unsent_at, connection->unsent_end - connection->unsent_at, &sent))
            return 0;
        connection->unsent_at += sent;
        if (connection->unsent_at < connection->unsent_end)
            return 1;
    }
    for (;;) {
        ssize_t received = recv(connection->fd, buffer, options.buffer_bytes, 0);
        size_t len;
        uint8_t *data;

        if (received <= 0)
            return received < 0 && errno == EAGAIN;
        heard = connection;
        len = (size_t)received;
        data = raw_cut_in_place(&options, &connection->position, buffer, &len);
        if (!send_some(connection->fd, data, len, &sent))
            return 0;
        if (sent < len) {
            if (connection->unsent == NULL && (connection->unsent = malloc(options.buffer_bytes)) == NULL)
                return 0;
            memcpy(connection->unsent, data + sent, len - sent);
            connection->unsent_at = 0;
            connection->unsent_end = len - sent;
            return 1; /* EPOLLOUT will come: its edge is armed by the refusal */
        }
        /* Less than was asked for: the socket is empty, and the next byte raises a new edge (epoll(7)). */
        if ((size_t)received < options.buffer_bytes && !ending)
            return 1;
    }
}

static void accept_all(int epoll, int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = calloc(1, sizeof *connection);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = connection}};

        if (connection == NULL)
            raw_die("calloc");
        connection->fd = fd;
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
            raw_die("epoll_ctl");
    }
}

/* Asks until nothing has come for a while. */
static void spin(void)
{
    enum { LOOKS = 4096 }; /* about a millisecond */
    struct connection *connection = heard;

    for (unsigned looks = 0; looks < LOOKS && connection != NULL; looks++) {
        heard = NULL;
        if (!connection_serve(connection, 0)) {
            connection_close(connection);
            return;
        }
        if (heard != NULL)
            looks = 0;
    }
    heard = NULL;
}

int main(int argc, char **argv)
{
    static struct epoll_event events[EVENTS];
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = NULL}};
    int epoll, listener;

    options.buffer_bytes = BUFFER_BYTES_DEFAULT;
    raw_options_parse(&options, argc, argv);
    buffer = malloc(options.buffer_bytes);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (buffer == NULL || epoll < 0)
        raw_die("epoll_create1");
    listener = raw_listen(&options);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0)
        raw_die("epoll_ctl");

    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);

        if (n < 0 && errno != EINTR)
            raw_die("epoll_wait");
        for (int i = 0; i < n; i++) {
            struct connection *connection = events[i].data.ptr;

            if (connection == NULL)
                accept_all(epoll, listener);
            else if (!connection_serve(connection, (events[i].events & EPOLLRDHUP) != 0))
                connection_close(connection);
        }
        if (options.spin)
            spin();
    }
}
