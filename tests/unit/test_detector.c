/* SPDX-License-Identifier: Apache-2.0
 *
 * test_detector.c -- faces in pictures: the same on every implementation, where they should be,
 * and nothing worse than "no face" whatever the picture. Pictures and published weights lie beside
 * the checkout; without them the tests that need them are skipped. */
#include "engine/detect/detector.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/detect/conv.h"
#include "engine/file.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/detector_weights.h"

#define PHOTO  "../shared/data/photos/multiface.jpg"
#define LFW    "../shared/data/lfw-fold1"
#define GOLDEN "tests/golden/faces.txt"
#define MOST   64

static struct fn_model_draft *published, *hostile; /* published: NULL when absent */
static struct fn_detector *detector;
static struct fn_detect_scratch *scratch;

struct result {
    struct fn_face faces[FN_DETECT_MAX_FACES];
    int n, found;
    struct fn_detect_report report;
};

static int open_all(void **state) {
    (void)state;
    struct fn_error err;
    published = detector_draft(true);
    hostile = detector_draft(false);
    const struct fn_model_draft *draft = published ? published : hostile;
    if (fn_detector_open(&draft->detector, &detector, &err) != FN_OK) return -1;
    return fn_detect_scratch_new(&scratch, &err) == FN_OK ? 0 : -1;
}

static int close_all(void **state) {
    (void)state;
    fn_detector_close(detector);
    fn_detect_scratch_free(scratch);
    fn_model_draft_free(published);
    fn_model_draft_free(hostile);
    return 0;
}

static struct fn_picture *load(const char *path) {
    uint8_t *bytes;
    size_t size;
    struct fn_picture *picture;
    struct fn_error err;
    if (access(path, F_OK) != 0) skip();
    assert_ok(fn_file_read(path, 1 << 24, &bytes, &size, &err), err);
    assert_ok(fn_picture_decode(bytes, size, FN_MAX_PIXELS_DEFAULT, &picture, &err), err);
    free(bytes);
    return picture;
}

static struct fn_picture *blank(int width, int height) {
    struct fn_picture *picture = calloc(1, sizeof *picture);
    picture->width = picture->full_width = width;
    picture->height = picture->full_height = height;
    picture->rgb = calloc((size_t)width * (size_t)height, 3);
    return picture;
}

static void find(const struct fn_detector *by, const struct fn_picture *picture, double min_face,
                 int max_faces, struct result *ret) {
    struct fn_error err;
    const struct fn_detect_options options = {.min_face = min_face};
    memset(ret, 0, sizeof *ret);
    assert_ok(fn_detector_find(by, scratch, picture, &options, max_faces, ret->faces, &ret->n,
                               &ret->found, &ret->report, &err),
              err);
}

static double overlap(const struct fn_face *a, const double b[4]) {
    double w = fmin(a->x2, b[2]) - fmax(a->x1, b[0]), h = fmin(a->y2, b[3]) - fmax(a->y1, b[1]);
    if (w <= 0 || h <= 0) return 0;
    double area_a = (a->x2 - a->x1) * (a->y2 - a->y1), area_b = (b[2] - b[0]) * (b[3] - b[1]);
    return w * h / (area_a + area_b - w * h);
}

/* ---- with the published weights ------------------------------------------------------------- */

