/*
 * proto/handshake.c - see handshake.h. RFC 6455 section 4. What both ends do: begun, the peer's head collected, ended.
 *
 *     head bytes -> scan (http.c) -+-> a server: handshake_server.c -> OPEN or REQUEST, frames
 *                                  \-> a client: handshake_client.c -> OPEN, frames
 */
#include "proto/handshake_end.h"

#include <assert.h>
#include <string.h>

#include "proto/aside.h"

static size_t feed_head(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len);

struct wsr_handshake *wsr_handshake_of(const struct wsr_endpoint *ep)
{
    return wsr_aside(ep, WSR_ASIDE_HANDSHAKE);
}

void wsr_handshake_free(struct wsr_endpoint *ep)
{
    struct wsr_handshake *handshake = wsr_handshake_of(ep);
    if (handshake == NULL)
        return;
    /* What an event of this batch may point to outlives us until the batch is over. */
    struct wsr_chunk *seen[2] = {handshake->head, handshake->shown};
    for (unsigned i = 0; i < 2; i++) {
        if (seen[i] != NULL && handshake->shown != NULL)
            wsr_env_retire(ep->env, seen[i]);
        else if (seen[i] != NULL)
            wsr_pool_put(&ep->env->pool, seen[i]);
    }
    wsr_pool_put(&ep->env->pool, wsr_aside_take(ep, WSR_ASIDE_HANDSHAKE));
}

bool wsr_handshake_waits(const struct wsr_endpoint *ep)
{
    if (ep->feed != feed_head)
        return false;
    const struct wsr_handshake *handshake = wsr_handshake_of(ep);
    return handshake != NULL && handshake->waits;
}

/* --- failing --- */

void wsr_handshake_fail(struct wsr_endpoint *ep, uint64_t now_ns, int error, unsigned status)
{
    wsr_handshake_free(ep);
    wsr_endpoint_handshake_failed(ep, now_ns, error, status);
}

void wsr_handshake_timeout(struct wsr_endpoint *ep, uint64_t now_ns)
{
    /* A peer that sent all it had to is not the one who was late. */
    wsr_refusal refusal = wsr_handshake_waits(ep) ? WSR_REFUSE_UNAVAILABLE : WSR_REFUSE_TIMEOUT;
    if (wsr_endpoint_role(ep) == WSR_SERVER)
        wsr_handshake_deny(ep, now_ns, WSR_ETIMEOUT_HANDSHAKE, refusal, false);
    else
        wsr_handshake_fail(ep, now_ns, WSR_ETIMEOUT_HANDSHAKE, 0);
}

/* --- opening --- */

void wsr_handshake_open(struct wsr_endpoint *ep, uint64_t now_ns, struct wsr_chunk *shown)
{
    wsr_handshake_of(ep)->shown = shown;
    wsr_handshake_free(ep);
    wsr_endpoint_opened(ep, now_ns);
}

/* --- receiving --- */

/* Keeps bytes of the head. Memory follows what has come: the pool's next size, twice the last, when one is full. */
static int keep(struct wsr_endpoint *ep, const uint8_t *p, size_t len)
{
    struct wsr_handshake *handshake = wsr_handshake_of(ep);
    struct wsr_chunk *head = handshake->head;
    if (head == NULL)
        head = wsr_pool_get(&ep->env->pool, len);
    else if (wsr_chunk_room(head) < len)
        head = wsr_pool_grow(&ep->env->pool, head, len);
    if (head == NULL)
        return WSR_ENOMEM;
    memcpy(head->data + head->len, p, len);
    head->len += len;
    handshake->head = head;
    return WSR_OK;
}

/* What this did with the scanner's answer: true if the handshake goes on with the bytes behind `used`. */
static bool take_head(struct wsr_endpoint *ep, struct wsr_batch *batch, const uint8_t *p, size_t used, int scanned)
{
    bool server = wsr_endpoint_role(ep) == WSR_SERVER;
    if (scanned < 0) {
        if (server)
            wsr_handshake_deny(ep, batch->now_ns, WSR_EHANDSHAKE, (wsr_refusal)-scanned, false);
        else
            wsr_handshake_fail(ep, batch->now_ns, WSR_EANSWER, 0);
        return false;
    }
    if (keep(ep, p, used) < 0) {
        if (server)
            wsr_handshake_deny(ep, batch->now_ns, WSR_ENOMEM, WSR_REFUSE_UNAVAILABLE, false);
        else
            wsr_handshake_fail(ep, batch->now_ns, WSR_ENOMEM, 0);
        return false;
    }
    if (scanned == 0)
        return true;
    if (server)
        wsr_handshake_answer(ep, batch);
    else
        wsr_handshake_judge(ep, batch);
    return ep->feed == feed_head && !wsr_handshake_waits(ep);
}

static size_t feed_head(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len)
{
    if (batch->n == batch->cap || wsr_handshake_waits(ep))
        return 0;
    size_t done = 0, used = 0;
    bool more = true;
    while (more && done < len) {
        int scanned = wsr_http_scan(&wsr_handshake_of(ep)->scan, p + done, len - done, &used);
        more = take_head(ep, batch, p + done, used, scanned);
        done += used;
    }
    return done;
}

/* --- starting --- */

/*
 * A configured string as a slice; NULL is an empty one. False if it holds DEL, which has no place in any of them (what
 * else has none is for the check of each; and a loop that only counts would be compiled to strlen, which proto lacks).
 */
bool wsr_handshake_text(const char *text, wsr_slice *out)
{
    *out = (wsr_slice){(const uint8_t *)text, 0};
    if (text == NULL)
        return true;
    for (; text[out->len] != '\0'; out->len++) {
        if (text[out->len] == 0x7f)
            return false;
    }
    return true;
}

struct wsr_handshake *wsr_handshake_make(struct wsr_endpoint *ep, enum wsr_http_kind kind, size_t extra)
{
    struct wsr_chunk *memory = wsr_pool_get(&ep->env->pool, sizeof(struct wsr_handshake) + extra);
    if (memory == NULL)
        return NULL;
    struct wsr_handshake *handshake = (struct wsr_handshake *)(void *)memory->bytes;
    memset(handshake, 0, sizeof *handshake);
    wsr_http_scan_init(&handshake->scan, kind, ep->env->limits.header_bytes_max, ep->env->limits.headers_max);
    wsr_aside_put(ep, WSR_ASIDE_HANDSHAKE, memory);
    return handshake;
}

wsr_slice wsr_handshake_keep_text(uint8_t **at, wsr_slice text)
{
    if (text.len == 0)
        return (wsr_slice){NULL, 0};
    wsr_slice kept = {*at, text.len};
    memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return kept;
}

int wsr_handshake_check(const wsr_endpoint_config *config)
{
    return config->role == WSR_SERVER ? wsr_handshake_check_server(config) : wsr_handshake_check_client(config);
}

int wsr_handshake_start(struct wsr_endpoint *ep, const wsr_endpoint_config *config)
{
    assert(ep->env->sha1 != NULL);
    ep->feed = feed_head;
    assert(!config->deflate.on || ep->env->deflate.inflate != NULL);
    int error = config->role == WSR_SERVER ? wsr_handshake_start_server(ep, config) : wsr_handshake_start_client(ep, config);
    if (error < 0)
        wsr_handshake_free(ep);
    return error;
}
