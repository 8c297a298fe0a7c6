/*
 * proto/upgrade_write.c - see upgrade_write.h.
 */
#include "proto/upgrade_write.h"

static void put_field(struct wsr_http_out *out, wsr_slice name, wsr_slice value)
{
    wsr_http_put(out, name);
    wsr_http_put(out, value);
    wsr_http_put(out, WSR_SLICE("\r\n"));
}

static void put_number(struct wsr_http_out *out, size_t number)
{
    uint8_t digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    wsr_http_put(out, (wsr_slice){digits + at, sizeof digits - at});
}

static wsr_slice reason_phrase(unsigned status)
{
    switch (status) {
    case 300: return WSR_SLICE("Multiple Choices");
    case 301: return WSR_SLICE("Moved Permanently");
    case 302: return WSR_SLICE("Found");
    case 303: return WSR_SLICE("See Other");
    case 307: return WSR_SLICE("Temporary Redirect");
    case 308: return WSR_SLICE("Permanent Redirect");
    case 400: return WSR_SLICE("Bad Request");
    case 401: return WSR_SLICE("Unauthorized");
    case 403: return WSR_SLICE("Forbidden");
    case 404: return WSR_SLICE("Not Found");
    case 405: return WSR_SLICE("Method Not Allowed");
    case 408: return WSR_SLICE("Request Timeout");
    case 410: return WSR_SLICE("Gone");
    case 414: return WSR_SLICE("URI Too Long");
    case 426: return WSR_SLICE("Upgrade Required");
    case 429: return WSR_SLICE("Too Many Requests");
    case 431: return WSR_SLICE("Request Header Fields Too Large");
    case 500: return WSR_SLICE("Internal Server Error");
    case 501: return WSR_SLICE("Not Implemented");
    case 502: return WSR_SLICE("Bad Gateway");
    case 503: return WSR_SLICE("Service Unavailable");
    case 504: return WSR_SLICE("Gateway Timeout");
    case 505: return WSR_SLICE("HTTP Version Not Supported");
    default: return WSR_SLICE(""); /* RFC 9112 section 4: the phrase may be empty, the blank before it not */
    }
}

void wsr_upgrade_write_accept(struct wsr_http_out *out, const uint8_t accept[WSR_ACCEPT_LEN], wsr_slice subprotocol, wsr_slice extensions,
                              wsr_slice headers)
{
    wsr_http_put(out, WSR_SLICE("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"));
    put_field(out, WSR_SLICE("Sec-WebSocket-Accept: "), (wsr_slice){accept, WSR_ACCEPT_LEN});
    if (subprotocol.len != 0)
        put_field(out, WSR_SLICE("Sec-WebSocket-Protocol: "), subprotocol);
    if (extensions.len != 0)
        put_field(out, WSR_SLICE("Sec-WebSocket-Extensions: "), extensions);
    wsr_http_put(out, headers);
    wsr_http_put(out, WSR_SLICE("\r\n"));
}

static void put_status(struct wsr_http_out *out, unsigned status)
{
    wsr_http_put(out, WSR_SLICE("HTTP/1.1 "));
    put_number(out, status);
    put_field(out, WSR_SLICE(" "), reason_phrase(status));
}

/* The rest of a head, with what its status asks for. RFC 9110 sections 7.8, 15.5.6 and 15.5.22. */
static void put_ending(struct wsr_http_out *out, unsigned status, size_t body_len)
{
    if (status == 426)
        wsr_http_put(out, WSR_SLICE("Upgrade: websocket\r\nConnection: close, Upgrade\r\n"));
    else
        wsr_http_put(out, WSR_SLICE("Connection: close\r\n"));
    wsr_http_put(out, WSR_SLICE("Content-Length: "));
    put_number(out, body_len);
    wsr_http_put(out, WSR_SLICE("\r\n\r\n"));
}

void wsr_upgrade_write_refusal(struct wsr_http_out *out, wsr_refusal refusal, bool is_head)
{
    const struct wsr_refusal_info *info = wsr_refusal_lookup(refusal);
    wsr_slice body = info->text;
    put_status(out, info->status);
    if (info->status == 405)
        wsr_http_put(out, WSR_SLICE("Allow: GET\r\n"));
    if (refusal == WSR_REFUSE_VERSION)
        wsr_http_put(out, WSR_SLICE("Sec-WebSocket-Version: 13\r\n"));
    wsr_http_put(out, WSR_SLICE("Content-Type: text/plain; charset=utf-8\r\n"));
    put_ending(out, info->status, body.len + 1);
    if (is_head)
        return;
    wsr_http_put(out, body);
    wsr_http_put(out, WSR_SLICE("\n"));
}

void wsr_upgrade_write_response(struct wsr_http_out *out, unsigned status, wsr_slice headers, wsr_slice body)
{
    put_status(out, status);
    wsr_http_put(out, headers);
    put_ending(out, status, body.len);
    wsr_http_put(out, body);
}

void wsr_upgrade_write_request(struct wsr_http_out *out, const struct wsr_upgrade_ask *ask, const uint8_t key[WSR_KEY_LEN])
{
    wsr_http_put(out, WSR_SLICE("GET "));
    wsr_http_put(out, ask->target);
    wsr_http_put(out, WSR_SLICE(" HTTP/1.1\r\n"));
    put_field(out, WSR_SLICE("Host: "), ask->host);
    wsr_http_put(out, WSR_SLICE("Upgrade: websocket\r\nConnection: Upgrade\r\n"));
    put_field(out, WSR_SLICE("Sec-WebSocket-Key: "), (wsr_slice){key, WSR_KEY_LEN});
    wsr_http_put(out, WSR_SLICE("Sec-WebSocket-Version: 13\r\n"));
    if (ask->subprotocols.len != 0)
        put_field(out, WSR_SLICE("Sec-WebSocket-Protocol: "), ask->subprotocols);
    if (ask->extensions.len != 0)
        put_field(out, WSR_SLICE("Sec-WebSocket-Extensions: "), ask->extensions);
    wsr_http_put(out, ask->headers);
    wsr_http_put(out, WSR_SLICE("\r\n"));
}
