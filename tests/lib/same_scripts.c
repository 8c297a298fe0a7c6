/*
 * tests/lib/same_scripts.c - the scripts of same.h: engines among themselves, and peers that do what no engine does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "lib/same_stage.h"

#define SECOND UINT64_C(1000000000)

static const char request[] = "GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/* ---- what both kinds of connections do ---- */

static struct end *connect_client(struct stage *s, bool deflate)
{
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/chat", (unsigned)s->port);
    config.url = url;
    config.deflate.on = deflate;
    wsr_conn conn;
    assert_int_equal(wsr_connect(s->client, &config, &conn), WSR_OK);
    struct end *client = same_end(s->clients, &s->clients_n, conn);
    struct end *server = &s->servers[s->servers_n];
    same_until(s, &client->opened, 1);
    same_until(s, &server->opened, 1);
    return client;
}

static void converse(struct stage *s, struct end *client, unsigned messages, size_t most)
{
    for (unsigned i = 0; i < messages; i++) {
        const unsigned seen = client->messages;
        assert_int_equal(wsr_send(s->client, client->conn, same_draw(s) % 2 != 0 ? WSR_TEXT : WSR_BINARY, same_payload(s, most)), WSR_OK);
        if (same_draw(s) % 2 != 0)
            same_until(s, &client->messages, seen + 1);
    }
    same_until(s, &client->messages, messages);
}

static int connect_peer(struct stage *s)
{
    const int peer = s->host->connect(s->port);
    assert_true(peer >= 0);
    return peer;
}

/* All of it, however little the host takes at a time. */
static void put(struct stage *s, int peer, const void *p, size_t len)
{
    for (size_t at = 0; at < len; same_turn(s)) {
        const long n = s->host->write(peer, (const uint8_t *)p + at, len - at);
        at += n > 0 ? (size_t)n : 0;
        if (n < 0 && n != -EAGAIN)
            return;
    }
}

/* A masked frame. */
static size_t frame(uint8_t *to, uint8_t first, wsr_slice payload)
{
    static const uint8_t key[4] = {1, 2, 3, 4};
    size_t n = 2;
    to[0] = first;
    to[1] = (uint8_t)(0x80 | (payload.len < 126 ? payload.len : 126));
    if (payload.len >= 126) {
        to[n++] = (uint8_t)(payload.len >> 8);
        to[n++] = (uint8_t)payload.len;
    }
    memcpy(to + n, key, 4);
    n += 4;
    for (size_t i = 0; i < payload.len; i++)
        to[n++] = payload.ptr[i] ^ key[i % 4];
    return n;
}

static void put_frame(struct stage *s, int peer, uint8_t first, wsr_slice payload)
{
    static uint8_t room[66000];
    assert_true(payload.len < 65536);
    put(s, peer, room, frame(room, first, payload));
}

/* What came to the peer up to so many bytes, or to the end; noted as its sum. */
static void peer_reads(struct stage *s, int peer, struct end *told, size_t most)
{
    uint64_t sum = 0;
    size_t total = 0;
    uint8_t room[4096];
    for (const uint64_t end_ns = s->host->now_ns() + 10 * SECOND; total < most; same_turn(s)) {
        const long n = s->host->read(peer, room, most - total < sizeof room ? most - total : sizeof room);
        if (n == 0 || (n < 0 && n != -EAGAIN)) {
            same_note(told, "    the peer: %s\n", n == 0 ? "the end" : "broken off");
            break;
        }
        sum = n > 0 ? same_sum(sum, room, (size_t)n) : sum;
        total += n > 0 ? (size_t)n : 0;
        if (s->host->now_ns() > end_ns) {
            s->late++;
            break;
        }
    }
    same_note(told, "    the peer got %zu bytes, %llx\n", total, (unsigned long long)sum);
}

/* A peer whose handshake is done. */
static int greet(struct stage *s)
{
    const int peer = connect_peer(s);
    struct end *server = &s->servers[s->servers_n];
    put(s, peer, request, sizeof request - 1);
    same_until(s, &server->opened, 1);
    peer_reads(s, peer, server, 129); /* the 101, which names no date and no server */
    return peer;
}

