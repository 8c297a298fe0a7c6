/*
 * proto/handshake.c - see handshake.h. RFC 6455 section 4.
 *
 *     head bytes -> scan (http.c) -> split -> judge (upgrade.c) -> answer (upgrade_write.c) -> OPEN or REQUEST, frames
 */
#include "proto/handshake.h"

#include <assert.h>
#include <string.h>

#include "proto/admission.h"
#include "proto/aside.h"
#include "proto/permessage.h"
#include "proto/refusal.h"
#include "proto/upgrade.h"
#include "proto/upgrade_write.h"

#define HEADERS_CAP 128u     /* the most that wsr_limits.headers_max may say */
#define FIXED_BYTES_MAX 512u /* the fixed part of any head written here, and a refusal as a whole */

/* The texts it points to stand behind it. */
struct wsr_handshake {
    struct wsr_http_scan scan;
    struct wsr_chunk *head;   /* what has come of the peer's head; NULL: nothing yet */
    struct wsr_chunk *shown;  /* the wsr_request that a REQUEST event points to */
    wsr_slice subprotocols;   /* a server's spoken, a client's offered */
    wsr_slice origins, paths; /* a server's, for those it lets in; empty: anybody */
    wsr_deflate deflate;      /* as configured */
    struct wsr_deflate_agreed agreed;
    uint8_t accept[WSR_ACCEPT_LEN]; /* to be sent by a server, expected by a client */
    bool waits;               /* for the application's answer */
};

static size_t feed_head(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len);

static struct wsr_handshake *handshake_of(const struct wsr_endpoint *ep)
{
    return wsr_aside(ep, WSR_ASIDE_HANDSHAKE);
}

void wsr_handshake_free(struct wsr_endpoint *ep)
{
    struct wsr_handshake *handshake = handshake_of(ep);
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
    const struct wsr_handshake *handshake = handshake_of(ep);
    return handshake != NULL && handshake->waits;
}

/* --- failing --- */

static void fail(struct wsr_endpoint *ep, uint64_t now_ns, int error, unsigned status)
{
    wsr_handshake_free(ep);
    wsr_endpoint_handshake_failed(ep, now_ns, error, status);
}

/* A server's end of a handshake: the answer is queued, and if there is no memory even for that, it ends without one. */
static void refuse(struct wsr_endpoint *ep, uint64_t now_ns, int error, wsr_refusal refusal, bool is_head)
{
    uint8_t text[FIXED_BYTES_MAX];
    struct wsr_http_out out = {text, sizeof text, 0};
    wsr_upgrade_write_refusal(&out, refusal, is_head);
    assert(out.len <= sizeof text);
    if (wsr_outbox_raw(&ep->out, &ep->env->pool, (wsr_slice){text, out.len}) < 0)
        fail(ep, now_ns, WSR_ENOMEM, 0);
    else
        fail(ep, now_ns, error, wsr_refusal_lookup(refusal)->status);
}

void wsr_handshake_timeout(struct wsr_endpoint *ep, uint64_t now_ns)
{
    /* A peer that sent all it had to is not the one who was late. */
    wsr_refusal refusal = wsr_handshake_waits(ep) ? WSR_REFUSE_UNAVAILABLE : WSR_REFUSE_TIMEOUT;
    if (wsr_endpoint_role(ep) == WSR_SERVER)
        refuse(ep, now_ns, WSR_ETIMEOUT_HANDSHAKE, refusal, false);
    else
        fail(ep, now_ns, WSR_ETIMEOUT_HANDSHAKE, 0);
}

/* --- opening --- */

/* The event is out: `shown` and the head live as long as its batch, the handshake is over. */
static void open_frames(struct wsr_endpoint *ep, uint64_t now_ns, struct wsr_chunk *shown)
{
    handshake_of(ep)->shown = shown;
    wsr_handshake_free(ep);
    wsr_endpoint_opened(ep, now_ns);
}

