/*
 * tests/test_chunks.c - large messages delivered in CHUNK events (wsr_limits.whole_bytes_max): which messages are, their
 * flags, where text may be cut, the limits that still hold, and that no memory is taken for them.
 *
 * That they are the same messages, whatever the split, test_frames_vectors.c shows with all of its sequences.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wsring/frame.h>

#include "lib/talk.h"

/* ---- an endpoint, its input, and every event of it ---- */

struct rig {
    struct talk talk; /* its handshake and memory; events are taken here, since their flags and cuts matter */
    struct vectors_bytes in, log;
};

static void rig_open(struct rig *rig, wsr_role role, const wsr_limits *limits)
{
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.limits = *limits;
    *rig = (struct rig){.talk = {.role = role, .now_ns = 1}};
    assert_int_equal(talk_open(&rig->talk, &config), WSR_OK);
    assert_true(rig->talk.is_open);
}

static void rig_close(struct rig *rig)
{
    vectors_bytes_free(&rig->in);
    vectors_bytes_free(&rig->log);
    assert_true(talk_free(&rig->talk));
}

static void frame(struct rig *rig, uint8_t first, const void *payload, size_t len)
{
    talk_frame(&rig->in, rig->talk.role == WSR_SERVER ? WSR_CLIENT : WSR_SERVER, first, payload, len);
}

static void note(struct rig *rig, const wsr_event *event)
{
    static const char *const names[] = {[WSR_EVENT_MESSAGE] = "whole", [WSR_EVENT_PING] = "ping", [WSR_EVENT_CLOSED] = "closed", [WSR_EVENT_CHUNK] = "chunk"};
    char text[80];
    (void)snprintf(text, sizeof text, "%s%s%s%s%s", (event->flags & WSR_EVENT_AFTER_CLOSE) != 0 ? "late " : "",
                   (event->flags & WSR_EVENT_FIRST) != 0 ? "first " : "", (event->flags & WSR_EVENT_LAST) != 0 ? "last " : "",
                   names[event->type], event->opcode == WSR_TEXT ? " text" : event->opcode == WSR_BINARY ? " binary" : "");
    vectors_append(&rig->log, text, strlen(text));
    if (event->type == WSR_EVENT_CLOSED) {
        (void)snprintf(text, sizeof text, " %u %s", event->close_code, wsr_error_name(event->error));
        vectors_append(&rig->log, text, strlen(text));
        rig->talk.record = *wsr_event_close_record(event);
    } else {
        talk_payload(&rig->log, event->data.ptr, event->data.len);
    }
    vectors_append(&rig->log, "\n", 1);
}

/* Feeds the input in pieces, `cap` events a call, and writes the events down. */
static void feed(struct rig *rig, size_t piece, unsigned cap)
{
    for (size_t at = 0; at < rig->in.len;) {
        wsr_event ev[8];
        unsigned n = 0;
        size_t consumed = 0, len = rig->in.len - at < piece ? rig->in.len - at : piece;
        assert_int_equal(wsr_endpoint_feed(rig->talk.ep, 2, (wsr_span){rig->in.ptr + at, len}, ev, cap, &n, &consumed), WSR_OK);
        for (unsigned i = 0; i < n; i++)
            note(rig, &ev[i]);
        at += consumed;
        (void)talk_flush(&rig->talk);
    }
    rig->in.len = 0;
}

static void eof(struct rig *rig)
{
    wsr_event ev[8];
    unsigned n = 0;
    assert_int_equal(wsr_endpoint_eof(rig->talk.ep, 3, 0, ev, 8, &n), WSR_OK);
    for (unsigned i = 0; i < n; i++)
        note(rig, &ev[i]);
}

static void expect(struct rig *rig, const char *log)
{
    assert_string_equal(vectors_string(&rig->log), log);
    vectors_bytes_free(&rig->log);
    rig->log = (struct vectors_bytes){NULL, 0, 0};
}

static const wsr_limits over_five = {.whole_bytes_max = 5};

/* ---- which messages ---- */

static void only_larger_messages_come_in_chunks(void **unused)
{
    (void)unused;
    for (int role = WSR_SERVER; role <= WSR_CLIENT; role++) {
        struct rig rig;
        rig_open(&rig, (wsr_role)role, &over_five);
        frame(&rig, 0x81, "12345", 5);
        frame(&rig, 0x82, "123456", 6);
        frame(&rig, 0x82, "", 0);
        feed(&rig, 1000, 8);
        expect(&rig, "whole text 12345\nfirst last chunk binary 123456\nwhole binary\n");
        /* of the same size, in fragments */
        frame(&rig, 0x01, "123", 3);
        frame(&rig, 0x80, "45", 2);
        frame(&rig, 0x01, "123", 3);
        frame(&rig, 0x80, "456", 3);
        feed(&rig, 1000, 8);
        expect(&rig, "whole text 12345\nfirst chunk text 123\nlast chunk text 456\n");
        rig_close(&rig);
    }
}

