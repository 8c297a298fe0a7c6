/*
 * tls/bio.c - see bio.h. OpenSSL asks for a record's header and then for its body, each alone, so what it has read of the record under
 * way is known here.
 */
#include "tls/bio.h"

#include <assert.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>

/* Handshakes and alerts: a certificate chain is 2 to 6 KiB. */
#define OUT_BYTES (4096u - sizeof(struct wsr_chunk))

static void see_record(struct wsr_tls_record *record, const uint8_t *p, size_t len)
{
    while (len > 0) {
        size_t take;
        if (record->head_len < WSR_TLS_RECORD_HEAD) {
            take = WSR_TLS_RECORD_HEAD - record->head_len < len ? WSR_TLS_RECORD_HEAD - record->head_len : len;
            memcpy(record->head + record->head_len, p, take);
            record->head_len = (uint8_t)(record->head_len + take);
            if (record->head_len == WSR_TLS_RECORD_HEAD)
                record->left = (uint32_t)record->head[3] << 8 | record->head[4];
        } else {
            take = record->left < len ? record->left : len;
            record->left -= (uint32_t)take;
        }
        p += take;
        len -= take;
        if (record->head_len == WSR_TLS_RECORD_HEAD && record->left == 0)
            record->head_len = 0;
    }
}

static int bio_read(BIO *bio, char *to, size_t cap, size_t *n)
{
    struct wsr_tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *n = cap < session->in_len ? cap : session->in_len;
    if (*n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(to, session->in, *n);
    see_record(&session->record, session->in, *n);
    session->in += *n;
    session->in_len -= *n;
    return 1;
}

struct wsr_chunk *wsr_tls_append(struct wsr_tls_session *session, size_t bytes)
{
    struct wsr_chunk *chunk = wsr_pool_get(session->pool, bytes);
    if (chunk == NULL)
        return NULL;
    if (session->out == NULL) {
        session->out = chunk;
    } else {
        assert(session->out_tail != NULL);
        session->out_tail->next = chunk;
    }
    session->out_tail = chunk;
    return chunk;
}

static int bio_write(BIO *bio, const char *p, size_t len, size_t *n)
{
    struct wsr_tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *n = 0;
    while (*n < len) {
        struct wsr_chunk *tail = session->out != NULL ? session->out_tail : NULL;
        if (tail == NULL || wsr_chunk_room(tail) == 0)
            tail = wsr_tls_append(session, len - *n > OUT_BYTES ? len - *n : OUT_BYTES);
        if (tail == NULL) {
            session->no_memory = true;
            return 0;
        }
        size_t take = len - *n < wsr_chunk_room(tail) ? len - *n : wsr_chunk_room(tail);
        memcpy(tail->data + tail->len, p + *n, take);
        tail->len += take;
        *n += take;
    }
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *bio_method; /* as long as the process */
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wsring slices");
    if (method == NULL)
        return;
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
    BIO_meth_set_create(method, bio_create);
    bio_method = method;
}

int wsr_tls_attach(struct wsr_tls_session *session)
{
    pthread_once(&bio_once, make_method);
    BIO *bio = bio_method != NULL ? BIO_new(bio_method) : NULL;
    if (bio == NULL)
        return WSR_ENOMEM;
    BIO_set_data(bio, session);
    SSL_set_bio(session->ssl, bio, bio); /* which takes the one reference there is */
    return WSR_OK;
}
