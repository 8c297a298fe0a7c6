/*
 * proto/frame.c - frame headers to bytes and back, and the table of what a first byte may be (RFC 6455 section 5.2).
 */
#include "proto/frame.h"

#include "base/bytes.h"

/*
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-------+-+-------------+-------------------------------+
 * |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
 * |I|S|S|S|  (4)  |A|     (7)     |             (16/64)           |
 * |N|V|V|V|       |S|             |   (if payload len==126/127)   |
 * | |1|2|3|       |K|             |                               |
 * +-+-+-+-+-------+-+-------------+ - - - - - - - - - - - - - - - +
 */

/* The length field and the bytes it takes. 0: not all there; negative: an error. */
static int decode_length(wsr_slice in, uint64_t *len)
{
    unsigned short_len = in.ptr[1] & 0x7Fu;
    if (short_len < 126) {
        *len = short_len;
        return 2;
    }
    if (short_len == 126) {
        if (in.len < 4)
            return 0;
        *len = wsr_load_be16(in.ptr + 2);
        /* "the minimal number of bytes MUST be used to encode the length" */
        return *len < 126 ? WSR_ELENGTH_FORM : 4;
    }
    if (in.len < 10)
        return 0;
    *len = wsr_load_be64(in.ptr + 2);
    /* "the most significant bit MUST be 0" */
    if (*len >> 63 != 0)
        return WSR_ELENGTH_TOP_BIT;
    return *len < 65536 ? WSR_ELENGTH_FORM : 10;
}

int wsr_frame_header_decode(wsr_slice in, wsr_frame_header *out)
{
    if (in.len < 2)
        return 0;
    uint64_t len = 0;
    int n = decode_length(in, &len);
    if (n <= 0)
        return n;
    bool masked = (in.ptr[1] & 0x80u) != 0;
    if (masked && in.len < (size_t)n + 4)
        return 0;
    out->first = in.ptr[0];
    out->masked = masked;
    out->payload_len = len;
    memset(out->masking_key, 0, sizeof out->masking_key);
    if (masked) {
        memcpy(out->masking_key, in.ptr + n, 4);
        n += 4;
    }
    out->header_len = (uint8_t)n;
    return n;
}

unsigned wsr_frame_header_size(uint64_t payload_len, bool masked)
{
    unsigned n = payload_len < 126 ? 2 : payload_len < 65536 ? 4 : 10;
    return masked ? n + 4 : n;
}

unsigned wsr_frame_header_encode(uint8_t *out, uint8_t first, uint64_t payload_len, const uint8_t *masking_key)
{
    const unsigned n = wsr_frame_header_plain(out, first, payload_len);
    if (masking_key == NULL)
        return n;
    out[1] |= 0x80;
    memcpy(out + n, masking_key, 4);
    return n + 4;
}

const char *wsr_opcode_name(unsigned opcode)
{
    switch (opcode) {
    case WSR_CONTINUATION:
        return "continuation";
    case WSR_TEXT:
        return "text";
    case WSR_BINARY:
        return "binary";
    case WSR_CLOSE:
        return "close";
    case WSR_PING:
        return "ping";
    case WSR_PONG:
        return "pong";
    default:
        return "reserved";
    }
}

/*
 * The table is spelled out by the preprocessor from one rule, a byte at a time, so that the rule can be read:
 *   RSV2, RSV3, or RSV1 without deflate, or on a continuation or control frame -> RSV
 *   opcodes 3-7 and 11-15 -> OPCODE
 *   control without FIN -> CONTROL_FRAGMENTED
 *   continuation with no message open -> CONTINUATION; text or binary with one open -> INTERLEAVED
 */
#define OP(b) ((b) & 0x0F)
#define RSV_BAD(d, b) (((b) & 0x30) != 0 || (((b) & 0x40) != 0 && (!(d) || OP(b) == 0 || OP(b) >= 8)))
#define CLASS(d, o, b)                                                                                                                     \
    (RSV_BAD(d, b)                                ? WSR_CLASS_RSV                                                                          \
     : (OP(b) >= 3 && OP(b) <= 7) || OP(b) >= 11  ? WSR_CLASS_OPCODE                                                                       \
     : OP(b) >= 8                                 ? (((b) & 0x80) != 0 ? WSR_CLASS_CONTROL : WSR_CLASS_CONTROL_FRAGMENTED)                 \
     : OP(b) == 0                                 ? (!(o) ? WSR_CLASS_CONTINUATION : ((b) & 0x80) != 0 ? WSR_CLASS_LAST : WSR_CLASS_MIDDLE) \
     : (o)                                        ? WSR_CLASS_INTERLEAVED                                                                  \
     : ((b) & 0x40) != 0                          ? WSR_CLASS_DEFLATED                                                                     \
     : ((b) & 0x80) != 0                          ? WSR_CLASS_WHOLE                                                                        \
                                                  : WSR_CLASS_FIRST)
#define ROW4(d, o, b) CLASS(d, o, (b)), CLASS(d, o, (b) + 1), CLASS(d, o, (b) + 2), CLASS(d, o, (b) + 3)
#define ROW16(d, o, b) ROW4(d, o, (b)), ROW4(d, o, (b) + 4), ROW4(d, o, (b) + 8), ROW4(d, o, (b) + 12)
#define ROW64(d, o, b) ROW16(d, o, (b)), ROW16(d, o, (b) + 16), ROW16(d, o, (b) + 32), ROW16(d, o, (b) + 48)
#define ROW256(d, o) ROW64(d, o, 0), ROW64(d, o, 64), ROW64(d, o, 128), ROW64(d, o, 192)

const uint8_t wsr_frame_class[2][2][256] = {
    {{ROW256(0, 0)}, {ROW256(0, 1)}},
    {{ROW256(1, 0)}, {ROW256(1, 1)}},
};

int wsr_frame_class_error(unsigned frame_class)
{
    switch (frame_class) {
    case WSR_CLASS_RSV:
        return WSR_ERSV;
    case WSR_CLASS_OPCODE:
        return WSR_EOPCODE;
    case WSR_CLASS_CONTROL_FRAGMENTED:
        return WSR_ECONTROL_FRAGMENTED;
    case WSR_CLASS_CONTINUATION:
        return WSR_ECONTINUATION;
    case WSR_CLASS_INTERLEAVED:
        return WSR_EINTERLEAVED;
    default:
        return WSR_OK;
    }
}
