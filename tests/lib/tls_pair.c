/*
 * tests/lib/tls_pair.c - see tls_pair.h.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lib/certs.h"
#include "lib/tls_pair.h"

static void put(struct tls_bytes *to, const uint8_t *p, size_t len)
{
    if (to->cap - to->len < len) {
        to->cap = 2 * (to->len + len);
        to->p = realloc(to->p, to->cap);
        assert_non_null(to->p);
    }
    if (len > 0)
        memcpy(to->p + to->len, p, len);
    to->len += len;
}

void tls_pair_open_to(struct tls_pair *pair, struct wsr_tls *server, struct wsr_tls *client, const struct wsr_tls_peer *peer)
{
    memset(pair, 0, sizeof *pair);
    wsr_pool_init(&pair->pool, NULL, 0, 0);
    assert_int_equal(wsr_tls_start(&pair->server.session, server, &pair->pool, NULL), WSR_OK);
    assert_int_equal(wsr_tls_start(&pair->client.session, client, &pair->pool, peer), WSR_OK);
}

void tls_pair_open(struct tls_pair *pair, struct wsr_tls *server, struct wsr_tls *client)
{
    tls_pair_open_to(pair, server, client, &(struct wsr_tls_peer){"localhost", 443, false});
}

void tls_pair_close(struct tls_pair *pair)
{
    wsr_tls_end(&pair->server.session);
    wsr_tls_end(&pair->client.session);
    free(pair->server.got.p);
    free(pair->client.got.p);
    assert_int_equal(pair->pool.out_bytes, 0);
    wsr_pool_free(&pair->pool);
}

struct tls_bytes tls_pair_output(struct tls_pair *pair, struct tls_end *from)
{
    struct tls_bytes all = {NULL, 0, 0};
    struct wsr_chunk *out = wsr_tls_output(&from->session);
    for (const struct wsr_chunk *chunk = out; chunk != NULL; chunk = chunk->next)
        put(&all, chunk->data, chunk->len);
    wsr_pool_put_list(&pair->pool, out);
    return all;
}

bool tls_pair_feed(struct tls_pair *pair, struct tls_end *to, const uint8_t *p, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, p, len);
    struct wsr_tls_plain plain = wsr_tls_take(&to->session, (wsr_span){copy, len});
    if (plain.carried != NULL) {
        assert_true(plain.carried->len > 0);
        put(&to->got, plain.carried->data, plain.carried->len);
        wsr_pool_put(&pair->pool, plain.carried);
    }
    assert_true(plain.rest.ptr == copy && plain.rest.len <= len);
    put(&to->got, plain.rest.ptr, plain.rest.len);
    free(copy);
    return plain.data_last;
}

size_t tls_pair_move(struct tls_pair *pair, struct tls_end *from, struct tls_end *to, size_t piece)
{
    struct tls_bytes all = tls_pair_output(pair, from);
    for (size_t at = 0; at < all.len; at += piece)
        tls_pair_feed(pair, to, all.p + at, all.len - at < piece ? all.len - at : piece);
    free(all.p);
    return all.len;
}

void tls_pair_shake(struct tls_pair *pair, size_t piece)
{
    while (tls_pair_move(pair, &pair->client, &pair->server, piece) + tls_pair_move(pair, &pair->server, &pair->client, piece) > 0)
        ;
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)((i * 2654435761u) >> 11);
}

void tls_write_pattern(struct tls_end *from, size_t len)
{
    uint8_t *p = malloc(len);
    assert_non_null(p);
    for (size_t i = 0; i < len; i++)
        p[i] = pattern(i);
    assert_true(wsr_tls_write(&from->session, (wsr_slice){p, len}));
    free(p);
}

void tls_expect_patterns(struct tls_end *to, const size_t *lens, unsigned n)
{
    size_t at = 0;
    for (unsigned k = 0; k < n; k++) {
        for (size_t i = 0; i < lens[k]; i++, at++) {
            if (at >= to->got.len || to->got.p[at] != pattern(i))
                fail_msg("byte %zu of pattern %u is wrong, or not there (%zu came)", i, k, to->got.len);
        }
    }
    assert_int_equal(to->got.len, at);
    to->got.len = 0;
}

bool tls_pair_resumes(struct wsr_tls *server, struct wsr_tls *client, bool clean)
{
    struct tls_pair pair;
    tls_pair_open(&pair, server, client);
    tls_pair_shake(&pair, 1000);
    wsr_tls_info here, there;
    wsr_tls_describe(&pair.client.session, &here);
    wsr_tls_describe(&pair.server.session, &there);
    assert_int_equal(here.resumed, there.resumed);
    if (clean) {
        wsr_tls_notify(&pair.client.session);
        wsr_tls_notify(&pair.server.session);
    }
    tls_pair_close(&pair);
    return here.resumed;
}

const struct tls_kind tls_kinds[TLS_KINDS] = {
    {"TLS 1.3 with AES-128-GCM", NULL, "TLS_AES_128_GCM_SHA256", true, "TLSv1.3"},
    {"TLS 1.3 with AES-256-GCM", NULL, "TLS_AES_256_GCM_SHA384", true, "TLSv1.3"},
    {"TLS 1.3 with AES-128-CCM-8", NULL, "TLS_AES_128_CCM_8_SHA256", true, "TLSv1.3"},
    {"TLS 1.3 with ChaCha20", NULL, "TLS_CHACHA20_POLY1305_SHA256", true, "TLSv1.3"},
    {"TLS 1.2 with AES-128-GCM", "ECDHE-ECDSA-AES128-GCM-SHA256", "", false, "TLSv1.2"},
    {"TLS 1.2 with ChaCha20", "ECDHE-ECDSA-CHACHA20-POLY1305", "", false, "TLSv1.2"},
};

struct wsr_tls *tls_open_kind(wsr_tls_config config, const struct tls_kind *kind)
{
    config.ciphers = kind->ciphers;
    config.ciphersuites = kind->ciphersuites;
    config.tls13_only = kind->tls13_only;
    config.no_resumption = true;
    return certs_open(&config);
}
