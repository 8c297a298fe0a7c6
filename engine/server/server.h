/*
 * server/server.h - between listen.c and drain.c.
 */
#ifndef WSR_SERVER_SERVER_H
#define WSR_SERVER_SERVER_H

#include "conn/engine.h"

/* The drain's timer fired: the next Closes are due, or the deadline is. */
void wsr_drain_timed(wsr_engine *engine, struct wsr_batch *batch);

#endif
