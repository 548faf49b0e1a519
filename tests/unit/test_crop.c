/* SPDX-License-Identifier: Apache-2.0
 *
 * test_crop.c -- crop contracts, the choice among faces, and quality hints. */
#include "engine/detect/crop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/random.h"

static struct fn_picture make_picture(int width, int height) {
    struct fn_picture picture = {
        .width = width, .height = height, .full_width = width, .full_height = height};
    picture.rgb = malloc((size_t)3 * (size_t)width * (size_t)height);
    for (int i = 0; i < 3 * width * height; i++) picture.rgb[i] = (uint8_t)random_below(256);
    return picture;
}

static void contracts_have_names_and_names_contracts(void **state) {
    (void)state;
    enum fn_crop_contract contract;
    for (int i = 0; i < FN_CROP_CONTRACTS; i++) {
        assert_true(fn_crop_parse(fn_crop_name((enum fn_crop_contract)i), &contract));
        assert_int_equal(contract, i);
        assert_true(strlen(fn_crop_name(contract)) < sizeof((struct fn_model *)NULL)->crop);
    }
    assert_false(fn_crop_parse("whole", &contract));
    assert_false(fn_crop_parse("", &contract));
}

static void m32_cuts_16_pixels_a_side_held_in_the_picture(void **state) {
    (void)state;
    const struct fn_picture picture = {.width = 250, .height = 200};
    struct fn_face face = {.x1 = 70.9, .y1 = 60.2, .x2 = 160.1, .y2 = 170.99};
    struct fn_rect r = fn_crop_rect(FN_CROP_CONTRACT_M32, &picture, &face);
    assert_true(r.x == 54 && r.y == 44 && r.width == 176 - 54 && r.height == 186 - 44);
    face = (struct fn_face){.x1 = -8.5, .y1 = 3, .x2 = 240, .y2 = 300};
    r = fn_crop_rect(FN_CROP_CONTRACT_M32, &picture, &face);
    assert_true(r.x == 0 && r.y == 0 && r.width == 250 && r.height == 200);
}

static void p17_cuts_the_same_piece_at_every_size(void **state) {
    (void)state;
    const struct fn_picture small = {.width = 250, .height = 250};
    const struct fn_picture large = {.width = 1000, .height = 1000};
    struct fn_face face = {.x1 = 80, .y1 = 64, .x2 = 180, .y2 = 189};
    struct fn_rect r = fn_crop_rect(FN_CROP_CONTRACT_P17, &small, &face);
    assert_true(r.x == 62 && r.width == 197 - 62);  /* 17.2 a side */
    assert_true(r.y == 48 && r.height == 204 - 48); /* 15.875 a side */
    face = (struct fn_face){.x1 = 320, .y1 = 256, .x2 = 720, .y2 = 756};
    r = fn_crop_rect(FN_CROP_CONTRACT_P17, &large, &face);
    assert_true(r.x == 251 && r.width == 788 - 251);
    assert_true(r.y == 192 && r.height == 819 - 192);
}

static void a_rectangle_is_never_empty(void **state) {
    (void)state;
    const struct fn_picture picture = {.width = 30, .height = 20};
    for (int i = 0; i < 20000; i++) {
        struct fn_face face = {.x1 = 60.0 * (double)random_float(),
                               .y1 = 60.0 * (double)random_float()};
        face.x2 = face.x1 + 1 + random_below(50);
        face.y2 = face.y1 + 1 + random_below(50);
        if (!(face.x1 < 30 && face.x2 > 0 && face.y1 < 20 && face.y2 > 0)) continue;
        for (int c = FN_CROP_CONTRACT_M32; c <= FN_CROP_CONTRACT_P17; c++) {
            struct fn_rect r = fn_crop_rect((enum fn_crop_contract)c, &picture, &face);
            assert_true(r.x >= 0 && r.y >= 0 && r.width >= 1 && r.height >= 1);
            assert_true(r.x + r.width <= 30 && r.y + r.height <= 20);
        }
    }
}