static int queue_accept(struct wsr_endpoint *ep, wsr_slice subprotocol, wsr_slice headers)
{
    struct wsr_pool *pool = &ep->env->pool;
    struct wsr_chunk *chunk = wsr_pool_get(pool, FIXED_BYTES_MAX + subprotocol.len + headers.len);
    if (chunk == NULL)
        return WSR_ENOMEM;
    uint8_t text[WSR_DEFLATE_TEXT_MAX];
    struct wsr_http_out extensions = {text, sizeof text, 0};
    const struct wsr_handshake *handshake = handshake_of(ep);
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
static void answer_request(struct wsr_endpoint *ep, struct wsr_batch *batch)
{
    struct wsr_handshake *handshake = handshake_of(ep);
    wsr_header headers[HEADERS_CAP];
    struct wsr_http_head head;
    wsr_http_split(&head, WSR_HTTP_REQUEST, (wsr_slice){handshake->head->data, handshake->head->len}, headers, HEADERS_CAP);

    struct wsr_upgrade upgrade;
    int refusal = wsr_upgrade_judge_request(&head, handshake->subprotocols, &upgrade);
    if (refusal == 0)
        refusal = wsr_admission_judge(handshake->origins, handshake->paths, &upgrade.request);
    if (refusal != 0) {
        refuse(ep, batch->now_ns, WSR_EHANDSHAKE, (wsr_refusal)-refusal, wsr_http_equal(head.method, WSR_SLICE("HEAD")));
        return;
    }
    if (wsr_key_accept(ep->env->sha1, upgrade.key.ptr, handshake->accept) != 0) {
        refuse(ep, batch->now_ns, WSR_EHANDSHAKE, WSR_REFUSE_INTERNAL, false);
        return;
    }
    if (ep->env->refuses_upgrades) {
        ep->env->upgrades_refused++;
        refuse(ep, batch->now_ns, WSR_ENOMEM, WSR_REFUSE_UNAVAILABLE, false);
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
        refuse(ep, batch->now_ns, WSR_ENOMEM, WSR_REFUSE_UNAVAILABLE, false);
        return;
    }
    (void)wsr_endpoint_emit(ep, batch, manual ? WSR_EVENT_REQUEST : WSR_EVENT_OPEN, shown->data, sizeof(wsr_request));
    if (manual) {
        handshake->shown = shown;
        handshake->waits = true;
    } else {
        open_frames(ep, batch->now_ns, shown);
    }
}

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
    struct wsr_handshake *handshake = handshake_of(ep);
    struct wsr_chunk *bytes = handshake->head;
    handshake->head = NULL;
    fail(ep, now_ns, WSR_EREFUSED, head->status);
    ep->flags &= (uint16_t)~(unsigned)WSR_EP_SHUTDOWN; /* some servers take that for leaving, and stop in the middle */
    wsr_refusal_begin(ep, now_ns, bytes, head);
}

/* A client has a whole answer. */
static void take_answer(struct wsr_endpoint *ep, struct wsr_batch *batch)
{
    struct wsr_handshake *handshake = handshake_of(ep);
    wsr_header headers[HEADERS_CAP];
    struct wsr_http_head head;
    wsr_http_split(&head, WSR_HTTP_RESPONSE, (wsr_slice){handshake->head->data, handshake->head->len}, headers, HEADERS_CAP);

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
        fail(ep, batch->now_ns, error, head.status);
        return;
    }
    struct wsr_chunk *shown = show_response(ep, &response);
    if (shown == NULL) {
        fail(ep, batch->now_ns, WSR_ENOMEM, head.status);
        return;
    }
    wsr_event *open = wsr_endpoint_emit(ep, batch, WSR_EVENT_OPEN, shown->data, sizeof response);
    open_frames(ep, batch->now_ns, shown);
    if (ep->env->opened != NULL)
        ep->env->opened(ep, open);
}

/* --- receiving --- */

