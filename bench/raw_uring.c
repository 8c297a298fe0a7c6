/*
 * bench/raw_uring.c - a TCP echo on io_uring: the least that any io_uring server can do, and so a limit.
 *
 * Not a WebSocket server and not a library: it knows message lengths from its command line (lib/raw.h), talks to liburing
 * directly and shares no code with engine/. One thread, one ring with DEFER_TASKRUN, multishot accept, multishot receive from
 * one ring of incrementally consumed 64 KiB buffers (before Linux 6.12: of whole 16 KiB buffers), and one send in flight a
 * connection.
 *
 * Two ways out, chosen by the length of a message, as measured best:
 *   small: copied behind what the connection has to send already; one send a connection and batch. A received buffer is
 *          free again at once.
 *   large: sent from the receive buffer itself, several slices in one sendmsg; the buffer is kept until that is done.
 */
#include "lib/raw.h"

#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Linux 6.12; not in the liburing of Debian 12 (2.3), which calls the flags of io_uring_buf_reg "pad". */
#define BUF_RING_INCREMENTAL 2
#define CQE_BUF_MORE (1u << 4)

enum { SQ_ENTRIES = 256, CQ_ENTRIES = 8192, BUFFERS_DEFAULT = 64, BUFFERS_WHOLE_DEFAULT = 256, BUFFER_GROUP = 1, SLICES = 16 };
#define BUFFER_BYTES_DEFAULT ((size_t)64 << 10)
#define BUFFER_BYTES_WHOLE_DEFAULT ((size_t)16 << 10)
#define COPY_BELOW_DEFAULT ((size_t)16 << 10)
/* What one connection may leave unread before it is cut: the load's window is far below. */
#define UNSENT_BYTES_MAX ((size_t)64 << 20)

enum { OP_ACCEPT, OP_RECV, OP_SEND };

/* A received piece that is to be sent from where it lies. */
struct slice {
    uint8_t *data;
    size_t len;
    unsigned buffer;
};

struct connection {
    int fd;
    int receiving, sending, broken; /* a receive is armed; a send is in flight; no more of either, please */
    int dirty, starved;             /* is in that list */
    size_t position;                /* see raw_cut */
    /* small: two buffers, one flying and one filling */
    uint8_t *flying, *filling;
    size_t flying_at, flying_end, filling_end, flying_cap, filling_cap;
    /* large: a queue of slices, the first `flying_slices` of them in flight */
    struct slice *slices;
    unsigned slices_first, slices_end, slices_cap, flying_slices;
    struct iovec vector[SLICES];
    struct msghdr message;
    struct connection *next_dirty, *next_starved;
};

/* One receive buffer: where the next bytes will land, and who holds it. */
struct buffer {
    size_t offset;
    unsigned references;
    int consumed; /* the kernel will write no more into it */
};

static struct raw_options options;
static struct io_uring ring;
static struct io_uring_buf_ring *buffer_ring;
static uint8_t *arena;
static struct buffer *buffers;
static unsigned returned; /* buffers added back and not yet published */
static struct connection *dirty, **dirty_end = &dirty; /* first in, first out: 2 % better than the other way round */
static struct connection *starved;
static int listener;

static struct io_uring_sqe *sqe_get(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

    if (sqe == NULL) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
        if (sqe == NULL)
            raw_die("io_uring_get_sqe");
    }
    return sqe;
}

/* Connections are aligned to 16, so the lowest bits of their addresses can say which operation it was. */
static void sqe_tag(struct io_uring_sqe *sqe, struct connection *connection, unsigned op)
{
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)connection | op);
}

static void accept_arm(void)
{
    struct io_uring_sqe *sqe = sqe_get();

    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    sqe_tag(sqe, NULL, OP_ACCEPT);
}

