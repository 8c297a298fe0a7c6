/*
 * proto/keepalive.c - see keepalive.h.
 */
#include "proto/keepalive.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"

#define NEVER UINT64_MAX

enum {
    PAYLOAD_LEN = WSR_PING_TAG_LEN + sizeof(uint32_t),
    LATE_PART = 8 /* a peer that has this part of the time to answer less is not wronged */
};

/* The tag is drawn when it is first needed: most endpoints that live alone never ping. */
static int draw_tag(struct wsr_env *env)
{
    if (env->pings == 0 && env->random(env->random_context, env->ping_tag, sizeof env->ping_tag) != 0)
        return WSR_ERANDOM;
    return WSR_OK;
}

int wsr_keepalive_ping(struct wsr_endpoint *ep, uint64_t now_ns)
{
    struct wsr_env *env = ep->env;
    int error = draw_tag(env);
    if (error < 0)
        return error;
    uint32_t number = env->pings + 1 != 0 ? env->pings + 1 : 1;
    uint8_t payload[PAYLOAD_LEN];
    memcpy(payload, env->ping_tag, WSR_PING_TAG_LEN);
    memcpy(payload + WSR_PING_TAG_LEN, &number, sizeof number);
    const struct wsr_framer *framer = wsr_endpoint_framer(ep);
    error = wsr_outbox_control(&ep->out, framer, WSR_PING, (wsr_slice){payload, sizeof payload});
    if (error < 0)
        return error;
    env->pings = number;
    ep->waits.ping = number;
    ep->waits.pinged_ns = now_ns;
    ep->flags |= WSR_EP_PINGED | WSR_EP_PING_WAITS;
    return WSR_OK;
}

bool wsr_keepalive_pong(struct wsr_endpoint *ep, uint64_t now_ns, wsr_slice payload)
{
    const struct wsr_env *env = ep->env;
    uint32_t number;
    if (payload.len != PAYLOAD_LEN || env->pings == 0 || memcmp(payload.ptr, env->ping_tag, WSR_PING_TAG_LEN) != 0)
        return false;
    memcpy(&number, payload.ptr + WSR_PING_TAG_LEN, sizeof number);
    if ((ep->flags & WSR_EP_DROPPED) == 0 && number == ep->waits.ping) {
        ep->waits.ping = 0;
        ep->round_trip_ns = now_ns > ep->waits.pinged_ns ? now_ns - ep->waits.pinged_ns : 1; /* 0 stands for none */
    }
    return true; /* a late answer to an older ping, if not to the last */
}

/*
 * When the silence has lasted too long. Where pings are on, not before one has gone unanswered: if nobody let time pass here
 * for a while, the silence is no fault of the peer's. A ping that went in time leaves the idle deadline where it is.
 */
static uint64_t end_of_patience(const struct wsr_endpoint *ep)
{
    const wsr_limits *limits = &ep->env->limits;
    uint64_t idle = wsr_ns_add(ep->received_ns, limits->idle_timeout_ns);
    bool pings = limits->ping_interval_ns < limits->idle_timeout_ns;
    if ((ep->flags & WSR_EP_PINGED) == 0)
        return pings ? UINT64_MAX : idle;
    if (ep->waits.pinged_ns == NEVER)
        return idle;
    uint64_t late = pings ? wsr_ns_add(ep->waits.pinged_ns, limits->idle_timeout_ns - limits->ping_interval_ns) : idle;
    uint64_t unanswered = wsr_ns_add(ep->waits.pinged_ns, limits->ping_timeout_ns);
    if (idle < late)
        idle = late;
    return unanswered < idle ? unanswered : idle;
}

void wsr_keepalive_flies(struct wsr_endpoint *ep, uint64_t now_ns)
{
    if (!wsr_outbox_lane_waits(&ep->out))
        ep->waits.pinged_ns = now_ns;
}

/* The kernel may have had no room for long, and then none of our time, which the application may have spent elsewhere. */
void wsr_keepalive_left(struct wsr_endpoint *ep, uint64_t now_ns)
{
    if (wsr_outbox_lane_waits(&ep->out) || wsr_outbox_flies(&ep->out))
        return;
    ep->flags &= (uint16_t)~(unsigned)WSR_EP_PING_WAITS;
    const bool ends = (ep->flags & WSR_EP_ENDS) != 0; /* then nobody is given up for it any more */
    const uint64_t patience_ns = ends ? ep->env->limits.ping_timeout_ns : end_of_patience(ep) - ep->waits.pinged_ns;
    if ((ep->flags & WSR_EP_PINGED) == 0 || now_ns - ep->waits.pinged_ns <= patience_ns / LATE_PART)
        return;
    ep->waits.pinged_ns = now_ns;
    ep->waits.ping = 0; /* how long the answer took nobody knows */
}

/* When to ping; never, while one is out and nothing has come since. */
static uint64_t next_ping(const struct wsr_endpoint *ep)
{
    return (ep->flags & WSR_EP_PINGED) != 0 ? UINT64_MAX : wsr_ns_add(ep->received_ns, ep->env->limits.ping_interval_ns);
}

uint64_t wsr_keepalive_deadline(const struct wsr_endpoint *ep)
{
    uint64_t end = end_of_patience(ep), ping = next_ping(ep);
    return ping < end ? ping : end;
}

bool wsr_keepalive_gives_up(const struct wsr_endpoint *ep, uint64_t now_ns)
{
    return now_ns >= end_of_patience(ep);
}

void wsr_keepalive_time(struct wsr_endpoint *ep, uint64_t now_ns)
{
    if (wsr_keepalive_gives_up(ep, now_ns)) {
        bool pinged = (ep->flags & WSR_EP_PINGED) != 0 && ep->waits.pinged_ns != NEVER;
        wsr_endpoint_fail(ep, now_ns, pinged ? WSR_ETIMEOUT_PING : WSR_ETIMEOUT_IDLE);
        return;
    }
    assert(now_ns >= next_ping(ep)); /* of the two it was the other */
    if (wsr_keepalive_ping(ep, now_ns) < 0) {
        /* No memory or no random bytes for a ping is no reason to end: the idle deadline still stands. */
        ep->flags |= WSR_EP_PINGED;
        ep->waits.pinged_ns = NEVER;
    }
}

void wsr_keepalive_excuse(struct wsr_endpoint *ep, uint64_t now_ns)
{
    wsr_endpoint_heard(ep, now_ns);
    if ((ep->flags & WSR_EP_DROPPED) == 0)
        ep->waits.ping = 0; /* its answer may have waited here */
}
