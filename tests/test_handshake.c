/*
 * tests/test_handshake.c - the opening handshake through an endpoint, both roles.
 *
 * The cases of tests/vectors/handshakes, each whole, at every split and byte by byte with one outcome; then what a file
 * of bytes cannot say: manual answers, deadlines, memory, and what a client's configuration must not smuggle in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/box.h"
#include "lib/vectors.h"
#include "proto/aside.h"
#include "proto/handshake.h"
#include "proto/http.h"

#define SECOND_NS UINT64_C(1000000000)
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="    /* of the nonce "the sample nonce" */
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" /* RFC 6455 section 1.3 */
#define REQUEST                                                                                                                            \
    "GET /chat?x=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                                         \
    "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: v1, v2\r\n\r\n"
#define ANSWER "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n"

/* ---- the vectors ---- */

struct input {
    wsr_endpoint_config config;
    struct vectors_bytes bytes;
    bool eof;      /* the stream ends behind them: nothing may have been said before */
    bool prompt, waits; /* CLOSED comes with the last byte; or only with the end of the stream */
    const char *only_deflate; /* "on", "off"; NULL: with permessage-deflate configured it is as without */
    bool abrupt;   /* ends in a line without its end: refused exactly at its last byte, if it is */
};

static void read_setting(struct input *input, const char *path, const struct vectors_line *line)
{
    if (strncmp(line->text, "subprotocols ", 13) == 0)
        input->config.subprotocols = line->text + 13;
    else if (strncmp(line->text, "origins ", 8) == 0)
        input->config.origins = line->text + 8;
    else if (strncmp(line->text, "paths ", 6) == 0)
        input->config.paths = line->text + 6;
    else if (strncmp(line->text, "header_bytes_max ", 17) == 0)
        input->config.limits.header_bytes_max = (uint32_t)strtoul(line->text + 17, NULL, 10);
    else if (strncmp(line->text, "headers_max ", 12) == 0)
        input->config.limits.headers_max = (uint32_t)strtoul(line->text + 12, NULL, 10);
    else if (strcmp(line->text, "eof") == 0)
        input->eof = true;
    else if (strcmp(line->text, "prompt") == 0)
        input->prompt = true;
    else if (strcmp(line->text, "waits") == 0)
        input->waits = true;
    else if (strcmp(line->text, "deflate on") == 0 || strcmp(line->text, "deflate off") == 0)
        input->only_deflate = line->text + 8;
    else
        fail_msg("%s:%u: unknown setting %s", path, line->number, line->text);
}

static void read_input(struct input *input, wsr_role role, const char *path, const struct vectors_case *one)
{
    *input = (struct input){.config = WSR_ENDPOINT_CONFIG_INIT};
    input->config.role = role;
    input->config.host = "example.com";
    for (unsigned i = 0; i < one->lines_n; i++) {
        const struct vectors_line *line = &one->lines[i];
        if (line->mark == '>') {
            input->abrupt = !vectors_text(&input->bytes, line);
            if (!input->abrupt)
                vectors_append(&input->bytes, "\r\n", 2);
        } else if (line->mark == '+') {
            vectors_hex(&input->bytes, line);
            input->abrupt = false;
        } else if (line->mark == '@') {
            read_setting(input, path, line);
        } else if (strchr("<!=", line->mark) == NULL) {
            fail_msg("%s:%u: unknown mark %c", path, line->number, line->mark);
        }
    }
}

/* Runs the input cut after `first` bytes, or after every byte. Leaves what was seen and sent in the box. */
static void run(struct box *box, const struct input *input, size_t first, bool every)
{
    memset(box, 0, sizeof *box);
    assert_int_equal(box_open(box, &input->config), WSR_OK);
    box_flush(box, 0); /* a client's request */
    box->sent.len = 0;

    size_t len = input->bytes.len;
    uint8_t *copy = malloc(len + 1);
    assert_non_null(copy);
    if (len != 0)
        memcpy(copy, input->bytes.ptr, len);
    for (size_t at = 0, end; at < len; at = end) {
        end = every ? at + 1 : at < first ? first : len;
        if (input->prompt || input->waits)
            assert_null(strstr(vectors_string(&box->seen), "closed"));
        assert_int_equal(box_feed(box, 1, copy + at, end - at), end - at);
    }
    bool closed = strstr(vectors_string(&box->seen), "closed") != NULL;
    if ((input->prompt && !closed) || (input->waits && closed))
        fail_msg("CLOSED came too late or too early, behind %s", vectors_string(&input->bytes));
    box_eof(box, 2);
    free(copy);
}

static bool same(const struct vectors_bytes *a, const struct vectors_bytes *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->ptr, b->ptr, a->len) == 0);
}

