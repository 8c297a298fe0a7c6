/*
 * tests/test_url.c - ws:// URLs taken apart, and what is said of those that are none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/url.h"

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text, *address, *authority, *target;
        uint16_t port;
    } good[] = {
        {"ws://127.0.0.1:8080", "127.0.0.1", "127.0.0.1:8080", "/", 8080},
        {"ws://127.0.0.1:8080/", "127.0.0.1", "127.0.0.1:8080", "/", 8080},
        {"WS://localhost/chat?room=1", "127.0.0.1", "localhost", "/chat?room=1", 80},
        {"ws://127.0.0.1:1?x=/y", "127.0.0.1", "127.0.0.1:1", "/?x=/y", 1},
        {"ws://[::1]:9000/a/b", "::1", "[::1]:9000", "/a/b", 9000},
        {"ws://[::1]", "::1", "[::1]", "/", 80},
        {"ws://127.0.0.1:65535/a@b", "127.0.0.1", "127.0.0.1:65535", "/a@b", 65535},
    };
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct url url;
        assert_null(url_parse(good[i].text, &url));
        assert_string_equal(url.address, good[i].address);
        assert_string_equal(url.authority, good[i].authority);
        assert_string_equal(url.target, good[i].target);
        assert_int_equal(url.port, good[i].port);
    }
}

static void test_bad(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "ws://"},
        {"http://127.0.0.1/", "ws://"},
        {"wss://127.0.0.1/", "TLS"},
        {"ws://", "no host"},
        {"ws:///path", "no host"},
        {"ws://example.com/", "numeric"},
        {"ws://127.0.0.1:0/", "port"},
        {"ws://127.0.0.1:65536/", "port"},
        {"ws://127.0.0.1:/", "port"},
        {"ws://127.0.0.1:80x/", "port"},
        {"ws://[::1/", "]"},
        {"ws://[::1]x/", "neither"},
        {"ws://127.0.0.1/#top", "#"},
        {"ws://127.0.0.1/a b", "blank"},
        {"ws://127.0.0.1/a\r\nX: y", "blank"},
        {"ws://me@127.0.0.1/", "user"},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct url url;
        const char *fault = url_parse(bad[i].text, &url);
        assert_non_null(fault);
        assert_non_null(strstr(fault, bad[i].says));
    }
}

static void test_too_long(void **state)
{
    (void)state;
    struct url url;
    char text[4096];
    memset(text, 'a', sizeof text);
    memcpy(text, "ws://127.0.0.1/", 15);
    text[sizeof text - 1] = '\0';
    assert_non_null(url_parse(text, &url));
    memset(text + 5, '1', sizeof text - 6);
    assert_non_null(url_parse(text, &url));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
