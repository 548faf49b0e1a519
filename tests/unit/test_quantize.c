/* SPDX-License-Identifier: Apache-2.0
 *
 * test_quantize.c -- fractional bits, weights and biases against a model of the rules written from
 * DESIGN's formulas: every candidate tried, nothing pruned. */
#include <string.h>

#include "engine/fixed.h"
#include "engine/golden.h"
#include "model/quantize/calibrate.h"
#include "model/quantize/quantize.h"
#include "tests/unit/support/random_source.h"

/* Error of rounding to f fractional bits, clamped to low ... 127. */
static double naive_error(double x, int f, double low) {
    double q = floor(ldexp(x, f) + 0.5);
    q = q < low ? low : q > 127 ? 127 : q;
    double difference = x - ldexp(q, -f);
    return difference * difference;
}

static void weights_take_the_least_squared_error(void **state) {
    (void)state;
    struct fn_prng prng = {11};
    for (int round = 0; round < 400; round++) {
        double w[40];
        size_t n = 1 + (size_t)(fn_prng_next(&prng) % 40);
        double size = ldexp(1, (int)(fn_prng_next(&prng) % 36) - 26);
        for (size_t i = 0; i < n; i++) {
            w[i] = size * random_between(&prng, -1, 1);
            if (fn_prng_next(&prng) % 8 == 0) w[i] *= 20; /* tails make clipping worthwhile */
        }
        double least = INFINITY, errors[64];
        for (int f = FN_FRAC_W_MIN; f <= FN_FRAC_W_MAX; f++) {
            double sum = 0;
            for (size_t i = 0; i < n; i++) sum += naive_error(w[i], f, -127);
            errors[f - FN_FRAC_W_MIN] = sum;
            least = fmin(least, sum);
        }
        int smallest, largest;
        fn_quantize_best(w, n, &smallest, &largest);
        assert_true(errors[smallest - FN_FRAC_W_MIN] <= least * (1 + 1e-12));
        assert_true(errors[largest - FN_FRAC_W_MIN] <= least * (1 + 1e-12));
        if (smallest > FN_FRAC_W_MIN)
            assert_true(errors[smallest - 1 - FN_FRAC_W_MIN] > least * (1 - 1e-12));
    }
}

static void exact_weights_tie_and_zeros_tie_everywhere(void **state) {
    (void)state;
    static const double exact[] = {0.5, -0.25, 0}, zeros[4] = {0};
    int smallest, largest;
    fn_quantize_best(exact, 3, &smallest, &largest);
    assert_int_equal(smallest, 2); /* 2 and -1 */
    assert_int_equal(largest, 7);  /* 64 and -32; at 8 bits 0.5 would be 128 */
    fn_quantize_best(zeros, 4, &smallest, &largest);
    assert_int_equal(smallest, FN_FRAC_W_MIN);
    assert_int_equal(largest, FN_FRAC_W_MAX);
}

static void clipping_can_be_worth_it(void **state) {
    (void)state;
    /* 1.01 alone would be clipped at f = 7 to 127/128; many small ones gain from the finer grid */
    double w[200] = {1.01};
    for (int i = 1; i < 200; i++) w[i] = (i % 2 ? 1 : -1) * 0.3 / 128 * (1 + i % 3);
    int smallest, largest;
    fn_quantize_best(w, 200, &smallest, &largest);
    assert_true(ldexp(w[0], smallest) > 127.5);
}

static void many_small_weights_outvote_an_outlier_by_two_bits(void **state) {
    (void)state;
    enum { N = 1 << 20 };
    struct fn_prng prng = {12};
    double *w = malloc(N * sizeof *w), least = INFINITY;
    assert_non_null(w);
    w[0] = 0.9; /* fits at f = 7 */
    for (size_t i = 1; i < N; i++) w[i] = random_between(&prng, -0.1, 0.1);
    int best = 0;
    for (int f = 6; f < 12; f++) {
        double sum = 0;
        for (size_t i = 0; i < N; i++) sum += naive_error(w[i], f, -127);
        if (sum < least) best = f;
        least = fmin(least, sum);
    }
    int smallest, largest;
    fn_quantize_best(w, N, &smallest, &largest);
    assert_int_equal(smallest, best);
    assert_true(best >= 9);
    free(w);
}

