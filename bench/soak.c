/*
 * bench/soak.c - many connections for a long time: a quarter over TLS, a quarter compressed, mixed sizes, one in a hundred
 * closed and made again each second; every byte that comes back is compared. Started by tests/soak, which has the servers.
 *
 *   soak WS_PORT WSS_PORT WS_PID WSS_PID CONNECTIONS SECONDS RATE
 *
 * A line a second on the standard output: second, open connections, messages, p50 and p99 of the round trip in us, resident KiB
 * and descriptors of both servers. Then "# name value" lines. Exit code 1: something was lost, wrong, or did not end well.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wsring/wsring.h>

enum { POOL_BYTES = 1 << 17, SIZE_MOST = 16384, SAMPLES_MAX = 1 << 17, TICK_NS = 10000000, CONNECTS_A_TICK = 100, CLOSE_NS_ALL = 20 };

struct client {
    wsr_conn conn;
    bool tls, deflate, connecting, open, waits, closing;
    uint64_t sent, echoed, sent_ns;
    const uint8_t *payload;
    size_t len;
};

static struct {
    wsr_engine *engine;
    wsr_tls *tls;
    struct client *clients;
    unsigned n, open, ports[2];
    int pids[2];
    uint64_t messages, bytes, closed, unclean, wrong, lost, refused;
    uint32_t samples[SAMPLES_MAX];
    unsigned samples_n;
    uint64_t random;
    bool ending;
} soak = {.random = 88172645463325252u};

static uint8_t pool[POOL_BYTES + SIZE_MOST];

static uint64_t draw(uint64_t n)
{
    soak.random ^= soak.random << 13, soak.random ^= soak.random >> 7, soak.random ^= soak.random << 17;
    return (soak.random >> 11) % n;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void connect_one(struct client *c)
{
    char url[64];
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    snprintf(url, sizeof url, "%s://127.0.0.1:%u/", c->tls ? "wss" : "ws", soak.ports[c->tls]);
    config.url = url;
    config.tls = c->tls ? soak.tls : NULL;
    config.user = c;
    config.deflate.on = c->deflate;
    config.connect_timeout_ns = config.tls_timeout_ns = UINT64_C(60000000000);
    c->connecting = wsr_connect(soak.engine, &config, &c->conn) == WSR_OK;
    soak.refused += !c->connecting;
}

static void send_one(struct client *c)
{
    const uint64_t kind = draw(100);
    c->len = (size_t)(kind < 70 ? 1 + draw(125) : kind < 95 ? draw(2048) : draw(SIZE_MOST));
    c->payload = pool + draw(POOL_BYTES);
    if (wsr_send(soak.engine, c->conn, WSR_BINARY, (wsr_slice){c->payload, c->len}) != WSR_OK)
        return;
    c->waits = true;
    c->sent++;
    c->sent_ns = now_ns();
}

static void see(const wsr_event *ev)
{
    struct client *c = ev->user;
    if (ev->type == WSR_EVENT_OPEN) {
        c->connecting = false;
        c->open = true;
        soak.open++;
    } else if (ev->type == WSR_EVENT_MESSAGE) {
        soak.wrong += !c->waits || ev->data.len != c->len || (c->len > 0 && memcmp(ev->data.ptr, c->payload, c->len) != 0);
        c->waits = false;
        c->echoed++;
        soak.messages++;
        soak.bytes += c->len;
        if (soak.samples_n < SAMPLES_MAX)
            soak.samples[soak.samples_n++] = (uint32_t)((ev->time_ns - c->sent_ns) / 1000);
    } else if (ev->type == WSR_EVENT_CLOSED) {
        const wsr_close_record *r = wsr_event_close_record(ev);
        soak.closed++;
        soak.unclean += !r->clean;
        soak.lost += c->sent - c->echoed;
        soak.open -= c->open;
        *c = (struct client){.tls = c->tls, .deflate = c->deflate};
    }
}

static void poll_until(uint64_t until_ns)
{
    wsr_event ev[256];
    for (uint64_t now = now_ns(); now < until_ns; now = now_ns()) {
        const int n = wsr_poll(soak.engine, ev, 256, (int64_t)(until_ns - now));
        if (n < 0) {
            fprintf(stderr, "soak: %s\n", wsr_error_text(n));
            exit(1);
        }
        for (int i = 0; i < n; i++)
            see(&ev[i]);
    }
}

static void tick(unsigned sends, unsigned closes)
{
    unsigned connects = 0;
    for (unsigned i = 0; i < soak.n && connects < CONNECTS_A_TICK; i++)
        if (!soak.clients[i].open && !soak.clients[i].connecting && soak.clients[i].conn == 0)
            connect_one(&soak.clients[i]), connects++;
    for (unsigned i = 0; i < sends; i++) {
        struct client *c = &soak.clients[draw(soak.n)];
        if (c->open && !c->waits && !c->closing)
            send_one(c);
    }
    for (unsigned i = 0; i < closes; i++) {
        struct client *c = &soak.clients[draw(soak.n)];
        if (c->open && !c->waits && !c->closing)
            c->closing = wsr_close(soak.engine, c->conn, 1000, (wsr_slice){NULL, 0}) == WSR_OK;
    }
}

/* ---- what the servers hold ---- */

