/* SPDX-License-Identifier: Apache-2.0
 *
 * The original's 8-bit strings, against its own steps written another way: whole part and
 * fraction by subtraction of place values, from the left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/inspect/bin.h"

/* The rule of the original, step by step as its article has it: clamp, split at the point, the
 * whole part in 7 - n places by subtraction of place values, the fraction in n places likewise. */
static void model_of_the_original(double x, int n, char *ret) {
    double low = 1, high = 1;
    for (int i = 0; i < n; i++) low /= 2;
    for (int i = 0; i < 7 - n; i++) high *= 2;
    high -= low;
    double rest = x < 0 ? -x : x;
    if (rest < low) rest = low;
    if (rest > high) rest = high;
    ret[0] = x < 0 ? '1' : '0';
    double place = 1;
    for (int i = 1; i < 7 - n; i++) place *= 2;
    if (n == 7) place = 0.5;
    for (int i = 1; i < 8; i++) {
        ret[i] = rest >= place ? '1' : '0';
        if (rest >= place) rest -= place;
        place /= 2;
    }
    ret[8] = '\0';
}

static double any_double(uint64_t *seed) {
    uint64_t r = *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    double scale = ldexp(1, (int)(r >> 32 & 31) - 20);
    double x = (double)(int64_t)(r >> 11) * 0x1p-53 * scale;
    return r & 1 ? -x : x;
}

static void every_value_is_as_the_original_gives_it(void **state) {
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < 200000; i++) {
        double x = any_double(&seed);
        int n = i % 8;
        char expected[9], found[FN_BIN_SIZE];
        model_of_the_original(x, n, expected);
        assert_int_equal(fn_float_to_bin(x, n, found, NULL), FN_OK);
        assert_string_equal(found, expected);
    }
}

static void every_string_that_is_produced_decodes_to_itself(void **state) {
    (void)state;
    for (int n = 0; n <= 7; n++)
        for (int sign = 0; sign < 2; sign++)
            for (int magnitude = 1; magnitude < 128; magnitude++) {
                double x = ldexp(sign ? -magnitude : magnitude, -n), back = 0;
                char bits[FN_BIN_SIZE];
                assert_int_equal(fn_float_to_bin(x, n, bits, NULL), FN_OK);
                assert_int_equal(fn_bin_to_float(bits, n, &back, NULL), FN_OK);
                assert_true(back == x);
                /* Just under the next step is still this one: truncation. */
                double next = ldexp(magnitude + 1, -n);
                char cut[FN_BIN_SIZE];
                assert_int_equal(fn_float_to_bin(copysign(nextafter(next, 0), x), n, cut, NULL),
                                 FN_OK);
                assert_string_equal(cut, bits);
            }
}

static void the_examples_of_the_article_hold(void **state) {
    (void)state;
    static const struct {
        double x;
        int n;
        const char *bits;
    } examples[] = {
        {-4.5, 3, "10100100"},      {0.0, 4, "00000001"},       {-0.0, 4, "00000001"},
        {-1e-9, 4, "10000001"},     {1e9, 0, "01111111"},       {-1e9, 7, "11111111"},
        {3.0, 0, "00000011"},       {-0.5, 7, "11000000"},      {INFINITY, 2, "01111111"},
        {-INFINITY, 2, "11111111"}, {0x1p-1074, 5, "00000001"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        char bits[FN_BIN_SIZE];
        assert_int_equal(fn_float_to_bin(examples[i].x, examples[i].n, bits, NULL), FN_OK);
        assert_string_equal(bits, examples[i].bits);
    }
}

static void what_is_no_number_and_no_n_is_an_error_that_says_so(void **state) {
    (void)state;
    struct fn_error err = {0};
    char bits[FN_BIN_SIZE] = "before";
    double x = 5;
    assert_int_equal(fn_float_to_bin(NAN, 3, bits, &err), FN_USAGE);
    assert_non_null(strstr(err.text, "NaN"));
    assert_int_equal(fn_float_to_bin(1, 8, bits, &err), FN_USAGE);
    assert_non_null(strstr(err.text, "0...7"));
    assert_int_equal(fn_float_to_bin(1, -1, bits, &err), FN_USAGE);
    assert_string_equal(bits, "before");
    static const char *const bad[] = {"", "0", "000000000", "0000000x", "0000 000", "12000000"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(fn_bin_to_float(bad[i], 3, &x, &err), FN_USAGE);
    assert_int_equal(fn_bin_to_float("00000001", 8, &x, &err), FN_USAGE);
    assert_true(x == 5);
}

static void the_two_zeros_decode_though_they_are_never_produced(void **state) {
    (void)state;
    double x = 1;
    assert_int_equal(fn_bin_to_float("00000000", 3, &x, NULL), FN_OK);
    assert_true(x == 0 && !signbit(x));
    assert_int_equal(fn_bin_to_float("10000000", 3, &x, NULL), FN_OK);
    assert_true(x == 0 && signbit(x));
}

static void the_fraction_is_truncated_bit_by_bit(void **state) {
    (void)state;
    char bits[80];
    uint64_t seed = 7;
    for (int i = 0; i < 100000; i++) {
        uint64_t whole = (seed = seed * 6364136223846793005u + 1442695040888963407u) >> 11;
        int n = 1 + i % 53;
        assert_int_equal(fn_xiaoshu(ldexp((double)whole, -53), n, bits, NULL), FN_OK);
        assert_int_equal(strlen(bits), n);
        for (int k = 0; k < n; k++) assert_int_equal(bits[k], whole >> (52 - k) & 1 ? '1' : '0');
    }
    assert_int_equal(fn_xiaoshu(0.0525, 4, bits, NULL), FN_OK);
    assert_string_equal(bits, "0000");
    assert_int_equal(fn_xiaoshu(1, 5, bits, NULL), FN_OK);
    assert_string_equal(bits, "11111");
    assert_int_equal(fn_xiaoshu(-0.75, 5, bits, NULL), FN_OK);
    assert_string_equal(bits, "00000");
    assert_int_equal(fn_xiaoshu(0.75, 64, bits, NULL), FN_OK);
    assert_int_equal(strspn(bits + 2, "0"), 62);
    assert_int_equal(fn_xiaoshu(nextafter(1, 2), 5, bits, NULL), FN_USAGE);
    assert_int_equal(fn_xiaoshu(0.5, 0, bits, NULL), FN_USAGE);
    assert_int_equal(fn_xiaoshu(NAN, 5, bits, NULL), FN_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_is_as_the_original_gives_it),
        cmocka_unit_test(every_string_that_is_produced_decodes_to_itself),
        cmocka_unit_test(the_examples_of_the_article_hold),
        cmocka_unit_test(what_is_no_number_and_no_n_is_an_error_that_says_so),
        cmocka_unit_test(the_two_zeros_decode_though_they_are_never_produced),
        cmocka_unit_test(the_fraction_is_truncated_bit_by_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
