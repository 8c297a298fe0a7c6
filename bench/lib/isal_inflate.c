/*
 * bench/lib/isal_inflate.c - see isal_inflate.h.
 */
#include "lib/isal_inflate.h"

#include <isa-l/igzip_lib.h>

struct inflater {
    struct wsr_codec codec;
    struct inflate_state state; /* 86 KiB, its window in it */
};

static struct wsr_codec *open_inflater(struct wsr_pool *pool, unsigned window_bits)
{
    struct inflater *inflater = wsr_pool_get_exact(pool, sizeof *inflater);
    if (inflater == NULL)
        return NULL;
    inflater->codec = (struct wsr_codec){pool, sizeof *inflater};
    isal_inflate_init(&inflater->state);
    inflater->state.hist_bits = window_bits;
    return &inflater->codec;
}

static void close_inflater(struct wsr_codec *codec)
{
    wsr_pool_put_exact(codec->pool, codec, sizeof(struct inflater));
}

static void reset_inflater(struct wsr_codec *codec)
{
    isal_inflate_reset(&((struct inflater *)codec)->state);
}

static int run(struct wsr_codec *codec, wsr_slice *in, wsr_span *out)
{
    struct inflate_state *state = &((struct inflater *)codec)->state;
    state->next_in = (uint8_t *)(uintptr_t)in->ptr;
    state->avail_in = (uint32_t)in->len;
    state->next_out = out->ptr;
    state->avail_out = (uint32_t)out->len;
    int result = isal_inflate(state);
    *in = (wsr_slice){state->next_in, state->avail_in};
    *out = (wsr_span){state->next_out, state->avail_out};
    return result < 0 ? WSR_EDEFLATE : WSR_OK;
}

static bool is_between(const struct wsr_codec *codec)
{
    const struct inflate_state *state = &((const struct inflater *)codec)->state;
    /* It goes on to the next header as soon as a block is over, and notes that nothing of it is there. */
    return (state->block_state == ISAL_BLOCK_NEW_HDR || state->block_state == ISAL_BLOCK_HDR) && state->tmp_in_size == 0;
}

const struct wsr_inflate_ops bench_inflate_isal = {"ISA-L", open_inflater, close_inflater, reset_inflater, run, is_between};
