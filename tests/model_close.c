/*
 * model_close.c - every run that two ends of a connection can have, explored exhaustively over the very table of
 * proto/close.c, or over a copy of it with a wrong cell (RFC 6455 section 7.1).
 *
 * An end here is the closing machine and the least endpoint around it: an outbox, a feed mode, one deadline. Between the
 * ends run two byte streams that keep order and nothing else: any delay, and as a world allows it resets, truncation,
 * send errors, deadlines that pass at any moment, and a stranger at the far end who sends what it likes. Each end also
 * keeps facts of its own, seen from outside (what left, what was read, who began), and what the machine says at the
 * end is compared with those.
 *
 * It is not a test of the endpoint, the frames or TCP; test_close_model.c includes it and is its driver.
 */
#include "proto/close.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- What a run is made of ------------------------------------------------------------------------------------------ */

enum item { NOTHING, DATA, CLOSE, BAD, FIN, RST };

/* A stream of at most five items, three bits each, the oldest lowest: small, and equal if and only if bytes are equal. */
typedef uint16_t stream;
#define STREAM_MAX 5u

enum fact {
    CLOSED_BY_APP = 0x001, /* the application's close was taken */
    LEFT = 0x002,          /* our Close is with the transport, or beyond */
    FLUSHED = 0x004,       /* and this end knows */
    READ_CLOSE = 0x008,
    READ_FIN = 0x010,
    GAVE_UP = 0x020,       /* a failure or a deadline came before our Close was flushed: what is queued is to be dropped */
    SHUT = 0x040,          /* nothing can follow on our stream: FIN is behind it */
    SEND_DEAD = 0x080,     /* a send failed */
    GONE = 0x100,          /* reported; the transport is closed */
    SENT_BAD = 0x200,
    FAILED = 0x400         /* it gave up reading, for a failure */
};

enum mode { PARSE, PARSE_CLOSING, DISCARD };

/* What a deadline is for. A deadline must judge only what it was started for. */
enum phase { NO_PHASE, TO_FLUSH, TO_FLUSH_NOW, TO_ANSWER, TO_LISTEN, TO_END };

struct end {
    struct wsr_close c;
    stream outbox; /* accepted, not with the transport */
    stream wire;   /* sent by this end, not read by the other */
    uint16_t facts;
    uint8_t accepted, delivered, dropped; /* data frames */
    uint8_t by;    /* who began, by the facts */
    uint8_t timer; /* the phase the running deadline was started for */
    uint8_t mode;
    uint8_t spent;    /* stranger: frames sent */
    uint8_t first;    /* stranger: the first of its items that is not data */
    uint8_t expected; /* stranger: data it sent before that */
    uint8_t unused;
};

struct run {
    struct end end[2]; /* indexed by wsr_role */
    uint8_t faults;    /* so far */
    uint8_t unused[7];
};

/* What can happen in an exploration. */
struct world {
    const char *name;
    unsigned data;     /* frames each application sends at most */
    unsigned faults;   /* of the transport and of the ends, at most, both together */
    bool bad, fail, deaf, abort, timeouts, resets, truncation;
    bool stranger;     /* the end that is not `role` keeps no rules, and sends up to `frames` frames */
    unsigned frames;
    wsr_role role;
};

struct model_result {
    const char *violation; /* NULL: none */
    unsigned long states, transitions, ends; /* ends: states in which nothing more can happen */
    unsigned depth;
};

#define DEPTH_MAX 128u

static struct model {
    const struct wsr_close_table *table;
    const struct world *world;
    struct model_result result;
    char text[160];
    struct step {
        const char *what;
        unsigned who;
    } path[DEPTH_MAX];
    unsigned depth;
    /* Every state met, in the order of meeting, and an open-addressed index into them. */
    struct met {
        struct run run;
        bool finished;
    } *met;
    uint64_t *index;
    size_t met_cap, index_cap; /* the latter a power of two */
} model;

__attribute__((format(printf, 1, 2))) static void violate(const char *format, ...)
{
    if (model.result.violation != NULL)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(model.text, sizeof model.text, format, args);
    va_end(args);
    model.result.violation = model.text;
}

#define REQUIRE(condition, ...)                                                                                                            \
    do {                                                                                                                                   \
        if (!(condition))                                                                                                                  \
            violate(__VA_ARGS__);                                                                                                          \
    } while (0)

