/*
 * tests/test_traffic.c - the load's verification and accounting, on a fake engine whose server can be told to misbehave.
 *
 * What is proved here is that the load notices: a wrong byte, length, type or turn, an echo too many, a message that the
 * engine lost. The real engine is put to the same load in test_cli.sh.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/cmd.h"
#include "tools/traffic.h"

/* --- The fake engine: connections that echo when polled ------------------------------------------------------------------ */

#define SECOND_NS 1000000000ull
#define MILLI_NS 1000000ull

enum { CONNS_MAX = 8, QUEUE_MAX = 64, FULL_EVERY = 7 };

struct queued {
    uint8_t opcode;
    size_t len;
    uint8_t *bytes;
};

struct fake_conn {
    void *user;
    bool open, closing, closed;
    bool owes_writable;
    unsigned n;
    struct queued queue[QUEUE_MAX]; /* not yet echoed */
    uint64_t sends, messages_out, messages_in;
    wsr_close_record record;
};

enum fault { NONE, FLIP_BYTE, CHANGE_OPCODE, SHORTEN, SWAP, DUPLICATE, LOSE_FROM_RECORD, WRONG_PONG, REFUSE_CONNECT };

static struct fake {
    unsigned n;
    struct fake_conn conns[CONNS_MAX];
    enum fault fault;
    uint64_t fault_at;       /* the echo, counted over all, that is spoiled */
    uint64_t echoes;
    bool refuse_some;        /* every FULL_EVERYth send is refused once with EFULL */
    bool hold;               /* echo nothing */
    uint8_t *retired[1024];  /* echoes of the last batch */
    unsigned retired_n;
    uint64_t now_ns;
    uint64_t clock_ns;       /* what cmd_now_ns says; 0: events are dated far in the future, and nothing else looks */
} fake;

/* In the place of the command's own clock. */
uint64_t cmd_now_ns(void)
{
    return fake.clock_ns;
}

static void release(void)
{
    while (fake.retired_n > 0)
        free(fake.retired[--fake.retired_n]);
}

int wsr_engine_open(wsr_engine **out, const wsr_config *config)
{
    (void)config;
    *out = (wsr_engine *)(void *)&fake;
    return 0;
}

void wsr_engine_close(wsr_engine *engine)
{
    (void)engine;
    release();
    for (unsigned i = 0; i < fake.n; i++) {
        for (unsigned k = 0; k < fake.conns[i].n; k++)
            free(fake.conns[i].queue[k].bytes);
        fake.conns[i].n = 0;
    }
}

int wsr_connect(wsr_engine *engine, const wsr_connect_config *config, wsr_conn *out)
{
    (void)engine;
    assert_true(fake.n < CONNS_MAX);
    fake.conns[fake.n].user = config->user;
    *out = ++fake.n;
    return 0;
}

static int queue(wsr_conn id, wsr_opcode opcode, wsr_slice payload)
{
    struct fake_conn *c = &fake.conns[id - 1];
    if (c->closing || c->closed)
        return WSR_ESTATE;
    if (fake.refuse_some && opcode != WSR_PING && ++c->sends % FULL_EVERY == 0) {
        c->owes_writable = true;
        return WSR_EFULL;
    }
    assert_true(c->n < QUEUE_MAX);
    struct queued *q = &c->queue[c->n++];
    q->opcode = (uint8_t)opcode;
    q->len = payload.len;
    q->bytes = malloc(payload.len + 1);
    if (payload.len > 0)
        memcpy(q->bytes, payload.ptr, payload.len);
    if (opcode != WSR_PING)
        c->messages_out++;
    return 0;
}

int wsr_send(wsr_engine *engine, wsr_conn conn, wsr_opcode opcode, wsr_slice payload)
{
    (void)engine;
    return queue(conn, opcode, payload);
}

int wsr_send_fragmented(wsr_engine *engine, wsr_conn conn, wsr_opcode opcode, wsr_slice payload, size_t fragment_bytes)
{
    (void)engine;
    assert_true(fragment_bytes > 0 && fragment_bytes < payload.len);
    return queue(conn, opcode, payload);
}

