/*
 * tests/test_wait.c - how a poll waits: what costs no system call, who looks and who sleeps, and for how long.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/prctl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <wsring/wsring.h>

#include "loop/wait.h"
#include "ring/sys.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * (int64_t)MS)

/* An engine that is server and client of one connection. */
struct both {
    wsr_engine *engine;
    wsr_conn server, client;
    unsigned messages;
};

static void take(struct both *b, int64_t timeout_ns)
{
    wsr_event ev[16];
    const int n = wsr_poll(b->engine, ev, 16, timeout_ns);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        if (ev[i].type == WSR_EVENT_OPEN)
            *(wsr_event_request(&ev[i]) != NULL ? &b->server : &b->client) = ev[i].conn;
        b->messages += ev[i].type == WSR_EVENT_MESSAGE;
    }
}

static int open_both(struct both *b, const wsr_config *config)
{
    memset(b, 0, sizeof *b);
    const int error = wsr_engine_open(&b->engine, config);
    if (error < 0)
        return error;
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    assert_int_equal(wsr_listen(b->engine, &listen, &listener), WSR_OK);
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)wsr_listen_port(b->engine, listener));
    connect.url = url;
    wsr_conn conn;
    assert_int_equal(wsr_connect(b->engine, &connect, &conn), WSR_OK);
    while (b->server == 0 || b->client == 0)
        take(b, 5 * SECOND);
    return WSR_OK;
}

static void exchange(struct both *b, unsigned n)
{
    while (n-- > 0) {
        const unsigned before = b->messages;
        assert_int_equal(wsr_send(b->engine, b->client, WSR_TEXT, (wsr_slice){(const uint8_t *)"tick", 4}), WSR_OK);
        while (b->messages == before)
            take(b, 5 * SECOND);
    }
}

/* ---- no system call ---- */

static volatile char dispatch = SYSCALL_DISPATCH_FILTER_ALLOW;
static volatile sig_atomic_t caught;

static void on_sigsys(int signal)
{
    (void)signal;
    caught++;
    dispatch = SYSCALL_DISPATCH_FILTER_ALLOW; /* or the return from here would be caught, too */
}

/* From now on the first system call of this thread counts. */
static void watch(void)
{
    caught = 0;
    dispatch = SYSCALL_DISPATCH_FILTER_BLOCK;
}

static int unwatch(void)
{
    dispatch = SYSCALL_DISPATCH_FILTER_ALLOW;
    return caught;
}

static void polls_in_vain_cost_no_system_call(void **state)
{
    (void)state;
#ifdef WSR_VALGRIND
    skip(); /* whose own system calls would be caught */
#endif
    struct sigaction action = {.sa_handler = on_sigsys}, before;
    assert_int_equal(sigaction(SIGSYS, &action, &before), 0);
    if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &dispatch) != 0)
        skip();
    watch();
    (void)syscall(SYS_getppid);
    assert_int_equal(unwatch(), 1); /* it would be seen */

    static const unsigned without[] = {0, WSR_WITHOUT_DEFER_TASKRUN, WSR_WITHOUT_INCREMENTAL, WSR_WITHOUT_MULTISHOT};
    for (unsigned i = 0; i < sizeof without / sizeof without[0]; i++) {
        wsr_config config = WSR_CONFIG_INIT;
        config.ring_without = without[i];
        struct both b;
        assert_int_equal(open_both(&b, &config), WSR_OK);
        exchange(&b, 3);
        for (unsigned k = 0; k < 10; k++) /* what came of the last message is over */
            take(&b, (int64_t)MS);
        wsr_event ev[16];
        int sum = 0;
        watch();
        for (unsigned k = 0; k < 10000; k++)
            sum += wsr_poll(b.engine, ev, 16, 0);
        assert_int_equal(unwatch(), 0);
        assert_int_equal(sum, 0);
        exchange(&b, 3);
        wsr_engine_close(b.engine);
    }
    assert_int_equal(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0), 0);
    assert_int_equal(sigaction(SIGSYS, &before, NULL), 0);
}

/* ---- who sleeps ---- */

static long sleeps(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
    return usage.ru_nvcsw;
}

