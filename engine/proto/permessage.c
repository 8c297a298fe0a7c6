/*
 * proto/permessage.c - see permessage.h.
 */
#include "proto/permessage.h"

#include <assert.h>
#include <string.h>

#define THRESHOLD_DEFAULT 128u

/* Decompressors kept for the next message; more are opened as more messages are coming in at once. */
#define SPARE_INFLATERS_MAX 4u

/* ---- what the endpoints of an engine share ---- */

/* A compressor for messages without takeover. There are no more of these than levels configured times window sizes. */
struct wsr_shared_deflater {
    struct wsr_chunk *memory; /* holds this struct */
    struct wsr_shared_deflater *next;
    struct wsr_codec *codec;
    uint8_t level, window_bits;
};

static const struct wsr_deflate_ops *ops_of(const struct wsr_env *env, unsigned level)
{
    return level == 0 ? env->deflate.fast : env->deflate.small;
}

static struct wsr_codec *shared_deflater(struct wsr_env *env, unsigned level, unsigned window_bits)
{
    struct wsr_shared_deflater *shared = env->deflate.shared;
    while (shared != NULL && (shared->level != level || shared->window_bits != window_bits))
        shared = shared->next;
    if (shared != NULL)
        return shared->codec;

    struct wsr_chunk *memory = wsr_pool_get(&env->pool, sizeof *shared);
    if (memory == NULL)
        return NULL;
    struct wsr_codec *codec = ops_of(env, level)->open(&env->pool, level, window_bits, false);
    if (codec == NULL) {
        wsr_pool_put(&env->pool, memory);
        return NULL;
    }
    shared = (struct wsr_shared_deflater *)(void *)memory->data;
    *shared = (struct wsr_shared_deflater){memory, env->deflate.shared, codec, (uint8_t)level, (uint8_t)window_bits};
    env->deflate.shared = shared;
    return codec;
}

/* One for messages that stand alone, whatever their window. */
static struct wsr_codec *borrow_inflater(struct wsr_env *env)
{
    if (env->deflate.spares_n == 0)
        return env->deflate.inflate->open(&env->pool, WSR_WINDOW_BITS_MAX);
    struct wsr_codec *codec = env->deflate.spares[--env->deflate.spares_n];
    env->deflate.inflate->reset(codec);
    return codec;
}

static void give_back_inflater(struct wsr_env *env, struct wsr_codec *codec)
{
    if (env->deflate.spares_n < SPARE_INFLATERS_MAX)
        env->deflate.spares[env->deflate.spares_n++] = codec;
    else
        env->deflate.inflate->close(codec);
}

void wsr_permessage_release(struct wsr_env *env)
{
    while (env->deflate.spares_n > 0)
        env->deflate.inflate->close(env->deflate.spares[--env->deflate.spares_n]);
    while (env->deflate.shared != NULL) {
        struct wsr_shared_deflater *shared = env->deflate.shared;
        env->deflate.shared = shared->next;
        ops_of(env, shared->level)->close(shared->codec);
        wsr_pool_put(&env->pool, shared->memory);
    }
}

/* ---- life ---- */

int wsr_permessage_open(struct wsr_endpoint *ep, const wsr_deflate *config, const struct wsr_deflate_agreed *agreed)
{
    assert(agreed->on && wsr_permessage_of(ep) == NULL);
    struct wsr_chunk *memory = wsr_pool_get(&ep->env->pool, sizeof(struct wsr_permessage));
    if (memory == NULL)
        return WSR_ENOMEM;
    *(struct wsr_permessage *)(void *)memory->bytes = (struct wsr_permessage){
        .threshold_bytes = config->threshold_bytes != 0 ? config->threshold_bytes : THRESHOLD_DEFAULT,
        .level = config->level,
        .send = agreed->send,
        .receive = agreed->receive,
    };
    wsr_aside_put(ep, WSR_ASIDE_DEFLATE, memory);
    return WSR_OK;
}

