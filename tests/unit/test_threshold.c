/* SPDX-License-Identifier: Apache-2.0
 *
 * test_threshold.c -- thresholds at a false-accept rate, by hand and by counting. */
#include "model/evaluate/threshold.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/random.h"

#define PEOPLE 40

static struct fn_scored_pair impostor_pairs[PEOPLE * PEOPLE], genuine_pairs[100];

/* Every two people once, each pair with some distance; 100 genuine pairs, closer. */
static void make_pairs(struct fn_pair_set *ret_impostors, struct fn_pair_set *ret_genuine) {
    *ret_impostors = (struct fn_pair_set){impostor_pairs, 0};
    *ret_genuine = (struct fn_pair_set){genuine_pairs, 100};
    for (uint32_t a = 0; a < PEOPLE; a++)
        for (uint32_t b = a + 1; b < PEOPLE; b++)
            impostor_pairs[ret_impostors->n++] =
                (struct fn_scored_pair){2 + random_float() + 0.5F * random_float(), a, b};
    for (uint32_t i = 0; i < 100; i++)
        genuine_pairs[i] = (struct fn_scored_pair){1 + random_float(), i % PEOPLE, i % PEOPLE};
}

static size_t count(const struct fn_pair_set *set, double value) {
    size_t n = 0;
    for (size_t i = 0; i < set->n; i++) n += (double)set->pairs[i].distance <= value;
    return n;
}

static void the_threshold_accepts_the_stated_share_and_no_more(void **state) {
    (void)state;
    struct fn_pair_set impostors, genuine;
    struct fn_error err;
    static const double rates[] = {0.5, 0.1, 0.05, 0.01, 0.005};
    for (int round = 0; round < 10; round++) {
        make_pairs(&impostors, &genuine);
        for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
            struct fn_operating_point point = {.crop = "c", .fitted_on = "f"};
            assert_ok(fn_threshold_fit(&impostors, &genuine, PEOPLE, rates[i], &point, &err), err);
            assert_int_equal(count(&impostors, point.value),
                             (size_t)(rates[i] * (double)impostors.n));
            assert_true(point.true_accepts == (double)count(&genuine, point.value) / 100);
            assert_true(point.value_low <= point.value && point.value <= point.value_high);
            assert_true(point.value_high - point.value_low < 1);
            assert_true((double)(float)point.value == point.value);
            assert_int_equal(point.pairs, PEOPLE * (PEOPLE - 1) / 2);
            assert_int_equal(point.low_confidence, 780 * rates[i] < 10);
            assert_string_equal(point.metric, "l2_squared");
            assert_string_equal(point.crop, "c");
        }
    }
}

static double fit(struct fn_scored_pair *pairs, size_t n, double far) {
    struct fn_pair_set impostors = {pairs, n}, genuine = {NULL, 0};
    struct fn_operating_point point = {0};
    struct fn_error err;
    assert_ok(fn_threshold_fit(&impostors, &genuine, 4, far, &point, &err), err);
    return point.value;
}

static void a_threshold_lies_halfway_between_its_neighbours(void **state) {
    (void)state;
    struct fn_scored_pair pairs[] = {{1.5F, 0, 1}, {1, 0, 2}, {2, 0, 3}, {1.25F, 1, 2}};
    assert_true(fit(pairs, 4, 0.25) == 1.125);
    assert_true(fit(pairs, 4, 0.5) == 1.375);
    assert_true(fit(pairs, 4, 0.49) == 1.125);
    assert_true(fit(pairs, 4, 0.01) == 0.5); /* none is accepted */
}

static void equal_distances_stay_together(void **state) {
    (void)state;
    struct fn_scored_pair pairs[] = {{1, 0, 1}, {1.5F, 0, 2}, {1.5F, 0, 3}, {2, 1, 2}};
    assert_true(fit(pairs, 4, 0.5) == 1.25);
    assert_true(fit(pairs, 4, 0.75) == 1.75);
    struct fn_scored_pair zeros[] = {{0, 0, 1}, {0, 0, 2}};
    assert_true(fit(zeros, 2, 0.5) > 0); /* the least a threshold may be */
}

