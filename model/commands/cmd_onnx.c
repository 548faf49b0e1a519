/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_onnx.c -- trained weights in, the float network as an ONNX file out. */
#include <stdio.h>

#include "model/commands/command.h"
#include "model/onnx/onnx.h"

static fn_status run(const struct fn_command *command, int argc, char **argv,
                     struct fn_error *err) {
    const char *path = NULL, *output = NULL, *wanted = NULL;
    struct fn_source_args from = {0};
    const struct fn_arg table[] = {
        {"-o", "FILE", "the ONNX file to write", .text = &output},
        {"--preprocessing", "fixed|per-image",
         "recorded in the file; needed for 128-d networks only", .text = &wanted},
        FN_SOURCE_ARGS_OPTIONS(from),
    };
    const struct fn_args args = {"SOURCE", &path, table, sizeof table / sizeof table[0]};
    bool done;
    fn_status status = fn_command_parse(command, &args, argc, argv, &done, err);
    if (status != FN_OK || done) return status;
    FN_CLEANUP(fn_source_free) struct fn_source *source = NULL;
    FN_CLEANUP_FREE struct fn_network *network = NULL;
    enum fn_preprocessing preprocessing = FN_PREPROCESSING_FIXED;
    status = fn_args_need("-o", output, err);
    if (status == FN_OK) status = fn_command_open_source(path, &from, &source, &network, err);
    if (status == FN_OK)
        status =
            fn_source_preprocessing(source, network->embedding_size, wanted, &preprocessing, err);
    if (status == FN_OK) status = fn_onnx_write(network, source, preprocessing, output, err);
    if (status != FN_OK) return status;
    (void)printf("written       %s: image [n, 3, 160, 160] to embedding [n, %d], opset 13\n",
                 output, network->embedding_size);
    return FN_OK;
}

const struct fn_command fn_command_onnx = {
    .name = "onnx",
    .synopsis = "SOURCE -o FILE [options]",
    .summary = "write the float network as an ONNX file",
    .run = run,
};
