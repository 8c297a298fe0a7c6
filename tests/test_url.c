/*
 * tests/test_url.c - URLs of clients and proxies taken apart and put together, what is said of those that are none, and
 * references resolved (RFC 3986 section 5.4 has the examples).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <wsring/client.h>

#include "base/bytes.h"
#include "client/url.h"

typedef void put_fn(struct wsr_http_out *out, const struct wsr_url *url);

/* What a writer writes, once measured, once written, once without enough room: nothing behind it is touched. */
static const char *written(put_fn *put, const struct wsr_url *url)
{
    static char text[3 * WSR_URL_BYTES_MAX];
    struct wsr_http_out measured = {NULL, 0, 0};
    put(&measured, url);
    assert_true(measured.len < sizeof text);
    memset(text, '~', sizeof text);
    struct wsr_http_out out = {(uint8_t *)text, measured.len, 0};
    put(&out, url);
    assert_int_equal(out.len, measured.len);
    assert_int_equal(text[out.len], '~');
    text[out.len] = '\0';
    return text;
}

static void expect(wsr_slice slice, const char *text)
{
    assert_int_equal(slice.len, strlen(text));
    assert_memory_equal(slice.ptr, text, slice.len);
}

/* The parser sees a copy of exactly its length, without a NUL, so that asan sees a byte too far. It lives until the next. */
static const char *parse(struct wsr_url *url, const char *text, bool proxy)
{
    static char *copy;
    free(copy);
    const size_t len = strlen(text);
    copy = malloc(len + (len == 0));
    memcpy(copy, text, len);
    const char *problem = wsr_url_parse(url, (wsr_slice){(const uint8_t *)copy, len}, proxy);
    if (problem != NULL) {
        free(copy);
        copy = NULL;
    }
    return problem;
}

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *authority, *target, *shown;
        uint16_t port;
        uint8_t scheme, kind;
    } good[] = {
        {"ws://example.com", "example.com", "example.com", "/", "ws://example.com/", 80, WSR_URL_WS, WSR_URL_NAME},
        {"wss://example.com", "example.com", "example.com", "/", "wss://example.com/", 443, WSR_URL_WSS, WSR_URL_NAME},
        {"WSS://Example.COM:443/Feed", "Example.COM", "Example.COM", "/Feed", "wss://Example.COM/Feed", 443, WSR_URL_WSS, WSR_URL_NAME},
        {"ws://example.com:443/", "example.com", "example.com:443", "/", "ws://example.com:443/", 443, WSR_URL_WS, WSR_URL_NAME},
        {"ws://example.com:/x", "example.com", "example.com", "/x", "ws://example.com/x", 80, WSR_URL_WS, WSR_URL_NAME},
        {"ws://example.com:00080/x", "example.com", "example.com", "/x", "ws://example.com/x", 80, WSR_URL_WS, WSR_URL_NAME},
        {"ws://h:65535?x=/y&z=?", "h", "h:65535", "/?x=/y&z=?", "ws://h:65535/?x=/y&z=?", 65535, WSR_URL_WS, WSR_URL_NAME},
        {"ws://h/a%2Fb%zz//c/../d?%", "h", "h", "/a%2Fb%zz//c/../d?%", "ws://h/a%2Fb%zz//c/../d?%", 80, WSR_URL_WS, WSR_URL_NAME},
        {"ws://h/@:[]{}|^`\"<>", "h", "h", "/@:[]{}|^`\"<>", "ws://h/@:[]{}|^`\"<>", 80, WSR_URL_WS, WSR_URL_NAME},
        {"ws://127.0.0.1:8080/", "127.0.0.1", "127.0.0.1:8080", "/", "ws://127.0.0.1:8080/", 8080, WSR_URL_WS, WSR_URL_IPV4},
        {"ws://255.255.255.255", "255.255.255.255", "255.255.255.255", "/", "ws://255.255.255.255/", 80, WSR_URL_WS, WSR_URL_IPV4},
        {"ws://[::1]:9000/a", "::1", "[::1]:9000", "/a", "ws://[::1]:9000/a", 9000, WSR_URL_WS, WSR_URL_IPV6},
        {"ws://[::]", "::", "[::]", "/", "ws://[::]/", 80, WSR_URL_WS, WSR_URL_IPV6},
        {"ws://[1:2:3:4:5:6:7:8]", "1:2:3:4:5:6:7:8", "[1:2:3:4:5:6:7:8]", "/", "ws://[1:2:3:4:5:6:7:8]/", 80, WSR_URL_WS, WSR_URL_IPV6},
        {"ws://[1:2:3:4:5:6:7::]", "1:2:3:4:5:6:7::", "[1:2:3:4:5:6:7::]", "/", "ws://[1:2:3:4:5:6:7::]/", 80, WSR_URL_WS, WSR_URL_IPV6},
        {"ws://[::2:3:4:5:6:7:8]", "::2:3:4:5:6:7:8", "[::2:3:4:5:6:7:8]", "/", "ws://[::2:3:4:5:6:7:8]/", 80, WSR_URL_WS, WSR_URL_IPV6},
        {"ws://[2001:DB8::1.2.3.4]", "2001:DB8::1.2.3.4", "[2001:DB8::1.2.3.4]", "/", "ws://[2001:DB8::1.2.3.4]/", 80, WSR_URL_WS, WSR_URL_IPV6},
        {"ws://[::ffff:1.2.3.4]", "::ffff:1.2.3.4", "[::ffff:1.2.3.4]", "/", "ws://[::ffff:1.2.3.4]/", 80, WSR_URL_WS, WSR_URL_IPV6},
        {"ws://[1:2:3:4:5:6:1.2.3.4]", "1:2:3:4:5:6:1.2.3.4", "[1:2:3:4:5:6:1.2.3.4]", "/", "ws://[1:2:3:4:5:6:1.2.3.4]/", 80, WSR_URL_WS, WSR_URL_IPV6},
        {"ws://a.b-c.d_e.:1/", "a.b-c.d_e.", "a.b-c.d_e.:1", "/", "ws://a.b-c.d_e.:1/", 1, WSR_URL_WS, WSR_URL_NAME},
        {"ws://1.2.3.4.example", "1.2.3.4.example", "1.2.3.4.example", "/", "ws://1.2.3.4.example/", 80, WSR_URL_WS, WSR_URL_NAME},
        {"ws://xn--bcher-kva.example/", "xn--bcher-kva.example", "xn--bcher-kva.example", "/", "ws://xn--bcher-kva.example/", 80, WSR_URL_WS, WSR_URL_NAME},
        {"ws://0xg.0xa-b", "0xg.0xa-b", "0xg.0xa-b", "/", "ws://0xg.0xa-b/", 80, WSR_URL_WS, WSR_URL_NAME},
    };
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct wsr_url url;
        assert_null(parse(&url, good[i].text, false));
        expect(url.host, good[i].host);
        assert_int_equal(url.port, good[i].port);
        assert_int_equal(url.scheme, good[i].scheme);
        assert_int_equal(url.host_kind, good[i].kind);
        assert_null(url.user.ptr);
        assert_string_equal(written(wsr_url_put_authority, &url), good[i].authority);
        assert_string_equal(written(wsr_url_put_target, &url), good[i].target);
        assert_string_equal(written(wsr_url_put_shown, &url), good[i].shown);
        assert_string_equal(written(wsr_url_put_basic, &url), "");
        assert_null(wsr_url_problem(good[i].text));
    }
}

