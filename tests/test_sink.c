/*
 * tests/test_sink.c - a descriptor that is written to without waiting for its reader: pipes that are full, that are left, files.
 * A write that waited would hang this test, and its runner would kill it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/sink.h"

enum { MANY = 3 << 20 };

static uint8_t value_at(size_t i)
{
    return (uint8_t)(i * 7 + (i >> 8));
}

static void fill(struct sink *sink)
{
    uint8_t *to = buffer_reserve(&sink->buffer, MANY);
    assert_non_null(to);
    for (size_t i = 0; i < MANY; i++)
        to[i] = value_at(i);
    sink->buffer.end += MANY;
}

static void a_full_pipe_is_not_waited_for(void **state)
{
    (void)state;
    int ends[2];
    struct sink sink;
    assert_int_equal(pipe(ends), 0);
    sink_open(&sink, ends[1]);
    fill(&sink);
    sink_flush(&sink);
    assert_true(sink_bytes(&sink) > 0 && sink_bytes(&sink) < MANY);
    assert_int_equal(sink_poll_events(&sink), POLLOUT);
    size_t at = 0;
    while (at < MANY) { /* all of it comes, in order */
        uint8_t room[10000];
        const ssize_t n = read(ends[0], room, sizeof room);
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(room[i], value_at(at + (size_t)i));
        at += (size_t)n;
        struct pollfd look = {.fd = ends[1], .events = sink_poll_events(&sink)};
        assert_true(poll(&look, 1, 0) >= 0);
        sink_polled(&sink, look.revents);
    }
    assert_int_equal(sink_bytes(&sink), 0);
    assert_int_equal(sink_poll_events(&sink), 0);
    assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0); /* others may share it: it is as it was */
    sink_close(&sink);
    close(ends[0]);
    close(ends[1]);
}

static void a_reader_that_left_is_noticed(void **state)
{
    (void)state;
    int ends[2];
    struct sink sink;
    assert_int_equal(pipe(ends), 0);
    sink_open(&sink, ends[1]);
    close(ends[0]);
    struct pollfd look = {.fd = ends[1], .events = sink_poll_events(&sink)};
    assert_int_equal(poll(&look, 1, 0), 1); /* although nothing waits */
    sink_polled(&sink, look.revents);
    assert_int_equal(sink.error, EPIPE);

    sink.error = 0;
    buffer_add_text(&sink.buffer, "x");
    sink_flush(&sink);
    assert_int_equal(sink.error, EPIPE);
    assert_int_equal(sink_bytes(&sink), 0);
    sink_close(&sink);
    close(ends[1]);
}

static void a_file_takes_all(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    struct sink sink;
    assert_non_null(file);
    sink_open(&sink, fileno(file));
    fill(&sink);
    sink_flush(&sink);
    assert_int_equal(sink_bytes(&sink), 0);
    assert_int_equal(lseek(fileno(file), 0, SEEK_END), MANY);
    sink_close(&sink);
    fclose(file);
}

static void what_is_no_descriptor_is_told(void **state)
{
    (void)state;
    struct sink sink;
    sink_open(&sink, -1);
    assert_int_equal(sink.error, EBADF);
    sink_close(&sink);
    const int full = open("/dev/full", O_WRONLY);
    assert_true(full >= 0);
    sink_open(&sink, full);
    buffer_add_text(&sink.buffer, "x");
    sink_flush(&sink);
    assert_int_equal(sink.error, ENOSPC);
    sink_close(&sink);
    close(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_pipe_is_not_waited_for),
        cmocka_unit_test(a_reader_that_left_is_noticed),
        cmocka_unit_test(a_file_takes_all),
        cmocka_unit_test(what_is_no_descriptor_is_told),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
