/*
 * tools/signals.h - SIGINT and SIGTERM as a count that loops look at, and that wakes the engines they wait in.
 */
#ifndef TOOLS_SIGNALS_H
#define TOOLS_SIGNALS_H

#include <wsring/engine.h>

enum { SIGNALS_ENGINES_MAX = 256 };

/* From now on the two signals are counted, and no longer end the process. SIGPIPE is ignored. */
void signals_catch(void);

/* How many have come. Any thread. */
int signals_count(void);

/* Each signal also wakes this engine, until signals_unwatch returns (which must be before the engine is closed). Any thread. */
void signals_watch(wsr_engine *engine);
void signals_unwatch(wsr_engine *engine);

#endif
