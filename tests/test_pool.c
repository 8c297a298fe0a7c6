/*
 * tests/test_pool.c - chunks and their size classes, what is counted and kept, growing, and failing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"

/* An allocator that counts, checks sizes, and fails on demand. */
struct heap {
    size_t bytes;
    unsigned calls;
    unsigned fail_at; /* that call; 0: none */
    wsr_allocator allocator;
};

static void *heap_alloc(void *context, size_t size)
{
    struct heap *heap = context;
    if (++heap->calls == heap->fail_at)
        return NULL;
    size_t *p = malloc(size + 16);
    assert_non_null(p);
    *p = size;
    heap->bytes += size;
    return (uint8_t *)p + 16;
}

static void heap_release(void *context, void *ptr, size_t size)
{
    struct heap *heap = context;
    assert_non_null(ptr);
    size_t *p = (size_t *)(void *)((uint8_t *)ptr - 16);
    assert_int_equal(*p, size); /* "size is what was last asked for" */
    heap->bytes -= size;
    free(p);
}

static void *heap_resize(void *context, void *ptr, size_t old_size, size_t size)
{
    struct heap *heap = context;
    void *to = heap_alloc(context, size); /* always elsewhere */
    if (to == NULL)
        return NULL;
    memcpy(to, ptr, old_size < size ? old_size : size);
    heap_release(heap, ptr, old_size);
    return to;
}

static const wsr_allocator *heap_of(struct heap *heap)
{
    heap->allocator = (wsr_allocator){heap, heap_alloc, heap_resize, heap_release};
    return &heap->allocator;
}

static size_t size_of(const struct wsr_chunk *chunk)
{
    return (size_t)(chunk->end - (const uint8_t *)chunk);
}

static void chunks_have_the_room_asked_for(void **unused)
{
    (void)unused;
    struct heap heap = {0};
    struct wsr_pool pool;
    wsr_pool_init(&pool, heap_of(&heap), 0, 0);
    for (unsigned shift = 0; shift < 27; shift++) {
        for (int near = -65; near <= 1; near += 11) {
            size_t bytes = (size_t)1 << shift;
            if (near < 0 && bytes < (size_t)-near)
                continue;
            bytes += (size_t)(ptrdiff_t)near;
            struct wsr_chunk *chunk = wsr_pool_get(&pool, bytes);
            assert_non_null(chunk);
            assert_true(wsr_chunk_room(chunk) >= bytes);
            assert_ptr_equal(chunk->data, chunk->bytes);
            assert_ptr_equal(chunk->start, chunk->bytes);
            assert_int_equal(chunk->len, 0);
            assert_int_equal(chunk->kind, 0);
            assert_int_equal((uintptr_t)chunk->bytes % 16, 0);
            size_t size = size_of(chunk);
            assert_int_equal(pool.out_bytes, size);
            if (bytes + 64 <= WSR_POOL_CLASS_MIN << (WSR_POOL_CLASSES - 1)) { /* a power of two, and the smallest that fits */
                assert_int_equal(size & (size - 1), 0);
                assert_true(size == WSR_POOL_CLASS_MIN || size / 2 < bytes + 64);
            } else {
                assert_int_equal(size, bytes + 64);
            }
            memset(chunk->data, 0xAB, wsr_chunk_room(chunk));
            wsr_pool_put(&pool, chunk);
            assert_int_equal(pool.out_bytes, 0);
            assert_int_equal(heap.bytes, pool.kept_bytes);
        }
    }
    wsr_pool_free(&pool);
    assert_int_equal(heap.bytes, 0);
    assert_int_equal(pool.kept_bytes, 0);
}

static void a_steady_state_allocates_nothing(void **unused)
{
    (void)unused;
    struct heap heap = {0};
    struct wsr_pool pool;
    wsr_pool_init(&pool, heap_of(&heap), 0, 0);
    for (unsigned round = 0; round < 100; round++) {
        struct wsr_chunk *chunks[3];
        static const size_t sizes[3] = {100, 4000, 60000};
        for (unsigned i = 0; i < 3; i++)
            chunks[i] = wsr_pool_get(&pool, sizes[i]);
        for (unsigned i = 0; i < 3; i++) {
            chunks[i]->kind = 1; /* must not outlive the chunk's stay in the pool */
            chunks[i]->data += 10;
            wsr_pool_put(&pool, chunks[i]);
        }
    }
    assert_int_equal(heap.calls, 3);
    assert_int_equal(pool.allocations, 3);
    wsr_pool_free(&pool);
    assert_int_equal(heap.bytes, 0);
}

