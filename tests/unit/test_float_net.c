/* SPDX-License-Identifier: Apache-2.0
 *
 * test_float_net.c -- the float network against plain loops in double, layer by layer and whole. */
#include <string.h>
#include <unistd.h>

#include "engine/golden.h"
#include "engine/model_writer.h"
#include "model/evaluate/embedder.h"
#include "model/quantize/float_net.h"
#include "tests/unit/support/random_source.h"

/* Sums of a few hundred products of about 1 in float32 differ from double by some 1e-6. */
#define LAYER_TOLERANCE 2e-5
/* 132 layers, unit-length output. */
#define EMBEDDING_TOLERANCE 1e-4

/* Two tensors and one convolution; `extra` channels of the output belong to nobody. */
static void make_single(struct fn_network *network, struct fn_layer layer, int height, int width,
                        int extra) {
    memset(network, 0, sizeof *network);
    network->n_tensors = layer.residual >= 0 ? 3 : 2;
    network->n_layers = 1;
    layer.op = FN_OP_CONV;
    (void)snprintf(layer.name, sizeof layer.name, "t/conv");
    layer.output = 1;
    network->layers[0] = layer;
    network->tensors[0] = (struct fn_tensor){"in", height, width, layer.in_channels, true, false};
    network->tensors[1] =
        (struct fn_tensor){"out",
                           (height + 2 * layer.pad_h - layer.kernel_h) / layer.stride + 1,
                           (width + 2 * layer.pad_w - layer.kernel_w) / layer.stride + 1,
                           layer.output_offset + layer.out_channels + extra,
                           !layer.relu,
                           false};
    if (layer.residual >= 0) network->tensors[2] = network->tensors[1];
}

static void check_single(const struct fn_network *network, uint64_t seed) {
    struct fn_error err = {0};
    struct fn_source *source = random_source(network, seed, false);
    struct fn_float_net *net = NULL;
    struct fn_float_run *run = NULL;
    assert_ok(fn_float_net_new(network, source, &net, &err), err);
    assert_ok(fn_float_run_new(net, &run, &err), err);
    size_t n_in = fn_tensor_size(&network->tensors[0]),
           n_out = fn_tensor_size(&network->tensors[1]);
    struct fn_prng prng = {seed + 1};
    double *tensors[FN_MAX_TENSORS] = {calloc(n_in, sizeof(double))};
    float *image = calloc(n_in, sizeof *image);
    for (size_t i = 0; i < n_in; i++)
        tensors[0][i] = image[i] = (float)random_between(&prng, -1, 1);
    naive_run(network, source, tensors, NULL);
    assert_ok(fn_float_net_run(run, image, NULL, &err), err);
    const float *found = fn_float_run_tensor(run, 1);
    double most = 0;
    for (size_t i = 0; i < n_out; i++) most = fmax(most, fabs(found[i] - tensors[1][i]));
    if (most > LAYER_TOLERANCE) fail_msg("off by %g", most);
    naive_free(network, tensors);
    free(tensors[0]);
    free(image);
    fn_float_run_free(run);
    fn_float_net_free(net);
    fn_source_free(source);
}

static void convolutions_of_every_form_match_plain_loops(void **state) {
    (void)state;
    static const struct fn_layer forms[] = {
        {.kernel_h = 1, .kernel_w = 1, .stride = 1, .in_channels = 5, .out_channels = 7},
        {.kernel_h = 3,
         .kernel_w = 3,
         .stride = 1,
         .in_channels = 3,
         .out_channels = 4,
         .pad_h = 1,
         .pad_w = 1,
         .relu = true},
        {.kernel_h = 3,
         .kernel_w = 3,
         .stride = 2,
         .in_channels = 6,
         .out_channels = 9,
         .relu = true},
        {.kernel_h = 1,
         .kernel_w = 7,
         .stride = 1,
         .in_channels = 4,
         .out_channels = 3,
         .pad_w = 3},
        {.kernel_h = 7,
         .kernel_w = 1,
         .stride = 1,
         .in_channels = 4,
         .out_channels = 3,
         .pad_h = 3},
        {.kernel_h = 1, .kernel_w = 1, .stride = 2, .in_channels = 4, .out_channels = 1},
    };
    static struct fn_network network;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        for (int size = 7; size < 10; size++) {
            struct fn_layer layer = forms[i];
            layer.residual = -1;
            layer.output_offset = (int)i % 3;
            make_single(&network, layer, size, size + 2, (int)i % 2);
            check_single(&network, 10 * i + (uint64_t)size);
        }
}

