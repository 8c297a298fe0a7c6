/*
 * tests/fuzz/handshake.h - a handshake fed whole and in pieces: one outcome, and what must hold of it.
 */
#ifndef TESTS_FUZZ_HANDSHAKE_H
#define TESTS_FUZZ_HANDSHAKE_H

#include "fuzz/check.h"
#include "lib/talk.h"

/* The first byte of the input says how it is cut, and which limits it meets. Checks whatever both roles have in common. */
void handshake_check(wsr_role role, const uint8_t *data, size_t size, void (*check)(const struct talk *talk));

#endif