static unsigned stream_len(stream s)
{
    unsigned n = 0;
    for (; s != 0; s = (stream)(s >> 3))
        n++;
    return n;
}

static bool stream_has(stream s, enum item item)
{
    for (; s != 0; s = (stream)(s >> 3))
        if ((s & 7u) == (unsigned)item)
            return true;
    return false;
}

static void stream_push(stream *s, enum item item)
{
    const unsigned n = stream_len(*s);
    if (n >= STREAM_MAX)
        abort(); /* the worlds are sized so that this cannot be */
    *s = (stream)(*s | (unsigned)item << 3 * n);
}

static enum item stream_pop(stream *s)
{
    const enum item item = (enum item)(*s & 7u);
    *s = (stream)(*s >> 3);
    return item;
}

static bool is(const struct end *e, unsigned facts)
{
    return (e->facts & facts) != 0;
}

static void now(struct end *e, unsigned fact)
{
    e->facts = (uint16_t)(e->facts | fact);
}

static bool is_stranger(unsigned who)
{
    return model.world->stranger && who != (unsigned)model.world->role;
}

/* --- An end: one input, and what it leads to ------------------------------------------------------------------------ */

static enum phase phase_of(unsigned state)
{
    static const enum phase phases[WSR_CS_COUNT] = {
        [WSR_CS_SENT] = TO_FLUSH,      [WSR_CS_RECEIVED] = TO_FLUSH, [WSR_CS_FAILED] = TO_FLUSH_NOW,
        [WSR_CS_AWAITING] = TO_ANSWER, [WSR_CS_BROKEN] = TO_LISTEN,  [WSR_CS_LINGER] = TO_END,
    };
    return phases[state];
}

/* Who began, told from what happens and not from the table. Called before the input is given. */
static void note_who_began(struct end *e, enum wsr_close_input in)
{
    if (is(e, GONE))
        return;
    const bool crossing = in == WSR_CI_PEER_CLOSE && e->c.code_sent != 0 && !is(e, FLUSHED | SEND_DEAD);
    if (crossing)
        e->by = WSR_BY_BOTH;
    else if (e->by == WSR_BY_NOBODY && in == WSR_CI_PEER_CLOSE)
        e->by = WSR_BY_PEER;
    else if (e->by == WSR_BY_NOBODY && (in == WSR_CI_LOCAL_ABORT || in == WSR_CI_FAILURE || (in == WSR_CI_LOCAL_CLOSE && wsr_close_is_open(&e->c))))
        e->by = WSR_BY_LOCAL;
}

static void check_report(const struct end *e, enum wsr_close_input in)
{
    REQUIRE(in != WSR_CI_FLUSHED || is(e, READ_FIN), "is over although the peer's stream is not");
    const bool clean = is(e, FLUSHED) && is(e, READ_CLOSE) && is(e, READ_FIN) && !is(e, GAVE_UP);
    REQUIRE(e->c.by == e->by, "reports that %u began, it was %u", e->c.by, e->by);
    REQUIRE(e->c.clean == clean, "reports clean %d, it was %d", e->c.clean, clean);
    REQUIRE((e->c.code_received != 0) == is(e, READ_CLOSE), "reports code received %u", e->c.code_received);
    REQUIRE((wsr_close_code_sent(&e->c) != 0) == is(e, FLUSHED), "reports code sent %u", wsr_close_code_sent(&e->c));
}

/* The transport is closed by this end. Unread input, or a cut, makes it a reset. */
static void close_transport(struct end *e, struct end *other, bool cut)
{
    now(e, GONE);
    e->timer = NO_PHASE;
    e->outbox = 0;
    if (is(e, SEND_DEAD) || stream_has(e->wire, RST))
        return;
    const bool unread = other->wire != 0 && other->wire != FIN;
    if (cut || unread) {
        stream_push(&e->wire, RST);
        REQUIRE(model.world->faults > 0 || model.world->timeouts, "an orderly close resets the peer");
    } else if (!is(e, SHUT)) {
        stream_push(&e->wire, FIN);
    }
    now(e, SHUT);
}

