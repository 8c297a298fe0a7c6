/*
 * bench/bench_simd.c - the SIMD core against memcpy, plain XOR, a byte loop, Boost.Beast and the published UTF-8 lookup.
 *
 *     make bench-simd ARGS='--rounds 41 --ms 4 --json simd.json'        WSRING_ISA=avx2 make bench-simd
 *
 * A group (one text, one length) is measured interleaved: every case in every round, in random order. Messages up to 16 KiB
 * together lie packed behind headers, as frames do in a receive buffer: hot in the first-level cache, at all alignments, and
 * none is touched again so soon that its stores are still under way. The key is 0, which the compiler does not know, so that
 * the text stays what it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_shim.h"
#include "lib/goals.h"
#include "lib/results.h"
#include "lib/rivals.h"
#include "proto/keypool.h"
#include "simd/simd.h"
#include "tls/crypto.h"

#define CASES_MAX 32u
#define PACKED_BYTES 16384u
#define MEMORY_BYTES ((size_t)2 << 20)

static volatile uint32_t zero_key;
static volatile bool sink_bool;
static volatile uint32_t sink_u32;

static unsigned rounds = 25;
static double seconds_min = 0.002;

/* Messages of one length in memory: slots of them, each the first after `header` bytes, stride apart. */
struct field {
    uint8_t *first;
    size_t len, stride, slots;
};

struct job {
    struct field field, other; /* other: where copies come from */
    const struct wsr_kernels *kernels;
    struct wsr_keypool *pool;
};

/* --- What is timed ---------------------------------------------------------------------------------------------------- */

#define EACH(job, p) for (uint8_t *p = (job)->field.first, *end_ = p + (job)->field.slots * (job)->field.stride; p != end_; p += (job)->field.stride)

static void pass_unmask(void *arg)
{
    const struct job *job = arg;
    EACH(job, p) {
        sink_u32 = job->kernels->unmask(p, job->field.len, zero_key);
    }
}

static void pass_utf8(void *arg)
{
    const struct job *job = arg;
    EACH(job, p) {
        wsr_text_state state = {.key = 0};
        sink_bool = job->kernels->utf8(&state, p, job->field.len) && state.pending == 0;
    }
}

static void pass_fused(void *arg)
{
    const struct job *job = arg;
    EACH(job, p) {
        wsr_text_state state = {.key = zero_key};
        sink_bool = job->kernels->unmask_utf8(&state, p, job->field.len) && state.pending == 0;
    }
}

static void pass_two_own(void *arg)
{
    const struct job *job = arg;
    EACH(job, p) {
        wsr_text_state state = {.key = 0};
        sink_u32 = job->kernels->unmask(p, job->field.len, zero_key);
        sink_bool = job->kernels->utf8(&state, p, job->field.len) && state.pending == 0;
    }
}

static void pass_two_lookup(void *arg)
{
    const struct job *job = arg;
    EACH(job, p) {
        sink_u32 = job->kernels->unmask(p, job->field.len, zero_key);
        sink_bool = rival_utf8_lookup(p, job->field.len);
    }
}

static void pass_two_beast(void *arg)
{
    const struct job *job = arg;
    EACH(job, p) {
        sink_u32 = job->kernels->unmask(p, job->field.len, zero_key);
        sink_bool = bench_beast_utf8(p, job->field.len);
    }
}

static void pass_beast(void *arg)
{
    const struct job *job = arg;
    EACH(job, p) {
        bench_beast_mask(p, job->field.len, zero_key);
        sink_bool = bench_beast_utf8(p, job->field.len);
    }
}

static void pass_lookup(void *arg)
{
    const struct job *job = arg;
    EACH(job, p) {
        sink_bool = rival_utf8_lookup(p, job->field.len);
    }
}

static void pass_beast_utf8(void *arg)
{
    const struct job *job = arg;
    EACH(job, p) {
        sink_bool = bench_beast_utf8(p, job->field.len);
    }
}

static void pass_beast_mask(void *arg)
{
    const struct job *job = arg;
    EACH(job, p) {
        bench_beast_mask(p, job->field.len, zero_key);
    }
}