size_t wsr_outbox_bytes(const wsr_engine *engine, wsr_conn conn)
{
    (void)engine, (void)conn;
    return 0;
}

int wsr_close_at(wsr_engine *engine, wsr_conn conn, uint16_t code, wsr_slice reason, const char *file, int line)
{
    (void)engine, (void)reason, (void)file, (void)line;
    struct fake_conn *c = &fake.conns[conn - 1];
    if (c->closing)
        return WSR_ESTATE;
    c->closing = true;
    c->record.code = code;
    return 0;
}

int wsr_abort_at(wsr_engine *engine, wsr_conn conn, const char *file, int line)
{
    (void)engine, (void)file, (void)line;
    fake.conns[conn - 1].closing = true;
    fake.conns[conn - 1].record.code = 1006;
    fake.conns[conn - 1].record.cause = WSR_EABORTED;
    return 0;
}

static void spoil(struct fake_conn *c, wsr_event *event)
{
    switch (fake.fault) {
    case FLIP_BYTE:
        assert_true(event->data.len > 0);
        event->data.ptr[event->data.len - 1] ^= 1;
        break;
    case CHANGE_OPCODE:
        event->opcode = event->opcode == WSR_TEXT ? WSR_BINARY : WSR_TEXT;
        break;
    case SHORTEN:
        event->data.len--;
        break;
    case SWAP: {
        assert_true(c->n > 0);
        struct queued next = c->queue[0];
        c->queue[0] = (struct queued){event->opcode, event->data.len, event->data.ptr};
        fake.retired[fake.retired_n - 1] = next.bytes;
        event->opcode = next.opcode;
        event->data = (wsr_span){next.bytes, next.len};
        break;
    }
    default:
        break;
    }
}

static int echo_one(struct fake_conn *c, wsr_event *event)
{
    struct queued q = c->queue[0];
    memmove(c->queue, c->queue + 1, --c->n * sizeof q);
    fake.retired[fake.retired_n++] = q.bytes;
    event->type = q.opcode == WSR_PING ? WSR_EVENT_PONG : WSR_EVENT_MESSAGE;
    event->opcode = q.opcode;
    event->data = (wsr_span){q.bytes, q.len};
    if (event->type == WSR_EVENT_PONG) {
        if (fake.fault == WRONG_PONG)
            event->data.ptr[q.len - 1] ^= 1;
        return 1;
    }
    c->messages_in++;
    if (++fake.echoes != fake.fault_at)
        return 1;
    spoil(c, event);
    if (fake.fault != DUPLICATE)
        return 1;
    event[1] = event[0];
    c->messages_in++;
    return 2;
}

static void emit_closed(struct fake_conn *c, wsr_event *event)
{
    c->closed = true;
    c->record.messages_out = c->messages_out;
    c->record.messages_in = c->messages_in;
    event->type = WSR_EVENT_CLOSED;
    event->close_code = c->record.code;
    event->data = (wsr_span){(uint8_t *)&c->record, sizeof c->record};
}

static int step_conn(struct fake_conn *c, wsr_event *event)
{
    event->user = c->user;
    event->time_ns = fake.now_ns;
    if (c->closed)
        return 0;
    if (!c->open && fake.fault == REFUSE_CONNECT) {
        c->record.code = 1006;
        c->record.cause = WSR_ECONNECT;
        c->record.sys_errno = 111;
        emit_closed(c, event);
        return 1;
    }
    if (!c->open) {
        c->open = true;
        event->type = WSR_EVENT_OPEN;
        return 1;
    }
    if (c->owes_writable) {
        c->owes_writable = false;
        event->type = WSR_EVENT_WRITABLE;
        return 1;
    }
    if (c->n > 0 && !fake.hold)
        return echo_one(c, event);
    if (c->closing) {
        emit_closed(c, event);
        return 1;
    }
    return 0;
}

