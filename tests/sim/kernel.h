/*
 * tests/sim/kernel.h - the insides of the simulated host, for the files of tests/sim alone.
 *
 *   world.c      seed, clock, events to come, injected failures, violations
 *   stream.c     descriptors, connections and their bytes
 *   ops.c        operations: submitted, armed, woken, completed    tries.c  what each does in its turn
 *   buffers.c    the buffer rings                            recvmsg.c  what a recvmsg lays before its bytes
 *   fake_uring.c entering, work, completions                     fake_setup.c  opening and registering
 *   fake_sys.c   ring/sys.h        fake_resolve.c  ring/resolve.h        peer.c  scripted peers
 */
#ifndef TESTS_SIM_KERNEL_H
#define TESTS_SIM_KERNEL_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "ring/compat.h"
#include "ring/sys.h"
#include "sim/sim.h"

#define SIM_FD_BASE 1000 /* no real descriptor is this high here: mixing them up shows */
#define SIM_FDS 65000
#define SIM_SLICES_MAX 16u

struct sim_ring;
struct sim_op;

enum sim_kind { SIM_FILE_SOCKET = 1, SIM_FILE_LISTENER, SIM_FILE_EVENT, SIM_FILE_RESERVE, SIM_FILE_RING };

/* One end of a connection. The bytes are those on their way to it. */
struct sim_side {
    struct sim_link *link;
    struct sim_file *file; /* the socket; NULL while in a backlog, or a scripted peer's */
    uint8_t *bytes;        /* a ring of link->cap bytes */
    uint64_t written, arrived, read; /* stream offsets: put in by the other end, here, taken */
    uint64_t arrived_at_ns; /* the newest of what arrived */
    uint64_t last_at;      /* nothing that is sent arrives before what was sent earlier */
    bool fin_sent, fin_arrived;
    int reset;             /* errno that the next operation gets, once */
    bool dead;             /* reset has arrived */
    bool shut;             /* this end writes no more */
    bool holds;            /* the last bytes that this end has written wait for what follows (MSG_MORE) */
    bool gone;             /* its owner has closed it */
    union wsr_address address;
    struct sim_side *next; /* in a backlog */
};

struct sim_link {
    struct sim_side sides[2]; /* who connected; who accepts */
    unsigned refs;            /* ends not gone, and events to come */
    uint32_t cap;
    struct sim_link *next; /* free list */
};

struct sim_file {
    enum sim_kind kind;
    int fd; /* -1 once closed */
    unsigned armed;      /* operations that hold it */
    struct sim_op *ops;  /* those */
    struct sim_side *side;
    unsigned sends;
    union wsr_address local; /* a listener's, or an unconnected socket's family */
    bool reuse_port;
    bool stamps; /* SO_TIMESTAMPING */
    unsigned backlog_n, backlog_max;
    struct sim_side *backlog_first, *backlog_last;
    uint64_t count; /* an eventfd's */
    struct sim_ring *ring;
    struct sim_file *next; /* free list */
    struct sim_file *next_all, *prev_all; /* listeners */
};

enum sim_state {
    SIM_WAITING,   /* armed; woken by its file */
    SIM_SCHEDULED, /* an event will queue it */
    SIM_QUEUED,    /* in the ring's work list */
    SIM_ENDING     /* its last completion is decided (res, cflags) and on its way */
};

struct sim_op {
    struct sim_ring *ring;
    struct sim_file *file;
    uint64_t user_data;
    uint32_t generation; /* an event of an earlier life, or state, is recognised by it */
    uint8_t opcode;
    enum sim_state state;
    bool queued; /* is in the work list, whatever its state */
    bool more; /* MSG_MORE */
    bool multishot, wait_all, select, connected;
    uint32_t len;
    uint32_t control_bytes; /* of a recvmsg */
    uint8_t group;          /* of the buffers that a receive takes */
    unsigned slices_n;
    struct iovec slices[SIM_SLICES_MAX];
    uint64_t total, done, checksum;
    uint64_t cancel_target;
    uint32_t cancel_flags;
    union wsr_address address;
    int32_t res;
    uint32_t cflags;
    struct sim_op *file_next, *file_prev;
    struct sim_op *ring_next, *ring_prev;
};

static inline bool sim_is_zero_copy(const struct sim_op *op)
{
    return op->opcode == IORING_OP_SEND_ZC || op->opcode == IORING_OP_SENDMSG_ZC;
}

static inline bool sim_is_send(const struct sim_op *op)
{
    return op->opcode == IORING_OP_SEND || op->opcode == IORING_OP_SENDMSG || sim_is_zero_copy(op);
}

struct sim_overflow {
    uint64_t user_data;
    int32_t res;
    uint32_t flags;
};

struct sim_buffer {
    uint64_t addr;
    uint32_t len, filled;
    bool known, kernels;
};

#define SIM_GROUPS 2u

/* A buffer ring. The numbers of a group's buffers follow those of the group before: completions do not name the group. */
struct sim_buffer_group {
    struct io_uring_buf_ring *shared; /* NULL: none is registered */
    unsigned entries, first;
    uint16_t head, seen; /* next to fill; how far the tail was looked at */
    bool incremental;
    struct sim_buffer *buffers;
};

