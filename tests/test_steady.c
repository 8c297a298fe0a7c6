/*
 * tests/test_steady.c - once warm, an echo allocates nothing and faults nothing; and the options that see to it from the start:
 * wsr_config.reserve_bytes, prefault, lock_memory, huge_pages.
 *
 * Counted are the calls to the engine's allocator and, where no sanitizer has its own, every malloc of the process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wsring/wsring.h>

#define MIB ((uint64_t)1 << 20)
#define SECOND INT64_C(1000000000)

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if !defined(SANITIZED) && (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(WSR_VALGRIND))
#define SANITIZED 1
#endif

/* ---- counting ---- */

static unsigned long mallocs; /* of the whole process */
static unsigned long asked;   /* of the engine's allocator */

#if !defined(SANITIZED)
/* glibc's own names for what these stand in front of. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *ptr, size_t size);

void *malloc(size_t size)
{
    mallocs++;
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    mallocs++;
    return __libc_calloc(n, size);
}

void *realloc(void *ptr, size_t size)
{
    mallocs++;
    return __libc_realloc(ptr, size);
}
#endif

static void *count_alloc(void *context, size_t size)
{
    (void)context;
    asked++;
    return malloc(size);
}

static void *count_resize(void *context, void *ptr, size_t old_size, size_t size)
{
    (void)context, (void)old_size;
    asked++;
    return realloc(ptr, size);
}

static void count_release(void *context, void *ptr, size_t size)
{
    (void)context, (void)size;
    free(ptr);
}

static const wsr_allocator counting = {NULL, count_alloc, count_resize, count_release};

/* ---- an engine that echoes to itself ---- */

struct world {
    wsr_engine *engine;
    wsr_conn server[8], client[8];
    unsigned servers, clients, n;
    uint64_t back; /* messages that came back to a client */
};

static uint8_t payload[MIB];

static bool is_client(const struct world *w, wsr_conn conn)
{
    for (unsigned i = 0; i < w->clients; i++)
        if (w->client[i] == conn)
            return true;
    return false;
}

/* Sends what the outbox has room for again, so that messages go round. */
static void turn(struct world *w)
{
    wsr_event ev[64];
    const int n = wsr_poll(w->engine, ev, 64, 5 * SECOND);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        switch (ev[i].type) {
        case WSR_EVENT_OPEN:
            if (wsr_event_request(&ev[i]) != NULL)
                w->server[w->servers++] = ev[i].conn;
            else
                w->client[w->clients++] = ev[i].conn;
            break;
        case WSR_EVENT_MESSAGE:
            w->back += is_client(w, ev[i].conn);
            assert_int_equal(wsr_send(w->engine, ev[i].conn, (wsr_opcode)ev[i].opcode, (wsr_slice){ev[i].data.ptr, ev[i].data.len}), WSR_OK);
            break;
        case WSR_EVENT_CLOSED:
            fail_msg("closed: %s", wsr_error_name(ev[i].error));
            break;
        default:
            break;
        }
    }
}

static void open_world(struct world *w, const wsr_config *config, unsigned n)
{
    memset(w, 0, sizeof *w);
    w->n = n;
    assert_int_equal(wsr_engine_open(&w->engine, config), WSR_OK);
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    assert_int_equal(wsr_listen(w->engine, &listen, &listener), WSR_OK);
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)wsr_listen_port(w->engine, listener));
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    connect.url = url;
    for (unsigned i = 0; i < n; i++) {
        wsr_conn conn;
        assert_int_equal(wsr_connect(w->engine, &connect, &conn), WSR_OK);
    }
    while (w->servers < n || w->clients < n)
        turn(w);
}

static void start(struct world *w, size_t len, unsigned depth)
{
    for (unsigned i = 0; i < w->n; i++)
        for (unsigned k = 0; k < depth; k++)
            assert_int_equal(wsr_send(w->engine, w->client[i], WSR_BINARY, (wsr_slice){payload, len}), WSR_OK);
}

static void run_until(struct world *w, uint64_t messages)
{
    for (const uint64_t end = w->back + messages; w->back < end;)
        turn(w);
}

/* ---- the tests ---- */

