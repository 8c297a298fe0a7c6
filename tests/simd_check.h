/*
 * tests/simd_check.h - what the simd tests share: a reference that is nothing like the kernels, memory between guard pages,
 * and a checked call of a kernel.
 *
 * Every check compares bytes, return value, state and 64 canary bytes on either side.
 */
#ifndef TESTS_SIMD_CHECK_H
#define TESTS_SIMD_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "simd/simd.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOW 1
#endif
#endif
#ifndef SLOW
#define SLOW 0 /* 1: calls are instrumented; strides are taken where the whole space takes minutes */
#endif

#define CANARY 64
#define CANARY_BYTE 0xA5

/* --- The reference: RFC 3629 section 4, by ranges, a byte at a time -------------------------------------------------------- */

struct decoder {
    unsigned need; /* continuation bytes still due */
    uint8_t low, high; /* the range of the next one */
    bool bad;
};

static inline void decoder_step(struct decoder *d, uint8_t byte)
{
    if (d->bad) {
        return;
    }
    if (d->need > 0) {
        if (byte < d->low || byte > d->high) {
            d->bad = true;
        }
        d->need--;
        d->low = 0x80;
        d->high = 0xBF;
        return;
    }
    d->low = 0x80;
    d->high = 0xBF;
    if (byte <= 0x7F) {
        return;
    }
    if (byte >= 0xC2 && byte <= 0xDF) {
        d->need = 1;
    } else if (byte >= 0xE0 && byte <= 0xEF) {
        d->need = 2;
        if (byte == 0xE0) {
            d->low = 0xA0;
        }
        if (byte == 0xED) {
            d->high = 0x9F;
        }
    } else if (byte >= 0xF0 && byte <= 0xF4) {
        d->need = 3;
        if (byte == 0xF0) {
            d->low = 0x90;
        }
        if (byte == 0xF4) {
            d->high = 0x8F;
        }
    } else {
        d->bad = true;
    }
}

static inline void decoder_run(struct decoder *d, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len && !d->bad; i++) {
        decoder_step(d, p[i]);
    }
}

static inline uint8_t key_byte(uint32_t key, size_t i)
{
    return (uint8_t)(key >> 8 * (i % 4));
}

/* --- Memory --------------------------------------------------------------------------------------------------------------- */

/* `bytes` (rounded up to pages) between two pages that fault. */
struct arena {
    uint8_t *begin, *end;
};

static inline struct arena arena_open(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + page - 1) / page * page;
    uint8_t *p = mmap(NULL, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true((void *)p != MAP_FAILED);
    assert_int_equal(mprotect(p + page, inner, PROT_READ | PROT_WRITE), 0);
    return (struct arena){p + page, p + page + inner};
}

static inline void arena_close(struct arena *arena)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    munmap(arena->begin - page, (size_t)(arena->end - arena->begin) + 2 * page);
}

/* xorshift64*: tests replay exactly. */
static inline uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * 0x2545F4914F6CDD1Du;
}

/* --- Tiers ---------------------------------------------------------------------------------------------------------------- */

/* The i-th table that this CPU supports, NULL past the end. Asks the CPU once: in a virtual machine CPUID takes microseconds. */
static inline const struct wsr_kernels *tier(unsigned i)
{
    static const struct wsr_kernels *tiers[8];
    static unsigned n;
    for (unsigned at = 0; n == 0 && wsr_kernels_at(at) != NULL; at++) {
        if (wsr_kernels_at(at)->supported()) {
            unsigned to = 0;
            while (tiers[to] != NULL) {
                to++;
            }
            assert_true(to + 1 < sizeof tiers / sizeof tiers[0]);
            tiers[to] = wsr_kernels_at(at);
        }
    }
    n = 1;
    return tiers[i];
}

static inline void report_tiers(void)
{
    for (unsigned at = 0; wsr_kernels_at(at) != NULL; at++) {
        const struct wsr_kernels *k = wsr_kernels_at(at);
        printf("tier %-7s %s\n", k->name, k->supported() ? "tested" : "SKIPPED: not on this CPU");
    }
}

#endif
