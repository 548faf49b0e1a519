/* SPDX-License-Identifier: Apache-2.0
 *
 * test_engine.c -- preprocessing, the reference engine against an independent model of the
 * arithmetic, the head, and the self-test. */
#include "engine/engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/golden.h"
#include "engine/head.h"
#include "engine/model_writer.h"
#include "engine/preprocess.h"
#include "engine/prng.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/temporary.h"

#define MAX_BATCH 3

static struct fn_model *model;
static struct fn_engine *engine;

static int open_all(void **state) {
    struct fn_error err;
    struct fn_model_draft *draft;
    const struct fn_engine_options options = {
        .device = "reference", .max_batch = MAX_BATCH, .keep_tensors = true};
    if (temporary_make(state) != 0) return -1;
    const char *path = temporary_path("m.safetensors");
    fn_status status = fn_untrained_draft(11, 1, 16, &draft, &err);
    if (status == FN_OK) status = fn_model_write(draft, path, &err);
    if (status == FN_OK) status = fn_model_open(path, &model, &err);
    if (status == FN_OK) status = fn_engine_open(model, &options, &engine, &err);
    fn_model_draft_free(draft);
    return status == FN_OK ? 0 : -1;
}

static int close_all(void **state) {
    fn_engine_close(engine);
    fn_model_close(model);
    return temporary_remove(state);
}

static void fixed_preprocessing_subtracts_128(void **state) {
    (void)state;
    const uint8_t pixels[] = {0, 1, 127, 128, 255};
    int8_t found[5];
    fn_preprocess(FN_PREPROCESSING_FIXED, pixels, 5, found);
    const int8_t expected[] = {-128, -127, -1, 0, 127};
    assert_memory_equal(found, expected, 5);
}

static void per_image_preprocessing_whitens(void **state) {
    (void)state;
    uint8_t pixels[300];
    int8_t found[300];
    struct fn_prng prng = {3};
    fn_prng_fill(&prng, pixels, sizeof pixels);
    double mean = 0, variance = 0;
    for (int i = 0; i < 300; i++) mean += pixels[i] / 300.0;
    for (int i = 0; i < 300; i++) variance += (pixels[i] - mean) * (pixels[i] - mean) / 300.0;
    fn_preprocess(FN_PREPROCESSING_PER_IMAGE, pixels, 300, found);
    for (int i = 0; i < 300; i++)
        assert_true(fabs(found[i] - (pixels[i] - mean) / sqrt(variance) * 32) <= 0.5001);
}

static void a_flat_picture_has_no_division_by_zero(void **state) {
    (void)state;
    uint8_t pixels[300];
    int8_t found[300];
    memset(pixels, 200, sizeof pixels);
    fn_preprocess(FN_PREPROCESSING_PER_IMAGE, pixels, 300, found);
    for (int i = 0; i < 300; i++) assert_int_equal(found[i], 0);
}

/* One output of a convolution, in 64-bit integers with a real division: nothing shared with the
 * engine but the formulas of the design. */
static int model_output(int layer, int8_t *const *tensors, int y, int x, int oc) {
    const struct fn_layer *l = &model->network.layers[layer];
    const struct fn_tensor *in = &model->network.tensors[l->input];
    const struct fn_tensor *out = &model->network.tensors[l->output];
    const struct fn_params *p = &model->params[layer];
    int64_t acc = p->bias[oc];
    for (int n = 0; n < l->kernel_h * l->kernel_w * in->channels; n++) {
        int c = n % in->channels, kx = n / in->channels % l->kernel_w;
        int ky = n / in->channels / l->kernel_w;
        int iy = y * l->stride + ky - l->pad_h, ix = x * l->stride + kx - l->pad_w;
        if (iy < 0 || ix < 0 || iy >= in->height || ix >= in->width) continue;
        acc += (int64_t)p->weights[oc * l->kernel_h * l->kernel_w * in->channels + n] *
               tensors[l->input][(iy * in->width + ix) * in->channels + c];
    }
    int f_acc = model->frac_bits[l->input] + p->frac_bits[oc];
    if (l->residual >= 0)
        acc += (int64_t)tensors[l->residual][(y * out->width + x) * out->channels + oc]
               << (f_acc - model->frac_bits[l->residual]);
    double value = floor(ldexp((double)acc, model->frac_bits[l->output] - f_acc) + 0.5);
    return (int)fmin(fmax(value, l->relu ? 0 : -128), 127);
}

