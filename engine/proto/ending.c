/*
 * proto/ending.c - carries out what the close module decides: queues Close frames, drops the queue, swaps the feed,
 * arms the deadline, and keeps the record that CLOSED reports (RFC 6455 section 7). What to do when is close.c's.
 */
#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "proto/aside.h"
#include "proto/endpoint.h"
#include "proto/frame.h"
#include "proto/handshake.h"
#include "proto/refusal.h"

#define DEAD_CLOSE_NS UINT64_C(250000000)
#define DETAIL_CAP 160u /* with its NUL: what is left of the smallest chunk that the record fits in */

/*
 * The record, made when there is a reason or a caller to note. NULL: no memory now; then those are lost, but the cause, the
 * counts and CLOSED itself are not.
 */
static wsr_close_record *record_of(struct wsr_endpoint *ep)
{
    wsr_close_record *record = wsr_aside(ep, WSR_ASIDE_RECORD);
    if (record != NULL)
        return record;
    struct wsr_chunk *chunk = wsr_pool_get(&ep->env->pool, sizeof *record + DETAIL_CAP);
    if (chunk == NULL)
        return NULL;
    wsr_aside_put(ep, WSR_ASIDE_RECORD, chunk);
    return memset(chunk->bytes, 0, sizeof *record);
}

static void note_reason(struct wsr_endpoint *ep, wsr_slice reason)
{
    wsr_close_record *record = record_of(ep);
    if (record == NULL)
        return;
    assert(reason.len <= WSR_CLOSE_REASON_MAX);
    if (reason.len > 0)
        memcpy(record->reason, reason.ptr, reason.len);
    record->reason[reason.len] = '\0';
    record->reason_len = (uint8_t)reason.len;
}

void wsr_endpoint_detail(struct wsr_endpoint *ep, const char *text)
{
    wsr_close_record *record = record_of(ep);
    if (record == NULL || record->detail != NULL)
        return;
    char *detail = (char *)(record + 1);
    size_t n = 0;
    for (; n < DETAIL_CAP - 1 && text[n] != '\0'; n++) {
        const bool visible = (uint8_t)text[n] >= ' ' && text[n] != 0x7f; /* a proxy's or certificate's words: no line of its own */
        detail[n] = (char)(visible ? text[n] : ' ');
    }
    detail[n] = '\0';
    record->detail = detail;
}

/* The first cause stands: what follows it is its consequence. */
static void note_cause(struct wsr_endpoint *ep, int cause, int sys_errno)
{
    if (ep->cause != WSR_OK)
        return;
    ep->cause = (int16_t)cause; /* a wsr_error, and an errno: both small */
    ep->sys_errno = (int16_t)sys_errno;
}

static void note_caller(struct wsr_endpoint *ep, const char *file, int line)
{
    wsr_close_record *record = record_of(ep);
    if (record == NULL || record->local_file != NULL)
        return;
    record->local_file = file;
    record->local_line = line;
}

static void set_deadline(struct wsr_endpoint *ep, uint64_t at_ns)
{
    ep->flags |= WSR_EP_ENDS;
    ep->close_deadline_ns = at_ns;
}

static void drop(struct wsr_endpoint *ep)
{
    const struct wsr_outbox_count count = wsr_outbox_drop(&ep->out, &ep->env->pool);
    if ((ep->flags & WSR_EP_DROPPED) == 0) {
        ep->flags = (uint16_t)((ep->flags | WSR_EP_DROPPED) & ~(unsigned)(WSR_EP_PINGED | WSR_EP_PING_WAITS | WSR_EP_OWES_WRITABLE));
        ep->dropped.messages = ep->dropped.bytes = 0;
    }
    ep->dropped.messages += count.messages;
    ep->dropped.bytes += count.bytes;
}

static int queue_close(struct wsr_endpoint *ep, uint16_t code, wsr_slice reason)
{
    uint8_t payload[WSR_CLOSE_REASON_MAX + 2];
    unsigned len = wsr_close_payload_encode(payload, code, reason);
    const struct wsr_framer *framer = wsr_endpoint_framer(ep);
    return wsr_outbox_frame(&ep->out, framer, WSR_FIN | WSR_CLOSE, (wsr_slice){payload, len});
}

