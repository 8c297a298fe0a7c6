/*
 * proto/handshake_client.c - a client's end of the opening handshake (RFC 6455 section 4.1): the request written, the answer judged
 * (upgrade.h).
 */
#include <assert.h>
#include <string.h>

#include "proto/handshake_end.h"
#include "proto/permessage.h"
#include "proto/refusal.h"
#include "proto/upgrade_write.h"

/* --- asking --- */

static int read_ask(const wsr_endpoint_config *config, struct wsr_upgrade_ask *ask)
{
    if (!wsr_deflate_config_valid(&config->deflate) || !wsr_handshake_text(config->host, &ask->host) || !wsr_upgrade_host_valid(ask->host))
        return WSR_ECONFIG;
    if (!wsr_handshake_text(config->target != NULL ? config->target : "/", &ask->target) || !wsr_upgrade_target_valid(ask->target))
        return WSR_ECONFIG;
    if (!wsr_handshake_text(config->subprotocols, &ask->subprotocols) || !wsr_upgrade_subprotocols_valid(ask->subprotocols))
        return WSR_ECONFIG;
    if (!wsr_handshake_text(config->headers, &ask->headers) || !wsr_upgrade_headers_valid(ask->headers))
        return WSR_ECONFIG;
    return WSR_OK;
}

static int queue_request(struct wsr_endpoint *ep, const struct wsr_upgrade_ask *ask, const uint8_t key[WSR_KEY_LEN])
{
    struct wsr_pool *pool = &ep->env->pool;
    size_t variable = ask->host.len + ask->target.len + ask->subprotocols.len + ask->headers.len;
    struct wsr_chunk *chunk = wsr_pool_get(pool, WSR_HANDSHAKE_FIXED_BYTES + variable);
    if (chunk == NULL)
        return WSR_ENOMEM;
    struct wsr_http_out out = {chunk->data, wsr_chunk_room(chunk), 0};
    wsr_upgrade_write_request(&out, ask, key);
    assert(out.len <= out.cap);
    int error = wsr_outbox_raw(&ep->out, pool, (wsr_slice){chunk->data, out.len});
    wsr_pool_put(pool, chunk);
    return error;
}

int wsr_handshake_start_client(struct wsr_endpoint *ep, const wsr_endpoint_config *config)
{
    struct wsr_upgrade_ask ask;
    int error = read_ask(config, &ask);
    if (error < 0)
        return error;
    uint8_t text[WSR_DEFLATE_TEXT_MAX];
    struct wsr_http_out offer = {text, sizeof text, 0};
    if (config->deflate.on)
        wsr_deflate_write_offer(&offer, &config->deflate);
    assert(offer.len <= sizeof text);
    ask.extensions = (wsr_slice){text, offer.len};
    uint8_t nonce[16], key[WSR_KEY_LEN];
    if (ep->env->random(ep->env->random_context, nonce, sizeof nonce) != 0)
        return WSR_ERANDOM;
    wsr_key_of(nonce, key);

    struct wsr_handshake *handshake = wsr_handshake_make(ep, WSR_HTTP_RESPONSE, ask.subprotocols.len);
    if (handshake == NULL)
        return WSR_ENOMEM;
    handshake->deflate = config->deflate;
    uint8_t *at = (uint8_t *)(handshake + 1);
    handshake->subprotocols = wsr_handshake_keep_text(&at, ask.subprotocols);
    /* SHA-1 of 60 bytes fails for want of memory only. */
    if (wsr_key_accept(ep->env->sha1, key, handshake->accept) != 0)
        return WSR_ENOMEM;
    return queue_request(ep, &ask, key);
}

int wsr_handshake_check_client(const wsr_endpoint_config *config)
{
    struct wsr_upgrade_ask ask;
    return read_ask(config, &ask);
}

/* --- the answer --- */

/* The answer as OPEN shows it. */
static struct wsr_chunk *show_response(struct wsr_endpoint *ep, const wsr_response *from)
{
    size_t headers_bytes = from->headers_n * sizeof(wsr_header);
    struct wsr_chunk *chunk = wsr_pool_get(&ep->env->pool, sizeof(wsr_response) + headers_bytes);
    if (chunk == NULL)
        return NULL;
    chunk->len = sizeof(wsr_response) + headers_bytes;
    wsr_response *response = (wsr_response *)(void *)chunk->data;
    wsr_header *headers = (wsr_header *)(void *)(chunk->data + sizeof *response);
    *response = *from;
    memcpy(headers, from->headers, headers_bytes);
    response->headers = headers;
    return chunk;
}

/* The server said something other than 101. What it says is kept for the record, so its head outlives the handshake. */
static void refused(struct wsr_endpoint *ep, uint64_t now_ns, const struct wsr_http_head *head)
{
    struct wsr_handshake *handshake = wsr_handshake_of(ep);
    struct wsr_chunk *bytes = handshake->head;
    handshake->head = NULL;
    wsr_handshake_fail(ep, now_ns, WSR_EREFUSED, head->status);
    ep->flags &= (uint16_t)~(unsigned)WSR_EP_SHUTDOWN; /* some servers take that for leaving, and stop in the middle */
    wsr_refusal_begin(ep, now_ns, bytes, head);
}

/* A client has a whole answer. */
void wsr_handshake_judge(struct wsr_endpoint *ep, struct wsr_batch *batch)
{
    struct wsr_handshake *handshake = wsr_handshake_of(ep);
    wsr_header headers[WSR_HANDSHAKE_HEADERS];
    struct wsr_http_head head;
    wsr_http_split(&head, WSR_HTTP_RESPONSE, (wsr_slice){handshake->head->data, handshake->head->len}, headers, WSR_HANDSHAKE_HEADERS);

    /* RFC 9110 section 15.2: a client MUST be able to parse one or more 1xx responses received prior to a final response. */
    if (head.status / 100 == 1 && head.status != 101) {
        handshake->head->len = 0;
        wsr_http_scan_init(&handshake->scan, WSR_HTTP_RESPONSE, ep->env->limits.header_bytes_max, ep->env->limits.headers_max);
        return;
    }
    wsr_response response;
    int error = wsr_upgrade_judge_response(&head, handshake->accept, handshake->subprotocols, &response);
    if (error == WSR_OK)
        error = wsr_deflate_judge_answer(&head, &handshake->deflate, &handshake->agreed);
    if (error == WSR_OK && handshake->agreed.on)
        error = wsr_permessage_open(ep, &handshake->deflate, &handshake->agreed);
    if (error == WSR_EREFUSED) {
        refused(ep, batch->now_ns, &head);
        return;
    }
    if (error < 0) {
        wsr_handshake_fail(ep, batch->now_ns, error, head.status);
        return;
    }
    struct wsr_chunk *shown = show_response(ep, &response);
    if (shown == NULL) {
        wsr_handshake_fail(ep, batch->now_ns, WSR_ENOMEM, head.status);
        return;
    }
    wsr_event *open = wsr_endpoint_emit(ep, batch, WSR_EVENT_OPEN, shown->data, sizeof response);
    wsr_handshake_open(ep, batch->now_ns, shown);
    if (ep->env->opened != NULL)
        ep->env->opened(ep, open);
}
