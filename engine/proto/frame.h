/*
 * proto/frame.h - what a frame's first byte may be at this point of a connection: the frame_class table (RFC 6455 5.2, 5.4, 5.5).
 *
 * One load folds FIN, RSV1-3, opcode, the negotiated extension and the fragment state. Class 0 is a whole data frame,
 * the hot path; everything else leaves it.
 */
#ifndef WSR_PROTO_FRAME_H
#define WSR_PROTO_FRAME_H

#include <wsring/frame.h>

#include "base/bytes.h"

enum wsr_frame_class {
    WSR_CLASS_WHOLE = 0,    /* a message of one frame, not compressed */
    WSR_CLASS_FIRST,        /* the first of several fragments */
    WSR_CLASS_MIDDLE,       /* a continuation, more to come */
    WSR_CLASS_LAST,         /* the last continuation */
    WSR_CLASS_DEFLATED,     /* a whole or first frame with RSV1, where permessage-deflate was negotiated */
    WSR_CLASS_CONTROL,      /* Close, ping, pong */
    WSR_CLASS_RSV,          /* from here on errors: WSR_ERSV ... */
    WSR_CLASS_OPCODE,
    WSR_CLASS_CONTROL_FRAGMENTED,
    WSR_CLASS_CONTINUATION,
    WSR_CLASS_INTERLEAVED
};

/* [deflate negotiated][a fragmented message is open][first byte] */
extern const uint8_t wsr_frame_class[2][2][256];

/* Is it one that a message may be sent with? */
static inline bool wsr_opcode_is_data(wsr_opcode opcode)
{
    return opcode == WSR_TEXT || opcode == WSR_BINARY || opcode == WSR_TEXT_PLAIN || opcode == WSR_BINARY_PLAIN;
}

#define WSR_FRAME_HEADER_PLAIN_MAX 10u

/* wsr_frame_header_encode for a frame that is not masked: at most so many bytes. */
static inline unsigned wsr_frame_header_plain(uint8_t *out, uint8_t first, uint64_t payload_len)
{
    out[0] = first;
    if (payload_len < 126) {
        out[1] = (uint8_t)payload_len;
        return 2;
    }
    if (payload_len < 65536) {
        out[1] = 126;
        wsr_store_be16(out + 2, (uint16_t)payload_len);
        return 4;
    }
    out[1] = 127;
    wsr_store_be64(out + 2, payload_len);
    return 10;
}

/* The wsr_error of an error class. */
int wsr_frame_class_error(unsigned frame_class);

#endif
