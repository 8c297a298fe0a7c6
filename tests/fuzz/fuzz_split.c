/*
 * tests/fuzz/fuzz_split.c - split-invariance: the same bytes behind a handshake, cut otherwise, with another room for events,
 * other kernels, and messages delivered in chunks, give the same messages, the same bytes and the same record. With
 * permessage-deflate or without.
 */
#include "fuzz/check.h"
#include "fuzz/drive.h"

static void run(struct talk *talk, wsr_role role, const wsr_endpoint_config *config, const uint8_t *p, size_t len, const uint8_t *cuts)
{
    CHECK(talk_open(talk, config) == WSR_OK);
    CHECK(talk->role == role && talk->is_open);
    for (size_t at = 0, i = 0; at < len; i++) {
        size_t take = cuts == NULL ? len : 1 + (size_t)cuts[i % 4] % 37;
        if (take > len - at)
            take = len - at;
        talk_feed(talk, p + at, take);
        at += take;
    }
    talk_eof(talk, 0);
    talk_tick(talk);
    CHECK(talk->is_closed);
    (void)drive_check_sent(role, talk->extensions != NULL, talk->sent.ptr, talk->sent.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t options = input_byte(&in);
    uint8_t cuts[4];
    for (unsigned i = 0; i < 4; i++)
        cuts[i] = input_byte(&in);
    wsr_role role = (options & 1) != 0 ? WSR_CLIENT : WSR_SERVER;
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    if ((options & 2) != 0)
        config.limits = (wsr_limits){.message_bytes_max = 100, .empty_fragments_max = 2, .control_frames_max = 3};
    struct talk whole = {.role = role, .now_ns = 1}, other = {.role = role, .now_ns = 1, .cap = (options & 4) != 0 ? 1 : 3};
    if ((options & 32) != 0) {
        drive_deflate(&whole, &config, (options & 64) != 0);
        drive_deflate(&other, &config, (options & 64) != 0);
    }
    run(&whole, role, &config, in.p, in.len, NULL);
    config.kernels = (options & 8) != 0 ? "scalar" : NULL;
    config.limits.whole_bytes_max = (options & 16) != 0 ? 1 + (cuts[0] & 7u) : 0;
    run(&other, role, &config, in.p, in.len, cuts);
    CHECK(whole.seen.len == other.seen.len && memcmp(whole.seen.ptr, other.seen.ptr, whole.seen.len) == 0);
    CHECK(whole.sent.len == other.sent.len && (whole.sent.len == 0 || memcmp(whole.sent.ptr, other.sent.ptr, whole.sent.len) == 0));
    CHECK(talk_free(&whole));
    CHECK(talk_free(&other));
    return 0;
}