static void do_drop(struct end *e, enum wsr_close_input in)
{
    REQUIRE(in == WSR_CI_FAILURE || in == WSR_CI_TIMEOUT || in == WSR_CI_SEND_ERROR, "drops data although nothing failed");
    stream kept = 0;
    for (stream s = e->outbox; s != 0;) {
        const enum item item = stream_pop(&s);
        if (item == CLOSE)
            stream_push(&kept, item);
        else
            e->dropped = (uint8_t)(e->dropped + (item == DATA));
    }
    e->outbox = kept;
}

static void do_actions(struct end *e, struct end *other, unsigned role, enum wsr_close_input in, unsigned actions, enum phase before)
{
    if (actions & WSR_CA_DROP)
        do_drop(e, in);
    if (actions & WSR_CA_SEND) {
        REQUIRE(!stream_has(e->outbox, CLOSE) && !is(e, LEFT), "a second Close");
        REQUIRE(!is(e, SEND_DEAD), "queues a Close that cannot leave");
        stream_push(&e->outbox, CLOSE);
    }
    REQUIRE((actions & (WSR_CA_READ_ON | WSR_CA_DISCARD)) != (WSR_CA_READ_ON | WSR_CA_DISCARD), "reads on and discards");
    if (actions & WSR_CA_READ_ON)
        e->mode = PARSE_CLOSING;
    if (actions & WSR_CA_DISCARD)
        e->mode = DISCARD;
    if (actions & WSR_CA_SHUT_DOWN) {
        REQUIRE(role == WSR_SERVER, "a client ends TCP first");
        REQUIRE(is(e, LEFT) && e->outbox == 0, "shuts down before its Close has left");
        REQUIRE(!is(e, SHUT) || is(e, SEND_DEAD), "shuts down twice");
        if (!is(e, SEND_DEAD | SHUT))
            stream_push(&e->wire, FIN);
        now(e, SHUT);
    }
    if (actions & WSR_CA_TIMER) {
        REQUIRE(phase_of(e->c.state) != before, "gives the same phase a second deadline");
        e->timer = (uint8_t)phase_of(e->c.state);
    }
    if (actions & WSR_CA_REPORT) {
        REQUIRE(actions == WSR_CA_REPORT, "does something else while reporting the end");
        REQUIRE(!is(e, GONE), "reports twice");
        REQUIRE(e->c.state == WSR_CS_DONE, "reports and goes on");
        check_report(e, in);
        close_transport(e, other, in == WSR_CI_LOCAL_ABORT || in == WSR_CI_TIMEOUT);
    }
}

/* What holds for an end after each input. */
static void check_end(const struct end *e, enum wsr_close_input in, bool was_gone, bool had_given_up)
{
    const unsigned state = e->c.state;
    REQUIRE((state == WSR_CS_DONE) == is(e, GONE), "is done and has not reported");
    if (state == WSR_CS_DONE) {
        /* Only a deadline that nobody could answer to ends a connection whose Close is still queued. */
        REQUIRE(in != WSR_CI_TIMEOUT || was_gone || had_given_up || is(e, FLUSHED | READ_FIN | SEND_DEAD),
                "a deadline ends the connection before Close had its turn");
        return;
    }
    REQUIRE(in != WSR_CI_LOCAL_ABORT && in != WSR_CI_RESET, "is not ended by an abort or a reset");
    const bool closing = e->c.code_sent != 0 || e->mode != PARSE || is(e, GAVE_UP | SEND_DEAD | READ_CLOSE | READ_FIN);
    REQUIRE(closing == (state != WSR_CS_OPEN), "is closing and looks open, or the reverse");
    if (state == WSR_CS_OPEN)
        return;
    REQUIRE(e->timer != NO_PHASE, "waits without a deadline");
    REQUIRE(state == WSR_CS_LAST || e->timer == (uint8_t)phase_of(state), "waits with a deadline started for something else");
    REQUIRE(e->mode != PARSE, "may queue a pong behind its Close");
    if (is(e, GAVE_UP)) {
        REQUIRE(phase_of(state) != TO_FLUSH, "has given up and would grant its Close one deadline more");
        REQUIRE(e->mode == DISCARD || is(e, READ_FIN), "has given up and reads on");
        REQUIRE(!stream_has(e->outbox, DATA) && !stream_has(e->outbox, BAD), "has given up and its Close waits behind data");
    }
    REQUIRE(!is(e, SEND_DEAD) || is(e, FLUSHED) || !stream_has(e->outbox, DATA), "keeps data that cannot be sent");
    REQUIRE(!is(e, READ_FIN) || (e->c.code_sent != 0 && !is(e, FLUSHED)), "waits for something after the end of the stream");
    REQUIRE(e->c.code_sent == 0 || is(e, LEFT | SEND_DEAD) || stream_has(e->outbox, CLOSE), "has lost its Close");
}

