/*
 * deflate/isal_deflate.c - ISA-L (igzip) as a compressor of raw DEFLATE, a message at a time, its memory the pool's.
 *
 * Its level 0 with the fixed codes of RFC 1951 section 3.2.6, for most messages are short and codes of their own would take
 * longer to write than they save. From CODES_FROM_BYTES on those pay: ISA-L's level 1, if no history is kept (to change levels
 * in the middle of a stream is not in its contract).
 */
#include <isa-l/igzip_lib.h>

#include <string.h>

#include "deflate/deflate.h"
#include "deflate/memory.h"

/* From here on level 1 makes a quarter less of JSON, at still 270 MB/s and up (make bench-deflate). */
#define CODES_FROM_BYTES 2048u

struct deflater {
    struct wsr_codec codec;
    bool takeover;
    struct isal_zstream stream; /* 80 KiB: it keeps its window in here */
};

/* Without takeover, what level 1 works in stands behind. */
struct deflater_with_codes {
    struct deflater deflater;
    uint8_t work[ISAL_DEF_LVL1_SMALL];
};

static size_t size_of(bool takeover)
{
    return takeover ? sizeof(struct deflater) : sizeof(struct deflater_with_codes);
}

/* A level is in force from a reset on. */
static void set_level(struct deflater *deflater, unsigned level)
{
    struct isal_zstream *stream = &deflater->stream;
    isal_deflate_reset(stream);
    stream->level = level;
    (void)isal_deflate_set_hufftables(stream, NULL, IGZIP_HUFFTABLE_STATIC);
}

static struct wsr_codec *open_deflater(struct wsr_pool *pool, unsigned level, unsigned window_bits, bool takeover)
{
    (void)level;
    struct deflater *deflater = wsr_codec_open(pool, size_of(takeover));
    if (deflater == NULL)
        return NULL;
    struct isal_zstream *stream = &deflater->stream;
    isal_deflate_init(stream);
    stream->hist_bits = (uint16_t)window_bits;
    /* A full flush is a sync flush that forgets: then ISA-L clears no more of its table than the message needs. */
    stream->flush = takeover ? SYNC_FLUSH : FULL_FLUSH;
    deflater->takeover = takeover;
    if (!takeover) {
        stream->level_buf = ((struct deflater_with_codes *)deflater)->work;
        stream->level_buf_size = ISAL_DEF_LVL1_SMALL;
    }
    set_level(deflater, 0);
    return &deflater->codec;
}

static void close_deflater(struct wsr_codec *codec)
{
    wsr_codec_close(codec, size_of(((struct deflater *)codec)->takeover));
}

static void reset_deflater(struct wsr_codec *codec)
{
    isal_deflate_reset(&((struct deflater *)codec)->stream);
}

/*
 * With fixed codes no byte takes more than 9 bits: a literal has 8 or 9, and a match, of at least 4 bytes, costs at most 7 for its
 * length and 18 for its distance. Level 1 stores a block that would come out larger, 5 bytes to each 16 KiB. Behind that
 * come a header (328 bytes at most), the end of the block and the flush; and ISA-L wants 8 bytes of room wherever it writes.
 */
static size_t bound(struct wsr_codec *codec, size_t len)
{
    (void)codec;
    return len + len / 8 + len / 512 + 512;
}

/* ISA-L counts in 32 bits. Beyond this a message is left as it is, and a history given up. */
#define COUNTED_BYTES_MAX ((size_t)1 << 30)

static size_t deflate_message(struct wsr_codec *codec, wsr_slice message, uint8_t *out, size_t cap)
{
    static const uint8_t tail[4] = {0, 0, 0xFF, 0xFF};
    struct deflater *deflater = (struct deflater *)codec;
    struct isal_zstream *stream = &deflater->stream;
    if (message.len > COUNTED_BYTES_MAX || cap > UINT32_MAX)
        return 0;
    if (!deflater->takeover)
        set_level(deflater, message.len >= CODES_FROM_BYTES);
    else if (stream->total_in > COUNTED_BYTES_MAX)
        reset_deflater(codec);
    stream->next_in = (uint8_t *)(uintptr_t)message.ptr; /* read only, in spite of its type */
    stream->avail_in = (uint32_t)message.len;
    stream->next_out = out;
    stream->avail_out = (uint32_t)cap;
    bool done = isal_deflate(stream) == COMP_OK && stream->avail_in == 0 && stream->avail_out != 0;
    size_t n = cap - stream->avail_out;
    if (!done || n <= sizeof tail || memcmp(out + n - sizeof tail, tail, sizeof tail) != 0) {
        reset_deflater(codec);
        return 0;
    }
    return n - sizeof tail;
}

const struct wsr_deflate_ops wsr_deflate_isal = {"ISA-L", open_deflater, close_deflater, reset_deflater, bound, deflate_message};
