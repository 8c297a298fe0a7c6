/*
 * tls/records.c - see records.h. The section numbers are RFC 8446's.
 */
#include "tls/records.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <string.h>

enum { ALERT = 21, HANDSHAKE = 22, APPLICATION_DATA = 23 };                /* section 5.1 */
enum { NEW_SESSION_TICKET = 4, KEY_UPDATE = 24 };                          /* section 4 */
enum { UNEXPECTED_MESSAGE = 10, BAD_RECORD_MAC = 20, RECORD_OVERFLOW = 22, DECODE_ERROR = 50, ILLEGAL_PARAMETER = 47 }; /* section 6 */
enum { CLOSE_NOTIFY = 0, USER_CANCELED = 90 };

/* "TLSInnerPlaintext.length MUST NOT exceed 2^14 + 1", and 255 bytes more for what an algorithm adds (5.2). */
#define BODY_MAX (WSR_RECORD_PLAIN_MAX + 256u)
#define BODY_MIN (1u + WSR_AEAD_TAG)
/* "An implementation MAY [...] rate-limit": the same as OpenSSL's, MAX_EMPTY_RECORDS. */
#define EMPTY_MAX 32u
/* "For AES-GCM, up to 2^24.5 full-size records [...] may be encrypted on a given connection" under one key (5.5). */
#define RECORDS_MAX (UINT64_C(1) << 24)

/* ---- keys ---- */

static const EVP_MD *hash_of(enum wsr_aead_kind kind)
{
    return kind == WSR_AEAD_AES_256_GCM ? EVP_sha384() : EVP_sha256();
}

/* HKDF-Expand-Label with an empty context (7.1), of no more than one block (RFC 5869 section 2.3). */
static bool expand(uint8_t *to, unsigned len, enum wsr_aead_kind kind, const uint8_t *secret, const char *label)
{
    const EVP_MD *hash = hash_of(kind);
    const unsigned hash_len = (unsigned)EVP_MD_get_size(hash);
    const size_t label_len = strlen(label);
    uint8_t info[64] = {0, (uint8_t)len, (uint8_t)(6 + label_len)}, block[EVP_MAX_MD_SIZE];
    assert(len <= hash_len && 3 + 6 + label_len + 2 <= sizeof info);
    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, label, label_len);
    info[9 + label_len] = 0;     /* the context's length */
    info[9 + label_len + 1] = 1; /* the block's number */
    const bool good = HMAC(hash, secret, (int)hash_len, info, 9 + label_len + 2, block, NULL) != NULL;
    memcpy(to, block, len);
    OPENSSL_cleanse(block, sizeof block);
    return good;
}

static bool set_keys(struct wsr_record_way *way, enum wsr_aead_kind kind, bool seals)
{
    uint8_t key[WSR_AEAD_KEY_MAX];
    const bool good = expand(key, wsr_aead_key_bytes(kind), kind, way->secret, "key") && expand(way->iv, WSR_AEAD_NONCE, kind, way->secret, "iv") &&
                      wsr_aead_init(&way->aead, kind, key, seals);
    OPENSSL_cleanse(key, sizeof key);
    return good;
}

/* The next generation (7.2). */
static bool update_keys(struct wsr_record_way *way, enum wsr_aead_kind kind, bool seals)
{
    uint8_t next[WSR_SECRET_MAX];
    if (!expand(next, (unsigned)EVP_MD_get_size(hash_of(kind)), kind, way->secret, "traffic upd"))
        return false;
    memcpy(way->secret, next, sizeof next);
    OPENSSL_cleanse(next, sizeof next);
    wsr_aead_fini(&way->aead);
    way->number = 0;
    return set_keys(way, kind, seals);
}

bool wsr_records_init(struct wsr_records *records, struct wsr_pool *pool, enum wsr_aead_kind kind, bool client,
                      const struct wsr_record_secrets *secrets)
{
    memset(records, 0, sizeof *records);
    records->pool = pool;
    records->kind = (uint8_t)kind;
    records->client = client;
    memcpy(records->in.secret, client ? secrets->server : secrets->client, WSR_SECRET_MAX);
    memcpy(records->out.secret, client ? secrets->client : secrets->server, WSR_SECRET_MAX);
    records->in.number = secrets->in_number;
    records->out.number = secrets->out_number;
    return set_keys(&records->in, kind, false) && set_keys(&records->out, kind, true);
}

