/*
 * bench/soak.c - many connections for a long time: a quarter over TLS, a quarter compressed, mixed sizes, one in a hundred
 * closed and made again each second; every byte that comes back is compared. tests/soak starts it, and judges.
 *
 *   soak WS_URL WSS_URL CONNECTIONS SECONDS RATE
 *
 * It is no load test, so it paces itself: RATE messages a second at most, and of them, of handshakes and of closes only so many
 * under way at a time. What is late is left out and counted, never caught up with: a machine that has stood still is not asked for
 * more because of it. SIGINT ends it early, and in order.
 *
 * On the standard output, a line each:
 *   second T OPEN ECHOED P50_US P99_US           a second, its round trips
 *   interval FROM_S TO_S ECHOED P50_US P99_US P999_US MAX_US    a twelfth of the time
 *   end ...                                      lib/ends.h
 *   total NAME VALUE
 * Exit code 1: it could not run.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wsring/wsring.h>

#include "lib/ends.h"
#include "tools/cmd.h"
#include "tools/histogram.h"
#include "tools/parse.h"
#include "tools/signals.h"

enum { POOL_BYTES = 1 << 17, SIZE_MOST = 1 << 18, TICKS = 100, INTERVALS = 12, HANDSHAKES_MAX = 64, CLOSES_MAX = 256, ECHO_SECONDS = 10, END_SECONDS = 60 };
enum { SECOND_NS = 1000000000, TICK_NS = SECOND_NS / TICKS };

struct client {
    struct client *next; /* of those without a connection */
    wsr_conn conn;
    bool tls, deflate, open, waits, closing;
    uint64_t sent, echoed, sent_ns;
    const uint8_t *payload;
    size_t len;
    wsr_opcode opcode;
};

static struct {
    wsr_engine *engine;
    wsr_tls *tls;
    const char *urls[2]; /* ws, wss */
    struct client *clients, *down;
    unsigned n, rate, open, opening, closing, waiting;
    uint64_t sent, echoed, bytes, lost, wrong, refused;
    uint64_t held_back, ticks_late; /* messages not sent: too many were under way; ticks left out */
    struct ends ends;
    struct histogram second, interval;
    uint64_t random;
} soak = {.random = 88172645463325252u};

static uint8_t pool[POOL_BYTES + SIZE_MOST];

static uint64_t draw(uint64_t n)
{
    soak.random ^= soak.random << 13, soak.random ^= soak.random >> 7, soak.random ^= soak.random << 17;
    return (soak.random >> 11) % n;
}

/* ---- one client ---- */

static bool connect_one(struct client *c)
{
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    config.url = soak.urls[c->tls];
    config.tls = c->tls ? soak.tls : NULL;
    config.user = c;
    config.deflate.on = c->deflate;
    if (wsr_connect(soak.engine, &config, &c->conn) != WSR_OK)
        return false;
    soak.opening++;
    return true;
}

static size_t draw_size(void)
{
    const uint64_t kind = draw(1000);
    return (size_t)(kind < 700 ? draw(126) : kind < 950 ? draw(2048) : kind < 998 ? draw(16384) : draw(SIZE_MOST));
}

static void send_one(struct client *c)
{
    c->len = draw_size();
    c->payload = pool + draw(POOL_BYTES);
    c->opcode = draw(2) == 0 ? WSR_TEXT : WSR_BINARY;
    c->sent_ns = cmd_now_ns();
    if (wsr_send(soak.engine, c->conn, c->opcode, (wsr_slice){c->payload, c->len}) != WSR_OK) {
        soak.refused++;
        return;
    }
    c->waits = true;
    c->sent++;
    soak.sent++;
    soak.waiting++;
}

static void close_one(struct client *c)
{
    c->closing = wsr_close(soak.engine, c->conn, 1000, (wsr_slice){NULL, 0}) == WSR_OK;
    soak.closing += c->closing;
    soak.refused += !c->closing;
}

static void take_echo(struct client *c, const wsr_event *ev)
{
    soak.wrong += !c->waits || ev->opcode != c->opcode || ev->data.len != c->len || (c->len > 0 && memcmp(ev->data.ptr, c->payload, c->len) != 0);
    soak.waiting -= c->waits;
    c->waits = false;
    c->echoed++;
    soak.echoed++;
    soak.bytes += c->len;
    const uint64_t took_ns = ev->time_ns > c->sent_ns ? ev->time_ns - c->sent_ns : 0;
    histogram_record(&soak.second, took_ns);
    histogram_record(&soak.interval, took_ns);
}

