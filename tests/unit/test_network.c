/* SPDX-License-Identifier: Apache-2.0
 *
 * test_network.c -- the topology against the published figures of the network. */
#include "engine/network.h"

#include <stdlib.h>
#include <string.h>

#include "engine/model_writer.h"
#include "tests/unit/support/cmocka_all.h"

/* The full network, by way of its untrained draft. */
static struct fn_network *full_network(void) {
    struct fn_error err;
    struct fn_model_draft *draft;
    struct fn_network *network = malloc(sizeof *network);
    assert_ok(fn_untrained_draft(1, 1, 8, &draft, &err), err);
    *network = draft->network;
    fn_model_draft_free(draft);
    return network;
}

static const struct fn_tensor *tensor(const struct fn_network *network, const char *name) {
    int i = fn_network_find_tensor(network, name);
    if (i < 0) fail_msg("no tensor %s", name);
    return &network->tensors[i];
}

static void assert_size(const struct fn_network *network, const char *name, int height, int width) {
    assert_int_equal(tensor(network, name)->height, height);
    assert_int_equal(tensor(network, name)->width, width);
}

static void sizes_follow_the_published_table(void **state) {
    (void)state;
    struct fn_network *network = full_network();
    assert_size(network, "image", 160, 160);
    assert_size(network, FN_ROOT "/Conv2d_1a_3x3", 79, 79);
    assert_size(network, FN_ROOT "/Conv2d_2a_3x3", 77, 77);
    assert_size(network, FN_ROOT "/Conv2d_2b_3x3", 77, 77);
    assert_size(network, FN_ROOT "/MaxPool_3a_3x3", 38, 38);
    assert_size(network, FN_ROOT "/Conv2d_4a_3x3", 36, 36);
    assert_size(network, FN_ROOT "/Conv2d_4b_3x3", 17, 17);
    assert_size(network, FN_ROOT "/Repeat/block35_5", 17, 17);
    assert_size(network, FN_ROOT "/Mixed_6a/concat", 8, 8);
    assert_size(network, FN_ROOT "/Repeat_1/block17_10", 8, 8);
    assert_size(network, FN_ROOT "/Mixed_7a/concat", 3, 3);
    assert_size(network, FN_ROOT "/Block8", 3, 3);
    free(network);
}

static void there_are_132_convolutions_three_pools_and_a_head(void **state) {
    (void)state;
    struct fn_network *network = full_network();
    int count[3] = {0};
    for (int i = 0; i < network->n_layers; i++) count[network->layers[i].op]++;
    assert_int_equal(count[FN_OP_CONV], 132);
    assert_int_equal(count[FN_OP_POOL], 3);
    assert_int_equal(count[FN_OP_HEAD], 1);
    free(network);
}

static void only_the_picture_and_the_last_block_are_signed(void **state) {
    (void)state;
    struct fn_network *network = full_network();
    for (int i = 0; i < network->n_tensors; i++) {
        const char *name = network->tensors[i].name;
        bool expected = strcmp(name, "image") == 0 || strcmp(name, FN_ROOT "/Block8") == 0;
        assert_int_equal(network->tensors[i].is_signed, expected);
    }
    free(network);
}

/* Invariants of network.h that engines rely on. */
static void every_channel_is_written_once_before_it_is_read(void **state) {
    (void)state;
    struct fn_network *network = full_network();
    int written[FN_MAX_TENSORS] = {0};
    written[0] = network->tensors[0].channels;
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *l = &network->layers[i];
        assert_int_equal(written[l->input], network->tensors[l->input].channels);
        assert_int_equal(l->in_channels, network->tensors[l->input].channels);
        if (l->residual >= 0)
            assert_int_equal(written[l->residual], network->tensors[l->residual].channels);
        if (l->op == FN_OP_HEAD) continue;
        assert_int_equal(written[l->output], l->output_offset);
        written[l->output] += l->out_channels;
    }
    for (int i = 0; i < network->n_tensors; i++)
        assert_int_equal(written[i], network->tensors[i].channels);
    free(network);
}

static void blocks_carry_their_residual_scales(void **state) {
    (void)state;
    struct fn_network *network = full_network();
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *l = &network->layers[i];
        double expected = l->residual < 0                ? 0
                          : strstr(l->name, "/block35_") ? 0.17
                          : strstr(l->name, "/block17_") ? 0.10
                          : strstr(l->name, "/block8_")  ? 0.20
                                                         : 1.0;
        assert_true(l->residual_scale == expected);
        assert_int_equal(l->relu, l->op == FN_OP_CONV && expected != 1.0);
    }
    free(network);
}

/* ---- shapes that do not fit ---- */

struct lie {
    const char *scope;
    int64_t shape[4]; /* all zero: missing */
};

static bool find_with_lie(const void *context, const char *scope, int64_t ret_shape[4]) {
    const struct lie *lie = context;
    static const int64_t truth[2][4] = {{32, 3, 3, 3}, {32, 3, 3, 32}};
    const int64_t *shape = strcmp(scope, FN_ROOT "/Conv2d_1a_3x3") == 0   ? truth[0]
                           : strcmp(scope, FN_ROOT "/Conv2d_2a_3x3") == 0 ? truth[1]
                                                                          : NULL;
    if (strcmp(scope, lie->scope) == 0) shape = lie->shape[0] ? lie->shape : NULL;
    if (shape) memcpy(ret_shape, shape, 4 * sizeof *shape);
    return shape != NULL;
}

static void assert_refused(const struct lie *lie, const char *words) {
    struct fn_error err;
    struct fn_network *network = malloc(sizeof *network);
    const struct fn_shapes shapes = {.find = find_with_lie, .context = lie};
    assert_int_equal(fn_network_build(&shapes, network, &err), FN_BAD_SOURCE);
    if (!strstr(err.text, words)) fail_msg("\"%s\" does not say \"%s\"", err.text, words);
    free(network);
}

static void a_missing_or_misshapen_tensor_is_named(void **state) {
    (void)state;
    assert_refused(&(struct lie){FN_ROOT "/Conv2d_1a_3x3", {0}},
                   "Conv2d_1a_3x3/weights is missing, expected [*][3][3][3]");
    assert_refused(&(struct lie){FN_ROOT "/Conv2d_2a_3x3", {32, 3, 3, 31}},
                   "Conv2d_2a_3x3/weights has shape [32][3][3][31]");
    assert_refused(&(struct lie){FN_ROOT "/Conv2d_1a_3x3", {32, 5, 3, 3}}, "[32][5][3][3]");
    assert_refused(&(struct lie){FN_ROOT "/Conv2d_1a_3x3", {99999, 3, 3, 3}}, "[99999]");
    assert_refused(&(struct lie){"", {0}}, "Conv2d_2b_3x3/weights is missing");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_follow_the_published_table),
        cmocka_unit_test(there_are_132_convolutions_three_pools_and_a_head),
        cmocka_unit_test(only_the_picture_and_the_last_block_are_signed),
        cmocka_unit_test(every_channel_is_written_once_before_it_is_read),
        cmocka_unit_test(blocks_carry_their_residual_scales),
        cmocka_unit_test(a_missing_or_misshapen_tensor_is_named),
    };
    return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
