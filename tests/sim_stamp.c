/*
 * tests/sim_stamp.c - the kernel's time stamps of receives on the simulated host, which knows when every byte arrived: whole, missing
 * and cut-off ones, what is refused, what is short, and of every message of a stream cut anywhere, that its stamp is never before its
 * last byte arrived, and just then where it is said to be its alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "conn/engine.h"
#include "lib/one.h"
#include "sim/sim.h"

#define ALONE WSR_EVENT_STAMPED
#define SHARED (WSR_EVENT_STAMPED | WSR_EVENT_STAMP_SHARED)

static int listen_stamped(struct one *o)
{
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    listen.socket.receive_stamps = true;
    wsr_listener listener;
    const int error = wsr_listen(o->engine, &listen, &listener);
    if (error == WSR_OK)
        o->port = wsr_listen_port(o->engine, listener);
    return error;
}

static void open_stamped(struct one *o, uint64_t seed, const wsr_config *config)
{
    sim_reset(seed);
    memset(o, 0, sizeof *o);
    assert_int_equal(wsr_engine_open(&o->engine, config), WSR_OK);
    assert_int_equal(listen_stamped(o), WSR_OK);
}

/* The events of the next poll that has some; at most cap. */
static unsigned poll_some(struct one *o, wsr_event *ev, unsigned cap)
{
    const int n = wsr_poll(o->engine, ev, cap, (int64_t)SECOND);
    assert_true(n > 0);
    return (unsigned)n;
}

static void put(int peer, const void *bytes, size_t len)
{
    assert_int_equal(sim_peer_write(peer, bytes, len), (ptrdiff_t)len);
}

/* ---- one stamp ---- */

/* A message alone in its receive: its flags, and the stamp that it has. */
static wsr_receive_stamp stamp_of_one(const struct sim_knobs *knobs, unsigned flags)
{
    struct one o;
    open_stamped(&o, 1, NULL);
    const int peer = one_peer(&o);
    sim_knobs.no_stamp_percent = knobs->no_stamp_percent;
    sim_knobs.cut_stamp_percent = knobs->cut_stamp_percent;
    sim_knobs.hardware_percent = knobs->hardware_percent;
    const uint64_t sent_ns = sim_now_ns();
    one_peer_frame(peer, 0x82, "x", 1);
    sim_sleep(MS);
    wsr_event ev[4];
    assert_int_equal(poll_some(&o, ev, 4), 1);
    assert_int_equal(ev[0].type, WSR_EVENT_MESSAGE);
    assert_int_equal(ev[0].flags, flags);
    const wsr_receive_stamp *stamp = wsr_event_stamp(&ev[0]);
    wsr_receive_stamp copy = {0, 0};
    assert_true((stamp != NULL) == ((flags & WSR_EVENT_STAMPED) != 0));
    if (stamp != NULL) {
        assert_int_equal(stamp->realtime_ns, sent_ns);
        copy = *stamp;
    } else {
        assert_int_equal(ev[0].token, 0);
    }
    sim_peer_close(peer);
    one_poll(&o, MS);
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.cause, WSR_ETRUNCATED); /* its end came in a buffer too */
    assert_int_equal(wsr_ring_buffers_free(o.engine->ring, true), 256);
    one_close(&o);
    return copy;
}

static void test_a_stamp_is_when_it_arrived(void **state)
{
    (void)state;
    assert_int_equal(stamp_of_one(&(struct sim_knobs){0}, ALONE).hardware_ns, 0);
}

static void test_the_cards_stamp_is_beside_it(void **state)
{
    (void)state;
    const wsr_receive_stamp stamp = stamp_of_one(&(struct sim_knobs){.hardware_percent = 100}, ALONE);
    assert_int_equal(stamp.hardware_ns, stamp.realtime_ns + SIM_HARDWARE_NS);
}

static void test_none_was_given(void **state)
{
    (void)state;
    (void)stamp_of_one(&(struct sim_knobs){.no_stamp_percent = 100}, 0);
}

