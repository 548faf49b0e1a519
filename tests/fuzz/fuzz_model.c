/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_model.c -- any bytes as a model file. What opens must run: one picture through the reference
 * engine, under the sanitizers. */
#include <stdlib.h>

#include "engine/engine.h"
#include "engine/golden.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_once(const struct fn_model *model) {
    struct fn_error err;
    struct fn_engine *engine;
    const struct fn_engine_options options = {.device = "reference", .max_batch = 1};
    if (fn_engine_open(model, &options, &engine, &err) != FN_OK) return;
    uint8_t *crop = malloc(FN_CROP_SIZE);
    float *embedding = calloc((size_t)model->network.embedding_size, sizeof *embedding);
    if (crop && embedding) {
        fn_golden_picture(1, crop);
        if (fn_engine_run(engine, crop, 1, embedding, NULL, &err) == FN_INTERNAL) __builtin_trap();
    }
    free(embedding);
    free(crop);
    fn_engine_close(engine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fn_error err;
    struct fn_model *model;
    if (fn_model_open_memory("fuzz", data, size, &model, &err) != FN_OK) return 0;
    run_once(model);
    fn_model_close(model);
    return 0;
}
