/*
 * client/dial.c - see dial.h. RFC 8305.
 *
 *     begin -> RESOLVING -> CONNECTING: an address every 250 ms, or as soon as one has failed -> the first that answers
 *
 * An attempt that lost is cancelled; its descriptor goes with its completion, whoever the connection then belongs to.
 */
#include "client/dial.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "client/client.h"
#include "ring/sys.h"

static struct wsr_dial *dial_of(struct wsr_connection *c)
{
    return &wsr_conn_client(c)->dial;
}

void wsr_dial_init(struct wsr_dial *dial)
{
    memset(dial, 0, sizeof *dial);
    dial->timer.kind = WSR_TIMER_CLIENT;
}

static bool make_room(wsr_engine *engine, struct wsr_dial *dial)
{
    dial->room = wsr_pool_get_exact(&engine->env.pool, sizeof *dial->room);
    if (dial->room == NULL)
        return false;
    memset(dial->room, 0, sizeof *dial->room);
    for (unsigned i = 0; i < WSR_DIALS_MAX; i++)
        dial->room->tries[i].fd = -1;
    return true;
}

static bool is_any_armed(const struct wsr_dial *dial)
{
    bool any = false;
    for (unsigned i = 0; dial->room != NULL && i < dial->tried_n; i++)
        any |= dial->room->tries[i].armed;
    return any;
}

/* Nothing is begun any more, and nothing under way. */
static void give_room_back(wsr_engine *engine, struct wsr_dial *dial)
{
    if (dial->room == NULL || dial->state != WSR_DIAL_IDLE || is_any_armed(dial))
        return;
    wsr_pool_put_exact(&engine->env.pool, dial->room, sizeof *dial->room);
    dial->room = NULL;
}

/* ---- order ---- */

void wsr_dial_order(union wsr_ip_address *addresses, unsigned n)
{
    /* RFC 8305 section 4: "Following the Interleaving Addresses algorithm [...] the first address family [...] alternating". */
    for (unsigned i = 1; i < n; i++) {
        const sa_family_t last = addresses[i - 1].any.sa_family;
        unsigned other = i;
        while (other < n && addresses[other].any.sa_family == last)
            other++;
        if (other == n) /* one family is used up */
            return;
        const union wsr_ip_address next = addresses[other];
        memmove(&addresses[i + 1], &addresses[i], (other - i) * sizeof addresses[0]);
        addresses[i] = next;
    }
}

/* ---- how it fails ---- */

/* What says nothing about the other end: this host has no way to a family of addresses. */
static bool is_local(int error)
{
    return error == ENETUNREACH || error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
}

/* The last errno stands, but one that only says that this host has no IPv6 does not hide what IPv4 met. */
static void note_errno(struct wsr_dial *dial, int error)
{
    if (dial->sys_errno == 0 || !is_local(error) || is_local(dial->sys_errno))
        dial->sys_errno = error;
}

static void fail(struct wsr_dial *dial, int error, const char *detail)
{
    dial->error = error;
    dial->detail = detail;
    if (error != WSR_ECONNECT && error != WSR_ESYS)
        dial->sys_errno = 0;
}

/* ---- trying ---- */

static socklen_t address_of(const struct wsr_dial *dial, unsigned i, const struct sockaddr **out)
{
    const struct wsr_dial_room *room = dial->room;
    if (room->unix_len > 0) {
        *out = (const struct sockaddr *)(const void *)&room->to.un;
        return room->unix_len;
    }
    *out = &room->to.ip[i].any;
    return room->to.ip[i].any.sa_family == AF_INET ? sizeof room->to.ip[i].in4 : sizeof room->to.ip[i].in6;
}

/* The socket as the config wants it, connecting from where it says. 0 or -errno. */
static int prepare(const wsr_connect_config *config, int fd, sa_family_t family)
{
    union wsr_address source;
    socklen_t len;
    int error = wsr_sys_set_options(fd, &config->socket);
    if (error == 0 && config->source != NULL && family != AF_UNIX) {
        error = wsr_sys_address(config->source, 0, &source, &len);
        if (error == 0)
            error = wsr_sys_bind(fd, &source, len);
    }
    return error;
}

/* 0, or an errno. */
static int try_one(wsr_engine *engine, struct wsr_connection *c, unsigned i)
{
    struct wsr_dial *dial = dial_of(c);
    const struct sockaddr *address;
    const socklen_t len = address_of(dial, i, &address);
    int fd = wsr_sys_socket(address->sa_family);
    if (fd < 0)
        return -fd;
    int error = prepare(&wsr_conn_client(c)->config, fd, address->sa_family);
    if (error < 0) {
        wsr_sys_close(fd);
        return -error;
    }
    error = wsr_ring_connect(engine->ring, fd, WSR_TAG(WSR_OP_DIAL + i, wsr_conn_id(c)), address, len);
    if (error < 0) {
        error = error == WSR_ENOMEM ? ENOMEM : errno;
        wsr_sys_close(fd);
        return error;
    }
    dial->room->tries[i] = (struct wsr_dial_try){.fd = fd, .armed = true};
    c->armed |= WSR_ARMED_DIAL;
    return 0;
}

