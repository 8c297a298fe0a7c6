/*
 * proto/consume.h - the hot path: header, unmask and validate of whole data frames, one call for a received buffer.
 *
 * One source (consume.inc), compiled once an instruction set, so that the kernels are inlined. Everything that is not a
 * whole data frame lying in the buffer is left to the caller (endpoint.c), which comes back here at the next frame.
 */
#ifndef WSR_PROTO_CONSUME_H
#define WSR_PROTO_CONSUME_H

#include "proto/endpoint.h"

struct wsr_consume {
    const struct wsr_kernels *kernels; /* the same ones, as a table */
    /*
     * Takes whole frames off the front of [p, p + len), which begins at a frame boundary outside any fragmented message,
     * and appends a MESSAGE event for each, while there is room. Returns the bytes taken. *stop: 0, or the wsr_error for
     * which the frame after them fails the connection.
     */
    size_t (*run)(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len, int *stop);
};

/* The loop compiled with those kernels; the scalar one for a table that has none. */
const struct wsr_consume *wsr_consume_for(const struct wsr_kernels *kernels);

#endif
