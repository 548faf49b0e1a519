/* SPDX-License-Identifier: Apache-2.0
 *
 * test_fpga.c -- the family fpga in its fused form, which any OpenCL device runs, against the
 * reference engine: arrays of several sizes, the packed multiplier, what does not fit; programs
 * from files. test_fpga_emulator.c has the pipeline. Skipped where there is no OpenCL device. */
#include <limits.h>

#define TEST_FAMILIES "fused-fpga"
#include "tests/unit/support/kernel_copy.h"
#include "tests/unit/support/layer_cases.h"

static const struct fn_engine_options fused = {.kernel_family = "fused-fpga",
                                               .cache_dir = cache_dir};

/* Open with `line` in front of the kernels. */
static fn_status try_changed(const char *name, const char *line, struct fn_error *err) {
    char dir[PATH_MAX];
    kernel_copy(name, "fpga.cl", line, dir);
    struct fn_engine_options options = fused;
    options.kernel_dir = dir;
    return try_open(&options, err);
}

/* The whole network, every tensor of it, and once more with tensors sharing the arena. */
static void a_seeded_network_agrees(void **state) {
    (void)state;
    need_device();
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = seeded_model(&draft);
    size_t size = BATCH * tensor_size(model, 0), n = BATCH * (size_t)model->network.embedding_size;
    struct fn_engine *reference = open_engine(model, NULL, BATCH, true);
    int8_t *input = malloc(size);
    int32_t *expected = calloc(n, sizeof *expected), *found = calloc(n, sizeof *found);
    struct fn_prng prng = {77};
    struct fn_error err = {0};
    assert_true(input && expected && found);
    fn_prng_fill(&prng, input, size);
    assert_ok(fn_engine_run_tensors(reference, input, BATCH, expected, &err), err);
    for (int keep = 0; keep < 2; keep++) {
        struct fn_engine *engine = open_engine(model, "fused-fpga", BATCH, keep);
        for (int pictures = 1; pictures <= BATCH; pictures++) {
            memset(found, 0, n * sizeof *found);
            assert_ok(fn_engine_run_tensors(engine, input, pictures, found, &err), err);
            assert_memory_equal(expected, found, (size_t)pictures * n / BATCH * sizeof *expected);
        }
        if (keep) compare_tensors(model, reference, engine, BATCH);
        fn_engine_close(engine);
    }
    fn_engine_close(reference);
    free(input);
    free(expected);
    free(found);
    free(model);
    fn_model_draft_free(draft);
}

/* The layers, and a network, with another array or another multiplier. */
static void check_array(const char *name, const char *line, void **state) {
    need_device();
    char dir[PATH_MAX];
    kernel_copy(name, "fpga.cl", line, dir);
    kernel_dir = dir;
    convolutions_of_any_width_agree(state);
    signed_inputs_agree(state);
    residuals_of_any_shift_agree(state);
    branches_land_side_by_side_in_a_concat(state);
    pools_of_any_shift_agree(state);
    heads_of_any_size_agree(state);
    accumulators_at_both_ends_of_int32_agree(state);
    a_seeded_network_agrees(state);
    kernel_dir = NULL;
}

static void an_array_of_8_by_8_agrees(void **state) {
    check_array("8x8", "#define FN_FPGA_VEC 8\n#define FN_FPGA_LANE 8", state);
}

static void an_array_of_16_by_32_with_packed_multipliers_agrees(void **state) {
    check_array("16x32", "#define FN_FPGA_LANE 32\n#define FN_FPGA_PACKED 1", state);
}

static void an_array_of_4_by_64_agrees(void **state) {
    check_array("4x64", "#define FN_FPGA_VEC 4\n#define FN_FPGA_LANE 64\n#define FN_FPGA_PACKED 1",
                state);
}