void wsr_records_fini(struct wsr_records *records)
{
    wsr_aead_fini(&records->in.aead);
    wsr_aead_fini(&records->out.aead);
    if (records->partial != NULL)
        wsr_pool_put(records->pool, records->partial);
    OPENSSL_cleanse(records, sizeof *records);
}

/* The number, padded to the left, xor the static part (5.3). */
static void make_nonce(struct wsr_record_way *way, uint8_t nonce[WSR_AEAD_NONCE])
{
    memcpy(nonce, way->iv, WSR_AEAD_NONCE);
    uint64_t low;
    memcpy(&low, nonce + 4, sizeof low);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    low ^= __builtin_bswap64(way->number);
#else
    low ^= way->number;
#endif
    memcpy(nonce + 4, &low, sizeof low);
    way->number++;
}

/* ---- in ---- */

static enum wsr_record_found wrong(struct wsr_records *records, uint8_t alert)
{
    records->alert = alert;
    return WSR_RECORD_WRONG;
}

static size_t body_bytes(const uint8_t *head)
{
    return (size_t)head[3] << 8 | head[4];
}

/* What a header says is wrong with its record: an alert, or 0. */
static uint8_t check_head(const uint8_t *head)
{
    if (head[0] != APPLICATION_DATA) /* "the opaque_type field [...] is always set to the value 23" (5.2) */
        return UNEXPECTED_MESSAGE;
    const size_t body = body_bytes(head);
    return body > BODY_MAX ? RECORD_OVERFLOW : body < BODY_MIN ? DECODE_ERROR : 0;
}

/* A whole message's type and, if it is of one byte, that. */
static enum wsr_record_found handshake_message(struct wsr_records *records, uint8_t type, uint32_t len, uint8_t byte, bool last)
{
    if (type == NEW_SESSION_TICKET && records->client)
        return WSR_RECORD_NOTHING; /* one came before, or none was wanted */
    if (type != KEY_UPDATE)
        return wrong(records, UNEXPECTED_MESSAGE);
    if (len != 1)
        return wrong(records, DECODE_ERROR);
    if (!last) /* "Handshake messages MUST NOT span key changes" (5.1) */
        return wrong(records, UNEXPECTED_MESSAGE);
    if (byte > 1)
        return wrong(records, ILLEGAL_PARAMETER);
    if (byte == 1)
        records->owes_update = true;
    return update_keys(&records->in, (enum wsr_aead_kind)records->kind, false) ? WSR_RECORD_NOTHING : WSR_RECORD_WRONG;
}

static enum wsr_record_found take_handshake(struct wsr_records *records, const uint8_t *p, size_t len)
{
    if (len == 0)
        return wrong(records, UNEXPECTED_MESSAGE); /* "Zero-length fragments of Handshake types [...] MUST NOT" be sent (5.1) */
    while (len > 0) {
        if (records->message_len < 4) {
            records->message[records->message_len++] = *p++;
            len--;
            const uint8_t *m = records->message;
            records->message_left = (uint32_t)m[1] << 16 | (uint32_t)m[2] << 8 | m[3];
            if (records->message_len < 4 || records->message_left > 0)
                continue;
        }
        const size_t take = records->message_left < len ? records->message_left : len;
        const uint8_t byte = take > 0 ? *p : 0;
        records->message_left -= (uint32_t)take;
        p += take;
        len -= take;
        const uint8_t *m = records->message;
        if (m[0] != NEW_SESSION_TICKET || records->message_left == 0) { /* what is not to be skipped is judged at once */
            records->message_len = 0;
            const enum wsr_record_found found = handshake_message(records, m[0], (uint32_t)m[1] << 16 | (uint32_t)m[2] << 8 | m[3], byte, len == 0);
            if (found == WSR_RECORD_WRONG)
                return found;
        }
    }
    return WSR_RECORD_NOTHING;
}

