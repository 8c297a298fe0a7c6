/*
 * wsring/client.h - connecting as a client (RFC 6455 section 4.1), and coming back. On top of engine.h; the same events as a
 * server's, and RECONNECTING.
 *
 *     wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
 *     config.url = "wss://example.com/feed";
 *     config.reconnect.on = true;
 *     wsr_connect(engine, &config, &conn);            then wsr_poll: OPEN, messages, RECONNECTING, OPEN ..., CLOSED
 *
 * A connection that comes back keeps its wsr_conn: RECONNECTING says what was lost and when the next attempt is due, OPEN says
 * that it is there again, and CLOSED comes once, when it is over for good. Each OPEN is a new connection: paused reading is
 * resumed, and a record counts from it on. In between it can be closed, aborted and sent to, as if it were open.
 */
#ifndef WSRING_CLIENT_H
#define WSRING_CLIENT_H

#include <wsring/engine.h>
#include <wsring/policy.h>
#include <wsring/socket.h>
#include <wsring/tls.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zero means the default in brackets: policy.h's, where it has the same field. */
typedef struct wsr_reconnect {
    bool on;                          /* [off: CLOSED at the first loss, also of the first attempt] */
    wsr_profile profile;
    uint32_t attempts_max;
    uint64_t elapsed_max_ns;
    uint64_t base_ns, cap_ns, stable_ns, retry_after_max_ns;
    const wsr_policy_override *overrides; /* copied */
    size_t overrides_n;
    /* Each attempt but the very first takes a token of it [NULL: one of the engine's for each host and port: 64 a second, 64 at once] */
    wsr_bucket *bucket;               /* must outlive the connection; its clock is CLOCK_MONOTONIC */
    uint64_t answer_timeout_ns;       /* how long a verdict of ASK or RENEW waits for wsr_reconnect_now [10 s] */
    /*
     * Messages sent while down, or before the first OPEN: refused with WSR_ESTATE, or queued up to this many bytes or 65,536
     * messages (then WSR_EFULL), each for queue_ttl_ns. They are sent in order with the OPEN; what is not sent in time is given
     * back in an UNDELIVERED event: a stale order is never sent, and no message is silently lost. What was sent before the loss
     * is not queued again: the record says what may not have arrived.
     */
    size_t queue_bytes_max;           /* [0: refused] */
    uint64_t queue_ttl_ns;            /* [1 s] */
    uint64_t age_max_ns;              /* a connection this old, or up to a twentieth less, is succeeded (wsr_succeed) [no limit] */
    uint64_t handover_ns;             /* how long the old one stays open beside its successor, before it is closed with 1000 [5 s] */
} wsr_reconnect;

/* Zero means the default in brackets. Begin with WSR_CONNECT_CONFIG_INIT. Strings are copied. */
typedef struct wsr_connect_config {
    size_t size;
    /*
     * ws://host:port/path?query, wss://, or ws+unix:///path/of/socket:/target (wss+unix likewise). A host is a name, an IPv4
     * address or an IPv6 one in brackets (without a zone); an international name in its ASCII form (xn--). "user:password@" before
     * it becomes an Authorization header (Basic), unless headers has one. Several, separated by blanks, are the endpoints that the
     * reconnect policy chooses from, at most 16 of at most 8192 bytes. Required.
     */
    const char *url;
    const char *address;      /* connect to this numeric address, whatever the URL's host resolves to; not with proxy; a redirect to another
                                 origin goes where that is [NULL: resolve it] */
    const char *subprotocols; /* offered, comma-separated [NULL: none] */
    const char *headers;      /* further header lines, each ended by CR LF [NULL: none] */
    const char *origin;       /* the Origin header [NULL: none] */
    /*
     * http://user:password@host:port (CONNECT, RFC 9110 section 9.3.6) or socks5:// (RFC 1928): it resolves the URL's host, and its is
     * the connection's peer address; not to unix sockets [NULL: none]
     */
    const char *proxy;
    wsr_tls *tls;             /* for wss, its certificate for the URLs' servers alone [NULL: one of the engine's own, which trusts the system's roots] */
    void *user;
    wsr_deflate deflate;      /* permessage-deflate, offered [off] */
    uint64_t connect_timeout_ns; /* resolving the name and connecting, all addresses together [10 s] */
    uint64_t proxy_timeout_ns;   /* the proxy's handshake [10 s] */
    uint64_t tls_timeout_ns;     /* the TLS handshake [10 s] */
    /*
     * 3xx answers followed without reconnect.on [0: refused]. With it the policy counts them. Each is told by a RECONNECTING event
     * (FOLLOW), and goes for one attempt, or connection: what is lost there comes back to the URL. Never from wss to ws. To
     * another origin (scheme, host or port) without what is for this one alone: user and password, lines of Authorization,
     * Proxy-Authorization and Cookie, and tls's certificate. All else goes along: secrets in lines of other names, in the
     * subprotocols or in the target do too.
     */
    uint32_t redirects_max;
    wsr_reconnect reconnect;
    wsr_socket_options socket;
    const char *source;       /* connect from this numeric address; addresses of the other family are passed over [NULL: the system's choice] */
    /*
     * A stream socket that somebody else has connected (through whatever there was to pass): the first attempt begins on it, with TLS
     * if the URL is wss. The engine's from a wsr_connect that returned 0 on [0: none]
     */
    int fd;
} wsr_connect_config;

