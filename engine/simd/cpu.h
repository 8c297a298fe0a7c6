/*
 * simd/cpu.h - which instruction sets this CPU has and this system lets a program use.
 *
 * By CPUID and XGETBV directly: the compiler's __builtin_cpu_supports keeps its answer in a variable of its run-time
 * library, and the objects of this room may refer to nothing outside it. Pure, any thread; no answer ever changes.
 */
#ifndef WSR_SIMD_CPU_H
#define WSR_SIMD_CPU_H

#include <stdbool.h>

bool wsr_cpu_any(void);    /* always */
bool wsr_cpu_sse41(void);  /* SSSE3 and SSE4.1 */
bool wsr_cpu_avx2(void);   /* AVX2, BMI1 and BMI2 */
bool wsr_cpu_avx512(void); /* AVX-512 F, VL, BW, DQ and VBMI, with GFNI and BMI2 */

#endif
