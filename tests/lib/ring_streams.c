/*
 * tests/lib/ring_streams.c - scripts of whole streams: any number of them at once through one ring, in pieces of any size,
 * buffers held back for a while, every byte checked when it comes and again when its buffer goes back.
 */
#include "lib/ring_stage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FLOWS_MAX 64u
#define HELD_MAX 64u

struct flow {
    int out, in;
    size_t sent, got; /* bytes confirmed, bytes received */
    size_t flying;
    uint8_t *payload; /* what flies */
    bool ended;       /* EOF seen */
};

struct held {
    uint32_t buffer, flow;
    uint8_t *ptr;
    size_t len, offset;
};

struct transfer {
    struct stage *stage;
    struct flow flows[FLOWS_MAX];
    unsigned n;
    size_t flow_bytes, send_bytes_max;
    unsigned slices_max;
    struct held held[HELD_MAX];
    unsigned held_n, held_max;
    unsigned starved;       /* receives that ended with ENOBUFS */
    unsigned rearmed;       /* receives that ended with bytes */
    unsigned ended;
};

static void transfer_send(struct transfer *t, unsigned index)
{
    struct flow *flow = &t->flows[index];
    if (flow->sent == t->flow_bytes) {
        assert_int_equal(wsr_sys_shutdown_write(flow->out), 0);
        return;
    }
    size_t left = t->flow_bytes - flow->sent;
    size_t max = left < t->send_bytes_max ? left : t->send_bytes_max;
    flow->flying = 1 + random_up_to(&t->stage->random, max - 1);
    pattern_fill(flow->payload, index, flow->sent, flow->flying);

    wsr_slice slices[WSR_RING_SLICES_MAX];
    unsigned n = 1 + (unsigned)random_up_to(&t->stage->random, t->slices_max - 1);
    size_t at = 0;
    for (unsigned i = 0; i < n; i++) {
        size_t len = i + 1 == n ? flow->flying - at : random_up_to(&t->stage->random, (flow->flying - at) / 2);
        slices[i].ptr = flow->payload + at;
        slices[i].len = len;
        at += len;
    }
    assert_int_equal(wsr_ring_send(t->stage->ring, flow->out, TAG(SEND, index), slices, n), 0);
}

static void transfer_release(struct transfer *t)
{
    unsigned at = (unsigned)random_up_to(&t->stage->random, t->held_n - 1);
    struct held held = t->held[at];
    t->held[at] = t->held[--t->held_n];
    pattern_check(held.ptr, held.flow, held.offset, held.len); /* nobody has written there meanwhile */
    memset(held.ptr, 0xee, held.len);                          /* and it is ours to write */
    wsr_ring_release(t->stage->ring, held.buffer);
}

static void transfer_received(struct transfer *t, const struct wsr_completion *c)
{
    unsigned index = TAG_INDEX(c->tag);
    struct flow *flow = &t->flows[index];
    if ((c->flags & WSR_COMPLETION_BYTES) != 0) {
        assert_true(c->res > 0);
        pattern_check(c->ptr, index, flow->got, (size_t)c->res);
        struct held held = {c->buffer, index, c->ptr, (size_t)c->res, flow->got};
        if (random_up_to(&t->stage->random, 3) == 0 && t->held_n < HELD_MAX) {
            wsr_ring_hold(t->stage->ring, c->buffer); /* a second hold on the same bytes, given back before the first */
            wsr_ring_release(t->stage->ring, c->buffer);
        }
        t->held[t->held_n++] = held;
        flow->got += (size_t)c->res;
    }
    while (t->held_n > t->held_max)
        transfer_release(t);
    if ((c->flags & WSR_COMPLETION_MORE) != 0)
        return;
    if (c->res == 0) {
        assert_int_equal(flow->got, t->flow_bytes);
        flow->ended = true;
        t->ended++;
        return;
    }
    if (c->res < 0) {
        assert_int_equal(c->res, -ENOBUFS);
        t->starved++;
        while (t->held_n > 0)
            transfer_release(t);
        assert_true(wsr_ring_buffers_free(t->stage->ring, false) > 0);
    } else {
        t->rearmed++;
    }
    assert_int_equal(wsr_ring_receive(t->stage->ring, flow->in, TAG(RECEIVE, index), c->res < 0), 0);
}