int wsr_poll(wsr_engine *engine, wsr_event *ev, unsigned cap, int64_t timeout_ns)
{
    (void)engine;
    release();
    if (fake.clock_ns != 0 && timeout_ns > 0)
        fake.clock_ns += (uint64_t)timeout_ns;
    fake.now_ns = fake.clock_ns != 0 ? fake.clock_ns : UINT64_MAX / 2;
    memset(ev, 0, cap * sizeof *ev);
    int n = 0;
    for (unsigned i = 0; i < fake.n; i++)
        n += step_conn(&fake.conns[i], &ev[n]);
    return n;
}

/* --- The load on it ------------------------------------------------------------------------------------------------------- */

static struct size_mix sizes;
static struct corpus corpus;
static struct traffic t;

static int make(void **state)
{
    (void)state;
    return size_mix_parse("20-4KiB", &sizes) == NULL && corpus_make(&corpus, sizes.max, 1, false) ? 0 : -1;
}

static int drop(void **state)
{
    (void)state;
    corpus_free(&corpus);
    return 0;
}

static void begin_config(const struct traffic_config *config, enum fault fault, uint64_t fault_at)
{
    memset(&fake, 0, sizeof fake);
    fake.fault = fault;
    fake.fault_at = fault_at;
    fake.clock_ns = config->rate > 0 ? SECOND_NS : 0;
    assert_int_equal(traffic_open(&t, config), 0);
    while (!traffic_connected(&t))
        assert_true(traffic_step(&t, 0) >= 0);
    traffic_start(&t);
}

static void begin(uint64_t messages, enum fault fault, uint64_t fault_at)
{
    struct traffic_config config = {.connections = 4, .depth = 5, .text = 0.5, .fragmented = 0.25, .pinged = 0.1, .messages_max = messages,
                                    .seed = 3, .sizes = &sizes, .corpus = &corpus};
    begin_config(&config, fault, fault_at);
}

static void run_to_the_end(void)
{
    for (int i = 0; i < 10000 && !traffic_sent_all(&t) && !traffic_done(&t); i++)
        assert_true(traffic_step(&t, 0) >= 0);
    traffic_finish(&t, 0, 4);
    for (int i = 0; i < 10000 && !traffic_done(&t); i++)
        assert_true(traffic_step(&t, 0) >= 0);
    assert_true(traffic_done(&t));
    traffic_close(&t);
}

static void test_all_echoed(void **state)
{
    (void)state;
    begin(1000, NONE, 0);
    run_to_the_end();
    assert_true(traffic_is_sound(&t.totals));
    assert_int_equal(t.totals.sent, 1000);
    assert_int_equal(t.totals.echoed, 1000);
    assert_int_equal(t.totals.sent_bytes, t.totals.echoed_bytes);
    assert_int_equal(t.totals.undelivered + t.totals.in_doubt + t.totals.ended_early, 0);
    assert_int_equal(closes_of(&t.totals.closes, 1000), 4);
    assert_int_equal(t.totals.latency.count, 1000);
    assert_in_range(t.totals.texts, 400, 600);
    assert_in_range(t.totals.fragmented, 180, 320);
    assert_in_range(t.totals.pings, 60, 140);
    assert_int_equal(t.totals.pongs, t.totals.pings);
}

static void test_refused_sends_are_sent_again(void **state)
{
    (void)state;
    begin(500, NONE, 0);
    fake.refuse_some = true;
    run_to_the_end();
    assert_true(traffic_is_sound(&t.totals));
    assert_int_equal(t.totals.echoed, 500);
}

static void check_wrong(enum fault fault, uint64_t wrong, const char *says)
{
    begin(1000, fault, 500);
    run_to_the_end();
    assert_false(traffic_is_sound(&t.totals));
    assert_int_equal(t.totals.wrong, wrong);
    assert_non_null(strstr(t.totals.first_wrong, says));
}

static void test_wrong_echoes_are_noticed(void **state)
{
    (void)state;
    check_wrong(FLIP_BYTE, 1, "was sent as 0x");
    check_wrong(CHANGE_OPCODE, 1, "opcode");
    check_wrong(SHORTEN, 1, "bytes sent");
}

