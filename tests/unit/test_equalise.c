/* SPDX-License-Identifier: Apache-2.0
 *
 * test_equalise.c -- scales that change nothing in real numbers, their choice and their text,
 * against plain loops in double over a thin random network. */
#include <string.h>

#include "engine/fixed.h"
#include "engine/golden.h"
#include "model/quantize/calibrate.h"
#include "model/quantize/choose_scales.h"
#include "model/quantize/quantize.h"
#include "tests/unit/support/random_source.h"

enum { N = 3 };

/* A random network, what it makes of N golden pictures, and its calibration. */
struct fixture {
    struct fn_model_draft *draft;
    struct fn_source *source;
    struct fn_float_net *net;
    uint8_t *crops;
    double *tensors[N][FN_MAX_TENSORS];
    double heads[N][8];
    struct fn_float_pass pass;
};

static void fill_picture(const uint8_t *crop, double *ret_image) {
    for (int i = 0; i < FN_CROP_SIZE; i++) ret_image[i] = (crop[i] - 127.5) / 128;
}

static struct fixture make_fixture(void) {
    struct fixture x = {0};
    struct fn_error err = {0};
    assert_ok(fn_untrained_draft(1, 1, 8, &x.draft, &err), err);
    const struct fn_network *network = &x.draft->network;
    x.source = random_source(network, 4, true);
    assert_ok(fn_float_net_new(network, x.source, &x.net, &err), err);
    x.crops = malloc((size_t)N * FN_CROP_SIZE);
    assert_non_null(x.crops);
    for (size_t p = 0; p < N; p++) {
        fn_golden_picture(p, x.crops + p * FN_CROP_SIZE);
        x.tensors[p][0] = malloc(FN_CROP_SIZE * sizeof(double));
        fill_picture(x.crops + p * FN_CROP_SIZE, x.tensors[p][0]);
        naive_run(network, x.source, x.tensors[p], x.heads[p]);
    }
    x.pass = (struct fn_float_pass){network, x.net, FN_PREPROCESSING_FIXED, x.crops, N, 1};
    struct fn_calibration calibration;
    assert_ok(
        fn_calibrate(network, x.net, FN_PREPROCESSING_FIXED, x.crops, N, 2, &calibration, &err),
        err);
    memcpy(x.draft->frac_bits, calibration.frac_bits, sizeof x.draft->frac_bits);
    free(calibration.embeddings);
    x.draft->preprocessing = FN_PREPROCESSING_FIXED;
    return x;
}

static void free_fixture(struct fixture *x) {
    for (size_t p = 0; p < N; p++) {
        naive_free(&x->draft->network, x->tensors[p]);
        free(x->tensors[p][0]);
    }
    free(x->crops);
    fn_float_net_free(x->net);
    fn_source_free(x->source);
    fn_model_draft_free(x->draft);
}

/* The folded and scaled weights of all layers, as a source. */
static struct fn_source *scaled_source(const struct fixture *x,
                                       const struct fn_equalisation *scales) {
    struct fn_source *scaled = NULL;
    struct fn_error err = {0};
    assert_ok(fn_source_new("scaled", &scaled, &err), err);
    scaled->residual_scale_folded = true;
    for (int i = 0; i < x->draft->network.n_layers; i++) {
        const struct fn_layer *l = &x->draft->network.layers[i];
        if (l->op == FN_OP_POOL) continue;
        size_t kernel = fn_layer_kernel_size(l), n = (size_t)l->out_channels;
        double *weights = malloc(n * kernel * sizeof *weights), *bias = malloc(n * sizeof *bias);
        assert_true(weights && bias);
        assert_ok(fn_source_fold(x->source, l, weights, bias, &err), err);
        fn_equalisation_apply(scales, l, weights, bias);
        assert_ok(fn_source_own(scaled, weights, free, &err), err);
        assert_ok(fn_source_own(scaled, bias, free, &err), err);
        const struct fn_source_array k = {
            .data = weights,
            .dtype = FN_DTYPE_F64,
            .shape = {l->out_channels, l->kernel_h, l->kernel_w, l->in_channels},
            .stride = {(int64_t)kernel, (int64_t)l->kernel_w * l->in_channels, l->in_channels, 1}};
        const struct fn_source_array b = {.data = bias,
                                          .dtype = FN_DTYPE_F64,
                                          .shape = {l->out_channels, 1, 1, 1},
                                          .stride = {1, 0, 0, 0}};
        assert_ok(fn_source_add(scaled, l->name, FN_PART_KERNEL, &k, &err), err);
        assert_ok(fn_source_add(scaled, l->name, FN_PART_BIAS, &b, &err), err);
    }
    return scaled;
}

static void random_steps(const struct fn_network *network, struct fn_equalisation *ret) {
    struct fn_prng prng = {8};
    struct fn_error err = {0};
    assert_ok(fn_equalisation_new(network, ret, &err), err);
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *l = &network->layers[i];
        for (int c = 0; c < l->out_channels && fn_equalisation_is_free(l); c++)
            ret->steps[l->output][l->output_offset + c] =
                (int8_t)((int)(fn_prng_next(&prng) % 17) - 8);
    }
    fn_equalisation_spread(network, ret);
}

static void assert_near(double found, double expected, double size) {
    if (fabs(found - expected) > 1e-9 * size) fail_msg("%.17g, expected %.17g", found, expected);
}

static void factors_are_quarter_octaves(void **state) {
    (void)state;
    for (int step = -2 * FN_SCALE_STEP_MAX; step <= 2 * FN_SCALE_STEP_MAX; step++)
        assert_near(fn_equalisation_factor(step), exp2(step / 4.0), 16);
    assert_true(fn_equalisation_factor(-8) == 0.25 && fn_equalisation_factor(4) == 2);
}

