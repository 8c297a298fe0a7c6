/*
 * tools/host.h - the options about the host that a server runs on: its sockets, its memory, how it waits; a child for its argp.
 */
#ifndef TOOLS_HOST_H
#define TOOLS_HOST_H

#include <argp.h>
#include <wsring/server.h>

/* The child's input: what it writes to. */
struct host_options {
    wsr_config *engine;
    wsr_listen_config *listen;
    char address[64]; /* of an inherited socket, which listen->address then points to */
};

extern const struct argp host_argp; /* --proxy-protocol, --inherit, --user-timeout, --keepalive, --dscp, --memory-max, --reserve, --wait ... */

#endif
