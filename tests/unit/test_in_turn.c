/* SPDX-License-Identifier: Apache-2.0
 *
 * test_in_turn.c -- quantizing by what the quantized network makes of pictures: its integers, what
 * is said of them, rounding of weights together, and corrected biases. */
#include <string.h>

#include "engine/golden.h"
#include "engine/preprocess.h"
#include "engine/reference.h"
#include "model/quantize/calibrate.h"
#include "model/quantize/in_turn.h"
#include "model/quantize/integer_pass.h"
#include "model/quantize/joint_rounding.h"
#include "tests/unit/support/random_source.h"

enum { N = 3 };

static uint8_t *golden_pictures(size_t n) {
    uint8_t *crops = malloc(n * FN_CROP_SIZE);
    assert_non_null(crops);
    for (size_t p = 0; p < n; p++) fn_golden_picture(p, crops + p * FN_CROP_SIZE);
    return crops;
}

/* An untrained model of some width, a pass over N pictures and what the reference makes of them. */
struct untrained {
    struct fn_model_draft *draft;
    struct fn_model *view;
    struct fn_integer_pass *pass;
    int8_t *tensors[N][FN_MAX_TENSORS];
    int32_t heads[N][8];
};

static struct untrained open_untrained(int width, int n_threads) {
    struct untrained x = {0};
    struct fn_error err = {0};
    assert_ok(fn_untrained_draft(1, width, 8, &x.draft, &err), err);
    assert_ok(fn_model_draft_view(x.draft, &x.view, &err), err);
    uint8_t *crops = golden_pictures(N);
    assert_ok(fn_integer_pass_new(&x.view->network, x.view->preprocessing, crops, N, n_threads,
                                  &x.pass, &err),
              err);
    for (size_t p = 0; p < N; p++) {
        for (int t = 0; t < x.view->network.n_tensors; t++)
            x.tensors[p][t] = calloc(fn_tensor_size(&x.view->network.tensors[t]), 1);
        fn_preprocess(x.view->preprocessing, crops + p * FN_CROP_SIZE, FN_CROP_SIZE,
                      x.tensors[p][0]);
        for (int i = 0; i < x.view->network.n_layers; i++)
            fn_reference_layer(x.view, i, x.tensors[p], x.heads[p]);
    }
    free(crops);
    return x;
}

static void close_untrained(struct untrained *x) {
    for (size_t p = 0; p < N; p++)
        for (int t = 0; t < x->view->network.n_tensors; t++) free(x->tensors[p][t]);
    fn_integer_pass_free(x->pass);
    free(x->view);
    fn_model_draft_free(x->draft);
}

static void assert_tensor(const struct untrained *x, int tensor) {
    for (size_t p = 0; p < N; p++) {
        const int8_t *found = fn_integer_pass_tensor(x->pass, tensor, p);
        assert_non_null(found);
        assert_memory_equal(found, x->tensors[p][tensor],
                            fn_tensor_size(&x->view->network.tensors[tensor]));
    }
}

/* Half the full width: kernels of 1152 weights, which one exact sum of float32 does not hold. */
static void the_integers_are_the_reference_engines(void **state) {
    (void)state;
    struct untrained x = open_untrained(16, 2);
    struct fn_error err = {0};
    size_t deepest = 0;
    for (int i = 0; i < x.view->network.n_layers; i++) {
        const struct fn_layer *l = &x.view->network.layers[i];
        assert_tensor(&x, l->input);
        if (l->residual >= 0) assert_tensor(&x, l->residual);
        if (fn_layer_kernel_size(l) > deepest) deepest = fn_layer_kernel_size(l);
        if (l->op == FN_OP_HEAD) break;
        assert_ok(fn_integer_pass_run(x.pass, x.view, i, &err), err);
    }
    assert_true(deepest > 1024);
    close_untrained(&x);
}

/* The mean accumulator of one channel, by plain loops. */
static double naive_mean(const struct untrained *x, int index, int oc) {
    const struct fn_layer *l = &x->view->network.layers[index];
    const struct fn_tensor *in = &x->view->network.tensors[l->input];
    if (l->op == FN_OP_HEAD) {
        double sum = 0;
        for (int p = 0; p < N; p++) sum += x->heads[p][oc];
        return sum / (N * in->height * in->width);
    }
    const struct fn_tensor *out = &x->view->network.tensors[l->output];
    size_t kernel = fn_layer_kernel_size(l), size = fn_tensor_size(in);
    double *weights = calloc(kernel, sizeof *weights), *values = calloc(size, sizeof *values);
    assert_true(weights && values);
    for (size_t k = 0; k < kernel; k++)
        weights[k] = x->view->params[index].weights[(size_t)oc * kernel + k];
    double sum = 0;
    for (int p = 0; p < N; p++) {
        for (size_t i = 0; i < size; i++) values[i] = x->tensors[p][l->input][i];
        for (int at = 0; at < out->height * out->width; at++) {
            sum += x->view->params[index].bias[oc] +
                   naive_sum(l, in, values, weights, at / out->width, at % out->width);
            if (l->residual >= 0)
                sum += ldexp(x->tensors[p][l->residual][at * out->channels + oc],
                             fn_model_residual_shift(x->view, index, oc));
        }
    }
    free(weights);
    free(values);
    return sum / (N * out->height * out->width);
}

