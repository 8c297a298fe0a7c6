/*
 * tests/test_simd_utf8.c - UTF-8 validation, alone and fused with unmasking, against a reference that walks byte by byte
 * (simd_check.h), on every instruction set this CPU has.
 *
 * After every chunk: the bytes, "rejected" exactly when the reference has rejected, as many bytes pending as it awaits, the
 * key rotated, the canaries; and the whole state equal to that of the scalar kernels.
 */
#include "simd_check.h"

#include "simd/tables.h"

#define ROOM 8192u

static struct arena arena;

static int open_arena(void **unused)
{
    (void)unused;
    arena = arena_open(ROOM);
    return 0;
}

static int close_arena(void **unused)
{
    (void)unused;
    arena_close(&arena);
    return 0;
}

/* Everything a stream of text has been through, on one tier. */
struct run {
    const struct wsr_kernels *k;
    bool fused;
    wsr_text_state state, scalar; /* of the tier, and of the scalar kernels on the same bytes */
    struct decoder reference;
};

static struct run run_begin(const struct wsr_kernels *k, bool fused, uint32_t key)
{
    struct run run = {.k = k, .fused = fused, .state = {.key = key}, .scalar = {.key = key}};
    return run;
}

static void run_fail(const struct run *run, const uint8_t *p, size_t len, const char *what)
{
    printf("the chunk:");
    for (size_t i = 0; i < len && i < 80; i++) {
        printf(" %02X", p[i]);
    }
    printf("%s\n", len > 80 ? " ..." : "");
    fail_msg("%s %s: %s (%zu bytes, alignment %zu, error %u, pending %u; the reference: bad %u, need %u)", run->k->name,
             run->fused ? "unmask_utf8" : "utf8", what, len, (size_t)((uintptr_t)p % 64), run->state.error, run->state.pending,
             run->reference.bad, run->reference.need);
}

/*
 * One chunk: text is what it means, at is where the kernel gets it (masked, if fused), with CANARY bytes of room around if
 * canaries is set.
 */
static void run_chunk(struct run *run, uint8_t *at, const uint8_t *text, size_t len, bool canaries)
{
    uint32_t key = run->state.key, rotated = wsr_key_rotate(key, len);
    if (canaries) {
        memset(at - CANARY, CANARY_BYTE, CANARY);
        memset(at + len, CANARY_BYTE, CANARY);
    }
    bool accepted;
    if (run->fused) {
        for (size_t i = 0; i < len; i++) {
            at[i] = text[i] ^ key_byte(key, i);
        }
        accepted = run->k->unmask_utf8(&run->state, at, len);
    } else {
        memcpy(at, text, len);
        accepted = run->k->utf8(&run->state, at, len);
        run->state.key = rotated; /* not used, not changed: kept in step for the comparison below */
    }
    decoder_run(&run->reference, text, len);
    wsr_kernels_scalar.utf8(&run->scalar, text, len);
    run->scalar.key = rotated;
    if (accepted == run->reference.bad || run->state.error != run->reference.bad) {
        run_fail(run, text, len, "verdict");
    }
    if (!run->reference.bad && run->state.pending != run->reference.need) {
        run_fail(run, text, len, "pending");
    }
    if (memcmp(&run->state, &run->scalar, sizeof run->state) != 0) {
        run_fail(run, text, len, "state is not the scalar one");
    }
    if (memcmp(at, text, len) != 0) {
        run_fail(run, text, len, "bytes");
    }
    for (unsigned i = 0; canaries && i < CANARY; i++) {
        if (at[-1 - (int)i] != CANARY_BYTE || at[len + i] != CANARY_BYTE) {
            run_fail(run, text, len, "canary");
        }
    }
}

static uint8_t *aligned(size_t align)
{
    return arena.begin + CANARY + align;
}

#define KEY 0x8E5A3C71u

/* --- The reference itself -------------------------------------------------------------------------------------------------- */

