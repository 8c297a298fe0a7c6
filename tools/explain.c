/*
 * tools/explain.c - `wsring explain CODE...`: what a close code means, when it appears, how to fix it, and whether to come back;
 * two codes side by side. It says what the library's table says (wsr_close_lookup, wsr_close_row) and nothing of its own.
 */
#include <argp.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <wsring/close.h>

#include "tools/cmd.h"

enum { CODES_MAX = 32, WIDTH_MIN = 40, WIDTH_MAX = 110, SIDE_BY_SIDE_MIN = 72, LABEL_WIDTH = 12, GAP = 2 };

struct options {
    uint16_t codes[CODES_MAX];
    unsigned codes_n;
    bool list, json;
    enum { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER } colour;
    const char *bad; /* the first argument that is no code */
    bool too_many;
};

/* How the answer is to look. */
static struct {
    unsigned width; /* characters a line */
    bool colour;
} look;

#define BOLD "\033[1m"
#define DIM "\033[2m"
#define RED "\033[31m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define CYAN "\033[36m"

static void paint(const char *escape)
{
    if (look.colour)
        fputs(escape, stdout);
}

static void unpaint(void)
{
    paint("\033[0m");
}

/* --- What the rows say, in words ---------------------------------------------------------------------------------------- */

static const char *wire_text(const wsr_close_info *row)
{
    if (row->local_only)
        return "Never: an end reports it to its own application.";
    if (!row->may_send)
        return "Never: a receiver fails the connection with 1002.";
    return row->client_only ? "A client may send it." : "Either end may send it.";
}

/* Who may send it, for a line of the list and for what differs. */
static const char *wire_word(const wsr_close_info *row)
{
    if (row->local_only)
        return "nobody: local";
    if (!row->may_send)
        return "nobody";
    return row->client_only ? "a client" : "either end";
}

static const char *wire_colour(const wsr_close_info *row)
{
    if (row->local_only)
        return YELLOW;
    return row->may_send ? GREEN : RED;
}

/* For a line of the list, for "what differs", and (the first word) for JSON. */
static const struct {
    const char *name, *words;
} retries[] = {
    [WSR_RETRY_NEVER] = {"never", "no"},
    [WSR_RETRY_BACKOFF] = {"backoff", "yes, with backoff"},
    [WSR_RETRY_LATER] = {"later", "yes, after some seconds"},
    [WSR_RETRY_LIMITED] = {"limited", "yes, a few times"},
    [WSR_RETRY_ONCE] = {"once", "once, with fresh credentials"},
    [WSR_RETRY_ASK] = {"ask", "the application decides"},
};

struct section {
    const char *label;
    const char *(*text)(const wsr_close_info *);
};

static const char *meaning(const wsr_close_info *row) { return row->meaning; }
static const char *appears(const wsr_close_info *row) { return row->appears; }
static const char *fix(const wsr_close_info *row) { return row->fix; }
static const char *retry(const wsr_close_info *row) { return row->retry_text; }
static const char *use(const wsr_close_info *row) { return row->use; }
static const char *source(const wsr_close_info *row) { return row->source; }

static const struct section sections[] = {
    {"Meaning", meaning}, {"Appears", appears},   {"How to fix", fix}, {"Reconnect", retry},
    {"On wire", wire_text}, {"Source", source}, {"Send it", use},
};
/* The last one, when to send it, ends the comparison of two codes, and so stays out of its columns. */
enum { SECTIONS = sizeof sections / sizeof sections[0], SECTIONS_PAIR = SECTIONS - 1 };

/* --- Text in columns ------------------------------------------------------------------------------------------------------ */

/* How many bytes of text go on a line of this width: whole words, or a cut one if it alone is wider. */
static size_t line_len(const char *text, size_t width)
{
    const size_t len = strlen(text);
    if (len <= width)
        return len;
    for (size_t i = width; i > 0; i--)
        if (text[i] == ' ')
            return i;
    return width;
}

