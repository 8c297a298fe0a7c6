/*
 * tests/sim_ring.c - the ring on the simulated host: the scripts of test_ring.c under every kind of misfortune, each run
 * replayable by its seed; and the simulator itself, which must notice what no program may do.
 *
 *   sim_ring [SEED [COUNT]]    only the scripts, COUNT seeds from SEED, for a longer campaign or a replay (SIM_TRACE=1: traced)
 */
#include "ring/ring.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mark.h"
#include "lib/ring_scripts.h"
#include "ring/sys.h"
#include "sim/sim.h"

#define WITHOUT_ALL 8u
#define SECOND 1000000000u
#define SEEDS 40u /* for each script and combination, in the suite */

static void assert_no_leaks(void)
{
    char text[160];
    if (sim_leaks(text, sizeof text) > 0)
        fail_msg("left open: %s", text);
}

/* The simulated host moves bytes in pieces as small as one: streams as long as on the real one would only repeat themselves. */
static void shorten(void)
{
    ring_scripts_flood_bytes = (size_t)1 << 18;
    ring_scripts_shrink = 16;
}

/* One run: the knobs, the fallbacks and the script's own choices all come from the seed. */
static uint64_t run_seed(const struct ring_script_row *script, uint64_t seed, bool chaos)
{
    sim_reset(seed);
    if (chaos)
        sim_chaos();
    sim_knobs.no_incremental = chaos && sim_chance(20);
    sim_knobs.no_defer_taskrun = chaos && sim_chance(20);
    const struct wsr_ring_config config = {.without = (unsigned)sim_below(WITHOUT_ALL)};
    script->run(&config, sim_random());
    assert_no_leaks();
    return sim_digest();
}

struct scripted {
    const struct ring_script_row *script;
    char name[64];
};

static struct sim_stats total;

static void add_stats(void)
{
    uint64_t *sum = (uint64_t *)&total;
    const uint64_t *one = (const uint64_t *)&sim_stats;
    for (size_t i = 0; i < sizeof total / sizeof *sum; i++)
        sum[i] += one[i];
}

static void run_script(void **state)
{
    const struct scripted *scripted = *state;
    shorten();
    (void)run_seed(scripted->script, 1, false); /* the perfect host first */
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        (void)run_seed(scripted->script, seed, true);
        add_stats();
    }
}

/* The same seed is the same run, completion for completion; another seed is another. */
static void test_replay(void **state)
{
    (void)state;
    shorten();
    for (unsigned i = 0; i < ring_scripts_n; i++) {
        uint64_t first = run_seed(&ring_scripts[i], 77, true), again = run_seed(&ring_scripts[i], 77, true);
        assert_true(first == again);
        assert_true(first != run_seed(&ring_scripts[i], 78, true));
    }
}

/* Each fault that the knobs promise has been met by the scripts above. */
static void test_faults_met(void **state)
{
    (void)state;
    static const struct { const char *name; size_t at; } rows[] = {
#define ROW(field) {#field, offsetof(struct sim_stats, field)}
        ROW(short_reads), ROW(short_writes), ROW(short_sends), ROW(delayed),         ROW(late_sends), ROW(lost_more),        ROW(enobufs),
        ROW(enobufs_false), ROW(overflows),  ROW(reordered),   ROW(interrupts),      ROW(partial_submits), ROW(cancelled),
        ROW(cancelled_partly), ROW(resets),  ROW(refused),     ROW(buffers_returned),
#undef ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t n = *(const uint64_t *)(const void *)((const char *)&total + rows[i].at);
        print_message("           %-16s %llu\n", rows[i].name, (unsigned long long)n);
        assert_true(n > 0);
    }
}

/* ---- opening under failure ---- */

