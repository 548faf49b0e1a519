/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_verify.c -- does this device compute this model's golden answers, bit for bit? */
#include <stdio.h>

#include "engine/engine.h"
#include "model/commands/command.h"

FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)
FN_DEFINE_CLEANUP(struct fn_engine *, fn_engine_close)

static fn_status run(const struct fn_command *command, int argc, char **argv,
                     struct fn_error *err) {
    const char *path = NULL, *device = NULL;
    const struct fn_arg table[] = {
        {"--device", "NAME", "auto (default), reference, or part of an OpenCL name",
         .text = &device},
    };
    const struct fn_args args = {"MODEL", &path, table, sizeof table / sizeof table[0]};
    bool done;
    fn_status status = fn_command_parse(command, &args, argc, argv, &done, err);
    if (status != FN_OK || done) return status;
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
    FN_CLEANUP(fn_engine_close) struct fn_engine *engine = NULL;
    status = fn_model_open(path, &model, err);
    const struct fn_engine_options options = {.device = device ? device : "auto"};
    if (status == FN_OK) status = fn_engine_open(model, &options, &engine, err);
    if (status == FN_OK) status = fn_engine_self_test(engine, err);
    if (status != FN_OK) return status;
    struct fn_engine_description description;
    fn_engine_describe(engine, &description);
    (void)printf("model         %s\ndevice        %s\nself-test     passed\n", model->id,
                 description.label);
    return FN_OK;
}

const struct fn_command fn_command_verify = {
    .name = "verify",
    .synopsis = "MODEL [--device NAME]",
    .summary = "check a model file and self-test it on a device",
    .run = run,
};