static void give(struct run *r, unsigned who, enum wsr_close_input in, uint16_t code)
{
    struct end *e = &r->end[who], *other = &r->end[1 - who];
    struct wsr_close before;
    memcpy(&before, &e->c, sizeof before);
    const bool was_gone = is(e, GONE), had_given_up = is(e, GAVE_UP);
    const enum phase phase = phase_of(e->c.state);

    note_who_began(e, in);
    if (in == WSR_CI_PEER_CLOSE)
        now(e, READ_CLOSE);
    if (in == WSR_CI_EOF)
        now(e, READ_FIN);
    if ((in == WSR_CI_FAILURE || in == WSR_CI_TIMEOUT) && !is(e, FLUSHED))
        now(e, GAVE_UP);
    if (in == WSR_CI_FAILURE)
        now(e, FAILED);
    if (in == WSR_CI_FLUSHED)
        now(e, FLUSHED);
    if (in == WSR_CI_SEND_ERROR)
        now(e, SEND_DEAD);
    if (in == WSR_CI_TIMEOUT)
        e->timer = NO_PHASE;

    const unsigned actions = wsr_close_step_in(model.table, &e->c, in, code, (wsr_role)who);
    model.result.transitions++;
    do_actions(e, other, who, in, actions, phase);
    check_end(e, in, was_gone, had_given_up);
    if (was_gone)
        REQUIRE(actions == 0 && memcmp(&before, &e->c, sizeof before) == 0, "an input after the end changes something");
}

/* An input that cannot be true in this state, or comes too late, must change nothing. */
static void must_ignore(const struct end *e, unsigned role, enum wsr_close_input in)
{
    struct wsr_close c;
    memcpy(&c, &e->c, sizeof c);
    const unsigned actions = wsr_close_step_in(model.table, &c, in, WSR_CLOSE_POLICY_VIOLATION, (wsr_role)role);
    REQUIRE(actions == 0 && memcmp(&c, &e->c, sizeof c) == 0, "takes input %d in state %u", (int)in, e->c.state);
}

static void check_ignored(const struct end *e, unsigned role)
{
    const bool gone = is(e, GONE);
    const bool queued = e->c.code_sent != 0 && !is(e, FLUSHED);
    for (int in = 0; gone && in < WSR_CI_COUNT; in++)
        must_ignore(e, role, (enum wsr_close_input)in);
    if (!wsr_close_is_open(&e->c))
        must_ignore(e, role, WSR_CI_LOCAL_CLOSE); /* a second close() */
    if (e->mode == DISCARD || is(e, READ_FIN))
        must_ignore(e, role, WSR_CI_PEER_CLOSE);
    if (is(e, READ_FIN))
        must_ignore(e, role, WSR_CI_EOF);
    if (e->timer == NO_PHASE)
        must_ignore(e, role, WSR_CI_TIMEOUT);
    if (!queued || is(e, SEND_DEAD))
        must_ignore(e, role, WSR_CI_FLUSHED);
    if (is(e, SEND_DEAD))
        must_ignore(e, role, WSR_CI_SEND_ERROR);
    if (is(e, FLUSHED) && e->mode == DISCARD)
        must_ignore(e, role, WSR_CI_FAILURE); /* nothing is read and nothing sent: there is nothing to fail */
}

/* --- What can happen: each returns false, and changes nothing, if it cannot happen now -------------------------------- */

static bool app_sends(struct run *r, unsigned who)
{
    struct end *e = &r->end[who];
    if (!wsr_close_is_open(&e->c) || e->accepted >= model.world->data || is_stranger(who))
        return false;
    e->accepted++;
    stream_push(&e->outbox, DATA);
    return true;
}

