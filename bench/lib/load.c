/*
 * bench/lib/load.c - see load.h.
 */
#define _GNU_SOURCE /* CPU_SETSIZE */
#include "lib/load.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How long a server gets to go to sleep before its CPU time is read. */
#define SETTLE_NS 2000000

struct load_options load_options = {.connections = 1, .slices = 1, .seconds = 0.5, .warm_up_seconds = 0.1, .brake_core = -1, .brakes = 1};

static const struct load_target *current;

void load_die(const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "%s: ", load_options.program);
    if (current != NULL)
        fprintf(stderr, "port %u: ", current->port);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

int64_t load_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double load_now(void)
{
    return (double)load_now_ns() * 1e-9;
}

/* --- The command line ---------------------------------------------------------------------------------------------------- */

static void complain(const char *option, const char *text, const char *wanted)
{
    fprintf(stderr, "%s: --%s %s: %s\n", load_options.program, option, text, wanted);
    exit(2);
}

static double number(const char *option, const char *text, double min, double max)
{
    char *end, wanted[64];
    double value = strtod(text, &end);

    snprintf(wanted, sizeof wanted, "a number from %g to %g is wanted", min, max);
    if (end == text || *end != '\0' || !(value >= min && value <= max))
        complain(option, text, wanted);
    return value;
}

/* ws:PORT or raw:PORT, with :PID behind it if its CPU time is wanted. */
static void target_parse(const char *text)
{
    struct load_target *target = &load_options.targets[load_options.target_count];
    char mode[4] = "", rest;
    int n;

    if (load_options.target_count == LOAD_TARGETS_MAX)
        complain("target", text, "too many");
    n = sscanf(text, "%3[a-z]:%u:%d%c", mode, &target->port, &target->pid, &rest);
    target->raw = strcmp(mode, "raw") == 0;
    if (n < 2 || n > 3 || target->port == 0 || target->port > 65535 || target->pid < 0 || (!target->raw && strcmp(mode, "ws") != 0))
        complain("target", text, "ws:PORT[:PID] or raw:PORT[:PID] is wanted");
    load_options.target_count++;
}

/* In the order of the enum below. */
static const struct option common[] = {
    {"target", required_argument, NULL, 0},      {"connections", required_argument, NULL, 0}, {"seconds", required_argument, NULL, 0},
    {"warm-up", required_argument, NULL, 0},     {"slices", required_argument, NULL, 0},      {"seed", required_argument, NULL, 0},
    {"spin", no_argument, NULL, 0},              {"brake", required_argument, NULL, 0},       {"cycles", no_argument, NULL, 0},
    {"syscalls", required_argument, NULL, 0},    {"brakes", required_argument, NULL, 0},  {"help", no_argument, NULL, 0},
};

enum { TARGET, CONNECTIONS, SECONDS, WARM_UP, SLICES, SEED, SPIN, BRAKE, CYCLES, SYSCALLS, BRAKES, HELP, COMMON };

static void help(const struct load_number *numbers)
{
    printf("usage: %s --target ws:PORT[:PID] | raw:PORT[:PID] ... [--connections N] [--slices N] [--seconds S, of one slice]\n"
           "    [--warm-up S] [--seed N] [--spin] [--brake CORE] [--brakes N] [--cycles] [--syscalls TRACEPOINT]\n", load_options.program);
    for (; numbers->name != NULL; numbers++)
        printf("    [--%s%s] %s\n", numbers->name, numbers->flag ? "" : " N", numbers->help);
    exit(0);
}

static void common_parse(int option, const struct load_number *numbers)
{
    struct load_options *o = &load_options;
    const char *name = common[option].name;

    switch (option) {
    case TARGET: target_parse(optarg); break;
    case CONNECTIONS: o->connections = (unsigned)number(name, optarg, 1, 20000); break;
    case SECONDS: o->seconds = number(name, optarg, 0.001, 60); break;
    case WARM_UP: o->warm_up_seconds = number(name, optarg, 0, 60); break;
    case SLICES: o->slices = (unsigned)number(name, optarg, 1, LOAD_SLICES_MAX); break;
    case SEED: o->seed = (unsigned)number(name, optarg, 0, 4294967295.0); break;
    case SPIN: o->spin = 1; break;
    case BRAKE: o->brake_core = (int)number(name, optarg, 0, CPU_SETSIZE - 1); break;
    case BRAKES: o->brakes = (int)number(name, optarg, 1, 20); break;
    case CYCLES: o->cycles = 1; break;
    case SYSCALLS: o->syscalls_event = (unsigned)number(name, optarg, 1, 1e6); break;
    default: help(numbers);
    }
}

