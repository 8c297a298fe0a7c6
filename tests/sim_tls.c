/*
 * tests/sim_tls.c - an engine's TLS against an OpenSSL that does what it should not, on the simulated host: streams cut short,
 * goodbyes in the wrong place, changed bytes, handshakes that never end, clear text. Time is virtual; nothing sleeps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "lib/certs.h"
#include "lib/one.h"
#include "lib/rawtls.h"
#include "sim/sim.h"

static wsr_tls *server_tls;

static int set_up(void **state)
{
    (void)state;
    certs_make();
    const wsr_tls_config config = {.size = sizeof config, .role = WSR_SERVER, .certificate = certs.server};
    return wsr_tls_open(&server_tls, &config, NULL, 0);
}

static int tear_down(void **state)
{
    (void)state;
    wsr_tls_release(server_tls);
    certs_remove();
    return 0;
}

/* An engine that listens for wss, and one raw client. */
struct stage {
    struct one o;
    struct rawtls raw;
    int peer;
    bool over;             /* TCP's end has come */
    uint8_t got[70000];    /* plaintext since the handshake */
    size_t got_len;
};

static void open_stage_with(struct stage *s, const wsr_config *config)
{
    memset(s, 0, sizeof *s);
    one_open(&s->o, config);
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    listen.tls = server_tls;
    assert_int_equal(wsr_listen(s->o.engine, &listen, &listener), WSR_OK);
    s->o.port = wsr_listen_port(s->o.engine, listener);
    s->peer = sim_peer_connect(s->o.port);
    assert_true(s->peer >= 0);
    rawtls_client(&s->raw, 0);
}

static void open_stage(struct stage *s, const wsr_limits *limits)
{
    wsr_config config = WSR_CONFIG_INIT;
    if (limits != NULL)
        config.limits = *limits;
    open_stage_with(s, &config);
}

static void close_stage(struct stage *s)
{
    sim_peer_close(s->peer);
    one_poll(&s->o, MS);
    rawtls_free(&s->raw);
    one_close(&s->o);
}

/* What the raw client has made so far goes on the line. */
static void give(struct stage *s)
{
    uint8_t room[4096];
    size_t n;
    while ((n = rawtls_take(&s->raw, room, sizeof room)) > 0)
        assert_int_equal(sim_peer_write(s->peer, room, n), (ptrdiff_t)n);
}

/* What has come for it is fed to it. */
static void take(struct stage *s)
{
    uint8_t room[4096];
    ptrdiff_t n;
    while ((n = sim_peer_read(s->peer, room, sizeof room)) > 0)
        rawtls_feed(&s->raw, room, (size_t)n);
    s->over = s->over || n == 0;
    size_t more;
    while (SSL_is_init_finished(s->raw.ssl) && (more = rawtls_read(&s->raw, s->got + s->got_len, sizeof s->got - s->got_len)) > 0)
        s->got_len += more;
}

static void turn(struct stage *s)
{
    give(s);
    one_poll(&s->o, 2 * MS);
    take(s);
}

/* The TLS handshake, and the upgrade. */
static void greet(struct stage *s)
{
    for (unsigned i = 0; i < 5 && !rawtls_shake(&s->raw); i++)
        turn(s);
    assert_true(rawtls_shake(&s->raw));
    rawtls_write(&s->raw, one_request, strlen(one_request));
    turn(s);
    assert_int_equal(s->o.opened, 1);
    assert_true(s->got_len > 12 && memcmp(s->got, "HTTP/1.1 101", 12) == 0);
    s->got_len = 0;
}

/* A masked frame, its key zero. */
static void put_frame(struct stage *s, uint8_t first, const void *payload, uint8_t len)
{
    uint8_t frame[6 + 125] = {first, (uint8_t)(0x80 | len)};
    memcpy(frame + 6, payload, len);
    rawtls_write(&s->raw, frame, 6u + len);
}

/* ---- ends ---- */

static void a_stream_cut_short_is_told(void **state)
{
    (void)state;
    struct stage s;
    sim_reset(1);
    open_stage(&s, NULL);
    greet(&s);
    put_frame(&s, 0x82, "all of it", 9);
    turn(&s);
    assert_int_equal(s.o.messages, 1);
    sim_peer_shutdown(s.peer); /* FIN, and no close_notify: anybody in between can do that */
    one_poll(&s.o, MS);
    assert_int_equal(s.o.closed, 1);
    assert_int_equal(s.o.record.cause, WSR_ETLS_TRUNCATED);
    assert_int_equal(s.o.record.code, 1006);
    assert_false(s.o.record.clean);
    close_stage(&s);
}

