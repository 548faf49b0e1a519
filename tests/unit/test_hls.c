/* SPDX-License-Identifier: Apache-2.0
 *
 * test_hls.c -- the C++ kernels for Vitis HLS in C simulation (tests/hls), against the reference
 * engine: every tensor of whole networks, with the packed multiplier of DSP48E2. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/model_writer.h"
#include "engine/opencl/fpga_pack.h"
#include "engine/prng.h"
#include "tests/hls/csim.h"
#include "tests/unit/support/cmocka_all.h"

#define BATCH 2

/* What the host side of the family fpga has, without a device. */
struct simulation {
    const struct fn_model *model; /* borrowed */
    struct fn_fpga_sizes sizes;
    struct fn_fpga_layout *layout; /* owned, as all below */
    struct fn_fpga_pack *pack;
    int8_t *arena;
    int32_t *accumulators;
};

static void simulate(struct simulation *s, const struct fn_model *model, const int8_t *input) {
    int about[FN_FPGA_N_ABOUT];
    struct fn_error err = {0};
    csim_about(about);
    *s = (struct simulation){.model = model,
                             .sizes = {.layout = about[FN_FPGA_ABOUT_LAYOUT],
                                       .vec = about[FN_FPGA_ABOUT_VEC],
                                       .lane = about[FN_FPGA_ABOUT_LANE],
                                       .band = about[FN_FPGA_ABOUT_BAND],
                                       .weights = about[FN_FPGA_ABOUT_WEIGHTS]}};
    assert_int_equal(about[FN_FPGA_ABOUT_FORM], FN_FPGA_PER_LAYER);
    assert_ok(fn_fpga_layout_make(&model->network, &s->sizes, BATCH, true, &s->layout, &err), err);
    assert_ok(fn_fpga_pack_make(model, s->layout, &s->sizes, BATCH, &s->pack, &err), err);
    assert(s->layout && s->pack); /* the analyzer does not know assert_ok() */
    s->arena = calloc((size_t)s->layout->arena_size, FN_FPGA_BURST);
    s->accumulators = calloc(BATCH * (size_t)s->pack->accumulators_pitch, sizeof(int32_t));
    assert_true(s->arena && s->accumulators);
    const struct fn_tensor *t = &model->network.tensors[0];
    for (int i = 0; i < BATCH; i++)
        for (int y = 0; y < t->height; y++)
            for (int x = 0; x < t->width; x++)
                for (int c = 0; c < t->channels; c++)
                    s->arena[((size_t)s->layout->offset[0] +
                              (size_t)i * (size_t)s->layout->picture[0]) *
                                 FN_FPGA_BURST +
                             fn_fpga_byte(s->layout, &s->sizes, 0, y, x, c)] = *input++;
    for (int i = 0; i < model->network.n_layers; i++)
        assert_int_equal(csim_layer(s->arena, s->pack->layers, s->pack->weights, s->pack->numbers,
                                    s->accumulators, s->pack->accumulators_pitch, BATCH, i),
                         0);
}

static void compare_tensor(const struct simulation *s, struct fn_engine *reference, int tensor) {
    const struct fn_tensor *t = &s->model->network.tensors[tensor];
    int8_t *expected = malloc(fn_tensor_size(t));
    struct fn_error err = {0};
    assert_non_null(expected);
    for (int i = 0; i < BATCH; i++) {
        const int8_t *value = expected;
        const int8_t *found = s->arena + ((size_t)s->layout->offset[tensor] +
                                          (size_t)i * (size_t)s->layout->picture[tensor]) *
                                             FN_FPGA_BURST;
        assert_ok(fn_engine_read_tensor(reference, tensor, i, expected, &err), err);
        for (int y = 0; y < t->height; y++)
            for (int x = 0; x < t->width; x++)
                for (int c = 0; c < t->channels; c++)
                    assert_int_equal(found[fn_fpga_byte(s->layout, &s->sizes, tensor, y, x, c)],
                                     *value++);
    }
    free(expected);
}

static void check_model(const struct fn_model *model) {
    size_t size = BATCH * fn_tensor_size(&model->network.tensors[0]);
    size_t n = (size_t)model->network.embedding_size;
    int8_t *input = malloc(size);
    int32_t *expected = calloc(BATCH * n, sizeof *expected);
    struct fn_prng prng = {31};
    struct fn_engine *reference = NULL;
    struct simulation s;
    struct fn_error err = {0};
    assert_true(input && expected);
    fn_prng_fill(&prng, input, size);
    const struct fn_engine_options options = {
        .device = "reference", .max_batch = BATCH, .keep_tensors = true};
    assert_ok(fn_engine_open(model, &options, &reference, &err), err);
    assert_ok(fn_engine_run_tensors(reference, input, BATCH, expected, &err), err);
    simulate(&s, model, input);
    for (int t = 0; t < model->network.n_tensors; t++) compare_tensor(&s, reference, t);
    for (size_t i = 0; i < BATCH; i++)
        assert_memory_equal(expected + i * n,
                            s.accumulators + i * (size_t)s.pack->accumulators_pitch,
                            n * sizeof *expected);
    fn_engine_close(reference);
    fn_fpga_layout_free(s.layout);
    fn_fpga_pack_free(s.pack);
    free(s.arena);
    free(s.accumulators);
    free(input);
    free(expected);
}

static void a_seeded_network_agrees_in_every_tensor(void **state) {
    (void)state;
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = NULL;
    struct fn_error err = {0};
    assert_ok(fn_untrained_draft(5, 3, 40, &draft, &err), err);
    assert_ok(fn_model_draft_view(draft, &model, &err), err);
    check_model(model);
    free(model);
    fn_model_draft_free(draft);
}

static void the_thin_network_agrees_in_every_tensor(void **state) {
    (void)state;
    struct fn_model *model = NULL;
    struct fn_error err = {0};
    assert_ok(fn_model_open("models/thin-512.safetensors", &model, &err), err);
    check_model(model);
    fn_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seeded_network_agrees_in_every_tensor),
        cmocka_unit_test(the_thin_network_agrees_in_every_tensor),
    };
    return cmocka_run_group_tests_name("hls", tests, NULL, NULL);
}
