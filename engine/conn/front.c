/*
 * conn/front.c - see front.h.
 */
#include "conn/front.h"

#include <string.h>

#include "base/clock.h"
#include "ring/sys.h"

#define TIMEOUT_DEFAULT_NS UINT64_C(10000000000)

/* Encrypted at a time: 15 full records, which with what they gain fit into a chunk of 256 KiB. A slow peer holds no more. */
#define FLIGHT_BYTES_MAX ((size_t)15 * 16384)

/* What comes for a handshake while it waits for its turn: more than this is no handshake, and TCP stops the peer. */
#define WAITING_BYTES_MAX ((size_t)64 << 10)

/* What TLS says of itself while the peer takes nothing of it: answers to key updates, which are asked for as fast as bytes come. */
#define ANSWERS_BYTES_MAX ((size_t)64 << 10)

enum stage {
    STAGE_NONE,    /* no transport yet */
    STAGE_PROXY,
    STAGE_SHAKING, /* TLS's handshake */
    STAGE_OPEN,
    STAGE_FAILED   /* an alert is still to be sent, or was, and the peer's end is awaited */
};

struct wsr_front {
    struct wsr_tls *tls;          /* held; NULL: only a proxy */
    struct wsr_tls_session session; /* from STAGE_SHAKING on */
    struct wsr_chunk *proxy_room; /* NULL: no proxy, or it is done with */
    struct wsr_proxy *proxy;      /* in there */
    struct wsr_chunk *flying;     /* ciphertext that was shown to the ring */
    struct wsr_chunk *waiting;    /* received, for its turn */
    size_t plain_flying;          /* bytes of the endpoint's whose ciphertext flies */
    uint64_t tls_timeout_ns, proxy_timeout_ns, deadline_ns;
    int error;                    /* STAGE_FAILED: as which it ends */
    struct wsr_tls_peer peer;     /* a client's; its host is the one below */
    uint8_t stage;
    bool proxy_flies;             /* what was shown to the ring last is the proxy's */
    char host[WSR_PROXY_HOST_MAX + 1];
};

/* ---- made ---- */

static struct wsr_front *front_of(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_front *front = wsr_conn_front(c);
    if (front != NULL)
        return front;
    struct wsr_chunk *room = wsr_pool_get(&engine->env.pool, sizeof(struct wsr_front));
    if (room == NULL)
        return NULL;
    front = (struct wsr_front *)(void *)room->bytes;
    *front = (struct wsr_front){.stage = STAGE_NONE};
    wsr_aside_put(&c->ep, WSR_ASIDE_FRONT, room);
    return front;
}

/* The engine's own, for clients that bring none. */
static int default_tls(wsr_engine *engine, wsr_tls **out)
{
    static const wsr_tls_config config = {.size = sizeof config, .role = WSR_CLIENT};
    int error = engine->tls == NULL ? wsr_tls_open(&engine->tls, &config, NULL, 0) : WSR_OK;
    *out = engine->tls;
    return error;
}

bool wsr_front_suits(const wsr_tls *tls, wsr_role role)
{
    return tls == NULL || wsr_tls_role(tls) == role;
}

int wsr_conn_front_tls(wsr_engine *engine, struct wsr_connection *c, wsr_tls *tls, const struct wsr_tls_peer *peer,
                       uint64_t timeout_ns)
{
    int error = tls == NULL ? default_tls(engine, &tls) : WSR_OK;
    if (error == WSR_OK && !wsr_front_suits(tls, wsr_endpoint_role(&c->ep)))
        error = WSR_ECONFIG;
    if (error < 0)
        return error;
    const size_t host_len = peer != NULL ? strlen(peer->host) : 0;
    if (host_len > WSR_PROXY_HOST_MAX)
        return WSR_ETLS;
    struct wsr_front *front = front_of(engine, c);
    if (front == NULL)
        return WSR_ENOMEM;
    front->tls = wsr_tls_hold(tls);
    if (peer != NULL) {
        memcpy(front->host, peer->host, host_len);
        front->peer = (struct wsr_tls_peer){front->host, peer->port, peer->stranger};
    }
    front->tls_timeout_ns = timeout_ns != 0 ? timeout_ns : TIMEOUT_DEFAULT_NS;
    return WSR_OK;
}

