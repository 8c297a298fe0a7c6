/*
 * test_close_codes.c - the table of close codes: each of the 65,536 values is in one row, the look-up finds it, what may be sent
 * and received is what RFC 6455 section 7.4 and the registry say, and every row speaks.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/close_codes.h"

static void test_rows_cover_every_value_once(void **state)
{
    (void)state;
    unsigned next = 0, rows = 0;
    for (const wsr_close_info *row; (row = wsr_close_row(rows)) != NULL; rows++) {
        assert_int_equal(row->first, next);
        assert_true(row->last >= row->first);
        next = row->last + 1u;
    }
    assert_int_equal(next, 0x10000);
    assert_int_equal(rows, WSR_CLOSE_ROWS);
    assert_null(wsr_close_row(WSR_CLOSE_ROWS));
    assert_null(wsr_close_row(~0u));
}

static void test_lookup_finds_every_value(void **state)
{
    (void)state;
    for (unsigned code = 0; code <= 0xFFFF; code++) {
        const wsr_close_info *row = wsr_close_lookup((uint16_t)code);
        assert_non_null(row);
        assert_true(row->first <= code && code <= row->last);
    }
}

/* One row of the expected table: who may send, who may hear it on the wire. */
struct range {
    unsigned first, last;
    bool client_sends, server_sends, received, local;
};

static const struct range ranges[] = {
    {0, 999, false, false, false, false},
    {1000, 1003, true, true, true, false},
    {1004, 1004, false, false, false, false},
    {1005, 1006, false, false, false, true},
    {1007, 1009, true, true, true, false},
    {1010, 1010, true, false, true, false}, /* "not used by the server", but its echo of one is no failure */
    {1011, 1014, true, true, true, false},
    {1015, 1015, false, false, false, true},
    {1016, 2999, false, false, false, false},
    {3000, 4999, true, true, true, false},
    {5000, 65535, false, false, false, false},
};

static void test_who_may_send_and_receive(void **state)
{
    (void)state;
    unsigned checked = 0;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        for (unsigned code = ranges[i].first; code <= ranges[i].last; code++, checked++) {
            assert_int_equal(wsr_close_may_send((uint16_t)code, WSR_CLIENT), ranges[i].client_sends);
            assert_int_equal(wsr_close_may_send((uint16_t)code, WSR_SERVER), ranges[i].server_sends);
            assert_int_equal(wsr_close_may_receive((uint16_t)code, WSR_CLIENT), ranges[i].received);
            assert_int_equal(wsr_close_may_receive((uint16_t)code, WSR_SERVER), ranges[i].received);
            const wsr_close_info *row = wsr_close_lookup((uint16_t)code);
            assert_int_equal(row->may_receive, ranges[i].received);
            assert_int_equal(row->may_send, ranges[i].client_sends || ranges[i].server_sends);
            assert_int_equal(row->client_only, ranges[i].client_sends && !ranges[i].server_sends);
            assert_int_equal(row->local_only, ranges[i].local);
        }
    assert_int_equal(checked, 0x10000);
}

static const struct {
    uint16_t code;
    const char *name;
    wsr_retry retry;
} known[] = {
    {1000, "Normal Closure", WSR_RETRY_NEVER},
    {1001, "Going Away", WSR_RETRY_BACKOFF},
    {1002, "Protocol Error", WSR_RETRY_NEVER},
    {1003, "Unsupported Data", WSR_RETRY_NEVER},
    {1005, "No Status Received", WSR_RETRY_NEVER},
    {1006, "Abnormal Closure", WSR_RETRY_BACKOFF},
    {1007, "Invalid Payload Data", WSR_RETRY_NEVER},
    {1008, "Policy Violation", WSR_RETRY_ASK},
    {1009, "Message Too Big", WSR_RETRY_NEVER},
    {1010, "Mandatory Extension", WSR_RETRY_NEVER},
    {1011, "Internal Error", WSR_RETRY_LIMITED},
    {1012, "Service Restart", WSR_RETRY_LATER},
    {1013, "Try Again Later", WSR_RETRY_LATER},
    {1014, "Bad Gateway", WSR_RETRY_LIMITED},
    {1015, "TLS Handshake", WSR_RETRY_NEVER},
    {3000, "Unauthorized", WSR_RETRY_ONCE},
    {3003, "Forbidden", WSR_RETRY_NEVER},
    {3008, "Timeout", WSR_RETRY_LIMITED},
    {3999, "Unassigned", WSR_RETRY_ASK},
    {4000, "Private use", WSR_RETRY_ASK},
};

static void test_names_and_policy(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const wsr_close_info *row = wsr_close_lookup(known[i].code);
        assert_string_equal(row->name, known[i].name);
        assert_int_equal(row->retry, known[i].retry);
    }
    assert_int_equal(wsr_close_lookup(WSR_CLOSE_NORMAL)->first, 1000);
    assert_int_equal(wsr_close_lookup(WSR_CLOSE_TLS_HANDSHAKE)->first, 1015);
}

/* A sentence: starts with a capital, a digit or a code, ends in a full stop or bracket, no stray or doubled space, ASCII. */
static void check_sentence(unsigned code, const char *what, const char *text)
{
    if (text == NULL || text[0] == '\0')
        fail_msg("%u has no %s", code, what);
    const size_t len = strlen(text);
    if (len < 10 || !(isupper((unsigned char)text[0]) || isdigit((unsigned char)text[0])) || strchr(".)", text[len - 1]) == NULL)
        fail_msg("%u, %s: not a sentence: %s", code, what, text);
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~' || (text[i] == ' ' && text[i + 1] == ' '))
            fail_msg("%u, %s: a character or space too many at %zu: %s", code, what, i, text);
}

static void test_every_row_speaks(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WSR_CLOSE_ROWS; i++) {
        const wsr_close_info *row = &wsr_close_rows[i];
        assert_non_null(row->name);
        assert_true(strlen(row->name) >= 7);
        check_sentence(row->first, "meaning", row->meaning);
        check_sentence(row->first, "appears", row->appears);
        check_sentence(row->first, "fix", row->fix);
        check_sentence(row->first, "retry_text", row->retry_text);
        assert_int_equal(strncmp(row->use, "Never", 5) == 0, !row->may_send);
        if (row->may_send)
            check_sentence(row->first, "use", row->use);
        assert_true(strncmp(row->source, "RFC 6455", 8) == 0 || strncmp(row->source, "IANA", 4) == 0);
        /* The words must not contradict the enumeration. */
        const bool says_no = strncmp(row->retry_text, "No", 2) == 0;
        assert_int_equal(says_no, row->retry == WSR_RETRY_NEVER || row->retry == WSR_RETRY_ASK);
        assert_int_equal(strstr(row->retry_text, "unless the application") != NULL, row->retry == WSR_RETRY_ASK);
        assert_int_equal(strstr(row->retry_text, "limited") != NULL, row->retry == WSR_RETRY_LIMITED);
        assert_int_equal(strncmp(row->retry_text, "Once", 4) == 0, row->retry == WSR_RETRY_ONCE);
        assert_false(row->local_only && (row->may_send || row->may_receive));
        assert_int_equal(row->may_send, row->may_receive);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_cover_every_value_once), cmocka_unit_test(test_lookup_finds_every_value),
        cmocka_unit_test(test_who_may_send_and_receive),    cmocka_unit_test(test_names_and_policy),
        cmocka_unit_test(test_every_row_speaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
