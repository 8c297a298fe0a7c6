/*
 * proto/http.c - see http.h. RFC 9112 sections 2 to 5, RFC 9110 section 5.6.
 */
#include "proto/http.h"

#include <assert.h>

#include "base/bytes.h"

const struct wsr_refusal_info *wsr_refusal_lookup(wsr_refusal refusal)
{
    static const struct wsr_refusal_info rows[] = {
        {"WSR_REFUSE_NOTHING", {NULL, 0}, 0},
#define WSR_REFUSAL_ROW_(name, status, text) {#name, {(const uint8_t *)(text), sizeof(text) - 1}, status},
        WSR_REFUSALS(WSR_REFUSAL_ROW_)
#undef WSR_REFUSAL_ROW_
    };
    assert(refusal > WSR_REFUSE_NOTHING && refusal < WSR_REFUSALS_END);
    return &rows[refusal];
}

/* --- characters and small texts --- */

static inline bool is_tchar(uint8_t c)
{
    /* A blank stands for what is no token character: controls, separators, and everything from DEL on. */
    static const char tchars[128 + 1] = "                                "
                                        " ! #$%&'  *+ -. 0123456789      "
                                        " ABCDEFGHIJKLMNOPQRSTUVWXYZ   ^_"
                                        "`abcdefghijklmnopqrstuvwxyz | ~ ";
    return c < 128 && tchars[c] != ' ';
}

bool wsr_http_is_tchar(uint8_t c)
{
    return is_tchar(c);
}

bool wsr_http_is_token(wsr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_tchar(text.ptr[i]))
            return false;
    }
    return text.len != 0;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* RFC 9110 section 5.5: field values are visible characters, blanks, and bytes from 0x80 on that nobody interprets. */