int wsr_conn_front_proxy(wsr_engine *engine, struct wsr_connection *c, const struct wsr_proxy_ask *ask, uint64_t timeout_ns)
{
    struct wsr_front *front = front_of(engine, c);
    struct wsr_chunk *room = front != NULL ? wsr_pool_get(&engine->env.pool, sizeof(struct wsr_proxy)) : NULL;
    if (room == NULL)
        return WSR_ENOMEM;
    struct wsr_proxy *proxy = (struct wsr_proxy *)(void *)room->bytes;
    int error = wsr_proxy_start(proxy, ask);
    if (error < 0) {
        wsr_pool_put(&engine->env.pool, room);
        return error;
    }
    front->proxy_room = room;
    front->proxy = proxy;
    front->proxy_timeout_ns = timeout_ns != 0 ? timeout_ns : TIMEOUT_DEFAULT_NS;
    return WSR_OK;
}

static void free_proxy(wsr_engine *engine, struct wsr_front *front)
{
    if (front->proxy_room != NULL)
        wsr_pool_put(&engine->env.pool, front->proxy_room);
    front->proxy_room = NULL;
    front->proxy = NULL;
}

static size_t chunks_bytes(const struct wsr_chunk *list)
{
    size_t bytes = 0;
    for (; list != NULL; list = list->next)
        bytes += (size_t)(list->end - (const uint8_t *)list);
    return bytes;
}

size_t wsr_front_memory_bytes(const struct wsr_connection *c)
{
    const struct wsr_front *front = wsr_conn_front(c);
    return front != NULL ? chunks_bytes(front->proxy_room) + chunks_bytes(front->flying) + chunks_bytes(front->waiting) +
                               chunks_bytes(front->session.out) : 0;
}

void wsr_front_free(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_front *front = wsr_conn_front(c);
    if (front == NULL)
        return;
    if (front->session.ssl != NULL)
        wsr_tls_end(&front->session);
    wsr_tls_release(front->tls);
    free_proxy(engine, front);
    wsr_pool_put_list(&engine->env.pool, front->flying);
    wsr_pool_put_list(&engine->env.pool, front->waiting);
    wsr_pool_put(&engine->env.pool, wsr_aside_take(&c->ep, WSR_ASIDE_FRONT));
}

/* ---- from stage to stage ---- */

static bool has_output(const struct wsr_front *front)
{
    return front->flying != NULL || front->session.out != NULL;
}

/*
 * Having said why it failed, a server awaits the end of the client's stream, at most close_timeout_ns: closed with bytes of it
 * unread, TCP would take the alert back.
 */
static bool lingers(const struct wsr_connection *c)
{
    return wsr_endpoint_role(&c->ep) == WSR_SERVER && (c->state & WSR_CONN_ENDED) == 0;
}

