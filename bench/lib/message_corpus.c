/*
 * bench/lib/message_corpus.c - see message_corpus.h.
 */
#include "lib/message_corpus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_BYTES_MAX = 4096, INSTRUMENTS = 32 };

struct instrument {
    char name[12];
    int64_t price; /* in hundredths */
    uint64_t update_id, trade_id;
};

struct maker {
    uint64_t random;
    uint64_t time_ms;
    struct instrument instruments[INSTRUMENTS];
    unsigned chatting; /* who typed last */
};

/* xorshift64 */
static uint64_t draw(struct maker *m)
{
    uint64_t x = m->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return m->random = x;
}

/* 0 to n - 1, each as likely */
static unsigned below(struct maker *m, unsigned n)
{
    return (unsigned)((draw(m) >> 20) % n);
}

/* 0 to n - 1, small ones much more often: about as words and instruments come in life (Zipf, exponent 1). */
static unsigned zipf_below(struct maker *m, unsigned n)
{
    unsigned top = 0;
    while (n >> top > 1)
        top++;
    unsigned octave = below(m, top + 1); /* every octave of ranks is as likely as any other */
    unsigned rank = (1u << octave) - 1 + below(m, 1u << octave);
    return rank < n ? rank : below(m, n);
}

static const char *const bases[] = {"BTC", "ETH", "SOL", "XRP", "ADA", "LTC", "DOT", "AVAX"};
static const char *const quotes[] = {"USDT", "EUR", "BTC", "USDC"};

static void begin(struct maker *m, uint64_t seed)
{
    memset(m, 0, sizeof *m);
    m->random = seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
    m->time_ms = UINT64_C(1700000000000);
    for (unsigned i = 0; i < INSTRUMENTS; i++) {
        struct instrument *in = &m->instruments[i];
        (void)snprintf(in->name, sizeof in->name, "%s%s", bases[i / 4], quotes[i % 4]);
        in->price = 500 + (int64_t)below(m, 6000000);
        in->update_id = UINT64_C(40000000000) + below(m, 1000000000);
        in->trade_id = UINT64_C(3000000000) + below(m, 100000000);
    }
}

static struct instrument *move_market(struct maker *m)
{
    struct instrument *in = &m->instruments[zipf_below(m, INSTRUMENTS)];
    m->time_ms += below(m, 9);
    in->price += (int64_t)below(m, 41) - 20;
    if (in->price < 100)
        in->price = 100;
    in->update_id += 1 + below(m, 30);
    in->trade_id++;
    return in;
}

/* Quantities people trade: round ones often. */
static uint64_t quantity(struct maker *m)
{
    unsigned digits = 1 + below(m, 6);
    uint64_t q = 1 + draw(m) % 999999;
    while (digits++ < 6)
        q -= q % 10, q += q == 0 ? 10 : 0;
    return q * 10;
}

/* --- ticks --- */

static size_t put_levels(struct maker *m, char *out, size_t cap, const char *side, int64_t price, int step)
{
    size_t at = (size_t)snprintf(out, cap, ",\"%s\":[", side);
    unsigned n = below(m, 12);
    for (unsigned i = 0; i < n; i++) {
        price += step * (int64_t)(1 + below(m, 4));
        uint64_t q = below(m, 4) == 0 ? 0 : quantity(m);
        at += (size_t)snprintf(out + at, cap - at, "%s[\"%" PRId64 ".%02d\",\"%" PRIu64 ".%05u\"]", i > 0 ? "," : "", price / 100,
                               (int)(price % 100), q / 100000, (unsigned)(q % 100000));
    }
    return at + (size_t)snprintf(out + at, cap - at, "]");
}

