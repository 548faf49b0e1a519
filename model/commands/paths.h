/* SPDX-License-Identifier: Apache-2.0
 *
 * paths.h -- names of files: their last part, and all of them under a folder. */
#ifndef FN_PATHS_H
#define FN_PATHS_H

#include <stddef.h>

#include "engine/cleanup.h"
#include "engine/status.h"

/* The part of a path after its last '/', trailing slashes ignored when there is more before them.
 */
const char *fn_path_base(const char *path);

struct fn_paths {
    char **path; /* [n], owned */
    size_t n;
};

/* All regular files under `dir`, symbolic links followed, sorted by the bytes of their paths. */
FN_MUST fn_status fn_paths_list(const char *dir, struct fn_paths *ret_paths, struct fn_error *err);
void fn_paths_done(struct fn_paths *paths);

static inline void fn_paths_done_cleanup(struct fn_paths *paths) {
    fn_paths_done(paths);
}

#endif
