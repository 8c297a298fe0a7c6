/*
 * proto/receive.c - frames in: what the consume loop leaves. Frames that arrive in pieces, fragments, control frames,
 * limits, and everything that is wrong with a frame (RFC 6455 sections 5.2 to 5.5, 8.1).
 *
 * An error is named with the same byte, whatever the split, and that is the first that proves it but for the length, which is
 * judged when its field is whole: the checks stand in the order of the bytes.
 */
#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "proto/consume.h"
#include "proto/endpoint.h"
#include "proto/frame.h"
#include "proto/keepalive.h"
#include "proto/permessage.h"

/* ---- the header ---- */

/* Where the length field ends, once two bytes are there. */
static unsigned length_end(const uint8_t *head)
{
    unsigned short_len = head[1] & 0x7Fu;
    return short_len < 126 ? 2 : short_len == 126 ? 4 : 10;
}

/* The payload's length, once its field is there; or the error of its form. */
static int decode_length(const struct wsr_endpoint *ep, uint64_t *payload_len)
{
    uint8_t head[10];
    memcpy(head, ep->head, sizeof head);
    head[1] &= 0x7F; /* the masking key may not be here yet */
    wsr_frame_header header;
    int n = wsr_frame_header_decode((wsr_slice){head, length_end(head)}, &header);
    assert(n != 0);
    *payload_len = n > 0 ? header.payload_len : 0;
    return n > 0 ? WSR_OK : n;
}

static int check_first(const struct wsr_endpoint *ep)
{
    unsigned frame_class = wsr_frame_class[ep->deflate != NULL][ep->message_opcode != 0][ep->head[0]];
    return frame_class >= WSR_CLASS_RSV ? wsr_frame_class_error(frame_class) : WSR_OK;
}

static int check_second(const struct wsr_endpoint *ep)
{
    bool masked = (ep->head[1] & 0x80) != 0;
    /* "a client MUST mask all frames"; "A server MUST NOT mask any frames" (5.1) */
    if (wsr_endpoint_role(ep) == WSR_SERVER && !masked)
        return WSR_EUNMASKED;
    if (wsr_endpoint_role(ep) == WSR_CLIENT && masked)
        return WSR_EMASKED;
    /* "All control frames MUST have a payload length of 125 bytes or less" (5.5) */
    if ((ep->head[0] & 0x08) != 0 && (ep->head[1] & 0x7F) > WSR_CONTROL_PAYLOAD_MAX)
        return WSR_ECONTROL_LENGTH;
    return WSR_OK;
}

/* Payload bytes of the open message that came before the current frame's rest. */
static uint64_t bytes_present(const struct wsr_endpoint *ep)
{
    return ep->streamed + (ep->message != NULL ? ep->message->len : 0);
}

/* The length is known: the limits, before anything is kept for it. */
static int check_length(struct wsr_endpoint *ep, uint64_t payload_len)
{
    const wsr_limits *limits = &ep->env->limits;
    if ((ep->head[0] & 0x08) != 0)
        return ++ep->control_run > limits->control_frames_max ? WSR_EFLOOD : WSR_OK;
    ep->control_run = 0;
    if (wsr_permessage_is_deflated(ep, ep->head[0])) {
        int error = wsr_permessage_announce(ep, payload_len);
        if (error < 0)
            return error;
    } else if (payload_len > limits->message_bytes_max - bytes_present(ep)) { /* what is present never exceeds the limit */
        return WSR_EMESSAGE_SIZE;
    }
    if (payload_len == 0 && (ep->head[0] & WSR_FIN) == 0 && ++ep->empty_fragments > limits->empty_fragments_max)
        return WSR_EFLOOD;
    return WSR_OK;
}

/* All of the header has been seen and is good: its payload follows. */
static void begin_payload(struct wsr_endpoint *ep)
{
    int error = decode_length(ep, &ep->left);
    assert(error == WSR_OK);
    (void)error;
    ep->first = ep->head[0];
    ep->text.key = wsr_endpoint_role(ep) == WSR_SERVER ? wsr_load_key(ep->head + length_end(ep->head)) : 0;
    ep->head_len = 0;
    ep->in_payload = true;
    ep->frames_in++;
    unsigned opcode = ep->first & 0x0Fu;
    if (opcode == WSR_TEXT || opcode == WSR_BINARY)
        ep->message_opcode = (uint8_t)opcode;
}

/* Judges what the bytes up to `end` have just made known. */
static int judge(struct wsr_endpoint *ep, unsigned end)
{
    if (end == 1)
        return check_first(ep);
    int error = end == 2 ? check_second(ep) : WSR_OK;
    if (error == WSR_OK && end == length_end(ep->head)) {
        uint64_t payload_len;
        error = decode_length(ep, &payload_len);
        if (error == WSR_OK)
            error = check_length(ep, payload_len);
    }
    return error;
}

