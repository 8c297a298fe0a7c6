/*
 * tools/connect.c - `wsring connect URL`: a connection to talk through, by hand or in a pipe.
 *
 * This is the command line. The loop is connect_session.c's.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "tools/buffer.h"
#include "tools/cmd.h"
#include "tools/connect.h"
#include "tools/connect_session.h"
#include "tools/parse.h"
#include "tools/signals.h"
#include "tools/text.h"
#include "tools/tls.h"

#define SECOND_NS 1000000000ull

struct arguments {
    struct connect_options options;
    wsr_tls_config tls;
    struct buffer urls, headers, subprotocols; /* as the library takes them: joined */
    struct buffer shown_url;                   /* the first, without user and password */
    unsigned urls_n;
    bool wait_asked;
};

enum {
    KEY_BINARY = 1, KEY_WHOLE, KEY_ORIGIN, KEY_SUBPROTOCOL, KEY_PING, KEY_RECONNECT, KEY_MAX_AGE, KEY_JSON, KEY_PROXY, KEY_ADDRESS, KEY_NO_DEFLATE,
    KEY_MAX_BYTES, KEY_ONE, KEY_COUNT, KEY_WAIT, KEY_CLOSE, KEY_TIMEOUT, KEY_REDIRECTS, KEY_STAMPS
};

static const struct argp_option argp_options[] = {
    {NULL, 0, NULL, 0, "What goes through", 1},
    {"binary", KEY_BINARY, NULL, 0, "binary messages: blocks of standard input as they are read; what comes is written with nothing between", 1},
    {"whole", KEY_WHOLE, NULL, 0, "all of standard input is one message", 1},
    {"json", KEY_JSON, NULL, 0, "print every event as a JSON object on a line of its own", 1},
    {"stamps", KEY_STAMPS, NULL, 0, "with --json: when the kernel had what a message came with, and how long it took from there", 1},
    {"max-bytes", KEY_MAX_BYTES, "SIZE", 0, "largest message, either way (16MiB)", 1},
    {NULL, 0, NULL, 0, "When to end", 2},
    {"one", KEY_ONE, NULL, 0, "close after the first message received", 2},
    {"count", KEY_COUNT, "N", 0, "close after N messages received", 2},
    {"wait", KEY_WAIT, "TIME", 0,
     "behind the end of standard input, close when nothing has come for this long; `forever': do not (1s; 0 if it is typed; forever with --one and "
     "--count)", 2},
    {"close", KEY_CLOSE, "CODE[:REASON]", 0, "what to close with (1000)", 2},
    {NULL, 0, NULL, 0, "The handshake", 3},
    {"header", 'H', "NAME: VALUE", 0, "a further header; repeat it", 3},
    {"origin", KEY_ORIGIN, "ORIGIN", 0, "an Origin header, as a browser sends it", 3},
    {"subprotocol", KEY_SUBPROTOCOL, "NAME", 0, "a subprotocol to offer; repeat it, best first", 3},
    {"no-deflate", KEY_NO_DEFLATE, NULL, 0, "do not offer compression (permessage-deflate)", 3},
    {"redirects", KEY_REDIRECTS, "N", 0, "follow so many redirects, never from wss to ws (0)", 3},
    {NULL, 0, NULL, 0, "The way there", 4},
    {"proxy", KEY_PROXY, "URL", 0, "http://[USER:PASSWORD@]HOST:PORT (CONNECT) or socks5://...", 4},
    {"address", KEY_ADDRESS, "ADDRESS", 0, "connect to this numeric address, whatever the URL's host resolves to", 4},
    {"timeout", KEY_TIMEOUT, "TIME", 0, "for each of: resolving and connecting, the proxy, TLS, the handshake (10s)", 4},
    {"ping", KEY_PING, "TIME", 0, "ping after this long a silence, and give up when there is none for as long again (40s, 120s)", 4},
    {"reconnect", KEY_RECONNECT, "PROFILE", OPTION_ARG_OPTIONAL,
     "come back when the connection is lost, as `wsring explain' says: default; persistent (after 1000, too); fast", 4},
    {"max-age", KEY_MAX_AGE, "TIME", 0, "with --reconnect: replace a connection this old by a new one, before somebody cuts it", 4},
    {NULL, 0, NULL, 0, "What is said on standard error", 6},
    {"verbose", 'v', NULL, 0, "what was agreed on, and the headers of the answer", 6},
    {"quiet", 'q', NULL, 0, "nothing about the connection: the exit code says it", 6},
    {0},
};

