/*
 * tests/sim/chaos_ledger.c - what must be true: of an engine after every step, of a connection at its end, of an engine that
 * has none left. It looks inside (conn/engine.h), so that what is wrong is found where it goes wrong.
 */
#include "sim/chaos.h"

#include "conn/front.h"

/* ---- of a connection ---- */

void chaos_ledger_closed(struct chaos_end *end)
{
    const wsr_close_record *r = &end->record;
    if (r->messages_out != end->sent || r->bytes_out != end->sent_bytes)
        sim_violation("a record says %llu messages were accepted; it were %u", (unsigned long long)r->messages_out, end->sent);
    if (r->messages_in != end->got || (!end->chunk_open && r->bytes_in != end->got_bytes))
        sim_violation("a record says %llu messages of %llu bytes came; it were %u of %llu", (unsigned long long)r->messages_in,
                      (unsigned long long)r->bytes_in, end->got, (unsigned long long)end->got_bytes);
    if (r->clean && (r->code_sent == 0 || r->code_received == 0 || r->cause != WSR_OK))
        sim_violation("a clean end with codes %u and %u, cause %s", r->code_sent, r->code_received, wsr_error_name(r->cause));
    if (!chaos.hostile && end->life->plan < CHAOS_STRANGER && (r->cause == WSR_ETIMEOUT_IDLE || r->cause == WSR_ETIMEOUT_PING) && !end->life->disturbed)
        sim_violation("a peer that lives was given up: %s", wsr_error_name(r->cause));
    chaos_stats.undelivered += r->messages_undelivered;
    chaos_stats.unconfirmed += r->messages_unconfirmed;
}

void chaos_ledger_stamp(struct chaos_end *end, const wsr_event *event)
{
    const wsr_receive_stamp *stamp = wsr_event_stamp(event);
    const bool received = event->type == WSR_EVENT_MESSAGE || event->type == WSR_EVENT_CHUNK || event->type == WSR_EVENT_PING ||
                          event->type == WSR_EVENT_PONG;
    if (stamp == NULL) {
        if ((event->flags & WSR_EVENT_STAMP_SHARED) != 0)
            sim_violation("an event shares a stamp that it does not have");
        return;
    }
    if (!end->stamps || !received)
        sim_violation("event %u has a stamp%s", event->type, end->stamps ? "" : ", and none was asked for");
    if (stamp->realtime_ns > sim_now_ns() || stamp->realtime_ns < end->stamp_ns)
        sim_violation("a stamp of %llu, now it is %llu, and the last was %llu", (unsigned long long)stamp->realtime_ns,
                      (unsigned long long)sim_now_ns(), (unsigned long long)end->stamp_ns);
    if (stamp->hardware_ns != 0 && stamp->hardware_ns != stamp->realtime_ns + SIM_HARDWARE_NS)
        sim_violation("a card's stamp of %llu beside one of %llu", (unsigned long long)stamp->hardware_ns, (unsigned long long)stamp->realtime_ns);
    end->stamp_ns = stamp->realtime_ns;
    chaos_stats.stamped++;
    chaos_stats.stamps_shared += (event->flags & WSR_EVENT_STAMP_SHARED) != 0;
}

/* Accepted is: on the wire, or in the record; and only what is on the wire can have come. */
static void one_way(const struct chaos_end *from, const struct chaos_wire *wire, const struct chaos_end *to)
{
    if (chaos.config->server_tls != NULL)
        return;
    const wsr_close_record *r = &from->record;
    const uint64_t left = from->sent - r->messages_undelivered;
    if (wire->messages > left || wire->messages + r->messages_unconfirmed < left)
        sim_violation("of %u messages %llu went out, %llu are called undelivered and %llu unconfirmed", from->sent,
                      (unsigned long long)wire->messages, (unsigned long long)r->messages_undelivered,
                      (unsigned long long)r->messages_unconfirmed);
    if (to != NULL && to->got > wire->messages)
        sim_violation("%u messages came, %llu went out", to->got, (unsigned long long)wire->messages);
}

static void clean_way(const struct chaos_end *from, const struct chaos_wire *wire, const struct chaos_end *to)
{
    const wsr_close_record *r = &from->record;
    if (chaos.config->server_tls == NULL && (!wire->closed || wire->left > 0 || wire->frames != r->frames_out))
        sim_violation("a clean end after %llu frames of %llu%s", (unsigned long long)wire->frames, (unsigned long long)r->frames_out,
                      wire->closed ? "" : ", and no Close was sent");
    if (r->messages_undelivered + r->messages_unconfirmed > 0 || to->got != from->sent)
        sim_violation("a clean end: %u messages were sent, %u came", from->sent, to->got);
    if (r->code_sent != to->record.code_received)
        sim_violation("a Close with %u came as %u", r->code_sent, to->record.code_received);
}

