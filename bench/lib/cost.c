/*
 * bench/lib/cost.c - see cost.h.
 */
#define _GNU_SOURCE /* cpu_set_t */
#include "lib/cost.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- The scheduler's figures --------------------------------------------------------------------------------------------- */

static FILE *task_open(int pid, const char *task, const char *name)
{
    char path[320];

    snprintf(path, sizeof path, "/proc/%d/task/%s/%s", pid, task, name);
    return fopen(path, "r");
}

/* Adds a task of a process; one that has ended since adds nothing. */
static void task_add(struct cost *sum, int pid, const char *task)
{
    long long run, wait, sleeps;
    char line[256];
    FILE *file = task_open(pid, task, "schedstat");

    if (file == NULL)
        return;
    if (fscanf(file, "%lld %lld", &run, &wait) == 2) {
        sum->run_ns += run;
        sum->wait_ns += wait;
    }
    fclose(file);
    file = task_open(pid, task, "status");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "voluntary_ctxt_switches: %lld", &sleeps) == 1)
            sum->sleeps += sleeps;
    fclose(file);
}

static DIR *tasks_open(int pid)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/task", pid);
    return opendir(path);
}

/* --- Counters ------------------------------------------------------------------------------------------------------------ */

static int counter_open(int pid, uint32_t type, uint64_t config)
{
    struct perf_event_attr attributes = {.type = type, .size = sizeof attributes, .config = config, .inherit = 1, .exclude_hv = 1};

    return (int)syscall(SYS_perf_event_open, &attributes, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static int syscalls_open(struct cost_counters *counters, unsigned event)
{
    struct dirent *entry;
    DIR *tasks = tasks_open(counters->pid);
    int result = 0;

    if (tasks == NULL)
        return -1;
    while (result == 0 && (entry = readdir(tasks)) != NULL) {
        int *fds;

        if (entry->d_name[0] == '.')
            continue;
        fds = realloc(counters->syscalls_fds, (size_t)(counters->syscalls_n + 1) * sizeof *fds);
        if (fds != NULL) {
            counters->syscalls_fds = fds;
            fds[counters->syscalls_n] = counter_open(atoi(entry->d_name), PERF_TYPE_TRACEPOINT, event);
        }
        if (fds == NULL || fds[counters->syscalls_n] < 0)
            result = -1;
        else
            counters->syscalls_n++;
    }
    closedir(tasks);
    return result;
}

int cost_open(struct cost_counters *counters, int pid, int cycles, unsigned syscalls_event, const char **what)
{
    *counters = (struct cost_counters){.pid = pid, .cycles_fd = -1};
    *what = "counting cycles";
    if (cycles && (counters->cycles_fd = counter_open(pid, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES)) < 0)
        return -1;
    *what = "counting system calls";
    return syscalls_event != 0 ? syscalls_open(counters, syscalls_event) : 0;
}

static int64_t counter_read(int fd)
{
    int64_t value;

    return fd >= 0 && read(fd, &value, sizeof value) == sizeof value ? value : 0;
}

int cost_read(const struct cost_counters *counters, struct cost *cost)
{
    struct dirent *entry;
    DIR *tasks = tasks_open(counters->pid);

    *cost = (struct cost){0};
    if (tasks == NULL)
        return -1;
    while ((entry = readdir(tasks)) != NULL)
        if (entry->d_name[0] != '.')
            task_add(cost, counters->pid, entry->d_name);
    closedir(tasks);
    cost->cycles = counter_read(counters->cycles_fd);
    for (int i = 0; i < counters->syscalls_n; i++)
        cost->syscalls += counter_read(counters->syscalls_fds[i]);
    return 0;
}

void cost_subtract(struct cost *cost, const struct cost *before)
{
    cost->run_ns -= before->run_ns;
    cost->wait_ns -= before->wait_ns;
    cost->sleeps -= before->sleeps;
    cost->cycles -= before->cycles;
    cost->syscalls -= before->syscalls;
}

/* --- The brakes ---------------------------------------------------------------------------------------------------------- */

/* Its weight is 423 against 1024 then (sched(7)). */
#define BRAKE_NICE 4

static int brake_start(int core)
{
    cpu_set_t cores;
    pid_t parent = getpid(), brake = fork();

    if (brake != 0)
        return brake < 0 ? -1 : 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    CPU_ZERO(&cores);
    CPU_SET((size_t)core, &cores);
    errno = 0;
    if (sched_setaffinity(0, sizeof cores, &cores) != 0 || (nice(BRAKE_NICE) == -1 && errno != 0))
        _exit(1);
    for (;;)
        __asm__ volatile("" ::: "memory");
}

int cost_brakes_start(int core, int n)
{
    int result = 0;

    while (n-- > 0 && result == 0)
        result = brake_start(core);
    return result;
}
