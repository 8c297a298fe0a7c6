/*
 * tests/test_simd_mask.c - unmasking and copy-and-mask, against a byte loop: every length, alignment and key phase, between
 * guard pages and canaries, on every instruction set this CPU has. Also the choice of the instruction set.
 */
#include "simd_check.h"

#include "simd/tables.h"

#define LEN_MAX 4096u
#define KEY 0x8E5A3C71u

static uint8_t plain[LEN_MAX];
static uint8_t masked[4][LEN_MAX]; /* by phase: plain ^ key from its phase-th byte on */

static int make_bytes(void **unused)
{
    (void)unused;
    uint64_t seed = 1;
    for (size_t i = 0; i < LEN_MAX; i++) {
        plain[i] = (uint8_t)(random_next(&seed) >> 56);
        for (unsigned phase = 0; phase < 4; phase++) {
            masked[phase][i] = (uint8_t)(plain[i] ^ key_byte(KEY, i + phase));
        }
    }
    return 0;
}

static bool canaries_stand(const uint8_t *p, size_t len)
{
    for (unsigned i = 0; i < CANARY; i++) {
        if (p[-1 - (int)i] != CANARY_BYTE || p[len + i] != CANARY_BYTE) {
            return false;
        }
    }
    return true;
}

/* The key, its first byte that of the phase. Not by the code under test. */
static uint32_t key_at(size_t phase)
{
    uint32_t key = 0;
    for (unsigned i = 0; i < 4; i++) {
        key |= (uint32_t)key_byte(KEY, i + phase) << 8 * i;
    }
    return key;
}

static void check_unmask(const struct wsr_kernels *k, uint8_t *p, size_t len, unsigned phase)
{
    memset(p - CANARY, CANARY_BYTE, CANARY);
    memcpy(p, masked[phase], len);
    memset(p + len, CANARY_BYTE, CANARY);
    uint32_t next = k->unmask(p, len, key_at(phase));
    if (memcmp(p, plain, len) != 0 || next != key_at(phase + len) || !canaries_stand(p, len)) {
        fail_msg("%s unmask: %zu bytes at alignment %zu, phase %u", k->name, len, (size_t)((uintptr_t)p % 64), phase);
    }
}

static void unmasks_every_length_alignment_and_phase(void **unused)
{
    (void)unused;
    struct arena arena = arena_open(LEN_MAX + 64 + 2 * CANARY);
    for (unsigned t = 0; tier(t) != NULL; t++) {
        for (size_t len = 0; len <= LEN_MAX; len += SLOW && len > 700 ? 7 : 1) {
            for (size_t align = 0; align < 64; align += 1) {
                for (unsigned phase = 0; phase < 4; phase++) {
                    check_unmask(tier(t), arena.begin + CANARY + align, len, phase);
                }
            }
        }
    }
    arena_close(&arena);
}

static void check_copy(const struct wsr_kernels *k, uint8_t *dst, uint8_t *src, size_t len, unsigned phase)
{
    memset(dst - CANARY, CANARY_BYTE, 2 * CANARY + len);
    memcpy(src, plain, len);
    uint32_t next = k->copy_mask(dst, src, len, key_at(phase));
    if (memcmp(dst, masked[phase], len) != 0 || memcmp(src, plain, len) != 0 || next != key_at(phase + len) || !canaries_stand(dst, len)) {
        fail_msg("%s copy_mask: %zu bytes from alignment %zu to %zu, phase %u", k->name, len, (size_t)((uintptr_t)src % 64),
                 (size_t)((uintptr_t)dst % 64), phase);
    }
}

static void copies_and_masks_every_length_and_alignment(void **unused)
{
    (void)unused;
    struct arena to = arena_open(LEN_MAX + 64 + 2 * CANARY), from = arena_open(LEN_MAX + 64);
    for (unsigned t = 0; tier(t) != NULL; t++) {
        for (size_t len = 0; len <= LEN_MAX; len += SLOW && len > 700 ? 7 : 1) {
            for (size_t align = 0; align < 64; align++) {
                /* The source's alignment wanders with the length, so that each pair is met. */
                check_copy(tier(t), to.begin + CANARY + align, from.begin + (len * 7 + align * 5) % 64, len, (unsigned)(len + align) % 4);
            }
        }
    }
    arena_close(&to);
    arena_close(&from);
}

/* No canary here: the byte before or behind the slice faults. */
static void touches_nothing_outside(void **unused)
{
    (void)unused;
    struct arena arena = arena_open(LEN_MAX), other = arena_open(LEN_MAX);
    for (unsigned t = 0; tier(t) != NULL; t++) {
        const struct wsr_kernels *k = tier(t);
        for (size_t len = 0; len <= LEN_MAX; len += len < 1100 ? 1 : 61) {
            uint8_t *at[2] = {arena.begin, arena.end - len}, *from[2] = {other.end - len, other.begin};
            for (unsigned side = 0; side < 2; side++) {
                memcpy(at[side], masked[0], len);
                assert_int_equal(k->unmask(at[side], len, key_at(0)), key_at(len));
                assert_memory_equal(at[side], plain, len);
                memcpy(from[side], plain, len);
                memset(at[side], 0, len);
                assert_int_equal(k->copy_mask(at[side], from[side], len, key_at(1)), key_at(1 + len));
                assert_memory_equal(at[side], masked[1], len);
            }
        }
    }
    arena_close(&arena);
    arena_close(&other);
}