static void pass_bytes(void *arg)
{
    const struct job *job = arg;
    EACH(job, p) {
        rival_mask_bytes(p, job->field.len, zero_key);
    }
}

static void pass_wide(void *arg)
{
    const struct job *job = arg;
    EACH(job, p) {
        rival_mask_wide(p, job->field.len, zero_key);
    }
}

static void pass_memcpy(void *arg)
{
    const struct job *job = arg;
    const uint8_t *from = job->other.first;
    EACH(job, p) {
        memcpy(p, from, job->field.len);
        from += job->other.stride;
    }
}

static void pass_memcpy_unmask(void *arg)
{
    const struct job *job = arg;
    const uint8_t *from = job->other.first;
    EACH(job, p) {
        memcpy(p, from, job->field.len);
        sink_u32 = job->kernels->unmask(p, job->field.len, zero_key);
        from += job->other.stride;
    }
}

static void pass_copy_mask(void *arg)
{
    const struct job *job = arg;
    const uint8_t *from = job->other.first;
    EACH(job, p) {
        sink_u32 = job->kernels->copy_mask(p, from, job->field.len, zero_key);
        from += job->other.stride;
    }
}

#define KEYS_A_PASS 1000u

static void pass_keys(void *arg)
{
    const struct job *job = arg;
    uint32_t key = 0;
    for (unsigned i = 0; i < KEYS_A_PASS; i++) {
        if (wsr_keypool_take(job->pool, &key) != WSR_OK) {
            abort();
        }
        sink_u32 = key;
    }
}

static void pass_getrandom(void *arg)
{
    uint8_t bytes[4];
    (void)arg;
    for (unsigned i = 0; i < KEYS_A_PASS; i++) {
        if (wsr_crypto_random(NULL, bytes, sizeof bytes) != WSR_OK) {
            abort();
        }
        sink_u32 = bytes[0];
    }
}

static void pass_rand(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < KEYS_A_PASS; i++) {
        sink_u32 = (uint32_t)rand();
    }
}

/* A chain of additions takes a cycle each, whatever the clock does: nanoseconds become cycles of the same moment. */
#define CYCLES_A_PASS 10000u

static void pass_clock(void *arg)
{
    uint64_t x = 1;
    (void)arg;
    for (unsigned i = 0; i < CYCLES_A_PASS / 10; i++) {
#if defined(__x86_64__)
        __asm__ volatile("add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\t"
                         "add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0" : "+r"(x));
#else
        for (unsigned j = 0; j < 10; j++) {
            __asm__ volatile("" : "+r"(x));
            x += j;
        }
#endif
    }
    sink_u32 = (uint32_t)x;
}

/* --- Groups ----------------------------------------------------------------------------------------------------------- */

static uint8_t *memory, *memory_other;
static struct bench_case cases[CASES_MAX];
static struct job jobs[CASES_MAX];
static double units[CASES_MAX]; /* messages (keys, cycles) a pass */
static unsigned cases_n;

static void group_begin(void)
{
    cases_n = 0;
}

static void add(const char *name, void (*pass)(void *), struct job job, double a_pass)
{
    if (cases_n == CASES_MAX) {
        fprintf(stderr, "bench_simd: too many cases\n");
        exit(1);
    }
    double *ns = calloc(rounds, sizeof *ns);
    if (ns == NULL) {
        exit(1);
    }
    jobs[cases_n] = job;
    units[cases_n] = a_pass;
    cases[cases_n] = (struct bench_case){.name = name, .pass = pass, .arg = &jobs[cases_n], .ns = ns};
    cases_n++;
}

static void group_run(const char *group, size_t len)
{
    add("clock", pass_clock, (struct job){.kernels = NULL}, CYCLES_A_PASS);
    if (bench_run(cases, cases_n, rounds, seconds_min) != 0) {
        fprintf(stderr, "bench_simd: %s %zu: a case was not measured\n", group, len);
        exit(1);
    }
    for (unsigned i = 0; i < cases_n; i++) {
        for (unsigned j = 0; j < rounds; j++) {
            cases[i].ns[j] /= units[i];
        }
        result_add(group, len, cases[i].name, cases[i].ns, rounds);
    }
}

