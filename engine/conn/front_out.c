/*
 * conn/front_out.c - see front.h: what is asked of the proxy, then the endpoint's bytes, encrypted a flight at a time.
 */
#include "conn/front_stage.h"

/* Encrypted at a time: 15 full records, which with what they gain fit into a chunk of 256 KiB. A slow peer holds no more. */
#define FLIGHT_BYTES_MAX ((size_t)15 * 16384)

/* May the endpoint's bytes go now? */
static bool carries(const struct wsr_front *front)
{
    return front->stage == WSR_FRONT_OPEN && !front->session.notified;
}

bool wsr_front_pending(const struct wsr_connection *c)
{
    const struct wsr_front *front = wsr_conn_front(c);
    if (front->stage == WSR_FRONT_PROXY || front->proxy_flies)
        return wsr_proxy_pending(front->proxy).len > 0;
    return wsr_front_has_output(front) || (carries(front) && wsr_outbox_pending(&c->ep.out));
}

bool wsr_front_wants_shutdown(struct wsr_connection *c)
{
    struct wsr_front *front = wsr_conn_front(c);
    const bool shut = wsr_endpoint_wants_shutdown(&c->ep);
    if (front->stage == WSR_FRONT_FAILED)
        return !wsr_front_has_output(front) && wsr_front_lingers(c);
    if (front->tls == NULL || front->stage != WSR_FRONT_OPEN)
        return shut && !wsr_front_has_output(front);
    /* A client too says goodbye, although it waits for the server to end TCP: there are servers that wait for it. */
    if (shut || (c->ep.close.state == WSR_CS_LINGER && !wsr_outbox_pending(&c->ep.out)))
        wsr_tls_notify(&front->session);
    return shut && !wsr_front_has_output(front);
}

/* Encrypts what the endpoint has, as far as one flight goes. */
static void encrypt(struct wsr_connection *c, uint64_t now_ns)
{
    struct wsr_front *front = wsr_conn_front(c);
    wsr_slice plain[WSR_RING_SLICES_MAX];
    const unsigned n = wsr_endpoint_drain(&c->ep, plain, WSR_RING_SLICES_MAX);
    size_t left = FLIGHT_BYTES_MAX, total = 0;
    unsigned writes = 0;
    for (; writes < n && left > 0; writes++) {
        if (plain[writes].len > left)
            plain[writes].len = left;
        left -= plain[writes].len;
        total += plain[writes].len;
    }
    if (total == 0)
        return;
    bool good = wsr_tls_reserve(&front->session, total, writes);
    if (!good) {
        wsr_front_fail(c, now_ns, WSR_ENOMEM, "no memory for TLS");
        return;
    }
    for (unsigned i = 0; i < writes && good; i++)
        good = plain[i].len == 0 || wsr_tls_write(&front->session, plain[i]);
    front->plain_flying = total;
    if (!good)
        wsr_front_fail_tls(c, now_ns);
}

unsigned wsr_front_drain(wsr_engine *engine, struct wsr_connection *c, wsr_slice *slices, unsigned cap)
{
    struct wsr_front *front = wsr_conn_front(c);
    if (front->stage == WSR_FRONT_PROXY || front->proxy_flies) {
        slices[0] = wsr_proxy_pending(front->proxy);
        front->proxy_flies = slices[0].len > 0;
        return front->proxy_flies ? 1 : 0;
    }
    if (front->tls == NULL)
        return front->stage == WSR_FRONT_OPEN ? wsr_endpoint_drain(&c->ep, slices, cap) : 0;
    if (front->flying == NULL) {
        if (carries(front))
            encrypt(c, engine->now_ns);
        front->flying = wsr_tls_output(&front->session);
    }
    unsigned n = 0;
    for (const struct wsr_chunk *chunk = front->flying; chunk != NULL && n < cap; chunk = chunk->next)
        slices[n++] = (wsr_slice){chunk->data, chunk->len};
    return n;
}

struct wsr_chunk *wsr_front_flying(const struct wsr_connection *c)
{
    const struct wsr_front *front = wsr_conn_front(c);
    if (front == NULL || (front->tls == NULL && !front->proxy_flies))
        return wsr_outbox_first(&c->ep.out);
    return front->proxy_flies ? NULL : front->flying;
}

static void sent_proxy(wsr_engine *engine, struct wsr_front *front, size_t bytes)
{
    wsr_proxy_sent(front->proxy, bytes);
    front->proxy_flies = wsr_proxy_pending(front->proxy).len > 0;
    if (!front->proxy_flies && wsr_proxy_state(front->proxy) == WSR_PROXY_DONE)
        wsr_front_free_proxy(engine, front);
}

void wsr_front_sent(wsr_engine *engine, struct wsr_connection *c, uint64_t now_ns, size_t bytes)
{
    struct wsr_front *front = wsr_conn_front(c);
    if (front->proxy_flies) {
        sent_proxy(engine, front, bytes);
        return;
    }
    if (front->tls == NULL) {
        wsr_endpoint_sent(&c->ep, now_ns, bytes);
        return;
    }
    while (front->flying != NULL && front->flying->len <= bytes) {
        struct wsr_chunk *chunk = front->flying;
        front->flying = chunk->next;
        bytes -= chunk->len;
        wsr_pool_put(&engine->env.pool, chunk);
    }
    if (front->flying != NULL) {
        front->flying->data += bytes;
        front->flying->len -= bytes;
        return;
    }
    const size_t plain = front->plain_flying;
    front->plain_flying = 0;
    if (front->stage == WSR_FRONT_FAILED && !wsr_front_has_output(front) && !wsr_front_lingers(c))
        wsr_endpoint_broken(&c->ep, now_ns, front->error);
    else if (plain > 0)
        wsr_endpoint_sent(&c->ep, now_ns, plain);
}

/* Kept, it would be tried again turn after turn: where both Closes have passed, an error of sending ends nothing. */
void wsr_front_send_failed(wsr_engine *engine, struct wsr_connection *c, uint64_t now_ns)
{
    struct wsr_front *front = wsr_conn_front(c);
    if (front->tls == NULL)
        return;
    wsr_pool_put_list(&engine->env.pool, front->flying);
    wsr_pool_put_list(&engine->env.pool, wsr_tls_output(&front->session));
    front->flying = NULL;
    front->plain_flying = 0;
    front->session.notified = true;
    if (front->stage == WSR_FRONT_FAILED)
        wsr_endpoint_broken(&c->ep, now_ns, front->error);
}
