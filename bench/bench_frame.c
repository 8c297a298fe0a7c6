/*
 * bench/bench_frame.c - the consume loop that ships (header, unmask, validate, event) against wslay's frame reader.
 *
 *     make bench-frame ARGS='--rounds 41 --ms 4 --json frame.json'
 *
 * Frames as a client sends them: 256 KiB of equal ones, 1 MiB of random sizes, which is more than a branch predictor learns by
 * heart (256 KiB is not: it then runs twice as fast). All masking keys are 0, so a pass leaves the bytes as they were and every pass does the same work. Every case runs in every round, in
 * random order. wslay validates no UTF-8 here and writes no events: it has less to do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wslay/wslay.h>
#include <wsring/frame.h>

#include "bench_shim.h"
#include "lib/goals.h"
#include "proto/consume.h"

#define BUFFER_BYTES ((size_t)1 << 20)
#define EQUAL_BYTES ((size_t)256 << 10)
#define EVENTS 256u /* a batch */
#define CASES_MAX 8u

static unsigned rounds = 25;
static double seconds_min = 0.002;
static double cycles_per_ns;
static FILE *json;
static unsigned json_rows;

struct frames {
    uint8_t *bytes;
    size_t len;
    size_t n;
};

struct job {
    const struct frames *frames;
    const struct wsr_consume *consume;
    struct wsr_env *env;
};

/* ---- what is timed ---- */

static wsr_event events[EVENTS] __attribute__((aligned(64)));
static volatile size_t sink;

static void die(const char *what)
{
    fprintf(stderr, "bench_frame: %s\n", what);
    exit(1);
}

static void pass_consume(void *arg)
{
    const struct job *job = arg;
    struct wsr_endpoint ep;
    memset(&ep, 0, sizeof ep);
    ep.env = job->env;
    for (size_t done = 0; done < job->frames->len;) {
        struct wsr_batch batch = {events, EVENTS, 0, 1};
        int stop;
        size_t took = job->consume->run(&ep, &batch, job->frames->bytes + done, job->frames->len - done, &stop);
        if (took == 0 || stop != WSR_OK)
            die("the consume loop stopped at a good frame");
        done += took;
    }
    if (ep.messages_in != job->frames->n)
        die("the consume loop lost a frame");
}

struct reader {
    const uint8_t *p, *end;
};

static ssize_t wslay_reads(uint8_t *to, size_t len, int flags, void *user)
{
    struct reader *reader = user;
    (void)flags;
    size_t have = (size_t)(reader->end - reader->p), n = len < have ? len : have;
    if (n == 0)
        return -1;
    memcpy(to, reader->p, n);
    reader->p += n;
    return (ssize_t)n;
}

static void pass_wslay(void *arg)
{
    const struct job *job = arg;
    struct reader reader = {job->frames->bytes, job->frames->bytes + job->frames->len};
    static const struct wslay_frame_callbacks calls = {NULL, wslay_reads, NULL};
    wslay_frame_context_ptr context;
    if (wslay_frame_context_init(&context, &calls, &reader) != 0)
        die("wslay: out of memory");
    struct wslay_frame_iocb io;
    size_t bytes = 0;
    while (wslay_frame_recv(context, &io) >= 0)
        bytes += io.data_length;
    sink = bytes;
    wslay_frame_context_free(context);
}

/* ---- what it is timed on ---- */

static uint32_t random_next(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 8;
}

/* Masked frames of low to high bytes of payload, as many as fit. */
static void fill(struct frames *frames, wsr_opcode opcode, unsigned low, unsigned high)
{
    static const uint8_t key[4];
    const size_t room = low == high ? EQUAL_BYTES : BUFFER_BYTES;
    uint32_t x = 1;
    frames->len = frames->n = 0;
    for (;;) {
        unsigned n = low + random_next(&x) % (high - low + 1);
        if (frames->len + wsr_frame_header_size(n, true) + n > room)
            return;
        frames->len += wsr_frame_header_encode(frames->bytes + frames->len, (uint8_t)(WSR_FIN | (unsigned)opcode), n, key);
        memset(frames->bytes + frames->len, 'a', n);
        frames->len += n;
        frames->n++;
    }
}

/* ---- figures ---- */

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* An addition that waits for the one before takes a cycle: so many of them in a nanosecond. The best of many short tries. */
static double calibrate(void)
{
    double best = 0;
    for (unsigned try = 0; try < 200; try++) {
        enum { TURNS = 5000, ADDS = 8 };
        uint64_t x = 1, y = 3;
        double begin = now_ns();
        for (unsigned i = 0; i < TURNS; i++) {
#define ADD __asm__ volatile("" : "+r"(x)); x += y;
            ADD ADD ADD ADD ADD ADD ADD ADD
#undef ADD
        }
        double per_ns = TURNS * ADDS / (now_ns() - begin);
        sink = (size_t)x;
        if (per_ns > best)
            best = per_ns;
    }
    return best;
}

