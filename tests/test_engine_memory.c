/*
 * tests/test_engine_memory.c - what wsr_engine_memory_bytes foretells is what an engine then has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_engine_takes_what_was_foretold),
        cmocka_unit_test(a_bad_config_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
