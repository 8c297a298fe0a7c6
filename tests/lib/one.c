/*
 * tests/lib/one.c - see one.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "lib/one.h"
#include "sim/sim.h"

const char one_request[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

void one_open(struct one *o, const wsr_config *config)
{
    memset(o, 0, sizeof *o);
    assert_int_equal(wsr_engine_open(&o->engine, config), WSR_OK);
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    assert_int_equal(wsr_listen(o->engine, &listen, &listener), WSR_OK);
    o->port = wsr_listen_port(o->engine, listener);
}

void one_open_limits(struct one *o, const wsr_limits *limits)
{
    wsr_config config = WSR_CONFIG_INIT;
    config.limits = *limits;
    one_open(o, &config);
}

static void see(struct one *o, const wsr_event *ev)
{
    o->opened += ev->type == WSR_EVENT_OPEN;
    o->requests += ev->type == WSR_EVENT_REQUEST;
    o->messages += ev->type == WSR_EVENT_MESSAGE;
    o->pings += ev->type == WSR_EVENT_PING;
    o->pongs += ev->type == WSR_EVENT_PONG;
    o->writables += ev->type == WSR_EVENT_WRITABLE;
    if (ev->type == WSR_EVENT_MESSAGE)
        o->message_bytes += ev->data.len;
    if (ev->type == WSR_EVENT_OPEN || ev->type == WSR_EVENT_REQUEST)
        o->conn = ev->conn;
    if (ev->type == WSR_EVENT_CLOSED) {
        o->closed++;
        o->record = *wsr_event_close_record(ev);
        o->closed_at_ns = ev->time_ns;
    }
}

void one_poll(struct one *o, uint64_t ns)
{
    const uint64_t until = sim_now_ns() + ns;
    for (bool more = true; more;) {
        wsr_event ev[8];
        uint64_t left = until - sim_now_ns();
        int n = wsr_poll(o->engine, ev, 8, (int64_t)left);
        assert_true(n >= 0);
        for (int i = 0; i < n; i++)
            see(o, &ev[i]);
        more = sim_now_ns() < until && (n > 0 || left > 0);
    }
}

int one_peer(struct one *o)
{
    int peer = sim_peer_connect(o->port);
    assert_true(peer >= 0);
    one_poll(o, MS);
    assert_int_equal(sim_peer_write(peer, one_request, strlen(one_request)), (ptrdiff_t)strlen(one_request));
    unsigned want = o->opened + 1;
    one_poll(o, 2 * MS);
    assert_int_equal(o->opened, want);
    char answer[512];
    ptrdiff_t n = sim_peer_read(peer, answer, sizeof answer);
    assert_true(n > 12 && memcmp(answer, "HTTP/1.1 101", 12) == 0);
    return peer;
}

void one_peer_frame(int peer, uint8_t first, const void *payload, size_t len)
{
    uint8_t head[8] = {first, (uint8_t)(0x80 | len)};
    size_t head_len = 6;
    assert_true(len < 65536);
    if (len > 125) {
        head[1] = 0x80 | 126;
        head[2] = (uint8_t)(len >> 8);
        head[3] = (uint8_t)len;
        head_len = 8;
    }
    assert_int_equal(sim_peer_write(peer, head, head_len), (ptrdiff_t)head_len);
    if (len > 0)
        assert_int_equal(sim_peer_write(peer, payload, len), (ptrdiff_t)len);
}

uint64_t one_open_slots(const wsr_engine *engine)
{
    wsr_engine_statistics stats = {0};
    if (engine != NULL)
        wsr_engine_stats(engine, &stats, sizeof stats);
    return stats.open;
}

void one_close(struct one *o)
{
    wsr_engine_close(o->engine);
    one_no_leaks();
}

void one_no_leaks(void)
{
    char text[160];
    if (sim_leaks(text, sizeof text) > 0)
        fail_msg("left open: %s", text);
}