static void what_is_kept_is_bounded(void **unused)
{
    (void)unused;
    struct heap heap = {0};
    struct wsr_pool pool;
    wsr_pool_init(&pool, heap_of(&heap), 1024, 0);
    struct wsr_chunk *chunks[16];
    for (unsigned i = 0; i < 16; i++)
        chunks[i] = wsr_pool_get(&pool, 100);
    for (unsigned i = 0; i < 16; i++)
        wsr_pool_put(&pool, chunks[i]);
    assert_int_equal(pool.kept_bytes, 1024);
    assert_int_equal(heap.bytes, 1024);
    /* and the largest are never kept */
    wsr_pool_free(&pool);
    wsr_pool_init(&pool, &heap.allocator, (size_t)1 << 40, 0);
    wsr_pool_put(&pool, wsr_pool_get(&pool, (size_t)40 << 20));
    assert_int_equal(heap.bytes, 0);
    wsr_pool_free(&pool);
}

/* What is kept counts too: it gives way to what is needed, whether that is got or grown. */
static void what_is_kept_gives_way(void **unused)
{
    (void)unused;
    struct heap heap = {0};
    struct wsr_pool pool;
    wsr_pool_init(&pool, heap_of(&heap), 0, 16384);
    for (unsigned round = 0; round < 2; round++) {
        struct wsr_chunk *chunks[32];
        for (unsigned i = 0; i < 32; i++)
            assert_non_null(chunks[i] = wsr_pool_get(&pool, 512 - sizeof *chunks[0]));
        for (unsigned i = 0; i < 32; i++)
            wsr_pool_put(&pool, chunks[i]);
        assert_int_equal(pool.kept_bytes, 16384);
        struct wsr_chunk *chunk = wsr_pool_get(&pool, round == 0 ? 16384 - sizeof *chunk : 1024 - sizeof *chunk);
        assert_non_null(chunk);
        assert_int_equal(heap.bytes, 16384);
        if (round == 1) {
            chunk->len = 10;
            assert_non_null(chunk = wsr_pool_grow(&pool, chunk, 8000));
            assert_int_equal(pool.out_bytes, 8192);
            assert_int_equal(heap.bytes, 16384);
        }
        assert_true(pool.out_bytes + pool.kept_bytes <= 16384);
        wsr_pool_put(&pool, chunk);
        wsr_pool_free(&pool);
        assert_int_equal(heap.bytes, 0);
    }
}

static void a_limit_refuses_more(void **unused)
{
    (void)unused;
    struct heap heap = {0};
    struct wsr_pool pool;
    wsr_pool_init(&pool, heap_of(&heap), 0, 1024);
    assert_null(wsr_pool_get(&pool, 1024)); /* the chunk's own 64 bytes count */
    struct wsr_chunk *half = wsr_pool_get(&pool, 512 - 64);
    assert_non_null(half);
    assert_null(wsr_pool_get(&pool, 512));
    struct wsr_chunk *rest = wsr_pool_get(&pool, 512 - 64); /* to the last byte */
    assert_non_null(rest);
    assert_null(wsr_pool_get(&pool, 1));
    wsr_pool_put(&pool, rest);
    assert_null(wsr_pool_get(&pool, SIZE_MAX));
    assert_null(wsr_pool_get(&pool, SIZE_MAX - 63));
    assert_null(wsr_pool_get(&pool, SIZE_MAX / 2));
    /* a chunk may grow within the limit: old and new need not fit in beside each other */
    half->len = 400;
    memset(half->data, 'x', 400);
    assert_null(wsr_pool_grow(&pool, half, 2000));
    assert_int_equal(pool.out_bytes, 512);
    half = wsr_pool_grow(&pool, half, 500);
    assert_non_null(half);
    assert_int_equal(half->len, 400);
    assert_int_equal(half->data[399], 'x');
    assert_int_equal(pool.out_bytes, 1024);
    assert_null(wsr_pool_grow(&pool, half, SIZE_MAX));
    assert_null(wsr_pool_grow(&pool, half, SIZE_MAX / 2));
    wsr_pool_put_list(&pool, half);
    assert_int_equal(pool.out_bytes, 0);
    wsr_pool_free(&pool);
    assert_int_equal(heap.bytes, 0);
}

