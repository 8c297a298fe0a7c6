/*
 * tests/sim_dial.c - from a name to a connection, on the simulated host: slow and failing resolvers, addresses that hang, refuse
 * or answer late, each in virtual time and to the millisecond; and every call of it failing in its turn. Nothing is left open,
 * and CLOSED comes once.
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

#include "client/client.h"
#include "lib/failing.h"
#include "lib/one.h"
#include "lib/sweep.h"
#include "sim/sim.h"

enum { NEVER_PORT = 7 };

static char url[64];
static uint64_t begun_ns;

static void open_one(struct one *o, uint64_t seed)
{
    sim_reset(seed);
    one_open(o, NULL);
}

static wsr_conn connect_to(struct one *o, const char *host, unsigned port)
{
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    snprintf(url, sizeof url, "ws://%s:%u/", host, port);
    config.url = url;
    config.connect_timeout_ns = 5 * SECOND;
    wsr_conn conn = 0;
    assert_int_equal(wsr_connect(o->engine, &config, &conn), WSR_OK);
    begun_ns = sim_now_ns();
    return conn;
}

/* Polls until both ends are open, and says how long that took. The wheel's tick is about a millisecond. */
static uint64_t time_to_open(struct one *o)
{
    while (o->opened < 2 && o->closed == 0 && sim_now_ns() < begun_ns + 100 * SECOND) {
        wsr_event ev[8];
        int n = wsr_poll(o->engine, ev, 8, 10 * (int64_t)SECOND);
        assert_true(n >= 0);
        for (int i = 0; i < n; i++) {
            o->opened += ev[i].type == WSR_EVENT_OPEN;
            o->closed += ev[i].type == WSR_EVENT_CLOSED;
        }
    }
    assert_int_equal(o->opened, 2);
    assert_int_equal(o->closed, 0);
    return sim_now_ns() - begun_ns;
}

static void expect_about(uint64_t ns, uint64_t expected_ns)
{
    if (ns < expected_ns || ns > expected_ns + 4 * MS)
        fail_msg("%llu ns, not %llu", (unsigned long long)ns, (unsigned long long)expected_ns);
}

static void expect_failure(struct one *o, int cause, int sys_errno, const char *detail, uint64_t after_ns)
{
    one_poll(o, 60 * SECOND);
    assert_int_equal(o->opened, 0);
    assert_int_equal(o->closed, 1);
    assert_int_equal(o->record.cause, cause);
    assert_int_equal(o->record.sys_errno, sys_errno);
    assert_int_equal(o->record.code, WSR_CLOSE_ABNORMAL);
    assert_int_equal(o->record.lifetime_ns, 0);
    assert_false(o->record.clean);
    if (detail == NULL)
        assert_null(o->record.detail);
    expect_about(o->closed_at_ns - begun_ns, after_ns);
}

/* ---- names ---- */

static void a_name_is_resolved(void **unused)
{
    (void)unused;
    struct one o;
    open_one(&o, 1);
    sim_name("server.example", 80 * MS, NULL, "10.0.0.1");
    connect_to(&o, "server.example", o.port);
    expect_about(time_to_open(&o), 80 * MS);
    one_close(&o);
}

static void a_numeric_host_is_not_asked_for(void **unused)
{
    (void)unused;
    struct one o;
    open_one(&o, 2);
    connect_to(&o, "[::1]", o.port);
    time_to_open(&o);
    assert_int_equal(sim_calls(SIM_RESOLVE), 0);
    assert_int_equal(sim_calls(SIM_SOCKET), 1);
    one_close(&o);
}

static char last_detail[160];

static void detail_of_closed(struct one *o)
{
    last_detail[0] = '\0';
    while (o->closed == 0) {
        wsr_event ev[8];
        int n = wsr_poll(o->engine, ev, 8, 60 * (int64_t)SECOND);
        assert_true(n > 0);
        for (int i = 0; i < n; i++) {
            const wsr_close_record *record = wsr_event_close_record(&ev[i]);
            if (record == NULL)
                continue;
            o->closed++;
            o->record = *record;
            snprintf(last_detail, sizeof last_detail, "%s", record->detail != NULL ? record->detail : "");
        }
    }
}

