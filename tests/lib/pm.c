/*
 * tests/lib/pm.c - see pm.h.
 */
#include "lib/pm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include <wsring/frame.h>

wsr_role pm_other(wsr_role role)
{
    return role == WSR_SERVER ? WSR_CLIENT : WSR_SERVER;
}

const char *pm_said(bool takeover)
{
    return takeover ? "permessage-deflate" : "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
}

wsr_endpoint_config pm_config_of(bool takeover)
{
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.deflate = (wsr_deflate){.on = true, .send_takeover = takeover, .receive_takeover = takeover};
    return config;
}

void pm_open_with(struct talk *talk, wsr_role role, const wsr_endpoint_config *config)
{
    *talk = (struct talk){.role = role, .now_ns = 1, .extensions = pm_said(config->deflate.receive_takeover)};
    assert_int_equal(talk_open(talk, config), WSR_OK);
    assert_true(talk->is_open);
    talk_tick(talk); /* what the handshake's events pointed to goes back */
    talk->seen.len = 0;
}

void pm_open_ok(struct talk *talk, wsr_role role, bool takeover)
{
    wsr_endpoint_config config = pm_config_of(takeover);
    pm_open_with(talk, role, &config);
}

void pm_free_ok(struct talk *talk)
{
    assert_true(talk_free(talk));
}

void pm_feed_frame(struct talk *talk, uint8_t first, const void *payload, size_t len)
{
    struct vectors_bytes frame = {NULL, 0, 0};
    talk_frame(&frame, pm_other(talk->role), first, payload, len);
    talk_feed(talk, frame.ptr, frame.len);
    vectors_bytes_free(&frame);
}

void pm_expect_seen(struct talk *talk, const char *lines)
{
    assert_string_equal(talk->seen.len > 0 ? vectors_string(&talk->seen) : "", lines);
    talk->seen.len = 0;
}

void pm_expect_failed(struct talk *talk, int cause, uint16_t code)
{
    talk_eof(talk, 0);
    assert_true(talk->is_closed);
    assert_int_equal(talk->record.cause, cause);
    assert_int_equal(talk->record.code_sent, code);
}

uint64_t pm_random_state = 1;

uint32_t pm_next_random(void)
{
    pm_random_state = pm_random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(pm_random_state >> 33);
}

void pm_fill_words(uint8_t *p, size_t len)
{
    static const char *const words[] = {"bid", "ask", "trade", "{\"price\":", "\"size\":", "BTCUSDT", "0.00100000", ",", "}", "last "};
    for (size_t at = 0; at < len;) {
        for (const char *word = words[pm_next_random() % 10]; *word != '\0' && at < len; word++)
            p[at++] = (uint8_t)*word;
    }
}

void pm_fill_noise(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)pm_next_random();
}

void pm_put_message(struct vectors_bytes *out, struct deflated *deflated, wsr_role from, uint8_t opcode, const uint8_t *p, size_t len,
                    size_t fragment_max)
{
    struct vectors_bytes payload = {NULL, 0, 0};
    uint8_t first = (uint8_t)(WSR_RSV1 | opcode);
    size_t at = 0, take;
    do {
        take = fragment_max < len - at ? 1 + pm_next_random() % fragment_max : len - at;
        bool last = at + take == len;
        payload.len = 0;
        deflated_put(deflated, &payload, p + at, take, last);
        talk_frame(out, from, (uint8_t)(first | (last ? WSR_FIN : 0)), payload.ptr, payload.len);
        first = WSR_CONTINUATION;
        at += take;
    } while (at < len);
    vectors_bytes_free(&payload);
}

void pm_put_line(struct vectors_bytes *out, const char *kind, const uint8_t *p, size_t len)
{
    vectors_append(out, kind, strlen(kind));
    talk_payload(out, p, len);
    vectors_append(out, "\n", 1);
}

int pm_send_bytes(struct talk *talk, wsr_opcode opcode, const uint8_t *p, size_t len)
{
    return wsr_endpoint_send(talk->ep, opcode, (wsr_slice){p, len});
}