static void check_answer(const struct box *box, const char *path, const struct vectors_line *line)
{
    unsigned status = 0;
    char name[64] = "";
    if (strcmp(line->text, "nothing") == 0) {
        assert_int_equal(box->sent.len, 0);
    } else if (sscanf(line->text, "%3u %63s", &status, name) >= 1) {
        char start[32];
        (void)snprintf(start, sizeof start, "HTTP/1.1 %u ", status);
        if (strncmp(vectors_string(&box->sent), start, strlen(start)) != 0)
            fail_msg("%s:%u: wanted %s, sent:\n%s", path, line->number, start, vectors_string(&box->sent));
        if (status != 101) {
            (void)snprintf(start, sizeof start, "closed WSR_EHANDSHAKE %u", status);
            box_expect_seen(box, start);
        }
    } else if (!vectors_has_line(&box->sent, line->text)) {
        fail_msg("%s:%u: not sent: %s, but:\n%s", path, line->number, line->text, vectors_string(&box->sent));
    }
    for (int refusal = 1; name[0] != '\0' && refusal <= WSR_REFUSALS_END; refusal++) {
        if (refusal == WSR_REFUSALS_END)
            fail_msg("%s:%u: no such refusal", path, line->number);
        const struct wsr_refusal_info *info = wsr_refusal_lookup((wsr_refusal)refusal);
        if (strcmp(info->name, name) != 0)
            continue;
        assert_int_equal(info->status, status);
        if (!vectors_has_line(&box->sent, (const char *)info->text.ptr))
            fail_msg("%s:%u: wanted %s, sent:\n%s", path, line->number, name, vectors_string(&box->sent));
        break;
    }
}

/* Content-Length is the number of bytes behind the empty line. */
static void check_body(const struct box *box, bool none)
{
    const char *text = vectors_string(&box->sent);
    const char *length = strstr(text, "\r\nContent-Length: ");
    const char *body = strstr(text, "\r\n\r\n");
    assert_non_null(length);
    assert_non_null(body);
    size_t present = box->sent.len - (size_t)(body + 4 - text);
    if (none)
        assert_int_equal(present, 0);
    else
        assert_int_equal(strtoul(length + 18, NULL, 10), present);
}

static void check_expectations(const struct box *box, const char *path, const struct vectors_case *one)
{
    bool no_body = false;
    for (unsigned i = 0; i < one->lines_n; i++) {
        const struct vectors_line *line = &one->lines[i];
        char header[80];
        if (line->mark == '<') {
            check_answer(box, path, line);
        } else if (line->mark == '!') {
            (void)snprintf(header, sizeof header, "%s:", line->text);
            assert_null(strstr(vectors_string(&box->sent), header));
        } else if (line->mark == '=' && strcmp(line->text, "no body") == 0) {
            no_body = true;
        } else if (line->mark == '=' && strncmp(line->text, "closed ", 7) == 0 && strchr(line->text + 7, ' ') == NULL) {
            (void)snprintf(header, sizeof header, "%s 0", line->text);
            box_expect_seen(box, header);
        } else if (line->mark == '=') {
            box_expect_seen(box, line->text);
        }
    }
    const char *sent = vectors_string(&box->sent);
    if (strncmp(sent, "HTTP/1.1", 8) == 0 && strncmp(sent, "HTTP/1.1 101", 12) != 0)
        check_body(box, no_body);
}

/* A refusal comes with the first byte that proves it: before that byte there is no answer, with it there is. */
static void check_earliest(const struct input *input, const struct vectors_case *one)
{
    struct box box = {0};
    assert_int_equal(box_open(&box, &input->config), WSR_OK);
    box_flush(&box, 0);
    box.sent.len = 0;
    size_t len = input->bytes.len;
    uint8_t *copy = malloc(len);
    assert_non_null(copy);
    memcpy(copy, input->bytes.ptr, len);
    assert_int_equal(box_feed(&box, 1, copy, len - 1), len - 1);
    if (box.sent.len != 0 || (box.ep.flags & WSR_EP_FAILED_HANDSHAKE) != 0)
        fail_msg("%s: refused before its last byte", one->title);
    assert_int_equal(box_feed(&box, 1, copy + len - 1, 1), 1);
    if ((box.ep.flags & WSR_EP_FAILED_HANDSHAKE) == 0)
        fail_msg("%s: not refused with its last byte", one->title);
    box_close(&box);
    free(copy);
}

