/*
 * base/wheel.c - see wheel.h. Level l holds the timers whose tick first differs from the wheel's in base-64 digit l; when
 * the wheel's tick reaches a slot of a higher level, its timers move down (Varghese and Lauck, 1987, scheme 7).
 */
#include "base/wheel.h"

#include <string.h>

#define DIGIT_BITS 6u
#define DIGIT(tick, level) ((unsigned)((tick) >> ((level) * DIGIT_BITS)) & 63u)

void wsr_wheel_init(struct wsr_wheel *wheel, uint64_t now_ns)
{
    memset(wheel, 0, sizeof *wheel);
    wheel->tick = now_ns >> WSR_TICK_SHIFT;
}

static void link_in(struct wsr_timer **list, struct wsr_timer *timer)
{
    timer->next = *list;
    if (timer->next != NULL)
        timer->next->link = &timer->next;
    timer->link = list;
    *list = timer;
}

static void place(struct wsr_wheel *wheel, struct wsr_timer *timer)
{
    const uint64_t tick = wsr_timer_tick(timer);
    if (tick <= wheel->tick) {
        link_in(&wheel->due, timer);
        return;
    }
    unsigned level = (63 - (unsigned)__builtin_clzll(tick ^ wheel->tick)) / DIGIT_BITS;
    unsigned digit = DIGIT(tick, level);
    link_in(&wheel->slot[level][digit], timer);
    wheel->occupied[level] |= UINT64_C(1) << digit;
}

void wsr_wheel_unset(struct wsr_wheel *wheel, struct wsr_timer *timer)
{
    (void)wheel; /* a slot left empty keeps its bit: it costs one idle look */
    if (timer->link == NULL)
        return;
    *timer->link = timer->next;
    if (timer->next != NULL)
        timer->next->link = timer->link;
    timer->next = NULL;
    timer->link = NULL;
}

void wsr_wheel_set(struct wsr_wheel *wheel, struct wsr_timer *timer, uint64_t at_ns)
{
    wsr_wheel_unset(wheel, timer);
    if (at_ns == UINT64_MAX)
        return;
    const uint64_t tick = wsr_tick_of(at_ns);
    timer->tick_low = (uint32_t)tick;
    timer->tick_high = (uint16_t)(tick >> 32);
    place(wheel, timer);
}

/* The level and digit of the next slot that is not empty; false: none. Lower levels come first in time. */
static bool next_slot(const struct wsr_wheel *wheel, unsigned *level, unsigned *digit)
{
    for (unsigned l = 0; l < WSR_WHEEL_LEVELS; l++) {
        unsigned here = DIGIT(wheel->tick, l);
        uint64_t ahead = here == 63 ? 0 : wheel->occupied[l] & (~UINT64_C(0) << (here + 1));
        if (ahead != 0) {
            *level = l;
            *digit = (unsigned)__builtin_ctzll(ahead);
            return true;
        }
    }
    return false;
}

/* The tick at which that slot begins. */
static uint64_t slot_tick(const struct wsr_wheel *wheel, unsigned level, unsigned digit)
{
    unsigned shift = level * DIGIT_BITS;
    uint64_t above = wheel->tick >> shift >> DIGIT_BITS << DIGIT_BITS << shift;
    return above | (uint64_t)digit << shift;
}

uint64_t wsr_wheel_next_ns(const struct wsr_wheel *wheel)
{
    unsigned level, digit;
    if (wheel->due != NULL)
        return 0;
    return next_slot(wheel, &level, &digit) ? slot_tick(wheel, level, digit) << WSR_TICK_SHIFT : UINT64_MAX;
}

struct wsr_timer *wsr_wheel_expire(struct wsr_wheel *wheel, uint64_t now_ns)
{
    uint64_t now = now_ns >> WSR_TICK_SHIFT;
    unsigned level, digit;
    while (wheel->due == NULL && next_slot(wheel, &level, &digit)) {
        uint64_t tick = slot_tick(wheel, level, digit);
        if (tick > now)
            break;
        wheel->tick = tick;
        wheel->occupied[level] &= ~(UINT64_C(1) << digit);
        struct wsr_timer *list = wheel->slot[level][digit];
        wheel->slot[level][digit] = NULL;
        while (list != NULL) {
            struct wsr_timer *timer = list;
            list = timer->next;
            timer->link = NULL;
            place(wheel, timer);
        }
    }
    if (wheel->due == NULL) {
        if (wheel->tick < now)
            wheel->tick = now; /* nothing lies between: every slot up to now was looked at */
        return NULL;
    }
    struct wsr_timer *timer = wheel->due;
    wsr_wheel_unset(wheel, timer);
    return timer;
}
