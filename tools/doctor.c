/*
 * tools/doctor.c - `wsring doctor`: what this host has for an engine, what it withholds, and what is worth changing.
 *
 * Only prints what wsr_probe found (wsring/probe.h). Exit code 0: an engine can run; 78: none can.
 */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wsring/probe.h>

#include "tools/cmd.h"

#define BOLD "\033[1m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define RED "\033[31m"
#define DIM "\033[2m"

static bool coloured;

static void paint(const char *how)
{
    if (coloured)
        fputs(how, stdout);
}

static void heading(const char *text)
{
    paint(BOLD);
    puts(text);
    paint("\033[0m");
}

/* A word in its column, coloured. */
static void word(const char *colour, const char *text, int width)
{
    paint(colour);
    printf("%-*s", width, text);
    paint("\033[0m");
}

static const char *colour_of(wsr_probe_state state, bool needed)
{
    if (state == WSR_PROBE_USED)
        return GREEN;
    if (state == WSR_PROBE_SPARE)
        return DIM;
    return needed ? RED : YELLOW;
}

static void print_features(const wsr_probe_report *report)
{
    heading("\nio_uring");
    for (unsigned i = 0; i < report->features_n; i++) {
        const wsr_probe_feature *row = &report->features[i];
        printf("  ");
        word(colour_of(row->state, row->needed), wsr_probe_state_name(row->state), 9);
        printf("%-30s%s%s\n", row->name, row->what, row->needed && row->state != WSR_PROBE_USED ? " (needed)" : "");
        if (row->why[0] != '\0')
            printf("%*s%s\n", 2 + 9 + 30, "", row->why);
    }
}

static void print_settings(const wsr_probe_report *report)
{
    heading("\nLimits and sysctls");
    for (unsigned i = 0; i < report->settings_n; i++) {
        const wsr_probe_setting *row = &report->settings[i];
        printf("  ");
        word(row->change ? YELLOW : GREEN, row->change ? "change" : "fine", 9);
        printf("%-36s%s", row->name, row->current);
        if (row->change)
            printf(" -> %s", row->recommended);
        putchar('\n');
        if (row->change)
            printf("%*s%s\n", 2 + 9, "", row->why);
    }
}

/* What is worth changing, to be pasted; limits are their owner's business. */
static void print_cure(const wsr_probe_report *report)
{
    bool any = false;
    for (unsigned i = 0; i < report->settings_n; i++) {
        const wsr_probe_setting *row = &report->settings[i];
        if (!row->change || strncmp(row->name, "RLIMIT", 6) == 0)
            continue;
        if (!any)
            heading("\nTo change them (root; in /etc/sysctl.d to keep)");
        any = true;
        printf("  sysctl -w %s='%s'\n", row->name, row->recommended);
    }
}

static void print_text(const wsr_probe_report *report)
{
    word(report->error == 0 ? GREEN : RED, report->error == 0 ? "An engine can run here." : "No engine can run here.", 0);
    printf("  %s, backend %s\n", report->system, report->backend);
    if (report->error != 0)
        printf("%s (%s)%s%s\n", wsr_error_text(report->error), wsr_error_name(report->error), report->sys_errno != 0 ? ": " : "",
               report->sys_errno != 0 ? strerror(report->sys_errno) : "");
    print_features(report);
    heading("\nSIMD kernels");
    for (unsigned i = 0; i < report->kernels_n; i++) {
        const wsr_probe_kernels *row = &report->kernels[i];
        printf("  ");
        word(colour_of(row->state, false), wsr_probe_state_name(row->state), 9);
        printf("%s\n", row->name);
    }
    print_settings(report);
    print_cure(report);
}

/* ---- JSON ---- */

static void json_string(const char *name, const char *text, const char *behind)
{
    printf("\"%s\": \"", name);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        if ((unsigned char)*text >= 0x20)
            putchar(*text);
    }
    printf("\"%s", behind);
}

static void print_json(const wsr_probe_report *report)
{
    printf("{\"ok\": %s, ", report->error == 0 ? "true" : "false");
    json_string("error", report->error != 0 ? wsr_error_name(report->error) : "", ", ");
    json_string("error_text", report->error != 0 ? wsr_error_text(report->error) : "", ", ");
    printf("\"errno\": %d, ", report->sys_errno);
    json_string("backend", report->backend, ", ");
    json_string("system", report->system, ", ");
    json_string("version", wsr_version(), ",\n\"features\": [");
    for (unsigned i = 0; i < report->features_n; i++) {
        const wsr_probe_feature *row = &report->features[i];
        fputs(i > 0 ? ",\n  {" : "\n  {", stdout);
        json_string("name", row->name, ", ");
        json_string("state", wsr_probe_state_name(row->state), ", ");
        printf("\"needed\": %s, ", row->needed ? "true" : "false");
        json_string("what", row->what, ", ");
        json_string("why", row->why, "}");
    }
    fputs("],\n\"kernels\": [", stdout);
    for (unsigned i = 0; i < report->kernels_n; i++) {
        fputs(i > 0 ? ", {" : "{", stdout);
        json_string("name", report->kernels[i].name, ", ");
        json_string("state", wsr_probe_state_name(report->kernels[i].state), "}");
    }
    fputs("],\n\"settings\": [", stdout);
    for (unsigned i = 0; i < report->settings_n; i++) {
        const wsr_probe_setting *row = &report->settings[i];
        fputs(i > 0 ? ",\n  {" : "\n  {", stdout);
        json_string("name", row->name, ", ");
        json_string("current", row->current, ", ");
        json_string("recommended", row->recommended, ", ");
        printf("\"change\": %s, ", row->change ? "true" : "false");
        json_string("why", row->why, "}");
    }
    puts("]}");
}

/* ---- the command line ---- */

struct options {
    bool json;
    const char *colour;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case 'j':
        options->json = true;
        return 0;
    case 'c':
        options->colour = arg != NULL ? arg : "always";
        if (strcmp(options->colour, "auto") != 0 && strcmp(options->colour, "always") != 0 && strcmp(options->colour, "never") != 0)
            argp_error(state, "--color=%s: choose auto, always or never", arg);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s': there is nothing to be named", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option argp_options[] = {
    {"json", 'j', NULL, 0, "an object, for programs", 0},
    {"color", 'c', "WHEN", OPTION_ARG_OPTIONAL, "auto (on a terminal, unless NO_COLOR is set), always or never", 0},
    {"colour", 0, NULL, OPTION_ALIAS, NULL, 0},
    {0},
};

static const struct argp argp = {
    .options = argp_options,
    .parser = parse_option,
    .doc = "Tries what an engine needs of this host and says what it found: each feature of io_uring used, spare, absent or blocked, and "
           "why; the SIMD kernels; limits and sysctls, and which are worth changing.\v"
           "Exit codes: 0 an engine can run, 78 none can.",
};

int wsr_cmd_doctor(int argc, char **argv)
{
    struct options options = {.colour = "auto"};
    if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
        return WSR_EXIT_USAGE;
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    const bool terminal = isatty(STDOUT_FILENO) && (no == NULL || no[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0;
    coloured = strcmp(options.colour, "always") == 0 || (strcmp(options.colour, "auto") == 0 && terminal);

    static wsr_probe_report report;
    const int error = wsr_probe(&report, sizeof report);
    if (options.json)
        print_json(&report);
    else
        print_text(&report);
    return error == WSR_OK ? WSR_EXIT_OK : WSR_EXIT_NO_URING;
}