static void the_collage_has_six_faces_largest_first(void **state) {
    (void)state;
    if (!published) skip();
    static struct result result;
    struct fn_picture *picture = load(PHOTO);
    find(detector, picture, 0, MOST, &result);
    assert_int_equal(result.n, 6);
    assert_int_equal(result.found, 6);
    assert_true(result.report.min_face == 20 && !result.report.limited);
    for (int i = 0; i < result.n; i++) {
        const struct fn_face *f = &result.faces[i];
        assert_true(f->score > 0.99 && f->score <= 1);
        assert_true(f->landmarks[FN_LEFT_EYE][0] < f->landmarks[FN_RIGHT_EYE][0]);
        assert_true(f->landmarks[FN_LEFT_EYE][1] < f->landmarks[FN_MOUTH_LEFT][1]);
        for (int k = 0; k < FN_LANDMARKS; k++)
            assert_true(f->landmarks[k][0] > f->x1 && f->landmarks[k][0] < f->x2 &&
                        f->landmarks[k][1] > f->y1 && f->landmarks[k][1] < f->y2);
        if (i == 0) continue;
        const struct fn_face *g = f - 1;
        assert_true((g->x2 - g->x1) * (g->y2 - g->y1) >= (f->x2 - f->x1) * (f->y2 - f->y1));
    }
    find(detector, picture, 0, 2, &result);
    assert_int_equal(result.n, 2);
    assert_int_equal(result.found, 6);
    fn_picture_free(picture);
}

static void every_implementation_finds_the_same_bits(void **state) {
    (void)state;
    if (!published) skip();
    static struct result expected, result;
    struct fn_picture *picture = load(LFW "/Abel_Pacheco/Abel_Pacheco_0001.jpg");
    find(detector, picture, 20, MOST, &expected);
    assert_int_equal(expected.n, 1);
    const struct fn_conv_kernels *kernels;
    for (size_t i = 0; (kernels = fn_conv_kernels_at(i)); i++) {
        struct fn_detector *other;
        struct fn_error err;
        assert_ok(fn_detector_open_as(kernels->name, &published->detector, &other, &err), err);
        assert_string_equal(fn_detector_kernels(other), kernels->name);
        find(other, picture, 20, MOST, &result);
        assert_memory_equal(&result, &expected, sizeof result);
        fn_detector_close(other);
    }
    fn_picture_free(picture);
}

/* The digits that this very detector gave when it was written: other bits are another detector. */
static void the_bits_are_those_of_the_first_day(void **state) {
    (void)state;
    if (!published) skip();
    static struct result result;
    struct fn_picture *picture = load(LFW "/Abel_Pacheco/Abel_Pacheco_0001.jpg");
    find(detector, picture, 20, MOST, &result);
    const double expected[4] = {87.57761511951685, 62.784256644546986, 181.5599038079381,
                                189.31561857834458};
    assert_true(result.faces[0].x1 == expected[0] && result.faces[0].y1 == expected[1]);
    assert_true(result.faces[0].x2 == expected[2] && result.faces[0].y2 == expected[3]);
    fn_picture_free(picture);
}

/* Reads "Name_0001.jpg x1 y1 x2 y2 score"; false at the end. */
static bool next_golden(FILE *file, char ret_name[128], double ret_box[4]) {
    char line[256];
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#') continue;
        char *at = strchr(line, ' ');
        assert_non_null(at);
        assert_true(at - line < 128);
        memcpy(ret_name, line, (size_t)(at - line));
        ret_name[at - line] = '\0';
        for (int i = 0; i < 4; i++) ret_box[i] = strtod(at, &at);
        return true;
    }
    return false;
}

static void boxes_agree_with_an_independent_implementation(void **state) {
    (void)state;
    if (!published || access(LFW, F_OK) != 0) skip();
    static struct result result;
    char name[128], path[400], last[128] = "";
    double box[4];
    int boxes = 0, matched = 0, pictures = 0, faces = 0;
    FILE *file = fopen(GOLDEN, "r");
    assert_non_null(file);
    while (next_golden(file, name, box)) {
        if (strcmp(name, last) != 0) {
            int person = (int)strlen(name) - (int)strlen("_0001.jpg");
            (void)snprintf(path, sizeof path, LFW "/%.*s/%s", person, name, name);
            struct fn_picture *picture = load(path);
            find(detector, picture, 20, MOST, &result);
            fn_picture_free(picture);
            memcpy(last, name, sizeof last);
            faces += result.n;
            pictures++;
        }
        double best = 0;
        for (int i = 0; i < result.n; i++) best = fmax(best, overlap(&result.faces[i], box));
        matched += best >= 0.9;
        boxes++;
    }
    (void)fclose(file);
    assert_int_equal(pictures, 62);
    assert_int_equal(faces, boxes);
    assert_true(matched * 100 >= boxes * 99);
}

