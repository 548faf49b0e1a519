/* SPDX-License-Identifier: Apache-2.0
 *
 * test_device_faults.c -- an OpenCL library that fails, lies or forgets, at one call after the
 * other, from the search for a device to its release. Whatever it does: a clean error or the right
 * embedding, never a crash, a leak or a wrong number.
 *
 * By default the first, second, middle and last call of every function; FACENETD_PROOF=full takes
 * them all. */
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/network.h"
#include "engine/prng.h"
#include "tests/faults/cl_shim.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/temporary.h"
#include "tests/unit/support/tiny_model.h"

#define BATCH     2
#define MAX_SITES 20000

static struct fn_model *model;
static char cache_dir[PATH_MAX];
static uint8_t crops[BATCH][FN_CROP_SIZE];
static float expected[BATCH][TINY_EMBEDDING];
static const char *sites[MAX_SITES + 1]; /* name of every call of an undisturbed life, from 1 */
static int n_sites, n_tested;            /* n_tested: those before the self-test has ended */

/* A whole life: open, self-test, the first picture and behind it in flight all of them, close.
 * ret_tested: calls up to the self-test's end. */
static fn_status live(float ret_embeddings[BATCH][TINY_EMBEDDING], int *ret_tested,
                      struct fn_error *err) {
    const struct fn_engine_options options = {
        .device = "", .cache_dir = cache_dir[0] ? cache_dir : NULL, .max_batch = BATCH, .slots = 2};
    struct fn_engine *engine = NULL;
    float alone[TINY_EMBEDDING];
    fn_status status = fn_engine_open(model, &options, &engine, err);
    if (status == FN_OK) status = fn_engine_self_test(engine, err);
    *ret_tested = fn_shim_calls();
    if (status == FN_OK) status = fn_engine_submit(engine, crops[0], 1, err);
    if (status == FN_OK) status = fn_engine_submit(engine, crops[0], BATCH, err);
    if (status == FN_OK) status = fn_engine_collect(engine, alone, NULL, err);
    if (status == FN_OK) status = fn_engine_collect(engine, ret_embeddings[0], NULL, err);
    fn_engine_close(engine);
    if (status == FN_OK) assert_memory_equal(alone, ret_embeddings[0], sizeof alone);
    return status;
}

static int prepare(void **state) {
    if (temporary_make(state) != 0) return -1;
    (void)snprintf(cache_dir, sizeof cache_dir, "%s/cache", temporary_dir);
    tiny_write(temporary_path("tiny.safetensors"));
    struct fn_error err = {0};
    assert_ok(fn_model_open(temporary_path("tiny.safetensors"), &model, &err), err);
    struct fn_prng prng = {.state = 7};
    fn_prng_fill(&prng, crops, sizeof crops);
    const struct fn_engine_options options = {.device = "reference", .max_batch = BATCH};
    struct fn_engine *engine = NULL;
    assert_ok(fn_engine_open(model, &options, &engine, &err), err);
    assert_ok(fn_engine_run(engine, crops[0], BATCH, expected[0], NULL, &err), err);
    fn_engine_close(engine);
    return 0;
}

static int end(void **state) {
    fn_model_close(model);
    return temporary_remove(state);
}

static void an_undisturbed_life_is_recorded(void **state) {
    (void)state;
    float embeddings[BATCH][TINY_EMBEDDING];
    struct fn_error err = {0};
    for (int i = 0; i < 2; i++) { /* the first one fills the cache of programs */
        fn_shim_plan("");
        fn_status status = live(embeddings, &n_tested, &err);
        if (status == FN_NO_DEVICE) skip();
        assert_ok(status, err);
    }
    n_sites = fn_shim_calls();
    assert_true(n_sites > 50 && n_sites < MAX_SITES);
    for (int i = 1; i <= n_sites; i++) sites[i] = fn_shim_call_name(i);
    assert_memory_equal(embeddings, expected, sizeof expected);
}

/* How many calls of the same function are at or before site i; total: of all. */
static int rank(int i, int *ret_total) {
    int before = 0;
    *ret_total = 0;
    for (int k = 1; k <= n_sites; k++) {
        if (strcmp(sites[k], sites[i]) != 0) continue;
        ++*ret_total;
        if (k <= i) before++;
    }
    return before;
}

static bool is_chosen(int i) {
    const char *proof = getenv("FACENETD_PROOF");
    int total, nth = rank(i, &total);
    bool all = proof && strcmp(proof, "check") != 0;
    return all || nth <= 2 || nth == total / 2 || nth == total;
}

/* Bit for bit. */
static bool is_right(float embeddings[BATCH][TINY_EMBEDDING]) {
    const void *ours = embeddings, *right = expected;
    return memcmp(ours, right, sizeof expected) == 0;
}

