/*
 * client/connect.c - wsr_connect, and what the engine asks of the room client from then on (RFC 6455 section 4.1).
 */
#include <wsring/client.h>

#include "client/comeback.h"
#include "ring/sys.h"

/* ---- the engine's hooks ---- */

static struct wsr_client *client_of(struct wsr_timer *timer)
{
    return (struct wsr_client *)(void *)((char *)timer - offsetof(struct wsr_client, dial.timer));
}

static void timed(wsr_engine *engine, struct wsr_batch *batch, struct wsr_timer *timer)
{
    wsr_dial_timed(engine, batch, client_of(timer)->c);
}

static void freed(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_client *client = wsr_conn_client(c);
    (void)!wsr_aside_take(&c->ep, WSR_ASIDE_CLIENT);
    wsr_client_free(engine, client);
}

static size_t memory_bytes(const struct wsr_connection *c)
{
    const struct wsr_client *client = wsr_conn_client(c);
    return wsr_chunk_bytes(client->room) + client->texts_bytes + (client->dial.room != NULL ? sizeof *client->dial.room : 0) + wsr_comeback_memory_bytes(client);
}

static void closed(wsr_engine *engine)
{
    wsr_resolver_close(engine->resolver);
}

static const struct wsr_client_hooks hooks = {
    .resolved = wsr_dial_resolved,
    .dialled = wsr_dial_completed,
    .timed = timed,
    .let_go = wsr_dial_stop,
    .cancel = wsr_dial_cancel,
    .freed = freed,
    .memory_bytes = memory_bytes,
    .closed = closed,
};

int wsr_connect(wsr_engine *engine, const wsr_connect_config *config, wsr_conn *out)
{
    struct wsr_client *client;
    engine->clients = &hooks;
    int error = wsr_client_open(engine, config, &client);
    if (error < 0)
        return error;
    error = wsr_comeback_open(engine, client, false);
    if (error < 0) {
        wsr_client_free(engine, client);
        return error;
    }
    engine->now_ns = wsr_sys_now_ns();
    error = wsr_client_begin(engine, client, 0, out);
    if (error == WSR_OK)
        wsr_comeback_begun(client->c);
    return error;
}