static void an_echo_allocates_nothing(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        unsigned connections, depth;
        uint64_t warm, measured;
    } runs[] = {
        {20, 8, 1, 2000, 20000}, {20, 8, 16, 20000, 50000}, {4000, 8, 4, 2000, 5000}, {65536, 4, 2, 1000, 2000}, {MIB, 2, 1, 60, 60},
    };
    for (unsigned i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        wsr_config config = WSR_CONFIG_INIT;
        config.allocator = &counting;
        struct world w;
        open_world(&w, &config, runs[i].connections);
        start(&w, runs[i].len, runs[i].depth);
        run_until(&w, runs[i].warm);
        const unsigned long mallocs_before = mallocs, asked_before = asked;
        wsr_engine_statistics before, after;
        wsr_engine_stats(w.engine, &before, sizeof before);
        run_until(&w, runs[i].measured);
        wsr_engine_stats(w.engine, &after, sizeof after);
        assert_int_equal(asked - asked_before, 0);
        assert_int_equal(mallocs - mallocs_before, 0);
        assert_int_equal(after.allocations - before.allocations, 0);
        wsr_engine_close(w.engine);
    }
}

/* The counters see what there is to see. */
static void an_opening_allocates(void **state)
{
    (void)state;
    wsr_config config = WSR_CONFIG_INIT;
    config.allocator = &counting;
    const unsigned long asked_before = asked;
#if !defined(SANITIZED)
    const unsigned long mallocs_before = mallocs;
#endif
    struct world w;
    open_world(&w, &config, 1);
    wsr_engine_close(w.engine);
    assert_true(asked > asked_before);
#if !defined(SANITIZED)
    assert_true(mallocs > mallocs_before);
#endif
}

static void a_reserve_is_all_it_needs(void **state)
{
    (void)state;
    wsr_config config = WSR_CONFIG_INIT;
    config.allocator = &counting;
    config.reserve_bytes = 8 * MIB;
    config.prefault = true;
    struct world w;
    open_world(&w, &config, 4);
    start(&w, 4000, 4);
    run_until(&w, 20);
    const unsigned long asked_before = asked;
    run_until(&w, 5000);
    assert_int_equal(asked - asked_before, 0); /* not warmed up: the first messages were served by it, too */
    wsr_engine_statistics statistics;
    wsr_engine_stats(w.engine, &statistics, sizeof statistics);
    assert_in_range(statistics.memory_bytes, config.reserve_bytes, config.reserve_bytes + 8 * MIB);
    wsr_engine_close(w.engine);

    uint64_t fixed, fixed_without, max;
    assert_int_equal(wsr_engine_memory_bytes(&config, &fixed, &max), WSR_OK);
    config.reserve_bytes = 0;
    assert_int_equal(wsr_engine_memory_bytes(&config, &fixed_without, &max), WSR_OK);
    assert_int_equal(fixed - fixed_without, 8 * MIB);
}

#if !defined(SANITIZED) /* whose shadow memory faults by itself */
static long faults(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
    return usage.ru_minflt + usage.ru_majflt;
}

static void an_echo_faults_nothing(void **state)
{
    (void)state;
    wsr_config config = WSR_CONFIG_INIT;
    config.reserve_bytes = 16 * MIB;
    config.prefault = true;
    struct world w;
    open_world(&w, &config, 8);
    start(&w, 4000, 8);
    run_until(&w, 200); /* the program itself, and the kernel's side of its sockets */
    const long before = faults();
    run_until(&w, 20000);
    assert_int_equal(faults() - before, 0);
    wsr_engine_close(w.engine);
}
#endif

/* Most of the receive buffers and of the reserve are never used here: they are in memory only if they were asked for. */
static void prefault_means_now(void **state)
{
    (void)state;
    long resident[2];
    for (unsigned i = 0; i < 2; i++) {
        wsr_config config = WSR_CONFIG_INIT;
        config.reserve_bytes = 32 * MIB;
        config.prefault = i == 1;
        wsr_engine *engine;
        assert_int_equal(wsr_engine_open(&engine, &config), WSR_OK);
        long total, pages;
        FILE *file = fopen("/proc/self/statm", "r");
        assert_non_null(file);
        assert_int_equal(fscanf(file, "%ld %ld", &total, &pages), 2);
        fclose(file);
        resident[i] = pages;
        wsr_engine_close(engine);
    }
    assert_true(resident[1] - resident[0] > (long)(30 * MIB) / sysconf(_SC_PAGESIZE));
}

