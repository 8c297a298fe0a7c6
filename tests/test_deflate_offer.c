/*
 * tests/test_deflate_offer.c - what two ends agree on about permessage-deflate: every parameter, on both sides, good and bad
 * (RFC 7692 sections 5 and 7.1).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proto/deflate_offer.h"

static wsr_slice slice(const char *text)
{
    return (wsr_slice){(const uint8_t *)text, strlen(text)};
}

/* A head of these lines of Sec-WebSocket-Extensions, among others. A text of several lines has them divided by '|'. */
struct lines {
    struct wsr_http_head head;
    wsr_header headers[8];
};

static const struct wsr_http_head *head_of(struct lines *lines, const char *text)
{
    static const char *const names[] = {"Sec-WebSocket-Extensions", "sec-websocket-extensions", "SEC-WEBSOCKET-EXTENSIONS"};
    unsigned n = 0;
    lines->headers[n++] = (wsr_header){slice("Sec-WebSocket-Protocol"), slice("permessage-deflate; foo")};
    while (text != NULL && n < 8) {
        size_t len = strcspn(text, "|");
        lines->headers[n] = (wsr_header){slice(names[n % 3]), {(const uint8_t *)text, len}};
        n++;
        text = text[len] == '|' ? text + len + 1 : NULL;
    }
    lines->head = (struct wsr_http_head){.headers = lines->headers, .headers_n = n};
    return &lines->head;
}

static const char *written(char text[WSR_DEFLATE_TEXT_MAX + 1], const struct wsr_http_out *out)
{
    assert_true(out->len <= WSR_DEFLATE_TEXT_MAX);
    text[out->len] = '\0';
    return text;
}

/* "send 15 takeover, receive 10" */
static void describe(char text[64], const struct wsr_deflate_agreed *agreed)
{
    if (!agreed->on)
        (void)snprintf(text, 64, "off");
    else
        (void)snprintf(text, 64, "send %u%s, receive %u%s", agreed->send.window_bits, agreed->send.takeover ? " takeover" : "",
                       agreed->receive.window_bits, agreed->receive.takeover ? " takeover" : "");
}

#define ON {.on = true}
#define TAKEOVER {.on = true, .send_takeover = true, .receive_takeover = true}
#define BITS(s, r) {.on = true, .send_takeover = true, .receive_takeover = true, .send_window_bits = (s), .receive_window_bits = (r)}

#define PMD "permessage-deflate"
#define SNCT "; server_no_context_takeover"
#define CNCT "; client_no_context_takeover"
#define SMWB "; server_max_window_bits"
#define CMWB "; client_max_window_bits"

struct choice {
    wsr_deflate config;
    const char *offer;
    const char *answer; /* NULL: none */
    const char *agreed;
};

