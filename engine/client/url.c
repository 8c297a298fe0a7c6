/*
 * client/url.c - see url.h. RFC 3986, RFC 6455 section 3.
 */
#include "client/url.h"

#include <string.h>

#include "base/bytes.h"
#include "client/slices.h"

/* ---- characters ---- */

static bool is_alpha(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(uint8_t c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986 section 2.3 and 2.2. */
static bool is_unreserved(uint8_t c)
{
    return is_alpha(c) || is_digit(c) || wsr_is_one_of(c, "-._~");
}

static bool is_sub_delim(uint8_t c)
{
    return wsr_is_one_of(c, "!$&'()*+,;=");
}

/* "%" HEXDIG HEXDIG at text[i]: its value; -1: it is none. */
static int percent_value(wsr_slice text, size_t i)
{
    if (text.len - i < 3 || hex_value(text.ptr[i + 1]) < 0 || hex_value(text.ptr[i + 2]) < 0)
        return -1;
    return hex_value(text.ptr[i + 1]) * 16 + hex_value(text.ptr[i + 2]);
}

static bool starts_with(wsr_slice text, const char *prefix)
{
    size_t n = strlen(prefix);
    return text.len >= n && memcmp(text.ptr, prefix, n) == 0;
}

/* ---- schemes ---- */

const struct wsr_url_scheme_row wsr_url_schemes[WSR_URL_SCHEMES] = {
    {"ws", WSR_URL_WS, false, 80},
    {"wss", WSR_URL_WSS, false, 443},
    {"ws+unix", WSR_URL_WS_UNIX, false, 0},
    {"wss+unix", WSR_URL_WSS_UNIX, false, 0},
    {"http", WSR_URL_HTTP, true, 80},
    {"socks5", WSR_URL_SOCKS5, true, 1080},
    {"socks5h", WSR_URL_SOCKS5, true, 1080}, /* curl's name for where the proxy resolves, which is always here */
};

/* RFC 3986 section 3.1: scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ). Its length before ":"; 0: there is none. */
static size_t scheme_len(wsr_slice text)
{
    size_t n = 0;
    while (n < text.len && (is_alpha(text.ptr[n]) || (n > 0 && (is_digit(text.ptr[n]) || wsr_is_one_of(text.ptr[n], "+-.")))))
        n++;
    return n < text.len && text.ptr[n] == ':' ? n : 0;
}

/* ---- the authority ---- */

/* Only what is decoded the same way by everybody: unreserved, sub-delims, and whole percent-encodings of no control character. */
static const char *judge_user_part(wsr_slice text, size_t max, bool colon)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++, n++) {
        if (text.ptr[i] != '%') {
            if (!is_unreserved(text.ptr[i]) && !is_sub_delim(text.ptr[i]) && !(colon && text.ptr[i] == ':'))
                return "a character in its user or password must be percent-encoded";
            continue;
        }
        int value = percent_value(text, i);
        if (value < 0)
            return "a '%' in its user or password is not followed by two hexadecimal digits";
        /*
         * RFC 7617 section 2: "The user-id and password MUST NOT contain any control characters"; "a user-id containing a colon
         * character is invalid".
         */
        if (value < ' ' || value == 0x7f || (!colon && value == ':'))
            return "its user or password holds a control character, or its user a colon, which cannot be sent";
        i += 2;
    }
    return n <= max ? NULL : "its user or password is too long";
}

static const char *parse_user(struct wsr_url *url, wsr_slice text)
{
    size_t colon = wsr_slice_span(text, ":");
    url->user = wsr_slice_first(text, colon);
    if (colon < text.len)
        url->password = wsr_slice_without(text, colon + 1);
    const char *problem = judge_user_part(url->user, WSR_URL_USER_MAX, false);
    return problem != NULL ? problem : judge_user_part(url->password, WSR_URL_USER_MAX, true);
}

/* dec-octet = 0 to 255 without a zero before it; *n: how long it is, 0 if it is none. */
static void dec_octet(wsr_slice text, size_t *n)
{
    unsigned value = 0;
    for (*n = 0; *n < text.len && is_digit(text.ptr[*n]); ++*n)
        value = value < 256 ? value * 10 + (text.ptr[*n] - '0') : value;
    if (value > 255 || (*n > 1 && text.ptr[0] == '0'))
        *n = 0;
}

/* RFC 3986 section 3.2.2: IPv4address = four of them with dots between. */
static bool is_ipv4(wsr_slice text)
{
    for (unsigned i = 0; i < 4; i++) {
        size_t n;
        if (i > 0) {
            if (text.len == 0 || text.ptr[0] != '.')
                return false;
            text = wsr_slice_without(text, 1);
        }
        dec_octet(text, &n);
        if (n == 0)
            return false;
        text = wsr_slice_without(text, n);
    }
    return text.len == 0;
}

