/* SPDX-License-Identifier: Apache-2.0
 *
 * test_detect_device.c -- the detector on an OpenCL device: the same faces as by the CPU, and a
 * device that computes anything else is refused. Skipped where there is no OpenCL device. */
#include "tests/unit/support/detect_device_cases.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "engine/cleanup.h"
#include "engine/errand.h"
#include "engine/file.h"
#include "tests/faults/cl_shim.h"
#include "tests/unit/support/kernel_copy.h"

#define PHOTO "../shared/data/photos/multiface.jpg"
#define LFW   "../shared/data/lfw-fold1"

/* Faces of a picture, as one detector finds them. */
struct result {
    struct fn_face faces[FN_DETECT_MAX_FACES];
    int n, found;
    struct fn_detect_report report;
};

static void find(const struct fn_detector *detector, const struct fn_picture *picture,
                 double min_face, struct result *ret) {
    const struct fn_detect_options options = {.min_face = min_face};
    struct fn_detect_scratch *scratch = NULL;
    struct fn_error err = {0};
    memset(ret, 0, sizeof *ret);
    assert_ok(fn_detect_scratch_new(&scratch, &err), err);
    assert_ok(fn_detector_find(detector, scratch, picture, &options, FN_DETECT_MAX_FACES,
                               ret->faces, &ret->n, &ret->found, &ret->report, &err),
              err);
    fn_detect_scratch_free(scratch);
}

/* Skips the test, and frees its draft, where the device is not. */
static struct fn_detector *open_on_device(struct fn_model_draft *draft) {
    const struct fn_detector_place place = {.device = TEST_DEVICE};
    struct fn_detector *detector = NULL;
    struct fn_error err = {0};
    fn_status status = fn_detector_open_on(&place, &draft->detector, &detector, &err);
    if (status == FN_NO_DEVICE) {
        fn_model_draft_free(draft);
        skip();
    }
    assert_ok(status, err);
    return detector;
}

static void compare_faces(const struct fn_detector *cpu, const struct fn_detector *device,
                          const struct fn_picture *picture, double min_face) {
    static struct result a, b;
    find(cpu, picture, min_face, &a);
    find(device, picture, min_face, &b);
    assert_memory_equal(&a, &b, sizeof a);
}

/* ---- networks ------------------------------------------------------------------------------- */

static void levels_of_every_size_have_the_cpus_bits(void **state) {
    (void)state;
    static const int sizes[][2] = {{12, 12}, {13, 12}, {12, 13},   {73, 75},  {74, 74},
                                   {75, 76}, {77, 12}, {139, 141}, {12, 1501}};
    struct fn_model_draft *draft = draft_for_device(false);
    struct fn_net_device *device = NULL;
    struct fn_nets nets;
    open_nets(draft, &nets, &device);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        compare_level(&nets, device, sizes[i][0], sizes[i][1]);
    for (size_t n = 1; n <= FN_REFINE_BATCH; n += 8) {
        compare_pieces(&nets, device, FN_RNET, n);
        if (n <= fn_net_batch(FN_ONET)) compare_pieces(&nets, device, FN_ONET, n);
    }
    fn_net_device_close(device);
    fn_nets_done(&nets);
    fn_model_draft_free(draft);
}

/* Numbers that a device which flushes them would lose, and that the padding of a tile must not
 * touch. */
static void denormal_numbers_are_kept(void **state) {
    (void)state;
    struct fn_model_draft *draft = draft_for_device(false);
    size_t n = 0;
    for (int i = 0; i < FN_MTCNN_LAYERS; i++) {
        const struct fn_mtcnn_layer *layer = &fn_mtcnn_layers[i];
        n += fn_mtcnn_kernel_count(layer) + (size_t)layer->out_channels * (layer->prelu ? 2 : 1);
    }
    for (size_t i = 0; i < n; i++) draft->detector_values[i] *= 0x1p-128F;
    struct fn_net_device *device = NULL;
    struct fn_nets nets;
    open_nets(draft, &nets, &device);
    compare_level(&nets, device, 80, 30);
    compare_pieces(&nets, device, FN_RNET, 3);
    compare_pieces(&nets, device, FN_ONET, 3);
    fn_net_device_close(device);
    fn_nets_done(&nets);
    fn_model_draft_free(draft);
}

