/*
 * tests/lib/ring_scripts.c - see ring_scripts.h: the scripts about one thing each, and the list of all. Whole streams are in
 * ring_streams.c.
 */
#include "lib/ring_stage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

size_t ring_scripts_flood_bytes = (size_t)24 << 20;
unsigned ring_scripts_shrink = 1;

/* Starved for certain: nothing is given back until the ring says so; then the bytes that waited come. */
static void script_enobufs(const struct wsr_ring_config *config, uint64_t seed)
{
    struct wsr_ring_config small = *config;
    small.buffers = 2;
    small.buffer_bytes = 512;
    struct stage stage;
    stage_open(&stage, &small, seed);
    int client, server;
    make_only_pair(&stage, &client, &server);
    uint8_t bytes[4000];
    pattern_fill(bytes, 7, 0, sizeof bytes);
    wsr_slice slice = {bytes, sizeof bytes};
    assert_int_equal(wsr_ring_receive(stage.ring, server, TAG(RECEIVE, 0), false), 0);
    assert_int_equal(wsr_ring_send(stage.ring, client, TAG(SEND, 0), &slice, 1), 0);

    size_t got = 0, sent = 0;
    unsigned starved = 0;
    struct wsr_completion kept[sizeof bytes];
    unsigned kept_n = 0;
    while (got < sizeof bytes || sent < sizeof bytes) {
        struct wsr_completion c = take(&stage);
        if (TAG_KIND(c.tag) == SEND) {
            assert_true(c.res > 0);
            sent += (size_t)c.res;
            slice.ptr = bytes + sent;
            slice.len = sizeof bytes - sent;
            if (sent < sizeof bytes)
                assert_int_equal(wsr_ring_send(stage.ring, client, TAG(SEND, 0), &slice, 1), 0);
            continue;
        }
        if (c.res > 0) {
            pattern_check(c.ptr, 7, got, (size_t)c.res);
            got += (size_t)c.res;
            kept[kept_n++] = c;
        } else {
            assert_int_equal(c.res, -ENOBUFS);
            assert_int_equal(c.flags, 0);
            starved++;
            for (unsigned i = 0; i < kept_n; i++)
                wsr_ring_release(stage.ring, kept[i].buffer);
            kept_n = 0;
            assert_true(wsr_ring_buffers_free(stage.ring, false) > 0);
        }
        if ((c.flags & WSR_COMPLETION_MORE) == 0)
            assert_int_equal(wsr_ring_receive(stage.ring, server, TAG(RECEIVE, 0), c.res < 0), 0);
    }
    assert_true(starved > 0);
    for (unsigned i = 0; i < kept_n; i++)
        wsr_ring_release(stage.ring, kept[i].buffer);
    assert_int_equal(wsr_ring_buffers_free(stage.ring, false), 2);
    wsr_ring_close(stage.ring); /* the receive is still armed */
    wsr_sys_close(client);
    wsr_sys_close(server);
    wsr_sys_close(stage.listener);
}

/* Cancels `target` and takes both its last completion and the cancel's, in either order. Returns the target's res. */
static int32_t cancel_and_take(struct stage *stage, uint64_t target)
{
    assert_int_equal(wsr_ring_cancel(stage->ring, target, TAG(CANCEL, 9)), 0);
    bool cancelled = false, ended = false;
    int32_t res = 0;
    while (!cancelled || !ended) {
        struct wsr_completion c = take(stage);
        if (c.tag == target) {
            res = c.res;
            assert_false(ended);
            ended = (c.flags & WSR_COMPLETION_MORE) == 0;
            if ((c.flags & WSR_COMPLETION_BYTES) != 0)
                wsr_ring_release(stage->ring, c.buffer);
        } else {
            assert_int_equal(c.tag, TAG(CANCEL, 9));
            cancelled = true;
            assert_true(c.res >= 0);
        }
    }
    return res;
}

