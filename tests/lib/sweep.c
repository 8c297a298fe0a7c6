/*
 * tests/lib/sweep.c - see sweep.h.
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
#include <openssl/err.h>

#include "lib/failing.h"
#include "lib/one.h"
#include "lib/sweep.h"
#include "sim/sim.h"

enum { ALLOCATION = SIM_CALLS, SSL_ALLOCATION, STORIES_MAX = 64, WILD_CALLS = 25, SSL_HELD_MAX = 64 };

/* A sanitizer makes handshakes so many times slower. */
#ifdef WSR_DEBUG
#define SSL_SLOWER 10u
#else
#define SSL_SLOWER 1u
#endif

static const struct kind {
    unsigned call;
    const char *name;
    int errors[6]; /* the last one is 0 */
} kinds[] = {
    {ALLOCATION, "allocation", {ENOMEM}},
    {SSL_ALLOCATION, "ssl", {ENOMEM}},
    {SIM_OPERATION, "completion", {ENOMEM, ECONNRESET, EINTR}},
    {SIM_RECEIVE, "receive", {ENOBUFS}},
    {SIM_SEND, "send", {EPIPE}},
    {SIM_ACCEPT, "accept", {EMFILE, ECONNABORTED, EPERM}},
    {SIM_CONNECT, "connect", {ECONNREFUSED, ETIMEDOUT}},
    {SIM_CANCEL, "cancel", {EALREADY}},
    {SIM_SETUP, "setup", {EPERM, ENOSYS, ENOMEM}},
    {SIM_REGISTER, "register", {EINVAL, ENOMEM}},
    {SIM_ENTER, "enter", {EINTR, EAGAIN, EBUSY, ENOMEM}},
    {SIM_MAP, "map", {ENOMEM}},
    {SIM_SOCKET, "socket", {EMFILE}},
    {SIM_LISTEN, "listen", {EADDRINUSE}},
    {SIM_EVENTFD, "eventfd", {EMFILE}},
    {SIM_RESERVE, "reserve", {EMFILE}},
    {SIM_SHUTDOWN, "shutdown", {ENOTCONN}},
    {SIM_RESOLVE, "resolve", {EAGAIN}},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* The world that is being told. */
static struct {
    const struct sweep_story *story;
    const struct kind *kind;
    uint64_t seed, nth; /* nth 0: nothing fails */
    int error;
    uint64_t before, calls; /* of what may fail: when it began; since then, until it relented */
    bool began, relented;
} now;

static struct tally {
    const char *name;
    uint64_t calls[KINDS], worlds, struck;
} tallies[STORIES_MAX], *tally;
static unsigned tallies_n;

/* ---- within a world ---- */

static uint64_t calls_of(unsigned call)
{
    return call == ALLOCATION ? failing_calls : call == SSL_ALLOCATION ? failing_ssl_calls : sim_calls((enum sim_call)call);
}

void sweep_begin(void)
{
    now.began = true;
    now.before = calls_of(now.kind->call);
    if (now.nth == 0)
        return;
    if (now.kind->call == ALLOCATION)
        failing_at = now.before + now.nth;
    else if (now.kind->call == SSL_ALLOCATION)
        failing_ssl_at = now.before + now.nth;
    else
        sim_fail((enum sim_call)now.kind->call, now.nth, now.error);
}

bool sweep_is_calm(void)
{
    return now.nth == 0 && now.seed == 0;
}

void sweep_relent(void)
{
    if (now.began && !now.relented) {
        now.relented = true;
        now.calls = calls_of(now.kind->call) - now.before;
        tally->struck += now.nth > 0 && now.nth <= now.calls;
    }
    failing_at = failing_ssl_at = 0;
    sim_fail_none();
    memset(&sim_knobs, 0, sizeof sim_knobs);
    ERR_clear_error();
}

static void tell(FILE *to)
{
    fprintf(to, "'%s' %s %llu %d %llu", now.story->name, now.kind->name, (unsigned long long)now.nth, now.error, (unsigned long long)now.seed);
}

static void broken(const char *violation)
{
    fail_msg("%s", violation);
}

/* Returns how many there were of what may fail. */
static uint64_t world(uint64_t seed, const struct kind *kind, uint64_t nth, int error)
{
    now.kind = kind;
    now.seed = seed;
    now.nth = nth;
    now.error = error;
    failing_calls = failing_ssl_calls = failing_at = failing_ssl_at = 0;
    failing_bytes = 0;
    sim_reset(seed);
    if (seed > 0)
        sim_chaos();
    const int64_t ssl_before = failing_ssl_held;
    now.began = now.relented = false;
    now.story->play(now.story->data);
    sweep_relent();
    one_no_leaks();
    if (failing_bytes != 0)
        fail_msg("%llu bytes of memory were not given back", (unsigned long long)failing_bytes);
    if (tally->worlds > 0 && failing_ssl_held > ssl_before + SSL_HELD_MAX) /* what is made once has been made by the first */
        fail_msg("OpenSSL holds %lld blocks more than before", (long long)(failing_ssl_held - ssl_before));
    tally->worlds++;
    return now.calls;
}

/* ---- afterwards ---- */

struct service {
    wsr_engine *server, *client;
    wsr_conn conn;
    bool client_closed, client_clean, echoed;
    unsigned server_closed;
};

static bool look(struct service *s, wsr_engine *engine)
{
    wsr_event ev[8];
    const int n = wsr_poll(engine, ev, 8, 0);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        const bool ours = engine == s->client && ev[i].conn == s->conn;
        if (ours && ev[i].type == WSR_EVENT_OPEN)
            assert_int_equal(wsr_send(engine, ev[i].conn, WSR_TEXT, SLICE("are you there?")), WSR_OK);
        if (ours && ev[i].type == WSR_EVENT_MESSAGE) {
            s->echoed = true;
            assert_int_equal(wsr_close(engine, ev[i].conn, 1000, SLICE("")), WSR_OK);
        }
        if (ours && ev[i].type == WSR_EVENT_CLOSED) {
            s->client_closed = true;
            s->client_clean = wsr_event_close_record(&ev[i])->clean;
        }
        if (!ours && ev[i].type == WSR_EVENT_MESSAGE)
            assert_int_equal(wsr_send(engine, ev[i].conn, (wsr_opcode)ev[i].opcode, (wsr_slice){ev[i].data.ptr, ev[i].data.len}), WSR_OK);
    }
    return n > 0;
}