/* A layer of two channels over three inputs, 1x1, from tensor 0 to tensor 1. */
struct fixture {
    struct fn_source *source;
    struct fn_model_draft *draft;
};

static struct fixture make_fixture(const double *weights, const double *bias, bool head, int f_in,
                                   int f_out, enum fn_preprocessing preprocessing) {
    static struct fn_network network;
    struct fn_error err = {0};
    struct fixture x = {0};
    memset(&network, 0, sizeof network);
    network.n_tensors = 3;
    network.n_layers = 1;
    for (int t = 0; t < 3; t++)
        network.tensors[t] = (struct fn_tensor){"t", 3, 3, 3, t == 0, false};
    network.layers[0] = (struct fn_layer){.op = head ? FN_OP_HEAD : FN_OP_CONV,
                                          .name = "layer",
                                          .input = head ? 2 : 0,
                                          .output = head ? -1 : 1,
                                          .residual = -1,
                                          .kernel_h = 1,
                                          .kernel_w = 1,
                                          .stride = 1,
                                          .in_channels = 3,
                                          .out_channels = 2,
                                          .relu = !head};
    network.embedding_size = head ? 2 : 0;
    assert_ok(fn_model_draft_new(&network, &x.draft, &err), err);
    x.draft->preprocessing = preprocessing;
    x.draft->frac_bits[0] = x.draft->frac_bits[2] = (int8_t)f_in;
    x.draft->frac_bits[1] = (int8_t)f_out;
    assert_ok(fn_source_new("memory", &x.source, &err), err);
    struct fn_source_array array = {
        .data = weights, .dtype = FN_DTYPE_F64, .shape = {2, 1, 1, 3}, .stride = {3, 0, 0, 1}};
    assert_ok(fn_source_add(x.source, "layer", FN_PART_KERNEL, &array, &err), err);
    array = (struct fn_source_array){
        .data = bias, .dtype = FN_DTYPE_F64, .shape = {2, 1, 1, 1}, .stride = {1, 0, 0, 0}};
    assert_ok(fn_source_add(x.source, "layer", FN_PART_BIAS, &array, &err), err);
    return x;
}

static void free_fixture(struct fixture *x) {
    fn_source_free(x->source);
    fn_model_draft_free(x->draft);
}

static void the_pixels_half_step_goes_into_the_bias(void **state) {
    (void)state;
    static const double weights[] = {0.4, -0.7, 0.9, 0, 0, 0}, bias[] = {0.3, -0.2};
    for (int p = FN_PREPROCESSING_FIXED; p <= FN_PREPROCESSING_PER_IMAGE; p++) {
        int f_in = p == FN_PREPROCESSING_FIXED ? 7 : 5;
        struct fixture x = make_fixture(weights, bias, false, f_in, 4, (enum fn_preprocessing)p);
        struct fn_error err = {0};
        assert_ok(fn_quantize(x.source, NULL, x.draft, 1, &err), err);
        int f = x.draft->params[0].frac_bits[0];
        assert_int_equal(f, 7); /* 0.9 * 128 = 115.2 */
        const int8_t *q = x.draft->params[0].weights;
        assert_int_equal(q[0], 51);
        assert_int_equal(q[1], -90);
        assert_int_equal(q[2], 115);
        double half = p == FN_PREPROCESSING_FIXED ? 0.5 * (51 - 90 + 115) : 0;
        assert_int_equal(x.draft->params[0].bias[0],
                         (int32_t)floor(ldexp(0.3, f_in + f) + half + 0.5));
        /* All zeros: the smallest f_w with s = f_in + f_w - 4 >= 0. */
        assert_int_equal(x.draft->params[0].frac_bits[1], 4 - f_in);
        assert_int_equal(x.draft->params[0].bias[1], (int32_t)floor(-0.2 * 16 + 0.5));
        free_fixture(&x);
    }
}

