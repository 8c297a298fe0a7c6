/*
 * tests/sim_engine.c - whole engines on the simulated host, in virtual time: some of the worlds that the command `sim` plays by
 * the million (tests/sim/chaos.h), and what an engine does when deadlines pass. Nothing sleeps.
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
#include <wsring/wsring.h>

#include "lib/one.h"
#include "sim/chaos.h"

/* ---- worlds: what must be true of them, chaos.h says ---- */

#ifdef WSR_VALGRIND
enum { SLOWER = 10 }; /* a tenth of the worlds */
#else
enum { SLOWER = 1 };
#endif

static uint64_t seed_running;
static wsr_tls *server_tls, *client_tls;

static void violated(const char *text)
{
    fail_msg("%s; again with: sim --seed %llu --steps 300 --trace", text, (unsigned long long)seed_running);
}

static void world_once(uint64_t seed, bool perfect)
{
    const struct chaos_config config = {.seed = seed, .steps = 300, .perfect = perfect, .server_tls = server_tls, .client_tls = client_tls};
    seed_running = seed;
    sim_on_violation = violated;
    chaos_world(&config);
    sim_on_violation = NULL;
}

static void worlds_on_a_perfect_host(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100 / SLOWER; seed++)
        world_once(seed, true);
}

static void worlds_under_every_misfortune(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400 / SLOWER; seed++)
        world_once(seed, false);
}

static void a_seed_replays_exactly(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        world_once(seed, false);
        const uint64_t once = sim_digest(), at_ns = sim_now_ns();
        world_once(seed, false);
        assert_int_equal(sim_digest(), once);
        assert_int_equal(sim_now_ns(), at_ns);
    }
}

/* The same behind TLS: not a byte is lost, doubled or told too early, whatever the host does with the ciphertext. */
static void worlds_over_tls(void **state)
{
    (void)state;
    const wsr_tls_config server = {.size = sizeof server, .role = WSR_SERVER, .self_signed = "127.0.0.1"};
    const wsr_tls_config client = {.size = sizeof client, .role = WSR_CLIENT, .verify_none = true};
    assert_int_equal(wsr_tls_open(&server_tls, &server, NULL, 0), WSR_OK);
    assert_int_equal(wsr_tls_open(&client_tls, &client, NULL, 0), WSR_OK);
    for (uint64_t seed = 1; seed <= 200 / SLOWER; seed++)
        world_once(seed, seed <= 30 / SLOWER);
    wsr_tls_release(server_tls);
    wsr_tls_release(client_tls);
    server_tls = client_tls = NULL;
}

/* ---- time ---- */

static void about(uint64_t measured_ns, uint64_t wanted_ns)
{
    /* a timer's tick is about a millisecond, and it never fires early */
    if (measured_ns < wanted_ns || measured_ns > wanted_ns + 3 * MS)
        fail_msg("%llu ns, wanted %llu", (unsigned long long)measured_ns, (unsigned long long)wanted_ns);
}

static void a_trickled_handshake_ends_at_its_deadline(void **state)
{
    (void)state;
    struct one o;
    sim_reset(1);
    one_open_limits(&o, &(wsr_limits){.handshake_timeout_ns = 10 * SECOND});
    int peer = sim_peer_connect(o.port);
    one_poll(&o, MS);
    uint64_t begun = sim_now_ns();
    char answer[512];
    ptrdiff_t n = -EAGAIN;
    for (size_t i = 0; n == -EAGAIN && i < strlen(one_request); i++) { /* one byte a second */
        (void)sim_peer_write(peer, one_request + i, 1);
        one_poll(&o, SECOND);
        n = sim_peer_read(peer, answer, sizeof answer);
    }
    assert_true(n > 12 && memcmp(answer, "HTTP/1.1 408", 12) == 0);
    assert_true(sim_now_ns() - begun <= 11 * SECOND);
    sim_peer_close(peer);
    one_poll(&o, SECOND);
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.cause, WSR_ETIMEOUT_HANDSHAKE);
    assert_int_equal(o.record.http_status, 408);
    one_close(&o);
}

