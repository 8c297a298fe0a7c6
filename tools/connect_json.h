/*
 * tools/connect_json.h - the events of a client as JSON, an object and a line feed each (--json).
 *
 * Each has "event" ("open", "message", "ping", "pong", "reconnecting", "closed"), "time", seconds since 1970 with microseconds, and
 * "connection", which stays the same when it is lost and comes back, and is another's when a successor takes its place (--max-age).
 * "stamp" of what was received, with --stamps and where the kernel gave one: "kernel" (and "card", by its own clock), when that had it,
 * and "waited", how long it took from the kernel to here; "shared": something else came with it, and it may have been there earlier.
 * What may be any bytes is base64; names are those of the library (wsr_cause_lookup, wsr_error_name), sizes bytes, times seconds.
 */
#ifndef TOOLS_CONNECT_JSON_H
#define TOOLS_CONNECT_JSON_H

#include <wsring/client.h>

#include "tools/buffer.h"

void json_add_open(struct buffer *out, const wsr_event *event, const wsr_engine *engine, const char *url);
void json_add_message(struct buffer *out, const wsr_event *event);
void json_add_control(struct buffer *out, const wsr_event *event);
void json_add_reconnecting(struct buffer *out, const wsr_event *event);
void json_add_closed(struct buffer *out, const wsr_event *event, bool opened);

#endif
