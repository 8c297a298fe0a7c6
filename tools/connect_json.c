/*
 * tools/connect_json.c - see connect_json.h.
 */
#include "tools/connect_json.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "tools/cmd.h"
#include "tools/stamps.h"
#include "tools/text.h"

/* How far the wall clock is ahead of CLOCK_MONOTONIC, as it was at the first event: so times do not go back when somebody sets the clock. */
static uint64_t wall_ahead_ns(void)
{
    static uint64_t ahead_ns;
    struct timespec now;
    if (ahead_ns == 0) {
        clock_gettime(CLOCK_REALTIME, &now);
        ahead_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec - cmd_now_ns();
    }
    return ahead_ns;
}

static void begin(struct buffer *out, const char *name, const wsr_event *event)
{
    const uint64_t us = (event->time_ns + wall_ahead_ns()) / 1000;
    buffer_add_format(out, "{\"event\": \"%s\", \"time\": %" PRIu64 ".%06" PRIu64 ", \"connection\": \"%016" PRIx64 "\"", name, us / 1000000, us % 1000000,
                      event->conn);
}

static void end(struct buffer *out)
{
    buffer_add_text(out, "}\n");
}

static void add_text(struct buffer *out, const char *name, wsr_slice text)
{
    buffer_add_format(out, ", \"%s\": ", name);
    text_add_json(out, text);
}

static void add_string(struct buffer *out, const char *name, const char *text)
{
    if (text != NULL)
        add_text(out, name, text_of(text));
    else
        buffer_add_format(out, ", \"%s\": null", name);
}

static void add_number(struct buffer *out, const char *name, uint64_t n)
{
    buffer_add_format(out, ", \"%s\": %" PRIu64, name, n);
}

static void add_seconds(struct buffer *out, const char *name, uint64_t ns)
{
    buffer_add_format(out, ", \"%s\": %" PRIu64 ".%09" PRIu64, name, ns / 1000000000, ns % 1000000000);
}

static void add_bool(struct buffer *out, const char *name, bool value)
{
    buffer_add_format(out, ", \"%s\": %s", name, value ? "true" : "false");
}

static void add_base64(struct buffer *out, const char *name, wsr_span bytes)
{
    buffer_add_format(out, ", \"%s\": ", name);
    text_add_base64(out, (wsr_slice){bytes.ptr, bytes.len});
}

static void add_stamp(struct buffer *out, const wsr_event *event)
{
    const wsr_receive_stamp *stamp = wsr_event_stamp(event);
    if (stamp == NULL)
        return;
    buffer_add_format(out, ", \"stamp\": {\"shared\": %s", (event->flags & WSR_EVENT_STAMP_SHARED) != 0 ? "true" : "false");
    if (stamp->realtime_ns != 0) {
        add_seconds(out, "kernel", stamp->realtime_ns);
        add_seconds(out, "waited", stamps_waited_ns(stamp, stamps_now_ns()));
    }
    if (stamp->hardware_ns != 0)
        add_seconds(out, "card", stamp->hardware_ns);
    buffer_add_text(out, "}");
}

/* "status", and "headers": pairs of name and value, in the order they came in; a name may be there more than once. */
static void add_response(struct buffer *out, const wsr_response *response)
{
    add_number(out, "status", response->status);
    buffer_add_text(out, ", \"headers\": [");
    for (unsigned i = 0; i < response->headers_n; i++) {
        buffer_add_text(out, i > 0 ? ", [" : "[");
        text_add_json(out, response->headers[i].name);
        buffer_add_text(out, ", ");
        text_add_json(out, response->headers[i].value);
        buffer_add_text(out, "]");
    }
    buffer_add_text(out, "]");
}

static void add_tls(struct buffer *out, const wsr_engine *engine, wsr_conn conn)
{
    wsr_tls_info info;
    if (wsr_connection_tls(engine, conn, &info) != WSR_OK) {
        buffer_add_text(out, ", \"tls\": null");
        return;
    }
    buffer_add_format(out, ", \"tls\": {\"version\": \"%s\"", info.version);
    add_string(out, "cipher", info.cipher);
    add_string(out, "alpn", info.alpn);
    add_string(out, "server_name", info.server_name);
    add_bool(out, "resumed", info.resumed);
    buffer_add_text(out, "}");
}

