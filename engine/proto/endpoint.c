/*
 * proto/endpoint.c - the endpoint's life: opened, fed, sent from, timed, and what endpoints of one engine share.
 * The frames are receive.c's, the messages message.c's, the end is ending.c's, the handshake handshake.c's.
 */
#include "proto/endpoint.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "proto/consume.h"
#include "proto/frame.h"
#include "proto/handshake.h"
#include "proto/keepalive.h"
#include "proto/permessage.h"
#include "proto/refusal.h"

#define SECOND_NS UINT64_C(1000000000)

/* ---- what endpoints share ---- */

static void limit_default_u64(uint64_t *field, uint64_t value)
{
    if (*field == 0)
        *field = value;
}

static void limit_default_u32(uint32_t *field, uint32_t value)
{
    if (*field == 0)
        *field = value;
}

static void limits_default(wsr_limits *limits)
{
    limit_default_u64(&limits->message_bytes_max, (uint64_t)16 << 20);
    limit_default_u64(&limits->outbox_bytes_max, (uint64_t)16 << 20);
    limit_default_u64(&limits->whole_bytes_max, limits->message_bytes_max);
    if (limits->whole_bytes_max > limits->message_bytes_max)
        limits->whole_bytes_max = limits->message_bytes_max;
    limit_default_u32(&limits->header_bytes_max, 16384);
    limit_default_u32(&limits->headers_max, 64);
    limit_default_u32(&limits->empty_fragments_max, 1024);
    limit_default_u32(&limits->control_frames_max, 65536);
    limit_default_u64(&limits->handshake_timeout_ns, 10 * SECOND_NS);
    limit_default_u64(&limits->close_timeout_ns, 5 * SECOND_NS);
    limit_default_u64(&limits->idle_timeout_ns, 120 * SECOND_NS);
    limit_default_u64(&limits->ping_interval_ns, limits->idle_timeout_ns / 3 + (limits->idle_timeout_ns < 3)); /* never 0: without end */
    limit_default_u64(&limits->ping_timeout_ns, limits->idle_timeout_ns);
}

const char *wsr_limits_problem(const wsr_limits *limits)
{
    if (limits->message_bytes_max > SIZE_MAX / 8 || limits->outbox_bytes_max > SIZE_MAX / 8)
        return "limits.message_bytes_max or outbox_bytes_max is beyond all memory";
    if (limits->header_bytes_max != 0 && limits->header_bytes_max < 64)
        return "limits.header_bytes_max is below 64";
    return limits->headers_max > 128 ? "limits.headers_max is over 128" : NULL;
}

int wsr_env_init(struct wsr_env *env, const wsr_limits *limits, const wsr_allocator *allocator, const char *kernels, size_t memory_bytes_max)
{
    memset(env, 0, sizeof *env);
    env->limits = *limits;
    limits_default(&env->limits);
    if (wsr_limits_problem(limits) != NULL)
        return WSR_ECONFIG;
    env->kernels = kernels == NULL ? wsr_kernels_best() : wsr_kernels_named(kernels);
    if (env->kernels == NULL)
        return WSR_ECONFIG;
    env->consume = wsr_consume_for(env->kernels);
    env->batch_bytes_max = SIZE_MAX;
    env->batch_serial = 1;
    wsr_pool_init(&env->pool, allocator, 0, memory_bytes_max);
    env->framers[0] = (struct wsr_framer){&env->pool, env->kernels, NULL};
    env->framers[1] = (struct wsr_framer){&env->pool, env->kernels, &env->keys};
    return WSR_OK;
}

void wsr_env_fini(struct wsr_env *env)
{
    wsr_env_release(env);
    wsr_permessage_release(env);
#ifdef WSR_DEBUG
    assert(env->pool.out_bytes == 0); /* every chunk is back; in release what was lost is not worth the process */
#endif
    wsr_pool_free(&env->pool);
}

void wsr_env_retire(struct wsr_env *env, struct wsr_chunk *chunk)
{
    chunk->next = env->retired;
    env->retired = chunk;
    env->retired_bytes += wsr_chunk_bytes(chunk);
}

/*
 * The link to the retired chunk that holds just this payload, with room for a header before it, and that nobody else holds; NULL:
 * there is none. What a batch holds is bounded, so is this.
 */
static struct wsr_chunk **find_retired(struct wsr_env *env, wsr_slice payload)
{
    for (struct wsr_chunk **link = &env->retired; *link != NULL; link = &(*link)->next) {
        const struct wsr_chunk *chunk = *link;
        if (chunk->data == payload.ptr && chunk->len == payload.len && chunk->data == chunk->bytes && chunk->holders == 1)
            return link;
    }
    return NULL;
}