/* Of the same length and type, so that only the bytes can tell. */
static void test_swapped_echoes_are_noticed(void **state)
{
    (void)state;
    assert_null(size_mix_parse("20", &sizes));
    for (uint64_t at = 10; at < 60; at++) {
        struct traffic_config config = {.connections = 4, .depth = 5, .messages_max = 1000, .seed = 3, .sizes = &sizes, .corpus = &corpus};
        begin_config(&config, SWAP, at);
        run_to_the_end();
        assert_int_equal(t.totals.wrong, 2);
    }
    assert_null(size_mix_parse("20-4KiB", &sizes));
}

static void test_an_echo_too_many_is_noticed(void **state)
{
    (void)state;
    begin(4, DUPLICATE, 4);
    run_to_the_end();
    assert_int_equal(t.totals.surplus, 1);
    assert_false(traffic_is_sound(&t.totals));
}

static void test_a_wrong_pong_is_noticed(void **state)
{
    (void)state;
    begin(1000, WRONG_PONG, 0);
    run_to_the_end();
    assert_true(t.totals.wrong_pongs > 0);
    assert_false(traffic_is_sound(&t.totals));
}

/* The server goes away with five messages of each connection in flight; the record says that two of them never left. */
static void go_away(uint64_t undelivered)
{
    begin(0, NONE, 0);
    for (int i = 0; i < 50; i++)
        assert_true(traffic_step(&t, 0) >= 0);
    fake.hold = true;
    for (unsigned i = 0; i < fake.n; i++) {
        fake.conns[i].closing = true;
        fake.conns[i].record.code = 1001;
        fake.conns[i].record.messages_undelivered = undelivered;
    }
    run_to_the_end();
    assert_int_equal(closes_of(&t.totals.closes, 1001), 4);
    assert_int_equal(t.totals.ended_early, 4);
}

static void test_in_doubt_and_undelivered(void **state)
{
    (void)state;
    go_away(2);
    assert_true(traffic_is_sound(&t.totals));
    assert_int_equal(t.totals.undelivered, 8);
    assert_int_equal(t.totals.in_doubt, 12);
    assert_int_equal(t.totals.sent, t.totals.echoed + 20);
    assert_int_equal(t.in_flight, 0);
    assert_int_equal(t.in_flight_bytes, 0);
}

static void test_a_record_that_does_not_add_up_is_noticed(void **state)
{
    (void)state;
    go_away(6); /* more than was in flight */
    assert_int_equal(t.totals.unaccounted, 4);
    assert_false(traffic_is_sound(&t.totals));

    begin(100, NONE, 0);
    fake.conns[2].messages_out -= 1; /* the engine lost one */
    fake.hold = true;
    for (unsigned i = 0; i < fake.n; i++)
        fake.conns[i].closing = true;
    run_to_the_end();
    assert_int_equal(t.totals.unaccounted, 1);
}

static void test_a_connection_that_never_reports_is_noticed(void **state)
{
    (void)state;
    begin(0, NONE, 0);
    traffic_close(&t);
    assert_int_equal(t.totals.unaccounted, 20);
}

static void test_refused_connections(void **state)
{
    (void)state;
    begin(100, REFUSE_CONNECT, 0);
    run_to_the_end();
    assert_int_equal(t.totals.failed, 4);
    assert_int_equal(t.totals.opened, 0);
    assert_int_equal(t.totals.sent, 0);
    assert_int_equal(t.totals.errors[-WSR_ECONNECT], 4);
    assert_int_equal(t.totals.first_errno, 111);
}

static void test_cut(void **state)
{
    (void)state;
    begin(0, NONE, 0);
    fake.hold = true;
    traffic_cut(&t);
    for (int i = 0; i < 10 && !traffic_done(&t); i++)
        assert_true(traffic_step(&t, 0) >= 0);
    assert_true(traffic_done(&t));
    traffic_close(&t);
    assert_int_equal(t.totals.in_doubt, 20);
    assert_int_equal(t.totals.unaccounted, 0);
    assert_int_equal(t.totals.errors[-WSR_EABORTED], 4);
}

