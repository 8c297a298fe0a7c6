/*
 * tools/load_report.c - see load_report.h.
 */
#include "tools/load_report.h"

#include <inttypes.h>
#include <string.h>

#include "tools/parse.h"

static const struct {
    const char *name;
    double q;
} quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};

enum { QUANTILES_N = sizeof quantiles / sizeof quantiles[0] };

static double per_second(double n, double seconds)
{
    return seconds > 0 ? n / seconds : 0;
}

void report_accounting(FILE *out, const struct traffic_totals *t)
{
    char closes[512];
    fprintf(out,
            "sent %" PRIu64 " = echoed %" PRIu64 " + undelivered %" PRIu64 " + in doubt %" PRIu64 "; unaccounted %" PRIu64 "; wrong %" PRIu64
            "; closes: %s\n",
            t->sent, t->echoed, t->undelivered, t->in_doubt, t->unaccounted, t->wrong, closes_text(&t->closes, closes, sizeof closes));
}

/* --- For people ---------------------------------------------------------------------------------------------------------- */

static void print_errors(FILE *out, const struct traffic_totals *t)
{
    for (int i = 1; i < TRAFFIC_ERRORS_MAX; i++) {
        if (t->errors[i] > 0)
            fprintf(out, "error     %s x %" PRIu64 ": %s\n", wsr_error_name(-i), t->errors[i], wsr_error_text(-i));
    }
    if (t->first_errno != 0)
        fprintf(out, "          first cause: %s\n", strerror(t->first_errno));
    if (t->first_status != 0)
        fprintf(out, "          first answer: HTTP status %u\n", t->first_status);
    if (t->first_wrong[0] != '\0')
        fprintf(out, "wrong     first at %s\n", t->first_wrong);
}

void report_text(FILE *out, const struct load_result *r)
{
    const struct traffic_totals *t = r->totals;
    char text[24];
    fprintf(out, "load      %s: %" PRIu64 " of %" PRIu32 " connections, depth %" PRIu32 ", sizes %s, %s\n", r->url, t->opened, r->connections,
            r->depth, r->sizes, r->kind);
    fprintf(out, "verified  %" PRIu64 " messages, %s, in %.2f s%s\n", t->echoed - t->wrong, format_size(text, sizeof text, t->echoed_bytes),
            r->seconds, r->interrupted ? " (interrupted)" : "");
    fprintf(out, "rate      %.0f messages/s, %.1f MB/s each way; this end took %.2f us of CPU per message\n",
            per_second((double)t->echoed, r->seconds), per_second((double)t->echoed_bytes, r->seconds) / 1e6,
            t->echoed > 0 ? r->cpu_seconds * 1e6 / (double)t->echoed : 0.0);
    if (r->rate > 0) {
        char most[24];
        fprintf(out, "schedule  %.0f messages/s; latency counts from when each was due; 99%% were sent within %s of that, all within %s\n", r->rate,
                format_duration(text, sizeof text, histogram_quantile(&t->late, 0.99)), format_duration(most, sizeof most, histogram_quantile(&t->late, 1)));
    }
    fprintf(out, "latency  ");
    for (unsigned i = 0; i < QUANTILES_N; i++)
        fprintf(out, " %s %s%s", quantiles[i].name, format_duration(text, sizeof text, histogram_quantile(&t->latency, quantiles[i].q)),
                i + 1 < QUANTILES_N ? "," : "\n");
    if (t->fragmented > 0)
        fprintf(out, "fragments %" PRIu64 " messages were sent in fragments\n", t->fragmented);
    if (r->deflate)
        fprintf(out, "deflate   %" PRIu64 " echoes came compressed\n", t->deflated);
    if (t->pings > 0)
        fprintf(out, "pings     %" PRIu64 " sent, %" PRIu64 " pongs%s\n", t->pings, t->pongs, t->wrong_pongs > 0 ? ", some of them WRONG" : "");
    if (t->lost > 0)
        fprintf(out, "lost      %" PRIu64 " connections; %" PRIu64 " attempts to come back, %" PRIu64 " did\n", t->lost, t->attempts, t->reopened);
    print_errors(out, t);
    report_accounting(out, t);
}

/* --- For programs -------------------------------------------------------------------------------------------------------- */