static void test_server_name(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        {"wss://example.com/", "example.com"}, {"wss://example.com./", "example.com"}, {"wss://127.0.0.1/", "127.0.0.1"},
        {"wss://[::1]/", "::1"},               {"wss+unix:///s", "localhost"},
    };
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct wsr_url url;
        assert_null(parse(&url, names[i][0], false));
        assert_true(wsr_url_is_secure(&url));
        assert_string_equal(written(wsr_url_put_server_name, &url), names[i][1]);
    }
}

static void put_socket(struct wsr_http_out *out, const struct wsr_url *url)
{
    wsr_url_put_decoded(out, url->socket);
}

static void test_unix(void **state)
{
    (void)state;
    static const struct {
        const char *text, *socket, *target, *shown;
    } good[] = {
        {"ws+unix:///run/x.sock", "/run/x.sock", "/", "ws+unix:///run/x.sock:/"},
        {"ws+unix:///run/x.sock:/chat?a=b:c", "/run/x.sock", "/chat?a=b:c", "ws+unix:///run/x.sock:/chat?a=b:c"},
        {"WSS+unix:///s:?q", "/s", "/?q", "wss+unix:///s:/?q"},
        {"ws+unix:///s:", "/s", "/", "ws+unix:///s:/"},
        {"ws+unix:///a%3Ab%20c:/t", "/a:b c", "/t", "ws+unix:///a%3Ab%20c:/t"},
    };
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct wsr_url url;
        assert_null(parse(&url, good[i].text, false));
        assert_true(wsr_url_is_unix(&url));
        assert_int_equal(url.host.len, 0);
        assert_int_equal(url.port, 0);
        assert_string_equal(written(put_socket, &url), good[i].socket);
        assert_string_equal(written(wsr_url_put_authority, &url), "localhost");
        assert_string_equal(written(wsr_url_put_target, &url), good[i].target);
        assert_string_equal(written(wsr_url_put_shown, &url), good[i].shown);
    }
}