struct wsr_chunk *wsr_env_share(struct wsr_env *env, wsr_slice payload)
{
    struct wsr_chunk **link = find_retired(env, payload);
    return link != NULL ? wsr_chunk_hold(*link) : NULL;
}

/* That chunk, not retired any more. */
static struct wsr_chunk *take_retired(struct wsr_env *env, wsr_slice payload)
{
    struct wsr_chunk **link = find_retired(env, payload);
    if (link == NULL)
        return NULL;
    struct wsr_chunk *chunk = *link;
    *link = chunk->next;
    return chunk;
}

void wsr_env_release(struct wsr_env *env)
{
    wsr_pool_put_list(&env->pool, env->retired);
    env->retired = NULL;
    env->retired_bytes = 0;
    env->batch_serial++;
}

/* ---- life ---- */

int wsr_endpoint_init(struct wsr_endpoint *ep, struct wsr_env *env, const wsr_endpoint_config *config, uint64_t now_ns)
{
    *ep = (struct wsr_endpoint){.env = env, .conn = ep->conn, .user = config->user, .aside = ep->aside};
    ep->opened_ns = ep->received_ns = now_ns;
    if (config->role == WSR_CLIENT)
        ep->flags |= WSR_EP_MASKS;
    if (config->manual)
        ep->flags |= WSR_EP_MANUAL;
    int error = wsr_handshake_start(ep, config);
    if (error < 0)
        wsr_endpoint_fini(ep);
    return error;
}

void wsr_endpoint_fini(struct wsr_endpoint *ep)
{
    wsr_handshake_free(ep);
    wsr_receive_fini(ep);
    wsr_permessage_close(ep);
    wsr_outbox_free(&ep->out, &ep->env->pool);
    wsr_refusal_free(ep);
    struct wsr_chunk *record = wsr_aside_take(ep, WSR_ASIDE_RECORD);
    if (record != NULL)
        wsr_pool_put(&ep->env->pool, record);
}

void wsr_endpoint_blank(struct wsr_endpoint *ep, uint64_t now_ns)
{
    *ep = (struct wsr_endpoint){
        .env = ep->env,
        .conn = ep->conn,
        .user = ep->user,
        .aside = ep->aside,
        .feed = wsr_receive_discard,
        .flags = WSR_EP_MASKS | WSR_EP_BLANK,
        .opened_ns = now_ns,
        .received_ns = now_ns,
    };
}

void wsr_endpoint_opened(struct wsr_endpoint *ep, uint64_t now_ns)
{
    ep->flags |= WSR_EP_OPEN;
    ep->received_ns = now_ns;
    ep->feed = wsr_receive_frames;
}

/* ---- events ---- */

wsr_event *wsr_endpoint_emit(struct wsr_endpoint *ep, struct wsr_batch *batch, wsr_event_type type, uint8_t *data, size_t len)
{
    assert(batch->n < batch->cap);
    ep->emitted_in = ep->env->batch_serial;
    wsr_event *event = &batch->ev[batch->n++];
    *event = (wsr_event){
        .type = (uint8_t)type,
        .conn = ep->conn,
        .user = ep->user,
        .data = {data, len},
        .time_ns = batch->now_ns,
    };
    return event;
}

/* A send was refused, and now would not be; or it was asked for. It waits until the outbox is half empty: not a WRITABLE a message. */
static bool writable_is_due(const struct wsr_endpoint *ep)
{
    const uint64_t max = ep->env->limits.outbox_bytes_max;
    const uint32_t refused = ep->waits.refused_bytes;
    return (ep->flags & WSR_EP_OWES_WRITABLE) != 0 && wsr_close_is_open(&ep->close) &&
           (ep->out.bytes == 0 || (ep->out.bytes <= max / 2 && refused != UINT32_MAX && ep->out.bytes + refused <= max));
}

bool wsr_endpoint_settle(struct wsr_endpoint *ep, struct wsr_batch *batch)
{
    if ((ep->flags & (WSR_EP_OWES_WRITABLE | WSR_EP_OWES_CLOSED)) == 0)
        return false;
    if ((ep->flags & WSR_EP_OWES_CLOSED) != 0)
        return !wsr_ending_report(ep, batch);
    if (!writable_is_due(ep))
        return false; /* what is sent later settles it */
    if (batch->n == batch->cap)
        return true;
    (void)wsr_endpoint_emit(ep, batch, WSR_EVENT_WRITABLE, NULL, 0);
    ep->flags &= (uint16_t)~(unsigned)WSR_EP_OWES_WRITABLE;
    return false;
}

/* ---- in ---- */

size_t wsr_endpoint_take(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len)
{
    size_t done = 0;
    if (len > 0)
        wsr_endpoint_heard(ep, batch->now_ns);
    while (done < len) {
        wsr_feed_fn *feed = ep->feed;
        size_t took = feed(ep, batch, p + done, len - done);
        done += took;
        if (ep->feed == feed && (took == 0 || batch->n == batch->cap))
            break;
    }
    (void)wsr_endpoint_settle(ep, batch);
    return done;
}

