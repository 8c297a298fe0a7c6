/*
 * tools/closes.c - see closes.h.
 */
#include "tools/closes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void closes_add(struct closes *closes, uint16_t code, uint64_t count)
{
    unsigned i = 0;
    while (i < closes->n && closes->kinds[i].code < code)
        i++;
    if (i < closes->n && closes->kinds[i].code == code) {
        closes->kinds[i].count += count;
        return;
    }
    if (closes->n == CLOSES_KINDS_MAX) {
        closes->others += count;
        return;
    }
    memmove(&closes->kinds[i + 1], &closes->kinds[i], (closes->n - i) * sizeof closes->kinds[0]);
    closes->kinds[i].code = code;
    closes->kinds[i].count = count;
    closes->n++;
}

void closes_merge(struct closes *into, const struct closes *from)
{
    for (unsigned i = 0; i < from->n; i++)
        closes_add(into, from->kinds[i].code, from->kinds[i].count);
    into->others += from->others;
}

uint64_t closes_of(const struct closes *closes, uint16_t code)
{
    for (unsigned i = 0; i < closes->n; i++) {
        if (closes->kinds[i].code == code)
            return closes->kinds[i].count;
    }
    return 0;
}

char *closes_text(const struct closes *closes, char *text, size_t cap)
{
    size_t at = 0;
    snprintf(text, cap, "none");
    for (unsigned i = 0; i < closes->n && at < cap; i++) {
        int n = snprintf(text + at, cap - at, "%s%u x %" PRIu64, i > 0 ? ", " : "", closes->kinds[i].code, closes->kinds[i].count);
        at += n > 0 ? (size_t)n : 0;
    }
    if (closes->others > 0 && at < cap)
        snprintf(text + at, cap - at, ", others x %" PRIu64, closes->others);
    return text;
}
