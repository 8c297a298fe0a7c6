/*
 * tests/lib/same.c - see same.h: turns and transcripts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "lib/same_stage.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

enum { BYTES_MAX = 1 << 20, SCRIPTS_MAX = 64 };

static uint8_t bytes[BYTES_MAX];

/* ---- transcripts ---- */

void same_note(struct end *end, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(end->text + end->len, sizeof end->text - end->len, format, arguments);
    va_end(arguments);
    if (n > 0)
        end->len += (size_t)n < sizeof end->text - end->len ? (size_t)n : sizeof end->text - end->len - 1;
}

uint64_t same_sum(uint64_t sum, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ p[i]) * 0x100000001b3u;
    return sum;
}

static void note_end(struct end *end, const wsr_close_record *r)
{
    same_note(end, "    CLOSED by %d, code %u, sent %u, received %u%s, %s, errno %d, status %u, reason '%s'\n", (int)r->by, r->code, r->code_sent,
         r->code_received, r->clean ? ", clean" : "", wsr_error_name(r->cause), r->sys_errno, r->http_status, r->reason);
    same_note(end, "    in %llu messages, %llu bytes; out %llu, %llu; undelivered %llu, unconfirmed %llu\n", (unsigned long long)r->messages_in,
         (unsigned long long)r->bytes_in, (unsigned long long)r->messages_out, (unsigned long long)r->bytes_out,
         (unsigned long long)r->messages_undelivered, (unsigned long long)r->messages_unconfirmed);
}

/* How a message is cut into chunks is the host's; its sum is not. */
static void note_chunk(struct end *end, const wsr_event *ev)
{
    if ((ev->flags & WSR_EVENT_FIRST) != 0)
        end->chunk_bytes = end->chunk_sum = 0;
    end->chunk_bytes += ev->data.len;
    end->chunk_sum = same_sum(end->chunk_sum, ev->data.ptr, ev->data.len);
    if ((ev->flags & WSR_EVENT_LAST) == 0)
        return;
    end->messages++;
    same_note(end, "    in chunks %u, %llu bytes, %llx\n", ev->opcode, (unsigned long long)end->chunk_bytes, (unsigned long long)end->chunk_sum);
}

static void see(struct stage *s, struct end *end, const wsr_event *ev)
{
    switch ((wsr_event_type)ev->type) {
    case WSR_EVENT_OPEN:
        end->opened++;
        same_note(end, "    OPEN\n");
        break;
    case WSR_EVENT_MESSAGE:
        end->messages++;
        same_note(end, "    message %u, %zu bytes, %llx%s\n", ev->opcode, ev->data.len, (unsigned long long)same_sum(0, ev->data.ptr, ev->data.len),
             (ev->flags & WSR_EVENT_AFTER_CLOSE) != 0 ? ", after our Close" : "");
        if (end >= s->servers && end < s->servers + ENDS_MAX && !s->silent)
            same_note(end, "    echo: %s\n", wsr_error_name(wsr_forward(s->server, ev->conn, ev)));
        break;
    case WSR_EVENT_CHUNK:
        note_chunk(end, ev);
        break;
    case WSR_EVENT_PING:
    case WSR_EVENT_PONG:
        same_note(end, "    %s, %zu bytes\n", ev->type == WSR_EVENT_PING ? "ping" : "pong", ev->data.len);
        break;
    case WSR_EVENT_CLOSED:
        end->closed++;
        note_end(end, wsr_event_close_record(ev));
        break;
    default:
        break;
    }
}

/* ---- turns ---- */

struct end *same_end(struct end *ends, unsigned *n, wsr_conn conn)
{
    for (unsigned i = 0; i < *n; i++)
        if (ends[i].conn == conn)
            return &ends[i];
    assert_true(*n < ENDS_MAX);
    ends[*n].conn = conn;
    return &ends[(*n)++];
}

static void look(struct stage *s, wsr_engine *engine, struct end *ends, unsigned *n)
{
    wsr_event ev[16];
    const int got = wsr_poll(engine, ev, 16, (int64_t)MS / 2);
    assert_true(got >= 0);
    for (int i = 0; i < got; i++)
        if (ev[i].type != WSR_EVENT_WAKE)
            see(s, same_end(ends, n, ev[i].conn), &ev[i]);
}

