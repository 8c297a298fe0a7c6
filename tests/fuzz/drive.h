/*
 * tests/fuzz/drive.h - an endpoint driven by a fuzzer's bytes: input raw and as frames, sends, closes, a transport that takes
 * some, time, failing memory; and what must hold of whatever it reports and sends.
 */
#ifndef TESTS_FUZZ_DRIVE_H
#define TESTS_FUZZ_DRIVE_H

#include "lib/talk.h"

/* Runs a script (see drive.c) on an endpoint of this role, to its end, and checks. */
void drive_endpoint(wsr_role role, const uint8_t *data, size_t size);

/* Before it is opened: permessage-deflate, with context takeover or without, of everything that pays. */
void drive_deflate(struct talk *talk, wsr_endpoint_config *config, bool takeover);

/*
 * Of the bytes that an endpoint of this role sent: a sequence that a receiver must accept (deflate: which agreed on permessage-deflate),
 * masked as it has to be, nothing behind a Close; the last frame may be cut. Returns the data messages that are there as a whole.
 */
unsigned long drive_check_sent(wsr_role role, bool deflate, const uint8_t *p, size_t len);

#endif
