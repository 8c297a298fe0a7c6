/*
 * test_policy.c - the reconnect policy in virtual time: every row of the table with exact bounds (randomness driven to its ends),
 * the distribution between them, and the rules: reset only after stability, limits, endpoints, Retry-After, profiles, overrides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <wsring/policy.h>

#define MS UINT64_C(1000000)
#define S (1000 * MS)
#define BASE (250 * MS)
#define CAP (30 * S)

/* --- Randomness ------------------------------------------------------------------------------------------------------------- */

static uint64_t all_zeros(void *context)
{
    (void)context;
    return 0;
}

static uint64_t all_ones(void *context)
{
    (void)context;
    return UINT64_MAX;
}

/* splitmix64 (public domain, Steele, Lea and Flood) */
static uint64_t mixed(void *context)
{
    uint64_t z = *(uint64_t *)context += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static uint64_t seed;

/* --- A policy, and what it says --------------------------------------------------------------------------------------------- */

static wsr_policy_config config_of(wsr_profile profile, unsigned endpoints, uint64_t (*random)(void *))
{
    wsr_policy_config config = WSR_POLICY_CONFIG_INIT;
    config.random = random;
    config.random_context = &seed;
    config.profile = profile;
    config.endpoints = endpoints;
    return config;
}

static wsr_policy policy_of(wsr_profile profile, unsigned endpoints, uint64_t (*random)(void *))
{
    const wsr_policy_config config = config_of(profile, endpoints, random);
    wsr_policy policy;
    assert_int_equal(wsr_policy_init(&policy, &config), WSR_OK);
    return policy;
}

static void expect_delay(const wsr_decision *d, wsr_verdict verdict, uint64_t delay_ns, const char *what)
{
    if (d->verdict != verdict || d->delay_ns != delay_ns)
        fail_msg("%s, %s: verdict %d after %.9f s, wanted %d after %.9f s", what, wsr_cause_lookup(d->cause)->name, d->verdict,
                 (double)d->delay_ns / 1e9, verdict, (double)delay_ns / 1e9);
}

/* --- The table, as close-and-reconnect has it --------------------------------------------------------------------------------- */

enum then { NONE, FULL, DECORRELATED };

struct expected {
    wsr_cause cause;
    wsr_verdict verdict;
    uint64_t low_ns, high_ns;             /* the first delay, one endpoint */
    uint64_t other_low_ns, other_high_ns; /* ... of two endpoints */
    enum then then;                       /* and later */
    bool rotates;
    unsigned times; /* how often, 0: for ever */
    uint64_t floor_ns, cap_ns;
};

#define NO(cause) {WSR_CAUSE_##cause, WSR_VERDICT_STOP, 0, 0, 0, 0, NONE, false, 0, 0, 0}
#define ASKS(cause) {WSR_CAUSE_##cause, WSR_VERDICT_ASK, 0, 5 * S, 0, 5 * S, DECORRELATED, false, 0, 0, CAP}
#define BREAK(cause) {WSR_CAUSE_##cause, WSR_VERDICT_RETRY, 0, 5 * S, 0, 5 * S, DECORRELATED, false, 0, 0, CAP}
#define LIMITED(cause) {WSR_CAUSE_##cause, WSR_VERDICT_RETRY, S, S + BASE, S, S + BASE, FULL, false, 5, S, CAP}
#define ONCE(cause) {WSR_CAUSE_##cause, WSR_VERDICT_RENEW, 0, 0, 0, 0, NONE, false, 1, 0, CAP}
#define BACKS_OFF(cause) {WSR_CAUSE_##cause, WSR_VERDICT_RETRY, 0, BASE, 0, BASE, FULL, false, 0, 0, CAP}
#define NEXT(cause) {WSR_CAUSE_##cause, WSR_VERDICT_RETRY, 0, BASE, 0, BASE, FULL, true, 0, 0, CAP}
/* A fifth of the backoff on top. */
#define THROTTLED(cause) {WSR_CAUSE_##cause, WSR_VERDICT_RETRY, 0, BASE + BASE / 5, 0, BASE + BASE / 5, NONE, false, 0, 0, CAP}

static const struct expected expected[] = {
    NO(LOCAL_CLOSE), NO(WE_FAILED), NO(1000), NO(1005),
    {WSR_CAUSE_1001, WSR_VERDICT_RETRY, 0, 5 * S, 0, 5 * S, DECORRELATED, true, 0, 0, CAP},
    {WSR_CAUSE_1012, WSR_VERDICT_RETRY, 5 * S, 30 * S, 0, 2 * S, DECORRELATED, true, 0, 0, CAP},
    {WSR_CAUSE_1013, WSR_VERDICT_RETRY, 10 * S, 20 * S, 0, 2 * S, DECORRELATED, true, 0, 10 * S, 2 * CAP},
    LIMITED(1011), LIMITED(1014), LIMITED(3008),
    BREAK(ABNORMAL), BREAK(RESET), BREAK(PING_TIMEOUT),
    ASKS(1008), ASKS(4XXX), ASKS(3XXX),
    NO(1002), NO(1003), NO(1007), NO(1009), NO(1010), NO(3003),
    ONCE(3000), ONCE(HTTP_401), ONCE(HTTP_407),
    NO(TLS_CERTIFICATE),
    NEXT(TLS_TIMEOUT), NEXT(DNS), NEXT(REFUSED),
    THROTTLED(HTTP_429), THROTTLED(HTTP_503),
    BACKS_OFF(HTTP_500), BACKS_OFF(HTTP_502), BACKS_OFF(HTTP_504),
    NO(HTTP_400), NO(HTTP_403), NO(HTTP_404), NO(HTTP_410), NO(HTTP_426), NO(HTTP_4XX), NO(INVALID_ANSWER),
    {WSR_CAUSE_HTTP_3XX, WSR_VERDICT_FOLLOW, 0, 0, 0, 0, NONE, false, 5, 0, CAP},
    NEXT(HTTP_5XX), NEXT(PROXY), NEXT(CONNECT_TIMEOUT), NEXT(HANDSHAKE_TIMEOUT), NEXT(EOF_BEFORE_ANSWER),
};

enum { ROWS = sizeof expected / sizeof expected[0] };

/* Says yes where it is asked, so that an ASK row's delays are seen too. */
static wsr_decision lose(wsr_policy *policy, uint64_t now_ns, wsr_cause cause)
{
    const wsr_decision d = wsr_policy_lost(policy, now_ns, cause, 0);
    return d.verdict == WSR_VERDICT_ASK ? wsr_policy_allow(policy, now_ns) : d;
}

static void test_the_table_is_whole(void **state)
{
    (void)state;
    unsigned seen[WSR_CAUSES] = {0};
    for (unsigned i = 0; i < ROWS; i++)
        seen[expected[i].cause]++;
    for (unsigned i = 0; i < WSR_CAUSES; i++)
        assert_int_equal(seen[i], 1);
}

static void test_verdicts(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ROWS; i++) {
        wsr_policy policy = policy_of(WSR_PROFILE_DEFAULT, 1, all_ones);
        const wsr_decision d = wsr_policy_lost(&policy, 0, expected[i].cause, 0);
        assert_int_equal(d.verdict, expected[i].verdict);
        assert_int_equal(d.cause, expected[i].cause);
        assert_false(d.exhausted);
        assert_string_equal(d.why, wsr_cause_lookup(expected[i].cause)->text);
        const bool goes = d.verdict != WSR_VERDICT_STOP && d.verdict != WSR_VERDICT_ASK;
        assert_int_equal(d.attempt, goes ? 1 : 0);
    }
}

