/*
 * ring/oneshot.c - see oneshot.h.
 */
#include "ring/oneshot.h"

#include <assert.h>
#include <string.h>

#define FIRST_CAP 64u

void wsr_oneshot_init(struct wsr_oneshot *table, const wsr_allocator *allocator)
{
    memset(table, 0, sizeof *table);
    table->allocator = allocator;
    table->free = WSR_ONESHOT_NONE;
    table->rearm_first = table->rearm_last = WSR_ONESHOT_NONE;
}

void wsr_oneshot_free(struct wsr_oneshot *table)
{
    if (table->ops != NULL)
        table->allocator->release(table->allocator->context, table->ops, table->cap * sizeof *table->ops);
    wsr_oneshot_init(table, table->allocator);
}

static bool grow(struct wsr_oneshot *table)
{
    uint32_t cap = table->cap == 0 ? FIRST_CAP : table->cap * 2;
    struct wsr_oneshot_op *ops;
    if (table->ops == NULL)
        ops = table->allocator->alloc(table->allocator->context, cap * sizeof *ops);
    else
        ops = table->allocator->resize(table->allocator->context, table->ops, table->cap * sizeof *ops, cap * sizeof *ops);
    if (ops == NULL)
        return false;
    table->ops = ops;
    for (uint32_t i = cap; i-- > table->cap;) {
        memset(&ops[i], 0, sizeof ops[i]);
        ops[i].next = table->free;
        table->free = i;
    }
    table->cap = cap;
    return true;
}

uint32_t wsr_oneshot_add(struct wsr_oneshot *table, enum wsr_oneshot_kind kind, int fd, uint64_t tag)
{
    if (table->free == WSR_ONESHOT_NONE && !grow(table))
        return WSR_ONESHOT_NONE;
    uint32_t index = table->free;
    struct wsr_oneshot_op *op = &table->ops[index];
    table->free = op->next;
    memset(op, 0, sizeof *op);
    op->tag = tag;
    op->fd = fd;
    op->kind = (uint8_t)kind;
    op->next = WSR_ONESHOT_NONE;
    return index;
}

void wsr_oneshot_remove(struct wsr_oneshot *table, uint32_t index)
{
    assert(index < table->cap && table->ops[index].kind != WSR_ONESHOT_FREE);
    table->ops[index].kind = WSR_ONESHOT_FREE;
    table->ops[index].next = table->free;
    table->free = index;
}

uint32_t wsr_oneshot_find(const struct wsr_oneshot *table, uint64_t tag, uint32_t from)
{
    for (uint32_t i = from; i < table->cap; i++)
        if (table->ops[i].kind != WSR_ONESHOT_FREE && table->ops[i].kind != WSR_ONESHOT_SILENT && table->ops[i].tag == tag)
            return i;
    return WSR_ONESHOT_NONE;
}

void wsr_oneshot_rearm(struct wsr_oneshot *table, uint32_t index)
{
    table->ops[index].next = WSR_ONESHOT_NONE;
    if (table->rearm_last == WSR_ONESHOT_NONE)
        table->rearm_first = index;
    else
        table->ops[table->rearm_last].next = index;
    table->rearm_last = index;
}

uint32_t wsr_oneshot_next(struct wsr_oneshot *table)
{
    uint32_t index = table->rearm_first;
    if (index == WSR_ONESHOT_NONE)
        return index;
    table->rearm_first = table->ops[index].next;
    if (table->rearm_first == WSR_ONESHOT_NONE)
        table->rearm_last = WSR_ONESHOT_NONE;
    return index;
}
