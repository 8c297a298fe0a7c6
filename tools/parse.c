/*
 * tools/parse.c - see parse.h.
 */
#include "tools/parse.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    double factor;
};

/* The factor of the unit called `name`, 0 if there is no such unit. */
static double unit_factor(const struct unit *units, const char *name)
{
    for (const struct unit *u = units; u->name != NULL; u++) {
        if (strcasecmp(u->name, name) == 0)
            return u->factor;
    }
    return 0;
}

/* strtod also takes blanks, signs, "inf", "nan" and hexadecimal: a number here begins with a digit or a point, and is decimal. */
static bool decimal(const char *text, double *value, const char **end)
{
    if (!isdigit((unsigned char)text[0]) && text[0] != '.')
        return false;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        return false;
    char *stop;
    *value = strtod(text, &stop);
    *end = stop;
    return stop != text && isfinite(*value);
}

static bool with_unit(const char *text, const struct unit *units, double max, uint64_t *out)
{
    double value;
    const char *end;
    if (!decimal(text, &value, &end))
        return false;
    double factor = unit_factor(units, end);
    value *= factor;
    if (factor == 0 || value > max)
        return false;
    *out = (uint64_t)llround(value);
    return true;
}

bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    if (!isdigit((unsigned char)text[0]))
        return false;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || value < min || value > max)
        return false;
    *out = value;
    return true;
}

bool parse_size(const char *text, uint64_t *out_bytes)
{
    static const struct unit units[] = {
        {"", 1},         {"B", 1},           {"K", 1024},           {"KiB", 1024}, {"M", 1048576}, {"MiB", 1048576}, {"G", 1073741824},
        {"GiB", 1073741824}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {NULL, 0},
    };
    return with_unit(text, units, 1e15, out_bytes);
}

bool parse_size_n(const char *text, size_t len, uint64_t *out_bytes)
{
    char copy[32];
    if (len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return parse_size(copy, out_bytes);
}

bool parse_duration(const char *text, uint64_t *out_ns)
{
    static const struct unit units[] = {
        {"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}, {"m", 60e9}, {"min", 60e9}, {"h", 3600e9}, {NULL, 0},
    };
    return with_unit(text, units, 1e18, out_ns);
}

bool parse_fraction(const char *text, double *out)
{
    double value;
    const char *end;
    if (!decimal(text, &value, &end))
        return false;
    if (strcmp(end, "%") == 0)
        value /= 100;
    else if (*end != '\0')
        return false;
    if (value > 1)
        return false;
    *out = value;
    return true;
}

bool parse_profile(const char *text, wsr_profile *out)
{
    static const char *const names[] = {
        [WSR_PROFILE_DEFAULT] = "default", [WSR_PROFILE_PERSISTENT] = "persistent", [WSR_PROFILE_FAST] = "fast"};
    for (unsigned i = 0; i < WSR_PROFILES; i++) {
        *out = (wsr_profile)i;
        if (text == NULL || strcmp(names[i], text) == 0)
            return true;
    }
    return false;
}

char *format_size(char *text, size_t cap, uint64_t bytes)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    unsigned i = 0;
    for (; value >= 1024 && i < 4; i++)
        value /= 1024;
    /* A point only where it says something. */
    snprintf(text, cap, value == floor(value) || value >= 100 ? "%.0f %s" : "%.1f %s", value, names[i]);
    return text;
}

char *format_duration(char *text, size_t cap, uint64_t ns)
{
    double value = (double)ns;
    if (ns < 1000)
        snprintf(text, cap, "%.0f ns", value);
    else if (ns < 1000000)
        snprintf(text, cap, "%.1f us", value / 1e3);
    else if (ns < 1000000000)
        snprintf(text, cap, "%.2f ms", value / 1e6);
    else
        snprintf(text, cap, "%.2f s", value / 1e9);
    return text;
}
