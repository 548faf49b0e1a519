/* SPDX-License-Identifier: Apache-2.0
 *
 * opencl_engines.h -- OpenCL engines of every kernel family that this machine has, beside the
 * reference engine. */
#ifndef FN_TESTS_OPENCL_ENGINES_H
#define FN_TESTS_OPENCL_ENGINES_H

#include <stdlib.h>

#include "engine/engine.h"
#include "engine/model_writer.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/temporary.h"

/* A test of other families or another device says so before it includes this. */
#ifndef TEST_FAMILIES
#define TEST_FAMILIES "generic", "x86-avx2", "x86-avxvnni", "x86-avx512vnni"
#endif
#ifndef TEST_DEVICE
#define TEST_DEVICE "auto"
#endif
#ifndef TEST_OPEN_FAILED
#define TEST_OPEN_FAILED(err) (void)(err)
#endif

static const char *const family_names[] = {TEST_FAMILIES};
#define N_FAMILIES (sizeof family_names / sizeof family_names[0])

static bool has_family[N_FAMILIES];
static char cache_dir[PATH_MAX + 64]; /* all tests share the built programs */
static const char *kernel_dir;        /* NULL, or where the tested kernels are */

/* A small network of the real shape. */
static inline struct fn_model *seeded_model(struct fn_model_draft **ret_draft) {
    struct fn_error err = {0};
    struct fn_model *model = NULL;
    assert_ok(fn_untrained_draft(5, 3, 40, ret_draft, &err), err);
    assert_ok(fn_model_draft_view(*ret_draft, &model, &err), err);
    return model;
}

static inline fn_status try_open(const struct fn_engine_options *options, struct fn_error *err) {
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = seeded_model(&draft);
    struct fn_engine *engine = NULL;
    fn_status status = fn_engine_open(model, options, &engine, err);
    if (status != FN_OK && options->device_timeout_ms == 0) TEST_OPEN_FAILED(err);
    fn_engine_close(engine);
    free(model);
    fn_model_draft_free(draft);
    return status;
}

/* The first test: one that forks must come before it, as OpenCL starts threads. */
static inline void families_of_this_machine_open_or_the_rest_is_skipped(void **state) {
    (void)state;
    int n = 0;
    for (size_t i = 0; i < N_FAMILIES; i++) {
        struct fn_error err = {0};
        const struct fn_engine_options options = {
            .device = TEST_DEVICE, .cache_dir = cache_dir, .kernel_family = family_names[i]};
        fn_status status = try_open(&options, &err);
        has_family[i] = status == FN_OK;
        n += has_family[i];
        if (status == FN_OK) print_message("testing %s\n", family_names[i]);
        if (status != FN_OK && status != FN_NO_DEVICE) fail_msg("%s", err.text);
    }
    if (n == 0) skip();
}

static inline void need_device(void) {
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (has_family[i]) return;
    skip();
}

/* family: NULL for the reference engine. */
static inline struct fn_engine *open_engine(const struct fn_model *model, const char *family,
                                            int batch, bool keep_tensors) {
    const struct fn_engine_options options = {.device = family ? TEST_DEVICE : "reference",
                                              .kernel_family = family,
                                              .cache_dir = cache_dir,
                                              .kernel_dir = kernel_dir,
                                              .max_batch = batch,
                                              .keep_tensors = keep_tensors};
    struct fn_engine *engine = NULL;
    struct fn_error err = {0};
    fn_status status = fn_engine_open(model, &options, &engine, &err);
    if (status != FN_OK) TEST_OPEN_FAILED(&err);
    assert_ok(status, err);
    return engine;
}

static inline size_t tensor_size(const struct fn_model *model, int tensor) {
    return fn_tensor_size(&model->network.tensors[tensor]);
}

/* Every tensor of n pictures. */
static inline void compare_tensors(const struct fn_model *model, struct fn_engine *expected,
                                   struct fn_engine *found, int n) {
    struct fn_error err = {0};
    for (int t = 0; t < model->network.n_tensors; t++) {
        size_t size = tensor_size(model, t);
        int8_t *a = malloc(size), *b = malloc(size);
        assert_true(a && b);
        for (int picture = 0; picture < n; picture++) {
            assert_ok(fn_engine_read_tensor(expected, t, picture, a, &err), err);
            assert_ok(fn_engine_read_tensor(found, t, picture, b, &err), err);
            assert_memory_equal(a, b, size);
        }
        free(a);
        free(b);
    }
}

static inline int make_cache(void **state) {
    if (temporary_make(state) != 0) return -1;
    (void)snprintf(cache_dir, sizeof cache_dir, "%s", temporary_path("cache"));
    return 0;
}

#endif
