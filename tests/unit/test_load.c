/* SPDX-License-Identifier: Apache-2.0
 *
 * test_load.c -- what the workers have before them, and when a request would be done. */
#include "daemon/load.h"
#include "tests/unit/support/cmocka_all.h"

static void nothing_is_known_before_the_first_picture(void **state) {
    (void)state;
    struct fn_load load;
    fn_load_init(&load);
    assert_int_equal(fn_load_estimate_ns(&load, 1 << 20), 0);
    fn_load_note(&load, 0, 1e6, 1, 5);
    fn_load_note(&load, 5, 0, 1, 5);
    assert_int_equal(fn_load_estimate_ns(&load, 1 << 20), 0);
    fn_load_destroy(&load);
}

static void a_body_is_judged_by_the_pictures_before_it(void **state) {
    (void)state;
    struct fn_load load;
    fn_load_init(&load);
    fn_load_note(&load, 500000, 2e6, 1, 40000000);
    assert_in_range(fn_load_estimate_ns(&load, 500000), 39999999, 40000000);
    assert_in_range(fn_load_estimate_ns(&load, 1000000), 79999999, 80000000);
    assert_int_equal(fn_load_estimate_ns(&load, -1), 0);
    for (int i = 0; i < 100; i++) fn_load_note(&load, 500000, 2e6, 1, 80000000);
    assert_in_range(fn_load_estimate_ns(&load, 500000), 79000000, 80000000);
    fn_load_destroy(&load);
}

static void what_comes_in_goes_out_again(void **state) {
    (void)state;
    struct fn_load load;
    fn_load_init(&load);
    for (int i = 0; i < 50; i++) fn_load_note(&load, 1000, 1e6, 3, 1000);
    fn_load_enter(&load, 5000000);
    fn_load_enter(&load, 0);
    struct fn_load_ahead ahead = fn_load_ahead(&load);
    assert_int_equal(ahead.n, 2);
    assert_true(ahead.ms == 5);
    assert_true(ahead.crops > 5.9 && ahead.crops < 6.1);
    fn_load_leave(&load, 0);
    fn_load_leave(&load, 5000000);
    ahead = fn_load_ahead(&load);
    assert_int_equal(ahead.n, 0);
    assert_true(ahead.ms == 0 && ahead.crops == 0);
    fn_load_destroy(&load);
}

static void workers_and_device_work_at_the_same_time(void **state) {
    (void)state;
    assert_true(fn_load_predict_ms(0, 10, 2, 20, 20) == 30);
    assert_true(fn_load_predict_ms(100, 10, 2, 20, 20) == 80);
    assert_true(fn_load_predict_ms(100, 10, 2, 500, 20) == 500);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_before_the_first_picture),
        cmocka_unit_test(a_body_is_judged_by_the_pictures_before_it),
        cmocka_unit_test(what_comes_in_goes_out_again),
        cmocka_unit_test(workers_and_device_work_at_the_same_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
