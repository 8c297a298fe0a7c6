/*
 * tests/lib/back.c - see back.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "conn/engine.h"
#include "lib/back.h"
#include "proto/key.h"
#include "sim/sim.h"
#include "tls/crypto.h"

#define LOOK_NS 100000u

static int draw(void *context, uint8_t *out, size_t n)
{
    const struct back *b = context;
    for (size_t i = 0; i < n; i++)
        out[i] = b->random == BACK_LOWEST ? 0 : b->random == BACK_HIGHEST ? 0xFF : (uint8_t)sim_random();
    return b->random == BACK_NONE ? -1 : 0;
}

/* ---- opening ---- */

void back_open(struct back *b, const wsr_config *config)
{
    memset(b, 0, sizeof *b);
    assert_int_equal(wsr_engine_open(&b->engine, config), WSR_OK);
    b->engine->env.random = draw;
    b->engine->env.random_context = b;
    b->port = 9000;
    b->listener = -1;
    for (unsigned i = 0; i < BACK_PEERS; i++)
        b->peers[i].handle = -1;
    back_listen(b);
    b->config = (wsr_connect_config)WSR_CONNECT_CONFIG_INIT;
    b->config.url = "ws://127.0.0.1:9000/feed";
    b->config.reconnect.on = true;
}

void back_listen(struct back *b)
{
    b->listener = sim_peer_listen(b->port);
    assert_true(b->listener >= 0);
}

void back_unlisten(struct back *b)
{
    sim_peer_close(b->listener);
    b->listener = -1;
}

void back_connect(struct back *b)
{
    b->hurried_n = b->events_n;
    assert_int_equal(wsr_connect(b->engine, &b->config, &b->conn), WSR_OK);
}

void back_connect_open(struct back *b)
{
    back_connect(b);
    (void)back_next(b, WSR_EVENT_OPEN, SECOND);
}

int back_now(struct back *b, const char *headers)
{
    b->hurried_n = b->events_n;
    return wsr_reconnect_now(b->engine, b->conn, headers);
}

void back_close(struct back *b)
{
    char text[160];
    for (unsigned i = 0; i < BACK_PEERS; i++)
        back_peer_gone(&b->peers[i], false);
    if (b->listener >= 0)
        back_unlisten(b);
    wsr_engine_close(b->engine);
    if (sim_leaks(text, sizeof text) > 0)
        fail_msg("left open: %s", text);
}

/* ---- the server ---- */

void back_peer_gone(struct back_peer *peer, bool reset)
{
    if (peer->handle < 0)
        return;
    if (reset)
        sim_peer_reset(peer->handle);
    else
        sim_peer_close(peer->handle);
    peer->handle = -1;
}

static void accept_one(struct back *b)
{
    int handle = b->listener >= 0 && !b->deaf ? sim_peer_accept(b->listener) : -1;
    if (handle < 0)
        return;
    struct back_peer *peer = NULL;
    for (unsigned i = 0; i < BACK_PEERS && peer == NULL; i++)
        peer = b->peers[i].handle < 0 && &b->peers[i] != b->peer ? &b->peers[i] : NULL;
    assert_non_null(peer);
    memset(peer, 0, sizeof *peer);
    peer->handle = handle;
    peer->accepted_ns = sim_now_ns();
    b->peer = peer;
    b->accepted++;
}

static void write_all(const struct back_peer *peer, const void *bytes, size_t len)
{
    assert_int_equal(sim_peer_write(peer->handle, bytes, len), (ptrdiff_t)len);
}

static void answer(struct back *b, struct back_peer *peer)
{
    char text[256];
    uint8_t accept[WSR_ACCEPT_LEN];
    b->requests++;
    if (b->answer != NULL) {
        write_all(peer, b->answer, strlen(b->answer));
        if (b->hangs_up)
            back_peer_gone(peer, false);
        return;
    }
    const char *key = strstr(peer->request, "Sec-WebSocket-Key: ");
    assert_non_null(key);
    assert_int_equal(wsr_key_accept(wsr_crypto_sha1, (const uint8_t *)key + 19, accept), 0);
    int n = snprintf(text, sizeof text, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %.28s\r\n\r\n",
                     (const char *)accept);
    write_all(peer, text, (size_t)n);
    peer->open = true;
}

static void note(struct back_peer *peer, const char *text, size_t len)
{
    const size_t at = strlen(peer->got);
    assert_true(at + len + 2 < sizeof peer->got);
    memcpy(peer->got + at, text, len);
    peer->got[at + len] = '|';
    peer->got[at + len + 1] = '\0';
}

/* Takes a client's frame apart, if it is there as a whole; false: it is not. */
static bool take_frame(struct back_peer *peer)
{
    uint8_t *p = peer->bytes;
    if (peer->bytes_len < 6)
        return false;
    size_t len = p[1] & 0x7Fu, head = 6;
    assert_true((p[1] & 0x80) != 0 && len < 127);
    if (len == 126) {
        len = (size_t)p[2] << 8 | p[3];
        head = 8;
    }
    if (peer->bytes_len < head + len)
        return false;
    for (size_t i = 0; i < len; i++)
        p[head + i] ^= p[head - 4 + i % 4];
    char text[32];
    if ((p[0] & 0x0F) == WSR_CLOSE)
        note(peer, text, (size_t)snprintf(text, sizeof text, "close %u", len >= 2 ? (unsigned)p[head] << 8 | p[head + 1] : 0));
    else if ((p[0] & 0x08) == 0)
        note(peer, (const char *)p + head, len);
    peer->bytes_len -= head + len;
    memmove(p, p + head + len, peer->bytes_len);
    return true;
}

