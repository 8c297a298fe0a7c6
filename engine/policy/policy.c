/*
 * policy/policy.c - the reconnect policy: from a cause to a decision. What the causes are and what each row says is causes.c's.
 *
 * An outage begins with the first loss, and ends only when a connection has stayed open for stable_ns: until then attempts are
 * counted on, and delays grow. Delays are drawn in whole nanoseconds from ranges whose ends are both possible.
 */
#include <assert.h>
#include <string.h>

#include "policy/causes.h"

#define TIME_MAX_NS (UINT64_C(10) * 366 * 86400 * 1000000000) /* ten years: three times sixteen of them fit into 64 bits */

enum { LIMITED_DEFAULT = 5, ONCE_DEFAULT = 1, CAP_FACTOR_MAX = 16 };

/* --- Configuration ---------------------------------------------------------------------------------------------------------- */

/* Copies what the caller's header knew; what it did not know is zero. A larger one must not say anything we do not know. */
static bool take_config(wsr_policy_config *to, const wsr_policy_config *from)
{
    memset(to, 0, sizeof *to);
    if (from->size < offsetof(wsr_policy_config, profile))
        return false;
    const uint8_t *bytes = (const uint8_t *)from;
    for (size_t i = sizeof *to; i < from->size; i++) {
        if (bytes[i] != 0)
            return false;
    }
    memcpy(to, from, from->size < sizeof *to ? from->size : sizeof *to);
    return true;
}

static void complete(uint64_t *time_ns, uint64_t otherwise_ns)
{
    if (*time_ns == 0)
        *time_ns = otherwise_ns;
}

static bool is_row(const wsr_policy_override *o)
{
    const wsr_policy_row *row = &o->row;
    return (unsigned)o->cause < WSR_CAUSES && (unsigned)row->retry <= WSR_RETRY_ASK && (unsigned)row->jitter <= WSR_JITTER_DECORRELATED &&
           row->cap_factor <= CAP_FACTOR_MAX && row->first_min_ns <= row->first_max_ns && row->first_max_ns <= TIME_MAX_NS &&
           row->floor_ns <= TIME_MAX_NS && row->other_max_ns <= TIME_MAX_NS && row->stable_max_ns <= TIME_MAX_NS;
}

int wsr_policy_init(wsr_policy *policy, const wsr_policy_config *config)
{
    memset(policy, 0, sizeof *policy);
    wsr_policy_config *c = &policy->config;
    if (!take_config(c, config))
        return WSR_ECONFIG;
    if (c->endpoints == 0)
        c->endpoints = 1;
    if (c->attempts_max == 0)
        c->attempts_max = UINT32_MAX;
    complete(&c->elapsed_max_ns, UINT64_MAX);
    complete(&c->base_ns, WSR_POLICY_BASE_NS);
    complete(&c->cap_ns, WSR_POLICY_CAP_NS);
    complete(&c->stable_ns, WSR_POLICY_STABLE_NS);
    complete(&c->retry_after_max_ns, WSR_POLICY_RETRY_AFTER_NS);
    if (c->random == NULL || (unsigned)c->profile >= WSR_PROFILES || c->endpoints > WSR_POLICY_ENDPOINTS_MAX || c->cap_ns < c->base_ns ||
        c->cap_ns > TIME_MAX_NS || c->stable_ns > TIME_MAX_NS || c->retry_after_max_ns > TIME_MAX_NS ||
        (c->elapsed_max_ns > TIME_MAX_NS && c->elapsed_max_ns != UINT64_MAX) || (c->overrides_n > 0 && c->overrides == NULL))
        return WSR_ECONFIG;
    for (size_t i = 0; i < c->overrides_n; i++) {
        if (!is_row(&c->overrides[i]))
            return WSR_ECONFIG;
    }
    return WSR_OK;
}

static const wsr_policy_row *row_of(const wsr_policy *policy, wsr_cause cause)
{
    for (size_t i = 0; i < policy->config.overrides_n; i++) {
        if (policy->config.overrides[i].cause == cause)
            return &policy->config.overrides[i].row;
    }
    return wsr_policy_default(policy->config.profile, cause);
}

/* --- Delays ----------------------------------------------------------------------------------------------------------------- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The upper half of a * b. */
static uint64_t multiply_high(uint64_t a, uint64_t b)
{
    const uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    const uint64_t middle = a1 * b0 + (a0 * b0 >> 32), rest = (uint32_t)middle + a0 * b1;
    return a1 * b1 + (middle >> 32) + (rest >> 32);
}

/*
 * U(low, high), both included: the random number is taken for a fraction of 2^64, so that 0 gives low and the greatest one high.
 * No value is likelier than another by more than one part in 2^64 / (high - low), which is nothing for times.
 */