static void what_the_resolver_says_is_in_the_record(void **unused)
{
    (void)unused;
    struct one o;
    open_one(&o, 3);
    sim_name("broken.example", 30 * MS, "Temporary failure in name resolution", NULL);
    connect_to(&o, "broken.example", o.port);
    detail_of_closed(&o);
    assert_int_equal(o.record.cause, WSR_ERESOLVE);
    assert_string_equal(last_detail, "Temporary failure in name resolution");
    o.closed = 0;
    connect_to(&o, "nowhere.example", o.port);
    detail_of_closed(&o);
    assert_int_equal(o.record.cause, WSR_ERESOLVE);
    assert_string_equal(last_detail, "Name or service not known");
    one_close(&o);
}

static void a_resolver_that_hangs_is_given_up(void **unused)
{
    (void)unused;
    struct one o;
    open_one(&o, 4);
    sim_name("slow.example", UINT64_MAX, NULL, "10.0.0.1");
    connect_to(&o, "slow.example", o.port);
    detail_of_closed(&o);
    expect_about(sim_now_ns() - begun_ns, 5 * SECOND);
    assert_int_equal(o.record.cause, WSR_ETIMEOUT_CONNECT);
    assert_string_equal(last_detail, "the name was not resolved in time");
    one_close(&o);
}

static void the_deadline_is_of_both_together(void **unused)
{
    (void)unused;
    struct one o;
    open_one(&o, 5);
    sim_name("slow.example", 4 * SECOND, NULL, "10.0.0.1");
    sim_place("10.0.0.1", UINT64_MAX, 0);
    connect_to(&o, "slow.example", o.port);
    expect_failure(&o, WSR_ETIMEOUT_CONNECT, 0, NULL, 5 * SECOND);
    one_close(&o);
}

/* An answer for whom nobody waits any more is nobody's; the slot may be another's by then. */
static void a_late_answer_is_dropped(void **unused)
{
    (void)unused;
    struct one o;
    open_one(&o, 6);
    sim_name("slow.example", 1 * SECOND, NULL, "10.0.0.1");
    for (unsigned i = 0; i < 2; i++) {
        wsr_conn conn = connect_to(&o, "slow.example", o.port);
        one_poll(&o, 100 * MS);
        o.closed = 0;
        if (i == 0)
            assert_int_equal(wsr_close(o.engine, conn, 1000, SLICE("")), WSR_OK);
        else
            assert_int_equal(wsr_abort(o.engine, conn), WSR_OK);
        assert_int_equal(wsr_close(o.engine, conn, 1000, SLICE("")), WSR_ESTATE);
        one_poll(&o, 3 * SECOND);
        assert_int_equal(o.closed, 1);
        assert_int_equal(o.opened, 0);
        assert_int_equal(o.record.cause, WSR_EABORTED);
        assert_int_equal(o.record.by, WSR_BY_LOCAL);
        assert_non_null(o.record.local_file);
        assert_int_equal(wsr_close(o.engine, conn, 1000, SLICE("")), WSR_ESTALE);
    }
    one_close(&o);
}

static void no_resolver_is_an_end_like_others(void **unused)
{
    (void)unused;
    struct one o;
    open_one(&o, 7);
    sim_name("server.example", 0, NULL, "10.0.0.1");
    sim_fail(SIM_EVENTFD, 1, EMFILE);
    connect_to(&o, "server.example", o.port);
    expect_failure(&o, WSR_ESYS, EMFILE, NULL, 0);
    o.closed = 0;
    sim_fail(SIM_RESOLVE, 1, EAGAIN);
    connect_to(&o, "server.example", o.port);
    expect_failure(&o, WSR_ESYS, EAGAIN, NULL, 0);
    connect_to(&o, "server.example", o.port); /* it was that once */
    o.closed = 0;
    time_to_open(&o);
    one_close(&o);
}