static void script_cancel(const struct wsr_ring_config *config, uint64_t seed)
{
    struct stage stage;
    stage_open(&stage, config, seed);
    int client, server;
    make_only_pair(&stage, &client, &server);

    assert_int_equal(wsr_ring_receive(stage.ring, server, TAG(RECEIVE, 0), false), 0);
    take_nothing(&stage);
    assert_int_equal(cancel_and_take(&stage, TAG(RECEIVE, 0)), -ECANCELED);

    /* In the same batch as the operation itself. */
    assert_int_equal(wsr_ring_receive(stage.ring, server, TAG(RECEIVE, 1), true), 0);
    assert_int_equal(cancel_and_take(&stage, TAG(RECEIVE, 1)), -ECANCELED);

    uint64_t far = wsr_sys_now_ns() + (uint64_t)3600 * SECOND;
    assert_int_equal(wsr_ring_timer(stage.ring, far, TAG(TIMER, 0)), 0);
    take_nothing(&stage);
    assert_int_equal(cancel_and_take(&stage, TAG(TIMER, 0)), -ECANCELED);

    /* Nobody there: says so. */
    assert_int_equal(wsr_ring_cancel(stage.ring, TAG(RECEIVE, 77), TAG(CANCEL, 0)), 0);
    struct wsr_completion c = take(&stage);
    assert_int_equal(c.tag, TAG(CANCEL, 0));
    assert_int_equal(c.res, 0);

    /* The bytes that came after the cancel are for the next receive. */
    wsr_slice hello = {(const uint8_t *)"hello", 5};
    send_all(&stage, client, hello);
    assert_int_equal(wsr_ring_receive(stage.ring, server, TAG(RECEIVE, 2), false), 0);
    size_t got = 0;
    bool armed = true;
    while (got < 5) {
        c = take_received(&stage, server, TAG(RECEIVE, 2));
        assert_true(c.res > 0);
        assert_memory_equal(c.ptr, hello.ptr + got, (size_t)c.res);
        got += (size_t)c.res;
        wsr_ring_release(stage.ring, c.buffer);
        armed = (c.flags & WSR_COMPLETION_MORE) != 0;
        if (!armed && got < 5)
            assert_int_equal(wsr_ring_receive(stage.ring, server, TAG(RECEIVE, 2), false), 0);
    }
    if (armed)
        assert_int_equal(cancel_and_take(&stage, TAG(RECEIVE, 2)), -ECANCELED);
    wsr_sys_close(client);
    wsr_sys_close(server);
    stage_close(&stage);
}

/* A receive is cancelled while bytes pour in: whatever was reported before its last completion is all there, in order. */
static void script_cancel_busy(const struct wsr_ring_config *config, uint64_t seed)
{
    struct stage stage;
    stage_open(&stage, config, seed);
    int client, server;
    make_only_pair(&stage, &client, &server);
    static uint8_t room[50000];
    uint8_t *bytes = room;
    const size_t total = sizeof room / ring_scripts_shrink;
    pattern_fill(bytes, 3, 0, total);
    size_t sent = 0, got = 0, flying = 0;
    unsigned cancels_out = 0;
    bool armed = false;
    while (got < total || cancels_out > 0 || flying > 0) {
        if (flying == 0 && sent < total) {
            flying = 1 + random_up_to(&stage.random, 3000);
            flying = flying < total - sent ? flying : total - sent;
            wsr_slice slice = {bytes + sent, flying};
            assert_int_equal(wsr_ring_send(stage.ring, client, TAG(SEND, 0), &slice, 1), 0);
        }
        if (!armed && cancels_out == 0 && got < total) {
            assert_int_equal(wsr_ring_receive(stage.ring, server, TAG(RECEIVE, 0), false), 0);
            armed = true;
        }
        if (armed && cancels_out == 0 && random_up_to(&stage.random, 2) == 0) {
            assert_int_equal(wsr_ring_cancel(stage.ring, TAG(RECEIVE, 0), TAG(CANCEL, 0)), 0);
            cancels_out++;
        }
        struct wsr_completion c = take(&stage);
        if (TAG_KIND(c.tag) == SEND) {
            assert_true(c.res > 0);
            sent += (size_t)c.res;
            flying = 0;
        } else if (TAG_KIND(c.tag) == CANCEL) {
            assert_true(c.res >= 0);
            cancels_out--;
        } else {
            if ((c.flags & WSR_COMPLETION_BYTES) != 0) {
                pattern_check(c.ptr, 3, got, (size_t)c.res);
                got += (size_t)c.res;
                wsr_ring_release(stage.ring, c.buffer);
            } else {
                assert_true(c.res == -ECANCELED || c.res == -ENOBUFS);
            }
            armed = (c.flags & WSR_COMPLETION_MORE) != 0;
        }
    }
    if (armed)
        assert_int_equal(cancel_and_take(&stage, TAG(RECEIVE, 0)), -ECANCELED);
    wsr_sys_close(client);
    wsr_sys_close(server);
    stage_close(&stage);
}

