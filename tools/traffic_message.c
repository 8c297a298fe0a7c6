/*
 * tools/traffic_message.c - see traffic_message.h.
 */
#include "tools/traffic_message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const wsr_slice no_reason = {NULL, 0};

static const uint8_t *bytes_of(const struct traffic *t, const struct traffic_message *m)
{
    const struct corpus *corpus = t->config.corpus;
    return (m->opcode == WSR_TEXT ? corpus->text : corpus->binary) + m->offset;
}

/* --- Sending ------------------------------------------------------------------------------------------------------------- */

/* A ping's payload: its number, then bytes of the corpus, in all up to 125. */
static size_t ping_payload(const struct traffic *t, uint64_t number, uint8_t *out)
{
    size_t more = (size_t)(number * 31 % 118);
    memcpy(out, &number, sizeof number);
    memcpy(out + sizeof number, t->config.corpus->binary + number % CORPUS_OFFSETS, more);
    return sizeof number + more;
}

static void send_ping(struct traffic *t, struct traffic_conn *c)
{
    uint8_t payload[125];
    size_t len = ping_payload(t, c->pings + 1, payload);
    /* Refused only if the connection is closing; the message that follows finds that out. */
    if (wsr_send(t->engine, c->id, WSR_PING, (wsr_slice){payload, len}) == WSR_OK) {
        c->pings++;
        t->totals.pings++;
    }
}

static uint64_t due_ns(const struct traffic *t, uint64_t i)
{
    return t->started_ns + (uint64_t)((double)i * 1e9 / t->config.rate);
}

/* When the connection's next message may go: each has every so manieth. */
static uint64_t next_due_ns(const struct traffic *t, const struct traffic_conn *c)
{
    return due_ns(t, c->sent * t->config.connections + (uint64_t)(c - t->conns));
}

/* Chooses the next message. Each choice takes bits of its own: 12 for the size, 24 for each fraction. */
static void draw(struct traffic *t, struct traffic_conn *c, struct traffic_message *m)
{
    uint64_t r = corpus_random(&c->random);
    bool text = (r >> 40) < t->text_below;
    struct corpus_slice slice = corpus_next(t->config.corpus, text, size_mix_draw(t->config.sizes, r), &c->cursor);
    m->offset = slice.offset;
    m->len = slice.len;
    m->opcode = text ? WSR_TEXT : WSR_BINARY;
    m->fragment_bytes = 0;
    c->drawn = true;
    /* Fragments of an eighth of the message to most of it: eight to two of them. */
    if ((r >> 16 & 0xffffff) < t->fragment_below) {
        uint64_t eighth = m->len / 8 + 1;
        uint64_t fragment_bytes = eighth + corpus_random(&c->random) % (eighth * 6);
        m->fragment_bytes = fragment_bytes < m->len ? (uint32_t)fragment_bytes : 0;
    }
    if (t->ping_below > 0 && (corpus_random(&c->random) >> 40) < t->ping_below)
        send_ping(t, c);
}

/* Something has gone wrong that waiting does not mend: no more on this connection. */
static void give_up(struct traffic *t, struct traffic_conn *c, int error)
{
    if (error > -TRAFFIC_ERRORS_MAX)
        t->totals.errors[-error]++;
    t->totals.ended_early++;
    c->state = TRAFFIC_CLOSING;
    (void)!wsr_close(t->engine, c->id, WSR_CLOSE_NORMAL, no_reason);
}

/* False: not now (the outbox is full, WRITABLE will come), or never again. */
static bool send_next(struct traffic *t, struct traffic_conn *c)
{
    struct traffic_message *m = &c->messages[c->sent & (t->ring - 1)];
    if (!c->drawn)
        draw(t, c, m);
    wsr_slice payload = {bytes_of(t, m), m->len};
    int result = m->fragment_bytes > 0 ? wsr_send_fragmented(t->engine, c->id, (wsr_opcode)m->opcode, payload, m->fragment_bytes)
                                       : wsr_send(t->engine, c->id, (wsr_opcode)m->opcode, payload);
    if (result == WSR_OK) {
        m->sent_ns = t->now_ns;
        if (t->config.rate > 0) {
            m->sent_ns = next_due_ns(t, c);
            histogram_record(&t->totals.late, t->now_ns - m->sent_ns);
        }
        c->drawn = false;
        c->sent++;
        t->budget--;
        t->in_flight++;
        t->in_flight_bytes += m->len;
        t->totals.sent++;
        t->totals.sent_bytes += m->len;
        t->totals.texts += m->opcode == WSR_TEXT;
        t->totals.fragmented += m->fragment_bytes > 0;
        if (t->totals.first_send_ns == 0)
            t->totals.first_send_ns = t->now_ns;
        return true;
    }
    /* ESTATE, ESTALE: the peer has begun to close, and CLOSED will say why. */
    if (result != WSR_EFULL && result != WSR_ESTATE && result != WSR_ESTALE)
        give_up(t, c, result);
    return false;
}

