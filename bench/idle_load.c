/*
 * bench/idle_load.c - connections that have spoken and are silent now: how much memory the server holds for them.
 *
 * Opens connections in two steps; in each, every new one has a few messages echoed, all of them together; then, when all is
 * quiet, the server's resident set is read (smaps_rollup, all of it, file pages too). What the kernel holds for its sockets is not in it.
 * One target; no slices. One line of JSON. Several of these, each with a server of its own, can wait for each other (--hold).
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <poll.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/client.h"
#include "lib/load.h"
#include "lib/sealed.h"

enum { PAYLOAD_BYTES = 1024, CONNECTIONS_MAX = 20000, FRAME_MAX = PAYLOAD_BYTES + CLIENT_HEADER_MAX };

static double first = 1000, last = 10000, messages = 4, quiet = 1, over_tls, squeezed, held;

static const struct load_number numbers[] = {
    {"first", "connections of the first step", &first, 1, CONNECTIONS_MAX, 0},
    {"last", "connections in the end", &last, 1, CONNECTIONS_MAX, 0},
    {"messages", "that each has echoed", &messages, 1, 1000, 0},
    {"quiet", "seconds before memory is read", &quiet, 0, 60, 0},
    {"tls", "TLS 1.3", &over_tls, 0, 1, 1},
    {"deflate", "permessage-deflate, without history", &squeezed, 0, 1, 1},
    {"hold", "say `open' when all are, and read memory when standard input ends", &held, 0, 1, 1},
    {NULL, NULL, NULL, 0, 0, 0},
};

static int fds[CONNECTIONS_MAX];
static struct sealed *sealed[CONNECTIONS_MAX];
static uint8_t payload[PAYLOAD_BYTES], frame[FRAME_MAX];
static size_t frame_bytes;

/* What has come of a reply: a server's frame of less than 64 KiB, which begins with its first byte and its length. */
static uint8_t got[FRAME_MAX];
static size_t got_bytes;

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

static void message_send(unsigned i)
{
    uint8_t record[FRAME_MAX + SEALED_GAIN];
    const uint8_t *bytes = frame;
    size_t n = frame_bytes;

    if (sealed[i] != NULL) {
        n = sealed_seal(sealed[i], record, frame, frame_bytes);
        bytes = record;
    }
    if (send(fds[i], bytes, n, MSG_NOSIGNAL) != (ssize_t)n)
        load_die("send: %s", strerror(errno));
}

/* bytes NULL: a record that was not opened, and counts by its length. */
static void plain_take(void *context, const uint8_t *bytes, size_t len)
{
    (void)context;
    if (len > sizeof got - got_bytes)
        load_die("a reply too long");
    if (bytes != NULL)
        memcpy(got + got_bytes, bytes, len);
    else
        memset(got + got_bytes, 0, len);
    got_bytes += len;
}

static int inflates_to_payload(uint8_t *bytes, size_t len)
{
    static uint8_t tail[] = {0, 0, 0xff, 0xff}; /* RFC 7692 section 7.2.2 */
    uint8_t out[PAYLOAD_BYTES + 1];
    z_stream stream = {.next_in = bytes, .avail_in = (uInt)len, .next_out = out, .avail_out = sizeof out};
    size_t n;

    if (inflateInit2(&stream, -15) != Z_OK)
        load_die("inflateInit2");
    (void)inflate(&stream, Z_SYNC_FLUSH);
    stream.next_in = tail;
    stream.avail_in = sizeof tail;
    (void)inflate(&stream, Z_SYNC_FLUSH);
    n = sizeof out - stream.avail_out;
    inflateEnd(&stream);
    return n == sizeof payload && memcmp(out, payload, n) == 0;
}

