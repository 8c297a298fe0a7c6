/*
 * conn/prepared.c - one message to many (wsr_prepare), from the engine's calls to its connections' outboxes. What is made, and once for
 * whom, is proto/prepared.c's.
 */
#include "proto/prepared.h"

#include "conn/engine.h"

int wsr_prepare(wsr_engine *engine, wsr_opcode opcode, wsr_slice payload, wsr_prepared **out)
{
    return wsr_prepared_make(out, &engine->env, opcode, payload);
}

int wsr_send_prepared(wsr_engine *engine, wsr_conn conn, wsr_prepared *prepared)
{
    struct wsr_connection *c = wsr_table_known(engine, conn);
    if (c == NULL)
        return WSR_ESTALE;
    if (c->queues)
        return engine->comebacks->send(engine, c, prepared->opcode, prepared->payload, 0);
    int error = wsr_endpoint_send_prepared(&c->ep, prepared);
    if (error == WSR_OK)
        wsr_conn_dirty(engine, c);
    return error;
}

void wsr_prepared_free(wsr_prepared *prepared)
{
    if (prepared != NULL)
        wsr_prepared_release(prepared);
}
