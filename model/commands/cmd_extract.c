/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_extract.c -- `facenet-model extract`: trained weights from anywhere as .npy files. */
#include "model/commands/command.h"
#include "model/commands/source_args.h"
#include "model/inspect/extract.h"

static fn_status run(const struct fn_command *command, int argc, char **argv,
                     struct fn_error *err) {
    const char *path = NULL, *output = NULL;
    struct fn_source_args from = {0};
    bool done = false;
    const struct fn_arg options[] = {
        {.name = "-o", .value = "DIR", .help = "new or empty folder", .text = &output},
        FN_SOURCE_ARGS_OPTIONS(from),
    };
    const struct fn_args args = {"SOURCE", &path, options, sizeof options / sizeof options[0]};
    fn_status status = fn_command_parse(command, &args, argc, argv, &done, err);
    if (status != FN_OK || done) return status;
    status = fn_args_need("-o", output, err);
    if (status != FN_OK) return status;
    FN_CLEANUP(fn_source_free) struct fn_source *source = NULL;
    status = fn_source_args_open(&from, path, &source, err);
    if (status != FN_OK) return status;
    FN_CLEANUP_FREE struct fn_network *network = malloc(sizeof *network);
    if (!network) return fn_fail(err, FN_NO_MEMORY, "no memory");
    status = fn_source_network(source, network, err);
    if (status == FN_OK) status = fn_extract_write(source, network, output, err);
    if (status != FN_OK) return status;
    fn_command_note("%s: %s%s%s; %zu tensors superfluous", path, source->reader->about,
                    source->note[0] ? ", " : "", source->note, source->n_unused);
    return FN_OK;
}

const struct fn_command fn_command_extract = {
    .name = "extract",
    .synopsis = "SOURCE -o DIR",
    .summary = "write every parameter tensor of trained weights as .npy, with a manifest",
    .run = run,
};
