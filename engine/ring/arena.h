/*
 * ring/arena.h - the memory that receives land in: a registered buffer ring, and who still holds which buffer.
 *
 * A buffer goes round: added to the kernel, filled by it (at once, or piece by piece where it is incremental), held by
 * the caller once a piece, and added again when the kernel is done with it and no hold is left. Adding is batched: the
 * kernel sees nothing before wsr_arena_publish. Not thread-safe: it belongs to its ring.
 */
#ifndef WSR_RING_ARENA_H
#define WSR_RING_ARENA_H

#include <wsring/types.h>

struct io_uring;
struct io_uring_buf_ring;

#define WSR_ARENA_BUFFERS_MAX 32768u /* the kernel's limit for one buffer ring */

struct wsr_arena_buffer {
    uint32_t filled; /* bytes given to the caller since the buffer was last added */
    uint32_t holds;
    bool kernels;    /* added, and not finished by the kernel */
};

struct wsr_arena {
    struct io_uring_buf_ring *ring; /* mapped; the buffers follow it */
    uint8_t *memory;
    size_t mapped_bytes;
    struct wsr_arena_buffer *buffers;
    const wsr_allocator *allocator;
    unsigned n, buffer_bytes;
    unsigned first;       /* the number of its first buffer: a ring's arenas have theirs one behind the other */
    uint16_t group;       /* the buffer group id that receives select from */
    unsigned how;         /* it is mapped: WSR_MAP_* */
    unsigned unpublished; /* added since the last publish */
    unsigned free;        /* buffers that are the kernel's, those unpublished included */
    bool incremental;
};

/* Maps n buffers (a power of two) of buffer_bytes each; how: WSR_MAP_* (sys.h). Returns 0, or as wsr_sys_map. */
WSR_MUST_USE int wsr_arena_map(struct wsr_arena *arena, const wsr_allocator *allocator, unsigned n, unsigned buffer_bytes, unsigned how);

/*
 * Registers the mapped buffers with io, numbered from `first` on, which is their number from here on in all that follows, and adds
 * them all. 0, or -errno: EINVAL where incremental is not known.
 */
int wsr_arena_register(struct wsr_arena *arena, struct io_uring *io, uint16_t group, unsigned first, bool incremental);

/* Frees the table, and the mapping unless the kernel may still write into it. The ring itself must be gone already. */
void wsr_arena_close(struct wsr_arena *arena, bool kernel_is_done);

/* Takes note of a completion of res bytes in a buffer; more: the kernel keeps it. Where the bytes are, one hold; NULL if res <= 0. */
uint8_t *wsr_arena_take(struct wsr_arena *arena, unsigned buffer, int32_t res, bool more);

void wsr_arena_hold(struct wsr_arena *arena, unsigned buffer);
void wsr_arena_release(struct wsr_arena *arena, unsigned buffer);

/* Shows the kernel what was added. No system call. */
void wsr_arena_publish(struct wsr_arena *arena);

#endif
