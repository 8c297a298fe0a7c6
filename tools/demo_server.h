/*
 * tools/demo_server.h - the demo's server: an echo (echo.h) in a process of its own, and the same again after it has gone.
 */
#ifndef TOOLS_DEMO_SERVER_H
#define TOOLS_DEMO_SERVER_H

#include <sys/types.h>

#include "tools/echo.h"

struct demo_server {
    pid_t pid;         /* 0: none */
    int to, from;      /* pipes */
    uint16_t port;     /* once it listens */
    struct echo_totals totals; /* once it has ended */
    int exit_code;
};

/* Forks a process that waits to be started. Before the caller has an engine, whose descriptors it would share. Returns an exit code. */
int demo_server_prepare(struct demo_server *server);

/* Has it listen on this port of 127.0.0.1, 0: a free one; waits until it does. Returns an exit code; what failed was said. */
int demo_server_start(struct demo_server *server, uint16_t port);

/* Tells it to go: it drains. */
void demo_server_drain(struct demo_server *server);

/* Waits for its end, and takes what it counted. One that was never started ends at once. */
void demo_server_wait(struct demo_server *server);

#endif
