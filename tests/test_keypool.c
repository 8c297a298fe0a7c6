/*
 * tests/test_keypool.c - masking keys are secure, handed out once, wiped, and never shared by two processes.
 *
 * The pool alone against a refill of our own, which fails and counts at will; then with OpenSSL's, over fork(2) and over a
 * bare clone(2) that no fork handler sees.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/keypool.h"
#include "tls/crypto.h"

/* A generator that is all too predictable: word i is i. */
struct counter {
    uint32_t next;
    unsigned calls;
    size_t bytes;
    int fail; /* not 0: returned after scribbling over the buffer */
};

static int count(void *context, uint8_t *out, size_t n)
{
    struct counter *counter = context;
    counter->calls++;
    counter->bytes += n;
    if (counter->fail != 0) {
        memset(out, 0xEE, n);
        return counter->fail;
    }
    for (size_t i = 0; i + 4 <= n; i += 4) {
        uint32_t word = ++counter->next;
        memcpy(out + i, &word, 4);
    }
    return 0;
}

static uint32_t take(struct wsr_keypool *pool)
{
    uint32_t key = 0;
    assert_int_equal(wsr_keypool_take(pool, &key), WSR_OK);
    return key;
}

static void hands_each_key_out_once_and_wipes_it(void **unused)
{
    (void)unused;
    const uint32_t epoch = 7;
    struct counter counter = {0};
    struct wsr_keypool pool;
    wsr_keypool_init(&pool, count, &counter, &epoch);
    assert_int_equal(counter.calls, 0);
    enum { TAKEN = 3 * WSR_KEYPOOL_KEYS };
    static uint8_t seen[TAKEN + 1];
    memset(seen, 0, sizeof seen);
    for (unsigned i = 0; i < TAKEN; i++) {
        uint32_t key = take(&pool);
        assert_in_range(key, 1, TAKEN);
        assert_int_equal(seen[key], 0);
        seen[key] = 1;
        for (unsigned slot = 0; slot < WSR_KEYPOOL_KEYS; slot++) {
            assert_int_not_equal(pool.keys[slot], key);
        }
    }
    assert_int_equal(counter.calls, 3);
    assert_int_equal(counter.bytes, 4 * TAKEN);
    wsr_keypool_wipe(&pool);
}

static void wipes_what_was_not_taken(void **unused)
{
    (void)unused;
    const uint32_t epoch = 7;
    struct counter counter = {0};
    struct wsr_keypool pool;
    wsr_keypool_init(&pool, count, &counter, &epoch);
    (void)take(&pool);
    wsr_keypool_wipe(&pool);
    for (unsigned slot = 0; slot < WSR_KEYPOOL_KEYS; slot++) {
        assert_int_equal(pool.keys[slot], 0);
    }
    assert_true(take(&pool) > WSR_KEYPOOL_KEYS);
}

static void reports_a_failed_refill_and_recovers(void **unused)
{
    (void)unused;
    const uint32_t epochs[2] = {7, 0};
    for (unsigned i = 0; i < 2; i++) {
        struct counter counter = {.fail = -1};
        struct wsr_keypool pool;
        uint32_t key = 0xABCD;
        wsr_keypool_init(&pool, count, &counter, &epochs[i]);
        for (unsigned again = 0; again < 3; again++) {
            assert_int_equal(wsr_keypool_take(&pool, &key), WSR_ERANDOM);
            assert_int_equal(key, 0xABCD);
        }
        counter.fail = 0;
        assert_in_range(take(&pool), 1, WSR_KEYPOOL_KEYS);
    }
}

static void forgets_its_keys_when_the_process_forks(void **unused)
{
    (void)unused;
    uint32_t epoch = 7;
    struct counter counter = {0};
    struct wsr_keypool pool;
    wsr_keypool_init(&pool, count, &counter, &epoch);
    (void)take(&pool);
    epoch = 8;
    assert_true(take(&pool) > WSR_KEYPOOL_KEYS);
    assert_int_equal(counter.calls, 2);
}

