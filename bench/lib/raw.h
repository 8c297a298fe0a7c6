/*
 * bench/lib/raw.h - what the raw TCP echo servers share: their options, their listening socket, and the cut.
 *
 * A WebSocket echo receives masked frames and sends plain ones: of every N bytes that come in it sends back N - 4 (the
 * masking key), whatever the payload. The raw echoes do the same amount of TCP and nothing else: of every `in` bytes they drop
 * the first in - out and echo the rest, at once, without waiting for the end of the N. So both put the same bytes on the wire.
 */
#ifndef BENCH_LIB_RAW_H
#define BENCH_LIB_RAW_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct raw_options {
    unsigned port;       /* 0: any that is free */
    size_t in, out;      /* bytes; 0 < out <= in */
    size_t buffer_bytes; /* of one receive buffer; 0: the server's own default */
    unsigned buffers;    /* how many of them (io_uring); 0: the default */
    size_t copy_below;   /* messages shorter than this are copied into one send a batch (io_uring) */
    int spin;            /* look for a while before sleeping (epoll) */
    int whole;           /* no incremental buffers, as before Linux 6.12 (io_uring) */
};

/* Reads the command line into *options. Prints what is wrong and exits with 2 on a bad one. */
void raw_options_parse(struct raw_options *options, int argc, char **argv);

/* A listening, non-blocking socket on 127.0.0.1; says so in one line on stdout. Exits with 1 if that cannot be had. */
int raw_listen(const struct raw_options *options);

/* Prints what failed and errno's text, and exits with 1. */
void raw_die(const char *what) __attribute__((noreturn));

/*
 * memmove for the few bytes of a small message, without a call. Like memmove, it reads everything before it writes.
 * n = 16..64: two or four overlapping blocks of 16.
 */
static inline void raw_move(uint8_t *to, const uint8_t *from, size_t n)
{
    struct block {
        uint64_t a, b;
    } w, x, y, z;

    if (n < 16 || n > 64) {
        memmove(to, from, n);
        return;
    }
    memcpy(&w, from, 16);
    memcpy(&z, from + n - 16, 16);
    if (n > 32) {
        memcpy(&x, from + 16, 16);
        memcpy(&y, from + n - 32, 16);
        memcpy(to + 16, &x, 16);
        memcpy(to + n - 32, &y, 16);
    }
    memcpy(to, &w, 16);
    memcpy(to + n - 16, &z, 16);
}

/*
 * Takes len received bytes at from, drops what is to be dropped and puts the rest, without gaps, at to; returns how many that
 * is. *position is the stream's place within the current message of options->in bytes, 0 at first. to may be inside the same
 * buffer, at or before from.
 */
static inline size_t raw_cut(const struct raw_options *options, size_t *position, uint8_t *to, const uint8_t *from, size_t len)
{
    const size_t in = options->in, skip = options->in - options->out;
    const uint8_t *end = from + len;
    size_t at = *position, kept = 0;

    while (from < end) {
        size_t left = (size_t)(end - from), n;

        if (at < skip) {
            n = skip - at < left ? skip - at : left;
        } else {
            n = in - at < left ? in - at : left;
            if (to + kept != from)
                raw_move(to + kept, from, n);
            kept += n;
        }
        from += n;
        at += n;
        if (at == in)
            at = 0;
    }
    *position = at;
    return kept;
}

/*
 * The same, in place: returns where the rest begins, so that the first piece need not move. A large message in one receive
 * is not copied at all.
 */
static inline uint8_t *raw_cut_in_place(const struct raw_options *options, size_t *position, uint8_t *data, size_t *len)
{
    size_t skip = options->in - options->out, drop = *position < skip ? skip - *position : 0;

    if (drop > *len)
        drop = *len;
    *position = *position + drop == options->in ? 0 : *position + drop;
    *len = raw_cut(options, position, data + drop, data + drop, *len - drop);
    return data + drop;
}

#endif
