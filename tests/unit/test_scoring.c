/* SPDX-License-Identifier: Apache-2.0
 *
 * test_scoring.c -- picture files to distances: missing faces, chunks, and pairs listed or all. */
#include "model/evaluate/scoring.h"

#include <string.h>
#include <sys/stat.h>

#include "engine/file.h"
#include "engine/picture/picture.h"
#include "engine/verdict.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/detector_weights.h"
#include "tests/unit/support/temporary.h"

#define N 150 /* pictures: more than two chunks */

/* The colour of a crop's first pixel, as a point: what is embedded can be known beforehand. */
static fn_status embed_colour(void *context, const uint8_t *crops, size_t n, float *ret_embeddings,
                              struct fn_error *err) {
    (void)err;
    *(size_t *)context += n;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++)
            ret_embeddings[3 * i + c] = (float)crops[i * FN_CROP_SIZE + c] / 256;
    return FN_OK;
}

/* Picture i is of colour (i, 0, 0); the others are not there. */
static void write_pictures(void) {
    struct fn_error err;
    for (int i = 0; i < N; i++) {
        char name[32];
        uint8_t rgb[3] = {(uint8_t)i, 0, 0}, *png;
        size_t size;
        (void)snprintf(name, sizeof name, "p%d.png", i);
        assert_ok(fn_picture_encode_png(rgb, 1, 1, &png, &size, &err), err);
        const struct fn_piece piece = {png, size};
        assert_ok(fn_file_write(temporary_path(name), &piece, 1, &err), err);
        free(png);
    }
}

static void list_pictures(struct fn_pairs *ret_pairs) {
    static char text[16384];
    size_t n = 0;
    struct fn_error err;
    for (int i = 0; i < N; i += 2)
        n += (size_t)snprintf(text + n, sizeof text - n, "p%d.png,p%d.png,1\n", i, i + 1);
    for (int i = 0; i + 2 < N; i += 2)
        n += (size_t)snprintf(text + n, sizeof text - n, "p%d.png,p%d.png,0\n", i, i + 2);
    assert_ok(fn_pairs_parse("list", text, n, ret_pairs, &err), err);
}

static void distances_belong_to_their_pictures(void **state) {
    (void)state;
    const struct fn_face_options options = {.contract = FN_CROP_CONTRACT_WHOLE, .enlarge = 2};
    size_t embedded = 0;
    const struct fn_embed embed = {embed_colour, &embedded, 3};
    struct fn_face_cutter *cutter;
    struct fn_pairs pairs;
    struct fn_scores scores;
    struct fn_pair_set set;
    struct fn_error err;
    write_pictures();
    list_pictures(&pairs);
    assert_ok(fn_face_cutter_new(NULL, &options, 2, &cutter, &err), err);
    assert_ok(fn_scores_make(&pairs, temporary_dir, cutter, 2, &embed, NULL, &scores, &err), err);
    assert_int_equal(embedded, N);
    assert_int_equal(scores.n_missing, 0);
    assert_ok(fn_scores_genuine(&scores, &pairs, false, &set, &err), err);
    assert_int_equal(set.n, N / 2);
    for (size_t i = 0; i < set.n; i++) assert_true(set.pairs[i].distance == 0x1p-16F);
    free(set.pairs);
    assert_ok(fn_scores_impostors(&scores, &pairs, false, &set, &err), err);
    assert_int_equal(set.n, N / 2 - 1);
    for (size_t i = 0; i < set.n; i++) assert_true(set.pairs[i].distance == 0x1p-14F);
    free(set.pairs);
    assert_ok(fn_scores_impostors(&scores, &pairs, true, &set, &err), err);
    assert_int_equal(set.n, N * (N - 1) / 2 - N / 2);
    free(set.pairs);
    assert_true(fn_scores_accuracy(&scores, &pairs, 0x1p-15F) == 1);
    const int impostors = N / 2 - 1; /* right, and no genuine pair is */
    assert_true(fn_scores_accuracy(&scores, &pairs, 0x1p-17F) == (double)impostors / (N - 1));
    fn_scores_done(&scores);
    fn_face_cutter_free(cutter);
    fn_pairs_done(&pairs);
}

