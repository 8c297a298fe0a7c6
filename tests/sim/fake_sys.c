/*
 * tests/sim/fake_sys.c - ring/sys.h on the simulated host.
 */
#include "sim/kernel.h"

#include <stdlib.h>
#include <unistd.h>

#define MAPS_KEPT 64u

/* Mapping and touching a megabyte costs more than a short run: arenas are kept for the next one. */
static struct map {
    void *ptr;
    size_t bytes;
    bool used;
} maps[MAPS_KEPT];

uint64_t wsr_sys_now_ns(void)
{
    return sim_world.now_ns;
}

/* Time passes for who looks, too. */
void wsr_sys_relax(void)
{
    sim_sleep(1000);
}

unsigned wsr_sys_cores(void)
{
    return 2;
}

int64_t wsr_sys_unix_s(void)
{
    return (int64_t)(sim_world.now_ns / 1000000000u);
}

static struct sim_file *open_file(int fd, const char *what)
{
    struct sim_file *file = sim_file_of(fd);
    if (file == NULL)
        sim_violation("%s on descriptor %d, which is not open", what, fd);
    return file;
}

int wsr_sys_socket(int family)
{
    int error = sim_injected(SIM_SOCKET);
    struct sim_file *file = error == 0 ? sim_file_new(SIM_FILE_SOCKET) : NULL;
    if (file == NULL)
        return error != 0 ? -error : -EMFILE;
    file->local.any.sa_family = (sa_family_t)family;
    return file->fd;
}

static bool port_is_free(uint16_t port, bool reuse_port)
{
    for (const struct sim_file *file = sim_world.listeners; file != NULL; file = file->next_all)
        if (ntohs(file->local.in4.sin_port) == port && !(reuse_port && file->reuse_port))
            return false;
    return true;
}

int wsr_sys_set_options(int fd, const wsr_socket_options *options)
{
    struct sim_file *file = open_file(fd, "setsockopt");
    const int error = options->receive_stamps ? sim_injected(SIM_OPTION) : 0;
    file->stamps = options->receive_stamps && error == 0;
    return -error;
}

int wsr_sys_adopt(int fd, bool listening, const wsr_socket_options *options)
{
    const struct sim_file *file = sim_file_of(fd);
    if (file == NULL)
        return -EBADF;
    if (file->kind != (listening ? SIM_FILE_LISTENER : SIM_FILE_SOCKET))
        return -EINVAL;
    return listening || file->side != NULL ? wsr_sys_set_options(fd, options) : -ENOTCONN;
}

int wsr_sys_bind(int fd, const union wsr_address *address, socklen_t len)
{
    struct sim_file *file = open_file(fd, "bind");
    (void)len;
    if (file->local.any.sa_family != address->any.sa_family)
        return -EAFNOSUPPORT;
    file->local = *address;
    return 0;
}

int wsr_sys_listen_with(const union wsr_address *address, socklen_t len, int backlog, bool reuse_port, const wsr_socket_options *options)
{
    (void)len;
    int error = sim_injected(SIM_LISTEN);
    if (error != 0)
        return -error;
    uint16_t port = ntohs(address->in4.sin_port); /* sin6_port is at the same place */
    if (port == 0) {
        for (port = 20000; !port_is_free(port, false); port++)
            ;
    } else if (!port_is_free(port, reuse_port)) {
        return -EADDRINUSE;
    }
    struct sim_file *file = sim_file_new(SIM_FILE_LISTENER);
    if (file == NULL)
        return -EMFILE;
    file->local = *address;
    file->local.in4.sin_port = htons(port);
    file->reuse_port = reuse_port;
    file->backlog_max = backlog > 0 ? (unsigned)backlog : 1;
    error = wsr_sys_set_options(file->fd, options);
    if (error == 0)
        return file->fd;
    sim_file_close(file);
    return error;
}

int wsr_sys_local_address(int fd, union wsr_address *out)
{
    const struct sim_file *file = open_file(fd, "getsockname");
    *out = file->side != NULL ? file->side->address : file->local;
    return 0;
}

int wsr_sys_peer_address(int fd, union wsr_address *out)
{
    const struct sim_file *file = open_file(fd, "getpeername");
    if (file->side == NULL || file->side->dead)
        return -ENOTCONN;
    *out = sim_other(file->side)->address;
    return 0;
}

