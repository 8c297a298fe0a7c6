/*
 * tests/test_engine_memory.c - what wsr_engine_memory_bytes foretells is what an engine then has, and what it has is all counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wsring/wsring.h>

static void an_engine_takes_what_was_foretold(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 8; i++) {
        wsr_config config = WSR_CONFIG_INIT;
        config.ring_without = WSR_WITHOUT_INCREMENTAL; /* so that it is the same on every kernel */
        config.buffers = (i & 1) != 0 ? 8 : 0;
        config.buffer_bytes = (i & 1) != 0 ? 8192 : 0;
        config.sq_entries = (i & 2) != 0 ? 100 : 0;
        config.connections_max = (i & 4) != 0 ? 1000000 : 0;
        config.memory_bytes_max = 1u << 20;
        uint64_t fixed, max;
        assert_int_equal(wsr_engine_memory_bytes(&config, &fixed, &max), WSR_OK);
        wsr_engine *engine;
        assert_int_equal(wsr_engine_open(&engine, &config), WSR_OK);
        wsr_engine_statistics stats;
        wsr_engine_stats(engine, &stats, sizeof stats);
        assert_in_range(stats.memory_bytes, fixed - fixed / 10, fixed);
        assert_true(max > fixed + config.memory_bytes_max);
        wsr_engine_close(engine);
    }
}

static void a_bad_config_is_told(void **unused)
{
    (void)unused;
    uint64_t fixed, max;
    wsr_config config = WSR_CONFIG_INIT;
    config.buffers = 3;
    assert_int_equal(wsr_engine_memory_bytes(&config, &fixed, &max), WSR_ECONFIG);
    assert_int_equal(wsr_engine_memory_bytes(NULL, &fixed, &max), WSR_OK);
    assert_true(fixed > 1u << 20 && max > fixed);
}

/* ---- nothing is held that is not counted ---- */

static void *counted_alloc(void *context, size_t size)
{
    *(size_t *)context += size;
    return malloc(size);
}

static void *counted_resize(void *context, void *ptr, size_t old_size, size_t size)
{
    *(size_t *)context += size - old_size;
    return realloc(ptr, size);
}

static void counted_release(void *context, void *ptr, size_t size)
{
    *(size_t *)context -= size;
    free(ptr);
}

static uint64_t memory_of(const wsr_engine *engine)
{
    wsr_engine_statistics stats;
    wsr_engine_stats(engine, &stats, sizeof stats);
    return stats.memory_bytes;
}

/* A port where nobody listens: one that has just been given back. */
static uint16_t nobodys_port(wsr_engine *engine)
{
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    assert_int_equal(wsr_listen(engine, &listen, &listener), WSR_OK);
    const uint16_t port = wsr_listen_port(engine, listener);
    assert_int_equal(wsr_unlisten(engine, listener), WSR_OK);
    assert_int_equal(wsr_flush(engine), WSR_OK);
    return port;
}

/* Clients that are down, with headers given at first and later, and a listener's lists: memory_bytes rises as the allocator gives. */
static void what_an_engine_holds_is_counted(void **unused)
{
    (void)unused;
    enum { N = 20 };
    static char header[4000] = "X-Long: ", url[100];
    memset(header + 8, 'x', sizeof header - 11);
    memcpy(header + sizeof header - 3, "\r\n", 3);
    size_t given = 0;
    const wsr_allocator allocator = {&given, counted_alloc, counted_resize, counted_release};
    wsr_config config = WSR_CONFIG_INIT;
    config.allocator = &allocator;
    wsr_engine *engine;
    assert_int_equal(wsr_engine_open(&engine, &config), WSR_OK);
    (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/", nobodys_port(engine));
    const uint64_t counted_before = memory_of(engine);
    const size_t given_before = given;

    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    listen.origins = "https://one.example, https://two.example, https://three.example";
    assert_int_equal(wsr_listen(engine, &listen, &listener), WSR_OK);
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    connect.url = url;
    connect.headers = header;
    connect.reconnect.on = true;
    wsr_conn conn[N];
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(wsr_connect(engine, &connect, &conn[i]), WSR_OK);
    for (unsigned down = 0; down < N;) {
        wsr_event ev[N];
        const int n = wsr_poll(engine, ev, N, -1);
        assert_true(n > 0);
        for (int i = 0; i < n; i++) {
            assert_int_equal(ev[i].type, WSR_EVENT_RECONNECTING);
            if (wsr_event_reconnecting(&ev[i])->attempt == 1)
                assert_int_equal(wsr_reconnect_now(engine, ev[i].conn, header), WSR_OK);
            else
                down++;
        }
    }
    assert_int_equal(memory_of(engine) - counted_before, given - given_before);
    for (unsigned i = 0; i < N; i++)
        assert_in_range(wsr_connection_memory_bytes(engine, conn[i]), 2 * sizeof header, 3 * sizeof header);
    wsr_engine_close(engine);
    assert_int_equal(given, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_engine_takes_what_was_foretold),
        cmocka_unit_test(a_bad_config_is_told),
        cmocka_unit_test(what_an_engine_holds_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
