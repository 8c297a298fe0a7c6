/*
 * ring/oneshot.h - the table of operations under way, kept only where the ring must re-arm by itself (no multishot).
 *
 * With it a completion is traced back to the descriptor and kind to arm again, and a cancel that comes between two
 * shots is not forgotten. user_data is then the index of an entry, not the caller's tag. Not used on the usual path.
 */
#ifndef WSR_RING_ONESHOT_H
#define WSR_RING_ONESHOT_H

#include <wsring/types.h>

#define WSR_ONESHOT_NONE UINT32_MAX

enum wsr_oneshot_kind {
    WSR_ONESHOT_FREE,
    WSR_ONESHOT_ACCEPT,
    WSR_ONESHOT_RECEIVE,
    WSR_ONESHOT_POLL,
    WSR_ONESHOT_ONCE,  /* completes once and is not armed again */
    WSR_ONESHOT_SILENT /* one of several cancels for one tag: its completion is nobody's */
};

struct wsr_oneshot_op {
    uint64_t tag;
    int fd;
    uint8_t kind;
    bool cancelled;    /* the next completion is the last */
    bool wait_first;   /* a receive: nothing was left at the last completion */
    uint32_t next;     /* in the free list or the list to re-arm */
};

struct wsr_oneshot {
    const wsr_allocator *allocator;
    struct wsr_oneshot_op *ops;
    uint32_t cap;
    uint32_t free;                   /* first free entry */
    uint32_t rearm_first, rearm_last; /* to be armed again at the next submit, in order */
};

void wsr_oneshot_init(struct wsr_oneshot *table, const wsr_allocator *allocator);
void wsr_oneshot_free(struct wsr_oneshot *table);

/* A new entry's index, or WSR_ONESHOT_NONE if there is no memory. */
uint32_t wsr_oneshot_add(struct wsr_oneshot *table, enum wsr_oneshot_kind kind, int fd, uint64_t tag);
void wsr_oneshot_remove(struct wsr_oneshot *table, uint32_t index);

/* The first entry at or after `from` that carries tag and is no cancel of it, or WSR_ONESHOT_NONE. */
uint32_t wsr_oneshot_find(const struct wsr_oneshot *table, uint64_t tag, uint32_t from);

/* Puts an entry at the end of the list to re-arm; takes the first off it, or WSR_ONESHOT_NONE. */
void wsr_oneshot_rearm(struct wsr_oneshot *table, uint32_t index);
uint32_t wsr_oneshot_next(struct wsr_oneshot *table);

#endif