/*
 * An aligned load never crosses a page, so no guard page sees one that begins before the source or ends behind it; the
 * address sanitizer does (make test MODE=asan), since the heap keeps a red zone around each block.
 */
static void reads_no_byte_beside_the_source(void **unused)
{
    (void)unused;
    struct arena to = arena_open(LEN_MAX + 64);
    for (unsigned t = 0; tier(t) != NULL; t++) {
        for (size_t len = 1; len < 1500; len += len < 300 ? 1 : 7) {
            for (size_t align = 0; align < 64; align += 9) {
                uint8_t *source = malloc(len); /* not test_malloc, which hides its own bytes around it */
                assert_non_null(source);
                memcpy(source, plain, len);
                assert_int_equal(tier(t)->copy_mask(to.begin + align, source, len, key_at(3)), key_at(3 + len));
                assert_memory_equal(to.begin + align, masked[3], len);
                wsr_text_state state = {.key = 0};
                (void)tier(t)->utf8(&state, source, len);
                free(source);
            }
        }
    }
    arena_close(&to);
}

static void unmasks_in_pieces_as_in_one(void **unused)
{
    (void)unused;
    static uint8_t buffer[700];
    const size_t lens[] = {1, 2, 3, 5, 8, 20, 65, 130, 257, 300, 519, 600};
    for (unsigned t = 0; tier(t) != NULL; t++) {
        for (size_t l = 0; l < sizeof lens / sizeof lens[0]; l++) {
            for (size_t cut = 0; cut <= lens[l]; cut++) {
                uint8_t *p = buffer + cut % 64;
                memcpy(p, masked[2], lens[l]);
                uint32_t key = tier(t)->unmask(p, cut, key_at(2));
                assert_int_equal(tier(t)->unmask(p + cut, lens[l] - cut, key), key_at(2 + lens[l]));
                assert_memory_equal(p, plain, lens[l]);
            }
        }
    }
}

static void rotates_the_key(void **unused)
{
    (void)unused;
    for (size_t n = 0; n < 12; n++) {
        assert_int_equal(wsr_key_rotate(key_at(0), n), key_at(n));
    }
}

static void selects_by_name(void **unused)
{
    (void)unused;
    const struct wsr_kernels *best = tier(0);
    assert_string_equal(wsr_simd_name(), best->name);
    for (unsigned at = 0; wsr_kernels_at(at) != NULL; at++) {
        const struct wsr_kernels *k = wsr_kernels_at(at);
        if (!k->supported()) {
            assert_int_equal(wsr_simd_select(k->name), WSR_EINVAL);
            assert_null(wsr_kernels_named(k->name));
            continue;
        }
        assert_int_equal(wsr_simd_select(k->name), WSR_OK);
        assert_string_equal(wsr_simd_name(), k->name);
        assert_ptr_equal(wsr_kernels_best(), k);
        assert_ptr_equal(wsr_kernels_named(k->name), k);
        /* The public functions are those of the table. */
        uint8_t bytes[5] = {'h', 0xC3, 0xA9, '!', 0xC3}, copy[5];
        wsr_text_state state = {.key = 0};
        assert_int_equal(wsr_copy_mask(copy, bytes, 5, KEY), key_at(5));
        assert_int_equal(wsr_unmask(copy, 5, KEY), key_at(5));
        assert_memory_equal(copy, bytes, 5);
        assert_true(wsr_utf8(&state, bytes, 5));
        assert_int_equal(state.pending, 1);
        wsr_text_state again = {.key = 0};
        assert_true(wsr_unmask_utf8(&again, copy, 5));
        assert_memory_equal(&again, &state, sizeof state);
    }
    const char *const wrong[] = {"", "avx", "avx5120", "AVX2", "scala", "best"};
    const char *before = wsr_simd_name();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(wsr_simd_select(wrong[i]), WSR_EINVAL);
        assert_string_equal(wsr_simd_name(), before);
    }
    assert_int_equal(wsr_simd_select(NULL), WSR_OK);
    assert_string_equal(wsr_simd_name(), best->name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rotates_the_key),
        cmocka_unit_test(selects_by_name),
        cmocka_unit_test(unmasks_every_length_alignment_and_phase),
        cmocka_unit_test(copies_and_masks_every_length_and_alignment),
        cmocka_unit_test(touches_nothing_outside),
        cmocka_unit_test(reads_no_byte_beside_the_source),
        cmocka_unit_test(unmasks_in_pieces_as_in_one),
    };
    report_tiers();
    return cmocka_run_group_tests_name("simd_mask", tests, make_bytes, NULL);
}