static void scales_change_nothing_but_the_units(void **state) {
    (void)state;
    struct fixture x = make_fixture();
    const struct fn_network *network = &x.draft->network;
    struct fn_equalisation scales;
    random_steps(network, &scales);
    struct fn_source *scaled = scaled_source(&x, &scales);
    double *tensors[FN_MAX_TENSORS] = {x.tensors[0][0]}, head[8];
    naive_run(network, scaled, tensors, head);
    for (int t = 1; t < network->n_tensors; t++) {
        size_t channels = (size_t)network->tensors[t].channels;
        double size = 0;
        for (size_t i = 0; i < fn_tensor_size(&network->tensors[t]); i++)
            size = fmax(size, fabs(tensors[t][i]));
        for (size_t i = 0; i < fn_tensor_size(&network->tensors[t]); i++) {
            double factor = fn_equalisation_factor(scales.steps[t][i % channels]);
            assert_near(tensors[t][i], x.tensors[0][t][i] * factor, size + 1);
        }
    }
    for (int o = 0; o < 8; o++) assert_near(head[o], x.heads[0][o], 1 + fabs(x.heads[0][o]));
    naive_free(network, tensors);
    fn_source_free(scaled);
    fn_equalisation_done(&scales);
    free_fixture(&x);
}

/* Squared error of a channel at a step, in the network's own units, all positions of all pictures.
 */
static double naive_channel_error(const struct fixture *x, int t, int c, int step) {
    const struct fn_tensor *tensor = &x->draft->network.tensors[t];
    double grid = ldexp(exp2(step / 4.0), x->draft->frac_bits[t]), sum = 0;
    for (int p = 0; p < N; p++)
        for (int i = c; i < (int)fn_tensor_size(tensor); i += tensor->channels) {
            double y = x->tensors[p][t][i] * grid;
            double q = fmin(fmax(floor(y + 0.5), tensor->is_signed ? -128 : 0), 127);
            bool clipped = y > 127.5 || y < (tensor->is_signed ? -128.5 : -0.5);
            if (step > 0 && fabs(y) > 63.5 * (1 + 1e-6)) return INFINITY; /* no headroom */
            sum += (clipped ? 16 : 1) * (y - q) * (y - q) / (grid * grid);
        }
    return sum;
}

static void each_channel_gets_its_best_step(void **state) {
    (void)state;
    struct fixture x = make_fixture();
    struct fn_error err = {0};
    struct fn_equalisation one, three;
    assert_ok(fn_choose_scales(&x.pass, x.draft->frac_bits, &one, &err), err);
    x.pass.n_threads = 3;
    assert_ok(fn_choose_scales(&x.pass, x.draft->frac_bits, &three, &err), err);
    int n_seen = 0;
    for (int i = 0; i < x.draft->network.n_layers; i++) {
        const struct fn_layer *l = &x.draft->network.layers[i];
        /* inside a branch, where a channel shares its scale with no other */
        bool inside = strstr(l->name, "/block17_") && strstr(l->name, "/Branch_1/");
        if (l->op != FN_OP_CONV) continue;
        assert_memory_equal(one.steps[l->output], three.steps[l->output],
                            (size_t)x.draft->network.tensors[l->output].channels);
        for (int c = 0; c < l->out_channels && inside; c++) {
            int at = l->output_offset + c;
            double least = INFINITY;
            for (int step = -FN_SCALE_STEP_MAX; step <= FN_SCALE_STEP_MAX; step++)
                least = fmin(least, naive_channel_error(&x, l->output, at, step));
            double taken = naive_channel_error(&x, l->output, at, one.steps[l->output][at]);
            if (least == 0) assert_int_equal(one.steps[l->output][at], 0);
            assert_true(taken <= least * 1.0001);
            n_seen += least > 0;
        }
    }
    assert_true(n_seen > 10);
    fn_equalisation_done(&one);
    fn_equalisation_done(&three);
    free_fixture(&x);
}

static void assert_refused(const struct fn_network *network, const char *text, const char *why) {
    struct fn_equalisation scales;
    struct fn_error err = {0};
    assert_int_equal(fn_equalisation_read("f", text, network, &scales, &err), FN_BAD_SOURCE);
    if (!strstr(err.text, why)) fail_msg("%s; expected %s", err.text, why);
}

static void scales_are_read_as_they_were_written(void **state) {
    (void)state;
    struct fn_model_draft *draft = NULL;
    struct fn_error err = {0};
    assert_ok(fn_untrained_draft(1, 1, 8, &draft, &err), err);
    const struct fn_network *network = &draft->network;
    struct fn_equalisation scales, again;
    random_steps(network, &scales);
    char *text = fn_equalisation_write(&scales, network);
    assert_non_null(text);
    assert_ok(fn_equalisation_read("f", text, network, &again, &err), err);
    for (int t = 0; t < network->n_tensors; t++)
        assert_memory_equal(scales.steps[t], again.steps[t], (size_t)network->tensors[t].channels);
    char *letter = strchr(strstr(text, "Conv2d_1a_3x3") + 15, '"') + 1;
    *letter = 'z';
    assert_refused(network, text, "character 0 is none of a...q");
    memmove(letter, letter + 1, strlen(letter));
    assert_refused(network, text, "found 0, expected 1");
    assert_refused(network, "{}", "Conv2d_1a_3x3");
    assert_refused(network, "[]", "expected an object");
    free(text);
    fn_equalisation_done(&scales);
    fn_equalisation_done(&again);
    fn_model_draft_free(draft);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(factors_are_quarter_octaves),
        cmocka_unit_test(scales_change_nothing_but_the_units),
        cmocka_unit_test(each_channel_gets_its_best_step),
        cmocka_unit_test(scales_are_read_as_they_were_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