/* Both ends of the range of the first delay are reached, with one endpoint and with two. */
static void test_first_delays(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ROWS; i++) {
        const struct expected *e = &expected[i];
        const wsr_verdict verdict = e->verdict == WSR_VERDICT_ASK ? WSR_VERDICT_RETRY : e->verdict;
        for (unsigned endpoints = 1; endpoints <= 2; endpoints++)
            for (unsigned high = 0; high <= 1; high++) {
                wsr_policy policy = policy_of(WSR_PROFILE_DEFAULT, endpoints, high ? all_ones : all_zeros);
                const wsr_decision d = lose(&policy, 1000 * S, e->cause);
                const uint64_t one = high ? e->high_ns : e->low_ns, two = high ? e->other_high_ns : e->other_low_ns;
                expect_delay(&d, verdict, endpoints == 1 ? one : two, "first");
                assert_int_equal(d.endpoint, endpoints == 2 && e->rotates);
            }
    }
}

/* The delays after the first, for an outage in which the same cause comes again and again. One endpoint. */
static void test_later_delays(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ROWS; i++) {
        const struct expected *e = &expected[i];
        if (e->verdict == WSR_VERDICT_STOP || e->then == NONE)
            continue;
        for (unsigned high = 0; high <= 1; high++) {
            wsr_policy policy = policy_of(WSR_PROFILE_DEFAULT, 1, high ? all_ones : all_zeros);
            uint64_t now = 0, previous = 0;
            for (unsigned n = 0; n < (e->times > 0 ? e->times : 40); n++) {
                const wsr_decision d = lose(&policy, now, e->cause);
                const uint64_t low = e->floor_ns > BASE ? e->floor_ns : BASE;
                uint64_t wanted = high ? e->high_ns : e->low_ns;
                if (n > 0 && e->then == FULL) {
                    const uint64_t range = n < 20 && BASE << n < e->cap_ns ? BASE << n : e->cap_ns;
                    wanted = e->floor_ns + (high ? range : 0);
                } else if (n > 0) {
                    const uint64_t top = 3 * (previous > low ? previous : low);
                    wanted = high ? (top < e->cap_ns ? top : e->cap_ns) : low;
                }
                expect_delay(&d, WSR_VERDICT_RETRY, wanted, "later");
                assert_int_equal(d.attempt, n + 1);
                previous = d.delay_ns;
                now += d.delay_ns + 10 * MS;
            }
        }
    }
}

/* --- Limits of a kind --------------------------------------------------------------------------------------------------------- */

