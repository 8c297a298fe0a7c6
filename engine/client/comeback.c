/*
 * client/comeback.c - see comeback.h.
 *
 * Who calls what: env.lost when a connection of a client is over and about to be told; down when its last operation has ended;
 * timed when it is time; env.opened when it is there again. Between them only the application acts: send, leave, wsr_reconnect_now.
 */
#include "client/comeback.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "client/buckets.h"
#include "proto/upgrade.h"
#include "ring/sys.h"

static struct wsr_connection *connection_of(struct wsr_endpoint *ep)
{
    return (struct wsr_connection *)(void *)ep; /* its first member */
}

static wsr_engine *engine_of(struct wsr_endpoint *ep)
{
    return (wsr_engine *)(void *)ep->env; /* likewise */
}

/* For any connection; NULL: it does not come back. */
static struct wsr_comeback *comeback_of(const struct wsr_connection *c)
{
    return wsr_conn_client(c) != NULL ? wsr_conn_client(c)->comeback : NULL;
}

static bool is_blank(const struct wsr_endpoint *ep)
{
    return (ep->flags & WSR_EP_BLANK) != 0 && !wsr_endpoint_is_over(ep);
}

/* ---- deciding ---- */

/* What the answer asked for; 0: nothing. */
static uint64_t retry_after_ns(const wsr_response *answer)
{
    uint64_t delay_ns = 0;
    for (unsigned i = 0; answer != NULL && i < answer->headers_n; i++) {
        const wsr_header *header = &answer->headers[i];
        if (wsr_http_equal_nocase(header->name, WSR_SLICE("retry-after")) && wsr_retry_after(header->value, wsr_sys_unix_s(), &delay_ns) == 0)
            break;
    }
    return delay_ns;
}

/* How long the next attempt has to wait for its token. */
static uint64_t take_token(wsr_engine *engine, const struct wsr_comeback *comeback, unsigned endpoint)
{
    const uint64_t now_ns = wsr_sys_now_ns(); /* the bucket may be other engines', too */
    wsr_bucket *bucket = wsr_comeback_config(comeback)->bucket;
    return bucket != NULL ? wsr_bucket_take(bucket, now_ns) : wsr_buckets_take(engine, &comeback->client->urls[endpoint], now_ns);
}

static void stop(struct wsr_comeback *comeback, const char *why)
{
    comeback->decision.verdict = WSR_VERDICT_STOP;
    comeback->why = why;
}

static void decide(wsr_engine *engine, struct wsr_comeback *comeback, bool opened, const wsr_close_record *record, uint64_t now_ns)
{
    struct wsr_client *client = comeback->client;
    wsr_decision *decision = &comeback->decision;
    const wsr_cause cause = wsr_cause_of_record(record, opened);
    comeback->decided = true;
    if (!comeback->on && cause != WSR_CAUSE_HTTP_3XX) {
        stop(comeback, "it was not asked to come back");
        return;
    }
    *decision = wsr_policy_lost(&comeback->policy, now_ns, cause, retry_after_ns(record->answer));
    comeback->why = decision->why;
    if (decision->verdict == WSR_VERDICT_FOLLOW) {
        const char *why;
        const int error = wsr_redirect_follow(engine, client, &comeback->redirect, record->answer, &why);
        if (error == WSR_ENOMEM)
            decision->verdict = WSR_VERDICT_RETRY; /* it will be said again */
        else if (error < 0)
            stop(comeback, why);
    } else {
        wsr_redirect_end(engine, client, &comeback->redirect);
    }
    if (decision->verdict != WSR_VERDICT_STOP && decision->verdict != WSR_VERDICT_ASK)
        decision->delay_ns = wsr_ns_add(decision->delay_ns, take_token(engine, comeback, decision->endpoint));
}

/* ---- telling ---- */

static const char *show_url(const struct wsr_comeback *comeback)
{
    if (comeback->redirect.memory != NULL)
        return comeback->redirect.shown;
    struct wsr_http_out out = {(uint8_t *)comeback->url, comeback->url_bytes - 1, 0};
    wsr_url_put_shown(&out, &comeback->client->urls[comeback->decision.endpoint]);
    assert(out.len < comeback->url_bytes);
    comeback->url[out.len] = '\0';
    return comeback->url;
}

/* Writes what RECONNECTING points to, and when what it says is due. */
static wsr_span show(struct wsr_comeback *comeback, const struct wsr_endpoint *ep, const wsr_close_record *record, uint64_t now_ns)
{
    const wsr_decision *decision = &comeback->decision;
    const bool asks = decision->verdict == WSR_VERDICT_ASK || decision->verdict == WSR_VERDICT_RENEW;
    comeback->shown = (wsr_reconnecting){
        .record = record,
        .verdict = decision->verdict,
        .cause = decision->cause,
        .attempt = decision->attempt,
        .endpoint = decision->endpoint,
        .delay_ns = decision->delay_ns,
        .url = show_url(comeback),
        .why = comeback->why,
    };
    comeback->shown_serial = ep->env->batch_serial;
    comeback->record = *record;
    comeback->record.detail = NULL;
    comeback->record.answer = NULL;
    comeback->waits = asks ? WSR_WAITS_ANSWER : WSR_WAITS_TIME;
    comeback->free_ns = wsr_ns_add(now_ns, decision->delay_ns);
    comeback->due_ns = asks ? wsr_ns_add(now_ns, wsr_comeback_config(comeback)->answer_timeout_ns) : comeback->free_ns;
    comeback->decided = false;
    return (wsr_span){(uint8_t *)&comeback->shown, sizeof comeback->shown};
}

