/*
 * tests/sim/chaos_life.c - connections of a world: how each begins, what the scripted peers among them play, when it is over.
 */
#include "sim/chaos.h"

#include <stdio.h>
#include <string.h>

#include "conn/engine.h"
#include "sim/kernel.h"

/* What a stranger does behind a handshake that was done, or in the place of one. */
enum { STRANGER_SILENT, STRANGER_HALF, STRANGER_GARBAGE, STRANGER_OPENS, STRANGER_OPENS_AND_HALF_CLOSES, STRANGER_SPEAKS, STRANGER_SCRIPTS };

static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/* With the key 0: a ping, a message in two fragments with a ping between them, empty fragments; then a Close. */
static const uint8_t frames[] = {0x89, 0x81, 0, 0, 0, 0, 'p', 0x01, 0x82, 0, 0, 0, 0, 'h', 'i', 0x89, 0x80, 0, 0, 0, 0, 0x00, 0x80, 0, 0,
                                 0,    0,    0x80, 0x81, 0, 0, 0, 0, '!', 0x82, 0x80, 0, 0, 0, 0, 0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8};
static const char refusals[][80] = {
    "HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\nno",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    "SSH-2.0-none\r\n",
};

static uint16_t port_of_fd(int fd)
{
    const struct sim_file *file = fd >= 0 ? sim_file_of(fd) : NULL;
    return file != NULL && file->side != NULL ? ntohs(file->side->link->sides[0].address.in4.sin_port) : 0;
}

static uint16_t port_of(const wsr_engine *engine, wsr_conn conn)
{
    const struct wsr_connection *c = wsr_table_find(engine, conn);
    return c != NULL ? port_of_fd(c->fd) : 0;
}

void chaos_life_ports(struct chaos_side *side)
{
    const struct wsr_connection *c;
    for (uint32_t i = 0; (c = wsr_table_at(side->engine, i)) != NULL; i++)
        if (c->live && side->ports[i].conn != wsr_conn_id(c)) {
            side->ports[i].conn = wsr_conn_id(c);
            side->ports[i].port = port_of_fd(c->fd); /* 0: gone */
        }
}

struct chaos_life *chaos_life_of_conn(struct chaos_side *side, wsr_conn conn)
{
    const uint32_t slot = (uint32_t)(conn >> 32);
    if (side->ports[slot].conn != conn) /* a full queue is submitted within a poll: it was accepted and opened by the same one */
        chaos_life_ports(side);
    return side->ports[slot].conn == conn && side->ports[slot].port != 0 ? chaos_life_of_port(side->ports[slot].port) : NULL;
}

/* The last ones are the likeliest. A client's port is known from its socket's connecting on. */
struct chaos_life *chaos_life_of_port(uint16_t port)
{
    for (unsigned i = chaos.lives_n; i-- > 0;) {
        struct chaos_life *life = &chaos.lives[i];
        if (life->port == 0 && life->client.conn != 0)
            life->port = port_of(chaos.client.engine, life->client.conn);
        if (life->port == port)
            return life;
    }
    return NULL;
}

/* ---- beginning ---- */

static enum chaos_plan pick_plan(void)
{
    static const enum chaos_plan plans[] = {
        CHAOS_DONE_CLIENT, CHAOS_DONE_CLIENT,  CHAOS_DONE_SERVER,  CHAOS_DONE_BOTH,    CHAOS_EARLY_CLIENT, CHAOS_EARLY_SERVER,
        CHAOS_STAY,        CHAOS_ABORT_CLIENT, CHAOS_ABORT_SERVER, CHAOS_STRANGER,     CHAOS_REFUSER};
    const unsigned n = sizeof plans / sizeof plans[0];
    return plans[sim_below(chaos.config->perfect ? n - 4 : n)];
}

/* Rings without multishot receive without stamps, and say so. */
bool chaos_can_stamp(const struct chaos_side *side)
{
    return (side->engine->config.ring_without & WSR_WITHOUT_MULTISHOT) == 0;
}

static bool connect_client(struct chaos_life *life, uint16_t port)
{
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    char url[48];
    const bool by_name = sim_chance(10);
    if (by_name)
        sim_name("host.test", sim_below(5 * CHAOS_SECOND), NULL, "127.0.0.1");
    snprintf(url, sizeof url, "%s://%s:%u/chat", chaos.config->client_tls != NULL ? "wss" : "ws", by_name ? "host.test" : "127.0.0.1", port);
    config.url = url;
    config.tls = chaos.config->client_tls;
    config.connect_timeout_ns = config.tls_timeout_ns = 3600 * CHAOS_SECOND;
    config.user = &life->client;
    config.deflate.on = chaos.deflates && sim_chance(70);
    config.socket.receive_stamps = life->client.stamps = chaos_can_stamp(&chaos.client) && sim_chance(30);
    config.deflate.send_takeover = config.deflate.receive_takeover = sim_chance(30);
    const int error = wsr_connect(chaos.client.engine, &config, &life->client.conn);
    if (error == WSR_OK)
        return true;
    const bool full = error == WSR_ELIMIT; /* slots whose last completions are still to come */
    if (!full && !(chaos.hostile && (error == WSR_ENOMEM || error == WSR_ESYS)))
        sim_violation("a connect is refused with %s", wsr_error_name(error));
    return false;
}