/* With the arena used up and nothing to read: a receive that tries at once is told ENOBUFS, one that waits first is not. */
static void script_wait_first(const struct wsr_ring_config *config, uint64_t seed)
{
    struct wsr_ring_config small = *config;
    small.buffers = 1;
    small.buffer_bytes = 64;
    struct stage stage;
    stage_open(&stage, &small, seed);
    int client, server;
    make_only_pair(&stage, &client, &server);
    uint8_t bytes[64] = {0};
    wsr_slice slice = {bytes, sizeof bytes};
    send_all(&stage, client, slice);
    assert_int_equal(wsr_ring_receive(stage.ring, server, TAG(RECEIVE, 0), false), 0);
    struct wsr_completion c = {.res = 0};
    uint32_t buffer = 0;
    size_t got = 0;
    unsigned holds = 0;
    bool armed = true;
    for (; armed && got < sizeof bytes; armed = (c.flags & WSR_COMPLETION_MORE) != 0) {
        c = take(&stage);
        got += c.res > 0 ? (size_t)c.res : 0;
        holds += c.res > 0;
        buffer = c.buffer;
    }
    if (armed)
        (void)cancel_and_take(&stage, TAG(RECEIVE, 0));
    if (got == sizeof bytes && wsr_ring_buffers_free(stage.ring, false) == 0) { /* else the bytes came in pieces, and some are still there */
        assert_int_equal(wsr_ring_receive(stage.ring, server, TAG(RECEIVE, 1), false), 0);
        c = take(&stage);
        assert_int_equal(c.res, -ENOBUFS);
        assert_int_equal(wsr_ring_receive(stage.ring, server, TAG(RECEIVE, 1), true), 0);
        take_nothing(&stage);
        assert_int_equal(cancel_and_take(&stage, TAG(RECEIVE, 1)), -ECANCELED);
    }
    for (; holds > 0; holds--)
        wsr_ring_release(stage.ring, buffer);
    wsr_sys_close(client);
    wsr_sys_close(server);
    stage_close(&stage);
}

/* More completions than the queue holds, taken without ever waiting: a submit alone brings in what has overflowed. */
static void script_overflow_polled(const struct wsr_ring_config *config, uint64_t seed)
{
    enum { N = 50 };
    struct wsr_ring_config small = *config;
    small.sq_entries = 2;
    small.cq_entries = 2;
    struct stage stage;
    stage_open(&stage, &small, seed);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(wsr_ring_cancel(stage.ring, TAG(RECEIVE, 0), TAG(CANCEL, i)), 0);
    unsigned taken = 0;
    for (unsigned turn = 0; turn < 1000 && taken < N; turn++) {
        struct wsr_completion c;
        assert_int_equal(wsr_ring_submit(stage.ring), 0);
        while (wsr_ring_next(stage.ring, &c)) {
            assert_int_equal(c.tag, TAG(CANCEL, taken)); /* in order */
            taken++;
        }
    }
    assert_int_equal(taken, N);
    stage_close(&stage);
}

