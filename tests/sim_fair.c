/*
 * tests/sim_fair.c - who has little to say is heard beside those who have much, on the simulated host.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/one.h"
#include "sim/sim.h"

static uint8_t zeros[4000];

/* As much as goes in, of a message that never ends. */
static void fill(int peer)
{
    static const uint8_t head[8] = {0x00, 0xFE, 0x0F, 0xA0}; /* a fragment of 4000 bytes, its key 0 */
    static uint8_t frame[sizeof head + sizeof zeros];
    memcpy(frame, head, sizeof head);
    while (sim_peer_write(peer, frame, sizeof frame) == sizeof frame)
        ;
}

/* Found by make attack: those who flood took all receive buffers at every turn, always the same first, and others got none for ever. */
static void floods_leave_a_buffer_for_others(void **unused)
{
    (void)unused;
    enum { FLOODS = 4, POLLS = 40 };
    struct one o;
    wsr_config config = WSR_CONFIG_INIT;
    config.buffers = 4;
    config.buffer_bytes = 4096;
    config.limits.message_bytes_max = 1 << 30;
    config.limits.whole_bytes_max = 1;
    config.memory_bytes_max = 1u << 30;
    sim_reset(1);
    sim_knobs.socket_bytes = 64 * (sizeof zeros + 8); /* so that fill writes whole frames */
    one_open(&o, &config);
    int floods[FLOODS];
    for (unsigned i = 0; i < FLOODS; i++) {
        floods[i] = one_peer(&o);
        one_peer_frame(floods[i], 0x02, zeros, 2);
    }
    int quiet = one_peer(&o);
    const wsr_conn conn = o.conn;
    unsigned heard = 0;
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < FLOODS; i++)
            fill(floods[i]);
        one_peer_frame(quiet, 0x82, zeros, 2);
        for (unsigned polls = 0; polls < POLLS && heard == round; polls++) {
            wsr_event ev[8];
            int n = wsr_poll(o.engine, ev, 8, (int64_t)MS);
            assert_true(n >= 0);
            for (int i = 0; i < n; i++)
                heard += ev[i].conn == conn && (ev[i].flags & WSR_EVENT_LAST) != 0;
            for (unsigned i = 0; i < FLOODS; i++)
                fill(floods[i]);
        }
        assert_int_equal(heard, round + 1);
    }
    for (unsigned i = 0; i < FLOODS; i++)
        sim_peer_reset(floods[i]);
    sim_peer_close(quiet);
    one_poll(&o, 100 * MS);
    one_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floods_leave_a_buffer_for_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
