/* SPDX-License-Identifier: Apache-2.0
 *
 * test_model_detector.c -- the detector and the operating points in a model file: there and back,
 * and refused when anything is amiss. */
#include "engine/model_writer.h"

#include <math.h>
#include <string.h>

#include "engine/safetensors.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/detector_weights.h"
#include "tests/unit/support/temporary.h"

static struct fn_model_draft *draft;

static int make_draft(void **state) {
    if (temporary_make(state) != 0) return -1;
    draft = detector_draft(false);
    return draft ? 0 : -1;
}

static int free_draft(void **state) {
    fn_model_draft_free(draft);
    return temporary_remove(state);
}

static struct fn_model *write_and_open(const char *name) {
    struct fn_model *model = NULL;
    struct fn_error err;
    assert_ok(fn_model_write(draft, temporary_path(name), &err), err);
    assert_ok(fn_model_open(temporary_path(name), &model, &err), err);
    return model;
}

static void a_detector_comes_back_as_it_was_written(void **state) {
    (void)state;
    struct fn_model *model = write_and_open("with");
    assert_true(model->has_detector);
    for (int i = 0; i < FN_MTCNN_LAYERS; i++) {
        const struct fn_mtcnn_layer *layer = &fn_mtcnn_layers[i];
        const struct fn_mtcnn_params *a = &model->detector.layers[i];
        const struct fn_mtcnn_params *b = &draft->detector.layers[i];
        size_t channels = (size_t)layer->out_channels * sizeof(float);
        assert_memory_equal(a->weights, b->weights, fn_mtcnn_kernel_count(layer) * sizeof(float));
        assert_memory_equal(a->bias, b->bias, channels);
        assert_int_equal(a->alpha != NULL, layer->prelu);
        if (layer->prelu) assert_memory_equal(a->alpha, b->alpha, channels);
    }
    fn_model_close(model);
}

static void the_detector_counts_for_the_models_id(void **state) {
    (void)state;
    struct fn_model *with = write_and_open("with");
    draft->has_detector = false;
    struct fn_model *without = write_and_open("without");
    draft->has_detector = true;
    assert_false(without->has_detector);
    assert_string_not_equal(with->id, without->id);
    draft->detector_values[17] += 1;
    struct fn_model *other = write_and_open("other");
    draft->detector_values[17] -= 1;
    assert_string_not_equal(with->id, other->id);
    fn_model_close(with);
    fn_model_close(without);
    fn_model_close(other);
}

/* Rewrite the file with its tensors changed by `change`, which gives their new number, and with
 * that detector's name, or none; returns the reason for refusal. */
static const char *refusal_as(const char *detector_name,
                              size_t (*change)(struct fn_stored_tensor *tensors, size_t n)) {
    static struct fn_error err;
    struct fn_stored_tensor tensors[600];
    struct fn_model *model = write_and_open("sound"), *opened = NULL;
    size_t n = fn_safetensors_count(model->file);
    for (size_t i = 0; i < n; i++) tensors[i] = *fn_safetensors_at(model->file, i);
    n = change(tensors, n);
    char digest[65];
    assert_ok(fn_safetensors_data_digest(tensors, n, digest, &err), err);
    static const char *const keys[] = {"format",
                                       "format_version",
                                       "source_format",
                                       "source_name",
                                       "source_sha256",
                                       "trained",
                                       "crop",
                                       "preprocessing",
                                       "embedding_size",
                                       "golden_prng",
                                       "golden_seed",
                                       "golden_accumulators_sha256",
                                       "calibration",
                                       "operating_points",
                                       "golden_embedding_sha256",
                                       "activation_frac_bits"};
    struct fn_metadata metadata[24];
    size_t n_keys = sizeof keys / sizeof keys[0];
    for (size_t i = 0; i < n_keys; i++)
        metadata[i] = (struct fn_metadata){keys[i], fn_safetensors_metadata(model->file, keys[i])};
    metadata[n_keys++] = (struct fn_metadata){"data_sha256", digest};
    if (detector_name) metadata[n_keys++] = (struct fn_metadata){"detector", detector_name};
    assert_ok(fn_safetensors_write(temporary_path("changed"), tensors, n, metadata, n_keys, &err),
              err);
    fn_status status = fn_model_open(temporary_path("changed"), &opened, &err);
    if (status == FN_OK)
        assert_string_equal(opened->detector_name, detector_name ? detector_name : "mtcnn");
    fn_model_close(opened);
    fn_model_close(model);
    if (status == FN_OK) return NULL;
    assert_int_equal(status, FN_BAD_MODEL);
    return err.text;
}

