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

enum { /* wsr_chunk.kind */
    FRAMES = 0,  /* whole ones, one behind the other */
    RAW = 1,     /* a handshake */
    LANE = 2,    /* begins with a struct wsr_lane; there is at most one */
    FLIES = 0x80 /* beside FRAMES or RAW */
};

/* The newest of each kind that came while the transport was busy. Frames that need not wait so stand behind, in wire form. */
struct wsr_lane {
    bool has_pong, has_ping;
    uint8_t pong_len, ping_len;
    uint8_t pong[WSR_CONTROL_PAYLOAD_MAX];
    uint8_t ping[WSR_CONTROL_PAYLOAD_MAX];
    uint32_t frames; /* in wire form */
};

#define CONTROL_FRAME_MAX (6u + WSR_CONTROL_PAYLOAD_MAX)

static struct wsr_chunk *take_first(struct wsr_outbox *out)
{
    struct wsr_chunk *chunk = out->last->next;
    if (chunk == out->last)
        out->last = NULL;
    else
        out->last->next = chunk->next;
    return chunk;
}

void wsr_outbox_free(struct wsr_outbox *out, struct wsr_pool *pool)
{
    while (out->last != NULL)
        wsr_pool_put(pool, take_first(out));
    out->bytes = 0;
}

/* Behind `before`; NULL: as the first. */
static void insert(struct wsr_outbox *out, struct wsr_chunk *before, struct wsr_chunk *chunk)
{
    struct wsr_chunk *link = before != NULL ? before : out->last;
    chunk->next = link != NULL ? link->next : chunk;
    if (link != NULL)
        link->next = chunk;
    if (before == out->last)
        out->last = chunk;
}

static void append(struct wsr_outbox *out, struct wsr_chunk *chunk)
{
    insert(out, out->last, chunk);
}

/* A new one at the queue's end. */
static __attribute__((noinline)) struct wsr_chunk *queue_grow(struct wsr_outbox *out, struct wsr_pool *pool, size_t need)
{
    const struct wsr_chunk *last = out->last;
    const bool goes_on = last != NULL && last->kind == FRAMES && last->of == NULL;
    const size_t usual = goes_on ? CHUNK_NEXT_BYTES : CHUNK_FIRST_BYTES;
    struct wsr_chunk *chunk = wsr_pool_get(pool, need > usual ? need : usual);
    if (chunk == NULL)
        return NULL;
    append(out, chunk);
    return chunk;
}

/* A chunk at the queue's end with room for `need` bytes; linked already. */
static inline struct wsr_chunk *queue_room(struct wsr_outbox *out, struct wsr_pool *pool, size_t need)
{
    struct wsr_chunk *last = out->last;
    return last != NULL && last->kind == FRAMES && wsr_chunk_room(last) >= need ? last : queue_grow(out, pool, need);
}

/* A key for a frame, if this end masks; the key 0 copies. */
static int take_key(const struct wsr_framer *framer, uint32_t *key)
{
    *key = 0;
    return framer->keys != NULL ? wsr_keypool_take(framer->keys, key) : WSR_OK;
}

