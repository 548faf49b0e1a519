/* SPDX-License-Identifier: Apache-2.0
 *
 * test_devices.c -- devices that err, hang or lie, and what serves then. The device is OpenCL's
 * with the stand-in of tests/faults/ before it. */
#include <stdio.h>
#include <string.h>

#include "daemon/devices.h"
#include "daemon/runner.h"
#include "engine/clock.h"
#include "engine/network.h"
#include "tests/faults/cl_shim.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/temporary.h"
#include "tests/unit/support/tiny_model.h"

static struct fn_model *model;
static struct fn_config *config;
static struct fn_metrics metrics;
static struct fn_devices *devices;
static uint8_t pictures[2][FN_CROP_SIZE];
static struct fn_device_batch batches[FN_MAX_SLOTS]; /* in turns */
static int n_submitted;
static float expected[2][TINY_EMBEDDING];
static struct fn_error err;

static int prepare(void **state) {
    struct fn_engine *engine = NULL;
    const struct fn_engine_options options = {.device = "reference", .max_batch = 1};
    if (temporary_make(state) != 0) return -1;
    tiny_write(temporary_path("tiny.safetensors"));
    assert_ok(fn_model_open(temporary_path("tiny.safetensors"), &model, &err), err);
    for (size_t i = 0; i < FN_CROP_SIZE; i++) {
        pictures[0][i] = (uint8_t)(i * 7);
        pictures[1][i] = (uint8_t)(i * 3);
    }
    assert_ok(fn_engine_open(model, &options, &engine, &err), err);
    for (int i = 0; i < 2; i++)
        assert_ok(fn_engine_run(engine, pictures[i], 1, expected[i], NULL, &err), err);
    assert_memory_not_equal(expected[0], expected[1], sizeof expected[0]);
    fn_engine_close(engine);
    return 0;
}

static int end(void **state) {
    fn_model_close(model);
    return temporary_remove(state);
}

/* Before a device that `plan` spoils. */
static fn_status open_before(const char *plan, const char *fallback) {
    char text[200];
    (void)snprintf(text, sizeof text,
                   "{\"max_batch\": 2, \"device_stall_ms\": 300, \"device_retry_ms\": 50, "
                   "\"self_test_ms\": 10, \"fallback\": [%s]}",
                   fallback);
    memset(&metrics, 0, sizeof metrics);
    devices = NULL;
    fn_shim_plan(plan);
    assert_ok(fn_config_new(&config, &err), err);
    assert_ok(fn_config_apply(config, "test", text, strlen(text), &err), err);
    return fn_devices_open(config, model, &metrics, &devices, &err);
}

static int open_devices(void **state) {
    (void)state;
    fn_status status = open_before("", "\"reference\"");
    if (status != FN_NO_DEVICE) assert_ok(status, err); /* then every test is skipped */
    return 0;
}

static int close_devices(void **state) {
    (void)state;
    fn_shim_plan("");
    (void)fn_devices_close(devices);
    fn_config_free(config);
    return 0;
}

/* Collect a batch of pictures first...first + n - 1; the label of what computed the right
 * embeddings. */
static const char *collect(int first, int n) {
    float found[2][TINY_EMBEDDING];
    const char *label = NULL;
    int64_t began;
    assert_ok(fn_devices_collect(devices, found[0], &label, &began, &err), err);
    assert_memory_equal(found, expected[first], (size_t)n * sizeof found[0]);
    assert_true(began <= fn_now_ns());
    return label;
}

/* n pictures from `first` on. */
static struct fn_device_batch *submit(int first, int n) {
    struct fn_device_batch *batch = &batches[n_submitted++ % FN_MAX_SLOTS];
    *batch = (struct fn_device_batch){.crops = {pictures[first], pictures[1]}, .n = n};
    fn_devices_submit(devices, batch);
    return batch;
}

