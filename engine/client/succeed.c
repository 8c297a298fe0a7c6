/*
 * client/succeed.c - make before break: a connection's successor is made beside it, and takes over its coming back (comeback.h).
 * On demand, and before a connection is as old as its server allows.
 */
#include "base/clock.h"
#include "client/comeback.h"
#include "ring/sys.h"

#define AGE_JITTER_PART 20u /* a connection is succeeded up to a twentieth earlier: not all that were opened in one moment in one */
#define RETRY_NS UINT64_C(1000000000) /* no slot, no memory, or the last handover is under way */

static bool is_handing_over(const wsr_engine *engine, const struct wsr_comeback *comeback)
{
    return comeback->old != 0 && wsr_table_known(engine, comeback->old) != NULL;
}

/* A client made of the same configuration, as it is by now. */
static int make_client(wsr_engine *engine, const struct wsr_connection *c, struct wsr_client **out)
{
    const struct wsr_comeback *comeback = wsr_conn_client(c)->comeback;
    int error = wsr_client_open(engine, &wsr_conn_client(c)->config, out);
    if (error < 0)
        return error;
    (*out)->config.user = c->ep.user;
    if (comeback->headers != NULL)
        (*out)->headers = comeback->headers;
    return WSR_OK;
}

/* Coming back is the successor's from now on. */
static void move(struct wsr_connection *c, struct wsr_connection *to)
{
    struct wsr_comeback *comeback = wsr_conn_client(c)->comeback;
    wsr_conn_client(c)->comeback = NULL;
    wsr_conn_client(c)->succeeded = true;
    comeback->client = wsr_conn_client(to);
    comeback->old = wsr_conn_id(c);
    if (comeback->on)
        comeback->policy.config.overrides = wsr_conn_client(to)->config.reconnect.overrides; /* the old ones go with the old client */
    wsr_conn_client(to)->comeback = comeback;
    wsr_comeback_begun(to);
}

int wsr_succeed(wsr_engine *engine, wsr_conn conn, wsr_conn *successor)
{
    struct wsr_connection *c = wsr_table_known(engine, conn);
    if (c == NULL)
        return WSR_ESTALE;
    if (wsr_conn_client(c) == NULL || wsr_conn_client(c)->succeeded || (c->ep.flags & WSR_EP_OPEN) == 0 || !wsr_close_is_open(&c->ep.close))
        return WSR_ESTATE;
    int error = wsr_conn_client(c)->comeback == NULL ? wsr_comeback_open(engine, wsr_conn_client(c), true) : WSR_OK;
    if (error < 0)
        return error;
    struct wsr_comeback *comeback = wsr_conn_client(c)->comeback;
    if (is_handing_over(engine, comeback) || comeback->queue.n > 0)
        return WSR_ESTATE;
    wsr_redirect_end(engine, wsr_conn_client(c), &comeback->redirect);
    engine->now_ns = wsr_sys_now_ns();
    struct wsr_client *client;
    error = make_client(engine, c, &client);
    if (error == WSR_OK)
        error = wsr_client_begin(engine, client, wsr_conn_client(c)->endpoint, successor);
    if (error < 0)
        return error;
    wsr_wheel_unset(&engine->wheel, &comeback->age);
    wsr_wheel_unset(&engine->wheel, &comeback->handover); /* of one that the application had ended before its time */
    move(c, wsr_table_known(engine, *successor));
    return WSR_OK;
}

/* ---- its times ---- */

static uint64_t age_ns(const struct wsr_comeback *comeback)
{
    const uint64_t max_ns = comeback->client->config.reconnect.age_max_ns, range_ns = max_ns / AGE_JITTER_PART;
    const wsr_policy_config *policy = &comeback->policy.config;
    return max_ns - policy->random(policy->random_context) % (range_ns + 1);
}

void wsr_comeback_opened(wsr_engine *engine, struct wsr_comeback *comeback, wsr_event *open)
{
    const wsr_reconnect *config = &comeback->client->config.reconnect;
    if (config->age_max_ns > 0)
        wsr_wheel_set(&engine->wheel, &comeback->age, wsr_ns_add(open->time_ns, age_ns(comeback)));
    if (!is_handing_over(engine, comeback) || wsr_timer_is_set(&comeback->handover))
        return;
    open->flags |= WSR_EVENT_SUCCESSOR;
    open->token = comeback->old;
    wsr_wheel_set(&engine->wheel, &comeback->handover, wsr_ns_add(open->time_ns, config->handover_ns));
}

void wsr_comeback_aged(wsr_engine *engine, struct wsr_comeback *comeback)
{
    wsr_conn successor;
    if (wsr_succeed(engine, wsr_conn_id(comeback->client->c), &successor) < 0)
        wsr_wheel_set(&engine->wheel, &comeback->age, wsr_ns_add(engine->now_ns, RETRY_NS));
}

void wsr_comeback_handed_over(wsr_engine *engine, struct wsr_comeback *comeback)
{
    const int error = wsr_close_at(engine, comeback->old, WSR_CLOSE_NORMAL, (wsr_slice){NULL, 0}, NULL, 0);
    if (error == WSR_ENOMEM || error == WSR_ERANDOM)
        wsr_wheel_set(&engine->wheel, &comeback->handover, wsr_ns_add(engine->now_ns, RETRY_NS));
    else
        comeback->old = 0;
}