static void a_residual_is_added_before_relu(void **state) {
    (void)state;
    /* in the whole topology, on whose up-projections this rests; here alone with known numbers */
    static struct fn_network network;
    struct fn_layer layer = {.kernel_h = 1,
                             .kernel_w = 1,
                             .stride = 1,
                             .in_channels = 1,
                             .out_channels = 1,
                             .relu = true,
                             .residual = 0,
                             .residual_scale = 0.5};
    make_single(&network, layer, 1, 2, 0);
    network.n_tensors = 2;
    static const double kernel = -4, bias = 1;
    struct fn_error err = {0};
    struct fn_source *source = NULL;
    assert_ok(fn_source_new("memory", &source, &err), err);
    struct fn_source_array array = {.data = &kernel, .dtype = FN_DTYPE_F64, .shape = {1, 1, 1, 1}};
    assert_ok(fn_source_add(source, "t/conv", FN_PART_KERNEL, &array, &err), err);
    array.data = &bias;
    assert_ok(fn_source_add(source, "t/conv", FN_PART_BIAS, &array, &err), err);
    struct fn_float_net *net = NULL;
    struct fn_float_run *run = NULL;
    assert_ok(fn_float_net_new(&network, source, &net, &err), err);
    assert_ok(fn_float_run_new(net, &run, &err), err);
    static const float image[] = {0.25F, 3};
    assert_ok(fn_float_net_run(run, image, NULL, &err), err);
    /* 0.5 * (-4 x + 1) + x: 0.25 gives 0.25; 3 gives -2.5, cut to 0 */
    assert_true(fn_float_run_tensor(run, 1)[0] == 0.25F);
    assert_true(fn_float_run_tensor(run, 1)[1] == 0);
    fn_float_run_free(run);
    fn_float_net_free(net);
    fn_source_free(source);
}

/* Compare embeddings of the golden picture by the float network and by plain loops. */
static void check_whole(const struct fn_network *network, const struct fn_source *source) {
    struct fn_error err = {0};
    struct fn_float_net *net = NULL;
    struct fn_embedder *embedder = NULL;
    size_t n = (size_t)network->embedding_size;
    uint8_t *crop = malloc(FN_CROP_SIZE);
    float *found = calloc(n, sizeof *found);
    double *tensors[FN_MAX_TENSORS] = {calloc(FN_CROP_SIZE, sizeof(double))};
    double *head = calloc(n, sizeof *head), length = 0, most = 0;
    fn_golden_picture(FN_GOLDEN_SEED, crop);
    for (int i = 0; i < FN_CROP_SIZE; i++) tensors[0][i] = (crop[i] - 127.5) / 128;
    naive_run(network, source, tensors, head);
    for (size_t i = 0; i < n; i++) length += head[i] * head[i];
    assert_ok(fn_float_net_new(network, source, &net, &err), err);
    assert_ok(fn_embedder_in_float(net, (int)n, FN_PREPROCESSING_FIXED, 1, &embedder, &err), err);
    assert_ok(fn_embedder_run(embedder, crop, 1, NULL, found, &err), err);
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(found[i] - head[i] / sqrt(length)));
    if (most > EMBEDDING_TOLERANCE) fail_msg("off by %g", most);
    naive_free(network, tensors);
    free(tensors[0]);
    free(head);
    free(found);
    free(crop);
    fn_embedder_free(embedder);
    fn_float_net_free(net);
}

static void the_whole_topology_matches_plain_loops(void **state) {
    (void)state;
    struct fn_error err = {0};
    struct fn_model_draft *draft = NULL;
    assert_ok(fn_untrained_draft(1, 2, 24, &draft, &err), err);
    for (int norm = 0; norm < 2; norm++) {
        struct fn_source *source = random_source(&draft->network, 5, norm);
        check_whole(&draft->network, source);
        fn_source_free(source);
    }
    fn_model_draft_free(draft);
}

static void the_thin_network_matches_plain_loops(void **state) {
    (void)state;
    static const char path[] = "../shared/data/thin/thin-512.safetensors";
    if (access(path, R_OK) != 0) skip();
    struct fn_error err = {0};
    struct fn_source *source = NULL;
    static struct fn_network network;
    assert_ok(fn_source_open(path, &source, &err), err);
    assert_ok(fn_source_network(source, &network, &err), err);
    assert_int_equal(network.embedding_size, 512);
    assert_int_equal(source->n_unused, 0);
    check_whole(&network, source);
    fn_source_free(source);
}

