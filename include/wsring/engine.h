/*
 * wsring/engine.h - the engine: connections over io_uring, and one call that fills an array of events.
 *
 *     wsr_engine_open; wsr_listen (server.h) and wsr_connect (client.h);
 *     for (;;) { n = wsr_poll(engine, ev, 64, -1); ... wsr_send(...) ... }
 *
 * A peer is not given up for its silence (wsr_limits.idle_timeout_ns, ping_timeout_ns) while its TCP goes on taking what waits
 * to be sent: behind that its answer comes late.
 *
 * One engine belongs to one thread: every call here is made on the thread that opened it, but wsr_wake. Engines share
 * nothing, so run one a core. In a child that a fork made an engine is of no use: it can exec, exit, or wsr_engine_close there what it
 * inherited, which the parent does not notice. (To become a daemon, fork first.) No callback is ever made (run.h is a layer of callbacks for those who like them). The
 * engine never exits, prints, reads the environment or blocks anywhere but in wsr_poll.
 *
 * What is sent between two polls leaves with the next wsr_poll or wsr_flush, many messages in one system call.
 */
#ifndef WSRING_ENGINE_H
#define WSRING_ENGINE_H

#include <wsring/endpoint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wsr_engine wsr_engine;

/* How wsr_poll waits when there is nothing to do. */
typedef enum wsr_wait_mode {
    WSR_WAIT_AUTO = 0,  /* as LATENCY while events come one by one and less than spin_ns apart, and there are cores; else as THROUGHPUT */
    WSR_WAIT_LATENCY,   /* looks for spin_ns, which takes a core, then blocks: saves the wake-up, tens of microseconds */
    WSR_WAIT_THROUGHPUT /* blocks at once; with wait_min_ns for longer, so that more is taken in at a time */
} wsr_wait_mode;

/* Zero means the default in brackets; every limit is finite. Begin with WSR_CONFIG_INIT. */
typedef struct wsr_config {
    size_t size;                     /* sizeof(wsr_config); WSR_CONFIG_INIT sets it */
    wsr_limits limits;               /* of each connection */
    uint32_t connections_max;        /* open at once, both roles [16384; at most 2^24 - 2] */
    uint32_t sq_entries, cq_entries; /* of the ring [256, 4096] */
    uint32_t buffers;                /* receive buffers, a power of two [16; 256 before kernel 6.12] */
    uint32_t buffer_bytes;           /* size of each, a power of two [65536; 16384 before kernel 6.12] */
    uint64_t batch_bytes_max;        /* assembled messages one poll may hold beyond the receive buffers [4 MiB]; no more than a 16th of memory_bytes_max */
    /*
     * Messages, outboxes and batches of all connections together, with what of that is kept for reuse, and what clients
     * and listeners keep of their configs [1 GiB]. Short of it they give
     * way in this order: from three quarters on, connections that hold memory are not read from; from seven eighths on, upgrades
     * are refused with 503; where something found no room (a send was refused with WSR_ENOMEM), or nothing has come back for a
     * second, the connection that holds most is closed with 1013 and WSR_ESHED, then the next. A connection whose own input finds
     * no room even so ends with 1011 and WSR_ENOMEM. The last sixteenth is for small chunks (4 KiB) alone: who holds little is
     * served on.
     */
    uint64_t memory_bytes_max;
    uint32_t ring_without;           /* kernel features not to use, for tests: bits of WSR_WITHOUT_* [0] */
    const char *kernels;             /* SIMD kernels by name [NULL: the best this CPU has] */
    const wsr_allocator *allocator;  /* [NULL: malloc]; must outlive the engine */
    wsr_wait_mode wait;              /* [AUTO] */
    uint64_t spin_ns;                /* how long it looks before it blocks [50 us; at most 10 s] */
    uint64_t wait_min_ns;            /* THROUGHPUT: waits this long for 64 completions; adds as much to every round trip [0; at most 1 s] */
    /*
     * A thread of the kernel's submits (IORING_SETUP_SQPOLL), so that sends need no system call: loses unless it has a core to
     * itself. It goes to sleep after sqpoll_idle_ms without work; sqpoll_cpu is the number of its core plus one.
     */
    bool sqpoll;                     /* [no] */
    uint32_t sqpoll_idle_ms;         /* [1000] */
    uint32_t sqpoll_cpu;             /* [0: any] */
    /*
     * Memory of the engine's own, mapped at its start: messages, outboxes and the table of connections come out of it, and of the
     * allocator only what finds no room there [0; at most 64 GiB]. How that and the receive buffers are mapped:
     */
    uint64_t reserve_bytes;
    bool prefault;                   /* all pages at once, so that none faults later [no] */
    bool lock_memory;                /* and never swapped: finite, and refused with WSR_EMEMLOCK beyond RLIMIT_MEMLOCK [no] */
    bool huge_pages;                 /* in pages of 2 MiB that the system has set aside, or WSR_EHUGEPAGES [no] */
    /*
     * Sends whose every buffer has at least so many bytes are not copied by the kernel (IORING_OP_SEND_ZC): it reads them where they are
     * until the peer has acknowledged them, and meanwhile they count in memory_bytes_max. Where memory is short, or the socket or
     * RLIMIT_MEMLOCK refuses, they are copied as ever. wsr_engine_close ends what is connected with a reset then, and may wait
     * seconds for one that ended before and whose peer acknowledges nothing. Over loopback, where the receiver has to copy in the
     * sender's stead, it costs more than it saves; on network cards it is reported to pay from about 3 KiB on: measure [0: never]
     */
    uint32_t zero_copy_bytes;
} wsr_config;

