/*
 * base/region.c - see region.h.
 */
#include "base/region.h"

#include <string.h>

#define SMALLEST_SHIFT 6u /* 64 bytes: a cache line, and room for the link of a free one */

/* The class whose runs hold `size` bytes, and their size. Four classes to a power of two: at most a quarter is lost. */
static unsigned class_of(size_t size, size_t *class_bytes)
{
    if (size <= (size_t)1 << SMALLEST_SHIFT) {
        *class_bytes = (size_t)1 << SMALLEST_SHIFT;
        return 0;
    }
    const unsigned shift = 63u - (unsigned)__builtin_clzll((unsigned long long)(size - 1)); /* of the power below size */
    const size_t quarter = (size_t)1 << (shift - 2);
    const size_t step = (size - 1 - ((size_t)1 << shift)) / quarter;
    *class_bytes = ((size_t)1 << shift) + (step + 1) * quarter;
    return 1 + (shift - SMALLEST_SHIFT) * 4 + (unsigned)step;
}

static bool is_ours(const struct wsr_region *region, const void *ptr)
{
    return (uintptr_t)ptr - (uintptr_t)region->memory < region->bytes;
}

static void *region_alloc(void *context, size_t size)
{
    struct wsr_region *region = context;
    size_t class_bytes;
    const unsigned size_class = size <= region->bytes ? class_of(size, &class_bytes) : WSR_REGION_SIZES;
    if (size_class >= WSR_REGION_SIZES)
        return region->parent->alloc(region->parent->context, size);
    void *ptr = region->free[size_class];
    if (ptr != NULL) {
        region->free[size_class] = *(void **)ptr;
    } else if (class_bytes <= region->bytes - region->used) {
        ptr = region->memory + region->used;
        region->used += (class_bytes + 63u) & ~(size_t)63;
        if (region->used > region->bytes)
            region->used = region->bytes;
    } else {
        return region->parent->alloc(region->parent->context, size);
    }
    region->in_use += class_bytes;
    return ptr;
}

static void region_release(void *context, void *ptr, size_t size)
{
    struct wsr_region *region = context;
    if (!is_ours(region, ptr)) {
        region->parent->release(region->parent->context, ptr, size);
        return;
    }
    size_t class_bytes;
    const unsigned size_class = class_of(size, &class_bytes);
    *(void **)ptr = region->free[size_class];
    region->free[size_class] = ptr;
    region->in_use -= class_bytes;
}

static void *region_resize(void *context, void *ptr, size_t old_size, size_t size)
{
    struct wsr_region *region = context;
    if (!is_ours(region, ptr))
        return region->parent->resize(region->parent->context, ptr, old_size, size);
    size_t old_bytes, bytes;
    if (class_of(old_size, &old_bytes) == class_of(size, &bytes))
        return ptr;
    void *larger = region_alloc(region, size);
    if (larger == NULL)
        return NULL;
    memcpy(larger, ptr, old_size < size ? old_size : size);
    region_release(region, ptr, old_size);
    return larger;
}

void wsr_region_init(struct wsr_region *region, void *memory, size_t bytes, const wsr_allocator *parent)
{
    memset(region, 0, sizeof *region);
    region->face = (wsr_allocator){region, region_alloc, region_resize, region_release};
    region->parent = parent;
    region->memory = memory;
    region->bytes = bytes;
}
