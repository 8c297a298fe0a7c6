/*
 * tools/input.c - see input.h.
 */
#include "tools/input.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10 };

/* Where the first line ends, or NULL. Each byte is looked at once, however long the line and however small the reads. */
static const uint8_t *line_end(struct input *in)
{
    const struct buffer *b = &in->buffer;
    const size_t len = buffer_len(b);
    if (in->searched >= len)
        return NULL;
    const uint8_t *end = memchr(b->ptr + b->at + in->searched, '\n', len - in->searched);
    in->searched = end == NULL ? len : (size_t)(end - (b->ptr + b->at));
    return end;
}

int input_peek(struct input *in, wsr_slice *out)
{
    struct buffer *b = &in->buffer;
    const size_t len = buffer_len(b);
    const uint8_t *end = in->cut == INPUT_LINES ? line_end(in) : NULL;
    const size_t message_len = end != NULL ? in->searched : len;
    if (message_len > in->message_bytes_max)
        return -1;
    if (end == NULL && (len == 0 || (!in->ended && in->cut != INPUT_BLOCKS)))
        return 0;
    *out = (wsr_slice){b->ptr + b->at, message_len};
    return 1;
}

bool input_wants(struct input *in)
{
    wsr_slice message;
    return !in->ended && !in->buffer.failed && input_peek(in, &message) == 0;
}

int input_read(struct input *in)
{
    size_t room = READ_BYTES;
    if (in->cut == INPUT_BLOCKS && room > in->message_bytes_max)
        room = in->message_bytes_max;
    uint8_t *to = buffer_reserve(&in->buffer, room);
    if (to == NULL) {
        errno = ENOMEM;
        return -1;
    }
    const ssize_t n = read(in->fd, to, room);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -1;
    if (n == 0)
        in->ended = true;
    in->buffer.end += (size_t)n;
    return 0;
}

void input_next(struct input *in, wsr_slice message)
{
    const size_t len = buffer_len(&in->buffer);
    /* The line feed goes with its line; a last line may have none. */
    buffer_take(&in->buffer, message.len + (in->cut == INPUT_LINES && message.len < len ? 1 : 0));
    in->searched = 0;
    in->messages_n++;
}

bool input_is_done(struct input *in)
{
    return in->ended && buffer_len(&in->buffer) == 0;
}
