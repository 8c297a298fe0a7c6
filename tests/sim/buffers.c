/*
 * tests/sim/buffers.c - the buffer ring as the kernel treats it: picks at the head, consumes whole buffers or, where it is
 * incremental, moves the entry's address and length along; and checks what the application gives back.
 */
#include "base/mark.h"
#include "sim/kernel.h"

#include <stdlib.h>

/* The flags of struct io_uring_buf_reg, which liburing 2.3 calls pad. */
static uint16_t flags_of(const struct io_uring_buf_reg *reg)
{
    uint16_t flags;
    memcpy(&flags, (const uint8_t *)reg + 14, sizeof flags);
    return flags;
}

int sim_buffers_register(struct sim_ring *ring, const struct io_uring_buf_reg *reg)
{
    uint16_t flags = flags_of(reg);
    if (reg->bgid != 0 || ring->buffer_ring != NULL)
        return -EEXIST;
    if (reg->ring_entries == 0 || (reg->ring_entries & (reg->ring_entries - 1)) != 0 || reg->ring_entries > 32768)
        return -EINVAL;
    if ((reg->ring_addr & 4095u) != 0 || (flags & ~WSR_PBUF_RING_INC) != 0 || (flags != 0 && sim_knobs.no_incremental))
        return -EINVAL;
    ring->buffers = calloc(reg->ring_entries, sizeof *ring->buffers);
    if (ring->buffers == NULL)
        return -ENOMEM;
    ring->buffer_ring = (struct io_uring_buf_ring *)(uintptr_t)reg->ring_addr;
    ring->buffer_entries = reg->ring_entries;
    ring->incremental = flags != 0;
    ring->buffer_head = ring->buffer_seen = 0;
    return 0;
}

static struct io_uring_buf *entry_at(const struct sim_ring *ring, uint16_t position)
{
    return &ring->buffer_ring->bufs[position & (ring->buffer_entries - 1)];
}

void sim_buffers_look(struct sim_ring *ring)
{
    if (ring->buffer_ring == NULL)
        return;
    uint16_t tail = ring->buffer_ring->tail;
    unsigned there = (uint16_t)(tail - ring->buffer_head);
    if (there > ring->buffer_entries)
        sim_violation("ring %u: %u buffers in a buffer ring of %u", ring->index, there, ring->buffer_entries);
    for (; ring->buffer_seen != tail; ring->buffer_seen++) {
        const struct io_uring_buf *entry = entry_at(ring, ring->buffer_seen);
        if (entry->bid >= ring->buffer_entries)
            sim_violation("ring %u: buffer %u of %u given", ring->index, entry->bid, ring->buffer_entries);
        struct sim_buffer *buffer = &ring->buffers[entry->bid];
        if (buffer->kernels)
            sim_violation("ring %u: buffer %u given back while the kernel has it", ring->index, entry->bid);
        if (buffer->known && (buffer->addr != entry->addr || buffer->len != entry->len))
            sim_violation("ring %u: buffer %u given back with another address or length", ring->index, entry->bid);
        buffer->addr = entry->addr;
        buffer->len = entry->len;
        /* The kernel may write there from now on; whoever still reads there is to notice. */
        wsr_mark_open((void *)(uintptr_t)buffer->addr, buffer->filled);
        memset((void *)(uintptr_t)buffer->addr, 0xdb, buffer->filled);
        wsr_mark_closed((void *)(uintptr_t)buffer->addr, buffer->filled);
        sim_stats.buffers_returned += buffer->known;
        buffer->filled = 0;
        buffer->known = buffer->kernels = true;
    }
}

uint8_t *sim_buffers_pick(struct sim_ring *ring, uint32_t *len, unsigned *buffer)
{
    sim_buffers_look(ring);
    if (ring->buffer_ring == NULL || ring->buffer_ring->tail == ring->buffer_head)
        return NULL;
    const struct io_uring_buf *entry = entry_at(ring, ring->buffer_head);
    if (*len == 0 || *len > entry->len)
        *len = entry->len;
    *buffer = entry->bid;
    return (uint8_t *)(uintptr_t)entry->addr;
}

bool sim_buffers_commit(struct sim_ring *ring, uint32_t len)
{
    struct io_uring_buf *entry = entry_at(ring, ring->buffer_head);
    struct sim_buffer *buffer = &ring->buffers[entry->bid];
    buffer->filled += len;
    if (ring->incremental) {
        entry->addr += len;
        entry->len -= len;
        if (entry->len > 0)
            return true;
    }
    buffer->kernels = false;
    ring->buffer_head++;
    return false;
}