/* ---- out ---- */

static bool may_send(const struct wsr_endpoint *ep)
{
    return (ep->flags & WSR_EP_OPEN) != 0 && wsr_close_is_open(&ep->close);
}

/* WRITABLE when a payload of so many bytes fits; and all others that it is owed for. */
static void owe_writable(struct wsr_endpoint *ep, size_t bytes)
{
    if ((ep->flags & WSR_EP_OWES_WRITABLE) == 0 || ep->waits.refused_bytes < bytes)
        ep->waits.refused_bytes = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
    ep->flags |= WSR_EP_OWES_WRITABLE;
}

int wsr_endpoint_want_writable(wsr_endpoint *ep, size_t outbox_bytes)
{
    const size_t max = (size_t)ep->env->limits.outbox_bytes_max;
    if (!may_send(ep))
        return WSR_ESTATE;
    owe_writable(ep, outbox_bytes < max ? max - outbox_bytes : 0);
    return WSR_OK;
}

static inline int admit(struct wsr_endpoint *ep, wsr_opcode opcode, size_t len)
{
    if (!may_send(ep))
        return WSR_ESTATE;
    if (!wsr_opcode_is_data(opcode))
        return WSR_EINVAL;
    uint64_t max = ep->env->limits.outbox_bytes_max;
    if (len > max)
        return WSR_ETOOBIG;
    if (ep->out.bytes > 0 && ep->out.bytes + len > max) {
        owe_writable(ep, len);
        return WSR_EFULL;
    }
    return WSR_OK;
}

int wsr_endpoint_admit(struct wsr_endpoint *ep, wsr_opcode opcode, size_t len)
{
    return admit(ep, opcode, len);
}

/* Queues what goes on the wire for a message. fragment_bytes 0: as one frame. */
static int queue_wire(struct wsr_endpoint *ep, uint8_t first, wsr_slice wire, size_t fragment_bytes)
{
    const struct wsr_framer *framer = wsr_endpoint_framer(ep);
    return fragment_bytes == 0 ? wsr_outbox_frame(&ep->out, framer, WSR_FIN | first, wire)
                               : wsr_outbox_fragments(&ep->out, framer, first, wire, fragment_bytes);
}

/* The same for one that may be compressed, and is if that pays. */
static int queue_deflated(struct wsr_endpoint *ep, uint8_t first, wsr_slice payload, size_t fragment_bytes)
{
    struct wsr_chunk *deflated = NULL;
    wsr_permessage_deflate(ep, payload, &deflated);
    if (deflated == NULL)
        return queue_wire(ep, first, payload, fragment_bytes);
    const wsr_slice wire = {deflated->data, deflated->len};
    const int error = queue_wire(ep, first | WSR_RSV1, wire, fragment_bytes);
    wsr_permessage_sent(ep, deflated, error == WSR_OK);
    if (error == WSR_OK) /* what is counted is what was accepted, as with what is received */
        ep->out.payload_bytes += payload.len - wire.len;
    return error;
}

/* Queues a message that was admitted. */
static inline int queue_message(struct wsr_endpoint *ep, wsr_opcode opcode, wsr_slice payload, size_t fragment_bytes)
{
    const uint8_t first = (uint8_t)((unsigned)opcode & 0x0F);
    if (wsr_permessage_of(ep) != NULL && (opcode == WSR_TEXT || opcode == WSR_BINARY))
        return queue_deflated(ep, first, payload, fragment_bytes);
    return queue_wire(ep, first, payload, fragment_bytes);
}

int wsr_endpoint_send(wsr_endpoint *ep, wsr_opcode opcode, wsr_slice payload)
{
    if (opcode == WSR_PING || opcode == WSR_PONG) {
        if (payload.len > WSR_CONTROL_PAYLOAD_MAX)
            return WSR_ETOOBIG;
        if (!may_send(ep))
            return WSR_ESTATE;
        return wsr_outbox_control(&ep->out, wsr_endpoint_framer(ep), opcode, payload);
    }
    int error = admit(ep, opcode, payload.len);
    if (error < 0)
        return error;
    return queue_message(ep, opcode, payload, 0);
}

/* Below this a copy costs less than a chunk of its own in the outbox. */
#define FORWARD_BYTES_MIN 4096u

