/*
 * proto/receive.c - frames in: what the consume loop leaves. Headers that arrive in pieces, control frames, limits, and everything
 * that is wrong with a frame (RFC 6455 sections 5.2 to 5.5). The payload of data frames is message.c's.
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
#include "proto/message.h"
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
    memcpy(head, ep->in->head, sizeof head);
    head[1] &= 0x7F; /* the masking key may not be here yet */
    wsr_frame_header header;
    int n = wsr_frame_header_decode((wsr_slice){head, length_end(head)}, &header);
    assert(n != 0);
    *payload_len = n > 0 ? header.payload_len : 0;
    return n > 0 ? WSR_OK : n;
}

static int check_first(const struct wsr_endpoint *ep)
{
    unsigned frame_class = wsr_frame_class[wsr_permessage_of(ep) != NULL][ep->in->message_opcode != 0][ep->in->head[0]];
    return frame_class >= WSR_CLASS_RSV ? wsr_frame_class_error(frame_class) : WSR_OK;
}

static int check_second(const struct wsr_endpoint *ep)
{
    bool masked = (ep->in->head[1] & 0x80) != 0;
    /* "a client MUST mask all frames"; "A server MUST NOT mask any frames" (5.1) */
    if (wsr_endpoint_role(ep) == WSR_SERVER && !masked)
        return WSR_EUNMASKED;
    if (wsr_endpoint_role(ep) == WSR_CLIENT && masked)
        return WSR_EMASKED;
    /* "All control frames MUST have a payload length of 125 bytes or less" (5.5) */
    if ((ep->in->head[0] & 0x08) != 0 && (ep->in->head[1] & 0x7F) > WSR_CONTROL_PAYLOAD_MAX)
        return WSR_ECONTROL_LENGTH;
    return WSR_OK;
}

/* The length is known: the limits, before anything is kept for it. */
static int check_length(struct wsr_endpoint *ep, uint64_t payload_len)
{
    const wsr_limits *limits = &ep->env->limits;
    if ((ep->in->head[0] & 0x08) != 0)
        return ++ep->control_run > limits->control_frames_max ? WSR_EFLOOD : WSR_OK;
    ep->control_run = 0;
    if (wsr_permessage_is_deflated(ep, ep->in->head[0])) {
        int error = wsr_permessage_announce(ep, payload_len);
        if (error < 0)
            return error;
    } else if (payload_len > limits->message_bytes_max - wsr_message_present(ep)) { /* what is present never exceeds the limit */
        return WSR_EMESSAGE_SIZE;
    }
    if (payload_len == 0 && (ep->in->head[0] & WSR_FIN) == 0 && ++ep->in->empty_fragments > limits->empty_fragments_max)
        return WSR_EFLOOD;
    return WSR_OK;
}

/* All of the header has been seen and is good: its payload follows. */
static void begin_payload(struct wsr_endpoint *ep)
{
    int error = decode_length(ep, &ep->in->left);
    assert(error == WSR_OK);
    (void)error;
    ep->in->first = ep->in->head[0];
    ep->in->text.key = wsr_endpoint_role(ep) == WSR_SERVER ? wsr_load_key(ep->in->head + length_end(ep->in->head)) : 0;
    ep->in->head_len = 0;
    ep->in->in_payload = true;
    ep->frames_in++;
    unsigned opcode = ep->in->first & 0x0Fu;
    if (opcode == WSR_TEXT || opcode == WSR_BINARY)
        ep->in->message_opcode = (uint8_t)opcode;
}

/* Judges what the bytes up to `end` have just made known. */
static int judge(struct wsr_endpoint *ep, unsigned end)
{
    if (end == 1)
        return check_first(ep);
    int error = end == 2 ? check_second(ep) : WSR_OK;
    if (error == WSR_OK && end == length_end(ep->in->head)) {
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
        unsigned have = ep->in->head_len;
        unsigned end = have < 2 ? have + 1 : length_end(ep->in->head);
        if (have >= end)
            end += key_bytes;
        size_t take = end - have < len - took ? end - have : len - took;
        memcpy(ep->in->head + have, p + took, take);
        ep->in->head_len = (uint8_t)(have + take);
        took += take;
        if (ep->in->head_len < end)
            return took;
        *error = judge(ep, end);
        if (*error < 0)
            return took;
    } while (ep->in->head_len < 2 || ep->in->head_len < length_end(ep->in->head) + key_bytes);
    begin_payload(ep);
    return took;
}

/* ---- control frames ---- */