static void json_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void json_closes(FILE *out, const struct closes *closes)
{
    fputs("\"closes\": {", out);
    for (unsigned i = 0; i < closes->n; i++)
        fprintf(out, "%s\"%u\": %" PRIu64, i > 0 ? ", " : "", closes->kinds[i].code, closes->kinds[i].count);
    fputs("}, ", out);
}

static void json_errors(FILE *out, const struct traffic_totals *t)
{
    const char *separator = "";
    fputs("\"errors\": {", out);
    for (int i = 1; i < TRAFFIC_ERRORS_MAX; i++) {
        if (t->errors[i] == 0)
            continue;
        fprintf(out, "%s\"%s\": %" PRIu64, separator, wsr_error_name(-i), t->errors[i]);
        separator = ", ";
    }
    fprintf(out, "}, \"errno\": %d, \"http_status\": %u, \"first_wrong\": ", t->first_errno, t->first_status);
    json_string(out, t->first_wrong);
    fputs(", ", out);
}

static void json_times(FILE *out, const char *name, const struct histogram *h)
{
    fprintf(out, "\"%s\": {\"count\": %" PRIu64 ", \"mean\": %.0f, \"min\": %" PRIu64, name, h->count, histogram_mean(h),
            h->count > 0 ? h->min : 0);
    for (unsigned i = 0; i < QUANTILES_N; i++)
        fprintf(out, ", \"%s\": %" PRIu64, quantiles[i].name, histogram_quantile(h, quantiles[i].q));
    fputs("}, ", out);
}

void report_json(FILE *out, const struct load_result *r)
{
    const struct traffic_totals *t = r->totals;
    fputs("{\"url\": ", out);
    json_string(out, r->url);
    fputs(", \"sizes\": ", out);
    json_string(out, r->sizes);
    fputs(", \"kind\": ", out);
    json_string(out, r->kind);
    fprintf(out, ", \"depth\": %" PRIu32 ", \"threads\": %" PRIu32 ", \"seed\": %" PRIu64 ", ", r->depth, r->threads, r->seed);
    fprintf(out, "\"seconds\": %.6f, \"cpu_seconds\": %.6f, \"interrupted\": %s, \"complete\": %s, ", r->seconds, r->cpu_seconds,
            r->interrupted ? "true" : "false", r->complete ? "true" : "false");
    fprintf(out, "\"connections\": {\"asked\": %" PRIu32 ", \"opened\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"ended_early\": %" PRIu64
            ", \"lost\": %" PRIu64 ", \"attempts\": %" PRIu64 ", \"reopened\": %" PRIu64 "}, ",
            r->connections, t->opened, t->failed, t->ended_early, t->lost, t->attempts, t->reopened);
    fprintf(out,
            "\"messages\": {\"sent\": %" PRIu64 ", \"echoed\": %" PRIu64 ", \"undelivered\": %" PRIu64 ", \"in_doubt\": %" PRIu64
            ", \"unaccounted\": %" PRIu64 ", \"surplus\": %" PRIu64 ", \"wrong\": %" PRIu64 ", \"text\": %" PRIu64 ", \"fragmented\": %" PRIu64
            ", \"deflated\": %" PRIu64 "}, ",
            t->sent, t->echoed, t->undelivered, t->in_doubt, t->unaccounted, t->surplus, t->wrong, t->texts, t->fragmented, t->deflated);
    fprintf(out, "\"bytes\": {\"sent\": %" PRIu64 ", \"echoed\": %" PRIu64 "}, ", t->sent_bytes, t->echoed_bytes);
    fprintf(out, "\"pings\": {\"sent\": %" PRIu64 ", \"pongs\": %" PRIu64 ", \"wrong\": %" PRIu64 "}, ", t->pings, t->pongs, t->wrong_pongs);
    json_times(out, "latency_ns", &t->latency);
    if (r->rate > 0) {
        fprintf(out, "\"rate\": %.0f, ", r->rate);
        json_times(out, "late_ns", &t->late);
    }
    json_closes(out, &t->closes);
    json_errors(out, t);
    fprintf(out, "\"messages_per_second\": %.1f, \"bytes_per_second\": %.1f}\n", per_second((double)t->echoed, r->seconds),
            per_second((double)t->echoed_bytes, r->seconds));
}
