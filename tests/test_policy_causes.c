/*
 * test_policy_causes.c - the table of causes: every close code, status and record finds its row, the rows agree with the table
 * of close codes, and every row speaks. What the policy makes of the rows is test_policy.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/causes.h"
#include "proto/close_codes.h"

static void test_every_row_is_filled_in(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WSR_CAUSES; i++) {
        const wsr_cause_info *info = wsr_cause_lookup((wsr_cause)i);
        assert_non_null(info);
        assert_non_null(info->name);
        assert_true(strlen(info->text) > 10);
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(info->name, wsr_cause_lookup((wsr_cause)k)->name);
        for (unsigned profile = 0; profile < WSR_PROFILES; profile++)
            assert_non_null(wsr_policy_default((wsr_profile)profile, (wsr_cause)i));
        assert_null(wsr_policy_default((wsr_profile)WSR_PROFILES, (wsr_cause)i));
    }
    assert_null(wsr_cause_lookup((wsr_cause)WSR_CAUSES));
    assert_null(wsr_policy_default(WSR_PROFILE_DEFAULT, (wsr_cause)WSR_CAUSES));
}

/* The name of a row that is one code is that code: the places in the other table are right. */
static void test_code_rows_point_to_their_code(void **state)
{
    (void)state;
    unsigned codes = 0;
    for (unsigned i = 0; i < WSR_CAUSES; i++) {
        const wsr_cause_info *info = wsr_cause_lookup((wsr_cause)i);
        if (info->close == NULL || i == WSR_CAUSE_TLS_CERTIFICATE)
            continue;
        char name[8] = {(char)('0' + info->close->first / 1000), (char)('0' + info->close->first / 100 % 10),
                        (char)('0' + info->close->first / 10 % 10), (char)('0' + info->close->first % 10)};
        if (i == WSR_CAUSE_3XXX || i == WSR_CAUSE_4XXX)
            strcpy(name + 1, "xxx");
        assert_string_equal(info->name, name);
        codes++;
    }
    assert_int_equal(codes, 19);
    assert_int_equal(wsr_cause_lookup(WSR_CAUSE_TLS_CERTIFICATE)->close->first, 1015);
}

/* `wsring explain` prints one table, the client follows the other: they must say the same of every code. */
static void test_both_tables_agree_on_every_code(void **state)
{
    (void)state;
    for (unsigned code = 0; code <= 0xFFFF; code++) {
        const wsr_cause cause = wsr_cause_of_code((uint16_t)code);
        assert_int_equal(wsr_policy_default(WSR_PROFILE_DEFAULT, cause)->retry, wsr_close_lookup((uint16_t)code)->retry);
    }
}

static void test_codes(void **state)
{
    (void)state;
    static const struct {
        uint16_t first, last;
        wsr_cause cause;
    } rows[] = {
        {0, 999, WSR_CAUSE_WE_FAILED}, {1000, 1000, WSR_CAUSE_1000}, {1001, 1001, WSR_CAUSE_1001}, {1002, 1002, WSR_CAUSE_1002},
        {1003, 1003, WSR_CAUSE_1003}, {1004, 1004, WSR_CAUSE_WE_FAILED}, {1005, 1005, WSR_CAUSE_1005}, {1006, 1006, WSR_CAUSE_ABNORMAL},
        {1007, 1007, WSR_CAUSE_1007}, {1008, 1008, WSR_CAUSE_1008}, {1009, 1009, WSR_CAUSE_1009}, {1010, 1010, WSR_CAUSE_1010},
        {1011, 1011, WSR_CAUSE_1011}, {1012, 1012, WSR_CAUSE_1012}, {1013, 1013, WSR_CAUSE_1013}, {1014, 1014, WSR_CAUSE_1014},
        {1015, 1015, WSR_CAUSE_TLS_CERTIFICATE}, {1016, 2999, WSR_CAUSE_WE_FAILED}, {3000, 3000, WSR_CAUSE_3000},
        {3001, 3002, WSR_CAUSE_3XXX}, {3003, 3003, WSR_CAUSE_3003}, {3004, 3007, WSR_CAUSE_3XXX}, {3008, 3008, WSR_CAUSE_3008},
        {3009, 3999, WSR_CAUSE_3XXX}, {4000, 4999, WSR_CAUSE_4XXX}, {5000, 65535, WSR_CAUSE_WE_FAILED},
    };
    unsigned next = 0;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(rows[i].first, next);
        for (next = rows[i].first; next <= rows[i].last; next++)
            assert_int_equal(wsr_cause_of_code((uint16_t)next), rows[i].cause);
    }
    assert_int_equal(next, 0x10000);
}

