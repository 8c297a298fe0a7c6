/*
 * tests/test_tls_session.c - one connection's TLS without any transport: both ends in memory, ciphertext cut everywhere, against
 * itself and against OpenSSL's own idea of an end. Each piece that is fed lies at the end of memory of its own size, so that a
 * sanitizer sees what is read or written beyond it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/certs.h"
#include "lib/rawtls.h"
#include "tls/context.h"
#include "tls/session.h"

static struct certs certs;

static int set_up(void **state)
{
    (void)state;
    certs_make(&certs);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    certs_remove(&certs);
    return 0;
}

static struct wsr_tls *open_tls(const wsr_tls_config *config)
{
    wsr_tls *tls = NULL;
    char why[256];
    if (wsr_tls_open(&tls, config, why, sizeof why) != WSR_OK)
        fail_msg("wsr_tls_open: %s", why);
    return tls;
}

#define SERVER {.size = sizeof(wsr_tls_config), .role = WSR_SERVER, .certificate = certs.server}
#define CLIENT {.size = sizeof(wsr_tls_config), .role = WSR_CLIENT, .trust = certs.ca}

/* ---- two of ours ---- */

struct bytes {
    uint8_t *p;
    size_t len, cap;
};

static void put(struct bytes *to, const uint8_t *p, size_t len)
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

struct end {
    struct wsr_tls_session session;
    struct bytes got; /* plaintext */
};

struct pair {
    struct wsr_pool pool;
    struct end client, server;
};

static void open_pair(struct pair *pair, struct wsr_tls *server, struct wsr_tls *client)
{
    memset(pair, 0, sizeof *pair);
    wsr_pool_init(&pair->pool, NULL, 0, 0);
    assert_int_equal(wsr_tls_start(&pair->server.session, server, &pair->pool, NULL), WSR_OK);
    assert_int_equal(wsr_tls_start(&pair->client.session, client, &pair->pool, &(struct wsr_tls_peer){"localhost", 443, false}), WSR_OK);
}

static void close_pair(struct pair *pair)
{
    wsr_tls_end(&pair->server.session);
    wsr_tls_end(&pair->client.session);
    free(pair->server.got.p);
    free(pair->client.got.p);
    assert_int_equal(pair->pool.out_bytes, 0);
    wsr_pool_free(&pair->pool);
}

/* All output of one end so far, taken. */
static struct bytes take_output(struct pair *pair, struct end *from)
{
    struct bytes all = {NULL, 0, 0};
    struct wsr_chunk *out = wsr_tls_output(&from->session);
    for (const struct wsr_chunk *chunk = out; chunk != NULL; chunk = chunk->next)
        put(&all, chunk->data, chunk->len);
    wsr_pool_put_list(&pair->pool, out);
    return all;
}

/* Feeds one piece: in memory that ends where it ends. */
static void feed(struct pair *pair, struct end *to, const uint8_t *p, size_t len)
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
}

/* Moves what there is from one to the other, in pieces of this size; returns how much it was. */
static size_t move(struct pair *pair, struct end *from, struct end *to, size_t piece)
{
    struct bytes all = take_output(pair, from);
    for (size_t at = 0; at < all.len; at += piece)
        feed(pair, to, all.p + at, all.len - at < piece ? all.len - at : piece);
    free(all.p);
    return all.len;
}

static void shake(struct pair *pair, size_t piece)
{
    while (move(pair, &pair->client, &pair->server, piece) + move(pair, &pair->server, &pair->client, piece) > 0)
        ;
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)((i * 2654435761u) >> 11);
}

/* Writes len bytes of the pattern, in one piece. */
static void write_pattern(struct end *from, size_t len)
{
    uint8_t *p = malloc(len);
    assert_non_null(p);
    for (size_t i = 0; i < len; i++)
        p[i] = pattern(i);
    assert_true(wsr_tls_write(&from->session, (wsr_slice){p, len}));
    free(p);
}

/* What came is patterns of these lengths, one behind the other; forgotten then. */
static void expect_patterns(struct end *to, const size_t *lens, unsigned n)
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

