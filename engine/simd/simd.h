/*
 * simd/simd.h - the kernels as a table: one per instruction set, chosen once and cached by whoever uses it.
 *
 * An endpoint holds a table pointer of its own (not a global), so a test runs scalar and AVX-512 side by side. The hot
 * receive path does not come through here: proto/consume_ISA.c compiles the same kernels inline.
 */
#ifndef WSR_SIMD_SIMD_H
#define WSR_SIMD_SIMD_H

#include <wsring/simd.h>

/* One instruction set. All functions as their public namesakes in wsring/simd.h. */
struct wsr_kernels {
    const char *name;
    bool (*supported)(void); /* has this CPU what the kernels need? */
    uint32_t (*unmask)(uint8_t *p, size_t len, uint32_t key);
    uint32_t (*copy_mask)(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key);
    bool (*utf8)(wsr_text_state *state, const uint8_t *p, size_t len);
    bool (*unmask_utf8)(wsr_text_state *state, uint8_t *p, size_t len);
};

/* Table i, fastest first, of those compiled in (supported by this CPU or not); NULL past the end. */
const struct wsr_kernels *wsr_kernels_at(unsigned i);

/* The fastest supported table, or the one wsr_simd_select named. Never NULL: scalar always fits. */
const struct wsr_kernels *wsr_kernels_best(void);

/* The table of that name if this CPU supports it, else NULL. */
const struct wsr_kernels *wsr_kernels_named(const char *name);

/* key, first wire byte lowest, rotated for the byte n places on. Branch-free: a rotate instruction where there is one. */
static inline uint32_t wsr_key_rotate(uint32_t key, size_t n)
{
    unsigned bits = (unsigned)(n & 3) * 8;
    return key >> bits | key << (-bits & 31);
}

#endif