/* A send to a peer that does not read waits; cancelled, it says how much went out or that nothing did. */
static void script_backpressure(const struct wsr_ring_config *config, uint64_t seed)
{
    struct stage stage;
    stage_open(&stage, config, seed);
    int client, server;
    make_only_pair(&stage, &client, &server);
    size_t total = ring_scripts_flood_bytes;
    uint8_t *bytes = malloc(total);
    assert_non_null(bytes);
    pattern_fill(bytes, 1, 0, total);
    wsr_slice slice = {bytes, total};
    assert_int_equal(wsr_ring_send(stage.ring, client, TAG(SEND, 0), &slice, 1), 0);
    assert_int_equal(wsr_ring_wait(stage.ring, 20 * MILLISECOND), 0);
    int32_t res = cancel_and_take(&stage, TAG(SEND, 0));
    assert_true(res == -ECANCELED || (res > 0 && (size_t)res < total));
    size_t went_out = res > 0 ? (size_t)res : 0;

    /* And goes on as soon as the peer reads. */
    slice.ptr += went_out;
    slice.len = total / 8;
    assert_int_equal(wsr_ring_send(stage.ring, client, TAG(SEND, 1), &slice, 1), 0);
    assert_int_equal(wsr_ring_receive(stage.ring, server, TAG(RECEIVE, 0), false), 0);
    size_t got = 0, sent = 0;
    while (got < went_out + total / 8 || sent < total / 8) {
        struct wsr_completion c = take(&stage);
        if (TAG_KIND(c.tag) == SEND) {
            assert_true(c.res > 0);
            sent += (size_t)c.res;
            slice.ptr += c.res;
            slice.len -= (size_t)c.res;
            if (sent < total / 8)
                assert_int_equal(wsr_ring_send(stage.ring, client, TAG(SEND, 1), &slice, 1), 0);
            continue;
        }
        if ((c.flags & WSR_COMPLETION_BYTES) != 0) {
            pattern_check(c.ptr, 1, got, (size_t)c.res);
            got += (size_t)c.res;
            wsr_ring_release(stage.ring, c.buffer);
        } else {
            assert_int_equal(c.res, -ENOBUFS);
        }
        if ((c.flags & WSR_COMPLETION_MORE) == 0)
            assert_int_equal(wsr_ring_receive(stage.ring, server, TAG(RECEIVE, 0), c.res < 0), 0);
    }
    wsr_ring_close(stage.ring);
    wsr_sys_close(client);
    wsr_sys_close(server);
    wsr_sys_close(stage.listener);
    free(bytes);
}

static void script_refused(const struct wsr_ring_config *config, uint64_t seed)
{
    struct stage stage;
    stage_open(&stage, config, seed);
    wsr_sys_close(stage.listener); /* the port is free again, and nobody is there */
    int fd = connect_to(&stage, TAG(CONNECT, 0));
    struct wsr_completion c = take(&stage);
    assert_int_equal(c.tag, TAG(CONNECT, 0));
    assert_int_equal(c.res, -ECONNREFUSED);
    assert_int_equal(c.flags, 0);
    wsr_sys_close(fd);
    wsr_ring_close(stage.ring);
}

/* Many at once; addresses agree on both sides; accept stays armed. */
static void script_accept(const struct wsr_ring_config *config, uint64_t seed)
{
    enum { N = 30 };
    struct stage stage;
    stage_open(&stage, config, seed);
    assert_int_equal(wsr_ring_accept(stage.ring, stage.listener, TAG(ACCEPT, 0)), 0);
    int clients[N], servers[N];
    for (unsigned i = 0; i < N; i++)
        clients[i] = connect_to(&stage, TAG(CONNECT, i));
    unsigned accepted = 0, connected = 0;
    while (accepted < N || connected < N) {
        struct wsr_completion c = take(&stage);
        assert_true(c.res >= 0);
        if (TAG_KIND(c.tag) == CONNECT) {
            connected++;
            continue;
        }
        servers[accepted++] = c.res;
        if ((c.flags & WSR_COMPLETION_MORE) == 0)
            assert_int_equal(wsr_ring_accept(stage.ring, stage.listener, TAG(ACCEPT, 0)), 0);
    }
    unsigned found = 0;
    for (unsigned i = 0; i < N; i++) {
        union wsr_address there, here;
        assert_int_equal(wsr_sys_peer_address(servers[i], &there), 0);
        assert_int_equal(wsr_sys_local_address(servers[i], &here), 0);
        assert_int_equal(here.in4.sin_port, stage.address.in4.sin_port);
        for (unsigned j = 0; j < N; j++) {
            assert_int_equal(wsr_sys_local_address(clients[j], &here), 0);
            found += here.in4.sin_port == there.in4.sin_port;
        }
    }
    assert_int_equal(found, N);
    for (unsigned i = 0; i < N; i++) {
        wsr_sys_close(clients[i]);
        wsr_sys_close(servers[i]);
    }
    stage_close(&stage);
}

/* Reads up to the end, closing `other` when n bytes have come. */
static void read_to_end(struct stage *stage, int fd, size_t n, int other)
{
    size_t got = 0;
    assert_int_equal(wsr_ring_receive(stage->ring, fd, TAG(RECEIVE, 1), false), 0);
    for (;;) {
        struct wsr_completion c = take_received(stage, fd, TAG(RECEIVE, 1));
        assert_true(c.res >= 0);
        if (c.res == 0)
            break;
        wsr_ring_release(stage->ring, c.buffer);
        got += (size_t)c.res;
        if (got == n)
            wsr_sys_close(other);
        if ((c.flags & WSR_COMPLETION_MORE) == 0)
            assert_int_equal(wsr_ring_receive(stage->ring, fd, TAG(RECEIVE, 1), false), 0);
    }
    assert_int_equal(got, n);
}