static void parse_time(struct argp_state *state, const char *option, const char *value, uint64_t *out)
{
    if (!parse_duration(value, out) || *out == 0)
        argp_error(state, "%s %s: not a time such as 10s, 500ms, 2m", option, value);
}

static void parse_count(struct argp_state *state, const char *option, const char *value, uint64_t max, uint64_t *out)
{
    if (!parse_number(value, 1, max, out))
        argp_error(state, "%s %s: not a number from 1 to %" PRIu64, option, value, max);
}

/* RFC 9110 section 5.6.2: a name is a token. A value's line must end where we end it. */
static void add_header(struct argp_state *state, struct buffer *headers, const char *value)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const size_t name = strspn(value, token);
    if (name == 0 || value[name] != ':' || strpbrk(value, "\r\n") != NULL)
        argp_error(state, "--header '%s': not as in 'Name: value'", value);
    buffer_add_format(headers, "%s\r\n", value);
}

static void parse_close(struct argp_state *state, struct connect_options *options, char *value)
{
    uint64_t code = 0;
    char *colon = strchr(value, ':');
    options->close_reason = colon != NULL ? colon + 1 : NULL;
    if (colon != NULL)
        *colon = '\0';
    if (!parse_number(value, 0, UINT16_MAX, &code) || !wsr_close_may_send((uint16_t)code, WSR_CLIENT))
        argp_error(state, "--close %s: not a code that a client may send; `wsring explain --list' shows them", value);
    if (colon != NULL && (strlen(colon + 1) > WSR_CLOSE_REASON_MAX || !text_is_utf8(text_of(colon + 1))))
        argp_error(state, "--close %s: its reason is longer than %u bytes, or is not UTF-8", value, WSR_CLOSE_REASON_MAX);
    options->close_code = (uint16_t)code;
}

/* A password is not to be shown again. */
static void add_without_user(struct buffer *out, const char *url)
{
    const char *scheme_end = strstr(url, "://"), *host = scheme_end != NULL ? scheme_end + 3 : url;
    const char *const end = host + strcspn(host, "/?#");
    buffer_add(out, url, (size_t)(host - url));
    for (const char *p = host; p < end; p++) {
        if (*p == '@')
            host = p + 1;
    }
    buffer_add_text(out, host);
}

static void add_url(struct argp_state *state, struct arguments *a, const char *value)
{
    const char *fault = wsr_url_problem(value);
    if (fault != NULL)
        argp_error(state, "'%s' is no URL to connect to: %s", value, fault);
    if (buffer_len(&a->urls) == 0)
        add_without_user(&a->shown_url, value);
    a->urls_n++;
    buffer_add_format(&a->urls, "%s%s", buffer_len(&a->urls) > 0 ? " " : "", value);
}

