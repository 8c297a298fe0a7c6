/*
 * tools/buffer.c - see buffer.h.
 */
#include "tools/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAP_MIN = 4096 };

/* What is left moves to the front when that makes the room, and is less than what is gone: each byte moves about once. */
static bool move_up(struct buffer *b, size_t n)
{
    const size_t len = buffer_len(b);
    if (b->at <= len || b->cap - len < n)
        return false;
    memmove(b->ptr, b->ptr + b->at, len);
    b->at = 0;
    b->end = len;
    return true;
}

uint8_t *buffer_reserve(struct buffer *b, size_t n)
{
    if (b->failed)
        return NULL;
    if (b->cap - b->end >= n || move_up(b, n))
        return b->ptr + b->end;
    size_t cap = b->cap < CAP_MIN ? CAP_MIN : b->cap;
    while (cap - b->end < n && cap <= SIZE_MAX / 2)
        cap *= 2;
    uint8_t *ptr = cap - b->end >= n ? realloc(b->ptr, cap) : NULL;
    if (ptr == NULL) {
        b->failed = true;
        return NULL;
    }
    b->ptr = ptr;
    b->cap = cap;
    return b->ptr + b->end;
}

void buffer_add(struct buffer *b, const void *bytes, size_t n)
{
    uint8_t *room = n > 0 ? buffer_reserve(b, n) : NULL;
    if (room == NULL)
        return;
    memcpy(room, bytes, n);
    b->end += n;
}

void buffer_add_text(struct buffer *b, const char *text)
{
    buffer_add(b, text, strlen(text));
}

void buffer_add_format(struct buffer *b, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    const int n = vsnprintf(NULL, 0, format, list);
    va_end(list);
    uint8_t *room = n > 0 ? buffer_reserve(b, (size_t)n + 1) : NULL;
    if (room == NULL)
        return;
    va_start(list, format);
    vsnprintf((char *)room, (size_t)n + 1, format, list);
    va_end(list);
    b->end += (size_t)n;
}

void buffer_take(struct buffer *b, size_t n)
{
    b->at += n;
    if (b->at == b->end)
        b->at = b->end = 0;
}

void buffer_free(struct buffer *b)
{
    free(b->ptr);
    *b = (struct buffer){0};
}