static void keeps_no_key_when_forks_cannot_be_told(void **unused)
{
    (void)unused;
    const uint32_t zero = 0;
    const uint32_t *const epochs[2] = {&zero, NULL};
    for (unsigned i = 0; i < 2; i++) {
        struct counter counter = {0};
        struct wsr_keypool pool;
        wsr_keypool_init(&pool, count, &counter, epochs[i]);
        for (uint32_t key = 1; key < 10; key++) {
            assert_int_equal(take(&pool), key);
            assert_int_equal(counter.bytes, 4 * key);
        }
    }
}

/* --- With OpenSSL ----------------------------------------------------------------------------------------------------- */

#define MANY 2048u

static int by_value(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, 4);
    memcpy(&y, b, 4);
    return (x > y) - (x < y);
}

static void takes(struct wsr_keypool *pool, uint32_t *keys, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (wsr_keypool_take(pool, &keys[i]) != WSR_OK) {
            _exit(3); /* also called in a child, where cmocka must not report */
        }
    }
}

static pid_t plain_fork(void)
{
    return fork();
}

static pid_t bare_clone(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

/*
 * Parent and child both go on with what the parent had. Of 2 x 2048 random keys two are equal once in 500 runs; of keys
 * of which even one handful was shared, 100 or more are.
 */
static void shares_no_key(pid_t (*split)(void), int (*refill)(void *, uint8_t *, size_t), void *context)
{
    static uint32_t keys[2 * MANY];
    struct wsr_keypool pool;
    int ends[2];
    wsr_keypool_init(&pool, refill, context, wsr_crypto_fork_epoch());
    (void)take(&pool);
    (void)take(&pool);
    assert_int_equal(pipe(ends), 0);
    pid_t child = split();
    assert_true(child >= 0);
    takes(&pool, keys, MANY);
    if (child == 0) {
        ssize_t written = write(ends[1], keys, sizeof keys / 2);
        _exit(written == (ssize_t)(sizeof keys / 2) ? 0 : 4);
    }
    close(ends[1]);
    uint8_t *to = (uint8_t *)(keys + MANY);
    size_t got = 0;
    for (ssize_t n; (n = read(ends[0], to + got, sizeof keys / 2 - got)) > 0; got += (size_t)n) {
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    close(ends[0]);
    assert_int_equal(status, 0);
    assert_int_equal(got, sizeof keys / 2);
    qsort(keys, 2 * MANY, sizeof keys[0], by_value);
    unsigned equal = 0;
    for (unsigned i = 1; i < 2 * MANY; i++) {
        equal += keys[i] == keys[i - 1];
    }
    assert_in_range(equal, 0, 3);
    wsr_keypool_wipe(&pool);
}

static void a_forked_child_shares_no_key(void **unused)
{
    (void)unused;
    struct wsr_crypto_stream *stream;
    assert_int_equal(wsr_crypto_stream_open(&stream), WSR_OK);
    assert_int_not_equal(*wsr_crypto_fork_epoch(), 0);
    shares_no_key(plain_fork, wsr_crypto_stream_fill, stream);
    shares_no_key(bare_clone, wsr_crypto_stream_fill, stream);
    shares_no_key(plain_fork, wsr_crypto_random, NULL);
    shares_no_key(bare_clone, wsr_crypto_random, NULL);
    wsr_crypto_stream_close(stream);
}

/* The pool may be emptied at the fork: then it is the stream that must not repeat itself. */
static void a_forked_stream_does_not_repeat(void **unused)
{
    (void)unused;
    pid_t (*const splits[2])(void) = {plain_fork, bare_clone};
    for (unsigned i = 0; i < 2; i++) {
        struct wsr_crypto_stream *stream;
        uint8_t ours[64], theirs[64];
        int ends[2], status = -1;
        assert_int_equal(wsr_crypto_stream_open(&stream), WSR_OK);
        assert_int_equal(pipe(ends), 0);
        pid_t child = splits[i]();
        assert_true(child >= 0);
        if (child == 0) {
            int error = wsr_crypto_stream_fill(stream, ours, sizeof ours);
            _exit(error == WSR_OK && write(ends[1], ours, sizeof ours) == sizeof ours ? 0 : 4);
        }
        assert_int_equal(wsr_crypto_stream_fill(stream, ours, sizeof ours), WSR_OK);
        assert_int_equal(read(ends[0], theirs, sizeof theirs), sizeof theirs);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_memory_not_equal(ours, theirs, sizeof ours);
        close(ends[0]);
        close(ends[1]);
        wsr_crypto_stream_close(stream);
    }
}

/* Across a reseeding and in odd pieces: no 16-byte block twice, and as many ones as zeros (within 8 sigma). */
static void the_stream_looks_random(void **unused)
{
    (void)unused;
    enum { BYTES = 3 << 20 };
    uint8_t *bytes = test_malloc(BYTES);
    struct wsr_crypto_stream *stream;
    assert_int_equal(wsr_crypto_stream_open(&stream), WSR_OK);
    memset(bytes, 0, BYTES);
    for (size_t at = 0, some; at < BYTES; at += some) {
        some = at % 4099 + 1 < BYTES - at ? at % 4099 + 1 : BYTES - at;
        assert_int_equal(wsr_crypto_stream_fill(stream, bytes + at, some), WSR_OK);
    }
    unsigned long ones = 0;
    for (size_t i = 0; i < BYTES; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        ones += (unsigned long)__builtin_popcountll(word);
        assert_true(word != 0);
    }
    /* BYTES * 8 bits: mean 12582912, sigma 2508. */
    assert_in_range(ones, BYTES * 4ul - 20064, BYTES * 4ul + 20064);
    uint32_t *words = (uint32_t *)(void *)bytes;
    qsort(words, BYTES / 4, 4, by_value);
    unsigned equal = 0;
    for (size_t i = 1; i < BYTES / 4; i++) {
        equal += words[i] == words[i - 1];
    }
    /* 786432 of 2^32 words: 72 pairs expected; a repeated KiB would add 256 at once. */
    assert_in_range(equal, 20, 180);
    wsr_crypto_stream_close(stream);
    wsr_crypto_stream_close(NULL);
    test_free(bytes);
}

static void sha1_answers_the_example_of_the_rfc(void **unused)
{
    (void)unused;
    /* RFC 6455 section 1.3. */
    static const char text[] = "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    static const uint8_t digest[20] = {0xb3, 0x7a, 0x4f, 0x2c, 0xc0, 0x62, 0x4f, 0x16, 0x90, 0xf6,
                                       0x46, 0x06, 0xcf, 0x38, 0x59, 0x45, 0xb2, 0xbe, 0xc4, 0xea};
    uint8_t out[20];
    assert_int_equal(wsr_crypto_sha1((const uint8_t *)text, sizeof text - 1, out), WSR_OK);
    assert_memory_equal(out, digest, sizeof digest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_each_key_out_once_and_wipes_it),
        cmocka_unit_test(wipes_what_was_not_taken),
        cmocka_unit_test(reports_a_failed_refill_and_recovers),
        cmocka_unit_test(forgets_its_keys_when_the_process_forks),
        cmocka_unit_test(keeps_no_key_when_forks_cannot_be_told),
        cmocka_unit_test(a_forked_child_shares_no_key),
        cmocka_unit_test(a_forked_stream_does_not_repeat),
        cmocka_unit_test(the_stream_looks_random),
        cmocka_unit_test(sha1_answers_the_example_of_the_rfc),
    };
    return cmocka_run_group_tests_name("keypool", tests, NULL, NULL);
}
