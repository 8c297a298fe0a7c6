/*
 * test_close.c - proto/close: each cell of the table, runs from open to reported, and the payload of a Close frame in every
 * length and with every code. What the table leads to between two ends is test_close_model.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/close.h"

/* --- The table ------------------------------------------------------------------------------------------------------ */

static const char *const state_names[WSR_CS_COUNT] = {"OPEN", "SENT", "AWAITING", "RECEIVED", "FAILED", "LAST", "BROKEN", "LINGER", "DONE"};
static const char *const input_names[WSR_CI_COUNT] = {"LOCAL_CLOSE", "LOCAL_ABORT", "PEER_CLOSE", "FAILURE", "EOF",
                                                      "RESET",       "SEND_ERROR",  "TIMEOUT",    "FLUSHED"};

/*
 * What each cell must be, as a person would write it down: next state, who began (l p b: LOCAL PEER BOTH, - kept), actions
 * (D drop, S send, r read on, d discard, s shut down, T timer, R report). NULL: nothing happens.
 */
static const char *const expected[WSR_CS_COUNT][WSR_CI_COUNT] = {
    /*              LOCAL_CLOSE   LOCAL_ABORT  PEER_CLOSE        FAILURE          EOF         RESET       SEND_ERROR      TIMEOUT        FLUSHED */
    /* OPEN     */ {"SENT l SrT", "DONE l R", "RECEIVED p SdT", "FAILED l DSdT", "DONE - R", "DONE - R", "BROKEN - DrT", NULL, NULL},
    /* SENT     */ {NULL, "DONE - R", "RECEIVED b d", "FAILED - DdT", "LAST - ", "DONE - R", "BROKEN - DT", "FAILED - DdT", "AWAITING - T"},
    /* AWAITING */ {NULL, "DONE - R", "LINGER - dsT", "LINGER - dsT", "DONE - R", "DONE - R", NULL, "DONE - R", NULL},
    /* RECEIVED */ {NULL, "DONE - R", NULL, "FAILED - DT", "LAST - ", "DONE - R", "DONE - R", "FAILED - DT", "LINGER - sT"},
    /* FAILED   */ {NULL, "DONE - R", NULL, NULL, "LAST - ", "DONE - R", "DONE - R", "DONE - R", "LINGER - sT"},
    /* LAST     */ {NULL, "DONE - R", NULL, "LAST - D", NULL, "DONE - R", "DONE - R", "DONE - R", "DONE - R"},
    /* BROKEN   */ {NULL, "DONE l R", "DONE p R", "DONE l R", "DONE - R", "DONE - R", NULL, "DONE - R", NULL},
    /* LINGER   */ {NULL, "DONE - R", NULL, NULL, "DONE - R", "DONE - R", NULL, "DONE - R", NULL},
    /* DONE     */ {NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL},
};

static const struct {
    char letter;
    unsigned action;
} letters[] = {{'D', WSR_CA_DROP}, {'S', WSR_CA_SEND},  {'r', WSR_CA_READ_ON}, {'d', WSR_CA_DISCARD}, {'s', WSR_CA_SHUT_DOWN},
               {'T', WSR_CA_TIMER}, {'R', WSR_CA_REPORT}};
#define LETTERS (sizeof letters / sizeof *letters)

static void test_every_cell(void **state)
{
    (void)state;
    for (unsigned s = 0; s < WSR_CS_COUNT; s++)
        for (unsigned in = 0; in < WSR_CI_COUNT; in++) {
            const struct wsr_close_cell *cell = &wsr_close_table.at[s][in];
            char text[40] = "";
            if (cell->next != WSR_CS_OPEN) {
                size_t n = (size_t)snprintf(text, sizeof text, "%s %c ", state_names[cell->next], "-lpb"[cell->by]);
                for (size_t i = 0; i < LETTERS; i++)
                    if (cell->actions & letters[i].action)
                        text[n++] = letters[i].letter;
                text[n] = '\0';
            } else {
                assert_int_equal(cell->by, 0);
                assert_int_equal(cell->actions, 0);
            }
            const char *want = expected[s][in] == NULL ? "" : expected[s][in];
            if (strcmp(text, want) != 0)
                fail_msg("%s x %s is \"%s\", expected \"%s\"", state_names[s], input_names[in], text, want);
        }
}

