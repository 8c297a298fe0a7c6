/*
 * bench/idle_load.c - connections that have spoken and are silent now: how much memory the server holds for them.
 *
 * Opens connections in two steps; in each, every new one has a few messages echoed, all of them together; then, when all is
 * quiet, the server's resident set is read (smaps_rollup, all of it, file pages too). What the kernel holds for its sockets is not in it.
 * One target; no slices. One line of JSON.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <poll.h>

#include "lib/client.h"
#include "lib/load.h"

enum { PAYLOAD_BYTES = 1024, CONNECTIONS_MAX = 20000 };

static double first = 1000, last = 10000, messages = 4, quiet = 1;

static const struct load_number numbers[] = {
    {"first", "connections of the first step", &first, 1, CONNECTIONS_MAX, 0},
    {"last", "connections in the end", &last, 1, CONNECTIONS_MAX, 0},
    {"messages", "that each has echoed", &messages, 1, 1000, 0},
    {"quiet", "seconds before memory is read", &quiet, 0, 60, 0},
    {NULL, NULL, NULL, 0, 0, 0},
};

static int fds[CONNECTIONS_MAX];
static uint8_t frame[PAYLOAD_BYTES + CLIENT_HEADER_MAX], reply[PAYLOAD_BYTES + CLIENT_HEADER_MAX];
static size_t frame_bytes, reply_bytes;

static long long resident_bytes(int pid)
{
    char path[64], line[256];
    long long kib = -1;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    file = fopen(path, "r");
    if (file == NULL)
        load_die("%s: %s", path, strerror(errno));
    while (kib < 0 && fgets(line, sizeof line, file) != NULL)
        (void)!sscanf(line, "Rss: %lld kB", &kib);
    fclose(file);
    if (kib < 0)
        load_die("%s: no Rss in it", path);
    return kib * 1024;
}

static void message_send(int fd)
{
    if (send(fd, frame, frame_bytes, MSG_NOSIGNAL) != (ssize_t)frame_bytes)
        load_die("send: %s", strerror(errno));
}

static void reply_take(int fd)
{
    uint8_t got[sizeof reply];
    size_t at = 0;

    while (at < reply_bytes) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        ssize_t n;

        if (poll(&readable, 1, CLIENT_STALL_SECONDS * 1000) != 1)
            load_die("stalled: no echo");
        n = recv(fd, got + at, reply_bytes - at, 0);
        if (n <= 0)
            load_die("recv: %s", n == 0 ? "the server closed" : strerror(errno));
        at += (size_t)n;
    }
    if (memcmp(got, reply, reply_bytes) != 0)
        load_die("a wrong reply");
}

/* A few hundred at once, so that a server that batches does. */
static void traffic(unsigned from, unsigned to)
{
    enum { AT_ONCE = 200 };

    for (unsigned i = from; i < to; i += AT_ONCE) {
        unsigned end = i + AT_ONCE < to ? i + AT_ONCE : to;

        for (unsigned m = 0; m < (unsigned)messages; m++) {
            for (unsigned j = i; j < end; j++)
                message_send(fds[j]);
            for (unsigned j = i; j < end; j++)
                reply_take(fds[j]);
        }
    }
}

static long long step(const struct load_target *target, unsigned from, unsigned to)
{
    struct timespec wait = {.tv_sec = (time_t)quiet, .tv_nsec = (long)((quiet - (double)(time_t)quiet) * 1e9)};

    for (unsigned i = from; i < to; i++)
        fds[i] = client_upgrade(target->port, "/", 0);
    traffic(from, to);
    nanosleep(&wait, NULL);
    return resident_bytes(target->pid);
}

int main(int argc, char **argv)
{
    uint8_t payload[PAYLOAD_BYTES];
    const struct load_target *target = &load_options.targets[0];
    long long at_start, at_first, at_last;
    size_t header;

    load_parse(argc, argv, numbers);
    if (target->pid == 0 || first >= last)
        load_die("a target with a process, and --first below --last, are wanted");
    client_payload_build(payload, sizeof payload);
    frame_bytes = client_frame_build(frame, CLIENT_BYTE0_BINARY, payload, sizeof payload);
    header = client_header_build(reply, CLIENT_BYTE0_BINARY, 0, sizeof payload);
    memcpy(reply + header, payload, sizeof payload);
    reply_bytes = header + sizeof payload;

    at_start = resident_bytes(target->pid);
    at_first = step(target, 0, (unsigned)first);
    at_last = step(target, (unsigned)first, (unsigned)last);
    printf("{\"start_bytes\": %lld, \"first_bytes\": %lld, \"last_bytes\": %lld, \"slope_bytes\": %.1f}\n", at_start, at_first, at_last,
           (double)(at_last - at_first) / (last - first));
    return 0;
}