/* poll_first: after running out of buffers, an attempt before there is data would fail again at once. */
static void recv_arm(struct connection *connection, int poll_first)
{
    struct io_uring_sqe *sqe = sqe_get();

    io_uring_prep_recv_multishot(sqe, connection->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    if (poll_first)
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    sqe_tag(sqe, connection, OP_RECV);
    connection->receiving = 1;
}

static void buffer_add(unsigned id)
{
    buffers[id].offset = 0;
    buffers[id].consumed = 0;
    io_uring_buf_ring_add(buffer_ring, arena + (size_t)id * options.buffer_bytes, (unsigned)options.buffer_bytes, (unsigned short)id,
                          io_uring_buf_ring_mask(options.buffers), (int)returned++);
}

static void buffer_release(unsigned id)
{
    if (--buffers[id].references == 0 && buffers[id].consumed)
        buffer_add(id);
}

static void mark_dirty(struct connection *connection)
{
    if (!connection->dirty) {
        connection->dirty = 1;
        connection->next_dirty = NULL;
        *dirty_end = connection;
        dirty_end = &connection->next_dirty;
    }
}

/* Frees the connection once it is broken and the kernel holds nothing of it. */
static void connection_try_free(struct connection *connection)
{
    if (!connection->broken || connection->receiving || connection->sending || connection->dirty || connection->starved)
        return;
    while (connection->slices_first < connection->slices_end)
        buffer_release(connection->slices[connection->slices_first++].buffer);
    close(connection->fd);
    free(connection->slices);
    free(connection->flying);
    free(connection->filling);
    free(connection);
}

static void connection_break(struct connection *connection)
{
    if (!connection->broken && connection->receiving)
        shutdown(connection->fd, SHUT_RDWR); /* ends the receive, whose last completion frees */
    connection->broken = 1;
}

/* --- The small way: copy ----------------------------------------------------------------------------------------------- */

static void queue_copy(struct connection *connection, const uint8_t *data, size_t len)
{
    if (connection->filling_end + len > connection->filling_cap) {
        size_t cap = connection->filling_cap == 0 ? 4096 : connection->filling_cap;

        while (cap < connection->filling_end + len)
            cap *= 2;
        if (cap > UNSENT_BYTES_MAX) {
            connection_break(connection);
            return;
        }
        if ((connection->filling = realloc(connection->filling, cap)) == NULL)
            raw_die("realloc");
        connection->filling_cap = cap;
    }
    connection->filling_end += raw_cut(&options, &connection->position, connection->filling + connection->filling_end, data, len);
}

static void send_copied(struct connection *connection)
{
    struct io_uring_sqe *sqe;

    if (connection->flying_at == connection->flying_end) {
        uint8_t *empty = connection->flying;
        size_t cap = connection->flying_cap;

        if (connection->filling_end == 0)
            return;
        connection->flying = connection->filling;
        connection->flying_cap = connection->filling_cap;
        connection->flying_at = 0;
        connection->flying_end = connection->filling_end;
        connection->filling = empty;
        connection->filling_cap = cap;
        connection->filling_end = 0;
    }
    sqe = sqe_get();
    io_uring_prep_send(sqe, connection->fd, connection->flying + connection->flying_at, connection->flying_end - connection->flying_at,
                       MSG_NOSIGNAL | MSG_WAITALL);
    sqe_tag(sqe, connection, OP_SEND);
    connection->sending = 1;
}

/* --- The large way: by reference --------------------------------------------------------------------------------------- */

static void queue_slice(struct connection *connection, uint8_t *data, size_t len, unsigned id)
{
    struct slice *last;

    data = raw_cut_in_place(&options, &connection->position, data, &len);
    if (len == 0)
        return;
    /* What follows its predecessor in the same buffer is one slice with it, unless that one is in flight already. */
    if (connection->slices_end - connection->slices_first > connection->flying_slices) {
        last = &connection->slices[connection->slices_end - 1];
        if (last->buffer == id && last->data + last->len == data) {
            last->len += len;
            return;
        }
    }
    if (connection->slices_end == connection->slices_cap) {
        unsigned n = connection->slices_end - connection->slices_first;

        if (n * 2 > connection->slices_cap || connection->slices_cap == 0) {
            connection->slices_cap = connection->slices_cap == 0 ? 64 : connection->slices_cap * 2;
            connection->slices = realloc(connection->slices, connection->slices_cap * sizeof *connection->slices);
            if (connection->slices == NULL)
                raw_die("realloc");
        }
        memmove(connection->slices, connection->slices + connection->slices_first, n * sizeof *connection->slices);
        connection->slices_first = 0;
        connection->slices_end = n;
    }
    connection->slices[connection->slices_end++] = (struct slice){data, len, id};
    buffers[id].references++;
}

static void send_slices(struct connection *connection)
{
    unsigned n = connection->slices_end - connection->slices_first;
    struct slice *slices = connection->slices + connection->slices_first;
    struct io_uring_sqe *sqe;

    if (n == 0)
        return;
    if (n > SLICES)
        n = SLICES;
    sqe = sqe_get();
    if (n == 1) {
        io_uring_prep_send(sqe, connection->fd, slices[0].data, slices[0].len, MSG_NOSIGNAL | MSG_WAITALL);
    } else {
        for (unsigned i = 0; i < n; i++)
            connection->vector[i] = (struct iovec){slices[i].data, slices[i].len};
        connection->message = (struct msghdr){.msg_iov = connection->vector, .msg_iovlen = n};
        io_uring_prep_sendmsg(sqe, connection->fd, &connection->message, MSG_NOSIGNAL | MSG_WAITALL);
    }
    sqe_tag(sqe, connection, OP_SEND);
    connection->flying_slices = n;
    connection->sending = 1;
}

static void slices_sent(struct connection *connection, size_t sent)
{
    while (sent > 0) {
        struct slice *first = &connection->slices[connection->slices_first];

        if (sent < first->len) {
            first->data += sent;
            first->len -= sent;
            break;
        }
        sent -= first->len;
        buffer_release(first->buffer);
        connection->slices_first++;
    }
    connection->flying_slices = 0;
}

/* --- Completions ------------------------------------------------------------------------------------------------------- */

static void on_accept(const struct io_uring_cqe *cqe)
{
    struct connection *connection;

    if ((cqe->flags & IORING_CQE_F_MORE) == 0)
        accept_arm();
    if (cqe->res < 0)
        return;
    connection = aligned_alloc(64, (sizeof *connection + 63) / 64 * 64);
    if (connection == NULL)
        raw_die("aligned_alloc");
    memset(connection, 0, sizeof *connection);
    connection->fd = cqe->res;
    recv_arm(connection, 0);
}

static void on_recv(struct connection *connection, const struct io_uring_cqe *cqe)
{
    if ((cqe->flags & IORING_CQE_F_MORE) == 0)
        connection->receiving = 0;
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        size_t len = cqe->res > 0 ? (size_t)cqe->res : 0;
        uint8_t *data = arena + (size_t)id * options.buffer_bytes + buffers[id].offset;

        buffers[id].offset += len;
        buffers[id].references++;
        if ((cqe->flags & CQE_BUF_MORE) == 0)
            buffers[id].consumed = 1;
        if (!connection->broken && len > 0) {
            if (options.in < options.copy_below)
                queue_copy(connection, data, len);
            else
                queue_slice(connection, data, len, id);
            mark_dirty(connection);
        }
        buffer_release(id);
    }
    if (cqe->res == -ENOBUFS) {
        connection->starved = 1;
        connection->next_starved = starved;
        starved = connection;
    } else if (cqe->res <= 0) {
        connection_break(connection);
        connection_try_free(connection);
    } else if (!connection->receiving && !connection->broken) {
        recv_arm(connection, 0);
    }
}

