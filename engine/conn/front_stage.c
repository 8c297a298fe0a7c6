/*
 * conn/front_stage.c - see front_stage.h: from stage to stage, each against its deadline, and how each of them ends.
 */
#include "conn/front_stage.h"

#include "base/clock.h"

bool wsr_front_lingers(const struct wsr_connection *c)
{
    return wsr_endpoint_role(&c->ep) == WSR_SERVER && (c->state & WSR_CONN_ENDED) == 0;
}

void wsr_front_fail(struct wsr_connection *c, uint64_t now_ns, int error, const char *detail)
{
    struct wsr_front *front = wsr_conn_front(c);
    if (front->stage == WSR_FRONT_FAILED)
        return;
    front->stage = WSR_FRONT_FAILED;
    front->error = error;
    front->deadline_ns = wsr_ns_add(now_ns, c->ep.env->limits.close_timeout_ns);
    wsr_endpoint_detail(&c->ep, detail);
    if (!wsr_front_has_output(front))
        wsr_endpoint_broken(&c->ep, now_ns, error);
}

/* HTTP in the clear: it is told so in its own words, as other servers of HTTPS do. */
static void answer_in_clear(struct wsr_connection *c)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 46\r\n\r\n"
                                 "This port speaks TLS: use https:// or wss://.\n";
    if (wsr_tls_put(&wsr_conn_front(c)->session, (wsr_slice){(const uint8_t *)answer, sizeof answer - 1}))
        c->ep.http_status = 400;
}

void wsr_front_fail_tls(struct wsr_connection *c, uint64_t now_ns)
{
    const struct wsr_tls_session *session = &wsr_conn_front(c)->session;
    if (wsr_conn_front(c)->stage == WSR_FRONT_FAILED)
        return;
    c->ep.tls_alert = session->alert;
    c->ep.tls_alert_received = session->alert_received;
    if (session->plain_http)
        answer_in_clear(c);
    wsr_front_fail(c, now_ns, session->error, session->detail);
}

void wsr_front_open(struct wsr_connection *c, uint64_t now_ns)
{
    wsr_conn_front(c)->stage = WSR_FRONT_OPEN;
    if (wsr_endpoint_role(&c->ep) == WSR_CLIENT)
        wsr_endpoint_connected(&c->ep, now_ns);
}

static void begin_tls(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_front *front = wsr_conn_front(c);
    const bool client = wsr_endpoint_role(&c->ep) == WSR_CLIENT;
    front->stage = WSR_FRONT_SHAKING;
    front->deadline_ns = client ? wsr_ns_add(engine->now_ns, front->tls_timeout_ns) : wsr_endpoint_deadline(&c->ep);
    int error = wsr_tls_start(&front->session, front->tls, &engine->env.pool, client ? &front->whom->peer : NULL);
    if (error < 0)
        wsr_front_fail(c, engine->now_ns, error, error == WSR_ENOMEM ? "no memory for TLS" : "the host's name cannot be asked for with TLS");
}

void wsr_front_next(wsr_engine *engine, struct wsr_connection *c)
{
    if (wsr_conn_front(c)->tls != NULL)
        begin_tls(engine, c);
    else
        wsr_front_open(c, engine->now_ns);
}

void wsr_front_start(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_front *front = wsr_conn_front(c);
    if (front->proxy == NULL) {
        wsr_front_next(engine, c);
        return;
    }
    front->stage = WSR_FRONT_PROXY;
    front->deadline_ns = wsr_ns_add(engine->now_ns, front->proxy_timeout_ns);
}

uint64_t wsr_front_deadline(const struct wsr_connection *c)
{
    const struct wsr_front *front = wsr_conn_front(c);
    return front == NULL || front->stage == WSR_FRONT_NONE || front->stage == WSR_FRONT_OPEN ? UINT64_MAX : front->deadline_ns;
}

void wsr_front_timeout(struct wsr_connection *c, uint64_t now_ns)
{
    const struct wsr_front *front = wsr_conn_front(c);
    const bool client = wsr_endpoint_role(&c->ep) == WSR_CLIENT;
    if (front->stage == WSR_FRONT_FAILED) {
        wsr_endpoint_broken(&c->ep, now_ns, front->error);
    } else if (front->stage == WSR_FRONT_PROXY) {
        wsr_endpoint_detail(&c->ep, "the proxy did not answer in time");
        wsr_endpoint_broken(&c->ep, now_ns, WSR_EPROXY);
    } else {
        wsr_endpoint_detail(&c->ep, "the TLS handshake was not done in time");
        wsr_endpoint_broken(&c->ep, now_ns, client ? WSR_ETIMEOUT_TLS : WSR_ETIMEOUT_HANDSHAKE);
    }
}

bool wsr_front_ended(struct wsr_connection *c, uint64_t now_ns)
{
    const struct wsr_front *front = wsr_conn_front(c);
    if (front->stage != WSR_FRONT_FAILED)
        return false;
    if (!wsr_front_has_output(front))
        wsr_endpoint_broken(&c->ep, now_ns, front->error);
    return true;
}

int wsr_front_end_cause(struct wsr_connection *c, int sys_errno)
{
    const struct wsr_front *front = wsr_conn_front(c);
    switch (front->stage) {
    case WSR_FRONT_FAILED:
        return front->error;
    case WSR_FRONT_PROXY:
        wsr_endpoint_detail(&c->ep, "the proxy ended the connection");
        return WSR_EPROXY;
    case WSR_FRONT_SHAKING:
        wsr_endpoint_detail(&c->ep, "during the TLS handshake");
        return sys_errno == 0 ? WSR_ETRUNCATED : WSR_ERESET;
    default:
        if (sys_errno != 0)
            return WSR_ERESET;
        return front->tls != NULL && front->session.state != WSR_TLS_ENDED ? WSR_ETLS_TRUNCATED : WSR_ETRUNCATED;
    }
}
