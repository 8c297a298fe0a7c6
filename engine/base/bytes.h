/*
 * base/bytes.h - numbers in network order.
 */
#ifndef WSR_BASE_BYTES_H
#define WSR_BASE_BYTES_H

#include <string.h>
#include <wsring/types.h>

static inline uint16_t wsr_load_be16(const uint8_t *p)
{
    return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

static inline uint64_t wsr_load_be64(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof value);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

static inline void wsr_store_be16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline void wsr_store_be64(uint8_t *p, uint64_t value)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    memcpy(p, &value, sizeof value);
}

/* Four masking-key bytes in wire order, the first in the lowest eight bits (the form the kernels take). */
static inline uint32_t wsr_load_key(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void wsr_store_key(uint8_t *p, uint32_t key)
{
    p[0] = (uint8_t)key;
    p[1] = (uint8_t)(key >> 8);
    p[2] = (uint8_t)(key >> 16);
    p[3] = (uint8_t)(key >> 24);
}

/* wsr_error_text with its length: proto calls no libc, and so not wsr_slice_of. */
wsr_slice wsr_error_slice(int error);

#endif