/* Begins with the next address that can be begun with, if any is left; sets dial->error when none is, and none is under way. */
static void try_next(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_dial *dial = dial_of(c);
    int error = EAGAIN;
    while (error != 0 && dial->tried_n < dial->addresses_n) {
        error = try_one(engine, c, dial->tried_n++);
        if (error != 0) {
            note_errno(dial, error);
            dial->failed_n++;
        }
    }
    dial->next_ns = dial->tried_n < dial->addresses_n ? wsr_ns_add(engine->now_ns, WSR_DIAL_DELAY_NS) : UINT64_MAX;
    if (dial->failed_n == dial->addresses_n)
        fail(dial, WSR_ECONNECT, NULL);
}

/* An end that is found where no batch is at hand is told by the timer. */
static void set_timer(wsr_engine *engine, struct wsr_dial *dial)
{
    uint64_t at_ns = dial->next_ns < dial->deadline_ns ? dial->next_ns : dial->deadline_ns;
    wsr_wheel_set(&engine->wheel, &dial->timer, dial->error != 0 ? engine->now_ns : at_ns);
}

static void connect_all(wsr_engine *engine, struct wsr_connection *c)
{
    dial_of(c)->state = WSR_DIAL_CONNECTING;
    try_next(engine, c);
}

/* ---- beginning ---- */

static void begin_unix(wsr_engine *engine, struct wsr_connection *c, const char *path)
{
    struct wsr_dial_room *room = dial_of(c)->room;
    const size_t len = strlen(path);
    assert(len < sizeof room->to.un.sun_path);
    room->to.un.sun_family = AF_UNIX;
    memcpy(room->to.un.sun_path, path, len);
    room->unix_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    dial_of(c)->addresses_n = 1;
    connect_all(engine, c);
}

static int open_resolver(wsr_engine *engine)
{
    int error = engine->resolver == NULL ? wsr_resolver_open(&engine->resolver) : WSR_OK;
    if (error == WSR_OK)
        engine->resolver_fd = wsr_resolver_fd(engine->resolver);
    return error;
}

static void begin_resolving(wsr_engine *engine, struct wsr_connection *c, const char *host, uint16_t port)
{
    struct wsr_dial *dial = dial_of(c);
    dial->state = WSR_DIAL_RESOLVING;
    int error = open_resolver(engine);
    if (error == WSR_OK)
        error = wsr_resolver_ask(engine->resolver, host, port, wsr_conn_id(c));
    if (error == WSR_OK)
        return;
    dial->sys_errno = error == WSR_ESYS ? errno : 0;
    dial->state = WSR_DIAL_CONNECTING; /* there is nothing to forget */
    fail(dial, error == WSR_ELIMIT ? WSR_ERESOLVE : error, error == WSR_ELIMIT ? "too many names wait to be resolved" : NULL);
}

void wsr_dial_begin(wsr_engine *engine, struct wsr_connection *c, const char *host, uint16_t port, const char *path, uint64_t timeout_ns)
{
    struct wsr_dial *dial = dial_of(c);
    assert(dial->state == WSR_DIAL_IDLE && dial->room == NULL);
    wsr_dial_init(dial);
    dial->deadline_ns = wsr_ns_add(engine->now_ns, timeout_ns);
    dial->next_ns = UINT64_MAX;
    union wsr_address numeric;
    socklen_t len;
    if (!make_room(engine, dial)) {
        dial->state = WSR_DIAL_CONNECTING;
        fail(dial, WSR_ENOMEM, NULL);
    } else if (path != NULL) {
        begin_unix(engine, c, path);
    } else if (wsr_sys_address(host, port, &numeric, &len) == 0) {
        memcpy(&dial->room->to.ip[0], &numeric, len);
        dial->addresses_n = 1;
        connect_all(engine, c);
    } else {
        begin_resolving(engine, c, host, port);
    }
    set_timer(engine, dial);
}

/* ---- ending ---- */

void wsr_dial_stop(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_dial *dial = dial_of(c);
    if (dial->state == WSR_DIAL_RESOLVING)
        wsr_resolver_forget(engine->resolver, wsr_conn_id(c));
    dial->state = WSR_DIAL_IDLE;
    wsr_wheel_unset(&engine->wheel, &dial->timer);
    give_room_back(engine, dial);
}

