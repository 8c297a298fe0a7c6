/*
 * wsring/frame.h - the WebSocket frame header, encoded and decoded (RFC 6455 section 5.2).
 *
 * Stateless: no allocation, no input or output, any thread. What is not here: whether a frame is allowed at this point
 * of a connection (endpoint.h knows), and the payload (simd.h unmasks and validates it).
 */
#ifndef WSRING_FRAME_H
#define WSRING_FRAME_H

#include <wsring/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 2 fixed bytes, 8 of extended length, 4 of masking key. */
#define WSR_FRAME_HEADER_MAX 14u

/* A control frame carries at most this many bytes (RFC 6455 section 5.5). */
#define WSR_CONTROL_PAYLOAD_MAX 125u

/* Bits of the first byte, as on the wire. */
#define WSR_FIN 0x80u
#define WSR_RSV1 0x40u
#define WSR_RSV2 0x20u
#define WSR_RSV3 0x10u

typedef struct wsr_frame_header {
    uint64_t payload_len; /* bytes that follow the header, at most 2^63 - 1 */
    uint8_t masking_key[4]; /* in wire order; zeros if not masked */
    uint8_t first;        /* the first byte as on the wire: FIN, RSV1-3, opcode */
    bool masked;
    uint8_t header_len;   /* 2 to 14 bytes */
} wsr_frame_header;

/*
 * Decodes the header at in.
 *
 * Returns the header's length in bytes (2 to 14), 0 if in holds only a part of it, or an error that no continuation of
 * the bytes can mend: WSR_ELENGTH_TOP_BIT, WSR_ELENGTH_FORM. Opcode and reserved bits are not judged. *out is written
 * only when the return value is positive.
 */
WSR_API WSR_MUST_USE int wsr_frame_header_decode(wsr_slice in, wsr_frame_header *out);

/*
 * Encodes a header in its shortest form.
 *
 * out: room for WSR_FRAME_HEADER_MAX bytes. first: FIN, RSV1-3 and opcode as on the wire. payload_len: at most 2^63 - 1.
 * masking_key: the four key bytes for a client's frame, NULL for a server's. Returns the bytes written, 2 to 14.
 */
WSR_API unsigned wsr_frame_header_encode(uint8_t *out, uint8_t first, uint64_t payload_len, const uint8_t *masking_key);

/* The bytes wsr_frame_header_encode would write. */
WSR_API unsigned wsr_frame_header_size(uint64_t payload_len, bool masked);

/* "text", "ping" ... or "reserved" for an opcode the RFC gives no meaning. Static storage. */
WSR_API const char *wsr_opcode_name(unsigned opcode);

#ifdef __cplusplus
}
#endif

#endif
