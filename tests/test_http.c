/*
 * tests/test_http.c - the head scanner: one answer at every split, at the earliest byte, in linear work; and the splitter.
 *
 * What each malformed head is answered stands in tests/vectors/handshakes; here is what the scanner itself promises.
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
#include "proto/http.h"

#define HEAD "GET /chat HTTP/1.1\r\nHost: example.com\r\nX-A:\t b \r\n\r\n"

static wsr_slice slice(const char *text)
{
    return wsr_slice_of(text);
}

static void assert_slice(wsr_slice got, const char *wanted)
{
    assert_int_equal(got.len, strlen(wanted));
    assert_memory_equal(got.ptr, wanted, got.len);
}

/* Scans text in pieces of `piece` bytes from memory that ends where each piece ends. Returns the answer, *used in all. */
static int scan_in_pieces(enum wsr_http_kind kind, uint32_t bytes_max, uint32_t headers_max, wsr_slice text, size_t first, size_t piece,
                          size_t *used)
{
    struct wsr_http_scan scan;
    wsr_http_scan_init(&scan, kind, bytes_max, headers_max);
    int answer = 0;
    *used = 0;
    for (size_t at = 0, n = first; at < text.len && answer == 0; at += n, n = piece) {
        n = n < text.len - at ? n : text.len - at;
        uint8_t *copy = malloc(n + (n == 0));
        assert_non_null(copy);
        memcpy(copy, text.ptr + at, n);
        size_t now = SIZE_MAX;
        answer = wsr_http_scan(&scan, copy, n, &now);
        assert_true(now <= n && (answer != 0 || now == n));
        *used += now;
        free(copy);
    }
    assert_int_equal(scan.bytes, *used);
    return answer;
}

/* One answer, after the same count of bytes, whole, at every split and in pieces of every size. */
static void expect_scan(enum wsr_http_kind kind, uint32_t bytes_max, uint32_t headers_max, wsr_slice text, int answer, size_t bytes)
{
    size_t used;
    assert_int_equal(scan_in_pieces(kind, bytes_max, headers_max, text, text.len, 1, &used), answer);
    assert_int_equal(used, bytes);
    for (size_t i = 1; i < text.len; i++) {
        assert_int_equal(scan_in_pieces(kind, bytes_max, headers_max, text, i, text.len, &used), answer);
        assert_int_equal(used, bytes);
        assert_int_equal(scan_in_pieces(kind, bytes_max, headers_max, text, i, i, &used), answer);
        assert_int_equal(used, bytes);
    }
}

static void a_head_ends_where_it_ends(void **unused)
{
    (void)unused;
    size_t head = sizeof HEAD - 1;
    expect_scan(WSR_HTTP_REQUEST, 1000, 10, slice(HEAD), 1, head);
    expect_scan(WSR_HTTP_REQUEST, 1000, 10, slice(HEAD "\x81\x85 what follows is not looked at \n"), 1, head);
    expect_scan(WSR_HTTP_REQUEST, 1000, 10, slice("\r\n" HEAD HEAD), 1, head + 2);
    expect_scan(WSR_HTTP_REQUEST, 1000, 0, slice("A b HTTP/1.1\r\n\r\n"), 1, 16);
    expect_scan(WSR_HTTP_RESPONSE, 1000, 10, slice("HTTP/1.1 101\r\nA:b\r\n\r\nrest"), 1, 21);
    for (size_t len = 0; len < head; len++)
        expect_scan(WSR_HTTP_REQUEST, 1000, 10, (wsr_slice){(const uint8_t *)HEAD, len}, 0, len);
}

/*
 * Every byte value at every place of a good head: whatever it is, the answer is the same at every split; and if it is a
 * refusal, no later than the byte behind the changed one proves it (a CR is wrong by what follows it).
 */
