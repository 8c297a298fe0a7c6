/*
 * tests/lib/vectors.h - protocol cases from readable text files: a title, then lines that each begin with a mark.
 *
 *     # a comment, anywhere
 *     let UPGRADE                   lines to be used again
 *     > Upgrade: websocket
 *
 *     case no key                   a case: what its marks mean is its test's business, but by custom
 *     > GET /chat HTTP/1.1          '>' is what the peer sends,
 *     > $UPGRADE                    (the lines of a `let` above, with their own marks)
 *     < 400                         '<' what it gets,
 *     = CLOSED WSR_EHANDSHAKE       '=' what the application sees,
 *     @ headers_max 3               '@' a setting
 *
 * A mark is any punctuation followed by a blank (or nothing). Files are found from the top of the tree, where tests run.
 */
#ifndef TESTS_LIB_VECTORS_H
#define TESTS_LIB_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vectors_line {
    char mark;
    const char *text;
    unsigned number; /* in the file, for messages */
};

struct vectors_case {
    const char *title;
    const struct vectors_line *lines;
    unsigned lines_n;
    unsigned number; /* line of its title */
};

struct vectors {
    const char *path;
    struct vectors_case *cases;
    unsigned cases_n;
    struct vectors_line *lines; /* of all cases, one after another */
    char *text;                 /* the file */
};

/* Loads a file. A file that cannot be read, or a line that is none of the above, ends the test with a message. */
void vectors_load(struct vectors *vectors, const char *path);
void vectors_free(struct vectors *vectors);

/* Bytes being put together; once any were appended, there is a NUL behind them. */
struct vectors_bytes {
    uint8_t *ptr;
    size_t len;
    size_t cap;
};

/*
 * Appends a text: \r \n \t \0 \\ \xNN stand for one byte, \{N*TEXT} for N times TEXT (which may hold such escapes, but no
 * closing brace). Returns false if the text ends in a single backslash: for "no line end here".
 */
bool vectors_text(struct vectors_bytes *out, const struct vectors_line *line);

/* Appends bytes written as "81 85 'Hello' {4*00}": pairs of hexadecimal digits, quoted texts, repetitions. */
void vectors_hex(struct vectors_bytes *out, const struct vectors_line *line);

void vectors_append(struct vectors_bytes *out, const void *bytes, size_t len);
const char *vectors_string(const struct vectors_bytes *bytes);
/* Is there such a line (its end, LF or CR LF, not counted)? */
bool vectors_has_line(const struct vectors_bytes *text, const char *line);
void vectors_bytes_free(struct vectors_bytes *bytes);

#endif
