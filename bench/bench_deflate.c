/*
 * bench/bench_deflate.c - zlib and ISA-L behind the interface that ships (proto/deflate.h), message by message, with context takeover and
 * without: what compressing and inflating cost, and what is left of the bytes.
 *
 *     make bench-deflate ARGS='--rounds 25 --json deflate.json'
 *
 * Three corpora (lib/message_corpus.h) of 1 MiB, and the ticks once more in messages of 64 KiB. Every case runs once a round, in
 * another order each round; times are the thread's CPU time, figures medians, and all that was compressed is inflated and
 * compared before anything is timed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "deflate/deflate.h"
#include "lib/goals.h"
#include "lib/isal_inflate.h"
#include "lib/message_corpus.h"

enum { CORPUS_BYTES = 1 << 20, LARGE_BYTES = 1 << 16, KINDS = MESSAGE_KINDS + 1, CASES_MAX = 128, ROUNDS_MAX = 256 };

/* Messages one after another, compressed or not. */
struct messages {
    const uint8_t *bytes;
    const size_t *ends;
    unsigned n;
};

struct bench {
    const char *kind;
    const struct messages *plain;
    bool takeover;
    const char *name;                     /* of the compressor */
    const struct wsr_deflate_ops *deflate;
    unsigned level;
    const struct wsr_inflate_ops *inflate; /* not NULL: inflates what that compressor made */
    struct messages wire;
    uint8_t *wire_bytes;
    size_t *wire_ends;
    double us[ROUNDS_MAX];                /* a message, by round */
};

static struct bench benches[CASES_MAX];
static unsigned benches_n;
static unsigned rounds = 15;
static struct wsr_pool pool;

static void die(const char *what)
{
    fprintf(stderr, "bench_deflate: %s\n", what);
    exit(1);
}

static wsr_slice message_of(const struct messages *m, unsigned i)
{
    size_t start = i > 0 ? m->ends[i - 1] : 0;
    return (wsr_slice){m->bytes + start, m->ends[i] - start};
}

static size_t bytes_of(const struct messages *m)
{
    return m->ends[m->n - 1];
}

/* ---- what is timed ---- */

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void deflate_all(struct bench *b)
{
    struct wsr_codec *codec = b->deflate->open(&pool, b->level, WSR_WINDOW_BITS_MAX, b->takeover);
    if (codec == NULL)
        die("out of memory");
    size_t at = 0;
    for (unsigned i = 0; i < b->plain->n; i++) {
        wsr_slice message = message_of(b->plain, i);
        size_t n = b->deflate->message(codec, message, b->wire_bytes + at, b->deflate->bound(codec, message.len));
        if (n == 0)
            die("a message that cannot be compressed");
        at += n;
        b->wire_ends[i] = at;
    }
    b->deflate->close(codec);
}

/* Returns whether all of it came back as it was, if that is asked. */
static bool inflate_all(const struct bench *b, bool compares)
{
    static const uint8_t tail[4] = {0, 0, 0xFF, 0xFF};
    static uint8_t out[LARGE_BYTES + 64];
    bool same = true;
    struct wsr_codec *codec = b->inflate->open(&pool, WSR_WINDOW_BITS_MAX);
    if (codec == NULL)
        die("out of memory");
    for (unsigned i = 0; i < b->wire.n; i++) {
        wsr_slice in = message_of(&b->wire, i), end = {tail, sizeof tail}, plain = message_of(b->plain, i);
        wsr_span room = {out, sizeof out};
        if (b->inflate->run(codec, &in, &room) < 0 || b->inflate->run(codec, &end, &room) < 0)
            die("a message that does not inflate");
        if (compares)
            same = same && sizeof out - room.len == plain.len && memcmp(out, plain.ptr, plain.len) == 0 && b->inflate->is_between(codec);
        if (!b->takeover)
            b->inflate->reset(codec);
    }
    b->inflate->close(codec);
    return same;
}

/* ---- the cases ---- */

static void add_inflate(const struct bench *compressor, const struct wsr_inflate_ops *inflate)
{
    struct bench *b = &benches[benches_n++];
    *b = *compressor;
    b->inflate = inflate;
    if (!inflate_all(b, true))
        die("a message that came back changed");
}

