/*
 * client/url_write.c - URLs and their parts put together (see url.h), and references resolved. RFC 3986 section 5.
 */
#include <string.h>

#include "client/slices.h"
#include "client/url.h"
#include "proto/key.h"

/* ---- parts ---- */

static void put_text(struct wsr_http_out *out, const char *text)
{
    wsr_http_put(out, (wsr_slice){(const uint8_t *)text, strlen(text)});
}

static void put_byte(struct wsr_http_out *out, uint8_t byte)
{
    wsr_http_put(out, (wsr_slice){&byte, 1});
}

static const struct wsr_url_scheme_row *row_of(const struct wsr_url *url)
{
    const struct wsr_url_scheme_row *row = wsr_url_schemes;
    while (row->scheme != url->scheme)
        row++;
    return row;
}

static void put_host(struct wsr_http_out *out, const struct wsr_url *url)
{
    const bool bracketed = url->host_kind == WSR_URL_IPV6;
    if (bracketed)
        put_byte(out, '[');
    wsr_http_put(out, url->host);
    if (bracketed)
        put_byte(out, ']');
}

static void put_port(struct wsr_http_out *out, const struct wsr_url *url)
{
    uint8_t digits[6];
    size_t at = sizeof digits;
    for (unsigned port = url->port; port > 0; port /= 10)
        digits[--at] = (uint8_t)('0' + port % 10);
    digits[--at] = ':';
    if (url->port != row_of(url)->port)
        wsr_http_put(out, (wsr_slice){digits + at, sizeof digits - at});
}

void wsr_url_put_authority(struct wsr_http_out *out, const struct wsr_url *url)
{
    if (wsr_url_is_unix(url)) {
        put_text(out, "localhost");
        return;
    }
    put_host(out, url);
    put_port(out, url);
}

void wsr_url_put_target(struct wsr_http_out *out, const struct wsr_url *url)
{
    if (url->path.len == 0)
        put_byte(out, '/');
    wsr_http_put(out, url->path);
    wsr_http_put(out, url->query);
}

static void put_scheme_and_place(struct wsr_http_out *out, const struct wsr_url *url)
{
    put_text(out, row_of(url)->name);
    put_text(out, "://");
    if (!wsr_url_is_unix(url)) {
        wsr_url_put_authority(out, url);
        return;
    }
    wsr_http_put(out, url->socket);
    put_byte(out, ':');
}

void wsr_url_put_shown(struct wsr_http_out *out, const struct wsr_url *url)
{
    put_scheme_and_place(out, url);
    wsr_url_put_target(out, url);
}

void wsr_url_put_server_name(struct wsr_http_out *out, const struct wsr_url *url)
{
    if (wsr_url_is_unix(url)) {
        put_text(out, "localhost");
        return;
    }
    wsr_slice host = url->host;
    if (host.len > 0 && host.ptr[host.len - 1] == '.')
        host.len--;
    wsr_http_put(out, host);
}

/* ---- percent-encoding and credentials ---- */

static uint8_t hex_value(uint8_t c)
{
    return (uint8_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

void wsr_url_put_decoded(struct wsr_http_out *out, wsr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte == '%' && text.len - i > 2) { /* always: the parser has looked */
            byte = (uint8_t)(hex_value(text.ptr[i + 1]) << 4 | hex_value(text.ptr[i + 2]));
            i += 2;
        }
        put_byte(out, byte);
    }
}

/* RFC 7617 section 2: "the user-id, a single colon and the password", in base64. */
void wsr_url_put_basic(struct wsr_http_out *out, const struct wsr_url *url)
{
    uint8_t plain[2 * WSR_URL_USER_MAX + 1], text[WSR_BASE64_LEN(sizeof plain)];
    if (url->user.ptr == NULL)
        return;
    struct wsr_http_out credentials = {plain, sizeof plain, 0};
    wsr_url_put_decoded(&credentials, url->user);
    put_byte(&credentials, ':');
    wsr_url_put_decoded(&credentials, url->password);
    wsr_base64(plain, credentials.len, text);
    put_text(out, "Basic ");
    wsr_http_put(out, (wsr_slice){text, WSR_BASE64_LEN(credentials.len)});
}