static const struct choice choices[] = {
    /* off, nothing offered, other things offered */
    {{0}, PMD, NULL, "off"},
    {ON, NULL, NULL, "off"},
    {ON, "foo", NULL, "off"},
    {ON, "x-webkit-deflate-frame, permessage-bzip2", NULL, "off"},
    {ON, "Permessage-Deflate", NULL, "off"},
    {ON, "permessage-deflated", NULL, "off"},
    /* the default: nobody keeps history */
    {ON, PMD, PMD SNCT CNCT, "send 15, receive 15"},
    {ON, PMD CMWB, PMD SNCT CNCT, "send 15, receive 15"},
    {ON, PMD SNCT CNCT, PMD SNCT CNCT, "send 15, receive 15"},
    {ON, "foo; permessage-deflate, " PMD ";client_max_window_bits , bar", PMD SNCT CNCT, "send 15, receive 15"},
    {ON, "foo|" PMD "|bar", PMD SNCT CNCT, "send 15, receive 15"},
    /* takeover, as far as the client goes along */
    {TAKEOVER, PMD, PMD, "send 15 takeover, receive 15 takeover"},
    {TAKEOVER, PMD SNCT, PMD SNCT, "send 15, receive 15 takeover"},
    {TAKEOVER, PMD CNCT, PMD CNCT, "send 15 takeover, receive 15"},
    {TAKEOVER, PMD CNCT SNCT, PMD SNCT CNCT, "send 15, receive 15"},
    {{.on = true, .send_takeover = true}, PMD, PMD CNCT, "send 15 takeover, receive 15"},
    {{.on = true, .receive_takeover = true}, PMD, PMD SNCT, "send 15, receive 15 takeover"},
    /* the server's window: said if it was asked for, even if it is the largest */
    {TAKEOVER, PMD SMWB "=15", PMD SMWB "=15", "send 15 takeover, receive 15 takeover"},
    {TAKEOVER, PMD SMWB "=10", PMD SMWB "=10", "send 10 takeover, receive 15 takeover"},
    {TAKEOVER, PMD SMWB "=8", PMD SMWB "=8", "send 8 takeover, receive 15 takeover"},
    {TAKEOVER, PMD SMWB "=9", PMD SMWB "=9", "send 9 takeover, receive 15 takeover"},
    {TAKEOVER, PMD SMWB "=\"12\"", PMD SMWB "=12", "send 12 takeover, receive 15 takeover"},
    {TAKEOVER, PMD SMWB "=\"\\1\\2\"", PMD SMWB "=12", "send 12 takeover, receive 15 takeover"},
    {TAKEOVER, PMD " ; server_max_window_bits = 11 ", PMD SMWB "=11", "send 11 takeover, receive 15 takeover"},
    {BITS(12, 0), PMD, PMD SMWB "=12", "send 12 takeover, receive 15 takeover"},
    {BITS(12, 0), PMD SMWB "=14", PMD SMWB "=12", "send 12 takeover, receive 15 takeover"},
    {BITS(12, 0), PMD SMWB "=9", PMD SMWB "=9", "send 9 takeover, receive 15 takeover"},
    /* the client's window: only of one who said that it can; of others no history is kept if ours is to be smaller */
    {TAKEOVER, PMD CMWB, PMD, "send 15 takeover, receive 15 takeover"},
    {TAKEOVER, PMD CMWB "=15", PMD, "send 15 takeover, receive 15 takeover"},
    {TAKEOVER, PMD CMWB "=10", PMD CMWB "=10", "send 15 takeover, receive 10 takeover"},
    {TAKEOVER, PMD CMWB "=8", PMD CMWB "=8", "send 15 takeover, receive 8 takeover"},
    {BITS(0, 11), PMD CMWB, PMD CMWB "=11", "send 15 takeover, receive 11 takeover"},
    {BITS(0, 11), PMD CMWB "=13", PMD CMWB "=11", "send 15 takeover, receive 11 takeover"},
    {BITS(0, 11), PMD CMWB "=9", PMD CMWB "=9", "send 15 takeover, receive 9 takeover"},
    {BITS(0, 11), PMD, PMD CNCT, "send 15 takeover, receive 15"},
    {BITS(0, 11), PMD SMWB "=9", PMD CNCT SMWB "=9", "send 9 takeover, receive 15"},
    {BITS(8, 8), PMD CMWB SMWB "=15" SNCT CNCT, PMD SNCT CNCT SMWB "=8" CMWB "=8", "send 8, receive 8"},
    /* declined */
    {ON, PMD "; unknown", NULL, "off"},
    {ON, PMD "; unknown=1" CMWB, NULL, "off"},
    {ON, PMD SNCT SNCT, NULL, "off"},
    {ON, PMD CNCT CNCT, NULL, "off"},
    {ON, PMD SMWB "=10" SMWB "=10", NULL, "off"},
    {ON, PMD CMWB CMWB, NULL, "off"},
    {ON, PMD CMWB "=10" CMWB, NULL, "off"},
    {ON, PMD SNCT "=1", NULL, "off"},
    {ON, PMD SNCT "=true", NULL, "off"},
    {ON, PMD CNCT "=1", NULL, "off"},
    {ON, PMD SMWB, NULL, "off"},
    {ON, PMD SMWB "=7", NULL, "off"},
    {ON, PMD SMWB "=16", NULL, "off"},
    {ON, PMD SMWB "=99", NULL, "off"},
    {ON, PMD SMWB "=0", NULL, "off"},
    {ON, PMD SMWB "=08", NULL, "off"},
    {ON, PMD SMWB "=010", NULL, "off"},
    {ON, PMD SMWB "=-9", NULL, "off"},
    {ON, PMD SMWB "=+9", NULL, "off"},
    {ON, PMD SMWB "=9a", NULL, "off"},
    {ON, PMD SMWB "=0x9", NULL, "off"},
    {ON, PMD SMWB "=1000", NULL, "off"},
    {ON, PMD SMWB "=4294967305", NULL, "off"},
    {ON, PMD CMWB "=7", NULL, "off"},
    {ON, PMD CMWB "=16", NULL, "off"},
    {ON, PMD CMWB "=08", NULL, "off"},
    {ON, PMD CMWB "=a", NULL, "off"},
    {ON, PMD "; Server_No_Context_Takeover", NULL, "off"},
    /* of several, the first that can be met */
    {TAKEOVER, PMD SMWB "=99, " PMD SNCT ", " PMD, PMD SNCT, "send 15, receive 15 takeover"},
    {TAKEOVER, PMD "; unknown, foo, " PMD CNCT, PMD CNCT, "send 15 takeover, receive 15"},
    {TAKEOVER, PMD SMWB "=7|" PMD SMWB "=12|" PMD SMWB "=9", PMD SMWB "=12", "send 12 takeover, receive 15 takeover"},
    {TAKEOVER, PMD "; x, " PMD SNCT SNCT "|" PMD CMWB "=99", NULL, "off"},
};

