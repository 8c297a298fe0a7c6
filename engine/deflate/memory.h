/*
 * deflate/memory.h - memory for codecs: out of the pool that bounds and counts everything, and counted for each codec too.
 */
#ifndef WSR_DEFLATE_MEMORY_H
#define WSR_DEFLATE_MEMORY_H

#include "proto/deflate.h"

/* A codec of `size` bytes, all of them zero but its struct wsr_codec. NULL: no memory. */
void *wsr_codec_open(struct wsr_pool *pool, size_t size);
void wsr_codec_close(void *codec, size_t size);

/* More memory for it, and back; these fit zlib's hooks. NULL: none. */
void *wsr_codec_alloc(void *codec, unsigned items, unsigned size);
void wsr_codec_release(void *codec, void *memory);

#endif