/* ---- addresses ---- */

static void an_address_that_hangs_has_250_ms(void **unused)
{
    (void)unused;
    struct one o;
    open_one(&o, 10);
    sim_name("server.example", 0, NULL, "2001:db8::1 10.0.0.1");
    sim_place("2001:db8::1", UINT64_MAX, 0);
    wsr_conn conn = connect_to(&o, "server.example", o.port);
    expect_about(time_to_open(&o), 250 * MS);
    assert_int_equal(sim_calls(SIM_SOCKET), 2);
    one_poll(&o, SECOND);
    assert_int_equal(o.closed, 0);
    assert_int_equal(sim_calls(SIM_CANCEL), 1); /* who lost is called back, and leaves nothing */
    assert_null(wsr_conn_client(wsr_table_find(o.engine, conn))->dial.room);
    one_close(&o);
}

/* Families take turns although the resolver puts them one behind the other. */
static void the_other_family_is_second(void **unused)
{
    (void)unused;
    struct one o;
    open_one(&o, 9);
    sim_name("server.example", 0, NULL, "2001:db8::1 2001:db8::2 2001:db8::3 10.0.0.1");
    sim_place("2001:db8::1", UINT64_MAX, 0);
    sim_place("2001:db8::2", UINT64_MAX, 0);
    sim_place("2001:db8::3", UINT64_MAX, 0);
    connect_to(&o, "server.example", o.port);
    expect_about(time_to_open(&o), 250 * MS);
    one_close(&o);
}

/* Without multishot a poll of the resolver's descriptor is armed again, and must not find what was there before. */
static void an_answer_is_news_once(void **unused)
{
    (void)unused;
    struct one o;
    wsr_config config = WSR_CONFIG_INIT;
    config.ring_without = WSR_WITHOUT_MULTISHOT;
    sim_reset(8);
    one_open(&o, &config);
    sim_name("server.example", 10 * MS, NULL, "10.0.0.1");
    connect_to(&o, "server.example", o.port);
    time_to_open(&o);
    const uint64_t enters = sim_stats.enters;
    one_poll(&o, 10 * SECOND);
    assert_true(sim_stats.enters - enters < 50);
    one_close(&o);
}

static void one_that_fails_is_followed_at_once(void **unused)
{
    (void)unused;
    struct one o;
    open_one(&o, 11);
    sim_name("server.example", 0, NULL, "2001:db8::1 10.0.0.1 10.0.0.2 10.0.0.3");
    sim_place("2001:db8::1", 0, ENETUNREACH);
    sim_place("10.0.0.1", 20 * MS, ECONNREFUSED);
    sim_place("10.0.0.2", 30 * MS, EHOSTUNREACH);
    connect_to(&o, "server.example", o.port);
    expect_about(time_to_open(&o), 50 * MS);
    one_close(&o);
}

/* Late is not lost: those that were begun go on, and any may win. */
static void the_first_may_win_after_others_were_begun(void **unused)
{
    (void)unused;
    struct one o;
    open_one(&o, 12);
    sim_name("server.example", 0, NULL, "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4");
    sim_place("10.0.0.1", 600 * MS, 0);
    sim_place("10.0.0.2", UINT64_MAX, 0);
    sim_place("10.0.0.3", UINT64_MAX, 0);
    connect_to(&o, "server.example", o.port);
    expect_about(time_to_open(&o), 600 * MS);
    assert_int_equal(sim_calls(SIM_SOCKET), 3); /* at 0, 250 and 500 ms */
    one_close(&o);
}

