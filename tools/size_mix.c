/*
 * tools/size_mix.c - see size_mix.h.
 */
#include "tools/size_mix.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "tools/parse.h"

struct part {
    uint64_t low, high; /* bytes, both included */
    double weight;
};

/* One part: SIZE[-SIZE][:WEIGHT]. */
static const char *parse_part(const char *text, size_t len, struct part *out)
{
    out->weight = 1;
    const char *colon = memchr(text, ':', len);
    if (colon != NULL) {
        uint64_t weight;
        char copy[16];
        size_t n = (size_t)(text + len - colon - 1);
        if (n >= sizeof copy)
            return "a weight must be a whole number from 1 to 1000000";
        memcpy(copy, colon + 1, n);
        copy[n] = '\0';
        if (!parse_number(copy, 1, 1000000, &weight))
            return "a weight must be a whole number from 1 to 1000000";
        out->weight = (double)weight;
        len = (size_t)(colon - text);
    }
    const char *dash = memchr(text, '-', len);
    size_t low_len = dash != NULL ? (size_t)(dash - text) : len;
    if (!parse_size_n(text, low_len, &out->low))
        return "a size is a number of bytes, as in 20, 4KiB, 1MiB";
    out->high = out->low;
    if (dash != NULL && !parse_size_n(dash + 1, len - low_len - 1, &out->high))
        return "a size is a number of bytes, as in 20, 4KiB, 1MiB";
    if (out->low > out->high)
        return "a range goes from the smaller size to the larger";
    if (out->high > SIZE_MIX_BYTES_MAX)
        return "a message of more than 256 MiB";
    return NULL;
}

/* Size i of n that together are log-uniform from low to high. One is added and taken away so that 0 has a logarithm. */
static uint32_t log_uniform(const struct part *part, unsigned i, unsigned n)
{
    if (n == 1)
        return (uint32_t)part->high;
    double a = log((double)part->low + 1), b = log((double)part->high + 1);
    return (uint32_t)lround(exp(a + (b - a) * (double)i / (double)(n - 1)) - 1);
}

/* Gives each part its share of the table, at least one entry. */
static void lay_out(const struct part *parts, unsigned n, struct size_mix *out)
{
    double total = 0, before = 0, sum = 0;
    for (unsigned i = 0; i < n; i++)
        total += parts[i].weight;
    unsigned at = 0;
    out->max = 0;
    for (unsigned i = 0; i < n; i++) {
        before += parts[i].weight;
        unsigned end = (unsigned)lround(before / total * SIZE_MIX_ENTRIES);
        /* A rare part still gets its one entry, and leaves one for each part after it. */
        if (end <= at)
            end = at + 1;
        if (end > SIZE_MIX_ENTRIES - (n - 1 - i))
            end = SIZE_MIX_ENTRIES - (n - 1 - i);
        for (unsigned k = at; k < end; k++) {
            out->sizes[k] = log_uniform(&parts[i], k - at, end - at);
            sum += out->sizes[k];
        }
        at = end;
        if (parts[i].high > out->max)
            out->max = (uint32_t)parts[i].high;
    }
    out->mean = sum / SIZE_MIX_ENTRIES;
}

const char *size_mix_parse(const char *text, struct size_mix *out)
{
    struct part parts[SIZE_MIX_PARTS_MAX];
    unsigned n = 0;
    for (;;) {
        size_t len = strcspn(text, ",");
        if (n == SIZE_MIX_PARTS_MAX)
            return "more than 64 parts in a size mix";
        const char *wrong = parse_part(text, len, &parts[n++]);
        if (wrong != NULL)
            return wrong;
        if (text[len] == '\0')
            break;
        text += len + 1;
    }
    lay_out(parts, n, out);
    return NULL;
}
