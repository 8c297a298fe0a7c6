/*
 * tests/sim_same.c - scripts of lib/same.h on the simulated host.
 */
#include "lib/same.h"
#include "sim/sim.h"

static long peer_write(int peer, const void *bytes, size_t len)
{
    return (long)sim_peer_write(peer, bytes, len);
}

static long peer_read(int peer, void *bytes, size_t cap)
{
    return (long)sim_peer_read(peer, bytes, cap);
}

int main(int argc, char **argv)
{
    static const struct same_host host = {sim_reset, sim_peer_connect, peer_write, peer_read, sim_peer_shutdown, sim_peer_reset, sim_peer_close, sim_now_ns};
    return same_main(argc, argv, &host);
}
