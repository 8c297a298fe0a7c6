/*
 * tests/lib/talk.h - one end of a connection through the public interface of endpoint.h, past its handshake, for tests and
 * fuzzers: what it reports is written down as text, a line an event, and what it sends as bytes, so that two runs can be
 * compared. Time is a number, random bytes are a counter, memory is counted and may fail. No cmocka here.
 *
 * Lines: "text Hello", "binary \x00\xff", "late text Hello" after our Close, "ping", "pong x", "writable", "open", and the
 * last, "closed CODE CAUSE by WHOM", with all of the record behind it. A payload of more than 200 bytes is its length and a sum.
 * A message that comes in chunks has its line with the last of them: the same line that it would have had as a whole.
 */
#ifndef TESTS_LIB_TALK_H
#define TESTS_LIB_TALK_H

#include <wsring/endpoint.h>

#include "lib/vectors.h"

#define TALK_SECOND_NS UINT64_C(1000000000)
#define TALK_EVENTS_MAX 64u

/* An allocator that counts; fail_at is the number of the call that fails, from 1, or 0 for none; fail_from likewise, and all after. */
struct talk_heap {
    size_t bytes, peak_bytes;
    unsigned long calls, fail_at, fail_from;
    wsr_allocator allocator;
};

/* Zero it, set what is to be other than zero, then open. */
struct talk {
    wsr_endpoint *ep;
    wsr_role role;
    unsigned cap;                 /* events a call, at most TALK_EVENTS_MAX, which 0 stands for */
    bool blocked;                 /* the transport takes nothing */
    bool no_random;               /* there are no random bytes */
    const char *extensions;       /* what the peer says of them in the handshake; NULL: nothing */
    uint64_t now_ns;
    uint32_t random_counter;
    struct talk_heap heap;
    struct vectors_bytes seen;    /* events, a line each */
    struct vectors_bytes sent;    /* what the transport took since the handshake */
    bool is_open, is_closed;
    wsr_close_record record;      /* once is_closed */
    unsigned long events;
    struct vectors_bytes chunks;  /* of a message whose last has not come */
    unsigned long chunks_n;       /* CHUNK events, ever */
    unsigned long deflated_n;     /* messages that came compressed */
    uint8_t chunk_opcode;         /* not 0: between the first and the last */
};

/*
 * Opens with config (whose role, allocator and random are talk's own) and does the handshake. Returns as wsr_endpoint_open;
 * without memory it may also come back with is_open false, and perhaps is_closed true.
 */
int talk_open(struct talk *talk, const wsr_endpoint_config *config);
/* The same without the handshake; and the handshake alone. */
int talk_open_only(struct talk *talk, const wsr_endpoint_config *config);
void talk_handshake(struct talk *talk);
/* Frees all; returns false if anything of it was still allocated after that. */
bool talk_free(struct talk *talk);

/* Feeds a copy of the bytes that ends where they end and is gone after, until it is consumed. */
void talk_feed(struct talk *talk, const uint8_t *p, size_t len);
/* Likewise in pieces of at most `piece` bytes. */
void talk_feed_pieces(struct talk *talk, const uint8_t *p, size_t len, size_t piece);
void talk_tick(struct talk *talk);
void talk_eof(struct talk *talk, int sys_errno);
/* The transport takes all there is, or up to that many bytes; returns how many it took. */
size_t talk_flush(struct talk *talk);
size_t talk_take(struct talk *talk, size_t bytes);

/* One frame as the peer of this role has to write it. */
void talk_frame(struct vectors_bytes *out, wsr_role role, uint8_t first, const void *payload, size_t len);

/*
 * Whole frames, one a line, unmasked: "text Hello", "text... Hel" without FIN, "deflated text (...)" with RSV1, "close 1002
 * reason". False if they are not frames.
 */
bool talk_describe(struct vectors_bytes *out, const uint8_t *p, size_t len);

/* A payload as the lines have it, a blank before it. */
void talk_payload(struct vectors_bytes *out, const uint8_t *p, size_t len);

#endif