void load_parse(int argc, char **argv, const struct load_number *numbers)
{
    enum { OPTIONS_MAX = 32 };
    struct option options[OPTIONS_MAX] = {{0}};
    const char *slash = strrchr(argv[0], '/');
    int index, option;

    load_options.program = slash != NULL ? slash + 1 : argv[0];
    memcpy(options, common, sizeof common);
    for (unsigned i = 0; numbers[i].name != NULL && COMMON + i < OPTIONS_MAX - 1; i++)
        options[COMMON + i] = (struct option){numbers[i].name, numbers[i].flag ? no_argument : required_argument, NULL, 0};
    while ((option = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (option != 0)
            exit(2);
        if (index < COMMON) {
            common_parse(index, numbers);
        } else {
            const struct load_number *n = &numbers[index - COMMON];

            *n->value = n->flag ? 1 : number(n->name, optarg, n->min, n->max);
        }
    }
    if (optind != argc || load_options.target_count == 0) {
        fprintf(stderr, "%s: --target is wanted (--help)\n", load_options.program);
        exit(2);
    }
}

/* --- Measuring ----------------------------------------------------------------------------------------------------------- */

/* The counters as they stand once all is quiet, in the fields of a slice. */
static void costs_read(const struct load_target *target, struct load_slice *slice)
{
    const struct timespec settle = {.tv_nsec = SETTLE_NS};
    const struct cost_counters self = {.pid = (int)getpid(), .cycles_fd = -1};

    nanosleep(&settle, NULL);
    if (target->pid != 0 && cost_read(&target->counters, &slice->server) != 0)
        load_die("the server is gone");
    if (cost_read(&self, &slice->load) != 0)
        load_die("/proc/self: %s", strerror(errno));
}

static void slice_run(const struct load_actions *actions, struct load_target *target, struct load_slice *slice)
{
    struct load_slice before = {0};
    double begin;

    current = target;
    costs_read(target, &before);
    begin = load_now();
    actions->run(target, load_options.seconds, slice);
    slice->seconds = load_now() - begin;
    costs_read(target, slice);
    cost_subtract(&slice->server, &before.server);
    cost_subtract(&slice->load, &before.load);
}

static void target_open(const struct load_actions *actions, struct load_target *target)
{
    const char *what;

    current = target;
    target->slices = calloc(load_options.slices, sizeof *target->slices);
    if (target->slices == NULL)
        load_die("out of memory");
    if (target->pid != 0 && cost_open(&target->counters, target->pid, load_options.cycles, load_options.syscalls_event, &what) != 0)
        load_die("%s: %s", what, strerror(errno));
    actions->open(target);
    if (load_options.warm_up_seconds > 0) {
        struct load_slice forgotten = {0};

        actions->run(target, load_options.warm_up_seconds, &forgotten);
        free(forgotten.result);
    }
}

/* Fisher and Yates; a 64-bit linear congruential generator is random enough for an order. */
static void shuffle(unsigned *order, unsigned n, uint64_t *state)
{
    for (unsigned i = n; i > 1; i--) {
        unsigned j, swapped;

        *state = *state * 6364136223846793005u + 1442695040888963407u;
        j = (unsigned)(*state >> 33) % i;
        swapped = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swapped;
    }
}

void load_run(const struct load_actions *actions)
{
    struct load_options *o = &load_options;
    unsigned order[LOAD_TARGETS_MAX];
    uint64_t random = o->seed;

    /* Whatever happens, this program ends. */
    alarm((unsigned)((o->seconds * o->slices + o->warm_up_seconds) * o->target_count) + 60);
    if (o->brake_core >= 0 && cost_brakes_start(o->brake_core, o->brakes) != 0)
        load_die("fork: %s", strerror(errno));
    for (unsigned i = 0; i < o->target_count; i++) {
        order[i] = i;
        target_open(actions, &o->targets[i]);
    }
    for (unsigned i = 0; i < o->slices; i++) {
        shuffle(order, o->target_count, &random);
        for (unsigned j = 0; j < o->target_count; j++)
            slice_run(actions, &o->targets[order[j]], &o->targets[order[j]].slices[i]);
    }
}

/* --- Reporting ----------------------------------------------------------------------------------------------------------- */

static void slice_report(const struct load_actions *actions, const struct load_slice *slice)
{
    printf("{\"units\": %lld, \"seconds\": %.6f, \"server_run_ns\": %lld, \"server_wait_ns\": %lld, \"server_sleeps\": %lld, "
           "\"server_cycles\": %lld, \"server_syscalls\": %lld, \"load_run_ns\": %lld, \"load_wait_ns\": %lld",
           (long long)slice->units, slice->seconds, (long long)slice->server.run_ns, (long long)slice->server.wait_ns,
           (long long)slice->server.sleeps, (long long)slice->server.cycles, (long long)slice->server.syscalls,
           (long long)slice->load.run_ns, (long long)slice->load.wait_ns);
    if (actions->report != NULL)
        actions->report(stdout, slice);
    putchar('}');
}

void load_report(const struct load_actions *actions, const char *head)
{
    printf("{%s\"targets\": [", head);
    for (unsigned i = 0; i < load_options.target_count; i++) {
        const struct load_target *target = &load_options.targets[i];

        printf("%s{\"port\": %u, \"slices\": [", i > 0 ? ", " : "", target->port);
        for (unsigned j = 0; j < load_options.slices; j++) {
            if (j > 0)
                printf(", ");
            slice_report(actions, &target->slices[j]);
        }
        printf("]}");
    }
    printf("]}\n");
}
