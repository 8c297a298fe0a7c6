/*
 * tests/fuzz/fuzz_url.c - URLs and references: what is taken apart lies in the text, can go into a request and a look-up as it is,
 * and put together again gives the same; addresses are what the C library takes for such, and no name is; a reference without an
 * authority never leaves its base's origin.
 *
 * Input: a URL, and behind the first line feed a reference.
 */
#include <arpa/inet.h>

#include "client/url.h"
#include "fuzz/check.h"
#include "proto/upgrade.h"

static wsr_slice rest_of(wsr_slice text, size_t n)
{
    return (wsr_slice){text.ptr + n, text.len - n};
}

static bool lies_in(wsr_slice part, wsr_slice whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

/* What a writer writes, in memory of exactly that size. */
static wsr_slice written(void (*put)(struct wsr_http_out *, const struct wsr_url *), const struct wsr_url *url)
{
    struct wsr_http_out measured = {NULL, 0, 0};
    put(&measured, url);
    struct wsr_http_out out = {malloc(measured.len + (measured.len == 0)), measured.len, 0};
    CHECK(out.ptr != NULL);
    put(&out, url);
    CHECK(out.len == measured.len);
    return (wsr_slice){out.ptr, out.len};
}

static void drop(wsr_slice text)
{
    free((void *)(uintptr_t)text.ptr);
}

/* As a NUL-terminated string; false: too long to be any address. */
static bool text_of(wsr_slice slice, char text[64])
{
    if (slice.len >= 64 || memchr(slice.ptr, '\0', slice.len) != NULL)
        return false;
    memcpy(text, slice.ptr, slice.len);
    text[slice.len] = '\0';
    return true;
}

static void check_host(const struct wsr_url *url)
{
    char text[64];
    struct in6_addr address;
    struct in_addr old;
    const bool is_text = text_of(url->host, text);
    if (url->host_kind == WSR_URL_IPV4)
        CHECK(is_text && inet_pton(AF_INET, text, &address) == 1);
    else if (url->host_kind == WSR_URL_IPV6)
        CHECK(is_text && inet_pton(AF_INET6, text, &address) == 1);
    else
        CHECK(!is_text || inet_aton(text, &old) == 0); /* "127.1" and its like: getaddrinfo takes them for addresses */
}

static void check_lines(const struct wsr_url *url)
{
    wsr_slice authority = written(wsr_url_put_authority, url), target = written(wsr_url_put_target, url), basic = written(wsr_url_put_basic, url);
    CHECK(wsr_upgrade_host_valid(authority));
    CHECK(wsr_upgrade_target_valid(target));
    for (size_t i = 0; i < basic.len; i++)
        CHECK(basic.ptr[i] >= ' ' && basic.ptr[i] < 0x7f);
    drop(authority);
    drop(target);
    drop(basic);
}

static void check_round_trip(const struct wsr_url *url, bool proxy)
{
    struct wsr_url again;
    wsr_slice shown = written(wsr_url_put_shown, url);
    if (shown.len > WSR_URL_BYTES_MAX) { /* "/" and ":" may have come to it */
        drop(shown);
        return;
    }
    CHECK(wsr_url_parse(&again, shown, proxy) == NULL);
    CHECK(again.scheme == url->scheme && again.host_kind == url->host_kind && again.port == url->port && again.user.ptr == NULL);
    CHECK(wsr_http_equal(again.host, url->host) && wsr_http_equal(again.socket, url->socket) && wsr_http_equal(again.query, url->query));
    CHECK(wsr_url_same_origin(url, &again));
    wsr_slice twice = written(wsr_url_put_shown, &again);
    CHECK(wsr_http_equal(shown, twice));
    drop(twice);
    drop(shown);
}

static void check_url(const struct wsr_url *url, wsr_slice text, bool proxy)
{
    CHECK(lies_in(url->user, text) && lies_in(url->password, text) && lies_in(url->host, text));
    CHECK(lies_in(url->socket, text) && lies_in(url->path, text) && lies_in(url->query, text));
    CHECK(wsr_url_is_unix(url) ? url->socket.len > 0 && url->host.len == 0 : url->port != 0 && url->host.len > 0);
    CHECK(url->host.len <= WSR_URL_HOST_MAX);
    if (!wsr_url_is_unix(url))
        check_host(url);
    if (!proxy)
        check_lines(url);
    check_round_trip(url, proxy);
}

static bool has_dots(wsr_slice path)
{
    for (size_t i = 0; i < path.len; i++) {
        wsr_slice here = rest_of(path, i);
        const size_t dots = here.len > 2 && here.ptr[1] == '.' && here.ptr[2] == '.' ? 2 : here.len > 1 && here.ptr[1] == '.' ? 1 : 0;
        if (here.ptr[0] == '/' && dots > 0 && (here.len == dots + 1 || here.ptr[dots + 1] == '/'))
            return true;
    }
    return false;
}

static wsr_slice the_reference;

static void put_resolved(struct wsr_http_out *out, const struct wsr_url *base)
{
    CHECK(wsr_url_resolve(out, base, the_reference));
}

static void check_resolve(const struct wsr_url *base, wsr_slice reference)
{
    struct wsr_http_out probe = {NULL, 0, 0};
    if (!wsr_url_resolve(&probe, base, reference)) {
        CHECK(reference.len > WSR_URL_BYTES_MAX);
        return;
    }
    the_reference = reference;
    wsr_slice resolved = written(put_resolved, base);
    struct wsr_url url;
    const bool good = wsr_url_parse(&url, resolved, false) == NULL;
    const bool colon = reference.len > 0 && memchr(reference.ptr, ':', reference.len) != NULL;
    const bool relative = !colon && !(reference.len > 1 && reference.ptr[0] == '/' && reference.ptr[1] == '/');
    if (good && relative) {
        CHECK(wsr_url_same_origin(base, &url));
        CHECK(url.user.ptr == NULL);
        /* a path that is kept as it is may have them */
        CHECK(reference.len == 0 || reference.ptr[0] == '?' || reference.ptr[0] == '#' || !has_dots(url.path));
    }
    if (good)
        check_url(&url, resolved, false);
    drop(resolved);
}

/* In brackets stands what inet_pton takes, no more and no less. */
static void check_bracketed(wsr_slice text)
{
    char address[64], whole[80];
    struct in6_addr room;
    struct wsr_url url;
    if (!text_of(text, address) || strchr(address, ']') != NULL)
        return;
    const int n = snprintf(whole, sizeof whole, "ws://[%s]", address);
    const bool good = wsr_url_parse(&url, (wsr_slice){(const uint8_t *)whole, (size_t)n}, false) == NULL;
    CHECK(good == (inet_pton(AF_INET6, address, &room) == 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line_end = size > 0 ? memchr(data, '\n', size) : NULL;
    const size_t len = line_end != NULL ? (size_t)(line_end - data) : size, skipped = line_end != NULL ? len + 1 : len;
    uint8_t *copy = copy_of(data, len), *more = copy_of(data + skipped, size - skipped);
    const wsr_slice text = {copy, len}, reference = {more, size - skipped};
    struct wsr_url url;
    if (wsr_url_parse(&url, text, true) == NULL)
        check_url(&url, text, true);
    if (wsr_url_parse(&url, text, false) == NULL) {
        check_url(&url, text, false);
        check_resolve(&url, reference);
    }
    check_bracketed(reference);
    free(copy);
    free(more);
    return 0;
}
