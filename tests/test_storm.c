/*
 * test_storm.c - a storm on the real kernel: clients under load, their server drained with 1001 and started again, and again. All
 * come back, in the shape that virtual time predicts; no message is unaccounted for; who was closed with 1000 stays away, and who
 * is told 503 with Retry-After waits.
 *
 *   test_storm          a small one, as part of make test
 *   test_storm full     2,000 clients, ten restarts (make storm)
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <wsring/wsring.h>

#include "lib/storm_predict.h"
#include "lib/storm_server.h"
#include "tools/cmd.h"

#define MS UINT64_C(1000000)
#define S (1000 * MS)

#ifdef WSR_VALGRIND
enum { SLOW = 1 }; /* when everything takes thirty times as long the shape is another, and nobody may come while the server is busy: told, not judged */
#else
enum { SLOW = 0 };
#endif

enum { ROUNDS_MAX = 10, CLIENTS_MAX = 2000, LEAVERS_MAX = 100, IN_FLIGHT = 4 };

struct plan {
    unsigned clients, leavers, rounds;
    uint64_t down_ns, busy_ns, first_max_ns; /* busy: every third round */
    uint32_t bucket_attempts, bucket_burst;
    unsigned messages_per_second; /* all clients together */
    uint64_t late_max_ns;         /* of 99 in 100 attempts; 0: only told */
};

static const struct plan small = {150, 20, 2, 500 * MS, 300 * MS, 1 * S, 300, 40, 2000, 0};
static const struct plan full = {2000, 100, 10, 2 * S, 1 * S, 5 * S, 1500, 300, 20000, 1 * S};

struct client {
    wsr_conn conn;
    uint64_t due_ns, lost_ns; /* of the attempt that was promised; of the loss before the first one */
    uint64_t accepted, echoed_here, out_here_base; /* messages: ever; echoes on this connection */
    uint32_t attempt;
    bool open, leaver, closed, away, remote;
};

struct storm {
    const struct plan *plan;
    wsr_engine *engine;
    wsr_bucket bucket;
    wsr_policy_override row;
    wsr_reconnect reconnect;
    uint16_t port;
    struct client clients[CLIENTS_MAX + LEAVERS_MAX];
    struct storm_server servers[ROUNDS_MAX + 1];
    unsigned clients_n, open, away, leavers_closed;
    uint64_t drained_ns; /* when the outage began; 0: none */
    uint64_t lost_ns[CLIENTS_MAX];
    unsigned lost_n;
    unsigned next_sender;
    double owed;         /* messages to be sent by now */
    uint64_t sender_ns;
    struct storm_counts due, actual, expected;
    struct storm_lateness lateness; /* of this outage */
    uint64_t late_ns[CLIENTS_MAX * ROUNDS_MAX * 4];
    unsigned late_n;
    /* the books */
    uint64_t accepted, echoed, out, undelivered, doubtful, given_back, wrong;
    uint64_t attempts, back, told_503, too_early, last_back_ns, record_mismatch, ended;
    struct storm_server_report served;
};

/* ---- what clients do ---- */

static void say(struct storm *s, struct client *c)
{
    char text[32];
    const int len = snprintf(text, sizeof text, "%u %" PRIu64, (unsigned)(c - s->clients), c->accepted);
    if (wsr_send(s->engine, c->conn, WSR_TEXT, (wsr_slice){(const uint8_t *)text, (size_t)len}) == WSR_OK) {
        c->accepted++;
        s->accepted++;
    }
}

/* Some of the clients, in turn, as many as the rate asks for; those who are down too: their messages wait, or come back. */
static void load(struct storm *s)
{
    const uint64_t now_ns = cmd_now_ns();
    s->owed += (double)(now_ns - s->sender_ns) / 1e9 * s->plan->messages_per_second;
    s->sender_ns = now_ns;
    if (s->owed > 2 * s->plan->clients)
        s->owed = 2 * s->plan->clients;
    for (; s->owed >= 1; s->owed--) {
        struct client *c = &s->clients[s->next_sender++ % s->clients_n];
        if (!c->closed && wsr_outbox_bytes(s->engine, c->conn) < 4096)
            say(s, c);
    }
}

