/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_layers.c -- `facenet-model layers`: the network of a source. */
#include "model/commands/command.h"
#include "model/commands/source_args.h"
#include "model/inspect/layers.h"

static void done_cleanup(struct fn_missing *missing) {
    fn_missing_done(missing);
}

static fn_status print_missing(const struct fn_source *source, struct fn_error *err) {
    __attribute__((cleanup(done_cleanup))) struct fn_missing missing;
    fn_status status = fn_layers_missing(source, &missing, err);
    if (status != FN_OK || missing.n == 0) return status;
    for (size_t i = 0; i < missing.n; i++) (void)printf("missing: %s\n", missing.names[i]);
    return fn_fail(err, FN_BAD_SOURCE, "%s: %zu parts of the network are missing", source->path,
                   missing.n);
}

static fn_status run(const struct fn_command *command, int argc, char **argv,
                     struct fn_error *err) {
    const char *path = NULL;
    struct fn_source_args from = {0};
    bool json = false, dot = false, all = false, done = false;
    const struct fn_arg options[] = {
        {.name = "--json", .help = "as JSON", .flag = &json},
        {.name = "--dot", .help = "as a Graphviz picture", .flag = &dot},
        {.name = "--all", .help = "every block, not the first of equal ones", .flag = &all},
        FN_SOURCE_ARGS_OPTIONS(from),
    };
    const struct fn_args args = {"SOURCE", &path, options, sizeof options / sizeof options[0]};
    fn_status status = fn_command_parse(command, &args, argc, argv, &done, err);
    if (status != FN_OK || done) return status;
    if (json && dot) return fn_fail(err, FN_USAGE, "--json and --dot; expected one of them");
    FN_CLEANUP(fn_source_free) struct fn_source *source = NULL;
    status = fn_source_args_open(&from, path, &source, err);
    if (status == FN_OK) status = print_missing(source, err);
    if (status != FN_OK) return status;
    FN_CLEANUP_FREE struct fn_network *network = malloc(sizeof *network);
    if (!network) return fn_fail(err, FN_NO_MEMORY, "no memory");
    status = fn_source_network(source, network, err);
    if (status != FN_OK) return status;
    if (json) return fn_layers_print_json(stdout, source, network, err);
    if (dot) {
        fn_layers_print_dot(stdout, network);
        return FN_OK;
    }
    fn_layers_print_tree(stdout, source, network, all);
    for (size_t i = 0; i < source->n_unused; i++)
        (void)printf("superfluous: %s\n", source->unused[i]);
    return FN_OK;
}

const struct fn_command fn_command_layers = {
    .name = "layers",
    .synopsis = "SOURCE [--json | --dot] [--all]",
    .summary = "show the network that trained weights are of, layer by layer",
    .run = run,
};
