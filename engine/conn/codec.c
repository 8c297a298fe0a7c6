/*
 * conn/codec.c - lends proto what it may not have of its own: a decompressor and two compressors. Why these: deflate/deflate.h.
 */
#include "conn/engine.h"
#include "deflate/deflate.h"

void wsr_env_codecs(struct wsr_env *env)
{
    env->deflate.inflate = &wsr_inflate_zlib;
    env->deflate.fast = &wsr_deflate_isal;
    env->deflate.small = &wsr_deflate_zlib;
}
