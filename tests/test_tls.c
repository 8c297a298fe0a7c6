/*
 * tests/test_tls.c - connections over TLS on the real kernel, a server and clients of one engine: certificates good and bad, both
 * ends' goodbyes, alerts in the record, resumption, reload. Nothing here sleeps: every wait is a poll that ends with what it awaits.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wsring/wsring.h>

#include "lib/certs.h"

#define SECOND INT64_C(1000000000)
#define PATIENCE (120 * SECOND) /* a handshake under valgrind, on a busy machine */
#define SLICE(text) ((wsr_slice){(const uint8_t *)(text), strlen(text)})

/* One engine that is server and client at once, and what its polls have shown. */
struct world {
    wsr_engine *engine;
    wsr_listener listener;
    uint16_t port;
    wsr_tls *server_tls, *client_tls;
    wsr_conn server, client;      /* the last opened of each role */
    unsigned opened_server, opened_client, closed, messages;
    uint64_t bytes;
    wsr_close_record server_record, client_record;
    char server_detail[200], client_detail[200];
    unsigned wanted;              /* messages to wait for */
    bool echo, wrong_data;
};

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 2654435761u >> 13);
}

static void see_closed(struct world *w, const wsr_event *ev)
{
    const wsr_close_record *record = wsr_event_close_record(ev);
    const bool client = ev->user == &w->client;
    *(client ? &w->client_record : &w->server_record) = *record;
    snprintf(client ? w->client_detail : w->server_detail, sizeof w->client_detail, "%s", record->detail != NULL ? record->detail : "");
    w->closed++;
}

static void see(struct world *w, const wsr_event *ev)
{
    switch ((wsr_event_type)ev->type) {
    case WSR_EVENT_OPEN:
        if (ev->user == &w->client) {
            w->opened_client++;
            w->client = ev->conn;
        } else {
            w->opened_server++;
            w->server = ev->conn;
        }
        break;
    case WSR_EVENT_MESSAGE:
        w->messages++;
        w->bytes += ev->data.len;
        for (size_t i = 0; i < ev->data.len && ev->opcode == WSR_BINARY; i++)
            w->wrong_data = w->wrong_data || ev->data.ptr[i] != pattern(i);
        if (w->echo && ev->user == &w->server)
            assert_int_equal(wsr_send(w->engine, ev->conn, (wsr_opcode)ev->opcode, (wsr_slice){ev->data.ptr, ev->data.len}), WSR_OK);
        break;
    case WSR_EVENT_CLOSED:
        see_closed(w, ev);
        break;
    default:
        break;
    }
}

static bool poll_until(struct world *w, bool (*done)(const struct world *))
{
    wsr_event ev[16];
    for (int rounds = 0; rounds < 100000 && !done(w); rounds++) {
        int n = wsr_poll(w->engine, ev, 16, PATIENCE);
        if (n <= 0)
            return false;
        for (int i = 0; i < n; i++)
            see(w, &ev[i]);
    }
    return done(w);
}

static bool both_open(const struct world *w)
{
    return w->opened_server > 0 && w->opened_client > 0;
}

static bool both_closed(const struct world *w)
{
    return w->closed >= 2;
}

/* server, client: with role set. */
static void open_world(struct world *w, const wsr_tls_config *server, const wsr_tls_config *client)
{
    memset(w, 0, sizeof *w);
    wsr_config config = WSR_CONFIG_INIT;
    config.limits.handshake_timeout_ns = PATIENCE;
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    w->server_tls = certs_open(server);
    w->client_tls = certs_open(client);
    assert_int_equal(wsr_engine_open(&w->engine, &config), WSR_OK);
    listen.user = &w->server;
    listen.tls = w->server_tls;
    assert_int_equal(wsr_listen(w->engine, &listen, &w->listener), WSR_OK);
    w->port = wsr_listen_port(w->engine, w->listener);
}

static void close_world(struct world *w)
{
    wsr_engine_close(w->engine);
    wsr_tls_release(w->server_tls);
    wsr_tls_release(w->client_tls);
}

