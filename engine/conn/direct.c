/*
 * conn/direct.c - large messages, received straight into their own memory and sent from it at once. The ring's receives fill its
 * buffers for all connections, and by the time the last is looked at, the first has left the cache; and from there a large
 * message would have to be copied. So where large messages come, the connection has a poll armed in its receive's stead, and is
 * read when there is something: header beside, payload where the message shall be, unmasked while it is hot, no more of them in
 * a batch than the cache holds. What such a connection has to send is given to the kernel before the next ones are read: so the
 * cache still has it, and the same memory takes the next ones in.
 *
 * Not where time stamps are asked for: a read that ends with the message cannot tell whether more lies behind it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* POLLRDHUP */
#endif
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "conn/engine.h"
#include "ring/sys.h"

/* What the last message of a connection must have had for the next one to be received directly: a length of 64 bits on the wire. */
#define LARGE_BYTES 65536u

/* So many reads in a row that bring no header of a large message end it: the ring's way costs small ones less. */
#define SMALL_READS_MAX 8u

/*
 * A batch with more than this waits for the application: what it does with the first should find it in the cache. Chunks count, of
 * which a message fills half and more; an L2 of 1 MiB has to hold the kernel's copies too, before and behind.
 */
#define HOT_BYTES ((size_t)512 << 10)

/* Read at a time: what one read brings is unmasked before the next one drives it out of the cache. */
#define READ_BYTES_MAX ((size_t)256 << 10)

static void leave(wsr_engine *engine, struct wsr_connection *c)
{
    c->state &= (uint16_t)~(unsigned)(WSR_CONN_DIRECT | WSR_CONN_READABLE | WSR_CONN_HANGS_UP);
    c->small_reads = 0;
    c->ep.assembled_bytes = 0;
    (void)wsr_conn_cancel(engine, c, WSR_ARMED_RECEIVE);
}

void wsr_direct_consider(wsr_engine *engine, struct wsr_connection *c)
{
    if ((c->state & WSR_CONN_DIRECT) != 0 || c->ep.assembled_bytes < LARGE_BYTES || wsr_conn_front(c) != NULL || c->stamps || c->backlog != NULL)
        return;
    c->state |= WSR_CONN_DIRECT;
    wsr_sys_tell_rest(c->fd);
    (void)wsr_conn_cancel(engine, c, WSR_ARMED_RECEIVE); /* the poll follows when it has ended */
}

void wsr_direct_readable(wsr_engine *engine, struct wsr_connection *c, int events)
{
    if ((c->state & (WSR_CONN_DIRECT | WSR_CONN_ENDED)) != WSR_CONN_DIRECT)
        return; /* left meanwhile: a read now could overtake what the ring is to receive */
    c->state |= WSR_CONN_READABLE;
    if ((events & (POLLRDHUP | POLLHUP | POLLERR)) != 0)
        c->state |= WSR_CONN_HANGS_UP;
    wsr_conn_pending(engine, c);
}

/* Is this the header of a frame with a 64-bit length, all of it? Nothing that an event points to can lie in one. */
static bool is_large_header(const struct wsr_connection *c, const uint8_t *head, size_t len, size_t have)
{
    return have >= len && (head[1] & 0x7F) == 127 && !wsr_endpoint_in_payload(&c->ep) && !wsr_endpoint_in_header(&c->ep);
}

/* Leaves what was read to the way that everything else goes. chunk has room for both. */
static void keep_all(struct wsr_connection *c, const uint8_t *head, size_t head_len, struct wsr_chunk *chunk, size_t body)
{
    memmove(chunk->data + head_len, chunk->data, body);
    memcpy(chunk->data, head, head_len);
    chunk->len = head_len + body;
    c->backlog = chunk;
}

