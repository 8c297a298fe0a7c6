/*
 * tests/test_wheel.c - the timer wheel against a naive list: same timers, same random calls, same expiries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/wheel.h"

#define TICK_NS (UINT64_C(1) << 20)
#define TIMERS 64u

static uint64_t random_state;

/* xorshift64*: the same run every time. */
static uint64_t next_random(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * UINT64_C(2685821657736338717);
}

struct naive {
    bool set[TIMERS];
    uint64_t at_ns[TIMERS];
};

static uint64_t naive_next(const struct naive *naive)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < TIMERS; i++) {
        if (naive->set[i] && naive->at_ns[i] < next)
            next = naive->at_ns[i];
    }
    return next;
}

static void expect_same(const struct naive *naive, struct wsr_timer *timers)
{
    for (unsigned i = 0; i < TIMERS; i++)
        assert_int_equal(wsr_timer_is_set(&timers[i]), naive->set[i]);
}

/* Takes off all that is due: none too early, none later than a tick. */
static void expire_all(struct wsr_wheel *wheel, struct naive *naive, struct wsr_timer *timers, uint64_t now_ns)
{
    struct wsr_timer *timer;
    while ((timer = wsr_wheel_expire(wheel, now_ns)) != NULL) {
        size_t i = (size_t)(timer - timers);
        assert_true(i < TIMERS && naive->set[i]);
        assert_true(naive->at_ns[i] <= now_ns);
        assert_false(wsr_timer_is_set(timer));
        naive->set[i] = false;
    }
    for (unsigned i = 0; i < TIMERS; i++)
        assert_false(naive->set[i] && now_ns - naive->at_ns[i] >= TICK_NS && now_ns >= naive->at_ns[i]);
}

/* next_ns never promises more sleep than there is, and says never only if nothing is set. */
static void expect_next(const struct wsr_wheel *wheel, const struct naive *naive)
{
    uint64_t next = naive_next(naive);
    if (next == UINT64_MAX)
        return; /* an emptied slot may be looked at once more */
    assert_true(wsr_wheel_next_ns(wheel) < UINT64_MAX);
    uint64_t at = wsr_wheel_next_ns(wheel);
    assert_true(at == 0 || at <= next + TICK_NS);
}

/* Distances of every size, so that every level is used: 2^0 to 2^range_bits. */
static uint64_t random_distance(unsigned range_bits)
{
    unsigned bits = (unsigned)(next_random() % (range_bits + 1));
    return bits == 0 ? 0 : next_random() >> (64 - bits);
}

static void run_differential(uint64_t seed, uint64_t now_ns, unsigned range_bits, unsigned steps)
{
    static struct wsr_wheel wheel;
    static struct wsr_timer timers[TIMERS];
    struct naive naive;
    random_state = seed;
    memset(timers, 0, sizeof timers);
    memset(&naive, 0, sizeof naive);
    wsr_wheel_init(&wheel, now_ns);
    for (unsigned step = 0; step < steps; step++) {
        unsigned i = (unsigned)(next_random() % TIMERS);
        switch (next_random() % 8) {
        case 0:
            wsr_wheel_unset(&wheel, &timers[i]);
            naive.set[i] = false;
            break;
        case 1:
            wsr_wheel_set(&wheel, &timers[i], UINT64_MAX);
            naive.set[i] = false;
            break;
        case 2: /* in the past: due at once */
            naive.at_ns[i] = now_ns - random_distance(30) % (now_ns + 1);
            naive.set[i] = true;
            wsr_wheel_set(&wheel, &timers[i], naive.at_ns[i]);
            break;
        case 3:
            now_ns += random_distance(range_bits);
            expire_all(&wheel, &naive, timers, now_ns);
            break;
        case 4: { /* exactly when it says: something is found within few looks */
            uint64_t at = wsr_wheel_next_ns(&wheel);
            if (at != UINT64_MAX && at > now_ns)
                now_ns = at;
            expire_all(&wheel, &naive, timers, now_ns);
            break;
        }
        default:
            naive.at_ns[i] = now_ns + random_distance(range_bits);
            naive.set[i] = true;
            wsr_wheel_set(&wheel, &timers[i], naive.at_ns[i]);
        }
        expect_same(&naive, timers);
        expect_next(&wheel, &naive);
    }
    now_ns += (UINT64_C(1) << range_bits) + TICK_NS;
    expire_all(&wheel, &naive, timers, now_ns);
    assert_int_equal(naive_next(&naive), UINT64_MAX);
}

static void same_as_a_list(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        run_differential(seed, 0, 30, 2000);
        run_differential(seed, UINT64_C(123456789123456789), 40, 2000);
        run_differential(seed, seed << 40, 52, 2000); /* 52 days */
    }
}

/* Steps of one level's width, where digits carry over. */
static void every_carry(void **unused)
{
    (void)unused;
    for (unsigned level = 0; level < WSR_WHEEL_LEVELS - 1; level++) {
        uint64_t width = TICK_NS << (6 * level);
        for (int early = -2; early <= 2; early++) {
            uint64_t start_ns = 63 * width + 5;
            uint64_t at_ns = 64 * width + (uint64_t)(int64_t)early;
            struct wsr_wheel wheel;
            struct wsr_timer timer = {0};
            wsr_wheel_init(&wheel, start_ns);
            wsr_wheel_set(&wheel, &timer, at_ns);
            assert_null(wsr_wheel_expire(&wheel, at_ns - TICK_NS));
            assert_null(wsr_wheel_expire(&wheel, at_ns - 1));
            assert_ptr_equal(wsr_wheel_expire(&wheel, at_ns + TICK_NS), &timer);
            assert_null(wsr_wheel_expire(&wheel, at_ns + TICK_NS));
        }
    }
}

