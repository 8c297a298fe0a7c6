/*
 * tests/fuzz/fuzz_response.c - a client's handshake: it never sends anything more but a frame, and that only if it is open.
 */
#include "fuzz/drive.h"
#include "fuzz/handshake.h"

static void check(const struct talk *talk)
{
    CHECK(talk->is_open || talk->sent.len == 0);
    (void)drive_check_sent(WSR_CLIENT, false, talk->sent.ptr, talk->sent.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    handshake_check(WSR_CLIENT, data, size, check);
    return 0;
}