static void on_send(struct connection *connection, const struct io_uring_cqe *cqe)
{
    connection->sending = 0;
    if (cqe->res < 0) {
        connection_break(connection);
        connection->flying_slices = 0;
    } else if (options.in < options.copy_below) {
        connection->flying_at += (size_t)cqe->res;
    } else {
        slices_sent(connection, (size_t)cqe->res);
    }
    mark_dirty(connection);
}

/* After a batch: every connection that has something to send and nothing in flight sends, once. */
static void kick(void)
{
    while (dirty != NULL) {
        struct connection *connection = dirty;

        dirty = connection->next_dirty;
        if (dirty == NULL)
            dirty_end = &dirty;
        connection->dirty = 0;
        if (connection->broken) {
            connection_try_free(connection);
        } else if (!connection->sending) {
            if (options.in < options.copy_below)
                send_copied(connection);
            else
                send_slices(connection);
        }
    }
}

/* Buffers have come back: those who found none may try again. */
static void feed_starved(void)
{
    while (starved != NULL) {
        struct connection *connection = starved;

        starved = connection->next_starved;
        connection->starved = 0;
        if (connection->broken)
            connection_try_free(connection);
        else
            recv_arm(connection, 1);
    }
}

static void reap(void)
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;

    io_uring_for_each_cqe(&ring, head, cqe) {
        uint64_t tag = io_uring_cqe_get_data64(cqe);
        struct connection *connection = (struct connection *)(uintptr_t)(tag & ~(uint64_t)15);

        switch (tag & 15) {
        case OP_ACCEPT: on_accept(cqe); break;
        case OP_RECV: on_recv(connection, cqe); break;
        default: on_send(connection, cqe); break;
        }
        n++;
    }
    io_uring_cq_advance(&ring, n);
}