static void test_limited_once_and_redirects_stop(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ROWS; i++) {
        if (expected[i].times == 0)
            continue;
        wsr_policy policy = policy_of(WSR_PROFILE_DEFAULT, 3, all_ones);
        for (unsigned n = 0; n < expected[i].times; n++)
            assert_int_equal(wsr_policy_lost(&policy, n * S, expected[i].cause, 0).verdict, expected[i].verdict);
        const wsr_decision d = wsr_policy_lost(&policy, 100 * S, expected[i].cause, 0);
        assert_int_equal(d.verdict, WSR_VERDICT_STOP);
        assert_true(d.exhausted);
        assert_int_equal(d.attempt, expected[i].times);
        assert_string_not_equal(d.why, wsr_cause_lookup(expected[i].cause)->text);
        /* A connection that is stable ends the outage, and the count. */
        wsr_policy_opened(&policy, 200 * S);
        assert_int_equal(wsr_policy_lost(&policy, 260 * S, expected[i].cause, 0).verdict, expected[i].verdict);
    }
}

/* Fresh credentials are fresh for every row that wants them: 401, then 3000 with the new ones, is the end. */
static void test_kinds_count_together(void **state)
{
    (void)state;
    wsr_policy policy = policy_of(WSR_PROFILE_DEFAULT, 1, all_ones);
    assert_int_equal(wsr_policy_lost(&policy, 0, WSR_CAUSE_HTTP_401, 0).verdict, WSR_VERDICT_RENEW);
    wsr_policy_opened(&policy, S);
    assert_int_equal(wsr_policy_lost(&policy, 2 * S, WSR_CAUSE_3000, 0).verdict, WSR_VERDICT_STOP);
    policy = policy_of(WSR_PROFILE_DEFAULT, 1, all_ones);
    static const wsr_cause causes[] = {WSR_CAUSE_1011, WSR_CAUSE_1014, WSR_CAUSE_REFUSED, WSR_CAUSE_3008, WSR_CAUSE_1011, WSR_CAUSE_1014};
    for (unsigned i = 0; i < 6; i++) /* the refused one does not count among the five */
        assert_int_equal(wsr_policy_lost(&policy, 0, causes[i], 0).verdict, WSR_VERDICT_RETRY);
    assert_int_equal(wsr_policy_lost(&policy, 0, WSR_CAUSE_3008, 0).verdict, WSR_VERDICT_STOP);
}

/* --- The outage --------------------------------------------------------------------------------------------------------------- */

static void test_reset_only_after_stability(void **state)
{
    (void)state;
    wsr_policy policy = policy_of(WSR_PROFILE_DEFAULT, 1, all_ones);
    uint64_t now = 0;
    for (unsigned i = 1; i <= 10; i++) { /* a server that opens and drops, a nanosecond before stability */
        assert_int_equal(wsr_policy_lost(&policy, now, WSR_CAUSE_ABNORMAL, 0).attempt, i);
        now += S;
        wsr_policy_opened(&policy, now);
        assert_false(wsr_policy_is_stable(&policy, now));
        now += 60 * S - 1;
        assert_false(wsr_policy_is_stable(&policy, now));
    }
    assert_true(wsr_policy_is_stable(&policy, now + 1));
    wsr_policy copy = policy;
    assert_int_equal(wsr_policy_lost(&copy, now, WSR_CAUSE_ABNORMAL, 0).attempt, 11);
    const wsr_decision d = wsr_policy_lost(&policy, now + 1, WSR_CAUSE_ABNORMAL, 0);
    assert_int_equal(d.attempt, 1);
    expect_delay(&d, WSR_VERDICT_RETRY, 5 * S, "after stability");
    assert_false(wsr_policy_is_stable(&policy, now + 1000 * S)); /* it is not open */
}

/* A row without a first delay of its own begins again at the base too: the long delays of the last outage are forgotten. */
static void test_reset_forgets_the_previous_delay(void **state)
{
    (void)state;
    const wsr_policy_override override = {WSR_CAUSE_RESET, {.retry = WSR_RETRY_BACKOFF, .jitter = WSR_JITTER_DECORRELATED}};
    wsr_policy_config config = config_of(WSR_PROFILE_DEFAULT, 1, all_ones);
    config.overrides = &override;
    config.overrides_n = 1;
    wsr_policy policy;
    assert_int_equal(wsr_policy_init(&policy, &config), WSR_OK);
    for (unsigned i = 0; i < 10; i++)
        (void)!wsr_policy_lost(&policy, 0, WSR_CAUSE_RESET, 0).delay_ns;
    wsr_decision d = wsr_policy_lost(&policy, 0, WSR_CAUSE_RESET, 0);
    expect_delay(&d, WSR_VERDICT_RETRY, CAP, "at the cap");
    wsr_policy_opened(&policy, S);
    d = wsr_policy_lost(&policy, 61 * S, WSR_CAUSE_RESET, 0);
    expect_delay(&d, WSR_VERDICT_RETRY, 3 * BASE, "from the base again");
}