/* ---- scripts ---- */

static void the_client_closes(struct stage *s)
{
    struct end *client = connect_client(s, false);
    converse(s, client, 10, 3000);
    assert_int_equal(wsr_close(s->client, client->conn, 4000, SLICE("enough")), WSR_OK);
    same_closed(s);
}

static void the_server_closes(struct stage *s)
{
    converse(s, connect_client(s, false), 10, 3000);
    assert_int_equal(wsr_close(s->server, s->servers[0].conn, 1001, SLICE("going")), WSR_OK);
    same_closed(s);
}

static void both_close(struct stage *s)
{
    struct end *client = connect_client(s, false);
    converse(s, client, 3, 300);
    assert_int_equal(wsr_close(s->client, client->conn, 1000, SLICE("")), WSR_OK);
    assert_int_equal(wsr_close(s->server, s->servers[0].conn, 1001, SLICE("")), WSR_OK);
    same_closed(s);
}

static void the_client_aborts(struct stage *s)
{
    struct end *client = connect_client(s, false);
    converse(s, client, 3, 300);
    assert_int_equal(wsr_abort(s->client, client->conn), WSR_OK);
    same_closed(s);
}

static void the_server_aborts(struct stage *s)
{
    converse(s, connect_client(s, false), 3, 300);
    assert_int_equal(wsr_abort(s->server, s->servers[0].conn), WSR_OK);
    same_closed(s);
}

/* Nothing is waited for: the Close goes behind all of it, and the answers come nevertheless. */
static void much_and_a_close(struct stage *s)
{
    struct end *client = connect_client(s, false);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(wsr_send(s->client, client->conn, WSR_BINARY, same_payload(s, 2000)), WSR_OK);
    assert_int_equal(wsr_close(s->client, client->conn, 1000, SLICE("all said")), WSR_OK);
    same_closed(s);
}

static void large_messages(struct stage *s)
{
    struct end *client = connect_client(s, false);
    converse(s, client, 4, 900000);
    assert_int_equal(wsr_close(s->client, client->conn, 1000, SLICE("")), WSR_OK);
    same_closed(s);
}

static void fragments_and_pings(struct stage *s)
{
    struct end *client = connect_client(s, false);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(wsr_send_fragmented(s->client, client->conn, WSR_BINARY, same_payload(s, 5000), 1 + same_draw(s) % 2000), WSR_OK);
        assert_int_equal(wsr_send(s->client, client->conn, WSR_PING, same_payload(s, 125)), WSR_OK);
        same_until(s, &client->messages, i + 1);
    }
    assert_int_equal(wsr_close(s->client, client->conn, 1000, SLICE("")), WSR_OK);
    same_closed(s);
}

static void compressed(struct stage *s)
{
    struct end *client = connect_client(s, true);
    converse(s, client, 10, 5000);
    assert_int_equal(wsr_close(s->client, client->conn, 1000, SLICE("")), WSR_OK);
    same_closed(s);
}

static void in_chunks(struct stage *s)
{
    struct end *client = connect_client(s, false);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(wsr_send(s->client, client->conn, WSR_BINARY, same_payload(s, 200000)), WSR_OK);
    same_until(s, &s->servers[0].messages, 4);
    assert_int_equal(wsr_close(s->client, client->conn, 1000, SLICE("")), WSR_OK);
    same_closed(s);
}

static void drained(struct stage *s)
{
    wsr_drain_config drain = WSR_DRAIN_CONFIG_INIT;
    converse(s, connect_client(s, false), 3, 300);
    converse(s, connect_client(s, false), 3, 300);
    assert_int_equal(wsr_drain(s->server, &drain), WSR_OK);
    same_closed(s);
}

static void nobody_listens(struct stage *s)
{
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    char url[64];
    wsr_conn conn;
    assert_int_equal(wsr_unlisten(s->server, s->listener), WSR_OK);
    same_turn(s);
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/chat", (unsigned)s->port);
    config.url = url;
    assert_int_equal(wsr_connect(s->client, &config, &conn), WSR_OK);
    same_end(s->clients, &s->clients_n, conn);
    same_closed(s);
}

