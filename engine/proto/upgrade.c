/*
 * proto/upgrade.c - see upgrade.h. RFC 6455 sections 4.1 (client), 4.2 (server) and 11.3 (header fields).
 */
#include "proto/upgrade.h"

#include "base/bytes.h"
#include "proto/extension.h"
#include "proto/key.h"

/* --- the header fields a handshake knows --- */

enum field { HOST, UPGRADE, CONNECTION, KEY, VERSION, PROTOCOL, EXTENSIONS, ACCEPT, ORIGIN, CONTENT_LENGTH, TRANSFER_ENCODING, FIELDS };

struct fields {
    wsr_slice first[FIELDS]; /* value of the first line; ptr NULL if there is none */
    unsigned n[FIELDS];      /* lines */
};

static enum field field_of(wsr_slice name)
{
    static const char names[FIELDS][28] = {
        [HOST] = "host",
        [UPGRADE] = "upgrade",
        [CONNECTION] = "connection",
        [KEY] = "sec-websocket-key",
        [VERSION] = "sec-websocket-version",
        [PROTOCOL] = "sec-websocket-protocol",
        [EXTENSIONS] = "sec-websocket-extensions",
        [ACCEPT] = "sec-websocket-accept",
        [ORIGIN] = "origin",
        [CONTENT_LENGTH] = "content-length",
        [TRANSFER_ENCODING] = "transfer-encoding",
    };
    static const uint8_t lengths[FIELDS] = {4, 7, 10, 17, 21, 22, 24, 20, 6, 14, 17};
    for (unsigned i = 0; i < FIELDS; i++) {
        if (wsr_http_equal_nocase(name, (wsr_slice){(const uint8_t *)names[i], lengths[i]}))
            return (enum field)i;
    }
    return FIELDS;
}

static void collect(struct fields *fields, const struct wsr_http_head *head)
{
    memset(fields, 0, sizeof *fields);
    for (unsigned i = 0; i < head->headers_n; i++) {
        enum field field = field_of(head->headers[i].name);
        if (field != FIELDS && fields->n[field]++ == 0)
            fields->first[field] = head->headers[i].value;
    }
}

/* Does a line of this field hold the token? Several lines of a list are one list (RFC 9110 section 5.3). */
static bool lists(const struct wsr_http_head *head, const struct fields *fields, enum field field, wsr_slice token)
{
    if (fields->n[field] <= 1) /* mostly: no need to look for others */
        return wsr_http_list_has_nocase(fields->first[field], token);
    for (unsigned i = 0; i < head->headers_n; i++) {
        if (field_of(head->headers[i].name) == field && wsr_http_list_has_nocase(head->headers[i].value, token))
            return true;
    }
    return false;
}

/* --- judging a request --- */

/* uri-host [ ":" port ]: RFC 3986 section 3.2.2, without user information. */
bool wsr_upgrade_host_valid(wsr_slice host)
{
    size_t i = 0;
    if (host.len != 0 && host.ptr[0] == '[') { /* IP-literal */
        for (i = 1; i < host.len && host.ptr[i] != ']'; i++) {
            if (!wsr_http_is_tchar(host.ptr[i]) && host.ptr[i] != ':')
                return false;
        }
        if (i == host.len || i == 1)
            return false;
        i++;
    } else {
        /* unreserved, pct-encoded and sub-delims: token characters less "#^`|", and "(),;=" */
        for (; i < host.len && host.ptr[i] != ':'; i++) {
            uint8_t c = host.ptr[i];
            bool token = wsr_http_is_tchar(c) && c != '#' && c != '^' && c != '`' && c != '|';
            if (!token && c != '(' && c != ')' && c != ',' && c != ';' && c != '=')
                return false;
        }
        if (i == 0)
            return false;
    }
    if (i == host.len)
        return true;
    if (host.ptr[i++] != ':' || host.len - i > 5)
        return false;
    unsigned port = 0;
    for (; i < host.len; i++) {
        if (host.ptr[i] < '0' || host.ptr[i] > '9')
            return false;
        port = port * 10 + (host.ptr[i] - '0');
    }
    return port <= 65535;
}

/* Takes "http://" or "https://" off, in any case. */
static bool take_scheme(wsr_slice *uri)
{
    static const char schemes[2][9] = {"http://", "https://"};
    for (size_t i = 0; i < 2; i++) {
        size_t len = 7 + i;
        wsr_slice start = {uri->ptr, len};
        if (uri->len >= len && wsr_http_equal_nocase(start, (wsr_slice){(const uint8_t *)schemes[i], len})) {
            uri->ptr += len;
            uri->len -= len;
            return true;
        }
    }
    return false;
}

/*
 * RFC 6455 section 4.2.1: a /resource name/, or an absolute http or https URI; of the latter the host counts, and that of
 * the Host header does not (RFC 9112 section 3.2.2).
 */