static void a_dead_peer_is_pinged_and_then_given_up(void **state)
{
    (void)state;
    struct one o;
    sim_reset(2);
    one_open_limits(&o, &(wsr_limits){.idle_timeout_ns = 30 * SECOND, .ping_interval_ns = 10 * SECOND, .close_timeout_ns = SECOND});
    int peer = one_peer(&o);
    uint64_t begun = sim_now_ns();
    uint8_t frame[64];
    one_poll(&o, 9 * SECOND);
    assert_int_equal(sim_peer_read(peer, frame, sizeof frame), -EAGAIN);
    one_poll(&o, 2 * SECOND);
    assert_true(sim_peer_read(peer, frame, sizeof frame) >= 2);
    assert_int_equal(frame[0], 0x89); /* one ping, and no second one */
    one_poll(&o, 18 * SECOND);
    assert_int_equal(sim_peer_read(peer, frame, sizeof frame), -EAGAIN);
    one_poll(&o, 5 * SECOND);
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.cause, WSR_ETIMEOUT_PING);
    assert_int_equal(o.record.code_sent, 1001);
    assert_true(o.closed_at_ns - begun >= 29 * SECOND && o.closed_at_ns - begun < 33 * SECOND);
    sim_peer_close(peer);
    one_close(&o);
}

static void a_peer_that_answers_pings_lives(void **state)
{
    (void)state;
    struct one o;
    sim_reset(3);
    one_open_limits(&o, &(wsr_limits){.idle_timeout_ns = 30 * SECOND, .ping_interval_ns = 10 * SECOND});
    int peer = one_peer(&o);
    for (unsigned i = 0; i < 20; i++) {
        one_poll(&o, 11 * SECOND);
        uint8_t frame[256], pong[160] = {0x8A, 0x80};
        ptrdiff_t n = sim_peer_read(peer, frame, sizeof frame);
        assert_true(n >= 2 && frame[0] == 0x89 && frame[1] <= 125 && n == 2 + frame[1]);
        pong[1] = (uint8_t)(0x80 | frame[1]);
        memcpy(pong + 6, frame + 2, frame[1]); /* the key is zero */
        assert_int_equal(sim_peer_write(peer, pong, 6u + frame[1]), (ptrdiff_t)(6u + frame[1]));
    }
    one_poll(&o, MS);
    assert_int_equal(o.pongs, 0); /* answers to pings of the engine are no news */
    assert_int_equal(o.closed, 0);
    sim_peer_close(peer);
    one_poll(&o, MS);
    one_close(&o);
}

static void a_close_without_an_answer_ends_at_its_deadline(void **state)
{
    (void)state;
    struct one o;
    sim_reset(4);
    one_open_limits(&o, &(wsr_limits){.close_timeout_ns = 5 * SECOND});
    int peer = one_peer(&o);
    uint64_t begun = sim_now_ns();
    assert_int_equal(wsr_close(o.engine, o.conn, 1000, SLICE("bye")), WSR_OK);
    one_poll(&o, 60 * SECOND);
    assert_int_equal(o.closed, 1);
    about(o.closed_at_ns - begun, 5 * SECOND);
    assert_int_equal(o.record.cause, WSR_ETIMEOUT_CLOSE);
    assert_int_equal(o.record.code_sent, 1000);
    assert_int_equal(o.record.code_received, 0);
    assert_false(o.record.clean);
    sim_peer_close(peer);
    one_close(&o);
}

static void a_peer_that_never_hangs_up_is_hung_up_on(void **state)
{
    (void)state;
    struct one o;
    sim_reset(5);
    one_open_limits(&o, &(wsr_limits){.close_timeout_ns = 5 * SECOND});
    int peer = one_peer(&o);
    static const uint8_t close_frame[] = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8};
    (void)sim_peer_write(peer, close_frame, sizeof close_frame);
    one_poll(&o, SECOND);
    uint8_t answer[16];
    assert_int_equal(sim_peer_read(peer, answer, sizeof answer), 4);
    assert_int_equal(sim_peer_read(peer, answer, sizeof answer), 0); /* the server ends the stream first */
    assert_int_equal(o.closed, 0);
    one_poll(&o, 60 * SECOND);
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.code, 1000);
    sim_peer_close(peer);
    one_close(&o);
}