static void all_fail_and_the_record_says_how(void **unused)
{
    (void)unused;
    static const struct {
        int first, second, third, said;
    } rows[] = {
        {ECONNREFUSED, EHOSTUNREACH, ETIMEDOUT, ETIMEDOUT},
        {ECONNREFUSED, ETIMEDOUT, ENETUNREACH, ETIMEDOUT}, /* that this host has no way there says least */
        {ENETUNREACH, EADDRNOTAVAIL, ENETUNREACH, ENETUNREACH},
        {ENETUNREACH, ECONNREFUSED, EADDRNOTAVAIL, ECONNREFUSED},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct one o;
        open_one(&o, 13);
        sim_name("server.example", 0, NULL, "10.0.0.1 10.0.0.2 10.0.0.3");
        sim_place("10.0.0.1", 10 * MS, rows[i].first);
        sim_place("10.0.0.2", 10 * MS, rows[i].second);
        sim_place("10.0.0.3", 10 * MS, rows[i].third);
        connect_to(&o, "server.example", o.port);
        expect_failure(&o, WSR_ECONNECT, rows[i].said, NULL, 30 * MS);
        one_close(&o);
    }
}

static void nobody_listens(void **unused)
{
    (void)unused;
    struct one o;
    open_one(&o, 14);
    connect_to(&o, "127.0.0.1", NEVER_PORT);
    expect_failure(&o, WSR_ECONNECT, ECONNREFUSED, NULL, 0);
    one_close(&o);
}

static void no_descriptor_for_any_address(void **unused)
{
    (void)unused;
    struct one o;
    open_one(&o, 15);
    sim_name("server.example", 0, NULL, "10.0.0.1 10.0.0.2");
    sim_fail(SIM_SOCKET, 1, EMFILE);
    sim_fail(SIM_SOCKET, 2, EMFILE);
    connect_to(&o, "server.example", o.port);
    expect_failure(&o, WSR_ECONNECT, EMFILE, NULL, 0);
    one_close(&o);
}

static void closed_in_the_midst_of_many(void **unused)
{
    (void)unused;
    for (unsigned abort = 0; abort < 2; abort++) {
        struct one o;
        open_one(&o, 16);
        sim_name("server.example", 0, NULL, "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4");
        for (unsigned i = 1; i <= 4; i++) {
            char place[16];
            snprintf(place, sizeof place, "10.0.0.%u", i);
            sim_place(place, UINT64_MAX, 0);
        }
        wsr_conn conn = connect_to(&o, "server.example", o.port);
        one_poll(&o, 600 * MS);
        assert_int_equal(sim_calls(SIM_SOCKET), 3);
        assert_int_equal(abort ? wsr_abort(o.engine, conn) : wsr_close(o.engine, conn, 1001, SLICE("never mind")), WSR_OK);
        one_poll(&o, 10 * MS);
        assert_int_equal(o.closed, 1);
        assert_int_equal(o.record.cause, WSR_EABORTED);
        wsr_engine_statistics stats;
        wsr_engine_stats(o.engine, &stats, sizeof stats);
        assert_int_equal(stats.open, 0);
        one_close(&o);
    }
}

static void a_bad_code_is_no_close(void **unused)
{
    (void)unused;
    struct one o;
    open_one(&o, 17);
    sim_place("10.0.0.1", 50 * MS, 0);
    wsr_conn conn = connect_to(&o, "10.0.0.1", o.port);
    assert_int_equal(wsr_close(o.engine, conn, 1006, SLICE("")), WSR_EBADCODE);
    assert_int_equal(wsr_close(o.engine, conn, 1000, SLICE("\xff")), WSR_EBADUTF8);
    assert_int_equal(wsr_send(o.engine, conn, WSR_TEXT, SLICE("early")), WSR_ESTATE);
    time_to_open(&o);
    one_close(&o);
}

/* The handshake's clock starts with the connection, not with the dial. */
static void the_handshake_has_its_own_time(void **unused)
{
    (void)unused;
    struct one o;
    sim_reset(18);
    one_open_limits(&o, &(wsr_limits){.handshake_timeout_ns = 1 * SECOND, .close_timeout_ns = 1 * SECOND});
    int listener = sim_peer_listen(9000);
    sim_place("10.0.0.1", 4 * SECOND, 0);
    connect_to(&o, "10.0.0.1", 9000);
    one_poll(&o, 4 * SECOND + 900 * MS);
    assert_int_equal(o.closed, 0);
    int peer = sim_peer_accept(listener);
    assert_true(peer >= 0);
    one_poll(&o, 3 * SECOND);
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.cause, WSR_ETIMEOUT_HANDSHAKE);
    sim_peer_close(peer);
    sim_peer_close(listener);
    one_close(&o);
}