/* One label and n texts beside each other, each in `width` characters, as many lines as the longest needs. */
static void print_section(const char *label, const char *const *texts, unsigned n, unsigned width)
{
    const char *rest[2] = {texts[0], n > 1 ? texts[1] : ""};
    for (bool first = true; first || rest[0][0] != '\0' || rest[1][0] != '\0'; first = false) {
        paint(CYAN);
        printf("%-*s", LABEL_WIDTH, first ? label : "");
        unpaint();
        for (unsigned i = 0; i < n; i++) {
            const size_t len = line_len(rest[i], width);
            const bool last = i + 1 == n || rest[1][0] == '\0';
            printf("%.*s%*s", (int)len, rest[i], last ? 0 : (int)(width - len) + GAP, "");
            rest[i] += len;
            rest[i] += strspn(rest[i], " ");
            if (last)
                break;
        }
        putchar('\n');
    }
}

/* "1001 Going Away", "4242 Private use (4000-4999)". */
static void title(char *out, size_t cap, uint16_t code, const wsr_close_info *row)
{
    if (row->first == row->last)
        snprintf(out, cap, "%u %s", code, row->name);
    else
        snprintf(out, cap, "%u %s (%u-%u)", code, row->name, row->first, row->last);
}

static void print_titles(const uint16_t *codes, unsigned n, unsigned width)
{
    printf("%*s", n > 1 ? LABEL_WIDTH : 0, "");
    for (unsigned i = 0; i < n; i++) {
        const wsr_close_info *row = wsr_close_lookup(codes[i]);
        char text[96];
        title(text, sizeof text, codes[i], row);
        paint(BOLD);
        paint(wire_colour(row));
        printf("%.*s", i + 1 < n ? (int)width : (int)sizeof text, text);
        unpaint();
        if (i + 1 < n)
            printf("%*s", (int)(strlen(text) < width ? width - strlen(text) : 0) + GAP, "");
    }
    putchar('\n');
}

static void print_columns(const uint16_t *codes, unsigned n, unsigned sections_n)
{
    const unsigned width = (look.width - LABEL_WIDTH - (n - 1) * GAP) / n;
    print_titles(codes, n, width);
    for (unsigned i = 0; i < sections_n; i++) {
        const char *texts[2] = {NULL, NULL};
        for (unsigned k = 0; k < n; k++)
            texts[k] = sections[i].text(wsr_close_lookup(codes[k]));
        if (n > 1)
            putchar('\n');
        print_section(sections[i].label, texts, n, width);
    }
}

/* --- Two codes ------------------------------------------------------------------------------------------------------------ */

static void print_difference(const char *label, const char *format, uint16_t a, const char *a_word, uint16_t b, const char *b_word)
{
    char text[160];
    if (strcmp(a_word, b_word) == 0)
        snprintf(text, sizeof text, "the same for both: %s", a_word);
    else
        snprintf(text, sizeof text, format, a, a_word, b, b_word);
    const char *texts[1] = {text};
    print_section(label, texts, 1, look.width - LABEL_WIDTH);
}

static void print_pair(uint16_t a, uint16_t b)
{
    const uint16_t codes[2] = {a, b};
    if (look.width >= SIDE_BY_SIDE_MIN) {
        print_columns(codes, 2, SECTIONS_PAIR);
    } else {
        print_columns(&codes[0], 1, SECTIONS_PAIR);
        putchar('\n');
        print_columns(&codes[1], 1, SECTIONS_PAIR);
    }
    const wsr_close_info *rows[2] = {wsr_close_lookup(a), wsr_close_lookup(b)};
    putchar('\n');
    paint(BOLD);
    puts("What differs, and which to use when");
    unpaint();
    print_difference("Reconnect", "%u: %s; %u: %s", a, retries[rows[0]->retry].words, b, retries[rows[1]->retry].words);
    print_difference("Sent by", "%u: %s; %u: %s", a, wire_word(rows[0]), b, wire_word(rows[1]));
    if (rows[0] == rows[1]) {
        const char *texts[1] = {"To the protocol all codes of this range are alike; their difference is what the two ends have agreed."};
        print_section("Use", texts, 1, look.width - LABEL_WIDTH);
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        char label[16];
        snprintf(label, sizeof label, "Use %u", codes[i]);
        print_section(label, &rows[i]->use, 1, look.width - LABEL_WIDTH);
    }
}

