/*
 * tests/test_probe.c - wsr_probe against what the host says itself: a ring that was opened, getrlimit, the CPU.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include <wsring/wsring.h>

#include "ring/features.h"
#include "ring/ring.h"

static wsr_probe_report report;

static const wsr_probe_feature *feature(const char *name)
{
    for (unsigned i = 0; i < report.features_n; i++)
        if (strcmp(report.features[i].name, name) == 0)
            return &report.features[i];
    fail_msg("no feature %s", name);
    return NULL;
}

static const wsr_probe_setting *setting(const char *name)
{
    for (unsigned i = 0; i < report.settings_n; i++)
        if (strcmp(report.settings[i].name, name) == 0)
            return &report.settings[i];
    return NULL;
}

static int probe(void **state)
{
    (void)state;
    (void)wsr_probe(&report, sizeof report);
    return 0;
}

/* The verdict is the one that opening an engine gives, and the features are those of the ring it has. */
static void agrees_with_an_engine(void **state)
{
    (void)state;
    wsr_engine *engine;
    const int error = wsr_engine_open(&engine, NULL);
    assert_int_equal(report.error, error);
    if (error != WSR_OK)
        skip();
    wsr_engine_close(engine);
    assert_string_equal(report.backend, "io_uring");
    for (unsigned i = 0; i < report.features_n; i++)
        if (report.features[i].needed)
            assert_int_equal(report.features[i].state, WSR_PROBE_USED);

    struct wsr_ring *ring;
    struct wsr_ring_report opened;
    assert_int_equal(wsr_ring_open(&ring, NULL, &opened), WSR_OK);
    wsr_ring_close(ring);
    assert_int_equal(feature("IOU_PBUF_RING_INC")->state == WSR_PROBE_USED, opened.incremental);
    assert_int_equal(feature("IORING_SETUP_DEFER_TASKRUN")->state == WSR_PROBE_USED, opened.defer_taskrun);
}

static void every_row_is_whole(void **state)
{
    (void)state;
    assert_in_range(report.features_n, 10, WSR_PROBE_FEATURES_MAX);
    for (unsigned i = 0; i < report.features_n; i++) {
        const wsr_probe_feature *row = &report.features[i];
        assert_true(row->name[0] != '\0' && row->what[0] != '\0' && row->why != NULL);
        assert_true(row->state == WSR_PROBE_USED ? row->why[0] == '\0' : true);
        assert_true(row->state == WSR_PROBE_SPARE ? row->why[0] != '\0' : true);
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(row->name, report.features[k].name);
    }
    for (unsigned i = 0; i < report.settings_n; i++) {
        const wsr_probe_setting *row = &report.settings[i];
        assert_true(row->name[0] != '\0' && row->why[0] != '\0' && row->current[0] != '\0' && row->recommended[0] != '\0');
        assert_int_equal(row->change, strcmp(row->current, row->recommended) != 0);
    }
    assert_non_null(strchr(report.system, ' '));
}

static void one_set_of_kernels_is_in_use(void **state)
{
    (void)state;
    unsigned used = 0, i;
    bool here;
    const char *name;
    for (i = 0; (name = wsr_simd_at(i, &here)) != NULL; i++) {
        assert_string_equal(report.kernels[i].name, name);
        assert_int_equal(report.kernels[i].state == WSR_PROBE_ABSENT, !here);
        used += report.kernels[i].state == WSR_PROBE_USED;
        if (report.kernels[i].state == WSR_PROBE_USED)
            assert_string_equal(name, wsr_simd_name());
    }
    assert_int_equal(used, 1);
    assert_int_equal(report.kernels_n, i);
    assert_string_equal(report.kernels[i - 1].name, "scalar");
}

static void limits_are_those_of_the_process(void **state)
{
    (void)state;
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = 200;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    probe(NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    const wsr_probe_setting *row = setting("RLIMIT_NOFILE");
    assert_non_null(row);
    assert_string_equal(row->current, "200");
    assert_string_equal(row->recommended, "65536");
    assert_true(row->change);
    probe(NULL);
}

/* An older header's structure is shorter: nothing behind it is touched. */
static void writes_no_more_than_was_asked(void **state)
{
    (void)state;
    static wsr_probe_report small;
    memset(&small, 0x5a, sizeof small);
    const size_t size = offsetof(wsr_probe_report, features);
    assert_int_equal(wsr_probe(&small, size), report.error);
    assert_string_equal(small.system, report.system);
    for (size_t i = size; i < sizeof small; i++)
        assert_int_equal(((const uint8_t *)&small)[i], 0x5a);

    wsr_probe_feature two[2];
    unsigned n;
    int sys_errno;
    assert_int_equal(wsr_features_try(two, 2, &n, &sys_errno), report.error);
    assert_int_equal(n, 2);
}

static void states_have_names(void **state)
{
    (void)state;
    assert_string_equal(wsr_probe_state_name(WSR_PROBE_USED), "used");
    assert_string_equal(wsr_probe_state_name(WSR_PROBE_BLOCKED), "blocked");
    assert_string_equal(wsr_probe_state_name((wsr_probe_state)77), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_an_engine),        cmocka_unit_test(every_row_is_whole),
        cmocka_unit_test(one_set_of_kernels_is_in_use), cmocka_unit_test(limits_are_those_of_the_process),
        cmocka_unit_test(writes_no_more_than_was_asked), cmocka_unit_test(states_have_names),
    };
    return cmocka_run_group_tests(tests, probe, NULL);
}