static const struct kind {
    const char *name, *ciphers, *ciphersuites;
    bool tls13_only;
    const char *version;
} kinds[] = {
    {"TLS 1.3 with AES-128-GCM", NULL, "TLS_AES_128_GCM_SHA256", true, "TLSv1.3"},
    {"TLS 1.3 with AES-256-GCM", NULL, "TLS_AES_256_GCM_SHA384", true, "TLSv1.3"},
    {"TLS 1.3 with AES-128-CCM-8", NULL, "TLS_AES_128_CCM_8_SHA256", true, "TLSv1.3"},
    {"TLS 1.3 with ChaCha20", NULL, "TLS_CHACHA20_POLY1305_SHA256", true, "TLSv1.3"},
    {"TLS 1.2 with AES-128-GCM", "ECDHE-ECDSA-AES128-GCM-SHA256", "", false, "TLSv1.2"},
    {"TLS 1.2 with ChaCha20", "ECDHE-ECDSA-CHACHA20-POLY1305", "", false, "TLSv1.2"},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static struct wsr_tls *open_kind(wsr_tls_config config, const struct kind *kind)
{
    config.ciphers = kind->ciphers;
    config.ciphersuites = kind->ciphersuites;
    config.tls13_only = kind->tls13_only;
    config.no_resumption = true;
    return open_tls(&config);
}

static void test_pieces_of_every_size(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 2, 3, 4, 5, 6, 20, 21, 22, 23, 26, 27, 100, 1000, 16384, 16401, 16406, 16407, 65536, SIZE_MAX / 2};
    static const size_t lens[] = {1, 2, 20, 1000, 16383, 16384, 16385, 70000};
    for (size_t k = 0; k < KINDS; k++) {
        struct wsr_tls *server = open_kind((wsr_tls_config)SERVER, &kinds[k]), *client = open_kind((wsr_tls_config)CLIENT, &kinds[k]);
        for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
            struct pair pair;
            open_pair(&pair, server, client);
            shake(&pair, pieces[i]);
            assert_int_equal(pair.client.session.state, WSR_TLS_OPEN);
            assert_int_equal(pair.server.session.state, WSR_TLS_OPEN);
            wsr_tls_info info;
            wsr_tls_describe(&pair.client.session, &info);
            assert_string_equal(info.version, kinds[k].version);
            for (unsigned n = 0; n < 8; n++) {
                assert_true(wsr_tls_reserve(&pair.client.session, lens[n], 1));
                write_pattern(&pair.client, lens[n]);
                write_pattern(&pair.server, lens[n]);
            }
            move(&pair, &pair.client, &pair.server, pieces[i]);
            move(&pair, &pair.server, &pair.client, pieces[i]);
            expect_patterns(&pair.server, lens, 8);
            expect_patterns(&pair.client, lens, 8);
            wsr_tls_notify(&pair.client.session);
            move(&pair, &pair.client, &pair.server, pieces[i]);
            assert_int_equal(pair.server.session.state, WSR_TLS_ENDED);
            write_pattern(&pair.server, 100); /* its own side is open still */
            move(&pair, &pair.server, &pair.client, pieces[i]);
            expect_patterns(&pair.client, (size_t[]){100}, 1);
            close_pair(&pair);
        }
        wsr_tls_release(server);
        wsr_tls_release(client);
    }
}

/* A flight of small records, cut in three at every two places: what is decrypted never overtakes what is to be read. */
static void test_every_two_cuts(void **state)
{
    (void)state;
    static const size_t lens[] = {1, 22, 60, 3};
    struct wsr_tls *server = open_kind((wsr_tls_config)SERVER, &kinds[0]), *client = open_kind((wsr_tls_config)CLIENT, &kinds[0]);
    struct pair pair;
    open_pair(&pair, server, client);
    shake(&pair, 1000);
    for (size_t first = 0, len = SIZE_MAX; first <= len || len == SIZE_MAX; first++) {
        for (size_t second = first; second <= len; second++) {
            for (unsigned n = 0; n < 4; n++)
                write_pattern(&pair.client, lens[n]);
            struct bytes all = take_output(&pair, &pair.client);
            len = all.len;
            feed(&pair, &pair.server, all.p, first);
            feed(&pair, &pair.server, all.p + first, second - first);
            feed(&pair, &pair.server, all.p + second, len - second);
            free(all.p);
            expect_patterns(&pair.server, lens, 4);
        }
    }
    close_pair(&pair);
    wsr_tls_release(server);
    wsr_tls_release(client);
}

