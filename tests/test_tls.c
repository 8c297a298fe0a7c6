/*
 * tests/test_tls.c - connections over TLS on the real kernel, a server and clients of one engine: certificates good and bad, both
 * ends' goodbyes, alerts in the record, resumption, reload. Nothing here sleeps: every wait is a poll that ends with what it awaits.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wsring/wsring.h>

#include "conn/front.h"
#include "lib/certs.h"

#define SECOND INT64_C(1000000000)
#define SLICE(text) ((wsr_slice){(const uint8_t *)(text), strlen(text)})

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
        int n = wsr_poll(w->engine, ev, 16, 20 * SECOND);
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

static wsr_tls *open_tls(const wsr_tls_config *config)
{
    wsr_tls *tls = NULL;
    char why[256];
    if (wsr_tls_open(&tls, config, why, sizeof why) != WSR_OK)
        fail_msg("wsr_tls_open: %s", why);
    return tls;
}

/* server, client: with role set. */
static void open_world(struct world *w, const wsr_tls_config *server, const wsr_tls_config *client)
{
    memset(w, 0, sizeof *w);
    wsr_config config = WSR_CONFIG_INIT;
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    w->server_tls = open_tls(server);
    w->client_tls = open_tls(client);
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
    snprintf(url, sizeof url, "ws://%s:%u/", host, w->port);
    connect.url = url;
    connect.address = "127.0.0.1";
    connect.user = &w->client;
    assert_int_equal(wsr_connect(w->engine, &connect, &w->client), WSR_OK);
    assert_int_equal(wsr_conn_front_tls(w->engine, wsr_table_find(w->engine, w->client), w->client_tls, host, w->port, 0), WSR_OK);
}

static wsr_tls_config server_config(const char *certificate)
{
    return (wsr_tls_config){.size = sizeof(wsr_tls_config), .role = WSR_SERVER, .certificate = certificate};
}

static wsr_tls_config client_config(const char *trust)
{
    return (wsr_tls_config){.size = sizeof(wsr_tls_config), .role = WSR_CLIENT, .trust = trust};
}

/* ---- the happy path ---- */

static bool echoed(const struct world *w)
{
    return w->messages >= 2;
}

static void test_says_hello_and_goodbye(void **state)
{
    (void)state;
    wsr_tls_config server = server_config(certs.server), client = client_config(certs.ca);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_says_hello_and_goodbye),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
