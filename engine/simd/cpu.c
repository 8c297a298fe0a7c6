/*
 * simd/cpu.c - CPU detection (see cpu.h). Intel SDM volume 2, CPUID leaves 1 and 7, and volume 1, 13.3 (XGETBV).
 */
#include "simd/cpu.h"

bool wsr_cpu_any(void)
{
    return true;
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <stdint.h>

/* The register states that the system saves at a context switch: bit 1 xmm, 2 ymm, 5 k, 6 and 7 zmm. */
#define STATE_YMM 0x06u
#define STATE_ZMM 0xE6u

static uint32_t saved_states(void)
{
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & bit_OSXSAVE) == 0) {
        return 0;
    }
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return eax;
}

static bool saves(uint32_t states)
{
    return (saved_states() & states) == states;
}

bool wsr_cpu_sse41(void)
{
    const unsigned need = bit_SSSE3 | bit_SSE4_1;
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & need) == need;
}

bool wsr_cpu_avx2(void)
{
    const unsigned need = bit_AVX2 | bit_BMI | bit_BMI2;
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return saves(STATE_YMM) && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & need) == need;
}

bool wsr_cpu_avx512(void)
{
    const unsigned need = bit_BMI2 | bit_AVX512F | bit_AVX512VL | bit_AVX512BW | bit_AVX512DQ;
    const unsigned need2 = bit_AVX512VBMI | bit_GFNI;
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return saves(STATE_ZMM) && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & need) == need &&
           (ecx & need2) == need2;
}

#endif
