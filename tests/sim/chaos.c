/*
 * tests/sim/chaos.c - one world: engines opened as the seed will have it, turns taken until there were enough of them, then all
 * connections ended, and the ledger closed.
 */
#include "sim/chaos.h"

#include <errno.h>
#include <string.h>

#include "conn/engine.h"
#include "sim/kernel.h"

#define STEPS_DEFAULT 500u
#define STEPS_TO_END_MAX 200000u /* a world that has not ended by then never will: a byte a step is the slowest host */
#define LIVES_LEAST 4u

struct chaos_world chaos;
struct chaos_stats chaos_stats;

void chaos_tell(FILE *to)
{
    static const char *const plans[CHAOS_PLANS] = {"done: client", "done: server", "done: both", "early: client",
                                                  "early: server", "abort: client", "abort: server", "stay", "stranger", "refuser"};
    for (unsigned i = 0; i < chaos.lives_n; i++) {
        const struct chaos_life *life = &chaos.lives[i];
        fprintf(to, "connection %u, port %u, %s%s%s, peer %d\n", i, life->port, plans[life->plan], life->disturbed ? ", disturbed" : "",
                life->over ? ", over" : "", life->peer);
        for (const struct chaos_end *end = &life->client; end <= &life->server; end++)
            fprintf(to, "    %s %llx: %s%s%s%s%s, sent %u of %u, got %u; closed with %u, %u, %u, %s\n", end == &life->client ? "client" : "server",
                    (unsigned long long)end->conn, end->open ? "open" : "new", end->closing ? ", closing" : "", end->closed ? ", closed" : "",
                    end->full ? ", full" : "", end->paused ? ", paused" : "", end->sent, end->to_send, end->got, end->record.code,
                    end->record.code_sent, end->record.code_received, wsr_error_name(end->record.cause));
    }
}

/* ---- beginning ---- */

static void pick_engine(wsr_config *config)
{
    config->ring_without = (uint32_t)sim_below(8);
    config->buffers = 4;
    config->buffer_bytes = 4096u << sim_below(5);
    config->sq_entries = 8u << sim_below(4);
    config->cq_entries = 16u << sim_below(6);
    config->zero_copy_bytes = sim_chance(25) ? 1 + (uint32_t)sim_below(2000) : 0;
    config->batch_bytes_max = chaos.pace_ns > CHAOS_MS ? 0 : 1 + sim_below(100000);
    config->memory_bytes_max = chaos.memory_max;
    config->spin_ns = 1 + sim_below(4000); /* each microsecond is a look at the ring */
    config->allocator = &chaos_allocator;
    config->connections_max = CHAOS_SLOTS_MAX - (uint32_t)(sim_chance(30) ? sim_below(CHAOS_SLOTS_MAX - LIVES_LEAST) : 0);
    config->limits.outbox_bytes_max = sim_chance(50) ? chaos.size_max * 2 + sim_below(20000) : 1u << 20;
    config->limits.whole_bytes_max = sim_chance(25) ? 1 + sim_below(2000) : 0;
    /* a host that moves a byte now and then needs long for a handshake, however willing its ends are */
    config->limits.handshake_timeout_ns = config->limits.close_timeout_ns = 3600 * CHAOS_SECOND;
    if (chaos.hostile) /* where a shutdown fails nobody sees an end of the stream, and a deadline is what ends it */
        config->limits.handshake_timeout_ns = config->limits.close_timeout_ns = 20 * CHAOS_SECOND;
    config->limits.idle_timeout_ns = CHAOS_IDLE_NS;
}

static void open_side(struct chaos_side *side, bool is_client)
{
    wsr_config config = WSR_CONFIG_INIT;
    pick_engine(&config);
    if (is_client && chaos.sleeper) { /* somebody has to be patient with a server that sleeps */
        config.limits.idle_timeout_ns = 1000 * 3600 * CHAOS_SECOND;
        config.limits.ping_interval_ns = UINT64_MAX;
    }
    const int error = wsr_engine_open(&side->engine, &config);
    if (error != WSR_OK)
        sim_violation("an engine cannot be opened: %s", wsr_error_name(error));
    side->is_client = is_client;
    side->fd = -1;
    if (!sim_chance(10))
        return;
    side->fd = wsr_engine_fd(side->engine);
    if (side->fd < 0)
        sim_violation("an engine has no descriptor");
    chaos_stats.guest_worlds++;
}

/* On a host that moves few bytes at a time large messages, or many, take thousands of steps. */
static void pick_messages(void)
{
    uint32_t piece = 65536;
    const uint32_t knobs[] = {sim_knobs.read_bytes_max, sim_knobs.write_bytes_max, sim_knobs.socket_bytes};
    for (unsigned i = 0; i < 3; i++)
        if (knobs[i] != 0 && knobs[i] < piece)
            piece = knobs[i];
    chaos.size_max = piece < 100 ? 60 + 10 * (size_t)piece : piece >= 500 && sim_chance(5) ? 70000 : 6000;
    chaos.messages_max = piece < 100 ? 5 : 12;
}