static void a_crop_is_its_rectangle_stretched(void **state) {
    (void)state;
    static uint8_t found[FN_CROP_SIZE], expected[FN_CROP_SIZE];
    struct fn_error err;
    struct fn_picture picture = make_picture(200, 300);
    const struct fn_face face = {.x1 = 50, .y1 = 60, .x2 = 130, .y2 = 190};
    assert_ok(fn_crop_cut(FN_CROP_CONTRACT_M32, &picture, &face, found, &err), err);
    assert_ok(fn_picture_crop(&picture, (struct fn_rect){34, 44, 112, 162}, expected, &err), err);
    assert_memory_equal(found, expected, sizeof found);
    assert_ok(fn_crop_cut(FN_CROP_CONTRACT_WHOLE, &picture, NULL, found, &err), err);
    assert_ok(fn_picture_crop(&picture, (struct fn_rect){0, 0, 200, 300}, expected, &err), err);
    assert_memory_equal(found, expected, sizeof found);
    assert_int_equal(fn_crop_cut(FN_CROP_CONTRACT_P17, &picture, NULL, found, &err), FN_USAGE);
    free(picture.rgb);
}

/* ---- aligned -------------------------------------------------------------------------------- */

static const double frame[FN_LANDMARKS][2] = {
    {42.6, 65.9}, {85.4, 65.9}, {64.0, 90.8}, {44.9, 112.7}, {83.1, 112.7}};

/* A face whose landmarks are the mean face's, turned by `angle`, scaled and moved. */
static struct fn_face place(double angle, double scale, double x, double y) {
    struct fn_face face = {0};
    for (int k = 0; k < FN_LANDMARKS; k++) {
        double fx = scale * frame[k][0], fy = scale * frame[k][1];
        face.landmarks[k][0] = cos(angle) * fx - sin(angle) * fy + x;
        face.landmarks[k][1] = sin(angle) * fx + cos(angle) * fy + y;
    }
    return face;
}

/* A picture with a different slope in each channel: what a crop shows of it tells where it is. */
static struct fn_picture make_slopes(int side) {
    struct fn_picture picture = make_picture(side, side);
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            uint8_t *p = picture.rgb + (ptrdiff_t)3 * (y * side + x);
            p[0] = (uint8_t)(255 * x / side);
            p[1] = (uint8_t)(255 * y / side);
            p[2] = (uint8_t)(127 * (x + side - y) / side);
        }
    return picture;
}

static void an_aligned_crop_shows_the_mean_faces_frame(void **state) {
    (void)state;
    static uint8_t crop[FN_CROP_SIZE];
    struct fn_error err;
    struct fn_picture picture = make_slopes(600);
    static const double turns[] = {0, 0.3, -0.7, 1.5707963267948966, 3};
    for (size_t t = 0; t < sizeof turns / sizeof turns[0]; t++) {
        double scale = 0.6 + 0.4 * (double)t, angle = turns[t];
        struct fn_face face = place(angle, scale, 300, 290);
        assert_ok(fn_crop_cut(FN_CROP_CONTRACT_ALIGNED, &picture, &face, crop, &err), err);
        for (size_t i = 0; i < (size_t)FN_CROP_SIDE * FN_CROP_SIDE; i++) {
            size_t column = i % FN_CROP_SIDE, row = i / FN_CROP_SIDE;
            double fx = scale * ((double)column + 0.5) * 0.8;
            double fy = scale * ((double)row + 0.5);
            double x = cos(angle) * fx - sin(angle) * fy + 300;
            double y = sin(angle) * fx + cos(angle) * fy + 290;
            if (x < 3 || y < 3 || x > 597 || y > 597) continue;
            assert_true(fabs(crop[3 * i] - 255 * (x - 0.5) / 600) < 1.6);
            assert_true(fabs(crop[3 * i + 1] - 255 * (y - 0.5) / 600) < 1.6);
        }
    }
    free(picture.rgb);
}

