/* SPDX-License-Identifier: Apache-2.0
 *
 * test_roc.c -- verification figures on cases small enough to count by hand. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "model/evaluate/roc.h"
#include "model/evaluate/roc_plot.h"
#include "model/quantize/facts.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/temporary.h"

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-12)

static void the_best_threshold_lies_between_the_kinds(void **state) {
    (void)state;
    static const struct fn_roc_pair pairs[] = {
        {0.9, true, 0}, {0.25, true, 0}, {1.0, false, 0}, {0.75, false, 0}, {0.5, true, 0}};
    double threshold;
    struct fn_error err = {0};
    /* 0.25 s, 0.5 s | 0.75 d, 0.9 s | 1.0 d: both cuts give 4 of 5; the lower one counts */
    assert_ok(fn_roc_best_threshold(pairs, 5, -1, &threshold, &err), err);
    NEAR(threshold, 0.625);
    NEAR(fn_roc_accuracy(pairs, 5, 0, threshold), 0.8);
}

static void accepting_all_or_nothing_can_be_best(void **state) {
    (void)state;
    static const struct fn_roc_pair far_apart[] = {{2, true, 0}, {1, false, 0}, {1.5, false, 0}};
    static const struct fn_roc_pair all_same[] = {{2, true, 0}, {1, true, 0}};
    double threshold;
    struct fn_error err = {0};
    assert_ok(fn_roc_best_threshold(far_apart, 3, -1, &threshold, &err), err);
    NEAR(fn_roc_accuracy(far_apart, 3, 0, threshold), 2.0 / 3);
    assert_true(threshold <= 1);
    assert_ok(fn_roc_best_threshold(all_same, 2, -1, &threshold, &err), err);
    NEAR(fn_roc_accuracy(all_same, 2, 0, threshold), 1);
    assert_true(threshold > 2);
}

static void equal_distances_are_never_parted(void **state) {
    (void)state;
    static const struct fn_roc_pair pairs[] = {
        {1, true, 0}, {1, true, 0}, {1, false, 0}, {1, true, 0}, {3, false, 0}};
    double threshold;
    struct fn_error err = {0};
    assert_ok(fn_roc_best_threshold(pairs, 5, -1, &threshold, &err), err);
    NEAR(threshold, 2);
    NEAR(fn_roc_accuracy(pairs, 5, 0, threshold), 0.8);
}

static void neighbouring_doubles_can_be_parted(void **state) {
    (void)state;
    double low = 1, high = nextafter(1, 2), threshold;
    const struct fn_roc_pair pairs[] = {{low, true, 0}, {high, false, 0}};
    struct fn_error err = {0};
    assert_ok(fn_roc_best_threshold(pairs, 2, -1, &threshold, &err), err);
    NEAR(fn_roc_accuracy(pairs, 2, 0, threshold), 1);
}

static void each_fold_is_judged_by_the_others(void **state) {
    (void)state;
    /* Fold 0 alone would choose 0.3, but is judged at fold 1's threshold 1.5 and the reverse. */
    static const struct fn_roc_pair pairs[] = {
        {0.2, true, 0}, {0.4, false, 0}, {1.0, true, 1}, {2.0, false, 1}};
    double accuracies[2];
    struct fn_roc_spread spread;
    struct fn_error err = {0};
    assert_ok(fn_roc_cross_validate(pairs, 4, 2, accuracies, &spread, &err), err);
    NEAR(accuracies[0], 0.5); /* below 1.5: accepts both */
    NEAR(accuracies[1], 0.5); /* below 0.3: refuses both */
    NEAR(spread.mean, 0.5);
    NEAR(spread.deviation, 0);
}

static void deviation_and_error_are_two_things(void **state) {
    (void)state;
    /* The others' thresholds, in turn: 1.5, 1.5, 3.5, all folds right but fold 2 by one of two. */
    static const struct fn_roc_pair pairs[] = {{1, true, 0},  {2, false, 0}, {1, true, 1},
                                               {2, false, 1}, {3, true, 2},  {4, false, 2}};
    double accuracies[3];
    struct fn_roc_spread spread;
    struct fn_error err = {0};
    assert_ok(fn_roc_cross_validate(pairs, 6, 3, accuracies, &spread, &err), err);
    NEAR(accuracies[0], 1);
    NEAR(accuracies[1], 1);
    NEAR(accuracies[2], 0.5);
    NEAR(spread.mean, 2.5 / 3);
    NEAR(spread.deviation, sqrt(1.0 / 12)); /* (1/36 + 1/36 + 4/36) / (3 - 1) */
    NEAR(spread.error, sqrt(1.0 / 36));
}

static void sub_folds_are_stratified(void **state) {
    (void)state;
    struct fn_roc_pair pairs[30];
    for (int i = 0; i < 30; i++) pairs[i] = (struct fn_roc_pair){0, i < 13, 0};
    assert_int_equal(fn_roc_make_subfolds(pairs, 30), 10);
    for (int i = 0; i < 30; i++) assert_int_equal(pairs[i].fold, (i < 13 ? i : i - 13) % 10);
    assert_int_equal(fn_roc_make_subfolds(pairs, 16), 3); /* 13 same, only 3 different */
    assert_int_equal(fn_roc_make_subfolds(pairs, 13), 1); /* none different */
}

