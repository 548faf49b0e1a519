/* SPDX-License-Identifier: Apache-2.0
 *
 * test_opencl_networks.c -- whole networks on every kernel family against the reference engine: the
 * same accumulators at every batch size. The trained network is tested where it has been made. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/prng.h"
#include "tests/unit/support/opencl_engines.h"

#define BATCH 16

static int distinct = BATCH; /* pictures; others repeat them */

/* Accumulators of n pictures, [n][embedding_size], from pictures that depend only on their index.
 */
static int32_t *run_pictures(const struct fn_model *model, struct fn_engine *engine, int n) {
    size_t size = tensor_size(model, 0), out = (size_t)model->network.embedding_size;
    int8_t *input = malloc((size_t)n * size);
    int32_t *accumulators = calloc((size_t)n * out, sizeof *accumulators);
    struct fn_prng prng = {77};
    struct fn_error err = {0};
    assert_true(input && accumulators);
    for (int i = 0; i < n; i++)
        if (i < distinct)
            fn_prng_fill(&prng, input + (size_t)i * size, size);
        else
            memcpy(input + (size_t)i * size, input + (size_t)(i % distinct) * size, size);
    assert_ok(fn_engine_run_tensors(engine, input, n, accumulators, &err), err);
    free(input);
    return accumulators;
}

static void check_batches(const struct fn_model *model) {
    size_t out = (size_t)model->network.embedding_size * sizeof(int32_t);
    struct fn_engine *reference = open_engine(model, NULL, BATCH, false);
    int32_t *expected = run_pictures(model, reference, distinct);
    for (size_t i = 0; i < N_FAMILIES; i++) {
        if (!has_family[i]) continue;
        struct fn_engine *opencl = open_engine(model, family_names[i], BATCH, false);
        for (int n = 1; n <= BATCH; n++) {
            int32_t *found = run_pictures(model, opencl, n);
            for (int k = 0; k < n; k++)
                assert_memory_equal((char *)expected + (size_t)(k % distinct) * out,
                                    (char *)found + (size_t)k * out, out);
            free(found);
        }
        fn_engine_close(opencl);
    }
    free(expected);
    fn_engine_close(reference);
}

static void a_seeded_network_agrees_at_every_batch_size(void **state) {
    (void)state;
    need_device();
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = seeded_model(&draft);
    check_batches(model);
    free(model);
    fn_model_draft_free(draft);
}

static void check_file(const char *path) {
    struct fn_model *model = NULL;
    struct fn_error err = {0};
    if (access(path, R_OK) != 0) skip();
    need_device();
    assert_ok(fn_model_open(path, &model, &err), err);
    check_batches(model);
    for (size_t i = 0; i < N_FAMILIES; i++) {
        if (!has_family[i]) continue;
        struct fn_engine *engine = open_engine(model, family_names[i], BATCH, false);
        assert_ok(fn_engine_self_test(engine, &err), err);
        fn_engine_close(engine);
    }
    fn_model_close(model);
}

static void the_thin_network_agrees_at_every_batch_size(void **state) {
    (void)state;
    check_file("models/thin-512.safetensors");
}

static void the_real_network_agrees_at_every_batch_size(void **state) {
    (void)state;
    const char *path = getenv("FACENET_MODEL"); /* else what `make run` has made */
    distinct = 3;                               /* the reference takes a second for each */
    check_file(path ? path : "build/models/facenet-512-npy.safetensors");
    distinct = BATCH;
}

static void sharing_the_arena_changes_nothing(void **state) {
    (void)state;
    need_device();
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = seeded_model(&draft);
    struct fn_engine *reference = open_engine(model, NULL, 3, true);
    int32_t *expected = run_pictures(model, reference, 3);
    for (size_t i = 0; i < N_FAMILIES; i++) {
        if (!has_family[i]) continue;
        struct fn_engine *apart = open_engine(model, family_names[i], 3, true);
        int32_t *found = run_pictures(model, apart, 3);
        compare_tensors(model, reference, apart, 3);
        assert_memory_equal(expected, found,
                            3 * (size_t)model->network.embedding_size * sizeof *expected);
        free(found);
        fn_engine_close(apart);
    }
    free(expected);
    fn_engine_close(reference);
    free(model);
    fn_model_draft_free(draft);
}

static void a_profile_times_every_layer(void **state) {
    (void)state;
    need_device();
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = seeded_model(&draft);
    const struct fn_engine_options options = {
        .cache_dir = cache_dir, .max_batch = 1, .profile = true};
    struct fn_engine *engine = NULL;
    struct fn_error err = {0};
    assert_ok(fn_engine_open(model, &options, &engine, &err), err);
    free(run_pictures(model, engine, 1));
    const double *seconds = fn_engine_profile(engine);
    assert_non_null(seconds);
    for (int i = 0; i < model->network.n_layers; i++)
        assert_true(seconds[i] > 0 && seconds[i] < 10);
    fn_engine_close(engine);
    engine = open_engine(model, "auto", 1, false);
    assert_null(fn_engine_profile(engine));
    fn_engine_close(engine);
    free(model);
    fn_model_draft_free(draft);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_of_this_machine_open_or_the_rest_is_skipped),
        cmocka_unit_test(a_seeded_network_agrees_at_every_batch_size),
        cmocka_unit_test(the_thin_network_agrees_at_every_batch_size),
        cmocka_unit_test(sharing_the_arena_changes_nothing),
        cmocka_unit_test(a_profile_times_every_layer),
        cmocka_unit_test(the_real_network_agrees_at_every_batch_size), /* last, as it may skip() */
    };
    return cmocka_run_group_tests_name("opencl networks", tests, make_cache, temporary_remove);
}
