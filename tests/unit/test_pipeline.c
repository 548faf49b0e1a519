/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pipeline.c -- what the planner counts of our kernels, held against the kernels: iterations
 * of every stage's loop and bytes of every stage in C simulation (tests/hls), layer by layer, for
 * arrays of several sizes; and the stages' waiting for each other, clock by clock. */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/model_writer.h"
#include "engine/opencl/aligned.h"
#include "engine/opencl/fpga_pack.h"
#include "model/plan/pipeline.h"
#include "tests/hls/csim.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/pipeline_clock.h"

/* The kernels compiled for one array. */
struct kernels {
    void *library;
    void (*about)(int ret_about[FN_FPGA_N_ABOUT]);
    __typeof__(csim_count_layers) *count_layers;
};

static void open_kernels(int vec, int lane, struct kernels *ret) {
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 64);
    assert_true(length > 0);
    path[length] = '\0';
    char *name = strrchr(path, '/');
    (void)snprintf(name, 64, "/hls/csim-%d-%d.so", vec, lane);
    ret->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!ret->library) fail_msg("%s", dlerror());
    *(void **)&ret->about = dlsym(ret->library, "csim_about");
    *(void **)&ret->count_layers = dlsym(ret->library, "csim_count_layers");
    assert_true(ret->about && ret->count_layers);
}

/* Width 8/32 is the thin network, 32/32 the full one. What the weights are changes no count. */
static struct fn_model *make_model(int width, struct fn_model_draft **ret_draft) {
    struct fn_model *model = NULL;
    struct fn_error err = {0};
    assert_ok(fn_untrained_draft(5, width, 512, ret_draft, &err), err);
    assert_ok(fn_model_draft_view(*ret_draft, &model, &err), err);
    return model;
}

static void count_kernels(const struct kernels *kernels, const struct fn_model *model,
                          const struct fn_fpga_sizes *sizes, int pictures, bool per_layer,
                          struct csim_count *ret_counts) {
    struct fn_fpga_layout *layout = NULL;
    struct fn_fpga_pack *pack = NULL;
    struct fn_error err = {0};
    assert_ok(fn_fpga_layout_make(&model->network, sizes, pictures, false, &layout, &err), err);
    assert_ok(fn_fpga_pack_make(model, layout, sizes, pictures, &pack, &err), err);
    int8_t *arena = fn_aligned_calloc((size_t)layout->arena_size * FN_FPGA_BURST);
    int32_t *accumulators =
        calloc((size_t)pictures * (size_t)pack->accumulators_pitch, sizeof *accumulators);
    assert_true(arena && accumulators);
    assert_int_equal(kernels->count_layers(
                         arena, pack->layers, model->network.n_layers, pack->weights, pack->numbers,
                         accumulators, pack->accumulators_pitch, pictures, per_layer, ret_counts),
                     0);
    free(arena);
    free(accumulators);
    fn_fpga_layout_free(layout);
    fn_fpga_pack_free(pack);
}

static void check_counts(int width, int vec, int lane, int pictures, int form) {
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = make_model(width, &draft);
    struct fn_pipeline *pipeline = malloc(sizeof *pipeline);
    struct csim_count *found = calloc(FN_MAX_LAYERS, sizeof *found);
    struct kernels kernels;
    struct fn_error err = {0};
    int about[FN_FPGA_N_ABOUT];
    assert_true(pipeline && found);
    assert_ok(fn_pipeline_make(model, vec, lane, form, pictures, pipeline, &err), err);
    open_kernels(vec, lane, &kernels);
    kernels.about(about);
    /* The planned buffers are those that are compiled: the network needs no larger ones. */
    assert_int_equal(pipeline->sizes.vec, about[FN_FPGA_ABOUT_VEC]);
    assert_int_equal(pipeline->sizes.lane, about[FN_FPGA_ABOUT_LANE]);
    assert_int_equal(pipeline->sizes.band, about[FN_FPGA_ABOUT_BAND]);
    assert_int_equal(pipeline->sizes.weights, about[FN_FPGA_ABOUT_WEIGHTS]);
    count_kernels(&kernels, model, &pipeline->sizes, pictures, form == FN_FPGA_PER_LAYER, found);
    for (int i = 0; i < pipeline->n_layers; i++) {
        struct fn_pipeline_count planned;
        fn_pipeline_count(pipeline, i, pictures, &planned);
        for (int stage = 0; stage < FN_N_STAGES; stage++) {
            if (planned.clocks[stage] != found[i].clocks[stage] ||
                planned.bytes[stage] != found[i].bytes[stage])
                print_message("%d x %d, layer %s, stage %d\n", vec, lane,
                              model->network.layers[i].name, stage);
            assert_int_equal(planned.clocks[stage], found[i].clocks[stage]);
            assert_int_equal(planned.bytes[stage], found[i].bytes[stage]);
        }
    }
    assert_int_equal(dlclose(kernels.library), 0);
    free(found);
    free(pipeline);
    free(model);
    fn_model_draft_free(draft);
}