static void means_are_those_of_all_positions(void **state) {
    (void)state;
    struct untrained x = open_untrained(1, 3);
    struct fn_error err = {0};
    int n_added = 0;
    for (int i = 0; i < x.view->network.n_layers; i++) {
        const struct fn_layer *l = &x.view->network.layers[i];
        double means[FN_MAX_CHANNELS];
        if (l->op != FN_OP_POOL) {
            assert_ok(fn_integer_pass_means(x.pass, x.view, i, means, &err), err);
            for (int oc = 0; oc < l->out_channels; oc++)
                assert_true(means[oc] == naive_mean(&x, i, oc));
            n_added += l->residual >= 0;
        }
        assert_ok(fn_integer_pass_run(x.pass, x.view, i, &err), err);
    }
    assert_int_equal(n_added, 21);
    close_untrained(&x);
}

/* Value k of the window at a position; zero outside. */
static double window_value(const struct untrained *x, const struct fn_layer *l, int p, int at,
                           int k) {
    const struct fn_tensor *in = &x->view->network.tensors[l->input];
    int width = l->output < 0 ? in->width : x->view->network.tensors[l->output].width;
    int c = k % l->in_channels, tap = k / l->in_channels;
    int iy = at / width * l->stride - l->pad_h + tap / l->kernel_w;
    int ix = at % width * l->stride - l->pad_w + tap % l->kernel_w;
    if (iy < 0 || iy >= in->height || ix < 0 || ix >= in->width) return 0;
    return x->tensors[p][l->input][(iy * in->width + ix) * in->channels + c];
}

static void assert_covariance(const struct untrained *x, int index, const float *found) {
    const struct fn_layer *l = &x->view->network.layers[index];
    const struct fn_tensor *at = &x->view->network.tensors[l->output < 0 ? l->input : l->output];
    int kernel = (int)fn_layer_kernel_size(l), positions = at->height * at->width;
    for (int a = 0; a < kernel; a++)
        for (int b = 0; b < kernel; b += a == b ? 1 : kernel / 7 + 1) {
            double ab = 0, one = 0, other = 0, n = N * positions;
            for (int i = 0; i < N * positions; i++) {
                double u = window_value(x, l, i / positions, i % positions, a);
                double v = window_value(x, l, i / positions, i % positions, b);
                ab += u * v;
                one += u;
                other += v;
            }
            double expected = ab / n - one / n * other / n, is = found[a * kernel + b];
            if (fabs(is - expected) > 1e-6 * (1 + fabs(expected)))
                fail_msg("%s (%d, %d): %g, expected %g", l->name, a, b, is, expected);
        }
}

/* Of layers that have so few positions that all of them are taken. */
static void covariances_are_those_of_the_windows(void **state) {
    (void)state;
    struct untrained x = open_untrained(4, 3);
    struct fn_error err = {0};
    int n_seen = 0;
    for (int i = 0; i < x.view->network.n_layers; i++) {
        const struct fn_layer *l = &x.view->network.layers[i];
        size_t kernel = fn_layer_kernel_size(l);
        bool seen = strstr(l->name, "block35_2") || strstr(l->name, "Mixed_7a") ||
                    strstr(l->name, "Bottleneck");
        if (seen && l->op != FN_OP_POOL) {
            float *covariance = malloc(kernel * kernel * sizeof *covariance);
            assert_ok(fn_integer_pass_covariance(x.pass, i, covariance, &err), err);
            assert_covariance(&x, i, covariance);
            free(covariance);
            n_seen++;
        }
        assert_ok(fn_integer_pass_run(x.pass, x.view, i, &err), err);
    }
    assert_int_equal(n_seen, 7 + 7 + 1);
    close_untrained(&x);
}

enum { K = 40 };