/* A frame the other end must fail on: this end's encoder is at fault. */
static bool app_sends_bad(struct run *r, unsigned who)
{
    struct end *e = &r->end[who];
    if (!model.world->bad || is(e, SENT_BAD) || !wsr_close_is_open(&e->c) || r->faults >= model.world->faults || is_stranger(who))
        return false;
    r->faults++;
    now(e, SENT_BAD);
    stream_push(&e->outbox, BAD);
    return true;
}

static bool app_closes(struct run *r, unsigned who)
{
    struct end *e = &r->end[who];
    if (!wsr_close_is_open(&e->c) || is_stranger(who))
        return false;
    now(e, CLOSED_BY_APP);
    give(r, who, WSR_CI_LOCAL_CLOSE, who == WSR_SERVER ? WSR_CLOSE_GOING_AWAY : WSR_CLOSE_NORMAL);
    return true;
}

static bool fault(struct run *r, unsigned who, bool allowed)
{
    if (!allowed || is(&r->end[who], GONE) || is_stranger(who) || r->faults >= model.world->faults)
        return false;
    r->faults++;
    return true;
}

static bool app_aborts(struct run *r, unsigned who)
{
    if (!fault(r, who, model.world->abort))
        return false;
    give(r, who, WSR_CI_LOCAL_ABORT, 0);
    return true;
}

/* No memory, no randomness, an idle deadline. */
static bool end_fails(struct run *r, unsigned who)
{
    struct end *e = &r->end[who];
    if ((is(e, FLUSHED) && e->mode == DISCARD) || !fault(r, who, model.world->fail))
        return false;
    give(r, who, WSR_CI_FAILURE, WSR_CLOSE_INTERNAL_ERROR);
    return true;
}

static bool send_fails(struct run *r, unsigned who)
{
    struct end *e = &r->end[who];
    if (is(e, SEND_DEAD | SHUT) || !fault(r, who, model.world->deaf))
        return false;
    give(r, who, WSR_CI_SEND_ERROR, 0);
    return true;
}

static bool is_reset(struct run *r, unsigned who)
{
    if (!fault(r, who, model.world->resets))
        return false;
    r->end[1 - who].wire = 0;
    give(r, who, WSR_CI_RESET, 0);
    return true;
}

/* The path ends this end's stream behind what it has taken: a middlebox's FIN, a TLS truncation. */
static bool is_truncated(struct run *r, unsigned who)
{
    struct end *e = &r->end[who];
    if (is(e, SHUT) || !fault(r, who, model.world->truncation))
        return false;
    stream_push(&e->wire, FIN);
    now(e, SHUT | SEND_DEAD);
    give(r, who, WSR_CI_SEND_ERROR, 0);
    return true;
}

static bool time_passes(struct run *r, unsigned who)
{
    struct end *e = &r->end[who];
    if (!model.world->timeouts || e->timer == NO_PHASE)
        return false;
    give(r, who, WSR_CI_TIMEOUT, 0);
    return true;
}

static bool transport_takes(struct run *r, unsigned who)
{
    struct end *e = &r->end[who];
    if (e->outbox == 0 || is(e, SHUT | SEND_DEAD | GONE) || stream_len(e->wire) >= STREAM_MAX - 2)
        return false;
    const enum item item = stream_pop(&e->outbox);
    REQUIRE(!is(e, LEFT), "sends a frame after its Close");
    if (item == CLOSE)
        now(e, LEFT);
    if (is_stranger(1 - who)) {
        struct end *stranger = &r->end[1 - who];
        stranger->delivered = (uint8_t)(stranger->delivered + (item == DATA));
        if (item == CLOSE)
            now(stranger, READ_CLOSE);
    } else {
        stream_push(&e->wire, item);
    }
    return true;
}

/* The completion of the send comes at some time after, perhaps after the peer's answer to what was sent. */
static bool end_learns_of_it(struct run *r, unsigned who)
{
    struct end *e = &r->end[who];
    if (!is(e, LEFT) || is(e, FLUSHED | SEND_DEAD | GONE))
        return false;
    give(r, who, WSR_CI_FLUSHED, 0);
    return true;
}

static void read_data(struct end *e)
{
    if (e->mode == DISCARD)
        REQUIRE(is(e, READ_CLOSE | GAVE_UP | FAILED), "discards data that was sent before any Close");
    else
        e->delivered++;
}

