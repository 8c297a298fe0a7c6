/*
 * tests/fuzz/fuzz_outbox.c - the outbox by itself against a model: what leaves is a legal sequence of frames, and every message is
 * on the wire, unconfirmed, dropped or still queued.
 */
#include "fuzz/check.h"
#include "fuzz/drive.h"
#include "proto/frame.h"
#include "proto/outbox.h"

static const uint32_t epoch = 1;

static int refill(void *context, uint8_t *out, size_t n)
{
    uint8_t *seed = context;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(*seed = (uint8_t)(*seed * 13 + 7));
    return 0;
}

struct rig {
    struct wsr_outbox out;
    struct wsr_pool pool;
    struct wsr_keypool keys;
    struct wsr_framer framer;
    struct vectors_bytes wire;
    size_t shown; /* bytes of the last drain that were not sent */
    uint64_t dropped, accepted;
    bool closed, masks;
};

/* A frame made once is queued twice, as it is to two receivers. */
static void queue_made(struct rig *rig, wsr_slice payload)
{
    struct wsr_chunk *chunk = wsr_pool_get(&rig->pool, payload.len + WSR_FRAME_HEADER_MAX);
    CHECK(chunk != NULL);
    chunk->len = wsr_frame_header_encode(chunk->data, WSR_FIN | WSR_BINARY, payload.len, NULL);
    memcpy(chunk->data + chunk->len, payload.ptr, payload.len);
    chunk->len += payload.len;
    for (unsigned i = 0; i < 2; i++)
        CHECK(wsr_outbox_made(&rig->out, &rig->pool, chunk, (wsr_slice){chunk->data, chunk->len}, payload.len) == WSR_OK);
    wsr_pool_put(&rig->pool, chunk);
    rig->accepted += 2;
}

static void take(struct rig *rig, unsigned cap, size_t most)
{
    wsr_slice slices[8];
    unsigned n = wsr_outbox_drain(&rig->out, &rig->framer, slices, cap);
    CHECK(n <= cap);
    size_t left = most;
    size_t took = 0;
    for (unsigned i = 0; i < n && left > 0; i++) {
        size_t bytes = slices[i].len < left ? slices[i].len : left;
        CHECK(slices[i].len > 0);
        vectors_append(&rig->wire, slices[i].ptr, bytes);
        left -= bytes;
        took += bytes;
    }
    size_t before = rig->out.bytes;
    wsr_outbox_sent(&rig->out, &rig->pool, took);
    CHECK(rig->out.bytes == before - took);
}

static void one_step(struct rig *rig, struct input *in)
{
    static const uint8_t payload[50000] = {1, 2, 3};
    uint8_t op = input_byte(in);
    size_t len = input_byte(in);
    len = len > 250 ? (len - 250) * 9000 : len; /* a few large ones, for a large one costs a run a millisecond */
    wsr_slice data = {payload, len};
    unsigned what = op & 7;
    if (rig->closed && what < 4)
        what = 5;
    switch (what) {
    case 0:
        if ((op & 8) != 0 && !rig->masks) {
            queue_made(rig, data);
            break;
        }
        CHECK(wsr_outbox_frame(&rig->out, &rig->framer, WSR_FIN | WSR_TEXT, data) == WSR_OK);
        rig->accepted++;
        break;
    case 1:
        CHECK(wsr_outbox_fragments(&rig->out, &rig->framer, WSR_BINARY, data, 1 + (size_t)(op >> 3) * 97) == WSR_OK);
        rig->accepted++;
        break;
    case 2:
        data.len %= 126;
        CHECK(wsr_outbox_control(&rig->out, &rig->framer, (op & 8) != 0 ? WSR_PING : WSR_PONG, data) == WSR_OK);
        break;
    case 3:
        if ((op >> 3) % 8 == 0) {
            data.len = 0;
            CHECK(wsr_outbox_frame(&rig->out, &rig->framer, WSR_FIN | WSR_CLOSE, data) == WSR_OK);
            rig->closed = true;
        }
        break;
    case 4: {
        struct wsr_outbox_count count = wsr_outbox_drop(&rig->out, &rig->pool);
        rig->dropped += count.messages;
        CHECK(wsr_outbox_drop(&rig->out, &rig->pool).messages == 0);
        break;
    }
    default:
        take(rig, 1 + (op >> 3) % 8, (size_t)len * ((op & 128) != 0 ? 1000 : 1));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct rig rig = {.closed = false};
    uint8_t seed = 1;
    bool masks = rig.masks = (input_byte(&in) & 1) != 0;
    wsr_pool_init(&rig.pool, NULL, 0, 0);
    wsr_keypool_init(&rig.keys, refill, &seed, &epoch);
    rig.framer = (struct wsr_framer){&rig.pool, wsr_kernels_best(), masks ? &rig.keys : NULL};
    while (in.len > 0)
        one_step(&rig, &in);
    CHECK(rig.out.messages == rig.accepted);
    unsigned long whole = drive_check_sent(masks ? WSR_CLIENT : WSR_SERVER, false, rig.wire.ptr, rig.wire.len);
    uint64_t unconfirmed = wsr_outbox_unconfirmed(&rig.out).messages;
    rig.dropped += wsr_outbox_drop(&rig.out, &rig.pool).messages;
    CHECK(whole + unconfirmed + rig.dropped == rig.accepted);
    /* and what is left now leaves in order too */
    while (wsr_outbox_pending(&rig.out))
        take(&rig, 8, SIZE_MAX);
    CHECK(rig.out.bytes == 0);
    CHECK(drive_check_sent(masks ? WSR_CLIENT : WSR_SERVER, false, rig.wire.ptr, rig.wire.len) == whole + unconfirmed);
    wsr_outbox_free(&rig.out, &rig.pool);
    CHECK(rig.pool.out_bytes == 0);
    wsr_pool_free(&rig.pool);
    vectors_bytes_free(&rig.wire);
    return 0;
}
