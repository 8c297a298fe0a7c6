/*
 * proto/frame.h - what a frame's first byte may be at this point of a connection: the frame_class table (RFC 6455 5.2, 5.4, 5.5).
 *
 * One load folds FIN, RSV1-3, opcode, the negotiated extension and the fragment state. Class 0 is a whole data frame,
 * the hot path; everything else leaves it.
 */
#ifndef WSR_PROTO_FRAME_H
#define WSR_PROTO_FRAME_H

#include <wsring/frame.h>

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

/* The wsr_error of an error class. */
int wsr_frame_class_error(unsigned frame_class);

#endif