static void read_close(struct run *r, unsigned who)
{
    struct end *e = &r->end[who], *sender = &r->end[1 - who];
    if (e->mode == DISCARD)
        return;
    if (!is_stranger(1 - who))
        REQUIRE(sender->dropped > 0 || e->delivered == sender->accepted, "a Close overtakes data: %u of %u came before it", e->delivered,
                sender->accepted);
    give(r, who, WSR_CI_PEER_CLOSE, is_stranger(1 - who) ? WSR_CLOSE_NORMAL : sender->c.code_sent);
}

static bool end_reads(struct run *r, unsigned who)
{
    struct end *e = &r->end[who], *sender = &r->end[1 - who];
    if (sender->wire == 0 || is_stranger(who))
        return false;
    const enum item item = stream_pop(&sender->wire);
    if (is(e, GONE)) { /* the kernel answers for it */
        if (item != FIN && item != RST && !is(e, SEND_DEAD) && !stream_has(e->wire, RST))
            stream_push(&e->wire, RST);
        return true;
    }
    switch (item) {
    case DATA:
        read_data(e);
        break;
    case CLOSE:
        read_close(r, who);
        break;
    case BAD:
        if (e->mode != DISCARD)
            give(r, who, WSR_CI_FAILURE, WSR_CLOSE_PROTOCOL_ERROR);
        break;
    case FIN:
        give(r, who, WSR_CI_EOF, 0);
        break;
    case RST:
        give(r, who, WSR_CI_RESET, 0);
        break;
    case NOTHING:
        abort();
    }
    return true;
}

/* A reset may throw away what was received and not read. */
static bool reset_destroys(struct run *r, unsigned who)
{
    struct end *sender = &r->end[1 - who];
    if (!stream_has(sender->wire, RST) || sender->wire == RST)
        return false;
    sender->wire = RST;
    return true;
}

static bool stranger_sends(struct run *r, unsigned who, enum item item)
{
    struct end *e = &r->end[who];
    if (!is_stranger(who) || is(e, SHUT) || (item != FIN && e->spent >= model.world->frames))
        return false;
    e->spent = (uint8_t)(e->spent + (item != FIN));
    stream_push(&e->wire, item);
    if (item == FIN)
        now(e, SHUT);
    if (e->first == NOTHING) {
        if (item == DATA)
            e->expected++;
        else
            e->first = (uint8_t)item;
    }
    return true;
}

static bool stranger_sends_data(struct run *r, unsigned who)
{
    return stranger_sends(r, who, DATA);
}

static bool stranger_sends_close(struct run *r, unsigned who)
{
    return stranger_sends(r, who, CLOSE);
}

static bool stranger_sends_bad(struct run *r, unsigned who)
{
    return stranger_sends(r, who, BAD);
}

static bool stranger_ends(struct run *r, unsigned who)
{
    return stranger_sends(r, who, FIN);
}

static const struct event {
    const char *name;
    bool (*happens)(struct run *, unsigned);
} events[] = {
    {"sends data", app_sends},
    {"sends a bad frame", app_sends_bad},
    {"closes", app_closes},
    {"aborts", app_aborts},
    {"fails by itself", end_fails},
    {"has a send fail", send_fails},
    {"is reset", is_reset},
    {"is truncated", is_truncated},
    {"reaches its deadline", time_passes},
    {"has the transport take a frame", transport_takes},
    {"learns that its Close has left", end_learns_of_it},
    {"reads", end_reads},
    {"loses input to a reset", reset_destroys},
    {"(stranger) sends data", stranger_sends_data},
    {"(stranger) sends Close", stranger_sends_close},
    {"(stranger) sends a bad frame", stranger_sends_bad},
    {"(stranger) ends its stream", stranger_ends},
};
#define EVENTS (sizeof events / sizeof *events)

/* --- Where nothing more can happen ---------------------------------------------------------------------------------- */

/* Worlds without faults of the transport: whoever closes or fails is heard, and nobody waits. */
static void check_heard(const struct end *e, const struct end *other)
{
    REQUIRE(is(e, GONE), "state %u waits for ever, for nothing more can come", e->c.state);
    REQUIRE(is(e, FLUSHED), "its Close never left");
    if (!is(other, GAVE_UP | FAILED))
        REQUIRE(other->c.code_received == e->c.code_sent, "its Close %u was not heard but %u", e->c.code_sent, other->c.code_received);
}