static void begin(const struct chaos_config *config)
{
    memset(&chaos, 0, offsetof(struct chaos_world, lives)); /* those are cleared when they begin */
    chaos.lives_n = chaos.over_n = chaos.unseen = 0;
    chaos.config = config;
    chaos.memory_max = 16u << 20;
    chaos.hostile = !config->perfect && sim_chance(35);
    chaos.sleeper = sim_chance(20);
    chaos.naps = chaos.sleeper ? 3 : 0; /* together less than a handshake may take */
    chaos.deflates = sim_chance(10);
    chaos.at_once = LIVES_LEAST + (unsigned)sim_below(CHAOS_AT_ONCE_MAX - LIVES_LEAST + 1);
    chaos.cap = sim_chance(30) ? 1 + (unsigned)sim_below(4) : CHAOS_BATCH_MAX;
    chaos.flush_percent = sim_chance(40) ? (unsigned)sim_below(101) : 0;
    pick_messages();
    /* minutes pass in some worlds, for pings and those who do not answer them; not where a handshake takes a thousand turns */
    chaos.pace_ns = chaos.size_max == 6000 && sim_knobs.read_bytes_max == 0 && sim_chance(30) ? CHAOS_SECOND / 2 : CHAOS_MS;
    if (chaos.pace_ns > CHAOS_MS) /* who takes one event in a second is a while behind with its pongs */
        chaos.cap = CHAOS_BATCH_MAX;
    sim_knobs.no_incremental = !config->perfect && sim_chance(10);
    sim_knobs.no_defer_taskrun = !config->perfect && sim_chance(10);
    chaos_fault_begin();
    open_side(&chaos.server, false);
    open_side(&chaos.client, true);
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    listen.deflate.on = chaos.deflates;
    listen.backlog = sim_chance(20) ? 1 : 0; /* who finds no room tries again */
    listen.tls = config->server_tls;
    listen.socket.receive_stamps = chaos.server_stamps = chaos_can_stamp(&chaos.server) && sim_chance(30);
    wsr_listener listener;
    if (wsr_listen(chaos.server.engine, &listen, &listener) != WSR_OK)
        sim_violation("the server cannot listen");
    chaos.port = wsr_listen_port(chaos.server.engine, listener);
    chaos.refuser_port = 9;
    chaos.refuser = sim_peer_listen(chaos.refuser_port);
    chaos_fault_start();
    chaos_stats.hostile_worlds += chaos.hostile;
    chaos_stats.sleeper_worlds += chaos.sleeper;
    chaos_stats.deflate_worlds += chaos.deflates;
}

/* ---- turns ---- */

static void maybe_sleep(void)
{
    if (chaos.naps == 0 || chaos.winding_down || sim_now_ns() < chaos.server.asleep_until_ns || !sim_chance(1))
        return;
    chaos.naps--;
    chaos.server.asleep_until_ns = sim_now_ns() + sim_below(10 * CHAOS_IDLE_NS + 1);
    sim_note("the server's application is away");
    chaos_stats.sleeps++;
}

/*
 * While there is work, turns take a little time. Where there is none, what happens next happens, if that is not far away: only
 * the engines' own timers may be what comes next, and nobody here knows when that is; or an application that has paused.
 * Who sleeps wakes up in time.
 */
static void let_time_pass(bool worked, uint64_t *idle_ns)
{
    const uint64_t now_ns = sim_now_ns(), awake_ns = chaos.server.asleep_until_ns;
    uint64_t next_ns, until_ns = now_ns + sim_below(chaos.pace_ns);
    const bool any = sim_event_next(&next_ns);
    if (worked) {
        *idle_ns = CHAOS_MS;
    } else {
        until_ns = now_ns + *idle_ns;
        if (*idle_ns < (chaos.paused_n == 0 ? 10 * CHAOS_IDLE_NS : CHAOS_SECOND)) /* who is paused answers no ping */
            *idle_ns *= 2;
    }
    if (any && next_ns < until_ns)
        until_ns = next_ns;
    if (now_ns < awake_ns && awake_ns < until_ns)
        until_ns = awake_ns;
    chaos_stats.jumps += until_ns > now_ns + CHAOS_SECOND;
    sim_run_until(until_ns);
}

/* What a kernel did not take, or was interrupted at, goes on with the next turn. */
static uint64_t progress(void)
{
    return sim_stats.completions + sim_stats.operations + sim_stats.partial_submits + sim_stats.interrupts + sim_stats.injected;
}

