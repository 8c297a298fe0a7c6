/*
 * proto/key.c - see key.h. RFC 6455 sections 4.1 and 4.2.2, RFC 4648 section 4.
 */
#include "proto/key.h"

#include <string.h>

static const char base64_digits[64 + 1] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void wsr_base64(const uint8_t *in, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i += 3, out += 4) {
        uint32_t group = (uint32_t)in[i] << 16;
        if (i + 1 < n)
            group |= (uint32_t)in[i + 1] << 8;
        if (i + 2 < n)
            group |= in[i + 2];
        out[0] = (uint8_t)base64_digits[group >> 18];
        out[1] = (uint8_t)base64_digits[group >> 12 & 63];
        out[2] = i + 1 < n ? (uint8_t)base64_digits[group >> 6 & 63] : '=';
        out[3] = i + 2 < n ? (uint8_t)base64_digits[group & 63] : '=';
    }
}

static int base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

void wsr_key_of(const uint8_t nonce[16], uint8_t key[WSR_KEY_LEN])
{
    wsr_base64(nonce, 16, key);
}

int wsr_key_accept(wsr_sha1_fn *sha1, const uint8_t key[WSR_KEY_LEN], uint8_t accept[WSR_ACCEPT_LEN])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t text[WSR_KEY_LEN + sizeof guid - 1];
    memcpy(text, key, WSR_KEY_LEN);
    memcpy(text + WSR_KEY_LEN, guid, sizeof guid - 1);

    uint8_t digest[20];
    int error = sha1(text, sizeof text, digest);
    if (error == 0)
        wsr_base64(digest, sizeof digest, accept);
    return error;
}

/*
 * "a base64-encoded value that, when decoded, is 16 bytes in length": 22 digits and "==", and since 128 bits fill 21
 * digits and two bits of the next, the other four of that digit are zero.
 */
bool wsr_key_valid(wsr_slice key)
{
    if (key.len != WSR_KEY_LEN || key.ptr[22] != '=' || key.ptr[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        if (base64_value(key.ptr[i]) < 0)
            return false;
    }
    return (base64_value(key.ptr[21]) & 15) == 0;
}
