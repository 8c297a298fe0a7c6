/*
 * wsring/endpoint.h - one end of one WebSocket connection without any input or output: bytes in, events and bytes out.
 *
 * For any transport: a socket of your own, DPDK, an in-kernel bypass, a simulator, a test. It never reads a clock, opens
 * a socket or starts a thread; time and randomness are arguments. What it is not: a loop (engine.h is one on io_uring).
 *
 *     feed    what the transport received -> events
 *     drain   what the transport should send; sent says how much of it the transport took
 *     deadline, tick   when the endpoint wants to be called although nothing came
 *     eof     the transport ended
 *
 * An endpoint belongs to one thread at a time; different endpoints are independent.
 */
#ifndef WSRING_ENDPOINT_H
#define WSRING_ENDPOINT_H

#include <wsring/event.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wsr_endpoint wsr_endpoint;

/* Limits of one connection. Zero means the default in brackets; every limit is finite. */
typedef struct wsr_limits {
    uint64_t message_bytes_max;       /* a received message's payload, all fragments together [16 MiB] */
    /*
     * A received message of more payload than this is not assembled: it is delivered in CHUNK events as its bytes come, and
     * costs no memory but what had come before it was known to be larger, at most this [message_bytes_max: all are whole].
     * 1: nearly all are streamed. message_bytes_max holds for streamed messages too.
     */
    uint64_t whole_bytes_max;
    uint64_t outbox_bytes_max;        /* accepted and not yet sent, control frames exempt; a message that finds an empty outbox is always accepted up to this [16 MiB] */
    uint32_t header_bytes_max;        /* a handshake's whole head; its first line: half of it [16384] */
    uint32_t headers_max;             /* its header lines [64; at most 128] */
    uint32_t empty_fragments_max;     /* in one message [1024] */
    uint32_t control_frames_max;      /* pings and pongs received in a row without a data frame between [65536] */
    uint64_t handshake_timeout_ns;    /* from the transport's opening to OPEN [10 s] */
    uint64_t close_timeout_ns;        /* from our Close to the peer's, and then to the end of the stream [5 s]; 250 ms for a peer taken for dead */
    uint64_t idle_timeout_ns;         /* nothing received while open, where pings are on in spite of one [120 s] */
    uint64_t ping_interval_ns;        /* of silence before a ping is sent [0: no pings; the default of an engine is idle_timeout_ns / 3] */
    uint64_t ping_timeout_ns;         /* nothing received after that ping: the peer is dead, WSR_ETIMEOUT_PING [idle_timeout_ns] */
} wsr_limits;

/*
 * permessage-deflate (RFC 7692): what a client offers and a server agrees to. All zero: off. Zero means the default in
 * brackets. limits.message_bytes_max and whole_bytes_max hold for a message inflated; the first cuts it while it is, and what
 * is streamed comes in chunks of no more than about a MiB.
 *
 * Takeover: a message may refer back to those before it. It makes small messages that resemble each other two to three times
 * smaller, and takes memory for as long as the connection lasts, from its first message on: to send 81 KiB (with a level
 * 2^(send_window_bits + 3) bytes and 6 KiB), to receive 2^receive_window_bits bytes and 7 KiB. Without it, connections of
 * an engine share one compressor, and hold memory only while part of a message has come.
 */
typedef struct wsr_deflate {
    bool on;
    bool send_takeover;           /* as far as the peer agrees */
    bool receive_takeover;        /* likewise; if not set, the peer is told not to */
    uint8_t level;                /* [0: fast, by fixed codes]; 1 to 9: smaller, at 6 to 50 times the time, as zlib's levels */
    uint8_t send_window_bits;     /* 8 to 15: a message refers back 2^this bytes at most; the peer may ask for less [15] */
    uint8_t receive_window_bits;  /* likewise, asked of the peer [15] */
    uint32_t threshold_bytes;     /* messages smaller than this are sent as they are [128] */
} wsr_deflate;

