/*
 * tests/sim_comeback.c - a client that comes back, on the simulated host, in virtual time: every row of the policy's table
 * through the engine, with the bounds that the table says, to the nanosecond.
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

#include "conn/engine.h"
#include "lib/back.h"
#include "sim/sim.h"

/* ---- the ways to lose a connection ---- */

enum loss {
    CLOSE,        /* the server's Close, with `number` */
    STREAM_END,
    RESET,
    SILENCE,      /* it answers no ping */
    BAD_FRAME,
    /* before it is open */
    ANSWER,       /* with `text` */
    REFUSED,
    DEAF,         /* connecting hangs */
    MUTE,         /* no answer to the request */
    MUTE_END,     /* ... and then the end of the stream */
    BROKEN        /* what carries the bytes fails with `number`, as TLS, a proxy and the resolver say it */
};

static bool needs_open(enum loss loss)
{
    return loss <= BAD_FRAME;
}

static void prepare(struct back *b, enum loss loss, const char *text)
{
    b->answer = loss == ANSWER ? text : loss == MUTE || loss == MUTE_END || loss == BROKEN ? "" : NULL;
    b->hangs_up = loss == MUTE_END;
    if (loss == REFUSED && b->listener >= 0)
        back_unlisten(b);
    sim_knobs.latency_ns_max = loss == DEAF ? 1000000 * SECOND : 0;
}

static void lose(struct back *b, enum loss loss, int number)
{
    switch (loss) {
    case CLOSE:
        back_close_frame(b, (uint16_t)number);
        break;
    case STREAM_END:
    case RESET:
        back_peer_gone(b->peer, loss == RESET);
        break;
    case BAD_FRAME:
        back_frame(b, 0x83, "", 0);
        back_pass(b, MS);
        back_peer_gone(b->peer, false);
        break;
    case BROKEN: {
        struct wsr_connection *c = wsr_table_find(b->engine, b->conn);
        assert_non_null(c);
        while (b->accepted == 0 || b->requests < b->accepted)
            back_pass(b, MS);
        wsr_endpoint_broken(&c->ep, sim_now_ns(), number);
        wsr_conn_after(b->engine, c);
        break;
    }
    default:
        break;
    }
}

/* ---- the table ---- */

enum then { STOP, ASKS, RENEWS, FOLLOWS, DECORRELATED, FULL };

struct row {
    const char *name; /* of the cause, in the table */
    enum loss loss;
    int number;
    const char *text;
    enum then then;
    uint64_t low, high;   /* ns: the first delay of an outage */
    uint64_t floor;       /* ns: of full jitter */
    unsigned attempts;    /* of its kind; 0: no limit */
};

#define HTTP(status) "HTTP/1.1 " #status " x\r\nContent-Length: 0\r\n\r\n"
#define S SECOND