/* The step gives what the cell says, for both roles: a client's differs by SHUT_DOWN alone. */
static void test_step_applies_the_cell(void **state)
{
    (void)state;
    for (unsigned s = 0; s < WSR_CS_COUNT; s++)
        for (unsigned in = 0; in < WSR_CI_COUNT; in++)
            for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
                const struct wsr_close_cell *cell = &wsr_close_table.at[s][in];
                struct wsr_close c = {.state = (uint8_t)s}, before;
                memcpy(&before, &c, sizeof c);
                const unsigned actions = wsr_close_step(&c, (enum wsr_close_input)in, 1001, (wsr_role)role);
                if (cell->next == WSR_CS_OPEN) {
                    assert_int_equal(actions, 0);
                    assert_memory_equal(&c, &before, sizeof c);
                    continue;
                }
                assert_int_equal(c.state, cell->next);
                assert_int_equal(c.by, cell->by);
                const unsigned kept = role == WSR_SERVER ? cell->actions : cell->actions & ~(unsigned)WSR_CA_SHUT_DOWN;
                assert_int_equal(actions, kept);
                assert_int_equal(c.code_sent, cell->actions & WSR_CA_SEND ? 1001 : 0);
                assert_int_equal(c.code_received, in == WSR_CI_PEER_CLOSE ? 1001 : 0);
            }
}

/* --- Runs ------------------------------------------------------------------------------------------------------------- */

struct run {
    const char *what;
    wsr_role role;
    const char *inputs; /* c local close 1000, a abort, p peer's close 1001, P the same without a code, f failure 1002,
                           e end of stream, r reset, x send error, t timeout, w flushed */
    const char *actions; /* of each input, as letters; inputs separated by a space, '.' for none */
    uint8_t by;
    bool clean;
    uint16_t code, code_sent, code_received;
};

