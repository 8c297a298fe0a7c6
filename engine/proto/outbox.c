/*
 * proto/outbox.c - see outbox.h.
 */
#include "proto/outbox.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "proto/frame.h"

/* The first chunk of a queue is small, since most connections have one message to send; a longer queue earns larger ones. */
#define CHUNK_FIRST_BYTES (4096u - sizeof(struct wsr_chunk))
#define CHUNK_NEXT_BYTES (32768u - sizeof(struct wsr_chunk))

struct wsr_lane {
    bool has_pong, has_ping;
    uint8_t pong_len, ping_len;
    uint8_t pong[WSR_CONTROL_PAYLOAD_MAX];
    uint8_t ping[WSR_CONTROL_PAYLOAD_MAX];
};

#define LANE_FRAMES_BYTES (2 * (6 + WSR_CONTROL_PAYLOAD_MAX))

void wsr_outbox_free(struct wsr_outbox *out, struct wsr_pool *pool)
{
    wsr_pool_put_list(pool, out->flying);
    wsr_pool_put_list(pool, out->queue);
    if (out->lane != NULL)
        wsr_pool_put(pool, out->lane);
    out->flying = out->flying_tail = out->queue = out->queue_tail = out->lane = NULL;
    out->bytes = 0;
}

static void queue_append(struct wsr_outbox *out, struct wsr_chunk *chunk)
{
    chunk->next = NULL;
    if (out->queue == NULL)
        out->queue = chunk;
    else
        out->queue_tail->next = chunk;
    out->queue_tail = chunk;
}

/* A chunk at the queue's end with room for `need` bytes; linked already. */
static struct wsr_chunk *queue_room(struct wsr_outbox *out, struct wsr_pool *pool, size_t need)
{
    struct wsr_chunk *tail = out->queue != NULL ? out->queue_tail : NULL;
    if (tail != NULL && !tail->sealed && wsr_chunk_room(tail) >= need)
        return tail;
    size_t usual = tail == NULL ? CHUNK_FIRST_BYTES : CHUNK_NEXT_BYTES;
    struct wsr_chunk *chunk = wsr_pool_get(pool, need > usual ? need : usual);
    if (chunk == NULL)
        return NULL;
    queue_append(out, chunk);
    return chunk;
}

/* Writes one frame at p, which has the room. Returns its bytes, or WSR_ERANDOM. */
static long write_frame(uint8_t *p, const struct wsr_framer *framer, uint8_t first, wsr_slice payload)
{
    uint8_t key_bytes[4];
    uint32_t key = 0;
    if (framer->keys != NULL) {
        if (wsr_keypool_take(framer->keys, &key) < 0)
            return WSR_ERANDOM;
        wsr_store_key(key_bytes, key);
    }
    unsigned n = wsr_frame_header_encode(p, first, payload.len, framer->keys != NULL ? key_bytes : NULL);
    if (payload.len > 0)
        (void)framer->kernels->copy_mask(p + n, payload.ptr, payload.len, key); /* key 0 copies */
    return (long)(n + payload.len);
}

static void count_frame(struct wsr_outbox *out, uint8_t first, size_t frame_bytes, size_t payload_bytes)
{
    out->bytes += frame_bytes;
    out->frames++;
    if ((first & 0x08) == 0) {
        out->payload_bytes += payload_bytes;
        out->messages += (first & WSR_FIN) != 0;
    }
}

int wsr_outbox_frame(struct wsr_outbox *out, const struct wsr_framer *framer, uint8_t first, wsr_slice payload)
{
    size_t need = wsr_frame_header_size(payload.len, framer->keys != NULL) + payload.len;
    struct wsr_chunk *chunk = queue_room(out, framer->pool, need);
    if (chunk == NULL)
        return WSR_ENOMEM;
    long n = write_frame(chunk->data + chunk->len, framer, first, payload);
    if (n < 0) /* an empty chunk may stay at the queue's end: drain skips it, the next frame uses it */
        return (int)n;
    chunk->len += (size_t)n;
    count_frame(out, first, (size_t)n, payload.len);
    return WSR_OK;
}