static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        uint16_t status;
        wsr_cause cause;
    } rows[] = {
        {400, WSR_CAUSE_HTTP_400}, {401, WSR_CAUSE_HTTP_401}, {403, WSR_CAUSE_HTTP_403}, {404, WSR_CAUSE_HTTP_404},
        {407, WSR_CAUSE_HTTP_407}, {410, WSR_CAUSE_HTTP_410}, {426, WSR_CAUSE_HTTP_426}, {429, WSR_CAUSE_HTTP_429},
        {500, WSR_CAUSE_HTTP_500}, {502, WSR_CAUSE_HTTP_502}, {503, WSR_CAUSE_HTTP_503}, {504, WSR_CAUSE_HTTP_504},
    };
    for (unsigned status = 0; status < 1000; status++) {
        wsr_cause wanted = WSR_CAUSE_INVALID_ANSWER; /* 101 too: a good one is no cause */
        if (status / 100 == 3)
            wanted = WSR_CAUSE_HTTP_3XX;
        else if (status / 100 == 4)
            wanted = WSR_CAUSE_HTTP_4XX;
        else if (status / 100 == 5)
            wanted = WSR_CAUSE_HTTP_5XX;
        for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
            wanted = rows[i].status == status ? rows[i].cause : wanted;
        assert_int_equal(wsr_cause_of_status((uint16_t)status), wanted);
    }
}

