/* SPDX-License-Identifier: Apache-2.0
 *
 * source_args.c -- see source_args.h. */
#include "model/commands/source_args.h"

fn_status fn_source_args_open(const struct fn_source_args *args, const char *path,
                              struct fn_source **ret_source, struct fn_error *err) {
    uint64_t mib = FN_SOURCE_MEMORY >> 20;
    fn_status status = fn_args_integer("--memory", args->memory, 1, 1 << 20, &mib, err);
    if (status != FN_OK) return status;
    const struct fn_source_options options = {.use_averages = args->ema, .memory_limit = mib << 20};
    return fn_source_open_with(path, &options, ret_source, err);
}
