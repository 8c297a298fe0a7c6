/*
 * base/wheel.h - timers: a hierarchical wheel of 2^20 ns (about a millisecond) ticks. Adding, moving and removing one is
 * a few instructions whatever their number; the next expiry is found in a bitmap.
 *
 * A timer fires at its time or up to a tick later, never earlier. One thread.
 */
#ifndef WSR_BASE_WHEEL_H
#define WSR_BASE_WHEEL_H

#include <wsring/types.h>

struct wsr_timer {
    struct wsr_timer *next;
    struct wsr_timer **link; /* what points to this one; NULL: not set */
    uint32_t tick_low;       /* when it fires; a tick has 44 bits */
    uint16_t tick_high;
    uint8_t kind;            /* the owner's, to tell its timers apart */
};

_Static_assert(sizeof(struct wsr_timer) == 24, "every connection has one");

#define WSR_TICK_SHIFT 20u
#define WSR_TICK_LAST (UINT64_MAX >> WSR_TICK_SHIFT)

#define WSR_WHEEL_LEVELS 8u /* of 64 slots: 48 bits of tick, and a tick number has 44 */

struct wsr_wheel {
    uint64_t tick; /* all before it has fired */
    uint64_t occupied[WSR_WHEEL_LEVELS];
    struct wsr_timer *slot[WSR_WHEEL_LEVELS][64];
    struct wsr_timer *due;
};

void wsr_wheel_init(struct wsr_wheel *wheel, uint64_t now_ns);

/* Sets the timer, or moves it. at_ns UINT64_MAX takes it off. */
void wsr_wheel_set(struct wsr_wheel *wheel, struct wsr_timer *timer, uint64_t at_ns);
void wsr_wheel_unset(struct wsr_wheel *wheel, struct wsr_timer *timer);

/* When to ask wsr_wheel_expire next at the latest (something may fire then, or not yet); UINT64_MAX: no timer is set. */
uint64_t wsr_wheel_next_ns(const struct wsr_wheel *wheel);

/* Takes off and returns a timer whose time has come, NULL if there is none (left). */
struct wsr_timer *wsr_wheel_expire(struct wsr_wheel *wheel, uint64_t now_ns);

/* The first tick not earlier than ns. The last one there is takes what is behind it: its successor's time would be 0. */
static inline uint64_t wsr_tick_of(uint64_t ns)
{
    const uint64_t tick = ns >> WSR_TICK_SHIFT;
    return tick + (tick < WSR_TICK_LAST && (ns & ((UINT64_C(1) << WSR_TICK_SHIFT) - 1)) != 0);
}

/* The tick that the timer was set to. */
static inline uint64_t wsr_timer_tick(const struct wsr_timer *timer)
{
    return (uint64_t)timer->tick_high << 32 | timer->tick_low;
}

static inline bool wsr_timer_is_set(const struct wsr_timer *timer)
{
    return timer->link != NULL;
}

#endif