#define WSR_CONFIG_INIT WSR_SIZED(wsr_config)

enum { WSR_WITHOUT_INCREMENTAL = 1, WSR_WITHOUT_MULTISHOT = 2, WSR_WITHOUT_DEFER_TASKRUN = 4 };

/*
 * Opens an engine on this thread. config NULL: all defaults. Returns 0; WSR_ECONFIG; WSR_ENOMEM; WSR_EMEMLOCK, WSR_EHUGEPAGES
 * (only where asked for); WSR_ESYS (errno set);
 * WSR_EURING_SECCOMP, WSR_EURING_SYSCTL, WSR_EURING_MEMLOCK, WSR_EURING_KERNEL: io_uring is not to be had, and
 * wsr_error_text says what to do. *out is written only on success.
 */
WSR_API WSR_MUST_USE int wsr_engine_open(wsr_engine **out, const wsr_config *config);

/*
 * Why wsr_engine_open says WSR_ECONFIG to this config, in one line that names the field, without a full stop; NULL: it does not. Static
 * storage; any thread. For listeners and clients: wsr_listen_problem (server.h) and wsr_connect_problem (client.h).
 */
WSR_API const char *wsr_config_problem(const wsr_config *config);

/* Cuts what is still connected (no Close is sent: drain first), and frees everything. NULL is fine. */
WSR_API void wsr_engine_close(wsr_engine *engine);

/*
 * Submits what was sent, waits until there is at least one event, and writes up to cap of them to ev. It never waits to
 * fill the array. The slices of the events before become invalid at this call. timeout_ns: 0 does not wait (and makes no system
 * call if there is nothing to send or take, unless wsr_engine_fd is in use), -1 waits for ever; a signal does not end the wait (call wsr_wake in its handler). Returns the number of events, 0 after the time-out,
 * WSR_EINVAL (cap 0, timeout_ns below -1) or WSR_ESYS (errno says why; connections are as they were).
 * CLOSED comes exactly once and last for its connection, also after wsr_close and wsr_abort: free there, and only there.
 */
WSR_API WSR_MUST_USE int wsr_poll(wsr_engine *engine, wsr_event *ev, unsigned cap, int64_t timeout_ns);

/* Submits now what was sent since the last poll, without taking events: an order must not wait. Returns 0, WSR_ESYS. */
WSR_API WSR_MUST_USE int wsr_flush(wsr_engine *engine);