/* What one connection leaves behind: each message that went into it was echoed, never left, or may have been seen. */
static void settle(struct storm *s, struct client *c, const wsr_close_record *record)
{
    const uint64_t missing = record->messages_out - c->echoed_here;
    s->out += record->messages_out;
    s->undelivered += record->messages_undelivered;
    if (missing < record->messages_undelivered + record->messages_unconfirmed)
        s->record_mismatch++;
    else
        s->doubtful += missing - record->messages_undelivered;
    c->echoed_here = 0;
}

static void attempt_ended(struct storm *s, struct client *c, uint64_t now_ns)
{
    if (c->attempt == 0 || s->drained_ns == 0)
        return;
    s->attempts++;
    s->too_early += now_ns < c->due_ns;
    storm_late(&s->lateness, c->due_ns - s->drained_ns, now_ns - c->due_ns);
    storm_count(&s->actual, c->attempt, now_ns - s->drained_ns);
    s->late_ns[s->late_n++ % (sizeof s->late_ns / sizeof s->late_ns[0])] = now_ns - c->due_ns;
}

static void take_reconnecting(struct storm *s, struct client *c, const wsr_event *ev)
{
    const wsr_reconnecting *r = wsr_event_reconnecting(ev);
    s->open -= c->open;
    if (c->open && s->lost_n < s->plan->clients)
        s->lost_ns[s->lost_n++] = ev->time_ns - s->drained_ns;
    if (!c->open)
        attempt_ended(s, c, ev->time_ns);
    c->open = false;
    settle(s, c, r->record);
    s->told_503 += r->cause == WSR_CAUSE_HTTP_503;
    if (r->cause == WSR_CAUSE_HTTP_503 && r->delay_ns < STORM_RETRY_AFTER_S * S)
        s->too_early++;
    c->attempt = r->attempt;
    c->due_ns = ev->time_ns + r->delay_ns;
    if (s->drained_ns != 0)
        storm_count(&s->due, r->attempt, c->due_ns - s->drained_ns);
}

static void take(struct storm *s, const wsr_event *ev)
{
    struct client *c = ev->user;
    switch (ev->type) {
    case WSR_EVENT_OPEN:
        attempt_ended(s, c, ev->time_ns);
        s->back += c->attempt > 0;
        if (s->drained_ns != 0 && ev->time_ns - s->drained_ns > s->last_back_ns)
            s->last_back_ns = ev->time_ns - s->drained_ns;
        c->attempt = 0;
        c->open = true;
        s->open++;
        break;
    case WSR_EVENT_MESSAGE:
        c->echoed_here++;
        s->echoed++;
        s->wrong += (struct client *)&s->clients[strtoul((const char *)ev->data.ptr, NULL, 10)] != c;
        break;
    case WSR_EVENT_RECONNECTING:
        take_reconnecting(s, c, ev);
        break;
    case WSR_EVENT_UNDELIVERED:
        s->given_back++;
        break;
    case WSR_EVENT_CLOSED:
        s->open -= c->open;
        c->open = false;
        c->closed = true;
        s->ended += !c->leaver;
        s->leavers_closed += c->leaver;
        settle(s, c, wsr_event_close_record(ev));
        break;
    default:
        break;
    }
}

static void poll_once(struct storm *s, bool loaded)
{
    static wsr_event ev[1024];
    if (loaded)
        load(s);
    int n = wsr_poll(s->engine, ev, 1024, (int64_t)MS);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++)
        take(s, &ev[i]);
}

static void pass(struct storm *s, uint64_t ns)
{
    const uint64_t until_ns = cmd_now_ns() + ns;
    while (cmd_now_ns() < until_ns)
        poll_once(s, true);
}

static void wait_for_all(struct storm *s, unsigned open, const char *what)
{
    const uint64_t until_ns = cmd_now_ns() + 60 * S;
    while (s->open < open && cmd_now_ns() < until_ns)
        poll_once(s, true);
    if (s->open < open)
        fail_msg("%s: %u of %u clients are open after a minute", what, s->open, open);
}