static void a_goodbye_of_tls_alone_is_no_close(void **state)
{
    (void)state;
    struct stage s;
    sim_reset(2);
    open_stage(&s, NULL);
    greet(&s);
    put_frame(&s, 0x82, "the last", 8);
    (void)SSL_shutdown(s.raw.ssl);
    turn(&s);
    assert_int_equal(s.o.messages, 1);
    assert_int_equal(s.o.closed, 1);
    assert_int_equal(s.o.record.cause, WSR_ETRUNCATED);
    close_stage(&s);
}

/* Close, close_notify, and then the end of TCP, in this order; and what comes behind both Closes does no harm. */
static void goodbyes_are_said_in_order(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 4; how++) {
        struct stage s;
        sim_reset(3 + how);
        open_stage(&s, NULL);
        greet(&s);
        put_frame(&s, 0x88, "\x03\xe8", 2);
        turn(&s);
        assert_true(s.got_len >= 4 && s.got[0] == 0x88);
        assert_true((SSL_get_shutdown(s.raw.ssl) & SSL_RECEIVED_SHUTDOWN) != 0);
        turn(&s);
        assert_true(s.over);
        assert_int_equal(s.o.closed, 0); /* it waits for our end */
        if (how == 1)
            (void)SSL_shutdown(s.raw.ssl);
        if (how == 2)
            rawtls_write(&s.raw, "trailing bytes", 14);
        give(&s);
        if (how == 3)
            assert_int_equal(sim_peer_write(s.peer, "no record at all", 16), 16);
        sim_peer_shutdown(s.peer);
        one_poll(&s.o, MS);
        assert_int_equal(s.o.closed, 1);
        assert_int_equal(s.o.record.code, 1000);
        if (how < 3) {
            assert_true(s.o.record.clean);
            assert_int_equal(s.o.record.cause, WSR_OK);
        }
        close_stage(&s);
    }
}

/* Both Closes have passed, and the goodbye of TLS cannot be sent: nothing is lost with it, and it is not tried for ever. */
static void a_goodbye_that_fails_is_given_up(void **state)
{
    (void)state;
    struct stage s;
    wsr_event ev[8];
    sim_reset(8);
    open_stage(&s, NULL);
    greet(&s);
    put_frame(&s, 0x88, "\x03\xe8", 2);
    give(&s);
    const uint64_t before = sim_calls(SIM_SEND);
    for (uint64_t nth = 2; nth < 16; nth++) /* the first is our Close */
        sim_fail(SIM_SEND, nth, EPIPE);
    for (unsigned i = 0; i < 12; i++)
        assert_int_equal(wsr_poll(s.o.engine, ev, 8, 0), 0);
    assert_in_range(sim_calls(SIM_SEND) - before, 2, 3);
    sim_fail_none();
    sim_peer_shutdown(s.peer);
    one_poll(&s.o, MS);
    assert_int_equal(s.o.closed, 1);
    assert_int_equal(s.o.record.code, 1000);
    assert_true(s.o.record.clean);
    close_stage(&s);
}

static void a_changed_byte_is_answered_with_an_alert(void **state)
{
    (void)state;
    struct stage s;
    sim_reset(10);
    open_stage(&s, NULL);
    greet(&s);
    put_frame(&s, 0x82, "hello", 5);
    uint8_t room[200];
    size_t n = rawtls_take(&s.raw, room, sizeof room);
    room[n - 1] ^= 0x80;
    assert_int_equal(sim_peer_write(s.peer, room, n), (ptrdiff_t)n);
    turn(&s);
    assert_int_equal(s.raw.alert, 20);
    assert_int_equal(s.o.messages, 0);
    assert_int_equal(s.o.closed, 0);
    sim_peer_shutdown(s.peer);
    one_poll(&s.o, 5 * MS);
    assert_int_equal(s.o.closed, 1);
    assert_int_equal(s.o.record.cause, WSR_ETLS);
    assert_int_equal(s.o.record.tls_alert, 20);
    assert_false(s.o.record.tls_alert_received);
    close_stage(&s);
}