static void a_peer_closes(struct stage *s)
{
    static uint8_t room[2000];
    const int peer = greet(s);
    size_t n = frame(room, 0x81, SLICE("one"));
    n += frame(room + n, 0x82, SLICE("two"));
    n += frame(room + n, 0x88, (wsr_slice){(const uint8_t *)"\x0f\xa0" "bye", 5});
    put(s, peer, room, n); /* in one go, and the end of the stream behind it */
    s->host->shut(peer);
    peer_reads(s, peer, &s->servers[0], SIZE_MAX);
    same_closed(s);
    s->host->close(peer);
}

static void a_peer_resets_behind_both_closes(struct stage *s)
{
    const int peer = greet(s);
    put_frame(s, peer, 0x88, (wsr_slice){(const uint8_t *)"\x03\xe8", 2});
    peer_reads(s, peer, &s->servers[0], 4);
    s->host->reset(peer);
    same_closed(s);
}

/* Not before it has the echo: whether that had been sent when the end came would be chance. */
static void a_peer_stops(struct stage *s)
{
    const int peer = greet(s);
    const wsr_slice payload = same_payload(s, 3000);
    put_frame(s, peer, 0x82, payload);
    peer_reads(s, peer, &s->servers[0], payload.len + (payload.len < 126 ? 2 : 4));
    same_turn(s);
    s->host->shut(peer);
    peer_reads(s, peer, &s->servers[0], SIZE_MAX);
    same_closed(s);
    s->host->close(peer);
}

static void a_peer_resets(struct stage *s)
{
    const int peer = greet(s);
    s->silent = true;
    put_frame(s, peer, 0x82, same_payload(s, 3000));
    same_until(s, &s->servers[0].messages, 1);
    s->host->reset(peer);
    same_closed(s);
}

static void a_frame_is_cut(struct stage *s, bool reset)
{
    static uint8_t room[4000];
    const int peer = greet(s);
    const size_t n = frame(room, 0x82, same_payload(s, 3000));
    s->silent = true;
    put_frame(s, peer, 0x81, SLICE("whole"));
    same_until(s, &s->servers[0].messages, 1);
    put(s, peer, room, 1 + same_draw(s) % (n - 1));
    for (unsigned i = 0; i < 3; i++)
        same_turn(s);
    if (reset)
        s->host->reset(peer);
    else
        s->host->close(peer);
    same_closed(s);
}

static void a_frame_is_cut_off(struct stage *s)
{
    a_frame_is_cut(s, false);
}

static void a_frame_is_reset(struct stage *s)
{
    a_frame_is_cut(s, true);
}

/* What must not be is answered with a Close, and the answer is read to the end of the stream. */
static void wrong(struct stage *s, const void *p, size_t len)
{
    const int peer = greet(s);
    put_frame(s, peer, 0x81, SLICE("still right"));
    same_until(s, &s->servers[0].messages, 1);
    put(s, peer, p, len);
    s->host->shut(peer);
    peer_reads(s, peer, &s->servers[0], SIZE_MAX);
    same_closed(s);
    s->host->close(peer);
}

static void not_masked(struct stage *s)
{
    wrong(s, "\x81\x02hi", 4);
}

static void not_utf8(struct stage *s)
{
    wrong(s, "\x81\x82\0\0\0\0\xc0\xaf", 8);
}

static void too_large(struct stage *s)
{
    wrong(s, "\x82\xff\0\0\0\0\x40\0\0\0\1\2\3\4", 14);
}

static void a_bad_code(struct stage *s)
{
    wrong(s, "\x88\x82\0\0\0\0\x03\xed", 8);
}

static void a_continuation_of_nothing(struct stage *s)
{
    wrong(s, "\x80\x80\0\0\0\0", 6);
}

static void half_a_request(struct stage *s)
{
    const int peer = connect_peer(s);
    put(s, peer, request, 1 + same_draw(s) % (sizeof request - 2));
    s->host->shut(peer);
    unsigned *seen = &s->servers_n;
    same_until(s, seen, 1);
    peer_reads(s, peer, &s->servers[0], SIZE_MAX);
    same_closed(s);
    s->host->close(peer);
}