static void check_stranger_served(const struct end *e, const struct end *stranger)
{
    REQUIRE(is(e, GONE), "state %u waits for ever, although the stream has ended", e->c.state);
    REQUIRE(e->delivered == stranger->expected, "delivers %u messages of %u", e->delivered, stranger->expected);
    const bool heard = is(stranger, READ_CLOSE);
    if (stranger->first == CLOSE) {
        REQUIRE(heard && e->c.clean, "a peer that closed in order is not answered, or its end is not clean");
        REQUIRE(stranger->delivered == e->accepted, "data accepted before the Close is lost");
    } else if (stranger->first == BAD) {
        REQUIRE(heard && !e->c.clean, "a peer that broke the protocol is not told");
    } else if (is(e, CLOSED_BY_APP)) {
        REQUIRE(heard && !e->c.clean, "an end of stream keeps our Close from leaving");
        REQUIRE(stranger->delivered == e->accepted, "an end of stream loses data accepted before our Close");
    }
}

static void check_final(const struct run *r)
{
    const struct world *w = model.world;
    if (w->stranger && w->timeouts) {
        REQUIRE(is(&r->end[w->role], GONE), "state %u is never left", r->end[w->role].c.state);
        return;
    }
    if (w->stranger) {
        check_stranger_served(&r->end[w->role], &r->end[1 - w->role]);
        return;
    }
    const bool idle = r->end[0].c.state == WSR_CS_OPEN && r->end[1].c.state == WSR_CS_OPEN;
    for (unsigned who = 0; who < 2; who++) {
        const struct end *e = &r->end[who], *other = &r->end[1 - who];
        if (!w->timeouts && !w->deaf) {
            if (!idle)
                check_heard(e, other);
            if (r->faults == 0) {
                REQUIRE(idle || e->c.clean, "a run without fault is not clean");
                REQUIRE(other->delivered == e->accepted, "a run without fault loses data");
                REQUIRE(idle || is(e, CLOSED_BY_APP) || e->c.by == WSR_BY_PEER, "the end that did not close is said to have begun");
            }
        } else if (w->timeouts) {
            REQUIRE(is(e, GONE) || e->c.state == WSR_CS_OPEN, "state %u is never left", e->c.state);
        } else if (is(other, LEFT) && other->c.code_sent == (who == WSR_SERVER ? WSR_CLOSE_NORMAL : WSR_CLOSE_GOING_AWAY)) {
            /* Only sends fail here: what the peer sent before is still read, and what was flushed before still counts. */
            REQUIRE(e->c.code_received == other->c.code_sent, "a failed send makes it deaf to the peer's Close");
        }
    }
}

/* --- The exploration ------------------------------------------------------------------------------------------------ */

static uint64_t hash(const struct run *r)
{
    uint64_t words[sizeof *r / 8], h = 0x9E3779B97F4A7C15u;
    _Static_assert(sizeof *r % 8 == 0, "hashed in words");
    memcpy(words, r, sizeof words);
    for (size_t i = 0; i < sizeof words / 8; i++) {
        h = (h ^ words[i]) * 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
    }
    return h;
}

static void *grow(void *ptr, size_t bytes)
{
    void *grown = realloc(ptr, bytes);
    if (grown == NULL)
        abort();
    return grown;
}

/* Where r is in the index, or would be. An entry is the upper half of the hash and, lower, 1 + the number; 0 is free. */
static uint64_t *find(const struct run *r, uint64_t h)
{
    for (size_t i = h & (model.index_cap - 1);; i = (i + 1) & (model.index_cap - 1)) {
        const uint64_t entry = model.index[i];
        if (entry == 0 || (entry >> 32 == h >> 32 && memcmp(&model.met[(uint32_t)entry - 1].run, r, sizeof *r) == 0))
            return &model.index[i];
    }
}

static uint64_t entry_of(uint64_t h, uint32_t number)
{
    return (h & 0xFFFFFFFF00000000u) | (number + 1u);
}

static void clear_index(size_t cap)
{
    model.index_cap = cap;
    model.index = grow(model.index, cap * sizeof *model.index);
    memset(model.index, 0, cap * sizeof *model.index);
}