/* A wall of pictures: more faces than an answer holds, all bounded. */
static uint8_t *pixel(const struct fn_picture *picture, int x, int y) {
    return picture->rgb + (ptrdiff_t)3 * (y * picture->width + x);
}

static void a_wall_of_a_hundred_faces_is_seen(void **state) {
    (void)state;
    if (!published) skip();
    static struct result result;
    struct fn_picture *face = load(LFW "/Abel_Pacheco/Abel_Pacheco_0001.jpg");
    struct fn_picture *wall = blank(12 * 125, 10 * 125); /* every other pixel */
    for (int y = 0; y < wall->height; y++)
        for (int x = 0; x < wall->width; x++)
            memcpy(pixel(wall, x, y), pixel(face, 2 * (x % 125), 2 * (y % 125)), 3);
    find(detector, wall, 20, FN_DETECT_MAX_FACES, &result);
    assert_true(result.n >= 120 && result.n < 160);
    find(detector, wall, 20, 32, &result);
    assert_int_equal(result.n, 32);
    assert_true(result.found >= 120);
    fn_picture_free(wall);
    fn_picture_free(face);
}

static void a_face_of_12_pixels_is_no_face_at_the_default(void **state) {
    (void)state;
    if (!published) skip();
    static struct result result;
    struct fn_picture *face = load(LFW "/Abel_Pacheco/Abel_Pacheco_0001.jpg");
    struct fn_picture *tiny = blank(100, 100); /* the face, 130 pixels high, at a tenth */
    for (int y = 0; y < 25; y++)
        for (int x = 0; x < 25; x++)
            memcpy(pixel(tiny, x + 30, y + 30), pixel(face, 10 * x, 10 * y), 3);
    find(detector, tiny, 0, MOST, &result);
    assert_int_equal(result.n, 0);
    fn_picture_free(tiny);
    fn_picture_free(face);
}

/* ---- with any weights ----------------------------------------------------------------------- */

static void a_picture_of_any_shape_without_faces_gives_none(void **state) {
    (void)state;
    static const int sizes[][2] = {{1, 1},     {1, 5000}, {5000, 1},  {19, 19},
                                   {20, 20},   {21, 300}, {300, 21},  {640, 480},
                                   {65535, 1}, {12, 12},  {20, 65535}};
    static struct result result;
    if (!published) skip();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct fn_picture *picture = blank(sizes[i][0], sizes[i][1]);
        find(detector, picture, 0, MOST, &result);
        assert_int_equal(result.n, 0);
        fn_picture_free(picture);
    }
}

static void weights_that_see_faces_everywhere_stay_within_bounds(void **state) {
    (void)state;
    static struct result result;
    struct fn_detector *wild;
    struct fn_error err;
    /* All logits for "face": every cell is a candidate, boxes go anywhere. */
    for (int i = 0; i < FN_MTCNN_LAYERS; i++)
        if (fn_mtcnn_layers[i].out_channels == 2)
            hostile
                ->detector_values[hostile->detector.layers[i].bias - hostile->detector_values + 1] =
                1000;
    assert_ok(fn_detector_open(&hostile->detector, &wild, &err), err);
    struct fn_picture *picture = blank(333, 251);
    for (int i = 0; i < 3 * 333 * 251; i++) picture->rgb[i] = (uint8_t)random_below(256);
    find(wild, picture, 12, FN_DETECT_MAX_FACES, &result);
    assert_true(result.report.limited);
    assert_true(result.n <= FN_DETECT_MAX_LOCATED);
    for (int i = 0; i < result.n; i++) assert_true(result.faces[i].x2 > result.faces[i].x1);
    fn_picture_free(picture);
    fn_detector_close(wild);
}

