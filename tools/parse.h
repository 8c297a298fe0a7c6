/*
 * tools/parse.h - what people write on a command line: numbers, sizes, durations, fractions, the names of profiles.
 *
 * Each function takes the whole text or nothing: true and *out written, or false. None prints; the caller knows which option
 * it was.
 */
#ifndef TOOLS_PARSE_H
#define TOOLS_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <wsring/policy.h>

/* A plain decimal number from min to max. */
bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* "20", "4KiB", "16MiB", "1GiB", and the same without "iB" in either case: bytes, powers of 1024. "kB", "MB", "GB": of 1000. */
bool parse_size(const char *text, uint64_t *out_bytes);

/* parse_size of the first len characters. */
bool parse_size_n(const char *text, size_t len, uint64_t *out_bytes);

/* "5", "0.5", "5s", "250ms", "10us", "2m", "1h": nanoseconds; a bare number is seconds. */
bool parse_duration(const char *text, uint64_t *out_ns);

/* "0.25" or "25%": a fraction from 0 to 1. */
bool parse_fraction(const char *text, double *out);

/* "default", "persistent", "fast": how a client comes back; NULL, for an option without its argument, is the default. */
bool parse_profile(const char *text, wsr_profile *out);

/* Writes bytes as people read them ("0 B", "4 KiB", "1.5 MiB") into text of at least 24 bytes, and returns text. */
char *format_size(char *text, size_t cap, uint64_t bytes);

/* Likewise nanoseconds: "850 ns", "12.4 us", "3.1 ms", "5.0 s". */
char *format_duration(char *text, size_t cap, uint64_t ns);

#endif
