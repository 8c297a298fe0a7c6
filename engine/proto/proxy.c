/*
 * proto/proxy.c - see proxy.h. RFC 9110 section 9.3.6; RFC 1928, RFC 1929.
 */
#include "proto/proxy.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "proto/key.h"

#define HEAD_BYTES_MAX 16384u /* of an answer to CONNECT */
#define HEADERS_MAX 128u

enum { /* wsr_proxy.step of SOCKS 5: the answer that is awaited */
    AWAITS_METHOD,
    AWAITS_VERDICT, /* on user and password */
    AWAITS_REPLY
};

enum { SOCKS_VERSION = 5, SOCKS_NO_LOGIN = 0, SOCKS_PASSWORD = 2, SOCKS_CONNECT = 1, SOCKS_IPV4 = 1, SOCKS_NAME = 3, SOCKS_IPV6 = 4 };

/* ---- ending ---- */

static void append(struct wsr_proxy *proxy, size_t *at, wsr_slice text)
{
    for (size_t i = 0; i < text.len && *at < sizeof proxy->detail - 1; i++)
        proxy->detail[(*at)++] = (char)text.ptr[i];
    proxy->detail[*at] = '\0';
}

static void fail(struct wsr_proxy *proxy, wsr_slice what, wsr_slice words)
{
    size_t at = 0;
    proxy->state = WSR_PROXY_FAILED;
    proxy->error = WSR_EPROXY;
    append(proxy, &at, what);
    append(proxy, &at, words);
}

/* ---- HTTP ---- */

static void put_port(struct wsr_http_out *out, uint16_t port)
{
    uint8_t digits[6];
    size_t at = sizeof digits;
    unsigned rest = port;
    do {
        digits[--at] = (uint8_t)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    digits[--at] = ':';
    wsr_http_put(out, (wsr_slice){digits + at, sizeof digits - at});
}

static void put_authority(struct wsr_http_out *out, const struct wsr_proxy_ask *ask)
{
    const bool bracketed = ask->address.len == 16;
    wsr_http_put(out, bracketed ? WSR_SLICE("[") : WSR_SLICE(""));
    wsr_http_put(out, ask->host);
    wsr_http_put(out, bracketed ? WSR_SLICE("]") : WSR_SLICE(""));
    put_port(out, ask->port);
}

/* RFC 7617 section 2. */
static void put_credentials(struct wsr_http_out *out, const struct wsr_proxy_ask *ask)
{
    uint8_t plain[2 * WSR_PROXY_USER_MAX + 1], text[WSR_BASE64_LEN(sizeof plain)];
    struct wsr_http_out credentials = {plain, sizeof plain, 0};
    wsr_http_put(&credentials, ask->user);
    wsr_http_put(&credentials, WSR_SLICE(":"));
    wsr_http_put(&credentials, ask->password);
    wsr_base64(plain, credentials.len, text);
    wsr_http_put(out, WSR_SLICE("Proxy-Authorization: Basic "));
    wsr_http_put(out, (wsr_slice){text, WSR_BASE64_LEN(credentials.len)});
    wsr_http_put(out, WSR_SLICE("\r\n"));
}

/*
 * RFC 9110 section 9.3.6: "the request target [...] consist[s] of only the host and port number of the tunnel destination,
 * separated by a colon"; RFC 9112 section 3.2: "A client MUST send a Host header field in all HTTP/1.1 request messages."
 */
static void write_connect(struct wsr_proxy *proxy, const struct wsr_proxy_ask *ask)
{
    struct wsr_http_out out = {proxy->text, sizeof proxy->text, 0};
    wsr_http_put(&out, WSR_SLICE("CONNECT "));
    put_authority(&out, ask);
    wsr_http_put(&out, WSR_SLICE(" HTTP/1.1\r\nHost: "));
    put_authority(&out, ask);
    wsr_http_put(&out, WSR_SLICE("\r\n"));
    if (ask->user.ptr != NULL)
        put_credentials(&out, ask);
    wsr_http_put(&out, WSR_SLICE("\r\n"));
    assert(out.len <= out.cap); /* proxy.h shows the working */
    proxy->text_len = (uint16_t)out.len;
    wsr_http_scan_init(&proxy->scan, WSR_HTTP_RESPONSE, HEAD_BYTES_MAX, HEADERS_MAX);
}

/* The first line's beginning is all that is of interest of an answer: "HTTP/1.1 407 Proxy Authentication Required". */
static void keep_line(struct wsr_proxy *proxy, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len && proxy->answer_len < sizeof proxy->answer; i++) {
        if (proxy->answer_len > 0 && proxy->answer[proxy->answer_len - 1] == '\r')
            return;
        proxy->answer[proxy->answer_len++] = p[i];
    }
}

