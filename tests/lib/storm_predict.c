/*
 * tests/lib/storm_predict.c - see storm_predict.h.
 */
#include "lib/storm_predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storm_server.h"

static uint64_t mixed(void *context) /* splitmix64 */
{
    uint64_t z = *(uint64_t *)context += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

void storm_count(struct storm_counts *counts, uint32_t attempt, uint64_t at_ns)
{
    const uint64_t bucket = at_ns / STORM_BUCKET_NS;
    if (attempt == 0 || attempt > STORM_ORDERS)
        counts->later++;
    else if (bucket >= STORM_BUCKETS)
        counts->beyond[attempt - 1]++;
    else
        counts->at[attempt - 1][bucket]++;
}

void storm_late(struct storm_lateness *lateness, uint64_t due_ns, uint64_t late_ns)
{
    const uint64_t i = due_ns / STORM_LATE_NS;
    if (i < STORM_LATES) {
        lateness->sum_ns[i] += late_ns;
        lateness->n[i]++;
    }
}

/* When an attempt's outcome is known: later than it was due, by as much as others' of that time were. */
static uint64_t known_at(const struct storm_lateness *lateness, uint64_t due_ns)
{
    const uint64_t i = due_ns / STORM_LATE_NS;
    return i < STORM_LATES && lateness->n[i] > 0 ? due_ns + lateness->sum_ns[i] / lateness->n[i] : due_ns;
}

/* ---- virtual time ---- */

struct loss {
    uint64_t at_ns;
    unsigned client;
    wsr_cause cause;
};

/* A heap, the earliest first. */
struct agenda {
    struct loss *of;
    unsigned n;
};

static void put(struct agenda *agenda, struct loss loss)
{
    unsigned i = agenda->n++;
    for (; i > 0 && agenda->of[(i - 1) / 2].at_ns > loss.at_ns; i = (i - 1) / 2)
        agenda->of[i] = agenda->of[(i - 1) / 2];
    agenda->of[i] = loss;
}

static struct loss take(struct agenda *agenda)
{
    const struct loss first = agenda->of[0], last = agenda->of[--agenda->n];
    unsigned i = 0;
    for (unsigned child; (child = 2 * i + 1) < agenda->n; i = child) {
        if (child + 1 < agenda->n && agenda->of[child + 1].at_ns < agenda->of[child].at_ns)
            child++;
        if (agenda->of[child].at_ns >= last.at_ns)
            break;
        agenda->of[i] = agenda->of[child];
    }
    agenda->of[i] = last;
    return first;
}

static void run(struct storm_counts *counts, const struct storm_outage *outage, wsr_policy *policies, struct agenda *agenda, uint64_t *seed)
{
    const wsr_reconnect *from = outage->policy;
    wsr_policy_config config = WSR_POLICY_CONFIG_INIT;
    config.random = mixed;
    config.random_context = seed;
    config.profile = from->profile;
    config.base_ns = from->base_ns;
    config.cap_ns = from->cap_ns;
    config.overrides = from->overrides;
    config.overrides_n = from->overrides_n;
    wsr_bucket bucket;
    (void)!wsr_bucket_init(&bucket, outage->bucket_attempts, 0, outage->bucket_burst);
    agenda->n = 0;
    for (unsigned i = 0; i < outage->clients; i++) {
        (void)!wsr_policy_init(&policies[i], &config);
        wsr_policy_opened(&policies[i], 0);
        put(agenda, (struct loss){outage->lost_ns[i], i, WSR_CAUSE_1001});
    }
    while (agenda->n > 0) {
        const struct loss loss = take(agenda);
        const uint64_t retry_after = loss.cause == WSR_CAUSE_HTTP_503 ? STORM_RETRY_AFTER_S * UINT64_C(1000000000) : 0;
        const wsr_decision d = wsr_policy_lost(&policies[loss.client], loss.at_ns, loss.cause, retry_after);
        const uint64_t due_ns = loss.at_ns + d.delay_ns + wsr_bucket_take(&bucket, loss.at_ns);
        storm_count(counts, d.attempt, due_ns);
        const uint64_t known_ns = known_at(outage->lateness, due_ns);
        if (known_ns < outage->up_ns)
            put(agenda, (struct loss){known_ns, loss.client, WSR_CAUSE_REFUSED});
        else if (known_ns < outage->busy_until_ns)
            put(agenda, (struct loss){known_ns, loss.client, WSR_CAUSE_HTTP_503});
    }
}

void storm_predict(struct storm_counts *expected, const struct storm_outage *outage, unsigned times, uint64_t seed)
{
    static struct storm_counts sum;
    memset(&sum, 0, sizeof sum);
    wsr_policy *policies = calloc(outage->clients, sizeof *policies);
    struct agenda agenda = {calloc(outage->clients, sizeof *agenda.of), 0};
    if (policies == NULL || agenda.of == NULL)
        abort();
    for (unsigned i = 0; i < times; i++)
        run(&sum, outage, policies, &agenda, &seed);
    for (unsigned k = 0; k < STORM_ORDERS; k++) {
        for (unsigned b = 0; b < STORM_BUCKETS; b++)
            expected->at[k][b] += sum.at[k][b] / times;
        expected->beyond[k] += sum.beyond[k] / times;
    }
    expected->later += sum.later / times;
    free(agenda.of);
    free(policies);
}

/* ---- comparing ---- */

static double square_over(double seen, double wanted)
{
    return (seen - wanted) * (seen - wanted) / wanted;
}

unsigned storm_chi_square(const struct storm_counts *seen, const struct storm_counts *expected, unsigned order, double draws, double *chi, double *limit)
{
    enum { LEAST = 10 };
    double seen_rest = draws, wanted_rest = draws; /* those without an attempt of this order, and those in thin buckets */
    unsigned cells = 0;
    *chi = 0;
    for (unsigned b = 0; b < STORM_BUCKETS; b++) {
        const double wanted = expected->at[order][b];
        if (wanted < LEAST)
            continue;
        *chi += square_over(seen->at[order][b], wanted);
        seen_rest -= seen->at[order][b];
        wanted_rest -= wanted;
        cells++;
    }
    if (wanted_rest >= LEAST) {
        *chi += square_over(seen_rest, wanted_rest);
        cells++;
    } else if (seen_rest > wanted_rest + 5 * LEAST) { /* where next to nobody was expected */
        *chi = INFINITY;
    }
    if (cells < 3)
        return 0;
    const double n = cells - 1, a = 2 / (9 * n); /* Wilson and Hilferty's approximation */
    *limit = n * pow(1 - a + 3.719 * sqrt(a), 3);
    return cells - 1;
}
