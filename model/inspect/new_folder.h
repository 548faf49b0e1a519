/* SPDX-License-Identifier: Apache-2.0
 *
 * new_folder.h -- a folder that appears whole or not at all: made beside its place under another
 * name, then renamed. */
#ifndef FN_NEW_FOLDER_H
#define FN_NEW_FOLDER_H

#include <limits.h>

#include "engine/status.h"

struct fn_new_folder {
    char path[PATH_MAX - 300];   /* where to write */
    char target[PATH_MAX - 320]; /* where it will be */
};

/* FN_USAGE when `directory` is there and not empty, FN_IO. */
FN_MUST fn_status fn_new_folder_begin(const char *directory, struct fn_new_folder *ret_folder,
                                      struct fn_error *err);
/* Rename when `status` is FN_OK, otherwise remove all that was written; returns the outcome. */
FN_MUST fn_status fn_new_folder_end(struct fn_new_folder *folder, fn_status status,
                                    struct fn_error *err);

#endif