static void check_case(wsr_role role, const char *path, const struct vectors_case *one, bool deflate)
{
    struct input input;
    read_input(&input, role, path, one);
    input.config.deflate.on = deflate;
    if (input.only_deflate != NULL && strcmp(input.only_deflate, deflate ? "on" : "off") != 0) {
        vectors_bytes_free(&input.bytes);
        return;
    }
    struct box whole;
    run(&whole, &input, input.bytes.len, false);
    check_expectations(&whole, path, one);
    if (input.abrupt && !input.eof)
        check_earliest(&input, one);

    /* cut = 0 stands for byte by byte. */
    for (size_t cut = 0; cut < input.bytes.len; cut++) {
        struct box box;
        run(&box, &input, cut, cut == 0);
        if (!same(&box.seen, &whole.seen) || !same(&box.sent, &whole.sent))
            fail_msg("%s:%u: %s: cut at %zu:\n%s%s\nwhole:\n%s%s", path, one->number, one->title, cut, vectors_string(&box.seen),
                     vectors_string(&box.sent), vectors_string(&whole.seen), vectors_string(&whole.sent));
        box_close(&box);
    }
    box_close(&whole);
    vectors_bytes_free(&input.bytes);
}

static void check_file(wsr_role role, const char *path, unsigned cases_min)
{
    struct vectors vectors;
    vectors_load(&vectors, path);
    for (unsigned i = 0; i < vectors.cases_n; i++) {
        for (unsigned j = 0; j < i; j++) {
            if (strcmp(vectors.cases[i].title, vectors.cases[j].title) == 0)
                fail_msg("%s:%u: the title of another case: %s", path, vectors.cases[i].number, vectors.cases[i].title);
        }
        check_case(role, path, &vectors.cases[i], false);
        check_case(role, path, &vectors.cases[i], true);
    }
    assert_true(vectors.cases_n >= cases_min);
    vectors_free(&vectors);
}

static void requests_get_their_answer_at_every_split(void **unused)
{
    (void)unused;
    check_file(WSR_SERVER, "tests/vectors/handshakes/requests.txt", 100);
    check_file(WSR_SERVER, "tests/vectors/handshakes/admission.txt", 30);
}

static void responses_are_judged_at_every_split(void **unused)
{
    (void)unused;
    check_file(WSR_CLIENT, "tests/vectors/handshakes/responses.txt", 40);
    check_file(WSR_CLIENT, "tests/vectors/handshakes/refusals.txt", 30);
}

/* ---- limits and deadlines ---- */

/* 20 MB of one header, a byte at a time: cut at the limit, and what was kept never grew beyond it. */
static void a_trickled_header_is_cut_at_its_limit(void **unused)
{
    (void)unused;
    struct box box = {0};
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    assert_int_equal(box_open(&box, &config), WSR_OK);
    box_feed_text(&box, 1, "GET / HTTP/1.1\r\nX: ");
    size_t fed = 19, cut_at = 0;
    for (uint8_t byte = 'x'; fed < 20000000; byte = 'x') {
        assert_int_equal(box_feed(&box, 1, &byte, 1), 1);
        fed++;
        if (cut_at == 0 && box.sent.len != 0)
            cut_at = fed;
    }
    assert_int_equal(cut_at, 16384);
    assert_true(box.out_bytes_peak <= 2 * 16384 + 512);
    assert_true(box.allocations <= 12); /* 256 bytes doubled up to 32 KiB, the state, the answer */
    assert_memory_equal(box.sent.ptr, "HTTP/1.1 431 ", 13);
    assert_true(wsr_endpoint_wants_shutdown(&box.ep));
    box_eof(&box, 2);
    box_expect_seen(&box, "closed WSR_EHANDSHAKE 431");
    box_close(&box);
}

static void one_byte_a_second_gets_a_408_at_the_total_deadline(void **unused)
{
    (void)unused;
    struct box box = {0};
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    assert_int_equal(box_open(&box, &config), WSR_OK);
    for (unsigned second = 1; second < 10; second++) {
        uint8_t byte = (uint8_t)REQUEST[second - 1];
        assert_int_equal(box_feed(&box, second * SECOND_NS, &byte, 1), 1);
        box_tick(&box, second * SECOND_NS);
        assert_int_equal(wsr_endpoint_deadline(&box.ep), 10 * SECOND_NS);
        assert_int_equal(box.sent.len, 0);
    }
    box_tick(&box, 10 * SECOND_NS);
    assert_memory_equal(box.sent.ptr, "HTTP/1.1 408 ", 13);
    assert_true(wsr_endpoint_wants_shutdown(&box.ep));
    box_feed_text(&box, 11 * SECOND_NS, "more of it"); /* discarded */
    box_eof(&box, 11 * SECOND_NS);
    box_expect_seen(&box, "closed WSR_ETIMEOUT_HANDSHAKE 408");
    box_close(&box);
}

static void a_client_does_not_wait_for_ever_either(void **unused)
{
    (void)unused;
    struct box box = {0};
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.role = WSR_CLIENT;
    config.host = "example.com";
    config.limits.handshake_timeout_ns = 3;
    assert_int_equal(box_open(&box, &config), WSR_OK);
    box_feed_text(&box, 1, "HTTP/1.1 101");
    box_tick(&box, 3);
    box_eof(&box, 4);
    box_expect_seen(&box, "closed WSR_ETIMEOUT_HANDSHAKE 0");
    box_close(&box);
}