/* Requests and answers to key updates lie between the records, and go out without a write of ours. */
static void test_key_updates(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 7, 50, 100000};
    wsr_tls_config server_config = SERVER, client_config = CLIENT;
    struct wsr_tls *server = open_tls(&server_config), *client = open_tls(&client_config);
    for (unsigned i = 0; i < 4; i++) {
        struct pair pair;
        open_pair(&pair, server, client);
        shake(&pair, pieces[i]);
        for (unsigned n = 0; n < 5; n++) {
            write_pattern(&pair.client, 10);
            assert_int_equal(SSL_key_update(pair.client.session.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
            write_pattern(&pair.client, 20000);
            move(&pair, &pair.client, &pair.server, pieces[i]);
            expect_patterns(&pair.server, (size_t[]){10, 20000}, 2);
            write_pattern(&pair.server, 30000);
            move(&pair, &pair.server, &pair.client, pieces[i]);
            expect_patterns(&pair.client, (size_t[]){30000}, 1);
        }
        close_pair(&pair);
    }
    wsr_tls_release(server);
    wsr_tls_release(client);
}

/* A change anywhere in a record is found out, said to the peer, and is the last thing that is read. */
static void test_a_changed_byte_ends_it(void **state)
{
    (void)state;
    wsr_tls_config server_config = SERVER, client_config = CLIENT;
    struct wsr_tls *server = open_tls(&server_config), *client = open_tls(&client_config);
    for (size_t at = 5; at < 5 + 10 + 17; at++) {
        struct pair pair;
        open_pair(&pair, server, client);
        shake(&pair, 1000);
        write_pattern(&pair.client, 10);
        struct bytes all = take_output(&pair, &pair.client);
        assert_int_equal(all.len, 5 + 10 + 17);
        all.p[at] ^= 1;
        feed(&pair, &pair.server, all.p, all.len);
        free(all.p);
        assert_int_equal(pair.server.got.len, 0);
        assert_int_equal(pair.server.session.state, WSR_TLS_FAILED);
        assert_int_equal(pair.server.session.error, WSR_ETLS);
        assert_int_equal(pair.server.session.alert, 20); /* bad_record_mac */
        assert_false(pair.server.session.alert_received);
        assert_non_null(pair.server.session.detail);
        move(&pair, &pair.server, &pair.client, 1000);
        assert_int_equal(pair.client.session.state, WSR_TLS_FAILED);
        assert_int_equal(pair.client.session.alert, 20);
        assert_true(pair.client.session.alert_received);
        assert_string_equal(pair.client.session.detail, "the peer's alert: bad record MAC");
        close_pair(&pair);
    }
    wsr_tls_release(server);
    wsr_tls_release(client);
}

/* ---- what goes wrong ---- */

static const struct refusal {
    const char *what;
    const char *certificate; /* member of certs, by offset */
    const char *host;
    uint8_t alert;           /* that the client sends */
    const char *detail;
} refusals[] = {
    {"expired", certs.expired, "localhost", 45, "the certificate has expired"},
    {"not valid yet", certs.early, "localhost", 42, "the certificate is not valid yet"},
    {"for another host", certs.wrong, "localhost", 42, "the certificate is for another host"},
    {"for another address", certs.wrong, "127.0.0.1", 42, "the certificate is for another address"},
    {"for another IPv6 address", certs.wrong, "::1", 42, "the certificate is for another address"},
    {"with a name in its subject alone", certs.cn_only, "localhost", 42, "the certificate is for another host"},
    {"with a wildcard, for its parent", certs.server, "wild.test", 42, "the certificate is for another host"},
    {"with a wildcard, two names deep", certs.server, "a.b.wild.test", 42, "the certificate is for another host"},
    {"self-signed", certs.self, "localhost", 48, "the certificate is self-signed, and not among those trusted"},
    {"by an authority that is not known", certs.untrusted, "localhost", 48,
     "the certificate's issuer is not trusted: it is not known here, or a certificate between it and a root was not sent"},
};

static void test_certificates_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *r = &refusals[i];
        wsr_tls_config server_config = {.size = sizeof server_config, .role = WSR_SERVER, .certificate = r->certificate};
        wsr_tls_config client_config = CLIENT;
        struct wsr_tls *server = open_tls(&server_config), *client = open_tls(&client_config);
        struct pair pair;
        memset(&pair, 0, sizeof pair);
        wsr_pool_init(&pair.pool, NULL, 0, 0);
        assert_int_equal(wsr_tls_start(&pair.server.session, server, &pair.pool, NULL), WSR_OK);
        assert_int_equal(wsr_tls_start(&pair.client.session, client, &pair.pool, &(struct wsr_tls_peer){r->host, 443, false}), WSR_OK);
        shake(&pair, 1000);
        const struct wsr_tls_session *c = &pair.client.session, *s = &pair.server.session;
        if (c->state != WSR_TLS_FAILED || c->error != WSR_ETLS_CERTIFICATE || c->alert != r->alert || c->alert_received || strcmp(c->detail, r->detail) != 0)
            fail_msg("%s: state %d, error %d, alert %u, \"%s\"", r->what, c->state, c->error, c->alert, c->detail != NULL ? c->detail : "");
        assert_int_equal(s->state, WSR_TLS_FAILED);
        assert_int_equal(s->error, WSR_ETLS);
        assert_int_equal(s->alert, r->alert);
        assert_true(s->alert_received);
        close_pair(&pair);
        wsr_tls_release(server);
        wsr_tls_release(client);
    }
}