static void transfer_sent(struct transfer *t, const struct wsr_completion *c)
{
    struct flow *flow = &t->flows[TAG_INDEX(c->tag)];
    assert_true(c->res > 0 && (size_t)c->res <= flow->flying);
    assert_int_equal(c->flags, 0);
    flow->sent += (size_t)c->res; /* after a short one the rest is made anew, from where it stopped */
    transfer_send(t, TAG_INDEX(c->tag));
}

static void transfer_run(struct transfer *t, struct stage *stage)
{
    t->stage = stage;
    assert_int_equal(wsr_ring_accept(stage->ring, stage->listener, TAG(ACCEPT, 0)), 0);
    for (unsigned i = 0; i < t->n; i++) {
        make_pair(stage, &t->flows[i].out, &t->flows[i].in);
        t->flows[i].payload = malloc(t->send_bytes_max);
        assert_non_null(t->flows[i].payload);
    }
    for (unsigned i = 0; i < t->n; i++) {
        assert_int_equal(wsr_ring_receive(stage->ring, t->flows[i].in, TAG(RECEIVE, i), random_up_to(&stage->random, 1) == 1), 0);
        transfer_send(t, i);
    }
    while (t->ended < t->n) {
        struct wsr_completion c = take(stage);
        if (TAG_KIND(c.tag) == RECEIVE)
            transfer_received(t, &c);
        else if (TAG_KIND(c.tag) == SEND)
            transfer_sent(t, &c);
        else
            fail_msg("unexpected tag %llx", (unsigned long long)c.tag);
    }
    while (t->held_n > 0)
        transfer_release(t);
    for (unsigned i = 0; i < t->n; i++) {
        assert_int_equal(t->flows[i].sent, t->flow_bytes);
        wsr_sys_close(t->flows[i].out);
        wsr_sys_close(t->flows[i].in);
        free(t->flows[i].payload);
    }
}

static void run_transfer(const struct wsr_ring_config *config, uint64_t seed, struct transfer *t)
{
    struct stage stage;
    stage_open(&stage, config, seed);
    t->flow_bytes /= ring_scripts_shrink;
    t->send_bytes_max = t->send_bytes_max / ring_scripts_shrink + 1;
    unsigned buffers = wsr_ring_buffers_free(stage.ring, false);
    transfer_run(t, &stage);
    assert_int_equal(wsr_ring_buffers_free(stage.ring, false), buffers); /* out = in */
    stage_close(&stage);
}

void ring_script_one_stream(const struct wsr_ring_config *config, uint64_t seed)
{
    struct transfer t = {.n = 1, .flow_bytes = 3000, .send_bytes_max = 100, .slices_max = 1};
    run_transfer(config, seed, &t);
}

void ring_script_many_slices(const struct wsr_ring_config *config, uint64_t seed)
{
    struct transfer t = {.n = 3, .flow_bytes = 300000, .send_bytes_max = 60000, .slices_max = WSR_RING_SLICES_MAX};
    run_transfer(config, seed, &t);
}

/* More completions than the CQ has room for, at once: each receive may be ended by it, none may be lost. */
void ring_script_short_cq(const struct wsr_ring_config *config, uint64_t seed)
{
    struct wsr_ring_config small = *config;
    small.sq_entries = 4;
    small.cq_entries = 4;
    struct transfer t = {.n = 40, .flow_bytes = 4000, .send_bytes_max = 600, .slices_max = 2};
    run_transfer(&small, seed, &t);
}

/* Far more bytes than the arena holds, with buffers held back: receives starve and recover. */
void ring_script_starved(const struct wsr_ring_config *config, uint64_t seed)
{
    struct wsr_ring_config small = *config;
    small.buffers = 2;
    small.buffer_bytes = 1024;
    struct transfer t = {.n = 4, .flow_bytes = 40000, .send_bytes_max = 5000, .slices_max = 3, .held_max = 20};
    run_transfer(&small, seed, &t);
}

void ring_script_holds(const struct wsr_ring_config *config, uint64_t seed)
{
    struct wsr_ring_config small = *config;
    small.buffers = 16;
    small.buffer_bytes = 4096;
    struct transfer t = {.n = 5, .flow_bytes = 200000, .send_bytes_max = 9000, .slices_max = 4, .held_max = 10};
    run_transfer(&small, seed, &t);
}

/* ---- without copying ---- */

static bool is_refusal(int32_t res)
{
    return res == -EOPNOTSUPP || res == -ENOMEM || res == -ENOBUFS;
}

