/*
 * tests/lib/deflated.c - see deflated.h.
 */
#include "lib/deflated.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static void must(bool good)
{
    if (good)
        return;
    (void)fprintf(stderr, "deflated: zlib fails\n");
    abort();
}

struct deflated {
    z_stream stream;
};

struct deflated *deflated_open(int level, int window_bits)
{
    struct deflated *deflated = calloc(1, sizeof *deflated);
    must(deflated != NULL && deflateInit2(&deflated->stream, level, Z_DEFLATED, -window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    return deflated;
}

void deflated_close(struct deflated *deflated)
{
    (void)deflateEnd(&deflated->stream); /* says that it was in the middle of a stream, and so it is */
    free(deflated);
}

void deflated_reset(struct deflated *deflated)
{
    must(deflateReset(&deflated->stream) == Z_OK);
}

void deflated_put(struct deflated *deflated, struct vectors_bytes *out, const void *p, size_t len, bool last)
{
    static const uint8_t empty = 0, tail[4] = {0, 0, 0xFF, 0xFF};
    size_t from = out->len;
    if (len == 0) { /* zlib has nothing to say of nothing (RFC 7692 section 7.2.3.6) */
        vectors_append(out, &empty, last);
        return;
    }
    uint8_t piece[4096];
    z_stream *stream = &deflated->stream;
    stream->next_in = (Bytef *)(uintptr_t)p;
    stream->avail_in = (uInt)len;
    do {
        stream->next_out = piece;
        stream->avail_out = sizeof piece;
        int result = deflate(stream, Z_SYNC_FLUSH);
        must(result == Z_OK || result == Z_BUF_ERROR);
        vectors_append(out, piece, sizeof piece - stream->avail_out);
    } while (stream->avail_out == 0);
    must(out->len - from > 4 && memcmp(out->ptr + out->len - 4, tail, 4) == 0);
    if (last)
        out->len -= 4;
}

void deflated_message(struct vectors_bytes *out, const void *p, size_t len)
{
    struct deflated *deflated = deflated_open(6, 15);
    deflated_put(deflated, out, p, len, true);
    deflated_close(deflated);
}

void deflated_bomb(struct vectors_bytes *out, unsigned mib)
{
    enum { MIB = 1 << 20 };
    static const uint8_t zeros[MIB];
    struct vectors_bytes once = {NULL, 0, 0};
    struct deflated *deflated = deflated_open(9, 15);
    deflated_put(deflated, &once, zeros, MIB, false); /* refers back to itself only, so it may be said again */
    for (unsigned i = 0; i < mib; i++)
        vectors_append(out, once.ptr, once.len);
    out->len -= 4;
    deflated_close(deflated);
    vectors_bytes_free(&once);
}