/* A slow application must not kill its peers: ten idle limits away, and those who spoke meanwhile live. */
static void an_absent_application_drops_no_live_peer(void **state)
{
    (void)state;
    struct one o;
    sim_reset(6);
    one_open_limits(&o, &(wsr_limits){.idle_timeout_ns = 10 * SECOND, .ping_interval_ns = UINT64_MAX});
    int peer = one_peer(&o);
    static const uint8_t hello[] = {0x82, 0x81, 0, 0, 0, 0, 'x'};
    for (unsigned round = 0; round < 5; round++) {
        (void)sim_peer_write(peer, hello, sizeof hello);
        sim_sleep(100 * SECOND);
        one_poll(&o, MS);
        assert_int_equal(o.messages, round + 1);
        assert_int_equal(o.closed, 0);
    }
    one_poll(&o, 30 * SECOND); /* but silence while it listens is silence */
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.cause, WSR_ETIMEOUT_IDLE);
    sim_peer_close(peer);
    one_close(&o);
}

static void a_paused_reader_does_not_time_its_peer_out(void **state)
{
    (void)state;
    struct one o;
    sim_reset(7);
    one_open_limits(&o, &(wsr_limits){.idle_timeout_ns = 10 * SECOND, .ping_interval_ns = UINT64_MAX});
    int peer = one_peer(&o);
    assert_int_equal(wsr_pause_read(o.engine, o.conn), WSR_OK);
    static const uint8_t hello[] = {0x82, 0x81, 0, 0, 0, 0, 'x'};
    (void)sim_peer_write(peer, hello, sizeof hello);
    one_poll(&o, 100 * SECOND);
    assert_int_equal(o.closed + o.messages, 0);
    assert_int_equal(wsr_resume_read(o.engine, o.conn), WSR_OK);
    one_poll(&o, SECOND);
    assert_int_equal(o.messages, 1);
    assert_int_equal(o.closed, 0);
    sim_peer_close(peer);
    one_poll(&o, MS);
    one_close(&o);
}

/* Closes are spread evenly, and who is still shaking hands when the drain begins is told later. */
static void a_drain_is_spread_and_ends(void **state)
{
    (void)state;
    enum { PEERS = 10 };
    struct one o;
    sim_reset(8);
    one_open_limits(&o, &(wsr_limits){0});
    int peer[PEERS];
    for (unsigned i = 0; i < PEERS; i++)
        peer[i] = one_peer(&o);
    wsr_drain_config drain = WSR_DRAIN_CONFIG_INIT;
    drain.spread_ns = 10 * SECOND;
    drain.timeout_ns = 20 * SECOND;
    assert_int_equal(wsr_drain(o.engine, &drain), WSR_OK);
    for (unsigned second = 0; second < PEERS; second++) {
        one_poll(&o, SECOND / 2);
        unsigned told = 0;
        for (unsigned i = 0; i < PEERS; i++) {
            uint8_t frame[16];
            if (peer[i] < 0 || sim_peer_read(peer[i], frame, sizeof frame) < 4)
                continue;
            assert_int_equal(frame[0], 0x88);
            assert_int_equal(frame[2] << 8 | frame[3], 1001);
            told++;
            sim_peer_close(peer[i]);
            peer[i] = -1;
        }
        assert_int_equal(told, 1);
        one_poll(&o, SECOND / 2);
    }
    one_poll(&o, SECOND);
    assert_int_equal(o.closed, PEERS);
    assert_int_equal(sim_peer_connect(o.port), -ECONNREFUSED);
    one_close(&o);
}

int main(void)
{
    if (getenv("SIM_TRACE") != NULL)
        sim_trace = stderr;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worlds_on_a_perfect_host),
        cmocka_unit_test(worlds_under_every_misfortune),
        cmocka_unit_test(a_seed_replays_exactly),
        cmocka_unit_test(worlds_over_tls),
        cmocka_unit_test(a_trickled_handshake_ends_at_its_deadline),
        cmocka_unit_test(a_dead_peer_is_pinged_and_then_given_up),
        cmocka_unit_test(a_peer_that_answers_pings_lives),
        cmocka_unit_test(a_close_without_an_answer_ends_at_its_deadline),
        cmocka_unit_test(a_peer_that_never_hangs_up_is_hung_up_on),
        cmocka_unit_test(an_absent_application_drops_no_live_peer),
        cmocka_unit_test(a_paused_reader_does_not_time_its_peer_out),
        cmocka_unit_test(a_drain_is_spread_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
