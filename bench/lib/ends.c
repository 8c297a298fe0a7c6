/*
 * bench/lib/ends.c - see ends.h.
 */
#include "lib/ends.h"

#include <inttypes.h>

static bool same(const struct ends_kind *a, const struct ends_kind *b)
{
    return a->clean == b->clean && a->tls == b->tls && a->opened == b->opened && a->by == b->by && a->code_sent == b->code_sent &&
           a->code_received == b->code_received && a->cause == b->cause && a->sys_errno == b->sys_errno && a->tls_alert == b->tls_alert;
}

void ends_add(struct ends *ends, const wsr_close_record *record, bool tls, bool opened)
{
    const struct ends_kind kind = {
        .clean = record->clean, .tls = tls, .opened = opened, .by = record->by, .code_sent = record->code_sent,
        .code_received = record->code_received, .cause = record->cause, .sys_errno = record->sys_errno, .tls_alert = record->tls_alert,
        .count = 1,
    };
    ends->all++;
    ends->unclean += !kind.clean;
    for (unsigned i = 0; i < ends->n; i++) {
        if (same(&ends->kinds[i], &kind)) {
            ends->kinds[i].count++;
            return;
        }
    }
    if (ends->n < ENDS_KINDS_MAX)
        ends->kinds[ends->n++] = kind;
    else
        ends->others += !kind.clean;
}

void ends_print(const struct ends *ends, FILE *out)
{
    static const char *const by[] = {[WSR_BY_NOBODY] = "nobody", [WSR_BY_LOCAL] = "client", [WSR_BY_PEER] = "server", [WSR_BY_BOTH] = "both"};
    for (unsigned i = 0; i < ends->n; i++) {
        const struct ends_kind *k = &ends->kinds[i];
        fprintf(out, "end %" PRIu64 " %s %s %s %s %u %u %s %d %u\n", k->count, k->clean ? "clean" : "unclean", k->tls ? "wss" : "ws",
                k->opened ? "open" : "opening", by[k->by], k->code_sent, k->code_received, wsr_error_name(k->cause), k->sys_errno, k->tls_alert);
    }
    if (ends->others > 0)
        fprintf(out, "end %" PRIu64 " unclean ? ? ? 0 0 others 0 0\n", ends->others);
}