void traffic_fill(struct traffic *t, struct traffic_conn *c)
{
    while (t->sending && c->state == TRAFFIC_OPEN && t->budget > 0 && c->sent - c->echoed < t->config.depth) {
        if (t->config.rate > 0 && next_due_ns(t, c) > t->now_ns)
            return;
        /* One in flight always may be: its echo is what brings us here again. */
        if (t->watch_outbox && c->sent != c->echoed &&
            (t->in_flight_bytes > TRAFFIC_IN_FLIGHT_BYTES_MAX || wsr_outbox_bytes(t->engine, c->id) > TRAFFIC_OUTBOX_BYTES))
            return;
        if (!send_next(t, c))
            return;
    }
}

int64_t traffic_due_in_ns(const struct traffic *t)
{
    if (t->config.rate <= 0 || !t->sending || t->budget == 0)
        return INT64_MAX;
    uint64_t next_ns = due_ns(t, t->scheduled);
    return next_ns > t->now_ns ? (int64_t)(next_ns - t->now_ns) : 0;
}

void traffic_send_due(struct traffic *t)
{
    while (traffic_due_in_ns(t) == 0)
        traffic_fill(t, &t->conns[t->scheduled++ % t->config.connections]);
}

/* --- Verifying ----------------------------------------------------------------------------------------------------------- */

static void wrong(struct traffic *t, const struct traffic_conn *c, const wsr_event *event, const struct traffic_message *m)
{
    char *text = t->totals.first_wrong;
    size_t cap = sizeof t->totals.first_wrong;
    t->totals.wrong++;
    if (text[0] != '\0')
        return;
    int n = snprintf(text, cap, "connection %ld, message %" PRIu64 ": ", (long)(c - t->conns), c->echoed);
    if (n < 0 || (size_t)n >= cap)
        return;
    text += n;
    cap -= (size_t)n;
    if (event->opcode != m->opcode) {
        snprintf(text, cap, "sent as opcode %u, echoed as %u", m->opcode, event->opcode);
    } else if (event->data.len != m->len) {
        snprintf(text, cap, "%" PRIu32 " bytes sent, %zu echoed", m->len, event->data.len);
    } else {
        const uint8_t *want = bytes_of(t, m);
        uint32_t i = 0;
        while (i + 1 < m->len && want[i] == event->data.ptr[i])
            i++;
        snprintf(text, cap, "byte %" PRIu32 " of %" PRIu32 " was sent as 0x%02x and echoed as 0x%02x", i, m->len, want[i], event->data.ptr[i]);
    }
}

void traffic_verify(struct traffic *t, struct traffic_conn *c, const wsr_event *event)
{
    if (c->sent == c->echoed) {
        t->totals.surplus++;
        t->totals.unaccounted++;
        return;
    }
    const struct traffic_message *m = &c->messages[c->echoed & (t->ring - 1)];
    if (event->opcode != m->opcode || event->data.len != m->len || (m->len > 0 && memcmp(event->data.ptr, bytes_of(t, m), m->len) != 0))
        wrong(t, c, event, m);
    histogram_record(&t->totals.latency, event->time_ns > m->sent_ns ? event->time_ns - m->sent_ns : 0);
    t->totals.last_echo_ns = event->time_ns;
    t->totals.echoed++;
    t->totals.deflated += (event->flags & WSR_EVENT_DEFLATED) != 0;
    t->totals.echoed_bytes += event->data.len;
    t->in_flight--;
    t->in_flight_bytes -= m->len;
    c->echoed++;
}

/* Every pong must be that of a ping sent here, later than the last one answered (RFC 6455 section 5.5.3 lets some be skipped). */
void traffic_verify_pong(struct traffic *t, struct traffic_conn *c, const wsr_event *event)
{
    uint8_t payload[125];
    uint64_t number;
    /* The engine's own keepalive pings have shorter payloads. */
    if (event->data.len < sizeof number)
        return;
    memcpy(&number, event->data.ptr, sizeof number);
    t->totals.pongs++;
    if (number > c->ponged && number <= c->pings && event->data.len == ping_payload(t, number, payload) &&
        memcmp(event->data.ptr, payload, event->data.len) == 0)
        c->ponged = number;
    else
        t->totals.wrong_pongs++;
}
