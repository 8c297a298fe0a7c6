/*
 * tools/text.h - what others sent, made fit for a terminal or for JSON (RFC 8259).
 *
 * A terminal obeys escape sequences, whoever sent them, so none from outside may reach it. JSON must be UTF-8, and header values
 * and the bodies of refusals need not be.
 */
#ifndef TOOLS_TEXT_H
#define TOOLS_TEXT_H

#include "tools/buffer.h"

/* The bytes of the character at the front of n bytes, 1 to 4; 0: they begin with none that is valid UTF-8 (RFC 3629), or n is 0. */
size_t text_character(const uint8_t *p, size_t n);

bool text_is_utf8(wsr_slice text);

/*
 * Adds text for a terminal: control characters (C0, DEL, C1) and bytes that are no UTF-8 as \x1b, all else as it is. newline:
 * what to write for a line feed; NULL: as another control character. A carriage return before a line feed is left out.
 */
void text_add_plain(struct buffer *out, wsr_slice text, const char *newline);

/* Adds "text" with its quotes, as a JSON string: bytes that are no UTF-8 become U+FFFD. */
void text_add_json(struct buffer *out, wsr_slice text);

/* Adds "..." with its quotes: base64 (RFC 4648 section 4). */
void text_add_base64(struct buffer *out, wsr_slice bytes);

/* Adds at most n bytes, in hexadecimal. */
void text_add_hex(struct buffer *out, wsr_slice bytes, size_t n);

static inline wsr_slice text_of(const char *text)
{
    size_t n = 0;
    while (text[n] != '\0')
        n++;
    return (wsr_slice){(const uint8_t *)text, n};
}

#endif
