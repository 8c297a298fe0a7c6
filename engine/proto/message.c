/*
 * proto/message.c - see message.h. RFC 6455 sections 5.4, 5.6 and 8.1.
 */
#include "proto/message.h"

#include <string.h>

#include "proto/frame.h"
#include "proto/permessage.h"

/* ---- messages delivered ---- */

static wsr_event *emit_data(struct wsr_endpoint *ep, struct wsr_batch *batch, wsr_event_type type, uint8_t *data, size_t len)
{
    wsr_event *event = wsr_endpoint_emit(ep, batch, type, data, len);
    event->opcode = ep->in->message_opcode;
    event->flags = (ep->flags & WSR_EP_AFTER_CLOSE) != 0 ? WSR_EVENT_AFTER_CLOSE : 0;
    if (wsr_permessage_is_deflated(ep, ep->in->first))
        event->flags |= WSR_EVENT_DEFLATED;
    return event;
}

/* The event shows all of it. */
static void retire_message(struct wsr_endpoint *ep)
{
    if (ep->in->message != NULL)
        wsr_env_retire(ep->env, ep->in->message);
    ep->in->message = NULL;
}

/* The message of so many bytes was delivered. */
static void message_over(struct wsr_endpoint *ep, uint64_t bytes)
{
    ep->messages_in++;
    ep->bytes_in += bytes;
    ep->in->message_opcode = 0;
    ep->in->empty_fragments = 0;
    ep->in->text = (wsr_text_state){0};
    if (wsr_permessage_of(ep) != NULL)
        wsr_permessage_over(ep);
}

static void message_done(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *data, size_t len)
{
    (void)emit_data(ep, batch, WSR_EVENT_MESSAGE, data, len);
    retire_message(ep);
    message_over(ep, len);
}

/* ---- messages delivered in chunks ---- */

static wsr_event *emit_chunk(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *data, size_t len)
{
    wsr_event *event = emit_data(ep, batch, WSR_EVENT_CHUNK, data, len);
    event->flags |= ep->in->streamed == 0 ? WSR_EVENT_FIRST : 0; /* no chunk but the last is empty, and that is never alone */
    ep->in->streamed += len;
    return event;
}

/*
 * A frame's header says that the message will be larger than what is delivered whole: the same for every split, since a
 * frame's length counts and not what of it has come. What was assembled of the frames before goes first.
 */
void wsr_message_frame(struct wsr_endpoint *ep, struct wsr_batch *batch)
{
    if (wsr_permessage_is_deflated(ep, ep->in->first)) /* what it inflates to is not known yet */
        return;
    if ((ep->flags & WSR_EP_STREAMS) != 0 || ep->in->left <= ep->env->limits.whole_bytes_max - wsr_message_present(ep))
        return;
    ep->flags |= WSR_EP_STREAMS;
    if (ep->in->message != NULL)
        (void)emit_chunk(ep, batch, ep->in->message->data, ep->in->message->len);
    retire_message(ep);
}

static void take_chunk(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len, bool last)
{
    if (len > 0 || last) {
        wsr_event *event = emit_chunk(ep, batch, p, len);
        event->flags |= last ? WSR_EVENT_LAST : 0;
    }
    if (!last)
        return;
    message_over(ep, ep->in->streamed);
    ep->in->streamed = 0;
    ep->flags &= (uint16_t)~(unsigned)WSR_EP_STREAMS;
}

/* ---- messages assembled ---- */

/*
 * How much more room the unfinished message should have behind `total` bytes of it, so that memory follows what a peer sends
 * and not what it announces: three times as much again, or what its last message had; less if the frame's rest is less and
 * ends the message, or if the limit is near.
 */
static size_t room_ahead(const struct wsr_endpoint *ep, size_t total)
{
    uint64_t most = ep->env->limits.message_bytes_max - total, earned = 3 * (uint64_t)total;
    if ((ep->in->first & WSR_FIN) != 0)
        most = ep->in->left;
    if (ep->assembled_bytes > total && ep->assembled_bytes - total > earned)
        earned = ep->assembled_bytes - total;
    return most < earned ? (size_t)most : (size_t)earned;
}

/* Room for len bytes more behind the unfinished message: ep->in->left is what follows them in their frame. */
static int message_room(struct wsr_endpoint *ep, size_t len)
{
    struct wsr_pool *pool = &ep->env->pool;
    size_t present = ep->in->message != NULL ? ep->in->message->len : 0;
    if (ep->in->message != NULL && wsr_chunk_room(ep->in->message) >= len)
        return WSR_OK;
    size_t room = len + room_ahead(ep, present + len);
    struct wsr_chunk *chunk = ep->in->message == NULL ? wsr_pool_get(pool, room) : wsr_pool_grow(pool, ep->in->message, room);
    if (chunk == NULL)
        return WSR_ENOMEM;
    ep->in->message = chunk;
    return WSR_OK;
}

/* So much at a time is still in the nearest cache when it is looked at again. */
#define COPY_STEP_BYTES 8192u

/* Masked bytes to the end of the unfinished message, unmasked on the way, and text checked there. */
static int message_append(struct wsr_endpoint *ep, const uint8_t *p, size_t len)
{
    const struct wsr_kernels *kernels = ep->env->kernels;
    int error = message_room(ep, len);
    while (error == WSR_OK && len > 0) {
        size_t step = len < COPY_STEP_BYTES ? len : COPY_STEP_BYTES;
        uint8_t *to = ep->in->message->data + ep->in->message->len;
        ep->in->text.key = kernels->copy_mask(to, p, step, ep->in->text.key);
        if (ep->in->message_opcode == WSR_TEXT && !kernels->utf8(&ep->in->text, to, step))
            error = WSR_EUTF8;
        ep->in->message->len += step;
        p += step;
        len -= step;
    }
    return error;
}