/* A loss without an opening in between is no connection's end: the time since an old opening counts for nothing. */
static void test_stability_belongs_to_one_connection(void **state)
{
    (void)state;
    wsr_policy policy = policy_of(WSR_PROFILE_DEFAULT, 1, all_ones);
    wsr_policy_opened(&policy, 0);
    assert_int_equal(wsr_policy_lost(&policy, 61 * S, WSR_CAUSE_1001, 0).attempt, 1);
    assert_int_equal(wsr_policy_lost(&policy, 200 * S, WSR_CAUSE_REFUSED, 0).attempt, 2);
    assert_int_equal(wsr_policy_lost(&policy, 400 * S, WSR_CAUSE_REFUSED, 0).attempt, 3);
}

/* After a 1001 whose retry is refused, the refused row rules, with the attempts made so far. */
static void test_latest_cause_chooses(void **state)
{
    (void)state;
    wsr_policy policy = policy_of(WSR_PROFILE_DEFAULT, 1, all_ones);
    wsr_policy_opened(&policy, 0);
    wsr_decision d = wsr_policy_lost(&policy, 100 * S, WSR_CAUSE_1001, 0);
    expect_delay(&d, WSR_VERDICT_RETRY, 5 * S, "1001");
    d = wsr_policy_lost(&policy, 105 * S, WSR_CAUSE_REFUSED, 0);
    expect_delay(&d, WSR_VERDICT_RETRY, 2 * BASE, "then refused");
    d = wsr_policy_lost(&policy, 106 * S, WSR_CAUSE_REFUSED, 0);
    expect_delay(&d, WSR_VERDICT_RETRY, 4 * BASE, "then refused again");
    wsr_policy_opened(&policy, 107 * S);
    d = wsr_policy_lost(&policy, 108 * S, WSR_CAUSE_1001, 0);
    expect_delay(&d, WSR_VERDICT_RETRY, 3 * 4 * BASE, "then 1001 again: decorrelated, no first delay");
    d = wsr_policy_lost(&policy, 109 * S, WSR_CAUSE_HTTP_404, 0);
    expect_delay(&d, WSR_VERDICT_STOP, 0, "then 404");
}

static void test_limit_on_attempts(void **state)
{
    (void)state;
    wsr_policy_config config = config_of(WSR_PROFILE_DEFAULT, 1, all_zeros);
    config.attempts_max = 3;
    wsr_policy policy;
    assert_int_equal(wsr_policy_init(&policy, &config), WSR_OK);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(wsr_policy_lost(&policy, i, WSR_CAUSE_REFUSED, 0).verdict, WSR_VERDICT_RETRY);
    const wsr_decision d = wsr_policy_lost(&policy, 3, WSR_CAUSE_REFUSED, 0);
    assert_int_equal(d.verdict, WSR_VERDICT_STOP);
    assert_true(d.exhausted);
    assert_int_equal(d.attempt, 3);
}

static void test_limit_on_elapsed_time(void **state)
{
    (void)state;
    wsr_policy_config config = config_of(WSR_PROFILE_DEFAULT, 1, all_ones);
    config.elapsed_max_ns = 10 * S;
    wsr_policy policy;
    assert_int_equal(wsr_policy_init(&policy, &config), WSR_OK);
    wsr_policy_opened(&policy, 0);
    assert_int_equal(wsr_policy_lost(&policy, 1000 * S, WSR_CAUSE_ABNORMAL, 0).verdict, WSR_VERDICT_RETRY); /* 5 s */
    /* The second attempt waits 500 ms: it may begin at the limit, and not a nanosecond later. */
    wsr_policy copy = policy;
    assert_int_equal(wsr_policy_lost(&copy, 1010 * S - 2 * BASE, WSR_CAUSE_REFUSED, 0).verdict, WSR_VERDICT_RETRY);
    wsr_decision d = wsr_policy_lost(&policy, 1010 * S - 2 * BASE + 1, WSR_CAUSE_REFUSED, 0);
    assert_int_equal(d.verdict, WSR_VERDICT_STOP);
    assert_true(d.exhausted);
    assert_int_equal(d.attempt, 1);
    assert_int_equal(wsr_policy_lost(&policy, 5000 * S, WSR_CAUSE_REFUSED, 0).verdict, WSR_VERDICT_STOP);
    wsr_policy_opened(&policy, 6000 * S); /* the next outage has its own ten seconds */
    assert_int_equal(wsr_policy_lost(&policy, 6060 * S, WSR_CAUSE_ABNORMAL, 0).verdict, WSR_VERDICT_RETRY);
}

/* --- Profiles ----------------------------------------------------------------------------------------------------------------- */

