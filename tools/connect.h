/*
 * tools/connect.h - what the modules of `wsring connect` share: what was asked for.
 *
 * connect.c is the command line, connect_session.c the loop, connect_show.c what goes to standard output, connect_report.c what
 * goes to standard error.
 */
#ifndef TOOLS_CONNECT_H
#define TOOLS_CONNECT_H

#include <wsring/client.h>

#include "tools/cmd.h"
#include "tools/input.h"

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
