/*
 * tests/test_prepared.c - wsr_prepare: one message to many, over every kind of connection, as what it is; made once where it can be;
 * held where it was received; gone with the last who needs it; and no burden where a thousand do not read (in virtual time, with
 * latencies and short of memory: sim_prepared.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <wsring/wsring.h>

#include "conn/engine.h"

#include "lib/failing.h"
#include "proto/prepared.h"

#define SECOND INT64_C(1000000000)

enum { PLAIN, DEFLATED, TAKING_OVER, SEALED, KINDS, EACH = 3, CLIENTS = KINDS * EACH, LEN_MAX = 200000 };

struct room {
    wsr_engine *engine;
    wsr_listener listeners[KINDS];
    wsr_tls *server_tls, *client_tls;
    wsr_conn members[CLIENTS], clients[CLIENTS]; /* the ends of each connection, not in the same order */
    unsigned opened, clients_n, members_n, received, closed;
    uint8_t *payload;
    size_t len;
    wsr_opcode opcode;
    void (*on_server_message)(struct room *room, const wsr_event *event);
};

static void take(struct room *room, const wsr_event *event)
{
    switch (event->type) {
    case WSR_EVENT_OPEN:
        room->opened++;
        if (wsr_event_request(event) != NULL)
            room->members[room->members_n++] = event->conn;
        break;
    case WSR_EVENT_MESSAGE:
        assert_int_equal(event->opcode, room->opcode);
        assert_int_equal(event->data.len, room->len);
        if (room->len > 0)
            assert_memory_equal(event->data.ptr, room->payload, room->len);
        room->received++;
        for (unsigned i = 0; i < room->members_n && room->on_server_message != NULL; i++)
            if (room->members[i] == event->conn)
                room->on_server_message(room, event);
        break;
    case WSR_EVENT_CLOSED:
        room->closed++;
        break;
    default:
        break;
    }
}

static void until(struct room *room, const unsigned *counter, unsigned n)
{
    wsr_event ev[32];
    while (*counter < n) {
        const int got = wsr_poll(room->engine, ev, 32, 20 * SECOND);
        assert_true(got > 0);
        for (int i = 0; i < got; i++)
            take(room, &ev[i]);
    }
    assert_int_equal(*counter, n);
}

static void open_tls(struct room *room)
{
    wsr_tls_config server = WSR_TLS_CONFIG_INIT, client = WSR_TLS_CONFIG_INIT;
    server.role = WSR_SERVER;
    server.self_signed = "localhost";
    client.role = WSR_CLIENT;
    client.verify_none = true;
    char detail[200];
    assert_int_equal(wsr_tls_open(&room->server_tls, &server, detail, sizeof detail), WSR_OK);
    assert_int_equal(wsr_tls_open(&room->client_tls, &client, detail, sizeof detail), WSR_OK);
}

static void room_open(struct room *room)
{
    memset(room, 0, sizeof *room);
    open_tls(room);
    wsr_config config = WSR_CONFIG_INIT;
    config.allocator = &failing;
    failing_bytes = 0;
    assert_int_equal(wsr_engine_open(&room->engine, &config), WSR_OK);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
        wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
        const wsr_deflate deflate = {.on = true, .send_takeover = kind == TAKING_OVER, .receive_takeover = kind == TAKING_OVER};
        if (kind == DEFLATED || kind == TAKING_OVER)
            listen.deflate = connect.deflate = deflate;
        if (kind == SEALED) {
            listen.tls = room->server_tls;
            connect.tls = room->client_tls;
        }
        assert_int_equal(wsr_listen(room->engine, &listen, &room->listeners[kind]), WSR_OK);
        char url[60];
        (void)snprintf(url, sizeof url, "%s://localhost:%u", kind == SEALED ? "wss" : "ws", wsr_listen_port(room->engine, room->listeners[kind]));
        connect.url = url;
        for (unsigned i = 0; i < EACH; i++)
            assert_int_equal(wsr_connect(room->engine, &connect, &room->clients[room->clients_n++]), WSR_OK);
    }
    until(room, &room->opened, 2 * CLIENTS);
    room->payload = malloc(LEN_MAX + 1);
    assert_non_null(room->payload);
    for (size_t i = 0; i < LEN_MAX; i++)
        room->payload[i] = (uint8_t)("jackdaws love my big sphinx of quartz"[(uint32_t)i * 2654435761u >> 7 & 31]);
}

static void room_free(struct room *room)
{
    wsr_engine_close(room->engine);
    assert_int_equal(failing_bytes, 0); /* a chunk that somebody still holds would be missed */
    wsr_tls_release(room->server_tls);
    wsr_tls_release(room->client_tls);
    free(room->payload);
}

