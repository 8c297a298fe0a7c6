/*
 * tests/lib/one.h - one engine that listens on the simulated host, what its events said so far, and scripted peers whose
 * handshake is done: the beginning of most tests of an engine's connections. Only for tests/sim_*.c.
 */
#ifndef TESTS_LIB_ONE_H
#define TESTS_LIB_ONE_H

#include <wsring/wsring.h>

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define SLICE(text) ((wsr_slice){(const uint8_t *)(text), strlen(text)})

struct one {
    wsr_engine *engine;
    uint16_t port;
    unsigned opened, closed, messages, pings, pongs, writables, requests; /* events so far */
    uint64_t message_bytes;
    wsr_close_record record; /* of the last CLOSED, and when that was */
    uint64_t closed_at_ns;
    wsr_conn conn;           /* of the last OPEN or REQUEST */
};

/* Opens the engine and its listener; NULL for the defaults. Fails the test if it cannot. */
void one_open(struct one *o, const wsr_config *config);
void one_open_limits(struct one *o, const wsr_limits *limits);

/* Polls until there are no more events, or for ns of virtual time. */
void one_poll(struct one *o, uint64_t ns);

/* A peer whose handshake is done, its answer read: a handle of sim_peer_*. */
int one_peer(struct one *o);
/* The request it sends. */
extern const char one_request[];

/* A masked frame (its key is zero) from the peer, all of it, at most 65535 bytes of payload. */
void one_peer_frame(int peer, uint8_t first, const void *payload, size_t len);

/* Connections of any state that an engine has; NULL: none. */
uint64_t one_open_slots(const wsr_engine *engine);

/* Closes the engine; nothing may be left open. */
void one_close(struct one *o);
void one_no_leaks(void);

#endif