static void test_persistent(void **state)
{
    (void)state;
    static const wsr_cause causes[] = {WSR_CAUSE_1000, WSR_CAUSE_1005};
    for (unsigned i = 0; i < 2; i++)
        for (unsigned high = 0; high <= 1; high++) {
            wsr_policy policy = policy_of(WSR_PROFILE_PERSISTENT, 2, high ? all_ones : all_zeros);
            wsr_decision d = wsr_policy_lost(&policy, 0, causes[i], 0);
            expect_delay(&d, WSR_VERDICT_RETRY, high ? 5 * S : 0, "persistent");
            assert_int_equal(d.endpoint, 1);
            d = wsr_policy_lost(&policy, 0, causes[i], 0);
            expect_delay(&d, WSR_VERDICT_RETRY, high ? 15 * S : BASE, "persistent, then");
        }
    for (unsigned i = 0; i < WSR_CAUSES; i++)
        if (i != WSR_CAUSE_1000 && i != WSR_CAUSE_1005)
            assert_memory_equal(wsr_policy_default(WSR_PROFILE_PERSISTENT, (wsr_cause)i), wsr_policy_default(WSR_PROFILE_DEFAULT, (wsr_cause)i),
                                sizeof(wsr_policy_row));
    wsr_policy policy = policy_of(WSR_PROFILE_PERSISTENT, 1, all_zeros); /* a local close stays one */
    assert_int_equal(wsr_policy_lost(&policy, 0, WSR_CAUSE_LOCAL_CLOSE, 0).verdict, WSR_VERDICT_STOP);
}

static void test_fast(void **state)
{
    (void)state;
    static const wsr_cause causes[] = {WSR_CAUSE_ABNORMAL, WSR_CAUSE_RESET, WSR_CAUSE_PING_TIMEOUT};
    for (unsigned i = 0; i < 3; i++)
        for (unsigned high = 0; high <= 1; high++) {
            wsr_policy policy = policy_of(WSR_PROFILE_FAST, 1, high ? all_ones : all_zeros);
            wsr_policy_opened(&policy, 0);
            wsr_policy stable = policy;
            wsr_decision d = wsr_policy_lost(&policy, 60 * S - 1, causes[i], 0);
            expect_delay(&d, WSR_VERDICT_RETRY, high ? 5 * S : 0, "fast, but not stable");
            d = wsr_policy_lost(&stable, 60 * S, causes[i], 0);
            expect_delay(&d, WSR_VERDICT_RETRY, high ? 100 * MS : 0, "fast");
            wsr_policy_opened(&stable, 61 * S);
            d = wsr_policy_lost(&stable, 62 * S, causes[i], 0);
            expect_delay(&d, WSR_VERDICT_RETRY, high ? 3 * BASE : BASE, "fast is once");
        }
    for (unsigned i = 0; i < WSR_CAUSES; i++)
        if (i != causes[0] && i != causes[1] && i != causes[2])
            assert_memory_equal(wsr_policy_default(WSR_PROFILE_FAST, (wsr_cause)i), wsr_policy_default(WSR_PROFILE_DEFAULT, (wsr_cause)i),
                                sizeof(wsr_policy_row));
}

/* --- Endpoints ---------------------------------------------------------------------------------------------------------------- */

static void test_rotation(void **state)
{
    (void)state;
    wsr_policy policy = policy_of(WSR_PROFILE_DEFAULT, 3, all_zeros);
    static const unsigned order[] = {1, 2, 0, 1, 2, 0};
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(wsr_policy_lost(&policy, i * S, WSR_CAUSE_REFUSED, 0).endpoint, order[i]);
    assert_int_equal(wsr_policy_lost(&policy, 7 * S, WSR_CAUSE_HTTP_500, 0).endpoint, 0); /* this row stays */
    assert_int_equal(wsr_policy_lost(&policy, 8 * S, WSR_CAUSE_1001, 0).endpoint, 1);
    assert_int_equal(wsr_policy_lost(&policy, 9 * S, WSR_CAUSE_HTTP_404, 0).endpoint, 1); /* a stop stays too */
}

/* 1013: the one that said so is left alone for its 10 s and jitter, whatever happens at the others meanwhile. */
static void test_overloaded_endpoint_is_left_alone(void **state)
{
    (void)state;
    wsr_policy policy = policy_of(WSR_PROFILE_DEFAULT, 2, all_zeros);
    wsr_decision d = wsr_policy_lost(&policy, 100 * S, WSR_CAUSE_1013, 0);
    expect_delay(&d, WSR_VERDICT_RETRY, 0, "1013");
    assert_int_equal(d.endpoint, 1);
    d = wsr_policy_lost(&policy, 101 * S, WSR_CAUSE_REFUSED, 0); /* 0 is not free before 110 s: rather here again */
    expect_delay(&d, WSR_VERDICT_RETRY, 0, "refused at the other");
    assert_int_equal(d.endpoint, 1);
    wsr_policy copy = policy;
    assert_int_equal(wsr_policy_lost(&copy, 110 * S - 1, WSR_CAUSE_REFUSED, 0).endpoint, 1);
    copy = policy;
    assert_int_equal(wsr_policy_lost(&copy, 110 * S, WSR_CAUSE_REFUSED, 0).endpoint, 0);
    d = wsr_policy_lost(&policy, 103 * S, WSR_CAUSE_1013, 0); /* now this one is not free before 113 s either: 0 is sooner */
    expect_delay(&d, WSR_VERDICT_RETRY, 7 * S, "both overloaded");
    assert_int_equal(d.endpoint, 0);
    d = wsr_policy_lost(&policy, 110 * S, WSR_CAUSE_REFUSED, 0); /* 1 is not free yet, but 0 is */
    assert_int_equal(d.endpoint, 0);
    d = wsr_policy_lost(&policy, 113 * S, WSR_CAUSE_REFUSED, 0);
    assert_int_equal(d.endpoint, 1);
}