void wsr_permessage_close(struct wsr_endpoint *ep)
{
    struct wsr_permessage *deflate = wsr_permessage_of(ep);
    if (deflate == NULL)
        return;
    if (deflate->deflater != NULL)
        ops_of(ep->env, deflate->level)->close(deflate->deflater);
    if (deflate->inflater != NULL)
        ep->env->deflate.inflate->close(deflate->inflater);
    wsr_pool_put(&ep->env->pool, wsr_aside_take(ep, WSR_ASIDE_DEFLATE));
}

size_t wsr_permessage_bytes(const struct wsr_endpoint *ep)
{
    const struct wsr_permessage *deflate = wsr_permessage_of(ep);
    size_t bytes = 0;
    if (deflate != NULL && deflate->deflater != NULL)
        bytes += deflate->deflater->bytes;
    if (deflate != NULL && deflate->inflater != NULL)
        bytes += deflate->inflater->bytes;
    return bytes;
}

/* ---- in ---- */

int wsr_permessage_announce(struct wsr_endpoint *ep, uint64_t payload_len)
{
    /*
     * The limit is for what comes out. But DEFLATE has blocks that hold nothing, so what goes in is to have an end too: the most that
     * a sender can need is 9 bits a byte, or, if it flushes behind every byte, several bytes for each; twice the limit is
     * never short of the former, nor of the latter but for messages that nearly fill the limit.
     */
    const uint64_t max = 2 * ep->env->limits.message_bytes_max + 1024;
    struct wsr_permessage *deflate = wsr_permessage_of(ep);
    if (payload_len > max - deflate->wire_bytes)
        return WSR_EMESSAGE_SIZE;
    deflate->wire_bytes += payload_len;
    return WSR_OK;
}

/*
 * Room behind the unfinished message, at least one byte of it, at most as many as the limit leaves and one, which tells that
 * the limit is passed. It follows what has come out: twice as much each time. len: of the input that is there to fill it.
 */
static int make_room(struct wsr_endpoint *ep, size_t len, wsr_span *room)
{
    struct wsr_pool *pool = &ep->env->pool;
    struct wsr_chunk *chunk = ep->in->message;
    const size_t present = chunk != NULL ? chunk->len : 0;
    const size_t left = (size_t)(ep->env->limits.message_bytes_max + 1 - ep->in->streamed - present);
    if (chunk == NULL || wsr_chunk_room(chunk) == 0) {
        size_t more = present > 4 * len ? present : 4 * len + 64;
        more = more < left ? more : left;
        chunk = chunk == NULL ? wsr_pool_get(pool, more) : wsr_pool_grow(pool, chunk, more);
        if (chunk == NULL)
            return WSR_ENOMEM;
        ep->in->message = chunk;
    }
    size_t there = wsr_chunk_room(chunk);
    *room = (wsr_span){chunk->data + present, there < left ? there : left};
    return WSR_OK;
}

/* n bytes came out, behind the message. */
static int check_inflated(struct wsr_endpoint *ep, size_t n)
{
    struct wsr_chunk *chunk = ep->in->message;
    const uint8_t *p = chunk->data + chunk->len;
    chunk->len += n;
    if (ep->in->message_opcode == WSR_TEXT && !ep->env->kernels->utf8(&ep->in->text, p, n))
        return WSR_EUTF8;
    return ep->in->streamed + chunk->len > ep->env->limits.message_bytes_max ? WSR_EMESSAGE_SIZE : WSR_OK;
}

/* Inflates all of `in`, whatever comes out, behind the message. */
static int inflate_all(struct wsr_endpoint *ep, wsr_slice in)
{
    const struct wsr_inflate_ops *ops = ep->env->deflate.inflate;
    struct wsr_codec *inflater = wsr_permessage_of(ep)->inflater;
    for (bool more = true; more;) {
        wsr_span room;
        int error = make_room(ep, in.len, &room);
        if (error < 0)
            return error;
        const size_t had = room.len;
        int inflated = ops->run(inflater, &in, &room);
        /* What came out before an error comes before it: the first bad byte is the one that is named. */
        error = check_inflated(ep, had - room.len);
        if (error < 0)
            return error;
        if (inflated < 0)
            return inflated;
        more = room.len == 0;
    }
    return WSR_OK;
}

