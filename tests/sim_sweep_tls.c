/*
 * tests/sim_sweep_tls.c - every allocation, of engines and of OpenSSL, every completion and call fails in its turn (lib/sweep.h), in
 * stories over TLS. A program of its own, for OpenSSL takes its allocator once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/certs.h"
#include "lib/failing.h"
#include "lib/one.h"
#include "lib/pair.h"
#include "sim/sim.h"

static wsr_tls *server_tls, *client_tls, *old_server_tls, *asking_server_tls, *showing_client_tls;

static void with(struct pair_setup *s, wsr_tls *server, wsr_tls *client)
{
    s->listen.tls = server;
    s->connect.tls = client;
    s->connect.address = "127.0.0.1";
    s->host = "localhost";
    s->server.buffer_bytes = s->client.buffer_bytes = 16384;
}

static void over_tls(struct pair_setup *s)
{
    with(s, server_tls, client_tls);
}

/* With contexts that give and keep tickets, and are this world's alone: what they keep is gone with them. */
static void play_with_tickets(const void *story)
{
    const wsr_tls_config server = {.size = sizeof server, .role = WSR_SERVER, .certificate = certs.server};
    const wsr_tls_config client = {.size = sizeof client, .role = WSR_CLIENT, .trust = certs.ca};
    wsr_tls *const kept[2] = {server_tls, client_tls};
    assert_int_equal(wsr_tls_open(&server_tls, &server, NULL, 0), WSR_OK);
    assert_int_equal(wsr_tls_open(&client_tls, &client, NULL, 0), WSR_OK);
    pair_play(story);
    wsr_tls_release(client_tls);
    wsr_tls_release(server_tls);
    server_tls = kept[0];
    client_tls = kept[1];
}

static void over_tls_1_2(struct pair_setup *s)
{
    with(s, old_server_tls, client_tls);
}

static void with_certificates(struct pair_setup *s)
{
    with(s, asking_server_tls, showing_client_tls);
}

static void compressed(struct pair_setup *s)
{
    over_tls(s);
    s->listen.deflate = s->connect.deflate = (wsr_deflate){.on = true, .send_takeover = true, .receive_takeover = true, .threshold_bytes = 1};
}

static void by_hand(struct pair_setup *s)
{
    over_tls(s);
    s->listen.manual = true;
    s->connect.redirects_max = 2;
}

static void comes_back(struct pair_setup *s)
{
    over_tls(s);
    s->connect.reconnect = (wsr_reconnect){.on = true, .base_ns = 10 * MS, .cap_ns = 100 * MS, .attempts_max = 3, .elapsed_max_ns = 20 * SECOND};
}

static void behind_a_balancer(struct pair_setup *s)
{
    over_tls(s);
    s->listen.proxy_protocol = true;
}

/* Names resolve to two addresses, and the first one hangs; then an answer sends the client elsewhere on the same host. */
static void dials(struct pair_setup *s)
{
    by_hand(s);
    s->connect.address = NULL;
    sim_name("localhost", 20 * MS, NULL, "10.0.0.1 127.0.0.1");
    sim_place("10.0.0.1", 20 * SECOND, 0);
}

/* When the first connection is over, another one: with the ticket of the first. */
static void comes_again(struct pair *p)
{
    if (p->clients_n == 1 && p->clients[0].closed > 0)
        p->marks[0] = pair_connect(p) ? 1 : 2;
    if (p->clients_n == 0)
        p->marks[0] = 2;
}

static void notes_tickets(struct pair *p, wsr_engine *engine, const wsr_event *ev)
{
    wsr_tls_info info;
    if (engine == p->client && ev->type == WSR_EVENT_OPEN && wsr_connection_tls(engine, ev->conn, &info) == WSR_OK)
        p->marks[1] += info.resumed;
}

static bool not_again_yet(const struct pair *p)
{
    return p->marks[0] == 0;
}

static void expect_a_ticket(const struct pair *p)
{
    assert_true(p->marks[1] >= 1);
}

/* Between the handshakes the certificates are read again. */
static void reads_anew(struct pair *p)
{
    if (p->marks[2]++ == 0)
        (void)!wsr_tls_reload(server_tls, NULL, 0);
    comes_again(p);
}

/* A stranger at a port for TLS: clear HTTP, or what is no TLS at all. */
static void clear_http_comes(struct pair *p)
{
    pair_peer_says(p, one_request, strlen(one_request));
}

static void a_preface_and_clear_http_come(struct pair *p)
{
    static const char text[] = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\n\r\n";
    pair_peer_says(p, text, sizeof text - 1);
}

static void opens_contexts(const void *unused)
{
    (void)unused;
    const wsr_tls_config configs[] = {
        {.size = sizeof configs[0], .role = WSR_SERVER, .certificate = certs.server, .trust = certs.ca},
        {.size = sizeof configs[0], .role = WSR_CLIENT, .trust = certs.ca, .certificate = certs.client},
        {.size = sizeof configs[0], .role = WSR_SERVER, .self_signed = "localhost, 127.0.0.1"},
    };
    sweep_begin();
    for (unsigned i = 0; i < 3; i++) {
        char why[256];
        wsr_tls *tls = NULL;
        const int error = wsr_tls_open(&tls, &configs[i], why, sizeof why);
        assert_int_equal(error == WSR_OK, tls != NULL);
        assert_true(error == WSR_OK || error == WSR_ENOMEM || error == WSR_ETLS);
        wsr_tls_release(tls);
    }
    sweep_serves(NULL, NULL);
}

