/*
 * tests/lib/failing.c - see failing.h.
 */
#include "lib/failing.h"

#include <stdlib.h>

uint64_t failing_calls, failing_at, failing_bytes;

static bool strikes(void)
{
    return ++failing_calls == failing_at;
}

/* ptr has come in the place of old_size bytes. */
static void *count(void *ptr, size_t old_size, size_t size)
{
    failing_bytes += ptr != NULL ? size - old_size : 0;
    return ptr;
}

static void *fail_alloc(void *context, size_t size)
{
    (void)context;
    return count(strikes() ? NULL : malloc(size), 0, size);
}

static void *fail_resize(void *context, void *ptr, size_t old_size, size_t size)
{
    (void)context;
    return count(strikes() ? NULL : realloc(ptr, size), old_size, size);
}

static void fail_release(void *context, void *ptr, size_t size)
{
    (void)context;
    failing_bytes -= size;
    free(ptr);
}

const wsr_allocator failing = {NULL, fail_alloc, fail_resize, fail_release};
