/*
 * tools/input.h - a descriptor as messages: its lines, its blocks as they are read, or all of it as one.
 *
 * It reads only when told to, so a loop that polls the descriptor first is never blocked: nothing is set on the descriptor, which
 * other processes may share. It reads no further than one message needs: what waits in a pipe stays there.
 */
#ifndef TOOLS_INPUT_H
#define TOOLS_INPUT_H

#include "tools/buffer.h"

enum input_cut {
    INPUT_LINES,  /* without their line feed; a last line needs none. An empty line is an empty message */
    INPUT_BLOCKS, /* what a read gave */
    INPUT_WHOLE   /* everything until the end; nothing at all is no message */
};

/* Begin with all zero but the first three. */
struct input {
    int fd;
    enum input_cut cut;
    size_t message_bytes_max;
    struct buffer buffer;
    size_t searched; /* bytes of the message being read that are known to hold no line feed */
    bool ended;      /* the descriptor has no more */
    uint64_t messages_n;
};

/* True if reading could get further: no message is ready, and the descriptor has not ended. */
bool input_wants(struct input *in);

/* Reads once. Returns 0, or -1 with errno set: the descriptor cannot be read. */
int input_read(struct input *in);

/*
 * The next message, without taking it: 1 and *out, valid until the next call but this; 0: there is none yet, or (in->ended) no
 * more; -1: it is longer than message_bytes_max.
 */
int input_peek(struct input *in, wsr_slice *out);

/* The message that was peeked at is done with. */
void input_next(struct input *in, wsr_slice message);

/* Ended, and nothing of it left. */
bool input_is_done(struct input *in);

#endif