/*
 * Takes header bytes, one stage (first byte, second, length, key) after another, and judges each as soon as it is whole.
 * Returns the bytes taken; *error as found.
 */
static size_t take_header(struct wsr_endpoint *ep, const uint8_t *p, size_t len, int *error)
{
    const unsigned key_bytes = wsr_endpoint_role(ep) == WSR_SERVER ? 4 : 0;
    size_t took = 0;
    *error = WSR_OK;
    do {
        unsigned have = ep->head_len;
        unsigned end = have < 2 ? have + 1 : length_end(ep->head);
        if (have >= end)
            end += key_bytes;
        size_t take = end - have < len - took ? end - have : len - took;
        memcpy(ep->head + have, p + took, take);
        ep->head_len = (uint8_t)(have + take);
        took += take;
        if (ep->head_len < end)
            return took;
        *error = judge(ep, end);
        if (*error < 0)
            return took;
    } while (ep->head_len < 2 || ep->head_len < length_end(ep->head) + key_bytes);
    begin_payload(ep);
    return took;
}

/* ---- the payload of data frames ---- */

static wsr_event *emit_data(struct wsr_endpoint *ep, struct wsr_batch *batch, wsr_event_type type, uint8_t *data, size_t len)
{
    wsr_event *event = wsr_endpoint_emit(ep, batch, type, data, len);
    event->opcode = ep->message_opcode;
    event->flags = (ep->flags & WSR_EP_AFTER_CLOSE) != 0 ? WSR_EVENT_AFTER_CLOSE : 0;
    if (wsr_permessage_is_deflated(ep, ep->first))
        event->flags |= WSR_EVENT_DEFLATED;
    return event;
}

/* The event shows all of it. */
static void retire_message(struct wsr_endpoint *ep)
{
    if (ep->message != NULL)
        wsr_env_retire(ep->env, ep->message);
    ep->message = NULL;
}

/* The message of so many bytes was delivered. */
static void message_over(struct wsr_endpoint *ep, uint64_t bytes)
{
    ep->messages_in++;
    ep->bytes_in += bytes;
    ep->message_opcode = 0;
    ep->empty_fragments = 0;
    ep->text = (wsr_text_state){0};
    if (ep->deflate != NULL)
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
    event->flags |= ep->streamed == 0 ? WSR_EVENT_FIRST : 0; /* no chunk but the last is empty, and that is never alone */
    ep->streamed += len;
    return event;
}

/*
 * A frame's header says that the message will be larger than what is delivered whole: the same for every split, since a
 * frame's length counts and not what of it has come. What was assembled of the frames before goes first.
 */
static void stream_from_here(struct wsr_endpoint *ep, struct wsr_batch *batch)
{
    if ((ep->flags & WSR_EP_STREAMS) != 0 || ep->left <= ep->env->limits.whole_bytes_max - bytes_present(ep))
        return;
    ep->flags |= WSR_EP_STREAMS;
    if (ep->message != NULL)
        (void)emit_chunk(ep, batch, ep->message->data, ep->message->len);
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
    message_over(ep, ep->streamed);
    ep->streamed = 0;
    ep->flags &= (uint16_t)~(unsigned)WSR_EP_STREAMS;
}

/*
 * How much more room the unfinished message should have behind `total` bytes of it, so that memory follows what a peer sends
 * and not what it announces: three times as much again, or what its last message had; less if the frame's rest is less and
 * ends the message, or if the limit is near.
 */
static size_t room_ahead(const struct wsr_endpoint *ep, size_t total)
{
    uint64_t most = ep->env->limits.message_bytes_max - total, earned = 3 * (uint64_t)total;
    if ((ep->first & WSR_FIN) != 0)
        most = ep->left;
    if (ep->assembled_bytes > total && ep->assembled_bytes - total > earned)
        earned = ep->assembled_bytes - total;
    return most < earned ? (size_t)most : (size_t)earned;
}

