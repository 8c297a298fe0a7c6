/*
 * tests/test_frames_vectors.c - the frame sequences of tests/vectors/frames, which answer every row of the design's table of
 * bad frames, for both roles: each whole, cut at every place, and byte by byte, with room for one event and for many, with
 * every set of kernels, and delivered in chunks; without permessage-deflate, with it, and with all messages compressed. All
 * runs must report the same messages and send the same bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/deflated.h"
#include "lib/talk.h"
#include "simd/simd.h"

#define SPLITS_ALL_BYTES 700u /* up to this many bytes of input, every split is tried */
#define LONG_BYTES 20000u     /* from here on byte by byte takes a second: not with everything else once more */

/* ---- a case, for one role ---- */

enum deflate {
    OFF,
    AGREED,    /* permessage-deflate is agreed on, and the peer sends the same bytes nevertheless */
    COMPRESSED /* the peer compresses every message */
};

struct sequence {
    const char *path;
    const struct vectors_case *one;
    wsr_role role; /* of the end under test */
    wsr_limits limits;
    enum deflate deflate;
    bool no_takeover;
    struct deflated *deflated;       /* while input is written; NULL unless the peer compresses */
    bool compressing;                /* a compressed message is open in input */
    struct vectors_bytes input;
    struct vectors_bytes sent, seen; /* expected, as text */
    bool fails_with_last;            /* a '!' line: at the last byte of the input, and not before */
    bool closed_said;
    const char *reason;              /* of the record; NULL: not said */
};

static _Noreturn void complain(const struct sequence *s, const struct vectors_line *line, const char *what)
{
    fail_msg("%s:%u: %s: %s", s->path, line->number, what, line->text);
    exit(1);
}

static bool word_is(const char *text, const char *word, const char **rest)
{
    size_t len = strlen(word);
    if (strncmp(text, word, len) != 0 || (text[len] != ' ' && text[len] != '\0'))
        return false;
    *rest = text + len + (text[len] == ' ');
    return true;
}

/* ---- what the peer sends ---- */

struct frame {
    uint8_t first;
    unsigned form; /* bytes of the length field: 0 for the shortest, 2, 8 */
    bool declares;
    uint64_t declared;
    unsigned long times;
    long close_code; /* -1: none */
};

static void parse_words(const struct sequence *s, const struct vectors_line *line, const char *words, struct frame *frame)
{
    static const struct {
        const char *name;
        uint8_t opcode;
    } opcodes[] = {{"text", 1}, {"binary", 2}, {"continuation", 0}, {"close", 8}, {"ping", 9}, {"pong", 10}};
    const char *p = words;
    char *end;
    *frame = (struct frame){.first = 0x80, .times = 1, .close_code = -1};
    bool known = false;
    for (unsigned i = 0; i < sizeof opcodes / sizeof opcodes[0] && !known; i++) {
        known = word_is(p, opcodes[i].name, &p);
        frame->first = (uint8_t)(0x80 | opcodes[i].opcode);
    }
    if (!known) {
        frame->first = (uint8_t)(0x80 | strtoul(p, &end, 10));
        if (end == p)
            complain(s, line, "no opcode");
        p = end + (*end == ' ');
    } else if (frame->first == 0x88 && *p >= '0' && *p <= '9') {
        frame->close_code = strtol(p, &end, 10);
        p = end + (*end == ' ');
    }
    while (*p != '\0') {
        if (word_is(p, "no-fin", &p)) {
            frame->first &= 0x7F;
        } else if (word_is(p, "rsv1", &p)) {
            frame->first |= 0x40;
        } else if (word_is(p, "form16", &p)) {
            frame->form = 2;
        } else if (word_is(p, "form64", &p)) {
            frame->form = 8;
        } else if (word_is(p, "declares", &p)) {
            frame->declares = true;
            frame->declared = strtoull(p, &end, 10);
            p = end + (*end == ' ');
        } else if (word_is(p, "times", &p)) {
            frame->times = strtoul(p, &end, 10);
            p = end + (*end == ' ');
        } else {
            complain(s, line, "unknown word");
        }
    }
}