int wsr_endpoint_forward(struct wsr_endpoint *ep, wsr_opcode opcode, wsr_slice payload)
{
    int error = admit(ep, opcode, payload.len);
    if (error < 0)
        return error;
    struct wsr_chunk *chunk = NULL;
    if (payload.len >= FORWARD_BYTES_MIN && wsr_permessage_of(ep) == NULL && (ep->flags & WSR_EP_MASKS) == 0)
        chunk = take_retired(ep->env, payload);
    if (chunk == NULL)
        return queue_message(ep, opcode, payload, 0);
    wsr_outbox_adopt(&ep->out, chunk, (uint8_t)(WSR_FIN | ((unsigned)opcode & 0x0F)));
    return WSR_OK;
}

int wsr_endpoint_send_fragmented(struct wsr_endpoint *ep, wsr_opcode opcode, wsr_slice payload, size_t fragment_bytes)
{
    if (fragment_bytes == 0)
        return WSR_EINVAL;
    int error = admit(ep, opcode, payload.len);
    if (error < 0)
        return error;
    return queue_message(ep, opcode, payload, fragment_bytes);
}

int wsr_endpoint_send_late(struct wsr_endpoint *ep, wsr_opcode opcode, wsr_slice payload, size_t fragment_bytes)
{
    return may_send(ep) ? queue_message(ep, opcode, payload, fragment_bytes) : WSR_ESTATE;
}

unsigned wsr_endpoint_drain(wsr_endpoint *ep, wsr_slice *out, unsigned cap)
{
    if (wsr_endpoint_is_over(ep))
        return 0; /* what is left was counted, and must not leave now */
    return wsr_outbox_drain(&ep->out, wsr_endpoint_framer(ep), out, cap);
}

void wsr_endpoint_sent(wsr_endpoint *ep, uint64_t now_ns, size_t bytes)
{
    wsr_outbox_sent(&ep->out, &ep->env->pool, bytes);
    if ((ep->flags & WSR_EP_PING_WAITS) != 0)
        wsr_keepalive_left(ep, now_ns);
    if (!wsr_close_is_open(&ep->close))
        wsr_ending_flushed(ep, now_ns);
}

bool wsr_endpoint_wants_shutdown(const wsr_endpoint *ep)
{
    return (ep->flags & WSR_EP_SHUTDOWN) != 0 && !wsr_outbox_pending(&ep->out);
}

int wsr_endpoint_ping(wsr_endpoint *ep, uint64_t now_ns)
{
    return may_send(ep) ? wsr_keepalive_ping(ep, now_ns) : WSR_ESTATE;
}

uint64_t wsr_endpoint_round_trip_ns(const wsr_endpoint *ep)
{
    return ep->round_trip_ns;
}

size_t wsr_endpoint_outbox_bytes(const wsr_endpoint *ep)
{
    return ep->out.bytes;
}

int wsr_endpoint_accept(wsr_endpoint *ep, uint64_t now_ns, const char *subprotocol, const char *headers)
{
    return wsr_handshake_accept(ep, now_ns, subprotocol, headers);
}

int wsr_endpoint_refuse(wsr_endpoint *ep, uint64_t now_ns, unsigned status, const char *headers, wsr_slice body)
{
    return wsr_handshake_refuse(ep, now_ns, status, headers, body);
}

/* ---- time ---- */

static bool in_handshake(const struct wsr_endpoint *ep)
{
    return (ep->flags & (WSR_EP_OPEN | WSR_EP_FAILED_HANDSHAKE)) == 0;
}

/* The deadline proper, without what is owed. */
static uint64_t timer(const struct wsr_endpoint *ep)
{
    const wsr_limits *limits = &ep->env->limits;
    if (wsr_endpoint_is_over(ep) || (ep->flags & WSR_EP_BLANK) != 0)
        return UINT64_MAX;
    if (in_handshake(ep))
        return wsr_ns_add(ep->opened_ns, limits->handshake_timeout_ns);
    if (!wsr_close_is_open(&ep->close) || (ep->flags & WSR_EP_FAILED_HANDSHAKE) != 0)
        return (ep->flags & WSR_EP_ENDS) != 0 ? ep->close_deadline_ns : UINT64_MAX;
    return wsr_keepalive_deadline(ep);
}

uint64_t wsr_endpoint_deadline(const wsr_endpoint *ep)
{
    bool owes = (ep->flags & WSR_EP_OWES_CLOSED) != 0 || writable_is_due(ep);
    return owes ? 0 : timer(ep);
}

void wsr_endpoint_time(struct wsr_endpoint *ep, struct wsr_batch *batch)
{
    if (batch->now_ns >= timer(ep)) {
        if (in_handshake(ep))
            wsr_handshake_timeout(ep, batch->now_ns);
        else if (!wsr_close_is_open(&ep->close) || (ep->flags & WSR_EP_FAILED_HANDSHAKE) != 0)
            wsr_ending_timeout(ep, batch->now_ns);
        else
            wsr_keepalive_time(ep, batch->now_ns);
    }
    (void)wsr_endpoint_settle(ep, batch);
}