/* Does the thread sleep? Whoever only waits for a core does not: it is R, not S (proc(5)). */
static bool asleep(pid_t thread)
{
    char name[64], line[256] = "";
    snprintf(name, sizeof name, "/proc/self/task/%d/stat", (int)thread);
    FILE *file = fopen(name, "r");
    const char *read = file != NULL ? fgets(line, sizeof line, file) : NULL, *state = strrchr(line, ')');
    if (file != NULL)
        fclose(file);
    return read == NULL || state == NULL || state[2] == 'S';
}

struct waker {
    wsr_engine *engine;
    pid_t sleeper; /* which is woken once it sleeps; 0: nobody will, so after 3 ms */
};

static void *wake_later(void *argument)
{
    const struct waker *waker = argument;
    const struct timespec pause = {.tv_nsec = 3 * MS};
    do
        nanosleep(&pause, NULL);
    while (waker->sleeper != 0 && !asleep(waker->sleeper));
    wsr_wake(waker->engine);
    return NULL;
}

/* Waits for a wake `rounds` times, which comes when the thread sleeps, if it is to; returns in how many of them it did. */
static unsigned rounds_slept(const wsr_config *config, unsigned rounds, bool sleeper)
{
    wsr_engine *engine;
    assert_int_equal(wsr_engine_open(&engine, config), WSR_OK);
    wsr_event ev[4];
    assert_int_equal(wsr_poll(engine, ev, 4, 0), 0);
    unsigned slept = 0;
    for (unsigned i = 0; i < rounds; i++) {
        struct waker waker = {engine, sleeper ? (pid_t)syscall(SYS_gettid) : 0};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, wake_later, &waker), 0);
        const long before = sleeps();
        assert_int_equal(wsr_poll(engine, ev, 4, -1), 1);
        slept += sleeps() > before;
        assert_int_equal(ev[0].type, WSR_EVENT_WAKE);
        pthread_join(thread, NULL);
    }
    wsr_engine_close(engine);
    return slept;
}

static void latency_looks_and_throughput_sleeps(void **state)
{
    (void)state;
#ifdef WSR_VALGRIND
    skip(); /* whose threads sleep while another runs */
#endif
    wsr_config config = WSR_CONFIG_INIT;
    config.wait = WSR_WAIT_LATENCY;
    config.spin_ns = 5 * (uint64_t)SECOND;
    assert_int_equal(rounds_slept(&config, 4, false), 0);
    config.spin_ns = 1; /* over before it begins: then it blocks */
    assert_int_equal(rounds_slept(&config, 4, true), 4);
    config.wait = WSR_WAIT_THROUGHPUT;
    config.spin_ns = 5 * (uint64_t)SECOND;
    assert_int_equal(rounds_slept(&config, 4, true), 4);
    config.wait = WSR_WAIT_AUTO; /* knows nothing yet, and so it blocks */
    config.spin_ns = 0;
    assert_int_equal(rounds_slept(&config, 1, true), 1);
}

static void a_spin_ends_with_the_time_out(void **state)
{
    (void)state;
    wsr_config config = WSR_CONFIG_INIT;
    config.wait = WSR_WAIT_LATENCY;
    config.spin_ns = 5 * (uint64_t)SECOND;
    wsr_engine *engine;
    assert_int_equal(wsr_engine_open(&engine, &config), WSR_OK);
    wsr_event ev[4];
    const uint64_t begun_ns = wsr_sys_now_ns();
    assert_int_equal(wsr_poll(engine, ev, 4, 2 * (int64_t)MS), 0);
    const uint64_t took_ns = wsr_sys_now_ns() - begun_ns;
    assert_in_range(took_ns, 2 * MS, 2 * (uint64_t)SECOND);
    wsr_engine_close(engine);
}

/* ---- auto ---- */

