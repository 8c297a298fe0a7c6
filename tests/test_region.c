/*
 * tests/test_region.c - base/region: nothing overlaps, what is given back serves again, and the parent has the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"
#include "base/region.h"

#define BYTES ((size_t)1 << 20)

struct counted {
    wsr_allocator face;
    unsigned allocs, resizes, releases;
    bool refuses;
};

static void *count_alloc(void *context, size_t size)
{
    struct counted *counted = context;
    counted->allocs++;
    return counted->refuses ? NULL : malloc(size);
}

static void *count_resize(void *context, void *ptr, size_t old_size, size_t size)
{
    struct counted *counted = context;
    (void)old_size;
    counted->resizes++;
    return realloc(ptr, size);
}

static void count_release(void *context, void *ptr, size_t size)
{
    struct counted *counted = context;
    (void)size;
    counted->releases++;
    free(ptr);
}

static struct counted parent;
static struct wsr_region region;
static uint8_t *memory;

static int begin(void **state)
{
    (void)state;
    memory = aligned_alloc(64, BYTES);
    parent = (struct counted){.face = {&parent, count_alloc, count_resize, count_release}};
    wsr_region_init(&region, memory, BYTES, &parent.face);
    return memory != NULL ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

static void *take(size_t size)
{
    return region.face.alloc(region.face.context, size);
}

static void give(void *ptr, size_t size)
{
    region.face.release(region.face.context, ptr, size);
}

static bool is_inside(const void *ptr)
{
    return (const uint8_t *)ptr >= memory && (const uint8_t *)ptr < memory + BYTES;
}

/* Many runs at a time, each filled with its own byte: a neighbour that overlaps shows. */
static void nothing_overlaps(void **state)
{
    (void)state;
    enum { N = 64 };
    struct {
        uint8_t *ptr;
        size_t size;
    } runs[N] = {0};
    uint32_t x = 1;
    for (unsigned i = 0; i < 20000; i++) {
        x = x * 1664525u + 1013904223u;
        const unsigned k = (x >> 8) % N;
        if (runs[k].ptr != NULL) {
            for (size_t b = 0; b < runs[k].size; b++)
                assert_int_equal(runs[k].ptr[b], k);
            if ((x >> 30) == 0) {
                const size_t size = 1 + (x >> 10) % 40000;
                uint8_t *moved = region.face.resize(region.face.context, runs[k].ptr, runs[k].size, size);
                assert_non_null(moved);
                for (size_t b = 0; b < runs[k].size && b < size; b++)
                    assert_int_equal(moved[b], k);
                runs[k].ptr = moved;
                runs[k].size = size;
                memset(moved, (int)k, size);
                continue;
            }
            give(runs[k].ptr, runs[k].size);
            runs[k].ptr = NULL;
            continue;
        }
        runs[k].size = 1 + (x >> 12) % ((x >> 31) != 0 ? 30000u : 300u);
        runs[k].ptr = take(runs[k].size);
        assert_non_null(runs[k].ptr);
        assert_true(!is_inside(runs[k].ptr) || runs[k].ptr + runs[k].size <= memory + BYTES);
        assert_int_equal((uintptr_t)runs[k].ptr % 16, 0);
        memset(runs[k].ptr, (int)k, runs[k].size);
    }
    for (unsigned k = 0; k < N; k++)
        if (runs[k].ptr != NULL)
            give(runs[k].ptr, runs[k].size);
    assert_int_equal(region.in_use, 0);
    assert_true(parent.allocs > 0); /* it was used up, and went on */
    assert_int_equal(parent.allocs, parent.releases);
}

static void what_comes_back_serves_again(void **state)
{
    (void)state;
    for (size_t size = 1; size <= BYTES; size = size * 3 / 2 + 1) {
        void *first = take(size);
        assert_true(is_inside(first) || region.used + size > BYTES || parent.allocs > 0);
        const size_t used = region.used;
        for (unsigned i = 0; i < 100; i++) {
            give(first, size);
            void *again = take(size);
            if (is_inside(first))
                assert_ptr_equal(again, first);
            first = again;
        }
        assert_int_equal(region.used, used);
        give(first, size);
    }
}

static void powers_of_two_lose_nothing(void **state)
{
    (void)state;
    for (size_t n = 0; n < BYTES / 4096; n++)
        assert_true(is_inside(take(4096)));
    assert_int_equal(region.used, BYTES);
    assert_int_equal(parent.allocs, 0);
    void *beyond = take(4096);
    assert_false(is_inside(beyond));
    assert_int_equal(parent.allocs, 1);
    beyond = region.face.resize(region.face.context, beyond, 4096, 8192);
    assert_int_equal(parent.resizes, 1);
    give(beyond, 8192);
    assert_int_equal(parent.releases, 1);
}

static void what_is_too_large_is_the_parents(void **state)
{
    (void)state;
    void *ptr = take(BYTES + 1);
    assert_false(is_inside(ptr));
    give(ptr, BYTES + 1);
    parent.refuses = true;
    assert_null(take(2 * BYTES));
    assert_null(take(SIZE_MAX / 2));
    uint8_t *small = take(100);
    assert_true(is_inside(small));
    assert_ptr_equal(region.face.resize(region.face.context, small, 100, 101), small); /* the same class */
    small[0] = 7;
    assert_null(region.face.resize(region.face.context, small, 101, 2 * BYTES));
    assert_int_equal(small[0], 7); /* untouched by what failed */
}

static void nothing_of_its_own(void **state)
{
    (void)state;
    wsr_region_init(&region, NULL, 0, &parent.face);
    void *ptr = take(1);
    assert_non_null(ptr);
    give(ptr, 1);
    assert_int_equal(parent.allocs + parent.releases, 2);
}

static void a_pool_stands_on_it(void **state)
{
    (void)state;
    struct wsr_pool pool;
    wsr_pool_init(&pool, &region.face, 0, 0);
    for (unsigned round = 0; round < 50; round++) {
        struct wsr_chunk *chunk = wsr_pool_get(&pool, 100 + round * 200);
        chunk->len = 100;
        memset(chunk->data, (int)round, chunk->len);
        chunk = wsr_pool_grow(&pool, chunk, 5000);
        assert_int_equal(chunk->data[99], round);
        wsr_pool_put(&pool, chunk);
    }
    wsr_pool_free(&pool);
    assert_int_equal(region.in_use, 0);
    assert_int_equal(parent.allocs, 0);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        ROW(nothing_overlaps),   ROW(what_comes_back_serves_again), ROW(powers_of_two_lose_nothing), ROW(what_is_too_large_is_the_parents),
        ROW(nothing_of_its_own), ROW(a_pool_stands_on_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
