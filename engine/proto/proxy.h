/*
 * proto/proxy.h - the client's side of a proxy's handshake: HTTP CONNECT (RFC 9110 section 9.3.6) and SOCKS 5 (RFC 1928, with
 * the user and password of RFC 1929), where the proxy resolves names. Behind it the stream is the target's own: TLS, or the upgrade.
 *
 *     wsr_proxy_start; then, until it is no longer GOING: send what is pending, give it what comes
 *
 * Pure: no allocation, input, output or clock; how long it may take is for whoever owns it. What it is not: a connection to
 * the proxy (client/dial.h), or TLS to it.
 */
#ifndef WSR_PROTO_PROXY_H
#define WSR_PROTO_PROXY_H

#include "proto/http.h"

#define WSR_PROXY_HOST_MAX 255u /* bytes: what a domain name has, and SOCKS 5 has room for */
#define WSR_PROXY_USER_MAX 255u /* RFC 1929 section 2; a password likewise */

enum wsr_proxy_kind { WSR_PROXY_CONNECT, WSR_PROXY_SOCKS5 };

enum wsr_proxy_state {
    WSR_PROXY_GOING,
    WSR_PROXY_DONE,  /* every byte from here on is between us and the target */
    WSR_PROXY_FAILED /* error, http_status and detail say why */
};

/* What is asked of a proxy. All slices are copied. */
struct wsr_proxy_ask {
    enum wsr_proxy_kind kind;
    wsr_slice host; /* the target: a name, an IPv4 address, or an IPv6 address without brackets; 1 to WSR_PROXY_HOST_MAX bytes */
    wsr_slice address; /* if host is numeric: the same in 4 or 16 bytes, in network order; else empty */
    uint16_t port;
    wsr_slice user, password; /* decoded, at most WSR_PROXY_USER_MAX bytes each; user.ptr NULL: none */
};

/*
 * CONNECT with its longest host twice (255 bytes, brackets and port) and the base64 of 511 bytes (684) has some 1,320 bytes;
 * SOCKS 5 sends up to 3 + 513 + 262.
 */
#define WSR_PROXY_TEXT_MAX 1408u

struct wsr_proxy {
    uint8_t kind;           /* wsr_proxy_kind */
    uint8_t state;          /* wsr_proxy_state */
    uint8_t step;           /* of SOCKS 5 */
    uint16_t answer_len;    /* bytes of answer */
    int error;              /* WSR_OK, or WSR_EPROXY */
    uint16_t http_status;   /* of an answer to CONNECT, once there is one */
    uint16_t text_len;      /* of what may be sent by now; a later step adds to it */
    uint16_t sent;
    uint16_t parts[3];      /* SOCKS 5: where greeting, user and password, and request end in text */
    struct wsr_http_scan scan;
    uint8_t answer[4 + 1 + 255 + 2]; /* SOCKS 5: of this step; CONNECT: the beginning of the first line */
    char detail[96];        /* one line for a person, NUL-terminated: what the proxy said */
    uint8_t text[WSR_PROXY_TEXT_MAX];
};

/* Begins. Returns 0, or WSR_ECONFIG: a length is out of its range, or host holds what no host has. */
WSR_MUST_USE int wsr_proxy_start(struct wsr_proxy *proxy, const struct wsr_proxy_ask *ask);

/* What is to be sent now, in one piece, in proxy; empty: nothing. It stays where it is until it was sent. */
wsr_slice wsr_proxy_pending(const struct wsr_proxy *proxy);

/* The first `bytes` of it were sent. */
void wsr_proxy_sent(struct wsr_proxy *proxy, size_t bytes);

/*
 * Takes in bytes of the proxy's, returns how many: less than len once it is DONE (the rest is the target's) or FAILED. An
 * answer may come before all was sent. The same at any split.
 */
size_t wsr_proxy_take(struct wsr_proxy *proxy, const uint8_t *p, size_t len);

static inline enum wsr_proxy_state wsr_proxy_state(const struct wsr_proxy *proxy)
{
    return (enum wsr_proxy_state)proxy->state;
}

#endif
