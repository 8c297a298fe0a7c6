/*
 * tests/lib/ring_stage.h - what the scripts of ring_scripts.h share: a ring with a listener, connections, bytes that tell
 * where they belong. Every function fails the test if something goes wrong.
 */
#ifndef TESTS_LIB_RING_STAGE_H
#define TESTS_LIB_RING_STAGE_H

#include "lib/ring_scripts.h"
#include "ring/sys.h"

#define SECOND 1000000000
#define MILLISECOND 1000000

/* Tags: what, and of whom. */
enum { ACCEPT = 1, CONNECT, RECEIVE, SEND, TIMER, POLL, CANCEL };
#define TAG(kind, index) ((uint64_t)(kind) << 56 | (uint64_t)(index))
#define TAG_KIND(tag) ((unsigned)((tag) >> 56))
#define TAG_INDEX(tag) ((unsigned)(tag))

struct stage {
    struct wsr_ring *ring;
    int listener;
    union wsr_address address;
    socklen_t address_len;
    uint64_t random;
};

void stage_open(struct stage *stage, const struct wsr_ring_config *config, uint64_t seed);
void stage_close(struct stage *stage);

/* 0 to max, inclusive. */
size_t random_up_to(uint64_t *state, size_t max);

/* Bytes [offset, offset + len) of stream `id`. */
void pattern_fill(uint8_t *to, uint32_t id, size_t offset, size_t len);
void pattern_check(const uint8_t *from, uint32_t id, size_t offset, size_t len);

/* The next completion; fails the test if none comes for ten seconds. */
struct wsr_completion take(struct stage *stage);

/* Nothing completes for a moment. */
void take_nothing(struct stage *stage);

/* The next completion of an armed receive; it is armed again when only a lack of buffers ended it. */
struct wsr_completion take_received(struct stage *stage, int fd, uint64_t tag);

int connect_to(struct stage *stage, uint64_t tag);

/* A connection; the listener's accept must be armed, and stays so. */
void make_pair(struct stage *stage, int *client, int *server);

/* A connection, the listener's accept neither armed before nor after. */
void make_only_pair(struct stage *stage, int *client, int *server);

/* Sends it all, however often it takes. No other completion may be due. */
void send_all(struct stage *stage, int fd, wsr_slice slice);

#endif
