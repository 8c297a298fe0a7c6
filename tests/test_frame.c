/*
 * tests/test_frame.c - the frame header codec at every two first bytes, every boundary of length and every truncation; and
 * the frame_class table against RFC 6455 sections 5.2, 5.4, 5.5 and RFC 7692 section 6, written out once more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"

static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};

/* Decodes a copy that ends exactly where it ends, so that a sanitizer sees a byte read behind it. */
static int decode(const uint8_t *p, size_t len, wsr_frame_header *out)
{
    uint8_t *copy = malloc(len + (len == 0));
    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, p, len);
    int n = wsr_frame_header_decode((wsr_slice){copy, len}, out);
    free(copy);
    return n;
}

/* What a length field means, written independently of the code: bytes in front of the key, or an error. */
static int expected_length(const uint8_t *p, uint64_t *len)
{
    uint64_t value = 0;
    switch (p[1] & 0x7F) {
    case 126:
        *len = (uint64_t)p[2] * 256 + p[3];
        return *len <= 125 ? WSR_ELENGTH_FORM : 4;
    case 127:
        for (unsigned i = 2; i < 10; i++)
            value = value * 256 + p[i];
        *len = value;
        if (p[2] >= 128)
            return WSR_ELENGTH_TOP_BIT;
        return value <= 0xFFFF ? WSR_ELENGTH_FORM : 10;
    default:
        *len = p[1] % 128;
        return 2;
    }
}

/* Decodes the 14 bytes at p cut at every length, and compares. */
static void check_header(const uint8_t *p)
{
    uint64_t len;
    int fixed = expected_length(p, &len);
    unsigned field = (p[1] & 0x7F) == 126 ? 4 : (p[1] & 0x7F) == 127 ? 10 : 2;
    bool masked = p[1] >= 128;
    unsigned whole = field + (masked ? 4 : 0);
    for (unsigned have = 0; have <= 14; have++) {
        wsr_frame_header header;
        memset(&header, 0x5A, sizeof header);
        const wsr_frame_header untouched = header;
        int n = decode(p, have, &header);
        if (fixed < 0 && have >= field) {
            assert_int_equal(n, fixed); /* whether the key is there or not */
        } else if (have < whole) {
            assert_int_equal(n, 0);
        } else {
            assert_int_equal(n, whole);
            assert_int_equal(header.header_len, whole);
            assert_int_equal(header.first, p[0]);
            assert_int_equal(header.masked, masked);
            assert_true(header.payload_len == len);
            static const uint8_t zeros[4];
            assert_memory_equal(header.masking_key, masked ? p + field : zeros, 4);
        }
        if (n <= 0) /* "*out is written only when the return value is positive" */
            assert_memory_equal(&header, &untouched, sizeof header);
    }
}

static void all_65536_beginnings(void **unused)
{
    (void)unused;
    /* Length fields that are out of form, at the least and greatest of their form, and beyond. */
    static const uint8_t fields[][8] = {
        {0},
        {0, 125, 0, 0, 0, 0, 0, 0},
        {0, 126, 0, 0, 0, 0, 0, 0},
        {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},
        {0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},
        {0x80, 0, 0, 0, 0, 0, 0, 0},
        {0, 0, 0, 0, 0, 0, 0xFF, 0xFF},
        {0, 0, 0, 0, 0, 1, 0, 0},
    };
    for (unsigned two = 0; two < 65536; two++) {
        for (unsigned i = 0; i < sizeof fields / sizeof fields[0]; i++) {
            uint8_t p[14] = {(uint8_t)(two >> 8), (uint8_t)two};
            memcpy(p + 2, fields[i], 8);
            memcpy(p + 10, key, 4);
            if ((two & 0x7F) == 126)
                memcpy(p + 4, key, 4);
            if ((two & 0x7F) < 126) {
                memcpy(p + 2, key, 4);
                i = 1000; /* the field is not read: once is enough */
            }
            check_header(p);
        }
    }
}

static void encoding_is_shortest_and_decodes_to_itself(void **unused)
{
    (void)unused;
    static const uint64_t lengths[] = {0, 1, 124, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536, 65537, UINT32_MAX, (uint64_t)UINT32_MAX + 1,
                                       (UINT64_C(1) << 56) - 1, (UINT64_C(1) << 63) - 2, (UINT64_C(1) << 63) - 1};
    for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint64_t len = lengths[i];
        unsigned expected = len <= 125 ? 2 : len <= 65535 ? 4 : 10;
        for (unsigned first = 0; first < 256; first++) {
            for (unsigned masked = 0; masked < 2; masked++) {
                uint8_t out[WSR_FRAME_HEADER_MAX + 1];
                memset(out, 0xEE, sizeof out);
                unsigned n = wsr_frame_header_encode(out, (uint8_t)first, len, masked != 0 ? key : NULL);
                assert_int_equal(n, expected + 4 * masked);
                assert_int_equal(n, wsr_frame_header_size(len, masked != 0));
                assert_int_equal(out[n], 0xEE); /* nothing behind it was written */
                wsr_frame_header header;
                assert_int_equal(decode(out, n, &header), n);
                assert_true(header.payload_len == len);
                assert_int_equal(header.first, first);
                assert_int_equal(header.masked, masked);
                if (masked != 0)
                    assert_memory_equal(header.masking_key, key, 4);
                assert_int_equal(decode(out, n - 1, &header), 0);
            }
        }
    }
}