static void every_byte_at_every_place(void **unused)
{
    (void)unused;
    unsigned refused = 0, accepted = 0;
    for (size_t place = 0; place < sizeof HEAD - 1; place++) {
        for (unsigned value = 0; value < 256; value++) {
            char text[] = HEAD;
            text[place] = (char)value;
            wsr_slice bytes = {(const uint8_t *)text, sizeof text - 1};
            size_t used;
            int answer = scan_in_pieces(WSR_HTTP_REQUEST, 1000, 10, bytes, bytes.len, 1, &used);
            expect_scan(WSR_HTTP_REQUEST, 1000, 10, bytes, answer, used);
            refused += answer < 0;
            accepted += answer >= 0;
            bool line = text[place] == '\r' || text[place] == '\n';
            bool blank = place != 0 && HEAD[place - 1] == '\n'; /* an earlier end of the head, or a folded line */
            if (answer < 0 && !line && !blank && place < sizeof HEAD - 3)
                assert_true(used >= place + 1);
            if (value < 32 && value != '\t' && !line)
                assert_true(answer < 0 && used == place + 1);
            if (value == 127)
                assert_true(answer < 0 && used == place + 1);
        }
    }
    assert_true(refused > 4000 && accepted > 4000);
}

static void a_limit_is_passed_by_its_last_byte(void **unused)
{
    (void)unused;
    char text[256];
    for (unsigned len = 20; len < 200; len++) {
        /* A start line of len bytes, then a header: a head of 2 * len. */
        int n = snprintf(text, sizeof text, "GET /%0*d HTTP/1.1\r\n", (int)len - 16, 0);
        assert_int_equal(n, len);
        wsr_slice line = {(const uint8_t *)text, len};
        expect_scan(WSR_HTTP_REQUEST, 2 * len, 1, line, 0, len);
        expect_scan(WSR_HTTP_REQUEST, 2 * len - 2, 1, line, -WSR_REFUSE_LINE_LONG, len - 1);
    }
    wsr_slice head = slice(HEAD);
    uint32_t len = (uint32_t)head.len;
    expect_scan(WSR_HTTP_REQUEST, len, 2, head, 1, len);
    expect_scan(WSR_HTTP_REQUEST, len - 1, 2, head, -WSR_REFUSE_HEAD_LONG, len - 1);
    expect_scan(WSR_HTTP_REQUEST, len, 1, head, -WSR_REFUSE_HEADERS_MANY, 40);
    expect_scan(WSR_HTTP_REQUEST, len, 0, head, -WSR_REFUSE_HEADERS_MANY, 21);
}

/* 20 MB trickled: no more bytes are looked at than the limit says, however many come. */
static void work_ends_at_the_limit(void **unused)
{
    (void)unused;
    struct wsr_http_scan scan;
    wsr_http_scan_init(&scan, WSR_HTTP_REQUEST, 16384, 64);
    size_t used, looked_at = 0;
    assert_int_equal(wsr_http_scan(&scan, (const uint8_t *)"GET / HTTP/1.1\r\nX: ", 19, &used), 0);
    looked_at += used;
    int answer = 0;
    for (size_t i = 19; i < 20000000; i++) {
        answer = wsr_http_scan(&scan, (const uint8_t *)"x", 1, &used);
        looked_at += used;
    }
    assert_int_equal(answer, -WSR_REFUSE_HEAD_LONG);
    assert_int_equal(looked_at, 16384);
    assert_int_equal(scan.bytes, 16384);
}

/* Once it has answered it goes on answering so, and takes nothing more. */
static void an_answer_stands(void **unused)
{
    (void)unused;
    static const char *const texts[] = {HEAD, "GET / HTTP/1.1\n", "\x16\x03"};
    static const int answers[] = {1, -WSR_REFUSE_BARE_LF, -WSR_REFUSE_TLS};
    for (size_t i = 0; i < 3; i++) {
        struct wsr_http_scan scan;
        wsr_http_scan_init(&scan, WSR_HTTP_REQUEST, 1000, 10);
        size_t used;
        assert_int_equal(wsr_http_scan(&scan, (const uint8_t *)texts[i], strlen(texts[i]), &used), answers[i]);
        for (unsigned j = 0; j < 3; j++) {
            assert_int_equal(wsr_http_scan(&scan, (const uint8_t *)HEAD, sizeof HEAD - 1, &used), answers[i]);
            assert_int_equal(used, 0);
        }
    }
}