static uint64_t uniform(const wsr_policy *policy, uint64_t low, uint64_t high)
{
    return low + multiply_high(policy->config.random(policy->config.random_context), high - low + 1);
}

static uint64_t jitter(const wsr_policy *policy, const wsr_policy_row *row, uint64_t floor_ns)
{
    const wsr_policy_config *c = &policy->config;
    const uint64_t cap = c->cap_ns * (row->cap_factor > 0 ? row->cap_factor : 1);
    switch (row->jitter) {
    case WSR_JITTER_FULL: {
        uint64_t range = c->base_ns;
        for (uint32_t n = policy->attempts_n; n > 0 && range < cap; n--)
            range *= 2;
        return floor_ns + uniform(policy, 0, least(cap, range));
    }
    case WSR_JITTER_DECORRELATED: {
        const uint64_t low = most(c->base_ns, floor_ns);
        return least(most(cap, low), uniform(policy, low, 3 * most(policy->previous_ns, low)));
    }
    default:
        return floor_ns;
    }
}

/* How long to wait, but for what the server asked for. moved: to another endpoint than the lost one. */
static uint64_t draw_delay(const wsr_policy *policy, const wsr_policy_row *row, bool moved)
{
    const bool first = policy->attempts_n == 0 && row->first_max_ns > 0;
    if (first && policy->stable && row->stable_max_ns > 0)
        return uniform(policy, 0, row->stable_max_ns);
    if (first && moved && row->other_max_ns > 0)
        return uniform(policy, 0, row->other_max_ns);
    if (first)
        return uniform(policy, row->first_min_ns, row->first_max_ns);
    return jitter(policy, row, moved ? 0 : row->floor_ns);
}

/* max(Retry-After, delay), and up to a fifth of that more: those who were told the same second do not come in the same one. */
static uint64_t obey(const wsr_policy *policy, uint64_t delay_ns, uint64_t retry_after_ns)
{
    const uint64_t least_ns = most(delay_ns, least(retry_after_ns, policy->config.retry_after_max_ns));
    return least_ns + uniform(policy, 0, least_ns / 5);
}

/* --- Endpoints -------------------------------------------------------------------------------------------------------------- */

/*
 * The next one in turn that did not ask to be left alone; if all did, the one whose time is up first. The lost one comes last,
 * and may be the answer.
 */
static unsigned next_endpoint(const wsr_policy *policy, uint64_t now_ns)
{
    const unsigned n = policy->config.endpoints;
    unsigned best = policy->endpoint;
    for (unsigned k = 1; k < n; k++) {
        const unsigned i = (policy->endpoint + k) % n;
        if (policy->not_before_ns[i] <= now_ns)
            return i;
        if (policy->not_before_ns[i] < policy->not_before_ns[best])
            best = i;
    }
    return best;
}

/* Where to go, and when: writes decision->endpoint and delay_ns. */
static void choose(wsr_policy *policy, const wsr_policy_row *row, uint64_t now_ns, uint64_t retry_after_ns, wsr_decision *decision)
{
    uint64_t delay_ns = 0;
    const bool leaves = row->rotate && policy->config.endpoints > 1;
    const bool barred = leaves && row->floor_ns > 0;
    if (barred) { /* drawn now, whether it is waited for here or somebody comes back here later */
        delay_ns = draw_delay(policy, row, false);
        policy->not_before_ns[policy->endpoint] = now_ns + delay_ns;
    }
    decision->endpoint = leaves ? next_endpoint(policy, now_ns) : policy->endpoint;
    const bool moved = decision->endpoint != policy->endpoint;
    if (!barred || moved)
        delay_ns = draw_delay(policy, row, moved);
    if (row->retry_after) {
        delay_ns = obey(policy, delay_ns, retry_after_ns);
        if (retry_after_ns > 0)
            policy->not_before_ns[policy->endpoint] = now_ns + delay_ns;
    }
    const uint64_t free_ns = policy->not_before_ns[decision->endpoint];
    if (free_ns > now_ns)
        delay_ns = most(delay_ns, free_ns - now_ns);
    decision->delay_ns = delay_ns;
}

/* --- Decisions -------------------------------------------------------------------------------------------------------------- */

/* The counter that limits rows of this kind, NULL for those without a limit of their own. */
static uint32_t *counter_of(wsr_policy *policy, const wsr_policy_row *row)
{
    if (row->follow)
        return &policy->follow_n;
    if (row->retry == WSR_RETRY_LIMITED)
        return &policy->limited_n;
    return row->retry == WSR_RETRY_ONCE ? &policy->once_n : NULL;
}

