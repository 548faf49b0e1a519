/* SPDX-License-Identifier: Apache-2.0
 *
 * flags.h -- facenetd's command line, and the configuration that file and flags make together. */
#ifndef FN_FLAGS_H
#define FN_FLAGS_H

#include <stdbool.h>

#include "daemon/config.h"
#include "engine/status.h"

/* Borrowed from argv. */
struct fn_flags {
    const char *config, *model, *device, *example, *make_key;
    int n_listen;
    const char *listen[FN_MAX_LISTEN];
    bool check_config, allow_untrained, insecure;
};

/* True to go on; false to exit with *ret_exit: help was asked for, or the usage is wrong. */
bool fn_flags_read(int argc, char **argv, struct fn_flags *ret_flags, int *ret_exit);

/* Defaults, then the file, then flags: what counts now. FN_USAGE, FN_IO. */
FN_MUST fn_status fn_flags_load_config(const struct fn_flags *flags, struct fn_config **ret_config,
                                       struct fn_error *err);

#endif