static void a_server_chooses(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        const struct choice *c = &choices[i];
        struct lines lines;
        struct wsr_deflate_agreed agreed;
        char text[WSR_DEFLATE_TEXT_MAX + 1], described[64];
        assert_true(wsr_deflate_config_valid(&c->config));
        memset(&agreed, 0xAA, sizeof agreed);
        wsr_deflate_choose(head_of(&lines, c->offer), &c->config, &agreed);
        describe(described, &agreed);
        if (strcmp(described, c->agreed) != 0)
            fail_msg("offer \"%s\": %s", c->offer, described);
        if (!agreed.on)
            continue;
        struct wsr_http_out out = {(uint8_t *)text, WSR_DEFLATE_TEXT_MAX, 0};
        wsr_deflate_write_answer(&out, &agreed);
        if (strcmp(written(text, &out), c->answer) != 0)
            fail_msg("offer \"%s\": answer \"%s\"", c->offer, text);
    }
}

struct judgement {
    wsr_deflate config;
    const char *offer;  /* NULL: as the one before */
    const char *answer; /* NULL: no such line */
    const char *agreed; /* NULL: WSR_EANSWER */
};

static const struct judgement judgements[] = {
    /* nothing was offered */
    {{0}, "", NULL, "off"},
    {{0}, NULL, PMD, NULL},
    {{0}, NULL, "foo", NULL},
    {{0}, NULL, "", NULL},
    /* the default: no history on either side */
    {ON, PMD SNCT CNCT CMWB, NULL, "off"},
    {ON, NULL, PMD SNCT CNCT, "send 15, receive 15"},
    {ON, NULL, PMD SNCT, "send 15, receive 15"}, /* the client keeps to its hint */
    {ON, NULL, PMD SNCT CNCT CMWB "=10", "send 10, receive 15"},
    {ON, NULL, PMD SNCT CMWB "=8", "send 8, receive 15"},
    {ON, NULL, PMD SNCT SMWB "=10", "send 15, receive 10"}, /* unasked, as it may be */
    {ON, NULL, PMD, NULL},      /* history, though it was asked not to */
    {ON, NULL, PMD CNCT, NULL},
    {ON, NULL, "foo", NULL},
    {ON, NULL, PMD SNCT ", foo", NULL},
    {ON, NULL, "foo, " PMD SNCT, NULL},
    {ON, NULL, PMD SNCT ", " PMD SNCT, NULL},
    {ON, NULL, PMD SNCT "|" PMD SNCT, NULL},
    {ON, NULL, PMD SNCT "|foo", NULL},
    {ON, NULL, "", NULL},
    {ON, NULL, ",", NULL},
    {ON, NULL, PMD SNCT "|", NULL},
    {ON, NULL, "PERMESSAGE-DEFLATE" SNCT, NULL},
    {ON, NULL, PMD SNCT ";", NULL},
    {ON, NULL, PMD SNCT "; =1", NULL},
    {ON, NULL, PMD SNCT " foo", NULL},
    {ON, NULL, PMD SNCT "; unknown", NULL},
    {ON, NULL, PMD SNCT SNCT, NULL},
    {ON, NULL, PMD SNCT CNCT CNCT, NULL},
    {ON, NULL, PMD SNCT "=1", NULL},
    {ON, NULL, PMD SNCT CMWB, NULL}, /* in an answer it has a value */
    {ON, NULL, PMD SNCT CMWB "=7", NULL},
    {ON, NULL, PMD SNCT CMWB "=16", NULL},
    {ON, NULL, PMD SNCT CMWB "=010", NULL},
    {ON, NULL, PMD SNCT CMWB "=9" CMWB "=9", NULL},
    {ON, NULL, PMD SNCT SMWB, NULL},
    {ON, NULL, PMD SNCT SMWB "=7", NULL},
    {ON, NULL, PMD SNCT SMWB "=16", NULL},
    {ON, NULL, PMD SNCT SMWB "=9" SMWB "=9", NULL},
    /* takeover */
    {TAKEOVER, PMD CMWB, PMD, "send 15 takeover, receive 15 takeover"},
    {TAKEOVER, NULL, PMD SNCT, "send 15 takeover, receive 15"},
    {TAKEOVER, NULL, PMD CNCT, "send 15, receive 15 takeover"},
    {TAKEOVER, NULL, PMD SNCT CNCT SMWB "=\"8\"" CMWB "=\"\\9\"", "send 9, receive 8"},
    {{.on = true, .receive_takeover = true}, PMD CNCT CMWB, PMD, "send 15, receive 15 takeover"},
    {{.on = true, .send_takeover = true}, PMD SNCT CMWB, PMD SNCT, "send 15 takeover, receive 15"},
    /* windows asked for */
    {BITS(12, 11), PMD SMWB "=11" CMWB "=12", PMD SMWB "=11", "send 12 takeover, receive 11 takeover"},
    {BITS(12, 11), NULL, PMD SMWB "=9" CMWB "=12", "send 12 takeover, receive 9 takeover"},
    {BITS(12, 11), NULL, PMD SMWB "=11" CMWB "=9", "send 9 takeover, receive 11 takeover"},
    {BITS(12, 11), NULL, PMD, NULL},
    {BITS(12, 11), NULL, PMD SMWB "=12", NULL},
    {BITS(12, 11), NULL, PMD SMWB "=11" CMWB "=13", NULL},
    {BITS(8, 8), PMD SMWB "=8" CMWB "=8", PMD SMWB "=8" CMWB "=8", "send 8 takeover, receive 8 takeover"},
    {BITS(8, 8), NULL, PMD SMWB "=8" CMWB "=9", NULL},
};