/* Of all strings of up to four bytes that are one character, it accepts 1,112,064: U+0000..U+10FFFF less 2,048 surrogates. */
static void the_reference_accepts_every_character(void **unused)
{
    (void)unused;
    unsigned accepted = 0;
    for (uint32_t c = 0; c < 0x200000; c++) {
        uint8_t forms[4][4] = {{(uint8_t)c},
                               {(uint8_t)(0xC0 | c >> 6), (uint8_t)(0x80 | (c & 63))},
                               {(uint8_t)(0xE0 | c >> 12), (uint8_t)(0x80 | (c >> 6 & 63)), (uint8_t)(0x80 | (c & 63))},
                               {(uint8_t)(0xF0 | c >> 18), (uint8_t)(0x80 | (c >> 12 & 63)), (uint8_t)(0x80 | (c >> 6 & 63)),
                                (uint8_t)(0x80 | (c & 63))}};
        static const uint32_t limits[4] = {0x80, 0x800, 0x10000, 0x200000};
        for (unsigned n = 0; n < 4; n++) {
            struct decoder d = {0};
            if (c < limits[n]) {
                decoder_run(&d, forms[n], n + 1);
                accepted += !d.bad && d.need == 0;
            }
        }
    }
    assert_int_equal(accepted, 1112064);
}

/* --- Exhaustive ------------------------------------------------------------------------------------------------------------ */

/* Judged by the reference, one string in one chunk, nothing else looked at: for spaces of millions. */
static void judge(const struct wsr_kernels *k, bool fused, uint8_t *p, size_t len, const struct decoder *reference)
{
    wsr_text_state state = {.key = 0};
    bool accepted = fused ? k->unmask_utf8(&state, p, len) : k->utf8(&state, p, len);
    if (accepted == reference->bad || (accepted && state.pending != reference->need)) {
        fail_msg("%s %s: %zu bytes, %02X %02X %02X at their end", k->name, fused ? "unmask_utf8" : "utf8", len, p[len - 3], p[len - 2],
                 p[len - 1]);
    }
}

/* before: ASCII bytes in front, which puts the three across the kernels' block boundaries. */
static void all_strings_of_three(size_t before, uint32_t stride)
{
    for (unsigned t = 0; tier(t) != NULL; t++) {
        uint8_t *p = aligned(0);
        memset(p, 'a', before);
        for (uint32_t c = 0; c < 1u << 24; c += stride) {
            struct decoder d = {0};
            p[before] = (uint8_t)(c >> 16);
            p[before + 1] = (uint8_t)(c >> 8);
            p[before + 2] = (uint8_t)c;
            decoder_run(&d, p + before, 3);
            judge(tier(t), (c & 1) != 0, p, before + 3, &d);
            if (before == 0) {
                judge(tier(t), (c & 1) == 0, p, before + 3, &d);
            }
        }
    }
}

static void judges_all_strings_of_up_to_three_bytes(void **unused)
{
    (void)unused;
    for (unsigned t = 0; tier(t) != NULL; t++) {
        for (unsigned fused = 0; fused < 2; fused++) {
            for (unsigned c = 0; c < 0x10000; c++) {
                uint8_t text[2] = {(uint8_t)(c >> 8), (uint8_t)c};
                struct run two = run_begin(tier(t), fused, KEY), one = run_begin(tier(t), fused, KEY);
                run_chunk(&two, aligned(c % 64), text, 2, true);
                if (c < 0x100) {
                    run_chunk(&one, aligned(c % 64), text + 1, 1, true);
                }
            }
        }
    }
    all_strings_of_three(0, SLOW ? 3 : 1);
    /* Odd strides: either kernel gets its half of them. */
    static const size_t straddling[] = {13, 14, 15, 29, 30, 31, 61, 62, 63, 125, 126, 127, 254, 255, 510, 511};
    for (size_t i = 0; i < sizeof straddling / sizeof straddling[0]; i++) {
        all_strings_of_three(straddling[i], SLOW ? 211 : 13);
    }
}

/* Every byte at which the grammar changes its mind, and the ones beside it. */
static const uint8_t edges[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0,
                                0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF7, 0xF8, 0xFF};