static void test_credentials(void **state)
{
    (void)state;
    static const struct {
        const char *text, *basic;
    } good[] = {
        {"ws://Aladdin:open%20sesame@h/", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}, /* RFC 7617 section 2 */
        {"ws://test:123%C2%A3@h/", "Basic dGVzdDoxMjPCow=="},                    /* section 2.1 */
        {"ws://me@h/", "Basic bWU6"},
        {"ws://me:@h/", "Basic bWU6"},
        {"ws://:p@h/", "Basic OnA="},
        {"ws://a:b:c%40@h/", "Basic YTpiOmNA"},
        {"ws://@h/", ""},
    };
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct wsr_url url;
        assert_null(parse(&url, good[i].text, false));
        expect(url.host, "h");
        assert_string_equal(written(wsr_url_put_basic, &url), good[i].basic);
        assert_string_equal(written(wsr_url_put_shown, &url), "ws://h/");
    }
}

static void test_proxies(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
        uint8_t scheme;
    } good[] = {
        {"http://proxy", "proxy", 80, WSR_URL_HTTP},
        {"http://u:p@10.0.0.1:3128/", "10.0.0.1", 3128, WSR_URL_HTTP},
        {"socks5://[::1]", "::1", 1080, WSR_URL_SOCKS5},
        {"SOCKS5H://proxy:9050", "proxy", 9050, WSR_URL_SOCKS5},
    };
    struct wsr_url url;
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_null(parse(&url, good[i].text, true));
        expect(url.host, good[i].host);
        assert_int_equal(url.port, good[i].port);
        assert_int_equal(url.scheme, good[i].scheme);
        assert_non_null(parse(&url, good[i].text, false));
    }
    static const char *const bad[] = {"https://proxy", "ws://proxy", "socks4://proxy", "http://proxy/path", "http://proxy?x", "http://", "proxy:80", ""};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(parse(&url, bad[i], true));
}