static void by_default_all_messages_are_whole(void **unused)
{
    (void)unused;
    wsr_limits limits = {.message_bytes_max = 1 << 20};
    for (int larger = 0; larger < 2; larger++) { /* more than message_bytes_max is no more than that */
        limits.whole_bytes_max = larger == 0 ? 0 : UINT64_MAX;
        struct rig rig;
        rig_open(&rig, WSR_SERVER, &limits);
        uint8_t *payload = calloc(1, 1 << 20);
        assert_non_null(payload);
        frame(&rig, 0x82, payload, 1 << 20);
        feed(&rig, 100000, 8);
        assert_non_null(strstr(vectors_string(&rig.log), "whole binary (1048576 bytes"));
        assert_null(strstr(vectors_string(&rig.log), "chunk"));
        free(payload);
        rig_close(&rig);
    }
}

/* The length of a frame decides, not how much of it has come: a message is one or the other for every split. */
static void how_input_is_cut_does_not_decide(void **unused)
{
    (void)unused;
    for (size_t piece = 1; piece < 20; piece++) {
        for (unsigned cap = 1; cap <= 8; cap += 7) {
            struct rig rig;
            rig_open(&rig, WSR_SERVER, &over_five);
            frame(&rig, 0x82, "12345", 5);
            frame(&rig, 0x02, "1", 1);
            frame(&rig, 0x00, "2345", 4);
            frame(&rig, 0x80, "", 0);
            feed(&rig, piece, cap);
            expect(&rig, "whole binary 12345\nwhole binary 12345\n");
            rig_close(&rig);
        }
    }
}

/* ---- the pieces ---- */

static void pieces_are_what_has_come(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, WSR_CLIENT, &over_five); /* unmasked: the header is 2 bytes */
    frame(&rig, 0x82, "abcdefghij", 10);
    feed(&rig, 4, 8);
    expect(&rig, "first chunk binary ab\nchunk binary cdef\nlast chunk binary ghij\n");
    frame(&rig, 0x02, "abc", 3); /* assembled, until the next header says that there will be more than 5 */
    frame(&rig, 0x00, "defg", 4);
    feed(&rig, 6, 8);
    expect(&rig, "first chunk binary abc\nchunk binary defg\n");
    frame(&rig, 0x00, "", 0); /* nothing to show */
    feed(&rig, 6, 8);
    expect(&rig, "");
    frame(&rig, 0x80, "", 0); /* but the end is */
    frame(&rig, 0x82, "next", 4);
    feed(&rig, 100, 8);
    expect(&rig, "last chunk binary\nwhole binary next\n");
    rig_close(&rig);
}

/* What was assembled and what makes it too long are two events, and the array may have room for one. */
static void one_event_at_a_time(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, WSR_SERVER, &over_five);
    frame(&rig, 0x02, "abc", 3);
    frame(&rig, 0x80, "defg", 4);
    feed(&rig, 1000, 1);
    expect(&rig, "first chunk binary abc\nlast chunk binary defg\n");
    rig_close(&rig);
}

static void control_frames_come_between(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, WSR_SERVER, &over_five);
    frame(&rig, 0x01, "abcdef", 6);
    frame(&rig, 0x89, "p", 1);
    frame(&rig, 0x80, "g", 1);
    feed(&rig, 1000, 8);
    expect(&rig, "first chunk text abcdef\nping p\nlast chunk text g\n");
    rig_close(&rig);
}

/* A character may be cut anywhere; the whole must be UTF-8, and the first byte that is not ends it. */
static void text_is_checked_as_it_comes(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, WSR_CLIENT, &over_five);
    frame(&rig, 0x81, "\xF0\x9F\x98\x80\xC3\xA9", 6);
    feed(&rig, 3, 8);
    expect(&rig, "first chunk text \\xf0\nchunk text \\x9f\\x98\\x80\nlast chunk text \\xc3\\xa9\n");
    frame(&rig, 0x01, "ab\xC3", 3); /* the cut is a fragment's, and then a chunk's */
    frame(&rig, 0x80, "\xA9zz", 3);
    feed(&rig, 1000, 8);
    expect(&rig, "first chunk text ab\\xc3\nlast chunk text \\xa9zz\n");
    frame(&rig, 0x01, "abcdef", 6);
    frame(&rig, 0x00, "\xC3", 1);
    feed(&rig, 1000, 8);
    expect(&rig, "first chunk text abcdef\nchunk text \\xc3\n");
    frame(&rig, 0x00, "x more", 6); /* no continuation byte */
    feed(&rig, 3, 8);
    eof(&rig);
    expect(&rig, "closed 1007 WSR_EUTF8\n");
    assert_int_equal(rig.talk.record.messages_in, 2);
    assert_int_equal(rig.talk.record.bytes_in, 12); /* of messages that were delivered to their end */
    rig_close(&rig);
}

static void a_character_must_end_with_its_message(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, WSR_SERVER, &over_five);
    frame(&rig, 0x01, "abcdef", 6);
    frame(&rig, 0x80, "\xE2\x82", 2);
    feed(&rig, 1000, 8);
    eof(&rig);
    expect(&rig, "first chunk text abcdef\nclosed 1007 WSR_EUTF8\n");
    rig_close(&rig);
}

