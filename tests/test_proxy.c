/*
 * tests/test_proxy.c - what a client says to a proxy and understands of its answers, wherever these are cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "proto/proxy.h"

/* One step of a dialogue: what we say, what the proxy answers. Lengths are given where texts hold NULs. */
struct step {
    wsr_slice says, hears;
};

#define BYTES(literal) ((wsr_slice){(const uint8_t *)(literal), sizeof(literal) - 1})
#define NOTHING ((wsr_slice){NULL, 0})

struct dialogue {
    struct wsr_proxy_ask ask;
    struct step steps[4];
    enum wsr_proxy_state state;
    unsigned status;
    const char *detail;
    size_t left; /* bytes of the last answer that are the target's */
};

static void expect(struct wsr_proxy *proxy, wsr_slice says)
{
    wsr_slice pending = wsr_proxy_pending(proxy);
    assert_int_equal(pending.len, says.len);
    if (says.len > 0)
        assert_memory_equal(pending.ptr, says.ptr, says.len);
}

/* Sends one byte at a time what is pending: the rest must stay pending, and in its place. */
static void send_all(struct wsr_proxy *proxy, bool piecemeal)
{
    for (wsr_slice pending = wsr_proxy_pending(proxy); pending.len > 0; pending = wsr_proxy_pending(proxy))
        wsr_proxy_sent(proxy, piecemeal ? 1 : pending.len);
}

/* Every answer in pieces of at most `piece` bytes. send_late: our bytes' completion comes after the answer to them. */
static void play(const struct dialogue *d, size_t piece, bool send_late)
{
    struct wsr_proxy proxy;
    assert_int_equal(wsr_proxy_start(&proxy, &d->ask), WSR_OK);
    size_t left = 0, owed = 0;
    for (unsigned i = 0; i < 4 && d->steps[i].hears.len > 0; i++) {
        assert_int_equal(wsr_proxy_state(&proxy), WSR_PROXY_GOING);
        if (send_late)
            wsr_proxy_sent(&proxy, owed);
        expect(&proxy, d->steps[i].says);
        owed = d->steps[i].says.len;
        if (!send_late)
            send_all(&proxy, piece == 1);
        wsr_slice rest = d->steps[i].hears;
        while (rest.len > 0 && wsr_proxy_state(&proxy) == WSR_PROXY_GOING) {
            const size_t n = rest.len < piece ? rest.len : piece;
            const size_t took = wsr_proxy_take(&proxy, rest.ptr, n);
            assert_true(took == n || (took < n && wsr_proxy_state(&proxy) != WSR_PROXY_GOING));
            rest.ptr += took;
            rest.len -= took;
        }
        left = rest.len;
    }
    assert_int_equal(wsr_proxy_state(&proxy), d->state);
    assert_int_equal(proxy.http_status, d->status);
    assert_int_equal(wsr_proxy_pending(&proxy).len, 0);
    assert_int_equal(proxy.error, d->state == WSR_PROXY_FAILED ? WSR_EPROXY : WSR_OK);
    if (d->state == WSR_PROXY_DONE)
        assert_int_equal(left, d->left);
    assert_string_equal(proxy.detail, d->detail != NULL ? d->detail : "");
}

static void play_all(const struct dialogue *dialogues, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t piece = 1; piece < 80; piece++) {
            play(&dialogues[i], piece, false);
            play(&dialogues[i], piece, true);
        }
        play(&dialogues[i], SIZE_MAX, false);
    }
}

#define CONNECT_EXAMPLE BYTES("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
#define ASK_HTTP(h) .ask = {.kind = WSR_PROXY_CONNECT, .host = BYTES(h), .port = 443}

