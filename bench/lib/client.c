/*
 * bench/lib/client.c - see client.h.
 */
#define _GNU_SOURCE /* strcasestr */
#include "lib/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/load.h"
#include "lib/sealed.h"

static const uint8_t masking_key[4] = {0x37, 0xfa, 0x21, 0x3d};

/* --- Frames -------------------------------------------------------------------------------------------------------------- */

size_t client_header_build(uint8_t *header, uint8_t byte0, uint8_t mask_bit, size_t payload_bytes)
{
    header[0] = byte0;
    if (payload_bytes < 126) {
        header[1] = (uint8_t)(mask_bit | payload_bytes);
        return 2;
    }
    if (payload_bytes < 65536) {
        header[1] = mask_bit | 126;
        header[2] = (uint8_t)(payload_bytes >> 8);
        header[3] = (uint8_t)payload_bytes;
        return 4;
    }
    header[1] = mask_bit | 127;
    for (unsigned i = 0; i < 8; i++)
        header[2 + i] = (uint8_t)((uint64_t)payload_bytes >> (56 - 8 * i));
    return 10;
}

size_t client_frame_build(uint8_t *frame, uint8_t byte0, const uint8_t *payload, size_t payload_bytes)
{
    size_t at = client_header_build(frame, byte0, 0x80, payload_bytes);

    memcpy(frame + at, masking_key, sizeof masking_key);
    at += sizeof masking_key;
    for (size_t i = 0; i < payload_bytes; i++)
        frame[at + i] = payload[i] ^ masking_key[i % 4];
    return at + payload_bytes;
}

void client_payload_build(uint8_t *payload, size_t len)
{
    static const char line[] = "{\"symbol\":\"ABC\",\"side\":\"buy\",\"price\":101.25,\"size\":300,\"time\":1700000000123}\n";

    for (size_t i = 0; i < len; i++)
        payload[i] = (uint8_t)line[i % (sizeof line - 1)];
}

size_t client_deflate(uint8_t *to, size_t cap, const uint8_t *payload, size_t len)
{
    enum { RAW_WINDOW_BITS = -15, TAIL_BYTES = 4 };
    z_stream stream = {.next_in = (z_const Bytef *)(uintptr_t)payload, .avail_in = (uInt)len, .next_out = to, .avail_out = (uInt)cap};
    size_t out = 0;

    if (deflateInit2(&stream, 6, Z_DEFLATED, RAW_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    if (deflate(&stream, Z_SYNC_FLUSH) == Z_OK && stream.avail_in == 0 && stream.avail_out > 0)
        out = cap - stream.avail_out - TAIL_BYTES;
    deflateEnd(&stream);
    return out;
}

/* --- The handshake ------------------------------------------------------------------------------------------------------- */

/* The key of RFC 6455 section 1.3, and the answer that belongs to it. */
size_t client_request(char *request, size_t cap, const char *path, int deflate)
{
    static const char offer[] = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
    int n = snprintf(request, cap,
                     "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n", path, deflate ? offer : "");

    if (n < 0 || (size_t)n >= cap)
        load_die("a request of %d bytes", n);
    return (size_t)n;
}

const char *client_answer_check(const char *answer, size_t len, int deflate)
{
    const char *extension;

    if (len < 4 || memcmp(answer + len - 4, "\r\n\r\n", 4) != 0)
        return len < CLIENT_ANSWER_MAX - 1 ? "" : "the answer does not end";
    if (strncmp(answer, "HTTP/1.1 101 ", 13) != 0)
        return "refused";
    if (strstr(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") == NULL)
        return "Sec-WebSocket-Accept is wrong";
    extension = strcasestr(answer, "\r\nSec-WebSocket-Extensions:");
    if (!deflate != (extension == NULL))
        return deflate ? "does not compress" : "compresses unasked";
    /* What it sends later may then refer to nothing before; what we send need not, whatever it says. */
    return deflate && strstr(extension, "server_no_context_takeover") == NULL ? "will not compress without history" : NULL;
}

static void handshake(int fd, const char *path, int deflate)
{
    char text[CLIENT_ANSWER_MAX];
    const char *wrong = "";
    size_t len = client_request(text, sizeof text, path, deflate);

    if (send(fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
        load_die("handshake: %s", strerror(errno));
    len = 0;
    while (wrong != NULL && *wrong == '\0') {
        ssize_t n = recv(fd, text + len, sizeof text - 1 - len, 0);

        if (n <= 0)
            load_die("handshake: %s", n == 0 ? "closed" : strerror(errno));
        len += (size_t)n;
        text[len] = '\0';
        wrong = client_answer_check(text, len, deflate);
    }
    if (wrong != NULL)
        load_die("handshake: %s: %.*s", wrong, (int)strcspn(text, "\r"), text);
}

/* --- Connections --------------------------------------------------------------------------------------------------------- */

int client_socket(unsigned port, int flags, int *error)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval timeout = {.tv_sec = CLIENT_STALL_SECONDS};
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0)
        load_die("socket: %s", strerror(errno));
    *error = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    return fd;
}

static int connect_blocking(unsigned port)
{
    int error, fd = client_socket(port, 0, &error);

    if (error != 0)
        load_die("connect: %s", strerror(error));
    return fd;
}

static int unblock(int fd)
{
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        load_die("fcntl: %s", strerror(errno));
    return fd;
}

int client_connect(unsigned port)
{
    return unblock(connect_blocking(port));
}

int client_upgrade_sealed(unsigned port, const char *path, struct sealed **sealed)
{
    int fd = connect_blocking(port);

    *sealed = sealed_upgrade(fd, path);
    return unblock(fd);
}

int client_upgrade(unsigned port, const char *path, int deflate)
{
    int fd = connect_blocking(port);

    handshake(fd, path, deflate);
    return unblock(fd);
}