/* Everybody leaves. */
static void room_close(struct room *room)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(wsr_close(room->engine, room->clients[i], 1000, ((wsr_slice){NULL, 0})), WSR_OK);
    until(room, &room->closed, 2 * CLIENTS);
    room_free(room);
}

static wsr_prepared *prepare(struct room *room, wsr_opcode opcode, size_t len)
{
    wsr_prepared *prepared;
    room->len = len;
    room->opcode = (wsr_opcode)((unsigned)opcode & 0x0F);
    assert_int_equal(wsr_prepare(room->engine, opcode, (wsr_slice){room->payload, len}, &prepared), WSR_OK);
    return prepared;
}

static const size_t sizes[] = {0, 1, 125, 126, 127, 128, WSR_REFERENCE_BYTES_MIN - 5, WSR_REFERENCE_BYTES_MIN - 4, 4096, 65535, 65536, LEN_MAX};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void every_kind_of_receiver_gets_it(void **state)
{
    (void)state;
    static const wsr_opcode opcodes[] = {WSR_TEXT, WSR_BINARY, WSR_TEXT_PLAIN, WSR_BINARY_PLAIN};
    struct room room;
    room_open(&room);
    for (unsigned i = 0; i < SIZES; i++) {
        for (unsigned k = 0; k < 4; k++) {
            wsr_prepared *message = prepare(&room, opcodes[k], sizes[i]);
            const unsigned before = room.received;
            for (unsigned m = 0; m < CLIENTS; m++) {
                assert_int_equal(wsr_send_prepared(room.engine, room.members[m], message), WSR_OK);
                assert_int_equal(wsr_send_prepared(room.engine, room.clients[m], message), WSR_OK); /* masked, each with a key of its own */
            }
            if (i % 2 == 0)
                wsr_prepared_free(message); /* before any of it was sent */
            until(&room, &room.received, before + 2 * CLIENTS);
            if (i % 2 != 0)
                wsr_prepared_free(message);
        }
    }
    room_close(&room);
}

/* For all to whom it is the same there is one frame, and one compressed one. */
static void it_is_made_once(void **state)
{
    (void)state;
    struct room room;
    room_open(&room);
    wsr_prepared *message = prepare(&room, WSR_TEXT, 50000);
    for (unsigned m = 0; m < CLIENTS; m++)
        assert_int_equal(wsr_send_prepared(room.engine, room.members[m], message), WSR_OK);
    assert_int_equal(message->plain.chunk->holders, 1 + 2 * EACH); /* plain and TLS */
    assert_int_equal(message->deflated_n, 1);
    assert_non_null(message->deflated[0].made.chunk);
    assert_true(message->deflated[0].made.frame.len < 40000);
    assert_int_equal(message->deflated[0].made.chunk->holders, 1 + EACH);
    until(&room, &room.received, CLIENTS);
    assert_int_equal(message->plain.chunk->holders, 1);
    assert_int_equal(message->deflated[0].made.chunk->holders, 1);
    wsr_prepared_free(message);

    /* What deflate cannot make smaller is sent to these, too, as it is. */
    for (size_t i = 0; i < LEN_MAX; i++)
        room.payload[i] = (uint8_t)(i * 2654435761u >> 13 ^ i * i >> 3 ^ (i * 40503u >> 7));
    message = prepare(&room, WSR_BINARY, 3000);
    for (unsigned m = 0; m < CLIENTS; m++)
        assert_int_equal(wsr_send_prepared(room.engine, room.members[m], message), WSR_OK);
    until(&room, &room.received, 2 * CLIENTS);
    wsr_prepared_free(message);
    room_close(&room);
}

static void pass_on(struct room *room, const wsr_event *event)
{
    wsr_prepared *message, *again;
    const wsr_slice data = {event->data.ptr, event->data.len};
    assert_int_equal(wsr_prepare(room->engine, WSR_BINARY, data, &message), WSR_OK);
    assert_int_equal(wsr_prepare(room->engine, WSR_TEXT, data, &again), WSR_OK);
    assert_ptr_equal(message->payload.ptr, event->data.ptr); /* where it was received */
    assert_ptr_not_equal(again->payload.ptr, event->data.ptr); /* there is a header of another's before it now */
    for (unsigned m = 0; m < CLIENTS; m++)
        assert_int_equal(wsr_send_prepared(room->engine, room->members[m], message), WSR_OK);
    assert_int_equal(wsr_forward(room->engine, room->members[0], event), WSR_OK); /* by copy: others hold it */
    wsr_prepared_free(message);
    wsr_prepared_free(again);
    assert_memory_equal(event->data.ptr, room->payload, room->len);
}