/* --- Retry-After -------------------------------------------------------------------------------------------------------------- */

static void test_retry_after(void **state)
{
    (void)state;
    static const wsr_cause causes[] = {WSR_CAUSE_HTTP_429, WSR_CAUSE_HTTP_503};
    for (unsigned i = 0; i < 2; i++) {
        wsr_policy low = policy_of(WSR_PROFILE_DEFAULT, 1, all_zeros), high = policy_of(WSR_PROFILE_DEFAULT, 1, all_ones);
        wsr_decision d = wsr_policy_lost(&low, 0, causes[i], 10 * S);
        expect_delay(&d, WSR_VERDICT_RETRY, 10 * S, "ten seconds");
        d = wsr_policy_lost(&high, 0, causes[i], 10 * S);
        expect_delay(&d, WSR_VERDICT_RETRY, 12 * S, "ten seconds and 20 %");
        d = wsr_policy_lost(&low, 0, causes[i], UINT64_MAX);
        expect_delay(&d, WSR_VERDICT_RETRY, 3600 * S, "for ever, capped");
        d = wsr_policy_lost(&high, 0, causes[i], UINT64_MAX);
        expect_delay(&d, WSR_VERDICT_RETRY, 4320 * S, "for ever, capped, and 20 %");
        /* The backoff is the greater one: without Retry-After, or with a small one. Two attempts were made. */
        high = policy_of(WSR_PROFILE_DEFAULT, 1, all_ones);
        for (unsigned n = 0; n < 40; n++) {
            const uint64_t range = n < 20 && BASE << n < CAP ? BASE << n : CAP;
            d = wsr_policy_lost(&high, 0, causes[i], n % 2 * 100 * MS);
            expect_delay(&d, WSR_VERDICT_RETRY, range + range / 5, "backoff and 20 %");
        }
    }
    wsr_policy policy = policy_of(WSR_PROFILE_DEFAULT, 1, all_zeros); /* no other row listens to it */
    const wsr_decision d = wsr_policy_lost(&policy, 0, WSR_CAUSE_HTTP_502, 10 * S);
    expect_delay(&d, WSR_VERDICT_RETRY, 0, "502");
}

static void test_retry_after_header_and_cap(void **state)
{
    (void)state;
    wsr_policy_config config = config_of(WSR_PROFILE_DEFAULT, 1, all_zeros);
    config.retry_after_max_ns = 20 * S;
    wsr_policy policy;
    assert_int_equal(wsr_policy_init(&policy, &config), WSR_OK);
    static const struct {
        const char *value;
        uint64_t delay_ns;
    } rows[] = {{"7", 7 * S}, {"Sun, 06 Nov 1994 08:49:46 GMT", 9 * S}, {"Sunday, 06-Nov-94 08:49:47 GMT", 10 * S},
                {"Sun Nov  6 08:49:48 1994", 11 * S}, {"21", 20 * S}, {"99999999999999999999", 20 * S},
                {"Fri, 31 Dec 9999 23:59:59 GMT", 20 * S}, {"soon", 0}, {"Sun, 06 Nov 1994 08:49:36 GMT", 0}};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t asked;
        (void)!wsr_retry_after((wsr_slice){(const uint8_t *)rows[i].value, strlen(rows[i].value)}, 784111777, &asked);
        const wsr_decision d = wsr_policy_lost(&policy, 1000 * S * i, WSR_CAUSE_HTTP_503, asked);
        expect_delay(&d, WSR_VERDICT_RETRY, rows[i].delay_ns, rows[i].value);
    }
}

/* --- Asking, overriding, records ---------------------------------------------------------------------------------------------- */

static void test_allow(void **state)
{
    (void)state;
    wsr_policy policy = policy_of(WSR_PROFILE_DEFAULT, 1, all_ones);
    assert_int_equal(wsr_policy_allow(&policy, 0).verdict, WSR_VERDICT_STOP); /* nothing was asked */
    wsr_decision d = wsr_policy_lost(&policy, 0, WSR_CAUSE_4XXX, 0);
    assert_int_equal(d.verdict, WSR_VERDICT_ASK);
    assert_int_equal(d.attempt, 0);
    d = wsr_policy_allow(&policy, 0);
    expect_delay(&d, WSR_VERDICT_RETRY, 5 * S, "allowed");
    assert_int_equal(d.attempt, 1);
    assert_int_equal(wsr_policy_allow(&policy, 0).verdict, WSR_VERDICT_STOP); /* a yes is for one */
    assert_int_equal(wsr_policy_lost(&policy, 0, WSR_CAUSE_4XXX, 0).verdict, WSR_VERDICT_ASK);
    (void)!wsr_policy_lost(&policy, 0, WSR_CAUSE_REFUSED, 0).verdict;
    assert_int_equal(wsr_policy_allow(&policy, 0).verdict, WSR_VERDICT_STOP); /* the question is no longer open */
}

