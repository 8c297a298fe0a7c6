/*
 * base/mark.h - tells a memory checker what nobody may touch now: memory that its owner keeps for reuse, and receive buffers that
 * are the kernel's or that nobody holds any more.
 *
 * AddressSanitizer sees what malloc and free say, and nothing of pools, buffer rings or what the kernel writes. With these marks an event's data
 * read after its poll, or a byte beyond what was received, is an error there and then. Without a checker they are nothing.
 */
#ifndef WSR_BASE_MARK_H
#define WSR_BASE_MARK_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WSR_MARKS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(WSR_MARKS)
#define WSR_MARKS 1
#endif

#ifdef WSR_MARKS
void __asan_poison_memory_region(const volatile void *addr, size_t size);
void __asan_unpoison_memory_region(const volatile void *addr, size_t size);
int __asan_address_is_poisoned(const volatile void *addr);
#endif

/* From now on nobody may read or write these bytes. A mark is exact to 8 bytes: up to 7 before the end may stay open. */
static inline void wsr_mark_closed(const void *bytes, size_t n)
{
#ifdef WSR_MARKS
    __asan_poison_memory_region(bytes, n);
#else
    (void)bytes;
    (void)n;
#endif
}

static inline void wsr_mark_open(const void *bytes, size_t n)
{
#ifdef WSR_MARKS
    __asan_unpoison_memory_region(bytes, n);
#else
    (void)bytes;
    (void)n;
#endif
}

/* For tests: is this byte open? Always, without a checker. */
static inline bool wsr_mark_is_open(const void *byte)
{
#ifdef WSR_MARKS
    return __asan_address_is_poisoned(byte) == 0;
#else
    return byte != NULL;
#endif
}

#endif