static void beyond_the_picture_lies_its_edge(void **state) {
    (void)state;
    static uint8_t crop[FN_CROP_SIZE];
    struct fn_error err;
    struct fn_picture picture = make_slopes(50);
    struct fn_face face = place(0, 1, -1e6, 10);
    assert_ok(fn_crop_cut(FN_CROP_CONTRACT_ALIGNED, &picture, &face, crop, &err), err);
    for (size_t i = 0; i < FN_CROP_SIDE; i++) assert_int_equal(crop[3 * i], 0);
    face = place(0, 1e30, 0, 0); /* nothing overflows */
    assert_ok(fn_crop_cut(FN_CROP_CONTRACT_ALIGNED, &picture, &face, crop, &err), err);
    free(picture.rgb);
}

/* ---- choice and quality --------------------------------------------------------------------- */

static void the_choice_is_the_largest_the_most_central_or_the_only(void **state) {
    (void)state;
    const struct fn_picture picture = {
        .width = 250, .height = 250, .full_width = 250, .full_height = 250};
    const struct fn_face faces[2] = {{.x1 = 0, .y1 = 0, .x2 = 100, .y2 = 100},
                                     {.x1 = 85, .y1 = 85, .x2 = 165, .y2 = 165}};
    struct fn_error err;
    int index = -1;
    assert_ok(fn_face_choose(FN_FACE_LARGEST, &picture, faces, 2, &index, &err), err);
    assert_int_equal(index, 0);
    assert_ok(fn_face_choose(FN_FACE_CENTER, &picture, faces, 2, &index, &err), err);
    assert_int_equal(index, 1);
    assert_int_equal(fn_face_choose(FN_FACE_ONLY, &picture, faces, 2, &index, &err),
                     FN_SEVERAL_FACES);
    assert_ok(fn_face_choose(FN_FACE_ONLY, &picture, faces, 1, &index, &err), err);
    assert_int_equal(index, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fn_face_choose((enum fn_face_choice)i, &picture, faces, 0, &index, &err),
                         FN_FACE_NOT_FOUND);
    enum fn_face_choice choice;
    assert_true(fn_face_choice_parse("center", &choice) && choice == FN_FACE_CENTER);
    assert_false(fn_face_choice_parse("centre", &choice));
}

static void quality_is_size_sharpness_brightness_and_roll(void **state) {
    (void)state;
    static uint8_t crop[FN_CROP_SIZE];
    const struct fn_picture picture = {
        .width = 100, .height = 100, .full_width = 200, .full_height = 200};
    struct fn_face face = {.x1 = 10, .y1 = 10, .x2 = 40, .y2 = 50};
    face.landmarks[FN_LEFT_EYE][0] = 20;
    face.landmarks[FN_LEFT_EYE][1] = 20;
    face.landmarks[FN_RIGHT_EYE][0] = 30;
    face.landmarks[FN_RIGHT_EYE][1] = 30;
    memset(crop, 200, sizeof crop);
    struct fn_face_quality q = fn_face_measure(&picture, &face, crop);
    assert_true(q.size == 60 && q.sharpness == 0 && q.brightness == 200);
    assert_true(fabs(q.roll - 45) < 1e-9);
    /* A checkerboard of 0 and 255: the Laplacian is 4 * 255 either way. */
    for (int i = 0; i < FN_CROP_SIZE; i++)
        crop[i] = (i / 3 / FN_CROP_SIDE + i / 3 % FN_CROP_SIDE) % 2 ? 255 : 0;
    q = fn_face_measure(&picture, &face, crop);
    assert_true(fabs(q.sharpness - 1020.0 * 1020) < 1 && q.brightness == 127.5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contracts_have_names_and_names_contracts),
        cmocka_unit_test(m32_cuts_16_pixels_a_side_held_in_the_picture),
        cmocka_unit_test(p17_cuts_the_same_piece_at_every_size),
        cmocka_unit_test(a_rectangle_is_never_empty),
        cmocka_unit_test(a_crop_is_its_rectangle_stretched),
        cmocka_unit_test(an_aligned_crop_shows_the_mean_faces_frame),
        cmocka_unit_test(beyond_the_picture_lies_its_edge),
        cmocka_unit_test(the_choice_is_the_largest_the_most_central_or_the_only),
        cmocka_unit_test(quality_is_size_sharpness_brightness_and_roll),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
