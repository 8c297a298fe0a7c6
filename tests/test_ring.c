/*
 * tests/test_ring.c - the ring on the real kernel: every script with every combination of fallbacks, and what only a
 * real kernel can show: refusals, a foreign epoll loop, descriptors running out, opening on another thread.
 */
#include "ring/uring.h"
#include "ring/compat.h"
#include "ring/ring.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/ring_scripts.h"
#include "ring/probe.h"
#include "ring/sys.h"

#define WITHOUT_ALL 8u

static int descriptors_open(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

struct scripted {
    const struct ring_script_row *script;
    unsigned without;
    char name[64];
};

static void run_script(void **state)
{
    const struct scripted *scripted = *state;
    const struct wsr_ring_config config = {.without = scripted->without};
    int before = descriptors_open();
    scripted->script->run(&config, 0x5eed + scripted->without);
    assert_int_equal(descriptors_open(), before);
}

/* ---- refusals ---- */

/* Makes one system call fail with `error` in this process, as a container's seccomp profile does. */
static void forbid(unsigned call, unsigned error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(100);
}

/* What opening a ring says where `call` fails with `error`: -wsr_error, as a child's exit code. */
static int refusal(unsigned call, unsigned error)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        forbid(call, error);
        struct wsr_ring *ring = NULL;
        struct wsr_ring_report report;
        int result = wsr_ring_open(&ring, NULL, &report);
        bool told = ring == NULL && report.error == result && report.sys_errno == (int)error;
        _exit(told ? -result : 101);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

static void test_refused(void **state)
{
    (void)state;
    if (wsr_sys_uring_disabled() > 0)
        skip();
    assert_int_equal(refusal(__NR_io_uring_setup, EPERM), WSR_EURING_SECCOMP);
    assert_int_equal(refusal(__NR_io_uring_setup, ENOSYS), WSR_EURING_SECCOMP);
    assert_int_equal(refusal(__NR_io_uring_enter, EPERM), WSR_EURING_SECCOMP);
    assert_int_equal(refusal(__NR_io_uring_register, EPERM), WSR_EURING_SECCOMP);
    assert_int_equal(refusal(__NR_io_uring_setup, ENOMEM), WSR_EURING_MEMLOCK);
    assert_int_equal(refusal(__NR_io_uring_setup, EINVAL), WSR_EURING_KERNEL);
    assert_int_equal(refusal(__NR_io_uring_setup, EMFILE), WSR_ESYS);
    assert_int_equal(refusal(__NR_io_uring_register, ENOMEM), WSR_EURING_MEMLOCK);
}

/* No descriptor left: an ordinary system error, with its number. */
static void test_no_descriptor(void **state)
{
    (void)state;
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct wsr_ring *ring;
    struct wsr_ring_report report;
    int result = wsr_ring_open(&ring, NULL, &report);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(result, WSR_ESYS);
    assert_int_equal(report.sys_errno, EMFILE);
    assert_null(ring);
}

static void *no_memory(void *context, size_t size)
{
    (void)size;
    return --*(int *)context < 0 ? NULL : malloc(size);
}

static void *no_resize(void *context, void *ptr, size_t old_size, size_t size)
{
    (void)context, (void)old_size;
    return realloc(ptr, size);
}

static void give_back(void *context, void *ptr, size_t size)
{
    (void)context, (void)size;
    free(ptr);
}

/* Each allocation fails in turn: WSR_ENOMEM, and nothing is left behind. */
static void test_no_memory(void **state)
{
    (void)state;
    int before = descriptors_open(), result = WSR_ENOMEM;
    unsigned failures = 0;
    for (int allowed = 0; result == WSR_ENOMEM; allowed++) {
        int left = allowed;
        wsr_allocator allocator = {&left, no_memory, no_resize, give_back};
        struct wsr_ring_config config = {.allocator = &allocator};
        struct wsr_ring *ring;
        result = wsr_ring_open(&ring, &config, NULL);
        failures += result == WSR_ENOMEM;
        wsr_ring_close(ring);
    }
    assert_int_equal(result, 0);
    assert_true(failures >= 3);
    assert_int_equal(descriptors_open(), before);
}

static void test_config(void **state)
{
    (void)state;
    struct wsr_ring *ring;
    struct wsr_ring_config bad = {.buffers = 3};
    assert_int_equal(wsr_ring_open(&ring, &bad, NULL), WSR_ECONFIG);
    bad.buffers = 65536;
    assert_int_equal(wsr_ring_open(&ring, &bad, NULL), WSR_ECONFIG);
    bad.buffers = 0;
    bad.buffer_bytes = 1000;
    assert_int_equal(wsr_ring_open(&ring, &bad, NULL), WSR_ECONFIG);
    assert_null(ring);
    wsr_ring_close(NULL);
}

/* What was asked to be left out is left out, and the rest is what a ring of this kernel reports. */
static void test_report(void **state)
{
    (void)state;
    struct wsr_ring_report all, none;
    struct wsr_ring *ring;
    assert_int_equal(wsr_ring_open(&ring, NULL, &all), 0);
    wsr_ring_close(ring);
    struct wsr_ring_config config = {.without = WITHOUT_ALL - 1};
    assert_int_equal(wsr_ring_open(&ring, &config, &none), 0);
    assert_false(none.incremental || none.multishot || none.defer_taskrun);
    assert_int_equal(wsr_ring_buffers_free(ring, false), 256);
    assert_int_equal(wsr_ring_buffers(ring), 256);
    wsr_ring_close(ring);
    print_message("           incremental %d multishot %d defer_taskrun %d\n", all.incremental, all.multishot, all.defer_taskrun);
    assert_true(all.multishot);
}

/* ---- the host's own ways ---- */

/* Closing a ring makes the kernel interrupt the thread that used it, a little later: other tests' rings do so here. */
static int wait_readable(int loop, int timeout_ms)
{
    struct epoll_event event;
    int n = -1;
    do
        n = epoll_wait(loop, &event, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n;
}

/* The ring's descriptor is readable in an epoll loop when there is something to take, and only then. */
static void test_foreign_loop(void **state)
{
    const struct wsr_ring_config *config = *state;
    struct wsr_ring *ring;
    assert_int_equal(wsr_ring_open(&ring, config, NULL), 0);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(wsr_ring_receive(ring, pair[0], 5, false), 0);
    assert_int_equal(wsr_ring_submit(ring), 0);

    int loop = epoll_create1(EPOLL_CLOEXEC), fd = wsr_ring_fd(ring);
    assert_true(fd >= 0);
    assert_int_equal(wsr_ring_fd(ring), fd);
    struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = 0}};
    assert_int_equal(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event), 0);
    assert_int_equal(wait_readable(loop, 0), 1); /* once, for what may have been before */
    assert_int_equal(wsr_ring_wait(ring, 0), 0);
    for (unsigned i = 0; i < 20; i++) {
        struct wsr_completion c;
        assert_int_equal(wait_readable(loop, 0), 0);
        assert_int_equal(write(pair[1], "x", 1), 1);
        assert_int_equal(wait_readable(loop, 5000), 1);
        assert_int_equal(wsr_ring_wait(ring, i % 2 == 0 ? 0 : -1), 0);
        assert_true(wsr_ring_next(ring, &c));
        assert_int_equal(c.res, 1);
        assert_int_equal(*c.ptr, 'x');
        wsr_ring_release(ring, c.buffer);
        assert_false(wsr_ring_next(ring, &c));
        assert_int_equal(wsr_ring_submit(ring), 0);
    }
    wsr_ring_close(ring);
    close(loop);
    close(pair[0]);
    close(pair[1]);
}