static void take_end(struct client *c, const wsr_close_record *record)
{
    ends_add(&soak.ends, record, c->tls, c->open);
    soak.lost += c->sent - c->echoed;
    soak.open -= c->open;
    soak.opening -= !c->open;
    soak.closing -= c->closing;
    soak.waiting -= c->waits;
    *c = (struct client){.tls = c->tls, .deflate = c->deflate, .next = soak.down};
    soak.down = c;
}

static void see(const wsr_event *ev)
{
    struct client *c = ev->user;
    if (ev->type == WSR_EVENT_OPEN) {
        c->open = true;
        soak.open++;
        soak.opening--;
    } else if (ev->type == WSR_EVENT_MESSAGE) {
        take_echo(c, ev);
    } else if (ev->type == WSR_EVENT_CLOSED) {
        take_end(c, wsr_event_close_record(ev));
    }
}

static void poll_until(uint64_t until_ns)
{
    wsr_event ev[256];
    for (uint64_t now = cmd_now_ns(); now < until_ns; now = cmd_now_ns()) {
        const int n = wsr_poll(soak.engine, ev, 256, (int64_t)(until_ns - now));
        if (n < 0) {
            fprintf(stderr, "soak: wsr_poll: %s\n", wsr_error_text(n));
            exit(1);
        }
        for (int i = 0; i < n; i++)
            see(&ev[i]);
    }
}

/* ---- all of them ---- */

static void open_some(void)
{
    while (soak.down != NULL && soak.opening < HANDSHAKES_MAX) {
        struct client *c = soak.down;
        if (!connect_one(c)) {
            soak.refused++;
            return; /* at the next tick again */
        }
        soak.down = c->next;
    }
}

/* A client that has nothing under way, drawn blindly: NULL if the one drawn has. */
static struct client *draw_client(void)
{
    struct client *c = &soak.clients[draw(soak.n)];
    return c->open && !c->waits && !c->closing ? c : NULL;
}

/* Ticks are numbered from the start: tick k sends what is due between k and k + 1, so no fraction gets lost. */
static unsigned due(uint64_t tick, uint64_t a_second)
{
    return (unsigned)((tick + 1) * a_second / TICKS - tick * a_second / TICKS);
}

static void work(uint64_t tick)
{
    const unsigned waiting_max = soak.rate / 10 + 1;
    open_some();
    for (unsigned i = due(tick, soak.rate); i > 0; i--) {
        struct client *c = soak.waiting < waiting_max ? draw_client() : NULL;
        if (c != NULL)
            send_one(c);
        else
            soak.held_back++;
    }
    for (unsigned i = due(tick, soak.n / 100 + 1); i > 0 && soak.closing < CLOSES_MAX; i--) {
        struct client *c = draw_client();
        if (c != NULL)
            close_one(c);
    }
}

static double quantile_us(const struct histogram *h, double q)
{
    return (double)histogram_quantile(h, q) / 1e3;
}

static void tell_second(unsigned second)
{
    const struct histogram *h = &soak.second;
    printf("second %u %u %" PRIu64 " %.0f %.0f\n", second, soak.open, soak.echoed, quantile_us(h, 0.5), quantile_us(h, 0.99));
    fflush(stdout);
    histogram_init(&soak.second);
}

static void tell_interval(unsigned from, unsigned to)
{
    const struct histogram *h = &soak.interval;
    printf("interval %u %u %" PRIu64 " %.0f %.0f %.0f %.0f\n", from, to, h->count, quantile_us(h, 0.5), quantile_us(h, 0.99), quantile_us(h, 0.999),
           (double)h->max / 1e3);
    histogram_init(&soak.interval);
}

static void run(unsigned seconds)
{
    const uint64_t begun_ns = cmd_now_ns();
    const unsigned length = (seconds + INTERVALS - 1) / INTERVALS;
    unsigned told = 0, interval = 0;
    for (uint64_t tick = 0; tick < (uint64_t)seconds * TICKS && signals_count() == 0; tick++) {
        if (cmd_now_ns() >= begun_ns + (tick + 1) * TICK_NS)
            soak.ticks_late++;
        else
            work(tick);
        poll_until(begun_ns + (tick + 1) * TICK_NS);
        if ((tick + 1) % TICKS != 0)
            continue;
        tell_second(++told);
        if (told - interval == length || told == seconds) {
            tell_interval(interval, told);
            interval = told;
        }
    }
}

