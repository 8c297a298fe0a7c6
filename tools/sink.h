/*
 * tools/sink.h - a descriptor that is written to without ever waiting for its reader.
 *
 * Nothing is set on the descriptor, which other processes may share (a shell's terminal). It relies on poll(2) instead: what poll
 * calls writable takes PIPE_BUF bytes without blocking, and a file takes any number.
 */
#ifndef TOOLS_SINK_H
#define TOOLS_SINK_H

#include "tools/buffer.h"

struct sink {
    int fd;
    bool is_file;         /* regular: always takes everything */
    struct buffer buffer; /* what waits; add to it, then flush */
    int error;            /* an errno: it takes no more, and what waits is dropped. EPIPE: its reader has gone */
};

void sink_open(struct sink *sink, int fd);

/* Writes as much as goes without waiting. */
void sink_flush(struct sink *sink);

/* For the loop's poll: what to wait for, and what to say when poll has returned. An end of the reader shows even when nothing waits. */
short sink_poll_events(const struct sink *sink);
void sink_polled(struct sink *sink, short revents);

static inline size_t sink_bytes(const struct sink *sink)
{
    return buffer_len(&sink->buffer);
}

void sink_close(struct sink *sink);

#endif
