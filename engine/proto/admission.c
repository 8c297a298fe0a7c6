/*
 * proto/admission.c - see admission.h.
 */
#include "proto/admission.h"

#include "proto/upgrade.h"

/* ---- origins ---- */

struct origin {
    wsr_slice scheme, host;
    unsigned port; /* NO_PORT: none given, and the scheme has none that is known */
};

enum { NO_PORT = 65536 };

static unsigned default_port(wsr_slice scheme)
{
    if (wsr_http_equal_nocase(scheme, WSR_SLICE("http")) || wsr_http_equal_nocase(scheme, WSR_SLICE("ws")))
        return 80;
    if (wsr_http_equal_nocase(scheme, WSR_SLICE("https")) || wsr_http_equal_nocase(scheme, WSR_SLICE("wss")))
        return 443;
    return NO_PORT;
}

/* RFC 3986 section 3.1: ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ) */
static bool is_scheme(wsr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i], letter = c | 0x20;
        bool alpha = letter >= 'a' && letter <= 'z';
        if (!alpha && (i == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.')))
            return false;
    }
    return text.len != 0;
}

/* serialized-origin = scheme "://" host [ ":" port ] (RFC 6454 section 7.1). False: it is none. */
static bool read_origin(wsr_slice text, struct origin *out)
{
    size_t i = 0;
    while (i < text.len && text.ptr[i] != ':')
        i++;
    out->scheme = (wsr_slice){text.ptr, i};
    if (!is_scheme(out->scheme) || text.len - i < 3 || text.ptr[i + 1] != '/' || text.ptr[i + 2] != '/')
        return false;
    i += 3;
    wsr_slice host = {text.ptr + i, text.len - i};
    if (!wsr_upgrade_host_valid(host) || host.ptr[host.len - 1] == ':')
        return false;
    /* The port's colon is the last one, unless that is inside of an IP-literal. */
    size_t colon = host.len;
    while (colon > 0 && host.ptr[colon - 1] >= '0' && host.ptr[colon - 1] <= '9')
        colon--;
    out->port = default_port(out->scheme);
    if (colon == 0 || host.ptr[colon - 1] != ':') {
        out->host = host;
        return true;
    }
    out->port = 0;
    for (size_t at = colon; at < host.len; at++)
        out->port = out->port * 10 + (host.ptr[at] - '0');
    out->host = (wsr_slice){host.ptr, colon - 1};
    return true;
}

/* RFC 3986 lets a host have one, but nobody's has: whoever lists it takes it for a pattern. */
static bool has_star(wsr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '*')
            return true;
    }
    return false;
}

bool wsr_admission_origins_valid(wsr_slice origins)
{
    wsr_slice item;
    struct origin origin;
    if (origins.len == 0)
        return true;
    while (wsr_http_list_next(&origins, &item)) {
        if (!wsr_http_equal(item, WSR_SLICE("null")) && !wsr_http_equal(item, WSR_SLICE("none")) &&
            (!read_origin(item, &origin) || has_star(item)))
            return false;
    }
    return true;
}

static bool lists(wsr_slice list, wsr_slice word)
{
    wsr_slice item;
    while (wsr_http_list_next(&list, &item)) {
        if (wsr_http_equal(item, word))
            return true;
    }
    return false;
}

bool wsr_admission_origin_listed(wsr_slice origins, wsr_slice origin)
{
    if (origin.ptr == NULL)
        return lists(origins, WSR_SLICE("none"));
    if (wsr_http_equal(origin, WSR_SLICE("null")))
        return lists(origins, WSR_SLICE("null"));
    struct origin wanted, listed;
    if (!read_origin(origin, &wanted))
        return false;
    wsr_slice item;
    while (wsr_http_list_next(&origins, &item)) {
        if (read_origin(item, &listed) && listed.port == wanted.port && wsr_http_equal_nocase(listed.scheme, wanted.scheme) &&
            wsr_http_equal_nocase(listed.host, wanted.host))
            return true;
    }
    return false;
}

/* ---- paths ---- */

bool wsr_admission_paths_valid(wsr_slice paths)
{
    wsr_slice item;
    if (paths.len == 0)
        return true;
    while (wsr_http_list_next(&paths, &item)) {
        if (!wsr_upgrade_target_valid(item))
            return false;
        for (size_t i = 0; i < item.len; i++) {
            if (item.ptr[i] == '?')
                return false;
        }
    }
    return true;
}

bool wsr_admission_path_listed(wsr_slice paths, wsr_slice path)
{
    return lists(paths, path);
}

int wsr_admission_judge(wsr_slice origins, wsr_slice paths, const wsr_request *request)
{
    /* First, so that a page from elsewhere does not learn what there is. */
    if (origins.len != 0 && !wsr_admission_origin_listed(origins, request->origin))
        return -WSR_REFUSE_FORBIDDEN;
    if (paths.len != 0 && !wsr_admission_path_listed(paths, request->path))
        return -WSR_REFUSE_PATH;
    return 0;
}
