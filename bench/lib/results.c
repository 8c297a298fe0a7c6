/*
 * bench/lib/results.c - see results.h.
 */
#include "lib/results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/goals.h"

#define RESULTS_MAX 1024u

static struct result results[RESULTS_MAX];
static unsigned results_n;

void result_add(const char *group, size_t len, const char *name, double *ns, unsigned n)
{
    if (results_n == RESULTS_MAX) {
        fprintf(stderr, "too many results\n");
        exit(1);
    }
    struct result *r = &results[results_n++];
    *r = (struct result){.group = group, .len = len, .ns = ns, .n = n, .median = goal_median(ns, n)};
    snprintf(r->name, sizeof r->name, "%s", name);
}

struct result *result_find(const char *group, size_t len, const char *name)
{
    for (unsigned i = 0; i < results_n; i++) {
        if (strcmp(results[i].group, group) == 0 && results[i].len == len && strcmp(results[i].name, name) == 0) {
            return &results[i];
        }
    }
    return NULL;
}

static void print_length(size_t len)
{
    char text[16];
    if (len >= 1024 && len % 1024 == 0) {
        snprintf(text, sizeof text, len >= 1048576 ? "%zu MiB" : "%zu KiB", len >= 1048576 ? len >> 20 : len >> 10);
    } else {
        snprintf(text, sizeof text, "%zu B", len);
    }
    printf(" %17s", text);
}

void results_print(const char *group, const size_t *lens, unsigned lens_n)
{
    printf("\n%s: GB/s | cycles a message\n%-28s", group, "");
    for (unsigned l = 0; l < lens_n; l++) {
        print_length(lens[l]);
    }
    puts("");
    for (unsigned i = 0; i < results_n; i++) {
        if (strcmp(results[i].group, group) != 0 || results[i].len != lens[0] || strcmp(results[i].name, "clock") == 0) {
            continue;
        }
        printf("%-28s", results[i].name);
        for (unsigned l = 0; l < lens_n; l++) {
            double ns = result_find(group, lens[l], results[i].name)->median, cycle_ns = result_find(group, lens[l], "clock")->median;
            printf(" %7.1f | %7.0f", (double)lens[l] / ns, ns / cycle_ns);
        }
        puts("");
    }
}

void results_print_ratios(const char *group, const size_t *lens, unsigned lens_n, const char *fast, const char *slow)
{
    char title[64];
    if (result_find(group, lens[0], slow) == NULL) {
        return;
    }
    snprintf(title, sizeof title, "x %s", slow);
    printf("%-28s", title);
    for (unsigned l = 0; l < lens_n; l++) {
        struct result *a = result_find(group, lens[l], slow), *b = result_find(group, lens[l], fast);
        struct goal_figure ratio = goal_ratio(a->ns, a->n, b->ns, b->n);
        printf(" %5.2f (%4.2f-%4.2f)", ratio.value, ratio.low, ratio.high);
    }
    puts("");
}

int results_json(const char *path)
{
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        return -1;
    }
    fprintf(out, "[");
    for (unsigned i = 0; i < results_n; i++) {
        fprintf(out, "%s\n {\"group\": \"%s\", \"bytes\": %zu, \"name\": \"%s\", \"ns\": [", i > 0 ? "," : "", results[i].group, results[i].len,
                results[i].name);
        for (unsigned j = 0; j < results[i].n; j++) {
            fprintf(out, "%s%.4f", j > 0 ? ", " : "", results[i].ns[j]);
        }
        fprintf(out, "]}");
    }
    fprintf(out, "\n]\n");
    return fclose(out) == 0 ? 0 : -1;
}

void result_goal(const char *name, struct result *slow, struct result *fast, double wanted)
{
    if (slow != NULL && fast != NULL) {
        goal_print(name, goal_ratio(slow->ns, slow->n, fast->ns, fast->n), wanted, true);
    }
}
