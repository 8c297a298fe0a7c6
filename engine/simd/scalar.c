/*
 * simd/scalar.c - the automaton's tables, and the plain C kernels as a table of functions (simd/scalar.h).
 */
#include "simd/scalar.h"

#include "simd/cpu.h"
#include "simd/tables.h"

/* "from state a to state b", as bits of a row. */
#define GO(a, b) ((uint64_t)WSR_DFA_##b << WSR_DFA_##a)

/* Every continuation byte serves the states without a restriction; the others depend on its upper bits. */
#define CONT (GO(C, START) | GO(E, C) | GO(F, E))
#define ASCII GO(START, START)
#define C8 (CONT | GO(ED, C) | GO(F4, E))
#define C9 (CONT | GO(ED, C) | GO(F0, E))
#define CA (CONT | GO(E0, C) | GO(F0, E))

#define ROW4(x) x, x, x, x
#define ROW16(x) ROW4(x), ROW4(x), ROW4(x), ROW4(x)
#define ROW64(x) ROW16(x), ROW16(x), ROW16(x), ROW16(x)

/* RFC 3629 section 4, the grammar, a row a byte. C0, C1 and F5..FF begin nothing: their rows are zero. */
const uint64_t wsr_dfa_row[256] = {
    ROW64(ASCII), ROW64(ASCII),                                     /* 00..7F */
    ROW16(C8), ROW16(C9), ROW16(CA), ROW16(CA),                     /* 80..BF */
    0, 0, GO(START, C), GO(START, C), ROW4(GO(START, C)),           /* C0..C7 */
    ROW4(GO(START, C)), ROW4(GO(START, C)), ROW16(GO(START, C)),    /* C8..DF */
    GO(START, E0), GO(START, E), GO(START, E), GO(START, E),        /* E0..E3 */
    ROW4(GO(START, E)), ROW4(GO(START, E)),                         /* E4..EB */
    GO(START, E), GO(START, ED), GO(START, E), GO(START, E),        /* EC..EF */
    GO(START, F0), GO(START, F), GO(START, F), GO(START, F),        /* F0..F3 */
    GO(START, F4), 0, 0, 0, ROW4(0), ROW4(0),                       /* F4..FF */
};

#include "simd/table.inc"

const struct wsr_kernels wsr_kernels_scalar = WSR_KERNELS(wsr_cpu_any);