/* In place of the allocator's, with a kept chunk, with bytes taken from the front, and to room it has already. */
static void the_last_bytes_are_for_small_ones(void **unused)
{
    (void)unused;
    struct heap heap = {0};
    struct wsr_pool pool;
    wsr_pool_init(&pool, heap_of(&heap), 0, 32768);
    pool.for_small_bytes = 8192;
    struct wsr_chunk *large = wsr_pool_get(&pool, 16384 - 64), *next = wsr_pool_get(&pool, 8192 - 64);
    assert_non_null(large);
    assert_non_null(next);
    assert_null(wsr_pool_get(&pool, 8192 - 64));
    assert_int_equal(pool.refused, 1);
    struct wsr_chunk *small = wsr_pool_get(&pool, 4096 - 64), *last = wsr_pool_get(&pool, 4096 - 64);
    assert_non_null(small);
    assert_non_null(last);
    assert_null(wsr_pool_get(&pool, 1));
    wsr_pool_put(&pool, large), wsr_pool_put(&pool, next), wsr_pool_put(&pool, small), wsr_pool_put(&pool, last);
    wsr_pool_free(&pool);
    assert_int_equal(heap.bytes, 0);
}

static void growing_keeps_the_bytes(void **unused)
{
    (void)unused;
    struct heap heap = {0};
    struct wsr_pool pool;
    wsr_pool_init(&pool, heap_of(&heap), 0, 0);
    for (unsigned kept = 0; kept < 2; kept++) {
        for (size_t taken = 0; taken <= 300; taken += 150) {
            for (size_t room = 0; room <= 100000; room = 3 * room + 50) {
                struct wsr_chunk *chunk = wsr_pool_get(&pool, 900);
                for (size_t i = 0; i < 900; i++)
                    chunk->data[i] = (uint8_t)(i * 7);
                chunk->data += taken;
                chunk->len = 900 - taken;
                if (kept != 0)
                    wsr_pool_put(&pool, wsr_pool_get(&pool, 900 - taken + room));
                chunk = wsr_pool_grow(&pool, chunk, room);
                assert_non_null(chunk);
                assert_int_equal(chunk->len, 900 - taken);
                assert_true(wsr_chunk_room(chunk) >= room);
                assert_ptr_equal(chunk->data, chunk->bytes);
                assert_ptr_equal(chunk->start, chunk->bytes);
                for (size_t i = taken; i < 900; i++)
                    assert_int_equal(chunk->data[i - taken], (uint8_t)(i * 7));
                assert_int_equal(pool.out_bytes, size_of(chunk));
                wsr_pool_put(&pool, chunk);
                assert_int_equal(pool.out_bytes, 0);
                assert_int_equal(heap.bytes, pool.kept_bytes);
                wsr_pool_free(&pool);
            }
        }
    }
}

/* To grow step by step is to copy once for all: the work is in proportion to the final size, for the largest chunks too. */
static void growing_never_has_both_in_memory(void **unused)
{
    (void)unused;
    struct heap heap = {0};
    struct wsr_pool pool;
    wsr_pool_init(&pool, heap_of(&heap), 1, 0);
    struct wsr_chunk *chunk = wsr_pool_get(&pool, 1000);
    while (chunk->len < (size_t)8 << 20) {
        size_t room = wsr_chunk_room(chunk);
        memset(chunk->data + chunk->len, 1, room);
        chunk->len += room;
        chunk = wsr_pool_grow(&pool, chunk, 1);
        assert_non_null(chunk);
        assert_int_equal(heap.bytes, size_of(chunk));
    }
    assert_true(heap.calls <= 16);
    wsr_pool_put(&pool, chunk);
    wsr_pool_free(&pool);
    assert_int_equal(heap.bytes, 0);
}

static void failures_leave_everything_as_it_was(void **unused)
{
    (void)unused;
    struct heap heap = {.fail_at = 1};
    struct wsr_pool pool;
    wsr_pool_init(&pool, heap_of(&heap), 0, 0);
    assert_null(wsr_pool_get(&pool, 10));
    assert_int_equal(pool.out_bytes, 0);
    struct wsr_chunk *chunk = wsr_pool_get(&pool, 10);
    chunk->data[0] = 42;
    chunk->len = 1;
    heap.fail_at = heap.calls + 1;
    assert_null(wsr_pool_grow(&pool, chunk, 100000));
    assert_int_equal(chunk->data[0], 42);
    assert_int_equal(chunk->len, 1);
    assert_int_equal(pool.out_bytes, size_of(chunk));
    chunk->data++; /* now it has to be copied */
    chunk->len--;
    heap.fail_at = heap.calls + 1;
    assert_null(wsr_pool_grow(&pool, chunk, 100000));
    wsr_pool_put(&pool, chunk);
    wsr_pool_free(&pool);
    assert_int_equal(heap.bytes, 0);
}