static void a_layer_that_does_not_fit_is_refused_by_name(void **state) {
    (void)state;
    need_device();
    struct fn_error err = {0};
    assert_int_equal(try_changed("few-weights", "#define FN_FPGA_WEIGHTS 8", &err), FN_USAGE);
    assert_non_null(strstr(err.text, "Conv2d_"));
    assert_non_null(strstr(err.text, "FN_FPGA_WEIGHTS"));
    assert_int_equal(try_changed("short-rows", "#define FN_FPGA_BAND 100", &err), FN_USAGE);
    assert_non_null(strstr(err.text, "Conv2d_1a"));
    assert_non_null(strstr(err.text, "FN_FPGA_BAND"));
}

static void sizes_that_the_kernels_do_not_allow_do_not_compile(void **state) {
    (void)state;
    need_device();
    struct fn_error err = {0};
    assert_int_equal(try_changed("vec12", "#define FN_FPGA_VEC 12", &err), FN_DEVICE_FAILED);
    assert_int_equal(try_changed("lane24", "#define FN_FPGA_LANE 24", &err), FN_DEVICE_FAILED);
    assert_int_equal(try_changed("vec8", "#define FN_FPGA_VEC 8\n#define FN_FPGA_LANE 4", &err),
                     FN_DEVICE_FAILED);
}

static void a_program_of_another_layout_is_refused(void **state) {
    (void)state;
    need_device();
    struct fn_error err = {0};
    assert_int_equal(try_changed("layout",
                                 "#include \"fpga_params.h\"\n#undef FN_FPGA_LAYOUT\n"
                                 "#define FN_FPGA_LAYOUT 999",
                                 &err),
                     FN_DEVICE_FAILED);
    assert_non_null(strstr(err.text, "layout 999"));
}

static void the_pipeline_itself_needs_an_fpga_platform(void **state) {
    (void)state;
    need_device();
    struct fn_engine_options options = fused;
    struct fn_error err = {0};
    options.kernel_family = "fpga";
    assert_int_equal(try_open(&options, &err), FN_NO_DEVICE);
    assert_non_null(strstr(err.text, "no FPGA platform"));
}

static void auto_never_takes_the_fused_form(void **state) {
    (void)state;
    need_device();
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = seeded_model(&draft);
    struct fn_engine *engine = open_engine(model, "auto", 1, false);
    struct fn_engine_description d;
    fn_engine_describe(engine, &d);
    assert_string_not_equal(d.kernel_family, "fused-fpga");
    fn_engine_close(engine);
    free(model);
    fn_model_draft_free(draft);
}

static void a_program_file_that_is_none_is_refused(void **state) {
    (void)state;
    need_device();
    struct fn_engine_options options = fused;
    struct fn_error err = {0};
    options.program = temporary_path("absent.aocx");
    assert_int_equal(try_open(&options, &err), FN_IO);
    FILE *file = fopen(options.program, "w");
    assert_non_null(file);
    assert_true(fputs("xclbin2 but not really", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(try_open(&options, &err), FN_DEVICE_FAILED);
    assert_non_null(strstr(err.text, "absent.aocx"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_of_this_machine_open_or_the_rest_is_skipped),
        LAYER_CASES,
        cmocka_unit_test(a_seeded_network_agrees),
        cmocka_unit_test(an_array_of_8_by_8_agrees),
        cmocka_unit_test(an_array_of_16_by_32_with_packed_multipliers_agrees),
        cmocka_unit_test(an_array_of_4_by_64_agrees),
        cmocka_unit_test(a_layer_that_does_not_fit_is_refused_by_name),
        cmocka_unit_test(sizes_that_the_kernels_do_not_allow_do_not_compile),
        cmocka_unit_test(a_program_of_another_layout_is_refused),
        cmocka_unit_test(the_pipeline_itself_needs_an_fpga_platform),
        cmocka_unit_test(auto_never_takes_the_fused_form),
        cmocka_unit_test(a_program_file_that_is_none_is_refused),
    };
    return cmocka_run_group_tests_name("fpga", tests, make_cache, temporary_remove);
}