static int control_done(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *data, size_t len)
{
    wsr_slice payload = {data, len};
    switch (ep->in->first & 0x0F) {
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
            const struct wsr_framer *framer = wsr_endpoint_framer(ep);
            int error = wsr_outbox_control(&ep->out, framer, WSR_PONG, payload);
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
        ep->in->text.key = ep->env->kernels->unmask(p, len, ep->in->text.key);
    }
    ep->in->left -= len;
    ep->in->in_payload = ep->in->left > 0;
    if (!ep->in->in_payload && ep->in->control == NULL)
        return control_done(ep, batch, p, len);

    if (ep->in->control == NULL)
        ep->in->control = wsr_pool_get(&ep->env->pool, WSR_CONTROL_PAYLOAD_MAX);
    if (ep->in->control == NULL)
        return WSR_ENOMEM;
    memcpy(ep->in->control->data + ep->in->control->len, p, len);
    ep->in->control->len += len;
    if (ep->in->in_payload)
        return WSR_OK;
    struct wsr_chunk *whole = ep->in->control;
    ep->in->control = NULL;
    wsr_env_retire(ep->env, whole);
    return control_done(ep, batch, whole->data, whole->len);
}

/* ---- what was begun ---- */

static void begin(struct wsr_endpoint *ep)
{
    if (ep->in != NULL)
        return;
    ep->in = &ep->env->incoming;
    *ep->in = (struct wsr_incoming){0};
}

static bool is_between_frames(const struct wsr_endpoint *ep)
{
    return !wsr_endpoint_in_payload(ep) && !wsr_endpoint_in_header(ep);
}

static bool is_between_messages(const struct wsr_endpoint *ep)
{
    return is_between_frames(ep) && (ep->in == NULL || ep->in->message_opcode == 0);
}

void wsr_receive_fini(struct wsr_endpoint *ep)
{
    struct wsr_incoming *in = ep->in;
    struct wsr_pool *pool = &ep->env->pool;
    ep->in = NULL;
    if (in == NULL)
        return;
    if (in->message != NULL)
        wsr_pool_put(pool, in->message);
    if (in->control != NULL)
        wsr_pool_put(pool, in->control);
    if (in->memory != NULL)
        wsr_pool_put(pool, in->memory);
}

static int keep(struct wsr_endpoint *ep)
{
    struct wsr_chunk *memory = wsr_pool_get(&ep->env->pool, sizeof *ep->in);
    if (memory == NULL)
        return WSR_ENOMEM;
    struct wsr_incoming *in = (struct wsr_incoming *)(void *)memory->bytes;
    *in = *ep->in;
    in->memory = memory;
    ep->in = in;
    return WSR_OK;
}

void wsr_receive_settle(struct wsr_endpoint *ep, uint64_t now_ns)
{
    if (ep->in == NULL)
        return;
    if (!is_between_messages(ep) && ep->in->memory == NULL && keep(ep) < 0)
        wsr_endpoint_fail(ep, now_ns, WSR_ENOMEM);
    if (is_between_messages(ep) || ep->feed != wsr_receive_frames)
        wsr_receive_fini(ep);
}

/* ---- the feeds ---- */

/* One frame's header, or a run of its payload. Returns the bytes taken. */
static size_t take_piece(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len, int *error)
{
    size_t took = 0;
    *error = WSR_OK;
    begin(ep);
    if (!ep->in->in_payload) {
        took = take_header(ep, p, len, error);
        if (*error < 0 || !ep->in->in_payload)
            return took;
        if ((ep->in->first & 0x08) == 0)
            wsr_message_frame(ep, batch);
        if (batch->n == batch->cap) /* what was assembled took the last place */
            return took;
    }
    size_t take = ep->in->left < len - took ? (size_t)ep->in->left : len - took;
    if (take == 0 && ep->in->left > 0)
        return took;
    if ((ep->in->first & 0x08) == 0)
        return took + wsr_message_take(ep, batch, p + took, take, error);
    *error = take_control(ep, batch, p + took, take);
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
        if (is_between_messages(ep)) {
            done += env->consume->run(ep, batch, p + done, len - done, &error);
            if (error == WSR_OK && (done == len || batch->n == batch->cap))
                break;
        }
        if (error == WSR_OK && is_between_frames(ep) && close_waits(ep, p[done]))
            break;
        if (error == WSR_OK)
            done += take_piece(ep, batch, p + done, len - done, &error);
        if (error < 0)
            wsr_endpoint_fail(ep, batch->now_ns, error);
    }
    wsr_receive_settle(ep, batch->now_ns);
    return done;
}

size_t wsr_receive_discard(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len)
{
    (void)ep;
    (void)batch;
    (void)p;
    return len;
}