void sweep_serves(wsr_engine *server, wsr_engine *client)
{
    struct service s = {.server = server, .client = client};
    wsr_engine *own_server = NULL, *own_client = NULL;
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    wsr_listener listener;
    char url[64];
    sweep_relent();
    if (server == NULL) {
        assert_int_equal(wsr_engine_open(&own_server, NULL), WSR_OK);
        s.server = own_server;
    }
    if (client == NULL) {
        assert_int_equal(wsr_engine_open(&own_client, NULL), WSR_OK);
        s.client = own_client;
    }
    assert_int_equal(wsr_listen(s.server, &listen, &listener), WSR_OK);
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)wsr_listen_port(s.server, listener));
    connect.url = url;
    assert_int_equal(wsr_connect(s.client, &connect, &s.conn), WSR_OK);
    for (const uint64_t end_ns = sim_now_ns() + 60 * SECOND; !s.client_closed;) {
        const uint64_t before = sim_stats.operations + sim_stats.completions;
        bool worked = look(&s, s.client);
        worked |= s.server != s.client && look(&s, s.server);
        worked |= sim_stats.operations + sim_stats.completions != before;
        if (!worked)
            sim_advance_within(10 * MS);
        if (sim_now_ns() > end_ns)
            fail_msg("it serves no more");
    }
    assert_true(s.echoed && s.client_clean);
    wsr_engine_close(own_client);
    wsr_engine_close(own_server);
}

/* ---- the sweep ---- */

static uint64_t step_of(const struct sweep_story *story, const struct kind *kind, uint64_t seed, uint64_t calls)
{
    if (seed > 0)
        return 1 + calls / WILD_CALLS;
    if (kind->call != SSL_ALLOCATION || getenv("SWEEP_EVERY") != NULL)
        return 1;
    return (story->ssl_every > 0 ? story->ssl_every : 1) * SSL_SLOWER;
}