static void test_certificates_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        const char *sent; /* as server_name */
    } good[] = {{"localhost", "localhost"}, {"localhost.", "localhost"}, {"LOCALHOST", "LOCALHOST"}, {"a.wild.test", "a.wild.test"}, {"127.0.0.1", ""}, {"::1", ""}};
    wsr_tls_config server_config = SERVER, client_config = CLIENT;
    struct wsr_tls *server = open_tls(&server_config), *client = open_tls(&client_config);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct pair pair;
        memset(&pair, 0, sizeof pair);
        wsr_pool_init(&pair.pool, NULL, 0, 0);
        assert_int_equal(wsr_tls_start(&pair.server.session, server, &pair.pool, NULL), WSR_OK);
        assert_int_equal(wsr_tls_start(&pair.client.session, client, &pair.pool, &(struct wsr_tls_peer){good[i].host, 443, false}), WSR_OK);
        shake(&pair, 1000);
        assert_int_equal(pair.client.session.state, WSR_TLS_OPEN);
        wsr_tls_info info;
        wsr_tls_describe(&pair.server.session, &info);
        assert_string_equal(info.server_name, good[i].sent);
        assert_string_equal(info.alpn, "http/1.1");
        close_pair(&pair);
    }
    wsr_tls_release(server);
    wsr_tls_release(client);
}