/* Written out here, so that the library's encoder is not what tests its decoder. */
static void append_frame(struct sequence *s, const struct frame *frame, const struct vectors_bytes *payload)
{
    static uint32_t keys = 1;
    uint64_t len = frame->declares ? frame->declared : payload->len;
    unsigned form = frame->form != 0 ? frame->form : len < 126 ? 0 : len < 65536 ? 2 : 8;
    bool masked = s->role == WSR_SERVER;
    uint8_t head[14] = {frame->first, (uint8_t)(form == 0 ? len : form == 2 ? 126 : 127)};
    size_t n = 2;
    for (unsigned i = form; i > 0; i--)
        head[n++] = (uint8_t)(len >> (8 * (i - 1)));
    if (masked)
        head[1] |= 0x80;
    uint8_t key[4] = {0};
    if (masked && (payload->len > 0 || !frame->declares)) {
        keys = keys * 1103515245 + 12345;
        memcpy(key, &keys, 4);
        memcpy(head + n, key, 4);
        n += 4;
    }
    vectors_append(&s->input, head, n);
    for (size_t i = 0; i < payload->len; i++) {
        uint8_t byte = payload->ptr[i] ^ key[i % 4];
        vectors_append(&s->input, &byte, 1);
    }
}

/* The same frame of a peer that compresses, if it is of a message. What it declares beyond its payload is as much more. */
static void append_compressed(struct sequence *s, const struct frame *frame, const struct vectors_bytes *payload)
{
    bool starts = frame->first == 0x01 || frame->first == 0x02 || frame->first == 0x81 || frame->first == 0x82;
    bool continues = (frame->first & 0x7F) == 0 && s->compressing;
    if ((!starts && !continues) || (starts && s->compressing)) { /* a control frame, or wrong */
        append_frame(s, frame, payload);
        return;
    }
    struct vectors_bytes compressed = {NULL, 0, 0};
    struct frame as = *frame;
    bool whole = !frame->declares || frame->declared == payload->len;
    as.first |= starts ? 0x40 : 0;
    deflated_put(s->deflated, &compressed, payload->ptr, payload->len, whole && (frame->first & 0x80) != 0);
    as.declares = !whole;
    as.declared = compressed.len + frame->declared - payload->len;
    append_frame(s, &as, &compressed);
    s->compressing = (frame->first & 0x80) == 0;
    vectors_bytes_free(&compressed);
}

static void read_frames(struct sequence *s, const struct vectors_line *line)
{
    const char *colon = strchr(line->text, ':');
    if (colon == NULL)
        complain(s, line, "no colon");
    struct vectors_line rest = {line->mark, colon + 1, line->number};
    char words[128];
    size_t len = (size_t)(colon - line->text);
    if (len >= sizeof words)
        complain(s, line, "too many words");
    memcpy(words, line->text, len);
    words[len] = '\0';
    if (strcmp(words, "raw") == 0) {
        vectors_hex(&s->input, &rest);
        return;
    }
    struct frame frame;
    parse_words(s, line, words, &frame);
    struct vectors_bytes payload = {NULL, 0, 0};
    if (frame.close_code >= 0) {
        uint8_t code[2] = {(uint8_t)(frame.close_code >> 8), (uint8_t)frame.close_code};
        vectors_append(&payload, code, 2);
    }
    vectors_hex(&payload, &rest);
    for (unsigned long i = 0; i < frame.times; i++) {
        if (s->deflated != NULL)
            append_compressed(s, &frame, &payload);
        else
            append_frame(s, &frame, &payload);
    }
    vectors_bytes_free(&payload);
}

/* ---- what is expected ---- */

static void put(struct vectors_bytes *out, const char *text)
{
    vectors_append(out, text, strlen(text));
}

/* A line of expectation: {N*C} stands for a payload, a WSR_ name behind "close N" for its text. */
static void put_expected(const struct sequence *s, struct vectors_bytes *out, const struct vectors_line *line)
{
    const char *text = line->text;
    unsigned long times = 1;
    char *end;
    if (strncmp(text, "times ", 6) == 0) {
        times = strtoul(text + 6, &end, 10);
        if (strncmp(end, ": ", 2) != 0)
            complain(s, line, "times N: LINE");
        text = end + 2;
    }
    struct vectors_bytes whole = {NULL, 0, 0};
    const char *brace = strchr(text, '{'), *name = strstr(text, " WSR_");
    if (brace != NULL) {
        unsigned long n = strtoul(brace + 1, &end, 10);
        vectors_append(&whole, text, (size_t)(brace - text) - 1);
        uint8_t *payload = malloc(n);
        assert_non_null(payload);
        memset(payload, end[1], n);
        talk_payload(&whole, payload, n);
        free(payload);
    } else if (line->mark == '<' && name != NULL) {
        vectors_append(&whole, text, (size_t)(name - text) + 1);
        for (int error = 0; error > -200; error--) {
            if (strcmp(wsr_error_name(error), name + 1) == 0)
                put(&whole, wsr_error_text(error));
        }
    } else {
        put(&whole, text);
    }
    put(&whole, "\n");
    for (unsigned long i = 0; i < times; i++)
        vectors_append(out, whole.ptr, whole.len);
    vectors_bytes_free(&whole);
}