/* --- By the clock: 1,000 messages a second over four connections, so that one is due every millisecond ------------------- */

static void begin_rate(uint64_t messages, uint32_t depth)
{
    struct traffic_config config = {.connections = 4, .depth = depth, .rate = 1000, .messages_max = messages, .seed = 3, .sizes = &sizes,
                                    .corpus = &corpus};
    begin_config(&config, NONE, 0);
}

/* As if each poll waited as long as it may: until something is due, at most. */
static void run_until(uint64_t ms)
{
    while (fake.clock_ns < SECOND_NS + ms * MILLI_NS) {
        uint64_t before_ns = fake.clock_ns;
        assert_true(traffic_step(&t, (int64_t)(SECOND_NS + ms * MILLI_NS - before_ns)) >= 0);
        assert_true(fake.clock_ns - before_ns <= MILLI_NS);
    }
}

static void test_a_rate_is_kept_whatever_comes_back(void **state)
{
    (void)state;
    begin_rate(0, 32);
    fake.hold = true;
    run_until(40);
    assert_int_equal(t.totals.sent, 40);
    assert_int_equal(t.totals.echoed, 0);
    for (unsigned i = 0; i < fake.n; i++)
        assert_int_equal(fake.conns[i].n, 10);
    assert_int_equal(t.totals.late.max, 0);
    /* The first of them was due 40 ms before its echo, the last 1 ms. */
    fake.hold = false;
    run_to_the_end();
    assert_true(traffic_is_sound(&t.totals));
    assert_int_equal(t.totals.echoed, t.totals.sent);
    assert_int_equal(t.totals.latency.max, 40 * MILLI_NS);
}

/* The load slept for 10 ms: the server would not have been asked meanwhile, and each of its answers is as late as that. */
static void test_latency_counts_from_when_it_was_due(void **state)
{
    (void)state;
    begin_rate(0, 32);
    run_until(1);
    fake.clock_ns += 10 * MILLI_NS;
    assert_true(traffic_step(&t, 0) >= 0);
    assert_int_equal(t.totals.sent, 12);
    assert_int_equal(t.totals.late.max, 10 * MILLI_NS);
    run_to_the_end();
    assert_int_equal(t.totals.latency.count, t.totals.sent);
    assert_in_range(t.totals.latency.max, 10 * MILLI_NS, 11 * MILLI_NS);
    assert_int_equal(histogram_quantile(&t.totals.latency, 0.5) > 3 * MILLI_NS, 1);
}

/* A server that is too far behind is asked less, but it is not forgotten what was due. */
static void test_what_may_not_be_sent_yet_is_late(void **state)
{
    (void)state;
    begin_rate(40, 2);
    fake.hold = true;
    run_until(60);
    assert_int_equal(t.totals.sent, 8);
    fake.hold = false;
    run_to_the_end();
    assert_int_equal(t.totals.sent, 40);
    assert_int_equal(t.totals.echoed, 40);
    assert_int_equal(t.totals.latency.max, 60 * MILLI_NS);
    assert_in_range(t.totals.late.max, 50 * MILLI_NS, 52 * MILLI_NS); /* message 8, due at 8 ms */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_echoed),
        cmocka_unit_test(test_refused_sends_are_sent_again),
        cmocka_unit_test(test_wrong_echoes_are_noticed),
        cmocka_unit_test(test_swapped_echoes_are_noticed),
        cmocka_unit_test(test_an_echo_too_many_is_noticed),
        cmocka_unit_test(test_a_wrong_pong_is_noticed),
        cmocka_unit_test(test_in_doubt_and_undelivered),
        cmocka_unit_test(test_a_record_that_does_not_add_up_is_noticed),
        cmocka_unit_test(test_a_connection_that_never_reports_is_noticed),
        cmocka_unit_test(test_refused_connections),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_a_rate_is_kept_whatever_comes_back),
        cmocka_unit_test(test_latency_counts_from_when_it_was_due),
        cmocka_unit_test(test_what_may_not_be_sent_yet_is_late),
    };
    return cmocka_run_group_tests_name("traffic", tests, make, drop);
}