static void the_heads_bias_counts_every_position(void **state) {
    (void)state;
    static const double weights[] = {0.4, -0.7, 0.9, 0.1, 0.1, 0.1}, bias[] = {0.3, -0.2};
    struct fixture x = make_fixture(weights, bias, true, 5, 0, FN_PREPROCESSING_FIXED);
    struct fn_error err = {0};
    assert_ok(fn_quantize(x.source, NULL, x.draft, 1, &err), err);
    int f = x.draft->params[0].frac_bits[0];
    assert_int_equal(x.draft->params[0].bias[0], (int32_t)floor(9 * ldexp(0.3, 5 + f) + 0.5));
    free_fixture(&x);
}

static void f_w_is_lowered_until_the_limits_hold(void **state) {
    (void)state;
    /* Weights want many bits, the bias allows few: 2^20 with f = 7 + f_w must stay below 2^31. */
    static const double weights[] = {1e-4, -2e-4, 3e-4, 1e-4, -2e-4, 3e-4},
                        bias[] = {1048576, 0.01};
    struct fixture x = make_fixture(weights, bias, false, 7, 4, FN_PREPROCESSING_FIXED);
    struct fn_error err = {0};
    assert_ok(fn_quantize(x.source, NULL, x.draft, 1, &err), err);
    int smallest, largest;
    fn_quantize_best(weights, 3, &smallest, &largest);
    assert_int_equal(x.draft->params[0].frac_bits[1], smallest);
    assert_int_equal(x.draft->params[0].frac_bits[0], 3); /* 2^30 fits, 2^31 does not */
    assert_true(fn_model_draft_channel_fits(x.draft, 0, 0));
    free_fixture(&x);
}

static void what_no_f_w_can_hold_is_refused(void **state) {
    (void)state;
    static const double weights[] = {1, 1, 1, 1, 1, 1}, bias[] = {0, 1e12};
    struct fixture x = make_fixture(weights, bias, false, 7, 4, FN_PREPROCESSING_FIXED);
    struct fn_error err = {0};
    assert_int_equal(fn_quantize(x.source, NULL, x.draft, 1, &err), FN_BAD_SOURCE);
    assert_non_null(strstr(err.text, "layer, channel 1"));
    free_fixture(&x);
}

static void activations_errors_are_as_defined(void **state) {
    (void)state;
    struct fn_prng prng = {5};
    float x[300];
    for (int f = -12; f <= 14; f++)
        for (int is_signed = 0; is_signed < 2; is_signed++) {
            double sum = 0, size = ldexp(200, -f);
            for (int i = 0; i < 300; i++) {
                x[i] = (float)random_between(&prng, is_signed ? -size : 0, size);
                if (i % 7 == 0) x[i] = (float)ldexp(floor(ldexp(x[i], f)) + 0.5, -f); /* ties */
                sum += naive_error(x[i], f, is_signed ? -128 : 0);
            }
            double found = fn_calibrate_error(x, 300, f, is_signed);
            assert_true(fabs(found - sum) <= 1e-9 * sum);
        }
}

static void the_widest_f_clamps_nothing_and_the_next_does(void **state) {
    (void)state;
    assert_int_equal(fn_calibrate_widest(0, 127, false), 0);
    assert_int_equal(fn_calibrate_widest(0, 127.5, false), -1); /* rounds to 128 */
    assert_int_equal(fn_calibrate_widest(-128, 1, true), 0);
    assert_int_equal(fn_calibrate_widest(-128.6, 1, true), -1);
    assert_int_equal(fn_calibrate_widest(0, 0.9, false), 7);
    assert_int_equal(fn_calibrate_widest(0, 1e30, false), FN_FRAC_X_MIN);
}

