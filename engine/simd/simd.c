/*
 * simd/simd.c - chooses the kernels, once, and is the public face of them (wsring/simd.h).
 *
 * What is not here: the kernels (one file per instruction set) and the receive path, which compiles them inline.
 */
#include "simd/simd.h"

#include "simd/tables.h"

#include <stdatomic.h>

/* Fastest first. */
static const struct wsr_kernels *const tables[] = {
#if defined(__x86_64__)
    &wsr_kernels_avx512,
    &wsr_kernels_avx2,
    &wsr_kernels_sse41,
#elif defined(__aarch64__)
    &wsr_kernels_neon,
#endif
    &wsr_kernels_scalar,
};

#define TABLES_N (sizeof tables / sizeof tables[0])

/* NULL until somebody asks. Two threads that ask at once come to the same answer, so a plain atomic will do. */
static _Atomic(const struct wsr_kernels *) in_use;

const struct wsr_kernels *wsr_kernels_at(unsigned i)
{
    return i < TABLES_N ? tables[i] : NULL;
}

/* strcmp is not among the few functions an object of this room may refer to. */
static bool same(const char *a, const char *b)
{
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

const struct wsr_kernels *wsr_kernels_named(const char *name)
{
    for (unsigned i = 0; i < TABLES_N; i++) {
        if (same(tables[i]->name, name)) {
            return tables[i]->supported() ? tables[i] : NULL;
        }
    }
    return NULL;
}

static __attribute__((noinline, cold)) const struct wsr_kernels *choose(void)
{
    unsigned i = 0;
    while (!tables[i]->supported()) {
        i++;
    }
    const struct wsr_kernels *none = NULL;
    /* Only in place of NULL: a wsr_simd_select that came in between stands. */
    return atomic_compare_exchange_strong(&in_use, &none, tables[i]) ? tables[i] : none;
}

const struct wsr_kernels *wsr_kernels_best(void)
{
    const struct wsr_kernels *kernels = atomic_load_explicit(&in_use, memory_order_relaxed);
    return kernels != NULL ? kernels : choose();
}

int wsr_simd_select(const char *name)
{
    const struct wsr_kernels *kernels = NULL;
    if (name != NULL && (kernels = wsr_kernels_named(name)) == NULL) {
        return WSR_EINVAL;
    }
    atomic_store(&in_use, kernels);
    return WSR_OK;
}

const char *wsr_simd_name(void)
{
    return wsr_kernels_best()->name;
}

const char *wsr_simd_at(unsigned i, bool *here)
{
    const struct wsr_kernels *kernels = wsr_kernels_at(i);
    if (here != NULL)
        *here = kernels != NULL && kernels->supported();
    return kernels != NULL ? kernels->name : NULL;
}

uint32_t wsr_unmask(uint8_t *p, size_t len, uint32_t key)
{
    return wsr_kernels_best()->unmask(p, len, key);
}

uint32_t wsr_copy_mask(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    return wsr_kernels_best()->copy_mask(dst, src, len, key);
}

bool wsr_utf8(wsr_text_state *state, const uint8_t *p, size_t len)
{
    return wsr_kernels_best()->utf8(state, p, len);
}

bool wsr_unmask_utf8(wsr_text_state *state, uint8_t *p, size_t len)
{
    return wsr_kernels_best()->unmask_utf8(state, p, len);
}
