/*
 * tools/connect_report.h - what `wsring connect` says on standard error: the handshake, what was lost, and the end: its code, what
 * that means, and what to do about it; and the exit code that goes with it.
 *
 * Whatever the server said is printed without control characters.
 */
#ifndef TOOLS_CONNECT_REPORT_H
#define TOOLS_CONNECT_REPORT_H

#include "tools/connect.h"

/* The exit code for an end. opened: there had been an OPEN, since it was last lost. */
enum cmd_exit report_exit(const wsr_close_record *record, bool opened);

/* wsr_connect returned this error, errno as it left it. Returns the exit code. */
enum cmd_exit report_not_begun(const struct connect_options *options, int error);

/* What was agreed on, with --verbose with every header. url: without user and password. */
void report_open(const struct connect_options *options, const wsr_engine *engine, const wsr_event *event, const char *url);

void report_reconnecting(const wsr_event *event);

/* The end: a line each for how, what was lost with it, what the code means, and, if it was not in order, what to do. */
void report_closed(const struct connect_options *options, const wsr_close_record *record, bool opened);

#endif
