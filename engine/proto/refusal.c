/*
 * proto/refusal.c - see refusal.h. RFC 9112 sections 6.3 (how long a body is) and 7.1 (chunked).
 */
#include "proto/refusal.h"

#include <assert.h>
#include <string.h>

#include "proto/aside.h"

/* Where a body ends. */
enum framing { UNTIL_LENGTH, UNTIL_LAST_CHUNK, UNTIL_EOF };

/* Inside a chunked body: chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF */
enum { AT_SIZE, AT_EXTENSION, AT_SIZE_LF, AT_DATA, AT_DATA_CR, AT_DATA_LF };

#define SIZE_DIGITS_MAX 15u /* of a chunk's size: 60 bits, and no sum that overflows */

struct refusal {
    wsr_response response; /* headers behind this struct, slices into head */
    struct wsr_chunk *head, *body;
    uint64_t left;         /* UNTIL_LENGTH: of the body; UNTIL_LAST_CHUNK: of the chunk */
    uint8_t framing, state;
    uint8_t digits;        /* of the chunk's size so far */
};

static struct refusal *refusal_of(const struct wsr_endpoint *ep)
{
    return wsr_aside(ep, WSR_ASIDE_ANSWER);
}

/* --- how long it is --- */

/* Content-Length = 1*DIGIT; the same number several times, in a list or in lines, is taken for one. False: it is none of that. */
static bool read_length(wsr_slice list, bool *known, uint64_t *length)
{
    wsr_slice item;
    while (wsr_http_list_next(&list, &item)) {
        uint64_t value = 0;
        if (item.len == 0 || item.len > 18)
            return false;
        for (size_t i = 0; i < item.len; i++) {
            if (item.ptr[i] < '0' || item.ptr[i] > '9')
                return false;
            value = value * 10 + (uint64_t)(item.ptr[i] - '0');
        }
        if (*known && *length != value)
            return false;
        *known = true;
        *length = value;
    }
    return true;
}

static bool is_chunked(wsr_slice encodings)
{
    wsr_slice item = {NULL, 0};
    while (wsr_http_list_next(&encodings, &item))
        continue;
    return wsr_http_equal_nocase(item, WSR_SLICE("chunked"));
}

/* Section 6.3, for an answer to GET. False: there is no body, or none that can be told from what follows. */
static bool read_framing(struct refusal *refusal, const struct wsr_http_head *head)
{
    bool encoded = false, chunked = false, known = false, valid = true;
    uint64_t length = 0;
    for (unsigned i = 0; i < head->headers_n; i++) {
        const wsr_header *header = &head->headers[i];
        if (wsr_http_equal_nocase(header->name, WSR_SLICE("transfer-encoding"))) {
            encoded = true;
            chunked = is_chunked(header->value);
        } else if (wsr_http_equal_nocase(header->name, WSR_SLICE("content-length"))) {
            valid = valid && read_length(header->value, &known, &length);
        }
    }
    if (head->status == 204 || head->status == 304)
        return false;
    refusal->framing = UNTIL_EOF;
    if (encoded) /* it overrides Content-Length, and HTTP/1.0 has none (section 6.1) */
        refusal->framing = chunked && head->minor > 0 ? UNTIL_LAST_CHUNK : UNTIL_EOF;
    else if (known && valid)
        refusal->framing = UNTIL_LENGTH;
    if (refusal->framing == UNTIL_LENGTH)
        refusal->left = length;
    return encoded || (valid && (!known || length > 0));
}

/* --- taking it in --- */

/* Keeps bytes of the body. False: that is enough, or there is no memory for more. */
static bool keep(struct wsr_endpoint *ep, struct refusal *refusal, const uint8_t *p, size_t len)
{
    struct wsr_chunk *body = refusal->body;
    const size_t room = WSR_RESPONSE_BODY_MAX - (body != NULL ? body->len : 0);
    const size_t take = len < room ? len : room;
    if (body == NULL)
        body = wsr_pool_get(&ep->env->pool, take);
    else if (wsr_chunk_room(body) < take)
        body = wsr_pool_grow(&ep->env->pool, body, take);
    if (body == NULL)
        return false;
    memcpy(body->data + body->len, p, take);
    body->len += take;
    refusal->body = body;
    return take < room;
}

/* A digit of a chunk's size. False: it is none, or one too many. */
static bool add_digit(struct refusal *refusal, uint8_t c)
{
    unsigned digit;
    if (c >= '0' && c <= '9')
        digit = c - (unsigned)'0';
    else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        digit = (c | 0x20u) - 'a' + 10;
    else
        return false;
    refusal->left = refusal->left << 4 | digit;
    return ++refusal->digits <= SIZE_DIGITS_MAX;
}