/* A server that says no, and then nothing for ever: what has come is told at the deadline. It was not told that we leave. */
static void a_refusal_s_body_is_waited_for_until_a_deadline(void **unused)
{
    (void)unused;
    struct box box = {0};
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.role = WSR_CLIENT;
    config.host = "example.com";
    config.limits.close_timeout_ns = 3 * SECOND_NS;
    assert_int_equal(box_open(&box, &config), WSR_OK);
    box_flush(&box, 0);
    box_feed_text(&box, SECOND_NS, "HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\nsoo");
    assert_false(wsr_endpoint_wants_shutdown(&box.ep));
    assert_int_equal(wsr_endpoint_deadline(&box.ep), 4 * SECOND_NS);
    box_feed_text(&box, 3 * SECOND_NS, "n");
    box_tick(&box, 4 * SECOND_NS - 1);
    assert_null(strstr(vectors_string(&box.seen), "closed"));
    box_tick(&box, 4 * SECOND_NS);
    box_expect_seen(&box, "closed WSR_EREFUSED 503");
    box_expect_seen(&box, "body soon");
    assert_true(wsr_endpoint_is_over(&box.ep));
    box_close(&box);
}

/* An application that has seen enough ends it itself. */
static void a_refusal_may_be_cut_short(void **unused)
{
    (void)unused;
    struct box box = {0};
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.role = WSR_CLIENT;
    config.host = "example.com";
    assert_int_equal(box_open(&box, &config), WSR_OK);
    box_flush(&box, 0);
    box_feed_text(&box, 1, "HTTP/1.1 503 Busy\r\n\r\nsoo");
    wsr_endpoint_abort(&box.ep, 2, NULL, 0);
    box_tick(&box, 2);
    box_expect_seen(&box, "closed WSR_EREFUSED 503");
    box_close(&box);

    memset(&box, 0, sizeof box); /* and one that is thrown away in the middle */
    assert_int_equal(box_open(&box, &config), WSR_OK);
    box_feed_text(&box, 1, "HTTP/1.1 503 Busy\r\n\r\nsoo");
    box_close(&box);
}

/* An open endpoint holds nothing of its handshake. */
static void an_open_endpoint_is_free_of_it(void **unused)
{
    (void)unused;
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        struct box box = {0};
        wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
        config.role = (wsr_role)role;
        config.host = "example.com";
        config.subprotocols = "v1, v2";
        assert_int_equal(box_open(&box, &config), WSR_OK);
        box_flush(&box, 0);
        box_feed_text(&box, 1, role == WSR_SERVER ? REQUEST : ANSWER);
        assert_true((box.ep.flags & WSR_EP_OPEN) != 0);
        assert_null(wsr_aside(&box.ep, WSR_ASIDE_HANDSHAKE));
        assert_int_equal(box.env.pool.out_bytes, 0);
        box_close(&box);
    }
}

/* The last byte of a head waits for room in the batch. */
static void no_event_without_room(void **unused)
{
    (void)unused;
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        struct box box = {.batch_cap = 1};
        wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
        config.role = (wsr_role)role;
        config.host = "example.com";
        assert_int_equal(box_open(&box, &config), WSR_OK);
        char text[] = REQUEST, answer[] = ANSWER;
        uint8_t *p = (uint8_t *)(role == WSR_SERVER ? text : answer);
        size_t len = strlen((char *)p);
        wsr_event ev[1];
        struct wsr_batch full = {ev, 1, 1, 1};
        assert_int_equal(wsr_endpoint_take(&box.ep, &full, p, len), 0);
        assert_int_equal(full.n, 1);
        assert_int_equal(box_feed(&box, 1, p, len), len);
        box_expect_seen(&box, role == WSR_SERVER ? "open" : "open 101");
        box_close(&box);
    }
}

/* ---- answers by the application ---- */

#define MESSAGE "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58" /* RFC 6455 section 5.7: "Hello", masked */

/* A server that has reported REQUEST, with a frame behind the request that it has not taken. */
static void open_manual(struct box *box, uint8_t *rest, unsigned long fail_at)
{
    memset(box, 0, sizeof *box);
    box->fail_at = fail_at;
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.manual = true;
    config.subprotocols = "v2";
    assert_int_equal(box_open(box, &config), WSR_OK);
    uint8_t bytes[] = REQUEST MESSAGE;
    size_t len = sizeof bytes - 1;
    assert_false(wsr_handshake_waits(&box->ep));
    assert_int_equal(box_feed(box, 1, bytes, len), len - 11);
    memcpy(rest, bytes + len - 11, 11);
}