/* Every call that opening makes fails in turn, with several errors: told apart, and nothing is left behind. */
static void test_open_fails(void **state)
{
    (void)state;
    static const struct { enum sim_call call; int error, result; } rows[] = {
        {SIM_SETUP, EPERM, WSR_EURING_SECCOMP},   {SIM_SETUP, ENOMEM, WSR_EURING_MEMLOCK}, {SIM_SETUP, EMFILE, WSR_ESYS},
        {SIM_ENTER, EPERM, WSR_EURING_SECCOMP},   {SIM_ENTER, ENOSYS, WSR_EURING_KERNEL},  {SIM_REGISTER, EPERM, WSR_EURING_SECCOMP},
        {SIM_REGISTER, ENOMEM, WSR_EURING_MEMLOCK}, {SIM_MAP, ENOMEM, WSR_ENOMEM},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sim_reset(i);
        sim_fail(rows[i].call, 1, rows[i].error);
        struct wsr_ring *ring;
        struct wsr_ring_report report;
        assert_int_equal(wsr_ring_open(&ring, NULL, &report), rows[i].result);
        assert_int_equal(report.error, rows[i].result);
        assert_null(ring);
        assert_no_leaks();
    }
    struct wsr_ring *ring;
    sim_reset(1);
    sim_knobs.uring_disabled = 2;
    sim_fail(SIM_SETUP, 1, EPERM);
    assert_int_equal(wsr_ring_open(&ring, NULL, NULL), WSR_EURING_SYSCTL);
    sim_knobs.seccomp_filtered = true;
    sim_fail(SIM_SETUP, 1, ENOSYS);
    assert_int_equal(wsr_ring_open(&ring, NULL, NULL), WSR_EURING_SECCOMP);
    assert_no_leaks();
}

/* An old kernel: what it lacks is found out, and the report says so. */
static void test_old_kernel(void **state)
{
    (void)state;
    struct wsr_ring *ring;
    struct wsr_ring_report report;
    sim_reset(3);
    sim_knobs.no_incremental = sim_knobs.no_defer_taskrun = true;
    assert_int_equal(wsr_ring_open(&ring, NULL, &report), 0);
    assert_false(report.incremental || report.defer_taskrun);
    assert_true(report.multishot);
    assert_int_equal(wsr_ring_buffers(ring), 256);
    wsr_ring_close(ring);
    assert_no_leaks();
}

/* ---- clock, turns, scripted peers ---- */

static int listen_on(uint16_t *port)
{
    union wsr_address address;
    socklen_t len;
    assert_int_equal(wsr_sys_address("127.0.0.1", 0, &address, &len), 0);
    int fd = wsr_sys_listen(&address, len, 8, false);
    assert_true(fd >= 0);
    assert_int_equal(wsr_sys_local_address(fd, &address), 0);
    *port = ntohs(address.in4.sin_port);
    return fd;
}

static struct wsr_completion take(struct wsr_ring *ring)
{
    struct wsr_completion c = {0, 0, 0, NULL, 0, NULL};
    while (!wsr_ring_next(ring, &c))
        assert_int_equal(wsr_ring_wait(ring, -1), 0);
    return c;
}

/* A wait takes as long as it says, on a clock that nobody waits for. */
static void test_clock(void **state)
{
    (void)state;
    sim_reset(9);
    struct wsr_ring *ring;
    assert_int_equal(wsr_ring_open(&ring, NULL, NULL), 0);
    uint64_t begin = wsr_sys_now_ns();
    assert_int_equal(wsr_ring_wait(ring, (int64_t)86400 * SECOND), 0);
    assert_true(wsr_sys_now_ns() - begin == (uint64_t)86400 * SECOND);
    assert_int_equal(wsr_ring_timer(ring, wsr_sys_now_ns() + 5, 1), 0);
    assert_int_equal(wsr_ring_wait(ring, SECOND), 0);
    assert_true(wsr_sys_now_ns() - begin == (uint64_t)86400 * SECOND + 5);
    assert_int_equal(take(ring).res, -ETIME);
    assert_int_equal(wsr_ring_wait(ring, 0), 0);
    assert_true(wsr_sys_now_ns() - begin == (uint64_t)86400 * SECOND + 5);
    wsr_ring_close(ring);
    assert_no_leaks();
}