static void put_closed(struct sequence *s, const char *text)
{
    put(&s->seen, "closed ");
    put(&s->seen, text);
    put(&s->seen, "\n");
    s->closed_said = true;
}

/* ---- reading a case ---- */

static bool read_limit(struct sequence *s, const char *text)
{
    const char *rest;
    if (word_is(text, "message_bytes_max", &rest))
        s->limits.message_bytes_max = strtoull(rest, NULL, 10);
    else if (word_is(text, "empty_fragments_max", &rest))
        s->limits.empty_fragments_max = (uint32_t)strtoul(rest, NULL, 10);
    else if (word_is(text, "control_frames_max", &rest))
        s->limits.control_frames_max = (uint32_t)strtoul(rest, NULL, 10);
    else
        return false;
    return true;
}

/* What follows a setting's name; NULL if there is none of that name. */
static const char *setting(const struct vectors_case *one, const char *name)
{
    const char *rest;
    for (unsigned i = 0; i < one->lines_n; i++) {
        if (one->lines[i].mark == '@' && word_is(one->lines[i].text, name, &rest))
            return rest;
    }
    return NULL;
}

static bool is_for(const struct vectors_case *one, wsr_role role, enum deflate deflate)
{
    const char *of_role = setting(one, "role"), *how = setting(one, "deflate");
    if (of_role != NULL && strcmp(of_role, role == WSR_SERVER ? "server" : "client") != 0)
        return false;
    if (how == NULL)
        return true;
    if (strcmp(how, "off") == 0)
        return deflate == OFF;
    if (strcmp(how, "uncompressed") == 0)
        return deflate != COMPRESSED;
    return deflate == AGREED; /* on, no-takeover */
}

static void read_sequence(struct sequence *s, const char *path, const struct vectors_case *one, wsr_role role, enum deflate deflate)
{
    const char *how = setting(one, "deflate");
    *s = (struct sequence){.path = path, .one = one, .role = role, .deflate = deflate};
    s->no_takeover = how != NULL && strcmp(how, "no-takeover") == 0;
    s->deflated = deflate == COMPRESSED ? deflated_open(6, 15) : NULL;
    for (unsigned i = 0; i < one->lines_n; i++) {
        const struct vectors_line *line = &one->lines[i];
        const char *rest;
        if (line->mark == '>') {
            read_frames(s, line);
        } else if (line->mark == '<') {
            put_expected(s, &s->sent, line);
        } else if (line->mark == '!') {
            char text[128];
            (void)snprintf(text, sizeof text, "close %s", line->text);
            put_expected(s, &s->sent, &(struct vectors_line){'<', text, line->number});
            (void)snprintf(text, sizeof text, "%s by local", line->text);
            put_closed(s, text);
            s->fails_with_last = deflate != COMPRESSED; /* what comes out of which byte is not so plain there */
        } else if (line->mark == '=' && word_is(line->text, "closed", &rest)) {
            put_closed(s, rest);
        } else if (line->mark == '=' && word_is(line->text, "reason", &rest)) {
            s->reason = rest;
        } else if (line->mark == '=') {
            if (s->closed_said)
                complain(s, line, "an event after CLOSED");
            put_expected(s, &s->seen, line);
        } else if (line->mark == '@') {
            if (!read_limit(s, line->text) && !word_is(line->text, "role", &rest) && !word_is(line->text, "sends", &rest) &&
                !word_is(line->text, "closes", &rest) && !word_is(line->text, "blocked", &rest) && !word_is(line->text, "deflate", &rest))
                complain(s, line, "unknown setting");
        } else {
            complain(s, line, "unknown mark");
        }
    }
    if (!s->closed_said)
        put_closed(s, "1006 WSR_ETRUNCATED by nobody");
    if (s->deflated != NULL)
        deflated_close(s->deflated);
}