/* Where nobody did anything to it, it must have gone well. */
static void undisturbed(const struct chaos_life *life)
{
    const struct chaos_end *client = &life->client, *server = &life->server;
    if (!client->open && !server->open) { /* for want of a slot at the server, or because that has left */
        if (chaos.server.engine->stats.accepts_shed == 0 && !chaos.drained)
            sim_violation("a connection never opened: %s, status %u", wsr_error_name(client->record.cause), client->record.http_status);
        return;
    }
    if (server->conn == 0 && chaos.unseen > 0)
        return;
    if (!client->open || !server->open)
        sim_violation("a connection opened at one end only");
    if (!client->record.clean || !server->record.clean)
        sim_violation("an undisturbed connection ended with %s (%u) at the client, %s (%u) at the server",
                      wsr_error_name(client->record.cause), client->record.code, wsr_error_name(server->record.cause), server->record.code);
    chaos_stats.clean++;
}

void chaos_ledger_life(const struct chaos_life *life)
{
    const struct chaos_end *client = &life->client, *server = &life->server;
    if ((client->conn != 0 && !client->closed) || (server->conn != 0 && !server->closed))
        sim_violation("a connection is gone without its CLOSED");
    if (life->plan == CHAOS_REFUSER)
        return;
    if (server->conn != 0)
        one_way(server, &life->from_server, life->plan == CHAOS_STRANGER ? NULL : client);
    if (life->plan == CHAOS_STRANGER)
        return;
    one_way(client, &life->from_client, server);
    if (client->record.clean && server->record.clean) {
        clean_way(client, &life->from_client, server);
        clean_way(server, &life->from_server, client);
    }
    if (!chaos.hostile && !life->disturbed)
        undisturbed(life);
}

/* ---- of an engine ---- */

/* Nobody is forgotten: who can receive does, or waits for something that is known to come; and so who has something to send. */
static void slot(const struct wsr_connection *c)
{
    const uint16_t deaf = WSR_CONN_PAUSED | WSR_CONN_FULL | WSR_CONN_ENDED | WSR_CONN_LET_GO | WSR_CONN_STARVED;
    const bool over = wsr_endpoint_is_over(&c->ep), connected = (c->state & WSR_CONN_CONNECTED) != 0;
    if ((c->cancelled & ~c->armed) != 0 || (c->fd < 0 && (c->armed & ~WSR_ARMED_DIAL) != 0))
        sim_violation("slot %u: armed %x, cancelled %x, descriptor %d", wsr_conn_slot(c), c->armed, c->cancelled, c->fd);
    if ((c->ep.flags & WSR_EP_CLOSED) != 0 && !over)
        sim_violation("slot %u: CLOSED was told, and it is not over", wsr_conn_slot(c));
    if ((c->state & WSR_CONN_LET_GO) != 0)
        return;
    if (connected && (c->armed & WSR_ARMED_RECEIVE) == 0 && (c->state & deaf) == 0)
        sim_violation("slot %u: nothing is received any more", wsr_conn_slot(c));
    const bool sends = wsr_conn_front(c) == NULL ? wsr_outbox_pending(&c->ep.out) : wsr_front_pending(c);
    if (connected && !over && c->ep.close.state != WSR_CS_BROKEN && sends && (c->armed & WSR_ARMED_SEND) == 0 && (c->state & WSR_CONN_DIRTY) == 0)
        sim_violation("slot %u: what is to be sent is forgotten", wsr_conn_slot(c));
}

void chaos_ledger_step(const struct chaos_side *side)
{
    const wsr_engine *engine = side->engine;
    const struct wsr_pool *pool = &engine->env.pool;
    if (pool->out_bytes + pool->kept_bytes > chaos.memory_max)
        sim_violation("%zu bytes of memory, and the limit is %llu", pool->out_bytes + pool->kept_bytes, (unsigned long long)chaos.memory_max);
    if (engine->stats.stale_completions > 0)
        sim_violation("a completion of a connection that is gone");
    const struct wsr_connection *c;
    for (uint32_t i = 0; (c = wsr_table_at(engine, i)) != NULL; i++)
        if (c->live)
            slot(c);
}

void chaos_ledger_end(const struct chaos_side *side)
{
    const wsr_engine *engine = side->engine;
    const char *name = side->is_client ? "client" : "server";
    const unsigned buffers = wsr_ring_buffers_free(engine->ring, false) + wsr_ring_buffers_free(engine->ring, true), all = wsr_ring_buffers(engine->ring);
    if (buffers != all)
        sim_violation("the %s has %u of its %u receive buffers", name, buffers, all);
    if (engine->table.live_n > 0 || engine->dirty.n + engine->pending.n + engine->starving[0].list.n + engine->starving[1].list.n > 0 || engine->stats.open > 0)
        sim_violation("the %s has slots in use", name);
    if (engine->stats.closed != side->closed)
        sim_violation("%llu connections of the %s are gone, %llu were told CLOSED", (unsigned long long)engine->stats.closed, name,
                      (unsigned long long)side->closed);
    if (!side->is_client && engine->stats.accepted != side->closed)
        sim_violation("%llu connections were accepted, %llu were told CLOSED", (unsigned long long)engine->stats.accepted,
                      (unsigned long long)side->closed);
    const bool needed = engine->flights.in_use > 0; /* by the kernel: the engine may be closed while it is */
    if (!needed && engine->env.pool.out_bytes > 0 && engine->env.deflate.shared == NULL && engine->env.deflate.spares_n == 0)
        sim_violation("the %s holds %zu bytes for nobody", name, engine->env.pool.out_bytes);
}