/* Each way out of a connection as the other end sees it. */
static void script_endings(const struct wsr_ring_config *config, uint64_t seed)
{
    struct stage stage;
    stage_open(&stage, config, seed);
    int client, server;

    make_only_pair(&stage, &client, &server); /* half-close: the end, and the other way still works */
    assert_int_equal(wsr_ring_receive(stage.ring, server, TAG(RECEIVE, 0), false), 0);
    assert_int_equal(wsr_sys_shutdown_write(client), 0);
    struct wsr_completion c = take_received(&stage, server, TAG(RECEIVE, 0));
    assert_int_equal(c.res, 0);
    assert_int_equal(c.flags, 0);
    wsr_slice bye = {(const uint8_t *)"bye", 3};
    send_all(&stage, server, bye);
    read_to_end(&stage, client, 3, server);
    wsr_sys_close(client);

    make_only_pair(&stage, &client, &server); /* reset */
    assert_int_equal(wsr_ring_receive(stage.ring, server, TAG(RECEIVE, 2), false), 0);
    take_nothing(&stage);
    wsr_sys_reset(client);
    c = take_received(&stage, server, TAG(RECEIVE, 2));
    assert_int_equal(c.res, -ECONNRESET);
    assert_int_equal(c.flags, 0);
    assert_int_equal(wsr_ring_send(stage.ring, server, TAG(SEND, 1), &bye, 1), 0);
    c = take(&stage);
    assert_int_equal(c.res, -EPIPE);
    wsr_sys_close(server);

    make_only_pair(&stage, &client, &server); /* our own end is shut */
    assert_int_equal(wsr_sys_shutdown_write(client), 0);
    assert_int_equal(wsr_ring_send(stage.ring, client, TAG(SEND, 2), &bye, 1), 0);
    c = take(&stage);
    assert_int_equal(c.res, -EPIPE);
    wsr_sys_close(client);
    wsr_sys_close(server);

    make_only_pair(&stage, &client, &server); /* closed with bytes unread: a reset, not an end */
    send_all(&stage, client, bye);
    assert_int_equal(wsr_ring_poll(stage.ring, server, TAG(POLL, 0)), 0);
    c = take(&stage);
    assert_true(c.res > 0);
    if ((c.flags & WSR_COMPLETION_MORE) != 0)
        (void)cancel_and_take(&stage, TAG(POLL, 0));
    wsr_sys_close(server);
    assert_int_equal(wsr_ring_receive(stage.ring, client, TAG(RECEIVE, 3), false), 0);
    c = take_received(&stage, client, TAG(RECEIVE, 3));
    assert_int_equal(c.res, -ECONNRESET);
    wsr_sys_close(client);
    stage_close(&stage);
}

static void script_timers(const struct wsr_ring_config *config, uint64_t seed)
{
    struct stage stage;
    stage_open(&stage, config, seed);
    uint64_t begin = wsr_sys_now_ns();
    assert_int_equal(wsr_ring_timer(stage.ring, begin + 20 * MILLISECOND, TAG(TIMER, 2)), 0);
    assert_int_equal(wsr_ring_timer(stage.ring, begin + 5 * MILLISECOND, TAG(TIMER, 1)), 0);
    assert_int_equal(wsr_ring_timer(stage.ring, begin - 1, TAG(TIMER, 0)), 0); /* in the past: at once */
    unsigned seen = 0;
    for (unsigned i = 0; i < 3; i++) {
        struct wsr_completion c = take(&stage);
        assert_int_equal(TAG_KIND(c.tag), TIMER);
        assert_int_equal(c.res, -ETIME);
        assert_int_equal(c.flags, 0);
        static const unsigned after[] = {0, 5 * MILLISECOND, 20 * MILLISECOND};
        assert_true(wsr_sys_now_ns() >= begin + after[TAG_INDEX(c.tag)]);
        seen |= 1u << TAG_INDEX(c.tag);
    }
    assert_int_equal(seen, 7);

    /* The wait's own time-out is no completion, and is not early. */
    begin = wsr_sys_now_ns();
    assert_int_equal(wsr_ring_wait(stage.ring, 7 * MILLISECOND), 0);
    struct wsr_completion none;
    assert_false(wsr_ring_next(stage.ring, &none));
    stage_close(&stage);
}