bool wsr_dial_cancel(wsr_engine *engine, struct wsr_connection *c)
{
    struct wsr_dial *dial = dial_of(c);
    const wsr_conn id = wsr_conn_id(c);
    for (unsigned i = 0; dial->room != NULL && i < dial->tried_n; i++) {
        struct wsr_dial_try *try = &dial->room->tries[i];
        if (!try->armed || try->cancelled)
            continue;
        if (wsr_ring_cancel(engine->ring, WSR_TAG(WSR_OP_DIAL + i, id), WSR_TAG(WSR_OP_CANCEL, id)) < 0)
            return false;
        try->cancelled = true;
        c->cancels++;
    }
    return true;
}

void wsr_dial_fini(wsr_engine *engine, struct wsr_dial *dial)
{
    for (unsigned i = 0; dial->room != NULL && i < dial->tried_n; i++) {
        struct wsr_dial_try *try = &dial->room->tries[i];
        if (try->fd >= 0)
            wsr_sys_close(try->fd);
        *try = (struct wsr_dial_try){.fd = -1};
    }
    dial->state = WSR_DIAL_IDLE;
    give_room_back(engine, dial);
}

static void give_up(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c)
{
    wsr_dial_stop(engine, c);
    wsr_client_failed(engine, batch, c);
}

/* Those who lost are called back. A cancel that the ring refuses now is not missed: what they come to is closed all the same. */
static void win(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, unsigned which)
{
    struct wsr_dial *dial = dial_of(c);
    const int fd = dial->room->tries[which].fd;
    dial->room->tries[which].fd = -1;
    wsr_dial_stop(engine, c);
    (void)wsr_dial_cancel(engine, c);
    wsr_client_connected(engine, batch, c, fd);
}

/* ---- news ---- */

static void close_try(struct wsr_connection *c, unsigned which)
{
    struct wsr_dial_try *try = &dial_of(c)->room->tries[which];
    wsr_sys_close(try->fd);
    try->fd = -1;
}

void wsr_dial_completed(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, unsigned which,
                        const struct wsr_completion *completion)
{
    struct wsr_dial *dial = dial_of(c);
    dial->room->tries[which].armed = false;
    if (!is_any_armed(dial))
        wsr_conn_disarmed(c, WSR_ARMED_DIAL);
    if (dial->state != WSR_DIAL_CONNECTING) { /* another was faster, or nobody wants it any more */
        close_try(c, which);
        give_room_back(engine, dial);
        wsr_conn_retire(engine, c);
        return;
    }
    if (completion->res == 0) {
        win(engine, batch, c, which);
        return;
    }
    close_try(c, which);
    note_errno(dial, -completion->res);
    dial->failed_n++;
    try_next(engine, c); /* RFC 8305 section 5: at once, without waiting for the delay */
    if (dial->error != 0)
        give_up(engine, batch, c);
    else
        set_timer(engine, dial);
}

static void take_answer(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c, struct wsr_resolved *answer)
{
    struct wsr_dial *dial = dial_of(c);
    dial->state = WSR_DIAL_CONNECTING; /* the question is answered: there is nothing to forget */
    if (answer->error < 0) {
        fail(dial, answer->error, answer->text);
    } else {
        wsr_dial_order(answer->addresses, answer->n);
        memcpy(dial->room->to.ip, answer->addresses, answer->n * sizeof answer->addresses[0]);
        dial->addresses_n = answer->n;
        connect_all(engine, c);
    }
    if (dial->error != 0)
        give_up(engine, batch, c);
    else
        set_timer(engine, dial);
}

void wsr_dial_resolved(wsr_engine *engine, struct wsr_batch *batch)
{
    struct wsr_resolved answer;
    wsr_sys_eventfd_clear(engine->resolver_fd); /* before looking: what comes later signals again */
    while (wsr_resolver_next(engine->resolver, &answer)) {
        struct wsr_connection *c = wsr_table_find(engine, answer.tag);
        assert(c != NULL && dial_of(c)->state == WSR_DIAL_RESOLVING); /* it would have been forgotten */
        take_answer(engine, batch, c, &answer);
    }
}

void wsr_dial_timed(wsr_engine *engine, struct wsr_batch *batch, struct wsr_connection *c)
{
    struct wsr_dial *dial = dial_of(c);
    if (dial->error == 0 && batch->now_ns >= dial->deadline_ns)
        fail(dial, WSR_ETIMEOUT_CONNECT, dial->state == WSR_DIAL_RESOLVING ? "the name was not resolved in time" : NULL);
    if (dial->error == 0 && batch->now_ns >= dial->next_ns)
        try_next(engine, c);
    if (dial->error != 0)
        give_up(engine, batch, c);
    else
        set_timer(engine, dial);
}
