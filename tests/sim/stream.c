/*
 * tests/sim/stream.c - descriptors, and TCP as its ends see it: bytes in order, a bounded room for them, FIN behind the
 * bytes, RST where a side is closed with bytes unread or written to after it has gone.
 *
 * Not modelled: loss (TCP hides it), urgent data, simultaneous open, keep-alive.
 */
#include "sim/kernel.h"

#include <stdlib.h>

/* A full backlog: the last ACK is dropped, and tried again after twice as long each time, so many times. */
#define HANDSHAKE_AGAIN_NS UINT64_C(200000000)
#define HANDSHAKE_DOUBLINGS 6u
#define HELD_NS 200000000u            /* how long MSG_MORE holds back what nothing follows */

static struct sim_file *free_files;
static struct sim_link *free_links;
static struct sim_file **every_file; /* for sim_reset */
static struct sim_link **every_link;
static size_t files_n, files_cap, links_n, links_cap;

static void *bigger(void *array, size_t *cap, size_t size)
{
    *cap = *cap == 0 ? 64 : *cap * 2;
    array = realloc(array, *cap * size);
    if (array == NULL)
        abort();
    return array;
}

/* ---- descriptors ---- */

static struct sim_file *file_memory(void)
{
    struct sim_file *file = free_files;
    if (file != NULL) {
        free_files = file->next;
    } else {
        file = malloc(sizeof *file);
        if (files_n == files_cap)
            every_file = bigger(every_file, &files_cap, sizeof(struct sim_file *));
        if (file == NULL)
            abort();
        every_file[files_n++] = file;
    }
    memset(file, 0, sizeof *file);
    return file;
}

/* The lowest free number, as POSIX has it: reuse comes quickly. */
static int take_number(struct sim_file *file)
{
    int limit = sim_knobs.fds_max != 0 && sim_knobs.fds_max < SIM_FDS ? (int)sim_knobs.fds_max : SIM_FDS;
    if (sim_world.fds_n >= limit)
        return -1;
    int i = sim_world.fd_lowest;
    while (sim_world.fds[i] != NULL)
        i++;
    sim_world.fds[i] = file;
    sim_world.fd_lowest = i + 1;
    sim_world.fds_n++;
    if (i + 1 > sim_world.fd_highest)
        sim_world.fd_highest = i + 1;
    return i + SIM_FD_BASE;
}

struct sim_file *sim_file_new(enum sim_kind kind)
{
    struct sim_file *file = file_memory();
    file->kind = kind;
    file->fd = take_number(file);
    if (file->fd < 0) {
        file->next = free_files;
        free_files = file;
        return NULL;
    }
    if (kind == SIM_FILE_LISTENER) {
        file->next_all = sim_world.listeners;
        if (file->next_all != NULL)
            file->next_all->prev_all = file;
        sim_world.listeners = file;
    }
    return file;
}

struct sim_file *sim_file_of(int fd)
{
    int i = fd - SIM_FD_BASE;
    return i >= 0 && i < SIM_FDS ? sim_world.fds[i] : NULL;
}

static void listener_gone(struct sim_file *file)
{
    if (file->prev_all != NULL)
        file->prev_all->next_all = file->next_all;
    else
        sim_world.listeners = file->next_all;
    if (file->next_all != NULL)
        file->next_all->prev_all = file->prev_all;
    struct sim_side *side;
    while ((side = sim_backlog_take(file)) != NULL)
        sim_side_close(side, true);
}

static void destroy(struct sim_file *file)
{
    if (file->kind == SIM_FILE_LISTENER)
        listener_gone(file);
    if (file->side != NULL) {
        file->side->file = NULL;
        sim_side_close(file->side, false);
    }
    file->kind = 0;
    file->next = free_files;
    free_files = file;
}