/* ---- limits, ends ---- */

static void the_limit_of_messages_holds(void **unused)
{
    (void)unused;
    const wsr_limits limits = {.whole_bytes_max = 5, .message_bytes_max = 10};
    struct rig rig;
    rig_open(&rig, WSR_SERVER, &limits);
    frame(&rig, 0x02, "123456", 6);
    frame(&rig, 0x80, "7890", 4);
    frame(&rig, 0x02, "123456", 6);
    frame(&rig, 0x80, "7890a", 5);
    feed(&rig, 1000, 8);
    eof(&rig);
    expect(&rig, "first chunk binary 123456\nlast chunk binary 7890\nfirst chunk binary 123456\nclosed 1009 WSR_EMESSAGE_SIZE\n");
    rig_close(&rig);
}

static void an_unfinished_one_ends_with_closed(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, WSR_SERVER, &over_five);
    frame(&rig, 0x02, "123456", 6);
    frame(&rig, 0x88, "\x03\xE8", 2); /* 1000, in the middle of a message */
    feed(&rig, 1000, 8);
    eof(&rig);
    expect(&rig, "first chunk binary 123456\nclosed 1000 WSR_OK\n");
    assert_int_equal(rig.talk.record.messages_in, 0);
    assert_int_equal(rig.talk.record.bytes_in, 0);
    rig_close(&rig);
}

static void what_comes_behind_our_close_says_so(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, WSR_SERVER, &over_five);
    frame(&rig, 0x02, "123456", 6);
    feed(&rig, 1000, 8);
    assert_int_equal(wsr_endpoint_close(rig.talk.ep, 2, 1000, (wsr_slice){NULL, 0}), WSR_OK);
    frame(&rig, 0x80, "7", 1);
    feed(&rig, 1000, 8);
    expect(&rig, "first chunk binary 123456\nlate last chunk binary 7\n");
    rig_close(&rig);
}

/* 64 MiB in pieces of 64 KiB, as one frame and as fragments: not a byte of memory more than before. */
static void no_memory_is_taken(void **unused)
{
    (void)unused;
    enum { PIECE = 65536, PIECES = 1024 };
    const wsr_limits limits = {.whole_bytes_max = 4096, .message_bytes_max = (uint64_t)1 << 30};
    uint8_t *piece = calloc(1, PIECE);
    assert_non_null(piece);
    for (int fragments = 0; fragments < 2; fragments++) {
        struct rig rig;
        rig_open(&rig, WSR_CLIENT, &limits);
        size_t before = rig.talk.heap.bytes;
        rig.talk.heap.peak_bytes = before;
        uint64_t got = 0;
        bool last = false;
        uint8_t head[WSR_FRAME_HEADER_MAX];
        for (unsigned i = 0; i < PIECES; i++) {
            wsr_event ev[4];
            unsigned n;
            size_t consumed, head_len = 0;
            if (fragments != 0)
                head_len = wsr_frame_header_encode(head, (uint8_t)((i == 0 ? 0x02 : 0x00) | (i == PIECES - 1 ? 0x80 : 0)), PIECE, NULL);
            else if (i == 0)
                head_len = wsr_frame_header_encode(head, 0x82, (uint64_t)PIECE * PIECES, NULL);
            assert_int_equal(wsr_endpoint_feed(rig.talk.ep, 2, (wsr_span){head, head_len}, ev, 4, &n, &consumed), WSR_OK);
            assert_int_equal(n, 0);
            assert_int_equal(consumed, head_len);
            assert_int_equal(wsr_endpoint_feed(rig.talk.ep, 2, (wsr_span){piece, PIECE}, ev, 4, &n, &consumed), WSR_OK);
            assert_int_equal(n, 1);
            assert_ptr_equal(ev[0].data.ptr, piece); /* where it was received: not copied */
            got += ev[0].data.len;
            last = (ev[0].flags & WSR_EVENT_LAST) != 0;
        }
        assert_true(last);
        assert_int_equal(got, (uint64_t)PIECE * PIECES);
        assert_int_equal(rig.talk.heap.peak_bytes, before);
        rig_close(&rig);
    }
    free(piece);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_larger_messages_come_in_chunks),
        cmocka_unit_test(by_default_all_messages_are_whole),
        cmocka_unit_test(how_input_is_cut_does_not_decide),
        cmocka_unit_test(pieces_are_what_has_come),
        cmocka_unit_test(one_event_at_a_time),
        cmocka_unit_test(control_frames_come_between),
        cmocka_unit_test(text_is_checked_as_it_comes),
        cmocka_unit_test(a_character_must_end_with_its_message),
        cmocka_unit_test(the_limit_of_messages_holds),
        cmocka_unit_test(an_unfinished_one_ends_with_closed),
        cmocka_unit_test(what_comes_behind_our_close_says_so),
        cmocka_unit_test(no_memory_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
