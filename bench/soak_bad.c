/*
 * bench/soak_bad.c - an echo server with one thing wrong with it, so that tests/test_soak.sh can show that a soak would notice.
 *
 *   soak_bad lose|wrong|twice|cut|leak|keep|die      what it does to one message in a hundred; prints where it listens
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wsring/wsring.h>

#include "tools/signals.h"

enum { ONE_IN = 100, LEAK_BYTES = 1 << 18 };

static void *leaked; /* a list, so that it is lost to nobody but us */

static void leak(void)
{
    void **memory = malloc(LEAK_BYTES);
    if (memory == NULL)
        return;
    memset(memory, 1, LEAK_BYTES);
    *memory = leaked;
    leaked = memory;
}

static void echo(wsr_engine *engine, const wsr_event *ev)
{
    (void)!wsr_send(engine, ev->conn, (wsr_opcode)ev->opcode, (wsr_slice){ev->data.ptr, ev->data.len});
}

/* Does its worst to a message; whether it is to be echoed still. */
static bool spoil(const char *how, wsr_engine *engine, const wsr_event *ev)
{
    const wsr_span data = ev->data;
    if (strcmp(how, "lose") == 0)
        return false;
    if (strcmp(how, "wrong") == 0 && data.len > 0)
        data.ptr[data.len / 2] ^= 1;
    else if (strcmp(how, "twice") == 0)
        echo(engine, ev);
    else if (strcmp(how, "cut") == 0)
        (void)!wsr_abort(engine, ev->conn);
    else if (strcmp(how, "leak") == 0)
        leak();
    else if (strcmp(how, "keep") == 0)
        (void)!dup(STDIN_FILENO);
    else if (strcmp(how, "die") == 0)
        raise(SIGKILL);
    return true;
}

int main(int argc, char **argv)
{
    wsr_engine *engine;
    wsr_listener listener;
    const wsr_listen_config config = {.size = sizeof config, .deflate.on = true};
    if (argc != 2 || wsr_engine_open(&engine, NULL) != WSR_OK || wsr_listen(engine, &config, &listener) != WSR_OK) {
        fputs("usage: soak_bad lose|wrong|twice|cut|leak|keep|die (and io_uring must be allowed)\n", stderr);
        return 2;
    }
    signals_catch();
    signals_watch(engine);
    printf("listening on ws://127.0.0.1:%u\n", wsr_listen_port(engine, listener));
    fflush(stdout);
    for (unsigned long seen = 1; signals_count() == 0;) {
        wsr_event ev[64];
        const int n = wsr_poll(engine, ev, 64, -1);
        for (int i = 0; i < n; i++)
            if (ev[i].type == WSR_EVENT_MESSAGE && (seen++ % ONE_IN != 0 || spoil(argv[1], engine, &ev[i])))
                echo(engine, &ev[i]);
    }
    signals_unwatch(engine);
    wsr_engine_close(engine);
    return 0;
}
