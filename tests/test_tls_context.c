/*
 * tests/test_tls_context.c - what connections over TLS share: configurations good and bad, files read again, one for many threads, the key
 * log.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/certs.h"
#include "lib/tls_pair.h"
#include "tls/context.h"

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
    const wsr_tls_config server = certs_server(), client = certs_client();
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
    wsr_tls_config server_config = {.size = sizeof server_config, .role = WSR_SERVER, .certificate = path}, client_config = certs_client();
    client_config.no_resumption = true;
    struct wsr_tls *server = certs_open(&server_config), *client = certs_open(&client_config);
    certs_copy(certs.key_only, path);
    char why[256];
    assert_int_equal(wsr_tls_reload(server, why, sizeof why), WSR_ETLS);
    assert_non_null(strstr(why, "is no good"));
    assert_false(tls_pair_resumes(server, client, true)); /* shakes hands */
    certs_copy(certs.expired, path);
    assert_int_equal(wsr_tls_reload(server, why, sizeof why), WSR_OK);
    struct tls_pair pair;
    tls_pair_open(&pair, server, client);
    tls_pair_shake(&pair, 1000);
    assert_int_equal(pair.client.session.error, WSR_ETLS_CERTIFICATE); /* the new one it is */
    tls_pair_close(&pair);
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
        struct tls_pair pair;
        tls_pair_open(&pair, shaker->server, shaker->client);
        tls_pair_shake(&pair, 1000);
        if (pair.client.session.state != WSR_TLS_OPEN || pair.server.session.state != WSR_TLS_OPEN)
            abort(); /* cmocka's asserts are for one thread */
        tls_pair_close(&pair);
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
    wsr_tls_config server_config = certs_server(), client_config = certs_client();
    struct wsr_tls *server = certs_open(&server_config), *client = certs_open(&client_config);
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
    wsr_tls_config server_config = certs_server(), client_config = certs_client();
    client_config.keylog = path;
    struct wsr_tls *server = certs_open(&server_config), *client = certs_open(&client_config);
    assert_false(tls_pair_resumes(server, client, true));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_configurations_refused),
        cmocka_unit_test(test_a_broken_reload_changes_nothing),
        cmocka_unit_test(test_threads_and_reloads),
        cmocka_unit_test(test_key_log),
    };
    return cmocka_run_group_tests(tests, certs_set_up, certs_tear_down);
}