/* A sleeper that follows next_ns wakes a bounded number of times: once a level at most, and then the timer is there. */
static void few_looks_to_a_far_timer(void **unused)
{
    (void)unused;
    for (unsigned bits = 20; bits < 63; bits++) {
        struct wsr_wheel wheel;
        struct wsr_timer timer = {0};
        uint64_t now_ns = 987654321;
        wsr_wheel_init(&wheel, now_ns);
        uint64_t at_ns = (UINT64_C(1) << bits) + (UINT64_C(1) << bits) / 3 + now_ns;
        wsr_wheel_set(&wheel, &timer, at_ns);
        unsigned looks = 0;
        while (wsr_wheel_expire(&wheel, now_ns) == NULL) {
            uint64_t next = wsr_wheel_next_ns(&wheel);
            assert_true(next > now_ns && next != UINT64_MAX);
            now_ns = next;
            assert_true(++looks <= WSR_WHEEL_LEVELS);
        }
        assert_true(now_ns >= at_ns && now_ns - at_ns <= TICK_NS);
        assert_int_equal(wsr_wheel_next_ns(&wheel), UINT64_MAX);
    }
}

/* The last ticks of the clock: saturated deadlines meant "never", and must not become "now" (next_ns was 0 for them). */
static void the_end_of_the_clock_is_never(void **unused)
{
    (void)unused;
    for (uint64_t before = 0; before < 4; before++) {
        struct wsr_wheel wheel;
        struct wsr_timer timer = {0}, near = {0};
        wsr_wheel_init(&wheel, 1000);
        wsr_wheel_set(&wheel, &timer, UINT64_MAX - before * (TICK_NS / 2) - (before != 0));
        uint64_t next = wsr_wheel_next_ns(&wheel);
        assert_true(next > UINT64_C(1) << 62);
        wsr_wheel_set(&wheel, &near, 5 * TICK_NS);
        assert_ptr_equal(wsr_wheel_expire(&wheel, 5 * TICK_NS), &near);
        assert_null(wsr_wheel_expire(&wheel, UINT64_C(1) << 62));
        wsr_wheel_unset(&wheel, &timer);
    }
}

static void one_timer_may_be_moved_and_unset_from_anywhere(void **unused)
{
    (void)unused;
    struct wsr_wheel wheel;
    struct wsr_timer timers[3] = {{0}};
    wsr_wheel_init(&wheel, 0);
    /* three in one slot: the middle, the first and the last of its list are taken out */
    for (unsigned out = 0; out < 3; out++) {
        for (unsigned i = 0; i < 3; i++)
            wsr_wheel_set(&wheel, &timers[i], 100 * TICK_NS);
        wsr_wheel_unset(&wheel, &timers[out]);
        wsr_wheel_unset(&wheel, &timers[out]); /* twice is as once */
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(wsr_timer_is_set(&timers[i]), i != out);
    }
    /* out of the list of those already due */
    for (unsigned i = 0; i < 3; i++)
        wsr_wheel_set(&wheel, &timers[i], 0);
    assert_int_equal(wsr_wheel_next_ns(&wheel), 0);
    wsr_wheel_set(&wheel, &timers[1], 7 * TICK_NS);
    assert_non_null(wsr_wheel_expire(&wheel, 0));
    assert_non_null(wsr_wheel_expire(&wheel, 0));
    assert_null(wsr_wheel_expire(&wheel, 0));
    assert_null(wsr_wheel_expire(&wheel, 6 * TICK_NS));
    assert_ptr_equal(wsr_wheel_expire(&wheel, 7 * TICK_NS), &timers[1]);
    /* the slots that were emptied cost one idle look each, then there is nothing */
    assert_true(wsr_wheel_next_ns(&wheel) >= 100 * TICK_NS >> 6);
    assert_null(wsr_wheel_expire(&wheel, 100 * TICK_NS));
    assert_int_equal(wsr_wheel_next_ns(&wheel), UINT64_MAX);
}

/* A timer set again from the loop that expires timers does not make that loop endless. */
static void a_periodic_timer(void **unused)
{
    (void)unused;
    struct wsr_wheel wheel;
    struct wsr_timer timer = {0};
    wsr_wheel_init(&wheel, 0);
    wsr_wheel_set(&wheel, &timer, 10 * TICK_NS);
    unsigned fired = 0;
    for (uint64_t now_ns = 0; now_ns < 1000 * TICK_NS; now_ns += TICK_NS) {
        struct wsr_timer *due;
        while ((due = wsr_wheel_expire(&wheel, now_ns)) != NULL) {
            fired++;
            wsr_wheel_set(&wheel, due, now_ns + 10 * TICK_NS);
        }
    }
    assert_int_equal(fired, 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_a_list),
        cmocka_unit_test(every_carry),
        cmocka_unit_test(few_looks_to_a_far_timer),
        cmocka_unit_test(the_end_of_the_clock_is_never),
        cmocka_unit_test(one_timer_may_be_moved_and_unset_from_anywhere),
        cmocka_unit_test(a_periodic_timer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