void json_add_open(struct buffer *out, const wsr_event *event, const wsr_engine *engine, const char *url)
{
    const wsr_response *response = wsr_event_response(event);
    char address[64];
    begin(out, "open", event);
    add_string(out, "url", url);
    add_string(out, "address", wsr_peer_address(engine, event->conn, address, sizeof address) == WSR_OK ? address : NULL);
    add_tls(out, engine, event->conn);
    if (response != NULL) {
        add_text(out, "subprotocol", response->subprotocol);
        add_response(out, response);
    }
    end(out);
}

void json_add_message(struct buffer *out, const wsr_event *event)
{
    begin(out, "message", event);
    if (event->opcode == WSR_TEXT) {
        add_string(out, "type", "text");
        add_text(out, "text", (wsr_slice){event->data.ptr, event->data.len});
    } else {
        add_string(out, "type", "binary");
        add_base64(out, "base64", event->data);
    }
    add_bool(out, "deflated", (event->flags & WSR_EVENT_DEFLATED) != 0);
    add_stamp(out, event);
    end(out);
}

void json_add_control(struct buffer *out, const wsr_event *event)
{
    begin(out, event->type == WSR_EVENT_PING ? "ping" : "pong", event);
    add_base64(out, "base64", event->data);
    add_stamp(out, event);
    end(out);
}

static void add_record(struct buffer *out, const wsr_close_record *r)
{
    static const char *const by[] = {"nobody", "us", "peer", "both"};
    add_number(out, "code", r->code);
    add_string(out, "name", wsr_close_lookup(r->code)->name);
    add_text(out, "reason", (wsr_slice){(const uint8_t *)r->reason, r->reason_len});
    add_string(out, "by", by[r->by]);
    add_bool(out, "clean", r->clean);
    add_number(out, "code_sent", r->code_sent);
    add_number(out, "code_received", r->code_received);
    add_string(out, "error", wsr_error_name(r->cause));
    add_string(out, "error_text", wsr_error_text(r->cause));
    buffer_add_format(out, ", \"errno\": %" PRId32, r->sys_errno);
    add_string(out, "detail", r->detail);
    add_number(out, "tls_alert", r->tls_alert);
    add_bool(out, "tls_alert_received", r->tls_alert_received);
    add_number(out, "messages_in", r->messages_in);
    add_number(out, "messages_out", r->messages_out);
    add_number(out, "bytes_in", r->bytes_in);
    add_number(out, "bytes_out", r->bytes_out);
    add_number(out, "frames_in", r->frames_in);
    add_number(out, "frames_out", r->frames_out);
    add_number(out, "messages_undelivered", r->messages_undelivered);
    add_number(out, "bytes_undelivered", r->bytes_undelivered);
    add_number(out, "messages_unconfirmed", r->messages_unconfirmed);
    add_seconds(out, "lifetime", r->lifetime_ns);
    add_seconds(out, "round_trip", r->round_trip_ns);
    if (r->answer != NULL) {
        add_response(out, r->answer);
        add_text(out, "body", r->answer->body);
    } else if (r->http_status != 0) {
        add_number(out, "status", r->http_status);
    }
}

void json_add_reconnecting(struct buffer *out, const wsr_event *event)
{
    static const char *const verdicts[] = {
        [WSR_VERDICT_STOP] = "stop", [WSR_VERDICT_RETRY] = "retry",   [WSR_VERDICT_RENEW] = "renew",
        [WSR_VERDICT_FOLLOW] = "follow", [WSR_VERDICT_ASK] = "ask",
    };
    const wsr_reconnecting *r = wsr_event_reconnecting(event);
    assert(r != NULL);
    begin(out, "reconnecting", event);
    add_string(out, "verdict", verdicts[r->verdict]);
    add_string(out, "cause", wsr_cause_lookup(r->cause)->name);
    add_string(out, "why", r->why);
    add_number(out, "attempt", r->attempt);
    add_number(out, "endpoint", r->endpoint);
    add_string(out, "url", r->url);
    add_seconds(out, "delay", r->delay_ns);
    add_record(out, r->record);
    end(out);
}

void json_add_closed(struct buffer *out, const wsr_event *event, bool opened)
{
    const wsr_close_record *record = wsr_event_close_record(event);
    assert(record != NULL);
    begin(out, "closed", event);
    add_string(out, "cause", wsr_cause_lookup(wsr_cause_of_record(record, opened))->name);
    add_bool(out, "opened", opened);
    add_record(out, record);
    end(out);
}