/* All tensors of one picture's run; free_tensors() frees them. */
static void run_and_read(uint64_t seed, int8_t *ret_tensors[FN_MAX_TENSORS],
                         int32_t ret_accumulators[16]) {
    struct fn_error err;
    float embedding[16];
    uint8_t *crop = malloc(FN_CROP_SIZE);
    fn_golden_picture(seed, crop);
    assert_ok(fn_engine_run(engine, crop, 1, embedding, ret_accumulators, &err), err);
    free(crop);
    for (int i = 0; i < model->network.n_tensors; i++) {
        const struct fn_tensor *t = &model->network.tensors[i];
        ret_tensors[i] = malloc((size_t)t->height * (size_t)t->width * (size_t)t->channels);
        assert_ok(fn_engine_read_tensor(engine, i, 0, ret_tensors[i], &err), err);
    }
}

static void free_tensors(int8_t *tensors[FN_MAX_TENSORS]) {
    for (int i = 0; i < model->network.n_tensors; i++) free(tensors[i]);
}

static void every_convolution_obeys_the_formula(void **state) {
    (void)state;
    int8_t *tensors[FN_MAX_TENSORS];
    int32_t sums[16];
    run_and_read(5, tensors, sums);
    for (int i = 0; i < model->network.n_layers; i++) {
        const struct fn_layer *l = &model->network.layers[i];
        if (l->op != FN_OP_CONV) continue;
        const struct fn_tensor *out = &model->network.tensors[l->output];
        for (int n = 0; n < out->height * out->width * l->out_channels; n++) {
            int at = n / l->out_channels, oc = n % l->out_channels;
            assert_int_equal(tensors[l->output][at * out->channels + l->output_offset + oc],
                             model_output(i, tensors, at / out->width, at % out->width, oc));
        }
    }
    free_tensors(tensors);
}

/* A pooled value by the design's words: the largest of nine, then the shift of the concat. */
static int model_pool(int layer, int8_t *const *tensors, int y, int x, int c) {
    const struct fn_layer *l = &model->network.layers[layer];
    const struct fn_tensor *in = &model->network.tensors[l->input];
    int max = -128;
    for (int k = 0; k < 9; k++) {
        int q = tensors[l->input][((2 * y + k / 3) * in->width + 2 * x + k % 3) * in->channels + c];
        max = q > max ? q : max;
    }
    int d = model->frac_bits[l->input] - model->frac_bits[l->output];
    return (int)fmin(floor(ldexp(max, -d) + 0.5), 127);
}

static void every_pool_obeys_the_formula(void **state) {
    (void)state;
    int8_t *tensors[FN_MAX_TENSORS];
    int32_t sums[16];
    run_and_read(6, tensors, sums);
    for (int i = 0; i < model->network.n_layers; i++) {
        const struct fn_layer *l = &model->network.layers[i];
        if (l->op != FN_OP_POOL) continue;
        const struct fn_tensor *out = &model->network.tensors[l->output];
        for (int n = 0; n < out->height * out->width * l->out_channels; n++) {
            int at = n / l->out_channels, c = n % l->out_channels;
            assert_int_equal(tensors[l->output][at * out->channels + l->output_offset + c],
                             model_pool(i, tensors, at / out->width, at % out->width, c));
        }
    }
    free_tensors(tensors);
}

static void the_head_multiplies_sums_over_positions(void **state) {
    (void)state;
    int8_t *tensors[FN_MAX_TENSORS];
    int32_t sums[16];
    run_and_read(7, tensors, sums);
    int head = model->network.n_layers - 1;
    const struct fn_tensor *in = &model->network.tensors[model->network.layers[head].input];
    for (int o = 0; o < 16; o++) {
        int64_t acc = model->params[head].bias[o];
        for (int c = 0; c < in->channels; c++) {
            int64_t sum = 0;
            for (int p = 0; p < in->height * in->width; p++)
                sum += tensors[model->network.layers[head].input][p * in->channels + c];
            acc += sum * model->params[head].weights[o * in->channels + c];
        }
        assert_int_equal(sums[o], acc);
    }
    free_tensors(tensors);
}

static void a_batch_gives_the_bits_of_single_pictures(void **state) {
    (void)state;
    struct fn_error err;
    uint8_t *crops = malloc((size_t)MAX_BATCH * FN_CROP_SIZE);
    float together[MAX_BATCH * 16], alone[16];
    int32_t sums[MAX_BATCH * 16], sums_alone[16];
    for (size_t i = 0; i < MAX_BATCH; i++) fn_golden_picture(i, crops + i * FN_CROP_SIZE);
    assert_ok(fn_engine_run(engine, crops, MAX_BATCH, together, sums, &err), err);
    for (size_t i = 0; i < MAX_BATCH; i++) {
        assert_ok(fn_engine_run(engine, crops + i * FN_CROP_SIZE, 1, alone, sums_alone, &err), err);
        assert_memory_equal(alone, together + i * 16, sizeof alone);
        assert_memory_equal(sums_alone, sums + i * 16, sizeof sums_alone);
    }
    free(crops);
}