static void add(const char *kind, const struct messages *plain, bool takeover, const char *name, const struct wsr_deflate_ops *deflate,
                unsigned level)
{
    struct bench *b = &benches[benches_n++];
    *b = (struct bench){.kind = kind, .plain = plain, .takeover = takeover, .name = name, .deflate = deflate, .level = level};
    b->wire_bytes = malloc(2 * bytes_of(plain) + LARGE_BYTES);
    b->wire_ends = malloc(plain->n * sizeof b->wire_ends[0]);
    if (b->wire_bytes == NULL || b->wire_ends == NULL)
        die("out of memory");
    b->wire = (struct messages){b->wire_bytes, b->wire_ends, plain->n};
    deflate_all(b);
    if (level == 0 || level == 6) { /* fixed codes, and codes of their own */
        add_inflate(b, &wsr_inflate_zlib);
        add_inflate(b, &bench_inflate_isal);
    }
}

static void add_kind(const char *kind, const struct messages *plain)
{
    for (int takeover = 0; takeover < 2; takeover++) {
        add(kind, plain, takeover != 0, "ISA-L", &wsr_deflate_isal, 0);
        add(kind, plain, takeover != 0, "zlib 1", &wsr_deflate_zlib, 1);
        add(kind, plain, takeover != 0, "zlib 6", &wsr_deflate_zlib, 6);
        add(kind, plain, takeover != 0, "zlib 9", &wsr_deflate_zlib, 9);
    }
}

static void make_cases(void)
{
    static struct message_corpus corpora[MESSAGE_KINDS];
    static struct messages plain[KINDS];
    static size_t large_ends[CORPUS_BYTES / LARGE_BYTES];
    for (int kind = 0; kind < MESSAGE_KINDS; kind++) {
        if (!message_corpus_make(&corpora[kind], (enum message_kind)kind, CORPUS_BYTES, 1))
            die("out of memory");
        plain[kind] = (struct messages){corpora[kind].bytes, corpora[kind].ends, corpora[kind].n};
        add_kind(message_kind_name((enum message_kind)kind), &plain[kind]);
    }
    for (unsigned i = 0; i < CORPUS_BYTES / LARGE_BYTES; i++)
        large_ends[i] = (i + 1) * (size_t)LARGE_BYTES;
    plain[MESSAGE_KINDS] = (struct messages){corpora[MESSAGE_TICKS].bytes, large_ends, CORPUS_BYTES / LARGE_BYTES};
    add_kind("ticks64K", &plain[MESSAGE_KINDS]);
}

