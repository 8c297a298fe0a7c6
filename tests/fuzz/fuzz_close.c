/*
 * tests/fuzz/fuzz_close.c - the payload of a Close: judged as RFC 6455 sections 5.5.1 and 7.4 say, and read back as it was written.
 */
#include "fuzz/check.h"
#include "fuzz/utf8.h"
#include "proto/close.h"

static int expected(const uint8_t *p, size_t len)
{
    if (len > 125)
        return WSR_ECONTROL_LENGTH;
    if (len == 1)
        return WSR_ECLOSE_LENGTH;
    if (len == 0)
        return 0;
    unsigned code = p[0] * 256u + p[1];
    if (!((code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999)))
        return WSR_ECLOSE_CODE;
    return utf8_is_valid(p + 2, len - 2) ? 0 : WSR_ECLOSE_REASON;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = copy_of(data, size);
    uint16_t code = 7;
    wsr_slice reason = {NULL, 7};
    int error = wsr_close_payload_parse((wsr_slice){copy, size}, WSR_CLIENT, &code, &reason);
    CHECK(error == expected(data, size));
    if (error < 0) {
        CHECK(code == 7 && reason.len == 7); /* "both are left alone" */
    } else {
        uint8_t out[125];
        CHECK(reason.len == (size < 2 ? 0 : size - 2));
        if (wsr_close_payload_check(code, reason, WSR_CLIENT) == 0) {
            CHECK(wsr_close_payload_encode(out, code, reason) == size);
            CHECK(size == 0 || memcmp(out, data, size) == 0);
        }
    }
    free(copy);
    return 0;
}
