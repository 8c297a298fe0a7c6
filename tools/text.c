/*
 * tools/text.c - see text.h.
 */
#include "tools/text.h"

#include <string.h>
#include <wsring/simd.h>

size_t text_character(const uint8_t *p, size_t n)
{
    if (n == 0)
        return 0;
    const size_t len = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    wsr_text_state state = {0};
    return len <= n && wsr_utf8(&state, p, len) && state.pending == 0 ? len : 0;
}

bool text_is_utf8(wsr_slice text)
{
    wsr_text_state state = {0};
    return text.len == 0 || (wsr_utf8(&state, text.ptr, text.len) && state.pending == 0);
}

/* C1 controls, U+0080 to U+009F, are two bytes; terminals obey some of them as they do escape sequences. */
static bool is_control(const uint8_t *p, size_t len)
{
    return (len == 1 && (p[0] < 0x20 || p[0] == 0x7F)) || (len == 2 && p[0] == 0xC2 && p[1] < 0xA0);
}

/* How many bytes at the front are printable ASCII other than the two that JSON escapes. */
static size_t plain_run(const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n && p[i] >= 0x20 && p[i] < 0x7F && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

static void add_hex_escapes(struct buffer *out, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buffer_add_format(out, "\\x%02x", p[i]);
}

void text_add_plain(struct buffer *out, wsr_slice text, const char *newline)
{
    for (size_t i = 0; i < text.len;) {
        const uint8_t *p = text.ptr + i;
        size_t len = plain_run(p, text.len - i);
        if (len == 0)
            len = text_character(p, text.len - i);
        const bool bad = len == 0 || (is_control(p, len) && *p != '\t');
        if (len == 0)
            len = 1;
        if (newline != NULL && *p == '\n')
            buffer_add_text(out, newline);
        else if (newline != NULL && *p == '\r' && i + 1 < text.len && p[1] == '\n')
            ; /* goes with its line feed */
        else if (bad)
            add_hex_escapes(out, p, len);
        else
            buffer_add(out, p, len);
        i += len;
    }
}

static void add_json_escape(struct buffer *out, uint32_t character)
{
    static const char letters[] = "\b\f\n\r\t\"\\", names[] = "bfnrt\"\\";
    const char *letter = character < 0x80 && character != 0 ? strchr(letters, (int)character) : NULL;
    if (letter != NULL)
        buffer_add_format(out, "\\%c", names[letter - letters]);
    else
        buffer_add_format(out, "\\u%04x", (unsigned)character);
}

void text_add_json(struct buffer *out, wsr_slice text)
{
    buffer_add_text(out, "\"");
    for (size_t i = 0; i < text.len;) {
        const uint8_t *p = text.ptr + i;
        size_t len = plain_run(p, text.len - i);
        if (len == 0)
            len = text_character(p, text.len - i);
        if (len == 0)
            add_json_escape(out, 0xFFFD);
        else if (is_control(p, len))
            add_json_escape(out, p[len - 1]); /* a C1 control's number is its second byte */
        else if (*p == '"' || *p == '\\')
            add_json_escape(out, *p);
        else
            buffer_add(out, p, len);
        i += len == 0 ? 1 : len;
    }
    buffer_add_text(out, "\"");
}

void text_add_base64(struct buffer *out, wsr_slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t *to = buffer_reserve(out, (bytes.len + 2) / 3 * 4 + 2);
    if (to == NULL)
        return;
    uint8_t *const from = to;
    *to++ = '"';
    for (size_t i = 0; i < bytes.len; i += 3) {
        const size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
        const uint32_t group = (uint32_t)bytes.ptr[i] << 16 | (n > 1 ? (uint32_t)bytes.ptr[i + 1] << 8 : 0) | (n > 2 ? bytes.ptr[i + 2] : 0);
        for (size_t k = 0; k < 4; k++)
            *to++ = k <= n ? (uint8_t)digits[group >> (18 - 6 * k) & 63] : '=';
    }
    *to++ = '"';
    out->end += (size_t)(to - from);
}

void text_add_hex(struct buffer *out, wsr_slice bytes, size_t n)
{
    for (size_t i = 0; i < n && i < bytes.len; i++)
        buffer_add_format(out, "%02x", bytes.ptr[i]);
}
