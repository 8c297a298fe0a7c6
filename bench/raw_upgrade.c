/*
 * bench/raw_upgrade.c - the least that a server on io_uring can do for a connection that upgrades and closes, and so a limit.
 *
 * Not a WebSocket server: it knows the one request that bench/lib/client.c sends, answers with text that was made beforehand, and
 * takes any eight bytes behind it for a Close. It opens, talks and ends as a WebSocket server has to: its Close and its FIN go in one
 * packet, and it closes when the peer has. One thread, one ring with DEFER_TASKRUN, multishot accept, multishot receives into
 * one ring of small buffers. Like raw_uring.c it shares no code with engine/.
 */
#include "lib/raw.h"

#include <errno.h>
#include <liburing.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SQ_ENTRIES = 256, CQ_ENTRIES = 8192, BUFFERS = 256, BUFFER_BYTES = 1024, BUFFER_GROUP = 1, DESCRIPTORS = 65536, CLOSE_BYTES = 8 };

enum { OP_ACCEPT, OP_RECV, OP_SEND };

/* "\r\n\r\n", as the last four bytes of a request. */
#define END_OF_HEAD 0x0d0a0d0au

enum step { REQUEST, OPEN, CLOSING };

struct connection {
    enum step step;
    uint32_t last;     /* four bytes of the request */
    unsigned received; /* of the Close */
};

/* For the key of RFC 6455 section 1.3. */
static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
static const uint8_t close_frame[] = {0x88, 2, 1000 >> 8, 1000 & 0xff};

static struct io_uring ring;
static struct io_uring_buf_ring *buffer_ring;
static uint8_t *arena;
static unsigned returned; /* buffers added back and not yet published */
static struct connection connections[DESCRIPTORS]; /* by descriptor */
static int listener;

static struct io_uring_sqe *sqe_get(unsigned op, int fd)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

    if (sqe == NULL) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
        if (sqe == NULL)
            raw_die("io_uring_get_sqe");
    }
    io_uring_sqe_set_data64(sqe, (uint64_t)op << 32 | (uint32_t)fd); /* what prepares it leaves that alone */
    return sqe;
}

static void accept_arm(void)
{
    struct io_uring_sqe *sqe = sqe_get(OP_ACCEPT, listener);

    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
}

/* POLL_FIRST: a request is seldom there yet. */
static void recv_arm(int fd)
{
    struct io_uring_sqe *sqe = sqe_get(OP_RECV, fd);

    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

static void send_all(int fd, const void *data, size_t len, int more)
{
    struct io_uring_sqe *sqe = sqe_get(OP_SEND, fd);

    io_uring_prep_send(sqe, fd, data, len, MSG_NOSIGNAL | MSG_WAITALL | more);
}

static void buffer_add(unsigned id)
{
    io_uring_buf_ring_add(buffer_ring, arena + (size_t)id * BUFFER_BYTES, BUFFER_BYTES, (unsigned short)id, io_uring_buf_ring_mask(BUFFERS),
                          (int)returned++);
}

static void on_bytes(int fd, const uint8_t *data, size_t len)
{
    struct connection *connection = &connections[fd];

    switch (connection->step) {
    case REQUEST:
        for (size_t i = len < 4 ? 0 : len - 4; i < len; i++)
            connection->last = connection->last << 8 | data[i];
        if (connection->last != END_OF_HEAD)
            break;
        send_all(fd, answer, sizeof answer - 1, 0);
        connection->step = OPEN;
        break;
    case OPEN:
        connection->received += (unsigned)len;
        if (connection->received < CLOSE_BYTES)
            break;
        send_all(fd, close_frame, sizeof close_frame, MSG_MORE); /* the FIN goes with it: see on_send */
        connection->step = CLOSING;
        break;
    default:
        break;
    }
}

static void on_recv(int fd, const struct io_uring_cqe *cqe)
{
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

        if (cqe->res > 0)
            on_bytes(fd, arena + (size_t)id * BUFFER_BYTES, (size_t)cqe->res);
        buffer_add(id);
    }
    if (cqe->flags & IORING_CQE_F_MORE)
        return;
    if (cqe->res > 0 || cqe->res == -ENOBUFS)
        recv_arm(fd);
    else
        close(fd);
}

static void on_send(int fd, const struct io_uring_cqe *cqe)
{
    if (cqe->res >= 0 && connections[fd].step == CLOSING)
        shutdown(fd, SHUT_WR);
}

static void on_accept(const struct io_uring_cqe *cqe)
{
    if ((cqe->flags & IORING_CQE_F_MORE) == 0)
        accept_arm();
    if (cqe->res < 0)
        return;
    if (cqe->res >= DESCRIPTORS) {
        close(cqe->res);
        return;
    }
    connections[cqe->res] = (struct connection){REQUEST, 0, 0};
    recv_arm(cqe->res);
}

static void reap(void)
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;

    io_uring_for_each_cqe(&ring, head, cqe) {
        uint64_t tag = io_uring_cqe_get_data64(cqe);
        int fd = (int)(uint32_t)tag;

        switch (tag >> 32) {
        case OP_ACCEPT: on_accept(cqe); break;
        case OP_RECV: on_recv(fd, cqe); break;
        default: on_send(fd, cqe); break;
        }
        n++;
    }
    io_uring_cq_advance(&ring, n);
}

static void *map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (memory == MAP_FAILED)
        raw_die("mmap");
    return memory;
}

static void ring_set_up(void)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = CQ_ENTRIES,
    };
    struct io_uring_buf_reg registration = {.ring_entries = BUFFERS, .bgid = BUFFER_GROUP};

    errno = -io_uring_queue_init_params(SQ_ENTRIES, &ring, &params);
    if (errno != 0)
        raw_die("io_uring_queue_init");
    io_uring_register_ring_fd(&ring);
    buffer_ring = map(BUFFERS * sizeof(struct io_uring_buf));
    arena = map((size_t)BUFFERS * BUFFER_BYTES);
    registration.ring_addr = (uint64_t)(uintptr_t)buffer_ring;
    errno = -io_uring_register_buf_ring(&ring, &registration, 0);
    if (errno != 0)
        raw_die("io_uring_register_buf_ring");
    io_uring_buf_ring_init(buffer_ring);
    for (unsigned i = 0; i < BUFFERS; i++)
        buffer_add(i);
    io_uring_buf_ring_advance(buffer_ring, (int)returned);
    returned = 0;
}

int main(int argc, char **argv)
{
    struct raw_options options = {.port = argc == 2 ? (unsigned)atoi(argv[1]) : 0};

    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\nAnswers upgrades and Closes of bench/upgrade_load, and nothing else.\n", argv[0]);
        return 2;
    }
    ring_set_up();
    listener = raw_listen(&options);
    accept_arm();
    for (;;) {
        int result = io_uring_submit_and_wait(&ring, 1);

        if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY) {
            errno = -result;
            raw_die("io_uring_submit_and_wait");
        }
        reap();
        if (returned > 0) {
            io_uring_buf_ring_advance(buffer_ring, (int)returned);
            returned = 0;
        }
    }
}
