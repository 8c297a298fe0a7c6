/*
 * tools/closes.h - how many connections ended with which close code.
 */
#ifndef TOOLS_CLOSES_H
#define TOOLS_CLOSES_H

#include <stddef.h>
#include <stdint.h>

enum { CLOSES_KINDS_MAX = 32 };

struct closes {
    unsigned n; /* kinds seen */
    struct {
        uint16_t code;
        uint64_t count;
    } kinds[CLOSES_KINDS_MAX]; /* in rising order of code */
    uint64_t others;           /* of codes that found no room: nobody sees 33 kinds without meaning to */
};

void closes_add(struct closes *closes, uint16_t code, uint64_t count);
void closes_merge(struct closes *into, const struct closes *from);

/* How many with this code. */
uint64_t closes_of(const struct closes *closes, uint16_t code);

/* "1000 x 8, 1001 x 7", or "none", into text, cut off at cap; returns text. */
char *closes_text(const struct closes *closes, char *text, size_t cap);

#endif