/* Room for len bytes more behind the unfinished message: ep->left is what follows them in their frame. */
static int message_room(struct wsr_endpoint *ep, size_t len)
{
    struct wsr_pool *pool = &ep->env->pool;
    size_t present = ep->message != NULL ? ep->message->len : 0;
    if (ep->message != NULL && wsr_chunk_room(ep->message) >= len)
        return WSR_OK;
    size_t room = len + room_ahead(ep, present + len);
    struct wsr_chunk *chunk = ep->message == NULL ? wsr_pool_get(pool, room) : wsr_pool_grow(pool, ep->message, room);
    if (chunk == NULL)
        return WSR_ENOMEM;
    ep->message = chunk;
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
        uint8_t *to = ep->message->data + ep->message->len;
        ep->text.key = kernels->copy_mask(to, p, step, ep->text.key);
        if (ep->message_opcode == WSR_TEXT && !kernels->utf8(&ep->text, to, step))
            error = WSR_EUTF8;
        ep->message->len += step;
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
    if (ep->message_opcode == WSR_TEXT) {
        bool good = masked ? kernels->unmask_utf8(&ep->text, p, len) : kernels->utf8(&ep->text, p, len);
        return good ? WSR_OK : WSR_EUTF8;
    }
    if (masked)
        ep->text.key = kernels->unmask(p, len, ep->text.key);
    return WSR_OK;
}

static void assembled(struct wsr_endpoint *ep, struct wsr_batch *batch)
{
    ep->assembled_bytes = ep->message->len < UINT32_MAX ? (uint32_t)ep->message->len : UINT32_MAX;
    message_done(ep, batch, ep->message->data, ep->message->len);
}

