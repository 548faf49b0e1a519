/* SPDX-License-Identifier: Apache-2.0
 *
 * file.h -- files of the offline half: read one whole, list a tree, replace one atomically. */
#ifndef FN_FILE_H
#define FN_FILE_H

#include <stddef.h>
#include <stdio.h>

#include "engine/cleanup.h"
#include "engine/status.h"

/* Read a regular file of at most `max_size` bytes. *ret_bytes is owned by the caller (free()) and
 * is followed by a NUL that *ret_size does not count. */
FN_MUST fn_status fn_file_read(const char *path, size_t max_size, void **ret_bytes,
                               size_t *ret_size, struct fn_error *err);

/* The part of a path after its last '/', trailing slashes ignored when there is more before them. */
const char *fn_path_base(const char *path);

struct fn_paths {
    char **path; /* [n], owned */
    size_t n;
};

/* All regular files under `dir`, symbolic links followed, sorted by the bytes of their paths. */
FN_MUST fn_status fn_paths_list(const char *dir, struct fn_paths *ret_paths, struct fn_error *err);
void fn_paths_done(struct fn_paths *paths);

struct fn_output; /* opaque: a file being written beside its final name */

/* Open a temporary beside `path`. Nothing appears at `path` before fn_output_commit(). */
FN_MUST fn_status fn_output_open(const char *path, struct fn_output **ret_output,
                                 struct fn_error *err);
FILE *fn_output_stream(struct fn_output *output); /* borrowed */
/* Flush to the disk and rename. The output is freed, whatever happens; on failure the temporary is
 * removed and what was at the path stays. */
FN_MUST fn_status fn_output_commit(struct fn_output *output, struct fn_error *err);
/* Remove the temporary and free. NULL is a no-op. */
void fn_output_abandon(struct fn_output *output);

FN_DEFINE_CLEANUP(struct fn_output *, fn_output_abandon)
static inline void fn_paths_done_cleanup(struct fn_paths *paths) {
    fn_paths_done(paths);
}

#endif