/* The hook of proto/ending.c. It is asked again for as long as the answer is LATER. */
static enum wsr_lost lost(struct wsr_endpoint *ep, struct wsr_batch *batch, wsr_close_record *record, wsr_span *shown)
{
    struct wsr_connection *c = connection_of(ep);
    struct wsr_comeback *comeback = comeback_of(c);
    if (comeback == NULL)
        return WSR_LOST_FOR_GOOD;
    if (comeback->shown_serial == ep->env->batch_serial) /* an event of this batch points into it */
        return WSR_LOST_LATER;
    if (comeback->ends)
        stop(comeback, NULL);
    else if (!comeback->decided)
        decide(engine_of(ep), comeback, (ep->flags & WSR_EP_OPEN) != 0, record, batch->now_ns);
    wsr_wheel_unset(&engine_of(ep)->wheel, &comeback->age);
    if (comeback->decision.verdict != WSR_VERDICT_STOP) {
        c->queues = wsr_comeback_config(comeback)->queue_bytes_max > 0;
        *shown = show(comeback, ep, record, batch->now_ns);
        return WSR_LOST_FOR_NOW;
    }
    c->queues = false;
    if (!wsr_queue_give_back(&comeback->queue, ep, batch, UINT64_MAX) || batch->n == batch->cap)
        return WSR_LOST_LATER;
    if (comeback->ends)
        *record = comeback->record;
    comeback->queue.owes_writable = false; /* the queue's timer may fire once more before the last operation has ended */
    return WSR_LOST_FOR_GOOD;
}

/* ---- down, and the next attempt ---- */

/* Ends a connection that is down: CLOSED comes, with the record that is kept. */
static void end(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_comeback *comeback = wsr_conn_client(c)->comeback;
    comeback->ends = true;
    comeback->waits = WSR_WAITS_NOT;
    wsr_wheel_unset(&engine->wheel, &comeback->next);
    if (!is_blank(&c->ep))
        return; /* down will see to it */
    wsr_endpoint_abort(&c->ep, engine->now_ns, NULL, 0);
    wsr_conn_after(engine, c);
}

static void down(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_comeback *comeback = wsr_conn_client(c)->comeback;
    wsr_endpoint_blank(&c->ep, engine->now_ns);
    c->state = 0;
    if (comeback->ends)
        end(engine, c);
    else
        wsr_wheel_set(&engine->wheel, &comeback->next, comeback->due_ns);
}

static void attempt(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c)
{
    struct wsr_comeback *comeback = wsr_conn_client(c)->comeback;
    comeback->waits = WSR_WAITS_NOT;
    c->state &= (uint16_t)~(unsigned)WSR_CONN_PAUSED; /* the answer must be read */
    errno = ENOMEM;
    int error = wsr_client_attempt(engine, c, comeback->decision.endpoint);
    if (error == WSR_OK)
        return;
    /* This host is short of something, as it may be of descriptors: no worse than a peer that cannot be reached. */
    const bool passes = error != WSR_ETLS && error != WSR_ECONFIG;
    const int sys_errno = errno;
    wsr_endpoint_blank(&c->ep, engine->now_ns);
    wsr_endpoint_ended(&c->ep, batch, passes ? WSR_ECONNECT : error, passes ? sys_errno : 0);
    wsr_conn_after(engine, c);
}

static void next(wsr_engine *engine, struct wsr_batch *batch, struct wsr_comeback *comeback)
{
    struct wsr_connection *c = comeback->client->c;
    if (!is_blank(&c->ep))
        return; /* ended meanwhile, and CLOSED waits for room */
    if (comeback->waits == WSR_WAITS_ANSWER)
        end(engine, c);
    else
        attempt(engine, batch, c);
}

/* ---- open again ---- */

static void opened(struct wsr_endpoint *ep, wsr_event *open)
{
    struct wsr_connection *c = connection_of(ep);
    struct wsr_comeback *comeback = comeback_of(c);
    if (comeback == NULL)
        return;
    wsr_policy_opened(&comeback->policy, open->time_ns);
    wsr_comeback_send_queue(engine_of(ep), c, open->time_ns);
    wsr_comeback_opened(engine_of(ep), comeback, open);
}

/* ---- the application's ---- */