static void weights_of_huge_numbers_do_no_harm(void **state) {
    (void)state;
    static struct result result;
    struct fn_model_draft *draft = detector_draft(false);
    struct fn_detector *wild;
    struct fn_error err;
    for (int i = 0; i < FN_MTCNN_LAYERS; i++) {
        size_t n = fn_mtcnn_kernel_count(&fn_mtcnn_layers[i]);
        float *values =
            draft->detector_values + (draft->detector.layers[i].weights - draft->detector_values);
        for (size_t k = 0; k < n; k++) values[k] *= 1e30F; /* infinities and NaN inside */
    }
    assert_ok(fn_detector_open(&draft->detector, &wild, &err), err);
    struct fn_picture *picture = blank(100, 100);
    for (int i = 0; i < 30000; i++) picture->rgb[i] = (uint8_t)random_below(256);
    find(wild, picture, 12, FN_DETECT_MAX_FACES, &result);
    for (int i = 0; i < result.n; i++) assert_true(isfinite(result.faces[i].x1));
    fn_picture_free(picture);
    fn_detector_close(wild);
    fn_model_draft_free(draft);
}

static void min_face_is_checked_and_raised_for_large_pictures(void **state) {
    (void)state;
    static struct result result;
    struct fn_error err;
    struct fn_picture *picture = blank(3000, 2000);
    static const double bad[] = {-1, 1, 11.9, NAN, INFINITY, 1e9};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct fn_detect_options options = {.min_face = bad[i]};
        assert_int_equal(fn_detector_find(detector, scratch, picture, &options, MOST, result.faces,
                                          &result.n, &result.found, NULL, &err),
                         FN_BAD_OPTION);
    }
    find(detector, picture, 0, MOST, &result);
    assert_true(result.report.min_face == 12.0 * 2000 / FN_DETECT_SHORT_SIDE);
    find(detector, picture, 12, MOST, &result);
    assert_true(result.report.min_face > 20 && result.report.min_face < 21);
    assert_true(result.report.limited);
    picture->full_width = 6000; /* decoded at half its size */
    picture->full_height = 4000;
    find(detector, picture, 200, MOST, &result);
    assert_true(result.report.min_face == 200);
    fn_picture_free(picture);
}

static void coordinates_in_answers_are_those_of_the_full_picture(void **state) {
    (void)state;
    const struct fn_picture picture = {
        .width = 50, .height = 40, .full_width = 200, .full_height = 80};
    struct fn_face face = {.x1 = 1, .y1 = 2, .x2 = 11, .y2 = 22, .score = 0.9};
    face.landmarks[FN_NOSE][0] = 5;
    face.landmarks[FN_NOSE][1] = 7;
    struct fn_face full = fn_face_in_full(&picture, &face);
    assert_true(full.x1 == 4 && full.y1 == 4 && full.x2 == 44 && full.y2 == 44);
    assert_true(full.landmarks[FN_NOSE][0] == 20 && full.landmarks[FN_NOSE][1] == 14);
    assert_true(full.score == face.score);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_collage_has_six_faces_largest_first),
        cmocka_unit_test(every_implementation_finds_the_same_bits),
        cmocka_unit_test(the_bits_are_those_of_the_first_day),
        cmocka_unit_test(boxes_agree_with_an_independent_implementation),
        cmocka_unit_test(a_wall_of_a_hundred_faces_is_seen),
        cmocka_unit_test(a_face_of_12_pixels_is_no_face_at_the_default),
        cmocka_unit_test(a_picture_of_any_shape_without_faces_gives_none),
        cmocka_unit_test(weights_that_see_faces_everywhere_stay_within_bounds),
        cmocka_unit_test(weights_of_huge_numbers_do_no_harm),
        cmocka_unit_test(min_face_is_checked_and_raised_for_large_pictures),
        cmocka_unit_test(coordinates_in_answers_are_those_of_the_full_picture),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