/* ---- faces ---------------------------------------------------------------------------------- */

static void photographs_have_the_same_faces(void **state) {
    (void)state;
    static const char *const names[] = {PHOTO, LFW "/Abel_Pacheco/Abel_Pacheco_0001.jpg",
                                        LFW "/Akhmed_Zakayev/Akhmed_Zakayev_0001.jpg"};
    struct fn_model_draft *draft = draft_for_device(true);
    struct fn_detector *device = open_on_device(draft), *cpu = NULL;
    struct fn_error err = {0};
    assert_ok(fn_detector_open(&draft->detector, &cpu, &err), err);
    assert_non_null(strstr(fn_detector_kernels(device), "opencl:"));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        FN_CLEANUP_FREE uint8_t *bytes = NULL;
        struct fn_picture *picture = NULL;
        size_t size;
        if (access(names[i], F_OK) != 0) continue;
        assert_ok(fn_file_read(names[i], (size_t)1 << 24, &bytes, &size, &err), err);
        assert_ok(fn_picture_decode(bytes, size, FN_MAX_PIXELS_DEFAULT, &picture, &err), err);
        compare_faces(cpu, device, picture, 0);
        fn_picture_free(picture);
    }
    fn_detector_close(device);
    fn_detector_close(cpu);
    fn_model_draft_free(draft);
}

/* Random weights that are sure of themselves and move boxes little: they see faces everywhere. */
static void amplify_heads(struct fn_model_draft *draft) {
    float *values = draft->detector_values;
    for (int i = 0; i < FN_MTCNN_LAYERS; i++) {
        const struct fn_mtcnn_layer *layer = &fn_mtcnn_layers[i];
        size_t n = fn_mtcnn_kernel_count(layer), channels = (size_t)layer->out_channels;
        float factor = layer->out_channels == 2 ? 20.0F : layer->out_channels == 4 ? 0.02F : 1.0F;
        if (layer->net == FN_RNET && factor > 1) factor = -factor; /* else it sees none */
        for (size_t k = 0; k < n; k++) values[k] *= factor;
        values += n + channels * (layer->prelu ? 2 : 1);
    }
}

/* Many pieces for the second and third network, in batches of which the last is not full. */
static void noise_has_the_same_hundreds_of_candidates(void **state) {
    (void)state;
    struct fn_model_draft *draft = draft_for_device(false);
    amplify_heads(draft);
    struct fn_detector *device = open_on_device(draft), *cpu = NULL;
    struct fn_error err = {0};
    assert_ok(fn_detector_open(&draft->detector, &cpu, &err), err);
    struct fn_picture picture = noise(150, 90);
    compare_faces(cpu, device, &picture, 0);
    static struct result result;
    find(device, &picture, 0, &result);
    if (result.report.proposed < 100 || result.report.refined < 20)
        fail_msg("%zu proposed, %zu refined, %zu located", result.report.proposed,
                 result.report.refined, result.report.located);
    free(picture.rgb);
    fn_detector_close(device);
    fn_detector_close(cpu);
    fn_model_draft_free(draft);
}

struct errand {
    const struct fn_detector *detector;
    const struct fn_picture *picture;
    struct result result;
};

static void *run_errand(void *context) {
    struct errand *errand = context;
    for (int i = 0; i < 3; i++) find(errand->detector, errand->picture, 0, &errand->result);
    return NULL;
}