/* A frame's beginning lies in head, what came with it in chunk: hands both over. */
static void take_header(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, uint8_t *head, size_t head_len, struct wsr_chunk *chunk,
                        size_t body)
{
    c->small_reads = 0;
    size_t took = wsr_endpoint_take(&c->ep, batch, head, head_len);
    /* It, or what follows, has to wait; or it is streamed, compressed, or wrong. */
    if (took < head_len || batch->n == batch->cap || !wsr_endpoint_offer(&c->ep, chunk)) {
        keep_all(c, head + took, head_len - took, chunk, body);
        return;
    }
    const uint64_t left = c->ep.in->left;
    const size_t of_message = left < body ? (size_t)left : body;
    const uint8_t *rest = chunk->data + of_message;
    if (body > of_message && wsr_input_keep(engine, c, rest, body - of_message, NULL) < 0)
        wsr_endpoint_fail(&c->ep, batch->now_ns, WSR_ENOMEM);
    else if (of_message > 0)
        wsr_endpoint_filled(&c->ep, batch, of_message);
}

/* Reads where a message is expected to begin. Returns as wsr_sys_receive. */
static long read_header(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, bool *empty)
{
    struct wsr_pool *pool = &engine->env.pool;
    uint8_t head[14];
    const size_t head_len = wsr_endpoint_role(&c->ep) == WSR_SERVER ? 14 : 10;
    const size_t payload = c->ep.assembled_bytes;
    struct wsr_chunk *chunk = wsr_pool_get(pool, head_len + payload);
    if (chunk == NULL)
        return -ENOMEM;
    const size_t body_max = payload < READ_BYTES_MAX ? payload : READ_BYTES_MAX;
    const long n = wsr_sys_receive(c->fd, (wsr_span){head, head_len}, (wsr_span){chunk->data, body_max}, empty);
    if (n <= 0) {
        wsr_pool_put(pool, chunk);
        return n;
    }
    const size_t have = (size_t)n < head_len ? (size_t)n : head_len, body = (size_t)n - have;
    if (is_large_header(c, head, head_len, have)) {
        take_header(engine, batch, c, head, head_len, chunk, body);
        return n;
    }
    keep_all(c, head, have, chunk, body);
    c->small_reads++;
    return n;
}

/* Reads what is expected: the rest of a message, or the next one's beginning. Returns likewise. */
static long read_some(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, bool *empty)
{
    wsr_span room = wsr_endpoint_room(&c->ep);
    if (room.len == 0)
        return read_header(engine, batch, c, empty);
    room.len = room.len < READ_BYTES_MAX ? room.len : READ_BYTES_MAX;
    const long n = wsr_sys_receive(c->fd, (wsr_span){NULL, 0}, room, empty);
    if (n > 0)
        wsr_endpoint_filled(&c->ep, batch, (size_t)n);
    return n;
}

bool wsr_direct_suits(const wsr_engine *engine, const struct wsr_connection *c, const wsr_slice *slices, unsigned n)
{
    if ((c->state & WSR_CONN_DIRECT) == 0 || engine->config.zero_copy_bytes > 0 || wsr_endpoint_ends(&c->ep))
        return false;
    size_t bytes = 0;
    for (unsigned i = 0; i < n; i++)
        bytes += slices[i].len;
    return bytes >= LARGE_BYTES;
}

bool wsr_direct_is_enough(const wsr_engine *engine, const struct wsr_batch *batch)
{
    return batch->n > 0 && engine->env.retired_bytes >= HOT_BYTES;
}

bool wsr_direct_read(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c)
{
    while (c->backlog == NULL && !wsr_endpoint_is_over(&c->ep)) {
        if (batch->n == batch->cap || wsr_direct_is_enough(engine, batch))
            return false;
        bool empty = false;
        const long n = read_some(engine, batch, c, &empty);
        if (n == -ENOMEM) {
            leave(engine, c); /* the ring has memory */
            return true;
        }
        const bool drained = n == -EAGAIN || (empty && (c->state & WSR_CONN_HANGS_UP) == 0);
        if (n <= 0 || drained)
            c->state &= (uint16_t)~(unsigned)WSR_CONN_READABLE;
        if (n <= 0 && !drained) {
            wsr_input_ended(engine, batch, c, (int)-n);
            (void)wsr_conn_cancel(engine, c, WSR_ARMED_RECEIVE); /* it would say so again and again while our Close is on its way */
            return true;
        }
        if (drained)
            break;
    }
    if (c->small_reads >= SMALL_READS_MAX)
        leave(engine, c);
    return c->backlog == NULL;
}
