/*
 * wsring/probe.h - what this host has for an engine, and what it withholds: a report for a person, as `wsring doctor` prints it.
 *
 * Everything is found out by trying, never by the kernel's version: distributions take features back into old kernels, and
 * sandboxes take them out of new ones.
 */
#ifndef WSRING_PROBE_H
#define WSRING_PROBE_H

#include <wsring/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum wsr_probe_state {
    WSR_PROBE_USED = 0, /* there, and an engine of the default config uses it */
    WSR_PROBE_SPARE,    /* there, and not used unless asked for, or not at all: why says which */
    WSR_PROBE_ABSENT,   /* this kernel or CPU does not have it */
    WSR_PROBE_BLOCKED   /* this host does not allow it, whatever the kernel has */
} wsr_probe_state;

/* "used", "spare", "absent" or "blocked". Static storage; any thread. */
WSR_API const char *wsr_probe_state_name(wsr_probe_state state);

/* A feature of the kernel's io_uring. Strings are static. */
typedef struct wsr_probe_feature {
    const char *name; /* the kernel's own where it has one */
    const char *what; /* what it does for an engine */
    const char *why;  /* why its state is what it is; "" where there is nothing to say */
    wsr_probe_state state;
    bool needed;      /* without it there is no engine */
} wsr_probe_feature;

/* A set of SIMD kernels, best first. */
typedef struct wsr_probe_kernels {
    const char *name;
    wsr_probe_state state; /* USED: the one in use; SPARE: this CPU could; ABSENT */
} wsr_probe_kernels;

#define WSR_PROBE_VALUE_MAX 40u

/* A sysctl or resource limit as it is, and as an engine with many connections wants it. */
typedef struct wsr_probe_setting {
    const char *name;                          /* "net.core.somaxconn", "RLIMIT_NOFILE" */
    const char *why;                           /* what depends on it; static */
    char current[WSR_PROBE_VALUE_MAX];         /* "" if it cannot be read here */
    char recommended[WSR_PROBE_VALUE_MAX];
    bool change;                               /* current is worse than recommended */
} wsr_probe_setting;

#define WSR_PROBE_FEATURES_MAX 32u
#define WSR_PROBE_KERNELS_MAX 8u
#define WSR_PROBE_SETTINGS_MAX 24u

typedef struct wsr_probe_report {
    int error;              /* 0: an engine can run; else what wsr_engine_open would return */
    int sys_errno;          /* and the errno behind it; 0: none */
    const char *backend;    /* "io_uring"; "none" if error is not 0. Static */
    char system[96];        /* "Linux 6.1.0-18-amd64 x86_64" */
    unsigned features_n, kernels_n, settings_n;
    wsr_probe_feature features[WSR_PROBE_FEATURES_MAX];
    wsr_probe_kernels kernels[WSR_PROBE_KERNELS_MAX];
    wsr_probe_setting settings[WSR_PROBE_SETTINGS_MAX]; /* limits first, then sysctls */
} wsr_probe_report;

/*
 * Tries everything and fills *report; size: sizeof(wsr_probe_report) (the structure only grows at its end, and size says how
 * much of it to write). Opens and closes rings and sockets of its own, allocates, and may take a few milliseconds; closing a
 * ring can end a blocking system call of this thread with EINTR, so better not in the middle of a loop. Any thread. Returns
 * report->error.
 */
WSR_API int wsr_probe(wsr_probe_report *report, size_t size);

#ifdef __cplusplus
}
#endif

#endif