static struct fn_stored_tensor *named(struct fn_stored_tensor *tensors, size_t n,
                                      const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(tensors[i].name, name) == 0) return &tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static size_t change_nothing(struct fn_stored_tensor *tensors, size_t n) {
    (void)tensors;
    return n;
}

static size_t remove_one(struct fn_stored_tensor *tensors, size_t n) {
    struct fn_stored_tensor *gone = named(tensors, n, "MTCNN/rnet/conv3/alpha");
    *gone = tensors[n - 1];
    return n - 1;
}

static size_t rename_one(struct fn_stored_tensor *tensors, size_t n) {
    tensors[n] = *named(tensors, n, "MTCNN/rnet/conv3/alpha");
    tensors[n].name = "MTCNN/rnet/conv3/beta";
    return n + 1;
}

static size_t swap_axes(struct fn_stored_tensor *tensors, size_t n) {
    struct fn_stored_tensor *t = named(tensors, n, "MTCNN/pnet/conv2/weights");
    t->shape[0] = 10;
    t->shape[3] = 16;
    return n;
}

static size_t use_other_numbers(struct fn_stored_tensor *tensors, size_t n) {
    named(tensors, n, "MTCNN/onet/conv5/bias")->dtype = FN_DTYPE_I32;
    return n;
}

static size_t put_nan(struct fn_stored_tensor *tensors, size_t n) {
    static float values[32];
    values[5] = NAN;
    named(tensors, n, "MTCNN/onet/conv1/alpha")->data = values;
    return n;
}

static const char *refusal(size_t (*change)(struct fn_stored_tensor *tensors, size_t n)) {
    return refusal_as(NULL, change);
}

static size_t remove_all(struct fn_stored_tensor *tensors, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (strncmp(tensors[i].name, FN_MTCNN_PREFIX, strlen(FN_MTCNN_PREFIX)) != 0)
            tensors[kept++] = tensors[i];
    return kept;
}

static void a_detector_has_a_name_that_is_a_word(void **state) {
    (void)state;
    assert_null(refusal_as("own-1.2", change_nothing));
    assert_null(refusal_as("a-name-of-thirty-one-characters", change_nothing));
    assert_non_null(
        strstr(refusal_as("a-name-of-thirty-two-characters-", change_nothing),
               "detector is \"a-name-of-thirty-two-characters-\", expected at most 31"));
    assert_non_null(strstr(refusal_as("", change_nothing), "detector is \"\""));
    assert_non_null(strstr(refusal_as("two words", change_nothing), "expected at most 31"));
    assert_non_null(strstr(refusal_as("own", remove_all), "but there is none"));
}

static void a_detector_that_is_not_whole_is_refused(void **state) {
    (void)state;
    assert_null(refusal(change_nothing));
    assert_non_null(strstr(refusal(remove_one), "tensor MTCNN/rnet/conv3/alpha is missing"));
    assert_non_null(strstr(refusal(rename_one), "51 tensors under MTCNN/, expected 50"));
    assert_non_null(strstr(refusal(swap_axes), "MTCNN/pnet/conv2/weights"));
    assert_non_null(strstr(refusal(use_other_numbers), "MTCNN/onet/conv5/bias is I32"));
    assert_non_null(strstr(refusal(put_nan), "MTCNN/onet/conv1/alpha: number 5 is not finite"));
}

