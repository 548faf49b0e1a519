/* SPDX-License-Identifier: Apache-2.0
 *
 * test_fpga_emulator.c -- the family fpga as five kernels and channels on Intel's FPGA emulator,
 * against the reference engine, from source and from a program file. FPGA_FULL=1 adds the real
 * network (`make check-fpga-full`). Skipped where the emulator has not been fetched. */
#include "tests/unit/support/intel_runtime.h"

#define TEST_DEVICE   "FPGA Emulation Platform"
#define TEST_FAMILIES "fpga"
#include <CL/cl.h>

#include "engine/golden.h"
#include "engine/opencl/kernel_text.h"
#include "engine/preprocess.h"
#include "tests/unit/support/layer_cases.h"

#define FLAGS "-w -DFN_FPGA_FIFO=4096 -DFN_TARGET_"

/* The text that v++ compiles, with its words for FIFOs in Intel's: the emulator runs Xilinx's form,
 * one launch a layer, with the packed multiplier. */
static const char pipes_as_channels[] =
    "#pragma OPENCL EXTENSION cl_intel_channels : enable\n"
    "#define pipe channel\n"
    "#define xcl_reqd_pipe_depth depth\n"
    "#define read_pipe_block(name, to) *(to) = read_channel_intel(name)\n"
    "#define write_pipe_block(name, from) write_channel_intel(name, *(from))\n";

static const struct fn_engine_options emulator = {.device = TEST_DEVICE, .max_batch = 2};

static void too_few_threads_are_refused_in_one_line(void **state) {
    (void)state;
    struct fn_error err = {0};
    for (int i = 0; i < 3; i++) {
        static const char *const bad[] = {"6", "0", "seven"};
        assert_int_equal(setenv("CL_CONFIG_CPU_TBB_NUM_WORKERS", bad[i], 1), 0);
        assert_int_equal(try_open(&emulator, &err), FN_USAGE);
        assert_non_null(strstr(err.text, "CL_CONFIG_CPU_TBB_NUM_WORKERS"));
        assert_null(strchr(err.text, '\n'));
    }
    assert_int_equal(unsetenv("CL_CONFIG_CPU_TBB_NUM_WORKERS"), 0);
}

static void auto_chooses_the_pipeline_and_its_name_is_in_the_label(void **state) {
    (void)state;
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = seeded_model(&draft);
    struct fn_engine *engine = open_engine(model, "auto", 1, false);
    struct fn_engine_description d;
    fn_engine_describe(engine, &d);
    assert_string_equal(d.kernel_family, "fpga");
    assert_string_equal(d.platform, "Intel(R) FPGA Emulation Platform for OpenCL(TM)");
    assert_string_equal(d.label, "opencl:fpga:Intel(R) FPGA Emulation Device");
    fn_engine_close(engine);
    free(model);
    fn_model_draft_free(draft);
}

/* ---- programs from files ---- */

static cl_device_id find_emulator(void) {
    cl_platform_id platforms[8];
    cl_uint n = 0;
    assert_int_equal(clGetPlatformIDs(8, platforms, &n), CL_SUCCESS);
    for (cl_uint i = 0; i < n; i++) {
        char name[256] = "";
        cl_device_id device = NULL;
        (void)clGetPlatformInfo(platforms[i], CL_PLATFORM_NAME, sizeof name, name, NULL);
        if (strstr(name, TEST_DEVICE) && clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ACCELERATOR, 1,
                                                        &device, NULL) == CL_SUCCESS)
            return device;
    }
    fail_msg("no emulator");
    return NULL;
}

/* What the emulator's compiler makes of the kernels, as a file. first: put before their text. */
static void write_program(const char *path, const char *flags, const char *first) {
    char *source = NULL;
    struct fn_error err = {0};
    assert_ok(fn_kernel_text(NULL, "fpga.cl", &source, &err), err);
    const char *texts[] = {first, source};
    cl_device_id device = find_emulator();
    cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
    cl_program program = clCreateProgramWithSource(context, 2, texts, NULL, NULL);
    assert_int_equal(clBuildProgram(program, 1, &device, flags, NULL, NULL), CL_SUCCESS);
    size_t size = 0;
    assert_int_equal(clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL),
                     CL_SUCCESS);
    unsigned char *binary = malloc(size);
    assert_non_null(binary);
    assert_int_equal(
        clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, (void *)&binary, NULL),
        CL_SUCCESS);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(binary, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    free(binary);
    free(source);
    (void)clReleaseProgram(program);
    (void)clReleaseContext(context);
}

/* The self-test: golden picture alone and last in a batch, accumulators and embedding by digest. */
static void check_file(const char *path, const struct fn_engine_options *options) {
    struct fn_model *model = NULL;
    struct fn_engine *engine = NULL;
    struct fn_error err = {0};
    assert_ok(fn_model_open(path, &model, &err), err);
    if (fn_engine_open(model, options, &engine, &err) != FN_OK) end_if_hung(&err);
    if (!engine) fail_msg("%s", err.text);
    assert_ok(fn_engine_self_test(engine, &err), err);
    fn_engine_close(engine);
    fn_model_close(model);
}

