/*
 * policy/causes.c - the one table of causes: a row for each reason why a client has no connection, and what the profiles do
 * about it. Rows that are close codes point into the table of close codes (proto/close_codes.c) and agree with its policy
 * column; the policy, the browser's module and the docs read this one and nothing else.
 *
 * Not here: how a delay is drawn (policy.c).
 */
#include "policy/causes.h"

#include "proto/close_codes.h"

#define MS UINT64_C(1000000)
#define S (1000 * MS)

/* --- The policies: a few serve all causes ----------------------------------------------------------------------------------- */

static const wsr_policy_row never = {.retry = WSR_RETRY_NEVER};

/* A first delay over 5 s keeps the clients of one server from coming all at once. */
static const wsr_policy_row broken = {.retry = WSR_RETRY_BACKOFF, .jitter = WSR_JITTER_DECORRELATED, .first_max_ns = 5 * S};
static const wsr_policy_row broken_fast = {
    .retry = WSR_RETRY_BACKOFF, .jitter = WSR_JITTER_DECORRELATED, .first_max_ns = 5 * S, .stable_max_ns = 100 * MS};
static const wsr_policy_row going_away = {
    .retry = WSR_RETRY_BACKOFF, .jitter = WSR_JITTER_DECORRELATED, .rotate = true, .first_max_ns = 5 * S};

/* If the application says yes, it comes back as after a break. */
static const wsr_policy_row ask = {.retry = WSR_RETRY_ASK, .jitter = WSR_JITTER_DECORRELATED, .first_max_ns = 5 * S};

static const wsr_policy_row restart = {.retry = WSR_RETRY_LATER, .jitter = WSR_JITTER_DECORRELATED, .rotate = true,
                                       .first_min_ns = 5 * S, .first_max_ns = 30 * S, .other_max_ns = 2 * S};
/* 10 s and as much again as jitter: whoever is overloaded is not to get all of them back in one second. */
static const wsr_policy_row overloaded = {.retry = WSR_RETRY_LATER, .jitter = WSR_JITTER_DECORRELATED, .rotate = true, .cap_factor = 2,
                                          .floor_ns = 10 * S, .first_min_ns = 10 * S, .first_max_ns = 20 * S, .other_max_ns = 2 * S};

static const wsr_policy_row limited = {.retry = WSR_RETRY_LIMITED, .jitter = WSR_JITTER_FULL, .floor_ns = 1 * S, .attempts_max = 5};
static const wsr_policy_row credentials = {.retry = WSR_RETRY_ONCE, .jitter = WSR_JITTER_NONE, .attempts_max = 1};
static const wsr_policy_row redirect = {.retry = WSR_RETRY_LIMITED, .jitter = WSR_JITTER_NONE, .follow = true, .attempts_max = 5};

static const wsr_policy_row backoff = {.retry = WSR_RETRY_BACKOFF, .jitter = WSR_JITTER_FULL};
static const wsr_policy_row backoff_next = {.retry = WSR_RETRY_BACKOFF, .jitter = WSR_JITTER_FULL, .rotate = true};
static const wsr_policy_row throttled = {.retry = WSR_RETRY_BACKOFF, .jitter = WSR_JITTER_FULL, .retry_after = true};

/* --- The table -------------------------------------------------------------------------------------------------------------- */

/* The place of a code in the table of close codes: 1000 to 1015 are rows 1 to 16. tests/test_policy.c compares the numbers. */
#define IANA_ROW(code) (&wsr_close_rows[(code) - 999])
#define ROW_3000 (&wsr_close_rows[18])
#define ROW_3XXX (&wsr_close_rows[19])
#define ROW_3003 (&wsr_close_rows[20])
#define ROW_3008 (&wsr_close_rows[22])
#define ROW_4XXX (&wsr_close_rows[24])

/* How the profiles default, persistent and fast treat it. */
#define ALL(row) {&(row), &(row), &(row)}
#define PERSISTENT(row, persistent) {&(row), &(persistent), &(row)}
#define FAST(row, fast) {&(row), &(row), &(fast)}

#define LOCAL(cause, name, text) [WSR_CAUSE_##cause] = {{name, text, NULL, 0}, ALL(never)}
#define CODE(cause, name, text, close, policies) [WSR_CAUSE_##cause] = {{name, text, close, 0}, policies}
#define BROKEN(cause, name, text, close) [WSR_CAUSE_##cause] = {{name, text, close, 0}, FAST(broken, broken_fast)}
#define TRANSPORT(cause, name, text, row) [WSR_CAUSE_##cause] = {{name, text, NULL, 0}, ALL(row)}
#define HTTP(cause, name, status, text, row) [WSR_CAUSE_HTTP_##cause] = {{name, text, NULL, status}, ALL(row)}

