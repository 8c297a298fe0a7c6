/*
 * tests/test_key.c - handshake keys and accept values (RFC 6455 sections 1.3, 4.1 and 4.2.2), checked against OpenSSL.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <string.h>

#include "proto/key.h"
#include "tls/crypto.h"

static void the_example_of_the_rfc(void **unused)
{
    (void)unused;
    uint8_t key[WSR_KEY_LEN], accept[WSR_ACCEPT_LEN];
    wsr_key_of((const uint8_t *)"the sample nonce", key);
    assert_memory_equal(key, "dGhlIHNhbXBsZSBub25jZQ==", WSR_KEY_LEN);
    assert_int_equal(wsr_key_accept(wsr_crypto_sha1, key, accept), 0);
    assert_memory_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", WSR_ACCEPT_LEN);
}

static int broken(const uint8_t *in, size_t len, uint8_t out[20])
{
    (void)in;
    (void)len;
    (void)out;
    return -7;
}

static void without_sha1_there_is_no_value(void **unused)
{
    (void)unused;
    uint8_t key[WSR_KEY_LEN] = {0}, accept[WSR_ACCEPT_LEN];
    memset(accept, '.', sizeof accept);
    assert_int_equal(wsr_key_accept(broken, key, accept), -7);
    assert_int_equal(accept[0], '.');
}

/* Every value of every byte, so each digit of base64 in each place it can have. */
static void keys_are_base64(void **unused)
{
    (void)unused;
    for (unsigned place = 0; place < 16; place++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t nonce[16] = {0}, key[WSR_KEY_LEN], wanted[WSR_KEY_LEN + 1];
            nonce[place] = (uint8_t)value;
            wsr_key_of(nonce, key);
            assert_int_equal(EVP_EncodeBlock(wanted, nonce, 16), WSR_KEY_LEN);
            assert_memory_equal(key, wanted, WSR_KEY_LEN);
            assert_true(wsr_key_valid((wsr_slice){key, WSR_KEY_LEN}));
        }
    }
}

/* A text is a key if and only if decoding and encoding it again gives it back: every byte in every place. */
static void a_key_is_canonical(void **unused)
{
    (void)unused;
    unsigned good = 0;
    for (unsigned place = 0; place < WSR_KEY_LEN; place++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t key[WSR_KEY_LEN + 1] = "dGhlIHNhbXBsZSBub25jZQ==", decoded[18], again[WSR_KEY_LEN + 1];
            key[place] = (uint8_t)value;
            /* OpenSSL passes over blanks at the ends, and takes '=' anywhere for a digit of 0. */
            bool wanted = EVP_DecodeBlock(decoded, key, WSR_KEY_LEN) == 18;
            if (wanted)
                (void)EVP_EncodeBlock(again, decoded, 16);
            wanted = wanted && memcmp(again, key, WSR_KEY_LEN) == 0;
            assert_int_equal(wsr_key_valid((wsr_slice){key, WSR_KEY_LEN}), wanted);
            good += wanted;
        }
    }
    assert_int_equal(good, 21 * 64 + 4 + 2);
    for (size_t len = 0; len <= 32; len++) {
        static const uint8_t text[] = "AAAAAAAAAAAAAAAAAAAAAA==========";
        assert_int_equal(wsr_key_valid((wsr_slice){text, len}), len == WSR_KEY_LEN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_rfc),
        cmocka_unit_test(without_sha1_there_is_no_value),
        cmocka_unit_test(keys_are_base64),
        cmocka_unit_test(a_key_is_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
