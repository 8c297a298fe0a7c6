/*
 * tests/sim/buffers.c - the buffer rings as the kernel treats them: picks at the head, consumes whole buffers or, where it is
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
    if (reg->bgid >= SIM_GROUPS || ring->groups[reg->bgid].shared != NULL)
        return -EEXIST;
    if (reg->ring_entries == 0 || (reg->ring_entries & (reg->ring_entries - 1)) != 0 || reg->ring_entries > 32768)
        return -EINVAL;
    if ((reg->ring_addr & 4095u) != 0 || (flags & ~WSR_PBUF_RING_INC) != 0 || (flags != 0 && sim_knobs.no_incremental))
        return -EINVAL;
    struct sim_buffer_group *group = &ring->groups[reg->bgid];
    group->buffers = calloc(reg->ring_entries, sizeof *group->buffers);
    if (group->buffers == NULL)
        return -ENOMEM;
    group->shared = (struct io_uring_buf_ring *)(uintptr_t)reg->ring_addr;
    group->entries = reg->ring_entries;
    group->first = reg->bgid > 0 ? group[-1].first + group[-1].entries : 0;
    group->incremental = flags != 0;
    group->head = group->seen = 0;
    return 0;
}

static struct io_uring_buf *entry_at(const struct sim_buffer_group *group, uint16_t position)
{
    return &group->shared->bufs[position & (group->entries - 1)];
}

static void look(const struct sim_ring *ring, struct sim_buffer_group *group)
{
    if (group->shared == NULL)
        return;
    uint16_t tail = group->shared->tail;
    unsigned there = (uint16_t)(tail - group->head);
    if (there > group->entries)
        sim_violation("ring %u: %u buffers in a buffer ring of %u", ring->index, there, group->entries);
    for (; group->seen != tail; group->seen++) {
        const struct io_uring_buf *entry = entry_at(group, group->seen);
        if (entry->bid - group->first >= group->entries)
            sim_violation("ring %u: buffer %u given, and the %u of its group begin with %u", ring->index, entry->bid, group->entries, group->first);
        struct sim_buffer *buffer = &group->buffers[entry->bid - group->first];
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

void sim_buffers_look(struct sim_ring *ring)
{
    for (unsigned i = 0; i < SIM_GROUPS; i++)
        look(ring, &ring->groups[i]);
}

uint8_t *sim_buffers_pick(struct sim_ring *ring, unsigned of, uint32_t *len, unsigned *buffer)
{
    struct sim_buffer_group *group = &ring->groups[of];
    look(ring, group);
    if (group->shared == NULL || group->shared->tail == group->head)
        return NULL;
    const struct io_uring_buf *entry = entry_at(group, group->head);
    if (*len == 0 || *len > entry->len)
        *len = entry->len;
    *buffer = entry->bid;
    return (uint8_t *)(uintptr_t)entry->addr;
}

bool sim_buffers_commit(struct sim_ring *ring, unsigned of, uint32_t len)
{
    struct sim_buffer_group *group = &ring->groups[of];
    struct io_uring_buf *entry = entry_at(group, group->head);
    struct sim_buffer *buffer = &group->buffers[entry->bid - group->first];
    buffer->filled += len;
    if (group->incremental) {
        entry->addr += len;
        entry->len -= len;
        if (entry->len > 0)
            return true;
    }
    buffer->kernels = false;
    group->head++;
    return false;
}