/* Measures all loops of this CPU and wslay on one kind of frames; returns how many times as fast as wslay the best is. */
static struct goal_figure measure(const char *name, struct frames *frames, wsr_opcode opcode, unsigned low, unsigned high)
{
    static struct wsr_env env;
    env.limits.message_bytes_max = env.limits.whole_bytes_max = (uint64_t)1 << 24;
    fill(frames, opcode, low, high);
    struct bench_case cases[CASES_MAX];
    struct job jobs[CASES_MAX];
    unsigned n = 0;
    for (unsigned i = 0; wsr_kernels_at(i) != NULL && n + 1 < CASES_MAX; i++) {
        const struct wsr_kernels *kernels = wsr_kernels_at(i);
        if (!kernels->supported())
            continue;
        jobs[n] = (struct job){frames, wsr_consume_for(kernels), &env};
        cases[n] = (struct bench_case){.name = kernels->name, .pass = pass_consume, .arg = &jobs[n]};
        n++;
    }
    jobs[n] = (struct job){.frames = frames};
    cases[n] = (struct bench_case){.name = "wslay", .pass = pass_wslay, .arg = &jobs[n]};
    n++;
    for (unsigned i = 0; i < n; i++) {
        cases[i].ns = malloc(rounds * sizeof *cases[i].ns);
        if (cases[i].ns == NULL)
            die("out of memory");
    }
    if (bench_run(cases, n, rounds, seconds_min) != 0)
        die("a case was not measured");

    printf("\n%s: %zu frames, %zu KiB\n%-10s %12s %14s %10s\n", name, frames->n, frames->len >> 10, "loop", "M frames/s", "cycles/frame", "GB/s");
    for (unsigned i = 0; i < n; i++) {
        double ns = goal_value(cases[i].ns, cases[i].rounds, 1.0 / (double)frames->n).value;
        printf("%-10s %12.1f %14.2f %10.2f\n", cases[i].name, 1e3 / ns, ns * cycles_per_ns, (double)frames->len / (double)frames->n / ns);
        if (json != NULL)
            fprintf(json, "%s\n  {\"frames\": \"%s\", \"loop\": \"%s\", \"ns_per_frame\": %.3f, \"cycles_per_frame\": %.2f}",
                    json_rows++ == 0 ? "[" : ",", name, cases[i].name, ns, ns * cycles_per_ns);
    }
    struct goal_figure ratio = goal_ratio(cases[n - 1].ns, cases[n - 1].rounds, cases[0].ns, cases[0].rounds);
    printf("%s is %.2f times as fast as wslay [%.2f %.2f]\n", cases[0].name, ratio.value, ratio.low, ratio.high);
    for (unsigned i = 0; i < n; i++)
        free(cases[i].ns);
    return ratio;
}

int main(int argc, char **argv)
{
    bench_init(&argc, argv);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--rounds") == 0)
            rounds = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--ms") == 0)
            seconds_min = strtod(argv[i + 1], NULL) / 1e3;
        else if (strcmp(argv[i], "--json") == 0 && (json = fopen(argv[i + 1], "w")) == NULL)
            die("cannot write the JSON file");
    }
    if (rounds < 5)
        rounds = 5;
    struct frames frames = {.bytes = aligned_alloc(4096, BUFFER_BYTES)};
    if (frames.bytes == NULL)
        die("out of memory");
    cycles_per_ns = calibrate();
    printf("%.2f cycles a nanosecond; %u rounds of %.0f ms\n", cycles_per_ns, rounds, seconds_min * 1e3);

    struct goal_figure binary_20 = measure("20 B binary", &frames, WSR_BINARY, 20, 20);
    struct goal_figure text_20 = measure("20 B text", &frames, WSR_TEXT, 20, 20);
    (void)measure("4-60 B binary", &frames, WSR_BINARY, 4, 60);
    (void)measure("4-60 B text", &frames, WSR_TEXT, 4, 60);
    (void)measure("125 B text", &frames, WSR_TEXT, 125, 125);
    (void)measure("1 KiB text", &frames, WSR_TEXT, 1024, 1024);
    if (json != NULL) {
        fputs("\n]\n", json);
        fclose(json);
    }
    puts("");
    goal_print("frame-20B-binary-wslay", binary_20, 6.0, true);
    goal_print("frame-20B-text-wslay", text_20, 6.0, true);
    free(frames.bytes);
    return 0;
}
