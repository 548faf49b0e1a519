/* SPDX-License-Identifier: Apache-2.0
 *
 * test_oclgrind.c -- small layers of every kind, and the face detector's, for oclgrind, which looks
 * at each access to memory: tests/kernels/test_oclgrind.py runs this under it. By itself it finds
 * no such device and skips.
 */
#define TEST_DEVICE   "Oclgrind"
#define TEST_FAMILIES "fused-fpga", "generic"
#include "tests/unit/support/check_network.h"
#include "tests/unit/support/detect_device_cases.h"

/* Odd sizes, padding, a concat with gaps, a residual, a pool, a head: every path of every kernel.
 */
static struct small_network *make_network(void) {
    struct small_network *net = small_new(1);
    int picture = small_tensor(net, 5, 6, 3, true, 0);
    int first = small_tensor(net, 5, 6, 18, false, 0);
    int concat = small_tensor(net, 2, 2, 39, false, 0);
    int added = small_tensor(net, 2, 2, 39, true, 0);
    small_add_conv(net, &(struct small_conv){.input = picture,
                                             .output = first,
                                             .out_channels = 18,
                                             .kernel_h = 3,
                                             .kernel_w = 3,
                                             .pad_h = 1,
                                             .pad_w = 1,
                                             .relu = true,
                                             .shift = 8});
    small_add_conv(net, &(struct small_conv){.input = first,
                                             .output = concat,
                                             .out_channels = 21,
                                             .kernel_h = 3,
                                             .kernel_w = 3,
                                             .stride = 2,
                                             .relu = true,
                                             .shift = 10,
                                             .spread = 2});
    small_add_pool(net, first, concat, 21);
    small_add_conv(
        net,
        &(struct small_conv){
            .input = concat, .output = added, .out_channels = 39, .residual = concat, .shift = 9});
    small_add_head(net, added, 19, WEIGHTS_RANDOM, BIAS_RANDOM);
    return net;
}

static void small_layers_of_every_kind_agree(void **state) {
    (void)state;
    struct small_network *net = make_network();
    struct fn_error err = {0};
    for (size_t i = 0; i < N_FAMILIES; i++) {
        const struct fn_engine_options options = {.device = TEST_DEVICE,
                                                  .kernel_family = family_names[i]};
        struct fn_engine *engine = NULL;
        fn_status status = fn_engine_open(&net->model, &options, &engine, &err);
        fn_engine_close(engine);
        if (status == FN_NO_DEVICE) {
            small_free(net);
            skip();
        }
        assert_ok(status, err);
        has_family[i] = true;
    }
    check_network(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_layers_of_every_kind_agree),
        cmocka_unit_test(every_network_computes_the_cpus_bits),
    };
    return cmocka_run_group_tests_name("oclgrind", tests, make_cache, temporary_remove);
}
