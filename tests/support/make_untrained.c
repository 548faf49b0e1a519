/* SPDX-License-Identifier: Apache-2.0
 *
 * make_untrained.c -- write a small untrained model for tests: make_untrained FILE [SEED] */
#include <stdio.h>
#include <stdlib.h>

#include "engine/cleanup.h"
#include "engine/golden.h"
#include "engine/model_writer.h"

#define WIDTH_OF_32    2 /* a sixteenth of the full widths: some ms a picture in plain C */
#define EMBEDDING_SIZE 128

FN_DEFINE_CLEANUP(struct fn_model_draft *, fn_model_draft_free)

int main(int argc, char **argv) {
    FN_CLEANUP(fn_model_draft_free) struct fn_model_draft *draft = NULL;
    struct fn_error err;
    if (argc < 2 || argc > 3) {
        (void)fputs("usage: make_untrained FILE [SEED]\n", stderr);
        return 2;
    }
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : FN_GOLDEN_SEED;
    fn_status status = fn_untrained_draft(seed, WIDTH_OF_32, EMBEDDING_SIZE, &draft, &err);
    if (status == FN_OK) status = fn_model_write(draft, argv[1], &err);
    if (status == FN_OK) return 0;
    (void)fprintf(stderr, "make_untrained: %s\n", err.text);
    return 1;
}
