/*
 * tools/connect_show.c - see connect_show.h. The JSON is connect_json.c's.
 */
#include "tools/connect_show.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/connect_json.h"
#include "tools/text.h"

#define GREEN "\033[32m"
#define CYAN "\033[36m"
#define OFF "\033[0m"

enum { HEX_MAX = 64 };

static bool wants_colour(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return (no == NULL || no[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0;
}

void show_open(struct show *show, const struct connect_options *options, const wsr_engine *engine)
{
    const bool terminal = isatty(STDOUT_FILENO) != 0;
    *show = (struct show){.engine = engine, .url = options->connect.url};
    show->form = options->json ? SHOW_JSON : terminal ? SHOW_TERMINAL : options->binary ? SHOW_RAW : SHOW_LINES;
    show->typed = terminal && isatty(STDIN_FILENO) != 0;
    show->colour = show->form == SHOW_TERMINAL && wants_colour();
}

/* "< " or "> " before a message's first line; the others stand under it. */
static void add_marked(const struct show *show, struct buffer *out, const char *mark, const char *colour, wsr_slice message, bool binary)
{
    if (show->colour)
        buffer_add_text(out, colour);
    buffer_add_text(out, mark);
    if (binary) {
        buffer_add_format(out, "(binary, %zu bytes) ", message.len);
        text_add_hex(out, message, HEX_MAX);
        buffer_add_text(out, message.len > HEX_MAX ? "..." : "");
    } else {
        text_add_plain(out, message, "\n  ");
    }
    buffer_add_text(out, show->colour ? OFF "\n" : "\n");
}

void show_message(const struct show *show, struct buffer *out, const wsr_event *event)
{
    const wsr_slice message = {event->data.ptr, event->data.len};
    switch (show->form) {
    case SHOW_JSON:
        json_add_message(out, event);
        break;
    case SHOW_TERMINAL:
        add_marked(show, out, "< ", GREEN, message, event->opcode == WSR_BINARY);
        break;
    case SHOW_RAW:
    case SHOW_LINES:
        buffer_add(out, message.ptr, message.len);
        if (show->form == SHOW_LINES)
            buffer_add_text(out, "\n");
        break;
    }
}

/* Would it stand on one row of the terminal, with two columns to spare? Only of plain ASCII can that be said without a table of widths. */
static bool fits_a_row(wsr_slice line)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || line.len + 2 >= size.ws_col)
        return false;
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] < 0x20 || line.ptr[i] >= 0x7F)
            return false;
    }
    return true;
}

void show_sent(const struct show *show, struct buffer *out, wsr_slice message, bool binary)
{
    if (show->form != SHOW_TERMINAL)
        return;
    if (!show->typed)
        add_marked(show, out, "> ", CYAN, message, binary);
    else if (show->colour && fits_a_row(message)) /* the row above, where it was typed, gets its mark: up, two blanks inserted, down */
        buffer_add_text(out, "\033[1A\r\033[2@" CYAN "> " OFF "\033[1B\r");
}

void show_event(const struct show *show, struct buffer *out, const wsr_event *event, bool opened)
{
    if (show->form != SHOW_JSON)
        return;
    switch (event->type) {
    case WSR_EVENT_OPEN:
        json_add_open(out, event, show->engine, show->url);
        break;
    case WSR_EVENT_PING:
    case WSR_EVENT_PONG:
        json_add_control(out, event);
        break;
    case WSR_EVENT_RECONNECTING:
        json_add_reconnecting(out, event);
        break;
    case WSR_EVENT_CLOSED:
        json_add_closed(out, event, opened);
        break;
    default:
        break;
    }
}
