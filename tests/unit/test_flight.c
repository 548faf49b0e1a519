/* SPDX-License-Identifier: Apache-2.0
 *
 * test_flight.c -- two batches in flight on one device: the second is on its way before anybody
 * waits for the first, and neither gets the other's bits. By the order of the calls, not by time.
 */
#include <string.h>

#include "engine/engine.h"
#include "engine/network.h"
#include "engine/prng.h"
#include "tests/faults/cl_shim.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/temporary.h"
#include "tests/unit/support/tiny_model.h"

#define BATCHES 5
#define BATCH   3

static struct fn_model *model;
static uint8_t crops[BATCHES][BATCH][FN_CROP_SIZE];
static float expected[BATCHES][BATCH][TINY_EMBEDDING];
static struct fn_error err;

static int prepare(void **state) {
    const struct fn_engine_options options = {.device = "reference", .max_batch = BATCH};
    struct fn_engine *engine = NULL;
    struct fn_prng prng = {.state = 5};
    if (temporary_make(state) != 0) return -1;
    tiny_write(temporary_path("tiny.safetensors"));
    assert_ok(fn_model_open(temporary_path("tiny.safetensors"), &model, &err), err);
    fn_prng_fill(&prng, crops, sizeof crops);
    assert_ok(fn_engine_open(model, &options, &engine, &err), err);
    for (int i = 0; i < BATCHES; i++)
        assert_ok(fn_engine_run(engine, crops[i][0], BATCH, expected[i][0], NULL, &err), err);
    fn_engine_close(engine);
    return 0;
}

static int end(void **state) {
    fn_model_close(model);
    return temporary_remove(state);
}

/* NULL, after skip(), without a device. */
static struct fn_engine *open_engine(const char *family, int slots) {
    const struct fn_engine_options options = {
        .device = "", .kernel_family = family, .max_batch = BATCH, .slots = slots};
    struct fn_engine *engine = NULL;
    fn_shim_plan("");
    fn_status status = fn_engine_open(model, &options, &engine, &err);
    if (status == FN_NO_DEVICE) skip();
    assert_ok(status, err);
    return engine;
}

static void collect(struct fn_engine *engine, int batch, int n) {
    float found[BATCH][TINY_EMBEDDING];
    assert_ok(fn_engine_collect(engine, found[0], NULL, &err), err);
    assert_memory_equal(found, expected[batch], (size_t)n * sizeof found[0]);
}

/* Of the calls since the plan was made: the nth of a name, counted from 1; 0: there is none. */
static int find_call(const char *name, int nth) {
    for (int i = 1; i <= fn_shim_calls(); i++)
        if (strcmp(fn_shim_call_name(i), name) == 0 && --nth == 0) return i;
    return 0;
}

/* wait: the call by which the family waits. */
static void overlap(const char *family, const char *wait) {
    struct fn_engine *engine = open_engine(family, 2);
    assert_int_equal(fn_engine_slots(engine), 2);
    fn_shim_plan("");
    assert_ok(fn_engine_submit(engine, crops[0][0], 1, &err), err);
    assert_ok(fn_engine_submit(engine, crops[1][0], 1, &err), err);
    assert_int_equal(fn_engine_submit(engine, crops[2][0], 1, &err), FN_USAGE);
    assert_int_equal(find_call(wait, 1), 0);
    int read = find_call("clEnqueueReadBuffer", 2);
    assert_true(find_call("clEnqueueReadBuffer", 1) < find_call("clEnqueueWriteBuffer", 2));
    collect(engine, 0, 1);
    assert_true(read > 0 && read < find_call(wait, 1));
    collect(engine, 1, 1);
    assert_int_equal(fn_engine_collect(engine, expected[0][0], NULL, &err), FN_USAGE);
    fn_engine_close(engine);
}

static void the_second_batch_is_queued_before_the_first_is_waited_for(void **state) {
    (void)state;
    overlap("auto", "clWaitForEvents");
}

static void the_pipeline_for_boards_takes_a_second_batch_too(void **state) {
    (void)state;
    overlap("fused-fpga", "clGetEventInfo");
}

/* Batches of growing size, two in flight all the time. */
static void run_through(struct fn_engine *engine) {
    assert_ok(fn_engine_submit(engine, crops[0][0], 1, &err), err);
    for (int i = 1; i < BATCHES; i++) {
        assert_ok(fn_engine_submit(engine, crops[i][0], 1 + i % BATCH, &err), err);
        collect(engine, i - 1, 1 + (i - 1) % BATCH);
    }
    collect(engine, BATCHES - 1, 1 + (BATCHES - 1) % BATCH);
}

static void batches_in_flight_keep_their_bits(void **state) {
    (void)state;
    static const char *const families[] = {"auto", "generic", "fused-fpga"};
    for (int f = 0; f < 3; f++) {
        struct fn_engine *engine = open_engine(families[f], 2);
        run_through(engine);
        assert_ok(fn_engine_self_test(engine, &err), err);
        fn_engine_close(engine);
    }
}

static void an_engine_may_be_closed_with_batches_in_flight(void **state) {
    (void)state;
    static const char *const families[] = {"auto", "fused-fpga"};
    for (int f = 0; f < 2; f++) {
        struct fn_engine *engine = open_engine(families[f], 2);
        assert_ok(fn_engine_submit(engine, crops[0][0], BATCH, &err), err);
        assert_ok(fn_engine_submit(engine, crops[1][0], BATCH, &err), err);
        fn_engine_close(engine);
    }
}

static void one_slot_is_what_whoever_does_not_ask_gets(void **state) {
    (void)state;
    struct fn_engine *engine = open_engine("auto", 0);
    assert_int_equal(fn_engine_slots(engine), 1);
    fn_engine_close(engine);
}

/* A device of known cost: what a batch costs there does not change what it answers. */
static void the_stand_in_of_known_cost_keeps_the_bits_too(void **state) {
    (void)state;
    static const char *const families[] = {"auto", "fused-fpga"};
    for (int f = 0; f < 2; f++) {
        struct fn_engine *engine = open_engine(families[f], 2);
        fn_shim_plan("clEnqueueReadBuffer 1+ cost 2000 100 300");
        run_through(engine); /* computed */
        run_through(engine); /* remembered */
        fn_engine_close(engine);
        fn_shim_plan("");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_batch_is_queued_before_the_first_is_waited_for),
        cmocka_unit_test(the_pipeline_for_boards_takes_a_second_batch_too),
        cmocka_unit_test(batches_in_flight_keep_their_bits),
        cmocka_unit_test(an_engine_may_be_closed_with_batches_in_flight),
        cmocka_unit_test(one_slot_is_what_whoever_does_not_ask_gets),
        cmocka_unit_test(the_stand_in_of_known_cost_keeps_the_bits_too),
    };
    return cmocka_run_group_tests(tests, prepare, end);
}