/* ---- the story ---- */

static uint16_t choose_port(void)
{
    wsr_engine *engine;
    assert_int_equal(wsr_engine_open(&engine, NULL), WSR_OK);
    for (unsigned i = 0; i < 100; i++) {
        wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
        wsr_listener listener;
        listen.port = cmd_port_candidate(i);
        if (wsr_listen(engine, &listen, &listener) == WSR_OK) {
            wsr_engine_close(engine);
            return listen.port;
        }
    }
    fail_msg("no port is free");
    return 0;
}

static void connect_all(struct storm *s)
{
    char url[64];
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    s->row = (wsr_policy_override){WSR_CAUSE_1001, *wsr_policy_default(WSR_PROFILE_DEFAULT, WSR_CAUSE_1001)};
    s->row.row.first_max_ns = s->plan->first_max_ns; /* the table's own in the full storm */
    s->reconnect = (wsr_reconnect){.on = true, .bucket = &s->bucket, .overrides = &s->row, .overrides_n = 1, .stable_ns = 200 * MS,
                                   .queue_bytes_max = 100, .queue_ttl_ns = 400 * MS};
    config.reconnect = s->reconnect;
    config.url = url;
    const unsigned n = s->plan->clients + s->plan->leavers;
    for (unsigned i = 0; i < n; i++) {
        struct client *c = &s->clients[i];
        c->leaver = i >= s->plan->clients;
        c->remote = i % 2 == 1;
        snprintf(url, sizeof url, "ws://127.0.0.1:%u/%s", s->port, c->leaver ? "leaver" : "");
        config.user = c;
        assert_int_equal(wsr_connect(s->engine, &config, &c->conn), WSR_OK);
        if (i % 100 == 99)
            poll_once(s, false);
    }
    s->clients_n = n;
    s->sender_ns = cmd_now_ns();
    wait_for_all(s, n, "at the beginning");
}

/* Half of the leavers close with 1000, half have the server do so. */
static void leave(struct storm *s)
{
    for (unsigned i = s->plan->clients; i < s->clients_n; i++) {
        struct client *c = &s->clients[i];
        c->away = true;
        if (c->remote && wsr_send(s->engine, c->conn, WSR_TEXT, (wsr_slice){(const uint8_t *)"goodbye", 7}) == WSR_OK)
            c->accepted++, s->accepted++;
        if (!c->remote)
            assert_int_equal(wsr_close(s->engine, c->conn, 1000, (wsr_slice){NULL, 0}), WSR_OK);
    }
    const uint64_t until_ns = cmd_now_ns() + 30 * S;
    while (s->leavers_closed < s->plan->leavers && cmd_now_ns() < until_ns)
        poll_once(s, true);
    assert_int_equal(s->leavers_closed, s->plan->leavers);
    s->clients_n = s->plan->clients;
}

