/*
 * tools/connect_show.h - what `wsring connect` puts on standard output: messages as they are, or marked for a terminal, or every
 * event as a JSON object on a line of its own.
 */
#ifndef TOOLS_CONNECT_SHOW_H
#define TOOLS_CONNECT_SHOW_H

#include "tools/connect.h"

enum show_form {
    SHOW_LINES,    /* a message, then a line feed */
    SHOW_RAW,      /* a message after the other, nothing between */
    SHOW_TERMINAL, /* marked, and without control characters */
    SHOW_JSON
};

struct show {
    enum show_form form;
    bool colour;
    bool typed; /* what is sent was typed into this terminal, which shows it already */
    const wsr_engine *engine;
    const char *url;
};

/* Chooses the form by the options and by what standard input and output are. */
void show_open(struct show *show, const struct connect_options *options, const wsr_engine *engine);

void show_message(const struct show *show, struct buffer *out, const wsr_event *event);

/* A message that was just sent: on a terminal only. */
void show_sent(const struct show *show, struct buffer *out, wsr_slice message, bool binary);

/* The other events: with SHOW_JSON only. opened: it had been open since it began, or since it was last lost. */
void show_event(const struct show *show, struct buffer *out, const wsr_event *event, bool opened);

#endif
