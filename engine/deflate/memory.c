/*
 * deflate/memory.c - see memory.h.
 */
#include "deflate/memory.h"

#include <string.h>

/* Before each run of memory stands its size, in as many bytes as malloc aligns to. */
#define PREFIX_BYTES 16u

void *wsr_codec_open(struct wsr_pool *pool, size_t size)
{
    struct wsr_codec *codec = wsr_pool_get_exact(pool, size);
    if (codec == NULL)
        return NULL;
    memset(codec, 0, size);
    codec->pool = pool;
    codec->bytes = size;
    return codec;
}

void wsr_codec_close(void *codec, size_t size)
{
    wsr_pool_put_exact(((struct wsr_codec *)codec)->pool, codec, size);
}

void *wsr_codec_alloc(void *codec, unsigned items, unsigned size)
{
    struct wsr_codec *owner = codec;
    size_t bytes = (size_t)items * size + PREFIX_BYTES;
    uint8_t *memory = wsr_pool_get_exact(owner->pool, bytes);
    if (memory == NULL)
        return NULL;
    memcpy(memory, &bytes, sizeof bytes);
    owner->bytes += bytes;
    return memory + PREFIX_BYTES;
}

void wsr_codec_release(void *codec, void *memory)
{
    struct wsr_codec *owner = codec;
    uint8_t *start = (uint8_t *)memory - PREFIX_BYTES;
    size_t bytes;
    memcpy(&bytes, start, sizeof bytes);
    owner->bytes -= bytes;
    wsr_pool_put_exact(owner->pool, start, bytes);
}
