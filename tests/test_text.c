/*
 * tests/test_text.c - what others sent, on a terminal and in JSON: no control character gets through, and JSON is always UTF-8.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tools/text.h"

#define BYTES(literal) ((wsr_slice){(const uint8_t *)(literal), sizeof(literal) - 1})

static void assert_holds(struct buffer *b, const char *wanted)
{
    assert_false(b->failed);
    buffer_add(b, "", 1);
    assert_string_equal((const char *)b->ptr + b->at, wanted);
    buffer_free(b);
}

static void assert_plain(wsr_slice text, const char *newline, const char *wanted)
{
    struct buffer b = {0};
    text_add_plain(&b, text, newline);
    assert_holds(&b, wanted);
}

static void assert_json(wsr_slice text, const char *wanted)
{
    struct buffer b = {0};
    text_add_json(&b, text);
    assert_holds(&b, wanted);
}

static void a_terminal_gets_no_control_characters(void **state)
{
    (void)state;
    assert_plain(BYTES("plain, with \t and \"quotes\" \\"), NULL, "plain, with \t and \"quotes\" \\");
    assert_plain(BYTES("\033[31mred\007"), NULL, "\\x1b[31mred\\x07");
    assert_plain(BYTES("csi \xc2\x9b" "31m del \x7f"), NULL, "csi \\xc2\\x9b31m del \\x7f");
    assert_plain(BYTES("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"), NULL, "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    assert_plain(BYTES("bad \xff cut \xe2\x82"), NULL, "bad \\xff cut \\xe2\\x82");
    assert_plain(BYTES("a\r\nb\nc\rd"), NULL, "a\\x0d\\x0ab\\x0ac\\x0dd");
    assert_plain(BYTES("a\r\nb\nc\rd"), "\n  ", "a\n  b\n  c\\x0dd");
    assert_plain(BYTES(""), "\n", "");
    /* every byte alone, and behind the first byte of every length of character */
    for (unsigned c = 0; c < 256; c++) {
        const uint8_t alone[1] = {(uint8_t)c}, behind[2] = {0xC2, (uint8_t)c};
        struct buffer b = {0};
        text_add_plain(&b, (wsr_slice){alone, 1}, NULL);
        text_add_plain(&b, (wsr_slice){behind, 2}, NULL);
        for (size_t i = b.at; i < b.end; i++)
            assert_true((b.ptr[i] >= 0x20 || b.ptr[i] == '\t') && b.ptr[i] != 0x7F && (b.ptr[i] != 0xC2 || b.ptr[i + 1] >= 0xA0));
        buffer_free(&b);
    }
}

static void json_is_always_utf8(void **state)
{
    (void)state;
    assert_json(BYTES(""), "\"\"");
    assert_json(BYTES("a \"b\" \\ / \b\f\n\r\t"), "\"a \\\"b\\\" \\\\ / \\b\\f\\n\\r\\t\"");
    assert_json((wsr_slice){(const uint8_t *)"\0\x1f\x7f", 3}, "\"\\u0000\\u001f\\u007f\"");
    assert_json(BYTES("\xc2\x85 gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"), "\"\\u0085 gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"");
    assert_json(BYTES("caf\xe9!"), "\"caf\\ufffd!\"");
    assert_json(BYTES("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\""); /* a surrogate is no character */
    assert_json(BYTES("cut \xf0\x9f"), "\"cut \\ufffd\\ufffd\"");
}

/* RFC 4648 section 10 */
static void base64_is_that_of_the_rfc(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {{"", ""},         {"f", "Zg=="},         {"fo", "Zm8="},        {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct buffer b = {0};
        char wanted[16];
        snprintf(wanted, sizeof wanted, "\"%s\"", vectors[i][1]);
        text_add_base64(&b, text_of(vectors[i][0]));
        assert_holds(&b, wanted);
    }
    struct buffer b = {0};
    text_add_base64(&b, BYTES("\xfb\xff\xbf"));
    assert_holds(&b, "\"+/+/\"");
}

static void hex_stops_where_told(void **state)
{
    (void)state;
    struct buffer b = {0};
    text_add_hex(&b, BYTES("\x00\xab\xff\x10"), 3);
    assert_holds(&b, "00abff");
    text_add_hex(&b, BYTES("\x01"), 3);
    assert_holds(&b, "01");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_terminal_gets_no_control_characters),
        cmocka_unit_test(json_is_always_utf8),
        cmocka_unit_test(base64_is_that_of_the_rfc),
        cmocka_unit_test(hex_stops_where_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
