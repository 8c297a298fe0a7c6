/*
 * conn/shed.h - who gives way when memory runs short, and in which order: shed.c.
 */
#ifndef WSR_CONN_SHED_H
#define WSR_CONN_SHED_H

#include "conn/engine.h"

/* Once a poll and round, before it takes anything in. */
void wsr_shed_turn(wsr_engine *engine);
/* The timer WSR_TIMER_SHED fired. */
void wsr_shed_stalled(wsr_engine *engine);
/* Something was received for c: stops reading, if memory is short and c holds some. It is on the list of those held then. */
void wsr_shed_received(wsr_engine *engine, struct wsr_connection *c);

/* Is it one whose peer is to wait while memory is short? */
bool wsr_shed_holds(const struct wsr_connection *c);

/* What it holds of the pool: received, to be sent, its compression, its front's. */
size_t wsr_conn_chunk_bytes(const struct wsr_connection *c);

#endif