static const char *run(void) {
    (void)submit(0, 1);
    return collect(0, 1);
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
    assert_int_equal(fn_errands_left_behind(), 1);
    fn_shim_plan("");
    wait_until_back();
    int64_t until = fn_now_ns() + 60 * FN_NS_PER_S;
    while (fn_errands_left_behind() > 0) {
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

/* Two batches in flight, of different pictures, when the device fails in some way. */
static void lose_two(const char *plan, int stalls) {
    (void)submit(0, 1);
    assert_string_not_equal(collect(0, 1), "reference");
    assert_int_equal(fn_devices_slots(devices), 2);
    fn_shim_plan(plan);
    (void)submit(1, 1);
    (void)submit(0, 2);
    assert_string_equal(collect(1, 1), "reference");
    (void)collect(0, 2); /* by the next too, or by the device itself when it is back by now */
    assert_true(metrics.failovers >= 1);
    assert_int_equal(metrics.stalls, stalls);
    fn_shim_plan("");
    wait_until_back();
}

static void both_batches_of_a_device_that_errs_are_computed_by_the_next(void **state) {
    (void)state;
    if (!devices) skip();
    lose_two("clWaitForEvents 1+ error -36", 0);
}

static void both_batches_of_a_device_that_hangs_are_computed_by_the_next(void **state) {
    (void)state;
    if (!devices) skip();
    lose_two("clWaitForEvents 1 hang", 1);
}

static void a_device_that_hangs_while_it_takes_the_second_batch_loses_none(void **state) {
    (void)state;
    if (!devices) skip();
    lose_two("clEnqueueWriteBuffer 2 hang", 1);
}

/* A review from the second device on: it is asked for once the first has the batch. */
static void lose_first(struct fn_device_batch *batch) {
    batch->crops[0] = batch->crops[1];
    batch->n--;
}

static void only_what_is_still_wanted_is_given_to_the_next(void **state) {
    (void)state;
    float found[2][TINY_EMBEDDING];
    const char *label = NULL;
    int64_t began;
    if (!devices) skip();
    fn_shim_plan("clWaitForEvents 1+ error -36");
    submit(0, 2)->review = lose_first;
    assert_string_equal(collect(1, 1), "reference");
    fn_shim_plan("");
    wait_until_back();
    fn_shim_plan("clWaitForEvents 1+ error -36");
    submit(1, 1)->review = lose_first;
    assert_int_equal(fn_devices_collect(devices, found[0], &label, &began, &err),
                     FN_DEADLINE_EXCEEDED);
    fn_shim_plan("");
    wait_until_back();
}

static void a_device_that_comes_back_takes_over_between_batches(void **state) {
    (void)state;
    const struct timespec pause = {.tv_nsec = 5000000};
    if (!devices) skip();
    fn_shim_plan("clEnqueueReadBuffer 1+ error -36");
    assert_string_equal(run(), "reference");
    fn_shim_plan("");
    int64_t until = fn_now_ns() + 60 * FN_NS_PER_S;
    (void)submit(0, 1);
    for (int i = 1;; i++) { /* one in flight or waiting all the time, as under load */
        (void)submit(i % 2, 1);
        if (strcmp(collect((i - 1) % 2, 1), "reference") != 0) {
            (void)collect(i % 2, 1);
            return;
        }
        assert_true(fn_now_ns() < until);
        (void)nanosleep(&pause, NULL);
    }
}

static int open_spoilt(void **state) {
    (void)state;
    fn_status status = open_before("clEnqueueReadBuffer 2+ flip", "\"reference\"");
    if (status != FN_NO_DEVICE) assert_ok(status, err);
    return 0;
}

static void a_device_that_fails_at_the_start_is_replaced_and_taken_back(void **state) {
    (void)state;
    if (!devices) skip();
    assert_string_equal(run(), "reference");
    fn_shim_plan("");
    assert_true(metrics.selftest_failures >= 1);
    assert_int_equal(metrics.failovers, 1);
    wait_until_back();
}

static void with_no_fallback_a_device_that_fails_at_the_start_is_refused(void **state) {
    (void)state;
    fn_status status = open_before("clEnqueueReadBuffer 2+ flip", "");
    if (status == FN_NO_DEVICE) skip();
    assert_int_equal(status, FN_DEVICE_FAILED);
    assert_non_null(strstr(err.text, "self-test"));
    assert_null(devices);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_devices, close_devices)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_device_that_errs_is_replaced_and_taken_back),
        TEST(a_device_that_hangs_is_left_behind_and_comes_back),
        TEST(a_device_that_lies_is_taken_out_by_the_known_answer),
        TEST(both_batches_of_a_device_that_errs_are_computed_by_the_next),
        TEST(both_batches_of_a_device_that_hangs_are_computed_by_the_next),
        TEST(a_device_that_hangs_while_it_takes_the_second_batch_loses_none),
        TEST(only_what_is_still_wanted_is_given_to_the_next),
        TEST(a_device_that_comes_back_takes_over_between_batches),
        cmocka_unit_test_setup_teardown(a_device_that_fails_at_the_start_is_replaced_and_taken_back,
                                        open_spoilt, close_devices),
        cmocka_unit_test_teardown(with_no_fallback_a_device_that_fails_at_the_start_is_refused,
                                  close_devices),
    };
    return cmocka_run_group_tests(tests, prepare, end);
}