/* Nothing to do costs no system call; something does, and a wait finds what is already there without sleeping. */
static void script_enters(const struct wsr_ring_config *config, uint64_t seed)
{
    struct stage stage;
    stage_open(&stage, config, seed);
    uint64_t enters = wsr_ring_enters(stage.ring);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(wsr_ring_submit(stage.ring), 0);
        assert_int_equal(wsr_ring_wait(stage.ring, 0), 0);
    }
    assert_int_equal(wsr_ring_enters(stage.ring), enters);
    assert_int_equal(wsr_ring_cancel(stage.ring, TAG(SEND, 1), TAG(CANCEL, 0)), 0);
    assert_int_equal(wsr_ring_submit(stage.ring), 0);
    assert_int_equal(wsr_ring_enters(stage.ring), enters + 1);
    assert_int_equal(wsr_ring_wait(stage.ring, -1), 0); /* would sleep for ever if it did */
    struct wsr_completion c = take(&stage);
    assert_int_equal(c.res, 0);
    assert_true(wsr_ring_memory_bytes(stage.ring) > 4096);
    stage_close(&stage);
}

static void script_poll(const struct wsr_ring_config *config, uint64_t seed)
{
    struct stage stage;
    stage_open(&stage, config, seed);
    int fd = wsr_sys_eventfd();
    assert_true(fd >= 0);
    assert_int_equal(wsr_ring_poll(stage.ring, fd, TAG(POLL, 0)), 0);
    take_nothing(&stage);
    for (unsigned i = 0; i < 5; i++) {
        wsr_sys_eventfd_signal(fd);
        wsr_sys_eventfd_signal(fd);
        struct wsr_completion c = take(&stage);
        assert_int_equal(c.tag, TAG(POLL, 0));
        assert_true(c.res > 0);
        wsr_sys_eventfd_clear(fd);
        if ((c.flags & WSR_COMPLETION_MORE) == 0)
            assert_int_equal(wsr_ring_poll(stage.ring, fd, TAG(POLL, 0)), 0);
        /* Two signals may be two completions; behind the clear none follows but those. */
        assert_int_equal(wsr_ring_wait(stage.ring, 0), 0);
        while (wsr_ring_next(stage.ring, &c)) {
            assert_int_equal(c.tag, TAG(POLL, 0));
            wsr_sys_eventfd_clear(fd);
            if ((c.flags & WSR_COMPLETION_MORE) == 0)
                assert_int_equal(wsr_ring_poll(stage.ring, fd, TAG(POLL, 0)), 0);
        }
    }
    assert_int_equal(cancel_and_take(&stage, TAG(POLL, 0)), -ECANCELED);
    wsr_sys_close(fd);
    stage_close(&stage);
}

/* More operations than the queue has entries, without a submit in between. */
static void script_queue_full(const struct wsr_ring_config *config, uint64_t seed)
{
    enum { N = 100 };
    struct wsr_ring_config small = *config;
    small.sq_entries = 8;
    small.cq_entries = 16;
    struct stage stage;
    stage_open(&stage, &small, seed);
    uint64_t far = wsr_sys_now_ns() + (uint64_t)3600 * SECOND;
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(wsr_ring_timer(stage.ring, far, TAG(TIMER, i)), 0);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(wsr_ring_cancel(stage.ring, TAG(TIMER, i), TAG(CANCEL, i)), 0);
    unsigned timers = 0, cancels = 0;
    while (timers < N || cancels < N) {
        struct wsr_completion c = take(&stage);
        if (TAG_KIND(c.tag) == TIMER)
            timers += c.res == -ECANCELED;
        else
            cancels += c.res >= 0;
    }
    stage_close(&stage);
}

