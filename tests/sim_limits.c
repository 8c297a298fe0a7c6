/*
 * tests/sim_limits.c - every limit and duration of the configs at its smallest and largest, on the simulated host: an engine with it
 * opens or is refused, and one that opens greets, echoes, falls silent and ends; nothing overflows, spins or hangs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "lib/one.h"
#include "sim/sim.h"

struct field {
    const char *name;
    size_t at, size;
};

#define LIMIT(f) {#f, offsetof(wsr_config, limits.f), sizeof(((wsr_config *)NULL)->limits.f)}
#define CONFIG(f) {#f, offsetof(wsr_config, f), sizeof(((wsr_config *)NULL)->f)}
#define CONNECT(f) {#f, offsetof(wsr_connect_config, f), sizeof(((wsr_connect_config *)NULL)->f)}

static const struct field engine_fields[] = {
    LIMIT(message_bytes_max), LIMIT(whole_bytes_max), LIMIT(outbox_bytes_max), LIMIT(header_bytes_max), LIMIT(headers_max),
    LIMIT(empty_fragments_max), LIMIT(control_frames_max), LIMIT(handshake_timeout_ns), LIMIT(close_timeout_ns),
    LIMIT(idle_timeout_ns), LIMIT(ping_interval_ns), LIMIT(ping_timeout_ns), CONFIG(connections_max), CONFIG(sq_entries),
    CONFIG(cq_entries), CONFIG(buffers), CONFIG(buffer_bytes), CONFIG(batch_bytes_max), CONFIG(memory_bytes_max), CONFIG(spin_ns),
    CONFIG(wait_min_ns),
};

static const struct field connect_fields[] = {
    CONNECT(connect_timeout_ns), CONNECT(proxy_timeout_ns), CONNECT(tls_timeout_ns), CONNECT(redirects_max),
    CONNECT(reconnect.attempts_max), CONNECT(reconnect.elapsed_max_ns), CONNECT(reconnect.base_ns), CONNECT(reconnect.cap_ns),
    CONNECT(reconnect.stable_ns), CONNECT(reconnect.retry_after_max_ns), CONNECT(reconnect.answer_timeout_ns),
    CONNECT(reconnect.queue_bytes_max), CONNECT(reconnect.queue_ttl_ns), CONNECT(reconnect.age_max_ns), CONNECT(reconnect.handover_ns),
};

static const uint64_t values[] = {1, 2, 3, UINT64_MAX / 2, UINT64_MAX - 1, UINT64_MAX};

enum { VALUES = sizeof values / sizeof values[0] };

/* As much of the value as the field holds. */
static void set(void *config, const struct field *field, uint64_t value)
{
    const uint32_t narrow = value > UINT32_MAX ? UINT32_MAX - (uint32_t)(UINT64_MAX - value) : (uint32_t)value;
    if (field->size == sizeof narrow)
        memcpy((char *)config + field->at, &narrow, sizeof narrow);
    else
        memcpy((char *)config + field->at, &value, sizeof value);
}

/* A client and a server of one engine: whatever the limits let happen, it comes to an end, within so many polls. */
static void play(const char *name, uint64_t value, const wsr_config *config, const wsr_connect_config *from)
{
    enum { POLLS = 20000 };
    char url[64];
    wsr_engine *engine;
    wsr_listener listener;
    wsr_conn conn;
    const int opened = wsr_engine_open(&engine, config);
    assert_int_equal(opened == WSR_ECONFIG, wsr_config_problem(config) != NULL);
    if (opened != WSR_OK)
        return;
    assert_int_equal(wsr_listen(engine, NULL, &listener), WSR_OK);
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", wsr_listen_port(engine, listener));
    wsr_connect_config connect = *from;
    connect.url = url;
    const int begun = wsr_connect(engine, &connect, &conn);
    assert_int_equal(begun == WSR_ECONFIG, wsr_connect_problem(&connect) != NULL);
    if (begun == WSR_OK) {
        const uint64_t from_ns = sim_now_ns();
        bool drained = false;
        unsigned polls = 0;
        while (sim_now_ns() < from_ns + 20 * SECOND) {
            wsr_event ev[4];
            const int n = wsr_poll(engine, ev, 4, 100 * (int64_t)MS);
            assert_true(n >= 0);
            if (++polls > POLLS)
                fail_msg("with %s %llu it spins: %llu ns for %u polls", name, (unsigned long long)value, (unsigned long long)(sim_now_ns() - from_ns), polls);
            for (int i = 0; i < n; i++) {
                if (ev[i].type == WSR_EVENT_OPEN)
                    (void)!wsr_send(engine, ev[i].conn, WSR_TEXT, SLICE("hello"));
                if (ev[i].type == WSR_EVENT_MESSAGE && polls < 20)
                    (void)!wsr_forward(engine, ev[i].conn, &ev[i]);
            }
            if (!drained && sim_now_ns() > from_ns + 2 * SECOND) {
                drained = true;
                assert_int_equal(wsr_drain(engine, NULL), WSR_OK);
            }
        }
        assert_int_equal(wsr_drain_left(engine), 0);
    }
    wsr_engine_close(engine);
    one_no_leaks();
}

static void every_limit_of_an_engine(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < VALUES * sizeof engine_fields / sizeof engine_fields[0]; i++) {
        wsr_config config = WSR_CONFIG_INIT;
        const wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
        sim_reset(i);
        set(&config, &engine_fields[i / VALUES], values[i % VALUES]);
        (void)alarm(20);
        play(engine_fields[i / VALUES].name, values[i % VALUES], &config, &connect);
    }
    (void)alarm(0);
}

static void every_duration_of_a_client(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < VALUES * sizeof connect_fields / sizeof connect_fields[0]; i++) {
        wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
        sim_reset(i);
        connect.reconnect.on = true;
        connect.reconnect.queue_bytes_max = 1000;
        set(&connect, &connect_fields[i / VALUES], values[i % VALUES]);
        (void)alarm(20);
        play(connect_fields[i / VALUES].name, values[i % VALUES], NULL, &connect);
    }
    (void)alarm(0);
}

/* A drain of any length, over any time. */
static void every_drain(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < VALUES * VALUES; i++) {
        struct one o;
        wsr_drain_config drain = WSR_DRAIN_CONFIG_INIT;
        drain.timeout_ns = values[i % VALUES];
        drain.spread_ns = values[i / VALUES];
        sim_reset(i);
        one_open(&o, NULL);
        const int first = one_peer(&o), second = one_peer(&o);
        assert_int_equal(wsr_drain(o.engine, &drain), WSR_OK);
        one_poll(&o, 10 * SECOND);
        assert_int_equal(wsr_drain_left(o.engine), drain.timeout_ns < SECOND || drain.spread_ns < SECOND ? 0 : 1);
        sim_peer_close(first);
        sim_peer_close(second);
        one_close(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_limit_of_an_engine),
        cmocka_unit_test(every_duration_of_a_client),
        cmocka_unit_test(every_drain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