static void no_upgrade(struct stage *s)
{
    const int peer = connect_peer(s);
    put(s, peer, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
    s->host->shut(peer);
    same_until(s, &s->servers_n, 1);
    peer_reads(s, peer, &s->servers[0], SIZE_MAX);
    same_closed(s);
    s->host->close(peer);
}

/* Nothing is read for a while; then all that came is there, and how it ended. */
static void after_a_pause(struct stage *s, bool reset)
{
    const int peer = greet(s);
    s->silent = true;
    assert_int_equal(wsr_pause_read(s->server, s->servers[0].conn), WSR_OK);
    same_turn(s);
    for (unsigned i = 0; i < 5; i++)
        put_frame(s, peer, 0x82, same_payload(s, 5000));
    if (reset)
        s->host->reset(peer);
    else
        s->host->shut(peer);
    for (unsigned i = 0; i < 5; i++)
        same_turn(s);
    assert_int_equal(wsr_resume_read(s->server, s->servers[0].conn), WSR_OK);
    same_closed(s);
    if (!reset)
        s->host->close(peer);
}

static void an_end_after_a_pause(struct stage *s)
{
    after_a_pause(s, false);
}

static void a_reset_after_a_pause(struct stage *s)
{
    after_a_pause(s, true);
}

/* A socket that is closed with bytes unread says so by a reset (RFC 1122 4.2.2.13). */
static void a_peer_goes_without_reading(struct stage *s)
{
    const int peer = greet(s);
    put_frame(s, peer, 0x82, same_payload(s, 1000));
    same_until(s, &s->servers[0].messages, 1);
    for (unsigned i = 0; i < 3; i++)
        same_turn(s);
    s->host->close(peer);
    same_closed(s);
}

static void byte_by_byte(struct stage *s)
{
    static uint8_t room[600];
    const int peer = greet(s);
    size_t n = frame(room, 0x01, SLICE("\xC3\xA4\xE2\x82\xAC "));
    n += frame(room + n, 0x89, SLICE("between"));
    n += frame(room + n, 0x80, SLICE("\xF0\x9F\x98\x80"));
    n += frame(room + n, 0x88, (wsr_slice){NULL, 0});
    for (size_t i = 0; i < n; i++)
        put(s, peer, room + i, 1);
    s->host->shut(peer);
    peer_reads(s, peer, &s->servers[0], SIZE_MAX);
    same_closed(s);
    s->host->close(peer);
}

const struct script same_scripts[] = {
    {"the client closes", the_client_closes, false, 0},
    {"the server closes", the_server_closes, false, 0},
    {"both close", both_close, false, 0},
    {"the client aborts", the_client_aborts, false, 0},
    {"the server aborts", the_server_aborts, false, 0},
    {"much, and a Close behind it", much_and_a_close, false, 0},
    {"large messages", large_messages, false, 0},
    {"fragments and pings", fragments_and_pings, false, 0},
    {"compressed", compressed, true, 0},
    {"in chunks", in_chunks, false, 1000},
    {"drained", drained, false, 0},
    {"nobody listens", nobody_listens, false, 0},
    {"a peer closes", a_peer_closes, false, 0},
    {"a peer resets behind both Closes", a_peer_resets_behind_both_closes, false, 0},
    {"a peer stops", a_peer_stops, false, 0},
    {"a peer resets", a_peer_resets, false, 0},
    {"a frame is cut off", a_frame_is_cut_off, false, 0},
    {"a frame is reset", a_frame_is_reset, false, 0},
    {"not masked", not_masked, false, 0},
    {"not UTF-8", not_utf8, false, 0},
    {"too large", too_large, false, 0},
    {"a bad code", a_bad_code, false, 0},
    {"a continuation of nothing", a_continuation_of_nothing, false, 0},
    {"half a request", half_a_request, false, 0},
    {"no upgrade", no_upgrade, false, 0},
    {"an end after a pause", an_end_after_a_pause, false, 0},
    {"a reset after a pause", a_reset_after_a_pause, false, 0},
    {"a peer goes without reading", a_peer_goes_without_reading, false, 0},
    {"byte by byte", byte_by_byte, false, 0},
};
const unsigned same_scripts_n = sizeof same_scripts / sizeof same_scripts[0];
