/*
 * tests/test_upgrade.c - judging and writing handshakes, as functions of text: choices and checks beyond the vectors.
 *
 * Which request gets which answer stands in tests/vectors/handshakes/requests.txt (run by test_handshake); here are the
 * small grammars at every byte, the choice of a subprotocol, limits, and that what is written is read back as meant.
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
#include "proto/upgrade.h"
#include "proto/upgrade_write.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static wsr_slice slice(const char *text)
{
    return wsr_slice_of(text);
}

static void assert_slice(wsr_slice got, const char *wanted)
{
    assert_int_equal(got.len, strlen(wanted));
    assert_memory_equal(got.ptr, wanted, got.len);
}

/* Scans and splits text, which must be one whole head. headers has room for 128. */
static struct wsr_http_head parse(enum wsr_http_kind kind, const char *text, size_t len, wsr_header *headers)
{
    struct wsr_http_scan scan;
    wsr_http_scan_init(&scan, kind, 65536, 128);
    size_t used;
    assert_int_equal(wsr_http_scan(&scan, (const uint8_t *)text, len, &used), 1);
    struct wsr_http_head head;
    wsr_http_split(&head, kind, (wsr_slice){(const uint8_t *)text, used}, headers, 128);
    assert_int_equal(head.headers_n, scan.headers_n);
    return head;
}