static int judge_target(const struct wsr_http_head *head, wsr_request *request)
{
    static const uint8_t root = '/';
    wsr_slice rest = head->target;
    request->target = rest;
    if (take_scheme(&rest)) {
        wsr_slice host = rest;
        host.len = 0;
        while (host.len < rest.len && rest.ptr[host.len] != '/' && rest.ptr[host.len] != '?')
            host.len++;
        if (!wsr_upgrade_host_valid(host))
            return -WSR_REFUSE_TARGET;
        request->host = host;
        rest.ptr += host.len;
        rest.len -= host.len;
    } else if (rest.len == 0 || rest.ptr[0] != '/') {
        return -WSR_REFUSE_TARGET;
    }

    wsr_slice path = {rest.ptr, 0};
    while (path.len < rest.len && rest.ptr[path.len] != '?')
        path.len++;
    request->path = path.len != 0 ? path : (wsr_slice){&root, 1};
    size_t skipped = path.len < rest.len ? path.len + 1 : path.len;
    request->query = (wsr_slice){rest.ptr + skipped, rest.len - skipped};
    return 0;
}

/* RFC 6455 section 4.2.1 items 1 and 2, RFC 9112 section 3.2, and that no body follows: it would be read as frames. */
static int judge_http(const struct wsr_http_head *head, const struct fields *fields, wsr_request *request)
{
    if (head->major == 1 && head->minor == 0)
        return -WSR_REFUSE_HTTP_OLD;
    if (head->major != 1)
        return -WSR_REFUSE_HTTP_VERSION;
    if (!wsr_http_equal(head->method, WSR_SLICE("GET")))
        return -WSR_REFUSE_METHOD;
    if (fields->n[HOST] != 1 || !wsr_upgrade_host_valid(fields->first[HOST]))
        return -WSR_REFUSE_HOST;
    request->host = fields->first[HOST];
    if (judge_target(head, request) != 0)
        return -WSR_REFUSE_TARGET;

    if (fields->n[TRANSFER_ENCODING] != 0)
        return -WSR_REFUSE_BODY;
    for (unsigned i = 0; fields->n[CONTENT_LENGTH] != 0 && i < head->headers_n; i++) {
        if (field_of(head->headers[i].name) == CONTENT_LENGTH && !wsr_http_equal(head->headers[i].value, WSR_SLICE("0")))
            return -WSR_REFUSE_BODY;
    }
    return 0;
}

/* RFC 6455 section 4.2.1 items 3 to 6. The version comes before the key: of another version we know no key. */
static int judge_fields(const struct wsr_http_head *head, const struct fields *fields)
{
    if (!lists(head, fields, UPGRADE, WSR_SLICE("websocket")))
        return -WSR_REFUSE_NO_UPGRADE;
    if (!lists(head, fields, CONNECTION, WSR_SLICE("upgrade")))
        return -WSR_REFUSE_NO_CONNECTION;
    if (fields->n[VERSION] != 1)
        return -WSR_REFUSE_NO_VERSION;
    if (!wsr_http_equal(fields->first[VERSION], WSR_SLICE("13")))
        return -WSR_REFUSE_VERSION;
    if (fields->n[KEY] != 1 || !wsr_key_valid(fields->first[KEY]))
        return -WSR_REFUSE_KEY;
    if (fields->n[ORIGIN] > 1)
        return -WSR_REFUSE_ORIGIN;
    return 0;
}

/* The syntax of every extension line; a header that names no extension at all is wrong too (1#extension). */
static int judge_extensions(const struct wsr_http_head *head)
{
    unsigned n = 0;
    for (unsigned i = 0; i < head->headers_n; i++) {
        if (field_of(head->headers[i].name) != EXTENSIONS)
            continue;
        wsr_slice list = head->headers[i].value;
        struct wsr_extension extension;
        int next;
        while ((next = wsr_extension_next(&list, &extension)) > 0)
            n++;
        if (next < 0)
            return -1;
    }
    return n != 0 ? 0 : -1;
}

/* `one` as it stands among the first n items of the Sec-WebSocket-Protocol lines; ptr NULL if it does not. Case counts. */
static wsr_slice offered_before(const struct wsr_http_head *head, wsr_slice one, unsigned n)
{
    static const wsr_slice none = {NULL, 0};
    for (unsigned i = 0; i < head->headers_n; i++) {
        if (field_of(head->headers[i].name) != PROTOCOL)
            continue;
        wsr_slice list = head->headers[i].value, item;
        while (wsr_http_list_next(&list, &item)) {
            if (n-- == 0)
                return none;
            if (wsr_http_equal(item, one))
                return item;
        }
    }
    return none;
}

/* "The elements that comprise this value MUST be non-empty strings ... and MUST all be unique strings" (section 4.1). */
static int judge_subprotocols(const struct wsr_http_head *head, struct wsr_upgrade *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < head->headers_n; i++) {
        if (field_of(head->headers[i].name) != PROTOCOL)
            continue;
        wsr_slice list = head->headers[i].value, item;
        out->subprotocol_bytes += list.len + (out->subprotocol_lines++ != 0 ? 2 : 0);
        while (wsr_http_list_next(&list, &item)) {
            if (n == WSR_SUBPROTOCOLS_MAX || !wsr_http_is_token(item) || offered_before(head, item, n).ptr != NULL)
                return -1;
            n++;
        }
    }
    return 0;
}

