/*
 * tests/sim_prepared.c - one message to many (wsr_prepare) among receivers that do not read, in virtual time: who reads gets
 * everything as soon as if it were alone, memory stays bounded, nobody's receiving starves, and nothing is left over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <wsring/wsring.h>

#include "conn/engine.h"
#include "lib/one.h"
#include "sim/sim.h"

enum { LIVE = 50, STALLED = 1000, ROUNDS = 60, PAYLOAD = 60000, HEADER = 4 };

#define OUTBOX_MAX ((uint64_t)1 << 20)
#define MEMORY_MAX ((uint64_t)6 << 20)

struct room {
    struct one one;
    int live[LIVE], stalled[STALLED];
    wsr_conn live_conn[LIVE], stalled_conn[STALLED];
    unsigned stalled_n, full;
    unsigned joined; /* of them so many are sent to */
    uint64_t memory_most;
};

static uint8_t payload[PAYLOAD];

static struct wsr_pool *pool_of(struct room *room)
{
    return &room->one.engine->env.pool;
}

static void room_open(struct room *room, uint64_t memory_bytes_max)
{
    memset(room, 0, sizeof *room);
    wsr_config config = WSR_CONFIG_INIT;
    config.memory_bytes_max = memory_bytes_max;
    config.limits.outbox_bytes_max = OUTBOX_MAX;
    config.limits.ping_interval_ns = UINT64_MAX;
    config.limits.idle_timeout_ns = 10000 * SECOND;
    config.limits.close_timeout_ns = SECOND;
    sim_reset(1);
    sim_knobs.socket_bytes = 16384;
    one_open(&room->one, &config);
    for (unsigned i = 0; i < LIVE; i++) {
        room->live[i] = one_peer(&room->one);
        room->live_conn[i] = room->one.conn;
    }
}

static void room_stall(struct room *room, unsigned n)
{
    for (; n > 0; n--) {
        room->stalled[room->stalled_n] = one_peer(&room->one);
        room->stalled_conn[room->stalled_n++] = room->one.conn;
    }
}

/* To everybody; those who are full are left out, as an application would. False: there was no memory for it now. */
static bool publish(struct room *room, unsigned round)
{
    wsr_prepared *message;
    memset(payload, (int)('a' + round % 26), sizeof payload);
    const int error = wsr_prepare(room->one.engine, WSR_BINARY, (wsr_slice){payload, sizeof payload}, &message);
    if (error == WSR_ENOMEM)
        return false;
    assert_int_equal(error, WSR_OK);
    for (unsigned i = 0; i < LIVE; i++)
        assert_int_equal(wsr_send_prepared(room->one.engine, room->live_conn[i], message), WSR_OK);
    for (unsigned i = 0; i < room->joined; i++)
        room->full += wsr_send_prepared(room->one.engine, room->stalled_conn[i], message) == WSR_EFULL;
    wsr_prepared_free(message);
    return true;
}

/* Until all who live have read all of it, and the engine what they said meanwhile. */
static void deliver(struct room *room, unsigned round)
{
    static uint8_t bytes[16384];
    size_t got[LIVE] = {0};
    const unsigned said = room->one.messages + LIVE;
    const uint64_t patience_ns = sim_now_ns() + SECOND;
    unsigned done = 0;
    for (unsigned i = 0; i < LIVE; i++)
        one_peer_frame(room->live[i], 0x82, "here", 4);
    while (done < LIVE || room->one.messages < said) {
        wsr_event ev[64];
        const int n = wsr_poll(room->one.engine, ev, 64, (int64_t)MS); /* no longer: nobody tells us that there is something to read */
        for (int i = 0; i < n; i++)
            room->one.messages += ev[i].type == WSR_EVENT_MESSAGE;
        for (unsigned i = 0; i < LIVE; i++) {
            const ptrdiff_t more = sim_peer_read(room->live[i], bytes, sizeof bytes);
            if (more <= 0)
                continue;
            assert_int_equal(bytes[more - 1], 'a' + round % 26);
            got[i] += (size_t)more;
            assert_true(got[i] <= HEADER + PAYLOAD);
            done += got[i] == HEADER + PAYLOAD;
        }
        room->memory_most = pool_of(room)->out_bytes > room->memory_most ? pool_of(room)->out_bytes : room->memory_most;
        assert_true(sim_now_ns() < patience_ns);
    }
}