static void dial(struct world *w, const char *host)
{
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    char url[200];
    snprintf(url, sizeof url, "wss://%s:%u/", host, w->port);
    connect.url = url;
    connect.address = "127.0.0.1";
    connect.tls = w->client_tls;
    connect.tls_timeout_ns = PATIENCE;
    connect.user = &w->client;
    assert_int_equal(wsr_connect(w->engine, &connect, &w->client), WSR_OK);
}

/* ---- the happy path ---- */

static bool echoed(const struct world *w)
{
    return w->messages >= 2;
}

static void test_says_hello_and_goodbye(void **state)
{
    (void)state;
    wsr_tls_config server = certs_server(), client = certs_client();
    struct world w;
    open_world(&w, &server, &client);
    w.echo = true;
    dial(&w, "localhost");
    assert_true(poll_until(&w, both_open));
    wsr_tls_info info;
    assert_int_equal(wsr_connection_tls(w.engine, w.client, &info), WSR_OK);
    assert_string_equal(info.version, "TLSv1.3");
    assert_string_equal(info.alpn, "http/1.1");
    assert_string_equal(info.server_name, "localhost");
    assert_false(info.resumed);
    assert_int_equal(wsr_connection_tls(w.engine, w.server, &info), WSR_OK);
    assert_string_equal(info.server_name, "localhost");
    assert_int_equal(wsr_send(w.engine, w.client, WSR_TEXT, SLICE("Hello")), WSR_OK);
    assert_true(poll_until(&w, echoed));
    assert_int_equal(wsr_close(w.engine, w.client, 1000, SLICE("bye")), WSR_OK);
    assert_true(poll_until(&w, both_closed));
    assert_true(w.client_record.clean);
    assert_true(w.server_record.clean);
    assert_int_equal(w.client_record.code, 1000);
    assert_int_equal(w.server_record.code, 1000);
    assert_int_equal(w.client_record.messages_in, 1);
    assert_int_equal(w.client_record.tls_alert, 0);
    close_world(&w);
}

/* ---- messages ---- */

static bool enough(const struct world *w)
{
    return w->messages >= w->wanted;
}

static void open_simple(struct world *w)
{
    wsr_tls_config server = certs_server(), client = certs_client();
    open_world(w, &server, &client);
    dial(w, "localhost");
    assert_true(poll_until(w, both_open));
}

/* About the largest record, and far beyond it; alone, and many at once. */
static void test_messages_of_every_size(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 20, 125, 126, 16300, 16377, 16378, 16383, 16384, 16385, 65535, 65536, 100000, 10 << 20};
    const unsigned n = sizeof lens / sizeof lens[0];
    uint8_t *payload = malloc(10 << 20);
    assert_non_null(payload);
    for (size_t i = 0; i < 10 << 20; i++)
        payload[i] = pattern(i);
    struct world w;
    open_simple(&w);
    w.echo = true;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(wsr_send(w.engine, w.client, WSR_BINARY, (wsr_slice){payload, lens[i]}), WSR_OK);
        w.wanted += 2;
        bytes += 2 * lens[i];
        assert_true(poll_until(&w, enough));
    }
    for (unsigned i = 0; i < n - 1; i++) {
        assert_int_equal(wsr_send(w.engine, w.client, WSR_BINARY, (wsr_slice){payload, lens[i]}), WSR_OK);
        w.wanted += 2;
        bytes += 2 * lens[i];
    }
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(wsr_send(w.engine, w.client, WSR_BINARY, (wsr_slice){payload, i % 50}), WSR_OK);
        w.wanted += 2;
        bytes += 2 * (i % 50);
    }
    assert_true(poll_until(&w, enough));
    assert_int_equal(w.messages, w.wanted);
    assert_int_equal(w.bytes, bytes);
    assert_false(w.wrong_data);
    free(payload);
    close_world(&w);
}

/* ---- ends ---- */

