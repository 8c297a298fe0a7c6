/*
 * loop/calls.c - the calls about one connection: find it, do it to its endpoint, see what follows.
 */
#include <errno.h>
#include <stdio.h>

#include "conn/front.h"
#include "conn/preface.h"
#include "conn/shed.h"
#include "ring/sys.h"

int wsr_send(wsr_engine *engine, wsr_conn conn, wsr_opcode opcode, wsr_slice payload)
{
    struct wsr_connection *c = wsr_table_known(engine, conn);
    if (c == NULL)
        return WSR_ESTALE;
    if (c->queues)
        return engine->comebacks->send(engine, c, opcode, payload, 0);
    int error = wsr_endpoint_send(&c->ep, opcode, payload);
    if (error == WSR_OK)
        wsr_conn_dirty(engine, c);
    return error;
}

int wsr_forward(wsr_engine *engine, wsr_conn conn, const wsr_event *event)
{
    struct wsr_connection *c = wsr_table_known(engine, conn);
    if (event->type != WSR_EVENT_MESSAGE)
        return WSR_EINVAL;
    if (c == NULL)
        return WSR_ESTALE;
    if (c->queues)
        return engine->comebacks->send(engine, c, (wsr_opcode)event->opcode, (wsr_slice){event->data.ptr, event->data.len}, 0);
    int error = wsr_endpoint_forward(&c->ep, (wsr_opcode)event->opcode, (wsr_slice){event->data.ptr, event->data.len});
    if (error == WSR_OK)
        wsr_conn_dirty(engine, c);
    return error;
}

unsigned wsr_send_burst(wsr_engine *engine, const wsr_out *out, unsigned n)
{
    unsigned i = 0;
    while (i < n && wsr_send(engine, out[i].conn, out[i].opcode, out[i].payload) == WSR_OK)
        i++;
    return i;
}

int wsr_send_fragmented(wsr_engine *engine, wsr_conn conn, wsr_opcode opcode, wsr_slice payload, size_t fragment_bytes)
{
    struct wsr_connection *c = wsr_table_known(engine, conn);
    if (c == NULL)
        return WSR_ESTALE;
    if (c->queues && fragment_bytes > 0)
        return engine->comebacks->send(engine, c, opcode, payload, fragment_bytes);
    int error = wsr_endpoint_send_fragmented(&c->ep, opcode, payload, fragment_bytes);
    if (error == WSR_OK)
        wsr_conn_dirty(engine, c);
    return error;
}

int wsr_ping(wsr_engine *engine, wsr_conn conn)
{
    struct wsr_connection *c = wsr_table_known(engine, conn);
    if (c == NULL)
        return WSR_ESTALE;
    int error = wsr_endpoint_ping(&c->ep, wsr_sys_now_ns());
    wsr_conn_after(engine, c); /* its deadline may be the next one */
    return error;
}

uint64_t wsr_round_trip_ns(const wsr_engine *engine, wsr_conn conn)
{
    const struct wsr_connection *c = wsr_table_known(engine, conn);
    return c != NULL ? wsr_endpoint_round_trip_ns(&c->ep) : 0;
}

/* Has client/comeback.c ended it, there being nothing to close between two attempts? *error is what that said. */
static bool left(wsr_engine *engine, struct wsr_connection *c, bool abort, uint16_t code, wsr_slice reason, const char *file, int line, int *error)
{
    *error = engine->comebacks != NULL ? engine->comebacks->leave(engine, c, abort, code, reason, file, line) : 1;
    return *error <= 0;
}

int wsr_close_at(wsr_engine *engine, wsr_conn conn, uint16_t code, wsr_slice reason, const char *file, int line)
{
    struct wsr_connection *c = wsr_table_known(engine, conn);
    if (c == NULL)
        return WSR_ESTALE;
    int error;
    if (left(engine, c, false, code, reason, file, line, &error))
        return error;
    if (wsr_conn_client(c) != NULL && (c->ep.flags & WSR_EP_OPEN) == 0 && !wsr_endpoint_is_over(&c->ep)) { /* nobody to take leave of yet */
        error = wsr_close_payload_check(code != 0 ? code : WSR_CLOSE_NO_STATUS, reason, WSR_CLIENT);
        if (error == WSR_OK)
            wsr_endpoint_abort(&c->ep, wsr_sys_now_ns(), file, line);
    } else {
        error = wsr_endpoint_close_at(&c->ep, wsr_sys_now_ns(), code, reason, file, line);
    }
    wsr_conn_after(engine, c);
    return error;
}