void sim_file_close(struct sim_file *file)
{
    int i = file->fd - SIM_FD_BASE;
    if (file->armed > 0) {
        sim_stats.closed_armed++;
        if (!sim_knobs.close_armed_allowed)
            sim_violation("descriptor %d closed with %u operations armed on it", file->fd, file->armed);
    }
    sim_world.fds[i] = NULL;
    sim_world.fds_n--;
    if (i < sim_world.fd_lowest)
        sim_world.fd_lowest = i;
    file->fd = -1;
    if (file->armed == 0)
        destroy(file);
}

/* An operation keeps what it works on alive: a socket closed under it is not closed. */
void sim_file_unarm(struct sim_file *file)
{
    file->armed--;
    if (file->armed == 0 && file->fd < 0)
        destroy(file);
}

struct sim_file *sim_listener_on(uint16_t port)
{
    struct sim_file *found = NULL;
    unsigned n = 0;
    for (struct sim_file *file = sim_world.listeners; file != NULL; file = file->next_all)
        if (ntohs(file->local.in4.sin_port) == port && sim_below(++n) == 0) /* of several (SO_REUSEPORT) any */
            found = file;
    return found;
}

void sim_stream_reset_all(void)
{
    free_files = NULL;
    for (size_t i = 0; i < files_n; i++) {
        every_file[i]->next = free_files;
        free_files = every_file[i];
    }
    free_links = NULL;
    for (size_t i = 0; i < links_n; i++) {
        every_link[i]->next = free_links;
        free_links = every_link[i];
    }
    memset(sim_world.fds, 0, (size_t)sim_world.fd_highest * sizeof(struct sim_file *));
    sim_world.fds_n = sim_world.fd_lowest = sim_world.fd_highest = 0;
    sim_world.listeners = NULL;
}

/* ---- connections ---- */

static uint32_t room_of_new(void)
{
    return sim_knobs.socket_bytes != 0 ? sim_knobs.socket_bytes : 65536;
}

static struct sim_link *link_new(void)
{
    struct sim_link *link = free_links;
    uint32_t cap = room_of_new();
    if (link != NULL) {
        free_links = link->next;
    } else {
        link = calloc(1, sizeof *link);
        if (links_n == links_cap)
            every_link = bigger(every_link, &links_cap, sizeof(struct sim_link *));
        if (link == NULL)
            abort();
        every_link[links_n++] = link;
    }
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *bytes = link->sides[i].bytes;
        if (link->cap != cap) {
            free(bytes);
            bytes = NULL; /* made anew with the first byte */
        }
        memset(&link->sides[i], 0, sizeof link->sides[i]);
        link->sides[i].bytes = bytes;
        link->sides[i].link = link;
    }
    link->cap = cap;
    link->refs = 2;
    return link;
}

static void link_unref(struct sim_link *link)
{
    if (--link->refs > 0)
        return;
    link->next = free_links;
    free_links = link;
}

struct sim_side *sim_other(struct sim_side *side)
{
    return &side->link->sides[side == &side->link->sides[0]];
}

/* Something for `side` that is under way as long as the knobs say, never overtaking what was sent before. */
static void send_event(enum sim_event_type type, struct sim_side *side, uint64_t argument)
{
    uint64_t at_ns = sim_world.now_ns + sim_up_to(sim_knobs.latency_ns_max);
    if (at_ns < side->last_at)
        at_ns = side->last_at;
    side->last_at = at_ns;
    side->link->refs++;
    if (at_ns <= sim_world.now_ns)
        sim_side_event(type, side, argument);
    else
        sim_event(type, at_ns, side, argument);
}

static uint16_t port_new(void)
{
    if (sim_world.port_next < 40000)
        sim_world.port_next = 40000;
    return sim_world.port_next++;
}