const struct wsr_cause_row wsr_cause_rows[WSR_CAUSES] = {
    LOCAL(LOCAL_CLOSE, "local_close", "this end closed it"),
    LOCAL(WE_FAILED, "we_failed", "this end found a fault and failed it: a bug to surface"),

    CODE(1000, "1000", "the peer ended it as finished", IANA_ROW(1000), PERSISTENT(never, going_away)),
    CODE(1001, "1001", "the peer is going away", IANA_ROW(1001), ALL(going_away)),
    CODE(1002, "1002", "the peer found a protocol error: a bug to surface", IANA_ROW(1002), ALL(never)),
    CODE(1003, "1003", "the peer does not accept this type of data: a bug to surface", IANA_ROW(1003), ALL(never)),
    CODE(1005, "1005", "the peer ended it without saying why", IANA_ROW(1005), PERSISTENT(never, going_away)),
    CODE(1007, "1007", "the peer found an invalid payload: a bug to surface", IANA_ROW(1007), ALL(never)),
    CODE(1008, "1008", "the peer's policy forbids something", IANA_ROW(1008), ALL(ask)),
    CODE(1009, "1009", "a message was too big for the peer: a bug to surface", IANA_ROW(1009), ALL(never)),
    CODE(1010, "1010", "the peer misses an extension: a bug to surface", IANA_ROW(1010), ALL(never)),
    CODE(1011, "1011", "the peer met an internal error", IANA_ROW(1011), ALL(limited)),
    CODE(1012, "1012", "the peer is restarting", IANA_ROW(1012), ALL(restart)),
    CODE(1013, "1013", "the peer is overloaded", IANA_ROW(1013), ALL(overloaded)),
    CODE(1014, "1014", "the peer is a gateway, and what is behind it failed", IANA_ROW(1014), ALL(limited)),
    CODE(3000, "3000", "the peer wants credentials", ROW_3000, ALL(credentials)),
    CODE(3003, "3003", "the peer forbids it: a bug to surface", ROW_3003, ALL(never)),
    CODE(3008, "3008", "the peer waited too long for something", ROW_3008, ALL(limited)),
    CODE(3XXX, "3xxx", "the peer closed with a code of its framework's own", ROW_3XXX, ALL(ask)),
    CODE(4XXX, "4xxx", "the peer closed with a code of its application's own", ROW_4XXX, ALL(ask)),

    BROKEN(ABNORMAL, "1006", "the connection ended without a Close", IANA_ROW(1006)),
    BROKEN(RESET, "reset", "the connection was reset", NULL),
    BROKEN(PING_TIMEOUT, "ping_timeout", "the peer fell silent", NULL),

    CODE(TLS_CERTIFICATE, "tls_certificate", "the TLS handshake or its certificate was refused", IANA_ROW(1015), ALL(never)),
    TRANSPORT(TLS_TIMEOUT, "tls_timeout", "the TLS handshake took too long", backoff_next),
    TRANSPORT(DNS, "dns", "the name could not be resolved", backoff_next),
    TRANSPORT(REFUSED, "refused", "the connection was refused, or there is no route", backoff_next),
    TRANSPORT(CONNECT_TIMEOUT, "connect_timeout", "connecting took too long", backoff_next),
    TRANSPORT(HANDSHAKE_TIMEOUT, "handshake_timeout", "the handshake took too long", backoff_next),
    TRANSPORT(EOF_BEFORE_ANSWER, "eof_before_answer", "the connection ended before the server had answered", backoff_next),
    TRANSPORT(PROXY, "proxy", "the proxy failed", backoff_next),

    HTTP(3XX, "http_3xx", 0, "the server sends the client elsewhere", redirect),
    HTTP(400, "http_400", 400, "400: the server found the request bad", never),
    HTTP(401, "http_401", 401, "401: the server wants credentials", credentials),
    HTTP(403, "http_403", 403, "403: the server forbids it", never),
    HTTP(404, "http_404", 404, "404: there is nothing at this path", never),
    HTTP(407, "http_407", 407, "407: the proxy wants credentials", credentials),
    HTTP(410, "http_410", 410, "410: what was at this path is gone for good", never),
    HTTP(426, "http_426", 426, "426: the server wants another protocol", never),
    HTTP(429, "http_429", 429, "429: too many requests", throttled),
    HTTP(4XX, "http_4xx", 0, "the server refused the request", never),
    HTTP(500, "http_500", 500, "500: the server met an internal error", backoff),
    HTTP(502, "http_502", 502, "502: what is behind the gateway failed", backoff),
    HTTP(503, "http_503", 503, "503: the server is not available", throttled),
    HTTP(504, "http_504", 504, "504: what is behind the gateway did not answer", backoff),
    HTTP(5XX, "http_5xx", 0, "the server failed", backoff_next),
    TRANSPORT(INVALID_ANSWER, "invalid_answer", "the server's answer opens no WebSocket", never),
};

_Static_assert(WSR_CAUSE_INVALID_ANSWER + 1 == WSR_CAUSES, "a row a cause");