static void judges_all_strings_of_four_edge_bytes(void **unused)
{
    (void)unused;
    const unsigned n = sizeof edges;
    static const size_t before[] = {0, 12, 13, 14, 15, 28, 29, 30, 31, 60, 61, 62, 63, 124, 127, 252, 255, 509};
    for (unsigned t = 0; tier(t) != NULL; t++) {
        for (size_t b = 0; b < sizeof before / sizeof before[0]; b++) {
            uint8_t *p = aligned(0);
            memset(p, 'a', before[b] + 80);
            for (unsigned c = (unsigned)b; c < n * n * n * n; c += SLOW ? 11 : b == 0 ? 1 : 5) {
                const uint8_t text[4] = {edges[c / n / n / n], edges[c / n / n % n], edges[c / n % n], edges[c % n]};
                struct decoder d = {0};
                memcpy(p + before[b], text, 4);
                decoder_run(&d, text, 4);
                judge(tier(t), (c & 1) != 0, p, before[b] + 4, &d);
                /* With more text behind it. */
                decoder_step(&d, 'a');
                judge(tier(t), (c & 1) == 0, p, before[b] + 4 + c % 77 + 1, &d);
            }
        }
    }
}

/* --- Positions ------------------------------------------------------------------------------------------------------------- */

/* Good and bad; the bad ones at their first wrong byte, where it is the byte after the string that shows it, or within. */
static const char *const sequences[18] = {
    "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF",
    /* no character begins with these */
    "\x80", "\xC1\xBF", "\xF5\x80\x80\x80",
    /* overlong, surrogate, too large */
    "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
    /* cut short: what follows is ASCII, or the end */
    "\xC2", "\xE1\x80", "\xF1\x80\x80",
};

/* Between: ASCII, or three-byte characters all through, so that every block is looked at. */
static void fill(uint8_t *text, size_t len, bool ascii)
{
    for (size_t i = 0; i < len; i++) {
        text[i] = ascii || len - i < 3 - i % 3 ? (uint8_t)('a' + i % 26) : (uint8_t)"\xE4\xB8\xAD"[i % 3];
    }
}

static void check_position(const struct wsr_kernels *k, size_t len, size_t at, size_t s, size_t align, bool ascii)
{
    size_t n = strlen(sequences[s]);
    if (at + n > len) {
        n = len - at;
    }
    static uint8_t text[2048];
    fill(text, len, ascii);
    /* Whole characters up to the sequence, whole ones after it. */
    size_t begin = ascii ? at : at / 3 * 3, end = ascii ? at + n : (at + n + 2) / 3 * 3;
    memset(text + begin, 'z', (end > len ? len : end) - begin);
    memcpy(text + at, sequences[s], n);
    struct run run = run_begin(k, (at + align) % 4 != 0, KEY + (uint32_t)at);
    run_chunk(&run, aligned(align), text, len, true);
}

/* This one caught a carry across the unaligned head that nothing else did. */
static void judges_a_sequence_at_every_position_and_alignment(void **unused)
{
    (void)unused;
    static const size_t lens[] = {131, 600};
    for (unsigned t = 0; tier(t) != NULL; t++) {
        for (size_t l = 0; l < sizeof lens / sizeof lens[0]; l++) {
            for (size_t s = 0; s < 18; s++) {
                for (size_t at = 0; at < lens[l]; at += SLOW ? 3 : 1) {
                    for (size_t align = SLOW ? at % 3 : 0; align < 64; align += SLOW ? 3 : 1) {
                        check_position(tier(t), lens[l], at, s, align, (at + align + s) % 3 != 0);
                    }
                }
            }
        }
    }
}

/* --- Chunks ---------------------------------------------------------------------------------------------------------------- */