/* One send behind the other, none waiting for what is still needed of those before: each ends once more than it is sent, if it is. */
static void stream_zero_copy(struct stage *stage, int client, int server, const uint8_t *bytes, size_t total)
{
    size_t got = 0, sent = 0;
    unsigned begun = 0, ended = 0;
    bool under_way = false;
    assert_int_equal(wsr_ring_receive(stage->ring, server, TAG(RECEIVE, 0), false), 0);
    while (got < total || ended < begun) {
        if (!under_way && sent < total) {
            const size_t len = 1 + random_up_to(&stage->random, total - sent - 1), half = len / 2;
            const wsr_slice slices[2] = {{bytes + sent, half > 0 ? half : len}, {bytes + sent + half, len - half}};
            assert_int_equal(wsr_ring_send_zero_copy(stage->ring, client, TAG(SEND, begun++), slices, half > 0 ? 2 : 1), 0);
            under_way = true;
        }
        const struct wsr_completion c = take(stage);
        if (TAG_KIND(c.tag) == SEND) {
            if (under_way && TAG_INDEX(c.tag) == begun - 1) {
                assert_true(c.res > 0 || is_refusal(c.res));
                sent += c.res > 0 ? (size_t)c.res : 0;
                under_way = false;
            } else {
                assert_int_equal(c.flags, 0); /* its last */
            }
            ended += (c.flags & WSR_COMPLETION_MORE) == 0;
            continue;
        }
        if ((c.flags & WSR_COMPLETION_BYTES) != 0) {
            pattern_check(c.ptr, 1, got, (size_t)c.res);
            got += (size_t)c.res;
            wsr_ring_release(stage->ring, c.buffer);
        } else {
            assert_int_equal(c.res, -ENOBUFS);
        }
        if ((c.flags & WSR_COMPLETION_MORE) == 0)
            assert_int_equal(wsr_ring_receive(stage->ring, server, TAG(RECEIVE, 0), c.res < 0), 0);
    }
}

/* A peer that does not read, and a cancel: that ends the send, but not what is needed of it; a reset does. */
static void cancel_zero_copy(struct stage *stage, const uint8_t *bytes)
{
    int client, server;
    make_only_pair(stage, &client, &server);
    const wsr_slice slice = {bytes, ring_scripts_flood_bytes};
    assert_int_equal(wsr_ring_send_zero_copy(stage->ring, client, TAG(SEND, 0), &slice, 1), 0);
    assert_int_equal(wsr_ring_wait(stage->ring, 20 * MILLISECOND), 0);
    assert_int_equal(wsr_ring_cancel(stage->ring, TAG(SEND, 0), TAG(CANCEL, 1)), 0);
    bool cancelled = false, sent = false, ended = false;
    while (!cancelled || !sent) {
        const struct wsr_completion c = take(stage);
        if (c.tag == TAG(CANCEL, 1)) {
            cancelled = true;
            continue;
        }
        assert_int_equal(c.tag, TAG(SEND, 0));
        assert_false(ended);
        assert_true(sent || c.res == -ECANCELED || is_refusal(c.res) || (c.res > 0 && (size_t)c.res < slice.len));
        sent = true;
        ended = (c.flags & WSR_COMPLETION_MORE) == 0;
    }
    wsr_sys_reset(client);
    while (!ended) {
        const struct wsr_completion c = take(stage);
        assert_int_equal(c.tag, TAG(SEND, 0));
        ended = (c.flags & WSR_COMPLETION_MORE) == 0;
    }
    wsr_sys_close(server);
}

void ring_script_zero_copy(const struct wsr_ring_config *config, uint64_t seed)
{
    struct wsr_ring_config with = *config;
    with.zero_copy = true;
    struct stage stage;
    stage_open(&stage, &with, seed);
    const size_t total = 400000, most = total > ring_scripts_flood_bytes ? total : ring_scripts_flood_bytes;
    uint8_t *bytes = malloc(most);
    assert_non_null(bytes);
    pattern_fill(bytes, 1, 0, most);
    cancel_zero_copy(&stage, bytes);
    int client, server;
    make_only_pair(&stage, &client, &server);
    stream_zero_copy(&stage, client, server, bytes, total);
    assert_true(wsr_ring_close(stage.ring));
    wsr_sys_close(client);
    wsr_sys_close(server);
    wsr_sys_close(stage.listener);
    free(bytes);
}
