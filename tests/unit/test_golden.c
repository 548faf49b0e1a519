/* SPDX-License-Identifier: Apache-2.0
 *
 * test_golden.c -- the numbers of tests/golden/MANIFEST, on the reference engine: what a change of
 * compiler, machine or code must not move. Run from the repository root. */
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/model_writer.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/temporary.h"

struct golden {
    char path[128]; /* of a model, or "untrained" */
    char id[32], accumulators[65], embedding[65];
    uint64_t seed;
    int width, embedding_size;
};

/* "PATH SEED WIDTH EMBEDDING_SIZE ID ACCUMULATORS EMBEDDING"; false for comments. */
static bool parse(char *line, struct golden *ret) {
    char *words[7], *rest = NULL;
    if (line[0] == '#') return false;
    for (int i = 0; i < 7; i++) {
        words[i] = strtok_r(i ? NULL : line, " \n", &rest);
        if (!words[i]) return false;
    }
    (void)snprintf(ret->path, sizeof ret->path, "%s", words[0]);
    ret->seed = strtoull(words[1], NULL, 10);
    ret->width = (int)strtol(words[2], NULL, 10);
    ret->embedding_size = (int)strtol(words[3], NULL, 10);
    (void)snprintf(ret->id, sizeof ret->id, "%s", words[4]);
    (void)snprintf(ret->accumulators, sizeof ret->accumulators, "%s", words[5]);
    (void)snprintf(ret->embedding, sizeof ret->embedding, "%s", words[6]);
    return true;
}

static void check(const struct golden *golden) {
    struct fn_error err;
    struct fn_model *model;
    struct fn_engine *engine;
    const struct fn_engine_options options = {.device = "reference", .max_batch = 2};
    const char *path = golden->path;
    if (strcmp(path, "untrained") == 0) {
        struct fn_model_draft *draft;
        path = temporary_path("untrained.safetensors");
        assert_ok(
            fn_untrained_draft(golden->seed, golden->width, golden->embedding_size, &draft, &err),
            err);
        assert_ok(fn_model_write(draft, path, &err), err);
        fn_model_draft_free(draft);
    }
    assert_ok(fn_model_open(path, &model, &err), err);
    assert_string_equal(model->id, golden->id);
    assert_string_equal(model->golden_accumulators, golden->accumulators);
    assert_string_equal(model->golden_embedding, golden->embedding);
    assert_ok(fn_engine_open(model, &options, &engine, &err), err);
    assert_ok(fn_engine_self_test(engine, &err), err);
    fn_engine_close(engine);
    fn_model_close(model);
}

static void every_network_of_the_manifest_gives_its_numbers(void **state) {
    (void)state;
    FILE *manifest = fopen("tests/golden/MANIFEST", "re");
    assert_non_null(manifest);
    char line[512];
    int n = 0;
    while (fgets(line, sizeof line, manifest)) {
        struct golden golden;
        if (!parse(line, &golden)) continue;
        check(&golden);
        n++;
    }
    (void)fclose(manifest);
    assert_true(n >= 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_network_of_the_manifest_gives_its_numbers),
    };
    return cmocka_run_group_tests_name("golden", tests, temporary_make, temporary_remove);
}