static const struct run runs[] = {
    {"we close, the peer answers; a server ends TCP", WSR_SERVER, "cwpe", "SrT T dsT R", WSR_BY_LOCAL, true, 1001, 1000, 1001},
    {"we close, the peer answers; a client waits for the server's end", WSR_CLIENT, "cwpe", "SrT T dT R", WSR_BY_LOCAL, true, 1001, 1000, 1001},
    {"the peer closes: its code is echoed", WSR_SERVER, "pwe", "SdT sT R", WSR_BY_PEER, true, 1001, 1001, 1001},
    {"the peer closes without a code: so do we", WSR_CLIENT, "Pwe", "SdT T R", WSR_BY_PEER, true, 1005, 1005, 1005},
    {"both close: no second Close", WSR_SERVER, "cpwe", "SrT d sT R", WSR_BY_BOTH, true, 1001, 1000, 1001},
    {"Close and end of stream in one packet: still answered", WSR_SERVER, "pew", "SdT . R", WSR_BY_PEER, true, 1001, 1001, 1001},
    {"both close, and its stream ends before ours has left", WSR_CLIENT, "cpew", "SrT d . R", WSR_BY_BOTH, true, 1001, 1000, 1001},
    {"the peer breaks the protocol", WSR_SERVER, "fwe", "DSdT sT R", WSR_BY_LOCAL, false, 1002, 1002, 0},
    {"the peer breaks the protocol and half-closes: told why all the same", WSR_SERVER, "few", "DSdT . R", WSR_BY_LOCAL, false, 1002, 1002, 0},
    {"a failure while our Close is queued: its code stays", WSR_SERVER, "cfwe", "SrT DdT sT R", WSR_BY_LOCAL, false, 1000, 1000, 0},
    {"a failure while we wait for the answer", WSR_SERVER, "cwfe", "SrT T dsT R", WSR_BY_LOCAL, false, 1000, 1000, 0},
    {"a failure while we answer", WSR_CLIENT, "pfwe", "SdT DT T R", WSR_BY_PEER, false, 1001, 1001, 1001},
    {"nobody answers our Close", WSR_CLIENT, "cwt", "SrT T R", WSR_BY_LOCAL, false, 1000, 1000, 0},
    {"our Close is stuck behind data: dropped, then cut", WSR_SERVER, "ctt", "SrT DdT R", WSR_BY_LOCAL, false, 1006, 0, 0},
    {"our Close is stuck behind data: dropped, then it goes", WSR_SERVER, "ctwe", "SrT DdT sT R", WSR_BY_LOCAL, false, 1000, 1000, 0},
    {"the peer closes and reads no more", WSR_SERVER, "ptt", "SdT DT R", WSR_BY_PEER, false, 1001, 0, 1001},
    {"the peer never ends its stream", WSR_SERVER, "pwt", "SdT sT R", WSR_BY_PEER, false, 1001, 1001, 1001},
    {"end of stream without Close", WSR_SERVER, "e", "R", WSR_BY_NOBODY, false, 1006, 0, 0},
    {"reset", WSR_CLIENT, "r", "R", WSR_BY_NOBODY, false, 1006, 0, 0},
    {"reset after both Closes: no orderly end", WSR_SERVER, "pwr", "SdT sT R", WSR_BY_PEER, false, 1001, 1001, 1001},
    {"the end of stream we wait for comes before the answer", WSR_CLIENT, "cwe", "SrT T R", WSR_BY_LOCAL, false, 1000, 1000, 0},
    {"it comes before our Close has left", WSR_CLIENT, "cew", "SrT . R", WSR_BY_LOCAL, false, 1000, 1000, 0},
    {"a send fails; the peer's Close, already here, says why", WSR_CLIENT, "xp", "DrT R", WSR_BY_PEER, false, 1001, 0, 1001},
    {"a send fails, and nothing comes", WSR_CLIENT, "xt", "DrT R", WSR_BY_NOBODY, false, 1006, 0, 0},
    {"a send fails while our Close is queued", WSR_SERVER, "cxe", "SrT DT R", WSR_BY_LOCAL, false, 1006, 0, 0},
    {"a send fails while we answer", WSR_SERVER, "px", "SdT R", WSR_BY_PEER, false, 1001, 0, 1001},
    {"shutting down fails after both Closes", WSR_SERVER, "pwxe", "SdT sT . R", WSR_BY_PEER, true, 1001, 1001, 1001},
    {"we cut", WSR_SERVER, "a", "R", WSR_BY_LOCAL, false, 1006, 0, 0},
    {"we cut while closing", WSR_CLIENT, "cwa", "SrT T R", WSR_BY_LOCAL, false, 1000, 1000, 0},
    {"closing twice is closing once", WSR_SERVER, "ccwcpce", "SrT . T . dsT . R", WSR_BY_LOCAL, true, 1001, 1000, 1001},
    {"nothing after the end", WSR_SERVER, "ecapferxtw", "R . . . . . . . . .", WSR_BY_NOBODY, false, 1006, 0, 0},
};
#define RUNS (sizeof runs / sizeof *runs)

static unsigned give(struct wsr_close *c, char input, wsr_role role)
{
    switch (input) {
    case 'c': return wsr_close_step(c, WSR_CI_LOCAL_CLOSE, 1000, role);
    case 'a': return wsr_close_step(c, WSR_CI_LOCAL_ABORT, 0, role);
    case 'p': return wsr_close_step(c, WSR_CI_PEER_CLOSE, 1001, role);
    case 'P': return wsr_close_step(c, WSR_CI_PEER_CLOSE, 1005, role);
    case 'f': return wsr_close_step(c, WSR_CI_FAILURE, 1002, role);
    case 'e': return wsr_close_step(c, WSR_CI_EOF, 0, role);
    case 'r': return wsr_close_step(c, WSR_CI_RESET, 0, role);
    case 'x': return wsr_close_step(c, WSR_CI_SEND_ERROR, 0, role);
    case 't': return wsr_close_step(c, WSR_CI_TIMEOUT, 0, role);
    case 'w': return wsr_close_step(c, WSR_CI_FLUSHED, 0, role);
    default: fail_msg("no such input: %c", input); return 0;
    }
}

