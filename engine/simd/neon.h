/*
 * simd/neon.h - the kernels for NEON on 64-bit ARM: 16 bytes a step (simd/vector.h).
 *
 * Include one ISA header in a translation unit: each defines the same four wsr_isa_ functions.
 */
#ifndef WSR_SIMD_NEON_H
#define WSR_SIMD_NEON_H

#if defined(__aarch64__)

#include "simd/state.h"

#include <arm_neon.h>

#define WSR_ISA_NAME "neon"
#define WSR_V16 1
#define WSR_V 16u
typedef uint8x16_t wsr_v16;
typedef wsr_v16 wsr_v;

WSR_INLINE wsr_v16 wsr_v16_load(const uint8_t *p)
{
    return vld1q_u8(p);
}

WSR_INLINE void wsr_v16_store(uint8_t *p, wsr_v16 v)
{
    vst1q_u8(p, v);
}

WSR_INLINE wsr_v16 wsr_v16_key(uint32_t key)
{
    return vreinterpretq_u8_u32(vdupq_n_u32(WSR_LE32(key)));
}

WSR_INLINE wsr_v16 wsr_v16_xor(wsr_v16 a, wsr_v16 b)
{
    return veorq_u8(a, b);
}

WSR_INLINE wsr_v16 wsr_v16_or(wsr_v16 a, wsr_v16 b)
{
    return vorrq_u8(a, b);
}

WSR_INLINE bool wsr_v16_any_top(wsr_v16 v)
{
    return vmaxvq_u8(v) >= 0x80;
}

#define wsr_v_load wsr_v16_load
#define wsr_v_store wsr_v16_store
#define wsr_v_key wsr_v16_key
#define wsr_v_xor wsr_v16_xor
#define wsr_v_or wsr_v16_or
#define wsr_v_any_top wsr_v16_any_top

WSR_INLINE wsr_v wsr_v_and(wsr_v a, wsr_v b)
{
    return vandq_u8(a, b);
}

WSR_INLINE wsr_v wsr_v_sub(wsr_v a, wsr_v b)
{
    return vsubq_u8(a, b);
}

WSR_INLINE wsr_v wsr_v_subs(wsr_v a, wsr_v b)
{
    return vqsubq_u8(a, b);
}

WSR_INLINE wsr_v wsr_v_set1(unsigned byte)
{
    return vdupq_n_u8((uint8_t)byte);
}

WSR_INLINE wsr_v wsr_v_low(wsr_v v)
{
    return vandq_u8(v, vdupq_n_u8(15));
}

WSR_INLINE wsr_v wsr_v_high(wsr_v v)
{
    return vshrq_n_u8(v, 4);
}

WSR_INLINE wsr_v wsr_v_table(const uint8_t *sixteen)
{
    return vld1q_u8(sixteen);
}

WSR_INLINE wsr_v wsr_v_lookup(wsr_v table, wsr_v nibbles)
{
    return vqtbl1q_u8(table, nibbles);
}

WSR_INLINE wsr_v wsr_v_back1(wsr_v before, wsr_v now)
{
    return vextq_u8(before, now, 15);
}

WSR_INLINE wsr_v wsr_v_back2(wsr_v before, wsr_v now)
{
    return vextq_u8(before, now, 14);
}

WSR_INLINE wsr_v wsr_v_last(unsigned byte)
{
    return vsetq_lane_u8((uint8_t)byte, vdupq_n_u8(0), 15);
}

WSR_INLINE bool wsr_v_any(wsr_v v)
{
    return vmaxvq_u8(v) != 0;
}

#include "simd/vector.h"

#endif
#endif
