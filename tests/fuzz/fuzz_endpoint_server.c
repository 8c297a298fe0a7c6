/*
 * tests/fuzz/fuzz_endpoint_server.c - a server's endpoint behind its handshake: see drive.h.
 */
#include "fuzz/check.h"
#include "fuzz/drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    drive_endpoint(WSR_SERVER, data, size);
    return 0;
}