#define WSR_CONNECT_CONFIG_INIT WSR_SIZED(wsr_connect_config)

/*
 * Begins to connect: resolves the name on a thread of its own, then tries up to 16 addresses by RFC 8305 (happy eyeballs), the
 * proxy, TLS and the upgrade (wsr_limits.handshake_timeout_ns), each against its deadline. OPEN, RECONNECTING or CLOSED follows; the
 * record's cause says where it ended: WSR_ERESOLVE, WSR_ECONNECT (errno of the last address), WSR_ETIMEOUT_CONNECT, WSR_EPROXY
 * (http_status: what it answered), WSR_ETLS, WSR_ETLS_CERTIFICATE, WSR_ETIMEOUT_TLS, WSR_ETIMEOUT_HANDSHAKE, WSR_EREFUSED (answer:
 * what the server said), WSR_EANSWER, WSR_ESYS (errno), WSR_ENOMEM; its detail, what the resolver, the proxy or TLS said.
 * Returns 0; WSR_EURL; WSR_ECONFIG; WSR_EINVAL (address is not numeric); WSR_ELIMIT; WSR_ESYS; WSR_ENOMEM; WSR_ERANDOM; WSR_ETLS;
 * for socket.receive_stamps also WSR_EMEMLOCK, WSR_EHUGEPAGES, as wsr_engine_open.
 * *out is written only on success.
 */
WSR_API WSR_MUST_USE int wsr_connect(wsr_engine *engine, const wsr_connect_config *config, wsr_conn *out);

/*
 * Why wsr_connect says WSR_EURL to this url; and why WSR_ECONFIG, WSR_EURL or WSR_EINVAL to this config: in one line that names the
 * field, without a full stop. NULL: it does not. Static storage; any thread.
 */
WSR_API const char *wsr_url_problem(const char *url);
WSR_API const char *wsr_connect_problem(const wsr_connect_config *config);

/*
 * What a RECONNECTING event's data points to, valid as long as its batch. RETRY and FOLLOW go on by themselves; ASK and RENEW
 * wait for wsr_reconnect_now, at most wsr_reconnect.answer_timeout_ns.
 */
typedef struct wsr_reconnecting {
    const wsr_close_record *record; /* of what was lost */
    wsr_verdict verdict;            /* never STOP: that is CLOSED */
    wsr_cause cause;
    uint32_t attempt;               /* 1 for the first of an outage */
    unsigned endpoint;              /* the URL that is tried next, by its place in the configured list */
    uint64_t delay_ns;              /* from event->time_ns, bucket included */
    const char *url;                /* of that endpoint, without user and password */
    const char *why;                /* one line for a person; static */
} wsr_reconnecting;

static inline const wsr_reconnecting *wsr_event_reconnecting(const wsr_event *event)
{
    return event->type == WSR_EVENT_RECONNECTING ? (const wsr_reconnecting *)(const void *)event->data.ptr : NULL;
}

/*
 * Says yes to an ASK (the attempt then comes when its row of the policy says), or gives what a RENEW asked for; or, while it waits
 * for its next attempt, has that made at once. headers: take the place of the configured ones (fresh credentials), from now on;
 * NULL: as they are. To say no: wsr_close or wsr_abort; and without an answer in time CLOSED tells of what was lost.
 * Returns 0, WSR_ESTALE, WSR_ESTATE (it is not waiting), WSR_ECONFIG, WSR_ENOMEM.
 */
WSR_API WSR_MUST_USE int wsr_reconnect_now(wsr_engine *engine, wsr_conn conn, const char *headers);

/*
 * Make before break: connects a successor by the same config and policy, beside the open connection. When that is there: OPEN of
 * the successor with WSR_EVENT_SUCCESSOR and this conn as its token; hand over, then wsr_close this one (the engine does, with
 * 1000, handover_ns later). From this call on it is the successor that comes back when lost; this one's end is CLOSED. It takes no
 * token of a bucket. Until its OPEN the successor is known by what is returned here, or, where it was made for age_max_ns, by the
 * user pointer alone, which is the same: a RECONNECTING or CLOSED of it can come first.
 * Returns 0, WSR_ESTALE, WSR_ESTATE (not open, or no client's, or succeeded already, or what it succeeded is not closed yet),
 * WSR_ELIMIT, WSR_ENOMEM. *successor is written only on success.
 */
WSR_API WSR_MUST_USE int wsr_succeed(wsr_engine *engine, wsr_conn conn, wsr_conn *successor);

#ifdef __cplusplus
}
#endif

#endif