static void splits_a_request(void **unused)
{
    (void)unused;
    wsr_header headers[4];
    struct wsr_http_head head;
    wsr_http_split(&head, WSR_HTTP_REQUEST, slice("\r\n" HEAD), headers, 4);
    assert_slice(head.method, "GET");
    assert_slice(head.target, "/chat");
    assert_int_equal(head.major, 1);
    assert_int_equal(head.minor, 1);
    assert_int_equal(head.headers_n, 2);
    assert_ptr_equal(head.headers, headers);
    assert_slice(headers[0].name, "Host");
    assert_slice(headers[0].value, "example.com");
    assert_slice(headers[1].name, "X-A");
    assert_slice(headers[1].value, "b");

    wsr_http_split(&head, WSR_HTTP_REQUEST, slice("A b HTTP/9.8\r\nC:\r\nD::e: f\r\n\r\n"), headers, 4);
    assert_int_equal(head.major, 9);
    assert_int_equal(head.minor, 8);
    assert_slice(headers[0].value, "");
    assert_slice(headers[1].value, ":e: f");
}

static void splits_a_response(void **unused)
{
    (void)unused;
    wsr_header headers[1];
    struct wsr_http_head head;
    wsr_http_split(&head, WSR_HTTP_RESPONSE, slice("HTTP/1.0 404 Not  Found\r\nA: b\r\n\r\n"), headers, 1);
    assert_int_equal(head.status, 404);
    assert_slice(head.reason, "Not  Found");
    assert_int_equal(head.minor, 0);
    assert_int_equal(head.headers_n, 1);
    wsr_http_split(&head, WSR_HTTP_RESPONSE, slice("HTTP/1.1 101\r\n\r\n"), headers, 1);
    assert_int_equal(head.status, 101);
    assert_int_equal(head.reason.len, 0);
    assert_int_equal(head.headers_n, 0);
}

/* It is told that the scanner has passed its input; told wrongly, it must still stay inside it. */
static void splitting_never_strays(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"", "\r", "\r\n", "\r\n\r\n", "GET", "GET ", "GET /", "GET / HTTP/1.1", "A b HTTP/1.1\r", ":", "\n\n\n",
                                        "HTTP/1.1", "HTTP/1.1 1", "HTTP/1.1 99999", "A b HTTP/1.1\r\nC", "A b HTTP/1.1\r\nC:", "A b HTTP/1.1\r\nC:d\r\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t len = strlen(texts[i]);
        uint8_t *copy = malloc(len + (len == 0)); /* so that a sanitizer sees its end */
        assert_non_null(copy);
        memcpy(copy, texts[i], len);
        wsr_header headers[2];
        struct wsr_http_head head;
        wsr_http_split(&head, WSR_HTTP_REQUEST, (wsr_slice){copy, len}, headers, 2);
        assert_true(head.headers_n <= 2 && head.method.len <= len);
        wsr_http_split(&head, WSR_HTTP_RESPONSE, (wsr_slice){copy, len}, headers, 2);
        assert_true(head.headers_n <= 2);
        free(copy);
    }
    wsr_header one[1];
    struct wsr_http_head head;
    wsr_http_split(&head, WSR_HTTP_REQUEST, slice(HEAD), one, 1);
    assert_int_equal(head.headers_n, 1);
}

static void tells_token_characters(void **unused)
{
    (void)unused;
    /* RFC 9110 section 5.6.2 */
    for (unsigned c = 0; c < 256; c++) {
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool mark = c != 0 && strchr("!#$%&'*+-.^_`|~", (int)c) != NULL;
        assert_int_equal(wsr_http_is_tchar((uint8_t)c), alnum || (mark && c < 128));
    }
    assert_true(wsr_http_is_token(slice("permessage-deflate")));
    assert_false(wsr_http_is_token(slice("")));
    assert_false(wsr_http_is_token(slice("a b")));
    assert_false(wsr_http_is_token(slice("ab,")));
}