static void serve_one(struct back *b, struct back_peer *peer)
{
    if (peer->unread)
        return;
    if (peer->open) {
        ptrdiff_t n = sim_peer_read(peer->handle, peer->bytes + peer->bytes_len, sizeof peer->bytes - peer->bytes_len);
        peer->bytes_len += n > 0 ? (size_t)n : 0;
        while (take_frame(peer))
            ;
        return;
    }
    if (strstr(peer->request, "\r\n\r\n") != NULL)
        return;
    ptrdiff_t n = sim_peer_read(peer->handle, peer->request + peer->request_len, sizeof peer->request - 1 - peer->request_len);
    peer->request_len += n > 0 ? (size_t)n : 0;
    if (strstr(peer->request, "\r\n\r\n") != NULL)
        answer(b, peer);
}

static void serve(struct back *b)
{
    accept_one(b);
    for (unsigned i = 0; i < BACK_PEERS; i++)
        if (b->peers[i].handle >= 0)
            serve_one(b, &b->peers[i]);
}

void back_frame(struct back *b, uint8_t first, const void *payload, size_t len)
{
    const uint8_t head[2] = {first, (uint8_t)len};
    assert_true(len <= 125);
    write_all(b->peer, head, sizeof head);
    if (len > 0)
        write_all(b->peer, payload, len);
}

void back_close_frame(struct back *b, uint16_t code)
{
    const uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    back_frame(b, 0x88, payload, code != 0 ? 2 : 0);
    for (unsigned i = 0; i < 100 && strstr(b->peer->got, "close") == NULL; i++)
        back_pass(b, LOOK_NS); /* the client answers; then the server ends the stream, as servers do */
    back_peer_gone(b->peer, false);
}

/* ---- events ---- */

static void take_record(struct back_event *to, const wsr_close_record *record)
{
    to->record = *record;
    to->answer_status = record->answer != NULL ? record->answer->status : 0;
    to->record.answer = NULL;
    to->record.detail = NULL;
}

static void take(struct back *b, const wsr_event *ev)
{
    assert_true(b->events_n < BACK_EVENTS);
    struct back_event *to = &b->events[b->events_n++];
    *to = (struct back_event){.type = ev->type, .opcode = ev->opcode, .flags = ev->flags, .close_code = ev->close_code, .error = ev->error,
                              .conn = ev->conn, .user = ev->user, .token = ev->token, .time_ns = ev->time_ns};
    const wsr_reconnecting *reconnecting = wsr_event_reconnecting(ev);
    if (ev->type == WSR_EVENT_CLOSED)
        take_record(to, wsr_event_close_record(ev));
    if (reconnecting != NULL) {
        take_record(to, reconnecting->record);
        to->reconnecting = *reconnecting;
        to->reconnecting.record = NULL;
        to->reconnecting.url = NULL;
        assert_true(strlen(reconnecting->url) < sizeof to->url && reconnecting->why != NULL);
        strcpy(to->url, reconnecting->url);
    }
    if (ev->type == WSR_EVENT_MESSAGE || ev->type == WSR_EVENT_UNDELIVERED) {
        to->len = ev->data.len;
        memcpy(to->data, ev->data.ptr, ev->data.len < sizeof to->data - 1 ? ev->data.len : sizeof to->data - 1);
    }
}

static void turn(struct back *b, uint64_t ns)
{
    wsr_event ev[4];
    int n = wsr_poll(b->engine, ev, 4, (int64_t)ns);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++)
        take(b, &ev[i]);
    serve(b);
}

/* Nothing is asked of the server before an attempt that is far away. */
static uint64_t step_ns(const struct back *b, uint64_t left_ns)
{
    const struct back_event *last = b->events_n > 0 ? &b->events[b->events_n - 1] : NULL;
    uint64_t step = LOOK_NS;
    if (last == NULL || b->hurried_n == b->events_n)
        return step < left_ns ? step : left_ns;
    if (last->type == WSR_EVENT_CLOSED)
        return left_ns;
    if (last->type == WSR_EVENT_RECONNECTING) {
        const uint64_t due_ns = last->time_ns + last->reconnecting.delay_ns;
        if (due_ns > sim_now_ns() + LOOK_NS)
            step = due_ns - sim_now_ns();
    }
    return step < left_ns ? step : left_ns;
}

void back_pass(struct back *b, uint64_t ns)
{
    const uint64_t until_ns = sim_now_ns() + ns;
    do {
        turn(b, step_ns(b, until_ns - sim_now_ns()));
    } while (sim_now_ns() < until_ns);
}

const struct back_event *back_next(struct back *b, wsr_event_type type, uint64_t ns)
{
    const uint64_t until_ns = sim_now_ns() + ns;
    while (b->seen_n == b->events_n && sim_now_ns() < until_ns)
        turn(b, step_ns(b, until_ns - sim_now_ns()));
    if (b->seen_n == b->events_n)
        fail_msg("no event of type %d within %llu ns", (int)type, (unsigned long long)ns);
    const struct back_event *event = &b->events[b->seen_n++];
    if (event->type != type)
        fail_msg("wanted an event of type %d, got %d (%s, close %u, %s)", (int)type, event->type, wsr_error_name(event->error), event->close_code,
                 event->type == WSR_EVENT_RECONNECTING ? wsr_cause_lookup(event->reconnecting.cause)->name : "");
    return event;
}

void back_nothing(struct back *b, uint64_t ns)
{
    back_pass(b, ns);
    if (b->seen_n < b->events_n)
        fail_msg("an event of type %d", b->events[b->seen_n].type);
}