struct sim_side *sim_connect(struct sim_file *listener, const union wsr_address *to, uint64_t *connected_at_ns)
{
    struct sim_link *link = link_new();
    struct sim_side *client = &link->sides[0], *server = &link->sides[1];
    sim_stats.connections++;
    server->address = *to;
    client->address = *to; /* from the same host, and a port of its own: sin6_port is where sin_port is */
    client->address.in4.sin_port = htons(port_new());
    *connected_at_ns = sim_world.now_ns + sim_up_to(sim_knobs.latency_ns_max) + sim_up_to(sim_knobs.latency_ns_max);
    uint64_t at_ns = *connected_at_ns + sim_up_to(sim_knobs.latency_ns_max);
    server->last_at = *connected_at_ns; /* nothing that the client sends is there before it is connected */
    link->refs++;
    if (at_ns <= sim_world.now_ns)
        sim_side_event(SIM_EVENT_BACKLOG, server, ntohs(listener->local.in4.sin_port));
    else
        sim_event(SIM_EVENT_BACKLOG, at_ns, server, ntohs(listener->local.in4.sin_port));
    return client;
}

/* tried: the port, and above it how often it was tried before. */
static void backlog_arrived(struct sim_side *side, uint64_t tried)
{
    struct sim_file *listener = sim_listener_on((uint16_t)tried);
    if (side->dead || listener == NULL) { /* the client has given up meanwhile, or nobody listens any more */
        sim_side_close(side, true);
        return;
    }
    if (listener->backlog_n >= listener->backlog_max) {
        sim_stats.backlogs_full++;
        side->link->refs++;
        const uint64_t times = tried >> 16;
        const uint64_t doublings = times < HANDSHAKE_DOUBLINGS ? times : HANDSHAKE_DOUBLINGS;
        sim_event(SIM_EVENT_BACKLOG, sim_world.now_ns + (HANDSHAKE_AGAIN_NS << doublings), side, tried + (1u << 16));
        return;
    }
    side->next = NULL;
    if (listener->backlog_last != NULL)
        listener->backlog_last->next = side;
    else
        listener->backlog_first = side;
    listener->backlog_last = side;
    listener->backlog_n++;
    sim_file_wake(listener);
}

struct sim_side *sim_backlog_take(struct sim_file *listener)
{
    struct sim_side *side = listener->backlog_first;
    if (side == NULL)
        return NULL;
    listener->backlog_first = side->next;
    if (side->next == NULL)
        listener->backlog_last = NULL;
    listener->backlog_n--;
    return side;
}

/* ---- bytes ---- */

bool sim_readable(const struct sim_side *side)
{
    return side->arrived > side->read || side->fin_arrived || side->dead;
}

bool sim_writable(struct sim_side *side)
{
    struct sim_side *other = sim_other(side);
    return side->dead || side->shut || other->gone || other->written - other->read < side->link->cap;
}

static void put(struct sim_side *to, const uint8_t *bytes, size_t len)
{
    if (to->bytes == NULL && (to->bytes = malloc(to->link->cap)) == NULL)
        abort();
    size_t at = (size_t)(to->written % to->link->cap), first = to->link->cap - at;
    first = first < len ? first : len;
    memcpy(to->bytes + at, bytes, first);
    memcpy(to->bytes, bytes + first, len - first);
    to->written += len;
}

static void tell(const struct sim_side *side, const uint8_t *bytes, size_t len)
{
    const struct sim_side *connector = &side->link->sides[0];
    if (sim_on_bytes != NULL)
        sim_on_bytes(ntohs(connector->address.in4.sin_port), side == connector, bytes, len);
}

/* What was written is on its way, or waits for more of it. A whole segment would not wait; here everything does. */
static void push(struct sim_side *side, bool more)
{
    struct sim_side *to = sim_other(side);
    side->holds = more;
    if (!more) {
        send_event(SIM_EVENT_ARRIVE, to, to->written);
        return;
    }
    to->link->refs++;
    sim_event(SIM_EVENT_ARRIVE, sim_world.now_ns + HELD_NS, to, to->written);
}

size_t sim_write(struct sim_side *side, const uint8_t *bytes, size_t len, bool more)
{
    struct sim_side *to = sim_other(side);
    if (to->gone) { /* taken by our own stack; the answer is a reset */
        tell(side, bytes, len);
        sim_stats.bytes_sent += len;
        send_event(SIM_EVENT_RESET, side, 0);
        return len;
    }
    size_t room = (size_t)(to->link->cap - (to->written - to->read));
    if (len > room) {
        len = room;
        more = false;
    }
    if (len == 0)
        return 0;
    tell(side, bytes, len);
    sim_stats.bytes_sent += len;
    put(to, bytes, len);
    push(side, more);
    return len;
}

