/*
 * test_close_model.c - explores every run of two closing ends (model_close.c, included whole) over the table that ships, which
 * must hold in each, and over every copy of it with one thing changed in one cell, which must be found out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model_close.c"

static const char *const state_names[WSR_CS_COUNT] = {"OPEN", "SENT", "AWAITING", "RECEIVED", "FAILED", "LAST", "BROKEN", "LINGER", "DONE"};
static const char *const input_names[WSR_CI_COUNT] = {"LOCAL_CLOSE", "LOCAL_ABORT", "PEER_CLOSE", "FAILURE", "EOF",
                                                      "RESET",       "SEND_ERROR",  "TIMEOUT",    "FLUSHED"};

/* --- The table that ships ------------------------------------------------------------------------------------------- */

static void test_every_run_holds(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MODEL_WORLDS; i++) {
        const struct model_result result = model_explore(&wsr_close_table, &model_worlds[i], UINT32_MAX);
        print_message("model: %-24s %8lu states, %8lu inputs, %7lu ends, longest run %u\n", model_worlds[i].name, result.states,
                      result.transitions, result.ends, result.depth);
        for (unsigned k = 0; result.violation != NULL && k < model.depth; k++)
            print_message("    the %s %s\n", model.path[k].who == WSR_SERVER ? "server" : "client", model.path[k].what);
        if (result.violation != NULL)
            fail_msg("%s: an end %s", model_worlds[i].name, result.violation);
        assert_true(result.ends > 0);
    }
}

/* Every cell that is not "nothing happens" is entered in some world, or the model would say nothing about it. */
static void test_every_cell_is_reached(void **state)
{
    (void)state;
    unsigned cells = 0;
    for (unsigned s = 0; s < WSR_CS_COUNT; s++)
        for (unsigned in = 0; in < WSR_CI_COUNT; in++) {
            if (wsr_close_table.at[s][in].next == WSR_CS_OPEN)
                continue;
            cells++;
            /* An error that shows as soon as the cell is used: REPORT comes alone. */
            struct wsr_close_table wrong = wsr_close_table;
            wrong.at[s][in] = (struct wsr_close_cell){WSR_CS_DONE, WSR_BY_NOBODY, WSR_CA_REPORT | WSR_CA_SEND | WSR_CA_DROP};
            bool reached = false;
            for (unsigned i = 0; i < MODEL_WORLDS - 1 && !reached; i++)
                reached = model_explore(&wrong, &model_worlds[i], 2).violation != NULL;
            if (!reached)
                fail_msg("%s x %s is never reached", state_names[s], input_names[in]);
        }
    print_message("model: %u cells with an effect, each of them reached\n", cells);
}

/* --- The tables with one thing wrong ---------------------------------------------------------------------------------- */

struct tally {
    unsigned long mutants, caught, states;
    unsigned long by_world[MODEL_WORLDS];
    unsigned long equal[4];
};

/* Why a change makes no difference that anybody could see. Everything not named here must be caught. */
static const char *const equal_because[4] = {
    "caught",
    "who began is named already, and only BOTH overrides it",
    "nothing is read after the end of the stream, so how to read it does not matter",
    "it is so already: the feed is that one, or the queue has been flushed and is empty",
};

static unsigned why_equal(unsigned s, unsigned in, const struct wsr_close_cell *was, const struct wsr_close_cell *is_now)
{
    const unsigned changed = (unsigned)(was->actions ^ is_now->actions);
    const unsigned feed = WSR_CA_READ_ON | WSR_CA_DISCARD;
    if (was->by != is_now->by)
        return s != WSR_CS_OPEN && s != WSR_CS_BROKEN && was->by == WSR_BY_NOBODY && is_now->by != WSR_BY_BOTH ? 1 : 0;
    if (was->next == WSR_CS_LAST && (changed & feed) != 0)
        return 2;
    if (was->next == WSR_CS_DONE || was->next == WSR_CS_OPEN)
        return 0;
    if (changed == WSR_CA_READ_ON && (s == WSR_CS_SENT || s == WSR_CS_AWAITING) && (was->actions & WSR_CA_DISCARD) == 0)
        return 3;
    if (changed == WSR_CA_DISCARD && (s == WSR_CS_RECEIVED || s == WSR_CS_FAILED))
        return 3;
    if (changed == WSR_CA_DROP && s == WSR_CS_AWAITING && in == WSR_CI_FAILURE)
        return 3;
    return 0;
}