static void threads_share_a_device(void **state) {
    (void)state;
    static struct errand errands[3];
    struct fn_picture pictures[3];
    pthread_t threads[3];
    struct fn_model_draft *draft = draft_for_device(false);
    struct fn_detector *device = open_on_device(draft), *cpu = NULL;
    struct fn_error err = {0};
    static struct result alone;
    assert_ok(fn_detector_open(&draft->detector, &cpu, &err), err);
    for (int i = 0; i < 3; i++) {
        pictures[i] = noise(60 + 9 * i, 80 - 7 * i);
        errands[i] = (struct errand){.detector = device, .picture = &pictures[i]};
        assert_int_equal(pthread_create(&threads[i], NULL, run_errand, &errands[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        find(cpu, &pictures[i], 0, &alone);
        assert_memory_equal(&errands[i].result, &alone, sizeof alone);
        free(pictures[i].rgb);
    }
    fn_detector_close(device);
    fn_detector_close(cpu);
    fn_model_draft_free(draft);
}

/* ---- what is refused ------------------------------------------------------------------------ */

static fn_status try_kernels(const char *dir, struct fn_error *err) {
    struct fn_model_draft *draft = draft_for_device(false);
    const struct fn_detector_place place = {.device = TEST_DEVICE, .kernel_dir = dir};
    struct fn_detector *detector = NULL;
    fn_status status = fn_detector_open_on(&place, &draft->detector, &detector, err);
    fn_detector_close(detector);
    fn_model_draft_free(draft);
    if (status == FN_NO_DEVICE) skip();
    return status;
}

static void a_device_that_computes_other_bits_is_refused(void **state) {
    (void)state;
    char dir[PATH_MAX];
    struct fn_error err = {0};
    kernel_copy("right", "detect.cl", "", dir);
    assert_ok(try_kernels(dir, &err), err);
    kernel_copy("unfused", "detect.cl", "#define fma(a, b, c) ((a) * (b) + (c))", dir);
    assert_int_equal(try_kernels(dir, &err), FN_DEVICE_FAILED);
    assert_non_null(strstr(err.text, "other numbers than the CPU"));
    kernel_copy("broken", "detect.cl", "nonsense;", dir);
    assert_int_equal(try_kernels(dir, &err), FN_DEVICE_FAILED);
}

static void an_unknown_device_is_refused(void **state) {
    (void)state;
    struct fn_model_draft *draft = draft_for_device(false);
    const struct fn_detector_place place = {.device = "no such board"};
    struct fn_detector *detector = NULL;
    struct fn_error err = {0};
    assert_int_equal(fn_detector_open_on(&place, &draft->detector, &detector, &err), FN_NO_DEVICE);
    fn_model_draft_free(draft);
}

/* ---- who compiles --------------------------------------------------------------------------- */

/* A folder for programs, and a builder that is this script; skipped without the device. */
static struct fn_detector_place place_with(const char *script, const char *cache) {
    static char builder[PATH_MAX], dir[PATH_MAX];
    struct fn_detector_place place = {.device = TEST_DEVICE};
    struct fn_error err;
    fn_status status = fn_detector_build_kernels(&place, &err);
    if (status == FN_NO_DEVICE) skip();
    assert_ok(status, err);
    (void)snprintf(builder, sizeof builder, "%s", temporary_path("builder"));
    (void)snprintf(dir, sizeof dir, "%s", temporary_path(cache));
    FILE *file = fopen(builder, "w");
    assert_non_null(file);
    assert_true(fputs(script, file) >= 0);
    assert_int_equal(fchmod(fileno(file), 0700), 0);
    assert_int_equal(fclose(file), 0);
    place.builder = builder;
    place.cache_dir = dir;
    return place;
}

static void a_compiler_that_aborts_costs_the_device_and_not_the_process(void **state) {
    (void)state;
    struct fn_detector_place place =
        place_with("#!/bin/sh\n[ $3 != detector ] || kill -ABRT $$\n", "abort-cache");
    struct fn_model_draft *draft = draft_for_device(false);
    struct fn_detector *detector = NULL;
    struct fn_error err = {0};
    assert_int_equal(fn_detector_open_on(&place, &draft->detector, &detector, &err),
                     FN_DEVICE_FAILED);
    assert_non_null(strstr(err.text, "compiler of detector was ended by signal 6"));
    fn_model_draft_free(draft);
}

/* Nothing is built from source in the process that uses what the builder has stored. */
static void kernels_may_be_built_by_another_process(void **state) {
    (void)state;
    struct fn_detector_place place = place_with("#!/bin/sh\nexit 1\n", "built-cache");
    struct fn_detector_place child = place;
    struct fn_model_draft *draft = draft_for_device(false);
    struct fn_detector *detector = NULL;
    struct fn_error err = {0};
    child.builder = NULL;
    assert_ok(fn_detector_build_kernels(&child, &err), err);
    fn_shim_plan("clCreateProgramWithSource 1+ error -5");
    fn_status status = fn_detector_open_on(&place, &draft->detector, &detector, &err);
    fn_shim_plan("");
    assert_ok(status, err);
    fn_detector_close(detector);
    fn_model_draft_free(draft);
}

/* Whichever call fails, at opening or later: an error, no leak, and never other faces. */
static void a_call_that_fails_is_an_error(void **state) {
    (void)state;
    static const char *const calls[] = {
        "clBuildProgram",         "clCreateKernel",       "clCreateBuffer",     "clSetKernelArg",
        "clEnqueueNDRangeKernel", "clEnqueueWriteBuffer", "clEnqueueReadBuffer"};
    struct fn_model_draft *draft = draft_for_device(false);
    struct fn_detector *device = open_on_device(draft);
    struct fn_picture picture = noise(40, 40);
    struct fn_detect_scratch *scratch = NULL;
    static struct fn_face faces[FN_DETECT_MAX_FACES];
    struct fn_error err = {0};
    int n = 0, found = 0;
    char plan[64];
    assert_ok(fn_detect_scratch_new(&scratch, &err), err);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        (void)snprintf(plan, sizeof plan, "%s 2+ error -5", calls[i]);
        if (i == 0) (void)snprintf(plan, sizeof plan, "%s 1 error -11", calls[i]);
        fn_shim_plan(plan);
        assert_int_equal(try_kernels(NULL, &err), FN_DEVICE_FAILED);
        fn_shim_plan(plan);
        fn_status status = fn_detector_find(device, scratch, &picture, NULL, FN_DETECT_MAX_FACES,
                                            faces, &n, &found, NULL, &err);
        assert_int_equal(status, i < 3 ? FN_OK : FN_DEVICE_FAILED);
        fn_shim_plan("");
    }
    fn_detect_scratch_free(scratch);
    free(picture.rgb);
    fn_detector_close(device);
    fn_model_draft_free(draft);
}

/* It is left behind with what it may still write to, and frees that when it comes back. */
static void a_device_that_hangs_fails_every_search(void **state) {
    (void)state;
    const struct fn_detector_place place = {.device = TEST_DEVICE, .patience_ms = 100};
    struct fn_model_draft *draft = draft_for_device(false);
    struct fn_detector *device = NULL;
    struct fn_picture picture = noise(40, 40);
    struct fn_detect_scratch *scratch = NULL;
    static struct fn_face faces[FN_DETECT_MAX_FACES];
    struct fn_error err = {0};
    int n = 0, found = 0;
    fn_status status = fn_detector_open_on(&place, &draft->detector, &device, &err);
    if (status == FN_NO_DEVICE) {
        fn_model_draft_free(draft);
        free(picture.rgb);
        skip();
    }
    assert_ok(status, err);
    assert_ok(fn_detect_scratch_new(&scratch, &err), err);
    fn_shim_plan("clEnqueueNDRangeKernel 1+ hang");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fn_detector_find(device, scratch, &picture, NULL, FN_DETECT_MAX_FACES,
                                          faces, &n, &found, NULL, &err),
                         FN_DEVICE_FAILED);
        assert_non_null(strstr(err.text, i == 0 ? "did not answer" : "has not answered"));
    }
    fn_detector_close(device);
    assert_int_equal(fn_errands_left_behind(), 1);
    fn_shim_plan("");
    while (fn_errands_left_behind() > 0) (void)sched_yield();
    fn_detect_scratch_free(scratch);
    free(picture.rgb);
    fn_model_draft_free(draft);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_network_computes_the_cpus_bits),
        cmocka_unit_test(levels_of_every_size_have_the_cpus_bits),
        cmocka_unit_test(denormal_numbers_are_kept),
        cmocka_unit_test(photographs_have_the_same_faces),
        cmocka_unit_test(noise_has_the_same_hundreds_of_candidates),
        cmocka_unit_test(threads_share_a_device),
        cmocka_unit_test(a_device_that_computes_other_bits_is_refused),
        cmocka_unit_test(an_unknown_device_is_refused),
        cmocka_unit_test(a_compiler_that_aborts_costs_the_device_and_not_the_process),
        cmocka_unit_test(kernels_may_be_built_by_another_process),
        cmocka_unit_test(a_call_that_fails_is_an_error),
        cmocka_unit_test(a_device_that_hangs_fails_every_search),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
