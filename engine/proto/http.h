/*
 * proto/http.h - the head of an HTTP/1.1 message (RFC 9112 sections 2 to 5): a resumable scanner, and a splitter.
 *
 * The scanner looks at each byte once, wherever the input is cut, and refuses at the first byte that cannot be right. The
 * splitter cuts a head that the scanner has accepted into slices. Pure: no allocation, no copy, no input or output.
 * What it is not: a judge of what a handshake must say (proto/upgrade.h), or a reader of bodies (there are none).
 */
#ifndef WSR_PROTO_HTTP_H
#define WSR_PROTO_HTTP_H

#include <wsring/event.h>

/*
 * Why a head is refused, one row each: name, status of the answer, what its body says. Those up to HEAD_LONG are found
 * by the scanner, the rest by proto/upgrade.c and proto/handshake.c.
 */
#define WSR_REFUSALS(X)                                                                                                                    \
    X(WSR_REFUSE_TLS, 400, "this looks like TLS, but the port speaks plain HTTP: use ws://, or the port for wss://")                       \
    X(WSR_REFUSE_START_LINE, 400, "the first line is not METHOD SP TARGET SP HTTP/1.1")                                                    \
    X(WSR_REFUSE_HEADER_NAME, 400, "a header name is not a token followed by a colon")                                                     \
    X(WSR_REFUSE_HEADER_SPACE, 400, "white space between a header name and its colon")                                                     \
    X(WSR_REFUSE_HEADER_FOLDED, 400, "a header line begins with white space (obsolete folding)")                                           \
    X(WSR_REFUSE_BARE_LF, 400, "a line feed without a carriage return before it")                                                          \
    X(WSR_REFUSE_BARE_CR, 400, "a carriage return without a line feed behind it")                                                          \
    X(WSR_REFUSE_CONTROL, 400, "a control character")                                                                                      \
    X(WSR_REFUSE_LINE_LONG, 414, "the request line is over the limit")                                                                     \
    X(WSR_REFUSE_HEADERS_MANY, 431, "more header lines than the limit")                                                                    \
    X(WSR_REFUSE_HEAD_LONG, 431, "the header block is over the limit")                                                                     \
    /* the request as a handshake */                                                                                                       \
    X(WSR_REFUSE_HTTP_OLD, 400, "a WebSocket handshake needs HTTP/1.1")                                                                    \
    X(WSR_REFUSE_HTTP_VERSION, 505, "only HTTP/1.1 is spoken here")                                                                        \
    X(WSR_REFUSE_METHOD, 405, "a WebSocket handshake is a GET request")                                                                    \
    X(WSR_REFUSE_TARGET, 400, "the request target is neither a path nor an http URI")                                                      \
    X(WSR_REFUSE_HOST, 400, "there must be exactly one Host header, and a valid one")                                                      \
    X(WSR_REFUSE_BODY, 400, "a handshake has no body: Transfer-Encoding, or Content-Length other than 0")                                  \
    X(WSR_REFUSE_NO_UPGRADE, 426, "this is a WebSocket server: the Upgrade header must name websocket")                                    \
    X(WSR_REFUSE_NO_CONNECTION, 426, "this is a WebSocket server: the Connection header must name upgrade")                                \
    X(WSR_REFUSE_NO_VERSION, 400, "there must be exactly one Sec-WebSocket-Version header")                                                \
    X(WSR_REFUSE_VERSION, 426, "only Sec-WebSocket-Version 13 is spoken here")                                                             \
    X(WSR_REFUSE_KEY, 400, "there must be exactly one Sec-WebSocket-Key header, of 16 bytes in base64")                                    \
    X(WSR_REFUSE_EXTENSIONS, 400, "the Sec-WebSocket-Extensions header has a syntax error")                                                \
    X(WSR_REFUSE_SUBPROTOCOLS, 400, "the Sec-WebSocket-Protocol header is not a list of different tokens")                                 \
    X(WSR_REFUSE_ORIGIN, 400, "more than one Origin header")                                                                               \
    X(WSR_REFUSE_FORBIDDEN, 403, "pages of this Origin may not connect here")                                                              \
    X(WSR_REFUSE_PATH, 404, "there is no WebSocket at this path")                                                                          \
    /* the server's own */                                                                                                                 \
    X(WSR_REFUSE_TIMEOUT, 408, "the handshake was not complete in time")                                                                   \
    X(WSR_REFUSE_INTERNAL, 500, "the server could not compute its answer")                                                                 \
    X(WSR_REFUSE_UNAVAILABLE, 503, "the server is short of memory, or its application did not answer in time")