/* It has ended by itself, and is told as lost or about to be: then this end's going is the last word. */
static int leave(wsr_engine *engine, struct wsr_connection *c, bool abort, uint16_t code, wsr_slice reason, const char *file, int line)
{
    struct wsr_comeback *comeback = comeback_of(c);
    if (comeback == NULL || !wsr_endpoint_is_over(&c->ep) || (!comeback->on && (c->ep.flags & WSR_EP_LOST) == 0))
        return 1;
    int error = abort ? WSR_OK : wsr_close_payload_check(code, reason, WSR_CLIENT);
    if (error < 0)
        return error;
    if (comeback->ends)
        return abort ? WSR_OK : WSR_ESTATE;
    comeback->record = (wsr_close_record){
        .by = WSR_BY_LOCAL, .code = WSR_CLOSE_ABNORMAL, .cause = WSR_EABORTED, .local_file = file, .local_line = line};
    engine->now_ns = wsr_sys_now_ns();
    end(engine, c);
    return WSR_OK;
}

/* Takes the place of the configured header lines for all attempts to come. */
static int take_headers(wsr_engine *engine, struct wsr_comeback *comeback, const char *headers)
{
    const wsr_slice lines = wsr_slice_of(headers);
    if (!wsr_upgrade_headers_valid(lines))
        return WSR_ECONFIG;
    struct wsr_pool *pool = &engine->env.pool;
    char *copy = wsr_pool_get_exact(pool, lines.len + 1);
    if (copy == NULL)
        return WSR_ENOMEM;
    memcpy(copy, headers, lines.len + 1);
    if (comeback->headers != NULL)
        wsr_pool_put_exact(pool, comeback->headers, comeback->headers_bytes);
    comeback->headers = copy;
    comeback->headers_bytes = lines.len + 1;
    if (comeback->redirect.memory != NULL) /* whoever they are for, it is not the place one is sent to */
        comeback->redirect.headers = copy;
    else
        comeback->client->headers = copy;
    return WSR_OK;
}

/* When the attempt is to be made that the application has said yes to; 0: there is none to make any more. */
static uint64_t allow(wsr_engine *engine, struct wsr_comeback *comeback)
{
    wsr_decision *decision = &comeback->decision;
    if (comeback->waits == WSR_WAITS_TIME)
        return engine->now_ns;
    if (decision->verdict == WSR_VERDICT_RENEW)
        return comeback->free_ns > engine->now_ns ? comeback->free_ns : engine->now_ns;
    *decision = wsr_policy_allow(&comeback->policy, engine->now_ns);
    if (decision->verdict == WSR_VERDICT_STOP)
        return 0;
    return wsr_ns_add(engine->now_ns, wsr_ns_add(decision->delay_ns, take_token(engine, comeback, decision->endpoint)));
}

int wsr_reconnect_now(wsr_engine *engine, wsr_conn conn, const char *headers)
{
    struct wsr_connection *c = wsr_table_known(engine, conn);
    struct wsr_comeback *comeback = c != NULL ? comeback_of(c) : NULL;
    if (c == NULL)
        return WSR_ESTALE;
    if (comeback == NULL || comeback->waits == WSR_WAITS_NOT || !wsr_comeback_accepts(c))
        return WSR_ESTATE;
    int error = headers != NULL ? take_headers(engine, comeback, headers) : WSR_OK;
    if (error < 0)
        return error;
    engine->now_ns = wsr_sys_now_ns();
    const uint64_t due_ns = allow(engine, comeback);
    if (due_ns == 0) {
        end(engine, c);
        return WSR_OK;
    }
    comeback->waits = WSR_WAITS_TIME;
    comeback->due_ns = due_ns;
    if (is_blank(&c->ep)) {
        wsr_wheel_set(&engine->wheel, &comeback->next, due_ns);
        wsr_conn_pending(engine, c); /* so that an engine inside another loop is looked at */
    }
    return WSR_OK;
}

/* ---- hooks ---- */

static void timed(wsr_engine *engine, struct wsr_batch *batch, struct wsr_timer *timer)
{
    static const size_t offsets[] = {offsetof(struct wsr_comeback, next), offsetof(struct wsr_comeback, queued), offsetof(struct wsr_comeback, age),
                                     offsetof(struct wsr_comeback, handover)};
    struct wsr_comeback *comeback = (struct wsr_comeback *)(void *)((char *)timer - offsets[timer->kind - WSR_TIMER_NEXT]);
    switch (timer->kind) {
    case WSR_TIMER_NEXT:
        next(engine, batch, comeback);
        break;
    case WSR_TIMER_QUEUE:
        wsr_comeback_queue_timed(engine, batch, comeback);
        break;
    case WSR_TIMER_AGE:
        wsr_comeback_aged(engine, comeback);
        break;
    default:
        wsr_comeback_handed_over(engine, comeback);
        break;
    }
}

void wsr_comeback_hook(wsr_engine *engine)
{
    static const struct wsr_comeback_hooks hooks = {
        .down = down,
        .timed = timed,
        .send = wsr_comeback_queue,
        .queued_bytes = wsr_comeback_queued_bytes,
        .leave = leave,
        .closed = wsr_buckets_free,
    };
    engine->comebacks = &hooks;
    engine->env.lost = lost;
    engine->env.opened = opened;
}