/* --- The list, and JSON --------------------------------------------------------------------------------------------------- */

static void range(char *out, size_t cap, const wsr_close_info *row)
{
    if (row->first == row->last)
        snprintf(out, cap, "%u", row->first);
    else
        snprintf(out, cap, "%u-%u", row->first, row->last);
}

static void print_list(void)
{
    paint(BOLD);
    printf("%-11s%-22s%-15s%s\n", "CODE", "NAME", "SENT BY", "RECONNECT");
    unpaint();
    const wsr_close_info *row;
    for (unsigned i = 0; (row = wsr_close_row(i)) != NULL; i++) {
        char codes[16];
        range(codes, sizeof codes, row);
        paint(BOLD);
        printf("%-11s", codes);
        unpaint();
        printf("%-22s", row->name);
        paint(wire_colour(row));
        printf("%-15s", wire_word(row));
        unpaint();
        paint(row->retry == WSR_RETRY_NEVER ? DIM : "");
        printf("%s\n", retries[row->retry].words);
        unpaint();
    }
}

static void json_string(const char *name, const char *text)
{
    printf("\"%s\": \"", name);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text); /* the table is printable ASCII: its test says so */
    }
    putchar('"');
}

static void json_row(const wsr_close_info *row, const uint16_t *code)
{
    fputs("  {", stdout);
    if (code != NULL)
        printf("\"code\": %u, ", *code);
    printf("\"first\": %u, \"last\": %u, ", row->first, row->last);
    json_string("name", row->name);
    fputs(", ", stdout);
    json_string("meaning", row->meaning);
    fputs(", ", stdout);
    json_string("appears", row->appears);
    fputs(", ", stdout);
    json_string("fix", row->fix);
    fputs(", ", stdout);
    json_string("use", row->use);
    fputs(", ", stdout);
    json_string("retry", retries[row->retry].name);
    fputs(", ", stdout);
    json_string("retry_text", row->retry_text);
    fputs(", ", stdout);
    json_string("source", row->source);
    printf(", \"client_may_send\": %s, \"server_may_send\": %s, \"may_receive\": %s, \"local_only\": %s}",
           wsr_close_may_send(row->first, WSR_CLIENT) ? "true" : "false", wsr_close_may_send(row->first, WSR_SERVER) ? "true" : "false",
           row->may_receive ? "true" : "false", row->local_only ? "true" : "false");
}

static void print_json(const struct options *options)
{
    puts("[");
    const wsr_close_info *row;
    for (unsigned i = 0; options->list && (row = wsr_close_row(i)) != NULL; i++) {
        fputs(i > 0 ? ",\n" : "", stdout);
        json_row(row, NULL);
    }
    for (unsigned i = 0; i < options->codes_n; i++) {
        fputs(i > 0 ? ",\n" : "", stdout);
        json_row(wsr_close_lookup(options->codes[i]), &options->codes[i]);
    }
    puts("\n]");
}

/* --- The command line ----------------------------------------------------------------------------------------------------- */

/* Letters and digits only, small: "Going Away", "going-away" and "GOING_AWAY" are one name. */
static bool same_name(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (*a != '\0' && !isalnum((unsigned char)*a))
            a++;
        while (*b != '\0' && !isalnum((unsigned char)*b))
            b++;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
            return false;
        if (*a == '\0')
            return true;
    }
}