/* A peer that was taken for dead is sent a Close, in case it is not; it is not waited for, since who comes back must know soon. */
static uint64_t close_time_ns(const struct wsr_endpoint *ep)
{
    const uint64_t ns = ep->env->limits.close_timeout_ns;
    const bool dead = ep->cause == WSR_ETIMEOUT_PING || ep->cause == WSR_ETIMEOUT_IDLE;
    return dead && ns > DEAD_CLOSE_NS ? DEAD_CLOSE_NS : ns;
}

/* Does what the close module says, but for WSR_CA_SEND. */
static void act(struct wsr_endpoint *ep, uint64_t now_ns, unsigned actions)
{
    if ((actions & WSR_CA_DROP) != 0)
        drop(ep);
    if ((actions & WSR_CA_READ_ON) != 0)
        ep->flags |= WSR_EP_AFTER_CLOSE;
    if ((actions & WSR_CA_DISCARD) != 0)
        ep->feed = wsr_receive_discard;
    if ((actions & WSR_CA_SHUT_DOWN) != 0)
        ep->flags |= WSR_EP_SHUTDOWN;
    if ((actions & WSR_CA_TIMER) != 0)
        set_deadline(ep, wsr_ns_add(now_ns, close_time_ns(ep)));
    if ((actions & WSR_CA_REPORT) != 0) {
        ep->flags |= WSR_EP_OWES_CLOSED;
        ep->feed = wsr_receive_discard;
    }
}

/* Tells the close module one thing and does what it says. reason: of the Close to be sent, if one is. */
static void step(struct wsr_endpoint *ep, uint64_t now_ns, enum wsr_close_input input, uint16_t code, wsr_slice reason)
{
    unsigned actions = wsr_close_step(&ep->close, input, code, wsr_endpoint_role(ep));
    act(ep, now_ns, actions);
    int error = (actions & WSR_CA_SEND) != 0 ? queue_close(ep, ep->close.code_sent, reason) : WSR_OK;
    if (error < 0) { /* no memory or no key for a Close: as if the transport had refused it */
        note_cause(ep, error, 0);
        act(ep, now_ns, wsr_close_step(&ep->close, WSR_CI_SEND_ERROR, 0, wsr_endpoint_role(ep)));
    }
}

static const wsr_slice no_reason = {NULL, 0};

void wsr_endpoint_fail(struct wsr_endpoint *ep, uint64_t now_ns, int error)
{
    note_cause(ep, error, 0);
    if ((ep->flags & WSR_EP_OPEN) == 0) { /* the peer speaks HTTP still; what it was answered, if it was, goes out */
        if ((ep->flags & WSR_EP_FAILED_HANDSHAKE) == 0)
            step(ep, now_ns, WSR_CI_RESET, 0, no_reason);
        return;
    }
    wsr_slice reason = wsr_error_slice(error); /* each that has a close code fits: tests/test_endpoint.c */
    if (ep->close.state == WSR_CS_OPEN)
        note_reason(ep, reason);
    uint16_t code = wsr_error_close_code(error);
    step(ep, now_ns, WSR_CI_FAILURE, code != 0 ? code : WSR_CLOSE_INTERNAL_ERROR, reason);
}

void wsr_ending_peer_close(struct wsr_endpoint *ep, uint64_t now_ns, uint16_t code, wsr_slice reason)
{
    note_reason(ep, reason);
    step(ep, now_ns, WSR_CI_PEER_CLOSE, code, no_reason);
}

int wsr_endpoint_close_at(struct wsr_endpoint *ep, uint64_t now_ns, uint16_t code, wsr_slice reason, const char *file, int line)
{
    if ((ep->flags & WSR_EP_OPEN) == 0 || !wsr_close_is_open(&ep->close))
        return WSR_ESTATE;
    if (code == 0)
        code = WSR_CLOSE_NO_STATUS;
    int error = wsr_close_payload_check(code, reason, wsr_endpoint_role(ep));
    if (error < 0)
        return error;
    if (record_of(ep) == NULL)
        return WSR_ENOMEM;
    error = queue_close(ep, code, reason); /* first, since on an error nothing is to have happened */
    if (error < 0)
        return error;
    note_caller(ep, file, line);
    note_reason(ep, reason);
    unsigned actions = wsr_close_step(&ep->close, WSR_CI_LOCAL_CLOSE, code, wsr_endpoint_role(ep));
    assert((actions & WSR_CA_SEND) != 0 && (actions & WSR_CA_DROP) == 0);
    act(ep, now_ns, actions);
    return WSR_OK;
}