typedef struct wsr_endpoint_config {
    size_t size;         /* sizeof(wsr_endpoint_config): WSR_ENDPOINT_CONFIG_INIT sets it */
    wsr_role role;
    wsr_limits limits;
    const wsr_allocator *allocator; /* NULL: malloc; kept, must outlive the endpoint */
    /*
     * Fills out with n secure random bytes (masking keys, a client's handshake key; RFC 6455 section 5.3). Returns 0, or
     * anything else on failure. NULL: the library's own (OpenSSL).
     */
    int (*random)(void *context, uint8_t *out, size_t n);
    void *random_context;
    const char *kernels; /* "scalar", "avx2" ...: which SIMD kernels; NULL: the best this CPU has */
    /* client */
    const char *host;    /* the Host header; required for a client */
    const char *target;  /* "/chat?x=1"; NULL: "/" */
    const char *subprotocols; /* offered: "chat, v2.chat"; server: those it speaks, best first; NULL: none */
    const char *headers; /* client: further header lines, each ended by CR LF; NULL: none */
    /* server */
    bool manual;         /* report REQUEST and wait for wsr_endpoint_accept or wsr_endpoint_refuse */
    const char *origins; /* those let in, as wsr_listen_config has it; NULL: any */
    const char *paths;   /* those served, likewise; NULL: any */
    void *user;          /* goes into every event */
    wsr_deflate deflate; /* either role: permessage-deflate [off] */
} wsr_endpoint_config;

#define WSR_ENDPOINT_CONFIG_INIT WSR_SIZED(wsr_endpoint_config)

/*
 * Opens an endpoint whose transport has just been connected at now_ns (any monotonic clock, in nanoseconds). The config
 * is read, not kept, but for what it says is kept. A client has its request ready to drain at once.
 * Returns 0, WSR_ECONFIG, WSR_ENOMEM or WSR_ERANDOM; *out is written only on success. Free with wsr_endpoint_free.
 */
WSR_API WSR_MUST_USE int wsr_endpoint_open(wsr_endpoint **out, const wsr_endpoint_config *config, uint64_t now_ns);
WSR_API void wsr_endpoint_free(wsr_endpoint *endpoint); /* NULL is fine */

/*
 * Takes in bytes received at now_ns and writes up to cap events to ev, *n of them. in is unmasked in place; events point
 * into it, so it must stay until the next feed. *consumed < in.len if the events ran out of room (or of the 1 MiB that
 * assembled messages of one call may take beyond the first), if the answer to a REQUEST is awaited, or if a Close follows
 * messages of this feed (it waits until they were seen and perhaps answered): feed the rest again, in the same memory,
 * before anything newer. Invalid input is not an error of this call: the endpoint fails the connection by itself (RFC 6455
 * section 7.1.7) and says so in CLOSED.
 * Returns 0, or WSR_EINVAL (cap 0). May allocate.
 */
WSR_API WSR_MUST_USE int wsr_endpoint_feed(wsr_endpoint *endpoint, uint64_t now_ns, wsr_span in, wsr_event *ev, unsigned cap, unsigned *n,
                                           size_t *consumed);

/*
 * What is to be sent now, up to cap slices, in order. They stay valid, and the same, until wsr_endpoint_sent has taken
 * them; draining again before that gives the same ones (less what was sent). Returns how many; 0: nothing.
 */
WSR_API unsigned wsr_endpoint_drain(wsr_endpoint *endpoint, wsr_slice *out, unsigned cap);

/* The transport took the first `bytes` of what was drained. May make room (WRITABLE comes with the next feed or tick). */
WSR_API void wsr_endpoint_sent(wsr_endpoint *endpoint, uint64_t now_ns, size_t bytes);

/* When to call wsr_endpoint_tick at the latest, in the clock of now_ns; 0: an event waits; UINT64_MAX: not needed. */
WSR_API uint64_t wsr_endpoint_deadline(const wsr_endpoint *endpoint);

