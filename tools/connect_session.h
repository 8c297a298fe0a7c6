/*
 * tools/connect_session.h - the loop of `wsring connect`: standard input to the connection, the connection to standard output,
 * each no faster than the other side takes it.
 */
#ifndef TOOLS_CONNECT_SESSION_H
#define TOOLS_CONNECT_SESSION_H

#include "tools/connect.h"

/* Runs until the connection is over for good and all of it has been written. Returns the exit code. */
int session_run(const struct connect_options *options, wsr_engine *engine, const char *shown_url);

#endif