/* Notes a state and returns its number; UINT32_MAX if it had been met before (and whether all that follows is known). */
static uint32_t meet(const struct run *r, bool *finished)
{
    const uint64_t h = hash(r);
    uint64_t *entry = find(r, h);
    if (*entry != 0) {
        *finished = model.met[(uint32_t)*entry - 1].finished;
        return UINT32_MAX;
    }
    const uint32_t number = (uint32_t)model.result.states++;
    *entry = entry_of(h, number);
    if (number == model.met_cap) {
        model.met_cap = model.met_cap == 0 ? 4096 : model.met_cap * 2;
        model.met = grow(model.met, model.met_cap * sizeof *model.met);
    }
    memcpy(&model.met[number].run, r, sizeof *r);
    model.met[number].finished = false;
    if (2 * model.result.states > model.index_cap) {
        clear_index(model.index_cap * 4);
        for (uint32_t i = 0; i <= number; i++) {
            const uint64_t hi = hash(&model.met[i].run);
            *find(&model.met[i].run, hi) = entry_of(hi, i);
        }
    }
    return number;
}

/* Depth first. Meeting a state of the path again is a run that need not end. */
static void explore(const struct run *r)
{
    bool finished = true;
    const uint32_t number = meet(r, &finished);
    REQUIRE(finished, "a run without end");
    if (number == UINT32_MAX)
        return;
    if (model.depth + 1 >= DEPTH_MAX)
        abort(); /* a world larger than was thought */
    for (unsigned who = 0; who < 2; who++)
        if (!is_stranger(who))
            check_ignored(&r->end[who], who);

    bool final = true;
    struct run next;
    memcpy(&next, r, sizeof next);
    for (unsigned i = 0; i < 2 * EVENTS && model.result.violation == NULL; i++) {
        model.path[model.depth] = (struct step){events[i / 2].name, i % 2};
        if (!events[i / 2].happens(&next, i % 2))
            continue;
        final = false;
        if (++model.depth > model.result.depth)
            model.result.depth = model.depth;
        if (model.result.violation != NULL)
            return;
        explore(&next);
        if (model.result.violation != NULL)
            return;
        model.depth--;
        memcpy(&next, r, sizeof next);
    }
    if (final) {
        model.result.ends++;
        check_final(r);
    }
    model.met[number].finished = true;
}

#define EVERY_TROUBLE .bad = true, .fail = true, .deaf = true, .abort = true, .timeouts = true, .resets = true, .truncation = true

/* Each world has a kind of trouble of its own; the last has all of it at both ends. */
static const struct world model_worlds[] = {
    {.name = "calm", .data = 2},
    {.name = "server, stranger", .data = 1, .stranger = true, .role = WSR_SERVER, .frames = 3},
    {.name = "client, stranger", .data = 1, .stranger = true, .role = WSR_CLIENT, .frames = 3},
    {.name = "send errors", .data = 1, .faults = 1, .deaf = true},
    {.name = "server, stranger, lossy", .data = 1, .stranger = true, .role = WSR_SERVER, .frames = 2, .faults = 3, EVERY_TROUBLE},
    {.name = "client, stranger, lossy", .data = 1, .stranger = true, .role = WSR_CLIENT, .frames = 2, .faults = 3, EVERY_TROUBLE},
    {.name = "failures", .data = 1, .faults = 2, .bad = true, .fail = true},
    {.name = "lossy", .data = 1, .faults = 2, EVERY_TROUBLE},
};
#define MODEL_WORLDS (sizeof model_worlds / sizeof *model_worlds)

/*
 * Explores one world over a table, with at most faults_max faults in a run. The result's text, and model.path, the way to
 * a violation, stay until the next call.
 */
static struct model_result model_explore(const struct wsr_close_table *table, const struct world *world, unsigned faults_max)
{
    struct world limited = *world;
    if (limited.faults > faults_max)
        limited.faults = faults_max;
    model.table = table;
    model.world = &limited;
    model.depth = 0;
    memset(&model.result, 0, sizeof model.result);
    clear_index(1024);
    struct run start;
    memset(&start, 0, sizeof start);
    explore(&start);
    model.world = NULL;
    return model.result;
}

static void model_free(void)
{
    free(model.met);
    free(model.index);
    memset(&model, 0, sizeof model);
}