/* Written down from the design, not from the code. One endpoint; profile default. */
static const struct row rows[] = {
    {"we_failed", BAD_FRAME, 0, NULL, STOP, 0, 0, 0, 0},
    {"1000", CLOSE, 1000, NULL, STOP, 0, 0, 0, 0},
    {"1001", CLOSE, 1001, NULL, DECORRELATED, 0, 5 * S, 0, 0},
    {"1002", CLOSE, 1002, NULL, STOP, 0, 0, 0, 0},
    {"1003", CLOSE, 1003, NULL, STOP, 0, 0, 0, 0},
    {"1005", CLOSE, 0, NULL, STOP, 0, 0, 0, 0},
    {"1007", CLOSE, 1007, NULL, STOP, 0, 0, 0, 0},
    {"1008", CLOSE, 1008, NULL, ASKS, 0, 5 * S, 0, 0},
    {"1009", CLOSE, 1009, NULL, STOP, 0, 0, 0, 0},
    {"1011", CLOSE, 1011, NULL, FULL, S, S + 250 * MS, S, 5},
    {"1012", CLOSE, 1012, NULL, DECORRELATED, 5 * S, 30 * S, 0, 0},
    {"1013", CLOSE, 1013, NULL, DECORRELATED, 10 * S, 20 * S, 10 * S, 0},
    {"1014", CLOSE, 1014, NULL, FULL, S, S + 250 * MS, S, 5},
    {"3000", CLOSE, 3000, NULL, RENEWS, 0, 0, 0, 1},
    {"3003", CLOSE, 3003, NULL, STOP, 0, 0, 0, 0},
    {"3008", CLOSE, 3008, NULL, FULL, S, S + 250 * MS, S, 5},
    {"3xxx", CLOSE, 3999, NULL, ASKS, 0, 5 * S, 0, 0},
    {"4xxx", CLOSE, 4000, NULL, ASKS, 0, 5 * S, 0, 0},
    {"1006", STREAM_END, 0, NULL, DECORRELATED, 0, 5 * S, 0, 0},
    {"reset", RESET, 0, NULL, DECORRELATED, 0, 5 * S, 0, 0},
    {"ping_timeout", SILENCE, 0, NULL, DECORRELATED, 0, 5 * S, 0, 0},
    {"tls_certificate", BROKEN, WSR_ETLS_CERTIFICATE, NULL, STOP, 0, 0, 0, 0},
    {"tls_timeout", BROKEN, WSR_ETIMEOUT_TLS, NULL, FULL, 0, 250 * MS, 0, 0},
    {"dns", BROKEN, WSR_ERESOLVE, NULL, FULL, 0, 250 * MS, 0, 0},
    {"refused", REFUSED, 0, NULL, FULL, 0, 250 * MS, 0, 0},
    {"connect_timeout", DEAF, 0, NULL, FULL, 0, 250 * MS, 0, 0},
    {"handshake_timeout", MUTE, 0, NULL, FULL, 0, 250 * MS, 0, 0},
    {"eof_before_answer", MUTE_END, 0, NULL, FULL, 0, 250 * MS, 0, 0},
    {"proxy", BROKEN, WSR_EPROXY, NULL, FULL, 0, 250 * MS, 0, 0},
    {"http_3xx", ANSWER, 0, "HTTP/1.1 302 x\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n", FOLLOWS, 0, 0, 0, 5},
    {"http_400", ANSWER, 0, HTTP(400), STOP, 0, 0, 0, 0},
    {"http_401", ANSWER, 0, HTTP(401), RENEWS, 0, 0, 0, 1},
    {"http_403", ANSWER, 0, HTTP(403), STOP, 0, 0, 0, 0},
    {"http_404", ANSWER, 0, HTTP(404), STOP, 0, 0, 0, 0},
    {"http_407", ANSWER, 0, HTTP(407), RENEWS, 0, 0, 0, 1},
    {"http_410", ANSWER, 0, HTTP(410), STOP, 0, 0, 0, 0},
    {"http_426", ANSWER, 0, HTTP(426), STOP, 0, 0, 0, 0},
    {"http_429", ANSWER, 0, HTTP(429), FULL, 0, 300 * MS, 0, 0}, /* and a fifth on top */
    {"http_4xx", ANSWER, 0, HTTP(418), STOP, 0, 0, 0, 0},
    {"http_500", ANSWER, 0, HTTP(500), FULL, 0, 250 * MS, 0, 0},
    {"http_502", ANSWER, 0, HTTP(502), FULL, 0, 250 * MS, 0, 0},
    {"http_503", ANSWER, 0, HTTP(503), FULL, 0, 300 * MS, 0, 0},
    {"http_504", ANSWER, 0, HTTP(504), FULL, 0, 250 * MS, 0, 0},
    {"http_5xx", ANSWER, 0, HTTP(507), FULL, 0, 250 * MS, 0, 0},
    {"invalid_answer", ANSWER, 0, "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n", STOP, 0, 0, 0, 0},
};

/* 1010 is a client's to send: a server that does breaks a rule. local_close has tests of its own. */
enum { ROWS_WITHOUT = 2 };

/* What the row says of the delay number n (from 0) of an outage in which each loss is like the first. */
static uint64_t predicted(const struct row *row, bool highest, unsigned n, uint64_t previous)
{
    const uint64_t base = 250 * MS, cap = 30 * S;
    if (n == 0)
        return highest ? row->high : row->low;
    if (row->then == DECORRELATED) {
        const uint64_t low = row->floor > base ? row->floor : base, top = strcmp(row->name, "1013") == 0 ? 2 * cap : cap;
        const uint64_t high = 3 * (previous > low ? previous : low);
        return highest ? (high < top ? high : top) : low;
    }
    if (row->then == FULL) {
        const uint64_t range = base << n < cap ? base << n : cap;
        const bool fifth = strcmp(row->name, "http_429") == 0 || strcmp(row->name, "http_503") == 0;
        return row->floor + (highest ? (fifth ? range + range / 5 : range) : 0);
    }
    return 0;
}

static bool is_verdict(enum then then, wsr_verdict verdict)
{
    switch (then) {
    case ASKS:
        return verdict == WSR_VERDICT_ASK;
    case RENEWS:
        return verdict == WSR_VERDICT_RENEW;
    case FOLLOWS:
        return verdict == WSR_VERDICT_FOLLOW;
    default:
        return verdict == WSR_VERDICT_RETRY;
    }
}

/* An attempt came when it was due. */
static void came(const struct row *row, uint64_t at_ns, uint64_t due_ns)
{
    if (at_ns < due_ns || at_ns > due_ns + (row->loss == DEAF ? 2 : 1) * LATE)
        fail_msg("%s: an attempt came %lld ns late", row->name, (long long)(at_ns - due_ns));
}