static void sweep(const struct sweep_story *story)
{
    now.story = story;
    tally = &tallies[tallies_n++];
    *tally = (struct tally){.name = story->name};
    sim_on_violation = broken;
    world(0, &kinds[0], 0, 0); /* whatever is made once is made now */
    for (uint64_t seed = 0; seed <= story->wild; seed++) {
        for (unsigned i = 0; i < KINDS; i++) {
            const uint64_t calls = world(seed, &kinds[i], 0, 0), step = step_of(story, &kinds[i], seed, calls);
            if (seed == 0)
                tally->calls[i] = calls;
            for (const int *error = kinds[i].errors; *error != 0; error++)
                for (uint64_t nth = 1; nth <= calls; nth += step)
                    world(seed, &kinds[i], nth, *error);
        }
    }
    sim_on_violation = NULL;
    now.story = NULL;
}

static void test(void **state)
{
    sweep(*state);
}

int sweep_tear_down(void **state)
{
    (void)state;
    if (now.story != NULL) {
        fputs("failing: ", stderr);
        tell(stderr);
        fputc('\n', stderr);
    }
    now.story = NULL;
    return 0;
}

static void show(const char *name, const uint64_t columns[6])
{
    printf("%-36s", name);
    for (unsigned i = 0; i < 6; i++)
        printf(" %11llu", (unsigned long long)columns[i]);
    putchar('\n');
}

/* Allocations, OpenSSL's, completions, and the kernel's other calls (those of kinds are completions once more); worlds, and in how
   many something failed indeed. */
static void show_all(void)
{
    uint64_t sums[6] = {0};
    printf("%-36s %11s %11s %11s %11s %11s %11s\n", "story", "allocations", "OpenSSL's", "completions", "calls", "worlds", "failures");
    for (const struct tally *t = tallies; t < tallies + tallies_n; t++) {
        uint64_t columns[6] = {t->calls[0], t->calls[1], t->calls[2], 0, t->worlds, t->struck};
        for (unsigned i = 3; i < KINDS; i++)
            columns[3] += kinds[i].call > SIM_OPERATION ? t->calls[i] : 0;
        show(t->name, columns);
        for (unsigned i = 0; i < 6; i++)
            sums[i] += columns[i];
    }
    if (tallies_n > 1)
        show("all", sums);
}

void sweep_all(const struct sweep_story *story)
{
    tallies_n = 0;
    sweep(story);
    show_all();
}

static int one_world(char **argv, const struct sweep_story *stories, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (strcmp(stories[i].name, argv[1]) == 0)
            now.story = &stories[i];
    for (unsigned i = 0; i < KINDS && now.story != NULL; i++) {
        if (strcmp(kinds[i].name, argv[2]) != 0)
            continue;
        tally = &tallies[0];
        world(0, &kinds[0], 0, 0); /* as in the sweep */
        sim_trace = getenv("SIM_TRACE") != NULL ? stderr : NULL;
        world(strtoull(argv[5], NULL, 10), &kinds[i], strtoull(argv[3], NULL, 10), atoi(argv[4]));
        return 0;
    }
    fprintf(stderr, "%s: there is no such story, or kind\n", argv[0]);
    return 2;
}

int sweep_main(int argc, char **argv, const struct sweep_story *stories, unsigned n)
{
    static struct CMUnitTest tests[STORIES_MAX];
    if (argc == 6)
        return one_world(argv, stories, n);
    unsigned tests_n = 0;
    for (unsigned i = 0; i < n && i < STORIES_MAX; i++) {
        if (argc == 2 && strcmp(argv[1], stories[i].name) != 0)
            continue;
        union {
            const struct sweep_story *story;
            void *state;
        } pointer = {&stories[i]};
        tests[tests_n++] = (struct CMUnitTest){stories[i].name, test, NULL, sweep_tear_down, pointer.state};
    }
    if (argc > 2 || tests_n == 0) {
        fprintf(stderr, "usage: %s [STORY [KIND NTH ERRNO SEED]]\n", argv[0]);
        return 2;
    }
    const int failed = _cmocka_run_group_tests("sweeps", tests, tests_n, NULL, NULL);
    show_all();
    return failed;
}