static error_t parse_messages(int key, char *value, struct argp_state *state)
{
    struct arguments *a = state->input;
    struct connect_options *o = &a->options;
    switch (key) {
    case KEY_BINARY:
        o->binary = true;
        break;
    case KEY_WHOLE:
        o->cut = INPUT_WHOLE;
        break;
    case KEY_JSON:
        o->json = true;
        break;
    case KEY_STAMPS:
        o->connect.socket.receive_stamps = true;
        break;
    case KEY_MAX_BYTES:
        if (!parse_size(value, &o->engine.limits.message_bytes_max) || o->engine.limits.message_bytes_max == 0)
            argp_error(state, "--max-bytes %s: not a size such as 65536, 64KiB, 1GiB", value);
        break;
    case KEY_ONE:
        o->count = 1;
        break;
    case KEY_COUNT:
        parse_count(state, "--count", value, UINT64_MAX / 2, &o->count);
        break;
    case KEY_WAIT:
        a->wait_asked = true;
        if (strcmp(value, "forever") == 0)
            o->wait_ns = CONNECT_FOREVER;
        else if (!parse_duration(value, &o->wait_ns))
            argp_error(state, "--wait %s: neither a time such as 5s, 0 nor `forever'", value);
        break;
    case KEY_CLOSE:
        parse_close(state, o, value);
        break;
    case 'v':
        o->verbose = true;
        break;
    case 'q':
        o->quiet = true;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static error_t parse_connection(int key, char *value, struct argp_state *state)
{
    struct arguments *a = state->input;
    wsr_connect_config *connect = &a->options.connect;
    wsr_limits *limits = &a->options.engine.limits;
    uint64_t n = 0;
    switch (key) {
    case 'H':
        add_header(state, &a->headers, value);
        break;
    case KEY_ORIGIN:
        connect->origin = value;
        break;
    case KEY_SUBPROTOCOL:
        buffer_add_format(&a->subprotocols, "%s%s", buffer_len(&a->subprotocols) > 0 ? ", " : "", value);
        break;
    case KEY_NO_DEFLATE:
        connect->deflate.on = false;
        break;
    case KEY_REDIRECTS:
        if (!parse_number(value, 0, 100, &n))
            argp_error(state, "--redirects %s: not a number from 0 to 100", value);
        connect->redirects_max = (uint32_t)n;
        break;
    case KEY_PROXY:
        connect->proxy = value;
        break;
    case KEY_ADDRESS:
        connect->address = value;
        break;
    case KEY_TIMEOUT:
        parse_time(state, "--timeout", value, &n);
        connect->connect_timeout_ns = connect->proxy_timeout_ns = connect->tls_timeout_ns = limits->handshake_timeout_ns = n;
        break;
    case KEY_PING:
        parse_time(state, "--ping", value, &limits->ping_interval_ns);
        limits->ping_timeout_ns = limits->ping_interval_ns;
        break;
    case KEY_RECONNECT:
        connect->reconnect.on = true;
        if (!parse_profile(value, &connect->reconnect.profile))
            argp_error(state, "--reconnect=%s: choose default, persistent or fast", value);
        break;
    case KEY_MAX_AGE:
        parse_time(state, "--max-age", value, &connect->reconnect.age_max_ns);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* What can be said only of all of them. */
static void check(struct argp_state *state, const struct arguments *a)
{
    if (a->urls_n > WSR_POLICY_ENDPOINTS_MAX)
        argp_error(state, "more than %u URLs", WSR_POLICY_ENDPOINTS_MAX);
    if (a->urls_n > 1 && !a->options.connect.reconnect.on)
        argp_error(state, "several URLs are for --reconnect to choose from");
    if (a->options.connect.socket.receive_stamps && !a->options.json)
        argp_error(state, "--stamps is for --json");
    if (a->options.connect.reconnect.age_max_ns > 0 && !a->options.connect.reconnect.on)
        argp_error(state, "--max-age is for --reconnect");
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->tls;
        return 0;
    case ARGP_KEY_ARG:
        add_url(state, a, value);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "where to? give a URL such as ws://127.0.0.1:8080/ or wss://example.com/feed");
        return 0;
    case ARGP_KEY_END:
        check(state, a);
        return 0;
    default:
        return parse_messages(key, value, state) == 0 || parse_connection(key, value, state) == 0 ? 0 : ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&tls_client_argp, 0, "TLS (wss)", 5}, {0}};

static const struct argp argp = {
    .options = argp_options,
    .parser = parse_option,
    .children = children,
    .args_doc = "URL...",
    .doc = "Talk to a WebSocket server: each line of standard input is sent as a text message, each message received is printed as a line.\v"
           "URL is ws://HOST:PORT/PATH, wss://... or ws+unix:///SOCKET:/PATH. Several are endpoints that --reconnect chooses from.\n\n"
           "The end of standard input (Ctrl-D) closes with 1000, behind the answers (--wait); SIGINT or SIGTERM with 1001, for this end "
           "goes away; another one cuts. A reader of standard output that leaves (`| head') is as an end of the input. A reader that is "
           "slow slows the server down, a server that is slow stops the reading of standard input: nothing is dropped. While "
           "the connection is down (--reconnect) no input is read. Binary messages come as they are, into a terminal in hexadecimal. "
           "For line editing: rlwrap wsring connect URL\n\n"
           "At the end standard error says the close code and what it means, who closed and why, and what to do about it.\n\n"
           CMD_EXITS_TEXT,
};

/* --- Running --------------------------------------------------------------------------------------------------------------- */

/* The text in a buffer, NUL-terminated; NULL if there is none. */
static const char *text_in(struct buffer *b)
{
    if (buffer_len(b) == 0)
        return NULL;
    buffer_add(b, "", 1);
    return (const char *)b->ptr + b->at;
}

static void complete(struct arguments *a)
{
    enum { HEADER_ROOM = 1 << 10, OUTBOX_MIN = 4 << 20 };
    struct connect_options *o = &a->options;
    o->connect.url = text_in(&a->urls);
    o->connect.headers = text_in(&a->headers);
    o->connect.subprotocols = text_in(&a->subprotocols);
    if (o->binary && o->cut == INPUT_LINES)
        o->cut = INPUT_BLOCKS;
    if (!a->wait_asked)
        o->wait_ns = o->count > 0 ? CONNECT_FOREVER : isatty(STDIN_FILENO) ? 0 : SECOND_NS;
    /* A message of the largest size must find room, in the outbox and, assembled, beside what came with it. */
    wsr_limits *limits = &o->engine.limits;
    const uint64_t largest = limits->message_bytes_max + HEADER_ROOM;
    limits->outbox_bytes_max = largest > OUTBOX_MIN ? largest : OUTBOX_MIN;
    if (o->engine.memory_bytes_max < 4 * largest)
        o->engine.memory_bytes_max = 4 * largest;
}

/* Returns an exit code. */
static int run(struct arguments *a)
{
    struct connect_options *o = &a->options;
    wsr_engine *engine;
    if (a->urls.failed || a->shown_url.failed || a->headers.failed || a->subprotocols.failed) {
        cmd_complain("connect", "out of memory");
        return WSR_EXIT_FAILED;
    }
    if (tls_is_told_how(&a->tls)) {
        o->connect.tls = tls_open("connect", &a->tls);
        if (o->connect.tls == NULL)
            return WSR_EXIT_FAILED;
    }
    int code = wsr_engine_open(&engine, &o->engine);
    if (code < 0) {
        code = cmd_no_engine("connect", code);
    } else {
        code = session_run(o, engine, text_in(&a->shown_url));
        wsr_engine_close(engine);
    }
    wsr_tls_release(o->connect.tls);
    return code;
}

int wsr_cmd_connect(int argc, char **argv)
{
    struct arguments a = {
        .options = {.connect = WSR_CONNECT_CONFIG_INIT, .engine = WSR_CONFIG_INIT, .close_code = WSR_CLOSE_NORMAL},
        .tls = WSR_TLS_CONFIG_INIT,
    };
    a.tls.role = WSR_CLIENT;
    a.options.connect.deflate.on = true;
    a.options.engine.limits.message_bytes_max = 16 << 20;
    a.options.engine.memory_bytes_max = 1 << 30;
    a.options.engine.connections_max = 8; /* one, a successor, and the attempts on several addresses */
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    complete(&a);
    signals_catch();
    const int code = run(&a);
    buffer_free(&a.shown_url);
    buffer_free(&a.urls);
    buffer_free(&a.headers);
    buffer_free(&a.subprotocols);
    return code;
}