/*
 * A descriptor that is readable when wsr_poll has work, for epoll, libuv, asio, GLib. Then call wsr_poll with timeout 0
 * until it returns 0 (which also arms the engine's timers on the descriptor) before waiting on it again; after sends made
 * at other times call wsr_flush. Owned by the engine. WSR_ESYS if it cannot be had.
 */
WSR_API WSR_MUST_USE int wsr_engine_fd(wsr_engine *engine);

/* Makes a wsr_poll of any thread return with a WAKE event, now or at its next call. Any thread, until wsr_engine_close; async-signal-safe. */
WSR_API void wsr_wake(wsr_engine *engine);

/*
 * Queues a message (WSR_TEXT, WSR_BINARY; WSR_TEXT_PLAIN, WSR_BINARY_PLAIN: not compressed) or a control frame (WSR_PING,
 * WSR_PONG; at most 125 bytes). Copies the payload.
 * Returns 0, WSR_ESTALE, WSR_ESTATE (not open, or closing), WSR_EFULL (the outbox is at its limit: WRITABLE will come when
 * it is half empty), WSR_ETOOBIG, WSR_EINVAL, WSR_ENOMEM, WSR_ERANDOM. On an error nothing was queued.
 */
WSR_API WSR_MUST_USE int wsr_send(wsr_engine *engine, wsr_conn conn, wsr_opcode opcode, wsr_slice payload);

typedef struct wsr_out {
    wsr_conn conn;
    wsr_opcode opcode;
    wsr_slice payload;
} wsr_out;

/* wsr_send for each of n in order, up to the first that is refused; returns how many were accepted. */
WSR_API WSR_MUST_USE unsigned wsr_send_burst(wsr_engine *engine, const wsr_out *out, unsigned n);

/*
 * One message for many: a topic, a room, a snapshot for all who come. wsr_prepare makes it ready, once; wsr_send_prepared queues it to
 * one receiver, as wsr_send, any number of times until wsr_prepared_free, which may come before any of it was sent.
 *
 * Of a message of 1 KiB and more, all receivers of a server's together hold one copy, in its frame; each costs 64 bytes more, until it has
 * taken the message. wsr_limits.outbox_bytes_max counts it for each in full, wsr_config.memory_bytes_max once. A smaller one is
 * copied to each, which costs less. Compressed without context takeover it is compressed once for all who agreed on the same; with
 * takeover, and where this end is the client and masks, it is made for each. No receive buffer is held meanwhile: a receiver that
 * does not read keeps nobody from receiving.
 */
typedef struct wsr_prepared wsr_prepared;

/*
 * opcode: WSR_TEXT, WSR_BINARY, WSR_TEXT_PLAIN or WSR_BINARY_PLAIN. The payload is copied; but if it is all of a MESSAGE event's data, of
 * the present batch, that has memory of its own (messages of 64 KiB and more do), that memory is held instead of copied: the event
 * stays valid as long as it is, but its data must not be changed any more. Returns 0, WSR_EINVAL (opcode), WSR_ETOOBIG
 * (beyond outbox_bytes_max: nobody could be sent it), WSR_ENOMEM. *out is written only on success; it is the application's.
 */
WSR_API WSR_MUST_USE int wsr_prepare(wsr_engine *engine, wsr_opcode opcode, wsr_slice payload, wsr_prepared **out);

/* Queues it to a connection of the engine it was prepared on. Returns as wsr_send. */
WSR_API WSR_MUST_USE int wsr_send_prepared(wsr_engine *engine, wsr_conn conn, wsr_prepared *prepared);

/* Before wsr_engine_close; what was queued is sent all the same. NULL is fine. Allocates and blocks never. */
WSR_API void wsr_prepared_free(wsr_prepared *prepared);

/*
 * Passes the message of a MESSAGE event of the present batch on: an echo, a relay. As wsr_send, but a large payload is not
 * copied where that can be helped (sent by a server, neither compressed nor masked). If it returns 0 the event's data is the
 * application's no more; to send one message to several, wsr_prepare it. Also WSR_EINVAL for another event.
 */