static void test_every_row_can_be_overridden(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WSR_CAUSES; i++) {
        const wsr_policy_override overrides[] = {
            {(wsr_cause)i, {.retry = WSR_RETRY_BACKOFF, .jitter = WSR_JITTER_FULL, .first_min_ns = 123, .first_max_ns = 456}},
            {(wsr_cause)i, {.retry = WSR_RETRY_NEVER}}, /* the first one counts */
        };
        wsr_policy_config config = config_of(WSR_PROFILE_DEFAULT, 1, all_ones);
        config.overrides = overrides;
        config.overrides_n = 2;
        wsr_policy policy;
        assert_int_equal(wsr_policy_init(&policy, &config), WSR_OK);
        const wsr_decision d = wsr_policy_lost(&policy, 0, (wsr_cause)i, 0);
        expect_delay(&d, WSR_VERDICT_RETRY, 456, "overridden");
        const wsr_cause other = i == WSR_CAUSE_DNS ? WSR_CAUSE_REFUSED : WSR_CAUSE_DNS;
        assert_int_equal(wsr_policy_lost(&policy, 0, other, 0).delay_ns, 2 * BASE);
    }
}

static void test_records_know_whether_it_was_open(void **state)
{
    (void)state;
    const wsr_close_record record = {.by = WSR_BY_NOBODY, .cause = WSR_ERESET, .code = 1006};
    wsr_policy policy = policy_of(WSR_PROFILE_DEFAULT, 1, all_zeros);
    assert_int_equal(wsr_policy_lost_record(&policy, 0, &record, 0).cause, WSR_CAUSE_EOF_BEFORE_ANSWER);
    wsr_policy_opened(&policy, 1);
    assert_int_equal(wsr_policy_lost_record(&policy, 2, &record, 0).cause, WSR_CAUSE_RESET);
    assert_int_equal(wsr_policy_lost_record(&policy, 3, &record, 0).cause, WSR_CAUSE_EOF_BEFORE_ANSWER);
}

/* --- Distribution ------------------------------------------------------------------------------------------------------------- */

enum { DRAWS = 50000, CELLS = 50 };

/* Chi-square over equal cells of [low, high]: with 49 degrees of freedom above 94.6 once in 10,000 seeds. The seed is fixed. */
static void expect_uniform(wsr_cause cause, unsigned losses, uint64_t low, uint64_t high)
{
    unsigned cells[CELLS] = {0};
    seed = 20260101 + cause;
    for (unsigned i = 0; i < DRAWS; i++) {
        wsr_policy policy = policy_of(WSR_PROFILE_DEFAULT, 1, mixed);
        wsr_decision d = {.delay_ns = 0};
        for (unsigned k = 0; k < losses; k++)
            d = wsr_policy_lost(&policy, 0, cause, 0);
        assert_in_range(d.delay_ns, low, high);
        cells[(d.delay_ns - low) * CELLS / (high - low + 1)]++;
    }
    double chi = 0;
    for (unsigned i = 0; i < CELLS; i++) {
        const double off = cells[i] - (double)DRAWS / CELLS;
        chi += off * off / ((double)DRAWS / CELLS);
    }
    if (chi > 94.6)
        fail_msg("%s: chi-square %.1f over %d cells", wsr_cause_lookup(cause)->name, chi, CELLS);
}

static void test_distribution(void **state)
{
    (void)state;
    expect_uniform(WSR_CAUSE_1001, 1, 0, 5 * S);
    expect_uniform(WSR_CAUSE_1012, 1, 5 * S, 30 * S);
    expect_uniform(WSR_CAUSE_1013, 1, 10 * S, 20 * S);
    expect_uniform(WSR_CAUSE_ABNORMAL, 1, 0, 5 * S);
    expect_uniform(WSR_CAUSE_REFUSED, 1, 0, BASE);
    expect_uniform(WSR_CAUSE_REFUSED, 4, 0, 8 * BASE);
    expect_uniform(WSR_CAUSE_REFUSED, 20, 0, CAP);
    expect_uniform(WSR_CAUSE_1011, 3, S, S + 4 * BASE);
}

/* Small ranges show whether both ends are as likely as the middle: U(0, 2) in thirds. */
static void test_ends_are_included(void **state)
{
    (void)state;
    const wsr_policy_override override = {WSR_CAUSE_1001, {.retry = WSR_RETRY_BACKOFF, .first_max_ns = 2}};
    unsigned counts[3] = {0};
    seed = 7;
    for (unsigned i = 0; i < 30000; i++) {
        wsr_policy_config config = config_of(WSR_PROFILE_DEFAULT, 1, mixed);
        config.overrides = &override;
        config.overrides_n = 1;
        wsr_policy policy;
        assert_int_equal(wsr_policy_init(&policy, &config), WSR_OK);
        counts[wsr_policy_lost(&policy, 0, WSR_CAUSE_1001, 0).delay_ns]++;
    }
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(counts[i], 10000 - 400, 10000 + 400); /* five standard deviations */
}