static void test_a_server_closes_too(void **state)
{
    (void)state;
    struct world w;
    open_simple(&w);
    assert_int_equal(wsr_close(w.engine, w.server, 1001, SLICE("going")), WSR_OK);
    assert_true(poll_until(&w, both_closed));
    assert_true(w.client_record.clean);
    assert_true(w.server_record.clean);
    assert_int_equal(w.client_record.code_received, 1001);
    assert_int_equal(w.client_record.by, WSR_BY_PEER);
    close_world(&w);
}

static void test_a_reset_is_one(void **state)
{
    (void)state;
    struct world w;
    open_simple(&w);
    assert_int_equal(wsr_abort(w.engine, w.server), WSR_OK);
    assert_true(poll_until(&w, both_closed));
    assert_int_equal(w.server_record.cause, WSR_EABORTED);
    assert_int_equal(w.client_record.cause, WSR_ERESET);
    assert_int_equal(w.client_record.code, 1006);
    close_world(&w);
}

/* ---- certificates ---- */

static void test_refusals_say_why(void **state)
{
    (void)state;
    const struct {
        const char *certificate, *trust, *host, *detail;
        uint8_t alert;
    } cases[] = {
        {certs.expired, certs.ca, "localhost", "the certificate has expired", 45},
        {certs.wrong, certs.ca, "localhost", "the certificate is for another host", 42},
        {certs.wrong, certs.ca, "127.0.0.1", "the certificate is for another address", 42},
        {certs.self, certs.ca, "localhost", "the certificate is self-signed, and not among those trusted", 48},
        {certs.untrusted, certs.ca, "localhost", "the certificate's issuer is not trusted: it is not known here, or a certificate between it and a root was not sent", 48},
        {certs.server, NULL, "localhost", "the certificate's issuer is not trusted: it is not known here, or a certificate between it and a root was not sent", 48},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wsr_tls_config server = certs_server(), client = certs_client();
        server.certificate = cases[i].certificate;
        client.trust = cases[i].trust;
        struct world w;
        open_world(&w, &server, &client);
        dial(&w, cases[i].host);
        assert_true(poll_until(&w, both_closed));
        assert_int_equal(w.opened_client + w.opened_server, 0);
        assert_int_equal(w.client_record.cause, WSR_ETLS_CERTIFICATE);
        assert_string_equal(w.client_detail, cases[i].detail);
        assert_int_equal(w.client_record.tls_alert, cases[i].alert);
        assert_false(w.client_record.tls_alert_received);
        assert_int_equal(w.server_record.cause, WSR_ETLS);
        assert_int_equal(w.server_record.tls_alert, cases[i].alert);
        assert_true(w.server_record.tls_alert_received);
        assert_non_null(strstr(w.server_detail, "the peer's alert: "));
        close_world(&w);
    }
}

/* Who brings no wsr_tls has the engine's, which trusts the system's roots, and so not ours. */
static void test_the_engines_own_verifies(void **state)
{
    (void)state;
    wsr_tls_config server = certs_server(), client = certs_client();
    struct world w;
    open_world(&w, &server, &client);
    wsr_tls_release(w.client_tls);
    w.client_tls = NULL;
    for (unsigned i = 0; i < 2; i++) {
        w.closed = 0;
        dial(&w, "localhost");
        assert_true(poll_until(&w, both_closed));
        assert_int_equal(w.client_record.cause, WSR_ETLS_CERTIFICATE);
    }
    close_world(&w);
}

static void test_roles_do_not_mix(void **state)
{
    (void)state;
    wsr_tls_config server = certs_server(), client = certs_client();
    struct world w;
    open_world(&w, &server, &client);
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    listen.tls = w.client_tls;
    assert_int_equal(wsr_listen(w.engine, &listen, &listener), WSR_ECONFIG);
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    connect.url = "wss://127.0.0.1:9/";
    connect.tls = w.server_tls;
    wsr_conn conn;
    assert_int_equal(wsr_connect(w.engine, &connect, &conn), WSR_ECONFIG);
    close_world(&w);
}

/* ---- redirects ---- */

static bool client_open(const struct world *w)
{
    return w->opened_client > 0;
}

static bool both_refused(const struct world *w)
{
    return w->client_record.cause != WSR_OK && w->server_record.cause != WSR_OK;
}

