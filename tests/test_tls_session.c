/*
 * tests/test_tls_session.c - one connection's TLS without any transport: ciphertext cut everywhere, against itself and against OpenSSL's
 * own idea of an end; what is changed, asked for out of turn, or no TLS at all; and no memory.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lib/certs.h"
#include "lib/rawtls.h"
#include "lib/tls_pair.h"

static void test_pieces_of_every_size(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 2, 3, 4, 5, 6, 20, 21, 22, 23, 26, 27, 100, 1000, 16384, 16401, 16406, 16407, 65536, SIZE_MAX / 2};
    static const size_t lens[] = {1, 2, 20, 1000, 16383, 16384, 16385, 70000};
    for (size_t k = 0; k < TLS_KINDS; k++) {
        struct wsr_tls *server = tls_open_kind(certs_server(), &tls_kinds[k]), *client = tls_open_kind(certs_client(), &tls_kinds[k]);
        for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
            struct tls_pair pair;
            tls_pair_open(&pair, server, client);
            tls_pair_shake(&pair, pieces[i]);
            assert_int_equal(pair.client.session.state, WSR_TLS_OPEN);
            assert_int_equal(pair.server.session.state, WSR_TLS_OPEN);
            wsr_tls_info info;
            wsr_tls_describe(&pair.client.session, &info);
            assert_string_equal(info.version, tls_kinds[k].version);
            for (unsigned n = 0; n < 8; n++) {
                assert_true(wsr_tls_reserve(&pair.client.session, lens[n], 1));
                tls_write_pattern(&pair.client, lens[n]);
                tls_write_pattern(&pair.server, lens[n]);
            }
            tls_pair_move(&pair, &pair.client, &pair.server, pieces[i]);
            tls_pair_move(&pair, &pair.server, &pair.client, pieces[i]);
            tls_expect_patterns(&pair.server, lens, 8);
            tls_expect_patterns(&pair.client, lens, 8);
            wsr_tls_notify(&pair.client.session);
            tls_pair_move(&pair, &pair.client, &pair.server, pieces[i]);
            assert_int_equal(pair.server.session.state, WSR_TLS_ENDED);
            tls_write_pattern(&pair.server, 100); /* its own side is open still */
            tls_pair_move(&pair, &pair.server, &pair.client, pieces[i]);
            tls_expect_patterns(&pair.client, (size_t[]){100}, 1);
            tls_pair_close(&pair);
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
    struct wsr_tls *server = tls_open_kind(certs_server(), &tls_kinds[0]), *client = tls_open_kind(certs_client(), &tls_kinds[0]);
    struct tls_pair pair;
    tls_pair_open(&pair, server, client);
    tls_pair_shake(&pair, 1000);
    for (size_t first = 0, len = SIZE_MAX; first <= len || len == SIZE_MAX; first++) {
        for (size_t second = first; second <= len; second++) {
            for (unsigned n = 0; n < 4; n++)
                tls_write_pattern(&pair.client, lens[n]);
            struct tls_bytes all = tls_pair_output(&pair, &pair.client);
            len = all.len;
            tls_pair_feed(&pair, &pair.server, all.p, first);
            tls_pair_feed(&pair, &pair.server, all.p + first, second - first);
            tls_pair_feed(&pair, &pair.server, all.p + second, len - second);
            free(all.p);
            tls_expect_patterns(&pair.server, lens, 4);
        }
    }
    tls_pair_close(&pair);
    wsr_tls_release(server);
    wsr_tls_release(client);
}