struct sim_ring {
    struct io_uring *io;
    struct sim_file *file;
    unsigned index; /* for traces */
    bool enabled, restricted;
    uint64_t operations_allowed; /* bits by opcode, if restricted */
    uint8_t flags_allowed;
    void *memory;
    struct sim_file *event; /* registered eventfd */
    struct sim_op *ops;
    unsigned ops_n;
    struct sim_op **work;
    unsigned work_n, work_cap;
    struct sim_overflow *overflow;
    unsigned overflow_first, overflow_n, overflow_cap;
    struct sim_buffer_group groups[SIM_GROUPS];
    struct sim_ring *next;
};

enum sim_event_type {
    SIM_EVENT_ARRIVE, SIM_EVENT_FIN, SIM_EVENT_RESET, SIM_EVENT_BACKLOG, SIM_EVENT_ROOM, /* who: a side */
    SIM_EVENT_OP,                                                                         /* who: an op */
    SIM_EVENT_NAME                                                                        /* who: a question */
};

/* world.c */
struct sim_world {
    uint64_t seed, random, now_ns, digest;
    struct sim_file *fds[SIM_FDS];
    int fds_n, fd_lowest, fd_highest;
    struct sim_file *listeners;
    struct sim_ring *rings;
    unsigned rings_n, maps_n;
    unsigned busy_rings; /* with work waiting */
    uint16_t port_next;
    uint64_t calls[SIM_CALLS];
};
extern struct sim_world sim_world;

void sim_event(enum sim_event_type type, uint64_t at_ns, void *who, uint64_t argument);
bool sim_event_next(uint64_t *at_ns);
void sim_run_due(void);        /* lets happen what is due by now */
void sim_run_until(uint64_t at_ns); /* moves the clock there, letting happen what is on the way */
int sim_injected(enum sim_call call); /* counts it; the errno it must fail with, or 0 */
uint64_t sim_up_to(uint64_t max_ns);  /* 0 to max, inclusive */
void sim_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t sim_mix(uint64_t value);

/* stream.c */
struct sim_file *sim_file_new(enum sim_kind kind); /* NULL: EMFILE */
struct sim_file *sim_file_of(int fd);              /* NULL: not open */
void sim_file_close(struct sim_file *file);
void sim_file_unarm(struct sim_file *file);        /* one operation less holds it */
struct sim_file *sim_listener_on(uint16_t port);
void sim_stream_reset_all(void);
struct sim_side *sim_connect(struct sim_file *listener, const union wsr_address *to, uint64_t *connected_at_ns);
struct sim_file *sim_accept(struct sim_file *listener); /* NULL: nobody waits */
struct sim_side *sim_backlog_take(struct sim_file *listener);
struct sim_side *sim_other(struct sim_side *side);
bool sim_readable(const struct sim_side *side);
bool sim_writable(struct sim_side *side);
size_t sim_write(struct sim_side *side, const uint8_t *bytes, size_t len, bool more); /* how many fitted; more: they may wait for what follows */
size_t sim_read(struct sim_side *side, uint8_t *bytes, size_t len);
int sim_take_error(struct sim_side *side); /* a reset not told yet: its errno; else 0 */
void sim_side_shut(struct sim_side *side);
void sim_side_close(struct sim_side *side, bool reset);
void sim_side_event(enum sim_event_type type, struct sim_side *side, uint64_t argument);

/* fake_resolve.c */
void sim_name_event(void *who, uint64_t generation);
void sim_names_reset_all(void);
uint64_t sim_place_of(const union wsr_address *address, int *error); /* its delay; *error as told, else untouched */

/* ops.c */
void sim_op_submit(struct sim_ring *ring, const struct io_uring_sqe *sqe);
void sim_op_event(struct sim_op *op, uint64_t generation);
void sim_op_run(struct sim_op *op);         /* its turn in the work list */
void sim_file_wake(struct sim_file *file);  /* something changed: look again */
void sim_op_drop_all(struct sim_ring *ring); /* reset: no completion */
void sim_ops_reset_all(void);
void sim_op_end(struct sim_op *op, int32_t res, uint32_t cflags); /* its last completion; op is gone */
void sim_op_end_later(struct sim_op *op, int32_t res, uint32_t cflags, uint64_t delay_ns); /* decided, but told later */
bool sim_op_ready(const struct sim_op *op);
void sim_op_arm(struct sim_op *op); /* waits for its file, or has its next turn if that is ready */

/* tries.c */
void sim_op_try(struct sim_op *op);

/* buffers.c */
int sim_buffers_register(struct sim_ring *ring, const struct io_uring_buf_reg *reg);
uint8_t *sim_buffers_pick(struct sim_ring *ring, unsigned group, uint32_t *len, unsigned *buffer); /* NULL: none */
bool sim_buffers_commit(struct sim_ring *ring, unsigned group, uint32_t len);                      /* true: the kernel keeps the rest */
void sim_buffers_look(struct sim_ring *ring);                                       /* checks what was given back */

/* recvmsg.c */
uint32_t sim_recvmsg_head(const struct sim_op *op); /* bytes before those received; 0: op is a plain receive */
void sim_recvmsg_write(const struct sim_op *op, uint8_t *head, uint32_t payload_len);

/* fake_uring.c, fake_setup.c */
struct sim_ring *sim_ring_of(const struct io_uring *io);
bool sim_post(struct sim_ring *ring, uint64_t user_data, int32_t res, uint32_t flags); /* false: no room */
void sim_post_last(struct sim_ring *ring, uint64_t user_data, int32_t res, uint32_t flags);
void sim_work_add(struct sim_op *op);
void sim_event_signal(struct sim_file *event);
void sim_rings_reset_all(void);
void sim_maps_reset_all(void);
void sim_peers_reset_all(void);
void sim_unmapped(const void *ptr, size_t bytes);

#endif