static void test_bad(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "ws://"},
        {"example.com", "ws://"},
        {"//example.com", "ws://"},
        {"http://127.0.0.1/", "ws://"},
        {"wsx://h", "ws://"},
        {"1ws://h", "ws://"},
        {"ws:h", "'://'"},
        {"ws:/h", "'://'"},
        {"ws://", "no host"},
        {"ws:///path", "no host"},
        {"ws://:80/", "no host"},
        {"ws://u@/", "no host"},
        {"ws://h:0/", "port"},
        {"ws://h:65536/", "port"},
        {"ws://h:99999999999999999999/", "port"},
        {"ws://h:80x/", "port"},
        {"ws://h:-1/", "port"},
        {"ws://h:80:80/", "one port"},
        {"ws://::1/", "brackets"},
        {"ws://[::1/", "']'"},
        {"ws://[::1]x/", "neither"},
        {"ws://[::1%25eth0]/", "zone"},
        {"ws://[fe80::1%eth0]/", "zone"},
        {"ws://[]/", "no IPv6"},
        {"ws://[:]/", "no IPv6"},
        {"ws://[:::]/", "no IPv6"},
        {"ws://[1::2::3]/", "no IPv6"},
        {"ws://[1:2:3:4:5:6:7]/", "no IPv6"},
        {"ws://[1:2:3:4:5:6:7:8:9]/", "no IPv6"},
        {"ws://[1:2:3:4:5:6:7:8::]/", "no IPv6"},
        {"ws://[1:2:3:4:5:6:7:1.2.3.4]/", "no IPv6"},
        {"ws://[1:2:3:4:5:6::1.2.3.4]/", "no IPv6"}, /* "::" stands for one group at least */
        {"ws://[::1.2.3]/", "no IPv6"},
        {"ws://[12345::]/", "no IPv6"},
        {"ws://[1:]/", "no IPv6"},
        {"ws://[v1.x]/", "no IPv6"},
        {"ws://[127.0.0.1]/", "no IPv6"},
        {"ws://127.1/", "IPv4"},
        {"ws://2130706433/", "IPv4"},
        {"ws://0x7f000001/", "IPv4"},
        {"ws://0x7f.1/", "IPv4"},
        {"ws://0x/", "IPv4"},
        {"ws://127.0.0.01/", "IPv4"},
        {"ws://127.0.0.256/", "IPv4"},
        {"ws://1.2.3.4./", "IPv4"},
        {"ws://1.2.3.4.5/", "IPv4"},
        {"ws://example.com.0x1/", "IPv4"},
        {"ws://h/#top", "'#'"},
        {"ws://h#", "'#'"},
        {"ws://h/a b", "blank"},
        {"ws://h/a\r\nX: y", "blank"},
        {"ws://h/a\x7f", "blank"},
        {"ws://h/a\tb", "blank"},
        {"ws://good.example\\@evil.example/", "backslash"},
        {"ws://h/a\\b", "backslash"},
        {"ws://b\xc3\xbc" "cher.example/", "xn--"},
        {"ws://b%C3%BCcher.example/", "xn--"},
        {"ws://a%2eb/", "xn--"},
        {"ws://h/\xc3\xbc", "percent-encoded"},
        {"ws://\xc3\xbc@h/", "percent-encoded"},
        {"ws+unix:///\xc3\xbc", "percent-encoded"},
        {"ws://a b/", "blank"},
        {"ws://a,b/", "no host name"},
        {"ws://a!b/", "no host name"},
        {"ws://a..b/", "empty part"},
        {"ws://.a/", "empty part"},
        {"ws://a../", "empty part"},
        {"ws://./", "empty part"},
        {"ws://u@v@h/", "'@'"},
        {"ws://u:p@q@h/", "%40"},
        {"ws://u[@h/", "percent-encoded"},
        {"ws://u%@h/", "hexadecimal"},
        {"ws://u%4@h/", "hexadecimal"},
        {"ws://u:%4g@h/", "hexadecimal"},
        {"ws://u%3Av:p@h/", "colon"},
        {"ws://u%0d%0aX:p@h/", "control"},
        {"ws://u:p%00@h/", "control"},
        {"ws://u:p%7F@h/", "control"},
        {"ws+unix://", "socket"},
        {"ws+unix://run/x", "socket"},
        {"ws+unix:///s?x", "':'"},
        {"ws+unix:///s:t", "'/'"},
        {"ws+unix:///%00", "00"},
        {"ws+unix:///%", "hexadecimal"},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct wsr_url url;
        const char *problem = parse(&url, bad[i].text, false);
        if (problem == NULL || strstr(problem, bad[i].says) == NULL)
            fail_msg("%s: %s", bad[i].text, problem != NULL ? problem : "taken for good");
    }
}

static void fill(char *text, const char *head, char with, size_t n, const char *tail)
{
    strcpy(text, head);
    memset(text + strlen(head), with, n);
    strcpy(text + strlen(head) + n, tail);
}

