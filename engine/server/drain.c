/*
 * server/drain.c - going away: no more accepts, a Close to everybody behind what is queued for them, spread over a while
 * so that they do not come back as one herd, and a deadline (RFC 6455 section 7.4.1, code 1001).
 */
#include <string.h>

#include "base/config.h"
#include "base/clock.h"
#include "ring/sys.h"
#include "server/server.h"

#define TIMEOUT_DEFAULT_NS UINT64_C(10000000000)
#define RESCAN_NS UINT64_C(10000000) /* how often those are looked for whose handshake was not done when the drain began */

static bool is_servers(const struct wsr_connection *c)
{
    return c->live && wsr_endpoint_role(&c->ep) == WSR_SERVER;
}

/* True if the connection was told now, and not before. */
static bool tell(wsr_engine *engine, struct wsr_connection *c)
{
    const struct wsr_draining *draining = &engine->draining;
    wsr_slice reason = {(const uint8_t *)draining->reason, draining->reason_len};
    if (wsr_endpoint_close_at(&c->ep, engine->now_ns, draining->code, reason, NULL, 0) < 0)
        return false;
    wsr_conn_after(engine, c);
    return true;
}

static void cut_all(wsr_engine *engine)
{
    struct wsr_connection *c;
    for (uint32_t slot = 0; (c = wsr_table_at(engine, slot)) != NULL; slot++) {
        if (!is_servers(c) || wsr_endpoint_is_over(&c->ep))
            continue;
        c->state |= WSR_CONN_CUT;
        wsr_endpoint_abort(&c->ep, engine->now_ns, NULL, 0);
        wsr_conn_after(engine, c);
    }
}

/* Tells those whose turn it is; when all were told, comes round again for late ones until the deadline. */
static void proceed(wsr_engine *engine)
{
    struct wsr_draining *draining = &engine->draining;
    struct wsr_connection *c;
    while (draining->next_close_ns <= engine->now_ns && (c = wsr_table_at(engine, draining->cursor)) != NULL) {
        draining->cursor++;
        if (is_servers(c) && tell(engine, c))
            draining->next_close_ns = wsr_ns_add(draining->next_close_ns, draining->interval_ns);
    }
    uint64_t next = draining->next_close_ns;
    if (wsr_table_at(engine, draining->cursor) == NULL) {
        draining->cursor = 0;
        next = draining->next_close_ns = engine->now_ns + RESCAN_NS;
    }
    wsr_wheel_set(&engine->wheel, &draining->timer, next < draining->deadline_ns ? next : draining->deadline_ns);
}

void wsr_drain_timed(wsr_engine *engine, struct wsr_batch *batch)
{
    (void)batch;
    if (wsr_drain_left(engine) == 0)
        return;
    if (engine->now_ns >= engine->draining.deadline_ns)
        cut_all(engine);
    else
        proceed(engine);
}

int wsr_drain(wsr_engine *engine, const wsr_drain_config *from)
{
    wsr_drain_config complete;
    const wsr_drain_config *config = &complete;
    int error = wsr_config_take(&complete, sizeof complete, from, sizeof from->size);
    if (error < 0)
        return error;
    struct wsr_draining *draining = &engine->draining;
    size_t reason_len = config->reason != NULL ? strlen(config->reason) : 0;
    uint16_t code = config->code != 0 ? config->code : WSR_CLOSE_GOING_AWAY;
    if (wsr_close_payload_check(code, (wsr_slice){(const uint8_t *)config->reason, reason_len}, WSR_SERVER) < 0)
        return WSR_ECONFIG;
    if (draining->on)
        return WSR_ESTATE;
    for (wsr_listener i = 1; i <= WSR_LISTENERS_MAX; i++) {
        if (wsr_unlisten(engine, i) == WSR_ESYS) /* WSR_ESTALE: no such listener */
            return WSR_ESYS;
    }
    engine->now_ns = wsr_sys_now_ns();
    uint32_t n = wsr_drain_left(engine);
    uint64_t timeout = config->timeout_ns != 0 ? config->timeout_ns : TIMEOUT_DEFAULT_NS;
    *draining = (struct wsr_draining){
        .on = true,
        .code = code,
        .reason_len = (uint8_t)reason_len,
        .interval_ns = n > 0 ? config->spread_ns / n : 0,
        .next_close_ns = engine->now_ns,
        .deadline_ns = wsr_ns_add(engine->now_ns, timeout),
        .timer = {.kind = WSR_TIMER_DRAIN},
    };
    if (reason_len > 0)
        memcpy(draining->reason, config->reason, reason_len);
    if (n > 0)
        proceed(engine);
    return WSR_OK;
}

uint32_t wsr_drain_left(const wsr_engine *engine)
{
    uint32_t n = 0;
    const struct wsr_connection *c;
    /* Not those that only wait for their last completions: no event would tell a caller when they are gone. */
    for (uint32_t slot = 0; (c = wsr_table_at(engine, slot)) != NULL; slot++)
        n += is_servers(c) && (c->ep.flags & WSR_EP_CLOSED) == 0;
    return n;
}