static uint32_t limit_of(const wsr_policy_row *row)
{
    if (row->attempts_max > 0)
        return row->attempts_max;
    return row->retry == WSR_RETRY_ONCE ? ONCE_DEFAULT : LIMITED_DEFAULT;
}

static wsr_verdict verdict_of(const wsr_policy_row *row)
{
    if (row->follow)
        return WSR_VERDICT_FOLLOW;
    return row->retry == WSR_RETRY_ONCE ? WSR_VERDICT_RENEW : WSR_VERDICT_RETRY;
}

static const char *exhausted_text(const wsr_policy_row *row)
{
    if (row->follow)
        return "too many redirects";
    return row->retry == WSR_RETRY_ONCE ? "credentials were refused again" : "as many attempts as this kind of cause allows have failed";
}

static wsr_decision stop(const wsr_policy *policy, wsr_decision decision, const char *limit)
{
    decision.verdict = WSR_VERDICT_STOP;
    decision.endpoint = policy->endpoint;
    decision.delay_ns = 0;
    if (limit != NULL) {
        decision.exhausted = true;
        decision.why = limit;
    }
    return decision;
}

/* What the latest cause says. allowed: the application has said yes to a row that asks it. */
static wsr_decision decide(wsr_policy *policy, uint64_t now_ns, uint64_t retry_after_ns, bool allowed)
{
    const wsr_cause cause = (wsr_cause)policy->cause;
    const wsr_policy_row *row = row_of(policy, cause);
    wsr_decision decision = {
        .cause = cause, .endpoint = policy->endpoint, .attempt = policy->attempts_n, .why = wsr_cause_lookup(cause)->text};
    if (row->retry == WSR_RETRY_NEVER)
        return stop(policy, decision, NULL);
    if (row->retry == WSR_RETRY_ASK && !allowed) {
        policy->asked = true;
        decision.verdict = WSR_VERDICT_ASK;
        return decision;
    }
    uint32_t *counter = counter_of(policy, row);
    if (counter != NULL && *counter >= limit_of(row))
        return stop(policy, decision, exhausted_text(row));
    if (policy->attempts_n >= policy->config.attempts_max)
        return stop(policy, decision, "the limit on attempts is reached");
    choose(policy, row, now_ns, retry_after_ns, &decision);
    const uint64_t elapsed_ns = now_ns > policy->outage_ns ? now_ns - policy->outage_ns : 0;
    if (elapsed_ns > policy->config.elapsed_max_ns || decision.delay_ns > policy->config.elapsed_max_ns - elapsed_ns)
        return stop(policy, decision, "the limit on elapsed time comes before the next attempt");

    if (counter != NULL)
        ++*counter;
    if (policy->attempts_n < UINT32_MAX)
        policy->attempts_n++;
    policy->previous_ns = decision.delay_ns;
    policy->endpoint = (uint16_t)decision.endpoint;
    decision.attempt = policy->attempts_n;
    decision.verdict = verdict_of(row);
    return decision;
}

void wsr_policy_opened(wsr_policy *policy, uint64_t now_ns)
{
    policy->open = true;
    policy->opened_ns = now_ns;
}

bool wsr_policy_is_stable(const wsr_policy *policy, uint64_t now_ns)
{
    return policy->open && now_ns >= policy->opened_ns && now_ns - policy->opened_ns >= policy->config.stable_ns;
}

wsr_decision wsr_policy_lost(wsr_policy *policy, uint64_t now_ns, wsr_cause cause, uint64_t retry_after_ns)
{
    assert((unsigned)cause < WSR_CAUSES);
    policy->stable = wsr_policy_is_stable(policy, now_ns);
    if (policy->stable) { /* the outage before this connection is over */
        policy->attempts_n = policy->limited_n = policy->once_n = policy->follow_n = policy->lost_n = 0;
        policy->previous_ns = 0;
    }
    if (policy->lost_n == 0)
        policy->outage_ns = now_ns;
    if (policy->lost_n < UINT32_MAX)
        policy->lost_n++;
    policy->open = policy->asked = false;
    policy->cause = (uint8_t)cause;
    return decide(policy, now_ns, retry_after_ns, false);
}

wsr_decision wsr_policy_lost_record(wsr_policy *policy, uint64_t now_ns, const wsr_close_record *record, uint64_t retry_after_ns)
{
    return wsr_policy_lost(policy, now_ns, wsr_cause_of_record(record, policy->open), retry_after_ns);
}

wsr_decision wsr_policy_allow(wsr_policy *policy, uint64_t now_ns)
{
    if (!policy->asked) {
        const wsr_decision nothing = {.cause = (wsr_cause)policy->cause, .attempt = policy->attempts_n, .why = "nothing was asked"};
        return stop(policy, nothing, NULL);
    }
    policy->asked = false;
    return decide(policy, now_ns, 0, true);
}