static void a_picture_without_a_face_makes_its_pairs_wrong(void **state) {
    (void)state;
    struct fn_model_draft *draft = detector_draft(true);
    if (!draft) {
        skip();
        return;
    }
    const struct fn_face_options options = {.contract = FN_CROP_CONTRACT_P17};
    size_t embedded = 0;
    const struct fn_embed embed = {embed_colour, &embedded, 3};
    struct fn_face_cutter *cutter;
    struct fn_pairs pairs;
    struct fn_scores scores;
    struct fn_pair_set set;
    struct fn_error err;
    write_pictures();
    list_pictures(&pairs);
    assert_ok(fn_face_cutter_new(&draft->detector, &options, 2, &cutter, &err), err);
    assert_ok(fn_scores_make(&pairs, temporary_dir, cutter, 2, &embed, NULL, &scores, &err), err);
    assert_int_equal(embedded, 0);
    assert_int_equal(scores.n_missing, N);
    assert_ok(fn_scores_impostors(&scores, &pairs, true, &set, &err), err);
    assert_int_equal(set.n, 0);
    assert_true(fn_scores_accuracy(&scores, &pairs, 4) == 0);
    fn_scores_done(&scores);
    fn_face_cutter_free(cutter);
    fn_pairs_done(&pairs);
    fn_model_draft_free(draft);
}

static void a_contract_with_faces_needs_a_detector(void **state) {
    (void)state;
    const struct fn_face_options options = {.contract = FN_CROP_CONTRACT_M32};
    struct fn_face_cutter *cutter = NULL;
    struct fn_error err;
    assert_int_equal(fn_face_cutter_new(NULL, &options, 1, &cutter, &err), FN_USAGE);
    assert_non_null(strstr(err.text, "the model has no detector"));
    assert_null(cutter);
}

static void a_file_that_is_missing_or_no_picture_is_named(void **state) {
    (void)state;
    const struct fn_face_options options = {.contract = FN_CROP_CONTRACT_WHOLE};
    size_t embedded = 0;
    const struct fn_embed embed = {embed_colour, &embedded, 3};
    struct fn_face_cutter *cutter;
    struct fn_pairs pairs;
    struct fn_scores scores;
    struct fn_error err;
    static const char *const lists[] = {"p1.png,gone.png,1\n", "p1.png,text.png,1\n"};
    const struct fn_piece piece = {"no picture", 10};
    write_pictures();
    assert_ok(fn_file_write(temporary_path("text.png"), &piece, 1, &err), err);
    assert_ok(fn_face_cutter_new(NULL, &options, 2, &cutter, &err), err);
    for (size_t i = 0; i < 2; i++) {
        assert_ok(fn_pairs_parse("list", lists[i], strlen(lists[i]), &pairs, &err), err);
        assert_int_equal(
            fn_scores_make(&pairs, temporary_dir, cutter, 2, &embed, NULL, &scores, &err),
            i == 0 ? FN_IO : FN_UNSUPPORTED_FORMAT);
        assert_non_null(strstr(err.text, i == 0 ? "gone.png" : "text.png"));
        fn_pairs_done(&pairs);
    }
    fn_face_cutter_free(cutter);
}

static void enlarging_is_linear_between_centres(void **state) {
    (void)state;
    uint8_t rgb[2 * 3] = {0, 0, 0, 200, 100, 40};
    const struct fn_picture small = {
        .width = 2, .height = 1, .full_width = 2, .full_height = 1, .rgb = rgb};
    struct fn_picture *large;
    struct fn_error err;
    assert_ok(fn_picture_enlarge(&small, 2, &large, &err), err);
    assert_true(large->width == 4 && large->height == 2 && large->full_width == 4);
    static const uint8_t expected[] = {0, 0, 0, 50, 25, 10, 150, 75, 30, 200, 100, 40};
    assert_memory_equal(large->rgb, expected, sizeof expected);
    assert_memory_equal(large->rgb + 12, expected, sizeof expected);
    fn_picture_free(large);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_belong_to_their_pictures),
        cmocka_unit_test(a_picture_without_a_face_makes_its_pairs_wrong),
        cmocka_unit_test(a_contract_with_faces_needs_a_detector),
        cmocka_unit_test(a_file_that_is_missing_or_no_picture_is_named),
        cmocka_unit_test(enlarging_is_linear_between_centres),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