/* One byte between the data of chunks. False: the body ends here, with its last chunk (trailers tell nothing), or in disorder. */
static bool take_mark(struct refusal *refusal, uint8_t c)
{
    switch (refusal->state) {
    case AT_SIZE:
        if (refusal->digits == 0 || (c != '\r' && c != ';' && c != ' ' && c != '\t'))
            return add_digit(refusal, c);
        refusal->state = c == '\r' ? AT_SIZE_LF : AT_EXTENSION;
        return true;
    case AT_EXTENSION:
        if (c == '\r')
            refusal->state = AT_SIZE_LF;
        return c != '\n';
    case AT_SIZE_LF:
        refusal->state = AT_DATA;
        refusal->digits = 0;
        return c == '\n' && refusal->left > 0;
    case AT_DATA_CR:
        refusal->state = AT_DATA_LF;
        return c == '\r';
    default:
        assert(refusal->state == AT_DATA_LF);
        refusal->state = AT_SIZE;
        return c == '\n';
    }
}

/* Takes the next bytes of the body, at least one. False: it is complete. */
static bool take(struct wsr_endpoint *ep, struct refusal *refusal, const uint8_t *p, size_t len, size_t *used)
{
    *used = len;
    if (refusal->framing == UNTIL_EOF)
        return keep(ep, refusal, p, len);
    if (refusal->framing == UNTIL_LAST_CHUNK && refusal->state != AT_DATA) {
        *used = 1;
        return take_mark(refusal, *p);
    }
    if (len > refusal->left)
        *used = (size_t)refusal->left;
    refusal->left -= *used;
    if (!keep(ep, refusal, p, *used))
        return false;
    if (refusal->left == 0 && refusal->framing == UNTIL_LENGTH)
        return false;
    if (refusal->left == 0)
        refusal->state = AT_DATA_CR;
    return true;
}

static size_t feed_body(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len)
{
    struct refusal *refusal = refusal_of(ep);
    size_t done = 0, used = 0;
    bool more = true;
    while (more && done < len) {
        more = take(ep, refusal, p + done, len - done, &used);
        done += used;
    }
    if (!more)
        wsr_ending_answered(ep, batch->now_ns);
    return done;
}

/* --- its life --- */

/* False: no memory. */
static bool make(struct wsr_endpoint *ep, struct wsr_chunk *head, const struct wsr_http_head *parts)
{
    const size_t headers_bytes = parts->headers_n * sizeof(wsr_header);
    struct wsr_chunk *chunk = wsr_pool_get(&ep->env->pool, sizeof(struct refusal) + headers_bytes);
    if (chunk == NULL)
        return false;
    struct refusal *refusal = (struct refusal *)(void *)chunk->bytes;
    wsr_header *headers = (wsr_header *)(void *)(refusal + 1);
    memset(refusal, 0, sizeof *refusal);
    memcpy(headers, parts->headers, headers_bytes);
    refusal->response.status = parts->status;
    refusal->response.headers = headers;
    refusal->response.headers_n = parts->headers_n;
    refusal->head = head;
    wsr_aside_put(ep, WSR_ASIDE_ANSWER, chunk);
    return true;
}

void wsr_refusal_begin(struct wsr_endpoint *ep, uint64_t now_ns, struct wsr_chunk *head, const struct wsr_http_head *parts)
{
    assert(refusal_of(ep) == NULL);
    if (!make(ep, head, parts)) {
        wsr_pool_put(&ep->env->pool, head);
        wsr_ending_answered(ep, now_ns);
    } else if (read_framing(refusal_of(ep), parts)) {
        ep->feed = feed_body;
    } else {
        wsr_ending_answered(ep, now_ns);
    }
}

const wsr_response *wsr_refusal_show(struct wsr_endpoint *ep)
{
    struct refusal *refusal = refusal_of(ep);
    if (refusal == NULL)
        return NULL;
    if (refusal->body != NULL)
        refusal->response.body = (wsr_slice){refusal->body->data, refusal->body->len};
    return &refusal->response;
}

void wsr_refusal_retire(struct wsr_endpoint *ep)
{
    const struct refusal *refusal = refusal_of(ep);
    if (refusal == NULL)
        return;
    wsr_env_retire(ep->env, refusal->head);
    if (refusal->body != NULL)
        wsr_env_retire(ep->env, refusal->body);
    wsr_env_retire(ep->env, wsr_aside_take(ep, WSR_ASIDE_ANSWER));
}

void wsr_refusal_free(struct wsr_endpoint *ep)
{
    const struct refusal *refusal = refusal_of(ep);
    if (refusal == NULL)
        return;
    wsr_pool_put(&ep->env->pool, refusal->head);
    if (refusal->body != NULL)
        wsr_pool_put(&ep->env->pool, refusal->body);
    wsr_pool_put(&ep->env->pool, wsr_aside_take(ep, WSR_ASIDE_ANSWER));
}
