/*
 * tools/sink.c - see sink.h.
 */
#include "tools/sink.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES = 1 << 20 };

void sink_open(struct sink *sink, int fd)
{
    struct stat about;
    *sink = (struct sink){.fd = fd};
    if (fstat(fd, &about) != 0)
        sink->error = errno;
    else
        sink->is_file = S_ISREG(about.st_mode);
}

static void fail(struct sink *sink, int error)
{
    sink->error = error;
    buffer_take(&sink->buffer, sink_bytes(sink));
}

static bool is_writable(struct sink *sink)
{
    struct pollfd look = {.fd = sink->fd, .events = POLLOUT};
    if (sink->is_file)
        return true;
    /* With POLLERR or POLLHUP a write fails at once, and says why. */
    return poll(&look, 1, 0) == 1 && look.revents != 0;
}

void sink_flush(struct sink *sink)
{
    while (sink->error == 0 && sink_bytes(sink) > 0 && is_writable(sink)) {
        const size_t most = sink->is_file ? FILE_BYTES : PIPE_BUF, len = sink_bytes(sink);
        const ssize_t n = write(sink->fd, sink->buffer.ptr + sink->buffer.at, len < most ? len : most);
        if (n > 0)
            buffer_take(&sink->buffer, (size_t)n);
        else if (n < 0 && errno == EAGAIN)
            return; /* somebody made it non-blocking */
        else if (n < 0 && errno != EINTR)
            fail(sink, errno);
    }
}

short sink_poll_events(const struct sink *sink)
{
    return sink_bytes(sink) > 0 ? POLLOUT : 0;
}

void sink_polled(struct sink *sink, short revents)
{
    if ((revents & POLLERR) != 0 && !sink->is_file)
        fail(sink, EPIPE);
    else if ((revents & POLLNVAL) != 0)
        fail(sink, EBADF);
    else if (revents != 0)
        sink_flush(sink);
}

void sink_close(struct sink *sink)
{
    buffer_free(&sink->buffer);
}
