/*
 * deflate/zlib_deflate.c - zlib as a compressor of raw DEFLATE, a message at a time, its memory the pool's.
 */
#define ZLIB_CONST
#include <zlib.h>

#include <string.h>

#include "deflate/deflate.h"
#include "deflate/memory.h"

#define LEVEL_DEFAULT 6u

struct deflater {
    struct wsr_codec codec;
    z_stream stream;
    bool takeover;
};

/*
 * zlib has no window of 256 bytes: raw DEFLATE of 8 bits is refused (before 1.2.9 it silently became 9). One of 9 bits does
 * for it. Its matches reach no further back than the window less MIN_LOOKAHEAD, which is MAX_MATCH + MIN_MATCH + 1 = 262 (zlib's
 * deflate.h, MAX_DIST): 512 - 262 = 250 bytes, within the 256 that the peer keeps. tests/test_deflate.c inflates with a
 * window of 256 bytes what comes out.
 */
static int usable_bits(unsigned window_bits)
{
    return window_bits < 9 ? 9 : (int)window_bits;
}

static struct wsr_codec *open_deflater(struct wsr_pool *pool, unsigned level, unsigned window_bits, bool takeover)
{
    struct deflater *deflater = wsr_codec_open(pool, sizeof *deflater);
    if (deflater == NULL)
        return NULL;
    deflater->stream.zalloc = wsr_codec_alloc;
    deflater->stream.zfree = wsr_codec_release;
    deflater->stream.opaque = deflater;
    deflater->takeover = takeover;
    /*
     * zlib takes 2^(bits + 2) bytes for the window and its chains and 2^(memory + 9) for the hash and what is pending: with
     * memory as far below its own default of 8 as the window is below 15 bits, each is half of it all.
     */
    int bits = usable_bits(window_bits), memory = bits - 7;
    if (deflateInit2(&deflater->stream, (int)(level != 0 ? level : LEVEL_DEFAULT), Z_DEFLATED, -bits, memory, Z_DEFAULT_STRATEGY) != Z_OK) {
        wsr_codec_close(deflater, sizeof *deflater);
        return NULL;
    }
    return &deflater->codec;
}

static void close_deflater(struct wsr_codec *codec)
{
    struct deflater *deflater = (struct deflater *)codec;
    (void)deflateEnd(&deflater->stream);
    wsr_codec_close(deflater, sizeof *deflater);
}

static void reset_deflater(struct wsr_codec *codec)
{
    (void)deflateReset(&((struct deflater *)codec)->stream);
}

/* deflateBound does not count a flush, whose empty block is six bytes at most; the rest is for a release that counts otherwise. */
#define FLUSH_BYTES 16u

static size_t bound(struct wsr_codec *codec, size_t len)
{
    return deflateBound(&((struct deflater *)codec)->stream, len) + FLUSH_BYTES;
}

/* Returns bytes written, the flush at the end included; 0 if that did not fit. */
static size_t deflate_all(z_stream *stream, wsr_slice message, uint8_t *out, size_t cap)
{
    size_t taken = 0, written = 0;
    do { /* once, unless sizes go beyond 32 bits */
        uInt avail_in = message.len - taken < UINT32_MAX ? (uInt)(message.len - taken) : UINT32_MAX;
        uInt avail_out = cap - written < UINT32_MAX ? (uInt)(cap - written) : UINT32_MAX;
        stream->next_in = message.ptr + taken;
        stream->avail_in = avail_in;
        stream->next_out = out + written;
        stream->avail_out = avail_out;
        if (deflate(stream, taken + avail_in == message.len ? Z_SYNC_FLUSH : Z_NO_FLUSH) != Z_OK)
            return 0;
        taken += avail_in - stream->avail_in;
        written += avail_out - stream->avail_out;
    } while (stream->avail_out == 0 || taken < message.len);
    return written;
}

static size_t deflate_message(struct wsr_codec *codec, wsr_slice message, uint8_t *out, size_t cap)
{
    static const uint8_t tail[4] = {0, 0, 0xFF, 0xFF};
    struct deflater *deflater = (struct deflater *)codec;
    size_t n = deflate_all(&deflater->stream, message, out, cap);
    bool good = n > sizeof tail && memcmp(out + n - sizeof tail, tail, sizeof tail) == 0;
    if (!good || !deflater->takeover)
        reset_deflater(codec);
    return good ? n - sizeof tail : 0;
}

const struct wsr_deflate_ops wsr_deflate_zlib = {"zlib", open_deflater, close_deflater, reset_deflater, bound, deflate_message};
