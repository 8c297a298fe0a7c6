/*
 * tests/test_haproxy.c - the PROXY protocol's headers, taken and refused, whole and in every split; each buffer ends where its
 * bytes end, so that reading on shows under a sanitizer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "proto/haproxy.h"

/* Parses the first len bytes, out of memory of just that size. */
static int parse(const void *bytes, size_t len, struct wsr_haproxy *out)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    const int n = wsr_haproxy_parse(copy, len, out);
    free(copy);
    return n;
}

/* Nothing is known before all that matters is there, and the same then whatever follows. */
static int in_every_split(const void *bytes, size_t len, struct wsr_haproxy *out)
{
    const int whole = parse(bytes, len, out);
    for (size_t n = 0; n < len; n++) {
        struct wsr_haproxy part;
        const int early = parse(bytes, n, &part);
        if (early == 0)
            continue;
        assert_int_equal(early, whole);
        if (whole > 0)
            assert_memory_equal(&part, out, sizeof part);
    }
    return whole;
}

static int text(const char *line, struct wsr_haproxy *out)
{
    return in_every_split(line, strlen(line), out);
}

static void lines_are_taken(void **state)
{
    (void)state;
    static const struct {
        const char *line, *source, *destination;
        uint16_t source_port, destination_port;
    } rows[] = {
        {"PROXY TCP4 192.0.2.1 198.51.100.255 56324 443\r\n", "192.0.2.1", "198.51.100.255", 56324, 443},
        {"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", "0.0.0.0", "255.255.255.255", 0, 65535},
        {"PROXY TCP6 2001:db8::1 ::1 4124 443\r\n", "2001:db8::1", "::1", 4124, 443},
        {"PROXY TCP6 :: 1:: 1 2\r\n", "::", "1::", 1, 2},
        {"PROXY TCP6 1:2:3:4:5:6:7:8 a:B:c:D::7:8 1 2\r\n", "1:2:3:4:5:6:7:8", "a:b:c:d::7:8", 1, 2},
        {"PROXY TCP6 1:2:3:4:5:6:7:: ::2:3:4:5:6:7:8 1 2\r\n", "1:2:3:4:5:6:7:0", "0:2:3:4:5:6:7:8", 1, 2},
        {"PROXY TCP6 ffff:f...f:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", NULL, NULL, 0, 0},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, 65535},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wsr_haproxy header;
        const int n = text(rows[i].line, &header);
        if (rows[i].source == NULL) {
            assert_int_equal(n, WSR_EHAPROXY);
            continue;
        }
        assert_int_equal(n, strlen(rows[i].line));
        const bool six = strchr(rows[i].source, ':') != NULL;
        uint8_t address[16];
        assert_int_equal(header.family, six ? WSR_HAPROXY_IPV6 : WSR_HAPROXY_IPV4);
        assert_int_equal(inet_pton(six ? AF_INET6 : AF_INET, rows[i].source, address), 1);
        assert_memory_equal(header.source, address, six ? 16 : 4);
        assert_int_equal(inet_pton(six ? AF_INET6 : AF_INET, rows[i].destination, address), 1);
        assert_memory_equal(header.destination, address, six ? 16 : 4);
        assert_int_equal(header.source_port, rows[i].source_port);
        assert_int_equal(header.destination_port, rows[i].destination_port);
    }
}

static void unknown_is_the_connections_own(void **state)
{
    (void)state;
    struct wsr_haproxy header;
    assert_int_equal(text("PROXY UNKNOWN\r\n", &header), 15);
    assert_int_equal(header.family, WSR_HAPROXY_NONE);
    const char *worst = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_int_equal(strlen(worst), WSR_HAPROXY_HEAD_MAX);
    assert_int_equal(text(worst, &header), WSR_HAPROXY_HEAD_MAX);
}

static void lines_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "GET / HTTP/1.1\r\n", "PROXY\r\n", "PROXY \r\n", "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4  1 2\r\n", "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4.5 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n", "PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n", "PROXY TCP6 1:2:3:4:5:6:7:8:: ::1 1 2\r\n",
        "PROXY TCP6 1::2::3 ::1 1 2\r\n", "PROXY TCP6 :1 ::1 1 2\r\n", "PROXY TCP6 1: ::1 1 2\r\n", "PROXY TCP6 ::: ::1 1 2\r\n", "PROXY TCP6 12345:: ::1 1 2\r\n",
        "PROXY TCP6 g:: ::1 1 2\r\n", "PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n", "PROXY TCP6 1:2:3:4::5:6:7:8 ::1 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r \n",
        "PROXY UNKNOWNS\r\n", "PROXY UNKNOWN\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 999999\r\n",
        "PROXY UNKNOWN xffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wsr_haproxy header;
        if (text(rows[i], &header) != WSR_EHAPROXY)
            fail_msg("taken: %s", rows[i]);
    }
}