static void judge_answer(struct wsr_proxy *proxy)
{
    enum { STATUS_AT = sizeof "HTTP/1.1 " - 1, STATUS_END = STATUS_AT + 3 };
    unsigned status = 0;
    assert(proxy->answer_len > STATUS_END); /* or the scanner would not have let it pass */
    for (unsigned i = STATUS_AT; i < STATUS_END; i++)
        status = status * 10 + (proxy->answer[i] - '0');
    if (status / 100 == 1) { /* RFC 9110 section 15.2: others may come before the final one */
        proxy->answer_len = 0;
        wsr_http_scan_init(&proxy->scan, WSR_HTTP_RESPONSE, HEAD_BYTES_MAX, HEADERS_MAX);
        return;
    }
    proxy->http_status = (uint16_t)status;
    /* "Any 2xx (Successful) response indicates that the sender [...] will switch to tunnel mode immediately after the response
       header section" */
    if (status / 100 == 2) {
        proxy->state = WSR_PROXY_DONE;
        return;
    }
    wsr_slice line = {proxy->answer + STATUS_AT, proxy->answer_len - STATUS_AT};
    if (line.ptr[line.len - 1] == '\r')
        line.len--;
    fail(proxy, WSR_SLICE("the proxy said: "), line);
}

static size_t take_http(struct wsr_proxy *proxy, const uint8_t *p, size_t len)
{
    size_t done = 0;
    while (proxy->state == WSR_PROXY_GOING && done < len) {
        size_t used;
        int scanned = wsr_http_scan(&proxy->scan, p + done, len - done, &used);
        keep_line(proxy, p + done, used);
        done += used;
        if (scanned < 0)
            fail(proxy, WSR_SLICE("the proxy's answer is no HTTP: "), wsr_refusal_lookup((wsr_refusal)-scanned)->text);
        else if (scanned > 0)
            judge_answer(proxy);
    }
    return done;
}

/* ---- SOCKS 5 ---- */

static void put_byte(struct wsr_http_out *out, size_t byte)
{
    const uint8_t value = (uint8_t)byte;
    wsr_http_put(out, (wsr_slice){&value, 1});
}

static void put_counted(struct wsr_http_out *out, wsr_slice text)
{
    put_byte(out, text.len);
    wsr_http_put(out, text);
}

/* All that may have to be said is written at once; it becomes pending part by part. */
static void write_socks(struct wsr_proxy *proxy, const struct wsr_proxy_ask *ask)
{
    struct wsr_http_out out = {proxy->text, sizeof proxy->text, 0};
    /* RFC 1928 section 3: VER, NMETHODS, METHODS */
    wsr_http_put(&out, ask->user.ptr == NULL ? WSR_SLICE("\5\1\0") : WSR_SLICE("\5\2\0\2"));
    proxy->parts[0] = (uint16_t)out.len;
    if (ask->user.ptr != NULL) { /* RFC 1929 section 2: VER, ULEN, UNAME, PLEN, PASSWD */
        put_byte(&out, 1);
        put_counted(&out, ask->user);
        put_counted(&out, ask->password);
    }
    proxy->parts[1] = (uint16_t)out.len;
    /* RFC 1928 section 4: VER, CMD, RSV, ATYP, DST.ADDR, DST.PORT */
    put_byte(&out, SOCKS_VERSION);
    put_byte(&out, SOCKS_CONNECT);
    put_byte(&out, 0);
    put_byte(&out, ask->address.len == 4 ? SOCKS_IPV4 : ask->address.len == 16 ? SOCKS_IPV6 : SOCKS_NAME);
    if (ask->address.len != 0)
        wsr_http_put(&out, ask->address);
    else
        put_counted(&out, ask->host);
    put_byte(&out, ask->port >> 8);
    put_byte(&out, ask->port & 0xff);
    assert(out.len <= out.cap);
    proxy->parts[2] = (uint16_t)out.len;
    proxy->text_len = proxy->parts[0];
}

/* The request is due. What was skipped before it goes: none of that was pending yet, so none of it flies. */
static void ask_target(struct wsr_proxy *proxy)
{
    const size_t len = (size_t)proxy->parts[2] - proxy->parts[1];
    memmove(proxy->text + proxy->text_len, proxy->text + proxy->parts[1], len);
    proxy->text_len = (uint16_t)(proxy->text_len + len);
    proxy->step = AWAITS_REPLY;
}

static void judge_method(struct wsr_proxy *proxy)
{
    const bool offered = proxy->parts[1] > proxy->parts[0];
    if (proxy->answer[1] == SOCKS_NO_LOGIN) {
        ask_target(proxy);
    } else if (proxy->answer[1] == SOCKS_PASSWORD && offered) {
        proxy->text_len = proxy->parts[1];
        proxy->step = AWAITS_VERDICT;
    } else if (offered) {
        fail(proxy, WSR_SLICE("the proxy wants another way to log in than user and password"), WSR_SLICE(""));
    } else {
        fail(proxy, WSR_SLICE("the proxy wants a user and password"), WSR_SLICE(""));
    }
}

