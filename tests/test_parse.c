/*
 * tests/test_parse.c - sizes, durations and fractions of the command line, and how they are printed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tools/parse.h"

static void test_number(void **state)
{
    (void)state;
    uint64_t n = 7;
    assert_true(parse_number("0", 0, 10, &n));
    assert_int_equal(n, 0);
    assert_true(parse_number("18446744073709551615", 0, UINT64_MAX, &n));
    assert_true(n == UINT64_MAX);
    n = 7;
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "11", "1x", "0x1", "18446744073709551616"};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(parse_number(bad[i], 0, 10, &n));
    assert_int_equal(n, 7);
}

static void test_size(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},          {"20", 20},          {"20B", 20},   {"1K", 1024},     {"4KiB", 4096},      {"1.5KiB", 1536},
                {"16MiB", 16 << 20}, {"2m", 2 << 20}, {"1kB", 1000}, {"3MB", 3000000}, {"1GiB", 1 << 30}, {".5K", 512}};
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t bytes = 1;
        assert_true(parse_size(good[i].text, &bytes));
        assert_int_equal(bytes, good[i].bytes);
    }
    static const char *const bad[] = {"", "K", "-1", "1 KiB", "1KiBx", "0x10", "nan", "inf", "1e30", "1KB/s"};
    uint64_t bytes = 1;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(parse_size(bad[i], &bytes));
    assert_int_equal(bytes, 1);
    assert_true(parse_size_n("4KiBjunk", 4, &bytes));
    assert_int_equal(bytes, 4096);
    assert_false(parse_size_n("4", 0, &bytes));
}

static void test_duration(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {{"5", 5000000000}, {"0.5", 500000000}, {"5s", 5000000000}, {"250ms", 250000000}, {"10us", 10000}, {"2m", 120000000000}, {"7ns", 7}};
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t ns = 1;
        assert_true(parse_duration(good[i].text, &ns));
        assert_true(ns == good[i].ns);
    }
    uint64_t ns;
    assert_false(parse_duration("5 s", &ns));
    assert_false(parse_duration("-1s", &ns));
    assert_false(parse_duration("1d", &ns));
}

static void test_fraction(void **state)
{
    (void)state;
    double f;
    assert_true(parse_fraction("25%", &f) && f == 0.25);
    assert_true(parse_fraction("0.5", &f) && f == 0.5);
    assert_true(parse_fraction("0", &f) && f == 0);
    assert_true(parse_fraction("100%", &f) && f == 1);
    assert_false(parse_fraction("101%", &f));
    assert_false(parse_fraction("1.1", &f));
    assert_false(parse_fraction("half", &f));
    assert_false(parse_fraction("-0.1", &f));
}

static void test_format(void **state)
{
    (void)state;
    char text[24];
    assert_string_equal(format_size(text, sizeof text, 0), "0 B");
    assert_string_equal(format_size(text, sizeof text, 1023), "1023 B");
    assert_string_equal(format_size(text, sizeof text, 4096), "4 KiB");
    assert_string_equal(format_size(text, sizeof text, 1536), "1.5 KiB");
    assert_string_equal(format_size(text, sizeof text, 7ull << 40), "7 TiB");
    assert_string_equal(format_duration(text, sizeof text, 850), "850 ns");
    assert_string_equal(format_duration(text, sizeof text, 12400), "12.4 us");
    assert_string_equal(format_duration(text, sizeof text, 3100000), "3.10 ms");
    assert_string_equal(format_duration(text, sizeof text, 5000000000), "5.00 s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number),   cmocka_unit_test(test_size),   cmocka_unit_test(test_duration),
        cmocka_unit_test(test_fraction), cmocka_unit_test(test_format),
    };
    return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