/* RFC 3986 section 3.2.2: IPv6address = eight groups of one to four digits, a run of which may be "::", the last two an IPv4address. */
static bool is_ipv6(wsr_slice text)
{
    unsigned groups = 0;
    bool gap = false;
    while (text.len > 0) {
        if (starts_with(text, "::")) {
            if (gap)
                return false;
            gap = true;
            text = wsr_slice_without(text, 2);
            if (text.len == 0)
                break;
        } else if (groups > 0) {
            if (text.ptr[0] != ':')
                return false;
            text = wsr_slice_without(text, 1);
        }
        if (is_ipv4(text))
            return gap ? groups + 2 < 8 : groups + 2 == 8;
        size_t n = 0;
        while (n < text.len && n < 4 && hex_value(text.ptr[n]) >= 0)
            n++;
        if (n == 0 || ++groups > 8)
            return false;
        text = wsr_slice_without(text, n);
    }
    return gap ? groups < 8 : groups == 8;
}

/* A label that getaddrinfo would take for a number: digits, or 0x and hexadecimal digits. */
static bool is_number(wsr_slice label)
{
    bool hex = starts_with(label, "0x") || starts_with(label, "0X");
    for (size_t i = hex ? 2 : 0; i < label.len; i++) {
        if (hex ? hex_value(label.ptr[i]) < 0 : !is_digit(label.ptr[i]))
            return false;
    }
    return label.len > 0;
}

/*
 * RFC 3986 lets a reg-name be nearly anything; here it is a name of the DNS or of /etc/hosts. RFC 1035 section 2.3.4: labels have 1
 * to 63 bytes; the name may end in a dot.
 */
static const char *judge_name(wsr_slice host)
{
    wsr_slice rest = host, label = {NULL, 0};
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.ptr[i];
        if (c >= 0x80)
            return "an international host name must be in its ASCII form (xn--...)";
        if (c == '%')
            return "a percent-encoded host name is not supported: an international one must be in its ASCII form (xn--...)";
        if (!is_alpha(c) && !is_digit(c) && !wsr_is_one_of(c, "-._"))
            return "a character that no host name has";
    }
    while (rest.len > 0) {
        label = wsr_slice_first(rest, wsr_slice_span(rest, "."));
        if (label.len == 0)
            return "its host name has an empty part between dots";
        if (label.len > 63)
            return "its host name has a part of more than 63 bytes";
        rest = wsr_slice_without(rest, label.len < rest.len ? label.len + 1 : label.len);
    }
    /* What ends in a number is an IPv4 address or a trap: "127.1" and "0x7f.1" are 127.0.0.1 to some. */
    return is_number(label) ? "its host looks like an IPv4 address and is none" : NULL;
}

static const char *parse_bracketed(struct wsr_url *url, wsr_slice *text)
{
    size_t n = wsr_slice_span(*text, "]");
    if (n == text->len)
        return "the IPv6 address is not closed with ']'";
    url->host = (wsr_slice){text->ptr + 1, n - 1};
    *text = wsr_slice_without(*text, n + 1);
    url->host_kind = WSR_URL_IPV6;
    if (wsr_slice_span(url->host, "%") < url->host.len)
        return "an IPv6 address with a zone is good on this machine only, and not supported";
    return is_ipv6(url->host) ? NULL : "what is in brackets is no IPv6 address";
}

static const char *parse_host(struct wsr_url *url, wsr_slice *text)
{
    if (text->len > 0 && text->ptr[0] == '[')
        return parse_bracketed(url, text);
    url->host = wsr_slice_first(*text, wsr_slice_span(*text, ":"));
    *text = wsr_slice_without(*text, url->host.len);
    if (text->len > 1 && wsr_slice_span(wsr_slice_without(*text, 1), ":") < text->len - 1)
        return "an IPv6 address must be in brackets, and there is one port at most";
    if (url->host.len == 0)
        return "it names no host";
    if (url->host.len > WSR_URL_HOST_MAX)
        return "its host name is too long";
    url->host_kind = is_ipv4(url->host) ? WSR_URL_IPV4 : WSR_URL_NAME;
    return url->host_kind == WSR_URL_IPV4 ? NULL : judge_name(url->host);
}

/* port = *DIGIT, and none, or an empty one, is the scheme's. */
static const char *parse_port(struct wsr_url *url, wsr_slice text)
{
    if (text.len == 0)
        return NULL;
    if (text.ptr[0] != ':')
        return "what follows its host is neither a port nor a path";
    unsigned port = 0;
    for (size_t i = 1; i < text.len; i++) {
        if (!is_digit(text.ptr[i]))
            return "its port is not a number";
        port = port * 10 + (text.ptr[i] - '0');
        if (port > 65535)
            return "its port is not from 1 to 65535";
    }
    if (text.len > 1 && port == 0)
        return "its port is not from 1 to 65535";
    if (text.len > 1)
        url->port = (uint16_t)port;
    return NULL;
}