/* The rule in words, a condition at a time. */
static unsigned expected_class(bool deflate, bool open, unsigned byte)
{
    bool fin = byte >= 128, rsv1 = (byte & 64) != 0, rsv2 = (byte & 32) != 0, rsv3 = (byte & 16) != 0;
    unsigned opcode = byte & 15;
    bool control = opcode >= 8;
    bool starts = opcode == 1 || opcode == 2;
    /* RSV2 and RSV3 have no meaning. RSV1 has one on the first frame of a message (RFC 7692 section 6), if negotiated. */
    if (rsv2 || rsv3)
        return WSR_CLASS_RSV;
    if (rsv1 && !deflate)
        return WSR_CLASS_RSV;
    if (rsv1 && (control || opcode == 0))
        return WSR_CLASS_RSV;
    if (opcode != 0 && opcode != 1 && opcode != 2 && opcode != 8 && opcode != 9 && opcode != 10)
        return WSR_CLASS_OPCODE;
    if (control)
        return fin ? WSR_CLASS_CONTROL : WSR_CLASS_CONTROL_FRAGMENTED;
    if (!starts && !open)
        return WSR_CLASS_CONTINUATION;
    if (starts && open)
        return WSR_CLASS_INTERLEAVED;
    if (!starts)
        return fin ? WSR_CLASS_LAST : WSR_CLASS_MIDDLE;
    if (rsv1)
        return WSR_CLASS_DEFLATED;
    return fin ? WSR_CLASS_WHOLE : WSR_CLASS_FIRST;
}

static void the_class_table_is_the_rule(void **unused)
{
    (void)unused;
    unsigned count[WSR_CLASS_INTERLEAVED + 1] = {0};
    for (unsigned deflate = 0; deflate < 2; deflate++) {
        for (unsigned open = 0; open < 2; open++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                unsigned got = wsr_frame_class[deflate][open][byte];
                assert_int_equal(got, expected_class(deflate != 0, open != 0, byte));
                count[got]++;
            }
        }
    }
    /* Few bytes are good: 2 whole, 2 first, 1 middle, 1 last, 3 control in each of their tables; 4 deflated. */
    assert_int_equal(count[WSR_CLASS_WHOLE], 2 * 2);
    assert_int_equal(count[WSR_CLASS_FIRST], 2 * 2);
    assert_int_equal(count[WSR_CLASS_MIDDLE], 2 * 1);
    assert_int_equal(count[WSR_CLASS_LAST], 2 * 1);
    assert_int_equal(count[WSR_CLASS_DEFLATED], 4);
    assert_int_equal(count[WSR_CLASS_CONTROL], 4 * 3);
}

static void each_error_class_has_its_error(void **unused)
{
    (void)unused;
    static const int errors[] = {WSR_ERSV, WSR_EOPCODE, WSR_ECONTROL_FRAGMENTED, WSR_ECONTINUATION, WSR_EINTERLEAVED};
    for (unsigned i = 0; i < WSR_CLASS_RSV; i++)
        assert_int_equal(wsr_frame_class_error(i), WSR_OK);
    for (unsigned i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        assert_int_equal(wsr_frame_class_error(WSR_CLASS_RSV + i), errors[i]);
        assert_int_equal(wsr_error_close_code(errors[i]), 1002);
    }
    assert_int_equal(wsr_frame_class_error(WSR_CLASS_INTERLEAVED + 1), WSR_OK);
}

static void opcodes_have_names(void **unused)
{
    (void)unused;
    static const char *const names[16] = {[0] = "continuation", [1] = "text", [2] = "binary", [8] = "close", [9] = "ping", [10] = "pong"};
    for (unsigned i = 0; i < 16; i++)
        assert_string_equal(wsr_opcode_name(i), names[i] != NULL ? names[i] : "reserved");
    assert_string_equal(wsr_opcode_name(1000), "reserved");
}

/* RFC 6455 section 5.7, byte for byte. */
static void the_examples_of_the_rfc(void **unused)
{
    (void)unused;
    static const struct {
        uint8_t bytes[14];
        int header_len;
        uint64_t payload_len;
        uint8_t first;
        bool masked;
    } examples[] = {
        {{0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}, 2, 5, 0x81, false},
        {{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}, 6, 5, 0x81, true},
        {{0x01, 0x03, 0x48, 0x65, 0x6c}, 2, 3, 0x01, false},
        {{0x80, 0x02, 0x6c, 0x6f}, 2, 2, 0x80, false},
        {{0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d}, 6, 5, 0x8a, true},
        {{0x82, 0x7E, 0x01, 0x00}, 4, 256, 0x82, false},
        {{0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0}, 10, 65536, 0x82, false},
    };
    for (unsigned i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        wsr_frame_header header;
        assert_int_equal(decode(examples[i].bytes, 14, &header), examples[i].header_len);
        assert_true(header.payload_len == examples[i].payload_len);
        assert_int_equal(header.first, examples[i].first);
        assert_int_equal(header.masked, examples[i].masked);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_65536_beginnings),
        cmocka_unit_test(encoding_is_shortest_and_decodes_to_itself),
        cmocka_unit_test(the_class_table_is_the_rule),
        cmocka_unit_test(each_error_class_has_its_error),
        cmocka_unit_test(opcodes_have_names),
        cmocka_unit_test(the_examples_of_the_rfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
