/* SPDX-License-Identifier: Apache-2.0
 *
 * test_detect_box.c -- order, suppression and box arithmetic, by hand and against a plain model. */
#include "engine/detect/box.h"

#include <math.h>
#include <stdlib.h>

#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/random.h"

static struct fn_candidate box(double x1, double y1, double x2, double y2, float margin) {
    return (struct fn_candidate){.x1 = x1, .y1 = y1, .x2 = x2, .y2 = y2, .margin = margin};
}

static void the_surer_comes_first_and_of_equals_the_earlier(void **state) {
    (void)state;
    struct fn_candidate c[4] = {box(0, 0, 1, 1, 1), box(0, 0, 1, 1, 3), box(0, 0, 1, 1, 1),
                                box(0, 0, 1, 1, -2)};
    for (uint32_t i = 0; i < 4; i++) c[i].order = 3 - i;
    fn_candidates_sort(c, 4);
    assert_int_equal(c[0].order, 2);
    assert_int_equal(c[1].order, 1);
    assert_int_equal(c[2].order, 3);
    assert_int_equal(c[3].order, 0);
}

static void overlap_counts_both_end_pixels(void **state) {
    (void)state;
    /* 10 x 10 and 10 x 10 pixels that share 5 x 10: 50 / 150 of the union, 50 / 100 of the least.
     */
    struct fn_candidate c[2] = {box(1, 1, 10, 10, 2), box(6, 1, 15, 10, 1)};
    assert_int_equal(fn_candidates_suppress(c, 2, FN_OVERLAP_UNION, 1.0 / 3), 2);
    assert_int_equal(fn_candidates_suppress(c, 2, FN_OVERLAP_UNION, 0.33), 1);
    c[1] = box(6, 1, 15, 10, 1);
    assert_int_equal(fn_candidates_suppress(c, 2, FN_OVERLAP_LEAST, 0.5), 2);
    assert_int_equal(fn_candidates_suppress(c, 2, FN_OVERLAP_LEAST, 0.49), 1);
}

/* As the original words it: take the best, strike what overlaps it too much, repeat. */
static size_t strike_out(const struct fn_candidate *in, size_t n, double most, uint32_t *ret_kept) {
    bool gone[64] = {false};
    size_t kept = 0;
    for (size_t round = 0; round < n; round++) {
        const struct fn_candidate *best = NULL;
        for (size_t i = 0; i < n; i++)
            if (!gone[i] && (!best || in[i].margin > best->margin)) best = &in[i];
        if (!best) break;
        ret_kept[kept++] = best->order;
        gone[best - in] = true;
        for (size_t i = 0; i < n; i++) {
            double w = fmin(in[i].x2, best->x2) - fmax(in[i].x1, best->x1) + 1;
            double h = fmin(in[i].y2, best->y2) - fmax(in[i].y1, best->y1) + 1;
            double both = fmax(w, 0) * fmax(h, 0);
            double a = (in[i].x2 - in[i].x1 + 1) * (in[i].y2 - in[i].y1 + 1);
            double b = (best->x2 - best->x1 + 1) * (best->y2 - best->y1 + 1);
            if (both / (a + b - both) > most) gone[i] = true;
        }
    }
    return kept;
}

static void suppression_keeps_what_the_original_keeps(void **state) {
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct fn_candidate c[64];
        uint32_t expected[64];
        for (uint32_t i = 0; i < 64; i++) {
            double x = random_below(60), y = random_below(60);
            c[i] = box(x, y, x + 5 + random_below(30), y + 5 + random_below(30), random_float());
            c[i].order = i;
        }
        size_t n = strike_out(c, 64, 0.5, expected);
        fn_candidates_sort(c, 64);
        assert_int_equal(fn_candidates_suppress(c, 64, FN_OVERLAP_UNION, 0.5), n);
        for (size_t i = 0; i < n; i++) assert_int_equal(c[i].order, expected[i]);
    }
}

static void a_box_is_moved_squared_and_snapped(void **state) {
    (void)state;
    const struct fn_picture picture = {.width = 100, .height = 80};
    struct fn_rect rect;
    struct fn_candidate c = box(10, 20, 29, 59, 0); /* 20 x 40 pixels */
    const float regression[4] = {0.5F, -0.25F, 0.25F, 0};
    for (int i = 0; i < 4; i++) c.regression[i] = regression[i];
    fn_candidate_regress(&c, 1);
    assert_true(c.x1 == 20 && c.y1 == 10 && c.x2 == 34 && c.y2 == 59);
    fn_candidate_square(&c); /* 14 and 49 between the edges: 17.5 more on each side */
    assert_true(c.x1 == 2.5 && c.y1 == 10 && c.x2 == 51.5 && c.y2 == 59);
    assert_true(fn_candidate_snap(&c, &picture, 1000, &rect));
    assert_int_equal(rect.x, 1);
    assert_int_equal(rect.y, 9);
    assert_int_equal(rect.width, 50);
    assert_int_equal(rect.height, 50);
    c = box(-3.7, -0.5, 6.2, 7.9, 0); /* towards zero, as the original: -3...6 and 0...7 */
    assert_true(fn_candidate_snap(&c, &picture, 1000, &rect));
    assert_int_equal(rect.x, -4);
    assert_int_equal(rect.y, -1);
    assert_int_equal(rect.width, 10);
    assert_int_equal(rect.height, 8);
}

static void what_is_no_piece_of_the_picture_is_refused(void **state) {
    (void)state;
    const struct fn_picture picture = {.width = 100, .height = 80};
    struct fn_rect rect;
    const struct fn_candidate bad[] = {
        box(10, 10, 8, 20, 0),        box(10, 10, 20, 5, 0),           box(101, 10, 120, 20, 0),
        box(-30, 10, 0, 20, 0),       box(10, 81, 20, 90, 0),          box(NAN, 10, 20, 20, 0),
        box(10, 10, NAN, 20, 0),      box(-INFINITY, 10, 20, 20, 0),   box(0, 0, 1e300, 1e300, 0),
        box(10, 10, 20, INFINITY, 0), box(-1e18, -1e18, 1e18, 1e18, 0)};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fn_candidate c = bad[i];
        assert_false(fn_candidate_snap(&c, &picture, 65535, &rect));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_surer_comes_first_and_of_equals_the_earlier),
        cmocka_unit_test(overlap_counts_both_end_pixels),
        cmocka_unit_test(suppression_keeps_what_the_original_keeps),
        cmocka_unit_test(a_box_is_moved_squared_and_snapped),
        cmocka_unit_test(what_is_no_piece_of_the_picture_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