int wsr_sys_shutdown_write(int fd)
{
    const struct sim_file *file = open_file(fd, "shutdown");
    int error = sim_injected(SIM_SHUTDOWN);
    if (error != 0)
        return -error;
    if (file->side == NULL || file->side->dead)
        return -ENOTCONN;
    sim_side_shut(file->side);
    return 0;
}

int wsr_sys_defer_accept(int fd, uint64_t ns)
{
    (void)ns;
    (void)open_file(fd, "setsockopt");
    return 0;
}

bool wsr_sys_sending(int fd, uint64_t *acked_bytes)
{
    const struct sim_file *file = open_file(fd, "getsockopt");
    *acked_bytes = file->side != NULL && !file->side->dead ? sim_other(file->side)->arrived : 0;
    return false; /* no byte is written here but into the window */
}

bool wsr_sys_readable(int fd)
{
    const struct sim_side *side = open_file(fd, "poll")->side;
    return side != NULL && sim_readable(side);
}

void wsr_sys_tell_rest(int fd)
{
    (void)open_file(fd, "setsockopt");
}

long wsr_sys_receive(int fd, wsr_span head, wsr_span body, bool *empty)
{
    *empty = false;
    struct sim_side *side = open_file(fd, "recv")->side;
    if (side == NULL)
        return -ENOTCONN;
    if (!sim_readable(side))
        return -EAGAIN;
    int error = sim_injected(SIM_RECEIVE);
    if (error != 0)
        return -error;
    const size_t n = sim_read(side, head.ptr, head.len);
    const size_t m = n == head.len ? sim_read(side, body.ptr, body.len) : 0;
    if (n + m == 0)
        return side->fin_arrived ? 0 : -sim_take_error(side);
    *empty = side->arrived == side->read && (n + m < head.len + body.len || sim_chance(80)); /* not all sockets know */
    return (long)(n + m);
}

long wsr_sys_send(int fd, const wsr_slice *slices, unsigned n)
{
    struct sim_file *file = open_file(fd, "send");
    struct sim_side *side = file->side;
    if (file->sends > 0)
        sim_violation("a send beside one that is under way on descriptor %d", fd);
    int error = side == NULL || side->shut ? EPIPE : 0;
    if (error == 0 && side->dead) {
        error = sim_take_error(side);
        error = error != 0 ? error : EPIPE;
    }
    if (error == 0)
        error = sim_injected(SIM_SEND);
    if (error != 0)
        return -error;
    uint64_t left = 0, done = 0;
    for (unsigned i = 0; i < n; i++)
        left += slices[i].len;
    uint64_t most = sim_knobs.write_bytes_max > 0 ? 1 + sim_below(sim_knobs.write_bytes_max) : left;
    sim_stats.sends_now++;
    sim_stats.short_writes += most < left;
    for (unsigned i = 0; i < n && most > 0; i++) {
        const size_t want = slices[i].len < most ? slices[i].len : (size_t)most, took = sim_write(side, slices[i].ptr, want, false);
        done += took;
        most -= took;
        if (took < slices[i].len)
            break;
    }
    return done > 0 ? (long)done : -EAGAIN;
}

void wsr_sys_close(int fd)
{
    sim_note("close %d", fd);
    sim_file_close(open_file(fd, "close"));
}

void wsr_sys_reset(int fd)
{
    struct sim_file *file = open_file(fd, "reset");
    struct sim_side *side = file->side;
    sim_note("reset %d", fd);
    if (side != NULL && file->armed == 0) {
        file->side = NULL;
        side->file = NULL;
        sim_side_close(side, true);
    }
    sim_file_close(file);
}

bool sim_pair(int fds[2])
{
    union wsr_address any;
    socklen_t len;
    uint64_t at_ns;
    struct sim_file *listener = wsr_sys_address("127.0.0.1", 9999, &any, &len) == 0 ? sim_file_new(SIM_FILE_LISTENER) : NULL;
    struct sim_file *file = listener != NULL ? sim_file_new(SIM_FILE_SOCKET) : NULL;
    if (file == NULL) {
        if (listener != NULL)
            sim_file_close(listener);
        return false;
    }
    listener->local = any;
    listener->backlog_max = 1;
    const uint64_t latency_ns = sim_knobs.latency_ns_max;
    sim_knobs.latency_ns_max = 0; /* it is there at once */
    file->side = sim_connect(listener, &any, &at_ns);
    file->side->file = file;
    sim_knobs.latency_ns_max = latency_ns;
    struct sim_file *accepted = sim_accept(listener);
    sim_file_close(listener);
    fds[0] = file->fd;
    fds[1] = accepted != NULL ? accepted->fd : -1;
    if (accepted == NULL)
        sim_file_close(file);
    return accepted != NULL;
}