/* Writes one frame at p, which has the room. Returns its bytes. */
static size_t write_frame(uint8_t *p, const struct wsr_framer *framer, uint8_t first, wsr_slice payload, uint32_t key)
{
    uint8_t key_bytes[4];
    wsr_store_key(key_bytes, key);
    unsigned n = wsr_frame_header_encode(p, first, payload.len, framer->keys != NULL ? key_bytes : NULL);
    if (payload.len > 0)
        (void)framer->kernels->copy_mask(p + n, payload.ptr, payload.len, key);
    return n + payload.len;
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

/* What a client sends. Not inlined: a key on the stack has to be guarded, which a server's frames need not pay for. */
static __attribute__((noinline)) int append_masked(struct wsr_outbox *out, const struct wsr_framer *framer, uint8_t first, wsr_slice payload)
{
    size_t need = wsr_frame_header_size(payload.len, true) + payload.len;
    uint32_t key;
    if (take_key(framer, &key) < 0) /* before there is an empty chunk in the queue */
        return WSR_ERANDOM;
    struct wsr_chunk *chunk = queue_room(out, framer->pool, need);
    if (chunk == NULL)
        return WSR_ENOMEM;
    size_t n = write_frame(chunk->data + chunk->len, framer, first, payload, key);
    chunk->len += n;
    count_frame(out, first, n, payload.len);
    return WSR_OK;
}

int wsr_outbox_frame(struct wsr_outbox *out, const struct wsr_framer *framer, uint8_t first, wsr_slice payload)
{
    if (framer->keys != NULL)
        return append_masked(out, framer, first, payload);
    struct wsr_chunk *chunk = queue_room(out, framer->pool, WSR_FRAME_HEADER_PLAIN_MAX + payload.len);
    if (chunk == NULL)
        return WSR_ENOMEM;
    uint8_t *p = chunk->data + chunk->len;
    const size_t n = wsr_frame_header_plain(p, first, payload.len);
    if (payload.len > 0)
        memcpy(p + n, payload.ptr, payload.len);
    chunk->len += n + payload.len;
    count_frame(out, first, n + payload.len, payload.len);
    return WSR_OK;
}

void wsr_outbox_adopt(struct wsr_outbox *out, struct wsr_chunk *chunk, uint8_t first)
{
    assert(chunk->data == chunk->bytes);
    const size_t payload_bytes = chunk->len;
    uint8_t header[WSR_FRAME_HEADER_MAX];
    unsigned n = wsr_frame_header_encode(header, first, payload_bytes, NULL);
    assert(n <= WSR_CHUNK_HEADROOM);
    chunk->start = chunk->data = (uint8_t *)chunk + offsetof(struct wsr_chunk, bytes) - n;
    memcpy(chunk->data, header, n);
    chunk->len += n;
    chunk->kind = FRAMES;
    append(out, chunk);
    count_frame(out, first, chunk->len, payload_bytes);
}

int wsr_outbox_made(struct wsr_outbox *out, struct wsr_pool *pool, struct wsr_chunk *chunk, wsr_slice frame, size_t payload_bytes)
{
    if (frame.len >= WSR_REFERENCE_BYTES_MIN) {
        struct wsr_chunk *reference = wsr_pool_refer(pool, chunk, frame);
        if (reference == NULL)
            return WSR_ENOMEM;
        append(out, reference);
    } else {
        struct wsr_chunk *room = queue_room(out, pool, frame.len);
        if (room == NULL)
            return WSR_ENOMEM;
        memcpy(room->data + room->len, frame.ptr, frame.len);
        room->len += frame.len;
    }
    count_frame(out, frame.ptr[0], frame.len, payload_bytes);
    return WSR_OK;
}

int wsr_outbox_fragments(struct wsr_outbox *out, const struct wsr_framer *framer, uint8_t first, wsr_slice payload, size_t fragment_bytes)
{
    bool masked = framer->keys != NULL;
    size_t full = payload.len / fragment_bytes;
    size_t need = payload.len + full * wsr_frame_header_size(fragment_bytes, masked) + WSR_FRAME_HEADER_MAX;
    struct wsr_chunk *chunk = wsr_pool_get(framer->pool, need); /* one chunk, so that all of the message is queued or nothing */
    if (chunk == NULL)
        return WSR_ENOMEM;
    uint64_t frames = 0;
    size_t done = 0;
    do {
        size_t take = payload.len - done < fragment_bytes ? payload.len - done : fragment_bytes;
        if (done + take == payload.len)
            first |= WSR_FIN;
        wsr_slice piece = {payload.len > 0 ? payload.ptr + done : NULL, take};
        uint32_t key;
        if (take_key(framer, &key) < 0) {
            wsr_pool_put(framer->pool, chunk);
            return WSR_ERANDOM;
        }
        chunk->len += write_frame(chunk->data + chunk->len, framer, first, piece, key);
        done += take;
        frames++;
        first = WSR_CONTINUATION;
    } while (done < payload.len);
    append(out, chunk);
    count_frame(out, WSR_FIN | WSR_CONTINUATION, chunk->len, payload.len); /* as one */
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
    chunk->kind = RAW;
    append(out, chunk);
    out->bytes += bytes.len;
    return WSR_OK;
}

/* Appends a frame to those of the lane in wire form, which has the room. */
static int lane_frame(struct wsr_chunk *chunk, const struct wsr_framer *framer, wsr_opcode opcode, wsr_slice payload)
{
    uint32_t key;
    if (take_key(framer, &key) < 0)
        return WSR_ERANDOM;
    chunk->len += write_frame(chunk->data + chunk->len, framer, (uint8_t)(WSR_FIN | (unsigned)opcode), payload, key);
    ((struct wsr_lane *)chunk->bytes)->frames++;
    return WSR_OK;
}

/* Turns what waited into frames. There is always room for these two. */
static int lane_settle(struct wsr_chunk *chunk, const struct wsr_framer *framer)
{
    struct wsr_lane *lane = (struct wsr_lane *)chunk->bytes;
    if (lane->has_pong && lane_frame(chunk, framer, WSR_PONG, (wsr_slice){lane->pong, lane->pong_len}) < 0)
        return WSR_ERANDOM;
    lane->has_pong = false;
    if (lane->has_ping && lane_frame(chunk, framer, WSR_PING, (wsr_slice){lane->ping, lane->ping_len}) < 0)
        return WSR_ERANDOM;
    lane->has_ping = false;
    return WSR_OK;
}

static void lane_wait(struct wsr_lane *lane, wsr_opcode opcode, wsr_slice payload)
{
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
}

/* The last before which the lane goes off; NULL: it goes first. */
static struct wsr_chunk *before_lane(const struct wsr_outbox *out)
{
    struct wsr_chunk *before = NULL;
    for (struct wsr_chunk *chunk = wsr_outbox_first(out); chunk != NULL && chunk->kind != FRAMES && chunk->kind != LANE; chunk = wsr_outbox_after(out, chunk))
        before = chunk;
    return before;
}

static struct wsr_chunk *lane_of(const struct wsr_outbox *out)
{
    const struct wsr_chunk *before = before_lane(out);
    struct wsr_chunk *chunk = before != NULL ? wsr_outbox_after(out, before) : wsr_outbox_first(out);
    return chunk != NULL && chunk->kind == LANE ? chunk : NULL;
}

bool wsr_outbox_lane_waits(const struct wsr_outbox *out)
{
    return lane_of(out) != NULL;
}

bool wsr_outbox_flies(const struct wsr_outbox *out)
{
    return out->last != NULL && (out->last->next->kind & FLIES) != 0;
}

static struct wsr_chunk *lane_make(struct wsr_pool *pool)
{
    struct wsr_chunk *chunk = wsr_pool_get(pool, CHUNK_FIRST_BYTES);
    if (chunk == NULL)
        return NULL;
    memset(chunk->bytes, 0, sizeof(struct wsr_lane));
    chunk->start = chunk->data = chunk->bytes + sizeof(struct wsr_lane);
    chunk->kind = LANE;
    return chunk;
}

int wsr_outbox_control(struct wsr_outbox *out, const struct wsr_framer *framer, wsr_opcode opcode, wsr_slice payload)
{
    assert(opcode == WSR_PING || opcode == WSR_PONG);
    assert(payload.len <= WSR_CONTROL_PAYLOAD_MAX);
    struct wsr_chunk *lane = lane_of(out);
    struct wsr_chunk *chunk = lane != NULL ? lane : lane_make(framer->pool);
    if (chunk == NULL)
        return WSR_ENOMEM;
    int error = WSR_OK;
    /* Room for those that wait, this one, and two that may have to wait behind it. */
    if (wsr_outbox_flies(out) || wsr_chunk_room(chunk) < 5 * CONTROL_FRAME_MAX) {
        lane_wait((struct wsr_lane *)chunk->bytes, opcode, payload);
    } else {
        error = lane_settle(chunk, framer);
        if (error == WSR_OK)
            error = lane_frame(chunk, framer, opcode, payload);
    }
    if (lane != NULL)
        return error;
    if (error < 0)
        wsr_pool_put(framer->pool, chunk);
    else
        insert(out, before_lane(out), chunk);
    return error;
}

/* As many as cap. The lane cannot stay behind: there may be a Close in the queue. */
static void take_off(struct wsr_outbox *out, const struct wsr_framer *framer, unsigned cap)
{
    struct wsr_chunk *chunk = wsr_outbox_first(out);
    for (unsigned n = 0; n < cap && chunk != NULL; n++, chunk = wsr_outbox_after(out, chunk)) {
        if (chunk->kind == LANE) {
            if (lane_settle(chunk, framer) < 0)
                return;
            out->bytes += chunk->len;
            out->frames += ((struct wsr_lane *)chunk->bytes)->frames;
            chunk->kind = FRAMES;
        }
        chunk->kind |= FLIES;
    }
}

unsigned wsr_outbox_drain(struct wsr_outbox *out, const struct wsr_framer *framer, wsr_slice *slices, unsigned cap)
{
    if (!wsr_outbox_flies(out))
        take_off(out, framer, cap);
    unsigned n = 0;
    for (const struct wsr_chunk *chunk = wsr_outbox_first(out); chunk != NULL && (chunk->kind & FLIES) != 0 && n < cap; chunk = wsr_outbox_after(out, chunk))
        slices[n++] = (wsr_slice){chunk->data, chunk->len};
    return n;
}

void wsr_outbox_sent(struct wsr_outbox *out, struct wsr_pool *pool, size_t bytes)
{
    assert(bytes <= out->bytes);
    out->bytes -= bytes;
    while (bytes > 0) {
        struct wsr_chunk *chunk = wsr_outbox_first(out);
        assert(chunk != NULL && (chunk->kind & FLIES) != 0);
        size_t take = bytes < chunk->len ? bytes : chunk->len;
        chunk->data += take;
        chunk->len -= take;
        bytes -= take;
        if (chunk->len > 0)
            break;
        wsr_pool_put(pool, take_first(out));
    }
}

/* Counts the messages that end behind data in a chunk of whole frames: those of which the transport lacks a byte. */
static void count_chunk(const struct wsr_chunk *chunk, struct wsr_outbox_count *count)
{
    if ((chunk->kind & RAW) != 0)
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
    const struct wsr_chunk *last = out->last;
    if (last == NULL || last->kind != FRAMES)
        return (wsr_slice){NULL, 0};
    const uint8_t *end = last->data + last->len;
    for (const uint8_t *p = last->data; p < end;) {
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
    const wsr_slice close = queued_close(out);
    const struct wsr_chunk *last = out->last;
    struct wsr_chunk *list = wsr_outbox_first(out), *chunk;
    out->last = NULL;
    for (bool more = list != NULL; more;) {
        chunk = list;
        list = chunk->next;
        more = chunk != last;
        if (chunk->kind != FRAMES) { /* without a handshake's answer what comes next would make no sense to the peer */
            append(out, chunk);
            continue;
        }
        count_chunk(chunk, &count);
        if (chunk == last && close.len > 0) { /* a Close that waits stays: its chunk begins with it now */
            out->bytes -= chunk->len - close.len;
            chunk->start = chunk->data = chunk->data + (close.ptr - chunk->data);
            chunk->len = close.len;
            append(out, chunk);
        } else {
            out->bytes -= chunk->len;
            wsr_pool_put(pool, chunk);
        }
    }
    return count;
}

struct wsr_outbox_count wsr_outbox_unconfirmed(const struct wsr_outbox *out)
{
    struct wsr_outbox_count count = {0, 0};
    for (const struct wsr_chunk *chunk = wsr_outbox_first(out); chunk != NULL && (chunk->kind & FLIES) != 0; chunk = wsr_outbox_after(out, chunk))
        count_chunk(chunk, &count);
    return count;
}
