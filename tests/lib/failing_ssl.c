/*
 * tests/lib/failing_ssl.c - see failing.h.
 */
#include "lib/failing.h"

#include <openssl/crypto.h>
#include <stdlib.h>

uint64_t failing_ssl_calls, failing_ssl_at;
int64_t failing_ssl_held;

static void *counted_malloc(size_t bytes, const char *file, int line)
{
    (void)file, (void)line;
    if (++failing_ssl_calls == failing_ssl_at)
        return NULL;
    failing_ssl_held++;
    return malloc(bytes);
}

static void counted_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    failing_ssl_held -= p != NULL;
    free(p);
}

static void *counted_realloc(void *p, size_t bytes, const char *file, int line)
{
    if (p == NULL)
        return counted_malloc(bytes, file, line);
    if (bytes == 0) {
        counted_free(p, file, line);
        return NULL;
    }
    return ++failing_ssl_calls == failing_ssl_at ? NULL : realloc(p, bytes);
}

bool failing_ssl_use(void)
{
    return CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) == 1;
}