/* The cheap worlds first; the lossy pair not at all: the lossy stranger shows the same in a twentieth of the states. */
static bool is_caught(const struct wsr_close_table *table, struct tally *tally)
{
    for (unsigned i = 0; i < MODEL_WORLDS - 1; i++) {
        if (model_worlds[i].stranger && model_worlds[i].faults > 0 && model_worlds[i].role == WSR_CLIENT)
            continue; /* the table does not know the role: what differs is SHUT_DOWN alone, which only servers do */
        const struct model_result result = model_explore(table, &model_worlds[i], model_worlds[i].stranger ? 2 : 1);
        tally->states += result.states;
        if (result.violation != NULL) {
            tally->by_world[i]++;
            return true;
        }
    }
    return false;
}

static void try_mutant(struct wsr_close_table *table, unsigned s, unsigned in, struct wsr_close_cell mutant, struct tally *tally)
{
    const struct wsr_close_cell was = table->at[s][in];
    table->at[s][in] = mutant;
    const bool caught = is_caught(table, tally);
    table->at[s][in] = was;

    const unsigned why = why_equal(s, in, &was, &mutant);
    tally->mutants++;
    tally->caught += caught;
    tally->equal[why]++;
    if (caught != (why == 0))
        fail_msg("%s x %s {%u, %u, %#x} instead of {%u, %u, %#x}: %s", state_names[s], input_names[in], mutant.next, mutant.by,
                 (unsigned)mutant.actions, was.next, was.by, (unsigned)was.actions,
                 caught ? "is caught, though thought equivalent" : "is not caught");
}

/* Each other next state, each other name for who began, each action bit turned over. */
static void test_every_wrong_cell_is_caught(void **state)
{
    (void)state;
    struct wsr_close_table table = wsr_close_table;
    struct tally tally = {0};
    for (unsigned s = 0; s < WSR_CS_COUNT; s++)
        for (unsigned in = 0; in < WSR_CI_COUNT; in++) {
            const struct wsr_close_cell was = table.at[s][in];
            const bool ignored = was.next == WSR_CS_OPEN;
            for (uint8_t next = 0; next < WSR_CS_COUNT; next++)
                if (next != was.next && !(ignored && next == s)) /* staying, said otherwise */
                    try_mutant(&table, s, in, (struct wsr_close_cell){next, was.by, was.actions}, &tally);
            for (uint8_t by = 0; !ignored && by <= WSR_BY_BOTH; by++)
                if (by != was.by)
                    try_mutant(&table, s, in, (struct wsr_close_cell){was.next, by, was.actions}, &tally);
            for (unsigned bit = 1; !ignored && bit <= WSR_CA_REPORT; bit *= 2)
                try_mutant(&table, s, in, (struct wsr_close_cell){was.next, was.by, (uint8_t)(was.actions ^ bit)}, &tally);
        }
    print_message("model: %lu wrong tables, %lu caught (%lu states explored)\n", tally.mutants, tally.caught, tally.states);
    for (unsigned i = 0; i < MODEL_WORLDS; i++)
        if (tally.by_world[i] > 0)
            print_message("model:   %5lu caught in \"%s\"\n", tally.by_world[i], model_worlds[i].name);
    for (unsigned i = 1; i < 4; i++)
        print_message("model:   %5lu equal in effect: %s\n", tally.equal[i], equal_because[i]);
    assert_true(tally.caught > 1000);
}

static int free_model(void **state)
{
    (void)state;
    model_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_run_holds),
        cmocka_unit_test(test_every_cell_is_reached),
        cmocka_unit_test(test_every_wrong_cell_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, free_model);
}