static void free_sequence(struct sequence *s)
{
    vectors_bytes_free(&s->input);
    vectors_bytes_free(&s->sent);
    vectors_bytes_free(&s->seen);
}

/* ---- a run ---- */

static void prepare(struct talk *talk, const struct sequence *s)
{
    for (unsigned i = 0; i < s->one->lines_n; i++) {
        const struct vectors_line *line = &s->one->lines[i];
        const char *rest;
        if (line->mark != '@')
            continue;
        if (word_is(line->text, "sends", &rest)) {
            assert_int_equal(wsr_endpoint_send(talk->ep, WSR_TEXT, (wsr_slice){(const uint8_t *)rest, strlen(rest)}), WSR_OK);
        } else if (word_is(line->text, "closes", &rest)) {
            uint16_t code = (uint16_t)strtoul(rest, NULL, 10);
            assert_int_equal(wsr_endpoint_close(talk->ep, talk->now_ns, code, (wsr_slice){NULL, 0}), WSR_OK);
        } else if (word_is(line->text, "blocked", &rest)) {
            wsr_slice slices[4];
            (void)wsr_endpoint_drain(talk->ep, slices, 4);
            talk->blocked = true;
        }
    }
    if (!talk->blocked)
        (void)talk_flush(talk);
}

static void open_run(struct talk *talk, const struct sequence *s, unsigned cap, const char *kernels)
{
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.limits = s->limits;
    config.kernels = kernels;
    *talk = (struct talk){.role = s->role, .now_ns = 1, .cap = cap};
    if (s->deflate != OFF) {
        config.deflate = (wsr_deflate){.on = true, .send_takeover = !s->no_takeover, .receive_takeover = !s->no_takeover};
        talk->extensions = s->no_takeover ? "permessage-deflate; server_no_context_takeover; client_no_context_takeover" : "permessage-deflate";
    }
    assert_int_equal(talk_open(talk, &config), WSR_OK);
    assert_true(talk->is_open);
    talk->seen.len = 0; /* without "open" */
    prepare(talk, s);
}

/* The input in two parts (the second may be empty), or in pieces if piece is not 0; then the end of the stream. */
static void run(struct talk *talk, const struct sequence *s, unsigned cap, const char *kernels, size_t first, size_t piece)
{
    open_run(talk, s, cap, kernels);
    const uint8_t *p = s->input.ptr;
    size_t len = s->input.len;
    if (piece != 0) {
        talk_feed_pieces(talk, p, len, piece);
    } else {
        if (first > 0)
            talk_feed(talk, p, first);
        if (first < len)
            talk_feed(talk, p + first, len - first);
    }
    talk->blocked = false;
    (void)talk_flush(talk);
    talk_eof(talk, 0);
    talk_tick(talk);
    assert_true(talk->is_closed);
}

static bool same(const struct vectors_bytes *a, const struct vectors_bytes *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->ptr, b->ptr, a->len) == 0);
}

/* Line by line; of the line that begins with "closed" only what is expected. */
static void expect_lines(const struct sequence *s, const char *what, const char *expected, const char *got)
{
    const char *e = expected, *g = got;
    while (*e != '\0' || *g != '\0') {
        size_t en = strcspn(e, "\n"), gn = strcspn(g, "\n");
        bool closed = strncmp(e, "closed ", 7) == 0 && gn > en && (g[en] == ',');
        if (strncmp(e, g, en) != 0 || (gn != en && !closed))
            fail_msg("%s:%u: %s (%s, deflate %d), %s: expected \"%.*s\", got \"%.*s\"", s->path, s->one->number, s->one->title,
                     s->role == WSR_SERVER ? "server" : "client", s->deflate, what, (int)en, e, (int)gn, g);
        e += en + (e[en] != '\0');
        g += gn + (g[gn] != '\0');
    }
}

