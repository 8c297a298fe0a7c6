/*
 * tools/echo.c - see echo.h.
 */
#include "tools/echo.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/parse.h"
#include "tools/signals.h"

enum { BATCH = 512 }; /* events a poll: 1.5 % less CPU a message at 50 x depth 16 than 256, and 1024 gains no more */

/* A message that the outbox refused, to be sent when there is room. */
struct kept {
    struct kept *next;
    wsr_opcode opcode;
    size_t len;
    uint8_t payload[];
};

/* The user pointer of an open connection. One that nothing was ever kept for, as of nearly all, costs nothing: it has the one below. */
struct echo_peer {
    struct echo_peer *previous, *next; /* of those below none, so that those cut at the end can be freed */
    struct kept *first, *last;
};

static struct echo_peer plain;

/* What an event says of its user was so before its batch: since then it may have opened, or have had something kept. */
static struct echo_peer *peer_of(const struct echo *echo, const wsr_event *event)
{
    struct echo_peer *now = event->user == NULL || echo->peers != NULL ? wsr_user(echo->engine, event->conn) : NULL;
    return now != NULL ? now : event->user;
}

void echo_totals_add(struct echo_totals *into, const struct echo_totals *from)
{
    into->opened += from->opened;
    into->handshakes_failed += from->handshakes_failed;
    into->cut += from->cut;
    into->received += from->received;
    into->received_bytes += from->received_bytes;
    into->echoed += from->echoed;
    into->late += from->late;
    into->dropped += from->dropped;
    into->failed += from->failed;
    into->undelivered += from->undelivered;
    into->unconfirmed += from->unconfirmed;
    into->paused += from->paused;
    closes_merge(&into->closes, &from->closes);
}

int echo_open(struct echo *echo, const struct echo_config *config, const char **stage)
{
    memset(echo, 0, sizeof *echo);
    echo->config = *config;
    stamps_init(&echo->stamps);
    *stage = "engine";
    int result = wsr_engine_open(&echo->engine, &config->engine);
    if (result != WSR_OK)
        return result;
    *stage = "listen";
    result = wsr_listen(echo->engine, &config->listen, &echo->listener);
    if (result != WSR_OK) {
        wsr_engine_close(echo->engine);
        echo->engine = NULL;
    }
    return result;
}

/* Unlinks and frees a peer; returns how many messages were still kept for it. */
static uint64_t forget(struct echo *echo, struct echo_peer *peer)
{
    uint64_t kept_n = 0;
    if (peer == &plain)
        return 0;
    for (struct kept *kept = peer->first, *next; kept != NULL; kept = next) {
        next = kept->next;
        kept_n++;
        free(kept);
    }
    if (peer->next != NULL)
        peer->next->previous = peer->previous;
    if (peer->previous != NULL)
        peer->previous->next = peer->next;
    else
        echo->peers = peer->next;
    free(peer);
    return kept_n;
}

void echo_close(struct echo *echo)
{
    wsr_engine_close(echo->engine);
    echo->engine = NULL;
    while (echo->peers != NULL)
        echo->totals.dropped += forget(echo, echo->peers);
}

/* A connection that cannot be served is told so: an echo server must not skip a message in silence. */
static void give_up(struct echo *echo, wsr_conn conn, int error)
{
    static const char reason[] = "the echo could not be queued";
    echo->totals.failed++;
    uint16_t code = error == WSR_ENOMEM ? WSR_CLOSE_TRY_AGAIN_LATER : WSR_CLOSE_INTERNAL_ERROR;
    wsr_slice text = {(const uint8_t *)reason, sizeof reason - 1};
    int result = wsr_close(echo->engine, conn, code, text);
    if (result == WSR_ENOMEM) /* not even for a Close: the peer shall not wait for what will never come */
        result = wsr_abort(echo->engine, conn);
    if (result != WSR_OK) /* it is closing already */
        return;
    cmd_complain("serve", "closing a connection with %u: %s (%s)", code, wsr_error_text(error), wsr_error_name(error));
}

/* A peer of its own for a connection that something is to be kept for. NULL: out of memory, or it has ended. */
static struct echo_peer *own_peer(struct echo *echo, wsr_conn conn)
{
    struct echo_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL || wsr_set_user(echo->engine, conn, peer) != WSR_OK) {
        free(peer);
        return NULL;
    }
    peer->next = echo->peers;
    if (peer->next != NULL)
        peer->next->previous = peer;
    echo->peers = peer;
    return peer;
}

/* Keeps a copy of a refused message behind those kept before, and stops the peer. False: out of memory. */
static bool keep(struct echo *echo, struct echo_peer *peer, const wsr_event *event)
{
    struct kept *kept = malloc(sizeof *kept + event->data.len);
    if (kept != NULL && peer == &plain)
        peer = own_peer(echo, event->conn);
    if (kept == NULL || peer == NULL) {
        free(kept);
        return false;
    }
    kept->next = NULL;
    kept->opcode = (wsr_opcode)event->opcode;
    kept->len = event->data.len;
    if (kept->len > 0)
        memcpy(kept->payload, event->data.ptr, kept->len);
    if (peer->first != NULL) {
        peer->last->next = kept;
    } else {
        peer->first = kept;
        echo->totals.paused++;
        /* Stale only if the connection has ended, and then there is nothing to pause. */
        (void)!wsr_pause_read(echo->engine, event->conn);
    }
    peer->last = kept;
    return true;
}

