/*
 * bench/lib/client.h - the least of a WebSocket client: frames, a handshake, a connection (RFC 6455 sections 4.1 and 5.2).
 *
 * Not for hostile servers: it believes what it is told, and checks that it is told what it expects.
 */
#ifndef BENCH_LIB_CLIENT_H
#define BENCH_LIB_CLIENT_H

#include <stddef.h>
#include <stdint.h>

enum { CLIENT_HEADER_MAX = 14, CLIENT_STALL_SECONDS = 5, CLIENT_ANSWER_MAX = 2048 };
enum { CLIENT_BYTE0_TEXT = 0x81, CLIENT_BYTE0_BINARY = 0x82, CLIENT_BYTE0_CLOSE = 0x88, CLIENT_RSV1 = 0x40 };

/* A header without masking key; mask_bit 0x80 or 0. Returns its length, 2 to 10. */
size_t client_header_build(uint8_t *header, uint8_t byte0, uint8_t mask_bit, size_t payload_bytes);

/* A whole masked frame into room of payload_bytes + CLIENT_HEADER_MAX. Returns its length. */
size_t client_frame_build(uint8_t *frame, uint8_t byte0, const uint8_t *payload, size_t payload_bytes);

/* Printable ASCII, as most text on the wire is. */
void client_payload_build(uint8_t *payload, size_t len);

/*
 * Compresses a payload as one message without history (RFC 7692 section 7.2.1), at zlib's level 6. Returns its length, at most
 * cap, or 0 if it does not fit.
 */
size_t client_deflate(uint8_t *to, size_t cap, const uint8_t *payload, size_t len);

/* A socket for 127.0.0.1 with TCP_NODELAY, whose close is a reset: hundreds of runs would use up the ports otherwise. */
int client_socket(unsigned port, int flags, int *error);

/* Connects, blocking, and returns the socket, non-blocking from then on; does not return without it (load_die). */
int client_connect(unsigned port);

/* The same, with TLS and a handshake of WebSocket; *sealed: what seals its bytes from now on (lib/sealed.h). */
struct sealed;
int client_upgrade_sealed(unsigned port, const char *path, struct sealed **sealed);

/* The same with a handshake; deflate: permessage-deflate without history either way must be agreed on. */
int client_upgrade(unsigned port, const char *path, int deflate);

/* The request and its length. */
size_t client_request(char *request, size_t cap, const char *path, int deflate);

/* NULL: a whole answer, and it is the one wanted. "": not whole yet. Otherwise what is wrong with it. */
const char *client_answer_check(const char *answer, size_t len, int deflate);

#endif