static void an_application_may_accept_in_a_later_batch(void **unused)
{
    (void)unused;
    struct box box;
    uint8_t rest[11];
    open_manual(&box, rest, 0);
    box_expect_seen(&box, "request");
    box_expect_seen(&box, "path /chat");
    box_expect_seen(&box, "offered v1, v2");
    box_expect_seen(&box, "subprotocol"); /* not chosen yet */
    assert_true(wsr_handshake_waits(&box.ep));
    assert_int_equal(box.sent.len, 0);
    assert_int_equal(box_feed(&box, 2, rest, sizeof rest), 0); /* the bytes behind it wait too */

    assert_int_equal(wsr_endpoint_send(&box.ep, WSR_TEXT, (wsr_slice){rest, 1}), WSR_ESTATE);
    assert_int_equal(wsr_endpoint_accept(&box.ep, 3, "v1", "X-Room: 7\r\nX-Who: me\r\n"), WSR_OK);
    assert_false(wsr_handshake_waits(&box.ep));
    assert_int_equal(wsr_endpoint_accept(&box.ep, 3, NULL, NULL), WSR_ESTATE);
    assert_int_equal(wsr_endpoint_refuse(&box.ep, 3, 403, NULL, (wsr_slice){NULL, 0}), WSR_ESTATE);
    assert_int_equal(wsr_endpoint_send(&box.ep, WSR_TEXT, (wsr_slice){(const uint8_t *)"hi", 2}), WSR_OK);
    assert_int_equal(box_feed(&box, 4, rest, sizeof rest), sizeof rest);
    box_expect_seen(&box, "text Hello");
    box_expect_sent(&box, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n"
                          "Sec-WebSocket-Protocol: v1\r\nX-Room: 7\r\nX-Who: me\r\n\r\n\x81\x02hi");
    assert_int_equal(box.env.pool.out_bytes, 0);
    box_close(&box);
}

/* Neither a subprotocol that was not offered nor a header that breaks out gets on the wire; the request still waits. */
static void bad_answers_are_refused_and_may_be_repeated(void **unused)
{
    (void)unused;
    static const char *const subprotocols[] = {"v3", "V1", "", "v1, v2", "v1\r\nX: y", "\x7f"};
    static const char *const headers[] = {
        "X: y",        "X: y\n",       "X: y\r\n\r\n",          "X : y\r\n",         " X: y\r\n",  "X: y\r\n z\r\n",
        "X\r\n",       ": y\r\n",      "X: \x01\r\n",           "X: \x7f\r\n",       "X: y\r\r\n", "\r\n",
        "Host: a\r\n", "UPGRADE: a\r\n", "Connection: close\r\n", "Content-Length: 1\r\n", "Transfer-Encoding: chunked\r\n",
        "Sec-WebSocket-Accept: a\r\n", "X: y\r\nSec-WebSocket-Protocol: v1\r\n", "sec-websocket-extensions: permessage-deflate\r\n",
    };
    struct box box;
    uint8_t rest[11];
    open_manual(&box, rest, 0);
    const wsr_slice none = {NULL, 0};
    for (size_t i = 0; i < sizeof subprotocols / sizeof subprotocols[0]; i++)
        assert_int_equal(wsr_endpoint_accept(&box.ep, 2, subprotocols[i], NULL), WSR_EINVAL);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        assert_int_equal(wsr_endpoint_accept(&box.ep, 2, NULL, headers[i]), WSR_EINVAL);
        assert_int_equal(wsr_endpoint_refuse(&box.ep, 2, 403, headers[i], none), WSR_EINVAL);
    }
    static const unsigned statuses[] = {0, 100, 101, 200, 299, 600, 1000};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        assert_int_equal(wsr_endpoint_refuse(&box.ep, 2, statuses[i], NULL, none), WSR_EINVAL);
    assert_int_equal(wsr_endpoint_refuse(&box.ep, 2, 304, NULL, (wsr_slice){rest, 1}), WSR_EINVAL);
    assert_int_equal(wsr_endpoint_refuse(&box.ep, 2, 404, NULL, (wsr_slice){rest, SIZE_MAX}), WSR_ETOOBIG);
    box_flush(&box, 2);
    assert_int_equal(box.sent.len, 0);

    assert_int_equal(wsr_endpoint_accept(&box.ep, 2, NULL, ""), WSR_OK);
    box_flush(&box, 2);
    box_expect_sent(&box, ANSWER);
    box_close(&box);
}

