/*
 * ring/features.h - each feature of io_uring that matters here, tried on this host: the middle of a wsr_probe_report.
 */
#ifndef WSR_RING_FEATURES_H
#define WSR_RING_FEATURES_H

#include <wsring/probe.h>

/*
 * Writes up to cap rows, *n of them. Returns 0, or why no ring can be had (WSR_EURING_*, WSR_ENOMEM, WSR_ESYS), *sys_errno
 * with it; then every row says so.
 */
int wsr_features_try(wsr_probe_feature *rows, unsigned cap, unsigned *n, int *sys_errno);

#endif
