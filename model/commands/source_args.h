/* SPDX-License-Identifier: Apache-2.0
 *
 * source_args.h -- what commands that take a SOURCE have in common: --ema and --memory. */
#ifndef FN_SOURCE_ARGS_H
#define FN_SOURCE_ARGS_H

#include "model/commands/args.h"
#include "model/sources/source.h"

struct fn_source_args {
    bool ema;
    const char *memory;
};

#define FN_SOURCE_ARGS_OPTIONS(target)                                                             \
    {.name = "--ema",                                                                              \
     .help = "use the moving averages of a TensorFlow checkpoint",                                 \
     .flag = &(target).ema},                                                                       \
    {                                                                                              \
        .name = "--memory", .value = "MIB",                                                        \
        .help = "memory for the source's numbers, 1024 MiB if not given", .text = &(target).memory \
    }

/* Open the source with these options. */
FN_MUST fn_status fn_source_args_open(const struct fn_source_args *args, const char *path,
                                      struct fn_source **ret_source, struct fn_error *err);

#endif