static void an_application_may_refuse(void **unused)
{
    (void)unused;
    struct box box;
    uint8_t rest[11];
    open_manual(&box, rest, 0);
    wsr_slice body = {(const uint8_t *)"no such room\n", 13};
    assert_int_equal(wsr_endpoint_refuse(&box.ep, 2, 404, "Content-Type: text/plain\r\n", body), WSR_OK);
    assert_int_equal(wsr_endpoint_refuse(&box.ep, 2, 404, NULL, body), WSR_ESTATE);
    box_flush(&box, 2);
    box_expect_sent(&box, "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 13\r\n\r\nno such room\n");
    assert_true(wsr_endpoint_wants_shutdown(&box.ep));
    assert_int_equal(box_feed(&box, 3, rest, sizeof rest), sizeof rest); /* discarded */
    box_eof(&box, 4);
    box_expect_seen(&box, "closed WSR_EHANDSHAKE 404");
    box_close(&box);

    open_manual(&box, rest, 0);
    assert_int_equal(wsr_endpoint_refuse(&box.ep, 2, 499, NULL, (wsr_slice){NULL, 0}), WSR_OK);
    box_flush(&box, 2);
    box_expect_sent(&box, "HTTP/1.1 499 \r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    box_close(&box);

    static const unsigned statuses[] = {300, 304, 599};
    for (size_t i = 0; i < 3; i++) {
        open_manual(&box, rest, 0);
        assert_int_equal(wsr_endpoint_refuse(&box.ep, 2, statuses[i], "ETag: x\r\n", (wsr_slice){NULL, 0}), WSR_OK);
        box_close(&box);
    }
}

static void an_application_that_does_not_answer_gets_a_503_sent(void **unused)
{
    (void)unused;
    struct box box;
    uint8_t rest[11];
    open_manual(&box, rest, 0);
    box_tick(&box, 10 * SECOND_NS);
    assert_memory_equal(box.sent.ptr, "HTTP/1.1 503 ", 13);
    assert_int_equal(wsr_endpoint_accept(&box.ep, 10 * SECOND_NS, NULL, NULL), WSR_ESTATE);
    box_eof(&box, 11 * SECOND_NS);
    box_expect_seen(&box, "closed WSR_ETIMEOUT_HANDSHAKE 503");
    box_close(&box);
}

static void nothing_is_answered_that_was_not_asked(void **unused)
{
    (void)unused;
    struct box box = {0};
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.manual = true;
    assert_int_equal(box_open(&box, &config), WSR_OK);
    assert_int_equal(wsr_endpoint_accept(&box.ep, 1, NULL, NULL), WSR_ESTATE);
    box_feed_text(&box, 1, "GET / HT");
    assert_int_equal(wsr_endpoint_refuse(&box.ep, 1, 404, NULL, (wsr_slice){NULL, 0}), WSR_ESTATE);
    box_close(&box);

    /* Nor after the peer has gone. */
    uint8_t rest[11];
    open_manual(&box, rest, 0);
    box_eof(&box, 2);
    assert_int_equal(wsr_endpoint_accept(&box.ep, 2, NULL, NULL), WSR_ESTATE);
    box_expect_seen(&box, "closed WSR_ETRUNCATED 0");
    box_close(&box);

    /* Nor after this end has aborted. */
    open_manual(&box, rest, 0);
    wsr_endpoint_abort(&box.ep, 2, NULL, 0);
    assert_int_equal(wsr_endpoint_accept(&box.ep, 2, NULL, NULL), WSR_ESTATE);
    box_close(&box);
}

/* ---- a client's request ---- */

static void a_request_says_what_was_configured(void **unused)
{
    (void)unused;
    struct box box = {0};
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.role = WSR_CLIENT;
    config.host = "example.com:8080";
    config.target = "/chat?x=1";
    char subprotocols[] = "v1, v2";
    config.subprotocols = subprotocols;
    config.headers = "Origin: http://example.com\r\nX-A: b\r\n";
    assert_int_equal(box_open(&box, &config), WSR_OK);
    memset(subprotocols, 'x', sizeof subprotocols - 1); /* it was copied */
    box_flush(&box, 0);
    box_expect_sent(&box, "GET /chat?x=1 HTTP/1.1\r\nHost: example.com:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: v1, v2\r\n"
                          "Origin: http://example.com\r\nX-A: b\r\n\r\n");
    box_feed_text(&box, 1, "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n"
                           "Sec-WebSocket-Protocol: v2\r\n\r\n");
    box_expect_seen(&box, "subprotocol v2");
    box_close(&box);

    memset(&box, 0, sizeof box);
    config = (wsr_endpoint_config)WSR_ENDPOINT_CONFIG_INIT;
    config.role = WSR_CLIENT;
    config.host = "example.com";
    assert_int_equal(box_open(&box, &config), WSR_OK);
    box_flush(&box, 0);
    box_expect_sent(&box, "GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n");
    box_close(&box);
}

static void expect_config_refused(const wsr_endpoint_config *config)
{
    struct box box = {0};
    assert_int_equal(box_open(&box, config), WSR_ECONFIG);
    box_flush(&box, 0);
    assert_int_equal(box.sent.len, 0);
    box_close(&box);
}

static void no_string_breaks_out_of_a_request(void **unused)
{
    (void)unused;
    static const char *const hosts[] = {NULL, "", "a b", "a\r\nX: y", "a\n", "a/", "a@b", "a:70000", "a:b", "[::1", "\x7f", "caf\xc3\xa9"};
    static const char *const targets[] = {"", "chat", "/ ", "/\r\nX: y", "/#a", "/\t", "/\x7f", "/\xc3\xa9", "http://a/"};
    static const char *const subprotocols[] = {"a b", "a,", ",", "a,,b", "a, a", "a\r\nX: y", "a;b", "\x7f", "caf\xc3\xa9"};
    static const char *const headers[] = {"X: y", "X: y\r\n\r\n", "X: y\n", "X y\r\n", "Host: b\r\n", "Sec-WebSocket-Key: a\r\n", "X: \x7f\r\n"};
    wsr_endpoint_config good = WSR_ENDPOINT_CONFIG_INIT;
    good.role = WSR_CLIENT;
    good.host = "example.com";
    wsr_endpoint_config config;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        config = good;
        config.host = hosts[i];
        expect_config_refused(&config);
    }
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        config = good;
        config.target = targets[i];
        expect_config_refused(&config);
    }
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        config = good;
        config.headers = headers[i];
        expect_config_refused(&config);
    }
    for (size_t i = 0; i < sizeof subprotocols / sizeof subprotocols[0]; i++) {
        config = good;
        config.subprotocols = subprotocols[i];
        expect_config_refused(&config);
        config.role = WSR_SERVER;
        expect_config_refused(&config);
    }
    static const char *const origins[] = {"a", "http://", "http:/a", "http:///", "://a", "1http://a", "http://a/", "http://a b", "http://a,", ",",
                                          "http://a:", "http://a:70000", "http://a\r\nX: y", "http://a@b", "None", "*", "\x7f", "http://caf\xc3\xa9"};
    static const char *const paths[] = {"chat", "/a,", ",/a", "/a b", "/a?b", "/a#b", "/\r\nX: y", "/\x7f", "/\xc3\xa9", "http://a/"};
    good.role = WSR_SERVER;
    for (size_t i = 0; i < sizeof origins / sizeof origins[0]; i++) {
        config = good;
        config.origins = origins[i];
        expect_config_refused(&config);
    }
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        config = good;
        config.paths = paths[i];
        expect_config_refused(&config);
    }
}