static void test_runs(void **state)
{
    (void)state;
    for (size_t i = 0; i < RUNS; i++) {
        const struct run *run = &runs[i];
        struct wsr_close c = {0};
        assert_true(wsr_close_is_open(&c));
        char actions[128] = "";
        size_t n = 0;
        for (const char *in = run->inputs; *in != '\0'; in++) {
            const unsigned got = give(&c, *in, run->role);
            assert_false(wsr_close_is_open(&c));
            if (n > 0)
                actions[n++] = ' ';
            if (got == 0)
                actions[n++] = '.';
            for (size_t k = 0; k < LETTERS; k++)
                if (got & letters[k].action)
                    actions[n++] = letters[k].letter;
        }
        if (strcmp(actions, run->actions) != 0 || c.state != WSR_CS_DONE || c.by != run->by || c.clean != run->clean ||
            wsr_close_code(&c) != run->code || wsr_close_code_sent(&c) != run->code_sent || c.code_received != run->code_received)
            fail_msg("%s: actions \"%s\", state %s, by %u, clean %d, code %u, sent %u, received %u", run->what, actions, state_names[c.state], c.by,
                     c.clean, wsr_close_code(&c), wsr_close_code_sent(&c), c.code_received);
    }
}

/* --- The payload -------------------------------------------------------------------------------------------------------- */

static wsr_slice slice(const void *p, size_t len)
{
    return (wsr_slice){p, len};
}

static int parse(const void *p, size_t len, uint16_t *code, wsr_slice *reason)
{
    return wsr_close_payload_parse(slice(p, len), WSR_CLIENT, code, reason);
}

static void test_payload_of_every_length(void **state)
{
    (void)state;
    uint8_t payload[128];
    memset(payload, 'r', sizeof payload);
    payload[0] = 0x03;
    payload[1] = 0xE8;
    for (size_t len = 0; len <= sizeof payload; len++) {
        uint16_t code = 7;
        wsr_slice reason = {NULL, 99};
        const int result = parse(payload, len, &code, &reason);
        if (len == 1 || len > 125) {
            assert_int_equal(result, len == 1 ? WSR_ECLOSE_LENGTH : WSR_ECONTROL_LENGTH);
            assert_int_equal(code, 7);
            assert_int_equal(reason.len, 99);
            continue;
        }
        assert_int_equal(result, 0);
        assert_int_equal(code, len == 0 ? 1005 : 1000);
        assert_int_equal(reason.len, len == 0 ? 0 : len - 2);
        if (reason.len > 0)
            assert_ptr_equal(reason.ptr, payload + 2);
    }
    uint16_t code;
    wsr_slice reason;
    assert_int_equal(parse(NULL, 0, &code, &reason), 0);
}