/* RFC 6455 section 5.2: what stands before the payload of a client's frame. */
static size_t header_len(size_t len)
{
    return len < 126 ? 6 : len < 65536 ? 8 : 14;
}

static struct field field_make(uint8_t *at, size_t len, bool aligned)
{
    /* Not at a page's start: a message of a whole number of pages would end with an access across two, always. */
    at += 128;
    size_t header = aligned ? 0 : header_len(len), stride = aligned ? (len + 63) / 64 * 64 : header + len;
    struct field f = {.first = at + header, .len = len, .stride = stride, .slots = PACKED_BYTES / stride};
    f.slots = f.slots > 0 ? f.slots : 1;
    return f;
}

/* Whole characters only: what would be cut is made ASCII. */
static void field_fill(const struct field *f, const char *text)
{
    size_t period = strlen(text), whole = f->len / period * period;
    for (size_t s = 0; s < f->slots; s++) {
        uint8_t *p = f->first + s * f->stride;
        for (size_t i = 0; i < f->len; i++) {
            p[i] = (uint8_t)text[i % period];
        }
        size_t end = whole, next = whole;
        while (next < f->len) { /* characters of the last, partial period that fit */
            uint8_t lead = p[next];
            next += lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
            end = next <= f->len ? next : end;
        }
        memset(p + end, '.', f->len - end);
    }
}

static const struct wsr_kernels *tier(unsigned i)
{
    static const struct wsr_kernels *tiers[8];
    static unsigned n;
    for (unsigned at = 0; n == 0 && wsr_kernels_at(at) != NULL; at++) {
        if (wsr_kernels_at(at)->supported()) {
            unsigned to = 0;
            while (tiers[to] != NULL) {
                to++;
            }
            tiers[to] = wsr_kernels_at(at);
        }
    }
    n = 1;
    return tiers[i];
}

static char *name_of(const struct wsr_kernels *k, const char *what)
{
    static char names[CASES_MAX][24];
    static unsigned at;
    char *name = names[at++ % CASES_MAX];
    snprintf(name, sizeof names[0], "%s %s", k->name, what);
    return name;
}

static void measure_text(const char *group, const char *text, size_t len)
{
    const struct wsr_kernels *best = wsr_kernels_best();
    struct field packed = field_make(memory, len, false), aligned = field_make(memory_other, len, true);
    double n = (double)packed.slots, n_aligned = (double)aligned.slots;
    struct job job = {.field = packed, .kernels = best};
    field_fill(&packed, text);
    field_fill(&aligned, text);
    group_begin();
    add("memory: XOR, aligned", pass_wide, (struct job){.field = aligned}, n_aligned);
    add("memory: XOR", pass_wide, job, n);
    add("byte loop", pass_bytes, job, n);
    for (unsigned t = 0; tier(t) != NULL; t++) {
        job.kernels = tier(t);
        add(name_of(tier(t), "unmask"), pass_unmask, job, n);
        add(name_of(tier(t), "utf8"), pass_utf8, job, n);
        add(name_of(tier(t), "fused"), pass_fused, job, n);
    }
    job.kernels = best;
    add("unmask, aligned", pass_unmask, (struct job){.field = aligned, .kernels = best}, n_aligned);
    add("fused, aligned", pass_fused, (struct job){.field = aligned, .kernels = best}, n_aligned);
    if (strcmp(rival_isa(), "none") != 0) {
        add("lookup utf8", pass_lookup, job, n);
        add("two passes: unmask, lookup", pass_two_lookup, job, n);
    }
    if (bench_beast) {
        add("Beast mask", pass_beast_mask, job, n);
        add("Beast utf8", pass_beast_utf8, job, n);
        add("two passes: Beast", pass_beast, job, n);
        add("two passes: unmask, Beast", pass_two_beast, job, n);
    }
    add("two passes: ours", pass_two_own, job, n);
    group_run(group, len);
}