/* Each sequence in short surroundings, cut once at every place: the error must come with the chunk that holds the byte. */
static void judges_every_split_in_two(void **unused)
{
    (void)unused;
    static const size_t lens[] = {4, 5, 9, 20, 70, 130, 300, 580};
    for (unsigned t = 0; tier(t) != NULL; t++) {
        for (size_t l = 0; l < sizeof lens / sizeof lens[0]; l++) {
            for (size_t s = 0; s < 18; s++) {
                size_t n = strlen(sequences[s]), len = lens[l];
                for (size_t at = 0; at + n <= len; at += len < 100 ? 1 : len / 9) {
                    static uint8_t text[1024];
                    fill(text, len, true);
                    memcpy(text + at, sequences[s], n);
                    for (size_t cut = 0; cut <= len; cut += SLOW && len > 100 ? 3 : 1) {
                        struct run run = run_begin(tier(t), (cut + s) % 3 != 0, KEY);
                        run_chunk(&run, aligned((at + cut) % 64), text, cut, true);
                        run_chunk(&run, aligned((at + cut * 5) % 64), text + cut, len - cut, true);
                    }
                }
            }
        }
    }
}

/* All edge strings of four bytes, cut at all places: eight ways each. */
static void judges_edge_bytes_in_all_cuts(void **unused)
{
    (void)unused;
    const unsigned n = sizeof edges;
    for (unsigned t = 0; tier(t) != NULL; t++) {
        for (unsigned c = 0; c < n * n * n * n; c += SLOW ? 29 : 3) {
            const uint8_t text[4] = {edges[c / n / n / n], edges[c / n / n % n], edges[c / n % n], edges[c % n]};
            unsigned cuts = c % 8;
            struct run run = run_begin(tier(t), (c & 1) != 0, KEY + c);
            for (size_t i = 0, from = 0; i < 4; i++) {
                if (i == 3 || (cuts >> i & 1) != 0) {
                    run_chunk(&run, aligned(c % 64), text + from, i + 1 - from, true);
                    from = i + 1;
                }
            }
        }
    }
}

/* A text of 1 to 4-byte characters, `ascii` of 16 of them ASCII, runs of them; now and then broken. Returns its length. */
static size_t random_text(uint8_t *text, size_t max, uint64_t *seed)
{
    unsigned ascii = (unsigned)(random_next(seed) >> 60), run = 0, size = 1;
    size_t len = 0;
    while (len + 4 <= max) {
        uint64_t r = random_next(seed) >> 8;
        if (run-- == 0) {
            size = (r & 15) < ascii ? 1 : 1 + (unsigned)(r >> 4 & 3);
            run = (r >> 6 & 7) == 0 ? (unsigned)(r >> 9 & 511) : (unsigned)(r >> 9 & 3);
        }
        r >>= 20;
        static const uint32_t first[5] = {0, 0, 0x80, 0x800, 0x10000}, many[5] = {0, 0x80, 0x780, 0xF800, 0x100000};
        uint32_t c = first[size] + (uint32_t)r % many[size];
        c = c >= 0xD800 && c <= 0xDFFF ? c - 0x1000 : c;
        if (size == 1) {
            text[len++] = (uint8_t)c;
            continue;
        }
        text[len++] = (uint8_t)((size == 2 ? 0xC0u : size == 3 ? 0xE0u : 0xF0u) | c >> 6 * (size - 1));
        for (unsigned i = size - 1; i-- > 0;) {
            text[len++] = (uint8_t)(0x80 | (c >> 6 * i & 63));
        }
    }
    len = len > 0 ? random_next(seed) % len : 0;
    for (unsigned broken = (unsigned)(random_next(seed) % 3); len > 0 && broken > 0; broken--) {
        uint8_t *p = text + random_next(seed) % len;
        uint64_t how = random_next(seed);
        *p = (uint8_t)((how & 1) != 0 ? edges[(how >> 8) % sizeof edges] : *p ^ 1u << (how >> 8) % 8);
    }
    return len;
}

