/*
 * client/config.c - a client's configuration: its list of URLs taken apart, and what may be wrong with all of it.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/config.h"
#include "client/comeback.h"
#include "conn/front.h"
#include "proto/deflate_offer.h"
#include "proto/upgrade.h"
#include "ring/sys.h"

/* ---- its URLs ---- */

/* Takes the next URL off a list with blanks between. False at its end. */
static bool next_url(wsr_slice *list, wsr_slice *url)
{
    *list = wsr_http_trim(*list);
    *url = (wsr_slice){list->ptr, 0};
    while (url->len < list->len && url->ptr[url->len] != ' ' && url->ptr[url->len] != '\t')
        url->len++;
    list->ptr += url->len;
    list->len -= url->len;
    return url->len > 0;
}

const char *wsr_client_parse_urls(struct wsr_url *urls, unsigned *n, const char *text)
{
    wsr_slice list = wsr_slice_of(text), one;
    for (*n = 0; next_url(&list, &one); ++*n) {
        struct wsr_url url;
        if (*n == WSR_CLIENT_URLS_MAX)
            return "there are more than 16 URLs";
        const char *problem = wsr_url_parse(&url, one, false);
        if (problem != NULL)
            return problem;
        if (urls != NULL)
            urls[*n] = url;
    }
    return *n > 0 ? NULL : "there is no URL";
}

const char *wsr_url_problem(const char *url)
{
    unsigned n;
    return wsr_client_parse_urls(NULL, &n, url);
}

/* ---- all of it ---- */

struct verdict {
    int error;        /* WSR_OK: nothing is wrong */
    const char *says; /* what is */
};

static bool is_visible(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((uint8_t)*text < ' ' || *text == 0x7f)
            return false;
    }
    return true;
}

bool wsr_client_has_header(const char *headers, wsr_slice name)
{
    wsr_slice lines = wsr_slice_of(headers);
    wsr_header header;
    while (lines.len > 0 && wsr_http_line_next(&lines, &header)) {
        if (wsr_http_equal_nocase(header.name, name))
            return true;
    }
    return false;
}

static const struct verdict fine = {WSR_OK, NULL};

/* Where to, and by which way. */
static struct verdict judge_way(const wsr_connect_config *config, const struct wsr_url *urls, unsigned urls_n)
{
    struct wsr_url proxy;
    union wsr_address address;
    socklen_t len;
    if (config->address != NULL && wsr_sys_address(config->address, 1, &address, &len) < 0)
        return (struct verdict){WSR_EINVAL, "address is not a numeric IPv4 or IPv6 address"};
    if (config->source != NULL && wsr_sys_address(config->source, 0, &address, &len) < 0)
        return (struct verdict){WSR_EINVAL, "source is not a numeric IPv4 or IPv6 address"};
    if (config->fd < 0)
        return (struct verdict){WSR_ECONFIG, "fd is below 0"};
    if (!wsr_sys_options_ok(&config->socket))
        return (struct verdict){WSR_ECONFIG, "socket.dscp is over 63"};
    if (!wsr_front_suits(config->tls, WSR_CLIENT))
        return (struct verdict){WSR_ECONFIG, "tls is a server's"};
    if (config->proxy == NULL)
        return fine;
    if (config->address != NULL)
        return (struct verdict){WSR_ECONFIG, "address and proxy are both there: it is the proxy that is connected to"};
    if (wsr_url_parse(&proxy, wsr_slice_of(config->proxy), true) != NULL)
        return (struct verdict){WSR_EURL, "proxy is no URL of one: http://HOST:PORT or socks5://HOST:PORT"};
    for (unsigned i = 0; i < urls_n; i++) {
        if (wsr_url_is_unix(&urls[i])) /* no proxy has our files */
            return (struct verdict){WSR_ECONFIG, "no proxy leads to a unix socket"};
    }
    return fine;
}

/* What is asked for there. */
static struct verdict judge_request(const wsr_connect_config *config)
{
    const char *says = NULL;
    if (!wsr_upgrade_subprotocols_valid(wsr_slice_of(config->subprotocols)))
        says = "subprotocols is no list of different tokens: \"chat, v2.chat\"";
    else if (!wsr_upgrade_headers_valid(wsr_slice_of(config->headers)))
        says = "headers are no whole lines, each ended by CR LF, or one is the handshake's own (Host, Upgrade, Sec-WebSocket-Key ...)";
    else if (config->origin != NULL && !is_visible(config->origin))
        says = "origin holds a control character";
    else if (config->origin != NULL && wsr_client_has_header(config->headers, WSR_SLICE("Origin")))
        says = "origin is there, and an Origin line among headers";
    else if (!wsr_deflate_config_valid(&config->deflate))
        says = "deflate has a level over 9, or window bits other than 8 to 15";
    return (struct verdict){says != NULL ? WSR_ECONFIG : WSR_OK, says};
}

static uint64_t no_number(void *context)
{
    (void)context;
    return 0;
}

/* Whether and when it comes back. */
static struct verdict judge_reconnect(const wsr_connect_config *config, unsigned urls_n)
{
    const wsr_reconnect *reconnect = &config->reconnect;
    if (!reconnect->on && config->redirects_max == 0)
        return fine;
    if (reconnect->overrides_n > 0 && reconnect->overrides == NULL)
        return (struct verdict){WSR_ECONFIG, "reconnect.overrides is NULL, and overrides_n says how many there are"};
    wsr_policy policy;
    const wsr_policy_config asked = wsr_comeback_policy(config, urls_n, no_number, NULL);
    if (wsr_policy_init(&policy, &asked) < 0)
        return (struct verdict){WSR_ECONFIG, "reconnect: cap_ns is below base_ns, a time is over ten years, or profile or an override is none"};
    return fine;
}

static struct verdict take(wsr_connect_config *to, unsigned *urls_n, const wsr_connect_config *from)
{
    struct wsr_url urls[WSR_CLIENT_URLS_MAX];
    if (wsr_config_take(to, sizeof *to, from, offsetof(wsr_connect_config, address)) < 0)
        return (struct verdict){WSR_ECONFIG, WSR_CONFIG_SIZE_PROBLEM};
    const char *problem = to->url != NULL ? wsr_client_parse_urls(urls, urls_n, to->url) : "url is NULL: where to?";
    if (problem != NULL)
        return (struct verdict){WSR_EURL, problem};
    struct verdict verdict = judge_way(to, urls, *urls_n);
    if (verdict.error == WSR_OK)
        verdict = judge_request(to);
    return verdict.error == WSR_OK ? judge_reconnect(to, *urls_n) : verdict;
}

int wsr_client_config(wsr_connect_config *to, unsigned *urls_n, const wsr_connect_config *from)
{
    return take(to, urls_n, from).error;
}

const char *wsr_connect_problem(const wsr_connect_config *config)
{
    wsr_connect_config taken;
    unsigned urls_n;
    return take(&taken, &urls_n, config).says;
}