/* An engine may need many polls for what it has already, each without an event: whose application is there is not idle then. */
static bool is_busy(const struct chaos_side *side)
{
    return sim_now_ns() >= side->asleep_until_ns && side->engine->pending.n + side->engine->shaking.n > 0;
}

static void step(uint64_t *idle_ns)
{
    const uint64_t before = progress();
    bool worked = chaos_app_turn(&chaos.server);
    worked |= chaos_app_turn(&chaos.client);
    for (unsigned i = 0; i < chaos.lives_n; i++)
        chaos_life_play(&chaos.lives[i]);
    if (!chaos.winding_down && chaos.lives_n - chaos.over_n < chaos.at_once && (chaos.lives_n < LIVES_LEAST || sim_chance(30)))
        worked |= chaos_life_begin();
    maybe_sleep();
    chaos_life_ports(&chaos.server);
    chaos_ledger_step(&chaos.server);
    chaos_ledger_step(&chaos.client);
    let_time_pass(worked || progress() != before || is_busy(&chaos.server) || is_busy(&chaos.client), idle_ns);
}

static void wind_down(void)
{
    chaos.winding_down = true;
    chaos_fault_stop();
    if (!sim_chance(50))
        return;
    wsr_drain_config drain = WSR_DRAIN_CONFIG_INIT;
    drain.spread_ns = sim_below(50 * CHAOS_MS);
    drain.timeout_ns = 1000 * 3600 * CHAOS_SECOND;
    const int error = wsr_drain(chaos.server.engine, &drain);
    if (error != WSR_OK)
        sim_violation("a drain is refused with %s", wsr_error_name(error));
    chaos.drained = true;
}

static bool is_over(void)
{
    return chaos.over_n == chaos.lives_n && chaos.server.engine->table.live_n == 0 && chaos.client.engine->table.live_n == 0;
}

/* What comes late: accepts of those who have gone already, at the latest when a listener tries again; cancels. Returns the steps. */
static unsigned late_ones(void)
{
    unsigned steps = 0;
    chaos.server.asleep_until_ns = 0;
    sim_sleep(CHAOS_SECOND);
    for (unsigned quiet = 0; quiet < 4 && is_over(); steps++) {
        const uint64_t before = progress();
        (void)chaos_app_turn(&chaos.server);
        (void)chaos_app_turn(&chaos.client);
        quiet = sim_advance() || progress() != before ? 0 : quiet + 1;
    }
    return steps;
}

static unsigned play(void)
{
    const unsigned least = chaos.config->steps != 0 ? chaos.config->steps : STEPS_DEFAULT;
    unsigned steps = 0;
    uint64_t idle_ns = CHAOS_MS;
    for (; steps < least || chaos.lives_n < LIVES_LEAST; steps++) {
        chaos_fault_step();
        step(&idle_ns);
    }
    wind_down();
    unsigned more = 0;
    do {
        for (; !is_over(); more++) {
            step(&idle_ns);
            if (more > STEPS_TO_END_MAX)
                sim_violation("no end: %u of %u connections are over", chaos.over_n, chaos.lives_n);
        }
        more += late_ones();
    } while (!is_over());
    steps += more;
    return steps;
}

/* ---- ending ---- */

static void end(void)
{
    for (unsigned quiet = 0; quiet < 3; quiet++) { /* what a poll without events took in is given back by the next one */
        chaos.server.again = chaos.client.again = true;
        if (chaos_app_turn(&chaos.server) || chaos_app_turn(&chaos.client))
            quiet = 0;
    }
    for (unsigned i = 0; i < chaos.lives_n; i++)
        chaos_ledger_life(&chaos.lives[i]);
    chaos_ledger_end(&chaos.server);
    chaos_ledger_end(&chaos.client);
    wsr_engine_close(chaos.client.engine);
    wsr_engine_close(chaos.server.engine);
    sim_peer_close(chaos.refuser);
    char text[160];
    if (sim_leaks(text, sizeof text) > 0)
        sim_violation("left open: %s", text);
    chaos_fault_check();
}

void chaos_world(const struct chaos_config *config)
{
    chaos_app_prepare();
    sim_reset(config->seed);
    if (!config->perfect)
        sim_chaos();
    begin(config);
    if (config->server_tls == NULL)
        chaos_wire_watch();
    const unsigned steps = play();
    end();
    chaos_stats.worlds++;
    chaos_stats.steps += steps;
    if (chaos_stats.steps_shortest == 0 || steps < chaos_stats.steps_shortest)
        chaos_stats.steps_shortest = steps;
    if (chaos_stats.connections_fewest == 0 || chaos.lives_n < chaos_stats.connections_fewest)
        chaos_stats.connections_fewest = chaos.lives_n;
}