/* One that stayed sealed is right if it is as long as a right one. */
static int reply_is_whole(int is_sealed)
{
    size_t header = got_bytes >= 2 && got[1] == 126 ? 4 : 2, len;
    int compressed;

    if (is_sealed && got_bytes > 0 && got[0] == 0)
        return got_bytes == 4 + sizeof payload;
    if (got_bytes < header)
        return 0;
    len = header == 2 ? got[1] : (size_t)(got[2] << 8 | got[3]);
    if (got_bytes < header + len)
        return 0;
    compressed = (got[0] & CLIENT_RSV1) != 0;
    if (got_bytes != header + len || (got[0] & ~CLIENT_RSV1) != CLIENT_BYTE0_BINARY || compressed != (squeezed != 0) ||
        !(compressed ? inflates_to_payload(got + header, len) : len == sizeof payload && memcmp(got + header, payload, len) == 0))
        load_die("a wrong reply");
    return 1;
}

static void reply_take(unsigned i)
{
    uint8_t bytes[FRAME_MAX + SEALED_GAIN];

    for (got_bytes = 0; !reply_is_whole(sealed[i] != NULL);) {
        struct pollfd readable = {.fd = fds[i], .events = POLLIN};
        ssize_t n;

        if (poll(&readable, 1, CLIENT_STALL_SECONDS * 1000) != 1)
            load_die("stalled: no echo");
        n = recv(fds[i], bytes, sizeof bytes, 0);
        if (n <= 0)
            load_die("recv: %s", n == 0 ? "the server closed" : strerror(errno));
        if (sealed[i] != NULL)
            sealed_take(sealed[i], bytes, (size_t)n, plain_take, NULL);
        else
            plain_take(NULL, bytes, (size_t)n);
    }
}

/* A few hundred at once, so that a server that batches does. */
static void traffic(unsigned from, unsigned to)
{
    enum { AT_ONCE = 200 };

    for (unsigned i = from; i < to; i += AT_ONCE) {
        unsigned end = i + AT_ONCE < to ? i + AT_ONCE : to;

        for (unsigned m = 0; m < (unsigned)messages; m++) {
            for (unsigned j = i; j < end; j++)
                message_send(j);
            for (unsigned j = i; j < end; j++)
                reply_take(j);
        }
    }
}

static long long step(const struct load_target *target, unsigned from, unsigned to)
{
    struct timespec wait = {.tv_sec = (time_t)quiet, .tv_nsec = (long)((quiet - (double)(time_t)quiet) * 1e9)};

    for (unsigned i = from; i < to; i++)
        fds[i] = over_tls != 0 ? client_upgrade_sealed(target->port, "/", &sealed[i]) : client_upgrade(target->port, "/", squeezed != 0);
    traffic(from, to);
    if (held != 0 && to == (unsigned)last) {
        char end;

        puts("open");
        fflush(stdout);
        while (read(STDIN_FILENO, &end, 1) > 0)
            ;
    }
    nanosleep(&wait, NULL);
    return resident_bytes(target->pid);
}

int main(int argc, char **argv)
{
    uint8_t small[PAYLOAD_BYTES];
    const struct load_target *target = &load_options.targets[0];
    long long at_start, at_first, at_last;

    load_parse(argc, argv, numbers);
    if (target->pid == 0 || first >= last || (over_tls != 0 && squeezed != 0))
        load_die("a target with a process, --first below --last, and not both --tls and --deflate are wanted");
    client_payload_build(payload, sizeof payload);
    if (squeezed != 0)
        frame_bytes = client_frame_build(frame, CLIENT_BYTE0_BINARY | CLIENT_RSV1, small, client_deflate(small, sizeof small, payload, sizeof payload));
    else
        frame_bytes = client_frame_build(frame, CLIENT_BYTE0_BINARY, payload, sizeof payload);

    at_start = resident_bytes(target->pid);
    at_first = step(target, 0, (unsigned)first);
    at_last = step(target, (unsigned)first, (unsigned)last);
    printf("{\"start_bytes\": %lld, \"first_bytes\": %lld, \"last_bytes\": %lld, \"slope_bytes\": %.1f}\n", at_start, at_first, at_last,
           (double)(at_last - at_first) / (last - first));
    return 0;
}