/* Everything armed, something queued and not submitted, connections accepted and not taken: close ends it all. */
static void script_close_armed(const struct wsr_ring_config *config, uint64_t seed)
{
    struct stage stage;
    stage_open(&stage, config, seed);
    int client, server;
    assert_int_equal(wsr_ring_accept(stage.ring, stage.listener, TAG(ACCEPT, 0)), 0);
    make_pair(&stage, &client, &server);
    int event = wsr_sys_eventfd();
    size_t total = ring_scripts_flood_bytes;
    uint8_t *bytes = calloc(1, total);
    assert_non_null(bytes);
    wsr_slice slice = {bytes, total};
    assert_int_equal(wsr_ring_poll(stage.ring, event, TAG(POLL, 0)), 0);
    assert_int_equal(wsr_ring_timer(stage.ring, wsr_sys_now_ns() + (uint64_t)3600 * SECOND, TAG(TIMER, 0)), 0);
    assert_int_equal(wsr_ring_receive(stage.ring, client, TAG(RECEIVE, 0), false), 0);
    assert_int_equal(wsr_ring_send(stage.ring, client, TAG(SEND, 0), &slice, 1), 0);
    int extra = connect_to(&stage, TAG(CONNECT, 0));
    assert_int_equal(wsr_ring_submit(stage.ring), 0);
    assert_int_equal(wsr_ring_wait(stage.ring, 5 * MILLISECOND), 0);
    assert_int_equal(wsr_ring_receive(stage.ring, server, TAG(RECEIVE, 1), false), 0);
    slice.len = 1;
    assert_int_equal(wsr_ring_send(stage.ring, server, TAG(SEND, 1), &slice, 1), 0);
    wsr_ring_close(stage.ring);
    free(bytes);

    /* What was queued and not submitted did not go out: the client sees its peer go and no byte. */
    struct wsr_ring *other;
    assert_int_equal(wsr_ring_open(&other, config, NULL), 0);
    stage.ring = other;
    wsr_sys_close(server);
    assert_int_equal(wsr_ring_receive(other, client, TAG(RECEIVE, 2), false), 0);
    struct wsr_completion c = take_received(&stage, client, TAG(RECEIVE, 2));
    assert_true(c.res == 0 || c.res == -ECONNRESET);
    wsr_ring_close(other);
    wsr_sys_close(client);
    wsr_sys_close(extra);
    wsr_sys_close(event);
    wsr_sys_close(stage.listener);
}

/* With the last descriptor gone a connection that waits is accepted in the reserve's place and closed at once. */
static void script_shed(const struct wsr_ring_config *config, uint64_t seed)
{
    struct stage stage;
    stage_open(&stage, config, seed);
    int reserve = wsr_sys_reserve();
    assert_true(reserve >= 0);
    assert_int_equal(wsr_sys_shed(stage.listener, &reserve), -EAGAIN); /* nobody waits */
    assert_true(reserve >= 0);
    int client = connect_to(&stage, TAG(CONNECT, 0));
    struct wsr_completion c = take(&stage);
    assert_int_equal(c.res, 0);
    int error = -EAGAIN;
    for (unsigned i = 0; i < 1000 && error == -EAGAIN; i++) {
        error = wsr_sys_shed(stage.listener, &reserve);
        if (error == -EAGAIN)
            assert_int_equal(wsr_ring_wait(stage.ring, MILLISECOND), 0);
    }
    assert_int_equal(error, 0);
    assert_true(reserve >= 0);
    assert_int_equal(wsr_ring_receive(stage.ring, client, TAG(RECEIVE, 0), false), 0);
    c = take_received(&stage, client, TAG(RECEIVE, 0));
    assert_int_equal(c.res, 0);
    wsr_sys_close(client);
    wsr_sys_close(reserve);
    stage_close(&stage);
}

const struct ring_script_row ring_scripts[] = {
    {"one stream", ring_script_one_stream},
    {"many slices", ring_script_many_slices},
    {"short cq", ring_script_short_cq},
    {"starved", ring_script_starved},
    {"holds", ring_script_holds},
    {"zero copy", ring_script_zero_copy},
    {"enobufs", script_enobufs},
    {"cancel", script_cancel},
    {"cancel busy", script_cancel_busy},
    {"wait first", script_wait_first},
    {"overflow polled", script_overflow_polled},
    {"backpressure", script_backpressure},
    {"refused", script_refused},
    {"accept", script_accept},
    {"endings", script_endings},
    {"timers", script_timers},
    {"enters", script_enters},
    {"poll", script_poll},
    {"queue full", script_queue_full},
    {"close armed", script_close_armed},
    {"shed", script_shed},
};
const unsigned ring_scripts_n = sizeof ring_scripts / sizeof ring_scripts[0];