/* A large message that was received goes out from where it lies, to all, and the event stays whole until the next poll. */
static void what_was_received_is_not_copied(void **state)
{
    (void)state;
    struct room room;
    room_open(&room);
    room.on_server_message = pass_on;
    room.len = 150000;
    room.opcode = WSR_BINARY;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(wsr_send(room.engine, room.clients[0], WSR_BINARY, (wsr_slice){room.payload, room.len}), WSR_OK);
        until(&room, &room.received, (i + 1) * (1 + CLIENTS + 1));
    }
    room_close(&room);
}

static void steady_state_allocates_nothing(void **state)
{
    (void)state;
    struct room room;
    room_open(&room);
    wsr_engine_statistics before, after;
    for (unsigned i = 0; i < 12; i++) {
        if (i == 4)
            wsr_engine_stats(room.engine, &before, sizeof before);
        for (unsigned k = 0; k < 3; k++) {
            wsr_prepared *message = prepare(&room, WSR_BINARY_PLAIN, sizes[SIZES - 1 - k]);
            for (unsigned m = 0; m < EACH; m++)
                assert_int_equal(wsr_send_prepared(room.engine, room.members[m], message), WSR_OK);
            wsr_prepared_free(message);
            until(&room, &room.received, (3 * i + k + 1) * EACH);
        }
    }
    wsr_engine_stats(room.engine, &after, sizeof after);
    assert_int_equal(after.allocations, before.allocations);
    room_close(&room);
}

static void what_cannot_be_is_said(void **state)
{
    (void)state;
    struct room room;
    room_open(&room);
    wsr_prepared *message = NULL;
    assert_int_equal(wsr_prepare(room.engine, WSR_PING, ((wsr_slice){NULL, 0}), &message), WSR_EINVAL);
    assert_int_equal(wsr_prepare(room.engine, WSR_BINARY, ((wsr_slice){room.payload, (size_t)17 << 20}), &message), WSR_ETOOBIG);
    assert_null(message);
    wsr_prepared_free(NULL);
    message = prepare(&room, WSR_BINARY, 5000);
    assert_int_equal(wsr_send_prepared(room.engine, 12345, message), WSR_ESTALE);
    const wsr_conn gone = room.members[0];
    assert_int_equal(wsr_close(room.engine, gone, 1000, ((wsr_slice){NULL, 0})), WSR_OK);
    assert_int_equal(wsr_send_prepared(room.engine, gone, message), WSR_ESTATE);
    until(&room, &room.closed, 2);
    assert_int_equal(wsr_send_prepared(room.engine, gone, message), WSR_ESTALE);
    wsr_prepared_free(message);
    room_free(&room); /* with all the others open */
}

/* ---- a thousand who do not read ---- */

enum { LIVE = 50, STALLED = 1000, ALL = LIVE + STALLED, ROUNDS = 40, MESSAGE = 60000, OUTBOX_MAX = 1 << 20 };

struct crowd {
    wsr_engine *engine;
    wsr_listener listener;
    int fds[ALL]; /* the peers' ends: those who live, then the others */
    wsr_conn conns[ALL];
    unsigned opened, said, closed, full;
    size_t memory_most;
};

/* Of the events that are there now. */
static void crowd_turn(struct crowd *crowd, int64_t timeout_ns)
{
    wsr_event ev[64];
    const int n = wsr_poll(crowd->engine, ev, 64, timeout_ns);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        crowd->opened += ev[i].type == WSR_EVENT_OPEN;
        crowd->said += ev[i].type == WSR_EVENT_MESSAGE;
        crowd->closed += ev[i].type == WSR_EVENT_CLOSED;
    }
    const size_t memory = crowd->engine->env.pool.out_bytes;
    crowd->memory_most = memory > crowd->memory_most ? memory : crowd->memory_most;
}