static size_t make_tick(struct maker *m, char *out, size_t cap)
{
    const struct instrument *in = move_market(m);
    uint64_t q = quantity(m);
    int64_t p = in->price;
    switch (below(m, 8)) {
    case 0: /* a day's figures */
        return (size_t)snprintf(out, cap,
                                "{\"e\":\"24hrTicker\",\"E\":%" PRIu64 ",\"s\":\"%s\",\"p\":\"%d.%02u\",\"P\":\"%d.%03u\",\"c\":\"%" PRId64
                                ".%02d\",\"Q\":\"%" PRIu64 ".%05u\",\"o\":\"%" PRId64 ".%02d\",\"h\":\"%" PRId64 ".%02d\",\"l\":\"%" PRId64
                                ".%02d\",\"v\":\"%u.%05u\",\"n\":%u}",
                                m->time_ms, in->name, (int)below(m, 90), below(m, 100), (int)below(m, 5), below(m, 1000), p / 100,
                                (int)(p % 100), q / 100000, (unsigned)(q % 100000), p / 101, (int)(p % 97), p / 98, (int)(p % 89), p / 103,
                                (int)(p % 83), 10000 + below(m, 90000), below(m, 100000), 100000 + below(m, 900000));
    case 1:
    case 2:
    case 3: /* the book has changed */
    {
        size_t at = (size_t)snprintf(out, cap, "{\"e\":\"depthUpdate\",\"E\":%" PRIu64 ",\"s\":\"%s\",\"U\":%" PRIu64 ",\"u\":%" PRIu64,
                                     m->time_ms, in->name, in->update_id - below(m, 20), in->update_id);
        at += put_levels(m, out + at, cap - at, "b", p, -1);
        at += put_levels(m, out + at, cap - at, "a", p, 1);
        return at + (size_t)snprintf(out + at, cap - at, "}");
    }
    default: /* a trade */
        return (size_t)snprintf(out, cap,
                                "{\"e\":\"trade\",\"E\":%" PRIu64 ",\"s\":\"%s\",\"t\":%" PRIu64 ",\"p\":\"%" PRId64 ".%02d\",\"q\":\"%" PRIu64
                                ".%05u\",\"T\":%" PRIu64 ",\"m\":%s}",
                                m->time_ms, in->name, in->trade_id, p / 100, (int)(p % 100), q / 100000, (unsigned)(q % 100000),
                                m->time_ms - below(m, 3), below(m, 2) != 0 ? "true" : "false");
    }
}

/* --- chat --- */

/* The words of English by their frequency, roughly, and behind them those of people who work together. */
static const char words[] =
    "the be to of and a in that have I it for not on with he as you do at this but his by from they we say her she or an will my one all "
    "would there their what so up out if about who get which go me when make can like time no just him know take people into year your "
    "good some could them see other than then now look only come its over think also back after use two how our work first well way even "
    "new want because any these give day most us is are was were been has had did does said got going really maybe yes yeah ok thanks "
    "sorry please sure great nice right still need here where why too very much more many something anything nothing everyone someone "
    "today tomorrow yesterday morning tonight week month soon later again already never always sometimes before until while between "
    "through without against during under around another same different last next long little own old big high small large young "
    "important few public bad able home house room door water food coffee lunch dinner train bus car phone call meeting team project "
    "server client build test deploy release branch review merge ticket bug fix error log queue cache latency timeout retry connection "
    "message channel update version config database query index table schema migration rollback monitor alert dashboard metric traffic "
    "customer order price market trade invoice contract email document page button screen mobile design color picture video music game "
    "movie book story idea question answer problem reason result change plan start finish stop keep leave move turn bring send check "
    "happen seem feel try ask tell show hear play run believe hold write provide sit stand lose pay meet include continue set learn "
    "lead understand watch follow create speak read allow add spend grow open walk win offer remember love consider appear buy wait "
    "serve die expect stay fall cut reach kill remain suggest raise pass sell require report decide pull";

static const char *const people[] = {"maria", "jonas", "aiko",  "tom_h",  "priya", "lukas", "sofia.r", "ben",
                                     "chen",  "olga",  "dmitri", "fatima", "noah",  "elif",  "hannah",  "ravi"};
static const char *const extras[] = {" \\uD83D\\uDE00", " :)", " \xF0\x9F\x91\x8D", "!!", " lol", " \xE2\x80\x93 caf\xC3\xA9?", "...", " \xF0\x9F\x8E\x89"};

static size_t put_word(struct maker *m, char *out)
{
    static const char *starts[600];
    static unsigned n;
    if (n == 0) {
        for (const char *p = words; p != NULL; p = strchr(p, ' '))
            p += *p == ' ', starts[n++] = p;
    }
    const char *word = starts[zipf_below(m, n)];
    size_t len = strcspn(word, " ");
    memcpy(out, word, len);
    return len;
}

