/*
 * base/pool.h - runs of bytes (chunks) in power-of-two size classes, kept for reuse: the only allocator of the data path.
 * A chunk may have several holders; another kind refers to bytes of such a one, so that these can stand in many queues.
 *
 * A pool belongs to one thread. In steady state a message costs no allocation: its chunk comes off a free list and goes
 * back there. What is kept free is bounded; the rest goes back to the allocator. All bytes a pool has out are counted, and a
 * limit refuses more; what is kept besides gives way, so that both together stay under it.
 */
#ifndef WSR_BASE_POOL_H
#define WSR_BASE_POOL_H

#include <wsring/types.h>

#define WSR_CHUNK_HEADROOM 10u /* bytes: a server's frame header has no more */

/* A run of bytes with an owner: the unit of every queue. [data, data + len) is present, up to `end` there is room. */
struct wsr_chunk {
    struct wsr_chunk *next; /* the holder's */
    struct wsr_chunk *of;   /* a reference: the chunk that its bytes lie in, and that it holds; NULL: they are its own */
    uint8_t *data;          /* first byte present */
    size_t len;             /* bytes present */
    uint8_t *start;         /* where the first byte was put; data runs ahead of it as bytes are taken from the front */
    uint8_t *end;           /* end of the memory */
    uint32_t holders;       /* it goes back to the pool with the last of them; while there are others, nobody changes its bytes */
    uint8_t size_class;
    uint8_t kind;           /* the holder's: what it is */
    uint8_t headroom[WSR_CHUNK_HEADROOM];   /* before the bytes: a frame's header may stand here */
    uint8_t bytes[];        /* 64 bytes from the chunk's start */
};

_Static_assert(sizeof(struct wsr_chunk) == 64, "bytes begin a cache line after the chunk");
_Static_assert(offsetof(struct wsr_chunk, headroom) + WSR_CHUNK_HEADROOM == 64, "headroom and bytes are one run");

#define WSR_POOL_CLASS_MIN ((size_t)64) /* bytes, header included: a reference is no more than that */
#define WSR_POOL_CLASSES 20u /* WSR_POOL_CLASS_MIN << 0 to << 19 (32 MiB); larger ones are never kept */

/* The first chunk of an outbox, a Close, a record: with these those are served who hold little, while large ones find no room. */
#define WSR_POOL_SMALL ((size_t)4096)

struct wsr_pool {
    const wsr_allocator *allocator;
    struct wsr_chunk *free[WSR_POOL_CLASSES];
    size_t kept_bytes, kept_bytes_max; /* in the free lists */
    size_t out_bytes, out_bytes_max;   /* held by users; with what is kept at most out_bytes_max */
    uint64_t allocations;              /* calls to the allocator, ever */
    uint64_t refused;                  /* requests beyond the limit, ever */
    size_t for_small_bytes;            /* of out_bytes_max: the last, for requests of at most WSR_POOL_SMALL bytes alone [0] */
};

/* allocator NULL, or one without functions: malloc. kept_bytes_max, out_bytes_max: 0 for the defaults (16 MiB, 1 GiB). */
void wsr_pool_init(struct wsr_pool *pool, const wsr_allocator *allocator, size_t kept_bytes_max, size_t out_bytes_max);
void wsr_pool_free(struct wsr_pool *pool); /* everything must be back */

/* A chunk with room for at least `bytes`, len 0, data = start = bytes[], one holder. NULL: out of memory, or over the limit. */
struct wsr_chunk *wsr_pool_get(struct wsr_pool *pool, size_t bytes);
/* One holder less. */
void wsr_pool_put(struct wsr_pool *pool, struct wsr_chunk *chunk);
void wsr_pool_put_list(struct wsr_pool *pool, struct wsr_chunk *list);

/* A chunk that is no memory for bytes but refers to these of `of`, which it holds as long as it lives. NULL: as wsr_pool_get. */
struct wsr_chunk *wsr_pool_refer(struct wsr_pool *pool, struct wsr_chunk *of, wsr_slice bytes);

/* One holder more. */
static inline struct wsr_chunk *wsr_chunk_hold(struct wsr_chunk *chunk)
{
    chunk->holders++;
    return chunk;
}

/* A chunk with the same bytes and room for at least `room` more; chunk, which has no other holder, is put back. NULL: it is untouched. */
struct wsr_chunk *wsr_pool_grow(struct wsr_pool *pool, struct wsr_chunk *chunk, size_t room);

/*
 * Memory of exactly this size, for what lives long and is no run of bytes (a compressor's state): never kept for reuse,
 * but counted with the chunks. NULL as wsr_pool_get. put: with the size it was got with.
 */
void *wsr_pool_get_exact(struct wsr_pool *pool, size_t bytes);
void wsr_pool_put_exact(struct wsr_pool *pool, void *memory, size_t bytes);

/* Bytes that fit behind those present. A reference has room for none. */
static inline size_t wsr_chunk_room(const struct wsr_chunk *chunk)
{
    return chunk->of == NULL ? (size_t)(chunk->end - (chunk->data + chunk->len)) : 0;
}

/* Of the pool: its size in memory, without that of what it refers to. */
static inline size_t wsr_chunk_bytes(const struct wsr_chunk *chunk)
{
    return (size_t)(chunk->end - (const uint8_t *)chunk);
}

/* The allocator that is malloc. */
extern const wsr_allocator wsr_allocator_default;

#endif
