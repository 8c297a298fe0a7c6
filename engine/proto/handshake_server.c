/*
 * proto/handshake_server.c - a server's end of the opening handshake (RFC 6455 section 4.2): the request judged (upgrade.h, admission.h)
 * and answered, at once or as the application says.
 */
#include <assert.h>
#include <string.h>

#include "proto/admission.h"
#include "proto/handshake_end.h"
#include "proto/permessage.h"
#include "proto/upgrade_write.h"

/* --- starting --- */

/* A server's texts, checked. */
struct texts {
    wsr_slice subprotocols, origins, paths;
};

static int read_texts(const wsr_endpoint_config *config, struct texts *texts)
{
    bool good = wsr_deflate_config_valid(&config->deflate) && wsr_handshake_text(config->subprotocols, &texts->subprotocols) && wsr_upgrade_subprotocols_valid(texts->subprotocols) &&
                wsr_handshake_text(config->origins, &texts->origins) && wsr_admission_origins_valid(texts->origins) &&
                wsr_handshake_text(config->paths, &texts->paths) && wsr_admission_paths_valid(texts->paths);
    return good ? WSR_OK : WSR_ECONFIG;
}

int wsr_handshake_check_server(const wsr_endpoint_config *config)
{
    struct texts texts;
    return read_texts(config, &texts);
}

int wsr_handshake_start_server(struct wsr_endpoint *ep, const wsr_endpoint_config *config)
{
    struct texts texts;
    int error = read_texts(config, &texts);
    if (error < 0)
        return error;
    struct wsr_handshake *handshake = wsr_handshake_make(ep, WSR_HTTP_REQUEST, texts.subprotocols.len + texts.origins.len + texts.paths.len);
    if (handshake == NULL)
        return WSR_ENOMEM;
    uint8_t *at = (uint8_t *)(handshake + 1);
    handshake->subprotocols = wsr_handshake_keep_text(&at, texts.subprotocols);
    handshake->origins = wsr_handshake_keep_text(&at, texts.origins);
    handshake->paths = wsr_handshake_keep_text(&at, texts.paths);
    handshake->deflate = config->deflate;
    return WSR_OK;
}

/* --- answering --- */

/* A server's end of a handshake: the answer is queued, and if there is no memory even for that, it ends without one. */
void wsr_handshake_deny(struct wsr_endpoint *ep, uint64_t now_ns, int error, wsr_refusal refusal, bool is_head)
{
    uint8_t text[WSR_HANDSHAKE_FIXED_BYTES];
    struct wsr_http_out out = {text, sizeof text, 0};
    wsr_upgrade_write_refusal(&out, refusal, is_head);
    assert(out.len <= sizeof text);
    if (wsr_outbox_raw(&ep->out, &ep->env->pool, (wsr_slice){text, out.len}) < 0)
        wsr_handshake_fail(ep, now_ns, WSR_ENOMEM, 0);
    else
        wsr_handshake_fail(ep, now_ns, error, wsr_refusal_lookup(refusal)->status);
}

static int queue_accept(struct wsr_endpoint *ep, wsr_slice subprotocol, wsr_slice headers)
{
    struct wsr_pool *pool = &ep->env->pool;
    struct wsr_chunk *chunk = wsr_pool_get(pool, WSR_HANDSHAKE_FIXED_BYTES + subprotocol.len + headers.len);
    if (chunk == NULL)
        return WSR_ENOMEM;
    uint8_t text[WSR_DEFLATE_TEXT_MAX];
    struct wsr_http_out extensions = {text, sizeof text, 0};
    const struct wsr_handshake *handshake = wsr_handshake_of(ep);
    if (handshake->agreed.on)
        wsr_deflate_write_answer(&extensions, &handshake->agreed);
    assert(extensions.len <= sizeof text);
    struct wsr_http_out out = {chunk->data, wsr_chunk_room(chunk), 0};
    wsr_upgrade_write_accept(&out, handshake->accept, subprotocol, (wsr_slice){text, extensions.len}, headers);
    assert(out.len <= out.cap);
    int error = wsr_outbox_raw(&ep->out, pool, (wsr_slice){chunk->data, out.len});
    wsr_pool_put(pool, chunk);
    return error;
}

/* The request as events show it: the struct, its headers and, if they came in several lines, the subprotocols joined. */
static struct wsr_chunk *show_request(struct wsr_endpoint *ep, const struct wsr_http_head *head, const struct wsr_upgrade *upgrade)
{
    size_t headers_bytes = head->headers_n * sizeof(wsr_header);
    size_t joined_bytes = upgrade->subprotocol_lines > 1 ? upgrade->subprotocol_bytes : 0;
    struct wsr_chunk *chunk = wsr_pool_get(&ep->env->pool, sizeof(wsr_request) + headers_bytes + joined_bytes);
    if (chunk == NULL)
        return NULL;
    chunk->len = sizeof(wsr_request) + headers_bytes + joined_bytes;

    wsr_request *request = (wsr_request *)(void *)chunk->data;
    wsr_header *headers = (wsr_header *)(void *)(chunk->data + sizeof *request);
    *request = upgrade->request;
    memcpy(headers, head->headers, headers_bytes);
    request->headers = headers;
    if (joined_bytes != 0) {
        uint8_t *joined = (uint8_t *)headers + headers_bytes;
        wsr_upgrade_join_subprotocols(head, joined);
        request->subprotocols = (wsr_slice){joined, joined_bytes};
    }
    return chunk;
}