/* Each limit, and one more. */
static void test_limits(void **state)
{
    (void)state;
    static char text[WSR_URL_BYTES_MAX + 64];
    struct wsr_url url;
    fill(text, "ws://h/", 'p', WSR_URL_BYTES_MAX - 7, "");
    assert_null(parse(&url, text, false));
    fill(text, "ws://h/", 'p', WSR_URL_BYTES_MAX - 6, "");
    assert_non_null(parse(&url, text, false));
    fill(text, "ws://", 'a', 63, ".b/");
    assert_null(parse(&url, text, false));
    fill(text, "ws://", 'a', 64, ".b/");
    assert_non_null(parse(&url, text, false));
    strcpy(text, "ws://");
    for (unsigned i = 0; i < 127; i++)
        strcat(text, "a.");
    assert_null(parse(&url, text, false)); /* 254 with the final dot */
    strcat(text, "a");
    assert_non_null(parse(&url, text, false));
    for (unsigned more = 0; more <= 1; more++) {
        fill(text, "ws://", 'u', WSR_URL_USER_MAX + more, "@h");
        assert_int_equal(parse(&url, text, false) != NULL, more);
        fill(text, "ws://:", 'p', WSR_URL_USER_MAX + more, "@h");
        assert_int_equal(parse(&url, text, false) != NULL, more);
        fill(text, "ws+unix:///", 's', WSR_URL_PATH_MAX - 1 + more, "");
        assert_int_equal(parse(&url, text, false) != NULL, more);
    }
    strcpy(text, "ws://");
    for (unsigned i = 0; i < WSR_URL_USER_MAX; i++)
        strcat(text, "%c3"); /* what counts is what is decoded */
    strcat(text, "@h");
    assert_null(parse(&url, text, false));
    assert_int_equal(strlen(written(wsr_url_put_basic, &url)), strlen("Basic ") + 344);
}

static void test_lists(void **state)
{
    (void)state;
    assert_null(wsr_url_problem(" ws://a \t wss://b/x  "));
    assert_non_null(wsr_url_problem(""));
    assert_non_null(wsr_url_problem("  \t"));
    assert_non_null(wsr_url_problem("ws://a\nws://b"));
    assert_non_null(wsr_url_problem("ws://a ws://b#"));
    char text[17 * 8 + 1] = "";
    for (unsigned i = 0; i < 16; i++)
        strcat(text, "ws://h/ ");
    assert_null(wsr_url_problem(text));
    strcat(text, "ws://h/ ");
    assert_non_null(strstr(wsr_url_problem(text), "16"));
}

static void test_origin(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"ws://h/a", "ws://u:p@H:80/b?c", true},
        {"ws://h", "wss://h", false},
        {"ws://h", "ws://h:81", false},
        {"ws://h", "ws://i", false},
        {"ws+unix:///a", "ws+unix:///a:/t", true},
        {"ws+unix:///a", "ws+unix:///b", false},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wsr_url a, b;
        assert_null(wsr_url_parse(&a, wsr_slice_of(rows[i].a), false));
        assert_null(wsr_url_parse(&b, wsr_slice_of(rows[i].b), false));
        assert_int_equal(wsr_url_same_origin(&a, &b), rows[i].same);
        assert_int_equal(wsr_url_same_origin(&b, &a), rows[i].same);
    }
}

static const char *reference;

static void put_resolved(struct wsr_http_out *out, const struct wsr_url *base)
{
    assert_true(wsr_url_resolve(out, base, wsr_slice_of(reference)));
}

static void expect_resolved(const char *base, const char *from, const char *to)
{
    struct wsr_url url;
    assert_null(wsr_url_parse(&url, wsr_slice_of(base), false));
    reference = from;
    assert_string_equal(written(put_resolved, &url), to);
}