/* Minutes of simulation are for `make check-full`. */
static bool is_thorough(void) {
    const char *proof = getenv("FACENETD_PROOF");
    return proof && strcmp(proof, "check") != 0;
}

static void the_thin_network_s_counts_are_those_of_the_kernels(void **state) {
    (void)state;
    check_counts(8, 8, 8, 1, FN_FPGA_PER_BATCH);
    check_counts(8, 16, 48, 2, FN_FPGA_PER_LAYER);
    if (!is_thorough()) return;
    check_counts(8, 4, 64, 1, FN_FPGA_PER_LAYER);
    check_counts(8, 64, 128, 3, FN_FPGA_PER_BATCH);
}

static void the_full_network_s_counts_are_those_of_the_kernels(void **state) {
    (void)state;
    check_counts(32, 64, 128, 1, FN_FPGA_PER_BATCH);
    if (!is_thorough()) return;
    check_counts(32, 16, 16, 1, FN_FPGA_PER_LAYER);
    check_counts(32, 32, 64, 2, FN_FPGA_PER_BATCH);
}

/* The planner takes the slowest stage of a layer for the layer's time. */
static void stages_wait_for_each_other_less_than_a_fiftieth_of_the_time(void **state) {
    (void)state;
    static const struct {
        int width, vec, lane, pictures, form;
    } cases[] = {
        {8, 8, 8, 1, FN_FPGA_PER_BATCH},
        {8, 16, 32, 4, FN_FPGA_PER_LAYER},
        {32, 32, 64, 1, FN_FPGA_PER_BATCH},
        /* thorough */
        {32, 16, 16, 1, FN_FPGA_PER_LAYER},
        {32, 16, 16, 1, FN_FPGA_PER_BATCH},
        {32, 32, 64, 8, FN_FPGA_PER_LAYER},
        {32, 64, 128, 8, FN_FPGA_PER_BATCH},
    };
    size_t n = is_thorough() ? sizeof cases / sizeof cases[0] : 3;
    for (size_t i = 0; i < n; i++) {
        struct fn_model_draft *draft = NULL;
        struct fn_model *model = make_model(cases[i].width, &draft);
        struct fn_pipeline *pipeline = malloc(sizeof *pipeline);
        struct fn_cost planned;
        struct fn_error err = {0};
        const struct fn_pipeline_speed speed = {.hertz = 1, .bytes_per_second = 1e300};
        assert_non_null(pipeline);
        assert_ok(fn_pipeline_make(model, cases[i].vec, cases[i].lane, cases[i].form,
                                   cases[i].pictures, pipeline, &err),
                  err);
        fn_pipeline_total(pipeline, &speed, cases[i].pictures, &planned);
        double ratio = (double)clocks_run(pipeline, cases[i].pictures) / planned.clocks;
        print_message("width %d/32, %d x %d, %d pictures, form %d: %.4f of the plan\n",
                      cases[i].width, cases[i].vec, cases[i].lane, cases[i].pictures, cases[i].form,
                      ratio);
        assert_true(ratio > 0.98 && ratio < 1.02);
        free(pipeline);
        free(model);
        fn_model_draft_free(draft);
    }
}

static void an_array_that_kernels_cannot_be_is_refused(void **state) {
    (void)state;
    static const int bad[][2] = {{4, 4}, {12, 24}, {8, 4}, {16, 24}, {128, 128}, {16, 144}};
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = make_model(1, &draft);
    struct fn_pipeline *pipeline = malloc(sizeof *pipeline);
    assert_non_null(pipeline);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fn_error err = {0};
        assert_int_equal(
            fn_pipeline_make(model, bad[i][0], bad[i][1], FN_FPGA_PER_BATCH, 1, pipeline, &err),
            FN_USAGE);
        assert_non_null(strstr(err.text, "no array of"));
    }
    free(pipeline);
    free(model);
    fn_model_draft_free(draft);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_thin_network_s_counts_are_those_of_the_kernels),
        cmocka_unit_test(the_full_network_s_counts_are_those_of_the_kernels),
        cmocka_unit_test(stages_wait_for_each_other_less_than_a_fiftieth_of_the_time),
        cmocka_unit_test(an_array_that_kernels_cannot_be_is_refused),
    };
    return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