/* Closes everything behind the echoes under way, which have ECHO_SECONDS. Returns how many did not end in END_SECONDS. */
static unsigned end(void)
{
    const uint64_t begun_ns = cmd_now_ns();
    for (uint64_t ns = 0; soak.open + soak.opening > 0 && ns < END_SECONDS * (uint64_t)SECOND_NS; ns = cmd_now_ns() - begun_ns) {
        const bool patient = ns < ECHO_SECONDS * (uint64_t)SECOND_NS;
        for (unsigned i = 0; i < soak.n && soak.closing < CLOSES_MAX; i++) {
            struct client *c = &soak.clients[i];
            if (c->open && !c->closing && !(c->waits && patient))
                close_one(c);
        }
        poll_until(cmd_now_ns() + TICK_NS);
    }
    return soak.open + soak.opening;
}

static unsigned descriptors(void)
{
    unsigned n = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder != NULL && readdir(folder) != NULL)
        n++;
    if (folder != NULL)
        closedir(folder);
    return n;
}

/* A connection's goes with the last of its operations, which may come behind CLOSED. */
static void await_descriptors(unsigned before)
{
    const uint64_t begun_ns = cmd_now_ns();
    while (descriptors() > before && cmd_now_ns() - begun_ns < END_SECONDS * (uint64_t)SECOND_NS)
        poll_until(cmd_now_ns() + TICK_NS);
}

static void tell_totals(unsigned left, unsigned descriptors_before)
{
    const unsigned now = descriptors();
    const struct {
        const char *name;
        uint64_t value;
    } totals[] = {
        {"sent", soak.sent}, {"echoed", soak.echoed}, {"bytes", soak.bytes}, {"lost", soak.lost}, {"wrong", soak.wrong},
        {"closed", soak.ends.all}, {"unclean", soak.ends.unclean}, {"left", left}, {"refused", soak.refused},
        {"held_back", soak.held_back}, {"ticks_late", soak.ticks_late},
        {"descriptors_kept", now > descriptors_before ? now - descriptors_before : 0},
    };
    ends_print(&soak.ends, stdout);
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++)
        printf("total %s %" PRIu64 "\n", totals[i].name, totals[i].value);
}

/* ---- beginning ---- */

static bool open_engine(void)
{
    const wsr_tls_config tls = {.size = sizeof tls, .role = WSR_CLIENT, .verify_none = true};
    wsr_config config = WSR_CONFIG_INIT;
    config.connections_max = soak.n + CLOSES_MAX;
    config.limits.ping_interval_ns = 10 * (uint64_t)SECOND_NS; /* some have been silent for so long, by chance */
    soak.clients = calloc(soak.n, sizeof *soak.clients);
    if (soak.clients == NULL)
        return false;
    for (unsigned i = soak.n; i-- > 0;) {
        soak.clients[i] = (struct client){.tls = i % 4 == 0, .deflate = i % 4 == 1, .next = soak.down};
        soak.down = &soak.clients[i];
    }
    return wsr_engine_open(&soak.engine, &config) == WSR_OK && wsr_tls_open(&soak.tls, &tls, NULL, 0) == WSR_OK;
}

int main(int argc, char **argv)
{
    uint64_t n = 0, seconds = 0, rate = 0;
    if (argc != 6 || !parse_number(argv[3], 1, 1000000, &n) || !parse_number(argv[4], 1, 10000000, &seconds) || !parse_number(argv[5], 1, 1000000, &rate)) {
        fputs("usage: soak WS_URL WSS_URL CONNECTIONS SECONDS RATE\n", stderr);
        return 2;
    }
    soak.urls[0] = argv[1];
    soak.urls[1] = argv[2];
    soak.n = (unsigned)n;
    soak.rate = (unsigned)rate;
    (void)cmd_raise_descriptors(n);
    for (size_t i = 0; i < sizeof pool; i++) /* compressible by about two thirds */
        pool[i] = (uint8_t)("etaoin shrdlu"[draw(13)]);
    histogram_init(&soak.second);
    histogram_init(&soak.interval);
    signals_catch();
    if (!open_engine()) {
        fputs("soak: no memory, no io_uring, or no TLS\n", stderr);
        return 1;
    }
    signals_watch(soak.engine);
    const unsigned before = descriptors();
    run((unsigned)seconds);
    const unsigned left = end();
    await_descriptors(before);
    tell_totals(left, before);
    signals_unwatch(soak.engine);
    wsr_engine_close(soak.engine);
    wsr_tls_release(soak.tls);
    free(soak.clients);
    return 0;
}