/* Out of range without a comparison that is always true where the enum is unsigned. */
static bool is_cause(wsr_cause cause)
{
    return (unsigned)cause < WSR_CAUSES;
}

const wsr_cause_info *wsr_cause_lookup(wsr_cause cause)
{
    return is_cause(cause) ? &wsr_cause_rows[cause].info : NULL;
}

const wsr_policy_row *wsr_policy_default(wsr_profile profile, wsr_cause cause)
{
    return is_cause(cause) && (unsigned)profile < WSR_PROFILES ? wsr_cause_rows[cause].policies[profile] : NULL;
}

/* --- What a record, a code or a status is ------------------------------------------------------------------------------------- */

wsr_cause wsr_cause_of_code(uint16_t code)
{
    for (unsigned i = 0; i < WSR_CAUSES; i++) {
        const wsr_close_info *close = wsr_cause_rows[i].info.close;
        if (close != NULL && close->first == code)
            return (wsr_cause)i;
    }
    if (code >= 4000 && code <= 4999)
        return WSR_CAUSE_4XXX;
    return code >= 3000 && code <= 3999 ? WSR_CAUSE_3XXX : WSR_CAUSE_WE_FAILED;
}

wsr_cause wsr_cause_of_status(uint16_t status)
{
    for (unsigned i = 0; i < WSR_CAUSES; i++)
        if (wsr_cause_rows[i].info.http_status == status && status != 0)
            return (wsr_cause)i;
    switch (status / 100) {
    case 3:
        return WSR_CAUSE_HTTP_3XX;
    case 4:
        return WSR_CAUSE_HTTP_4XX;
    case 5:
        return WSR_CAUSE_HTTP_5XX;
    default:
        return WSR_CAUSE_INVALID_ANSWER;
    }
}

/* Nobody's Close, or the peer's that this end had not received: what this end saw is all there is. */
static wsr_cause cause_of_error(const wsr_close_record *record, bool opened)
{
    switch (record->cause) {
    case WSR_OK:
    case WSR_ETRUNCATED:
        return opened ? WSR_CAUSE_ABNORMAL : WSR_CAUSE_EOF_BEFORE_ANSWER;
    case WSR_ERESET:
        return opened ? WSR_CAUSE_RESET : WSR_CAUSE_EOF_BEFORE_ANSWER;
    case WSR_ETIMEOUT_PING:
    case WSR_ETIMEOUT_IDLE:
        return WSR_CAUSE_PING_TIMEOUT;
    case WSR_ETLS_TRUNCATED: /* an end of stream that TLS does not vouch for: no more, no less */
        return opened ? WSR_CAUSE_ABNORMAL : WSR_CAUSE_EOF_BEFORE_ANSWER;
    case WSR_ETLS:
    case WSR_ETLS_CERTIFICATE:
        return opened ? WSR_CAUSE_RESET : WSR_CAUSE_TLS_CERTIFICATE;
    case WSR_ETIMEOUT_TLS:
        return WSR_CAUSE_TLS_TIMEOUT;
    case WSR_ETIMEOUT_HANDSHAKE:
        return WSR_CAUSE_HANDSHAKE_TIMEOUT;
    case WSR_ETIMEOUT_CONNECT:
        return WSR_CAUSE_CONNECT_TIMEOUT;
    case WSR_ECONNECT:
        return WSR_CAUSE_REFUSED;
    case WSR_ERESOLVE:
        return WSR_CAUSE_DNS;
    case WSR_EPROXY:
        return record->http_status == 407 ? WSR_CAUSE_HTTP_407 : WSR_CAUSE_PROXY; /* it wants credentials, which may be had */
    case WSR_EREFUSED:
        return wsr_cause_of_status(record->http_status);
    case WSR_EANSWER:
    case WSR_EHANDSHAKE:
        return WSR_CAUSE_INVALID_ANSWER;
    case WSR_EABORTED:
    case WSR_ETIMEOUT_CLOSE:
        return WSR_CAUSE_LOCAL_CLOSE;
    default: /* the peer's frames broke a rule, or this end could not go on */
        return WSR_CAUSE_WE_FAILED;
    }
}

wsr_cause wsr_cause_of_record(const wsr_close_record *record, bool opened)
{
    if (record->cause == WSR_EABORTED || (record->by == WSR_BY_LOCAL && !opened)) /* before OPEN this end has no other way to end it */
        return WSR_CAUSE_LOCAL_CLOSE;
    if (record->by == WSR_BY_PEER)
        return wsr_cause_of_code(record->code_received);
    if (record->by == WSR_BY_NOBODY)
        return cause_of_error(record, opened);
    /* This end closed. A transport that then broke, or a peer that was slow to answer, changes nothing about that. */
    const bool by_choice = record->cause == WSR_OK || record->cause == WSR_ETRUNCATED || record->cause == WSR_ETLS_TRUNCATED ||
                           record->cause == WSR_ERESET;
    return by_choice ? WSR_CAUSE_LOCAL_CLOSE : cause_of_error(record, opened);
}
