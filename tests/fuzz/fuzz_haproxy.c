/*
 * tests/fuzz/fuzz_haproxy.c - PROXY protocol headers: no stray byte is read, every beginning says "more" or what the whole says, and
 * a decision is made within WSR_HAPROXY_HEAD_MAX bytes.
 */
#include "fuzz/check.h"
#include "proto/haproxy.h"

static int parse(const uint8_t *data, size_t size, struct wsr_haproxy *out)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL)
        abort();
    if (size > 0)
        memcpy(copy, data, size);
    const int n = wsr_haproxy_parse(copy, size, out);
    free(copy);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wsr_haproxy whole, part;
    const int n = parse(data, size, &whole);
    CHECK(n == WSR_EHAPROXY || (n >= 0 && n <= (int)WSR_HAPROXY_BYTES_MAX));
    CHECK(n != 0 || size < WSR_HAPROXY_HEAD_MAX);
    CHECK(n <= 0 || whole.family == WSR_HAPROXY_NONE || whole.family == WSR_HAPROXY_IPV4 || whole.family == WSR_HAPROXY_IPV6);
    for (size_t i = 0; i < size && i <= WSR_HAPROXY_HEAD_MAX; i++) {
        const int early = parse(data, i, &part);
        CHECK(early == 0 || early == n);
        CHECK(early <= 0 || memcmp(&part, &whole, sizeof part) == 0);
    }
    return 0;
}
