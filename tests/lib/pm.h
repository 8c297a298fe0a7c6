/*
 * tests/lib/pm.h - an end with permessage-deflate (talk.h), and what a peer that compresses sends it, for cmocka tests.
 */
#ifndef TESTS_LIB_PM_H
#define TESTS_LIB_PM_H

#include "lib/deflated.h"
#include "lib/talk.h"

wsr_role pm_other(wsr_role role);

/* What the peer says in its handshake so that both directions have context takeover, or neither has. */
const char *pm_said(bool takeover);
wsr_endpoint_config pm_config_of(bool takeover);

/* Open, what its handshake held given back, and nothing seen. With a config: one of pm_config_of, changed. */
void pm_open_ok(struct talk *talk, wsr_role role, bool takeover);
void pm_open_with(struct talk *talk, wsr_role role, const wsr_endpoint_config *config);
void pm_free_ok(struct talk *talk);

void pm_feed_frame(struct talk *talk, uint8_t first, const void *payload, size_t len);
int pm_send_bytes(struct talk *talk, wsr_opcode opcode, const uint8_t *p, size_t len);
/* These lines, and none before them that were not expected. */
void pm_expect_seen(struct talk *talk, const char *lines);
/* The stream ends now; and this end had failed the connection. */
void pm_expect_failed(struct talk *talk, int cause, uint16_t code);

extern uint64_t pm_random_state;
uint32_t pm_next_random(void);
/* Text that compresses well, and bytes that do not. */
void pm_fill_words(uint8_t *p, size_t len);
void pm_fill_noise(uint8_t *p, size_t len);

/* A message from a peer of this role, in fragments of at most that many bytes before they are compressed. */
void pm_put_message(struct vectors_bytes *out, struct deflated *deflated, wsr_role from, uint8_t opcode, const uint8_t *p, size_t len,
                    size_t fragment_max);
/* The line that it has in talk.seen. */
void pm_put_line(struct vectors_bytes *out, const char *kind, const uint8_t *p, size_t len);

#endif