/* Judges a good request with these lines added. */
static int judge(const char *target, const char *lines, const char *spoken, struct wsr_upgrade *out, wsr_header *headers, char *text, size_t cap)
{
    int len = snprintf(text, cap,
                       "GET %s HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                       target, lines);
    assert_true(len > 0 && (size_t)len < cap);
    struct wsr_http_head head = parse(WSR_HTTP_REQUEST, text, (size_t)len, headers);
    return wsr_upgrade_judge_request(&head, spoken != NULL ? slice(spoken) : (wsr_slice){NULL, 0}, out);
}

static void chooses_by_the_servers_preference(void **unused)
{
    (void)unused;
    static const struct {
        const char *offered, *spoken, *chosen;
    } rows[] = {
        {"a, b", "b, a", "b"},    {"b, a", "b, a", "b"}, {"a", "b, a", "a"},      {"a, b", "c", ""},      {"a, b", NULL, ""},      {"a, b", "", ""},
        {"A, b", "a, B", ""},     {"ab", "a", ""},       {"a", "ab, a b, a", "a"}, {"a,b,c", " c ,b", "c"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char lines[128], text[1024];
        wsr_header headers[128];
        struct wsr_upgrade upgrade;
        (void)snprintf(lines, sizeof lines, "Sec-WebSocket-Protocol: %s\r\n", rows[i].offered);
        assert_int_equal(judge("/", lines, rows[i].spoken, &upgrade, headers, text, sizeof text), 0);
        assert_slice(upgrade.request.subprotocol, rows[i].chosen);
        assert_slice(upgrade.request.subprotocols, rows[i].offered);
    }
}

/* 64 different ones are taken, one more is not, in one line or many. */
static void bounds_the_offered_subprotocols(void **unused)
{
    (void)unused;
    for (unsigned n = 63; n <= 66; n++) {
        char one_line[1024] = "Sec-WebSocket-Protocol: ", many[8192] = "", text[16384];
        for (unsigned i = 0; i < n; i++) {
            size_t at = strlen(one_line);
            (void)snprintf(one_line + at, sizeof one_line - at, "%sp%u", i != 0 ? "," : "", i);
            at = strlen(many);
            (void)snprintf(many + at, sizeof many - at, "Sec-WebSocket-Protocol: p%u\r\n", i);
        }
        memcpy(one_line + strlen(one_line), "\r\n", 3);
        wsr_header headers[128];
        struct wsr_upgrade upgrade;
        size_t list_len = strlen(one_line) - strlen("Sec-WebSocket-Protocol: ") - 2;
        wsr_slice list = {(const uint8_t *)one_line + strlen("Sec-WebSocket-Protocol: "), list_len};
        assert_int_equal(wsr_upgrade_subprotocols_valid(list), n <= WSR_SUBPROTOCOLS_MAX); /* nor may we offer more */
        int wanted = n <= WSR_SUBPROTOCOLS_MAX ? 0 : -WSR_REFUSE_SUBPROTOCOLS;
        assert_int_equal(judge("/", one_line, "p62", &upgrade, headers, text, sizeof text), wanted);
        assert_int_equal(judge("/", many, "p62", &upgrade, headers, text, sizeof text), wanted);
        if (wanted == 0) {
            assert_slice(upgrade.request.subprotocol, "p62");
            assert_int_equal(upgrade.subprotocol_lines, n);
        }
    }
}

static void joins_subprotocol_lines(void **unused)
{
    (void)unused;
    char text[1024];
    wsr_header headers[128];
    struct wsr_upgrade upgrade;
    const char *lines = "Sec-WebSocket-Protocol: a,b\r\nX: y\r\nsec-websocket-protocol:  c \r\n";
    assert_int_equal(judge("/", lines, NULL, &upgrade, headers, text, sizeof text), 0);
    assert_int_equal(upgrade.subprotocol_bytes, strlen("a,b, c"));
    uint8_t joined[7] = ".......";
    struct wsr_http_head head = {.headers = upgrade.request.headers, .headers_n = upgrade.request.headers_n};
    wsr_upgrade_join_subprotocols(&head, joined);
    assert_memory_equal(joined, "a,b, c.", 7);
}

static void tells_hosts(void **unused)
{
    (void)unused;
    static const char *const good[] = {"a", "example.com", "example.com:80", "a:", "a:0", "a:6789", "a:65535", "127.0.0.1:8080", "[::1]", "[::1]:80",
                                       "[v1.a:b]", "xn--caf-dma.example", "a_b", "a%20b", "!$&'()*+,;=~"};
    static const char *const bad[] = {"", ":80", "a:b", "a:-1", "a:65536", "a:100000", "a:1:2", "a b", "a/b", "a?b", "a#b", "a@b", "a\\b", "[", "[]", "[::1",
                                      "[::1]a", "[::1]:x", "[a b]", "a[", "<a>", "a|b", "a^b", "a`b", "a\"b", "caf\xc3\xa9", "a\r\nb", "a\x7f"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(wsr_upgrade_host_valid(slice(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (wsr_upgrade_host_valid(slice(bad[i])))
            fail_msg("a host: %s", bad[i]);
    }
    assert_false(wsr_upgrade_host_valid((wsr_slice){(const uint8_t *)"a\0b", 3}));
}

static void targets_may_be_absolute(void **unused)
{
    (void)unused;
    static const struct {
        const char *target, *host, *path, *query;
        int refusal;
    } rows[] = {
        {"/", "example.com", "/", "", 0},
        {"/?", "example.com", "/", "", 0},
        {"/a?b?c", "example.com", "/a", "b?c", 0},
        {"//a/b", "example.com", "//a/b", "", 0},
        {"http://a:1/b?c", "a:1", "/b", "c", 0},
        {"https://a", "a", "/", "", 0},
        {"HtTpS://a?", "a", "/", "", 0},
        {"http://a/", "a", "/", "", 0},
        {"http://", "", "", "", WSR_REFUSE_TARGET},
        {"http:///a", "", "", "", WSR_REFUSE_TARGET},
        {"http://?a", "", "", "", WSR_REFUSE_TARGET},
        {"http:/a", "", "", "", WSR_REFUSE_TARGET},
        {"ws://a/", "", "", "", WSR_REFUSE_TARGET},
        {"a/b", "", "", "", WSR_REFUSE_TARGET},
        {"?a", "", "", "", WSR_REFUSE_TARGET},
        {"*", "", "", "", WSR_REFUSE_TARGET},
        {"h", "", "", "", WSR_REFUSE_TARGET},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[1024];
        wsr_header headers[128];
        struct wsr_upgrade upgrade;
        assert_int_equal(judge(rows[i].target, "", NULL, &upgrade, headers, text, sizeof text), -rows[i].refusal);
        if (rows[i].refusal != 0)
            continue;
        assert_slice(upgrade.request.target, rows[i].target);
        assert_slice(upgrade.request.host, rows[i].host);
        assert_slice(upgrade.request.path, rows[i].path);
        assert_slice(upgrade.request.query, rows[i].query);
        assert_slice(upgrade.key, KEY);
    }
}

static void tells_what_an_application_may_say(void **unused)
{
    (void)unused;
    for (unsigned c = 0; c < 256; c++) {
        uint8_t target[3] = {'/', (uint8_t)c, 'x'}, protocol[3] = {'a', (uint8_t)c, 'b'}, header[7] = {'X', ':', ' ', (uint8_t)c, 'y', '\r', '\n'};
        assert_int_equal(wsr_upgrade_target_valid((wsr_slice){target, 3}), c > ' ' && c < 127 && c != '#');
        assert_int_equal(wsr_upgrade_subprotocols_valid((wsr_slice){protocol, 3}), wsr_http_is_tchar((uint8_t)c) || c == ',');
        assert_int_equal(wsr_upgrade_headers_valid((wsr_slice){header, 7}), (c >= ' ' && c != 127) || c == '\t');
    }
    assert_false(wsr_upgrade_target_valid(slice("")));
    assert_false(wsr_upgrade_target_valid(slice("a")));
    assert_true(wsr_upgrade_subprotocols_valid(slice("")));
    assert_true(wsr_upgrade_subprotocols_valid(slice("a, A ,b")));
    assert_false(wsr_upgrade_subprotocols_valid(slice("a, b, a")));
    assert_false(wsr_upgrade_subprotocols_valid(slice(" ")));
    assert_true(wsr_upgrade_headers_valid(slice("Origin: http://a\r\nCookie: b\r\n")));
    static const char *const own[] = {"Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol",
                                      "Sec-WebSocket-Extensions", "Sec-WebSocket-Accept", "Content-Length", "Transfer-Encoding"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "A: b\r\n%s: c\r\n", own[i]);
        assert_false(wsr_upgrade_headers_valid(slice(line)));
    }
}

/* What is written is measured right, and read back by our own reader as it was meant. */
static void writes_what_it_would_read(void **unused)
{
    (void)unused;
    char text[1024];
    wsr_header headers[128];
    struct wsr_upgrade_ask ask = {slice("a:1"), slice("/b?c"), slice("x, y"), slice("permessage-deflate"), slice("Origin: http://o\r\n")};
    struct wsr_http_out measure = {NULL, 0, 0}, out = {(uint8_t *)text, sizeof text, 0};
    wsr_upgrade_write_request(&measure, &ask, (const uint8_t *)KEY);
    wsr_upgrade_write_request(&out, &ask, (const uint8_t *)KEY);
    assert_int_equal(measure.len, out.len);
    struct wsr_http_head head = parse(WSR_HTTP_REQUEST, text, out.len, headers);
    struct wsr_upgrade upgrade;
    assert_int_equal(wsr_upgrade_judge_request(&head, slice("y"), &upgrade), 0);
    assert_slice(upgrade.request.host, "a:1");
    assert_slice(upgrade.request.target, "/b?c");
    assert_slice(upgrade.request.origin, "http://o");
    assert_slice(upgrade.request.subprotocol, "y");
    assert_slice(head.headers[6].name, "Sec-WebSocket-Extensions");
    assert_slice(head.headers[6].value, "permessage-deflate");

    out.len = 0;
    wsr_upgrade_write_accept(&out, (const uint8_t *)ACCEPT, slice("y"), slice("permessage-deflate"), slice("X: z\r\n"));
    head = parse(WSR_HTTP_RESPONSE, text, out.len, headers);
    wsr_response response;
    assert_int_equal(wsr_upgrade_judge_response(&head, (const uint8_t *)ACCEPT, slice("x, y"), &response), 0);
    assert_int_equal(response.status, 101);
    assert_int_equal(response.headers_n, 6);
    assert_slice(response.headers[4].name, "Sec-WebSocket-Extensions");
    assert_slice(response.headers[4].value, "permessage-deflate");
    assert_slice(response.subprotocol, "y");
    assert_int_equal(wsr_upgrade_judge_response(&head, (const uint8_t *)ACCEPT, slice("x"), &response), WSR_EANSWER);
    assert_int_equal(wsr_upgrade_judge_response(&head, (const uint8_t *)"t3pPLMBiTxaQ9kYGzzhZRbK+xOo=", slice("y"), &response), WSR_EANSWER);
}

static const wsr_header *find(const struct wsr_http_head *head, const char *name)
{
    for (unsigned i = 0; i < head->headers_n; i++) {
        if (wsr_http_equal_nocase(head->headers[i].name, slice(name)))
            return &head->headers[i];
    }
    return NULL;
}

/* Every refusal: a good HTTP answer, with the headers its status calls for, and a body as long as it says. */
static void every_refusal_is_good_http(void **unused)
{
    (void)unused;
    for (int i = 1; i < WSR_REFUSALS_END; i++) {
        char text[512];
        wsr_header headers[128];
        const struct wsr_refusal_info *info = wsr_refusal_lookup((wsr_refusal)i);
        struct wsr_http_out out = {(uint8_t *)text, sizeof text, 0};
        wsr_upgrade_write_refusal(&out, (wsr_refusal)i, false);
        assert_true(out.len < sizeof text);
        struct wsr_http_head head = parse(WSR_HTTP_RESPONSE, text, out.len, headers);
        assert_int_equal(head.status, info->status);
        assert_true(head.reason.len != 0);
        assert_true(wsr_http_list_has_nocase(find(&head, "connection")->value, slice("close")));
        assert_int_equal(find(&head, "upgrade") != NULL, info->status == 426);
        assert_int_equal(wsr_http_list_has_nocase(find(&head, "connection")->value, slice("upgrade")), info->status == 426);
        assert_int_equal(find(&head, "allow") != NULL, info->status == 405);
        assert_int_equal(find(&head, "sec-websocket-version") != NULL, i == WSR_REFUSE_VERSION);
        assert_slice(find(&head, "content-type")->value, "text/plain; charset=utf-8");

        const char *length = (const char *)find(&head, "content-length")->value.ptr;
        size_t body_len = strtoul(length, NULL, 10);
        assert_int_equal(body_len, info->text.len + 1);
        assert_memory_equal(text + out.len - body_len, info->text.ptr, info->text.len);
        assert_int_equal(text[out.len - 1], '\n');
        assert_memory_equal(text + out.len - body_len - 4, "\r\n\r\n", 4);

        size_t whole = out.len;
        out.len = 0;
        wsr_upgrade_write_refusal(&out, (wsr_refusal)i, true); /* the answer to HEAD */
        assert_int_equal(out.len, whole - body_len);
    }
}

/* Every status an application may answer with. */
static void every_status_can_be_written(void **unused)
{
    (void)unused;
    for (unsigned status = 300; status < 600; status++) {
        char text[512];
        wsr_header headers[128];
        struct wsr_http_out out = {(uint8_t *)text, sizeof text, 0};
        wsr_upgrade_write_response(&out, status, slice("X: y\r\n"), slice("body"));
        struct wsr_http_head head = parse(WSR_HTTP_RESPONSE, text, out.len, headers);
        assert_int_equal(head.status, status);
        assert_slice(find(&head, "x")->value, "y");
        assert_slice(find(&head, "content-length")->value, "4");
        assert_memory_equal(text + out.len - 8, "\r\n\r\nbody", 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses_by_the_servers_preference),
        cmocka_unit_test(bounds_the_offered_subprotocols),
        cmocka_unit_test(joins_subprotocol_lines),
        cmocka_unit_test(tells_hosts),
        cmocka_unit_test(targets_may_be_absolute),
        cmocka_unit_test(tells_what_an_application_may_say),
        cmocka_unit_test(writes_what_it_would_read),
        cmocka_unit_test(every_refusal_is_good_http),
        cmocka_unit_test(every_status_can_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
