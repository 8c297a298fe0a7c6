/*
 * base/pool.c - see pool.h.
 */
#include "base/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mark.h"

#define KEPT_BYTES_DEFAULT ((size_t)16 << 20)
#define OUT_BYTES_DEFAULT ((size_t)1 << 30)

static void *default_alloc(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static void *default_resize(void *context, void *ptr, size_t old_size, size_t size)
{
    (void)context;
    (void)old_size;
    return realloc(ptr, size);
}

static void default_release(void *context, void *ptr, size_t size)
{
    (void)context;
    (void)size;
    free(ptr);
}

const wsr_allocator wsr_allocator_default = {NULL, default_alloc, default_resize, default_release};

void wsr_pool_init(struct wsr_pool *pool, const wsr_allocator *allocator, size_t kept_bytes_max, size_t out_bytes_max)
{
    memset(pool, 0, sizeof *pool);
    pool->allocator = allocator != NULL && allocator->alloc != NULL ? allocator : &wsr_allocator_default;
    pool->kept_bytes_max = kept_bytes_max != 0 ? kept_bytes_max : KEPT_BYTES_DEFAULT;
    pool->out_bytes_max = out_bytes_max != 0 ? out_bytes_max : OUT_BYTES_DEFAULT;
}

/* The smallest class whose chunks are at least `size` bytes, WSR_POOL_CLASSES if none is. */
static unsigned class_of(size_t size)
{
    if (size <= WSR_POOL_CLASS_MIN)
        return 0;
    const unsigned size_class = 64 - (unsigned)__builtin_clzll((size - 1) / WSR_POOL_CLASS_MIN);
    return size_class < WSR_POOL_CLASSES ? size_class : WSR_POOL_CLASSES;
}

/* Of a chunk with room for `bytes`: its class, and its size in memory. */
static size_t size_for(size_t bytes, unsigned *size_class)
{
    size_t size = bytes + sizeof(struct wsr_chunk);
    *size_class = class_of(size);
    return *size_class < WSR_POOL_CLASSES ? WSR_POOL_CLASS_MIN << *size_class : size;
}

static struct wsr_chunk *take_free(struct wsr_pool *pool, unsigned size_class, size_t size)
{
    struct wsr_chunk *chunk = size_class < WSR_POOL_CLASSES ? pool->free[size_class] : NULL;
    if (chunk == NULL)
        return NULL;
    pool->free[size_class] = chunk->next;
    pool->kept_bytes -= size;
    wsr_mark_open(chunk->bytes, size - sizeof *chunk);
    return chunk;
}

void wsr_pool_free(struct wsr_pool *pool)
{
    for (unsigned i = 0; i < WSR_POOL_CLASSES; i++) {
        const size_t size = WSR_POOL_CLASS_MIN << i;
        while (pool->free[i] != NULL)
            pool->allocator->release(pool->allocator->context, take_free(pool, i, size), size);
    }
}

/* Gives kept chunks, the largest first, back to the allocator until `size` more fit under the limit with what is kept. */
static void make_room(struct wsr_pool *pool, size_t size)
{
    const size_t kept_max = pool->out_bytes_max - pool->out_bytes - size;
    for (unsigned i = WSR_POOL_CLASSES; i-- > 0 && pool->kept_bytes > kept_max;) {
        while (pool->free[i] != NULL && pool->kept_bytes > kept_max) {
            const size_t chunk_bytes = WSR_POOL_CLASS_MIN << i;
            pool->allocator->release(pool->allocator->context, take_free(pool, i, chunk_bytes), chunk_bytes);
        }
    }
}

/* out_bytes never exceeds its limit. */
static bool fits(struct wsr_pool *pool, size_t size)
{
    const size_t others = size > WSR_POOL_SMALL ? pool->for_small_bytes : 0, left = pool->out_bytes_max - pool->out_bytes;
    if (left > others && size <= left - others)
        return true;
    pool->refused++;
    return false;
}

struct wsr_chunk *wsr_pool_get(struct wsr_pool *pool, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    unsigned size_class;
    size_t size = size_for(bytes, &size_class);
    if (!fits(pool, size))
        return NULL;

    struct wsr_chunk *chunk = take_free(pool, size_class, size);
    if (chunk == NULL) {
        make_room(pool, size);
        chunk = pool->allocator->alloc(pool->allocator->context, size);
        if (chunk == NULL)
            return NULL;
        pool->allocations++;
        chunk->end = (uint8_t *)chunk + size;
        chunk->size_class = (uint8_t)size_class;
    }
    pool->out_bytes += size;
    chunk->next = chunk->of = NULL;
    chunk->holders = 1;
    chunk->start = chunk->data = chunk->bytes;
    chunk->len = 0;
    chunk->kind = 0;
    return chunk;
}

struct wsr_chunk *wsr_pool_refer(struct wsr_pool *pool, struct wsr_chunk *of, wsr_slice bytes)
{
    struct wsr_chunk *chunk = wsr_pool_get(pool, 0);
    if (chunk == NULL)
        return NULL;
    chunk->of = wsr_chunk_hold(of);
    chunk->start = chunk->data = (uint8_t *)(uintptr_t)bytes.ptr; /* nobody writes there: room is 0, and it has another holder */
    chunk->len = bytes.len;
    return chunk;
}

void wsr_pool_put(struct wsr_pool *pool, struct wsr_chunk *chunk)
{
    assert(chunk->holders > 0);
    if (--chunk->holders > 0)
        return;
    if (chunk->of != NULL)
        wsr_pool_put(pool, chunk->of); /* no deeper: it is no reference itself */
    size_t size = wsr_chunk_bytes(chunk);
    pool->out_bytes -= size;
    if (chunk->size_class >= WSR_POOL_CLASSES || size > pool->kept_bytes_max - pool->kept_bytes) {
        pool->allocator->release(pool->allocator->context, chunk, size);
        return;
    }
    pool->kept_bytes += size;
    wsr_mark_closed(chunk->bytes, size - sizeof *chunk);
    chunk->next = pool->free[chunk->size_class];
    pool->free[chunk->size_class] = chunk;
}

void wsr_pool_put_list(struct wsr_pool *pool, struct wsr_chunk *list)
{
    while (list != NULL) {
        struct wsr_chunk *next = list->next;
        wsr_pool_put(pool, list);
        list = next;
    }
}

/* Makes a chunk that began where it was put larger, where it is or elsewhere. */
static struct wsr_chunk *resize(struct wsr_pool *pool, struct wsr_chunk *chunk, unsigned size_class, size_t size)
{
    const size_t old_size = wsr_chunk_bytes(chunk), len = chunk->len;
    if (!fits(pool, size - old_size))
        return NULL;
    make_room(pool, size - old_size);
    chunk = pool->allocator->resize(pool->allocator->context, chunk, old_size, size);
    if (chunk == NULL)
        return NULL;
    pool->allocations++;
    pool->out_bytes += size - old_size;
    chunk->start = chunk->data = chunk->bytes;
    chunk->len = len;
    chunk->end = (uint8_t *)chunk + size;
    chunk->size_class = (uint8_t)size_class;
    return chunk;
}

struct wsr_chunk *wsr_pool_grow(struct wsr_pool *pool, struct wsr_chunk *chunk, size_t room)
{
    assert(chunk->holders == 1 && chunk->of == NULL);
    if (room > SIZE_MAX / 2 - chunk->len)
        return NULL;
    unsigned size_class;
    const size_t size = size_for(chunk->len + room, &size_class);
    /*
     * A kept chunk costs a copy. Without one the allocator resizes, which for large ones moves pages instead of bytes, and
     * never has both in memory; a stream of messages finds kept chunks of both sizes after the first.
     */
    const bool kept = size_class < WSR_POOL_CLASSES && pool->free[size_class] != NULL;
    if (!kept && size > wsr_chunk_bytes(chunk) && chunk->data == chunk->bytes)
        return resize(pool, chunk, size_class, size);
    struct wsr_chunk *larger = wsr_pool_get(pool, chunk->len + room);
    if (larger == NULL)
        return NULL;
    memcpy(larger->bytes, chunk->data, chunk->len);
    larger->len = chunk->len;
    wsr_pool_put(pool, chunk);
    return larger;
}

void *wsr_pool_get_exact(struct wsr_pool *pool, size_t bytes)
{
    if (!fits(pool, bytes))
        return NULL;
    make_room(pool, bytes);
    void *memory = pool->allocator->alloc(pool->allocator->context, bytes);
    if (memory == NULL)
        return NULL;
    pool->allocations++;
    pool->out_bytes += bytes;
    return memory;
}

void wsr_pool_put_exact(struct wsr_pool *pool, void *memory, size_t bytes)
{
    pool->out_bytes -= bytes;
    pool->allocator->release(pool->allocator->context, memory, bytes);
}