/* RFC 3986 section 3.2: authority = [ userinfo "@" ] host [ ":" port ] */
static const char *parse_authority(struct wsr_url *url, wsr_slice text)
{
    size_t at = wsr_slice_span(text, "@");
    const char *problem = NULL;
    if (at < text.len) {
        if (wsr_slice_span(wsr_slice_without(text, at + 1), "@") < text.len - at - 1)
            return "it has a second '@': one in a user or password must be percent-encoded (%40)";
        if (at > 0)
            problem = parse_user(url, wsr_slice_first(text, at));
        text = wsr_slice_without(text, at + 1);
    }
    if (problem == NULL)
        problem = parse_host(url, &text);
    return problem != NULL ? problem : parse_port(url, text);
}

/* ---- the whole ---- */

/* RFC 3986 section 2: a URI is made of ASCII characters. */
static const char beyond_ascii[] = "a character beyond ASCII must be percent-encoded";

static const char *parse_path(struct wsr_url *url, wsr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] >= 0x80)
            return beyond_ascii;
    }
    url->path = wsr_slice_first(text, wsr_slice_span(text, "?"));
    url->query = wsr_slice_without(text, url->path.len);
    return NULL;
}

/* ws+unix:///path/of/socket:/target */
static const char *parse_unix(struct wsr_url *url, wsr_slice text)
{
    if (text.len == 0 || text.ptr[0] != '/')
        return "the path of its socket must begin with '/': ws+unix:///path/of/socket:/target";
    url->socket = wsr_slice_first(text, wsr_slice_span(text, ":?"));
    text = wsr_slice_without(text, url->socket.len);
    size_t n = 0;
    for (size_t i = 0; i < url->socket.len; i++, n++) {
        if (url->socket.ptr[i] >= 0x80)
            return beyond_ascii;
        if (url->socket.ptr[i] != '%')
            continue;
        if (percent_value(url->socket, i) <= 0)
            return "a '%' in the path of its socket is not followed by two hexadecimal digits, or by 00";
        i += 2;
    }
    if (n > WSR_URL_PATH_MAX)
        return "the path of its socket has more than 107 bytes";
    if (text.len == 0)
        return NULL;
    if (text.ptr[0] == '?')
        return "behind the path of its socket stands ':' before the target";
    text = wsr_slice_without(text, 1);
    if (text.len > 0 && text.ptr[0] != '/' && text.ptr[0] != '?')
        return "the target behind the path of its socket must begin with '/'";
    return parse_path(url, text);
}

/* What has no place in any part of a URL. What else has none in one of them, that one sees. */
static const char *judge_characters(wsr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c <= ' ' || c == 0x7f)
            return "it holds a blank or a control character";
        /* RFC 6455 section 3: "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used". */
        if (c == '#')
            return "a WebSocket URL has no '#' part";
        if (c == '\\') /* some take it for a '/' */
            return "it holds a backslash";
    }
    return NULL;
}

static const char *parse_scheme(struct wsr_url *url, wsr_slice *text, bool proxy)
{
    const size_t n = scheme_len(*text);
    for (const struct wsr_url_scheme_row *row = wsr_url_schemes; row < wsr_url_schemes + WSR_URL_SCHEMES && n > 0; row++) {
        if (row->proxy != proxy || !wsr_http_equal_nocase(wsr_slice_first(*text, n), wsr_slice_of(row->name)))
            continue;
        *text = wsr_slice_without(*text, n);
        if (!starts_with(*text, "://"))
            return "behind its scheme stands '://'";
        *text = wsr_slice_without(*text, 3);
        url->scheme = row->scheme;
        url->port = row->port;
        return NULL;
    }
    return proxy ? "a proxy's URL begins with http:// or socks5://" : "it must begin with ws://, wss://, ws+unix:// or wss+unix://";
}

const char *wsr_url_parse(struct wsr_url *out, wsr_slice text, bool proxy)
{
    memset(out, 0, sizeof *out);
    if (text.len > WSR_URL_BYTES_MAX)
        return "it is longer than 8192 bytes";
    const char *problem = judge_characters(text);
    if (problem == NULL)
        problem = parse_scheme(out, &text, proxy);
    if (problem != NULL)
        return problem;
    if (wsr_url_is_unix(out))
        return parse_unix(out, text);
    size_t n = wsr_slice_span(text, "/?");
    problem = parse_authority(out, wsr_slice_first(text, n));
    if (problem == NULL)
        problem = parse_path(out, wsr_slice_without(text, n));
    if (problem == NULL && proxy && (out->query.len > 0 || out->path.len > 1))
        return "a proxy's URL has no path";
    return problem;
}

bool wsr_url_same_origin(const struct wsr_url *a, const struct wsr_url *b)
{
    return a->scheme == b->scheme && a->port == b->port && wsr_http_equal_nocase(a->host, b->host) && wsr_http_equal(a->socket, b->socket);
}
