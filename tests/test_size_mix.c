/*
 * tests/test_size_mix.c - message size mixes: their shares, their ends, and what is said of bad ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tools/size_mix.h"

static struct size_mix mix;

/* How many entries lie from low to high. */
static unsigned count(uint32_t low, uint32_t high)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SIZE_MIX_ENTRIES; i++)
        n += mix.sizes[i] >= low && mix.sizes[i] <= high;
    return n;
}

static void test_one_size(void **state)
{
    (void)state;
    assert_null(size_mix_parse("20", &mix));
    assert_int_equal(count(20, 20), SIZE_MIX_ENTRIES);
    assert_int_equal(mix.max, 20);
    assert_true(mix.mean == 20);
    assert_int_equal(size_mix_draw(&mix, UINT64_MAX), 20);
    assert_null(size_mix_parse("0", &mix));
    assert_int_equal(mix.max, 0);
}

static void test_log_uniform(void **state)
{
    (void)state;
    assert_null(size_mix_parse("0-1MiB", &mix));
    assert_int_equal(mix.sizes[0], 0);
    assert_int_equal(mix.sizes[SIZE_MIX_ENTRIES - 1], 1 << 20);
    assert_int_equal(mix.max, 1 << 20);
    /* Twenty octaves, each with a twentieth of the entries. */
    for (unsigned bit = 4; bit < 20; bit++)
        assert_in_range(count(1u << bit, (2u << bit) - 1), SIZE_MIX_ENTRIES / 20 - 8, SIZE_MIX_ENTRIES / 20 + 8);
}

static void test_weights(void **state)
{
    (void)state;
    assert_null(size_mix_parse("20:70,1KiB:25,64KiB:5", &mix));
    assert_in_range(count(20, 20), SIZE_MIX_ENTRIES * 70 / 100 - 1, SIZE_MIX_ENTRIES * 70 / 100 + 1);
    assert_in_range(count(1024, 1024), SIZE_MIX_ENTRIES * 25 / 100 - 1, SIZE_MIX_ENTRIES * 25 / 100 + 1);
    assert_in_range(count(65536, 65536), SIZE_MIX_ENTRIES * 5 / 100 - 1, SIZE_MIX_ENTRIES * 5 / 100 + 1);
    assert_int_equal(mix.max, 65536);
}

static void test_no_part_is_too_rare(void **state)
{
    (void)state;
    assert_null(size_mix_parse("7:1,20:1000000,1-2:3", &mix));
    assert_int_equal(count(7, 7), 1);
    assert_int_equal(count(1, 2), 1);
    assert_null(size_mix_parse("20:1000000,7:1,8:1,9:1", &mix));
    assert_int_equal(count(7, 7), 1);
    assert_int_equal(count(8, 8), 1);
    assert_int_equal(count(9, 9), 1);
    assert_int_equal(count(20, 20), SIZE_MIX_ENTRIES - 3);
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ",", "20,", "x", "20:0", "20:", "20:x", "9-3", "-5", "5-", "257MiB", "0-1GiB", "20:99999999999999999999"};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(size_mix_parse(bad[i], &mix));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_size),           cmocka_unit_test(test_log_uniform), cmocka_unit_test(test_weights),
        cmocka_unit_test(test_no_part_is_too_rare), cmocka_unit_test(test_bad),
    };
    return cmocka_run_group_tests_name("size_mix", tests, NULL, NULL);
}
