/*
 * proto/prepared.c - see prepared.h.
 */
#include "proto/prepared.h"

#include <string.h>

#include "proto/frame.h"
#include "proto/permessage.h"

static uint8_t first_byte(wsr_opcode opcode, unsigned rsv)
{
    return (uint8_t)(WSR_FIN | rsv | ((unsigned)opcode & 0x0F));
}

/* A frame in a chunk of its own. */
static int make_frame(struct wsr_made *made, struct wsr_pool *pool, uint8_t first, wsr_slice payload)
{
    struct wsr_chunk *chunk = wsr_pool_get(pool, wsr_frame_header_size(payload.len, false) + payload.len);
    if (chunk == NULL)
        return WSR_ENOMEM;
    const unsigned n = wsr_frame_header_encode(chunk->data, first, payload.len, NULL);
    if (payload.len > 0)
        memcpy(chunk->data + n, payload.ptr, payload.len);
    chunk->len = n + payload.len;
    *made = (struct wsr_made){chunk, {chunk->data, chunk->len}};
    return WSR_OK;
}

/* A frame around a payload that lies in a chunk, with headroom before it that is nobody's. */
static void make_around(struct wsr_made *made, struct wsr_chunk *chunk, uint8_t first)
{
    uint8_t header[WSR_FRAME_HEADER_MAX];
    const unsigned n = wsr_frame_header_encode(header, first, chunk->len, NULL);
    uint8_t *frame = (uint8_t *)chunk + offsetof(struct wsr_chunk, bytes) - n;
    memcpy(frame, header, n);
    *made = (struct wsr_made){chunk, {frame, n + chunk->len}};
}

int wsr_prepared_make(struct wsr_prepared **out, struct wsr_env *env, wsr_opcode opcode, wsr_slice payload)
{
    if (!wsr_opcode_is_data(opcode))
        return WSR_EINVAL;
    if (payload.len > env->limits.outbox_bytes_max)
        return WSR_ETOOBIG;
    struct wsr_chunk *memory = wsr_pool_get(&env->pool, sizeof(struct wsr_prepared));
    if (memory == NULL)
        return WSR_ENOMEM;
    struct wsr_prepared *prepared = (struct wsr_prepared *)(void *)memory->data;
    *prepared = (struct wsr_prepared){.memory = memory, .env = env, .opcode = opcode};
    struct wsr_chunk *whole = wsr_env_share(env, payload);
    if (whole != NULL) {
        make_around(&prepared->plain, whole, first_byte(opcode, 0));
    } else if (make_frame(&prepared->plain, &env->pool, first_byte(opcode, 0), payload) < 0) {
        wsr_pool_put(&env->pool, memory);
        return WSR_ENOMEM;
    }
    const wsr_slice frame = prepared->plain.frame;
    prepared->payload = (wsr_slice){frame.ptr + frame.len - payload.len, payload.len};
    *out = prepared;
    return WSR_OK;
}

void wsr_prepared_release(struct wsr_prepared *prepared)
{
    struct wsr_pool *pool = &prepared->env->pool;
    for (unsigned i = 0; i < prepared->deflated_n; i++)
        if (prepared->deflated[i].made.chunk != NULL)
            wsr_pool_put(pool, prepared->deflated[i].made.chunk);
    wsr_pool_put(pool, prepared->plain.chunk);
    wsr_pool_put(pool, prepared->memory);
}

/* As endpoints like this one have it compressed; made->chunk stays NULL where it would be no smaller. */
static int make_deflated(struct wsr_made *made, const struct wsr_prepared *prepared, struct wsr_endpoint *ep)
{
    struct wsr_chunk *deflated;
    wsr_permessage_deflate(ep, prepared->payload, &deflated);
    if (deflated == NULL)
        return WSR_OK;
    const int error = make_frame(made, &prepared->env->pool, first_byte(prepared->opcode, WSR_RSV1), (wsr_slice){deflated->data, deflated->len});
    wsr_permessage_sent(ep, deflated, error == WSR_OK);
    return error;
}

/* The same for all of its kind: the first of them has it made. NULL: not to be had, but for it alone. */
static const struct wsr_made *deflated_for(struct wsr_prepared *prepared, struct wsr_endpoint *ep, const struct wsr_permessage *deflate)
{
    const uint8_t level = deflate->level, window_bits = (uint8_t)deflate->send.window_bits;
    unsigned i = 0;
    while (i < prepared->deflated_n && (prepared->deflated[i].level != level || prepared->deflated[i].window_bits != window_bits))
        i++;
    if (i == WSR_PREPARED_DEFLATED_MAX)
        return NULL;
    struct wsr_made *made = &prepared->deflated[i].made;
    if (i == prepared->deflated_n) {
        if (make_deflated(made, prepared, ep) < 0)
            return NULL;
        prepared->deflated[i].level = level;
        prepared->deflated[i].window_bits = window_bits;
        prepared->deflated_n++;
    }
    return made->chunk != NULL ? made : &prepared->plain;
}

/* The frame that goes to this endpoint; NULL: it needs one of its own. */
static const struct wsr_made *frame_for(struct wsr_prepared *prepared, struct wsr_endpoint *ep)
{
    if ((ep->flags & WSR_EP_MASKS) != 0)
        return NULL;
    const struct wsr_permessage *deflate = wsr_permessage_of(ep);
    const bool deflates = deflate != NULL && (prepared->opcode == WSR_TEXT || prepared->opcode == WSR_BINARY) &&
                          prepared->payload.len >= deflate->threshold_bytes;
    if (!deflates)
        return &prepared->plain;
    return deflate->send.takeover ? NULL : deflated_for(prepared, ep, deflate);
}

int wsr_endpoint_send_prepared(struct wsr_endpoint *ep, struct wsr_prepared *prepared)
{
    const wsr_slice payload = prepared->payload;
    int error = wsr_endpoint_admit(ep, prepared->opcode, payload.len);
    if (error < 0)
        return error;
    const struct wsr_made *made = frame_for(prepared, ep);
    if (made == NULL)
        return wsr_endpoint_send_late(ep, prepared->opcode, payload, 0);
    return wsr_outbox_made(&ep->out, &ep->env->pool, made->chunk, made->frame, payload.len);
}
