/*
 * tests/fuzz/fuzz_request.c - a server's handshake: an answer that is HTTP, once, or none; 101 exactly if it is open.
 */
#include "fuzz/handshake.h"

static void check(const struct talk *talk)
{
    const char *sent = vectors_string(&talk->sent);
    if (talk->is_open)
        CHECK(strncmp(sent, "HTTP/1.1 101 ", 13) == 0 && strstr(sent, "\r\n\r\n") != NULL);
    else if (talk->sent.len > 0)
        CHECK(strncmp(sent, "HTTP/1.1 ", 9) == 0 && (sent[9] == '4' || sent[9] == '5') && strstr(sent, "\r\n\r\n") != NULL);
    CHECK(talk->is_open || (talk->sent.len > 0) == (talk->record.http_status != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    handshake_check(WSR_SERVER, data, size, check);
    return 0;
}
