/* SPDX-License-Identifier: Apache-2.0
 *
 * test_order.c -- the order of quads for kernels that add pairs in 16 bits: nothing is lost, and no
 * sum of a run can leave int16. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/opencl/order.h"
#include "engine/prng.h"
#include "kernels/params.h"
#include "tests/unit/support/cmocka_all.h"

enum { QUAD_SIZE = FN_LANES * FN_QUAD };
#define MAX_QUADS 40

/* Largest and smallest sum of a pair over n quads, inputs 0...127 chosen against it. */
static void check_run(const int8_t *weights, int n) {
    for (int pair = 0; pair < QUAD_SIZE; pair += 2) {
        int high = 0, low = 0;
        for (int i = 0; i < 2 * n; i++) {
            int w = weights[i / 2 * QUAD_SIZE + pair + i % 2];
            if (w > 0) high += 127 * w;
            if (w < 0) low += 127 * w;
        }
        assert_in_range(high, 0, INT16_MAX);
        assert_in_range(-low, 0, -INT16_MIN);
    }
}

/* Order a row and check it; ret_counts: runs of four, two and one. */
static void check_row(const int8_t *weights, int n_quads, int ret_counts[3]) {
    int8_t ordered[MAX_QUADS * QUAD_SIZE];
    int32_t order[3 + MAX_QUADS];
    bool seen[MAX_QUADS] = {false};
    fn_order_row(weights, n_quads, ordered, order);
    const int8_t *at = ordered;
    const int32_t *first = order + 3;
    for (int kind = 0, n = 4; kind < 3; kind++, n /= 2) {
        ret_counts[kind] = order[kind];
        for (int i = 0; i < order[kind]; i++, first++, at += (ptrdiff_t)n * QUAD_SIZE) {
            assert_in_range(*first, 0, n_quads - n);
            assert_memory_equal(at, weights + (ptrdiff_t)*first * QUAD_SIZE, (size_t)n * QUAD_SIZE);
            check_run(at, n);
            for (int q = *first; q < *first + n; q++) {
                assert_false(seen[q]);
                seen[q] = true;
            }
        }
    }
    for (int q = 0; q < n_quads; q++) assert_true(seen[q]);
}

static void every_quad_is_in_one_run_whose_sums_fit(void **state) {
    (void)state;
    struct fn_prng prng = {3};
    int total[3] = {0};
    for (int round = 0; round < 400; round++) {
        int8_t weights[MAX_QUADS * QUAD_SIZE];
        int n_quads = 1 + (int)(fn_prng_next(&prng) % MAX_QUADS), counts[3];
        int most = 1 + round % 127; /* small weights fit by eight, large ones by two */
        for (int i = 0; i < n_quads * QUAD_SIZE; i++)
            weights[i] = (int8_t)((int)(fn_prng_next(&prng) % (2 * (uint64_t)most + 1)) - most);
        check_row(weights, n_quads, counts);
        for (int kind = 0; kind < 3; kind++) total[kind] += counts[kind];
    }
    for (int kind = 0; kind < 3; kind++) assert_true(total[kind] > 100);
}

/* 127 * 258 = 32766 fits, 127 * 259 = 32893 does not. */
static void the_limit_is_exact_on_both_sides(void **state) {
    (void)state;
    for (int sign = -1; sign <= 1; sign += 2)
        for (int over = 0; over < 2; over++) {
            int8_t weights[4 * QUAD_SIZE] = {0};
            int counts[3];
            const int parts[8] = {127, 127, 4, over, 0, 0, 0, 0}; /* lane 5, pair 1 of four quads */
            for (int i = 0; i < 8; i++)
                weights[i / 2 * QUAD_SIZE + 5 * FN_QUAD + 2 + i % 2] = (int8_t)(sign * parts[i]);
            check_row(weights, 4, counts);
            assert_int_equal(counts[0], over ? 0 : 1);
            assert_int_equal(counts[1], over ? 1 : 0);
            assert_int_equal(counts[2], over ? 2 : 0);
        }
}

static void a_row_that_does_not_divide_ends_in_short_runs(void **state) {
    (void)state;
    int8_t weights[7 * QUAD_SIZE] = {0};
    int counts[3];
    check_row(weights, 7, counts);
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[1], 1);
    assert_int_equal(counts[2], 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_quad_is_in_one_run_whose_sums_fit),
        cmocka_unit_test(the_limit_is_exact_on_both_sides),
        cmocka_unit_test(a_row_that_does_not_divide_ends_in_short_runs),
    };
    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