static void run_round(unsigned round)
{
    unsigned order[CASES_MAX];
    for (unsigned i = 0; i < benches_n; i++) {
        unsigned j = (unsigned)rand() % (i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    for (unsigned i = 0; i < benches_n; i++) {
        struct bench *b = &benches[order[i]];
        double begun = now_us();
        if (b->inflate != NULL)
            (void)inflate_all(b, false);
        else
            deflate_all(b);
        b->us[round] = (now_us() - begun) / b->plain->n;
    }
}

/* ---- what is printed ---- */

static double megabytes_per_second(struct bench *b)
{
    return (double)bytes_of(b->plain) / b->plain->n / goal_median(b->us, rounds);
}

static double ratio_of(const struct bench *b)
{
    return (double)bytes_of(b->plain) / (double)bytes_of(&b->wire);
}

static void print_table(void)
{
    printf("%-9s %-9s %-7s %9s %9s %7s   %s\n", "corpus", "takeover", "by", "MB/s", "us/msg", "ratio", "inflated: MB/s by zlib, by ISA-L");
    for (unsigned i = 0; i < benches_n; i++) {
        struct bench *b = &benches[i];
        if (b->inflate != NULL)
            continue;
        if (i == 0 || b->plain != benches[i - 1].plain)
            printf("%-9s %u messages, mean %zu B\n", b->kind, b->plain->n, bytes_of(b->plain) / b->plain->n);
        printf("%-9s %-9s %-7s %9.1f %9.2f %7.2f", "", b->takeover ? "yes" : "no", b->name, megabytes_per_second(b),
               goal_median(b->us, rounds), ratio_of(b));
        if (i + 2 < benches_n && benches[i + 1].inflate != NULL)
            printf("   %8.1f %8.1f", megabytes_per_second(&benches[i + 1]), megabytes_per_second(&benches[i + 2]));
        puts("");
    }
}

static int write_json(const char *path)
{
    FILE *out = fopen(path, "w");
    if (out == NULL)
        return -1;
    fprintf(out, "[");
    for (unsigned i = 0; i < benches_n; i++) {
        const struct bench *b = &benches[i];
        fprintf(out, "%s\n {\"corpus\": \"%s\", \"messages\": %u, \"bytes\": %zu, \"takeover\": %s, \"compressor\": \"%s\", \"compressed\": %zu, ",
                i > 0 ? "," : "", b->kind, b->plain->n, bytes_of(b->plain), b->takeover ? "true" : "false", b->name, bytes_of(&b->wire));
        const char *does = b->inflate == NULL ? "compress" : b->inflate == &wsr_inflate_zlib ? "inflate, zlib" : "inflate, ISA-L";
        fprintf(out, "\"does\": \"%s\", \"us_per_message\": [", does);
        for (unsigned r = 0; r < rounds; r++)
            fprintf(out, "%s%.4f", r > 0 ? ", " : "", b->us[r]);
        fprintf(out, "]}");
    }
    fprintf(out, "\n]\n");
    return fclose(out) == 0 ? 0 : -1;
}

/* inflate NULL: the compressor itself. */
static struct bench *find(const char *kind, bool takeover, const char *name, const struct wsr_inflate_ops *inflate)
{
    for (unsigned i = 0; i < benches_n; i++) {
        struct bench *b = &benches[i];
        if (strcmp(b->kind, kind) == 0 && b->takeover == takeover && strcmp(b->name, name) == 0 && b->inflate == inflate)
            return b;
    }
    die("no such case");
    return NULL;
}

/* The defaults have to be worth it: of each corpus as it comes, so many times as fast, and so much of the ratio kept. */
static void print_goals(void)
{
    static const struct {
        const char *kind;
        bool takeover;
        double speed, size, inflate;
    } wanted[] = {{"ticks", true, 4, 0.95, 1}, {"chat", true, 4, 0.95, 1},    {"binary", true, 4, 0.90, 1},
                  {"ticks", false, 8, 0.80, 1}, {"chat", false, 8, 0.80, 1}, {"binary", false, 8, 0.90, 1},
                  {"ticks64K", false, 2, 1, 0}};
    for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        const char *kind = wanted[i].kind;
        struct bench *ours = find(kind, wanted[i].takeover, "ISA-L", NULL), *zlib = find(kind, wanted[i].takeover, "zlib 1", NULL);
        char name[64];
        snprintf(name, sizeof name, "deflate-%s%s-speed", kind, wanted[i].takeover ? "-takeover" : "");
        goal_print(name, goal_ratio(zlib->us, rounds, ours->us, rounds), wanted[i].speed, true);
        double size = ratio_of(ours) / ratio_of(zlib);
        snprintf(name, sizeof name, "deflate-%s%s-ratio", kind, wanted[i].takeover ? "-takeover" : "");
        goal_print(name, (struct goal_figure){size, size, size}, wanted[i].size, true);
        if (wanted[i].inflate == 0)
            continue;
        struct bench *by_zlib = find(kind, wanted[i].takeover, "zlib 6", &wsr_inflate_zlib);
        struct bench *by_isal = find(kind, wanted[i].takeover, "zlib 6", &bench_inflate_isal);
        snprintf(name, sizeof name, "inflate-%s%s-speed", kind, wanted[i].takeover ? "-takeover" : "");
        goal_print(name, goal_ratio(by_isal->us, rounds, by_zlib->us, rounds), wanted[i].inflate, true);
    }
}

int main(int argc, char **argv)
{
    const char *json = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds = (unsigned)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc)
            json = argv[++i];
        else
            rounds = 0;
    }
    if (rounds == 0 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: bench_deflate [--rounds N (1 to %d)] [--json FILE]\n", ROUNDS_MAX);
        return 2;
    }
    wsr_pool_init(&pool, NULL, 0, 0);
    srand(1);
    make_cases();
    for (unsigned round = 0; round < rounds; round++)
        run_round(round);
    print_table();
    if (json != NULL && write_json(json) != 0) {
        perror(json);
        return 1;
    }
    puts("");
    print_goals();
    return 0;
}
