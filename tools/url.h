/*
 * tools/url.h - a ws:// URL taken apart (RFC 6455 section 3), for the programs here: a numeric host or localhost.
 *
 * What is not here: names (the library resolves none yet) and wss.
 */
#ifndef TOOLS_URL_H
#define TOOLS_URL_H

#include <stdint.h>

struct url {
    char address[64];    /* numeric IPv4 or IPv6, without brackets */
    uint16_t port;       /* 80 if the URL names none */
    char authority[128]; /* as written, "host:port": the Host header */
    char target[1024];   /* "/path?query", at least "/" */
};

/* Returns NULL and fills *out, or says in one line (static storage) what is wrong with text. */
const char *url_parse(const char *text, struct url *out);

#endif
