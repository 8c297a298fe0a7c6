/*
 * tests/test_input.c - a descriptor as messages: lines, blocks, the whole, however the bytes come.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/input.h"

/* What comes out of a pipe into which `text` goes in pieces of `piece` bytes: messages in brackets. Returns how many. */
static uint64_t take_all(enum input_cut cut, const char *text, size_t len, size_t piece, struct buffer *seen)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct input in = {.fd = ends[0], .cut = cut, .message_bytes_max = 1000};
    wsr_slice message;
    size_t at = 0;
    while (!input_is_done(&in)) {
        if (input_wants(&in)) {
            const size_t n = len - at < piece ? len - at : piece;
            assert_int_equal(write(ends[1], text + at, n), (ssize_t)n);
            at += n;
            if (at == len && ends[1] >= 0) {
                close(ends[1]);
                ends[1] = -1;
            }
            assert_int_equal(input_read(&in), 0);
            if (ends[1] < 0 && !in.ended && cut != INPUT_BLOCKS)
                assert_int_equal(input_read(&in), 0);
        }
        while (input_peek(&in, &message) == 1) {
            wsr_slice again;
            assert_int_equal(input_peek(&in, &again), 1); /* peeking takes nothing */
            assert_true(again.ptr == message.ptr && again.len == message.len);
            buffer_add_text(seen, "[");
            buffer_add(seen, message.ptr, message.len);
            buffer_add_text(seen, "]");
            input_next(&in, message);
        }
        if (ends[1] < 0 && !in.ended)
            assert_int_equal(input_read(&in), 0);
    }
    close(ends[0]);
    const uint64_t n = in.messages_n;
    buffer_free(&in.buffer);
    return n;
}

static void assert_cut(enum input_cut cut, const char *text, size_t piece, const char *wanted)
{
    struct buffer seen = {0};
    take_all(cut, text, strlen(text), piece, &seen);
    buffer_add(&seen, "", 1);
    assert_string_equal((const char *)seen.ptr + seen.at, wanted);
    buffer_free(&seen);
}

static void lines_come_whole(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 20; piece++) {
        assert_cut(INPUT_LINES, "one\ntwo\n", piece, "[one][two]");
        assert_cut(INPUT_LINES, "one\n\ntwo\r\n\nlast", piece, "[one][][two\r][][last]");
        assert_cut(INPUT_LINES, "\n", piece, "[]");
        assert_cut(INPUT_WHOLE, "one\n\ntwo\n", piece, "[one\n\ntwo\n]");
    }
    assert_cut(INPUT_LINES, "", 1, "");
    assert_cut(INPUT_WHOLE, "", 1, "");
    assert_cut(INPUT_BLOCKS, "", 1, "");
}

static void blocks_are_what_a_read_gave(void **state)
{
    (void)state;
    assert_cut(INPUT_BLOCKS, "abcdef\n", 3, "[abc][def][\n]");
    assert_cut(INPUT_BLOCKS, "abcdef\n", 100, "[abcdef\n]");
}

static void bytes_of_any_value_are_kept(void **state)
{
    (void)state;
    const char text[] = "a\0b\xff\n\0\n";
    struct buffer seen = {0};
    assert_int_equal(take_all(INPUT_LINES, text, sizeof text - 1, 2, &seen), 2);
    assert_int_equal(buffer_len(&seen), 9);
    assert_memory_equal(seen.ptr + seen.at, "[a\0b\xff][\0]", 9);
    buffer_free(&seen);
}

static void what_is_too_long_is_said(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct input in = {.fd = ends[0], .cut = INPUT_LINES, .message_bytes_max = 4};
    wsr_slice message;
    assert_int_equal(write(ends[1], "abcd\nabcde", 10), 10);
    assert_int_equal(input_read(&in), 0);
    assert_int_equal(input_peek(&in, &message), 1); /* just not */
    input_next(&in, message);
    assert_int_equal(input_peek(&in, &message), -1); /* before its end is known */
    assert_false(input_is_done(&in));
    buffer_free(&in.buffer);

    in = (struct input){.fd = ends[0], .cut = INPUT_BLOCKS, .message_bytes_max = 4};
    assert_int_equal(write(ends[1], "abcdef", 6), 6);
    assert_int_equal(input_read(&in), 0);
    assert_int_equal(input_peek(&in, &message), 1); /* a block is no longer than may be */
    assert_int_equal(message.len, 4);
    buffer_free(&in.buffer);
    close(ends[0]);
    close(ends[1]);
}

static void errors_are_told(void **state)
{
    (void)state;
    struct input in = {.fd = -1, .cut = INPUT_LINES, .message_bytes_max = 4};
    assert_int_equal(input_read(&in), -1);
    assert_int_equal(errno, EBADF);
    buffer_free(&in.buffer);
}

/* A line of a megabyte that comes a byte short of it at a time: looking for its end from its beginning each time would take minutes. */
static void a_long_line_is_searched_once(void **state)
{
    (void)state;
    enum { LONG = 8 << 20, PIECE = 4096 };
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct input in = {.fd = ends[0], .cut = INPUT_LINES, .message_bytes_max = LONG};
    char *piece = malloc(PIECE);
    assert_non_null(piece);
    memset(piece, 'x', PIECE);
    wsr_slice message;
    for (size_t n = 0; n < LONG; n += PIECE) {
        assert_int_equal(write(ends[1], piece, PIECE), PIECE);
        assert_int_equal(input_read(&in), 0);
        assert_int_equal(input_peek(&in, &message), 0);
        assert_int_equal(in.searched, n + PIECE);
    }
    assert_int_equal(write(ends[1], "\n", 1), 1);
    assert_int_equal(input_read(&in), 0);
    assert_int_equal(input_peek(&in, &message), 1);
    assert_int_equal(message.len, LONG);
    free(piece);
    buffer_free(&in.buffer);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_whole),
        cmocka_unit_test(blocks_are_what_a_read_gave),
        cmocka_unit_test(bytes_of_any_value_are_kept),
        cmocka_unit_test(what_is_too_long_is_said),
        cmocka_unit_test(errors_are_told),
        cmocka_unit_test(a_long_line_is_searched_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
