/*
 * tests/fuzz/fuzz_frame.c - the header codec: a good header encodes to the bytes it was decoded from, a part of it is no header
 * yet, and an error stays one whatever follows.
 */
#include <wsring/frame.h>

#include "fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wsr_frame_header header, again;
    uint8_t *copy = copy_of(data, size);
    int n = wsr_frame_header_decode((wsr_slice){copy, size}, &header);
    free(copy);
    if (n > 0) {
        uint8_t out[WSR_FRAME_HEADER_MAX];
        CHECK((size_t)n <= size && n == header.header_len && header.payload_len >> 63 == 0);
        CHECK(wsr_frame_header_encode(out, header.first, header.payload_len, header.masked ? header.masking_key : NULL) == (unsigned)n);
        CHECK(wsr_frame_header_size(header.payload_len, header.masked) == (unsigned)n);
        CHECK(memcmp(out, data, (size_t)n) == 0);
    }
    for (size_t part = 0; part < size && part < 15; part++) {
        copy = copy_of(data, part);
        int m = wsr_frame_header_decode((wsr_slice){copy, part}, &again);
        free(copy);
        CHECK(m == 0 || m == n);
        CHECK(m <= 0 || part >= (size_t)n);
    }
    return 0;
}