static bool is_value(uint8_t c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* A URI is of visible ASCII characters (RFC 3986 section 2), and a target has no fragment (RFC 6455 section 3). */
static bool is_target(uint8_t c)
{
    return c > ' ' && c < 0x7f && c != '#';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

wsr_slice wsr_http_trim(wsr_slice text)
{
    while (text.len != 0 && is_blank(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len != 0 && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

bool wsr_http_equal(wsr_slice a, wsr_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool wsr_http_equal_nocase(wsr_slice a, wsr_slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    }
    return true;
}

/* What stands before the first `at`, which is taken off rest together with it; all of rest if there is none. */
static wsr_slice cut(wsr_slice *rest, uint8_t at)
{
    wsr_slice before = *rest;
    for (size_t i = 0; i < rest->len; i++) {
        if (rest->ptr[i] == at) {
            before.len = i;
            rest->ptr += i + 1;
            rest->len -= i + 1;
            return before;
        }
    }
    rest->ptr = NULL;
    rest->len = 0;
    return before;
}

bool wsr_http_list_next(wsr_slice *list, wsr_slice *item)
{
    if (list->ptr == NULL)
        return false;
    *item = wsr_http_trim(cut(list, ','));
    return true;
}

bool wsr_http_list_has_nocase(wsr_slice list, wsr_slice token)
{
    wsr_slice item;
    while (wsr_http_list_next(&list, &item)) {
        if (wsr_http_equal_nocase(item, token))
            return true;
    }
    return false;
}

void wsr_http_put(struct wsr_http_out *out, wsr_slice bytes)
{
    if (bytes.len != 0 && out->len <= out->cap && bytes.len <= out->cap - out->len)
        memcpy(out->ptr + out->len, bytes.ptr, bytes.len);
    out->len += bytes.len;
}

/* --- the scanner --- */

enum { /* the states up to LINE_LF are inside the start line */
    AT_START,
    AT_START_LF,  /* after the CR of an empty line before the request */
    AT_METHOD,
    AT_TARGET_START,
    AT_TARGET,
    AT_VERSION,   /* inside "HTTP/x.y"; digits says where */
    AT_STATUS,
    AT_REASON_START,
    AT_REASON,
    AT_LINE_CR,
    AT_LINE_LF,
    AT_LINES,     /* at the beginning of a header line, or of the empty one */
    AT_NAME,
    AT_VALUE,
    AT_VALUE_LF,
    AT_END_LF,
    AT_DONE,
    AT_REFUSED
};

void wsr_http_scan_init(struct wsr_http_scan *scan, enum wsr_http_kind kind, uint32_t head_bytes_max, uint32_t headers_max)
{
    memset(scan, 0, sizeof *scan);
    scan->kind = (uint8_t)kind;
    scan->head_bytes_max = head_bytes_max;
    scan->line_bytes_max = head_bytes_max / 2;
    scan->headers_max = (uint16_t)(headers_max < UINT16_MAX ? headers_max : UINT16_MAX);
    scan->state = kind == WSR_HTTP_REQUEST ? AT_START : AT_VERSION;
}

static unsigned refuse(struct wsr_http_scan *scan, wsr_refusal refusal)
{
    scan->refusal = (uint8_t)refusal;
    return AT_REFUSED;
}

/* A byte that has no place here: what it is says more than where it stands. */
static unsigned misplaced(struct wsr_http_scan *scan, uint8_t c, wsr_refusal otherwise)
{
    if (c == '\n')
        return refuse(scan, WSR_REFUSE_BARE_LF);
    if (!is_value(c) && c != '\r')
        return refuse(scan, WSR_REFUSE_CONTROL);
    return refuse(scan, otherwise);
}

/* HTTP-version = %s"HTTP" "/" DIGIT "." DIGIT */
static unsigned scan_version(struct wsr_http_scan *scan, uint8_t c)
{
    static const char form[] = "HTTP/0.0";
    uint8_t expected = (uint8_t)form[scan->digits];
    if (expected == '0' ? !is_digit(c) : c != expected)
        return misplaced(scan, c, WSR_REFUSE_START_LINE);
    if (++scan->digits < sizeof form - 1)
        return AT_VERSION;
    scan->digits = 0;
    return scan->kind == WSR_HTTP_REQUEST ? AT_LINE_CR : AT_STATUS;
}

/*
 * status-line = HTTP-version SP status-code SP [ reason-phrase ]. The blank behind the code is taken for optional: it is
 * often left out with the phrase.
 */
static unsigned scan_status(struct wsr_http_scan *scan, uint8_t c)
{
    if (scan->digits == 0 ? c != ' ' : !is_digit(c))
        return misplaced(scan, c, WSR_REFUSE_START_LINE);
    return ++scan->digits < 4 ? AT_STATUS : AT_REASON_START;
}

/* One byte inside the start line: the next state. request-line = method SP request-target SP HTTP-version */
static unsigned scan_start_line(struct wsr_http_scan *scan, uint8_t c)
{
    switch (scan->state) {
    case AT_START:
        /* RFC 9112 section 2.2: a server SHOULD ignore at least one empty line received prior to the request-line. */
        if (c == '\r' && scan->bytes == 0)
            return AT_START_LF;
        if (c == 0x16) /* a TLS record of the type handshake */
            return refuse(scan, WSR_REFUSE_TLS);
        return is_tchar(c) ? AT_METHOD : misplaced(scan, c, WSR_REFUSE_START_LINE);
    case AT_START_LF:
        return c == '\n' ? AT_START : refuse(scan, WSR_REFUSE_BARE_CR);
    case AT_METHOD:
        if (c == ' ')
            return AT_TARGET_START;
        return is_tchar(c) ? AT_METHOD : misplaced(scan, c, WSR_REFUSE_START_LINE);
    case AT_TARGET_START:
    case AT_TARGET:
        if (c == ' ' && scan->state == AT_TARGET)
            return AT_VERSION;
        return is_target(c) ? AT_TARGET : misplaced(scan, c, WSR_REFUSE_START_LINE);
    case AT_VERSION:
        return scan_version(scan, c);
    case AT_STATUS:
        return scan_status(scan, c);
    case AT_REASON_START:
        if (c == '\r')
            return AT_LINE_LF;
        return c == ' ' ? AT_REASON : misplaced(scan, c, WSR_REFUSE_START_LINE);
    case AT_REASON:
        if (c == '\r')
            return AT_LINE_LF;
        return is_value(c) ? AT_REASON : misplaced(scan, c, WSR_REFUSE_START_LINE);
    case AT_LINE_CR:
        return c == '\r' ? AT_LINE_LF : misplaced(scan, c, WSR_REFUSE_START_LINE);
    default:
        assert(scan->state == AT_LINE_LF);
        return c == '\n' ? AT_LINES : refuse(scan, WSR_REFUSE_BARE_CR);
    }
}

/* One byte of the header lines: the next state. field-line = field-name ":" OWS field-value OWS */
static unsigned scan_lines(struct wsr_http_scan *scan, uint8_t c)
{
    switch (scan->state) {
    case AT_LINES:
        if (c == '\r')
            return AT_END_LF;
        if (is_blank(c)) /* RFC 9112 section 5.2: a server that receives obs-fold MUST reject it by a 400, or replace it. */
            return refuse(scan, WSR_REFUSE_HEADER_FOLDED);
        if (!is_tchar(c))
            return misplaced(scan, c, WSR_REFUSE_HEADER_NAME);
        if (scan->headers_n == scan->headers_max)
            return refuse(scan, WSR_REFUSE_HEADERS_MANY);
        scan->headers_n++;
        return AT_NAME;
    case AT_NAME:
        if (c == ':')
            return AT_VALUE;
        if (is_blank(c)) /* RFC 9112 section 5.1: whitespace between a field name and colon MUST be rejected with a 400. */
            return refuse(scan, WSR_REFUSE_HEADER_SPACE);
        return is_tchar(c) ? AT_NAME : misplaced(scan, c, WSR_REFUSE_HEADER_NAME);
    case AT_VALUE:
        if (c == '\r')
            return AT_VALUE_LF;
        return is_value(c) ? AT_VALUE : misplaced(scan, c, WSR_REFUSE_CONTROL);
    case AT_VALUE_LF:
        return c == '\n' ? AT_LINES : refuse(scan, WSR_REFUSE_BARE_CR);
    default:
        assert(scan->state == AT_END_LF);
        return c == '\n' ? AT_DONE : refuse(scan, WSR_REFUSE_BARE_CR);
    }
}

/* How many bytes there are, at most n, that the state takes and stays what it is: most of a head is names and values. */
static size_t run_of(unsigned state, const uint8_t *p, size_t n)
{
    size_t i = 0;
    switch (state) {
    case AT_METHOD:
    case AT_NAME:
        while (i < n && is_tchar(p[i]))
            i++;
        return i;
    case AT_TARGET:
        while (i < n && is_target(p[i]))
            i++;
        return i;
    case AT_REASON:
    case AT_VALUE:
        while (i < n && is_value(p[i]))
            i++;
        return i;
    default:
        return 0;
    }
}

/* Steps over such a run, short of the byte that would pass a limit. */
static size_t skip_run(struct wsr_http_scan *scan, const uint8_t *p, size_t n)
{
    const uint32_t max = scan->state <= AT_LINE_LF ? scan->line_bytes_max : scan->head_bytes_max;
    const uint32_t left = scan->bytes + 1 < max ? max - 1 - scan->bytes : 0;
    const size_t run = run_of(scan->state, p, n < left ? n : left);
    scan->bytes += (uint32_t)run;
    return run;
}

int wsr_http_scan(struct wsr_http_scan *scan, const uint8_t *p, size_t len, size_t *used)
{
    size_t i = 0;
    while (i < len && scan->state < AT_DONE) {
        i += skip_run(scan, p + i, len - i);
        if (i == len)
            break;
        bool in_line = scan->state <= AT_LINE_LF;
        unsigned next = in_line ? scan_start_line(scan, p[i]) : scan_lines(scan, p[i]);
        i++;
        scan->bytes++;
        /* A limit is passed as soon as its last byte is not the end. */
        if (next <= AT_LINE_LF && scan->bytes >= scan->line_bytes_max)
            next = refuse(scan, WSR_REFUSE_LINE_LONG);
        else if (next < AT_DONE && scan->bytes >= scan->head_bytes_max)
            next = refuse(scan, WSR_REFUSE_HEAD_LONG);
        scan->state = (uint8_t)next;
    }
    *used = i;
    if (scan->state == AT_REFUSED)
        return -(int)scan->refusal;
    return scan->state == AT_DONE;
}

bool wsr_http_lines_valid(wsr_slice lines)
{
    struct wsr_http_scan scan;
    wsr_http_scan_init(&scan, WSR_HTTP_REQUEST, UINT32_MAX, UINT16_MAX);
    scan.state = AT_LINES;
    size_t used;
    return wsr_http_scan(&scan, lines.ptr, lines.len, &used) == 0 && scan.state == AT_LINES;
}

/* --- the splitter --- */

/* Takes a line off rest, without its CR LF. */
static wsr_slice cut_line(wsr_slice *rest)
{
    wsr_slice line = cut(rest, '\r');
    if (rest->len != 0) {
        rest->ptr++;
        rest->len--;
    }
    return line;
}

bool wsr_http_line_next(wsr_slice *lines, wsr_header *header)
{
    wsr_slice line = cut_line(lines);
    if (line.len == 0)
        return false;
    header->name = cut(&line, ':');
    header->value = wsr_http_trim(line);
    return true;
}

static void split_version(struct wsr_http_head *head, wsr_slice version)
{
    if (version.len == sizeof "HTTP/1.1" - 1) {
        head->major = (uint8_t)(version.ptr[5] - '0');
        head->minor = (uint8_t)(version.ptr[7] - '0');
    }
}

void wsr_http_split(struct wsr_http_head *head, enum wsr_http_kind kind, wsr_slice bytes, wsr_header *headers, unsigned cap)
{
    memset(head, 0, sizeof *head);
    wsr_slice line = cut_line(&bytes);
    if (kind == WSR_HTTP_REQUEST) {
        if (line.len == 0) /* the one empty line that may stand before it */
            line = cut_line(&bytes);
        head->method = cut(&line, ' ');
        head->target = cut(&line, ' ');
        split_version(head, line);
    } else {
        split_version(head, cut(&line, ' '));
        wsr_slice status = cut(&line, ' ');
        for (size_t i = 0; i < status.len && i < 3; i++)
            head->status = (uint16_t)(head->status * 10 + (status.ptr[i] - '0'));
        head->reason = line;
    }
    head->headers = headers;
    while (head->headers_n < cap && wsr_http_line_next(&bytes, &headers[head->headers_n]))
        head->headers_n++;
}