static void the_order_of_pairs_does_not_matter(void **state) {
    (void)state;
    struct fn_pair_set impostors, genuine;
    struct fn_error err;
    struct fn_operating_point a = {0}, b = {0};
    make_pairs(&impostors, &genuine);
    assert_ok(fn_threshold_fit(&impostors, &genuine, PEOPLE, 0.02, &a, &err), err);
    for (size_t i = impostors.n - 1; i > 0; i--) {
        size_t k = (size_t)random_below((int)i + 1);
        struct fn_scored_pair other = impostors.pairs[i];
        impostors.pairs[i] = impostors.pairs[k];
        impostors.pairs[k] = other;
    }
    assert_ok(fn_threshold_fit(&impostors, &genuine, PEOPLE, 0.02, &b, &err), err);
    assert_memory_equal(&a, &b, sizeof a);
}

/* One person who resembles everybody moves a bootstrap over people, hardly one over pairs. */
static void the_interval_knows_that_pairs_share_people(void **state) {
    (void)state;
    struct fn_pair_set impostors, genuine;
    struct fn_error err;
    struct fn_operating_point even = {0}, uneven = {0};
    make_pairs(&impostors, &genuine);
    assert_ok(fn_threshold_fit(&impostors, &genuine, PEOPLE, 0.05, &even, &err), err);
    for (size_t i = 0; i < impostors.n; i++)
        if (impostors.pairs[i].a == 0) impostors.pairs[i].distance = 0.1F + 0.01F * (float)(i % 7);
    assert_ok(fn_threshold_fit(&impostors, &genuine, PEOPLE, 0.05, &uneven, &err), err);
    assert_true(uneven.value_high - uneven.value_low > 2 * (even.value_high - even.value_low));
}

static void without_impostors_there_is_no_threshold(void **state) {
    (void)state;
    struct fn_pair_set none = {NULL, 0};
    struct fn_operating_point point = {0};
    struct fn_error err;
    assert_int_equal(fn_threshold_fit(&none, &none, 1, 0.1, &point, &err), FN_USAGE);
}

/* Resamples follow the seed alone: closer genuine pairs are accepted more often in every one. */
static void resamples_of_the_same_people_can_be_compared_one_by_one(void **state) {
    (void)state;
    static double far_apart[FN_THRESHOLD_RESAMPLES], closer[FN_THRESHOLD_RESAMPLES];
    struct fn_pair_set impostors, genuine;
    struct fn_operating_point point = {0};
    struct fn_error err;
    double mean = 0;
    make_pairs(&impostors, &genuine);
    assert_ok(fn_threshold_fit(&impostors, &genuine, PEOPLE, 0.05, &point, &err), err);
    assert_ok(fn_threshold_resample(&impostors, &genuine, PEOPLE, 0.05, far_apart, &err), err);
    for (size_t i = 0; i < genuine.n; i++) genuine.pairs[i].distance *= 0.9F;
    assert_ok(fn_threshold_resample(&impostors, &genuine, PEOPLE, 0.05, closer, &err), err);
    int more = 0;
    for (int i = 0; i < FN_THRESHOLD_RESAMPLES; i++) {
        assert_true(far_apart[i] >= 0 && far_apart[i] <= closer[i] && closer[i] <= 1);
        more += closer[i] > far_apart[i];
        mean += far_apart[i] / FN_THRESHOLD_RESAMPLES;
    }
    assert_true(more > FN_THRESHOLD_RESAMPLES / 2);
    assert_true(fabs(mean - point.true_accepts) < 0.05);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_threshold_accepts_the_stated_share_and_no_more),
        cmocka_unit_test(a_threshold_lies_halfway_between_its_neighbours),
        cmocka_unit_test(equal_distances_stay_together),
        cmocka_unit_test(the_order_of_pairs_does_not_matter),
        cmocka_unit_test(the_interval_knows_that_pairs_share_people),
        cmocka_unit_test(without_impostors_there_is_no_threshold),
        cmocka_unit_test(resamples_of_the_same_people_can_be_compared_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