struct elsewhere {
    struct wsr_ring *ring;
    int result;
};

static void *use_elsewhere(void *argument)
{
    struct elsewhere *elsewhere = argument;
    struct wsr_completion c;
    elsewhere->result = wsr_ring_timer(elsewhere->ring, 1, 9);
    if (elsewhere->result == 0)
        elsewhere->result = wsr_ring_wait(elsewhere->ring, -1);
    if (elsewhere->result == 0)
        elsewhere->result = wsr_ring_next(elsewhere->ring, &c) && c.res == -ETIME ? 0 : 1;
    wsr_ring_close(elsewhere->ring);
    return NULL;
}

/* Opened here, owned by the thread that uses it first. */
static void test_other_thread(void **state)
{
    (void)state;
    struct elsewhere elsewhere = {NULL, 1};
    assert_int_equal(wsr_ring_open(&elsewhere.ring, NULL, NULL), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, use_elsewhere, &elsewhere), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(elsewhere.result, 0);
}

/* MSG_WAITALL: a send far larger than the socket takes at once is one completion, with one slice and with many. */
static void test_send_whole(void **state)
{
    (void)state;
    enum { TOTAL = 8 << 20 };
    struct wsr_ring *ring;
    assert_int_equal(wsr_ring_open(&ring, NULL, NULL), 0);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    uint8_t *bytes = calloc(1, TOTAL);
    assert_non_null(bytes);
    assert_int_equal(wsr_ring_receive(ring, pair[0], 1, false), 0);
    for (unsigned n = 1; n <= WSR_RING_SLICES_MAX; n *= 4) {
        wsr_slice slices[WSR_RING_SLICES_MAX];
        for (unsigned i = 0; i < n; i++) {
            slices[i].ptr = bytes + (size_t)i * (TOTAL / n);
            slices[i].len = TOTAL / n;
        }
        assert_int_equal(wsr_ring_send(ring, pair[1], 2, slices, n), 0);
        size_t got = 0;
        int32_t sent = 0;
        while (got < TOTAL || sent == 0) {
            struct wsr_completion c;
            assert_int_equal(wsr_ring_wait(ring, -1), 0);
            while (wsr_ring_next(ring, &c)) {
                if (c.tag == 2) {
                    sent = c.res;
                    continue;
                }
                got += c.res > 0 ? (size_t)c.res : 0;
                if ((c.flags & WSR_COMPLETION_BYTES) != 0)
                    wsr_ring_release(ring, c.buffer);
                if ((c.flags & WSR_COMPLETION_MORE) == 0)
                    assert_int_equal(wsr_ring_receive(ring, pair[0], 1, c.res < 0), 0);
            }
        }
        assert_int_equal(sent, TOTAL);
        assert_int_equal(got, TOTAL);
    }
    wsr_ring_close(ring);
    free(bytes);
    close(pair[0]);
    close(pair[1]);
}