/* ---- order ---- */

static void families_take_turns(void **unused)
{
    (void)unused;
    static const char *const rows[][2] = {
        {"", ""},         {"4", "4"},           {"6", "6"},           {"46", "46"},         {"64", "64"},
        {"6644", "6464"}, {"4466", "4646"},     {"6664", "6466"},     {"66664444", "64646464"}, {"4", "4"},
        {"4446", "4644"}, {"6464", "6464"},     {"466666", "466666"}, {"644444", "644444"},     {"6446446", "6464644"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        union wsr_ip_address addresses[8];
        const unsigned n = (unsigned)strlen(rows[i][0]);
        unsigned next[2] = {0, 0}, seen[2] = {0, 0};
        memset(addresses, 0, sizeof addresses);
        for (unsigned k = 0; k < n; k++) {
            const bool six = rows[i][0][k] == '6';
            addresses[k].any.sa_family = six ? AF_INET6 : AF_INET;
            addresses[k].in4.sin_port = (uint16_t)next[six]++; /* which of its family it was */
        }
        wsr_dial_order(addresses, n);
        for (unsigned k = 0; k < n; k++) {
            const bool six = rows[i][1][k] == '6';
            assert_int_equal(addresses[k].any.sa_family, six ? AF_INET6 : AF_INET);
            assert_int_equal(addresses[k].in4.sin_port, seen[six]++);
        }
    }
}

/* ---- the engine closes ---- */

static void the_engine_closes_in_any_phase(void **unused)
{
    (void)unused;
    for (uint64_t ms = 0; ms < 900; ms += 10) {
        struct one o;
        open_one(&o, 20 + ms);
        sim_name("server.example", 100 * MS, NULL, "10.0.0.1 2001:db8::1 10.0.0.2");
        sim_place("10.0.0.1", UINT64_MAX, 0);
        sim_place("2001:db8::1", 500 * MS, ECONNREFUSED);
        sim_place("10.0.0.2", 150 * MS, 0);
        connect_to(&o, "server.example", o.port);
        connect_to(&o, "nowhere.example", o.port);
        one_poll(&o, ms * MS);
        assert_true(o.closed <= 1);
        one_close(&o);
    }
}

/* Paused before there is a connection: that comes, and nothing is read until the application goes on. */
static void paused_from_the_beginning(void **unused)
{
    (void)unused;
    struct one o;
    open_one(&o, 19);
    sim_place("10.0.0.1", 50 * MS, 0);
    wsr_conn conn = connect_to(&o, "10.0.0.1", o.port);
    assert_int_equal(wsr_pause_read(o.engine, conn), WSR_OK);
    one_poll(&o, SECOND);
    assert_int_equal(o.opened, 1); /* the server's */
    assert_int_equal(wsr_resume_read(o.engine, conn), WSR_OK);
    one_poll(&o, SECOND);
    assert_int_equal(o.opened, 2);
    assert_int_equal(o.closed, 0);
    one_close(&o);
}

/* ---- anything at any time ---- */

enum { WILD_CLIENTS = 12 };

struct wild {
    wsr_conn conn;
    unsigned opened, closed;
    uint64_t act_ns; /* when the application does something to it */
};

static void wild_hosts(void)
{
    static const char *const texts[] = {"10.0.0.1", "10.0.0.1 10.0.0.2", "2001:db8::1 10.0.0.2 10.0.0.3", "10.0.0.3 2001:db8::1 10.0.0.1 10.0.0.2"};
    static const char *const places[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1"};
    static const int errors[] = {0, 0, 0, ECONNREFUSED, ENETUNREACH, ETIMEDOUT};
    for (unsigned i = 0; i < 4; i++) {
        char host[16];
        snprintf(host, sizeof host, "h%u.example", i);
        sim_name(host, sim_chance(10) ? UINT64_MAX : sim_below(SECOND / 2), sim_chance(15) ? "no" : NULL, texts[sim_below(4)]);
        sim_place(places[i], sim_chance(25) ? UINT64_MAX : sim_below(SECOND), errors[sim_below(6)]);
    }
}

static void act(wsr_engine *engine, struct wild *w)
{
    w->act_ns = UINT64_MAX;
    switch (sim_below(4)) {
    case 0:
        (void)!wsr_abort(engine, w->conn);
        break;
    case 1:
        (void)!wsr_pause_read(engine, w->conn);
        (void)!wsr_resume_read(engine, w->conn);
        w->act_ns = sim_now_ns() + sim_below(SECOND);
        break;
    default:
        if (wsr_close(engine, w->conn, 1000, SLICE("")) == WSR_ESTATE) /* closing already, or soon over */
            w->act_ns = UINT64_MAX;
    }
}

static void wild_step(struct one *o, struct wild *wild)
{
    wsr_event ev[3];
    int n = wsr_poll(o->engine, ev, 1 + (unsigned)sim_below(3), (int64_t)sim_below(20 * MS));
    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        struct wild *w = ev[i].user;
        if (w == NULL)
            continue; /* the server's */
        assert_int_equal(w->closed, 0); /* nothing comes behind CLOSED */
        w->opened += ev[i].type == WSR_EVENT_OPEN;
        w->closed += ev[i].type == WSR_EVENT_CLOSED;
        assert_true(w->opened <= 1);
    }
    for (unsigned i = 0; i < WILD_CLIENTS; i++)
        if (wild[i].act_ns <= sim_now_ns())
            act(o->engine, &wild[i]);
}

static void anything_at_any_time(void **unused)
{
    (void)unused;
    unsigned opened = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct one o;
        struct wild wild[WILD_CLIENTS];
        memset(wild, 0, sizeof wild);
        sim_reset(seed);
        sim_chaos();
        wild_hosts();
        one_open(&o, NULL);
        for (unsigned i = 0; i < WILD_CLIENTS; i++) {
            wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
            snprintf(url, sizeof url, "ws://h%u.example:%u/", (unsigned)sim_below(5), (unsigned)o.port);
            config.url = url;
            config.user = &wild[i];
            config.connect_timeout_ns = 1 + sim_below(4 * SECOND);
            assert_int_equal(wsr_connect(o.engine, &config, &wild[i].conn), WSR_OK);
            wild[i].act_ns = sim_now_ns() + sim_below(6 * SECOND);
        }
        begun_ns = sim_now_ns();
        const uint64_t end_ns = begun_ns + (sim_chance(30) ? sim_below(3 * SECOND) : 60 * SECOND);
        for (unsigned closed = 0; closed < WILD_CLIENTS && sim_now_ns() < end_ns;) {
            wild_step(&o, wild);
            closed = 0;
            for (unsigned i = 0; i < WILD_CLIENTS; i++)
                closed += wild[i].closed;
            assert_true(closed == WILD_CLIENTS || sim_now_ns() < begun_ns + 50 * SECOND);
        }
        for (unsigned i = 0; i < WILD_CLIENTS; i++)
            opened += wild[i].opened;
        one_close(&o);
    }
    assert_true(opened > 1000); /* and not everything fails */
    printf("%u of %u connections opened\n", opened, 400 * WILD_CLIENTS);
}

