/* SPDX-License-Identifier: Apache-2.0
 *
 * test_detect_scale.c -- resampling against the definition, overlap by overlap in integers. */
#include "engine/detect/scale.h"

#include <math.h>
#include <stdlib.h>

#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/random.h"

static struct fn_picture make_picture(int width, int height) {
    struct fn_picture picture = {.width = width,
                                 .height = height,
                                 .full_width = width,
                                 .full_height = height,
                                 .orientation = 1};
    picture.rgb = malloc((size_t)3 * (size_t)width * (size_t)height);
    for (int i = 0; i < 3 * width * height; i++) picture.rgb[i] = (uint8_t)random_below(256);
    return picture;
}

/* Length that [a, a + a_length) and [b, b + b_length) share. */
static int64_t shared(int64_t a, int64_t a_length, int64_t b, int64_t b_length) {
    int64_t begin = a > b ? a : b;
    int64_t end = a + a_length < b + b_length ? a + a_length : b + b_length;
    return end > begin ? end - begin : 0;
}

static int64_t pixel(const struct fn_picture *picture, int x, int y, int c) {
    if (x < 0 || y < 0 || x >= picture->width || y >= picture->height) return 0;
    return picture->rgb[3 * (y * picture->width + x) + c];
}

static float define(const struct fn_picture *picture, struct fn_rect rect, int width, int height,
                    bool rounded, int x, int y, int c) {
    int64_t sum = 0, d = (int64_t)rect.width * rect.height;
    for (int i = 0; i < rect.height; i++) {
        int64_t wy = shared((int64_t)height * i, height, (int64_t)rect.height * y, rect.height);
        for (int j = 0; j < rect.width && wy > 0; j++)
            sum += wy * shared((int64_t)width * j, width, (int64_t)rect.width * x, rect.width) *
                   pixel(picture, rect.x + j, rect.y + i, c);
    }
    int64_t nearest = (sum + d / 2) / d;
    double value = rounded ? (double)nearest : (double)sum / (double)d;
    return (float)((value - 127.5) / 128);
}

static void check(struct fn_scaler *scaler, const struct fn_picture *picture, struct fn_rect rect,
                  int width, int height, bool rounded) {
    struct fn_error err;
    float *row = malloc(3 * (size_t)width * sizeof *row);
    assert_ok(fn_scaler_begin(scaler, picture, rect, width, height, rounded, &err), err);
    for (int y = 0; y < height; y++) {
        fn_scaler_row(scaler, y, row);
        for (int i = 0; i < 3 * width; i++) {
            float expected = define(picture, rect, width, height, rounded, i / 3, y, i % 3);
            if (row[i] != expected)
                fail_msg("%d x %d at (%d, %d) to %d x %d: pixel (%d, %d) is %a, expected %a",
                         rect.width, rect.height, rect.x, rect.y, width, height, i / 3, y,
                         (double)row[i], (double)expected);
        }
    }
    free(row);
}

static void rows_are_as_defined_for_every_size_and_place(void **state) {
    (void)state;
    struct fn_picture picture = make_picture(61, 47);
    struct fn_scaler scaler = {0};
    for (int i = 0; i < 300; i++) {
        int width = 1 + random_below(90), height = 1 + random_below(70);
        struct fn_rect rect = {random_below(80) - 30, random_below(60) - 25, width, height};
        check(&scaler, &picture, rect, 1 + random_below(50), 1 + random_below(50), i % 2);
    }
    check(&scaler, &picture, (struct fn_rect){0, 0, 61, 47}, 61, 47, true);
    check(&scaler, &picture, (struct fn_rect){200, 5, 20, 20}, 24, 24, false);
    check(&scaler, &picture, (struct fn_rect){-500, -500, 1200, 1100}, 24, 24, false);
    fn_scaler_done(&scaler);
    free(picture.rgb);
}

static void nothing_is_rounded_in_the_largest_pieces(void **state) {
    (void)state;
    struct fn_picture picture = make_picture(FN_SCALE_MAX_SIDE, 3);
    struct fn_scaler scaler = {0};
    for (int i = 0; i < 3 * picture.width * picture.height; i++)
        picture.rgb[i] = (uint8_t)(255 - random_below(2));
    check(&scaler, &picture, (struct fn_rect){0, 0, FN_SCALE_MAX_SIDE, 3}, 12, 2, false);
    fn_scaler_done(&scaler);
    free(picture.rgb);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_as_defined_for_every_size_and_place),
        cmocka_unit_test(nothing_is_rounded_in_the_largest_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