/* Bytes go back with the last who holds them, whoever that is; a reference costs a cache line, and has no room. */
static void what_is_referred_to_stays(void **unused)
{
    (void)unused;
    struct heap heap = {0};
    struct wsr_pool pool;
    wsr_pool_init(&pool, heap_of(&heap), 1, 0);
    enum { N = 100 };
    struct wsr_chunk *chunk = wsr_pool_get(&pool, 1000), *references[N];
    memset(chunk->data, 'x', 1000);
    chunk->len = 1000;
    const size_t alone = pool.out_bytes;
    for (unsigned i = 0; i < N; i++) {
        references[i] = wsr_pool_refer(&pool, chunk, (wsr_slice){chunk->data + i, 1000 - i});
        assert_non_null(references[i]);
        assert_int_equal(references[i]->len, 1000 - i);
        assert_int_equal(wsr_chunk_room(references[i]), 0);
    }
    assert_int_equal(pool.out_bytes, alone + N * sizeof *chunk);
    wsr_pool_put(&pool, chunk); /* whoever made it is done with it */
    for (unsigned i = 0; i < N; i++) {
        references[i]->data += 10; /* each is taken from by itself */
        references[i]->len -= 10;
        assert_int_equal(pool.out_bytes, alone + (N - i) * sizeof *chunk);
        assert_int_equal(references[i]->data[0], 'x');
        wsr_pool_put(&pool, references[i]);
    }
    assert_int_equal(pool.out_bytes, 0);
    assert_int_equal(heap.bytes, 0);

    chunk = wsr_pool_get(&pool, 1000);
    heap.fail_at = heap.calls + 1;
    assert_null(wsr_pool_refer(&pool, chunk, (wsr_slice){chunk->data, 1}));
    assert_int_equal(chunk->holders, 1);
    wsr_pool_put(&pool, chunk);
    wsr_pool_free(&pool);
    assert_int_equal(heap.bytes, 0);
}

/* types.h: "All three functions must be given, or none (malloc, realloc and free are then used)." */
static void an_allocator_without_functions_is_malloc(void **unused)
{
    (void)unused;
    const wsr_allocator empty = {0};
    struct wsr_pool pool;
    wsr_pool_init(&pool, &empty, 0, 0);
    struct wsr_chunk *chunk = wsr_pool_get(&pool, 100);
    chunk = wsr_pool_grow(&pool, chunk, 100000);
    assert_non_null(chunk);
    wsr_pool_put(&pool, chunk);
    wsr_pool_free(&pool);
    wsr_pool_init(&pool, NULL, 0, 0);
    wsr_pool_put(&pool, wsr_pool_get(&pool, 100));
    wsr_pool_free(&pool);
}

/* What is got exactly goes before what is kept, like any chunk: both together stay under the limit. */
static void what_is_kept_gives_way_to_what_lasts(void **state)
{
    (void)state;
    struct heap heap = {0};
    struct wsr_pool pool;
    wsr_pool_init(&pool, heap_of(&heap), 1 << 20, 1 << 20);
    struct wsr_chunk *chunk = wsr_pool_get(&pool, 500000);
    assert_non_null(chunk);
    wsr_pool_put(&pool, chunk);
    assert_true(pool.kept_bytes > 500000);
    void *memory = wsr_pool_get_exact(&pool, 900000);
    assert_non_null(memory);
    assert_true(heap.bytes <= 1 << 20);
    wsr_pool_put_exact(&pool, memory, 900000);
    wsr_pool_free(&pool);
    assert_int_equal(heap.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_have_the_room_asked_for),
        cmocka_unit_test(a_steady_state_allocates_nothing),
        cmocka_unit_test(what_is_kept_is_bounded),
        cmocka_unit_test(what_is_kept_gives_way),
        cmocka_unit_test(a_limit_refuses_more),
        cmocka_unit_test(the_last_bytes_are_for_small_ones),
        cmocka_unit_test(growing_keeps_the_bytes),
        cmocka_unit_test(growing_never_has_both_in_memory),
        cmocka_unit_test(failures_leave_everything_as_it_was),
        cmocka_unit_test(what_is_referred_to_stays),
        cmocka_unit_test(an_allocator_without_functions_is_malloc),
        cmocka_unit_test(what_is_kept_gives_way_to_what_lasts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