static double joint_error(const double *exact, const int8_t *weights, const float *covariance) {
    double sum = 0;
    for (int i = 0; i < K; i++)
        for (int j = 0; j < K; j++)
            sum += (exact[i] - weights[i]) * (exact[j] - weights[j]) * covariance[i * K + j];
    return sum;
}

/* Inputs that are alike: all follow three sources. */
static void random_covariance(struct fn_prng *prng, float *ret) {
    double mix[K][3];
    for (int i = 0; i < K; i++)
        for (int s = 0; s < 3; s++) mix[i][s] = random_between(prng, -1, 3);
    for (int i = 0; i < K; i++)
        for (int j = 0; j < K; j++) {
            double sum = i == j ? 0.3 : 0;
            for (int s = 0; s < 3; s++) sum += mix[i][s] * mix[j][s];
            ret[i * K + j] = (float)sum;
        }
}

static void rounding_together_leaves_no_single_step_that_helps(void **state) {
    (void)state;
    struct fn_prng prng = {5};
    double all_nearest = 0, all_together = 0;
    for (int round = 0; round < 50; round++) {
        float covariance[K * K], g[K];
        double exact[K];
        int8_t weights[K];
        random_covariance(&prng, covariance);
        for (int i = 0; i < K; i++) {
            exact[i] = random_between(&prng, -140, 140);
            double q = floor(exact[i] + 0.5);
            weights[i] = (int8_t)fmin(fmax(q, -127), 127);
        }
        double nearest = joint_error(exact, weights, covariance);
        fn_joint_rounding_improve(exact, covariance, K, g, weights);
        double together = joint_error(exact, weights, covariance);
        all_nearest += nearest;
        all_together += together;
        for (int i = 0; i < K; i++)
            for (int step = -1; step <= 1; step += 2) {
                if (abs(weights[i] + step) > 127) continue;
                weights[i] = (int8_t)(weights[i] + step);
                /* the threshold of 0.501 may leave what is not worth a step */
                assert_true(joint_error(exact, weights, covariance) >
                            together - 0.01 * covariance[i * K + i]);
                weights[i] = (int8_t)(weights[i] - step);
            }
    }
    assert_true(all_together < all_nearest / 2);
}

static void without_covariances_the_nearest_stays(void **state) {
    (void)state;
    float covariance[4] = {2, 1, 1, 3}, g[2];
    const double exact[2] = {0.4, -7.4};
    int8_t weights[2] = {0, -7};
    fn_joint_rounding_shrink(covariance, 2);
    assert_true(covariance[0] == 2 && covariance[3] == 3);
    assert_true(covariance[1] < 1 && covariance[1] > 0.5F && covariance[1] == covariance[2]);
    covariance[1] = covariance[2] = covariance[3] = 0; /* an input that never speaks */
    fn_joint_rounding_improve(exact, covariance, 2, g, weights);
    assert_true(weights[0] == 0 && weights[1] == -7);
}

/* ---- layer after layer ---- */

struct trained {
    struct fn_model_draft *draft;
    struct fn_source *source;
    struct fn_float_net *net;
    uint8_t *crops;
    struct fn_equalisation scales;
    struct fn_float_means means;
};

static struct trained open_trained(void) {
    struct trained x = {.crops = golden_pictures(N)};
    struct fn_error err = {0};
    assert_ok(fn_untrained_draft(1, 1, 8, &x.draft, &err), err);
    const struct fn_network *network = &x.draft->network;
    x.source = random_source(network, 4, true);
    assert_ok(fn_float_net_new(network, x.source, &x.net, &err), err);
    struct fn_calibration calibration;
    assert_ok(
        fn_calibrate(network, x.net, FN_PREPROCESSING_FIXED, x.crops, N, 2, &calibration, &err),
        err);
    memcpy(x.draft->frac_bits, calibration.frac_bits, sizeof x.draft->frac_bits);
    free(calibration.embeddings);
    x.draft->preprocessing = FN_PREPROCESSING_FIXED;
    assert_ok(fn_equalisation_new(network, &x.scales, &err), err);
    struct fn_prng prng = {8};
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *l = &network->layers[i];
        for (int c = 0; c < l->out_channels && fn_equalisation_is_free(l); c++)
            x.scales.steps[l->output][l->output_offset + c] =
                (int8_t)((int)(fn_prng_next(&prng) % 9) - 4);
    }
    fn_equalisation_spread(network, &x.scales);
    const struct fn_float_pass pass = {network, x.net, FN_PREPROCESSING_FIXED, x.crops, N, 2};
    assert_ok(fn_float_means_find(&pass, x.source, &x.means, &err), err);
    return x;
}