/* "When an endpoint is to interpret a byte stream as UTF-8 but finds that [...] it is not", it fails at that byte (8.1). */
static int unmask_data(struct wsr_endpoint *ep, uint8_t *p, size_t len)
{
    const struct wsr_kernels *kernels = ep->env->kernels;
    bool masked = wsr_endpoint_role(ep) == WSR_SERVER;
    if (ep->in->message_opcode == WSR_TEXT) {
        bool good = masked ? kernels->unmask_utf8(&ep->in->text, p, len) : kernels->utf8(&ep->in->text, p, len);
        return good ? WSR_OK : WSR_EUTF8;
    }
    if (masked)
        ep->in->text.key = kernels->unmask(p, len, ep->in->text.key);
    return WSR_OK;
}

static void assembled(struct wsr_endpoint *ep, struct wsr_batch *batch)
{
    ep->assembled_bytes = ep->in->message->len < UINT32_MAX ? (uint32_t)ep->in->message->len : UINT32_MAX;
    message_done(ep, batch, ep->in->message->data, ep->in->message->len);
}

static int take_plain(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len)
{
    ep->in->left -= len;
    ep->in->in_payload = ep->in->left > 0;
    const bool message_ends = !ep->in->in_payload && (ep->in->first & WSR_FIN) != 0;
    const bool streams = (ep->flags & WSR_EP_STREAMS) != 0;
    const bool assembles = !streams && (!message_ends || ep->in->message != NULL); /* if not, all of it is here, and stays here */
    int error = assembles && len > 0 ? message_append(ep, p, len) : unmask_data(ep, p, len);
    if (error < 0)
        return error;
    if (message_ends && ep->in->text.pending != 0)
        return WSR_EUTF8;
    if (streams) {
        take_chunk(ep, batch, p, len, message_ends);
    } else if (message_ends && assembles) {
        assembled(ep, batch);
    } else if (message_ends) {
        message_done(ep, batch, p, len);
    }
    return WSR_OK;
}

/* The same for a compressed message: its bytes are inflated into ep->in->message, and whether it is streamed depends on these. */
static int take_deflated(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len)
{
    if (wsr_endpoint_role(ep) == WSR_SERVER)
        ep->in->text.key = ep->env->kernels->unmask(p, len, ep->in->text.key);
    ep->in->left -= len;
    ep->in->in_payload = ep->in->left > 0;
    bool message_ends = !ep->in->in_payload && (ep->in->first & WSR_FIN) != 0;
    int error = wsr_permessage_take(ep, p, len, message_ends);
    if (error < 0)
        return error;
    wsr_span inflated = ep->in->message != NULL ? (wsr_span){ep->in->message->data, ep->in->message->len} : (wsr_span){p, 0};
    if (inflated.len > ep->env->limits.whole_bytes_max)
        ep->flags |= WSR_EP_STREAMS;
    if ((ep->flags & WSR_EP_STREAMS) != 0) {
        take_chunk(ep, batch, inflated.ptr, inflated.len, message_ends);
        retire_message(ep);
    } else if (message_ends) {
        message_done(ep, batch, inflated.ptr, inflated.len);
    }
    return WSR_OK;
}

size_t wsr_message_take(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len, int *error)
{
    const wsr_limits *limits = &ep->env->limits;
    if (!wsr_permessage_is_deflated(ep, ep->in->first)) {
        *error = take_plain(ep, batch, p, len);
        return len;
    }
    if (limits->whole_bytes_max < limits->message_bytes_max && len > WSR_DEFLATED_STEP_BYTES)
        len = WSR_DEFLATED_STEP_BYTES;
    *error = take_deflated(ep, batch, p, len);
    return len;
}

/* ---- received where it shall be ---- */

/* Is the payload that follows one to be assembled as it comes? */
static bool assembles_plainly(const struct wsr_endpoint *ep)
{
    return ep->feed == wsr_receive_frames && ep->in != NULL && ep->in->in_payload && (ep->in->first & 0x08) == 0 && (ep->flags & WSR_EP_STREAMS) == 0 &&
           !wsr_permessage_is_deflated(ep, ep->in->first);
}

wsr_span wsr_endpoint_room(struct wsr_endpoint *ep)
{
    if (!assembles_plainly(ep) || ep->in->message == NULL || message_room(ep, 1) < 0)
        return (wsr_span){NULL, 0};
    const size_t room = wsr_chunk_room(ep->in->message);
    return (wsr_span){ep->in->message->data + ep->in->message->len, ep->in->left < room ? (size_t)ep->in->left : room};
}

bool wsr_endpoint_offer(struct wsr_endpoint *ep, struct wsr_chunk *chunk)
{
    if (!assembles_plainly(ep) || ep->in->message != NULL)
        return false;
    ep->in->message = chunk;
    return true;
}

void wsr_endpoint_filled(struct wsr_endpoint *ep, struct wsr_batch *batch, size_t n)
{
    wsr_endpoint_heard(ep, batch->now_ns);
    ep->in->left -= n;
    ep->in->in_payload = ep->in->left > 0;
    const bool message_ends = !ep->in->in_payload && (ep->in->first & WSR_FIN) != 0;
    int error = unmask_data(ep, ep->in->message->data + ep->in->message->len, n);
    ep->in->message->len += n;
    if (error == WSR_OK && message_ends && ep->in->text.pending != 0)
        error = WSR_EUTF8;
    if (error < 0)
        wsr_endpoint_fail(ep, batch->now_ns, error);
    else if (message_ends)
        assembled(ep, batch);
    wsr_receive_settle(ep, batch->now_ns);
    (void)wsr_endpoint_settle(ep, batch);
}