WSR_API WSR_MUST_USE int wsr_forward(wsr_engine *engine, wsr_conn conn, const wsr_event *event);

/*
 * Sends a data message as fragments of at most fragment_bytes of payload each (RFC 6455 section 5.4); otherwise as
 * wsr_send. fragment_bytes 0 is WSR_EINVAL.
 */
WSR_API WSR_MUST_USE int wsr_send_fragmented(wsr_engine *engine, wsr_conn conn, wsr_opcode opcode, wsr_slice payload, size_t fragment_bytes);

/*
 * Begins the closing handshake, behind all messages accepted before. code: one that this role may send (wsr_close_may_send),
 * or 0 for a Close without a code; reason: UTF-8, at most WSR_CLOSE_REASON_MAX bytes. A client's connection that is not open yet
 * just ends; a server's can be refused (wsr_refuse) or aborted then. Returns 0, WSR_ESTALE, WSR_ESTATE (closing already; a server's that is not open), WSR_EBADCODE, WSR_EBADUTF8,
 * WSR_ETOOBIG, WSR_ENOMEM. The macro notes the caller's place for the record.
 */
WSR_API WSR_MUST_USE int wsr_close_at(wsr_engine *engine, wsr_conn conn, uint16_t code, wsr_slice reason, const char *file, int line);
#define wsr_close(engine, conn, ...) wsr_close_at((engine), (conn), __VA_ARGS__, __FILE__, __LINE__) /* code, reason */

/* Ends the connection at once, without a Close: the peer sees a reset. CLOSED follows. Returns 0, WSR_ESTALE. */
WSR_API WSR_MUST_USE int wsr_abort_at(wsr_engine *engine, wsr_conn conn, const char *file, int line);
#define wsr_abort(engine, conn) wsr_abort_at((engine), (conn), __FILE__, __LINE__)

/*
 * Stops reading from a connection, so that TCP stops its peer. Events of the current batch stay; at most the bytes the
 * kernel has handed over already are held. No idle or ping deadline runs meanwhile. What is not read is not seen: the
 * peer's Close, its answer to ours (close_timeout_ns runs), the end of its stream; nor, before OPEN, its handshake, whose deadline
 * runs too. Returns 0, WSR_ESTALE.
 */
WSR_API WSR_MUST_USE int wsr_pause_read(wsr_engine *engine, wsr_conn conn);
WSR_API WSR_MUST_USE int wsr_resume_read(wsr_engine *engine, wsr_conn conn);

/*
 * Asks for a WRITABLE event although nothing was refused: when at most outbox_bytes wait (wsr_outbox_bytes), but no sooner than
 * the outbox is half empty; now, if that is so. For who stops reading from one connection because another is behind, and has to
 * know when to go on: what is under way when he stops, the rest of a batch, then needs room between the two.
 * Returns 0, WSR_ESTALE, WSR_ESTATE (not open, or closing). Nothing comes of it when the connection is lost first.
 */
WSR_API WSR_MUST_USE int wsr_want_writable(wsr_engine *engine, wsr_conn conn, size_t outbox_bytes);

/* A pointer of the application's, given back in every event. Returns 0, WSR_ESTALE. */
WSR_API WSR_MUST_USE int wsr_set_user(wsr_engine *engine, wsr_conn conn, void *user);
/* NULL for a stale id. */
WSR_API void *wsr_user(const wsr_engine *engine, wsr_conn conn);

/*
 * Pings now what limits.ping_interval_ns of silence would have it ping later, to measure the round trip on a busy connection
 * too; wsr_limits.ping_timeout_ns goes for this ping as well. Returns 0, WSR_ESTALE, WSR_ESTATE, WSR_ENOMEM, WSR_ERANDOM.
 */
WSR_API WSR_MUST_USE int wsr_ping(wsr_engine *engine, wsr_conn conn);

