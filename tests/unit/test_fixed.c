/* SPDX-License-Identifier: Apache-2.0
 *
 * test_fixed.c -- the rounding rule against exact rational arithmetic, and the limits proof. */
#include "engine/fixed.h"

#include "engine/limits.h"
#include "engine/prng.h"
#include "tests/unit/support/cmocka_all.h"

/* floor((2 * acc + 2^s) / 2^(s + 1)): round half up, by 64-bit division, no shift of a negative. */
static int64_t model_round(int64_t acc, int s) {
    int64_t numerator = 2 * acc + (INT64_C(1) << s), denominator = INT64_C(1) << (s + 1);
    int64_t quotient = numerator / denominator;
    return numerator % denominator < 0 ? quotient - 1 : quotient;
}

static void rounding_is_half_up_for_every_shift(void **state) {
    (void)state;
    struct fn_prng prng = {1};
    for (int s = 0; s <= FN_SHIFT_MAX; s++) {
        int32_t top = s ? INT32_MAX - (INT32_C(1) << (s - 1)) : INT32_MAX;
        const int32_t edges[] = {0, 1, -1, top, INT32_MIN, INT32_C(1) << (s ? s - 1 : 0)};
        for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++)
            if (edges[i] <= top)
                assert_int_equal(fn_round_shift(edges[i], s), model_round(edges[i], s));
        for (int i = 0; i < 1000; i++) {
            int32_t acc = (int32_t)fn_prng_next(&prng);
            if (acc <= top) assert_int_equal(fn_round_shift(acc, s), model_round(acc, s));
        }
    }
}

static void a_half_rounds_towards_plus_infinity(void **state) {
    (void)state;
    assert_int_equal(fn_round_shift(1, 1), 1);
    assert_int_equal(fn_round_shift(-1, 1), 0);
    assert_int_equal(fn_round_shift(3, 1), 2);
    assert_int_equal(fn_round_shift(-3, 1), -1);
}

static void requantizing_saturates_by_relu(void **state) {
    (void)state;
    assert_int_equal(fn_requantize(1000, 0, 1), 127);
    assert_int_equal(fn_requantize(-1000, 0, 1), 0);
    assert_int_equal(fn_requantize(1000, 0, 0), 127);
    assert_int_equal(fn_requantize(-1000, 0, 0), -128);
}

static void a_pooled_byte_is_shifted_either_way(void **state) {
    (void)state;
    assert_int_equal(fn_pool_rescale(100, 0), 100);
    assert_int_equal(fn_pool_rescale(5, 1), 3);
    assert_int_equal(fn_pool_rescale(127, 30), 0);
    assert_int_equal(fn_pool_rescale(3, -2), 12);
    assert_int_equal(fn_pool_rescale(64, -1), 127);
    assert_int_equal(fn_pool_rescale(1, -30), 127);
    assert_int_equal(fn_pool_rescale(0, -30), 0);
}

static void reals_round_half_up(void **state) {
    (void)state;
    assert_true(fn_quantize_real(0.5, 0) == 1);
    assert_true(fn_quantize_real(-0.5, 0) == 0);
    assert_true(fn_quantize_real(0.3, 4) == 5);
    assert_true(fn_quantize_real(48.0, -4) == 3);
}

/* Bounds by trying every input at its extremes, channel by channel. */
static void bounds_are_reached_and_never_passed(void **state) {
    (void)state;
    const int8_t weights[] = {127, -127, 5, 0, -1};
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        int low = is_signed ? -128 : 0;
        int64_t expected_max = 0, expected_min = 0;
        for (size_t i = 0; i < 5; i++) {
            int64_t a = (int64_t)weights[i] * 127, b = (int64_t)weights[i] * low;
            expected_max += a > b ? a : b;
            expected_min += a < b ? a : b;
        }
        const struct fn_channel channel = {.weights = weights,
                                           .n_weights = 5,
                                           .bias = 77,
                                           .input_signed = is_signed != 0,
                                           .positions = 1,
                                           .shift = 5,
                                           .has_residual = true,
                                           .residual_shift = 9};
        int64_t min, max;
        fn_channel_bounds(&channel, &min, &max);
        assert_int_equal(max, expected_max + 77 + (127 << 9) + 16);
        assert_int_equal(min, expected_min);
        assert_true(fn_channel_fits(&channel));
    }
}

static void a_channel_that_could_overflow_does_not_fit(void **state) {
    (void)state;
    static int8_t weights[140000];
    for (size_t i = 0; i < sizeof weights; i++) weights[i] = 127;
    struct fn_channel channel = {.weights = weights, .n_weights = 133000, .positions = 1};
    assert_true(fn_channel_fits(&channel)); /* 127 * 127 * 133000 = 2,145,157,000 */
    channel.n_weights = 133145;
    assert_false(fn_channel_fits(&channel)); /* 2,147,495,705 > 2^31 - 1 */
    channel.n_weights = 133000;
    channel.bias = 3000000;
    assert_false(fn_channel_fits(&channel));
    channel.bias = -3000000;
    assert_true(fn_channel_fits(&channel));
    channel.positions = 9;
    assert_false(fn_channel_fits(&channel));
}

static void shifts_outside_their_range_do_not_fit(void **state) {
    (void)state;
    const int8_t weight = 1;
    struct fn_channel channel = {.weights = &weight, .n_weights = 1, .positions = 1};
    const int shifts[] = {-1, 31, 0, 30};
    for (int i = 0; i < 4; i++) {
        channel.shift = shifts[i];
        assert_int_equal(fn_channel_fits(&channel), i >= 2);
    }
    channel.has_residual = true;
    channel.shift = 0;
    const int residuals[] = {-1, 24, 0, 23};
    for (int i = 0; i < 4; i++) {
        channel.residual_shift = residuals[i];
        assert_int_equal(fn_channel_fits(&channel), i >= 2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounding_is_half_up_for_every_shift),
        cmocka_unit_test(a_half_rounds_towards_plus_infinity),
        cmocka_unit_test(requantizing_saturates_by_relu),
        cmocka_unit_test(a_pooled_byte_is_shifted_either_way),
        cmocka_unit_test(reals_round_half_up),
        cmocka_unit_test(bounds_are_reached_and_never_passed),
        cmocka_unit_test(a_channel_that_could_overflow_does_not_fit),
        cmocka_unit_test(shifts_outside_their_range_do_not_fit),
    };
    return cmocka_run_group_tests_name("fixed", tests, NULL, NULL);
}