typedef enum wsr_refusal {
    WSR_REFUSE_NOTHING = 0,
#define WSR_REFUSAL_ROW_(name, status, text) name,
    WSR_REFUSALS(WSR_REFUSAL_ROW_)
#undef WSR_REFUSAL_ROW_
    WSR_REFUSALS_END
} wsr_refusal;

struct wsr_refusal_info {
    const char *name;
    wsr_slice text; /* a line without its end */
    uint16_t status;
};

/* The row of a refusal (never WSR_REFUSE_NOTHING). Static storage. */
const struct wsr_refusal_info *wsr_refusal_lookup(wsr_refusal refusal);

/* A string literal as a slice (strlen is not among the few functions that proto may call). */
#define WSR_SLICE(literal) ((wsr_slice){(const uint8_t *)(literal), sizeof(literal) - 1})

enum wsr_http_kind { WSR_HTTP_REQUEST, WSR_HTTP_RESPONSE };

/* Where the scanner stands. */
struct wsr_http_scan {
    uint32_t head_bytes_max; /* a head longer than this is refused ... */
    uint32_t line_bytes_max; /* ... and a start line longer than this, half of it; both count CR LF */
    uint32_t bytes;          /* looked at so far */
    uint16_t headers_max;
    uint16_t headers_n;      /* header lines begun so far */
    uint8_t kind;            /* wsr_http_kind */
    uint8_t state;
    uint8_t digits;          /* position in "HTTP/x.y", or digits of the status */
    uint8_t refusal;         /* wsr_refusal, once there is one */
};

void wsr_http_scan_init(struct wsr_http_scan *scan, enum wsr_http_kind kind, uint32_t head_bytes_max, uint32_t headers_max);

/*
 * Looks at the next bytes of a head, at most len of them; *used says how many. Returns 1 when the head is complete (its
 * last byte is p[*used - 1]; later bytes are not looked at), 0 when it needs more, and -refusal. Once it has returned 1
 * or less than 0 it goes on doing so without looking at anything. The answer, and the count of bytes before it, are the
 * same wherever the input is cut.
 */
WSR_MUST_USE int wsr_http_scan(struct wsr_http_scan *scan, const uint8_t *p, size_t len, size_t *used);

/* Whole header lines, each ended by CR LF, and nothing else? An empty slice is. For what an application adds to a head. */
bool wsr_http_lines_valid(wsr_slice lines);

/* A head in slices, which lie in its bytes. */
struct wsr_http_head {
    wsr_slice method, target; /* request */
    wsr_slice reason;         /* response */
    uint16_t status;          /* response */
    uint8_t major, minor;     /* HTTP version */
    const wsr_header *headers;
    unsigned headers_n;
};

/*
 * Splits a head that the scanner accepted (bytes: from its first byte to the empty line's last). headers has room for
 * cap, at least scan.headers_n. Anything else is a programmer's error, answered with fewer slices, never with a stray read.
 */
void wsr_http_split(struct wsr_http_head *head, enum wsr_http_kind kind, wsr_slice bytes, wsr_header *headers, unsigned cap);

/* Takes the first header line off whole lines. False at their end. */
bool wsr_http_line_next(wsr_slice *lines, wsr_header *header);

/* RFC 9110 section 5.6.2: one character of a token; a token. */
bool wsr_http_is_tchar(uint8_t c);
bool wsr_http_is_token(wsr_slice text);

/* Without spaces and tabs at both ends. */
wsr_slice wsr_http_trim(wsr_slice text);

/* Equal byte for byte; equal if ASCII letters of either case are one. */
bool wsr_http_equal(wsr_slice a, wsr_slice b);
bool wsr_http_equal_nocase(wsr_slice a, wsr_slice b);

/*
 * Takes the next item, trimmed, off a comma-separated list (RFC 9110 section 5.6.1); items may be empty, and an empty
 * list holds one empty item. False, and list->ptr NULL, at the end.
 */
bool wsr_http_list_next(wsr_slice *list, wsr_slice *item);

/* Does the list hold this token, in any case? */
bool wsr_http_list_has_nocase(wsr_slice list, wsr_slice token);

/* A head being written. What has no room is counted and not written, so a first pass with cap 0 measures. */
struct wsr_http_out {
    uint8_t *ptr;
    size_t cap;
    size_t len;
};

void wsr_http_put(struct wsr_http_out *out, wsr_slice bytes);

#endif
