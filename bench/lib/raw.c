/*
 * bench/lib/raw.c - see raw.h.
 */
#include "lib/raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

void raw_die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

/* A number up to max, or a complaint. */
static size_t number(const char *name, const char *text, size_t max)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value > max) {
        fprintf(stderr, "--%s %s: a number up to %zu is wanted\n", name, text, max);
        exit(2);
    }
    return (size_t)value;
}

void raw_options_parse(struct raw_options *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},         {"in", required_argument, NULL, 'i'},
        {"out", required_argument, NULL, 'o'},          {"buffer-bytes", required_argument, NULL, 'b'},
        {"buffers", required_argument, NULL, 'n'},      {"copy-below", required_argument, NULL, 'c'},
        {"whole-buffers", no_argument, NULL, 'w'},      {"spin", no_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},               {NULL, 0, NULL, 0},
    };
    const size_t size_max = (size_t)1 << 30;
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'p': options->port = (unsigned)number("port", optarg, 65535); break;
        case 'i': options->in = number("in", optarg, size_max); break;
        case 'o': options->out = number("out", optarg, size_max); break;
        case 'b': options->buffer_bytes = number("buffer-bytes", optarg, size_max); break;
        case 'n': options->buffers = (unsigned)number("buffers", optarg, 32768); break;
        case 'c': options->copy_below = number("copy-below", optarg, size_max); break;
        case 'w': options->whole = 1; break;
        case 's': options->spin = 1; break;
        case 'h':
            printf("usage: %s --in N --out M [--port P] [--buffer-bytes B] [--buffers N] [--copy-below B] [--whole-buffers] [--spin]\n"
                   "Of every N bytes received, echoes all but the first N - M.\n", argv[0]);
            exit(0);
        default: exit(2);
        }
    }
    if (optind != argc || options->in == 0 || options->out == 0 || options->out > options->in) {
        fprintf(stderr, "%s: --in N --out M are wanted, 0 < M <= N (--help)\n", argv[0]);
        exit(2);
    }
}

int raw_listen(const struct raw_options *options)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options->port)};
    socklen_t length = sizeof address;
    int on = 1, fd;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        raw_die("socket");
    /* Accepted sockets inherit TCP_NODELAY. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        raw_die("setsockopt");
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1024) != 0)
        raw_die("listen");
    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        raw_die("getsockname");
    printf("listening on tcp://127.0.0.1:%u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}