/* Notifications of what is sent without copying come by themselves here: there is nothing to be ended for them. */
void wsr_sys_disconnect(int fd)
{
    (void)open_file(fd, "disconnect");
}

int wsr_sys_eventfd(void)
{
    int error = sim_injected(SIM_EVENTFD);
    struct sim_file *file = error == 0 ? sim_file_new(SIM_FILE_EVENT) : NULL;
    if (file == NULL)
        return error != 0 ? -error : -EMFILE;
    return file->fd;
}

void wsr_sys_eventfd_signal(int fd)
{
    sim_event_signal(open_file(fd, "write"));
}

void wsr_sys_eventfd_clear(int fd)
{
    open_file(fd, "read")->count = 0;
}

bool sim_fd_readable(int fd)
{
    return open_file(fd, "poll")->count > 0;
}

int wsr_sys_reserve(void)
{
    int error = sim_injected(SIM_RESERVE);
    struct sim_file *file = error == 0 ? sim_file_new(SIM_FILE_RESERVE) : NULL;
    if (file == NULL)
        return error != 0 ? -error : -EMFILE;
    return file->fd;
}

int wsr_sys_shed(int listen_fd, int *reserve)
{
    struct sim_file *listener = open_file(listen_fd, "accept");
    if (*reserve >= 0)
        wsr_sys_close(*reserve);
    int result = -EAGAIN;
    struct sim_side *side = sim_backlog_take(listener);
    if (side != NULL) {
        sim_side_close(side, false);
        result = 0;
    }
    *reserve = wsr_sys_reserve();
    if (*reserve < 0)
        *reserve = -1;
    return result;
}

int wsr_sys_map(size_t bytes, unsigned how, void **out)
{
    if (sim_injected(SIM_MAP) != 0)
        return (how & WSR_MAP_HUGE) != 0 ? WSR_EHUGEPAGES : (how & WSR_MAP_LOCK) != 0 ? WSR_EMEMLOCK : WSR_ENOMEM;
    struct map *found = NULL;
    for (unsigned i = 0; i < MAPS_KEPT && found == NULL; i++)
        if (!maps[i].used && maps[i].bytes == bytes)
            found = &maps[i];
    for (unsigned i = 0; i < MAPS_KEPT && found == NULL; i++)
        if (!maps[i].used)
            found = &maps[i];
    if (found == NULL) {
        fprintf(stderr, "sim: more than %u mappings\n", MAPS_KEPT);
        abort();
    }
    if (found->bytes != bytes) {
        free(found->ptr);
        found->bytes = bytes;
        found->ptr = aligned_alloc(4096, (bytes + 4095u) & ~(size_t)4095);
        if (found->ptr == NULL)
            abort();
    }
    found->used = true;
    sim_world.maps_n++;
    *out = found->ptr;
    return WSR_OK;
}

void wsr_sys_unmap(void *ptr, size_t bytes, unsigned how)
{
    (void)how;
    sim_unmapped(ptr, bytes);
    for (unsigned i = 0; i < MAPS_KEPT; i++) {
        if (maps[i].ptr != ptr || !maps[i].used)
            continue;
        if (maps[i].bytes != bytes)
            sim_violation("%zu bytes unmapped of a mapping of %zu", bytes, maps[i].bytes);
        maps[i].used = false;
        sim_world.maps_n--;
        return;
    }
    sim_violation("unmapped what is not mapped");
}

void sim_maps_reset_all(void)
{
    for (unsigned i = 0; i < MAPS_KEPT; i++)
        maps[i].used = false;
    sim_world.maps_n = 0;
}

int wsr_sys_uring_disabled(void)
{
    return sim_knobs.uring_disabled;
}

bool wsr_sys_seccomp_filtered(void)
{
    return sim_knobs.seccomp_filtered;
}