/*
 * The round trip as the last answered ping of the library's own measured it: from its send operation to the poll that took
 * its pong in, so the application's own pace is in it. 0: none was answered yet, or a stale id.
 */
WSR_API uint64_t wsr_round_trip_ns(const wsr_engine *engine, wsr_conn conn);

/* Bytes accepted and not yet taken by the kernel; 0 for a stale id. */
WSR_API size_t wsr_outbox_bytes(const wsr_engine *engine, wsr_conn conn);

/*
 * "127.0.0.1:5000" or "[::1]:5000" ("?" of a unix socket) into text, NUL-terminated; 64 bytes are always enough. With CLOSED it is
 * too late to ask. Returns 0, WSR_ESTALE, WSR_ESTATE (a client that is not connected now), WSR_ESYS.
 */
WSR_API WSR_MUST_USE int wsr_peer_address(const wsr_engine *engine, wsr_conn conn, char *text, size_t cap);
WSR_API WSR_MUST_USE int wsr_local_address(const wsr_engine *engine, wsr_conn conn, char *text, size_t cap);

/* What TLS agreed on. Returns 0, WSR_ESTALE, WSR_ESTATE (no TLS, or its handshake is not done). */
struct wsr_tls_info;
WSR_API WSR_MUST_USE int wsr_connection_tls(const wsr_engine *engine, wsr_conn conn, struct wsr_tls_info *info);

/*
 * Bytes of user space that the connection holds now: its slot in the table, what was received and not delivered, what was accepted
 * and not taken by the kernel (its share of what several hold, wsr_prepare), compression's state, what a client comes back by, and with
 * TLS this end's buffers (OpenSSL's own memory is not in it). What all share (receive buffers, the pool's free chunks) is not in it.
 * A connection that has spoken and is silent holds no buffer: 256 at most of a server over plain TCP; at most 128 more where messages
 * are compressed without history (with one: wsr_deflate), and 256 more over TLS. 0 for a stale id.
 */
WSR_API size_t wsr_connection_memory_bytes(const wsr_engine *engine, wsr_conn conn);

/* What has happened since the engine was opened. */
typedef struct wsr_engine_statistics {
    uint64_t accepted, connected, closed; /* connections */
    uint64_t open;                        /* connections now, of any state */
    uint64_t handshakes_failed;
    uint64_t messages_in, messages_out, bytes_in, bytes_out; /* as in wsr_close_record, of connections closed and open */
    uint64_t messages_undelivered, messages_unconfirmed;     /* of closed connections */
    uint64_t polls, enters;               /* wsr_poll calls; system calls into the ring */
    uint64_t starved;                     /* receives that found no buffer free */
    uint64_t accepts_shed;                /* connections refused for want of descriptors or slots */
    uint64_t stale_completions;           /* completions of connections already gone, recognised and dropped */
    uint64_t memory_bytes;                /* held now: ring, table, and all that memory_bytes_max limits */
    uint64_t allocations;                 /* calls of the pool to the allocator, ever */
    uint64_t reads_held, upgrades_refused, connections_shed; /* for want of memory: wsr_config.memory_bytes_max */
    uint64_t zero_copy_sends, zero_copy_refused; /* wsr_config.zero_copy_bytes; of these it was a connection's last, and copied after all */
} wsr_engine_statistics;

/* statistics->size is not needed: the structure only grows at its end, and size says how much of it to write. */
WSR_API void wsr_engine_stats(const wsr_engine *engine, wsr_engine_statistics *statistics, size_t size);

/*
 * About what an engine with this config will map and allocate at its start, and the most it may hold, in bytes; the default
 * buffers take 3 MiB more on a kernel before 6.12. OpenSSL's own memory is not in it, nor are the buffers of receive stamps, 4 MiB by
 * default once they are asked for (socket.h). config NULL: all defaults. Returns 0, WSR_ECONFIG. Any thread.
 */
WSR_API WSR_MUST_USE int wsr_engine_memory_bytes(const wsr_config *config, uint64_t *fixed, uint64_t *max);

#ifdef __cplusplus
}
#endif

#endif