static void test_one_was_cut_off(void **state)
{
    (void)state;
    (void)stamp_of_one(&(struct sim_knobs){.cut_stamp_percent = 100}, 0);
}

/* ---- whose it is ---- */

static void expect(struct one *o, int peer, const char *bytes, size_t len, const unsigned *flags, unsigned n)
{
    wsr_event ev[8];
    put(peer, bytes, len);
    sim_sleep(MS);
    assert_int_equal(poll_some(o, ev, 8), n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(ev[i].flags, flags[i]);
}
#define EXPECT(o, peer, bytes, ...) \
    expect(o, peer, bytes, sizeof(bytes) - 1, (const unsigned[]){__VA_ARGS__}, sizeof((const unsigned[]){__VA_ARGS__}) / sizeof(unsigned))

#define MESSAGE "\x82\x81\0\0\0\0x"
#define PING "\x89\x80\0\0\0\0"
#define PONG "\x8a\x80\0\0\0\0"
#define FRAGMENT "\x02\x81\0\0\0\0x"
#define LAST_FRAGMENT "\x80\x81\0\0\0\0x"

static void test_what_comes_together_shares(void **state)
{
    (void)state;
    struct one o;
    open_stamped(&o, 2, NULL);
    const int peer = one_peer(&o);
    EXPECT(&o, peer, MESSAGE, ALONE);
    EXPECT(&o, peer, MESSAGE MESSAGE, SHARED, SHARED);
    EXPECT(&o, peer, PING, ALONE);
    EXPECT(&o, peer, PONG MESSAGE, SHARED, SHARED);
    EXPECT(&o, peer, MESSAGE "\x82", SHARED); /* half a header behind it */
    EXPECT(&o, peer, "\x81\0\0\0\0x", ALONE); /* the end of one alone */
    EXPECT(&o, peer, MESSAGE "\x82\x82\0\0\0\0x", SHARED);
    EXPECT(&o, peer, "x", ALONE);
    EXPECT(&o, peer, MESSAGE FRAGMENT, SHARED);
    EXPECT(&o, peer, PING, ALONE);           /* between fragments */
    EXPECT(&o, peer, LAST_FRAGMENT, ALONE);
    EXPECT(&o, peer, FRAGMENT LAST_FRAGMENT, SHARED); /* one message, of two frames: it cannot be told which was the newest */
    sim_peer_close(peer);
    one_poll(&o, MS);
    one_close(&o);
}

/* More in the socket than the receive took: what it took may have lain in the newest segment, or not. */
static void test_more_lay_behind(void **state)
{
    (void)state;
    struct one o;
    open_stamped(&o, 3, NULL);
    const int peer = one_peer(&o);
    put(peer, MESSAGE, sizeof MESSAGE - 1);
    sim_sleep(MS);
    put(peer, MESSAGE, sizeof MESSAGE - 1);
    sim_knobs.read_bytes_max = 1; /* ... and so it is for each of their bytes but the last */
    wsr_event ev[4];
    assert_int_equal(poll_some(&o, ev, 4), 2);
    assert_int_equal(ev[0].flags, SHARED);
    assert_int_equal(ev[1].flags, ALONE);
    sim_knobs.read_bytes_max = 0;
    sim_peer_close(peer);
    one_poll(&o, MS);
    one_close(&o);
}

/* ---- a stream cut anywhere ---- */

enum { FRAMES = 60, STREAM_MAX = FRAMES * 320, SEEDS = 300 };

/* Frames, and which of their ends are an event's. */
struct stream {
    uint8_t bytes[STREAM_MAX];
    size_t len, written;
    size_t ends[FRAMES]; /* of events: where their last byte is, plus one */
    unsigned events, seen;
    uint64_t at_ns[STREAM_MAX]; /* when each byte arrived */
    bool open;  /* a fragmented message */
    bool whole; /* written event by event, mostly */
};

static uint64_t alone_n, shared_n;

static void add_frame(struct stream *s)
{
    const bool control = sim_chance(25), fin = control || sim_chance(70);
    const size_t len = (size_t)sim_below(control || sim_chance(60) ? 30 : 300);
    const unsigned opcode = control ? 0x9 + (unsigned)sim_below(2) : s->open ? 0 : WSR_BINARY;
    uint8_t *p = s->bytes + s->len;
    size_t n = 0;
    p[n++] = (uint8_t)(opcode | (fin ? 0x80u : 0));
    p[n++] = (uint8_t)(0x80u | (len < 126 ? len : 126));
    if (len >= 126) {
        p[n++] = (uint8_t)(len >> 8);
        p[n++] = (uint8_t)len;
    }
    memset(p + n, 0, 4 + len); /* key and payload */
    s->len += n + 4 + len;
    s->open = control ? s->open : !fin;
    if (fin)
        s->ends[s->events++] = s->len;
}

static void write_some(struct stream *s, int peer)
{
    size_t n = 1 + (size_t)sim_below(sim_chance(50) ? 12 : 400);
    if (s->whole && s->seen < s->events && s->ends[s->seen] > s->written)
        n = s->ends[s->seen] - s->written;
    n = n < s->len - s->written ? n : s->len - s->written;
    for (size_t i = 0; i < n; i++)
        s->at_ns[s->written + i] = sim_now_ns();
    put(peer, s->bytes + s->written, n);
    s->written += n;
}

static void check(struct stream *s, const wsr_event *event)
{
    assert_true(s->seen < s->events);
    const uint64_t arrived_ns = s->at_ns[s->ends[s->seen++] - 1];
    const wsr_receive_stamp *stamp = wsr_event_stamp(event);
    assert_non_null(stamp);
    if ((event->flags & WSR_EVENT_STAMP_SHARED) != 0) {
        assert_true(stamp->realtime_ns >= arrived_ns && stamp->realtime_ns <= sim_now_ns());
        shared_n++;
    } else {
        assert_int_equal(stamp->realtime_ns, arrived_ns);
        alone_n++;
    }
}

static void one_stream(uint64_t seed)
{
    static struct stream s;
    struct one o;
    memset(&s, 0, sizeof s);
    wsr_config config = WSR_CONFIG_INIT;
    config.buffers = 4;
    config.buffer_bytes = 128u << seed % 7;
    config.limits.empty_fragments_max = config.limits.control_frames_max = 1000;
    open_stamped(&o, seed, &config);
    const int peer = one_peer(&o);
    while (s.events < FRAMES / 2)
        add_frame(&s);
    sim_knobs.read_bytes_max = sim_chance(50) ? 0 : 1 + (uint32_t)sim_below(100);
    sim_knobs.lost_more_percent = (uint8_t)sim_below(30);
    sim_knobs.enobufs_percent = (uint8_t)sim_below(30);
    const unsigned cap = 1 + (unsigned)sim_below(8), away_percent = (unsigned)sim_below(80);
    s.whole = sim_chance(50);
    while (s.seen < s.events) {
        sim_sleep(1 + sim_below(MS));
        if (s.written < s.len)
            write_some(&s, peer);
        if (s.written < s.len && sim_chance(away_percent))
            continue;
        wsr_event ev[8];
        const int n = wsr_poll(o.engine, ev, cap, 0);
        assert_true(n >= 0);
        for (int i = 0; i < n; i++)
            check(&s, &ev[i]);
        if (sim_chance(5)) {
            assert_int_equal(wsr_pause_read(o.engine, o.conn), WSR_OK);
            assert_int_equal(wsr_resume_read(o.engine, o.conn), WSR_OK);
        }
    }
    sim_peer_close(peer);
    one_poll(&o, MS);
    assert_int_equal(wsr_ring_buffers_free(o.engine->ring, true), 4);
    one_close(&o);
}

static void test_never_before_its_last_byte(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        one_stream(seed);
    print_message("           alone %llu, shared %llu\n", (unsigned long long)alone_n, (unsigned long long)shared_n);
    assert_true(alone_n > 300 && shared_n > 1000);
}

/* ---- refused, and short ---- */

static void test_refused(void **state)
{
    (void)state;
    sim_reset(4);
    struct one o = {0};
    assert_int_equal(wsr_engine_open(&o.engine, NULL), WSR_OK);
    sim_fail(SIM_OPTION, 1, EPERM);
    assert_int_equal(listen_stamped(&o), WSR_ESYS);
    assert_int_equal(errno, EPERM);
    assert_int_equal(listen_stamped(&o), WSR_OK);

    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    char url[48];
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", o.port);
    connect.url = url;
    connect.socket.receive_stamps = true;
    wsr_conn conn;
    sim_fail(SIM_OPTION, 1, EPERM);
    assert_int_equal(wsr_connect(o.engine, &connect, &conn), WSR_OK);
    one_poll(&o, MS);
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.cause, WSR_ECONNECT);
    assert_int_equal(o.record.sys_errno, EPERM);
    one_close(&o);
}

