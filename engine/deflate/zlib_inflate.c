/*
 * deflate/zlib_inflate.c - zlib as a decompressor of raw DEFLATE, a step at a time, its memory the pool's.
 */
#define ZLIB_CONST
#include <zlib.h>

#include "deflate/deflate.h"
#include "deflate/memory.h"

struct inflater {
    struct wsr_codec codec;
    z_stream stream;
    bool is_between; /* blocks, at the beginning of a byte ... */
    bool is_final;   /* ... of which the last had BFINAL set */
};

static struct wsr_codec *open_inflater(struct wsr_pool *pool, unsigned window_bits)
{
    struct inflater *inflater = wsr_codec_open(pool, sizeof *inflater);
    if (inflater == NULL)
        return NULL;
    inflater->stream.zalloc = wsr_codec_alloc;
    inflater->stream.zfree = wsr_codec_release;
    inflater->stream.opaque = inflater;
    inflater->is_between = true;
    /* The window itself is allocated when there is something to keep in it. */
    if (inflateInit2(&inflater->stream, -(int)window_bits) != Z_OK) {
        wsr_codec_close(inflater, sizeof *inflater);
        return NULL;
    }
    return &inflater->codec;
}

static void close_inflater(struct wsr_codec *codec)
{
    struct inflater *inflater = (struct inflater *)codec;
    (void)inflateEnd(&inflater->stream);
    wsr_codec_close(inflater, sizeof *inflater);
}

static void reset_inflater(struct wsr_codec *codec)
{
    struct inflater *inflater = (struct inflater *)codec;
    inflater->is_between = true;
    inflater->is_final = false;
    (void)inflateReset(&inflater->stream);
}

static int run(struct wsr_codec *codec, wsr_slice *in, wsr_span *out)
{
    struct inflater *inflater = (struct inflater *)codec;
    z_stream *stream = &inflater->stream;
    do {
        if (inflater->is_final && in->len == 0)
            return WSR_OK;
        /* A new stream that may refer back into the old one: the window stays, which inflateReset would drop. */
        if (inflater->is_final)
            (void)inflateResetKeep(stream);
        uInt avail_in = in->len < UINT32_MAX ? (uInt)in->len : UINT32_MAX;
        uInt avail_out = out->len < UINT32_MAX ? (uInt)out->len : UINT32_MAX;
        stream->next_in = in->ptr;
        stream->avail_in = avail_in;
        stream->next_out = out->ptr;
        stream->avail_out = avail_out;
        int result = inflate(stream, Z_SYNC_FLUSH);
        in->ptr += avail_in - stream->avail_in;
        in->len -= avail_in - stream->avail_in;
        out->ptr += avail_out - stream->avail_out;
        out->len -= avail_out - stream->avail_out;
        if (result == Z_MEM_ERROR)
            return WSR_ENOMEM;
        if (result == Z_BUF_ERROR) /* nothing could be done: all that was there is out, and the place is what it was */
            return WSR_OK;
        if (result != Z_OK && result != Z_STREAM_END)
            return WSR_EDEFLATE;
        inflater->is_final = result == Z_STREAM_END;
        /* Of data_type 128 says "directly behind a block", and the low bits how many of the last byte are not used yet. */
        inflater->is_between = inflater->is_final || (stream->data_type & (128 | 31)) == 128;
    } while (in->len > 0 && out->len > 0);
    return WSR_OK;
}

static bool is_between(const struct wsr_codec *codec)
{
    return ((const struct inflater *)codec)->is_between;
}

const struct wsr_inflate_ops wsr_inflate_zlib = {"zlib", open_inflater, close_inflater, reset_inflater, run, is_between};