/* A scripted client against a ring: bytes both ways, half-close, end; then a reset. */
static void test_scripted_client(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        sim_reset(seed);
        sim_knobs.latency_ns_max = seed % 2 == 0 ? 0 : 30000000;
        uint16_t port;
        struct wsr_ring *ring;
        int listener = listen_on(&port);
        assert_int_equal(wsr_ring_open(&ring, NULL, NULL), 0);
        assert_int_equal(wsr_ring_accept(ring, listener, 1), 0);
        int peer = sim_peer_connect(port);
        assert_true(peer >= 0);
        struct wsr_completion c = take(ring);
        int fd = c.res;
        assert_int_equal(wsr_ring_receive(ring, fd, 2, false), 0);
        assert_int_equal(sim_peer_write(peer, "ping", 4), 4);
        sim_peer_shutdown(peer);
        assert_int_equal(sim_peer_write(peer, "x", 1), -EPIPE);
        c = take(ring);
        assert_int_equal(c.res, 4);
        assert_memory_equal(c.ptr, "ping", 4);
        wsr_ring_release(ring, c.buffer);
        c = take(ring);
        assert_int_equal(c.res, 0);
        char bytes[8];
        assert_int_equal(sim_peer_read(peer, bytes, sizeof bytes), -EAGAIN);
        wsr_slice pong = {(const uint8_t *)"pong", 4};
        assert_int_equal(wsr_ring_send(ring, fd, 3, &pong, 1), 0);
        assert_int_equal(take(ring).res, 4);
        ptrdiff_t n;
        while ((n = sim_peer_read(peer, bytes, sizeof bytes)) == -EAGAIN)
            assert_true(sim_advance());
        assert_int_equal(n, 4);
        assert_memory_equal(bytes, "pong", 4);
        assert_int_equal(wsr_ring_receive(ring, fd, 2, false), 0); /* past the end: the end again */
        assert_int_equal(take(ring).res, 0);
        assert_int_equal(wsr_ring_poll(ring, fd, 4), 0); /* and the reset, where it is not known yet */
        (void)take(ring);
        sim_peer_reset(peer);
        wsr_ring_close(ring);
        wsr_sys_close(fd);
        wsr_sys_close(listener);
        assert_no_leaks();
    }
}

/* A scripted server: a ring connects to it, is heard, and is refused once it has gone. */
static void test_scripted_server(void **state)
{
    (void)state;
    sim_reset(5);
    sim_knobs.latency_ns_max = 10000000;
    struct wsr_ring *ring;
    assert_int_equal(wsr_ring_open(&ring, NULL, NULL), 0);
    int listener = sim_peer_listen(4000);
    assert_int_equal(sim_peer_accept(listener), -EAGAIN);
    union wsr_address address;
    socklen_t len;
    assert_int_equal(wsr_sys_address("127.0.0.1", 4000, &address, &len), 0);
    int fd = wsr_sys_socket(AF_INET);
    assert_int_equal(wsr_ring_connect(ring, fd, 1, &address.any, len), 0);
    assert_int_equal(take(ring).res, 0);
    wsr_slice hello = {(const uint8_t *)"hello", 5};
    assert_int_equal(wsr_ring_send(ring, fd, 2, &hello, 1), 0);
    assert_int_equal(take(ring).res, 5);
    int peer;
    while ((peer = sim_peer_accept(listener)) == -EAGAIN)
        assert_true(sim_advance());
    char bytes[8];
    ptrdiff_t n;
    while ((n = sim_peer_read(peer, bytes, sizeof bytes)) == -EAGAIN)
        assert_true(sim_advance());
    assert_int_equal(n, 5);
    sim_peer_close(peer);
    assert_int_equal(wsr_ring_receive(ring, fd, 3, false), 0);
    assert_int_equal(take(ring).res, 0);
    wsr_sys_close(fd);
    sim_peer_close(listener);
    fd = wsr_sys_socket(AF_INET);
    assert_int_equal(wsr_ring_connect(ring, fd, 1, &address.any, len), 0);
    assert_int_equal(take(ring).res, -ECONNREFUSED);
    wsr_sys_close(fd);
    wsr_ring_close(ring);
    assert_no_leaks();
}

