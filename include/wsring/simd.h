/*
 * wsring/simd.h - unmask and validate payload, as fast as this CPU can (RFC 6455 section 5.3, RFC 3629).
 *
 * Stateless but for the eight bytes the caller keeps. No allocation, any thread, any alignment, any length; no byte
 * outside a slice is read or written. The fastest kernels this CPU has are chosen once; wsr_simd_select overrides.
 */
#ifndef WSRING_SIMD_H
#define WSRING_SIMD_H

#include <wsring/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What a stream of masked text carries from one call to the next. Start with key = the frame's masking key and the
 * rest zero; at each further frame of a message set key alone; at each new message zero the rest.
 */
typedef struct wsr_text_state {
    uint32_t key;    /* masking key, first wire byte in the lowest eight bits; each call leaves it rotated for the next byte */
    uint8_t pending; /* continuation bytes still expected, 0 to 3; a message is whole only at 0 */
    uint8_t last[2]; /* how the unfinished character began: private */
    uint8_t error;   /* not 0: an invalid byte was seen; stays */
} wsr_text_state;

/* XORs len bytes at p with key, and returns the key rotated for the byte after them. key as in wsr_text_state; 0 leaves the bytes. */
WSR_API uint32_t wsr_unmask(uint8_t *p, size_t len, uint32_t key);

/* Copies len bytes from src to dst (which must not overlap) and masks them with key; returns the key rotated. */
WSR_API uint32_t wsr_copy_mask(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key);

/*
 * Validates len more bytes of a text (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
 * Returns false at the chunk that holds the first byte which no valid text could hold there, and ever after.
 * state->key is not used.
 */
WSR_API bool wsr_utf8(wsr_text_state *state, const uint8_t *p, size_t len);

/* wsr_unmask and wsr_utf8 in one pass. All len bytes are unmasked even where the text is invalid. */
WSR_API bool wsr_unmask_utf8(wsr_text_state *state, uint8_t *p, size_t len);

/* The kernels in use: "avx512", "avx2", "sse41", "neon" or "scalar". */
WSR_API const char *wsr_simd_name(void);

/*
 * The name of the i-th set of kernels that this build has, best first, and in *here (may be NULL) whether this CPU can run
 * them; NULL past the last. Static storage.
 */
WSR_API const char *wsr_simd_at(unsigned i, bool *here);

/*
 * Uses the named kernels from now on, in this process, for these functions and for endpoints opened later; NULL goes
 * back to the best. Returns WSR_EINVAL, and changes nothing, for a name this library or CPU does not have. Call it
 * before other threads use the library: tools read WSRING_ISA and call this, the library itself never reads the
 * environment.
 */
WSR_API WSR_MUST_USE int wsr_simd_select(const char *name);

#ifdef __cplusplus
}
#endif

#endif
