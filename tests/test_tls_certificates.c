/*
 * tests/test_tls_certificates.c - whom an end of TLS takes for whom: certificates good and bad, of servers and of clients, and what both
 * ends must have in common.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "lib/certs.h"
#include "lib/tls_pair.h"

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
        wsr_tls_config client_config = certs_client();
        struct wsr_tls *server = certs_open(&server_config), *client = certs_open(&client_config);
        struct tls_pair pair;
        tls_pair_open_to(&pair, server, client, &(struct wsr_tls_peer){r->host, 443, false});
        tls_pair_shake(&pair, 1000);
        const struct wsr_tls_session *c = &pair.client.session, *s = &pair.server.session;
        if (c->state != WSR_TLS_FAILED || c->error != WSR_ETLS_CERTIFICATE || c->alert != r->alert || c->alert_received || strcmp(c->detail, r->detail) != 0)
            fail_msg("%s: state %d, error %d, alert %u, \"%s\"", r->what, c->state, c->error, c->alert, c->detail != NULL ? c->detail : "");
        assert_int_equal(s->state, WSR_TLS_FAILED);
        assert_int_equal(s->error, WSR_ETLS);
        assert_int_equal(s->alert, r->alert);
        assert_true(s->alert_received);
        tls_pair_close(&pair);
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
    wsr_tls_config server_config = certs_server(), client_config = certs_client();
    struct wsr_tls *server = certs_open(&server_config), *client = certs_open(&client_config);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct tls_pair pair;
        tls_pair_open_to(&pair, server, client, &(struct wsr_tls_peer){good[i].host, 443, false});
        tls_pair_shake(&pair, 1000);
        assert_int_equal(pair.client.session.state, WSR_TLS_OPEN);
        wsr_tls_info info;
        wsr_tls_describe(&pair.server.session, &info);
        assert_string_equal(info.server_name, good[i].sent);
        assert_string_equal(info.alpn, "http/1.1");
        tls_pair_close(&pair);
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
    struct wsr_tls *server = certs_open(&server_config), *client = certs_open(&client_config);
    struct tls_pair pair;
    tls_pair_open(&pair, server, client);
    tls_pair_shake(&pair, 1000);
    assert_int_equal(pair.client.session.state, WSR_TLS_OPEN);
    X509 *peer = SSL_get0_peer_certificate(pair.client.session.ssl);
    assert_int_equal(X509_check_host(peer, "example.com", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(peer, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(peer, "::1", 0), 1);
    assert_int_equal(X509_check_host(peer, "localhost", 0, 0, NULL), 0);
    tls_pair_close(&pair);
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
        wsr_tls_config server_config = certs_server(), client_config = certs_client();
        server_config.trust = certs.ca;
        client_config.certificate = cases[i].certificate;
        struct wsr_tls *server = certs_open(&server_config), *client = certs_open(&client_config);
        struct tls_pair pair;
        tls_pair_open(&pair, server, client);
        tls_pair_shake(&pair, 1000);
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
        tls_pair_close(&pair);
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
        wsr_tls_config server_config = certs_server();
        struct wsr_tls *server = certs_open(&server_config), *client = certs_open(&cases[i].client);
        struct tls_pair pair;
        tls_pair_open(&pair, server, client);
        tls_pair_shake(&pair, 1000);
        if (pair.server.session.state != WSR_TLS_FAILED || pair.server.session.alert != cases[i].alert || !pair.client.session.alert_received)
            fail_msg("%s: server alert %u, client alert %u", cases[i].what, pair.server.session.alert, pair.client.session.alert);
        assert_int_equal(pair.client.session.alert, cases[i].alert);
        tls_pair_close(&pair);
        wsr_tls_release(server);
        wsr_tls_release(client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates_refused),
        cmocka_unit_test(test_certificates_accepted),
        cmocka_unit_test(test_any_certificate_if_asked),
        cmocka_unit_test(test_mutual),
        cmocka_unit_test(test_nothing_in_common),
    };
    return cmocka_run_group_tests(tests, certs_set_up, certs_tear_down);
}