bool chaos_life_begin(void)
{
    if (chaos.lives_n == CHAOS_LIVES_MAX)
        return false;
    struct chaos_life *life = &chaos.lives[chaos.lives_n];
    memset(life, 0, sizeof *life);
    life->seed = sim_random();
    life->plan = pick_plan();
    life->peer = -1;
    life->client.life = life->server.life = life;
    life->server.stamps = chaos.server_stamps;
    life->client.to_send = (unsigned)sim_below(chaos.messages_max);
    life->server.to_send = (unsigned)sim_below(chaos.messages_max);
    life->script = (unsigned)sim_below(STRANGER_SCRIPTS);
    chaos.lives_n++; /* its first bytes may pass at once */
    if (life->plan == CHAOS_STRANGER) {
        life->peer = sim_peer_connect(chaos.port);
        life->port = sim_peer_port(life->peer);
        chaos_stats.strangers++;
    } else if (!connect_client(life, life->plan == CHAOS_REFUSER ? chaos.refuser_port : chaos.port)) {
        chaos.lives_n--;
        return false;
    }
    chaos_stats.refusers += life->plan == CHAOS_REFUSER;
    chaos_stats.connections++;
    return true;
}

/* ---- scripted peers ---- */

static void leave(struct chaos_life *life)
{
    if (sim_chance(50))
        sim_peer_close(life->peer);
    else
        sim_peer_reset(life->peer), chaos_stats.peer_resets++;
    life->peer = -2;
    chaos_life_over(life);
}

/* Writes what comes next of it. True: nothing more is to come. */
static bool write_on(struct chaos_life *life, const void *bytes, size_t len)
{
    if (life->at >= len)
        return true;
    size_t n = 1 + sim_below(len - life->at);
    const ptrdiff_t took = sim_peer_write(life->peer, (const uint8_t *)bytes + life->at, n);
    if (took > 0)
        life->at += (unsigned)took;
    return took < 0;
}

static void play_stranger(struct chaos_life *life)
{
    uint8_t bytes[512];
    if (sim_chance(50)) /* some never read */
        (void)sim_peer_read(life->peer, bytes, sizeof bytes);
    if (life->script == STRANGER_GARBAGE && life->at < 8) { /* on a host that moves a byte a turn more of it takes for ever */
        for (unsigned i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)sim_random();
        (void)sim_peer_write(life->peer, bytes, sim_below(chaos.size_max < sizeof bytes ? chaos.size_max : sizeof bytes));
        life->at++;
    } else if (life->script == STRANGER_HALF) {
        (void)write_on(life, request, sizeof request / 2);
    } else if (life->script > STRANGER_GARBAGE && life->at < sizeof request - 1) {
        (void)write_on(life, request, sizeof request - 1);
    } else if (life->script == STRANGER_OPENS_AND_HALF_CLOSES && sim_chance(30)) {
        sim_peer_shutdown(life->peer);
        chaos_stats.half_closes++;
        life->script = STRANGER_OPENS;
    } else if (life->script == STRANGER_SPEAKS && life->at < sizeof request - 1 + sizeof frames) {
        const size_t done = life->at - (sizeof request - 1);
        const ptrdiff_t took = sim_peer_write(life->peer, frames + done, 1 + sim_below(sizeof frames - done));
        life->at += took > 0 ? (unsigned)took : 0;
    }
    if (chaos.winding_down ? sim_chance(30) : sim_chance(2))
        leave(life);
}

static void play_refuser(struct chaos_life *life)
{
    uint8_t bytes[512];
    if (life->peer == -1) {
        const int peer = sim_peer_accept(chaos.refuser);
        if (peer >= 0) /* whichever of them it is: their scripts are alike */
            life->peer = peer;
        return;
    }
    const char *answer = refusals[life->script % 3];
    if (sim_peer_read(life->peer, bytes, sizeof bytes) > 0 || life->at > 0)
        (void)write_on(life, answer, strlen(answer));
    if (chaos.winding_down || sim_chance(life->at == strlen(answer) ? 20 : 2))
        leave(life);
}

void chaos_life_play(struct chaos_life *life)
{
    /* an end may still come to be after that: the server hears late of a stranger who has left already */
    if (life->plan == CHAOS_STRANGER && life->peer >= 0)
        play_stranger(life);
    else if (life->plan == CHAOS_REFUSER && life->peer > -2)
        play_refuser(life);
    chaos_app_acts(&life->client);
    chaos_app_acts(&life->server);
}

/* ---- ending ---- */

void chaos_life_over(struct chaos_life *life)
{
    if (life->over)
        return;
    if (life->client.conn != 0 && !life->client.closed)
        return;
    if (life->server.conn != 0 && !life->server.closed)
        return;
    if (life->peer >= 0)
        return;
    life->over = true;
    chaos.over_n++;
}