/* Accept ends with EMFILE and says so; the one that waits is shed, and accepting goes on with descriptors to spare. */
static void test_accept_limit(void **state)
{
    (void)state;
#ifdef WSR_VALGRIND
    skip(); /* the kernel is not told of this limit: valgrind holds programs to it by itself, and cannot hold io_uring to it */
#endif
    struct wsr_ring *ring;
    assert_int_equal(wsr_ring_open(&ring, NULL, NULL), 0);
    union wsr_address address;
    socklen_t len;
    assert_int_equal(wsr_sys_address("127.0.0.1", 0, &address, &len), 0);
    int listener = wsr_sys_listen(&address, len, 16, true);
    assert_true(listener >= 0);
    assert_int_equal(wsr_sys_local_address(listener, &address), 0);
    int reserve = wsr_sys_reserve(), client = wsr_sys_socket(AF_INET);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)client + 1; /* every descriptor up to here is taken: each was the lowest free one */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);

    assert_int_equal(wsr_ring_accept(ring, listener, 1), 0);
    assert_int_equal(wsr_ring_connect(ring, client, 2, &address.any, len), 0);
    bool refused = false, connected = false;
    while (!refused || !connected) {
        struct wsr_completion c;
        assert_int_equal(wsr_ring_wait(ring, -1), 0);
        while (wsr_ring_next(ring, &c)) {
            refused = refused || (c.tag == 1 && c.res == -EMFILE && (c.flags & WSR_COMPLETION_MORE) == 0);
            connected = connected || (c.tag == 2 && c.res == 0);
        }
    }
    int shed = -EAGAIN;
    while (shed == -EAGAIN)
        shed = wsr_sys_shed(listener, &reserve);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(shed, 0);
    assert_true(reserve >= 0);
    char byte;
    assert_int_equal(read(client, &byte, 1), 0);
    wsr_ring_close(ring);
    close(client);
    close(reserve);
    close(listener);
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct { const char *host, *text; } rows[] = {
        {"127.0.0.1", "127.0.0.1:80"}, {"::1", "[::1]:80"}, {"[::1]", "[::1]:80"},      {"[2001:db8::2]", "[2001:db8::2]:80"},
        {"localhost", NULL},           {"", NULL},          {"[", NULL},                {"[]", NULL},
        {"1.2.3", NULL},               {"[127.0.0.1]", NULL}, {"127.0.0.1:80", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        union wsr_address address;
        socklen_t len;
        char text[64];
        int result = wsr_sys_address(rows[i].host, 80, &address, &len);
        assert_int_equal(result, rows[i].text != NULL ? 0 : -EINVAL);
        if (rows[i].text == NULL)
            continue;
        wsr_sys_address_text(&address, text, sizeof text);
        assert_string_equal(text, rows[i].text);
    }
    union wsr_address taken;
    socklen_t len;
    assert_int_equal(wsr_sys_address("127.0.0.1", 0, &taken, &len), 0);
    int first = wsr_sys_listen(&taken, len, 1, false);
    assert_int_equal(wsr_sys_local_address(first, &taken), 0);
    assert_int_equal(wsr_sys_listen(&taken, len, 1, false), -EADDRINUSE);
    wsr_sys_close(first);
}