static void an_alert_is_in_the_record(void **state)
{
    (void)state;
    struct stage s;
    sim_reset(11);
    open_stage(&s, NULL);
    greet(&s);
    assert_int_equal(wsr_send(s.o.engine, s.o.conn, WSR_TEXT, SLICE("one")), WSR_OK);
    one_poll(&s.o, MS);
    uint8_t room[200];
    ptrdiff_t n = sim_peer_read(s.peer, room, sizeof room);
    assert_true(n > 5);
    room[n - 1] ^= 1;
    rawtls_feed(&s.raw, room, (size_t)n);
    (void)rawtls_read(&s.raw, room, sizeof room); /* it does not like that, and says so */
    turn(&s);
    assert_int_equal(s.o.closed, 1);
    assert_int_equal(s.o.record.cause, WSR_ETLS);
    assert_int_equal(s.o.record.tls_alert, 20);
    assert_true(s.o.record.tls_alert_received);
    close_stage(&s);
}

/* ---- beginnings ---- */

static void clear_http_gets_an_answer_it_can_read(void **state)
{
    (void)state;
    struct stage s;
    sim_reset(20);
    open_stage(&s, NULL);
    assert_int_equal(sim_peer_write(s.peer, one_request, strlen(one_request)), (ptrdiff_t)strlen(one_request));
    one_poll(&s.o, 5 * MS);
    char answer[512] = "";
    ptrdiff_t n = sim_peer_read(s.peer, answer, sizeof answer - 1);
    assert_true(n > 0);
    assert_memory_equal(answer, "HTTP/1.1 400 Bad Request\r\n", 26);
    const char *body = strstr(answer, "\r\n\r\n"), *length = strstr(answer, "Content-Length: ");
    assert_true(body != NULL && length != NULL && strtoul(length + 16, NULL, 10) == strlen(body + 4));
    assert_int_equal(sim_peer_read(s.peer, answer, sizeof answer), 0);
    /* What it sends meanwhile is thrown away, and if it never ends, the deadline ends it. */
    assert_int_equal(sim_peer_write(s.peer, one_request, strlen(one_request)), (ptrdiff_t)strlen(one_request));
    one_poll(&s.o, 1 * SECOND);
    assert_int_equal(s.o.closed, 0);
    one_poll(&s.o, 60 * SECOND);
    assert_int_equal(s.o.closed, 1);
    assert_int_equal(s.o.record.cause, WSR_ETLS);
    assert_int_equal(s.o.record.http_status, 400);
    close_stage(&s);
}

static void a_handshake_that_never_ends_has_a_deadline(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 2; how++) { /* says nothing; sends one byte a second of its first message */
        struct stage s;
        sim_reset(21 + how);
        open_stage(&s, &(wsr_limits){.handshake_timeout_ns = 10 * SECOND});
        one_poll(&s.o, MS);
        uint64_t begun = sim_now_ns();
        (void)rawtls_shake(&s.raw);
        uint8_t hello[2000];
        assert_true(rawtls_take(&s.raw, hello, sizeof hello) > 100);
        for (unsigned i = 0; i < 20 && s.o.closed == 0; i++) {
            if (how == 1)
                (void)sim_peer_write(s.peer, hello + i, 1);
            one_poll(&s.o, SECOND);
        }
        assert_int_equal(s.o.closed, 1);
        assert_int_equal(s.o.record.cause, WSR_ETIMEOUT_HANDSHAKE);
        assert_true(s.o.closed_at_ns - begun >= 9 * SECOND && s.o.closed_at_ns - begun <= 11 * SECOND);
        close_stage(&s);
    }
}

/* The upgrade has what is left of the same time. */
static void the_deadline_covers_tls_and_the_upgrade(void **state)
{
    (void)state;
    struct stage s;
    sim_reset(23);
    open_stage(&s, &(wsr_limits){.handshake_timeout_ns = 10 * SECOND});
    one_poll(&s.o, MS);
    uint64_t begun = sim_now_ns();
    one_poll(&s.o, 8 * SECOND);
    for (unsigned i = 0; i < 5 && !rawtls_shake(&s.raw); i++)
        turn(&s);
    assert_true(rawtls_shake(&s.raw));
    turn(&s);
    one_poll(&s.o, 3 * SECOND);
    take(&s);
    assert_true(s.got_len > 12 && memcmp(s.got, "HTTP/1.1 408", 12) == 0);
    assert_true((SSL_get_shutdown(s.raw.ssl) & SSL_RECEIVED_SHUTDOWN) != 0);
    sim_peer_close(s.peer);
    one_poll(&s.o, MS);
    assert_int_equal(s.o.record.cause, WSR_ETIMEOUT_HANDSHAKE);
    assert_int_equal(s.o.record.http_status, 408);
    assert_true(s.o.closed_at_ns - begun <= 12 * SECOND);
    s.peer = sim_peer_connect(s.o.port); /* for close_stage */
    close_stage(&s);
}

