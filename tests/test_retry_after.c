/*
 * test_retry_after.c - Retry-After: seconds, the three forms of a date, what is neither, what has passed and what is far off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <wsring/policy.h>

#define S UINT64_C(1000000000)
#define NEVER UINT64_MAX

static const int64_t now_s = 784111777; /* Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110 section 5.6.7 */

static int parse(const char *text, int64_t unix_s, uint64_t *delay_ns)
{
    *delay_ns = 12345;
    return wsr_retry_after((wsr_slice){(const uint8_t *)text, strlen(text)}, unix_s, delay_ns);
}

static void expect_at(const char *text, int64_t unix_s, uint64_t wanted_ns)
{
    uint64_t delay_ns;
    if (parse(text, unix_s, &delay_ns) != WSR_OK || delay_ns != wanted_ns)
        fail_msg("'%s': %llu ns, wanted %llu", text, (unsigned long long)delay_ns, (unsigned long long)wanted_ns);
}

static void expect(const char *text, uint64_t wanted_ns)
{
    expect_at(text, now_s, wanted_ns);
}

static void test_seconds(void **state)
{
    (void)state;
    expect("0", 0);
    expect("1", S);
    expect("120", 120 * S);
    expect("0000000000000000000000000000120", 120 * S);
    expect(" \t7\t ", 7 * S);
    expect("18446744073", 18446744073 * S);
    expect("18446744074", NEVER);
    expect("18446744073709551615", NEVER);
    expect("18446744073709551616", NEVER);
    expect("99999999999999999999999999999999999999999999", NEVER);
    expect_at("120", -5, 120 * S); /* no clock is needed */
}

static void test_the_three_forms(void **state)
{
    (void)state;
    expect("Sun, 06 Nov 1994 08:49:37 GMT", 0);
    expect("Sunday, 06-Nov-94 08:49:37 GMT", 0);
    expect("Sun Nov  6 08:49:37 1994", 0);
    expect("Sun, 06 Nov 1994 08:49:38 GMT", S);
    expect("Sunday, 06-Nov-94 08:50:37 GMT", 60 * S);
    expect("Sun Nov  6 09:49:37 1994", 3600 * S);
    expect("Wed Nov 16 08:49:37 1994", 10 * 86400 * S);
    expect(" Sun, 06 Nov 1994 08:49:47 GMT ", 10 * S);
}

static void test_past_and_future(void **state)
{
    (void)state;
    expect("Sun, 06 Nov 1994 08:49:36 GMT", 0);
    expect("Thu, 01 Jan 1970 00:00:00 GMT", 0);
    expect("Fri, 31 Dec 0000 23:59:59 GMT", 0);
    expect("Fri, 31 Dec 9999 23:59:59 GMT", NEVER);
    expect("Mon, 06 Nov 1995 08:49:37 GMT", 365 * 86400 * S);
}

/* Every day from 1970 to 2400 in turn is a day after the one before. */
static void test_the_calendar(void **state)
{
    (void)state;
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t day = 0;
    for (unsigned year = 1970; year <= 2400; year++)
        for (unsigned m = 0; m < 12; m++) {
            const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
            const unsigned length = lengths[m] + (m == 1 && leap);
            for (unsigned d = 1; d <= length + 1; d++) {
                char text[64];
                snprintf(text, sizeof text, "Mon, %02u %s %04u 00:00:01 GMT", d, months[m], year);
                uint64_t delay_ns;
                if (d > length) {
                    assert_int_equal(parse(text, 0, &delay_ns), WSR_EINVAL);
                    continue;
                }
                expect_at(text, day * 86400, S);
                day++;
            }
        }
    assert_int_equal(day, 157420); /* 2401-01-01, by GNU date */
}

/* "more than 50 years in the future ... the most recent year in the past that had the same last two digits" */
static void test_two_digit_years(void **state)
{
    (void)state;
    const int64_t in_2026 = 1767225600; /* 2026-01-01 00:00:00 */
    expect_at("Thursday, 01-Jan-26 00:00:05 GMT", in_2026, 5 * S);
    expect_at("Friday, 01-Jan-27 00:00:00 GMT", in_2026, 365 * 86400 * S);
    expect_at("Tuesday, 01-Jan-75 00:00:00 GMT", in_2026, 1546300800 * S); /* 2075 */
    expect_at("Wednesday, 01-Jan-76 00:00:00 GMT", in_2026, 1577836800 * S); /* 2076: fifty years, and not more */
    expect_at("Friday, 31-Dec-76 00:00:00 GMT", in_2026, 0);               /* 1976 */
    expect_at("Saturday, 01-Jan-77 00:00:00 GMT", in_2026, 0);             /* 1977 */
    expect_at("Friday, 31-Dec-99 23:59:59 GMT", in_2026, 0);               /* 1999 */
    const int64_t in_1999 = 946684790; /* 1999-12-31 23:59:50 */
    expect_at("Saturday, 01-Jan-00 00:00:00 GMT", in_1999, 10 * S);
}

static void test_garbage(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", " ", "-1", "+1", "1.5", "1s", "12 0", "0x10", "soon", "GMT",
        "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 GMTx", "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT", "Sun 06 Nov 1994 08:49:37 GMT", "Xxx, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nom 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06-Nov-94 08:49:37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994", "Sun Nov  6 08:49:37 94", "Sun Nov  6 08:49:37 1994 GMT", "Tue, 29 Feb 1994 08:49:37 GMT",
        "120, 240", "\"120\"",
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t delay_ns;
        if (parse(bad[i], now_s, &delay_ns) != WSR_EINVAL || delay_ns != 0)
            fail_msg("'%s' was taken for %llu ns", bad[i], (unsigned long long)delay_ns);
    }
    uint64_t delay_ns;
    assert_int_equal(parse("Sun, 06 Nov 1994 08:49:37 GMT", -1, &delay_ns), WSR_EINVAL);
    assert_int_equal(wsr_retry_after((wsr_slice){NULL, 0}, now_s, &delay_ns), WSR_EINVAL);
    expect("Sun, 06 Nov 1994 08:49:60 GMT", 23 * S); /* a leap second is a second */
}

/* Every prefix of a good value is refused, but for digits; nothing past the end is read (asan). */
static void test_every_prefix(void **state)
{
    (void)state;
    static const char *const good[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"};
    for (unsigned i = 0; i < 3; i++)
        for (size_t len = 0; len < strlen(good[i]); len++) {
            uint8_t *copy = test_malloc(len + 1);
            memcpy(copy + 1, good[i], len);
            uint64_t delay_ns;
            assert_int_equal(wsr_retry_after((wsr_slice){copy + 1, len}, now_s, &delay_ns), WSR_EINVAL);
            test_free(copy);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seconds),          cmocka_unit_test(test_the_three_forms), cmocka_unit_test(test_past_and_future),
        cmocka_unit_test(test_the_calendar),     cmocka_unit_test(test_two_digit_years), cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_every_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
