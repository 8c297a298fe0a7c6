/*
 * client/connect.c - connects to a numeric address and hands the connection to the engine (RFC 6455 section 4.1).
 * Not here: names, TLS, coming back.
 */
#include <errno.h>
#include <stdio.h>

#include <wsring/client.h>

#include "base/config.h"
#include "conn/engine.h"
#include "ring/sys.h"

/* ---- the engine's hooks ---- */

static void dialled(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, unsigned which, const struct wsr_completion *completion)
{
    (void)which;
    wsr_conn_disarmed(c, WSR_ARMED_DIAL);
    if ((c->state & WSR_CONN_LET_GO) != 0) {
        wsr_conn_retire(engine, c);
        return;
    }
    if (completion->res < 0) {
        wsr_endpoint_ended(&c->ep, batch, WSR_ECONNECT, -completion->res);
        wsr_conn_after(engine, c);
        return;
    }
    engine->stats.connected++;
    wsr_conn_start(engine, c, true);
}

static bool cancel(wsr_engine *engine, struct wsr_connection *c)
{
    if ((c->cancelled & WSR_ARMED_DIAL) != 0)
        return true;
    if (wsr_ring_cancel(engine->ring, WSR_TAG(WSR_OP_DIAL, wsr_conn_id(c)), WSR_TAG(WSR_OP_CANCEL, wsr_conn_id(c))) < 0)
        return false;
    c->cancelled |= WSR_ARMED_DIAL;
    c->cancels++;
    return true;
}

static const struct wsr_client_hooks hooks = {.dialled = dialled, .cancel = cancel};

int wsr_connect(wsr_engine *engine, const wsr_connect_config *from, wsr_conn *out)
{
    wsr_connect_config complete;
    const wsr_connect_config *config = &complete;
    union wsr_address address;
    socklen_t len;
    char host[80];
    if (wsr_config_take(&complete, sizeof complete, from, sizeof from->size) < 0 || config->address == NULL || config->port == 0)
        return WSR_ECONFIG;
    if (wsr_sys_address(config->address, config->port, &address, &len) < 0)
        return WSR_EINVAL;
    wsr_sys_address_text(&address, host, sizeof host);
    wsr_endpoint_config endpoint = {
        .size = sizeof endpoint,
        .role = WSR_CLIENT,
        .host = config->host != NULL ? config->host : host,
        .target = config->target,
        .subprotocols = config->subprotocols,
        .headers = config->headers,
        .deflate = config->deflate,
        .user = config->user,
    };
    int fd = wsr_sys_socket(address.any.sa_family);
    if (fd < 0) {
        errno = -fd;
        return WSR_ESYS;
    }
    engine->now_ns = wsr_sys_now_ns();
    int error;
    struct wsr_connection *c = wsr_conn_open(engine, fd, &endpoint, &error);
    if (c == NULL) {
        wsr_sys_close(fd);
        return error;
    }
    engine->clients = &hooks;
    if (wsr_ring_connect(engine->ring, fd, WSR_TAG(WSR_OP_DIAL, wsr_conn_id(c)), &address.any, len) == 0)
        c->armed |= WSR_ARMED_DIAL;
    else
        wsr_endpoint_abort(&c->ep, engine->now_ns, NULL, 0); /* CLOSED will say so */
    wsr_conn_after(engine, c);
    *out = wsr_conn_id(c);
    return WSR_OK;
}
