/* SPDX-License-Identifier: Apache-2.0
 *
 * check_network.h -- a small network on the reference and on every kernel family under test. */
#ifndef FN_TESTS_CHECK_NETWORK_H
#define FN_TESTS_CHECK_NETWORK_H

#include <stdlib.h>
#include <string.h>

#include "tests/unit/support/opencl_engines.h"
#include "tests/unit/support/small_network.h"

#define BATCH 3

/* How a picture is filled. */
enum fill { FILL_RANDOM, FILL_HIGHEST, FILL_LOWEST, N_FILLS };

static inline void fill_input(struct small_network *net, enum fill fill, int8_t *input,
                              size_t size) {
    bool is_signed = net->model.network.tensors[0].is_signed;
    fn_prng_fill(&net->prng, input, size);
    for (size_t i = 0; i < size; i++) {
        if (!is_signed) input[i] &= 127;
        if (fill == FILL_HIGHEST) input[i] = 127;
        if (fill == FILL_LOWEST) input[i] = is_signed ? -128 : 0;
    }
}

static inline void check_family(struct small_network *net, struct fn_engine *reference,
                                const char *family) {
    const struct fn_model *model = &net->model;
    struct fn_engine *opencl = open_engine(model, family, BATCH, true);
    size_t size = BATCH * tensor_size(model, 0);
    size_t n = BATCH * (size_t)model->network.embedding_size;
    int8_t *input = malloc(size);
    int32_t *expected = calloc(n + 1, sizeof *expected), *found = calloc(n + 1, sizeof *found);
    assert_true(input && expected && found);
    for (enum fill fill = FILL_RANDOM; fill < N_FILLS; fill++) {
        struct fn_error err = {0};
        fill_input(net, fill, input, size);
        assert_ok(fn_engine_run_tensors(reference, input, BATCH, n ? expected : NULL, &err), err);
        assert_ok(fn_engine_run_tensors(opencl, input, BATCH, n ? found : NULL, &err), err);
        compare_tensors(model, reference, opencl, BATCH);
        assert_memory_equal(expected, found, n * sizeof *expected);
    }
    free(input);
    free(expected);
    free(found);
    fn_engine_close(opencl);
}

/* Run the network on the reference and on every family with every fill; all tensors and
 * accumulators must agree. */
static inline void check_network(struct small_network *net) {
    need_device();
    struct fn_engine *reference = open_engine(&net->model, NULL, BATCH, true);
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (has_family[i]) check_family(net, reference, family_names[i]);
    fn_engine_close(reference);
    small_free(net);
}

/* Append a convolution of tensor conv.input; returns its output. */
static inline int add_conv(struct small_network *net, struct small_conv conv) {
    const struct fn_tensor in = net->model.network.tensors[conv.input];
    int stride = conv.stride ? conv.stride : 1;
    int kernel_h = conv.kernel_h ? conv.kernel_h : 1, kernel_w = conv.kernel_w ? conv.kernel_w : 1;
    conv.output = small_tensor(net, (in.height + 2 * conv.pad_h - kernel_h) / stride + 1,
                               (in.width + 2 * conv.pad_w - kernel_w) / stride + 1,
                               conv.out_channels, !conv.relu, 0);
    small_add_conv(net, &conv);
    return conv.output;
}

#endif
