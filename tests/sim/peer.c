/*
 * tests/sim/peer.c - the scripted other end of a connection: no ring and no descriptor, only bytes. A scripted listener
 * is an ordinary one without an accept.
 */
#include "sim/kernel.h"

#include <stdlib.h>

/* A side that no file owns, or a listener. */
struct peer {
    struct sim_side *side;
    struct sim_file *listener;
};

static struct peer *peers;
static int peers_n, peers_cap;

static int peer_new(struct sim_side *side, struct sim_file *listener)
{
    int handle = 0;
    while (handle < peers_n && (peers[handle].side != NULL || peers[handle].listener != NULL))
        handle++;
    if (handle == peers_n) {
        if (peers_n == peers_cap) {
            peers_cap = peers_cap == 0 ? 16 : peers_cap * 2;
            peers = realloc(peers, (size_t)peers_cap * sizeof *peers);
            if (peers == NULL)
                abort();
        }
        peers_n++;
    }
    peers[handle].side = side;
    peers[handle].listener = listener;
    return handle;
}

static struct peer *peer_of(int handle)
{
    if (handle < 0 || handle >= peers_n || (peers[handle].side == NULL && peers[handle].listener == NULL))
        sim_violation("peer %d is none", handle);
    return &peers[handle];
}

static struct sim_side *side_of(int handle)
{
    sim_run_due();
    struct sim_side *side = peer_of(handle)->side;
    if (side == NULL)
        sim_violation("peer %d is a listener", handle);
    return side;
}

void sim_peers_reset_all(void)
{
    peers_n = 0;
}

int sim_peer_connect(uint16_t port)
{
    sim_run_due();
    struct sim_file *listener = sim_listener_on(port);
    if (listener == NULL)
        return -ECONNREFUSED;
    uint64_t connected_at_ns;
    return peer_new(sim_connect(listener, &listener->local, &connected_at_ns), NULL);
}

int sim_peer_listen(uint16_t port)
{
    union wsr_address address;
    socklen_t len;
    if (wsr_sys_address("127.0.0.1", port, &address, &len) != 0)
        return -EINVAL;
    int fd = wsr_sys_listen(&address, len, 128, false);
    if (fd < 0)
        return fd;
    return peer_new(NULL, sim_file_of(fd));
}

int sim_peer_accept(int listener)
{
    sim_run_due();
    struct sim_side *side = sim_backlog_take(peer_of(listener)->listener);
    return side != NULL ? peer_new(side, NULL) : -EAGAIN;
}

ptrdiff_t sim_peer_write(int peer, const void *bytes, size_t len)
{
    struct sim_side *side = side_of(peer);
    if (side->shut || side->dead)
        return -EPIPE;
    return (ptrdiff_t)sim_write(side, bytes, len, false);
}

ptrdiff_t sim_peer_read(int peer, void *bytes, size_t cap)
{
    struct sim_side *side = side_of(peer);
    size_t n = sim_read(side, bytes, cap);
    if (n > 0 || cap == 0)
        return (ptrdiff_t)n;
    if (!sim_readable(side))
        return -EAGAIN;
    return side->fin_arrived ? 0 : -ECONNRESET;
}

void sim_peer_shutdown(int peer)
{
    sim_side_shut(side_of(peer));
}

static void leave(int handle, bool reset)
{
    struct peer *peer = peer_of(handle);
    sim_run_due();
    if (peer->listener != NULL)
        sim_file_close(peer->listener);
    else
        sim_side_close(peer->side, reset);
    peer->side = NULL;
    peer->listener = NULL;
}

void sim_peer_close(int peer)
{
    leave(peer, false);
}

void sim_peer_reset(int peer)
{
    leave(peer, true);
}

uint16_t sim_peer_port(int peer)
{
    return ntohs(peer_of(peer)->side->link->sides[0].address.in4.sin_port);
}
