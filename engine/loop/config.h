/*
 * loop/config.h - an engine's configuration: taken, its defaults filled in, and judged.
 */
#ifndef WSR_LOOP_CONFIG_H
#define WSR_LOOP_CONFIG_H

#include <wsring/engine.h>

/* *to is from complete; NULL for all defaults. Returns NULL, or what is wrong with it in one line (wsr_config_problem). */
WSR_MUST_USE const char *wsr_engine_config(wsr_config *to, const wsr_config *from);

#endif