static void tar_takes_the_largest_threshold_allowed(void **state) {
    (void)state;
    double same[] = {0.1, 0.25, 0.3, 0.45},
           impostors[] = {0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1};
    const struct fn_roc roc = {same, impostors, 4, 10};
    double tar, threshold;
    assert_false(fn_roc_tar(&roc, 0.09, &tar, &threshold)); /* 0.9 impostors */
    assert_true(fn_roc_tar(&roc, 0.1, &tar, &threshold));
    NEAR(threshold, 0.3); /* accepts 0.2 only; 0.3 itself is not below */
    NEAR(tar, 0.5);
    assert_true(fn_roc_tar(&roc, 0.29, &tar, &threshold)); /* two allowed */
    NEAR(threshold, 0.4);
    NEAR(tar, 0.75);
    assert_true(fn_roc_tar(&roc, 1, &tar, &threshold));
    assert_true(isinf(threshold));
    NEAR(tar, 1);
}

static void a_product_meant_whole_is_whole(void **state) {
    (void)state;
    double same[] = {0.5}, impostors[100];
    for (int i = 0; i < 100; i++) impostors[i] = i;
    const struct fn_roc roc = {same, impostors, 1, 100};
    double tar, threshold;
    assert_true(0.29 * 100 < 29); /* in doubles */
    assert_true(fn_roc_tar(&roc, 0.29, &tar, &threshold));
    NEAR(threshold, 29);
    assert_true(fn_roc_tar(&roc, 0.01, &tar, &threshold));
    NEAR(threshold, 1);
}

static void tied_impostors_count_together(void **state) {
    (void)state;
    double same[] = {0.1, 0.5}, impostors[] = {0.2, 0.2, 0.2, 0.6};
    const struct fn_roc roc = {same, impostors, 2, 4};
    double tar, threshold;
    assert_true(fn_roc_tar(&roc, 0.5, &tar, &threshold)); /* two allowed, three at 0.2 */
    NEAR(threshold, 0.2);
    NEAR(tar, 0.5);
}

static void auc_counts_wins_and_half_ties(void **state) {
    (void)state;
    double same[] = {1, 2, 3}, impostors[] = {2, 4};
    const struct fn_roc roc = {same, impostors, 3, 2};
    NEAR(fn_roc_auc(&roc), 4.5 / 6); /* 1: 2 wins; 2: a tie and a win; 3: 1 win */
}

static void cosines_have_a_mean_and_a_low_end(void **state) {
    (void)state;
    float a[200], b[200];
    for (int i = 0; i < 200; i++) { /* 1-d "vectors": cosines 0.001 ... 0.200, shuffled */
        a[i] = 1;
        b[i] = (float)((i * 77 % 200) + 1) / 1000;
    }
    struct fn_cosines cosines;
    struct fn_error err = {0};
    assert_ok(fn_cosines_measure(a, b, 200, 1, &cosines, &err), err);
    assert_true(fabs(cosines.mean - 0.1005) < 1e-6);
    assert_true(fabs(cosines.percentile_1 - 0.002) < 1e-6); /* the second of 200 */
    assert_ok(fn_cosines_measure(a, b, 1, 1, &cosines, &err), err);
    assert_true(fabs(cosines.percentile_1 - 0.001) < 1e-6);
}

static void gnuplot_draws_whatever_the_title(void **state) {
    (void)state;
    if (access("/usr/bin/gnuplot", X_OK) != 0) skip();
    double same[] = {0.1, 0.25, 0.3, 0.45}, impostors[] = {0.2, 0.4, 0.5, 0.6};
    const struct fn_roc roc = {same, impostors, 4, 4};
    const struct fn_roc_curve curve = {"it's `id` \"x\"\n; system('false') $y", &roc};
    struct fn_error err = {0};
    const char *path = temporary_path("roc.svg");
    assert_ok(fn_roc_plot(path, &curve, 1, &err), err);
    char text[65536];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    assert_non_null(strstr(text, "<svg"));
    assert_non_null(strstr(text, "</svg>"));
    assert_non_null(strstr(text, "false accept rate"));
    assert_int_equal(fn_roc_plot(temporary_path("no/such/dir.svg"), &curve, 1, &err), FN_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_threshold_lies_between_the_kinds),
        cmocka_unit_test(accepting_all_or_nothing_can_be_best),
        cmocka_unit_test(equal_distances_are_never_parted),
        cmocka_unit_test(neighbouring_doubles_can_be_parted),
        cmocka_unit_test(each_fold_is_judged_by_the_others),
        cmocka_unit_test(deviation_and_error_are_two_things),
        cmocka_unit_test(sub_folds_are_stratified),
        cmocka_unit_test(tar_takes_the_largest_threshold_allowed),
        cmocka_unit_test(a_product_meant_whole_is_whole),
        cmocka_unit_test(tied_impostors_count_together),
        cmocka_unit_test(auc_counts_wins_and_half_ties),
        cmocka_unit_test(cosines_have_a_mean_and_a_low_end),
        cmocka_unit_test_setup_teardown(gnuplot_draws_whatever_the_title, temporary_make,
                                        temporary_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
