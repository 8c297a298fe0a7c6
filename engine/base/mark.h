/*
 * base/mark.h - tells a memory checker what nobody may touch now: memory that its owner keeps for reuse, and receive buffers that
 * are the kernel's or that nobody holds any more.
 *
 * AddressSanitizer and valgrind see what malloc and free say, and nothing of pools, buffer rings or what the kernel writes for io_uring. With
 * these marks an event's data read after its poll, or a byte beyond what was received, is an error there and then, and valgrind knows which
 * bytes have a value. Without a checker they are nothing. (WSR_VALGRIND: make MODE=valgrind sets it; it needs valgrind's headers.)
 */
#ifndef WSR_BASE_MARK_H
#define WSR_BASE_MARK_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WSR_MARKS_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(WSR_MARKS_ASAN)
#define WSR_MARKS_ASAN 1
#endif

#if defined(WSR_MARKS_ASAN)
#define WSR_MARKS 1
void __asan_poison_memory_region(const volatile void *addr, size_t size);
void __asan_unpoison_memory_region(const volatile void *addr, size_t size);
int __asan_address_is_poisoned(const volatile void *addr);
#define WSR_MARK_CLOSED_(bytes, n) __asan_poison_memory_region(bytes, n)
#define WSR_MARK_OPEN_(bytes, n) __asan_unpoison_memory_region(bytes, n)
#define WSR_MARK_FILLED_(bytes, n) __asan_unpoison_memory_region(bytes, n)
#elif defined(WSR_VALGRIND)
#define WSR_MARKS 1
#include <valgrind/memcheck.h>
#define WSR_MARK_CLOSED_(bytes, n) VALGRIND_MAKE_MEM_NOACCESS(bytes, n)
#define WSR_MARK_OPEN_(bytes, n) VALGRIND_MAKE_MEM_UNDEFINED(bytes, n)
#define WSR_MARK_FILLED_(bytes, n) VALGRIND_MAKE_MEM_DEFINED(bytes, n)
#else
#define WSR_MARK_CLOSED_(bytes, n) ((void)(bytes), (void)(n))
#define WSR_MARK_OPEN_(bytes, n) ((void)(bytes), (void)(n))
#define WSR_MARK_FILLED_(bytes, n) ((void)(bytes), (void)(n))
#endif

/* From now on nobody may read or write these bytes. AddressSanitizer's marks are exact to 8 bytes: up to 7 before the end may stay open. */
static inline void wsr_mark_closed(const void *bytes, size_t n)
{
    (void)WSR_MARK_CLOSED_(bytes, n);
}

/* They may be written now, and then read. */
static inline void wsr_mark_open(const void *bytes, size_t n)
{
    (void)WSR_MARK_OPEN_(bytes, n);
}

/* The same, and somebody whom the checker does not see has written them: the kernel. */
static inline void wsr_mark_filled(const void *bytes, size_t n)
{
    (void)WSR_MARK_FILLED_(bytes, n);
}

/* For tests: is this byte open? Always, without a checker. */
static inline bool wsr_mark_is_open(const void *byte)
{
#if defined(WSR_MARKS_ASAN)
    return __asan_address_is_poisoned(byte) == 0;
#elif defined(WSR_VALGRIND)
    unsigned char bits; /* 3: it cannot be addressed; 0: no valgrind runs this */
    return VALGRIND_GET_VBITS(byte, &bits, 1) != 3;
#else
    return byte != NULL;
#endif
}

#endif