/* One life disturbed by `plan`, which concerns call `site`; returns its status. */
static fn_status disturb(int site, const char *plan) {
    float embeddings[BATCH][TINY_EMBEDDING] = {{0}};
    int tested;
    struct fn_error err = {.text = ""};
    fn_shim_plan(plan);
    fn_status status = live(embeddings, &tested, &err);
    fn_shim_plan("");
    if (status == FN_OK && !is_right(embeddings))
        fail_msg("%s (call %d, %s): a wrong embedding", plan, site, sites[site]);
    if (status != FN_OK && status != FN_NO_DEVICE && status != FN_DEVICE_FAILED &&
        status != FN_NOT_UNIT)
        fail_msg("%s (call %d, %s): status %d", plan, site, sites[site], status);
    if (status != FN_OK && (err.status != status || !err.text[0] || strchr(err.text, '\n')))
        fail_msg("%s (call %d, %s): it says \"%s\"", plan, site, sites[site], err.text);
    return status;
}

static void a_call_that_fails_is_a_clean_error_wherever_it_is(void **state) {
    (void)state;
    if (n_sites == 0) skip();
    int n = 0, n_refused = 0;
    char plan[64];
    for (int i = 1; i <= n_sites; i++) {
        if (!is_chosen(i)) continue;
        /* Once: another family of kernels may do instead. From then on: nothing can. */
        (void)snprintf(plan, sizeof plan, "* %d error -5", i);
        (void)disturb(i, plan);
        (void)snprintf(plan, sizeof plan, "* %d+ error -5", i);
        n_refused += disturb(i, plan) != FN_OK;
        n++;
    }
    print_message("%d of %d calls failed in turn: %d refusals\n", n, n_sites, n_refused);
    assert_true(n_refused > n / 2); /* the others: releases, after the result was there */
}

static void work_that_is_not_done_is_found_by_the_self_test(void **state) {
    (void)state;
    if (n_sites == 0) skip();
    int n = 0, n_refused = 0, total;
    char plan[64];
    for (int i = 1; i <= n_tested; i++) {
        /* Not arguments and writes: kernels with tables that never came reach where they should
         * not, and on a CPU that is our own memory. */
        bool works = strcmp(sites[i], "clEnqueueNDRangeKernel") == 0 ||
                     strcmp(sites[i], "clEnqueueReadBuffer") == 0;
        if (!works || !is_chosen(i)) continue;
        (void)snprintf(plan, sizeof plan, "* %d skip", i);
        (void)disturb(i, plan);
        (void)snprintf(plan, sizeof plan, "%s %d+ skip", sites[i], rank(i, &total));
        n_refused += disturb(i, plan) != FN_OK;
        n++;
    }
    print_message("%d calls were skipped in turn: %d refusals\n", n, n_refused);
    assert_true(n_refused >
                n / 4); /* the others: arguments that were so already, zeros over zeros */
}

static void a_result_with_one_wrong_bit_is_found_by_the_self_test(void **state) {
    (void)state;
    if (n_sites == 0) skip();
    int n = 0, n_read = 0;
    for (int i = 1; i <= n_tested; i++) {
        /* The first is the first run's, whose answer nobody looks at. */
        if (strcmp(sites[i], "clEnqueueReadBuffer") != 0 || n_read++ == 0) continue;
        char plan[64];
        (void)snprintf(plan, sizeof plan, "* %d flip", i);
        assert_int_equal(disturb(i, plan), FN_DEVICE_FAILED);
        n++;
    }
    assert_true(n >= 2);
}

static void a_compiler_that_fails_is_a_clean_error(void **state) {
    (void)state;
    if (n_sites == 0) skip();
    char kept[PATH_MAX];
    memcpy(kept, cache_dir, sizeof kept);
    cache_dir[0] = '\0'; /* nothing cached: build from source */
    static const char *const calls[] = {"clCreateProgramWithSource", "clBuildProgram",
                                        "clCreateKernel"};
    for (int i = 0; i < 3; i++) {
        char plan[64];
        int tested;
        float embeddings[BATCH][TINY_EMBEDDING];
        struct fn_error err = {.text = ""};
        (void)snprintf(plan, sizeof plan, "%s 1+ error -11", calls[i]);
        fn_shim_plan(plan);
        assert_int_equal(live(embeddings, &tested, &err), FN_DEVICE_FAILED);
        assert_non_null(strstr(err.text, "-11"));
    }
    fn_shim_plan("");
    memcpy(cache_dir, kept, sizeof kept);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_undisturbed_life_is_recorded),
        cmocka_unit_test(a_call_that_fails_is_a_clean_error_wherever_it_is),
        cmocka_unit_test(work_that_is_not_done_is_found_by_the_self_test),
        cmocka_unit_test(a_result_with_one_wrong_bit_is_found_by_the_self_test),
        cmocka_unit_test(a_compiler_that_fails_is_a_clean_error),
    };
    return cmocka_run_group_tests(tests, prepare, end);
}