/* Ends the connection as `error`; an alert that is still to be sent goes before. */
static void fail(struct wsr_connection *c, uint64_t now_ns, int error, const char *detail)
{
    struct wsr_front *front = wsr_conn_front(c);
    if (front->stage == STAGE_FAILED)
        return;
    front->stage = STAGE_FAILED;
    front->error = error;
    front->deadline_ns = wsr_ns_add(now_ns, c->ep.env->limits.close_timeout_ns);
    wsr_endpoint_detail(&c->ep, detail);
    if (!has_output(front))
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

static void fail_tls(struct wsr_connection *c, uint64_t now_ns)
{
    const struct wsr_tls_session *session = &wsr_conn_front(c)->session;
    if (wsr_conn_front(c)->stage == STAGE_FAILED)
        return;
    c->ep.tls_alert = session->alert;
    c->ep.tls_alert_received = session->alert_received;
    if (session->plain_http)
        answer_in_clear(c);
    fail(c, now_ns, session->error, session->detail);
}

static void open_for_endpoint(struct wsr_connection *c, uint64_t now_ns)
{
    wsr_conn_front(c)->stage = STAGE_OPEN;
    if (wsr_endpoint_role(&c->ep) == WSR_CLIENT)
        wsr_endpoint_connected(&c->ep, now_ns);
}

static void begin_tls(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_front *front = wsr_conn_front(c);
    const bool client = wsr_endpoint_role(&c->ep) == WSR_CLIENT;
    front->stage = STAGE_SHAKING;
    front->deadline_ns = client ? wsr_ns_add(engine->now_ns, front->tls_timeout_ns) : wsr_endpoint_deadline(&c->ep);
    int error = wsr_tls_start(&front->session, front->tls, &engine->env.pool, client ? &front->peer : NULL);
    if (error < 0)
        fail(c, engine->now_ns, error, error == WSR_ENOMEM ? "no memory for TLS" : "the host's name cannot be asked for with TLS");
}

static void begin_next(wsr_engine *engine, struct wsr_connection *c)
{
    if (wsr_conn_front(c)->tls != NULL)
        begin_tls(engine, c);
    else
        open_for_endpoint(c, engine->now_ns);
}

void wsr_front_start(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_front *front = wsr_conn_front(c);
    if (front->proxy == NULL) {
        begin_next(engine, c);
        return;
    }
    front->stage = STAGE_PROXY;
    front->deadline_ns = wsr_ns_add(engine->now_ns, front->proxy_timeout_ns);
}

uint64_t wsr_front_deadline(const struct wsr_connection *c)
{
    const struct wsr_front *front = wsr_conn_front(c);
    return front == NULL || front->stage == STAGE_NONE || front->stage == STAGE_OPEN ? UINT64_MAX : front->deadline_ns;
}

void wsr_front_timeout(struct wsr_connection *c, uint64_t now_ns)
{
    const struct wsr_front *front = wsr_conn_front(c);
    const bool client = wsr_endpoint_role(&c->ep) == WSR_CLIENT;
    if (front->stage == STAGE_FAILED) {
        wsr_endpoint_broken(&c->ep, now_ns, front->error);
    } else if (front->stage == STAGE_PROXY) {
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
    if (front->stage != STAGE_FAILED)
        return false;
    if (!has_output(front))
        wsr_endpoint_broken(&c->ep, now_ns, front->error);
    return true;
}

int wsr_front_end_cause(struct wsr_connection *c, int sys_errno)
{
    const struct wsr_front *front = wsr_conn_front(c);
    switch (front->stage) {
    case STAGE_FAILED:
        return front->error;
    case STAGE_PROXY:
        wsr_endpoint_detail(&c->ep, "the proxy ended the connection");
        return WSR_EPROXY;
    case STAGE_SHAKING:
        wsr_endpoint_detail(&c->ep, "during the TLS handshake");
        return sys_errno == 0 ? WSR_ETRUNCATED : WSR_ERESET;
    default:
        if (sys_errno != 0)
            return WSR_ERESET;
        return front->tls != NULL && front->session.state != WSR_TLS_ENDED ? WSR_ETLS_TRUNCATED : WSR_ETRUNCATED;
    }
}

/* ---- in ---- */

/* The proxy's part of what came is taken; returns the rest, which is the next stage's. */
static wsr_span take_proxy(wsr_engine *engine, struct wsr_connection *c, wsr_span in)
{
    struct wsr_front *front = wsr_conn_front(c);
    const size_t took = wsr_proxy_take(front->proxy, in.ptr, in.len);
    const wsr_span rest = {in.ptr + took, in.len - took};
    switch (wsr_proxy_state(front->proxy)) {
    case WSR_PROXY_DONE:
        if (!front->proxy_flies)
            free_proxy(engine, front);
        begin_next(engine, c);
        return rest;
    case WSR_PROXY_FAILED:
        c->ep.http_status = front->proxy->http_status;
        fail(c, engine->now_ns, front->proxy->error, front->proxy->detail);
        break;
    case WSR_PROXY_GOING:
        break;
    }
    return (wsr_span){in.ptr, 0};
}

/* Keeps bytes of a handshake for the connection's turn. */
static void wait_for_turn(wsr_engine *engine, struct wsr_connection *c, wsr_span in)
{
    struct wsr_front *front = wsr_conn_front(c);
    struct wsr_pool *pool = &engine->env.pool;
    struct wsr_chunk *chunk = front->waiting;
    if (chunk == NULL)
        chunk = wsr_pool_get(pool, in.len);
    else if (wsr_chunk_room(chunk) < in.len)
        chunk = wsr_pool_grow(pool, chunk, in.len);
    if (chunk == NULL) {
        fail(c, engine->now_ns, WSR_ENOMEM, "no memory for TLS");
        return;
    }
    front->waiting = chunk;
    memcpy(chunk->data + chunk->len, in.ptr, in.len);
    chunk->len += in.len;
    if (chunk->len > WAITING_BYTES_MAX) {
        c->state |= WSR_CONN_FULL;
        (void)wsr_conn_cancel(engine, c, WSR_ARMED_RECEIVE);
    }
    wsr_conn_shaking(engine, c);
}

bool wsr_front_waits(const struct wsr_connection *c)
{
    return wsr_conn_front(c) != NULL && wsr_conn_front(c)->waiting != NULL;
}

struct wsr_chunk *wsr_front_turn(struct wsr_connection *c)
{
    struct wsr_chunk *waiting = wsr_front_waits(c) ? wsr_conn_front(c)->waiting : NULL; /* a front can be gone: another attempt was begun */
    if (waiting != NULL)
        wsr_conn_front(c)->waiting = NULL;
    return waiting;
}

struct wsr_front_input wsr_front_take_now(wsr_engine *engine, struct wsr_connection *c, wsr_span in)
{
    struct wsr_front *front = wsr_conn_front(c);
    if (front->stage != STAGE_SHAKING && front->stage != STAGE_OPEN)
        return (struct wsr_front_input){NULL, {in.ptr, 0}, false, false};
    const struct wsr_tls_plain plain = wsr_tls_take(&front->session, in);
    const enum wsr_tls_state state = (enum wsr_tls_state)front->session.state;
    if (front->stage == STAGE_SHAKING && (state == WSR_TLS_OPEN || state == WSR_TLS_ENDED))
        open_for_endpoint(c, engine->now_ns);
    if (state == WSR_TLS_FAILED)
        fail_tls(c, engine->now_ns);
    else if (front->stage == STAGE_OPEN && chunks_bytes(front->session.out) > ANSWERS_BYTES_MAX)
        fail(c, engine->now_ns, WSR_EFLOOD, "more is asked of TLS than is taken of its answers");
    return (struct wsr_front_input){plain.carried, plain.rest, state == WSR_TLS_ENDED, plain.data_last};
}

struct wsr_front_input wsr_front_take(wsr_engine *engine, struct wsr_connection *c, wsr_span in)
{
    const struct wsr_front_input nothing = {NULL, {in.ptr, 0}, false, false};
    struct wsr_front *front = wsr_conn_front(c);
    if (front->stage == STAGE_PROXY)
        in = take_proxy(engine, c, in);
    if (in.len == 0)
        return nothing;
    if (front->stage == STAGE_SHAKING) {
        wait_for_turn(engine, c, in);
        return nothing;
    }
    if (front->stage == STAGE_OPEN && front->tls == NULL)
        return (struct wsr_front_input){NULL, in, false, true};
    return wsr_front_take_now(engine, c, in);
}

/* ---- out ---- */

/* May the endpoint's bytes go now? */
static bool carries(const struct wsr_front *front)
{
    return front->stage == STAGE_OPEN && !front->session.notified;
}

bool wsr_front_pending(const struct wsr_connection *c)
{
    const struct wsr_front *front = wsr_conn_front(c);
    if (front->stage == STAGE_PROXY || front->proxy_flies)
        return wsr_proxy_pending(front->proxy).len > 0;
    return has_output(front) || (carries(front) && wsr_outbox_pending(&c->ep.out));
}

bool wsr_front_wants_shutdown(struct wsr_connection *c)
{
    struct wsr_front *front = wsr_conn_front(c);
    const bool shut = wsr_endpoint_wants_shutdown(&c->ep);
    if (front->stage == STAGE_FAILED)
        return !has_output(front) && lingers(c);
    if (front->tls == NULL || front->stage != STAGE_OPEN)
        return shut && !has_output(front);
    /* A client too says goodbye, although it waits for the server to end TCP: there are servers that wait for it. */
    if (shut || (c->ep.close.state == WSR_CS_LINGER && !wsr_outbox_pending(&c->ep.out)))
        wsr_tls_notify(&front->session);
    return shut && !has_output(front);
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
        fail(c, now_ns, WSR_ENOMEM, "no memory for TLS");
        return;
    }
    for (unsigned i = 0; i < writes && good; i++)
        good = plain[i].len == 0 || wsr_tls_write(&front->session, plain[i]);
    front->plain_flying = total;
    if (!good)
        fail_tls(c, now_ns);
}

unsigned wsr_front_drain(wsr_engine *engine, struct wsr_connection *c, wsr_slice *slices, unsigned cap)
{
    struct wsr_front *front = wsr_conn_front(c);
    if (front->stage == STAGE_PROXY || front->proxy_flies) {
        slices[0] = wsr_proxy_pending(front->proxy);
        front->proxy_flies = slices[0].len > 0;
        return front->proxy_flies ? 1 : 0;
    }
    if (front->tls == NULL)
        return front->stage == STAGE_OPEN ? wsr_endpoint_drain(&c->ep, slices, cap) : 0;
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
        free_proxy(engine, front);
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
    if (front->stage == STAGE_FAILED && !has_output(front) && !lingers(c))
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
    if (front->stage == STAGE_FAILED)
        wsr_endpoint_broken(&c->ep, now_ns, front->error);
}

int wsr_front_describe(const struct wsr_connection *c, wsr_tls_info *info)
{
    const struct wsr_front *front = wsr_conn_front(c);
    if (front == NULL || front->tls == NULL || front->session.ssl == NULL || front->session.state == WSR_TLS_SHAKING ||
        front->session.state == WSR_TLS_FAILED)
        return WSR_ESTATE;
    wsr_tls_describe(&front->session, info);
    return WSR_OK;
}