int wsr_outbox_fragments(struct wsr_outbox *out, const struct wsr_framer *framer, wsr_opcode opcode, wsr_slice payload, size_t fragment_bytes)
{
    bool masked = framer->keys != NULL;
    size_t full = payload.len / fragment_bytes;
    size_t need = payload.len + full * wsr_frame_header_size(fragment_bytes, masked) + WSR_FRAME_HEADER_MAX;
    struct wsr_chunk *chunk = wsr_pool_get(framer->pool, need); /* one chunk, so that all of the message is queued or nothing */
    if (chunk == NULL)
        return WSR_ENOMEM;
    uint8_t first = (uint8_t)opcode;
    uint64_t frames = 0;
    size_t done = 0;
    do {
        size_t take = payload.len - done < fragment_bytes ? payload.len - done : fragment_bytes;
        if (done + take == payload.len)
            first |= WSR_FIN;
        wsr_slice piece = {payload.len > 0 ? payload.ptr + done : NULL, take};
        long n = write_frame(chunk->data + chunk->len, framer, first, piece);
        if (n < 0) {
            wsr_pool_put(framer->pool, chunk);
            return (int)n;
        }
        chunk->len += (size_t)n;
        done += take;
        frames++;
        first = WSR_CONTINUATION;
    } while (done < payload.len);
    queue_append(out, chunk);
    count_frame(out, (uint8_t)(WSR_FIN | (unsigned)opcode), chunk->len, payload.len);
    out->frames += frames - 1;
    return WSR_OK;
}

int wsr_outbox_raw(struct wsr_outbox *out, struct wsr_pool *pool, wsr_slice bytes)
{
    if (bytes.len == 0)
        return WSR_OK;
    struct wsr_chunk *chunk = wsr_pool_get(pool, bytes.len);
    if (chunk == NULL)
        return WSR_ENOMEM;
    memcpy(chunk->data, bytes.ptr, bytes.len);
    chunk->len = bytes.len;
    chunk->sealed = true;
    queue_append(out, chunk);
    out->bytes += bytes.len;
    return WSR_OK;
}

int wsr_outbox_control(struct wsr_outbox *out, struct wsr_pool *pool, wsr_opcode opcode, wsr_slice payload)
{
    assert(opcode == WSR_PING || opcode == WSR_PONG);
    assert(payload.len <= WSR_CONTROL_PAYLOAD_MAX);
    if (out->lane == NULL) {
        out->lane = wsr_pool_get(pool, sizeof(struct wsr_lane) + LANE_FRAMES_BYTES);
        if (out->lane == NULL)
            return WSR_ENOMEM;
        memset(out->lane->bytes, 0, sizeof(struct wsr_lane));
    }
    struct wsr_lane *lane = (struct wsr_lane *)out->lane->bytes;
    uint8_t *to = opcode == WSR_PONG ? lane->pong : lane->ping;
    if (payload.len > 0)
        memcpy(to, payload.ptr, payload.len);
    if (opcode == WSR_PONG) {
        lane->has_pong = true;
        lane->pong_len = (uint8_t)payload.len;
    } else {
        lane->has_ping = true;
        lane->ping_len = (uint8_t)payload.len;
    }
    return WSR_OK;
}

static void fly(struct wsr_outbox *out, struct wsr_chunk *chunk)
{
    chunk->next = NULL;
    if (out->flying == NULL)
        out->flying = chunk;
    else
        out->flying_tail->next = chunk;
    out->flying_tail = chunk;
}

/* The lane's frames are written behind the lane itself, in its own chunk, and that chunk flies. */
static bool lane_take_off(struct wsr_outbox *out, const struct wsr_framer *framer)
{
    struct wsr_chunk *chunk = out->lane;
    struct wsr_lane *lane = (struct wsr_lane *)chunk->bytes;
    chunk->start = chunk->data = chunk->bytes + sizeof *lane;
    chunk->len = 0;
    uint64_t frames = 0;
    if (lane->has_pong) {
        wsr_slice payload = {lane->pong, lane->pong_len};
        long n = write_frame(chunk->data, framer, WSR_FIN | WSR_PONG, payload);
        if (n < 0)
            return false;
        chunk->len += (size_t)n;
        frames++;
    }
    if (lane->has_ping) {
        wsr_slice payload = {lane->ping, lane->ping_len};
        long n = write_frame(chunk->data + chunk->len, framer, WSR_FIN | WSR_PING, payload);
        if (n < 0)
            return false;
        chunk->len += (size_t)n;
        frames++;
    }
    out->lane = NULL;
    out->bytes += chunk->len;
    out->frames += frames;
    fly(out, chunk);
    return true;
}