/* Socket pairs: what a kernel keeps for one that does not read is as little as it may be, and nothing depends on a network. */
static void crowd_open(struct crowd *crowd)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    memset(crowd, 0, sizeof *crowd);
    wsr_config config = WSR_CONFIG_INIT;
    config.limits.outbox_bytes_max = OUTBOX_MAX;
    config.limits.ping_interval_ns = UINT64_MAX;
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    listen.adopt_only = true;
    assert_int_equal(wsr_engine_open(&crowd->engine, &config), WSR_OK);
    assert_int_equal(wsr_listen(crowd->engine, &listen, &crowd->listener), WSR_OK);
    for (unsigned i = 0; i < ALL; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        const int least = 1;
        if (i >= LIVE)
            assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
        crowd->fds[i] = pair[1];
        const wsr_slice read_already = {(const uint8_t *)request, sizeof request - 1};
        assert_int_equal(wsr_adopt_fd(crowd->engine, crowd->listener, pair[0], read_already, &crowd->conns[i]), WSR_OK);
    }
    while (crowd->opened < ALL)
        crowd_turn(crowd, 10 * SECOND);
    for (unsigned i = 0; i < ALL; i++) {
        uint8_t answer[512];
        assert_int_equal(wsr_flush(crowd->engine), WSR_OK);
        assert_true(recv(crowd->fds[i], answer, sizeof answer, 0) > 12);
    }
}

/* One message to all, and a word from each who lives; returns how many turns that took. */
static unsigned crowd_round(struct crowd *crowd, unsigned round)
{
    static uint8_t payload[MESSAGE], bytes[1 << 16];
    static const uint8_t word[] = {0x82, 0x81, 0, 0, 0, 0, 'x'};
    const size_t whole = 4 + MESSAGE;
    size_t got[LIVE] = {0};
    wsr_prepared *message;
    memset(payload, (int)('a' + round % 26), sizeof payload);
    assert_int_equal(wsr_prepare(crowd->engine, WSR_BINARY, (wsr_slice){payload, sizeof payload}, &message), WSR_OK);
    for (unsigned i = 0; i < ALL; i++) {
        const int error = wsr_send_prepared(crowd->engine, crowd->conns[i], message);
        assert_true(error == WSR_OK || (i >= LIVE && error == WSR_EFULL));
        crowd->full += error == WSR_EFULL;
        if (i < LIVE)
            assert_int_equal(send(crowd->fds[i], word, sizeof word, MSG_NOSIGNAL), sizeof word);
    }
    wsr_prepared_free(message);
    unsigned turns = 0, done = 0;
    const unsigned said = crowd->said + LIVE;
    for (; done < LIVE || crowd->said < said; turns++) {
        crowd_turn(crowd, 0);
        for (unsigned i = 0; i < LIVE; i++) {
            const ssize_t n = got[i] < whole ? recv(crowd->fds[i], bytes, sizeof bytes, MSG_DONTWAIT) : 0;
            if (n <= 0)
                continue;
            assert_int_equal(bytes[n - 1], 'a' + round % 26);
            got[i] += (size_t)n;
            done += got[i] == whole;
        }
        assert_true(turns < 1000);
    }
    return turns;
}

static void a_thousand_who_do_not_read_stop_nobody(void **state)
{
    (void)state;
    struct rlimit old, high;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    high = old;
    high.rlim_cur = old.rlim_max < 4096 ? old.rlim_max : 4096;
    if (high.rlim_cur < 2 * ALL + 64)
        skip();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &high), 0);
    static struct crowd crowd;
    crowd_open(&crowd);
    unsigned turns = 0;
    for (unsigned round = 0; round < ROUNDS; round++)
        turns += crowd_round(&crowd, round);
    assert_in_range(turns, ROUNDS, 8 * ROUNDS); /* a message and what is said meanwhile take a few looks, who else there may be */
    const unsigned taken = OUTBOX_MAX / MESSAGE + 1;
    assert_true(crowd.full >= STALLED * (ROUNDS - taken));
    /* Each message once, in a chunk that may be twice its size, and a reference for each receiver: by copies it would be a GiB. */
    assert_in_range(crowd.memory_most, (taken - 1) * MESSAGE, taken * (2 * MESSAGE + ALL * sizeof(struct wsr_chunk)) + (1 << 20));
    wsr_engine_statistics stats;
    wsr_engine_stats(crowd.engine, &stats, sizeof stats);
    assert_int_equal(stats.starved, 0);
    assert_int_equal(stats.reads_held + stats.connections_shed, 0);
    for (unsigned i = 0; i < ALL; i++)
        close(crowd.fds[i]);
    while (crowd.closed < ALL)
        crowd_turn(&crowd, 10 * SECOND);
    crowd_turn(&crowd, 0);
    assert_int_equal(crowd.engine->env.pool.out_bytes, 0);
    wsr_engine_close(crowd.engine);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_receiver_gets_it),  cmocka_unit_test(it_is_made_once),
        cmocka_unit_test(what_was_received_is_not_copied), cmocka_unit_test(steady_state_allocates_nothing),
        cmocka_unit_test(what_cannot_be_is_said),          cmocka_unit_test(a_thousand_who_do_not_read_stop_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
