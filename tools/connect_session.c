/*
 * tools/connect_session.c - see connect_session.h.
 *
 * One poll(2) waits for three: the engine's descriptor, standard input, standard output. Nothing here waits anywhere else.
 *   in:  standard input is read when the connection is open and has room; while it is down, what was not sent waits in the pipe
 *   out: what standard output does not take waits here; when that is much, the connection is not read until it is less
 */
#include "tools/connect_session.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "tools/cmd.h"
#include "tools/connect_report.h"
#include "tools/connect_show.h"
#include "tools/signals.h"
#include "tools/sink.h"
#include "tools/text.h"

#define SAME_SIGNAL_NS UINT64_C(200000000)

enum {
    EVENTS = 64,
    OUTBOX_BYTES = 1 << 20, /* no more of the input is taken while this much of it has not left */
    SINK_PAUSE_BYTES = 256 << 10,
    SINK_RESUME_BYTES = 64 << 10,
    /* Behind our Close the peer's must be read to see it, so what comes before it is taken even if nobody reads our output: its
       sockets' buffers, and what it still sends. This much, then it is paused all the same. */
    SINK_CLOSING_BYTES = 64 << 20
};

struct session {
    const struct connect_options *options;
    const char *url;
    wsr_engine *engine;
    wsr_conn conn;
    struct input in;
    struct sink out;
    struct show show;
    bool open;    /* between OPEN and its end */
    bool closing; /* we closed: by choice, or because we cannot go on */
    bool ending;  /* CLOSED came */
    bool closed;  /* ... and no successor will */
    bool paused;  /* we do not read, because our output is not read */
    bool full;    /* the outbox refused a message; WRITABLE will come */
    bool failed;  /* this end's own trouble; it was told */
    bool gone;    /* the reader of our output has gone */
    bool quiet;   /* the input has ended, and nothing of it or of what came is left to do */
    bool asked;   /* a verdict that needs a person: `exit` is that of what was lost */
    uint64_t messages_n;     /* received, of those asked for */
    uint64_t quiet_ns;       /* if quiet: since when. A message that comes ends it */
    uint64_t signal_ns;      /* when the last one came that counts; 0: none did */
    int signals;             /* seen */
    enum cmd_exit ended; /* by how the connection ended, */
    enum cmd_exit exit;  /* ... and the one that counts in its place, if it is not 0 */
};

static enum cmd_exit exit_code(const struct session *s)
{
    if (s->exit != WSR_EXIT_OK)
        return s->exit;
    return s->failed ? WSR_EXIT_FAILED : s->ended;
}

/* --- Closing --------------------------------------------------------------------------------------------------------------- */

static void begin_close(struct session *s, uint16_t code, const char *reason)
{
    if (s->closing || s->closed)
        return;
    s->closing = true;
    if (!s->open || wsr_close(s->engine, s->conn, code, reason != NULL ? text_of(reason) : (wsr_slice){0}) != WSR_OK)
        (void)!wsr_abort(s->engine, s->conn); /* stale only if its CLOSED is on the way */
}

static void close_as_asked(struct session *s)
{
    begin_close(s, s->options->close_code, s->options->close_reason);
}

/* This end cannot go on. */
static void give_up(struct session *s)
{
    s->failed = true;
    begin_close(s, WSR_CLOSE_GOING_AWAY, NULL);
}

/* The first goes away in order; a later one has no more patience. timeout(1) sends each twice: what comes at once is one. */
static void heed_signals(struct session *s)
{
    const int n = signals_count();
    const uint64_t now_ns = cmd_now_ns();
    if (n == s->signals)
        return;
    s->signals = n;
    if (s->signal_ns != 0 && now_ns - s->signal_ns < SAME_SIGNAL_NS)
        return;
    s->signal_ns = now_ns;
    if (!s->closing && !s->closed) {
        begin_close(s, WSR_CLOSE_GOING_AWAY, NULL);
        return;
    }
    s->exit = WSR_EXIT_CUT;
    if (s->closed)
        s->out.error = EINTR; /* nobody reads our output, and we are told not to wait for it */
    else
        (void)!wsr_abort(s->engine, s->conn);
}

/* --- From the connection --------------------------------------------------------------------------------------------------- */

static void on_message(struct session *s, const wsr_event *event)
{
    const uint64_t count = s->options->count;
    s->quiet = false;
    if (s->gone || (count > 0 && s->messages_n == count))
        return; /* what came behind the last one asked for */
    s->messages_n++;
    show_message(&s->show, &s->out.buffer, event);
    if (s->messages_n == count)
        close_as_asked(s);
}

static void on_open(struct session *s, const wsr_event *event)
{
    if (event->flags & WSR_EVENT_SUCCESSOR) { /* --max-age: what the old one still has comes before the answer to our Close */
        if (s->paused)
            (void)!wsr_resume_read(s->engine, event->token);
        (void)!wsr_close(s->engine, event->token, WSR_CLOSE_NORMAL, (wsr_slice){0});
    }
    s->conn = event->conn; /* a successor's, or ours that came back */
    s->open = true;
    s->full = s->paused = s->ending = false;
    if (s->closing) /* it was on its way when we closed the one before */
        (void)!wsr_close(s->engine, s->conn, WSR_CLOSE_GOING_AWAY, (wsr_slice){0});
    if (s->options->verbose || (s->show.typed && !s->options->quiet))
        report_open(s->options, s->engine, event, s->url);
}