/* ---- failures of the machine ---- */

static void without_random_bytes_there_is_no_client(void **unused)
{
    (void)unused;
    struct box box = {.random_error = 1};
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.role = WSR_CLIENT;
    config.host = "example.com";
    assert_int_equal(box_open(&box, &config), WSR_ERANDOM);
    box_close(&box);
}

static void without_sha1_there_is_no_handshake(void **unused)
{
    (void)unused;
    box_sha1_error = WSR_ESYS;
    struct box box = {0};
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.host = "example.com";
    assert_int_equal(box_open(&box, &config), WSR_OK);
    box_feed_text(&box, 1, REQUEST);
    assert_memory_equal(box.sent.ptr, "HTTP/1.1 500 ", 13);
    box_eof(&box, 2);
    box_expect_seen(&box, "closed WSR_EHANDSHAKE 500");
    box_close(&box);

    memset(&box, 0, sizeof box);
    config.role = WSR_CLIENT;
    assert_int_equal(box_open(&box, &config), WSR_ENOMEM);
    box_close(&box);
    box_sha1_error = 0;
}

/* 300 bytes of header, so that the body's chunk is not one that the head gave back. */
static const char refusal_text[] = "HTTP/1.1 503 Busy\r\nX: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                                   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                                   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                                   "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nHe\r\n3\r\nllo\r\n0\r\n\r\n";

/*
 * One run in which allocation `at` fails, and if for_good all behind it until the stream ends: either end says so, and
 * nothing leaks. Returns whether there was such an allocation.
 */
static bool run_failing(wsr_role role, const char *text, unsigned long at, bool for_good, size_t piece)
{
    struct box box = {.fail_at = at, .fail_for_good = for_good};
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.role = role;
    config.host = "example.com";
    config.subprotocols = "v1";
    int error = box_open(&box, &config);
    assert_true(error == WSR_OK || error == WSR_ENOMEM);
    if (error == WSR_OK) {
        box_flush(&box, 0);
        const size_t len = strlen(text);
        uint8_t *copy = malloc(len);
        assert_non_null(copy);
        memcpy(copy, text, len);
        for (size_t i = 0, n; i < len; i += n) {
            n = piece < len - i ? piece : len - i;
            assert_int_equal(box_feed(&box, 1, copy + i, n), n);
        }
        free(copy);
    }
    bool failed = box.allocations >= at;
    box.fail_at = 0; /* without any memory even CLOSED waits */
    if (error == WSR_OK)
        box_eof(&box, 2);
    bool opened = strstr(vectors_string(&box.seen), "open") != NULL;
    bool refused = strstr(vectors_string(&box.seen), "closed WSR_EREFUSED 503") != NULL; /* with an answer, or a part of it, or none */
    if (error == WSR_OK && !failed)
        box_expect_seen(&box, text == refusal_text ? "body Hello" : "text Hello");
    if (error == WSR_OK && failed && !opened && !refused)
        assert_non_null(strstr(vectors_string(&box.seen), for_good ? "closed WSR_E" : "closed WSR_ENOMEM"));
    box_close(&box);
    return failed;
}