/* Two rings in one process: one waits long, and is back when the other has something to do. */
static void test_two_rings(void **state)
{
    (void)state;
    sim_reset(6);
    sim_knobs.latency_ns_max = 1000000;
    struct wsr_ring *server, *client;
    uint16_t port;
    int listener = listen_on(&port), fd = wsr_sys_socket(AF_INET);
    union wsr_address address;
    assert_int_equal(wsr_sys_local_address(listener, &address), 0);
    assert_int_equal(wsr_ring_open(&server, NULL, NULL), 0);
    assert_int_equal(wsr_ring_open(&client, NULL, NULL), 0);
    assert_int_equal(wsr_ring_accept(server, listener, 1), 0);
    assert_int_equal(wsr_ring_submit(server), 0);
    assert_int_equal(wsr_ring_connect(client, fd, 2, &address.any, sizeof address.in4), 0);
    uint64_t begin = wsr_sys_now_ns();
    struct wsr_completion c;
    bool accepted = false, connected = false;
    int other = -1;
    for (unsigned turn = 0; turn < 100 && !(accepted && connected); turn++) {
        assert_int_equal(wsr_ring_wait(client, (int64_t)3600 * SECOND), 0);
        if (wsr_ring_next(client, &c))
            connected = c.res == 0;
        assert_int_equal(wsr_ring_wait(server, 0), 0);
        if (wsr_ring_next(server, &c)) {
            accepted = true;
            other = c.res;
        }
    }
    assert_true(accepted && connected);
    assert_true(wsr_sys_now_ns() - begin < SECOND); /* and not after the hour */
    wsr_ring_close(client);
    wsr_ring_close(server);
    wsr_sys_close(fd);
    wsr_sys_close(other);
    wsr_sys_close(listener);
    assert_no_leaks();
}

/* Accept ends at the descriptor limit, says so, and goes on when there is room again. */
static void test_accept_limit(void **state)
{
    (void)state;
    for (unsigned without = 0; without < WITHOUT_ALL; without++) {
        sim_reset(without);
        struct wsr_ring *ring;
        const struct wsr_ring_config config = {.without = without};
        uint16_t port;
        int listener = listen_on(&port), reserve = wsr_sys_reserve(), spare = wsr_sys_reserve();
        assert_int_equal(wsr_ring_open(&ring, &config, NULL), 0);
        sim_knobs.fds_max = 5; /* one connection fits beside these */
        int first = sim_peer_connect(port), second = sim_peer_connect(port);
        assert_int_equal(wsr_ring_accept(ring, listener, 1), 0);
        struct wsr_completion c = take(ring);
        int fd = c.res;
        assert_true(fd >= 0);
        assert_true((c.flags & WSR_COMPLETION_MORE) != 0);
        c = take(ring);
        assert_int_equal(c.res, -EMFILE);
        assert_int_equal(c.flags, 0);
        assert_int_equal(wsr_sys_shed(listener, &reserve), 0);
        char byte;
        assert_int_equal(sim_peer_read(second, &byte, 1), 0);
        wsr_sys_close(spare);
        int third = sim_peer_connect(port);
        assert_int_equal(wsr_ring_accept(ring, listener, 1), 0);
        c = take(ring);
        assert_true(c.res >= 0);
        wsr_ring_close(ring);
        wsr_sys_close(c.res);
        wsr_sys_close(fd);
        wsr_sys_close(reserve);
        wsr_sys_close(listener);
        sim_peer_close(first);
        sim_peer_close(second);
        sim_peer_close(third);
        assert_no_leaks();
    }
}

/* The nth operation fails, for every n: the error comes back with its tag, and the ring stays whole. */
static void test_operation_fails(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 6; nth++) {
        sim_reset(nth);
        sim_fail(SIM_OPERATION, nth, ENOMEM);
        struct wsr_ring *ring;
        uint16_t port;
        int listener = listen_on(&port), fd = wsr_sys_eventfd(), failed = 0;
        assert_int_equal(wsr_ring_open(&ring, NULL, NULL), 0);
        int peer = sim_peer_connect(port);
        assert_int_equal(wsr_ring_accept(ring, listener, 1), 0);
        struct wsr_completion c = take(ring);
        failed += c.res == -ENOMEM;
        int socket = c.res;
        if (socket >= 0) {
            wsr_slice slice = {(const uint8_t *)"x", 1};
            assert_int_equal(wsr_ring_send(ring, socket, 2, &slice, 1), 0);
            failed += take(ring).res == -ENOMEM;
            assert_int_equal(sim_peer_write(peer, "y", 1), 1);
            assert_int_equal(wsr_ring_receive(ring, socket, 3, false), 0);
            c = take(ring);
            failed += c.res == -ENOMEM;
            if ((c.flags & WSR_COMPLETION_BYTES) != 0)
                wsr_ring_release(ring, c.buffer);
            wsr_sys_eventfd_signal(fd);
            assert_int_equal(wsr_ring_poll(ring, fd, 4), 0);
            failed += take(ring).res == -ENOMEM;
            assert_int_equal(wsr_ring_timer(ring, wsr_sys_now_ns(), 5), 0);
            failed += take(ring).res == -ENOMEM;
            assert_int_equal(wsr_ring_cancel(ring, 77, 6), 0);
            failed += take(ring).res == -ENOMEM;
        }
        assert_int_equal(failed, 1);
        wsr_ring_close(ring);
        if (socket >= 0)
            wsr_sys_close(socket);
        wsr_sys_close(fd);
        wsr_sys_close(listener);
        sim_peer_close(peer);
        assert_no_leaks();
    }
}

