/*
 * tests/lib/storm_server.c - see storm_server.h.
 */
#include "lib/storm_server.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <wsring/wsring.h>

/* ---- the server ---- */

static wsr_engine *engine;
static volatile sig_atomic_t told_to_go;

static void on_signal(int number)
{
    (void)number;
    told_to_go = 1;
    if (engine != NULL)
        wsr_wake(engine);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool is(wsr_slice text, const char *wanted)
{
    return text.len == strlen(wanted) && memcmp(text.ptr, wanted, text.len) == 0;
}

static void answer(const wsr_event *ev, const struct storm_server_config *config, bool busy, struct storm_server_report *report)
{
    static const char retry[] = {"Retry-After: " "2" "\r\n"};
    _Static_assert(STORM_RETRY_AFTER_S == 2, "as it is written");
    const bool leaver = is(wsr_event_request(ev)->path, "/leaver");
    if (busy) {
        report->refused += wsr_refuse(engine, ev->conn, 503, retry, (wsr_slice){(const uint8_t *)"busy\n", 5}) == 0;
        return;
    }
    report->came_back += leaver && !config->takes_leavers;
    report->opened += wsr_accept(engine, ev->conn, NULL, NULL) == 0;
}

static void take(const wsr_event *ev, struct storm_server_report *report)
{
    const wsr_slice message = {ev->data.ptr, ev->data.len};
    report->received++;
    if (is(message, "goodbye"))
        report->goodbyes += wsr_close(engine, ev->conn, 1000, (wsr_slice){NULL, 0}) == 0;
    else if ((ev->flags & WSR_EVENT_AFTER_CLOSE) != 0)
        report->late++;
    else
        report->echoed += wsr_send(engine, ev->conn, (wsr_opcode)ev->opcode, message) == 0;
}

static int serve(const struct storm_server_config *config, struct storm_server_report *report, uint64_t busy_until_ns)
{
    static wsr_event ev[512];
    bool draining = false;
    while (!draining || wsr_drain_left(engine) > 0) {
        int n = wsr_poll(engine, ev, 512, draining ? 10000000 : -1);
        if (n < 0)
            return n;
        for (int i = 0; i < n; i++) {
            if (ev[i].type == WSR_EVENT_REQUEST)
                answer(&ev[i], config, ev[i].time_ns < busy_until_ns, report);
            else if (ev[i].type == WSR_EVENT_MESSAGE)
                take(&ev[i], report);
            else if (ev[i].type == WSR_EVENT_CLOSED && draining)
                report->cut += ev[i].error == WSR_EABORTED;
        }
        if (told_to_go && !draining) {
            wsr_drain_config drain = WSR_DRAIN_CONFIG_INIT;
            drain.spread_ns = config->spread_ns;
            draining = wsr_drain(engine, &drain) == 0;
        }
    }
    return 0;
}

static _Noreturn void live(const struct storm_server_config *config, int in, int out)
{
    char go;
    if (read(in, &go, 1) != 1) /* the test is gone, or has no use for it */
        _exit(0);
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    listen.port = config->port;
    listen.manual = true;
    listen.backlog = 4096;
    int error = wsr_engine_open(&engine, NULL);
    if (error == 0)
        error = wsr_listen(engine, &listen, &listener);
    uint64_t listening_ns = error == 0 ? now_ns() : 0;
    struct storm_server_report report = {0};
    if (write(out, &listening_ns, sizeof listening_ns) != sizeof listening_ns || error != 0)
        _exit(1);
    error = serve(config, &report, listening_ns + config->busy_ns);
    wsr_engine_close(engine);
    if (write(out, &report, sizeof report) != sizeof report)
        error = 1;
    _exit(error == 0 ? 0 : 1);
}

/* ---- the test's side ---- */

bool storm_server_fork(struct storm_server *server, const struct storm_server_config *config)
{
    int to[2], from[2];
    *server = (struct storm_server){.pid = -1};
    if (pipe(to) != 0 || pipe(from) != 0)
        return false;
    server->pid = fork();
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGTERM, on_signal);
        close(to[1]);
        close(from[0]);
        live(config, to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    server->pipe[0] = to[1];
    server->pipe[1] = from[0];
    return server->pid > 0;
}

bool storm_server_go(struct storm_server *server)
{
    return write(server->pipe[0], "g", 1) == 1 &&
           read(server->pipe[1], &server->listening_ns, sizeof server->listening_ns) == sizeof server->listening_ns && server->listening_ns != 0;
}

void storm_server_drain(struct storm_server *server)
{
    kill(server->pid, SIGTERM);
}

bool storm_server_end(struct storm_server *server, struct storm_server_report *report)
{
    int status = 0;
    const bool told = read(server->pipe[1], report, sizeof *report) == sizeof *report;
    while (waitpid(server->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    server->pid = -1;
    close(server->pipe[0]);
    close(server->pipe[1]);
    return told && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void storm_server_kill(struct storm_server *server)
{
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = -1;
}
