/* SPDX-License-Identifier: Apache-2.0
 *
 * command.c -- what subcommands share. */
#include "model/commands/command.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_NOTED 8 /* superfluous tensors named before the rest are counted */

fn_status fn_command_parse(const struct fn_command *command, const struct fn_args *args, int argc,
                           char **argv, bool *ret_done, struct fn_error *err) {
    fn_status status = fn_args_parse(args, argc, argv, ret_done, err);
    if (status != FN_OK || !*ret_done) return status;
    (void)printf("Usage: facenet-model %s %s\n%s\n\n", command->name, command->synopsis,
                 command->summary);
    fn_args_print(args);
    return FN_OK;
}

void fn_command_note(const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c; c++)
        if (iscntrl((unsigned char)*c)) *c = '?';
    (void)fprintf(stderr, "facenet-model: %s\n", text);
}

fn_status fn_command_open_source(const char *path, const struct fn_source_args *from,
                                 struct fn_source **ret_source, struct fn_network **ret_network,
                                 struct fn_error *err) {
    FN_CLEANUP(fn_source_free) struct fn_source *source = NULL;
    fn_status status = fn_source_args_open(from, path, &source, err);
    if (status != FN_OK) return status;
    FN_CLEANUP_FREE struct fn_network *network = malloc(sizeof *network);
    if (!network) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", path);
    status = fn_source_network(source, network, err);
    if (status != FN_OK) return status;
    for (size_t i = 0; i < source->n_unused && i < MAX_NOTED; i++)
        fn_command_note("warning: %s: %s has no place in the network and is not used", path,
                        source->unused[i]);
    if (source->n_unused > MAX_NOTED)
        fn_command_note("warning: %s: %zu more tensors are not used", path,
                        source->n_unused - MAX_NOTED);
    *ret_source = FN_TAKE(source);
    *ret_network = FN_TAKE(network);
    return FN_OK;
}
