/*
 * tests/lib/vectors.c - see vectors.h.
 */
#include "lib/vectors.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void die(const char *path, unsigned number, const char *what, const char *text)
{
    (void)fprintf(stderr, "%s:%u: %s: %s\n", path, number, what, text);
    exit(1);
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        die(path, 0, "cannot be opened", "run tests from the top of the tree");
    size_t len = 0, cap = 1 << 16;
    char *text = malloc(cap + 1);
    size_t n;
    while (text != NULL && (n = fread(text + len, 1, cap - len, file)) != 0) {
        len += n;
        if (len == cap)
            text = realloc(text, (cap *= 2) + 1);
    }
    if (text == NULL || ferror(file) != 0)
        die(path, 0, "cannot be read", "");
    (void)fclose(file);
    text[len] = '\0';
    return text;
}

/* --- the file --- */

struct macro {
    const char *name;
    const struct vectors_line *lines;
    unsigned lines_n;
};

struct loader {
    struct vectors *out;
    struct macro macros[32];
    unsigned macros_n;
    struct vectors_line *pool; /* where lines go; a macro's too */
    unsigned pool_n, pool_cap;
    unsigned *open_n;          /* count of the case or macro that lines go to */
};

static void add_line(struct loader *loader, char mark, const char *text, unsigned number)
{
    if (loader->open_n == NULL)
        die(loader->out->path, number, "a line before the first case", text);
    if (loader->pool_n == loader->pool_cap)
        die(loader->out->path, number, "too many lines", text);
    loader->pool[loader->pool_n++] = (struct vectors_line){mark, text, number};
    ++*loader->open_n;
}

static void use_macro(struct loader *loader, const char *name, unsigned number)
{
    for (unsigned i = 0; i < loader->macros_n; i++) {
        const struct macro *macro = &loader->macros[i];
        if (strcmp(macro->name, name) != 0)
            continue;
        for (unsigned j = 0; j < macro->lines_n; j++)
            add_line(loader, macro->lines[j].mark, macro->lines[j].text, number);
        return;
    }
    die(loader->out->path, number, "no such let", name);
}

static void load_line(struct loader *loader, char *line, unsigned number)
{
    if (line[0] == '\0' || line[0] == '#')
        return;
    if (strncmp(line, "case ", 5) == 0) {
        struct vectors_case *new_case = &loader->out->cases[loader->out->cases_n++];
        *new_case = (struct vectors_case){line + 5, loader->pool + loader->pool_n, 0, number};
        loader->open_n = &new_case->lines_n;
    } else if (strncmp(line, "let ", 4) == 0) {
        if (loader->macros_n == sizeof loader->macros / sizeof loader->macros[0])
            die(loader->out->path, number, "too many lets", line);
        struct macro *macro = &loader->macros[loader->macros_n++];
        *macro = (struct macro){line + 4, loader->pool + loader->pool_n, 0};
        loader->open_n = &macro->lines_n;
    } else if (ispunct((unsigned char)line[0]) && line[1] == '\0') {
        add_line(loader, line[0], "", number);
    } else if (ispunct((unsigned char)line[0]) && line[1] == ' ' && line[2] == '$' && isupper((unsigned char)line[3])) {
        use_macro(loader, line + 3, number);
    } else if (ispunct((unsigned char)line[0]) && line[1] == ' ') {
        add_line(loader, line[0], line + 2, number);
    } else {
        die(loader->out->path, number, "neither a case, a let nor a marked line", line);
    }
}

void vectors_load(struct vectors *vectors, const char *path)
{
    memset(vectors, 0, sizeof *vectors);
    vectors->path = path;
    vectors->text = read_file(path);
    unsigned lines_n = 1;
    for (const char *p = vectors->text; *p != '\0'; p++)
        lines_n += *p == '\n';
    /* A line that uses a let becomes as many as that has: sixteen is beyond any here, and checked. */
    struct loader loader = {.out = vectors, .pool_cap = 16 * lines_n};
    vectors->cases = calloc(lines_n, sizeof *vectors->cases);
    vectors->lines = loader.pool = calloc(loader.pool_cap, sizeof *loader.pool);
    if (vectors->cases == NULL || vectors->lines == NULL)
        die(path, 0, "no memory", "");

    unsigned number = 0;
    for (char *line = vectors->text, *next; line != NULL; line = next) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        load_line(&loader, line, ++number);
    }
    if (vectors->cases_n == 0)
        die(path, number, "no case", "");
}

void vectors_free(struct vectors *vectors)
{
    free(vectors->text);
    free(vectors->cases);
    free(vectors->lines);
}

/* --- bytes --- */

static void reserve(struct vectors_bytes *out, size_t room)
{
    if (out->cap - out->len > room) /* one more, for the NUL */
        return;
    out->cap = 2 * (out->len + room) + 64;
    out->ptr = realloc(out->ptr, out->cap);
    if (out->ptr == NULL)
        die("vectors", 0, "no memory", "");
}

