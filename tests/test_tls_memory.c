/*
 * tests/test_tls_memory.c - OpenSSL's allocations fail, one in turn: what is begun then fails and says so, or does without, and leaks
 * nothing. A program of its own, for OpenSSL takes its allocator once.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "lib/certs.h"
#include "lib/failing.h"
#include "tls/session.h"

static void move(struct wsr_pool *pool, struct wsr_tls_session *from, struct wsr_tls_session *to, size_t *got)
{
    struct wsr_chunk *out = wsr_tls_output(from);
    for (struct wsr_chunk *chunk = out; chunk != NULL; chunk = chunk->next) {
        struct wsr_tls_plain plain = wsr_tls_take(to, (wsr_span){chunk->data, chunk->len});
        *got += plain.rest.len + (plain.carried != NULL ? plain.carried->len : 0);
        if (plain.carried != NULL)
            wsr_pool_put(pool, plain.carried);
    }
    wsr_pool_put_list(pool, out);
}

/* A connection of both roles, a message each way, goodbye. True if all of it succeeded. */
static bool converse(struct wsr_tls *server_tls, struct wsr_tls *client_tls)
{
    static uint8_t payload[40000];
    struct wsr_pool pool;
    struct wsr_tls_session server, client;
    size_t got = 0;
    wsr_pool_init(&pool, NULL, 0, 0);
    int error = wsr_tls_start(&server, server_tls, &pool, NULL);
    if (error < 0) {
        assert_int_equal(error, WSR_ENOMEM);
        return false;
    }
    error = wsr_tls_start(&client, client_tls, &pool, &(struct wsr_tls_peer){"localhost", 443, false});
    if (error < 0) {
        assert_true(error == WSR_ENOMEM || error == WSR_ETLS);
        wsr_tls_end(&server);
        assert_int_equal(pool.out_bytes, 0);
        wsr_pool_free(&pool);
        return false;
    }
    for (unsigned i = 0; i < 4; i++) {
        move(&pool, &client, &server, &got);
        move(&pool, &server, &client, &got);
    }
    bool good = client.state == WSR_TLS_OPEN && server.state == WSR_TLS_OPEN;
    good = good && wsr_tls_write(&client, (wsr_slice){payload, sizeof payload}) && wsr_tls_write(&server, (wsr_slice){payload, sizeof payload});
    move(&pool, &client, &server, &got);
    move(&pool, &server, &client, &got);
    good = good && got == 2 * sizeof payload;
    wsr_tls_notify(&client);
    move(&pool, &client, &server, &got);
    struct wsr_tls_session *ends[] = {&client, &server};
    for (unsigned i = 0; i < 2; i++) {
        if (ends[i]->state == WSR_TLS_FAILED) {
            assert_true(ends[i]->error == WSR_ENOMEM || ends[i]->error == WSR_ETLS || ends[i]->error == WSR_ETLS_CERTIFICATE);
            assert_non_null(ends[i]->detail);
        }
        wsr_tls_end(ends[i]);
    }
    assert_int_equal(pool.out_bytes, 0);
    wsr_pool_free(&pool);
    return good;
}

static void test_connections_without_memory(void **state)
{
    (void)state;
    wsr_tls_config server_config = {.size = sizeof server_config, .role = WSR_SERVER, .certificate = certs.server};
    wsr_tls_config client_config = {.size = sizeof client_config, .role = WSR_CLIENT, .trust = certs.ca, .no_resumption = true};
    struct wsr_tls *server = NULL, *client = NULL;
    assert_int_equal(wsr_tls_open(&server, &server_config, NULL, 0), WSR_OK);
    assert_int_equal(wsr_tls_open(&client, &client_config, NULL, 0), WSR_OK);
    assert_true(converse(server, client)); /* whatever is made once is made now */
    assert_true(converse(server, client));
    failing_ssl_calls = 0;
    assert_true(converse(server, client));
    const unsigned long all = failing_ssl_calls;
    unsigned failed = 0, at = 0;
    long before = 0;
    for (unsigned long n = 1; n <= all; n += 1 + n % 7) {
        before = failing_ssl_held;
        failing_ssl_calls = 0;
        failing_ssl_at = n;
        failed += !converse(server, client);
        failing_ssl_at = 0;
        at++;
        ERR_clear_error();
        assert_true(converse(server, client)); /* and the next one is none the worse for it */
        if (failing_ssl_held > before + 8)
            fail_msg("call %lu failed: %ld blocks more than before", n, (long)failing_ssl_held - before);
    }
    assert_true(failed > 0);
    print_message("%lu allocations a connection; %u of %u failures ended it\n", all, failed, at);
    wsr_tls_release(server);
    wsr_tls_release(client);
}

static void test_opening_without_memory(void **state)
{
    (void)state;
    wsr_tls_config configs[] = {
        {.size = sizeof configs[0], .role = WSR_SERVER, .certificate = certs.server, .trust = certs.ca},
        {.size = sizeof configs[0], .role = WSR_CLIENT, .trust = certs.ca},
        {.size = sizeof configs[0], .role = WSR_SERVER, .self_signed = "localhost, 127.0.0.1"},
    };
    for (unsigned i = 0; i < 3; i++) {
        struct wsr_tls *tls = NULL;
        assert_int_equal(wsr_tls_open(&tls, &configs[i], NULL, 0), WSR_OK);
        wsr_tls_release(tls);
        failing_ssl_calls = 0;
        assert_int_equal(wsr_tls_open(&tls, &configs[i], NULL, 0), WSR_OK);
        wsr_tls_release(tls);
        const unsigned long all = failing_ssl_calls;
        unsigned failed = 0;
        for (unsigned long n = 1; n <= all; n += 1 + n % 5) {
            char why[256];
            tls = NULL;
            failing_ssl_calls = 0;
            failing_ssl_at = n;
            int error = wsr_tls_open(&tls, &configs[i], why, sizeof why);
            failing_ssl_at = 0;
            ERR_clear_error();
            failed += error < 0;
            assert_true(error == WSR_OK || error == WSR_ENOMEM || error == WSR_ETLS);
            assert_int_equal(error == WSR_OK, tls != NULL);
            wsr_tls_release(tls);
        }
        assert_true(failed > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections_without_memory),
        cmocka_unit_test(test_opening_without_memory),
    };
    if (!failing_ssl_use())
        return 1;
    return cmocka_run_group_tests(tests, certs_set_up, certs_tear_down);
}