/* --insecure: loud, and it works. */
static void test_any_certificate_if_asked(void **state)
{
    (void)state;
    wsr_tls_config server_config = {.size = sizeof server_config, .role = WSR_SERVER, .self_signed = "example.com, 127.0.0.1,::1"};
    wsr_tls_config client_config = {.size = sizeof client_config, .role = WSR_CLIENT, .verify_none = true};
    struct wsr_tls *server = open_tls(&server_config), *client = open_tls(&client_config);
    struct pair pair;
    open_pair(&pair, server, client);
    shake(&pair, 1000);
    assert_int_equal(pair.client.session.state, WSR_TLS_OPEN);
    X509 *peer = SSL_get0_peer_certificate(pair.client.session.ssl);
    assert_int_equal(X509_check_host(peer, "example.com", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(peer, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(peer, "::1", 0), 1);
    assert_int_equal(X509_check_host(peer, "localhost", 0, 0, NULL), 0);
    close_pair(&pair);
    wsr_tls_release(server);
    wsr_tls_release(client);
}

static void test_mutual(void **state)
{
    (void)state;
    static const struct {
        const char *certificate; /* the client's; NULL: none */
        int server_error;        /* WSR_OK: let in */
        uint8_t alert;
        const char *detail;      /* the server's */
    } cases[] = {
        {certs.client, WSR_OK, 0, NULL},
        {NULL, WSR_ETLS_CERTIFICATE, 116, "the peer sent no certificate"},
        {certs.expired, WSR_ETLS_CERTIFICATE, 45, "the certificate has expired"},
        {certs.self, WSR_ETLS_CERTIFICATE, 48, "the certificate is self-signed, and not among those trusted"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wsr_tls_config server_config = SERVER, client_config = CLIENT;
        server_config.trust = certs.ca;
        client_config.certificate = cases[i].certificate;
        struct wsr_tls *server = open_tls(&server_config), *client = open_tls(&client_config);
        struct pair pair;
        open_pair(&pair, server, client);
        shake(&pair, 1000);
        const struct wsr_tls_session *s = &pair.server.session, *c = &pair.client.session;
        assert_int_equal(s->state, cases[i].server_error == WSR_OK ? WSR_TLS_OPEN : WSR_TLS_FAILED);
        assert_int_equal(s->error, cases[i].server_error);
        assert_int_equal(s->alert, cases[i].alert);
        if (cases[i].detail != NULL) {
            assert_string_equal(s->detail, cases[i].detail);
            assert_int_equal(c->state, WSR_TLS_FAILED); /* it thought it was in, and then the alert came */
            assert_int_equal(c->error, WSR_ETLS);
            assert_int_equal(c->alert, cases[i].alert);
            assert_true(c->alert_received);
        }
        close_pair(&pair);
        wsr_tls_release(server);
        wsr_tls_release(client);
    }
}

/* No protocol, version or cipher in common; what is no TLS at all. */
static void test_nothing_in_common(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        wsr_tls_config client;
        uint8_t alert;
    } cases[] = {
        {"a protocol", {.size = sizeof(wsr_tls_config), .role = WSR_CLIENT, .verify_none = true, .alpn = "h2, spdy/3"}, 120},
        {"a cipher", {.size = sizeof(wsr_tls_config), .role = WSR_CLIENT, .verify_none = true, .ciphers = "ECDHE-RSA-AES128-GCM-SHA256", .ciphersuites = ""}, 40},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wsr_tls_config server_config = SERVER;
        struct wsr_tls *server = open_tls(&server_config), *client = open_tls(&cases[i].client);
        struct pair pair;
        open_pair(&pair, server, client);
        shake(&pair, 1000);
        if (pair.server.session.state != WSR_TLS_FAILED || pair.server.session.alert != cases[i].alert || !pair.client.session.alert_received)
            fail_msg("%s: server alert %u, client alert %u", cases[i].what, pair.server.session.alert, pair.client.session.alert);
        assert_int_equal(pair.client.session.alert, cases[i].alert);
        close_pair(&pair);
        wsr_tls_release(server);
        wsr_tls_release(client);
    }
}

static void test_no_tls(void **state)
{
    (void)state;
    wsr_tls_config server_config = SERVER;
    struct wsr_tls *server = open_tls(&server_config);
    static const char *const texts[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST / HTTP/1.1\r\n", "hello, is this a chat server?", "\0\0\0\0\0\0\0\0"};
    for (size_t i = 0; i < 4; i++) {
        struct pair pair;
        memset(&pair, 0, sizeof pair);
        wsr_pool_init(&pair.pool, NULL, 0, 0);
        assert_int_equal(wsr_tls_start(&pair.server.session, server, &pair.pool, NULL), WSR_OK);
        feed(&pair, &pair.server, (const uint8_t *)texts[i], i < 3 ? strlen(texts[i]) : 8);
        assert_int_equal(pair.server.session.state, WSR_TLS_FAILED);
        assert_int_equal(pair.server.session.error, WSR_ETLS);
        assert_int_equal(pair.server.session.plain_http, i < 2);
        if (i < 3)
            assert_string_equal(pair.server.session.detail, "the peer does not speak TLS here");
        wsr_tls_end(&pair.server.session);
        wsr_pool_free(&pair.pool);
    }
    wsr_tls_release(server);
}

/* "renegotiation off": a client of TLS 1.2 is told no, and goes on. */
static void test_renegotiation_is_refused(void **state)
{
    (void)state;
    wsr_tls_config server_config = SERVER;
    struct wsr_tls *server = open_tls(&server_config);
    struct pair pair;
    struct rawtls raw;
    uint8_t room[8192];
    memset(&pair, 0, sizeof pair);
    wsr_pool_init(&pair.pool, NULL, 0, 0);
    assert_int_equal(wsr_tls_start(&pair.server.session, server, &pair.pool, NULL), WSR_OK);
    rawtls_client(&raw, TLS1_2_VERSION);
    bool asked = false;
    for (unsigned round = 0; round < 10; round++) {
        bool open = rawtls_shake(&raw);
        size_t n = rawtls_take(&raw, room, sizeof room);
        feed(&pair, &pair.server, room, n);
        struct bytes all = take_output(&pair, &pair.server);
        rawtls_feed(&raw, all.p != NULL ? all.p : room, all.len);
        free(all.p);
        if (asked && raw.alert == 0)
            assert_int_equal(pair.server.session.state, WSR_TLS_OPEN); /* what OpenSSL's client does with a no is its own affair */
        if (open && !asked && SSL_is_init_finished(raw.ssl)) {
            assert_int_equal(pair.server.session.state, WSR_TLS_OPEN);
            assert_int_equal(SSL_renegotiate(raw.ssl), 1);
            asked = true;
        }
    }
    assert_true(asked);
    assert_int_equal(raw.alert, 100); /* no_renegotiation: a warning */
    assert_true(pair.server.session.alert == 0 || pair.server.session.alert_received);
    rawtls_free(&raw);
    wsr_tls_end(&pair.server.session);
    wsr_pool_free(&pair.pool);
    wsr_tls_release(server);
}

/* ---- resumption ---- */

static bool resumes(struct wsr_tls *server, struct wsr_tls *client, bool clean)
{
    struct pair pair;
    open_pair(&pair, server, client);
    shake(&pair, 1000);
    wsr_tls_info here, there;
    wsr_tls_describe(&pair.client.session, &here);
    wsr_tls_describe(&pair.server.session, &there);
    assert_int_equal(here.resumed, there.resumed);
    if (clean) {
        wsr_tls_notify(&pair.client.session);
        wsr_tls_notify(&pair.server.session);
    }
    close_pair(&pair);
    return here.resumed;
}

static void test_resumption(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        wsr_tls_config server_config = SERVER, client_config = CLIENT;
        server_config.ciphers = client_config.ciphers = kinds[k].ciphers;
        server_config.ciphersuites = client_config.ciphersuites = kinds[k].ciphersuites;
        struct wsr_tls *server = open_tls(&server_config), *client = open_tls(&client_config);
        assert_false(resumes(server, client, true));
        assert_true(resumes(server, client, true));
        assert_true(resumes(server, client, false)); /* a connection that breaks has a next one, too */
        assert_true(resumes(server, client, true));
        assert_int_equal(wsr_tls_reload(server, NULL, 0), WSR_OK);
        assert_true(resumes(server, client, true)); /* the keys of tickets stay */
        assert_int_equal(wsr_tls_reload(client, NULL, 0), WSR_OK);
        assert_false(resumes(server, client, true)); /* whom it trusts may have changed */
        wsr_tls_release(server);
        wsr_tls_release(client);
    }
}

static void test_resumption_is_off_where_it_is_not_wanted(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 2; k++) {
        wsr_tls_config server_config = SERVER, client_config = CLIENT;
        *(k == 0 ? &server_config.no_resumption : &client_config.no_resumption) = true;
        struct wsr_tls *server = open_tls(&server_config), *client = open_tls(&client_config);
        assert_false(resumes(server, client, true));
        assert_false(resumes(server, client, true));
        wsr_tls_release(server);
        wsr_tls_release(client);
    }
}

/* A server that asks for certificates takes no tickets from before it read its trust again. */
static void test_a_changed_trust_ends_resumption(void **state)
{
    (void)state;
    wsr_tls_config server_config = SERVER, client_config = CLIENT;
    server_config.trust = certs.ca;
    client_config.certificate = certs.client;
    struct wsr_tls *server = open_tls(&server_config), *client = open_tls(&client_config);
    assert_false(resumes(server, client, true));
    assert_true(resumes(server, client, true));
    assert_int_equal(wsr_tls_reload(server, NULL, 0), WSR_OK);
    assert_false(resumes(server, client, true));
    wsr_tls_release(server);
    wsr_tls_release(client);
}

/* Sessions are kept apart by host and port, are few, and each of TLS 1.3 is used once. */
static void test_what_a_client_remembers(void **state)
{
    (void)state;
    wsr_tls_config server_config = SERVER, client_config = CLIENT;
    struct wsr_tls *server = open_tls(&server_config), *client = open_tls(&client_config);
    for (unsigned i = 0; i < WSR_TLS_REMEMBERED_MAX + 10; i++) {
        struct pair pair;
        memset(&pair, 0, sizeof pair);
        wsr_pool_init(&pair.pool, NULL, 0, 0);
        assert_int_equal(wsr_tls_start(&pair.server.session, server, &pair.pool, NULL), WSR_OK);
        assert_int_equal(wsr_tls_start(&pair.client.session, client, &pair.pool, &(struct wsr_tls_peer){"localhost", (uint16_t)(1000 + i), false}), WSR_OK);
        shake(&pair, 1000);
        assert_int_equal(SSL_session_reused(pair.client.session.ssl), 0);
        close_pair(&pair);
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < WSR_TLS_REMEMBERED_MAX; i++)
        kept += client->remembered[i].peer != NULL;
    assert_int_equal(kept, WSR_TLS_REMEMBERED_MAX);
    assert_null(wsr_tls_recall(client, "localhost:1000")); /* the oldest gave way */
    SSL_SESSION *session = wsr_tls_recall(client, "localhost:1070");
    assert_non_null(session);
    SSL_SESSION_free(session);
    assert_null(wsr_tls_recall(client, "localhost:1070"));
    wsr_tls_release(server);
    wsr_tls_release(client);
}

/* ---- configurations ---- */

static void expect_refused(const wsr_tls_config *config, int error, const char *why_has)
{
    wsr_tls *tls = NULL;
    char why[256] = "?";
    int got = wsr_tls_open(&tls, config, why, sizeof why);
    if (got != error || tls != NULL || (why_has != NULL && strstr(why, why_has) == NULL))
        fail_msg("%s for %s: \"%s\", wanted %s \"%s\"", wsr_error_name(got), config->certificate != NULL ? config->certificate : "-", why,
                 wsr_error_name(error), why_has != NULL ? why_has : "");
    assert_int_equal(wsr_tls_open(&tls, config, NULL, 0), error); /* nobody has to ask why */
}

static void test_configurations_refused(void **state)
{
    (void)state;
    const wsr_tls_config server = SERVER, client = CLIENT;
    wsr_tls_config config = server;
    config.self_signed = "localhost";
    expect_refused(&config, WSR_ECONFIG, NULL);
    config = server;
    config.certificate = NULL;
    expect_refused(&config, WSR_ECONFIG, NULL);
    config = server;
    config.verify_none = true;
    expect_refused(&config, WSR_ECONFIG, NULL);
    config = client;
    config.key = certs.key_only;
    expect_refused(&config, WSR_ECONFIG, NULL);
    config = client;
    config.alpn = "http/1.1,,h2";
    expect_refused(&config, WSR_ECONFIG, NULL);
    config = server;
    config.certificate = "/nonexistent/certificate.pem";
    expect_refused(&config, WSR_ETLS, "certificate /nonexistent/certificate.pem: No such file");
    config = server;
    config.key = "/nonexistent/key.pem";
    expect_refused(&config, WSR_ETLS, "key /nonexistent/key.pem: No such file");
    config = server;
    config.key = certs.key_only;
    expect_refused(&config, WSR_ETLS, "is not that of certificate");
    config = server;
    config.certificate = certs.key_only;
    expect_refused(&config, WSR_ETLS, "is no good");
    config = server;
    config.certificate = certs.ca;
    expect_refused(&config, WSR_ETLS, "is no good"); /* there is no key in it */
    config = client;
    config.trust = "/nonexistent/roots.pem";
    expect_refused(&config, WSR_ETLS, "trusted roots /nonexistent/roots.pem: No such file");
    config = client;
    config.trust = certs.key_only;
    expect_refused(&config, WSR_ETLS, "are no good");
    config = server;
    config.ciphers = "ROT13";
    expect_refused(&config, WSR_ETLS, "no cipher of TLS 1.2");
    config = server;
    config.ciphersuites = "TLS_ROT13";
    expect_refused(&config, WSR_ETLS, "no cipher suite of TLS 1.3");
    config = server;
    config.keylog = "/nonexistent/keys.log";
    expect_refused(&config, WSR_ETLS, "key log /nonexistent/keys.log: No such file");
    config = (wsr_tls_config){.size = sizeof config, .role = WSR_SERVER, .self_signed = " , "};
    expect_refused(&config, WSR_ETLS, "no list of names");
}

static void test_a_broken_reload_changes_nothing(void **state)
{
    (void)state;
    char path[200];
    snprintf(path, sizeof path, "%s/live.pem", certs.folder);
    certs_copy(certs.server, path);
    wsr_tls_config server_config = {.size = sizeof server_config, .role = WSR_SERVER, .certificate = path}, client_config = CLIENT;
    client_config.no_resumption = true;
    struct wsr_tls *server = open_tls(&server_config), *client = open_tls(&client_config);
    certs_copy(certs.key_only, path);
    char why[256];
    assert_int_equal(wsr_tls_reload(server, why, sizeof why), WSR_ETLS);
    assert_non_null(strstr(why, "is no good"));
    assert_false(resumes(server, client, true)); /* shakes hands */
    certs_copy(certs.expired, path);
    assert_int_equal(wsr_tls_reload(server, why, sizeof why), WSR_OK);
    struct pair pair;
    open_pair(&pair, server, client);
    shake(&pair, 1000);
    assert_int_equal(pair.client.session.error, WSR_ETLS_CERTIFICATE); /* the new one it is */
    close_pair(&pair);
    remove(path);
    wsr_tls_release(server);
    wsr_tls_release(client);
}

struct shaker {
    pthread_t thread;
    struct wsr_tls *server, *client;
    atomic_uint *left;
};

static void *shake_on(void *context)
{
    struct shaker *shaker = context;
    for (unsigned i = 0; i < 60; i++) {
        struct pair pair;
        open_pair(&pair, shaker->server, shaker->client);
        shake(&pair, 1000);
        if (pair.client.session.state != WSR_TLS_OPEN || pair.server.session.state != WSR_TLS_OPEN)
            abort(); /* cmocka's asserts are for one thread */
        close_pair(&pair);
    }
    wsr_tls_release(shaker->server);
    wsr_tls_release(shaker->client);
    atomic_fetch_sub(shaker->left, 1);
    return NULL;
}

/* One wsr_tls, many threads: each has its hold, and none is disturbed by reloads. */
static void test_threads_and_reloads(void **state)
{
    (void)state;
    wsr_tls_config server_config = SERVER, client_config = CLIENT;
    struct wsr_tls *server = open_tls(&server_config), *client = open_tls(&client_config);
    struct shaker shakers[3];
    atomic_uint left = 3;
    for (unsigned i = 0; i < 3; i++) {
        shakers[i] = (struct shaker){.server = wsr_tls_hold(server), .client = wsr_tls_hold(client), .left = &left};
        assert_int_equal(pthread_create(&shakers[i].thread, NULL, shake_on, &shakers[i]), 0);
    }
    unsigned reloads = 0;
    while (atomic_load(&left) > 0) {
        assert_int_equal(wsr_tls_reload(server, NULL, 0), WSR_OK);
        assert_int_equal(wsr_tls_reload(client, NULL, 0), WSR_OK);
        reloads++;
    }
    for (unsigned i = 0; i < 3; i++)
        pthread_join(shakers[i].thread, NULL);
    assert_true(reloads > 0);
    assert_int_equal(atomic_load(&server->holds), 1);
    wsr_tls_release(server);
    wsr_tls_release(client);
}

/* What is logged is in the form that Wireshark reads. */
static void test_key_log(void **state)
{
    (void)state;
    char path[200], line[600];
    snprintf(path, sizeof path, "%s/keys.log", certs.folder);
    wsr_tls_config server_config = SERVER, client_config = CLIENT;
    client_config.keylog = path;
    struct wsr_tls *server = open_tls(&server_config), *client = open_tls(&client_config);
    assert_false(resumes(server, client, true));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    unsigned lines = 0, traffic = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        lines++;
        traffic += strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0;
    }
    fclose(file);
    assert_true(lines >= 4);
    assert_int_equal(traffic, 1);
    remove(path);
    wsr_tls_release(server);
    wsr_tls_release(client);
}