static enum wsr_record_found take_alert(struct wsr_records *records, const uint8_t *p, size_t len)
{
    if (len != 2)
        return wrong(records, DECODE_ERROR);
    if (p[1] == CLOSE_NOTIFY)
        return WSR_RECORD_END;
    if (p[1] == USER_CANCELED) /* "generally" followed by close_notify (6.1) */
        return WSR_RECORD_NOTHING;
    records->alert_received = p[1]; /* "all [other] alerts [...] MUST be treated as error alerts", whatever their level (6.2) */
    return WSR_RECORD_WRONG;
}

/* Opens a whole record where it lies. NOTHING: it had no content. */
static enum wsr_record_found open_record(struct wsr_records *records, uint8_t *record, wsr_span *plain)
{
    uint8_t nonce[WSR_AEAD_NONCE];
    uint8_t *body = record + WSR_RECORD_HEAD;
    make_nonce(&records->in, nonce);
    if (!wsr_aead_open(&records->in.aead, nonce, record, (wsr_span){body, body_bytes(record)}))
        return wrong(records, BAD_RECORD_MAC);
    size_t len = body_bytes(record) - WSR_AEAD_TAG;
    while (len > 0 && body[len - 1] == 0) /* padding (5.4) */
        len--;
    if (len == 0)
        return wrong(records, UNEXPECTED_MESSAGE);
    const uint8_t type = body[--len];
    if (len > WSR_RECORD_PLAIN_MAX)
        return wrong(records, RECORD_OVERFLOW);
    if (type != HANDSHAKE && records->message_len > 0) /* "there MUST NOT be any other records between them" (5.1) */
        return wrong(records, UNEXPECTED_MESSAGE);
    if (type == HANDSHAKE)
        return take_handshake(records, body, len);
    if (type == ALERT)
        return take_alert(records, body, len);
    if (type != APPLICATION_DATA)
        return wrong(records, UNEXPECTED_MESSAGE);
    *plain = (wsr_span){body, len};
    records->empty = len > 0 ? 0 : records->empty + 1;
    if (records->empty > EMPTY_MAX)
        return wrong(records, UNEXPECTED_MESSAGE);
    return len > 0 ? WSR_RECORD_CONTENT : WSR_RECORD_NOTHING;
}

static void move_along(wsr_span *in, size_t n)
{
    in->ptr += n;
    in->len -= n;
}

/* Keeps up to n more bytes of the record under way. False: no memory. */
static bool keep(struct wsr_records *records, wsr_span *in, size_t n)
{
    if (n > in->len)
        n = in->len;
    struct wsr_chunk *chunk = records->partial;
    const size_t present = chunk != NULL ? chunk->len : 0;
    if (chunk == NULL)
        chunk = wsr_pool_get(records->pool, n);
    else if (wsr_chunk_room(chunk) < n) /* twice as much again, so that memory follows what came and not what was announced */
        chunk = wsr_pool_grow(records->pool, chunk, n > 2 * present ? n : 2 * present);
    if (chunk == NULL)
        return false;
    records->partial = chunk;
    memcpy(chunk->data + chunk->len, in->ptr, n);
    chunk->len += n;
    move_along(in, n);
    return true;
}

/* Goes on with the record whose beginning came before. */
static enum wsr_record_found next_carried(struct wsr_records *records, wsr_span *in, wsr_span *plain, struct wsr_chunk **carried)
{
    if (records->partial->len < WSR_RECORD_HEAD && !keep(records, in, WSR_RECORD_HEAD - records->partial->len))
        return WSR_RECORD_WRONG;
    if (records->partial->len < WSR_RECORD_HEAD)
        return WSR_RECORD_NOTHING;
    const uint8_t alert = check_head(records->partial->data);
    if (alert != 0)
        return wrong(records, alert);
    const size_t whole = WSR_RECORD_HEAD + body_bytes(records->partial->data);
    if (!keep(records, in, whole - records->partial->len))
        return WSR_RECORD_WRONG;
    if (records->partial->len < whole)
        return WSR_RECORD_NOTHING;
    struct wsr_chunk *chunk = records->partial;
    records->partial = NULL;
    const enum wsr_record_found found = open_record(records, chunk->data, plain);
    if (found == WSR_RECORD_CONTENT)
        *carried = chunk;
    else
        wsr_pool_put(records->pool, chunk);
    return found;
}

