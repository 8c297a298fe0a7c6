/*
 * loop/probe.c - wsr_probe: the kernel's features (ring/features.c), the CPU's, and what of this host's limits and sysctls is
 * worth changing. Nothing here changes any.
 */
#include <wsring/probe.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <wsring/simd.h>

#include "ring/features.h"

const char *wsr_probe_state_name(wsr_probe_state state)
{
    static const char *const names[] = {"used", "spare", "absent", "blocked"};
    return (unsigned)state < sizeof names / sizeof names[0] ? names[state] : "unknown";
}

/* ---- limits ---- */

static void limit_text(char *text, rlim_t value)
{
    if (value == RLIM_INFINITY)
        snprintf(text, WSR_PROBE_VALUE_MAX, "unlimited");
    else
        snprintf(text, WSR_PROBE_VALUE_MAX, "%llu", (unsigned long long)value);
}

static wsr_probe_setting *next_setting(wsr_probe_report *report)
{
    return report->settings_n < WSR_PROBE_SETTINGS_MAX ? &report->settings[report->settings_n++] : NULL;
}

static void add_limit(wsr_probe_report *report, const char *name, const char *why, rlim_t value, rlim_t least)
{
    wsr_probe_setting *row = next_setting(report);
    if (row == NULL)
        return;
    row->name = name;
    row->why = why;
    row->change = value < least; /* RLIM_INFINITY is the largest there is */
    limit_text(row->current, value);
    limit_text(row->recommended, row->change ? least : value);
}

static void add_limits(wsr_probe_report *report)
{
    struct rlimit files, locked;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        add_limit(report, "RLIMIT_NOFILE", "each connection is a descriptor; a program may raise this to the hard limit by itself (ulimit -n)",
                  files.rlim_cur, 65536);
        add_limit(report, "RLIMIT_NOFILE hard", "the most that may be asked for (LimitNOFILE= of a systemd unit)", files.rlim_max, 65536);
    }
    if (getrlimit(RLIMIT_MEMLOCK, &locked) == 0)
        add_limit(report, "RLIMIT_MEMLOCK", "rings (some 0.2 MiB each) and wsr_config.lock_memory count against it (ulimit -l, LimitMEMLOCK=)",
                  locked.rlim_cur, (rlim_t)8 << 20);
}

/* ---- sysctls ---- */

enum rule { EXACTLY, AT_LEAST, AT_MOST, RANGE }; /* RANGE: two numbers, the first at most, the second at least */

static const struct sysctl {
    const char *name;
    enum rule rule;
    long long wanted, wanted_to; /* wanted_to: RANGE */
    const char *why;
} sysctls[] = {
    {"kernel.io_uring_disabled", EXACTLY, 0, 0, "1 allows io_uring to privileged processes and one group, 2 to nobody (absent before 6.6: allowed)"},
    {"net.core.somaxconn", AT_LEAST, 4096, 0, "cuts wsr_listen_config.backlog: clients that come all at once wait here for their accept"},
    {"net.ipv4.tcp_max_syn_backlog", AT_LEAST, 4096, 0, "connections half made; beyond it SYNs are dropped, or answered by cookies"},
    {"net.ipv4.tcp_syncookies", AT_LEAST, 1, 0, "what keeps a SYN flood from shutting everybody out"},
    {"net.ipv4.tcp_slow_start_after_idle", EXACTLY, 0, 0, "1 makes a connection that was silent begin with a small window again: bursts after a pause take more round trips"},
    {"net.ipv4.tcp_notsent_lowat", AT_MOST, 131072, 0, "what waits in the kernel is what pings and Closes must wait behind; less of it, and earlier WSR_EFULL"},
    {"net.ipv4.ip_local_port_range", RANGE, 16384, 65535, "a client's own ports: connections to one address and port at the same time"},
    {"net.netfilter.nf_conntrack_max", AT_LEAST, 262144, 0, "a firewall that keeps state drops new connections beyond it"},
    {"fs.nr_open", AT_LEAST, 1048576, 0, "no process's RLIMIT_NOFILE can be higher"},
};

/* The numbers of a sysctl; 0 if there is no such one, or it is hidden. */
static unsigned read_sysctl(const char *name, long long *values)
{
    char path[96] = "/proc/sys/", text[WSR_PROBE_VALUE_MAX * 2] = {0};
    size_t n = strlen(path);
    for (const char *p = name; *p != '\0' && n < sizeof path - 1; p++)
        path[n++] = *p == '.' ? '/' : *p;
    path[n] = '\0';
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t len = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    unsigned found = 0;
    char *end = text;
    for (const char *p = text; len > 0 && found < 2; p = end) {
        values[found] = strtoll(p, &end, 10);
        if (end == p)
            break;
        found++;
    }
    return found;
}

static void add_sysctl(wsr_probe_report *report, const struct sysctl *rule)
{
    long long now[2] = {0, 0};
    const unsigned found = read_sysctl(rule->name, now);
    wsr_probe_setting *row = found > 0 ? next_setting(report) : NULL;
    if (row == NULL)
        return;
    row->name = rule->name;
    row->why = rule->why;
    if (rule->rule == RANGE) {
        row->change = found < 2 || now[0] > rule->wanted || now[1] < rule->wanted_to;
        snprintf(row->current, sizeof row->current, "%lld %lld", now[0], now[1]);
        snprintf(row->recommended, sizeof row->recommended, "%lld %lld", row->change ? rule->wanted : now[0], row->change ? rule->wanted_to : now[1]);
        return;
    }
    row->change = rule->rule == EXACTLY ? now[0] != rule->wanted : rule->rule == AT_LEAST ? now[0] < rule->wanted : now[0] > rule->wanted;
    snprintf(row->current, sizeof row->current, "%lld", now[0]);
    snprintf(row->recommended, sizeof row->recommended, "%lld", row->change ? rule->wanted : now[0]);
}

/* ---- the rest ---- */

static void add_kernels(wsr_probe_report *report)
{
    const char *in_use = wsr_simd_name(), *name;
    bool here;
    for (unsigned i = 0; i < WSR_PROBE_KERNELS_MAX && (name = wsr_simd_at(i, &here)) != NULL; i++) {
        wsr_probe_kernels *row = &report->kernels[report->kernels_n++];
        row->name = name;
        row->state = strcmp(name, in_use) == 0 ? WSR_PROBE_USED : here ? WSR_PROBE_SPARE : WSR_PROBE_ABSENT;
    }
}

int wsr_probe(wsr_probe_report *out, size_t size)
{
    wsr_probe_report report;
    memset(&report, 0, sizeof report);
    struct utsname host;
    if (uname(&host) == 0)
        snprintf(report.system, sizeof report.system, "%.20s %.50s %.20s", host.sysname, host.release, host.machine);
    report.error = wsr_features_try(report.features, WSR_PROBE_FEATURES_MAX, &report.features_n, &report.sys_errno);
    report.backend = report.error == WSR_OK ? "io_uring" : "none";
    add_kernels(&report);
    add_limits(&report);
    for (unsigned i = 0; i < sizeof sysctls / sizeof sysctls[0]; i++)
        add_sysctl(&report, &sysctls[i]);
    memset(out, 0, size);
    memcpy(out, &report, size < sizeof report ? size : sizeof report);
    return report.error;
}
