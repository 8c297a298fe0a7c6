/*
 * proto/aside.h - what most connections do without most of the time, kept beside the endpoint: one pointer for all of it, a list of
 * chunks, each of which holds one thing. Most are empty; none has more than a few. One thread; nothing here allocates.
 */
#ifndef WSR_PROTO_ASIDE_H
#define WSR_PROTO_ASIDE_H

#include "proto/endpoint.h"

enum wsr_aside { /* wsr_chunk.kind; at most one of each */
    WSR_ASIDE_HANDSHAKE = 1, /* struct wsr_handshake: until OPEN */
    WSR_ASIDE_DEFLATE,       /* struct wsr_permessage: where permessage-deflate was agreed on */
    WSR_ASIDE_RECORD,        /* a wsr_close_record with its reason, caller or detail: from when there is one of them */
    WSR_ASIDE_ANSWER,        /* a client's: what the server said in place of 101 (refusal.c) */
    WSR_ASIDE_CARRIER        /* and those behind it: of who carries the endpoint, whose end leaves them */
};

/* What a chunk of this kind holds; NULL: there is none. */
static inline void *wsr_aside(const struct wsr_endpoint *ep, unsigned kind)
{
    struct wsr_chunk *chunk = ep->aside;
    while (chunk != NULL && chunk->kind != kind)
        chunk = chunk->next;
    return chunk != NULL ? chunk->bytes : NULL;
}

/* Keeps a chunk, which is the endpoint's from now on. There must be none of its kind. */
static inline void wsr_aside_put(struct wsr_endpoint *ep, unsigned kind, struct wsr_chunk *chunk)
{
    chunk->kind = (uint8_t)kind;
    chunk->next = ep->aside;
    ep->aside = chunk;
}

/* Gives it to the caller; NULL: there is none. */
static inline struct wsr_chunk *wsr_aside_take(struct wsr_endpoint *ep, unsigned kind)
{
    struct wsr_chunk **link = &ep->aside;
    while (*link != NULL && (*link)->kind != kind)
        link = &(*link)->next;
    struct wsr_chunk *chunk = *link;
    if (chunk != NULL)
        *link = chunk->next;
    return chunk;
}

#endif