int wsr_endpoint_close(wsr_endpoint *ep, uint64_t now_ns, uint16_t code, wsr_slice reason)
{
    return wsr_endpoint_close_at(ep, now_ns, code, reason, NULL, 0);
}

void wsr_endpoint_abort(struct wsr_endpoint *ep, uint64_t now_ns, const char *file, int line)
{
    if (wsr_endpoint_is_over(ep))
        return;
    note_caller(ep, file, line);
    note_cause(ep, WSR_EABORTED, 0);
    step(ep, now_ns, WSR_CI_LOCAL_ABORT, 0, no_reason);
}

void wsr_ending_flushed(struct wsr_endpoint *ep, uint64_t now_ns)
{
    if (ep->close.code_sent != 0 && !ep->close.flushed && !wsr_outbox_pending(&ep->out))
        step(ep, now_ns, WSR_CI_FLUSHED, 0, no_reason);
}

bool wsr_endpoint_ends(const struct wsr_endpoint *ep)
{
    if (wsr_close_is_open(&ep->close))
        return (ep->flags & WSR_EP_SHUTDOWN) != 0; /* a handshake that failed */
    struct wsr_close then = ep->close;
    const unsigned actions = wsr_close_step(&then, WSR_CI_FLUSHED, 0, wsr_endpoint_role(ep));
    return (actions & (WSR_CA_SHUT_DOWN | WSR_CA_REPORT)) != 0 || (ep->flags & WSR_EP_SHUTDOWN) != 0;
}

void wsr_ending_timeout(struct wsr_endpoint *ep, uint64_t now_ns)
{
    set_deadline(ep, UINT64_MAX);
    if ((ep->flags & WSR_EP_FAILED_HANDSHAKE) != 0) { /* the close table was never entered */
        step(ep, now_ns, WSR_CI_RESET, 0, no_reason);
        return;
    }
    note_cause(ep, WSR_ETIMEOUT_CLOSE, 0);
    step(ep, now_ns, WSR_CI_TIMEOUT, 0, no_reason);
}

void wsr_endpoint_ended(struct wsr_endpoint *ep, struct wsr_batch *batch, int cause, int sys_errno)
{
    if (!wsr_endpoint_is_over(ep)) {
        if (ep->close.code_received == 0)
            note_cause(ep, cause, sys_errno);
        step(ep, batch->now_ns, sys_errno == 0 ? WSR_CI_EOF : WSR_CI_RESET, 0, no_reason);
    }
    (void)wsr_endpoint_settle(ep, batch);
}

void wsr_endpoint_broken(struct wsr_endpoint *ep, uint64_t now_ns, int cause)
{
    if (wsr_endpoint_is_over(ep))
        return;
    if (ep->close.code_received == 0)
        note_cause(ep, cause, 0);
    step(ep, now_ns, WSR_CI_RESET, 0, no_reason);
}

void wsr_endpoint_send_failed(struct wsr_endpoint *ep, struct wsr_batch *batch, int sys_errno)
{
    if (!wsr_endpoint_is_over(ep)) {
        if (ep->close.code_received == 0)
            note_cause(ep, WSR_ERESET, sys_errno);
        step(ep, batch->now_ns, WSR_CI_SEND_ERROR, 0, no_reason);
    }
    (void)wsr_endpoint_settle(ep, batch);
}

void wsr_endpoint_handshake_failed(struct wsr_endpoint *ep, uint64_t now_ns, int error, unsigned status)
{
    note_cause(ep, error, 0);
    ep->http_status = (uint16_t)status;
    ep->flags |= WSR_EP_FAILED_HANDSHAKE | WSR_EP_SHUTDOWN;
    ep->feed = wsr_receive_discard;
    set_deadline(ep, wsr_ns_add(now_ns, ep->env->limits.close_timeout_ns));
}