static bool on_the_wire(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static void test_payload_with_every_code(void **state)
{
    (void)state;
    for (unsigned value = 0; value <= 0xFFFF; value++)
        for (int peer = WSR_SERVER; peer <= WSR_CLIENT; peer++) {
            const uint8_t payload[2] = {(uint8_t)(value >> 8), (uint8_t)value};
            uint16_t code = 0;
            wsr_slice reason = {NULL, 99};
            const int result = wsr_close_payload_parse(slice(payload, 2), (wsr_role)peer, &code, &reason);
            assert_int_equal(result, on_the_wire(value) ? 0 : WSR_ECLOSE_CODE);
            assert_int_equal(code, on_the_wire(value) ? value : 0);
            assert_int_equal(reason.len, on_the_wire(value) ? 0 : 99);
        }
}

static const struct {
    const char *bytes;
    size_t len;
    bool valid;
} reasons[] = {
    {"", 0, true},
    {"bye", 3, true},
    {"\0", 1, true},
    {"\xC3\xA9", 2, true},                  /* e acute */
    {"\xF0\x9F\x91\x8B", 4, true},          /* a waving hand */
    {"\xF4\x8F\xBF\xBF", 4, true},          /* U+10FFFF */
    {"\x80", 1, false},                     /* a continuation byte alone */
    {"ab\xFF", 3, false},
    {"\xC3", 1, false},                     /* cut short */
    {"abc\xF0\x9F\x91", 6, false},
    {"\xC0\xAF", 2, false},                 /* overlong */
    {"\xE0\x80\xAF", 3, false},
    {"\xED\xA0\x80", 3, false},             /* a surrogate */
    {"\xF4\x90\x80\x80", 4, false},         /* over U+10FFFF */
};

static void test_payload_reasons(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        uint8_t payload[16] = {0x03, 0xE9};
        memcpy(payload + 2, reasons[i].bytes, reasons[i].len);
        uint16_t code = 0;
        wsr_slice reason;
        assert_int_equal(parse(payload, 2 + reasons[i].len, &code, &reason), reasons[i].valid ? 0 : WSR_ECLOSE_REASON);
        assert_int_equal(code, reasons[i].valid ? 1001 : 0);
        assert_int_equal(wsr_close_payload_check(1001, slice(reasons[i].bytes, reasons[i].len), WSR_SERVER), reasons[i].valid ? 0 : WSR_EBADUTF8);
    }
    /* The code is judged first: a bad reason behind a bad code is the code's fault. */
    uint16_t code = 0;
    wsr_slice reason;
    assert_int_equal(parse("\x03\xED\xFF", 3, &code, &reason), WSR_ECLOSE_CODE);
}

static void test_what_an_application_may_send(void **state)
{
    (void)state;
    const wsr_slice none = {NULL, 0};
    char reason[WSR_CLOSE_REASON_MAX + 1];
    memset(reason, 'r', sizeof reason);
    for (unsigned code = 0; code <= 0xFFFF; code++)
        for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
            const bool coded = on_the_wire(code) && (code != 1010 || role == WSR_CLIENT);
            const bool uncoded = code == 0 || code == 1005;
            assert_int_equal(wsr_close_payload_check((uint16_t)code, none, (wsr_role)role), coded || uncoded ? 0 : WSR_EBADCODE);
            assert_int_equal(wsr_close_payload_check((uint16_t)code, slice("r", 1), (wsr_role)role), coded ? 0 : WSR_EBADCODE);
        }
    assert_int_equal(wsr_close_payload_check(1000, slice(reason, WSR_CLOSE_REASON_MAX), WSR_CLIENT), 0);
    assert_int_equal(wsr_close_payload_check(1000, slice(reason, WSR_CLOSE_REASON_MAX + 1), WSR_CLIENT), WSR_ETOOBIG);
}

static void test_encode_and_parse_again(void **state)
{
    (void)state;
    char text[WSR_CLOSE_REASON_MAX];
    memset(text, 'x', sizeof text);
    for (unsigned code = 0; code <= 0xFFFF; code++) {
        if (!on_the_wire(code) && code != 1005)
            continue;
        const size_t len = code == 1005 ? 0 : code % (WSR_CLOSE_REASON_MAX + 1);
        uint8_t payload[126];
        memset(payload, 0xEE, sizeof payload);
        const unsigned n = wsr_close_payload_encode(payload, (uint16_t)code, slice(text, len));
        assert_int_equal(n, code == 1005 ? 0 : 2 + len);
        assert_int_equal(payload[n], 0xEE);
        uint16_t got;
        wsr_slice reason;
        assert_int_equal(parse(payload, n, &got, &reason), 0);
        assert_int_equal(got, code);
        assert_int_equal(reason.len, len);
        if (len > 0)
            assert_memory_equal(reason.ptr, text, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cell),
        cmocka_unit_test(test_step_applies_the_cell),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_payload_of_every_length),
        cmocka_unit_test(test_payload_with_every_code),
        cmocka_unit_test(test_payload_reasons),
        cmocka_unit_test(test_what_an_application_may_send),
        cmocka_unit_test(test_encode_and_parse_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