/* From the application's message, which malloc aligned, to behind a header. */
static void measure_copy(size_t len)
{
    /* Half a page apart: CPUs take a load for one of a recent store if the addresses' low twelve bits agree, and wait. */
    struct job job = {.field = field_make(memory, len, false), .other = field_make(memory_other + 2048, len, true), .kernels = wsr_kernels_best()};
    double n = (double)(job.other.slots < job.field.slots ? job.other.slots : job.field.slots);
    job.field.slots = (size_t)n;
    group_begin();
    add("memcpy", pass_memcpy, job, n);
    add("memcpy, unmask", pass_memcpy_unmask, job, n);
    add("copy_mask", pass_copy_mask, job, n);
    group_run("copy and mask", len);
}

static void measure_keys(void)
{
    static struct wsr_keypool pool;
    struct wsr_crypto_stream *stream;
    if (wsr_crypto_stream_open(&stream) != WSR_OK) {
        fprintf(stderr, "bench_simd: no random bytes\n");
        exit(1);
    }
    wsr_keypool_init(&pool, wsr_crypto_stream_fill, stream, wsr_crypto_fork_epoch());
    group_begin();
    add("key from the pool", pass_keys, (struct job){.pool = &pool}, KEYS_A_PASS);
    add("key from the kernel", pass_getrandom, (struct job){.pool = NULL}, KEYS_A_PASS);
    add("rand(), not secure", pass_rand, (struct job){.pool = NULL}, KEYS_A_PASS);
    group_run("masking keys", 4);
    wsr_keypool_wipe(&pool);
    wsr_crypto_stream_close(stream);
}

/* --- Goals ------------------------------------------------------------------------------------------------------------ */

/* The fastest of the two passes of which one is not ours. */
static struct result *best_two_pass(const char *group, size_t len)
{
    struct result *best = NULL, *r;
    static const char *const names[] = {"two passes: unmask, lookup", "two passes: unmask, Beast", "two passes: Beast"};
    for (unsigned i = 0; i < 3; i++) {
        if ((r = result_find(group, len, names[i])) != NULL && (best == NULL || r->median < best->median)) {
            best = r;
        }
    }
    return best;
}

static void print_goals(const char *ascii, const char *wide, const size_t *copies, unsigned copies_n)
{
    const struct wsr_kernels *best = wsr_kernels_best();
    const char *fused = name_of(best, "fused"), *unmask = name_of(best, "unmask");
    puts("");
    result_goal("fused/two-passes-64KiB-ascii", best_two_pass(ascii, 65536), result_find(ascii, 65536, fused), 1.8);
    result_goal("fused/two-passes-4KiB-ascii", best_two_pass(ascii, 4096), result_find(ascii, 4096, fused), 1.6);
    result_goal("fused/two-passes-64KiB-chinese", best_two_pass(wide, 65536), result_find(wide, 65536, fused), 1.6);
    result_goal("fused/unmask-64KiB-ascii", result_find(ascii, 65536, unmask), result_find(ascii, 65536, fused), 0.92);
    result_goal("unmask/xor-roofline-64KiB", result_find(ascii, 65536, "memory: XOR, aligned"), result_find(ascii, 65536, unmask), 0.95);
    result_goal("unmask-misaligned/aligned-64KiB", result_find(ascii, 65536, "unmask, aligned"), result_find(ascii, 65536, unmask), 0.95);
    result_goal("fused-misaligned/aligned-64KiB", result_find(ascii, 65536, "fused, aligned"), result_find(ascii, 65536, fused), 0.95);
    struct result *two = best_two_pass(ascii, 16), *one = result_find(ascii, 16, fused);
    if (two != NULL) {
        goal_print("fused-cycles/two-passes-16B-ascii", goal_ratio(one->ns, one->n, two->ns, two->n), 0.4, false);
    }
    result_goal("copy-mask/memcpy-unmask-1KiB", result_find("copy and mask", 1024, "memcpy, unmask"), result_find("copy and mask", 1024, "copy_mask"), 2);
    struct goal_figure least = {.value = 1e9};
    for (unsigned i = 0; i < copies_n; i++) {
        struct result *slow = result_find("copy and mask", copies[i], "memcpy, unmask"), *fast = result_find("copy and mask", copies[i], "copy_mask");
        struct goal_figure ratio = goal_ratio(slow->ns, slow->n, fast->ns, fast->n);
        least = ratio.value < least.value ? ratio : least;
    }
    goal_print("copy-mask/memcpy-unmask-worst-size", least, 1, true);
    struct result *key = result_find("masking keys", 4, "key from the pool");
    goal_print("masking-key-ns", goal_value(key->ns, key->n, 1), 4, false);
}