static void on_reconnecting(struct session *s, const wsr_event *event)
{
    const wsr_reconnecting *r = wsr_event_reconnecting(event);
    assert(r != NULL);
    if (!s->options->quiet)
        report_reconnecting(event);
    const bool asks = r->verdict == WSR_VERDICT_ASK || r->verdict == WSR_VERDICT_RENEW;
    if (event->conn == s->conn) { /* or else a successor is not to be had yet, and we are still open */
        if (asks) {
            s->asked = s->closing = true;
            s->exit = report_exit(r->record, s->open);
        }
        s->open = s->paused = false;
    }
    if (asks || s->closing)
        (void)!wsr_abort(s->engine, event->conn);
}

static void on_closed(struct session *s, const wsr_event *event)
{
    const wsr_close_record *record = wsr_event_close_record(event);
    assert(record != NULL);
    if (event->conn != s->conn)
        return; /* one that had a successor */
    if (!s->options->quiet && !s->asked)
        report_closed(s->options, record, s->open);
    s->ended = report_exit(record, s->open);
    s->ending = true;
    s->open = false;
}

/* CLOSED came: is it over? A successor may be on its way. */
static void heed_end(struct session *s)
{
    wsr_engine_statistics statistics = {0};
    if (!s->ending)
        return;
    if (s->options->connect.reconnect.age_max_ns > 0)
        wsr_engine_stats(s->engine, &statistics, sizeof statistics);
    s->closed = statistics.open == 0;
}

static void handle(struct session *s, const wsr_event *event)
{
    if (event->type != WSR_EVENT_MESSAGE)
        show_event(&s->show, &s->out.buffer, event, s->open);
    switch (event->type) {
    case WSR_EVENT_OPEN:
        on_open(s, event);
        break;
    case WSR_EVENT_MESSAGE:
        on_message(s, event);
        break;
    case WSR_EVENT_WRITABLE:
        s->full = false;
        break;
    case WSR_EVENT_RECONNECTING:
        on_reconnecting(s, event);
        break;
    case WSR_EVENT_CLOSED:
        on_closed(s, event);
        break;
    default: /* PING was answered; a PONG asks for nothing; WAKE is a signal, which is counted */
        break;
    }
}

/* --- To standard output ---------------------------------------------------------------------------------------------------- */

static void check_output(struct session *s)
{
    if (s->out.error == 0 && s->out.buffer.failed)
        s->out.error = ENOMEM;
    if (s->out.error == 0 || s->gone)
        return;
    s->gone = true;
    if (s->out.error == EPIPE) { /* `| head' has what it wanted: that is no failure */
        close_as_asked(s);
    } else {
        if (s->out.error != EINTR)
            cmd_complain("connect", "cannot write to standard output: %s", strerror(s->out.error));
        give_up(s);
    }
}

static void hold_back(struct session *s)
{
    const size_t waiting = s->gone ? 0 : sink_bytes(&s->out);
    if (s->closed || !s->open)
        return;
    if (!s->paused && waiting > (s->closing ? (size_t)SINK_CLOSING_BYTES : (size_t)SINK_PAUSE_BYTES))
        s->paused = wsr_pause_read(s->engine, s->conn) == WSR_OK;
    else if (s->paused && (waiting <= SINK_RESUME_BYTES || (s->closing && waiting <= SINK_CLOSING_BYTES)))
        s->paused = wsr_resume_read(s->engine, s->conn) != WSR_OK;
}

/* --- From standard input --------------------------------------------------------------------------------------------------- */

static bool has_room(const struct session *s)
{
    return s->open && !s->closing && !s->full && wsr_outbox_bytes(s->engine, s->conn) < OUTBOX_BYTES;
}

/* Takes a message in, or says why not: it is left in the input if the connection cannot have it now. */
static bool send_one(struct session *s, wsr_slice message)
{
    if (!s->options->binary && !text_is_utf8(message)) {
        cmd_complain("connect", "message %" PRIu64 " of standard input is not UTF-8, so it cannot be text; use --binary", s->in.messages_n + 1);
        give_up(s);
        return false;
    }
    const int result = wsr_send(s->engine, s->conn, s->options->binary ? WSR_BINARY : WSR_TEXT, message);
    if (result == WSR_OK)
        return true;
    if (result == WSR_EFULL) {
        s->full = true;
    } else if (result != WSR_ESTATE && result != WSR_ESTALE) { /* those two: its end is on the way */
        cmd_complain("connect", "message %" PRIu64 " of standard input cannot be sent: %s", s->in.messages_n + 1, wsr_error_text(result));
        give_up(s);
    }
    return false;
}

