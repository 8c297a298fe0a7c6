/*
 * tests/test_histogram.c - the quantiles of tools/histogram.c against those of the sorted values themselves.
 *
 * The command's objects are not in the library, so the file under test is taken in whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tools/histogram.c"

static struct histogram h, g;

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Every value lies in the bucket that is asked for it, and each bucket begins where the one before ended. */
static void test_buckets_tile_the_values(void **state)
{
    (void)state;
    uint64_t from = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t top = bucket_top(i);
        assert_true(top >= from);
        assert_int_equal(bucket_of(from), i);
        assert_int_equal(bucket_of(top), i);
        /* As wide as 1/128 of its smallest value at most. */
        assert_true((top - from) * 128 <= from);
        from = top + 1;
    }
    assert_true(from == VALUE_MAX + 1);
}

static void test_small_values_are_exact(void **state)
{
    (void)state;
    histogram_init(&h);
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    assert_true(histogram_mean(&h) == 0);
    for (uint64_t v = 1; v <= 100; v++)
        histogram_record(&h, v);
    assert_int_equal(histogram_quantile(&h, 0), 1);
    assert_int_equal(histogram_quantile(&h, 0.5), 50);
    assert_int_equal(histogram_quantile(&h, 0.9), 90);
    assert_int_equal(histogram_quantile(&h, 0.99), 99);
    assert_int_equal(histogram_quantile(&h, 1), 100);
    assert_int_equal(h.min, 1);
    assert_int_equal(h.max, 100);
    assert_true(histogram_mean(&h) == 50.5);
}

static void check_against_sorted(uint64_t *values, size_t n)
{
    static const double quantiles[] = {0.001, 0.1, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};
    qsort(values, n, sizeof *values, ascending);
    for (unsigned i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        size_t rank = (size_t)ceil(quantiles[i] * (double)n);
        uint64_t exact = values[rank - 1];
        uint64_t found = histogram_quantile(&h, quantiles[i]);
        assert_true(found >= exact);
        assert_true((double)(found - exact) <= (double)exact * 0.01);
    }
}

static void test_error_is_below_one_percent(void **state)
{
    (void)state;
    enum { N = 100000 };
    uint64_t *values = malloc(N * sizeof *values);
    assert_non_null(values);
    uint64_t seed = 42;
    for (unsigned bits = 4; bits <= 42; bits++) {
        histogram_init(&h);
        for (unsigned i = 0; i < N; i++) {
            /* Log-uniform: a random width, then random bits of that width. */
            unsigned width = 1 + (unsigned)(next(&seed) % bits);
            values[i] = next(&seed) >> (64 - width);
            histogram_record(&h, values[i]);
        }
        check_against_sorted(values, N);
    }
    free(values);
}

static void test_larger_than_the_largest_bucket(void **state)
{
    (void)state;
    histogram_init(&h);
    histogram_record(&h, UINT64_MAX);
    histogram_record(&h, 5);
    assert_int_equal(histogram_quantile(&h, 0.5), 5);
    assert_true(histogram_quantile(&h, 1) == UINT64_MAX);
    assert_int_equal(h.buckets[HISTOGRAM_BUCKETS - 1], 1);
}

static void test_merged_is_as_if_recorded_in_one(void **state)
{
    (void)state;
    static struct histogram whole;
    histogram_init(&h);
    histogram_init(&g);
    histogram_init(&whole);
    uint64_t seed = 7;
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t v = next(&seed) >> 34;
        histogram_record(i % 3 == 0 ? &h : &g, v);
        histogram_record(&whole, v);
    }
    histogram_merge(&h, &g);
    assert_memory_equal(&h, &whole, sizeof h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets_tile_the_values),
        cmocka_unit_test(test_small_values_are_exact),
        cmocka_unit_test(test_error_is_below_one_percent),
        cmocka_unit_test(test_larger_than_the_largest_bucket),
        cmocka_unit_test(test_merged_is_as_if_recorded_in_one),
    };
    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