/* Sends who asks at `from`, whose connections have no user, to a place, and polls until that is done. */
static void follow(struct world *w, wsr_listener from, const char *to, bool (*done)(const struct world *))
{
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    char url[100], location[200];
    snprintf(url, sizeof url, "wss://localhost:%u/", wsr_listen_port(w->engine, from));
    snprintf(location, sizeof location, "Location: %s\r\n", to);
    connect.url = url;
    connect.address = "127.0.0.1";
    connect.tls = w->client_tls;
    connect.user = &w->client;
    connect.redirects_max = 2;
    w->opened_client = w->opened_server = 0;
    w->server_record = w->client_record = (wsr_close_record){.cause = WSR_OK};
    assert_int_equal(wsr_connect(w->engine, &connect, &w->client), WSR_OK);
    unsigned refused = 0;
    for (int rounds = 0; rounds < 1000 && !done(w); rounds++) {
        wsr_event ev[16];
        int n = wsr_poll(w->engine, ev, 16, PATIENCE);
        assert_true(n > 0);
        for (int i = 0; i < n; i++) {
            if (ev[i].type == WSR_EVENT_REQUEST && refused++ == 0)
                assert_int_equal(wsr_refuse(w->engine, ev[i].conn, 307, location, SLICE("")), WSR_OK);
            else if (ev[i].type == WSR_EVENT_REQUEST)
                assert_int_equal(wsr_accept(w->engine, ev[i].conn, NULL, NULL), WSR_OK);
            else if (ev[i].user != NULL)
                see(w, &ev[i]);
        }
    }
    assert_true(done(w));
}

/*
 * Whom a redirect leads to is not whom the certificate is for: it is not shown there, nor is a session resumed that knows it. On the
 * same origin it is, and by a connection of its own.
 */
static void test_a_certificate_follows_no_redirect_elsewhere(void **state)
{
    (void)state;
    for (unsigned tls13 = 0; tls13 < 2; tls13++) {
        wsr_tls_config server = certs_server(), client = certs_client();
        server.trust = certs.ca; /* asks for a certificate */
        client.certificate = certs.client;
        client.ciphersuites = tls13 ? NULL : "";
        struct world w;
        open_world(&w, &server, &client);
        wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
        wsr_listener sender;
        listen.tls = w.server_tls;
        listen.manual = true;
        assert_int_equal(wsr_listen(w.engine, &listen, &sender), WSR_OK);
        char elsewhere[100];
        snprintf(elsewhere, sizeof elsewhere, "wss://localhost:%u/", w.port);

        dial(&w, "localhost"); /* of its own accord: the certificate is shown, and the session remembered */
        assert_true(poll_until(&w, both_open));
        wsr_tls_info here, there;
        assert_int_equal(wsr_connection_tls(w.engine, w.client, &here), WSR_OK);
        assert_int_equal(wsr_connection_tls(w.engine, w.server, &there), WSR_OK);
        assert_string_equal(here.peer_subject, "CN=server");
        assert_string_equal(there.peer_subject, "CN=client");
        assert_memory_not_equal(here.peer_sha256, there.peer_sha256, sizeof here.peer_sha256);
        assert_int_equal(wsr_close(w.engine, w.client, 1000, SLICE("")), WSR_OK);
        assert_true(poll_until(&w, both_closed));

        follow(&w, sender, "/same", client_open);

        follow(&w, sender, elsewhere, both_refused);
        assert_int_equal(w.opened_client + w.opened_server, 0);
        assert_int_equal(w.server_record.cause, WSR_ETLS_CERTIFICATE);
        assert_string_equal(w.server_detail, "the peer sent no certificate");
        assert_int_equal(w.client_record.cause, WSR_ETLS);
        close_world(&w);
    }
}