/* ---- every call fails in its turn ---- */

enum { CONNECTIONS = 4 };

static unsigned begin_all(struct one *o)
{
    static const char *const hosts[CONNECTIONS] = {"server.example", "nowhere.example", "slow.example", "10.0.0.3"};
    unsigned begun = 0;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
        snprintf(url, sizeof url, "ws://%s:%u/", hosts[i], (unsigned)o->port);
        config.url = url;
        config.connect_timeout_ns = 5 * SECOND;
        wsr_conn conn;
        begun += wsr_connect(o->engine, &config, &conn) == WSR_OK;
    }
    return begun;
}

/* Polls until every connection of ours has opened and been cut, or failed. Returns how many CLOSED of clients there were. */
static unsigned play(struct one *o, unsigned begun)
{
    unsigned closed = 0;
    const uint64_t end_ns = sim_now_ns() + 60 * SECOND;
    wsr_engine_statistics stats = {0};
    do {
        wsr_event ev[4];
        int n = wsr_poll(o->engine, ev, 4, 100 * (int64_t)MS);
        assert_true(n >= 0 || n == WSR_ESYS);
        for (int i = 0; i < n; i++) {
            if (ev[i].type == WSR_EVENT_OPEN)
                (void)!wsr_abort(o->engine, ev[i].conn);
            closed += ev[i].type == WSR_EVENT_CLOSED;
        }
        wsr_engine_stats(o->engine, &stats, sizeof stats);
        if (sim_now_ns() > end_ns)
            fail_msg("no end; %u begun, %u slots open", begun, (unsigned)stats.open);
    } while (stats.open > 0);
    return closed - (unsigned)stats.accepted;
}