static const char *option(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return argv[i + 1];
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static const size_t lens[] = {16, 125, 1024, 4096, 65536, 1048576};
    static const size_t copies[] = {16, 20, 64, 125, 256, 1024, 4096, 65536, 1048576};
    enum { LENS = sizeof lens / sizeof lens[0], COPIES = sizeof copies / sizeof copies[0] };
    static const char ascii[] = "ASCII", wide[] = "Chinese and emoji";
    const char *isa = getenv("WSRING_ISA"), *value;
    bench_init(&argc, argv);
    if (isa != NULL && wsr_simd_select(isa) != WSR_OK) {
        fprintf(stderr, "bench_simd: WSRING_ISA=%s: not here\n", isa);
        return 2;
    }
    if (isa != NULL && strcmp(isa, "avx512") != 0) {
        rival_forbid_avx512();
    }
    rounds = (value = option(argc, argv, "--rounds")) != NULL ? (unsigned)strtoul(value, NULL, 10) : rounds;
    seconds_min = (value = option(argc, argv, "--ms")) != NULL ? strtod(value, NULL) / 1e3 : seconds_min;
    rounds = rounds < 5 ? 5 : rounds;
    memory = aligned_alloc(4096, MEMORY_BYTES);
    memory_other = aligned_alloc(4096, MEMORY_BYTES);
    if (memory == NULL || memory_other == NULL) {
        return 1;
    }
    memset(memory, 0, MEMORY_BYTES);
    memset(memory_other, 0, MEMORY_BYTES);
    printf("kernels: %s; the published lookup: %s; Boost.Beast: %s; %u rounds of %.0f ms\n", wsr_simd_name(), rival_isa(),
           bench_beast ? "yes" : "no (libboost-dev)", rounds, seconds_min * 1e3);
    for (unsigned i = 0; i < LENS; i++) {
        measure_text(ascii, "The quick brown fox jumps over the lazy dog; ", lens[i]);
        measure_text(wide, "\xE4\xB8\xAD\xE6\x96\x87\xE5\xAD\x97\xE7\xAC\xA6\xE6\xB5\x8B\xE8\xAF\x95\xF0\x9F\x98\x80\xE3\x80\x82", lens[i]);
    }
    for (unsigned i = 0; i < COPIES; i++) {
        measure_copy(copies[i]);
    }
    measure_keys();

    static const char *const slow[] = {"two passes: unmask, lookup", "two passes: unmask, Beast", "two passes: Beast", "two passes: ours"};
    const char *fused = name_of(wsr_kernels_best(), "fused");
    const char *const groups[] = {ascii, wide};
    for (unsigned g = 0; g < 2; g++) {
        results_print(groups[g], lens, LENS);
        printf("\n%s: how many times as fast is %s (95 %% interval)\n", groups[g], fused);
        for (unsigned i = 0; i < sizeof slow / sizeof slow[0]; i++) {
            results_print_ratios(groups[g], lens, LENS, fused, slow[i]);
        }
    }
    results_print("copy and mask", copies, COPIES);
    results_print_ratios("copy and mask", copies, COPIES, "copy_mask", "memcpy, unmask");
    puts("\nmasking keys: ns a key");
    static const char *const keys[] = {"key from the pool", "key from the kernel", "rand(), not secure"};
    for (unsigned i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        printf("%-28s %8.2f\n", keys[i], result_find("masking keys", 4, keys[i])->median);
    }
    if ((value = option(argc, argv, "--json")) != NULL) {
        if (results_json(value) != 0) {
            perror(value);
            return 1;
        }
    }
    print_goals(ascii, wide, copies, COPIES);
    return 0;
}