/*
 * "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message" (section 7.2.2). They are the rest of an
 * empty block whose beginning the payload ends with, if but by a zero byte (7.2.3.4 and 7.2.3.6). There are senders that leave that out
 * where zlib does not write it, behind a final block and for a last fragment that is empty: what is whole without is taken so.
 */
static int finish(struct wsr_endpoint *ep)
{
    static const uint8_t tail[4] = {0, 0, 0xFF, 0xFF};
    const struct wsr_inflate_ops *ops = ep->env->deflate.inflate;
    struct wsr_permessage *deflate = wsr_permessage_of(ep);
    if (!ops->is_between(deflate->inflater)) {
        int error = inflate_all(ep, (wsr_slice){tail, sizeof tail});
        if (error < 0)
            return error;
        if (!ops->is_between(deflate->inflater)) /* the message ended within a block */
            return WSR_EDEFLATE;
    }
    return ep->in->message_opcode == WSR_TEXT && ep->in->text.pending != 0 ? WSR_EUTF8 : WSR_OK;
}

void wsr_permessage_over(struct wsr_endpoint *ep)
{
    struct wsr_permessage *deflate = wsr_permessage_of(ep);
    deflate->inflating = false;
    deflate->wire_bytes = 0;
    if (deflate->inflater != NULL && !deflate->receive.takeover) {
        give_back_inflater(ep->env, deflate->inflater);
        deflate->inflater = NULL;
    }
}

int wsr_permessage_take(struct wsr_endpoint *ep, const uint8_t *p, size_t len, bool last)
{
    struct wsr_permessage *deflate = wsr_permessage_of(ep);
    deflate->inflating = true;
    if (deflate->inflater == NULL) {
        struct wsr_env *env = ep->env;
        deflate->inflater = !deflate->receive.takeover ? borrow_inflater(env)
                                                       : env->deflate.inflate->open(&env->pool, deflate->receive.window_bits);
        if (deflate->inflater == NULL)
            return WSR_ENOMEM;
    }
    int error = len > 0 ? inflate_all(ep, (wsr_slice){p, len}) : WSR_OK;
    return error == WSR_OK && last ? finish(ep) : error;
}

/* ---- out ---- */

static struct wsr_codec *deflater_of(struct wsr_endpoint *ep)
{
    struct wsr_permessage *deflate = wsr_permessage_of(ep);
    if (!deflate->send.takeover)
        return shared_deflater(ep->env, deflate->level, deflate->send.window_bits);
    if (deflate->deflater == NULL)
        deflate->deflater = ops_of(ep->env, deflate->level)->open(&ep->env->pool, deflate->level, deflate->send.window_bits, true);
    return deflate->deflater;
}

void wsr_permessage_deflate(struct wsr_endpoint *ep, wsr_slice message, struct wsr_chunk **deflated)
{
    struct wsr_permessage *deflate = wsr_permessage_of(ep);
    *deflated = NULL;
    if (message.len < deflate->threshold_bytes)
        return;
    struct wsr_codec *codec = deflater_of(ep);
    if (codec == NULL)
        return;
    const struct wsr_deflate_ops *ops = ops_of(ep->env, deflate->level);
    struct wsr_chunk *chunk = wsr_pool_get(&ep->env->pool, ops->bound(codec, message.len));
    if (chunk == NULL)
        return;
    chunk->len = ops->message(codec, message, chunk->data, wsr_chunk_room(chunk));
    /* With takeover the history holds the message now, so it has to be sent so, be it no smaller. */
    if (chunk->len == 0 || (!deflate->send.takeover && chunk->len >= message.len)) {
        wsr_pool_put(&ep->env->pool, chunk);
        return;
    }
    *deflated = chunk;
}

void wsr_permessage_sent(struct wsr_endpoint *ep, struct wsr_chunk *deflated, bool queued)
{
    struct wsr_permessage *deflate = wsr_permessage_of(ep);
    wsr_pool_put(&ep->env->pool, deflated);
    if (!queued && deflate->deflater != NULL)
        ops_of(ep->env, deflate->level)->reset(deflate->deflater);
}