static struct fn_in_turn how_of(const struct trained *x) {
    return (struct fn_in_turn){.source = x->source,
                               .plan = {.scales = &x->scales},
                               .crops = x->crops,
                               .n = N,
                               .n_threads = 2};
}

static void close_trained(struct trained *x) {
    fn_float_means_done(&x->means);
    fn_equalisation_done(&x->scales);
    free(x->crops);
    fn_float_net_free(x->net);
    fn_source_free(x->source);
    fn_model_draft_free(x->draft);
}

static void float_means_are_those_before_relu(void **state) {
    (void)state;
    struct trained x = open_trained();
    const struct fn_network *network = &x.draft->network;
    double sums[FN_MAX_LAYERS][64] = {{0}};
    for (int p = 0; p < N; p++) {
        double image[FN_CROP_SIZE], *tensors[FN_MAX_TENSORS] = {image}, head[8];
        for (int i = 0; i < FN_CROP_SIZE; i++)
            image[i] = (x.crops[p * FN_CROP_SIZE + i] - 127.5) / 128;
        naive_run(network, x.source, tensors, head);
        for (int i = 0; i < network->n_layers; i++) {
            struct fn_layer l = network->layers[i];
            if (l.op == FN_OP_POOL) continue;
            if (l.op == FN_OP_HEAD) {
                for (int oc = 0; oc < 8; oc++) sums[i][oc] += head[oc];
                continue;
            }
            struct fn_error err = {0};
            size_t kernel = fn_layer_kernel_size(&l), n = (size_t)l.out_channels;
            double *weights = malloc(n * kernel * sizeof *weights), *bias = malloc(n * 8);
            assert_ok(fn_source_fold(x.source, &l, weights, bias, &err), err);
            const struct fn_tensor *out = &network->tensors[l.output];
            double count = out->height * out->width;
            l.relu = false; /* what it is before; its readers have been or will be run again */
            double *whole = tensors[l.output];
            tensors[l.output] = calloc(fn_tensor_size(out), sizeof(double));
            naive_conv(network, &l, weights, bias, tensors);
            for (int at = 0; at < (int)count; at++)
                for (int oc = 0; oc < l.out_channels; oc++)
                    sums[i][oc] +=
                        tensors[l.output][at * out->channels + l.output_offset + oc] / count;
            free(tensors[l.output]);
            tensors[l.output] = whole;
            free(weights);
            free(bias);
        }
        naive_free(network, tensors);
    }
    for (int i = 0; i < network->n_layers; i++)
        for (int oc = 0; oc < network->layers[i].out_channels && x.means.means[i]; oc++)
            if (fabs(x.means.means[i][oc] - sums[i][oc] / N) > 1e-5)
                fail_msg("%s %d: %g, expected %g", network->layers[i].name, oc,
                         x.means.means[i][oc], sums[i][oc] / N);
    close_trained(&x);
}

static void corrected_biases_leave_no_mean_error(void **state) {
    (void)state;
    struct trained x = open_trained();
    const struct fn_network *network = &x.draft->network;
    struct fn_error err = {0};
    struct fn_corrections corrections;
    assert_ok(fn_corrections_new(network, &corrections, &err), err);
    struct fn_in_turn how = how_of(&x);
    how.means = &x.means;
    assert_ok(fn_quantize_in_turn(&how, x.draft, &corrections, &err), err);
    struct fn_model *view = NULL;
    struct fn_integer_pass *pass = NULL;
    assert_ok(fn_model_draft_view(x.draft, &view, &err), err);
    assert_ok(fn_integer_pass_new(network, FN_PREPROCESSING_FIXED, x.crops, N, 2, &pass, &err),
              err);
    int n_corrected = 0;
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *l = &network->layers[i];
        double means[FN_MAX_CHANNELS];
        if (l->op != FN_OP_POOL) assert_ok(fn_integer_pass_means(pass, view, i, means, &err), err);
        for (int oc = 0; oc < l->out_channels && l->op != FN_OP_POOL; oc++) {
            int f = view->frac_bits[l->input] + view->params[i].frac_bits[oc];
            int step = l->output < 0 ? 0 : x.scales.steps[l->output][l->output_offset + oc];
            double left =
                x.means.means[i][oc] * fn_equalisation_factor(step) - ldexp(means[oc], -f);
            double half = ldexp(0.501, -fn_correction_frac_bits(l, view->frac_bits));
            /* the bias has been rounded without the correction and with it */
            if (fabs(left) > half + ldexp(1.001, -f))
                fail_msg("%s %d: %g left, %g allowed", l->name, oc, left, half + ldexp(1, -f));
            n_corrected += abs(corrections.units[i][oc]) > 3;
        }
        assert_ok(fn_integer_pass_run(pass, view, i, &err), err);
    }
    assert_true(n_corrected > 50);
    fn_integer_pass_free(pass);
    free(view);
    fn_corrections_done(&corrections);
    close_trained(&x);
}

