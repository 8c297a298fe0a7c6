/*
 * tests/test_tls_resumption.c - connections over TLS that go on with an earlier one's session: when they do, when they must not, and what
 * a client remembers for it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/certs.h"
#include "lib/tls_pair.h"
#include "tls/context.h"

static void test_resumption(void **state)
{
    (void)state;
    for (size_t k = 0; k < TLS_KINDS; k++) {
        wsr_tls_config server_config = certs_server(), client_config = certs_client();
        server_config.ciphers = client_config.ciphers = tls_kinds[k].ciphers;
        server_config.ciphersuites = client_config.ciphersuites = tls_kinds[k].ciphersuites;
        struct wsr_tls *server = certs_open(&server_config), *client = certs_open(&client_config);
        assert_false(tls_pair_resumes(server, client, true));
        assert_true(tls_pair_resumes(server, client, true));
        assert_true(tls_pair_resumes(server, client, false)); /* a connection that breaks has a next one, too */
        assert_true(tls_pair_resumes(server, client, true));
        assert_int_equal(wsr_tls_reload(server, NULL, 0), WSR_OK);
        assert_true(tls_pair_resumes(server, client, true)); /* the keys of tickets stay */
        assert_int_equal(wsr_tls_reload(client, NULL, 0), WSR_OK);
        assert_false(tls_pair_resumes(server, client, true)); /* whom it trusts may have changed */
        wsr_tls_release(server);
        wsr_tls_release(client);
    }
}

static void test_resumption_is_off_where_it_is_not_wanted(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 2; k++) {
        wsr_tls_config server_config = certs_server(), client_config = certs_client();
        *(k == 0 ? &server_config.no_resumption : &client_config.no_resumption) = true;
        struct wsr_tls *server = certs_open(&server_config), *client = certs_open(&client_config);
        assert_false(tls_pair_resumes(server, client, true));
        assert_false(tls_pair_resumes(server, client, true));
        wsr_tls_release(server);
        wsr_tls_release(client);
    }
}

/* A server that asks for certificates takes no tickets from before it read its trust again. */
static void test_a_changed_trust_ends_resumption(void **state)
{
    (void)state;
    wsr_tls_config server_config = certs_server(), client_config = certs_client();
    server_config.trust = certs.ca;
    client_config.certificate = certs.client;
    struct wsr_tls *server = certs_open(&server_config), *client = certs_open(&client_config);
    assert_false(tls_pair_resumes(server, client, true));
    assert_true(tls_pair_resumes(server, client, true));
    assert_int_equal(wsr_tls_reload(server, NULL, 0), WSR_OK);
    assert_false(tls_pair_resumes(server, client, true));
    wsr_tls_release(server);
    wsr_tls_release(client);
}

/* Sessions are kept apart by host and port, are few, and each of TLS 1.3 is used once. */
static void test_what_a_client_remembers(void **state)
{
    (void)state;
    wsr_tls_config server_config = certs_server(), client_config = certs_client();
    struct wsr_tls *server = certs_open(&server_config), *client = certs_open(&client_config);
    for (unsigned i = 0; i < WSR_TLS_REMEMBERED_MAX + 10; i++) {
        struct tls_pair pair;
        tls_pair_open_to(&pair, server, client, &(struct wsr_tls_peer){"localhost", (uint16_t)(1000 + i), false});
        tls_pair_shake(&pair, 1000);
        assert_int_equal(SSL_session_reused(pair.client.session.ssl), 0);
        tls_pair_close(&pair);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_resumption_is_off_where_it_is_not_wanted),
        cmocka_unit_test(test_a_changed_trust_ends_resumption),
        cmocka_unit_test(test_what_a_client_remembers),
    };
    return cmocka_run_group_tests(tests, certs_set_up, certs_tear_down);
}
