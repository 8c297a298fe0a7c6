/*
 * bench/lib/ends.h - why connections ended: close records that say the same are counted together.
 */
#ifndef BENCH_LIB_ENDS_H
#define BENCH_LIB_ENDS_H

#include <stdio.h>
#include <wsring/close.h>

enum { ENDS_KINDS_MAX = 128 };

struct ends {
    unsigned n; /* kinds seen */
    struct ends_kind {
        bool clean, tls, opened; /* opened: the handshake had been done */
        wsr_close_by by;
        uint16_t code_sent, code_received;
        int32_t cause, sys_errno;
        uint8_t tls_alert;
        uint64_t count;
    } kinds[ENDS_KINDS_MAX];
    uint64_t others; /* not clean, of kinds that found no room */
    uint64_t all, unclean;
};

void ends_add(struct ends *ends, const wsr_close_record *record, bool tls, bool opened);

/* A line a kind: "end COUNT clean|unclean ws|wss open|opening BY CODE_SENT CODE_RECEIVED CAUSE ERRNO TLS_ALERT". */
void ends_print(const struct ends *ends, FILE *out);

#endif