static void check_whole(const struct sequence *s, const struct talk *talk)
{
    struct vectors_bytes sent = {NULL, 0, 0};
    if (!talk_describe(&sent, talk->sent.ptr, talk->sent.len))
        fail_msg("%s:%u: %s: what was sent is not frames", s->path, s->one->number, s->one->title);
    expect_lines(s, "sent", vectors_string(&s->sent), vectors_string(&sent));
    expect_lines(s, "seen", vectors_string(&s->seen), vectors_string(&talk->seen));
    if (s->reason != NULL) {
        char text[160];
        struct vectors_bytes expected = {NULL, 0, 0}, got = {NULL, 0, 0};
        (void)snprintf(text, sizeof text, "reason %s", s->reason);
        put_expected(s, &expected, &(struct vectors_line){'=', text, s->one->number});
        put(&got, "reason");
        talk_payload(&got, (const uint8_t *)talk->record.reason, talk->record.reason_len);
        put(&got, "\n");
        assert_string_equal(vectors_string(&expected), vectors_string(&got));
        vectors_bytes_free(&expected);
        vectors_bytes_free(&got);
    }
    vectors_bytes_free(&sent);
}

/* Runs once more, cut otherwise: nothing may be different, not a number of the record. */
static void check_same(const struct sequence *s, const struct talk *whole, unsigned cap, const char *kernels, size_t first, size_t piece)
{
    struct talk other;
    run(&other, s, cap, kernels, first, piece);
    if (!same(&whole->seen, &other.seen) || !same(&whole->sent, &other.sent))
        fail_msg("%s:%u: %s (%s, deflate %d): cut at %zu or into %zu, %u events, %s, differs:\n%s\n%s", s->path, s->one->number, s->one->title,
                 s->role == WSR_SERVER ? "server" : "client", s->deflate, first, piece, cap, kernels != NULL ? kernels : "best",
                 vectors_string(&whole->seen), vectors_string(&other.seen));
    assert_true(talk_free(&other));
}

static bool has_failed(const struct talk *talk)
{
    struct vectors_bytes sent = {NULL, 0, 0};
    assert_true(talk_describe(&sent, talk->sent.ptr, talk->sent.len));
    bool failed = strstr(vectors_string(&sent), "close ") != NULL;
    vectors_bytes_free(&sent);
    return failed;
}

/* With the last byte of the input it has failed, before it it has not. */
static void check_place(const struct sequence *s)
{
    for (unsigned every = 0; every < 2; every++) {
        struct talk talk;
        open_run(&talk, s, 1, NULL);
        size_t len = s->input.len;
        talk_feed_pieces(&talk, s->input.ptr, len - 1, every != 0 && len < 10000 ? 1 : len);
        if (has_failed(&talk))
            fail_msg("%s:%u: %s: failed too early", s->path, s->one->number, s->one->title);
        talk_feed(&talk, s->input.ptr + len - 1, 1);
        if (!has_failed(&talk))
            fail_msg("%s:%u: %s: failed too late", s->path, s->one->number, s->one->title);
        assert_true(talk_free(&talk));
    }
}

struct tally {
    unsigned long cases, runs;
};

static struct tally tally;

/* Delivered in chunks, the messages of more than 1, or 5, bytes are the same, and so is all else. */
static void check_streamed(const struct sequence *s, const struct talk *whole)
{
    struct sequence streamed = *s;
    const bool is_long = s->input.len >= LONG_BYTES;
    for (streamed.limits.whole_bytes_max = 1; streamed.limits.whole_bytes_max <= 5; streamed.limits.whole_bytes_max += 4) {
        for (unsigned cap = 1; cap <= (is_long ? 1 : 3); cap++) {
            check_same(&streamed, whole, cap, NULL, s->input.len, 0);
            for (size_t piece = is_long ? 7 : 1; piece < 8; piece++, tally.runs++)
                check_same(&streamed, whole, cap, NULL, 0, piece);
        }
    }
}

