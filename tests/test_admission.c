/*
 * tests/test_admission.c - origins compared by scheme, host and port, and what is no origin; paths compared byte for byte.
 * How handshakes are answered by them, the vectors of tests/vectors/handshakes/admission.txt show.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proto/admission.h"

static wsr_slice slice(const char *text)
{
    return (wsr_slice){(const uint8_t *)text, text != NULL ? strlen(text) : 0};
}

/* Pairs that are one origin, whichever of them is listed. */
static void the_same_origin_may_be_written_differently(void **unused)
{
    (void)unused;
    static const char *const pairs[][2] = {
        {"http://a", "http://a"},
        {"http://a", "http://a:80"},
        {"https://a", "https://a:443"},
        {"ws://a", "ws://a:80"},
        {"wss://a", "WSS://A:443"},
        {"http://a:8080", "http://a:08080"},
        {"http://12345", "http://12345:80"},
        {"http://1.2.3.4:5", "http://1.2.3.4:5"},
        {"https://[::1]", "https://[::1]:443"},
        {"http://[2001:db8::80]:81", "http://[2001:DB8::80]:81"},
        {"web+app-1.x://host", "web+app-1.x://host"},
        {"a9://host:1", "A9://host:1"},
    };
    for (unsigned i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_true(wsr_admission_origins_valid(slice(pairs[i][0])));
        assert_true(wsr_admission_origins_valid(slice(pairs[i][1])));
        assert_true(wsr_admission_origin_listed(slice(pairs[i][0]), slice(pairs[i][1])));
        assert_true(wsr_admission_origin_listed(slice(pairs[i][1]), slice(pairs[i][0])));
    }
}

static void these_are_different(void **unused)
{
    (void)unused;
    static const char *const pairs[][2] = {
        {"http://a", "http://b"},      {"http://a", "http://ab"},          {"http://a", "https://a"},       {"http://a", "ws://a"},
        {"http://a", "http://a:81"},   {"http://a:80", "https://a:80"},    {"http://a", "http://a:443"},    {"app://a", "app://a:80"},
        {"app://a:80", "http://a:80"}, {"http://[::1]", "http://[::2]"},   {"http://1", "http://1:1"},      {"http://a", "null"},
        {"http://a.", "http://a"},     {"http://xn--4ca", "http://n--4ca"}, {"httpz://a", "http://a"},      {"http://[::1]:1", "http://[::1:1]"},
    };
    for (unsigned i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_false(wsr_admission_origin_listed(slice(pairs[i][0]), slice(pairs[i][1])));
        assert_false(wsr_admission_origin_listed(slice(pairs[i][1]), slice(pairs[i][0])));
    }
}

/* Neither to be listed nor, as a request has it, on a list of everything that begins like it. */
static void these_are_none(void **unused)
{
    (void)unused;
    static const char *const texts[] = {
        "",         "a",         "http",       "http:",         "http:/",        "http://",         "http:///",        "http:a",         "http:/a/b",
        "://a",     "//a",       "1http://a",  "+http://a",     "{http://a",     "ht{tp://a",       "ht_tp://a",       "ht@tp://a",      "http://a/",
        "http://a?b", "http://a#b", "http://a:", "http://a:b",  "http://a:65536", "http://a:123456", "http://:80",     "http://a b",     "http://u@a",
        "http://[::1", "http://[]", "http://[::1]x", "http://a\r\nX: y", "http://a\x7f", "http://caf\xc3\xa9", "Null", "None", "*", "https://*.a",
    };
    static const wsr_slice listed = {(const uint8_t *)"http://a, http://u, https://b", 29};
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_false(wsr_admission_origin_listed(listed, slice(texts[i])));
        if (texts[i][0] != '\0')
            assert_false(wsr_admission_origins_valid(slice(texts[i])));
    }
}

static void words_stand_for_no_origin(void **unused)
{
    (void)unused;
    assert_true(wsr_admission_origins_valid(slice("null")));
    assert_true(wsr_admission_origins_valid(slice(" none ,http://a")));
    assert_true(wsr_admission_origins_valid(slice("")));
    assert_false(wsr_admission_origins_valid(slice("none,")));
    assert_false(wsr_admission_origins_valid(slice(",none")));
    assert_true(wsr_admission_origin_listed(slice("null"), slice("null")));
    assert_false(wsr_admission_origin_listed(slice("none"), slice("null")));
    assert_true(wsr_admission_origin_listed(slice("http://a, none"), slice(NULL)));
    assert_false(wsr_admission_origin_listed(slice("http://a, null"), slice(NULL)));
    assert_false(wsr_admission_origin_listed(slice("none"), slice("none")));
    assert_true(wsr_admission_origin_listed(slice("none, null,http://a"), slice("http://a")));
}

static void paths_are_compared_as_they_are(void **unused)
{
    (void)unused;
    const wsr_slice paths = slice("/, /chat,/a/b , /%20");
    assert_true(wsr_admission_paths_valid(paths));
    assert_true(wsr_admission_paths_valid(slice("")));
    static const char *const in[] = {"/", "/chat", "/a/b", "/%20"}, *const out[] = {"", "/cha", "/chatt", "/chat/", "/a", "//", "/a/b ", "/Chat", "/ "};
    for (unsigned i = 0; i < sizeof in / sizeof in[0]; i++)
        assert_true(wsr_admission_path_listed(paths, slice(in[i])));
    for (unsigned i = 0; i < sizeof out / sizeof out[0]; i++)
        assert_false(wsr_admission_path_listed(paths, slice(out[i])));
    static const char *const bad[] = {"a", "/a,", ",/a", "/a,,/b", "/a b", "/a?b", "/a#b", "/\n", "/\x7f", "/\xc3\xa9", "http://a/"};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(wsr_admission_paths_valid(slice(bad[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_origin_may_be_written_differently),
        cmocka_unit_test(these_are_different),
        cmocka_unit_test(these_are_none),
        cmocka_unit_test(words_stand_for_no_origin),
        cmocka_unit_test(paths_are_compared_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
