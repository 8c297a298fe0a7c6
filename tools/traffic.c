/*
 * tools/traffic.c - see traffic.h: connections and what becomes of them. The messages are in traffic_message.c.
 */
#include "tools/traffic.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/traffic_message.h"

enum { BATCH = 256, CONNECTING_MAX = 128 };

static const wsr_slice no_reason = {NULL, 0};

/* --- Opening and closing ------------------------------------------------------------------------------------------------ */

static uint32_t below(double fraction)
{
    return (uint32_t)(fraction * (1 << 24) + 0.5);
}

static uint32_t power_of_two(uint32_t n)
{
    uint32_t p = 1;
    while (p < n)
        p *= 2;
    return p;
}

static int open_engine(struct traffic *t)
{
    enum { OUTBOX_MIN = 16 << 20, MEMORY_MIN = 1 << 30 };
    wsr_config config = WSR_CONFIG_INIT;
    uint64_t largest = t->config.sizes->max;
    uint64_t memory = TRAFFIC_IN_FLIGHT_BYTES_MAX + 4 * t->config.connections * (largest + 1024);
    config.connections_max = t->config.connections;
    config.memory_bytes_max = memory > MEMORY_MIN ? memory : MEMORY_MIN;
    config.limits.message_bytes_max = largest > OUTBOX_MIN ? largest : OUTBOX_MIN;
    config.limits.outbox_bytes_max = 2 * largest + OUTBOX_MIN;
    config.limits.ping_interval_ns = config.limits.ping_timeout_ns = t->config.ping_interval_ns;
    if (t->config.rate > 0)
        config.wait = WSR_WAIT_LATENCY; /* a clock that oversleeps is none */
    return wsr_engine_open(&t->engine, &config);
}

int traffic_open(struct traffic *t, const struct traffic_config *config)
{
    memset(t, 0, sizeof *t);
    traffic_totals_init(&t->totals);
    t->config = *config;
    t->ring = power_of_two(config->depth);
    t->budget = config->messages_max > 0 ? config->messages_max : UINT64_MAX;
    t->watch_outbox = (uint64_t)config->sizes->max * config->depth > TRAFFIC_OUTBOX_BYTES;
    t->text_below = below(config->text);
    t->fragment_below = below(config->fragmented);
    t->ping_below = below(config->pinged);
    t->conns = calloc(config->connections, sizeof *t->conns);
    t->messages = calloc((size_t)config->connections * t->ring, sizeof *t->messages);
    if (t->conns == NULL || t->messages == NULL)
        return WSR_ENOMEM;
    for (uint32_t i = 0; i < config->connections; i++) {
        struct traffic_conn *c = &t->conns[i];
        c->messages = t->messages + (size_t)i * t->ring;
        c->random = corpus_seed(config->seed, i);
        c->cursor = (uint32_t)(corpus_random(&c->random) % CORPUS_OFFSETS);
    }
    return open_engine(t);
}

void traffic_close(struct traffic *t)
{
    wsr_engine_close(t->engine);
    t->engine = NULL;
    /* A connection whose CLOSED never came has told nobody what became of its messages. */
    for (uint32_t i = 0; t->conns != NULL && i < t->begun; i++) {
        if (t->conns[i].state != TRAFFIC_CLOSED)
            t->totals.unaccounted += t->conns[i].sent - t->conns[i].echoed;
    }
    free(t->conns);
    free(t->messages);
    t->conns = NULL;
    t->messages = NULL;
}

/* --- The life of a connection ------------------------------------------------------------------------------------------- */

static void count_error(struct traffic_totals *totals, int error)
{
    if (error < 0 && error > -TRAFFIC_ERRORS_MAX)
        totals->errors[-error]++;
}

static void connect_one(struct traffic *t)
{
    struct traffic_conn *c = &t->conns[t->begun++];
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    config.url = t->config.url;
    config.deflate = t->config.deflate;
    config.tls = t->config.tls;
    config.reconnect = t->config.reconnect;
    config.user = c;
    int result = wsr_connect(t->engine, &config, &c->id);
    if (result != WSR_OK) {
        c->state = TRAFFIC_CLOSED;
        t->totals.failed++;
        count_error(&t->totals, result);
        return;
    }
    c->state = TRAFFIC_CONNECTING;
    t->connecting++;
    t->live++;
}

