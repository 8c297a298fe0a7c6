/*
 * tools/connect_report.c - see connect_report.h.
 *
 * What a close code means and asks for is in the library's table (close.h). What is here is what this command can say beyond it:
 * which of its options helps, for the ends that are no close code.
 */
#include "tools/connect_report.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "tools/cmd.h"
#include "tools/parse.h"
#include "tools/text.h"

enum { BODY_MAX = 400 }; /* bytes of a refusal's body: what fits a few lines */

/* --- The exit code -------------------------------------------------------------------------------------------------------- */

/* Of an end that this one did not bring about. */
static const uint8_t exits[WSR_CAUSES] = {
    [WSR_CAUSE_WE_FAILED] = WSR_EXIT_PROTOCOL,
    [WSR_CAUSE_1000] = WSR_EXIT_OK,
    [WSR_CAUSE_1005] = WSR_EXIT_OK,
    [WSR_CAUSE_1001] = WSR_EXIT_GOING_AWAY,
    [WSR_CAUSE_1012] = WSR_EXIT_GOING_AWAY,
    [WSR_CAUSE_1013] = WSR_EXIT_GOING_AWAY,
    [WSR_CAUSE_1002] = WSR_EXIT_PROTOCOL,
    [WSR_CAUSE_1003] = WSR_EXIT_PROTOCOL,
    [WSR_CAUSE_1007] = WSR_EXIT_PROTOCOL,
    [WSR_CAUSE_1009] = WSR_EXIT_PROTOCOL,
    [WSR_CAUSE_1010] = WSR_EXIT_PROTOCOL,
    [WSR_CAUSE_1008] = WSR_EXIT_OTHER_CLOSE,
    [WSR_CAUSE_1011] = WSR_EXIT_OTHER_CLOSE,
    [WSR_CAUSE_1014] = WSR_EXIT_OTHER_CLOSE,
    [WSR_CAUSE_3000] = WSR_EXIT_OTHER_CLOSE,
    [WSR_CAUSE_3003] = WSR_EXIT_OTHER_CLOSE,
    [WSR_CAUSE_3008] = WSR_EXIT_OTHER_CLOSE,
    [WSR_CAUSE_3XXX] = WSR_EXIT_OTHER_CLOSE,
    [WSR_CAUSE_4XXX] = WSR_EXIT_OTHER_CLOSE,
    [WSR_CAUSE_ABNORMAL] = WSR_EXIT_BROKEN,
    [WSR_CAUSE_RESET] = WSR_EXIT_BROKEN,
    [WSR_CAUSE_EOF_BEFORE_ANSWER] = WSR_EXIT_BROKEN,
    [WSR_CAUSE_PING_TIMEOUT] = WSR_EXIT_TIMEOUT,
    [WSR_CAUSE_TLS_CERTIFICATE] = WSR_EXIT_TLS,
    [WSR_CAUSE_TLS_TIMEOUT] = WSR_EXIT_TIMEOUT,
    [WSR_CAUSE_DNS] = WSR_EXIT_NO_NAME,
    [WSR_CAUSE_REFUSED] = WSR_EXIT_NO_CONNECTION,
    [WSR_CAUSE_CONNECT_TIMEOUT] = WSR_EXIT_TIMEOUT,
    [WSR_CAUSE_HANDSHAKE_TIMEOUT] = WSR_EXIT_TIMEOUT,
    [WSR_CAUSE_PROXY] = WSR_EXIT_PROXY,
    [WSR_CAUSE_INVALID_ANSWER] = WSR_EXIT_PROTOCOL,
    /* the rest, 0 here, are HTTP's statuses: see report_exit */
};

enum cmd_exit report_exit(const wsr_close_record *record, bool opened)
{
    const wsr_cause cause = wsr_cause_of_record(record, opened);
    switch (record->cause) {
    case WSR_EABORTED:
        return WSR_EXIT_CUT;
    case WSR_ETLS_CERTIFICATE:
        return WSR_EXIT_CERTIFICATE;
    case WSR_EPROXY:
        return WSR_EXIT_PROXY;
    case WSR_ETIMEOUT_CLOSE:
        return WSR_EXIT_TIMEOUT;
    case WSR_ENOMEM:
    case WSR_ERANDOM:
    case WSR_ESYS:
        return WSR_EXIT_FAILED;
    default:
        break;
    }
    /* The answer to our Close says that all we had sent was read. */
    if (cause == WSR_CAUSE_LOCAL_CLOSE)
        return record->code_received != 0 ? WSR_EXIT_OK : WSR_EXIT_BROKEN;
    if (cause >= WSR_CAUSE_HTTP_3XX && cause <= WSR_CAUSE_HTTP_5XX)
        return WSR_EXIT_HTTP;
    return (enum cmd_exit)exits[cause];
}