/* Fails each allocation in turn until none is left to fail. */
static void every_allocation_may_fail(void **unused)
{
    (void)unused;
    static const char *const texts[] = {REQUEST MESSAGE, ANSWER "\x81\x05Hello", refusal_text};
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (size_t piece = 1; piece <= 1000; piece *= 10) {
            for (int for_good = 0; for_good <= 1; for_good++) {
                unsigned long at = 1;
                while (run_failing(i == 0 ? WSR_SERVER : WSR_CLIENT, texts[i], at, for_good, piece))
                    at++;
                assert_true(at > 3);
            }
        }
    }
}

/* An answer that could not be queued leaves the request waiting: the application may try again. */
static void an_answer_without_memory_may_be_repeated(void **unused)
{
    (void)unused;
    struct box box;
    uint8_t rest[11];
    open_manual(&box, rest, 0);
    /* Freed chunks of that size lie in the pool; the allocator is asked only for what is larger. */
    char *headers = malloc(100000);
    assert_non_null(headers);
    memset(headers, 'x', 100000);
    memcpy(headers, "X: ", 3);
    memcpy(headers + 100000 - 3, "\r\n", 3);
    for (unsigned long nth = 1; nth <= 2; nth++) {
        box.fail_at = box.allocations + nth;
        assert_int_equal(wsr_endpoint_accept(&box.ep, 2, "v2", headers), WSR_ENOMEM);
        assert_true(wsr_handshake_waits(&box.ep));
        box.fail_at = box.allocations + 1;
        assert_int_equal(wsr_endpoint_refuse(&box.ep, 2, 404, NULL, (wsr_slice){(const uint8_t *)headers, 300000 / 3}), WSR_ENOMEM);
        assert_true(wsr_handshake_waits(&box.ep));
        wsr_pool_free(&box.env.pool);
    }
    assert_int_equal(wsr_endpoint_accept(&box.ep, 2, "v2", headers), WSR_OK);
    box_flush(&box, 2);
    assert_true(box.sent.len > 100000);
    free(headers);
    box_close(&box);
}

/* ---- both ends ---- */

static void the_two_roles_understand_each_other(void **unused)
{
    (void)unused;
    struct box server = {0}, client = {0};
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.subprotocols = "v3, v2";
    assert_int_equal(box_open(&server, &config), WSR_OK);
    config.role = WSR_CLIENT;
    config.host = "[::1]:8080";
    config.target = "/a?b";
    config.subprotocols = "v1, v2, v3";
    assert_int_equal(box_open(&client, &config), WSR_OK);
    box_flush(&client, 0);
    assert_int_equal(box_feed(&server, 1, client.sent.ptr, client.sent.len), client.sent.len);
    assert_int_equal(box_feed(&client, 1, server.sent.ptr, server.sent.len), server.sent.len);
    box_expect_seen(&server, "subprotocol v3");
    box_expect_seen(&server, "host [::1]:8080");
    box_expect_seen(&client, "open 101");
    box_expect_seen(&client, "subprotocol v3");
    box_close(&server);
    box_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_get_their_answer_at_every_split),
        cmocka_unit_test(responses_are_judged_at_every_split),
        cmocka_unit_test(a_trickled_header_is_cut_at_its_limit),
        cmocka_unit_test(one_byte_a_second_gets_a_408_at_the_total_deadline),
        cmocka_unit_test(a_client_does_not_wait_for_ever_either),
        cmocka_unit_test(a_refusal_s_body_is_waited_for_until_a_deadline),
        cmocka_unit_test(a_refusal_may_be_cut_short),
        cmocka_unit_test(an_open_endpoint_is_free_of_it),
        cmocka_unit_test(no_event_without_room),
        cmocka_unit_test(an_application_may_accept_in_a_later_batch),
        cmocka_unit_test(bad_answers_are_refused_and_may_be_repeated),
        cmocka_unit_test(an_application_may_refuse),
        cmocka_unit_test(an_application_that_does_not_answer_gets_a_503_sent),
        cmocka_unit_test(nothing_is_answered_that_was_not_asked),
        cmocka_unit_test(a_request_says_what_was_configured),
        cmocka_unit_test(no_string_breaks_out_of_a_request),
        cmocka_unit_test(without_random_bytes_there_is_no_client),
        cmocka_unit_test(without_sha1_there_is_no_handshake),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(an_answer_without_memory_may_be_repeated),
        cmocka_unit_test(the_two_roles_understand_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