/* A connection made before a reload lives on, and one made after it is made with the new certificate. */
static void test_reload_drops_nobody(void **state)
{
    (void)state;
    char path[200];
    snprintf(path, sizeof path, "%s/live.pem", certs.folder);
    certs_copy(certs.server, path);
    wsr_tls_config server = certs_server(), client = certs_client();
    server.certificate = path;
    client.no_resumption = true;
    struct world w;
    open_world(&w, &server, &client);
    dial(&w, "localhost");
    assert_true(poll_until(&w, both_open));
    const wsr_conn old = w.client;
    certs_copy(certs.expired, path);
    assert_int_equal(wsr_tls_reload(w.server_tls, NULL, 0), WSR_OK);
    w.closed = 0;
    dial(&w, "localhost"); /* the new one is of no use, which shows that it is used */
    assert_true(poll_until(&w, both_closed));
    assert_string_equal(w.client_detail, "the certificate has expired");
    certs_copy(certs.server2, path);
    assert_int_equal(wsr_tls_reload(w.server_tls, NULL, 0), WSR_OK);
    w.opened_client = w.opened_server = 0;
    dial(&w, "localhost");
    assert_true(poll_until(&w, both_open));
    assert_int_equal(wsr_send(w.engine, old, WSR_TEXT, SLICE("still here")), WSR_OK);
    w.wanted = 1;
    assert_true(poll_until(&w, enough));
    remove(path);
    close_world(&w);
}

/* ---- resumption, and what it saves ---- */

static bool closed_again(const struct world *w)
{
    return w->closed >= 2;
}

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Connects and closes n times; returns how many handshakes were resumed, and the CPU time of both ends of all. */
static unsigned connects(struct world *w, unsigned n, double *us)
{
    unsigned resumed = 0;
    const double begun = cpu_us();
    for (unsigned i = 0; i < n; i++) {
        w->opened_client = w->opened_server = w->closed = 0;
        dial(w, "localhost");
        assert_true(poll_until(w, both_open));
        wsr_tls_info here, there;
        assert_int_equal(wsr_connection_tls(w->engine, w->client, &here), WSR_OK);
        assert_int_equal(wsr_connection_tls(w->engine, w->server, &there), WSR_OK);
        assert_int_equal(here.resumed, there.resumed);
        resumed += here.resumed;
        assert_string_equal(here.peer_subject, "CN=server"); /* resumed, too */
        assert_string_equal(there.peer_subject, "");
        assert_int_equal(wsr_close(w->engine, w->client, 1000, SLICE("")), WSR_OK);
        assert_true(poll_until(w, closed_again));
    }
    *us = cpu_us() - begun;
    return resumed;
}

static void test_resumption_is_measured(void **state)
{
    (void)state;
#ifdef WSR_VALGRIND
    enum { N = 2 };
#else
    enum { N = 100 };
#endif
    double full_us, resumed_us;
    for (unsigned tls13 = 0; tls13 < 2; tls13++) {
        struct world w;
        wsr_tls_config server = certs_server(), client = certs_client();
        client.ciphersuites = tls13 ? NULL : "";
        client.no_resumption = true;
        open_world(&w, &server, &client);
        assert_int_equal(connects(&w, N, &full_us), 0);
        close_world(&w);
        client.no_resumption = false;
        open_world(&w, &server, &client);
        (void)connects(&w, 1, &resumed_us);
        assert_int_equal(connects(&w, N, &resumed_us), N);
        close_world(&w);
        print_message("TLS 1.%u: a connection, both ends, upgrade and close: %.0f us of CPU; resumed: %.0f us (%.0f %%)\n", tls13 ? 3 : 2, full_us / N,
                      resumed_us / N, 100 * resumed_us / full_us);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_says_hello_and_goodbye),
        cmocka_unit_test(test_messages_of_every_size),
        cmocka_unit_test(test_a_server_closes_too),
        cmocka_unit_test(test_a_reset_is_one),
        cmocka_unit_test(test_refusals_say_why),
        cmocka_unit_test(test_the_engines_own_verifies),
        cmocka_unit_test(test_roles_do_not_mix),
        cmocka_unit_test(test_a_certificate_follows_no_redirect_elsewhere),
        cmocka_unit_test(test_reload_drops_nobody),
        cmocka_unit_test(test_resumption_is_measured),
    };
    return cmocka_run_group_tests(tests, certs_set_up, certs_tear_down);
}
