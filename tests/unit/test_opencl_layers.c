/* SPDX-License-Identifier: Apache-2.0
 *
 * test_opencl_layers.c -- single layers on the kernel families of this machine's default device. */
#include "engine/opencl/winograd.h"
#include "kernels/params.h"
#include "tests/unit/support/layer_cases.h"

/* Height, width, channels in and out, padding: what kernels/winograd.cl.h takes, and (at the end)
 * what is just beyond it. */
static const int tiled[][5] = {
    {4, 4, 16, 16, 0}, {2, 2, 16, 18, 1}, {5, 7, 32, 40, 1},  {6, 3, 48, 5, 1},
    {3, 3, 16, 16, 2}, {9, 8, 80, 33, 0}, {17, 18, 32, 3, 1}, {8, 9, 256, 48, 1},
    {2, 9, 64, 17, 1}, {3, 5, 16, 16, 0}, {5, 5, 18, 16, 1},  {4, 4, 272, 16, 1},
};
#define N_TILED ((int)(sizeof tiled / sizeof tiled[0]))
#define BEYOND  3

static void tiles_of_any_number_and_place_agree(void **state) {
    (void)state;
    for (int i = 0; i < N_TILED; i++) {
        struct small_network *net = small_new(700 + (uint64_t)i);
        int picture = small_tensor(net, tiled[i][0], tiled[i][1], tiled[i][2], false, 0);
        struct small_conv conv = {.input = picture,
                                  .out_channels = tiled[i][3],
                                  .kernel_h = 3,
                                  .kernel_w = 3,
                                  .pad_h = tiled[i][4],
                                  .pad_w = tiled[i][4],
                                  .relu = true,
                                  .shift = 10,
                                  .spread = 3};
        int first = add_conv(net, conv);
        /* A padded reader of what tiles have written, added to it where that has as many channels.
         */
        conv.input = first;
        conv.pad_h = conv.pad_w = 1;
        if (tiled[i][3] == 16) conv.residual = first;
        if (tiled[i][0] + 2 * tiled[i][4] > 3) add_conv(net, conv);
        check_network(net);
    }
}

static void sums_in_tiles_reach_their_extremes(void **state) {
    (void)state;
    struct small_network *net = small_new(750);
    int picture = small_tensor(net, 5, 6, FN_WINOGRAD_CHANNELS, false, 0);
    for (enum small_weights w = WEIGHTS_127; w <= WEIGHTS_ALTERNATING; w++)
        for (enum small_bias bias = BIAS_HIGHEST; bias <= BIAS_LOWEST; bias++)
            add_conv(net, (struct small_conv){.input = picture,
                                              .out_channels = 16,
                                              .kernel_h = 3,
                                              .kernel_w = 3,
                                              .pad_h = 1,
                                              .pad_w = 1,
                                              .shift = 20,
                                              .weights = w,
                                              .bias = bias});
    check_network(net);
}

static void tiles_are_for_some_kernels_only(void **state) {
    (void)state;
    struct fn_network network = {.n_tensors = 2};
    struct fn_layer layer = {.op = FN_OP_CONV,
                             .input = 0,
                             .output = 1,
                             .residual = -1,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride = 1};
    for (int i = 0; i < N_TILED; i++) {
        int more = 2 * tiled[i][4] - 2;
        network.tensors[1].height = tiled[i][0] + more;
        network.tensors[1].width = tiled[i][1] + more;
        layer.in_channels = tiled[i][2];
        assert_int_equal(fn_winograd_suits(&network, &layer), i < N_TILED - BEYOND);
    }
    layer.in_channels = 32;
    network.tensors[1].height = network.tensors[1].width = 8;
    assert_true(fn_winograd_suits(&network, &layer));
    network.tensors[0].is_signed = true;
    assert_false(fn_winograd_suits(&network, &layer));
    network.tensors[0].is_signed = false;
    layer.stride = 2;
    assert_false(fn_winograd_suits(&network, &layer));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_of_this_machine_open_or_the_rest_is_skipped),
        LAYER_CASES,
        cmocka_unit_test(tiles_of_any_number_and_place_agree),
        cmocka_unit_test(sums_in_tiles_reach_their_extremes),
        cmocka_unit_test(tiles_are_for_some_kernels_only),
    };
    return cmocka_run_group_tests_name("opencl layers", tests, make_cache, temporary_remove);
}
