/*
 * bench/lib/sealed.h - the least of a TLS 1.3 client for a load: OpenSSL shakes hands, and then the records are made here (RFC 8446
 * section 5.2), with TLS_AES_128_GCM_SHA256 alone.
 *
 * A load must cost less than the servers it drives. So it seals what it sends, which is what a client has to, but opens only some
 * of what it receives: of the rest it reads the lengths, which the server cannot have wrong. The certificate is not looked at.
 */
#ifndef BENCH_LIB_SEALED_H
#define BENCH_LIB_SEALED_H

#include <stddef.h>
#include <stdint.h>

enum { SEALED_PLAIN_MAX = 16384, SEALED_GAIN = 5 + 1 + 16 };

struct sealed; /* of one connection */

/* Shakes hands over a blocking, connected socket and upgrades to WebSocket. Does not return without it (load_die). */
struct sealed *sealed_upgrade(int fd, const char *path);

/* Seals len bytes, at most SEALED_PLAIN_MAX, into room for SEALED_GAIN more. Returns the bytes of the record. */
size_t sealed_seal(struct sealed *sealed, uint8_t *to, const uint8_t *plain, size_t len);

/*
 * Takes received bytes; plain is called for each piece of plaintext, in order: with its bytes if it was opened, with NULL if it was
 * not, and its length. One record in 16 is opened, if all of it is there.
 */
void sealed_take(struct sealed *sealed, uint8_t *bytes, size_t len, void (*plain)(void *context, const uint8_t *bytes, size_t len), void *context);

#endif