static void test_connect(void **state)
{
    (void)state;
    const struct dialogue dialogues[] = {
        {ASK_HTTP("example.com"), {{CONNECT_EXAMPLE, BYTES("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nHello")}}, WSR_PROXY_DONE, 200, NULL, 5},
        {ASK_HTTP("example.com"), {{CONNECT_EXAMPLE, BYTES("HTTP/1.0 204\r\n\r\n")}}, WSR_PROXY_DONE, 204, NULL, 0},
        /* a length in the answer to CONNECT is to be ignored */
        {ASK_HTTP("example.com"), {{CONNECT_EXAMPLE, BYTES("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")}}, WSR_PROXY_DONE, 200, NULL, 3},
        {ASK_HTTP("example.com"),
         {{CONNECT_EXAMPLE, BYTES("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n!")}},
         WSR_PROXY_DONE, 200, NULL, 1},
        {ASK_HTTP("example.com"),
         {{CONNECT_EXAMPLE, BYTES("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno")}},
         WSR_PROXY_FAILED, 407, "the proxy said: 407 Proxy Authentication Required", 0},
        {ASK_HTTP("example.com"), {{CONNECT_EXAMPLE, BYTES("HTTP/1.1 503\r\n\r\n")}}, WSR_PROXY_FAILED, 503, "the proxy said: 503", 0},
        {ASK_HTTP("example.com"), {{CONNECT_EXAMPLE, BYTES("HTTP/1.1 302 \r\nLocation: /\r\n\r\n")}}, WSR_PROXY_FAILED, 302, "the proxy said: 302 ", 0},
        {ASK_HTTP("example.com"),
         {{CONNECT_EXAMPLE, BYTES("SSH-2.0-OpenSSH_9.2\r\n")}},
         WSR_PROXY_FAILED, 0, "the proxy's answer is no HTTP: the first line is not METHOD SP TARGET SP HTTP/1.1", 0},
        {ASK_HTTP("example.com"),
         {{CONNECT_EXAMPLE, BYTES("HTTP/1.1 200 OK\n\n")}},
         WSR_PROXY_FAILED, 0, "the proxy's answer is no HTTP: a line feed without a carriage return before it", 0},
        {.ask = {.kind = WSR_PROXY_CONNECT, .host = BYTES("::1"), .address = BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"), .port = 80},
         {{BYTES("CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), BYTES("HTTP/1.1 200 OK\r\n\r\n")}},
         WSR_PROXY_DONE, 200, NULL, 0},
        /* RFC 7617 section 2 has this example */
        {.ask = {.kind = WSR_PROXY_CONNECT, .host = BYTES("h"), .port = 65535, .user = BYTES("Aladdin"), .password = BYTES("open sesame")},
         {{BYTES("CONNECT h:65535 HTTP/1.1\r\nHost: h:65535\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"),
           BYTES("HTTP/1.1 200 OK\r\n\r\n")}},
         WSR_PROXY_DONE, 200, NULL, 0},
    };
    play_all(dialogues, sizeof dialogues / sizeof dialogues[0]);
}

#define SOCKS_ASK .kind = WSR_PROXY_SOCKS5, .host = BYTES("example.com"), .port = 443
#define SOCKS_LOGIN .user = BYTES("me"), .password = BYTES("pass")
#define SOCKS_REQUEST BYTES("\5\1\0\3\13example.com\1\273")

static void test_socks5(void **state)
{
    (void)state;
    const struct dialogue dialogues[] = {
        {{SOCKS_ASK}, {{BYTES("\5\1\0"), BYTES("\5\0")}, {SOCKS_REQUEST, BYTES("\5\0\0\1\0\0\0\0\0\0rest")}}, WSR_PROXY_DONE, 0, NULL, 4},
        {{SOCKS_ASK}, {{BYTES("\5\1\0"), BYTES("\5\0")}, {SOCKS_REQUEST, BYTES("\5\0\0\3\4host\0\120x")}}, WSR_PROXY_DONE, 0, NULL, 1},
        {{SOCKS_ASK}, {{BYTES("\5\1\0"), BYTES("\5\0")}, {SOCKS_REQUEST, BYTES("\5\0\0\3\0\0\120x")}}, WSR_PROXY_DONE, 0, NULL, 1},
        {{SOCKS_ASK},
         {{BYTES("\5\1\0"), BYTES("\5\0")}, {SOCKS_REQUEST, BYTES("\5\0\0\4" "0123456789abcdef" "\0\120")}},
         WSR_PROXY_DONE, 0, NULL, 0},
        {{SOCKS_ASK, SOCKS_LOGIN},
         {{BYTES("\5\2\0\2"), BYTES("\5\2")}, {BYTES("\1\2me\4pass"), BYTES("\1\0")}, {SOCKS_REQUEST, BYTES("\5\0\0\1\0\0\0\0\0\0!")}},
         WSR_PROXY_DONE, 0, NULL, 1},
        /* offered, and not wanted */
        {{SOCKS_ASK, SOCKS_LOGIN},
         {{BYTES("\5\2\0\2"), BYTES("\5\0")}, {SOCKS_REQUEST, BYTES("\5\0\0\1\0\0\0\0\0\0")}},
         WSR_PROXY_DONE, 0, NULL, 0},
        {{SOCKS_ASK, SOCKS_LOGIN},
         {{BYTES("\5\2\0\2"), BYTES("\5\2")}, {BYTES("\1\2me\4pass"), BYTES("\1\1")}},
         WSR_PROXY_FAILED, 0, "the proxy refused user and password", 0},
        {{SOCKS_ASK}, {{BYTES("\5\1\0"), BYTES("\5\377")}}, WSR_PROXY_FAILED, 0, "the proxy wants a user and password", 0},
        {{SOCKS_ASK}, {{BYTES("\5\1\0"), BYTES("\5\2")}}, WSR_PROXY_FAILED, 0, "the proxy wants a user and password", 0}, /* was not offered */
        {{SOCKS_ASK, SOCKS_LOGIN},
         {{BYTES("\5\2\0\2"), BYTES("\5\377")}},
         WSR_PROXY_FAILED, 0, "the proxy wants another way to log in than user and password", 0},
        {{SOCKS_ASK}, {{BYTES("\5\1\0"), BYTES("\5\0")}, {SOCKS_REQUEST, BYTES("\5\5")}}, WSR_PROXY_FAILED, 0, "the proxy said: connection refused", 0},
        {{SOCKS_ASK},
         {{BYTES("\5\1\0"), BYTES("\5\0")}, {SOCKS_REQUEST, BYTES("\5\377\0\1\0\0\0\0\0\0")}},
         WSR_PROXY_FAILED, 0, "the proxy said: something that SOCKS 5 does not know", 0},
        {{SOCKS_ASK}, {{BYTES("\5\1\0"), BYTES("\4\0")}}, WSR_PROXY_FAILED, 0, "the proxy's answer is no SOCKS 5", 0},
        {{SOCKS_ASK}, {{BYTES("\5\1\0"), BYTES("HTTP/1.1 400 Bad Request\r\n")}}, WSR_PROXY_FAILED, 0, "the proxy's answer is no SOCKS 5", 0},
        {{SOCKS_ASK},
         {{BYTES("\5\1\0"), BYTES("\5\0")}, {SOCKS_REQUEST, BYTES("\5\0\0\2\0\0")}},
         WSR_PROXY_FAILED, 0, "the proxy's answer is no SOCKS 5: an address of a type that is none", 0},
        {{.kind = WSR_PROXY_SOCKS5, .host = BYTES("127.0.0.1"), .address = BYTES("\177\0\0\1"), .port = 80},
         {{BYTES("\5\1\0"), BYTES("\5\0")}, {BYTES("\5\1\0\1\177\0\0\1\0\120"), BYTES("\5\0\0\1\0\0\0\0\0\0")}},
         WSR_PROXY_DONE, 0, NULL, 0},
    };
    play_all(dialogues, sizeof dialogues / sizeof dialogues[0]);
}

/* The longest of everything has room, in both kinds. */
static void test_longest(void **state)
{
    (void)state;
    static uint8_t host[WSR_PROXY_HOST_MAX], user[WSR_PROXY_USER_MAX];
    memset(host, 'h', sizeof host);
    memset(user, 0xff, sizeof user);
    struct wsr_proxy_ask ask = {.host = {host, sizeof host}, .port = 65535, .user = {user, sizeof user}, .password = {user, sizeof user}};
    struct wsr_proxy proxy;
    assert_int_equal(wsr_proxy_start(&proxy, &ask), WSR_OK);
    assert_int_equal(wsr_proxy_pending(&proxy).len, 2 * (255 + 6) + 684 + sizeof "CONNECT  HTTP/1.1\r\nHost: \r\nProxy-Authorization: Basic \r\n\r\n" - 1);
    ask.kind = WSR_PROXY_SOCKS5;
    assert_int_equal(wsr_proxy_start(&proxy, &ask), WSR_OK);
    send_all(&proxy, false);
    assert_int_equal(wsr_proxy_take(&proxy, (const uint8_t *)"\5\2", 2), 2);
    assert_int_equal(wsr_proxy_pending(&proxy).len, 3 + 2 * 255);
    send_all(&proxy, false);
    assert_int_equal(wsr_proxy_take(&proxy, (const uint8_t *)"\1\0", 2), 2);
    assert_int_equal(wsr_proxy_pending(&proxy).len, 4 + 1 + 255 + 2);
}

/* RFC 1928 section 6: every reply has words of its own. */
static void test_replies(void **state)
{
    (void)state;
    const struct wsr_proxy_ask ask = {.kind = WSR_PROXY_SOCKS5, .host = BYTES("h"), .port = 1};
    char said[10][sizeof((struct wsr_proxy *)0)->detail];
    for (uint8_t reply = 1; reply < 10; reply++) {
        struct wsr_proxy proxy;
        assert_int_equal(wsr_proxy_start(&proxy, &ask), WSR_OK);
        send_all(&proxy, false);
        assert_int_equal(wsr_proxy_take(&proxy, (const uint8_t *)"\5\0", 2), 2);
        send_all(&proxy, false);
        const uint8_t answer[] = {5, reply};
        assert_int_equal(wsr_proxy_take(&proxy, answer, 2), 2);
        assert_int_equal(wsr_proxy_state(&proxy), WSR_PROXY_FAILED);
        assert_memory_equal(proxy.detail, "the proxy said: ", 16);
        strcpy(said[reply], proxy.detail);
        for (uint8_t other = 1; other < reply; other++)
            assert_string_not_equal(said[reply], said[other]);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static uint8_t long_text[WSR_PROXY_HOST_MAX + 1];
    memset(long_text, 'h', sizeof long_text);
    static const char *const hosts[] = {"", "a b", "a\r\nX: y", "a\n", "a/b", "a@b", "[::1]", "a\\b", "h\xc3\xb6h", "a%20b", "a?b", "a#b"};
    struct wsr_proxy proxy;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        const struct wsr_proxy_ask ask = {.host = wsr_slice_of(hosts[i]), .port = 1};
        assert_int_equal(wsr_proxy_start(&proxy, &ask), WSR_ECONFIG);
    }
    struct wsr_proxy_ask ask = {.host = {long_text, sizeof long_text}, .port = 1};
    assert_int_equal(wsr_proxy_start(&proxy, &ask), WSR_ECONFIG);
    ask.host = BYTES("h");
    assert_int_equal(wsr_proxy_start(&proxy, &ask), WSR_OK);
    ask.user = (wsr_slice){long_text, sizeof long_text};
    assert_int_equal(wsr_proxy_start(&proxy, &ask), WSR_ECONFIG);
    ask.user.len--;
    ask.password = (wsr_slice){long_text, sizeof long_text};
    assert_int_equal(wsr_proxy_start(&proxy, &ask), WSR_ECONFIG);
    ask.password = NOTHING;
    ask.address = BYTES("\1\2\3");
    assert_int_equal(wsr_proxy_start(&proxy, &ask), WSR_ECONFIG);
}

/* A proxy that never ends its head is not listened to for ever; what its words hold is cut, and stays one line. */
static void test_bounded(void **state)
{
    (void)state;
    const struct wsr_proxy_ask ask = {.host = BYTES("h"), .port = 1};
    struct wsr_proxy proxy;
    assert_int_equal(wsr_proxy_start(&proxy, &ask), WSR_OK);
    assert_int_equal(wsr_proxy_take(&proxy, (const uint8_t *)"HTTP/1.1 200 OK\r\nX: ", 20), 20);
    size_t bytes = 20;
    while (wsr_proxy_state(&proxy) == WSR_PROXY_GOING)
        bytes += wsr_proxy_take(&proxy, (const uint8_t *)"yyyyyyyyyyyyyyyy", 16);
    assert_int_equal(bytes, 16384);
    assert_string_equal(proxy.detail, "the proxy's answer is no HTTP: the header block is over the limit");

    assert_int_equal(wsr_proxy_start(&proxy, &ask), WSR_OK);
    assert_int_equal(wsr_proxy_take(&proxy, (const uint8_t *)"HTTP/1.1 500 ", 13), 13);
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(wsr_proxy_take(&proxy, (const uint8_t *)"no ", 3), 3);
    assert_int_equal(wsr_proxy_take(&proxy, (const uint8_t *)"\r\n\r\n", 4), 4);
    assert_int_equal(proxy.http_status, 500);
    assert_int_equal(strlen(proxy.detail), sizeof proxy.detail - 1);
    assert_memory_equal(proxy.detail, "the proxy said: 500 no no no", 28);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect),
        cmocka_unit_test(test_socks5),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bounded),
    };
    return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
