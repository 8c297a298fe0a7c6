/*
 * tools/url.c - see url.h.
 */
#include "tools/url.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tools/parse.h"

/* Copies text[0..len) and a NUL. */
static bool copy(char *out, size_t cap, const char *text, size_t len)
{
    if (len >= cap)
        return false;
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

static bool is_numeric(const char *host)
{
    unsigned char room[16];
    return inet_pton(AF_INET, host, room) == 1 || inet_pton(AF_INET6, host, room) == 1;
}

/* "127.0.0.1:8080", "[::1]:8080", "localhost" into address and port. */
static const char *parse_authority(const char *text, struct url *out)
{
    const char *host = text, *after;
    size_t len;
    if (*text == '[') {
        host++;
        const char *bracket = strchr(host, ']');
        if (bracket == NULL)
            return "the IPv6 address is not closed with ']'";
        len = (size_t)(bracket - host);
        after = bracket + 1;
    } else {
        len = strcspn(host, ":");
        after = host + len;
    }
    if (!copy(out->address, sizeof out->address, host, len))
        return "the host is too long";
    if (strcasecmp(out->address, "localhost") == 0)
        strcpy(out->address, "127.0.0.1");
    if (!is_numeric(out->address))
        return "the host must be a numeric address or localhost (an IPv6 address in brackets)";

    out->port = 80;
    uint64_t port;
    if (*after == ':') {
        if (!parse_number(after + 1, 1, 65535, &port))
            return "the port must be a number from 1 to 65535";
        out->port = (uint16_t)port;
    } else if (*after != '\0') {
        return "what follows the host is neither a port nor a path";
    }
    return NULL;
}

const char *url_parse(const char *text, struct url *out)
{
    if (strncasecmp(text, "wss://", 6) == 0)
        return "wss:// needs TLS, which this command does not speak yet; use ws://";
    if (strncasecmp(text, "ws://", 5) != 0)
        return "it must begin with ws://";
    text += 5;
    /* RFC 6455 section 3: "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used". */
    if (strchr(text, '#') != NULL)
        return "a WebSocket URL has no '#' part";
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return "it holds a blank or a control character";
    }
    size_t len = strcspn(text, "/?");
    if (len == 0)
        return "it names no host";
    if (memchr(text, '@', len) != NULL)
        return "a user name in it is not supported";
    if (!copy(out->authority, sizeof out->authority, text, len))
        return "the host is too long";
    const char *target = text + len;
    int n = snprintf(out->target, sizeof out->target, "%s%s", *target == '/' ? "" : "/", target);
    if (n < 0 || (size_t)n >= sizeof out->target)
        return "the path is too long";
    return parse_authority(out->authority, out);
}
