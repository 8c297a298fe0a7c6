/*
 * client/queue.c - see queue.h.
 */
#include "client/queue.h"

#include <string.h>

/* In front of its payload, in the same chunk. */
struct entry {
    uint64_t due_ns;
    size_t fragment_bytes;
    wsr_opcode opcode;
};

static const struct entry *entry_of(const struct wsr_chunk *chunk)
{
    return (const struct entry *)(const void *)chunk->data;
}

static wsr_span payload_of(const struct wsr_chunk *chunk)
{
    return (wsr_span){chunk->data + sizeof(struct entry), chunk->len - sizeof(struct entry)};
}

int wsr_queue_put(struct wsr_queue *queue, struct wsr_pool *pool, size_t bytes_max, uint64_t due_ns, wsr_opcode opcode, wsr_slice payload,
                  size_t fragment_bytes)
{
    if (payload.len > bytes_max)
        return WSR_ETOOBIG;
    if (payload.len > bytes_max - queue->bytes || queue->n == WSR_QUEUE_MESSAGES_MAX) {
        queue->owes_writable = true;
        queue->refused_bytes = payload.len;
        return WSR_EFULL;
    }
    struct wsr_chunk *chunk = wsr_pool_get(pool, sizeof(struct entry) + payload.len);
    if (chunk == NULL)
        return WSR_ENOMEM;
    const struct entry entry = {due_ns, fragment_bytes, opcode};
    memcpy(chunk->data, &entry, sizeof entry);
    if (payload.len > 0)
        memcpy(chunk->data + sizeof entry, payload.ptr, payload.len);
    chunk->len = sizeof entry + payload.len;
    if (queue->head == NULL)
        queue->head = chunk;
    else
        queue->tail->next = chunk;
    queue->tail = chunk;
    queue->bytes += payload.len;
    queue->n++;
    return WSR_OK;
}

uint64_t wsr_queue_due_ns(const struct wsr_queue *queue)
{
    return queue->head != NULL ? entry_of(queue->head)->due_ns : UINT64_MAX;
}

/* Takes off the chunk behind `before`, NULL: the first. */
static struct wsr_chunk *take(struct wsr_queue *queue, struct wsr_chunk *before)
{
    struct wsr_chunk **link = before == NULL ? &queue->head : &before->next;
    struct wsr_chunk *chunk = *link;
    *link = chunk->next;
    if (queue->tail == chunk)
        queue->tail = before;
    queue->bytes -= payload_of(chunk).len;
    queue->n--;
    return chunk;
}

bool wsr_queue_give_back(struct wsr_queue *queue, struct wsr_endpoint *ep, struct wsr_batch *batch, uint64_t now_ns)
{
    while (queue->head != NULL && entry_of(queue->head)->due_ns <= now_ns) {
        if (batch->n == batch->cap)
            return false;
        struct wsr_chunk *chunk = take(queue, NULL);
        const wsr_span payload = payload_of(chunk);
        wsr_event *event = wsr_endpoint_emit(ep, batch, WSR_EVENT_UNDELIVERED, payload.ptr, payload.len);
        event->opcode = (uint8_t)((unsigned)entry_of(chunk)->opcode & 0x0F);
        wsr_env_retire(ep->env, chunk);
    }
    return true;
}

bool wsr_queue_send(struct wsr_queue *queue, struct wsr_endpoint *ep, uint64_t now_ns)
{
    struct wsr_chunk *late = NULL; /* the last of those that are too late, which are the first ones */
    for (struct wsr_chunk *chunk = queue->head; chunk != NULL && entry_of(chunk)->due_ns <= now_ns; chunk = chunk->next)
        late = chunk;
    while ((late == NULL ? queue->head : late->next) != NULL) {
        const struct wsr_chunk *next = late == NULL ? queue->head : late->next;
        const wsr_span payload = payload_of(next);
        if (wsr_endpoint_send_late(ep, entry_of(next)->opcode, (wsr_slice){payload.ptr, payload.len}, entry_of(next)->fragment_bytes) < 0)
            return false;
        wsr_pool_put(&ep->env->pool, take(queue, late));
    }
    return true;
}

bool wsr_queue_writable(const struct wsr_queue *queue, size_t bytes_max)
{
    return queue->owes_writable && queue->n <= WSR_QUEUE_MESSAGES_MAX / 2 &&
           (queue->bytes == 0 || (queue->bytes <= bytes_max / 2 && queue->refused_bytes <= bytes_max - queue->bytes));
}

size_t wsr_queue_memory_bytes(const struct wsr_queue *queue)
{
    size_t bytes = 0;
    for (const struct wsr_chunk *chunk = queue->head; chunk != NULL; chunk = chunk->next)
        bytes += wsr_chunk_bytes(chunk);
    return bytes;
}

void wsr_queue_free(struct wsr_queue *queue, struct wsr_pool *pool)
{
    wsr_pool_put_list(pool, queue->head);
    memset(queue, 0, sizeof *queue);
}
