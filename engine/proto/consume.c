/*
 * proto/consume.c - which consume loop goes with which kernels.
 */
#include "proto/consume.h"

extern const struct wsr_consume wsr_consume_scalar;
#if defined(__x86_64__)
extern const struct wsr_consume wsr_consume_sse41, wsr_consume_avx2, wsr_consume_avx512;
#elif defined(__aarch64__)
extern const struct wsr_consume wsr_consume_neon;
#endif

static const struct wsr_consume *const loops[] = {
#if defined(__x86_64__)
    &wsr_consume_avx512, &wsr_consume_avx2, &wsr_consume_sse41,
#elif defined(__aarch64__)
    &wsr_consume_neon,
#endif
    &wsr_consume_scalar,
};

const struct wsr_consume *wsr_consume_for(const struct wsr_kernels *kernels)
{
    for (unsigned i = 0; i < sizeof loops / sizeof loops[0]; i++) {
        if (loops[i]->kernels == kernels)
            return loops[i];
    }
    return &wsr_consume_scalar;
}
