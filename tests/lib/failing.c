/*
 * tests/lib/failing.c - see failing.h.
 */
#include "lib/failing.h"

#include <stdlib.h>

uint64_t failing_calls, failing_at;

static bool strikes(void)
{
    return ++failing_calls == failing_at;
}

static void *fail_alloc(void *context, size_t size)
{
    (void)context;
    return strikes() ? NULL : malloc(size);
}

static void *fail_resize(void *context, void *ptr, size_t old_size, size_t size)
{
    (void)context, (void)old_size;
    return strikes() ? NULL : realloc(ptr, size);
}

static void fail_release(void *context, void *ptr, size_t size)
{
    (void)context, (void)size;
    free(ptr);
}

const wsr_allocator failing = {NULL, fail_alloc, fail_resize, fail_release};