static void an_end_within_the_handshake_is_told(void **state)
{
    (void)state;
    struct stage s;
    sim_reset(24);
    open_stage(&s, NULL);
    (void)rawtls_shake(&s.raw);
    give(&s);
    sim_peer_shutdown(s.peer); /* with its first message */
    one_poll(&s.o, 5 * MS);
    assert_int_equal(s.o.closed, 1);
    assert_int_equal(s.o.record.cause, WSR_ETRUNCATED);
    close_stage(&s);
}

/* ---- clients ---- */

/* Connects to a listener of the stage's own making; returns its handle. */
static int dial(struct one *o, const wsr_tls_config *config, uint64_t tls_timeout_ns)
{
    int listener = sim_peer_listen(4430);
    assert_true(listener >= 0);
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    connect.url = "wss://localhost:4430/";
    connect.address = "127.0.0.1";
    connect.tls_timeout_ns = tls_timeout_ns;
    assert_int_equal(wsr_tls_open(&connect.tls, config, NULL, 0), WSR_OK);
    assert_int_equal(wsr_connect(o->engine, &connect, &o->conn), WSR_OK);
    wsr_tls_release(connect.tls); /* the connection has its own hold */
    one_poll(o, MS);
    return listener;
}

static void a_client_waits_so_long_for_tls(void **state)
{
    (void)state;
    struct one o;
    sim_reset(30);
    one_open(&o, NULL);
    const wsr_tls_config config = {.size = sizeof config, .role = WSR_CLIENT, .trust = certs.ca};
    int listener = dial(&o, &config, 3 * SECOND);
    int peer = sim_peer_accept(listener);
    assert_true(peer >= 0);
    uint64_t begun = sim_now_ns();
    one_poll(&o, 10 * SECOND);
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.cause, WSR_ETIMEOUT_TLS);
    assert_true(o.closed_at_ns - begun >= 2 * SECOND && o.closed_at_ns - begun <= 4 * SECOND);
    sim_peer_close(peer);
    sim_peer_close(listener);
    one_close(&o);
}

static void a_client_says_why_it_refuses(void **state)
{
    (void)state;
    struct one o;
    struct rawtls raw;
    uint8_t room[8192];
    sim_reset(31);
    one_open(&o, NULL);
    const wsr_tls_config config = {.size = sizeof config, .role = WSR_CLIENT, .trust = certs.ca};
    int listener = dial(&o, &config, 0);
    int peer = sim_peer_accept(listener);
    rawtls_server(&raw, certs.expired);
    for (unsigned i = 0; i < 5; i++) {
        ptrdiff_t n = sim_peer_read(peer, room, sizeof room);
        if (n > 0)
            rawtls_feed(&raw, room, (size_t)n);
        (void)rawtls_shake(&raw);
        size_t out = rawtls_take(&raw, room, sizeof room);
        if (out > 0)
            (void)sim_peer_write(peer, room, out);
        one_poll(&o, MS);
    }
    assert_int_equal(raw.alert, 45); /* certificate_expired */
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.cause, WSR_ETLS_CERTIFICATE);
    assert_int_equal(o.record.tls_alert, 45);
    assert_false(o.record.tls_alert_received);
    assert_int_equal(o.record.messages_undelivered, 0);
    rawtls_free(&raw);
    sim_peer_close(peer);
    sim_peer_close(listener);
    one_close(&o);
}

/* ---- load ---- */