static int by_time(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void add_report(struct storm *s, struct storm_server *server)
{
    struct storm_server_report r;
    if (!storm_server_end(server, &r))
        fail_msg("a server did not end well");
    s->served.opened += r.opened;
    s->served.refused += r.refused;
    s->served.received += r.received;
    s->served.echoed += r.echoed;
    s->served.goodbyes += r.goodbyes;
    s->served.late += r.late;
    s->served.came_back += r.came_back;
    s->served.cut += r.cut;
}

/* Which of a server's lives begins with 503. */
static bool is_busy(unsigned life)
{
    return life % 3 == 2;
}

/* Drains server `round`, and has the next one take its place. */
static void restart(struct storm *s, unsigned round)
{
    const struct plan *plan = s->plan;
    s->lost_n = 0;
    memset(&s->lateness, 0, sizeof s->lateness);
    const uint64_t back = s->back;
    s->drained_ns = cmd_now_ns();
    storm_server_drain(&s->servers[round]);
    while (s->open > 0 && cmd_now_ns() < s->drained_ns + 30 * S)
        poll_once(s, true);
    assert_int_equal(s->lost_n, plan->clients);
    add_report(s, &s->servers[round]);
    if (cmd_now_ns() < s->drained_ns + plan->down_ns)
        pass(s, s->drained_ns + plan->down_ns - cmd_now_ns());
    assert_true(storm_server_go(&s->servers[round + 1]));
    wait_for_all(s, plan->clients, "after a restart");
    assert_int_equal(s->back - back, plan->clients);
    const uint64_t up_ns = s->servers[round + 1].listening_ns - s->drained_ns;
    qsort(s->lost_ns, s->lost_n, sizeof s->lost_ns[0], by_time);
    const struct storm_outage outage = {
        .lost_ns = s->lost_ns,
        .clients = s->lost_n,
        .up_ns = up_ns,
        .busy_until_ns = up_ns + (is_busy(round + 1) ? plan->busy_ns : 0),
        .lateness = &s->lateness,
        .policy = &s->reconnect,
        .bucket_attempts = plan->bucket_attempts,
        .bucket_burst = plan->bucket_burst,
    };
    storm_predict(&s->expected, &outage, 60, round + 1);
    printf("restart %2u: down for %.2f s%s; the last client is back %.2f s after the drain began\n", round + 1, (double)up_ns / 1e9,
           is_busy(round + 1) ? ", then busy for a while" : "", (double)s->last_back_ns / 1e9);
    fflush(stdout);
    s->drained_ns = 0;
    s->last_back_ns = 0;
    pass(s, 500 * MS); /* long enough to be stable, and to talk */
}

static void finish(struct storm *s)
{
    const uint64_t until_ns = cmd_now_ns() + 30 * S;
    pass(s, 100 * MS);
    for (unsigned i = 0; i < s->clients_n; i++)
        assert_int_equal(wsr_close(s->engine, s->clients[i].conn, 1000, (wsr_slice){NULL, 0}), WSR_OK);
    while (s->ended < s->clients_n && cmd_now_ns() < until_ns)
        poll_once(s, false);
    assert_int_equal(s->ended, s->clients_n);
    storm_server_drain(&s->servers[s->plan->rounds]);
    add_report(s, &s->servers[s->plan->rounds]);
}

/* ---- the verdict ---- */

static void print_shape(const struct storm_counts *seen, const struct storm_counts *expected)
{
    printf("attempts in each 100 ms, all restarts together, and what virtual time predicts:\n");
    unsigned last = 0;
    for (unsigned b = 0; b < STORM_BUCKETS; b++)
        for (unsigned k = 0; k < STORM_ORDERS; k++)
            last = seen->at[k][b] + expected->at[k][b] >= 1 ? b : last;
    for (unsigned row = 0; row <= last / 10; row++) {
        for (unsigned what = 0; what < 2; what++) {
            if (what == 0)
                printf("  %3u s ", row);
            else
                printf("        ");
            for (unsigned b = row * 10; b < row * 10 + 10; b++) {
                double sum = 0;
                for (unsigned k = 0; k < STORM_ORDERS; k++)
                    sum += what == 0 ? seen->at[k][b] : expected->at[k][b];
                printf("%6.0f", sum);
            }
            printf(what == 0 ? "\n" : "  predicted\n");
        }
    }
}

static double judge_shape(const struct storm *s, const struct storm_counts *seen, const char *what, double *limit_sum)
{
    const double draws = (double)s->plan->clients * s->plan->rounds;
    double sum = 0;
    unsigned judged = 0;
    *limit_sum = 0;
    for (unsigned k = 0; k < STORM_ORDERS; k++) {
        double chi, limit;
        const unsigned degrees = storm_chi_square(seen, &s->expected, k, draws, &chi, &limit);
        if (degrees == 0)
            continue;
        printf("%s, attempt %u: chi-square %.1f, %u degrees of freedom, limit %.1f\n", what, k + 1, chi, degrees, limit);
        if (chi >= limit && !SLOW)
            fail_msg("%s: attempt %u does not come as predicted", what, k + 1);
        sum += chi;
        *limit_sum += limit;
        judged++;
    }
    assert_true(judged >= 2 || SLOW);
    return sum;
}

static void judge(struct storm *s)
{
    const struct plan *plan = s->plan;
    double limit, expected_attempts = 0;
    const unsigned late_n = s->late_n < sizeof s->late_ns / sizeof s->late_ns[0] ? s->late_n : sizeof s->late_ns / sizeof s->late_ns[0];
    print_shape(&s->actual, &s->expected);
    const double chi = judge_shape(s, &s->due, "when they were due", &limit);
    for (unsigned k = 0; k < STORM_ORDERS; k++) {
        expected_attempts += s->expected.beyond[k];
        for (unsigned b = 0; b < STORM_BUCKETS; b++)
            expected_attempts += s->expected.at[k][b];
    }
    expected_attempts += s->expected.later;
    qsort(s->late_ns, late_n, sizeof s->late_ns[0], by_time);
    const uint64_t p50 = s->late_ns[late_n / 2], p99 = s->late_ns[late_n - 1 - late_n / 100];
    printf("an attempt's outcome is known this long after it was due: p50 %.1f ms, p99 %.1f ms, at most %.1f ms\n", (double)p50 / 1e6, (double)p99 / 1e6,
           (double)s->late_ns[late_n - 1] / 1e6);

    assert_int_equal(s->back, (uint64_t)plan->clients * plan->rounds);
    assert_int_equal(s->too_early, 0);
    assert_int_equal(s->served.came_back, 0);
    assert_int_equal(s->served.cut, 0);
    assert_int_equal(s->told_503, s->served.refused);
    assert_true(s->told_503 > 0 || SLOW);
    assert_int_equal(s->wrong, 0);
    assert_int_equal(s->record_mismatch, 0);
    assert_int_equal(s->accepted, s->out + s->given_back);
    assert_int_equal(s->out, s->echoed + s->undelivered + s->doubtful);
    assert_int_equal(s->served.received, s->out - s->undelivered); /* the drain read all that had left */
    assert_int_equal(s->served.echoed, s->echoed);
    assert_int_equal(s->served.goodbyes, plan->leavers / 2);
    assert_true((s->given_back > 0 && s->doubtful > 0) || SLOW);
    if (plan->late_max_ns > 0 && p99 > plan->late_max_ns)
        fail_msg("attempts are %.1f ms late", (double)p99 / 1e6);
    printf("storm: %u clients, %u restarts: %" PRIu64 " of %u came back; %" PRIu64 " attempts (predicted %.0f), chi-square %.0f under %.0f; "
           "%" PRIu64 " obeyed a 503; %u closed with 1000 stayed away; %" PRIu64 " messages = %" PRIu64 " echoed + %" PRIu64 " given back + %" PRIu64
           " undelivered + %" PRIu64 " in doubt, 0 unaccounted\n",
           plan->clients, plan->rounds, s->back, plan->clients * plan->rounds, s->attempts, expected_attempts, chi, limit, s->told_503, plan->leavers,
           s->accepted, s->echoed, s->given_back, s->undelivered, s->doubtful);
}

static struct storm storm;
static const struct plan *plan = &small;

static void everybody_comes_back(void **unused)
{
    (void)unused;
    struct storm *s = &storm;
    s->plan = plan;
    s->port = choose_port();
    assert_int_equal(wsr_bucket_init(&s->bucket, plan->bucket_attempts, 0, plan->bucket_burst), 0);
    (void)cmd_raise_descriptors(plan->clients + plan->leavers + 100);
    for (unsigned i = 0; i <= plan->rounds; i++)
        assert_true(storm_server_fork(&s->servers[i], &(struct storm_server_config){s->port, is_busy(i) ? plan->busy_ns : 0, 200 * MS, i == 0}));
    assert_int_equal(wsr_engine_open(&s->engine, NULL), WSR_OK);
    assert_true(storm_server_go(&s->servers[0]));
    connect_all(s);
    pass(s, 500 * MS);
    leave(s);
    for (unsigned i = 0; i < plan->rounds; i++)
        restart(s, i);
    finish(s);
    judge(s);
    wsr_engine_close(s->engine);
}

static int stop_servers(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i <= ROUNDS_MAX; i++)
        storm_server_kill(&storm.servers[i]);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "full") == 0)
        plan = &full;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(everybody_comes_back, stop_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