/* From its first submit on: what nobody here does the kernel refuses, whoever asks. */
static void a_ring_can_do_no_more_than_is_asked_of_it(void **unused)
{
    (void)unused;
    struct wsr_ring *ring;
    assert_int_equal(wsr_ring_open(&ring, NULL, NULL), 0);
    assert_int_equal(wsr_ring_submit(ring), 0);
    struct iovec memory = {&memory, sizeof memory};
    assert_int_equal(io_uring_register((unsigned)ring->io.ring_fd, IORING_REGISTER_BUFFERS, &memory, 1), -EACCES);
    struct io_uring_sqe *sqe = wsr_ring_free_entry(ring);
    assert_non_null(sqe);
    io_uring_prep_nop(sqe);
    sqe->user_data = 7;
    ring->in_flight++;
    assert_int_equal(wsr_ring_wait(ring, 1000000000), 0);
    struct wsr_completion completion;
    assert_true(wsr_ring_next(ring, &completion));
    assert_int_equal(completion.tag, 7);
    assert_int_equal(completion.res, -EACCES);
    wsr_ring_close(ring);
}

int main(void)
{
    static struct scripted scripted[64 * WITHOUT_ALL];
    static struct CMUnitTest tests[64 * WITHOUT_ALL + 16];
    static struct wsr_ring_config loops[] = {{.without = 0}, {.without = WSR_RING_WITHOUT_DEFER}, {.without = WITHOUT_ALL - 1}};
    static const struct CMUnitTest others[] = {
        {"foreign loop", test_foreign_loop, NULL, NULL, &loops[0]},
        {"foreign loop, without 4", test_foreign_loop, NULL, NULL, &loops[1]},
        {"foreign loop, without 7", test_foreign_loop, NULL, NULL, &loops[2]},
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_no_descriptor), cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_config),       cmocka_unit_test(test_report),        cmocka_unit_test(test_other_thread),
        cmocka_unit_test(test_send_whole),
        cmocka_unit_test(test_accept_limit),  cmocka_unit_test(test_addresses),
        cmocka_unit_test(a_ring_can_do_no_more_than_is_asked_of_it),
    };
    size_t n = 0;
    for (unsigned i = 0; i < ring_scripts_n; i++) {
        for (unsigned without = 0; without < WITHOUT_ALL; without++, n++) {
            scripted[n].script = &ring_scripts[i];
            scripted[n].without = without;
            snprintf(scripted[n].name, sizeof scripted[n].name, "%s, without %u", ring_scripts[i].name, without);
            tests[n].name = scripted[n].name;
            tests[n].test_func = run_script;
            tests[n].initial_state = &scripted[n];
        }
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        tests[n++] = others[i];
    return _cmocka_run_group_tests("ring", tests, n, NULL, NULL);
}