/* All leave; then the engine holds nothing of anybody's. */
static void room_close(struct room *room)
{
    for (unsigned i = 0; i < LIVE; i++)
        sim_peer_close(room->live[i]);
    for (unsigned i = 0; i < room->stalled_n; i++)
        sim_peer_close(room->stalled[i]);
    one_poll(&room->one, 5 * SECOND);
    assert_int_equal(pool_of(room)->out_bytes, 0);
    wsr_engine_statistics stats;
    wsr_engine_stats(room->one.engine, &stats, sizeof stats);
    assert_int_equal(stats.open, 0);
    assert_int_equal(stats.starved, 0); /* no receive ever found all buffers held */
    one_close(&room->one);
}

/* How long the rounds take those who live, in virtual time. */
static uint64_t rounds(unsigned stalled)
{
    struct room room;
    room_open(&room, 0);
    room_stall(&room, stalled);
    room.joined = stalled;
    sim_knobs.latency_ns_max = MS;
    const uint64_t from_ns = sim_now_ns();
    for (unsigned round = 0; round < ROUNDS; round++) {
        assert_true(publish(&room, round));
        deliver(&room, round);
    }
    const uint64_t took_ns = sim_now_ns() - from_ns;
    if (stalled > 0) {
        /* They took a MiB each; between them they hold each message once, and a reference for each of them. */
        assert_true(room.full >= stalled * (ROUNDS - OUTBOX_MAX / PAYLOAD - 1));
        const uint64_t messages = OUTBOX_MAX / PAYLOAD + 1;
        assert_in_range(room.memory_most, messages * PAYLOAD, 2 * messages * PAYLOAD + stalled * messages * sizeof(struct wsr_chunk) + (1 << 20));
        for (unsigned i = 0; i < stalled; i++)
            assert_in_range(wsr_outbox_bytes(room.one.engine, room.stalled_conn[i]), OUTBOX_MAX - 2 * PAYLOAD, OUTBOX_MAX + HEADER * messages);
    }
    room_close(&room);
    return took_ns;
}

static void who_reads_does_not_wait_for_who_does_not(void **state)
{
    (void)state;
    const uint64_t alone_ns = rounds(0), among_ns = rounds(STALLED);
    assert_true(among_ns <= alone_ns + alone_ns / 20); /* other random latencies, nothing more */
}

/* Each of these stands at messages of its own, which so all stay: memory ends, and it is those who have to go. */
static void who_holds_too_much_is_shed_and_nobody_else(void **state)
{
    (void)state;
    struct room room;
    room_open(&room, MEMORY_MAX);
    room_stall(&room, 2 * ROUNDS);
    unsigned refused = 0;
    for (unsigned round = 0; round < 4 * ROUNDS; round++) {
        room.joined = round / 2;
        while (!publish(&room, round)) {
            refused++;
            assert_true(refused < 1000);
            one_poll(&room.one, 100 * MS);
        }
        deliver(&room, round);
        assert_true(pool_of(&room)->out_bytes <= MEMORY_MAX);
    }
    wsr_engine_statistics stats;
    wsr_engine_stats(room.one.engine, &stats, sizeof stats);
    assert_in_range(stats.connections_shed, 1, room.stalled_n);
    for (unsigned i = 0; i < LIVE; i++)
        assert_int_equal(wsr_send(room.one.engine, room.live_conn[i], WSR_PING, SLICE("?")), WSR_OK);
    room_close(&room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_reads_does_not_wait_for_who_does_not),
        cmocka_unit_test(who_holds_too_much_is_shed_and_nobody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