static int take_data(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len)
{
    ep->left -= len;
    ep->in_payload = ep->left > 0;
    const bool message_ends = !ep->in_payload && (ep->first & WSR_FIN) != 0;
    const bool streams = (ep->flags & WSR_EP_STREAMS) != 0;
    const bool assembles = !streams && (!message_ends || ep->message != NULL); /* if not, all of it is here, and stays here */
    int error = assembles && len > 0 ? message_append(ep, p, len) : unmask_data(ep, p, len);
    if (error < 0)
        return error;
    if (message_ends && ep->text.pending != 0)
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

/* Is the payload that follows one to be assembled as it comes? */
static bool assembles_plainly(const struct wsr_endpoint *ep)
{
    return ep->feed == wsr_receive_frames && ep->in_payload && (ep->first & 0x08) == 0 && (ep->flags & WSR_EP_STREAMS) == 0 &&
           !wsr_permessage_is_deflated(ep, ep->first);
}

wsr_span wsr_endpoint_room(struct wsr_endpoint *ep)
{
    if (ep->message == NULL || !assembles_plainly(ep) || message_room(ep, 1) < 0)
        return (wsr_span){NULL, 0};
    const size_t room = wsr_chunk_room(ep->message);
    return (wsr_span){ep->message->data + ep->message->len, ep->left < room ? (size_t)ep->left : room};
}

bool wsr_endpoint_offer(struct wsr_endpoint *ep, struct wsr_chunk *chunk)
{
    if (ep->message != NULL || !assembles_plainly(ep))
        return false;
    ep->message = chunk;
    return true;
}

void wsr_endpoint_filled(struct wsr_endpoint *ep, struct wsr_batch *batch, size_t n)
{
    ep->received_ns = batch->now_ns;
    ep->flags &= (uint16_t)~(unsigned)WSR_EP_PINGED;
    ep->left -= n;
    ep->in_payload = ep->left > 0;
    const bool message_ends = !ep->in_payload && (ep->first & WSR_FIN) != 0;
    int error = unmask_data(ep, ep->message->data + ep->message->len, n);
    ep->message->len += n;
    if (error == WSR_OK && message_ends && ep->text.pending != 0)
        error = WSR_EUTF8;
    if (error < 0)
        wsr_endpoint_fail(ep, batch->now_ns, error);
    else if (message_ends)
        assembled(ep, batch);
    (void)wsr_endpoint_settle(ep, batch);
}

/* The same for a compressed message: its bytes are inflated into ep->message, and whether it is streamed depends on these. */
static int take_deflated(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len)
{
    if (wsr_endpoint_role(ep) == WSR_SERVER)
        ep->text.key = ep->env->kernels->unmask(p, len, ep->text.key);
    ep->left -= len;
    ep->in_payload = ep->left > 0;
    bool message_ends = !ep->in_payload && (ep->first & WSR_FIN) != 0;
    int error = wsr_permessage_take(ep, p, len, message_ends);
    if (error < 0)
        return error;
    wsr_span inflated = ep->message != NULL ? (wsr_span){ep->message->data, ep->message->len} : (wsr_span){p, 0};
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

/* ---- control frames ---- */

static int control_done(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *data, size_t len)
{
    wsr_slice payload = {data, len};
    switch (ep->first & 0x0F) {
    case WSR_CLOSE: {
        uint16_t code;
        wsr_slice reason;
        wsr_role peer = wsr_endpoint_role(ep) == WSR_SERVER ? WSR_CLIENT : WSR_SERVER;
        int error = wsr_close_payload_parse(payload, peer, &code, &reason);
        if (error < 0)
            return error;
        wsr_ending_peer_close(ep, batch->now_ns, code, reason);
        return WSR_OK;
    }
    case WSR_PING:
        /* "unless it already received a Close frame": after our own Close nothing may follow it either (5.5.1, 5.5.2) */
        if (wsr_close_is_open(&ep->close)) {
            struct wsr_framer framer = wsr_endpoint_framer(ep);
            int error = wsr_outbox_control(&ep->out, &framer, WSR_PONG, payload);
            if (error < 0)
                return error;
        }
        (void)wsr_endpoint_emit(ep, batch, WSR_EVENT_PING, data, len);
        return WSR_OK;
    default:
        if (!wsr_keepalive_pong(ep, batch->now_ns, payload))
            (void)wsr_endpoint_emit(ep, batch, WSR_EVENT_PONG, data, len);
        return WSR_OK;
    }
}

static int take_control(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len)
{
    if (wsr_endpoint_role(ep) == WSR_SERVER) {
        /* the message's text state stays out of this: only its key is lent */
        ep->text.key = ep->env->kernels->unmask(p, len, ep->text.key);
    }
    ep->left -= len;
    ep->in_payload = ep->left > 0;
    if (!ep->in_payload && ep->control == NULL)
        return control_done(ep, batch, p, len);

    if (ep->control == NULL)
        ep->control = wsr_pool_get(&ep->env->pool, WSR_CONTROL_PAYLOAD_MAX);
    if (ep->control == NULL)
        return WSR_ENOMEM;
    memcpy(ep->control->data + ep->control->len, p, len);
    ep->control->len += len;
    if (ep->in_payload)
        return WSR_OK;
    struct wsr_chunk *whole = ep->control;
    ep->control = NULL;
    wsr_env_retire(ep->env, whole);
    return control_done(ep, batch, whole->data, whole->len);
}

/* ---- the feeds ---- */

/* One frame's header, or a run of its payload. Returns the bytes taken. */
static size_t take_piece(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len, int *error)
{
    size_t took = 0;
    *error = WSR_OK;
    if (!ep->in_payload) {
        took = take_header(ep, p, len, error);
        if (*error < 0 || !ep->in_payload)
            return took;
        if ((ep->first & 0x08) == 0 && !wsr_permessage_is_deflated(ep, ep->first))
            stream_from_here(ep, batch);
        if (batch->n == batch->cap) /* what was assembled took the last place */
            return took;
    }
    size_t take = ep->left < len - took ? (size_t)ep->left : len - took;
    if (take == 0 && ep->left > 0)
        return took;
    if ((ep->first & 0x08) != 0) {
        *error = take_control(ep, batch, p + took, take);
    } else if (!wsr_permessage_is_deflated(ep, ep->first)) {
        *error = take_data(ep, batch, p + took, take);
    } else {
        const wsr_limits *limits = &ep->env->limits;
        if (limits->whole_bytes_max < limits->message_bytes_max && take > WSR_DEFLATED_STEP_BYTES)
            take = WSR_DEFLATED_STEP_BYTES;
        *error = take_deflated(ep, batch, p + took, take);
    }
    return took + take;
}

/*
 * A Close is not taken in the batch that holds messages from before it: the application shall see those, and may answer
 * them, while it still can.
 */
static bool close_waits(const struct wsr_endpoint *ep, uint8_t first)
{
    return (first & 0x0F) == WSR_CLOSE && ep->emitted_in == ep->env->batch_serial && wsr_close_is_open(&ep->close);
}

size_t wsr_receive_frames(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len)
{
    size_t done = 0;
    const struct wsr_env *env = ep->env;
    while (done < len && batch->n < batch->cap && ep->feed == wsr_receive_frames && env->retired_bytes < env->batch_bytes_max) {
        int error = WSR_OK;
        if (!ep->in_payload && ep->head_len == 0 && ep->message_opcode == 0) {
            done += env->consume->run(ep, batch, p + done, len - done, &error);
            if (error == WSR_OK && (done == len || batch->n == batch->cap))
                break;
        }
        if (error == WSR_OK && !ep->in_payload && ep->head_len == 0 && close_waits(ep, p[done]))
            break;
        if (error == WSR_OK)
            done += take_piece(ep, batch, p + done, len - done, &error);
        if (error < 0)
            wsr_endpoint_fail(ep, batch->now_ns, error);
    }
    return done;
}

size_t wsr_receive_discard(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len)
{
    (void)ep;
    (void)batch;
    (void)p;
    return len;
}

void wsr_receive_fini(struct wsr_endpoint *ep)
{
    if (ep->message != NULL)
        wsr_pool_put(&ep->env->pool, ep->message);
    if (ep->control != NULL)
        wsr_pool_put(&ep->env->pool, ep->control);
    ep->message = ep->control = NULL;
}