int wsr_abort_at(wsr_engine *engine, wsr_conn conn, const char *file, int line)
{
    struct wsr_connection *c = wsr_table_known(engine, conn);
    if (c == NULL)
        return WSR_ESTALE;
    int error;
    if (left(engine, c, true, 0, (wsr_slice){NULL, 0}, file, line, &error))
        return error;
    c->state |= WSR_CONN_CUT;
    wsr_endpoint_abort(&c->ep, wsr_sys_now_ns(), file, line);
    wsr_conn_after(engine, c);
    return WSR_OK;
}

int wsr_pause_read(wsr_engine *engine, wsr_conn conn)
{
    struct wsr_connection *c = wsr_table_known(engine, conn);
    if (c == NULL)
        return WSR_ESTALE;
    wsr_input_pause(engine, c);
    return WSR_OK;
}

int wsr_resume_read(wsr_engine *engine, wsr_conn conn)
{
    struct wsr_connection *c = wsr_table_known(engine, conn);
    if (c == NULL)
        return WSR_ESTALE;
    wsr_input_resume(engine, c);
    return WSR_OK;
}

int wsr_want_writable(wsr_engine *engine, wsr_conn conn, size_t outbox_bytes)
{
    struct wsr_connection *c = wsr_table_known(engine, conn);
    if (c == NULL)
        return WSR_ESTALE;
    const int error = wsr_endpoint_want_writable(&c->ep, outbox_bytes);
    if (error == WSR_OK)
        wsr_conn_pending(engine, c); /* it may be so now */
    return error;
}

int wsr_set_user(wsr_engine *engine, wsr_conn conn, void *user)
{
    struct wsr_connection *c = wsr_table_known(engine, conn);
    if (c == NULL)
        return WSR_ESTALE;
    c->ep.user = user;
    return WSR_OK;
}

void *wsr_user(const wsr_engine *engine, wsr_conn conn)
{
    const struct wsr_connection *c = wsr_table_known(engine, conn);
    return c != NULL ? c->ep.user : NULL;
}

size_t wsr_outbox_bytes(const wsr_engine *engine, wsr_conn conn)
{
    const struct wsr_connection *c = wsr_table_known(engine, conn);
    if (c == NULL)
        return 0;
    return c->ep.out.bytes + (c->queues ? engine->comebacks->queued_bytes(c) : 0);
}

size_t wsr_connection_memory_bytes(const wsr_engine *engine, wsr_conn conn)
{
    const struct wsr_connection *c = wsr_table_known(engine, conn);
    if (c == NULL)
        return 0;
    return sizeof *c + wsr_conn_chunk_bytes(c) + (wsr_conn_client(c) != NULL ? engine->clients->memory_bytes(c) : 0);
}

/* What a balancer has said goes before what the socket says. */
static int address_text(const wsr_engine *engine, wsr_conn conn, bool peers, char *text, size_t cap)
{
    const struct wsr_connection *c = wsr_table_known(engine, conn);
    if (c == NULL)
        return WSR_ESTALE;
    if (c->fd < 0)
        return WSR_ESTATE;
    union wsr_address peer, local;
    int error = 0;
    if (!wsr_preface_addresses(c, &peer, &local))
        error = peers ? wsr_sys_peer_address(c->fd, &peer) : wsr_sys_local_address(c->fd, &local);
    if (error < 0) {
        errno = -error;
        return WSR_ESYS;
    }
    wsr_sys_address_text(peers ? &peer : &local, text, cap);
    return WSR_OK;
}

int wsr_peer_address(const wsr_engine *engine, wsr_conn conn, char *text, size_t cap)
{
    return address_text(engine, conn, true, text, cap);
}

int wsr_local_address(const wsr_engine *engine, wsr_conn conn, char *text, size_t cap)
{
    return address_text(engine, conn, false, text, cap);
}

int wsr_connection_tls(const wsr_engine *engine, wsr_conn conn, wsr_tls_info *info)
{
    const struct wsr_connection *c = wsr_table_known(engine, conn);
    return c != NULL ? wsr_front_describe(c, info) : WSR_ESTALE;
}
