/*
 * ring/arena.c - see arena.h. The layout and the rules of buffer rings are io_uring_register_buf_ring(3)'s.
 */
#include "ring/compat.h"
#include "ring/arena.h"

#include <assert.h>

#include "base/mark.h"
#include "ring/sys.h"

static struct wsr_arena_buffer *buffer_of(struct wsr_arena *arena, unsigned buffer)
{
    assert(buffer - arena->first < arena->n);
    return &arena->buffers[buffer - arena->first];
}

static uint8_t *memory_of(const struct wsr_arena *arena, unsigned buffer)
{
    return arena->memory + (size_t)(buffer - arena->first) * arena->buffer_bytes;
}

static void add(struct wsr_arena *arena, unsigned buffer)
{
    struct wsr_arena_buffer *b = buffer_of(arena, buffer);
    b->filled = 0;
    b->kernels = true;
    uint8_t *memory = memory_of(arena, buffer);
    wsr_mark_closed(memory, arena->buffer_bytes);
    io_uring_buf_ring_add(arena->ring, memory, arena->buffer_bytes, (unsigned short)buffer, io_uring_buf_ring_mask(arena->n), (int)arena->unpublished);
    arena->unpublished++;
    arena->free++;
}

int wsr_arena_map(struct wsr_arena *arena, const wsr_allocator *allocator, unsigned n, unsigned buffer_bytes, unsigned how)
{
    memset(arena, 0, sizeof *arena);
    arena->n = n;
    arena->buffer_bytes = buffer_bytes;
    arena->allocator = allocator;

    /* The kernel wants the ring page-aligned, which the start of a mapping is; the buffers begin on the next page. */
    size_t ring_bytes = ((size_t)n * sizeof(struct io_uring_buf) + 4095u) & ~(size_t)4095;
    arena->mapped_bytes = ring_bytes + (size_t)n * buffer_bytes;
    arena->how = how;
    void *mapped = NULL;
    int error = wsr_sys_map(arena->mapped_bytes, how, &mapped);
    arena->ring = mapped;
    if (error == WSR_OK && (arena->buffers = allocator->alloc(allocator->context, n * sizeof *arena->buffers)) == NULL)
        error = WSR_ENOMEM;
    if (error < 0) {
        wsr_arena_close(arena, true);
        return error;
    }
    memset(arena->buffers, 0, n * sizeof *arena->buffers);
    arena->memory = (uint8_t *)arena->ring + ring_bytes;
    return WSR_OK;
}

int wsr_arena_register(struct wsr_arena *arena, struct io_uring *io, uint16_t group, unsigned first, bool incremental)
{
    struct io_uring_buf_reg reg;
    memset(&reg, 0, sizeof reg);
    reg.ring_addr = (uint64_t)(uintptr_t)arena->ring;
    reg.ring_entries = arena->n;
    reg.bgid = group;
    wsr_buf_reg_set_flags(&reg, incremental ? WSR_PBUF_RING_INC : 0);
    io_uring_buf_ring_init(arena->ring);
    int error = io_uring_register_buf_ring(io, &reg, 0);
    if (error != 0)
        return error;
    arena->group = group;
    arena->first = first;
    arena->incremental = incremental;
    for (unsigned i = 0; i < arena->n; i++)
        add(arena, first + i);
    wsr_arena_publish(arena);
    return 0;
}

void wsr_arena_close(struct wsr_arena *arena, bool kernel_is_done)
{
    if (arena->buffers != NULL)
        arena->allocator->release(arena->allocator->context, arena->buffers, arena->n * sizeof *arena->buffers);
    if (arena->memory != NULL)
        wsr_mark_open(arena->memory, (size_t)arena->n * arena->buffer_bytes);
    if (arena->ring != NULL && kernel_is_done)
        wsr_sys_unmap(arena->ring, arena->mapped_bytes, arena->how);
    memset(arena, 0, sizeof *arena);
}

static void finished_by_kernel(struct wsr_arena *arena, struct wsr_arena_buffer *b)
{
    assert(b->kernels);
    b->kernels = false;
    arena->free--;
}

uint8_t *wsr_arena_take(struct wsr_arena *arena, unsigned buffer, int32_t res, bool more)
{
    struct wsr_arena_buffer *b = buffer_of(arena, buffer);
    if (res <= 0) {
        /*
         * A buffer picked and not filled, which the kernel normally takes back unseen. Where it says otherwise, a plain
         * buffer is ours again. Of an incremental one we cannot know whether the kernel stepped over it, and adding a
         * buffer that it still has would let two receives write to the same bytes; losing it is the harmless error.
         */
        if (!arena->incremental && !more) {
            finished_by_kernel(arena, b);
            add(arena, buffer);
        }
        return NULL;
    }
    assert(b->kernels && (uint32_t)res <= arena->buffer_bytes - b->filled);
    uint8_t *ptr = memory_of(arena, buffer) + b->filled;
    wsr_mark_filled(ptr, (size_t)res);
    b->filled += (uint32_t)res;
    b->holds++;
    if (!more)
        finished_by_kernel(arena, b);
    return ptr;
}

void wsr_arena_hold(struct wsr_arena *arena, unsigned buffer)
{
    struct wsr_arena_buffer *b = buffer_of(arena, buffer);
    assert(b->holds > 0);
    b->holds++;
}

void wsr_arena_release(struct wsr_arena *arena, unsigned buffer)
{
    struct wsr_arena_buffer *b = buffer_of(arena, buffer);
    assert(b->holds > 0);
    b->holds--;
    if (b->holds > 0)
        return;
    wsr_mark_closed(memory_of(arena, buffer), b->filled);
    if (!b->kernels)
        add(arena, buffer);
}

void wsr_arena_publish(struct wsr_arena *arena)
{
    if (arena->unpublished == 0)
        return;
    io_uring_buf_ring_advance(arena->ring, (int)arena->unpublished);
    arena->unpublished = 0;
}