static void operating_points_are_replaced_and_the_id_stays(void **state) {
    (void)state;
    struct fn_model *model = write_and_open("model"), *fitted = NULL;
    struct fn_error err;
    const struct fn_operating_point points[2] = {{.metric = "l2_squared",
                                                  .crop = "mtcnn-p17-160",
                                                  .fitted_on = "a set",
                                                  .value = 1.1,
                                                  .far = 1e-3,
                                                  .value_low = 1.05,
                                                  .value_high = 1.2,
                                                  .true_accepts = 0.97,
                                                  .pairs = 20000},
                                                 {.metric = "l2_squared",
                                                  .crop = "mtcnn-p17-160",
                                                  .fitted_on = "a set",
                                                  .value = 0.9,
                                                  .far = 1e-4,
                                                  .value_low = 0.9,
                                                  .value_high = 0.9,
                                                  .true_accepts = 0,
                                                  .pairs = 300,
                                                  .low_confidence = true}};
    const struct fn_model_changes two = {.points = points, .n_points = 2};
    assert_ok(fn_model_write_changed(model, &two, temporary_path("fitted"), &err), err);
    assert_ok(fn_model_open(temporary_path("fitted"), &fitted, &err), err);
    assert_string_equal(fitted->id, model->id);
    assert_string_equal(fitted->crop, model->crop);
    assert_string_equal(fitted->golden_embedding, model->golden_embedding);
    assert_int_equal(fitted->n_operating_points, 2);
    for (int i = 0; i < 2; i++) {
        const struct fn_operating_point *a = &points[i], *b = &fitted->operating_points[i];
        assert_string_equal(a->metric, b->metric);
        assert_string_equal(a->crop, b->crop);
        assert_string_equal(a->fitted_on, b->fitted_on);
        assert_true(a->value == b->value && a->far == b->far && a->value_low == b->value_low);
        assert_true(a->value_high == b->value_high && a->true_accepts == b->true_accepts);
        assert_true(a->pairs == b->pairs && a->low_confidence == b->low_confidence);
    }
    const struct fn_model_changes none = {.points = points, .n_points = 0};
    assert_ok(fn_model_write_changed(fitted, &none, temporary_path("fitted"), &err), err);
    fn_model_close(fitted);
    fn_model_close(model);
}

static void a_detector_is_added_to_a_finished_model(void **state) {
    (void)state;
    struct fn_model *with = write_and_open("with"), *given = NULL;
    draft->has_detector = false;
    struct fn_model *without = write_and_open("without");
    draft->has_detector = true;
    struct fn_error err;
    const struct fn_model_changes changes = {
        .detector = &draft->detector, .detector_name = "own-1", .crop = "mtcnn-m32-160"};
    assert_ok(fn_model_write_changed(without, &changes, temporary_path("given"), &err), err);
    assert_ok(fn_model_open(temporary_path("given"), &given, &err), err);
    assert_string_equal(given->id, with->id);
    assert_string_equal(given->crop, "mtcnn-m32-160");
    assert_string_equal(given->detector_name, "own-1");
    assert_string_equal(without->detector_name, "");
    assert_string_equal(with->detector_name, "mtcnn");
    assert_string_equal(given->golden_embedding, with->golden_embedding);
    /* Again, over the one that is there. */
    assert_ok(fn_model_write_changed(with, &changes, temporary_path("again"), &err), err);
    fn_model_close(given);
    assert_ok(fn_model_open(temporary_path("again"), &given, &err), err);
    assert_string_equal(given->id, with->id);
    fn_model_close(given);
    fn_model_close(with);
    fn_model_close(without);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_detector_comes_back_as_it_was_written),
        cmocka_unit_test(the_detector_counts_for_the_models_id),
        cmocka_unit_test(a_detector_that_is_not_whole_is_refused),
        cmocka_unit_test(a_detector_has_a_name_that_is_a_word),
        cmocka_unit_test(a_detector_is_added_to_a_finished_model),
        cmocka_unit_test(operating_points_are_replaced_and_the_id_stays),
    };
    return cmocka_run_group_tests(tests, make_draft, free_draft);
}