static void test_records(void **state)
{
    (void)state;
    static const struct {
        wsr_close_by by;
        int cause;
        uint16_t received, status;
        bool opened;
        wsr_cause wanted;
    } rows[] = {
        /* the application closed: whatever happened after that */
        {WSR_BY_LOCAL, WSR_OK, 1000, 0, true, WSR_CAUSE_LOCAL_CLOSE},
        {WSR_BY_LOCAL, WSR_OK, 1001, 0, true, WSR_CAUSE_LOCAL_CLOSE},
        {WSR_BY_BOTH, WSR_OK, 1001, 0, true, WSR_CAUSE_LOCAL_CLOSE},
        {WSR_BY_LOCAL, WSR_ETRUNCATED, 0, 0, true, WSR_CAUSE_LOCAL_CLOSE},
        {WSR_BY_LOCAL, WSR_ERESET, 0, 0, true, WSR_CAUSE_LOCAL_CLOSE},
        {WSR_BY_LOCAL, WSR_ETIMEOUT_CLOSE, 0, 0, true, WSR_CAUSE_LOCAL_CLOSE},
        {WSR_BY_LOCAL, WSR_EABORTED, 0, 0, true, WSR_CAUSE_LOCAL_CLOSE},
        {WSR_BY_NOBODY, WSR_EABORTED, 0, 0, false, WSR_CAUSE_LOCAL_CLOSE},
        {WSR_BY_PEER, WSR_EABORTED, 1001, 0, true, WSR_CAUSE_LOCAL_CLOSE},
        {WSR_BY_LOCAL, WSR_EREFUSED, 0, 503, false, WSR_CAUSE_LOCAL_CLOSE}, /* in the middle of the answer */
        {WSR_BY_LOCAL, WSR_OK, 0, 0, false, WSR_CAUSE_LOCAL_CLOSE},
        /* this end closed because of what it saw */
        {WSR_BY_LOCAL, WSR_ERSV, 1002, 0, true, WSR_CAUSE_WE_FAILED},
        {WSR_BY_LOCAL, WSR_EUTF8, 0, 0, true, WSR_CAUSE_WE_FAILED},
        {WSR_BY_BOTH, WSR_EMESSAGE_SIZE, 1001, 0, true, WSR_CAUSE_WE_FAILED},
        {WSR_BY_LOCAL, WSR_ENOMEM, 0, 0, true, WSR_CAUSE_WE_FAILED},
        {WSR_BY_LOCAL, WSR_ETIMEOUT_PING, 0, 0, true, WSR_CAUSE_PING_TIMEOUT},
        {WSR_BY_LOCAL, WSR_ETIMEOUT_IDLE, 1001, 0, true, WSR_CAUSE_PING_TIMEOUT},
        /* the peer closed */
        {WSR_BY_PEER, WSR_OK, 1001, 0, true, WSR_CAUSE_1001},
        {WSR_BY_PEER, WSR_OK, 1005, 0, true, WSR_CAUSE_1005},
        {WSR_BY_PEER, WSR_ERESET, 1012, 0, true, WSR_CAUSE_1012},
        {WSR_BY_PEER, WSR_ETIMEOUT_CLOSE, 4321, 0, true, WSR_CAUSE_4XXX},
        /* nobody did */
        {WSR_BY_NOBODY, WSR_ETRUNCATED, 0, 0, true, WSR_CAUSE_ABNORMAL},
        {WSR_BY_NOBODY, WSR_ETRUNCATED, 0, 0, false, WSR_CAUSE_EOF_BEFORE_ANSWER},
        {WSR_BY_NOBODY, WSR_ERESET, 0, 0, true, WSR_CAUSE_RESET},
        {WSR_BY_NOBODY, WSR_ERESET, 0, 0, false, WSR_CAUSE_EOF_BEFORE_ANSWER},
        {WSR_BY_NOBODY, WSR_ETIMEOUT_HANDSHAKE, 0, 0, false, WSR_CAUSE_HANDSHAKE_TIMEOUT},
        {WSR_BY_NOBODY, WSR_ECONNECT, 0, 0, false, WSR_CAUSE_REFUSED},
        {WSR_BY_NOBODY, WSR_EREFUSED, 0, 503, false, WSR_CAUSE_HTTP_503},
        {WSR_BY_NOBODY, WSR_EREFUSED, 0, 301, false, WSR_CAUSE_HTTP_3XX},
        {WSR_BY_NOBODY, WSR_EREFUSED, 0, 200, false, WSR_CAUSE_INVALID_ANSWER},
        {WSR_BY_NOBODY, WSR_EANSWER, 0, 101, false, WSR_CAUSE_INVALID_ANSWER},
        {WSR_BY_NOBODY, WSR_EHANDSHAKE, 0, 0, false, WSR_CAUSE_INVALID_ANSWER},
        {WSR_BY_NOBODY, WSR_ENOMEM, 0, 101, false, WSR_CAUSE_WE_FAILED},
        /* between the name and the server's answer */
        {WSR_BY_NOBODY, WSR_ERESOLVE, 0, 0, false, WSR_CAUSE_DNS},
        {WSR_BY_NOBODY, WSR_ETIMEOUT_CONNECT, 0, 0, false, WSR_CAUSE_CONNECT_TIMEOUT},
        {WSR_BY_NOBODY, WSR_EPROXY, 0, 0, false, WSR_CAUSE_PROXY},
        {WSR_BY_NOBODY, WSR_EPROXY, 0, 502, false, WSR_CAUSE_PROXY},
        {WSR_BY_NOBODY, WSR_EPROXY, 0, 407, false, WSR_CAUSE_HTTP_407},
        {WSR_BY_NOBODY, WSR_ETIMEOUT_TLS, 0, 0, false, WSR_CAUSE_TLS_TIMEOUT},
        {WSR_BY_NOBODY, WSR_ETLS, 0, 0, false, WSR_CAUSE_TLS_CERTIFICATE},
        {WSR_BY_NOBODY, WSR_ETLS_CERTIFICATE, 0, 0, false, WSR_CAUSE_TLS_CERTIFICATE},
        {WSR_BY_NOBODY, WSR_ETLS_TRUNCATED, 0, 0, false, WSR_CAUSE_EOF_BEFORE_ANSWER},
        {WSR_BY_NOBODY, WSR_ETLS_TRUNCATED, 0, 0, true, WSR_CAUSE_ABNORMAL},
        {WSR_BY_NOBODY, WSR_ETLS, 0, 0, true, WSR_CAUSE_RESET}, /* a record that does not decrypt: the stream was disturbed */
        {WSR_BY_LOCAL, WSR_ETLS_TRUNCATED, 0, 0, true, WSR_CAUSE_LOCAL_CLOSE},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const wsr_close_record record = {
            .by = rows[i].by, .cause = rows[i].cause, .code_received = rows[i].received, .http_status = rows[i].status};
        const wsr_cause cause = wsr_cause_of_record(&record, rows[i].opened);
        if (cause != rows[i].wanted)
            fail_msg("row %u: %s", i, wsr_cause_lookup(cause)->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_filled_in),
        cmocka_unit_test(test_code_rows_point_to_their_code),
        cmocka_unit_test(test_both_tables_agree_on_every_code),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