static void embeddings_have_length_one(void **state) {
    (void)state;
    struct fn_error err;
    uint8_t *crop = malloc(FN_CROP_SIZE);
    float embedding[16];
    double sum = 0;
    fn_golden_picture(9, crop);
    assert_ok(fn_engine_run(engine, crop, 1, embedding, NULL, &err), err);
    for (int i = 0; i < 16; i++) sum += (double)embedding[i] * embedding[i];
    assert_true(fabs(sum - 1) < 1e-6);
    free(crop);
}

static void an_all_zero_output_is_an_error(void **state) {
    (void)state;
    struct fn_error err;
    const int32_t zeros[16] = {0};
    float embedding[16] = {7};
    assert_int_equal(fn_head_embed(model, zeros, embedding, &err), FN_NOT_UNIT);
    assert_true(embedding[0] == 7);
}

static void the_self_test_passes_and_finds_a_changed_weight(void **state) {
    (void)state;
    struct fn_error err;
    assert_ok(fn_engine_self_test(engine, &err), err);
    char kept = model->golden_accumulators[0];
    model->golden_accumulators[0] = kept == 'f' ? '0' : 'f';
    assert_int_equal(fn_engine_self_test(engine, &err), FN_DEVICE_FAILED);
    assert_non_null(strstr(err.text, "self-test at batch size 1: accumulators have sha256"));
    model->golden_accumulators[0] = kept;
    kept = model->golden_embedding[0];
    model->golden_embedding[0] = kept == 'f' ? '0' : 'f';
    assert_int_equal(fn_engine_self_test(engine, &err), FN_DEVICE_FAILED);
    model->golden_embedding[0] = kept;
}

static void wrong_use_is_an_error_not_a_crash(void **state) {
    (void)state;
    struct fn_error err;
    uint8_t *crop = calloc(1, FN_CROP_SIZE);
    float embedding[16];
    int8_t value;
    struct fn_engine *other = NULL;
    assert_int_equal(fn_engine_run(engine, crop, 0, embedding, NULL, &err), FN_USAGE);
    assert_int_equal(fn_engine_run(engine, crop, MAX_BATCH + 1, embedding, NULL, &err), FN_USAGE);
    assert_int_equal(fn_engine_slots(engine), 1);
    assert_int_equal(fn_engine_collect(engine, embedding, NULL, &err), FN_USAGE);
    assert_ok(fn_engine_submit(engine, crop, 1, &err), err);
    assert_int_equal(fn_engine_submit(engine, crop, 1, &err), FN_USAGE);
    assert_int_equal(fn_engine_run(engine, crop, 1, embedding, NULL, &err), FN_USAGE);
    assert_ok(fn_engine_collect(engine, embedding, NULL, &err), err);
    assert_int_equal(fn_engine_read_tensor(engine, 10000, 0, &value, &err), FN_USAGE);
    assert_int_equal(fn_engine_read_tensor(engine, 0, MAX_BATCH, &value, &err), FN_USAGE);
    struct fn_engine_options options = {.device = "reference", .max_batch = FN_MAX_BATCH + 1};
    assert_int_equal(fn_engine_open(model, &options, &other, &err), FN_USAGE);
    options = (struct fn_engine_options){.device = "reference", .slots = FN_MAX_SLOTS + 1};
    assert_int_equal(fn_engine_open(model, &options, &other, &err), FN_USAGE);
    assert_null(other);
    free(crop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_preprocessing_subtracts_128),
        cmocka_unit_test(per_image_preprocessing_whitens),
        cmocka_unit_test(a_flat_picture_has_no_division_by_zero),
        cmocka_unit_test(every_convolution_obeys_the_formula),
        cmocka_unit_test(every_pool_obeys_the_formula),
        cmocka_unit_test(the_head_multiplies_sums_over_positions),
        cmocka_unit_test(a_batch_gives_the_bits_of_single_pictures),
        cmocka_unit_test(embeddings_have_length_one),
        cmocka_unit_test(an_all_zero_output_is_an_error),
        cmocka_unit_test(the_self_test_passes_and_finds_a_changed_weight),
        cmocka_unit_test(wrong_use_is_an_error_not_a_crash),
    };
    return cmocka_run_group_tests_name("engine", tests, open_all, close_all);
}
