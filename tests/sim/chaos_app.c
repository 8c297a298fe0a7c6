/*
 * tests/sim/chaos_app.c - the applications of both engines: they send, close, abort, pause and go away, by chance, and look
 * whether what comes is what the other end sent.
 */
#include "sim/chaos.h"

#include <string.h>

#define POOL_BYTES 131072u

/* Messages are cut out of these, so that making and checking one costs a comparison. Text may be cut at every fourth byte. */
static uint8_t noise[POOL_BYTES], text[POOL_BYTES];

/* Event data of the batch, looked at once more when it is over. */
static struct {
    const uint8_t *got, *wanted;
    size_t len;
} seen[CHAOS_BATCH_MAX];
static unsigned seen_n;

void chaos_app_prepare(void)
{
    static const char *const quads[] = {"abcd", "what", "\xC3\xA9\xC3\xBC", "a\xE2\x82\xAC", "\xF0\x9F\x98\x80", " 12;", "the "};
    uint64_t x = 88172645463325252u;
    if (text[0] != 0)
        return;
    for (size_t i = 0; i < POOL_BYTES; i += 4) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        memcpy(noise + i, &x, 4);
        memcpy(text + i, quads[(x >> 40) % (sizeof quads / sizeof quads[0])], 4);
    }
}

static uint64_t mixed(uint64_t value)
{
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

/* The i-th message that this end sends; made again when it comes. */
static wsr_slice message_of(const struct chaos_end *end, unsigned i, wsr_opcode *opcode)
{
    const bool is_client = end == &end->life->client;
    const uint64_t x = mixed(end->life->seed + 2 * i + is_client);
    const size_t usual = chaos.size_max < 200 ? chaos.size_max : 200;
    const size_t most = (x & 3) != 0 ? usual : chaos.size_max, at = (size_t)(x >> 4) % (POOL_BYTES - chaos.size_max);
    const size_t least = most > CHAOS_LARGE && (x & 8) != 0 ? CHAOS_LARGE : 0; /* what the engine has a way of its own for */
    const size_t len = least + (size_t)(x >> 32) % (most - least);
    *opcode = (x & 4) != 0 ? WSR_TEXT : WSR_BINARY;
    if (*opcode == WSR_BINARY)
        return (wsr_slice){noise + at, len};
    return (wsr_slice){text + (at & ~(size_t)3), len & ~(size_t)3};
}

static struct chaos_side *side_of(const struct chaos_end *end)
{
    return end == &end->life->client ? &chaos.client : &chaos.server;
}

static struct chaos_end *other_of(struct chaos_end *end)
{
    return end == &end->life->client ? &end->life->server : &end->life->client;
}

/* ---- what it does ---- */

/* Within a batch an id may be stale although its application has not come to CLOSED yet. */
static bool is_gone(struct chaos_end *end, int error)
{
    if (error != WSR_ESTALE || !chaos.in_batch)
        return false;
    end->closing = true;
    return true;
}

static int send_prepared(struct chaos_end *end, wsr_opcode opcode, wsr_slice payload)
{
    wsr_engine *engine = side_of(end)->engine;
    wsr_prepared *message;
    int error = wsr_prepare(engine, opcode, payload, &message);
    if (error != WSR_OK)
        return error;
    error = wsr_send_prepared(engine, end->conn, message);
    wsr_prepared_free(message);
    return error;
}

/* By one of the ways there are. */
static int send_somehow(struct chaos_end *end, wsr_opcode opcode, wsr_slice payload)
{
    switch (sim_below(5)) {
    case 0:
        return wsr_send_fragmented(side_of(end)->engine, end->conn, opcode, payload, 1 + sim_below(payload.len + 1));
    case 1:
        return send_prepared(end, opcode, payload);
    default:
        return wsr_send(side_of(end)->engine, end->conn, opcode, payload);
    }
}

static void send_one(struct chaos_end *end)
{
    wsr_opcode opcode;
    const wsr_slice payload = message_of(end, end->sent, &opcode);
    const int error = send_somehow(end, opcode, payload);
    if (error == WSR_OK) {
        end->sent++;
        end->sent_bytes += payload.len;
        chaos_stats.messages_sent++;
        chaos_stats.message_bytes += payload.len;
    } else if (error == WSR_EFULL) {
        end->full = true;
    } else if (error == WSR_ESTATE) {
        end->closing = true; /* a Close has come, or it has failed: CLOSED follows */
    } else if (!is_gone(end, error) && (error != WSR_ENOMEM || !chaos.hostile)) {
        sim_violation("a message is refused with %s", wsr_error_name(error));
    }
}

static void close_it(struct chaos_end *end)
{
    static const uint16_t codes[] = {1000, 1000, 1001, 3000, 4999, 0};
    const uint16_t code = codes[sim_below(sizeof codes / sizeof codes[0])];
    const wsr_slice reason = {(const uint8_t *)"done", code != 0 ? sim_below(5) : 0};
    const int error = wsr_close(side_of(end)->engine, end->conn, code, reason);
    if (error == WSR_ENOMEM && chaos.hostile)
        return; /* again later */
    if (error != WSR_OK && error != WSR_ESTATE && !is_gone(end, error))
        sim_violation("a close is refused with %s", wsr_error_name(error));
    end->closing = true;
    chaos_stats.closes++;
}

static void abort_it(struct chaos_end *end)
{
    const int error = wsr_abort(side_of(end)->engine, end->conn);
    if (error != WSR_OK && !is_gone(end, error))
        sim_violation("an abort is refused with %s", wsr_error_name(error));
    end->closing = end->life->disturbed = true;
    chaos_stats.aborts++;
}

static bool all_said(struct chaos_end *end)
{
    struct chaos_end *other = other_of(end);
    return end->sent == end->to_send && (end->life->plan >= CHAOS_STRANGER || end->got == other->to_send);
}

static void maybe_leave(struct chaos_end *end)
{
    const bool is_client = side_of(end)->is_client;
    switch (end->life->plan) {
    case CHAOS_DONE_CLIENT:
    case CHAOS_DONE_SERVER:
    case CHAOS_DONE_BOTH:
        if (all_said(end) && (end->life->plan == CHAOS_DONE_BOTH || (end->life->plan == CHAOS_DONE_CLIENT) == is_client))
            close_it(end);
        break;
    case CHAOS_EARLY_CLIENT:
    case CHAOS_EARLY_SERVER:
        if ((end->life->plan == CHAOS_EARLY_CLIENT) == is_client && sim_chance(6))
            close_it(end);
        break;
    case CHAOS_ABORT_CLIENT:
    case CHAOS_ABORT_SERVER:
        if ((end->life->plan == CHAOS_ABORT_CLIENT) == is_client && sim_chance(6))
            abort_it(end);
        break;
    default:
        if (end->life->plan == CHAOS_STRANGER && sim_chance(1))
            close_it(end);
        else if (chaos.winding_down && !chaos.drained && all_said(end))
            close_it(end);
        break;
    }
}

static void pause_or_resume(struct chaos_end *end)
{
    wsr_engine *engine = side_of(end)->engine;
    const int error = end->paused ? wsr_resume_read(engine, end->conn) : wsr_pause_read(engine, end->conn);
    if (is_gone(end, error))
        return;
    if (error != WSR_OK)
        sim_violation("pausing or resuming is refused with %s", wsr_error_name(error));
    end->paused = !end->paused;
    chaos.paused_n += end->paused ? 1 : -1u;
    chaos_stats.pauses++;
}

static void ping(struct chaos_end *end)
{
    wsr_engine *engine = side_of(end)->engine;
    const int error = sim_chance(50) ? wsr_ping(engine, end->conn) : wsr_send(engine, end->conn, WSR_PING, (wsr_slice){noise, sim_below(126)});
    if (error != WSR_OK && error != WSR_ESTATE && error != WSR_EFULL && !is_gone(end, error) && !(error == WSR_ENOMEM && chaos.hostile))
        sim_violation("a ping is refused with %s", wsr_error_name(error));
    chaos_stats.pings++;
}

void chaos_app_acts(struct chaos_end *end)
{
    if (!end->open || end->closed || sim_now_ns() < side_of(end)->asleep_until_ns)
        return;
    if (end->paused ? chaos.winding_down || sim_chance(10) : !chaos.winding_down && chaos.pace_ns == CHAOS_MS && sim_chance(1))
        pause_or_resume(end);
    if (end->closing)
        return;
    if (!chaos.winding_down && sim_chance(2)) /* on the slowest hosts more than there is room for */
        ping(end);
    for (unsigned n = 1 + (unsigned)sim_below(4); n > 0 && end->sent < end->to_send && !end->full && !end->closing; n--)
        send_one(end);
    if (!end->closing)
        maybe_leave(end);
}

/* An id whose CLOSED has come is of no use, also where its slot has a new life. */
static void try_stale(const struct chaos_side *side)
{
    if (side->stale_n == 0 || !sim_chance(4))
        return;
    const unsigned n = side->stale_n < CHAOS_STALE ? side->stale_n : CHAOS_STALE;
    const wsr_conn conn = side->stale[sim_below(n)];
    const wsr_slice payload = {noise, 5};
    int error;
    switch (sim_below(5)) {
    case 0:
        error = wsr_send(side->engine, conn, WSR_BINARY, payload);
        break;
    case 1:
        error = wsr_close(side->engine, conn, 4000, payload);
        break;
    case 2:
        error = wsr_abort(side->engine, conn);
        break;
    case 3:
        error = wsr_pause_read(side->engine, conn);
        break;
    default:
        error = wsr_set_user(side->engine, conn, NULL);
        break;
    }
    if (error != WSR_ESTALE)
        sim_violation("a stale id is taken: %s", wsr_error_name(error));
    chaos_stats.stale_ids++;
}

/* ---- what it sees ---- */

static void look(const uint8_t *got, const uint8_t *wanted, size_t len)
{
    if (len > 0 && memcmp(got, wanted, len) != 0)
        sim_violation("a message of %zu bytes is not what was sent", len);
    seen[seen_n].got = got;
    seen[seen_n].wanted = wanted;
    seen[seen_n++].len = len;
}

static void look_again(void)
{
    for (unsigned i = 0; i < seen_n; i++)
        if (seen[i].len > 0 && memcmp(seen[i].got, seen[i].wanted, seen[i].len) != 0)
            sim_violation("event data has changed within its batch");
}

static wsr_slice expect(struct chaos_end *end, const wsr_event *ev)
{
    struct chaos_end *from = other_of(end);
    wsr_opcode opcode;
    if (end->got >= from->sent)
        sim_violation("a message came that was not sent");
    const wsr_slice wanted = message_of(from, end->got, &opcode);
    if (ev->opcode != opcode)
        sim_violation("a message came with opcode %u instead of %u", ev->opcode, (unsigned)opcode);
    return wanted;
}

static void message_came(struct chaos_end *end, size_t len)
{
    end->got++;
    end->got_bytes += len;
    chaos_stats.messages_got++;
}

static void see_message(struct chaos_end *end, const wsr_event *ev)
{
    if (end->life->plan >= CHAOS_STRANGER) { /* whatever a stranger says */
        message_came(end, ev->data.len);
        return;
    }
    const wsr_slice wanted = expect(end, ev);
    if (ev->data.len != wanted.len || end->chunk_open)
        sim_violation("a message came with %zu bytes instead of %zu", ev->data.len, wanted.len);
    look(ev->data.ptr, wanted.ptr, wanted.len);
    message_came(end, wanted.len);
}

static void see_chunk(struct chaos_end *end, const wsr_event *ev)
{
    chaos_stats.chunks++;
    if (((ev->flags & WSR_EVENT_FIRST) != 0) == end->chunk_open)
        sim_violation("a chunk that is %s first", end->chunk_open ? "again the" : "not the");
    end->chunk_open = (ev->flags & WSR_EVENT_LAST) == 0;
    if (end->life->plan < CHAOS_STRANGER) {
        const wsr_slice wanted = expect(end, ev);
        if (ev->data.len > wanted.len - end->chunk_at)
            sim_violation("chunks of more than the message's %zu bytes", wanted.len);
        look(ev->data.ptr, wanted.ptr + end->chunk_at, ev->data.len);
        if (!end->chunk_open && end->chunk_at + ev->data.len != wanted.len)
            sim_violation("chunks of less than the message's %zu bytes", wanted.len);
    }
    end->chunk_at += ev->data.len;
    if (end->chunk_open)
        return;
    message_came(end, end->chunk_at);
    end->chunk_at = 0;
}

/* Whose the event is. A server's connection has its life found by its port when it is first heard of. */
static struct chaos_end *whose(struct chaos_side *side, const wsr_event *ev)
{
    const uint32_t slot = (uint32_t)(ev->conn >> 32);
    if (slot >= CHAOS_SLOTS_MAX)
        sim_violation("an event of slot %u", slot);
    struct chaos_end *end = side->by_slot[slot];
    if (end != NULL && end->conn == ev->conn)
        return end;
    if (end != NULL && !end->closed)
        sim_violation("slot %u is reused before its CLOSED", slot);
    chaos_stats.slots_reused += end != NULL;
    if (side->is_client) {
        end = ev->user;
    } else if (ev->type == WSR_EVENT_OPEN) {
        struct chaos_life *life = chaos_life_of_conn(side, ev->conn);
        if (life == NULL) { /* all its life was in one poll, and its descriptor is gone */
            chaos.unseen++;
            return NULL;
        }
        end = &life->server;
    } else {
        return NULL; /* it never opened */
    }
    if (end == NULL || (end->conn != 0 && end->conn != ev->conn))
        sim_violation("an event of nobody's connection, type %u", ev->type);
    end->conn = ev->conn;
    side->by_slot[slot] = end;
    return end;
}

static void see_open(struct chaos_end *end)
{
    if (end->open)
        sim_violation("OPEN twice");
    end->open = true;
    chaos_stats.opened++;
}

static void see_closed(struct chaos_side *side, struct chaos_end *end, const wsr_event *ev)
{
    const wsr_close_record *record = wsr_event_close_record(ev);
    side->closed++;
    side->stale[side->stale_n++ % CHAOS_STALE] = ev->conn;
    chaos_stats.causes[(unsigned)-record->cause % CHAOS_ERRORS]++;
    if (end == NULL)
        return;
    chaos.paused_n -= end->paused;
    end->closed = true;
    end->record = *record;
    chaos_ledger_closed(end);
    chaos_life_over(end->life);
}

static void see(struct chaos_side *side, const wsr_event *ev)
{
    if (ev->type == WSR_EVENT_WAKE)
        return;
    struct chaos_end *end = whose(side, ev);
    if (ev->type == WSR_EVENT_CLOSED) {
        see_closed(side, end, ev);
        return;
    }
    if (end == NULL)
        return;
    if (end->closed)
        sim_violation("event %u behind CLOSED", ev->type);
    chaos_ledger_stamp(end, ev);
    if (ev->type == WSR_EVENT_OPEN)
        see_open(end);
    else if (!end->open)
        sim_violation("event %u before OPEN", ev->type);
    if (ev->type == WSR_EVENT_MESSAGE)
        see_message(end, ev);
    if (ev->type == WSR_EVENT_CHUNK)
        see_chunk(end, ev);
    if (ev->type == WSR_EVENT_WRITABLE) {
        end->full = false;
        chaos_stats.writables++;
    }
    if (sim_chance(20))
        chaos_app_acts(end);
}

bool chaos_app_turn(struct chaos_side *side)
{
    if (sim_now_ns() < side->asleep_until_ns)
        return false;
    try_stale(side);
    if (side->fd >= 0 && !side->again && !sim_fd_readable(side->fd)) {
        if (wsr_flush(side->engine) < 0 && !chaos.hostile) /* as one has to after sends made outside its turn */
            sim_violation("a flush fails");
        return false;
    }
    wsr_event ev[CHAOS_BATCH_MAX];
    const bool waits = side->fd < 0 && sim_chance(10); /* no longer than until the other engine has work */
    const int n = wsr_poll(side->engine, ev, chaos.cap, waits ? (int64_t)sim_below(CHAOS_MS) : 0);
    if (n < 0 && !(n == WSR_ESYS && chaos.hostile))
        sim_violation("a poll fails with %s", wsr_error_name(n));
    side->again = n > 0; /* a guest polls until there is nothing more */
    seen_n = 0;
    chaos.in_batch = true;
    for (int i = 0; i < n; i++)
        see(side, &ev[i]);
    chaos.in_batch = false;
    if (n > 0 && sim_chance(chaos.flush_percent)) { /* the kernel gets what it may have, and fills it */
        chaos_stats.flushes++;
        (void)!wsr_flush(side->engine);
        look_again();
    }
    return n > 0;
}