size_t sim_read(struct sim_side *side, uint8_t *bytes, size_t len)
{
    uint64_t there = side->arrived - side->read;
    if (len > there)
        len = (size_t)there;
    if (len == 0)
        return 0;
    size_t at = (size_t)(side->read % side->link->cap), first = side->link->cap - at;
    first = first < len ? first : len;
    memcpy(bytes, side->bytes + at, first);
    memcpy(bytes + first, side->bytes, len - first);
    bool was_full = side->written - side->read == side->link->cap;
    side->read += len;
    sim_stats.bytes_received += len;
    struct sim_side *writer = sim_other(side);
    if (was_full && !writer->gone) { /* the window opens */
        writer->link->refs++;
        uint64_t at_ns = sim_world.now_ns + sim_up_to(sim_knobs.latency_ns_max);
        if (at_ns <= sim_world.now_ns)
            sim_side_event(SIM_EVENT_ROOM, writer, 0);
        else
            sim_event(SIM_EVENT_ROOM, at_ns, writer, 0);
    }
    return len;
}

int sim_take_error(struct sim_side *side)
{
    int error = side->reset;
    side->reset = 0;
    return error;
}

void sim_side_shut(struct sim_side *side)
{
    if (side->shut || side->dead)
        return;
    side->shut = true;
    struct sim_side *to = sim_other(side);
    if (side->holds)
        push(side, false);
    to->fin_sent = true;
    if (!to->gone)
        send_event(SIM_EVENT_FIN, to, 0);
    if (side->file != NULL)
        sim_file_wake(side->file);
}

void sim_side_close(struct sim_side *side, bool reset)
{
    struct sim_side *to = sim_other(side);
    side->gone = true;
    if (!to->gone && !side->dead) {
        /* RFC 1122 4.2.2.13: closing with bytes unread, or to bytes that come later, is answered by a reset. */
        if (side->arrived > side->read)
            reset = true;
        if (reset) {
            if (sim_chance(50)) /* what has not left yet never will */
                to->written = to->arrived + sim_up_to(to->written - to->arrived);
            send_event(SIM_EVENT_RESET, to, 0);
        } else {
            sim_side_shut(side);
            if (side->written > side->arrived) /* on the way to nobody */
                send_event(SIM_EVENT_RESET, to, 0);
        }
    }
    link_unref(side->link);
}

static void reset_arrived(struct sim_side *side)
{
    if (side->dead || side->gone)
        return;
    sim_stats.resets++;
    side->dead = true;
    side->reset = side->fin_arrived ? EPIPE : ECONNRESET; /* Linux: a reset in CLOSE_WAIT is EPIPE */
}

void sim_side_event(enum sim_event_type type, struct sim_side *side, uint64_t argument)
{
    switch (type) {
    case SIM_EVENT_ARRIVE:
        if (argument > side->written)
            argument = side->written; /* cut off by the sender's reset */
        if (argument > side->arrived && !side->dead) {
            side->arrived = argument;
            side->arrived_at_ns = sim_world.now_ns;
        }
        break;
    case SIM_EVENT_FIN:
        side->fin_arrived = !side->dead;
        break;
    case SIM_EVENT_RESET:
        reset_arrived(side);
        break;
    case SIM_EVENT_BACKLOG:
        backlog_arrived(side, argument);
        break;
    default: /* SIM_EVENT_ROOM: only to wake who waits for it */
        break;
    }
    if (side->file != NULL)
        sim_file_wake(side->file);
    link_unref(side->link);
}

struct sim_file *sim_accept(struct sim_file *listener)
{
    struct sim_file *file = sim_file_new(SIM_FILE_SOCKET);
    if (file == NULL)
        return NULL;
    file->side = sim_backlog_take(listener);
    file->side->file = file;
    file->stamps = listener->stamps;
    return file;
}
