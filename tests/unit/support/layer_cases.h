/* SPDX-License-Identifier: Apache-2.0
 *
 * layer_cases.h -- single layers of odd shapes and extreme values, on every kernel family under
 * test (opencl_engines.h), against the reference engine bit for bit. Opening an engine costs more
 * than the layers do, so a network here is many layers side by side. */
#ifndef FN_TESTS_LAYER_CASES_H
#define FN_TESTS_LAYER_CASES_H

#include "tests/unit/support/check_network.h"

static inline void convolutions_of_any_width_agree(void **state) {
    (void)state;
    static const int widths[][2] = {{1, 1},   {3, 5},   {4, 16},  {5, 17},
                                    {17, 33}, {31, 15}, {64, 48}, {130, 1}};
    struct small_network *net = small_new(100);
    int picture = small_tensor(net, 5, 7, 3, false, 0);
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        int in = add_conv(
            net, (struct small_conv){
                     .input = picture, .out_channels = widths[i][0], .relu = true, .shift = 7});
        for (int relu = 0; relu < 2; relu++)
            add_conv(net, (struct small_conv){.input = in,
                                              .out_channels = widths[i][1],
                                              .relu = relu,
                                              .shift = 9,
                                              .spread = 3});
    }
    check_network(net);
}

static const struct small_conv shapes[] = {
    {.kernel_h = 3, .kernel_w = 3},
    {.kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1},
    {.kernel_h = 3, .kernel_w = 3, .stride = 2},
    {.kernel_h = 3, .kernel_w = 3, .stride = 2, .pad_h = 1, .pad_w = 1},
    {.kernel_h = 1, .kernel_w = 7, .pad_w = 3},
    {.kernel_h = 7, .kernel_w = 1, .pad_h = 3},
    {.kernel_h = 1, .kernel_w = 3, .pad_w = 1},
    {.kernel_h = 3, .kernel_w = 1, .pad_h = 1},
    {.kernel_h = 5, .kernel_w = 2, .stride = 3, .pad_h = 4, .pad_w = 1},
    {.kernel_h = 2, .kernel_w = 4, .pad_h = 2},
    {.kernel_h = 1, .kernel_w = 1, .stride = 2},
    {.kernel_h = 4, .kernel_w = 3, .pad_h = 3, .pad_w = 5},
};
#define N_SHAPES (sizeof shapes / sizeof shapes[0])

/* Shapes `first` to `last` side by side on tensor `in`. */
static inline void add_shapes(struct small_network *net, int in, size_t first, size_t last,
                              int channels) {
    for (size_t i = first; i < last; i++) {
        struct small_conv conv = shapes[i];
        conv.input = in;
        conv.out_channels = channels;
        conv.relu = true;
        conv.shift = 10;
        conv.spread = 2;
        add_conv(net, conv);
    }
}

static inline void kernels_of_any_shape_stride_and_padding_agree(void **state) {
    (void)state;
    static const int sizes[][3] = {{7, 7, 19}, {8, 9, 40}, {13, 8, 16}};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        struct small_network *net = small_new(200 + k);
        int picture = small_tensor(net, sizes[k][0], sizes[k][1], 6, false, 0);
        add_shapes(net, picture, 0, N_SHAPES, sizes[k][2]);
        check_network(net);
    }
}

/* Padded readers of what a convolution, a pool, two branches and a residual sum have written, in
 * memory that other tensors have used before. */
static inline void padding_is_zero_whoever_wrote_the_tensor(void **state) {
    (void)state;
    struct small_network *net = small_new(250);
    int picture = small_tensor(net, 11, 9, 5, false, 0);
    int plain = add_conv(
        net, (struct small_conv){.out_channels = 18, .relu = true, .shift = 7, .input = picture});
    int pooled = small_tensor(net, 5, 4, 18, false, 0);
    small_add_pool(net, plain, pooled, 0);
    int concat = small_tensor(net, 11, 9, 37, false, 0);
    for (int i = 0; i < 2; i++)
        small_add_conv(net, &(struct small_conv){.input = plain,
                                                 .output = concat,
                                                 .offset = i ? 20 : 0,
                                                 .out_channels = i ? 17 : 20,
                                                 .relu = true,
                                                 .shift = 8});
    int sum = small_tensor(net, 11, 9, 18, false, 0);
    small_add_conv(net, &(struct small_conv){.input = concat,
                                             .output = sum,
                                             .out_channels = 18,
                                             .residual = plain,
                                             .relu = true,
                                             .shift = 9});
    const int read[] = {plain, pooled, concat, sum};
    for (size_t i = 0; i < sizeof read / sizeof read[0]; i++) add_shapes(net, read[i], 3, 5, 9);
    check_network(net);
}

static inline void a_kernel_as_large_as_the_picture_agrees(void **state) {
    (void)state;
    struct small_network *net = small_new(300);
    int picture = small_tensor(net, 3, 3, 9, false, 0);
    int point = add_conv(net, (struct small_conv){.input = picture,
                                                  .out_channels = 7,
                                                  .kernel_h = 3,
                                                  .kernel_w = 3,
                                                  .relu = true,
                                                  .shift = 8});
    add_conv(net, (struct small_conv){.input = point,
                                      .out_channels = 2,
                                      .kernel_h = 3,
                                      .kernel_w = 3,
                                      .pad_h = 1,
                                      .pad_w = 1});
    check_network(net);
}

