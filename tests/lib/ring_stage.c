/*
 * tests/lib/ring_stage.c - see ring_stage.h.
 */
#include "lib/ring_stage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u); /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

size_t random_up_to(uint64_t *state, size_t max)
{
    return (size_t)(random_next(state) % (max + 1));
}

/* The byte at `offset` of stream `id`: every test can say where a byte belongs. */
static uint8_t pattern(uint32_t id, size_t offset)
{
    uint64_t word = ((uint64_t)offset >> 3) + ((uint64_t)id << 40);
    word = (word ^ word >> 29) * 0xbf58476d1ce4e5b9u;
    return (uint8_t)((word ^ word >> 32) >> (offset & 7u) * 8u);
}

void pattern_fill(uint8_t *to, uint32_t id, size_t offset, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = pattern(id, offset + i);
}

void pattern_check(const uint8_t *from, uint32_t id, size_t offset, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (from[i] != pattern(id, offset + i))
            fail_msg("stream %u: wrong byte at %zu", id, offset + i);
}

void stage_open(struct stage *stage, const struct wsr_ring_config *config, uint64_t seed)
{
    memset(stage, 0, sizeof *stage);
    stage->random = seed;
    assert_int_equal(wsr_ring_open(&stage->ring, config, NULL), 0);
    assert_int_equal(wsr_sys_address("127.0.0.1", 0, &stage->address, &stage->address_len), 0);
    stage->listener = wsr_sys_listen(&stage->address, stage->address_len, 128, false);
    assert_true(stage->listener >= 0);
    assert_int_equal(wsr_sys_local_address(stage->listener, &stage->address), 0);
}

void stage_close(struct stage *stage)
{
    wsr_ring_close(stage->ring);
    wsr_sys_close(stage->listener);
}

struct wsr_completion take(struct stage *stage)
{
    struct wsr_completion completion;
    uint64_t deadline = wsr_sys_now_ns() + (uint64_t)10 * SECOND;
    while (!wsr_ring_next(stage->ring, &completion)) {
        if (wsr_sys_now_ns() >= deadline)
            fail_msg("no completion for ten seconds");
        assert_int_equal(wsr_ring_wait(stage->ring, SECOND), 0);
    }
    return completion;
}

void take_nothing(struct stage *stage)
{
    struct wsr_completion completion;
    uint64_t deadline = wsr_sys_now_ns() + 20u * MILLISECOND;
    while (wsr_sys_now_ns() < deadline) {
        assert_int_equal(wsr_ring_wait(stage->ring, 5 * MILLISECOND), 0);
        if (wsr_ring_next(stage->ring, &completion))
            fail_msg("unexpected completion: tag %llx res %d", (unsigned long long)completion.tag, completion.res);
    }
}

int connect_to(struct stage *stage, uint64_t tag)
{
    int fd = wsr_sys_socket(stage->address.any.sa_family);
    assert_true(fd >= 0);
    assert_int_equal(wsr_ring_connect(stage->ring, fd, tag, &stage->address.any, stage->address_len), 0);
    return fd;
}

/* Takes one accepted descriptor and one connected one. The accept is armed again if the kernel has ended it. */
static void take_pair(struct stage *stage, int *server)
{
    bool connected = false;
    *server = -1;
    while (!connected || *server < 0) {
        struct wsr_completion c = take(stage);
        assert_true(c.res >= 0);
        if (TAG_KIND(c.tag) == CONNECT) {
            connected = true;
            continue;
        }
        assert_int_equal(TAG_KIND(c.tag), ACCEPT);
        *server = c.res;
        if ((c.flags & WSR_COMPLETION_MORE) == 0)
            assert_int_equal(wsr_ring_accept(stage->ring, stage->listener, TAG(ACCEPT, 0)), 0);
    }
}

void make_pair(struct stage *stage, int *client, int *server)
{
    *client = connect_to(stage, TAG(CONNECT, 0));
    take_pair(stage, server);
}

void make_only_pair(struct stage *stage, int *client, int *server)
{
    assert_int_equal(wsr_ring_accept(stage->ring, stage->listener, TAG(ACCEPT, 0)), 0);
    make_pair(stage, client, server);
    assert_int_equal(wsr_ring_cancel(stage->ring, TAG(ACCEPT, 0), TAG(CANCEL, 0)), 0);
    bool cancelled = false, ended = false;
    while (!cancelled || !ended) {
        struct wsr_completion c = take(stage);
        cancelled = cancelled || TAG_KIND(c.tag) == CANCEL;
        if (TAG_KIND(c.tag) != ACCEPT)
            continue;
        assert_int_equal(c.res, -ECANCELED);
        ended = (c.flags & WSR_COMPLETION_MORE) == 0;
    }
}

void send_all(struct stage *stage, int fd, wsr_slice slice)
{
    while (slice.len > 0) {
        assert_int_equal(wsr_ring_send(stage->ring, fd, TAG(SEND, 0), &slice, 1), 0);
        struct wsr_completion c = take(stage);
        assert_int_equal(c.tag, TAG(SEND, 0));
        assert_true(c.res > 0);
        slice.ptr += c.res;
        slice.len -= (size_t)c.res;
    }
}

struct wsr_completion take_received(struct stage *stage, int fd, uint64_t tag)
{
    for (;;) {
        struct wsr_completion c = take(stage);
        assert_int_equal(c.tag, tag);
        if (c.res != -ENOBUFS)
            return c;
        assert_int_equal(wsr_ring_receive(stage->ring, fd, tag, true), 0);
    }
}
