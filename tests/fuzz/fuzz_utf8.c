/*
 * tests/fuzz/fuzz_utf8.c - every set of kernels against a decoder: the same verdict for the whole and for any cut of it, masked
 * or not, and the text unmasked as it was.
 */
#include "fuzz/check.h"
#include "fuzz/utf8.h"
#include "simd/simd.h"

/* Feeds the text in pieces; the answer is that of the last piece, or of the first that failed. */
static bool check_pieces(const struct wsr_kernels *kernels, const uint8_t *p, size_t len, size_t piece, uint32_t key, uint8_t *pending)
{
    wsr_text_state state = {.key = key};
    bool good = true;
    for (size_t at = 0; at < len && good; at += piece) {
        size_t take = len - at < piece ? len - at : piece;
        uint8_t *copy = copy_of(p + at, take);
        if (key == 0) {
            good = kernels->utf8(&state, copy, take);
        } else {
            uint32_t phase = wsr_key_rotate(key, at);
            (void)wsr_kernels_named("scalar")->unmask(copy, take, phase);
            good = kernels->unmask_utf8(&state, copy, take);
            CHECK(!good || memcmp(copy, p + at, take) == 0);
            CHECK(!good || state.key == wsr_key_rotate(phase, take));
        }
        bool cut;
        size_t valid = utf8_valid_len(p, at + take, &cut);
        CHECK(good == (valid == at + take || cut)); /* fail-fast: with this piece and not a later one */
        free(copy);
    }
    *pending = state.pending;
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    size_t piece = 1 + input_byte(&in);
    uint32_t key = input_byte(&in);
    key |= key << 9 | key << 18 | 0x40000000;
    bool cut;
    size_t valid = utf8_valid_len(in.p, in.len, &cut);
    for (unsigned i = 0; wsr_kernels_at(i) != NULL; i++) {
        const struct wsr_kernels *kernels = wsr_kernels_at(i);
        if (!kernels->supported())
            continue;
        for (unsigned k = 0; k < 4; k++) {
            uint8_t pending = 0;
            bool good = check_pieces(kernels, in.p, in.len, (k & 1) != 0 ? piece : SIZE_MAX, (k & 2) != 0 ? key : 0, &pending);
            CHECK(good == (valid == in.len || cut));
            CHECK(!good || (pending != 0) == cut);
        }
    }
    return 0;
}
