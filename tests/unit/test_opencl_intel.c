/* SPDX-License-Identifier: Apache-2.0
 *
 * test_opencl_intel.c -- the portable families on Intel's CPU platform: a second OpenCL
 * implementation beside the one that the machine has. Skipped where it has not been fetched. */
#include "tests/unit/support/intel_runtime.h"

#define TEST_DEVICE   "Intel(R) OpenCL"
#define TEST_FAMILIES "generic", "fused-fpga"
#include "tests/unit/support/detect_device_cases.h"
#include "tests/unit/support/layer_cases.h"

static void the_thin_network_passes_its_self_test(void **state) {
    (void)state;
    struct fn_model *model = NULL;
    struct fn_error err = {0};
    assert_ok(fn_model_open("models/thin-512.safetensors", &model, &err), err);
    for (size_t i = 0; i < N_FAMILIES; i++) {
        struct fn_engine *engine = open_engine(model, family_names[i], 4, false);
        assert_ok(fn_engine_self_test(engine, &err), err);
        fn_engine_close(engine);
    }
    fn_model_close(model);
}

static void the_face_detector_gives_the_known_answer(void **state) {
    (void)state;
    const struct fn_detector_place place = {.device = TEST_DEVICE};
    struct fn_model_draft *draft = detector_draft(false);
    struct fn_detector *detector = NULL;
    struct fn_error err = {0};
    assert_ok(fn_detector_open_on(&place, &draft->detector, &detector, &err), err);
    fn_detector_close(detector);
    fn_model_draft_free(draft);
}

static int run(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_of_this_machine_open_or_the_rest_is_skipped),
        LAYER_CASES,
        cmocka_unit_test(the_thin_network_passes_its_self_test),
        cmocka_unit_test(every_network_computes_the_cpus_bits),
        cmocka_unit_test(the_face_detector_gives_the_known_answer),
    };
    return cmocka_run_group_tests_name("opencl-intel", tests, make_cache, temporary_remove);
}

int main(void) {
    return intel_runtime_run("opencl-intel", run);
}
