/*
 * client/url.h - the URLs a client is given, taken apart and put together (RFC 3986, RFC 6455 section 3), and the place that a
 * redirect names, found from where it was said (RFC 3986 section 5).
 *
 * Pure: slices of the text that was parsed, writers into room of the caller's; no allocation, no look-up of names. What it is
 * not: lenient. What two readers could understand in two ways (a backslash, "127.1", a blank, a second '@') is refused.
 */
#ifndef WSR_CLIENT_URL_H
#define WSR_CLIENT_URL_H

#include <wsring/types.h>

#include "proto/http.h"

#define WSR_URL_BYTES_MAX 8192u     /* of one URL */
#define WSR_URL_HOST_MAX 254u       /* bytes: a domain name (RFC 1035 section 2.3.4) and a final dot */
#define WSR_URL_USER_MAX 255u       /* bytes decoded; a password likewise */
#define WSR_URL_PATH_MAX 107u       /* bytes decoded: what struct sockaddr_un has room for */

enum wsr_url_scheme { WSR_URL_WS, WSR_URL_WSS, WSR_URL_WS_UNIX, WSR_URL_WSS_UNIX, WSR_URL_HTTP, WSR_URL_SOCKS5 };

/* A row a scheme; the first of each is how it is written here. */
struct wsr_url_scheme_row {
    const char *name;
    uint8_t scheme;  /* wsr_url_scheme */
    bool proxy;
    uint16_t port;   /* its own; 0: none */
};
#define WSR_URL_SCHEMES 7u
extern const struct wsr_url_scheme_row wsr_url_schemes[WSR_URL_SCHEMES];

enum wsr_url_host { WSR_URL_NAME, WSR_URL_IPV4, WSR_URL_IPV6 };

/* All slices lie in the text. */
struct wsr_url {
    uint8_t scheme;     /* wsr_url_scheme */
    uint8_t host_kind;  /* wsr_url_host */
    uint16_t port;      /* the scheme's own where none is written; 0 with a unix socket */
    wsr_slice user, password; /* percent-encoded as written; user.ptr NULL: none; password.ptr NULL: none but perhaps a user */
    wsr_slice host;     /* without brackets; empty with a unix socket */
    wsr_slice socket;   /* the path of a unix socket, percent-encoded as written; else empty */
    wsr_slice path;     /* "/chat", as written; may be empty */
    wsr_slice query;    /* "?x=1" with its question mark; empty: none */
};

/*
 * Takes apart what a client connects to (ws, wss, ws+unix, wss+unix), or, if proxy is set, what it connects through (http,
 * socks5, socks5h). Returns NULL, or in one line, static, what is wrong with it; *out is then not to be used.
 */
WSR_MUST_USE const char *wsr_url_parse(struct wsr_url *out, wsr_slice text, bool proxy);

/* Is TLS spoken? */
static inline bool wsr_url_is_secure(const struct wsr_url *url)
{
    return url->scheme == WSR_URL_WSS || url->scheme == WSR_URL_WSS_UNIX;
}

static inline bool wsr_url_is_unix(const struct wsr_url *url)
{
    return url->scheme == WSR_URL_WS_UNIX || url->scheme == WSR_URL_WSS_UNIX;
}

/* Same scheme, host and port (RFC 6454 section 4), or same scheme and socket: may credentials go along? */
bool wsr_url_same_origin(const struct wsr_url *a, const struct wsr_url *b);

/*
 * Writers; what has no room is counted and not written (proto/http.h).
 * authority: the Host header, without the scheme's own port (RFC 6455 section 4.1 item 4); "localhost" for a unix socket.
 * target:    path and query, at least "/" (section 3).
 * shown:     the whole URL without user and password. Parsed again it gives the same parts.
 * basic:     "Basic ..." of user and password (RFC 7617); nothing if there is no user.
 * server_name: the host as TLS asks for it: a name without its final dot, or an address (RFC 6066 section 3).
 * decoded:   what was percent-encoded, decoded.
 */
void wsr_url_put_authority(struct wsr_http_out *out, const struct wsr_url *url);
void wsr_url_put_target(struct wsr_http_out *out, const struct wsr_url *url);
void wsr_url_put_shown(struct wsr_http_out *out, const struct wsr_url *url);
void wsr_url_put_basic(struct wsr_http_out *out, const struct wsr_url *url);
void wsr_url_put_server_name(struct wsr_http_out *out, const struct wsr_url *url);
void wsr_url_put_decoded(struct wsr_http_out *out, wsr_slice text);

/*
 * Writes the URL that a Location header's value means when the answer came from base (RFC 3986 section 5.2, RFC 9110 section
 * 10.2.2): absolute (http and https become ws and wss), "//host/path", "/path", "path", "?query". A fragment is dropped, user and
 * password of base are not taken along. False: the reference is none. The result is still to be parsed.
 */
WSR_MUST_USE bool wsr_url_resolve(struct wsr_http_out *out, const struct wsr_url *base, wsr_slice reference);

#endif
