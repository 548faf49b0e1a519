/* SPDX-License-Identifier: Apache-2.0
 *
 * test_devices.c -- devices that err, hang or lie, and what serves then. The device is OpenCL's
 * with the stand-in of tests/faults/ before it. */
#include <string.h>

#include "daemon/clock.h"
#include "daemon/devices.h"
#include "daemon/runner.h"
#include "engine/network.h"
#include "tests/faults/cl_shim.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/temporary.h"
#include "tests/unit/support/tiny_model.h"

static struct fn_model *model;
static struct fn_config *config;
static struct fn_metrics metrics;
static struct fn_devices *devices;
static uint8_t crop[FN_CROP_SIZE];
static float expected[TINY_EMBEDDING];
static struct fn_error err;

static int prepare(void **state) {
    struct fn_engine *engine = NULL;
    const struct fn_engine_options options = {.device = "reference", .max_batch = 1};
    if (temporary_make(state) != 0) return -1;
    tiny_write(temporary_path("tiny.safetensors"));
    assert_ok(fn_model_open(temporary_path("tiny.safetensors"), &model, &err), err);
    for (size_t i = 0; i < sizeof crop; i++) crop[i] = (uint8_t)(i * 7);
    assert_ok(fn_engine_open(model, &options, &engine, &err), err);
    assert_ok(fn_engine_run(engine, crop, 1, expected, NULL, &err), err);
    fn_engine_close(engine);
    return 0;
}

static int end(void **state) {
    fn_model_close(model);
    return temporary_remove(state);
}

static int open_devices(void **state) {
    (void)state;
    static const char text[] = "{\"max_batch\": 2, \"device_stall_ms\": 300, \"device_retry_ms\": "
                               "50, \"self_test_ms\": 10}";
    memset(&metrics, 0, sizeof metrics);
    devices = NULL;
    fn_shim_plan("");
    assert_ok(fn_config_new(&config, &err), err);
    assert_ok(fn_config_apply(config, "test", text, strlen(text), &err), err);
    fn_status status = fn_devices_open(config, model, &metrics, &devices, &err);
    if (status != FN_NO_DEVICE) assert_ok(status, err);
    return 0;
}

static int close_devices(void **state) {
    (void)state;
    fn_shim_plan("");
    (void)fn_devices_close(devices);
    fn_config_free(config);
    return 0;
}

/* The label of what computed the right embedding. */
static const char *run(void) {
    float found[TINY_EMBEDDING];
    const char *label = NULL;
    assert_ok(fn_devices_run(devices, crop, 1, found, &label, &err), err);
    assert_memory_equal(found, expected, sizeof found);
    return label;
}

static void wait_until_back(void) {
    const struct timespec pause = {.tv_nsec = 20000000};
    int64_t until = fn_now_ns() + 60 * FN_NS_PER_S;
    while (strcmp(run(), "reference") == 0) {
        assert_true(fn_now_ns() < until);
        (void)nanosleep(&pause, NULL);
    }
}

static void a_device_that_errs_is_replaced_and_taken_back(void **state) {
    (void)state;
    if (!devices) skip();
    assert_string_not_equal(run(), "reference");
    fn_shim_plan("clEnqueueReadBuffer 1+ error -36");
    assert_string_equal(run(), "reference");
    assert_int_equal(metrics.failovers, 1);
    assert_int_equal(metrics.stalls, 0);
    fn_shim_plan("");
    wait_until_back();
    assert_int_equal(metrics.failovers, 2);
}

static void a_device_that_hangs_is_left_behind_and_comes_back(void **state) {
    (void)state;
    const struct timespec pause = {.tv_nsec = 20000000};
    if (!devices) skip();
    fn_shim_plan("clEnqueueReadBuffer 1 hang");
    assert_string_equal(run(), "reference");
    assert_int_equal(metrics.stalls, 1);
    assert_int_equal(fn_runner_left_behind(), 1);
    fn_shim_plan("");
    wait_until_back();
    int64_t until = fn_now_ns() + 60 * FN_NS_PER_S;
    while (fn_runner_left_behind() > 0) {
        assert_true(fn_now_ns() < until);
        (void)nanosleep(&pause, NULL);
    }
}

static void a_device_that_lies_is_taken_out_by_the_known_answer(void **state) {
    (void)state;
    const struct fn_device_names *names;
    const struct timespec pause = {.tv_nsec = 20000000};
    if (!devices) skip();
    fn_shim_plan("clEnqueueReadBuffer 1+ flip");
    (void)nanosleep(&pause, NULL);
    assert_true(fn_devices_check(devices) > fn_now_ns());
    assert_true(metrics.selftest_failures >= 1);
    assert_ok(fn_devices_current(devices, &names, &err), err);
    assert_string_equal(names->label, "reference");
    assert_string_equal(run(), "reference");
    fn_shim_plan("");
    wait_until_back();
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_devices, close_devices)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_device_that_errs_is_replaced_and_taken_back),
        TEST(a_device_that_hangs_is_left_behind_and_comes_back),
        TEST(a_device_that_lies_is_taken_out_by_the_known_answer),
    };
    return cmocka_run_group_tests(tests, prepare, end);
}
