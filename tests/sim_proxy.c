/*
 * tests/sim_proxy.c - an engine that connects through proxies of this file's, on the simulated host: some do what they should, the
 * others stall, reset, hang up and talk nonsense; and with a good one every call fails in its turn. CLOSED comes once, nothing is
 * left open, and each deadline is met.
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

#include "lib/failing.h"
#include "lib/one.h"
#include "lib/sweep.h"
#include "sim/sim.h"

enum { PROXY_PORT = 3128, CLIENTS = 2 };

/* ---- a proxy: takes connections, reads a request, answers, and then lets everything pass ---- */

struct line {
    int in, out;      /* the client; the target; -1: none */
    unsigned asked;   /* bytes of requests read */
    char head[512];
    bool tunnel, in_over, out_over;
};

struct proxy {
    int listener;
    bool socks;
    const char *answer; /* in place of a good one: that and no more; NULL: a good one */
    uint16_t target;
    struct line lines[CLIENTS];
    unsigned lines_n;
};

static void proxy_open(struct proxy *p, uint16_t target, bool socks, const char *answer)
{
    memset(p, 0, sizeof *p);
    p->listener = sim_peer_listen(PROXY_PORT);
    assert_true(p->listener >= 0);
    p->socks = socks;
    p->answer = answer;
    p->target = target;
}

static void say(const struct line *line, const void *bytes, size_t len)
{
    (void)sim_peer_write(line->in, bytes, len); /* few enough to be taken; a client that is gone takes none */
}

static void stand(struct proxy *p, struct line *line, const void *answer, size_t len)
{
    line->out = sim_peer_connect(p->target);
    line->tunnel = line->out >= 0;
    if (line->tunnel)
        say(line, answer, len);
    else
        sim_peer_close(line->in), line->in = -1;
}

