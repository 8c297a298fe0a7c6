/*
 * tools/demo_server.c - see demo_server.h.
 */
#include "tools/demo_server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/prctl.h>
#include <sys/wait.h>

#include "tools/cmd.h"

/* What the server tells the demo through a pipe: once when it listens, once at its end. */
struct note {
    int error, error_errno; /* 0: it listens */
    bool engine;            /* which failed: the engine, or listening */
    uint16_t port;
};

/* --- In the child -------------------------------------------------------------------------------------------------------- */

/* What is written here is smaller than a pipe takes in one piece. */
static bool write_all(int fd, const void *from, size_t len)
{
    return write(fd, from, len) == (ssize_t)len;
}

static bool read_all(int fd, void *to, size_t len)
{
    uint8_t *at = to;
    while (len > 0) {
        ssize_t n = read(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

static int open_echo(struct echo *echo, uint16_t port, const char **stage)
{
    struct echo_config config = {.engine = WSR_CONFIG_INIT, .listen = WSR_LISTEN_CONFIG_INIT, .drain = WSR_DRAIN_CONFIG_INIT};
    config.drain.reason = "the server of the demo goes";
    int error = WSR_ESYS;
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        config.listen.port = port != 0 ? port : cmd_port_candidate(attempt);
        error = echo_open(echo, &config, stage);
        if (error != WSR_ESYS || errno != EADDRINUSE || port != 0)
            break;
    }
    return error;
}

static _Noreturn void live(int in, int out)
{
    struct echo echo;
    struct note note = {0};
    const char *stage = "";
    uint16_t port;
    if (!read_all(in, &port, sizeof port)) /* the demo has ended, or has no use for it */
        _exit(WSR_EXIT_OK);
    note.error = open_echo(&echo, port, &stage);
    note.error_errno = errno;
    note.engine = strcmp(stage, "engine") == 0;
    if (note.error == WSR_OK)
        note.port = wsr_listen_port(echo.engine, echo.listener);
    bool told = write_all(out, &note, sizeof note);
    if (note.error != WSR_OK || !told)
        _exit(WSR_EXIT_FAILED);
    int result = echo_run(&echo);
    echo_close(&echo);
    told = write_all(out, &echo.totals, sizeof echo.totals);
    _exit(result == WSR_OK && told && echo.totals.cut == 0 ? WSR_EXIT_OK : WSR_EXIT_FAILED);
}

/* --- In the demo --------------------------------------------------------------------------------------------------------- */

int demo_server_prepare(struct demo_server *server)
{
    int to[2], from[2];
    memset(server, 0, sizeof *server);
    if (pipe(to) != 0 || pipe(from) != 0) {
        cmd_complain("demo", "cannot make a pipe: %s", strerror(errno));
        return WSR_EXIT_FAILED;
    }
    fflush(stdout);
    server->pid = fork();
    if (server->pid < 0) {
        server->pid = 0;
        cmd_complain("demo", "cannot start the server's process: %s", strerror(errno));
        return WSR_EXIT_FAILED;
    }
    if (server->pid == 0) {
        /* If the demo dies, its server drains. */
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        close(to[1]);
        close(from[0]);
        live(to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    server->to = to[1];
    server->from = from[0];
    return WSR_EXIT_OK;
}

int demo_server_start(struct demo_server *server, uint16_t port)
{
    struct note note;
    if (!write_all(server->to, &port, sizeof port) || !read_all(server->from, &note, sizeof note)) {
        cmd_complain("demo", "the server ended before it listened");
        return WSR_EXIT_FAILED;
    }
    errno = note.error_errno;
    if (note.error != WSR_OK && note.engine)
        return cmd_no_engine("demo", note.error);
    if (note.error != WSR_OK) {
        cmd_complain("demo", "the server cannot listen on 127.0.0.1: %s", strerror(note.error_errno));
        return WSR_EXIT_FAILED;
    }
    server->port = note.port;
    return WSR_EXIT_OK;
}

void demo_server_drain(struct demo_server *server)
{
    if (server->pid > 0)
        kill(server->pid, SIGTERM);
}

void demo_server_wait(struct demo_server *server)
{
    int status = 0;
    if (server->pid <= 0)
        return;
    close(server->to);
    if (server->port == 0)
        kill(server->pid, SIGKILL); /* it waits to be started, and counts signals instead of obeying them */
    if (!read_all(server->from, &server->totals, sizeof server->totals))
        memset(&server->totals, 0, sizeof server->totals);
    close(server->from);
    while (waitpid(server->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    server->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    server->pid = 0;
}