/* --- What to do ------------------------------------------------------------------------------------------------------------ */

static const char *const advice[WSR_CAUSES] = {
    [WSR_CAUSE_RESET] = "Something on the way, or the server's end, cut the connection; --ping finds out sooner.",
    [WSR_CAUSE_PING_TIMEOUT] = "The server, or the way to it, is dead or stuck.",
    [WSR_CAUSE_DNS] = "Check how the host is spelled; `getent ahosts NAME' asks the same resolver.",
    [WSR_CAUSE_REFUSED] = "Is the server running, on that address and port? A firewall may also say so.",
    [WSR_CAUSE_CONNECT_TIMEOUT] = "Nobody answers at that address: a wrong port, or a firewall that drops what it does not like. --timeout waits longer.",
    [WSR_CAUSE_HANDSHAKE_TIMEOUT] = "Something listens there, but does not answer a WebSocket handshake: another protocol, or a server that is stuck.",
    [WSR_CAUSE_EOF_BEFORE_ANSWER] = "The server hung up on the handshake: a port that speaks TLS is wss://, one that does not is ws://.",
    [WSR_CAUSE_TLS_TIMEOUT] = "Something listens there, but does not answer TLS: a port that does not speak it is ws://.",
    [WSR_CAUSE_PROXY] = "Check --proxy: its address, user and password, and whether it lets one through to that host and port.",
    [WSR_CAUSE_INVALID_ANSWER] = "What answers is no WebSocket server at that path, or something on the way changes its answers.",
    [WSR_CAUSE_HTTP_3XX] = "It is to be found elsewhere: connect to its Location, or follow it with --redirects.",
    [WSR_CAUSE_HTTP_400] = "The server found the request wrong: a --subprotocol or --header it wants may be missing.",
    [WSR_CAUSE_HTTP_401] = "Say who you are: user:password@ in the URL, or --header 'Authorization: ...'.",
    [WSR_CAUSE_HTTP_403] = "It lets in only some: check --origin and the credentials.",
    [WSR_CAUSE_HTTP_404] = "There is nothing at this path: check the URL.",
    [WSR_CAUSE_HTTP_407] = "Say to the proxy who you are: user:password@ in --proxy.",
    [WSR_CAUSE_HTTP_410] = "It is gone for good: ask for its new URL.",
    [WSR_CAUSE_HTTP_426] = "It wants another version of the protocol (see its headers), or upgrades no longer.",
    [WSR_CAUSE_HTTP_429] = "Too often: wait (see Retry-After).",
    [WSR_CAUSE_HTTP_4XX] = "The server found fault with the request: its status and body say with what.",
    [WSR_CAUSE_HTTP_500] = "The server failed: its log says why.",
    [WSR_CAUSE_HTTP_502] = "A proxy in front could not reach the server behind it.",
    [WSR_CAUSE_HTTP_503] = "Overloaded, or shutting down: wait (see Retry-After).",
    [WSR_CAUSE_HTTP_504] = "A proxy in front had no answer in time from the server behind it.",
    [WSR_CAUSE_HTTP_5XX] = "The server failed: its status and body say how.",
};

static const char *advice_for(const wsr_close_record *record, wsr_cause cause)
{
    const wsr_cause_info *info = wsr_cause_lookup(cause);
    if (record->cause == WSR_ETLS_CERTIFICATE)
        return "If it is a server of your own, trust its root with --tls-ca FILE; the URL's host must be a name in its certificate. "
               "--insecure believes anybody.";
    if (record->cause == WSR_ETLS)
        return "A port that does not speak TLS is ws://; one that wants a certificate of yours gets it with --tls-cert.";
    if (record->cause == WSR_ETIMEOUT_CLOSE)
        return "The server did not answer our Close in time: what it had not read by then may be lost.";
    if (advice[cause] != NULL)
        return advice[cause];
    return info->close != NULL ? info->close->fix : NULL;
}

/* --- Lines ----------------------------------------------------------------------------------------------------------------- */

/* Prints what is in the buffer as one line, and empties it. */
static void say(struct buffer *line)
{
    if (!line->failed)
        cmd_complain("connect", "%.*s", (int)buffer_len(line), (const char *)line->ptr + line->at);
    buffer_take(line, buffer_len(line));
}