/* Two batches at once: the second one's pictures arrive and its kernels queue while the first is
 * computed. */
static void check_two_in_flight(const char *path, const struct fn_engine_options *options) {
    enum { N = 2, SIZE = 512 };
    static uint8_t crops[N][FN_CROP_SIZE];
    static float unused[SIZE];
    static int32_t expected[N][SIZE], found[SIZE];
    struct fn_model *model = NULL;
    struct fn_engine *engine = NULL, *reference = NULL;
    struct fn_error err = {0};
    struct fn_engine_options two = *options;
    two.slots = N;
    assert_ok(fn_model_open(path, &model, &err), err);
    assert_int_equal(model->network.embedding_size, SIZE);
    assert_ok(
        fn_engine_open(model, &(struct fn_engine_options){.device = "reference"}, &reference, &err),
        err);
    if (fn_engine_open(model, &two, &engine, &err) != FN_OK) end_if_hung(&err);
    if (!engine) fail_msg("%s", err.text);
    assert_int_equal(fn_engine_slots(engine), N);
    for (int i = 0; i < N; i++) {
        fn_golden_picture(100 + (uint64_t)i, crops[i]);
        assert_ok(fn_engine_run(reference, crops[i], 1, unused, expected[i], &err), err);
    }
    for (int i = 0; i < N; i++) assert_ok(fn_engine_submit(engine, crops[i], 1, &err), err);
    for (int i = 0; i < N; i++) {
        assert_ok(fn_engine_collect(engine, unused, found, &err), err);
        assert_memory_equal(expected[i], found, sizeof found);
    }
    fn_engine_close(engine);
    fn_engine_close(reference);
    fn_model_close(model);
}

static void the_thin_network_passes_its_self_test_from_source(void **state) {
    (void)state;
    check_file("models/thin-512.safetensors", &emulator);
    check_two_in_flight("models/thin-512.safetensors", &emulator);
}

static void the_thin_network_passes_its_self_test_from_a_program_file(void **state) {
    (void)state;
    struct fn_engine_options options = emulator;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s", temporary_path("fpga.aocx"));
    write_program(path, FLAGS "INTEL", "");
    options.program = path;
    check_file("models/thin-512.safetensors", &options);
}

/* Kernels end with each layer, and the host orders the layers by events. */
static void the_thin_network_passes_its_self_test_launched_layer_by_layer(void **state) {
    (void)state;
    struct fn_engine_options options = emulator;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s", temporary_path("fpga.xclbin"));
    write_program(path, FLAGS "XILINX_CL", pipes_as_channels);
    options.program = path;
    check_file("models/thin-512.safetensors", &options);
    check_two_in_flight("models/thin-512.safetensors", &options);
}

static void a_program_file_is_checked_against_its_device(void **state) {
    (void)state;
    struct fn_engine_options options = emulator;
    struct fn_error err = {0};
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s", temporary_path("cut.aocx"));
    write_program(path, FLAGS "INTEL", "");
    assert_int_equal(truncate(path, 1000), 0);
    options.program = path;
    assert_int_equal(try_open(&options, &err), FN_DEVICE_FAILED);
    assert_non_null(strstr(err.text, "cut.aocx"));
}

static void the_real_network_passes_its_self_test(void **state) {
    (void)state;
    const char *path = getenv("FACENET_MODEL"); /* else what `make run` has made */
    if (!path) path = "build/models/facenet-512-npy.safetensors";
    if (!getenv("FPGA_FULL") || access(path, R_OK) != 0) skip();
    struct fn_engine_options options = emulator;
    options.device_timeout_ms = MAX_SECONDS * 1000;
    check_file(path, &options);
    char program[PATH_MAX];
    (void)snprintf(program, sizeof program, "%s", temporary_path("full.aocx"));
    write_program(program, FLAGS "INTEL", "");
    options.program = program;
    check_file(path, &options);
}

/* Last: the device is given up. */
static void a_batch_that_takes_too_long_ends_with_one_line(void **state) {
    (void)state;
    struct fn_engine_options options = emulator;
    struct fn_error err = {0};
    options.device_timeout_ms = 1;
    assert_int_equal(try_open(&options, &err), FN_DEVICE_FAILED);
    assert_non_null(strstr(err.text, "did not end in 1 ms"));
}

static int run(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_few_threads_are_refused_in_one_line),
        cmocka_unit_test(families_of_this_machine_open_or_the_rest_is_skipped),
        cmocka_unit_test(auto_chooses_the_pipeline_and_its_name_is_in_the_label),
        LAYER_CASES,
        cmocka_unit_test(the_thin_network_passes_its_self_test_from_source),
        cmocka_unit_test(the_thin_network_passes_its_self_test_from_a_program_file),
        cmocka_unit_test(the_thin_network_passes_its_self_test_launched_layer_by_layer),
        cmocka_unit_test(a_program_file_is_checked_against_its_device),
        cmocka_unit_test(the_real_network_passes_its_self_test),
        cmocka_unit_test(a_batch_that_takes_too_long_ends_with_one_line),
    };
    return cmocka_run_group_tests_name("fpga-emulator", tests, make_cache, temporary_remove);
}

int main(void) {
    return intel_runtime_run("fpga-emulator", run);
}
