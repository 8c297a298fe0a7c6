/*
 * client/redirect.c - see redirect.h.
 */
#include "client/redirect.h"

#include <string.h>

#include "base/bytes.h"

/* RFC 9110 section 15.4: what is for the old place alone "MUST be considered for removal [...] Authorization and Cookie". */
static bool is_credential(wsr_slice name)
{
    return wsr_http_equal_nocase(name, WSR_SLICE("authorization")) || wsr_http_equal_nocase(name, WSR_SLICE("cookie")) ||
           wsr_http_equal_nocase(name, WSR_SLICE("proxy-authorization"));
}

/* Header lines, with or without those. They were checked: each ends with CR LF. */
static void put_headers(struct wsr_http_out *out, const char *headers, bool credentials)
{
    wsr_slice lines = wsr_slice_of(headers);
    while (lines.len > 0) {
        const uint8_t *line = lines.ptr;
        wsr_header header;
        if (!wsr_http_line_next(&lines, &header))
            return;
        const size_t len = lines.len > 0 ? (size_t)(lines.ptr - line) : strlen((const char *)line);
        if (credentials || !is_credential(header.name))
            wsr_http_put(out, (wsr_slice){line, len});
    }
}

static const wsr_header *location_of(const wsr_response *answer)
{
    const wsr_header *found = NULL;
    for (unsigned i = 0; answer != NULL && i < answer->headers_n; i++) {
        if (!wsr_http_equal_nocase(answer->headers[i].name, WSR_SLICE("location")))
            continue;
        if (found != NULL)
            return NULL;
        found = &answer->headers[i];
    }
    return found;
}

/* May one go from here to there? NULL, or why not. */
static const char *judge(const struct wsr_url *from, const struct wsr_url *to)
{
    if (wsr_url_is_secure(from) && !wsr_url_is_secure(to))
        return "the server sends the client from wss to ws, which is refused";
    if (wsr_url_is_unix(to) && !wsr_url_same_origin(from, to))
        return "the server sends the client to a socket of its own host, which is refused";
    return NULL;
}

/* The texts of a redirect, one behind the other, each NUL-terminated: the URL, the URL shown, header lines. */
static bool put_texts(struct wsr_http_out *out, const struct wsr_client *client, wsr_slice location, size_t at[3])
{
    const wsr_slice nul = {(const uint8_t *)"", 1};
    const struct wsr_url *base = &client->urls[client->endpoint];
    struct wsr_url url;
    at[0] = 0;
    if (!wsr_url_resolve(out, base, location))
        return false;
    at[1] = out->len + 1;
    const bool written = out->len < out->cap;
    wsr_http_put(out, nul);
    if (!written) { /* measuring: a URL is not shown longer than it is, but for a path of "/" and brackets */
        out->len += out->len + 3;
        at[2] = out->len;
        put_headers(out, client->headers, true);
        wsr_http_put(out, nul);
        return true;
    }
    if (wsr_url_parse(&url, (wsr_slice){out->ptr, at[1] - 1}, false) != NULL)
        return false;
    wsr_url_put_shown(out, &url);
    wsr_http_put(out, nul);
    at[2] = out->len;
    put_headers(out, client->headers, wsr_url_same_origin(base, &url));
    wsr_http_put(out, nul);
    return true;
}

/* Takes the place of what was the URL; memory, in which its texts are, is the redirect's from now on. */
static void install(wsr_engine *engine, struct wsr_client *client, struct wsr_redirect *redirect, struct wsr_url to, char *memory, size_t bytes,
                    const size_t at[3])
{
    const struct wsr_url from = client->urls[client->endpoint];
    const bool same = wsr_url_same_origin(&from, &to);
    to.user = same ? from.user : (wsr_slice){NULL, 0};
    to.password = same ? from.password : (wsr_slice){NULL, 0};
    if (redirect->memory != NULL) {
        wsr_pool_put_exact(&engine->env.pool, redirect->memory, redirect->bytes);
    } else {
        redirect->instead_of = from;
        redirect->headers = client->headers;
    }
    redirect->memory = memory;
    redirect->bytes = bytes;
    client->elsewhere |= !same;
    redirect->shown = memory + at[1];
    client->headers = memory + at[2];
    client->urls[client->endpoint] = to;
}

int wsr_redirect_follow(wsr_engine *engine, struct wsr_client *client, struct wsr_redirect *redirect, const wsr_response *answer, const char **why)
{
    struct wsr_pool *pool = &engine->env.pool;
    const wsr_header *location = location_of(answer);
    if (answer == NULL)
        return WSR_ENOMEM;
    *why = "the server sends the client elsewhere, but does not say where";
    if (location == NULL)
        return WSR_EURL;
    size_t at[3];
    struct wsr_http_out measure = {NULL, 0, 0};
    *why = "the server sends the client to a place that is none";
    if (!put_texts(&measure, client, location->value, at))
        return WSR_EURL;
    char *memory = wsr_pool_get_exact(pool, measure.len);
    if (memory == NULL)
        return WSR_ENOMEM;
    struct wsr_http_out out = {(uint8_t *)memory, measure.len, 0};
    struct wsr_url to;
    if (put_texts(&out, client, location->value, at) && out.len <= out.cap &&
        wsr_url_parse(&to, (wsr_slice){(uint8_t *)memory, at[1] - 1}, false) == NULL)
        *why = judge(&client->urls[client->endpoint], &to);
    if (*why != NULL) {
        wsr_pool_put_exact(pool, memory, measure.len);
        return WSR_EURL;
    }
    install(engine, client, redirect, to, memory, measure.len, at);
    return WSR_OK;
}

void wsr_redirect_end(wsr_engine *engine, struct wsr_client *client, struct wsr_redirect *redirect)
{
    if (redirect->memory == NULL)
        return;
    client->urls[client->endpoint] = redirect->instead_of;
    client->headers = redirect->headers;
    client->elsewhere = false;
    wsr_pool_put_exact(&engine->env.pool, redirect->memory, redirect->bytes);
    *redirect = (struct wsr_redirect){.memory = NULL};
}