#define STORY(...) .play = pair_play, .data = &(const struct pair_story){__VA_ARGS__}
#define WITH_TICKETS(...) .play = play_with_tickets, .data = &(const struct pair_story){__VA_ARGS__}

/* Of those of OpenSSL's allocations that are the same in most stories each fails in the first, and some in the others. */
static const struct sweep_story stories[] = {
    {"TLS: echo", STORY(.clients = 1, .messages = 2, .bytes = 2500, .set_up = over_tls)},
    {"TLS 1.2: echo", STORY(.clients = 1, .messages = 2, .bytes = 2500, .set_up = over_tls_1_2), .ssl_every = 17},
    {"TLS: large messages", STORY(.clients = 1, .messages = 2, .bytes = 40000, .set_up = over_tls), .ssl_every = 17},
    {"TLS: fragments, the server closes", STORY(.clients = 2, .messages = 2, .bytes = 2500, .fragment_bytes = 1000, .end = PAIR_SERVER_CLOSES, .set_up = over_tls), .ssl_every = 17},
    {"TLS: both close", STORY(.clients = 1, .messages = 1, .bytes = 100, .end = PAIR_BOTH_CLOSE, .set_up = over_tls), .ssl_every = 17},
    {"TLS: aborted", STORY(.clients = 1, .messages = 1, .bytes = 100, .end = PAIR_CLIENT_ABORTS, .set_up = over_tls), .ssl_every = 17},
    {"TLS: compressed", STORY(.clients = 1, .messages = 2, .bytes = 2500, .set_up = compressed), .ssl_every = 17},
    {"TLS: both show certificates", STORY(.clients = 1, .messages = 1, .bytes = 100, .set_up = with_certificates), .ssl_every = 17},
    {"TLS: resumed by a ticket", WITH_TICKETS(.clients = 1, .messages = 1, .bytes = 100, .set_up = over_tls, .see = notes_tickets, .turn = comes_again, .waits = not_again_yet, .calm = expect_a_ticket), .ssl_every = 17},
    {"TLS: certificates read anew", WITH_TICKETS(.clients = 1, .messages = 1, .bytes = 100, .set_up = over_tls, .turn = reads_anew, .waits = not_again_yet), .ssl_every = 17},
    {"TLS: dialled by name, redirected", STORY(.clients = 1, .messages = 1, .bytes = 100, .set_up = dials, .see = pair_sends_elsewhere), .ssl_every = 17},
    {"TLS: coming back", WITH_TICKETS(.clients = 1, .messages = 1, .bytes = 100, .loses = true, .set_up = comes_back, .see = pair_cuts_the_first), .ssl_every = 17},
    {"TLS: clear HTTP comes", STORY(.clients = 1, .messages = 1, .bytes = 100, .set_up = over_tls, .turn = clear_http_comes, .waits = pair_peer_is_there), .ssl_every = 17},
    {"TLS: a PROXY preface, and no TLS", STORY(.end = PAIR_ELSEWHERE, .set_up = behind_a_balancer, .turn = a_preface_and_clear_http_come, .waits = pair_peer_is_there)},
    {"TLS: contexts are opened", opens_contexts, .ssl_every = 17},
};

static bool open_contexts(void)
{
    const wsr_tls_config server = {.size = sizeof server, .role = WSR_SERVER, .certificate = certs.server, .no_resumption = true};
    const wsr_tls_config old = {.size = sizeof old, .role = WSR_SERVER, .certificate = certs.server, .ciphersuites = "", .no_resumption = true};
    const wsr_tls_config asking = {.size = sizeof asking, .role = WSR_SERVER, .certificate = certs.server, .trust = certs.ca, .no_resumption = true};
    const wsr_tls_config client = {.size = sizeof client, .role = WSR_CLIENT, .trust = certs.ca, .no_resumption = true};
    const wsr_tls_config showing = {.size = sizeof showing, .role = WSR_CLIENT, .trust = certs.ca, .certificate = certs.client, .no_resumption = true};
    return wsr_tls_open(&server_tls, &server, NULL, 0) == WSR_OK && wsr_tls_open(&old_server_tls, &old, NULL, 0) == WSR_OK &&
           wsr_tls_open(&asking_server_tls, &asking, NULL, 0) == WSR_OK && wsr_tls_open(&client_tls, &client, NULL, 0) == WSR_OK &&
           wsr_tls_open(&showing_client_tls, &showing, NULL, 0) == WSR_OK;
}

int main(int argc, char **argv)
{
    if (!failing_ssl_use())
        return 1;
    certs_make();
    const int code = open_contexts() ? sweep_main(argc, argv, stories, sizeof stories / sizeof stories[0]) : 1;
    wsr_tls *const all[] = {server_tls, old_server_tls, asking_server_tls, client_tls, showing_client_tls};
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        wsr_tls_release(all[i]);
    certs_remove();
    return code;
}