static void assert_same_draft(const struct fn_model_draft *a, const struct fn_model_draft *b) {
    for (int i = 0; i < a->network.n_layers; i++) {
        const struct fn_layer *l = &a->network.layers[i];
        size_t n = (size_t)l->out_channels;
        if (l->op == FN_OP_POOL) continue;
        assert_memory_equal(a->params[i].weights, b->params[i].weights,
                            n * fn_layer_kernel_size(l));
        assert_memory_equal(a->params[i].bias, b->params[i].bias, n * sizeof(int32_t));
        assert_memory_equal(a->params[i].frac_bits, b->params[i].frac_bits, n);
    }
}

/* How many weights differ from the nearest, which are in `draft`. */
static size_t count_moved(const struct fn_model_draft *draft, const struct fn_model_draft *moved) {
    size_t count = 0;
    for (int i = 0; i < draft->network.n_layers; i++) {
        const struct fn_layer *l = &draft->network.layers[i];
        size_t n = (size_t)l->out_channels * fn_layer_kernel_size(l);
        for (size_t k = 0; k < n && l->op != FN_OP_POOL; k++)
            count += draft->params[i].weights[k] != moved->params[i].weights[k];
    }
    return count;
}

static void corrections_make_the_same_again_in_any_number_of_threads(void **state) {
    (void)state;
    struct trained x = open_trained(), y = open_trained();
    struct fn_error err = {0};
    struct fn_corrections corrections, other;
    assert_ok(fn_corrections_new(&x.draft->network, &corrections, &err), err);
    assert_ok(fn_corrections_new(&x.draft->network, &other, &err), err);
    struct fn_in_turn how = how_of(&x);
    how.jointly = true;
    how.means = &x.means;
    assert_ok(fn_quantize_in_turn(&how, x.draft, &corrections, &err), err);
    how.n_threads = 1;
    assert_ok(fn_quantize_in_turn(&how, y.draft, &other, &err), err);
    assert_same_draft(x.draft, y.draft);
    how.n_threads = 3;
    how.means = NULL;
    how.plan.corrections = &corrections;
    assert_ok(fn_quantize_in_turn(&how, y.draft, NULL, &err), err);
    assert_same_draft(x.draft, y.draft);
    const struct fn_quantize_plan nearest = {.scales = &x.scales};
    assert_ok(fn_quantize(y.source, &nearest, y.draft, 2, &err), err);
    assert_true(count_moved(y.draft, x.draft) > 100);
    fn_corrections_done(&corrections);
    fn_corrections_done(&other);
    close_trained(&x);
    close_trained(&y);
}

static void of_many_pictures_some_are_taken_from_all_over(void **state) {
    (void)state;
    enum { MANY = 700 };
    struct fn_error err = {0};
    uint8_t *all = calloc(MANY, FN_CROP_SIZE), *some = NULL;
    size_t n = 0;
    assert_non_null(all);
    for (size_t i = 0; i < MANY; i++) memcpy(all + i * FN_CROP_SIZE, &i, sizeof i);
    assert_ok(fn_in_turn_choose(all, MANY, &some, &n, &err), err);
    assert_int_equal(n, FN_IN_TURN_PICTURES);
    for (size_t i = 0, number; i < n; i++) {
        memcpy(&number, some + i * FN_CROP_SIZE, sizeof number);
        assert_int_equal(number, i * MANY / n);
    }
    free(some);
    assert_ok(fn_in_turn_choose(all, 5, &some, &n, &err), err);
    assert_int_equal(n, 5);
    assert_memory_equal(some, all, 5 * (size_t)FN_CROP_SIZE);
    free(some);
    free(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_integers_are_the_reference_engines),
        cmocka_unit_test(means_are_those_of_all_positions),
        cmocka_unit_test(covariances_are_those_of_the_windows),
        cmocka_unit_test(rounding_together_leaves_no_single_step_that_helps),
        cmocka_unit_test(without_covariances_the_nearest_stays),
        cmocka_unit_test(float_means_are_those_before_relu),
        cmocka_unit_test(corrected_biases_leave_no_mean_error),
        cmocka_unit_test(corrections_make_the_same_again_in_any_number_of_threads),
        cmocka_unit_test(of_many_pictures_some_are_taken_from_all_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