static void test_no_memory_for_the_buffers(void **state)
{
    (void)state;
    sim_reset(5);
    struct one o = {0};
    assert_int_equal(wsr_engine_open(&o.engine, NULL), WSR_OK);
    sim_fail(SIM_MAP, 1, ENOMEM);
    assert_int_equal(listen_stamped(&o), WSR_ENOMEM);
    sim_fail(SIM_REGISTER, 1, EINVAL);
    assert_int_equal(listen_stamped(&o), WSR_ESYS);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(wsr_ring_buffers(o.engine->ring), 16);
    assert_int_equal(listen_stamped(&o), WSR_OK);
    assert_int_equal(wsr_ring_buffers(o.engine->ring), 16 + 256);
    one_close(&o);

    wsr_config config = WSR_CONFIG_INIT;
    config.buffer_bytes = 64;
    assert_int_equal(wsr_engine_open(&o.engine, &config), WSR_OK);
    assert_int_equal(listen_stamped(&o), WSR_ECONFIG);
    one_close(&o);
}

/* More peers than buffers of either kind: all are served, and both kinds come back. */
static void test_short_of_buffers(void **state)
{
    (void)state;
    enum { PEERS = 10, ROUNDS = 20 };
    struct one o;
    wsr_config config = WSR_CONFIG_INIT;
    config.buffers = 2;
    config.buffer_bytes = 256;
    open_stamped(&o, 6, &config);
    const uint16_t stamped_port = o.port;
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    assert_int_equal(wsr_listen(o.engine, &listen, &listener), WSR_OK);
    const uint16_t plain_port = wsr_listen_port(o.engine, listener);
    int peers[PEERS];
    for (unsigned i = 0; i < PEERS; i++) {
        o.port = i % 2 == 0 ? stamped_port : plain_port;
        peers[i] = one_peer(&o);
    }
    static const uint8_t payload[1000];
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < PEERS; i++)
            one_peer_frame(peers[i], 0x82, payload, sizeof payload);
        one_poll(&o, MS);
    }
    assert_int_equal(o.messages, PEERS * ROUNDS);
    assert_true(o.engine->stats.starved > 0);
    for (unsigned i = 0; i < PEERS; i++)
        sim_peer_close(peers[i]);
    one_poll(&o, MS);
    assert_int_equal(o.closed, PEERS);
    assert_int_equal(wsr_ring_buffers_free(o.engine->ring, false), 2);
    assert_int_equal(wsr_ring_buffers_free(o.engine->ring, true), 2);
    one_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stamp_is_when_it_arrived),
        cmocka_unit_test(test_the_cards_stamp_is_beside_it),
        cmocka_unit_test(test_none_was_given),
        cmocka_unit_test(test_one_was_cut_off),
        cmocka_unit_test(test_what_comes_together_shares),
        cmocka_unit_test(test_more_lay_behind),
        cmocka_unit_test(test_never_before_its_last_byte),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory_for_the_buffers),
        cmocka_unit_test(test_short_of_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