/* ---- lock_memory and huge_pages: in a process of their own, which gives up privileges ---- */

#if !defined(SANITIZED) /* whose leak check wants to trace what it may not */
static bool drop_capability(unsigned capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) != 0)
        return false;
    data[capability / 32].effective &= ~(1u << capability % 32);
    return syscall(SYS_capset, &header, data) == 0;
}

static long locked_kib(void)
{
    char line[128];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && kib < 0 && fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "VmLck: %ld", &kib);
    if (file != NULL)
        fclose(file);
    return kib;
}

/* What a ring had locked counts until the kernel has taken it apart, which it does in its own time once the ring is closed. */
static int open_patiently(wsr_engine **engine, const wsr_config *config)
{
    int error;
    while ((error = wsr_engine_open(engine, config)) == WSR_EURING_MEMLOCK)
        usleep(1000);
    return error;
}

/* 0 if all is well, else the line. */
static int lock_in_child(void)
{
    const struct rlimit little = {256 << 10, 4 << 20}, enough = {4 << 20, 4 << 20};
    wsr_engine *engine;
    wsr_config config = WSR_CONFIG_INIT;
    config.lock_memory = true;
    if (setrlimit(RLIMIT_MEMLOCK, &enough) != 0 || !drop_capability(CAP_IPC_LOCK))
        return __LINE__;
    if (open_patiently(&engine, &config) != WSR_OK)
        return __LINE__;
    if (locked_kib() < 1024) /* the default receive buffers */
        return __LINE__;
    wsr_engine_close(engine);
    if (locked_kib() != 0)
        return __LINE__;
    config.reserve_bytes = 8 * MIB;
    if (open_patiently(&engine, &config) != WSR_EMEMLOCK)
        return __LINE__;
    config.reserve_bytes = 0;
    if (setrlimit(RLIMIT_MEMLOCK, &little) != 0 || open_patiently(&engine, &config) != WSR_EMEMLOCK || locked_kib() != 0)
        return __LINE__;
    config.lock_memory = false;
    if (setrlimit(RLIMIT_MEMLOCK, &enough) != 0 || open_patiently(&engine, &config) != WSR_OK)
        return __LINE__;
    wsr_engine_close(engine);
    return 0;
}

static void locked_as_far_as_the_limit(void **state)
{
    (void)state;
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(lock_in_child() & 0xff);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}
#endif

static void huge_pages_or_not_at_all(void **state)
{
    (void)state;
    wsr_config config = WSR_CONFIG_INIT;
    config.huge_pages = true;
    config.prefault = true;
    void *one = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
    if (one == MAP_FAILED) {
        wsr_engine *engine;
        assert_int_equal(wsr_engine_open(&engine, &config), WSR_EHUGEPAGES);
        return;
    }
    munmap(one, 2 * MIB);
    struct world w;
    open_world(&w, &config, 1);
    start(&w, 4000, 1);
    run_until(&w, 100);
    wsr_engine_close(w.engine);
}

static void a_reserve_has_an_end(void **state)
{
    (void)state;
    wsr_config config = WSR_CONFIG_INIT;
    config.reserve_bytes = ((uint64_t)64 << 30) + 1;
    wsr_engine *engine;
    assert_int_equal(wsr_engine_open(&engine, &config), WSR_ECONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_echo_allocates_nothing), cmocka_unit_test(an_opening_allocates),     cmocka_unit_test(a_reserve_is_all_it_needs),
        cmocka_unit_test(prefault_means_now),        cmocka_unit_test(huge_pages_or_not_at_all), cmocka_unit_test(a_reserve_has_an_end),
#if !defined(SANITIZED)
        cmocka_unit_test(an_echo_faults_nothing),    cmocka_unit_test(locked_as_far_as_the_limit),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
