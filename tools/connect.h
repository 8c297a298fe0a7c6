/*
 * tools/connect.h - what the modules of `wsring connect` share: what was asked for, and the exit codes.
 *
 * connect.c is the command line, connect_session.c the loop, connect_show.c what goes to standard output, connect_report.c what
 * goes to standard error.
 */
#ifndef TOOLS_CONNECT_H
#define TOOLS_CONNECT_H

#include <wsring/client.h>

#include "tools/input.h"

/* Why it ended, for scripts. Those below 100 are curl's numbers where curl has one for the same; --help lists them all. */
enum connect_exit {
    CONNECT_OK = 0,             /* 1000, or a Close without a code, or this end closed, and what was sent arrived */
    CONNECT_FAILED = 1,         /* this end's own trouble: memory, standard output, a line that cannot be sent */
    CONNECT_NO_NAME = 6,
    CONNECT_NO_CONNECTION = 7,  /* refused or unreachable */
    CONNECT_GOING_AWAY = 10,    /* 1001, 1012, 1013: come back later */
    CONNECT_PROTOCOL = 11,      /* 1002, 1003, 1007, 1009, 1010 of either end, or an answer that is no WebSocket's */
    CONNECT_OTHER_CLOSE = 12,   /* 1008, 1011, 1014, 3000-4999 */
    CONNECT_HTTP = 22,          /* the server answered the handshake with another status than 101 */
    CONNECT_TIMEOUT = 28,
    CONNECT_TLS = 35,
    CONNECT_BROKEN = 56,        /* 1006: the connection ended without a Close */
    CONNECT_CERTIFICATE = 60,
    CONNECT_USAGE = 64,
    CONNECT_PROXY = 97,
    CONNECT_CUT = 130           /* a second signal, or one before the connection was open */
};

#define CONNECT_FOREVER UINT64_MAX

struct connect_options {
    wsr_connect_config connect;
    wsr_config engine;
    enum input_cut cut;
    bool binary, json, quiet, verbose, insecure;
    uint64_t count;       /* close after this many messages received; 0: no such number */
    uint64_t wait_ns;     /* how long to be silent behind the end of the input; CONNECT_FOREVER */
    uint16_t close_code;  /* what to close with when all is done */
    const char *close_reason;
};

#endif