/* ---- memory ---- */

struct heap {
    unsigned long calls, fail_at;
};

static void *heap_alloc(void *context, size_t size)
{
    struct heap *heap = context;
    return ++heap->calls == heap->fail_at ? NULL : malloc(size);
}

static void *heap_resize(void *context, void *p, size_t old_size, size_t size)
{
    (void)old_size;
    struct heap *heap = context;
    return ++heap->calls == heap->fail_at ? NULL : realloc(p, size);
}

static void heap_release(void *context, void *p, size_t size)
{
    (void)context, (void)size;
    free(p);
}

/* The Nth chunk is not to be had: the session fails and says so, or does without. */
static void test_no_memory_for_chunks(void **state)
{
    (void)state;
    wsr_tls_config server_config = SERVER, client_config = CLIENT;
    struct wsr_tls *server = open_tls(&server_config), *client = open_tls(&client_config);
    unsigned failures = 0;
    struct heap heap = {0, 1};
    do {
        heap.calls = 0;
        struct wsr_allocator allocator = {&heap, heap_alloc, heap_resize, heap_release};
        struct pair pair;
        memset(&pair, 0, sizeof pair);
        wsr_pool_init(&pair.pool, &allocator, 1, 0); /* which keeps nothing */
        assert_int_equal(wsr_tls_start(&pair.server.session, server, &pair.pool, NULL), WSR_OK);
        int error = wsr_tls_start(&pair.client.session, client, &pair.pool, &(struct wsr_tls_peer){"localhost", 443, false});
        if (error == WSR_OK) {
            shake(&pair, 700);
            struct end *ends[] = {&pair.client, &pair.server};
            for (unsigned i = 0; i < 2; i++) {
                uint8_t zeros[20000] = {0};
                if (ends[i]->session.state == WSR_TLS_OPEN && !wsr_tls_write(&ends[i]->session, (wsr_slice){zeros, sizeof zeros}))
                    assert_int_equal(ends[i]->session.state, WSR_TLS_FAILED);
            }
            shake(&pair, 700);
            for (unsigned i = 0; i < 2; i++) {
                if (ends[i]->session.state == WSR_TLS_FAILED && ends[i]->session.no_memory)
                    assert_int_equal(ends[i]->session.error, WSR_ENOMEM);
                failures += ends[i]->session.error == WSR_ENOMEM;
            }
        } else {
            assert_int_equal(error, WSR_ENOMEM);
            failures++;
        }
        close_pair(&pair);
    } while (heap.calls >= heap.fail_at++);
    assert_true(heap.fail_at > 10);
    assert_int_equal(failures, heap.fail_at - 2);
    wsr_tls_release(server);
    wsr_tls_release(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_of_every_size),
        cmocka_unit_test(test_every_two_cuts),
        cmocka_unit_test(test_key_updates),
        cmocka_unit_test(test_a_changed_byte_ends_it),
        cmocka_unit_test(test_certificates_refused),
        cmocka_unit_test(test_certificates_accepted),
        cmocka_unit_test(test_any_certificate_if_asked),
        cmocka_unit_test(test_mutual),
        cmocka_unit_test(test_nothing_in_common),
        cmocka_unit_test(test_no_tls),
        cmocka_unit_test(test_renegotiation_is_refused),
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_resumption_is_off_where_it_is_not_wanted),
        cmocka_unit_test(test_a_changed_trust_ends_resumption),
        cmocka_unit_test(test_what_a_client_remembers),
        cmocka_unit_test(test_configurations_refused),
        cmocka_unit_test(test_a_broken_reload_changes_nothing),
        cmocka_unit_test(test_threads_and_reloads),
        cmocka_unit_test(test_key_log),
        cmocka_unit_test(test_no_memory_for_chunks),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