static void take_off(struct wsr_outbox *out, const struct wsr_framer *framer, unsigned cap)
{
    unsigned n = 0;
    /* Never between a handshake's bytes and their end: a sealed chunk at the front goes first. */
    if (out->lane != NULL && (out->queue == NULL || !out->queue->sealed))
        n += lane_take_off(out, framer);
    while (out->queue != NULL && n < cap) {
        struct wsr_chunk *chunk = out->queue;
        if (chunk->len == 0) { /* see wsr_outbox_frame */
            assert(chunk->next == NULL);
            break;
        }
        out->queue = chunk->next;
        fly(out, chunk);
        n++;
    }
    if (out->queue == NULL)
        out->queue_tail = NULL;
}

unsigned wsr_outbox_drain(struct wsr_outbox *out, const struct wsr_framer *framer, wsr_slice *slices, unsigned cap)
{
    if (out->flying == NULL)
        take_off(out, framer, cap);
    unsigned n = 0;
    for (const struct wsr_chunk *chunk = out->flying; chunk != NULL && n < cap; chunk = chunk->next)
        slices[n++] = (wsr_slice){chunk->data, chunk->len};
    return n;
}

void wsr_outbox_sent(struct wsr_outbox *out, struct wsr_pool *pool, size_t bytes)
{
    assert(bytes <= out->bytes);
    out->bytes -= bytes;
    while (bytes > 0) {
        struct wsr_chunk *chunk = out->flying;
        assert(chunk != NULL);
        size_t take = bytes < chunk->len ? bytes : chunk->len;
        chunk->data += take;
        chunk->len -= take;
        bytes -= take;
        if (chunk->len > 0)
            break;
        out->flying = chunk->next;
        wsr_pool_put(pool, chunk);
    }
    if (out->flying == NULL)
        out->flying_tail = NULL;
}

/* Counts the messages that end behind data in a chunk of whole frames: those of which the transport lacks a byte. */
static void count_chunk(const struct wsr_chunk *chunk, struct wsr_outbox_count *count)
{
    if (chunk->sealed)
        return;
    const uint8_t *end = chunk->data + chunk->len;
    for (const uint8_t *p = chunk->start; p < end;) {
        wsr_frame_header header;
        int n = wsr_frame_header_decode((wsr_slice){p, (size_t)(end - p)}, &header);
        assert(n > 0 && header.payload_len <= (size_t)(end - p) - (size_t)n); /* we wrote it */
        p += (size_t)n + header.payload_len;
        if ((header.first & 0x08) != 0 || p <= chunk->data)
            continue;
        count->messages += (header.first & WSR_FIN) != 0;
        count->bytes += header.payload_len;
    }
}

/* If the last frame of the queue is a Close, its place; it is at most 131 bytes long. */
static wsr_slice queued_close(const struct wsr_outbox *out)
{
    const struct wsr_chunk *tail = out->queue != NULL ? out->queue_tail : NULL;
    if (tail == NULL || tail->sealed)
        return (wsr_slice){NULL, 0};
    const uint8_t *end = tail->data + tail->len;
    for (const uint8_t *p = tail->data; p < end;) {
        wsr_frame_header header;
        int n = wsr_frame_header_decode((wsr_slice){p, (size_t)(end - p)}, &header);
        assert(n > 0);
        size_t frame_bytes = (size_t)n + header.payload_len;
        if ((header.first & 0x0F) == WSR_CLOSE)
            return (wsr_slice){p, frame_bytes};
        p += frame_bytes;
    }
    return (wsr_slice){NULL, 0};
}

struct wsr_outbox_count wsr_outbox_drop(struct wsr_outbox *out, struct wsr_pool *pool)
{
    struct wsr_outbox_count count = {0, 0};
    wsr_slice close = queued_close(out);
    struct wsr_chunk *keep = close.len > 0 ? out->queue_tail : NULL;
    while (out->queue != NULL) {
        struct wsr_chunk *chunk = out->queue;
        out->queue = chunk->next;
        count_chunk(chunk, &count);
        out->bytes -= chunk->len;
        if (chunk != keep)
            wsr_pool_put(pool, chunk);
    }
    out->queue_tail = NULL;
    if (keep != NULL) { /* a Close that waits stays: its chunk begins with it now */
        keep->start = keep->data = keep->data + (close.ptr - keep->data);
        keep->len = close.len;
        out->bytes += close.len;
        queue_append(out, keep);
    }
    if (out->lane != NULL) {
        wsr_pool_put(pool, out->lane);
        out->lane = NULL;
    }
    return count;
}

struct wsr_outbox_count wsr_outbox_unconfirmed(const struct wsr_outbox *out)
{
    struct wsr_outbox_count count = {0, 0};
    for (const struct wsr_chunk *chunk = out->flying; chunk != NULL; chunk = chunk->next)
        count_chunk(chunk, &count);
    return count;
}