/* RFC 1928 section 6. */
static wsr_slice reply_text(uint8_t reply)
{
    switch (reply) {
    case 1: return WSR_SLICE("general SOCKS server failure");
    case 2: return WSR_SLICE("connection not allowed by ruleset");
    case 3: return WSR_SLICE("network unreachable");
    case 4: return WSR_SLICE("host unreachable");
    case 5: return WSR_SLICE("connection refused");
    case 6: return WSR_SLICE("TTL expired");
    case 7: return WSR_SLICE("command not supported");
    case 8: return WSR_SLICE("address type not supported");
    default: return WSR_SLICE("something that SOCKS 5 does not know");
    }
}

/* How many bytes the answer of this step has, as far as what came of it tells. */
static size_t answer_bytes(const struct wsr_proxy *proxy)
{
    if (proxy->step != AWAITS_REPLY)
        return 2;
    if (proxy->answer_len < 2 || proxy->answer[1] != 0) /* of a refusal the rest says nothing, and may not come */
        return 2;
    if (proxy->answer_len < 5)
        return 5;
    switch (proxy->answer[3]) {
    case SOCKS_IPV4: return 4 + 4 + 2;
    case SOCKS_IPV6: return 4 + 16 + 2;
    case SOCKS_NAME: return 5 + (size_t)proxy->answer[4] + 2;
    default: return 5; /* refused by judge_reply */
    }
}

static void judge_reply(struct wsr_proxy *proxy)
{
    if (proxy->answer[1] != 0) {
        fail(proxy, WSR_SLICE("the proxy said: "), reply_text(proxy->answer[1]));
        return;
    }
    const uint8_t type = proxy->answer[3];
    if (type == SOCKS_IPV4 || type == SOCKS_IPV6 || type == SOCKS_NAME)
        proxy->state = WSR_PROXY_DONE;
    else
        fail(proxy, WSR_SLICE("the proxy's answer is no SOCKS 5: an address of a type that is none"), WSR_SLICE(""));
}

static void judge_step(struct wsr_proxy *proxy)
{
    const uint8_t version = proxy->step == AWAITS_VERDICT ? 1 : SOCKS_VERSION; /* RFC 1929 counts its own */
    if (proxy->answer[0] != version)
        fail(proxy, WSR_SLICE("the proxy's answer is no SOCKS 5"), WSR_SLICE(""));
    else if (proxy->step == AWAITS_METHOD)
        judge_method(proxy);
    else if (proxy->step == AWAITS_REPLY)
        judge_reply(proxy);
    else if (proxy->answer[1] == 0)
        ask_target(proxy);
    else
        fail(proxy, WSR_SLICE("the proxy refused user and password"), WSR_SLICE(""));
    proxy->answer_len = 0;
}

static size_t take_socks(struct wsr_proxy *proxy, const uint8_t *p, size_t len)
{
    size_t done = 0;
    while (proxy->state == WSR_PROXY_GOING && done < len) {
        proxy->answer[proxy->answer_len++] = p[done++];
        if (proxy->answer_len == answer_bytes(proxy))
            judge_step(proxy);
    }
    return done;
}

/* ---- the interface ---- */

/* A host of a URL that was taken apart is nothing else; this keeps a line a line whoever asks. */
static bool is_host(wsr_slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        const uint8_t c = host.ptr[i], letter = c | 0x20;
        if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_' && c != ':')
            return false;
    }
    return host.len >= 1 && host.len <= WSR_PROXY_HOST_MAX;
}

int wsr_proxy_start(struct wsr_proxy *proxy, const struct wsr_proxy_ask *ask)
{
    memset(proxy, 0, sizeof *proxy);
    if (!is_host(ask->host) || (ask->address.len != 0 && ask->address.len != 4 && ask->address.len != 16) ||
        ask->user.len > WSR_PROXY_USER_MAX || ask->password.len > WSR_PROXY_USER_MAX)
        return WSR_ECONFIG;
    proxy->kind = (uint8_t)ask->kind;
    if (ask->kind == WSR_PROXY_CONNECT)
        write_connect(proxy, ask);
    else
        write_socks(proxy, ask);
    return WSR_OK;
}

wsr_slice wsr_proxy_pending(const struct wsr_proxy *proxy)
{
    const size_t len = proxy->state == WSR_PROXY_GOING ? (size_t)(proxy->text_len - proxy->sent) : 0;
    return (wsr_slice){proxy->text + proxy->sent, len};
}

void wsr_proxy_sent(struct wsr_proxy *proxy, size_t bytes)
{
    assert(bytes <= (size_t)(proxy->text_len - proxy->sent));
    proxy->sent = (uint16_t)(proxy->sent + bytes);
}

size_t wsr_proxy_take(struct wsr_proxy *proxy, const uint8_t *p, size_t len)
{
    return proxy->kind == WSR_PROXY_CONNECT ? take_http(proxy, p, len) : take_socks(proxy, p, len);
}