/* A server has a whole request. */
void wsr_handshake_answer(struct wsr_endpoint *ep, struct wsr_batch *batch)
{
    struct wsr_handshake *handshake = wsr_handshake_of(ep);
    wsr_header headers[WSR_HANDSHAKE_HEADERS];
    struct wsr_http_head head;
    wsr_http_split(&head, WSR_HTTP_REQUEST, (wsr_slice){handshake->head->data, handshake->head->len}, headers, WSR_HANDSHAKE_HEADERS);

    struct wsr_upgrade upgrade;
    int refusal = wsr_upgrade_judge_request(&head, handshake->subprotocols, &upgrade);
    if (refusal == 0)
        refusal = wsr_admission_judge(handshake->origins, handshake->paths, &upgrade.request);
    if (refusal != 0) {
        wsr_handshake_deny(ep, batch->now_ns, WSR_EHANDSHAKE, (wsr_refusal)-refusal, wsr_http_equal(head.method, WSR_SLICE("HEAD")));
        return;
    }
    if (wsr_key_accept(ep->env->sha1, upgrade.key.ptr, handshake->accept) != 0) {
        wsr_handshake_deny(ep, batch->now_ns, WSR_EHANDSHAKE, WSR_REFUSE_INTERNAL, false);
        return;
    }
    if (ep->env->refuses_upgrades) {
        ep->env->upgrades_refused++;
        wsr_handshake_deny(ep, batch->now_ns, WSR_ENOMEM, WSR_REFUSE_UNAVAILABLE, false);
        return;
    }
    /* Without memory for it the extension is declined, no more. */
    wsr_deflate_choose(&head, &handshake->deflate, &handshake->agreed);
    if (handshake->agreed.on && wsr_permessage_open(ep, &handshake->deflate, &handshake->agreed) < 0)
        handshake->agreed.on = false;
    bool manual = (ep->flags & WSR_EP_MANUAL) != 0;
    if (manual)
        upgrade.request.subprotocol = (wsr_slice){NULL, 0};
    struct wsr_chunk *shown = show_request(ep, &head, &upgrade);
    if (shown == NULL || (!manual && queue_accept(ep, upgrade.request.subprotocol, (wsr_slice){NULL, 0}) < 0)) {
        if (shown != NULL)
            wsr_pool_put(&ep->env->pool, shown);
        wsr_handshake_deny(ep, batch->now_ns, WSR_ENOMEM, WSR_REFUSE_UNAVAILABLE, false);
        return;
    }
    (void)wsr_endpoint_emit(ep, batch, manual ? WSR_EVENT_REQUEST : WSR_EVENT_OPEN, shown->data, sizeof(wsr_request));
    if (manual) {
        handshake->shown = shown;
        handshake->waits = true;
    } else {
        wsr_handshake_open(ep, batch->now_ns, shown);
    }
}

/* --- an application's answer --- */

int wsr_handshake_accept(struct wsr_endpoint *ep, uint64_t now_ns, const char *subprotocol, const char *headers)
{
    if (!wsr_handshake_waits(ep))
        return WSR_ESTATE;
    const wsr_request *request = (const wsr_request *)(const void *)wsr_handshake_of(ep)->shown->data;
    wsr_slice chosen, lines;
    if (!wsr_handshake_text(subprotocol, &chosen) || (subprotocol != NULL && !wsr_upgrade_offers(request->subprotocols, chosen)))
        return WSR_EINVAL;
    if (!wsr_handshake_text(headers, &lines) || !wsr_upgrade_headers_valid(lines))
        return WSR_EINVAL;
    int error = queue_accept(ep, chosen, lines);
    if (error < 0)
        return error;
    wsr_handshake_open(ep, now_ns, wsr_handshake_of(ep)->shown);
    return WSR_OK;
}

int wsr_handshake_refuse(struct wsr_endpoint *ep, uint64_t now_ns, unsigned status, const char *headers, wsr_slice body)
{
    struct wsr_pool *pool = &ep->env->pool;
    if (!wsr_handshake_waits(ep))
        return WSR_ESTATE;
    wsr_slice lines;
    if (status < 300 || status > 599 || (status == 304 && body.len != 0)) /* RFC 9110 section 15.4.5: a 304 has no content */
        return WSR_EINVAL;
    if (!wsr_handshake_text(headers, &lines) || !wsr_upgrade_headers_valid(lines))
        return WSR_EINVAL;
    if (body.len > SIZE_MAX / 4 || lines.len > SIZE_MAX / 4)
        return WSR_ETOOBIG;

    struct wsr_chunk *chunk = wsr_pool_get(pool, WSR_HANDSHAKE_FIXED_BYTES + lines.len + body.len);
    if (chunk == NULL)
        return WSR_ENOMEM;
    struct wsr_http_out out = {chunk->data, wsr_chunk_room(chunk), 0};
    wsr_upgrade_write_response(&out, status, lines, body);
    assert(out.len <= out.cap);
    int error = wsr_outbox_raw(&ep->out, pool, (wsr_slice){chunk->data, out.len});
    wsr_pool_put(pool, chunk);
    if (error == WSR_OK)
        wsr_handshake_fail(ep, now_ns, WSR_EHANDSHAKE, status);
    return error;
}