static long resident_kib(int pid)
{
    char name[64], line[128];
    long kib = 0;
    snprintf(name, sizeof name, "/proc/%d/status", pid);
    FILE *file = fopen(name, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "VmRSS: %ld", &kib);
    if (file != NULL)
        fclose(file);
    return kib;
}

static unsigned descriptors(int pid)
{
    char name[64];
    unsigned n = 0;
    snprintf(name, sizeof name, "/proc/%d/fd", pid);
    DIR *folder = opendir(name);
    while (folder != NULL && readdir(folder) != NULL)
        n++;
    if (folder != NULL)
        closedir(folder);
    return n > 2 ? n - 2 : 0;
}

static int by_value(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void tell(unsigned second)
{
    qsort(soak.samples, soak.samples_n, sizeof soak.samples[0], by_value);
    const uint32_t p50 = soak.samples_n > 0 ? soak.samples[soak.samples_n / 2] : 0;
    const uint32_t p99 = soak.samples_n > 0 ? soak.samples[(uint64_t)soak.samples_n * 99 / 100] : 0;
    printf("%u %u %" PRIu64 " %u %u %ld %ld %u %u\n", second, soak.open, soak.messages, p50, p99, resident_kib(soak.pids[0]), resident_kib(soak.pids[1]),
           descriptors(soak.pids[0]), descriptors(soak.pids[1]));
    fflush(stdout);
    soak.samples_n = 0;
}

/* Waits for the echoes under way, and closes everything. */
static bool end(void)
{
    for (unsigned ticks = 0; ticks < 100 * CLOSE_NS_ALL; ticks++) {
        bool any = false;
        for (unsigned i = 0; i < soak.n; i++) {
            struct client *c = &soak.clients[i];
            any |= c->conn != 0;
            if (c->open && !c->waits && !c->closing)
                c->closing = wsr_close(soak.engine, c->conn, 1000, (wsr_slice){NULL, 0}) == WSR_OK;
        }
        if (!any)
            return true;
        poll_until(now_ns() + TICK_NS);
    }
    return false;
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fputs("usage: soak WS_PORT WSS_PORT WS_PID WSS_PID CONNECTIONS SECONDS RATE\n", stderr);
        return 2;
    }
    for (unsigned i = 0; i < 2; i++) {
        soak.ports[i] = (unsigned)atoi(argv[1 + i]);
        soak.pids[i] = atoi(argv[3 + i]);
    }
    soak.n = (unsigned)atoi(argv[5]);
    const unsigned seconds = (unsigned)atoi(argv[6]), rate = (unsigned)atoi(argv[7]);
    for (size_t i = 0; i < sizeof pool; i++) /* compressible by about two thirds */
        pool[i] = (uint8_t)("etaoin shrdlu"[draw(13)]);
    wsr_config config = WSR_CONFIG_INIT;
    config.connections_max = soak.n + soak.n / 4 + 16;
    const wsr_tls_config tls = {.size = sizeof tls, .role = WSR_CLIENT, .verify_none = true};
    soak.clients = calloc(soak.n, sizeof *soak.clients);
    if (soak.clients == NULL || wsr_engine_open(&soak.engine, &config) != WSR_OK || wsr_tls_open(&soak.tls, &tls, NULL, 0) != WSR_OK) {
        fputs("soak: no memory, no io_uring, or no TLS\n", stderr);
        return 1;
    }
    for (unsigned i = 0; i < soak.n; i++) {
        soak.clients[i].tls = i % 4 == 0;
        soak.clients[i].deflate = i % 4 == 1;
    }
    const uint64_t begun_ns = now_ns();
    for (unsigned second = 0; second < seconds; second++) {
        for (unsigned t = 0; t < 100; t++) {
            tick(rate / 100, (soak.n * (t + 1) / 10000) - (soak.n * t / 10000));
            poll_until(begun_ns + second * UINT64_C(1000000000) + (t + 1) * (uint64_t)TICK_NS);
        }
        tell(second + 1);
    }
    const bool ended = end();
    wsr_engine_statistics stats;
    wsr_engine_stats(soak.engine, &stats, sizeof stats);
    printf("# messages %" PRIu64 "\n# bytes %" PRIu64 "\n# connected %" PRIu64 "\n# closed %" PRIu64 "\n# unclean %" PRIu64 "\n# lost %" PRIu64
           "\n# wrong %" PRIu64 "\n# refused %" PRIu64 "\n",
           soak.messages, soak.bytes, stats.connected, soak.closed, soak.unclean, soak.lost, soak.wrong, soak.refused);
    wsr_engine_close(soak.engine);
    wsr_tls_release(soak.tls);
    free(soak.clients);
    return ended && soak.unclean + soak.lost + soak.wrong == 0 && soak.messages > 0 ? 0 : 1;
}