/* ---- references ---- */

/*
 * RFC 3986 section 5.2.4, in place: drops "." and "..", each with the segment it undoes. A path begins with '/', or is empty.
 * Returns the new length.
 */
static size_t remove_dots(uint8_t *path, size_t len)
{
    size_t to = 0;
    for (size_t i = 0, n; i < len; i += n) { /* at a '/' */
        n = 1 + wsr_slice_span((wsr_slice){path + i + 1, len - i - 1}, "/");
        const bool last = i + n == len, one = n == 2 && path[i + 1] == '.', two = n == 3 && path[i + 1] == '.' && path[i + 2] == '.';
        if (!one && !two) {
            memmove(path + to, path + i, n);
            to += n;
            continue;
        }
        while (two && to > 0 && path[--to] != '/')
            ;
        if (last)
            path[to++] = '/';
    }
    return to;
}

/* RFC 3986 section 5.2.3: a relative path takes the place of what stands behind the base's last '/'. */
static void put_merged(struct wsr_http_out *out, wsr_slice base, wsr_slice path)
{
    uint8_t room[2 * WSR_URL_BYTES_MAX + 1];
    struct wsr_http_out merged = {room, sizeof room, 0};
    if (path.len == 0 || path.ptr[0] != '/') {
        while (base.len > 0 && base.ptr[base.len - 1] != '/')
            base.len--;
        wsr_http_put(&merged, base);
        if (base.len == 0)
            put_byte(&merged, '/');
    }
    wsr_http_put(&merged, path);
    wsr_http_put(out, (wsr_slice){room, remove_dots(room, merged.len)});
}

/* RFC 3986 section 3.1. The length of a scheme before ':'; 0: a relative reference. */
static size_t scheme_len(wsr_slice text)
{
    size_t n = wsr_slice_span(text, ":/?");
    return n < text.len && text.ptr[n] == ':' ? n : 0;
}

/* An absolute reference. A server answers as HTTP, so its redirects may say http where they mean ws (WHATWG URL does likewise). */
static void put_absolute(struct wsr_http_out *out, wsr_slice reference, size_t scheme)
{
    if (wsr_http_equal_nocase(wsr_slice_first(reference, scheme), WSR_SLICE("http")))
        put_text(out, "ws");
    else if (wsr_http_equal_nocase(wsr_slice_first(reference, scheme), WSR_SLICE("https")))
        put_text(out, "wss");
    else
        wsr_http_put(out, wsr_slice_first(reference, scheme));
    wsr_http_put(out, wsr_slice_without(reference, scheme));
}

bool wsr_url_resolve(struct wsr_http_out *out, const struct wsr_url *base, wsr_slice reference)
{
    reference = wsr_slice_first(reference, wsr_slice_span(reference, "#"));
    if (reference.len > WSR_URL_BYTES_MAX)
        return false;
    const size_t scheme = scheme_len(reference);
    if (scheme > 0) {
        put_absolute(out, reference, scheme);
        return true;
    }
    if (reference.len >= 2 && memcmp(reference.ptr, "//", 2) == 0) {
        put_text(out, wsr_url_is_secure(base) ? "wss:" : "ws:");
        wsr_http_put(out, reference);
        return true;
    }
    const size_t path = wsr_slice_span(reference, "?");
    put_scheme_and_place(out, base);
    if (path > 0)
        put_merged(out, base->path, wsr_slice_first(reference, path));
    else if (base->path.len > 0)
        wsr_http_put(out, base->path);
    else
        put_byte(out, '/');
    wsr_http_put(out, path < reference.len || path > 0 ? wsr_slice_without(reference, path) : base->query);
    return true;
}
