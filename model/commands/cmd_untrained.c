/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_untrained.c -- a model of the right shape that has learned nothing, from a seed: for trying
 * the daemon without weights, and for tests. */
#include <stdio.h>

#include "engine/detect/crop.h"
#include "engine/model_writer.h"
#include "model/commands/command.h"
#include "model/sources/detector_source.h"

FN_DEFINE_CLEANUP(struct fn_model_draft *, fn_model_draft_free)
FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)

static fn_status run(const struct fn_command *command, int argc, char **argv,
                     struct fn_error *err) {
    const char *output = NULL, *seed_text = NULL, *width_text = NULL, *size_text = NULL,
               *detector = NULL;
    uint64_t seed = 1, width = 8, size = 512;
    const struct fn_arg table[] = {
        {"-o", "MODEL", "the file to write", .text = &output},
        {"--seed", "N", "another seed, other weights (1)", .text = &seed_text},
        {"--width", "N", "widths as N/32 of the full network's, 1...32 (8)", .text = &width_text},
        {"--embedding-size", "N", "floats in an embedding, 1...4096 (512)", .text = &size_text},
        {"--detector", "DIR", "weights of the face detector to pack", .text = &detector},
    };
    const struct fn_args args = {NULL, NULL, table, sizeof table / sizeof table[0]};
    bool done;
    fn_status status = fn_command_parse(command, &args, argc, argv, &done, err);
    if (status != FN_OK || done) return status;
    status = fn_args_need("-o", output, err);
    if (status == FN_OK) status = fn_args_integer("--seed", seed_text, 0, UINT64_MAX, &seed, err);
    if (status == FN_OK) status = fn_args_integer("--width", width_text, 1, 32, &width, err);
    if (status == FN_OK)
        status = fn_args_integer("--embedding-size", size_text, 1, 4096, &size, err);
    FN_CLEANUP(fn_model_draft_free) struct fn_model_draft *draft = NULL;
    if (status == FN_OK) status = fn_untrained_draft(seed, (int)width, (int)size, &draft, err);
    if (status == FN_OK && detector) {
        status = fn_detector_source_read(detector, draft, err);
        (void)snprintf(draft->crop, sizeof draft->crop, "%s",
                       fn_crop_name(FN_CROP_CONTRACT_DEFAULT));
    }
    if (status == FN_OK) status = fn_model_write(draft, output, err);
    if (status != FN_OK) return status;
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
    status = fn_model_open(output, &model, err);
    if (status != FN_OK) return status;
    (void)printf("written       %s: %s, which has learned nothing and must not decide anything\n",
                 output, model->id);
    return FN_OK;
}

const struct fn_command fn_command_untrained = {
    .name = "untrained",
    .synopsis = "-o MODEL [options]",
    .summary = "make a model with pseudo-random weights, for trying and testing",
    .run = run,
};
