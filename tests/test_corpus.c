/*
 * tests/test_corpus.c - the bytes of load messages: the same from the same seed, text that is text, and no two in flight alike.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <wsring/simd.h>

#include "lib/deflated.h"
#include "tools/corpus.h"

static struct corpus corpus;

static int make(void **state)
{
    (void)state;
    return corpus_make(&corpus, 1 << 20, 1, false) ? 0 : -1;
}

static int drop(void **state)
{
    (void)state;
    corpus_free(&corpus);
    return 0;
}

static bool is_text(const uint8_t *p, size_t len)
{
    wsr_text_state text = {0};
    return wsr_utf8(&text, p, len) && text.pending == 0;
}

static void test_same_seed_same_bytes(void **state)
{
    (void)state;
    struct corpus again, other;
    assert_true(corpus_make(&again, 1 << 20, 1, false));
    assert_true(corpus_make(&other, 1 << 20, 2, false));
    assert_memory_equal(again.binary, corpus.binary, corpus.bytes);
    assert_memory_equal(again.text, corpus.text, corpus.bytes);
    assert_memory_not_equal(other.binary, corpus.binary, 4096);
    assert_memory_not_equal(other.text, corpus.text, 4096);
    corpus_free(&again);
    corpus_free(&other);
}

static void test_text_is_text_of_the_length_asked_for(void **state)
{
    (void)state;
    uint32_t cursor = 12345;
    for (uint32_t len = 0; len < 5000; len++) {
        struct corpus_slice slice = corpus_next(&corpus, true, len, &cursor);
        assert_int_equal(slice.len, len);
        assert_true(slice.offset + slice.len <= corpus.bytes);
        assert_true(is_text(corpus.text + slice.offset, slice.len));
    }
    cursor = CORPUS_OFFSETS - CORPUS_STEP - 1;
    struct corpus_slice slice = corpus_next(&corpus, true, 1 << 20, &cursor);
    assert_int_equal(slice.len, 1 << 20);
    assert_true(is_text(corpus.text + slice.offset, slice.len));
}

static void test_text_has_characters_of_every_length(void **state)
{
    (void)state;
    unsigned seen[5] = {0};
    for (uint32_t i = 0; i < CORPUS_OFFSETS; i++) {
        uint8_t b = corpus.text[i];
        if ((b & 0xc0) != 0x80)
            seen[b < 0x80 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4]++;
    }
    for (unsigned n = 1; n <= 4; n++)
        assert_true(seen[n] > 1000);
}

/* What makes an echo out of its turn visible: of 4096 messages in a row, no two have the same bytes. */
static void test_messages_in_a_row_differ(void **state)
{
    (void)state;
    enum { N = 4096, LEN = 16 };
    static uint64_t seen[2 * N];
    memset(seen, 0, sizeof seen);
    uint32_t cursor = 99;
    for (unsigned i = 0; i < N; i++) {
        struct corpus_slice slice = corpus_next(&corpus, false, LEN, &cursor);
        uint64_t bytes;
        memcpy(&bytes, corpus.binary + slice.offset, sizeof bytes);
        unsigned at = (unsigned)(bytes % (2 * N));
        while (seen[at] != 0) {
            assert_true(seen[at] != bytes);
            at = (at + 1) % (2 * N);
        }
        seen[at] = bytes;
    }
}

static void test_offsets_come_back_only_after_all(void **state)
{
    (void)state;
    uint8_t *seen = calloc(1, CORPUS_OFFSETS);
    assert_non_null(seen);
    uint32_t cursor = 5;
    for (uint32_t i = 0; i < CORPUS_OFFSETS; i++) {
        struct corpus_slice slice = corpus_next(&corpus, false, 1, &cursor);
        assert_true(slice.offset < CORPUS_OFFSETS);
        assert_int_equal(seen[slice.offset]++, 0);
    }
    free(seen);
}

/* A corpus that repeats itself is still text, still varied, and becomes much smaller; the other does not. */
static void test_repeats_can_be_compressed(void **state)
{
    (void)state;
    struct corpus repeats;
    struct vectors_bytes out = {NULL, 0, 0};
    assert_true(corpus_make(&repeats, 1 << 20, 1, true));
    assert_true(is_text(repeats.text, repeats.bytes));
    const struct {
        const uint8_t *p;
        bool repeats;
    } cases[] = {{repeats.binary, true}, {repeats.text, true}, {corpus.binary, false}, {corpus.text, false}};
    for (unsigned i = 0; i < 4; i++) {
        out.len = 0;
        deflated_message(&out, cases[i].p + 5000, 1000);
        assert_true(cases[i].repeats ? out.len < 650 : out.len > 900);
    }
    vectors_bytes_free(&out);
    corpus_free(&repeats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_same_bytes),
        cmocka_unit_test(test_text_is_text_of_the_length_asked_for),
        cmocka_unit_test(test_text_has_characters_of_every_length),
        cmocka_unit_test(test_messages_in_a_row_differ),
        cmocka_unit_test(test_offsets_come_back_only_after_all),
        cmocka_unit_test(test_repeats_can_be_compressed),
    };
    return cmocka_run_group_tests_name("corpus", tests, make, drop);
}