/* An event tells of the loss number n what the row says of it. */
static void check_told(const struct row *row, const struct back_event *event, bool highest, unsigned n, uint64_t previous)
{
    const wsr_reconnecting *told = &event->reconnecting;
    const uint64_t wanted = row->then == ASKS ? 0 : predicted(row, highest, n, previous);
    if (strcmp(wsr_cause_lookup(told->cause)->name, row->name) != 0)
        fail_msg("%s: taken for %s", row->name, wsr_cause_lookup(told->cause)->name);
    assert_true(is_verdict(row->then, told->verdict));
    assert_int_equal(told->attempt, row->then == ASKS ? 0 : n + 1);
    if (told->delay_ns != wanted)
        fail_msg("%s: delay %u is %llu, not %llu", row->name, n, (unsigned long long)told->delay_ns, (unsigned long long)wanted);
    assert_string_equal(event->url, row->then == FOLLOWS ? "ws://127.0.0.1:9000/there" : "ws://127.0.0.1:9000/feed");
    assert_int_equal(told->endpoint, 0);
    assert_int_equal(event->answer_status, row->loss == ANSWER && row->then != STOP ? event->record.http_status : 0);
}

/* Does what the verdict waits for, if it does. Returns when the attempt is due. */
static uint64_t say_yes(struct back *b, const struct row *row, const struct back_event *event, bool highest)
{
    if (row->then != ASKS && row->then != RENEWS)
        return event->time_ns + event->reconnecting.delay_ns;
    const unsigned accepted = b->accepted;
    back_nothing(b, 9 * S);
    assert_int_equal(b->accepted, accepted);
    assert_int_equal(back_now(b, row->then == RENEWS ? "Authorization: Bearer fresh\r\n" : NULL), WSR_OK);
    return sim_now_ns() + predicted(row, highest, 0, 0);
}

/* One outage: lost, told, and attempted again when it was said; until it ends, or was lost a few times. */
static void play(const struct row *row, bool highest)
{
    enum { LOSSES = 7 };
    static struct back b;
    const wsr_config config = {.size = sizeof config, .limits = {.ping_interval_ns = 20 * S, .ping_timeout_ns = 10 * S}};
    const unsigned losses = row->then == ASKS ? 1 : row->attempts > 0 ? row->attempts : LOSSES; /* after them it ends, or is ended */
    uint64_t previous = 0, due_ns = 0;
    sim_reset(1);
    back_open(&b, &config);
    b.random = highest ? BACK_HIGHEST : BACK_LOWEST;
    prepare(&b, row->loss, row->text);
    back_connect(&b);
    due_ns = sim_now_ns();
    for (unsigned n = 0; row->then != STOP && n < losses; n++) {
        if (needs_open(row->loss))
            (void)back_next(&b, WSR_EVENT_OPEN, SECOND);
        lose(&b, row->loss, row->number);
        const struct back_event *event = back_next(&b, WSR_EVENT_RECONNECTING, 60 * S);
        check_told(row, event, highest, n, previous);
        if (row->loss == REFUSED)
            came(row, event->time_ns, due_ns);
        else if (row->loss == DEAF)
            came(row, event->time_ns - 10 * S, due_ns); /* a timer for its end, too */
        previous = event->reconnecting.delay_ns;
        due_ns = say_yes(&b, row, event, highest);
        const unsigned accepted = b.accepted;
        if (row->loss == REFUSED || row->loss == DEAF)
            continue;
        back_pass(&b, due_ns - sim_now_ns() + LATE);
        assert_int_equal(b.accepted, accepted + 1);
        came(row, b.peer->accepted_ns, due_ns);
    }
    if (needs_open(row->loss))
        (void)back_next(&b, WSR_EVENT_OPEN, SECOND);
    const bool exhausted = row->attempts > 0 || row->then == STOP;
    if (exhausted)
        lose(&b, row->loss, row->number);
    else
        assert_int_equal(wsr_abort(b.engine, b.conn), WSR_OK);
    while (!exhausted && b.seen_n < b.events_n) /* the last attempt may have been lost by now, too */
        (void)back_next(&b, WSR_EVENT_RECONNECTING, 0);
    const struct back_event *event = back_next(&b, WSR_EVENT_CLOSED, 60 * S);
    if (exhausted)
        assert_string_equal(wsr_cause_lookup(wsr_cause_of_record(&event->record, needs_open(row->loss)))->name, row->name);
    else
        assert_int_equal(event->error, WSR_EABORTED);
    back_nothing(&b, 3600 * S);
    prepare(&b, ANSWER, NULL);
    back_close(&b);
}

static void every_row_of_the_table(void **unused)
{
    (void)unused;
    bool covered[WSR_CAUSES] = {false};
    unsigned n = 0;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        play(&rows[i], false);
        play(&rows[i], true);
        for (unsigned k = 0; k < WSR_CAUSES; k++)
            covered[k] |= strcmp(wsr_cause_lookup((wsr_cause)k)->name, rows[i].name) == 0;
    }
    for (unsigned k = 0; k < WSR_CAUSES; k++)
        n += covered[k];
    assert_int_equal(n, WSR_CAUSES - ROWS_WITHOUT);
    assert_false(covered[WSR_CAUSE_LOCAL_CLOSE] || covered[WSR_CAUSE_1010]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
