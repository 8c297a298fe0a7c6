/*
 * tests/fuzz/drive.c - see drive.h.
 */
#include "fuzz/drive.h"

#include <wsring/frame.h>

#include "fuzz/check.h"
#include "proto/endpoint.h"
#include "proto/frame.h"

void drive_deflate(struct talk *talk, wsr_endpoint_config *config, bool takeover)
{
    config->deflate = (wsr_deflate){.on = true, .send_takeover = takeover, .receive_takeover = takeover, .threshold_bytes = 1};
    talk->extensions = takeover ? "permessage-deflate" : "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
}

unsigned long drive_check_sent(wsr_role role, bool deflate, const uint8_t *p, size_t len)
{
    unsigned long messages = 0;
    bool in_message = false, closed = false;
    for (size_t at = 0; at < len;) {
        wsr_frame_header header;
        int n = wsr_frame_header_decode((wsr_slice){p + at, len - at}, &header);
        CHECK(n >= 0);
        CHECK(!closed); /* not a byte behind a Close */
        if (n == 0)
            break;
        unsigned frame_class = wsr_frame_class[deflate][in_message][header.first];
        CHECK(frame_class < WSR_CLASS_RSV);
        CHECK(header.masked == (role == WSR_CLIENT));
        CHECK(frame_class != WSR_CLASS_CONTROL || header.payload_len <= WSR_CONTROL_PAYLOAD_MAX);
        if (header.payload_len > len - at - (size_t)n)
            break;
        if (frame_class != WSR_CLASS_CONTROL)
            in_message = (header.first & WSR_FIN) == 0;
        messages += frame_class != WSR_CLASS_CONTROL && !in_message;
        closed = (header.first & 0x0F) == WSR_CLOSE;
        at += (size_t)n + (size_t)header.payload_len;
    }
    return messages;
}

struct drive {
    struct talk talk;
    struct input in;
    unsigned long accepted; /* messages */
};

static void feed_frame(struct drive *d)
{
    uint8_t first = input_byte(&d->in);
    size_t n = input_byte(&d->in);
    n = n > 250 ? 80 * (n - 250) * (n - 250) * 20 : n; /* some large ones: to 40,000 */
    uint8_t *payload = calloc(1, n + 1);
    if (payload == NULL)
        abort();
    size_t given = n < 64 ? n : 64;
    const uint8_t *p = input_bytes(&d->in, &given);
    if (given > 0)
        memcpy(payload, p, given);
    struct vectors_bytes frame = {NULL, 0, 0};
    talk_frame(&frame, d->talk.role == WSR_SERVER ? WSR_CLIENT : WSR_SERVER, first, payload, n);
    talk_feed_pieces(&d->talk, frame.ptr, frame.len, input_byte(&d->in) % 7 == 0 ? 100 : SIZE_MAX);
    vectors_bytes_free(&frame);
    free(payload);
}

static void send_something(struct drive *d)
{
    static const uint8_t payload[60000];
    uint8_t what = input_byte(&d->in);
    size_t n = input_byte(&d->in);
    n = n > 200 ? n * 200 : n;
    wsr_slice data = {payload, n};
    wsr_opcode opcode = (what & 1) != 0 ? WSR_TEXT : WSR_BINARY;
    int error;
    if (what % 4 == 2) {
        error = wsr_endpoint_send(d->talk.ep, (what & 4) != 0 ? WSR_PING : WSR_PONG, data);
        CHECK(error == WSR_OK || error == WSR_ESTATE || error == WSR_ENOMEM || (error == WSR_ETOOBIG && n > 125));
        return;
    }
    if (what % 4 == 3)
        error = wsr_endpoint_send_fragmented(d->talk.ep, opcode, data, 1 + what);
    else
        error = wsr_endpoint_send(d->talk.ep, opcode, data);
    CHECK(error == WSR_OK || error == WSR_ESTATE || error == WSR_EFULL || error == WSR_ENOMEM || error == WSR_ETOOBIG);
    d->accepted += error == WSR_OK;
}

static void close_it(struct drive *d)
{
    uint16_t code = (uint16_t)(input_byte(&d->in) << 8 | input_byte(&d->in));
    size_t n = input_byte(&d->in) & 127;
    wsr_slice reason = {NULL, 0};
    reason.ptr = input_bytes(&d->in, &n);
    reason.len = n;
    int error = wsr_endpoint_close(d->talk.ep, d->talk.now_ns, code, reason);
    CHECK(error == WSR_OK || error == WSR_ESTATE || error == WSR_EBADCODE || error == WSR_EBADUTF8 || error == WSR_ETOOBIG || error == WSR_ENOMEM);
}