static void add_quoted(struct buffer *line, wsr_slice text)
{
    buffer_add_text(line, "\"");
    text_add_plain(line, text, NULL);
    buffer_add_text(line, "\"");
}

static void say_header(struct buffer *line, const wsr_header *header)
{
    buffer_add_text(line, "< ");
    text_add_plain(line, header->name, NULL);
    buffer_add_text(line, ": ");
    text_add_plain(line, header->value, NULL);
    say(line);
}

/* "1001 Going Away", and the reason if there is one. */
static void add_code(struct buffer *line, const wsr_close_record *r)
{
    buffer_add_format(line, "%u %s", r->code, wsr_close_lookup(r->code)->name);
    const bool ours = r->code_received == 0 && r->cause != WSR_OK; /* then the reason is what is told of the cause anyway */
    if (r->reason_len > 0 && !ours) {
        buffer_add_text(line, " ");
        add_quoted(line, (wsr_slice){(const uint8_t *)r->reason, r->reason_len});
    }
}

/* What this end saw, in the words of whoever saw it best. */
static void add_trouble(struct buffer *line, const wsr_close_record *r)
{
    /* "...; errno says why": it follows. */
    const char *text = wsr_error_text(r->cause), *errno_part = r->sys_errno != 0 || r->detail != NULL ? strstr(text, "; errno says") : NULL;
    buffer_add(line, text, errno_part != NULL ? (size_t)(errno_part - text) : strlen(text));
    if (r->http_status != 0)
        buffer_add_format(line, ": HTTP %u", r->http_status);
    if (r->detail != NULL) {
        buffer_add_text(line, ": ");
        text_add_plain(line, text_of(r->detail), NULL);
    } else if (r->sys_errno != 0) {
        buffer_add_format(line, ": %s", strerror(r->sys_errno));
    }
    if (r->tls_alert != 0)
        buffer_add_format(line, " (TLS alert %u, %s)", r->tls_alert, r->tls_alert_received ? "received" : "sent");
    buffer_add_format(line, " (%s)", wsr_error_name(r->cause));
}

/* The URLs were looked at before, so what the library does not take is one of the other options. */
enum cmd_exit report_not_begun(const struct connect_options *options, int error)
{
    switch (error) {
    case WSR_EURL:
        cmd_complain("connect", "--proxy %s: not as in http://HOST:PORT or socks5://HOST:PORT", options->connect.proxy);
        return WSR_EXIT_USAGE;
    case WSR_EINVAL:
        cmd_complain("connect", "--address %s: not a numeric IPv4 or IPv6 address", options->connect.address);
        return WSR_EXIT_USAGE;
    case WSR_ECONFIG:
        cmd_complain("connect", "%s", wsr_connect_problem(&options->connect));
        return WSR_EXIT_USAGE;
    default:
        cmd_complain("connect", "cannot begin: %s (%s)%s%s", wsr_error_text(error), wsr_error_name(error), error == WSR_ESYS ? ": " : "",
                     error == WSR_ESYS ? strerror(errno) : "");
        return WSR_EXIT_FAILED;
    }
}