static void gaps_decide(void **state)
{
    (void)state;
    const uint64_t spin_ns = 50000;
    struct wsr_waiting waiting = {.mode = WSR_WAIT_AUTO, .cores = 2, .gap_ns = 4 * (int64_t)spin_ns};
    assert_false(wsr_wait_spins(&waiting, spin_ns));
    for (unsigned i = 0; i < 40; i++)
        wsr_wait_note(&waiting, spin_ns, 10000, 1);
    assert_true(wsr_wait_spins(&waiting, spin_ns)); /* one by one, and soon */
    waiting.cores = 1;
    assert_false(wsr_wait_spins(&waiting, spin_ns)); /* whoever is to send needs the core */
    waiting.cores = 2;
    for (unsigned i = 0; i < 40; i++)
        wsr_wait_note(&waiting, spin_ns, 10000, 10);
    assert_false(wsr_wait_spins(&waiting, spin_ns)); /* soon, and many */
    for (unsigned i = 0; i < 40; i++)
        wsr_wait_note(&waiting, spin_ns, 10000, 1);
    assert_true(wsr_wait_spins(&waiting, spin_ns));
    wsr_wait_note(&waiting, spin_ns, 3600 * (uint64_t)SECOND, 1); /* a long silence is one gap among others ... */
    for (unsigned i = 0; i < 10; i++)
        wsr_wait_note(&waiting, spin_ns, 10000, 1);
    assert_true(wsr_wait_spins(&waiting, spin_ns));
    for (unsigned i = 0; i < 40; i++) /* ... and several are a habit */
        wsr_wait_note(&waiting, spin_ns, 100 * MS, 1);
    assert_false(wsr_wait_spins(&waiting, spin_ns));
}

/* ---- the rest of the config ---- */

static void wait_min_waits_for_more(void **state)
{
    (void)state;
    wsr_config config = WSR_CONFIG_INIT;
    config.wait = WSR_WAIT_THROUGHPUT;
    config.wait_min_ns = 20 * MS;
    struct both b;
    assert_int_equal(open_both(&b, &config), WSR_OK);
    const uint64_t begun_ns = wsr_sys_now_ns();
    exchange(&b, 2); /* each is one poll at least, whose wait finds less than it wants */
    const uint64_t took_ns = wsr_sys_now_ns() - begun_ns;
    assert_true(took_ns >= 2 * config.wait_min_ns);
    wsr_event ev[4];
    const uint64_t empty_ns = wsr_sys_now_ns();
    assert_int_equal(wsr_poll(b.engine, ev, 4, 30 * (int64_t)MS), 0); /* the time-out is longer, and holds */
    assert_true(wsr_sys_now_ns() - empty_ns >= 30 * MS);
    wsr_engine_close(b.engine);
}

static void a_thread_of_the_kernel_submits(void **state)
{
    (void)state;
    wsr_config config = WSR_CONFIG_INIT;
    config.sqpoll = true;
    config.sqpoll_idle_ms = 20;
    config.sq_entries = 4; /* it is full again and again */
    struct both b;
    const int error = open_both(&b, &config);
    if (error == WSR_EURING_SECCOMP || error == WSR_EURING_SYSCTL)
        skip();
    assert_int_equal(error, WSR_OK);
    exchange(&b, 200);
    const struct timespec asleep = {.tv_nsec = 60 * (long)MS}; /* the thread goes to sleep, or not: both must do */
    nanosleep(&asleep, NULL);
    exchange(&b, 20);
    wsr_event ev[16];
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(wsr_send(b.engine, b.client, WSR_TEXT, (wsr_slice){(const uint8_t *)"tick", 4}), WSR_OK);
    wsr_engine_close(b.engine); /* with sends under way */

    config.sqpoll_cpu = 1;
    assert_int_equal(open_both(&b, &config), WSR_OK);
    exchange(&b, 20);
    assert_true(wsr_poll(b.engine, ev, 16, 0) >= 0);
    wsr_engine_close(b.engine);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    wsr_engine *engine;
    wsr_config config = WSR_CONFIG_INIT;
    config.wait = (wsr_wait_mode)3;
    assert_int_equal(wsr_engine_open(&engine, &config), WSR_ECONFIG);
    config = (wsr_config)WSR_CONFIG_INIT;
    config.spin_ns = 11 * (uint64_t)SECOND;
    assert_int_equal(wsr_engine_open(&engine, &config), WSR_ECONFIG);
    config = (wsr_config)WSR_CONFIG_INIT;
    config.wait_min_ns = 2 * (uint64_t)SECOND;
    assert_int_equal(wsr_engine_open(&engine, &config), WSR_ECONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(polls_in_vain_cost_no_system_call), cmocka_unit_test(latency_looks_and_throughput_sleeps),
        cmocka_unit_test(a_spin_ends_with_the_time_out),     cmocka_unit_test(gaps_decide),
        cmocka_unit_test(wait_min_waits_for_more),           cmocka_unit_test(a_thread_of_the_kernel_submits),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