/* Best f of one tensor over all pictures, all candidates tried. */
static int naive_best(const float *const *pictures, int n_pictures, size_t n, bool is_signed) {
    int best = 0;
    double least = INFINITY;
    for (int f = FN_FRAC_X_MIN; f <= FN_FRAC_X_MAX; f++) {
        double sum = 0;
        for (int p = 0; p < n_pictures; p++)
            for (size_t i = 0; i < n; i++)
                sum += naive_error(pictures[p][i], f, is_signed ? -128 : 0);
        if (sum >= least * (1 - 1e-12)) continue;
        least = sum;
        best = f;
    }
    return best;
}

static void calibration_chooses_as_the_rules_say(void **state) {
    (void)state;
    enum { N = 3 };
    struct fn_error err = {0};
    struct fn_model_draft *draft = NULL;
    struct fn_float_net *net = NULL;
    struct fn_float_run *runs[N] = {0};
    assert_ok(fn_untrained_draft(1, 1, 8, &draft, &err), err);
    const struct fn_network *network = &draft->network;
    struct fn_source *source = random_source(network, 4, true);
    assert_ok(fn_float_net_new(network, source, &net, &err), err);
    uint8_t *crops = malloc((size_t)N * FN_CROP_SIZE);
    float *image = malloc(FN_CROP_SIZE * sizeof *image);
    assert_true(crops && image);
    for (size_t p = 0; p < N; p++) {
        fn_golden_picture(p, crops + p * FN_CROP_SIZE);
        fn_float_preprocess(FN_PREPROCESSING_FIXED, crops + p * FN_CROP_SIZE, image);
        assert_ok(fn_float_run_new(net, &runs[p], &err), err);
        assert_ok(fn_float_net_run(runs[p], image, NULL, &err), err);
    }
    struct fn_calibration one, three;
    assert_ok(fn_calibrate(network, net, FN_PREPROCESSING_FIXED, crops, N, 1, &one, &err), err);
    assert_ok(fn_calibrate(network, net, FN_PREPROCESSING_FIXED, crops, N, 3, &three, &err), err);
    assert_memory_equal(one.frac_bits, three.frac_bits, sizeof one.frac_bits);
    assert_int_equal(one.frac_bits[0], 7);
    int pool = fn_network_find_tensor(network, FN_ROOT "/MaxPool_3a_3x3");
    assert_int_equal(one.frac_bits[pool], one.frac_bits[pool - 1]);
    int n_spoken = 0; /* tensors that are not zero on every picture */
    for (int t = 1; t < network->n_tensors; t++) {
        if (t == pool) continue;
        const float *pictures[N];
        for (int p = 0; p < N; p++) pictures[p] = fn_float_run_tensor(runs[p], t);
        int best = naive_best(pictures, N, fn_tensor_size(&network->tensors[t]),
                              network->tensors[t].is_signed);
        n_spoken += best != FN_FRAC_X_MIN;
        if (best == FN_FRAC_X_MIN) best = FN_FRAC_SILENT;
        if (one.frac_bits[t] != best)
            fail_msg("%s: f %d, expected %d", network->tensors[t].name, one.frac_bits[t], best);
    }
    assert_true(n_spoken > network->n_tensors / 2);
    for (int p = 0; p < N; p++) fn_float_run_free(runs[p]);
    free(one.embeddings);
    free(three.embeddings);
    free(image);
    free(crops);
    fn_float_net_free(net);
    fn_source_free(source);
    fn_model_draft_free(draft);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_take_the_least_squared_error),
        cmocka_unit_test(exact_weights_tie_and_zeros_tie_everywhere),
        cmocka_unit_test(clipping_can_be_worth_it),
        cmocka_unit_test(many_small_weights_outvote_an_outlier_by_two_bits),
        cmocka_unit_test(the_pixels_half_step_goes_into_the_bias),
        cmocka_unit_test(the_heads_bias_counts_every_position),
        cmocka_unit_test(f_w_is_lowered_until_the_limits_hold),
        cmocka_unit_test(what_no_f_w_can_hold_is_refused),
        cmocka_unit_test(activations_errors_are_as_defined),
        cmocka_unit_test(the_widest_f_clamps_nothing_and_the_next_does),
        cmocka_unit_test(calibration_chooses_as_the_rules_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
