/*
 * tools/cmd.c - see cmd.h.
 */
#include "tools/cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <wsring/simd.h>

void cmd_complain(const char *name, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fflush(stdout);
    flockfile(stderr);
    fprintf(stderr, "wsring %s: ", name);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    funlockfile(stderr);
    va_end(list);
}

int cmd_no_engine(const char *name, int error)
{
    switch (error) {
    case WSR_EURING_SECCOMP:
    case WSR_EURING_SYSCTL:
    case WSR_EURING_MEMLOCK:
    case WSR_EURING_KERNEL:
        cmd_complain(name, "no io_uring here (%s): %s", wsr_error_name(error), wsr_error_text(error));
        return WSR_EXIT_NO_URING;
    case WSR_ESYS:
        cmd_complain(name, "cannot open an engine: %s", strerror(errno));
        return WSR_EXIT_FAILED;
    default:
        cmd_complain(name, "cannot open an engine: %s (%s)", wsr_error_text(error), wsr_error_name(error));
        return WSR_EXIT_FAILED;
    }
}

uint64_t cmd_raise_descriptors(uint64_t connections)
{
    enum { OTHERS = 64 }; /* standard streams, rings, eventfds, listeners, the reserve */
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return connections;
    rlim_t wanted = (rlim_t)connections + OTHERS, before = limit.rlim_cur;
    if (wanted > limit.rlim_max)
        wanted = limit.rlim_max;
    if (before < wanted) {
        limit.rlim_cur = wanted;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            limit.rlim_cur = before;
    }
    rlim_t room = limit.rlim_cur > OTHERS ? limit.rlim_cur - OTHERS : 0;
    return room < connections ? room : connections;
}

bool cmd_select_kernels(void)
{
    const char *isa = getenv("WSRING_ISA");
    if (isa == NULL || isa[0] == '\0' || wsr_simd_select(isa) == WSR_OK)
        return true;
    fprintf(stderr, "wsring: WSRING_ISA=%s: this CPU or build has no such kernels (avx512, avx2, sse41, neon, scalar); it would choose %s\n", isa,
            wsr_simd_name());
    return false;
}

uint16_t cmd_port_candidate(unsigned attempt)
{
    unsigned low = 32768;
    FILE *range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
    if (range != NULL) {
        if (fscanf(range, "%u", &low) != 1 || low < 4096)
            low = 32768;
        fclose(range);
    }
    return (uint16_t)(low / 2 + ((unsigned)getpid() + attempt * 7919) % (low / 2));
}

uint64_t cmd_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