void report_open(const struct connect_options *options, const wsr_engine *engine, const wsr_event *event, const char *url)
{
    const wsr_response *response = wsr_event_response(event);
    struct buffer line = {0};
    wsr_tls_info tls;
    char address[64];
    buffer_add_format(&line, "connected to %s", url);
    if (wsr_peer_address(engine, event->conn, address, sizeof address) == WSR_OK)
        buffer_add_format(&line, " at %s", address);
    if (wsr_connection_tls(engine, event->conn, &tls) == WSR_OK)
        buffer_add_format(&line, ", %s %s%s", tls.version, tls.cipher, tls.resumed ? ", resumed" : "");
    if (response != NULL && response->subprotocol.len > 0) {
        buffer_add_text(&line, ", subprotocol ");
        text_add_plain(&line, response->subprotocol, NULL);
    }
    say(&line);
    if (options->verbose && response != NULL) {
        buffer_add_format(&line, "< HTTP/1.1 %u", response->status);
        say(&line);
        for (unsigned i = 0; i < response->headers_n; i++)
            say_header(&line, &response->headers[i]);
    }
    buffer_free(&line);
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------ */

/* The headers of a refusal that say what to do next. */
static bool is_of_interest(const wsr_header *header)
{
    static const char *const names[] = {"Location", "Retry-After", "WWW-Authenticate", "Proxy-Authenticate", "Sec-WebSocket-Version", "Server"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (header->name.len == strlen(names[i]) && strncasecmp((const char *)header->name.ptr, names[i], header->name.len) == 0)
            return true;
    }
    return false;
}

static void say_answer(struct buffer *line, const wsr_response *answer)
{
    for (unsigned i = 0; i < answer->headers_n; i++) {
        if (is_of_interest(&answer->headers[i]))
            say_header(line, &answer->headers[i]);
    }
    wsr_slice body = answer->body;
    const bool cut = body.len > BODY_MAX;
    if (cut)
        body.len = BODY_MAX;
    while (body.len > 0 && (body.ptr[body.len - 1] == '\n' || body.ptr[body.len - 1] == '\r'))
        body.len--;
    if (body.len == 0)
        return;
    buffer_add_text(line, "< ");
    text_add_plain(line, body, " ");
    buffer_add_text(line, cut ? " ..." : "");
    say(line);
}

static void say_losses(struct buffer *line, const wsr_close_record *r)
{
    if (r->messages_undelivered + r->messages_unconfirmed == 0)
        return;
    buffer_add_format(line, "not all that was accepted has left: %" PRIu64 " messages not sent, %" PRIu64 " in part or in doubt", r->messages_undelivered,
                      r->messages_unconfirmed);
    say(line);
}

static void add_end(struct buffer *line, const wsr_close_record *r, bool opened)
{
    static const char *const by[] = {"closed by nobody: ", "closed by us: ", "closed by the server: ", "closed by both ends: "};
    char duration[24];
    if (!opened) {
        buffer_add_text(line, "not connected: ");
        add_trouble(line, r);
        return;
    }
    buffer_add_text(line, by[r->by]);
    add_code(line, r);
    if (r->cause != WSR_OK) {
        buffer_add_text(line, ": ");
        add_trouble(line, r);
    }
    buffer_add_format(line, "; open for %s, %" PRIu64 " messages in, %" PRIu64 " out", format_duration(duration, sizeof duration, r->lifetime_ns),
                      r->messages_in, r->messages_out);
    if (r->round_trip_ns != 0)
        buffer_add_format(line, ", round trip %s", format_duration(duration, sizeof duration, r->round_trip_ns));
}

void report_reconnecting(const wsr_event *event)
{
    const wsr_reconnecting *r = wsr_event_reconnecting(event);
    assert(r != NULL);
    const wsr_close_record *record = r->record;
    struct buffer line = {0};
    char duration[24];
    buffer_add_text(&line, "lost: ");
    if (record->cause != WSR_OK)
        add_trouble(&line, record);
    else
        add_code(&line, record);
    if (r->verdict == WSR_VERDICT_ASK || r->verdict == WSR_VERDICT_RENEW)
        buffer_add_format(&line, "; not coming back: %s%s", r->why, r->verdict == WSR_VERDICT_RENEW ? ", and wants fresh credentials" : "");
    else
        buffer_add_format(&line, "; attempt %" PRIu32 " in %s at %s: %s", r->attempt, format_duration(duration, sizeof duration, r->delay_ns), r->url,
                          r->why);
    say(&line);
    say_losses(&line, record);
    buffer_free(&line);
}

/* Would --reconnect have come back by itself? */
static bool comes_back(const wsr_close_record *record, wsr_cause cause)
{
    const wsr_retry retry = wsr_policy_default(WSR_PROFILE_DEFAULT, cause)->retry;
    return record->by != WSR_BY_LOCAL && (retry == WSR_RETRY_BACKOFF || retry == WSR_RETRY_LATER || retry == WSR_RETRY_LIMITED);
}

void report_closed(const struct connect_options *options, const wsr_close_record *record, bool opened)
{
    const wsr_cause cause = wsr_cause_of_record(record, opened);
    struct buffer line = {0};
    add_end(&line, record, opened);
    say(&line);
    say_losses(&line, record);
    if (record->answer != NULL)
        say_answer(&line, record->answer);
    if (opened) {
        buffer_add_format(&line, "%u means: %s", record->code, wsr_close_lookup(record->code)->meaning);
        say(&line);
    }
    const char *what = report_exit(record, opened) != WSR_EXIT_OK ? advice_for(record, cause) : NULL;
    if (what != NULL) {
        buffer_add_format(&line, "what to do: %s%s", what,
                          opened && !options->connect.reconnect.on && comes_back(record, cause) ? " With --reconnect this command comes back by itself." : "");
        say(&line);
    }
    buffer_free(&line);
}