/* ---- what the simulator must notice ---- */

static jmp_buf caught;
static char caught_text[256];

static void catch_violation(const char *text)
{
    snprintf(caught_text, sizeof caught_text, "%s", text);
    longjmp(caught, 1);
}

struct scene {
    struct wsr_ring *ring;
    int listener, fd, peer;
};

/* What a ring that cannot be closed any more leaves behind: remembered, and freed with the scene. */
static void *left[16];
static unsigned left_n;

static void *left_alloc(void *context, size_t size)
{
    (void)context;
    assert_true(left_n < sizeof left / sizeof left[0]);
    return left[left_n++] = malloc(size);
}

static void *left_resize(void *context, void *ptr, size_t old_size, size_t size)
{
    void *bigger = left_alloc(context, size);
    return memcpy(bigger, ptr, old_size);
}

static void left_release(void *context, void *ptr, size_t size)
{
    (void)context, (void)ptr, (void)size;
}

static void free_left(void)
{
    while (left_n > 0)
        free(left[--left_n]);
}

static void set_scene(struct scene *scene)
{
    uint16_t port;
    scene->listener = listen_on(&port);
    static const wsr_allocator allocator = {NULL, left_alloc, left_resize, left_release};
    struct wsr_ring_config config = {.buffers = 2, .buffer_bytes = 512, .allocator = &allocator};
    assert_int_equal(wsr_ring_open(&scene->ring, &config, NULL), 0);
    scene->peer = sim_peer_connect(port);
    assert_int_equal(wsr_ring_accept(scene->ring, scene->listener, 1), 0);
    scene->fd = take(scene->ring).res;
}

static uint8_t payload[200000];

static void bad_payload_changed(struct scene *scene)
{
    wsr_slice slice = {payload, sizeof payload};
    char bytes[1000];
    assert_int_equal(wsr_ring_send(scene->ring, scene->fd, 2, &slice, 1), 0);
    assert_int_equal(wsr_ring_submit(scene->ring), 0);
    payload[sizeof payload - 1] ^= 1;
    for (;;) {
        (void)sim_peer_read(scene->peer, bytes, sizeof bytes);
        assert_int_equal(wsr_ring_wait(scene->ring, 0), 0);
    }
}

static void bad_two_sends(struct scene *scene)
{
    wsr_slice slice = {payload, sizeof payload};
    assert_int_equal(wsr_ring_send(scene->ring, scene->fd, 2, &slice, 1), 0);
    assert_int_equal(wsr_ring_send(scene->ring, scene->fd, 3, &slice, 1), 0);
    assert_int_equal(wsr_ring_submit(scene->ring), 0);
}

static void bad_close_armed(struct scene *scene)
{
    assert_int_equal(wsr_ring_receive(scene->ring, scene->fd, 2, false), 0);
    assert_int_equal(wsr_ring_submit(scene->ring), 0);
    wsr_sys_close(scene->fd);
}

static void bad_closed_descriptor(struct scene *scene)
{
    wsr_sys_close(scene->fd);
    assert_int_equal(wsr_ring_receive(scene->ring, scene->fd, 2, false), 0);
    assert_int_equal(wsr_ring_submit(scene->ring), 0);
}

static void bad_double_close(struct scene *scene)
{
    wsr_sys_close(scene->fd);
    wsr_sys_close(scene->fd);
}

static void bad_wait_for_ever(struct scene *scene)
{
    assert_int_equal(wsr_ring_wait(scene->ring, -1), 0);
}

static void bad_peer(struct scene *scene)
{
    sim_peer_close(scene->peer);
    sim_peer_close(scene->peer);
}