int wsr_upgrade_judge_request(const struct wsr_http_head *head, wsr_slice spoken, struct wsr_upgrade *out)
{
    memset(out, 0, sizeof *out);
    struct fields fields;
    collect(&fields, head);
    int refusal = judge_http(head, &fields, &out->request);
    if (refusal == 0)
        refusal = judge_fields(head, &fields);
    if (refusal != 0)
        return refusal;
    if (fields.n[EXTENSIONS] != 0 && judge_extensions(head) != 0)
        return -WSR_REFUSE_EXTENSIONS;
    if (fields.n[PROTOCOL] != 0 && judge_subprotocols(head, out) != 0)
        return -WSR_REFUSE_SUBPROTOCOLS;

    wsr_slice item;
    while (fields.n[PROTOCOL] != 0 && out->request.subprotocol.len == 0 && wsr_http_list_next(&spoken, &item))
        out->request.subprotocol = offered_before(head, item, WSR_SUBPROTOCOLS_MAX);
    out->key = fields.first[KEY];
    out->request.origin = fields.first[ORIGIN];
    out->request.subprotocols = fields.first[PROTOCOL];
    out->request.headers = head->headers;
    out->request.headers_n = head->headers_n;
    return 0;
}

void wsr_upgrade_join_subprotocols(const struct wsr_http_head *head, uint8_t *out)
{
    bool first = true;
    for (unsigned i = 0; i < head->headers_n; i++) {
        if (field_of(head->headers[i].name) != PROTOCOL)
            continue;
        if (!first) {
            *out++ = ',';
            *out++ = ' ';
        }
        first = false;
        memcpy(out, head->headers[i].value.ptr, head->headers[i].value.len);
        out += head->headers[i].value.len;
    }
}

/* --- judging an answer --- */

int wsr_upgrade_judge_response(const struct wsr_http_head *head, const uint8_t accept[WSR_ACCEPT_LEN], wsr_slice offered,
                               wsr_response *response)
{
    memset(response, 0, sizeof *response);
    if (head->status != 101)
        return WSR_EREFUSED;
    struct fields fields;
    collect(&fields, head);
    if (head->major != 1 || head->minor == 0)
        return WSR_EANSWER;
    /* Section 4.1 items 2 and 3: the whole of Upgrade is "websocket"; Connection contains "Upgrade". */
    if (fields.n[UPGRADE] != 1 || !wsr_http_equal_nocase(fields.first[UPGRADE], WSR_SLICE("websocket")))
        return WSR_EANSWER;
    if (!lists(head, &fields, CONNECTION, WSR_SLICE("upgrade")))
        return WSR_EANSWER;
    /* Item 4. */
    if (fields.n[ACCEPT] != 1 || !wsr_http_equal(fields.first[ACCEPT], (wsr_slice){accept, WSR_ACCEPT_LEN}))
        return WSR_EANSWER;
    /* Item 5, an extension that was not asked for, is wsr_deflate_judge_answer's. */
    /* Item 6: a subprotocol that was not asked for. */
    if (fields.n[PROTOCOL] > 1 || (fields.n[PROTOCOL] == 1 && !wsr_upgrade_offers(offered, fields.first[PROTOCOL])))
        return WSR_EANSWER;
    response->status = head->status;
    response->subprotocol = fields.first[PROTOCOL];
    response->headers = head->headers;
    response->headers_n = head->headers_n;
    return 0;
}

/* --- what an application says --- */

bool wsr_upgrade_target_valid(wsr_slice target)
{
    for (size_t i = 0; i < target.len; i++) {
        if (target.ptr[i] <= ' ' || target.ptr[i] >= 0x7f || target.ptr[i] == '#')
            return false;
    }
    return target.len != 0 && target.ptr[0] == '/';
}

bool wsr_upgrade_offers(wsr_slice subprotocols, wsr_slice one)
{
    wsr_slice item;
    while (one.len != 0 && wsr_http_list_next(&subprotocols, &item)) {
        if (wsr_http_equal(item, one))
            return true;
    }
    return false;
}

bool wsr_upgrade_subprotocols_valid(wsr_slice subprotocols)
{
    if (subprotocols.len == 0)
        return true;
    wsr_slice rest = subprotocols, item;
    for (unsigned n = 0; wsr_http_list_next(&rest, &item); n++) {
        /* A second one of its kind stands in what is left of the list. */
        if (n == WSR_SUBPROTOCOLS_MAX || !wsr_http_is_token(item) || wsr_upgrade_offers(rest, item))
            return false;
    }
    return true;
}

bool wsr_upgrade_headers_valid(wsr_slice headers)
{
    if (!wsr_http_lines_valid(headers))
        return false;
    wsr_header header;
    while (wsr_http_line_next(&headers, &header)) {
        enum field field = field_of(header.name);
        if (field != FIELDS && field != ORIGIN)
            return false;
    }
    return true;
}