/* A peer that does not read holds what the outbox may hold, and one flight of ciphertext. */
static void a_slow_reader_holds_little_more(void **state)
{
    (void)state;
    static uint8_t zeros[100000];
    struct stage s;
    sim_reset(40);
    open_stage(&s, &(wsr_limits){.outbox_bytes_max = 8 << 20});
    greet(&s);
    wsr_engine_statistics before, now;
    wsr_engine_stats(s.o.engine, &before, sizeof before);
    unsigned accepted = 0;
    while (wsr_send(s.o.engine, s.o.conn, WSR_BINARY, (wsr_slice){zeros, sizeof zeros}) == WSR_OK) {
        accepted++;
        assert_int_equal(wsr_flush(s.o.engine), WSR_OK);
    }
    assert_true(accepted >= 83);
    one_poll(&s.o, 100 * MS);
    wsr_engine_stats(s.o.engine, &now, sizeof now);
    assert_true(now.memory_bytes - before.memory_bytes < accepted * (128 << 10) + (300 << 10)); /* a chunk of 128 KiB for each message */
    size_t total = 0;
    for (unsigned i = 0; i < 100000 && total < accepted * (sizeof zeros + 10); i++) {
        s.got_len = 0;
        turn(&s);
        total += s.got_len;
    }
    assert_int_equal(total, accepted * (sizeof zeros + 10));
    close_stage(&s);
}

/* Short of memory, who holds most is closed, and what TLS has made for the wire is held too: twice, plain and encrypted. */
static void ciphertext_counts_among_what_is_held(void **state)
{
    (void)state;
    static const uint8_t zeros[4000];
    struct stage s;
    sim_reset(42);
    sim_knobs.socket_bytes = 16384;
    wsr_config config = WSR_CONFIG_INIT;
    config.memory_bytes_max = 1000000;
    open_stage_with(&s, &config);
    greet(&s);
    const wsr_conn over_tls = s.o.conn;
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    assert_int_equal(wsr_listen(s.o.engine, &listen, &listener), WSR_OK);
    s.o.port = wsr_listen_port(s.o.engine, listener);
    const int plain_peer = one_peer(&s.o);
    const wsr_conn plain = s.o.conn;
    while (wsr_outbox_bytes(s.o.engine, over_tls) < 240000)
        assert_int_equal(wsr_send(s.o.engine, over_tls, WSR_BINARY, (wsr_slice){zeros, sizeof zeros}), WSR_OK);
    one_poll(&s.o, MS);
    int error = WSR_OK;
    while (error == WSR_OK)
        error = wsr_send(s.o.engine, plain, WSR_BINARY, (wsr_slice){zeros, sizeof zeros});
    assert_int_equal(error, WSR_ENOMEM);
    assert_true(wsr_outbox_bytes(s.o.engine, plain) > wsr_outbox_bytes(s.o.engine, over_tls));
    assert_true(wsr_connection_memory_bytes(s.o.engine, plain) < wsr_connection_memory_bytes(s.o.engine, over_tls));
    one_poll(&s.o, MS);
    assert_int_equal(wsr_send(s.o.engine, plain, WSR_PING, SLICE("?")), WSR_OK);
    assert_int_equal(wsr_send(s.o.engine, over_tls, WSR_PING, SLICE("?")), WSR_ESTATE);
    one_poll(&s.o, 20 * SECOND);
    assert_int_equal(s.o.closed, 1);
    assert_int_equal(s.o.record.cause, WSR_ESHED);
    sim_peer_close(plain_peer);
    close_stage(&s);
}

/* A peer that sends to an application that does not read is stopped, and nothing is lost when that goes on. */
static void a_pause_stops_the_peer(void **state)
{
    (void)state;
    struct stage s;
    sim_reset(41);
    open_stage(&s, NULL);
    greet(&s);
    assert_int_equal(wsr_pause_read(s.o.engine, s.o.conn), WSR_OK);
    wsr_engine_statistics before, now;
    wsr_engine_stats(s.o.engine, &before, sizeof before);
    uint8_t payload[125] = {0}, room[4096];
    size_t held = 0;
    unsigned sent = 0;
    for (unsigned i = 0; i < 10000; i++) { /* until the host takes no more */
        if (held == 0) {
            put_frame(&s, 0x82, payload, sizeof payload);
            sent++;
            held = rawtls_take(&s.raw, room, sizeof room);
        }
        ptrdiff_t n = sim_peer_write(s.peer, room, held);
        memmove(room, room + n, held - (size_t)n);
        held -= (size_t)n;
        if (n == 0 && i > 9000)
            break;
        one_poll(&s.o, 10000);
    }
    assert_true(held > 0);
    wsr_engine_stats(s.o.engine, &now, sizeof now);
    assert_true(now.memory_bytes - before.memory_bytes < (512 << 10));
    assert_int_equal(s.o.messages, 0);
    assert_int_equal(wsr_resume_read(s.o.engine, s.o.conn), WSR_OK);
    for (unsigned i = 0; i < 1000 && (s.o.messages < sent || held > 0); i++) {
        ptrdiff_t n = sim_peer_write(s.peer, room, held);
        memmove(room, room + n, held - (size_t)n);
        held -= (size_t)n;
        one_poll(&s.o, MS);
    }
    assert_int_equal(s.o.messages, sent);
    close_stage(&s);
}

