/*
 * tests/lib/storm_server.h - the server of a storm, a process of its own for each of its lives: it echoes, is drained with 1001,
 * and its next life may be too busy at first, which it says with 503 and Retry-After.
 */
#ifndef TESTS_LIB_STORM_SERVER_H
#define TESTS_LIB_STORM_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define STORM_RETRY_AFTER_S 2u

struct storm_server_config {
    uint16_t port;
    uint64_t busy_ns;   /* for so long after it listens it refuses everybody */
    uint64_t spread_ns; /* of the drain */
    bool takes_leavers; /* those who ask for /leaver may come in this life */
};

/* What it counted, told at its end. */
struct storm_server_report {
    uint64_t opened, refused, received, echoed, goodbyes; /* goodbyes: connections that it closed with 1000, being asked to */
    uint64_t late;       /* of received: behind its Close, where no echo can follow */
    uint64_t came_back;  /* requests of leavers that should have stayed away */
    uint64_t cut;        /* connections left at the drain's deadline */
};

struct storm_server {
    pid_t pid;
    int pipe[2]; /* to it, from it */
    uint64_t listening_ns; /* CLOCK_MONOTONIC */
};

/* Forks it; it waits. To be called before the caller opens an engine of its own. */
bool storm_server_fork(struct storm_server *server, const struct storm_server_config *config);
/* Lets it listen, and waits until it does. */
bool storm_server_go(struct storm_server *server);
/* Tells it to drain. */
void storm_server_drain(struct storm_server *server);
/* Waits for its end. False: it did not end well. */
bool storm_server_end(struct storm_server *server, struct storm_server_report *report);
/* Ends it if it is still there. */
void storm_server_kill(struct storm_server *server);

#endif