static void check_sequence(const struct sequence *s)
{
    static const unsigned caps[] = {1, TALK_EVENTS_MAX};
    struct talk whole;
    const size_t len = s->input.len;
    const bool is_long = len >= LONG_BYTES;
    run(&whole, s, TALK_EVENTS_MAX, NULL, len, 0);
    check_whole(s, &whole);
    if (s->fails_with_last)
        check_place(s);
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned k = 0; wsr_kernels_at(k) != NULL; k++) {
            const char *kernels = wsr_kernels_at(k)->name;
            if (!wsr_kernels_at(k)->supported())
                continue;
            check_same(s, &whole, caps[i], kernels, len, 0);
            tally.runs++;
            if (is_long && wsr_kernels_at(k) != wsr_kernels_best())
                continue;
            check_same(s, &whole, caps[i], kernels, 0, 1);
            tally.runs++;
        }
        for (size_t piece = is_long ? 7 : 2; piece < 8; piece++, tally.runs++)
            check_same(s, &whole, caps[i], NULL, 0, piece);
        size_t step = len <= SPLITS_ALL_BYTES ? 1 : len / (is_long ? 13 : 61) + 1;
        for (size_t first = 1; first < len; first += step, tally.runs++)
            check_same(s, &whole, caps[i], NULL, first, 0);
    }
    check_streamed(s, &whole);
    tally.cases++;
    assert_true(talk_free(&whole));
}

static void check_file(const char *path)
{
    struct vectors vectors;
    vectors_load(&vectors, path);
    for (unsigned i = 0; i < vectors.cases_n; i++) {
        for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
            for (int deflate = OFF; deflate <= COMPRESSED; deflate++) {
                if (!is_for(&vectors.cases[i], (wsr_role)role, (enum deflate)deflate))
                    continue;
                struct sequence s;
                read_sequence(&s, path, &vectors.cases[i], (wsr_role)role, (enum deflate)deflate);
                check_sequence(&s);
                free_sequence(&s);
            }
        }
    }
    vectors_free(&vectors);
}

static void headers(void **unused)
{
    (void)unused;
    check_file("tests/vectors/frames/header.txt");
}

static void fragments(void **unused)
{
    (void)unused;
    check_file("tests/vectors/frames/fragments.txt");
}

static void control(void **unused)
{
    (void)unused;
    check_file("tests/vectors/frames/control.txt");
}

static void closing(void **unused)
{
    (void)unused;
    check_file("tests/vectors/frames/close.txt");
}

static void text(void **unused)
{
    (void)unused;
    check_file("tests/vectors/frames/utf8.txt");
}

static void compressed(void **unused)
{
    (void)unused;
    check_file("tests/vectors/frames/deflate.txt");
}

/* ---- every close code, through an endpoint ---- */

/* Which may come, from the design's table and RFC 6455 section 7.4, in one line. */
static bool may_come(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static void every_close_code(void **unused)
{
    (void)unused;
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        for (unsigned code = 0; code < 65536; code += code < 5100 ? 1 : 101) {
            wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
            struct talk talk = {.role = (wsr_role)role};
            assert_int_equal(talk_open(&talk, &config), WSR_OK);
            struct vectors_bytes input = {NULL, 0, 0}, sent = {NULL, 0, 0};
            uint8_t payload[5] = {(uint8_t)(code >> 8), (uint8_t)code, 'w', 'h', 'y'};
            talk_frame(&input, role == WSR_SERVER ? WSR_CLIENT : WSR_SERVER, 0x88, payload, sizeof payload);
            talk_feed(&talk, input.ptr, input.len);
            talk_eof(&talk, 0);
            assert_true(talk.is_closed);
            assert_true(talk_describe(&sent, talk.sent.ptr, talk.sent.len));
            bool good = may_come(code);
            assert_int_equal(talk.record.code_received, good ? code : 0);
            assert_int_equal(talk.record.code_sent, good ? code : 1002); /* "the endpoint typically echos the status code" */
            assert_int_equal(talk.record.code, good ? code : 1002);
            assert_int_equal(talk.record.cause, good ? WSR_OK : WSR_ECLOSE_CODE);
            assert_int_equal(talk.record.clean, good);
            assert_string_equal(talk.record.reason, good ? "why" : wsr_error_text(WSR_ECLOSE_CODE));
            vectors_bytes_free(&input);
            vectors_bytes_free(&sent);
            assert_true(talk_free(&talk));
        }
    }
}

static void how_much_was_compared(void **unused)
{
    (void)unused;
    print_message("%lu sequences, %lu runs compared, 0 differences\n", tally.cases, tally.runs);
    assert_true(tally.cases >= 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),          cmocka_unit_test(fragments), cmocka_unit_test(control),
        cmocka_unit_test(closing),          cmocka_unit_test(text),      cmocka_unit_test(compressed),
        cmocka_unit_test(how_much_was_compared), cmocka_unit_test(every_close_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
