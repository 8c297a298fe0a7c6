/*
 * proto/haproxy.c - see haproxy.h. Strict: a header that is not exactly as the document has it is refused, for it decides who
 * somebody is.
 */
#include "proto/haproxy.h"

#include <string.h>

/* ---- version 1: one line of text ---- */

/* A decimal number without sign or leading zeros, up to max, that ends at `end`. */
static bool number(const uint8_t **p, const uint8_t *last, uint8_t end, uint32_t max, uint32_t *out)
{
    const uint8_t *at = *p;
    uint32_t value = 0;
    unsigned digits = 0;
    for (; at < last && *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (*at - '0');
        if (++digits > 5 || value > max)
            return false;
    }
    if (digits == 0 || (digits > 1 && **p == '0') || at == last || *at != end)
        return false;
    *p = at + 1;
    *out = value;
    return true;
}

static bool ipv4(const uint8_t **p, const uint8_t *last, uint8_t end, uint8_t out[4])
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t value;
        if (!number(p, last, i < 3 ? '.' : end, 255, &value))
            return false;
        out[i] = (uint8_t)value;
    }
    return true;
}

static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One to four hexadecimal digits. */
static bool group(const uint8_t **p, const uint8_t *last, uint8_t out[2])
{
    unsigned value = 0, digits = 0;
    for (; *p < last && digits < 5 && hex(**p) >= 0; ++*p, digits++)
        value = value << 4 | (unsigned)hex(**p);
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return digits >= 1 && digits <= 4;
}

/* Eight groups, or fewer with one "::" for those that are zero (RFC 4291 section 2.2). No dotted quad within: no proxy writes it. */
static bool ipv6(const uint8_t **p, const uint8_t *last, uint8_t end, uint8_t out[16])
{
    uint8_t groups[16];
    unsigned n = 0, before = 0; /* groups, and those of them before the "::" */
    bool gap = false;
    const uint8_t *at = *p;
    while (at < last && *at != end) {
        if (last - at >= 2 && at[0] == ':' && at[1] == ':') {
            if (gap || n == 8)
                return false;
            gap = true;
            before = n;
            at += 2;
        } else {
            /* a single colon stands between two groups and nowhere else */
            const bool follows = n > (gap ? before : 0u);
            if (n == 8 || (follows && *at++ != ':') || !group(&at, last, &groups[2 * n]))
                return false;
            n++;
        }
    }
    if (at == last || gap == (n == 8))
        return false;
    if (!gap)
        before = n;
    memset(out, 0, 16);
    memcpy(out, groups, 2 * before);
    memcpy(out + 16 - 2 * (n - before), groups + 2 * before, 2 * (n - before));
    *p = at + 1;
    return true;
}

static bool ports(const uint8_t **p, const uint8_t *last, struct wsr_haproxy *out)
{
    uint32_t source, destination;
    if (!number(p, last, ' ', 65535, &source) || !number(p, last, '\r', 65535, &destination))
        return false;
    out->source_port = (uint16_t)source;
    out->destination_port = (uint16_t)destination;
    return *p == last;
}

/* What stands behind "PROXY " up to and with the CR. */
static bool line(const uint8_t *p, const uint8_t *last, struct wsr_haproxy *out)
{
    if (last - p >= 8 && memcmp(p, "UNKNOWN", 7) == 0) /* "the receiver must ignore anything presented before the CRLF" */
        return p[7] == ' ' || p[7] == '\r';
    if (last - p < 5)
        return false;
    const bool is_six = memcmp(p, "TCP6 ", 5) == 0;
    if (!is_six && memcmp(p, "TCP4 ", 5) != 0)
        return false;
    p += 5;
    if (is_six ? !ipv6(&p, last, ' ', out->source) || !ipv6(&p, last, ' ', out->destination)
               : !ipv4(&p, last, ' ', out->source) || !ipv4(&p, last, ' ', out->destination))
        return false;
    out->family = is_six ? WSR_HAPROXY_IPV6 : WSR_HAPROXY_IPV4;
    return ports(&p, last, out);
}

static const uint8_t text_begins[6] = {'P', 'R', 'O', 'X', 'Y', ' '};

static int parse_text(const uint8_t *p, size_t len, struct wsr_haproxy *out)
{
    /* Section 2.1: a line of at most 107 bytes, CR LF with it. */
    const size_t most = len < WSR_HAPROXY_HEAD_MAX ? len : WSR_HAPROXY_HEAD_MAX;
    const uint8_t *lf = p;
    while (lf < p + most && *lf != '\n')
        lf++;
    if (lf == p + most)
        return most == WSR_HAPROXY_HEAD_MAX ? WSR_EHAPROXY : 0;
    if (lf[-1] != '\r' || !line(p + sizeof text_begins, lf, out))
        return WSR_EHAPROXY;
    return (int)(lf + 1 - p);
}

/* ---- version 2: binary ---- */

static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

static uint16_t two(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static int parse_binary(const uint8_t *p, size_t len, struct wsr_haproxy *out)
{
    enum { FIXED = 16, LOCAL = 0x20, PROXY = 0x21, TCP4 = 0x11, UDP4, TCP6 = 0x21, UDP6, UNIX_STREAM = 0x31, UNIX_DATAGRAM, UNSPEC = 0 };
    if (len < FIXED)
        return 0;
    const size_t behind = two(p + 14);
    if ((p[12] != LOCAL && p[12] != PROXY) || FIXED + behind > WSR_HAPROXY_BYTES_MAX)
        return WSR_EHAPROXY;
    size_t addresses = 0, each = 0;
    switch (p[13]) {
    case TCP4:
        addresses = 12;
        each = 4;
        break;
    case TCP6:
        addresses = 36;
        each = 16;
        break;
    case UNIX_STREAM: /* its paths are no address of ours */
        addresses = 216;
        break;
    case UNSPEC:
        break;
    default: /* datagrams, and what there is not */
        return WSR_EHAPROXY;
    }
    if (p[12] == LOCAL) /* "the receiver must use the real connection endpoints and discard the protocol block" */
        return (int)(FIXED + behind);
    if (behind < addresses)
        return WSR_EHAPROXY;
    if (each == 0)
        return (int)(FIXED + behind);
    if (len < FIXED + addresses)
        return 0;
    out->family = each == 4 ? WSR_HAPROXY_IPV4 : WSR_HAPROXY_IPV6;
    memcpy(out->source, p + FIXED, each);
    memcpy(out->destination, p + FIXED + each, each);
    out->source_port = two(p + FIXED + 2 * each);
    out->destination_port = two(p + FIXED + 2 * each + 2);
    return (int)(FIXED + behind);
}

int wsr_haproxy_parse(const uint8_t *p, size_t len, struct wsr_haproxy *out)
{
    memset(out, 0, sizeof *out);
    if (memcmp(p, text_begins, len < sizeof text_begins ? len : sizeof text_begins) == 0)
        return len < sizeof text_begins ? 0 : parse_text(p, len, out);
    if (memcmp(p, signature, len < sizeof signature ? len : sizeof signature) == 0)
        return len < sizeof signature ? 0 : parse_binary(p, len, out);
    return WSR_EHAPROXY;
}