static void threads_change_no_bit(void **state) {
    (void)state;
    enum { N = 5 };
    struct fn_error err = {0};
    struct fn_model_draft *draft = NULL;
    struct fn_float_net *net = NULL;
    assert_ok(fn_untrained_draft(1, 2, 24, &draft, &err), err);
    struct fn_source *source = random_source(&draft->network, 6, true);
    assert_ok(fn_float_net_new(&draft->network, source, &net, &err), err);
    uint8_t *crops = malloc((size_t)N * FN_CROP_SIZE);
    assert_non_null(crops);
    for (size_t i = 0; i < N; i++) fn_golden_picture(i, crops + i * FN_CROP_SIZE);
    float found[2][N * 24];
    for (int k = 0; k < 2; k++) {
        struct fn_embedder *embedder = NULL;
        assert_ok(fn_embedder_in_float(net, 24, FN_PREPROCESSING_FIXED, k ? 3 : 1, &embedder, &err),
                  err);
        assert_ok(fn_embedder_run(embedder, crops, N, NULL, found[k], &err), err);
        fn_embedder_free(embedder);
    }
    assert_memory_equal(found[0], found[1], sizeof found[0]);
    free(crops);
    fn_float_net_free(net);
    fn_source_free(source);
    fn_model_draft_free(draft);
}

static void an_output_of_zero_is_an_error(void **state) {
    (void)state;
    struct fn_error err = {0};
    struct fn_model_draft *draft = NULL;
    struct fn_float_net *net = NULL;
    struct fn_float_run *run = NULL;
    assert_ok(fn_untrained_draft(1, 1, 8, &draft, &err), err);
    struct fn_source *source = random_source(&draft->network, 6, false);
    /* views that read one zero over and over */
    static const double zero = 0;
    for (size_t i = 0; i < source->n_scopes; i++)
        for (int part = 0; part < FN_PARTS; part++) {
            struct fn_source_array *array = &source->scopes[i].part[part];
            if (!array->data) continue;
            array->data = &zero;
            array->dtype = FN_DTYPE_F64;
            memset(array->stride, 0, sizeof array->stride);
        }
    assert_ok(fn_float_net_new(&draft->network, source, &net, &err), err);
    assert_ok(fn_float_run_new(net, &run, &err), err);
    float *image = calloc(FN_CROP_SIZE, sizeof *image), embedding[8];
    assert_non_null(image);
    assert_int_equal(fn_float_net_run(run, image, embedding, &err), FN_NOT_UNIT);
    free(image);
    fn_float_run_free(run);
    fn_float_net_free(net);
    fn_source_free(source);
    fn_model_draft_free(draft);
}

static void preprocessing_follows_the_formulas(void **state) {
    (void)state;
    uint8_t *crop = malloc(FN_CROP_SIZE);
    float *image = malloc(FN_CROP_SIZE * sizeof *image);
    assert_true(crop && image);
    fn_golden_picture(7, crop);
    crop[0] = 0;
    crop[1] = 255;
    fn_float_preprocess(FN_PREPROCESSING_FIXED, crop, image);
    assert_true(image[0] == -127.5F / 128 && image[1] == 127.5F / 128);
    double mean = 0, square = 0;
    for (int i = 0; i < FN_CROP_SIZE; i++) mean += crop[i] / (double)FN_CROP_SIZE;
    for (int i = 0; i < FN_CROP_SIZE; i++) square += (crop[i] - mean) * (crop[i] - mean);
    double sigma = sqrt(square / FN_CROP_SIZE);
    fn_float_preprocess(FN_PREPROCESSING_PER_IMAGE, crop, image);
    for (int i = 0; i < FN_CROP_SIZE; i += 997)
        assert_true(fabs(image[i] - (crop[i] - mean) / sigma) < 1e-6);
    memset(crop, 93, FN_CROP_SIZE); /* no spread at all */
    fn_float_preprocess(FN_PREPROCESSING_PER_IMAGE, crop, image);
    assert_true(image[0] == 0 && image[FN_CROP_SIZE - 1] == 0);
    free(crop);
    free(image);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_of_every_form_match_plain_loops),
        cmocka_unit_test(a_residual_is_added_before_relu),
        cmocka_unit_test(the_whole_topology_matches_plain_loops),
        cmocka_unit_test(the_thin_network_matches_plain_loops),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(an_output_of_zero_is_an_error),
        cmocka_unit_test(preprocessing_follows_the_formulas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