static void walks_lists(void **unused)
{
    (void)unused;
    wsr_slice list = slice(" a ,,\tb c\t,"), item;
    static const char *const items[] = {"a", "", "b c", ""};
    for (size_t i = 0; i < 4; i++) {
        assert_true(wsr_http_list_next(&list, &item));
        assert_slice(item, items[i]);
    }
    assert_false(wsr_http_list_next(&list, &item));
    list = slice("");
    assert_true(wsr_http_list_next(&list, &item));
    assert_int_equal(item.len, 0);
    assert_false(wsr_http_list_next(&list, &item));
    list = (wsr_slice){NULL, 0};
    assert_false(wsr_http_list_next(&list, &item));

    assert_true(wsr_http_list_has_nocase(slice("keep-alive, Upgrade"), slice("upgrade")));
    assert_false(wsr_http_list_has_nocase(slice("keep-alive, Upgrades"), slice("upgrade")));
    assert_false(wsr_http_list_has_nocase(slice("keep-alive Upgrade"), slice("upgrade")));
    assert_true(wsr_http_equal_nocase(slice("aZ@["), slice("Az@[")));
    assert_false(wsr_http_equal_nocase(slice("@"), slice("`"))); /* 0x40 and 0x60: letters only */
    assert_false(wsr_http_equal(slice("a"), slice("A")));
}

/* Measuring and writing agree, and a writer without room writes nothing past it. */
static void writes_what_it_measured(void **unused)
{
    (void)unused;
    static const char *const parts[] = {"abc", "", "defg", "h"};
    for (size_t cap = 0; cap <= 8; cap++) {
        uint8_t bytes[9];
        memset(bytes, '.', sizeof bytes);
        struct wsr_http_out out = {cap != 0 ? bytes : NULL, cap, 0};
        for (size_t i = 0; i < 4; i++)
            wsr_http_put(&out, slice(parts[i]));
        assert_int_equal(out.len, 8);
        for (size_t i = cap; i < sizeof bytes; i++)
            assert_int_equal(bytes[i], '.');
        if (cap == 8)
            assert_memory_equal(bytes, "abcdefgh.", 9);
    }
}

static void every_refusal_has_a_row(void **unused)
{
    (void)unused;
    for (int i = 1; i < WSR_REFUSALS_END; i++) {
        const struct wsr_refusal_info *info = wsr_refusal_lookup((wsr_refusal)i);
        assert_true(info->status >= 400 && info->status <= 599);
        assert_true(info->text.len > 10 && info->text.len < 128);
        assert_true(strncmp(info->name, "WSR_REFUSE_", 11) == 0);
        for (size_t j = 0; j < info->text.len; j++)
            assert_true(info->text.ptr[j] >= ' ' && info->text.ptr[j] < 127);
    }
}

static void tells_whole_header_lines(void **unused)
{
    (void)unused;
    static const char *const good[] = {"", "A: b\r\n", "A:\r\n", "A: b\r\nC: \xff\td\r\n"};
    static const char *const bad[] = {"A", "A:", "A: b", "A: b\r", "A: b\n", "A: b\r\n\r\n", "\r\n", " A: b\r\n", "A : b\r\n", "A: b\r\n c\r\n",
                                      "A: \x01\r\n", "A: \x7f\r\n", ": b\r\n", "A: b\rc\r\n", "A: b\r\nC"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(wsr_http_lines_valid(slice(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(wsr_http_lines_valid(slice(bad[i])));
    assert_false(wsr_http_lines_valid((wsr_slice){(const uint8_t *)"A: b\0c\r\n", 8}));
    assert_true(wsr_http_lines_valid((wsr_slice){NULL, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_ends_where_it_ends),
        cmocka_unit_test(every_byte_at_every_place),
        cmocka_unit_test(a_limit_is_passed_by_its_last_byte),
        cmocka_unit_test(work_ends_at_the_limit),
        cmocka_unit_test(an_answer_stands),
        cmocka_unit_test(splits_a_request),
        cmocka_unit_test(splits_a_response),
        cmocka_unit_test(splitting_never_strays),
        cmocka_unit_test(tells_token_characters),
        cmocka_unit_test(walks_lists),
        cmocka_unit_test(writes_what_it_measured),
        cmocka_unit_test(every_refusal_has_a_row),
        cmocka_unit_test(tells_whole_header_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
