/*
 * tools/stamps.h - how long messages took from the kernel to this program, by the stamps of their receives (wsr_receive_stamp).
 */
#ifndef TOOLS_STAMPS_H
#define TOOLS_STAMPS_H

#include <stdio.h>
#include <wsring/event.h>

#include "tools/histogram.h"

struct stamps {
    struct histogram waited; /* ns, of those with a stamp */
    uint64_t shared;         /* of them, those that may have waited longer: their stamp is a later message's too */
    uint64_t none;           /* without a stamp */
};

void stamps_init(struct stamps *stamps);

/* CLOCK_REALTIME in nanoseconds: what stamps are of. */
uint64_t stamps_now_ns(void);

/* From the kernel's stamp, which there is, until now_ns (stamps_now_ns); 0 if the clock was set back meanwhile. */
uint64_t stamps_waited_ns(const wsr_receive_stamp *stamp, uint64_t now_ns);

/* Counts the message of an event that the program was given at now_ns (stamps_now_ns). */
void stamps_add(struct stamps *stamps, const wsr_event *event, uint64_t now_ns);
void stamps_merge(struct stamps *into, const struct stamps *from);

/* A line or two for people. */
void stamps_print(FILE *out, const struct stamps *stamps);

#endif
