/*
 * conn/table.c - slots for connections, in blocks that never move; ids that know when they are stale.
 */
#include <assert.h>
#include <string.h>

#include "conn/engine.h"

int wsr_table_init(wsr_engine *engine)
{
    struct wsr_table *table = &engine->table;
    table->slots_max = engine->config.connections_max;
    table->blocks_max = (table->slots_max + WSR_TABLE_BLOCK - 1) / WSR_TABLE_BLOCK;
    size_t bytes = table->blocks_max * sizeof table->blocks[0];
    table->blocks = engine->allocator->alloc(engine->allocator->context, bytes);
    if (table->blocks == NULL)
        return WSR_ENOMEM;
    memset(table->blocks, 0, bytes);
    return WSR_OK;
}

void wsr_table_fini(wsr_engine *engine)
{
    struct wsr_table *table = &engine->table;
    const wsr_allocator *allocator = engine->allocator;
    if (table->blocks == NULL)
        return;
    for (uint32_t i = 0; i < table->blocks_n; i++)
        allocator->release(allocator->context, table->blocks[i], WSR_TABLE_BLOCK * sizeof(struct wsr_connection));
    allocator->release(allocator->context, table->blocks, table->blocks_max * sizeof table->blocks[0]);
    table->blocks = NULL;
}

static struct wsr_connection **link_of(struct wsr_connection *c, size_t link)
{
    return (struct wsr_connection **)(void *)((char *)c + link);
}

void wsr_conn_list_append(struct wsr_conn_list *list, struct wsr_connection *c, size_t link)
{
    *link_of(c, link) = NULL;
    if (list->head == NULL)
        list->head = c;
    else
        *link_of(list->tail, link) = c;
    list->tail = c;
    list->n++;
}

struct wsr_connection *wsr_conn_list_take(struct wsr_conn_list *list, size_t link)
{
    struct wsr_connection *c = list->head;
    if (c == NULL)
        return NULL;
    list->head = *link_of(c, link);
    list->n--;
    return c;
}

static bool grow(wsr_engine *engine)
{
    struct wsr_table *table = &engine->table;
    if (table->blocks_n == table->blocks_max)
        return false;
    struct wsr_connection *block = engine->allocator->alloc(engine->allocator->context, WSR_TABLE_BLOCK * sizeof *block);
    if (block == NULL)
        return false;
    memset(block, 0, WSR_TABLE_BLOCK * sizeof *block);
    uint32_t first = table->blocks_n * WSR_TABLE_BLOCK;
    for (uint32_t i = 0; i < WSR_TABLE_BLOCK && first + i < table->slots_max; i++) {
        block[i].slot = first + i;
        block[i].generation = 1;
        block[i].fd = -1;
        wsr_conn_list_append(&table->free, &block[i], WSR_LINK(dirty_next));
    }
    table->blocks[table->blocks_n++] = block;
    return true;
}

struct wsr_connection *wsr_table_take(wsr_engine *engine)
{
    struct wsr_table *table = &engine->table;
    if (table->free.head == NULL && !grow(engine))
        return NULL;
    struct wsr_connection *c = wsr_conn_list_take(&table->free, WSR_LINK(dirty_next));
    assert(c != NULL); /* a block has at least one slot */
    uint32_t slot = c->slot, generation = c->generation;
    memset(c, 0, sizeof *c);
    c->slot = slot;
    c->generation = generation;
    c->fd = -1;
    c->live = true;
    table->live_n++;
    return c;
}

void wsr_table_give(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_table *table = &engine->table;
    assert(c->live);
    c->live = false;
    if (++c->generation == 0) /* 0 would make slot 0's id 0 */
        c->generation = 1;
    table->live_n--;
    wsr_conn_list_append(&table->free, c, WSR_LINK(dirty_next));
}

struct wsr_connection *wsr_table_at(const wsr_engine *engine, uint32_t slot)
{
    const struct wsr_table *table = &engine->table;
    uint32_t block = slot / WSR_TABLE_BLOCK;
    return block < table->blocks_n && slot < table->slots_max ? &table->blocks[block][slot % WSR_TABLE_BLOCK] : NULL;
}

struct wsr_connection *wsr_table_find(const wsr_engine *engine, wsr_conn id)
{
    struct wsr_connection *c = id >> 56 == 0 ? wsr_table_at(engine, (uint32_t)(id >> 32)) : NULL;
    return c != NULL && c->live && c->generation == (uint32_t)id ? c : NULL;
}

struct wsr_connection *wsr_table_known(const wsr_engine *engine, wsr_conn id)
{
    struct wsr_connection *c = wsr_table_find(engine, id);
    return c != NULL && (c->ep.flags & WSR_EP_CLOSED) == 0 ? c : NULL;
}