static inline void signed_inputs_agree(void **state) {
    (void)state;
    struct small_network *net = small_new(400);
    int picture = small_tensor(net, 9, 6, 3, true, 0);
    for (enum small_weights weights = WEIGHTS_RANDOM; weights <= WEIGHTS_ALTERNATING; weights++)
        for (int pad = 0; pad < 2; pad++)
            add_conv(net, (struct small_conv){.input = picture,
                                              .out_channels = 21,
                                              .kernel_h = 3,
                                              .kernel_w = 3,
                                              .stride = 2,
                                              .pad_h = pad,
                                              .pad_w = pad,
                                              .relu = pad,
                                              .shift = 9,
                                              .weights = weights});
    int below = add_conv(net, (struct small_conv){.input = picture, .out_channels = 6, .shift = 7});
    add_conv(net, (struct small_conv){.input = below, .out_channels = 4, .shift = 7});
    check_network(net);
}

/* Among them are runs of weights whose pairs and quads reach the ends of 16 bits. */
static inline void accumulators_at_both_ends_of_int32_agree(void **state) {
    (void)state;
    static const int shifts[] = {0, 1, 15, 29, 30};
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        struct small_network *net = small_new(500);
        int picture = small_tensor(net, 4, 4, 40, is_signed, 0);
        for (size_t i = 0; i < sizeof shifts / sizeof shifts[0]; i++)
            for (enum small_weights w = WEIGHTS_127; w <= WEIGHTS_ALTERNATING; w++)
                for (enum small_bias bias = BIAS_HIGHEST; bias <= BIAS_LOWEST; bias++)
                    add_conv(net, (struct small_conv){.input = picture,
                                                      .out_channels = 18,
                                                      .kernel_h = 3,
                                                      .kernel_w = 3,
                                                      .pad_h = 1,
                                                      .pad_w = 1,
                                                      .shift = shifts[i],
                                                      .weights = w,
                                                      .bias = bias});
        check_network(net);
    }
}

/* A picture, a tensor made from it, and a convolution that adds it with r = s - f_x. */
static inline void residuals_of_any_shift_agree(void **state) {
    (void)state;
    static const int cases[][2] = {{0, 0}, {8, 0}, {8, 8}, {23, 23}, {30, 23}, {12, 3}};
    struct small_network *net = small_new(600);
    int picture = small_tensor(net, 6, 5, 21, false, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (enum small_bias bias = BIAS_RANDOM; bias <= BIAS_LOWEST; bias++) {
            int s = cases[i][0], r = cases[i][1];
            int added = small_tensor(net, 6, 5, 35, false, s - r);
            int sum = small_tensor(net, 6, 5, 35, true, 0);
            small_add_conv(net, &(struct small_conv){.input = picture,
                                                     .output = added,
                                                     .out_channels = 35,
                                                     .relu = true,
                                                     .shift = 6});
            small_add_conv(net, &(struct small_conv){.input = picture,
                                                     .output = sum,
                                                     .out_channels = 35,
                                                     .residual = added,
                                                     .relu = i & 1,
                                                     .shift = s,
                                                     .bias = bias});
        }
    check_network(net);
}

static inline void branches_land_side_by_side_in_a_concat(void **state) {
    (void)state;
    static const int split[] = {7, 16, 1, 20};
    struct small_network *net = small_new(700);
    int picture = small_tensor(net, 5, 5, 10, false, 0);
    int concat = small_tensor(net, 5, 5, 44, false, 0),
        after = small_tensor(net, 5, 5, 13, false, 0);
    for (int i = 0, offset = 0; i < 4; offset += split[i++])
        small_add_conv(net, &(struct small_conv){.input = picture,
                                                 .output = concat,
                                                 .offset = offset,
                                                 .out_channels = split[i],
                                                 .relu = true,
                                                 .shift = 8});
    small_add_conv(net, &(struct small_conv){
                            .input = concat, .output = after, .out_channels = 13, .shift = 9});
    check_network(net);
}

static inline void pools_of_any_shift_agree(void **state) {
    (void)state;
    static const int shifts[] = {0, 1, 3, 7, 8, 30, -1, -4, -8, -9, -30};
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        struct small_network *net = small_new(800);
        int picture = small_tensor(net, 9, 12, 21, is_signed, 0);
        for (size_t i = 0; i < sizeof shifts / sizeof shifts[0]; i++)
            small_add_pool(net, picture, small_tensor(net, 4, 5, 30, is_signed, -shifts[i]), 5);
        check_network(net);
    }
}

static inline void heads_of_any_size_agree(void **state) {
    (void)state;
    static const int sizes[][4] = {{3, 3, 48, 32}, {1, 1, 1, 1}, {2, 5, 37, 19}, {4, 4, 18, 130}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (enum small_bias bias = BIAS_RANDOM; bias <= BIAS_LOWEST; bias++) {
            struct small_network *net = small_new(900 + i);
            int picture =
                small_tensor(net, sizes[i][0], sizes[i][1], sizes[i][2], (i + bias) & 1, 0);
            small_add_head(net, picture, sizes[i][3],
                           bias == BIAS_LOWEST ? WEIGHTS_MINUS_127 : (enum small_weights)bias,
                           bias);
            check_network(net);
        }
}

/* clang-format off */
#define LAYER_CASES \
    cmocka_unit_test(convolutions_of_any_width_agree), \
    cmocka_unit_test(kernels_of_any_shape_stride_and_padding_agree), \
    cmocka_unit_test(padding_is_zero_whoever_wrote_the_tensor), \
    cmocka_unit_test(a_kernel_as_large_as_the_picture_agrees), \
    cmocka_unit_test(signed_inputs_agree), \
    cmocka_unit_test(accumulators_at_both_ends_of_int32_agree), \
    cmocka_unit_test(residuals_of_any_shift_agree), \
    cmocka_unit_test(branches_land_side_by_side_in_a_concat), \
    cmocka_unit_test(pools_of_any_shift_agree), \
    cmocka_unit_test(heads_of_any_size_agree)
/* clang-format on */

#endif