static bool parse_code(const char *text, uint16_t *code)
{
    if (isdigit((unsigned char)text[0])) {
        char *end;
        const unsigned long value = strtoul(text, &end, 10);
        *code = (uint16_t)value;
        return *end == '\0' && value <= UINT16_MAX;
    }
    const wsr_close_info *row;
    for (unsigned i = 0; (row = wsr_close_row(i)) != NULL; i++)
        if (same_name(text, row->name)) {
            *code = row->first;
            return true;
        }
    return false;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case 'l':
        options->list = true;
        return 0;
    case 'j':
        options->json = true;
        return 0;
    case 'c':
        if (arg == NULL || strcmp(arg, "always") == 0)
            options->colour = COLOUR_ALWAYS;
        else if (strcmp(arg, "never") == 0)
            options->colour = COLOUR_NEVER;
        else if (strcmp(arg, "auto") == 0)
            options->colour = COLOUR_AUTO;
        else
            argp_error(state, "--color=%s: choose auto, always or never", arg);
        return 0;
    case ARGP_KEY_ARG:
        if (options->codes_n == CODES_MAX)
            options->too_many = true;
        else if (!parse_code(arg, &options->codes[options->codes_n++]) && options->bad == NULL)
            options->bad = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option argp_options[] = {
    {"list", 'l', NULL, 0, "every code and range, a line each", 0},
    {"json", 'j', NULL, 0, "an array of objects, for programs", 0},
    {"color", 'c', "WHEN", OPTION_ARG_OPTIONAL, "auto (on a terminal, unless NO_COLOR is set), always or never", 0},
    {"colour", 0, NULL, OPTION_ALIAS, NULL, 0},
    {0},
};

static const struct argp argp = {
    .options = argp_options,
    .parser = parse_option,
    .args_doc = "CODE...\n--list",
    .doc = "Says what WebSocket close codes mean, when they appear, how to fix what is wrong, and whether to reconnect. CODE is a number "
           "(0 to 65535) or a name (going-away). Two codes are set side by side: wsring explain 1000 1001\v"
           "COLUMNS sets the width where the terminal does not.",
};

static unsigned output_width(void)
{
    struct winsize size;
    unsigned width = 80;
    const char *columns = getenv("COLUMNS");
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        width = size.ws_col;
    else if (columns != NULL && atoi(columns) > 0)
        width = (unsigned)atoi(columns);
    if (width < WIDTH_MIN)
        return WIDTH_MIN;
    return width < WIDTH_MAX ? width : WIDTH_MAX;
}

static bool wants_colour(const struct options *options)
{
    if (options->colour != COLOUR_AUTO)
        return options->colour == COLOUR_ALWAYS;
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && (no == NULL || no[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0;
}

static bool is_sensible(const struct options *options)
{
    if (options->bad != NULL)
        cmd_complain("explain", "'%s' is neither a close code (0 to 65535) nor the name of one; --list shows them all", options->bad);
    else if (options->too_many)
        cmd_complain("explain", "at most %d codes at a time; --list shows them all", CODES_MAX);
    else if (options->list && options->codes_n > 0)
        cmd_complain("explain", "--list shows every code and takes none");
    else if (!options->list && options->codes_n == 0)
        cmd_complain("explain", "which code? Try `wsring explain 1000 1001', or --list for all");
    else
        return true;
    return false;
}

int wsr_cmd_explain(int argc, char **argv)
{
    struct options options = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0 || !is_sensible(&options))
        return WSR_EXIT_USAGE;
    look.width = output_width();
    look.colour = wants_colour(&options);

    if (options.json) {
        print_json(&options);
    } else if (options.list) {
        print_list();
    } else if (options.codes_n == 2 && options.codes[0] != options.codes[1]) {
        print_pair(options.codes[0], options.codes[1]);
    } else {
        for (unsigned i = 0; i < options.codes_n; i++) {
            if (i > 0 && options.codes[i] == options.codes[i - 1])
                continue;
            if (i > 0)
                putchar('\n');
            print_columns(&options.codes[i], 1, SECTIONS);
        }
    }
    return WSR_EXIT_OK;
}