/* --- Configuration ------------------------------------------------------------------------------------------------------------ */

static int init_with(wsr_policy_config config)
{
    wsr_policy policy;
    return wsr_policy_init(&policy, &config);
}

static void test_bad_configurations(void **state)
{
    (void)state;
    const wsr_policy_config good = config_of(WSR_PROFILE_DEFAULT, WSR_POLICY_ENDPOINTS_MAX, all_zeros);
    assert_int_equal(init_with(good), WSR_OK);
    wsr_policy_config c = good;
    c.random = NULL;
    assert_int_equal(init_with(c), WSR_ECONFIG);
    c = good, c.endpoints = WSR_POLICY_ENDPOINTS_MAX + 1;
    assert_int_equal(init_with(c), WSR_ECONFIG);
    c = good, c.cap_ns = BASE - 1;
    assert_int_equal(init_with(c), WSR_ECONFIG);
    c = good, c.cap_ns = UINT64_MAX;
    assert_int_equal(init_with(c), WSR_ECONFIG);
    c = good, c.elapsed_max_ns = UINT64_MAX;
    assert_int_equal(init_with(c), WSR_OK);
    c = good, c.elapsed_max_ns = UINT64_MAX - 1;
    assert_int_equal(init_with(c), WSR_ECONFIG);
    c = good, c.stable_ns = UINT64_MAX;
    assert_int_equal(init_with(c), WSR_ECONFIG);
    c = good, c.profile = (wsr_profile)WSR_PROFILES;
    assert_int_equal(init_with(c), WSR_ECONFIG);
    c = good, c.overrides_n = 1;
    assert_int_equal(init_with(c), WSR_ECONFIG);
    static const wsr_policy_override bad[] = {
        {(wsr_cause)WSR_CAUSES, {.retry = WSR_RETRY_NEVER}},
        {WSR_CAUSE_1001, {.first_min_ns = 2, .first_max_ns = 1}},
        {WSR_CAUSE_1001, {.cap_factor = 17}},
        {WSR_CAUSE_1001, {.floor_ns = UINT64_MAX}},
    };
    for (unsigned i = 0; i < 4; i++) {
        c = good, c.overrides = &bad[i], c.overrides_n = 1;
        assert_int_equal(init_with(c), WSR_ECONFIG);
    }
    c = good, c.size = 8;
    assert_int_equal(init_with(c), WSR_ECONFIG);
    struct {
        wsr_policy_config config;
        uint64_t tail;
    } newer = {good, 0};
    wsr_policy policy;
    newer.config.size = sizeof newer;
    assert_int_equal(wsr_policy_init(&policy, &newer.config), WSR_OK);
    newer.tail = 1;
    assert_int_equal(wsr_policy_init(&policy, &newer.config), WSR_ECONFIG);
}

/* The widest of everything: no sum or product may wrap around (asan's build also runs ubsan). */
static void test_extremes(void **state)
{
    (void)state;
    const uint64_t ten_years = UINT64_C(10) * 366 * 86400 * S;
    const wsr_policy_override override = {
        WSR_CAUSE_1001, {.retry = WSR_RETRY_BACKOFF, .jitter = WSR_JITTER_DECORRELATED, .cap_factor = 16, .retry_after = true}};
    wsr_policy_config config = config_of(WSR_PROFILE_DEFAULT, 1, all_ones);
    config.base_ns = config.cap_ns = config.retry_after_max_ns = ten_years;
    config.overrides = &override;
    config.overrides_n = 1;
    wsr_policy policy;
    assert_int_equal(wsr_policy_init(&policy, &config), WSR_OK);
    uint64_t wanted = ten_years;
    for (unsigned i = 0; i < 5; i++) {
        wanted = 3 * wanted < 16 * ten_years ? 3 * wanted : 16 * ten_years;
        wanted += wanted / 5;
        const wsr_decision d = wsr_policy_lost(&policy, 0, WSR_CAUSE_1001, UINT64_MAX);
        expect_delay(&d, WSR_VERDICT_RETRY, wanted, "extreme");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_is_whole),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_first_delays),
        cmocka_unit_test(test_later_delays),
        cmocka_unit_test(test_limited_once_and_redirects_stop),
        cmocka_unit_test(test_kinds_count_together),
        cmocka_unit_test(test_reset_only_after_stability),
        cmocka_unit_test(test_reset_forgets_the_previous_delay),
        cmocka_unit_test(test_stability_belongs_to_one_connection),
        cmocka_unit_test(test_latest_cause_chooses),
        cmocka_unit_test(test_limit_on_attempts),
        cmocka_unit_test(test_limit_on_elapsed_time),
        cmocka_unit_test(test_persistent),
        cmocka_unit_test(test_fast),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_overloaded_endpoint_is_left_alone),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_retry_after_header_and_cap),
        cmocka_unit_test(test_allow),
        cmocka_unit_test(test_every_row_can_be_overridden),
        cmocka_unit_test(test_records_know_whether_it_was_open),
        cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_ends_are_included),
        cmocka_unit_test(test_bad_configurations),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
