/*
 * base/region.h - an allocator over one run of memory that was there before (mapped, touched, perhaps locked), and over
 * another allocator once that is used up.
 *
 * Sizes are rounded up to a quarter of a power of two; what is given back is kept for the same size, and never merged: it
 * serves a pool (pool.h), which asks for few sizes. One thread.
 */
#ifndef WSR_BASE_REGION_H
#define WSR_BASE_REGION_H

#include <wsring/types.h>

#define WSR_REGION_SIZES 192u /* four to each power of two from 64 bytes on */

struct wsr_region {
    wsr_allocator face;          /* what it is as an allocator; context is the region itself */
    const wsr_allocator *parent; /* asked for what finds no room */
    uint8_t *memory;
    size_t bytes, used;          /* used: given out at some time, from the front */
    size_t in_use;               /* given out now */
    void *free[WSR_REGION_SIZES];
};

/* memory: 64-aligned, may be NULL where bytes is 0; the caller's, as is the region, which must not move. */
void wsr_region_init(struct wsr_region *region, void *memory, size_t bytes, const wsr_allocator *parent);

#endif