void same_turn(struct stage *s)
{
    look(s, s->server, s->servers, &s->servers_n);
    look(s, s->client, s->clients, &s->clients_n);
}

void same_until(struct stage *s, const unsigned *count, unsigned n)
{
    for (const uint64_t end_ns = s->host->now_ns() + 10 * SECOND; *count < n; same_turn(s)) {
        if (s->host->now_ns() < end_ns)
            continue;
        s->late++;
        return;
    }
}

uint64_t same_draw(struct stage *s)
{
    s->random ^= s->random << 13, s->random ^= s->random >> 7, s->random ^= s->random << 17;
    return s->random;
}

wsr_slice same_payload(struct stage *s, size_t most)
{
    const size_t len = (size_t)(same_draw(s) % (most + 1));
    return (wsr_slice){bytes + same_draw(s) % (BYTES_MAX - len), len};
}

void same_closed(struct stage *s)
{
    for (unsigned i = 0; i < s->clients_n; i++)
        same_until(s, &s->clients[i].closed, 1);
    for (unsigned i = 0; i < s->servers_n; i++)
        same_until(s, &s->servers[i].closed, 1);
}

/* ---- playing ---- */

static struct stage stage;

static void tell(FILE *to, const char *who, const struct end *ends, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        fprintf(to, "  %s %u\n%.*s", who, i, (int)ends[i].len, ends[i].text);
}

/* Plays it, and prints its transcript if `to` is not NULL. Returns how many waits came to nothing. */
static unsigned play(const struct same_host *host, const struct script *script, unsigned round, FILE *to)
{
    struct stage *s = &stage;
    memset(s, 0, sizeof *s);
    s->host = host;
    s->random = 88172645463325252u + round * 1000003u + (uint64_t)(script - same_scripts);
    host->begin(1 + round);
    wsr_config config = WSR_CONFIG_INIT;
    config.ring_without = round % 8;
    config.limits.whole_bytes_max = script->whole_bytes_max;
    assert_int_equal(wsr_engine_open(&s->server, &config), WSR_OK);
    assert_int_equal(wsr_engine_open(&s->client, NULL), WSR_OK);
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    listen.deflate.on = script->deflate;
    assert_int_equal(wsr_listen(s->server, &listen, &s->listener), WSR_OK);
    s->port = wsr_listen_port(s->server, s->listener);
    script->play(s);
    wsr_engine_close(s->client);
    wsr_engine_close(s->server);
    if (to != NULL) {
        fprintf(to, "%s, round %u%s\n", script->name, round, s->late > 0 ? ": something did not come" : "");
        tell(to, "client", s->clients, s->clients_n);
        tell(to, "server", s->servers, s->servers_n);
    }
    return s->late;
}

static const struct same_host *the_host;

static void test(void **state)
{
    const struct script *script = *state;
    assert_int_equal(play(the_host, script, 0, NULL), 0);
}

int same_main(int argc, char **argv, const struct same_host *host)
{
    static struct CMUnitTest tests[SCRIPTS_MAX];
    for (size_t i = 0; i < BYTES_MAX; i++)
        bytes[i] = (uint8_t)('a' + (i * 7 + i / 251) % 26);
    the_host = host;
    assert_true(same_scripts_n <= SCRIPTS_MAX);
    if (argc == 2) {
        const unsigned rounds = (unsigned)atoi(argv[1]);
        for (unsigned round = 0; round < rounds; round++)
            for (unsigned i = 0; i < same_scripts_n; i++)
                (void)play(host, &same_scripts[i], round, stdout);
        return 0;
    }
    for (unsigned i = 0; i < same_scripts_n; i++) {
        union {
            const struct script *script;
            void *state;
        } pointer = {&same_scripts[i]};
        tests[i] = (struct CMUnitTest){same_scripts[i].name, test, NULL, NULL, pointer.state};
    }
    return _cmocka_run_group_tests("the same on both kernels", tests, same_scripts_n, NULL, NULL);
}
