/*
 * client/queue.h - messages that were accepted while there was no open connection: each waits for one, but not longer than it is
 * good for. What is not sent in time is given back in an UNDELIVERED event; none is ever sent late, and none is lost in silence.
 */
#ifndef WSR_CLIENT_QUEUE_H
#define WSR_CLIENT_QUEUE_H

#include "proto/endpoint.h"

#define WSR_QUEUE_MESSAGES_MAX 65536u /* empty ones take memory too */

/* Oldest first, which is the order in which they fall due, too: each waits as long as the others. */
struct wsr_queue {
    struct wsr_chunk *head, *tail;
    uint32_t n;
    size_t bytes;         /* of payload */
    size_t refused_bytes; /* the payload that WSR_EFULL was said to, if owes_writable */
    bool owes_writable;
};

/* Copies a message that is good until due_ns. Returns 0, WSR_EFULL, WSR_ETOOBIG (more than bytes_max), WSR_ENOMEM. */
WSR_MUST_USE int wsr_queue_put(struct wsr_queue *queue, struct wsr_pool *pool, size_t bytes_max, uint64_t due_ns, wsr_opcode opcode,
                               wsr_slice payload, size_t fragment_bytes);

/* When the first falls due; UINT64_MAX: none waits. */
uint64_t wsr_queue_due_ns(const struct wsr_queue *queue);

/* Gives back, by events of ep's connection, those due by now_ns (UINT64_MAX: all). False: the batch had no room for the next one. */
WSR_MUST_USE bool wsr_queue_give_back(struct wsr_queue *queue, struct wsr_endpoint *ep, struct wsr_batch *batch, uint64_t now_ns);

/* Sends those that are not due at now_ns, in order. False: some are left, there being no memory now, or no random bytes. */
WSR_MUST_USE bool wsr_queue_send(struct wsr_queue *queue, struct wsr_endpoint *ep, uint64_t now_ns);

/* What was refused with WSR_EFULL now fits, and the queue is half empty at most: WRITABLE is due. */
bool wsr_queue_writable(const struct wsr_queue *queue, size_t bytes_max);

/* Of what waits, with what it lies in. */
size_t wsr_queue_memory_bytes(const struct wsr_queue *queue);

void wsr_queue_free(struct wsr_queue *queue, struct wsr_pool *pool);

#endif
