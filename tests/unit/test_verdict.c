/* SPDX-License-Identifier: Apache-2.0
 *
 * test_verdict.c -- four metrics, one verdict. */
#include "engine/verdict.h"

#include <math.h>

#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/random.h"

static void check_agreement(float distance, float threshold) {
    struct fn_distance d = fn_distance_of(distance), cut = fn_distance_of(threshold);
    bool same = distance <= threshold;
    if (fn_same_by_l2_squared(&d, &cut) != same || fn_same_by_l2(&d, &cut) != same ||
        fn_same_by_cosine(&d, &cut) != same || fn_same_by_angle(&d, &cut) != same)
        fail_msg("distance %a, threshold %a: the metrics disagree", (double)distance,
                 (double)threshold);
}

static void verdicts_agree_for_the_closest_neighbours_of_every_threshold(void **state) {
    (void)state;
    for (int i = 0; i < 1000000; i++) {
        float threshold = ldexpf(1 + fabsf(random_float()), random_below(22) - 20);
        if (threshold > 4) threshold = 4;
        check_agreement(threshold, threshold);
        check_agreement(nextafterf(threshold, 0), threshold);
        if (threshold < 4) check_agreement(nextafterf(threshold, 4), threshold);
    }
}

static void verdicts_agree_at_the_ends(void **state) {
    (void)state;
    static const float ends[] = {0, 0x1p-149F, FN_VERDICT_LEAST, 1, 0x1.fffffep0F, 2, 0x1.fffffep1F,
                                 4};
    for (size_t i = 0; i < 8; i++)
        for (size_t k = 2; k < 8; k++) check_agreement(ends[i], ends[k]);
}

static void metrics_of_known_distances_are_known(void **state) {
    (void)state;
    struct fn_distance m = fn_distance_of(2);
    assert_true(m.cosine == 0 && fabs(m.angle - 90) < 1e-12 && m.l2 == sqrt(2));
    m = fn_distance_of(0);
    assert_true(m.cosine == 1 && m.angle == 0 && m.l2 == 0);
    m = fn_distance_of(4);
    assert_true(m.cosine == -1 && fabs(m.angle - 180) < 1e-12 && m.l2 == 2);
    const float a[3] = {1, 0, 0}, b[3] = {0.6F, 0.8F, 0};
    assert_true(fabsf(fn_verdict_distance(a, b, 3) - 0.8F) < 1e-6F);
    assert_true(fn_verdict_distance(a, a, 3) == 0);
    assert_true(fn_verdict_distance(a, b, 3) == fn_verdict_distance(b, a, 3));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts_agree_for_the_closest_neighbours_of_every_threshold),
        cmocka_unit_test(verdicts_agree_at_the_ends),
        cmocka_unit_test(metrics_of_known_distances_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