static void send_input(struct session *s)
{
    wsr_slice message;
    int ready = 0;
    while (has_room(s) && (ready = input_peek(&s->in, &message)) == 1 && send_one(s, message)) {
        show_sent(&s->show, &s->out.buffer, message, s->options->binary);
        input_next(&s->in, message);
    }
    if (ready < 0) {
        cmd_complain("connect", "message %" PRIu64 " of standard input is longer than %zu bytes; see --max-bytes", s->in.messages_n + 1,
                     s->in.message_bytes_max);
        give_up(s);
    }
}

static void read_input(struct session *s)
{
    if (input_read(&s->in) == 0)
        return;
    /* A terminal that has gone, or no standard input at all: an end as any other. */
    if (errno != EIO && errno != EBADF) {
        cmd_complain("connect", "cannot read standard input: %s", strerror(errno));
        give_up(s);
    }
    s->in.ended = true;
}

/* --- The end of the input -------------------------------------------------------------------------------------------------- */

/* All of the input has left, and all that came has been written: from then on the quiet counts. What leaves later is a ping. */
static bool is_quiet(struct session *s)
{
    return s->open && !s->closing && !s->paused && input_is_done(&s->in) && sink_bytes(&s->out) == 0 &&
           (s->quiet || wsr_outbox_bytes(s->engine, s->conn) == 0);
}

/* Closes when it has been quiet for long enough. Returns milliseconds to wait for that, for poll(2). */
static int heed_quiet(struct session *s)
{
    enum { MS_MAX = 1 << 30 };
    const uint64_t now_ns = cmd_now_ns(), wait_ns = s->options->wait_ns;
    const bool was_quiet = s->quiet;
    s->quiet = is_quiet(s);
    if (s->quiet && !was_quiet)
        s->quiet_ns = now_ns;
    if (!s->quiet || wait_ns == CONNECT_FOREVER)
        return -1;
    if (now_ns - s->quiet_ns >= wait_ns) {
        close_as_asked(s);
        return -1;
    }
    const uint64_t ms = (wait_ns - (now_ns - s->quiet_ns)) / 1000000 + 1;
    return ms < MS_MAX ? (int)ms : MS_MAX;
}

/* --- The loop -------------------------------------------------------------------------------------------------------------- */

static int wait_for_any(struct session *s, int timeout_ms)
{
    struct pollfd fds[3] = {{.fd = wsr_engine_fd(s->engine), .events = POLLIN}, {.fd = -1, .events = POLLIN}, {.fd = -1}};
    if (fds[0].fd < 0)
        return fds[0].fd;
    if (has_room(s) && input_wants(&s->in))
        fds[1].fd = s->in.fd;
    if (!s->gone && !s->out.is_file) {
        fds[2].fd = s->out.fd;
        fds[2].events = sink_poll_events(&s->out);
    }
    if (poll(fds, 3, timeout_ms) < 0)
        return errno == EINTR ? 0 : WSR_ESYS;
    if (fds[1].revents != 0)
        read_input(s);
    if (fds[2].revents != 0)
        sink_polled(&s->out, fds[2].revents);
    return 0;
}

/* One round: what came, what waits to be written, what is to be sent. Returns 0, or a wsr_error. */
static int turn(struct session *s)
{
    wsr_event events[EVENTS];
    const int n = wsr_poll(s->engine, events, EVENTS, 0);
    for (int i = 0; i < n; i++)
        handle(s, &events[i]);
    if (n < 0)
        return n;
    const bool was_closing = s->closing;
    heed_end(s);
    heed_signals(s);
    send_input(s);
    sink_flush(&s->out);
    check_output(s);
    hold_back(s);
    int timeout_ms = heed_quiet(s);
    const int flushed = wsr_flush(s->engine);
    if (flushed < 0)
        return flushed;
    /* The descriptor may be waited for only when a poll had nothing more to say. */
    if (n > 0 || s->closing != was_closing)
        timeout_ms = 0;
    return wait_for_any(s, timeout_ms);
}

int session_run(const struct connect_options *options, wsr_engine *engine, const char *shown_url)
{
    struct session s = {.options = options, .url = shown_url, .engine = engine};
    s.in = (struct input){.fd = STDIN_FILENO, .cut = options->cut, .message_bytes_max = (size_t)options->engine.limits.message_bytes_max};
    sink_open(&s.out, STDOUT_FILENO);
    show_open(&s.show, options, engine);
    s.show.url = shown_url;

    int result = wsr_connect(engine, &options->connect, &s.conn);
    if (result < 0) {
        s.exit = report_not_begun(options, result);
        s.closed = true;
    }
    signals_watch(engine);
    while (result >= 0 && !(s.closed && (s.gone || sink_bytes(&s.out) == 0)))
        result = turn(&s);
    signals_unwatch(engine);
    if (result < 0 && !s.closed) {
        cmd_complain("connect", "the engine failed: %s: %s", wsr_error_text(result), strerror(errno));
        s.exit = WSR_EXIT_FAILED;
    }
    buffer_free(&s.in.buffer);
    sink_close(&s.out);
    return (int)exit_code(&s);
}
