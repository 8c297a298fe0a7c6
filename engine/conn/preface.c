/*
 * conn/preface.c - see preface.h. The header's beginning waits in the backlog if it comes in pieces; nothing else is there yet.
 */
#include "conn/preface.h"

#include <string.h>

#include "proto/haproxy.h"

struct wsr_preface {
    struct wsr_haproxy header;
    uint32_t skip; /* bytes of it that are still to come */
    bool known;
};

int wsr_preface_expect(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_chunk *room = wsr_pool_get(&engine->env.pool, sizeof(struct wsr_preface));
    if (room == NULL)
        return WSR_ENOMEM;
    memset(room->bytes, 0, sizeof(struct wsr_preface));
    wsr_aside_put(&c->ep, WSR_ASIDE_PREFACE, room);
    c->state |= WSR_CONN_PREFACED;
    return WSR_OK;
}

void wsr_preface_free(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_chunk *room = wsr_aside_take(&c->ep, WSR_ASIDE_PREFACE);
    if (room != NULL)
        wsr_pool_put(&engine->env.pool, room);
}

/* Keeps the piece and says so; all of it is the header's. */
static int keep(wsr_engine *engine, struct wsr_connection *c, const uint8_t *p, size_t len)
{
    if (len == 0)
        return WSR_OK;
    struct wsr_chunk *chunk = c->backlog;
    if (chunk == NULL)
        chunk = c->backlog = wsr_pool_get(&engine->env.pool, WSR_HAPROXY_HEAD_MAX);
    if (chunk == NULL)
        return WSR_ENOMEM;
    memcpy(chunk->data + chunk->len, p, len);
    chunk->len += len;
    return WSR_OK;
}

/* Parses what is there of it. 0: done, or more must come; *took: how many of the len bytes at p are its. */
static int parse(wsr_engine *engine, struct wsr_connection *c, const uint8_t *p, size_t len, size_t *took)
{
    struct wsr_preface *preface = wsr_aside(&c->ep, WSR_ASIDE_PREFACE);
    const size_t before = c->backlog != NULL ? c->backlog->len : 0;
    size_t more = len;
    int n;
    if (before == 0) {
        n = wsr_haproxy_parse(p, len, &preface->header);
    } else { /* as much as it takes to know all that matters */
        if (more > WSR_HAPROXY_HEAD_MAX - before)
            more = WSR_HAPROXY_HEAD_MAX - before;
        (void)!keep(engine, c, p, more);
        n = wsr_haproxy_parse(c->backlog->data, c->backlog->len, &preface->header);
    }
    if (n < 0)
        return n;
    if (n == 0) {
        *took = len;
        return before == 0 ? keep(engine, c, p, len) : WSR_OK;
    }
    if (c->backlog != NULL)
        wsr_pool_put(&engine->env.pool, c->backlog);
    c->backlog = NULL;
    preface->known = true;
    preface->skip = (uint32_t)((size_t)n - before);
    return WSR_OK;
}

size_t wsr_preface_take(wsr_engine *engine, struct wsr_connection *c, const uint8_t *p, size_t len)
{
    struct wsr_preface *preface = wsr_aside(&c->ep, WSR_ASIDE_PREFACE);
    size_t took = 0;
    const int error = preface->known ? WSR_OK : parse(engine, c, p, len, &took);
    if (error < 0) {
        wsr_endpoint_broken(&c->ep, engine->now_ns, error);
        return len;
    }
    if (!preface->known)
        return took;
    took = preface->skip < len ? preface->skip : len;
    preface->skip -= (uint32_t)took;
    if (preface->skip > 0)
        return took;
    c->state &= (uint16_t)~(unsigned)WSR_CONN_PREFACED;
    if (preface->header.family == WSR_HAPROXY_NONE)
        wsr_preface_free(engine, c);
    return took;
}

static void address_of(union wsr_address *out, const struct wsr_haproxy *header, const uint8_t bytes[16], uint16_t port)
{
    memset(out, 0, sizeof *out);
    if (header->family == WSR_HAPROXY_IPV4) {
        out->in4.sin_family = AF_INET;
        out->in4.sin_port = htons(port);
        memcpy(&out->in4.sin_addr, bytes, 4);
    } else {
        out->in6.sin6_family = AF_INET6;
        out->in6.sin6_port = htons(port);
        memcpy(&out->in6.sin6_addr, bytes, 16);
    }
}

bool wsr_preface_addresses(const struct wsr_connection *c, union wsr_address *source, union wsr_address *destination)
{
    const struct wsr_preface *preface = wsr_aside(&c->ep, WSR_ASIDE_PREFACE);
    if (preface == NULL || !preface->known || preface->header.family == WSR_HAPROXY_NONE)
        return false;
    address_of(source, &preface->header, preface->header.source, preface->header.source_port);
    address_of(destination, &preface->header, preface->header.destination, preface->header.destination_port);
    return true;
}