static void on_message(struct echo *echo, const wsr_event *event)
{
    struct echo_peer *peer = peer_of(echo, event);
    echo->totals.received++;
    echo->totals.received_bytes += event->data.len;
    if (peer == NULL || (event->flags & WSR_EVENT_AFTER_CLOSE) != 0) { /* none: it opened and ended in this batch */
        echo->totals.late++;
        return;
    }
    int result = WSR_EFULL;
    if (peer->first == NULL)
        result = wsr_forward(echo->engine, event->conn, event);
    if (result == WSR_OK) {
        echo->totals.echoed++;
        return;
    }
    /* The peer's Close came in the same batch: nothing can be sent behind our answer to it. */
    if (result == WSR_ESTATE || result == WSR_ESTALE) {
        echo->totals.late++;
        return;
    }
    if (result != WSR_EFULL || !keep(echo, peer, event))
        give_up(echo, event->conn, result == WSR_EFULL ? WSR_ENOMEM : result);
}

/* There is room again: what was kept first, and when all of it is out, the peer may go on. */
static void on_writable(struct echo *echo, const wsr_event *event)
{
    struct echo_peer *peer = peer_of(echo, event);
    while (peer != NULL && peer->first != NULL) {
        struct kept *kept = peer->first;
        int result = wsr_send(echo->engine, event->conn, kept->opcode, (wsr_slice){kept->payload, kept->len});
        if (result == WSR_EFULL)
            return;
        if (result == WSR_OK)
            echo->totals.echoed++;
        else if (result == WSR_ESTATE || result == WSR_ESTALE)
            echo->totals.late++;
        else
            give_up(echo, event->conn, result);
        peer->first = kept->next;
        free(kept);
    }
    (void)!wsr_resume_read(echo->engine, event->conn);
}

static void on_open(struct echo *echo, const wsr_event *event)
{
    echo->totals.opened++;
    if (wsr_set_user(echo->engine, event->conn, &plain) != WSR_OK)
        echo->ended_n++; /* its CLOSED is in this batch, and will know of no user */
    if (echo->config.verbose) {
        char address[64];
        if (wsr_peer_address(echo->engine, event->conn, address, sizeof address) != WSR_OK)
            address[0] = '\0';
        cmd_complain("serve", "%016" PRIx64 " open, %s", event->conn, address);
    }
}

static void on_closed(struct echo *echo, const wsr_event *event)
{
    const wsr_close_record *record = wsr_event_close_record(event);
    struct echo_peer *peer = peer_of(echo, event);
    if (peer == NULL && echo->ended_n == 0) {
        echo->totals.handshakes_failed++;
    } else {
        closes_add(&echo->totals.closes, event->close_code, 1);
        echo->totals.undelivered += record->messages_undelivered;
        echo->totals.unconfirmed += record->messages_unconfirmed;
        if (peer != NULL)
            echo->totals.dropped += forget(echo, peer);
        else
            echo->ended_n--;
    }
    if (echo->config.verbose) {
        static const char *const by[] = {"nobody", "us", "the peer", "both"};
        char trip[40] = "", duration[24];
        if (record->round_trip_ns != 0)
            (void)snprintf(trip, sizeof trip, ", round trip %s", format_duration(duration, sizeof duration, record->round_trip_ns));
        cmd_complain("serve", "%016" PRIx64 " closed by %s: %u %s, sent %u, received %u, cause %s%s%s, %" PRIu64 " messages in, %" PRIu64 " out%s",
                     event->conn, by[record->by], record->code, wsr_close_lookup(record->code)->name, record->code_sent, record->code_received,
                     wsr_error_name(record->cause), record->detail != NULL ? ": " : "", record->detail != NULL ? record->detail : "",
                     record->messages_in, record->messages_out, trip);
    }
}

static void handle(struct echo *echo, const wsr_event *event)
{
    switch (event->type) {
    case WSR_EVENT_MESSAGE:
        on_message(echo, event);
        break;
    case WSR_EVENT_WRITABLE:
        on_writable(echo, event);
        break;
    case WSR_EVENT_OPEN:
        on_open(echo, event);
        break;
    case WSR_EVENT_CLOSED:
        on_closed(echo, event);
        break;
    default: /* PING is answered by the engine; PONG and WAKE ask for nothing */
        break;
    }
}

/* Before any of them is echoed. */
static void note_stamps(struct echo *echo, const wsr_event *events, int n)
{
    const uint64_t now_ns = stamps_now_ns();
    for (int i = 0; i < n; i++) {
        if (events[i].type == WSR_EVENT_MESSAGE)
            stamps_add(&echo->stamps, &events[i], now_ns);
    }
}

int echo_run(struct echo *echo)
{
    wsr_event events[BATCH];
    int result = 0;
    signals_watch(echo->engine);
    while (result >= 0) {
        int signals = signals_count();
        if (signals > 0 && !echo->draining) {
            echo->draining = true;
            result = wsr_drain(echo->engine, &echo->config.drain);
            if (result != WSR_OK)
                break;
        }
        if (signals > 1 || (echo->draining && wsr_drain_left(echo->engine) == 0))
            break;
        result = wsr_poll(echo->engine, events, BATCH, -1);
        if (echo->config.listen.socket.receive_stamps)
            note_stamps(echo, events, result);
        for (int i = 0; i < result; i++)
            handle(echo, &events[i]);
    }
    signals_unwatch(echo->engine);
    if (echo->draining)
        echo->totals.cut = wsr_drain_left(echo->engine);
    return result < 0 ? result : 0;
}
