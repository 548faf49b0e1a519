/* SPDX-License-Identifier: Apache-2.0
 *
 * test_cost.c -- what is predicted from few measurements. */
#include "daemon/cost.h"
#include "tests/unit/support/cmocka_all.h"

static void sizes_not_measured_are_judged_by_their_neighbours(void **state) {
    (void)state;
    struct fn_cost cost = {.factor = 0};
    assert_true(fn_cost_ms(&cost, 7) == 0);
    fn_cost_note(&cost, 4, 40);
    assert_true(fn_cost_ms(&cost, 1) == 40);
    assert_true(fn_cost_ms(&cost, 8) == 80);
    fn_cost_note(&cost, 8, 60);
    assert_true(fn_cost_ms(&cost, 6) == 50);
    assert_true(fn_cost_ms(&cost, 16) == 120);
    assert_true(fn_cost_ms(&cost, 32) == 240);
}

static void a_batch_corrects_all_sizes_a_little(void **state) {
    (void)state;
    struct fn_cost cost = {.factor = 0};
    fn_cost_follow(&cost, 2, 8);
    assert_true(fn_cost_ms(&cost, 2) == 8);
    fn_cost_note(&cost, 2, 10);
    fn_cost_note(&cost, 8, 20);
    fn_cost_follow(&cost, 2, 20);
    assert_true(fn_cost_ms(&cost, 2) > 11.9 && fn_cost_ms(&cost, 2) < 12.1);
    assert_true(fn_cost_ms(&cost, 8) > 23.9 && fn_cost_ms(&cost, 8) < 24.1);
    for (int i = 0; i < 60; i++) fn_cost_follow(&cost, 2, 20);
    assert_true(fn_cost_ms(&cost, 8) > 39.9);
    for (int i = 0; i < 60; i++) fn_cost_follow(&cost, 8, 20);
    assert_true(fn_cost_ms(&cost, 2) < 10.1);
}

static void the_largest_batch_is_what_keeps_the_objective(void **state) {
    (void)state;
    struct fn_cost cost = {.factor = 0};
    assert_int_equal(fn_cost_limit(&cost, 16, 100), 16);
    fn_cost_note(&cost, 1, 10);
    fn_cost_note(&cost, 16, 160);
    assert_int_equal(fn_cost_limit(&cost, 16, 1000), 16);
    assert_int_equal(fn_cost_limit(&cost, 16, 100), 5);
    assert_int_equal(fn_cost_limit(&cost, 16, 1), 1);
}

static void a_wait_is_the_batches_before_and_ones_own(void **state) {
    (void)state;
    struct fn_cost cost = {.factor = 0};
    fn_cost_note(&cost, 1, 10);
    fn_cost_note(&cost, 4, 16);
    assert_true(fn_cost_wait_ms(&cost, 0, 4) == 10);
    assert_true(fn_cost_wait_ms(&cost, 3, 4) == 16);
    assert_true(fn_cost_wait_ms(&cost, 4, 4) == 26);
    assert_true(fn_cost_wait_ms(&cost, 11, 4) == 48);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_not_measured_are_judged_by_their_neighbours),
        cmocka_unit_test(a_batch_corrects_all_sizes_a_little),
        cmocka_unit_test(the_largest_batch_is_what_keeps_the_objective),
        cmocka_unit_test(a_wait_is_the_batches_before_and_ones_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