static void test_violations(void **state)
{
    (void)state;
    static const struct { const char *text; void (*run)(struct scene *scene); } rows[] = {
        {"payload of send", bad_payload_changed}, {"two sends at once", bad_two_sends},  {"closed with 1 operations", bad_close_armed},
        {"which is not open", bad_closed_descriptor}, {"which is not open", bad_double_close}, {"waits for ever", bad_wait_for_ever},
        {"is none", bad_peer},
    };
    for (volatile size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sim_reset(i);
        caught_text[0] = '\0';
        struct scene scene;
        set_scene(&scene);
        sim_on_violation = catch_violation;
        if (setjmp(caught) == 0)
            rows[i].run(&scene);
        sim_on_violation = NULL;
        if (strstr(caught_text, rows[i].text) == NULL)
            fail_msg("wanted a violation with \"%s\", got \"%s\"", rows[i].text, caught_text);
        free_left();
    }
}

/* Released bytes are closed to everybody, and overwritten: a reader that comes late does not find what it looks for. */
static void test_scribble(void **state)
{
    (void)state;
    sim_reset(4);
    struct scene scene;
    set_scene(&scene);
    assert_int_equal(wsr_ring_receive(scene.ring, scene.fd, 2, false), 0);
    uint8_t bytes[512];
    memset(bytes, 'a', sizeof bytes);
    assert_int_equal(sim_peer_write(scene.peer, bytes, sizeof bytes), 512);
    struct wsr_completion c = take(scene.ring);
    assert_int_equal(c.res, 512);
    assert_int_equal(c.ptr[0], 'a');
#ifdef WSR_MARKS
    assert_true(wsr_mark_is_open(c.ptr + 511) && !wsr_mark_is_open(c.ptr + 512));
#endif
    wsr_ring_release(scene.ring, c.buffer);
    assert_int_equal(sim_peer_write(scene.peer, bytes, 1), 1);
    struct wsr_completion next = take(scene.ring);
    assert_true(next.ptr != c.ptr);
#ifdef WSR_MARKS
    assert_false(wsr_mark_is_open(c.ptr) || wsr_mark_is_open(c.ptr + 511));
#endif
    wsr_mark_filled(c.ptr, 1);
    assert_int_equal(c.ptr[0], 0xdb);
    wsr_ring_release(scene.ring, next.buffer);
    wsr_ring_close(scene.ring);
    wsr_sys_close(scene.fd);
    wsr_sys_close(scene.listener);
    sim_peer_close(scene.peer);
    assert_no_leaks();
    free_left();
}

/* ---- running ---- */

static int campaign(uint64_t seed, uint64_t count)
{
    shorten();
    sim_trace = getenv("SIM_TRACE") != NULL ? stderr : NULL;
    for (uint64_t i = 0; i < count; i++) {
        for (unsigned j = 0; j < ring_scripts_n; j++) {
            (void)run_seed(&ring_scripts[j], seed + i, true);
            add_stats();
        }
    }
    printf("%llu seeds, %llu completions\n", (unsigned long long)count, (unsigned long long)total.completions);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return campaign(strtoull(argv[1], NULL, 0), argc > 2 ? strtoull(argv[2], NULL, 0) : 1);
    static struct scripted scripted[64];
    static struct CMUnitTest tests[64 + 16];
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_replay),          cmocka_unit_test(test_faults_met),      cmocka_unit_test(test_open_fails),
        cmocka_unit_test(test_old_kernel),      cmocka_unit_test(test_clock),           cmocka_unit_test(test_scripted_client),
        cmocka_unit_test(test_scripted_server), cmocka_unit_test(test_two_rings),       cmocka_unit_test(test_accept_limit),
        cmocka_unit_test(test_operation_fails), cmocka_unit_test(test_violations),      cmocka_unit_test(test_scribble),
    };
    size_t n = 0;
    for (; n < ring_scripts_n; n++) {
        scripted[n].script = &ring_scripts[n];
        snprintf(scripted[n].name, sizeof scripted[n].name, "%s, simulated", ring_scripts[n].name);
        tests[n].name = scripted[n].name;
        tests[n].test_func = run_script;
        tests[n].initial_state = &scripted[n];
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        tests[n++] = others[i];
    return _cmocka_run_group_tests("ring, simulated", tests, n, NULL, NULL);
}
