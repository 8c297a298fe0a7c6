/*
 * proto/deflate.h - what proto needs of a compressor and a decompressor of DEFLATE (RFC 1951), as two tables of functions.
 *
 * proto has neither: the room deflate supplies them (deflate/deflate.h), and whoever opens a wsr_env puts them there. What a
 * message, a frame or an offer is, they do not know; that is proto/permessage.h's.
 */
#ifndef WSR_PROTO_DEFLATE_H
#define WSR_PROTO_DEFLATE_H

#include <wsring/types.h>

#include "base/pool.h"

/* How each compressor and decompressor begins. What it is, its maker knows. */
struct wsr_codec {
    struct wsr_pool *pool;
    size_t bytes; /* of memory it holds now, itself included */
};

#define WSR_WINDOW_BITS_MIN 8u
#define WSR_WINDOW_BITS_MAX 15u

struct wsr_deflate_ops {
    const char *name;
    /*
     * A compressor of this level (1 to 9; 0: the maker's own choice) whose distances stay within 2^window_bits bytes (8 to
     * 15). takeover: a message may refer back to those before it; otherwise each stands alone. NULL: no memory.
     */
    struct wsr_codec *(*open)(struct wsr_pool *pool, unsigned level, unsigned window_bits, bool takeover);
    void (*close)(struct wsr_codec *codec);
    /* Forgets all messages so far: none that follows refers back to them. */
    void (*reset)(struct wsr_codec *codec);
    /* The most that a message of len bytes can become, in bytes: the room that `message` is to have. */
    size_t (*bound)(struct wsr_codec *codec, size_t len);
    /*
     * Compresses one message, which is not empty, up to and including the empty block 00 00 FF FF at its end (RFC 7692
     * section 7.2.1), and writes it without those four bytes. Returns how many; 0 if it could not be done, which forgets too.
     */
    size_t (*message)(struct wsr_codec *codec, wsr_slice message, uint8_t *out, size_t cap);
};

struct wsr_inflate_ops {
    const char *name;
    /* A decompressor for distances of up to 2^window_bits bytes. NULL: no memory. */
    struct wsr_codec *(*open)(struct wsr_pool *pool, unsigned window_bits);
    void (*close)(struct wsr_codec *codec);
    /* Forgets everything: what comes next is a new stream. */
    void (*reset)(struct wsr_codec *codec);
    /*
     * Inflates from *in to *out and moves both on, until one of them is used up; if out is, there may be more to come even
     * without input. A block with BFINAL set is one like any other: the next begins behind it, with the same history (RFC
     * 7692 section 7.2.3.4). Returns 0; WSR_EDEFLATE: what was written to out up to there is good; WSR_ENOMEM.
     */
    int (*run)(struct wsr_codec *codec, wsr_slice *in, wsr_span *out);
    /* Does it stand between two blocks (or before the first), at the beginning of a byte? */
    bool (*is_between)(const struct wsr_codec *codec);
};

#endif