/* What was read so far is in head. */
static void consider(struct proxy *p, struct line *line)
{
    static const char good[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    const bool complete = p->socks ? line->asked == 3 + 10 : line->asked > 4 && memcmp(line->head + line->asked - 4, "\r\n\r\n", 4) == 0;
    if (p->socks && line->asked == 3 && p->answer == NULL)
        say(line, "\5\0", 2);
    if (p->answer != NULL && (complete || (p->socks && line->asked == 3)))
        say(line, p->answer, strlen(p->answer));
    else if (complete && p->socks)
        stand(p, line, "\5\0\0\1\0\0\0\0\0\0", 10);
    else if (complete)
        stand(p, line, good, sizeof good - 1);
}

static bool pump(int from, int to, bool *over)
{
    uint8_t bytes[512];
    if (*over)
        return false;
    const ptrdiff_t n = sim_peer_read(from, bytes, sizeof bytes);
    if (n == -EAGAIN)
        return false;
    if (n <= 0) {
        *over = true;
        sim_peer_shutdown(to);
        return true;
    }
    for (ptrdiff_t done = 0; done < n;) {
        const ptrdiff_t wrote = sim_peer_write(to, bytes + done, (size_t)(n - done));
        if (wrote < 0) {
            *over = true;
            break;
        }
        done += wrote;
        if (wrote == 0)
            sim_sleep(MS); /* its buffer is full */
    }
    return true;
}

static bool line_step(struct proxy *p, struct line *line)
{
    if (line->in < 0)
        return false;
    if (line->tunnel) {
        bool moved = pump(line->in, line->out, &line->in_over);
        return pump(line->out, line->in, &line->out_over) || moved;
    }
    if (line->asked == sizeof line->head || sim_peer_read(line->in, line->head + line->asked, 1) != 1)
        return false;
    line->asked++;
    consider(p, line);
    return true;
}

/* True if anything moved. */
static bool proxy_step(struct proxy *p)
{
    bool moved = false;
    int in = p->lines_n < CLIENTS ? sim_peer_accept(p->listener) : -1;
    if (in >= 0)
        p->lines[p->lines_n++] = (struct line){.in = in, .out = -1};
    for (unsigned i = 0; i < p->lines_n; i++)
        moved |= line_step(p, &p->lines[i]);
    return moved || in >= 0;
}

static void proxy_close(struct proxy *p)
{
    for (unsigned i = 0; i < p->lines_n; i++) {
        if (p->lines[i].in >= 0)
            sim_peer_close(p->lines[i].in);
        if (p->lines[i].out >= 0)
            sim_peer_close(p->lines[i].out);
    }
    sim_peer_close(p->listener);
}

/* ---- the client ---- */

static uint64_t begun_ns;

static wsr_conn connect_through(struct one *o, bool socks, uint64_t proxy_timeout_ns)
{
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    char url[64], proxy[64];
    snprintf(url, sizeof url, "ws://10.1.2.3:%u/", (unsigned)o->port);
    snprintf(proxy, sizeof proxy, "%s://10.0.0.9:%d", socks ? "socks5" : "http", PROXY_PORT);
    config.url = url;
    config.proxy = proxy;
    config.proxy_timeout_ns = proxy_timeout_ns;
    config.user = o;
    wsr_conn conn = 0;
    assert_int_equal(wsr_connect(o->engine, &config, &conn), WSR_OK);
    begun_ns = sim_now_ns();
    return conn;
}

static char last_detail[160];

/* Polls and plays the proxy until nothing moves, for ns of virtual time. The client's CLOSED is the one that counts. */
static void go(struct one *o, struct proxy *p, uint64_t ns)
{
    const uint64_t until_ns = sim_now_ns() + ns;
    while (sim_now_ns() < until_ns) {
        wsr_event ev[8];
        int n = wsr_poll(o->engine, ev, 8, 0);
        assert_true(n >= 0);
        for (int i = 0; i < n; i++) {
            const wsr_close_record *record = wsr_event_close_record(&ev[i]);
            o->opened += wsr_event_response(&ev[i]) != NULL;
            if (wsr_event_response(&ev[i]) != NULL)
                o->conn = ev[i].conn;
            if (record == NULL || ev[i].user != o)
                continue;
            o->closed++;
            o->record = *record;
            o->closed_at_ns = ev[i].time_ns;
            snprintf(last_detail, sizeof last_detail, "%s", record->detail != NULL ? record->detail : "");
        }
        if (!proxy_step(p) && n == 0)
            sim_sleep(MS);
    }
}

static void expect_at(uint64_t at_ns, uint64_t expected_ns)
{
    if (at_ns < expected_ns || at_ns > expected_ns + 5 * MS)
        fail_msg("%llu ns, not %llu", (unsigned long long)(at_ns - begun_ns), (unsigned long long)(expected_ns - begun_ns));
}

/* ---- tests ---- */

static void through_a_good_one(void **unused)
{
    (void)unused;
    for (unsigned socks = 0; socks < 2; socks++) {
        for (uint64_t seed = 0; seed < 30; seed++) {
            struct one o;
            struct proxy p;
            sim_reset(seed);
            if (seed > 0)
                sim_chaos();
            one_open(&o, NULL);
            proxy_open(&p, o.port, socks, NULL);
            connect_through(&o, socks, 0);
            while (o.opened == 0 && o.closed == 0)
                go(&o, &p, 10 * MS);
            assert_int_equal(o.closed, 0);
            assert_int_equal(wsr_close(o.engine, o.conn, 1000, SLICE("done")), WSR_OK);
            while (o.closed == 0)
                go(&o, &p, 10 * MS);
            assert_true(o.record.clean);
            assert_int_equal(o.record.code, 1000);
            proxy_close(&p);
            one_close(&o);
        }
    }
}

static void what_it_says_is_in_the_record(void **unused)
{
    (void)unused;
    static const struct {
        bool socks;
        const char *answer, *detail;
        unsigned status;
    } rows[] = {
        {false, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno", "the proxy said: 407 Proxy Authentication Required", 407},
        {false, "HTTP/1.1 502 Bad Gateway\r\n\r\n", "the proxy said: 502 Bad Gateway", 502},
        {false, "hello\r\n", "the proxy's answer is no HTTP: the first line is not METHOD SP TARGET SP HTTP/1.1", 0},
        {true, "\5\377", "the proxy wants a user and password", 0},
        {true, "SSH-2.0-x\r\n", "the proxy's answer is no SOCKS 5", 0},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct one o;
        struct proxy p;
        sim_reset(i);
        one_open(&o, NULL);
        proxy_open(&p, o.port, rows[i].socks, rows[i].answer);
        connect_through(&o, rows[i].socks, 0);
        go(&o, &p, 20 * SECOND);
        assert_int_equal(o.opened, 0);
        assert_int_equal(o.closed, 1);
        assert_int_equal(o.record.cause, WSR_EPROXY);
        assert_int_equal(o.record.http_status, rows[i].status);
        assert_string_equal(last_detail, rows[i].detail);
        expect_at(o.closed_at_ns, begun_ns);
        proxy_close(&p);
        one_close(&o);
    }
}

static void one_that_stalls_has_its_time(void **unused)
{
    (void)unused;
    struct one o;
    struct proxy p;
    sim_reset(1);
    one_open(&o, NULL);
    proxy_open(&p, o.port, false, "HTTP/1.1 200 O"); /* and no more */
    sim_place("10.0.0.9", 2 * SECOND, 0);
    connect_through(&o, false, 3 * SECOND);
    go(&o, &p, 20 * SECOND);
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.cause, WSR_EPROXY);
    assert_true(strlen(last_detail) > 0);
    expect_at(o.closed_at_ns, begun_ns + 5 * SECOND); /* not counted: connecting */
    proxy_close(&p);
    one_close(&o);
}

/* The upgrade's time begins when the tunnel stands. */
static void the_handshake_has_its_own_time(void **unused)
{
    (void)unused;
    struct one o;
    struct proxy p;
    sim_reset(2);
    one_open_limits(&o, &(wsr_limits){.handshake_timeout_ns = 2 * SECOND, .close_timeout_ns = SECOND});
    proxy_open(&p, o.port, false, NULL);
    connect_through(&o, false, 10 * SECOND);
    for (unsigned i = 0; i < 40; i++) { /* the proxy thinks for four seconds */
        one_poll(&o, 100 * MS);
        assert_int_equal(o.closed, 0);
    }
    int silent = sim_peer_listen(9999); /* and then a target that says nothing */
    p.target = 9999;
    const uint64_t tunnel_ns = sim_now_ns();
    go(&o, &p, 10 * SECOND);
    assert_int_equal(o.closed, 1);
    assert_int_equal(o.record.cause, WSR_ETIMEOUT_HANDSHAKE);
    assert_true(o.closed_at_ns >= tunnel_ns + 2 * SECOND);
    proxy_close(&p);
    sim_peer_close(silent);
    one_close(&o);
}

static void it_goes_away(void **unused)
{
    (void)unused;
    for (unsigned reset = 0; reset < 2; reset++) {
        struct one o;
        struct proxy p;
        sim_reset(3);
        one_open(&o, NULL);
        proxy_open(&p, o.port, false, "HTTP/1.1 200 O");
        connect_through(&o, false, 0);
        go(&o, &p, 50 * MS);
        assert_int_equal(p.lines_n, 1);
        if (reset != 0)
            sim_peer_reset(p.lines[0].in);
        else
            sim_peer_close(p.lines[0].in);
        p.lines[0].in = -1;
        go(&o, &p, SECOND);
        assert_int_equal(o.closed, 1);
        assert_int_equal(o.record.cause, WSR_EPROXY);
        proxy_close(&p);
        one_close(&o);
    }
}

static void closed_while_it_is_asked(void **unused)
{
    (void)unused;
    for (unsigned abort = 0; abort < 2; abort++) {
        struct one o;
        struct proxy p;
        sim_reset(4);
        one_open(&o, NULL);
        proxy_open(&p, o.port, true, "");
        wsr_conn conn = connect_through(&o, true, 0);
        go(&o, &p, 50 * MS);
        assert_int_equal(o.closed, 0);
        assert_int_equal(abort != 0 ? wsr_abort(o.engine, conn) : wsr_close(o.engine, conn, 1000, SLICE("")), WSR_OK);
        go(&o, &p, 10 * MS);
        assert_int_equal(o.closed, 1);
        assert_int_equal(o.record.cause, WSR_EABORTED);
        proxy_close(&p);
        one_close(&o);
    }
}

static void the_engine_closes_at_any_time(void **unused)
{
    (void)unused;
    for (unsigned turns = 0; turns < 60; turns++) {
        struct one o;
        struct proxy p;
        sim_reset(100 + turns);
        sim_chaos();
        one_open(&o, NULL);
        proxy_open(&p, o.port, turns % 2 != 0, NULL);
        connect_through(&o, turns % 2 != 0, 0);
        for (unsigned i = 0; i < turns; i++)
            go(&o, &p, MS / 4);
        wsr_engine_close(o.engine);
        proxy_close(&p);
        sim_sleep(SECOND);
        one_no_leaks();
    }
}

/* ---- every call fails in its turn ---- */

/* Plays until every connection is over. Returns how many CLOSED the clients got. */
static unsigned play(struct one *o, struct proxy *p)
{
    unsigned closed = 0;
    const uint64_t end_ns = sim_now_ns() + 120 * SECOND;
    wsr_engine_statistics stats = {0};
    do {
        wsr_event ev[4];
        int n = wsr_poll(o->engine, ev, 4, 0);
        assert_true(n >= 0 || n == WSR_ESYS);
        for (int i = 0; i < n; i++) {
            if (wsr_event_response(&ev[i]) != NULL && wsr_close(o->engine, ev[i].conn, 1000, SLICE("")) != WSR_OK)
                (void)!wsr_abort(o->engine, ev[i].conn); /* no memory for a Close */
            closed += ev[i].type == WSR_EVENT_CLOSED && ev[i].user == o;
        }
        if (!proxy_step(p) && n <= 0)
            sim_sleep(MS);
        wsr_engine_stats(o->engine, &stats, sizeof stats);
        if (sim_now_ns() > end_ns)
            fail_msg("no end; %u slots open", (unsigned)stats.open);
    } while (stats.open > 0);
    return closed;
}

static void go_through(const void *scheme)
{
    struct one o;
    struct proxy p;
    wsr_config config = WSR_CONFIG_INIT;
    config.limits.handshake_timeout_ns = config.limits.close_timeout_ns = 5 * SECOND;
    config.buffers = 4;
    config.buffer_bytes = 4096;
    config.sq_entries = 4;
    config.allocator = &failing;
    one_open(&o, &config);
    proxy_open(&p, o.port, strcmp(scheme, "socks5") == 0, NULL);
    sweep_begin();
    unsigned begun = 0;
    char url[64], proxy[64];
    snprintf(url, sizeof url, "ws://10.1.2.3:%u/", (unsigned)o.port);
    snprintf(proxy, sizeof proxy, "%s://10.0.0.9:%d", (const char *)scheme, PROXY_PORT);
    for (unsigned i = 0; i < CLIENTS; i++) {
        wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
        connect.url = url;
        connect.proxy = proxy;
        connect.user = &o;
        wsr_conn conn;
        begun += wsr_connect(o.engine, &connect, &conn) == WSR_OK;
    }
    assert_int_equal(play(&o, &p), begun);
    proxy_close(&p);
    sweep_serves(o.engine, o.engine);
    one_close(&o);
}

static const struct sweep_story through_proxies[] = {
    {"through an HTTP proxy", go_through, "http", .wild = 2},
    {"through a SOCKS proxy", go_through, "socks5", .wild = 2},
};

static void every_call_fails_in_its_turn(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 2; i++)
        sweep_all(&through_proxies[i]);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return sweep_main(argc, argv, through_proxies, 2);
    if (getenv("SIM_TRACE") != NULL)
        sim_trace = stderr;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(through_a_good_one),
        cmocka_unit_test(what_it_says_is_in_the_record),
        cmocka_unit_test(one_that_stalls_has_its_time),
        cmocka_unit_test(the_handshake_has_its_own_time),
        cmocka_unit_test(it_goes_away),
        cmocka_unit_test(closed_while_it_is_asked),
        cmocka_unit_test(the_engine_closes_at_any_time),
        cmocka_unit_test_teardown(every_call_fails_in_its_turn, sweep_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