/* Lets time pass: fires what is due at now_ns, and reports events that feed had no room for. Returns as feed. */
WSR_API WSR_MUST_USE int wsr_endpoint_tick(wsr_endpoint *endpoint, uint64_t now_ns, wsr_event *ev, unsigned cap, unsigned *n);

/*
 * The transport's receiving side ended: sys_errno 0 for an orderly end of stream, else why it broke. Gives CLOSED, unless
 * there is still a Close to be sent: then go on draining, and CLOSED comes with a later tick, at the latest at the deadline.
 */
WSR_API WSR_MUST_USE int wsr_endpoint_eof(wsr_endpoint *endpoint, uint64_t now_ns, int sys_errno, wsr_event *ev, unsigned cap, unsigned *n);

/* True when the endpoint wants the transport's sending side shut down, all it had to send being sent. */
WSR_API bool wsr_endpoint_wants_shutdown(const wsr_endpoint *endpoint);

/*
 * Queues a message (WSR_TEXT, WSR_BINARY; WSR_TEXT_PLAIN, WSR_BINARY_PLAIN: not compressed) or a control frame (WSR_PING,
 * WSR_PONG; at most 125 bytes); copies the payload.
 * Control frames go before messages not yet drained. While what was drained is not sent, one ping and one pong wait, the
 * newest of each.
 * Returns 0, WSR_ESTATE (not open, or closing), WSR_EFULL, WSR_ETOOBIG, WSR_EINVAL, WSR_ENOMEM, WSR_ERANDOM. On an error
 * nothing was queued. Text is not checked to be UTF-8: the peer will.
 */
WSR_API WSR_MUST_USE int wsr_endpoint_send(wsr_endpoint *endpoint, wsr_opcode opcode, wsr_slice payload);

/* See wsr_want_writable; WRITABLE comes with the next feed or tick. Returns 0, WSR_ESTATE (not open, or closing). */
WSR_API WSR_MUST_USE int wsr_endpoint_want_writable(wsr_endpoint *endpoint, size_t outbox_bytes);

/*
 * Begins the closing handshake behind all that was accepted before. code: one that may be sent, or 0 / 1005 for none;
 * reason: UTF-8, at most 123 bytes, empty without a code. Returns 0, WSR_ESTATE (closing already), WSR_EBADCODE,
 * WSR_EBADUTF8, WSR_ETOOBIG, WSR_ENOMEM.
 */
WSR_API WSR_MUST_USE int wsr_endpoint_close(wsr_endpoint *endpoint, uint64_t now_ns, uint16_t code, wsr_slice reason);

/* Answers a REQUEST. subprotocol: one of those offered, or NULL. headers: further lines, each ended by CR LF, or NULL. */
WSR_API WSR_MUST_USE int wsr_endpoint_accept(wsr_endpoint *endpoint, uint64_t now_ns, const char *subprotocol, const char *headers);
/* status: 300 to 599. headers as above. body may be empty. The connection then ends; CLOSED reports the status. */
WSR_API WSR_MUST_USE int wsr_endpoint_refuse(wsr_endpoint *endpoint, uint64_t now_ns, unsigned status, const char *headers, wsr_slice body);

/*
 * Pings now what silence would have it ping later, to measure the round trip on a busy connection too. The answers to an
 * endpoint's own pings are not reported as PONG. Returns 0, WSR_ESTATE (not open, or closing), WSR_ENOMEM, WSR_ERANDOM.
 */
WSR_API WSR_MUST_USE int wsr_endpoint_ping(wsr_endpoint *endpoint, uint64_t now_ns);

/* From the last such ping that was answered to its answer: from the now_ns it was queued at to that of the feed; 0: none yet. */
WSR_API uint64_t wsr_endpoint_round_trip_ns(const wsr_endpoint *endpoint);

/* Bytes accepted and not yet taken by the transport. */
WSR_API size_t wsr_endpoint_outbox_bytes(const wsr_endpoint *endpoint);

#ifdef __cplusplus
}
#endif

#endif
