/*
 * client/client.c - struct wsr_client: made of a configuration, and each attempt made of it (client.h).
 */
#include "client/comeback.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/config.h"
#include "conn/front.h"
#include "conn/stamp.h"
#include "proto/handshake.h"
#include "ring/sys.h"

#define SECOND_NS UINT64_C(1000000000)
#define TIMEOUT_NS (10 * SECOND_NS)

/* ---- the configuration, copied ---- */

static size_t text_bytes(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

static const char *keep_text(char **at, const char *text)
{
    if (text == NULL)
        return NULL;
    const size_t bytes = strlen(text) + 1;
    const char *kept = memcpy(*at, text, bytes);
    *at += bytes;
    return kept;
}

/* What points elsewhere is copied into one allocation; what has an alignment first. */
static int keep_texts(wsr_engine *engine, struct wsr_client *client)
{
    wsr_connect_config *config = &client->config;
    const char **const texts[] = {&config->url,    &config->address, &config->subprotocols, &config->headers,
                                  &config->origin, &config->proxy,   &config->source};
    const size_t urls_bytes = client->urls_n * sizeof client->urls[0];
    const size_t overrides_bytes = config->reconnect.overrides_n * sizeof config->reconnect.overrides[0];
    client->texts_bytes = urls_bytes + overrides_bytes;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        client->texts_bytes += text_bytes(*texts[i]);
    client->texts = wsr_pool_get_exact(&engine->env.pool, client->texts_bytes);
    if (client->texts == NULL)
        return WSR_ENOMEM;
    client->urls = (struct wsr_url *)(void *)client->texts;
    char *at = client->texts + urls_bytes;
    if (overrides_bytes > 0) {
        memcpy(at, config->reconnect.overrides, overrides_bytes);
        config->reconnect.overrides = (const wsr_policy_override *)(const void *)at;
        at += overrides_bytes;
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = keep_text(&at, *texts[i]);
    client->headers = config->headers;
    return WSR_OK;
}

static void default_ns(uint64_t *field, uint64_t value)
{
    if (*field == 0)
        *field = value;
}

/* ---- its URLs ---- */

/* The texts are kept, and were parsed before: this time into their place. */
static int take_urls(struct wsr_client *client)
{
    const wsr_connect_config *config = &client->config;
    if (wsr_client_parse_urls(client->urls, &client->urls_n, config->url) != NULL)
        return WSR_EURL;
    if (config->proxy != NULL && wsr_url_parse(&client->proxy, wsr_slice_of(config->proxy), true) != NULL)
        return WSR_EURL;
    return WSR_OK;
}

/* ---- what an attempt asks ---- */

/* The strings of a wsr_endpoint_config, each NUL-terminated, one behind the other. */
static void put_texts(struct wsr_http_out *out, const struct wsr_client *client, const struct wsr_url *url, size_t at[3])
{
    const wsr_slice nul = {(const uint8_t *)"", 1};
    at[0] = out->len;
    wsr_url_put_authority(out, url);
    wsr_http_put(out, nul);
    at[1] = out->len;
    wsr_url_put_target(out, url);
    wsr_http_put(out, nul);
    at[2] = out->len;
    if (client->config.origin != NULL) {
        wsr_http_put(out, WSR_SLICE("Origin: "));
        wsr_http_put(out, wsr_slice_of(client->config.origin));
        wsr_http_put(out, WSR_SLICE("\r\n"));
    }
    if (url->user.ptr != NULL) {
        wsr_http_put(out, WSR_SLICE("Authorization: "));
        wsr_url_put_basic(out, url);
        wsr_http_put(out, WSR_SLICE("\r\n"));
    }
    wsr_http_put(out, wsr_slice_of(client->headers));
    wsr_http_put(out, nul);
}

static int init_endpoint(wsr_engine *engine, struct wsr_connection *c, const struct wsr_url *from)
{
    const struct wsr_client *client = wsr_conn_client(c);
    struct wsr_url url = *from;
    if (wsr_client_has_header(client->headers, WSR_SLICE("Authorization"))) /* fresh ones from wsr_reconnect_now count */
        url.user = (wsr_slice){NULL, 0};
    if (client->config.origin != NULL && wsr_client_has_header(client->headers, WSR_SLICE("Origin")))
        return WSR_ECONFIG;
    size_t at[3];
    struct wsr_http_out measure = {NULL, 0, 0};
    put_texts(&measure, client, &url, at);
    struct wsr_chunk *chunk = wsr_pool_get(&engine->env.pool, measure.len);
    if (chunk == NULL)
        return WSR_ENOMEM;
    struct wsr_http_out out = {chunk->data, wsr_chunk_room(chunk), 0};
    put_texts(&out, client, &url, at);
    const char *text = (const char *)chunk->data;
    const wsr_endpoint_config config = {
        .size = sizeof config,
        .role = WSR_CLIENT,
        .host = text + at[0],
        .target = text + at[1],
        .headers = text + at[2],
        .subprotocols = client->config.subprotocols,
        .deflate = client->config.deflate,
        .user = c->ep.user,
    };
    int error = wsr_endpoint_init(&c->ep, &engine->env, &config, UINT64_MAX);
    wsr_pool_put(&engine->env.pool, chunk);
    return error;
}

/* ---- an attempt ---- */

/* Asks the proxy for the URL's host. */
static int make_proxy(wsr_engine *engine, struct wsr_connection *c, const struct wsr_url *url)
{
    const struct wsr_client *client = wsr_conn_client(c);
    const struct wsr_url *proxy = &client->proxy;
    uint8_t user[WSR_PROXY_USER_MAX], password[WSR_PROXY_USER_MAX];
    struct wsr_http_out user_out = {user, sizeof user, 0}, password_out = {password, sizeof password, 0};
    wsr_url_put_decoded(&user_out, proxy->user);
    wsr_url_put_decoded(&password_out, proxy->password);
    struct wsr_proxy_ask ask = {
        .kind = proxy->scheme == WSR_URL_HTTP ? WSR_PROXY_CONNECT : WSR_PROXY_SOCKS5,
        .host = url->host,
        .port = url->port,
        .user = {proxy->user.ptr != NULL ? user : NULL, user_out.len},
        .password = {password, password_out.len},
    };
    char host[WSR_URL_HOST_MAX + 1];
    union wsr_address address;
    socklen_t len;
    memcpy(host, url->host.ptr, url->host.len);
    host[url->host.len] = '\0';
    if (url->host_kind != WSR_URL_NAME && wsr_sys_address(host, url->port, &address, &len) == 0)
        ask.address = url->host_kind == WSR_URL_IPV4 ? (wsr_slice){(const uint8_t *)&address.in4.sin_addr, 4}
                                                     : (wsr_slice){address.in6.sin6_addr.s6_addr, 16};
    return wsr_conn_front_proxy(engine, c, &ask, client->config.proxy_timeout_ns);
}

/* What stands between the transport and the endpoint. */
static int make_front(wsr_engine *engine, struct wsr_connection *c, const struct wsr_url *url)
{
    const struct wsr_client *client = wsr_conn_client(c);
    int error = client->config.proxy != NULL ? make_proxy(engine, c, url) : WSR_OK;
    if (error < 0 || !wsr_url_is_secure(url))
        return error;
    char name[WSR_URL_HOST_MAX + 1];
    struct wsr_http_out out = {(uint8_t *)name, sizeof name - 1, 0};
    wsr_url_put_server_name(&out, url);
    name[out.len] = '\0';
    const struct wsr_tls_peer peer = {name, url->port, client->elsewhere};
    return wsr_conn_front_tls(engine, c, client->tls, &peer, client->config.tls_timeout_ns);
}

static void connected(wsr_engine *engine, struct wsr_connection *c, int fd, uint64_t now_ns, bool wait_first)
{
    c->fd = fd;
    engine->stats.connected++;
    wsr_endpoint_connected(&c->ep, now_ns);
    wsr_conn_start(engine, c, wait_first);
}

static void dial(wsr_engine *engine, struct wsr_connection *c, const struct wsr_url *url)
{
    struct wsr_client *client = wsr_conn_client(c);
    const int adopted = client->config.fd;
    client->config.fd = 0; /* the next attempt has to find its own way */
    if (adopted > 0) {
        connected(engine, c, adopted, engine->now_ns, false);
        return;
    }
    const struct wsr_url *place = client->config.proxy != NULL ? &client->proxy : url;
    char text[WSR_URL_HOST_MAX + 1] = "";
    struct wsr_http_out out = {(uint8_t *)text, sizeof text - 1, 0};
    if (wsr_url_is_unix(place))
        wsr_url_put_decoded(&out, place->socket);
    else
        wsr_http_put(&out, place->host);
    assert(out.len < sizeof text); /* the parser's limits */
    text[out.len] = '\0';
    const char *host = client->config.address != NULL && !client->elsewhere ? client->config.address : text;
    wsr_dial_begin(engine, c, host, place->port, wsr_url_is_unix(place) ? text : NULL, client->config.connect_timeout_ns);
}

int wsr_client_attempt(wsr_engine *engine, struct wsr_connection *c, unsigned endpoint)
{
    struct wsr_client *client = wsr_conn_client(c);
    assert(endpoint < client->urls_n && c->fd < 0 && c->armed == 0 && c->cancels == 0);
    client->endpoint = endpoint;
    c->state &= WSR_CONN_DIRTY | WSR_CONN_PENDING | WSR_CONN_STARVED | WSR_CONN_SHAKING | WSR_CONN_PAUSED;
    c->end_errno = 0;
    c->acked_bytes = 0;
    wsr_front_free(engine, c);
    int error = init_endpoint(engine, c, &client->urls[endpoint]);
    if (error < 0)
        return error;
    error = make_front(engine, c, &client->urls[endpoint]);
    if (error < 0) {
        wsr_front_free(engine, c);
        wsr_endpoint_fini(&c->ep);
        return error;
    }
    dial(engine, c, &client->urls[endpoint]);
    wsr_conn_after(engine, c);
    return WSR_OK;
}

void wsr_client_connected(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, int fd)
{
    connected(engine, c, fd, batch->now_ns, true);
}

void wsr_client_failed(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c)
{
    const struct wsr_dial *failed = &wsr_conn_client(c)->dial;
    if (failed->detail != NULL)
        wsr_endpoint_detail(&c->ep, failed->detail);
    wsr_endpoint_ended(&c->ep, batch, failed->error, failed->sys_errno);
    wsr_conn_after(engine, c);
}

/* ---- life ---- */

int wsr_client_open(wsr_engine *engine, const wsr_connect_config *from, struct wsr_client **out)
{
    wsr_connect_config complete;
    unsigned urls_n;
    int error = wsr_client_config(&complete, &urls_n, from);
    if (error < 0)
        return error;
    if (complete.socket.receive_stamps && (error = wsr_stamps_open(engine)) < 0)
        return error;
    if (complete.fd > 0 && (error = wsr_sys_adopt(complete.fd, false, &complete.socket)) < 0) {
        errno = -error;
        return WSR_ESYS;
    }
    struct wsr_chunk *room = wsr_pool_get(&engine->env.pool, sizeof(struct wsr_client));
    if (room == NULL)
        return WSR_ENOMEM;
    struct wsr_client *client = (struct wsr_client *)(void *)room->bytes;
    memset(client, 0, sizeof *client);
    client->room = room;
    client->config = complete;
    client->urls_n = urls_n;
    client->tls = wsr_tls_hold(complete.tls);
    default_ns(&client->config.connect_timeout_ns, TIMEOUT_NS);
    default_ns(&client->config.proxy_timeout_ns, TIMEOUT_NS);
    default_ns(&client->config.tls_timeout_ns, TIMEOUT_NS);
    wsr_dial_init(&client->dial);
    error = keep_texts(engine, client);
    if (error == WSR_OK)
        error = take_urls(client);
    if (error < 0) {
        wsr_client_free(engine, client);
        return error;
    }
    *out = client;
    return WSR_OK;
}

void wsr_client_free(wsr_engine *engine, struct wsr_client *client)
{
    struct wsr_pool *pool = &engine->env.pool;
    wsr_comeback_free(engine, client);
    wsr_dial_fini(engine, &client->dial);
    wsr_tls_release(client->tls);
    if (client->texts != NULL)
        wsr_pool_put_exact(pool, client->texts, client->texts_bytes);
    wsr_pool_put(pool, client->room);
}

int wsr_client_begin(wsr_engine *engine, struct wsr_client *client, unsigned endpoint, wsr_conn *out)
{
    struct wsr_connection *c = wsr_table_take(engine);
    if (c == NULL) {
        int error = engine->table.live_n == engine->table.slots_max ? WSR_ELIMIT : WSR_ENOMEM;
        wsr_client_free(engine, client);
        return error;
    }
    wsr_aside_put(&c->ep, WSR_ASIDE_CLIENT, client->room);
    client->c = c;
    c->stamps = client->config.socket.receive_stamps;
    c->ep.user = client->config.user;
    int error = wsr_client_attempt(engine, c, endpoint);
    if (error < 0) {
        (void)!wsr_aside_take(&c->ep, WSR_ASIDE_CLIENT);
        wsr_table_give(engine, c);
        wsr_client_free(engine, client);
        return error;
    }
    engine->stats.open++;
    *out = wsr_conn_id(c);
    return WSR_OK;
}
