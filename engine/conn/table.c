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

/* A slot that there is. */
static struct wsr_connection *slot_of(const wsr_engine *engine, uint32_t slot)
{
    return &engine->table.blocks[slot / WSR_TABLE_BLOCK][slot % WSR_TABLE_BLOCK];
}

static uint32_t *link_of(struct wsr_connection *c, size_t link)
{
    return (uint32_t *)(void *)((char *)c + link);
}

void wsr_conn_list_append(wsr_engine *engine, struct wsr_conn_list *list, struct wsr_connection *c, size_t link)
{
    const uint32_t slot = wsr_conn_slot(c);
    if (list->n++ == 0)
        list->head = slot;
    else
        *link_of(slot_of(engine, list->tail), link) = slot;
    list->tail = slot;
}

struct wsr_connection *wsr_conn_list_take(wsr_engine *engine, struct wsr_conn_list *list, size_t link)
{
    if (list->n == 0)
        return NULL;
    list->n--;
    struct wsr_connection *c = slot_of(engine, list->head);
    list->head = *link_of(c, link);
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
    const uint32_t first = table->blocks_n * WSR_TABLE_BLOCK;
    table->blocks[table->blocks_n++] = block;
    for (uint32_t i = 0; i < WSR_TABLE_BLOCK && first + i < table->slots_max; i++) {
        block[i].ep.conn = (uint64_t)(first + i) << 32 | 1;
        block[i].fd = -1;
        wsr_conn_list_append(engine, &table->free, &block[i], WSR_LINK(dirty_next));
    }
    return true;
}

struct wsr_connection *wsr_table_take(wsr_engine *engine)
{
    struct wsr_table *table = &engine->table;
    if (table->free.n == 0 && !grow(engine))
        return NULL;
    struct wsr_connection *c = wsr_conn_list_take(engine, &table->free, WSR_LINK(dirty_next));
    assert(c != NULL); /* a block has at least one slot */
    const wsr_conn id = wsr_conn_id(c);
    memset(c, 0, sizeof *c);
    c->ep.conn = id;
    c->fd = -1;
    c->live = true;
    table->live_n++;
    return c;
}

void wsr_table_give(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_table *table = &engine->table;
    assert(c->live && c->ep.aside == NULL);
    c->live = false;
    const uint32_t generation = (uint32_t)c->ep.conn + 1;
    c->ep.conn = (uint64_t)wsr_conn_slot(c) << 32 | (generation != 0 ? generation : 1); /* 0 would make slot 0's id 0 */
    table->live_n--;
    wsr_conn_list_append(engine, &table->free, c, WSR_LINK(dirty_next));
}