static void dial_all(const void *unused)
{
    (void)unused;
    struct one o;
    sim_name("server.example", 20 * MS, NULL, "10.0.0.1 2001:db8::1 10.0.0.2");
    sim_place("10.0.0.1", 20 * SECOND, ETIMEDOUT); /* TCP gives up in the end, also where a cancel has come to nothing */
    sim_place("2001:db8::1", 500 * MS, ECONNREFUSED);
    sim_place("10.0.0.2", 150 * MS, 0);
    sim_name("slow.example", UINT64_MAX, NULL, NULL);
    wsr_config config = WSR_CONFIG_INIT;
    config.buffers = 4;
    config.buffer_bytes = 4096;
    config.sq_entries = 4;
    config.allocator = &failing;
    one_open(&o, &config);
    sweep_begin();
    const unsigned begun = begin_all(&o);
    assert_int_equal(play(&o, begun), begun);
    sweep_serves(o.engine, o.engine);
    one_close(&o);
}

static const struct sweep_story dialling = {"dialling", dial_all, .wild = 5};

static void every_call_fails_in_its_turn(void **unused)
{
    (void)unused;
    sweep_all(&dialling);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return sweep_main(argc, argv, &dialling, 1);
    if (getenv("SIM_TRACE") != NULL)
        sim_trace = stderr;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_resolved),
        cmocka_unit_test(a_numeric_host_is_not_asked_for),
        cmocka_unit_test(what_the_resolver_says_is_in_the_record),
        cmocka_unit_test(a_resolver_that_hangs_is_given_up),
        cmocka_unit_test(the_deadline_is_of_both_together),
        cmocka_unit_test(a_late_answer_is_dropped),
        cmocka_unit_test(no_resolver_is_an_end_like_others),
        cmocka_unit_test(an_address_that_hangs_has_250_ms),
        cmocka_unit_test(the_other_family_is_second),
        cmocka_unit_test(an_answer_is_news_once),
        cmocka_unit_test(one_that_fails_is_followed_at_once),
        cmocka_unit_test(the_first_may_win_after_others_were_begun),
        cmocka_unit_test(all_fail_and_the_record_says_how),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(no_descriptor_for_any_address),
        cmocka_unit_test(closed_in_the_midst_of_many),
        cmocka_unit_test(a_bad_code_is_no_close),
        cmocka_unit_test(the_handshake_has_its_own_time),
        cmocka_unit_test(paused_from_the_beginning),
        cmocka_unit_test(families_take_turns),
        cmocka_unit_test(the_engine_closes_in_any_phase),
        cmocka_unit_test(anything_at_any_time),
        cmocka_unit_test_teardown(every_call_fails_in_its_turn, sweep_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