static void a_client_judges(void **unused)
{
    (void)unused;
    const char *offer = NULL;
    for (unsigned i = 0; i < sizeof judgements / sizeof judgements[0]; i++) {
        const struct judgement *j = &judgements[i];
        struct lines lines;
        struct wsr_deflate_agreed agreed;
        char text[WSR_DEFLATE_TEXT_MAX + 1], described[64];
        struct wsr_http_out out = {(uint8_t *)text, WSR_DEFLATE_TEXT_MAX, 0};
        offer = j->offer != NULL ? j->offer : offer;
        if (j->config.on) {
            wsr_deflate_write_offer(&out, &j->config);
            assert_string_equal(written(text, &out), offer);
        }
        memset(&agreed, 0xAA, sizeof agreed);
        int error = wsr_deflate_judge_answer(head_of(&lines, j->answer), &j->config, &agreed);
        if (error != (j->agreed != NULL ? WSR_OK : WSR_EANSWER))
            fail_msg("offer \"%s\", answer \"%s\": %s", offer, j->answer, wsr_error_name(error));
        describe(described, &agreed);
        if (error == WSR_OK && strcmp(described, j->agreed) != 0)
            fail_msg("offer \"%s\", answer \"%s\": %s", offer, j->answer, described);
    }
}

/* Whatever the two configs: our server's answer is a good one to our client, and what one sends is what the other receives. */
static void our_two_ends_always_agree(void **unused)
{
    (void)unused;
    static const uint8_t bits[] = {0, 8, 9, 12, 15};
    unsigned pairs = 0;
    for (unsigned i = 0; i < 4 * 25 * 4 * 25; i++) {
        wsr_deflate client = {.on = true}, server = {.on = true};
        client.send_takeover = (i & 1) != 0;
        client.receive_takeover = (i & 2) != 0;
        server.send_takeover = (i & 4) != 0;
        server.receive_takeover = (i & 8) != 0;
        client.send_window_bits = bits[i / 16 % 5];
        client.receive_window_bits = bits[i / 80 % 5];
        server.send_window_bits = bits[i / 400 % 5];
        server.receive_window_bits = bits[i / 2000 % 5];
        char offer[WSR_DEFLATE_TEXT_MAX + 1], answer[WSR_DEFLATE_TEXT_MAX + 1];
        struct wsr_http_out out = {(uint8_t *)offer, WSR_DEFLATE_TEXT_MAX, 0};
        struct lines lines;
        struct wsr_deflate_agreed of_server, of_client;
        wsr_deflate_write_offer(&out, &client);
        wsr_deflate_choose(head_of(&lines, written(offer, &out)), &server, &of_server);
        assert_true(of_server.on);
        out = (struct wsr_http_out){(uint8_t *)answer, WSR_DEFLATE_TEXT_MAX, 0};
        wsr_deflate_write_answer(&out, &of_server);
        if (wsr_deflate_judge_answer(head_of(&lines, written(answer, &out)), &client, &of_client) != WSR_OK)
            fail_msg("offer \"%s\", answer \"%s\"", offer, answer);
        assert_int_equal(of_server.send.window_bits, of_client.receive.window_bits);
        assert_int_equal(of_server.send.takeover, of_client.receive.takeover);
        assert_true(of_client.send.window_bits <= of_server.receive.window_bits);
        assert_true(!of_client.send.takeover || of_server.receive.takeover);
        assert_true(!of_server.receive.takeover || server.receive_takeover);
        assert_true(!of_server.receive.takeover || server.receive_window_bits == 0 ||
                    of_server.receive.window_bits <= server.receive_window_bits);
        assert_true(!of_server.send.takeover || server.send_takeover);
        pairs++;
    }
    assert_int_equal(pairs, 10000);
}

static void configs_out_of_range(void **unused)
{
    (void)unused;
    static const struct {
        wsr_deflate config;
        bool valid;
    } cases[] = {
        {{0}, true},
        {{.on = true, .level = 9, .send_window_bits = 8, .receive_window_bits = 15, .threshold_bytes = UINT32_MAX}, true},
        {{.on = true, .level = 10}, false},
        {{.on = true, .send_window_bits = 7}, false},
        {{.on = true, .send_window_bits = 16}, false},
        {{.on = true, .receive_window_bits = 7}, false},
        {{.on = true, .receive_window_bits = 16}, false},
        {{.receive_window_bits = 16}, false},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(wsr_deflate_config_valid(&cases[i].config), cases[i].valid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_chooses),
        cmocka_unit_test(a_client_judges),
        cmocka_unit_test(our_two_ends_always_agree),
        cmocka_unit_test(configs_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
