/*
 * test_policy_storm.c - a server with 100,000 clients is drained with 1001: when do they come back? In virtual time, against what
 * the table predicts, in buckets of 100 ms; with and without a token bucket. It prints the counts it compares.
 *
 * The prediction shares nothing with the policy: it is the table's densities, convolved on a grid of a millisecond.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <wsring/policy.h>

#define MS UINT64_C(1000000)
#define S (1000 * MS)

enum {
    CLIENTS = 100000,
    DOWN_MS = 2000,     /* the server is back after this */
    BUCKET_MS = 100,
    BUCKETS = 330,      /* 33 s: no attempt is later than the 2 s and a last backoff of 30 s */
    SHOWN = 60,         /* of them; what comes later is told in a number */
    GRID = BUCKETS * BUCKET_MS,
    ORDERS = 6          /* first attempts, second attempts ...; later ones are a handful */
};

static uint64_t mixed(void *context) /* splitmix64 */
{
    uint64_t z = *(uint64_t *)context += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* --- What happens ------------------------------------------------------------------------------------------------------------- */

struct storm {
    unsigned counts[ORDERS][BUCKETS]; /* attempts by order and time */
    unsigned all[BUCKETS];
    unsigned attempts, back, most_of_one;
    uint64_t last_ns;
};

/* One client from its 1001 at time 0 to its connection; refused as long as the server is down. */
static void live(struct storm *storm, uint64_t *seed, uint64_t *first_ns)
{
    wsr_policy_config config = WSR_POLICY_CONFIG_INIT;
    config.random = mixed;
    config.random_context = seed;
    wsr_policy policy;
    assert_int_equal(wsr_policy_init(&policy, &config), WSR_OK);
    wsr_policy_opened(&policy, 0);
    const uint64_t start = 3600 * S; /* it had been connected for an hour */
    uint64_t now = start;
    wsr_cause cause = WSR_CAUSE_1001;
    for (unsigned order = 0;; order++) {
        const wsr_decision d = wsr_policy_lost(&policy, now, cause, 0);
        assert_int_equal(d.verdict, WSR_VERDICT_RETRY);
        assert_int_equal(d.attempt, order + 1);
        now += d.delay_ns;
        if (order == 0)
            *first_ns = now - start;
        const uint64_t bucket = (now - start) / (BUCKET_MS * MS);
        assert_true(bucket < BUCKETS);
        storm->all[bucket]++;
        if (order < ORDERS)
            storm->counts[order][bucket]++;
        storm->attempts++;
        storm->most_of_one = order + 1 > storm->most_of_one ? order + 1 : storm->most_of_one;
        if (now - start >= DOWN_MS * MS) {
            wsr_policy_opened(&policy, now);
            storm->back++;
            storm->last_ns = now - start > storm->last_ns ? now - start : storm->last_ns;
            return;
        }
        cause = WSR_CAUSE_REFUSED;
    }
}

/* --- What was predicted --------------------------------------------------------------------------------------------------------- */

/*
 * density[k][ms]: the share of clients whose attempt k+1 falls into that millisecond. The first is U(0, 5 s); each that falls
 * into the time the server is down is followed by one U(0, 250 ms * 2^k) later, for the refused row counts the attempts made.
 */
static double density[ORDERS][GRID];

static void predict(void)
{
    memset(density, 0, sizeof density);
    for (unsigned t = 0; t < 5000; t++)
        density[0][t] = 1.0 / 5000;
    for (unsigned k = 1; k < ORDERS; k++) {
        const unsigned width = 250u << k;
        for (unsigned t = 0; t < DOWN_MS; t++) {
            /* Both ends lie anywhere in their millisecond: the first and the last of width + 1 cells get a half. */
            const double share = density[k - 1][t] / width;
            for (unsigned w = 0; w <= width && t + w < GRID; w++)
                density[k][t + w] += w == 0 || w == width ? share / 2 : share;
        }
    }
}

static double predicted(unsigned k, unsigned bucket)
{
    double sum = 0;
    for (unsigned t = bucket * BUCKET_MS; t < (bucket + 1) * BUCKET_MS; t++)
        sum += density[k][t];
    return sum * CLIENTS;
}

static double square_over(double seen, double wanted)
{
    return (seen - wanted) * (seen - wanted) / wanted;
}

/*
 * Chi-square of the attempts of one order. A client has one of them at most, so the counts and the number of those without are
 * one multinomial draw. Buckets with less than five expected are taken together. Returns the degrees of freedom.
 */
static unsigned chi_square(const struct storm *storm, unsigned k, double *chi)
{
    double rest_seen = CLIENTS, rest_wanted = CLIENTS;
    unsigned cells = 0;
    *chi = 0;
    for (unsigned b = 0; b < BUCKETS; b++) {
        const double wanted = predicted(k, b);
        if (wanted < 5)
            continue;
        *chi += square_over(storm->counts[k][b], wanted);
        rest_seen -= storm->counts[k][b];
        rest_wanted -= wanted;
        cells++;
    }
    if (rest_wanted >= 5) {
        *chi += square_over(rest_seen, rest_wanted);
        cells++;
    } else if (rest_seen > rest_wanted + 20) { /* where next to nobody was expected */
        *chi = INFINITY;
    }
    return cells - 1;
}

/* Above this once in 10,000 seeds (Wilson and Hilferty's approximation); the seed is fixed. */
static double chi_limit(unsigned degrees)
{
    const double n = degrees, a = 2 / (9 * n);
    return n * pow(1 - a + 3.719 * sqrt(a), 3);
}

static void print_counts(const char *what, const unsigned *counts, unsigned n)
{
    printf("%s, in each 100 ms:", what);
    for (unsigned b = 0; b < n; b++)
        printf("%s%6u", b % 10 == 0 ? "\n  " : "", counts[b]);
    printf("\n");
}

static struct storm storm;
static uint64_t first_ns[CLIENTS];

static int run_storm(void **state)
{
    (void)state;
    uint64_t seed = 1001;
    memset(&storm, 0, sizeof storm);
    for (unsigned i = 0; i < CLIENTS; i++)
        live(&storm, &seed, &first_ns[i]);
    predict();
    return 0;
}

static void test_attempts_follow_the_prediction(void **state)
{
    (void)state;
    assert_int_equal(storm.back, CLIENTS);
    print_counts("100,000 clients after 1001, server down for 2 s: attempts", storm.all, SHOWN);
    printf("predicted:");
    double later = 0;
    unsigned later_seen = 0;
    for (unsigned b = 0; b < BUCKETS; b++) {
        double sum = 0;
        for (unsigned k = 0; k < ORDERS; k++)
            sum += predicted(k, b);
        if (b < SHOWN)
            printf("%s%6.0f", b % 10 == 0 ? "\n  " : "", sum);
        later += b < SHOWN ? 0 : sum;
        later_seen += b < SHOWN ? 0 : storm.all[b];
    }
    printf("\nlater: %u, predicted %.0f\n", later_seen, later);
    printf("%u attempts, at most %u of one client; the last is back after %.3f s\n", storm.attempts, storm.most_of_one,
           (double)storm.last_ns / 1e9);
    unsigned tested = 0;
    for (unsigned k = 0; k < ORDERS; k++) {
        double chi;
        const unsigned degrees = chi_square(&storm, k, &chi);
        printf("attempt %u: chi-square %.1f, %u degrees of freedom, limit %.1f\n", k + 1, chi, degrees, chi_limit(degrees));
        assert_true(chi < chi_limit(degrees));
        tested += degrees > 5;
    }
    assert_true(tested >= 4);
}

/* The check can fail: the same attempts are not what another first range, or a herd, would give. */
static void test_a_wrong_prediction_is_refused(void **state)
{
    (void)state;
    double chi;
    for (unsigned t = 0; t < 5000; t++)
        density[0][t] = t < 2500 ? 1.05 / 5000 : 0.95 / 5000; /* five in a hundred too early */
    const unsigned degrees = chi_square(&storm, 0, &chi);
    assert_true(chi > chi_limit(degrees));
    predict();
    struct storm herd = storm;
    herd.counts[0][0] += 500; /* of 2,000 */
    herd.counts[0][49] -= 500;
    assert_true(chi_square(&herd, 0, &chi) == degrees && chi > chi_limit(degrees));
}

static int by_time(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/*
 * One process with all the clients, and a bucket of 10,000 attempts a second, burst 200, for a server that is back at once: they
 * want 20,000 a second for 5 s, so the bucket is empty from the start, and its rate is what the server sees. Exact.
 */
static void test_bucket_flattens_the_storm(void **state)
{
    (void)state;
    enum { RATE = 10000, BURST = 200 };
    static uint64_t starts[CLIENTS];
    static unsigned without[BUCKETS], with[BUCKETS];
    memcpy(starts, first_ns, sizeof starts);
    qsort(starts, CLIENTS, sizeof starts[0], by_time);
    wsr_bucket bucket;
    assert_int_equal(wsr_bucket_init(&bucket, RATE, S, BURST), WSR_OK);
    uint64_t before = 0, wait_max = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        const uint64_t due = starts[i], wait = wsr_bucket_take(&bucket, due);
        without[due / (BUCKET_MS * MS)]++;
        starts[i] = due + wait;
        assert_true(starts[i] >= before); /* first come, first served */
        before = starts[i];
        wait_max = wait > wait_max ? wait : wait_max;
        assert_true(starts[i] < BUCKETS * BUCKET_MS * MS);
        with[starts[i] / (BUCKET_MS * MS)]++;
    }
    print_counts("the server back at once, no bucket: attempts", without, 50);
    print_counts("... and a bucket of 10,000 a second, burst 200", with, 101);
    printf("the longest wait for a token %.3f s, the last attempt at %.3f s\n", (double)wait_max / 1e9, (double)before / 1e9);

    unsigned total = 0;
    for (unsigned b = 0; b < BUCKETS; b++) {
        assert_true(with[b] <= RATE / 10 + BURST);
        total += with[b];
    }
    assert_int_equal(total, CLIENTS); /* an empty bucket delays, it never drops */
    for (unsigned b = 1; b < 99; b++)
        assert_int_equal(with[b], RATE / 10); /* to the attempt */
    for (unsigned i = 0; i + RATE + BURST < CLIENTS; i++)
        assert_true(starts[i + RATE + BURST] - starts[i] >= S);
    /* The bucket was full when the first came: from then on it gave (CLIENTS - BURST) tokens at its rate. */
    qsort(first_ns, CLIENTS, sizeof first_ns[0], by_time);
    assert_true(before <= first_ns[BURST] + (uint64_t)(CLIENTS - BURST) * (S / RATE));
    assert_true(before >= first_ns[0] + (uint64_t)(CLIENTS - BURST) * (S / RATE));
    for (unsigned b = 0; b < 50; b++)
        assert_in_range(without[b], 2000 - 220, 2000 + 220); /* five standard deviations of U(0, 5 s) */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attempts_follow_the_prediction),
        cmocka_unit_test(test_a_wrong_prediction_is_refused),
        cmocka_unit_test(test_bucket_flattens_the_storm),
    };
    return cmocka_run_group_tests(tests, run_storm, NULL);
}