/* Version 2, put together: `behind` bytes are said to follow the first sixteen, `sent` of them do. */
static size_t binary(uint8_t *out, uint8_t command, uint8_t family, size_t behind, size_t sent)
{
    static const uint8_t begin[12] = "\r\n\r\n\0\r\nQUIT\n";
    memcpy(out, begin, 12);
    out[12] = command;
    out[13] = family;
    out[14] = (uint8_t)(behind >> 8);
    out[15] = (uint8_t)behind;
    for (size_t i = 0; i < sent; i++)
        out[16 + i] = (uint8_t)(i + 1);
    return 16 + sent;
}

static void binary_is_taken(void **state)
{
    (void)state;
    uint8_t bytes[512];
    struct wsr_haproxy header;
    assert_int_equal(in_every_split(bytes, binary(bytes, 0x21, 0x11, 12, 12), &header), 28);
    assert_int_equal(header.family, WSR_HAPROXY_IPV4);
    assert_memory_equal(header.source, "\1\2\3\4", 4);
    assert_memory_equal(header.destination, "\5\6\7\10", 4);
    assert_int_equal(header.source_port, 0x090a);
    assert_int_equal(header.destination_port, 0x0b0c);

    assert_int_equal(in_every_split(bytes, binary(bytes, 0x21, 0x21, 36, 36), &header), 52);
    assert_int_equal(header.family, WSR_HAPROXY_IPV6);
    assert_int_equal(header.source[15], 16);
    assert_int_equal(header.destination[0], 17);
    assert_int_equal(header.destination_port, 0x2324);

    /* TLVs behind the addresses: the length counts them, and nobody waits for them */
    assert_int_equal(in_every_split(bytes, binary(bytes, 0x21, 0x11, 12 + 3000, 12 + 100), &header), 16 + 12 + 3000);
    assert_int_equal(in_every_split(bytes, binary(bytes, 0x21, 0x11, WSR_HAPROXY_BYTES_MAX - 16, 12), &header), WSR_HAPROXY_BYTES_MAX);

    /* the balancer's own (a health check), and what is no address of ours */
    assert_int_equal(in_every_split(bytes, binary(bytes, 0x20, 0x00, 0, 0), &header), 16);
    assert_int_equal(header.family, WSR_HAPROXY_NONE);
    assert_int_equal(in_every_split(bytes, binary(bytes, 0x20, 0x11, 5, 5), &header), 21);
    assert_int_equal(header.family, WSR_HAPROXY_NONE);
    assert_int_equal(in_every_split(bytes, binary(bytes, 0x21, 0x00, 4, 4), &header), 20);
    assert_int_equal(in_every_split(bytes, binary(bytes, 0x21, 0x31, 216, 216), &header), 232);
    assert_int_equal(header.family, WSR_HAPROXY_NONE);
}

static void binary_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[512];
    struct wsr_haproxy header;
    static const uint8_t rows[][3] = {
        {0x11, 0x11, 12}, {0x31, 0x11, 12}, {0x22, 0x11, 12}, {0x21, 0x12, 12}, {0x21, 0x22, 36}, {0x21, 0x41, 12},
        {0x21, 0x13, 12}, {0x21, 0x32, 216}, {0x21, 0x11, 11}, {0x21, 0x21, 35}, {0x21, 0x31, 215}, {0x21, 0x01, 12},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(in_every_split(bytes, binary(bytes, rows[i][0], rows[i][1], rows[i][2], rows[i][2]), &header), WSR_EHAPROXY);
    assert_int_equal(parse(bytes, binary(bytes, 0x21, 0x11, WSR_HAPROXY_BYTES_MAX - 15, 12), &header), WSR_EHAPROXY);
    for (unsigned i = 0; i < 12; i++) { /* one wrong byte in what it begins with */
        const size_t n = binary(bytes, 0x21, 0x11, 12, 12);
        bytes[i] ^= 1;
        assert_int_equal(in_every_split(bytes, n, &header), WSR_EHAPROXY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_taken), cmocka_unit_test(unknown_is_the_connections_own), cmocka_unit_test(lines_are_refused),
        cmocka_unit_test(binary_is_taken), cmocka_unit_test(binary_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