/* Zeroed memory of the process's own, already there. */
static void *map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (memory == MAP_FAILED)
        raw_die("mmap");
    return memory;
}

/* Returns 0 or a positive errno. */
static int buffer_ring_register(unsigned entries, unsigned short flags)
{
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)buffer_ring, .ring_entries = entries, .bgid = BUFFER_GROUP, .pad = flags};

    return -io_uring_register_buf_ring(&ring, &registration, 0);
}

static void buffers_set_up(void)
{
    unsigned entries = options.buffers != 0 ? options.buffers : BUFFERS_DEFAULT;
    size_t bytes = BUFFER_BYTES_DEFAULT;

    buffer_ring = map((entries > BUFFERS_WHOLE_DEFAULT ? entries : BUFFERS_WHOLE_DEFAULT) * sizeof(struct io_uring_buf));
    errno = options.whole ? EINVAL : buffer_ring_register(entries, BUF_RING_INCREMENTAL);
    if (errno == EINVAL) {
        entries = options.buffers != 0 ? options.buffers : BUFFERS_WHOLE_DEFAULT;
        bytes = BUFFER_BYTES_WHOLE_DEFAULT;
        errno = buffer_ring_register(entries, 0);
    }
    if (errno != 0)
        raw_die("io_uring_register_buf_ring");
    options.buffers = entries;
    if (options.buffer_bytes == 0)
        options.buffer_bytes = bytes;
    arena = map(entries * options.buffer_bytes);
    buffers = calloc(entries, sizeof *buffers);
    if (buffers == NULL)
        raw_die("calloc");
    io_uring_buf_ring_init(buffer_ring);
    for (unsigned i = 0; i < entries; i++)
        buffer_add(i);
    io_uring_buf_ring_advance(buffer_ring, (int)returned);
    returned = 0;
}

static void ring_set_up(void)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = CQ_ENTRIES,
    };

    errno = -io_uring_queue_init_params(SQ_ENTRIES, &ring, &params);
    if (errno != 0)
        raw_die("io_uring_queue_init");
    io_uring_register_ring_fd(&ring);
}

int main(int argc, char **argv)
{
    options.copy_below = COPY_BELOW_DEFAULT;
    raw_options_parse(&options, argc, argv);
    if ((options.buffers & (options.buffers - 1)) != 0) {
        fprintf(stderr, "%s: --buffers: a power of two is wanted\n", argv[0]);
        return 2;
    }
    ring_set_up();
    buffers_set_up();
    listener = raw_listen(&options);
    accept_arm();
    for (;;) {
        int result = io_uring_submit_and_wait(&ring, 1);

        if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY) {
            errno = -result;
            raw_die("io_uring_submit_and_wait");
        }
        reap();
        kick();
        if (returned > 0) {
            io_uring_buf_ring_advance(buffer_ring, (int)returned);
            returned = 0;
            feed_starved();
        }
    }
}
