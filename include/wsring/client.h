/*
 * wsring/client.h - connecting as a client (RFC 6455 section 4.1). On top of engine.h; the same events as a server's.
 */
#ifndef WSRING_CLIENT_H
#define WSRING_CLIENT_H

#include <wsring/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zero means the default in brackets. Begin with WSR_CONNECT_CONFIG_INIT. Strings are copied. */
typedef struct wsr_connect_config {
    size_t size;
    const char *address;      /* numeric IPv4 or IPv6 address to connect to; required */
    uint16_t port;            /* required */
    const char *host;         /* the Host header [NULL: address and port] */
    const char *target;       /* "/path?query" [NULL: "/"] */
    const char *subprotocols; /* offered, comma-separated [NULL: none] */
    const char *headers;      /* further header lines, each ended by CR LF [NULL: none] */
    void *user;
    wsr_deflate deflate;      /* permessage-deflate, offered [off] */
} wsr_connect_config;

#define WSR_CONNECT_CONFIG_INIT { .size = sizeof(wsr_connect_config) }

/*
 * Begins to connect. OPEN or CLOSED follows (CLOSED with cause WSR_ECONNECT and errno if the transport could not be had,
 * WSR_EREFUSED and the status if the server refused). Returns 0; WSR_ECONFIG; WSR_EINVAL (address is not numeric);
 * WSR_ELIMIT; WSR_ESYS; WSR_ENOMEM; WSR_ERANDOM. *out is written only on success.
 */
WSR_API WSR_MUST_USE int wsr_connect(wsr_engine *engine, const wsr_connect_config *config, wsr_conn *out);

#ifdef __cplusplus
}
#endif

#endif