static size_t make_chat(struct maker *m, char *out, size_t cap)
{
    static const char *const channels[] = {"general", "random", "engineering", "support"};
    m->time_ms += 200 + below(m, 30000);
    if (below(m, 3) != 0)
        m->chatting = below(m, sizeof people / sizeof people[0]);
    size_t at = (size_t)snprintf(out, cap, "{\"type\":\"message\",\"channel\":\"%s\",\"user\":\"%s\",\"id\":\"%08" PRIx64 "\",\"ts\":%" PRIu64
                                 ".%03u,\"text\":\"",
                                 channels[zipf_below(m, 4)], people[m->chatting], draw(m) & 0xFFFFFFFF, m->time_ms / 1000, below(m, 1000));
    unsigned n = 3 + below(m, 12) + (below(m, 4) == 0 ? below(m, 60) : 0);
    for (unsigned i = 0; i < n; i++) {
        at += put_word(m, out + at);
        if (i + 1 < n) {
            if (below(m, 9) == 0)
                out[at++] = below(m, 3) == 0 ? '.' : ',';
            out[at++] = ' ';
        }
    }
    if (below(m, 3) == 0)
        at += (size_t)snprintf(out + at, cap - at, "%s", extras[below(m, sizeof extras / sizeof extras[0])]);
    return at + (size_t)snprintf(out + at, cap - at, "\"}");
}

/* --- binary --- */

static uint8_t *put_le(uint8_t *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        *out++ = (uint8_t)(value >> 8 * i);
    return out;
}

/* A packet of 16 bytes of head and up to 43 records: what an exchange sends, an Ethernet frame's worth at most. */
static size_t make_binary(struct maker *m, char *text, size_t cap)
{
    uint8_t *out = (uint8_t *)text;
    const uint8_t *start = out;
    unsigned n = 1 + (below(m, 3) == 0 ? below(m, 43) : below(m, 16));
    (void)cap;
    out = put_le(out, m->instruments[0].update_id++, 8);
    out = put_le(out, m->time_ms, 6);
    out = put_le(out, n, 2);
    for (unsigned i = 0; i < n; i++) {
        const struct instrument *in = move_market(m);
        out = put_le(out, m->time_ms * 1000000 + below(m, 1000000), 8);
        out = put_le(out, (uint64_t)(in - m->instruments) + 1001, 4);
        out = put_le(out, below(m, 3), 1);                        /* new, change, delete */
        out = put_le(out, below(m, 2), 1);                        /* side */
        out = put_le(out, below(m, 10), 2);                       /* depth */
        out = put_le(out, (uint64_t)in->price * 10000, 8);
        out = put_le(out, quantity(m), 4);
        out = put_le(out, in->update_id, 4);
    }
    return (size_t)(out - start);
}

/* --- all of them --- */

const char *message_kind_name(enum message_kind kind)
{
    static const char *const names[MESSAGE_KINDS] = {"ticks", "chat", "binary"};
    return names[kind];
}

static size_t make_one(struct maker *m, enum message_kind kind, char out[MESSAGE_BYTES_MAX])
{
    switch (kind) {
    case MESSAGE_TICKS:
        return make_tick(m, out, MESSAGE_BYTES_MAX);
    case MESSAGE_CHAT:
        return make_chat(m, out, MESSAGE_BYTES_MAX);
    default:
        return make_binary(m, out, MESSAGE_BYTES_MAX);
    }
}

bool message_corpus_make(struct message_corpus *corpus, enum message_kind kind, size_t bytes, uint64_t seed)
{
    enum { MESSAGE_BYTES_MIN = 16 };
    corpus->n = 0;
    corpus->bytes = malloc(bytes + MESSAGE_BYTES_MAX);
    corpus->ends = malloc((bytes / MESSAGE_BYTES_MIN + 1) * sizeof corpus->ends[0]);
    if (corpus->bytes == NULL || corpus->ends == NULL) {
        message_corpus_free(corpus);
        return false;
    }
    struct maker maker;
    begin(&maker, seed);
    for (size_t at = 0; at < bytes;) {
        at += make_one(&maker, kind, (char *)corpus->bytes + at);
        corpus->ends[corpus->n++] = at;
    }
    return true;
}

void message_corpus_free(struct message_corpus *corpus)
{
    free(corpus->bytes);
    free(corpus->ends);
    corpus->bytes = NULL;
    corpus->ends = NULL;
}
