/*
 * tests/fuzz/handshake.c - see handshake.h.
 */
#include "fuzz/handshake.h"

static void run(struct talk *talk, const wsr_endpoint_config *config, const uint8_t *p, size_t len, size_t piece)
{
    CHECK(talk_open_only(talk, config) == WSR_OK);
    (void)talk_flush(talk);
    talk->sent.len = 0;
    talk_feed_pieces(talk, p, len, piece);
    talk_eof(talk, 0);
    talk_tick(talk);
    CHECK(talk->is_closed);
    CHECK(talk->is_open || talk->record.code == 1006);
    CHECK(talk->is_open == (strncmp(vectors_string(&talk->seen), "open\n", 5) == 0));
    CHECK(!talk->is_open || talk->record.http_status == 0);
}

void handshake_check(wsr_role role, const uint8_t *data, size_t size, void (*check)(const struct talk *talk))
{
    struct input in = {data, size};
    uint8_t options = input_byte(&in);
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.subprotocols = "chat, v2";
    if ((options & 128) != 0)
        config.limits = (wsr_limits){.header_bytes_max = 200, .headers_max = 6};
    if ((options & 64) != 0)
        config.deflate = (wsr_deflate){.on = true, .send_takeover = (options & 32) != 0, .receive_takeover = (options & 32) != 0};
    struct talk whole = {.role = role}, pieces = {.role = role, .cap = 1};
    run(&whole, &config, in.p, in.len, SIZE_MAX);
    run(&pieces, &config, in.p, in.len, 1 + (options & 31));
    CHECK(whole.is_open == pieces.is_open && whole.record.cause == pieces.record.cause);
    CHECK(whole.seen.len == pieces.seen.len && memcmp(whole.seen.ptr, pieces.seen.ptr, whole.seen.len) == 0);
    CHECK(whole.sent.len == pieces.sent.len && (whole.sent.len == 0 || memcmp(whole.sent.ptr, pieces.sent.ptr, whole.sent.len) == 0));
    check(&whole);
    CHECK(talk_free(&whole));
    CHECK(talk_free(&pieces));
}