void wsr_ending_answered(struct wsr_endpoint *ep, uint64_t now_ns)
{
    step(ep, now_ns, WSR_CI_EOF, 0, no_reason);
}

/* The record to report; NULL: no memory, and the spare one is in use in this batch. The next one will do. */
static wsr_close_record *record_to_report(struct wsr_endpoint *ep)
{
    struct wsr_env *env = ep->env;
    wsr_close_record *record = record_of(ep);
    if (record != NULL || env->spare_serial == env->batch_serial)
        return record;
    env->spare_serial = env->batch_serial;
    memset(&env->spare_record, 0, sizeof env->spare_record);
    return &env->spare_record;
}

/* All that is to be said now; what had a reason or a caller to note has noted it. */
static void fill(struct wsr_endpoint *ep, wsr_close_record *record, uint64_t now_ns)
{
    const struct wsr_close *close = &ep->close;
    drop(ep);
    struct wsr_outbox_count unconfirmed = wsr_outbox_unconfirmed(&ep->out);
    record->by = (wsr_close_by)close->by;
    record->clean = close->clean;
    record->code = (ep->flags & WSR_EP_OPEN) != 0 ? wsr_close_code(close) : WSR_CLOSE_ABNORMAL;
    record->code_sent = wsr_close_code_sent(close);
    record->code_received = close->code_received;
    if (!record->clean) { /* whatever broke after both Closes had passed did no harm */
        record->cause = ep->cause;
        record->sys_errno = ep->sys_errno;
        record->tls_alert = ep->tls_alert;
        record->tls_alert_received = ep->tls_alert_received;
    }
    record->http_status = ep->http_status;
    record->messages_in = ep->messages_in;
    record->bytes_in = ep->bytes_in;
    record->frames_in = ep->frames_in;
    record->messages_out = ep->out.messages;
    record->bytes_out = ep->out.payload_bytes;
    record->frames_out = ep->out.frames;
    record->messages_undelivered = ep->dropped.messages;
    record->bytes_undelivered = ep->dropped.bytes;
    record->messages_unconfirmed = unconfirmed.messages;
    record->lifetime_ns = now_ns > ep->opened_ns ? now_ns - ep->opened_ns : 0; /* UINT64_MAX: there was no transport */
    record->round_trip_ns = ep->round_trip_ns;
    record->answer = wsr_refusal_show(ep);
}

bool wsr_ending_report(struct wsr_endpoint *ep, struct wsr_batch *batch)
{
    struct wsr_env *env = ep->env;
    wsr_close_record *record = batch->n < batch->cap ? record_to_report(ep) : NULL;
    if (record == NULL)
        return false;
    fill(ep, record, batch->now_ns);
    const uint64_t unconfirmed = record->messages_unconfirmed; /* what CLOSED shows may be an earlier record */
    wsr_span shown = {(uint8_t *)record, sizeof *record};
    const enum wsr_lost lost = env->lost != NULL ? env->lost(ep, batch, record, &shown) : WSR_LOST_FOR_GOOD;
    if (lost == WSR_LOST_LATER)
        return false;
    env->messages_undelivered += ep->dropped.messages;
    env->messages_unconfirmed += unconfirmed;
    env->handshakes_failed += (ep->flags & (WSR_EP_OPEN | WSR_EP_BLANK)) == 0;

    wsr_event *event = wsr_endpoint_emit(ep, batch, lost == WSR_LOST_FOR_NOW ? WSR_EVENT_RECONNECTING : WSR_EVENT_CLOSED, shown.ptr, shown.len);
    event->close_code = record->code;
    event->error = record->cause;
    struct wsr_chunk *chunk = wsr_aside_take(ep, WSR_ASIDE_RECORD);
    if (chunk != NULL)
        wsr_env_retire(env, chunk);
    wsr_refusal_retire(ep);
    const unsigned told = lost == WSR_LOST_FOR_NOW ? WSR_EP_LOST : WSR_EP_CLOSED;
    ep->flags = (uint16_t)((ep->flags | told) & ~(unsigned)WSR_EP_OWES_CLOSED);
    return true;
}