enum wsr_record_found wsr_records_next(struct wsr_records *records, wsr_span *in, wsr_span *plain, struct wsr_chunk **carried)
{
    *carried = NULL;
    while (in->len > 0) {
        enum wsr_record_found found;
        if (records->partial != NULL) {
            found = next_carried(records, in, plain, carried);
        } else {
            const uint8_t alert = in->len >= WSR_RECORD_HEAD ? check_head(in->ptr) : 0;
            const size_t whole = in->len >= WSR_RECORD_HEAD ? WSR_RECORD_HEAD + body_bytes(in->ptr) : SIZE_MAX;
            if (alert != 0)
                return wrong(records, alert);
            if (whole > in->len)
                return keep(records, in, in->len) ? WSR_RECORD_NOTHING : WSR_RECORD_WRONG;
            uint8_t *record = in->ptr;
            move_along(in, whole);
            found = open_record(records, record, plain);
        }
        if (found != WSR_RECORD_NOTHING)
            return found;
    }
    return WSR_RECORD_NOTHING;
}

/* ---- out ---- */

size_t wsr_records_bytes(size_t plain_bytes, unsigned calls)
{
    /* and once a KeyUpdate */
    return plain_bytes + (plain_bytes / WSR_RECORD_PLAIN_MAX + calls + 2) * WSR_RECORD_GAIN + 8;
}

static bool put_record(struct wsr_records *records, struct wsr_chunk *chunk, wsr_slice content, uint8_t type)
{
    const size_t body = content.len + 1 + WSR_AEAD_TAG;
    uint8_t nonce[WSR_AEAD_NONCE], *record = chunk->data + chunk->len;
    assert(wsr_chunk_room(chunk) >= WSR_RECORD_HEAD + body && content.len <= WSR_RECORD_PLAIN_MAX);
    record[0] = APPLICATION_DATA;
    record[1] = record[2] = 3; /* legacy_record_version */
    record[3] = (uint8_t)(body >> 8);
    record[4] = (uint8_t)body;
    make_nonce(&records->out, nonce);
    if (!wsr_aead_seal(&records->out.aead, nonce, record, record + WSR_RECORD_HEAD, content, type))
        return false;
    chunk->len += WSR_RECORD_HEAD + body;
    return true;
}

/* "The receiver MUST send a KeyUpdate of its own with request_update set to update_not_requested prior to sending its next Application
   Data record" (4.6.3). */
static bool put_update(struct wsr_records *records, struct wsr_chunk *chunk)
{
    static const uint8_t message[] = {KEY_UPDATE, 0, 0, 1, 0};
    records->owes_update = false;
    return put_record(records, chunk, (wsr_slice){message, sizeof message}, HANDSHAKE) &&
           update_keys(&records->out, (enum wsr_aead_kind)records->kind, true);
}

bool wsr_records_put(struct wsr_records *records, struct wsr_chunk *chunk, wsr_slice content)
{
    if ((records->owes_update || records->out.number >= RECORDS_MAX) && !put_update(records, chunk))
        return false;
    while (content.len > 0) {
        const size_t take = content.len < WSR_RECORD_PLAIN_MAX ? content.len : WSR_RECORD_PLAIN_MAX;
        if (!put_record(records, chunk, (wsr_slice){content.ptr, take}, APPLICATION_DATA))
            return false;
        content.ptr += take;
        content.len -= take;
    }
    return true;
}

bool wsr_records_alert(struct wsr_records *records, struct wsr_chunk *chunk, bool fatal, uint8_t alert)
{
    const uint8_t message[] = {fatal ? 2 : 1, alert};
    return put_record(records, chunk, (wsr_slice){message, sizeof message}, ALERT);
}
