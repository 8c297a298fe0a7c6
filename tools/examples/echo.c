/* An echo server in thirty lines: listen, poll, send. Ctrl-C ends it. */
#include <signal.h>
#include <stdio.h>
#include <wsring/wsring.h>

static wsr_engine *engine;

static void leave(int sig)
{
    (void)sig;
    wsr_wake(engine);
}

int main(int argc, char **argv)
{
    wsr_listener listener;
    int error = wsr_engine_open(&engine, NULL);
    if (error == WSR_OK)
        error = wsr_listen(engine, NULL, &listener);
    if (error != WSR_OK) {
        fprintf(stderr, "%s: %s\n", argc > 0 ? argv[0] : "echo", wsr_error_text(error));
        return 1;
    }
    signal(SIGINT, leave);
    printf("ws://127.0.0.1:%u\n", wsr_listen_port(engine, listener));
    fflush(stdout);
    for (wsr_event ev[64];;) {
        int n = wsr_poll(engine, ev, 64, -1);
        for (int i = 0; i < n; i++) {
            if (ev[i].type == WSR_EVENT_MESSAGE && wsr_send(engine, ev[i].conn, (wsr_opcode)ev[i].opcode, wsr_event_payload(&ev[i])) == WSR_EFULL &&
                wsr_abort(engine, ev[i].conn) == WSR_OK)
                puts("cut one that does not read its echoes");
            if (ev[i].type == WSR_EVENT_CLOSED)
                printf("closed: %u %s\n", ev[i].close_code, wsr_close_lookup(ev[i].close_code)->name);
            if (ev[i].type == WSR_EVENT_WAKE)
                return wsr_engine_close(engine), 0;
        }
    }
}
