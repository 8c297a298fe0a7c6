/*
 * tools/load_report.h - what a load found, for people and for programs.
 */
#ifndef TOOLS_LOAD_REPORT_H
#define TOOLS_LOAD_REPORT_H

#include <stdio.h>

#include "tools/traffic.h"

struct load_result {
    const char *url;
    uint32_t connections, depth, threads;
    const char *sizes, *kind; /* as asked for */
    double rate;              /* as asked for; 0: as echoes came */
    uint64_t seed;
    double seconds;           /* from the first message sent to the last echo */
    double cpu_seconds;       /* user and system, of this process, while it sent */
    bool deflate;             /* compression was offered */
    bool interrupted;
    bool complete;            /* every byte verified, and nothing else to report */
    const struct traffic_totals *totals;
};

/* The one line: "sent N = echoed A + ...". With a newline. */
void report_accounting(FILE *out, const struct traffic_totals *totals);

void report_text(FILE *out, const struct load_result *result);

/* One JSON object and a newline. */
void report_json(FILE *out, const struct load_result *result);

#endif