static void judges_random_text_in_random_chunks(void **unused)
{
    (void)unused;
    static uint8_t text[ROOM];
    uint64_t seed = 2026;
    for (unsigned round = 0; round < (SLOW ? 10000 : 40000); round++) {
        size_t len = random_text(text, 16u << random_next(&seed) % 9, &seed);
        uint64_t cuts = random_next(&seed);
        for (unsigned t = 0; tier(t) != NULL; t++) {
            uint64_t r = cuts; /* the same cuts on every tier */
            struct run run = run_begin(tier(t), (r >> 32) % 4 != 0, (uint32_t)r);
            for (size_t at = 0, n; at < len || at == 0; at += n) {
                n = random_next(&r) % ((random_next(&r) & 3) == 0 ? 16 : len + 2);
                n = n > len - at ? len - at : n;
                run_chunk(&run, aligned(random_next(&r) % 64), text + at, n, true);
                if (len == 0) {
                    break;
                }
            }
        }
    }
}

/* --- Memory ---------------------------------------------------------------------------------------------------------------- */

static void touches_nothing_outside(void **unused)
{
    (void)unused;
    static uint8_t text[ROOM];
    for (unsigned t = 0; tier(t) != NULL; t++) {
        for (unsigned ascii = 0; ascii < 2; ascii++) {
            for (size_t len = 0; len < 2000; len += len < 700 ? 1 : 13) {
                fill(text, len, ascii);
                for (unsigned fused = 0; fused < 2; fused++) {
                    struct run low = run_begin(tier(t), fused, KEY), high = run_begin(tier(t), fused, KEY);
                    run_chunk(&low, arena.begin, text, len, false);
                    run_chunk(&high, arena.end - len, text, len, false);
                }
            }
        }
    }
}

/* --- State ----------------------------------------------------------------------------------------------------------------- */

/* "All len bytes are unmasked even where the text is invalid", in the chunk of the error and after it; the error stays. */
static void unmasks_after_an_error(void **unused)
{
    (void)unused;
    static uint8_t text[ROOM];
    for (unsigned t = 0; tier(t) != NULL; t++) {
        for (size_t len = 1; len < 1500; len += 1 + len / 8) {
            for (unsigned bad = 0; bad < 3; bad++) {
                fill(text, len, true);
                text[bad == 0 ? 0 : bad == 1 ? len / 2 : len - 1] = 0xFF;
                struct run run = run_begin(tier(t), true, KEY);
                run_chunk(&run, aligned(len % 64), text, len, true);
                assert_true(run.reference.bad);
                fill(text, len, true);
                run_chunk(&run, aligned(len % 61), text, len, true);
                run_chunk(&run, aligned(len % 59), text, 0, true);
                run.fused = false;
                run_chunk(&run, aligned(len % 59), text, len, true);
            }
        }
    }
}

/* The caller sets the key alone at each further frame of a message; nothing else of the state may depend on it. */
static void carries_over_a_change_of_key(void **unused)
{
    (void)unused;
    static const uint8_t text[] = "z\xF0\x9F\x98\x80\xE4\xB8\xAD";
    const size_t len = sizeof text - 1;
    for (unsigned t = 0; tier(t) != NULL; t++) {
        for (size_t cut = 0; cut <= len; cut++) {
            struct run run = run_begin(tier(t), true, KEY);
            run_chunk(&run, aligned(3), text, cut, true);
            run.state.key = 0x01020304;
            run_chunk(&run, aligned(3), text + cut, len - cut, true);
            assert_false(run.reference.bad);
            assert_int_equal(run.state.pending, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_accepts_every_character),
        cmocka_unit_test(judges_all_strings_of_up_to_three_bytes),
        cmocka_unit_test(judges_all_strings_of_four_edge_bytes),
        cmocka_unit_test(judges_a_sequence_at_every_position_and_alignment),
        cmocka_unit_test(judges_every_split_in_two),
        cmocka_unit_test(judges_edge_bytes_in_all_cuts),
        cmocka_unit_test(judges_random_text_in_random_chunks),
        cmocka_unit_test(touches_nothing_outside),
        cmocka_unit_test(unmasks_after_an_error),
        cmocka_unit_test(carries_over_a_change_of_key),
    };
    report_tiers();
    return cmocka_run_group_tests_name("simd_utf8", tests, open_arena, close_arena);
}