/* Keeps bytes of the head. Memory follows what has come: the pool's next size, twice the last, when one is full. */
static int keep(struct wsr_endpoint *ep, const uint8_t *p, size_t len)
{
    struct wsr_handshake *handshake = handshake_of(ep);
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
            refuse(ep, batch->now_ns, WSR_EHANDSHAKE, (wsr_refusal)-scanned, false);
        else
            fail(ep, batch->now_ns, WSR_EANSWER, 0);
        return false;
    }
    if (keep(ep, p, used) < 0) {
        if (server)
            refuse(ep, batch->now_ns, WSR_ENOMEM, WSR_REFUSE_UNAVAILABLE, false);
        else
            fail(ep, batch->now_ns, WSR_ENOMEM, 0);
        return false;
    }
    if (scanned == 0)
        return true;
    if (server)
        answer_request(ep, batch);
    else
        take_answer(ep, batch);
    return ep->feed == feed_head && !wsr_handshake_waits(ep);
}

static size_t feed_head(struct wsr_endpoint *ep, struct wsr_batch *batch, uint8_t *p, size_t len)
{
    if (batch->n == batch->cap || wsr_handshake_waits(ep))
        return 0;
    size_t done = 0, used = 0;
    bool more = true;
    while (more && done < len) {
        int scanned = wsr_http_scan(&handshake_of(ep)->scan, p + done, len - done, &used);
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
static bool text_slice(const char *text, wsr_slice *out)
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

/* The state, beside the endpoint, with room for `extra` bytes behind it; NULL for no memory. */
static struct wsr_handshake *make(struct wsr_endpoint *ep, enum wsr_http_kind kind, size_t extra)
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

/* A server's texts, checked. */
struct texts {
    wsr_slice subprotocols, origins, paths;
};

static int read_texts(const wsr_endpoint_config *config, struct texts *texts)
{
    bool good = wsr_deflate_config_valid(&config->deflate) && text_slice(config->subprotocols, &texts->subprotocols) && wsr_upgrade_subprotocols_valid(texts->subprotocols) &&
                text_slice(config->origins, &texts->origins) && wsr_admission_origins_valid(texts->origins) &&
                text_slice(config->paths, &texts->paths) && wsr_admission_paths_valid(texts->paths);
    return good ? WSR_OK : WSR_ECONFIG;
}

/* Copies text to *at, which moves on. An empty one is a slice of nothing: list->ptr NULL ends it. */
static wsr_slice keep_text(uint8_t **at, wsr_slice text)
{
    if (text.len == 0)
        return (wsr_slice){NULL, 0};
    wsr_slice kept = {*at, text.len};
    memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return kept;
}

static int start_server(struct wsr_endpoint *ep, const wsr_endpoint_config *config)
{
    struct texts texts;
    int error = read_texts(config, &texts);
    if (error < 0)
        return error;
    struct wsr_handshake *handshake = make(ep, WSR_HTTP_REQUEST, texts.subprotocols.len + texts.origins.len + texts.paths.len);
    if (handshake == NULL)
        return WSR_ENOMEM;
    uint8_t *at = (uint8_t *)(handshake + 1);
    handshake->subprotocols = keep_text(&at, texts.subprotocols);
    handshake->origins = keep_text(&at, texts.origins);
    handshake->paths = keep_text(&at, texts.paths);
    handshake->deflate = config->deflate;
    return WSR_OK;
}

static int read_ask(const wsr_endpoint_config *config, struct wsr_upgrade_ask *ask)
{
    if (!wsr_deflate_config_valid(&config->deflate) || !text_slice(config->host, &ask->host) || !wsr_upgrade_host_valid(ask->host))
        return WSR_ECONFIG;
    if (!text_slice(config->target != NULL ? config->target : "/", &ask->target) || !wsr_upgrade_target_valid(ask->target))
        return WSR_ECONFIG;
    if (!text_slice(config->subprotocols, &ask->subprotocols) || !wsr_upgrade_subprotocols_valid(ask->subprotocols))
        return WSR_ECONFIG;
    if (!text_slice(config->headers, &ask->headers) || !wsr_upgrade_headers_valid(ask->headers))
        return WSR_ECONFIG;
    return WSR_OK;
}

static int queue_request(struct wsr_endpoint *ep, const struct wsr_upgrade_ask *ask, const uint8_t key[WSR_KEY_LEN])
{
    struct wsr_pool *pool = &ep->env->pool;
    size_t variable = ask->host.len + ask->target.len + ask->subprotocols.len + ask->headers.len;
    struct wsr_chunk *chunk = wsr_pool_get(pool, FIXED_BYTES_MAX + variable);
    if (chunk == NULL)
        return WSR_ENOMEM;
    struct wsr_http_out out = {chunk->data, wsr_chunk_room(chunk), 0};
    wsr_upgrade_write_request(&out, ask, key);
    assert(out.len <= out.cap);
    int error = wsr_outbox_raw(&ep->out, pool, (wsr_slice){chunk->data, out.len});
    wsr_pool_put(pool, chunk);
    return error;
}

static int start_client(struct wsr_endpoint *ep, const wsr_endpoint_config *config)
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

    struct wsr_handshake *handshake = make(ep, WSR_HTTP_RESPONSE, ask.subprotocols.len);
    if (handshake == NULL)
        return WSR_ENOMEM;
    handshake->deflate = config->deflate;
    uint8_t *at = (uint8_t *)(handshake + 1);
    handshake->subprotocols = keep_text(&at, ask.subprotocols);
    /* SHA-1 of 60 bytes fails for want of memory only. */
    if (wsr_key_accept(ep->env->sha1, key, handshake->accept) != 0)
        return WSR_ENOMEM;
    return queue_request(ep, &ask, key);
}

int wsr_handshake_check(const wsr_endpoint_config *config)
{
    struct wsr_upgrade_ask ask;
    struct texts texts;
    return config->role == WSR_SERVER ? read_texts(config, &texts) : read_ask(config, &ask);
}

int wsr_handshake_start(struct wsr_endpoint *ep, const wsr_endpoint_config *config)
{
    assert(ep->env->sha1 != NULL);
    ep->feed = feed_head;
    assert(!config->deflate.on || ep->env->deflate.inflate != NULL);
    int error = config->role == WSR_SERVER ? start_server(ep, config) : start_client(ep, config);
    if (error < 0)
        wsr_handshake_free(ep);
    return error;
}

/* --- an application's answer --- */

int wsr_handshake_accept(struct wsr_endpoint *ep, uint64_t now_ns, const char *subprotocol, const char *headers)
{
    if (!wsr_handshake_waits(ep))
        return WSR_ESTATE;
    const wsr_request *request = (const wsr_request *)(const void *)handshake_of(ep)->shown->data;
    wsr_slice chosen, lines;
    if (!text_slice(subprotocol, &chosen) || (subprotocol != NULL && !wsr_upgrade_offers(request->subprotocols, chosen)))
        return WSR_EINVAL;
    if (!text_slice(headers, &lines) || !wsr_upgrade_headers_valid(lines))
        return WSR_EINVAL;
    int error = queue_accept(ep, chosen, lines);
    if (error < 0)
        return error;
    open_frames(ep, now_ns, handshake_of(ep)->shown);
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
    if (!text_slice(headers, &lines) || !wsr_upgrade_headers_valid(lines))
        return WSR_EINVAL;
    if (body.len > SIZE_MAX / 4 || lines.len > SIZE_MAX / 4)
        return WSR_ETOOBIG;

    struct wsr_chunk *chunk = wsr_pool_get(pool, FIXED_BYTES_MAX + lines.len + body.len);
    if (chunk == NULL)
        return WSR_ENOMEM;
    struct wsr_http_out out = {chunk->data, wsr_chunk_room(chunk), 0};
    wsr_upgrade_write_response(&out, status, lines, body);
    assert(out.len <= out.cap);
    int error = wsr_outbox_raw(&ep->out, pool, (wsr_slice){chunk->data, out.len});
    wsr_pool_put(pool, chunk);
    if (error == WSR_OK)
        fail(ep, now_ns, WSR_EHANDSHAKE, status);
    return error;
}