/* Handshakes cost a thousand times what a message does: a message does not wait for more than one of them. */
static void handshakes_take_turns(void **state)
{
    (void)state;
    enum { NEW = 20 };
    struct stage s;
    struct rawtls raws[NEW];
    int peers[NEW];
    uint8_t room[4096];
    sim_reset(42);
    open_stage(&s, NULL);
    greet(&s);
    for (unsigned i = 0; i < NEW; i++)
        peers[i] = sim_peer_connect(s.o.port);
    one_poll(&s.o, MS);
    for (unsigned i = 0; i < NEW; i++) {
        rawtls_client(&raws[i], 0);
        (void)rawtls_shake(&raws[i]);
        size_t n = rawtls_take(&raws[i], room, sizeof room);
        assert_int_equal(sim_peer_write(peers[i], room, n), (ptrdiff_t)n);
    }
    for (unsigned answered = 0, polls = 0; answered < NEW; polls++) {
        put_frame(&s, 0x82, "now", 3);
        give(&s);
        while (sim_advance())
            ;
        wsr_event ev[8];
        int n = wsr_poll(s.o.engine, ev, 8, 0);
        assert_int_equal(n, 1); /* the message, at once */
        assert_int_equal(ev[0].type, WSR_EVENT_MESSAGE);
        assert_int_equal(wsr_flush(s.o.engine), WSR_OK);
        while (sim_advance())
            ;
        unsigned more = 0;
        for (unsigned i = 0; i < NEW; i++)
            more += sim_peer_read(peers[i], room, sizeof room) > 0;
        assert_true(more <= 1);
        answered += more;
        assert_true(polls < 3 * NEW);
    }
    for (unsigned i = 0; i < NEW; i++) {
        rawtls_free(&raws[i]);
        sim_peer_close(peers[i]);
    }
    close_stage(&s);
}

/* Each request for a new key is answered: who asks for ever and takes no answer is not waited for. */
static void who_asks_for_keys_and_takes_none_is_ended(void **state)
{
    (void)state;
    struct stage s;
    sim_reset(60);
    sim_knobs.socket_bytes = 16384;
    open_stage(&s, NULL);
    greet(&s);
    wsr_engine_statistics before, now;
    wsr_engine_stats(s.o.engine, &before, sizeof before);
    for (unsigned i = 0; i < 40000 && s.o.closed == 0; i++) {
        assert_int_equal(SSL_key_update(s.raw.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_true(rawtls_shake(&s.raw));
        uint8_t room[4096];
        const size_t n = rawtls_take(&s.raw, room, sizeof room);
        (void)!sim_peer_write(s.peer, room, n);
        one_poll(&s.o, MS);
    }
    wsr_engine_stats(s.o.engine, &now, sizeof now);
    assert_int_equal(s.o.closed, 1);
    assert_int_equal(s.o.record.cause, WSR_EFLOOD);
    assert_true(now.memory_bytes < before.memory_bytes + 200000);
    close_stage(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_cut_short_is_told),
        cmocka_unit_test(a_goodbye_of_tls_alone_is_no_close),
        cmocka_unit_test(goodbyes_are_said_in_order),
        cmocka_unit_test(a_goodbye_that_fails_is_given_up),
        cmocka_unit_test(a_changed_byte_is_answered_with_an_alert),
        cmocka_unit_test(an_alert_is_in_the_record),
        cmocka_unit_test(clear_http_gets_an_answer_it_can_read),
        cmocka_unit_test(a_handshake_that_never_ends_has_a_deadline),
        cmocka_unit_test(the_deadline_covers_tls_and_the_upgrade),
        cmocka_unit_test(an_end_within_the_handshake_is_told),
        cmocka_unit_test(a_client_waits_so_long_for_tls),
        cmocka_unit_test(a_client_says_why_it_refuses),
        cmocka_unit_test(a_slow_reader_holds_little_more),
        cmocka_unit_test(ciphertext_counts_among_what_is_held),
        cmocka_unit_test(a_pause_stops_the_peer),
        cmocka_unit_test(handshakes_take_turns),
        cmocka_unit_test(who_asks_for_keys_and_takes_none_is_ended),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