void vectors_append(struct vectors_bytes *out, const void *bytes, size_t len)
{
    reserve(out, len);
    if (len != 0)
        memcpy(out->ptr + out->len, bytes, len);
    out->len += len;
    out->ptr[out->len] = '\0';
}

const char *vectors_string(const struct vectors_bytes *bytes)
{
    return bytes->ptr != NULL ? (const char *)bytes->ptr : "";
}

bool vectors_has_line(const struct vectors_bytes *text, const char *line)
{
    size_t len = strlen(line);
    const char *p = vectors_string(text), *end = p + text->len;
    for (const char *next; p < end; p = next) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        next = stop != NULL ? stop + 1 : end;
        if (stop == NULL)
            stop = end;
        size_t present = (size_t)(stop - p);
        if (present != 0 && p[present - 1] == '\r')
            present--;
        if (present == len && memcmp(p, line, len) == 0)
            return true;
    }
    return false;
}

void vectors_bytes_free(struct vectors_bytes *bytes)
{
    free(bytes->ptr);
    *bytes = (struct vectors_bytes){NULL, 0, 0};
}

/* Makes of what stands from `from` on `times` times that. */
static void repeat(struct vectors_bytes *out, size_t from, unsigned long times)
{
    size_t len = out->len - from;
    reserve(out, len * (times - 1));
    for (unsigned long i = 1; len != 0 && i < times; i++) {
        memcpy(out->ptr + out->len, out->ptr + from, len);
        out->len += len;
    }
    out->ptr[out->len] = '\0';
}

static int hex_value(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, tolower((unsigned char)c)) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* One byte written as an escape or as itself; *text moves behind it. */
static uint8_t take_byte(const char **text, const struct vectors_line *line)
{
    static const char names[] = "rnt0\\'", values[] = "\r\n\t\0\\'";
    const char *p = *text;
    if (*p != '\\') {
        *text = p + 1;
        return (uint8_t)*p;
    }
    if (p[1] == 'x' && hex_value(p[2]) >= 0 && hex_value(p[3]) >= 0) {
        *text = p + 4;
        return (uint8_t)(hex_value(p[2]) * 16 + hex_value(p[3]));
    }
    const char *name = p[1] != '\0' ? strchr(names, p[1]) : NULL;
    if (name == NULL)
        die("vectors", line->number, "unknown escape", p);
    *text = p + 2;
    return (uint8_t)values[name - names];
}

bool vectors_text(struct vectors_bytes *out, const struct vectors_line *line)
{
    const char *p = line->text;
    size_t from = 0;
    unsigned long times = 0; /* not 0: inside a repetition */
    while (*p != '\0') {
        if (p[0] == '\\' && p[1] == '\0')
            return false;
        if (p[0] == '\\' && p[1] == '{' && times == 0) {
            char *end;
            times = strtoul(p + 2, &end, 10);
            if (*end != '*' || times == 0)
                die("vectors", line->number, "a repetition is \\{N*TEXT}", p);
            p = end + 1;
            from = out->len;
        } else if (*p == '}' && times != 0) {
            repeat(out, from, times);
            times = 0;
            p++;
        } else {
            uint8_t byte = take_byte(&p, line);
            vectors_append(out, &byte, 1);
        }
    }
    if (times != 0)
        die("vectors", line->number, "a repetition without its end", line->text);
    return true;
}

void vectors_hex(struct vectors_bytes *out, const struct vectors_line *line)
{
    const char *p = line->text;
    size_t from = 0;
    unsigned long times = 0;
    while (*p != '\0') {
        if (*p == ' ') {
            p++;
        } else if (*p == '\'') {
            for (p++; *p != '\0' && *p != '\'';) {
                uint8_t byte = take_byte(&p, line);
                vectors_append(out, &byte, 1);
            }
            if (*p++ != '\'')
                die("vectors", line->number, "a quoted text without its end", line->text);
        } else if (*p == '{' && times == 0) {
            char *end;
            times = strtoul(p + 1, &end, 10);
            if (*end != '*' || times == 0)
                die("vectors", line->number, "a repetition is {N*BYTES}", p);
            p = end + 1;
            from = out->len;
        } else if (*p == '}' && times != 0) {
            repeat(out, from, times);
            times = 0;
            p++;
        } else if (hex_value(p[0]) >= 0 && hex_value(p[1]) >= 0) {
            uint8_t byte = (uint8_t)(hex_value(p[0]) * 16 + hex_value(p[1]));
            vectors_append(out, &byte, 1);
            p += 2;
        } else {
            die("vectors", line->number, "not hexadecimal", p);
        }
    }
    if (times != 0)
        die("vectors", line->number, "a repetition without its end", line->text);
}