static void one_step(struct drive *d)
{
    struct talk *talk = &d->talk;
    uint8_t op = input_byte(&d->in);
    size_t n;
    switch (op & 7) {
    case 0:
    case 1:
        n = 1 + (op >> 3);
        const uint8_t *p = input_bytes(&d->in, &n);
        talk_feed(talk, p, n);
        break;
    case 2:
        feed_frame(d);
        break;
    case 3:
        send_something(d);
        break;
    case 4:
        (void)talk_take(talk, op >> 3 == 31 ? 100000 : (size_t)(op >> 3));
        break;
    case 5:
        talk->now_ns += (op >> 3) * TALK_SECOND_NS;
        talk_tick(talk);
        break;
    case 6:
        talk->blocked = (op & 8) != 0;
        talk->heap.fail_at = (op & 16) != 0 ? talk->heap.calls + 1 + (op >> 5) : 0;
        break;
    default:
        if (op < 128) {
            close_it(d);
        } else if (op < 192) {
            talk_eof(talk, op & 1);
        } else {
            wsr_event ev[1];
            struct wsr_batch batch = {ev, 0, 0, talk->now_ns};
            wsr_endpoint_send_failed(talk->ep, &batch, 32);
        }
    }
    /* Time is asked for only where it can end something, and an event that waits comes with a tick. */
    uint64_t deadline = wsr_endpoint_deadline(talk->ep);
    CHECK(!talk->is_closed || deadline == UINT64_MAX);
    wsr_slice slices[2];
    CHECK(!talk->is_closed || wsr_endpoint_drain(talk->ep, slices, 2) == 0);
}

/* Whatever happened: the end comes, and its counts add up. */
static void finish(struct drive *d)
{
    struct talk *talk = &d->talk;
    talk->heap.fail_at = 0;
    (void)talk_flush(talk);
    talk_eof(talk, 0);
    for (unsigned i = 0; i < 4 && !talk->is_closed; i++) {
        (void)talk_flush(talk);
        talk_tick(talk);
        if (!talk->is_closed && wsr_endpoint_deadline(talk->ep) > talk->now_ns)
            talk->now_ns = wsr_endpoint_deadline(talk->ep);
        talk_tick(talk);
    }
    CHECK(talk->is_closed);
    const wsr_close_record *r = &talk->record;
    unsigned long whole = drive_check_sent(talk->role, talk->extensions != NULL, talk->sent.ptr, talk->sent.len);
    CHECK(r->messages_out == d->accepted);
    CHECK(whole + r->messages_undelivered + r->messages_unconfirmed == r->messages_out);
    CHECK(r->code_received == 0 || r->code_received == 1005 || wsr_close_lookup(r->code_received)->may_receive);
    CHECK(r->code_sent == 0 || r->code_sent == 1005 || wsr_close_lookup(r->code_sent)->may_send);
    CHECK(!r->clean || (r->code_sent != 0 && r->code_received != 0 && r->cause == WSR_OK));
    CHECK(!r->clean || r->messages_undelivered + r->messages_unconfirmed == 0);
}

void drive_endpoint(wsr_role role, const uint8_t *data, size_t size)
{
    struct drive d = {.in = {data, size}};
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    uint8_t options = input_byte(&d.in);
    if ((options & 1) != 0)
        config.limits = (wsr_limits){.message_bytes_max = 1000, .outbox_bytes_max = 1000, .empty_fragments_max = 2, .control_frames_max = 3};
    config.limits.whole_bytes_max = (options & 16) != 0 ? 5 : 0; /* larger messages come in chunks */
    config.limits.ping_interval_ns = (options & 2) != 0 ? 10 * TALK_SECOND_NS : 0;
    config.kernels = (options & 4) != 0 ? "scalar" : NULL;
    d.talk = (struct talk){.role = role, .now_ns = 1, .cap = (options & 8) != 0 ? 1 : 0};
    if ((options & 32) != 0)
        drive_deflate(&d.talk, &config, (options & 64) != 0);
    CHECK(talk_open(&d.talk, &config) == WSR_OK);
    CHECK(d.talk.is_open);
    while (d.in.len > 0)
        one_step(&d);
    finish(&d);
    CHECK(talk_free(&d.talk));
}
