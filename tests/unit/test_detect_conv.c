/* SPDX-License-Identifier: Apache-2.0
 *
 * test_detect_conv.c -- every implementation against the definition, to the bit. */
#include "engine/detect/conv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/detector_weights.h"

#define SIDE 7 /* of the maps; outputs do not fill whole rounds of any implementation */

static struct fn_model_draft *draft;

static int make_draft(void **state) {
    (void)state;
    draft = detector_draft(false);
    return draft ? 0 : -1;
}

static int free_draft(void **state) {
    (void)state;
    fn_model_draft_free(draft);
    return 0;
}

/* One output by the words of the header: bias, then products in the order ky, kx, ic. */
static float define(int layer, int oc, const float *map, int x, int y) {
    const struct fn_mtcnn_layer *l = &fn_mtcnn_layers[layer];
    const struct fn_mtcnn_params *params = &draft->detector.layers[layer];
    const float *w =
        params->weights + (size_t)oc * fn_mtcnn_kernel_count(l) / (size_t)l->out_channels;
    float sum = params->bias[oc];
    for (int ky = 0; ky < l->kernel_h; ky++)
        for (int kx = 0; kx < l->kernel_w; kx++)
            for (int ic = 0; ic < l->in_channels; ic++)
                sum = fmaf(*w++, map[((y + ky) * SIDE + x + kx) * l->in_channels + ic], sum);
    float above = sum > 0 ? sum : 0, below = sum < 0 ? sum : 0;
    return params->alpha ? above + params->alpha[oc] * below : sum;
}

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void check_layers(const struct fn_conv_kernels *kernels, int first, int n) {
    const struct fn_mtcnn_layer *l = &fn_mtcnn_layers[first];
    struct fn_conv conv;
    struct fn_error err;
    assert_ok(fn_conv_pack(&draft->detector, first, n, &conv, &err), err);
    int columns = SIDE - l->kernel_w + 1, rows = SIDE - l->kernel_h + 1, outputs = rows * columns;
    size_t in_size = (size_t)(SIDE * SIDE * l->in_channels);
    float *map = malloc(in_size * sizeof *map);
    float *out = malloc(((size_t)(outputs * conv.out_channels) + FN_CONV_SLACK) * sizeof *out);
    for (size_t i = 0; i < in_size; i++) map[i] = random_float();
    uint32_t offsets[SIDE * SIDE];
    ptrdiff_t row_offsets[FN_CONV_MAX_KERNEL];
    for (int i = 0; i < outputs; i++)
        offsets[i] = (uint32_t)((i / columns * SIDE + i % columns) * l->in_channels);
    for (int ky = 0; ky < l->kernel_h; ky++)
        row_offsets[ky] = (ptrdiff_t)ky * SIDE * l->in_channels;
    kernels->convolve(&conv, map, offsets, row_offsets, (size_t)outputs, out);
    for (int i = 0; i < outputs; i++)
        for (int k = 0, at = 0; k < n; at += l[k++].out_channels)
            for (int oc = 0; oc < l[k].out_channels; oc++) {
                float expected = define(first + k, oc, map, i % columns, i / columns);
                float found = out[i * conv.out_channels + at + oc];
                if (bits_of(found) != bits_of(expected))
                    fail_msg("%s: %s: output %d channel %d is %a, expected %a", kernels->name,
                             l[k].name, i, oc, (double)found, (double)expected);
            }
    fn_conv_done(&conv);
    free(map);
    free(out);
}

static void every_implementation_convolves_as_defined(void **state) {
    (void)state;
    const struct fn_conv_kernels *kernels;
    for (size_t i = 0; (kernels = fn_conv_kernels_at(i)); i++) {
        check_layers(kernels, 0, 1);  /* 10 channels: a part of a block */
        check_layers(kernels, 1, 1);  /* 16: one block */
        check_layers(kernels, 3, 2);  /* two layers as one, 6 channels, no PReLU */
        check_layers(kernels, 5, 1);  /* 28: a block and a part */
        check_layers(kernels, 7, 1);  /* a kernel of 2 x 2 */
        check_layers(kernels, 16, 3); /* three layers as one */
    }
}

static void every_implementation_pools_as_defined(void **state) {
    (void)state;
    enum { WIDTH = 9, CHANNELS = 28 };
    float rows[3][WIDTH * CHANNELS + FN_CONV_SLACK], out[5 * CHANNELS + FN_CONV_SLACK];
    const float *pointers[3] = {rows[0], rows[1], rows[2]};
    for (int y = 0; y < 3; y++)
        for (int i = 0; i < WIDTH * CHANNELS; i++) rows[y][i] = random_float();
    const struct fn_conv_kernels *kernels;
    for (size_t k = 0; (kernels = fn_conv_kernels_at(k)); k++)
        for (int window = 2; window <= 3; window++) {
            kernels->pool(pointers, window, WIDTH, CHANNELS, window, 5, out);
            for (int i = 0; i < 5 * CHANNELS; i++) {
                int x = i / CHANNELS, c = i % CHANNELS;
                float most = -2;
                for (int y = 0; y < window; y++)
                    for (int dx = 0; dx < window && 2 * x + dx < WIDTH; dx++)
                        most = fmaxf(most, rows[y][(2 * x + dx) * CHANNELS + c]);
                assert_memory_equal(&out[i], &most, sizeof most);
            }
        }
}

/* What one output of a single product makes of extreme numbers. */
static float fuse_once(const struct fn_conv_kernels *kernels, float w, float x, float bias) {
    float weights[FN_CONV_BLOCK] = {w}, biases[FN_CONV_BLOCK] = {bias}, alpha[FN_CONV_BLOCK] = {1};
    float out[1 + FN_CONV_SLACK];
    const struct fn_conv conv = {1, 1, 1, 1, weights, biases, alpha};
    const uint32_t offset = 0;
    const ptrdiff_t row_offset = 0;
    kernels->convolve(&conv, &x, &offset, &row_offset, 1, out);
    return out[0];
}

static void a_product_and_a_sum_are_rounded_once_whatever_the_numbers(void **state) {
    (void)state;
    static const float edges[] = {0,
                                  1,
                                  -1,
                                  0x1p-24F,
                                  0x1.000002p0F,
                                  0x1p-149F,
                                  -0x1p-126F,
                                  0x1p127F,
                                  0x1.fffffep127F,
                                  0x1.8p-140F,
                                  -0x1.0001p-70F,
                                  0x1.ffep12F};
    enum { N = sizeof edges / sizeof edges[0] };
    const struct fn_conv_kernels *kernels;
    for (size_t k = 0; (kernels = fn_conv_kernels_at(k)); k++) {
        for (int i = 0; i < N * N * N; i++) {
            float a = edges[i % N], b = edges[i / N % N], c = edges[i / N / N];
            float found = fuse_once(kernels, a, b, c), expected = fmaf(a, b, c);
            if (found != expected) /* a sum of zero may have either sign after PReLU */
                fail_msg("%s: %a * %a + %a is %a, expected %a", kernels->name, (double)a, (double)b,
                         (double)c, (double)found, (double)expected);
        }
        for (int i = 0; i < 200000; i++) {
            float a = random_float(), b = random_float();
            float c = ldexpf(random_float(), random_below(60) - 40);
            assert_true(fuse_once(kernels, a, b, c) == fmaf(a, b, c));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_implementation_convolves_as_defined),
        cmocka_unit_test(every_implementation_pools_as_defined),
        cmocka_unit_test(a_product_and_a_sum_are_rounded_once_whatever_the_numbers),
    };
    return cmocka_run_group_tests(tests, make_draft, free_draft);
}