/* RFC 3986 section 5.4, as far as a URL of ours can be the base, with its fragments gone. */
static void test_resolve(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"g", "ws://a/b/c/g"},
        {"./g", "ws://a/b/c/g"},
        {"g/", "ws://a/b/c/g/"},
        {"/g", "ws://a/g"},
        {"//g", "ws://g"},
        {"?y", "ws://a/b/c/d;p?y"},
        {"g?y", "ws://a/b/c/g?y"},
        {"#s", "ws://a/b/c/d;p?q"},
        {"g#s", "ws://a/b/c/g"},
        {"g?y#s", "ws://a/b/c/g?y"},
        {";x", "ws://a/b/c/;x"},
        {"g;x", "ws://a/b/c/g;x"},
        {"", "ws://a/b/c/d;p?q"},
        {".", "ws://a/b/c/"},
        {"./", "ws://a/b/c/"},
        {"..", "ws://a/b/"},
        {"../", "ws://a/b/"},
        {"../g", "ws://a/b/g"},
        {"../..", "ws://a/"},
        {"../../", "ws://a/"},
        {"../../g", "ws://a/g"},
        {"../../../g", "ws://a/g"},
        {"../../../../g", "ws://a/g"},
        {"/./g", "ws://a/g"},
        {"/../g", "ws://a/g"},
        {"g.", "ws://a/b/c/g."},
        {".g", "ws://a/b/c/.g"},
        {"g..", "ws://a/b/c/g.."},
        {"..g", "ws://a/b/c/..g"},
        {"./../g", "ws://a/b/g"},
        {"./g/.", "ws://a/b/c/g/"},
        {"g/./h", "ws://a/b/c/g/h"},
        {"g/../h", "ws://a/b/c/h"},
        {"g;x=1/./y", "ws://a/b/c/g;x=1/y"},
        {"g;x=1/../y", "ws://a/b/c/y"},
        {"g?y/./x", "ws://a/b/c/g?y/./x"},
        {"g?y/../x", "ws://a/b/c/g?y/../x"},
        {"http://h/x", "ws://h/x"},
        {"HTTPS://h:444/x?y", "wss://h:444/x?y"},
        {"wss://h", "wss://h"},
        {"ftp://h", "ftp://h"}, /* refused when it is parsed */
        {"a//b/..//c", "ws://a/b/c/a///c"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_resolved("ws://a/b/c/d;p?q", rows[i][0], rows[i][1]);
    expect_resolved("wss://u:p@h:444", "x", "wss://h:444/x"); /* credentials stay behind: they go by origin, not by reference */
    expect_resolved("wss://h", "//g/x", "wss://g/x");
    expect_resolved("wss://h", "", "wss://h/");
    expect_resolved("wss://h?q", "?r", "wss://h/?r");
    expect_resolved("ws://[::1]:81/a", "b", "ws://[::1]:81/b");
    expect_resolved("ws+unix:///s:/a/b", "c", "ws+unix:///s:/a/c");
    expect_resolved("ws+unix:///s:/a/b", "//h/c", "ws://h/c");
}

static void test_resolve_limits(void **state)
{
    (void)state;
    static char text[WSR_URL_BYTES_MAX + 2], base[WSR_URL_BYTES_MAX + 1];
    struct wsr_url url;
    struct wsr_http_out out = {NULL, 0, 0};
    fill(base, "ws://h/", 'p', WSR_URL_BYTES_MAX - 8, "/");
    assert_null(wsr_url_parse(&url, wsr_slice_of(base), false));
    fill(text, "", 'r', WSR_URL_BYTES_MAX, "");
    assert_true(wsr_url_resolve(&out, &url, wsr_slice_of(text)));
    assert_int_equal(out.len, 2 * WSR_URL_BYTES_MAX);
    fill(text, "", 'r', WSR_URL_BYTES_MAX + 1, "");
    assert_false(wsr_url_resolve(&out, &url, wsr_slice_of(text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),     cmocka_unit_test(test_server_name), cmocka_unit_test(test_unix),
        cmocka_unit_test(test_credentials), cmocka_unit_test(test_proxies),  cmocka_unit_test(test_bad),
        cmocka_unit_test(test_limits),   cmocka_unit_test(test_lists),       cmocka_unit_test(test_origin),
        cmocka_unit_test(test_resolve),  cmocka_unit_test(test_resolve_limits),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