/* Requests and answers to key updates lie between the records, and go out without a write of ours. */
static void test_key_updates(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 7, 50, 100000};
    wsr_tls_config server_config = certs_server(), client_config = certs_client();
    struct wsr_tls *server = certs_open(&server_config), *client = certs_open(&client_config);
    for (unsigned i = 0; i < 4; i++) {
        struct tls_pair pair;
        tls_pair_open(&pair, server, client);
        tls_pair_shake(&pair, pieces[i]);
        for (unsigned n = 0; n < 5; n++) {
            tls_write_pattern(&pair.client, 10);
            assert_int_equal(SSL_key_update(pair.client.session.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
            tls_write_pattern(&pair.client, 20000);
            tls_pair_move(&pair, &pair.client, &pair.server, pieces[i]);
            tls_expect_patterns(&pair.server, (size_t[]){10, 20000}, 2);
            tls_write_pattern(&pair.server, 30000);
            tls_pair_move(&pair, &pair.server, &pair.client, pieces[i]);
            tls_expect_patterns(&pair.client, (size_t[]){30000}, 1);
        }
        tls_pair_close(&pair);
    }
    wsr_tls_release(server);
    wsr_tls_release(client);
}

/* The first `len` bytes of the client's output, all if it has less, in one piece: do they end with data? The rest stays, in *left. */
static bool feed_first(struct tls_pair *pair, size_t len, struct tls_bytes *left)
{
    struct tls_bytes all = tls_pair_output(pair, &pair->client);
    len = len < all.len ? len : all.len;
    const bool data_last = tls_pair_feed(pair, &pair->server, all.p, len);
    memmove(all.p, all.p + len, all.len - len);
    all.len -= len;
    *left = all;
    return data_last;
}

/* By which the stamp of a receive is judged: was the newest that came the end of a record with data? */
static void test_what_came_last(void **state)
{
    (void)state;
    for (size_t k = 0; k < TLS_KINDS; k++) {
        struct wsr_tls *server = tls_open_kind(certs_server(), &tls_kinds[k]), *client = tls_open_kind(certs_client(), &tls_kinds[k]);
        struct tls_pair pair;
        struct tls_bytes left;
        tls_pair_open(&pair, server, client);
        tls_pair_shake(&pair, SIZE_MAX / 2);
        tls_write_pattern(&pair.client, 100);
        tls_write_pattern(&pair.client, 100);
        assert_true(feed_first(&pair, SIZE_MAX, &left)); /* two records */
        free(left.p);
        tls_write_pattern(&pair.client, 100);
        tls_write_pattern(&pair.client, 100);
        assert_false(feed_first(&pair, 200, &left)); /* one, and part of another */
        assert_true(tls_pair_feed(&pair, &pair.server, left.p, left.len));
        free(left.p);
        if (tls_kinds[k].tls13_only) {
            tls_write_pattern(&pair.client, 100);
            assert_int_equal(SSL_key_update(pair.client.session.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
            assert_int_equal(SSL_do_handshake(pair.client.session.ssl), 1);
            assert_false(feed_first(&pair, SIZE_MAX, &left)); /* data, and behind it none */
            free(left.p);
        }
        tls_write_pattern(&pair.client, 100);
        wsr_tls_notify(&pair.client.session);
        assert_false(feed_first(&pair, SIZE_MAX, &left));
        free(left.p);
        tls_pair_close(&pair);
        wsr_tls_release(server);
        wsr_tls_release(client);
    }
}

/* A change anywhere in a record is found out, said to the peer, and is the last thing that is read. */
static void test_a_changed_byte_ends_it(void **state)
{
    (void)state;
    wsr_tls_config server_config = certs_server(), client_config = certs_client();
    struct wsr_tls *server = certs_open(&server_config), *client = certs_open(&client_config);
    for (size_t at = 5; at < 5 + 10 + 17; at++) {
        struct tls_pair pair;
        tls_pair_open(&pair, server, client);
        tls_pair_shake(&pair, 1000);
        tls_write_pattern(&pair.client, 10);
        struct tls_bytes all = tls_pair_output(&pair, &pair.client);
        assert_int_equal(all.len, 5 + 10 + 17);
        all.p[at] ^= 1;
        tls_pair_feed(&pair, &pair.server, all.p, all.len);
        free(all.p);
        assert_int_equal(pair.server.got.len, 0);
        assert_int_equal(pair.server.session.state, WSR_TLS_FAILED);
        assert_int_equal(pair.server.session.error, WSR_ETLS);
        assert_int_equal(pair.server.session.alert, 20); /* bad_record_mac */
        assert_false(pair.server.session.alert_received);
        assert_non_null(pair.server.session.detail);
        tls_pair_move(&pair, &pair.server, &pair.client, 1000);
        assert_int_equal(pair.client.session.state, WSR_TLS_FAILED);
        assert_int_equal(pair.client.session.alert, 20);
        assert_true(pair.client.session.alert_received);
        assert_string_equal(pair.client.session.detail, "the peer's alert: bad record MAC");
        tls_pair_close(&pair);
    }
    wsr_tls_release(server);
    wsr_tls_release(client);
}

static void test_no_tls(void **state)
{
    (void)state;
    wsr_tls_config server_config = certs_server();
    struct wsr_tls *server = certs_open(&server_config);
    static const char *const texts[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST / HTTP/1.1\r\n", "hello, is this a chat server?", "\0\0\0\0\0\0\0\0"};
    for (size_t i = 0; i < 4; i++) {
        struct tls_pair pair;
        memset(&pair, 0, sizeof pair);
        wsr_pool_init(&pair.pool, NULL, 0, 0);
        assert_int_equal(wsr_tls_start(&pair.server.session, server, &pair.pool, NULL), WSR_OK);
        tls_pair_feed(&pair, &pair.server, (const uint8_t *)texts[i], i < 3 ? strlen(texts[i]) : 8);
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
    wsr_tls_config server_config = certs_server();
    struct wsr_tls *server = certs_open(&server_config);
    struct tls_pair pair;
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
        tls_pair_feed(&pair, &pair.server, room, n);
        struct tls_bytes all = tls_pair_output(&pair, &pair.server);
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
    wsr_tls_config server_config = certs_server(), client_config = certs_client();
    struct wsr_tls *server = certs_open(&server_config), *client = certs_open(&client_config);
    unsigned failures = 0;
    struct heap heap = {0, 1};
    do {
        heap.calls = 0;
        struct wsr_allocator allocator = {&heap, heap_alloc, heap_resize, heap_release};
        struct tls_pair pair;
        memset(&pair, 0, sizeof pair);
        wsr_pool_init(&pair.pool, &allocator, 1, 0); /* which keeps nothing */
        assert_int_equal(wsr_tls_start(&pair.server.session, server, &pair.pool, NULL), WSR_OK);
        int error = wsr_tls_start(&pair.client.session, client, &pair.pool, &(struct wsr_tls_peer){"localhost", 443, false});
        if (error == WSR_OK) {
            tls_pair_shake(&pair, 700);
            struct tls_end *ends[] = {&pair.client, &pair.server};
            for (unsigned i = 0; i < 2; i++) {
                uint8_t zeros[20000] = {0};
                if (ends[i]->session.state == WSR_TLS_OPEN && !wsr_tls_write(&ends[i]->session, (wsr_slice){zeros, sizeof zeros}))
                    assert_int_equal(ends[i]->session.state, WSR_TLS_FAILED);
            }
            tls_pair_shake(&pair, 700);
            for (unsigned i = 0; i < 2; i++) {
                if (ends[i]->session.state == WSR_TLS_FAILED && ends[i]->session.no_memory)
                    assert_int_equal(ends[i]->session.error, WSR_ENOMEM);
                failures += ends[i]->session.error == WSR_ENOMEM;
            }
        } else {
            assert_int_equal(error, WSR_ENOMEM);
            failures++;
        }
        tls_pair_close(&pair);
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
        cmocka_unit_test(test_what_came_last),
        cmocka_unit_test(test_a_changed_byte_ends_it),
        cmocka_unit_test(test_no_tls),
        cmocka_unit_test(test_renegotiation_is_refused),
        cmocka_unit_test(test_no_memory_for_chunks),
    };
    return cmocka_run_group_tests(tests, certs_set_up, certs_tear_down);
}
