/*
 * test_bucket.c - the token bucket: its burst, its rate without drift, first come first served, and nothing dropped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <wsring/policy.h>

#define S UINT64_C(1000000000)

static void test_burst_then_rate(void **state)
{
    (void)state;
    wsr_bucket bucket;
    assert_int_equal(wsr_bucket_init(&bucket, 10, 0, 5), WSR_OK);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(wsr_bucket_take(&bucket, 7 * S), 0);
    for (unsigned i = 1; i <= 100; i++)
        assert_int_equal(wsr_bucket_take(&bucket, 7 * S), i * S / 10);
    /* 5 + 100 tokens are gone: full again after 10.5 s, and one is there after 10.1 s. */
    assert_int_equal(wsr_bucket_take(&bucket, 17 * S), S / 10);
    assert_int_equal(wsr_bucket_take(&bucket, 17 * S + S / 5), 0);
    for (unsigned i = 0; i < 5; i++) /* a long rest fills it, and no more than full */
        assert_int_equal(wsr_bucket_take(&bucket, 1000 * S), 0);
    assert_int_equal(wsr_bucket_take(&bucket, 1000 * S), S / 10);
}

/* A third of a second is no whole number of nanoseconds: a million tokens still end on the nanosecond. */
static void test_no_drift(void **state)
{
    (void)state;
    wsr_bucket bucket;
    assert_int_equal(wsr_bucket_init(&bucket, 3, S, 1), WSR_OK);
    for (uint64_t i = 0; i < 1000000; i++)
        assert_int_equal(wsr_bucket_take(&bucket, 0), (i * S + 2) / 3);
    assert_int_equal(wsr_bucket_init(&bucket, 7, 60 * S, 4), WSR_OK);
    for (uint64_t i = 0; i < 1000; i++) {
        const uint64_t due = i < 4 ? 0 : ((i - 3) * 60 * S + 6) / 7;
        assert_int_equal(wsr_bucket_take(&bucket, 0), due);
    }
}

/* Whatever the arrivals, no window of time sees more than burst + rate * window; who came first goes first. */
static void test_windows_and_order(void **state)
{
    (void)state;
    enum { N = 20000 };
    static uint64_t starts[N];
    wsr_bucket bucket;
    assert_int_equal(wsr_bucket_init(&bucket, 1000, S, 50), WSR_OK);
    uint64_t now = 0, seed = 1;
    for (unsigned i = 0; i < N; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        now += (seed >> 40) % 2000000 * (i / 1000 % 2); /* a thousand at once, then a thousand with pauses of 1 ms on average */
        starts[i] = now + wsr_bucket_take(&bucket, now);
        assert_true(i == 0 || starts[i] >= starts[i - 1]);
    }
    const uint64_t gap = S / 1000;
    for (unsigned i = 50; i < N; i++)
        assert_true(starts[i] - starts[i - 50] >= gap); /* 51 in a row: one of them is past the burst */
    for (unsigned i = 0; i + 1050 < N; i += 50)
        assert_true(starts[i + 1050] - starts[i] >= 1001 * gap);
}

static void test_bad_configurations(void **state)
{
    (void)state;
    wsr_bucket bucket;
    assert_int_equal(wsr_bucket_init(&bucket, 0, S, 1), WSR_ECONFIG);
    assert_int_equal(wsr_bucket_init(&bucket, 1, UINT64_MAX, 1), WSR_ECONFIG);
    assert_int_equal(wsr_bucket_init(&bucket, 1, 86400 * S, UINT32_MAX), WSR_ECONFIG);
    assert_int_equal(wsr_bucket_init(&bucket, UINT32_MAX, S, UINT32_MAX / 32), WSR_OK);
    assert_int_equal(wsr_bucket_take(&bucket, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_then_rate),
        cmocka_unit_test(test_no_drift),
        cmocka_unit_test(test_windows_and_order),
        cmocka_unit_test(test_bad_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
