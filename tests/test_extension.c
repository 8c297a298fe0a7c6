/*
 * tests/test_extension.c - the grammar of Sec-WebSocket-Extensions (RFC 6455 section 9.1), and its two iterators.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "proto/extension.h"

static size_t append(char *out, size_t at, size_t cap, const char *before, wsr_slice text)
{
    return at + (size_t)snprintf(out + at, cap - at, "%s%.*s", before, (int)text.len, (const char *)text.ptr);
}

/* A list written out again in one form: "name;param;param=value|name", or "error". */
static void expect(const char *text, const char *wanted)
{
    size_t len = strlen(text);
    uint8_t *copy = malloc(len + (len == 0)); /* so that a sanitizer sees its end */
    assert_non_null(copy);
    memcpy(copy, text, len);
    wsr_slice list = {copy, len};
    char got[256] = "";
    size_t at = 0;
    struct wsr_extension extension;
    int next;
    while ((next = wsr_extension_next(&list, &extension)) > 0) {
        at = append(got, at, sizeof got, at != 0 ? "|" : "", extension.name);
        struct wsr_extension_param param;
        while (wsr_extension_param_next(&extension.params, &param)) {
            at = append(got, at, sizeof got, ";", param.name);
            if (param.value.ptr != NULL)
                at = append(got, at, sizeof got, "=", param.value);
        }
    }
    assert_string_equal(next < 0 ? "error" : got, wanted);
    free(copy);
}

static void reads_what_the_grammar_allows(void **unused)
{
    (void)unused;
    expect("", "");
    expect(" \t", "");
    expect(",", "");
    expect("foo", "foo");
    expect(" foo\t", "foo");
    expect("foo,bar", "foo|bar");
    expect(", foo ,\t, bar ,", "foo|bar");
    expect("foo;a", "foo;a");
    expect("foo; a=1; b", "foo;a=1;b");
    expect("foo ; a = 1 , bar", "foo;a=1|bar");
    expect("foo; a=\"1\"", "foo;a=1");
    expect("foo; a=\"1\";b=\"\\2\\3\"", "foo;a=1;b=\\2\\3");
    /* RFC 6455 section 9.1 and RFC 7692 section 5.1 */
    expect("deflate-stream", "deflate-stream");
    expect("mux; max-channels=4; flow-control, deflate-stream", "mux;max-channels=4;flow-control|deflate-stream");
    expect("private-extension", "private-extension");
    expect("permessage-deflate; client_max_window_bits; server_max_window_bits=10, permessage-deflate; client_max_window_bits",
           "permessage-deflate;client_max_window_bits;server_max_window_bits=10|permessage-deflate;client_max_window_bits");
}

static void refuses_what_it_does_not(void **unused)
{
    (void)unused;
    static const char *const texts[] = {
        ";",           "=",         "foo;",        "foo; ",       "foo;;a",      "foo; a=",    "foo; a= ",    "foo; =1",      "foo bar",
        "foo/bar",     "\"foo\"",   "foo=1",       "foo; a b",    "foo; a=1 2",  "foo; a=b/c", "foo; a=\"\"", "foo; a=\"b",   "foo; a=\"b\\",
        "foo; a=\"b c\"", "foo; a=\"b\"c", "foo; a=\"\\\"\"", "foo; a=\"\\ \"", "foo; \"a\"", "foo, ;", "foo,bar;", "foo; a=\"b\\\"", "foo; a=\",b\"", "foo; a=\"b,\\", "foo; a=\"\\", "foo; a=\"", "foo; a=\"b\\,", "caf\xc3\xa9",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        expect(texts[i], "error");
}

/* Whatever the bytes, the walk ends, and what it yields lies inside them: 300,000 texts of the grammar's own characters. */
static void any_text_comes_to_an_end(void **unused)
{
    (void)unused;
    static const char alphabet[] = "ab,;=\"\\ \t/";
    uint32_t seed = 1;
    unsigned good = 0, bad = 0;
    for (unsigned round = 0; round < 300000; round++) {
        uint8_t text[12];
        size_t len = 0;
        for (; len < sizeof text; len++) {
            seed = seed * 1664525 + 1013904223;
            if ((seed >> 28) == 0)
                break;
            text[len] = (uint8_t)alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        }
        uint8_t *copy = malloc(len + (len == 0));
        assert_non_null(copy);
        memcpy(copy, text, len);
        wsr_slice list = {copy, len};
        struct wsr_extension extension;
        int next;
        unsigned steps = 0;
        while ((next = wsr_extension_next(&list, &extension)) > 0) {
            assert_true(extension.name.len != 0 && extension.name.ptr >= copy && extension.name.ptr + extension.name.len <= copy + len);
            struct wsr_extension_param param;
            while (wsr_extension_param_next(&extension.params, &param)) {
                assert_true(param.name.len != 0 && param.name.ptr + param.name.len <= copy + len);
                assert_true(param.value.ptr == NULL || (param.value.len != 0 && param.value.ptr + param.value.len <= copy + len));
                assert_true(++steps <= len);
            }
            assert_int_equal(extension.params.len, 0);
            assert_true(++steps <= len);
        }
        good += next == 0;
        bad += next < 0;
        free(copy);
    }
    assert_true(good > 1000 && bad > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_grammar_allows),
        cmocka_unit_test(refuses_what_it_does_not),
        cmocka_unit_test(any_text_comes_to_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
