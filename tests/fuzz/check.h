/*
 * tests/fuzz/check.h - what every fuzzer needs: a check that stays in any build, and a reader of its input.
 */
#ifndef TESTS_FUZZ_CHECK_H
#define TESTS_FUZZ_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert: what does not hold is a finding, said with its place. */
#define CHECK(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

static inline _Noreturn void check_failed(const char *what, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

/* The input, taken from the front. Past its end there are zeros. */
struct input {
    const uint8_t *p;
    size_t len;
};

static inline uint8_t input_byte(struct input *in)
{
    if (in->len == 0)
        return 0;
    in->len--;
    return *in->p++;
}

/* At most n bytes, where they lie. */
static inline const uint8_t *input_bytes(struct input *in, size_t *n)
{
    const uint8_t *p = in->p;
    if (*n > in->len)
        *n = in->len;
    in->p += *n;
    in->len -= *n;
    return p;
}

/* A copy of exactly n bytes that a sanitizer guards at both ends; freed by the caller. */
static inline uint8_t *copy_of(const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n + (n == 0));
    if (copy == NULL)
        abort();
    if (n > 0)
        memcpy(copy, p, n);
    return copy;
}

#endif