/* A few at a time: a listener's queue of connections is finite, and what does not fit waits for a second try of TCP's. */
static void connect_more(struct traffic *t)
{
    while (t->begun < t->config.connections && t->connecting < CONNECTING_MAX)
        connect_one(t);
}

static void close_now(struct traffic *t, struct traffic_conn *c)
{
    c->state = TRAFFIC_CLOSING;
    /* Refused only if the peer closes already, and then its CLOSED comes. */
    (void)!wsr_close(t->engine, c->id, WSR_CLOSE_NORMAL, no_reason);
}

static void finish_one(struct traffic *t, struct traffic_conn *c)
{
    if (c->state == TRAFFIC_CONNECTING || c->state == TRAFFIC_OPEN)
        c->state = TRAFFIC_FINISHING;
    /* A connection that still connects has sent nothing, and closes when it opens. */
    if (c->state == TRAFFIC_FINISHING && c->opened && c->sent == c->echoed)
        close_now(t, c);
}

static void on_open(struct traffic *t, struct traffic_conn *c)
{
    t->connecting--;
    t->totals.opened++;
    t->totals.reopened += c->opened;
    c->opened = c->up = true;
    if (c->state == TRAFFIC_CONNECTING)
        c->state = TRAFFIC_OPEN;
    else
        finish_one(t, c);
    traffic_fill(t, c);
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* What the record says of this end's messages, held against what was counted here. */
static void account(struct traffic *t, struct traffic_conn *c, const wsr_close_record *record)
{
    uint64_t undelivered = record->messages_undelivered;
    uint64_t answered = undelivered + record->messages_in;
    uint64_t in_doubt = record->messages_out > answered ? record->messages_out - answered : 0;
    t->totals.undelivered += undelivered;
    t->totals.in_doubt += in_doubt;
    t->totals.unaccounted += distance(c->sent, c->echoed + undelivered + in_doubt); /* those before cancel out */
    t->in_flight -= c->sent - c->echoed;
    for (uint64_t i = c->echoed; i < c->sent; i++)
        t->in_flight_bytes -= c->messages[i & (t->ring - 1)].len;
}

/* What was in flight is settled; an attempt is under way, or will be. */
static void on_lost(struct traffic *t, struct traffic_conn *c, const wsr_event *event)
{
    const wsr_reconnecting *reconnecting = wsr_event_reconnecting(event);
    assert(reconnecting != NULL);
    t->totals.attempts++;
    if (!c->up)
        return; /* an attempt that failed */
    account(t, c, reconnecting->record);
    closes_add(&t->totals.closes, event->close_code, 1);
    t->totals.lost++;
    t->connecting++;
    c->up = false;
    c->before = c->echoed = c->sent;
    if (c->state == TRAFFIC_OPEN)
        c->state = TRAFFIC_CONNECTING;
}

static void on_closed(struct traffic *t, struct traffic_conn *c, const wsr_event *event)
{
    const wsr_close_record *record = wsr_event_close_record(event);
    assert(record != NULL);
    t->live--;
    t->connecting -= !c->up;
    count_error(&t->totals, record->cause);
    if (c->up) {
        account(t, c, record);
        closes_add(&t->totals.closes, event->close_code, 1);
        if (c->state == TRAFFIC_OPEN || c->state == TRAFFIC_FINISHING)
            t->totals.ended_early++;
    } else if (c->opened) { /* lost; given up, if it was not done anyway */
        t->totals.ended_early += c->state != TRAFFIC_CLOSING;
    } else {
        t->totals.failed++;
        if (t->totals.first_errno == 0)
            t->totals.first_errno = record->sys_errno;
        if (t->totals.first_status == 0)
            t->totals.first_status = record->http_status;
    }
    c->up = false;
    c->state = TRAFFIC_CLOSED;
}

static void handle(struct traffic *t, const wsr_event *event)
{
    struct traffic_conn *c = event->user;
    switch (event->type) {
    case WSR_EVENT_MESSAGE:
        traffic_verify(t, c, event);
        if (c->state == TRAFFIC_OPEN)
            traffic_fill(t, c);
        else
            finish_one(t, c);
        break;
    case WSR_EVENT_PONG:
        traffic_verify_pong(t, c, event);
        break;
    case WSR_EVENT_WRITABLE:
        traffic_fill(t, c);
        break;
    case WSR_EVENT_OPEN:
        on_open(t, c);
        break;
    case WSR_EVENT_RECONNECTING:
        on_lost(t, c, event);
        break;
    case WSR_EVENT_CLOSED:
        on_closed(t, c, event);
        break;
    default: /* PING is answered by the engine; WAKE is for whoever called traffic_step */
        break;
    }
}

int traffic_step(struct traffic *t, int64_t timeout_ns)
{
    wsr_event events[BATCH];
    connect_more(t);
    t->now_ns = cmd_now_ns();
    traffic_send_due(t);
    int64_t due_ns = traffic_due_in_ns(t);
    int n = wsr_poll(t->engine, events, BATCH, timeout_ns >= 0 && timeout_ns < due_ns ? timeout_ns : due_ns < INT64_MAX ? due_ns : -1);
    t->now_ns = cmd_now_ns();
    for (int i = 0; i < n; i++)
        handle(t, &events[i]);
    return n;
}

/* --- Steering ------------------------------------------------------------------------------------------------------------ */

bool traffic_connected(const struct traffic *t)
{
    return t->begun == t->config.connections && t->connecting == 0;
}

void traffic_start(struct traffic *t)
{
    t->sending = true;
    t->now_ns = t->started_ns = cmd_now_ns();
    for (uint32_t i = 0; i < t->begun; i++)
        traffic_fill(t, &t->conns[i]);
}

void traffic_finish(struct traffic *t, uint32_t first, uint32_t n)
{
    for (uint32_t i = first; i < first + n && i < t->begun; i++)
        finish_one(t, &t->conns[i]);
    if (first == 0 && n >= t->config.connections)
        t->sending = false;
    /* Those not begun never will be. */
    if (first + n >= t->config.connections)
        t->config.connections = t->begun;
}

void traffic_cut(struct traffic *t)
{
    t->config.connections = t->begun;
    for (uint32_t i = 0; i < t->begun; i++) {
        /* Stale only if it has ended by itself. */
        if (t->conns[i].state != TRAFFIC_CLOSED)
            (void)!wsr_abort(t->engine, t->conns[i].id);
    }
}

bool traffic_sent_all(const struct traffic *t)
{
    return t->budget == 0 && t->in_flight == 0;
}

bool traffic_done(const struct traffic *t)
{
    return t->live == 0 && t->begun == t->config.connections;
}

/* --- Sums ---------------------------------------------------------------------------------------------------------------- */

void traffic_totals_init(struct traffic_totals *totals)
{
    memset(totals, 0, sizeof *totals);
    histogram_init(&totals->latency);
    histogram_init(&totals->late);
}

static void add_times(struct traffic_totals *into, const struct traffic_totals *from)
{
    if (from->first_send_ns != 0 && (into->first_send_ns == 0 || from->first_send_ns < into->first_send_ns))
        into->first_send_ns = from->first_send_ns;
    if (from->last_echo_ns > into->last_echo_ns)
        into->last_echo_ns = from->last_echo_ns;
}

void traffic_totals_add(struct traffic_totals *into, const struct traffic_totals *from)
{
    into->opened += from->opened;
    into->failed += from->failed;
    into->ended_early += from->ended_early;
    into->lost += from->lost;
    into->attempts += from->attempts;
    into->reopened += from->reopened;
    into->sent += from->sent;
    into->sent_bytes += from->sent_bytes;
    into->echoed += from->echoed;
    into->echoed_bytes += from->echoed_bytes;
    into->wrong += from->wrong;
    into->deflated += from->deflated;
    into->undelivered += from->undelivered;
    into->in_doubt += from->in_doubt;
    into->unaccounted += from->unaccounted;
    into->surplus += from->surplus;
    into->fragmented += from->fragmented;
    into->texts += from->texts;
    into->pings += from->pings;
    into->pongs += from->pongs;
    into->wrong_pongs += from->wrong_pongs;
    add_times(into, from);
    closes_merge(&into->closes, &from->closes);
    for (unsigned i = 0; i < TRAFFIC_ERRORS_MAX; i++)
        into->errors[i] += from->errors[i];
    if (into->first_errno == 0)
        into->first_errno = from->first_errno;
    if (into->first_status == 0)
        into->first_status = from->first_status;
    if (into->first_wrong[0] == '\0')
        memcpy(into->first_wrong, from->first_wrong, sizeof into->first_wrong);
    histogram_merge(&into->latency, &from->latency);
    histogram_merge(&into->late, &from->late);
}

bool traffic_is_sound(const struct traffic_totals *totals)
{
    return totals->unaccounted == 0 && totals->wrong == 0 && totals->wrong_pongs == 0;
}
